//! One keyed hash for every suffix of a name, made in one pass from the root leftwards.
//!
//! A look-up asks for several suffixes of the qname: the zone that encloses it, the name itself, its closest
//! encloser, the wildcard beside it. [`HashedName`] folds the name once and hashes label by label from the
//! right, so that each suffix's hash is a by-product of the next longer one's, and `*.suffix` costs one step.
//!
//! The key is drawn when the process starts: customers choose the names in their zones, and strangers the
//! names in queries, so neither may know which names collide.

use crate::name::{self, MAX_LABEL, MAX_LABELS, MAX_OCTETS, NameError};

/// The secret of all hashes that meet in one set of zones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashKey {
    seed: u64,
    stir: u64,
}

impl HashKey {
    /// A key from 16 octets that should be random.
    pub const fn new(random: [u64; 2]) -> Self {
        // An odd factor never maps a non-zero word to zero.
        Self { seed: random[0], stir: random[1] | 1 }
    }

    /// The hash of the root.
    #[inline]
    pub const fn root(self) -> u64 {
        self.seed
    }

    /// The hash of `label` set before the suffix whose hash is `suffix`; the label in lower case.
    #[inline]
    pub fn extend(self, suffix: u64, label: &[u8]) -> u64 {
        let mut padded = [0; MAX_LABEL + WORD];
        if let Some(room) = padded.get_mut(..label.len()) {
            room.copy_from_slice(label);
        }
        self.label(suffix, &padded, 0, label.len())
    }

    /// The same for a label of `len` octets at `start`, behind which at least seven octets of anything follow.
    #[inline]
    fn label(self, suffix: u64, octets: &[u8], start: usize, len: usize) -> u64 {
        let mut hash = suffix ^ len as u64;
        let (mut at, mut left) = (start, len);
        while left >= WORD {
            hash = self.mix(hash, word_at(octets, at));
            at += WORD;
            left -= WORD;
        }
        // What lies beyond the label is masked away.
        self.mix(hash, word_at(octets, at) & ((1 << (8 * left)) - 1))
    }

    /// The hash of an uncompressed wire name, folded here.
    ///
    /// # Errors
    /// [`NameError`] when `wire` does not start with one.
    pub fn name(self, wire: &[u8]) -> Result<u64, NameError> {
        let mut hashed = HashedName::default();
        hashed.set(wire)?;
        hashed.hash(self);
        Ok(hashed.suffix_hash(0))
    }

