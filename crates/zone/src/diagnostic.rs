//! What is wrong with a zone file, where, and what to do about it.
//!
//! A [`Diagnostic`] is made by the scanner, or by the checks that look at whole zones, and is printed for
//! the person who wrote the file: place, message, the line with a caret under the place, and a remedy.
//! Text that comes from the file is made harmless first (control characters cannot reach a terminal) and
//! is clipped, so that a diagnostic stays small whatever the file holds. Nothing here reads files.

use crate::scan::{FileId, Place};
use std::fmt;

/// Whether the zone can be served in spite of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Accepted, but probably not what the writer meant.
    Warning,
    /// Refused: the zone is not served from this text.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is wrong with a zone file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the zone.
    pub severity: Severity,
    /// Where it stands.
    pub place: Place,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it; empty when the message says it all.
    pub remedy: String,
    /// The line with the marked part; none where the text is not at hand any more.
    pub excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// An error at `place`, without the text of the line.
    #[must_use]
    pub fn error(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            message: message.into(),
            remedy: remedy.into(),
            excerpt: None,
        }
    }

    /// A warning at `place`, without the text of the line.
    #[must_use]
    pub fn warning(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message, remedy) }
    }

    /// Adds the text of the line in which it stands, without the line's end.
    #[must_use]
    pub fn with_line(mut self, line: &[u8]) -> Self {
        self.set_line(line);
        self
    }

    fn set_line(&mut self, line: &[u8]) {
        let from = (self.place.column.max(1) - 1) as usize;
        let word = line.get(from..).unwrap_or_default();
        let width = word.iter().position(u8::is_ascii_whitespace).unwrap_or(word.len());
        self.excerpt = Some(Excerpt::new(line, from, width));
    }

    /// The diagnostic as a person reads it; `files` is [`Report::files`](crate::scan::Report::files).
    pub fn render<'a>(&'a self, files: &'a [String]) -> impl fmt::Display + 'a {
        Rendered { diagnostic: self, files }
    }
}

/// Adds their lines to findings that have none yet; `text` knows the text of each file that is at hand. Each text is
/// gone through once, however many findings there are.
pub(crate) fn add_lines<'t>(findings: &mut [Diagnostic], text: impl Fn(FileId) -> Option<&'t [u8]>) {
    let mut bare: Vec<&mut Diagnostic> =
        findings.iter_mut().filter(|finding| finding.excerpt.is_none() && finding.place.line > 0).collect();
    bare.sort_by_key(|finding| finding.place);
    for of_file in bare.chunk_by_mut(|one, other| one.place.file == other.place.file) {
        let Some(text) = of_file.first().and_then(|finding| text(finding.place.file)) else { continue };
        let (mut lines, mut number, mut line) = (text.split(|&octet| octet == b'\n'), 0, None);
        for finding in of_file {
            while number < finding.place.line {
                (line, number) = (lines.next(), number + 1);
            }
            if let Some(line) = line {
                finding.set_line(line);
            }
        }
    }
}

struct Rendered<'a> {
    diagnostic: &'a Diagnostic,
    files: &'a [String],
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { severity, place, message, remedy, excerpt } = self.diagnostic;
        let file = self.files.get(usize::from(place.file.0)).map_or("?", String::as_str);
        match place.line {
            0 => write!(f, "{file}: {severity}: {message}")?, // of the whole file
            line => write!(f, "{file}:{line}:{}: {severity}: {message}", place.column)?,
        }
        if let Some(Excerpt { text, caret_column, caret_width }) = excerpt {
            let number = place.line.to_string();
            write!(f, "\n {number} | {text}")?;
            write!(
                f,
                "\n {:number_width$} | {:caret_column$}{}",
                "",
                "",
                "^".repeat(*caret_width),
                number_width = number.len()
            )?;
        }
        if !remedy.is_empty() {
            write!(f, "\n help: {remedy}")?;
        }
        Ok(())
    }
}

/// How many characters of a line an excerpt shows; longer lines are cut around the marked part.
const EXCERPT_CHARS: usize = 100;

/// A line of a zone file, ready for a terminal, and the part of it that is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    text: String,
    /// Characters before the caret.
    caret_column: usize,
    /// Carets; at least one.
    caret_width: usize,
}

