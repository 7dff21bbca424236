//! What a session says and does when the neighbour breaks the protocol: the words that a person sees, the octets
//! that the neighbour gets, and that the routes of the next session are complete.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Pair, Side, Wire, message, node_config, open, prefixes, route, router_config};
use pharos_routing::bgp::{Event, Input, State};

/// Capabilities of a speaker like ours: both families, four-octet AS 64500.
const CAPABILITIES: [u8; 18] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0xfb, 0xf4];

/// A node whose neighbour is played by hand, after the messages given.
fn node_after(messages: &[Vec<u8>]) -> Pair {
    let mut pair = Pair::new(node_config(), router_config());
    pair.wire = Wire::Silent;
    pair.node.step(pair.now, Input::Start);
    pair.node.step(pair.now, Input::Connected);
    pair.settle();
    for message in messages {
        pair.inject(Side::Node, message);
    }
    pair
}

fn good_open() -> Vec<u8> {
    open(4, 64500, 90, [10, 0, 0, 1], &CAPABILITIES)
}

fn keepalive() -> Vec<u8> {
    message(4, &[])
}

/// What the node sent last must be this NOTIFICATION; it must have closed, and explain itself.
fn assert_refused(pair: &Pair, code: u8, subcode: u8, data: &[u8], words: &str) {
    let (notification, detail) = pair.node.notification_sent().expect("a NOTIFICATION");
    assert_eq!(
        (notification.code, notification.subcode, notification.data.as_slice()),
        (code, subcode, data)
    );
    assert_eq!(format!("{notification}: {detail}"), words);
    let sent = &pair.node.sent.last().unwrap().1;
    let expected = message(3, &[&[code, subcode], data].concat());
    assert_eq!(*sent, expected, "the neighbour is told the same");
    assert_eq!(pair.node.session.state(), State::Idle);
    assert!(pair.node.session.next_attempt().is_some(), "another attempt follows");
    assert_eq!(pair.node.session.last_down().unwrap().to_string(), format!("we ended the session: {words}"));
}

#[test]
fn an_open_that_does_not_fit_is_refused_in_words() {
    let mut no_as4 = CAPABILITIES[..12].to_vec();
    no_as4.extend([2, 0]);
    let cases: Vec<(Vec<u8>, u8, Vec<u8>, &str)> = vec![
        (
            open(3, 64500, 90, [10, 0, 0, 1], &CAPABILITIES),
            1,
            vec![0, 4],
            "OPEN Message Error/Unsupported Version Number (2/1): version 4 is spoken: the neighbour speaks BGP version 3, not 4",
        ),
        (
            open(4, 64501, 90, [10, 0, 0, 1], &[]),
            2,
            vec![],
            "OPEN Message Error/Bad Peer AS (2/2): the neighbour says that it is AS 64501; AS 64500 is expected",
        ),
        (
            open(4, 64500, 90, [10, 0, 0, 1], &[65, 4, 0, 0, 0, 0]),
            2,
            vec![],
            "OPEN Message Error/Bad Peer AS (2/2): the neighbour says that it is AS 0, which is reserved (RFC 7607)",
        ),
        (
            open(4, 23456, 90, [10, 0, 0, 1], &no_as4),
            2,
            vec![],
            "OPEN Message Error/Bad Peer AS (2/2): the neighbour says AS 23456 without its four-octet number; AS 64500 is expected",
        ),
        (
            open(4, 64500, 90, [0, 0, 0, 0], &CAPABILITIES),
            3,
            vec![],
            "OPEN Message Error/Bad BGP Identifier (2/3): the neighbour's BGP Identifier 0.0.0.0 is zero or our own",
        ),
        (
            open(4, 64500, 2, [10, 0, 0, 1], &CAPABILITIES),
            6,
            vec![0, 2],
            "OPEN Message Error/Unacceptable Hold Time (2/6): the neighbour wants a hold time of 2 s; 3 s is the least",
        ),
        (
            open(4, 64500, 0, [10, 0, 0, 1], &CAPABILITIES),
            6,
            vec![0, 0],
            "OPEN Message Error/Unacceptable Hold Time (2/6): the neighbour wants no hold timer, and a frozen node would keep its route for ever",
        ),
        (
            message(1, &[4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, 2, 9, 0]),
            4,
            vec![9],
            "OPEN Message Error/Unsupported Optional Parameter (2/4): the neighbour asks for optional parameter 9, which is not spoken here",
        ),
    ];
    for (octets, subcode, data, words) in cases {
        assert_refused(&node_after(&[octets]), 2, subcode, &data, words);
    }
}

