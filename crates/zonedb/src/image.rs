//! The image of one zone, and the views through which it is read.
//!
//! The arena holds nodes, one behind the other, in little-endian order:
//!
//! ```text
//! node    flags u8 | octets of name u8 | RRsets u16 | name | links | descriptor * RRsets | data ...
//! links   nodes of NSEC3 records: encloser u32, next closer u32, wildcard u32   if LINKED
//! descr.  type u16 | records u16 | ttl u32 | data u32 | octets u16 | flags u8 | 0 u8
//! data    [extras: n u16, (place u16, node u32) * n]                            if EXTRAS
//!         [signatures: octets u16, n u16, (length, rdata) * n]                  if SIGNED
//!         records: ([patches: n u8, place u16 * n] length, rdata) * records     patches if NAMES
//! ```
//!
//! A node's name is in lower case and lacks the apex. Lengths and rdata stand in network order, ready to be
//! copied into a reply.
//!
//! # Names in rdata
//! Where a name in rdata may be compressed (RFC 3597 §4), two octets of the stored rdata are to be *patched*
//! once the place of the reply's names is known. They hold either the octets of a suffix of the owner, which
//! every reply that holds this RRset also holds under its qname or under an alias' target; or the distance
//! from the start of the RRset, as written, to an earlier name in the same RRset. Nothing else moves.
//!
//! # What is found
//! The hash table lists the names at which look-ups may end: not those below a zone cut or a DNAME. So the
//! longest existing suffix of a qname is its closest encloser, or the cut or DNAME that stands above it.
//! Addresses below a cut, glue, are nodes that only the delegation's extras lead to.

use std::ops::Range;

use pharos_wire::Rtype;
use pharos_wire::hash::HashedName;

use crate::apex::Apex;
use crate::depths::Depths;
use crate::nsec;
use crate::nsec3::{Chain, HASH_OCTETS, Links, Nsec3Parameters};
use crate::table::Table;

/// What is special about a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeFlags(u8);

impl NodeFlags {
    /// A delegation: NS below the apex.
    pub const CUT: Self = Self(1);
    /// A wildcard `*` stands directly below.
    pub const WILDCARD_CHILD: Self = Self(2);
    /// The node is an alias: it has a CNAME RRset.
    pub const CNAME: Self = Self(4);
    /// The node redirects what is below it: it has a DNAME RRset.
    pub const DNAME: Self = Self(8);
    /// The node's own leftmost label is `*`.
    pub const WILDCARD: Self = Self(16);
    /// The NSEC3 records that deny what would be below the node are noted beside it.
    pub(crate) const LINKED: Self = Self(32);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }
}

pub(crate) const RRSET_NAMES: u8 = 1;
pub(crate) const RRSET_SIGNED: u8 = 2;
pub(crate) const RRSET_EXTRAS: u8 = 4;
/// Some extra leads to more than addresses of a name in the rdata.
pub(crate) const RRSET_LEADS_ON: u8 = 8;
pub(crate) const NODE_HEAD: usize = 4;
/// Octets of the links of a node.
pub(crate) const LINKS: usize = 12;
/// No node starts here.
pub(crate) const NO_NODE: u32 = u32::MAX;
pub(crate) const DESCRIPTOR: usize = 16;
/// Octets that a processor loads at once.
pub(crate) const CACHE_LINE: usize = 64;
/// In the place of a patch: the two octets hold a distance within the RRset, not a suffix of the owner.
pub(crate) const PATCH_WITHIN: u16 = 0x8000;
/// In the place of an extra: a delegation is not complete without it (RFC 9471).
pub(crate) const EXTRA_REQUIRED: u16 = 0x8000;
/// In the place of an extra: it leads to a service's RRset, not to addresses.
pub(crate) const EXTRA_SERVICE: u16 = 0x4000;
/// What is left for the place itself. The largest one stands for all that no pointer reaches; zero for the owner.
pub(crate) const EXTRA_PLACE: u16 = 0x3fff;

/// One zone, compiled.
#[derive(Debug)]
pub struct ZoneImage {
    /// In lower case.
    pub(crate) apex: Apex,
    pub(crate) apex_node: u32,
    pub(crate) arena: Box<[u8]>,
    pub(crate) table: Table,
    /// Listed nodes with an NSEC RRset.
    pub(crate) nsec: nsec::Chain,
    /// Few zones have one, and it is large beside a small zone.
    pub(crate) nsec3: Option<Box<Chain>>,
    /// How many labels listed names have before the apex.
    pub(crate) depths: Depths,
    pub(crate) serial: u32,
    pub(crate) negative_ttl: u32,
    pub(crate) records: u64,
}

