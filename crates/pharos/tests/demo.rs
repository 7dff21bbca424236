//! `pharos demo` as a newcomer sees it: routes come, go and return with their reasons; bad data change nothing;
//! nothing is left behind.

#![allow(clippy::unwrap_used, reason = "what a test stands on may unwrap like the test")]

mod common;

use common::{Running, Scratch, ask, pharos, run, stderr, stdout, until};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::path::PathBuf;

const PREFIX: &str = "192.0.2.0/24";

/// A demo in a temporary directory of its own, so that demos of other tests do not meet it there.
struct Demo {
    running: Running,
    directory: PathBuf,
    server: SocketAddr,
    scratch: Scratch,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let scratch = Scratch::new(name);
        let mut command = pharos(["demo"]);
        // Zones are looked for in the working directory: here are none, so the built-in samples it is.
        command.args(arguments).env("TMPDIR", &scratch.0).current_dir(&scratch.0);
        let mut running = Running::start(command);
        let line = running.wait_for("where it answers", |line| line.contains("  answers "));
        let server = line.split_whitespace().nth(1).unwrap().trim_end_matches(',').parse().unwrap();
        let line = running.wait_for("its directory", |line| line.contains("  control "));
        let socket = line.split_whitespace().nth(1).unwrap().trim_end_matches(',');
        let directory = PathBuf::from(socket).parent().unwrap().to_owned();
        Self { running, directory, server, scratch }
    }

    fn wait_for_route(&mut self) {
        self.running.wait_for("the route at the collector", |line| {
            line.contains("collector") && line.contains("+ ") && line.contains(PREFIX)
        });
    }

    /// The sidecar's reason and what the collector saw, in either order.
    fn wait_for_withdrawal(&mut self, reason: &str) {
        self.running.wait_for_both(
            "the withdrawal and its reason",
            |line| {
                let is_route = line.contains("sidecar") && line.contains(PREFIX);
                is_route && line.contains("-> withdrawn: ") && line.contains(reason)
            },
            |line| line.contains("collector") && line.contains("- ") && line.contains(PREFIX),
        );
    }

    /// Runs another `pharos` command on the demo's configuration.
    fn command(&self, arguments: &[&str]) -> std::process::Output {
        let (first, rest) = arguments.split_first().unwrap();
        run([[*first, "-c", self.directory.to_str().unwrap()].as_slice(), rest].concat())
    }

    fn answers(&self) -> bool {
        ask(self.server, "www.example.com.", RecordType::A).is_some_and(|reply| {
            reply.metadata.response_code == ResponseCode::NoError && !reply.answers.is_empty()
        })
    }

    fn quit(mut self) -> String {
        self.running.type_line("quit");
        let status = self.running.end();
        assert!(status.success(), "{}", self.running.text());
        assert!(!self.directory.exists());
        self.running.text()
    }
}

#[test]
fn a_broken_responder_loses_its_route_with_a_reason_and_mending_brings_it_back() {
    let mut demo = Demo::start("break", &["--port", "0"]);
    demo.wait_for_route();
    assert!(demo.answers());
    demo.running.type_line("break");
    demo.wait_for_withdrawal("refused");
    assert!(!demo.answers());
    demo.running.type_line("break");
    demo.running.wait_for("words", |line| line.contains("the responder is stopped already: type mend"));
    demo.running.type_line("mend");
    demo.wait_for_route();
    assert!(demo.answers());
    let text = demo.quit();
    assert!(text.contains("ending: routes first"), "{text}");
}

#[test]
fn a_spoiled_zone_is_refused_and_neither_answers_nor_routes_change() {
    let mut demo = Demo::start("spoil", &["--port", "0"]);
    demo.wait_for_route();
    demo.running.type_line("spoil");
    demo.running.wait_for_both(
        "the refusal with its place, and the alarm",
        |line| line.contains("example.com.zone:156:13") && !line.contains("sidecar"),
        |line| line.contains("sidecar") && line.contains("alarm: "),
    );
    assert!(demo.answers());
    let status = demo.command(&["status"]);
    assert!(stdout(&status).contains("PUSH REFUSED"), "{}", stdout(&status));
    // Another reload, from another terminal: refused again, told in full, exit code 1.
    let reload = demo.command(&["reload"]);
    assert_eq!(reload.status.code(), Some(1), "{}", stderr(&reload));
    assert!(stdout(&reload).contains("192.0.2.256"), "{}", stdout(&reload));
    assert!(stderr(&reload).contains("what answered for it before answers still"), "{}", stderr(&reload));
    demo.running.type_line("mend");
    demo.running.wait_for("the end of the alarm", |line| line.contains("alarm over"));
    let reload = demo.command(&["reload"]);
    assert_eq!(reload.status.code(), Some(0), "{}", stderr(&reload));
    let text = demo.quit();
    let before_the_end = text.split("ending: routes first").next().unwrap();
    assert!(!before_the_end.contains("- 192.0.2.0/24"), "{text}");
    assert!(!before_the_end.contains("-> withdrawn"), "{text}");
}

