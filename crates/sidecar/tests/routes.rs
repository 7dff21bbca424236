//! From a responder's state to what a router knows, over real sockets.

mod common;

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{Collector, FakeResponder, LOCALHOST, Running, V4, V6, active, config, in_namespace, ip, until};
use pharos_sidecar::page::{Refresh, html};
use pharos_sidecar::status::Effect;
use pharos_sidecar::{
    Community, Families, LargeCommunity, Level, Mode, NeighbourConfig, OnFailure, Role, Sidecar,
};

use common::responder::Fault;

#[test]
fn the_route_is_earned_goes_with_the_responder_and_returns_with_it() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![active(router.address)]));

    let route = router.until_known(V4);
    assert_eq!(route.next_hop, Ipv4Addr::new(10, 0, 0, 2));
    assert_eq!(route.as_path.numbers().collect::<Vec<_>>(), [64512]);
    assert_eq!(router.communities(V4), ["64512:53"]);
    assert_eq!(sidecar.reasons(V4), "normal: all 4 probes are good\n");

    responder.kill();
    router.until_gone(V4);
    let refused = format!("UDP probe of {}: connection refused", responder.address);
    assert!(sidecar.reasons(V4).contains(&refused), "{}", sidecar.reasons(V4));

    responder.revive();
    router.until_known(V4);
    let history = sidecar.0.why(V4).unwrap().history;
    let levels: Vec<_> = history.iter().map(|past| format!("{} -> {}", past.from, past.to)).collect();
    assert_eq!(levels, ["withdrawn -> normal", "normal -> withdrawn", "withdrawn -> normal"]);
}

#[test]
fn a_hung_responder_loses_its_route_with_the_timeout_as_the_reason() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.probe.timeout = Duration::from_millis(200);
    let sidecar = Running::start(settings);
    router.until_known(V4);
    responder.change(|manner| manner.fault = Fault::Mute);
    router.until_gone(V4);
    let why = format!("UDP probe of {}: no answer within 200ms", responder.address);
    assert!(sidecar.reasons(V4).contains(&why), "{}", sidecar.reasons(V4));
}

#[test]
fn without_tcp_the_route_is_degraded_and_without_udp_it_goes() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    // The grace before a degradation follows from it.
    settings.probe.timeout = Duration::from_millis(500);
    let sidecar = Running::start(settings);
    router.until_known(V4);
    responder.stop_tcp();
    sidecar.until_level(V4, "degraded");
    until("the router sees the prepended path", || {
        (router.knows(V4)?.as_path.numbers().count() == 2).then_some(())
    });
    responder.stop_udp();
    router.until_gone(V4);
}

#[test]
fn when_only_ipv6_breaks_only_the_ipv6_prefix_goes() {
    let Some(mut six) = FakeResponder::start(Ipv6Addr::LOCALHOST.into()) else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let four = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar =
        Running::start(config(&[V4, V6], vec![four.address, six.address], vec![active(router.address)]));
    router.until_known(V4);
    assert_eq!(router.until_known(V6).next_hop, "fd00::2".parse::<Ipv6Addr>().unwrap());
    six.kill();
    router.until_gone(V6);
    assert!(router.knows(V4).is_some());
    assert_eq!(sidecar.0.why(V4).unwrap().history.len(), 1, "the other family never moved");
}

#[test]
fn each_wrong_answer_withdraws_with_its_own_reason() {
    let faults = [
        (Fault::NoAuthority, "a.ams", ": AA missing"),
        (Fault::ServFail, "a.ams", ": rcode SERVFAIL"),
        (Fault::None, "b.fra", "NSID says b.fra, this node is a.ams"),
    ];
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![active(router.address)]));
    for (fault, nsid, reason) in faults {
        router.until_known(V4);
        responder.change(|manner| {
            manner.fault = fault;
            manner.nsid = nsid;
        });
        router.until_gone(V4);
        assert!(sidecar.reasons(V4).contains(reason), "{reason} not in {}", sidecar.reasons(V4));
        responder.change(|manner| {
            manner.fault = Fault::None;
            manner.nsid = "a.ams";
        });
    }
}

