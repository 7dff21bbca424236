//! Numbers from a seed, for the jitter of timers: the same seed gives the same numbers, since machines here have no
//! randomness of their own. Callers: the sessions of BGP and BFD. Nothing secret may come from it.

use std::time::Duration;

/// SplitMix64: a counter through a mixing function. Even seeds that differ in one bit go separate ways.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Some part of a time, between two numbers of thousandths, both included.
    pub(crate) fn between(&mut self, time: Duration, least_per_mille: u64, most_per_mille: u64) -> Duration {
        let choices = most_per_mille.saturating_sub(least_per_mille) + 1;
        let per_mille = least_per_mille + self.draw() % choices;
        time.mul_f64(per_mille as f64 / 1000.0)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_within_their_bounds_and_seeds_differ() {
        let second = Duration::from_secs(1);
        let times = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..64).map(|_| jitter.between(second, 750, 1000)).collect::<Vec<_>>()
        };
        assert!(times(1).iter().all(|time| (second.mul_f64(0.75)..=second).contains(time)));
        assert_ne!(times(1), times(2));
        assert_eq!(times(1), times(1));
    }
}
