//! Two sessions of ours against each other, in simulated time: how they come up, exchange, fail and come back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{End, Pair, Side, Wire, node_config, open, prefixes, route, router_config, stop};
use pharos_routing::bgp::{
    AsNumbers, Cause, Event, ExtendedNextHop, Input, Output, Peering, PeeringCheck, Received, Role, Session,
    SessionConfig, Shutdown, ShutdownKind, State,
};
use pharos_routing::{Community, Families, Family};

const SECOND: Duration = Duration::from_secs(1);

fn last_notification_words(end: &End) -> String {
    end.notification_received().unwrap().to_string()
}

#[test]
fn two_sessions_establish_through_all_states_and_agree() {
    let pair = Pair::established();
    let up = [State::Connect, State::OpenSent, State::OpenConfirm, State::Established];
    assert_eq!(pair.node.states(), up);
    assert_eq!(
        pair.router.states(),
        [State::Active, State::OpenSent, State::OpenConfirm, State::Established]
    );
    let negotiated = *pair.node.session.negotiated().unwrap();
    assert_eq!((negotiated.peer_as, negotiated.peer_router_id.to_string().as_str()), (64500, "10.0.0.1"));
    assert_eq!(negotiated.hold_time, 9 * SECOND, "the smaller of 9 s and 90 s");
    assert_eq!(pair.router.session.negotiated().unwrap().hold_time, 9 * SECOND);
    assert_eq!((negotiated.families, negotiated.as_numbers), (Families::BOTH, AsNumbers::FourOctet));
}

#[test]
fn a_session_comes_up_whatever_the_transports_chunks_are() {
    for chunk in [1, 2, 18, 19, 20, 50] {
        let mut pair = Pair::new(node_config(), router_config());
        pair.wire = Wire::Up { chunk };
        pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
        pair.start();
        assert_eq!(pair.states(), (State::Established, State::Established), "chunks of {chunk}");
        assert_eq!(pair.router.heard().len(), 2);
    }
}

#[test]
fn routes_set_before_the_session_are_told_at_its_start_and_closed_by_end_of_rib() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
    assert_eq!(pair.node.session.adj_rib_out().count(), 0);
    pair.start();
    assert_eq!(pair.router.heard(), prefixes(&["192.0.2.0/24", "2001:db8:53::/48"]));
    assert_eq!(pair.node.session.adj_rib_out().count(), 2);
    let ends: Vec<_> =
        pair.router.events.iter().filter(|e| matches!(e, Event::EndOfRib(_))).cloned().collect();
    assert_eq!(ends, [Event::EndOfRib(Family::Ipv4), Event::EndOfRib(Family::Ipv6)]);
    assert!(matches!(pair.router.events.last(), Some(Event::EndOfRib(Family::Ipv6))));
}

#[test]
fn a_route_arrives_with_all_that_it_asks_for() {
    let mut pair = Pair::established();
    let mut wanted = route("192.0.2.0/24");
    wanted.prepends = 2;
    wanted.med = Some(70);
    wanted.local_pref = Some(500);
    wanted.communities = vec![Community::NO_EXPORT, Community::new(64512, 53), Community::NO_EXPORT];
    pair.announce(wanted);
    pair.announce(route("2001:db8:53::/48"));
    pair.withdraw("192.0.2.0/24");
    assert_eq!(
        pair.router.changes(),
        [
            "announced 192.0.2.0/24 via 10.0.0.2, AS path 64512 64512 64512, MED 70, communities 64512:53 65535:65281",
            "announced 2001:db8:53::/48 via fd00::2, AS path 64512",
            "withdrawn 192.0.2.0/24",
        ]
    );
}

#[test]
fn an_internal_session_carries_local_preference_and_an_empty_path() {
    let mut node = node_config();
    node.peer_as = 64512;
    let mut router = router_config();
    router.local_as = 64512;
    let mut pair = Pair::new(node, router);
    pair.start();
    let mut wanted = route("192.0.2.0/24");
    wanted.prepends = 3;
    wanted.local_pref = Some(50);
    pair.set_routes([wanted, route("2001:db8:53::/48")]);
    assert_eq!(
        pair.router.changes(),
        [
            "announced 192.0.2.0/24 via 10.0.0.2, AS path (empty), local preference 50",
            "announced 2001:db8:53::/48 via fd00::2, AS path (empty), local preference 100",
        ]
    );
}