#[test]
fn many_required_zones_take_turns_and_one_broken_zone_makes_a_last_resort_or_withdraws_by_choice() {
    for (failing, level) in [(OnFailure::LastResort, "last-resort"), (OnFailure::Withdraw, "withdrawn")] {
        let responder = FakeResponder::start(LOCALHOST).unwrap();
        let router = Collector::passive();
        let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
        settings.groups[0].required_zones = (0..30).map(|zone| format!("z{zone}.example")).collect();
        settings.groups[0].failing = failing;
        let sidecar = Running::start(settings);
        router.until_known(V4);
        responder.change(|manner| manner.fault = Fault::ServFailFor("z17.example."));
        sidecar.until_level(V4, level);
        assert!(sidecar.reasons(V4).contains("zone z17.example over UDP"), "{}", sidecar.reasons(V4));
    }
}

#[test]
fn a_drained_node_asks_to_be_avoided_then_withdraws_and_returns_on_a_word() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![active(router.address)]));
    router.until_known(V4);

    sidecar.0.drain("new disks", "ada", None, None).unwrap();
    assert_eq!(sidecar.alarms(), ["drain in force: drained by ada: new disks"]);
    router.until_gone(V4);
    let avoided = |seen: &common::collector::Seen| seen.log.iter().any(|line| line.contains(" 65535:0"));
    assert!(router.see(avoided), "the route carried GRACEFUL_SHUTDOWN before it went");
    assert!(sidecar.reasons(V4).contains("by ada: new disks"), "{}", sidecar.reasons(V4));

    sidecar.0.undrain("disks are in", "ada");
    router.until_known(V4);
    assert_eq!(sidecar.alarms(), Vec::<String>::new());
    assert_eq!(sidecar.0.why(V4).unwrap().history[0].cause, "undrained by ada: disks are in");
}

#[test]
fn when_no_neighbour_is_left_everything_says_that_nobody_is_told() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (first, second) = (Collector::passive(), Collector::passive());
    let neighbours = vec![active(first.address), active(second.address)];
    let sidecar = Running::start(config(&[V4], vec![responder.address], neighbours));
    let until_effect = |wanted| {
        until(&format!("the status says {wanted:?}"), || {
            let status = sidecar.0.status();
            (status.prefixes[0].effect == Some(wanted)).then_some(status)
        })
    };
    let announced = |value| format!("pharos_sidecar_announced{{prefix=\"192.0.2.0/24\"}} {value}\n");
    first.until_known(V4);
    second.until_known(V4);
    drop(first);
    until("one is lost", || sidecar.alarms().iter().any(|alarm| alarm.contains(" down: ")).then_some(()));
    let status = until_effect(Effect::Announced);
    assert!(!status.to_string().contains("that is decided only"), "{status}");
    assert!(sidecar.metrics().contains(&announced(1)), "{}", sidecar.metrics());

    drop(second);
    let status = until_effect(Effect::NobodyTold);
    assert_eq!(status.prefixes[0].level.name(), "normal", "which moves no level");
    for text in [status.to_string(), sidecar.0.why_in_full(V4).unwrap().to_string()] {
        assert!(text.contains("that is decided only: nobody is told\n"), "{text}");
    }
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["prefixes"][0]["effect"], "nobody-told");
    assert_eq!(json["prefixes"][0]["told"][0]["route"], "absent");
    let page = html(&status, Refresh::ByHand);
    assert!(page.contains("<strong>Decided: normal, but nobody is told;</strong>"), "{page}");
    assert!(page.contains("<h1 class=\"bad\">1 of 1 prefix told to nobody</h1>"), "{page}");
    assert!(sidecar.metrics().contains(&announced(0)), "{}", sidecar.metrics());
    assert!(sidecar.metrics().contains("pharos_sidecar_dry_run 0\n"), "{}", sidecar.metrics());
}

