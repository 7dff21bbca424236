//! The NSEC3 chain of a zone (RFC 5155): hashes in order, each with the node that holds its record.
//!
//! What a denial must prove about names that the zone has is worked out when the zone is compiled and stands
//! beside each node as [`Links`]. All that is left for a query is the hash of one name that does not exist, the
//! next closer one, and the search for the record that covers it.

use std::ops::Range;

use sha1::{Digest, Sha1};

use crate::image::Node;

/// Octets of a hash; SHA-1 is the only algorithm (RFC 5155 §11).
pub const HASH_OCTETS: usize = 20;

/// How names are hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nsec3Parameters {
    /// Additional iterations (RFC 5155 §3.1.3).
    pub iterations: u16,
    /// Salt (RFC 5155 §3.1.5).
    pub salt: Box<[u8]>,
}

impl Nsec3Parameters {
    /// From the rdata of NSEC3PARAM or the beginning of NSEC3's: algorithm, flags, iterations, salt (RFC 5155
    /// §3.2, §4.2). `None` for another algorithm than SHA-1.
    pub fn from_rdata(rdata: &[u8]) -> Option<Self> {
        let (&[1, _, i0, i1, salt_octets], rest) = rdata.split_first_chunk::<5>()? else { return None };
        let salt = rest.get(..usize::from(salt_octets))?.into();
        Some(Self { iterations: u16::from_be_bytes([i0, i1]), salt })
    }

    /// The hash of a name in lower case, given in pieces (RFC 5155 §5).
    pub fn hash(&self, name: &[&[u8]]) -> [u8; HASH_OCTETS] {
        let mut first = Sha1::new();
        name.iter().for_each(|piece| first.update(piece));
        first.update(&self.salt);
        let mut digest: [u8; HASH_OCTETS] = first.finalize().into();
        for _ in 0..self.iterations {
            let mut next = Sha1::new();
            next.update(digest);
            next.update(&self.salt);
            digest = next.finalize().into();
        }
        digest
    }
}

/// Hashes to which one entry of the index leads, on average: their prefixes share a cache line or two.
const STRETCH: usize = 8;

/// A chain whose hashes are in order.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) parameters: Nsec3Parameters,
    /// Hashes are spread evenly: for each value of their upper bits, where those begin that have it or more; one more
    /// entry at the end.
    pub(crate) starts: Box<[u32]>,
    /// How many upper bits that is.
    pub(crate) bits: u32,
    /// The first four octets of each hash: a search reads a line of these and one full hash.
    pub(crate) prefixes: Box<[u32]>,
    pub(crate) hashes: Box<[[u8; HASH_OCTETS]]>,
    pub(crate) nodes: Box<[u32]>,
}

impl Chain {
    pub(crate) fn new(parameters: Nsec3Parameters, mut members: Vec<([u8; HASH_OCTETS], u32)>) -> Self {
        members.sort_unstable();
        let prefixes: Box<[u32]> = members.iter().map(|(hash, _)| prefix(hash)).collect();
        let bits = (members.len() / STRETCH).max(1).ilog2();
        let start = |value| prefixes.partition_point(|&held| upper(held, bits) < value) as u32;
        Self {
            parameters,
            starts: (0..=1 << bits).map(start).collect(),
            bits,
            prefixes,
            hashes: members.iter().map(|&(hash, _)| hash).collect(),
            nodes: members.iter().map(|&(_, node)| node).collect(),
        }
    }

    /// The start of the node whose record matches or covers `hash`: the last in order that is not greater, or, since
    /// the chain is a circle, the last of all.
    pub(crate) fn find(&self, hash: &[u8; HASH_OCTETS]) -> Option<u32> {
        let wanted = prefix(hash);
        let mut after = self.after(wanted)?;
        // A full hash is far away, and seldom needed.
        while self.prefixes.get(after) == Some(&wanted) && self.hashes.get(after)? <= hash {
            after += 1;
        }
        let index = after.checked_sub(1).unwrap_or(self.nodes.len().checked_sub(1)?);
        self.nodes.get(index).copied()
    }

    /// The prefixes among which the place of this one is.
    fn stretch(&self, wanted: u32) -> Option<Range<usize>> {
        let value = upper(wanted, self.bits);
        Some(*self.starts.get(value)? as usize..*self.starts.get(value + 1)? as usize)
    }

    /// How many prefixes are less than this one.
    fn after(&self, wanted: u32) -> Option<usize> {
        let stretch = self.stretch(wanted)?;
        Some(stretch.start + self.prefixes.get(stretch)?.partition_point(|&held| held < wanted))
    }

