//! The octets that ExaBGP's tests of its encoding expect for unicast routes, asked of our speaker, without ExaBGP.
//!
//! `encoding/cases.txt` states facts, case by case under ExaBGP's own names (`conf-*`, `api-*`, `peer-eor`): who speaks to
//! whom, what is asked for, and which octets go out, with the sections that decide them. Our session is asked for the
//! same through its public interface. It must write the same octets, and nothing besides.
//!
//! What may differ, because the RFCs leave it open, and how each difference is met:
//!
//! - Order of whole UPDATEs when a session begins: none is prescribed, so that the first step of a case compares sets,
//!   and that the End-of-RIB markers come last (RFC 4724 §2). All later steps compare in order.
//! - Several prefixes in one UPDATE: allowed by RFC 4271 §4.3 if they share all attributes. We always do it, ExaBGP by a
//!   setting. Where it does not, the case asks for the routes one after another.
//! - [`Change::Shorter`]: ExaBGP's IPv6 End-of-RIB has an attribute length of two octets for a value of three. RFC 4271
//!   §4.3 leaves the width to the flag; ours has one octet.
//! - [`Change::MpFirst`]: older versions of ExaBGP have MP_REACH_NLRI last; newer ones, and ours, have it first as
//!   RFC 7606 §5.1 demands. Only the old ones have a case of several IPv6 prefixes in an UPDATE.
//! - [`Change::Without`]: one attribute that we do not offer, or not in that place, is cut from ExaBGP's message; all
//!   else must stay as it is. Each case says why.
//! - ORIGIN IGP and a LOCAL_PREF of 100 are what both speakers write unasked.
//!
//! Out of scope, since Pharos does not offer it:
//!
//! - other families: `conf-flow*`, `conf-l2vpn`, `conf-mvpn`, `conf-parity`, `conf-prefix-sid`, `conf-rtc`,
//!   `conf-sr-policy`, `conf-srv6-mup*`, `conf-vpn`, `api-attributes-vpn`, `api-broken-flow`, `api-flow*`, `api-mvpn`,
//!   `api-vpls`, `api-vpnv4`, and the other half of `api-ipv4` and `api-ipv6`;
//! - several paths for a prefix: `conf-addpath`, `conf-path-information`, `conf-cap-paths-limit`,
//!   `conf-paths-limit-enforce`, `api-attributes-path`, `api-open`;
//! - paths of others, AGGREGATOR and attributes without a name: `conf-aggregator`, and in part `conf-confederation`,
//!   `conf-generic-attribute` and `api-attributes`. What we announce begins with us;
//! - extended communities: `conf-extended-attributes`, but for the rest of its first route;
//! - link-local next hops: `conf-cap-link-local-nexthop`, `conf-llnh-*`;
//! - other capabilities: `conf-hostname`, `conf-cap-software-version`;
//! - `api-notification`, which has no octets, and `unknown-message`, whose NOTIFICATION 1/0 with a text is not the one
//!   of RFC 4271 §6.1: 1/3 with the type as its data, which we send.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use common::{message, open};
use pharos_routing::bgp::{
    ConfigError, ExtendedNextHop, Input, Output, Session, SessionConfig, Shutdown, ShutdownKind, State,
};
use pharos_routing::{Families, Family, Prefix, Route, RouteError};

const CASES: &str = include_str!("encoding/cases.txt");

/// The markers as we write them, IPv4 and IPv6: RFC 4724 §2.
const END_OF_RIB: [&str; 2] = ["00170200000000", "001D0200000006800F03000201"];

#[test]
fn every_unicast_case_of_exabgp_has_the_same_octets_here() {
    let cases = cases();
    assert_eq!(cases.len(), 46, "the table is read to its end");
    for Case { name, link, steps } in cases {
        let mut speaker = Speaker::new(link);
        for (number, Step { asks, expected }) in steps.iter().enumerate() {
            let mut ours = hex(&speaker.ask(asks));
            let mut expected = hex(expected.as_ref().unwrap());
            if number == 0 {
                assert!(ours.is_empty(), "{name}: told before the session began");
                ours = hex(&speaker.establish());
                let mut last = ours.iter().rev().take(link.families.iter().count());
                assert!(last.all(|message| END_OF_RIB.contains(&message.as_str())), "{name}: {ours:?}");
                ours.sort_unstable();
                expected.sort_unstable();
            }
            assert_eq!(ours, expected, "{name}, step {number}: {asks:?}");
        }
    }
}

