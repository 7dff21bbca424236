//! The operator's words over a restart: a small file that is written when they change and read at the start.
//!
//! A node that was drained for new disks must not announce itself when it boots. So what
//! [`Policy::saved`](pharos_policy::Policy::saved) gives is written to a file of its own, beside it first and
//! then renamed over it, by a thread that does nothing else: a disk that hangs delays neither a probe nor a
//! withdrawal. A disk that is full is an alarm, and tried again until it is not.
//!
//! What cannot be read at the start is left where it is and said loudly: the node then starts without words,
//! and who wrote them should know.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pharos_policy::policy::Input;
use pharos_policy::{AlarmId, Saved};

use crate::keeper::Keeper;
use crate::threads::Stopping;

/// The file's name in the state directory.
const FILE: &str = "words.json";

/// From one attempt to write to the next: soon enough to be done before a planned restart.
const AGAIN: Duration = Duration::from_secs(5);

/// Where words are kept.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    path: PathBuf,
}

impl Book {
    /// The book in a state directory, which need not exist yet.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join(FILE) }
    }

    /// What was written last; nothing if nothing ever was.
    fn read(&self) -> io::Result<Saved> {
        match fs::read(&self.path) {
            Ok(octets) => serde_json::from_slice(&octets).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, saved: &Saved) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        serde_json::to_writer_pretty(&mut file, saved)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        // Only then has the rename come through a power cut.
        File::open(directory)?.sync_all()
    }

    /// Takes the words of before into the policy.
    pub(crate) fn recall(&self, keeper: &Keeper) {
        match self.read() {
            Ok(saved) if saved == Saved::default() => {}
            Ok(saved) => keeper.restore(since_1970(), saved),
            Err(error) => {
                let text = format!(
                    "{} cannot be read, so what it says is not obeyed: {error}; say it again",
                    self.path.display()
                );
                keeper.take(Input::Raise { alarm: AlarmId::WordsNotSaved, text });
            }
        }
    }
}

/// Writes the words whenever they change, and once more at the order to stop.
pub(crate) async fn keep(keeper: Arc<Keeper>, book: Book, mut stopping: Stopping) {
    let mut written = None;
    loop {
        tokio::select! {
            () = keeper.words_changed() => {}
            _ = stopping.ordered() => {
                let last = keeper.saved(since_1970());
                if written.is_some() && written.as_ref() != Some(&last) {
                    // Nobody is left to be told of an error.
                    let _ = book.write(&last);
                }
                return;
            }
        }
        loop {
            let saved = keeper.saved(since_1970());
            let Err(error) = book.write(&saved) else {
                written = Some(saved);
                break;
            };
            let text = format!("{}: {error}; a restart would forget them", book.path.display());
            keeper.take(Input::Raise { alarm: AlarmId::WordsNotSaved, text });
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                _ = stopping.ordered() => return,
            }
        }
        keeper.take(Input::Clear { alarm: AlarmId::WordsNotSaved });
    }
}

/// The wall clock.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
