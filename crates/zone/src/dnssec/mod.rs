//! What must be true of a signed zone: its signatures, its chains of denial, its digest.
//!
//! All of it is judged over a settled tree, before a zone is compiled. Nothing here reads a clock: the time is
//! an argument, and what depends on it is told apart from what depends on the zone alone. A zone is signed when
//! its apex has a DNSKEY; one without costs nothing.

mod bitmap;
mod denial;
mod ds;
mod faults;
mod keys;
mod modular;
mod nsec;
mod nsec3;
mod p256;
mod rrsets;
mod rrsig;
pub(crate) mod spread;
mod times;
mod verify;
mod zonemd;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pharos_wire::Rtype;

use crate::diagnostic::Diagnostic;
use crate::nsec3::{Nsec3Chain, is_hash_owner};
use crate::rdata::odd;
use crate::scan::Place;
use crate::tree::{APEX, NodeIndex, Standing, Tree};
use faults::Faults;
use keys::Keys;
use rrsets::{Found, Judge};
use rrsig::Rrsig;
use spread::spread;
use times::Times;

pub use ds::{DsVerdict, ds_matches};

/// What to check in a signed zone, and by which clock.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Which signatures are verified.
    pub signatures: Signatures,
    /// What time it is; without it nothing is said about the times of signatures.
    pub clock: Option<Clock>,
    /// How many threads verify at once, the caller's own among them.
    pub threads: NonZeroUsize,
    /// What becomes of a zone that no validator would believe.
    pub broken: Broken,
}

impl Checks {
    /// As little as can be: no signature is verified, no time is looked at, and faults are warnings. For data that
    /// the caller trusts, and for tests.
    pub const LENIENT: Self =
        Self { signatures: Signatures::None, clock: None, threads: NonZeroUsize::MIN, broken: Broken::Serve };

    /// All that the zone's content alone decides: every signature is verified by this thread, faults refuse.
    pub const STRICT: Self =
        Self { signatures: Signatures::All, clock: None, threads: NonZeroUsize::MIN, broken: Broken::Refuse };
}

/// Which signatures are verified. Every other check of them is made in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Each one.
    All,
    /// One in so many, chosen by the content of the signatures, so that the same zone gets the same verdict
    /// everywhere; those of the apex always.
    OneIn(NonZeroU32),
    /// None.
    None,
}

/// What becomes of a zone that no validator would believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is refused: the faults are errors.
    Refuse,
    /// It is served: the faults are warnings.
    Serve,
}

/// The time by which signatures are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970 (UTC).
    pub unix: u64,
    /// A signature that ends within this time is near its end.
    pub near: Duration,
}

impl Clock {
    /// The clock that stands at a time as zone files write it (RFC 4034 §3.2): YYYYMMDDHHmmSS in UTC from 1970 to 2106,
    /// or seconds since 1970.
    #[must_use]
    pub fn from_text(text: &str, near: Duration) -> Option<Self> {
        let calendar = odd::calendar_seconds(text.as_bytes()).map(u64::from);
        // Fourteen digits are a date, a wrong one too.
        let unix = if text.len() == 14 { calendar } else { text.parse().ok() };
        unix.map(|unix| Self { unix, near })
    }
}

/// How far the verification of signatures has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Signatures looked at.
    pub done: u64,
    /// Signatures that will be looked at.
    pub total: u64,
}

/// What is known of the signatures of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The signature that ends first.
    pub earliest_expiry: Expiry,
    /// The youngest inception of all signatures, seconds since 1970: the clock was there when the zone was signed,
    /// if the signer's clock was right and did not ask for a later start.
    pub latest_inception: u64,
    /// RRSIG records that validators would look at: all but those of names that are not served.
    pub signatures: u64,
    /// How many of them were verified and hold.
    pub verified: u64,
    /// How many were chosen and could not be verified, for their algorithm or the size of their key.
    pub unverifiable: u64,
}

