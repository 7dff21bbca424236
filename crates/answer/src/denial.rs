//! Which NSEC records prove a denial (RFC 4035 §3.1.3), and that none is told twice.
//!
//! A wildcard or an alias may need its proof long before the authority section is written, and in another zone
//! than the one that ends the chain, so proofs are gathered first and written together.

use pharos_wire::Rtype;
use pharos_wire::name::MAX_OCTETS;
use pharos_zonedb::{Node, ZoneImage};

use crate::resolve::MAX_ALIASES;

/// A wildcard on each link of a chain, and two more for the denial that ends it.
const MAX_PROOFS: usize = MAX_ALIASES + 3;

/// The nodes whose NSEC records belong into the reply.
pub(crate) struct Proofs<'s> {
    nodes: [Option<Node<'s>>; MAX_PROOFS],
    count: usize,
}

impl<'s> Proofs<'s> {
    pub(crate) const fn none() -> Self {
        Self { nodes: [None; MAX_PROOFS], count: 0 }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'s>> + '_ {
        self.nodes.iter().take(self.count).flatten().copied()
    }

    /// The name does not exist: what covers it, and what covers the wildcard that could have stood for it
    /// (RFC 4035 §3.1.3.2). Both are relative to the apex.
    pub(crate) fn no_name(&mut self, image: &'s ZoneImage, name: &[u8], encloser: &[u8]) {
        self.covering(image, name);
        let mut wildcard = [0; MAX_OCTETS];
        if let Some(room) = wildcard.get_mut(..encloser.len() + 2) {
            room[..2].copy_from_slice(b"\x01*");
            room[2..].copy_from_slice(encloser);
            self.covering(image, room);
        }
    }

    /// The node exists, or its wildcard does, without the type (RFC 4035 §3.1.3.1, §3.1.3.4). An empty
    /// non-terminal has no NSEC record; the one that covers it shows that it has no types.
    pub(crate) fn no_type(&mut self, image: &'s ZoneImage, node: Node<'s>) {
        if node.rrset(Rtype::NSEC).is_some() {
            self.add(node);
        } else {
            self.covering(image, node.name());
        }
    }

    /// The name does not exist; a wildcard stands for it (RFC 4035 §3.1.3.3).
    pub(crate) fn covering(&mut self, image: &'s ZoneImage, name: &[u8]) {
        if let Some(node) = image.nsec_for(name) {
            self.add(node);
        }
    }

    fn add(&mut self, node: Node<'s>) {
        if self.nodes().any(|known| known == node) {
            return;
        }
        if let Some(slot) = self.nodes.get_mut(self.count) {
            *slot = Some(node);
            self.count += 1;
        }
    }
}
