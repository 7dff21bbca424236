//! Links a reply together: header and question as received, then stored records with their pointers patched.
//!
//! # Where names stand
//! A reply begins with the question, so the qname's suffix of N octets starts N octets before the question's
//! type, at `12 + octets of the qname - N`. An alias' target is written inside its CNAME record, its tail
//! perhaps as a pointer into what stands before. [`Places`] keeps these stretches, and every pointer in every
//! record follows from the number of octets of the suffix that it names.

use std::net::IpAddr;

use pharos_wire::edns::{Asked, DO, Edns, MIN_PAYLOAD, OPT_OCTETS};
use pharos_wire::header::{self, Section};
use pharos_wire::{Class, Query, Rcode, Rtype, Writer, name};
use pharos_zonedb::image::{Need, NodeFlags, Record, Target};
use pharos_zonedb::{Node, RrSet};

use crate::context::{Context, Transport};
use crate::cookie::Judged;
use crate::options::{self, Extras};
use crate::resolve::MAX_ALIASES;
use crate::verdict::{Kind, Truncation};

/// The highest offset that a compression pointer reaches (RFC 1035 §4.1.4).
const POINTER_REACH: usize = 0x3fff;
/// RRsets with pointers into themselves, and aliases that are followed, start no later than here; see
/// `pharos_zonedb::build::MAX_WITHIN`.
pub(crate) const LINKABLE: usize = 0x2000;

/// Whether something was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// It was, from this offset on.
    At(usize),
    /// It did not fit; nothing was written.
    TooLong,
}

/// Whether signatures go along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signatures {
    /// The client asked for them by DO.
    Along,
    /// It did not.
    Left,
}

/// The name of a record that is not a suffix of the name at hand.
pub(crate) struct Owner<'a> {
    /// Labels that are written.
    pub(crate) labels: &'a [u8],
    /// What follows them.
    pub(crate) tail: Tail<'a>,
}

/// How a written name ends.
pub(crate) enum Tail<'a> {
    /// By a pointer to the suffix of this many octets of the name at hand.
    Shared(usize),
    /// By these octets, the root label last.
    Written(&'a [u8]),
}

impl<'a> Owner<'a> {
    /// The name `owner` of a zone whose apex has `apex_octets`, sharing all that it can with `name`, which lies in
    /// the same zone. Both are in lower case and without the apex.
    pub(crate) fn share(owner: &'a [u8], name: &[u8], apex_octets: usize) -> Self {
        let mut shared = owner;
        while !shared.is_empty() && !name::is_within(name, shared) {
            shared = shared.get(1 + usize::from(shared[0])..).unwrap_or_default();
        }
        let labels = owner.get(..owner.len() - shared.len()).unwrap_or_default();
        Self { labels, tail: Tail::Shared(shared.len() + apex_octets) }
    }

    /// Octets that the name takes where it is written.
    fn octets(&self) -> usize {
        let tail = match self.tail {
            Tail::Shared(_) => 2,
            Tail::Written(octets) => octets.len(),
        };
        self.labels.len() + tail
    }
}

/// Where suffixes of the name at hand stand in the reply.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    stretches: [Stretch; MAX_ALIASES + 1],
    count: usize,
}

/// Suffixes of more than `above` octets, of a name of `octets` octets that starts at `offset`.
#[derive(Clone, Copy, Default)]
struct Stretch {
    above: u16,
    octets: u16,
    offset: u16,
}

impl Places {
    /// The qname in the question.
    #[inline]
    fn of_question(qname_octets: usize) -> Self {
        let mut stretches = [Stretch::default(); MAX_ALIASES + 1];
        stretches[0] = Stretch { above: 0, octets: qname_octets as u16, offset: header::OCTETS as u16 };
        Self { stretches, count: 1 }
    }

    /// Goes on to a name whose first octets stand at `offset`, and whose suffix of `kept` octets is one of the
    /// suffixes known so far.
    pub(crate) fn follow(&mut self, offset: usize, octets: usize, kept: usize) {
        if kept == 0 {
            self.count = 0;
        }
        if let Some(stretch) = self.stretches.get_mut(self.count) {
            *stretch = Stretch { above: kept as u16, octets: octets as u16, offset: offset as u16 };
            self.count += 1;
        }
    }

    /// The pointer to the suffix of this many octets.
    #[inline]
    fn pointer(&self, suffix_octets: usize) -> u16 {
        let suffix = suffix_octets as u16;
        let mut at = self.count.saturating_sub(1);
        loop {
            let Some(stretch) = self.stretches.get(at) else { return 0xc000 };
            if suffix > stretch.above || at == 0 {
                return 0xc000 | (stretch.offset + stretch.octets.saturating_sub(suffix));
            }
            at -= 1;
        }
    }
}

