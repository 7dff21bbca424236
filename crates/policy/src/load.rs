//! Overload told from a stuck worker: drops that rise, held against heartbeats.
//!
//! Both look alike from outside: queries go unanswered and the kernel counts drops. They call for opposite
//! reactions. A node that is overloaded answers as many as it can, and its withdrawal would send the flood to
//! the next one; a worker that is stuck answers nobody of its share, and stays so. What tells them apart is
//! whether those who empty the queues still run.
//!
//! A [`Meter`] is fed by whoever reads the responder's status, once for each reading. It sees the counters by the names
//! that the responder gives them, and gives two observations: one for [`SignalId::Heartbeats`] and one for
//! [`SignalId::Overload`]. [`HostCounts`] are what the host itself counts, which needs no answer from a responder that has
//! no time to give one: they say whether a probe that goes unanswered meets with a flood, and whether somebody is answered
//! in it ([`SignalId::Answers`]).
//!
//! # Transition table
//!
//! | heartbeats | drops since the last reading | heartbeats observed | overload observed |
//! |---|---|---|---|
//! | all fresh | none | pass | pass |
//! | all fresh | less than a tenth of what came anywhere, and somebody was answered lately | pass | warn: see below |
//! | all fresh | more, and somebody was answered lately | pass | fail |
//! | all fresh | some, and nobody has been answered for as long as makes one late | warn: the same as late | pass: who answers nobody is not crowded |
//! | one late | any | warn: overload then explains no unanswered probe | pass: the drops may be the late one's |
//! | one stuck beyond its bound | any | fail | pass: the drops are the stuck one's |
//! | none told | any | nothing | nothing: who empties the queues is not known |
//!
//! Few drops explain a few lost probes, and a group's choice about overload is not meant for them; they do not explain a
//! probe that is lost again and again (`policy/silent.rs`). The share is that of the queue which drops most, since the kernel
//! steers a flood to one worker, and a probe that is lost stays there.
//!
//! *Late* is far sooner than stuck: a worker that has not run for a second answers nobody meanwhile, and whether it
//! ever will is not known, so whoever is unanswered is no longer taken for crowded out.
//!
//! A first reading, and one whose counters are smaller than the last (a new process), has no drops. A responder that
//! does not count its answers is believed to answer.
//!
//! Where the device drops, or the kernel's queue behind it, nothing reaches a socket or a ring that could count it, so
//! interfaces count too. But they count as dropped whatever the host has no use for: a switch's spanning tree and LLDP
//! are a drop every second or two. So of an interface only `LEAST_DROPS` or more since the last reading are some, and
//! only if they are a hundredth of what came: fewer explain no probe that goes unanswered.
//!
//! [`SignalId::Answers`]: crate::SignalId::Answers
//! [`SignalId::Heartbeats`]: crate::SignalId::Heartbeats
//! [`SignalId::Overload`]: crate::SignalId::Overload

use std::collections::BTreeMap;
use std::time::Duration;

use crate::prefix::Family;
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
    /// What came to the queues that somebody empties, and was dropped before anybody could answer, by their names:
    /// `worker 3`, `queue 0 of eth0`.
    pub queues: BTreeMap<String, Intake>,
    /// What interfaces received and dropped, by their names.
    pub interfaces: BTreeMap<String, Intake>,
    /// Everybody who empties queues.
    pub heartbeats: Vec<Heartbeat>,
    /// Messages by UDP that were done with: whose replies were sent, or that get none by rule; `None` where nobody counts
    /// them.
    pub answered: Option<u64>,
}

/// The counts of a queue or of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intake {
    /// Packets that came. Of some devices those that were dropped are among them.
    pub packets: u64,
    /// Packets that were dropped: at an interface before any socket or ring.
    pub dropped: u64,
}

/// Packets that were lost somewhere between two readings.
struct Loss<'a> {
    at: &'a str,
    dropped: u64,
    came: u64,
}

impl Loss<'_> {
    /// Of what came, in hundredths.
    fn percent(&self) -> u64 {
        self.dropped.saturating_mul(100) / self.came.max(self.dropped).max(1)
    }
}

/// Of a queue that drops fewer in a hundred it is no accident if a probe is lost again and again. Drops come in clumps, so
/// a queue may be full for longer than their share says; but if it is full for three quarters of the time, more than a
/// hundred probes are lost in a row once in ten million million times.
const MANY: u64 = 10;

