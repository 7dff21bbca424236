//! A reply from its octets to the text that people know from `dig`.
//!
//! Reads only what the responder writes: names are compressed in owners and in the types of RFC 1035, nowhere else
//! (RFC 3597 §4). Anything else is not shown but refused.

use pharos_wire::edns::{EXTENDED_ERROR, REPORT_CHANNEL};
use pharos_wire::name::{MAX_OCTETS, Text};
use pharos_wire::{Class, Rcode, Rtype, header};
use pharos_zone::rdata::write_text;
use pharos_zone::rtype::Display;
use std::fmt::Write as _;

/// The whole message; none when it cannot be read.
pub(super) fn show(message: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk::<2>()?));
    let flags = word(2)?;
    let counts = [word(4)?, word(6)?, word(8)?, word(10)?];
    let mut text = String::new();
    let mut cursor = Cursor { message, at: header::OCTETS };
    let question = if counts[0] == 1 {
        let (qname, qtype) = (cursor.name()?, cursor.u16()?);
        let class = class_text(cursor.u16()?);
        format!("\n;; QUESTION\n;{} {class} {}\n", Text(&qname), type_text(qtype))
    } else {
        String::new()
    };
    let (mut sections, mut opt) = (String::new(), None);
    for (title, count) in ["ANSWER", "AUTHORITY", "ADDITIONAL"].into_iter().zip(&counts[1..]) {
        let mut lines = String::new();
        for _ in 0..*count {
            let record = cursor.record()?;
            if record.rtype == Rtype::OPT.0 {
                opt = Some(record);
                continue;
            }
            let mut data = String::new();
            write_text(record.rtype, &record.rdata, &mut data);
            let (owner, ttl, rtype) = (Text(&record.owner), record.ttl, Display(record.rtype));
            let class = class_text(record.class);
            let _ = writeln!(lines, "{owner}\t{ttl}\t{class}\t{rtype}\t{data}");
        }
        if !lines.is_empty() {
            let _ = write!(sections, "\n;; {title}\n{lines}");
        }
    }
    if cursor.at != message.len() {
        return None;
    }
    // The upper bits of the response code stand in OPT's TTL (RFC 6891 §6.1.3).
    let rcode = Rcode(opt.as_ref().map_or(0, |opt| (opt.ttl >> 20 & 0xff0) as u16) | flags & 0xf);
    let named = [(header::QR, "qr"), (header::AA, "aa"), (header::TC, "tc"), (header::RD, "rd")];
    let names: Vec<&str> =
        named.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| name).collect();
    let _ = writeln!(
        text,
        ";; status {}, flags {}; answer {}, authority {}, additional {}",
        rcode.label().to_ascii_uppercase(),
        names.join(" "),
        counts[1],
        counts[2],
        counts[3]
    );
    if let Some(opt) = opt {
        let dnssec = if opt.ttl & 0x8000 != 0 { ", flag do" } else { "" };
        let _ = writeln!(text, ";; EDNS version {}{dnssec}, {} octets", opt.ttl >> 16 & 0xff, opt.class);
        options(&opt.rdata, &mut text)?;
    }
    text.push_str(&question);
    text.push_str(&sections);
    Some(text)
}

/// A line for each option of the OPT record (RFC 6891 §6.1.2).
fn options(rdata: &[u8], text: &mut String) -> Option<()> {
    let mut cursor = Cursor { message: rdata, at: 0 };
    while cursor.at < rdata.len() {
        let (code, octets) = (cursor.u16()?, usize::from(cursor.u16()?));
        let data = rdata.get(cursor.at..cursor.at + octets)?;
        cursor.at += octets;
        let _ = match (code, data) {
            (EXTENDED_ERROR, &[i0, i1, ..]) => {
                let code = u16::from_be_bytes([i0, i1]);
                match EXTENDED_ERRORS.get(usize::from(code)) {
                    Some(name) => {
                        writeln!(text, ";; extended error {code}: {name} (RFC 8914 §4.{})", code + 1)
                    }
                    None => writeln!(text, ";; extended error {code} (RFC 8914 §5.2)"),
                }
            }
            (REPORT_CHANNEL, agent) => {
                writeln!(text, ";; errors may be reported to {} (RFC 9567 §6.2)", Text(agent))
            }
            (code, data) => writeln!(text, ";; option {code}, {} octets", data.len()),
        };
    }
    Some(())
}

/// The codes of RFC 8914 by their names, from 0; each has the section 4.(code + 1).
const EXTENDED_ERRORS: [&str; 25] = [
    "Other Error",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
];

/// The two classes that are asked about here.
fn class_text(class: u16) -> &'static str {
    if Class(class) == Class::CH { "CH" } else { "IN" }
}

/// A type asked for: those for queries only have no place in the table of types of data.
fn type_text(rtype: u16) -> String {
    Rtype(rtype).mnemonic().map_or_else(|| Display(rtype).to_string(), ToOwned::to_owned)
}

struct Record {
    owner: Vec<u8>,
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: Vec<u8>,
}

/// Octets read from front to back.
struct Cursor<'m> {
    message: &'m [u8],
    at: usize,
}

impl Cursor<'_> {
    fn u16(&mut self) -> Option<u16> {
        let octets = self.message.get(self.at..)?.first_chunk::<2>()?;
        self.at += 2;
        Some(u16::from_be_bytes(*octets))
    }

    /// A name, made whole. Each pointer must lead to what stands before (RFC 1035 §4.1.4).
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let (mut at, mut behind) = (self.at, None);
        loop {
            let len = *self.message.get(at)?;
            if len >= 0xc0 {
                let target = usize::from(len & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                behind = behind.or(Some(at + 2));
                if target >= at {
                    return None;
                }
                at = target;
                continue;
            }
            let label = self.message.get(at..=at + usize::from(len))?;
            name.extend(label);
            at += label.len();
            if len == 0 {
                break;
            }
            if name.len() > MAX_OCTETS {
                return None;
            }
        }
        self.at = behind.unwrap_or(at);
        Some(name)
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.name()?;
        let (rtype, class) = (self.u16()?, self.u16()?);
        let ttl = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let octets = usize::from(self.u16()?);
        let end = self.at + octets;
        let mut rdata = Vec::new();
        let (fixed, names) = compressed_names(Rtype(rtype));
        rdata.extend(self.message.get(self.at..self.at + fixed)?);
        self.at += fixed;
        for _ in 0..names {
            rdata.extend(self.name()?);
        }
        rdata.extend(self.message.get(self.at..end)?);
        self.at = end;
        Some(Record { owner, rtype, class, ttl, rdata })
    }
}

/// Octets before the names in rdata of this type, and how many names there are.
fn compressed_names(rtype: Rtype) -> (usize, usize) {
    match rtype {
        Rtype::NS | Rtype::MD | Rtype::MF | Rtype::CNAME | Rtype::MB | Rtype::MG | Rtype::MR | Rtype::PTR => {
            (0, 1)
        }
        Rtype::SOA | Rtype::MINFO => (0, 2),
        Rtype::MX => (2, 1),
        _ => (0, 0),
    }
}
