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
//! Where the device drops, or the kernel's queue behind it, nothing reaches a socket or a ring that could count it, so
//! interfaces count too. But they count as dropped whatever the host has no use for: a switch's spanning tree and LLDP
//! are a drop every second or two. So of an interface only `LEAST_DROPS` or more since the last reading are some, and
//! only if they are a hundredth of what came: fewer explain no probe that goes unanswered.
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
    /// What interfaces received and dropped, by their names.
    pub interfaces: BTreeMap<String, Intake>,
    /// Everybody who empties queues.
    pub heartbeats: Vec<Heartbeat>,
}

/// The counts of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intake {
    /// Packets that came. Of some devices those that were dropped are among them.
    pub packets: u64,
    /// Packets that were dropped before any socket or ring.
    pub dropped: u64,
}

/// Drops of an interface between two readings, which are a tenth of a second to a second apart, that are overload: far
/// more than a network's own chatter, and little of any flood that a node cannot answer.
const LEAST_DROPS: u64 = 64;

impl Intake {
    /// What was dropped since `last`, if that is no chatter.
    fn lost_since(self, last: Self) -> Option<u64> {
        let dropped = self.dropped.saturating_sub(last.dropped);
        let came = self.packets.saturating_sub(last.packets);
        (dropped >= LEAST_DROPS && dropped >= came / 100).then_some(dropped)
    }
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
    last: Option<Counts>,
}

/// The counters of a reading.
#[derive(Clone, Debug)]
struct Counts {
    drops: BTreeMap<String, u64>,
    interfaces: BTreeMap<String, Intake>,
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
        let Reading { drops, interfaces, heartbeats } = reading;
        let now = Counts { drops, interfaces };
        let last = self.last.replace(now.clone()).unwrap_or_else(|| now.clone());
        // A counter that was not there before has no past to compare with.
        let rise = |(name, count): (&String, &u64)| {
            let more = count.saturating_sub(*last.drops.get(name)?);
            (more > 0).then(|| format!("{more} {name}"))
        };
        let lost = |(name, intake): (&String, &Intake)| {
            let dropped = intake.lost_since(*last.interfaces.get(name)?)?;
            Some(format!("{dropped} packets dropped at {name}"))
        };
        let risen: Vec<_> =
            now.drops.iter().filter_map(rise).chain(now.interfaces.iter().filter_map(lost)).collect();
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
            interfaces: BTreeMap::new(),
            heartbeats: ages_ms.iter().enumerate().map(heartbeat).collect(),
        }
    }

    /// Both workers run, no socket drops anything, and interfaces have these counts.
    fn interfaces(all: &[(&str, u64, u64)]) -> Reading {
        let counts =
            |&(name, packets, dropped): &(&str, u64, u64)| (name.to_owned(), Intake { packets, dropped });
        Reading { interfaces: all.iter().map(counts).collect(), ..reading(0, &[1, 2]) }
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
    fn a_flood_that_an_interface_drops_is_overload_although_no_socket_dropped_anything() {
        let mut meter = meter();
        meter.read(interfaces(&[("eth0", 1_000_000, 5_000)]));
        let verdict = meter.read(interfaces(&[("eth0", 1_100_000, 55_000)])).unwrap();
        let said = "50000 packets dropped at eth0 while all 2 run";
        assert_eq!(verdict.overload, Observation::Fail(said.into()));
        let after = meter.read(interfaces(&[("eth0", 1_100_100, 55_000)])).unwrap();
        assert_eq!(after.overload, Observation::Pass("no drops".into()));
    }

    #[test]
    fn what_a_host_has_no_use_for_is_no_overload_however_quiet_the_link_is() {
        let mut meter = meter();
        for second in 0..3600 {
            // A bridge's greeting every other second, a neighbour's advertisement, some multicast: nothing else comes.
            let verdict = meter.read(interfaces(&[("eth0", 4 * second, 2 * second)])).unwrap();
            assert_eq!(verdict.overload, Observation::Pass("no drops".into()));
        }
    }

    #[test]
    fn fewer_drops_than_a_hundredth_of_what_came_explain_nothing() {
        let mut meter = meter();
        meter.read(interfaces(&[("eth0", 0, 0)]));
        let few = meter.read(interfaces(&[("eth0", 400_000, 3_999)])).unwrap();
        assert!(matches!(few.overload, Observation::Pass(_)));
        let many = meter.read(interfaces(&[("eth0", 800_000, 7_999)])).unwrap();
        assert!(matches!(many.overload, Observation::Fail(_)));
    }

    #[test]
    fn an_interface_that_has_just_come_has_no_past_and_one_that_counts_anew_has_none_either() {
        let mut meter = meter();
        meter.read(interfaces(&[("eth0", 900, 900)]));
        let verdict = meter.read(interfaces(&[("eth0", 500, 500), ("eth1", 9_000, 9_000)])).unwrap();
        assert_eq!(verdict.overload, Observation::Pass("no drops".into()));
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