    #[inline]
    fn mix(self, hash: u64, word: u64) -> u64 {
        let product =
            u128::from(hash ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(self.stir ^ word);
        (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23)
    }
}

/// Octets that are hashed at once.
const WORD: usize = 8;

/// Eight octets as a number, the first one lowest; zero where there are fewer.
#[inline]
fn word_at(octets: &[u8], at: usize) -> u64 {
    octets.get(at..).and_then(|rest| rest.first_chunk::<WORD>()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// A name in lower case with the place and the hash of each of its suffixes.
///
/// Large, and reused from query to query: only what the name at hand needs is written.
#[derive(Clone)]
pub struct HashedName {
    /// With room for the word that starts at the last octet.
    octets: [u8; MAX_OCTETS + WORD],
    len: u8,
    labels: u8,
    offsets: [u8; MAX_LABELS + 1],
    hashes: [u64; MAX_LABELS + 1],
}

impl Default for HashedName {
    fn default() -> Self {
        Self {
            octets: [0; MAX_OCTETS + WORD],
            len: 1,
            labels: 0,
            offsets: [0; MAX_LABELS + 1],
            hashes: [0; MAX_LABELS + 1],
        }
    }
}

impl HashedName {
    /// Takes the uncompressed name at the start of `wire`, folds it and notes its labels; returns its octets.
    ///
    /// # Errors
    /// [`NameError`]; the name held before may be lost then.
    #[inline]
    pub fn set(&mut self, wire: &[u8]) -> Result<usize, NameError> {
        let (mut at, mut labels) = (0usize, 0usize);
        loop {
            let len = usize::from(*wire.get(at).ok_or(NameError::Unfinished)?);
            if let Some(slot) = self.offsets.get_mut(labels) {
                *slot = at as u8;
            }
            if len == 0 {
                break;
            }
            if len > name::MAX_LABEL {
                return Err(NameError::LabelTooLong);
            }
            at += len + 1;
            labels += 1;
            if at >= MAX_OCTETS {
                return Err(NameError::TooLong);
            }
        }
        // Whole words where something follows, as in queries with EDNS: single octets take longer than all words. Nobody
        // reads what stands behind the name.
        let words = (at + 1).next_multiple_of(WORD);
        let end = if words <= wire.len() { words } else { at + 1 };
        let (Some(room), Some(name)) = (self.octets.get_mut(..end), wire.get(..end)) else {
            return Err(NameError::TooLong);
        };
        for (to, from) in room.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase(); // the compiler makes vectors of it
        }
        self.len = at as u8 + 1;
        self.labels = labels as u8;
        Ok(at + 1)
    }

    /// Hashes every suffix; to be called once after [`Self::set`].
    #[inline]
    pub fn hash(&mut self, key: HashKey) {
        self.hash_onto(key, 0, key.root());
    }

    /// The same where the hash of the suffix of so many labels is known: hashes that suffix and all longer ones.
    #[inline]
    pub fn hash_onto(&mut self, key: HashKey, labels_known: usize, known: u64) {
        let mut hash = known;
        let labels = usize::from(self.labels).saturating_sub(labels_known);
        self.hashes[labels & MAX_LABELS] = hash;
        for index in (0..labels).rev() {
            let start = usize::from(self.offsets[index & MAX_LABELS]);
            let len = usize::from(self.octets.get(start).copied().unwrap_or(0));
            hash = key.label(hash, &self.octets, start + 1, len);
            self.hashes[index & MAX_LABELS] = hash;
        }
    }

    /// The name in lower case, in wire form.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Labels without the root.
    #[inline]
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// Octets of the name, the root label included.
    #[inline]
    pub fn octets(&self) -> usize {
        usize::from(self.len)
    }

    /// The suffix that starts at label `index`; 0 is the whole name and [`Self::labels`] the root.
    #[inline]
    pub fn suffix(&self, index: usize) -> &[u8] {
        let start = usize::from(self.offsets.get(index).copied().unwrap_or(0));
        self.octets.get(start..usize::from(self.len)).unwrap_or_default()
    }

    /// The hash of the suffix that starts at label `index`.
    #[inline]
    pub fn suffix_hash(&self, index: usize) -> u64 {
        self.hashes.get(index).copied().unwrap_or(0)
    }

    /// Octets of the suffix that starts at label `index`.
    #[inline]
    pub fn suffix_octets(&self, index: usize) -> usize {
        usize::from(self.len) - usize::from(self.offsets.get(index).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey::new([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321]);

    fn hashed(wire: &[u8]) -> HashedName {
        let mut name = HashedName::default();
        name.set(wire).unwrap();
        name.hash(KEY);
        name
    }

    #[test]
    fn case_does_not_change_the_hash() {
        assert_eq!(KEY.name(b"\x03WWW\x07eXample\0"), KEY.name(b"\x03www\x07example\0"));
    }

    #[test]
    fn names_of_every_length_are_folded_to_their_last_octet() {
        for octets in 1..=63 {
            let label = |letter: u8| [&[octets as u8][..], &vec![letter; octets], b"\0"].concat();
            for behind in 0..12 {
                let name = hashed(&[label(b'Z'), vec![b'Q'; behind]].concat());
                assert_eq!(name.as_wire(), label(b'z'));
                assert_eq!(name.suffix_hash(0), KEY.name(&label(b'z')).unwrap());
            }
        }
    }

    #[test]
    fn a_known_hash_is_as_good_as_one_that_is_made_anew() {
        let whole = hashed(b"\x01a\x0clonger-label\x03com\0");
        let mut other = whole.clone();
        other.hashes = [0; MAX_LABELS + 1];
        other.hash_onto(KEY, 2, whole.suffix_hash(1));
        assert_eq!(
            [0, 1].map(|label| other.suffix_hash(label)),
            [0, 1].map(|label| whole.suffix_hash(label))
        );
    }

    #[test]
    fn every_suffix_has_the_hash_of_the_same_name_alone() {
        let name = hashed(b"\x01a\x0clonger-label\x03com\0");
        assert_eq!(name.labels(), 3);
        assert_eq!(name.suffix(1), b"\x0clonger-label\x03com\0");
        for index in 0..=3 {
            assert_eq!(name.suffix_hash(index), KEY.name(name.suffix(index)).unwrap());
        }
        assert_eq!(name.suffix_hash(0), KEY.extend(name.suffix_hash(1), b"a"));
    }

    #[test]
    fn label_boundaries_matter() {
        assert_ne!(KEY.name(b"\x02ab\x01c\0"), KEY.name(b"\x01a\x02bc\0"));
        assert_ne!(KEY.name(b"\x01\0\0"), KEY.name(b"\x02\0\0\0"));
    }

    #[test]
    fn a_million_names_spread_evenly() {
        let mut buckets = vec![0u32; 1 << 12];
        for number in 0..1_000_000u32 {
            let digits = format!("{number}");
            let mut wire = vec![digits.len() as u8];
            wire.extend(digits.bytes());
            wire.extend(b"\x07example\0");
            buckets[(KEY.name(&wire).unwrap() >> 52) as usize] += 1;
        }
        // 244 expected in each; six standard deviations are 94.
        assert!(buckets.iter().all(|n| (150..340).contains(n)));
    }

    #[test]
    fn the_longest_name_fits() {
        let mut wire = b"\x01a".repeat(127);
        wire.push(0);
        let name = hashed(&wire);
        assert_eq!((name.labels(), name.octets()), (127, 255));
        assert_eq!(name.suffix(127), b"\0");
    }
}
