//! Watches the data in force by the clock, and the clock by the data in force.
//!
//! Signatures end without any reload. So a thread of its own looks now and then at what is known of all zones: which
//! have signatures that end soon, have ended or begin only later, and what that says of the clock
//! ([`crate::clock`]). What changed since the last look becomes a [`Notice`] for the log; what is so now is asked for
//! by `/status` and the metrics. Nothing here touches the query path, takes a zone away or moves a route.
//!
//! [`Vigil`] is pure: the responder's handle gives it both clocks, and prints.

use std::collections::BTreeMap;
use std::time::Duration;

use pharos_zone::dnssec::{Clock, Signed};

use crate::clock::{ClockWatch, Evidence, Look, Trust};
use crate::status::{ClockStatus, SignedStatus};
use crate::zones::Entry;

/// Time between two looks: short beside any signature's life, and long beside the millisecond that a look at a hundred
/// thousand zones takes.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// Notices of zones that one look gives; the rest is counted. A clock that goes wrong concerns every zone at once.
const MAX_NOTICES: usize = 20;

/// Both clocks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// Since the responder started.
    pub(crate) monotonic: Duration,
    /// Since 1970 (UTC).
    pub(crate) wall: Duration,
}

/// How the signatures of a zone stand, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Standing {
    /// They hold, for a while yet; or there are none.
    Good,
    /// One of them ends soon.
    EndsSoon,
    /// One of them has ended or begins only later: validators refuse what it covers.
    Lapsed,
}

impl Standing {
    /// How `signed` stands by a clock.
    pub(crate) fn of(signed: Option<&SignedStatus>, clock: Clock) -> Self {
        match signed {
            None => Self::Good,
            // Both ends belong to a signature's time (RFC 4034 §3.1.5).
            Some(signed) if signed.earliest_expiry_unix < clock.unix => Self::Lapsed,
            Some(signed) if signed.latest_inception_unix > clock.unix => Self::Lapsed,
            Some(signed) if signed.earliest_expiry_unix - clock.unix < clock.near.as_secs() => Self::EndsSoon,
            Some(_) => Self::Good,
        }
    }
}

impl From<&Signed> for SignedStatus {
    fn from(signed: &Signed) -> Self {
        Self {
            earliest_expiry_unix: signed.earliest_expiry.unix,
            earliest_expiry_record: signed.earliest_expiry.record.clone(),
            latest_inception_unix: signed.latest_inception,
            signatures: signed.signatures,
            verified: signed.verified,
            unverifiable: signed.unverifiable,
        }
    }
}

/// What a person should know of a zone's signatures now; nothing when they stand well.
pub(crate) fn findings(signed: Option<&SignedStatus>, clock: Clock) -> Vec<String> {
    let Some(signed) = signed else { return Vec::new() };
    let mut findings = Vec::new();
    let (record, expiry) = (&signed.earliest_expiry_record, signed.earliest_expiry_unix);
    if expiry < clock.unix {
        let ago = span(clock.unix - expiry);
        findings.push(format!("the signature of {record} expired {ago} ago: sign the zone again"));
    } else if expiry - clock.unix < clock.near.as_secs() {
        let left = span(expiry - clock.unix);
        findings.push(format!("the signature of {record} ends in {left}: sign the zone again"));
    }
    if signed.latest_inception_unix > clock.unix {
        let wait = span(signed.latest_inception_unix - clock.unix);
        findings.push(format!(
            "signatures begin only in {wait}: compare the clocks here and where the zone is signed"
        ));
    }
    findings
}

/// Seconds as a person says them.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Something that changed since the last look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// The clock is no longer believed, for this reason.
    ClockDoubted(String),
    /// It is believed again.
    ClockTrusted,
    /// A zone's signatures stand worse than at the last look.
    Worse {
        /// The zone.
        zone: String,
        /// How they stand.
        standing: Standing,
        /// What was found.
        findings: Vec<String>,
    },
    /// A zone's signatures stand well again.
    Good(String),
    /// So many more zones changed.
    More(usize),
}

