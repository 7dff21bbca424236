//! What has gone into the additional section on the way from one RRset to the next: HTTPS to HTTPS to addresses (RFC
//! 9460 §4.1), NAPTR to SRV to addresses (RFC 3403 §4.2).
//!
//! Zones may lead in circles, and two ways may lead to the same addresses: nothing is told twice, and the way ends
//! where [`MOST`] RRsets were told. Used by [`crate::resolve`].

use pharos_zonedb::image::NodeFlags;
use pharos_zonedb::{Node, RrSet};

use crate::reply::Reply;
use crate::resolve::MAX_ALIASES;

/// RRsets that are kept in mind for one reply, the answer's among them. What an answer leads to directly is told
/// beyond this number too, as far as it fits; nothing is followed from there.
const MOST: usize = 32;

/// An RRset in the reply.
#[derive(Clone, Copy)]
pub(crate) struct Here<'s> {
    pub(crate) rrset: RrSet<'s>,
    /// None for the answer's own.
    node: Option<Node<'s>>,
    /// Where its owner's name stands.
    pub(crate) owner: usize,
    /// Where it starts.
    pub(crate) start: usize,
}

/// The answer's RRset and what went along, in the order in which they were told.
pub(crate) struct Told<'s> {
    sets: [Option<Here<'s>>; MOST],
    count: usize,
}

impl<'s> Told<'s> {
    /// The answer alone.
    pub(crate) fn answer(rrset: RrSet<'s>, owner: usize, start: usize) -> Self {
        let mut sets = [None; MOST];
        sets[0] = Some(Here { rrset, node: None, owner, start });
        Self { sets, count: 1 }
    }

    /// The RRset told as the one of this number, from which the way goes on.
    pub(crate) fn to_follow(&self, at: usize) -> Option<Here<'s>> {
        // With no room left to keep more in mind, circles could not be seen.
        let goes_on = at == 0 || self.count < MOST;
        self.sets.get(at).copied().flatten().filter(|_| goes_on)
    }

    /// Whether an RRset was told under the name that stands at `place`. At a wildcard, and only there, one RRset has
    /// many names.
    pub(crate) fn has(&self, rrset: &RrSet<'s>, node: Node<'s>, place: usize, reply: &Reply<'_, '_>) -> bool {
        let expands = node.flags().has(NodeFlags::WILDCARD);
        self.sets
            .iter()
            .flatten()
            .any(|here| here.rrset == *rrset && (!expands || same_name(reply.written(), here.owner, place)))
    }

    /// Keeps in mind that an RRset went along.
    pub(crate) fn add(&mut self, rrset: RrSet<'s>, node: Node<'s>, owner: usize, start: usize) {
        if let Some(room) = self.sets.get_mut(self.count) {
            *room = Some(Here { rrset, node: Some(node), owner, start });
            self.count += 1;
        }
    }

    /// What went along, as far as it was kept in mind: each with its node and where its owner's name stands.
    pub(crate) fn added(&self) -> impl Iterator<Item = (Node<'s>, RrSet<'s>, usize)> {
        self.sets
            .iter()
            .take(self.count)
            .flatten()
            .filter_map(|here| Some((here.node?, here.rrset, here.owner)))
    }
}

/// Whether the same name stands at both places of a reply.
fn same_name(reply: &[u8], mut one: usize, mut other: usize) -> bool {
    // No name has more labels (RFC 1035 §3.1).
    for _ in 0..=127 {
        let (Some((label, next)), Some((other_label, other_next))) = (label(reply, one), label(reply, other))
        else {
            return false;
        };
        if !label.eq_ignore_ascii_case(other_label) {
            return false;
        }
        if label.is_empty() {
            return true;
        }
        (one, other) = (next, other_next);
    }
    false
}

/// The label at some place of a reply, and the place of the next one.
fn label(reply: &[u8], mut at: usize) -> Option<(&[u8], usize)> {
    // Pointers lead to what stands before them; each alias may add one.
    for _ in 0..=MAX_ALIASES {
        match *reply.get(at)? {
            octets @ 0..=63 => {
                let next = at + 1 + usize::from(octets);
                return Some((reply.get(at + 1..next)?, next));
            }
            high => at = usize::from(high & 0x3f) << 8 | usize::from(*reply.get(at + 1)?),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_however_they_are_compressed() {
        let reply = b"\x01a\x01B\0\x01A\xc0\x02\x01b\xc0\x02\xc0\x05\xc0\xff";
        for (one, other, same) in [(0, 5, true), (0, 13, true), (5, 13, true), (0, 9, false), (2, 0, false)] {
            assert_eq!(same_name(reply, one, other), same, "{one} {other}");
        }
        // What is no name is like nothing.
        assert!(!same_name(reply, 15, 15) && !same_name(reply, 0, 99));
    }
}
