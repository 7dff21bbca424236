//! The operator's words over a restart: a small file that is written when they change and read at the start.
//!
//! A node that was drained for new disks must not announce itself when it boots. So what
//! [`Policy::saved`](pharos_policy::Policy::saved) gives is written to a file of its own by a thread that does nothing
//! else: a disk that hangs delays neither a probe nor a withdrawal. A word counts from the moment that it is said; whoever
//! said it is told that it was when it is on the disk as well ([`Ledger::kept`]), or why it is not.
//!
//! | the disk | the word | who said it | alarm |
//! |---|---|---|---|
//! | has it | holds | hears yes | |
//! | refuses, or does not answer in time | holds, and is tried again until it is there | hears that it holds, and that a restart would forget it | `words-not-saved` |
//!
//! | the file at the start | then | alarm |
//! |---|---|---|
//! | is not there | nothing was ever said | |
//! | can be read | what it says is obeyed | |
//! | cannot be read | nobody knows whether this node may announce: it is forced to level draining until a person says `pharos release all` | `words-unreadable` |
//!
//! Until when they hold is told by the clock that nobody sets, as long as the host runs, and after a boot by the wall clock,
//! but never for longer than they had left: see [`Stamp`](crate::kept::Stamp).
//!
//! Level draining, and not withdrawn: a file of every node that an older version cannot read, or whose owner a push has
//! changed, must not take the whole service away. Where another node announces, one at that level has next to no queries;
//! where none does, it answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::policy::Input;
use pharos_policy::{AlarmId, Level, Saved, Target};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;

use crate::keeper::Keeper;
use crate::kept::{KeptFile, Stamp, since_1970};
use crate::threads::Stopping;

/// The file's name in the state directory.
const FILE: &str = "words.json";

/// From one attempt to write to the next: soon enough to be done before a planned restart.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a disk may take before the person who waits for it hears that it does.
const PATIENCE: Duration = Duration::from_secs(5);

/// That word has no end by itself: ten years.
const UNTIL_TOLD: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Who forces a node whose words cannot be read. A person who forces or releases it takes its place.
const AUTHOR: &str = "the sidecar itself";

/// A word holds, and is not on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "what was said holds from now on, but it is not on the disk, and a restart of the sidecar would not know of it: {why}"
)]
pub struct UnkeptError {
    /// What the disk says.
    why: String,
}

/// How far the words have come onto the disk.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// How often the words have changed.
    said: watch::Sender<u64>,
    tried: watch::Sender<Tried>,
}

/// The last attempt to write.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// With all changes up to this one.
    change: u64,
    /// Why it failed, if it did.
    failure: Option<String>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { said: watch::Sender::new(0), tried: watch::Sender::new(Tried::default()) }
    }

    /// The words are others than before.
    pub(crate) fn changed(&self) {
        self.said.send_modify(|change| *change += 1);
    }

    fn change(&self) -> u64 {
        *self.said.borrow()
    }

    /// Waits for a change after this one.
    async fn beyond(&self, change: u64) {
        // The sender is our own.
        let _ = self.said.subscribe().wait_for(|now| *now > change).await;
    }

    fn tried(&self, change: u64, failure: Option<String>) {
        self.tried.send_replace(Tried { change, failure });
    }

    /// Waits until all that has been said is on the disk, or is known not to be.
    pub(crate) async fn kept(&self) -> Result<(), UnkeptError> {
        let change = self.change();
        let mut tried = self.tried.subscribe();
        match tokio::time::timeout(PATIENCE, tried.wait_for(|tried| tried.change >= change)).await {
            Ok(Ok(tried)) => match &tried.failure {
                None => Ok(()),
                Some(why) => Err(UnkeptError { why: why.clone() }),
            },
            Ok(Err(_)) | Err(_) => {
                Err(UnkeptError { why: format!("the disk has not answered within {PATIENCE:?}") })
            }
        }
    }
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    /// When it was written; nothing, where a version wrote it that did not say so.
    #[serde(flatten)]
    at: Option<Stamp>,
    #[serde(flatten)]
    words: Saved,
}