    /// Loads what tells among which prefixes the place of this hash is.
    pub(crate) fn warm_starts(&self, hash: &[u8; HASH_OCTETS]) {
        core::hint::black_box(self.stretch(prefix(hash)));
    }

    /// Loads these prefixes.
    pub(crate) fn warm_prefixes(&self, hash: &[u8; HASH_OCTETS]) {
        let stretch = self.stretch(prefix(hash)).unwrap_or_default();
        let prefix = |at: usize| self.prefixes.get(at).copied();
        core::hint::black_box((prefix(stretch.start), prefix(stretch.end.saturating_sub(1))));
    }

    /// The node that [`Self::find`] finds for a hash whose prefix is none of the chain's.
    pub(crate) fn probable(&self, hash: &[u8; HASH_OCTETS]) -> Option<&u32> {
        self.nodes.get(self.after(prefix(hash))?.saturating_sub(1))
    }

    pub(crate) fn octets(&self) -> usize {
        size_of_val(&*self.starts)
            + size_of_val(&*self.prefixes)
            + size_of_val(&*self.hashes)
            + size_of_val(&*self.nodes)
    }
}

fn prefix(hash: &[u8; HASH_OCTETS]) -> u32 {
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// The upper bits of a prefix, so many of them.
fn upper(prefix: u32, bits: u32) -> usize {
    (u64::from(prefix) >> (32 - bits)) as usize
}

/// What is known about the denials that end at a node: nodes of NSEC3 records.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// Matches the closest provable encloser (RFC 5155 §1.3): the node itself, or above an unsigned delegation
    /// or an empty non-terminal that opt-out left out, the nearest name that has a record.
    pub encloser: Node<'a>,
    /// Covers the next closer name, where that is a name of the zone and so known; absent where the node itself
    /// is provable, and the next closer name is the query's.
    pub next_closer: Option<Node<'a>>,
    /// Matches or covers the wildcard below the closest provable encloser.
    pub wildcard: Node<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hash_as_rfc_5155_appendix_a_shows() {
        let parameters = Nsec3Parameters::from_rdata(&[1, 0, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd]).unwrap();
        // example. hashes to 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom in base32hex.
        let hash = parameters.hash(&[b"\x07example\0"]);
        assert_eq!(base32hex(&hash), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
    }

    fn base32hex(octets: &[u8]) -> String {
        let mut text = String::new();
        let (mut bits, mut held) = (0u32, 0);
        for &octet in octets {
            bits = bits << 8 | u32::from(octet);
            held += 8;
            while held >= 5 {
                held -= 5;
                text.push(char::from(b"0123456789abcdefghijklmnopqrstuv"[(bits >> held & 31) as usize]));
            }
        }
        text
    }

    #[test]
    fn a_chain_is_a_circle() {
        let hash = |first: u8| {
            let mut hash = [0; HASH_OCTETS];
            hash[0] = first;
            hash
        };
        let parameters = Nsec3Parameters { iterations: 0, salt: Box::default() };
        let chain = Chain::new(parameters, vec![(hash(30), 3), (hash(10), 1), (hash(20), 2)]);
        for (wanted, node) in [(5, 3), (10, 1), (15, 1), (20, 2), (29, 2), (30, 3), (255, 3)] {
            assert_eq!(chain.find(&hash(wanted)), Some(node));
        }
    }

    #[test]
    fn the_index_leads_to_every_hash_and_to_all_that_lies_between() {
        let parameters = Nsec3Parameters { iterations: 0, salt: Box::default() };
        let hashes: Vec<_> = (0..1000u32).map(|number| parameters.hash(&[&number.to_be_bytes()])).collect();
        let chain = Chain::new(parameters.clone(), hashes.iter().copied().zip(0..).collect());
        assert!(chain.starts.len() > 64, "{}", chain.starts.len());
        let mut sorted: Vec<_> = hashes.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let others = (1000..5000u32).map(|number| parameters.hash(&[&number.to_be_bytes()]));
        for wanted in hashes.iter().copied().chain(others) {
            let before = sorted.iter().rev().find(|(hash, _)| *hash <= wanted).or(sorted.last());
            assert_eq!(chain.find(&wanted), before.map(|&(_, node)| node));
        }
    }

    #[test]
    fn other_algorithms_are_not_understood() {
        assert_eq!(Nsec3Parameters::from_rdata(&[2, 0, 0, 0, 0]), None);
        assert_eq!(Nsec3Parameters::from_rdata(&[1, 0, 0, 0, 1]), None);
    }
}
