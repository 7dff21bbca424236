//! What our reply must be: RFC 1034 §4.3.2 and its successors once more, slow and obvious.
//!
//! The rules decide what others may do; here is what ours has to do, in every section, for every query. So a rule
//! that excuses a peer cannot excuse a fault of ours. Nothing is shared with the responder but the reading of zone
//! files. Policies are ours: twelve aliases, one RRset for ANY, no transfers.
//!
//! Called by [`super::judge::judge`] for every reply of ours.

use std::collections::BTreeSet;

use super::facts::{CNAME, DNAME, DS, NS, NSEC, RRSIG, RrSet, SOA, Signed, Zone};
use super::message::{AA, ADDITIONAL, ANSWER, AUTHORITY, Reply, ReplyRecord, TC};
use super::names::DomainName;
use super::queries::{Ask, Shape};
use super::world::World;

/// Aliases that our replies follow at most.
const MAX_ALIASES: usize = 12;

/// Types that lead to addresses, each with where in the rdata the name stands: NS, MX, AFSDB, SRV, KX, SVCB, HTTPS.
const LEADING: [(u16, usize); 7] = [(NS, 0), (15, 2), (18, 2), (SRV, 6), (36, 2), (SVCB, 2), (HTTPS, 2)];

/// Where these lead depends on more than their type.
const NAPTR: u16 = 35;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
const SRV: u16 = 33;

/// Types of addresses.
const ADDRESSES: [u16; 2] = [1, 28];

type Records = BTreeSet<ReplyRecord>;

/// What a reply must hold.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The response code.
    pub rcode: u16,
    /// Whether AA is set.
    pub authoritative: bool,
    /// The answer section.
    pub answer: Records,
    /// If there are any: the answer section is one of these.
    pub one_of: Vec<Records>,
    /// The authority section.
    pub authority: Records,
    /// In-domain glue (RFC 9471 §3.1).
    pub required: Records,
    /// What helps, and must be there if it fits.
    pub helpful: Records,
    /// What the helpful ones lead to in their turn, which must be there if all has room.
    pub further: Records,
    /// Signatures over those addresses, which must be there if they fit (RFC 4035 §3.1.1).
    pub signatures: Records,
    /// Whether aliases lead back to one of them.
    pub comes_back: bool,
}

impl Expected {
    fn error(rcode: u16) -> Self {
        Self { rcode, ..Self::default() }
    }
}

/// Which of the ways to deny that a zone has is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// The NSEC3 chain of this number, where the zone has one; else NSEC.
    Hashed(usize),
    /// NSEC.
    Plain,
}

/// What is expected of our reply to a query; `None` is silence.
pub fn expect(ask: &Ask, world: &World, denial: Denial) -> Option<Expected> {
    match ask.shape {
        Shape::Short | Shape::Response => return None,
        // RFC 1035 §4.1: nothing forbids these.
        Shape::Good
        | Shape::Trailing
        | Shape::AnswerRecord
        | Shape::AdditionalRecord
        | Shape::RecordAfterOpt => {}
        _ => return Some(Expected::error(1)),
    }
    let version = ask.edns.as_ref().map_or(0, |edns| edns.version);
    Some(match (ask.opcode, ask.qclass, ask.qtype) {
        (1.., _, _) => Expected::error(4),
        _ if version > 0 => Expected::error(16), // RFC 6891 §6.1.3
        (_, _, 0 | 41 | 250) => Expected::error(1),
        (_, _, 249) => Expected::error(4),
        (_, 3, _) => chaos(ask),
        (_, 1, 251 | 252) | (_, 0 | 2.., _) => Expected::error(5),
        _ => Walk::new(ask, world, denial).follow(ask.qname.folded()),
    })
}

/// Whether the aliases of a name lead back to one of them.
pub fn comes_back(world: &World, name: &DomainName) -> bool {
    let walk =
        Walk { world, qtype: 1, signed: Signed::Not, denial: Denial::Plain, expected: Expected::default() };
    walk.follow(name.folded()).comes_back
}

/// RFC 4892: two names of class CH, which hold the node's identity.
fn chaos(ask: &Ask) -> Expected {
    let names = ["id.server", "hostname.bind"].map(DomainName::plain);
    if !names.contains(&ask.qname.folded()) {
        return Expected::error(5);
    }
    let mut expected = Expected { authoritative: true, ..Expected::default() };
    if matches!(ask.qtype, 16 | 255) {
        let identity = super::servers::IDENTITY.as_bytes();
        let rdata = [&[identity.len() as u8][..], identity].concat();
        let owner = ask.qname.folded();
        expected.answer.insert(ReplyRecord { owner, rtype: 16, class: 3, ttl: 0, rdata });
    }
    expected
}

