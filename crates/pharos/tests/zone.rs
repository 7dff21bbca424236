//! `pharos zone check` and `pharos zone print`: what a person sees for good zones, broken ones, and directories.
//! The words of single findings are pinned in crates/zone.

mod common;

use common::{Scratch, run, stderr, stdout};
use std::ffi::OsStr;
use std::process::Output;

const GOOD: &str = "\
$TTL 1h
@       SOA   ns hostmaster 7 2h 30m 2w 5m
        NS    ns
        MX    10 mail
$ORIGIN good.example.
ns      A     192.0.2.1
mail    60 IN AAAA 2001:DB8:0::1
*.www   TXT   \"hello world\" ; a comment
Ns      A     192.0.2.1
";

const BROKEN: &str = "\
$TTL 1h
@   SOA   ns hostmaster 7 2h 30m 2w 5m
    NS    ns
ns  A     192.0.2.256
www CNAME web
www A     192.0.2.1
x   AAA   2001:db8::1
";

fn zone<S: AsRef<OsStr>>(verb: &str, path: S) -> Output {
    run([OsStr::new("zone"), OsStr::new(verb), path.as_ref()])
}

#[test]
fn a_good_zone_has_one_line_and_exit_code_0() {
    let scratch = Scratch::new("zone-good");
    let output = zone("check", scratch.write("good.example.zone", GOOD));
    assert_eq!(stderr(&output), "");
    assert_eq!(stdout(&output), "ok       good.example. serial 7, 6 records, 0 warnings\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_broken_zone_shows_everything_that_is_wrong_in_one_run() {
    let scratch = Scratch::new("zone-broken");
    let path = scratch.write("broken.example.zone", BROKEN);
    let output = zone("check", &path);
    let file = path.display();
    let expected = format!(
        "\
{file}:4:11: error: A address: `192.0.2.256` is not an IPv4 address
 4 | ns  A     192.0.2.256
   |           ^^^^^^^^^^^
 help: write four numbers from 0 to 255 without leading zeros, dots between, as 192.0.2.1
{file}:6:1: error: A at www.broken.example., which is an alias
 6 | www A     192.0.2.1
   | ^^^
 help: remove the CNAME, or put this record at the name that it points to
{file}:7:5: error: `AAA` is not a record type
 7 | x   AAA   2001:db8::1
   |     ^^^
 help: check the spelling; types without a mnemonic are written as TYPE and their number, with \\# data (RFC 3597)
error: the zone is refused
"
    );
    assert_eq!(stderr(&output), expected);
    assert_eq!(stdout(&output), "REFUSED  broken.example. 3 errors, 0 warnings\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_directory_is_checked_zone_by_zone_and_a_warning_refuses_nothing() {
    let scratch = Scratch::new("zone-directory");
    scratch.write("good.example.zone", GOOD);
    scratch.write("broken.example.zone", BROKEN);
    scratch.write("@.zone", "@ 60 SOA . . 1 2 3 4 5\n@ 60 NS ns.example.\nexample. 60 NS ns.example.\n");
    scratch.write("notes.txt", "not a zone");
    scratch.write(".good.example.zone.swp", "not a zone");
    let bad_name = scratch.write("not..a.name.zone", "");
    let missing = scratch.write("missing.example.zone", "$INCLUDE nothing.inc\n");
    let output = zone("check", &scratch.0);
    assert_eq!(
        stdout(&output),
        format!(
            "\
ok       . serial 1, 3 records, 1 warning
REFUSED  broken.example. 3 errors, 0 warnings
ok       good.example. serial 7, 6 records, 0 warnings
REFUSED  missing.example. 1 error, 0 warnings
REFUSED  {} no zone name
",
            bad_name.display()
        )
    );
    let text = stderr(&output);
    assert!(
        text.contains("@.zone:3:1: warning: example. is delegated to ns.example. without glue"),
        "{text}"
    );
    assert!(text.contains(&format!("{}:1:10: error: the file", missing.display())), "{text}");
    assert!(text.contains("\"not..a.name\" is not a zone name"), "{text}");
    assert!(text.ends_with("error: 3 of 5 zones are refused\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn warnings_are_shown_and_leave_exit_code_0() {
    let scratch = Scratch::new("zone-warning");
    let path = scratch.write("good.example.zone", &GOOD.replace("mail\n", "mail.good.example\n"));
    let output = zone("check", &path);
    let expected = format!(
        "\
{}:4:18: warning: `mail.good.example` becomes mail.good.example.good.example.
 4 |         MX    10 mail.good.example
   |                  ^^^^^^^^^^^^^^^^^
 help: end the name with a dot if it is complete as it stands
",
        path.display()
    );
    assert_eq!(stderr(&output), expected);
    assert_eq!(stdout(&output), "ok       good.example. serial 7, 6 records, 1 warning\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn all_errors_are_printed_however_many() {
    let scratch = Scratch::new("zone-many");
    let path = scratch.write("good.example.zone", &(GOOD.to_owned() + &"bad A 192.0.2.256\n".repeat(1234)));
    let output = zone("check", &path);
    assert_eq!(stderr(&output).matches("error: A address: `192.0.2.256` is not").count(), 1234);
    assert_eq!(stdout(&output), "REFUSED  good.example. 1234 errors, 0 warnings\n");
    let path = scratch.write("good.example.zone", &(GOOD.to_owned() + &"bad A 192.0.2.256\n".repeat(10_003)));
    let text = stderr(&zone("check", &path));
    assert_eq!(text.matches("error: A address: `192.0.2.256` is not").count(), 10_000);
    assert!(text.contains("\n3 more errors are not shown\n"), "{}", &text[text.len() - 200..]);
}

#[test]
fn what_the_responder_does_not_read_is_refused_here_too() {
    let scratch = Scratch::new("zone-unread");
    let zones = scratch.0.join("zones");
    std::fs::create_dir(&zones).unwrap();
    scratch.write("common.inc", "x A 192.0.2.2\n");
    let path = scratch.write("zones/good.example.zone", &(GOOD.to_owned() + "$INCLUDE ../common.inc\n"));
    for output in [zone("check", &path), zone("print", &path)] {
        let text = stderr(&output);
        let said = format!("cannot be read: it is outside of {}\n", zones.canonicalize().unwrap().display());
        assert!(
            text.contains(&said) && text.contains("\n help: what a zone file includes stands in"),
            "{text}"
        );
        assert_eq!((stdout(&output).contains("192.0.2"), output.status.code()), (false, Some(1)));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for output in [zone("check", &path), zone("check", &zones), zone("print", &path)] {
        assert!(
            stderr(&output).contains("read: it is a named pipe, not a regular file\n"),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_zone_in_two_files_is_refused_as_the_responder_refuses_it() {
    let scratch = Scratch::new("zone-twice");
    scratch.write("good.example.zone", GOOD);
    scratch.write("GOOD.example.zone", GOOD);
    let output = zone("check", &scratch.0);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("error: zone good.example. is given twice: here and in "), "{text}");
    assert!(text.ends_with("error: 1 of 2 zones are refused\n"), "{text}");
}

/// Parent and child, and the same child with other keys (crates/responder/tests/signed).
const PARENT: &str = include_str!("../../responder/tests/signed/parent-good.zone");
const PARENT_OTHER_DS: &str = include_str!("../../responder/tests/signed/parent-other-ds.zone");
const CHILD: &str = include_str!("../../responder/tests/signed/child-good.zone");
const CHILD_OTHER_KEY: &str = include_str!("../../responder/tests/signed/child-other-key.zone");
const CHILD_STANDBY: &str = include_str!("../../responder/tests/signed/child-standby.zone");
const CHILD_UNSIGNED: &str = include_str!("../../responder/tests/signed/child-unsigned.zone");

#[test]
fn a_child_to_which_its_parents_ds_records_do_not_lead_is_refused() {
    for (parent, child, words) in [
        (PARENT, CHILD, ""),
        (PARENT_OTHER_DS, CHILD_OTHER_KEY, ""),
        (PARENT, CHILD_STANDBY, ""),
        (PARENT, CHILD_OTHER_KEY, "no DNSKEY of child.test. matches a DS record that zone test. has for it"),
        (PARENT, CHILD_UNSIGNED, "no DNSKEY of child.test. matches a DS record that zone test. has for it"),
        (PARENT_OTHER_DS, CHILD_STANDBY, "does not sign the DNSKEY RRset"),
    ] {
        let scratch = Scratch::new("zone-delegation");
        scratch.write("test.zone", parent);
        let path = scratch.write("child.test.zone", child);
        let output = zone("check", &scratch.0);
        let (said, text) = (stdout(&output), stderr(&output));
        assert!(said.contains("\nok       test. serial "), "{said}{text}");
        if words.is_empty() {
            assert_eq!((output.status.code(), text.as_str()), (Some(0), ""));
            continue;
        }
        assert!(said.starts_with("REFUSED  child.test. broken secure delegation\n"), "{said}");
        assert!(text.contains(words) && text.contains("DS record of the new key into the parent"), "{text}");
        assert!(text.starts_with(&format!("{}: error: ", path.display())), "{text}");
        assert_eq!(output.status.code(), Some(1));
        // By itself there is nothing to hold it against.
        assert_eq!(zone("check", &path).status.code(), Some(0));
    }
}

#[test]
fn printing_gives_absolute_names_in_canonical_order_and_each_record_once() {
    let scratch = Scratch::new("zone-print");
    let path = scratch.write("db.good", GOOD);
    let output = run(["zone", "print", "--origin", "good.example"]
        .map(OsStr::new)
        .into_iter()
        .chain([path.as_os_str()]));
    assert_eq!(stderr(&output), "");
    assert_eq!(
        stdout(&output),
        "\
good.example.\t3600\tIN\tSOA\tns.good.example. hostmaster.good.example. 7 7200 1800 1209600 300
good.example.\t3600\tIN\tNS\tns.good.example.
good.example.\t3600\tIN\tMX\t10 mail.good.example.
mail.good.example.\t60\tIN\tAAAA\t2001:db8::1
ns.good.example.\t3600\tIN\tA\t192.0.2.1
*.www.good.example.\t3600\tIN\tTXT\t\"hello world\"
"
    );
    assert_eq!(output.status.code(), Some(0));
    // Printed once more, nothing changes.
    let again = zone("print", scratch.write("good.example.zone", &stdout(&output)));
    assert_eq!(stdout(&again), stdout(&output));
}

#[test]
fn a_refused_zone_is_not_printed() {
    let scratch = Scratch::new("zone-print-broken");
    let output = zone("print", scratch.write("broken.example.zone", BROKEN));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).ends_with("error: the zone is refused, so it is not printed\n"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_question_without_sense_ends_with_2() {
    let scratch = Scratch::new("zone-usage");
    let plain = scratch.write("db.good", GOOD);
    for (output, why) in [
        (zone("check", scratch.0.join("none.zone")), "No such file"),
        (zone("check", &plain), "its name does not say which zone it is"),
        (zone("check", &scratch.0), "no zone file is in it"),
        (zone("print", &scratch.0), "is a directory"),
        (
            run([
                OsStr::new("zone"),
                "check".as_ref(),
                "--origin".as_ref(),
                "a..b".as_ref(),
                plain.as_os_str(),
            ]),
            "a..b",
        ),
        (
            run([
                OsStr::new("zone"),
                "check".as_ref(),
                "--origin".as_ref(),
                "a".as_ref(),
                scratch.0.as_os_str(),
            ]),
            "is a directory",
        ),
        (run(["zone", "check"]), "required"),
        (run(["zone"]), "Usage"),
    ] {
        assert_eq!(output.status.code(), Some(2), "{why}");
        assert!(stderr(&output).contains(why), "{why}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{why}");
    }
}

fn sample(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zones").join(name)
}

#[test]
fn a_signed_zone_says_until_when_its_signatures_hold() {
    let output = zone("check", sample("signed.example.zone"));
    assert_eq!(stderr(&output), "");
    let line = stdout(&output);
    assert!(
        line.ends_with(", 31 signatures until 20361101000000 (signed.example. A), 0 warnings\n"),
        "{line}"
    );
    let path = sample("signed.example.zone");
    let output = run([OsStr::new("zone"), "check".as_ref(), "--no-verify".as_ref(), path.as_ref()]);
    assert!(stdout(&output).contains("31 signatures (0 verified)"), "{}", stdout(&output));
}

#[test]
fn signatures_are_judged_by_the_time_that_is_given() {
    let path = sample("signed.example.zone");
    let at = |time: &str| {
        run([OsStr::new("zone"), "check".as_ref(), "--at".as_ref(), time.as_ref(), path.as_ref()])
    };
    let before = at("20361101000000");
    assert_eq!(before.status.code(), Some(0), "{}", stderr(&before));
    assert!(stderr(&before).contains(": warning: the RRSIG of signed.example. SOA ends in 0 s\n"));
    let after = at("20361101000001");
    assert_eq!(after.status.code(), Some(1));
    assert!(stderr(&after).contains(": error: the RRSIG of signed.example. SOA expired 1 s ago\n"));
    assert_eq!(stdout(&after), "REFUSED  signed.example. 31 findings by the clock\n");
    let nonsense = at("20361301000000");
    assert_eq!(nonsense.status.code(), Some(2), "{}", stderr(&nonsense));
}

#[test]
fn a_signed_zone_that_was_changed_is_refused() {
    let scratch = Scratch::new("zone-signed");
    let text = std::fs::read_to_string(sample("signed.example.zone")).expect("the sample is there");
    let changed = text.replace("203.0.113.", "198.51.100.");
    assert_ne!(text, changed);
    let output = zone("check", scratch.write("signed.example.zone", &changed));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not verify with key"), "{}", stderr(&output));
}

#[test]
fn a_record_that_stands_twice_in_another_case_breaks_no_signature() {
    let scratch = Scratch::new("zone-signed-twice");
    let text = std::fs::read_to_string(sample("signed.example.zone")).expect("the sample is there");
    let twice = text.clone() + "signed.example. 86400 IN NS A.nic.Example.\n";
    let output = zone("check", scratch.write("signed.example.zone", &twice));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), stdout(&zone("check", sample("signed.example.zone"))));
}
