//! What an operator relies on: counts that are kept apart, heartbeats, room for descriptors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::net::TcpStream;

use common::{Zones, scrape, www};
use pharos_responder::Responder;

const ZONE: &str =
    "$TTL 300\n@ SOA ns host 7 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n";

/// The value of one series, its labels in alphabetic order.
fn value(text: &str, series: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[test]
fn what_this_host_asks_is_counted_apart_in_every_family_about_queries() {
    let zones = Zones::new("origins", &[("a.test.zone", ZONE)]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    (0..3).for_each(|_| assert_eq!(www(&handle, "a.test"), Some(1)));
    let text = scrape(&handle);
    for (family, label) in [
        ("queries_total", "family=\"ipv4\","),
        ("opcodes_total", "opcode=\"query\","),
        ("qtypes_total", "qtype=\"A\","),
        ("rcodes_total", "rcode=\"noerror\","),
        ("answers_total", "kind=\"answer\","),
        ("reply_sizes_total", "octets=\"64\","),
    ] {
        for (origin, expected) in [("probe", 3), ("client", 0)] {
            let (before, after) = if label < "origin" { (label, "") } else { ("", label) };
            let series =
                format!("pharos_responder_{family}{{{before}origin=\"{origin}\",{after}transport=\"udp\"}}");
            assert_eq!(value(&text, &series), Some(expected), "{series} in\n{text}");
        }
    }
    let zone = |origin| {
        value(&text, &format!("pharos_responder_zone_queries_total{{origin=\"{origin}\",zone=\"a.test.\"}}"))
    };
    assert_eq!((zone("probe"), zone("client")), (Some(3), Some(0)));
}

#[test]
fn the_tcp_thread_beats_like_the_workers_and_each_zone_tells_its_state() {
    let zones = Zones::new("beats", &[("a.test.zone", ZONE), ("b.test.zone", "nonsense")]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    drop(TcpStream::connect(handle.listen()[0]).unwrap());
    let text = scrape(&handle);
    for worker in ["tcp", "udp-0"] {
        let series = format!("pharos_responder_worker_heartbeat_age_milliseconds{{worker=\"{worker}\"}}");
        assert!(value(&text, &series).is_some(), "{series} is not in\n{text}");
    }
    for (zone, states) in [("a.test.", [1, 0, 0]), ("b.test.", [0, 0, 1])] {
        let state = |state| {
            value(&text, &format!("pharos_responder_zone_state{{state=\"{state}\",zone=\"{zone}\"}}"))
        };
        assert_eq!(["live", "refused", "not_loaded"].map(state), states.map(Some), "{zone}");
    }
    let info = text.lines().find(|line| line.starts_with("pharos_responder_info{")).unwrap();
    assert!(info.contains("commit=\"") && info.contains("rustc=\"1."), "{info}");
}