/// Drops of an interface between two readings, which are a tenth of a second to a second apart, that are overload: far
/// more than a network's own chatter, and little of any flood that a node cannot answer.
const LEAST_DROPS: u64 = 64;

impl Intake {
    /// What was lost since `last` at what has this name, if anything was.
    fn lost_since(self, last: Self, at: &str) -> Option<Loss<'_>> {
        let dropped = self.dropped.saturating_sub(last.dropped);
        let came = self.packets.saturating_sub(last.packets);
        (dropped > 0).then_some(Loss { at, dropped, came })
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
    /// The count of answers, and when it was first seen to be so great.
    answered: Option<(u64, Duration)>,
}

/// The counters of a reading.
#[derive(Clone, Debug)]
struct Counts {
    queues: BTreeMap<String, Intake>,
    interfaces: BTreeMap<String, Intake>,
}

impl Meter {
    /// A meter to which a heartbeat older than `late` gives no excuse any more, and one older than `stuck` means a
    /// stuck worker. That bound should be above the one at which the responder ends itself: this is for a
    /// responder that failed to.
    pub fn new(late: Duration, stuck: Duration) -> Self {
        Self { late: late.min(stuck), stuck, last: None, answered: None }
    }

    /// For how long nobody has been answered, as far as readings tell.
    fn unanswering(&mut self, now: Duration, answered: Option<u64>) -> Duration {
        let Some(count) = answered else { return Duration::ZERO };
        let since = match self.answered {
            Some((before, at)) if before == count => at,
            _ => now,
        };
        self.answered = Some((count, since));
        now.saturating_sub(since)
    }

    /// Takes a reading; `None` if it does not tell who empties the queues.
    pub fn read(&mut self, now: Duration, reading: Reading) -> Option<Verdict> {
        let Reading { queues, interfaces, heartbeats, answered } = reading;
        let unanswering = self.unanswering(now, answered);
        let counts = Counts { queues, interfaces };
        let last = self.last.replace(counts.clone()).unwrap_or_else(|| counts.clone());
        let queues = losses_since(&last.queues, &counts.queues);
        let losses: Vec<_> = queues.chain(floods_since(&last.interfaces, &counts.interfaces)).collect();
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
        let Some(most) = losses.iter().max_by_key(|loss| loss.percent()) else {
            let overload = Observation::Pass("no drops".to_owned());
            return Some(Verdict { heartbeats: Observation::Pass(running), overload });
        };
        if unanswering > self.late {
            let late = self.late.as_secs_f64();
            let text = format!("{running}, and have answered nobody for more than {late} s");
            let spared = "drops explain nothing while nobody is answered".to_owned();
            return Some(Verdict {
                heartbeats: Observation::Warn(text),
                overload: Observation::Pass(spared),
            });
        }
        let all = losses.iter().fold(0_u64, |all, loss| all.saturating_add(loss.dropped));
        let (percent, at) = (most.percent(), most.at);
        let text = format!("{all} drops, {percent} % of what came to {at} among them, while {running}");
        let overload = if percent < MANY { Observation::Warn(text) } else { Observation::Fail(text) };
        Some(Verdict { heartbeats: Observation::Pass(running), overload })
    }
}

/// What was lost at each of these since the counts before.
fn losses_since<'a>(
    last: &'a BTreeMap<String, Intake>,
    now: &'a BTreeMap<String, Intake>,
) -> impl Iterator<Item = Loss<'a>> {
    // A counter that was not there before has no past to compare with.
    now.iter().filter_map(|(name, intake)| intake.lost_since(*last.get(name)?, name))
}

/// The same, where that is no chatter.
fn floods_since<'a>(
    last: &'a BTreeMap<String, Intake>,
    now: &'a BTreeMap<String, Intake>,
) -> impl Iterator<Item = Loss<'a>> {
    losses_since(last, now).filter(|loss| loss.dropped >= LEAST_DROPS && loss.dropped >= loss.came / 100)
}

