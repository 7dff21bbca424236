//! Replies in a form that can be compared: decoded by code of its own, names unpacked and folded.
//!
//! Order within a section and the way of compression do not matter; everything else does. Names inside rdata
//! are unpacked for every type in which some server might compress them (RFC 3597 §4, receivers) and folded,
//! because a server may keep one spelling of a name for all places (RFC 4343 §4.1).

use std::collections::BTreeMap;

use super::names::DomainName;

/// A record; owner and names in rdata folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplyRecord {
    /// Whose it is.
    pub owner: DomainName,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Time to live, in seconds.
    pub ttl: u32,
    /// Its data with names unpacked.
    pub rdata: Vec<u8>,
}

/// The OPT record of a reply.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplyOpt {
    /// The server's UDP size.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// Flags, DO among them.
    pub flags: u16,
    /// Codes of the options.
    pub options: Vec<u16>,
}

/// A decoded reply.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Response code with its extended bits.
    pub rcode: u16,
    /// The sixteen bits behind the identifier, without the rcode.
    pub flags: u16,
    /// The question section as it was received: name with its case, type, class.
    pub question: Vec<(DomainName, u16, u16)>,
    /// Answer, authority, additional: how often each record stands there.
    pub sections: [BTreeMap<ReplyRecord, usize>; 3],
    /// Its OPT record.
    pub opt: Option<ReplyOpt>,
    /// Octets on the wire.
    pub octets: usize,
}

/// The answer section's index.
pub const ANSWER: usize = 0;
/// The authority section's index.
pub const AUTHORITY: usize = 1;
/// The additional section's index.
pub const ADDITIONAL: usize = 2;

/// The TC bit of [`Reply::flags`].
pub const TC: u16 = 0x0200;
/// The AA bit of [`Reply::flags`].
pub const AA: u16 = 0x0400;

impl Reply {
    /// Decodes a message; the error says what is wrong with it.
    pub fn decode(message: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor { message, at: 2 };
        let flags = cursor.u16()?;
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = cursor.u16()?;
        }
        let mut reply =
            Self { rcode: flags & 15, flags: flags & !15, octets: message.len(), ..Self::default() };
        for _ in 0..counts[0] {
            reply.question.push((cursor.name()?, cursor.u16()?, cursor.u16()?));
        }
        for (section, &count) in counts[1..].iter().enumerate() {
            for _ in 0..count {
                reply.record(&mut cursor, section)?;
            }
        }
        if cursor.at != message.len() {
            return Err(format!("{} octets after the last record", message.len() - cursor.at));
        }
        Ok(reply)
    }

    fn record(&mut self, cursor: &mut Cursor<'_>, section: usize) -> Result<(), String> {
        let owner = cursor.name()?.folded();
        let (rtype, class, ttl) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
        let rdata_octets = usize::from(cursor.u16()?);
        let end = cursor.at + rdata_octets;
        if end > cursor.message.len() {
            return Err("rdata beyond the end".into());
        }
        if rtype == 41 {
            if self.opt.is_some() || section != ADDITIONAL || !owner.0.is_empty() {
                return Err("a second or misplaced OPT record".into());
            }
            self.rcode |= ((ttl >> 24) as u16) << 4;
            let mut opt =
                ReplyOpt { size: class, version: (ttl >> 16) as u8, flags: ttl as u16, options: Vec::new() };
            while cursor.at < end {
                opt.options.push(cursor.u16()?);
                cursor.at += usize::from(cursor.u16()?);
            }
            self.opt = Some(opt);
        } else {
            let rdata = cursor.rdata(rtype, end)?;
            *self.sections[section].entry(ReplyRecord { owner, rtype, class, ttl, rdata }).or_default() += 1;
        }
        if cursor.at != end {
            return Err(format!("rdata of type {rtype} have another length than they say"));
        }
        Ok(())
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The records of a section that have a type.
    pub fn of_type(&self, section: usize, rtype: u16) -> impl Iterator<Item = &ReplyRecord> {
        self.sections[section].keys().filter(move |record| record.rtype == rtype)
    }

    /// Where an alias leads: the CNAME of a name in the answer.
    pub fn alias(&self, name: &DomainName) -> Option<DomainName> {
        let name = name.folded();
        let found = self.of_type(ANSWER, 5).find(|record| record.owner == name)?;
        Some(DomainName::from_wire(&found.rdata))
    }

    /// A referral: NS records, no answer, no authority.
    pub fn is_referral(&self) -> bool {
        self.rcode == 0
            && !self.has(AA)
            && self.sections[ANSWER].is_empty()
            && self.of_type(AUTHORITY, 2).next().is_some()
    }
}

