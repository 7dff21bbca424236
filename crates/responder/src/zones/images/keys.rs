//! The keys of a directory of images, and what becomes of one that others could read.
//!
//! Without its key an image is lost, and it may be all that is left of a zone. So a key is drawn only where there is none:
//! one that cannot be read, or that is no key, stays as it is, and the directory is left alone until a person has mended
//! it. What is wrong may pass: a disk that fails, a process without descriptors, a backup that was restored as another
//! user.
//!
//! A key that others than its owner could read may be known to them: they could choose names that collide. That is a
//! reason to have another one, and none to give up data. It moves to the file `key.former`, and a new one is drawn. Images
//! that were made with former keys are still read, are given the new key and are written again; once none is left, a
//! start forgets the former keys.
//!
//! Whoever knows a key could also make images of his own. Where we alone write the directory he has nowhere to put them;
//! where others do, open and former keys open nothing, and nothing is changed.
//!
//! Called when the directory is opened.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use pharos_netio::process::effective_user;
use pharos_wire::hash::HashKey;

use super::replace;
use crate::zones::random_words;

pub(super) const KEY: &str = "key";
pub(super) const FORMER: &str = "key.former";
const MAGIC: &[u8; 8] = b"PHAROSHK";
const KEY_OCTETS: usize = 24;
/// Former keys at most. There is one, or none; more come only of keys that are left open from start to start while the
/// text of some zone stays broken.
const MAX_FORMER: usize = 16;

/// The keys of a directory.
pub(super) struct Keys {
    /// The one that images are made with.
    ours: Words,
    /// Those that images may still have been made with, the last one first.
    former: Vec<Words>,
}

/// A key as it is written.
type Words = [u64; 2];

/// Whether others could read a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Secrecy {
    OwnersAlone,
    Open,
}

impl Keys {
    /// The keys of a directory; in one that has none, the first is drawn.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let place = directory.join(KEY);
        let shared = others_write(&std::fs::metadata(directory)?);
        let former = match (read(&directory.join(FORMER), MAX_FORMER), &shared) {
            (Ok(None), _) => Ok(Vec::new()),
            (Ok(Some((keys, _))), None) => Ok(keys),
            (Ok(Some(_)), Some(why)) => Err(io::Error::other(format!(
                "{}: {why}; whoever knows a former key could have put images there\n help: give the directory to the \
                 responder's user alone (mode 0700)",
                directory.display()
            ))),
            (Err(error), _) => Err(error),
        };
        if let Err(error) = &former {
            tracing::warn!(%error, "images that were made with former keys are not used, and stay");
        }
        let ours = match (read(&place, 1)?, shared) {
            (None, _) => draw(directory)?,
            (Some((keys, Secrecy::OwnersAlone)), _) => one(&keys, &place)?,
            (Some((_, Secrecy::Open)), Some(why)) => {
                return Err(io::Error::other(format!(
                    "{}: others than its owner could read it, and {}: {why}; they could have made images of their own\n \
                     help: give the directory to the responder's user alone (mode 0700), take away what is not yours in \
                     it, and restart",
                    place.display(),
                    directory.display()
                )));
            }
            (Some((keys, Secrecy::Open)), None) => {
                let open = one(&keys, &place)?;
                let place = place.display();
                match former.as_ref().map_err(ToString::to_string).and_then(|former| {
                    replace_open(directory, open, former).map_err(|error| error.to_string())
                }) {
                    Ok(drawn) => {
                        tracing::warn!(
                            %place,
                            "others than its owner could read the key of the images: a new one is drawn, and images are \
                             written anew with it; see to it that what opened it (chmod, a restored backup) does not do \
                             so again"
                        );
                        return Ok(drawn);
                    }
                    Err(error) => tracing::warn!(
                        %place, error,
                        "others than its owner could read the key of the images, and it cannot be replaced now: it is \
                         used as it is, and the next start tries again; until then, chmod 600 keeps others from it"
                    ),
                }
                open
            }
        };
        Ok(Self { ours, former: former.unwrap_or_default() })
    }

    /// The key that images are made with.
    pub(super) fn ours(&self) -> HashKey {
        HashKey::new(self.ours)
    }

    /// That, and then those that they may have been made with before.
    pub(super) fn all(&self) -> Vec<HashKey> {
        [&[self.ours][..], &self.former].concat().into_iter().map(HashKey::new).collect()
    }
}