/// What the host itself counts, at one moment: for whoever cannot wait for the responder's word.
///
/// Drops of other programs' sockets are among them, so the same bounds hold as for an interface's own chatter. They do not
/// say how many of a worker's queries are lost: what is little of all may be much of one. And a
/// responder that is frozen leaves its queue to run over as well: what tells it from a flood is that nothing is taken out. Where
/// other programs take out of theirs as many, whoever counts has to look whether its own are read, and say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// What came to interfaces and to the sockets of a protocol, and was dropped there, by their names.
    pub intakes: BTreeMap<String, Intake>,
    /// Datagrams that programs took from their sockets.
    pub taken: u64,
    /// What went through the sockets of each family.
    pub flows: BTreeMap<Family, Flow>,
}

/// Datagrams of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Those that programs took from their sockets.
    pub taken: u64,
    /// Those that programs sent.
    pub sent: u64,
}

/// Whether programs take datagrams from their sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takers {
    /// As many as only somebody takes who is flooded.
    Many,
    /// None, or no more than what a host says to itself.
    Few,
}

/// Datagrams that are taken in a round of probes or more, by a responder in a flood: far fewer than any takes, and more than
/// other programs have to read.
const LEAST_TAKEN: u64 = 64;

/// Datagrams in a second, both taken and sent, by a responder in a flood: the same measure.
const LEAST_A_SECOND: u64 = 256;

impl HostCounts {
    /// What is to be said of each family since `before`, which was so long ago: whether somebody answers.
    pub fn answers_since(
        &self,
        before: &Self,
        elapsed: Duration,
    ) -> impl Iterator<Item = (Family, Observation)> {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let least = (LEAST_A_SECOND.saturating_mul(millis) / 1_000).max(LEAST_TAKEN);
        self.flows.iter().filter_map(move |(family, now)| {
            let before = before.flows.get(family)?;
            let fewer = now.taken.saturating_sub(before.taken).min(now.sent.saturating_sub(before.sent));
            let said = if fewer >= least {
                Observation::Pass("datagrams are taken and sent by hundreds a second".to_owned())
            } else {
                Observation::Fail("few datagrams are taken, or few are sent".to_owned())
            };
            Some((*family, said))
        })
    }

    /// Whether many datagrams were taken since `before`.
    pub fn takers_since(&self, before: &Self) -> Takers {
        let taken = self.taken.saturating_sub(before.taken);
        if taken >= LEAST_TAKEN { Takers::Many } else { Takers::Few }
    }

