//! `pharos simulate`: what a person sees of recorded signals, for one node and for a world, and the exit code.

mod common;

use common::{PHAROS, SITE, Scratch, run, stderr, stdout};
use std::fmt::Write as _;
use std::process::Output;

/// The name of a signal in a trace.
fn signal(kind: &str, transport: &str) -> String {
    let zone = if kind == "zone" { r#","zone":"example.com.""# } else { "" };
    format!(r#"{{"kind":"{kind}","address":"192.0.2.53:53","transport":"{transport}"{zone}}}"#)
}

/// A node whose prefix is announced, and whose UDP probe then fails so many times.
fn trace(node: &str, failures: u64) -> String {
    let mut good = Vec::new();
    for kind in ["probe", "zone"] {
        for transport in ["udp", "tcp"] {
            good.push(format!(r#"[{},"good","as it was"]"#, signal(kind, transport)));
        }
    }
    let mut text = format!(
        r#"{{"begin":{{"version":1,"node":"{node}","life":7,"at_us":9000000,"unix_us":1709251199000000}}}}
{{"state":[9000000,{{"levels":[["192.0.2.0/24","normal"]],"signals":[{}],"words":{{"drain":null,"stands":[]}}}}]}}
{{"signal":[1,{}]}}
"#,
        good.join(","),
        signal("probe", "udp")
    );
    for failure in 1..=failures {
        let at = 9_000_000 + failure * 250_000;
        let _ = writeln!(text, r#"{{"saw":[{at},1,{{"fail":"connection refused"}}]}}"#);
    }
    let _ = writeln!(text, r#"{{"pass":[11000000,1]}}"#);
    text
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
    let signals: Vec<String> = ["probe", "zone"]
        .iter()
        .flat_map(|kind| ["udp", "tcp"].map(|transport| signal(kind, transport)))
        .collect();
    let mut text = String::new();
    for (index, (begin, end)) in lives.iter().enumerate() {
        let stood = index == 0 || goes_on;
        let good = signals.iter().map(|signal| format!(r#"[{signal},"good","as it was"]"#));
        let good = if stood { good.collect::<Vec<_>>().join(",") } else { String::new() };
        let from = if index > 0 && goes_on { format!(r#","goes_on_from":{index}"#) } else { String::new() };
        let at = begin * 1_000_000;
        let _ = writeln!(
            text,
            r#"{{"begin":{{"version":1,"node":"{node}","life":{},"at_us":{at},"unix_us":{}{from}}}}}
{{"state":[{at},{{"levels":[["192.0.2.0/24","{}"]],"signals":[{good}],"words":{{"drain":null,"stands":[]}}}}]}}"#,
            index + 1,
            1_709_251_200_000_000 + at,
            if stood { "normal" } else { "withdrawn" }
        );
        for (number, signal) in signals.iter().enumerate() {
            let _ = writeln!(text, r#"{{"signal":[{number},{signal}]}}"#);
        }
        for quarter in begin * 4 + 1..=end * 4 {
            let at = quarter * 250_000;
            if failing.contains(&(quarter / 4)) {
                let _ = writeln!(text, r#"{{"saw":[{at},0,{{"fail":"connection refused"}}]}}"#);
            } else {
                let passes = (0..signals.len()).map(|number| format!(r#"{{"pass":[{at},{number}]}}"#));
                passes.for_each(|pass| text.push_str(&(pass + "\n")));
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
