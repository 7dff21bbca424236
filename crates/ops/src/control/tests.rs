//! The control socket under good requests, bad ones, and bad clients: what each is told, and that the next
//! good request is still answered.

use super::client::{CallError, call};
use super::server::{ControlError, ControlServer};
use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Nothing here waits; this only keeps a hanging test from hanging for ever.
const GUARD: Duration = Duration::from_secs(30);

/// A directory of its own for each test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pharos-ops-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("below").join("control.sock")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers `why` with the prefix it got, refuses the rest.
fn start(path: &Path) -> watch::Sender<bool> {
    serve(ControlServer::bind(path).unwrap())
}

fn serve(server: ControlServer) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    let handler = |request| async move {
        match request {
            Request::Why { prefix } => Reply::done(&serde_json::json!({"prefix": prefix})),
            other => Reply::refused(format!("{other:?} is not for this process"), "ask the other one"),
        }
    };
    tokio::spawn(server.serve(handler, stopped));
    stop
}

async fn ask(path: &Path, line: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(line).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    let mut reply = String::new();
    let mut reader = BufReader::new(stream);
    tokio::time::timeout(GUARD, reader.read_line(&mut reply)).await.expect("a reply").unwrap();
    reply
}

async fn is_alive(path: &Path) -> bool {
    let request = Request::Why { prefix: "192.0.2.0/24".to_owned() };
    call(path, &request, GUARD).await.is_ok_and(|result| result["prefix"] == "192.0.2.0/24")
}

#[tokio::test]
async fn each_bad_request_is_told_what_is_wrong_and_the_next_good_one_is_answered() {
    let scratch = Scratch::new("bad");
    let path = scratch.socket();
    let _stop = start(&path);
    let cases: [(&[u8], &str); 11] = [
        (
            b"reload please",
            r#"{"error":"the request is not JSON: expected value at line 1 column 1","ok":false,"remedy":"send one JSON object on one line, like {\"command\":\"status\"}"}"#,
        ),
        (
            b"[1]",
            r#"{"error":"the request is not a JSON object","ok":false,"remedy":"send one JSON object on one line, like {\"command\":\"status\"}"}"#,
        ),
        (
            b"{}",
            r#"{"error":"the request has no \"command\"","ok":false,"remedy":"the commands are status, reload, hand-over, why, drain, undrain, hold, force, release"}"#,
        ),
        (
            b"{\"command\":\"explode\"}",
            r#"{"error":"there is no command \"explode\"","ok":false,"remedy":"the commands are status, reload, hand-over, why, drain, undrain, hold, force, release"}"#,
        ),
        (
            b"{\"command\":\"why\"}",
            r#"{"error":"why needs a prefix","ok":false,"remedy":"add \"prefix\", like \"192.0.2.0/24\""}"#,
        ),
        (
            b"{\"command\":\"drain\",\"text\":7}",
            r#"{"error":"\"text\" is not a text","ok":false,"remedy":"write \"text\":\"...\""}"#,
        ),
        (
            b"{\"command\":\"drain\",\"reason\":\"x\"}",
            r#"{"error":"drain has no key \"reason\"","ok":false,"remedy":"besides \"command\" its keys are: within_seconds, lasts_seconds, text, author"}"#,
        ),
        (
            b"{\"command\":\"drain\",\"text\":\"x\",\"text\":\"y\"}",
            r#"{"error":"the request has \"text\" twice","ok":false,"remedy":"keep one of them"}"#,
        ),
        (
            b"{\"command\":\"hold\",\"target\":\"all\"}",
            r#"{"error":"how long it lasts is missing","ok":false,"remedy":"add \"lasts_seconds\", like 3600"}"#,
        ),
        (
            b"{\"command\":\"hold\",\"target\":\"all\",\"lasts_seconds\":-1}",
            r#"{"error":"\"lasts_seconds\" is no time","ok":false,"remedy":"write \"lasts_seconds\":3600, in seconds"}"#,
        ),
        (
            b"\xff\xfe\x00",
            r#"{"error":"the request is not JSON: expected value at line 1 column 1","ok":false,"remedy":"send one JSON object on one line, like {\"command\":\"status\"}"}"#,
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(ask(&path, line).await.trim_end(), expected);
        assert!(is_alive(&path).await);
    }
}

#[tokio::test]
async fn several_requests_follow_one_another_on_one_connection() {
    let scratch = Scratch::new("several");
    let path = scratch.socket();
    let _stop = start(&path);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"nonsense\n{\"command\":\"why\",\"prefix\":\"p\"}\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("\"ok\":false"));
    assert_eq!(lines.next_line().await.unwrap().unwrap(), r#"{"ok":true,"result":{"prefix":"p"}}"#);
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let scratch = Scratch::new("long");
    let path = scratch.socket();
    let _stop = start(&path);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let (mut read, mut write) = stream.split();
    // The server hangs up somewhere in the middle of this.
    let endless = vec![b'x'; 4 * LINE_OCTETS_AT_MOST];
    let mut reply = Vec::new();
    let (_, _) = tokio::time::timeout(GUARD, async {
        tokio::join!(write.write_all(&endless), read.read_to_end(&mut reply))
    })
    .await
    .expect("an end");
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.is_empty() || reply.contains("the request is longer than 16384 octets"), "{reply}");
    assert!(is_alive(&path).await);
}