#[test]
fn only_the_difference_is_sent() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24"), route("198.51.100.0/24")]);
    let before = pair.node.sent_count(2);
    pair.set_routes([route("198.51.100.0/24"), route("192.0.2.0/24")]);
    assert_eq!(pair.node.sent_count(2), before, "the same routes in another order are no news");
    pair.set_routes([route("198.51.100.0/24")]);
    assert_eq!(pair.node.sent_count(2), before + 1);
    assert_eq!(pair.router.heard(), prefixes(&["198.51.100.0/24"]));
    pair.withdraw("203.0.113.0/24");
    assert_eq!(pair.node.sent_count(2), before + 1, "what was never announced is not withdrawn");
}

#[test]
fn what_comes_and_goes_before_the_session_is_never_told() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.announce(route("192.0.2.0/24"));
    pair.withdraw("192.0.2.0/24");
    pair.announce(route("198.51.100.0/24"));
    pair.announce(route("198.51.100.0/24"));
    pair.start();
    assert_eq!(pair.router.changes(), ["announced 198.51.100.0/24 via 10.0.0.2, AS path 64512"]);
}

#[test]
fn one_route_that_cannot_be_sent_keeps_all_of_its_set_out() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24")]);
    let mut bad = route("198.51.100.0/24");
    bad.prepends = 9;
    let mut out = Vec::new();
    let error = pair.node.session.set_routes(pair.now, [route("203.0.113.0/24"), bad], &mut out).unwrap_err();
    assert_eq!(error.to_string(), "198.51.100.0/24: 9 prepends are more than the 3 that make sense");
    assert!(out.is_empty());
    assert_eq!(pair.node.session.adj_rib_out().count(), 1);
}

