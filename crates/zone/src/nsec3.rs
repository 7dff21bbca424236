//! The NSEC3 chain of a zone that is being compiled, and what it says about each name of the zone.
//!
//! Owners of NSEC3 records are hashes, not names of the zone (RFC 5155 §7.2.8): they are kept out of look-ups. For
//! each name that look-ups can meet, the records are found here that will deny what is at or below it.

use pharos_wire::{Rtype, name};
use pharos_zonedb::build::{LinksSpec, NodeId};
use pharos_zonedb::nsec3::{HASH_OCTETS, Nsec3Parameters};

use crate::tree::{APEX, NodeIndex, Tree};

type Hash = [u8; HASH_OCTETS];

/// The chain that the zone's NSEC3PARAM record names.
pub(crate) struct Nsec3Chain {
    pub(crate) parameters: Nsec3Parameters,
    /// In the order of hashes.
    members: Vec<(Hash, NodeIndex)>,
    /// For each node of the tree the index of the member that matches it.
    matching: Vec<Option<u32>>,
    /// Numbers of nodes from here on are those of NSEC3 records.
    first_id: u32,
}

impl Nsec3Chain {
    /// The chain, if the zone has one that is of use: an apex without a record proves nothing.
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let parameters = tree.of_type(APEX, Rtype::NSEC3PARAM).find_map(|record| {
            // Flags other than zero mean a chain that is being built or taken down (RFC 5155 §4.1.2).
            let settled = record.rdata.get(1) == Some(&0);
            Nsec3Parameters::from_rdata(record.rdata).filter(|_| settled)
        })?;
        let mut members: Vec<(Hash, NodeIndex)> = tree
            .nodes()
            .filter(|&node| {
                let mut records = tree.of_type(node, Rtype::NSEC3);
                records.any(|record| Nsec3Parameters::from_rdata(record.rdata).as_ref() == Some(&parameters))
            })
            .filter_map(|node| Some((owner_hash(tree.owner(node))?, node)))
            .collect();
        members.sort_unstable_by_key(|&(hash, _)| hash);
        let mut chain =
            Self { parameters, members, matching: Vec::new(), first_id: tree.node_count() as u32 };
        chain.matching =
            tree.nodes()
                .map(|node| {
                    if is_hash_owner(tree, node) {
                        None
                    } else {
                        chain.exact(&chain.hash(&[tree.owner(node)]))
                    }
                })
                .collect();
        chain.matching.first()?.map(|_| chain)
    }

    /// The members with the hash that each stands for and its number in the image.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Hash, NodeIndex, NodeId)> + '_ {
        self.members.iter().map(|&(hash, node)| (hash, node, self.id(node)))
    }

    /// What denies names at and below `node`, which look-ups can meet.
    pub(crate) fn links(&self, tree: &Tree, node: NodeIndex) -> Option<LinksSpec> {
        let (mut encloser, mut below) = (node, None);
        let matching = loop {
            if let Some(member) = self.matching[encloser.0 as usize] {
                break member;
            }
            below = Some(encloser);
            encloser = tree.parent(encloser)?;
        };
        let wildcard = self.find(&self.hash(&[b"\x01*", tree.owner(encloser)]))?;
        let next_closer = match below {
            Some(below) => Some(self.id(self.find(&self.hash(&[tree.owner(below)]))?)),
            None => None,
        };
        let encloser = self.id(self.members.get(matching as usize)?.1);
        Some(LinksSpec { encloser, next_closer, wildcard: self.id(wildcard) })
    }

    fn hash(&self, name: &[&[u8]]) -> Hash {
        self.parameters.hash(name)
    }

    fn id(&self, node: NodeIndex) -> NodeId {
        NodeId(self.first_id + node.0)
    }

    fn exact(&self, hash: &Hash) -> Option<u32> {
        self.members.binary_search_by_key(hash, |&(held, _)| held).ok().map(|index| index as u32)
    }

    /// The member that matches or covers a hash.
    fn find(&self, hash: &Hash) -> Option<NodeIndex> {
        let after = self.members.partition_point(|(held, _)| held <= hash);
        let index = after.checked_sub(1).unwrap_or(self.members.len().checked_sub(1)?);
        self.members.get(index).map(|&(_, node)| node)
    }
}

/// Whether a node has nothing but NSEC3 records and their signatures.
pub(crate) fn is_hash_owner(tree: &Tree, node: NodeIndex) -> bool {
    tree.has(node, Rtype::NSEC3)
        && tree.records(node).all(|record| matches!(record.rtype, Rtype::NSEC3 | Rtype::RRSIG))
}

/// The hash that an NSEC3 record's owner stands for: its first label in base32hex (RFC 5155 §3, RFC 4648 §7).
fn owner_hash(owner: &[u8]) -> Option<Hash> {
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
