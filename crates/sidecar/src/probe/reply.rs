//! What is asked, and what is to be thought of the answer.
//!
//! Encoded and decoded with hickory-proto rather than with our own codec. An answer is first judged as a
//! letter: is it one, does it answer this query, did this node write it? Only then as an answer: authority,
//! rcode, SOA, and the version of the zone (RFC 9660) where it was asked for and is told. The first kind of fault speaks
//! against the address, the second against the zone; a version that is not that of the record is no fault of the answer,
//! which clients can use, but the data are not what they seem to be.

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

/// The EDNS size that we offer: what passes everywhere (RFC 9715), like most clients.
const PAYLOAD: u16 = 1232;

/// A query ready to be sent.
pub(super) struct Asking {
    pub(super) id: u16,
    pub(super) octets: Vec<u8>,
}

/// The option that asks for the version of the zone, and tells it (RFC 9660).
const ZONEVERSION: u16 = 19;
/// A version that is the serial of the zone's SOA record (RFC 9660 §3).
const SOA_SERIAL: u8 = 0;

/// What is asked for beside the SOA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing: a status tells the rest.
    Serial,
    /// Its signature and the version of the zone.
    AllThatAnswersTell,
}

/// What a good answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The serial of the SOA record.
    pub(crate) serial: u32,
    /// When the record's first signature ends, in seconds since 1970; `None` if it has none, or none was asked for.
    pub(crate) expires: Option<u32>,
    /// Whether the answer names the version of the zone.
    pub(crate) version: Version,
}

/// Whether an answer names the version of the zone that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// It does, and it is that of the SOA record.
    Told,
    /// It does not.
    NotTold,
}

/// The SOA query for `zone` with an NSID option (RFC 5001 §2.1: sent empty) and a random id.
pub(super) fn query(zone: &Name, wanted: Wanted) -> Result<Asking, String> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).map_err(|error| error.to_string())?));
    if wanted == Wanted::AllThatAnswersTell {
        edns.set_dnssec_ok(true);
        edns.options_mut().insert(EdnsOption::Unknown(ZONEVERSION, Vec::new()));
    }
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
    /// This node answered: what it tells, or what is wrong with the answer.
    Ours(Result<Told, Flaw>),
}

/// What is wrong with an answer of this node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nobody can use it.
    Wrong(String),
    /// It does not agree with itself.
    Disagrees(String),
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

fn answer(message: &Message, zone: &Name) -> Result<Told, Flaw> {
    let (serial, expires) = soa(message, zone).map_err(Flaw::Wrong)?;
    Ok(Told { serial, expires, version: version(message, zone, serial).map_err(Flaw::Disagrees)? })
}

/// The serial of the SOA record, and when its first signature ends.
fn soa(message: &Message, zone: &Name) -> Result<(u32, Option<u32>), String> {
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
    let serial = serial.ok_or_else(|| "no SOA in the answer".to_owned())?;
    let expires =
        message.answers.iter().filter(|record| record.name == *zone).filter_map(end_of_soa_signature);
    Ok((serial, expires.min()))
}

/// When a signature of a SOA record ends (RFC 4034 §3.1), in seconds since 1970.
fn end_of_soa_signature(record: &Record) -> Option<u32> {
    if record.record_type() != RecordType::RRSIG {
        return None;
    }
    let rdata = record.data.to_bytes().ok()?;
    let covered = u16::from_be_bytes(*rdata.first_chunk()?);
    let expiration = u32::from_be_bytes(*rdata.get(8..)?.first_chunk()?);
    (covered == u16::from(RecordType::SOA)).then_some(expiration)
}

/// Holds the version of the zone (RFC 9660 §2) against the zone that was asked for and its serial.
fn version(message: &Message, zone: &Name, serial: u32) -> Result<Version, String> {
    let told = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(ZONEVERSION)));
    let Some(EdnsOption::Unknown(_, told)) = told else { return Ok(Version::NotTold) };
    // Other types of versions are the server's own affair.
    let [labels, SOA_SERIAL, version @ ..] = told.as_slice() else { return Ok(Version::NotTold) };
    if *labels != zone.num_labels() {
        return Err(format!("ZONEVERSION tells of a zone of {labels} labels, asked was {zone}"));
    }
    match <[u8; 4]>::try_from(version).map(u32::from_be_bytes) {
        Ok(version) if version == serial => Ok(Version::Told),
        Ok(version) => Err(format!("ZONEVERSION says serial {version}, the SOA record {serial}")),
        Err(_) => Err(format!("ZONEVERSION has {} octets", told.len())),
    }
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
    use hickory_proto::rr::rdata::{NULL, SOA};

    fn zone() -> Name {
        Name::from_ascii("example.com.").unwrap()
    }

    /// A good answer, spoilt by `spoil`, as it is judged.
    fn judged(spoil: impl FnOnce(&mut Message)) -> Judged {
        let asking = query(&zone(), Wanted::AllThatAnswersTell).unwrap();
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

    fn tells(expires: Option<u32>, version: Version) -> Judged {
        Judged::Ours(Ok(Told { serial: 7, expires, version }))
    }

    #[test]
    fn a_good_answer_gives_the_serial() {
        assert_eq!(judged(|_| {}), tells(None, Version::NotTold));
    }

    #[test]
    fn the_end_of_the_soa_records_signature_is_read_and_not_that_of_another() {
        let signed = |covered: u16, expiration: u32| {
            let head =
                [&covered.to_be_bytes()[..], &[13, 2, 0, 0, 0, 60], &expiration.to_be_bytes()].concat();
            let rdata = [&head[..], &[0, 0, 0, 1, 0, 5, 0], &[7; 64]].concat();
            judged(|message| {
                let data = RData::Unknown { code: RecordType::RRSIG, rdata: NULL::with(rdata) };
                message.add_answer(Record::from_rdata(zone(), 60, data));
            })
        };
        assert_eq!(signed(6, 99), tells(Some(99), Version::NotTold));
        assert_eq!(signed(2, 99), tells(None, Version::NotTold));
    }

    #[test]
    fn the_version_of_the_zone_has_to_be_that_of_the_zone_and_its_soa_record() {
        let version = |octets: &[u8]| {
            judged(|message| {
                let mut edns = message.edns.take().unwrap();
                edns.options_mut().insert(EdnsOption::Unknown(ZONEVERSION, octets.to_vec()));
                message.set_edns(edns);
            })
        };
        assert_eq!(version(&[2, 0, 0, 0, 0, 7]), tells(None, Version::Told));
        assert_eq!(version(&[2, 246, 1]), tells(None, Version::NotTold), "a version of another kind");
        for (octets, why) in [
            (&[1, 0, 0, 0, 0, 7][..], "tells of a zone of 1 labels"),
            (&[2, 0, 0, 0, 0, 8], "says serial 8, the SOA record 7"),
            (&[2, 0, 7], "has 3 octets"),
        ] {
            let judged = version(octets);
            assert!(
                matches!(judged, Judged::Ours(Err(Flaw::Disagrees(text))) if text.contains(why)),
                "{why}"
            );
        }
    }

    #[test]
    fn what_this_node_answers_wrongly_speaks_against_the_zone() {
        let ours = |why: &str| Judged::Ours(Err(Flaw::Wrong(why.to_owned())));
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
