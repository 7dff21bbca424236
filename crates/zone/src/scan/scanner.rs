//! The scan itself: entry after entry, with what each inherits from those before.
//!
//! [`State`] is all that passes from one entry to the next. A scan of two halves of a file at once, which is not
//! done, would need the state at the second half's start (a quick pass over directives and owners) and a
//! [`Cursor`] there.

use super::name::{NameBuf, Relation};
use super::plain::Plain;
use super::token::{Cursor, Group, MAX_TEXT, Parsed, Problem, Quotes, Span, Subject, Token};
use super::{FileId, Flow, Includes, Lost, MAX_KEPT, MAX_KEPT_TEXT, MAX_TTL, Place, Record, Report, Scanned};
use crate::diagnostic::{Diagnostic, Excerpt, Severity, quoted};
use crate::files::plain;
use crate::rdata::address::{ipv4, ipv6};
use crate::rdata::text::{self, Input, MAX_RDATA, Scratch, warn_of_missing_dot};
use crate::rtype;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The class that zones here have (RFC 1035 §3.2.4).
pub(super) const CLASS_IN: u16 = 1;

/// The type whose last field can stand for `$TTL`.
const SOA: u16 = 6;

/// What an entry inherits.
pub(super) struct State {
    /// What completes relative names.
    pub(super) origin: NameBuf,
    /// The owner of the record before.
    pub(super) owner: NameBuf,
    pub(super) owner_state: OwnerState,
    /// From `$TTL` (RFC 2308 §4).
    pub(super) default_ttl: Option<u32>,
    /// Of the last record that had one (RFC 1035 §5.1).
    pub(super) last_ttl: Option<u32>,
}

/// What a line that begins with a blank can inherit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// There was no record yet.
    None,
    Named,
    /// The owner was refused; one error says so, and records that inherit it are passed over.
    Refused,
}

/// A file that is being scanned.
pub(super) struct OpenFile {
    /// As it was named.
    pub(super) path: PathBuf,
    /// The same for all ways to name it.
    pub(super) identity: PathBuf,
}

pub(super) struct Scanner<'s, 'i, S> {
    pub(super) includes: Includes<'i>,
    pub(super) state: State,
    pub(super) report: Report,
    /// What may have stood in refused lines.
    pub(super) lost: Lost,
    /// The zone's name.
    pub(super) apex: NameBuf,
    /// The file in work and those that include it, outermost first.
    pub(super) open_files: Vec<OpenFile>,
    /// The texts of included files, by file and by identity, and their octets in all.
    texts: Vec<Option<Rc<Vec<u8>>>>,
    kept_texts: HashMap<PathBuf, Rc<Vec<u8>>>,
    kept_octets: usize,
    /// Records made by `$GENERATE` so far.
    pub(super) generated: u32,
    /// Octets of their text.
    pub(super) generated_octets: usize,
    pub(super) scratch: Scratch,
    pub(super) sink: &'s mut S,
    pub(super) flow: &'s Cell<Flow>,
    rdata: Vec<u8>,
    pub(super) plain: Plain,
    pub(super) ways: Ways,
}

/// By which ways entries are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ways {
    /// Plain lines by the short one: see [`super::plain`].
    Both,
    /// All by the one that can read everything; for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold both ways against each other"))]
    Long,
}