/// Rdata in the same form as in [`ReplyRecord`], from uncompressed wire format.
pub fn canonical_rdata(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor { message: rdata, at: 0 };
    cursor.rdata(rtype, rdata.len()).unwrap_or_else(|_| rdata.to_vec())
}

struct Cursor<'m> {
    message: &'m [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let taken = self.message.get(self.at..self.at + count).ok_or("the message ends too early")?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    fn name(&mut self) -> Result<DomainName, String> {
        let (mut at, mut after, mut octets) = (self.at, None, 1);
        let mut labels = Vec::new();
        let short = || "a name ends too early".to_owned();
        loop {
            let len = usize::from(*self.message.get(at).ok_or_else(short)?);
            match len {
                0 => break,
                1..64 => {
                    labels.push(self.message.get(at + 1..at + 1 + len).ok_or_else(short)?.to_vec());
                    at += 1 + len;
                    octets += 1 + len;
                }
                0xc0.. => {
                    let low = usize::from(*self.message.get(at + 1).ok_or_else(short)?);
                    let target = (len & 0x3f) << 8 | low;
                    if target >= at {
                        return Err("a compression pointer leads forward".into());
                    }
                    after = after.or(Some(at + 2));
                    at = target;
                }
                _ => return Err("a label of another kind".into()),
            }
            if octets > 255 {
                return Err("a name of more than 255 octets".into());
            }
        }
        self.at = after.unwrap_or(at + 1);
        Ok(DomainName(labels))
    }

    /// Rdata up to `end`, by the places of names in them.
    fn rdata(&mut self, rtype: u16, end: usize) -> Result<Vec<u8>, String> {
        // Octets before the names, and how many names.
        let (before, names) = match rtype {
            2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => (0, 1),
            6 | 14 | 17 => (0, 2),
            15 | 18 | 21 | 36 | 64 | 65 | 107 => (2, 1),
            26 => (2, 2),
            33 => (6, 1),
            35 => {
                let mut at = self.at + 4;
                for _ in 0..3 {
                    at += 1 + usize::from(*self.message.get(at).ok_or("NAPTR ends too early")?);
                }
                (at - self.at, 1)
            }
            46 => (18, 1),
            47 => (0, 1),
            _ => (0, 0),
        };
        let mut rdata = self.take(before)?.to_vec();
        for _ in 0..names {
            rdata.extend(self.name()?.folded().wire());
        }
        let rest = end.checked_sub(self.at).ok_or("rdata are longer than they say")?;
        rdata.extend(self.take(rest)?);
        Ok(rdata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_and_case_do_not_matter() {
        let head = b"\0\x01\x84\0\0\x01\0\x01\0\0\0\0\x03wWw\x01x\0\0\x05\0\x01";
        let packed = [head, &b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x04\x01A\xc0\x10"[..]].concat();
        let plain = [head, &b"\x03www\x01x\0\0\x05\0\x01\0\0\0\x09\0\x05\x01a\x01X\0"[..]].concat();
        let (packed, plain) = (Reply::decode(&packed).unwrap(), Reply::decode(&plain).unwrap());
        assert_eq!(packed.sections, plain.sections);
        assert_eq!(packed.question[0].0.text(), "wWw.x.");
        assert_eq!(packed.alias(&DomainName::plain("www.x")), Some(DomainName::plain("a.x")));
    }

    #[test]
    fn octets_behind_the_last_record_are_an_error() {
        assert!(Reply::decode(b"\0\x01\x84\0\0\0\0\0\0\0\0\0\0").is_err());
    }
}
