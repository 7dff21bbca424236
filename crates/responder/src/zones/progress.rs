//! How far a long load has come, in the log.

use std::time::{Duration, Instant};

use pharos_wire::Name;
use pharos_zone::dnssec::Progress;

/// Time between two lines: often enough for a person who waits.
const LINES: Duration = Duration::from_secs(5);

/// Writes a line every few seconds for as long as a load takes.
pub(super) struct ProgressLog {
    last: Instant,
    done: usize,
    total: usize,
}

impl ProgressLog {
    /// For `total` zones from `begun` on.
    pub(super) fn new(begun: Instant, total: usize) -> Self {
        Self { last: begun, done: 0, total }
    }

    /// One more zone has been looked at.
    pub(super) fn zone_done(&mut self) {
        self.done += 1;
        if self.is_time() {
            tracing::info!(zones_done = self.done, zones_total = self.total, "loading zones");
        }
    }

    /// So many signatures of the zone at hand have been looked at.
    pub(super) fn signatures(&mut self, zone: &Name, far: Progress) {
        if self.is_time() {
            tracing::info!(
                %zone,
                signatures_done = far.done,
                signatures_total = far.total,
                zones_done = self.done,
                zones_total = self.total,
                "verifying signatures"
            );
        }
    }

    fn is_time(&mut self) -> bool {
        self.is_due(Instant::now())
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.last) >= LINES;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_load_says_nothing_and_a_long_one_says_something_every_few_seconds() {
        let begun = Instant::now();
        let mut log = ProgressLog::new(begun, 1);
        let seconds = (0..60).filter(|&second| log.is_due(begun + Duration::from_secs(second)));
        assert_eq!(seconds.collect::<Vec<_>>(), (1..12).map(|line| line * 5).collect::<Vec<_>>());
    }
}