    /// What was dropped since `before`, in words, if anything was while many were taken.
    pub fn crowded_since(&self, before: &Self) -> Option<String> {
        let floods = floods_since(&before.intakes, &self.intakes);
        let dropped: Vec<_> =
            floods.map(|Loss { at, dropped, .. }| format!("{dropped} packets dropped at {at}")).collect();
        let crowded = !dropped.is_empty() && self.takers_since(before) == Takers::Many;
        crowded.then(|| dropped.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// Workers whose heartbeats are so old; of all that came to the first, half was dropped.
    fn reading(drops: u64, ages_ms: &[u64]) -> Reading {
        let heartbeat = |(index, age): (usize, &u64)| Heartbeat {
            name: format!("worker {index}"),
            age: Duration::from_millis(*age),
        };
        Reading {
            queues: [("worker 0".to_owned(), Intake { packets: 2 * drops, dropped: drops })].into(),
            heartbeats: ages_ms.iter().enumerate().map(heartbeat).collect(),
            ..Reading::default()
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
        let first = meter.read(S, reading(7, &[1, 2])).unwrap();
        assert_eq!(first.overload, Observation::Pass("no drops".into()), "what was before is not known");
        let second = meter.read(S, reading(12, &[1, 2])).unwrap();
        assert_eq!(
            second.overload,
            Observation::Fail("5 drops, 50 % of what came to worker 0 among them, while all 2 run".into())
        );
        assert_eq!(second.heartbeats, Observation::Pass("all 2 run".into()));
    }

    #[test]
    fn a_few_drops_are_told_apart_from_many_by_the_queue_that_drops_most() {
        let queues = |all: [(u64, u64); 2]| {
            let names = ["worker 0", "worker 1"].map(str::to_owned);
            let intake = |(came, dropped)| Intake { packets: came, dropped };
            Reading { queues: names.into_iter().zip(all.map(intake)).collect(), ..reading(0, &[1, 2]) }
        };
        let mut meter = meter();
        meter.read(S, queues([(0, 0), (0, 0)]));
        let few = meter.read(S, queues([(1_000, 99), (1_000, 1)])).unwrap();
        let said = "100 drops, 9 % of what came to worker 0 among them, while all 2 run";
        assert_eq!(few.overload, Observation::Warn(said.into()));
        // A flood of one worker, which is little of all.
        let many = meter.read(S, queues([(100_000, 99), (2_000, 101)])).unwrap();
        let said = "100 drops, 10 % of what came to worker 1 among them, while all 2 run";
        assert_eq!(many.overload, Observation::Fail(said.into()));
    }

    /// A reading whose drops rise with the count of answers as told.
    fn answering(drops: u64, answered: u64) -> Reading {
        Reading { answered: Some(answered), ..reading(drops, &[1, 2]) }
    }

    #[test]
    fn whoever_drops_queries_and_answers_nobody_is_not_crowded_but_as_good_as_late() {
        let mut meter = meter();
        let fails = |verdict: Option<Verdict>| matches!(verdict.unwrap().overload, Observation::Fail(_));
        meter.read(S, answering(0, 500));
        assert!(fails(meter.read(2 * S, answering(9, 700))));
        assert!(
            fails(meter.read(3 * S, answering(18, 700))),
            "who was answered a second ago was answered lately"
        );
        let silent = meter.read(4 * S, answering(27, 700)).unwrap();
        let said = "all 2 run, and have answered nobody for more than 1 s";
        assert_eq!(silent.heartbeats, Observation::Warn(said.into()));
        assert!(matches!(silent.overload, Observation::Pass(_)));
        assert!(fails(meter.read(5 * S, answering(36, 701))));
        let idle = meter.read(9 * S, answering(36, 701)).unwrap();
        assert_eq!(
            idle.heartbeats,
            Observation::Pass("all 2 run".into()),
            "nobody asks, and nothing is dropped"
        );
    }

    #[test]
    fn a_responder_that_does_not_count_its_answers_is_believed_to_answer() {
        let mut meter = meter();
        for second in 1..9 {
            let verdict = meter.read(second * S, reading(second.into(), &[1])).unwrap();
            assert_eq!(verdict.heartbeats, Observation::Pass("all 1 run".into()));
        }
    }

    fn host(taken: u64, dropped: u64) -> HostCounts {
        let intake = Intake { packets: taken + dropped, dropped };
        HostCounts { intakes: [("UDP sockets".to_owned(), intake)].into(), taken, ..HostCounts::default() }
    }

    fn through(all: &[(Family, u64, u64)]) -> HostCounts {
        let flows = all.iter().map(|&(family, taken, sent)| (family, Flow { taken, sent })).collect();
        HostCounts { flows, ..HostCounts::default() }
    }

    #[test]
    fn a_family_whose_datagrams_are_taken_and_sent_by_hundreds_a_second_is_answered() {
        let (v4, v6) = (Family::Ipv4, Family::Ipv6);
        let passes = |before: &HostCounts, now: &HostCounts, millis| -> Vec<(Family, bool)> {
            let said = now.answers_since(before, Duration::from_millis(millis));
            said.map(|(family, seen)| (family, matches!(seen, Observation::Pass(_)))).collect()
        };
        let before = through(&[(v4, 1_000, 500), (v6, 70, 70)]);
        let now = through(&[(v4, 1_600, 900), (v6, 900, 80)]);
        assert_eq!(passes(&before, &now, 1_000), [(v4, true), (v6, false)], "of IPv6 none is sent");
        assert_eq!(passes(&before, &now, 2_000), [(v4, false), (v6, false)], "in so long they are few");
        assert_eq!(passes(&through(&[]), &now, 1_000), [], "what was not read before has no past");
        assert_eq!(passes(&now, &before, 1), [(v4, false), (v6, false)], "counts that began anew");
    }

    #[test]
    fn a_host_whose_sockets_run_over_while_they_are_read_is_crowded() {
        let said = Some("900 packets dropped at UDP sockets".to_owned());
        assert_eq!(host(5_000, 1_900).crowded_since(&host(1_000, 1_000)), said);
        assert_eq!(host(5_000, 1_020).crowded_since(&host(1_000, 1_000)), None, "so few are somebody else's");
        assert_eq!(host(500_000, 1_900).crowded_since(&host(1_000, 1_000)), None, "and so few of so many");
    }

    #[test]
    fn a_socket_that_runs_over_because_nobody_reads_it_is_no_sign_of_a_flood() {
        assert_eq!(host(1_010, 90_000).crowded_since(&host(1_000, 1_000)), None);
        assert_eq!(host(1_010, 90_000).takers_since(&host(1_000, 1_000)), Takers::Few);
        assert_eq!(host(10, 10).crowded_since(&host(1_000, 1_000)), None, "counts that began anew");
    }

    #[test]
    fn a_flood_that_an_interface_drops_is_overload_although_no_socket_dropped_anything() {
        let mut meter = meter();
        meter.read(S, interfaces(&[("eth0", 1_000_000, 5_000)]));
        let verdict = meter.read(S, interfaces(&[("eth0", 1_100_000, 55_000)])).unwrap();
        let said = "50000 drops, 50 % of what came to eth0 among them, while all 2 run";
        assert_eq!(verdict.overload, Observation::Fail(said.into()));
        let after = meter.read(S, interfaces(&[("eth0", 1_100_100, 55_000)])).unwrap();
        assert_eq!(after.overload, Observation::Pass("no drops".into()));
    }

    #[test]
    fn what_a_host_has_no_use_for_is_no_overload_however_quiet_the_link_is() {
        let mut meter = meter();
        for second in 0..3600 {
            // A bridge's greeting every other second, a neighbour's advertisement, some multicast: nothing else comes.
            let verdict = meter.read(S, interfaces(&[("eth0", 4 * second, 2 * second)])).unwrap();
            assert_eq!(verdict.overload, Observation::Pass("no drops".into()));
        }
    }

    #[test]
    fn fewer_drops_than_a_hundredth_of_what_came_explain_nothing() {
        let mut meter = meter();
        meter.read(S, interfaces(&[("eth0", 0, 0)]));
        let few = meter.read(S, interfaces(&[("eth0", 400_000, 3_999)])).unwrap();
        assert!(matches!(few.overload, Observation::Pass(_)));
        let more = meter.read(S, interfaces(&[("eth0", 800_000, 7_999)])).unwrap();
        assert!(matches!(more.overload, Observation::Warn(_)));
        let many = meter.read(S, interfaces(&[("eth0", 1_200_000, 47_999)])).unwrap();
        assert!(matches!(many.overload, Observation::Fail(_)));
    }

    #[test]
    fn an_interface_that_has_just_come_has_no_past_and_one_that_counts_anew_has_none_either() {
        let mut meter = meter();
        meter.read(S, interfaces(&[("eth0", 900, 900)]));
        let verdict = meter.read(S, interfaces(&[("eth0", 500, 500), ("eth1", 9_000, 9_000)])).unwrap();
        assert_eq!(verdict.overload, Observation::Pass("no drops".into()));
    }

    #[test]
    fn drops_of_a_stuck_worker_are_its_own_and_no_overload() {
        let mut meter = meter();
        meter.read(S, reading(7, &[1, 2]));
        let verdict = meter.read(S, reading(9, &[1, 12_001])).unwrap();
        assert!(matches!(verdict.overload, Observation::Pass(_)));
        let said = "worker 1 has not run for more than 12 s, with 0 others of 2";
        assert_eq!(verdict.heartbeats, Observation::Fail(said.into()));
    }

    #[test]
    fn a_worker_that_is_late_lends_no_excuse_and_is_not_yet_stuck() {
        let mut meter = meter();
        meter.read(S, reading(7, &[1, 2]));
        let verdict = meter.read(S, reading(9, &[1_001, 1_002])).unwrap();
        assert!(matches!(verdict.overload, Observation::Pass(_)));
        let said = "worker 1 has not run for more than 1 s, with 1 others of 2";
        assert_eq!(verdict.heartbeats, Observation::Warn(said.into()));
    }

    #[test]
    fn counters_of_a_new_process_start_over() {
        let mut meter = meter();
        meter.read(S, reading(700, &[1]));
        assert!(matches!(meter.read(S, reading(3, &[1])).unwrap().overload, Observation::Pass(_)));
    }

    #[test]
    fn without_heartbeats_nothing_is_said() {
        assert_eq!(meter().read(S, reading(700, &[])), None);
    }
}
