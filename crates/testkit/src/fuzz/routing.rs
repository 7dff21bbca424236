//! Whatever a neighbour sends, in whatever state and at whatever time: the bodies of `bgp_session` and `bfd_session`.
//!
//! The octets are read as a script: settings first, then one step after another.

use std::num::NonZeroU32;
use std::time::Duration;

use pharos_routing::bfd;
use pharos_routing::bgp::{
    ExtendedNextHop, Input, Output, Peering, PeeringCheck, Received, Role, Session, SessionConfig, Shutdown,
    ShutdownKind, State,
};
use pharos_routing::{Community, LargeCommunity, Route};

use crate::dice::Dice;

/// Steps of one script: more change nothing that fewer have not.
const STEPS: usize = 200;
/// The longest message of BGP, RFC 4271 §4.1.
const LONGEST: usize = 4096;

/// Any script for a BGP session: it never panics, sends nothing but whole messages, and leaves nothing overdue.
pub fn bgp_session(octets: &[u8]) {
    let mut dice = Dice::of_octets(octets);
    let mut bgp = Bgp::new(&mut dice);
    for _ in 0..STEPS {
        bgp.step(&mut dice);
        if dice.is_spent() {
            break;
        }
    }
}

/// A session, and what its driver must remember.
struct Bgp {
    session: Session,
    now: Duration,
    /// Whether there is a connection, as the outputs say.
    connected: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    None,
    Made,
}

impl Bgp {
    fn new(dice: &mut Dice<'_>) -> Self {
        let mut config = SessionConfig::new(64500, 64512, std::net::Ipv4Addr::new(10, 0, 0, 1));
        config.role = if dice.once_in(2) { Role::Passive } else { Role::Active };
        config.received = if dice.once_in(2) { Received::Report } else { Received::Discard };
        config.extended_next_hop =
            if dice.once_in(2) { ExtendedNextHop::Offered } else { ExtendedNextHop::NotOffered };
        config.peering =
            [None, Some(Peering::Provider), Some(Peering::Customer), Some(Peering::Peer)][dice.below(4)];
        config.peering_check = if dice.once_in(4) { PeeringCheck::Strict } else { PeeringCheck::Lenient };
        let session = Session::new(config, Duration::ZERO).expect("these settings make a session");
        let mut bgp = Self { session, now: Duration::ZERO, connected: Connection::None };
        bgp.input(Input::Start);
        // Most scripts begin where most can go wrong.
        for depth in 0..dice.below(4) {
            match depth {
                0 => bgp.connect(),
                1 => bgp.input(Input::Received(&OPEN)),
                _ => bgp.input(Input::Received(&message(4, &[]))),
            }
        }
        bgp
    }

    fn step(&mut self, dice: &mut Dice<'_>) {
        match dice.below(16) {
            0 => self.input(Input::Received(&octets(dice, 80))),
            1..=4 => {
                let kind = dice.below(7) as u8;
                let body = octets(dice, 120);
                self.input(Input::Received(&message(kind, &body)));
            }
            5..=7 => {
                let mut message = good(dice);
                if dice.once_in(2) {
                    crate::mutate(&mut message, dice);
                }
                let cut = dice.below(message.len());
                let (head, tail) = message.split_at(cut);
                self.input(Input::Received(head));
                self.input(Input::Received(tail));
            }
            8 => {
                self.now += Duration::from_millis(dice.below(40_000) as u64);
                self.input(Input::Tick);
            }
            9 => self.input(Input::SendBlocked),
            10 => self.input(Input::SendProgress),
            11 => self.routes(dice),
            12 => self.connect(),
            13 => match dice.below(4) {
                0 => self.input(Input::Closed { why: "cut" }),
                1 => self.input(Input::ConnectFailed { why: "refused" }),
                2 => self.input(Input::PathDown { why: "BFD" }),
                _ => self.input(Input::Stop(Shutdown::new(ShutdownKind::Reset, "fuzz"))),
            },
            14 => self.input(Input::Start),
            _ => self.input(Input::Received(&OPEN)),
        }
    }

    /// A driver connects when it was asked to, or accepts when it may.
    fn connect(&mut self) {
        if self.session.yields_connection() {
            self.input(Input::Superseded);
        }
        if self.session.state() == State::Connect || self.session.accepts_connection() {
            self.connected = Connection::Made;
            self.input(Input::Connected);
        }
    }