#[test]
fn of_two_neighbours_one_may_be_lost_and_the_other_keeps_the_route() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (first, second) = (Collector::passive(), Collector::passive());
    let neighbours = vec![active(first.address), active(second.address)];
    let sidecar = Running::start(config(&[V4], vec![responder.address], neighbours));
    first.until_known(V4);
    second.until_known(V4);
    until("no alarm is left from the start", || sidecar.alarms().is_empty().then_some(()));
    let mut events = sidecar.0.events();

    let lost = first.address;
    drop(first);
    until("an alarm names the lost neighbour", || {
        sidecar.alarms().iter().find(|alarm| alarm.starts_with(&format!("neighbour {lost} down"))).cloned()
    });
    assert!(second.knows(V4).is_some());
    assert_eq!(sidecar.0.why(V4).unwrap().level.name(), "normal");
    let view = until("the status shows the loss", || {
        let view = sidecar.0.status().neighbours.into_iter().find(|view| view.name == lost.to_string())?;
        view.told.is_empty().then_some(view)
    });
    assert_eq!((view.flaps, view.drift.len()), (1, 1), "{view:?}");
    let line = until("an event tells of the lost session", || events.try_recv().ok()).to_string();
    assert!(line.starts_with(&format!("neighbour {lost}: session down: ")), "{line}");
}

#[test]
fn a_neighbour_may_connect_to_us_and_hears_why_we_stop_after_the_withdrawal() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (sidecar, listen) = Running::listening(|listen| {
        let mut neighbour = active("127.0.0.1:179".parse().unwrap());
        neighbour.role = Role::Passive { listen };
        neighbour.next_hop_ipv4 = None;
        config(&[V4], vec![responder.address], vec![neighbour])
    });
    let router = Collector::active(listen);
    let route = router.until_known(V4);
    assert_eq!(route.next_hop, LOCALHOST, "the next hop is our own address on the session");

    sidecar.stop("moving to another rack");
    until("the router is told why", || {
        router.see(|seen| {
            // It may have tried to connect anew meanwhile.
            let told = |line: &String| line.starts_with("down: ") && line.contains("moving to another rack");
            let last = seen.log.iter().rposition(told)?;
            let withdrawn = seen.log.iter().rposition(|line| line == &format!("withdrawn {V4}"))?;
            (withdrawn < last).then_some(())
        })
    });
    // Whichever is found first.
    let ended = sidecar.0.live().unwrap_err();
    assert!(ended.starts_with("thread pharos-") && ended.ends_with(" has ended"), "{ended}");
}

#[test]
fn a_neighbour_that_died_before_its_open_does_not_keep_itself_out() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (_sidecar, listen) = Running::listening(|listen| {
        let mut neighbour = active("127.0.0.1:179".parse().unwrap());
        neighbour.role = Role::Passive { listen };
        config(&[V4], vec![responder.address], vec![neighbour])
    });
    // It has connected, and says nothing: our OPEN shows that the session has this connection.
    let mut silent = TcpStream::connect(listen).unwrap();
    let mut header = [0; 19];
    silent.read_exact(&mut header).unwrap();
    assert_eq!(header[18], 1, "OPEN");

    let router = Collector::active(listen);
    router.until_known(V4);
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&[0, 21, 3, 6, 7]), "Cease/Connection Collision Resolution: {rest:?}");
}

#[test]
fn an_established_session_is_not_given_up_for_a_newer_connection() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (sidecar, listen) = Running::listening(|listen| {
        let mut neighbour = active("127.0.0.1:179".parse().unwrap());
        neighbour.role = Role::Passive { listen };
        config(&[V4], vec![responder.address], vec![neighbour])
    });
    let router = Collector::active(listen);
    router.until_known(V4);
    let mut said = Vec::new();
    TcpStream::connect(listen).unwrap().read_to_end(&mut said).unwrap();
    assert_eq!(said[18..], [3, 6, 5], "Cease/Connection Rejected");
    assert!(router.knows(V4).is_some());
    assert_eq!(sidecar.0.status().neighbours[0].flaps, 0);
}

#[test]
fn a_stranger_who_connects_to_us_is_not_heard() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let (sidecar, listen) = Running::listening(|listen| {
        let mut neighbour = active("127.0.0.9:179".parse().unwrap());
        neighbour.role = Role::Passive { listen };
        config(&[V4], vec![responder.address], vec![neighbour])
    });
    let stranger = Collector::active(listen);
    sidecar.until_level(V4, "normal");
    until("the stranger was turned away", || {
        stranger.see(|seen| seen.log.iter().find(|line| line.starts_with("down: ")).cloned())
    });
    assert!(stranger.knows(V4).is_none());
}

