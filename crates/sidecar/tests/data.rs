//! What the responder says about its data: alarms, and serials that must agree, never a route by themselves.

mod common;

use common::responder::status_of;
use common::{Collector, FakeResponder, LOCALHOST, Running, V4, active, config, status, until};

fn start(responder: &FakeResponder, router: &Collector) -> Running {
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.status = Some(status(responder.status));
    let sidecar = Running::start(settings);
    router.until_known(V4);
    sidecar
}

#[test]
fn a_refused_zone_raises_an_alarm_and_leaves_the_route() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);

    let refusal = "example.com.zone:3:7: no such type";
    responder.change(|manner| manner.status = Some(status_of("refused", 7, Some(refusal))));
    let alarm = until("an alarm is raised", || {
        sidecar.alarms().into_iter().find(|alarm| alarm.starts_with("zone example.com. refused"))
    });
    assert_eq!(
        alarm,
        format!("zone example.com. refused: new data refused, serial 7 still served: {refusal}")
    );

    responder.change(|manner| manner.status = Some(status_of("live", 7, None)));
    until("the alarm is over", || {
        sidecar.alarms().iter().all(|alarm| !alarm.starts_with("zone")).then_some(())
    });
    assert_eq!(sidecar.0.why(V4).unwrap().history.len(), 1, "the route never moved");
}

#[test]
fn a_status_that_cannot_be_read_raises_an_alarm_and_leaves_the_route() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    for body in [None, Some("<html>".to_owned())] {
        responder.change(|manner| manner.status = body);
        until("an alarm is raised", || {
            sidecar.alarms().into_iter().find(|alarm| alarm.starts_with("responder status unreachable"))
        });
        assert!(router.knows(V4).is_some());
        responder.change(|manner| manner.status = Some(status_of("live", 7, None)));
        until("the alarm is over", || sidecar.alarms().is_empty().then_some(()));
    }
    assert_eq!(sidecar.0.why(V4).unwrap().history.len(), 1, "the route never moved");
}

#[test]
fn answers_older_than_the_status_says_degrade() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    responder.change(|manner| manner.status = Some(status_of("live", 8, None)));
    sidecar.until_level(V4, "degraded");
    assert!(sidecar.reasons(V4).contains("serial 7, status says 8"), "{}", sidecar.reasons(V4));
    assert!(sidecar.alarms().iter().any(|alarm| alarm.starts_with("required zones fail")));
    responder.change(|manner| manner.serial = 8);
    sidecar.until_level(V4, "normal");
    assert!(router.knows(V4).is_some());
    assert!(sidecar.alarms().iter().all(|alarm| !alarm.starts_with("required zones fail")));
}

#[test]
fn a_reload_moves_serial_and_status_together_and_no_route() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    for serial in 8..40 {
        responder.change(|manner| {
            manner.serial = serial;
            manner.status = Some(status_of("live", serial, None));
        });
        let good = format!("serial {serial}");
        until("the new serial is seen", || {
            let signals = sidecar.0.why(V4).unwrap().signals;
            signals.iter().any(|signal| signal.last == good).then_some(())
        });
    }
    assert_eq!(sidecar.0.why(V4).unwrap().history.len(), 1, "the route never moved");
}

#[test]
fn metrics_status_and_why_agree() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    until("no alarm is left from the start", || sidecar.alarms().is_empty().then_some(()));
    assert_eq!(sidecar.0.ready(), Ok(()));
    sidecar.0.drain("to see it", "ada", None, None).unwrap();
    sidecar.until_level(V4, "withdrawn");

    let text = sidecar.metrics();
    for line in [
        "pharos_sidecar_level{group=\"main\",prefix=\"192.0.2.0/24\"} 4",
        "pharos_sidecar_alarms{kind=\"drain-in-force\"} 1",
        "pharos_sidecar_alarms{kind=\"zone-refused\"} 0",
        "pharos_sidecar_transitions_total{from=\"draining\",prefix=\"192.0.2.0/24\",to=\"withdrawn\"} 1",
        "pharos_sidecar_hold_down_left_seconds{prefix=\"192.0.2.0/24\"} 0",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    for part in [
        "pharos_sidecar_probes_total{family=\"ipv4\",result=\"pass\",transport=\"udp\"}",
        "pharos_sidecar_probe_duration_seconds_count{family=\"ipv4\",transport=\"tcp\"}",
        "pharos_sidecar_session_established{",
        "pharos_sidecar_session_flaps_total{",
        "pharos_sidecar_signal{kind=\"signatures\",signal=\"signatures of group main\"} 0",
        "pharos_sidecar_signal{kind=\"heartbeats\",signal=\"responder's heartbeats\"} -1",
        "pharos_sidecar_signal_age_seconds{kind=\"clock\",signal=\"clock of this host\"} 0.",
    ] {
        assert!(text.contains(part), "{part} not in\n{text}");
    }

    let status = sidecar.0.status();
    assert_eq!(status.prefixes[0].level, sidecar.0.why(V4).unwrap().level);
    assert_eq!(status.transitions[0].to.name(), "withdrawn");
    let json = serde_json::to_string(&status).unwrap();
    let back: pharos_sidecar::Status = serde_json::from_str(&json).unwrap();
    assert_eq!(back.to_string(), status.to_string(), "a client prints what the sidecar said");
    for part in ["drain in force", "192.0.2.0/24", "withdrawn", "AS64500 Established"] {
        assert!(status.to_string().contains(part), "{part} not in\n{status}");
    }
}

#[test]
fn a_prefix_that_is_not_ours_is_refused_with_those_that_are() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = start(&responder, &router);
    let said = sidecar.0.why("198.51.100.0/24").unwrap_err().to_string();
    assert_eq!(said, "prefix 198.51.100.0/24 is not configured; configured are 192.0.2.0/24");
    assert!(sidecar.0.why("192.0.2.1/24").unwrap_err().to_string().contains("the network is 192.0.2.0/24"));
}