/// `api-rr-rib`: what is told again stands between two ROUTE-REFRESH messages of AFI 1, SAFI 1 whose third octet, once
/// reserved, says 1 for the beginning and 2 for the end (RFC 7313 §3.2, §4.1).
#[test]
fn routes_told_again_stand_between_the_marks_of_api_rr_rib() {
    let mut speaker = Speaker::new(Link::internal(1, Offers::EnhancedRefresh));
    speaker.ask(&["+ 192.168.0.2/32 via 10.0.0.2", "+ 192.168.0.3/32 via 10.0.0.3"]);
    speaker.establish();
    let expected = [
        "0017 05 0001 01 01",
        "0031 02 0000 0015 40010100 400200 4003040A000002 40050400000064 20C0A80002",
        "0031 02 0000 0015 40010100 400200 4003040A000003 40050400000064 20C0A80003",
        "0017 05 0001 02 01",
    ];
    let told = speaker.step(Input::Received(&message(5, &[0, 1, 0, 1])));
    assert_eq!(hex(&told), hex(&expected.map(octets)));
}

/// `api-teardown` and `api-disable`: Cease (RFC 4271 §4.5) with a text of counted octets (RFC 9003 §2).
#[test]
fn the_last_word_of_a_session_is_that_of_api_teardown_and_api_disable() {
    for (kind, text, expected) in [
        // Subcode 4, Administrative Reset (RFC 4486 §3).
        (
            ShutdownKind::Reset,
            "Administrative Reset",
            "002A 03 06 04 14 41646D696E697374726174697665205265736574",
        ),
        // Subcode 2, Administrative Shutdown.
        (ShutdownKind::Shutdown, "back soon", "001F 03 06 02 09 6261636B20736F6F6E"),
    ] {
        let mut speaker = Speaker::new(Link::internal(1, Offers::FourOctetAs));
        speaker.establish();
        let said = speaker.step(Input::Stop(Shutdown::new(kind, text)));
        assert_eq!(hex(&said), hex(&[octets(expected)]));
    }
}

/// `conf-attributes` announces a route over 255.255.255.255 and `extended-nexthop` an IPv6 prefix over an IPv4 next hop;
/// `api-api` speaks for AS 65535.
#[test]
fn what_exabgp_says_and_no_rfc_allows_is_refused() {
    // RFC 4271 §6.3: a next hop must be a valid IP host address.
    let ones = route("+ 10.0.0.7/32 via 255.255.255.255");
    assert!(matches!(ones.check(), Err(RouteError::NextHopUnusable { .. })));
    // RFC 8950 is about IPv4 prefixes alone, and no other RFC gives IPv6 unicast a next hop of four octets.
    let mixed = route("+ dead:beef:dead:beef:dead:beef:dead:beef/128 via 170.170.170.170");
    assert!(matches!(mixed.check(), Err(RouteError::NextHopFamily { family: Family::Ipv6, .. })));
    // RFC 7300 §2.
    let reserved = SessionConfig::new(65535, 65535, Ipv4Addr::new(10, 0, 0, 2));
    assert!(matches!(reserved.check(), Err(ConfigError::As { asn: 65535, .. })));
}

/// One case: two speakers, and step by step what ours is asked for and what must go out. The first step is what is
/// wanted before the session begins.
struct Case {
    name: &'static str,
    link: Link,
    steps: Vec<Step>,
}

/// What is asked for at once, and the messages that must go out for it.
#[derive(Default)]
struct Step {
    asks: Vec<&'static str>,
    expected: Option<Vec<Vec<u8>>>,
}

/// Between whom a session is.
#[derive(Clone, Copy)]
struct Link {
    local_as: u32,
    peer_as: u16,
    families: Families,
    offers: Offers,
}

/// What the neighbour offers beside its families.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    /// Nothing.
    Nothing,
    /// Four-octet AS numbers, RFC 6793; so do all that follow.
    FourOctetAs,
    /// IPv6 next hops for IPv4, RFC 8950 §4.
    ExtendedNextHop,
    /// Route refresh with marks, RFC 7313 §3.1.
    EnhancedRefresh,
    /// A capability that there is not.
    SomethingUnknown,
}

