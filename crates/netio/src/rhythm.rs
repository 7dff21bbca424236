//! What a worker leaves to others of a core on which it runs before them.
//!
//! Where a thread of the kernel receives (threaded NAPI, ksoftirqd), it shares the core with the worker of its queue. As
//! equals they get as much time each, whatever they need: then the kernel receives more than is answered, and drops what
//! it has paid for. A worker that runs first answers what has come, waits, and so lets the kernel receive as much as can
//! be answered; the rest is dropped by the device, for nothing. Packets that come by interrupts never leave it without
//! work, though, and then everybody else would get no time at all. So in each [`ROUND`] that brought fewer pauses it
//! sleeps for what is missing to [`PAUSE`], an eighth: BGP, BFD, TCP and whoever else lives there go on.
//!
//! Pure: time is given, and sleeping is left to [`crate::Inbox`].

use std::time::{Duration, Instant};

/// Half of what a ring of the usual size holds at 800,000 packets/s.
const ROUND: Duration = Duration::from_millis(3);
/// At that rate 300 packets are received and wait.
const PAUSE: Duration = Duration::from_micros(375);

/// The pauses of one worker.
pub(crate) struct Rhythm {
    began: Instant,
    paused: Duration,
    /// How often the thread had waited when the round began.
    switches: u64,
}

impl Rhythm {
    /// Begins now, when the thread has given its core away so often.
    pub(crate) fn new(now: Instant, switches: u64) -> Self {
        Self { began: now, paused: Duration::ZERO, switches }
    }

    /// It waited for so long.
    #[inline]
    pub(crate) fn waited(&mut self, time: Duration) {
        self.paused += time;
    }

    /// How long it has to sleep before it goes on. What it waited counts if it gave the core away meanwhile, as
    /// `switches` tells: a wait that the kernel filled with receiving on this very thread left nobody anything.
    #[inline]
    pub(crate) fn owes(&mut self, now: Instant, switches: impl FnOnce() -> u64) -> Duration {
        if now.saturating_duration_since(self.began) < ROUND {
            return Duration::ZERO;
        }
        let switches = switches();
        let paused = if switches == self.switches { Duration::ZERO } else { self.paused };
        let missing = PAUSE.saturating_sub(paused);
        // The sleep that follows is one more.
        *self = Self::new(now + missing, switches + u64::from(!missing.is_zero()));
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_never_gives_its_core_away_sleeps_an_eighth_of_the_time() {
        let begin = Instant::now();
        let (mut now, mut rhythm, mut slept, mut switches) =
            (begin, Rhythm::new(begin, 0), Duration::ZERO, 0);
        while now - begin < Duration::from_secs(1) {
            now += Duration::from_micros(100);
            // Waits in which the kernel was busy on this thread.
            rhythm.waited(Duration::from_micros(50));
            let owed = rhythm.owes(now, || switches);
            switches += u64::from(!owed.is_zero());
            slept += owed;
            now += owed;
        }
        let share = slept.as_secs_f64() / (now - begin).as_secs_f64();
        assert!((0.10..0.13).contains(&share), "{share}");
    }

    #[test]
    fn whoever_waits_enough_owes_nothing_and_whoever_waits_less_owes_the_rest() {
        let begin = Instant::now();
        let mut rhythm = Rhythm::new(begin, 0);
        rhythm.waited(PAUSE);
        assert_eq!(rhythm.owes(begin + ROUND, || 1), Duration::ZERO);
        rhythm.waited(PAUSE / 3);
        assert_eq!(rhythm.owes(begin + ROUND, || 2), Duration::ZERO, "a new round has begun");
        assert_eq!(rhythm.owes(begin + ROUND + ROUND, || 2), PAUSE - PAUSE / 3);
    }
}
