//! From the text of a zone file to records in wire format.
//!
//! [`scan`] reads RFC 1035 §5 master files as they are written today: `$ORIGIN`, `$TTL` (RFC 2308
//! §4), `$INCLUDE`, `$GENERATE`, unknown types and classes (RFC 3597). Each record is handed to the caller's
//! sink while it stands in reused buffers, so that a record costs no allocation; each error is kept with its
//! place and the scan goes on at the next line that starts an entry. Whether the records make a zone (SOA,
//! owners within the origin, CNAME exclusivity, ...) is not judged here.

mod directive;
mod generate;
mod line;
mod lost;
mod marks;
pub(crate) mod name;
mod plain;
mod scanner;
pub(crate) mod token;

use crate::diagnostic::Diagnostic;
use pharos_wire::Rtype;
use std::cell::Cell;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Scans a zone file and what it includes, and calls `sink` for each record.
///
/// `origin` is the zone's name in uncompressed wire format: what `@` means and what completes relative names
/// until the file says `$ORIGIN`. An `origin` that is not a whole name counts as the root.
///
/// The report tells all that is wrong. If it has errors, records were handed out that are well-formed each, but
/// they are not all that the file was meant to hold: do not serve them.
pub fn scan(source: Source<'_>, origin: &[u8], sink: &mut impl FnMut(Record<'_>)) -> Report {
    scan_zone(source, origin, sink, &Cell::new(Flow::On)).report
}

/// The same for the checks of whole zones, which need to know more. It ends early once `flow` says so.
pub(crate) fn scan_zone(
    source: Source<'_>,
    origin: &[u8],
    sink: &mut impl FnMut(Record<'_>),
    flow: &Cell<Flow>,
) -> Scanned {
    scanner::Scanner::new(source.includes, origin, source.octets.len(), sink, flow)
        .run(source.path, source.octets)
}

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the end of the text.
    On,
    /// No longer than the entry at hand: nobody wants the rest.
    Ends,
}

/// What a scan leaves for the checks that look at the whole zone.
pub(crate) struct Scanned {
    pub(crate) report: Report,
    pub(crate) lost: Lost,
    /// The text of each included file by [`FileId`], for excerpts; none for the file given to the scan, and for what
    /// is beyond [`MAX_KEPT_TEXT`].
    pub(crate) texts: Vec<Option<Rc<Vec<u8>>>>,
}

/// Which of the records that every zone must have may stand in lines that were refused, so that nobody can say that
/// they are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The SOA record.
    pub(crate) soa: bool,
    /// NS records at the apex.
    pub(crate) ns: bool,
}

impl Lost {
    /// Nobody knows what was lost.
    pub(crate) const ANYTHING: Self = Self { soa: true, ns: true };

    /// A record of this type was lost.
    pub(crate) fn record(&mut self, rtype: u16) {
        self.soa |= rtype == Rtype::SOA.0;
        self.ns |= rtype == Rtype::NS.0;
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.soa |= other.soa;
        self.ns |= other.ns;
    }
}

/// How deep files may include one another; deeper is a mistake, and memory.
pub const MAX_INCLUDE_DEPTH: usize = 16;

/// How many times a scan opens files. Files that include many others several times each would keep it busy for
/// hours.
pub const MAX_FILES: usize = 4_096;

/// How many steps one `$GENERATE` may have: the host numbers of an IPv4 /16.
pub const MAX_GENERATE_STEPS: u32 = 65_536;

/// How many records all `$GENERATE` of a scan may make together, and of how much text: a few lines must not fill the
/// memory. The reverse zone of an IPv4 /12 fits.
pub const MAX_GENERATED: u32 = 1_048_576;
/// See [`MAX_GENERATED`]; octets.
pub const MAX_GENERATED_OCTETS: usize = 256 << 20;

/// How much text of included files is kept while a zone is checked; octets. What stands beyond is shown without lines.
pub(crate) const MAX_KEPT_TEXT: usize = 1 << 30;

/// The largest time to live (RFC 2181 §8).
pub const MAX_TTL: u32 = 0x7fff_ffff;

/// Index of a file in [`Report::files`]: 0 is the file given to the scan, the others were included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u16);

/// Where a record or an error stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The line in it, counted from 1.
    pub line: u32,
    /// The octet in the line, counted from 1.
    pub column: u32,
}

/// One record as the scanner hands it out: borrowed, valid for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Owner name in uncompressed wire format, in the case in which it was written.
    pub owner: &'a [u8],
    /// The type's number.
    pub rtype: u16,
    /// The class's number; always 1 (IN), since others are refused.
    pub class: u16,
    /// Time to live in seconds, at most 2^31 - 1.
    pub ttl: u32,
    /// The data in wire format, names uncompressed and in the case in which they were written.
    pub rdata: &'a [u8],
    /// Where the record's entry begins; of a generated record, where the template of its owner stands.
    pub place: Place,
}

/// What is scanned.
pub struct Source<'a> {
    /// The file's path: its name in messages, and the base of relative `$INCLUDE` paths.
    pub path: &'a Path,
    /// The text of the file.
    pub octets: &'a [u8],
    /// Where included files come from.
    pub includes: Includes<'a>,
}

/// Where the text of included files comes from.
#[derive(Default)]
pub enum Includes<'a> {
    /// `$INCLUDE` is an error.
    #[default]
    Refused,
    /// Regular files in the directory of [`Source::path`] or below it, links followed.
    Files,
    /// The same; the caller is told of each path (already joined to the directory of the including file) before
    /// that file is opened, and of what stood there, if anything did.
    Watched(&'a mut dyn FnMut(&Path, Option<&Metadata>)),
    /// From the caller, who is given the path as above.
    Reader(&'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>),
}

/// How many errors, and how many warnings, of a zone are kept; the others are counted.
pub const MAX_KEPT: usize = 10_000;

/// How many of them a [`Report`] shows in its ordinary form, as in a log or a status.
pub const MAX_SHOWN: usize = 100;

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first [`MAX_KEPT`] errors.
    pub errors: Vec<Diagnostic>,
    /// How many errors there were.
    pub errors_total: u64,
    /// The first [`MAX_KEPT`] warnings.
    pub warnings: Vec<Diagnostic>,
    /// How many warnings there were.
    pub warnings_total: u64,
    /// Names of the scanned file and of those it included, in order of appearance; [`FileId`] counts in it.
    pub files: Vec<String>,
    /// Records handed to the sink.
    pub records: u64,
}

impl Report {
    /// Whether the text had no error.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors_total == 0
    }
}

impl Report {
    /// All errors and warnings that are kept, for whoever mends the file.
    pub fn whole(&self) -> impl fmt::Display + '_ {
        Shown { report: self, most: MAX_KEPT }
    }
}

/// Errors and then warnings as a person reads them, the first [`MAX_SHOWN`] of each, with a last line that counts what
/// is not shown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { report: self, most: MAX_SHOWN }.fmt(f)
    }
}

struct Shown<'a> {
    report: &'a Report,
    most: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { errors, errors_total, warnings, warnings_total, files, .. } = self.report;
        // What refuses comes first: readers of a refusal may see no more than its beginning.
        for diagnostic in errors.iter().take(self.most).chain(warnings.iter().take(self.most)) {
            writeln!(f, "{}", diagnostic.render(files))?;
        }
        for (kept, total, what) in [(errors, errors_total, "errors"), (warnings, warnings_total, "warnings")]
        {
            let hidden = total.saturating_sub(kept.len().min(self.most) as u64);
            if hidden > 0 {
                writeln!(f, "{hidden} more {what} are not shown")?;
            }
        }
        Ok(())
    }
}
