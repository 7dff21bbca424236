//! `pharos explain`: what a person reads for each way in which an answer can come about.

mod common;

use common::{Scratch, run, stderr, stdout};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Signed zones: `signed.test.` with NSEC, NSEC3 or opt-out, its child, and another one.
fn signed(variant: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/dnssec").join(variant)
}

/// What is said of this query, put to the zones of a directory.
fn explain(zones: &Path, query: &str) -> String {
    let words = query.split(' ').map(OsStr::new);
    let output =
        run([OsStr::new("explain"), OsStr::new("--zones"), zones.as_os_str()].into_iter().chain(words));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    stdout(&output)
}

/// Holds the lines of an explanation, without the message, against the beginning and some words of each.
fn says(text: &str, expected: &[(&str, &str)]) {
    let told = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, (topic, words)) in lines.iter().zip(expected) {
        assert!(line.starts_with(topic) && line.contains(words), "{topic} {words}: {line}\n{text}");
    }
}

const PLAIN: &str = "\
$TTL 3600
@      SOA   ns.nic.test. hostmaster 7 7200 1800 1209600 300
       NS    ns.nic.test.
www    CNAME web
web    A     192.0.2.1
gone   CNAME www.elsewhere.example.
sub    NS    ns.sub
       NS    ns.nic.test.
ns.sub A     192.0.2.2
old    DNAME new
a.new  A     192.0.2.3
one    CNAME two
two    CNAME one
";

fn plain(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.write("plain.test.zone", PLAIN);
    scratch
}

/// A responder that is only configured, with these zones and what may follow them.
fn configure(scratch: &Scratch, zones: &str) -> PathBuf {
    let pharos = format!("responder:\n  listen: [\"127.0.0.1:5300\"]\n  zones: {zones}\n");
    scratch.configure(&pharos, "node: a\nsite: ams\n")
}

#[test]
fn a_chain_of_aliases_is_told_name_by_name() {
    let scratch = plain("explain-chain");
    let text = explain(&scratch.0, "www.plain.test a");
    says(
        &text,
        &[
            ("query ", "www.plain.test. A, EDNS with 1232 octets, by UDP"),
            ("zone ", "plain.test. is the longest apex that encloses www.plain.test."),
            ("name ", "www.plain.test. exists, with CNAME"),
            ("answer ", "www.plain.test. 3600 CNAME, 1 record"),
            ("alias ", "www.plain.test."),
            ("zone ", "encloses web.plain.test."),
            ("name ", "web.plain.test. exists, with A"),
            ("answer ", "web.plain.test. 3600 A, 1 record"),
            ("size ", "nothing that the client needs is missing"),
        ],
    );
    assert!(text.contains("\n;; ANSWER\nwww.plain.test.\t3600\tIN\tCNAME\tweb.plain.test.\nweb.plain.test.\t3600\tIN\tA\t192.0.2.1\n"), "{text}");
}

#[test]
fn a_chain_ends_out_of_all_zones_or_in_a_loop() {
    let scratch = plain("explain-ends");
    let text = explain(&scratch.0, "gone.plain.test");
    assert!(text.contains("\nno zone     none here encloses www.elsewhere.example."), "{text}");
    let text = explain(&scratch.0, "one.plain.test");
    assert!(text.contains("\nchain       one.plain.test. was met before"), "{text}");
    assert!(text.contains("RFC 1034 §3.6.2"), "{text}");
}

#[test]
fn a_referral_names_the_cut_and_what_it_needs() {
    let scratch = plain("explain-referral");
    let text = explain(&scratch.0, "www.sub.plain.test");
    says(
        &text,
        &[
            ("query ", "www.sub.plain.test. A"),
            ("zone ", "plain.test."),
            ("cut ", "sub.plain.test. is delegated: a referral (RFC 1034 §4.3.2 step 3b)"),
            ("authority ", "sub.plain.test. 3600 NS, 2 records; whom to ask instead"),
            (
                "additional ",
                "ns.sub.plain.test. 3600 A, 1 record; glue that the referral needs (RFC 9471 §3.1)",
            ),
            ("size ", "octets"),
        ],
    );
}

#[test]
fn a_dname_is_shown_with_the_cname_that_it_makes() {
    let scratch = plain("explain-dname");
    let text = explain(&scratch.0, "a.old.plain.test");
    says(
        &text,
        &[
            ("query ", "a.old.plain.test."),
            ("zone ", "plain.test."),
            ("dname ", "old.plain.test. redirects all names below it (RFC 6672 §3.2)"),
            ("answer ", "old.plain.test. 3600 DNAME, 1 record"),
            ("answer ", "a.old.plain.test. CNAME, made as the DNAME demands (RFC 6672 §3.1)"),
            ("alias ", "a.old.plain.test."),
            ("zone ", "encloses a.new.plain.test."),
            ("name ", "a.new.plain.test. exists"),
            ("answer ", "a.new.plain.test. 3600 A"),
            ("size ", "octets"),
        ],
    );
}

