//! `$ORIGIN`, `$TTL` and `$INCLUDE` (RFC 1035 §5.1, RFC 2308 §4); `$GENERATE` is next door.
//!
//! What an included file does to the origin and to the owner ends with it; what it does to the TTL stays, as in
//! BIND and NSD.

use super::name::NameBuf;
use super::scanner::{OpenFile, OwnerState, Scanner, read_ttl};
use super::token::{Cursor, Parsed, Problem, Quotes, Token};
use super::{FileId, Includes, MAX_FILES, MAX_INCLUDE_DEPTH, Record};
use crate::diagnostic::quoted;
use crate::files::{IncludeError, plain, read_regular, resolve_below};
use crate::rdata::text::unescaped;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl<S: FnMut(Record<'_>)> Scanner<'_, '_, S> {
    /// Carries out the directive whose first word is `name`.
    #[cold]
    pub(super) fn directive(&mut self, file: FileId, cursor: &mut Cursor<'_>, name: Token<'_>) -> Parsed<()> {
        match name.text.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let token = argument(cursor, name, "a name")?;
                let mut origin = NameBuf::root();
                origin.read(token, self.state.origin.as_wire())?;
                end(cursor, name)?;
                self.state.origin = origin;
                Ok(())
            }
            b"$TTL" => {
                let token = argument(cursor, name, "a TTL")?;
                let ttl = read_ttl(token, &mut self.scratch.warnings)?;
                end(cursor, name)?;
                self.state.default_ttl = Some(ttl);
                Ok(())
            }
            b"$INCLUDE" => self.include(cursor, name),
            b"$GENERATE" => self.generate(file, cursor, name),
            _ => Problem::err(
                name.span,
                format!("{} is not a directive", quoted(name.text)),
                "the directives are $ORIGIN, $TTL, $INCLUDE and $GENERATE; a name that begins with a dollar sign is \
                 written as \\$...",
            ),
        }
    }

    fn include(&mut self, cursor: &mut Cursor<'_>, name: Token<'_>) -> Parsed<()> {
        let token = argument(cursor, name, "a file")?;
        let mut origin = self.state.origin.clone();
        if let Some(token) = cursor.next()? {
            origin.read(token, self.state.origin.as_wire())?;
            end(cursor, name)?;
        }
        let path = self.included_path(token)?;
        let (file, octets) = self.read_included(token, path)?;
        let outer_origin = std::mem::replace(&mut self.state.origin, origin);
        let outer_owner = (self.state.owner.clone(), self.state.owner_state);
        self.state.owner_state = OwnerState::None;
        let octets = Rc::new(octets);
        self.keep_text(&file.identity, &octets);
        self.file(file, &octets);
        self.state.origin = outer_origin;
        (self.state.owner, self.state.owner_state) = outer_owner;
        Ok(())
    }

    /// The path that `token` names, if that file may be opened now.
    fn included_path(&self, token: Token<'_>) -> Parsed<PathBuf> {
        let mut path = Vec::new();
        unescaped(token, &mut path)?;
        let Some(path) = String::from_utf8(path).ok().filter(|path| !path.is_empty()) else {
            return Problem::err(token.span, "the file name is empty or not UTF-8", "rename the file");
        };
        let including = self.open_files.last().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
        if self.open_files.len() >= MAX_INCLUDE_DEPTH {
            return Problem::err(
                token.span,
                format!("files include one another more than {MAX_INCLUDE_DEPTH} deep"),
                "include the inner files from the outer one",
            );
        }
        if self.report.files.len() >= MAX_FILES {
            return Problem::err(
                token.span,
                format!("more than {MAX_FILES} files are included"),
                "join some of them",
            );
        }
        Ok(including.join(path))
    }

    /// Reads an included file that is not open yet.
    fn read_included(&mut self, token: Token<'_>, path: PathBuf) -> Parsed<(OpenFile, Vec<u8>)> {
        let identity = self.identify(&path).map_err(|error| unreadable(token, &path, &error))?;
        // The same file may have many spellings, and links make more.
        if self.open_files.iter().any(|open| open.identity == identity) {
            return Problem::err(
                token.span,
                format!("the file {} includes itself", quoted(token.text)),
                "remove this $INCLUDE; a file cannot stand inside itself, directly or through others",
            );
        }
        let octets = match &mut self.includes {
            Includes::Reader(read) => read(&path),
            _ => read_regular(&identity),
        };
        match octets {
            Ok(octets) => Ok((OpenFile { path, identity }, octets)),
            Err(error) => Err(unreadable(token, &path, &error.into())),
        }
    }

    /// What tells a file to be included from others; the watcher is told of it.
    fn identify(&mut self, path: &Path) -> Result<PathBuf, IncludeError> {
        match &mut self.includes {
            Includes::Refused => return Err(io::Error::other("including files is not allowed here").into()),
            Includes::Reader(_) => return Ok(plain(path)),
            Includes::Watched(about_to_read) => about_to_read(path, fs::metadata(path).ok().as_ref()),
            Includes::Files => {}
        }
        let directory = self.open_files.first().and_then(|file| file.path.parent());
        resolve_below(directory.unwrap_or(Path::new("")), path)
    }
}

#[cold]
fn unreadable(token: Token<'_>, path: &Path, error: &IncludeError) -> Box<Problem> {
    let remedy = match error {
        IncludeError::Outside(_) => {
            "what a zone file includes stands in its own directory or below, and links do not lead out of there: move \
             the file, or keep a copy"
        }
        IncludeError::System(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            "let the user that serves the zone read it"
        }
        IncludeError::System(error) if error.kind() == io::ErrorKind::Other => {
            "put the records here, or into a regular file that may be included"
        }
        IncludeError::System(_) => "the path is relative to the directory of the file that includes it",
    };
    let path = quoted(path.as_os_str().as_encoded_bytes());
    Problem::new(token.span, format!("the file {path} cannot be read: {error}"), remedy)
}

/// The next word of a directive, which must be there.
pub(super) fn argument<'a>(cursor: &mut Cursor<'a>, name: Token<'_>, what: &str) -> Parsed<Token<'a>> {
    match cursor.next()? {
        Some(token) => Ok(token),
        None => Problem::err(
            cursor.here(),
            format!("{} needs {what}", String::from_utf8_lossy(name.text)),
            match name.text.to_ascii_uppercase().as_slice() {
                b"$ORIGIN" => "write $ORIGIN NAME",
                b"$TTL" => "write $TTL SECONDS, as $TTL 3600",
                b"$INCLUDE" => "write $INCLUDE FILE [ORIGIN]",
                _ => "write $GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA",
            },
        ),
    }
}

fn end(cursor: &mut Cursor<'_>, name: Token<'_>) -> Parsed<()> {
    match cursor.next()? {
        None => Ok(()),
        Some(token) => Problem::err(
            token.span,
            format!("{} follows what {} takes", quoted(token.text), String::from_utf8_lossy(name.text)),
            "remove it; a comment begins with a semicolon",
        ),
    }
}

/// Whether a word is written without quotes.
pub(super) fn unquoted(token: Token<'_>) -> bool {
    token.quotes == Quotes::Without
}