/// What the last looks saw.
#[derive(Debug, Default)]
pub(crate) struct Vigil {
    clock: ClockWatch,
    doubt: Option<String>,
    since: Duration,
    /// Zones of which something was told that is so still.
    told: BTreeMap<String, Standing>,
}

impl Vigil {
    /// Looks at all zones in force; a signature that ends within `near` ends soon.
    pub(crate) fn look(&mut self, now: Moment, near: Duration, zones: &[Entry]) -> Vec<Notice> {
        let clock = Clock { unix: now.wall.as_secs(), near };
        let mut notices = Vec::new();
        let evidence = evidence(zones, clock);
        let doubt = match self.clock.step(now.monotonic, Look { wall: now.wall, evidence }) {
            Trust::Trusted => None,
            Trust::Doubted(doubt) => Some(doubt.to_string()),
        };
        if doubt.is_some() != self.doubt.is_some() {
            self.since = now.monotonic;
            notices.push(doubt.clone().map_or(Notice::ClockTrusted, Notice::ClockDoubted));
        }
        self.doubt = doubt;
        if self.doubt.is_none() {
            self.tell(clock, zones, &mut notices);
        }
        notices
    }

    /// Adds what changed of zones, by a clock that is believed.
    fn tell(&mut self, clock: Clock, zones: &[Entry], notices: &mut Vec<Notice>) {
        let mut changed = Vec::new();
        for zone in zones {
            let standing = Standing::of(zone.signed(), clock);
            if standing == Standing::Good && self.told.is_empty() {
                continue;
            }
            let name = zone.name();
            let told = self.told.get(&name).copied().unwrap_or(Standing::Good);
            if standing > told {
                let findings = findings(zone.signed(), clock);
                changed.push(Notice::Worse { zone: name.clone(), standing, findings });
            } else if standing == Standing::Good && told != standing {
                changed.push(Notice::Good(name.clone()));
            }
            match standing {
                Standing::Good => drop(self.told.remove(&name)),
                _ if standing != told => drop(self.told.insert(name, standing)),
                _ => {}
            }
        }
        let more = changed.len().saturating_sub(MAX_NOTICES);
        changed.truncate(MAX_NOTICES);
        notices.extend(changed);
        if more > 0 {
            notices.push(Notice::More(more));
        }
    }

    /// Whether the clock is believed, as of the last look.
    pub(crate) fn is_trusted(&self) -> bool {
        self.doubt.is_none()
    }

    /// The same, for people.
    pub(crate) fn clock(&self, now: Duration) -> ClockStatus {
        ClockStatus {
            trusted: self.is_trusted(),
            doubt: self.doubt.clone(),
            for_seconds: now.saturating_sub(self.since).as_secs(),
        }
    }
}