impl Excerpt {
    /// The `line` (without its end) with `width` octets from the octet `from` (counted from 0) marked.
    #[must_use]
    pub fn new(line: &[u8], from: usize, width: usize) -> Self {
        let from = from.min(line.len());
        let to = from.saturating_add(width).min(line.len());
        // Only octets that can be shown are decoded: a line may be megabytes long.
        let (head, head_cut) = match from > EXCERPT_CHARS / 2 && line.len() > EXCERPT_CHARS {
            true => (&line[from - EXCERPT_CHARS / 2..from], "..."),
            false => (&line[..from], ""),
        };
        let room = EXCERPT_CHARS.saturating_sub(head.len()).max(EXCERPT_CHARS / 2);
        let (marked, marked_cut) = clip(&line[from..to], room);
        let (tail, tail_cut) = clip(&line[to..], room.saturating_sub(marked.len()));
        let tail_cut = if marked_cut.is_empty() { tail_cut } else { marked_cut };
        let (head, marked, tail) = (harmless(head), harmless(marked), harmless(tail));
        Self {
            caret_column: head_cut.len() + head.chars().count(),
            caret_width: marked.chars().count().max(1),
            text: format!("{head_cut}{head}{marked}{tail}{tail_cut}").trim_end().to_owned(),
        }
    }
}

fn clip(octets: &[u8], room: usize) -> (&[u8], &'static str) {
    match octets.get(..room) {
        Some(head) if octets.len() > room => (head, "..."),
        _ => (octets, ""),
    }
}

/// One character for each character of the text, none of which a terminal acts on.
fn harmless(octets: &[u8]) -> String {
    let display = |c: char| match c {
        '\t' | '\r' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    String::from_utf8_lossy(octets).chars().map(display).collect()
}

/// How much of a word from the file a message repeats.
const QUOTED_OCTETS: usize = 48;

/// A word from the file as messages repeat it: in backquotes, clipped, harmless.
#[must_use]
pub(crate) fn quoted(word: &[u8]) -> String {
    let (head, cut) = clip(word, QUOTED_OCTETS);
    format!("`{}{cut}`", harmless(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(line: &[u8], from: usize, width: usize) -> String {
        let place = Place { file: FileId(0), line: 7, column: from as u32 + 1 };
        let mut diagnostic = Diagnostic::error(place, "broken", "mend it");
        diagnostic.excerpt = Some(Excerpt::new(line, from, width));
        diagnostic.render(&["a.zone".to_owned()]).to_string()
    }

    #[test]
    fn the_caret_stands_under_the_marked_word() {
        assert_eq!(
            rendered(b"www A 1.2.3.400", 6, 9),
            "a.zone:7:7: error: broken\n 7 | www A 1.2.3.400\n   |       ^^^^^^^^^\n help: mend it"
        );
    }

    #[test]
    fn tabs_and_other_characters_than_ascii_do_not_move_the_caret() {
        assert_eq!(
            rendered("ä\tA x".as_bytes(), 5, 1),
            "a.zone:7:6: error: broken\n 7 | ä A x\n   |     ^\n help: mend it"
        );
    }

    #[test]
    fn a_terminal_escape_in_the_file_does_not_reach_the_terminal() {
        assert!(!rendered(b"www A \x1b[31m", 6, 5).contains('\x1b'));
        assert!(!quoted(b"\x1b[31m").contains('\x1b'));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = [vec![b'a'; 5000], vec![b'b'; 3], vec![b'c'; 5000]].concat();
        let text = rendered(&line, 5000, 3);
        assert!(text.len() < 400, "{text}");
        assert!(text.contains("aaabbbccc") && text.contains("^^^\n"), "{text}");
    }

    #[test]
    fn lines_are_added_later_in_whatever_order_the_findings_stand() {
        let at =
            |file, line, column| Diagnostic::error(Place { file: FileId(file), line, column }, "broken", "");
        let mut findings =
            [at(0, 3, 1), at(1, 2, 3), at(2, 1, 1), at(0, 1, 1), at(0, 3, 3), at(0, 9, 1), at(0, 0, 0)];
        let texts: [&[u8]; 2] = [b"one\ntwo\nx y\n", b"first\n  other words"];
        add_lines(&mut findings, |file| texts.get(usize::from(file.0)).copied());
        let shown = findings.map(|finding| {
            let text = finding.render(&[]).to_string();
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>().join("\n")
        });
        assert_eq!(
            shown,
            [
                " 3 | x y\n   | ^",
                " 2 |   other words\n   |   ^^^^^",
                "",
                " 1 | one\n   | ^^^",
                " 3 | x y\n   |   ^",
                "",
                ""
            ]
        );
    }

    #[test]
    fn the_line_can_be_added_when_it_is_at_hand() {
        let place = Place { file: FileId(0), line: 2, column: 3 };
        let text = Diagnostic::error(place, "broken", "").with_line(b"  two three").render(&[]).to_string();
        assert_eq!(text, "?:2:3: error: broken\n 2 |   two three\n   |   ^^^");
    }
}
