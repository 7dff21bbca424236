//! What a reply should hold: RFC 1034 §4.3.2 once more, as slow and as obvious as it can be written.
//!
//! Zones are ordered maps from names to RRsets, names are lists of labels from the root, and every step walks
//! down one label at a time, as the RFC tells it. Nothing is shared with the answering code but the numbers of
//! types. Unsigned zones only.
//!
//! Where the RFCs leave a choice (which addresses go into the additional section, which RRset answers ANY), the
//! model knows what must and what may be there. Called by the tests of random zones and by the fuzz targets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pharos_answer::{AnyPolicy, Kind, Transport};
use pharos_wire::{Class, Name, Rcode, Rtype};

use crate::query::Ask;
use crate::reply::{Record, Reply};

/// How many aliases a reply follows. RFC 1034 sets no bound; this is the responder's, documented in its crate.
const MAX_ALIASES: usize = 12;

/// A name: its labels from the root, in lower case.
type Labels = Vec<Vec<u8>>;

/// An RRset's TTL and data.
#[derive(Clone, Default, Debug)]
struct RrSet {
    ttl: u32,
    rdata: BTreeSet<Vec<u8>>,
}

type Names = BTreeMap<Labels, BTreeMap<Rtype, RrSet>>;

/// Zones, and what is not decided by the RFCs.
#[derive(Debug)]
pub struct Model {
    /// By apex; without names where the zone is not loaded.
    zones: BTreeMap<Labels, Option<Names>>,
    any: AnyPolicy,
}

/// A record as the model compares it: owner and names in rdata without case.
type Rr = (Labels, Rtype, u32, Vec<u8>);

/// What a reply should hold.
#[derive(Debug)]
struct Expected {
    rcode: Rcode,
    kind: Kind,
    authoritative: bool,
    answer: BTreeSet<Rr>,
    /// For ANY: the sets of which the answer may be one.
    one_of: Vec<BTreeSet<Rr>>,
    authority: BTreeSet<Rr>,
    /// What may stand in the authority section too.
    unasked: BTreeSet<Rr>,
    /// In-domain glue (RFC 9471 §3.1).
    required: BTreeSet<Rr>,
    /// Other addresses that help.
    helpful: BTreeSet<Rr>,
}

impl Model {
    /// No zones.
    pub fn new(any: AnyPolicy) -> Self {
        Self { zones: BTreeMap::new(), any }
    }

    /// Adds a zone with its records, which must all lie within it.
    pub fn add<'r>(&mut self, apex: &Name, records: impl IntoIterator<Item = &'r Record>) {
        let mut names = Names::new();
        for record in records {
            let sets = names.entry(labels(&record.owner)).or_default();
            let set = sets.entry(record.rtype).or_insert(RrSet { ttl: record.ttl, rdata: BTreeSet::new() });
            set.rdata.insert(folded(record.rtype, &record.rdata));
        }
        self.zones.insert(labels(apex.as_wire()), Some(names));
    }

    /// Adds a zone that is configured and was never loaded.
    pub fn add_not_loaded(&mut self, apex: &Name) {
        self.zones.insert(labels(apex.as_wire()), None);
    }

    /// Judges a reply, and tells its kind.
    ///
    /// # Errors
    /// What differs from what the RFCs ask for.
    pub fn judge(&self, ask: &Ask, reply: &Reply, udp_payload: usize) -> Result<Kind, String> {
        let expected = self.expect(ask);
        let limit = match ask.transport() {
            Transport::Udp => ask.payload().min(udp_payload),
            Transport::Tcp => 65_535,
        };
        expected
            .judge(reply, limit)
            .map_err(|what| format!("{what}\nasked: {ask}\nexpected: {expected}\ngot: {reply}"))?;
        Ok(expected.kind)
    }

    fn expect(&self, ask: &Ask) -> Expected {
        let mut expected = Expected::new();
        let mut name = labels(ask.qname());
        let mut left_behind = Vec::new();
        // RFC 1034 §4.3.2: an alias starts over with its target; a loop or the bound ends the chain.
        while left_behind.len() < MAX_ALIASES && !left_behind.contains(&name) {
            let first = left_behind.is_empty();
            match self.zone_of(&name, ask.qtype()) {
                None if first => expected.set(Rcode::REFUSED, Kind::Error),
                Some((_, None)) if first => expected.set(Rcode::SERVFAIL, Kind::Error),
                None | Some((_, None)) => {}
                Some((apex, Some(names))) => {
                    let zone = Zone { apex, names };
                    if let Some(target) = zone.step(&name, ask, self.any, &mut expected) {
                        left_behind.push(std::mem::replace(&mut name, target));
                        expected.set(Rcode::NOERROR, Kind::Answer);
                        continue;
                    }
                    if !first && expected.kind == Kind::Referral {
                        expected.kind = Kind::Answer;
                    }
                }
            }
            break;
        }
        expected
    }

    /// The nearest ancestor zone (step 2); for DS that of the parent, if it is served (RFC 4035 §3.1.4.1).
    fn zone_of(&self, name: &Labels, qtype: Rtype) -> Option<(&Labels, Option<&Names>)> {
        let of_depth = |depth: usize| {
            let (apex, names) = self.zones.get_key_value(&name[..depth])?;
            Some((apex, names.as_ref()))
        };
        let nearest = (0..=name.len()).rev().find_map(of_depth)?;
        if qtype == Rtype::DS && nearest.0 == name {
            return (0..name.len()).rev().find_map(of_depth).or(Some(nearest));
        }
        Some(nearest)
    }
}

