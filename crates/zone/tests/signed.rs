//! The signed sample, loaded with each way to check it. Kinds of brokenness, and what other judges say of them, are in
//! tests/tests/broken_zones.rs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::{Broken, Checks, Clock, Progress, Signatures};
use pharos_zone::load::{LoadError, Loaded, load};
use pharos_zone::scan::{Includes, Source};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

const SAMPLE: &str = include_str!("../../../zones/signed.example.zone");

/// Signatures of the sample, all in all.
const ALL: u64 = 31;

fn loaded(text: &str, checks: &Checks) -> Result<Loaded, LoadError> {
    let source = Source {
        path: Path::new("signed.example.zone"),
        octets: text.as_bytes(),
        includes: Includes::Refused,
    };
    load(&Name::from_text("signed.example.").unwrap(), source, HashKey::new([1, 2]), checks, &mut |_| {})
}

fn with(signatures: Signatures) -> Checks {
    Checks { signatures, ..Checks::STRICT }
}

/// The sample with other addresses than were signed.
fn changed() -> String {
    SAMPLE.replace("203.0.113.", "198.51.100.")
}

#[test]
fn all_signatures_are_verified_however_many_threads_do_it() {
    for threads in [1, 2, 7] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let signed = loaded(SAMPLE, &Checks { threads, ..Checks::STRICT }).unwrap().signed.unwrap();
        assert_eq!((signed.signatures, signed.verified, signed.unverifiable), (ALL, ALL, 0));
        assert_eq!(signed.earliest_expiry.record, "signed.example. A");
    }
}

#[test]
fn a_sample_is_the_same_each_time_and_holds_the_apex() {
    let verified = |n| {
        let one_in = Signatures::OneIn(NonZeroU32::new(n).unwrap());
        loaded(SAMPLE, &with(one_in)).unwrap().signed.unwrap().verified
    };
    assert_eq!(verified(1), ALL);
    assert!((1..ALL).contains(&verified(4)));
    assert_eq!(verified(4), verified(4));
    // Of so many one none is chosen but those of the apex: SOA, NS, A, AAAA, DNSKEY, NSEC and the like.
    let apex = verified(u32::MAX);
    assert!((4..12).contains(&apex), "{apex}");
}

#[test]
fn what_was_changed_is_refused_or_told_or_not_looked_at_as_is_asked_for() {
    let LoadError::Refused(report) = loaded(&changed(), &Checks::STRICT).unwrap_err() else { panic!() };
    assert!(report.errors.iter().all(|error| error.message.contains("does not verify")), "{report}");
    let serve = Checks { broken: Broken::Serve, ..Checks::STRICT };
    let served = loaded(&changed(), &serve).unwrap();
    assert_eq!(served.report.warnings_total, report.errors_total);
    let blind = loaded(&changed(), &with(Signatures::None)).unwrap();
    assert_eq!((blind.report.warnings_total, blind.signed.unwrap().verified), (0, 0));
}

#[test]
fn the_clock_refuses_nothing_and_is_told_of_apart() {
    let at = |unix| {
        let clock = Some(Clock { unix, near: Duration::ZERO });
        loaded(SAMPLE, &Checks { clock, ..Checks::STRICT }).unwrap()
    };
    let end = at(0).signed.unwrap().earliest_expiry.unix;
    assert_eq!(at(end).by_clock_total, 0);
    assert_eq!(at(end + 1).by_clock_total, ALL);
    assert_eq!(at(end + 1).by_clock.len(), 31);
    assert_eq!(loaded(SAMPLE, &Checks::STRICT).unwrap().by_clock_total, 0);
}

#[test]
fn progress_ends_with_everything() {
    let source = Source { path: Path::new("x"), octets: SAMPLE.as_bytes(), includes: Includes::Refused };
    let mut seen = Vec::new();
    let apex = Name::from_text("signed.example.").unwrap();
    load(&apex, source, HashKey::new([1, 2]), &Checks::STRICT, &mut |progress| seen.push(progress)).unwrap();
    assert_eq!(seen.last(), Some(&Progress { done: ALL, total: ALL }));
    assert!(seen.is_sorted_by_key(|progress| progress.done));
}

#[test]
fn keys_alone_do_not_make_a_zone_signed_and_signatures_without_keys_are_refused() {
    let without = |word: &str| -> String {
        SAMPLE.lines().filter(|line| !line.contains(word)).map(|line| format!("{line}\n")).collect()
    };
    let keys: String = SAMPLE
        .lines()
        .filter(|line| !line.contains("RRSIG") && !line.contains("NSEC"))
        .map(|line| format!("{line}\n"))
        .collect();
    let unsigned = loaded(&keys, &Checks::STRICT).unwrap();
    assert_eq!(unsigned.signed, None);
    assert_eq!(unsigned.report.warnings_total, 1);
    let refused = loaded(&without("DNSKEY"), &Checks::STRICT).unwrap_err().to_string();
    assert!(refused.contains("the zone is signed and has no DNSKEY record"), "{refused}");
}