#[test]
fn an_expansion_shows_the_wildcard_and_why_it_applies() {
    let text = explain(&signed("nsec"), "x.wild.signed.test A --do");
    says(
        &text,
        &[
            ("query ", "x.wild.signed.test. A, EDNS with 1232 octets and DO, by UDP"),
            ("zone ", "signed, denials by NSEC"),
            (
                "name ",
                "x.wild.signed.test. does not exist; its closest encloser is wild.signed.test. (RFC 4592 §3.3.1)",
            ),
            ("wildcard ", "*.wild.signed.test. stands for the name, with A NSEC"),
            (
                "needs ",
                "NSEC there.wild.signed.test. to *.wildalias.signed.test.: x.wild.signed.test. is between",
            ),
            ("answer ", "x.wild.signed.test. 3600 A, 1 record, 1 signature"),
            ("authority ", "there.wild.signed.test. 300 NSEC, 1 record, 1 signature; the proof"),
            ("size ", "octets"),
        ],
    );
}

#[test]
fn a_denial_by_nsec_has_a_reason_for_each_record() {
    let text = explain(&signed("nsec"), "nope.signed.test A --do");
    says(
        &text,
        &[
            ("query ", "DO"),
            ("zone ", "signed.test."),
            ("name ", "its closest encloser is signed.test."),
            ("denial ", "NXDOMAIN (RFC 2308 §2.1)"),
            ("needs ", "nope.signed.test. is between, so it does not exist (RFC 4035 §3.1.3.2)"),
            (
                "needs ",
                "NSEC signed.test. to alias.signed.test.: no wildcard *.signed.test. stands for the name",
            ),
            ("authority ", "signed.test. 300 SOA, 1 record, 1 signature; so long the denial may be kept"),
            ("authority ", "NSEC, 1 record, 1 signature; the proof"),
            ("authority ", "signed.test. 300 NSEC, 1 record, 1 signature; the proof"),
            ("size ", "octets"),
        ],
    );
    let text = explain(&signed("nsec"), "mail.signed.test AAAA --do");
    assert!(
        text.contains("NSEC of mail.signed.test.: its types are A TXT RRSIG NSEC; AAAA is not among them"),
        "{text}"
    );
    let text = explain(&signed("nsec"), "empty.signed.test A --do");
    assert!(text.contains("empty.signed.test. is between, and the next name lies below it"), "{text}");
}

#[test]
fn hashes_of_a_denial_by_nsec3_are_told_with_their_names() {
    let text = explain(&signed("nsec3"), "a.nope.signed.test A --do");
    says(
        &text,
        &[
            ("query ", "DO"),
            ("zone ", "signed, denials by NSEC3"),
            ("name ", "its closest encloser is signed.test."),
            ("denial ", "NXDOMAIN"),
            ("needs ", "is the hash of signed.test., the closest encloser (RFC 5155 §7.2.1)"),
            (
                "needs ",
                "the hash of nope.signed.test., the next closer name, so that has no record (RFC 5155 §7.2.1)",
            ),
            (
                "needs ",
                "the hash of *.signed.test., so that no wildcard stands for the name (RFC 5155 §7.2.2)",
            ),
            ("authority ", "SOA"),
            ("authority ", ".signed.test. 300 NSEC3, 1 record, 1 signature; the proof"),
            ("authority ", "NSEC3"),
            ("authority ", "NSEC3"),
            ("size ", "octets"),
        ],
    );
}

#[test]
fn opt_out_is_said_where_a_referral_rests_on_it() {
    let text = explain(&signed("opt-out"), "www.under.gap.signed.test A --do");
    says(
        &text,
        &[
            ("query ", "DO"),
            ("zone ", "signed.test."),
            ("cut ", "under.gap.signed.test."),
            ("authority ", "under.gap.signed.test. 3600 NS, 1 record, 0 signatures"),
            ("needs ", "is the hash of signed.test., the closest provable encloser"),
            ("needs ", "the hash of gap.signed.test., the next closer name, so that has no record; opt-out"),
            ("authority ", "NSEC3"),
            ("authority ", "NSEC3"),
            ("additional ", "ns.insecure.signed.test."),
            ("size ", "octets"),
        ],
    );
}

#[test]
fn what_did_not_fit_is_named_and_tc_is_set() {
    let text = explain(&signed("nsec3"), "nope.signed.test A --do --payload 512");
    assert!(text.contains("\ntruncated   NSEC3 does not fit behind "), "{text}");
    assert!(text.contains("the client takes 512, this server sends 1232 at most"), "{text}");
    assert!(text.contains("TC is set (RFC 2181 §9)"), "{text}");
    assert!(text.contains(";; status NXDOMAIN, flags qr aa tc;"), "{text}");
    assert!(
        text.contains("\nnext        the client asks again over TCP (RFC 7766 §5); --tcp shows"),
        "{text}"
    );
    let text = explain(&signed("nsec3"), "nope.signed.test A --do --payload 512 --tcp");
    assert!(!text.contains("truncated") && !text.contains("\nnext "), "{text}");
}

