//! Images of the zones that were accepted, in files: what was once accepted always loads again (DESIGN, invariant 3).
//!
//! A directory holds one file `NAME.image` for each zone and the file `key`. When the responder starts, a zone whose text
//! has not changed since its image was written is loaded from the image: in a fraction of the time, and without verifying
//! its signatures again. A zone whose text has changed is loaded from the text; when that is refused, the image answers,
//! with the alarm that a refused push has. Findings by the clock are made anew.
//!
//! Names in images are hashed with the key of the process that made them, so that key has to outlive it. Whoever knows
//! it can make names that collide (`pharos_wire::hash`): the file is the owner's alone, mode 0600, and a key that others
//! could read is replaced, without the loss of an image ([`keys`]). A new one is drawn only where there is none, as on the
//! first start; with one that cannot be read, images are neither read nor written.
//!
//! Images are written by a thread of their own ([`writer`]) after the data are in force, never before; each replaces
//! the old one by a rename once it is on the disk. Whatever fails is logged, and answering goes on. Nothing here is
//! needed to answer: a directory that cannot be used is one start more from text.
//!
//! Called by the keeper of all zones.

mod keys;
mod note;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zonedb::ZoneImage;
use pharos_zonedb::stored::{Head, StoredError};

use keys::{Keys, others_write};
pub(super) use note::Note;
use writer::{Job, Writer};

use super::hexadecimal;
use crate::pages;

/// What image files are called behind the zone's name.
const SUFFIX: &str = ".image";
/// What a file is called until it is whole.
const UNFINISHED: &str = ".new";
/// Octets of an image that is read at once.
const SMALL: u64 = 64 << 10;
/// The longest zone name that is written out in a file's name, which has 255 octets at most.
const MAX_WRITTEN_OUT: usize = 200;

/// The directory of images.
pub(super) struct Images {
    directory: PathBuf,
    /// The key of new images.
    key: HashKey,
    /// That, and those that images which are there may have been made with.
    keys: Vec<HashKey>,
    /// Files that were there at the start.
    there: HashSet<OsString>,
    /// Images that answer and are to be written again, each with its note.
    owed: Vec<(Name, Note)>,
    writer: Writer,
}

/// Why an image was not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("it is of zone {0}")]
    OtherZone(String),
    #[error("what it was made from cannot be read")]
    BadNote,
    #[error("it was made with a former key, which others may know, and {0}")]
    Forgeable(String),
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        Self::Stored(error.into())
    }
}

/// An image as it was read.
pub(super) struct Kept {
    pub(super) image: ZoneImage,
    pub(super) note: Note,
    pub(super) copy: Copied,
}

/// What the file of an image is worth at the next start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Copied {
    /// As much as now.
    AsItIs,
    /// It was made with a former key, and is to be written again.
    WithFormerKey,
}

impl Images {
    /// Opens the directory, which is made if it is not there, and the key in it; says why it cannot be used.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let keys = Keys::open(&directory)?;
        let (key, keys) = (keys.ours(), keys.all());
        let there =
            std::fs::read_dir(&directory)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        let writer = Writer::start(directory.clone(), key)?;
        Ok(Self { directory, key, keys, there, owed: Vec::new(), writer })
    }

    /// The key that images are made with, and that those which are read have.
    pub(super) fn key(&self) -> HashKey {
        self.key
    }

    /// The image of a zone whose text, at `path`, is as it was when the image was made, if its checks were no fewer than
    /// those that are asked for.
    pub(super) fn unchanged(&self, name: &Name, path: &Path, checks: &Checks) -> Option<Kept> {
        self.read_if(name, |note| note.is_of(path) && note.satisfies(checks))
    }

    /// The image of a zone, whatever has become of its text.
    pub(super) fn last_good(&self, name: &Name) -> Option<Kept> {
        self.read_if(name, |_| true)
    }

    fn read_if(&self, name: &Name, wanted: impl Fn(&Note) -> bool) -> Option<Kept> {
        let file = file_name(name);
        if !self.there.contains(std::ffi::OsStr::new(&file)) {
            return None;
        }
        let path = self.directory.join(file);
        match read(&path, &self.keys, name, wanted) {
            Ok(kept) => kept,
            Err(error) => {
                let path = path.display();
                tracing::warn!(zone = %name, image = %path, %error, "the image of the zone is not used");
                None
            }
        }
    }

    /// Notes that the image of a zone, which answers without having been accepted again, is to be written.
    pub(super) fn owe(&mut self, name: &Name, note: Note) {
        self.owed.push((*name, note));
    }

    /// What is noted so, no more of it later.
    pub(super) fn owed(&mut self) -> Vec<(Name, Note)> {
        std::mem::take(&mut self.owed)
    }

    /// Has the image of data that are in force written, soon.
    pub(super) fn keep(&self, name: &Name, image: &Arc<ZoneImage>, note: &Note) {
        self.writer.push(Job {
            zone: *name,
            file: file_name(name),
            image: image.clone(),
            note: note.to_octets(),
        });
    }

    /// Removes the images of zones that are no longer configured, what an interrupted writer left, and former keys that no
    /// image needs. To be called only once all zones were listed without an error. Where there is no zone at all, something
    /// else is wrong.
    pub(super) fn retain<T>(&self, configured: &BTreeMap<Vec<u8>, T>) {
        if configured.is_empty() {
            return;
        }
        let names = configured.keys().filter_map(|wire| Name::from_wire(wire).ok());
        let wanted: HashSet<OsString> = names.map(|name| file_name(&name).into()).collect();
        for file in self.there.iter().filter(|file| !wanted.contains(*file)) {
            let text = file.to_string_lossy();
            if !text.ends_with(SUFFIX) && !text.ends_with(UNFINISHED) {
                continue;
            }
            match std::fs::remove_file(self.directory.join(file)) {
                Ok(()) => tracing::info!(image = %text, "removed an image of a zone that is not configured"),
                Err(error) => tracing::warn!(image = %text, %error, "an image that is of no use stays"),
            }
        }
        let is_needed = |file: &OsString| self.needs_former_key(&self.directory.join(file));
        if self.keys.len() > 1 && !self.there.intersection(&wanted).any(is_needed) {
            keys::forget_former(&self.directory);
        }
    }

    /// Whether a file may be an image that was made with a former key; what cannot be read may be one.
    fn needs_former_key(&self, path: &Path) -> bool {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        match Head::read_from(&self.keys, &mut file) {
            Ok((head, _)) => head.key != self.key,
            Err(StoredError::Unreadable(error)) => error.kind() != io::ErrorKind::UnexpectedEof,
            Err(StoredError::OtherLayout(_)) => true,
            Err(StoredError::NotAnImage | StoredError::OtherKey | StoredError::Damaged(_)) => false,
        }
    }
}

