//! What a world holds, as facts for making queries and for judging differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pharos_zone::scan::{Source, scan};

use super::facts::{NSEC3, RRSIG, Zone};
use super::generate::{ZoneText, signed_zones, zones};
use super::message::{ReplyRecord, canonical_rdata};
use super::names::DomainName;
use super::random::Random;
use super::sign::Signer;
use crate::lab::source_root;
use pharos_testkit::peers::Peer;

/// A set of zones, read back.
pub struct World {
    /// The zones' files.
    pub zones: Vec<ZoneText>,
    /// Their names, folded.
    pub apexes: BTreeSet<DomainName>,
    /// Who is asked besides ours.
    pub peers: &'static [Peer],
    /// What PowerDNS is told about signed zones.
    pub pdns_metadata: Option<PathBuf>,
    /// A zone that is configured and has no file.
    pub unloaded: DomainName,
    /// For each zone its names with their types; empty non-terminals have none.
    pub nodes: BTreeMap<DomainName, BTreeMap<DomainName, BTreeSet<u16>>>,
    /// What each zone holds.
    pub facts: BTreeMap<DomainName, Zone>,
    /// All records, names folded.
    pub records: BTreeSet<ReplyRecord>,
    /// Owners of NSEC3 records.
    pub hash_owners: BTreeSet<DomainName>,
    /// Names as they are written in the files.
    pub spelled: Vec<DomainName>,
}

impl World {
    /// World number `index`: random zones and the samples of `zones/`.
    ///
    /// # Panics
    /// If a zone's text is not well-formed.
    pub fn new(random: &mut Random, index: usize) -> Self {
        let mut all = zones(random, index);
        all.extend(samples());
        Self::of(all, Peer::UNSIGNED, None)
    }

    /// World number `index` of signed zones.
    ///
    /// # Panics
    /// If a zone's text is not well-formed, or cannot be signed.
    pub fn signed(random: &mut Random, index: usize, signer: &Signer) -> Self {
        let zones = signed_zones(random, index);
        let zones = signer.sign(random, zones);
        Self::of(zones, Peer::SIGNED, Some(signer.metadata()))
    }

    fn of(zones: Vec<ZoneText>, peers: &'static [Peer], pdns_metadata: Option<PathBuf>) -> Self {
        let mut world = Self {
            apexes: zones.iter().map(|zone| zone.apex.folded()).collect(),
            zones: Vec::new(),
            peers,
            pdns_metadata,
            unloaded: DomainName::plain("unloaded.test"),
            nodes: BTreeMap::new(),
            facts: BTreeMap::new(),
            records: BTreeSet::new(),
            hash_owners: BTreeSet::new(),
            spelled: Vec::new(),
        };
        for zone in &zones {
            world.read(zone);
        }
        world.zones = zones;
        world
    }

    /// Whether its zones are signed.
    pub fn is_signed(&self) -> bool {
        self.pdns_metadata.is_some()
    }

    fn read(&mut self, zone: &ZoneText) {
        let apex = zone.apex.folded();
        let nodes = self.nodes.entry(apex.clone()).or_default();
        let path = Path::new("generated");
        let source = Source { path, octets: zone.text.as_bytes(), includes: Default::default() };
        let mut last = DomainName::default();
        let mut records = BTreeSet::new();
        let report = scan(source, &zone.apex.wire(), &mut |record| {
            let spelled = DomainName::from_wire(record.owner);
            let owner = spelled.folded();
            let covered = record.rdata.first_chunk().map(|octets| u16::from_be_bytes(*octets));
            // Owners of NSEC3 records are no names (RFC 5155 §7.2.8).
            if record.rtype != NSEC3 && !(record.rtype == RRSIG && covered == Some(NSEC3)) {
                for above in owner.ancestors().filter(|above| above.within(&apex)) {
                    nodes.entry(above).or_default();
                }
                nodes.entry(owner.clone()).or_default().insert(record.rtype);
            } else {
                self.hash_owners.insert(owner.clone());
            }
            if spelled != last {
                self.spelled.push(spelled.clone());
                last = spelled;
            }
            let (rtype, class, ttl) = (record.rtype, record.class, record.ttl);
            let rdata = canonical_rdata(rtype, record.rdata);
            records.insert(ReplyRecord { owner, rtype, class, ttl, rdata });
        });
        assert!(report.is_clean(), "{}:\n{report}", zone.apex.text());
        self.facts.insert(apex.clone(), Zone::new(&apex, &records));
        self.records.extend(records);
    }

    /// The closest enclosing zone of a name, loaded or not.
    pub fn zone_of(&self, name: &DomainName) -> Option<DomainName> {
        let name = name.folded();
        let served = |above: &DomainName| self.apexes.contains(above) || *above == self.unloaded;
        name.ancestors().find(served)
    }

    /// The zone that answers for a name and type: for DS the one above (RFC 4035 §3.1.4.1).
    pub fn zone_for(&self, name: &DomainName, qtype: u16) -> Option<DomainName> {
        let zone = self.zone_of(name)?;
        let parents = qtype == super::facts::DS && zone == name.folded() && !name.0.is_empty();
        if parents { self.zone_of(&name.parent()).or(Some(zone)) } else { Some(zone) }
    }

    /// The types at a name in a zone; `None` where the zone has no such name.
    pub fn types(&self, zone: &DomainName, name: &DomainName) -> Option<&BTreeSet<u16>> {
        self.nodes.get(zone)?.get(&name.folded())
    }

    /// The highest name from below the zone's apex down to `name` that has a type.
    pub fn highest(&self, zone: &DomainName, name: &DomainName, rtype: u16) -> Option<DomainName> {
        let name = name.folded();
        let mut above: Vec<DomainName> = name.ancestors().filter(|above| above.below(zone)).collect();
        above.reverse();
        above.into_iter().find(|above| self.types(zone, above).is_some_and(|types| types.contains(&rtype)))
    }

    /// Lines of the zone files in which a name of the list is the owner.
    pub fn excerpt(&self, names: &BTreeSet<DomainName>) -> Vec<String> {
        let mut lines = Vec::new();
        for zone in &self.zones {
            for line in zone.text.lines() {
                let mut words = line.split_whitespace();
                let owner = words.next().unwrap_or_default().to_ascii_lowercase();
                // What signing added tells little.
                if words.any(|word| matches!(word, "RRSIG" | "NSEC3" | "DNSKEY" | "CDNSKEY" | "CDS")) {
                    continue;
                }
                if names.iter().any(|name| name.folded().text() == owner) && lines.len() < 16 {
                    lines.push(format!(
                        "[{}] {}",
                        zone.apex.text(),
                        line.chars().take(200).collect::<String>()
                    ));
                }
            }
        }
        lines
    }
}

/// The sample zones of the source tree.
fn samples() -> Vec<ZoneText> {
    let mut samples = Vec::new();
    let directory = fs::read_dir(source_root().join("zones")).expect("zones/ is in the source tree");
    for entry in directory.flatten() {
        let file = entry.file_name().into_string().expect("samples have plain names");
        if let Some(name) = file.strip_suffix(".zone") {
            let text = fs::read_to_string(entry.path()).expect("samples are text");
            samples.push(ZoneText { apex: DomainName::plain(name), text });
        }
    }
    samples.sort_by(|a, b| a.apex.cmp(&b.apex));
    samples
}
