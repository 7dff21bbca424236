//! The text form of every type: what is written, and the canonical text that comes back.
//!
//! The canonical texts were compared with those of named-compilezone 9.18 and ldns-read-zone 1.8: they are what
//! the two agree on, or else BIND's. Each is also read again, decoded from the wire by another implementation
//! where that knows the type, and accepted in the generic form of RFC 3597.

mod common;

use common::scan_text;
use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use pharos_zone::rdata;
use pharos_zone::scan::{Includes, Source, scan};
use std::path::Path;

/// Type and data as written; canonical data, or nothing where they are the same.
const SAMPLES: &[(&str, &str)] = &[
    ("A 192.0.2.1", ""),
    ("A \\# 4 C0 0002 01", "A 192.0.2.1"),
    ("NS ns", "NS ns.example.com."),
    ("MD @", "MD example.com."),
    ("MF a.", ""),
    ("CNAME MixedCase.Example.COM.", ""),
    ("SOA ns host 1 2h 3m 4W 5", "SOA ns.example.com. host.example.com. 1 7200 180 2419200 5"),
    ("SOA . . 4294967295 0 0 0 0", ""),
    ("MB a.", ""),
    ("MG a.", ""),
    ("MR a.", ""),
    ("NULL \\# 3 616263", ""),
    ("WKS 10.0.0.1 TCP 25 http 0", "WKS 10.0.0.1 6 0 25 80"),
    ("WKS 10.0.0.1 17", ""),
    ("PTR host.example.", ""),
    ("HINFO \"PC 1\" Linux", "HINFO \"PC 1\" \"Linux\""),
    ("MINFO a. b.", ""),
    ("MX 010 mail", "MX 10 mail.example.com."),
    (
        "TXT \"a;b\\\"c\\\\d\\200\\001\" plain$@ \"\" a.b",
        "TXT \"a;b\\\"c\\\\d\\200\\001\" \"plain$@\" \"\" \"a.b\"",
    ),
    ("RP a. b.", ""),
    ("AFSDB 1 a.", ""),
    ("X25 31105060845", "X25 \"31105060845\""),
    ("ISDN 150862028003217 004", "ISDN \"150862028003217\" \"004\""),
    ("ISDN \"150862028003217\"", ""),
    ("RT 1 a.", ""),
    (
        "NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000162.00",
        "NSAP 0x47000580005a0000000001e133ffffff00016200",
    ),
    ("NSAP-PTR a.", ""),
    (
        "SIG A RSASHA256 2 3600 20300101000000 20200101000000 1 example.com. AQIDBA==",
        "SIG A 8 2 3600 20300101000000 20200101000000 1 example.com. AQIDBA==",
    ),
    ("KEY 512 3 8 AQID", ""),
    ("KEY 49152 3 8", ""),
    ("PX 10 a. b.", ""),
    ("GPOS -32.6882 116.8652 10.0", "GPOS \"-32.6882\" \"116.8652\" \"10.0\""),
    ("AAAA 2001:DB8:0:0:0:0:0:1", "AAAA 2001:db8::1"),
    ("AAAA ::ffff:192.0.2.1", ""),
    ("AAAA ::1:2", "AAAA ::0.1.0.2"),
    ("AAAA ::1", ""),
    ("AAAA ::", ""),
    ("AAAA 1:2:3:4:5:6:7::", "AAAA 1:2:3:4:5:6:7:0"),
    ("LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", ""),
    ("LOC 42 N 71 W 10m", "LOC 42 0 0.000 N 71 0 0.000 W 10.00m 1m 10000m 10m"),
    ("LOC 42 21 54 s 71 06 18.5 w -24 30.5m", "LOC 42 21 54.000 S 71 6 18.500 W -24.00m 30m 10000m 10m"),
    (
        "LOC 90 S 180 E 42849672.95m 90000000m 0.05m 12m",
        "LOC 90 0 0.000 S 180 0 0.000 E 42849672.95m 90000000m 0.05m 10m",
    ),
    ("SRV 1 2 3 srv.", ""),
    (
        "NAPTR 100 50 s \"http+I2L+I2C+I2R\" \"\" _http._tcp",
        "NAPTR 100 50 \"s\" \"http+I2L+I2C+I2R\" \"\" _http._tcp.example.com.",
    ),
    ("KX 1 a.", ""),
    ("CERT 1 65535 RSASHA256 AQID BA==", "CERT PKIX 65535 8 AQIDBA=="),
    ("CERT 12 1 8 AQ==", ""),
    ("DNAME a.", ""),
    (
        "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:FF00:0::/8",
        "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8",
    ),
    ("APL 1:0.0.0.0/0", ""),
    ("APL \\# 0", ""),
    ("APL", "APL \\# 0"),
    ("APL \\# 6 000304026162", ""),
    (
        "DS 1 ECDSAP256SHA256 SHA-1 000102030405060708090a0b0c0d0e0f 10111213",
        "DS 1 13 1 000102030405060708090A0B0C0D0E0F10111213",
    ),
    ("CDS 0 0 0 00", ""),
    ("SSHFP 1 1 123456789ABCDEF67890123456789ABCDEF67890", ""),
    ("IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG", ""),
    ("IPSECKEY 10 2 2 2001:db8::1 AQNR U3mG", "IPSECKEY 10 2 2 2001:db8::1 AQNRU3mG"),
    ("IPSECKEY 10 3 0 gw", "IPSECKEY 10 3 0 gw.example.com."),
    ("IPSECKEY 10 0 2 . AQNRU3mG", ""),
    (
        "RRSIG TYPE65280 8 2 3600 1893456000 20200101000000 1 . AQIDBA==",
        "RRSIG TYPE65280 8 2 3600 20300101000000 20200101000000 1 . AQIDBA==",
    ),
    ("NSEC \\000.a. TYPE65280 MX A RRSIG A", "NSEC \\000.a. A MX RRSIG TYPE65280"),
    ("NSEC a.", ""),
    ("DNSKEY 256 3 ECDSAP256SHA256 AQIDBAUG BwgJ", "DNSKEY 256 3 13 AQIDBAUGBwgJ"),
    ("DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=", ""),
    (
        "NSEC3 1 1 10 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
        "NSEC3 1 1 10 AABB 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG",
    ),
    ("NSEC3 1 1 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR", ""),
    ("NSEC3PARAM 1 0 0 -", ""),
    ("TLSA 3 1 1 abcdef00 0102", "TLSA 3 1 1 ABCDEF000102"),
    ("TLSA 3 1 1 a bc d", "TLSA 3 1 1 ABCD"),
    ("SMIMEA 3 1 1 AB", ""),
    ("HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx", ""),
    ("HIP 2 20 AwEAAbdx rvs rvs.example.net.", "HIP 2 20 AwEAAbdx rvs.example.com. rvs.example.net."),
    ("NINFO x", "NINFO \"x\""),
    ("RKEY 0 0 8 AQID", ""),
    ("TALINK a. b.", ""),
    ("CDNSKEY 0 3 0 AA==", ""),
    ("OPENPGPKEY AQID BA==", "OPENPGPKEY AQIDBA=="),
    ("CSYNC 66 3 AAAA NS A", "CSYNC 66 3 A NS AAAA"),
    ("ZONEMD 2018031500 1 240 0102030405060708090A0B0C", ""),
    (
        "SVCB 1 foo.example. alpn=h2,h3 port=8443 ipv4hint=1.2.3.4,5.6.7.8 key65333=\"a b\\\"c\\001\" no-default-alpn \
         ech=\"AQID\" ipv6hint=2001:db8::1 mandatory=port,alpn",
        "SVCB 1 foo.example. mandatory=alpn,port alpn=\"h2,h3\" no-default-alpn port=8443 ipv4hint=1.2.3.4,5.6.7.8 ech=AQID \
         ipv6hint=2001:db8::1 key65333=\"a b\\\"c\\001\"",
    ),
    ("HTTPS 0 .", ""),
    ("HTTPS 1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", ""),
    ("HTTPS 1 . alpn=f\\\\\\092oo\\092,bar,h2", "HTTPS 1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\""),
    ("HTTPS 16 a. key667=\"hello\\210qoo\"", ""),
    ("HTTPS 1 . key1=\\002h2 key3=\\001\\187", "HTTPS 1 . alpn=\"h2\" port=443"),
    ("HTTPS 1 . key65000 key65001=", "HTTPS 1 . key65000 key65001"),
    ("HTTPS 1 . dohpath=/dns-query{?dns} ohttp", "HTTPS 1 . dohpath=\"/dns-query{?dns}\" ohttp"),
    ("DSYNC CDS notify 5359 scan", "DSYNC CDS NOTIFY 5359 scan.example.com."),
    ("DSYNC CSYNC 2 1 .", ""),
    ("HHIT AQID", ""),
    ("BRID AQID", ""),
    ("SPF \"v=spf1 -all\"", ""),
    ("NID 10 14:4FFF:ff20:ee64", "NID 10 0014:4fff:ff20:ee64"),
    ("L32 10 10.1.2.0", ""),
    ("L64 10 2001:0DB8:1140:1000", "L64 10 2001:0db8:1140:1000"),
    ("LP 10 l64.example.com.", ""),
    ("EUI48 00-00-5E-00-53-2a", "EUI48 00-00-5e-00-53-2a"),
    ("EUI64 00-00-5e-ef-10-00-00-2a", ""),
    ("URI 10 1 \"ftp://ftp1.example.com/public\"", ""),
    ("CAA 0 issue \"ca.example.net; policy=ev\"", ""),
    ("CAA 128 ISSUE ca", "CAA 128 ISSUE \"ca\""),
    ("CAA 0 iodef \"\"", ""),
    ("AVC a b", "AVC \"a\" \"b\""),
    ("DOA 1 2 3 text/plain AQID", "DOA 1 2 3 \"text/plain\" AQID"),
    ("AMTRELAY 10 1 3 relay", "AMTRELAY 10 1 3 relay.example.com."),
    ("AMTRELAY 10 0 1 203.0.113.15", ""),
    ("AMTRELAY 10 0 0 .", ""),
    ("RESINFO qnamemin exterr=15-17", "RESINFO \"qnamemin\" \"exterr=15-17\""),
    ("WALLET ETH 0x1", "WALLET \"ETH\" \"0x1\""),
    ("CLA x", "CLA \"x\""),
    ("TA 1 8 255 00", ""),
    ("DLV 1 8 255 00", ""),
    ("TYPE65280 \\# 4 0a000001", "TYPE65280 \\# 4 0A000001"),
    ("TYPE65280 \\# 0", ""),
    ("TYPE15 10 mail.", "MX 10 mail."),
];

