//! Whether the wall clock can be believed: ages and ends of signatures are judged by it.
//!
//! It is doubted when it is before this version was made, when it stepped against the monotonic clock, until it
//! has run steadily for ten minutes, and when the responder, who sees signatures made in its future, says so. A process that
//! takes over from one that doubted it cannot know why, and doubts it for as long as after a step.

use std::time::Duration;

use pharos_policy::Observation;

/// No clock that is right shows an earlier time: the beginning of the year in which this version was made (2026).
const MADE: Duration = Duration::from_secs(1_767_225_600);
/// More than this between two looks is a step: a virtual machine that moves to another host stops for seconds.
const STEP: Duration = Duration::from_secs(30);
/// So long after its last step a clock that ran steadily is believed again.
const STEADY: Duration = Duration::from_secs(600);

/// Compares the wall clock with the monotonic one.
#[derive(Debug, Default)]
pub(super) struct Wall {
    last: Option<(Duration, Duration)>,
    stepped: Option<Duration>,
    /// Since when the process before has doubted it.
    doubted: Option<Duration>,
}

impl Wall {
    /// The clock of which the process before has been in doubt since then, if it was.
    pub(super) fn doubted_since(doubted: Option<Duration>) -> Self {
        Self { doubted, ..Self::default() }
    }

    /// Takes a look: `now` by the monotonic clock, `wall` since 1970, and what the responder doubts.
    pub(super) fn look(&mut self, now: Duration, wall: Duration, doubt: Option<&str>) -> Observation {
        if let Some((then, shown)) = self.last.replace((now, wall))
            && (shown + now.saturating_sub(then)).abs_diff(wall) > STEP
        {
            self.stepped = Some(now);
        }
        if wall < MADE {
            return Observation::Fail("the clock is before this version was made".to_owned());
        }
        if self.stepped.is_some_and(|at| now < at + STEADY) {
            return Observation::Fail("the clock has stepped within the last 10 minutes".to_owned());
        }
        if doubt.is_none() && self.doubted.is_some_and(|at| now < at + STEADY) {
            return Observation::Fail("the process before doubted it within the last 10 minutes".to_owned());
        }
        match doubt {
            Some(doubt) => Observation::Fail(format!("the responder doubts it: {doubt}")),
            None => Observation::Pass("runs steadily".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_step_is_doubted_until_the_clock_has_run_steadily() {
        let mut wall = Wall::default();
        let start = MADE + s(1000);
        assert!(matches!(wall.look(s(1), start, None), Observation::Pass(_)));
        assert!(matches!(wall.look(s(11), start + s(20), None), Observation::Pass(_)));
        assert!(matches!(wall.look(s(21), start + s(3630), None), Observation::Fail(_)));
        assert!(matches!(wall.look(s(620), start + s(4229), None), Observation::Fail(_)));
        assert!(matches!(wall.look(s(621), start + s(4230), None), Observation::Pass(_)));
        assert!(matches!(wall.look(s(622), start, None), Observation::Fail(_)), "backwards as well");
    }

    #[test]
    fn who_takes_over_from_one_that_doubted_the_clock_doubts_it_as_long() {
        let mut wall = Wall::doubted_since(Some(s(100)));
        let start = MADE + s(1000);
        assert!(matches!(wall.look(s(400), start, None), Observation::Fail(_)));
        assert!(matches!(wall.look(s(699), start + s(299), None), Observation::Fail(_)));
        assert!(matches!(wall.look(s(700), start + s(300), None), Observation::Pass(_)));
    }

    #[test]
    fn a_clock_before_its_time_and_the_responders_doubt_count() {
        assert!(matches!(Wall::default().look(s(1), s(86_400), None), Observation::Fail(_)));
        let doubted = Wall::default().look(s(1), MADE, Some("it is behind"));
        assert_eq!(doubted, Observation::Fail("the responder doubts it: it is behind".into()));
    }
}