/// Where a look-up ended.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The node of the name itself, or of its closest encloser or the cut or DNAME above it.
    pub node: Node<'a>,
    /// The label of the name at which the node's name starts: 0 when the name itself was found.
    pub label: usize,
}

/// What the table of an image says of a whole name, before any node is read.
#[derive(Clone, Copy, Default, Debug)]
pub enum Glimpse {
    /// Nobody has looked yet.
    #[default]
    NotTaken,
    /// The name is not listed.
    Nothing,
    /// It may be that of the node that starts here.
    Perhaps(u32),
}

impl ZoneImage {
    /// The zone's name, in lower case.
    pub fn apex(&self) -> &Apex {
        &self.apex
    }

    /// Octets of the apex in wire form.
    #[inline]
    pub fn apex_octets(&self) -> usize {
        self.apex.as_wire().len()
    }

    /// The SOA's serial number.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Seconds for which a denial may be cached: the lesser of the SOA's TTL and MINIMUM (RFC 2308 §5).
    #[inline]
    pub fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }

    /// Records in the zone, occluded ones left out, signatures counted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Octets of memory that the image holds.
    pub fn octets(&self) -> usize {
        size_of::<Self>()
            + self.apex.as_wire().len()
            + self.arena.len()
            + self.table.octets()
            + self.nsec.octets()
            + self.nsec3.as_ref().map_or(0, |chain| size_of_val(&**chain) + chain.octets())
    }

    /// The node at the apex.
    #[inline]
    pub fn apex_node(&self) -> Node<'_> {
        Node { image: self, at: self.apex_node as usize }
    }

    /// Finds a hashed name that lies within the zone, or what stands above it. `apex_label` is the label at
    /// which the apex starts, as the zone set reported it.
    #[inline]
    pub fn find(&self, name: &HashedName, apex_label: usize) -> Match<'_> {
        self.find_glimpsed(name, apex_label, Glimpse::NotTaken)
    }

    /// The same, after a glimpse of `name` in this image: what it has shown is not searched again.
    #[inline]
    pub fn find_glimpsed(&self, name: &HashedName, apex_label: usize, glimpse: Glimpse) -> Match<'_> {
        let mut first = 0;
        match glimpse {
            Glimpse::NotTaken => {}
            Glimpse::Nothing => first = 1,
            Glimpse::Perhaps(at) => {
                let node = Node { image: self, at: at as usize };
                if node.name() == self.relative(name.as_wire()) {
                    return Match { node, label: 0 };
                }
            }
        }
        for label in first..apex_label {
            if !self.depths.has(apex_label - label) {
                continue;
            }
            if let Some(node) = self.node_of(name.suffix_hash(label), self.relative(name.suffix(label))) {
                return Match { node, label };
            }
        }
        Match { node: self.apex_node(), label: apex_label }
    }

    /// The wildcard directly below `encloser`, the suffix of `name` from `label` on.
    #[inline]
    pub fn wildcard(
        &self,
        name: &HashedName,
        key: pharos_wire::hash::HashKey,
        label: usize,
    ) -> Option<Node<'_>> {
        let hash = key.extend(name.suffix_hash(label), b"*");
        let encloser = self.relative(name.suffix(label));
        self.node_where(hash, |node| node.name().strip_prefix(b"\x01*").is_some_and(|rest| rest == encloser))
    }

    /// The node whose NSEC record covers or matches `relative`, a name in lower case without the apex: the last
    /// one in canonical order that does not come after it (RFC 4034 §6.1, §4.1.1). None in a zone without NSEC.
    pub fn nsec_for(&self, relative: &[u8]) -> Option<Node<'_>> {
        let node = |at: u32| Node { image: self, at: at as usize };
        self.nsec.find(relative, |at| node(at).name()).map(node)
    }

    /// How names are hashed for denials; none in a zone without NSEC3.
    #[inline]
    pub fn nsec3(&self) -> Option<&Nsec3Parameters> {
        self.nsec3.as_ref().map(|chain| &chain.parameters)
    }

    /// The node whose NSEC3 record covers the name that has this hash.
    pub fn nsec3_for(&self, hash: &[u8; HASH_OCTETS]) -> Option<Node<'_>> {
        let at = self.nsec3.as_ref()?.find(hash)?;
        Some(Node { image: self, at: at as usize })
    }

    /// Loads what every look-up needs of the image itself.
    #[inline]
    pub fn warm(&self) {
        core::hint::black_box((self.apex.as_wire().len(), self.arena.len(), self.depths, self.negative_ttl));
    }

    /// Where the large parts of the image stand in memory, as addresses.
    pub fn places(&self) -> [Range<usize>; 2] {
        let arena = self.arena.as_ptr_range();
        [arena.start as usize..arena.end as usize, self.table.place()]
    }

    /// Loads the cache line at which a look-up of the whole `name` starts.
    #[inline]
    pub fn warm_table(&self, name: &HashedName) {
        self.table.warm(name.suffix_hash(0));
    }

    /// Loads the node at which a look-up of the whole `name` probably ends, and says what that look-up need not find out
    /// again.
    #[inline]
    pub fn glimpse(&self, name: &HashedName) -> Glimpse {
        let Some(at) = self.table.find(name.suffix_hash(0), |_| true) else { return Glimpse::Nothing };
        // A node with an RRset seldom ends in the line in which it begins.
        let octet = |at: usize| self.arena.get(at).copied();
        core::hint::black_box((octet(at as usize), octet(at as usize + CACHE_LINE)));
        Glimpse::Perhaps(at)
    }

    /// The part of a name before the apex.
    #[inline]
    pub fn relative<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        name.get(..name.len().saturating_sub(self.apex_octets())).unwrap_or_default()
    }

    #[inline]
    fn node_of(&self, hash: u64, relative: &[u8]) -> Option<Node<'_>> {
        self.node_where(hash, |node| node.name() == relative)
    }

    #[inline]
    fn node_where(&self, hash: u64, is_it: impl Fn(Node<'_>) -> bool) -> Option<Node<'_>> {
        let at = self.table.find(hash, |offset| is_it(Node { image: self, at: offset as usize }))?;
        Some(Node { image: self, at: at as usize })
    }

    #[inline]
    fn u16_at(&self, at: usize) -> u16 {
        self.arena.get(at..at + 2).map_or(0, |octets| u16::from_le_bytes([octets[0], octets[1]]))
    }

    #[inline]
    fn u32_at(&self, at: usize) -> u32 {
        self.arena.get(at..at + 4).map_or(0, |o| u32::from_le_bytes([o[0], o[1], o[2], o[3]]))
    }

    #[inline]
    fn from(&self, at: usize) -> &[u8] {
        self.arena.get(at..).unwrap_or_default()
    }
}

/// One name of a zone with its RRsets; none where only longer names exist (an empty non-terminal).
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub(crate) image: &'a ZoneImage,
    pub(crate) at: usize,
}

