//! Domain names from text to uncompressed wire format (RFC 1035 §5.1, 8-bit clean).

use super::token::{Parsed, Problem, Quotes, Token};
use crate::diagnostic::quoted;
use pharos_wire::name::{MAX_LABEL, MAX_OCTETS};

/// An uncompressed wire name in a buffer that is used again and again.
#[derive(Clone)]
pub(crate) struct NameBuf {
    octets: [u8; MAX_OCTETS],
    len: usize,
}

impl Default for NameBuf {
    fn default() -> Self {
        Self::root()
    }
}

impl NameBuf {
    pub(crate) const fn root() -> Self {
        Self { octets: [0; MAX_OCTETS], len: 1 }
    }

    /// A copy of `wire`; none if that is longer than a name can be.
    pub(crate) fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut name = Self::root();
        name.octets.get_mut(..wire.len())?.copy_from_slice(wire);
        name.len = wire.len();
        Some(name)
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// All octets, and how many of them are the name.
    #[inline]
    pub(super) fn parts(&self) -> (&[u8; MAX_OCTETS], usize) {
        (&self.octets, self.len)
    }

    /// Where another name may be written, of so many octets as `fill` says; the root if it says none.
    #[inline(always)]
    pub(super) fn fill(&mut self, fill: impl FnOnce(&mut [u8; MAX_OCTETS]) -> Option<usize>) -> Option<()> {
        let len = fill(&mut self.octets);
        self.len = len.unwrap_or(1);
        len.map(drop)
    }

    /// Reads `token`; a name that does not end in a dot is completed with `origin`.
    #[inline]
    pub(crate) fn read(&mut self, token: Token<'_>, origin: &[u8]) -> Parsed<Relation> {
        if token.quotes == Quotes::Within {
            return Problem::err(
                token.span,
                "a name stands in quotes",
                "remove the quotes; write blanks inside a name as \\032",
            );
        }
        match token.text {
            b"@" => return self.complete(token, 0, origin),
            b"." => {
                self.len = 1;
                self.octets[0] = 0;
                return Ok(Relation::Absolute);
            }
            _ => {}
        }
        match self.read_plain(token.text) {
            Some(Plain::Absolute) => Ok(Relation::Absolute),
            Some(Plain::Relative(len)) => self.complete(token, len, origin),
            None => self.read_labels(token, origin),
        }
    }

    /// Reads a name that needs no care, as nearly all do; none if it has an escape or is wrong.
    ///
    /// Without escapes each octet of the text lands one octet further in the name, and each dot becomes the
    /// length of the label behind it: the text is copied whole, and only the lengths are filled in.
    #[inline]
    fn read_plain(&mut self, text: &[u8]) -> Option<Plain> {
        self.octets.get_mut(1..=text.len())?.copy_from_slice(text);
        let mut label = 0;
        for (at, &octet) in text.iter().enumerate() {
            match octet {
                b'.' => {
                    self.octets[label] = label_length(at - label)?;
                    label = at + 1;
                }
                b'\\' => return None,
                _ => {}
            }
        }
        if label == text.len() {
            self.octets[label] = 0;
            self.len = label + 1;
            return Some(Plain::Absolute);
        }
        self.octets[label] = label_length(text.len() - label)?;
        Some(Plain::Relative(text.len() + 1))
    }

    /// Reads any name, and says what is wrong with it.
    #[cold]
    fn read_labels(&mut self, token: Token<'_>, origin: &[u8]) -> Parsed<Relation> {
        let text = token.text;
        // `label` is where the length octet of the label in work stands, `len` is where the next octet goes.
        let (mut label, mut len) = (0usize, 1usize);
        let mut at = 0;
        while let Some(&octet) = text.get(at) {
            let mut stored = octet;
            at += 1;
            if octet == b'.' {
                self.close_label(token, at, label, len)?;
                label = len;
            } else if octet == b'\\' {
                let (value, width) = unescape(token, at)?;
                stored = value;
                at += width;
            }
            // A dot's place is overwritten when its label is closed.
            let Some(slot) = self.octets.get_mut(len) else {
                return too_long(token);
            };
            *slot = stored;
            len += 1;
        }
        if label + 1 == len {
            self.octets[label] = 0;
            self.len = len;
            return Ok(Relation::Absolute);
        }
        self.close_label(token, at + 1, label, len)?;
        self.complete(token, len, origin)
    }

    /// Writes the length of the label that stands at `label` and ends before `len`.
    fn close_label(&mut self, token: Token<'_>, text_end: usize, label: usize, len: usize) -> Parsed<()> {
        let octets = len - label - 1;
        if octets == 0 {
            return Problem::err(
                token.span.part(text_end.saturating_sub(1), text_end),
                format!("the name {} has an empty label", quoted(token.text)),
                "remove the extra dot",
            );
        }
        if octets > MAX_LABEL {
            return Problem::err(
                token.span,
                format!("the name {} has a label of {octets} octets", quoted(token.text)),
                "a label, the part between two dots, has at most 63 octets (RFC 1035 \u{a7}2.3.4)",
            );
        }
        if let Some(slot) = self.octets.get_mut(label) {
            *slot = octets as u8;
        }
        Ok(())
    }

    #[inline]
    fn complete(&mut self, token: Token<'_>, len: usize, origin: &[u8]) -> Parsed<Relation> {
        let Some(room) = self.octets.get_mut(len..len + origin.len()) else { return too_long(token) };
        room.copy_from_slice(origin);
        self.len = len + origin.len();
        Ok(if len == 0 { Relation::Origin } else { Relation::Completed })
    }
}

enum Plain {
    Absolute,
    /// The origin must follow at this octet.
    Relative(usize),
}

#[inline]
fn label_length(octets: usize) -> Option<u8> {
    (1..=MAX_LABEL).contains(&octets).then_some(octets as u8)
}

/// How a name was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// With a dot at its end.
    Absolute,
    /// As `@`.
    Origin,
    /// Without a dot at its end: the origin was added.
    Completed,
}

#[cold]
fn too_long(token: Token<'_>) -> Parsed<Relation> {
    Problem::err(
        token.span,
        format!("the name {} is longer than 255 octets", quoted(token.text)),
        "a name, with the origin that is added when it does not end in a dot, has at most 255 octets \
         (RFC 1035 \u{a7}2.3.4)",
    )
}

/// The octet that an escape stands for, and how much text it took. `at` is behind the backslash.
#[inline]
pub(crate) fn unescape(token: Token<'_>, at: usize) -> Parsed<(u8, usize)> {
    match token.text.get(at..) {
        Some([a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..]) => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            match u8::try_from(value) {
                Ok(octet) => Ok((octet, 3)),
                Err(_) => bad_escape(token, at, format!("\\{value} is more than an octet holds")),
            }
        }
        Some([octet, ..]) if !octet.is_ascii_digit() => Ok((*octet, 1)),
        _ => bad_escape(token, at, "a backslash and a digit need two more digits".to_owned()),
    }
}

#[cold]
fn bad_escape<T>(token: Token<'_>, at: usize, message: String) -> Parsed<T> {
    let inner = match token.quotes {
        Quotes::Within => at + 1,
        Quotes::Without => at,
    };
    Problem::err(
        token.span.part(inner - 1, inner + 3),
        message,
        "write an octet as \\000 to \\255 (decimal), or a character that is not a digit behind the backslash",
    )
}
