//! A reply as its receiver sees it.

use std::fmt;

use hickory_proto::op::Message;
use pharos_answer::Replied;
use pharos_wire::name::Text;
use pharos_wire::{Class, Rcode, Rtype};

use crate::decode::{Cursor, Fault};

/// A reply, read.
#[derive(Clone, Debug)]
pub struct Reply {
    /// As sent.
    pub octets: Vec<u8>,
    /// What the answering code says of it.
    pub replied: Replied,
    /// The identifier.
    pub id: u16,
    /// The second 16 bits: flags, opcode and the lower bits of the response code.
    pub flags: u16,
    /// The question, unless there is none.
    pub question: Option<Question>,
    /// The three sections; without OPT.
    pub sections: [Vec<Record>; 3],
    /// The OPT record.
    pub opt: Option<Opt>,
}

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The name, with its case.
    pub qname: Vec<u8>,
    /// The type.
    pub qtype: Rtype,
    /// The class.
    pub qclass: Class,
}

/// A record with whole names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Record {
    /// The owner in wire form, with its case.
    pub owner: Vec<u8>,
    /// The type.
    pub rtype: Rtype,
    /// The class.
    pub class: Class,
    /// Seconds.
    pub ttl: u32,
    /// The data, names uncompressed.
    pub rdata: Vec<u8>,
}

/// An OPT record (RFC 6891 §6.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opt {
    /// Octets that the server takes.
    pub payload: u16,
    /// The upper eight bits of the response code.
    pub rcode_high: u8,
    /// The version.
    pub version: u8,
    /// The flags, DO among them.
    pub flags: u16,
    /// Each option's code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// What is wrong with it, also in the eyes of hickory-proto.
    pub fn read(octets: &[u8], replied: Replied) -> Result<Self, String> {
        let mut cursor = Cursor::new(octets);
        let (id, flags) = (cursor.u16()?, cursor.u16()?);
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let question = match counts[0] {
            0 => None,
            1 => Some(cursor.question()?),
            more => return Err(format!("{more} questions")),
        };
        let mut sections: [Vec<Record>; 3] = Default::default();
        let mut opt = None;
        for (index, (section, count)) in sections.iter_mut().zip(&counts[1..]).enumerate() {
            for _ in 0..*count {
                let record = cursor.record()?;
                if record.rtype != Rtype::OPT {
                    section.push(record);
                } else if index != 2 || opt.is_some() || record.owner != [0] {
                    return Err("OPT twice, with an owner, or outside of the additional section".into());
                } else {
                    opt = Some(Opt::read(&record)?);
                }
            }
        }
        if cursor.at != octets.len() {
            return Err(format!("{} octets behind the last record", octets.len() - cursor.at));
        }
        // RFC 3597 §5 has data of no octets, and hickory-proto takes them for an update's.
        if sections.iter().flatten().all(|record| !record.rdata.is_empty()) {
            Message::from_vec(octets).map_err(|error| format!("hickory-proto refuses it: {error}"))?;
        }
        let reply = Self { octets: octets.to_vec(), replied, id, flags, question, sections, opt };
        if reply.rcode() != replied.rcode || replied.len != octets.len() {
            return Err(format!("the verdict says {replied:?}"));
        }
        Ok(reply)
    }

    /// Holds the reply against the message that it answers (RFC 1035 §4.1.1, RFC 6891 §6.1.1).
    ///
    /// # Panics
    /// When they do not match.
    pub fn check_against(&self, message: &[u8]) {
        assert_eq!(self.octets[..2], message[..2], "the identifier");
        assert!(self.flags & 0x8000 != 0, "QR is not set");
        let query_flags = u16::from_be_bytes([message[2], message[3]]);
        // Opcode and RD are copied; Z, AD and CD are not ours to set, and RA is never (no recursion).
        assert_eq!(self.flags & 0x7900, query_flags & 0x7900, "opcode and RD");
        assert_eq!(self.flags & 0x00f0, 0, "RA, Z, AD and CD");
        if self.question.is_some() {
            let mut cursor = Cursor::new(&self.octets);
            let end = cursor.take(12).and_then(|_| cursor.question()).map(|_| cursor.at).unwrap_or(0);
            assert_eq!(self.octets[12..end], message[12..end], "the question, case included");
        }
    }

    /// The response code, with the bits that OPT carries.
    pub fn rcode(&self) -> Rcode {
        let high = self.opt.as_ref().map_or(0, |opt| u16::from(opt.rcode_high));
        Rcode(high << 4 | self.flags & 0xf)
    }

    /// The AA bit.
    pub fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// The TC bit.
    pub fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The answer section as lines.
    pub fn answer(&self) -> Lines {
        self.lines(0)
    }

    /// The authority section as lines.
    pub fn authority(&self) -> Lines {
        self.lines(1)
    }

    /// The additional section as lines, without OPT.
    pub fn additional(&self) -> Lines {
        self.lines(2)
    }

    fn lines(&self, section: usize) -> Lines {
        Lines(self.sections[section].iter().map(ToString::to_string).collect())
    }
}

/// Header and sections, for messages of failed tests.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rcode, kind, octets) = (self.rcode().label(), self.replied.kind.label(), self.octets.len());
        let (aa, tc) = (self.is_authoritative(), self.is_truncated());
        writeln!(f, "{rcode} {kind} AA={aa} TC={tc}, {octets} octets, {:?}", self.opt)?;
        for (title, section) in ["answer", "authority", "additional"].into_iter().zip(&self.sections) {
            for record in section {
                writeln!(f, "  {title}: {record}")?;
            }
        }
        Ok(())
    }
}

impl Opt {
    pub(crate) fn read(record: &Record) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(&record.rdata);
        let mut options = Vec::new();
        while cursor.at < record.rdata.len() {
            let (code, octets) = (cursor.u16()?, cursor.u16()?);
            options.push((code, cursor.take(usize::from(octets))?.to_vec()));
        }
        let [rcode_high, version, f0, f1] = record.ttl.to_be_bytes();
        let flags = u16::from_be_bytes([f0, f1]);
        Ok(Self { payload: record.class.0, rcode_high, version, flags, options })
    }

    /// The DO bit.
    pub fn wants_dnssec(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(known, _)| *known == code).map(|(_, data)| &data[..])
    }

    /// The server's identity, if told (RFC 5001).
    pub fn nsid(&self) -> Option<&[u8]> {
        self.option(3)
    }
}

/// `owner ttl TYPE data`, one space between each; the class too where it is not IN.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut data = String::new();
        pharos_zone::rdata::write_text(self.rtype.0, &self.rdata, &mut data);
        write!(f, "{} {} ", Text(&self.owner), self.ttl)?;
        if self.class != Class::IN {
            write!(f, "CLASS{} ", self.class.0)?;
        }
        write!(f, "{} {data}", pharos_zone::rtype::Display(self.rtype.0))
    }
}

/// The records of a section as text. Equal to an array of lines when it holds just these, in any order (RFC 1034
/// §3.6: the order of records does not matter).
#[derive(Clone, Debug)]
pub struct Lines(pub Vec<String>);

impl Lines {
    /// Whether some line starts with this.
    pub fn has(&self, start: &str) -> bool {
        self.0.iter().any(|line| line.starts_with(start))
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Lines {
    fn eq(&self, other: &[&str; N]) -> bool {
        let mut ours: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let mut theirs = *other;
        ours.sort_unstable();
        theirs.sort_unstable();
        ours == theirs
    }
}
