//! Two POPs with BIRD routers, a transit network and a client: what a failure does to the route and the client.
//!
//! Each test builds its own lab (see `pharos_tests::lab`). Times are printed, none is judged.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use pharos_tests::lab::{
    ANYCAST4, ANYCAST6, Client, Node, PREFIX4, PREFIX6, Pop, RESPONDER_HTTP, RouterKind, Topology, Transport,
    observe, print_time, wait_until,
};
use rustix::process::Signal;
use std::time::Instant;

/// Starts both nodes and waits until all routers have both routes and the client is answered.
fn light(topology: &Topology) -> (Node, Node) {
    let start = Instant::now();
    let mut nodes = [&topology.ams, &topology.fra].map(|pop| topology.make_node(pop));
    for node in &mut nodes {
        node.start_responder();
        node.start_sidecar();
    }
    for prefix in [PREFIX4, PREFIX6] {
        for pop in [&topology.ams, &topology.fra] {
            wait_until("each POP's router has both routes", || {
                nodes.iter_mut().for_each(|node| {
                    node.responder().assert_running();
                    node.sidecar().assert_running();
                });
                pop.has_route(prefix)
            });
        }
        wait_until("the transit network has both routes", || topology.transit.has(prefix));
    }
    let [ams, fra] = nodes;
    for address in [ANYCAST4, ANYCAST6] {
        topology.client().ask_until_answered_by(address, Transport::Udp, "example.com.", ams.nsid());
    }
    print_time("start of the nodes -> client is answered over both families", start.elapsed());
    (ams, fra)
}

/// What the changes of a node are that came up and had no trouble since, in any order.
fn only_came_up(node: &Node) -> bool {
    let mut transitions = node.transitions();
    transitions.sort();
    transitions == [PREFIX4, PREFIX6].map(|prefix| format!("{prefix}: withdrawn -> normal"))
}

#[test]
#[ignore = "needs network namespaces and BIRD"]
fn the_client_resolves_over_each_transport_and_family() {
    let topology = Topology::new(RouterKind::Bird);
    let (ams, fra) = light(&topology);
    let client = topology.client();
    for address in [ANYCAST4, ANYCAST6] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let ask = |qname, qtype| client.ask(address, transport, qname, qtype).expect("an answer");

            let answer = ask("www.example.com.", RecordType::A);
            assert_eq!(answer.rcode(), ResponseCode::NoError);
            assert!(answer.message.metadata.authoritative);
            assert_eq!(answer.data(RecordType::A), ["192.0.2.80", "198.51.100.80"]);
            assert_eq!(answer.nsid.as_deref(), Some(ams.nsid()), "the transit network prefers ams");

            let missing = ask("missing.example.com.", RecordType::A);
            assert_eq!(missing.rcode(), ResponseCode::NXDomain);
            let wildcard = ask("anybody.users.example.com.", RecordType::A);
            assert_eq!(wildcard.data(RecordType::A), ["203.0.113.80"]);
            let referral = ask("www.amber-books.example.", RecordType::A);
            assert!(!referral.message.metadata.authoritative, "a referral has no AA");
            assert_eq!(referral.message.authorities.len(), 2);
            let reverse = ask("53.2.0.192.in-addr.arpa.", RecordType::PTR);
            assert_eq!(reverse.data(RecordType::PTR), ["ns1.example.com."]);
            let refused = ask("example.net.", RecordType::A);
            assert_eq!(refused.rcode(), ResponseCode::Refused);
        }
    }
    assert!(only_came_up(&ams) && only_came_up(&fra));
}

