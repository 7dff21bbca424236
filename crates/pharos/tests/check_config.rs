//! `pharos check-config`: each kind of bad configuration shows its place and its cure, and a good one what it
//! would do. The words of single findings are pinned in crates/ops; here, what a person sees and the exit code.

mod common;

use common::{PHAROS, SITE, Scratch, run, stderr, stdout};
use std::process::Output;

fn check(scratch: &Scratch, pharos: &str, site: &str) -> Output {
    scratch.configure(pharos, site);
    run(["check-config".as_ref(), "--config".as_ref(), scratch.0.as_os_str()])
}

#[test]
fn a_good_configuration_says_what_it_would_do() {
    let scratch = Scratch::new("good");
    let output = check(&scratch, PHAROS, SITE);
    assert!(output.status.success(), "{}", stderr(&output));
    let directory = scratch.0.display();
    let expected = format!(
        "\
node a.ams

`pharos serve` would
  answer on       192.0.2.53:53, [2001:db8:53::53]:53
  zones           NAME.zone in {directory}/zones
  UDP             auto workers, 1232 octets
  signed zones    verify all, refuse broken ones, tell of signatures that end within 7d
  management      http://127.0.0.1:9153
  control         /run/pharos/responder.sock

`pharos announce` would
  announce        192.0.2.0/24, 2001:db8:53::/48  (group main)
    while         example.com. is answered on 192.0.2.53:53, [2001:db8:53::53]:53
    hint          no anchor covers 192.0.2.0/24, 2001:db8:53::/48: a fault common to all nodes leaves them unreachable
  probe           every 250ms, withdraw after 2 failures, announce after 3 successes and 10s
  tell            10.0.0.1 AS64500, ipv4, ipv6, connecting to port 179, hold time 9s
  state           /var/lib/pharos
  record          /var/lib/pharos/signals.jsonl, 64 megabytes
  management      http://127.0.0.1:9154
  control         /run/pharos/sidecar.sock

{directory}/pharos.yaml and {directory}/site.yaml are good
"
    );
    assert_eq!(stdout(&output), expected);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_configuration_for_another_server_says_what_floods_are_told_by() {
    let scratch = Scratch::new("other-server");
    let (before, rest) = PHAROS.split_once("responder:\n").unwrap();
    let (_, sidecar) = rest.split_once("sidecar:\n").unwrap();
    let sidecar = sidecar.replace(
        "required: [",
        "addresses: [\"192.0.2.53:53\", \"[2001:db8:53::53]:53\"]\n      required: [",
    );
    let output = check(&scratch, &format!("{before}sidecar:\n{sidecar}"), SITE);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("floods are told from death by what this host counts"), "{said}");
}

