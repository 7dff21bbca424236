//! Whether the clock can be believed.
//!
//! Signatures are judged by a clock that may itself be wrong: after a power cut without a battery, before a time
//! server was reached, or because that server lies. A wrong clock is wrong for every zone at once, and acting
//! by it would refuse every push of a fleet. So the clock is looked at like any other witness. It is doubted
//!
//! 1. when it is before the newest signatures of zones that are served: they were made in its future;
//! 2. when it stepped against the monotonic clock since the last look, until it has run steadily for [`STEADY`];
//! 3. when by it the signatures of most zones had lapsed all at once: between two looks with a step in between, or
//!    at the first look; until they no longer have.
//!
//! Signatures that lapse one by one under a steady clock are what they seem. Everything else changes nothing.
//!
//! The machine reads no clock. The responder's keeper of zones steps it before each reload, and its own thread now
//! and then. While the clock is doubted, nothing is refused by it, and an alarm says so.

use std::fmt;
use std::time::Duration;

/// More than this between the two clocks since the last look is a step. Slewing moves a clock by half a thousandth,
/// and a virtual machine that moves to another host stops for seconds; signatures are made for days.
const STEP: Duration = Duration::from_secs(30);
/// So long after its last step a clock that ran steadily is believed again: by then a time server was reached, and
/// agreed or stepped again.
const STEADY: Duration = Duration::from_secs(600);
/// Zones with signatures from the future tell of the clock once they are one in so many. Fewer tell of their signer:
/// one customer's zone must not blind the checks of a thousand others.
const TELLING: usize = 10;

/// What was seen at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Look {
    /// The clock in question: time since 1970 (UTC).
    pub(crate) wall: Duration,
    /// What the zones in force say of it.
    pub(crate) evidence: Evidence,
}

/// Signed zones in force, counted by what the clock makes of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Evidence {
    /// All of them.
    pub(crate) signed: usize,
    /// Those with a signature that begins later.
    pub(crate) ahead: usize,
    /// Those with a signature that ended.
    pub(crate) lapsed: usize,
}

impl Evidence {
    fn tells_of_future(self) -> bool {
        self.ahead > 0 && self.ahead * TELLING >= self.signed
    }

    fn most_lapsed(self) -> bool {
        self.lapsed * 2 > self.signed
    }
}

/// Whether the clock is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// It is.
    Trusted,
    /// It is not, for this reason.
    Doubted(Doubt),
}

/// Why the clock is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    /// It is before signatures that zones in force have.
    Behind(Evidence),
    /// By it most zones' signatures lapsed at once.
    MostLapsed(Evidence),
    /// It stepped by so many seconds, forwards when positive.
    Stepped(i64),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(Evidence { signed, ahead, .. }) => {
                write!(f, "it is before the beginning of signatures of {ahead} of {signed} signed zones")
            }
            Self::MostLapsed(Evidence { signed, lapsed, .. }) => {
                write!(f, "by it signatures of {lapsed} of {signed} signed zones have ended all at once")
            }
            Self::Stepped(seconds) => {
                let way = if *seconds < 0 { "back" } else { "forwards" };
                write!(f, "it stepped {way} by {} s", seconds.unsigned_abs())
            }
        }
    }
}

/// The machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockWatch {
    last: Option<(Duration, Look)>,
    /// When it stepped last, and by how many seconds.
    stepped: Option<(Duration, i64)>,
    lapsed_at_once: bool,
}

impl ClockWatch {
    /// Takes a look at monotonic time `now`; says what to think of the clock from here on.
    pub(crate) fn step(&mut self, now: Duration, look: Look) -> Trust {
        let step =
            self.last.and_then(|(then, last)| step_seconds(now.saturating_sub(then), last.wall, look.wall));
        if let Some(seconds) = step {
            self.stepped = Some((now, seconds));
        } else if self.next_deadline().is_some_and(|deadline| now >= deadline) {
            self.stepped = None;
        }
        // Without signed zones there was nothing to see yet.
        let (were_good, is_first) = match self.last {
            Some((_, last)) => (!last.evidence.most_lapsed(), last.evidence.signed == 0),
            None => (true, true),
        };
        self.lapsed_at_once =
            look.evidence.most_lapsed() && (self.lapsed_at_once || were_good && (step.is_some() || is_first));
        self.last = Some((now, look));
        self.trust()
    }

    /// What the last look left.
    pub(crate) fn trust(&self) -> Trust {
        let evidence = self.last.map(|(_, look)| look.evidence).unwrap_or_default();
        if evidence.tells_of_future() {
            Trust::Doubted(Doubt::Behind(evidence))
        } else if self.lapsed_at_once {
            Trust::Doubted(Doubt::MostLapsed(evidence))
        } else if let Some((_, seconds)) = self.stepped {
            Trust::Doubted(Doubt::Stepped(seconds))
        } else {
            Trust::Trusted
        }
    }

    /// When a clock that stepped may be believed again; the other doubts end with what the zones say.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.stepped.map(|(at, _)| at + STEADY)
    }
}

