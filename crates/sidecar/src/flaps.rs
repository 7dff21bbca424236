//! Falls and returns over a restart: what delays the returns of a node that flaps, also when the sidecar itself is what
//! dies again and again.
//!
//! [`Policy::flaps`](pharos_policy::Policy::flaps) is written to a file whenever a level changes and at the start, and
//! read at a start that is no handover. It tells how each process has ended, too: the last line of one that was told to end
//! is that it was. One that was not took its routes with it, which is a fall like any other.
//!
//! | the file at the start | then | alarm |
//! |---|---|---|
//! | is not there | a first start | |
//! | can be read | hold-downs and the cap on returns go on | |
//! | cannot be read | they begin anew | `flaps-not-kept`, until it is written again |
//!
//! Times are ages. What went by since is told by the clock that nobody sets, as long as the host runs; after a boot by the
//! wall clock, and never less than the host has been up. A wall clock that goes back takes nothing away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::policy::Input;
use pharos_policy::{AlarmId, End, SavedFlaps};
use serde::{Deserialize, Serialize};

use crate::keeper::Keeper;
use crate::kept::{KeptFile, Stamp, milliseconds};
use crate::threads::Stopping;

/// The file's name in the state directory.
const FILE: &str = "flaps.json";

/// From one attempt to write to the next.
const AGAIN: Duration = Duration::from_secs(5);

/// Ends that nobody ordered which are remembered, for people.
const MOST_ENDS: usize = 16;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    /// When it was written.
    #[serde(flatten)]
    at: Stamp,
    /// How the process that wrote it has ended, as far as it knew.
    end: End,
    /// How long ago processes have ended that nobody told to, the newest last.
    #[serde(default)]
    broken_ago_ms: Vec<u64>,
    prefixes: Vec<SavedFlaps>,
}

/// Where falls and returns are kept.
#[derive(Debug)]
pub(crate) struct Tally {
    file: KeptFile,
    /// When processes have ended that nobody told to, by the clock of [`moment`]; before a boot counts as at it.
    broken: Vec<Duration>,
}

impl Tally {
    /// The tally in a state directory, which need not exist yet.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { file: KeptFile::in_directory(directory, FILE), broken: Vec::new() }
    }

    /// Takes falls and returns of before into the policy, which has just begun.
    pub(crate) fn recall(&mut self, keeper: &Keeper) {
        let now = Stamp::now();
        let page = match self.file.read::<Page>() {
            Ok(None) => return,
            Ok(Some(page)) => page,
            Err(error) => {
                let text = format!(
                    "{} cannot be read: {error}; hold-downs and the cap on returns begin anew, and it is written anew \
                     when a level changes",
                    self.file.path().display()
                );
                return keeper.take(Input::Raise { alarm: AlarmId::FlapsNotKept, text });
            }
        };
        let elapsed = page.at.elapsed(&now);
        keeper.remember(elapsed, page.end, &page.prefixes);
        let ago = |ago_ms: &u64| {
            now.moment().saturating_sub(Duration::from_millis(*ago_ms).saturating_add(elapsed))
        };
        self.broken = page.broken_ago_ms.iter().map(ago).collect();
        if page.end == End::Broken {
            self.broken.push(now.moment());
            let passed_over = self.broken.len().saturating_sub(MOST_ENDS);
            self.broken.drain(..passed_over);
            const HOUR: Duration = Duration::from_secs(3600);
            let within_the_hour =
                self.broken.iter().filter(|at| now.moment().saturating_sub(**at) < HOUR).count();
            tracing::warn!(
                within_the_hour,
                "the process before ended without being told to; what it had announced has fallen"
            );
        }
    }

    fn write(&self, keeper: &Keeper, end: End) -> std::io::Result<()> {
        let at = Stamp::now();
        let ago = |broken: &Duration| milliseconds(at.moment().saturating_sub(*broken));
        let broken_ago_ms = self.broken.iter().map(ago).collect();
        let page = Page { end, broken_ago_ms, prefixes: keeper.flaps(), at };
        self.file.write(&page)
    }
}

/// Writes falls and returns whenever a level changes, and how this process ends at the order to stop.
pub(crate) async fn keep(keeper: Arc<Keeper>, tally: Tally, stopping: Stopping, mut finishing: Stopping) {
    let mut levels = keeper.levels();
    // One that could not be read stays as it is, with its alarm, until there is something to write.
    let mut unwritten = !keeper.has_alarm(&AlarmId::FlapsNotKept);
    loop {
        if unwritten {
            unwritten = match tally.write(&keeper, End::Broken) {
                Ok(()) => {
                    keeper.take(Input::Clear { alarm: AlarmId::FlapsNotKept });
                    false
                }
                Err(error) => {
                    let text = format!(
                        "{}: {error}; a restart would forget falls and returns",
                        tally.file.path().display()
                    );
                    keeper.take(Input::Raise { alarm: AlarmId::FlapsNotKept, text });
                    true
                }
            };
        }
        tokio::select! {
            // It comes with the order to stop, too.
            _ = finishing.ordered() => {
                if stopping.is_ordered() {
                    // Where it cannot be written, the end will look like one that nobody ordered: a longer wait, and no harm.
                    let _ = tally.write(&keeper, End::Ordered);
                }
                // Else another process goes on with the routes.
                return;
            }
            // The keeper outlives this task, which holds it.
            _ = levels.changed() => unwritten = true,
            () = tokio::time::sleep(AGAIN), if unwritten => {}
        }
    }
}
