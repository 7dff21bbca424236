//! `pharos simulate`: what a person sees of recorded signals, for one node and for a world, and the exit code.

mod common;

use common::{PHAROS, SITE, Scratch, run, stderr, stdout};
use pharos_policy::policy::Input;
use pharos_policy::trace::{Begin, Line, VERSION, micros};
use pharos_policy::{
    Degrade, DrainTime, Fall, GroupConfig, HoldDown, Level, Linger, Observation, OnExpiry, OnFailure,
    OnOverload, Policy, PolicyConfig, ReturnCap, Rise, SignalId, Timing, Transport,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 53], 53))
}

/// The signals that a prefix needs, the UDP probe first.
fn signals() -> Vec<SignalId> {
    let address = address();
    let probes = Transport::ALL.map(|transport| SignalId::Probe { address, transport });
    let zones =
        Transport::ALL.map(|transport| SignalId::Zone { address, transport, zone: "example.com.".into() });
    probes.into_iter().chain(zones).collect()
}

/// How a node stands whose prefix is announced, or not yet.
fn state(at: Duration, level: Level) -> String {
    let timing = Timing { fall: Fall::new(2), rise: Rise::new(1), stale: Duration::from_secs(3) };
    let config = PolicyConfig {
        groups: vec![GroupConfig {
            name: "main".into(),
            prefixes: vec!["192.0.2.0/24".parse().expect("a prefix")],
            required_zones: vec!["example.com.".into()],
            addresses: vec![address()],
            degrade: Degrade::Allowed,
            failing: OnFailure::default(),
            expired: OnExpiry::default(),
            overload: OnOverload::default(),
        }],
        anchors: Vec::new(),
        probe: timing,
        zone: timing,
        watched: BTreeMap::new(),
        hold_down: HoldDown::new(Duration::ZERO),
        returns: ReturnCap::default(),
        grace: Duration::ZERO,
        drain_time: DrainTime::default(),
        linger: Linger::default(),
    };
    let mut policy = Policy::new(at, config).expect("settings that can work");
    if level == Level::Normal {
        for signal in signals() {
            let observation = Observation::Pass("serial 7".into());
            policy.step(at, Input::Observe { signal, observation }, &mut Vec::new());
        }
    }
    assert!(policy.levels().all(|(_, it)| it == level));
    line(&Line::State(micros(at), Box::new(policy.standing_now())))
}

fn line(line: &Line) -> String {
    serde_json::to_string(line).expect("a line has a JSON form") + "\n"
}

/// A node whose prefix is announced, and whose UDP probe then fails so many times.
fn trace(node: &str, failures: u64) -> String {
    let begin = Begin {
        version: VERSION,
        node: node.to_owned(),
        life: 7,
        at_us: 9_000_000,
        unix_us: 1_709_251_199_000_000,
        goes_on_from: None,
    };
    let mut text = line(&Line::Begin(begin)) + &state(Duration::from_secs(9), Level::Normal);
    text += &line(&Line::Signal(1, signals()[0].clone()));
    for failure in 1..=failures {
        let at = 9_000_000 + failure * 250_000;
        text += &line(&Line::Saw(at, 1, Observation::Fail("connection refused".into())));
    }
    text + &line(&Line::Pass(11_000_000, 1))
}

fn simulate(scratch: &Scratch, pharos: &str, traces: &[&str], more: &[&str]) -> Output {
    // The traces know the one prefix.
    scratch.configure(&pharos.replace(", \"2001:db8:53::/48\"", ""), SITE);
    let traces = traces.iter().map(|name| scratch.0.join(name).display().to_string());
    let config = ["--config".to_owned(), scratch.0.display().to_string()];
    let more = more.iter().map(|&text| text.to_owned());
    run(std::iter::once("simulate".to_owned()).chain(traces).chain(config).chain(more))
}

