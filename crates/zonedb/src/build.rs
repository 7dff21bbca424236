//! Writes an image: the one place besides [`crate::image`] that knows its layout.
//!
//! The caller, `pharos-zone`, decides which names exist, which are cuts and which addresses are glue; this
//! builder lays nodes out in the order in which they come, compresses names in rdata, and fills the table.
//! Nodes are numbered by the caller, in any order, so that extras may lead to nodes that come later.

mod stream;

use pharos_wire::{Name, Rtype, name};

pub use stream::{Start, StreamBuilder};

use crate::depths::Depths;
use crate::image::{
    Along, DESCRIPTOR, EXTRA_PLACE, EXTRA_REQUIRED, EXTRA_SERVICE, NO_NODE, NODE_HEAD, Need, NodeFlags,
    PATCH_WITHIN, RECORD_HEAD, RRSET_EXTRAS, RRSET_LEADS_ON, RRSET_NAMES, RRSET_SIGNED, ZoneImage,
};
use crate::nsec;
use crate::nsec3::{Chain, HASH_OCTETS, Nsec3Parameters};
use crate::table::Table;

/// Why a zone has no image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// More than 4 GiB.
    ImageTooLarge,
    /// An RRset does not fit into any message.
    RrSetTooLarge(Rtype),
    /// A node was used and never given, or given twice.
    UnknownNode,
}

impl core::fmt::Display for BuildError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ImageTooLarge => f.write_str("the zone's image would be larger than 4 GiB"),
            Self::RrSetTooLarge(rtype) => {
                write!(f, "the {rtype} RRset is larger than a DNS message can be ({MAX_RRSET} octets)")
            }
            Self::UnknownNode => f.write_str("a node of the image is missing or stands twice"),
        }
    }
}

impl core::error::Error for BuildError {}

/// Octets that an RRset may have in a reply: a TCP message less header, longest question and OPT.
pub const MAX_RRSET: usize = 65_535 - 12 - 259 - 300;
/// Distances within an RRset beyond this are not used, so that pointers, which reach 16,383, hold wherever the
/// RRset starts in the first 8 KiB of a reply.
pub const MAX_WITHIN: usize = 8191;

/// Number of a node, given by the caller: less than the count told to [`ImageBuilder::new`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(pub u32);

/// How a node is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// By look-up of a name with this hash.
    Listed(u64),
    /// Only through extras.
    Hidden,
    /// As the NSEC3 record with this hash; its name is no name of the zone (RFC 5155 §7.2.8).
    Hashed([u8; HASH_OCTETS]),
}

/// One node to be laid out.
#[derive(Clone, Copy, Debug)]
pub struct NodeSpec<'a> {
    /// The caller's number for it.
    pub id: NodeId,
    /// The whole name in lower case, in wire form.
    pub owner: &'a [u8],
    /// How it is reached.
    pub reach: Reach,
    /// What is special about it.
    pub flags: NodeFlags,
    /// The NSEC3 records that deny what would be at or below it.
    pub links: Option<LinksSpec>,
    /// Its RRsets, those asked for most often first.
    pub rrsets: &'a [RrSetSpec<'a>],
}

/// See [`crate::nsec3::Links`].
#[derive(Clone, Copy, Debug)]
pub struct LinksSpec {
    /// Matches the closest provable encloser.
    pub encloser: NodeId,
    /// Covers the next closer name, if that is known.
    pub next_closer: Option<NodeId>,
    /// Matches or covers the wildcard.
    pub wildcard: NodeId,
}

/// One RRset to be laid out.
#[derive(Clone, Copy, Debug)]
pub struct RrSetSpec<'a> {
    /// The type.
    pub rtype: Rtype,
    /// Seconds.
    pub ttl: u32,
    /// Rdata, uncompressed, without duplicates.
    pub records: &'a [&'a [u8]],
    /// Rdata of the RRSIG records that cover it.
    pub signatures: &'a [&'a [u8]],
    /// Names that the records lead to and whose data are at hand, in the order of records.
    pub extras: &'a [ExtraSpec],
}

