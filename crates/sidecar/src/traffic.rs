//! How many client queries come for each prefix, and whether they followed what the routers were told.
//!
//! A level is a request: routers may not honour it. So the rate of real queries from before a change of level is
//! remembered and held against the rate after it.
//!
//! | after | queries have followed when |
//! |---|---|
//! | degraded, last resort | at most [`MOVED`] of those before still come |
//! | draining, withdrawn | next to none come |
//! | a better level, not the best | some come |
//! | normal | [`RETURNED`] of those come again that came before it last got worse, and some |
//!
//! For [`Patience`] after a change nobody judges: routes and resolvers take their time. Where next to nothing came
//! before a change for the worse there is nothing to follow, nor after a return where next to nothing came before it
//! left, or was never seen to. What was counted before a change says nothing of it.
//!
//! Pure: times come in as arguments. Fed by the keeper, which knows levels, and by `responder/load.rs`, which reads
//! counters.

use std::collections::BTreeMap;
use std::time::Duration;

use pharos_policy::explain::{Followed, TrafficView};
use pharos_policy::{Level, Prefix};
use serde::{Deserialize, Serialize};

use crate::config::{Patience, Quiet};

/// What is left of the queries of before where those who can be asked to have gone elsewhere: some networks have no
/// other way, most do.
const MOVED: f64 = 0.5;
/// What is back of the queries of before where all may come again: at night a tenth come of those by day.
const RETURNED: f64 = 0.1;
/// A rate is told as the mean of about so many seconds, unless next to nothing comes.
const MEAN_SECONDS: f64 = 3.0;

/// The traffic of all prefixes.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Fewer queries a second are next to none.
    quiet: f64,
    patience: Duration,
    flows: Flows,
}

/// What has been counted: the part that outlives a process.
pub(crate) type Flows = BTreeMap<Prefix, Flow>;

/// The queries of one prefix.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    rate: f64,
    at: Duration,
    turn: Option<Turn>,
}

/// The last change of level.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Turn {
    at: Duration,
    from: Level,
    to: Level,
    /// What came right before it; where it got worse step by step, before the first of them.
    before: f64,
    /// What came before it last got worse: what may come back.
    usual: f64,
}

impl Turn {
    fn is_for_the_worse(&self) -> bool {
        self.to > self.from
    }
}

impl Traffic {
    /// Goes on from what the process before has counted, by the same clock; from nothing where there was none.
    pub(crate) fn new(quiet: Quiet, patience: Patience, flows: Flows) -> Self {
        Self { quiet: f64::from(quiet.0), patience: patience.0, flows }
    }

    /// What the next process goes on from.
    pub(crate) fn flows(&self) -> Flows {
        self.flows.clone()
    }

    /// So many queries a second came since the last time.
    pub(crate) fn measured(&mut self, now: Duration, prefix: Prefix, rate: f64) {
        let flow = self.flows.entry(prefix).or_insert(Flow { rate, at: now, turn: None });
        let weight = 1.0 - (-now.saturating_sub(flow.at).as_secs_f64() / MEAN_SECONDS).exp();
        flow.rate = if rate < self.quiet { rate } else { flow.rate + (rate - flow.rate) * weight };
        flow.at = now;
    }

    /// A prefix has another level.
    pub(crate) fn moved(&mut self, now: Duration, prefix: Prefix, from: Level, to: Level) {
        if let Some(flow) = self.flows.get_mut(&prefix) {
            let mut turn = Turn { at: now, from, to, before: flow.rate, usual: 0.0 };
            match (flow.turn, turn.is_for_the_worse()) {
                (Some(last), true) if last.is_for_the_worse() => {
                    (turn.before, turn.usual) = (last.before, last.usual);
                }
                (_, true) => turn.usual = turn.before,
                (last, false) => turn.usual = last.map_or(0.0, |last| last.usual),
            }
            flow.turn = Some(turn);
        }
    }