/// One zone at hand.
struct Zone<'m> {
    apex: &'m Labels,
    names: &'m Names,
}

impl Zone<'_> {
    /// Step 3: matches down, label by label. Returns the target if the name is an alias.
    fn step(&self, name: &Labels, ask: &Ask, any: AnyPolicy, expected: &mut Expected) -> Option<Labels> {
        let qtype = ask.qtype();
        for depth in self.apex.len()..=name.len() {
            let here = &name[..depth];
            let whole = depth == name.len();
            // Step 3b: a cut, save for DS, which the parent's side answers (RFC 4035 §3.1.4.1).
            if depth > self.apex.len() && self.has(here, Rtype::NS) && !(whole && qtype == Rtype::DS) {
                self.referral(here, expected);
                return None;
            }
            if !whole && !self.has(here, Rtype::DNAME) && self.exists(&name[..=depth]) {
                continue;
            }
            // What follows is this zone's to say. An alias that leads to a cut leaves AA: it is about the first
            // name (RFC 1035 §4.1.1).
            expected.authoritative = true;
            if whole {
                return self.data(here, here, qtype, any, expected);
            }
            // Step 3c, RFC 6672 §3.2: a DNAME redirects what is below it.
            if let Some(dname) = self.set(here, Rtype::DNAME) {
                let target = self.dname(name, here, dname, expected);
                // RFC 1034 §4.3.2 step 3a: a query for CNAME or ANY has its answer in the synthesized CNAME.
                return target.filter(|_| !matches!(qtype, Rtype::CNAME | Rtype::ANY));
            }
            // Step 3c, RFC 4592 §3.3.1: `here` is the closest encloser, the source of synthesis below it.
            let mut source = here.to_vec();
            source.push(b"*".to_vec());
            if self.names.contains_key(&source) || self.exists(&source) {
                return self.data(&source, name, qtype, any, expected);
            }
            self.denial(Rcode::NXDOMAIN, Kind::NxDomain, expected);
            return None;
        }
        None
    }

    /// Step 3a: the data at `node`, told as the data of `owner`.
    fn data(
        &self,
        node: &[Vec<u8>],
        owner: &[Vec<u8>],
        qtype: Rtype,
        any: AnyPolicy,
        expected: &mut Expected,
    ) -> Option<Labels> {
        let sets = self.names.get(node);
        if qtype == Rtype::ANY {
            let all: Vec<BTreeSet<Rr>> =
                sets.into_iter().flatten().map(|(&rtype, set)| records(owner, rtype, set, set.ttl)).collect();
            if all.is_empty() {
                self.denial(Rcode::NOERROR, Kind::NoData, expected);
            } else if any == AnyPolicy::Full {
                expected.answer.extend(all.into_iter().flatten());
            } else {
                // RFC 8482 §4.1; behind the CNAME of a DNAME, if one led here.
                expected.one_of =
                    all.iter().map(|set| set.union(&expected.answer).cloned().collect()).collect();
            }
        } else if let Some(set) = self.set(node, qtype) {
            expected.answer.extend(records(owner, qtype, set, set.ttl));
            self.additional(owner, qtype, set, None, expected);
            // Circles may lead back to the answer, which is not told twice.
            expected.helpful.retain(|record| !expected.answer.contains(record));
        } else if let Some(set) = self.set(node, Rtype::CNAME) {
            expected.answer.extend(records(owner, Rtype::CNAME, set, set.ttl));
            return set.rdata.first().map(|target| labels(target));
        } else {
            self.denial(Rcode::NOERROR, Kind::NoData, expected);
        }
        None
    }

    fn dname(
        &self,
        name: &Labels,
        here: &[Vec<u8>],
        dname: &RrSet,
        expected: &mut Expected,
    ) -> Option<Labels> {
        expected.answer.extend(records(here, Rtype::DNAME, dname, dname.ttl));
        let mut target = labels(dname.rdata.first()?);
        target.extend_from_slice(&name[here.len()..]);
        let wire = wire(&target);
        if wire.len() > 255 {
            expected.set(Rcode::YXDOMAIN, Kind::Error); // RFC 6672 §2.2
            return None;
        }
        // RFC 6672 §3.1: the synthesized CNAME has the DNAME's TTL.
        expected.answer.insert((name.clone(), Rtype::CNAME, dname.ttl, wire));
        Some(target)
    }

    fn referral(&self, cut: &[Vec<u8>], expected: &mut Expected) {
        expected.kind = Kind::Referral;
        let Some(servers) = self.set(cut, Rtype::NS) else { return };
        expected.authority.extend(records(cut, Rtype::NS, servers, servers.ttl));
        // RFC 4035 §3.1.4 has DS records go along in a signed zone; the model's zones are unsigned.
        self.additional(cut, Rtype::NS, servers, Some(cut), expected);
    }

    /// RFC 2308 §3, §5: the SOA with the lesser of its TTL and its MINIMUM.
    fn denial(&self, rcode: Rcode, kind: Kind, expected: &mut Expected) {
        expected.set(rcode, kind);
        let Some(soa) = self.set(self.apex, Rtype::SOA) else { return };
        let minimum =
            soa.rdata.first().and_then(|rdata| rdata.last_chunk()).map_or(0, |m| u32::from_be_bytes(*m));
        expected.authority.extend(records(self.apex, Rtype::SOA, soa, soa.ttl.min(minimum)));
    }

    /// What an RRset of `owner` leads to, as far as this zone has it; `cut` where the RRset is a delegation.
    fn additional(
        &self,
        owner: &[Vec<u8>],
        rtype: Rtype,
        set: &RrSet,
        cut: Option<&[Vec<u8>]>,
        expected: &mut Expected,
    ) {
        for rdata in &set.rdata {
            let Some((target, types)) = leads(owner, rtype, rdata) else { continue };
            if !target.starts_with(self.apex) || !self.is_told(&target, rtype) {
                continue;
            }
            let source = self.source(&target);
            let in_domain = cut.is_some_and(|cut| target.starts_with(cut));
            for next in types {
                let Some(found) = self.set(&source, next) else { continue };
                let records = records(&target, next, found, found.ttl);
                let known = if in_domain { &mut expected.required } else { &mut expected.helpful };
                let is_new = !records.is_subset(known);
                known.extend(records);
                if is_new && !matches!(next, Rtype::A | Rtype::AAAA) {
                    self.additional(&target, next, found, None, expected);
                }
            }
        }
    }

    /// The name whose data are told as those of `name`: itself, or the wildcard below its closest encloser, if there is
    /// one (RFC 4592 §3.3.1). What is below a cut is not this zone's to expand.
    fn source(&self, name: &[Vec<u8>]) -> Labels {
        let below_cut = (self.apex.len() + 1..=name.len()).any(|depth| self.has(&name[..depth], Rtype::NS));
        if below_cut || self.exists(name) {
            return name.to_vec();
        }
        let encloser = (0..name.len()).rev().find(|&depth| self.exists(&name[..depth]));
        let mut source = name[..encloser.unwrap_or(0)].to_vec();
        source.push(b"*".to_vec());
        source
    }

    /// Whether the addresses of a name may be told: authoritative ones, and glue behind NS records alone.
    fn is_told(&self, target: &Labels, rtype: Rtype) -> bool {
        for depth in self.apex.len()..=target.len() {
            let here = &target[..depth];
            if depth > self.apex.len() && self.has(here, Rtype::NS) {
                return rtype == Rtype::NS;
            }
            if depth < target.len() && self.has(here, Rtype::DNAME) {
                return false; // RFC 6672 §2.4: occluded
            }
        }
        true
    }

    fn set(&self, name: &[Vec<u8>], rtype: Rtype) -> Option<&RrSet> {
        self.names.get(name)?.get(&rtype)
    }

    fn has(&self, name: &[Vec<u8>], rtype: Rtype) -> bool {
        self.set(name, rtype).is_some()
    }

    /// A name exists if it or a name below it has records (RFC 4592 §2.2.2).
    fn exists(&self, name: &[Vec<u8>]) -> bool {
        self.names.range(name.to_vec()..).next().is_some_and(|(next, _)| next.starts_with(name))
    }
}

