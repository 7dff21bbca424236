//! Whatever a neighbour sends, in whatever state and however cut: no panic, no reset without a NOTIFICATION, and
//! nothing that grows beyond what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{message, node_config, open, route, router_config};
use pharos_routing::Families;
use pharos_routing::bgp::{Event, Input, Output, Received, Role, Session, SessionConfig, State};
use proptest::collection::vec;
use proptest::prelude::*;

/// Our capabilities as seen from the other end, for AS 64512.
const CAPABILITIES: [u8; 20] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 65, 4, 0, 0, 0xfc, 0];

/// Messages that are right, to be damaged.
fn good_messages() -> Vec<Vec<u8>> {
    let attributes = [
        &[0x80, 14, 28, 0, 2, 1, 16][..],
        &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 48, 0x20, 1, 0xd, 0xb8, 0, 0x53],
        &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 10, 0, 0, 2, 0x80, 4, 4, 0, 0, 0, 1],
        &[0x40, 5, 4, 0, 0, 0, 100, 0xc0, 8, 8, 0xfc, 0, 0, 53, 0xff, 0xff, 0xff, 1],
        &[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0xc0, 7, 8, 0, 0, 0xfc, 0, 10, 0, 0, 9],
        &[0x80, 15, 10, 0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 0, 1],
    ]
    .concat();
    let mut update = vec![0, 4, 24, 198, 51, 100];
    update.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    update.extend(attributes);
    update.extend([24, 192, 0, 2, 32, 203, 0, 113, 1]);
    vec![
        open(4, 64512, 90, [10, 0, 0, 2], &CAPABILITIES),
        message(2, &update),
        message(2, &[0, 0, 0, 0]),
        message(3, b"\x06\x02\x05hello"),
        message(4, &[]),
        message(5, &[0, 1, 0, 1]),
    ]
}

/// A collector brought to a state by messages that are right.
fn collector(state: State, received: Received) -> (Session, SessionConfig) {
    let mut config = router_config();
    config.received = received;
    let mut session = Session::new(config.clone(), Duration::ZERO).unwrap();
    let mut out = Vec::new();
    session.step(Duration::ZERO, Input::Start, &mut out);
    session.step(Duration::ZERO, Input::Connected, &mut out);
    let [open, _, _, _, keepalive, _] = good_messages().try_into().unwrap();
    if state != State::OpenSent {
        session.step(Duration::ZERO, Input::Received(&open), &mut out);
    }
    if state == State::Established {
        session.step(Duration::ZERO, Input::Received(&keepalive), &mut out);
    }
    assert_eq!(session.state(), state);
    (session, config)
}

/// Feeds the octets and checks what comes out.
fn feed(session: &mut Session, octets: &[u8], chunk: usize) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    for (i, octets) in octets.chunks(chunk).enumerate() {
        session.step(Duration::from_millis(i as u64), Input::Received(octets), &mut out);
    }
    let closed = out.iter().any(|o| matches!(o, Output::Close));
    let told = out.iter().any(|o| matches!(o, Output::Send(m) if m[18] == 3));
    let heard = out.iter().any(|o| matches!(o, Output::Event(Event::NotificationReceived(_))));
    prop_assert_eq!(closed, told || heard, "a session ends with a NOTIFICATION, ours or theirs");
    prop_assert!(!(told && heard), "a NOTIFICATION is not answered with one");
    let up = matches!(session.state(), State::OpenSent | State::OpenConfirm | State::Established);
    prop_assert_eq!(up, !closed);
    // A route or a fault needs an octet or two of input; nothing comes of nothing.
    prop_assert!(out.len() <= 16 + octets.len(), "{} outputs of {} octets", out.len(), octets.len());
    for output in &out {
        if let Output::Send(message) = output {
            prop_assert!(message.len() <= 4096);
            prop_assert_eq!(usize::from(u16::from_be_bytes([message[16], message[17]])), message.len());
        }
    }
    Ok(())
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::OpenSent), Just(State::OpenConfirm), Just(State::Established)]
}

