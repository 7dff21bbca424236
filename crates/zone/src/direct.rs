//! The short way from text to an image, for zones whose records can be laid out as they are read.
//!
//! Most large zones are simple: no delegations, no signatures, the records of each name together. Of such a zone a
//! [`crate::tree::Tree`] would hold, at twice the memory and nearly twice the time, what the image holds anyway. Here
//! each name is laid out as soon as the next one comes. Only names whose records lead to other names, and names that
//! exist because longer ones do, wait for the end of the text.
//!
//! This way refuses nothing and says nothing: whatever is not plainly good (a rare type, an RRset with two TTLs, a
//! name whose records stand in two places, ...) makes it give up. The zone then goes the long way from the start, by
//! which everything is judged and told. So there is one set of rules, and here is only the test that none of them
//! applies; `tests` holds both ways against each other.
//!
//! Called by [`crate::load`].

use pharos_wire::hash::{HashKey, HashedName};
use pharos_wire::{Name, Rtype, name};
use pharos_zonedb::build::{ExtraSpec, NameAt, NodeId, RrSetSpec, Start, StreamBuilder};
use pharos_zonedb::image::{Along, Need, NodeFlags};
use pharos_zonedb::{BuildError, ZoneImage};

use crate::compile::soa_numbers;
use crate::print::Distinct;
use crate::scan::Record;
use crate::tree::target_offset;

/// Names that are looked up together, as [`crate::tree`] does, and for its reasons.
const STAGED: usize = 64;

/// Names that may wait for the end of the text, whatever its length; and beyond them one of so many. More are so much
/// of the zone that the long way is no longer.
const WAITING: usize = 1_024;
const WAITING_SHARE: usize = 16;

/// Records at one name; a name with more is judged the long way.
const MANY: usize = 1_000;

/// That the zone is none for this way.
#[derive(Debug)]
pub(crate) struct NotSimple;

impl From<BuildError> for NotSimple {
    fn from(_: BuildError) -> Self {
        Self
    }
}

type Simple<T> = Result<T, NotSimple>;

/// A record that waits for its name to be complete.
#[derive(Clone, Copy, Debug)]
struct Held {
    rtype: Rtype,
    ttl: u32,
    rdata: usize,
    rdata_octets: u16,
}

impl Held {
    fn rdata<'r>(&self, octets: &'r [u8]) -> &'r [u8] {
        &octets[self.rdata..self.rdata + usize::from(self.rdata_octets)]
    }
}

/// Records of one name that stand together in the text.
#[derive(Clone, Copy, Debug)]
struct Run {
    hash: u64,
    parent_hash: u64,
    name: usize,
    name_octets: u8,
    records: usize,
    /// Behind the last record.
    end: usize,
}

/// A name that is laid out at the end.
#[derive(Debug)]
struct Waiting {
    owner: Box<[u8]>,
    records: Vec<Held>,
    flags: NodeFlags,
}

/// An image in the making.
pub(crate) struct Direct {
    key: HashKey,
    apex: Name,
    apex_hash: u64,
    apex_labels: usize,
    builder: StreamBuilder,
    hashed: HashedName,
    runs: Vec<Run>,
    names: Vec<u8>,
    records: Vec<Held>,
    rdata: Vec<u8>,
    last_owner: Vec<u8>,
    /// The apex is the first of these.
    waiting: Vec<Waiting>,
    waiting_rdata: Vec<u8>,
    names_seen: usize,
    has_wildcards: bool,
}

/// The apex' number among the names that wait.
const APEX: u32 = 0;

impl Direct {
    /// For a zone of some text.
    pub(crate) fn new(apex: &Name, key: HashKey, text: &[u8]) -> Simple<Self> {
        let apex = apex.to_folded();
        // Rarely a line has more than one name of its own. Pieces are as long as a sum of octets can be.
        let ends = |piece: &[u8]| piece.iter().map(|&octet| u8::from(octet == b'\n')).sum::<u8>();
        let lines = text.chunks(usize::from(u8::MAX)).map(|piece| usize::from(ends(piece))).sum::<usize>();
        let mut hashed = HashedName::default();
        hashed.set(apex.as_wire()).map_err(|_| NotSimple)?;
        hashed.hash(key);
        let apex_hash = hashed.suffix_hash(0);
        let mut direct = Self {
            key,
            builder: StreamBuilder::new(&apex, lines + 16),
            apex,
            apex_hash,
            apex_labels: hashed.labels(),
            hashed,
            runs: Vec::with_capacity(STAGED),
            names: Vec::new(),
            records: Vec::new(),
            rdata: Vec::new(),
            last_owner: Vec::new(),
            waiting: Vec::new(),
            waiting_rdata: Vec::new(),
            names_seen: 0,
            has_wildcards: false,
        };
        let apex = direct.apex;
        direct.wait(apex_hash, apex.as_wire())?;
        Ok(direct)
    }