/// Forgets former keys, with which no image is made any more.
pub(super) fn forget_former(directory: &Path) {
    let place = directory.join(FORMER);
    match std::fs::remove_file(&place) {
        Ok(()) => {
            tracing::info!(place = %place.display(), "all images have the new key: the former one is removed");
        }
        Err(error) => {
            tracing::warn!(place = %place.display(), %error, "a former key that is of no use stays");
        }
    }
}

/// Why others than this process' user may have written what this is about; none if they cannot.
pub(super) fn others_write(metadata: &Metadata) -> Option<String> {
    let (user, owner, mode) = (effective_user(), metadata.uid(), metadata.mode() & 0o777);
    if owner != user && owner != 0 {
        return Some(format!("it belongs to user {owner}, and the responder is user {user}"));
    }
    // The bits of the group are also the most that any entry of an access control list gives.
    (mode & 0o022 != 0).then(|| format!("it has mode {mode:04o}: others may write it"))
}

/// Moves an open key to the former ones and draws another. Each step leaves a directory in which all images are read.
fn replace_open(directory: &Path, open: Words, former: &[Words]) -> io::Result<Keys> {
    let mut kept = vec![open];
    kept.extend(former.iter().copied().filter(|key| *key != open));
    if kept.len() > MAX_FORMER {
        return Err(io::Error::other(format!(
            "{} holds {MAX_FORMER} keys already: mend the text of the zones that answer from images, and reload",
            directory.join(FORMER).display()
        )));
    }
    let octets: Vec<u8> = kept.iter().flat_map(to_octets).collect();
    replace(directory, FORMER, |file| file.write_all(&octets))?;
    Ok(Keys { ours: draw(directory)?, former: kept })
}

fn draw(directory: &Path) -> io::Result<Words> {
    let words = random_words();
    replace(directory, KEY, |file| file.write_all(&to_octets(&words)))?;
    Ok(words)
}

/// The keys in a file, no more than `at_most` of them; none if there is no file, which nothing else stands for.
fn read(path: &Path, at_most: usize) -> io::Result<Option<(Vec<Words>, Secrecy)>> {
    match read_file(path, at_most) {
        Ok(read) => Ok(Some(read)),
        // A link that leads nowhere may lead somewhere again.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_nothing(path) => Ok(None),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!(
                "{}: {error}; it stays as it is, and so do the images\n help: see to it that the responder's user can read \
                 it (mode 0600), and restart; if the key is lost, remove the file: zones are then loaded from their text",
                path.display()
            ),
        )),
    }
}

fn is_nothing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn read_file(path: &Path, at_most: usize) -> io::Result<(Vec<Words>, Secrecy)> {
    let no_key = || io::Error::other("it is no key");
    // Before it is opened: a pipe would keep us waiting.
    if !std::fs::metadata(path)?.is_file() {
        return Err(no_key());
    }
    let file = File::open(path)?;
    let secrecy = if file.metadata()?.mode() & 0o077 == 0 { Secrecy::OwnersAlone } else { Secrecy::Open };
    let mut octets = Vec::new();
    file.take((KEY_OCTETS * at_most + 1) as u64).read_to_end(&mut octets)?;
    let (keys, rest) = octets.as_chunks::<KEY_OCTETS>();
    let keys: Option<Vec<Words>> = keys.iter().map(from_octets).collect();
    match keys {
        Some(keys) if !keys.is_empty() && rest.is_empty() => Ok((keys, secrecy)),
        _ => Err(no_key()),
    }
}

fn one(keys: &[Words], place: &Path) -> io::Result<Words> {
    keys.first().copied().ok_or_else(|| io::Error::other(format!("{}: it is no key", place.display())))
}

fn from_octets(octets: &[u8; KEY_OCTETS]) -> Option<Words> {
    let word = |at: usize| octets.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
    octets.starts_with(MAGIC).then_some([word(8)?, word(16)?])
}

fn to_octets(words: &Words) -> Vec<u8> {
    [&MAGIC[..], &words[0].to_le_bytes(), &words[1].to_le_bytes()].concat()
}