/// Where a record leads, and to which types there; the names of types 64 and 65 are those of RFC 9460.
fn leads(owner: &[Vec<u8>], rtype: Rtype, rdata: &[u8]) -> Option<(Labels, Vec<Rtype>)> {
    let addresses = vec![Rtype::A, Rtype::AAAA];
    let (target, types) = match rtype {
        Rtype::NS => (labels(rdata), addresses),
        Rtype::MX | Rtype::AFSDB | Rtype::KX => (labels(&rdata[2..]), addresses),
        Rtype::SRV => (labels(&rdata[6..]), addresses),
        // RFC 9460 §4.1: with AliasMode (priority 0) the type itself too.
        Rtype::SVCB | Rtype::HTTPS if rdata[..2] == [0, 0] => {
            (labels(&rdata[2..]), vec![rtype, Rtype::A, Rtype::AAAA])
        }
        // §2.5.2: `.` is the owner.
        Rtype::SVCB | Rtype::HTTPS if rdata[2] == 0 => return Some((owner.to_vec(), addresses)),
        Rtype::SVCB | Rtype::HTTPS => (labels(&rdata[2..]), addresses),
        // RFC 3403 §4.2, RFC 3404 §4.3: by the first of three strings.
        Rtype::NAPTR => {
            let mut at = 4;
            let mut strings = Vec::new();
            for _ in 0..3 {
                let octets = usize::from(rdata[at]);
                strings.push(rdata[at + 1..at + 1 + octets].to_ascii_lowercase());
                at += 1 + octets;
            }
            match &strings[0][..] {
                b"s" => (labels(&rdata[at..]), vec![Rtype::SRV]),
                b"a" => (labels(&rdata[at..]), addresses),
                _ => return None,
            }
        }
        _ => return None,
    };
    // The root as a target means that there is none (RFC 2782, RFC 7505 §3, RFC 9460 §2.5.1).
    (!target.is_empty()).then_some((target, types))
}