/// By how many seconds the clock moved beyond the time that passed, if that is a step.
fn step_seconds(passed: Duration, last: Duration, wall: Duration) -> Option<i64> {
    let expected = last + passed;
    let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    if wall > expected + STEP {
        Some(seconds(wall - expected))
    } else if wall + STEP < expected {
        Some(-seconds(expected - wall))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const GOOD: Evidence = Evidence { signed: 4, ahead: 0, lapsed: 0 };

    /// A host whose two clocks move as the test says.
    #[derive(Default)]
    struct Host {
        watch: ClockWatch,
        monotonic: u64,
        offset: i64,
    }

    impl Host {
        fn new(evidence: Evidence) -> (Self, Trust) {
            let mut host = Self::default();
            let trust = host.look(0, evidence);
            (host, trust)
        }

        fn look(&mut self, seconds: u64, evidence: Evidence) -> Trust {
            self.monotonic += seconds;
            let wall = Duration::from_secs((NOW + self.monotonic).saturating_add_signed(self.offset));
            self.watch.step(Duration::from_secs(self.monotonic), Look { wall, evidence })
        }
    }

    #[test]
    fn a_steady_clock_among_good_zones_is_believed_from_the_start() {
        let (mut host, first) = Host::new(GOOD);
        assert_eq!(first, Trust::Trusted);
        assert!((0..1000).all(|_| host.look(10, GOOD) == Trust::Trusted));
        assert_eq!(host.watch.next_deadline(), None);
    }

    #[test]
    fn a_step_is_doubted_until_the_clock_has_run_steadily() {
        let (mut host, _) = Host::new(GOOD);
        host.offset = -3600;
        assert_eq!(host.look(10, GOOD), Trust::Doubted(Doubt::Stepped(-3600)));
        assert_eq!(host.watch.next_deadline(), Some(Duration::from_secs(10) + STEADY));
        assert_eq!(host.look(STEADY.as_secs() - 1, GOOD), Trust::Doubted(Doubt::Stepped(-3600)));
        assert_eq!(host.look(1, GOOD), Trust::Trusted);
    }

    #[test]
    fn a_second_step_starts_the_wait_anew() {
        let (mut host, _) = Host::new(GOOD);
        host.offset = 3600;
        host.look(10, GOOD);
        host.offset = 0;
        assert_eq!(host.look(STEADY.as_secs() - 1, GOOD), Trust::Doubted(Doubt::Stepped(-3600)));
        assert_eq!(host.look(STEADY.as_secs() - 1, GOOD), Trust::Doubted(Doubt::Stepped(-3600)));
        assert_eq!(host.look(1, GOOD), Trust::Trusted);
    }

    #[test]
    fn a_clock_that_is_slewed_or_pauses_for_a_moment_has_not_stepped() {
        let (mut host, _) = Host::new(GOOD);
        for _ in 0..1000 {
            host.offset += 20;
            assert_eq!(host.look(60, GOOD), Trust::Trusted);
        }
    }

    #[test]
    fn a_clock_before_the_signatures_in_force_is_doubted_for_as_long_as_it_is() {
        let behind = Evidence { ahead: 1, ..GOOD };
        let (mut host, first) = Host::new(behind);
        assert_eq!(first, Trust::Doubted(Doubt::Behind(behind)));
        assert_eq!(host.look(100_000, behind), Trust::Doubted(Doubt::Behind(behind)));
        assert_eq!(host.look(10, GOOD), Trust::Trusted);
    }

    #[test]
    fn one_signer_among_many_that_is_ahead_says_nothing_of_the_clock() {
        let (_, first) = Host::new(Evidence { signed: 1000, ahead: 99, lapsed: 0 });
        assert_eq!(first, Trust::Trusted);
        let (_, first) = Host::new(Evidence { signed: 1000, ahead: 100, lapsed: 0 });
        assert!(matches!(first, Trust::Doubted(Doubt::Behind(_))));
    }

    #[test]
    fn a_step_by_which_most_zones_lapse_is_doubted_until_they_no_longer_have() {
        let lapsed = Evidence { lapsed: 3, ..GOOD };
        let (mut host, _) = Host::new(GOOD);
        host.offset = 100_000_000;
        assert_eq!(host.look(10, lapsed), Trust::Doubted(Doubt::MostLapsed(lapsed)));
        assert_eq!(host.look(100 * STEADY.as_secs(), lapsed), Trust::Doubted(Doubt::MostLapsed(lapsed)));
        host.offset = 0;
        assert_eq!(host.look(10, GOOD), Trust::Doubted(Doubt::Stepped(-100_000_000)));
        assert_eq!(host.look(STEADY.as_secs(), GOOD), Trust::Trusted);
    }

    #[test]
    fn a_start_among_mostly_lapsed_zones_is_doubted() {
        let lapsed = Evidence { signed: 1, ahead: 0, lapsed: 1 };
        let (mut host, first) = Host::new(lapsed);
        assert_eq!(first, Trust::Doubted(Doubt::MostLapsed(lapsed)));
        assert_eq!(host.look(10, Evidence { lapsed: 0, ..lapsed }), Trust::Trusted);
    }

    #[test]
    fn signatures_that_lapse_under_a_steady_clock_have_lapsed() {
        let (mut host, _) = Host::new(GOOD);
        for lapsed in 1..=4 {
            assert_eq!(host.look(10, Evidence { lapsed, ..GOOD }), Trust::Trusted, "{lapsed}");
        }
        assert_eq!(host.look(100_000, Evidence { lapsed: 4, ..GOOD }), Trust::Trusted);
    }

    #[test]
    fn no_signed_zones_say_nothing() {
        let (mut host, first) = Host::new(Evidence::default());
        assert_eq!(first, Trust::Trusted);
        assert_eq!(host.look(10, Evidence::default()), Trust::Trusted);
    }

    #[test]
    fn a_doubt_says_what_was_seen() {
        assert_eq!(Doubt::Stepped(-90).to_string(), "it stepped back by 90 s");
        let seen = Evidence { signed: 7, ahead: 2, lapsed: 5 };
        assert!(Doubt::Behind(seen).to_string().contains("2 of 7"));
        assert!(Doubt::MostLapsed(seen).to_string().contains("5 of 7"));
    }
}
