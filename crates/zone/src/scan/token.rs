//! Words of a zone file: blanks, comments, parentheses, quotes and line ends (RFC 1035 §5.1).
//!
//! A [`Cursor`] hands out the words of one entry after the other and knows at each moment on which line it
//! stands. Escapes are left in the words: what an escape means depends on whether the word is a name or a
//! character-string. It is called for every word of a file, so its loops look at each octet once.

use super::{FileId, Place};
use std::borrow::Cow;

/// What a parsing step fails with. Boxed, so that the way without errors moves one machine word.
pub(crate) type Parsed<T> = Result<T, Box<Problem>>;

/// A diagnostic in the making: where in the text, what, and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) message: Cow<'static, str>,
    pub(crate) remedy: Cow<'static, str>,
    pub(crate) subject: Subject,
}

/// What a message speaks of, and so whether it needs to be told which field of which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A word, whose field the message does not name yet.
    Word,
    /// The text as such: quotes, parentheses.
    Text,
    /// A field that is not there.
    Missing,
}

impl Problem {
    #[cold]
    pub(crate) fn new(
        span: Span,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        Box::new(Self { span, message: message.into(), remedy: remedy.into(), subject: Subject::Word })
    }

    /// The same, of the text as such.
    #[cold]
    fn in_text<T>(
        span: Span,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Parsed<T> {
        Err(Box::new(Self { subject: Subject::Text, ..*Self::new(span, message, remedy) }))
    }

    /// A parenthesis that nobody closes.
    #[cold]
    pub(crate) fn unclosed(span: Span) -> Box<Self> {
        let remedy = "put a closing parenthesis behind the last field of the record";
        Box::new(Self {
            subject: Subject::Text,
            ..*Self::new(span, "this parenthesis is never closed", remedy)
        })
    }

    #[cold]
    pub(crate) fn err<T>(
        span: Span,
        message: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Parsed<T> {
        Err(Self::new(span, message, remedy))
    }
}

/// A stretch of the text on one line. Offsets are octets from the start of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Where the line begins.
    pub(crate) line_start: u32,
}

impl Span {
    /// The octet in the line, counted from 1.
    pub(crate) fn column(self) -> u32 {
        self.start - self.line_start + 1
    }

    /// A part of the span, `from..to` octets from its start.
    pub(crate) fn part(self, from: usize, to: usize) -> Self {
        let shift = |octets: usize| u32::try_from(octets).unwrap_or(0);
        let start = (self.start + shift(from)).min(self.end);
        Self { start, end: (self.start + shift(to)).clamp(start, self.end), ..self }
    }
}

/// Whether a word stood in double quotes. As wide as a register, so that a [`Token`] has no padding: with it, the
/// compiler moves tokens in odd pieces, which halved the speed of the whole scan.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    Without,
    Within,
}

/// One word, escapes and all; quotes are taken off, but belong to the span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) span: Span,
    pub(crate) quotes: Quotes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Octet {
    /// Part of a word.
    Word,
    /// `\`: part of a word, and so is what follows.
    Escape,
    /// Separates words. A carriage return does, so that files with CR LF line ends are read.
    Blank,
    LineEnd,
    Comment,
    Quote,
    Open,
    Close,
}

const OCTETS: [Octet; 256] = {
    let mut octets = [Octet::Word; 256];
    octets[b'\\' as usize] = Octet::Escape;
    octets[b' ' as usize] = Octet::Blank;
    octets[b'\t' as usize] = Octet::Blank;
    octets[b'\r' as usize] = Octet::Blank;
    octets[b'\n' as usize] = Octet::LineEnd;
    octets[b';' as usize] = Octet::Comment;
    octets[b'"' as usize] = Octet::Quote;
    octets[b'(' as usize] = Octet::Open;
    octets[b')' as usize] = Octet::Close;
    octets
};

/// A position in the text of a zone file. Copying it is how one looks ahead.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    /// The parenthesis that is open here.
    group: Option<Span>,
    /// How many octets may still be looked at in vain for the end of a parenthesis.
    lookahead: usize,
}

/// How the parentheses of a refused entry stand, as [`Cursor::resync`] finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// All are closed, or there is none, or nobody can say.
    Closed,
    /// This one is not: the next one opens, or the text ends, behind lines that begin entries.
    Unclosed(Span),
    /// Another one opens before this one closes, and all between may belong to the entry.
    Nested(Span),
}

