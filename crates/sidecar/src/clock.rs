//! Where the sidecar's machines get their time from.
//!
//! Monotonic time since the start of the sidecar: it never jumps with the wall clock, so that neither a
//! hold-down nor a hold timer depends on NTP. Wall time is taken only for words to people.

use std::time::{Duration, Instant};

/// Monotonic time since an origin; copies share the origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the origin.
    pub(crate) fn now(self) -> Duration {
        self.origin.elapsed()
    }

    /// The instant of a time that a machine named, for timers to sleep until.
    pub(crate) fn instant(self, at: Duration) -> tokio::time::Instant {
        // A deadline centuries away is as good as none; a year keeps the sum in range everywhere.
        const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
        let within = at.min(self.now().saturating_add(YEAR));
        tokio::time::Instant::from_std(self.origin.checked_add(within).unwrap_or_else(Instant::now))
    }
}
