//! Real queries, as the responder counts them: what they mean to a drain, and what a person is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::time::Duration;

use common::responder::status_of;
use common::{Collector, FakeResponder, LOCALHOST, Running, V4, active, config, status, until};
use pharos_policy::explain::Followed;
use pharos_sidecar::DrainPhase;

/// Tells counts of queries from clients and of our own probes, in which `$FETCHES` is how often it was asked.
fn tell(responder: &FakeResponder, client: &str, probe: &str) {
    let address = responder.address;
    responder.change(|manner| {
        let counts =
            format!(r#"{{"pid":1,"traffic":[{{"address":"{address}","client":{client},"probe":{probe}}}],"#);
        manner.status = Some(status_of("live", manner.serial, None).replacen('{', &counts, 1));
    });
}

fn start(responder: &FakeResponder, router: &Collector) -> Running {
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.status = Some(status(responder.status));
    settings.rules.linger.0 = Duration::ZERO;
    let sidecar = Running::start(settings);
    router.until_known(V4);
    sidecar
}

fn until_seen(sidecar: &Running, what: &str) {
    until(&format!("real traffic tells \"{what}\""), || {
        let signals = sidecar.0.why(V4).unwrap().signals;
        let traffic = signals.into_iter().find(|signal| signal.name.contains("real traffic"))?;
        traffic.last.contains(what).then_some(())
    });
}

#[test]
fn a_drain_ends_with_the_last_query_and_our_own_probes_are_none() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    tell(&responder, "$FETCHES00", "7");
    let sidecar = start(&responder, &router);
    until_seen(&sidecar, "came from clients");
    let day = Duration::from_secs(86_400);
    sidecar.0.drain("new disks", "ada", Some(day), None).unwrap();
    sidecar.until_level(V4, "draining");
    assert!(router.knows(V4).is_some());
    // The clients have gone, the probes go on.
    tell(&responder, "5", "$FETCHES00");
    router.until_gone(V4);
    let why = sidecar.0.why(V4).unwrap();
    assert_eq!(why.history[0].cause, "next to no traffic any more, drained by ada: new disks");
    until("the node may stop", || (sidecar.0.status().drain?.phase == DrainPhase::Done).then_some(()));
    let before = why.traffic.unwrap().before_per_second.unwrap();
    assert!(before > 1.0, "{before}");
    until("its traffic has followed", || {
        let traffic = sidecar.0.status().prefixes[0].traffic.clone()?;
        (traffic.followed == Some(Followed::Yes)).then_some(())
    });
    let text = sidecar.0.why(V4).unwrap().to_string();
    assert!(text.contains("before the last change: they followed it"), "{text}");
    assert!(sidecar.0.status().to_string().contains("they followed it"));
    let registry = prometheus::Registry::new();
    sidecar.0.register(&registry).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains(&format!("pharos_sidecar_traffic_followed{{prefix=\"{V4}\"}} 1\n")), "{text}");
}

#[test]
fn a_drain_that_nobody_honours_is_an_alarm_and_the_node_may_not_stop() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    tell(&responder, "$FETCHES00", "7");
    let sidecar = start(&responder, &router);
    until_seen(&sidecar, "came from clients");
    sidecar.0.drain("new disks", "ada", Some(Duration::from_millis(1)), None).unwrap();
    router.until_gone(V4);
    until("the drain is ignored", || {
        sidecar.alarms().iter().any(|alarm| alarm.contains("drain of 192.0.2.0/24 ignored")).then_some(())
    });
    assert_eq!(sidecar.0.status().drain.unwrap().phase, DrainPhase::Lingering);
    let followed = sidecar.0.why(V4).unwrap().traffic.unwrap().followed;
    assert_eq!(followed, Some(Followed::NotYet));
    tell(&responder, "5", "7");
    until("the node may stop", || (sidecar.0.status().drain?.phase == DrainPhase::Done).then_some(()));
    assert!(sidecar.alarms().iter().all(|alarm| !alarm.contains("ignored")), "{:?}", sidecar.alarms());
}

#[test]
fn a_responder_that_counts_no_addresses_leaves_a_drain_to_its_time() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    assert_eq!(sidecar.0.why(V4).unwrap().traffic, None);
    sidecar.0.drain("new disks", "ada", Some(Duration::from_millis(50)), None).unwrap();
    router.until_gone(V4);
    let cause = sidecar.0.why(V4).unwrap().history[0].cause.clone();
    assert!(!cause.contains("next to no traffic"), "{cause}");
}
