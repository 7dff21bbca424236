//! The records of one zone by owner: what the checks judge and what becomes an image.
//!
//! Records come in the order of the file and are grouped by a hash of their owner, so that nothing is sorted.
//! Every name between an owner and the apex gets a node too (an empty non-terminal, RFC 4592 §2.2.2), and
//! each node knows its parent. [`Tree::settle`] then says for each node what it is: authoritative, a zone
//! cut, or below a cut or a DNAME and so occluded (RFC 2136 §7.18; RFC 6672 §2.4).
//!
//! Called by [`crate::load`]; read by [`crate::check`] and [`crate::compile`].

use pharos_wire::hash::{HashKey, HashedName};
use pharos_wire::{Name, Rtype, name};

use crate::scan::{Place, Record};

/// Index of a node in the tree; the apex is [`APEX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeIndex(pub(crate) u32);

/// The node of the zone's own name; it always exists.
pub(crate) const APEX: NodeIndex = NodeIndex(0);

/// The end of a list of records, and a free slot of the table.
const NONE: u32 = u32::MAX;

/// More nodes are not made; all owners that are staged still fit, with all names between them and the apex.
const MAX_NODES: usize = NONE as usize - STAGED * 128;

/// Octets of a zone file for each name, rather too many than too few: what the table is sized by. A file that
/// has more names makes it grow; one that has fewer wastes a few octets for each that it is long.
const OCTETS_PER_NAME: usize = 32;

/// What a node is in the zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Answers come from here.
    Authoritative,
    /// NS below the apex: referrals come from here.
    Cut,
    /// Below this cut or DNAME; no look-up ends here.
    Occluded(NodeIndex),
}

/// A record of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeRecord<'a> {
    pub(crate) rtype: Rtype,
    pub(crate) ttl: u32,
    pub(crate) rdata: &'a [u8],
    pub(crate) place: Place,
    /// The node of the name in it that [`target_offset`] finds, if the zone has that name.
    pub(crate) target: Option<NodeIndex>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    hash: u64,
    owner: usize,
    owner_octets: u8,
    parent: u32,
    first: u32,
    last: u32,
    standing: Standing,
    /// Which of [`NOTED`] it has.
    noted: u8,
    /// Whether there are names below it.
    has_children: bool,
}

/// The types that are asked for at every node: each has a bit, so that no record need be read for the answer.
const NOTED: [Rtype; 8] =
    [Rtype::NS, Rtype::DNAME, Rtype::CNAME, Rtype::A, Rtype::AAAA, Rtype::SOA, Rtype::RRSIG, Rtype::DS];

fn noted(rtype: Rtype) -> Option<u8> {
    NOTED.iter().position(|&known| known == rtype).map(|at| 1 << at)
}

/// A slot of the table. With some of the hash beside the number, names that only share a slot are passed over
/// without a look at their nodes, each of which would be a wait for memory.
#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    node: u32,
}

const FREE: Slot = Slot { tag: 0, node: NONE };

/// The half of the hash that does not choose the slot of any but the largest tables.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    next: u32,
    rtype: Rtype,
    rdata_octets: u16,
    ttl: u32,
    rdata: usize,
    place: Place,
}

/// Owners that wait for their nodes together: enough that their waits for memory overlap, few enough that what
/// one of them has fetched is still in the first-level cache when its turn comes.
const STAGED: usize = 64;

/// An owner whose node is yet to be found or made, with the list of the records that came with it.
#[derive(Clone, Copy, Debug)]
struct Staged {
    hash: u64,
    parent_hash: u64,
    /// Where its name starts in [`Tree::staged_names`].
    name: usize,
    name_octets: u8,
    noted: u8,
    first: u32,
    last: u32,
}

/// Why a record does not belong into the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Misfit {
    /// Its owner is neither the apex nor below it.
    OutOfZone,
    /// The zone has more than four billion records or names.
    TooMany,
}

/// All records of one zone.
pub(crate) struct Tree {
    key: HashKey,
    apex: Name,
    apex_labels: usize,
    /// Owners, in lower case, and rdata.
    octets: Vec<u8>,
    nodes: Vec<Node>,
    records: Vec<Stored>,
    table: Vec<Slot>,
    /// For each record the node that its rdata lead to, or [`NONE`].
    targets: Vec<u32>,
    hashed: HashedName,
    /// Owners without nodes yet, and their names in lower case.
    staged: Vec<Staged>,
    staged_names: Vec<u8>,
    /// Owner of the record that came last, as it was written: the next one often has the same.
    last_owner: Vec<u8>,
}

