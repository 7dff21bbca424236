//! The NSEC3 chains of a zone, and what one says about each name of the zone.
//!
//! Owners of NSEC3 records are hashes, not names of the zone (RFC 5155 §7.2.8): they are kept out of look-ups. For
//! each name that look-ups can meet, the records are found here that will deny what is at or below it. A zone has
//! several chains during a change of their parameters; [`crate::dnssec`] says which of them is whole.

use std::num::NonZeroUsize;

use pharos_wire::{Rtype, name};
use pharos_zonedb::build::{LinksSpec, NodeId};
use pharos_zonedb::nsec3::{HASH_OCTETS, Nsec3Parameters};

use crate::dnssec::spread::spread;
use crate::scan::Place;
use crate::tree::{APEX, NodeIndex, Standing, Tree};

pub(crate) type Hash = [u8; HASH_OCTETS];

/// All NSEC3 records with the same parameters.
pub(crate) struct Nsec3Chain {
    pub(crate) parameters: Nsec3Parameters,
    /// In the order of hashes.
    members: Vec<(Hash, NodeIndex)>,
    /// For each node of the tree how it meets the chain.
    met: Vec<Met>,
    /// Numbers of nodes from here on are those of NSEC3 records.
    first_id: u32,
}

/// How a name meets a chain: by the index of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Met {
    /// This one stands for it.
    Matches(u32),
    /// None stands for it, and this one covers it.
    Covered(u32),
    /// It has no hash: it is never denied, or there is no member.
    Not,
}

impl Nsec3Chain {
    /// The first chain that is of use, of a zone that was not judged: an apex without a record proves nothing.
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let (parameters, _) = listed(tree).next()?;
        let chain = Self::build(tree, parameters, NonZeroUsize::MIN);
        matches!(chain.met(APEX), Met::Matches(_)).then_some(chain)
    }

    /// The records with these parameters, whether they make a whole chain or not. Names are hashed on so many threads.
    pub(crate) fn build(tree: &Tree, parameters: Nsec3Parameters, threads: NonZeroUsize) -> Self {
        let is_member = |node: &NodeIndex| {
            let mut records = tree.of_type(*node, Rtype::NSEC3);
            records.any(|record| Nsec3Parameters::from_rdata(record.rdata).as_ref() == Some(&parameters))
        };
        let mut members: Vec<(Hash, NodeIndex)> = tree
            .nodes()
            .filter(is_member)
            .filter_map(|node| Some((owner_hash(tree.owner(node))?, node)))
            .collect();
        members.sort_unstable_by_key(|&(hash, _)| hash);
        let first_id = tree.node_count() as u32;
        let mut chain = Self { parameters, members, met: Vec::new(), first_id };
        let parts = spread(
            tree.node_count(),
            threads,
            Vec::new,
            |met: &mut Vec<(usize, Met)>, range| met.extend(range.map(|at| (at, chain.meet(tree, at)))),
            &mut || (),
        );
        let mut met = vec![Met::Not; tree.node_count()];
        for (at, how) in parts.into_iter().flatten() {
            met[at] = how;
        }
        chain.met = met;
        chain
    }

    fn meet(&self, tree: &Tree, at: usize) -> Met {
        let node = NodeIndex(at as u32);
        if matches!(tree.standing(node), Standing::Occluded(_)) || is_hash_owner(tree, node) {
            return Met::Not;
        }
        let hash = self.hash(&[tree.owner(node)]);
        match self.index(&hash) {
            Some(index) if self.members[index].0 == hash => Met::Matches(index as u32),
            Some(index) => Met::Covered(index as u32),
            None => Met::Not,
        }
    }

    /// The members with the hash that each stands for and its number in the image.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = (Hash, NodeIndex, NodeId)> + '_ {
        self.members.iter().map(|&(hash, node)| (hash, node, self.id(node)))
    }

    /// The node of the member with this index.
    pub(crate) fn member(&self, index: u32) -> NodeIndex {
        self.members[index as usize].1
    }

    pub(crate) fn met(&self, node: NodeIndex) -> Met {
        self.met[node.0 as usize]
    }

    /// What denies names at and below `node`, which look-ups can meet.
    pub(crate) fn links(&self, tree: &Tree, node: NodeIndex) -> Option<LinksSpec> {
        let (mut encloser, mut next_closer) = (node, None);
        let matching = loop {
            match self.met(encloser) {
                Met::Matches(member) => break member,
                Met::Covered(member) => next_closer = Some(self.id(self.member(member))),
                Met::Not => return None,
            }
            encloser = tree.parent(encloser)?;
        };
        let wildcard = self.index(&self.hash(&[b"\x01*", tree.owner(encloser)]))?;
        Some(LinksSpec {
            encloser: self.id(self.member(matching)),
            next_closer,
            wildcard: self.id(self.member(wildcard as u32)),
        })
    }

    fn hash(&self, name: &[&[u8]]) -> Hash {
        self.parameters.hash(name)
    }

    fn id(&self, node: NodeIndex) -> NodeId {
        NodeId(self.first_id + node.0)
    }

    /// The member that matches or covers a hash.
    fn index(&self, hash: &Hash) -> Option<usize> {
        let after = self.members.partition_point(|(held, _)| held <= hash);
        after.checked_sub(1).or_else(|| self.members.len().checked_sub(1))
    }
}

