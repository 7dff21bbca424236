//! Zone files from the file system: regular files only, and what a zone file includes stands beside it or below.
//!
//! Whoever writes a zone file need not be who may read everything that this process may, and errors show lines of
//! what was read: so links are followed, and must not lead out of the directory of the zone file. A named pipe would
//! keep a load waiting for ever, and a device may have no end or act on being opened: neither is opened. Only regular
//! files are read, whatever a name stands for by the time that it is opened.
//!
//! Called by the scanner for `$INCLUDE`, by [`crate::load`], and by `pharos zone`.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Octets that are read at once: while the kernel copies, it runs nothing else on the same CPU, and there somebody may
/// have a query to answer.
const PIECE: usize = 256 << 10;

/// The content of a regular file.
///
/// # Errors
/// Those of the system, and one that names what else the file is.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, metadata) = open_regular(path)?;
    read_whole(&mut file, metadata.len())
}

/// A regular file, opened, and what it was then.
///
/// # Errors
/// Those of [`read_regular`].
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    must_be_regular(std::fs::metadata(path)?.file_type())?;
    // Should it have become a pipe since, opening it does not wait for a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    must_be_regular(metadata.file_type())?;
    Ok((file, metadata))
}

/// All that is in an opened file which had so many octets.
///
/// # Errors
/// Those of the system.
pub(crate) fn read_whole(file: &mut File, expected: u64) -> io::Result<Vec<u8>> {
    let expected = usize::try_from(expected).unwrap_or(usize::MAX);
    // One octet more than there should be, so that the end is found without more room.
    let mut octets = Vec::with_capacity(expected.saturating_add(1));
    loop {
        let whole = octets.len();
        if whole == octets.capacity() {
            octets.reserve(PIECE);
        }
        let room = PIECE.min(octets.capacity() - whole);
        octets.resize(whole + room, 0);
        let read = file.read(&mut octets[whole..]);
        octets.truncate(whole + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => return Ok(octets),
            // All that was expected, and more was asked for: this is the end, too. With less than that, a fault may have
            // cut the read short, and the next one tells it.
            Ok(read) if read < room && octets.len() == expected => return Ok(octets),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn must_be_regular(kind: FileType) -> io::Result<()> {
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("it is {what}, not a regular file")))
}

/// Why an included file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncludeError {
    /// It is neither in this directory nor below.
    #[error("it is outside of {}", .0.display())]
    Outside(PathBuf),
    /// What the system said.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Where `file` is once all links are followed, if that is in `directory` or below.
pub(crate) fn resolve_below(directory: &Path, file: &Path) -> Result<PathBuf, IncludeError> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let (directory, file) = (directory.canonicalize()?, file.canonicalize()?);
    if file.starts_with(&directory) { Ok(file) } else { Err(IncludeError::Outside(directory)) }
}

/// A path with `.` and `..` carried out as far as that is possible without a look at the files.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_the_same_when_plain() {
        for (path, expected) in [
            ("a/./b/../c", "a/c"),
            ("../x/d.zone", "../x/d.zone"),
            ("../../a/..", "../.."),
            ("/a//b/./", "/a/b"),
            ("/../a", "/../a"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn a_file_is_read_whole_whatever_its_length() {
        let path = std::env::temp_dir().join(format!("pharos-files-{}", std::process::id()));
        for octets in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let content: Vec<u8> = (0..octets).map(|at| (at / 7) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            assert!(read_regular(&path).unwrap() == content, "{octets}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn directories_and_devices_are_not_read() {
        for (path, what) in [("/", "a directory"), ("/dev/zero", "a device")] {
            let error = read_regular(Path::new(path)).unwrap_err().to_string();
            assert_eq!(error, format!("it is {what}, not a regular file"));
        }
    }
}