fn any_received() -> impl Strategy<Value = Received> {
    prop_oneof![Just(Received::Discard), Just(Received::Report)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_in_any_state_are_survived(
        state in any_state(),
        received in any_received(),
        octets in vec(any::<u8>(), 0..600),
        chunk in 1_usize..700,
    ) {
        let (mut session, _) = collector(state, received);
        feed(&mut session, &octets, chunk)?;
    }

    #[test]
    fn any_bodies_behind_right_headers_are_survived(
        state in any_state(),
        received in any_received(),
        messages in vec((1_u8..=5, vec(any::<u8>(), 0..200)), 1..6),
        chunk in 1_usize..700,
    ) {
        let (mut session, _) = collector(state, received);
        let octets: Vec<u8> = messages.iter().flat_map(|(kind, body)| message(*kind, body)).collect();
        feed(&mut session, &octets, chunk)?;
    }

    #[test]
    fn damaged_messages_are_survived(
        state in any_state(),
        received in any_received(),
        which in vec(0_usize..6, 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        chunk in 1_usize..700,
    ) {
        let (mut session, _) = collector(state, received);
        let good = good_messages();
        let mut octets: Vec<u8> = which.iter().flat_map(|&i| good[i].clone()).collect();
        for (at, value) in damage {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        feed(&mut session, &octets, chunk)?;
    }

    #[test]
    fn updates_damaged_behind_the_header_are_survived(
        damage in vec((19_usize..160, any::<u8>()), 1..8),
    ) {
        let (mut session, _) = collector(State::Established, Received::Report);
        let mut octets = good_messages().swap_remove(1);
        for (at, value) in damage {
            if let Some(octet) = octets.get_mut(at) {
                *octet = value;
            }
        }
        feed(&mut session, &octets, octets.len())?;
    }

    #[test]
    fn attributes_of_every_kind_and_length_are_survived(
        attributes in vec((any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..40)), 1..6),
        known in proptest::bool::ANY,
    ) {
        const KNOWN: [u8; 9] = [1, 2, 3, 4, 5, 8, 14, 15, 17];
        let mut octets = Vec::new();
        for (flags, code, value) in &attributes {
            let code = if known { KNOWN[usize::from(*code) % KNOWN.len()] } else { *code };
            octets.extend([flags & 0xef, code, u8::try_from(value.len()).unwrap()]);
            octets.extend(value);
        }
        let mut body = vec![0, 0];
        body.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        body.extend(octets);
        body.extend([24, 192, 0, 2]);
        let (mut session, _) = collector(State::Established, Received::Report);
        let octets = message(2, &body);
        feed(&mut session, &octets, octets.len())?;
    }

    #[test]
    fn any_order_of_inputs_is_survived(inputs in vec((0_u8..12, 0_u64..20_000), 0..80), role in 0_u8..2) {
        let mut config = node_config();
        config.role = if role == 0 { Role::Active } else { Role::Passive };
        config.peer_as = 64512;
        config.local_as = 64500;
        let mut session = Session::new(config, Duration::ZERO).unwrap();
        let good = good_messages();
        let mut now = Duration::ZERO;
        let mut out = Vec::new();
        for (what, millis) in inputs {
            now += Duration::from_millis(millis);
            let input = match what {
                0 => Input::Start,
                1 => Input::Connected,
                2 => Input::ConnectFailed { why: "refused" },
                3 => Input::Closed { why: "reset" },
                4 => Input::SendBlocked,
                5 => Input::SendProgress,
                6 => Input::Tick,
                7 => common::stop("enough"),
                n => Input::Received(&good[usize::from(n) - 7]),
            };
            session.step(now, input, &mut out);
            if session.set_routes(now, [route("192.0.2.0/24")], &mut out).is_err() {
                return Err(TestCaseError::fail("the route is a good one"));
            }
            if let Some(due) = session.next_deadline() {
                prop_assert!(due >= now, "a deadline that has passed was not served");
            }
            if session.state() != State::Established {
                prop_assert_eq!(session.adj_rib_out().count(), 0);
            } else if session.negotiated().map(|n| n.families) == Some(Families::BOTH) {
                prop_assert_eq!(session.adj_rib_out().count(), 1);
            }
        }
    }
}