/// A reply in the making.
pub(crate) struct Reply<'a, 'c> {
    writer: Writer<'a>,
    context: &'c Context,
    /// The full limit; the writer's own is lower by the OPT record's octets until [`Self::finish`], and leaves room for
    /// options that are asked for until that is needed.
    limit: usize,
    pub(crate) cookie: Judged,
    counts: [u16; 3],
    pub(crate) places: Places,
    pub(crate) signatures: Signatures,
    pub(crate) truncation: Truncation,
    flags: u16,
    questions: u16,
    edns: Option<Edns>,
}

impl<'a, 'c> Reply<'a, 'c> {
    /// Repeats header and question of the message that `query` was read from.
    #[inline]
    pub(crate) fn begin(query: &Query, context: &'c Context, message: &[u8], out: &'a mut [u8]) -> Self {
        let limit = match context.transport() {
            Transport::Tcp => usize::from(u16::MAX),
            // RFC 6891 §6.2.5: what the client takes, and no more than this server sends.
            Transport::Udp => query
                .edns
                .map_or(usize::from(MIN_PAYLOAD), |edns| edns.payload().min(context.udp_payload()).into()),
        };
        let limit = limit.min(out.len());
        let repeated = query.question_end.min(limit);
        if let (Some(room), Some(question)) = (out.get_mut(..repeated), message.get(..repeated)) {
            room.copy_from_slice(question);
        }
        let reserved = if query.edns.is_some() { OPT_OCTETS } else { 0 };
        let writer = Writer::new(out, repeated, limit.saturating_sub(reserved).max(repeated));
        Self {
            writer,
            context,
            limit,
            cookie: Judged::None,
            counts: [0; 3],
            places: Places::of_question(query.qname.octets()),
            signatures: if query.wants_dnssec() { Signatures::Along } else { Signatures::Left },
            truncation: Truncation::Whole,
            flags: header::QR | query.flags & (header::OPCODE_MASK | header::RD),
            questions: u16::from(query.question_end > header::OCTETS),
            edns: query.edns,
        }
    }

    /// Judges the cookie of a client that sent options, and keeps room for what it asked for.
    pub(crate) fn plan(&mut self, edns: Edns, client: IpAddr, message: &[u8]) {
        self.cookie = options::cookie(edns, self.context, client, message);
        let should = options::octets_asked_for(edns, self.context);
        self.writer.set_limit(self.records_end().saturating_sub(should));
    }

    /// Where records must end: behind it is room for what the OPT record must have.
    fn records_end(&self) -> usize {
        let must = self.edns.map_or(0, |_| OPT_OCTETS + options::octets_of(&self.cookie));
        self.limit.saturating_sub(must)
    }

    /// Sets the AA bit.
    #[inline]
    pub(crate) fn authoritative(&mut self) {
        self.flags |= header::AA;
    }

    /// Sets the TC bit.
    #[inline]
    pub(crate) fn cut(&mut self) {
        self.truncation = Truncation::Cut;
    }

    /// Whether there is room for octets that the client needs.
    #[inline]
    fn has_room(&mut self, octets: usize) -> bool {
        self.writer.fits(octets) || self.take_from_options(octets)
    }

    /// Takes as much of the options' room as is needed, if that is enough.
    #[cold]
    fn take_from_options(&mut self, octets: usize) -> bool {
        let end = self.writer.len() + octets;
        if end > self.records_end() {
            return false;
        }
        self.writer.set_limit(end);
        true
    }

    /// Where the suffix of so many octets of the name at hand stands.
    pub(crate) fn place_of(&self, suffix_octets: usize) -> usize {
        usize::from(self.places.pointer(suffix_octets) & 0x3fff)
    }

    /// The reply so far.
    pub(crate) fn written(&self) -> &[u8] {
        self.writer.written()
    }

