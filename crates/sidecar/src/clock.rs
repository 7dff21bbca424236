//! Where the sidecar's machines get their time from.
//!
//! Monotonic time: it never jumps with the wall clock, so that neither a
//! hold-down nor a hold timer depends on NTP. Wall time is taken only for words to people.

use std::time::{Duration, Instant};

/// How long before its start a process has the origin of its time: what it remembers of the processes before has an age,
/// and hold-downs of an hour are forgotten after 64 of them.
const BEFORE: Duration = Duration::from_secs(4 * 86_400);

/// Monotonic time since an origin; copies share the origin. A process that takes another's place goes on with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// When this process began.
    began: Duration,
}

impl Clock {
    /// A clock that begins with this process, its origin well before that.
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        match now.checked_sub(BEFORE) {
            Some(origin) => Self { origin, began: BEFORE },
            // What is remembered then seems younger than it is, and nothing else.
            None => Self { origin: now, began: Duration::ZERO },
        }
    }

    /// The clock of another process, which read `time` when it was `moment` by the clock that all processes share.
    pub(crate) fn resume(time: Duration, moment: Duration) -> Self {
        let began = time.saturating_add(pharos_netio::handover::moment().saturating_sub(moment));
        match Instant::now().checked_sub(began) {
            Some(origin) => Self { origin, began },
            // Before the host's start: then what is remembered seems younger than it is, and nothing else.
            None => Self::start(),
        }
    }

    /// For how long this process has run.
    pub(crate) fn uptime(self) -> Duration {
        self.now().saturating_sub(self.began)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_has_time_before_its_start_and_no_uptime() {
        let clock = Clock::start();
        assert!(clock.now() >= BEFORE);
        assert!(clock.uptime() <= clock.now().saturating_sub(BEFORE));
    }

    #[test]
    fn the_time_of_one_process_goes_on_in_the_next_and_its_uptime_begins_anew() {
        let time = Duration::from_secs(86_400);
        let clock = Clock::resume(time, pharos_netio::handover::moment());
        assert!(clock.now() >= time);
        assert!(clock.uptime() <= clock.now().saturating_sub(time));
    }
}