fn evidence(zones: &[Entry], clock: Clock) -> Evidence {
    let mut evidence = Evidence::default();
    for signed in zones.iter().filter_map(Entry::signed) {
        evidence.signed += 1;
        evidence.ahead += usize::from(signed.latest_inception_unix > clock.unix);
        evidence.lapsed += usize::from(signed.earliest_expiry_unix < clock.unix);
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{ZoneLife, ZoneStatus};

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;
    const WEEK: Duration = Duration::from_secs(7 * DAY);

    fn signed(from: u64, to: u64) -> SignedStatus {
        SignedStatus {
            earliest_expiry_unix: to,
            earliest_expiry_record: "www.a. A".into(),
            latest_inception_unix: from,
            signatures: 9,
            verified: 9,
            unverifiable: 0,
        }
    }

    fn zone(name: &str, signed: Option<SignedStatus>) -> Entry {
        Entry::from(ZoneStatus {
            name: name.into(),
            state: ZoneLife::Live,
            serial: Some(1),
            records: 1,
            octets: 1,
            loaded_unix: Some(0),
            load_ms: 0,
            file: String::new(),
            from_image: false,
            refusal: None,
            refused_unix: None,
            digest: None,
            warnings: 0,
            signed,
            findings: Vec::new(),
        })
    }

    fn at(seconds: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(seconds), wall: Duration::from_secs(NOW + seconds) }
    }

    #[test]
    fn a_zone_nears_its_end_and_expires_without_any_reload() {
        let zones = [
            zone("a.", Some(signed(NOW - DAY, NOW + 8 * DAY))),
            zone("b.", Some(signed(NOW - DAY, NOW + 100 * DAY))),
            zone("c.", Some(signed(NOW - DAY, NOW + 100 * DAY))),
            zone("unsigned.", None),
        ];
        let mut vigil = Vigil::default();
        assert_eq!(vigil.look(at(0), WEEK, &zones), []);
        let near = vigil.look(at(DAY + 1), WEEK, &zones);
        let Some(Notice::Worse { zone, standing: Standing::EndsSoon, findings }) = near.first() else {
            panic!("{near:?}")
        };
        assert_eq!((zone.as_str(), near.len()), ("a.", 1));
        assert_eq!(findings, &["the signature of www.a. A ends in 6 days: sign the zone again"]);
        assert_eq!(vigil.look(at(DAY + 6), WEEK, &zones), [], "it is told once");
        let ended = vigil.look(at(8 * DAY + 1), WEEK, &zones);
        assert!(matches!(&ended[..], [Notice::Worse { standing: Standing::Lapsed, .. }]), "{ended:?}");
        let anew = [zone_of("a.", NOW + 100 * DAY)];
        assert_eq!(vigil.look(at(8 * DAY + 2), WEEK, &anew), [Notice::Good("a.".into())]);
    }

    fn zone_of(name: &str, to: u64) -> Entry {
        zone(name, Some(signed(NOW - DAY, to)))
    }

    #[test]
    fn by_a_doubted_clock_no_zone_is_called_bad() {
        let zones = [zone_of("a.", NOW + 8 * DAY), zone_of("b.", NOW + 8 * DAY)];
        let mut vigil = Vigil::default();
        vigil.look(at(0), WEEK, &zones);
        let stepped =
            Moment { monotonic: Duration::from_secs(5), wall: Duration::from_secs(NOW + 1000 * DAY) };
        let notices = vigil.look(stepped, WEEK, &zones);
        let [Notice::ClockDoubted(why)] = &notices[..] else { panic!("{notices:?}") };
        assert!(why.contains("2 of 2"), "{why}");
        assert!(!vigil.is_trusted());
        let status = vigil.clock(Duration::from_secs(65));
        assert_eq!((status.trusted, status.for_seconds), (false, 60));
        // Mended, and steady for long enough.
        assert_eq!(vigil.look(at(10), WEEK, &zones), []);
        assert_eq!(vigil.look(at(1000), WEEK, &zones), [Notice::ClockTrusted]);
    }

    #[test]
    fn of_many_zones_only_some_are_named() {
        let zones: Vec<_> = (0..1000).map(|n| zone_of(&format!("{n}."), NOW + 8 * DAY)).collect();
        let mut vigil = Vigil::default();
        vigil.look(at(0), WEEK, &zones);
        let notices = vigil.look(at(2 * DAY), WEEK, &zones);
        assert_eq!(notices.len(), MAX_NOTICES + 1);
        assert_eq!(notices.last(), Some(&Notice::More(1000 - MAX_NOTICES)));
    }

    #[test]
    fn standing_changes_with_the_very_second() {
        let standing =
            |unix| Standing::of(Some(&signed(100, 200)), Clock { unix, near: Duration::from_secs(10) });
        let all = [99, 100, 190, 191, 200, 201].map(standing);
        use Standing::{EndsSoon, Good, Lapsed};
        assert_eq!(all, [Lapsed, Good, Good, EndsSoon, EndsSoon, Lapsed]);
        assert_eq!(findings(Some(&signed(100, 200)), Clock { unix: 99, near: Duration::ZERO }).len(), 1);
    }
}