impl Page {
    fn of(keeper: &Keeper) -> Self {
        let at = Stamp::now();
        let words = keeper.saved(at.unix());
        Self { at: Some(at), words }
    }

    /// The wall clock as whoever wrote it would read it now, had nobody set it since.
    fn clock(&self) -> Duration {
        match &self.at {
            Some(at) => at.unix().saturating_add(at.elapsed(&Stamp::now())),
            None => since_1970(),
        }
    }
}

/// Where words are kept.
#[derive(Clone, Debug)]
pub(crate) struct Book(KeptFile);

impl Book {
    /// The book in a state directory, which need not exist yet.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(KeptFile::in_directory(directory, FILE))
    }

    /// Takes the words of before into the policy.
    pub(crate) fn recall(&self, keeper: &Keeper) {
        match self.0.read::<Page>() {
            Ok(None) => {}
            Ok(Some(page)) => {
                let unknown = doubt(&page.words).map(str::to_owned);
                keeper.restore(page.clock(), page.words);
                if let Some(text) = unknown {
                    keeper.take(Input::Raise { alarm: AlarmId::WordsUnreadable, text });
                }
            }
            Err(error) => {
                let path = self.0.path().display();
                let aside = match self.0.set_aside() {
                    Ok(aside) => format!("; what it was is kept as {}", aside.display()),
                    Err(_) => String::new(),
                };
                let text = format!(
                    "{path} cannot be read, so nobody knows whether this node was drained, held or forced, and it asks \
                     for no queries: {error}; if it may be asked, say `pharos release all`, and say other words again{aside}"
                );
                tracing::error!("{text}");
                keeper.take(Input::Force {
                    target: Target::All,
                    level: Level::Draining,
                    expires: keeper.clock.now().saturating_add(UNTIL_TOLD),
                    text: text.clone(),
                    author: AUTHOR.to_owned(),
                });
                keeper.take(Input::Raise { alarm: AlarmId::WordsUnreadable, text });
            }
        }
    }
}

/// The text of a word that nobody said but this program.
fn doubt(saved: &Saved) -> Option<&str> {
    let ours = saved.stands.iter().find(|stand| stand.words.author == AUTHOR)?;
    Some(ours.words.text.as_str())
}

/// Writes the words whenever they change, and once more at the order to stop.
pub(crate) async fn keep(keeper: Arc<Keeper>, book: Book, mut stopping: Stopping) {
    let ledger = keeper.ledger();
    let (mut done, mut written) = (0, None);
    loop {
        tokio::select! {
            () = ledger.beyond(done) => {}
            _ = stopping.ordered() => {
                let (change, last) = (ledger.change(), Page::of(&keeper));
                if written.is_some() && written.as_ref() != Some(&last.words) || change > done {
                    // Nobody is left to be told of an error but who has just said something.
                    ledger.tried(change, book.0.write(&last).err().map(|error| error.to_string()));
                }
                return;
            }
        }
        loop {
            // Counted before they are taken, so that what is counted is in them.
            let change = ledger.change();
            let page = Page::of(&keeper);
            let alarm = AlarmId::WordsUnreadable;
            keeper.take(match doubt(&page.words).map(str::to_owned) {
                Some(text) => Input::Raise { alarm, text },
                None => Input::Clear { alarm },
            });
            let Err(error) = book.0.write(&page) else {
                keeper.take(Input::Clear { alarm: AlarmId::WordsNotSaved });
                ledger.tried(change, None);
                (done, written) = (change, Some(page.words));
                break;
            };
            // The alarm first, so that whoever hears of it finds it.
            let why = format!("{}: {error}", book.0.path().display());
            let text = format!("{why}; a restart would forget them");
            keeper.take(Input::Raise { alarm: AlarmId::WordsNotSaved, text });
            ledger.tried(change, Some(why));
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                // Whoever says more waits for what becomes of it.
                () = ledger.beyond(change) => {}
                _ = stopping.ordered() => return,
            }
        }
    }
}