/// The chains that NSEC3PARAM records say are whole, in the order of the file, and where they say so. Flags other than
/// zero mean a chain that is being built or taken down (RFC 5155 §4.1.2).
pub(crate) fn listed(tree: &Tree) -> impl Iterator<Item = (Nsec3Parameters, Place)> {
    tree.of_type(APEX, Rtype::NSEC3PARAM)
        .filter(|record| record.rdata.get(1) == Some(&0))
        .filter_map(|record| Some((Nsec3Parameters::from_rdata(record.rdata)?, record.place)))
}

/// Whether a node is there for its NSEC3 records alone: it is no name of the zone, and look-ups do not meet it (RFC 5155
/// §7.2.8). With names below it, it is an empty non-terminal, too, and has a hash of its own.
pub(crate) fn is_hash_owner(tree: &Tree, node: NodeIndex) -> bool {
    !tree.has_children(node) && holds_hashes_only(tree, node)
}

/// Whether a node has nothing but NSEC3 records and their signatures.
pub(crate) fn holds_hashes_only(tree: &Tree, node: NodeIndex) -> bool {
    tree.has(node, Rtype::NSEC3)
        && tree.records(node).all(|record| matches!(record.rtype, Rtype::NSEC3 | Rtype::RRSIG))
}

/// The hash that an NSEC3 record's owner stands for: its first label in base32hex (RFC 5155 §3, RFC 4648 §7).
pub(crate) fn owner_hash(owner: &[u8]) -> Option<Hash> {
    let label = name::Labels::new(owner).next().filter(|label| label.len() == HASH_OCTETS * 8 / 5)?;
    let mut hash = [0; HASH_OCTETS];
    let (mut bits, mut held, mut at) = (0u32, 0, 0);
    for digit in label {
        let value = match digit.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'v' => digit - b'a' + 10,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            *hash.get_mut(at)? = (bits >> held) as u8;
            at += 1;
        }
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_stands_for_its_hash() {
        // RFC 5155 appendix A: H(example) = 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.
        let hash = owner_hash(b"\x200P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM\x07example\0").unwrap();
        let parameters = Nsec3Parameters::from_rdata(&[1, 0, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd]).unwrap();
        assert_eq!(hash, parameters.hash(&[b"\x07example\0"]));
        assert_eq!(owner_hash(b"\x03www\x07example\0"), None);
        assert_eq!(owner_hash(b"\x200P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOX\x07example\0"), None);
    }
}
