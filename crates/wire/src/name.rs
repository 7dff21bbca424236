//! Domain names in wire form (RFC 1035 §3.1): labels of 1 to 63 octets, each behind its length, closed by the
//! empty label of the root; 255 octets at most.
//!
//! Octets are compared without regard to ASCII case (RFC 4343). A length octet is at most 63 and so never
//! lies between `A` and `Z`: a whole name can be folded without looking where its labels stand.

use core::cmp::Ordering;
use core::fmt;

/// The most octets that a name has in wire form, the root's included (RFC 1035 §2.3.4).
pub const MAX_OCTETS: usize = 255;
/// The most octets in one label (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;
/// The most labels that fit, the root's not counted.
pub const MAX_LABELS: usize = 127;

/// An uncompressed name that owns its octets, in the case in which it was written.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    octets: [u8; MAX_OCTETS],
}

/// Why some octets or some text are not a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// It ends before its root label.
    Unfinished,
    /// A label has more than 63 octets, or is of a kind that is not in use.
    LabelTooLong,
    /// A label between two dots is empty.
    EmptyLabel,
    /// The name has more than 255 octets.
    TooLong,
    /// A backslash is not followed by a character or by three digits up to 255.
    BadEscape,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "the name ends too early",
            Self::LabelTooLong => "a label is longer than 63 octets",
            Self::EmptyLabel => "a label is empty",
            Self::TooLong => "the name is longer than 255 octets",
            Self::BadEscape => "a backslash needs a character or three digits up to 255 behind it",
        })
    }
}

impl core::error::Error for NameError {}

impl Name {
    /// The root, `.`.
    pub const ROOT: Self = Self { len: 1, octets: [0; MAX_OCTETS] };

    /// The uncompressed name at the start of `wire`; what follows it is not looked at.
    ///
    /// # Errors
    /// [`NameError`] when no whole, uncompressed name stands there.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let len = measure(wire)?;
        let mut octets = [0; MAX_OCTETS];
        octets[..len].copy_from_slice(&wire[..len]);
        Ok(Self { len: len as u8, octets })
    }

    /// Reads the text form of RFC 1035 §5.1, with or without the closing dot; always absolute.
    ///
    /// # Errors
    /// [`NameError`] when the text is not a name.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        let text = text.as_bytes();
        if text == b"." {
            return Ok(Self::ROOT);
        }
        let mut name = Self { len: 0, octets: [0; MAX_OCTETS] };
        let (mut at, mut start, mut len) = (0, 0usize, 1usize);
        loop {
            let (octet, dot) = match text.get(at) {
                None | Some(b'.') => (0, true),
                Some(b'\\') => {
                    let (octet, width) = unescape(&text[at + 1..]).ok_or(NameError::BadEscape)?;
                    at += width;
                    (octet, false)
                }
                Some(&octet) => (octet, false),
            };
            if dot {
                let label = len - start - 1;
                if label == 0 {
                    return Err(NameError::EmptyLabel);
                }
                name.octets[start] = label as u8;
                if len >= MAX_OCTETS {
                    return Err(NameError::TooLong);
                }
                start = len;
                len += 1;
                at += 1;
                if at >= text.len() {
                    name.octets[start] = 0;
                    name.len = len as u8;
                    return Ok(name);
                }
            } else {
                if len - start > MAX_LABEL {
                    return Err(NameError::LabelTooLong);
                }
                if len >= MAX_OCTETS {
                    return Err(NameError::TooLong);
                }
                name.octets[len] = octet;
                len += 1;
                at += 1;
            }
        }
    }

    /// The name in wire form, the root label included.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// Labels from left to right, the root not counted.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: self.as_wire() }
    }

    /// The same name in lower case.
    pub fn to_folded(mut self) -> Self {
        self.octets.make_ascii_lowercase();
        self
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        is_within(self.as_wire(), other.as_wire())
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::ROOT
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire().eq_ignore_ascii_case(other.as_wire())
    }
}

impl Eq for Name {}

impl core::hash::Hash for Name {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write(self.to_folded().as_wire());
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text(self.as_wire()).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows an uncompressed wire name as text: absolute, with `\DDD` for what is not printable (RFC 4343 §2.1).
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = Labels { rest: self.0 }.peekable();
        if labels.peek().is_none() {
            return f.write_str(".");
        }
        for label in labels {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => {
                        write!(f, "\\{}", char::from(octet))
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(octet)),
                    _ => write!(f, "\\{octet:03}"),
                }?;
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

/// The labels of a wire name, left to right, without the root.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Labels<'a> {
    /// Iterates over an uncompressed wire name; stops early where the octets are not one.
    pub fn new(wire: &'a [u8]) -> Self {
        Self { rest: wire }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.rest.split_first()?;
        if len == 0 || usize::from(len) > MAX_LABEL {
            return None;
        }
        let label = rest.get(..usize::from(len))?;
        self.rest = rest.get(usize::from(len)..)?;
        Some(label)
    }
}

/// Octets of the uncompressed name at the start of `wire`, the root label included.
///
/// # Errors
/// [`NameError`] when no whole, uncompressed name stands there.
pub fn measure(wire: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        let len = usize::from(*wire.get(at).ok_or(NameError::Unfinished)?);
        if len == 0 {
            return if at < MAX_OCTETS { Ok(at + 1) } else { Err(NameError::TooLong) };
        }
        if len > MAX_LABEL {
            return Err(NameError::LabelTooLong);
        }
        at += len + 1;
        if at >= MAX_OCTETS {
            return Err(NameError::TooLong);
        }
    }
}

