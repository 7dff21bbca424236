//! What holds for every text: no panic, bounded output, and printing loses nothing.

mod common;

use pharos_zone::print::{Listing, canonical_name_order};
use pharos_zone::scan::{Includes, Report, Source, scan};
use pharos_zone::{rdata, rtype};
use proptest::prelude::*;
use std::io;
use std::path::Path;

/// Pieces that zone files are made of, and pieces that break them.
const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\n",
    " ",
    " ",
    "\t",
    "\r\n",
    "@",
    "www",
    "a.b.",
    ".",
    "*",
    "\\.",
    "\\255",
    "\\",
    "\\#",
    "\"",
    "\"a b\"",
    "(",
    ")",
    ";",
    "$ORIGIN",
    "$TTL",
    "$INCLUDE",
    "$GENERATE",
    "1-3",
    "0-9/4 a$ A 192.0.2.$\n",
    "${1,2,x}",
    "$",
    "3600",
    "1h30m",
    "4294967296",
    "IN",
    "CH",
    "CLASS1",
    "A",
    "192.0.2.1",
    "AAAA",
    "2001:db8::1",
    "::",
    "NS",
    "SOA",
    "MX",
    "10",
    "TXT",
    "SRV",
    "DS",
    "DNSKEY",
    "257 3 13",
    "AQIDBA==",
    "AQ",
    "RRSIG",
    "20300101000000",
    "NSEC",
    "NSEC3",
    "1 0 0 -",
    "2T7B4G4VSA5SMI47K61MV5BV1A22BOJR",
    "TYPE65280",
    "TYPE1",
    "\\# 4 c0000201",
    "\\# 0",
    "00",
    "SVCB",
    "HTTPS",
    "alpn=h2",
    "alpn=\"h2,h3\"",
    "mandatory=alpn",
    "key65280=x",
    "port=443",
    "LOC",
    "52 22 23.000 N",
    "4 53 32.000 E",
    "-2m",
    "APL",
    "1:192.0.2.0/24",
    "!2::/0",
    "CAA",
    "issue",
    "HIP",
    "NAPTR",
    "WKS",
    "TCP",
    "IPSECKEY",
    "10 3 2",
    "CERT",
    "PKIX",
    "NSAP",
    "0x47",
    "EUI48",
    "00-00-5e-00-53-2a",
    "URI",
    "CSYNC",
    "TLSA 3 1 1 abcd",
    "www 60 IN A 192.0.2.7\n",
    "mail 60 MX 10 @\n",
    "t 60 TXT ( \"x\"\n y )\n",
    "k 60 DNSKEY 257 3 13 AQID\n",
    "h 60 HTTPS 1 . alpn=h2\n",
];

fn zone_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        2 => proptest::sample::select(PIECES).prop_map(|piece| [piece.as_bytes(), b" "].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A record of any type with data that are random, or are random octets behind a plausible beginning.
fn any_record() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let number = prop_oneof![1..270_u16, 32768..32770_u16, any::<u16>()];
    let octets = proptest::collection::vec(prop_oneof![4 => 0..20_u8, 1 => any::<u8>()], 0..40);
    (number.prop_filter("not in zones", |&number| rtype::can_be_in_zone(number)), octets)
}

fn scan_listing(octets: &[u8]) -> (Listing, Report) {
    let origin = pharos_wire::Name::from_text("example.com").expect("a name");
    let mut listing = Listing::new();
    let mut included = 0;
    let mut read = |_: &Path| {
        included += 1;
        match included {
            1 => Ok(octets.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    };
    let source = Source { path: Path::new("test.zone"), octets, includes: Includes::Reader(&mut read) };
    let report = scan(source, origin.as_wire(), &mut |record| listing.push(&record));
    (listing, report)
}

fn check(octets: &[u8]) -> Result<(), TestCaseError> {
    let (listing, report) = scan_listing(octets);
    prop_assert_eq!(listing.records().len() as u64, report.records);
    prop_assert!(report.to_string().len() < 300_000);
    for record in listing.records() {
        prop_assert_eq!(rdata::validate(record.rtype, record.rdata), Ok(()));
        prop_assert!(
            pharos_wire::Name::from_wire(record.owner).is_ok_and(|name| name.as_wire() == record.owner)
        );
    }
    let mut text = Vec::new();
    listing.print(&mut text).expect("writing to memory");
    let (again, report) = scan_listing(&text);
    prop_assert!(report.is_clean(), "{}\n{}", String::from_utf8_lossy(&text), report);
    let facts = |listing: &Listing| -> Vec<_> {
        listing.records().map(|r| (r.owner.to_vec(), r.rtype, r.ttl, r.rdata.to_vec())).collect()
    };
    prop_assert_eq!(facts(&listing), facts(&again));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_like_zone_files_scan_and_what_they_print_scans_to_the_same(octets in zone_like()) {
        check(&octets)?;
    }

    #[test]
    fn arbitrary_octets_scan_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&octets)?;
    }

    #[test]
    fn whatever_octets_are_rdata_their_text_scans_to_them((number, octets) in any_record()) {
        let mut text = String::new();
        rdata::write_text(number, &octets, &mut text);
        if rdata::validate(number, &octets).is_err() {
            return Ok(());
        }
        let line = format!("@ 1 TYPE{number} {text}\n");
        let (listing, report) = scan_listing(line.as_bytes());
        prop_assert!(report.is_clean(), "{}{}", line, report);
        let scanned = listing.records().next().map(|record| record.rdata.to_vec());
        prop_assert_eq!(scanned, Some(octets.clone()));
        // Names lie inside the data, one behind the other, and are names.
        let mut at = 0;
        for (place, _) in rdata::names(number, &octets) {
            prop_assert!(place.start >= at && pharos_wire::Name::from_wire(&octets[place.clone()]).is_ok());
            at = place.end;
        }
        prop_assert!(at <= octets.len());
    }

    #[test]
    fn the_order_of_names_is_total(a in "[aAb.*-]{0,8}", b in "[aAb.*-]{0,8}", c in "[aAb.*-]{0,8}") {
        let name = |text: &str| pharos_wire::Name::from_text(text).ok();
        let (Some(a), Some(b), Some(c)) = (name(&a), name(&b), name(&c)) else { return Ok(()) };
        let order = |a: &pharos_wire::Name, b: &pharos_wire::Name| canonical_name_order(a.as_wire(), b.as_wire());
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        prop_assert_eq!(order(&a, &b).is_eq(), a == b);
        if order(&a, &b).is_le() && order(&b, &c).is_le() {
            prop_assert!(order(&a, &c).is_le());
        }
    }
}
