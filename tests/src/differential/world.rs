//! What a world holds, as facts for making queries and for judging differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pharos_zone::scan::{Source, scan};

use super::facts::Zone;
use super::generate::{ZoneText, zones};
use super::message::{ReplyRecord, canonical_rdata};
use super::names::DomainName;
use super::random::Random;
use crate::lab::source_root;

/// A set of zones, read back.
pub struct World {
    /// The zones' files.
    pub zones: Vec<ZoneText>,
    /// Their names, folded.
    pub apexes: BTreeSet<DomainName>,
    /// A zone that is configured and has no file.
    pub unloaded: DomainName,
    /// For each zone its names with their types; empty non-terminals have none.
    pub nodes: BTreeMap<DomainName, BTreeMap<DomainName, BTreeSet<u16>>>,
    /// What each zone holds.
    pub facts: BTreeMap<DomainName, Zone>,
    /// All records, names folded.
    pub records: BTreeSet<ReplyRecord>,
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
        let mut world = Self {
            apexes: all.iter().map(|zone| zone.apex.folded()).collect(),
            zones: Vec::new(),
            unloaded: DomainName::plain("unloaded.test"),
            nodes: BTreeMap::new(),
            facts: BTreeMap::new(),
            records: BTreeSet::new(),
            spelled: Vec::new(),
        };
        for zone in &all {
            world.read(zone);
        }
        world.zones = all;
        world
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
            for above in owner.ancestors().filter(|above| above.within(&apex)) {
                nodes.entry(above).or_default();
            }
            nodes.entry(owner.clone()).or_default().insert(record.rtype);
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
                let owner = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
                if names.iter().any(|name| name.folded().text() == owner) && lines.len() < 10 {
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
