//! Ends the process when the keeper no longer turns.
//!
//! The BGP sessions are driven by a thread of their own and would go on sending keepalives while nobody judges
//! the responder any more: a route without a keeper. Ending the process closes the sessions, which are the
//! lease; the neighbours drop the routes, and the service manager starts anew. Anything gentler would need the
//! keeper's lock, which may be what it is stuck with.
//!
//! The watchdog counts its own looks instead of reading a clock: a process that was stopped and goes on, or a
//! host that slept, finds an old heartbeat and must not die of it. It shares no lock with what it watches.

use std::sync::Arc;
use std::time::Duration;

use crate::keeper::Keeper;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks without a beat in between after which the keeper counts as stuck: 3 s. It beats once a second at
/// least; shorter, and a starved machine would lose its routes; longer, and a dead responder keeps them.
const STUCK: u32 = 6;
/// How long the last line may take to be written; the end does not depend on it.
const LAST_LINE: Duration = Duration::from_millis(100);

/// How often the keeper was seen without a beat.
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

/// Looks until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let mut watch = Watch::default();
    loop {
        // A sleep, and not an interval, so that looks which were missed are not made up for.
        tokio::time::sleep(LOOK).await;
        if watch.look(keeper.ticked_ms()) == Look::Stuck {
            end();
        }
    }
}

/// Says why on a thread of its own, since the log is not ours and may wait, and ends the process in any case.
fn end() -> ! {
    let say = || {
        let seconds = (LOOK * STUCK).as_secs();
        tracing::error!("the keeper has not run for {seconds} s: the sidecar ends itself, and its routes go");
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
    fn a_keeper_that_beats_is_never_stuck() {
        let mut watch = Watch::default();
        assert!((1..1000).all(|beat| watch.look(beat) == Look::Alive));
    }

    #[test]
    fn a_keeper_that_beats_only_once_a_second_is_never_stuck() {
        let mut watch = Watch::default();
        assert!((0..1000).all(|look| watch.look(1 + look / 2 * 1000) == Look::Alive));
    }

    #[test]
    fn a_keeper_without_a_beat_is_stuck_after_the_bound_and_not_before() {
        let mut watch = Watch::default();
        assert!((0..STUCK).all(|_| watch.look(7) == Look::Alive));
        assert_eq!(watch.look(7), Look::Stuck);
    }

    #[test]
    fn a_keeper_that_never_began_is_stuck() {
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
}