#[test]
fn a_trace_says_what_would_have_been_and_another_setting_what_would_not() {
    let scratch = Scratch::new("one");
    scratch.write("a.jsonl", &trace("a.ams", 2));
    let output = simulate(&scratch, PHAROS, &["a.jsonl"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "\
a.ams, 2024-02-29 23:59:59.000 to 2024-03-01 00:00:01.000: 1 changes (its own policy made 0)
  2024-02-29 23:59:59.000  192.0.2.0/24 is normal
  2024-02-29 23:59:59.500  192.0.2.0/24  normal -> withdrawn: UDP probe of 192.0.2.53:53: connection refused

"
    );
    let patient = simulate(&scratch, &PHAROS.replace("fall: 2", "fall: 3"), &["a.jsonl"], &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&patient)).unwrap();
    assert_eq!(json["nodes"][0]["changes"], serde_json::json!([]));
}

#[test]
fn a_policy_that_would_have_emptied_the_world_fails_the_command_and_says_when() {
    let scratch = Scratch::new("world");
    scratch.write("a.jsonl", &trace("a.ams", 2));
    scratch.write("b.jsonl", &trace("b.fra", 3));
    scratch.write("c.jsonl", &trace("c.lhr", 0));
    let output = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(
        said.contains("192.0.2.0/24 was withdrawn everywhere from 2024-02-29 23:59:59.500 to the end"),
        "{said}"
    );
    assert!(said.contains("    b.fra: UDP probe of 192.0.2.53:53: connection refused"), "{said}");
    let saved = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl", "c.jsonl"], &[]);
    assert!(saved.status.success(), "{}", stderr(&saved));
    assert!(stdout(&saved).contains("every prefix was announced somewhere all the time"));
}

