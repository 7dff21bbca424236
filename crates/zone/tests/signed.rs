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
