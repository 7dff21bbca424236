//! The algorithm of RFC 1034 §4.3.2, as RFC 2308, 4592, 6604, 6672 and 9471 clarify it.
//!
//! 1. The zone with the longest apex that encloses the name; for DS the parent's zone (RFC 4035 §3.1.4.1).
//! 2. The name's node, or the longest existing suffix of the name, which is a cut, a DNAME's owner or the
//!    closest encloser: the image lists nothing below cuts and DNAMEs.
//! 3. From there a referral, a redirection, the wildcard's or the name's own data, or a denial.
//!
//! An alias starts over with its target, within this set of zones and at most [`MAX_ALIASES`] times. A chain
//! that ends elsewhere, in a loop or at the bound is an answer as far as it goes: NOERROR (a loop is a fault
//! of the data, RFC 1034 §3.6.2). The response code is that of the last name (RFC 6604 §3).

use pharos_wire::hash::HashedName;
use pharos_wire::header::Section;
use pharos_wire::name::MAX_OCTETS;
use pharos_wire::{Rcode, Rtype};
use pharos_zonedb::image::{Along, Need, NodeFlags, RECORD_HEAD, Target};
use pharos_zonedb::{Enclosing, Foresight, Glimpse, Match, Node, RrSet, ZoneImage, ZoneSet, ZoneState};

use crate::context::AnyPolicy;
use crate::denial::{Missing, Proofs};
use crate::helpful::Told;
use crate::observe::{self, End, Observer, Proves, Step, Subject};
use crate::reply::{Fit, LINKABLE, Owner, Reply, Signatures, Tail};
use crate::verdict::{Kind, Truncation};

/// Aliases followed in one reply. Resolvers give up after 8 to 16, and each takes a look-up.
pub(crate) const MAX_ALIASES: usize = 12;

/// From where a record starts to its rdata: the pointer to its owner, type, class, TTL and length.
const RDATA: usize = RECORD_HEAD + 2;

/// The zone that answers for a name and type.
#[inline]
pub(crate) fn zone_of<'s>(zones: &'s ZoneSet, name: &HashedName, qtype: Rtype) -> Option<Enclosing<'s>> {
    let found = zones.enclosing(name, 0)?;
    if qtype == Rtype::DS && found.apex_label == 0 {
        // The parent has the DS records of a child, also where both are served here (RFC 4035 §3.1.4.1).
        return zones.enclosing(name, 1).or(Some(found));
    }
    Some(found)
}

/// One answer in the making.
pub(crate) struct Resolver<'q, 's, 'r, 'o, 'c, O> {
    /// The name at hand: the qname, then the targets of aliases.
    pub(crate) name: &'q mut HashedName,
    /// What that name's zone says of it at a glimpse.
    pub(crate) glimpse: Glimpse,
    /// What was found out about that name in its zone, if anything was.
    pub(crate) foresight: Option<&'q Foresight>,
    pub(crate) qtype: Rtype,
    pub(crate) any: AnyPolicy,
    pub(crate) zones: &'s ZoneSet,
    pub(crate) reply: &'r mut Reply<'o, 'c>,
    pub(crate) observer: &'r mut O,
}

/// Where one name led.
enum Next {
    /// The answer is complete.
    Done(Rcode, Kind),
    /// The name was an alias; its target is now the name at hand.
    Alias,
}

/// What aliases left behind.
struct Chain<'s> {
    followed: usize,
    /// None before the first alias: most names are none, and need not pay for the room.
    trail: Option<Trail<'s>>,
    /// What the authority section must prove, if the client wants proofs.
    proofs: Proofs<'s>,
}

