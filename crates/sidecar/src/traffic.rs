//! How many client queries come for each prefix, and whether they followed what the routers were told.
//!
//! A level is a request: routers may not honour it. So the rate of real queries from before a change of level is
//! remembered and held against the rate after it.
//!
//! | after | queries have followed when |
//! |---|---|
//! | degraded, last resort | at most [`MOVED`] of those before still come |
//! | draining, withdrawn | next to none come |
//! | a better level | some come |
//!
//! For [`Patience`] after a change nobody judges: routes and resolvers take their time. Where next to nothing came
//! before a change for the worse there is nothing to follow. Pure: times come in as arguments. Fed by the keeper,
//! which knows levels, and by `responder/load.rs`, which reads counters.

use std::collections::BTreeMap;
use std::time::Duration;

use pharos_policy::explain::{Followed, TrafficView};
use pharos_policy::{Level, Prefix};

use crate::config::{Patience, Quiet};

/// What is left of the queries of before where those who can be asked to have gone elsewhere: some networks have no
/// other way, most do.
const MOVED: f64 = 0.5;
/// A rate is told as the mean of about so many seconds, unless next to nothing comes.
const MEAN_SECONDS: f64 = 3.0;

/// The traffic of all prefixes.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Fewer queries a second are next to none.
    quiet: f64,
    patience: Duration,
    flows: BTreeMap<Prefix, Flow>,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    rate: f64,
    at: Duration,
    turn: Option<Turn>,
}

/// The last change of level.
#[derive(Clone, Copy, Debug)]
struct Turn {
    at: Duration,
    from: Level,
    to: Level,
    before: f64,
}

impl Traffic {
    /// Nothing is known yet.
    pub(crate) fn new(quiet: Quiet, patience: Patience) -> Self {
        Self { quiet: f64::from(quiet.0), patience: patience.0, flows: BTreeMap::new() }
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
            // What is worse step by step is held against what came before the first.
            let before = match flow.turn {
                Some(turn) if turn.to > turn.from && to > from => turn.before,
                _ => flow.rate,
            };
            flow.turn = Some(Turn { at: now, from, to, before });
        }
    }

    /// What is known of one prefix; `None` before the first measurement.
    pub(crate) fn view(&self, now: Duration, prefix: Prefix) -> Option<TrafficView> {
        let flow = self.flows.get(&prefix)?;
        Some(TrafficView {
            queries_per_second: flow.rate,
            age: now.saturating_sub(flow.at),
            before_per_second: flow.turn.map(|turn| turn.before),
            followed: flow.turn.and_then(|turn| self.followed(now, flow.rate, turn)),
        })
    }

    fn followed(&self, now: Duration, rate: f64, turn: Turn) -> Option<Followed> {
        let worse = turn.to > turn.from;
        if worse && turn.before < self.quiet {
            return None;
        }
        let has = match turn.to {
            _ if !worse => rate >= self.quiet,
            Level::Draining | Level::Withdrawn => rate < self.quiet,
            _ => rate <= turn.before * MOVED,
        };
        Some(if has {
            Followed::Yes
        } else if now < turn.at.saturating_add(self.patience) {
            Followed::NotYet
        } else {
            Followed::No
        })
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
        let mut traffic = Traffic::new(Quiet(1), Patience::default());
        (0..60).for_each(|at| traffic.measured(S(at), prefix(), 1000.0));
        traffic.moved(S(60), prefix(), Level::Normal, to);
        traffic
    }

    fn followed(traffic: &Traffic, at: u64) -> Option<Followed> {
        traffic.view(S(at), prefix()).unwrap().followed
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
        assert_eq!(followed(&traffic, 501), Some(Followed::Yes));
    }

    #[test]
    fn where_nothing_came_there_is_nothing_to_follow() {
        let mut traffic = Traffic::new(Quiet(1), Patience::default());
        traffic.moved(S(0), prefix(), Level::Withdrawn, Level::Normal);
        assert_eq!(traffic.view(S(1), prefix()), None);
        traffic.measured(S(1), prefix(), 0.3);
        traffic.moved(S(2), prefix(), Level::Normal, Level::Withdrawn);
        assert_eq!(followed(&traffic, 999), None);
    }
}
