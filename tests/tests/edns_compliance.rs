//! The probes of DNS flag day 2019 and 2020 and of RFC 8906 §8, put to a running responder: one table of what is sent
//! and what must come back, by UDP and TCP, by IPv4 and IPv6.
//!
//! A server that fails one of these is one that resolvers no longer work around. Replies are read by hickory-proto.
//! The command is `cargo test -p pharos-tests --test edns_compliance`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use pharos_responder::{Config, Cookies, Require, Responder, Secret, StatusFilter, ZoneSource};
use pharos_testkit::Ask;
use pharos_wire::{Class, Opcode, Rcode, Rtype};

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

const RD: u16 = 0x0100;
const RA: u16 = 0x0080;
const Z: u16 = 0x0040;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;

const NSID: u16 = 3;
const SUBNET: u16 = 8;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const EDE: u16 = 15;
const ZONEVERSION: u16 = 19;
/// Not assigned to anything.
const UNKNOWN: u16 = 100;

/// What the sections hold, and what AA and TC follow from that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    /// The SOA as the answer: AA.
    Soa,
    /// No answer, the SOA in the authority section: AA.
    NoData,
    /// What has no room in a datagram: AA and TC there, and whole over TCP.
    TooLong(RecordType),
    /// A denial with proofs, too long for a datagram as well.
    Denial,
    /// Nothing: not AA.
    Nothing,
}