#[test]
fn keepalives_hold_the_session_for_ever_and_come_at_a_third_of_the_hold_time() {
    let mut pair = Pair::established();
    pair.run(600 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    let times: Vec<Duration> =
        pair.node.sent.iter().filter(|(_, m)| m[18] == 4).map(|(at, _)| *at).skip(1).collect();
    assert!(times.len() >= 199, "{} in 600 s", times.len());
    for gap in times.windows(2).map(|w| w[1] - w[0]) {
        assert!(gap <= 3 * SECOND && gap >= 3 * SECOND * 3 / 4, "{gap:?}");
    }
}

#[test]
fn an_update_counts_as_a_sign_of_life_and_puts_the_keepalive_off() {
    let mut pair = Pair::established();
    let deadline = pair.node.session.next_deadline().unwrap();
    pair.run(2 * SECOND);
    pair.announce(route("192.0.2.0/24"));
    assert!(pair.node.session.next_deadline().unwrap() > deadline);
}

#[test]
fn a_silent_neighbour_is_given_up_when_the_hold_time_has_passed() {
    let mut pair = Pair::established();
    pair.wire = Wire::Silent;
    pair.run(8 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    pair.run(SECOND);
    assert_ne!(pair.node.session.state(), State::Established);
    let (notification, detail) = pair.node.notification_sent().unwrap();
    assert_eq!(
        (notification.to_string().as_str(), detail),
        ("Hold Timer Expired (4/0)", "the neighbour was silent for 9s")
    );
    assert_eq!(pair.node.session.adj_rib_out().count(), 0);
    assert_eq!(pair.router.session.state(), State::Active, "the router gives the node up just so");
}

#[test]
fn a_hold_time_of_zero_on_both_sides_watches_nothing() {
    let mut node = node_config();
    node.hold_time = Duration::ZERO;
    let mut router = router_config();
    router.hold_time = Duration::ZERO;
    let mut pair = Pair::new(node, router);
    pair.start();
    assert_eq!(pair.node.session.next_deadline(), None);
    pair.wire = Wire::Silent;
    pair.run(100_000 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
}

#[test]
fn the_shutdown_text_arrives_as_it_was_written() {
    let mut pair = Pair::established();
    let text = "Wartung in Köln bis 04:00, Grüße — noc@example.net ☎";
    pair.node.step(pair.now, stop(text));
    pair.settle();
    assert_eq!(pair.router.notification_received().unwrap().shutdown_text(), Ok(Some(text)));
    assert_eq!(
        pair.router.causes()[0].to_string(),
        format!(
            "the neighbour ended the session: Cease/Administrative Shutdown (6/2): \u{201c}{text}\u{201d}"
        )
    );
    assert_eq!(pair.node.session.state(), State::Idle);
    assert_eq!(pair.node.session.next_deadline(), None, "a stopped session makes no attempt");
    pair.run(1000 * SECOND);
    assert_eq!(pair.node.attempts.len(), 1);
}

#[test]
fn a_stop_in_any_state_leads_to_rest_and_a_start_leads_back() {
    let start = || Pair::new(node_config(), router_config());
    let mut pairs = vec![start(), Pair::established()];
    let mut connecting = start();
    connecting.wire = Wire::Silent;
    connecting.start();
    let mut paused = start();
    paused.wire = Wire::Refusing;
    paused.start();
    pairs.extend([connecting, paused]);
    let states: Vec<State> = pairs.iter().map(|p| p.node.session.state()).collect();
    assert_eq!(states, [State::Idle, State::Established, State::Connect, State::Idle]);
    for mut pair in pairs {
        pair.node.step(pair.now, stop("done"));
        pair.settle();
        assert_eq!((pair.node.session.state(), pair.node.session.next_deadline()), (State::Idle, None));
        pair.wire = Wire::Up { chunk: 7 };
        pair.start();
        assert_eq!(pair.states(), (State::Established, State::Established));
    }
}

#[test]
fn all_routes_are_told_again_after_a_reconnect() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
    pair.cut();
    assert_eq!(pair.router.heard(), []);
    assert_eq!(pair.node.session.adj_rib_out().count(), 0);
    pair.withdraw("192.0.2.0/24");
    pair.announce(route("198.51.100.0/24"));
    pair.run(2 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    assert_eq!(pair.router.heard(), prefixes(&["198.51.100.0/24", "2001:db8:53::/48"]));
}

#[test]
fn pauses_grow_with_each_failure_and_shrink_after_a_session_that_held() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.wire = Wire::Refusing;
    pair.start();
    pair.run(200 * SECOND);
    let gaps: Vec<Duration> = pair.node.attempts.windows(2).map(|w| w[1] - w[0]).collect();
    for (gap, full) in gaps.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        assert!(*gap <= full * SECOND && *gap >= full * SECOND * 3 / 4, "{gaps:?}");
    }
    assert!(gaps.len() >= 8, "{gaps:?}");

    pair.wire = Wire::Up { chunk: usize::MAX };
    pair.run(31 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    pair.cut();
    let pause = pair.node.session.next_attempt().unwrap() - pair.now;
    assert!(pause > 20 * SECOND, "a session that did not hold for a minute counts as a failure: {pause:?}");
    pair.run(200 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
    pair.cut();
    let pause = pair.node.session.next_attempt().unwrap() - pair.now;
    assert!(pause <= SECOND, "{pause:?}");
}

#[test]
fn an_attempt_that_nobody_answers_is_given_up() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.wire = Wire::Silent;
    pair.start();
    pair.run(5 * SECOND);
    assert_eq!(pair.node.causes(), [&Cause::ConnectTimedOut(5 * SECOND)]);
    assert_eq!(pair.node.causes()[0].to_string(), "the neighbour did not accept a connection within 5s");
}

#[test]
fn a_neighbour_that_accepts_and_says_nothing_is_given_up() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.router.step(pair.now, Input::Start);
    pair.node.step(pair.now, Input::Start);
    pair.wire = Wire::Silent;
    let mut out = Vec::new();
    pair.node.session.step(pair.now, Input::Connected, &mut out);
    pair.run(239 * SECOND);
    assert_eq!(pair.node.session.state(), State::OpenSent);
    pair.run(SECOND);
    let (notification, detail) = pair.node.notification_sent().unwrap();
    assert_eq!((notification.code, detail), (4, "the neighbour has sent no OPEN within 240s"));
}

#[test]
fn a_neighbour_without_ipv6_gets_only_ipv4() {
    let mut router = router_config();
    router.families = Families::IPV4;
    let mut pair = Pair::new(node_config(), router);
    pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
    pair.start();
    assert_eq!(pair.node.session.negotiated().unwrap().families, Families::IPV4);
    assert_eq!(pair.router.heard(), prefixes(&["192.0.2.0/24"]));
    let told: Vec<String> = pair.node.session.adj_rib_out().map(|r| r.prefix.to_string()).collect();
    assert_eq!(told, ["192.0.2.0/24"], "the adj-RIB-out does not claim what was not said");
    assert_eq!(pair.node.session.wanted_routes().count(), 2);
}

#[test]
fn no_common_family_means_no_session_and_says_which_one_is_needed() {
    let mut router = router_config();
    router.families = Families::IPV4;
    let mut node = node_config();
    node.families = Families::IPV6;
    let mut pair = Pair::new(node, router);
    pair.start();
    let (notification, detail) = pair.node.notification_sent().unwrap();
    assert_eq!((notification.code, notification.subcode), (2, 7));
    assert_eq!(notification.data, [1, 4, 0, 2, 0, 1]);
    assert_eq!(detail, "we offer IPv6 unicast, the neighbour IPv4 unicast");
    assert_eq!(
        notification.to_string(),
        "OPEN Message Error/Unsupported Capability (2/7): capability Multiprotocol Extensions"
    );
    let (theirs, detail) = pair.router.notification_sent().unwrap();
    assert_eq!((theirs.subcode, detail), (7, "we offer IPv4 unicast, the neighbour IPv6 unicast"));
}

#[test]
fn four_octet_as_numbers_are_exchanged() {
    let mut node = node_config();
    node.local_as = 4_200_000_001;
    let mut router = router_config();
    router.peer_as = 4_200_000_001;
    let mut pair = Pair::new(node, router);
    pair.set_routes([route("192.0.2.0/24")]);
    pair.start();
    assert_eq!(pair.router.changes(), ["announced 192.0.2.0/24 via 10.0.0.2, AS path 4200000001"]);
}

#[test]
fn an_old_speaker_hears_as_trans_and_its_routes_carry_the_true_path_beside_it() {
    // The node of a large AS, and a neighbour by hand that does not offer capability 65.
    let mut config = node_config();
    config.local_as = 4_200_000_001;
    let mut pair = Pair::new(config, router_config());
    pair.wire = Wire::Silent;
    let mut wanted = route("192.0.2.0/24");
    wanted.prepends = 1;
    pair.set_routes([wanted]);
    pair.node.step(pair.now, Input::Start);
    pair.node.step(pair.now, Input::Connected);
    pair.settle();
    pair.inject(Side::Node, &open(4, 64500, 90, [10, 0, 0, 1], &[]));
    pair.inject(Side::Node, &common::message(4, &[]));
    assert_eq!(pair.node.session.negotiated().unwrap().as_numbers, AsNumbers::TwoOctet);
    let open = &pair.node.sent[0].1;
    assert_eq!(open[20..22], 23456_u16.to_be_bytes());
    let update = &pair.node.sent.iter().find(|(_, m)| m[18] == 2).unwrap().1;
    let holds = |part: &[u8]| update.windows(part.len()).any(|w| w == part);
    assert!(holds(&[0x40, 2, 6, 2, 2, 0x5b, 0xa0, 0x5b, 0xa0]), "AS_PATH of two times AS_TRANS");
    assert!(holds(&[0xc0, 17, 10, 2, 2, 0xfa, 0x56, 0xea, 1, 0xfa, 0x56, 0xea, 1]), "AS4_PATH");
}

#[test]
fn a_route_refresh_is_answered_with_that_familys_routes_once_per_chunk() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24"), route("2001:db8:53::/48")]);
    let before = pair.node.sent_count(2);
    let refresh = common::message(5, &[0, 2, 0, 1]);
    pair.inject(Side::Node, &refresh.repeat(50));
    assert_eq!(pair.node.sent_count(2), before + 1);
    assert_eq!(
        pair.router.changes().last().unwrap(),
        "announced 2001:db8:53::/48 via fd00::2, AS path 64512"
    );
    assert!(pair.node.events.contains(&Event::RefreshRequested(Family::Ipv6)));
    pair.inject(Side::Node, &common::message(5, &[0, 25, 0, 65]));
    assert_eq!(pair.node.sent_count(2), before + 1);
    assert_eq!(pair.node.session.state(), State::Established);
}

