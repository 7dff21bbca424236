//! What is handed over and what of it is read: in text, with sockets that stand for sessions.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::num::NonZeroU32;

use pharos_policy::{AnchorConfig, AnchorDrain, HoldDown, Policy};
use pharos_routing::Families;
use pharos_routing::bgp::{AsNumbers, ExtendedNextHop, Negotiated, RouteRefresh};

use super::*;
use crate::config::{
    AnnouncerConfig, BirdConfig, Death, ExecConfig, LeaseConfig, LevelMap, Mode, Reload, Way, sample,
};

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn config() -> Config {
    Config { neighbours: vec![NeighbourConfig::new(ROUTER, 64500)], ..sample::config() }
}

fn session(name: &str, identity: &str) -> SessionState {
    let negotiated = Negotiated {
        peer_as: 64500,
        peer_router_id: Ipv4Addr::new(10, 0, 0, 1),
        hold_time: Duration::from_secs(9),
        families: Families::BOTH,
        as_numbers: AsNumbers::FourOctet,
        route_refresh: RouteRefresh::Enhanced,
        extended_next_hop: ExtendedNextHop::NotOffered,
        peer_role: None,
    };
    let snapshot = bgp::Snapshot {
        negotiated,
        told: Vec::new(),
        partial: vec![0xff; 7],
        age: Duration::from_secs(5),
        blocked: None,
        counters: bgp::Counters::default(),
    };
    SessionState { name: name.into(), identity: identity.into(), unsent: vec![1, 2], snapshot }
}

fn a_socket() -> OwnedFd {
    UdpSocket::bind("127.0.0.1:0").unwrap().into()
}

fn bfd(name: &str) -> BfdState {
    let mut session =
        bfd::Session::new(bfd::SessionConfig::new(NonZeroU32::new(7).unwrap()), Duration::ZERO).unwrap();
    session.step(Duration::ZERO, bfd::Input::Tick, &mut Vec::new());
    BfdState { name: name.into(), snapshot: session.snapshot(Duration::ZERO) }
}

/// An estate with a session of each of these neighbours.
fn estate(names: &[&str], identity: &str) -> Estate {
    estate_of(&config(), names, identity)
}

fn estate_of(config: &Config, names: &[&str], identity: &str) -> Estate {
    let policy = Policy::new(Duration::ZERO, config.policy()).unwrap();
    let mut sockets = Vec::new();
    for name in names {
        sockets.push(Socket::Session((*name).to_owned()));
        sockets.push(Socket::BfdSender((*name).to_owned()));
    }
    let descriptors = sockets.iter().map(|_| a_socket()).collect();
    let state = State {
        version: VERSION,
        moment: moment(),
        known: Known {
            now: Duration::from_secs(5),
            policy: policy.memory(),
            transitions: Vec::new(),
            neighbours: Vec::new(),
            traffic: BTreeMap::new(),
            life: None,
        },
        sessions: names.iter().map(|name| session(name, identity)).collect(),
        bfd: names.iter().map(|name| bfd(name)).collect(),
        announcers: Holder::all(config),
        sockets,
    };
    Estate { state, descriptors }
}

fn read(estate: &Estate) -> Predecessor {
    let descriptors = estate.sockets().map(|socket| socket.try_clone_to_owned().unwrap()).collect();
    Predecessor::read(&estate.text().unwrap(), descriptors).unwrap()
}

#[test]
fn what_is_handed_over_is_found_by_its_name_and_once() {
    let mut estate = estate(&["10.0.0.1"], "same");
    estate.add("control /run/it", a_socket());
    assert_eq!(estate.sessions(), 1);
    let mut before = read(&estate);
    let Inherited { state, .. } = before.take_session("10.0.0.1", "same").unwrap();
    assert_eq!((state.unsent, state.snapshot.partial), (vec![1, 2], vec![0xff; 7]));
    assert!(before.take_session("10.0.0.1", "same").is_none());
    assert_eq!(before.take_bfd("10.0.0.1").unwrap().0.discriminator.get(), 7);
    assert!(before.take("control /run/other").is_none());
    assert!(before.take("control /run/it").is_some());
    assert!(before.rest(&config()).is_empty(), "everything has somebody");
}