impl<'s, 'i, S: FnMut(Record<'_>)> Scanner<'s, 'i, S> {
    /// Of a text of about so many octets.
    pub(super) fn new(
        includes: Includes<'i>,
        origin: &[u8],
        octets: usize,
        sink: &'s mut S,
        flow: &'s Cell<Flow>,
    ) -> Self {
        let whole = pharos_wire::name::measure(origin).is_ok_and(|length| length == origin.len());
        let origin = NameBuf::from_wire(origin).filter(|_| whole).unwrap_or_else(NameBuf::root);
        Self {
            includes,
            apex: origin.clone(),
            state: State {
                origin,
                owner: NameBuf::root(),
                owner_state: OwnerState::None,
                default_ttl: None,
                last_ttl: None,
            },
            report: Report::default(),
            lost: Lost::default(),
            open_files: Vec::new(),
            texts: Vec::new(),
            kept_texts: HashMap::new(),
            kept_octets: 0,
            generated: 0,
            generated_octets: 0,
            scratch: Scratch::default(),
            sink,
            flow,
            // Few rdata are longer than their text, and small zones are many: to return 64 KiB makes the C library tidy up.
            rdata: Vec::with_capacity(MAX_RDATA.min(octets)),
            plain: Plain::default(),
            ways: Ways::Both,
        }
    }

    pub(super) fn run(mut self, path: &Path, octets: &[u8]) -> Scanned {
        let identity = match self.includes {
            Includes::Files | Includes::Watched(_) => path.canonicalize().ok(),
            Includes::Refused | Includes::Reader(_) => None,
        };
        let identity = identity.unwrap_or_else(|| plain(path));
        self.texts.push(None);
        self.file(OpenFile { path: path.to_owned(), identity }, octets);
        Scanned { report: self.report, lost: self.lost, texts: self.texts }
    }

    /// Keeps the text of the file that is scanned next for excerpts, once for all times that it is included.
    pub(super) fn keep_text(&mut self, identity: &Path, octets: &Rc<Vec<u8>>) {
        let kept = match self.kept_texts.get(identity) {
            Some(known) if known == octets => Some(known.clone()),
            None if octets.len() <= MAX_KEPT_TEXT - self.kept_octets => {
                self.kept_octets += octets.len();
                self.kept_texts.insert(identity.to_owned(), octets.clone());
                Some(octets.clone())
            }
            _ => None,
        };
        self.texts.push(kept);
    }

    /// Scans one file to its end.
    pub(super) fn file(&mut self, open: OpenFile, octets: &[u8]) {
        let file = FileId(u16::try_from(self.report.files.len()).unwrap_or(u16::MAX));
        self.report.files.push(open.path.display().to_string());
        self.open_files.push(open);
        let mut cursor = Cursor::new(octets);
        if let Some(span) = cursor.pass_byte_order_mark() {
            let what = "the file begins with a byte order mark";
            self.error(file, &cursor, *Problem::new(span, what, "save it as plain UTF-8, without the mark"));
        }
        while !cursor.is_done() && self.flow.get() == Flow::On {
            if self.ways == Ways::Both {
                self.plain_lines(file, &mut cursor);
                if self.flow.get() == Flow::Ends {
                    break;
                }
            }
            self.one_entry(file, &mut cursor);
        }
        if octets.len() > MAX_TEXT {
            let what = "the file is longer than 4 GiB";
            self.error(file, &cursor, *Problem::new(cursor.here(), what, "split it, and use $INCLUDE"));
            self.lost = Lost::ANYTHING;
        }
        self.open_files.pop();
    }

    #[inline]
    fn one_entry(&mut self, file: FileId, cursor: &mut Cursor<'_>) {
        let begin = *cursor;
        match self.entry(file, cursor) {
            Ok(()) => cursor.next_entry(),
            Err(problem) => self.refuse(file, cursor, begin, *problem),
        }
        if !self.scratch.warnings.is_empty() {
            self.flush_warnings(file, &begin);
        }
    }

    /// Says what is wrong with the entry that begins at `begin`, and goes to the next one.
    #[cold]
    fn refuse<'a>(&mut self, file: FileId, cursor: &mut Cursor<'a>, begin: Cursor<'a>, problem: Problem) {
        let (found, at) = (*cursor, problem.span);
        let group = cursor.resync(begin);
        let open = match group {
            Group::Unclosed(open) | Group::Nested(open) => Some(open),
            Group::Closed => None,
        };
        // Where a line that was meant as the next entry stands inside parentheses, nothing but their end is missing.
        let next_entry = open.filter(|open| at.line > open.line && begins_entry(found.at_line_of(at)));
        match (group, next_entry) {
            (Group::Closed, _) | (Group::Nested(_), None) => self.error(file, &found, problem),
            // Behind a quote that does not end nobody knows which parentheses are meant as such.
            (Group::Unclosed(_), None) if problem.subject == Subject::Text => {
                self.error(file, &found, problem);
            }
            (Group::Unclosed(open), None) => {
                self.error(file, &found, problem);
                self.error(file, &found, *Problem::unclosed(open));
            }
            (Group::Unclosed(open) | Group::Nested(open), Some(_)) => {
                self.error(file, &found, *Problem::unclosed(open));
                let next = cursor.at_line_of(at);
                if next.here().start < cursor.here().start {
                    *cursor = next;
                }
            }
        }
        self.note_lost(begin, cursor);
    }

    #[inline]
    fn entry(&mut self, file: FileId, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let margin = match cursor.peek() {
            Some(b' ' | b'\t' | b'\r') => Margin::Blank,
            Some(b'(') => return group_before_owner(cursor),
            _ => Margin::Owner,
        };
        let Some(first) = cursor.next()? else { return Ok(()) };
        let directive = first.text.first() == Some(&b'$') && first.quotes == Quotes::Without;
        if directive && margin == Margin::Owner {
            return self.directive(file, cursor, first);
        }
        let place = Place { file, line: first.span.line, column: first.span.column() };
        self.record(place, cursor, first, margin)
    }

    /// Reads `OWNER [TTL] [CLASS] TYPE RDATA` and hands the record out; `first` is its first word.
    #[inline]
    pub(super) fn record(
        &mut self,
        place: Place,
        cursor: &mut Cursor<'_>,
        first: Token<'_>,
        margin: Margin,
    ) -> Parsed<()> {
        let state = &mut self.state;
        let mut token = first;
        if margin == Margin::Owner {
            state.owner_state = OwnerState::Refused;
            if state.owner.read(first, state.origin.as_wire())? == Relation::Completed {
                let origin = state.origin.as_wire();
                warn_of_missing_dot(&state.owner, first, origin, &mut self.scratch.warnings);
            }
            state.owner_state = OwnerState::Named;
            token = match cursor.next()? {
                Some(token) => token,
                None => return ends_early(cursor.here()),
            };
        } else if state.owner_state == OwnerState::None {
            return no_owner(first);
        }
        let (explicit_ttl, rtype) = read_head(cursor, token, margin, &mut self.scratch.warnings)?;
        if let Some(ttl) = explicit_ttl {
            state.last_ttl = Some(ttl);
        }
        let origin = state.origin.as_wire();
        text::read(rtype, &mut Input { cursor, origin, scratch: &mut self.scratch }, &mut self.rdata)?;
        if let Some(extra) = cursor.next()? {
            return extra_text(extra, rtype);
        }
        // RFC 2308 §4: a record without a TTL takes $TTL's; RFC 1035 §5.1: without $TTL, the last one stated.
        let ttl = match explicit_ttl.or(state.default_ttl).or(state.last_ttl) {
            Some(ttl) => ttl,
            None => {
                let minimum = soa_minimum(rtype, &self.rdata, first)?;
                state.default_ttl = Some(minimum);
                self.scratch.warnings.push(*default_from_soa(first, minimum));
                minimum
            }
        };
        if state.owner_state == OwnerState::Named {
            self.report.records += 1;
            (self.sink)(Record {
                owner: state.owner.as_wire(),
                rtype,
                class: CLASS_IN,
                ttl,
                rdata: &self.rdata,
                place,
            });
        } else {
            self.lost.record(rtype);
        }
        Ok(())
    }

    #[cold]
    pub(super) fn error(&mut self, file: FileId, cursor: &Cursor<'_>, mut problem: Problem) {
        // What stands at the start of a line inside parentheses was meant as the next entry.
        if let Some(open) =
            cursor.group().filter(|open| open.line < problem.span.line && problem.span.column() == 1)
        {
            problem.remedy =
                format!("if a new record begins here, the parenthesis of line {} lacks its end", open.line)
                    .into();
        }
        self.report.errors_total += 1;
        if self.report.errors.len() < MAX_KEPT {
            self.report.errors.push(diagnostic(Severity::Error, file, cursor, problem));
        }
    }

    #[cold]
    fn flush_warnings(&mut self, file: FileId, cursor: &Cursor<'_>) {
        for problem in self.scratch.warnings.drain(..) {
            self.report.warnings_total += 1;
            if self.report.warnings.len() < MAX_KEPT {
                self.report.warnings.push(diagnostic(Severity::Warning, file, cursor, problem));
            }
        }
    }
}

