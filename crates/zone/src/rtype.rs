//! Mnemonics of record types, from text and to text (RFC 1035 §3.2.2, RFC 3597 §5).

use crate::rdata::table::{Kind, TYPES, Type};
use std::fmt;

/// The number of a type written as a mnemonic or as `TYPEnnn`, whatever its case.
#[must_use]
#[inline]
pub fn from_text(text: &[u8]) -> Option<u16> {
    let mut slot = hash(text);
    // The table is never full, so the search meets an empty slot.
    while let Some(known) = TYPES.get(usize::from(BY_NAME[slot])) {
        if known.mnemonic.as_bytes().eq_ignore_ascii_case(text) {
            return Some(known.number);
        }
        slot = (slot + 1) % BY_NAME.len();
    }
    generic(text, b"TYPE")
}

/// The number in a word like `TYPE65280` or `CLASS1` (RFC 3597 §5).
pub(crate) fn generic(text: &[u8], prefix: &[u8]) -> Option<u16> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Shows a type's number as its mnemonic, or as `TYPEnnn` where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display(pub u16);

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match known(self.0) {
            Some(known) => f.write_str(known.mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// Whether records of this type can stand in a zone: not type 0, OPT, or the numbers that are kept for queries
/// and messages (RFC 6895 §3.1).
#[must_use]
pub fn can_be_in_zone(rtype: u16) -> bool {
    let meta = rtype == 0 || (128..=255).contains(&rtype);
    !meta && !matches!(known(rtype), Some(Type { kind: Kind::NotInZones, .. }))
}

/// What the table says about a type.
#[inline]
pub(crate) fn known(rtype: u16) -> Option<&'static Type> {
    match BY_NUMBER.get(usize::from(rtype)) {
        Some(&index) => TYPES.get(usize::from(index)),
        None => {
            TYPES.iter().rev().take_while(|known| known.number >= rtype).find(|known| known.number == rtype)
        }
    }
}

/// Marks an empty slot of the two indexes.
const NONE: u8 = u8::MAX;

/// From a type's number to its index in [`TYPES`]; the few types above are searched for.
static BY_NUMBER: [u8; 300] = {
    let mut index = [NONE; 300];
    let mut at = 0;
    while at < TYPES.len() {
        if (TYPES[at].number as usize) < index.len() {
            index[TYPES[at].number as usize] = at as u8;
        }
        at += 1;
    }
    index
};

/// From a mnemonic's hash to its index in [`TYPES`], collisions in the slots that follow. Sparse, so that the
/// search ends at the first slot nearly always.
static BY_NAME: [u8; 1024] = {
    let mut index = [NONE; 1024];
    let mut at = 0;
    while at < TYPES.len() {
        let mut slot = hash(TYPES[at].mnemonic.as_bytes());
        while index[slot] != NONE {
            slot = (slot + 1) % index.len();
        }
        index[slot] = at as u8;
        at += 1;
    }
    index
};

/// A slot of [`BY_NAME`]; the same whatever the case of letters.
const fn hash(text: &[u8]) -> usize {
    let mut hash = text.len() as u32;
    let mut at = 0;
    // Longer words are no mnemonics; what is left out costs a comparison, no correctness.
    while at < text.len() && at < 12 {
        hash = hash.wrapping_mul(31).wrapping_add((text[at] & 0xdf) as u32);
        at += 1;
    }
    (hash.wrapping_mul(0x9e37_79b1) >> 22) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mnemonic_leads_to_its_number_and_back() {
        for known in &TYPES {
            assert_eq!(from_text(known.mnemonic.as_bytes()), Some(known.number));
            assert_eq!(from_text(known.mnemonic.to_lowercase().as_bytes()), Some(known.number));
            assert_eq!(Display(known.number).to_string(), known.mnemonic);
        }
    }

    #[test]
    fn the_table_is_sorted_and_fits_its_indexes() {
        assert!(TYPES.is_sorted_by_key(|known| known.number));
        assert!(TYPES.len() < usize::from(NONE));
    }

    #[test]
    fn types_without_a_mnemonic_are_written_by_number() {
        assert_eq!(from_text(b"TYPE65280"), Some(65280));
        assert_eq!(from_text(b"type1"), Some(1));
        assert_eq!(Display(65280).to_string(), "TYPE65280");
        for text in [&b"TYPE"[..], b"TYPE65536", b"TYPE1x", b"TYPE+1", b"BLAH", b""] {
            assert_eq!(from_text(text), None);
        }
    }

    #[test]
    fn query_types_are_not_for_zones() {
        for rtype in [0, 41, 128, 200, 249, 255] {
            assert!(!can_be_in_zone(rtype), "{rtype}");
        }
        for rtype in [1, 10, 127, 256, 32769, 65535] {
            assert!(can_be_in_zone(rtype), "{rtype}");
        }
    }
}