impl Expected {
    fn new() -> Self {
        Self {
            rcode: Rcode::NOERROR,
            kind: Kind::Answer,
            authoritative: false,
            answer: BTreeSet::new(),
            one_of: Vec::new(),
            authority: BTreeSet::new(),
            unasked: BTreeSet::new(),
            required: BTreeSet::new(),
            helpful: BTreeSet::new(),
        }
    }

    fn set(&mut self, rcode: Rcode, kind: Kind) {
        (self.rcode, self.kind) = (rcode, kind);
    }

    fn judge(&self, reply: &Reply, limit: usize) -> Result<(), String> {
        let [answer, mut authority, additional] = [0, 1, 2].map(|at| section(&reply.sections[at]));
        for (held, records) in [&answer, &authority, &additional].into_iter().zip(&reply.sections) {
            demand(held.len() == records.len(), "a record stands twice")?;
        }
        authority.retain(|record| !self.unasked.contains(record));
        demand(reply.octets.len() <= limit, "longer than allowed")?;
        demand(reply.is_authoritative() == self.authoritative, "AA")?;
        let may_add: BTreeSet<Rr> = self.required.union(&self.helpful).cloned().collect();
        demand(additional.is_subset(&may_add), "an additional record that nothing asks for")?;
        if reply.is_truncated() {
            // What is there must be right; a chain may have been cut before the name that decides the rcode.
            demand([self.rcode, Rcode::NOERROR].contains(&reply.rcode()), "rcode")?;
            let whole =
                |held: &BTreeSet<Rr>| held.is_subset(&self.answer) || self.one_of.iter().any(|s| held == s);
            demand(whole(&answer) && authority.is_subset(&self.authority), "a record that nothing asks for")?;
            let one = self.one_of.iter().flatten();
            let all =
                one.chain(&self.answer).chain(&self.authority).chain(&self.unasked).chain(&self.required);
            let most: usize = all.map(|(owner, _, _, rdata)| wire(owner).len() + 10 + rdata.len()).sum();
            return demand(most + 12 + 260 + 150 > limit, "TC where everything fits");
        }
        demand(reply.rcode() == self.rcode && reply.replied.kind == self.kind, "rcode or kind")?;
        let one = self.one_of.contains(&answer);
        demand(if self.one_of.is_empty() { answer == self.answer } else { one }, "the answer section")?;
        demand(authority == self.authority, "the authority section")?;
        demand(self.required.is_subset(&additional), "required glue is missing without TC (RFC 9471)")?;
        let roomy = reply.octets.len() + 4096 < limit;
        demand(!roomy || additional == may_add, "an address is missing though it fits")
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rcode, kind, authoritative, .. } = self;
        writeln!(f, "{} {} AA={authoritative}", rcode.label(), kind.label())?;
        let one_of: BTreeSet<Rr> = self.one_of.iter().flatten().cloned().collect();
        let parts = [&self.answer, &one_of, &self.authority, &self.required, &self.helpful];
        for (title, part) in ["answer", "one RRset of", "authority", "glue", "may add"].into_iter().zip(parts)
        {
            for (owner, rtype, ttl, rdata) in part {
                let record = Record {
                    owner: wire(owner),
                    rtype: *rtype,
                    class: Class::IN,
                    ttl: *ttl,
                    rdata: rdata.clone(),
                };
                writeln!(f, "  {title}: {record}")?;
            }
        }
        Ok(())
    }
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn section(records: &[Record]) -> BTreeSet<Rr> {
    let rr = |r: &Record| (labels(&r.owner), r.rtype, r.ttl, folded(r.rtype, &r.rdata));
    records.iter().map(rr).collect()
}

fn records(owner: &[Vec<u8>], rtype: Rtype, set: &RrSet, ttl: u32) -> BTreeSet<Rr> {
    set.rdata.iter().map(|rdata| (owner.to_vec(), rtype, ttl, rdata.clone())).collect()
}

/// Rdata without the case of the names in them (RFC 4343 §3).
fn folded(rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    for (place, _) in pharos_zone::rdata::names(rtype.0, rdata) {
        folded[place].make_ascii_lowercase();
    }
    folded
}

fn labels(wire: &[u8]) -> Labels {
    let mut labels: Labels = pharos_wire::name::Labels::new(wire).map(<[u8]>::to_ascii_lowercase).collect();
    labels.reverse();
    labels
}

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels.iter().rev() {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}