#[test]
fn a_neighbour_that_asks_but_does_not_read_makes_nothing_grow() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24")]);
    pair.node.step(pair.now, Input::SendBlocked);
    let before = pair.node.sent.len();
    for _ in 0..1000 {
        pair.inject(Side::Node, &common::message(5, &[0, 1, 0, 1]));
    }
    assert_eq!(pair.node.sent.len(), before);
    pair.node.step(pair.now, Input::SendProgress);
    pair.settle();
    let sent: Vec<u8> = pair.node.sent_types().split_off(before);
    assert_eq!(sent, [5, 2, 5], "one refresh between its marks (RFC 7313 §4.1)");
}

#[test]
fn a_repetition_stands_between_marks_where_both_speak_rfc_7313_and_bare_where_not() {
    let mut pair = Pair::established();
    pair.set_routes([route("192.0.2.0/24")]);
    pair.node.sent.clear();
    pair.inject(Side::Node, &common::message(5, &[0, 1, 0, 1]));
    let bodies: Vec<&[u8]> = pair.node.sent.iter().map(|(_, message)| &message[18..]).collect();
    assert_eq!((bodies[0], bodies[2]), (&[5, 0, 1, 1, 1][..], &[5, 0, 1, 2, 1][..]));
    assert_eq!(pair.router.changes().len(), 2, "the marks are no news at the other end");

    let mut old = Session::new(node_config(), Duration::ZERO).unwrap();
    let mut out = Vec::new();
    old.set_routes(Duration::ZERO, [route("192.0.2.0/24")], &mut out).unwrap();
    let open = common::open(4, 64500, 90, [10, 0, 0, 1], &[1, 4, 0, 1, 0, 1, 2, 0]);
    let (keepalive, refresh) = (common::message(4, &[]), common::message(5, &[0, 1, 0, 1]));
    for input in [Input::Start, Input::Connected, Input::Received(&open), Input::Received(&keepalive)] {
        old.step(Duration::ZERO, input, &mut out);
    }
    out.clear();
    old.step(Duration::ZERO, Input::Received(&refresh), &mut out);
    let sent: Vec<u8> = out
        .iter()
        .filter_map(|output| match output {
            Output::Send(message) => Some(message[18]),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [2]);
}

#[test]
fn an_ipv6_next_hop_for_ipv4_is_told_only_where_both_offer_it() {
    let over_ipv6 = || {
        let mut route = route("192.0.2.0/24");
        route.next_hop = "fd00::2".parse().unwrap();
        route
    };
    let extended = |mut config: SessionConfig| {
        config.extended_next_hop = ExtendedNextHop::Offered;
        config
    };
    let mut pair = Pair::new(extended(node_config()), extended(router_config()));
    pair.set_routes([over_ipv6()]);
    pair.start();
    assert_eq!(pair.router.changes(), ["announced 192.0.2.0/24 via fd00::2, AS path 64512"]);
    pair.withdraw("192.0.2.0/24");
    assert_eq!(pair.router.heard(), []);

    let mut pair = Pair::new(extended(node_config()), router_config());
    pair.set_routes([over_ipv6(), route("198.51.100.0/24")]);
    pair.start();
    assert_eq!(pair.router.changes(), ["announced 198.51.100.0/24 via 10.0.0.2, AS path 64512"]);
    assert_eq!(pair.node.session.adj_rib_out().count(), 1, "what was kept back was not told");
}

#[test]
fn roles_that_fit_are_agreed_on_and_mark_routes_for_customers() {
    let with = |mut config: SessionConfig, peering| {
        config.peering = Some(peering);
        config.peering_check = PeeringCheck::Strict;
        config
    };
    let mut pair =
        Pair::new(with(node_config(), Peering::Provider), with(router_config(), Peering::Customer));
    pair.set_routes([route("192.0.2.0/24")]);
    pair.start();
    assert_eq!(pair.node.session.negotiated().unwrap().peer_role, Some(Peering::Customer));
    let words = "announced 192.0.2.0/24 via 10.0.0.2, AS path 64512, only to customers says AS 64512";
    assert_eq!(pair.router.changes(), [words]);

    let mut pair =
        Pair::new(with(node_config(), Peering::Customer), with(router_config(), Peering::Provider));
    pair.set_routes([route("192.0.2.0/24")]);
    pair.start();
    assert_eq!(pair.router.changes(), ["announced 192.0.2.0/24 via 10.0.0.2, AS path 64512"]);
}

#[test]
fn roles_that_do_not_fit_end_the_session_and_a_silent_neighbour_only_in_strict_mode() {
    let with = |mut config: SessionConfig, peering, check| {
        (config.peering, config.peering_check) = (Some(peering), check);
        config
    };
    let mut pair = Pair::new(
        with(node_config(), Peering::Customer, PeeringCheck::Lenient),
        with(router_config(), Peering::Customer, PeeringCheck::Lenient),
    );
    pair.start();
    let refused = pair.node.notification_sent().or(pair.router.notification_sent()).unwrap();
    assert_eq!(refused.0.to_string(), "OPEN Message Error/Role Mismatch (2/11)");
    assert_eq!(refused.1, "we are customer, so the neighbour must be provider, and says that it is customer");

    let lenient = with(node_config(), Peering::Customer, PeeringCheck::Lenient);
    let mut pair = Pair::new(lenient, router_config());
    pair.start();
    assert_eq!(pair.states(), (State::Established, State::Established));

    let strict = with(node_config(), Peering::Customer, PeeringCheck::Strict);
    let mut pair = Pair::new(strict, router_config());
    pair.start();
    let (notification, detail) = pair.node.notification_sent().unwrap();
    assert_eq!((notification.code, notification.subcode), (2, 11));
    assert_eq!(detail, "the neighbour says no BGP role; provider is expected");
}

#[test]
fn a_dead_path_ends_the_session_as_bfd_says_it() {
    let mut pair = Pair::established();
    pair.node.step(pair.now, Input::PathDown { why: "BFD: nothing was heard for 900ms" });
    pair.settle();
    assert_eq!(last_notification_words(&pair.router), "Cease/BFD Down (6/10)");
    let why = "we ended the session: Cease/BFD Down (6/10): BFD: nothing was heard for 900ms";
    assert_eq!(pair.node.session.last_down().unwrap().to_string(), why);
    pair.run(10 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established), "it comes back by itself");
}

