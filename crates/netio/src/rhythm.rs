//! What a worker leaves to others of a core on which it runs before them.
//!
//! Where a thread of the kernel receives (threaded NAPI, ksoftirqd), it shares the core with the worker. As equals they
//! interrupt each other: the worker after every few replies, since one more packet has come, and the kernel's thread while
//! it receives. Each change costs as much as the DNS work of a query and more, and under a flood, when each gets as much
//! time as the other, the kernel receives more than is answered and drops what it has paid for. A worker that runs first
//! answers what has come, waits, and so lets the kernel receive in one go as much as can be answered; the rest is dropped
//! early, for little.
//!
//! Packets that never stop would leave everybody else without any time, though. So for each [`ROUND`] in which others had
//! less than [`PAUSE`], an eighth of it, the worker sleeps for what is missing: BGP, BFD, TCP and whoever else lives there
//! go on.
//!
//! A thread that answers on connections gains as much, and runs after the workers: they interrupt it, and what it leaves
//! they may use up. It is not pinned, so it may share a core with any of them. So what it leaves counts only as far as the
//! busiest of them has not taken it ([`Shares`]), and beside one that takes more than half of its core it runs as any
//! other thread, as it does where nothing is granted.
//!
//! | the busiest worker takes | the thread of connections runs | others have at least |
//! |---|---|---|
//! | nothing | first, an eighth of the time aside | an eighth |
//! | up to half | first, that and an eighth aside | an eighth |
//! | more | as any other thread | what the worker leaves |

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::urgency::{Duty, Urgency, Usage, prefer_current_thread, run_as_any_other};

/// Half of what a ring of the usual size holds at 800,000 packets/s.
const ROUND: Duration = Duration::from_millis(3);
/// At that rate 300 packets are received and wait.
const PAUSE: Duration = Duration::from_micros(375);
/// In thousandths of a core: beside a worker that takes more, nobody else runs first.
const HALF: u16 = 500;
/// A thread that has stepped back asks again after so long: each step costs a system call.
const STEP_BACK: Duration = Duration::from_millis(100);

/// What each worker took of its core in its last round, in thousandths.
#[derive(Debug)]
pub struct Shares(Box<[AtomicU16]>);

