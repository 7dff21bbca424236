//! Reads a reply and says of which generation it is, if it is a whole and right one of any.

use super::query::{Query, Wanted};
use super::world::{Generation, ttl};

/// Judges replies one by one; keeps its memory from one to the next.
#[derive(Default)]
pub struct Judge {
    found: Vec<Wanted>,
    wanted: Vec<Wanted>,
}

impl Judge {
    /// The generation that `reply` to `query` belongs to.
    ///
    /// # Errors
    /// Why it belongs to none.
    pub fn judge(&mut self, query: &Query, id: u16, reply: &[u8]) -> Result<Generation, String> {
        let fault = match self.read(query, id, reply) {
            Ok(generation) => match self.compare(query, generation) {
                Ok(()) => return Ok(generation),
                Err(fault) => fault,
            },
            Err(fault) => fault,
        };
        Err(format!("{query:?}: {fault}; the reply is {reply:02x?}"))
    }

    fn read(&mut self, query: &Query, id: u16, reply: &[u8]) -> Result<Generation, String> {
        self.found.clear();
        let mut cursor = Cursor { message: reply, at: 0 };
        let (found_id, flags) = (cursor.u16()?, cursor.u16()?);
        let head = query.wanted_head();
        let wanted_flags = 0x8000 | head.aa | u16::from(head.rcode);
        if (found_id, flags) != (id, wanted_flags) {
            return Err(format!(
                "identifier and flags {found_id:04x} {flags:04x}, not {id:04x} {wanted_flags:04x}"
            ));
        }
        let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let question = query.question();
        if counts[0] != 1 || cursor.take(question.len())? != question {
            return Err("another question".into());
        }
        let (mut generation, mut opts) = (None, 0);
        for (section, count) in counts[1..].iter().enumerate() {
            for _ in 0..*count {
                let (record, seconds) = cursor.record(section)?;
                if record.rtype == 41 {
                    opts += 1;
                    continue;
                }
                let of_record = seconds.checked_sub(ttl(0)).ok_or("a TTL of no generation")?;
                if generation.replace(of_record).is_some_and(|other| other != of_record) {
                    return Err(format!("TTLs of two generations, {of_record} and another"));
                }
                self.found.push(record);
            }
        }
        if cursor.at != reply.len() || opts != i32::from(query.has_opt()) {
            return Err(format!("{opts} OPT records, {} octets too many", reply.len() - cursor.at));
        }
        generation.and_then(|found| found.try_into().ok()).ok_or_else(|| "no records".into())
    }

    fn compare(&mut self, query: &Query, generation: Generation) -> Result<(), String> {
        self.wanted.clear();
        query.wanted(generation, &mut self.wanted);
        let all = self.wanted.iter().all(|wanted| self.found.contains(wanted));
        if all && self.wanted.len() == self.found.len() {
            return Ok(());
        }
        Err(format!("generation {generation} has {:?} and not {:?}", self.wanted, self.found))
    }
}

struct Cursor<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Cursor<'m> {
    fn take(&mut self, count: usize) -> Result<&'m [u8], String> {
        let taken = self.message.get(self.at..self.at + count).ok_or("the message ends too early")?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A record and its TTL.
    fn record(&mut self, section: usize) -> Result<(Wanted, u32), String> {
        let mut owner = Vec::new();
        self.name(&mut owner)?;
        let (rtype, class) = (self.u16()?, self.u16()?);
        let seconds = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let octets = usize::from(self.u16()?);
        let end = self.at + octets;
        if rtype != 41 && class != 1 {
            return Err(format!("class {class}"));
        }
        // Octets before the names in rdata, and how many names (RFC 1035; SRV's must not be compressed).
        let (before, names) = match rtype {
            2 | 5 => (0, 1),
            6 => (0, 2),
            15 => (2, 1),
            _ => (0, 0),
        };
        let mut rdata = self.take(before)?.to_vec();
        for _ in 0..names {
            self.name(&mut rdata)?;
        }
        let rest = end.checked_sub(self.at).ok_or("rdata overrun their length")?;
        rdata.extend(self.take(rest)?);
        Ok((Wanted { section, owner, rtype, rdata }, seconds))
    }

    fn name(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let (mut at, mut after) = (self.at, None);
        loop {
            let len = usize::from(*self.message.get(at).ok_or("a name ends too early")?);
            match len {
                0..64 => {
                    out.extend(self.message.get(at..=at + len).ok_or("a label ends too early")?);
                    at += 1 + len;
                    if len == 0 {
                        break;
                    }
                }
                0xc0.. => {
                    let low = usize::from(*self.message.get(at + 1).ok_or("a pointer ends too early")?);
                    after = after.or(Some(at + 2));
                    let target = (len & 0x3f) << 8 | low;
                    if target >= at {
                        return Err("a pointer leads forward".into());
                    }
                    at = target;
                }
                _ => return Err("a label of another kind".into()),
            }
        }
        self.at = after.unwrap_or(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Kind, World};

    /// A reply made of records of two generations in turn, uncompressed.
    fn reply(query: &Query, id: u16, generations: [Generation; 2]) -> Vec<u8> {
        let mut lists = [Vec::new(), Vec::new()];
        generations.iter().zip(&mut lists).for_each(|(&generation, list)| query.wanted(generation, list));
        let head = query.wanted_head();
        let mut message = id.to_be_bytes().to_vec();
        message.extend((0x8000 | head.aa | u16::from(head.rcode)).to_be_bytes());
        let count = |section| lists[0].iter().filter(|wanted| wanted.section == section).count() as u16;
        let additional = count(2) + u16::from(query.has_opt());
        [1, count(0), count(1), additional].iter().for_each(|count| message.extend(count.to_be_bytes()));
        message.extend(query.question());
        for section in 0..3 {
            for (at, pair) in lists[0].iter().zip(&lists[1]).enumerate() {
                let wanted = if at % 2 == 0 { pair.0 } else { pair.1 };
                if wanted.section == section {
                    message.extend(&wanted.owner);
                    message.extend(wanted.rtype.to_be_bytes());
                    message.extend([0, 1]);
                    message.extend(ttl(generations[0]).to_be_bytes());
                    message.extend((wanted.rdata.len() as u16).to_be_bytes());
                    message.extend(&wanted.rdata);
                }
            }
        }
        if query.has_opt() {
            message.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
        }
        message
    }

    #[test]
    fn whole_replies_tell_their_generation_and_mixed_ones_have_none() {
        let world = World::new(std::path::Path::new("/nonexistent"), 10_000);
        let mut judge = Judge::default();
        for number in 0..100 {
            let query = Query::new(number, &world);
            assert_eq!(judge.judge(&query, 7, &reply(&query, 7, [3, 3])), Ok(3));
            let mixed = judge.judge(&query, 7, &reply(&query, 7, [3, 4]));
            let single = matches!(
                query.kind,
                Kind::Address | Kind::Text | Kind::Wildcard | Kind::NoName | Kind::NoData | Kind::OtherSerial
            );
            assert_eq!(mixed.is_ok(), single, "{query:?}: {mixed:?}");
            let mut later = reply(&query, 7, [3, 3]);
            later[3] ^= 5;
            assert!(judge.judge(&query, 7, &later).is_err(), "another response code");
            assert!(judge.judge(&query, 8, &reply(&query, 7, [3, 3])).is_err(), "another identifier");
        }
    }
}
