//! Which chain denies what the zone does not have, and whether it is whole.
//!
//! A zone has one chain, or several while its owner goes from one to another: then the first whole NSEC3 chain that an
//! NSEC3PARAM record names is served, else the NSEC chain. A chain that is not whole and not served is no fault of the
//! zone: it is being built, or taken down.

use std::num::NonZeroUsize;

use pharos_wire::Rtype;
use pharos_zonedb::nsec3::Nsec3Parameters;

use super::faults::Faults;
use super::{nsec, nsec3};
use crate::nsec3::{Nsec3Chain, listed};
use crate::scan::Place;
use crate::tree::{APEX, Tree};

/// Judges all chains of a signed zone, and chooses the one to serve: `None` is NSEC.
pub(crate) fn judge(tree: &Tree, threads: NonZeroUsize, faults: &mut Faults) -> Option<Nsec3Chain> {
    times_to_live(tree, faults);
    let mut parameters: Vec<(Nsec3Parameters, Place)> = listed(tree).collect();
    let mut known: Vec<Nsec3Parameters> = Vec::new();
    parameters.retain(|(parameters, _)| {
        let new = !known.contains(parameters);
        known.extend(new.then(|| parameters.clone()));
        new
    });
    unsupported(tree, faults);
    nsec3::strays(tree, &known, faults);
    let (mut whole, mut broken) = (None, Vec::new());
    for (parameters, place) in parameters {
        let chain = Nsec3Chain::build(tree, parameters, threads);
        let mut found = Faults::default();
        nsec3::judge(tree, &chain, place, &mut found);
        match &whole {
            None if found.is_clean() => {
                faults.join(found);
                whole = Some(chain);
            }
            _ if found.is_clean() => {}
            _ => broken.push((place, chain, found)),
        }
    }
    if whole.is_none() {
        let place = tree.records(APEX).map(|record| record.place).min().unwrap_or_default();
        if tree.has(APEX, Rtype::NSEC) {
            let mut found = Faults::default();
            nsec::judge(tree, &mut found);
            // Where no chain is whole, what the zone was meant to have is what NSEC3PARAM says.
            if found.is_clean() || broken.is_empty() {
                faults.join(found);
            } else {
                let (_, chain, found) = broken.swap_remove(0);
                faults.join(found);
                return Some(chain);
            }
        } else if !broken.is_empty() {
            let (_, chain, found) = broken.swap_remove(0);
            faults.join(found);
            return Some(chain);
        } else if tree.nodes().any(|node| tree.has(node, Rtype::NSEC3)) {
            let remedy = "sign the zone again: servers find the chain by it (RFC 5155 §4)";
            faults.error(place, "the zone has NSEC3 records and no NSEC3PARAM record at its apex", remedy);
        } else {
            let remedy = "sign the zone again: without one of them nothing can be denied (RFC 4035 §2.3)";
            faults.error(place, "the signed zone has neither NSEC nor NSEC3 at its apex", remedy);
        }
    }
    for (place, chain, found) in broken {
        let why = found.first_error().map_or("", |finding| &finding.message);
        let message = format!(
            "the NSEC3 chain with {} iterations and {} octets of salt is not whole, another is served: {why}",
            chain.parameters.iterations,
            chain.parameters.salt.len()
        );
        faults.warn(place, message, "remove its NSEC3PARAM record until it is whole (RFC 5155 §7.3)");
    }
    whole
}

/// Chains of another hash than SHA-1, which nobody knows (RFC 5155 §11).
fn unsupported(tree: &Tree, faults: &mut Faults) {
    for record in tree.of_type(APEX, Rtype::NSEC3PARAM) {
        if let Some(&algorithm) = record.rdata.first().filter(|&&algorithm| algorithm != 1) {
            let message = format!("NSEC3PARAM with hash algorithm {algorithm}, which is not known here");
            faults.warn(record.place, message, "use 1, which is SHA-1 (RFC 5155 §11)");
        }
    }
}

/// Denials live no longer than the SOA says (RFC 9077 §3); told once, of the first record.
fn times_to_live(tree: &Tree, faults: &mut Faults) {
    let Some(soa) = tree.of_type(APEX, Rtype::SOA).next() else { return };
    let minimum = soa.rdata.last_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
    let bound = soa.ttl.min(minimum);
    let longer = tree
        .nodes()
        .flat_map(|node| tree.records(node))
        .filter(|record| matches!(record.rtype, Rtype::NSEC | Rtype::NSEC3) && record.ttl > bound);
    let (mut count, mut first) = (0u64, None);
    for record in longer {
        count += 1;
        first = first.filter(|&(place, _)| place < record.place).or(Some((record.place, record.ttl)));
    }
    if let Some((place, ttl)) = first {
        let message = format!(
            "{count} records of the chain live longer, such as this one with {ttl} s, than the SOA allows: {bound} s"
        );
        let remedy = "give them the lesser of the SOA's TTL and its minimum (RFC 9077 §3)";
        faults.warn(place, message, remedy);
    }
}
