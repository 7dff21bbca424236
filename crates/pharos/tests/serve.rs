//! `pharos serve` without and with a configuration, its reloads, and its control socket under bad requests.

#![allow(clippy::unwrap_used, reason = "what a test stands on may unwrap like the test")]

mod common;

use common::{Running, Scratch, ask, free_address, pharos, run, sample_zones, stderr, stdout};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

fn zone_text(serial: u32) -> String {
    format!("$TTL 60\n@ IN SOA ns.own.test. me.own.test. {serial} 1 1 1 1\n@ IN NS ns\nns IN A 192.0.2.1\n")
}

fn serial(server: SocketAddr) -> Option<u32> {
    let reply = ask(server, "own.test.", RecordType::SOA)?;
    match &reply.answers.first()?.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }
}

struct Serving {
    running: Running,
    server: SocketAddr,
    scratch: Scratch,
}

impl Serving {
    fn start(name: &str) -> Self {
        let scratch = Scratch::new(name);
        scratch.write("zones/own.test.zone", &zone_text(1));
        let server = free_address();
        let mut command = pharos(["serve", "--nsid", "here.now", "--listen", &server.to_string()]);
        command
            .arg("--zones")
            .arg(scratch.0.join("zones"))
            .arg("--control")
            .arg(scratch.0.join("control.sock"));
        let mut running = Running::start(command);
        running.wait_for("the start", |line| line.contains("answering"));
        Self { running, server, scratch }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.scratch.0.join("control.sock")
    }

    fn reload(&self) -> std::process::Output {
        run(["reload".as_ref(), "--control".as_ref(), self.socket().as_os_str()])
    }
}

#[test]
fn a_directory_is_served_without_a_configuration_and_reloaded_by_signal_and_socket() {
    let mut serving = Serving::start("serve");
    assert_eq!(serial(serving.server), Some(1));
    serving.scratch.write("zones/own.test.zone", &zone_text(2));
    let reload = serving.reload();
    assert!(reload.status.success(), "{}", stderr(&reload));
    assert!(stdout(&reload).contains("1 loaded"), "{}", stdout(&reload));
    assert_eq!(serial(serving.server), Some(2));
    serving.scratch.write("zones/own.test.zone", &zone_text(3));
    serving.running.signal("HUP");
    common::until("the reload by signal", || serial(serving.server) == Some(3));
    serving.running.signal("TERM");
    assert!(serving.running.end().success(), "{}", serving.running.text());
    assert!(!serving.socket().exists(), "the socket goes with its process");
}

#[test]
fn a_refused_zone_keeps_its_old_data_and_says_where_it_is_wrong() {
    let serving = Serving::start("refuse");
    serving.scratch.write("zones/own.test.zone", &format!("{}broken IN A 192.0.2.256\n", zone_text(2)));
    let reload = serving.reload();
    assert_eq!(reload.status.code(), Some(1));
    let text = stdout(&reload);
    assert!(text.contains("own.test.zone:5:13"), "{text}");
    assert!(stderr(&reload).contains("error: 1 zone was refused; what answered for it before answers still"));
    assert_eq!(serial(serving.server), Some(1));
}

#[test]
fn bad_control_requests_are_answered_and_nothing_is_lost() {
    let mut serving = Serving::start("bad-requests");
    let long = "x".repeat(20_000);
    let requests: [(&str, &str); 6] = [
        ("hello", "the request is not JSON"),
        ("{}", "the request has no \\\"command\\\""),
        ("{\"command\":\"explode\"}", "there is no command \\\"explode\\\""),
        ("{\"command\":\"drain\",\"text\":\"x\"}", "this is the responder; routes are the sidecar's"),
        ("{\"command\":\"reload\",\"now\":true}", "reload has no key \\\"now\\\""),
        (&long, "the request is longer than 16384 octets"),
    ];
    for (request, expected) in requests {
        let reply = raw(&serving.socket(), request);
        assert!(reply.contains("\"ok\":false"), "{request:.40}: {reply}");
        assert!(reply.contains(expected) && reply.contains("\"remedy\":\""), "{request:.40}: {reply}");
        assert_eq!(serial(serving.server), Some(1));
    }
    assert!(serving.reload().status.success());
    assert!(serving.running.is_running());
}