/// The same node of the same image.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && std::ptr::eq(self.image, other.image)
    }
}

impl<'a> Node<'a> {
    /// What is special about the node.
    #[inline]
    pub fn flags(self) -> NodeFlags {
        NodeFlags(self.image.arena.get(self.at).copied().unwrap_or(0))
    }

    /// The name in lower case, without the apex and without a root label; empty at the apex.
    #[inline]
    pub fn name(self) -> &'a [u8] {
        let octets = usize::from(self.image.arena.get(self.at + 1).copied().unwrap_or(0));
        self.image.arena.get(self.at + NODE_HEAD..self.at + NODE_HEAD + octets).unwrap_or_default()
    }

    /// The zone that the node belongs to.
    #[inline]
    pub fn image(self) -> &'a ZoneImage {
        self.image
    }

    /// Octets of the whole name in wire form.
    #[inline]
    pub fn name_octets(self) -> usize {
        self.name().len() + self.image.apex_octets()
    }

    /// The RRset of one type.
    #[inline]
    pub fn rrset(self, rtype: Rtype) -> Option<RrSet<'a>> {
        let (first, count) = self.descriptors();
        let octets = self.image.arena.get(first..first + count * DESCRIPTOR)?;
        let at = octets
            .chunks_exact(DESCRIPTOR)
            .position(|descriptor| u16::from_le_bytes([descriptor[0], descriptor[1]]) == rtype.0)?;
        Some(RrSet::at(self.image, first + at * DESCRIPTOR))
    }

    /// All RRsets of the node.
    pub fn rrsets(self) -> impl ExactSizeIterator<Item = RrSet<'a>> + Clone {
        let (first, count) = self.descriptors();
        (0..count).map(move |index| RrSet::at(self.image, first + index * DESCRIPTOR))
    }

    #[inline]
    fn descriptors(self) -> (usize, usize) {
        let octets = usize::from(self.image.arena.get(self.at + 1).copied().unwrap_or(0));
        let links = if self.flags().has(NodeFlags::LINKED) { LINKS } else { 0 };
        (self.at + NODE_HEAD + octets + links, usize::from(self.image.u16_at(self.at + 2)))
    }

    /// The NSEC3 records that deny what would be at or below the node; none in a zone without NSEC3.
    pub fn links(self) -> Option<Links<'a>> {
        if !self.flags().has(NodeFlags::LINKED) {
            return None;
        }
        let first = self.at + NODE_HEAD + self.name().len();
        let node = |index: usize| {
            let at = self.image.u32_at(first + index * 4);
            (at != NO_NODE).then_some(Node { image: self.image, at: at as usize })
        };
        Some(Links { encloser: node(0)?, next_closer: node(1), wildcard: node(2)? })
    }
}

