//! Domain names as lists of labels: made, cut, joined and written by the generator and the rules.
//!
//! A second notion of a name beside `pharos_wire::Name`, on purpose: what judges the responder does not share
//! its code.

use std::fmt::Write;

/// A name; the leftmost label comes first. Compared octet by octet: see [`DomainName::folded`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DomainName(pub Vec<Vec<u8>>);

impl DomainName {
    /// From plain text without escapes, such as `www.example.`.
    pub fn plain(text: &str) -> Self {
        Self(
            text.split('.')
                .filter(|label| !label.is_empty())
                .map(|label| label.as_bytes().to_vec())
                .collect(),
        )
    }

    /// From uncompressed wire format.
    pub fn from_wire(mut wire: &[u8]) -> Self {
        let mut labels = Vec::new();
        while let Some((&len, rest)) = wire.split_first()
            && len > 0
            && rest.len() >= usize::from(len)
        {
            labels.push(rest[..usize::from(len)].to_vec());
            wire = &rest[usize::from(len)..];
        }
        Self(labels)
    }

    /// In wire format.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in &self.0 {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        wire
    }

    /// Octets in wire format; a name has 255 at most (RFC 1035 §2.3.4).
    pub fn octets(&self) -> usize {
        1 + self.0.iter().map(|label| 1 + label.len()).sum::<usize>()
    }

    /// With capital letters made small, for comparisons (RFC 4343).
    pub fn folded(&self) -> Self {
        Self(self.0.iter().map(|label| label.to_ascii_lowercase()).collect())
    }

    /// One label below.
    pub fn child(&self, label: &[u8]) -> Self {
        let mut labels = vec![label.to_vec()];
        labels.extend(self.0.iter().cloned());
        Self(labels)
    }

    /// Without its leftmost label; the root stays the root.
    pub fn parent(&self) -> Self {
        Self(self.0.get(1..).unwrap_or_default().to_vec())
    }

    /// The labels of `self` in front of those of `suffix`.
    pub fn under(&self, suffix: &Self) -> Self {
        Self(self.0.iter().chain(&suffix.0).cloned().collect())
    }

    /// Whether it is `other` or below it, whatever the case.
    pub fn within(&self, other: &Self) -> bool {
        let Some(skip) = self.0.len().checked_sub(other.0.len()) else { return false };
        self.0[skip..].iter().zip(&other.0).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// Whether it is below `other`, whatever the case.
    pub fn below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.within(other)
    }

    /// Itself and all names above it, up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        (0..=self.0.len()).map(|skip| Self(self.0[skip..].to_vec()))
    }

    /// As a zone file has it: absolute, everything unusual as `\X` or `\DDD` (RFC 1035 §5.1).
    pub fn text(&self) -> String {
        if self.0.is_empty() {
            return ".".to_owned();
        }
        let mut text = String::new();
        for label in &self.0 {
            for &octet in label {
                if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*') {
                    text.push(octet.into());
                } else if b".;@$()\"\\".contains(&octet) {
                    text.push('\\');
                    text.push(octet.into());
                } else {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\{octet:03}");
                }
            }
            text.push('.');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_wire_format() {
        let name = DomainName(vec![b"a.b".to_vec(), vec![0, 255], b"Example".to_vec()]);
        assert_eq!(DomainName::from_wire(&name.wire()), name);
        assert_eq!(name.octets(), name.wire().len());
        assert_eq!(name.text(), "a\\.b.\\000\\255.Example.");
        assert!(name.below(&DomainName::plain("eXample.")));
        assert_eq!(name.ancestors().count(), 4);
    }
}
