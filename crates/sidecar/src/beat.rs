//! Signs of life of the threads on which a route depends.
//!
//! Each writes the time into a place of its own, once a second at least; the watchdog and `/livez` read it. There is no
//! lock, so that nobody who looks waits for whoever is stuck.
//!
//! A beat says that the *thread* turns: that it runs what is due. It comes from a task beside the thread's others, because
//! these may rightly wait for long, as a session does while another process takes it over ([`crate::handover`]).
//!
//! | thread | what it may do | what it may not do |
//! |---|---|---|
//! | `pharos-keeper` | step the policy, talk to the responder's status | anything that waits in the kernel |
//! | `pharos-routes` | sockets that never block, the keeper's lock, a line to the log (a queue that never waits) | the same |
//! | `pharos-probe` | the same; read the counters of `/proc/self/net`, which the kernel writes down without waiting | the same |
//! | `pharos-bfd` | the same sockets, and wait in poll(2) for a second at most | the same |
//! | `pharos-watch` | look at the others | anything else |
//!
//! What may wait in the kernel for longer than the watchdog is patient is: a list of addresses (getifaddrs(3) waits for
//! whoever changes interfaces), a name to look up, a file on a disk, another program. Of these the probes need the first
//! alone, and have it on a thread beside theirs (`probe/wire.rs`). Threads that do such things are *helpers*: the announcers
//! but our own speaker, those that look at the host's tables, and those that write files. One that has not beaten for
//! [`LATE`] is an alarm, and what it last told of a route is not known any more; the process goes on, for its end would leave
//! the routes of a program or a daemon as they are, with nobody to say so. The threads that send probes from each CPU do not
//! beat: the worker of their CPU may rightly keep one from running, which is what probes are there to find out.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Time between two beats of a thread that has nothing else to do. The watchdog forgives two that are missing.
const EVERY: Duration = Duration::from_secs(1);

/// A helper that has not beaten for so long is late: longer than a disk or a program's start takes on a machine that is busy,
/// and no longer than a person should be left with what is no longer so.
pub(crate) const LATE: Duration = Duration::from_secs(10);

/// In place of a time: the thread has not begun, or has ended as it should.
const NEVER: u64 = u64::MAX;

/// Where one thread beats.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    clock: Clock,
    at_ms: Arc<AtomicU64>,
}

impl Beat {
    /// The thread turns.
    pub(crate) fn beat(&self) {
        self.at_ms.store(milliseconds(self.clock.now()), Ordering::Relaxed);
    }

    /// Does `work`, and beats while the thread turns that does it. When the work has ended, there are no more beats.
    pub(crate) async fn during(self, work: impl Future<Output = ()>) {
        let beating = async {
            loop {
                self.beat();
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = beating => {}
        }
    }

    /// The same for a helper, whose end is no fault.
    pub(crate) async fn helping(self, work: impl Future<Output = ()>) {
        let at_ms = Arc::clone(&self.at_ms);
        self.during(work).await;
        at_ms.store(NEVER, Ordering::Relaxed);
    }
}

/// The beats of all threads that have one.
#[derive(Clone, Debug)]
pub(crate) struct Beats {
    clock: Clock,
    threads: Vec<(&'static str, Arc<AtomicU64>)>,
    helpers: Vec<(&'static str, Arc<AtomicU64>)>,
}

impl Beats {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, threads: Vec::new(), helpers: Vec::new() }
    }

    /// A place for one more thread. Before its first beat it counts as one that has just beaten.
    pub(crate) fn add(&mut self, name: &'static str) -> Beat {
        let at_ms = Arc::new(AtomicU64::new(milliseconds(self.clock.now())));
        self.threads.push((name, Arc::clone(&at_ms)));
        Beat { clock: self.clock, at_ms }
    }

    /// A place for one more helper.
    pub(crate) fn add_helper(&mut self, name: &'static str) -> Beat {
        let at_ms = Arc::new(AtomicU64::new(NEVER));
        self.helpers.push((name, Arc::clone(&at_ms)));
        Beat { clock: self.clock, at_ms }
    }