/// What stands at the start of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Margin {
    /// A blank: the record has the owner of the one before.
    Blank,
    Owner,
}

fn diagnostic(severity: Severity, file: FileId, cursor: &Cursor<'_>, problem: Problem) -> Diagnostic {
    let span = problem.span;
    let (from, width) = (span.start - span.line_start, span.end - span.start);
    Diagnostic {
        severity,
        place: Place { file, line: span.line, column: span.column() },
        message: problem.message.into_owned(),
        remedy: problem.remedy.into_owned(),
        excerpt: Some(Excerpt::new(cursor.line_of(span), from as usize, width as usize)),
    }
}

/// Whether the line at which a cursor stands can be meant as the start of an entry.
fn begins_entry(mut line: Cursor<'_>) -> bool {
    let margin = match line.peek() {
        Some(b' ' | b'\t' | b'\r') => Margin::Blank,
        _ => Margin::Owner,
    };
    let Ok(Some(first)) = line.next() else { return false };
    // Fields that go on on a new line are indented by nearly everybody.
    margin == Margin::Owner || read_head(&mut line, first, margin, &mut Vec::new()).is_ok()
}

/// TTL and class, in either order, both or one or none, and the type.
#[inline]
pub(super) fn read_head(
    cursor: &mut Cursor<'_>,
    first: Token<'_>,
    margin: Margin,
    warnings: &mut Vec<Problem>,
) -> Parsed<(Option<u32>, u16)> {
    let (mut ttl, mut class) = (None, None);
    let mut token = first;
    loop {
        if token.quotes == Quotes::Within {
            return not_a_head(token, None);
        }
        if token.text.first().is_some_and(u8::is_ascii_digit) {
            if ttl.is_some() {
                return twice(token, "TTL");
            }
            ttl = Some(read_ttl(token, warnings).map_err(|problem| not_a_ttl(token, problem))?);
        } else if let Some(number) = class_number(token.text) {
            if class.replace(number).is_some() {
                return twice(token, "class");
            }
            if number != CLASS_IN {
                return other_class(token);
            }
        } else if let Some(rtype) = rtype::from_text(token.text) {
            return if rtype::can_be_in_zone(rtype) { Ok((ttl, rtype)) } else { query_type(token) };
        } else {
            let owner = (margin == Margin::Blank && token.span == first.span).then_some(first);
            return not_a_head(token, owner);
        }
        token = match cursor.next()? {
            Some(token) => token,
            None => return ends_early(cursor.here()),
        };
    }
}