/// Type number and wire data of the one record in `text`, which stands behind owner and TTL.
fn wire_of(data: &str) -> (u16, Vec<u8>) {
    let text = format!("@ 1 {data}\n");
    let origin = pharos_wire::Name::from_text("example.com").expect("a name");
    let mut found = None;
    let source = Source { path: Path::new("x"), octets: text.as_bytes(), includes: Includes::Refused };
    let report =
        scan(source, origin.as_wire(), &mut |record| found = Some((record.rtype, record.rdata.to_vec())));
    found.unwrap_or_else(|| panic!("{report}"))
}

fn canonical<'a>((written, canonical): &(&'a str, &'a str)) -> &'a str {
    if canonical.is_empty() { written } else { canonical }
}

#[test]
fn every_type_is_read_and_printed_in_its_canonical_form() {
    for sample in SAMPLES {
        let (lines, report) = scan_text(format!("@ 1 {}\n", sample.0));
        assert!(report.is_clean(), "{report}");
        assert_eq!(lines, [format!("example.com. 1 IN {}", canonical(sample))]);
    }
}

#[test]
fn the_canonical_form_is_read_back_as_the_same_octets() {
    for sample in SAMPLES {
        assert_eq!(wire_of(canonical(sample)), wire_of(sample.0), "{sample:?}");
    }
}

