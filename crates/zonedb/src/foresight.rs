//! A look-up of many names at once, as far as it can go before the answers are written: which node each name ends at,
//! and which record denies what does not exist.
//!
//! The record that covers a missing name lies behind a search through the chain, whose every step waits for memory. So
//! the searches of a batch go step by step together ([`Approach`]): while one waits, others are on their way. Nothing
//! depends on it; an answer that was not foreseen searches by itself.

use pharos_wire::hash::HashedName;

use crate::image::{CACHE_LINE, Glimpse, Match, Node, NodeFlags, ZoneImage};
use crate::nsec;
use crate::nsec3::HASH_OCTETS;

/// What was found out about a name in its zone.
#[derive(Clone, Copy, Debug)]
pub struct Foresight {
    node: u32,
    label: u8,
    denial: Option<Sought>,
}

/// By what the record that denies a missing name is searched.
#[derive(Clone, Copy, Debug)]
enum Sought {
    /// The name's key in the chain of NSEC records.
    Nsec(u64),
    /// The hash of the next closer name (RFC 5155 §1.3).
    Nsec3([u8; HASH_OCTETS]),
}

/// The steps of a search for a record of denial, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Approach {
    /// Where in the index to look.
    Index,
    /// The entries of the index.
    Entries,
    /// Where the record is.
    Place,
    /// The record.
    Record,
}

impl Approach {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Index, Self::Entries, Self::Place, Self::Record];
}

impl Foresight {
    /// Whether a record of denial is searched, so that [`ZoneImage::approach`] is of use.
    #[inline]
    pub fn denies(&self) -> bool {
        self.denial.is_some()
    }

    /// The hash of the next closer name, where a denial needs it.
    #[inline]
    pub fn next_closer_hash(&self) -> Option<&[u8; HASH_OCTETS]> {
        match &self.denial {
            Some(Sought::Nsec3(hash)) => Some(hash),
            _ => None,
        }
    }
}

impl ZoneImage {
    /// Finds the node at which `name` ends, as [`Self::find_glimpsed`] does, and begins the search for what denies it.
    #[inline]
    pub fn foresee(&self, name: &HashedName, apex_label: usize, glimpse: Glimpse) -> Foresight {
        let found = self.find_glimpsed(name, apex_label, glimpse);
        let denial = if found.label == 0 { None } else { self.sought(name, found) };
        Foresight { node: found.node.at as u32, label: found.label as u8, denial }
    }

    /// What [`Self::find`] finds for the name that was foreseen in this image.
    #[inline]
    pub fn foreseen(&self, foresight: &Foresight) -> Match<'_> {
        Match { node: Node { image: self, at: foresight.node as usize }, label: foresight.label.into() }
    }

    fn sought(&self, name: &HashedName, Match { node, label }: Match<'_>) -> Option<Sought> {
        let flags = node.flags();
        if flags.has(NodeFlags::CUT) || flags.has(NodeFlags::DNAME) {
            return None;
        }
        match node.links() {
            Some(links) if links.next_closer.is_some() => None,
            Some(_) => Some(Sought::Nsec3(self.nsec3()?.hash(&[name.suffix(label.checked_sub(1)?)]))),
            None => {
                let denies = !self.nsec.nodes.is_empty();
                denies.then(|| Sought::Nsec(nsec::key(self.relative(name.as_wire()))))
            }
        }
    }

    /// Takes one step of the search for the record that denies a name that was foreseen in this image: loads what the
    /// next step reads.
    #[inline]
    pub fn approach(&self, foresight: &Foresight, step: Approach) {
        match (&foresight.denial, &self.nsec3) {
            (Some(Sought::Nsec(key)), _) => match step {
                Approach::Index => self.nsec.warm_keys(*key),
                Approach::Entries => {}
                Approach::Place => drop(core::hint::black_box(self.nsec.probable(*key).copied())),
                Approach::Record => self.warm_record(self.nsec.probable(*key)),
            },
            (Some(Sought::Nsec3(hash)), Some(chain)) => match step {
                Approach::Index => chain.warm_starts(hash),
                Approach::Entries => chain.warm_prefixes(hash),
                Approach::Place => drop(core::hint::black_box(chain.probable(hash).copied())),
                Approach::Record => self.warm_record(chain.probable(hash)),
            },
            _ => {}
        }
    }

    /// Loads the lines in which a node with one signed RRset lies, most of the time.
    fn warm_record(&self, node: Option<&u32>) {
        const LINES: usize = 4;
        let Some(&at) = node else { return };
        for line in 0..LINES {
            core::hint::black_box(self.arena.get(at as usize + line * CACHE_LINE).copied());
        }
    }
}
