//! `$ORIGIN`, `$TTL` and `$INCLUDE` (RFC 1035 §5.1, RFC 2308 §4); `$GENERATE` is next door.
//!
//! What an included file does to the origin and to the owner ends with it; what it does to the TTL stays, as in
//! BIND and NSD.

use super::name::NameBuf;
use super::scanner::{OwnerState, Scanner, read_ttl};
use super::token::{Cursor, Parsed, Problem, Quotes, Token};
use super::{FileId, Includes, MAX_FILES, MAX_INCLUDE_DEPTH, Record};
use crate::diagnostic::quoted;
use crate::rdata::text::unescaped;
use std::io;
use std::path::{Path, PathBuf};

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
        let octets = self.read_included(token, &path)?;
        let outer_origin = std::mem::replace(&mut self.state.origin, origin);
        let outer_owner = (self.state.owner.clone(), self.state.owner_state);
        self.state.owner_state = OwnerState::None;
        self.file(path, &octets);
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
        let directory = self.open_files.last().and_then(|path| path.parent()).unwrap_or(Path::new(""));
        let path = directory.join(path);
        if self.open_files.contains(&path) {
            return Problem::err(
                token.span,
                format!("the file {} includes itself", quoted(token.text)),
                "remove this $INCLUDE; a file cannot stand inside itself, directly or through others",
            );
        }
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
        Ok(path)
    }

    fn read_included(&mut self, token: Token<'_>, path: &Path) -> Parsed<Vec<u8>> {
        let octets = match &mut self.includes {
            Includes::Files => read_regular_file(path),
            Includes::Reader(read) => read(path),
            Includes::Refused => Err(io::Error::other("including files is not allowed here")),
        };
        octets.or_else(|error| {
            Problem::err(
                token.span,
                format!("the file {} cannot be read: {error}", quoted(path.as_os_str().as_encoded_bytes())),
                "the path is relative to the directory of the file that includes it",
            )
        })
    }
}

/// Devices and pipes are not read: they may have no end, or keep the scan waiting.
fn read_regular_file(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::read(path);
    }
    Err(io::Error::other("it is not a regular file"))
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
