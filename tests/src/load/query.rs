//! The queries: which they are follows from their number, and what their replies must be from the generation.

use super::world::{Generation, World, address, address6};

/// What a query is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// An address.
    Address,
    /// Text.
    Text,
    /// Three aliases to an address.
    Chain,
    /// Three aliases, through the other zone and back, to an address.
    Crossing,
    /// Two MX with the addresses of both.
    Mail,
    /// SRV with the addresses of its target.
    Service,
    /// NS of the apex with the server's address.
    Servers,
    /// Text at a wildcard.
    Wildcard,
    /// An alias at a wildcard, and two more to an address.
    WildcardAlias,
    /// A name that does not exist.
    NoName,
    /// A type that a name does not have.
    NoData,
    /// A name below a delegation with glue.
    Referral,
    /// An alias to a name that the other zone does not have.
    Nowhere,
    /// The other zone's SOA.
    OtherSerial,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Address,
        Self::Text,
        Self::Chain,
        Self::Crossing,
        Self::Mail,
        Self::Service,
        Self::Servers,
        Self::Wildcard,
        Self::WildcardAlias,
        Self::NoName,
        Self::NoData,
        Self::Referral,
        Self::Nowhere,
        Self::OtherSerial,
    ];
}

/// One query.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    number: u64,
    /// What it is about.
    pub kind: Kind,
    block: u32,
    next_block: u32,
    crossing: u32,
}

/// A record that a reply must have: section (0 answer, 1 authority, 2 additional), owner, type, rdata.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Wanted {
    pub(super) section: usize,
    pub(super) owner: Vec<u8>,
    pub(super) rtype: u16,
    pub(super) rdata: Vec<u8>,
}

/// What a reply must be besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WantedHead {
    pub(super) rcode: u8,
    pub(super) aa: u16,
}

const AA: u16 = 0x0400;
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const HINFO: u16 = 13;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;

impl Query {
    /// The query with this number.
    pub fn new(number: u64, world: &World) -> Self {
        // Any mixing will do that spreads blocks over the whole zone (splitmix64).
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 31;
        let block = (mixed >> 32) as u32 % world.blocks;
        let kind = Kind::ALL[number as usize % Kind::ALL.len()];
        let next_block = (block + 1) % world.blocks;
        Self { number, kind, block, next_block, crossing: block % world.crossings }
    }

    /// Whether it has an OPT record.
    pub(super) fn has_opt(&self) -> bool {
        self.number / Kind::ALL.len() as u64 % 2 == 1
    }

