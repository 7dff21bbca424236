//! The bodies of the fuzz targets: what must hold for any octets at all. A test with a fixed seed calls them too.
//!
//! Each panics when something does not hold.

mod routing;
mod stray;

use std::path::Path;

use pharos_wire::Name;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::load;
use pharos_zone::print::write_record;
use pharos_zone::scan::{Includes, Record, Source, scan};

use crate::dice::Dice;
use crate::random;
use crate::served::KEY;
pub use routing::{bfd_session, bgp_session};
pub use stray::query;

/// Records beyond this are not kept for the comparison of prints: a few lines of $GENERATE make millions.
const COMPARED_RECORDS: usize = 10_000;
/// Queries for one set of random zones.
const QUERIES: usize = 64;

/// A zone with something of every kind, for queries that come from anywhere.
pub const VARIED: &str = include_str!("varied.zone");

/// Any text as a zone file: no panic; and what is accepted, printed and read again, is the same.
pub fn zone_scan(text: &[u8]) {
    let apex = b"\x07example\0";
    let (clean, records) = scanned(text, apex);
    let apex = Name::from_wire(apex).unwrap_or_default();
    let source = Source { path: Path::new("fuzz"), octets: text, includes: Includes::Refused };
    // Accepted or refused, with all that the checks and the compiler do.
    if let Err(error) = load(&apex, source, KEY, &Checks::STRICT, &mut |_| {}) {
        let _ = error.to_string();
    }
    if !clean || records.len() > COMPARED_RECORDS {
        return;
    }
    let mut printed = String::new();
    for record in &records {
        let (rtype, class, ttl, place) = (record.rtype.0, record.class.0, record.ttl, Default::default());
        let record = Record { owner: &record.owner, rtype, class, ttl, rdata: &record.rdata, place };
        write_record(&record, &mut printed);
    }
    let (clean, again) = scanned(printed.as_bytes(), b"\0");
    assert!(clean && again == records, "printed, it reads differently:\n{printed}");
}

fn scanned(text: &[u8], origin: &[u8]) -> (bool, Vec<crate::reply::Record>) {
    let mut records = Vec::new();
    let source = Source { path: Path::new("fuzz"), octets: text, includes: Includes::Refused };
    let report = scan(source, origin, &mut |record: Record<'_>| {
        if records.len() <= COMPARED_RECORDS {
            records.push(crate::reply::Record {
                owner: record.owner.to_vec(),
                rtype: pharos_wire::Rtype(record.rtype),
                class: pharos_wire::Class(record.class),
                ttl: record.ttl,
                rdata: record.rdata.to_vec(),
            });
        }
    });
    let _ = report.to_string();
    (report.is_clean(), records)
}

/// Octets as choices: zones and queries for names in them, each answered as the model says, and to the octet alike from
/// images that were written and read again.
pub fn image_lookup(octets: &[u8]) {
    let mut dice = Dice::of_octets(octets);
    let zones = random::zones(&mut dice);
    let stored = zones.served.with_set(zones.served.stored());
    for _ in 0..QUERIES {
        let ask = random::ask(&mut dice);
        let reply = zones.served.ask(&ask);
        assert_eq!(stored.ask(&ask).octets, reply.octets, "from a stored image:\n{}", zones.text);
        if let Err(difference) = zones.model.judge(&ask, &reply, 1232) {
            panic!("{difference}\n{}", zones.text);
        }
        if dice.is_spent() {
            break;
        }
    }
}
