//! Images of the zones that were accepted, in files: what was once accepted always loads again (DESIGN, invariant 3).
//!
//! A directory holds one file `NAME.image` for each zone and the file `key`. When the responder starts, a zone whose text
//! has not changed since its image was written is loaded from the image: in a fraction of the time, and without verifying
//! its signatures again. A zone whose text has changed is loaded from the text; when that is refused, the image answers,
//! with the alarm that a refused push has. Findings by the clock are made anew.
//!
//! Names in images are hashed with the key of the process that made them, so that key has to outlive it. Whoever knows
//! it can make names that collide (`pharos_wire::hash`): the file is the owner's alone, mode 0600, and a key that others
//! could read is not used. Without it, as on the first start, a new one is drawn, and zones are loaded from their text.
//!
//! Images are written by a thread of their own ([`writer`]) after the data are in force, never before; each replaces
//! the old one by a rename once it is on the disk. Whatever fails is logged, and answering goes on. Nothing here is
//! needed to answer: a directory that cannot be used is one start more from text.
//!
//! Called by the keeper of all zones.

mod note;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zonedb::ZoneImage;
use pharos_zonedb::stored::{Head, StoredError};

pub(super) use note::Note;
use writer::{Job, Writer};

use super::{hexadecimal, random_words};
use crate::pages;

/// What image files are called behind the zone's name.
const SUFFIX: &str = ".image";
/// What a file is called until it is whole.
const UNFINISHED: &str = ".new";
/// Octets of an image that is read at once.
const SMALL: u64 = 64 << 10;
const KEY: &str = "key";
const KEY_MAGIC: &[u8; 8] = b"PHAROSHK";
/// The longest zone name that is written out in a file's name, which has 255 octets at most.
const MAX_WRITTEN_OUT: usize = 200;

/// The directory of images.
pub(super) struct Images {
    directory: PathBuf,
    key: HashKey,
    /// Files that were there at the start.
    there: HashSet<OsString>,
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
}

impl Images {
    /// Opens the directory, which is made if it is not there, and the key in it; says why it cannot be used.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let key = match read_key(&directory.join(KEY)) {
            Ok(key) => key,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the key of the images is not used; a new one is drawn");
                }
                draw_key(&directory)?
            }
        };
        let there =
            std::fs::read_dir(&directory)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        let writer = Writer::start(directory.clone(), key)?;
        Ok(Self { directory, key, there, writer })
    }

    /// The key that all images of this directory were made with.
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
        match read(&path, self.key, name, wanted) {
            Ok(kept) => kept,
            Err(error) => {
                let path = path.display();
                tracing::warn!(zone = %name, image = %path, %error, "the image of the zone is not used");
                None
            }
        }
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

    /// Removes the images of zones that are no longer configured, and what an interrupted writer left. To be called only
    /// once all zones were listed without an error. Where there is no zone at all, something else is wrong.
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
    }
}

/// Reads an image of `name`, if what is noted of it is wanted.
fn read(
    path: &Path,
    key: HashKey,
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
        return read_octets(key, octets.len() as u64, name, wanted, &mut &octets[..]);
    }
    read_octets(key, metadata.len(), name, wanted, &mut file)
}

/// The same of what stands in a file of so many octets.
fn read_octets(
    key: HashKey,
    all: u64,
    name: &Name,
    wanted: impl Fn(&Note) -> bool,
    input: &mut impl io::Read,
) -> Result<Option<Kept>, ImageError> {
    let (head, octets) = Head::read_from(key, input)?;
    if head.apex != name.to_folded() {
        return Err(ImageError::OtherZone(head.apex.to_string()));
    }
    let note = Note::from_octets(&head.note).ok_or(ImageError::BadNote)?;
    if !wanted(&note) {
        return Ok(None);
    }
    let image = ZoneImage::read_from(&head, all.saturating_sub(octets), input, pages::expect)?;
    Ok(Some(Kept { image, note }))
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

fn read_key(path: &Path) -> io::Result<HashKey> {
    let mut file = OpenOptions::new().read(true).custom_flags(0).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{}: others than its owner may read it", path.display())));
    }
    let mut octets = [0; 24];
    file.read_exact(&mut octets)?;
    let word =
        |at: usize| octets.get(at..).and_then(|rest| rest.first_chunk()).map(|o| u64::from_le_bytes(*o));
    match (octets.starts_with(KEY_MAGIC), word(8), word(16)) {
        (true, Some(one), Some(other)) => Ok(HashKey::new([one, other])),
        _ => Err(io::Error::other(format!("{}: it is no key", path.display()))),
    }
}

fn draw_key(directory: &Path) -> io::Result<HashKey> {
    let words = random_words();
    let octets = [&KEY_MAGIC[..], &words[0].to_le_bytes(), &words[1].to_le_bytes()].concat();
    replace(directory, KEY, |file| file.write_all(&octets))?;
    Ok(HashKey::new(words))
}

/// Puts a file in the place of another once it is whole and on the disk; only its owner may read it.
fn replace(directory: &Path, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
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

#[cfg(test)]
mod tests;