/// The OPT record of the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edns {
    /// There is none, as there was none.
    Without,
    /// Version 0, no flags, these options.
    Plain(&'static [u16]),
    /// Version 0, DO alone, these options.
    Dnssec(&'static [u16]),
}

/// One probe: its name where it is known by one, what it is, and what must come back.
type Probe = (&'static str, Vec<u8>, Rcode, Body, Edns);

fn soa() -> Ask {
    Ask::new("plain.test.", Rtype::SOA)
}

/// A message of a header and nothing else, as `dig +header-only` sends it.
fn header_only(opcode: u8, flags: u16) -> Vec<u8> {
    let [high, low] = (u16::from(opcode) << 11 | flags).to_be_bytes();
    vec![0xbe, 0xef, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn probes() -> Vec<Probe> {
    use Body::{Denial, NoData, Nothing, Soa, TooLong};
    use Edns::{Dnssec, Plain, Without};
    let half = [1, 2, 3, 4, 5, 6, 7, 8];
    let (ok, badvers, notimp) = (Rcode::NOERROR, Rcode::BADVERS, Rcode::NOTIMP);
    let probe = |name, ask: Ask, rcode, body, edns| (name, ask.octets(), rcode, body, edns);
    vec![
        // RFC 8906 §8.1: without EDNS.
        probe("dns (§8.1.1)", soa(), ok, Soa, Without),
        probe("unknown type (§8.1.2)", Ask::new("plain.test.", Rtype(1000)), ok, NoData, Without),
        probe("type 666", Ask::new("plain.test.", Rtype(666)), ok, NoData, Without),
        probe("CD (§8.1.3.1)", soa().flags(CD), ok, Soa, Without),
        probe("AD (§8.1.3.2)", soa().flags(AD), ok, Soa, Without),
        probe("Z (§8.1.3.3)", soa().flags(Z), ok, Soa, Without),
        probe("RD (§8.1.3.4)", soa().flags(RD), ok, Soa, Without),
        probe("RA", soa().flags(RA), ok, Soa, Without),
        probe("AA and TC in a query", soa().flags(AA | TC), ok, Soa, Without),
        probe("all flags", soa().flags(RD | RA | Z | AD | CD), ok, Soa, Without),
        ("opcode 15, header only (§8.1.4)", header_only(15, 0), notimp, Nothing, Without),
        ("opcode 15 with flags", header_only(15, RD | RA | Z | AD | CD), notimp, Nothing, Without),
        probe("opcode 15, a question", soa().opcode(Opcode(15)), notimp, Nothing, Without),
        probe("notify", soa().opcode(Opcode::NOTIFY), notimp, Nothing, Without),
        probe("update", soa().opcode(Opcode::UPDATE), notimp, Nothing, Without),
        probe("iquery", soa().opcode(Opcode(1)), notimp, Nothing, Without),
        // RFC 8906 §8.2 and flag day 2019: with EDNS.
        probe("edns (§8.2.1)", soa().edns(4096), ok, Soa, Plain(&[])),
        probe("edns1 (§8.2.2)", soa().edns(4096).version(1), badvers, Nothing, Plain(&[])),
        probe("edns100", soa().edns(4096).version(100), badvers, Nothing, Plain(&[])),
        probe("ednsopt (§8.2.3)", soa().option(UNKNOWN, b""), ok, Soa, Plain(&[])),
        probe("ednsopt with data", soa().option(UNKNOWN, b"whatever"), ok, Soa, Plain(&[])),
        probe("ednsflags (§8.2.4)", soa().edns_flags(0x40), ok, Soa, Plain(&[])),
        probe("all ednsflags", soa().edns_flags(0xffff), ok, Soa, Dnssec(&[])),
        probe("edns1flags (§8.2.5)", soa().edns_flags(0x40).version(1), badvers, Nothing, Plain(&[])),
        probe("edns1opt (§8.2.6)", soa().option(UNKNOWN, b"x").version(1), badvers, Nothing, Plain(&[])),
        probe(
            "edns@512 and DO (§8.2.7)",
            Ask::new("none.signed.example.", Rtype::A).edns(512).dnssec(),
            Rcode::NXDOMAIN,
            Denial,
            Dnssec(&[]),
        ),
        probe("edns@512", soa().edns(512), ok, Soa, Plain(&[])),
        probe("edns@0", soa().edns(0), ok, Soa, Plain(&[])),
        probe("do (§8.2.8)", soa().dnssec(), ok, Soa, Dnssec(&[])),
        probe("do, signed", Ask::new("signed.example.", Rtype::SOA).dnssec(), ok, Soa, Dnssec(&[])),
        probe("edns1do (§8.2.9)", soa().dnssec().version(1), badvers, Nothing, Dnssec(&[])),
        probe(
            "optlist (§8.2.10)",
            soa().option(COOKIE, &half).nsid().option(EXPIRE, b"").option(SUBNET, &[0, 1, 0, 0]),
            ok,
            Soa,
            Plain(&[COOKIE, NSID]),
        ),
        probe("docookie", soa().dnssec().option(COOKIE, &half), ok, Soa, Dnssec(&[COOKIE])),
        probe("cookie of one octet", soa().option(COOKIE, b"x"), Rcode::FORMERR, Nothing, Plain(&[])),
        probe("nsid", soa().nsid(), ok, Soa, Plain(&[NSID])),
        probe("expire", soa().option(EXPIRE, b""), ok, Soa, Plain(&[])),
        probe("subnet", soa().option(SUBNET, &[0, 1, 24, 0, 192, 0, 2]), ok, Soa, Plain(&[])),
        probe("padding", soa().option(PADDING, &[0; 128]), ok, Soa, Plain(&[])),
        probe(
            "zoneversion and nsid",
            soa().option(ZONEVERSION, b"").nsid(),
            ok,
            Soa,
            Plain(&[NSID, ZONEVERSION]),
        ),
        probe("edns, unknown type", Ask::new("plain.test.", Rtype(1000)).edns(1232), ok, NoData, Plain(&[])),
        probe("edns, opcode 15", soa().edns(1232).opcode(Opcode(15)), notimp, Nothing, Plain(&[EDE])),
        probe("edns, Z, AD and CD", soa().flags(Z | AD | CD).edns(1232), ok, Soa, Plain(&[])),
        probe(
            "not our zone",
            Ask::new("test.", Rtype::SOA).edns(1232),
            Rcode::REFUSED,
            Nothing,
            Plain(&[EDE]),
        ),
        probe("another class", soa().class(Class(5)).edns(1232), Rcode::REFUSED, Nothing, Plain(&[EDE])),
        probe(
            "an option that overruns",
            soa().option_octets(b"\0\x03\0\x09x"),
            Rcode::FORMERR,
            Nothing,
            Without,
        ),
        // Flag day 2020: no more than 1232 octets by UDP, whatever the client takes, and TCP for the rest.
        probe(
            "edns@4096, long",
            Ask::new("long.plain.test.", Rtype::TXT).edns(4096),
            ok,
            TooLong(RecordType::TXT),
            Plain(&[]),
        ),
        probe(
            "edns@512, long",
            Ask::new("long.plain.test.", Rtype::TXT).edns(512),
            ok,
            TooLong(RecordType::TXT),
            Plain(&[]),
        ),
        probe("dns, long", Ask::new("long.plain.test.", Rtype::TXT), ok, TooLong(RecordType::TXT), Without),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Udp,
    Tcp,
}

fn ask(server: SocketAddr, way: Way, message: &[u8]) -> Vec<u8> {
    let mut reply = vec![0; 65_535];
    let octets = match way {
        Way::Udp => {
            let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let socket = UdpSocket::bind(any).unwrap();
            socket.connect(server).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send(message).unwrap();
            socket.recv(&mut reply).unwrap()
        }
        Way::Tcp => {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&[&(message.len() as u16).to_be_bytes(), message].concat()).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let octets = usize::from(u16::from_be_bytes(length));
            stream.read_exact(&mut reply[..octets]).unwrap();
            octets
        }
    };
    reply.truncate(octets);
    reply
}

/// What is wrong with a reply.
fn faults(probe: &Probe, way: Way, octets: &[u8]) -> Vec<String> {
    let (_, message, rcode, body, edns) = probe;
    let mut faults = Vec::new();
    let mut demand = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let reply = Message::from_vec(octets).unwrap();
    let word = |octets: &[u8]| u16::from_be_bytes([octets[2], octets[3]]);
    let (asked, flags) = (word(message), word(octets));
    demand(octets[..2] == message[..2], "the identifier".into());
    demand(flags & 0x8000 != 0, "QR".into());
    demand((flags ^ asked) & (0x7800 | RD) == 0, "opcode and RD are the query's".into());
    demand(flags & (RA | Z | AD | CD) == 0, format!("RA, Z, AD and CD are clear: {flags:#06x}"));
    let too_long = matches!(body, Body::TooLong(_) | Body::Denial);
    let cut = way == Way::Udp && too_long;
    demand((flags & TC != 0) == cut, format!("TC is {cut}"));
    demand(
        (flags & AA != 0) == (*body != Body::Nothing),
        "AA with answers of the zone and nothing else".into(),
    );
    let high = reply.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()));
    demand(Rcode(high << 4 | flags & 0xf) == *rcode, format!("RCODE {}", rcode.label()));

    let answers = |rtype| reply.answers.iter().filter(|record| record.record_type() == rtype).count();
    let denies = reply.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    match body {
        Body::Soa => demand(answers(RecordType::SOA) == 1, "one SOA answers".into()),
        Body::NoData => demand(reply.answers.is_empty() && denies, "no answer, and the SOA".into()),
        Body::Denial => demand(cut || reply.answers.is_empty() && denies, "the SOA".into()),
        Body::TooLong(rtype) => demand((answers(*rtype) > 0) != cut, "an RRset whole or not at all".into()),
        Body::Nothing => {
            demand(reply.answers.is_empty() && reply.authorities.is_empty(), "empty sections".into());
        }
    }
    if way == Way::Udp {
        let limit = if *edns == Edns::Without { 512 } else { 1232 };
        demand(octets.len() <= limit, format!("{} octets of at most {limit}", octets.len()));
    }

    match (edns, &reply.edns) {
        (Edns::Without, found) => demand(found.is_none(), "no OPT".into()),
        (_, None) => demand(false, "an OPT record".into()),
        (Edns::Plain(options) | Edns::Dnssec(options), Some(found)) => {
            let dnssec = matches!(edns, Edns::Dnssec(_));
            demand(found.version() == 0, "version 0".into());
            demand(found.flags().dnssec_ok == dnssec, "DO is the query's".into());
            demand(found.flags().z == 0, "the flags' Z bits are clear".into());
            demand(found.max_payload() == 1232, format!("{} octets are taken", found.max_payload()));
            let mut codes: Vec<u16> =
                found.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect();
            codes.sort_unstable();
            let mut expected = options.to_vec();
            expected.sort_unstable();
            demand(codes == expected, format!("options {expected:?}, not {codes:?}"));
        }
    }
    faults
}

/// A responder on both loopbacks, its addresses and its files.
struct Running {
    addresses: Vec<SocketAddr>,
    directory: PathBuf,
    _responder: Responder,
}

impl Running {
    fn start(name: &str, require: Require) -> Self {
        let directory = std::env::temp_dir().join(format!("pharos-edns-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut text =
            String::from("$TTL 60\n@ SOA ns.invalid. h.invalid. 7 7200 1800 1209600 300\n@ NS ns.invalid.\n");
        for number in 0..20 {
            text.push_str(&format!("long TXT \"{number} {}\"\n", "x".repeat(100)));
        }
        let plain = directory.join("plain.test.zone");
        std::fs::write(&plain, text).unwrap();
        let signed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zones/signed.example.zone");
        let zones = vec![("plain.test".to_owned(), plain), ("signed.example".to_owned(), signed)];
        let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let mut config = Config::new(listen, ZoneSource::List(zones));
        config.nsid = "a.ams".to_owned();
        config.cookies =
            Some(Cookies { current: Secret::new(*b"sixteen octets !"), previous: None, require });
        let responder = Responder::start(config).unwrap();
        let status = responder.handle().status(&StatusFilter::default());
        assert_eq!((status.zones_live, status.zones_refused), (2, 0), "{status:?}");
        let addresses: Vec<SocketAddr> =
            status.listen.iter().map(|address| address.parse().unwrap()).collect();
        assert!(addresses.iter().any(SocketAddr::is_ipv4) && addresses.iter().any(SocketAddr::is_ipv6));
        Self { addresses, directory, _responder: responder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn every_probe_comes_back_as_the_table_says() {
    let running = Running::start("table", Require::Never);
    let mut wrong = Vec::new();
    let mut asked = 0;
    for probe in probes() {
        for &server in &running.addresses {
            for way in [Way::Udp, Way::Tcp] {
                asked += 1;
                let faults = faults(&probe, way, &ask(server, way, &probe.1));
                wrong.extend(
                    faults.into_iter().map(|fault| format!("{}: {way:?} {server}: {fault}", probe.0)),
                );
            }
        }
    }
    println!("{asked} probes, {} faults", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// RFC 7828 §3.2.1: a timeout over TCP, and never over UDP.
#[test]
fn the_idle_time_is_told_over_tcp_alone() {
    let running = Running::start("keepalive", Require::Never);
    let message = soa().option(KEEPALIVE, b"").octets();
    for &server in &running.addresses {
        for (way, options) in [(Way::Udp, &[][..]), (Way::Tcp, &[KEEPALIVE][..])] {
            let reply = Message::from_vec(&ask(server, way, &message)).unwrap();
            let edns = reply.edns.unwrap();
            let codes: Vec<u16> = edns.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect();
            assert_eq!(codes, options, "{way:?}");
        }
    }
}

// RFC 7873 §5.2.3, §5.3: BADCOOKIE, then the answer with the cookie that came along; by TCP at once.
#[test]
fn a_client_learns_its_cookie_and_is_answered_where_cookies_are_required() {
    let running = Running::start("cookies", Require::Always);
    let rcode = |octets: &[u8]| {
        let high = Message::from_vec(octets).unwrap().edns.unwrap().rcode_high();
        Rcode(u16::from(high) << 4 | u16::from(octets[3] & 0xf))
    };
    let half = [9; 8];
    for &server in &running.addresses {
        let first = ask(server, Way::Udp, &soa().option(COOKIE, &half).octets());
        assert_eq!(rcode(&first), Rcode::BADCOOKIE);
        // The option stands last: code, length, both halves.
        let cookie = &first[first.len() - 24..];
        assert_eq!((&cookie[..8], cookie[8]), (&half[..], 1));
        assert_eq!(rcode(&ask(server, Way::Udp, &soa().option(COOKIE, cookie).octets())), Rcode::NOERROR);
        assert_eq!(rcode(&ask(server, Way::Tcp, &soa().option(COOKIE, &half).octets())), Rcode::NOERROR);
        assert_eq!(rcode(&ask(server, Way::Udp, &soa().edns(1232).octets())), Rcode::NOERROR);
    }
}
