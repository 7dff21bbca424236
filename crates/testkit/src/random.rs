//! Zones and names made of choices: small alphabets, so that names collide, alias, cut and occlude one another.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pharos_answer::AnyPolicy;
use pharos_wire::{Class, Name, Rtype};

use crate::dice::Dice;
use crate::model::Model;
use crate::query::Ask;
use crate::reply::Record;
use crate::served::{Served, name};

/// Apexes that sets are made of: nested ones, siblings, and a stranger.
const APEXES: [&str; 5] = ["example.", "a.example.", "b.a.example.", "test.", "c.b.example."];
/// Labels below them. The long one makes names that outgrow 255 octets; some are odd, and one is a wildcard.
const LABELS: [&[u8]; 11] =
    [b"a", b"b", b"c", b"ns", b"*", b"www", b"A.b", b"\0\xff", b"x-1", &[b'l'; 63], b"_tcp"];
/// A type that nobody knows (RFC 3597).
const UNKNOWN: Rtype = Rtype(65_280);
/// An AAAA address, given the sixteenth octet.
const PREFIX: [u8; 15] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What queries ask for, the common types first.
const QTYPES: [Rtype; 20] = [
    Rtype::A,
    Rtype::A,
    Rtype::AAAA,
    Rtype::NS,
    Rtype::SOA,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::MX,
    Rtype::TXT,
    Rtype::SRV,
    Rtype::HTTPS,
    Rtype::HTTPS,
    Rtype::SVCB,
    Rtype::NAPTR,
    Rtype::PTR,
    Rtype::DS,
    Rtype::ANY,
    Rtype::RRSIG,
    Rtype::NSEC,
    UNKNOWN,
];

/// Some zones, as they are served and as the model has them.
#[derive(Debug)]
pub struct RandomZones {
    /// As they are served.
    pub served: Served,
    /// As they should be answered from.
    pub model: Model,
    /// The zones' text, for whoever has to look into a difference.
    pub text: String,
}

/// A set of one to five zones, one perhaps not loaded.
pub fn zones(dice: &mut Dice<'_>) -> RandomZones {
    let any = if dice.once_in(4) { AnyPolicy::Full } else { AnyPolicy::Minimal };
    let mut zones =
        RandomZones { served: Served::new().any(any), model: Model::new(any), text: String::new() };
    let count = 1 + dice.below(APEXES.len());
    for apex in &APEXES[..count] {
        let apex_name = name(apex);
        if count > 1 && dice.once_in(12) {
            zones.served = zones.served.not_loaded(apex);
            zones.model.add_not_loaded(&apex_name);
            let _ = writeln!(zones.text, "; {apex} is not loaded");
            continue;
        }
        let records = records(&apex_name, dice);
        let text = text(&records);
        zones.model.add(&apex_name, &records);
        zones.served = zones.served.zone(apex, &text);
        let _ = writeln!(zones.text, "; zone {apex}\n{text}");
    }
    zones
}

/// A query for a name that probably has to do with those zones.
pub fn ask(dice: &mut Dice<'_>) -> Ask {
    // The first ones are in every set.
    let among = 1 + dice.below(APEXES.len());
    let apex = name(dice.pick(&APEXES[..among]));
    let mut qname = if dice.once_in(20) { name("elsewhere.").as_wire().to_vec() } else { below(&apex, dice) };
    for octet in &mut qname {
        if octet.is_ascii_lowercase() && dice.once_in(8) {
            octet.make_ascii_uppercase();
        }
    }
    let ask = Ask::of_wire(&qname, QTYPES[dice.below(QTYPES.len())]);
    match dice.below(6) {
        0 => ask,
        1 => ask.edns(1232),
        2 => ask.edns(600).nsid(),
        3 => ask.dnssec(),
        _ => ask.tcp(),
    }
}

type Sets = BTreeMap<(Vec<u8>, Rtype), Vec<Vec<u8>>>;

/// The records of a zone that the checks accept.
fn records(apex: &Name, dice: &mut Dice<'_>) -> Vec<Record> {
    let mut sets = Sets::new();
    let owner = apex.as_wire().to_vec();
    let mut soa = [&b"\x02ns\0"[..], b"\x01h\0", &[0; 12]].concat();
    soa.extend([0, 0, 0, 9, 0, 0, 0, dice.octet()]);
    sets.insert((owner.clone(), Rtype::SOA), vec![soa]);
    sets.insert((owner.clone(), Rtype::NS), vec![target(apex, dice)]);
    if dice.once_in(20) {
        sets.insert((owner, Rtype::DNAME), vec![target(apex, dice)]);
    }
    for _ in 0..3 + dice.below(30) {
        add(apex, &mut sets, dice);
    }
    let ttl = |owner: &[u8], rtype: Rtype| (u32::from(rtype.0) * 7 + owner.len() as u32) % 1000;
    let mut records = Vec::new();
    for ((owner, rtype), rdata) in sets {
        let (ttl, class) = (ttl(&owner, rtype), Class::IN);
        records.extend(rdata.into_iter().map(|rdata| Record {
            owner: owner.clone(),
            rtype,
            class,
            ttl,
            rdata,
        }));
    }
    records
}

