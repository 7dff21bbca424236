//! Writes images behind the back of everything that answers.
//!
//! One thread, one image at a time, whichever zone comes first; of a zone that changes faster than that, the newest
//! image alone. What waits holds nothing but the image that answers, or one that has just been replaced.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zonedb::ZoneImage;

use super::{put, sync_names};

/// How long the end of the process may wait for images that are not written yet; service managers wait longer.
const AT_THE_END: Duration = Duration::from_secs(3);
/// Octets that are given to the system at once.
const PIECE: usize = 256 << 10;

/// An image to be written.
pub(super) struct Job {
    pub(super) zone: Name,
    pub(super) file: String,
    pub(super) image: Arc<ZoneImage>,
    pub(super) note: Vec<u8>,
}

/// The thread that writes; dropping it lets it write what waits, for a while.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(directory: PathBuf, key: HashKey) -> io::Result<Self> {
        let (jobs, work) = channel();
        let thread = std::thread::Builder::new().name("images".into());
        let thread = thread.spawn(move || run(&directory, key, &work))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) fn push(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this end is dropped.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes images had panicked");
        }
    }
}

fn run(directory: &std::path::Path, key: HashKey, work: &Receiver<Job>) {
    let mut waiting: BTreeMap<String, Job> = BTreeMap::new();
    let mut ended: Option<Instant> = None;
    loop {
        if waiting.is_empty() {
            match work.recv() {
                Ok(job) => {
                    waiting.insert(job.file.clone(), job);
                }
                Err(_) => return,
            }
        }
        loop {
            match work.try_recv() {
                Ok(job) => {
                    waiting.insert(job.file.clone(), job);
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    ended.get_or_insert_with(Instant::now);
                    break;
                }
            }
        }
        if ended.is_some_and(|ended| ended.elapsed() > AT_THE_END) {
            tracing::warn!(left = waiting.len(), "images are left unwritten: the next start reads the text");
            return;
        }
        let Some((file, job)) = waiting.pop_first() else { continue };
        let written = put(directory, &file, |out| {
            let mut out = BufWriter::with_capacity(PIECE, out);
            job.image.write_to(key, &job.note, &mut out)?;
            out.flush()
        });
        // Once for all that waited: of each file there is the old one or the new one, whatever happens in between.
        let written = if waiting.is_empty() { written.and(sync_names(directory)) } else { written };
        match written {
            Ok(()) => tracing::debug!(zone = %job.zone, "image written"),
            Err(error) => tracing::warn!(
                zone = %job.zone, directory = %directory.display(), %error,
                "the image of the zone could not be written: the next start reads the text"
            ),
        }
    }
}