/// A TTL. One with more than 31 bits counts as 0 (RFC 2181 §8); other readers take such files too.
#[inline]
pub(super) fn read_ttl(token: Token<'_>, warnings: &mut Vec<Problem>) -> Parsed<u32> {
    let ttl = text::period(token)?;
    if ttl > MAX_TTL {
        warnings.push(*ttl_too_large(token));
        return Ok(0);
    }
    Ok(ttl)
}

#[cold]
fn ttl_too_large(token: Token<'_>) -> Box<Problem> {
    Problem::new(
        token.span,
        format!("the TTL {} is more than {MAX_TTL} seconds and counts as 0", quoted(token.text)),
        "a TTL has 31 bits (RFC 2181 \u{a7}8); a week is 604800",
    )
}

/// Mnemonics of RFC 1035 §3.2.4 and the form of RFC 3597 §5.
#[inline]
fn class_number(text: &[u8]) -> Option<u16> {
    match text {
        [b'I' | b'i', b'N' | b'n'] => Some(CLASS_IN),
        [b'C' | b'c', b'S' | b's'] => Some(2),
        [b'C' | b'c', b'H' | b'h'] => Some(3),
        [b'H' | b'h', b'S' | b's'] => Some(4),
        [b'C' | b'c', b'L' | b'l', ..] => rtype::generic(text, b"CLASS"),
        _ => None,
    }
}

