//! Signed answers, judged by validators that are not ours: delv, unbound, and the one of hickory-net.
//!
//! The zones are the signed sample, and one that is signed here with every algorithm in use and every kind of
//! denial. Every question of `pharos_tests::dnssec::questions` goes to all validators, and random ones to those
//! that run as long as the test does. Tests that need the tools are ignored by default; `tests/run` runs them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use pharos_responder::{Config, Responder, ZoneSource};
use pharos_tests::differential::random::Random;
use pharos_tests::dnssec::hickory::{Error, Hickory};
use pharos_tests::dnssec::questions::{Question, SERVED, at_random, every_kind, sign};
use pharos_tests::dnssec::resolver::Resolver;
use pharos_tests::dnssec::sign::Algorithm::{EcdsaP256, Ed25519, RsaSha256};
use pharos_tests::dnssec::sign::{Algorithm, Denial, Signer};
use pharos_tests::dnssec::{Outcome, Trust};
use pharos_tests::lab::{Workspace, source_root};

/// Random questions to each zone; `PHAROS_VALIDATOR_QUESTIONS` is another number.
const AT_RANDOM: usize = 200;

/// What is signed how. Algorithm and denial have nothing to do with each other, so not every pair is there.
const ZONES: [(&str, &[Algorithm], Denial); 10] = [
    ("ecdsa-nsec", &[EcdsaP256], Denial::Nsec),
    ("ecdsa-nsec3", &[EcdsaP256], Denial::Nsec3),
    ("ecdsa-nsec3-salted", &[EcdsaP256], Denial::Nsec3Salted),
    ("ecdsa-nsec3-opt-out", &[EcdsaP256], Denial::Nsec3OptOut),
    ("rsa-nsec", &[RsaSha256], Denial::Nsec),
    ("rsa-nsec3", &[RsaSha256], Denial::Nsec3),
    ("ed25519-nsec", &[Ed25519], Denial::Nsec),
    ("ed25519-nsec3-opt-out", &[Ed25519], Denial::Nsec3OptOut),
    ("ecdsa-and-rsa-nsec", &[EcdsaP256, RsaSha256], Denial::Nsec),
    ("ecdsa-and-rsa-nsec3-salted", &[EcdsaP256, RsaSha256], Denial::Nsec3Salted),
];

/// delv starts anew for every question, so it sees each kind of denial once.
const FOR_DELV: [&str; 4] = ["ecdsa-nsec", "ecdsa-nsec3", "ecdsa-nsec3-salted", "ecdsa-nsec3-opt-out"];

#[test]
#[ignore = "needs delv (Debian: bind9-dnsutils)"]
fn every_kind_of_answer_from_the_signed_sample_validates() {
    let workspace = Workspace::new("validator-sample");
    let sample = fs::read_to_string(source_root().join("zones/signed.example.zone")).unwrap();
    let key = sample.lines().filter_map(|line| line.split_once("DNSKEY").map(|(_, data)| data.trim()));
    let key = key.into_iter().find(|data| data.starts_with("257 ")).expect("a key-signing key");
    let words: Vec<&str> = key.split_whitespace().take_while(|word| !word.starts_with(';')).collect();
    let (numbers, key) = words.split_at(3);
    let anchor = format!(
        "trust-anchors {{ \"signed.example.\" static-key {} \"{}\"; }};\n",
        numbers.join(" "),
        key.concat()
    );
    let anchor = workspace.write("anchor", &anchor);
    let responder = serve(&source_root().join("zones"));
    for (question, outcome) in [
        ("www.signed.example. A", Outcome::Answer),
        ("alias.signed.example. AAAA", Outcome::Answer),
        ("x.wild.signed.example. A", Outcome::Answer),
        ("secure.signed.example. DS", Outcome::Answer),
        ("nope.signed.example. A", Outcome::NoName),
        ("mail.signed.example. TXT", Outcome::NoData),
        ("empty.signed.example. A", Outcome::NoData),
        ("x.wild.signed.example. MX", Outcome::NoData),
        ("insecure.signed.example. DS", Outcome::NoData),
    ] {
        let (qname, rtype) = question.split_once(' ').unwrap();
        let (trust, said) = delv(address(&responder), &anchor, "signed.example", qname, rtype);
        assert_eq!(trust, Trust::Secure, "{question} ({outcome:?}):\n{said}");
    }
}