/// Adds something, unless the rules of CNAME, DNAME and NS forbid it (RFC 1034 §3.6.2, RFC 6672 §2.3).
fn add(apex: &Name, sets: &mut Sets, dice: &mut Dice<'_>) {
    let owner = below(apex, dice);
    let has = |sets: &Sets, rtype| sets.contains_key(&(owner.clone(), rtype));
    let (wildcard, at_apex) = (owner.starts_with(b"\x01*"), owner == apex.as_wire());
    let occupied = sets.keys().any(|(other, _)| *other == owner);
    if has(sets, Rtype::CNAME) {
        return;
    }
    let (rtype, rdata) = match dice.below(19) {
        0..=3 => (Rtype::A, vec![192, 0, 2, dice.octet()]),
        4 => (Rtype::AAAA, [&PREFIX[..], &[dice.octet()]].concat()),
        5 => (Rtype::TXT, text_data(dice)),
        6 => (Rtype::MX, [&[0, 10][..], &target(apex, dice)].concat()),
        7 => (Rtype::SRV, [&[0, 1, 0, 2, 0, 3][..], &target(apex, dice)].concat()),
        8 => (UNKNOWN, (0..dice.below(20)).map(|n| n as u8).collect()),
        9 => (Rtype::PTR, target(apex, dice)),
        10..=12 if !occupied => (Rtype::CNAME, target(apex, dice)),
        13 if !wildcard && !has(sets, Rtype::DNAME) && (at_apex || !has(sets, Rtype::NS)) => {
            (Rtype::DNAME, target(apex, dice))
        }
        14..=15 if !wildcard && !at_apex && !has(sets, Rtype::DNAME) => {
            return delegate(apex, &owner, sets, dice);
        }
        16 => (Rtype::HTTPS, binding(apex, dice)),
        17 => (Rtype::SVCB, binding(apex, dice)),
        18 => {
            let flag = b"sSau"[dice.below(4)];
            (Rtype::NAPTR, [&[0, 1, 0, 2, 1, flag, 0, 0][..], &target(apex, dice)].concat())
        }
        _ => return,
    };
    let set = sets.entry((owner, rtype)).or_default();
    if !set.contains(&rdata) {
        set.push(rdata);
    }
}

/// A delegation of `owner`, perhaps with DS and with glue inside and beside it.
fn delegate(apex: &Name, owner: &[u8], sets: &mut Sets, dice: &mut Dice<'_>) {
    for number in 0..1 + dice.below(3) {
        let server = match dice.below(3) {
            0 => target(apex, dice),
            _ => {
                let server = [&[3, b'n', b's', b'0' + number as u8][..], owner].concat();
                if server.len() > 255 { continue } else { server }
            }
        };
        let glued = server.ends_with(apex.as_wire()) && !dice.once_in(4);
        if glued && !sets.contains_key(&(server.clone(), Rtype::CNAME)) {
            let address = vec![198, 51, 100, number as u8];
            sets.entry((server.clone(), Rtype::A)).or_insert_with(|| vec![address]);
        }
        let set = sets.entry((owner.to_vec(), Rtype::NS)).or_default();
        if !set.contains(&server) {
            set.push(server);
        }
    }
    let delegated = sets.contains_key(&(owner.to_vec(), Rtype::NS));
    if delegated && dice.once_in(3) {
        let digest = [&[0, 1, 13, 2][..], &[7; 32]].concat();
        sets.insert((owner.to_vec(), Rtype::DS), vec![digest]);
    }
}

fn text_data(dice: &mut Dice<'_>) -> Vec<u8> {
    let octets = dice.below(256);
    let mut rdata = vec![octets as u8];
    rdata.extend((0..octets).map(|at| b'a' + (at % 26) as u8));
    rdata
}

/// SVCB or HTTPS data without parameters: an alias, a service somewhere, or one at the owner (RFC 9460 §2).
fn binding(apex: &Name, dice: &mut Dice<'_>) -> Vec<u8> {
    match dice.below(5) {
        0 => vec![0, 1, 0],
        1 => vec![0, 0, 0],
        priority => [&[0, priority as u8 / 3][..], &target(apex, dice)].concat(),
    }
}

/// A name that records point to: mostly within these zones.
fn target(apex: &Name, dice: &mut Dice<'_>) -> Vec<u8> {
    match dice.below(8) {
        0 => name("www.elsewhere.").as_wire().to_vec(),
        1..=2 => below(&name(dice.pick(&APEXES)), dice),
        _ => below(apex, dice),
    }
}

/// A name zero to four labels below the apex, in lower case.
fn below(apex: &Name, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut wire = apex.as_wire().to_vec();
    for _ in 0..[1, 1, 2, 0, 2, 3, 4][dice.below(7)] {
        let label = LABELS[dice.below(LABELS.len())];
        if wire.len() + label.len() < 255 {
            wire = [&[label.len() as u8][..], label, &wire].concat();
        }
    }
    wire.make_ascii_lowercase();
    wire
}

/// The zone's file.
fn text(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        let record = pharos_zone::scan::Record {
            owner: &record.owner,
            rtype: record.rtype.0,
            class: record.class.0,
            ttl: record.ttl,
            rdata: &record.rdata,
            place: pharos_zone::scan::Place::default(),
        };
        pharos_zone::print::write_record(&record, &mut text);
    }
    text
}
