//! Whether the machine itself stood still: a virtual machine that was paused, a group of processes that was frozen.
//!
//! A thread that runs before ordinary ones wants to run every few milliseconds and notes when it did not for a second. A
//! core that is merely taken by others does not keep it; only what stops everybody does.

use pharos_netio::urgency::{Duty, prefer_current_thread};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Timers of the lab ended meanwhile.
const LONG: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// A time in which nobody ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stood {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// All of them so far.
#[derive(Debug)]
pub(super) struct Standstill {
    stretches: Arc<Mutex<Vec<Stood>>>,
    stop: Arc<AtomicBool>,
}

impl Standstill {
    /// Looks until it is dropped.
    pub(super) fn watch() -> Self {
        let this = Self { stretches: Arc::default(), stop: Arc::default() };
        let (stretches, stop) = (Arc::clone(&this.stretches), Arc::clone(&this.stop));
        std::thread::spawn(move || {
            println!("    the watch on standstills runs {}", prefer_current_thread(Duty::Route));
            let mut from = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                let until = Instant::now();
                if until - from >= LONG {
                    stretches.lock().unwrap_or_else(PoisonError::into_inner).push(Stood { from, until });
                }
                from = until;
            }
        });
        this
    }

    pub(super) fn stretches(&self) -> Vec<Stood> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something that happened then may come of a standstill, or of one that was over for less than `recovery`.
    pub(super) fn spoils(&self, at: Instant, recovery: Duration) -> bool {
        self.stretches().iter().any(|stood| spoils(stood, at, recovery))
    }
}

fn spoils(stood: &Stood, at: Instant, recovery: Duration) -> bool {
    (stood.from..=stood.until + recovery).contains(&at)
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_in_a_standstill_and_soon_after_is_spoilt_and_what_came_before_is_not() {
        let from = Instant::now();
        let seconds = Duration::from_secs;
        let stood = Stood { from, until: from + seconds(2) };
        let spoilt = |at| spoils(&stood, at, seconds(10));
        assert!(spoilt(from) && spoilt(from + seconds(1)) && spoilt(from + seconds(12)));
        assert!(!spoilt(from + seconds(13)));
        assert!(!spoils(&Stood { from: from + seconds(1), ..stood }, from, seconds(10)));
    }
}