#[test]
fn what_was_read_is_valid_and_is_read_in_the_generic_form_too() {
    for sample in SAMPLES {
        let (rtype, octets) = wire_of(sample.0);
        assert_eq!(rdata::validate(rtype, &octets), Ok(()), "{sample:?}");
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(
            wire_of(&format!("TYPE{rtype} \\# {} {hex}", octets.len())),
            (rtype, octets),
            "{sample:?}"
        );
    }
}

#[test]
fn octets_cut_off_at_any_place_never_panic_and_print_as_something_that_scans() {
    for sample in SAMPLES {
        let (rtype, octets) = wire_of(sample.0);
        for cut in 0..octets.len() {
            let octets = &octets[..cut];
            let mut text = String::new();
            rdata::write_text(rtype, octets, &mut text);
            if rdata::validate(rtype, octets).is_ok() {
                assert_eq!(wire_of(&format!("TYPE{rtype} {text}")).1, octets, "{sample:?} {text}");
            }
        }
    }
}

#[test]
fn another_implementation_decodes_what_was_read() {
    let mut decoded = 0;
    for sample in SAMPLES {
        let (rtype, octets) = wire_of(sample.0);
        // It takes SIG for SIG(0), which does not stand among answers, and empty data for those of updates.
        if sample.0.starts_with("SIG ") || octets.is_empty() {
            continue;
        }
        // A reply with one answer: root, type, class IN, TTL 1, the data.
        let mut message = b"\0\x01\x84\0\0\0\0\x01\0\0\0\0\0".to_vec();
        message.extend_from_slice(&rtype.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 1]);
        message.extend_from_slice(&(octets.len() as u16).to_be_bytes());
        message.extend_from_slice(&octets);
        let message = Message::from_vec(&message).unwrap_or_else(|error| panic!("{sample:?}: {error}"));
        let data = &message.answers[0].data;
        if !matches!(data, RData::Unknown { .. }) {
            decoded += 1;
        }
    }
    assert!(decoded > 30, "only {decoded} types were known");
}