    fn routes(&mut self, dice: &mut Dice<'_>) {
        let mut routes = Vec::new();
        for index in 0..dice.below(5) {
            let (prefix, next_hop) = [
                ("192.0.2.0/24", "10.0.0.2"),
                ("198.51.100.0/24", "fd00::2"),
                ("2001:db8:53::/48", "fd00::2"),
                ("0.0.0.0/0", "10.0.0.2"),
                ("2001:db8::/128", "10.0.0.2"),
            ][index];
            let (Ok(prefix), Ok(next_hop)) = (prefix.parse(), next_hop.parse()) else { continue };
            let mut route = Route::new(prefix, next_hop);
            route.prepends = dice.below(5) as u8;
            route.med = dice.once_in(2).then_some(7);
            route.communities = vec![Community(1); dice.below(103)];
            route.large_communities = vec![LargeCommunity::new(1, 2, 3); dice.below(52)];
            routes.push(route);
        }
        let mut out = Vec::new();
        if let Err(error) = self.session.set_routes(self.now, routes, &mut out) {
            let _ = error.to_string();
        }
        self.check(&out);
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.session.step(self.now, input, &mut out);
        self.check(&out);
        assert!(self.session.next_deadline().is_none_or(|due| due > self.now), "something is overdue");
    }

    fn check(&mut self, out: &[Output]) {
        for output in out {
            match output {
                Output::Send(octets) => {
                    assert_eq!(self.connected, Connection::Made, "nobody to send to");
                    assert!((19..=LONGEST).contains(&octets.len()), "{} octets", octets.len());
                    let said = octets.get(16..18).map(|two| usize::from(two[0]) << 8 | usize::from(two[1]));
                    assert_eq!(said, Some(octets.len()), "one whole message");
                }
                Output::Close => self.connected = Connection::None,
                Output::Connect => assert_eq!(self.session.config().role, Role::Active),
                Output::Event(event) => drop(format!("{event:?}")),
            }
        }
        let up = matches!(self.session.state(), State::OpenSent | State::OpenConfirm | State::Established);
        if !up {
            self.connected = Connection::None;
        }
        if self.session.state() != State::Established {
            assert_eq!(self.session.adj_rib_out().count(), 0, "nobody was told anything");
        }
        let _ = self.session.last_down().map(ToString::to_string);
    }
}

/// Any script for a BFD session: it never panics, answers no packet with more than a few, and leaves nothing overdue.
pub fn bfd_session(octets: &[u8]) {
    let mut dice = Dice::of_octets(octets);
    let mut config = bfd::SessionConfig::new(NonZeroU32::MIN);
    config.interval = Duration::from_millis([10, 50, 300, 1000, 10_000][dice.below(5)]);
    config.multiplier = 2 + dice.below(254) as u8;
    let mut session = bfd::Session::new(config, Duration::ZERO).expect("these settings make a session");
    let mut now = Duration::ZERO;
    for _ in 0..STEPS {
        now += Duration::from_millis(dice.below(3000) as u64);
        let mut out = Vec::new();
        match dice.below(32) {
            0 => session.step(now, bfd::Input::Stop, &mut out),
            1 => {
                session = bfd::Session::resume(config, &session.snapshot(now), now)
                    .expect("what was a session is one again");
            }
            2..=5 => session.step(now, bfd::Input::Tick, &mut out),
            6..=9 => {
                let octets = self::octets(&mut dice, 60);
                received(&mut session, now, &octets, &mut out);
            }
            _ => {
                let packet = control_packet(&mut dice);
                received(&mut session, now, &packet, &mut out);
            }
        }
        session.step(now, bfd::Input::Tick, &mut out);
        assert!(out.len() <= 8, "{out:?}");
        assert!(session.next_deadline().is_none_or(|due| due > now), "something is overdue");
        for output in &out {
            if let bfd::Output::Send(packet) = output {
                assert_eq!(
                    bfd::Packet::read(&packet.octets()).as_ref(),
                    Ok(packet),
                    "what is sent can be read"
                );
            }
        }
        if dice.is_spent() {
            break;
        }
    }
}

