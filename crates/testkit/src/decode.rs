//! Reads messages as a resolver does, by code of its own: names followed through pointers, rdata made whole.

use pharos_wire::{Class, Rtype};

use crate::reply::{Question, Record};

/// Octets that are read from front to back.
pub(crate) struct Cursor<'m> {
    message: &'m [u8],
    pub(crate) at: usize,
}

/// Why octets are not a message that a resolver would take.
pub(crate) type Fault = String;

impl<'m> Cursor<'m> {
    pub(crate) fn new(message: &'m [u8]) -> Self {
        Self { message, at: 0 }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'m [u8], Fault> {
        let octets = self.message.get(self.at..self.at + count);
        self.at += count;
        octets.ok_or_else(|| format!("the message ends before octet {}", self.at))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// A name, uncompressed. Pointers must point to what stands before them (RFC 1035 §4.1.4: "a prior
    /// occurrence of the same name").
    pub(crate) fn name(&mut self) -> Result<Vec<u8>, Fault> {
        let mut name = Vec::new();
        let mut follow = None;
        let mut start = self.at;
        loop {
            let at = follow.unwrap_or(self.at);
            let len = *self.message.get(at).ok_or("a name ends too early")?;
            match len {
                0..=63 => {
                    let label =
                        self.message.get(at..at + 1 + usize::from(len)).ok_or("a label ends too early")?;
                    name.extend(label);
                    *follow.as_mut().unwrap_or(&mut self.at) += label.len();
                    if len == 0 {
                        break;
                    }
                }
                0xc0.. => {
                    let low = *self.message.get(at + 1).ok_or("a pointer ends too early")?;
                    let target = usize::from(len & 0x3f) << 8 | usize::from(low);
                    if target >= start || target < 12 {
                        return Err(format!(
                            "the pointer at {at} leads to {target}, not to a name before it"
                        ));
                    }
                    if follow.is_none() {
                        self.at += 2;
                    }
                    start = target;
                    follow = Some(target);
                }
                _ => return Err(format!("label type {len:#x} at {at}")),
            }
        }
        if name.len() > 255 { Err(format!("a name of {} octets", name.len())) } else { Ok(name) }
    }

    pub(crate) fn question(&mut self) -> Result<Question, Fault> {
        Ok(Question { qname: self.name()?, qtype: Rtype(self.u16()?), qclass: Class(self.u16()?) })
    }

    pub(crate) fn record(&mut self) -> Result<Record, Fault> {
        let owner = self.name()?;
        let (rtype, class, ttl) = (Rtype(self.u16()?), Class(self.u16()?), self.u32()?);
        let octets = usize::from(self.u16()?);
        let end = self.at + octets;
        if end > self.message.len() {
            return Err(format!("rdata that end at {end}"));
        }
        let mut rdata = Vec::new();
        let (fixed, names) = compressible(rtype);
        rdata.extend(self.take(fixed.min(octets))?);
        for _ in 0..names {
            rdata.extend(self.name()?);
        }
        if self.at > end {
            return Err(format!("a name in {rtype} overruns its rdata"));
        }
        rdata.extend(self.take(end - self.at)?);
        Ok(Record { owner, rtype, class, ttl, rdata })
    }
}

/// Octets before the first name that may be compressed, and how many such names stand there: the types of RFC
/// 1035 only (RFC 3597 §4). Others are taken as they are, so that a pointer in them makes wrong rdata.
fn compressible(rtype: Rtype) -> (usize, usize) {
    match rtype.0 {
        2..=5 | 7..=9 | 12 => (0, 1),
        6 | 14 => (0, 2),
        15 => (2, 1),
        _ => (0, 0),
    }
}