#[test]
#[ignore = "needs network namespaces and BIRD"]
fn the_level_of_a_route_becomes_the_routers_preference() {
    let topology = Topology::new(RouterKind::Bird);
    let (ams, _fra) = light(&topology);
    for prefix in [PREFIX4, PREFIX6] {
        let route = topology.ams.bird_route(prefix).expect("the node announces it");
        assert_eq!(route.as_path, [64512]);
        assert!(route.communities.contains(&"64512:53".to_owned()), "{route:?}: that of site.yaml");
        assert!(route.communities.contains(&"64512:100".to_owned()), "{route:?}: that of the level");
        assert_eq!(route.local_preference, 100);
    }

    let since = Instant::now();
    let output = ams.pharos(&["drain", "--text", "the lab tries it"]);
    assert!(output.status.success(), "{output:?}");
    observe(
        since,
        &mut [
            ("`pharos drain` -> the router's preference is 0, IPv4", &mut || {
                topology.ams.local_preference(PREFIX4) == Some(0)
            }),
            ("`pharos drain` -> the router's preference is 0, IPv6", &mut || {
                topology.ams.local_preference(PREFIX6) == Some(0)
            }),
        ],
    );
    let route = topology.ams.bird_route(PREFIX4).expect("a draining node is still announced");
    for community in ["64512:103", "65535:0", "64512:53"] {
        assert!(route.communities.contains(&community.to_owned()), "{route:?}");
    }
    let beyond = topology.transit.route(PREFIX4).expect("the other POP's or this one's");
    assert!(
        !beyond.communities.iter().any(|c| c.starts_with("64512:")),
        "{beyond:?}: the level stays at home"
    );

    let since = Instant::now();
    let output = ams.pharos(&["undrain"]);
    assert!(output.status.success(), "{output:?}");
    observe(
        since,
        &mut [("`pharos undrain` -> the router's preference is back", &mut || {
            topology.ams.local_preference(PREFIX4) == Some(100)
        })],
    );
}

#[test]
#[ignore = "needs network namespaces and BIRD"]
fn a_killed_responder_loses_its_routes_and_earns_them_back() {
    let topology = Topology::new(RouterKind::Bird);
    let (mut ams, fra) = light(&topology);
    let client = topology.client();
    let (watch4, watch6) = (client.watch(ANYCAST4, "example.com."), client.watch(ANYCAST6, "example.com."));

    let killed = ams.responder().kill();
    observe(
        killed,
        &mut [
            ("kill -9 responder -> sidecar withdraws IPv4", &mut || {
                ams.level(PREFIX4).as_deref() == Some("withdrawn")
            }),
            ("kill -9 responder -> IPv4 route gone at the router", &mut || !topology.ams.has_route(PREFIX4)),
            ("kill -9 responder -> IPv6 route gone at the router", &mut || !topology.ams.has_route(PREFIX6)),
        ],
    );
    print_time("kill -9 responder -> client reaches the other POP, IPv4", watch4.reached(fra.nsid(), killed));
    print_time("kill -9 responder -> client reaches the other POP, IPv6", watch6.reached(fra.nsid(), killed));
    let (lost, sent) = watch4.lost(killed);
    println!("    queries of the IPv4 client lost on the way: {lost} of {sent}");
    client.ask_until_answered_by(ANYCAST4, Transport::Tcp, "example.com.", fra.nsid());

    let restarted = Instant::now();
    ams.start_responder();
    observe(
        restarted,
        &mut [
            ("start responder -> it answers", &mut || ams.http(RESPONDER_HTTP, "/readyz").is_ok()),
            ("start responder -> IPv4 route back at the router", &mut || topology.ams.has_route(PREFIX4)),
            ("start responder -> IPv6 route back at the router", &mut || topology.ams.has_route(PREFIX6)),
        ],
    );
    print_time("start responder -> client is back, IPv4", watch4.reached(ams.nsid(), restarted));
    print_time("start responder -> client is back, IPv6", watch6.reached(ams.nsid(), restarted));
    let (lost, sent) = watch4.lost(restarted);
    println!("    queries of the IPv4 client lost on the way back: {lost} of {sent}");
    assert!(only_came_up(&fra), "the other POP saw nothing of it: {:?}", fra.transitions());
}

#[test]
#[ignore = "needs network namespaces and BIRD"]
fn a_killed_sidecar_loses_its_routes_at_once() {
    let topology = Topology::new(RouterKind::Bird);
    let (mut ams, fra) = light(&topology);
    let client = topology.client();
    let watch = client.watch(ANYCAST4, "example.com.");

    let killed = ams.sidecar().kill();
    observe(
        killed,
        &mut [
            ("kill -9 sidecar -> IPv4 route gone at the router", &mut || !topology.ams.has_route(PREFIX4)),
            ("kill -9 sidecar -> IPv6 route gone at the router", &mut || !topology.ams.has_route(PREFIX6)),
        ],
    );
    print_time("kill -9 sidecar -> client reaches the other POP", watch.reached(fra.nsid(), killed));
    let (lost, sent) = watch.lost(killed);
    println!("    queries of the client lost on the way: {lost} of {sent}");
    ams.responder().assert_running();
    let local = Client::new(topology.ams.machine());
    local.ask_until_answered_by(ANYCAST4, Transport::Udp, "example.com.", ams.nsid());

    let restarted = Instant::now();
    ams.start_sidecar();
    observe(
        restarted,
        &mut [("start sidecar -> IPv4 route back at the router", &mut || topology.ams.has_route(PREFIX4))],
    );
    print_time("start sidecar -> client is back", watch.reached(ams.nsid(), restarted));
    assert!(only_came_up(&fra), "the other POP saw nothing of it: {:?}", fra.transitions());
}