    /// Each helper's name, and whether one of that name is late. Until `awake` the process as a whole may have stood still,
    /// which is no fault of theirs.
    pub(crate) fn helpers(&self, awake: Duration) -> BTreeMap<&'static str, bool> {
        let (now, late) = (milliseconds(self.clock.now()), milliseconds(LATE));
        let awake = milliseconds(awake);
        let mut all = BTreeMap::new();
        for (name, at_ms) in &self.helpers {
            let at_ms = at_ms.load(Ordering::Relaxed);
            *all.entry(*name).or_default() |= at_ms != NEVER && now.saturating_sub(at_ms.max(awake)) > late;
        }
        all
    }

    /// Each thread, and when it beat last, in milliseconds of the clock.
    pub(crate) fn last(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.threads.iter().map(|(name, at_ms)| (*name, at_ms.load(Ordering::Relaxed)))
    }

    /// A thread that has not beaten for longer than `bound`, and for how long.
    pub(crate) fn silent_for(&self, bound: Duration) -> Option<(&'static str, Duration)> {
        let now = self.clock.now();
        let silent = |(name, at_ms)| (name, now.saturating_sub(Duration::from_millis(at_ms)));
        self.last().map(silent).find(|(_, silent)| *silent > bound)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment well after the clock's origin, so that a beat can be older than it.
    fn beats(before: Duration) -> (Beats, Beat, Beat) {
        let mut beats = Beats::new(Clock::start());
        let (routes, probe) = (beats.add("pharos-routes"), beats.add("pharos-probe"));
        let past = milliseconds(beats.clock.now().saturating_sub(before));
        for beat in [&routes, &probe] {
            beat.at_ms.store(past, Ordering::Relaxed);
        }
        (beats, routes, probe)
    }

    #[test]
    fn the_thread_that_does_not_beat_is_named_and_its_sibling_is_not() {
        let (beats, routes, probe) = beats(Duration::from_secs(60));
        routes.beat();
        let (name, silent) = beats.silent_for(Duration::from_secs(10)).unwrap();
        assert_eq!(name, "pharos-probe");
        assert!(silent >= Duration::from_secs(60));
        probe.beat();
        assert_eq!(beats.silent_for(Duration::from_secs(10)), None);
    }

    #[test]
    fn a_place_that_is_new_counts_as_beaten() {
        let mut beats = Beats::new(Clock::start());
        beats.add("pharos-bfd");
        assert_eq!(beats.silent_for(Duration::from_secs(10)), None);
    }

    #[test]
    fn a_helper_is_late_that_has_begun_and_does_not_beat_and_is_no_thread_that_must() {
        let mut beats = Beats::new(Clock::start());
        let (disk, program) = (beats.add_helper("pharos-words"), beats.add_helper("pharos-exec"));
        let late = |beats: &Beats| -> Vec<_> {
            beats
                .helpers(Duration::ZERO)
                .into_iter()
                .filter_map(|(name, late)| late.then_some(name))
                .collect()
        };
        assert_eq!(late(&beats), Vec::<&str>::new(), "neither has begun");
        let past = beats.clock.now().saturating_sub(LATE + Duration::from_secs(1));
        disk.at_ms.store(milliseconds(past), Ordering::Relaxed);
        program.beat();
        assert_eq!(late(&beats), ["pharos-words"]);
        assert!(beats.helpers(beats.clock.now()).values().all(|late| !late), "all stood still until now");
        assert_eq!(beats.silent_for(Duration::ZERO), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(disk.helping(async {}));
        assert_eq!(late(&beats), Vec::<&str>::new(), "it has ended as it should");
    }

    #[test]
    fn work_that_goes_on_beats_also_while_it_waits() {
        let (beats, routes, _) = beats(Duration::from_secs(60));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let at = |name| beats.last().find(|(of, _)| *of == name).unwrap().1;
        let before = ["pharos-routes", "pharos-probe"].map(at);
        // The work ends when it has seen a beat that it did not make.
        runtime.block_on(routes.during(async {
            while at("pharos-routes") == before[0] {
                tokio::task::yield_now().await;
            }
        }));
        assert_eq!(at("pharos-probe"), before[1], "a sibling's beat is its own");
    }
}