#[test]
fn what_is_wrong_with_routes_that_nobody_uses_is_counted_and_ends_nothing() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.start();
    let broken: [&[u8]; 4] = [
        &[0, 0, 0, 4, 0x40, 1, 1, 9, 24, 192, 0, 2], // ORIGIN 9
        &[0, 0, 0, 0, 24, 192, 0, 2],                // no attributes at all
        &[0, 0, 0, 0, 33, 192, 0, 2, 0, 0],          // a prefix of 33 bits
        &[0, 0, 0, 3, 0x40, 1, 9],                   // an attribute that runs past the end
    ];
    for body in broken {
        pair.inject(Side::Node, &common::message(2, body));
    }
    assert_eq!(pair.states(), (State::Established, State::Established));
    assert_eq!(pair.node.session.counters().updates_malformed, 3);
    let words: Vec<String> = pair
        .node
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Tolerated(fault) => Some(fault.to_string()),
            _ => None,
        })
        .collect();
    assert!(words[2].starts_with("an UPDATE cannot be read, and its routes are not used"), "{words:?}");
    // Our own AS in the path of a route that comes back is the router's right.
    let ours =
        [0, 0, 0, 20, 0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0, 0x40, 3, 4, 10, 0, 0, 1, 24, 192, 0, 2];
    pair.inject(Side::Node, &common::message(2, &ours));
    assert_eq!(pair.node.session.counters().updates_malformed, 3);
}

