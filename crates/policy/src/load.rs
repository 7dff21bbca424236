//! Overload told from a stuck worker: drops that rise, held against heartbeats.
//!
//! Both look alike from outside: queries go unanswered and the kernel counts drops. They call for opposite
//! reactions. A node that is overloaded answers as many as it can, and its withdrawal would send the flood to
//! the next one; a worker that is stuck answers nobody of its share, and stays so. What tells them apart is
//! whether those who empty the queues still run.
//!
//! Called by whoever reads the responder's status, once for each reading. It sees the counters by the names
//! that the responder gives them, and gives two observations: one for [`SignalId::Heartbeats`] and one for
//! [`SignalId::Overload`].
//!
//! # Transition table
//!
//! | heartbeats | drops since the last reading | heartbeats observed | overload observed |
//! |---|---|---|---|
//! | all fresh | none | pass | pass |
//! | all fresh | some | pass | fail |
//! | one late | any | warn: overload then explains no unanswered probe | pass: the drops may be the late one's |
//! | one stuck beyond its bound | any | fail | pass: the drops are the stuck one's |
//! | none told | any | nothing | nothing: who empties the queues is not known |
//!
//! *Late* is far sooner than stuck: a worker that has not run for a second answers nobody meanwhile, and whether it
//! ever will is not known, so whoever is unanswered is no longer taken for crowded out.
//!
//! A first reading, and one whose counters are smaller than the last (a new process), has no drops.
//!
//! [`SignalId::Heartbeats`]: crate::SignalId::Heartbeats
//! [`SignalId::Overload`]: crate::SignalId::Overload

use std::collections::BTreeMap;
use std::time::Duration;

use crate::signal::Observation;

/// One who empties queues: a worker, or the owner of an XDP queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its name in the responder's status: `worker 3`.
    pub name: String,
    /// How long ago it last went round its loop.
    pub age: Duration,
}

/// One reading of the responder's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Counters of what was dropped before anybody could answer, by name: `socket drops`, `ring drops`.
    pub drops: BTreeMap<String, u64>,
    /// Everybody who empties queues.
    pub heartbeats: Vec<Heartbeat>,
}

/// What a reading says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For the signal of heartbeats.
    pub heartbeats: Observation,
    /// For the signal of overload.
    pub overload: Observation,
}

/// Compares each reading with the one before.
#[derive(Clone, Debug)]
pub struct Meter {
    late: Duration,
    stuck: Duration,
    last: Option<BTreeMap<String, u64>>,
}

impl Meter {
    /// A meter to which a heartbeat older than `late` gives no excuse any more, and one older than `stuck` means a
    /// stuck worker. That bound should be above the one at which the responder ends itself: this is for a
    /// responder that failed to.
    pub fn new(late: Duration, stuck: Duration) -> Self {
        Self { late: late.min(stuck), stuck, last: None }
    }

    /// Takes a reading; `None` if it does not tell who empties the queues.
    pub fn read(&mut self, reading: Reading) -> Option<Verdict> {
        let Reading { drops, heartbeats } = reading;
        let last = self.last.replace(drops.clone()).unwrap_or_else(|| drops.clone());
        // A counter that was not there before has no past to compare with.
        let rise = |(name, count): (&String, &u64)| {
            let more = count.saturating_sub(*last.get(name)?);
            (more > 0).then(|| format!("{more} {name}"))
        };
        let risen: Vec<_> = drops.iter().filter_map(rise).collect();
        let oldest = heartbeats.iter().max_by_key(|heartbeat| heartbeat.age)?;
        let beyond = |bound: Duration| {
            let others =
                heartbeats.iter().filter(|heartbeat| heartbeat.age > bound).count().checked_sub(1)?;
            Some(format!(
                "{} has not run for more than {} s, with {others} others of {}",
                oldest.name,
                bound.as_secs_f64(),
                heartbeats.len()
            ))
        };
        if let Some(text) = beyond(self.stuck) {
            let spared = "drops are those of a stuck worker".to_owned();
            return Some(Verdict {
                heartbeats: Observation::Fail(text),
                overload: Observation::Pass(spared),
            });
        }
        if let Some(text) = beyond(self.late) {
            let spared = "drops may be those of a worker that is late".to_owned();
            return Some(Verdict {
                heartbeats: Observation::Warn(text),
                overload: Observation::Pass(spared),
            });
        }
        let running = format!("all {} run", heartbeats.len());
        let overload = match risen.as_slice() {
            [] => Observation::Pass("no drops".to_owned()),
            risen => Observation::Fail(format!("{} while {running}", risen.join(", "))),
        };
        Some(Verdict { heartbeats: Observation::Pass(running), overload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(drops: u64, ages_ms: &[u64]) -> Reading {
        let heartbeat = |(index, age): (usize, &u64)| Heartbeat {
            name: format!("worker {index}"),
            age: Duration::from_millis(*age),
        };
        Reading {
            drops: [("socket drops".to_owned(), drops)].into(),
            heartbeats: ages_ms.iter().enumerate().map(heartbeat).collect(),
        }
    }

    fn meter() -> Meter {
        Meter::new(Duration::from_secs(1), Duration::from_secs(12))
    }

    #[test]
    fn drops_that_rise_while_all_run_are_overload() {
        let mut meter = meter();
        let first = meter.read(reading(7, &[1, 2])).unwrap();
        assert_eq!(first.overload, Observation::Pass("no drops".into()), "what was before is not known");
        let second = meter.read(reading(12, &[1, 2])).unwrap();
        assert_eq!(second.overload, Observation::Fail("5 socket drops while all 2 run".into()));
        assert_eq!(second.heartbeats, Observation::Pass("all 2 run".into()));
    }

    #[test]
    fn drops_of_a_stuck_worker_are_its_own_and_no_overload() {
        let mut meter = meter();
        meter.read(reading(7, &[1, 2]));
        let verdict = meter.read(reading(9, &[1, 12_001])).unwrap();
        assert!(matches!(verdict.overload, Observation::Pass(_)));
        let said = "worker 1 has not run for more than 12 s, with 0 others of 2";
        assert_eq!(verdict.heartbeats, Observation::Fail(said.into()));
    }

    #[test]
    fn a_worker_that_is_late_lends_no_excuse_and_is_not_yet_stuck() {
        let mut meter = meter();
        meter.read(reading(7, &[1, 2]));
        let verdict = meter.read(reading(9, &[1_001, 1_002])).unwrap();
        assert!(matches!(verdict.overload, Observation::Pass(_)));
        let said = "worker 1 has not run for more than 1 s, with 1 others of 2";
        assert_eq!(verdict.heartbeats, Observation::Warn(said.into()));
    }

    #[test]
    fn counters_of_a_new_process_start_over() {
        let mut meter = meter();
        meter.read(reading(700, &[1]));
        assert!(matches!(meter.read(reading(3, &[1])).unwrap().overload, Observation::Pass(_)));
    }

    #[test]
    fn without_heartbeats_nothing_is_said() {
        assert_eq!(meter().read(reading(700, &[])), None);
    }
}
