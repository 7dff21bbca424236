//! One pass over a received message that leaves all that an answer needs.
//!
//! [`Query::read`] looks at the header, the one question, and for the OPT record through whatever else the
//! message carries; it follows no compression pointer (a question's name cannot be compressed, the owner of
//! OPT is the root, and other names are only stepped over), so its work is bounded by the message's length.
//! Where there is not one question, OPT is looked for all the same: an error, too, answers it (RFC 6891 §6.1.1).

use crate::edns::Edns;
use crate::hash::HashedName;
use crate::header;
use crate::types::{Class, Opcode, Rtype};

/// What was asked, and by which means; reused from message to message.
#[derive(Clone)]
pub struct Query {
    /// Identifier, given back in the reply.
    pub id: u16,
    /// The 16 flag bits as received.
    pub flags: u16,
    /// The name asked for.
    pub qname: HashedName,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: Class,
    /// The client's EDNS, if it sent any.
    pub edns: Option<Edns>,
    /// Octets of header and question: what the reply repeats. Only the header's 12 where no question was read.
    pub question_end: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            id: 0,
            flags: 0,
            qname: HashedName::default(),
            qtype: Rtype(0),
            qclass: Class(0),
            edns: None,
            question_end: header::OCTETS,
        }
    }
}

/// Why a message cannot be taken as a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// Shorter than a header: there is nothing to reply to.
    ShortHeader,
    /// A response: never answered, or two servers could be set against each other.
    Response,
    /// There are several questions (RFC 9619). What else there is was read.
    QuestionCount,
    /// There is no question: the client may only want a cookie (RFC 7873 §5.4). What else there is was read.
    NoQuestion,
    /// The question is cut off, or its name is not one.
    Question,
    /// A record after the question is cut off, or its owner is not a name.
    Record,
    /// The OPT record stands twice, has an owner other than the root, is not in the additional section, or
    /// holds an option that overruns it (RFC 6891 §6.1.1).
    Opt,
}

impl Query {
    /// The opcode in the flags.
    #[inline]
    pub fn opcode(&self) -> Opcode {
        Opcode(((self.flags & header::OPCODE_MASK) >> 11) as u8)
    }

    /// Whether the client wants DNSSEC records.
    #[inline]
    pub fn wants_dnssec(&self) -> bool {
        self.edns.is_some_and(Edns::wants_dnssec)
    }

    /// Reads a message. After an error the fields read before it hold, so that the reply can still repeat the
    /// identifier, the question and the client's EDNS.
    ///
    /// # Errors
    /// [`Malformed`]; all but its first two kinds deserve FORMERR. For opcodes other than QUERY the caller
    /// decides before it looks at the error.
    #[inline]
    pub fn read(&mut self, message: &[u8]) -> Result<(), Malformed> {
        self.edns = None;
        self.question_end = header::OCTETS;
        let Some((head, _)) = message.split_first_chunk::<{ header::OCTETS }>() else {
            self.flags = 0;
            return Err(Malformed::ShortHeader);
        };
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        self.id = word(0);
        self.flags = word(2);
        if self.flags & header::QR != 0 {
            return Err(Malformed::Response);
        }
        if word(4) != 1 {
            return Err(self.read_for_opt(message, head));
        }
        let question = message.get(header::OCTETS..).unwrap_or_default();
        let name_octets = self.qname.set(question).map_err(|_| Malformed::Question)?;
        let fixed = question.get(name_octets..).and_then(|rest| rest.first_chunk::<4>());
        let Some(&[t0, t1, c0, c1]) = fixed else { return Err(Malformed::Question) };
        self.qtype = Rtype(u16::from_be_bytes([t0, t1]));
        self.qclass = Class(u16::from_be_bytes([c0, c1]));
        self.question_end = header::OCTETS + name_octets + 4;
        let (before_additional, additional) = (u32::from(word(6)) + u32::from(word(8)), word(10));
        if before_additional == 0 && additional == 0 {
            return Ok(());
        }
        self.read_records(message, self.question_end, before_additional, additional)
    }

    /// Reads a message that has no question, or several, for the sake of the OPT record.
    #[cold]
    fn read_for_opt(&mut self, message: &[u8], head: &[u8; header::OCTETS]) -> Malformed {
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let questions = word(4);
        let Some(at) = skip_questions(message, questions) else { return Malformed::QuestionCount };
        let before_additional = u32::from(word(6)) + u32::from(word(8));
        let read = self.read_records(message, at, before_additional, word(10));
        match read {
            _ if questions != 0 => Malformed::QuestionCount,
            Err(fault) => fault,
            Ok(()) => Malformed::NoQuestion,
        }
    }

