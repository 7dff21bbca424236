//! The NSEC chain of a zone (RFC 4034 §4): the names that have a record, in canonical order.
//!
//! Names lie scattered over the arena, so a search that compared them would wait for memory at each of its steps.
//! It compares [`key`]s instead, which lie together, and looks at names only where keys are equal.

use pharos_wire::name::{Labels, canonical_order};

/// Keys of one cache line.
const LINE: usize = 8;

/// Names in canonical order with their keys.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) keys: Box<[u64]>,
    pub(crate) nodes: Box<[u32]>,
    /// The first of each [`LINE`] keys: a search reads these, of which the most looked at stay near, and one line of keys.
    firsts: Box<[u64]>,
}

impl Chain {
    /// The chain of nodes that start at these places; `name_at` tells their names, as [`Self::find`] takes them.
    pub(crate) fn new<'a>(mut nodes: Vec<u32>, name_at: impl Fn(u32) -> &'a [u8]) -> Self {
        nodes.sort_by(|&one, &other| canonical_order(name_at(one), name_at(other)));
        Self::from_parts(nodes.iter().map(|&node| key(name_at(node))).collect(), nodes.into())
    }

    /// A chain of keys in order, and the nodes that they belong to.
    pub(crate) fn from_parts(keys: Box<[u64]>, nodes: Box<[u32]>) -> Self {
        let firsts = keys.iter().step_by(LINE).copied().collect();
        Self { keys, nodes, firsts }
    }

    /// The last node in canonical order whose name does not come after `name`, which is in lower case and lacks the
    /// apex.
    pub(crate) fn find<'a>(&self, name: &[u8], name_at: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let wanted = key(name);
        let mut after = self.after(wanted);
        if self.keys.get(after) == Some(&wanted) {
            let equal = self.keys.get(after..)?.partition_point(|&held| held == wanted);
            let nodes = self.nodes.get(after..after + equal)?;
            after += nodes.partition_point(|&node| canonical_order(name_at(node), name).is_le());
        }
        self.nodes.get(after.checked_sub(1)?).copied()
    }

    /// Where in the chain a key's place begins among [`LINE`] others.
    fn line(&self, wanted: u64) -> usize {
        self.firsts.partition_point(|&first| first < wanted).saturating_sub(1) * LINE
    }

    /// How many keys are less than this one.
    fn after(&self, wanted: u64) -> usize {
        let start = self.line(wanted);
        let line = self.keys.get(start..).unwrap_or_default();
        let line = line.get(..LINE).unwrap_or(line);
        start + line.partition_point(|&held| held < wanted)
    }

    /// Loads the keys among which the place of this one is.
    pub(crate) fn warm_keys(&self, wanted: u64) {
        core::hint::black_box(self.keys.get(self.line(wanted)).copied());
    }

    /// The node that [`Self::find`] finds for a name with this key, as long as no name of the chain has the same one.
    pub(crate) fn probable(&self, wanted: u64) -> Option<&u32> {
        self.nodes.get(self.after(wanted).saturating_sub(1))
    }

    pub(crate) fn octets(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.nodes) + size_of_val(&*self.firsts)
    }
}

/// Octets of a key.
const KEY: usize = 8;
/// Labels that a key can reach into: each takes two octets at least.
const REACHED: usize = KEY / 2;

/// A number for a name in lower case, without a root label, that is never greater than that of a name which comes later
/// in canonical order (RFC 4034 §6.1): its labels from the right, a zero behind each, as far as they have room. So that
/// nothing else is zero, a zero within a label becomes 1 1, and a one becomes 1 2.
pub(crate) fn key(name: &[u8]) -> u64 {
    let mut last: [&[u8]; REACHED] = [&[]; REACHED];
    for label in Labels::new(name) {
        last = [label, last[0], last[1], last[2]];
    }
    let (mut key, mut room) = (0u64, KEY);
    let mut push = |octet: u8| {
        if let Some(left) = room.checked_sub(1) {
            key |= u64::from(octet) << (8 * left);
            room = left;
        }
        room > 0
    };
    for label in last.into_iter().take_while(|label| !label.is_empty()) {
        for &octet in label {
            let more = if octet > 1 { push(octet) } else { push(1) && push(octet + 1) };
            if !more {
                return key;
            }
        }
        if !push(0) {
            return key;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names without an apex, in canonical order.
    const ORDERED: [&[u8]; 14] = [
        b"",
        b"\x01\0",
        b"\x01a\x01\0",
        b"\x02\0\0",
        b"\x01\x01",
        b"\x01*",
        b"\x01a",
        b"\x01\0\x01a",
        b"\x01b\x01a",
        b"\x01c\x01b\x01a",
        b"\x01d\x01c\x01b\x01a",
        b"\x01e\x01d\x01c\x01b\x01a",
        b"\x0aabcdefghij",
        b"\x0aabcdefghik",
    ];

    #[test]
    fn keys_never_contradict_the_canonical_order() {
        for pair in ORDERED.windows(2) {
            assert!(canonical_order(pair[0], pair[1]).is_lt(), "{pair:?}");
            assert!(key(pair[0]) <= key(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn the_name_itself_or_the_one_before_it_is_found() {
        // Every other name is in the chain; a node's start is its index.
        let name_at = |node: u32| ORDERED[node as usize];
        let chain =
            Chain::new((0..ORDERED.len() as u32).rev().filter(|node| node % 2 == 0).collect(), name_at);
        for (index, name) in ORDERED.iter().enumerate() {
            assert_eq!(chain.find(name, name_at), Some(index as u32 & !1), "{name:?}");
        }
    }

    #[test]
    fn nothing_comes_before_the_first_and_an_empty_chain_has_nothing() {
        let name_at = |_| &b"\x01b"[..];
        assert_eq!(Chain::new(vec![7], name_at).find(b"\x01a", name_at), None);
        assert_eq!(Chain::new(vec![7], name_at).find(b"\x01b", name_at), Some(7));
        assert_eq!(Chain::default().find(b"\x01a", name_at), None);
    }
}
