//! What the responder tells of its data, how quickly it answers, and what the host's tables say: levels and reasons.
//!
//! The test of the host's tables runs in a network namespace of its own; without the right to make one it leaves itself
//! out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::responder::status_of;
use common::{
    Collector, FakeResponder, LOCALHOST, Running, V4, active, config, in_namespace, ip, status, until,
};
use pharos_policy::explain::Verdict;
use pharos_sidecar::{Config, DataGrace, OnExpiry};

const HOUR: u64 = 3600;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn settings(responder: &FakeResponder, router: &Collector) -> Config {
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.status = Some(status(responder.status));
    settings
}

fn health(sidecar: &Running, name: &str) -> Option<Verdict> {
    let signals = sidecar.0.why(V4).unwrap().signals;
    signals.into_iter().find(|signal| signal.name.contains(name)).map(|signal| signal.health)
}

fn until_health(sidecar: &Running, name: &str, wanted: Verdict) {
    until(&format!("{name} is {wanted}"), || (health(sidecar, name) == Some(wanted)).then_some(()));
}

fn has_alarm(sidecar: &Running, part: &str) -> bool {
    sidecar.alarms().iter().any(|alarm| alarm.contains(part))
}

/// Adds fields to the one zone of the status.
fn tell_zone(responder: &FakeResponder, fields: &str) {
    responder.change(|manner| {
        let zone = format!(r#""name":"example.com.",{fields},"#);
        let text = status_of("live", manner.serial, None);
        manner.status = Some(text.replacen(r#""name":"example.com.","#, &zone, 1));
    });
}

fn tell_expiry(responder: &FakeResponder, at: u64) {
    let signed =
        format!(r#""signed":{{"earliest_expiry_unix":{at},"earliest_expiry_record":"www.example.com. A"}}"#);
    tell_zone(responder, &signed);
}

#[test]
fn data_older_than_the_group_allows_are_an_alarm_and_wait_for_their_grace() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = settings(&responder, &router);
    settings.rules.data_age.insert("main".into(), Duration::from_secs(HOUR));
    tell_zone(&responder, &format!(r#""loaded_unix":{}"#, now()));
    let sidecar = Running::start(settings);
    router.until_known(V4);
    until_health(&sidecar, "age of the data", Verdict::Good);
    responder.change(|manner| manner.serial = u32::try_from(now() - 2 * HOUR).unwrap());
    tell_zone(&responder, &format!(r#""loaded_unix":{}"#, now()));
    until_health(&sidecar, "age of the data", Verdict::Bad);
    assert!(
        has_alarm(&sidecar, "example.com. is more than 3600 s old by its serial"),
        "{:?}",
        sidecar.alarms()
    );
    assert!(sidecar.reasons(V4).contains("more than 3600 s old"), "{}", sidecar.reasons(V4));
    sidecar.until_level(V4, "normal");
}

#[test]
fn data_that_stay_too_old_degrade_when_their_grace_is_over() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = settings(&responder, &router);
    settings.rules.data_age.insert("main".into(), Duration::from_secs(HOUR));
    settings.rules.data_grace = DataGrace(Duration::from_millis(300));
    tell_zone(&responder, &format!(r#""loaded_unix":{}"#, now()));
    let sidecar = Running::start(settings);
    router.until_known(V4);
    let push = |serial| {
        responder.change(|manner| manner.serial = u32::try_from(serial).unwrap());
        tell_zone(&responder, &format!(r#""loaded_unix":{}"#, now()));
    };
    push(now() - 2 * HOUR);
    sidecar.until_level(V4, "degraded");
    assert!(router.knows(V4).is_some(), "a data fault withdraws nothing");
    push(now());
    sidecar.until_level(V4, "normal");
}

#[test]
fn signatures_near_their_end_are_an_alarm_then_degrade_and_are_the_last_resort_when_expired() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    tell_expiry(&responder, now() + 30 * 24 * HOUR);
    let sidecar = Running::start(settings(&responder, &router));
    router.until_known(V4);
    until_health(&sidecar, "signatures", Verdict::Good);
    tell_expiry(&responder, now() + 3 * 24 * HOUR);
    until_health(&sidecar, "signatures", Verdict::Warned);
    assert!(has_alarm(&sidecar, "the signature of www.example.com. A expires within 7 days"));
    sidecar.until_level(V4, "normal");
    tell_expiry(&responder, now() + HOUR);
    sidecar.until_level(V4, "degraded");
    tell_expiry(&responder, now() - HOUR);
    sidecar.until_level(V4, "last-resort");
    assert!(sidecar.reasons(V4).contains("has expired"), "{}", sidecar.reasons(V4));
    assert!(router.knows(V4).is_some(), "a data fault withdraws nothing");

    responder.change(|manner| {
        let doubt = r#"{"clock":{"trusted":false,"doubt":"it stepped"},"#;
        manner.status = manner.status.as_ref().map(|text| text.replacen('{', doubt, 1));
    });
    sidecar.until_level(V4, "normal");
    assert!(has_alarm(&sidecar, "the responder doubts it: it stepped"), "{:?}", sidecar.alarms());
}

#[test]
fn expired_signatures_withdraw_a_group_that_says_so() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = settings(&responder, &router);
    settings.groups[0].expired = OnExpiry::Withdraw;
    let sidecar = Running::start(settings);
    router.until_known(V4);
    tell_expiry(&responder, now() - HOUR);
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("has expired"), "{}", sidecar.reasons(V4));
}

#[test]
fn answers_slower_than_the_bound_are_an_alarm_that_waits_for_its_grace() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = settings(&responder, &router);
    settings.probe.slow = Duration::from_nanos(1);
    let sidecar = Running::start(settings);
    until_health(&sidecar, "latency", Verdict::Bad);
    assert!(has_alarm(&sidecar, "2 of 100 answers took more than 1ns"), "{:?}", sidecar.alarms());
    assert!(router.knows(V4).is_some());
}

#[test]
fn an_address_that_goes_withdraws_and_a_default_route_that_goes_is_an_alarm() {
    in_namespace("inside_what_was_there_goes");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_what_was_there_goes() {
    for arguments in [
        "link set lo up",
        "link add pharos0 type veth peer name pharos1",
        "link set pharos0 up",
        "link set pharos1 up",
        "address add 10.0.0.2/24 dev pharos0",
        "route add default via 10.0.0.1",
        "address add 192.0.2.53/32 dev lo",
    ] {
        ip(arguments);
    }
    let responder = FakeResponder::start("192.0.2.53".parse().unwrap()).unwrap();
    let router = Collector::passive();
    let sidecar = Running::start(settings(&responder, &router));
    router.until_known(V4);
    until_health(&sidecar, "address 192.0.2.53", Verdict::Good);
    until_health(&sidecar, "IPv4 default route", Verdict::Good);

    ip("route del default");
    until_health(&sidecar, "IPv4 default route", Verdict::Bad);
    assert!(has_alarm(&sidecar, "was there and is gone"), "{:?}", sidecar.alarms());
    assert!(router.knows(V4).is_some());
    ip("route add default via 10.0.0.1");
    until_health(&sidecar, "IPv4 default route", Verdict::Good);

    ip("address del 192.0.2.53/32 dev lo");
    until_health(&sidecar, "address 192.0.2.53", Verdict::Bad);
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("address 192.0.2.53 on this host"), "{}", sidecar.reasons(V4));
    ip("address add 192.0.2.53/32 dev lo");
    router.until_known(V4);
}