/// RFC 1035 §5.1 groups data that cross a line boundary; where the owner would stand, only BIND takes it.
#[cold]
fn group_before_owner(cursor: &Cursor<'_>) -> Parsed<()> {
    Problem::err(
        cursor.here(),
        "a parenthesis stands before the owner",
        "begin the line with the owner name, or with a blank to repeat that of the record before",
    )
}

#[cold]
fn no_owner(first: Token<'_>) -> Parsed<()> {
    Problem::err(
        first.span,
        "the line begins with a blank, and there is no record before it whose owner it could repeat",
        "write the owner name at the very start of the line; @ stands for the origin",
    )
}

#[cold]
fn ends_early<T>(span: Span) -> Parsed<T> {
    Problem::err(span, "the record ends before its type", "write OWNER [TTL] [CLASS] TYPE DATA on the line")
}

#[cold]
fn twice<T>(token: Token<'_>, what: &str) -> Parsed<T> {
    Problem::err(
        token.span,
        format!("a second {what} stands here"),
        format!("a record has one {what}; remove one"),
    )
}

#[cold]
fn other_class<T>(token: Token<'_>) -> Parsed<T> {
    Problem::err(
        token.span,
        format!("the class {} is not served", quoted(token.text)),
        "zones have the class IN; change the class, or remove the record",
    )
}

#[cold]
fn query_type<T>(token: Token<'_>) -> Parsed<T> {
    Problem::err(
        token.span,
        format!("{} is a type for queries and messages", quoted(token.text)),
        "no record in a zone has this type (RFC 6895 \u{a7}3.1); remove the line",
    )
}

#[cold]
fn not_a_ttl(token: Token<'_>, problem: Box<Problem>) -> Box<Problem> {
    let kind = if ipv4(token.text).is_some() { "A" } else { "AAAA" };
    if ipv4(token.text).is_none() && ipv6(token.text).is_none() {
        return problem;
    }
    Problem::new(
        token.span,
        format!("the address {} stands where the type must", quoted(token.text)),
        format!("write the type {kind} before it"),
    )
}

#[cold]
fn not_a_head<T>(token: Token<'_>, owner: Option<Token<'_>>) -> Parsed<T> {
    let remedy = match owner {
        Some(owner) => format!(
            "if {} is the owner name, remove the blank before it: a line that begins with a blank repeats the owner \
             of the record before",
            quoted(owner.text)
        ),
        None => "check the spelling; types without a mnemonic are written as TYPE and their number, with \\# data \
                 (RFC 3597)"
            .to_owned(),
    };
    Problem::err(token.span, format!("{} is not a record type", quoted(token.text)), remedy)
}

#[cold]
pub(super) fn extra_text<T>(token: Token<'_>, rtype: u16) -> Parsed<T> {
    Problem::err(
        token.span,
        format!("{} follows the last field of the {} record", quoted(token.text), rtype::Display(rtype)),
        "remove it; a comment begins with a semicolon, text with blanks stands in double quotes",
    )
}

/// The default TTL of zones from before RFC 2308 §4, which BIND, NSD, Knot and ldns still read, if not alike: the
/// SOA's last field, when the SOA itself has no TTL.
#[cold]
fn soa_minimum(rtype: u16, rdata: &[u8], first: Token<'_>) -> Parsed<u32> {
    match rdata.last_chunk() {
        Some(&minimum) if rtype == SOA && u32::from_be_bytes(minimum) <= MAX_TTL => {
            Ok(u32::from_be_bytes(minimum))
        }
        _ => Problem::err(
            first.span,
            "the record has no TTL, and none was stated before it",
            "put $TTL and seconds, as $TTL 3600, at the top of the file (RFC 2308 \u{a7}4)",
        ),
    }
}

#[cold]
fn default_from_soa(first: Token<'_>, minimum: u32) -> Box<Problem> {
    Problem::new(
        first.span,
        format!("no TTL is stated; the SOA's minimum, {minimum}, is taken for every record without one"),
        format!(
            "put $TTL {minimum} at the top of the file: servers differ in what they take (RFC 2308 \u{a7}4)"
        ),
    )
}
