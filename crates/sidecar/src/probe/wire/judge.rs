//! What a round of wire probes says, given what this node asks of the network.
//!
//! | round | at level normal | at a worse level | withdrawn, or nobody is told |
//! |---|---|---|---|
//! | the bounded query is answered by this node | warn | warn | warn |
//! | some answer by this node | pass | pass | pass |
//! | answers by siblings alone | nothing | nothing | nothing |
//! | an answer by anybody else, a refusal, no way out, no answer | fail | *blind* | nothing |
//!
//! Who asks for less may get just that: the router prefers another POP, whose answer, or whose silence to an address
//! that it does not know, tells nothing of the way here. A blind round is nothing observed where the probe was good or
//! unknown: a node that is drained, or less preferred for another reason, has no second fault. Where it was bad the node
//! would wait for ever to be seen well again. So there is a *trial*:
//!
//! | sight | round | then |
//! |---|---|---|
//! | clear | blind, and the probe is bad | blind from now on; fail |
//! | blind | blind, for less than the wait | fail |
//! | blind | blind, for the wait | trial; the next wait is twice as long, at most [`LONGEST`]; warn |
//! | trial, or clear and the probe is warned | blind | trial; warn |
//! | any | another | clear |
//!
//! A warning asks for nothing, so after the hold-down the level is normal, the router sends queries here again, and rounds
//! are worth something. After [`CALM`] of passes the first wait counts anew; so it does in a process that takes over.
//! Everything else changes nothing.
//!
//! Pure: the loop of [`super::Wire`] calls it, with the time.

use std::net::IpAddr;
use std::time::Duration;

use pharos_policy::{Health, Level, Observation};

/// The longest wait for a trial: a path that is dead for good then costs the clients of this POP a quarter of a minute
/// in an hour, and one that was mended unseen is used again within that hour.
const LONGEST: Duration = Duration::from_secs(3600);
/// So long must the probe have been good for the next trial to come soon again: longer than a path that loses a share of
/// its packets takes to be found out.
const CALM: Duration = Duration::from_secs(600);

/// What came of one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Us,
    Sibling,
    /// Somebody said something else, or the query could not be sent.
    Wrong(String),
    Nothing,
    /// A router said that the bounded query has come to its end.
    Router,
}

/// What this node asks of the network for the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All traffic: what comes for the address by the router comes here.
    All,
    /// Less than that: it may go elsewhere.
    Less,
    /// None: the prefix is withdrawn, or no session is up by which anybody could be told.
    None,
}

impl Asked {
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::Normal => Self::All,
            Level::Degraded | Level::LastResort | Level::Draining => Self::Less,
            Level::Withdrawn => Self::None,
        }
    }
}

/// A round as it was heard.
pub(super) struct Round<'a> {
    pub(super) interface: &'a str,
    pub(super) address: IpAddr,
    pub(super) heard: &'a [Heard],
    pub(super) bounded: &'a Heard,
}

/// Whether what the rounds say can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Clear,
    /// Since then.
    Blind(Duration),
    Trial,
}

/// The machine of one address.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    first: Duration,
    wait: Duration,
    sight: Sight,
    /// Since when there has been nothing but passes.
    calm: Option<Duration>,
}

impl Judge {
    /// The first trial comes after `first`.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, wait: first, sight: Sight::Clear, calm: None }
    }

    /// What a round at `now` says, where the probe's verdict is `health` so far.
    pub(super) fn round(
        &mut self,
        now: Duration,
        round: &Round<'_>,
        asked: Asked,
        health: Health,
    ) -> Option<Observation> {
        match (round.seen()?, asked) {
            (Observation::Fail(why), Asked::Less) => self.blind(now, &why, health),
            (Observation::Fail(_), Asked::None) => {
                self.sight = Sight::Clear;
                None
            }
            (observation, _) => {
                self.sight = Sight::Clear;
                self.count_calm(now, &observation);
                Some(observation)
            }
        }
    }

    fn blind(&mut self, now: Duration, why: &str, health: Health) -> Option<Observation> {
        self.calm = None;
        match self.sight {
            Sight::Clear if health.is_bad() => self.sight = Sight::Blind(now),
            Sight::Clear if health == Health::Warned => self.sight = Sight::Trial,
            Sight::Blind(since) if now >= since.saturating_add(self.wait) => {
                self.wait = self.wait.saturating_mul(2).min(LONGEST);
                self.sight = Sight::Trial;
            }
            Sight::Clear | Sight::Blind(_) | Sight::Trial => {}
        }
        match self.sight {
            Sight::Clear => None,
            Sight::Blind(_) => {
                Some(Observation::Fail(format!("{why}; this node asks for less, so others may be meant")))
            }
            Sight::Trial => Some(Observation::Warn(format!(
                "{why}; that is tried at level normal, where this node is meant"
            ))),
        }
    }

    fn count_calm(&mut self, now: Duration, observation: &Observation) {
        if !matches!(observation, Observation::Pass(_)) {
            self.calm = None;
            return;
        }
        let since = *self.calm.get_or_insert(now);
        if now >= since.saturating_add(CALM) {
            self.wait = self.first;
        }
    }
}

