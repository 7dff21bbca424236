//! A line in the log that would be said again and again is said once a minute.

use std::time::Duration;

/// Time between two lines of one kind.
const LINES: Duration = Duration::from_secs(60);

/// Tells whether the next line may be said.
#[derive(Debug, Default)]
pub(crate) struct Hush {
    last: Option<Duration>,
    hidden: u64,
}

impl Hush {
    /// How many lines were kept back since the last one, if another may be said `now`: time since any origin.
    pub(crate) fn ask(&mut self, now: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_sub(last) < LINES) {
            self.hidden += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_is_said_and_tells_how_many_were_not() {
        let mut hush = Hush::default();
        let said: Vec<_> =
            (0..1500).filter_map(|tenth| hush.ask(Duration::from_millis(tenth * 100))).collect();
        assert_eq!(said, [0, 599, 599]);
    }
}
