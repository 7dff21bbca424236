//! A responder as its clients and its operator meet it, on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use common::{PATIENCE, Zones, ask_udp, query, www};
use hickory_proto::op::{Message, ResponseCode};
use pharos_responder::{
    Config, Cookies, Readiness, ReloadError, Require, Responder, StartError, StatusFilter, ZoneLife,
    ZoneSource,
};

fn zone(serial: u32, address: u8) -> String {
    format!(
        "$TTL 300\n@ SOA ns hostmaster {serial} 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.{address}\n"
    )
}

fn read_tcp(stream: &mut TcpStream) -> Message {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    Message::from_vec(&reply).unwrap()
}

fn framed(query: &[u8]) -> Vec<u8> {
    [&(query.len() as u16).to_be_bytes()[..], query].concat()
}

#[test]
fn it_answers_by_udp_and_by_tcp_with_pipelined_queries() {
    let zones = Zones::new("answers", &[("example.com.zone", &zone(1, 80))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    assert_eq!(www(&handle, "example.com"), Some(80));

    let mut stream = TcpStream::connect(handle.listen()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut octets = Vec::new();
    for name in ["www.example.com", "no.example.com", "elsewhere.test"] {
        octets.extend(framed(&query(name, 1)));
    }
    // The last query arrives in two pieces.
    let (first, rest) = octets.split_at(octets.len() - 7);
    stream.write_all(first).unwrap();
    assert_eq!(read_tcp(&mut stream).metadata.response_code, ResponseCode::NoError);
    assert_eq!(read_tcp(&mut stream).metadata.response_code, ResponseCode::NXDomain);
    stream.write_all(rest).unwrap();
    assert_eq!(read_tcp(&mut stream).metadata.response_code, ResponseCode::Refused);
    responder.stop();
}

#[test]
fn the_root_is_served_from_its_own_file_name_and_listed_zones_from_any() {
    let zones = Zones::new("names", &[("@.zone", &zone(1, 1)), ("any.txt", &zone(1, 2))]);
    let responder = Responder::start(zones.config()).unwrap();
    assert_eq!(www(&responder.handle(), ""), Some(1));
    let list =
        vec![("A.Test.".to_owned(), zones.0.join("any.txt")), (".".to_owned(), zones.0.join("@.zone"))];
    let responder = Responder::start(Config { zones: ZoneSource::List(list), ..zones.config() }).unwrap();
    assert_eq!(www(&responder.handle(), "a.test"), Some(2));
    assert_eq!(www(&responder.handle(), ""), Some(1));
}

#[test]
fn a_reload_swaps_what_changed_and_only_that() {
    let zones = Zones::new("reload", &[("a.test.zone", &zone(1, 1)), ("b.test.zone", &zone(1, 1))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    zones.write("b.test.zone", &zone(2, 2));
    zones.write("c.test.zone", &zone(1, 3));
    let report = handle.reload().unwrap();
    assert_eq!((report.unchanged, report.loaded.len(), report.refused.len()), (1, 2, 0));
    let all = ["a.test", "b.test", "c.test"].map(|zone| www(&handle, zone));
    assert_eq!(all, [Some(1), Some(2), Some(3)]);
    let generation = handle.reload().unwrap().generation;
    assert_eq!(generation, report.generation, "nothing changed, nothing is swapped");
}

#[test]
fn a_broken_push_changes_nothing_and_is_shown_until_it_is_mended() {
    let zones = Zones::new("broken", &[("a.test.zone", &zone(1, 1))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    zones.write("a.test.zone", &zone(2, 2).replace("www A", "www AAAA"));
    let report = handle.reload().unwrap();
    let refused = &report.refused[0];
    assert_eq!((refused.name.as_str(), refused.keeps_serial), ("a.test.", Some(1)));
    assert!(refused.reason.contains("a.test.zone:5:"), "{}", refused.reason);
    assert!(refused.reason.contains("help: "), "{}", refused.reason);
    assert_eq!(www(&handle, "a.test"), Some(1));
    let status = handle.status(&StatusFilter { zones: vec!["A.test".into()] });
    assert_eq!((status.zones_refused, status.zones[0].state), (1, ZoneLife::Refused));
    assert_eq!(status.zones[0].serial, Some(1));
    assert_eq!(handle.reload().unwrap().refused.len(), 1, "it is told again");

    zones.write("a.test.zone", &zone(3, 3));
    assert_eq!(handle.reload().unwrap().loaded.len(), 1);
    assert_eq!(www(&handle, "a.test"), Some(3));
    assert_eq!(handle.status(&StatusFilter::default()).zones_refused, 0);
}

#[test]
fn a_zone_file_that_vanishes_leaves_its_zone_answering() {
    let zones = Zones::new("vanished", &[("a.test.zone", &zone(1, 1)), ("b.test.zone", &zone(1, 2))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    std::fs::remove_file(zones.0.join("a.test.zone")).unwrap();
    let report = handle.reload().unwrap();
    assert!(report.refused[0].reason.contains("vanished"), "{}", report.refused[0].reason);
    assert_eq!(www(&handle, "a.test"), Some(1));
    std::fs::rename(&zones.0, zones.0.with_extension("away")).unwrap();
    assert!(matches!(handle.reload(), Err(ReloadError::Directory { .. })));
    assert_eq!(www(&handle, "b.test"), Some(2));
    let status = handle.status(&StatusFilter::default());
    assert_eq!(status.zones_refused, 2, "a push that did not arrive is an alarm");
    std::fs::rename(zones.0.with_extension("away"), &zones.0).unwrap();
    assert_eq!(handle.reload().unwrap().unchanged, 1);
    assert_eq!(handle.status(&StatusFilter::default()).zones_refused, 1, "what vanished is still missed");
}

#[test]
fn a_zone_that_never_was_good_answers_servfail_also_below_a_good_parent() {
    let zones = Zones::new("notloaded", &[("test.zone", &zone(1, 1)), ("sub.test.zone", "nonsense")]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    let reply = ask_udp(handle.listen()[0], &query("www.sub.test", 1));
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(www(&handle, "test"), Some(1));
    assert_eq!(handle.status(&StatusFilter::default()).zones_not_loaded, 1);
    assert_eq!(handle.readiness(), Readiness::Ready, "one customer's zone is no reason to be off the net");
}

#[test]
fn included_files_count_as_the_zones_own() {
    let text = zone(1, 1) + "$INCLUDE hosts.inc\n";
    let zones = Zones::new("include", &[("hosts.inc", "more A 192.0.2.1\n"), ("a.test.zone", &text)]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    assert_eq!(handle.reload().unwrap().unchanged, 1);
    zones.write("hosts.inc", "more A 192.0.2.2\nother A 192.0.2.3\n");
    assert_eq!(handle.reload().unwrap().loaded[0].records, 6);
}

#[test]
fn one_wrongly_named_file_concerns_no_other_zone() {
    let good = zone(1, 1);
    let zones =
        Zones::new("misnamed", &[("a.test.zone", &good), ("b..test.zone", &good), ("A.TEST.zone", &good)]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    assert_eq!(www(&handle, "a.test"), Some(1));
    let status = handle.status(&StatusFilter::default());
    assert_eq!((status.zones_total, status.zones_refused, status.zones_not_loaded), (2, 1, 1));
    let refusals: Vec<_> = status.zones.iter().filter_map(|zone| zone.refusal.as_deref()).collect();
    assert!(
        refusals.iter().any(|refusal| refusal.contains("\"b..test\" is not a zone name")),
        "{refusals:?}"
    );
    assert!(refusals.iter().any(|refusal| refusal.contains("given twice")), "{refusals:?}");
    // The same push brings good news for another zone, and then all is put right.
    zones.write("c.test.zone", &zone(1, 3));
    let report = handle.reload().unwrap();
    assert_eq!((report.loaded.len(), report.refused.len()), (1, 2));
    assert_eq!(www(&handle, "c.test"), Some(3));
    std::fs::remove_file(zones.0.join("b..test.zone")).unwrap();
    std::fs::remove_file(zones.0.join("A.TEST.zone")).unwrap();
    // Of the two files for one zone the first by name was served, which is gone now.
    assert_eq!(handle.reload().unwrap().refused.len(), 0);
    assert_eq!(www(&handle, "a.test"), Some(1));
    let status = handle.status(&StatusFilter::default());
    assert_eq!((status.zones_total, status.zones_live), (2, 2));
}

#[test]
fn an_included_file_that_appears_later_is_read_by_the_next_reload() {
    let zones = Zones::new("later", &[("a.test.zone", &(zone(1, 1) + "$INCLUDE part.inc\n"))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    assert_eq!(handle.reload().unwrap().refused.len(), 1);
    zones.write("part.inc", "more A 192.0.2.2\n");
    assert_eq!(handle.reload().unwrap().loaded.len(), 1);
    assert_eq!(www(&handle, "a.test"), Some(1));
}

#[test]
fn files_outside_of_the_zones_directory_cannot_be_included() {
    let outside = std::env::temp_dir().join(format!("pharos-serve-secret-{}", std::process::id()));
    std::fs::write(&outside, "root:secret\n").unwrap();
    for path in [outside.display().to_string(), format!("../{}", outside.file_name().unwrap().display())] {
        let zones = Zones::new("outside", &[("a.test.zone", &(zone(1, 1) + "$INCLUDE " + &path + "\n"))]);
        let responder = Responder::start(zones.config()).unwrap();
        let status = responder.handle().status(&StatusFilter::default());
        let refusal = status.zones[0].refusal.as_deref().unwrap();
        assert!(refusal.contains("it is outside of"), "{refusal}");
        assert!(!refusal.contains("secret\n") && !refusal.contains("root:secret"), "{refusal}");
    }
    std::fs::remove_file(outside).unwrap();
}

#[test]
fn a_second_instance_is_refused_and_the_first_is_named() {
    let zones = Zones::new("second", &[("a.test.zone", &zone(1, 1))]);
    // Port 0 is not locked, so some port is named: one that no other test is given by the system.
    let first_port = 20_000 + std::process::id() as u16 % 10_000;
    let (config, first) = (first_port..first_port + 100)
        .map(|port| Config { listen: vec![SocketAddr::from(([127, 0, 0, 1], port))], ..zones.config() })
        .find_map(|config| Some((config.clone(), Responder::start(config).ok()?)))
        .unwrap();
    let Err(StartError::Net(error)) = Responder::start(config) else { panic!("a second instance started") };
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(www(&first.handle(), "a.test"), Some(1));
}

#[test]
fn a_start_on_one_address_beside_an_instance_on_all_takes_no_packet_of_it() {
    let zones = Zones::new("beside", &[("a.test.zone", &zone(1, 1))]);
    let all = Config { listen: vec!["0.0.0.0:0".parse().unwrap()], ..zones.config() };
    let first = Responder::start(all).unwrap();
    let port = first.handle().listen()[0].port();
    // The first address is free; of the second one TCP says that it is taken before any UDP socket is bound.
    let one = SocketAddr::from(([127, 0, 0, 1], port));
    let config = Config { listen: vec!["127.0.0.2:0".parse().unwrap(), one], ..zones.config() };
    let Err(StartError::Net(error)) = Responder::start(config) else { panic!("it started") };
    assert!(error.to_string().contains(&format!("bind TCP {one}")), "{error}");
    let reply = ask_udp(one, &query("www.a.test", 1));
    assert_eq!(reply.answers.len(), 1);
}

#[test]
fn queries_during_reloads_see_generations_in_order() {
    let zones = Zones::new("generations", &[("a.test.zone", &zone(1, 1))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut last = 1;
            while last < 20 {
                let now = www(&handle, "a.test").unwrap();
                // Workers take a new set at their next batch, so one may be a moment behind another.
                assert!(now + 1 >= last, "{now} came after {last}");
                last = last.max(now);
            }
        });
        for serial in 2..=20 {
            zones.write("a.test.zone", &zone(serial, serial as u8));
            assert_eq!(handle.reload().unwrap().loaded.len(), 1);
        }
        asker.join().unwrap();
    });
}

#[test]
fn what_has_arrived_is_answered_before_a_stop() {
    let zones = Zones::new("stop", &[("a.test.zone", &zone(1, 1))]);
    let responder = Responder::start(zones.config()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(responder.handle().listen()[0]).unwrap();
    for _ in 0..100 {
        socket.send(&query("www.a.test", 1)).unwrap();
    }
    responder.stop();
    let mut reply = [0; 512];
    for _ in 0..100 {
        socket.recv(&mut reply).unwrap();
    }
}

#[test]
fn metrics_tell_queries_zones_and_workers() {
    let zones = Zones::new("metrics", &[("a.test.zone", &zone(7, 1)), ("b.test.zone", "nonsense")]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    let registry = prometheus::Registry::new();
    handle.register(&registry).unwrap();
    assert!(handle.register(&registry).is_err(), "once is enough");
    for _ in 0..3 {
        www(&handle, "a.test");
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let families: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE pharos_responder_")).collect();
    assert_eq!(
        families,
        [
            "address_queries_total counter",
            "answers_total counter",
            "clock_trusted gauge",
            "dropped_total counter",
            "generation gauge",
            "info gauge",
            "opcodes_total counter",
            "qtypes_total counter",
            "queries_total counter",
            "rcodes_total counter",
            "ready gauge",
            "receive_errors_total counter",
            "reply_octets_total counter",
            "reply_sizes_total counter",
            "start_time_seconds gauge",
            "tcp_connections gauge",
            "tcp_connections_limit gauge",
            "tcp_events_total counter",
            "truncated_total counter",
            "unanswered_total counter",
            "worker_heartbeat_age_milliseconds gauge",
            "zone_findings gauge",
            "zone_load_milliseconds gauge",
            "zone_loaded_time_seconds gauge",
            "zone_octets gauge",
            "zone_queries_total counter",
            "zone_records gauge",
            "zone_refused gauge",
            "zone_serial gauge",
            "zone_state gauge",
            "zones gauge",
            "zones_with_findings gauge",
        ],
        "zone_signature_expiry_time_seconds is there for signed zones only"
    );
    for line in [
        "pharos_responder_queries_total{family=\"ipv4\",origin=\"probe\",transport=\"udp\"} 3",
        "pharos_responder_qtypes_total{origin=\"probe\",qtype=\"A\",transport=\"udp\"} 3",
        "pharos_responder_zone_serial{zone=\"a.test.\"} 7",
        "pharos_responder_zones{state=\"not_loaded\"} 1",
        "pharos_responder_zone_refused{zone=\"b.test.\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_client_that_asks_is_told_how_long_its_connection_may_idle() {
    let zones = Zones::new("keepalive", &[("a.test.zone", &zone(1, 1))]);
    let mut config = zones.config();
    config.tcp.idle = Duration::from_secs(7);
    let responder = Responder::start(config).unwrap();
    let mut message = query("www.a.test", 1);
    message[11] = 1;
    message.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x0b\0\0");
    let mut stream = TcpStream::connect(responder.handle().listen()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&framed(&message)).unwrap();
    let mut reply = [0; 200];
    let octets = stream.read(&mut reply).unwrap();
    assert!(reply[..octets].ends_with(&[0, 11, 0, 2, 0, 70]), "{:?}", &reply[..octets]);
}

#[test]
fn cookies_and_the_reporting_agent_are_told_by_udp_and_by_tcp() {
    let zones = Zones::new("cookies", &[("a.test.zone", &zone(1, 1))]);
    let current = "e5e973e5a6b2a43f48e7dc849e37bfcf".parse().unwrap();
    let cookies = Cookies { current, previous: None, require: Require::Never };
    let config = Config {
        cookies: Some(cookies),
        report_agent: Some(pharos_wire::Name::from_text("agent.example.").unwrap()),
        ..zones.config()
    };
    let responder = Responder::start(config).unwrap();
    let server = responder.handle().listen()[0];
    let mut message = query("www.a.test", 1);
    message[11] = 1;
    message.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08CCCCCCCC");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&message, server).unwrap();
    let mut by_udp = [0; 512];
    let octets = socket.recv(&mut by_udp).unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&framed(&message)).unwrap();
    let mut by_tcp = [0; 512];
    let octets_by_tcp = stream.read(&mut by_tcp).unwrap();
    for reply in [&by_udp[..octets], &by_tcp[..octets_by_tcp]] {
        let holds = |part: &[u8]| reply.windows(part.len()).any(|octets| octets == part);
        // COOKIE with 24 octets, of which ours begin with version 1; Report-Channel with the agent's name.
        assert!(holds(b"\0\x0a\0\x18CCCCCCCC\x01\0\0\0"), "{reply:?}");
        assert!(holds(b"\0\x12\0\x0f\x05agent\x07example\0"), "{reply:?}");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_holds_up_nobody() {
    let zones = Zones::new("pipe", &[("a.test.zone", &zone(1, 1)), ("b.test.zone", &zone(1, 1))]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    let pipe = zones.0.join("a.test.zone");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    zones.write("b.test.zone", &zone(2, 2));
    let report = handle.reload().unwrap();
    assert_eq!((report.loaded.len(), report.refused.len()), (1, 1), "{report}");
    assert_eq!((www(&handle, "a.test"), www(&handle, "b.test")), (Some(1), Some(2)));
}

#[test]
fn starting_without_addresses_or_zones_is_refused_with_a_remedy() {
    let nowhere = ZoneSource::Directory(Path::new("/nonexistent/zones").into());
    let error = Responder::start(Config::new(Vec::new(), nowhere.clone())).err().unwrap();
    assert!(error.remedy().unwrap().contains("--listen"));
    let error = Responder::start(Config::new(vec!["127.0.0.1:0".parse().unwrap()], nowhere)).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/zones"), "{error}");
    assert!(error.remedy().unwrap().contains("NAME.zone"));
}