/// A key of algorithm 13, and what it signs.
struct Signer {
    pair: EcdsaKeyPair,
    dnskey: Vec<u8>,
}

impl Signer {
    const APEX: &[u8] = b"\x04busy\x07example\0";

    fn new() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let dnskey = [&[1, 1, 3, 13], &pair.public_key().as_ref()[1..]].concat();
        Self { pair, dnskey }
    }

    /// The key tag (RFC 4034 appendix B).
    fn tag(&self) -> u16 {
        let sum: u32 = self.dnskey.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        (sum + (sum >> 16)) as u16
    }

    /// One record of the label `label`, or of the apex, and the signature over it.
    fn signed(&self, label: &str, rtype: u16, rdata: &[u8]) -> String {
        let (prefix, labels) = match label.len() as u8 {
            0 => (Vec::new(), 2),
            octets => ([&[octets], label.as_bytes()].concat(), 3),
        };
        let ttl = 60u32.to_be_bytes();
        let (end, begin) = (2_000_000_000u32.to_be_bytes(), 1_000_000_000u32.to_be_bytes());
        let (rtype, tag) = (rtype.to_be_bytes(), self.tag().to_be_bytes());
        let head = [&rtype[..], &[13, labels], &ttl, &end, &begin, &tag, Self::APEX].concat();
        let octets = (rdata.len() as u16).to_be_bytes();
        let data = [&head, &prefix, Self::APEX, &rtype, &[0, 1], &ttl, &octets, rdata].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &data).unwrap();
        let rrsig = [&head, signature.as_ref()].concat();
        let owner = if label.is_empty() { "@" } else { label };
        let line = |rtype: u16, rdata: &[u8]| {
            let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{owner} 60 TYPE{rtype} \\# {} {hex}\n", rdata.len())
        };
        line(u16::from_be_bytes(rtype), rdata) + &line(46, &rrsig)
    }

    /// A zone without a chain: SOA, NS, DNSKEY and so many addresses.
    fn zone(&self, hosts: usize) -> String {
        let mut zone = self.signed("", 6, &[0; 22]) + &self.signed("", 2, b"\x01n\0");
        zone += &self.signed("", 48, &self.dnskey);
        (0..hosts).for_each(|host| zone += &self.signed(&format!("h{host}"), 1, &[192, 0, 2, 1]));
        zone
    }
}

#[test]
fn signatures_that_are_verified_together_are_told_apart_as_if_each_were_alone() {
    let signer = Signer::new();
    let judge = |text: &str, threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let checks = Checks { threads, broken: Broken::Serve, ..Checks::STRICT };
        let path = Path::new("busy.zone");
        let source = Source { path, octets: text.as_bytes(), includes: Includes::Refused };
        let apex = Name::from_text("busy.example.").unwrap();
        let loaded = load(&apex, source, HashKey::new([1, 2]), &checks, &mut |_| {}).unwrap();
        let wrong = loaded.report.warnings.into_iter().filter(|warning| warning.message.contains("verify"));
        (loaded.signed.unwrap().verified, wrong.map(|warning| warning.message).collect::<Vec<_>>())
    };
    // Below and above the number from which they are.
    for (hosts, threads) in [(500, 1), (1000, 2)] {
        let zone = signer.zone(hosts);
        // The RRset of h7 changed, and the last octet of the signature over h123.
        let mut changed = zone.replace("h7 60 TYPE1 \\# 4 c0000201", "h7 60 TYPE1 \\# 4 c0000202");
        let line = changed.find("h123 60 TYPE46").unwrap();
        let end = line + changed[line..].find('\n').unwrap();
        let other = if changed[..end].ends_with('0') { "1" } else { "0" };
        changed.replace_range(end - 1..end, other);
        assert_eq!(judge(&zone, threads), (hosts as u64 + 3, Vec::new()));
        let (verified, mut wrong) = judge(&changed, threads);
        wrong.sort();
        let said = |host| {
            let tag = signer.tag();
            format!("the RRSIG of the A RRset of {host}.busy.example. does not verify with key {tag}")
        };
        assert_eq!((verified, wrong), (hosts as u64 + 1, vec![said("h123"), said("h7")]));
    }
}