/// Reads an image of `name`, if what is noted of it is wanted.
fn read(
    path: &Path,
    keys: &[HashKey],
    name: &Name,
    wanted: impl Fn(&Note) -> bool,
) -> Result<Option<Kept>, ImageError> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(StoredError::NotAnImage.into());
    }
    if metadata.len() <= SMALL {
        // One more than there should be, so that the end is seen; and no room that would leave holes between images.
        let mut octets = Vec::with_capacity(metadata.len() as usize + 1);
        file.take(SMALL).read_to_end(&mut octets)?;
        return read_octets(keys, &metadata, octets.len() as u64, name, wanted, &mut &octets[..]);
    }
    read_octets(keys, &metadata, metadata.len(), name, wanted, &mut file)
}

/// The same of what stands in a file of so many octets.
fn read_octets(
    keys: &[HashKey],
    metadata: &Metadata,
    all: u64,
    name: &Name,
    wanted: impl Fn(&Note) -> bool,
    input: &mut impl io::Read,
) -> Result<Option<Kept>, ImageError> {
    let (head, octets) = Head::read_from(keys, input)?;
    if head.apex != name.to_folded() {
        return Err(ImageError::OtherZone(head.apex.to_string()));
    }
    let note = Note::from_octets(&head.note).ok_or(ImageError::BadNote)?;
    if !wanted(&note) {
        return Ok(None);
    }
    let ours = keys.first().filter(|ours| **ours != head.key);
    if ours.is_some()
        && let Some(why) = others_write(metadata)
    {
        return Err(ImageError::Forgeable(why));
    }
    let image = ZoneImage::read_from(&head, all.saturating_sub(octets), input, pages::expect)?;
    Ok(Some(match ours {
        None => Kept { image, note, copy: Copied::AsItIs },
        Some(ours) => Kept { image: image.with_key(*ours), note, copy: Copied::WithFormerKey },
    }))
}

/// A zone's name as that of a file: what every file system and every shell takes as it is, and `%` with two digits for
/// all else.
fn file_name(name: &Name) -> String {
    let wire = name.to_folded();
    let mut text = String::new();
    for label in wire.labels() {
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(octet.into()),
                other => text.push_str(&format!("%{other:02x}")),
            }
        }
        text.push('.');
    }
    text.pop();
    if text.is_empty() {
        text.push('@');
    }
    if text.len() > MAX_WRITTEN_OUT {
        let digest = ring::digest::digest(&ring::digest::SHA256, wire.as_wire());
        let mut octets = [0; 32];
        octets.copy_from_slice(digest.as_ref());
        text = format!("%%{}", hexadecimal(&octets));
    }
    text + SUFFIX
}

/// Puts a file in the place of another once it is whole and on the disk; then the disk knows its new name, too. Only its
/// owner may read it.
fn replace(directory: &Path, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    put(directory, name, write)?;
    sync_names(directory)
}

/// The same, but for the name: until that is on the disk, a power failure brings the old file back.
fn put(directory: &Path, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let (unfinished, place) = (directory.join(format!("{name}{UNFINISHED}")), directory.join(name));
    let done = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &place)
    })();
    if done.is_err() {
        // What it holds is of no use, and the disk may be full.
        let _ = std::fs::remove_file(&unfinished);
    }
    done
}

/// Has the names of all files in a directory on the disk.
fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