    /// Takes one record.
    #[inline]
    pub(crate) fn insert(&mut self, record: &Record<'_>) -> Simple<()> {
        let rtype = Rtype(record.rtype);
        if !is_plain(rtype) {
            return Err(NotSimple);
        }
        if record.owner != self.last_owner || self.runs.is_empty() {
            if self.runs.len() == STAGED {
                self.flush()?;
            }
            if self.hashed.set(record.owner).is_err() {
                return Err(NotSimple);
            }
            // As far from the root as the apex, a name within the zone is the apex; both are in lower case.
            let above = self.hashed.labels().checked_sub(self.apex_labels).ok_or(NotSimple)?;
            if self.hashed.suffix(above) != self.apex.as_wire() {
                return Err(NotSimple);
            }
            // Of the apex' suffixes nothing is asked.
            self.hashed.hash_onto(self.key, self.apex_labels, self.apex_hash);
            self.runs.push(Run {
                hash: self.hashed.suffix_hash(0),
                // Of the apex, which is always there, no parent is asked for.
                parent_hash: self.hashed.suffix_hash(1),
                name: self.names.len(),
                name_octets: record.owner.len() as u8,
                records: self.records.len(),
                end: self.records.len(),
            });
            self.names.extend_from_slice(self.hashed.as_wire());
            self.last_owner.clear();
            self.last_owner.extend_from_slice(record.owner);
        }
        self.records.push(Held {
            rtype,
            ttl: record.ttl,
            rdata: self.rdata.len(),
            rdata_octets: record.rdata.len() as u16,
        });
        self.rdata.extend_from_slice(record.rdata);
        if let Some(run) = self.runs.last_mut() {
            run.end += 1;
        }
        Ok(())
    }

    /// Lays out all names that are complete.
    fn flush(&mut self) -> Simple<()> {
        for run in &self.runs {
            self.builder.warm(run.hash);
        }
        let (runs, names) = (std::mem::take(&mut self.runs), std::mem::take(&mut self.names));
        let (records, rdata) = (std::mem::take(&mut self.records), std::mem::take(&mut self.rdata));
        for run in &runs {
            let owner = &names[run.name..run.name + usize::from(run.name_octets)];
            self.run(run, owner, &records[run.records..run.end], &rdata)?;
        }
        (self.runs, self.names, self.records, self.rdata) = (runs, names, records, rdata);
        self.runs.clear();
        self.names.clear();
        self.records.clear();
        self.rdata.clear();
        self.last_owner.clear();
        Ok(())
    }

    fn run(&mut self, run: &Run, owner: &[u8], records: &[Held], rdata: &[u8]) -> Simple<()> {
        let number = match self.find(run.hash, owner) {
            // Its records stand in two places.
            Some(Start::At(_)) => return Err(NotSimple),
            // A delegation, or a stray SOA.
            _ if records.iter().any(|record| matches!(record.rtype, Rtype::NS | Rtype::SOA))
                && run.hash != self.apex_hash =>
            {
                return Err(NotSimple);
            }
            Some(Start::Waits(number)) => number,
            None => {
                let parent_octets = 1 + owner.first().map_or(0, |&octets| usize::from(octets));
                let parent = owner.get(parent_octets..).unwrap_or_default();
                self.have(run.parent_hash, parent)?;
                self.names_seen += 1;
                let flags = self.mark_wildcard(owner, run.parent_hash, parent);
                if records.iter().any(|record| leads_on(record.rtype)) {
                    let number = self.wait(run.hash, owner)?;
                    self.waiting[number as usize].flags = flags;
                    number
                } else {
                    return self.lay_out(run.hash, owner, flags, records, rdata);
                }
            }
        };
        let Some(waiting) = self.waiting.get_mut(number as usize) else { return Err(NotSimple) };
        for record in records {
            let at = self.waiting_rdata.len();
            self.waiting_rdata.extend_from_slice(record.rdata(rdata));
            waiting.records.push(Held { rdata: at, ..*record });
        }
        if waiting.records.len() > MANY { Err(NotSimple) } else { Ok(()) }
    }

    /// Lays out a name that leads to no other.
    #[inline]
    fn lay_out(
        &mut self,
        hash: u64,
        owner: &[u8],
        flags: NodeFlags,
        records: &[Held],
        rdata: &[u8],
    ) -> Simple<()> {
        if let [only] = records {
            let rrset = RrSetSpec {
                rtype: only.rtype,
                ttl: only.ttl,
                records: &[only.rdata(rdata)],
                signatures: &[],
                extras: &[],
            };
            let alias = if only.rtype == Rtype::CNAME { NodeFlags::CNAME } else { NodeFlags::default() };
            return Ok(self.builder.node(hash, owner, flags.with(alias), &[rrset])?);
        }
        let mut records = records.to_vec();
        sort(&mut records);
        let all = rrsets(&records, rdata)?;
        let specs: Vec<RrSetSpec<'_>> = all.iter().map(|rrset| rrset.spec(&[])).collect();
        Ok(self.builder.node(hash, owner, flags.with(alias(&all)), &specs)?)
    }

