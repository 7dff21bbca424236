//! A sidecar that takes another's place, both in this process: what a router hears of it, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Collector, FakeResponder, LOCALHOST, Running, V4, active, block, config, legacy, until};
use pharos_sidecar::{Community, Config, Handle, HandoverError, LevelMap, Mode, Role, Sidecar};

/// `old` leaves everything to a new one, and touches nothing any more.
fn hand_over(old: &Handle, config: Config) -> Running {
    let estate = block(old.offer()).unwrap();
    let prepared = Sidecar::prepare(config, Some(legacy(&estate))).unwrap();
    drop(estate);
    let new = prepared.begin();
    new.alone();
    Running(new)
}

/// Everything that the router has heard.
fn heard(router: &Collector) -> Vec<String> {
    router.see(|seen| seen.log.clone())
}

/// Waits until the new one says that it has the session.
fn until_established(sidecar: &Running) {
    until("the session is established in the new one", || {
        (sidecar.0.status().neighbours[0].state == "Established").then_some(())
    });
}

#[test]
fn a_router_hears_no_update_when_the_sidecar_changes_and_one_when_a_level_does() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let settings = || {
        let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
        settings.neighbours[0].hold_time = Duration::from_secs(3);
        settings
    };
    let old = Running::start(settings());
    router.until_known(V4);
    let before = heard(&router);
    let history = old.0.why(V4).unwrap().history.len();

    let new = hand_over(&old.0, settings());
    until_established(&new);
    assert_eq!(new.0.why(V4).unwrap().history.len(), history, "its history goes on");
    assert_eq!(new.reasons(V4), "normal: all 4 probes are good\n");
    // Whoever drove the session before does so no more: without somebody else it would end.
    until("the hold time has passed", || (new.0.status().uptime_seconds > 4.0).then_some(()));
    assert_eq!(heard(&router), before, "neither an UPDATE nor the end of the session");

    responder.kill();
    router.until_gone(V4);
    let after = heard(&router);
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    std::mem::forget(old);
}

#[test]
fn who_has_given_way_takes_the_end_of_its_handle_for_no_order_to_withdraw() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let old = Sidecar::start(config(&[V4], vec![responder.address], vec![active(router.address)])).unwrap();
    router.until_known(V4);
    block(old.give_way());
    drop(old);
    // Its threads are there as before: this is a withdrawal in a session that stands.
    responder.kill();
    router.until_gone(V4);
    let heard = heard(&router);
    assert!(!heard.iter().any(|line| line.starts_with("down")), "{heard:?}");
}

#[test]
fn sessions_that_nobody_takes_go_on_where_they_were() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let settings = || config(&[V4], vec![responder.address], vec![active(router.address)]);
    let sidecar = Running::start(settings());
    router.until_known(V4);
    let before = heard(&router);
    for _ in 0..3 {
        let estate = block(sidecar.0.offer()).unwrap();
        assert_eq!(estate.sessions(), 1);
        // The next process stands ready, and then it ends.
        drop(Sidecar::prepare(settings(), Some(legacy(&estate))).unwrap());
        drop(estate);
        sidecar.0.recall();
    }
    // One whose configuration makes no sidecar does not even stand ready.
    let estate = block(sidecar.0.offer()).unwrap();
    let mut broken = settings();
    broken.groups.clear();
    assert!(Sidecar::prepare(broken, Some(legacy(&estate))).is_err());
    sidecar.0.recall();
    assert_eq!(heard(&router), before);
    responder.kill();
    router.until_gone(V4);
    assert_eq!(heard(&router).len(), before.len() + 1);
}

#[test]
fn a_level_that_changes_while_the_sessions_are_held_is_told_by_whoever_has_them_then() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![active(router.address)]));
    router.until_known(V4);
    let estate = block(sidecar.0.offer()).unwrap();
    responder.kill();
    sidecar.until_level(V4, "withdrawn");
    assert!(router.knows(V4).is_some(), "nobody drives the session");
    drop(estate);
    sidecar.0.recall();
    router.until_gone(V4);
}

#[test]
fn an_operators_drain_and_a_passive_session_go_over() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let settings = |listen: SocketAddr| {
        let mut neighbour = active(listen);
        neighbour.role = Role::Passive { listen };
        let mut settings = config(&[V4], vec![responder.address], vec![neighbour]);
        settings.drain_time = pharos_sidecar::DrainTime(Duration::from_secs(3600));
        settings
    };
    let (old, listen) = Running::listening(settings);
    let router = Collector::active(listen);
    router.until_known(V4);
    old.0.drain("new disks", "ada", None, None).unwrap();
    until("the router is told", || {
        let communities = router.communities(V4);
        communities.contains(&"65535:0".to_owned()).then_some(())
    });
    let before = heard(&router);
    let new = hand_over(&old.0, settings(listen));
    until_established(&new);
    let drain = new.0.status().drain.unwrap();
    assert_eq!((drain.words.author.as_str(), drain.words.text.as_str()), ("ada", "new disks"));
    assert_eq!(heard(&router), before);
    // The listener went over, too: a router that comes anew is heard by the new one.
    drop(router);
    let router = Collector::active(listen);
    router.until_known(V4);
    std::mem::forget(old);
}

#[test]
fn only_what_the_configuration_changes_is_told() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let settings = || config(&[V4], vec![responder.address], vec![active(router.address)]);
    let old = Running::start(settings());
    router.until_known(V4);
    let before = heard(&router);
    let mut changed = settings();
    changed.neighbours[0].levels = LevelMap::with_communities(vec![Community::new(64512, 99)]);
    let new = hand_over(&old.0, changed);
    until("the router is told of the other community", || {
        (router.communities(V4) == ["64512:99"]).then_some(())
    });
    assert_eq!(heard(&router).len(), before.len() + 1, "one UPDATE, and the same session");
    std::mem::forget(old);
    drop(new);
}

#[test]
fn a_neighbour_that_is_configured_otherwise_begins_anew_and_one_that_is_no_longer_is_told_so() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let settings = |hold: u64| {
        let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
        settings.neighbours[0].hold_time = Duration::from_secs(hold);
        settings
    };
    let first = Running::start(settings(9));
    router.until_known(V4);
    let second = hand_over(&first.0, settings(30));
    until("the session has ended and is there again", || {
        let log = heard(&router);
        let ended = log.iter().position(|line| line.contains("Other Configuration Change (6/6)"))?;
        log.get(ended..)?.iter().any(|line| line.starts_with("Established")).then_some(())
    });
    router.until_known(V4);
    let mut without = settings(30);
    without.neighbours[0].address = "127.0.0.9".parse().unwrap();
    let third = hand_over(&second.0, without);
    until("the router hears that it is no longer configured", || {
        heard(&router).iter().any(|line| line.contains("Peer De-configured (6/3)")).then_some(())
    });
    std::mem::forget((first, second));
    drop(third);
}

#[test]
fn a_dry_run_hands_nothing_over() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let mut settings = config(&[V4], vec![responder.address], Vec::new());
    settings.mode = Mode::DryRun;
    let sidecar = Running::start(settings);
    assert!(matches!(block(sidecar.0.offer()), Err(HandoverError::Nothing(_))));
}