/// The canonical order of names (RFC 4034 §6.1): label by label from the right, whatever the case. Both names are
/// uncompressed, with or without the root's label.
pub fn canonical_order(one: &[u8], other: &[u8]) -> Ordering {
    let (mut one, mut other) = (FromRight::new(one), FromRight::new(other));
    loop {
        match (one.next(), other.next()) {
            (Some(one), Some(other)) => {
                let order = label_order(one, other);
                if order.is_ne() {
                    return order;
                }
            }
            (one, other) => return one.is_some().cmp(&other.is_some()),
        }
    }
}

/// Labels compare as strings of octets, upper case as lower case; a shorter one comes before what it begins.
fn label_order(one: &[u8], other: &[u8]) -> Ordering {
    for (one, other) in one.iter().zip(other) {
        let order = one.to_ascii_lowercase().cmp(&other.to_ascii_lowercase());
        if order.is_ne() {
            return order;
        }
    }
    one.len().cmp(&other.len())
}

/// The labels of a name from the right, without the root's.
struct FromRight<'a> {
    wire: &'a [u8],
    offsets: [u8; MAX_LABELS],
    left: usize,
}

impl<'a> FromRight<'a> {
    fn new(wire: &'a [u8]) -> Self {
        let mut name = Self { wire, offsets: [0; MAX_LABELS], left: 0 };
        let mut at = 0;
        while let Some(&octets @ 1..=63) = wire.get(at)
            && let Some(slot) = name.offsets.get_mut(name.left)
        {
            *slot = at as u8;
            name.left += 1;
            at += 1 + usize::from(octets);
        }
        name
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let at = usize::from(*self.offsets.get(self.left)?);
        let octets = usize::from(*self.wire.get(at)?);
        self.wire.get(at + 1..at + 1 + octets)
    }
}

/// Whether the uncompressed name `name` is `ancestor` or lies below it, whatever the case.
pub fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    let Some(mut skip) = name.len().checked_sub(ancestor.len()) else { return false };
    // The tail must start at a label's boundary, not inside a label.
    let mut rest = name;
    while skip > 0 {
        let step = usize::from(rest.first().copied().unwrap_or(0)) + 1;
        let (Some(left), Some(next)) = (skip.checked_sub(step), rest.get(step..)) else { return false };
        skip = left;
        rest = next;
    }
    rest.eq_ignore_ascii_case(ancestor)
}

/// The octet that follows a backslash in text, and how many characters it took.
fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).ok().map(|octet| (octet, 3))
        }
        [b'0'..=b'9', ..] | [] => None,
        [octet, ..] => Some((*octet, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire_forms_meet() {
        let name = Name::from_text("www.Example.com").unwrap();
        assert_eq!(name.as_wire(), b"\x03www\x07Example\x03com\0");
        assert_eq!(name.to_string(), "www.Example.com.");
        assert_eq!(name, Name::from_text("WWW.example.COM.").unwrap());
        assert_eq!(Name::from_text(".").unwrap().to_string(), ".");
    }

    #[test]
    fn escapes_stand_for_single_octets() {
        let name = Name::from_text("a\\.b\\032\\\\.c").unwrap();
        assert_eq!(name.as_wire(), b"\x05a.b \\\x01c\0");
        assert_eq!(name.to_string(), "a\\.b\\032\\\\.c.");
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_its_reason() {
        assert_eq!(Name::from_text("a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_text(""), Err(NameError::EmptyLabel));
        assert_eq!(Name::from_text("a\\25"), Err(NameError::BadEscape));
        assert_eq!(Name::from_text("a\\256"), Err(NameError::BadEscape));
        assert_eq!(Name::from_text(&"a".repeat(64)), Err(NameError::LabelTooLong));
        assert_eq!(Name::from_text(&"a.".repeat(128)), Err(NameError::TooLong));
        assert_eq!(Name::from_wire(b"\x03ww"), Err(NameError::Unfinished));
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::LabelTooLong));
    }

    #[test]
    fn the_longest_name_has_255_octets() {
        let name = Name::from_text(&"a.".repeat(127)).unwrap();
        assert_eq!(name.as_wire().len(), 255);
        assert_eq!(name.labels().count(), 127);
    }

    #[test]
    fn names_are_ordered_as_rfc_4034_section_6_1_shows() {
        let ordered = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
        ];
        let names = ordered.map(|name| Name::from_text(name).unwrap());
        for (index, name) in names.iter().enumerate() {
            for (other_index, other) in names.iter().enumerate() {
                assert_eq!(canonical_order(name.as_wire(), other.as_wire()), index.cmp(&other_index));
            }
        }
    }

    #[test]
    fn lying_within_respects_label_boundaries() {
        let name = |text| Name::from_text(text).unwrap();
        assert!(name("a.example.").is_within(&name("EXAMPLE.")));
        assert!(name("example.").is_within(&name("example.")));
        assert!(name("example.").is_within(&Name::ROOT));
        assert!(!name("badexample.").is_within(&name("example.")));
        // The octets of `\007example` end like those of `example`, one label further in.
        assert!(!name("x\\007example.").is_within(&name("example.")));
    }
}