    /// Sees to it that a name, and all between it and the apex, are there.
    #[inline]
    fn have(&mut self, hash: u64, name: &[u8]) -> Simple<()> {
        if (hash == self.apex_hash && name.len() == self.apex.as_wire().len())
            || self.find(hash, name).is_some()
        {
            return Ok(());
        }
        // Both are what was hashed before: a name inside of the zone.
        let mut hashed = HashedName::default();
        hashed.set(name).map_err(|_| NotSimple)?;
        hashed.hash(self.key);
        let parent_hash = hashed.suffix_hash(hashed.labels().min(1));
        let parent = hashed.suffix(hashed.labels().min(1));
        self.have(parent_hash, parent)?;
        let flags = self.mark_wildcard(name, parent_hash, parent);
        let number = self.wait(hash, name)?;
        self.waiting[number as usize].flags = flags;
        Ok(())
    }

    /// If a name is a wildcard, its parent is told; what is special about the name itself.
    fn mark_wildcard(&mut self, owner: &[u8], parent_hash: u64, parent: &[u8]) -> NodeFlags {
        if !owner.starts_with(b"\x01*") {
            return NodeFlags::default();
        }
        self.has_wildcards = true;
        match self.find(parent_hash, parent) {
            Some(Start::At(at)) => self.builder.add_flags(at, NodeFlags::WILDCARD_CHILD),
            Some(Start::Waits(number)) => {
                if let Some(waiting) = self.waiting.get_mut(number as usize) {
                    waiting.flags = waiting.flags.with(NodeFlags::WILDCARD_CHILD);
                }
            }
            None => {}
        }
        NodeFlags::WILDCARD
    }

    fn wait(&mut self, hash: u64, owner: &[u8]) -> Simple<u32> {
        if self.waiting.len() > WAITING + self.names_seen / WAITING_SHARE {
            return Err(NotSimple);
        }
        self.builder.wait(hash)?;
        self.waiting.push(Waiting { owner: owner.into(), records: Vec::new(), flags: NodeFlags::default() });
        Ok(self.waiting.len() as u32 - 1)
    }

    #[inline]
    fn find(&self, hash: u64, owner: &[u8]) -> Option<Start> {
        let relative = &owner[..owner.len() - self.apex.as_wire().len()];
        self.builder.find(hash, |held| match held {
            Ok(name) => name == relative,
            Err(number) => self.waiting.get(number as usize).is_some_and(|waiting| *waiting.owner == *owner),
        })
    }

    /// Lays out what waited, and closes the image.
    pub(crate) fn finish(mut self) -> Simple<ZoneImage> {
        self.flush()?;
        let rdata = std::mem::take(&mut self.waiting_rdata);
        for waiting in &mut self.waiting {
            sort(&mut waiting.records);
        }
        let all: Vec<Vec<RrSet<'_>>> =
            self.waiting.iter().map(|waiting| rrsets(&waiting.records, &rdata)).collect::<Simple<_>>()?;
        let apex = all.first().ok_or(NotSimple)?;
        let soa = of_type(apex, Rtype::SOA).filter(|soa| soa.records.len() == 1).ok_or(NotSimple)?;
        of_type(apex, Rtype::NS).ok_or(NotSimple)?;
        let led: Vec<Vec<Vec<Led>>> = all
            .iter()
            .map(|own| own.iter().map(|rrset| self.led_to(rrset, &all)).collect())
            .collect::<Simple<_>>()?;
        for (number, ((waiting, own), led)) in self.waiting.iter().zip(&all).zip(&led).enumerate() {
            let builder = &mut self.builder;
            let extras: Vec<Vec<ExtraSpec>> = led
                .iter()
                .map(|led| led.iter().map(|led| led.extra(builder.number(led.start))).collect())
                .collect();
            let specs: Vec<RrSetSpec<'_>> =
                own.iter().zip(&extras).map(|(rrset, extras)| rrset.spec(extras)).collect();
            builder.waited(number as u32, &waiting.owner, waiting.flags.with(alias(own)), &specs)?;
        }
        let (serial, minimum) = soa_numbers(soa.records[0]);
        // RFC 2308 §5.
        Ok(self.builder.finish(self.key, NodeId(APEX), serial, soa.ttl.min(minimum))?)
    }

