//! Ends the process when a thread on which its routes depend no longer turns.
//!
//! The BGP sessions are driven by a thread of their own and would go on sending keepalives while nobody judges
//! the responder any more: a route without a keeper. A BGP thread that is stuck says nothing to anybody, so that the
//! neighbours drop the routes of a node that could answer, while the status tells what was last written into it. One that
//! probes no more withdraws for good. Ending the process closes the sessions, which are the
//! lease; the neighbours drop the routes, and the service manager starts anew. Anything gentler would need the
//! keeper's lock, which may be what it is stuck with, or the very thread that is.
//!
//! A thread that has ended without being told to, since something in it failed, beats no more either, and the process ends
//! as well: there would be nobody left to do its work.
//!
//! Which threads beat, and what they may do meanwhile, stands in [`crate::beat`].
//!
//! The watchdog counts its own looks instead of reading a clock: a process that was stopped and goes on, or a
//! host that slept, finds old heartbeats and must not die of them. It shares no lock with what it watches. It beats itself,
//! for `/livez`, which a process serves that is stuck altogether but for its management.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::beat::{Beat, Beats};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks without a beat in between that a thread may have: with one more, its last beat is 2.75 s to 3 s old, and it counts as
/// stuck. Each beats once a second at
/// least; shorter, and a starved machine would lose its routes; longer, and a dead responder keeps them. It is no longer than
/// the shortest hold time (3 s, RFC 4271 §4.2), so that a node whose BGP thread is stuck is not without its process for
/// longer than without its route.
const STUCK: u32 = 11;
/// How long the last line may take to be written; the end does not depend on it.
const LAST_LINE: Duration = Duration::from_millis(100);

/// How often one thread was seen without a beat.
#[derive(Debug, Default)]
struct Watch {
    last_beat_ms: u64,
    looks: u32,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Alive,
    Stuck,
}

impl Watch {
    fn look(&mut self, beat_ms: u64) -> Look {
        if beat_ms != self.last_beat_ms {
            *self = Self { last_beat_ms: beat_ms, looks: 0 };
        }
        self.looks += 1;
        if self.looks > STUCK { Look::Stuck } else { Look::Alive }
    }
}

/// The watches over all of them.
#[derive(Debug, Default)]
struct Watches(BTreeMap<&'static str, Watch>);

impl Watches {
    /// Looks at each; names those that are stuck.
    fn look(&mut self, beats: impl Iterator<Item = (&'static str, u64)>) -> Vec<&'static str> {
        let is_stuck = |(name, beat_ms): &(&'static str, u64)| {
            self.0.entry(name).or_default().look(*beat_ms) == Look::Stuck
        };
        beats.filter(is_stuck).map(|(name, _)| name).collect()
    }
}

/// Looks until it is dropped. The watchdog's own beat is `own`.
pub(crate) async fn run(beats: Beats, own: Beat) {
    let mut watches = Watches::default();
    loop {
        own.beat();
        // A sleep, and not an interval, so that looks which were missed are not made up for.
        tokio::time::sleep(LOOK).await;
        let stuck = watches.look(beats.last());
        if !stuck.is_empty() {
            end(stuck.join(", "));
        }
    }
}

/// Says why on a thread of its own, since the log is not ours and may wait, and ends the process in any case.
fn end(stuck: String) -> ! {
    let say = move || {
        let seconds = (LOOK * (STUCK + 1)).as_secs();
        tracing::error!(
            "thread {stuck} has not run for {seconds} s: the sidecar ends itself, and its routes go"
        );
    };
    // Without a thread for it, the end comes without words.
    let _ = std::thread::Builder::new().spawn(say);
    std::thread::sleep(LAST_LINE);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_beats_is_never_stuck() {
        let mut watch = Watch::default();
        assert!((1..1000).all(|beat| watch.look(beat) == Look::Alive));
    }

    #[test]
    fn a_thread_that_beats_only_once_a_second_is_never_stuck() {
        let mut watch = Watch::default();
        assert!((0..1000).all(|look| watch.look(1 + look / 4 * 1000) == Look::Alive));
    }

    #[test]
    fn a_thread_without_a_beat_is_stuck_after_the_bound_and_not_before() {
        let mut watch = Watch::default();
        assert!((0..STUCK).all(|_| watch.look(7) == Look::Alive));
        assert_eq!(watch.look(7), Look::Stuck);
    }

    #[test]
    fn a_thread_that_never_began_is_stuck() {
        let mut watch = Watch::default();
        assert!((0..STUCK).all(|_| watch.look(0) == Look::Alive));
        assert_eq!(watch.look(0), Look::Stuck);
    }

    #[test]
    fn a_process_that_stood_still_as_a_whole_is_not_stuck_for_the_old_beat_that_it_finds() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(1000), Look::Alive);
        // Minutes pass; neither looks nor beats happened in them. The next look may come before the next beat.
        assert_eq!(watch.look(1000), Look::Alive);
        assert!((0..STUCK).all(|_| watch.look(600_000) == Look::Alive));
    }

    #[test]
    fn of_several_threads_the_one_without_a_beat_is_named_and_the_others_are_not() {
        let mut watches = Watches::default();
        let mut look = |turn: u64, routes| {
            let beats = [("pharos-keeper", turn), ("pharos-routes", routes), ("pharos-probe", turn)];
            watches.look(beats.into_iter())
        };
        assert!((0..100).all(|turn| look(turn, turn).is_empty()));
        assert!((100..u64::from(99 + STUCK)).all(|turn| look(turn, 99).is_empty()));
        assert_eq!(look(200, 99), ["pharos-routes"]);
    }

    #[test]
    fn threads_that_are_silent_by_turns_are_not_stuck() {
        let mut watches = Watches::default();
        for turn in 0..1000 {
            // One beats in one second, the other half a second later.
            let (one, other) = (turn / 4 * 4, (turn + 2) / 4 * 4);
            assert!(watches.look([("one", one), ("other", other)].into_iter()).is_empty());
        }
    }

    #[test]
    fn all_that_are_stuck_are_named() {
        let mut watches = Watches::default();
        let mut look = || watches.look([("pharos-keeper", 7), ("pharos-bfd", 8)].into_iter());
        assert!((0..STUCK).all(|_| look().is_empty()));
        assert_eq!(look(), ["pharos-keeper", "pharos-bfd"]);
    }
}
