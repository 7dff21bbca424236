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
//! Pure: time is given, and sleeping is left to [`crate::Inbox`].

use std::time::{Duration, Instant};

use crate::urgency::Usage;

/// Half of what a ring of the usual size holds at 800,000 packets/s.
const ROUND: Duration = Duration::from_millis(3);
/// At that rate 300 packets are received and wait.
const PAUSE: Duration = Duration::from_micros(375);

/// The pauses of one worker.
pub(crate) struct Rhythm {
    began: Instant,
    /// What the thread had used when the round began.
    used: Usage,
}

impl Rhythm {
    /// Begins now, when the thread has used so much.
    pub(crate) fn new(now: Instant, used: Usage) -> Self {
        Self { began: now, used }
    }

    /// How long the thread has to sleep before it goes on. `usage` is asked once in a round. Time in which it used no CPU
    /// was left to others if it gave the core away meanwhile: a wait that the kernel filled with receiving on this very
    /// thread left nobody anything.
    #[inline]
    pub(crate) fn owes(&mut self, now: Instant, usage: impl FnOnce() -> Usage) -> Duration {
        let round = now.saturating_duration_since(self.began);
        if round < ROUND {
            return Duration::ZERO;
        }
        let used = usage();
        let left = match used.waits == self.used.waits {
            true => Duration::ZERO,
            false => round.saturating_sub(used.cpu.saturating_sub(self.used.cpu)),
        };
        let missing = PAUSE.saturating_sub(left);
        // The sleep that follows is part of no round, and is one wait more.
        let waits = used.waits + u64::from(!missing.is_zero());
        *self = Self::new(now + missing, Usage { waits, ..used });
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
            let owed = rhythm.owes(now, || used);
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
        assert_eq!(rhythm.owes(begin + ROUND, || Usage { cpu, waits: 1 }), Duration::ZERO);
        cpu += ROUND - PAUSE / 3;
        let owed = rhythm.owes(begin + 2 * ROUND, || Usage { cpu, waits: 2 });
        assert_eq!(owed, PAUSE - PAUSE / 3, "a new round has begun");
        let again = begin + 2 * ROUND + owed + ROUND / 2;
        assert_eq!(rhythm.owes(again, || unreachable!("in the middle of a round")), Duration::ZERO);
    }
}