#[test]
fn a_family_that_the_neighbour_does_not_take_is_reported_as_drift() {
    let Some(six) = FakeResponder::start(Ipv6Addr::LOCALHOST.into()) else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let four = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive_for(Families::IPV4);
    let addresses = vec![four.address, six.address];
    let sidecar = Running::start(config(&[V4, V6], addresses, vec![active(router.address)]));
    router.until_known(V4);
    sidecar.until_level(V6, "normal");
    let view = until("the drift is seen", || {
        sidecar.0.status().neighbours.into_iter().find(|neighbour| !neighbour.drift.is_empty())
    });
    assert!(router.knows(V6).is_none());
    assert_eq!(view.told, ["192.0.2.0/24 via 10.0.0.2 communities 64512:53"]);
    assert_eq!(view.drift[0].why, "the neighbour does not take IPv6 unicast", "{view:?}");
}

#[test]
fn a_dry_run_decides_and_tells_nobody() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.mode = Mode::DryRun;
    let sidecar = Running::start(settings);
    sidecar.until_level(V4, "normal");
    let told =
        until("what would be told is shown", || sidecar.0.status().neighbours[0].told.first().cloned());
    assert_eq!(told, "(dry run, not sent) 192.0.2.0/24 via 10.0.0.2 communities 64512:53");
    assert_eq!(sidecar.0.status().neighbours[0].state, "dry-run");
    assert_eq!(sidecar.0.status().prefixes[0].effect, Some(Effect::NobodyTold));
    assert!(sidecar.metrics().contains("pharos_sidecar_dry_run 1\n"), "{}", sidecar.metrics());
    assert!(router.see(|seen| seen.log.iter().all(|line| line.starts_with("StateChanged"))));
}