/// A name that a record leads to, and whose data are at hand.
#[derive(Clone, Copy, Debug)]
pub struct ExtraSpec {
    /// Which record leads there.
    pub record: usize,
    /// Where the name stands.
    pub name: NameAt,
    /// The node with the data.
    pub node: NodeId,
    /// Which of them go along.
    pub along: Along,
    /// Whether a reply must have them.
    pub need: Need,
}

/// Where a name stands that a record leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameAt {
    /// It is the record's owner (RFC 9460 §2.5.2).
    Owner,
    /// In the rdata, from this octet on; no compressed name may stand before it.
    Rdata(usize),
}

/// Builds one image.
#[derive(Debug)]
pub struct ImageBuilder {
    apex: Name,
    arena: Vec<u8>,
    /// Where each numbered node starts, plus one; zero while it is not known.
    starts: Vec<u32>,
    listed: Vec<(u64, u32)>,
    /// Starts of the listed nodes that have an NSEC RRset.
    chain: Vec<u32>,
    /// Hash and start of each node that holds an NSEC3 record of the chain.
    hashed: Vec<([u8; HASH_OCTETS], u32)>,
    nsec3: Option<Nsec3Parameters>,
    /// Places in the arena that hold a node's number and shall hold its start.
    fixups: Vec<u32>,
    depths: Depths,
    records: u64,
    /// Names that stand in the RRset at hand, and the rdata at hand; kept to be reused.
    known: Vec<KnownSuffix>,
    scratch: Vec<u8>,
}

