//! Random record data, as text of zone files.

use std::fmt::Write;

use super::names::DomainName;
use super::random::Random;

/// Types that any name may have, with those that lead to additional data first.
pub const TYPES: &[&str] = &[
    "A",
    "AAAA",
    "MX",
    "SRV",
    "NAPTR",
    "SVCB",
    "HTTPS",
    "TXT",
    "PTR",
    "CAA",
    "TLSA",
    "SSHFP",
    "URI",
    "HINFO",
    "LOC",
    "RP",
    "AFSDB",
    "KX",
    "CERT",
    "SMIMEA",
    "OPENPGPKEY",
    "EUI48",
    "EUI64",
    "APL",
    "DHCID",
    "NID",
    "L32",
    "L64",
    "LP",
    "SPF",
    "MINFO",
    "CSYNC",
    "TYPE731",
    "TYPE65280",
    "RT",
    "TYPE19",
    "TYPE20",
    "TYPE26",
    "TYPE7",
    "TYPE8",
    "TYPE9",
];

/// How many of [`TYPES`] have a name that every server knows, since dnssec-signzone writes names where it can.
pub const NAMED: usize = 34;

/// The number of a type by its name.
///
/// # Panics
/// If the generator does not know it.
pub fn type_number(name: &str) -> u16 {
    if let Some(number) = name.strip_prefix("TYPE") {
        return number.parse().expect("TYPE and a number");
    }
    let known = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("MB", 7),
        ("MG", 8),
        ("MR", 9),
        ("PTR", 12),
        ("HINFO", 13),
        ("MINFO", 14),
        ("MX", 15),
        ("TXT", 16),
        ("RP", 17),
        ("AFSDB", 18),
        ("X25", 19),
        ("ISDN", 20),
        ("RT", 21),
        ("PX", 26),
        ("AAAA", 28),
        ("LOC", 29),
        ("SRV", 33),
        ("NAPTR", 35),
        ("KX", 36),
        ("CERT", 37),
        ("DNAME", 39),
        ("APL", 42),
        ("DS", 43),
        ("SSHFP", 44),
        ("RRSIG", 46),
        ("NSEC", 47),
        ("DNSKEY", 48),
        ("DHCID", 49),
        ("NSEC3", 50),
        ("NSEC3PARAM", 51),
        ("TLSA", 52),
        ("SMIMEA", 53),
        ("CDS", 59),
        ("OPENPGPKEY", 61),
        ("CSYNC", 62),
        ("ZONEMD", 63),
        ("SVCB", 64),
        ("HTTPS", 65),
        ("SPF", 99),
        ("NID", 104),
        ("L32", 105),
        ("L64", 106),
        ("LP", 107),
        ("EUI48", 108),
        ("EUI64", 109),
        ("ANY", 255),
        ("URI", 256),
        ("CAA", 257),
    ];
    known.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("type {name}")).1
}

/// Text of rdata; `target` makes a name for those types that hold one.
pub fn rdata(random: &mut Random, rtype: &str, target: &mut impl FnMut(&mut Random) -> DomainName) -> String {
    let r = random;
    let n = |r: &mut Random, bound: usize| r.below(bound);
    match rtype {
        "A" => format!("192.0.2.{}", n(r, 256)),
        "AAAA" => format!("2001:db8::{:x}", n(r, 65_536)),
        "MX" | "AFSDB" | "KX" | "RT" | "LP" => format!("{} {}", n(r, 4), target(r).text()),
        "PTR" => target(r).text(),
        "TYPE7" | "TYPE8" | "TYPE9" => generic(&target(r).wire()),
        "TYPE26" => generic(&[&[0, 9][..], &target(r).wire(), &target(r).wire()].concat()),
        "TYPE19" => generic(b"\x06311000"),
        "TYPE20" => generic(b"\x0512345\x0211"),
        "RP" | "MINFO" => format!("{} {}", target(r).text(), target(r).text()),
        "SRV" => format!("{} {} {} {}", n(r, 3), n(r, 3), n(r, 65_536), target(r).text()),
        "NAPTR" => format!("{} {} \"s\" \"SIP+D2U\" \"\" {}", n(r, 99), n(r, 99), target(r).text()),
        "SVCB" | "HTTPS" if r.percent(30) => format!("0 {}", target(r).text()),
        "SVCB" | "HTTPS" => {
            format!("{} {} alpn=h2,h3 port={}", 1 + n(r, 3), target(r).text(), 1 + n(r, 9999))
        }
        "TXT" | "SPF" => {
            let mut text = String::new();
            for _ in 0..r.between(1, 3) {
                let _ = write!(text, "{} ", quoted(r));
            }
            text
        }
        "CAA" => format!("{} issue \"ca{}.example.net\"", 128 * n(r, 2), n(r, 99)),
        "TLSA" | "SMIMEA" => format!("3 1 1 {}", hex(r, 32)),
        "SSHFP" => format!("4 2 {}", hex(r, 32)),
        "URI" => format!("{} 1 \"https://host{}.example.net/\"", n(r, 9), n(r, 99)),
        "HINFO" => format!("\"CPU{}\" \"\"", n(r, 9)),
        "LOC" => format!("{} 21 54.000 N 4 {} 0.000 E -2.00m 1m 10000m 10m", n(r, 90), n(r, 60)),
        "CERT" => format!("1 {} 8 AQID", n(r, 65_536)),
        "OPENPGPKEY" => "AQIDBAUG".to_owned(),
        "EUI48" => format!("00-00-5e-00-53-{:02x}", n(r, 256)),
        "EUI64" => format!("00-00-5e-ef-10-00-00-{:02x}", n(r, 256)),
        "APL" => format!("1:192.0.2.{}/32 !2:2001:db8::/32", n(r, 256)),
        "DHCID" => "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=".to_owned(),
        "NID" | "L64" => format!("{} 2001:1DB8:1140:{:04x}", n(r, 9), 4096 + n(r, 9999)),
        "L32" => format!("{} 192.0.2.{}", n(r, 9), n(r, 256)),
        "CSYNC" => format!("{} 3 A NS AAAA", n(r, 9999)),
        "DS" => format!("{} 13 2 {}", n(r, 65_536), hex(r, 32)),
        _ => {
            let octets = r.below(40);
            format!("\\# {octets} {}", hex(r, octets))
        }
    }
}

/// The form that every type has (RFC 3597 §5), for types whose own form not all servers know.
fn generic(wire: &[u8]) -> String {
    wire.iter().fold(format!("\\# {} ", wire.len()), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A character-string with something odd in it.
fn quoted(random: &mut Random) -> String {
    let octets = if random.percent(10) { random.between(200, 255) } else { random.between(0, 30) };
    let mut text = String::from("\"");
    for _ in 0..octets {
        let octet = if random.percent(80) { random.between(32, 126) as u8 } else { random.number() as u8 };
        if octet.is_ascii_alphanumeric() || octet == b' ' || octet == b';' {
            text.push(octet.into());
        } else {
            let _ = write!(text, "\\{octet:03}");
        }
    }
    text + "\""
}

fn hex(random: &mut Random, octets: usize) -> String {
    random.octets(octets).iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
