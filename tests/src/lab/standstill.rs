//! Whether the machine itself stood still: a virtual machine that was paused, a group of processes that was frozen, or, if
//! that is what one asks, a core that others have taken.
//!
//! Threads that want to run every few milliseconds note how long they did not.

use pharos_netio::urgency::{Duty, prefer_current_thread};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Timers of the lab end in such a time.
pub const STANDSTILL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watcher {
    /// An ordinary thread on each core: a core that others have taken keeps it, as it keeps a worker that is pinned there.
    OnEachCore,
    /// A thread that runs before ordinary ones: only what stops everybody keeps it.
    BeforeOthers,
}

/// A time in which nobody ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stood {
    /// When the watcher had run last.
    pub from: Instant,
    /// When it ran again.
    pub until: Instant,
}

#[derive(Debug, Default)]
struct Seen {
    /// Those of [`STANDSTILL`] and more.
    stretches: Vec<Stood>,
    longest: Duration,
}

/// All of them so far, until it is dropped.
#[derive(Debug)]
pub struct Standstills {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
}

impl Standstills {
    /// Looks from now on.
    pub fn watch(watcher: Watcher) -> Self {
        let this = Self { seen: Arc::default(), stop: Arc::default() };
        match watcher {
            Watcher::OnEachCore => {
                for core in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
                    this.start(move || {
                        let mut cores = CpuSet::new();
                        cores.set(core);
                        // Where that core is not ours, it watches another.
                        let _ = sched_setaffinity(None, &cores);
                    });
                }
            }
            Watcher::BeforeOthers => this.start(|| {
                println!("    the watch on standstills runs {}", prefer_current_thread(Duty::Route));
            }),
        }
        this
    }

    fn start(&self, prepare: impl FnOnce() + Send + 'static) {
        let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
        std::thread::spawn(move || {
            prepare();
            let mut from = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                let until = Instant::now();
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.longest = seen.longest.max(until - from);
                if until - from >= STANDSTILL {
                    seen.stretches.push(Stood { from, until });
                }
                from = until;
            }
        });
    }

    /// The longest time for which a watcher did not run.
    pub fn longest(&self) -> Duration {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).longest
    }

    /// All of [`STANDSTILL`] and more.
    pub fn stretches(&self) -> Vec<Stood> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).stretches.clone()
    }

    /// Whether something that happened then may come of a standstill, or of one that was over for less than `recovery`.
    pub fn spoils(&self, at: Instant, recovery: Duration) -> bool {
        self.stretches().iter().any(|stood| spoils(stood, at, recovery))
    }
}

fn spoils(stood: &Stood, at: Instant, recovery: Duration) -> bool {
    (stood.from..=stood.until + recovery).contains(&at)
}

impl Drop for Standstills {
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