    /// What is known of one prefix; `None` before the first measurement.
    pub(crate) fn view(&self, now: Duration, prefix: Prefix) -> Option<TrafficView> {
        let flow = self.flows.get(&prefix)?;
        Some(TrafficView {
            queries_per_second: flow.rate,
            age: now.saturating_sub(flow.at),
            before_per_second: flow.turn.map(|turn| turn.before),
            followed: self.followed(now, flow),
        })
    }

    /// The level for which fewer queries should come than do, although they have had the time to go elsewhere.
    pub(crate) fn unheeded(&self, now: Duration, prefix: Prefix) -> Option<Level> {
        let flow = self.flows.get(&prefix)?;
        let turn = flow.turn.filter(Turn::is_for_the_worse)?;
        (self.followed(now, flow) == Some(Followed::No)).then_some(turn.to)
    }

    fn followed(&self, now: Duration, flow: &Flow) -> Option<Followed> {
        let turn = flow.turn?;
        let some_come = flow.rate >= self.quiet;
        let has = match turn.to {
            Level::Normal => some_come && flow.rate >= turn.usual * RETURNED,
            _ if !turn.is_for_the_worse() => some_come,
            Level::Draining | Level::Withdrawn => !some_come,
            _ => flow.rate <= turn.before * MOVED,
        };
        if has && flow.at > turn.at && (some_come || turn.usual >= self.quiet) {
            Some(Followed::Yes)
        } else if turn.usual < self.quiet {
            None
        } else if now < turn.at.saturating_add(self.patience) {
            Some(Followed::NotYet)
        } else {
            Some(Followed::No)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn prefix() -> Prefix {
        "192.0.2.0/24".parse().unwrap()
    }

    /// A thousand queries a second for a minute, then a change of level.
    fn turned(to: Level) -> Traffic {
        let mut traffic = Traffic::new(Quiet(1), Patience::default(), Flows::new());
        (0..60).for_each(|at| traffic.measured(S(at), prefix(), 1000.0));
        traffic.moved(S(60), prefix(), Level::Normal, to);
        traffic
    }

    fn followed(traffic: &Traffic, at: u64) -> Option<Followed> {
        traffic.view(S(at), prefix()).unwrap().followed
    }

    #[test]
    fn who_takes_over_goes_on_from_what_was_counted() {
        let mut traffic = turned(Level::Degraded);
        traffic.measured(S(61), prefix(), 1000.0);
        let text = serde_json::to_vec(&traffic.flows()).unwrap();
        let next = Traffic::new(Quiet(1), Patience::default(), serde_json::from_slice(&text).unwrap());
        let [before, after] = [&traffic, &next].map(|one| one.view(S(62), prefix()).unwrap());
        assert_eq!(after.followed, Some(Followed::NotYet));
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    #[test]
    fn traffic_that_goes_after_a_withdrawal_has_followed() {
        let mut traffic = turned(Level::Withdrawn);
        assert_eq!(followed(&traffic, 61), Some(Followed::NotYet));
        (61..120).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        assert_eq!(followed(&traffic, 120), Some(Followed::Yes));
        assert_eq!(traffic.view(S(120), prefix()).unwrap().before_per_second, Some(1000.0));
    }

    #[test]
    fn traffic_that_stays_has_not_followed_once_patience_is_over() {
        for to in [Level::Degraded, Level::LastResort, Level::Withdrawn] {
            let mut traffic = turned(to);
            (61..400).for_each(|at| traffic.measured(S(at), prefix(), 900.0));
            assert_eq!(followed(&traffic, 300), Some(Followed::NotYet));
            assert_eq!(followed(&traffic, 400), Some(Followed::No));
        }
    }

    #[test]
    fn half_of_it_is_enough_for_a_level_that_still_answers() {
        let mut traffic = turned(Level::Degraded);
        (61..400).for_each(|at| traffic.measured(S(at), prefix(), 400.0));
        assert_eq!(followed(&traffic, 400), Some(Followed::Yes));
        traffic.moved(S(400), prefix(), Level::Degraded, Level::Withdrawn);
        let view = traffic.view(S(400), prefix()).unwrap();
        assert_eq!(view.before_per_second, Some(1000.0), "it is held against what came before it got worse");
        traffic.moved(S(500), prefix(), Level::Withdrawn, Level::Normal);
        assert_eq!(followed(&traffic, 500), Some(Followed::NotYet), "what was counted before says nothing");
        traffic.measured(S(501), prefix(), 400.0);
        assert_eq!(followed(&traffic, 501), Some(Followed::Yes));
    }

    #[test]
    fn a_return_waits_for_the_queries_that_came_before_it_left() {
        let mut traffic = turned(Level::Withdrawn);
        (61..120).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        traffic.moved(S(120), prefix(), Level::Withdrawn, Level::Degraded);
        assert_eq!(traffic.view(S(120), prefix()).unwrap().before_per_second, Some(0.0));
        traffic.moved(S(130), prefix(), Level::Degraded, Level::Normal);
        (121..500).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        assert_eq!(followed(&traffic, 131), Some(Followed::NotYet));
        assert_eq!(followed(&traffic, 500), Some(Followed::No));
        traffic.measured(S(501), prefix(), 900.0);
        assert_eq!(followed(&traffic, 501), Some(Followed::Yes));
    }

    #[test]
    fn a_few_queries_of_a_thousand_are_no_return_to_normal() {
        let mut traffic = turned(Level::Withdrawn);
        (61..120).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        traffic.moved(S(120), prefix(), Level::Withdrawn, Level::Normal);
        (121..500).for_each(|at| traffic.measured(S(at), prefix(), 20.0));
        assert_eq!(followed(&traffic, 130), Some(Followed::NotYet));
        assert_eq!(followed(&traffic, 499), Some(Followed::No));
        (500..600).for_each(|at| traffic.measured(S(at), prefix(), 110.0));
        assert_eq!(followed(&traffic, 599), Some(Followed::Yes));
    }

    #[test]
    fn where_nobody_ever_asked_a_return_has_nothing_to_wait_for() {
        let mut traffic = Traffic::new(Quiet(1), Patience::default(), Flows::new());
        traffic.measured(S(0), prefix(), 0.0);
        traffic.moved(S(1), prefix(), Level::Withdrawn, Level::Normal);
        traffic.measured(S(2), prefix(), 0.0);
        assert_eq!((followed(&traffic, 2), followed(&traffic, 999)), (None, None));
        traffic.measured(S(1000), prefix(), 5.0);
        assert_eq!(followed(&traffic, 1000), Some(Followed::Yes), "who comes after all has followed");
    }

    #[test]
    fn only_a_change_for_the_worse_can_go_unheeded() {
        let mut traffic = turned(Level::Withdrawn);
        (61..120).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        traffic.moved(S(120), prefix(), Level::Withdrawn, Level::Degraded);
        (121..500).for_each(|at| traffic.measured(S(at), prefix(), 0.0));
        assert_eq!(followed(&traffic, 500), Some(Followed::No));
        assert_eq!(traffic.unheeded(S(500), prefix()), None, "nobody came back, so nobody is too many");
        let mut traffic = turned(Level::Degraded);
        (61..500).for_each(|at| traffic.measured(S(at), prefix(), 900.0));
        assert_eq!(traffic.unheeded(S(300), prefix()), None);
        assert_eq!(traffic.unheeded(S(500), prefix()), Some(Level::Degraded));
    }

    #[test]
    fn where_nothing_came_there_is_nothing_to_follow() {
        let mut traffic = Traffic::new(Quiet(1), Patience::default(), Flows::new());
        traffic.moved(S(0), prefix(), Level::Withdrawn, Level::Normal);
        assert_eq!(traffic.view(S(1), prefix()), None);
        traffic.measured(S(1), prefix(), 0.3);
        traffic.moved(S(2), prefix(), Level::Normal, Level::Withdrawn);
        assert_eq!(followed(&traffic, 999), None);
    }
}
