//! When signatures begin and end, and what the clock says of that.
//!
//! Findings are kept apart from all others, because they come and go without any change to the zone.

use pharos_wire::name::Text;

use super::rrsig::Rrsig;
use super::{Clock, Expiry};
use crate::diagnostic::Diagnostic;
use crate::rtype::Display;
use crate::scan::{MAX_KEPT, Place};

/// The times of all signatures seen so far.
pub(crate) struct Times {
    clock: Option<Clock>,
    earliest: Option<Expiry>,
    latest_inception: u64,
    seen: u64,
    /// Signatures that no validator takes now, and those that end soon.
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    total: u64,
}

impl Times {
    pub(crate) fn new(clock: Option<Clock>) -> Self {
        let (errors, warnings) = (Vec::new(), Vec::new());
        Self { clock, earliest: None, latest_inception: 0, seen: 0, errors, warnings, total: 0 }
    }

    /// Takes note of the signatures of one RRset by keys of one algorithm. What counts is how long the best of the first
    /// `standing` holds: a validator is content with one that does (RFC 4035 §5.3.3), and an old one may stay beside it
    /// while keys change.
    pub(crate) fn note(&mut self, owner: &[u8], alike: &[(Rrsig<'_>, Place)], standing: usize) {
        self.seen += alike.len() as u64;
        let ends = |rrsig: &Rrsig<'_>| (self.unix(rrsig.inception), self.unix(rrsig.expiration));
        // One that has not begun is of use only where none has, and then the sooner it begins the better.
        let use_of = |rrsig: &Rrsig<'_>| match (ends(rrsig), self.clock) {
            ((from, _), Some(clock)) if from > clock.unix => (0, u64::MAX - from),
            ((_, to), _) => (1, to),
        };
        let Some((rrsig, place)) = alike.iter().take(standing).max_by_key(|(rrsig, _)| use_of(rrsig)) else {
            return;
        };
        let youngest = alike.iter().map(|(rrsig, _)| ends(rrsig).0).max().unwrap_or_default();
        let ((from, to), place) = (ends(rrsig), *place);
        self.latest_inception = self.latest_inception.max(youngest);
        if self.earliest.as_ref().is_none_or(|earliest| to < earliest.unix) {
            self.earliest =
                Some(Expiry { unix: to, record: format!("{} {}", Text(owner), Display(rrsig.covered.0)) });
        }
        let Some(clock) = self.clock else { return };
        let what = |what: &str| format!("the RRSIG of {} {} {what}", Text(owner), Display(rrsig.covered.0));
        // Both ends belong to it (RFC 4034 §3.1.5).
        if to < clock.unix {
            let message = what(&format!("expired {} ago", span(clock.unix - to)));
            self.error(Diagnostic::error(place, message, "sign the zone again, and more often"));
        } else if from > clock.unix {
            let message = what(&format!("begins only in {}", span(from - clock.unix)));
            let remedy = "compare the clocks here and where the zone is signed";
            self.error(Diagnostic::error(place, message, remedy));
        } else if to - clock.unix < clock.near.as_secs() {
            let message = what(&format!("ends in {}", span(to - clock.unix)));
            self.warning(Diagnostic::warning(place, message, "sign the zone again"));
        }
    }

    /// Takes note of signatures over the keys that validators may begin with, in the order of key tags. One that holds
    /// is enough for those who know its key, yet which of them the parent's DS record names is not known here: of the
    /// others it is told that they do not hold. Where none holds, [`Self::note`] has told it.
    pub(crate) fn note_keys(&mut self, owner: &[u8], anchors: &[(Rrsig<'_>, Place)]) {
        let Some(clock) = self.clock else { return };
        let holds = |(rrsig, _): &(Rrsig<'_>, Place)| {
            (self.unix(rrsig.inception)..=self.unix(rrsig.expiration)).contains(&clock.unix)
        };
        if !anchors.iter().any(holds) {
            return;
        }
        let lapsed: Vec<_> = anchors
            .chunk_by(|(one, _), (other, _)| one.key_tag == other.key_tag)
            .filter(|of_key| !of_key.iter().any(holds))
            .filter_map(|of_key| of_key.first())
            .collect();
        for (rrsig, place) in lapsed {
            let message =
                format!("the RRSIG of {} DNSKEY by key {} does not hold now", Text(owner), rrsig.key_tag);
            let remedy = "sign the keys with each key that a DS record of the parent names (RFC 4035 §5.2)";
            self.warning(Diagnostic::warning(*place, message, remedy));
        }
    }

    fn warning(&mut self, finding: Diagnostic) {
        self.total += 1;
        if self.warnings.len() < MAX_KEPT {
            self.warnings.push(finding);
        }
    }

    fn error(&mut self, finding: Diagnostic) {
        self.total += 1;
        if self.errors.len() < MAX_KEPT {
            self.errors.push(finding);
        }
    }

    /// The time nearest to the clock that a number of 32 bits may mean (RFC 1982, as RFC 4034 §3.1.5 asks); without a
    /// clock, one between 1970 and 2106.
    fn unix(&self, time: u32) -> u64 {
        let Some(Clock { unix: now, .. }) = self.clock else { return time.into() };
        now.saturating_add_signed(i64::from(time.wrapping_sub(now as u32).cast_signed()))
    }

    /// Earliest expiry and latest inception.
    pub(crate) fn ends(&self) -> Option<(Expiry, u64)> {
        self.earliest.clone().map(|earliest| (earliest, self.latest_inception))
    }

    /// How many signatures there are.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Findings, worst first, and how many there were.
    pub(crate) fn findings(mut self) -> (Vec<Diagnostic>, u64) {
        self.errors.append(&mut self.warnings);
        self.errors.truncate(MAX_KEPT);
        (self.errors, self.total)
    }
}

/// Seconds as a person says them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pharos_wire::Rtype;

    use super::*;

    fn rrsig(inception: u32, expiration: u32) -> Rrsig<'static> {
        Rrsig {
            covered: Rtype::A,
            algorithm: 13,
            labels: 1,
            original_ttl: 60,
            expiration,
            inception,
            key_tag: 1,
            signer: b"\0",
            signature: &[],
            head: &[],
        }
    }

    fn said(now: u64, inception: u32, expiration: u32) -> Vec<String> {
        let mut times = Times::new(Some(Clock { unix: now, near: Duration::from_secs(10) }));
        times.note(b"\x01a\0", &[(rrsig(inception, expiration), Place::default())], 1);
        times.findings().0.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_signature_holds_from_its_first_second_to_its_last() {
        assert_eq!(said(99, 100, 200), ["the RRSIG of a. A begins only in 1 s"]);
        assert_eq!(said(100, 100, 200), [""; 0]);
        assert_eq!(said(190, 100, 200), [""; 0]);
        assert_eq!(said(191, 100, 200), ["the RRSIG of a. A ends in 9 s"]);
        assert_eq!(said(200, 100, 200), ["the RRSIG of a. A ends in 0 s"]);
        assert_eq!(said(201, 100, 200), ["the RRSIG of a. A expired 1 s ago"]);
    }

    #[test]
    fn an_old_signature_beside_one_that_holds_is_no_finding() {
        let (old, now, next) = (rrsig(100, 200), rrsig(150, 400), rrsig(350, 600));
        let said = |unix, all: &[Rrsig<'static>], standing| {
            let mut times = Times::new(Some(Clock { unix, near: Duration::from_secs(10) }));
            let all: Vec<_> = all.iter().map(|&rrsig| (rrsig, Place::default())).collect();
            times.note(b"\x01a\0", &all, standing);
            (times.ends().unwrap().0.unix, times.findings().1)
        };
        assert_eq!(said(300, &[old, now], 2), (400, 0));
        assert_eq!(said(300, &[now, next], 2), (400, 0));
        assert_eq!(said(300, &[next], 1), (600, 1));
        // What was not made by a key of the zone does not stand for what was.
        assert_eq!(said(300, &[old, now], 1), (200, 1));
    }

    #[test]
    fn a_key_whose_signature_over_the_keys_lapsed_is_told_beside_one_that_holds() {
        let of_key = |key_tag, inception, expiration| {
            let rrsig = Rrsig { covered: Rtype::DNSKEY, key_tag, ..rrsig(inception, expiration) };
            (rrsig, Place::default())
        };
        let said = |all: &[(Rrsig<'_>, Place)]| {
            let mut times = Times::new(Some(Clock { unix: 300, near: Duration::ZERO }));
            times.note_keys(b"\0", all);
            times.findings().0.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        let (old, now, next) = (of_key(1, 100, 200), of_key(2, 150, 400), of_key(2, 350, 600));
        assert_eq!(said(&[old, now, next]), ["the RRSIG of . DNSKEY by key 1 does not hold now"]);
        assert_eq!(said(&[of_key(1, 150, 400), now]), [""; 0]);
        assert_eq!(said(&[of_key(2, 100, 200), now]), [""; 0]);
        // Where none holds it was told already.
        assert_eq!(said(&[old, next]), [""; 0]);
    }

    #[test]
    fn times_go_on_beyond_the_year_2106() {
        let after = (1 << 32) + 50;
        assert_eq!(said(after, 4_294_967_200, 100), [""; 0]);
        assert_eq!(said(after, 4_294_967_200, 40), ["the RRSIG of a. A expired 10 s ago"]);
        let mut times = Times::new(Some(Clock { unix: after, near: Duration::ZERO }));
        times.note(b"\0", &[(rrsig(4_294_967_200, 100), Place::default())], 1);
        let (expiry, inception) = times.ends().unwrap();
        assert_eq!((expiry.unix, inception, times.seen()), ((1 << 32) + 100, 4_294_967_200, 1));
    }

    #[test]
    fn what_ended_is_told_before_what_ends_soon_and_both_are_bounded() {
        let mut times = Times::new(Some(Clock { unix: 1000, near: Duration::from_secs(100) }));
        for _ in 0..MAX_KEPT + 50 {
            times.note(b"\0", &[(rrsig(0, 1050), Place::default())], 1);
            times.note(b"\0", &[(rrsig(0, 999), Place::default())], 1);
        }
        let (findings, total) = times.findings();
        assert_eq!((findings.len(), total), (MAX_KEPT, 2 * (MAX_KEPT as u64 + 50)));
        assert!(findings.iter().all(|finding| finding.message.contains("expired")));
    }
}