#[test]
fn another_form_is_refused_by_its_number_and_nonsense_by_what_it_is() {
    let mut estate = estate(&[], "");
    estate.state.version = VERSION + 1;
    let error = Predecessor::read(&estate.text().unwrap(), Vec::new()).unwrap_err().to_string();
    assert!(error.contains(&format!("hands over form {}", VERSION + 1)), "{error}");
    // Whatever else another form has: its number is read first.
    let error = Predecessor::read(b"{\"version\":77,\"new\":{}}", Vec::new()).unwrap_err();
    assert!(matches!(error, HandoverError::Version { theirs: 77 }));
    for text in [&b"{}"[..], b"", b"{\"version\":1}", b"[]"] {
        assert!(matches!(Predecessor::read(text, Vec::new()), Err(HandoverError::State(_))));
    }
    let estate = self::estate(&["10.0.0.1"], "same");
    let error = Predecessor::read(&estate.text().unwrap(), vec![a_socket()]).unwrap_err().to_string();
    assert!(error.contains("1 sockets with 2 names"), "{error}");
}

#[test]
fn a_session_that_is_wanted_otherwise_or_no_longer_is_ended_with_its_reason() {
    let estate = estate(&["10.0.0.1", "10.0.0.9"], "of before");
    let mut before = read(&estate);
    assert!(before.take_session("10.0.0.1", "of now").is_none());
    let mut ended = Vec::new();
    for ending in before.rest(&config()) {
        match ending {
            Ending::Session { session, why, .. } => ended.push((session.name, Some(why))),
            Ending::Bfd { state, .. } => ended.push((state.name, None)),
        }
    }
    assert_eq!(
        ended,
        [
            ("10.0.0.1".to_owned(), Some(bgp::Farewell::Reconfigured)),
            ("10.0.0.9".to_owned(), Some(bgp::Farewell::Deconfigured)),
            ("10.0.0.1".to_owned(), None),
            ("10.0.0.9".to_owned(), None),
        ]
    );
}

/// A node with an anchor that tells a BIRD, a program and, by markers, a daemon.
fn told_by_others() -> Config {
    let mut config = config();
    let anchor = AnchorConfig { prefix: "192.0.0.0/16".parse().unwrap(), drain: AnchorDrain::Stays };
    config.rules.anchors = vec![anchor];
    let bird = BirdConfig {
        control: "/run/bird/bird.ctl".into(),
        include: "/var/lib/pharos/bird.conf".into(),
        levels: LevelMap::default(),
        undo_timeout: None,
        reload: Reload::Full,
        look: Duration::from_secs(1),
        retry: Duration::from_secs(1),
        death: Death::Stay,
    };
    let exec = ExecConfig {
        program: "/usr/local/sbin/route".into(),
        arguments: vec!["r1".into()],
        timeout: Duration::from_secs(5),
        retry: Duration::from_secs(1),
        observe: None,
    };
    let (lifetime, interface) = (Duration::from_secs(3), "pharos0".into());
    let lease = LeaseConfig { interface, lifetime, markers: Vec::new() };
    let ways =
        [("bird", Way::Bird(Box::new(bird))), ("exec x", Way::Exec(exec)), ("lease", Way::Lease(lease))];
    let announcer = |(name, way): (&str, _)| {
        let (name, mode) = (name.into(), Mode::Announce);
        AnnouncerConfig { name, mode, way }
    };
    config.announcers = ways.into_iter().map(announcer).collect();
    config
}