/// Reads the table.
fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" {
            cases.push(Case { name: rest, link: Link::NONE, steps: vec![Step::default()] });
            continue;
        }
        let Case { link, steps, .. } = cases.last_mut().unwrap();
        if matches!(word, "+" | "-") && steps.last().unwrap().expected.is_some() {
            steps.push(Step::default());
        }
        let Step { asks, expected } = steps.last_mut().unwrap();
        let octets = match word {
            "link" => {
                *link = Link::read(rest);
                continue;
            }
            "+" | "-" => {
                asks.push(line);
                continue;
            }
            "nothing" => None,
            "=" => Some(octets(rest)),
            "shorter" => Some(Change::Shorter.made(rest)),
            "mp-first" => Some(Change::MpFirst.made(rest)),
            "without" => {
                let (code, rest) = rest.split_once(' ').unwrap();
                Some(Change::Without(code.parse().unwrap()).made(rest))
            }
            _ => panic!("{line}"),
        };
        expected.get_or_insert_default().extend(octets);
    }
    cases
}

/// How ExaBGP's UPDATE becomes ours.
enum Change {
    /// Attribute lengths get one octet.
    Shorter,
    /// MP_REACH_NLRI goes before the other attributes.
    MpFirst,
    /// The attribute of this type goes.
    Without(u8),
}

impl Change {
    /// The message as we should write it. A difference that is claimed must be one.
    fn made(self, text: &str) -> Vec<u8> {
        let theirs = octets(text);
        let ours = with_attributes(&theirs, |attributes| match self {
            Self::Shorter => attributes.iter_mut().for_each(|a| a.flags &= !Attribute::EXTENDED),
            Self::MpFirst => attributes.sort_by_key(|a| a.code != 14),
            Self::Without(code) => attributes.retain(|a| a.code != code),
        });
        assert_ne!(ours, theirs, "{text}");
        ours
    }
}

/// Our side of a session, and what it should announce.
struct Speaker {
    link: Link,
    session: Session,
    wanted: BTreeMap<Prefix, Route>,
}

impl Speaker {
    fn new(link: Link) -> Self {
        let mut config =
            SessionConfig::new(link.local_as, u32::from(link.peer_as), Ipv4Addr::new(10, 0, 0, 2));
        config.families = link.families;
        if link.offers == Offers::ExtendedNextHop {
            config.extended_next_hop = ExtendedNextHop::Offered;
        }
        let session = Session::new(config, Duration::ZERO).unwrap();
        Self { link, session, wanted: BTreeMap::new() }
    }

    /// Wants more or fewer routes, all at once.
    fn ask(&mut self, asks: &[&str]) -> Vec<Vec<u8>> {
        for ask in asks {
            if let Some(prefix) = ask.strip_prefix("- ") {
                self.wanted.remove(&prefix.parse().unwrap());
            } else {
                let route = route(ask);
                self.wanted.insert(route.prefix, route);
            }
        }
        let mut out = Vec::new();
        self.session.set_routes(Duration::ZERO, self.wanted.values().cloned(), &mut out).unwrap();
        sent(out)
    }

    /// Lets the session come about, and returns what follows the neighbour's first KEEPALIVE.
    fn establish(&mut self) -> Vec<Vec<u8>> {
        let router = open(4, self.link.peer_as, 90, [10, 0, 0, 1], &self.link.capabilities());
        self.step(Input::Start);
        self.step(Input::Connected);
        self.step(Input::Received(&router));
        let told = self.step(Input::Received(&message(4, &[])));
        assert_eq!(self.session.state(), State::Established);
        told
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.session.step(Duration::ZERO, input, &mut out);
        sent(out)
    }
}

impl Link {
    const NONE: Self =
        Self { local_as: 0, peer_as: 0, families: Families::NONE, offers: Offers::FourOctetAs };