impl Tree {
    /// An empty tree for a zone of some file, of whose length the room for its names follows.
    pub(crate) fn new(apex: &Name, key: HashKey, file_octets: usize) -> Self {
        let names = file_octets / OCTETS_PER_NAME;
        let mut tree = Self {
            key,
            apex: apex.to_folded(),
            apex_labels: apex.labels().count(),
            octets: Vec::new(),
            nodes: Vec::new(),
            records: Vec::new(),
            table: vec![FREE; (names * 2).next_power_of_two().max(64)],
            hashed: HashedName::default(),
            targets: Vec::new(),
            staged: Vec::with_capacity(STAGED),
            staged_names: Vec::new(),
            last_owner: Vec::new(),
        };
        // A `Name` is a name, so this cannot fail.
        let _ = tree.hashed.set(apex.as_wire());
        tree.hashed.hash(key);
        tree.append(tree.hashed.suffix_hash(0), apex.to_folded().as_wire(), NONE);
        tree
    }

    /// Takes one record.
    pub(crate) fn insert(&mut self, record: &Record<'_>) -> Result<(), Misfit> {
        let again = record.owner == self.last_owner;
        if !again {
            if self.staged.len() == STAGED {
                self.flush();
            }
            let within = name::is_within(record.owner, self.apex.as_wire());
            if !within || self.hashed.set(record.owner).is_err() {
                return Err(Misfit::OutOfZone);
            }
        }
        let index = u32::try_from(self.records.len()).ok().filter(|&n| n != NONE).ok_or(Misfit::TooMany)?;
        if self.nodes.len() >= MAX_NODES {
            return Err(Misfit::TooMany);
        }
        self.records.push(Stored {
            next: NONE,
            rtype: Rtype(record.rtype),
            rdata_octets: record.rdata.len() as u16,
            ttl: record.ttl,
            rdata: self.octets.len(),
            place: record.place,
        });
        self.octets.extend(record.rdata);
        let noted = noted(Rtype(record.rtype)).unwrap_or(0);
        if again && let Some(staged) = self.staged.last_mut() {
            self.records[staged.last as usize].next = index;
            (staged.last, staged.noted) = (index, staged.noted | noted);
            return Ok(());
        }
        self.stage(record.owner, index, noted);
        Ok(())
    }

    /// Decides the standing of every node; to be called once all records are in.
    pub(crate) fn settle(&mut self) {
        self.flush();
        self.resolve();
        for at in 0..self.nodes.len() {
            let mut standing = if at != 0 && self.has(NodeIndex(at as u32), Rtype::NS) {
                Standing::Cut
            } else {
                Standing::Authoritative
            };
            // The highest cut above the node is the one that look-ups meet.
            let mut above = self.nodes[at].parent;
            if above != NONE {
                self.nodes[above as usize].has_children = true;
            }
            while above != NONE {
                if self.stops_lookups(NodeIndex(above)) {
                    standing = Standing::Occluded(NodeIndex(above));
                }
                above = self.nodes[above as usize].parent;
            }
            self.nodes[at].standing = standing;
        }
    }

    /// Finds the nodes that rdata lead to, by dozens like those of owners.
    fn resolve(&mut self) {
        self.targets = vec![NONE; self.records.len()];
        let mask = self.table.len() - 1;
        // Record, hash, and where its name stands.
        let mut sought: Vec<(usize, u64, std::ops::Range<usize>)> = Vec::with_capacity(STAGED);
        for at in 0..self.records.len() {
            let stored = &self.records[at];
            let (start, end) = (stored.rdata, stored.rdata + usize::from(stored.rdata_octets));
            if let Some(offset) = target_offset(stored.rtype, &self.octets[start..end])
                && let Some(wire) = self.octets[start..end].get(offset..)
                && let Ok(octets) = self.hashed.set(wire)
                // `.` says that there is no target, or that it is the owner itself (RFC 9460 §2.5).
                && octets > 1
            {
                self.hashed.hash(self.key);
                let name = start + offset..start + offset + octets;
                sought.push((at, self.hashed.suffix_hash(0), name));
            }
            if sought.len() == STAGED || at + 1 == self.records.len() {
                for (_, hash, _) in &sought {
                    std::hint::black_box(self.table[*hash as usize & mask].tag);
                }
                for (at, hash, name) in sought.drain(..) {
                    self.targets[at] = self.slot(hash, &self.octets[name]).map_or(NONE, |node| node.0);
                }
            }
        }
    }

