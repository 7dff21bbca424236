//! Signed answers, judged by a validator that is not ours: delv, with the sample's key as its trust anchor.
//!
//! Tests that need delv are ignored by default; `tests/run` runs them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use pharos_responder::{Config, Responder, ZoneSource};
use pharos_tests::lab::{Workspace, source_root};

/// The key-signing key of the signed sample, as delv wants it told.
fn trust_anchor() -> String {
    let text = fs::read_to_string(source_root().join("zones/signed.example.zone")).unwrap();
    let key =
        text.lines().find(|line| line.contains("DNSKEY\t257")).expect("the sample has a key-signing key");
    let words: Vec<&str> = key.split("DNSKEY\t").nth(1).unwrap().split_whitespace().collect();
    let (numbers, key) = words.split_at(3);
    format!(
        "trust-anchors {{ \"signed.example.\" static-key {} \"{}\"; }};\n",
        numbers.join(" "),
        key.concat()
    )
}

#[test]
#[ignore = "needs delv (Debian: bind9-dnsutils)"]
fn every_kind_of_signed_answer_and_denial_validates() {
    let workspace = Workspace::new("validator");
    let anchor = workspace.join("anchor");
    fs::write(&anchor, trust_anchor()).unwrap();
    let zones = ZoneSource::Directory(source_root().join("zones"));
    let responder = Responder::start(Config::new(vec!["127.0.0.1:0".parse().unwrap()], zones)).unwrap();
    let server = responder.handle().listen()[0];
    for (question, expected) in [
        ("signed.example SOA", "; fully validated"),
        ("www.signed.example A", "; fully validated"),
        // An alias and its target.
        ("alias.signed.example AAAA", "; fully validated"),
        // A wildcard's records, and that there is no closer name (RFC 4035 §3.1.3.3).
        ("x.wild.signed.example A", "; fully validated"),
        ("secure.signed.example DS", "; fully validated"),
        // NXDOMAIN: at the level of the apex, below an existing name, below an empty non-terminal (§3.1.3.2).
        ("nope.signed.example A", "; negative response, fully validated"),
        ("a.b.c.mail.signed.example A", "; negative response, fully validated"),
        ("foo.empty.signed.example A", "; negative response, fully validated"),
        // NODATA: of a name, of an empty non-terminal, of a wildcard, of an unsigned delegation (§3.1.3.1, §3.1.3.4).
        ("mail.signed.example TXT", "; negative response, fully validated"),
        ("empty.signed.example A", "; negative response, fully validated"),
        ("x.wild.signed.example MX", "; negative response, fully validated"),
        ("insecure.signed.example DS", "; negative response, fully validated"),
    ] {
        let said = delv(server, &anchor, question);
        assert!(said.lines().any(|line| line == expected), "{question}: {expected:?} is not in\n{said}");
    }
}

fn delv(server: SocketAddr, anchor: &std::path::Path, question: &str) -> String {
    let output = Command::new("delv")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+root=signed.example", "-a"])
        .arg(anchor)
        .args(question.split(' '))
        .output()
        .expect("delv starts");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