    /// Octets written so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.writer.len()
    }

    /// Adds an RRset, whole or not at all, whose owner is the suffix of `owner_octets` octets of the name at hand.
    #[inline]
    pub(crate) fn rrset(
        &mut self,
        section: Section,
        owner_octets: usize,
        rrset: &RrSet<'_>,
        ttl: u32,
    ) -> Fit {
        let start = self.writer.len();
        let along = self.signatures == Signatures::Along;
        let signed_octets = if along { rrset.signatures_wire_octets() } else { 0 };
        let linkable = start <= LINKABLE || !rrset.points_within();
        if !linkable || !self.has_room(rrset.wire_octets() + signed_octets) {
            return Fit::TooLong;
        }
        let owner = self.places.pointer(owner_octets);
        let head = record_head(owner, rrset.rtype, ttl);
        for record in rrset.records() {
            self.record(&head, &record, start);
        }
        self.count(section, rrset.count);
        if along {
            self.signatures_of(section, owner, rrset, ttl);
        }
        Fit::At(start)
    }

    /// Adds an RRset that holds no compressed name, with its signatures, whole or not at all. Its owner is written
    /// out once, and again for each record where that is out of the reach of pointers.
    pub(crate) fn rrset_of(&mut self, section: Section, owner: &Owner<'_>, rrset: &RrSet<'_>) -> Fit {
        let start = self.writer.len();
        let in_reach = start <= POINTER_REACH;
        let records = usize::from(rrset.count) + rrset.signature_count();
        let in_full = if in_reach { 1 } else { records };
        // Each record counts with two octets for its owner.
        let octets = rrset.wire_octets() + rrset.signatures_wire_octets() - 2 * in_full;
        if !self.has_room(octets + owner.octets() * in_full) {
            return Fit::TooLong;
        }
        let head = record_head(0xc000 | start as u16, rrset.rtype, rrset.ttl);
        for record in rrset.records() {
            self.head_of(owner, start, &head);
            self.writer.put(record.wire);
        }
        let head = record_head(0xc000 | start as u16, Rtype::RRSIG, rrset.ttl);
        for signature in rrset.signatures() {
            self.head_of(owner, start, &head);
            self.writer.put(signature.wire);
        }
        self.count(section, records as u16);
        Fit::At(start)
    }

    /// Begins a record of an RRset that starts at `start`: `head` points there, which is for all but the first.
    #[inline]
    fn head_of(&mut self, owner: &Owner<'_>, start: usize, head: &[u8; 10]) {
        if start != self.writer.len() && start <= POINTER_REACH {
            self.writer.put(head);
            return;
        }
        self.writer.put(owner.labels);
        match owner.tail {
            Tail::Shared(suffix_octets) => self.writer.put_u16(self.places.pointer(suffix_octets)),
            Tail::Written(octets) => self.writer.put(octets),
        }
        self.writer.put(&head[2..]);
    }

    /// Adds only the signatures over an RRset: the answer to a query for type RRSIG.
    pub(crate) fn only_signatures(&mut self, owner_octets: usize, rrset: &RrSet<'_>) -> Fit {
        let start = self.writer.len();
        if !self.has_room(rrset.signatures_wire_octets()) {
            return Fit::TooLong;
        }
        let owner = self.places.pointer(owner_octets);
        self.signatures_of(Section::Answer, owner, rrset, rrset.ttl);
        Fit::At(start)
    }

    fn signatures_of(&mut self, section: Section, owner: u16, rrset: &RrSet<'_>, ttl: u32) {
        // RFC 4034 §3: an RRSIG's TTL is that of the RRset that it covers.
        let head = record_head(owner, Rtype::RRSIG, ttl);
        for signature in rrset.signatures() {
            self.writer.put(&head);
            self.writer.put(signature.wire);
            self.count(section, 1);
        }
    }

    /// Adds an RRset without compressed names, of the zone whose apex has `apex_octets`, without signatures. The
    /// owner's name stands at `place`; beyond the reach of pointers it is written out, if it is that of the node.
    pub(crate) fn address(
        &mut self,
        place: usize,
        node: Node<'_>,
        apex_octets: usize,
        rrset: &RrSet<'_>,
        need: Need,
    ) -> Fit {
        let start = self.writer.len();
        let apex = self.places.pointer(apex_octets);
        let (name, pointer) =
            if place <= POINTER_REACH { (&[][..], 0xc000 | place as u16) } else { (node.name(), apex) };
        let octets = rrset.wire_octets() + name.len() * usize::from(rrset.count);
        let fits = match need {
            Need::Required => self.has_room(octets),
            Need::Helpful => self.writer.fits(octets),
        };
        let expanded = !name.is_empty() && node.flags().has(NodeFlags::WILDCARD);
        if !fits || expanded {
            return Fit::TooLong;
        }
        let head = record_head(pointer, rrset.rtype, rrset.ttl);
        for record in rrset.records() {
            self.writer.put(name);
            self.writer.put(&head);
            self.writer.put(record.wire);
        }
        self.count(Section::Additional, rrset.count);
        Fit::At(start)
    }

    /// Adds the signatures over an address RRset that [`Self::address`] added. Without them the reply is as whole (RFC
    /// 4035 §3.1.1).
    pub(crate) fn address_signatures(&mut self, place: usize, rrset: &RrSet<'_>) -> Fit {
        let start = self.writer.len();
        if place > POINTER_REACH || !self.writer.fits(rrset.signatures_wire_octets()) {
            return Fit::TooLong;
        }
        self.signatures_of(Section::Additional, 0xc000 | place as u16, rrset, rrset.ttl);
        Fit::At(start)
    }

    /// Adds a CNAME at the name at hand whose target is the name's own first `prefix`, followed by the name that
    /// stands at `tail` in the reply (RFC 6672 §3.3). Returns where the target starts.
    pub(crate) fn synthesized_cname(
        &mut self,
        name: &[u8],
        prefix: usize,
        tail: usize,
        ttl: u32,
    ) -> Option<usize> {
        let labels = name.get(..prefix)?;
        if tail > POINTER_REACH || !self.has_room(12 + prefix + 2) {
            return None;
        }
        self.writer.put(&record_head(self.places.pointer(name.len()), Rtype::CNAME, ttl));
        self.writer.put_u16((prefix + 2) as u16);
        let target = self.writer.len();
        self.writer.put(labels);
        self.writer.put_u16(0xc000 | tail as u16);
        self.count(Section::Answer, 1);
        Some(target)
    }

    /// Adds a TXT record of one string at the qname, in class CH, with TTL 0 (RFC 4892 §2).
    pub(crate) fn chaos_text(&mut self, text: &[u8]) {
        let text = text.get(..255).unwrap_or(text);
        let mut head =
            record_head(self.places.pointer(usize::from(self.places.stretches[0].octets)), Rtype::TXT, 0);
        head[4..6].copy_from_slice(&Class::CH.0.to_be_bytes());
        if !self.has_room(head.len() + 3 + text.len()) {
            self.cut();
            return;
        }
        self.writer.put(&head);
        self.writer.put_u16(text.len() as u16 + 1);
        self.writer.put_u8(text.len() as u8);
        self.writer.put(text);
        self.count(Section::Answer, 1);
    }

    /// Whether the OPT record holds options, or could, in a reply of this kind.
    #[inline]
    pub(crate) fn has_options(&self, kind: Kind) -> bool {
        self.edns.is_some_and(|edns| {
            !edns.asked.is_empty() || kind == Kind::Error || self.context.report_agent().is_some()
        })
    }

    /// What the client asked for by options.
    pub(crate) fn asked(&self) -> Asked {
        self.edns.map_or(Asked::default(), |edns| edns.asked)
    }

    /// Adds options behind the finished reply, whose OPT record stands last, and returns the reply's octets.
    pub(crate) fn add_options(&mut self, extras: &Extras<'_>) -> usize {
        if let Some(edns) = self.edns
            && !self.writer.overflowed()
        {
            options::write(&mut self.writer, edns, self.context, &self.cookie, extras);
        }
        self.writer.len()
    }

    /// Adds the OPT record if the client sent one, still without options, writes flags and counts, and returns the
    /// reply's octets.
    #[inline(always)]
    pub(crate) fn finish(&mut self, rcode: Rcode) -> usize {
        if let Some(edns) = self.edns {
            self.writer.set_limit(self.limit);
            let [o0, o1] = Rtype::OPT.0.to_be_bytes();
            let [p0, p1] = self.context.udp_payload().to_be_bytes();
            // DO as the client set it (RFC 6891 §6.1.3, RFC 3225 §3).
            let [f0, f1] = (edns.flags & DO).to_be_bytes();
            // Extended code, version 0; no options so far.
            self.writer.put(&[0, o0, o1, p0, p1, (rcode.0 >> 4) as u8, 0, f0, f1, 0, 0]);
            self.count(Section::Additional, 1);
        }
        if self.truncation == Truncation::Cut {
            self.flags |= header::TC;
        }
        let [answer, authority, additional] = self.counts;
        let flags = self.flags | (rcode.0 & 0xf);
        self.writer.set_header([flags, self.questions, answer, authority, additional]);
        self.writer.len()
    }

    #[inline]
    fn record(&mut self, head: &[u8], record: &Record<'_>, rrset_start: usize) {
        self.writer.put(head);
        let at = self.writer.len();
        self.writer.put(record.wire);
        for patch in record.patches() {
            let pointer = match patch.target {
                Target::Suffix(octets) => self.places.pointer(octets),
                Target::Within(distance) => 0xc000 | (rrset_start + distance) as u16,
            };
            self.writer.set_u16(at + patch.place, pointer);
        }
    }

    #[inline]
    fn count(&mut self, section: Section, records: u16) {
        let index = section.count_offset() / 2 - 3;
        self.counts[index] += records;
    }
}

/// Owner, type, class IN and TTL of a record.
#[inline]
fn record_head(owner: u16, rtype: Rtype, ttl: u32) -> [u8; 10] {
    // As one number, of which the processor turns the octets at once.
    let start = u64::from(owner) << 48 | u64::from(rtype.0) << 32 | 1 << 16 | u64::from(ttl >> 16);
    let mut head = [0; 10];
    head[..8].copy_from_slice(&start.to_be_bytes());
    head[8..].copy_from_slice(&(ttl as u16).to_be_bytes());
    head
}