    /// Steps over the records that start at `at` and takes the OPT record from the additional section.
    fn read_records(
        &mut self,
        message: &[u8],
        at: usize,
        before: u32,
        additional: u16,
    ) -> Result<(), Malformed> {
        let mut rest = message.get(at..).unwrap_or_default();
        // Each record takes at least 11 octets, so the loop ends with the message whatever the counts say.
        for index in 0..before + u32::from(additional) {
            let (owner, fixed) = skip_name(rest).ok_or(Malformed::Record)?;
            let (head, tail) = fixed.split_first_chunk::<10>().ok_or(Malformed::Record)?;
            let rdata_octets = usize::from(u16::from_be_bytes([head[8], head[9]]));
            let (rdata, next) = tail.split_at_checked(rdata_octets).ok_or(Malformed::Record)?;
            rest = next;
            if Rtype(u16::from_be_bytes([head[0], head[1]])) != Rtype::OPT {
                continue;
            }
            if index < before || self.edns.is_some() || owner != Owner::Root {
                return Err(Malformed::Opt);
            }
            let class = u16::from_be_bytes([head[2], head[3]]);
            let ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
            let start = message.len() - next.len() - rdata.len();
            self.edns = Some(Edns::parse(class, ttl, start, rdata).ok_or(Malformed::Opt)?);
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Owner {
    Root,
    Other,
}

/// Where the records start behind so many questions, each of which takes five octets at least.
fn skip_questions(message: &[u8], questions: u16) -> Option<usize> {
    let mut rest = message.get(header::OCTETS..)?;
    for _ in 0..questions {
        let (_, fixed) = skip_name(rest)?;
        rest = fixed.get(4..)?;
    }
    Some(message.len() - rest.len())
}

/// Steps over a possibly compressed name.
fn skip_name(mut rest: &[u8]) -> Option<(Owner, &[u8])> {
    let mut owner = Owner::Root;
    let mut octets = 0;
    loop {
        let (&len, tail) = rest.split_first()?;
        match len {
            0 => return Some((owner, tail)),
            1..=63 => {
                octets += usize::from(len) + 1;
                if octets >= crate::name::MAX_OCTETS {
                    return None;
                }
                rest = tail.get(usize::from(len)..)?;
                owner = Owner::Other;
            }
            0xc0.. => return Some((Owner::Other, tail.get(1..)?)),
            _ => return None, // RFC 6891 §5: other label types are not in use.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edns::{Asked, Cookie};

    const HEAD: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0";
    const QUESTION: &[u8] = b"\x03wWw\x07example\0\0\x01\0\x01";

    fn message(counts: [u8; 4], tail: &[u8]) -> Vec<u8> {
        let mut message = HEAD.to_vec();
        for (index, count) in counts.into_iter().enumerate() {
            message[5 + 2 * index] = count;
        }
        message.extend(QUESTION);
        message.extend(tail);
        message
    }

    fn read(message: &[u8]) -> (Query, Result<(), Malformed>) {
        let mut query = Query::default();
        let result = query.read(message);
        (query, result)
    }

    #[test]
    fn a_plain_query_is_read() {
        let (query, result) = read(&message([1, 0, 0, 0], b""));
        assert_eq!(result, Ok(()));
        assert_eq!(query.id, 0x1234);
        assert_eq!(query.qname.as_wire(), b"\x03www\x07example\0");
        assert_eq!((query.qtype, query.qclass), (Rtype::A, Class::IN));
        assert_eq!(query.question_end, 12 + 13 + 4);
        assert_eq!(query.edns, None);
    }

    #[test]
    fn the_opt_record_is_found_behind_other_records() {
        let tail = b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x02\x01x\0\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x03\0\0";
        let (query, result) = read(&message([1, 0, 0, 2], tail));
        assert_eq!(result, Ok(()));
        let edns = query.edns.unwrap();
        assert_eq!((edns.payload(), edns.asked, edns.wants_dnssec()), (1232, Asked::NSID, true));
    }

    #[test]
    fn broken_messages_have_their_reasons() {
        assert_eq!(read(&HEAD[..11]).1, Err(Malformed::ShortHeader));
        let mut response = message([1, 0, 0, 0], b"");
        response[2] |= 0x80;
        assert_eq!(read(&response).1, Err(Malformed::Response));
        assert_eq!(read(&message([0, 0, 0, 0], b"")).1, Err(Malformed::NoQuestion));
        assert_eq!(read(&message([2, 0, 0, 0], QUESTION)).1, Err(Malformed::QuestionCount));
        assert_eq!(read(&message([1, 0, 0, 0], b"")[..20]).1, Err(Malformed::Question));
        assert_eq!(read(&message([1, 0, 0, 1], b"\0\0\x29\x04")).1, Err(Malformed::Record));
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
        assert_eq!(read(&message([1, 0, 0, 2], &opt.repeat(2))).1, Err(Malformed::Opt));
        assert_eq!(read(&message([1, 1, 0, 0], opt)).1, Err(Malformed::Opt));
        assert_eq!(read(&message([1, 0, 0, 1], b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0")).1, Err(Malformed::Opt));
    }

    #[test]
    fn without_a_question_the_opt_record_is_read_nevertheless() {
        let mut message = b"\x12\x34\x01\0\0\0\0\0\0\0\0\x01".to_vec();
        message.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x0812345678");
        let (query, result) = read(&message);
        assert_eq!((result, query.question_end), (Err(Malformed::NoQuestion), 12));
        assert_eq!(query.edns.unwrap().cookie(&message), Cookie::Client(b"12345678"));
        assert_eq!(read(&message[..40 - 6]).1, Err(Malformed::Record));
    }

    #[test]
    fn behind_several_questions_the_opt_record_is_read_nevertheless() {
        let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        for second in [QUESTION, b"\xc0\x0c\0\x1c\0\x01"] {
            let message = message([2, 0, 0, 1], &[second, opt].concat());
            let (query, result) = read(&message);
            assert_eq!((result, query.question_end), (Err(Malformed::QuestionCount), 12));
            assert!(query.wants_dnssec());
            // Fewer questions than the count says: the rest is not what it seems to be.
            let (query, result) = read(&message[..message.len() - 1]);
            assert_eq!((result, query.edns), (Err(Malformed::QuestionCount), None));
        }
    }

    #[test]
    fn a_compressed_question_is_refused() {
        let mut message = HEAD.to_vec();
        message.extend(b"\xc0\x0c\0\x01\0\x01");
        assert_eq!(read(&message).1, Err(Malformed::Question));
    }

    #[test]
    fn after_an_error_the_question_can_still_be_repeated() {
        let (query, result) = read(&message([1, 0, 0, 1], b"\0"));
        assert_eq!(result, Err(Malformed::Record));
        assert_eq!(query.question_end, 12 + QUESTION.len());
    }
}