    /// Two neighbours in one AS.
    fn internal(asn: u16, offers: Offers) -> Self {
        Self { local_as: u32::from(asn), peer_as: asn, families: Families::IPV4, offers }
    }

    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let [local_as, peer_as, ref more @ ..] = words[..] else { panic!("{text}") };
        let mut link =
            Self { local_as: local_as.parse().unwrap(), peer_as: peer_as.parse().unwrap(), ..Self::NONE };
        for word in more {
            match *word {
                "ipv4" => link.families = link.families.with(Family::Ipv4),
                "ipv6" => link.families = link.families.with(Family::Ipv6),
                "two-octet-as" => link.offers = Offers::Nothing,
                "extended-next-hop" => link.offers = Offers::ExtendedNextHop,
                "unknown-capability" => link.offers = Offers::SomethingUnknown,
                _ => panic!("{text}"),
            }
        }
        link
    }

    /// The capabilities of the neighbour's OPEN (RFC 5492 §4).
    fn capabilities(self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        for family in self.families.iter() {
            let [high, low] = family.afi().to_be_bytes();
            capabilities.extend([1, 4, high, low, 0, 1]);
        }
        if self.offers != Offers::Nothing {
            capabilities.extend([65, 4]);
            capabilities.extend(u32::from(self.peer_as).to_be_bytes());
        }
        capabilities.extend_from_slice(match self.offers {
            Offers::FourOctetAs | Offers::Nothing => &[],
            Offers::ExtendedNextHop => &[5, 6, 0, 1, 0, 1, 0, 2],
            Offers::EnhancedRefresh => &[2, 0, 70, 0],
            Offers::SomethingUnknown => &[240, 2, 1, 2],
        });
        capabilities
    }
}

/// A path attribute, RFC 4271 §4.3.
struct Attribute {
    flags: u8,
    code: u8,
    value: Vec<u8>,
}

impl Attribute {
    /// The length has two octets.
    const EXTENDED: u8 = 0x10;
}

/// An UPDATE with other attributes and the same prefixes.
fn with_attributes(update: &[u8], change: impl FnOnce(&mut Vec<Attribute>)) -> Vec<u8> {
    assert_eq!(update[18..21], [2, 0, 0], "an UPDATE that withdraws nothing");
    let len = usize::from(u16::from_be_bytes([update[21], update[22]]));
    let (mut rest, prefixes) = update[23..].split_at(len);
    let mut attributes = Vec::new();
    while let &[flags, code, len, ref tail @ ..] = rest {
        let (len, tail) = match flags & Attribute::EXTENDED {
            0 => (usize::from(len), tail),
            _ => (usize::from(u16::from_be_bytes([len, tail[0]])), &tail[1..]),
        };
        let (value, after) = tail.split_at(len);
        attributes.push(Attribute { flags, code, value: value.to_vec() });
        rest = after;
    }
    assert!(rest.is_empty(), "half an attribute");
    change(&mut attributes);
    let mut written = Vec::new();
    for Attribute { flags, code, value } in attributes {
        written.extend([flags, code]);
        match flags & Attribute::EXTENDED {
            0 => written.push(u8::try_from(value.len()).unwrap()),
            _ => written.extend(u16::try_from(value.len()).unwrap().to_be_bytes()),
        }
        written.extend(value);
    }
    let mut body = vec![0, 0];
    body.extend(u16::try_from(written.len()).unwrap().to_be_bytes());
    body.extend(written);
    body.extend(prefixes);
    message(2, &body)
}

fn route(text: &str) -> Route {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["+", prefix, "via", next_hop, ref more @ ..] = words[..] else { panic!("{text}") };
    let mut route = Route::new(prefix.parse().unwrap(), next_hop.parse().unwrap());
    for pair in more.chunks(2) {
        match *pair {
            ["med", value] => route.med = Some(value.parse().unwrap()),
            ["pref", value] => route.local_pref = Some(value.parse().unwrap()),
            ["tag", value] => route.communities.push(value.parse().unwrap()),
            ["large", value] => route.large_communities.push(value.parse().unwrap()),
            _ => panic!("{text}"),
        }
    }
    route
}

fn sent(out: Vec<Output>) -> Vec<Vec<u8>> {
    let sent = out.into_iter().filter_map(|output| match output {
        Output::Send(message) => Some(message),
        _ => None,
    });
    sent.collect()
}

/// The octets of a message written without its marker.
fn octets(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let mut octets = vec![0xff; 16];
    octets
        .extend((0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()));
    assert_eq!(octets.len(), usize::from(u16::from_be_bytes([octets[16], octets[17]])), "{text}");
    octets
}

/// Messages for people: what two of them differ in is easier to see so.
fn hex(messages: &[Vec<u8>]) -> Vec<String> {
    messages.iter().map(|m| m[16..].iter().map(|o| format!("{o:02X}")).collect()).collect()
}