/// Sends a line, reads a line.
fn raw(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let _ = stream.write_all(format!("{line}\n").as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut reply = String::new();
    let mut reader = BufReader::new(stream);
    // A server that hangs up on an endless line may reset the connection after its reply.
    let _ = reader.read_line(&mut reply);
    let _ = reader.read_to_string(&mut reply);
    reply
}

#[test]
fn a_second_responder_on_the_same_address_is_refused() {
    let serving = Serving::start("twice");
    let listen = serving.server.to_string();
    let zones = sample_zones().to_str().unwrap();
    let second = run(["serve", "--zones", zones, "--listen", &listen]);
    assert_eq!(second.status.code(), Some(1));
    let text = stderr(&second);
    assert!(text.contains(&listen), "{text}");
    assert_eq!(serial(serving.server), Some(1));
}

#[test]
fn names_outside_the_zones_are_refused() {
    let serving = Serving::start("outside");
    let reply = ask(serving.server, "example.org.", RecordType::A).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn a_start_without_a_configuration_names_both_ways_to_give_one() {
    let scratch = Scratch::new("none");
    let missing = scratch.0.join("pharos.yaml");
    let output = run(["serve".as_ref(), "--config".as_ref(), missing.as_os_str()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("pharos.yaml: error: cannot be opened: No such file"), "{text}");
    if !Path::new("/etc/pharos/pharos.yaml").exists() {
        let output = run(["serve"]);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(text.contains("error: there is no configuration at /etc/pharos/pharos.yaml"), "{text}");
        assert!(text.contains("pharos serve --zones DIR --listen IP:PORT"), "{text}");
    }
    let output = run(["serve", "--zones", "/nonexistent", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nonexistent is not a directory"), "{}", stderr(&output));
}

#[test]
fn nobody_listening_is_said_with_what_to_do() {
    let scratch = Scratch::new("nobody");
    let socket = scratch.0.join("none.sock");
    let output = run(["reload".as_ref(), "--control".as_ref(), socket.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with(&format!("error: no responder answers at {}: ", socket.display())), "{text}");
    assert!(text.contains("help: is `pharos serve` running?"), "{text}");
    let output = run(["why".as_ref(), "192.0.2.0/24".as_ref(), "--control".as_ref(), socket.as_os_str()]);
    assert!(stderr(&output).contains("help: is `pharos announce` running?"), "{}", stderr(&output));
    let (one, other) = (free_address().to_string(), free_address().to_string());
    let output = run(["status", "--responder", &one, "--sidecar", &other]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&format!("no responder answers: nothing answers at http://{one}")), "{text}");
    assert!(text.contains(&format!("no sidecar answers: nothing answers at http://{other}")), "{text}");
}

/// A zone that takes a while to load.
fn long_zone() -> String {
    let ranges = (0..8).map(|n| format!("$GENERATE 0-65535 a{n}.$ A 192.0.2.1\n"));
    zone_text(2) + &ranges.collect::<String>()
}

/// Whether the process handles SIGTERM, which would end it without ceremony otherwise.
fn hears_signals(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << 14 != 0
}

#[test]
fn a_stop_is_obeyed_while_zones_load_and_while_they_are_loaded_anew() {
    let scratch = Scratch::new("stop-in-load");
    let zone = "zones/own.test.zone";
    scratch.write(zone, &long_zone());
    let control = scratch.0.join("control.sock");
    let start = || {
        let mut command = pharos(["serve", "--listen", &free_address().to_string()]);
        command.arg("--zones").arg(scratch.0.join("zones")).arg("--control").arg(&control);
        Running::start(command)
    };
    let mut loading = start();
    common::until("the first load", || hears_signals(loading.pid()));
    loading.signal("TERM");
    assert!(loading.end().success(), "{}", loading.text());

    scratch.write(zone, &zone_text(1));
    let mut reloading = start();
    reloading.wait_for("the start", |line| line.contains("answering"));
    scratch.write(zone, &long_zone());
    reloading.signal("HUP");
    reloading.signal("TERM");
    assert!(reloading.end().success(), "{}", reloading.text());
    assert!(!control.exists(), "the socket goes with its process");
}

#[test]
fn operators_ask_at_the_address_that_the_site_names() {
    let scratch = Scratch::new("operators");
    scratch.write("zones/own.test.zone", &zone_text(4));
    let (server, desk) = (free_address(), free_address());
    let config = format!(
        "responder:\n  listen: [\"{server}\"]\n  zones: {{directory: zones}}\n  version: shown\n  management: \"{}\"\n  \
         control: {}\n",
        free_address(),
        scratch.0.join("control.sock").display()
    );
    scratch.configure(&config, &format!("node: a\nsite: ams\nmanagement-dns: [\"{desk}\"]\n"));
    let mut running = Running::start(pharos(["serve".as_ref(), "--config".as_ref(), scratch.0.as_os_str()]));
    running.wait_for("the start", |line| line.contains("answering"));
    assert_eq!((serial(server), serial(desk)), (Some(4), Some(4)));
    let check = run(["check-config".as_ref(), "--config".as_ref(), scratch.0.as_os_str()]);
    assert!(stdout(&check).contains(&format!("operators ask   {desk}")), "{}", stdout(&check));
}
