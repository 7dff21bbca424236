//! Which NSEC or NSEC3 records prove a denial (RFC 4035 §3.1.3, RFC 5155 §7.2), and that none is told twice.
//!
//! A wildcard or an alias may need its proof long before the authority section is written, and in another zone
//! than the one that ends the chain, so proofs are gathered first and written together.
//!
//! With NSEC3 all is known from the closest encloser's links, but for the hash of the next closer name.

use pharos_wire::Rtype;
use pharos_wire::hash::HashedName;
use pharos_wire::name::MAX_OCTETS;
use pharos_zonedb::nsec3::{HASH_OCTETS, Links};
use pharos_zonedb::{Node, ZoneImage};

use crate::observe::{Proves, Subject};
use crate::resolve::MAX_ALIASES;

/// A wildcard on each link of a chain, and three more for the denial that ends it.
const MAX_PROOFS: usize = MAX_ALIASES + 3;

/// The nodes whose NSEC or NSEC3 records belong into the reply.
pub(crate) struct Proofs<'s> {
    /// None before the first one: most replies prove nothing, and need not pay for the room.
    nodes: Option<[Option<Node<'s>>; MAX_PROOFS]>,
    count: usize,
}

/// A name that does not exist in a zone, and where it ends.
#[derive(Clone, Copy)]
pub(crate) struct Missing<'s, 'n> {
    pub(crate) image: &'s ZoneImage,
    pub(crate) name: &'n HashedName,
    /// Its closest encloser.
    pub(crate) encloser: Node<'s>,
    /// The label at which the closest encloser starts.
    pub(crate) label: usize,
    /// The hash of the next closer name, if it is known already.
    pub(crate) hash: Option<&'n [u8; HASH_OCTETS]>,
}

impl<'s> Proofs<'s> {
    pub(crate) const fn none() -> Self {
        Self { nodes: None, count: 0 }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'s>> + '_ {
        self.nodes.iter().flatten().take(self.count).flatten().copied()
    }

    /// The name does not exist, nor does a wildcard that could have stood for it (RFC 4035 §3.1.3.2, RFC 5155
    /// §7.2.2).
    pub(crate) fn no_name(&mut self, missing: Missing<'s, '_>, tell: &mut impl Tell<'s>) {
        let (image, wildcard_of) = (missing.image, Subject::WildcardBelow(missing.label));
        if let Some(links) = missing.encloser.links() {
            self.add(links.encloser, Proves::Encloser, Subject::Suffix(missing.label), tell);
            self.next_closer(missing, links, tell);
            self.add(links.wildcard, Proves::NoWildcard, wildcard_of, tell);
            return;
        }
        self.covering(
            image,
            image.relative(missing.name.as_wire()),
            Proves::NoName,
            Subject::Suffix(0),
            tell,
        );
        let encloser = missing.encloser.name();
        let mut wildcard = [0; MAX_OCTETS];
        if let Some(room) = wildcard.get_mut(..encloser.len() + 2) {
            room[..2].copy_from_slice(b"\x01*");
            room[2..].copy_from_slice(encloser);
            self.covering(image, room, Proves::NoWildcard, wildcard_of, tell);
        }
    }

    /// The node, which is that of the subject, exists without the type (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3). An empty
    /// non-terminal has no NSEC record; the one that covers it shows that it has no types. What opt-out left without
    /// an NSEC3 record is covered as the next closer name of an encloser that has one (RFC 5155 §7.2.4).
    pub(crate) fn no_type(
        &mut self,
        image: &'s ZoneImage,
        node: Node<'s>,
        of: Subject,
        tell: &mut impl Tell<'s>,
    ) {
        if let Some(links) = node.links() {
            match links.next_closer {
                None => self.add(links.encloser, Proves::NoType, of, tell),
                Some(next_closer) => {
                    self.add(links.encloser, Proves::Encloser, of, tell);
                    self.add(next_closer, Proves::NextCloser, of, tell);
                }
            }
        } else if node.rrset(Rtype::NSEC).is_some() {
            self.add(node, Proves::NoType, of, tell);
        } else {
            self.covering(image, node.name(), Proves::Empty, of, tell);
        }
    }

    /// The name does not exist; a wildcard stands for it (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    pub(crate) fn expanded(&mut self, missing: Missing<'s, '_>, tell: &mut impl Tell<'s>) {
        match missing.encloser.links() {
            Some(links) => self.next_closer(missing, links, tell),
            None => {
                let name = missing.image.relative(missing.name.as_wire());
                self.covering(missing.image, name, Proves::NoName, Subject::Suffix(0), tell);
            }
        }
    }

    /// The wildcard that stands for the name, below its closest encloser at `label`, lacks the type (RFC 4035
    /// §3.1.3.4, RFC 5155 §7.2.5). That the name itself does not exist was proved when the wildcard was found.
    pub(crate) fn no_type_at_wildcard(
        &mut self,
        image: &'s ZoneImage,
        encloser: Node<'s>,
        wildcard: Node<'s>,
        label: usize,
        tell: &mut impl Tell<'s>,
    ) {
        if let Some(links) = encloser.links() {
            self.add(links.encloser, Proves::Encloser, Subject::Suffix(label), tell);
        }
        self.no_type(image, wildcard, Subject::WildcardBelow(label), tell);
    }

    fn next_closer(&mut self, missing: Missing<'s, '_>, links: Links<'s>, tell: &mut impl Tell<'s>) {
        let covering = links.next_closer.or_else(|| match missing.hash {
            Some(hash) => missing.image.nsec3_for(hash),
            None => {
                let next_closer = missing.name.suffix(missing.label.checked_sub(1)?);
                missing.image.nsec3_for(&missing.image.nsec3()?.hash(&[next_closer]))
            }
        });
        if let Some(node) = covering {
            self.add(node, Proves::NextCloser, Subject::Suffix(missing.label), tell);
        }
    }

    fn covering(
        &mut self,
        image: &'s ZoneImage,
        name: &[u8],
        proves: Proves,
        of: Subject,
        tell: &mut impl Tell<'s>,
    ) {
        if let Some(node) = image.nsec_for(name) {
            self.add(node, proves, of, tell);
        }
    }

    fn add(&mut self, node: Node<'s>, proves: Proves, of: Subject, tell: &mut impl Tell<'s>) {
        tell(node, proves, of);
        if self.nodes().any(|known| known == node) {
            return;
        }
        if let Some(slot) = self.nodes.get_or_insert([None; MAX_PROOFS]).get_mut(self.count) {
            *slot = Some(node);
            self.count += 1;
        }
    }
}

/// Hears of each record that is needed, with the reason.
pub(crate) trait Tell<'s>: FnMut(Node<'s>, Proves, Subject) {}

impl<'s, F: FnMut(Node<'s>, Proves, Subject)> Tell<'s> for F {}