#[test]
fn status_why_drain_and_undrain_work_from_another_terminal() {
    let mut demo = Demo::start("orders", &["--port", "0"]);
    demo.wait_for_route();
    let status = demo.command(&["status"]);
    assert!(status.status.success(), "{}", stderr(&status));
    let text = stdout(&status);
    assert!(text.contains("responder demo.loopback"), "{text}");
    assert!(text.contains("example.com."), "{text}");
    assert!(text.contains("sidecar demo.loopback"), "{text}");
    assert!(text.contains("Established"), "{text}");
    let json = demo.command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["responder"]["node"], "demo.loopback");
    assert_eq!(json["sidecar"]["prefixes"][0]["prefix"], PREFIX);

    let why = demo.command(&["why", PREFIX]);
    assert!(stdout(&why).starts_with("192.0.2.0/24 is normal"), "{}", stdout(&why));
    let why = demo.command(&["why", "198.51.100.0/24"]);
    assert_eq!(why.status.code(), Some(1));
    assert!(
        stderr(&why).contains("prefix 198.51.100.0/24 is not configured; configured are "),
        "{}",
        stderr(&why)
    );
    assert!(stderr(&why).contains("help: name a configured prefix"), "{}", stderr(&why));

    let drain = demo.command(&["drain", "--text", "kernel update", "--author", "kim"]);
    assert!(drain.status.success(), "{}", stderr(&drain));
    demo.running.wait_for("the draining route with its communities", |line| {
        line.contains("collector")
            && line.contains(PREFIX)
            && line.contains("64512:103")
            && line.contains("65535:0")
    });
    let why = demo.command(&["why", PREFIX, "--json"]);
    let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    assert!(why["reasons"][0]["text"].as_str().unwrap().contains("kernel update"), "{why}");
    let undrain = demo.command(&["undrain", "--text", "done"]);
    assert!(undrain.status.success(), "{}", stderr(&undrain));
    demo.running.wait_for("the normal route", |line| {
        line.contains("collector") && line.contains(PREFIX) && line.contains("64512:100")
    });
    demo.quit();
}

#[test]
fn the_demo_ends_by_itself_without_a_terminal() {
    let scratch = Scratch::new("for");
    let output = pharos(["demo", "--for", "1s", "--port", "0"])
        .env("TMPDIR", &scratch.0)
        .current_dir(&scratch.0)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("dig @127.0.0.1 -p "), "{text}");
    assert!(text.contains("ended; "), "{text}");
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0, "something is left behind");
}

#[test]
fn ctrl_c_withdraws_before_it_ends_and_leaves_nothing_behind() {
    let mut demo = Demo::start("ctrl-c", &["--port", "0"]);
    demo.wait_for_route();
    demo.running.close_stdin();
    assert!(demo.running.is_running());
    demo.running.signal("INT");
    let status = demo.running.end();
    assert!(status.success(), "{}", demo.running.text());
    let text = demo.running.text();
    assert!(text.contains("the demo is over"), "{text}");
    assert!(text.contains("its routes are gone"), "{text}");
    assert_eq!(std::fs::read_dir(&demo.scratch.0).unwrap().count(), 0, "something is left behind");
}

#[test]
fn two_demos_do_not_meet() {
    let mut first = Demo::start("one", &[]);
    let mut second = Demo::start("two", &[]);
    assert_ne!(first.server, second.server);
    first.wait_for_route();
    second.wait_for_route();
    assert!(first.answers() && second.answers());
    first.quit();
    assert!(second.answers());
    second.quit();
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_said_so() {
    let mut first = Demo::start("port", &["--port", "0"]);
    let port = first.server.port().to_string();
    let scratch = Scratch::new("port-again");
    let output = pharos(["demo", "--port", &port]).env("TMPDIR", &scratch.0).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains(&format!("error: port {port} on loopback is taken\n  help: name another")),
        "{text}"
    );
    first.wait_for_route();
    first.quit();
}

#[test]
fn a_demo_serves_copies_of_a_directory_of_ones_own() {
    let zones = Scratch::new("own-zones");
    let text =
        "$TTL 60\n@ IN SOA ns.own.test. me.own.test. 7 1 1 1 1\n@ IN NS ns.own.test.\nns IN A 192.0.2.1\n";
    let file = zones.write("own.test.zone", text);
    let mut demo = Demo::start("own", &["--port", "0", "--zones", zones.0.to_str().unwrap()]);
    demo.wait_for_route();
    let reply = ask(demo.server, "ns.own.test.", RecordType::A).unwrap();
    assert_eq!(reply.answers.len(), 1);
    demo.running.type_line("spoil");
    demo.running.wait_for("the refusal", |line| line.contains("own.test.zone:"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), text, "the original is untouched");
    demo.quit();
}

#[test]
fn a_directory_without_zones_and_a_word_without_meaning_are_told_so() {
    let empty = Scratch::new("empty");
    let output = run(["demo", "--zones", empty.0.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("holds no NAME.zone files"), "{}", stderr(&output));
    let mut demo = Demo::start("word", &["--port", "0"]);
    demo.running.type_line("smash");
    let line = demo.running.wait_for("words", |line| line.contains("smash"));
    assert!(line.contains("type break, mend, spoil, reload, status or quit"), "{line}");
    demo.running.type_line("mend");
    demo.running.wait_for("words", |line| line.contains("nothing is broken: type break or spoil first"));
    demo.running.type_line("status");
    demo.running.wait_for("the sidecar's status", |line| line.starts_with("sidecar demo.loopback"));
    until("the demo still answers", || demo.answers());
    demo.quit();
}