/// Names, so that a loop is seen, and DNAMEs, so that none is repeated.
#[derive(Default)]
struct Trail<'s> {
    names: [u64; MAX_ALIASES],
    /// Each with the place of its target in the reply.
    dnames: [Option<(Node<'s>, usize)>; MAX_ALIASES],
}

impl<'s, O: Observer> Resolver<'_, 's, '_, '_, '_, O> {
    /// Answers the name at hand, which lies in `zone`.
    pub(crate) fn run(&mut self, zone: Enclosing<'s>) -> (Rcode, Kind) {
        self.note(Step::Zone { zone: zone.zone, apex_label: zone.apex_label });
        let ZoneState::Live(image) = zone.state else {
            self.note(Step::NotLoaded);
            return (Rcode::SERVFAIL, Kind::Error);
        };
        let mut chain = Chain { followed: 0, trail: None, proofs: Proofs::none() };
        match self.name(image, zone.apex_label, &mut chain) {
            Next::Done(rcode, kind) => (rcode, kind),
            Next::Alias => self.follow(&mut chain),
        }
    }

    /// Answers the target of an alias, and so on.
    fn follow(&mut self, chain: &mut Chain<'s>) -> (Rcode, Kind) {
        let so_far = (Rcode::NOERROR, Kind::Answer);
        (self.glimpse, self.foresight) = (Glimpse::NotTaken, None);
        loop {
            self.name.hash(self.zones.key());
            let known = chain.has_passed(self.name);
            if known || chain.followed >= MAX_ALIASES || self.reply.len() > LINKABLE {
                let bound = if chain.followed >= MAX_ALIASES { End::Bound } else { End::Length };
                self.note(Step::ChainEnds(if known { End::Loop } else { bound }));
                self.prove(None, chain);
                return so_far;
            }
            let Some(zone) = zone_of(self.zones, self.name, self.qtype) else {
                self.note(Step::NoZone);
                self.prove(None, chain);
                return so_far;
            };
            self.note(Step::Zone { zone: zone.zone, apex_label: zone.apex_label });
            let ZoneState::Live(image) = zone.state else {
                // The client's next query, for the target itself, will be told.
                self.note(Step::NotLoaded);
                self.prove(None, chain);
                return so_far;
            };
            if let Next::Done(rcode, kind) = self.name(image, zone.apex_label, chain) {
                return (rcode, if kind == Kind::Referral { Kind::Answer } else { kind });
            }
        }
    }

    /// One name in one zone: steps 2 and 3.
    #[inline]
    fn name(&mut self, image: &'s ZoneImage, apex_label: usize, chain: &mut Chain<'s>) -> Next {
        let Match { node, label } = match self.foresight {
            Some(foresight) => image.foreseen(foresight),
            None => image.find_glimpsed(self.name, apex_label, self.glimpse),
        };
        let flags = node.flags();
        if flags.has(NodeFlags::CUT) && !(label == 0 && self.qtype == Rtype::DS) {
            return self.referral(image, node, label, chain);
        }
        self.reply.authoritative();
        if label == 0 {
            self.note(Step::Exists(node));
            return self.data(image, node, None, chain);
        }
        if flags.has(NodeFlags::DNAME) {
            return self.dname(image, node, label, chain);
        }
        self.note(Step::ClosestEncloser(label));
        let hash = self.foresight.and_then(Foresight::next_closer_hash);
        if flags.has(NodeFlags::WILDCARD_CHILD)
            && let Some(wildcard) = image.wildcard(self.name, self.zones.key(), label)
        {
            self.note(Step::Wildcard(wildcard));
            if self.wants_proofs() {
                let missing = Missing { image, name: self.name, encloser: node, label, hash };
                chain.proofs.expanded(missing, &mut tell(self.observer, self.name));
            }
            return self.data(image, wildcard, Some((node, label)), chain);
        }
        self.note(Step::NxDomain);
        if self.wants_proofs() {
            let missing = Missing { image, name: self.name, encloser: node, label, hash };
            chain.proofs.no_name(missing, &mut tell(self.observer, self.name));
        }
        self.negative(image, Rcode::NXDOMAIN, Kind::NxDomain, chain)
    }

    /// The node is that of the name; or it is the wildcard below the name's closest `encloser`, which starts at that
    /// label: step 3a.
    #[inline]
    fn data(
        &mut self,
        image: &'s ZoneImage,
        node: Node<'s>,
        encloser: Option<(Node<'s>, usize)>,
        chain: &mut Chain<'s>,
    ) -> Next {
        if let Some(rrset) = node.rrset(self.qtype) {
            if chain.has_dname_of(node, rrset.rtype) {
                self.prove(Some(image), chain);
                return Next::Done(Rcode::NOERROR, Kind::Answer);
            }
            return match self.answer(&rrset) {
                Fit::At(start) => {
                    self.prove(Some(image), chain);
                    self.additional(image, &rrset, start, Need::Helpful);
                    Next::Done(Rcode::NOERROR, Kind::Answer)
                }
                Fit::TooLong => Next::Done(Rcode::NOERROR, Kind::Answer),
            };
        }
        // Signatures may stand beside a CNAME (RFC 4034 §3); without any the alias is followed.
        if self.qtype == Rtype::ANY && self.all(node, chain)
            || self.qtype == Rtype::RRSIG && self.all_signatures(node)
        {
            self.prove(Some(image), chain);
            return Next::Done(Rcode::NOERROR, Kind::Answer);
        }
        if node.flags().has(NodeFlags::CNAME) && self.qtype != Rtype::ANY {
            return self.cname(node, chain);
        }
        self.note(Step::NoData);
        if self.wants_proofs() {
            let tell = &mut tell(self.observer, self.name);
            match encloser {
                Some((encloser, label)) => {
                    chain.proofs.no_type_at_wildcard(image, encloser, node, label, tell);
                }
                None => chain.proofs.no_type(image, node, Subject::Suffix(0), tell),
            }
        }
        self.negative(image, Rcode::NOERROR, Kind::NoData, chain)
    }

    /// Adds an RRset of the name at hand to the answer section.
    #[inline]
    fn answer(&mut self, rrset: &RrSet<'_>) -> Fit {
        self.put(Section::Answer, self.name.octets(), rrset, rrset.ttl)
    }

    /// Adds an RRset that the client needs, of the suffix of `owner_octets` octets of the name at hand.
    #[inline]
    fn put(&mut self, section: Section, owner_octets: usize, rrset: &RrSet<'_>, ttl: u32) -> Fit {
        let fit = self.reply.rrset(section, owner_octets, rrset, ttl);
        match fit {
            Fit::At(_) => {
                let (owner, octets) = (observe::Owner::Suffix(owner_octets), self.reply.len());
                self.note(Step::Put { section, owner, rrset: *rrset, ttl, octets });
            }
            Fit::TooLong => self.too_long(rrset.rtype),
        }
        fit
    }

    /// The name at hand is an alias by CNAME.
    fn cname(&mut self, node: Node<'s>, chain: &mut Chain<'s>) -> Next {
        let done = Next::Done(Rcode::NOERROR, Kind::Answer);
        let Some(rrset) = node.rrset(Rtype::CNAME) else { return done };
        let Fit::At(start) = self.answer(&rrset) else { return done };
        let Some(record) = rrset.records().next() else { return done };
        // What is written of the target, and how many octets of the name at hand complete it.
        let (head, kept) = match record.patches().next().map(|patch| (patch.place, patch.target)) {
            Some((place, Target::Suffix(kept))) => (record.wire.get(2..place).unwrap_or_default(), kept),
            _ => (record.rdata(), 0),
        };
        self.note(Step::Alias);
        chain.pass(self.name);
        let tail = self.name.octets() - kept.min(self.name.octets());
        if !self.rename(head, tail, None) {
            return done;
        }
        self.reply.places.follow(start + RDATA, head.len() + kept, kept);
        Next::Alias
    }

    /// A DNAME above the name at hand redirects it (RFC 6672 §3.2).
    fn dname(&mut self, image: &'s ZoneImage, node: Node<'s>, label: usize, chain: &mut Chain<'s>) -> Next {
        self.note(Step::Dname(label));
        let done = Next::Done(Rcode::NOERROR, Kind::Answer);
        let Some(rrset) = node.rrset(Rtype::DNAME) else { return done };
        let Some(record) = rrset.records().next() else { return done };
        let owner_octets = self.name.suffix_octets(label);
        let target = record.rdata();
        let place = match chain.place_of_dname(node) {
            Some(place) => place,
            None => match self.put(Section::Answer, owner_octets, &rrset, rrset.ttl) {
                Fit::At(start) => start + RDATA,
                Fit::TooLong => return done,
            },
        };
        chain.note_dname(node, place);
        let prefix = self.name.octets() - owner_octets;
        if prefix + target.len() > MAX_OCTETS {
            self.note(Step::NameTooLong);
            self.prove(Some(image), chain);
            return Next::Done(Rcode::YXDOMAIN, Kind::Error); // RFC 6672 §2.2
        }
        // The synthesized CNAME has the DNAME's TTL (RFC 6672 §3.1).
        let Some(written) = self.reply.synthesized_cname(self.name.as_wire(), prefix, place, rrset.ttl)
        else {
            self.too_long(Rtype::CNAME);
            return done;
        };
        self.note(Step::Synthesized);
        if matches!(self.qtype, Rtype::CNAME | Rtype::ANY) {
            return done; // The CNAME is what was asked for (RFC 1034 §4.3.2 step 3a).
        }
        self.note(Step::Alias);
        chain.pass(self.name);
        if !self.rename(&[], prefix, Some(target)) {
            return done;
        }
        self.reply.places.follow(place, target.len(), 0);
        self.reply.places.follow(written, prefix + target.len(), target.len());
        Next::Alias
    }

    /// Makes another name the one at hand: for a CNAME `head` and then the old name from octet `at` on, for a
    /// DNAME the old name up to octet `at` and then `target`.
    fn rename(&mut self, head: &[u8], at: usize, target: Option<&[u8]>) -> bool {
        let old = self.name.as_wire();
        let parts = match target {
            None if at < old.len() => [head, old.get(at..).unwrap_or_default()],
            None => [head, &[]],
            Some(target) => [old.get(..at).unwrap_or_default(), target],
        };
        let mut octets = [0; MAX_OCTETS];
        let mut len = 0;
        for part in parts {
            let Some(room) = octets.get_mut(len..len + part.len()) else { return false };
            room.copy_from_slice(part);
            len += part.len();
        }
        self.name.set(octets.get(..len).unwrap_or_default()).is_ok()
    }

    /// A cut stands at or above the name: step 3b.
    fn referral(&mut self, image: &'s ZoneImage, cut: Node<'s>, label: usize, chain: &mut Chain<'s>) -> Next {
        self.note(Step::Cut(label));
        let done = Next::Done(Rcode::NOERROR, Kind::Referral);
        let Some(servers) = cut.rrset(Rtype::NS) else { return done };
        let owner_octets = self.name.suffix_octets(label);
        let Fit::At(start) = self.put(Section::Authority, owner_octets, &servers, servers.ttl) else {
            return done;
        };
        if self.wants_proofs() {
            // RFC 4035 §3.1.4: the DS RRset, or that there is none.
            match cut.rrset(Rtype::DS) {
                None => {
                    let tell = &mut tell(self.observer, self.name);
                    chain.proofs.no_type(image, cut, Subject::Suffix(label), tell);
                }
                // An unsigned zone proves nothing about its children.
                Some(ds) if ds.signatures().next().is_none() => {}
                Some(ds) => {
                    if self.put(Section::Authority, owner_octets, &ds, ds.ttl) == Fit::TooLong {
                        return done;
                    }
                }
            }
        }
        self.prove(Some(image), chain);
        self.additional(image, &servers, start, Need::Required);
        if self.reply.truncation == Truncation::Whole {
            self.additional(image, &servers, start, Need::Helpful);
        }
        done
    }

    /// Adds the addresses of names in an RRset that stands at `start`, as far as they are needed so much and fit.
    #[inline]
    fn additional(&mut self, image: &'s ZoneImage, rrset: &RrSet<'s>, start: usize, need: Need) {
        if rrset.has_extras() {
            if rrset.leads_on() {
                self.services(image, rrset, start);
            } else {
                self.addresses(image, rrset, start, need);
            }
        }
    }

    /// Adds what an RRset of the name at hand, which stands at `start` in the answer section, leads to, and what that
    /// leads to. None of it is required.
    #[cold]
    #[inline(never)]
    fn services(&mut self, image: &'s ZoneImage, rrset: &RrSet<'s>, start: usize) {
        let owner = self.reply.place_of(self.name.octets());
        let mut told = Told::answer(*rrset, owner, start);
        let mut left_out = 0;
        let mut at = 0;
        while let Some(from) = told.to_follow(at) {
            for extra in from.rrset.extras() {
                let place = if extra.place == 0 { from.owner } else { from.start + extra.place };
                let node = extra.node;
                let types = match extra.along {
                    Along::Addresses => [Some(Rtype::A), Some(Rtype::AAAA)],
                    Along::Service if from.rrset.rtype == Rtype::NAPTR => [Some(Rtype::SRV), None],
                    Along::Service => [Some(from.rrset.rtype), None],
                };
                for found in types.into_iter().flatten().filter_map(|rtype| node.rrset(rtype)) {
                    if told.has(&found, node, place, self.reply) {
                        continue;
                    }
                    match self.reply.address(place, node, image.apex_octets(), &found, Need::Helpful) {
                        Fit::At(start) => {
                            told.add(found, node, place, start);
                            let (need, octets) = (Need::Helpful, self.reply.len());
                            self.note(Step::Additional { node, rrset: found, need, octets });
                        }
                        Fit::TooLong => {
                            self.note(Step::LeftOut { node, rtype: found.rtype });
                            left_out += 1;
                        }
                    }
                }
            }
            at += 1;
        }
        if self.wants_proofs() && left_out == 0 {
            for (node, found, place) in told.added() {
                self.sign_additional(node, &found, place);
            }
        }
    }

    fn addresses(&mut self, image: &'s ZoneImage, rrset: &RrSet<'s>, start: usize, need: Need) {
        let mut left_out = 0;
        for extra in rrset.extras().filter(|extra| extra.need == need) {
            for rtype in [Rtype::A, Rtype::AAAA] {
                let (node, place) = (extra.node, start + extra.place);
                let Some(addresses) = node.rrset(rtype) else { continue };
                match (self.reply.address(place, node, image.apex_octets(), &addresses, need), need) {
                    (Fit::At(_), _) => {
                        let octets = self.reply.len();
                        self.note(Step::Additional { node, rrset: addresses, need, octets });
                    }
                    (Fit::TooLong, Need::Helpful) => {
                        self.note(Step::LeftOut { node, rtype });
                        left_out += 1;
                    }
                    (Fit::TooLong, Need::Required) => {
                        self.too_long(rtype); // RFC 9471 §3.1
                        return;
                    }
                }
            }
        }
        // Required is glue, which nobody signs. Where an address has no room, no signature has.
        if self.wants_proofs() && need == Need::Helpful && left_out == 0 {
            self.additional_signatures(rrset, start);
        }
    }

    /// Adds, behind all addresses, the signatures over them, as far as they fit (RFC 4035 §3.1.1).
    fn additional_signatures(&mut self, rrset: &RrSet<'s>, start: usize) {
        for extra in rrset.extras().filter(|extra| extra.need == Need::Helpful) {
            let node = extra.node;
            for rtype in [Rtype::A, Rtype::AAAA] {
                let signed = node.rrset(rtype).filter(|addresses| addresses.signatures().next().is_some());
                let Some(addresses) = signed else { continue };
                self.sign_additional(node, &addresses, start + extra.place);
            }
        }
    }

    /// Adds the signatures over an additional RRset whose owner's name stands at `place`, if they fit.
    fn sign_additional(&mut self, node: Node<'s>, rrset: &RrSet<'s>, place: usize) {
        if rrset.signatures().next().is_none() {
            return;
        }
        match self.reply.address_signatures(place, rrset) {
            Fit::At(_) => self.note(Step::AdditionalSignatures { node, rtype: rrset.rtype }),
            Fit::TooLong => self.note(Step::LeftOut { node, rtype: Rtype::RRSIG }),
        }
    }

    /// The SOA that lets a denial be cached (RFC 2308 §3).
    fn negative(&mut self, image: &'s ZoneImage, rcode: Rcode, kind: Kind, chain: &Chain<'s>) -> Next {
        if let Some(soa) = image.apex_node().rrset(Rtype::SOA) {
            self.put(Section::Authority, image.apex_octets(), &soa, image.negative_ttl());
        }
        self.prove(Some(image), chain);
        Next::Done(rcode, kind)
    }

    /// Whether the client asked for DNSSEC records.
    #[inline]
    fn wants_proofs(&self) -> bool {
        self.reply.signatures == Signatures::Along
    }

    /// Adds the NSEC or NSEC3 records gathered on the way; the name at hand lies in the zone `here`, if in any.
    #[inline]
    fn prove(&mut self, here: Option<&'s ZoneImage>, chain: &Chain<'s>) {
        for node in chain.proofs.nodes() {
            let Some(record) = node.rrset(Rtype::NSEC).or_else(|| node.rrset(Rtype::NSEC3)) else { continue };
            let zone = node.image();
            let owner = match here {
                // A hash directly below the apex, of which nobody asks for more than the apex.
                Some(here) if std::ptr::eq(here, zone) && record.rtype == Rtype::NSEC3 => {
                    Owner { labels: node.name(), tail: Tail::Shared(zone.apex_octets()) }
                }
                Some(here) if std::ptr::eq(here, zone) => {
                    Owner::share(node.name(), zone.relative(self.name.as_wire()), zone.apex_octets())
                }
                _ => Owner { labels: node.name(), tail: Tail::Written(zone.apex().as_wire()) },
            };
            let section = Section::Authority;
            if self.reply.rrset_of(section, &owner, &record) == Fit::TooLong {
                self.too_long(record.rtype);
                return;
            }
            let (owner, octets) = (observe::Owner::Node(node), self.reply.len());
            self.note(Step::Put { section, owner, rrset: record, ttl: record.ttl, octets });
        }
    }

    /// Type ANY: some or all RRsets of the node (RFC 8482); whether there were any.
    fn all(&mut self, node: Node<'s>, chain: &Chain<'s>) -> bool {
        let wanted = match self.any {
            AnyPolicy::Minimal => 1,
            AnyPolicy::Full => usize::MAX,
        };
        let mut found = false;
        for rrset in node.rrsets().take(wanted) {
            found = true;
            if !chain.has_dname_of(node, rrset.rtype) && self.answer(&rrset) == Fit::TooLong {
                break;
            }
        }
        found
    }

    /// Type RRSIG: the signatures over the node's RRsets; whether there were any.
    fn all_signatures(&mut self, node: Node<'s>) -> bool {
        let mut found = false;
        for rrset in node.rrsets().filter(|rrset| rrset.signatures().next().is_some()) {
            found = true;
            if self.reply.only_signatures(self.name.octets(), &rrset) == Fit::TooLong {
                self.too_long(Rtype::RRSIG);
                break;
            }
            self.note(Step::Signatures(rrset));
        }
        found
    }

    /// Something that the client needs did not fit: the TC bit (RFC 2181 §9).
    #[cold]
    fn too_long(&mut self, rtype: Rtype) {
        let octets = self.reply.len();
        self.note(Step::DidNotFit { rtype, octets });
        self.reply.cut();
    }

    #[inline(always)]
    fn note(&mut self, step: Step<'_>) {
        self.observer.note(self.name, step);
    }
}

/// Passes on which proofs are needed.
#[inline(always)]
fn tell<'n, 's, O: Observer>(
    observer: &'n mut O,
    name: &'n HashedName,
) -> impl FnMut(Node<'s>, Proves, Subject) + use<'n, 's, O> {
    move |record, proves, of| observer.note(name, Step::Needs { record, proves, of })
}

impl<'s> Chain<'s> {
    /// Whether this is the DNAME RRset of a node whose DNAME led here: no record stands in an answer twice
    /// (RFC 2181 §5).
    #[inline]
    fn has_dname_of(&self, node: Node<'s>, rtype: Rtype) -> bool {
        rtype == Rtype::DNAME && self.place_of_dname(node).is_some()
    }

    /// Where the target of a node's DNAME stands in the reply, if that led here.
    fn place_of_dname(&self, node: Node<'s>) -> Option<usize> {
        let mut dnames = self.trail.iter().flat_map(|trail| &trail.dnames).flatten();
        dnames.find(|(known, _)| *known == node).map(|&(_, place)| place)
    }

    /// Remembers that a node's DNAME, whose target stands there in the reply, leads on.
    fn note_dname(&mut self, node: Node<'s>, place: usize) {
        let trail = self.trail.get_or_insert_default();
        if let Some(slot) = trail.dnames.get_mut(self.followed) {
            *slot = Some((node, place));
        }
    }

    /// Whether the name was at hand before.
    fn has_passed(&self, name: &HashedName) -> bool {
        let names = self.trail.iter().flat_map(|trail| &trail.names).take(self.followed);
        names.into_iter().any(|&hash| hash == name.suffix_hash(0))
    }

    /// Remembers the name at hand, which is about to be left for an alias' target.
    fn pass(&mut self, name: &HashedName) {
        if let Some(slot) = self.trail.get_or_insert_default().names.get_mut(self.followed) {
            *slot = name.suffix_hash(0);
        }
        self.followed += 1;
    }
}