#[test]
#[ignore = "needs delv, unbound, dnssec-keygen, dnssec-signzone (Debian: bind9-dnsutils, unbound, bind9-utils)"]
fn every_kind_of_answer_validates_however_the_zone_is_signed() {
    let mut findings = String::new();
    thread::scope(|scope| {
        let judged: Vec<_> = ZONES
            .into_iter()
            .map(|(name, how, denial)| scope.spawn(move || judge(name, how, denial)))
            .collect();
        for judged in judged {
            findings += &judged.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    assert!(findings.is_empty(), "verdicts that are not right:\n{findings}");
}

/// A judge that accepts all would be none.
#[test]
#[ignore = "needs delv, unbound, dnssec-keygen, dnssec-signzone (Debian: bind9-dnsutils, unbound, bind9-utils)"]
fn who_trusts_another_key_believes_nothing() {
    let workspace = Workspace::new("validator-another-key");
    let [signer, another] = ["signed", "another"].map(|name| Signer::new(&workspace, name));
    let [_, zone] = sign(&signer, &[EcdsaP256], Denial::Nsec);
    let [trusted, _] = sign(&another, &[EcdsaP256], Denial::Nsec);
    let responder = serve(&signer.zones());
    let hickory = Hickory::new(address(&responder), &trusted.anchors());
    let unbound = Resolver::beside(&workspace, &SERVED, address(&responder), &trusted.anchors());
    let delv_anchor = workspace.write("delv-anchor", &trusted.delv_anchors());
    for Question { qname, rtype, .. } in every_kind(&zone, Denial::Nsec).iter().step_by(5) {
        assert_eq!(unbound.judge(qname, *rtype).trust, Trust::Bogus, "unbound: {qname} {rtype}");
        assert_eq!(hickory.judge(qname, *rtype).trust, Trust::Bogus, "hickory: {qname} {rtype}");
        let (trust, said) = delv(address(&responder), &delv_anchor, ".", qname, &rtype.to_string());
        assert_eq!(trust, Trust::Bogus, "delv: {qname} {rtype}:\n{said}");
    }
}

/// Signs, serves and asks; gives a line for each verdict that is not right.
fn judge(name: &str, algorithms: &[Algorithm], denial: Denial) -> String {
    let workspace = Workspace::new(&format!("validator-{name}"));
    let signer = Signer::new(&workspace, "signed");
    let [root, zone] = sign(&signer, algorithms, denial);
    let responder = serve(&signer.zones());
    let hickory = Hickory::new(address(&responder), &root.anchors());
    let unbound = Resolver::beside(&workspace, &SERVED, address(&responder), &root.anchors());
    let delv_anchor = workspace.write("delv-anchor", &root.delv_anchors());

    let kinds = every_kind(&zone, denial);
    let seed = number("PHAROS_SEED").unwrap_or(1);
    let count = number("PHAROS_VALIDATOR_QUESTIONS").map_or(AT_RANDOM, |count| count as usize);
    let random = at_random(&mut Random::new(seed), denial, count);
    let mut findings = String::new();
    let mut note = |judge: &str, question: &Question, verdict: &dyn std::fmt::Debug, why: &str| {
        let Question { qname, rtype, .. } = question;
        let _ = writeln!(findings, "{name}: {judge}: {qname} {rtype}: {verdict:?}, not {question:?}\n{why}");
    };
    let (mut secure, mut errors) = (0, BTreeMap::new());
    let mut for_delv: Vec<&Question> = Vec::new();
    for question in kinds.iter().chain(&random) {
        let verdict = unbound.judge(&question.qname, question.rtype);
        secure += usize::from(verdict.trust == Trust::Secure);
        // What unbound 1.17 takes for false: the CNAME that a DNAME makes, if just that is asked for (RFC 6672 §5.3.1);
        // and an owner that begins with an asterisk and is expanded, since it leaves that label where the signature
        // has none (RFC 4035 §5.3.2). Then delv judges.
        let errs = question.wants_synthesized() || question.expands_asterisk();
        if errs && verdict.trust == Trust::Bogus {
            for_delv.push(question);
        } else if !question.fits(verdict) {
            note("unbound", question, &verdict, &unbound.log_of(&question.qname));
        }
        let verdict = hickory.judge(&question.qname, question.rtype);
        if question.fits(verdict) {
            continue;
        }
        match Error::behind(&hickory, question, denial) {
            Some(error) if verdict.trust == Trust::Bogus => *errors.entry(error).or_insert(0) += 1,
            _ => note("hickory", question, &verdict, ""),
        }
    }
    if FOR_DELV.contains(&name) {
        for_delv.extend(&kinds);
    }
    for question in for_delv {
        let (qname, rtype) = (&question.qname, question.rtype);
        let (trust, said) = delv(address(&responder), &delv_anchor, ".", qname, &rtype.to_string());
        if !question.trust.contains(&trust) {
            note("delv", question, &trust, &said);
        }
    }
    println!(
        "{name}: {} questions of every kind, {count} at random, {secure} secure; errors of hickory {errors:?}",
        kinds.len()
    );
    findings
}

fn serve(zones: &Path) -> Responder {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let responder = Responder::start(Config::new(listen, ZoneSource::Directory(zones.into()))).unwrap();
    let status = responder.handle().status(&Default::default());
    assert_eq!(status.zones_live, status.zones_total, "{:?}", status.zones);
    responder
}

fn address(responder: &Responder) -> SocketAddr {
    responder.handle().listen()[0]
}

/// What delv says: its verdict on the part of the answer that it trusts least, and its words.
fn delv(server: SocketAddr, anchor: &PathBuf, zone: &str, qname: &str, rtype: &str) -> (Trust, String) {
    let output = Command::new("delv")
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), &format!("+root={zone}"), "-a"])
        .arg(anchor)
        .args([qname, rtype])
        .output()
        .expect("delv starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let has = |text: &str| said.lines().any(|line| line.starts_with(';') && line.ends_with(text));
    let trust = match () {
        () if has("unsigned answer") => Trust::Insecure,
        () if has("fully validated") => Trust::Secure,
        () => Trust::Bogus,
    };
    (trust, said)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
