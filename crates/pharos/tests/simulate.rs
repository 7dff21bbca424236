//! `pharos simulate`: what a person sees of recorded signals, for one node and for a world, and the exit code.

mod common;

use common::{PHAROS, SITE, Scratch, run, stderr, stdout};
use std::fmt::Write as _;
use std::process::Output;

/// A node whose prefix is announced, and whose UDP probe then fails so many times.
fn trace(node: &str, failures: u64) -> String {
    let signal = |kind: &str, transport: &str| {
        let zone = if kind == "zone" { r#","zone":"example.com.""# } else { "" };
        format!(r#"{{"kind":"{kind}","address":"192.0.2.53:53","transport":"{transport}"{zone}}}"#)
    };
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