impl Round<'_> {
    /// What it says of a node that is meant.
    fn seen(&self) -> Option<Observation> {
        let Self { interface, address, heard, bounded } = *self;
        if *bounded == Heard::Us {
            return Some(Observation::Warn(format!(
                "queries do not leave this host: is {address} an address of {interface}? it belongs on lo"
            )));
        }
        if heard.contains(&Heard::Us) {
            let lost = heard.iter().filter(|heard| **heard == Heard::Nothing).count();
            let but = if lost == 0 { String::new() } else { format!(", but {lost} of {}", heard.len()) };
            return Some(Observation::Pass(format!("answered by way of {interface}{but}")));
        }
        if let Some(Heard::Wrong(why)) = heard.iter().find(|heard| matches!(heard, Heard::Wrong(_))) {
            return Some(Observation::Fail(format!("by way of {interface}: {why}")));
        }
        if heard.contains(&Heard::Sibling) {
            return None;
        }
        let router = match bounded {
            Heard::Router => ", though the router hears this node",
            _ => "",
        };
        Some(Observation::Fail(format!("no answer by way of {interface}{router}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(30);

    fn round<'a>(heard: &'a [Heard], bounded: &'a Heard) -> Round<'a> {
        Round { interface: "eth0", address: [192, 0, 2, 53].into(), heard, bounded }
    }

    fn judged(heard: &[Heard], bounded: Heard) -> Option<Observation> {
        Judge::new(FIRST).round(Duration::ZERO, &round(heard, &bounded), Asked::All, Health::Good)
    }

    fn wrong() -> Heard {
        Heard::Wrong("NSID says b.fra, this node is a.ams".into())
    }

    fn fail(text: &str) -> Option<Observation> {
        Some(Observation::Fail(text.to_owned()))
    }

    #[test]
    fn one_answer_of_this_node_is_a_pass_unless_the_query_never_left() {
        let heard = [Heard::Sibling, wrong(), Heard::Us, Heard::Nothing];
        let pass = Observation::Pass("answered by way of eth0, but 1 of 4".into());
        assert_eq!(judged(&heard, Heard::Nothing), Some(pass));
        assert!(matches!(judged(&heard, Heard::Us), Some(Observation::Warn(_))));
    }

    #[test]
    fn siblings_alone_prove_nothing_and_strangers_are_a_failure() {
        assert_eq!(judged(&[Heard::Nothing, Heard::Sibling], Heard::Router), None);
        let text = "by way of eth0: NSID says b.fra, this node is a.ams";
        assert_eq!(judged(&[Heard::Sibling, wrong()], Heard::Nothing), fail(text));
    }

    #[test]
    fn a_failure_says_whether_the_router_hears_us() {
        assert_eq!(judged(&[Heard::Nothing], Heard::Nothing), fail("no answer by way of eth0"));
        let heard = "no answer by way of eth0, though the router hears this node";
        assert_eq!(judged(&[Heard::Nothing], Heard::Router), fail(heard));
    }

    /// A judge, and the time: one round a second.
    struct Bench(Judge, Duration);

    impl Bench {
        fn new() -> Self {
            Self(Judge::new(FIRST), Duration::ZERO)
        }

        fn hears(&mut self, heard: &Heard, asked: Asked, health: Health) -> Option<Observation> {
            self.1 += Duration::from_secs(1);
            self.0.round(self.1, &round(std::slice::from_ref(heard), &Heard::Nothing), asked, health)
        }

        /// Blind rounds of a bad probe until the first warning: how many there were.
        fn until_trial(&mut self) -> u64 {
            let blind = |_: &u64| {
                matches!(self.hears(&wrong(), Asked::Less, Health::Bad), Some(Observation::Fail(_)))
            };
            (1..10_000).take_while(blind).count() as u64
        }
    }

    #[test]
    fn others_that_answer_for_a_node_which_asks_for_less_are_no_fault_of_it() {
        let mut bench = Bench::new();
        for health in [Health::Good, Health::Unknown] {
            for heard in [wrong(), Heard::Nothing] {
                assert_eq!(bench.hears(&heard, Asked::Less, health), None, "{heard:?}");
                assert_eq!(bench.hears(&heard, Asked::None, health), None, "{heard:?}");
            }
        }
        for asked in [Asked::Less, Asked::None] {
            assert!(matches!(bench.hears(&Heard::Us, asked, Health::Good), Some(Observation::Pass(_))));
        }
        assert!(matches!(bench.hears(&wrong(), Asked::All, Health::Good), Some(Observation::Fail(_))));
        assert_eq!(bench.hears(&Heard::Nothing, Asked::None, Health::Bad), None, "withdrawn, none is meant");
    }

    #[test]
    fn a_bad_path_that_cannot_be_looked_at_is_tried_later_and_later() {
        let mut bench = Bench::new();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(bench.until_trial());
            // Once begun, a trial goes on whatever the verdict has become.
            for health in [Health::Bad, Health::Warned, Health::Warned] {
                assert!(matches!(bench.hears(&wrong(), Asked::Less, health), Some(Observation::Warn(_))));
            }
            // At level normal it is as bad as it was.
            assert_eq!(
                bench.hears(&Heard::Nothing, Asked::All, Health::Warned),
                fail("no answer by way of eth0")
            );
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_path_that_has_been_good_for_a_while_is_tried_soon_again_and_one_that_wavers_is_not() {
        let mut bench = Bench::new();
        assert_eq!(bench.until_trial(), 30);
        for _ in 0..300 {
            bench.hears(&Heard::Us, Asked::All, Health::Good);
        }
        bench.hears(&Heard::Nothing, Asked::All, Health::Good);
        for _ in 0..300 {
            bench.hears(&Heard::Us, Asked::All, Health::Good);
        }
        assert_eq!(bench.until_trial(), 60);
        for _ in 0..=CALM.as_secs() {
            bench.hears(&Heard::Us, Asked::All, Health::Good);
        }
        assert_eq!(bench.until_trial(), 30);
    }

    #[test]
    fn an_answer_by_this_node_ends_a_trial_at_any_level() {
        let mut bench = Bench::new();
        bench.until_trial();
        assert!(matches!(bench.hears(&Heard::Us, Asked::Less, Health::Bad), Some(Observation::Pass(_))));
        assert_eq!(bench.hears(&wrong(), Asked::Less, Health::Good), None);
    }
}