#[test]
fn of_a_full_table_that_nobody_uses_a_hundred_updates_a_second_are_read() {
    let mut pair = Pair::new(node_config(), router_config());
    pair.start();
    let broken = common::message(2, &[0, 0, 0, 4, 0x40, 1, 1, 9, 24, 192, 0, 2]);
    let flood = broken.repeat(1000);
    // The router's End-of-RIB markers are of the second before.
    pair.now += SECOND;
    pair.inject(Side::Node, &flood);
    let counters = pair.node.session.counters();
    assert_eq!((counters.updates_malformed, counters.updates_unread), (100, 900));
    let tolerated = pair.node.events.iter().filter(|event| matches!(event, Event::Tolerated(_))).count();
    assert_eq!(tolerated, 100);
    pair.now += SECOND;
    pair.inject(Side::Node, &broken);
    assert_eq!(pair.node.session.counters().updates_malformed, 101, "a second later they are read again");
    pair.inject(Side::Node, &flood);
    assert_eq!(pair.states(), (State::Established, State::Established));
    // Lengths that exceed the message are looked at all the same.
    pair.inject(Side::Node, &common::message(2, &[0, 9, 0, 0]));
    assert_eq!(
        pair.node.notification_sent().unwrap().0.to_string(),
        "UPDATE Message Error/Malformed Attribute List (3/1)"
    );
}