#[test]
fn our_own_identifier_is_refused_within_one_as_only() {
    let ours = open(4, 64500, 90, [10, 0, 0, 2], &CAPABILITIES);
    let pair = node_after(&[ours]);
    assert_eq!(pair.node.session.state(), State::OpenConfirm, "RFC 6286: it need not be unique beyond an AS");
    let mut config = node_config();
    config.local_as = 64500;
    let mut pair = Pair::new(config, router_config());
    pair.wire = Wire::Silent;
    pair.node.step(pair.now, Input::Start);
    pair.node.step(pair.now, Input::Connected);
    pair.settle();
    pair.inject(Side::Node, &open(4, 64500, 90, [10, 0, 0, 2], &CAPABILITIES));
    let words = "OPEN Message Error/Bad BGP Identifier (2/3): the neighbour's BGP Identifier 10.0.0.2 is zero or our own";
    assert_refused(&pair, 2, 3, &[], words);
}

#[test]
fn a_message_that_the_state_does_not_expect_ends_the_session_with_the_subcode_of_the_state() {
    let update = message(2, &[0, 0, 0, 0]);
    let refresh = message(5, &[0, 1, 0, 1]);
    type Messages = Vec<Vec<u8>>;
    let states: [(Messages, u8, &str, Messages); 3] = [
        (vec![], 1, "OpenSent", vec![update.clone(), keepalive(), refresh.clone()]),
        (vec![good_open()], 2, "OpenConfirm", vec![good_open(), update, refresh]),
        (vec![good_open(), keepalive()], 3, "Established", vec![good_open()]),
    ];
    let names = ["", "OPEN", "UPDATE", "NOTIFICATION", "KEEPALIVE", "ROUTE-REFRESH"];
    for (before, subcode, state, unexpected) in states {
        for octets in unexpected {
            let mut pair = node_after(&before);
            assert_eq!(pair.node.session.state().name(), state);
            pair.inject(Side::Node, &octets);
            let name = names[usize::from(octets[18])];
            let words = format!(
                "Finite State Machine Error/Receive Unexpected Message in {state} State (5/{subcode}): {name}: \
                 {name} is not expected in state {state}"
            );
            assert_refused(&pair, 5, subcode, &octets[18..19], &words);
        }
    }
}

#[test]
fn a_header_that_is_wrong_ends_the_session_in_every_state() {
    let mut marker = keepalive();
    marker[3] = 0;
    let mut long = keepalive();
    long[16] = 0x20;
    let mut kind = keepalive();
    kind[18] = 77;
    let cases = [
        (
            marker,
            1,
            vec![],
            "Message Header Error/Connection Not Synchronized (1/1): a message does not begin with sixteen octets of ones; is the peer a BGP speaker?",
        ),
        (
            long,
            2,
            vec![0x20, 19],
            "Message Header Error/Bad Message Length (1/2): length 8211: a message cannot be 8211 octets long",
        ),
        (
            kind,
            3,
            vec![77],
            "Message Header Error/Bad Message Type (1/3): type 77: there is no message type 77",
        ),
    ];
    for before in [vec![], vec![good_open()], vec![good_open(), keepalive()]] {
        for (octets, subcode, data, words) in &cases {
            let mut pair = node_after(&before);
            pair.inject(Side::Node, octets);
            assert_refused(&pair, 1, *subcode, data, words);
        }
    }
}

