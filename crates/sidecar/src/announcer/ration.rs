//! Lines of the log that a neighbour could make endless: some are said, and the others are counted.
//!
//! What a neighbour sends decides how often they come, and a log that is full of them hides the rest. Caller: the driver
//! of a session.

use std::time::Duration;

/// Lines of one kind that are said within [`WHILE`]: enough to see what is wrong.
const LINES: u32 = 10;
const WHILE: Duration = Duration::from_secs(60);

/// Lines of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ration {
    since: Duration,
    said: u32,
    kept_back: u64,
}

impl Ration {
    /// Whether one more may be said, and then how many were kept back since the one before.
    pub(super) fn ask(&mut self, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.since) >= WHILE {
            (self.since, self.said) = (now, 0);
        }
        if self.said >= LINES {
            self.kept_back += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_lines_without_end_ten_a_minute_are_said_and_the_others_are_counted() {
        let mut ration = Ration::default();
        let told: Vec<_> =
            (0..180).filter_map(|second| ration.ask(Duration::from_secs(1000 + second))).collect();
        let each = |first| [vec![first], vec![0; 9]].concat();
        assert_eq!(told, [each(0), each(50), each(50)].concat());
    }
}