#[test]
fn a_neighbour_that_takes_nothing_for_the_send_hold_time_is_given_up() {
    let mut pair = Pair::established();
    let keep_alive = common::message(4, &[]);
    pair.wire = Wire::Silent;
    pair.node.step(pair.now, Input::SendBlocked);
    for _ in 0..479 {
        pair.run(SECOND);
        pair.inject(Side::Node, &keep_alive);
        pair.node.step(pair.now, Input::SendBlocked);
    }
    assert_eq!(pair.node.session.state(), State::Established);
    pair.run(SECOND);
    let (notification, detail) = pair.node.notification_sent().unwrap();
    assert_eq!(notification.to_string(), "Send Hold Timer Expired (8/0)");
    assert_eq!(detail, "the neighbour has taken nothing for 480s");
    assert_eq!(pair.node.session.state(), State::Idle);
}

#[test]
fn progress_in_sending_restarts_the_send_hold_timer() {
    let mut pair = Pair::established();
    pair.node.step(pair.now, Input::SendBlocked);
    pair.run(400 * SECOND);
    pair.node.step(pair.now, Input::SendProgress);
    pair.node.step(pair.now, Input::SendBlocked);
    pair.run(400 * SECOND);
    assert_eq!(pair.states(), (State::Established, State::Established));
}

#[test]
fn a_passive_session_waits_again_after_a_failure_and_takes_one_connection_at_a_time() {
    let mut pair = Pair::established();
    assert!(!pair.router.session.accepts_connection());
    pair.router.step(pair.now, Input::Connected);
    pair.settle();
    assert_eq!(
        pair.states(),
        (State::Established, State::Established),
        "a second connection changes nothing"
    );
    assert_eq!(pair.router.session.counters().inputs_ignored, 1);
    pair.cut();
    assert!(pair.router.session.accepts_connection());
    assert_eq!(Session::rejection()[16..], [0, 21, 3, 6, 5]);
}

/// A passive session of the node, with the connection that its router has opened.
fn connected_to() -> Session {
    let mut config = node_config();
    config.role = Role::Passive;
    let mut session = Session::new(config, Duration::ZERO).unwrap();
    for input in [Input::Start, Input::Connected] {
        session.step(Duration::ZERO, input, &mut Vec::new());
    }
    assert_eq!(session.state(), State::OpenSent);
    session
}

/// The router's OPEN and KEEPALIVE.
fn router_says() -> [Vec<u8>; 2] {
    let pair = Pair::established();
    [1, 4].map(|kind| {
        let mut sent = pair.router.sent.iter().map(|(_, message)| message);
        sent.find(|message| message[18] == kind).unwrap().clone()
    })
}

fn sent(out: &[Output]) -> Vec<&[u8]> {
    let mut sent = Vec::new();
    for output in out {
        if let Output::Send(octets) = output {
            sent.push(&octets[18..]);
        }
    }
    sent
}

#[test]
fn a_connection_without_a_session_gives_way_to_a_newer_one_of_the_neighbour() {
    let [open, keepalive] = router_says();
    for has_opened in [false, true] {
        let mut session = connected_to();
        if has_opened {
            session.step(SECOND, Input::Received(&open), &mut Vec::new());
            assert_eq!(session.state(), State::OpenConfirm);
        }
        assert!(session.yields_connection() && !session.accepts_connection());
        let mut out = Vec::new();
        session.step(2 * SECOND, Input::Superseded, &mut out);
        // RFC 4486 §4: Cease/Connection Collision Resolution.
        assert_eq!(sent(&out), [[3, 6, 7]]);
        assert!(out.contains(&Output::Close));
        assert!(session.accepts_connection() && !session.yields_connection());
        out.clear();
        session.step(2 * SECOND, Input::Connected, &mut out);
        assert_eq!(sent(&out)[0][0], 1, "OPEN");
        for message in [&open, &keepalive] {
            session.step(3 * SECOND, Input::Received(message), &mut out);
        }
        assert_eq!(session.state(), State::Established);
    }
}

