//! A responder without a descriptor left, alone in its process, since the limit is the whole process'.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use common::{PATIENCE, Zones, scrape, www};
use pharos_responder::{Config, Responder, ZoneSource};

fn zone(address: u8) -> String {
    format!(
        "$TTL 300\n@ SOA ns host {address} 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.{address}\n"
    )
}

#[test]
fn strangers_get_what_the_reserve_leaves_and_a_push_without_descriptors_is_read_later_by_itself() {
    const LIMIT: u64 = 400;
    let own = std::process::id().to_string();
    let lowered =
        Command::new("prlimit").args(["--pid", &own, &format!("--nofile={LIMIT}:{LIMIT}")]).status();
    assert!(lowered.is_ok_and(|status| status.success()), "prlimit (util-linux) sets the limit");

    let zones = Zones::new("descriptors", &[("a.test.zone", &zone(1))]);
    let listed = ZoneSource::List(vec![("a.test".into(), zones.0.join("a.test.zone"))]);
    for (source, told_by, serial) in [(zones.config().zones, "directory", 2), (listed, "a.test.zone", 3)] {
        let mut config = Config { zones: source, ..zones.config() };
        config.tcp.idle = 100 * PATIENCE;
        let responder = Responder::start(config).unwrap();
        let handle = responder.handle();
        let text = scrape(&handle);
        let bound =
            text.lines().find_map(|line| line.strip_prefix("pharos_responder_tcp_connections_limit "));
        let bound: u64 = bound.unwrap().parse().unwrap();
        assert!((16..=LIMIT - 160).contains(&bound), "{bound}");

        // Renaming takes no descriptor, so the push can come when there is none.
        let pushed = zones.0.join("pushed");
        std::fs::write(&pushed, zone(serial)).unwrap();
        // Both ends of each connection are this process'.
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect(handle.listen()[0]) {
            held.push(stream);
        }
        std::fs::rename(&pushed, zones.0.join("a.test.zone")).unwrap();
        let refusal = match handle.reload() {
            Err(error) => format!("{error}; {}", error.remedy().unwrap()),
            Ok(report) => report.to_string(),
        };
        assert!(refusal.contains(told_by) && refusal.contains("Too many open files"), "{refusal}");
        assert!(refusal.contains("LimitNOFILE") && refusal.contains("tried again by itself"), "{refusal}");
        drop(held);
        let begun = Instant::now();
        while www(&handle, "a.test") != Some(serial) {
            assert!(begun.elapsed() < PATIENCE, "the push is lost");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