#[test]
#[ignore = "needs network namespaces and BIRD"]
fn a_broken_push_everywhere_changes_no_answer_and_no_route() {
    let topology = Topology::new(RouterKind::Bird);
    let (ams, fra) = light(&topology);
    let client = topology.client();
    let old = client.ask(ANYCAST4, Transport::Udp, "example.com.", RecordType::SOA).expect("an answer");
    let changes = [&topology.ams, &topology.fra].map(Pop::route_changes);

    let pushed = Instant::now();
    let good = ams.zone_text("example.com.zone");
    let bad = good.replace("2026112101", "2026112102").replace("192.0.2.25", "192.0.2.256");
    for node in [&ams, &fra] {
        node.push_zone("example.com.zone", &bad);
    }
    // Each of the two ways to say that something has changed.
    let mut ams = ams;
    ams.responder().signal(Signal::HUP);
    // The refusal may be this command's exit code; the state below is what counts.
    let _ = fra.pharos(&["reload"]);
    let refused = |node: &Node| {
        node.zone_status("example.com.").is_some_and(|zone| zone.get("state").is_some_and(|s| s == "refused"))
    };
    let alarmed = |node: &Node| node.alarms().iter().any(|kind| kind == "zone-refused");
    observe(
        pushed,
        &mut [
            ("broken push -> refused at ams", &mut || refused(&ams)),
            ("broken push -> refused at fra", &mut || refused(&fra)),
            ("broken push -> sidecar alarms at ams", &mut || alarmed(&ams)),
            ("broken push -> sidecar alarms at fra", &mut || alarmed(&fra)),
        ],
    );
    for node in [&ams, &fra] {
        let zone = node.zone_status("example.com.").expect("the zone is listed");
        assert_eq!(zone.get("serial").and_then(serde_json::Value::as_u64), Some(2_026_112_101), "{zone}");
        let refusal = zone.get("refusal").and_then(serde_json::Value::as_str).unwrap_or_default();
        assert!(refusal.contains("example.com.zone:") && refusal.contains("192.0.2.256"), "{zone}");
        let output = node.pharos(&["status"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("refused") && said.contains("example.com"), "{said}");
        let metrics = node.http(RESPONDER_HTTP, "/metrics").expect("metrics are served");
        let counted = |line: &&str| line.contains("refused") && line.ends_with(" 1");
        assert!(metrics.lines().any(|line| counted(&line)), "{metrics}");
        assert!(only_came_up(node), "{:?}", node.transitions());
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        for address in [ANYCAST4, ANYCAST6] {
            let now = client.ask(address, transport, "example.com.", RecordType::SOA).expect("an answer");
            assert_eq!(now.data(RecordType::SOA), old.data(RecordType::SOA));
        }
    }
    assert_eq!(changes, [&topology.ams, &topology.fra].map(Pop::route_changes));

    let repaired = Instant::now();
    for node in [&ams, &fra] {
        node.push_zone("example.com.zone", &good.replace("2026112101", "2026112103"));
        let output = node.pharos(&["reload"]);
        assert!(output.status.success(), "{output:?}");
    }
    observe(
        repaired,
        &mut [
            ("good push -> the alarm is over at ams", &mut || !refused(&ams) && !alarmed(&ams)),
            ("good push -> the alarm is over at fra", &mut || !refused(&fra) && !alarmed(&fra)),
        ],
    );
    let new = client.ask(ANYCAST4, Transport::Udp, "example.com.", RecordType::SOA).expect("an answer");
    assert_ne!(new.data(RecordType::SOA), old.data(RecordType::SOA));
    assert_eq!(changes, [&topology.ams, &topology.fra].map(Pop::route_changes));
}
