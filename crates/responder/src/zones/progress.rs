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
        let now = Instant::now();
        let due = now.duration_since(self.last) >= LINES;
        if due {
            self.last = now;
        }
        due
    }
}
