//! Ends the process when a thread that answers no longer turns.
//!
//! With SO_REUSEPORT a stuck worker black-holes its share of the clients while the others answer every probe, and
//! with a stuck TCP thread it does not answer all whom it told to come back by TCP. Better no responder, which everybody
//! sees, than most of one: the sidecar withdraws the route, and the service manager starts anew.
//!
//! The watchdog counts its own looks instead of reading a clock: a process that was stopped and goes on, or a
//! host that slept, finds old heartbeats everywhere and must not die of it.
//!
//! Having time between its looks, it also frees the sets of zones that a reload replaced, as soon as no worker
//! reads them: a large zone must not stand twice in memory until the next push.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pharos_zonedb::Published;

use crate::counters::Counters;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks without a beat in between after which a thread counts as stuck: 10 s, a hundred turns of an idle
/// one. A thread that is merely starved of its CPU for less must not take the node down.
const STUCK: u32 = 20;
/// How long the last line may take to be written. The end does not depend on it: whatever is at the other end of
/// the log must not keep a stuck worker alive.
const LAST_LINE: Duration = Duration::from_millis(100);

/// How often a worker was seen without a beat.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last_beat_ms: u64,
    looks: u32,
}

impl Watch {
    /// Takes a look; says whether the worker is stuck.
    pub(crate) fn look(&mut self, beat_ms: u64) -> bool {
        if beat_ms != self.last_beat_ms {
            *self = Self { last_beat_ms: beat_ms, looks: 0 };
        }
        self.looks += 1;
        self.looks > STUCK
    }
}

/// Looks until `stop`.
pub(crate) fn run<T>(threads: &[(String, Arc<Counters>)], zones: &Published<T>, stop: &AtomicBool) {
    let mut watches: Vec<Watch> = threads.iter().map(|_| Watch::default()).collect();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        for (watch, (name, counters)) in watches.iter_mut().zip(threads) {
            if watch.look(counters.last_beat_ms()) && !stop.load(Ordering::Relaxed) {
                end(name);
            }
        }
        zones.sweep();
    }
}

/// Says why on a thread of its own, since the log is not ours and may wait, and ends the process in any case.
fn end(name: &str) -> ! {
    let name = name.to_owned();
    let say =
        move || tracing::error!(thread = name, "a thread that answers is stuck: the responder ends itself");
    // Without a thread for it, the end comes without words.
    let _ = std::thread::Builder::new().spawn(say);
    std::thread::sleep(LAST_LINE);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_beats_is_never_stuck() {
        let mut watch = Watch::default();
        assert!((1..1000).all(|beat| !watch.look(beat)));
    }

    #[test]
    fn a_worker_without_a_beat_is_stuck_after_the_bound_and_not_before() {
        let mut watch = Watch::default();
        assert!((0..STUCK).all(|_| !watch.look(7)));
        assert!(watch.look(7));
    }

    #[test]
    fn a_replaced_set_of_zones_is_freed_without_another_reload() {
        let first = Arc::new(1);
        let watch = Arc::downgrade(&first);
        let published = Published::new(first);
        published.publish(Arc::new(2), pharos_zonedb::Retire::WhenUnread);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| run(&[], &published, &stop));
            let freed = (0..1000).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                watch.upgrade().is_none()
            });
            stop.store(true, Ordering::Relaxed);
            assert!(freed, "it still lives");
        });
    }

    #[test]
    fn one_beat_starts_the_count_anew() {
        let mut watch = Watch::default();
        assert!((0..STUCK).all(|_| !watch.look(7)));
        assert!((0..STUCK).all(|_| !watch.look(8)));
    }
}