#[test]
fn what_had_come_on_the_connection_before_is_no_part_of_the_newer_one() {
    let [open, _] = router_says();
    let mut session = connected_to();
    let mut out = Vec::new();
    session.step(SECOND, Input::Received(&open[..25]), &mut out);
    for input in [Input::Superseded, Input::Connected, Input::Received(&open)] {
        session.step(2 * SECOND, input, &mut out);
    }
    assert_eq!(session.state(), State::OpenConfirm);
}

#[test]
fn an_established_session_and_one_that_connects_itself_give_way_to_nobody() {
    let mut pair = Pair::established();
    let ignored = pair.router.session.counters().inputs_ignored;
    assert!(!pair.router.session.yields_connection() && !pair.node.session.yields_connection());
    pair.router.step(pair.now, Input::Superseded);
    pair.settle();
    assert_eq!(pair.states(), (State::Established, State::Established));
    assert_eq!(pair.router.session.counters().inputs_ignored, ignored + 1);

    let mut active = Session::new(node_config(), Duration::ZERO).unwrap();
    for input in [Input::Start, Input::Connected, Input::Superseded] {
        active.step(SECOND, input, &mut Vec::new());
        assert!(!active.yields_connection());
    }
    assert_eq!(active.state(), State::OpenSent);
}

#[test]
fn a_connection_that_nobody_wants_is_closed() {
    let mut session = Session::new(node_config(), Duration::ZERO).unwrap();
    let mut out = Vec::new();
    session.step(SECOND, Input::Connected, &mut out);
    assert_eq!(out, [Output::Close]);
    assert_eq!(session.state(), State::Idle);
}

#[test]
fn time_that_goes_backwards_moves_nothing() {
    let mut pair = Pair::established();
    pair.run(100 * SECOND);
    let deadline = pair.node.session.next_deadline();
    let mut out = Vec::new();
    pair.node.session.step(Duration::ZERO, Input::Tick, &mut out);
    assert!(out.is_empty());
    assert_eq!(pair.node.session.next_deadline(), deadline);
}

#[test]
fn two_collectors_may_announce_to_each_other() {
    let mut node = node_config();
    node.received = Received::Report;
    let mut pair = Pair::new(node, router_config());
    let mut out = Vec::new();
    let mut back = route("203.0.113.0/24");
    back.next_hop = "10.0.0.1".parse().unwrap();
    pair.router.session.announce(pair.now, back, &mut out).unwrap();
    pair.set_routes([route("192.0.2.0/24")]);
    pair.start();
    assert_eq!(pair.node.changes(), ["announced 203.0.113.0/24 via 10.0.0.1, AS path 64500"]);
    assert_eq!(pair.router.changes(), ["announced 192.0.2.0/24 via 10.0.0.2, AS path 64512"]);
}

#[test]
fn a_node_that_discards_reports_no_route() {
    let mut pair = Pair::new(node_config(), router_config());
    let mut out = Vec::new();
    let mut back = route("203.0.113.0/24");
    back.next_hop = "10.0.0.1".parse().unwrap();
    pair.router.session.announce(pair.now, back, &mut out).unwrap();
    pair.start();
    assert_eq!(pair.node.changes(), Vec::<String>::new());
    assert_eq!(pair.node.session.counters().updates_received, 3);
}

#[test]
fn a_reset_and_a_deconfiguration_are_told_as_such() {
    for (kind, words) in [
        (ShutdownKind::Reset, "Cease/Administrative Reset (6/4): \u{201c}new settings\u{201d}"),
        (ShutdownKind::Deconfigured, "Cease/Peer De-configured (6/3)"),
    ] {
        let mut pair = Pair::established();
        pair.node.step(pair.now, Input::Stop(Shutdown::new(kind, "new settings")));
        pair.settle();
        assert_eq!(last_notification_words(&pair.router), words);
    }
}

#[test]
fn settings_that_make_no_session_are_refused() {
    let mut config = node_config();
    config.role = Role::Passive;
    config.hold_time = SECOND;
    assert_eq!(
        Session::new(config, Duration::ZERO).unwrap_err().to_string(),
        "a hold time of 1s is not possible: whole seconds from 3 to 65535, or 0 for none"
    );
}