    /// Writes the message.
    pub fn write(&self, id: u16, out: &mut Vec<u8>) {
        out.extend(id.to_be_bytes());
        out.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(self.has_opt())]);
        out.extend(self.question());
        if self.has_opt() {
            out.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
        }
    }

    /// Name, type and class.
    pub(super) fn question(&self) -> Vec<u8> {
        let (i, number) = (self.block, self.number);
        let (qname, qtype) = match self.kind {
            Kind::Address => (format!("w{i}.big.test"), A),
            Kind::Text => (format!("w{i}.big.test"), TXT),
            Kind::Chain => (format!("c{i}.big.test"), A),
            Kind::Crossing => (format!("x{i}.big.test"), A),
            Kind::Mail => (format!("m{i}.big.test"), MX),
            Kind::Service => (format!("_s._tcp.m{i}.big.test"), SRV),
            Kind::Servers => ("big.test".into(), NS),
            Kind::Wildcard => (format!("any{number}.v{i}.big.test"), TXT),
            Kind::WildcardAlias => (format!("any{number}.u{i}.big.test"), A),
            Kind::NoName => (format!("no{number}.big.test"), A),
            Kind::NoData => (format!("w{i}.big.test"), HINFO),
            Kind::Referral => (format!("host.k{i}.big.test"), A),
            Kind::Nowhere => (format!("f{i}.big.test"), A),
            Kind::OtherSerial => ("other.test".into(), SOA),
        };
        let mut question = wire(&qname);
        question.extend(qtype.to_be_bytes());
        question.extend([0, 1]);
        question
    }

    /// Response code and AA.
    pub(super) fn wanted_head(&self) -> WantedHead {
        let rcode = if matches!(self.kind, Kind::NoName | Kind::Nowhere) { 3 } else { 0 };
        WantedHead { rcode, aa: if self.kind == Kind::Referral { 0 } else { AA } }
    }

    /// Every record of the reply but OPT.
    pub(super) fn wanted(&self, g: Generation, all: &mut Vec<Wanted>) {
        let (i, crossing, number) = (self.block, self.crossing, self.number);
        let mut add = |section, owner: &str, rtype, rdata: Vec<u8>| {
            all.push(Wanted { section, owner: wire(owner), rtype, rdata });
        };
        let w = format!("w{i}.big.test");
        let v4 = |block| address(g, block).octets().to_vec();
        let v6 = |block| address6(g, block).octets().to_vec();
        match self.kind {
            Kind::Address => add(0, &w, A, v4(i)),
            Kind::Text => add(0, &w, TXT, text(g, i)),
            Kind::Chain | Kind::WildcardAlias => {
                let (d, e) = (format!("d{i}.g{g}.big.test"), format!("e{i}.g{g}.big.test"));
                let first = match self.kind {
                    Kind::Chain => format!("c{i}.big.test"),
                    _ => format!("any{number}.u{i}.big.test"),
                };
                add(0, &first, CNAME, wire(&d));
                add(0, &d, CNAME, wire(&e));
                add(0, &e, CNAME, wire(&w));
                add(0, &w, A, v4(i));
            }
            Kind::Crossing => {
                let there = format!("y{crossing}.g{g}.other.test");
                let back = format!("z{crossing}.g{g}.big.test");
                let end = format!("w{crossing}.big.test");
                add(0, &format!("x{i}.big.test"), CNAME, wire(&there));
                add(0, &there, CNAME, wire(&back));
                add(0, &back, CNAME, wire(&end));
                add(0, &end, A, v4(crossing));
            }
            Kind::Mail => {
                let next = self.next_block;
                let w_next = format!("w{next}.big.test");
                for (base, name, block) in [(1000, &w, i), (11_000, &w_next, next)] {
                    let rdata = [&u16::to_be_bytes(base + g)[..], &wire(name)].concat();
                    add(0, &format!("m{i}.big.test"), MX, rdata);
                    add(2, name, A, v4(block));
                    add(2, name, AAAA, v6(block));
                }
            }
            Kind::Service => {
                let rdata = [&[0, 0][..], &g.to_be_bytes(), &[0, 53], &wire(&w)].concat();
                add(0, &format!("_s._tcp.m{i}.big.test"), SRV, rdata);
                add(2, &w, A, v4(i));
                add(2, &w, AAAA, v6(i));
            }
            Kind::Servers => {
                let server = format!("ns.g{g}.big.test");
                add(0, "big.test", NS, wire(&server));
                add(2, &server, A, v4(0));
            }
            Kind::Wildcard => add(0, &format!("any{number}.v{i}.big.test"), TXT, text(g, i)),
            Kind::NoName | Kind::NoData => add(1, "big.test", SOA, soa(g, "big.test")),
            Kind::Referral => {
                let (cut, server) = (format!("k{i}.big.test"), format!("ns.g{g}.k{i}.big.test"));
                add(1, &cut, NS, wire(&server));
                add(2, &server, A, v4(i));
            }
            Kind::Nowhere => {
                add(0, &format!("f{i}.big.test"), CNAME, wire(&format!("gone{i}.g{g}.other.test")));
                add(1, "other.test", SOA, soa(g, "other.test"));
            }
            Kind::OtherSerial => add(0, "other.test", SOA, soa(g, "other.test")),
        }
    }
}

/// A name in wire form.
pub(super) fn wire(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len() + 2);
    for label in text.split('.') {
        name.push(label.len() as u8);
        name.extend(label.as_bytes());
    }
    name.push(0);
    name
}

fn text(g: Generation, block: u32) -> Vec<u8> {
    let text = format!("g{g} {block}");
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn soa(g: Generation, zone: &str) -> Vec<u8> {
    let mut rdata = wire(&format!("ns.g{g}.{zone}"));
    rdata.extend(wire(&format!("host.{zone}")));
    for number in [u32::from(g), 7200, 1800, 1_209_600, super::world::ttl(g)] {
        rdata.extend(number.to_be_bytes());
    }
    rdata
}
