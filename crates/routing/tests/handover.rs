//! An established session that another process goes on with: the neighbour hears nothing but a KEEPALIVE.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Pair, Side, Wire, message, node_config, prefixes, route, router_config};
use pharos_routing::Community;
use pharos_routing::bgp::{Event, Farewell, Input, Output, Session, SessionConfig, Snapshot, State};

const SECOND: Duration = Duration::from_secs(1);
const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;

/// A process takes the node's place: by way of text, as one does, and by a clock of its own if `config` says so.
fn change_process(pair: &mut Pair, config: SessionConfig) {
    let snapshot = pair.node.session.snapshot(pair.now).unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    let read: Snapshot = serde_json::from_str(&text).unwrap();
    assert_eq!(read, snapshot);
    pair.node.session = Session::resume(config, read, pair.now).unwrap();
}

fn tagged() -> pharos_routing::Route {
    let mut tagged = route("192.0.2.0/24");
    tagged.prepends = 2;
    tagged.med = Some(7);
    tagged.communities = vec![Community::NO_EXPORT, Community::new(64512, 53)];
    tagged
}

#[test]
fn the_neighbour_of_a_session_that_changes_hands_hears_a_keepalive_and_nothing_else() {
    let mut pair = Pair::established();
    pair.set_routes([tagged(), route("2001:db8:53::/48")]);
    pair.run(100 * SECOND);
    let (sent, events) = (pair.node.sent.len(), pair.router.events.len());
    change_process(&mut pair, node_config());
    assert_eq!(pair.node.session.since(), Duration::ZERO, "it is as old as it was");
    assert_eq!(pair.node.session.adj_rib_out().count(), 2);
    // What the levels ask for is what they asked for before.
    pair.set_routes([tagged(), route("2001:db8:53::/48")]);
    pair.node.step(pair.now, Input::Tick);
    pair.run(100 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    let kinds = pair.node.sent_types().split_off(sent);
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == KEEPALIVE), "{kinds:?}");
    assert_eq!(pair.node.sent[sent].0, 100 * SECOND, "the first at once");
    assert_eq!(pair.router.events.len(), events, "{:?}", &pair.router.events[events..]);
}

#[test]
fn only_what_is_wanted_otherwise_is_told_after_the_change() {
    let mut pair = Pair::established();
    pair.set_routes([tagged(), route("2001:db8:53::/48")]);
    let updates = pair.node.sent_count(UPDATE);
    change_process(&mut pair, node_config());
    pair.set_routes([tagged()]);
    assert_eq!(pair.node.sent_count(UPDATE), updates + 1);
    assert_eq!(pair.router.heard(), prefixes(&["192.0.2.0/24"]));
}

#[test]
fn a_message_whose_first_part_came_before_the_change_is_read_whole() {
    let keepalive = message(KEEPALIVE, &[]);
    for cut in 1..keepalive.len() {
        let mut pair = Pair::established();
        let received = pair.node.session.counters().messages_received;
        pair.inject(Side::Node, &keepalive[..cut]);
        change_process(&mut pair, node_config());
        pair.inject(Side::Node, &keepalive[cut..]);
        assert_eq!(pair.node.session.counters().messages_received, received + 1, "cut after {cut}");
        assert_eq!(pair.node.session.state(), State::Established, "cut after {cut}");
    }
}

#[test]
fn a_neighbour_that_is_silent_after_the_change_has_a_whole_hold_time_and_no_more() {
    let mut pair = Pair::established();
    pair.wire = Wire::Silent;
    pair.run(8 * SECOND);
    change_process(&mut pair, node_config());
    pair.run(8 * SECOND);
    assert_eq!(pair.node.session.state(), State::Established);
    pair.run(2 * SECOND);
    assert_ne!(pair.node.session.state(), State::Established);
    assert!(pair.node.causes()[0].to_string().contains("Hold Timer Expired"));
}

#[test]
fn a_transport_that_took_nothing_before_the_change_is_not_forgiven() {
    let mut pair = Pair::established();
    let config = SessionConfig { send_hold_time: 60 * SECOND, ..node_config() };
    pair.node.step(pair.now, Input::SendBlocked);
    pair.run(50 * SECOND);
    change_process(&mut pair, config);
    assert_eq!(pair.node.session.next_deadline(), Some(pair.now), "the KEEPALIVE is due");
    pair.run(11 * SECOND);
    assert!(pair.node.causes()[0].to_string().contains("Send Hold Timer Expired"));
}

#[test]
fn a_session_that_is_not_established_is_not_handed_over() {
    let mut pair = Pair::new(node_config(), router_config());
    assert_eq!(pair.node.session.snapshot(pair.now), None);
    pair.wire = Wire::Silent;
    pair.start();
    assert_eq!(pair.node.session.snapshot(pair.now), None);
}

#[test]
fn a_neighbour_that_nobody_goes_on_with_is_told_why() {
    for (why, words) in [
        (Farewell::Deconfigured, "Cease/Peer De-configured (6/3)"),
        (Farewell::Reconfigured, "Cease/Other Configuration Change (6/6)"),
    ] {
        let mut pair = Pair::established();
        pair.inject(Side::Router, &Session::farewell(why));
        assert_eq!(pair.router.notification_received().unwrap().to_string(), words);
    }
}

#[test]
fn settings_that_make_no_session_are_refused_as_at_the_start() {
    let pair = Pair::established();
    let snapshot = pair.node.session.snapshot(pair.now).unwrap();
    let config = SessionConfig { hold_time: SECOND, ..node_config() };
    assert!(Session::resume(config, snapshot, pair.now).is_err());
}

#[test]
fn a_session_that_asks_for_our_routes_again_gets_them_from_the_next_process() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24")]);
    change_process(&mut pair, node_config());
    let mut out = Vec::new();
    pair.node.session.step(pair.now, Input::Received(&message(5, &[0, 1, 0, 1])), &mut out);
    let updates = out.iter().filter(|o| matches!(o, Output::Send(octets) if octets[18] == UPDATE)).count();
    assert_eq!(updates, 1, "{out:?}");
    assert!(out.iter().any(|o| matches!(o, Output::Event(Event::RefreshRequested(_)))));
}
