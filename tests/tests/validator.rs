//! Signed answers, judged by a validator that is not ours: delv, with the zone's own key as its trust anchor.
//!
//! The zones are the signed sample, and one that is signed here with NSEC, and with NSEC3 with and without salt,
//! iterations and opt-out. Tests that need BIND's tools are ignored by default; `tests/run` runs them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use pharos_responder::{Config, Responder, ZoneSource};
use pharos_tests::lab::{Workspace, source_root};

const SECURE: &str = "; fully validated";
const DENIED: &str = "; negative response, fully validated";
/// What ends delv's verdict where a covering record has the opt-out bit: the proof is accepted, yet it leaves room
/// for unsigned delegations, so nothing that rests on it is secure (RFC 5155 §9.2).
const OPTED_OUT: &str = "unsigned answer";

/// A zone with every situation in which a denial differs.
const ZONE: &str = "\
$TTL 3600
@ SOA ns hostmaster 1 7200 1800 1209600 300
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
mail A 192.0.2.25
alias CNAME mail
leaf.empty A 192.0.2.1
*.wild A 192.0.2.2
*.wildalias CNAME mail
there.wild TXT \"closer\"
d DNAME mail
secure NS ns.secure
secure DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.secure A 192.0.2.3
insecure NS ns.insecure
ns.insecure A 192.0.2.4
under.optout NS ns.insecure
";

/// What delv must say of each question about [`ZONE`] whose proof needs no record that covers a name.
const QUESTIONS: [(&str, &str); 10] = [
    ("signed.test SOA", SECURE),
    ("mail.signed.test A", SECURE),
    ("alias.signed.test A", SECURE),
    ("alias.signed.test DS", SECURE),
    ("secure.signed.test DS", SECURE),
    ("d.signed.test DNAME", SECURE),
    // NODATA of a name, the apex, an empty non-terminal (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3).
    ("mail.signed.test TXT", DENIED),
    ("signed.test TXT", DENIED),
    ("empty.signed.test A", DENIED),
    ("wild.signed.test A", DENIED),
];

/// The same, where one does.
const COVERED: [(&str, &str); 11] = [
    // A wildcard's records, and that there is no closer name (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    ("x.wild.signed.test A", SECURE),
    ("x.y.wild.signed.test A", SECURE),
    ("x.wildalias.signed.test A", SECURE),
    // NXDOMAIN at the level of the apex, deeper, and below an empty non-terminal (§3.1.3.2, §7.2.2).
    ("nope.signed.test A", DENIED),
    ("a.b.c.mail.signed.test A", DENIED),
    ("foo.empty.signed.test A", DENIED),
    ("x.there.wild.signed.test A", DENIED),
    // NODATA at a wildcard (§3.1.3.4, §7.2.5).
    ("x.wild.signed.test MX", DENIED),
    ("x.wildalias.signed.test DS", SECURE),
    // No DS at a delegation, one of them below an empty non-terminal.
    ("insecure.signed.test DS", DENIED),
    ("under.optout.signed.test DS", DENIED),
];

#[test]
#[ignore = "needs delv (Debian: bind9-dnsutils)"]
fn every_kind_of_answer_from_the_signed_sample_validates() {
    let workspace = Workspace::new("validator-sample");
    let sample = source_root().join("zones/signed.example.zone");
    let anchor = anchor(&workspace, "signed.example", &fs::read_to_string(sample).unwrap());
    let responder = serve(&source_root().join("zones"));
    judge(
        &responder,
        &anchor,
        "signed.example",
        &[
            ("www.signed.example A", SECURE),
            ("alias.signed.example AAAA", SECURE),
            ("x.wild.signed.example A", SECURE),
            ("secure.signed.example DS", SECURE),
            ("nope.signed.example A", DENIED),
            ("mail.signed.example TXT", DENIED),
            ("empty.signed.example A", DENIED),
            ("x.wild.signed.example MX", DENIED),
            ("insecure.signed.example DS", DENIED),
        ],
    );
}

