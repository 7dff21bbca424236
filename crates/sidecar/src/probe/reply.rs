//! What is asked, and what is to be thought of the answer.
//!
//! Encoded and decoded with hickory-proto rather than with our own codec. An answer is first judged as a
//! letter: is it one, does it answer this query, did this node write it? Only then as an answer: authority,
//! rcode, SOA. The first kind of fault speaks against the address, the second against the zone.

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

/// The EDNS size that we offer: what passes everywhere (RFC 9715), like most clients.
const PAYLOAD: u16 = 1232;

/// A query ready to be sent.
pub(super) struct Asking {
    pub(super) id: u16,
    pub(super) octets: Vec<u8>,
}

/// The SOA query for `zone` with an NSID option (RFC 5001 §2.1: sent empty) and a random id.
pub(super) fn query(zone: &Name) -> Result<Asking, String> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).map_err(|error| error.to_string())?));
    message.set_edns(edns);
    let octets = message.to_vec().map_err(|error| format!("the query cannot be encoded: {error}"))?;
    Ok(Asking { id: message.metadata.id, octets })
}

/// What came back, and to what.
pub(super) struct Reply {
    pub(super) octets: Vec<u8>,
    pub(super) id: u16,
}

/// The judgement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// No answer to this query by this node, for the reason given.
    Strange(String),
    /// This node answered: the zone's serial, or what is wrong with the answer.
    Ours(Result<u32, String>),
}

/// Judges an answer to [`query`] for `zone`, given the NSID of this node.
pub(super) fn judge(reply: &Reply, zone: &Name, nsid: &str) -> Judged {
    match letter(reply, zone, nsid) {
        Ok(message) => Judged::Ours(answer(&message, zone)),
        Err(why) => Judged::Strange(why),
    }
}

fn letter(reply: &Reply, zone: &Name, nsid: &str) -> Result<Message, String> {
    let message = Message::from_vec(&reply.octets)
        .map_err(|error| format!("answer of {} octets cannot be read: {error}", reply.octets.len()))?;
    if message.metadata.message_type != MessageType::Response {
        return Err("a query came back instead of an answer".to_owned());
    }
    if message.metadata.id != reply.id {
        return Err(format!("answer has id {}, the query had {}", message.metadata.id, reply.id));
    }
    // RFC 5001 §2.2: a server that knows the option and received it answers with its identifier.
    match message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::NSID)) {
        Some(EdnsOption::NSID(payload)) if payload.as_ref() == nsid.as_bytes() => {}
        Some(EdnsOption::NSID(payload)) => {
            let theirs = String::from_utf8_lossy(payload.as_ref());
            return Err(format!("NSID says {}, this node is {nsid}", theirs.escape_debug()));
        }
        _ => {
            let rcode = message.metadata.response_code;
            return Err(format!("NSID missing in an answer with {}, this node is {nsid}", name(rcode)));
        }
    }
    match message.queries.as_slice() {
        [question]
            if question.name() == zone
                && question.query_type() == RecordType::SOA
                && question.query_class() == DNSClass::IN =>
        {
            Ok(message)
        }
        _ => Err("answer to another question".to_owned()),
    }
}

fn answer(message: &Message, zone: &Name) -> Result<u32, String> {
    let header = &message.metadata;
    if header.response_code != ResponseCode::NoError {
        return Err(format!("rcode {}", name(header.response_code)));
    }
    if header.truncation {
        return Err("TC set".to_owned());
    }
    if !header.authoritative {
        return Err("AA missing".to_owned());
    }
    let serial = message.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == *zone => Some(soa.serial),
        _ => None,
    });
    serial.ok_or_else(|| "no SOA in the answer".to_owned())
}

/// An rcode as operators write it.
fn name(rcode: ResponseCode) -> String {
    match rcode {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("{}", u16::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::{Record, rdata::SOA};

    fn zone() -> Name {
        Name::from_ascii("example.com.").unwrap()
    }

    /// A good answer, spoilt by `spoil`, as it is judged.
    fn judged(spoil: impl FnOnce(&mut Message)) -> Judged {
        let asking = query(&zone()).unwrap();
        let mut message = Message::from_vec(&asking.octets).unwrap();
        message.metadata.message_type = MessageType::Response;
        message.metadata.authoritative = true;
        let soa = SOA::new(zone(), zone(), 7, 1, 1, 1, 1);
        message.add_answer(Record::from_rdata(zone(), 60, RData::SOA(soa)));
        set_nsid(&mut message, b"a.ams");
        spoil(&mut message);
        let octets = message.to_vec().unwrap();
        judge(&Reply { octets, id: asking.id }, &zone(), "a.ams")
    }

    fn set_nsid(message: &mut Message, nsid: &[u8]) {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new(nsid).unwrap()));
        message.set_edns(edns);
    }

    fn strange(why: &str) -> Judged {
        Judged::Strange(why.to_owned())
    }

    #[test]
    fn a_good_answer_gives_the_serial() {
        assert_eq!(judged(|_| {}), Judged::Ours(Ok(7)));
    }

    #[test]
    fn what_this_node_answers_wrongly_speaks_against_the_zone() {
        let ours = |why: &str| Judged::Ours(Err(why.to_owned()));
        assert_eq!(judged(|m| m.metadata.authoritative = false), ours("AA missing"));
        let servfail = |m: &mut Message| m.metadata.response_code = ResponseCode::ServFail;
        assert_eq!(judged(servfail), ours("rcode SERVFAIL"));
        assert_eq!(judged(|m| m.metadata.truncation = true), ours("TC set"));
        assert_eq!(judged(|m| m.answers.clear()), ours("no SOA in the answer"));
    }

    #[test]
    fn what_is_no_answer_by_this_node_speaks_against_the_address() {
        assert_eq!(judged(|m| set_nsid(m, b"b.fra")), strange("NSID says b.fra, this node is a.ams"));
        let stripped = judged(|m| m.edns = None);
        assert_eq!(stripped, strange("NSID missing in an answer with NOERROR, this node is a.ams"));
        assert_eq!(judged(|m| m.queries.clear()), strange("answer to another question"));
        let echoed = judged(|m| m.metadata.message_type = MessageType::Query);
        assert_eq!(echoed, strange("a query came back instead of an answer"));
        assert!(
            matches!(judged(|m| m.metadata.id ^= 1), Judged::Strange(why) if why.contains("answer has id"))
        );
    }

    #[test]
    fn octets_that_are_no_message_are_a_reason_and_not_a_panic() {
        for octets in [vec![], vec![0; 11], vec![0xff; 40]] {
            let reply = Reply { octets, id: 1 };
            assert!(matches!(judge(&reply, &zone(), "a.ams"), Judged::Strange(why) if why.contains("read")));
        }
    }
}