/// The way from the qname through the zones.
struct Walk<'w> {
    world: &'w World,
    qtype: u16,
    signed: Signed,
    denial: Denial,
    expected: Expected,
}

impl<'w> Walk<'w> {
    fn new(ask: &Ask, world: &'w World, denial: Denial) -> Self {
        let along = ask.edns.as_ref().is_some_and(|edns| edns.flags & 0x8000 != 0);
        let signed = if along { Signed::Along } else { Signed::Not };
        Self { world, qtype: ask.qtype, signed, denial, expected: Expected::default() }
    }

    /// An alias starts over with its target; a loop, another server's zone or the bound ends the chain.
    fn follow(mut self, mut name: DomainName) -> Expected {
        let mut left_behind: Vec<DomainName> = Vec::new();
        while left_behind.len() < MAX_ALIASES && !left_behind.contains(&name) {
            let first = left_behind.is_empty();
            let apex = self.world.zone_for(&name, self.qtype);
            match (&apex, apex.as_ref().and_then(|apex| self.world.facts.get(apex))) {
                (None, _) if first => return Expected::error(5),
                (Some(_), None) if first => return Expected::error(2),
                (_, None) => break,
                (_, Some(zone)) => match self.step(zone, &name) {
                    Some(target) => left_behind.push(std::mem::replace(&mut name, target)),
                    None => break,
                },
            }
        }
        self.expected.comes_back = left_behind.contains(&name);
        self.expected
    }

    /// Step 3 in one zone: matches down, label by label. Gives the target if the name is an alias.
    fn step(&mut self, zone: &'w Zone, name: &DomainName) -> Option<DomainName> {
        let mut down: Vec<DomainName> = name.ancestors().filter(|above| above.within(&zone.apex)).collect();
        down.reverse();
        for (at, here) in down.iter().enumerate() {
            let whole = here == name;
            // Step 3b: a cut, save for DS, which the parent's side answers (RFC 4035 §3.1.4.1).
            if *here != zone.apex && zone.has(here, NS) && !(whole && self.qtype == DS) {
                self.referral(zone, here);
                return None;
            }
            if !whole && !zone.has(here, DNAME) && zone.exists(&down[at + 1]) {
                continue;
            }
            self.expected.authoritative = true;
            if whole {
                return self.data(zone, here, name);
            }
            if let Some(dname) = zone.set(here, DNAME) {
                return self.dname(name, here, dname);
            }
            // `here` is the closest encloser (RFC 4592 §3.3.1).
            let (wildcard, next_closer) = (here.child(b"*"), &down[at + 1]);
            if zone.exists(&wildcard) {
                self.prove_expansion(zone, name, next_closer);
                return self.data(zone, &wildcard, name);
            }
            self.prove_no_name(zone, name, here, next_closer);
            self.negative(zone, 3);
            return None;
        }
        None
    }

    /// Step 3a: the data at `node`, told as those of `name`.
    fn data(&mut self, zone: &'w Zone, node: &DomainName, name: &DomainName) -> Option<DomainName> {
        let empty = Default::default();
        let sets = zone.names.get(node).unwrap_or(&empty);
        let signatures = || sets.values().flat_map(|set| &set.signatures);
        if self.qtype == 255 && sets.values().any(|set| !set.records.is_empty()) {
            // RFC 8482 §4.1; behind aliases, if some led here.
            let all = sets.values().filter(|set| !set.records.is_empty());
            let told = all.map(|set| set.told(self.signed, name, None));
            self.expected.one_of =
                told.map(|set| set.union(&self.expected.answer).cloned().collect()).collect();
        } else if self.qtype == RRSIG && signatures().next().is_some() {
            let told = signatures().map(|record| ReplyRecord { owner: name.clone(), ..record.clone() });
            self.expected.answer.extend(told);
        } else if let Some(set) = zone.set(node, self.qtype) {
            let told = set.told(self.signed, name, None);
            // What led here is not told twice, nor helped along.
            if !told.is_subset(&self.expected.answer) {
                self.additional(zone, name, set, None, 0);
            }
            self.expected.answer.extend(told);
            // Where it leads back to is there.
            let Expected { answer, helpful, further, signatures, .. } = &mut self.expected;
            further.retain(|record| !helpful.contains(record));
            for extra in [helpful, further, signatures] {
                extra.retain(|record| !answer.contains(record));
            }
        } else if self.qtype != 255
            && let Some(set) = zone.set(node, CNAME)
        {
            self.expected.answer.extend(set.told(self.signed, name, None));
            return set.records.first().map(|record| DomainName::from_wire(&record.rdata).folded());
        } else {
            self.prove_no_type(zone, node, name);
            self.negative(zone, 0);
        }
        None
    }