/// The records of one name and type.
#[derive(Clone, Copy, Debug)]
pub struct RrSet<'a> {
    image: &'a ZoneImage,
    /// The type.
    pub rtype: Rtype,
    /// Number of records.
    pub count: u16,
    /// Seconds for which the records may be cached.
    pub ttl: u32,
    /// Octets of all rdata with their lengths as they will be written.
    octets: u16,
    flags: u8,
    data: usize,
}

/// The same RRset of the same image.
impl PartialEq for RrSet<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data && self.rtype == other.rtype && std::ptr::eq(self.image, other.image)
    }
}

impl<'a> RrSet<'a> {
    #[inline]
    fn at(image: &'a ZoneImage, at: usize) -> Self {
        let Some(head) = image.arena.get(at..at + DESCRIPTOR) else {
            return Self { image, rtype: Rtype(0), count: 0, ttl: 0, octets: 0, flags: 0, data: 0 };
        };
        Self {
            image,
            rtype: Rtype(u16::from_le_bytes([head[0], head[1]])),
            count: u16::from_le_bytes([head[2], head[3]]),
            ttl: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            data: u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize,
            octets: u16::from_le_bytes([head[12], head[13]]),
            flags: head[14],
        }
    }

    /// Octets that the RRset takes in a reply, without signatures: each record begins with a pointer to its
    /// owner, type, class and TTL.
    #[inline]
    pub fn wire_octets(&self) -> usize {
        usize::from(self.octets) + usize::from(self.count) * RECORD_HEAD
    }

    /// The records in the order of the zone file.
    #[inline]
    pub fn records(&self) -> Records<'a> {
        let skip = self.extras_octets() + self.signature_octets();
        Records {
            rest: self.image.from(self.data + skip),
            left: self.count,
            names: self.flags & RRSET_NAMES != 0,
        }
    }

    /// The signatures over the RRset (RRSIG, RFC 4034 §3), in the same form.
    #[inline]
    pub fn signatures(&self) -> Records<'a> {
        if self.flags & RRSET_SIGNED == 0 {
            return Records { rest: &[], left: 0, names: false };
        }
        let at = self.data + self.extras_octets();
        Records { rest: self.image.from(at + 4), left: self.image.u16_at(at + 2), names: false }
    }

    /// How many signatures there are.
    #[inline]
    pub fn signature_count(&self) -> usize {
        usize::from(self.signatures().left)
    }

    /// Octets that the signatures take in a reply.
    #[inline]
    pub fn signatures_wire_octets(&self) -> usize {
        let signatures = self.signatures();
        self.signature_octets().saturating_sub(4) + usize::from(signatures.left) * RECORD_HEAD
    }

    /// Whether some name in the rdata is compressed against another one in this RRset, which pointers reach only if
    /// the RRset starts early in a reply.
    pub fn points_within(&self) -> bool {
        let within = |patch: Patch| matches!(patch.target, Target::Within(_));
        self.records().any(|record| record.patches().any(within))
    }

    /// Whether any addresses belong into the additional section.
    #[inline]
    pub fn has_extras(&self) -> bool {
        self.flags & RRSET_EXTRAS != 0
    }

    /// Whether some extra is not simply the addresses of a name in the rdata: see [`Extra::along`] and
    /// [`Extra::place`].
    #[inline]
    pub fn leads_on(&self) -> bool {
        self.flags & RRSET_LEADS_ON != 0
    }

    /// Nodes whose data belong into the additional section, each with the place of its name.
    #[inline]
    pub fn extras(&self) -> impl Iterator<Item = Extra<'a>> + use<'a> {
        let (image, first) = (self.image, self.data + 2);
        let count = if self.flags & RRSET_EXTRAS != 0 { image.u16_at(self.data) } else { 0 };
        (0..usize::from(count)).map(move |index| {
            let place = image.u16_at(first + index * 6);
            Extra {
                place: usize::from(place & EXTRA_PLACE),
                need: if place & EXTRA_REQUIRED != 0 { Need::Required } else { Need::Helpful },
                along: if place & EXTRA_SERVICE != 0 { Along::Service } else { Along::Addresses },
                node: Node { image, at: image.u32_at(first + index * 6 + 2) as usize },
            }
        })
    }

    #[inline]
    fn extras_octets(&self) -> usize {
        if self.flags & RRSET_EXTRAS == 0 { 0 } else { 2 + usize::from(self.image.u16_at(self.data)) * 6 }
    }

    #[inline]
    fn signature_octets(&self) -> usize {
        if self.flags & RRSET_SIGNED == 0 {
            return 0;
        }
        4 + usize::from(self.image.u16_at(self.data + self.extras_octets()))
    }
}