#[test]
fn a_bad_configuration_shows_every_finding_with_its_place_and_cure() {
    let scratch = Scratch::new("bad");
    let output = check(&scratch, &PHAROS.replace("fall: 2", "fall: 0"), &SITE.replace("64500", "0"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let directory = scratch.0.display();
    let expected = format!(
        "\
error: the configuration is refused (2 findings)

{directory}/pharos.yaml:9:44: error: `fall` is 0
  9 |   probe: {{interval: 250ms, timeout: 200ms, fall: 0, rise: 3}}
    |                                            ^
  help: write how many probes in a row decide, 1 to 1000

{directory}/site.yaml:7:5: error: `as` is 0, which RFC 7607 reserves
  7 |     as: 0
    |     ^
  help: write the neighbour's AS number
"
    );
    assert_eq!(stderr(&output), expected);
}

#[test]
fn each_kind_of_mistake_has_a_place() {
    let scratch = Scratch::new("kinds");
    for (from, to, expected) in [
        ("listen:", "lisen:", "pharos.yaml:2:3: error: unknown key `lisen` in `responder`"),
        (
            "192.0.2.0/24",
            "192.0.2.1/24",
            "pharos.yaml:7:18: error: `sidecar.groups[0].prefixes[0]`: 192.0.2.1/24 has bits set",
        ),
        ("250ms", "250", "pharos.yaml:9:21: error: `sidecar.probe.interval`: 250 has no unit"),
        ("rise: 3", "rise: soon", "pharos.yaml:9:59: error: `sidecar.probe.rise` holds the text \"soon\""),
        (
            "\"192.0.2.53:53\"",
            "192.0.2.53",
            "pharos.yaml:2:12: error: `responder.listen[0]`: 192.0.2.53 has no port",
        ),
        ("[example.com]", "[]", "pharos.yaml:8:7: error: the group requires no zone"),
        ("{directory: zones}", "{}", "pharos.yaml:3:3: error: `zones` names no zones"),
        ("groups:\n", "groups: [\n", "pharos.yaml:"),
    ] {
        let output = check(&scratch, &PHAROS.replace(from, to), SITE);
        assert_eq!(output.status.code(), Some(2), "{from} -> {to}");
        let text = stderr(&output);
        assert!(text.contains(expected), "{from} -> {to}: {text}");
        assert!(text.contains("\n  help: "), "{from} -> {to}: {text}");
    }
}

#[test]
fn a_warning_is_shown_and_changes_no_exit_code() {
    let scratch = Scratch::new("warning");
    let output = check(&scratch, &PHAROS.replace("listen: [", "listen: [\"198.51.100.1:53\", "), SITE);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("pharos.yaml:2:12: warning: no probe watches 198.51.100.1:53"));
}

#[test]
fn what_only_the_sidecar_knows_to_be_wrong_is_told_too() {
    let scratch = Scratch::new("reserved");
    let output = check(&scratch, PHAROS, &SITE.replace("64512", "23456"));
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("AS 23456 cannot be our AS number"), "{text}");
}