fn received(session: &mut bfd::Session, now: Duration, octets: &[u8], out: &mut Vec<bfd::Output>) {
    match bfd::Packet::read(octets) {
        Ok(packet) => session.step(now, bfd::Input::Received(&packet), out),
        Err(why) => drop(why.to_string()),
    }
}

/// A packet that is mostly right.
fn control_packet(dice: &mut Dice<'_>) -> Vec<u8> {
    let state = dice.below(4) as u8;
    let mut packet = vec![0x20 | dice.below(9) as u8, state << 6, 3, 24];
    packet[1] |= [0, 0, 0, 0x20, 0x10, 2, 8, 0x30][dice.below(8)];
    packet[2] = [3, 1, 2, 255][dice.below(4)];
    packet.extend([0, 0, 0, 7]);
    packet.extend([0, 0, 0, [1, 1, 1, 0, 2][dice.below(5)]]);
    for _ in 0..3 {
        let interval: u32 = [300_000, 1_000_000, 0, 1, u32::MAX, 50_000][dice.below(6)];
        packet.extend(interval.to_be_bytes());
    }
    packet
}

fn octets(dice: &mut Dice<'_>, most: usize) -> Vec<u8> {
    (0..dice.below(most)).map(|_| dice.octet()).collect()
}

/// A BGP message of this type with this body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// An OPEN of AS 64512 with every capability that we know.
const OPEN: [u8; 68] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 68, 1,
    4, 0xfc, 0, 0, 90, 10, 0, 0, 2, 39, 2, 37, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 70, 0, 5, 6, 0, 1,
    0, 1, 0, 2, 65, 4, 0, 0, 0xfc, 0, 9, 1, 4, 64, 2, 0, 120,
];

/// A message that is right in some state.
fn good(dice: &mut Dice<'_>) -> Vec<u8> {
    match dice.below(8) {
        0 => OPEN.to_vec(),
        1 => message(4, &[]),
        2 => message(3, b"\x06\x02\x05hello"),
        3 => message(5, &[0, [1, 2, 25][dice.below(3)], dice.below(4) as u8, 1]),
        4 => message(2, &[0, 0, 0, 0]),
        _ => update(dice),
    }
}

/// An UPDATE of attributes that are right, each there or not.
fn update(dice: &mut Dice<'_>) -> Vec<u8> {
    const ATTRIBUTES: [&[u8]; 13] = [
        &[
            0x80, 14, 28, 0, 2, 1, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 48, 0x20, 1,
            0xd, 0xb8, 0, 0x53,
        ],
        &[0x80, 14, 25, 0, 1, 1, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 24, 192, 0, 2],
        &[0x40, 1, 1, 0],
        &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0],
        &[0x40, 3, 4, 10, 0, 0, 2],
        &[0x80, 4, 4, 0, 0, 0, 1],
        &[0x40, 5, 4, 0, 0, 0, 100],
        &[0xc0, 8, 8, 0xfc, 0, 0, 53, 0xff, 0xff, 0xff, 1],
        &[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 2, 0, 0],
        &[0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
        &[0xc0, 35, 4, 0, 0, 0xfc, 0],
        &[0xc0, 7, 8, 0, 0, 0xfc, 0, 10, 0, 0, 9],
        &[0x80, 15, 10, 0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 0, 1],
    ];
    let there = dice.below(1 << 13);
    let mut attributes = Vec::<u8>::new();
    for (index, attribute) in ATTRIBUTES.iter().enumerate() {
        if there >> index & 1 == 1 {
            attributes.extend(*attribute);
        }
    }
    let mut body = vec![0, 4, 24, 198, 51, 100];
    body.extend(u16::try_from(attributes.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(attributes);
    body.extend([24, 192, 0, 2, 32, 203, 0, 113, 1]);
    message(2, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_that_are_right_lead_to_a_session() {
        let config = SessionConfig::new(64500, 64512, std::net::Ipv4Addr::new(10, 0, 0, 1));
        let mut session = Session::new(config, Duration::ZERO).expect("these settings make a session");
        let mut out = Vec::new();
        let keepalive = message(4, &[]);
        for input in [Input::Start, Input::Connected, Input::Received(&OPEN), Input::Received(&keepalive)] {
            session.step(Duration::ZERO, input, &mut out);
        }
        assert_eq!(session.state(), State::Established, "{out:?}");
    }
}