/// Octets of a record before its rdata's length: pointer to the owner, type, class, TTL.
pub const RECORD_HEAD: usize = 10;

/// Whether a reply is complete without some additional record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Left out, the delegation cannot be followed: the reply says TC then (RFC 9471 §3).
    Required,
    /// It saves the client a query.
    Helpful,
}

/// What of a node goes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Along {
    /// Its A and AAAA RRsets.
    Addresses,
    /// The RRset that is looked up next, and what that one leads to: SRV for NAPTR (RFC 3403 §4.1), for SVCB and its
    /// like the same type once more (RFC 9460 §4.1).
    Service,
}

/// A name that an RRset leads to, and whose data are at hand.
#[derive(Clone, Copy, Debug)]
pub struct Extra<'a> {
    /// Octets from the start of the RRset, as written, to the name; zero where it is the owner of the RRset.
    pub place: usize,
    /// Whether the reply must have it.
    pub need: Need,
    /// What goes along.
    pub along: Along,
    /// Where the data are: the node of the name, or the wildcard that stands for it.
    pub node: Node<'a>,
}

/// Iterator over the records of an RRset.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: u16,
    names: bool,
}

/// One record: its rdata behind their length, and what to patch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Length, in network order, and rdata.
    pub wire: &'a [u8],
    patches: &'a [u8],
}

/// Two octets of a record that become a compression pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patch {
    /// Where they stand, from the start of [`Record::wire`].
    pub place: usize,
    /// What they point to.
    pub target: Target,
}

/// What a compression pointer in stored rdata points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The suffix of the owner's name that has this many octets.
    Suffix(usize),
    /// This many octets behind the start of the RRset as written.
    Within(usize),
}

impl<'a> Record<'a> {
    /// The rdata as stored, pointers not patched.
    pub fn rdata(&self) -> &'a [u8] {
        self.wire.get(2..).unwrap_or_default()
    }

    /// What is to be patched, if anything.
    #[inline]
    pub fn patches(&self) -> impl Iterator<Item = Patch> + use<'a> {
        let wire = self.wire;
        self.patches.chunks_exact(2).map(move |place| {
            let place = u16::from_le_bytes([place[0], place[1]]);
            let at = usize::from(place & !PATCH_WITHIN);
            let value = wire.get(at..at + 2).map_or(0, |o| usize::from(u16::from_be_bytes([o[0], o[1]])));
            let target =
                if place & PATCH_WITHIN != 0 { Target::Within(value) } else { Target::Suffix(value) };
            Patch { place: at, target }
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut patches: &[u8] = &[];
        if self.names {
            let (&count, rest) = self.rest.split_first()?;
            (patches, self.rest) = rest.split_at_checked(usize::from(count) * 2)?;
        }
        let len = self.rest.first_chunk::<2>().map(|octets| usize::from(u16::from_be_bytes(*octets)))?;
        let (wire, rest) = self.rest.split_at_checked(2 + len)?;
        self.rest = rest;
        Some(Record { wire, patches })
    }
}
