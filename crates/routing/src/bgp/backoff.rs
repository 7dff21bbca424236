//! How long to wait before the next attempt: longer after each failure, never more than a cap, never quite the same.

use std::time::Duration;

use crate::jitter::Jitter;

/// Doubling pauses with jitter. The numbers are drawn from a seed, so that the same seed gives the same pauses.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
    jitter: Jitter,
}

impl Backoff {
    pub(crate) fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, failures: 0, jitter: Jitter::new(seed) }
    }

    /// The last session held: the next pause is a first one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure: the pause after it.
    pub(crate) fn next_pause(&mut self) -> Duration {
        // 2^20 times ten milliseconds is past any sensible cap.
        let doubled = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.jittered(doubled.min(self.cap))
    }

    /// 75 to 100 per cent of a time, RFC 4271 §10.
    pub(crate) fn jittered(&mut self, time: Duration) -> Duration {
        self.jitter.between(time, 750, 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_keep_within_their_jitter() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), 7);
        for expected in [1, 2, 4, 8, 16, 30, 30, 30] {
            let pause = backoff.next_pause();
            let full = Duration::from_secs(expected);
            assert!(pause <= full && pause >= full.mul_f64(0.75), "{pause:?} for {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_secs(1));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(3600), Duration::MAX, 0);
        backoff.failures = u32::MAX;
        assert!(backoff.next_pause() >= Duration::from_secs(3600));
    }

    #[test]
    fn different_seeds_pause_differently() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed);
            (0..8).map(|_| backoff.next_pause()).collect::<Vec<_>>()
        };
        assert_ne!(pauses(1), pauses(2));
        assert_eq!(pauses(1), pauses(1));
    }
}