#[test]
fn routes_that_the_next_process_could_not_withdraw_are_named_with_those_who_hold_them() {
    let said = |change: &dyn Fn(&mut Config)| {
        let before = read(&estate_of(&told_by_others(), &["10.0.0.1"], "same"));
        let mut config = told_by_others();
        change(&mut config);
        before.left_up(&config)
    };
    assert_eq!(said(&|_| {}), None);
    let all = "192.0.2.0/24, 192.0.0.0/16";
    let by = |who: &str, why: &str| Some(format!("{all} by {who}, which {why}"));
    assert_eq!(said(&|it| drop(it.announcers.remove(0))), by("bird", "is no longer configured"));
    assert_eq!(said(&|it| it.announcers[1].mode = Mode::DryRun), by("exec x", "runs dry now"));
    assert_eq!(
        said(&|it| it.mode = Mode::DryRun).unwrap(),
        format!("{all} by bird, which runs dry now; {all} by exec x, which runs dry now")
    );
    assert_eq!(
        said(&|it| it.rules.anchors.clear()).unwrap(),
        "192.0.0.0/16 by bird, no longer configured; 192.0.0.0/16 by exec x, no longer configured"
    );
    let other_router = said(&|it| {
        if let Way::Exec(exec) = &mut it.announcers[1].way {
            exec.arguments = vec!["r2".into()];
        }
    });
    let why = "has another program, other arguments or another control socket now";
    assert_eq!(other_router, by("exec x", why));
    let other_bird = said(&|it| {
        if let Way::Bird(bird) = &mut it.announcers[0].way {
            bird.control = "/run/other.ctl".into();
        }
    });
    assert_eq!(other_bird, by("bird", why));
}

#[test]
fn what_changes_beside_the_holders_of_routes_is_nobodys_loss() {
    let before = read(&estate_of(&told_by_others(), &["10.0.0.1"], "same"));
    let mut config = told_by_others();
    // Markers run out, sessions close, and more prefixes or programs take nothing away.
    config.announcers.pop();
    config.neighbours.clear();
    config.groups[0].prefixes.push("198.51.100.0/24".parse().unwrap());
    if let Way::Exec(exec) = &mut config.announcers[1].way {
        exec.timeout = Duration::from_secs(9);
    }
    let more = AnnouncerConfig { name: "exec y".into(), ..config.announcers[1].clone() };
    config.announcers.push(more);
    assert_eq!(before.left_up(&config), None);
}

#[test]
fn who_ran_dry_has_left_nothing_and_an_older_version_says_nothing_of_it() {
    let mut dry = told_by_others();
    dry.announcers.iter_mut().for_each(|announcer| announcer.mode = Mode::DryRun);
    assert_eq!(read(&estate_of(&dry, &[], "")).left_up(&config()), None);
    let text = estate_of(&told_by_others(), &[], "").text().unwrap();
    let mut older: serde_json::Value = serde_json::from_slice(&text).unwrap();
    older.as_object_mut().unwrap().remove("announcers").unwrap();
    let before = Predecessor::read(older.to_string().as_bytes(), Vec::new()).unwrap();
    assert_eq!(before.left_up(&config()), None);
}

#[test]
fn the_identity_of_a_session_is_what_both_ends_agreed_on_and_nothing_that_may_change() {
    let of = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        identity(&config, &config.neighbours[0])
    };
    let same = of(&|_| {});
    assert_eq!(
        same,
        "to 10.0.0.1:179 source any as 64512 to 64500 id 10.0.0.2 hold 9 IPv4 and IPv6 unicast \
         extended NotOffered role None Lenient"
    );
    type Change<'a> = &'a dyn Fn(&mut Config);
    let others: [Change<'_>; 4] = [
        &|config| config.local_as = 64513,
        &|config| config.router_id = Ipv4Addr::new(10, 0, 0, 3),
        &|config| config.neighbours[0].remote_as = 64501,
        &|config| config.neighbours[0].source = Some(ROUTER),
    ];
    for change in others {
        assert_ne!(of(change), same);
    }
    let unlike: [Change<'_>; 3] = [
        &|config| config.neighbours[0].connect_retry = Duration::from_secs(7),
        &|config| config.neighbours[0].bfd = None,
        &|config| config.hold_down = HoldDown::new(Duration::from_secs(60)),
    ];
    for change in unlike {
        assert_eq!(of(change), same);
    }
}