#[test]
fn a_trace_of_another_form_is_refused_by_its_number() {
    let scratch = Scratch::new("form");
    let old = trace("a.ams", 0).replace(&format!("\"version\":{VERSION}"), "\"version\":1");
    scratch.write("a.jsonl", &old);
    let output = simulate(&scratch, PHAROS, &["a.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&format!("a.jsonl is of form 1, and this command reads form {VERSION}")), "{said}");
}

#[test]
fn what_is_no_trace_is_said_by_its_name() {
    let scratch = Scratch::new("none");
    scratch.write("a.jsonl", "hello\n");
    let output = simulate(&scratch, PHAROS, &["a.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("a.jsonl holds no trace"), "{}", stderr(&output));
    let output = simulate(&scratch, PHAROS, &["b.jsonl"], &[]);
    assert!(stderr(&output).contains("b.jsonl: No such file"), "{}", stderr(&output));
}

/// A node that has a life for each of these, from second to second, in which it is announced throughout or, where one begins
/// anew, until it has earned that; its probes pass, but for those of some seconds.
fn lives(node: &str, lives: &[(u64, u64)], goes_on: bool, failing: std::ops::Range<u64>) -> String {
    let mut text = String::new();
    for (life, (first, last)) in (1..).zip(lives) {
        let stood = life == 1 || goes_on;
        let at = Duration::from_secs(*first);
        text += &line(&Line::Begin(Begin {
            version: VERSION,
            node: node.to_owned(),
            life,
            at_us: micros(at),
            unix_us: 1_709_251_200_000_000 + micros(at),
            goes_on_from: (life > 1 && goes_on).then_some(life - 1),
        }));
        text += &state(at, if stood { Level::Normal } else { Level::Withdrawn });
        for (number, signal) in (0..).zip(signals()) {
            text += &line(&Line::Signal(number, signal));
        }
        for quarter in first * 4 + 1..=last * 4 {
            let at = quarter * 250_000;
            if failing.contains(&(quarter / 4)) {
                text += &line(&Line::Saw(at, 0, Observation::Fail("connection refused".into())));
            } else {
                (0..4).for_each(|number| text += &line(&Line::Pass(at, number)));
            }
        }
    }
    text
}

const NEVER: std::ops::Range<u64> = 0..0;

#[test]
fn planned_restarts_of_all_nodes_one_after_the_other_change_nothing_and_empty_nothing() {
    let scratch = Scratch::new("handed-over");
    scratch.write("a.jsonl", &lives("a.ams", &[(0, 60), (60, 200)], true, NEVER));
    scratch.write("b.jsonl", &lives("b.fra", &[(0, 90), (91, 200)], true, NEVER));
    let output = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl"], &[]);
    let said = stdout(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": 0 changes").count(), 2, "{said}");
    assert!(said.contains("every prefix was announced somewhere all the time"), "{said}");
}

#[test]
fn a_sidecar_that_died_announces_nothing_until_the_next_one_has_earned_its_routes() {
    let scratch = Scratch::new("died");
    scratch.write("a.jsonl", &lives("a.ams", &[(0, 60), (120, 200)], false, NEVER));
    scratch.write("b.jsonl", &lives("b.fra", &[(0, 200)], true, 70..97));
    let output = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl"], &[]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let ended = "192.0.2.0/24  normal -> withdrawn: its sidecar ended, and the next one began 60.0s later";
    assert!(said.contains(&format!("2024-03-01 00:01:00.000  {ended}")), "{said}");
    assert!(
        said.contains("192.0.2.0/24 was withdrawn everywhere from 2024-03-01 00:01:10.250 to 2024-03-01 00:"),
        "{said}"
    );
}

#[test]
fn a_trace_that_ends_early_is_told_and_hides_nothing_of_the_others() {
    let scratch = Scratch::new("early");
    scratch.write("a.jsonl", &lives("a.ams", &[(0, 60)], true, NEVER));
    scratch.write("b.jsonl", &lives("b.fra", &[(0, 200)], true, NEVER));
    scratch.write("c.jsonl", &lives("c.lhr", &[(0, 197)], true, NEVER));
    let fine = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl", "c.jsonl"], &[]);
    let said = stdout(&fine);
    assert!(fine.status.success(), "{said}");
    let unknown = "  a.ams is not known from 2024-03-01 00:01:00.000 on, where its trace ends: it counts as one that \
                   announces nothing\n";
    assert!(said.contains(unknown) && !said.contains("c.lhr is not known"), "{said}");
    assert!(said.contains("2024-03-01 00:00:00.000 to 2024-03-01 00:03:17.000\n"), "{said}");
    scratch.write("b.jsonl", &lives("b.fra", &[(0, 200)], true, 100..110));
    scratch.write("c.jsonl", &lives("c.lhr", &[(0, 197)], true, 105..110));
    let emptied = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl", "c.jsonl"], &[]);
    assert_eq!(emptied.status.code(), Some(1));
    let said = stdout(&emptied);
    let from = "192.0.2.0/24 was withdrawn everywhere but perhaps at a.ams from 2024-03-01 00:01:45.250 to ";
    assert!(said.contains(from), "{said}");
    assert!(stderr(&emptied).contains("as far as is known"), "{}", stderr(&emptied));
    let json = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl", "c.jsonl"], &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    let seconds = 1_709_251_260.0;
    assert_eq!(json["unknown"], serde_json::json!([{"node": "a.ams", "from_unix_seconds": seconds}]));
    assert_eq!(json["empty"][0]["unknown"], serde_json::json!(["a.ams"]));
}

#[test]
fn traces_without_a_common_time_say_nothing_of_the_world_and_that_is_no_success() {
    let scratch = Scratch::new("apart");
    scratch.write("a.jsonl", &lives("a.ams", &[(0, 60)], true, NEVER));
    scratch.write("b.jsonl", &lives("b.fra", &[(100, 160)], true, NEVER));
    let output = simulate(&scratch, PHAROS, &["a.jsonl", "b.jsonl"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("the traces have no time in common"), "{}", stdout(&output));
    assert!(stderr(&output).contains("nothing can be said of the world"), "{}", stderr(&output));
}