impl ImageBuilder {
    /// Starts an image for the zone `apex` with room for `nodes` nodes.
    pub fn new(apex: &Name, nodes: usize) -> Self {
        Self {
            apex: apex.to_folded(),
            arena: Vec::with_capacity(nodes * 40),
            starts: vec![0; nodes],
            listed: Vec::with_capacity(nodes),
            chain: Vec::new(),
            hashed: Vec::new(),
            nsec3: None,
            fixups: Vec::new(),
            depths: Depths::default(),
            records: 0,
            known: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Says how the zone's NSEC3 chain hashes names.
    pub fn nsec3(&mut self, parameters: Nsec3Parameters) {
        self.nsec3 = Some(parameters);
    }

    /// Lays one node out.
    ///
    /// # Errors
    /// [`BuildError`]; the builder is of no use afterwards.
    pub fn node(&mut self, spec: &NodeSpec<'_>) -> Result<(), BuildError> {
        let start = self.position()?;
        let slot = self.starts.get_mut(spec.id.0 as usize).ok_or(BuildError::UnknownNode)?;
        if std::mem::replace(slot, start + 1) != 0 {
            return Err(BuildError::UnknownNode);
        }
        if let Reach::Listed(hash) = spec.reach {
            self.listed.push((hash, start));
        }
        self.lay_out(spec, start)
    }

    /// Lays out a node that starts here, whoever knows it by whatever number.
    fn lay_out(&mut self, spec: &NodeSpec<'_>, start: u32) -> Result<(), BuildError> {
        let relative_octets = spec.owner.len().saturating_sub(self.apex.as_wire().len());
        let relative = spec.owner.get(..relative_octets).unwrap_or_default();
        if let Reach::Listed(_) = spec.reach {
            self.depths.add(name::Labels::new(relative).count());
            if spec.rrsets.iter().any(|rrset| rrset.rtype == Rtype::NSEC) {
                self.chain.push(start);
            }
        }
        if let Reach::Hashed(hash) = spec.reach {
            self.hashed.push((hash, start));
        }
        let linked = if spec.links.is_some() { NodeFlags::LINKED } else { NodeFlags::default() };
        self.arena.extend([spec.flags.with(linked).bits(), relative_octets as u8]);
        self.arena.extend((spec.rrsets.len() as u16).to_le_bytes());
        self.arena.extend(relative);
        if let Some(LinksSpec { encloser, next_closer, wildcard }) = spec.links {
            for link in [Some(encloser), next_closer, Some(wildcard)] {
                match link {
                    Some(id) => self.reference(id)?,
                    None => self.arena.extend(NO_NODE.to_le_bytes()),
                }
            }
        }
        let descriptors = self.arena.len();
        self.arena.resize(descriptors + spec.rrsets.len() * DESCRIPTOR, 0);
        // What a wildcard's records are compressed against is its parent: the owner in replies is the qname.
        let base = if spec.flags.has(NodeFlags::WILDCARD) { spec.owner.get(2..) } else { Some(spec.owner) };
        for (index, rrset) in spec.rrsets.iter().enumerate() {
            self.rrset(rrset, base.unwrap_or_default(), descriptors + index * DESCRIPTOR)?;
        }
        Ok(())
    }

    /// Lays out a listed node as [`Self::lay_out`] does, of one record without signatures, extras and names that could be
    /// compressed: most nodes of most large zones.
    #[inline]
    fn lay_out_one(&mut self, owner: &[u8], flags: NodeFlags, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        let relative_octets = owner.len().saturating_sub(self.apex.as_wire().len());
        let relative = owner.get(..relative_octets).unwrap_or_default();
        self.depths.add(name::Labels::new(relative).count());
        let arena = &mut self.arena;
        arena.reserve(NODE_HEAD + relative_octets + DESCRIPTOR + 2 + rdata.len());
        arena.extend_from_slice(&[flags.bits(), relative_octets as u8, 1, 0]);
        arena.extend_from_slice(relative);
        // `StreamBuilder` has looked how long the arena is.
        let data = (arena.len() + DESCRIPTOR) as u32;
        let mut head = [0; DESCRIPTOR + 2];
        head[0..2].copy_from_slice(&rtype.0.to_le_bytes());
        head[2..4].copy_from_slice(&1u16.to_le_bytes());
        head[4..8].copy_from_slice(&ttl.to_le_bytes());
        head[8..12].copy_from_slice(&data.to_le_bytes());
        head[12..14].copy_from_slice(&(rdata.len() as u16 + 2).to_le_bytes());
        head[DESCRIPTOR..].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        arena.extend_from_slice(&head);
        arena.extend_from_slice(rdata);
        self.records += 1;
    }

    /// Closes the image.
    ///
    /// # Errors
    /// [`BuildError::UnknownNode`] when an extra leads to a node that was never laid out, or `apex` was not.
    pub fn finish(self, apex: NodeId, serial: u32, negative_ttl: u32) -> Result<ZoneImage, BuildError> {
        let mut table = Table::with_room(self.listed.len());
        for &(hash, start) in &self.listed {
            table.insert(hash, start);
        }
        self.close(apex, table, serial, negative_ttl)
    }

    /// The start of a node with a number.
    fn start_of(&self, id: u32) -> Result<u32, BuildError> {
        match self.starts.get(id as usize) {
            Some(&start) if start != 0 => Ok(start - 1),
            _ => Err(BuildError::UnknownNode),
        }
    }

    /// Closes the image, whose listed nodes stand in `table`.
    fn close(
        mut self,
        apex: NodeId,
        table: Table,
        serial: u32,
        negative_ttl: u32,
    ) -> Result<ZoneImage, BuildError> {
        let apex_node = self.start_of(apex.0)?;
        for at in std::mem::take(&mut self.fixups) {
            let at = at as usize;
            let octets = self.arena.get(at..).and_then(|rest| rest.first_chunk::<4>());
            let start = self.start_of(octets.map_or(NO_NODE, |octets| u32::from_le_bytes(*octets)))?;
            self.arena[at..at + 4].copy_from_slice(&start.to_le_bytes());
        }
        let name_at = |start: u32| name_at(&self.arena, start);
        let nsec = nsec::Chain::new(self.chain, name_at);
        Ok(ZoneImage {
            apex: (&self.apex).into(),
            apex_node,
            arena: self.arena.into_boxed_slice(),
            table,
            nsec,
            nsec3: self.nsec3.map(|parameters| Chain::new(parameters, self.hashed).into()),
            depths: self.depths,
            serial,
            negative_ttl,
            records: self.records,
        })
    }

    /// Appends what will be the start of a node.
    fn reference(&mut self, id: NodeId) -> Result<(), BuildError> {
        let at = self.position()?;
        self.fixups.push(at);
        self.arena.extend(id.0.to_le_bytes());
        Ok(())
    }

    fn position(&self) -> Result<u32, BuildError> {
        // One less than the largest, because `starts` adds one.
        u32::try_from(self.arena.len()).ok().filter(|&at| at < u32::MAX).ok_or(BuildError::ImageTooLarge)
    }

    fn rrset(&mut self, spec: &RrSetSpec<'_>, base: &[u8], descriptor: usize) -> Result<(), BuildError> {
        let data = self.position()?;
        let mut flags = 0;
        let extras_at = self.arena.len();
        if !spec.extras.is_empty() {
            flags |= RRSET_EXTRAS;
            self.arena.extend((spec.extras.len() as u16).to_le_bytes());
            self.arena.resize(extras_at + 2 + spec.extras.len() * 6, 0);
            let plain = |extra: &ExtraSpec| extra.along == Along::Addresses && extra.name != NameAt::Owner;
            if !spec.extras.iter().all(plain) {
                flags |= RRSET_LEADS_ON;
            }
        }
        if !spec.signatures.is_empty() {
            flags |= RRSET_SIGNED;
            let octets: usize = spec.signatures.iter().map(|rdata| rdata.len() + 2).sum();
            let octets = u16::try_from(octets).map_err(|_| BuildError::RrSetTooLarge(Rtype::RRSIG))?;
            self.arena.extend(octets.to_le_bytes());
            self.arena.extend((spec.signatures.len() as u16).to_le_bytes());
            for rdata in spec.signatures {
                self.arena.extend((rdata.len() as u16).to_be_bytes());
                self.arena.extend(*rdata);
            }
        }
        let layout = name_layout(spec.rtype);
        if layout.is_some() {
            flags |= RRSET_NAMES;
        }
        self.known.clear();
        let mut extras = spec.extras.iter().enumerate().peekable();
        let mut written = 0; // octets of the RRset as a reply holds it
        for (index, rdata) in spec.records.iter().enumerate() {
            let rdata_at = written + RECORD_HEAD + 2;
            while let Some((slot, extra)) = extras.next_if(|(_, extra)| extra.record == index) {
                let place = match extra.name {
                    NameAt::Owner => 0,
                    NameAt::Rdata(offset) => rdata_at + offset,
                };
                self.extra(extras_at + 2 + slot * 6, place, extra)?;
            }
            let octets = match layout {
                Some(layout) => self.compressed(rdata, layout, base, rdata_at),
                None => {
                    self.arena.extend((rdata.len() as u16).to_be_bytes());
                    self.arena.extend(*rdata);
                    rdata.len()
                }
            };
            written = rdata_at + octets;
            if written > MAX_RRSET {
                return Err(BuildError::RrSetTooLarge(spec.rtype));
            }
        }
        self.records += (spec.records.len() + spec.signatures.len()) as u64;
        let octets = written - spec.records.len() * RECORD_HEAD;
        let mut head = [0; DESCRIPTOR];
        head[0..2].copy_from_slice(&spec.rtype.0.to_le_bytes());
        head[2..4].copy_from_slice(&(spec.records.len() as u16).to_le_bytes());
        head[4..8].copy_from_slice(&spec.ttl.to_le_bytes());
        head[8..12].copy_from_slice(&data.to_le_bytes());
        head[12..14].copy_from_slice(&(octets as u16).to_le_bytes());
        head[14] = flags;
        self.arena[descriptor..descriptor + DESCRIPTOR].copy_from_slice(&head);
        Ok(())
    }

    fn extra(&mut self, at: usize, place: usize, extra: &ExtraSpec) -> Result<(), BuildError> {
        // Names too far away to be pointed to are written in full by the reader; see `Target` and `Extra`.
        let required = if extra.need == Need::Required { EXTRA_REQUIRED } else { 0 };
        let service = if extra.along == Along::Service { EXTRA_SERVICE } else { 0 };
        let place = place.min(usize::from(EXTRA_PLACE)) as u16 | required | service;
        self.arena[at..at + 2].copy_from_slice(&place.to_le_bytes());
        self.arena[at + 2..at + 6].copy_from_slice(&extra.node.0.to_le_bytes());
        self.fixups.push(u32::try_from(at + 2).map_err(|_| BuildError::ImageTooLarge)?);
        Ok(())
    }

    /// Appends patches, length and rdata with names compressed; returns the rdata's octets as written.
    /// `rdata_at` is where this rdata will start, from the start of the RRset as written.
    fn compressed(&mut self, rdata: &[u8], layout: NameLayout, base: &[u8], rdata_at: usize) -> usize {
        let mut patches: [u16; 2] = [0; 2];
        let mut patched = 0;
        self.scratch.clear();
        let (fixed, mut rest) = rdata.split_at_checked(layout.first).unwrap_or((rdata, &[]));
        self.scratch.extend(fixed);
        for _ in 0..layout.names {
            let Ok(octets) = name::measure(rest) else { break };
            let (name, tail) = rest.split_at(octets);
            rest = tail;
            if let Some(within) = self.compress(name, base, rdata_at) {
                // From the length's two octets to the pointer's two, which were appended last.
                patches[patched] = self.scratch.len() as u16 | within;
                patched += 1;
            }
        }
        self.scratch.extend(rest);
        self.arena.push(patched as u8);
        for place in &patches[..patched] {
            self.arena.extend(place.to_le_bytes());
        }
        self.arena.extend((self.scratch.len() as u16).to_be_bytes());
        self.arena.extend(&self.scratch);
        self.scratch.len()
    }

    /// Appends a name to the scratch rdata, as short as it can be; `Some` when it ends in two octets to patch,
    /// with the mark that tells how.
    fn compress(&mut self, name: &[u8], base: &[u8], rdata_at: usize) -> Option<u16> {
        let mut suffix = name;
        while suffix.len() > 1 {
            if name::is_within(base, suffix) {
                self.scratch.extend((suffix.len() as u16).to_be_bytes());
                return Some(0);
            }
            let seen = self.known.iter().find(|known| known.octets.eq_ignore_ascii_case(suffix));
            if let Some(known) = seen {
                self.scratch.extend((known.place as u16).to_be_bytes());
                return Some(PATCH_WITHIN);
            }
            let place = rdata_at + self.scratch.len();
            if place <= MAX_WITHIN && self.known.len() < MAX_KNOWN {
                self.known.push(KnownSuffix { octets: suffix.into(), place });
            }
            let (label, shorter) =
                suffix.split_at_checked(1 + usize::from(suffix[0])).unwrap_or((suffix, &[0]));
            self.scratch.extend(label);
            suffix = shorter;
        }
        self.scratch.push(0);
        None
    }
}

/// The name of the node at `start`, in lower case and without the apex.
pub(crate) fn name_at(arena: &[u8], start: u32) -> &[u8] {
    let octets = arena.get(start as usize + 1).copied().map_or(0, usize::from);
    let first = start as usize + NODE_HEAD;
    arena.get(first..first + octets).unwrap_or_default()
}

/// Where names stand that may be compressed: `names` of them, one behind the other, from `first` on.
#[derive(Clone, Copy)]
struct NameLayout {
    first: usize,
    names: usize,
}

/// Only types of RFC 1035 are compressed (RFC 3597 §4).
fn name_layout(rtype: Rtype) -> Option<NameLayout> {
    let (first, names) = match rtype {
        Rtype::NS | Rtype::MD | Rtype::MF | Rtype::CNAME | Rtype::MB | Rtype::MG | Rtype::MR | Rtype::PTR => {
            (0, 1)
        }
        Rtype::SOA | Rtype::MINFO => (0, 2),
        Rtype::MX => (2, 1),
        _ => return None,
    };
    Some(NameLayout { first, names })
}

/// A suffix that stands in full earlier in the RRset at hand.
#[derive(Debug)]
struct KnownSuffix {
    octets: Box<[u8]>,
    place: usize,
}

/// Suffixes remembered per RRset; bounds the search in RRsets of thousands of names.
const MAX_KNOWN: usize = 64;

#[cfg(test)]
mod tests {
    use pharos_wire::hash::HashKey;

    use super::*;
    use crate::image::{Patch, Target};

    fn wire(text: &str) -> Vec<u8> {
        Name::from_text(text).unwrap().as_wire().to_vec()
    }

    const KEY: HashKey = HashKey::new([1, 2]);

    fn image(owner: &str, flags: NodeFlags, rrset: RrSetSpec<'_>) -> ZoneImage {
        let owner = wire(owner);
        let mut builder = ImageBuilder::new(&Name::from_text("example.").unwrap(), 2);
        let reach = Reach::Listed(KEY.name(&owner).unwrap());
        builder
            .node(&NodeSpec { id: NodeId(0), owner: &owner, reach, flags, links: None, rrsets: &[rrset] })
            .unwrap();
        builder.finish(NodeId(0), 7, 60).unwrap()
    }

    fn spec<'a>(rtype: Rtype, records: &'a [&'a [u8]]) -> RrSetSpec<'a> {
        RrSetSpec { rtype, ttl: 300, records, signatures: &[], extras: &[] }
    }

    #[test]
    fn names_are_compressed_against_the_owner_and_against_each_other() {
        let [first, second] = [wire("ns1.sub.example."), wire("ns2.other.test.")];
        let third = wire("ns3.OTHER.test.");
        let records = [&*first, &*second, &*third];
        let image = image("sub.example.", NodeFlags::CUT, spec(Rtype::NS, &records));
        let rrset = image.apex_node().rrset(Rtype::NS).unwrap();
        let records: Vec<_> = rrset.records().collect();
        assert_eq!(records[0].rdata(), b"\x03ns1\0\x0d");
        assert_eq!(
            records[0].patches().collect::<Vec<_>>(),
            [Patch { place: 6, target: Target::Suffix(13) }]
        );
        assert_eq!(records[1].rdata(), second);
        assert_eq!(records[1].patches().count(), 0);
        // The second rdata starts behind 10+2+6 octets of the first record and 10+2 of its own; `ns2` takes 4.
        assert_eq!(
            records[2].patches().collect::<Vec<_>>(),
            [Patch { place: 6, target: Target::Within(34) }]
        );
        assert_eq!(rrset.wire_octets(), 3 * 12 + 6 + second.len() + 6);
    }

    #[test]
    fn a_wildcards_records_are_compressed_against_its_parent() {
        let target = wire("a.w.example.");
        let records = [&*target];
        let image = image("*.w.example.", NodeFlags::WILDCARD, spec(Rtype::CNAME, &records));
        let record = image.apex_node().rrset(Rtype::CNAME).unwrap().records().next().unwrap();
        assert_eq!(record.patches().next().unwrap().target, Target::Suffix(wire("w.example.").len()));
    }

    #[test]
    fn soa_has_two_names_and_its_numbers_stay() {
        let mut rdata = wire("ns.example.");
        rdata.extend(wire("admin.ns.example."));
        rdata.extend([0, 0, 0, 1].repeat(5));
        let records = [&*rdata];
        let image = image("example.", NodeFlags::default(), spec(Rtype::SOA, &records));
        let record = image.apex_node().rrset(Rtype::SOA).unwrap().records().next().unwrap();
        assert_eq!(record.patches().count(), 2);
        assert_eq!(record.rdata().len(), 5 + 8 + 20);
        assert!(record.rdata().ends_with(&[0, 0, 0, 1].repeat(5)));
    }

    #[test]
    fn newer_types_are_never_compressed() {
        let mut rdata = vec![0, 1, 0, 1, 0, 80];
        rdata.extend(wire("www.example."));
        let records = [&*rdata];
        let image = image("_http._tcp.example.", NodeFlags::default(), spec(Rtype::SRV, &records));
        let record = image.apex_node().rrset(Rtype::SRV).unwrap().records().next().unwrap();
        assert_eq!((record.rdata(), record.patches().count()), (&*rdata, 0));
    }

    #[test]
    fn signatures_and_extras_stand_beside_the_records() {
        let records: [&[u8]; 1] = [&wire("ns.example.")];
        let glue = |name, along| ExtraSpec { record: 0, name, node: NodeId(1), along, need: Need::Required };
        let extras = [glue(NameAt::Rdata(0), Along::Addresses), glue(NameAt::Owner, Along::Service)];
        let rrset = RrSetSpec { signatures: &[b"sig"], extras: &extras, ..spec(Rtype::NS, &records) };
        let owner = wire("example.");
        let mut builder = ImageBuilder::new(&Name::from_text("example.").unwrap(), 2);
        let reach = Reach::Listed(KEY.name(&owner).unwrap());
        let flags = NodeFlags::default();
        builder
            .node(&NodeSpec { id: NodeId(0), owner: &owner, reach, flags, links: None, rrsets: &[rrset] })
            .unwrap();
        let address = RrSetSpec { ..spec(Rtype::A, &[&[192, 0, 2, 1]]) };
        let glue = wire("ns.example.");
        let reach = Reach::Hidden;
        builder
            .node(&NodeSpec { id: NodeId(1), owner: &glue, reach, flags, links: None, rrsets: &[address] })
            .unwrap();
        let image = builder.finish(NodeId(0), 1, 1).unwrap();
        let rrset = image.apex_node().rrset(Rtype::NS).unwrap();
        assert_eq!(rrset.signatures().map(|record| record.rdata()).collect::<Vec<_>>(), [b"sig"]);
        assert_eq!(rrset.signatures_wire_octets(), 10 + 2 + 3);
        let extra = rrset.extras().next().unwrap();
        assert_eq!((extra.place, extra.need, extra.node.name()), (12, Need::Required, &b"\x02ns"[..]));
        let of_owner = rrset.extras().nth(1).unwrap();
        assert_eq!((of_owner.place, of_owner.along, rrset.leads_on()), (0, Along::Service, true));
        assert_eq!(extra.node.rrset(Rtype::A).unwrap().records().next().unwrap().rdata(), [192, 0, 2, 1]);
        assert_eq!(image.records(), 3);
    }

    #[test]
    fn an_rrset_that_fits_no_message_is_refused() {
        let rdata = vec![0; 60_000];
        let records = [&*rdata, &*rdata];
        let mut builder = ImageBuilder::new(&Name::from_text("example.").unwrap(), 1);
        let rrsets = [spec(Rtype::TXT, &records)];
        let (owner, flags) = (wire("example."), NodeFlags::default());
        let node = NodeSpec {
            id: NodeId(0),
            owner: &owner,
            reach: Reach::Hidden,
            flags,
            links: None,
            rrsets: &rrsets,
        };
        assert_eq!(builder.node(&node), Err(BuildError::RrSetTooLarge(Rtype::TXT)));
    }

    #[test]
    fn a_node_that_was_never_given_is_an_error() {
        let builder = ImageBuilder::new(&Name::ROOT, 1);
        assert_eq!(builder.finish(NodeId(0), 1, 1).err(), Some(BuildError::UnknownNode));
    }
}