#[test]
fn an_http_client_is_told_that_this_is_not_its_protocol() {
    let pair = node_after(&[b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n".to_vec()]);
    assert_eq!(pair.node.notification_sent().unwrap().0.subcode, 1);
}

#[test]
fn nothing_behind_a_fatal_message_is_read() {
    let mut pair = node_after(&[good_open(), keepalive()]);
    pair.inject(Side::Node, &[message(77, &[]), message(5, &[0, 1, 0, 1]), message(3, &[6, 2])].concat());
    assert_eq!(pair.node.notification_received(), None);
    assert_eq!(pair.node.causes().len(), 1);
    assert_eq!(pair.node.sent_count(3), 1);
}

#[test]
fn an_update_whose_lengths_do_not_fit_ends_the_session_even_when_routes_are_discarded() {
    for body in [&[0, 5, 0, 0][..], &[0, 0, 0, 1], &[0xff, 0xff, 0xff, 0xff, 1, 2, 3]] {
        let mut pair = node_after(&[good_open(), keepalive()]);
        pair.inject(Side::Node, &message(2, body));
        let words = "UPDATE Message Error/Malformed Attribute List (3/1): the lengths inside an UPDATE exceed the message";
        assert_refused(&pair, 3, 1, &[], words);
    }
}

#[test]
fn broken_attributes_do_not_touch_a_session_that_discards_routes() {
    let mut pair = node_after(&[good_open(), keepalive()]);
    // ORIGIN of value 9, an attribute that runs over, and a prefix of 99 bits.
    pair.inject(Side::Node, &message(2, &[0, 0, 0, 7, 0x40, 1, 1, 9, 0x40, 2, 200, 99, 1]));
    assert_eq!(pair.node.session.state(), State::Established);
}

#[test]
fn a_collector_treats_broken_attributes_as_a_withdrawal_and_says_why() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24")]);
    // The same prefix again, with an ORIGIN of value 9.
    let attributes = [0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 10, 0, 0, 2];
    let mut body = vec![0, 0, 0, 20];
    body.extend(attributes);
    body.extend([24, 192, 0, 2]);
    pair.inject(Side::Router, &message(2, &body));
    assert_eq!(pair.router.session.state(), State::Established);
    assert_eq!(pair.router.changes().last().unwrap(), "withdrawn 192.0.2.0/24");
    let told = pair.router.events.iter().find_map(|e| match e {
        Event::Tolerated(fault) => Some(fault.to_string()),
        _ => None,
    });
    let told = told.unwrap();
    assert!(told.starts_with("an UPDATE counts as a withdrawal (RFC 7606): ORIGIN is malformed"), "{told}");
    assert_eq!(pair.router.session.counters().updates_malformed, 1);
}

#[test]
fn after_any_fault_the_next_session_is_told_everything() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
    pair.inject(Side::Router, &message(77, &[]));
    pair.run(std::time::Duration::from_secs(3));
    assert_eq!(pair.states(), (State::Established, State::Established));
    assert_eq!(pair.router.heard(), prefixes(&["192.0.2.0/24", "2001:db8:53::/48"]));
}

#[test]
fn a_notification_is_never_answered_with_one() {
    for before in [vec![], vec![good_open()], vec![good_open(), keepalive()]] {
        let mut pair = node_after(&before);
        let sent = pair.node.sent.len();
        pair.inject(Side::Node, &message(3, &[6, 2, 200, b'x']));
        assert_eq!(pair.node.sent.len(), sent);
        assert_eq!(
            pair.node.session.last_down().unwrap().to_string(),
            "the neighbour ended the session: Cease/Administrative Shutdown (6/2): text unreadable: its length is \
             not the one that the message says"
        );
    }
}