    fn dname(&mut self, name: &DomainName, here: &DomainName, dname: &RrSet) -> Option<DomainName> {
        self.expected.answer.extend(dname.told(self.signed, here, None));
        let record = dname.records.first()?;
        let kept = name.0.len() - here.0.len();
        let target =
            DomainName(name.0[..kept].to_vec()).under(&DomainName::from_wire(&record.rdata)).folded();
        if target.octets() > 255 {
            self.expected.rcode = 6; // RFC 6672 §2.2
            return None;
        }
        // RFC 6672 §3.1: the synthesized CNAME has the DNAME's TTL.
        let (owner, rdata) = (name.clone(), target.wire());
        self.expected.answer.insert(ReplyRecord { owner, rtype: CNAME, class: 1, ttl: record.ttl, rdata });
        // RFC 1034 §4.3.2 step 3a: a query for CNAME or ANY has its answer.
        (!matches!(self.qtype, CNAME | 255)).then_some(target)
    }

    fn referral(&mut self, zone: &'w Zone, cut: &DomainName) {
        let Some(servers) = zone.set(cut, NS) else { return };
        // Those of a cut are not signed.
        self.expected.authority.extend(servers.told(Signed::Not, cut, None));
        match zone.set(cut, DS) {
            // RFC 4035 §3.1.4; alone they prove nothing.
            Some(ds) if !ds.signatures.is_empty() && self.signed == Signed::Along => {
                self.expected.authority.extend(ds.told(self.signed, cut, None));
            }
            Some(_) => {}
            None => self.prove_no_type(zone, cut, cut),
        }
        self.additional(zone, cut, servers, Some(cut), 0);
    }

    /// RFC 2308 §3: the SOA with the lesser of its TTL and its MINIMUM.
    fn negative(&mut self, zone: &Zone, rcode: u16) {
        self.expected.rcode = rcode;
        let Some(soa) = zone.set(&zone.apex, SOA) else { return };
        let Some(record) = soa.records.first() else { return };
        let minimum = record.rdata.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
        let ttl = Some(record.ttl.min(minimum));
        self.expected.authority.extend(soa.told(self.signed, &zone.apex, ttl));
    }

    /// What the zone has for the names that an RRset of `owner` leads to; `cut` where the RRset is a delegation, and
    /// `depth` how many RRsets led to this one.
    fn additional(
        &mut self,
        zone: &Zone,
        owner: &DomainName,
        set: &RrSet,
        cut: Option<&DomainName>,
        depth: usize,
    ) {
        for record in &set.records {
            let Some((target, types)) = leads(owner, record) else { continue };
            if !target.within(&zone.apex) {
                continue;
            }
            let above = || target.ancestors().skip(1).filter(|above| above.within(&zone.apex));
            // Occluded (RFC 6672 §2.4); and glue is for NS records alone (RFC 2181 §5.4.1).
            let glue = zone.cut(&target).is_some();
            if !glue && above().any(|above| zone.has(&above, DNAME)) || glue && record.rtype != NS {
                continue;
            }
            let mut source = target.clone();
            if !glue && !zone.exists(&target) {
                // RFC 1034 §4.3.2 step 6, RFC 4592 §3.3.1.
                let Some(encloser) = above().find(|above| zone.exists(above)) else { continue };
                source = encloser.child(b"*");
                if zone.has(&source, NS) {
                    continue;
                }
            }
            let in_domain = cut.is_some_and(|cut| target.within(cut));
            for found in types.iter().filter_map(|rtype| zone.set(&source, *rtype)) {
                let told = found.told(Signed::Not, &target, None);
                let Expected { required, helpful, further, signatures, .. } = &mut self.expected;
                let is_new = !told.is_subset(helpful) && !told.is_subset(further);
                match depth {
                    0 if in_domain => required.extend(told),
                    0 => helpful.extend(told),
                    _ => further.extend(told),
                }
                if self.signed == Signed::Along {
                    let renamed =
                        |record: &ReplyRecord| ReplyRecord { owner: target.clone(), ..record.clone() };
                    signatures.extend(found.signatures.iter().map(renamed));
                }
                let is_service = found.records.first().is_some_and(|first| !ADDRESSES.contains(&first.rtype));
                if is_new && is_service {
                    self.additional(zone, &target, found, None, depth + 1);
                }
            }
        }
    }