#[test]
fn a_zone_that_is_refused_is_explained_with_the_reason() {
    let scratch = plain("explain-refused");
    scratch.write("broken.test.zone", "$TTL 1h\n@ SOA ns hostmaster 1 1 1 1 1\n@ NS ns\nns A 192.0.2.256\n");
    let text = explain(&scratch.0, "www.broken.test");
    assert!(text.contains("\nnot loaded  its file is refused"), "{text}");
    assert!(text.contains("broken.test.zone:4:6: error: A address: `192.0.2.256`"), "{text}");
    assert!(text.contains(";; status SERVFAIL"), "{text}");
}

#[test]
fn a_name_out_of_all_zones_is_refused() {
    let scratch = plain("explain-out");
    let text = explain(&scratch.0, "www.elsewhere.example");
    assert!(text.contains("\nno zone     none here encloses www.elsewhere.example.: REFUSED"), "{text}");
    assert!(text.contains(";; status REFUSED"), "{text}");
    assert!(text.contains("\n;; extended error 20: Not Authoritative (RFC 8914 §4.21)\n"), "{text}");
}

#[test]
fn a_query_that_no_zone_decides_is_explained_too() {
    let scratch = plain("explain-axfr");
    let text = explain(&scratch.0, "plain.test AXFR");
    assert!(
        text.contains("\nrefused     REFUSED: zone transfers are not served (RFC 5936 §2.2.1)"),
        "{text}"
    );
}

#[test]
fn what_the_server_tells_of_itself_is_explained_in_class_ch() {
    let scratch = plain("explain-chaos");
    let text = explain(&scratch.0, "version.bind --chaos");
    assert!(text.starts_with("query       version.bind. TXT, class CH, "), "{text}");
    assert!(text.contains("\nrefused     REFUSED: nothing is told by this name"), "{text}");
    assert!(text.contains("\n;version.bind. CH TXT\n"), "{text}");
    let config = configure(&scratch, "{directory: .}\n  version: shown");
    let ask = |words: &[&str]| {
        let words = words.iter().map(OsStr::new);
        stdout(&run([OsStr::new("explain"), OsStr::new("--config"), config.as_os_str()]
            .into_iter()
            .chain(words)))
    };
    let text = ask(&["id.server", "--chaos"]);
    assert!(text.contains("\nserver      it tells this of itself (RFC 4892 §2)\n"), "{text}");
    assert!(text.contains("\nid.server.\t0\tCH\tTXT\t\"a.ams\"\n"), "{text}");
    assert!(ask(&["version.bind", "--chaos"]).contains("pharos"));
    let text = ask(&["id.server", "A", "--chaos"]);
    assert!(text.contains("in TXT records only"), "{text}");
    assert!(!ask(&["web.plain.test"]).contains("a.ams"));
}

#[test]
fn any_is_answered_as_the_operator_says() {
    let scratch = plain("explain-any");
    let answers = |query| explain(&scratch.0, query).matches("\nanswer ").count();
    assert_eq!(answers("plain.test ANY"), 1);
    assert_eq!(answers("plain.test ANY --any full"), 2);
}

#[test]
fn one_file_and_a_configuration_are_taken_too() {
    let scratch = plain("explain-file");
    let file = scratch.write("db.plain", PLAIN);
    let output = run([
        OsStr::new("explain"),
        OsStr::new("web.plain.test"),
        OsStr::new("--file"),
        file.as_os_str(),
        OsStr::new("--origin"),
        OsStr::new("plain.test"),
    ]);
    assert!(stdout(&output).contains("192.0.2.1"), "{}", stderr(&output));
    let zones = "{list: [{name: plain.test, file: db.plain}]}";
    let more = "udp-payload-size: 900\n  error-reporting: agent.example";
    let config = configure(&scratch, &format!("{zones}\n  {more}"));
    let output = run([
        OsStr::new("explain"),
        OsStr::new("web.plain.test"),
        OsStr::new("--config"),
        config.as_os_str(),
    ]);
    assert!(stdout(&output).contains(";; errors may be reported to agent.example."), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("this server sends 900 at most"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn a_wrong_command_line_says_what_to_write() {
    for (words, expected) in [
        (&["explain", "a..b"][..], "is not a name"),
        (&["explain", "a.test", "NOPE"], "is no record type"),
        (&["explain", "a.test", "A", "--do", "--payload", "0"], "--do needs EDNS"),
        (&["explain", "a.test", "--zones", "/nonexistent"], "cannot be read"),
    ] {
        let output = run(words);
        assert_ne!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(expected), "{words:?}: {}", stderr(&output));
    }
}
