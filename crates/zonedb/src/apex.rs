//! A zone's name with no more room than it needs: a node may have a hundred thousand zones, and most names are short.

use std::fmt;

use pharos_wire::Name;
use pharos_wire::name::{Labels, Text};

/// The name of a zone in wire form, as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Apex(Box<[u8]>);

impl Apex {
    /// The octets in wire form.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Labels from left to right, the root not counted.
    pub fn labels(&self) -> Labels<'_> {
        Labels::new(&self.0)
    }

    /// The same as a value on its own.
    pub fn to_name(&self) -> Name {
        // It was one when this was made.
        Name::from_wire(&self.0).unwrap_or(Name::ROOT)
    }
}

impl From<&Name> for Apex {
    fn from(name: &Name) -> Self {
        Self(name.as_wire().into())
    }
}

impl fmt::Display for Apex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Text(&self.0), f)
    }
}

impl fmt::Debug for Apex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Text(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was_given() {
        for text in [".", "Example.COM.", "a\\.b."] {
            let name = Name::from_text(text).unwrap();
            let apex = Apex::from(&name);
            assert_eq!((apex.as_wire(), apex.to_string()), (name.as_wire(), name.to_string()));
            assert_eq!(apex.to_name().as_wire(), name.as_wire());
            assert_eq!(apex.labels().count(), name.labels().count());
        }
    }
}