    fn prove(&mut self, set: Option<&RrSet>) {
        if let (Some(set), Signed::Along) = (set, self.signed)
            && let Some(record) = set.records.first()
        {
            self.expected.authority.extend(set.told(self.signed, &record.owner, None));
        }
    }

    fn chain(&self, zone: &'w Zone) -> Option<&'w super::facts::Chain> {
        match self.denial {
            Denial::Hashed(number) => zone.chains.get(number).or(zone.chains.last()),
            Denial::Plain => zone.chains.first().filter(|_| !zone.has(&zone.apex, NSEC)),
        }
    }

    /// The closest name at or above that the chain matches, and the covering record of the one below that.
    fn prove_encloser(&mut self, zone: &'w Zone, name: &DomainName) -> Option<DomainName> {
        let chain = self.chain(zone)?;
        let mut below = None;
        for above in name.ancestors().filter(|above| above.within(&zone.apex)) {
            if let Some(set) = chain.matching(&above).filter(|_| zone.exists(&above)) {
                self.prove(Some(set));
                if let Some(below) = below {
                    self.prove(chain.covering(&below));
                }
                return Some(above);
            }
            below = Some(above);
        }
        None
    }

    /// RFC 4035 §3.1.3.2, RFC 5155 §7.2.2.
    fn prove_no_name(
        &mut self,
        zone: &'w Zone,
        name: &DomainName,
        encloser: &DomainName,
        closer: &DomainName,
    ) {
        if let Some(chain) = self.chain(zone) {
            // Opt-out may leave the closest encloser without a record: then one above it counts.
            if let Some(provable) = self.prove_encloser(zone, closer) {
                // Where that one's wildcard exists nothing can be proved; its record is what there is.
                let wildcard = provable.child(b"*");
                self.prove(chain.matching(&wildcard).or_else(|| chain.covering(&wildcard)));
            }
        } else {
            self.prove(zone.nsec_for(name));
            self.prove(zone.nsec_for(&encloser.child(b"*")));
        }
    }

    /// RFC 4035 §3.1.3.3, RFC 5155 §7.2.6: nothing closer than the wildcard.
    fn prove_expansion(&mut self, zone: &'w Zone, name: &DomainName, closer: &DomainName) {
        match self.chain(zone) {
            Some(chain) => self.prove(chain.covering(closer)),
            None => self.prove(zone.nsec_for(name)),
        }
    }

    /// RFC 4035 §3.1.3.1 and §3.1.3.4, RFC 5155 §7.2.3 to §7.2.5: `node` is the name or the wildcard for it.
    fn prove_no_type(&mut self, zone: &'w Zone, node: &DomainName, name: &DomainName) {
        if self.chain(zone).is_none() {
            return self.prove(zone.nsec_for(node));
        }
        self.prove_encloser(zone, node);
        if node != name {
            // The wildcard's encloser is the name's (RFC 5155 §7.2.5).
            self.prove_encloser(zone, &node.parent());
        }
    }
}

/// Where a record of `owner` leads, and to which types there.
fn leads(owner: &DomainName, record: &ReplyRecord) -> Option<(DomainName, Vec<u16>)> {
    let (rtype, rdata) = (record.rtype, &record.rdata[..]);
    let mut types = ADDRESSES.to_vec();
    let mut place = LEADING.iter().find(|(leading, _)| *leading == rtype).map(|&(_, at)| at);
    match rtype {
        // RFC 9460 §2.4: an alias if the priority is 0. §2.5.2: a service at `.` is at the owner.
        SVCB | HTTPS if rdata.starts_with(&[0, 0]) => types.push(rtype),
        SVCB | HTTPS if rdata.get(2) == Some(&0) => return Some((owner.clone(), types)),
        // Three strings stand before the name; the first are the flags (RFC 3403 §4.1, §4.2; RFC 3404 §4.3).
        NAPTR => {
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + usize::from(*rdata.get(at)?);
            }
            place = Some(at);
            match rdata.get(4..6)?.to_ascii_lowercase()[..] {
                [1, b's'] => types = vec![SRV],
                [1, b'a'] => {}
                _ => return None,
            }
        }
        _ => {}
    }
    let target = DomainName::from_wire(rdata.get(place?..)?).folded();
    // As a target the root means that there is none (RFC 2782, RFC 7505 §3, RFC 9460 §2.5.1).
    (!target.0.is_empty()).then_some((target, types))
}

