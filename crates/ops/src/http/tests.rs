//! The server and the client against one another, and the server against strangers.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Nothing here waits; this only keeps a hanging test from hanging for ever.
const GUARD: Duration = Duration::from_secs(30);

async fn start() -> (SocketAddr, watch::Sender<bool>) {
    let registry = Registry::new();
    let counter = prometheus::IntCounter::new("pharos_test_total", "A counter.").unwrap();
    counter.inc_by(7);
    registry.register(Box::new(counter)).unwrap();
    let routes = Routes::new("responder a.ams")
        .metrics(registry)
        .readiness(|| Readiness::NotReady(vec!["zone example.com. is not loaded".to_owned()]))
        .page("/", |_| Page::html("<!DOCTYPE html><title>a</title>".to_owned(), "default-src 'none'"))
        .page("/status", |query| {
            Page::json(&serde_json::json!({"zones": query.all("zone").collect::<Vec<_>>()}))
        });
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, Arc::new(routes), stopped));
    (address, stop)
}

/// Sends octets as they are and reads until the server closes.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("an end").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn metrics_health_and_status_are_served() {
    let (address, _stop) = start().await;
    let metrics = client::get(address, "/metrics").await.unwrap();
    assert!(metrics.body.contains("pharos_test_total 7"), "{}", metrics.body);
    assert_eq!(client::get(address, "/livez").await.unwrap().status, 200);
    let ready = client::get(address, "/readyz").await.unwrap();
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: zone example.com. is not loaded\n"));
    let status = client::get(address, "/status?zone=example.com&zone=a%20b").await.unwrap();
    assert_eq!(status.body, "{\"zones\":[\"example.com\",\"a b\"]}\n");
}

#[tokio::test]
async fn a_document_tells_browsers_what_they_may_do_with_it_and_the_rest_is_no_document() {
    let (address, _stop) = start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let page = raw(address, get("/").as_bytes()).await.to_ascii_lowercase();
    assert!(page.contains("content-type: text/html; charset=utf-8\r\n"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'\r\n"), "{page}");
    assert!(page.contains("x-content-type-options: nosniff\r\n"), "{page}");
    let status = raw(address, get("/status").as_bytes()).await.to_ascii_lowercase();
    assert!(status.contains("x-content-type-options: nosniff\r\n"), "{status}");
    assert!(!status.contains("content-security-policy"), "{status}");
}

#[tokio::test]
async fn a_wrong_path_is_told_the_right_ones() {
    let (address, _stop) = start().await;
    let lost = client::get(address, "/metrix").await.unwrap();
    assert_eq!(lost.status, 404);
    let expected = "responder a.ams: no such page; there are /, /livez, /metrics, /readyz, /status\n";
    assert_eq!(lost.body, expected);
}

#[tokio::test]
async fn a_post_is_refused_and_its_body_not_read() {
    let (address, _stop) = start().await;
    let request = b"POST /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    let answer = raw(address, request).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    assert!(answer.contains("the control socket changes state"), "{answer}");
}

#[tokio::test]
async fn garbage_and_endless_headers_leave_the_server_alive() {
    let (address, _stop) = start().await;
    assert!(raw(address, b"\x16\x03\x01 hello\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let endless = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have hung up before all of it was taken.
    let _ = stream.write_all(endless.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("an end");
    assert_eq!(client::get(address, "/livez").await.unwrap().status, 200);
}

#[tokio::test]
async fn more_connections_than_places_are_turned_away_at_once() {
    let (address, _stop) = start().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_AT_MOST {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut octets = [0; 12];
        stream.read_exact(&mut octets).await.unwrap();
        held.push(stream);
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    let mut octets = Vec::new();
    let end = tokio::time::timeout(GUARD, late.read_to_end(&mut octets)).await.expect("an end");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn nobody_listening_is_said_so() {
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client::get(address, "/status").await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("nothing answers at http://{address}: ")), "{error}");
}

#[tokio::test]
async fn a_taken_address_is_named_with_what_to_do() {
    let (address, _stop) = start().await;
    let error = bind(address).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot serve metrics and status on {address}")), "{error}");
    assert!(error.contains("change `management:`"), "{error}");
}

#[tokio::test]
async fn the_server_ends_when_it_is_told() {
    let (stop, stopped) = watch::channel(false);
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let server = tokio::spawn(serve(listener, Arc::new(Routes::new("x")), stopped));
    stop.send(true).unwrap();
    tokio::time::timeout(GUARD, server).await.expect("an end").unwrap();
}

#[test]
fn broken_escapes_stay_as_they_are() {
    assert_eq!(decode("a%2Fb%zz%4"), "a/b%zz%4");
    let query = Query::parse("zone=a&zone=b&x");
    assert_eq!(query.all("zone").collect::<Vec<_>>(), ["a", "b"]);
}
