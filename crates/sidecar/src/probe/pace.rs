//! How quickly one address answers: the 99th percentile of its last answers by UDP.
//!
//! Late answers count with the time that they took. What is never answered does not count: that is another fault.

use std::collections::VecDeque;
use std::time::Duration;

use pharos_policy::Observation;

/// So many answers are remembered; the two slowest of a hundred lie at or above the percentile.
const WINDOW: usize = 100;

/// The last answers of one address.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<Duration>);

impl Pace {
    /// Takes the time of an answer; once enough are known, says how the percentile stands to its bound.
    pub(super) fn took(&mut self, took: Duration, bound: Duration) -> Option<Observation> {
        self.0.push_back(took);
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
        if self.0.len() < WINDOW {
            return None;
        }
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let percentile = sorted[WINDOW - 2];
        Some(if percentile <= bound {
            Observation::Pass(format!("99 of 100 answers came within {bound:?}"))
        } else {
            Observation::Fail(format!("2 of 100 answers took more than {bound:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_answer_of_a_hundred_is_none_and_two_are_too_many() {
        let (quick, slow, bound) =
            (Duration::from_micros(50), Duration::from_millis(90), Duration::from_millis(50));
        let mut pace = Pace::default();
        assert!((1..WINDOW).all(|_| pace.took(quick, bound).is_none()));
        assert!(matches!(pace.took(quick, bound), Some(Observation::Pass(_))));
        assert!(matches!(pace.took(slow, bound), Some(Observation::Pass(_))));
        assert!(matches!(pace.took(slow, bound), Some(Observation::Fail(_))));
        assert!((0..WINDOW - 2).all(|_| matches!(pace.took(quick, bound), Some(Observation::Fail(_)))));
        assert!(matches!(pace.took(quick, bound), Some(Observation::Pass(_))));
    }
}