    /// The names whose addresses go along with an RRset, as [`crate::extras`] finds them where there is neither a
    /// delegation nor a service.
    fn led_to(&self, rrset: &RrSet<'_>, all: &[Vec<RrSet<'_>>]) -> Simple<Vec<Led>> {
        let mut led: Vec<Led> = Vec::new();
        if !leads_on(rrset.rtype) {
            return Ok(led);
        }
        let mut hashed = HashedName::default();
        for (record, rdata) in rrset.records.iter().enumerate() {
            let offset = target_offset(rrset.rtype, rdata).ok_or(NotSimple)?;
            hashed.set(rdata.get(offset..).unwrap_or_default()).map_err(|_| NotSimple)?;
            // `.` leads nowhere.
            if hashed.labels() == 0 || !name::is_within(hashed.as_wire(), self.apex.as_wire()) {
                continue;
            }
            hashed.hash(self.key);
            let has_address = match self.find(hashed.suffix_hash(0), hashed.as_wire()) {
                // Some wildcard may stand for it, or be it.
                None if self.has_wildcards => return Err(NotSimple),
                Some(_) if hashed.as_wire().starts_with(b"\x01*") => return Err(NotSimple),
                None => continue,
                Some(start @ Start::At(at)) => {
                    self.builder.has_any(at, &[Rtype::A, Rtype::AAAA]).then_some(start)
                }
                Some(start @ Start::Waits(number)) => {
                    let own = all.get(number as usize).ok_or(NotSimple)?;
                    let has = |rtype| of_type(own, rtype).is_some();
                    (has(Rtype::A) || has(Rtype::AAAA)).then_some(start)
                }
            };
            if let Some(start) = has_address.filter(|start| led.iter().all(|led| led.start != *start)) {
                led.push(Led { record, offset, start });
            }
        }
        Ok(led)
    }
}

/// A name that a record leads to.
struct Led {
    record: usize,
    offset: usize,
    start: Start,
}

impl Led {
    fn extra(&self, node: NodeId) -> ExtraSpec {
        let name = NameAt::Rdata(self.offset);
        ExtraSpec { record: self.record, name, node, along: Along::Addresses, need: Need::Helpful }
    }
}

/// The records of one name and type.
struct RrSet<'r> {
    rtype: Rtype,
    ttl: u32,
    records: Vec<&'r [u8]>,
}

impl<'r> RrSet<'r> {
    fn spec<'s>(&'s self, extras: &'s [ExtraSpec]) -> RrSetSpec<'s> {
        RrSetSpec { rtype: self.rtype, ttl: self.ttl, records: &self.records, signatures: &[], extras }
    }
}

fn of_type<'s, 'r>(all: &'s [RrSet<'r>], rtype: Rtype) -> Option<&'s RrSet<'r>> {
    all.iter().find(|rrset| rrset.rtype == rtype)
}

fn alias(all: &[RrSet<'_>]) -> NodeFlags {
    of_type(all, Rtype::CNAME).map_or(NodeFlags::default(), |_| NodeFlags::CNAME)
}

/// By type, addresses first; the order of the file stays within each type.
fn sort(records: &mut [Held]) {
    records.sort_by_key(|record| (record.rtype != Rtype::A, record.rtype != Rtype::AAAA, record.rtype));
}

/// The RRsets of sorted records, if nothing is to be said of them.
fn rrsets<'r>(records: &[Held], rdata: &'r [u8]) -> Simple<Vec<RrSet<'r>>> {
    let mut all = Vec::new();
    for alike in records.chunk_by(|a, b| a.rtype == b.rtype) {
        let first = alike[0];
        // An alias stands alone.
        if first.rtype == Rtype::CNAME && records.len() > 1 {
            return Err(NotSimple);
        }
        let mut distinct = Distinct::new(first.rtype, alike.len());
        let mut known = Vec::with_capacity(alike.len());
        for record in alike {
            let octets = record.rdata(rdata);
            if record.ttl != first.ttl || !distinct.is_new(&known, octets) {
                return Err(NotSimple);
            }
            known.push(octets);
        }
        all.push(RrSet { rtype: first.rtype, ttl: first.ttl, records: known });
    }
    Ok(all)
}

/// Types of which nothing but what is here must be known. All others, DNSSEC's above all, go the long way.
fn is_plain(rtype: Rtype) -> bool {
    const CAA: Rtype = Rtype(257); // RFC 8659
    const TLSA: Rtype = Rtype(52); // RFC 6698
    const SSHFP: Rtype = Rtype(44); // RFC 4255
    matches!(
        rtype,
        Rtype::A
            | Rtype::AAAA
            | Rtype::CNAME
            | Rtype::TXT
            | Rtype::PTR
            | Rtype::MX
            | Rtype::SRV
            | Rtype::NS
            | Rtype::SOA
            | CAA
            | TLSA
            | SSHFP
    )
}

/// Whether records of a plain type lead to other names.
fn leads_on(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV)
}

#[cfg(test)]
mod tests;