#[tokio::test]
async fn a_line_one_octet_too_long_is_told_so() {
    let scratch = Scratch::new("longer");
    let path = scratch.socket();
    let _stop = start(&path);
    let reply = ask(&path, &vec![b'x'; LINE_OCTETS_AT_MOST]).await;
    assert!(reply.contains("the request is longer than 16384 octets"), "{reply}");
    assert!(reply.contains("shorten it"), "{reply}");
    assert!(is_alive(&path).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_line_loses_its_place() {
    let scratch = Scratch::new("slow");
    let path = scratch.socket();
    let _stop = start(&path);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"command\"").await.unwrap();
    let mut reply = String::new();
    // The clock is paused: it jumps to the deadline as soon as everything waits.
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains("no whole line came within 30 s"), "{reply}");
}

#[tokio::test]
async fn more_clients_than_places_are_told_so() {
    let scratch = Scratch::new("many");
    let path = scratch.socket();
    let _stop = start(&path);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_AT_MOST {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"{}\n").await.unwrap();
        let mut octet = [0];
        stream.read_exact(&mut octet).await.unwrap();
        held.push(stream);
    }
    let mut late = UnixStream::connect(&path).await.unwrap();
    let mut reply = String::new();
    tokio::time::timeout(GUARD, late.read_to_string(&mut reply)).await.expect("an end").unwrap();
    assert!(reply.contains("too many control connections are open"), "{reply}");
    drop(held);
    while !is_alive(&path).await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_goes_with_its_server() {
    let scratch = Scratch::new("mode");
    let path = scratch.socket();
    let server = ControlServer::bind(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(server);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let scratch = Scratch::new("stale");
    let path = scratch.socket();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _stop = start(&path);
    assert!(is_alive(&path).await);
    let error = ControlServer::bind(&path).unwrap_err();
    assert!(matches!(error, ControlError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("another process answers at"), "{error}");
    assert!(is_alive(&path).await);
}

#[tokio::test]
async fn another_process_goes_on_with_the_socket_and_with_its_file() {
    let scratch = Scratch::new("shared");
    let path = scratch.socket();
    let first = ControlServer::bind(&path).unwrap();
    let shared = first.share().unwrap();
    drop(ControlServer::resume(&path, shared.socket().unwrap()).unwrap());
    assert!(path.exists(), "who gives up before it serves takes nothing away");
    let second = ControlServer::resume(&path, shared.socket().unwrap()).unwrap();
    shared.leave();
    drop(first);
    shared.conversations_over(GUARD).await;
    let stop = serve(second);
    assert!(is_alive(&path).await, "the file stays, and somebody answers behind it");
    drop(stop);
    tokio::time::timeout(GUARD, async {
        while path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the file goes with the one that has it");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let scratch = Scratch::new("file");
    let path = scratch.socket();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let error = ControlServer::bind(&path).unwrap_err();
    assert!(error.to_string().contains("exists and is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_client_is_told_when_nobody_answers_or_the_process_refuses() {
    let scratch = Scratch::new("client");
    let path = scratch.socket();
    let nobody = call(&path, &Request::Status, GUARD).await.unwrap_err();
    assert!(matches!(nobody, CallError::Nobody { .. }), "{nobody}");
    let _stop = start(&path);
    let refused = call(&path, &Request::Reload, GUARD).await.unwrap_err();
    assert_eq!(refused.to_string(), "Reload is not for this process");
    assert!(matches!(refused, CallError::Refused { remedy, .. } if remedy == "ask the other one"));
}

#[test]
fn requests_and_replies_survive_their_lines() {
    let order = Order { text: "kernel \"update\"\n".to_owned(), author: "ops".to_owned() };
    let why = Request::Why { prefix: "2001:db8::/32".to_owned() };
    let (target, lasts) = ("main".to_owned(), Duration::from_secs(3600));
    let level = "degraded".to_owned();
    for request in [
        Request::Status,
        Request::Reload,
        Request::HandOver,
        why,
        Request::Drain { within: None, lasts: Some(lasts), order: order.clone() },
        Request::Drain { within: Some(Duration::from_millis(1500)), lasts: None, order: order.clone() },
        Request::Undrain(order.clone()),
        Request::Hold { target: target.clone(), lasts, order: order.clone() },
        Request::Force { target: target.clone(), level, lasts, order: order.clone() },
        Request::Release { target, order },
    ] {
        assert!(!request.to_line().contains('\n'));
        assert_eq!(Request::parse(request.to_line().as_bytes()), Ok(request));
    }
    for reply in [Reply::Done(json!([1, 2])), Reply::refused("a", "b")] {
        assert_eq!(Reply::parse(reply.to_line().as_bytes()), Some(reply));
    }
    assert_eq!(Reply::parse(b"hello"), None);
}