#[test]
fn the_shipped_example_is_good() {
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
    let output = run(["check-config", "--config", deploy]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_reference_lists_every_option() {
    let output = run(["config-reference"]);
    let text = stdout(&output);
    for key in ["### `listen`", "### `hold-down`", "### `next-hop-ipv6`"] {
        assert!(text.contains(key), "{key}");
    }
}

#[test]
fn a_command_line_without_sense_ends_with_2() {
    assert_eq!(run(["shine"]).status.code(), Some(2));
    assert_eq!(run(["serve", "--zones", "x"]).status.code(), Some(2));
    assert_eq!(run(["why"]).status.code(), Some(2));
    assert_eq!(run(["--help"]).status.code(), Some(0));
    let output = run(["status", "--log-level", "pharos=loud"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not a log level"), "{}", stderr(&output));
}

/// The same with RPKI data, and options for them.
fn check_vrps(scratch: &Scratch, site: &str, vrps: &str, more: &[&str]) -> Output {
    check_vrps_of(scratch, [PHAROS, site], vrps, more)
}

fn check_vrps_of(scratch: &Scratch, [pharos, site]: [&str; 2], vrps: &str, more: &[&str]) -> Output {
    scratch.configure(pharos, site);
    scratch.write("vrps", vrps);
    let file = scratch.0.join("vrps");
    let mut arguments = vec!["check-config", "--config", scratch.0.to_str().expect("it is UTF-8")];
    arguments.extend(["--vrps", file.to_str().expect("it is UTF-8")]);
    arguments.extend(more);
    run(arguments.iter().map(std::ffi::OsStr::new))
}

const EXACT: &str = r#"{"roas":[{"asn":"AS64496","prefix":"192.0.2.0/24","maxLength":24,"ta":"x"},
{"asn":64496,"prefix":"2001:db8:53::/48","maxLength":48}]}"#;

#[test]
fn routes_that_exact_roas_allow_are_valid_without_a_warning() {
    let scratch = Scratch::new("rpki-valid");
    let output = check_vrps(&scratch, &SITE.replace("64512", "64496"), EXACT, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let expected = format!(
        "\
origin AS64496, by 2 VRPs of {}/vrps
  valid       192.0.2.0/24  (group main): 192.0.2.0/24 AS64496
  valid       2001:db8:53::/48  (group main): 2001:db8:53::/48 AS64496
",
        scratch.0.display()
    );
    let text = stdout(&output);
    assert!(text.contains(&expected), "{text}");
    assert!(text.ends_with("site.yaml are good\n"), "{text}");
}

#[test]
fn an_invalid_route_refuses_the_configuration_with_its_reason() {
    let scratch = Scratch::new("rpki-invalid");
    let vrps =
        "ASN,IP Prefix,Max Length,Trust Anchor\nAS64499,192.0.2.0/24,24,x\nAS64496,2001:db8::/32,32,x\n";
    let output = check_vrps(&scratch, &SITE.replace("64512", "64496"), vrps, &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = stdout(&output);
    assert!(
        said.contains("  invalid     192.0.2.0/24  (group main): 192.0.2.0/24 AS64499: it is for AS64499\n"),
        "{said}"
    );
    assert!(!said.contains("are good"), "{said}");
    let said = stderr(&output);
    for words in [
        "192.0.2.0/24 (192.0.2.0/24 AS64499: it is for AS64499)",
        "2001:db8:53::/48 (2001:db8::/32 AS64496: /48 is longer than its maxLength of 32)",
        "RFC 6811",
    ] {
        assert!(said.contains(words), "{words} not in {said}");
    }
}

#[test]
fn anchors_are_judged_like_the_prefixes_that_they_cover() {
    let scratch = Scratch::new("rpki-anchor");
    let pharos = PHAROS.replace("\n  groups:", "\n  anchors: [{prefix: 192.0.2.0/23}]\n  groups:");
    let check = |vrps: &str| check_vrps_of(&scratch, [&pharos, &SITE.replace("64512", "64496")], vrps, &[]);
    // Exact for the prefixes, nothing for the anchor; then one for it as well.
    let output = check(EXACT);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: no ROA covers 192.0.2.0/23"), "{}", stderr(&output));
    let with_anchor = EXACT.replace("]}", ",{\"asn\":64496,\"prefix\":\"192.0.2.0/23\",\"maxLength\":23}]}");
    let output = check(&with_anchor);
    assert_eq!(stderr(&output), "");
    let said = stdout(&output);
    assert!(said.contains("  valid       192.0.2.0/23  (anchor): 192.0.2.0/23 AS64496\n"), "{said}");
    let foreign = with_anchor
        .replace("{\"asn\":64496,\"prefix\":\"192.0.2.0/23\"", "{\"asn\":64499,\"prefix\":\"192.0.2.0/23\"");
    let output = check(&foreign);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stdout(&output).contains("  invalid     192.0.2.0/23  (anchor)"), "{}", stdout(&output));
}

#[test]
fn what_no_roa_covers_and_a_loose_max_length_are_warnings() {
    let scratch = Scratch::new("rpki-loose");
    let vrps = r#"{"roas":[{"asn":64496,"prefix":"192.0.2.0/24","maxLength":25}]}"#;
    let output = check_vrps(&scratch, &SITE.replace("64512", "64496"), vrps, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    for words in [
        "warning: no ROA covers 2001:db8:53::/48",
        "warning: the ROA 192.0.2.0/24 up to /25 AS64496 allows 2 prefixes that this node does not announce, like 192.0.2.0/25",
    ] {
        assert!(said.contains(words), "{words} not in {said}");
    }
}

#[test]
fn a_private_as_is_judged_by_the_one_that_the_world_sees() {
    let scratch = Scratch::new("rpki-private");
    let output = check_vrps(&scratch, SITE, EXACT, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("AS64512 is private (RFC 6996)"), "{}", stderr(&output));
    let output = check_vrps(&scratch, SITE, EXACT, &["--origin-as", "64496"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn rpki_data_that_cannot_be_read_or_say_nothing_are_refused() {
    let scratch = Scratch::new("rpki-empty");
    for (vrps, why) in [
        ("{\"roas\":[]}", "it holds no VRPs"),
        ("", "it holds no VRPs"),
        ("{\"roas\":7}", "invalid type"),
        ("AS1,192.0.2.0/33,33\n", "line 1: "),
    ] {
        let output = check_vrps(&scratch, SITE, vrps, &[]);
        assert_eq!(output.status.code(), Some(2), "{vrps}");
        let said = stderr(&output);
        assert!(said.contains(why) && said.contains("routinator vrps -f json"), "{said}");
    }
}
