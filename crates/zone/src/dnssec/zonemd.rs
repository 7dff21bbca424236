//! The digest of a whole zone (RFC 8976), signed or not.

use pharos_wire::Rtype;
use pharos_wire::name::canonical_order;
use ring::digest::{self, Algorithm};

use super::faults::Faults;
use crate::print::canonical_rdata;
use crate::scan::Place;
use crate::tree::{APEX, NodeIndex, Tree, TreeRecord};

const ZONEMD: Rtype = Rtype(63);

/// The scheme SIMPLE: all of the zone at once (RFC 8976 §2.2.2).
const SIMPLE: u8 = 1;

/// One ZONEMD record (RFC 8976 §2.2).
struct Stated<'r> {
    serial: u32,
    scheme: u8,
    hash: u8,
    digest: &'r [u8],
    place: Place,
}

impl Stated<'_> {
    fn content(&self) -> (u32, u8, u8, &[u8]) {
        (self.serial, self.scheme, self.hash, self.digest)
    }
}

/// Judges the ZONEMD records of the apex. One that holds is enough (RFC 8976 §4).
pub(crate) fn judge(tree: &Tree, faults: &mut Faults) {
    let mut all: Vec<Stated<'_>> = Vec::new();
    for stated in tree.of_type(APEX, ZONEMD).filter_map(|record| parse(&record)) {
        // The same record twice is one record (RFC 2181 §5).
        if !all.iter().any(|other| other.content() == stated.content()) {
            all.push(stated);
        }
    }
    if all.is_empty() {
        return;
    }
    let serial = serial(tree);
    let (mut holds, mut wrong) = (false, Vec::new());
    for (at, stated) in all.iter().enumerate() {
        let place = stated.place;
        let is_same = |other: &Stated<'_>| (other.scheme, other.hash) == (stated.scheme, stated.hash);
        if all[..at].iter().any(is_same) {
            let message = format!("a second ZONEMD of scheme {} and hash {}", stated.scheme, stated.hash);
            faults.error(place, message, "keep one of each kind (RFC 8976 §2.1)");
        } else if stated.serial != serial {
            let message = format!("ZONEMD is of serial {}; the zone has {serial}", stated.serial);
            wrong.push((
                place,
                message,
                "make the digest anew after the last change of the SOA (RFC 8976 §4)",
            ));
        } else if let Some(algorithm) = algorithm(stated) {
            if digest_of(tree, algorithm).as_ref() == stated.digest {
                holds = true;
            } else {
                let message = "the zone's digest is not what ZONEMD says".to_owned();
                let remedy = "something was lost or changed on the way here: fetch or make the zone again";
                wrong.push((place, message, remedy));
            }
        } else {
            let message =
                format!("ZONEMD of scheme {} and hash {} cannot be checked here", stated.scheme, stated.hash);
            faults.warn(place, message, "add one of scheme 1 (SIMPLE) and hash 1 (SHA-384)");
        }
    }
    for (place, message, remedy) in wrong {
        if holds {
            faults.warn(place, message, remedy);
        } else {
            faults.error(place, message, remedy);
        }
    }
}

fn parse<'r>(record: &TreeRecord<'r>) -> Option<Stated<'r>> {
    let (serial, rest) = record.rdata.split_first_chunk()?;
    let (&[scheme, hash], digest) = rest.split_first_chunk()?;
    Some(Stated { serial: u32::from_be_bytes(*serial), scheme, hash, digest, place: record.place })
}

/// SOA rdata end in serial and four other numbers (RFC 1035 §3.3.13).
fn serial(tree: &Tree) -> u32 {
    let soa = tree.of_type(APEX, Rtype::SOA).next();
    let numbers = soa.and_then(|soa| soa.rdata.last_chunk::<20>());
    numbers.and_then(|numbers| numbers.first_chunk()).map_or(0, |octets| u32::from_be_bytes(*octets))
}

/// RFC 8976 §2.2.3. A digest of another length is one that nothing is equal to.
fn algorithm(stated: &Stated<'_>) -> Option<&'static Algorithm> {
    match (stated.scheme, stated.hash) {
        (SIMPLE, 1) => Some(&digest::SHA384),
        (SIMPLE, 2) => Some(&digest::SHA512),
        _ => None,
    }
}

/// The digest over all records in canonical order, glue and what is occluded among them (RFC 8976 §3.3).
fn digest_of(tree: &Tree, algorithm: &'static Algorithm) -> digest::Digest {
    let mut digest = digest::Context::new(algorithm);
    let mut nodes: Vec<NodeIndex> =
        tree.nodes().filter(|&node| tree.records(node).next().is_some()).collect();
    nodes.sort_by(|&one, &other| canonical_order(tree.owner(one), tree.owner(other)));
    let mut records: Vec<(Rtype, Vec<u8>, u32)> = Vec::new();
    for node in nodes {
        records.clear();
        let counted = tree.records(node).filter(|record| !is_left_out(node, record));
        records.extend(
            counted.map(|record| (record.rtype, canonical_rdata(record.rtype.0, record.rdata), record.ttl)),
        );
        // Types by number, data as octets (RFC 8976 §3.3.2); what differs in TTL alone is the same record.
        records.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        records.dedup_by(|one, other| (one.0, &one.1) == (other.0, &other.1));
        for (rtype, rdata, ttl) in &records {
            digest.update(tree.owner(node));
            digest.update(&rtype.0.to_be_bytes());
            digest.update(&1u16.to_be_bytes()); // IN
            digest.update(&ttl.to_be_bytes());
            digest.update(&(rdata.len() as u16).to_be_bytes());
            digest.update(rdata);
        }
    }
    digest.finish()
}

/// The digests themselves, and the signatures over them, which are made after them (RFC 8976 §3.3.1).
fn is_left_out(node: NodeIndex, record: &TreeRecord<'_>) -> bool {
    let covers = || record.rdata.first_chunk().map(|octets| Rtype(u16::from_be_bytes(*octets)));
    node == APEX && (record.rtype == ZONEMD || (record.rtype == Rtype::RRSIG && covers() == Some(ZONEMD)))
}