    fn stops_lookups(&self, node: NodeIndex) -> bool {
        (node != APEX && self.has(node, Rtype::NS)) || self.has(node, Rtype::DNAME)
    }

    pub(crate) fn apex(&self) -> &Name {
        &self.apex
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len() as u32).map(NodeIndex)
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The owner in lower case, in wire form.
    pub(crate) fn owner(&self, node: NodeIndex) -> &[u8] {
        let node = &self.nodes[node.0 as usize];
        &self.octets[node.owner..node.owner + usize::from(node.owner_octets)]
    }

    pub(crate) fn hash(&self, node: NodeIndex) -> u64 {
        self.nodes[node.0 as usize].hash
    }

    pub(crate) fn standing(&self, node: NodeIndex) -> Standing {
        self.nodes[node.0 as usize].standing
    }

    pub(crate) fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        Some(self.nodes[node.0 as usize].parent).filter(|&parent| parent != NONE).map(NodeIndex)
    }

    /// Whether there are names below a node; known once the tree is settled.
    pub(crate) fn has_children(&self, node: NodeIndex) -> bool {
        self.nodes[node.0 as usize].has_children
    }

    /// Whether the leftmost label is `*`.
    pub(crate) fn is_wildcard(&self, node: NodeIndex) -> bool {
        node != APEX && self.owner(node).starts_with(b"\x01*")
    }

    /// The records of a node in the order of the file.
    pub(crate) fn records(&self, node: NodeIndex) -> impl Iterator<Item = TreeRecord<'_>> + Clone {
        let mut next = self.nodes[node.0 as usize].first;
        std::iter::from_fn(move || {
            let at = next as usize;
            let stored = self.records.get(at)?;
            next = stored.next;
            Some(TreeRecord {
                rtype: stored.rtype,
                ttl: stored.ttl,
                rdata: &self.octets[stored.rdata..stored.rdata + usize::from(stored.rdata_octets)],
                place: stored.place,
                target: self.targets.get(at).filter(|&&node| node != NONE).map(|&node| NodeIndex(node)),
            })
        })
    }

    /// The record of a node that has no other.
    pub(crate) fn only_record(&self, node: NodeIndex) -> Option<TreeRecord<'_>> {
        let found = &self.nodes[node.0 as usize];
        if found.first == found.last { self.records(node).next() } else { None }
    }

    /// The records of one type.
    pub(crate) fn of_type(
        &self,
        node: NodeIndex,
        rtype: Rtype,
    ) -> impl Iterator<Item = TreeRecord<'_>> + Clone {
        self.records(node).filter(move |record| record.rtype == rtype)
    }

    /// Whether a node has an address.
    pub(crate) fn has_address(&self, node: NodeIndex) -> bool {
        self.has(node, Rtype::A) || self.has(node, Rtype::AAAA)
    }

    pub(crate) fn has(&self, node: NodeIndex, rtype: Rtype) -> bool {
        match noted(rtype) {
            Some(bit) => self.nodes[node.0 as usize].noted & bit != 0,
            None => self.of_type(node, rtype).next().is_some(),
        }
    }

    /// The wildcard that stands for a name which does not exist: directly below its closest encloser (RFC 4592 §3.3.1).
    pub(crate) fn wildcard_for(&self, wire: &[u8]) -> Option<NodeIndex> {
        if !name::is_within(wire, self.apex.as_wire()) {
            return None;
        }
        let mut hashed = HashedName::default();
        hashed.set(wire).ok()?;
        hashed.hash(self.key);
        let (label, encloser) = (1..=hashed.labels().checked_sub(self.apex_labels)?)
            .find_map(|label| Some((label, self.slot(hashed.suffix_hash(label), hashed.suffix(label))?)))?;
        let wildcard = [b"\x01*", self.owner(encloser)].concat();
        self.slot(self.key.extend(hashed.suffix_hash(label), b"*"), &wildcard)
    }

    /// Lets an owner, whose name is at hand, wait for its node.
    fn stage(&mut self, owner: &[u8], record: u32, noted: u8) {
        self.hashed.hash(self.key);
        self.staged.push(Staged {
            hash: self.hashed.suffix_hash(0),
            parent_hash: self.hashed.suffix_hash(self.hashed.labels().min(1)),
            name: self.staged_names.len(),
            name_octets: owner.len() as u8,
            noted,
            first: record,
            last: record,
        });
        self.staged_names.extend(self.hashed.as_wire());
        self.last_owner.clear();
        self.last_owner.extend(owner);
    }

    /// Finds or makes the nodes of all staged owners, in order, and gives them their records.
    fn flush(&mut self) {
        let mask = self.table.len() - 1;
        // The table is larger than any cache. Only loads that do not wait for one another overlap.
        for staged in &self.staged {
            std::hint::black_box(self.table[staged.hash as usize & mask].tag);
        }
        let (mut all, names) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.staged_names));
        for staged in all.drain(..) {
            let owner = &names[staged.name..staged.name + usize::from(staged.name_octets)];
            let node = match self.slot(staged.hash, owner) {
                Some(found) => found,
                None => self.make(&staged, owner),
            };
            let node = &mut self.nodes[node.0 as usize];
            node.noted |= staged.noted;
            match std::mem::replace(&mut node.last, staged.last) {
                NONE => node.first = staged.first,
                last => self.records[last as usize].next = staged.first,
            }
        }
        (self.staged, self.staged_names) = (all, names);
        self.staged_names.clear();
        self.last_owner.clear();
    }

    /// Makes the node of an owner that has none.
    fn make(&mut self, staged: &Staged, owner: &[u8]) -> NodeIndex {
        let parent = &owner[1 + usize::from(owner[0])..];
        if let Some(parent) = self.slot(staged.parent_hash, parent) {
            return self.append(staged.hash, owner, parent.0);
        }
        // From the first existing suffix back down to the owner, each missing name gets its node.
        let mut hashed = std::mem::take(&mut self.hashed);
        // It was set before, when it was staged.
        let _ = hashed.set(owner);
        hashed.hash(self.key);
        let above_apex = hashed.labels() - self.apex_labels;
        let found = (2..above_apex).find_map(|label| {
            self.slot(hashed.suffix_hash(label), hashed.suffix(label)).map(|node| (label, node))
        });
        let (label, mut node) = found.unwrap_or((above_apex, APEX));
        for label in (0..label).rev() {
            node = self.append(hashed.suffix_hash(label), hashed.suffix(label), node.0);
        }
        self.hashed = hashed;
        node
    }

    /// Adds a node.
    fn append(&mut self, hash: u64, owner: &[u8], parent: u32) -> NodeIndex {
        let index = self.nodes.len() as u32;
        self.nodes.push(Node {
            hash,
            owner: self.octets.len(),
            owner_octets: owner.len() as u8,
            parent,
            first: NONE,
            last: NONE,
            standing: Standing::Authoritative,
            noted: 0,
            has_children: false,
        });
        self.octets.extend(owner);
        if self.nodes.len() * 2 > self.table.len() {
            self.table = vec![FREE; self.table.len() * 2];
            for at in 0..index {
                self.occupy(self.nodes[at as usize].hash, at);
            }
        }
        self.occupy(hash, index);
        NodeIndex(index)
    }

    fn occupy(&mut self, hash: u64, node: u32) {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        while self.table[at].node != NONE {
            at = (at + 1) & mask;
        }
        self.table[at] = Slot { tag: tag(hash), node };
    }

    fn slot(&self, hash: u64, wire: &[u8]) -> Option<NodeIndex> {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        let tag = tag(hash);
        loop {
            let slot = self.table[at];
            if slot.node == NONE {
                return None;
            }
            if slot.tag == tag && self.owner(NodeIndex(slot.node)).eq_ignore_ascii_case(wire) {
                return Some(NodeIndex(slot.node));
            }
            at = (at + 1) & mask;
        }
    }
}

/// Where the name stands that additional section processing looks at.
pub(crate) fn target_offset(rtype: Rtype, rdata: &[u8]) -> Option<usize> {
    match rtype {
        Rtype::NS => Some(0),                            // RFC 1035 §3.3.11
        Rtype::MX | Rtype::AFSDB | Rtype::KX => Some(2), // RFC 1035 §3.3.9, RFC 1183 §1, RFC 2230 §3
        Rtype::SVCB | Rtype::HTTPS => Some(2),           // RFC 9460 §4.1
        Rtype::SRV => Some(6),                           // RFC 2782
        Rtype::NAPTR => {
            // Order, preference and three strings stand before the replacement (RFC 3403 §4.1).
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + usize::from(*rdata.get(at)?);
            }
            Some(at)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