impl Expected {
    /// What differs in our reply.
    pub fn faults(&self, ask: &Ask, ours: &Reply) -> Vec<String> {
        let mut faults = frame_faults(ask, ours);
        let mut demand = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        let [answer, authority, additional]: [Records; 3] =
            [ANSWER, AUTHORITY, ADDITIONAL].map(|at| ours.sections[at].keys().cloned().collect());
        let may_add: Records = [&self.required, &self.helpful, &self.further, &self.signatures]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        demand(ours.has(AA) == self.authoritative, "AA is not as expected".into());
        demand(additional.is_subset(&may_add), format!("additional beyond {}", list(&may_add)));
        if ours.has(TC) {
            // What is there must be right; a chain may have been cut before the name that decides the rcode.
            let all: Records = self.one_of.iter().flatten().chain(&self.answer).cloned().collect();
            demand([self.rcode, 0].contains(&ours.rcode), format!("rcode, expected {}", self.rcode));
            demand(answer.is_subset(&all), format!("answer beyond {}", list(&all)));
            demand(
                authority.is_subset(&self.authority),
                format!("authority beyond {}", list(&self.authority)),
            );
            return faults;
        }
        demand(ours.rcode == self.rcode, format!("rcode, expected {}", self.rcode));
        let answers =
            if self.one_of.is_empty() { answer == self.answer } else { self.one_of.contains(&answer) };
        demand(answers, format!("answer, expected {} or one of {}", list(&self.answer), self.one_of.len()));
        demand(authority == self.authority, format!("authority, expected {}", list(&self.authority)));
        demand(self.required.is_subset(&additional), format!("glue, expected {}", list(&self.required)));
        // By RRset; signatures by what they cover.
        let key = |record: &ReplyRecord| {
            let covered = record.rdata.get(..2).filter(|_| record.rtype == RRSIG);
            (record.owner.clone(), record.rtype, covered.map(<[u8]>::to_vec))
        };
        let keys: BTreeSet<_> = may_add.iter().map(key).collect();
        // Where an address has no room, no signature need have.
        let crowded = !self.helpful.is_subset(&additional);
        let octets_of = |record: &ReplyRecord| record.owner.octets() + 10 + record.rdata.len();
        let roomy =
            ours.octets + may_add.difference(&additional).map(octets_of).sum::<usize>() <= ask.limit();
        for (owner, rtype, covered) in keys {
            let this = (owner.clone(), rtype, covered);
            let set = || may_add.iter().filter(|record| key(record) == this);
            let held = set().filter(|record| additional.contains(record)).count();
            let octets: usize = set().map(octets_of).sum();
            let further = set().all(|record| self.further.contains(record));
            let signs_further = rtype == RRSIG && !self.further.is_empty();
            let fits = ours.octets + octets <= ask.limit()
                && !(rtype == RRSIG && crowded)
                && !((further || signs_further) && !roomy);
            demand(
                held == set().count() || held == 0 && !fits,
                format!("{} TYPE{rtype} is left out", owner.text()),
            );
        }
        faults
    }
}

/// EDNS options that our replies may have: NSID, keepalive, an extended error, and nothing else.
const OPTIONS: [u16; 3] = [NSID, 11, 15];

const NSID: u16 = 3;

/// What surrounds the sections: the question, RD, the opcode and OPT are as the query asks for them.
fn frame_faults(ask: &Ask, ours: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let asked = u16::from_be_bytes([ask.message[2], ask.message[3]]);
    demand((ours.flags ^ asked) & 0x7900 == 0, "opcode or RD is not the query's");
    let readable = ask.shape.is_readable();
    if readable {
        let question = vec![(ask.qname.clone(), ask.qtype, ask.qclass)];
        demand(ours.question == question, "the question is not the query's");
    }
    // RFC 6891 §6.1.1: OPT for OPT.
    let counted = readable || matches!(ask.shape, Shape::NoQuestion | Shape::TwoQuestions);
    demand(!counted || ours.opt.is_some() == ask.edns.is_some(), "OPT where none was sent, or none for one");
    if let (Some(opt), Some(edns), true) = (&ours.opt, &ask.edns, readable) {
        demand(opt.flags == edns.flags & 0x8000, "DO is not repeated, or another flag is"); // RFC 3225 §3
        let wants = edns.options.iter().any(|(code, _)| *code == NSID);
        let told = opt.options.contains(&NSID);
        let fits = ours.octets + 4 + super::servers::IDENTITY.len() <= ask.limit();
        demand(told == wants || wants && !fits, "NSID without wish, or the reverse"); // RFC 5001 §2.1
        demand(opt.options.iter().all(|code| OPTIONS.contains(code)), "an option of an unknown kind");
    }
    faults
}

fn list(records: &Records) -> String {
    let name = |record: &ReplyRecord| format!("[{} {} T{}]", record.owner.text(), record.ttl, record.rtype);
    records.iter().take(8).map(name).collect::<Vec<_>>().join(" ")
}
