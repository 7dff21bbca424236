//! `pharos hand-over`: one process leaves everything to the next, which answers at the same places; and what keeps it
//! from that. Sessions have their own tests, with a BIRD, in tests/tests/interop.rs.

#![allow(clippy::unwrap_used, reason = "what a test stands on may unwrap like the test")]

mod common;

use common::{Running, Scratch, free_address, pharos, run, stderr, stdout, until};
use std::net::SocketAddr;
use std::process::{Command, Output};

/// A sidecar whose neighbour does not answer.
struct Announcing {
    first: Running,
    management: String,
    scratch: Scratch,
    /// Processes that followed, which nobody else would end.
    followers: Vec<u32>,
}

impl Announcing {
    /// Port 9 of an address that nobody has refuses at once.
    fn start(name: &str) -> Self {
        Self::probing(name, "127.0.0.1:9".parse().unwrap())
    }

    fn probing(name: &str, responder: SocketAddr) -> Self {
        let scratch = Scratch::new(name);
        let management = free_address().to_string();
        let pharos_yaml = format!(
            "sidecar:\n  groups:\n    - name: main\n      prefixes: [192.0.2.0/24]\n      required: [example.com]\n      \
             addresses: [\"{responder}\"]\n  management: {management}\n  control: {}\n  hold-down: 0s\n",
            scratch.0.join("sidecar.sock").display()
        );
        scratch.configure(&pharos_yaml, &Self::site(64500));
        let command = pharos(["announce".as_ref(), "--config".as_ref(), scratch.0.as_os_str()]);
        let mut first = Running::start(command);
        first.wait_for("the start", |line| line.contains("probing"));
        Self { first, management, scratch, followers: Vec::new() }
    }

    fn site(asn: u32) -> String {
        format!(
            "node: a\nsite: ams\nrouter-id: 10.0.0.2\nlocal-as: 64512\nneighbours:\n  - {{address: 127.0.0.7, as: {asn}, \
             port: 9, next-hop-ipv4: 10.0.0.2, families: [ipv4]}}\n"
        )
    }

    fn hand_over(&mut self) -> Output {
        let socket = self.scratch.0.join("sidecar.sock");
        let output = run(["hand-over".as_ref(), "--json".as_ref(), "--control".as_ref(), socket.as_os_str()]);
        if let Ok(result) = serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            self.followers.push(u32::try_from(result["pid"].as_u64().unwrap()).unwrap());
        }
        output
    }

    /// The process that answers, and for how long it has run.
    fn status(&self) -> Option<serde_json::Value> {
        let output = run(["status", "--json", "--sidecar", &self.management]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        status.get("sidecar").filter(|sidecar| sidecar.is_object()).cloned()
    }

    fn is_at(&self, level: &str) -> bool {
        self.status().is_some_and(|status| status["prefixes"][0]["level"] == level)
    }

    fn recorded(&self) -> u64 {
        std::fs::metadata(self.scratch.0.join("signals.jsonl")).map_or(0, |file| file.len())
    }

    fn pid(&self) -> Option<u32> {
        u32::try_from(self.status()?["pid"].as_u64()?).ok()
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        for pid in &self.followers {
            // An error means that it has ended already.
            let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).output();
        }
    }
}

#[test]
fn the_next_process_answers_at_the_same_places_with_the_operators_words() {
    let mut announcing = Announcing::start("hand-over");
    let socket = announcing.scratch.0.join("sidecar.sock");
    let drain =
        run(["drain", "--text", "new disks", "--author", "ada", "--control", socket.to_str().unwrap()]);
    assert!(drain.status.success(), "{}", stderr(&drain));
    let first = announcing.first.pid();
    for round in 1..=3 {
        let output = announcing.hand_over();
        assert!(output.status.success(), "{}", stderr(&output));
        let next = *announcing.followers.last().unwrap();
        assert_ne!(next, first);
        until("the next process answers", || announcing.pid() == Some(next));
        assert_eq!(announcing.followers.len(), round);
        let status = announcing.status().unwrap();
        assert_eq!(status["drain"]["words"]["text"], "new disks");
    }
    assert!(announcing.first.end().success());
    // The last one ends like any other, and takes its socket along.
    let last = announcing.followers.last().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &last]).status().unwrap().success());
    until("the socket is gone", || !socket.exists());
}

#[test]
fn a_drain_that_the_disk_refuses_holds_and_the_command_says_both() {
    let mut announcing = Announcing::start("hand-over-full");
    let socket = announcing.scratch.0.join("sidecar.sock");
    let in_the_way = announcing.scratch.0.join("words.new");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let drain =
        |text| run(["drain", "--text", text, "--author", "ada", "--control", socket.to_str().unwrap()]);
    let refused = drain("new disks");
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("what was said holds from now on, but it is not on the disk"), "{said}");
    assert!(said.contains("words.json") && said.contains("words-not-saved"), "{said}");
    assert_eq!(announcing.status().unwrap()["drain"]["words"]["text"], "new disks");
    std::fs::remove_dir(&in_the_way).unwrap();
    let taken = drain("new disks at last");
    assert!(taken.status.success(), "{}", stderr(&taken));
    let kept = std::fs::read_to_string(announcing.scratch.0.join("words.json")).unwrap();
    assert!(kept.contains("new disks at last"), "{kept}");
    announcing.first.signal("TERM");
    assert!(announcing.first.end().success());
}