impl Shares {
    /// Of so many workers, which have taken nothing yet.
    pub fn of(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU16::new(0)).collect())
    }

    /// A worker took so much.
    pub fn set(&self, worker: usize, share: u16) {
        if let Some(place) = self.0.get(worker) {
            place.store(share, Ordering::Relaxed);
        }
    }

    /// What the busiest took.
    fn most(&self) -> u16 {
        self.0.iter().map(|share| share.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

/// A thread of connections, which runs first while that leaves others enough.
#[derive(Debug)]
pub struct Connections {
    /// There while it runs first.
    rhythm: Option<Rhythm>,
    asks_at: Option<Instant>,
}

impl Connections {
    /// As any other thread, for good.
    pub fn ordinary() -> Self {
        Self { rhythm: None, asks_at: None }
    }

    /// Asks to be run first at its next turn.
    pub fn first() -> Self {
        Self { rhythm: None, asks_at: Some(Instant::now()) }
    }

    /// Called by the thread itself, once a turn: leaves others what it owes them, and gives up or takes its place before
    /// them. Says what was granted when it has asked for the first time.
    pub fn turn(&mut self, shares: &Shares) -> Option<Urgency> {
        if self.rhythm.is_none() && self.asks_at.is_none() {
            return None;
        }
        let now = Instant::now();
        if let Some(rhythm) = &mut self.rhythm {
            let owed = rhythm.owes(now, Usage::of_current_thread, || shares.most());
            if rhythm.others > HALF {
                run_as_any_other();
                (self.rhythm, self.asks_at) = (None, Some(now + STEP_BACK));
            } else if !owed.is_zero() {
                std::thread::sleep(owed);
            }
            return None;
        }
        if self.asks_at.is_none_or(|at| now < at) {
            return None;
        }
        if shares.most() > HALF {
            self.asks_at = Some(now + STEP_BACK);
            return None;
        }
        let granted = prefer_current_thread(Duty::Connections);
        self.asks_at = None;
        self.rhythm = (granted == Urgency::RealTime).then(|| Rhythm::new(now, Usage::of_current_thread()));
        Some(granted)
    }
}

/// The pauses of one thread.
#[derive(Debug)]
pub(crate) struct Rhythm {
    began: Instant,
    /// What the thread had used when the round began.
    used: Usage,
    /// What it took in its last round, in thousandths of a core.
    pub(crate) share: u16,
    /// What was said then of others that run first.
    others: u16,
}

impl Rhythm {
    /// Begins now, when the thread has used so much.
    pub(crate) fn new(now: Instant, used: Usage) -> Self {
        Self { began: now, used, share: 0, others: 0 }
    }

    /// How long the thread has to sleep before it goes on. `usage` is asked once in a round, and so is what others that run
    /// first have taken of a core, in thousandths. Time in which it used no CPU was left to others if it gave the core
    /// away meanwhile: a wait that the kernel filled with receiving on this very thread left nobody anything.
    #[inline]
    pub(crate) fn owes(
        &mut self,
        now: Instant,
        usage: impl FnOnce() -> Usage,
        others: impl FnOnce() -> u16,
    ) -> Duration {
        let round = now.saturating_duration_since(self.began);
        if round < ROUND {
            return Duration::ZERO;
        }
        let (used, others) = (usage(), others());
        let own = used.cpu.saturating_sub(self.used.cpu);
        let left = match used.waits == self.used.waits {
            true => Duration::ZERO,
            false => round.saturating_sub(own).saturating_sub(round * u32::from(others) / 1000),
        };
        // Of a pause, too, others have what is not taken by those.
        let missing = PAUSE.saturating_sub(left) * 1000 / u32::from(1000 - others.min(HALF));
        // The sleep that follows is part of no round, and is one wait more.
        let waits = used.waits + u64::from(!missing.is_zero());
        let share = own.as_nanos().saturating_mul(1000) / round.as_nanos().max(1);
        let share = u16::try_from(share).unwrap_or(u16::MAX);
        *self = Self { began: now + missing, used: Usage { waits, ..used }, share, others };
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: fn(u64) -> Duration = Duration::from_micros;

    #[test]
    fn whoever_never_gives_its_core_away_sleeps_an_eighth_of_the_time() {
        let begin = Instant::now();
        let mut used = Usage { cpu: Duration::ZERO, waits: 0 };
        let (mut now, mut rhythm, mut slept) = (begin, Rhythm::new(begin, used), Duration::ZERO);
        while now - begin < Duration::from_secs(1) {
            now += MICROS(100);
            // The other half the kernel received, on this thread.
            used.cpu += MICROS(50);
            let owed = rhythm.owes(now, || used, || 0);
            used.waits += u64::from(!owed.is_zero());
            slept += owed;
            now += owed;
        }
        let share = slept.as_secs_f64() / (now - begin).as_secs_f64();
        assert!((0.10..0.13).contains(&share), "{share}");
    }

    #[test]
    fn whoever_leaves_enough_owes_nothing_and_whoever_leaves_less_owes_the_rest() {
        let begin = Instant::now();
        let mut rhythm = Rhythm::new(begin, Usage { cpu: Duration::ZERO, waits: 0 });
        let mut cpu = ROUND - PAUSE;
        assert_eq!(rhythm.owes(begin + ROUND, || Usage { cpu, waits: 1 }, || 0), Duration::ZERO);
        cpu += ROUND - PAUSE / 3;
        let owed = rhythm.owes(begin + 2 * ROUND, || Usage { cpu, waits: 2 }, || 0);
        assert_eq!(owed, PAUSE - PAUSE / 3, "a new round has begun");
        let again = begin + 2 * ROUND + owed + ROUND / 2;
        assert_eq!(rhythm.owes(again, || unreachable!("in the middle of a round"), || 0), Duration::ZERO);
    }

    #[test]
    fn what_a_busier_thread_has_taken_was_left_to_nobody() {
        let begin = Instant::now();
        let owes = |share: u16| {
            let mut rhythm = Rhythm::new(begin, Usage { cpu: Duration::ZERO, waits: 0 });
            rhythm.owes(begin + ROUND, || Usage { cpu: ROUND / 2, waits: 1 }, || share)
        };
        assert_eq!((owes(0), owes(375)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(owes(400), (PAUSE - ROUND / 10) * 1000 / 600, "of which the other takes four tenths");
        assert_eq!(owes(HALF), 2 * PAUSE);
    }

    #[test]
    fn beside_a_worker_that_takes_most_of_its_core_connections_run_as_any_other_thread() {
        let shares = Shares::of(2);
        std::thread::spawn(move || {
            let mut connections = Connections::first();
            shares.set(1, HALF + 1);
            assert_eq!(connections.turn(&shares), None, "it does not even ask");
            shares.set(1, HALF);
            connections.asks_at = Some(Instant::now());
            let granted = connections.turn(&shares).unwrap();
            assert_eq!(connections.rhythm.is_some(), granted == Urgency::RealTime);
            let Some(rhythm) = &mut connections.rhythm else { return };
            rhythm.began -= ROUND;
            shares.set(0, 900);
            connections.turn(&shares);
            assert!(connections.rhythm.is_none() && connections.asks_at.is_some());
        })
        .join()
        .unwrap();
    }
}