#[test]
fn what_cannot_work_is_refused_at_the_start_with_the_remedy() {
    let address: SocketAddr = "127.0.0.1:5300".parse().unwrap();
    let good = || config(&[V4], vec![address], vec![NeighbourConfig::new(LOCALHOST, 64500)]);
    let refusal = |change: &dyn Fn(&mut pharos_sidecar::Config)| {
        let mut settings = good();
        change(&mut settings);
        Sidecar::start(settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    type Change<'a> = &'a dyn Fn(&mut pharos_sidecar::Config);
    let cases: [(Change<'_>, &str); 9] = [
        (&|c| c.neighbours.clear(), "name at least one router, or run dry"),
        (&|c| c.groups[0].required_zones.clear(), "name at least one zone whose SOA is probed"),
        (&|c| c.groups[0].required_zones = vec!["a..b".into()], "\"a..b\", required by group \"main\""),
        (&|c| c.groups[0].prefixes.push(V6.parse().unwrap()), "has no address to probe"),
        (&|c| c.neighbours.push(c.neighbours[0].clone()), "neighbour 127.0.0.1 is configured twice"),
        (&|c| c.neighbours[0].hold_time = Duration::from_millis(3500), "a hold time of 3.5s is not possible"),
        (&|c| c.neighbours[0].levels.degraded.prepends = 9, "level degraded: 9 prepends are more than the 3"),
        (&|c| c.probe.interval = Duration::ZERO, "probe interval of 0ns is too short: at least 10ms"),
        (&|c| c.neighbours[0].role = Role::Passive { listen }, "cannot listen for BGP on 127.0.0.1:"),
    ];
    for (change, message) in cases {
        let said = refusal(change);
        assert!(said.contains(message), "{message} not in {said}");
    }
    let mut six = good();
    six.groups[0].prefixes = vec![V6.parse().unwrap()];
    six.groups[0].addresses = vec!["[::1]:5300".parse().unwrap()];
    let said = six.check().unwrap_err().to_string();
    assert!(said.contains("set next-hop-ipv6, or leave ipv6 out of its families"), "{said}");
}

#[test]
fn the_last_notification_is_told_in_numbers_and_in_words_also_with_a_prefix() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    // Nothing that both would speak of.
    let router = Collector::passive_for(Families::IPV6);
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.neighbours[0].families = Families::IPV4;
    let sidecar = Running::start(settings);
    let told = until("a NOTIFICATION is told", || sidecar.0.status().neighbours[0].last_notification.clone());
    assert_eq!((told.code, told.subcode), (2, 7));
    assert_eq!(told.code_name, "OPEN Message Error");
    assert_eq!(told.subcode_name.as_deref(), Some("Unsupported Capability"));
    assert!(told.text.starts_with("OPEN Message Error/Unsupported Capability (2/7)"), "{}", told.text);
    assert_eq!(told.communication, None);
    let why = sidecar.0.why_in_full(V4).unwrap();
    assert_eq!(why.neighbours[0].last_notification.as_ref().map(|it| it.code), Some(2));
    let page = why.to_string();
    assert!(page.contains("\nneighbours\n"), "{page}");
    assert!(page.contains("Unsupported Capability (2/7)"), "{page}");
    // What a client reads is what was said.
    let json = serde_json::to_string(&why).unwrap();
    assert!(json.contains("\"prefix\":\"192.0.2.0/24\""), "{json}");
    let read: pharos_sidecar::WhyStatus = serde_json::from_str(&json).unwrap();
    assert_eq!(read.to_string(), page);
}

#[test]
fn why_names_what_each_neighbour_was_told_of_the_prefix_and_of_no_other() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let two = ["192.0.2.0/24", "198.51.100.0/24"];
    let sidecar = Running::start(config(&two, vec![responder.address], vec![active(router.address)]));
    two.iter().for_each(|prefix| drop(router.until_known(prefix)));
    let why = until("it is reported", || {
        let why = sidecar.0.why_in_full("198.51.100.0/24").unwrap();
        (!why.neighbours[0].told.is_empty()).then_some(why)
    });
    assert_eq!(why.neighbours[0].told.len(), 1);
    assert!(why.neighbours[0].told[0].starts_with("198.51.100.0/24 via 10.0.0.2"));
    assert!(why.to_string().contains("198.51.100.0/24 via 10.0.0.2"));
}

#[test]
fn what_a_router_does_not_take_becomes_drift_of_each_prefix_that_it_is_about() {
    in_namespace("inside_a_router_takes_nothing");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_a_router_takes_nothing() {
    // Kernels keep the more for a connection the longer its packets are.
    ip("link set lo mtu 1500 up");
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::narrow();
    let mut neighbour = active(router.address);
    neighbour.hold_time = Duration::from_secs(90);
    for level in [&mut neighbour.levels.degraded, &mut neighbour.levels.last_resort] {
        level.communities = (0..100).map(|number| Community::new(64512, number)).collect();
        level.large_communities = (0..50).map(|number| LargeCommunity::new(64512, 1, number)).collect();
    }
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![neighbour]));
    router.until_known(V4);
    until("no alarm is left from the start", || sidecar.alarms().is_empty().then_some(()));
    let neighbour = || sidecar.0.status().neighbours.into_iter().next().unwrap();
    assert_eq!(neighbour().drift, []);

    router.be_deaf(true);
    let mut levels = [Level::Degraded, Level::LastResort].into_iter().cycle();
    // The kernels make a little more room at first; what waits here has to be more than that.
    let mut waited = 0;
    until("more octets wait than any kernel takes", || {
        let level = levels.next().unwrap();
        sidecar.0.force("all", level, Duration::from_secs(600), "to fill it", "ada").unwrap();
        waited = if neighbour().waits { waited + 1 } else { 0 };
        (waited == 200).then_some(())
    });
    responder.kill();
    sidecar.until_level(V4, "withdrawn");
    let drifts = format!("bgp {} drifts: {V4} should be withdrawn and is {V4} via 10.0.0.2", router.address);
    let alarm = until("the withdrawal that waits is drift", || {
        sidecar.alarms().into_iter().find(|alarm| alarm.starts_with(&drifts))
    });
    assert!(alarm.ends_with(": that waits, for the neighbour takes no octets"), "{alarm}");
    assert!(neighbour().told.is_empty() && neighbour().waits, "{:?}", neighbour());
    assert_eq!(neighbour().drift[0].wanted, "withdrawn");
    assert!(router.knows(V4).is_some());

    router.be_deaf(false);
    router.until_gone(V4);
    until("the drift is over", || {
        let over = neighbour().drift.is_empty() && !neighbour().waits;
        (over && !sidecar.alarms().iter().any(|alarm| alarm.contains("drifts"))).then_some(())
    });
}