/// The longest text that is read: offsets have 32 bits.
pub(crate) const MAX_TEXT: usize = u32::MAX as usize - 1;

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`, of which no more than [`MAX_TEXT`] octets are read.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let text = text.get(..MAX_TEXT).unwrap_or(text);
        // Every text with honest mistakes is searched well; a hostile one costs three times what it must.
        Self { text, at: 0, line: 1, line_start: 0, group: None, lookahead: text.len().saturating_mul(2) }
    }

    /// Passes a byte order mark, and says whether there was one.
    pub(crate) fn pass_byte_order_mark(&mut self) -> Option<Span> {
        self.text.starts_with(b"\xef\xbb\xbf").then(|| {
            self.at = 3;
            self.span(0, 3)
        })
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where in the text this is.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The place of the octet at `offset`, which stands on this line.
    #[inline]
    pub(super) fn place(&self, file: FileId, offset: usize) -> Place {
        // No offset exceeds MAX_TEXT.
        Place { file, line: self.line, column: (offset - self.line_start) as u32 + 1 }
    }

    /// Passes the line, whose end stands at `end`.
    #[inline]
    pub(super) fn pass_line(&mut self, end: usize) {
        self.at = end;
        self.pass_line_end();
    }

    /// Whether no text is left.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    /// The octet that comes next, whatever it is.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The text of the line in which `span` stands, without its end.
    pub(crate) fn line_of(&self, span: Span) -> &'a [u8] {
        let rest = self.text.get(span.line_start as usize..).unwrap_or_default();
        rest.get(..line_length(rest)).unwrap_or_default()
    }

    /// The text from here to where `later` stands.
    pub(crate) fn text_until(&self, later: &Self) -> &'a [u8] {
        self.text.get(self.at..later.at).unwrap_or_default()
    }

    /// A cursor at the start of the line in which `span` stands, outside of any parentheses.
    pub(crate) fn at_line_of(&self, span: Span) -> Self {
        let line_start = span.line_start as usize;
        Self { at: line_start, line: span.line, line_start, group: None, ..*self }
    }

    /// The place of the next octet.
    pub(crate) fn here(&self) -> Span {
        self.span(self.at, self.at)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        // No offset exceeds MAX_TEXT.
        Span { start: start as u32, end: end as u32, line: self.line, line_start: self.line_start as u32 }
    }

    /// Passes blanks on this line; the next octet is then what a word begins with, if one comes.
    pub(crate) fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|octet| OCTETS[usize::from(octet)] == Octet::Blank) {
            self.at += 1;
        }
    }

    /// The next word of the entry; none at its end, again and again.
    #[inline]
    pub(crate) fn next(&mut self) -> Parsed<Option<Token<'a>>> {
        loop {
            let Some(octet) = self.peek() else { return self.end_of_text() };
            match OCTETS[usize::from(octet)] {
                Octet::Word | Octet::Escape => return self.word().map(Some),
                Octet::Blank => self.at += 1,
                Octet::LineEnd if self.group.is_none() => return Ok(None),
                Octet::LineEnd => self.pass_line_end(),
                Octet::Comment => self.at += line_length(self.text.get(self.at..).unwrap_or_default()),
                Octet::Quote => return self.quoted().map(Some),
                Octet::Open => self.open()?,
                Octet::Close => self.close()?,
            }
        }
    }

    #[inline]
    fn word(&mut self) -> Parsed<Token<'a>> {
        let start = self.at;
        let mut at = start;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            at += rest.iter().position(|&o| OCTETS[usize::from(o)] != Octet::Word).unwrap_or(rest.len());
            if self.text.get(at) != Some(&b'\\') {
                break;
            }
            at = self.pass_escape(at)?;
        }
        self.at = at;
        let text = self.text.get(start..at).unwrap_or_default();
        Ok(Token { text, span: self.span(start, at), quotes: Quotes::Without })
    }

    #[inline]
    fn quoted(&mut self) -> Parsed<Token<'a>> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at = self.pass_escape(at)?,
                // RFC 1035 §5.1 lets a quoted string hold anything; that a line end is meant is so rare
                // next to a forgotten quote that BIND refuses it too.
                Some(b'\n') | None => {
                    self.at = at;
                    return Problem::in_text(
                        self.span(start, start + 1),
                        "the quoted string does not end on its line",
                        "close it with a double quote; write a line end inside a string as \\010",
                    );
                }
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        let text = self.text.get(start + 1..at).unwrap_or_default();
        Ok(Token { text, span: self.span(start, at + 1), quotes: Quotes::Within })
    }

    /// The offset behind the escape at `at`: a backslash and the octet that it protects.
    fn pass_escape(&mut self, at: usize) -> Parsed<usize> {
        if matches!(self.text.get(at + 1), None | Some(b'\n')) {
            self.at = at + 1;
            return Problem::in_text(
                self.span(at, at + 1),
                "a backslash stands at the end of the line",
                "write \\\\ for a backslash itself",
            );
        }
        Ok(at + 2)
    }

    fn pass_line_end(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    fn open(&mut self) -> Parsed<()> {
        let span = self.span(self.at, self.at + 1);
        if let Some(first) = self.group {
            return Problem::in_text(
                span,
                format!("a parenthesis stands inside another one, opened at line {}", first.line),
                format!("close the parenthesis of line {} first; they do not nest", first.line),
            );
        }
        self.group = Some(span);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Parsed<()> {
        let span = self.span(self.at, self.at + 1);
        self.at += 1;
        match self.group.take() {
            Some(_) => Ok(()),
            None => {
                Problem::in_text(span, "this parenthesis was never opened", "remove it, or open it before")
            }
        }
    }

    fn end_of_text(&mut self) -> Parsed<Option<Token<'a>>> {
        self.group.take().map_or(Ok(None), |span| Err(Problem::unclosed(span)))
    }

    /// Passes the end of the line on which an entry ended.
    pub(crate) fn next_entry(&mut self) {
        if self.peek() == Some(b'\n') {
            self.pass_line_end();
        }
    }

    /// The parenthesis that is open here.
    pub(crate) fn group(&self) -> Option<Span> {
        self.group
    }

    /// After an error in the entry that began at `entry`: goes to the next line that begins an entry.
    ///
    /// If the entry opens a parenthesis, that is the line behind the closing one. Where the next parenthesis
    /// opens, or the text ends, before this one closes, its end was forgotten: the scan then goes on at the
    /// next line that does not begin with a blank. The text that such searches pass in vain is bounded, so that
    /// hostile text cannot have each of its lines searched to its end.
    pub(crate) fn resync(&mut self, entry: Self) -> Group {
        *self = Self { group: None, lookahead: self.lookahead, ..entry };
        let mut fallback = None;
        let mut open: Option<Span> = None;
        let mut searched = true;
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => {
                    self.pass_line_end();
                    if open.is_none() {
                        return Group::Closed;
                    }
                    let begins_entry =
                        !matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b')' | b';'));
                    if begins_entry && fallback.is_none() {
                        fallback = Some(*self);
                        if self.lookahead == 0 {
                            searched = false;
                            break;
                        }
                    }
                    continue;
                }
                b';' => self.at += line_length(self.text.get(self.at..).unwrap_or_default()),
                b'"' => self.pass_quoted_leniently(),
                b'\\' if !matches!(self.text.get(self.at + 1), None | Some(b'\n')) => self.at += 2,
                b'(' if open.is_some() => break,
                b'(' | b')' => {
                    open = (octet == b'(').then(|| self.span(self.at, self.at + 1));
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        let Some(open) = open else { return Group::Closed };
        let ended = self.is_done();
        if let Some(fallback) = fallback {
            let lookahead = self.lookahead.saturating_sub(self.at - fallback.at);
            *self = Self { lookahead, ..fallback };
        } else if !ended {
            self.at += line_length(self.text.get(self.at..).unwrap_or_default());
            self.next_entry();
        }
        match fallback {
            Some(_) if !searched => Group::Closed,
            None if !ended => Group::Nested(open),
            _ => Group::Unclosed(open),
        }
    }

    fn pass_quoted_leniently(&mut self) {
        self.at += 1;
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => return,
                b'\\' if !matches!(self.text.get(self.at + 1), None | Some(b'\n')) => self.at += 2,
                _ => {
                    self.at += 1;
                    if octet == b'"' {
                        return;
                    }
                }
            }
        }
    }
}

fn line_length(text: &[u8]) -> usize {
    text.iter().position(|&octet| octet == b'\n').unwrap_or(text.len())
}