/// When a signature ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds since 1970 (RFC 4034 §3.1.5, taken to be within 68 years of the clock).
    pub unix: u64,
    /// What it covers, such as `www.example. A`.
    pub record: String,
}

impl Expiry {
    /// The time as RRSIG records are written: YYYYMMDDHHmmSS in UTC (RFC 4034 §3.2), which ends in 2106.
    #[must_use]
    pub fn calendar(&self) -> String {
        let mut text = String::new();
        odd::show_time(u32::try_from(self.unix).unwrap_or(u32::MAX), &mut text);
        text
    }
}

/// What the checks found.
pub(crate) struct Findings {
    /// The chain that denies; none where NSEC does, or nothing.
    pub(crate) chain: Option<Nsec3Chain>,
    pub(crate) signed: Option<Signed>,
    /// What the content of the zone alone decides, and how many errors and warnings more there are.
    pub(crate) faults: Vec<Diagnostic>,
    pub(crate) hidden_errors: u64,
    pub(crate) hidden_warnings: u64,
    pub(crate) by_clock: Vec<Diagnostic>,
    pub(crate) by_clock_total: u64,
}

/// Judges a settled tree.
pub(crate) fn check(tree: &Tree, checks: &Checks, progress: &mut dyn FnMut(Progress)) -> Findings {
    let (mut faults, mut times) = (Faults::default(), Times::new(checks.clock));
    zonemd::judge(tree, &mut faults);
    let (chain, signed) = match standard(tree, &mut faults) {
        Standard::Unsigned => (Nsec3Chain::of(tree), None),
        Standard::Signed => {
            let keys = Keys::of(tree, &mut faults);
            note_times(tree, &keys, &mut times);
            let (verified, unverifiable) =
                signatures(tree, &keys, checks, times.seen(), progress, &mut faults);
            let chain = denial::judge(tree, checks.threads, &mut faults);
            let signed = times.ends().map(|(earliest_expiry, latest_inception)| Signed {
                earliest_expiry,
                latest_inception,
                signatures: times.seen(),
                verified,
                unverifiable,
            });
            (chain, signed)
        }
    };
    let (by_clock, by_clock_total) = times.findings();
    let (faults, hidden_errors, hidden_warnings) = faults.into_findings(checks.broken);
    Findings { chain, signed, faults, hidden_errors, hidden_warnings, by_clock, by_clock_total }
}

/// By which standard a zone is judged.
enum Standard {
    Unsigned,
    Signed,
}

/// A zone is signed when its apex has keys, and signatures over them or its SOA. Keys alone may be there before the
/// zone is signed for the first time, and after it went back to unsigned (RFC 6781 §4).
fn standard(tree: &Tree, faults: &mut Faults) -> Standard {
    let covered = |record: crate::tree::TreeRecord<'_>| Rrsig::parse(record.rdata).map(|rrsig| rrsig.covered);
    let is_signed = tree.has(APEX, Rtype::RRSIG)
        && tree
            .of_type(APEX, Rtype::RRSIG)
            .filter_map(covered)
            .any(|covered| matches!(covered, Rtype::SOA | Rtype::DNSKEY));
    let key = tree.of_type(APEX, Rtype::DNSKEY).next();
    match (key, is_signed) {
        (Some(_), true) => Standard::Signed,
        (None, false) => Standard::Unsigned,
        (Some(key), false) => {
            let message =
                "the zone has keys and its SOA and DNSKEY RRsets have no signature: it is served unsigned";
            faults.warn(key.place, message, "sign the zone, or remove its keys");
            Standard::Unsigned
        }
        (None, true) => {
            let place = tree.of_type(APEX, Rtype::RRSIG).next().map_or(Place::default(), |rrsig| rrsig.place);
            let remedy = "publish the keys (RFC 4035 §2.1), or remove the signatures";
            faults.error(place, "the zone is signed and has no DNSKEY record", remedy);
            Standard::Unsigned
        }
    }
}