#[test]
#[ignore = "needs delv, dnssec-keygen, dnssec-signzone (Debian: bind9-dnsutils, bind9-utils)"]
fn every_kind_of_answer_validates_however_denials_are_signed() {
    for (name, options) in [
        ("nsec", &[][..]),
        ("nsec3", &["-3", "-", "-H", "0"]),
        ("nsec3-salted", &["-3", "aabbccdd", "-H", "12"]),
        ("nsec3-opt-out", &["-3", "-", "-H", "0", "-A"]),
    ] {
        println!("{name}");
        let workspace = Workspace::new(&format!("validator-{name}"));
        let text = sign(&workspace, options);
        let anchor = anchor(&workspace, "signed.test", &text);
        let responder = serve(&workspace.join("zones"));
        judge(&responder, &anchor, "signed.test", &QUESTIONS);
        for (question, expected) in COVERED {
            let verdicts = if name == "nsec3-opt-out" { &[expected, OPTED_OUT][..] } else { &[expected] };
            judge_one(&responder, &anchor, "signed.test", question, verdicts);
        }
    }
}

/// Signs [`ZONE`] into `zones/signed.test.zone` and returns its text.
fn sign(workspace: &Workspace, options: &[&str]) -> String {
    let (zone, zones) = (workspace.join("signed.test"), workspace.join("zones"));
    fs::create_dir_all(&zones).unwrap();
    for flags in [&["-f", "KSK"][..], &[]] {
        run(Command::new("dnssec-keygen")
            .args(["-q", "-a", "ECDSAP256SHA256", "-K"])
            .arg(workspace.join(""))
            .args(flags)
            .arg("signed.test"));
    }
    fs::write(&zone, ZONE).unwrap();
    let signed = zones.join("signed.test.zone");
    run(Command::new("dnssec-signzone")
        .args(["-q", "-S", "-P", "-o", "signed.test", "-O", "full", "-K"])
        .arg(workspace.join(""))
        .args(options)
        .arg("-d")
        .arg(workspace.join(""))
        .arg("-f")
        .args([&signed, &zone]));
    fs::read_to_string(signed).unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The key-signing key of a signed zone, as delv wants it told.
fn anchor(workspace: &Workspace, zone: &str, text: &str) -> std::path::PathBuf {
    let keys = text.lines().filter_map(|line| line.split_once("DNSKEY").map(|(_, rdata)| rdata.trim()));
    let key = keys.into_iter().find(|rdata| rdata.starts_with("257 ")).expect("a key-signing key");
    let words: Vec<&str> = key.split_whitespace().filter(|word| !word.starts_with(';')).collect();
    let (numbers, key) = words.split_at(3);
    let path = workspace.join("anchor");
    let text =
        format!("trust-anchors {{ \"{zone}.\" static-key {} \"{}\"; }};\n", numbers.join(" "), key.concat());
    fs::write(&path, text).unwrap();
    path
}

fn serve(zones: &Path) -> Responder {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let responder = Responder::start(Config::new(listen, ZoneSource::Directory(zones.into()))).unwrap();
    let status = responder.handle().status(&Default::default());
    assert_eq!(status.zones_live, status.zones_total, "{:?}", status.zones);
    responder
}

fn judge(responder: &Responder, anchor: &Path, zone: &str, questions: &[(&str, &str)]) {
    for (question, expected) in questions {
        judge_one(responder, anchor, zone, question, &[expected]);
    }
}

/// Asks delv and wants one of these verdicts.
fn judge_one(responder: &Responder, anchor: &Path, zone: &str, question: &str, verdicts: &[&str]) {
    let said = delv(responder.handle().listen()[0], anchor, zone, question);
    let fits = |line: &str| line.starts_with(';') && verdicts.iter().any(|verdict| line.ends_with(verdict));
    assert!(said.lines().any(fits), "{question}: none of {verdicts:?} is in\n{said}");
}

fn delv(server: SocketAddr, anchor: &Path, zone: &str, question: &str) -> String {
    let output = Command::new("delv")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), &format!("+root={zone}"), "-a"])
        .arg(anchor)
        .args(question.split(' '))
        .output()
        .expect("delv starts");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