#[test]
fn a_configuration_that_is_refused_changes_nothing_and_is_told_with_its_place() {
    let mut announcing = Announcing::start("hand-over-refused");
    announcing.scratch.write("site.yaml", &Announcing::site(0));
    let output = announcing.hand_over();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("site.yaml:6:") && said.contains("RFC 7607"), "{said}");
    assert!(said.contains("everything goes on as it was"), "{said}");
    assert_eq!(announcing.pid(), Some(announcing.first.pid()));
    // By signal the log alone says so.
    announcing.first.signal("HUP");
    announcing.first.wait_for("the log says why", |line| line.contains("nothing is handed over"));
    assert_eq!(announcing.pid(), Some(announcing.first.pid()));
    announcing.first.signal("TERM");
    assert!(announcing.first.end().success());
}

#[test]
fn a_configuration_without_a_program_that_has_been_told_is_refused_since_nobody_would_withdraw() {
    let mut announcing = Announcing::start("hand-over-left");
    // More than before is no loss: the next one has a program, too.
    let with = Announcing::site(64500) + "announcers: {exec: [{name: x, program: /bin/true}]}\n";
    announcing.scratch.write("site.yaml", &with);
    let output = announcing.hand_over();
    assert!(output.status.success(), "{}", stderr(&output));
    let next = *announcing.followers.last().unwrap();
    let socket = announcing.scratch.0.join("sidecar.sock");
    until("the next process answers", || announcing.pid() == Some(next) && socket.exists());
    for (left, why) in [
        (Announcing::site(64500), "192.0.2.0/24 by exec x, which is no longer configured"),
        (with.replace("/bin/true", "/bin/true, mode: dry-run"), "192.0.2.0/24 by exec x, which runs dry now"),
        (
            with.replace("/bin/true", "/bin/false"),
            "192.0.2.0/24 by exec x, which has another program, other arguments",
        ),
    ] {
        announcing.scratch.write("site.yaml", &left);
        let output = announcing.hand_over();
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains(why) && said.contains("restart the sidecar instead"), "{said}");
        assert!(said.contains("everything goes on as it was"), "{said}");
        assert_eq!(announcing.pid(), Some(next));
    }
}

#[test]
fn a_signal_hands_over_as_well() {
    let mut announcing = Announcing::start("hand-over-signal");
    let first = announcing.first.pid();
    announcing.first.signal("HUP");
    until("another process answers", || announcing.pid().is_some_and(|pid| pid != first));
    announcing.followers.extend(announcing.pid());
    assert!(announcing.first.end().success());
    assert!(
        announcing.first.text().contains("the next version has taken over"),
        "{}",
        announcing.first.text()
    );
}

#[test]
fn what_is_recorded_over_planned_restarts_is_replayed_as_one_life() {
    let zones = Scratch::new("hand-over-zones");
    zones.write("example.com.zone", "$TTL 60\n@ SOA ns me 1 1 1 1 1\n@ NS ns\nns A 192.0.2.1\n");
    let responder = free_address();
    let mut serve = pharos(["serve", "--nsid", "a.ams", "--listen", &responder.to_string()]);
    serve.arg("--zones").arg(&zones.0).arg("--control").arg(zones.0.join("control.sock"));
    let mut serving = Running::start(serve);
    serving.wait_for("the start", |line| line.contains("answering"));
    let mut announcing = Announcing::probing("hand-over-recorded", responder);
    until("the prefix is announced", || announcing.is_at("normal"));
    for _ in 0..2 {
        let output = announcing.hand_over();
        assert!(output.status.success(), "{}", stderr(&output));
        let next = *announcing.followers.last().unwrap();
        until("the next process answers", || announcing.pid() == Some(next));
        let before = announcing.recorded();
        until("it records", || announcing.recorded() > before);
    }
    assert!(announcing.is_at("normal"));
    let state = announcing.scratch.0.as_os_str();
    let output = run(["simulate".as_ref(), state, "--config".as_ref(), state]);
    let said = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    // The file begins as its process does, or when the first level has been earned.
    let changes: Vec<_> = said.lines().filter(|line| line.contains(" -> ")).collect();
    assert!(changes.iter().all(|line| line.contains("withdrawn -> normal")), "{said}");
    assert!(changes.len() <= 1 && !said.contains("began"), "{said}");
    let trace = std::fs::read_to_string(announcing.scratch.0.join("signals.jsonl")).unwrap();
    assert_eq!(trace.matches("\"goes_on_from\"").count(), 2, "{trace:.2000}");
}

#[test]
fn only_a_running_sidecar_starts_its_next_version() {
    let scratch = Scratch::new("hand-over-alone");
    let output =
        run(["announce".as_ref(), "--take-over".as_ref(), "--config".as_ref(), scratch.0.as_os_str()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`pharos hand-over` has it do so"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}