/// Takes note of the times of all signatures. Those over one RRset by keys of one algorithm stand for each other, but
/// what no key of the zone has made stands for nothing where there are others. Over the keys themselves those count
/// that validators may begin with: a signature by a key that no DS record names helps nobody (RFC 4035 §5.2).
fn note_times(tree: &Tree, keys: &Keys<'_>, times: &mut Times) {
    let mut all: Vec<(Rrsig<'_>, Place)> = Vec::new();
    for node in tree.nodes().filter(|&node| tree.has(node, Rtype::RRSIG)) {
        let parsed = tree
            .of_type(node, Rtype::RRSIG)
            .filter_map(|record| Some((Rrsig::parse(record.rdata)?, record.place)));
        all.clear();
        all.extend(parsed.filter(|(rrsig, _)| is_judged(tree, node, rrsig.covered)));
        let rank = |rrsig: &Rrsig<'_>| match keys.candidates(rrsig).map(|key| keys.anchors(key)).max() {
            Some(true) => 0,
            Some(false) => u8::from(rrsig.covered == Rtype::DNSKEY),
            None => 2,
        };
        all.sort_by_key(|(rrsig, _)| (rrsig.covered, rrsig.algorithm, rank(rrsig), rrsig.key_tag));
        for alike in all.chunk_by(|(a, _), (b, _)| (a.covered, a.algorithm) == (b.covered, b.algorithm)) {
            // The best rank that there is; with no key of the zone among them, all are of the same.
            let best = alike.first().map_or(0, |(rrsig, _)| rank(rrsig));
            let standing = alike.iter().take_while(|(rrsig, _)| rank(rrsig) == best).count();
            times.note(tree.owner(node), alike, standing);
            if alike[0].0.covered == Rtype::DNSKEY && best == 0 {
                times.note_keys(tree.owner(node), &alike[..standing]);
            }
        }
    }
}

/// Judges each RRset and its signatures; how many hold, and how many could not be verified.
fn signatures(
    tree: &Tree,
    keys: &Keys<'_>,
    checks: &Checks,
    total: u64,
    progress: &mut dyn FnMut(Progress),
    faults: &mut Faults,
) -> (u64, u64) {
    let done = AtomicU64::new(0);
    let busy = (checks.signatures == Signatures::All).then(|| keys.busy(tree)).flatten();
    let judge = Judge { tree, keys, checks, busy: busy.as_ref(), done: &done };
    let all = spread(
        tree.node_count(),
        checks.threads,
        Found::default,
        |found: &mut Found, nodes| judge.nodes(nodes, found),
        &mut || progress(Progress { done: done.load(Ordering::Relaxed), total }),
    );
    let (mut verified, mut unverifiable) = (0, 0);
    for found in all {
        verified += found.verified;
        unverifiable += found.unverifiable;
        faults.join(found.faults);
    }
    progress(Progress { done: total, total });
    (verified, unverifiable)
}

/// Whether an RRset of this type at a node is the zone's own and so signed (RFC 4035 §2.2): at a cut DS and NSEC, and
/// nothing below one.
fn is_judged(tree: &Tree, node: NodeIndex, rtype: Rtype) -> bool {
    match tree.standing(node) {
        _ if rtype == Rtype::RRSIG => false,
        Standing::Authoritative => true,
        Standing::Cut => matches!(rtype, Rtype::DS | Rtype::NSEC),
        // Owners of NSEC3 records stand beside all names, below a DNAME at the apex, too.
        Standing::Occluded(_) => rtype == Rtype::NSEC3 && is_hash_owner(tree, node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_as_zone_files_write_times() {
        let unix = |text| Clock::from_text(text, Duration::ZERO).map(|clock| clock.unix);
        // RFC 4034 §3.3 writes 2003-03-22 17:31:03 UTC so.
        assert_eq!(unix("20030322173103"), Some(1_048_354_263));
        assert_eq!(unix("1048354263"), Some(1_048_354_263));
        assert_eq!(unix("20031322173103"), None);
        assert_eq!(unix("tomorrow"), None);
    }
}
