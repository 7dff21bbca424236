//! What an operator relies on: counts that are kept apart, heartbeats, room for descriptors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use common::{Zones, ask_udp, query, scrape, www};
use hickory_proto::op::ResponseCode;
use pharos_responder::{Config, Handle, Responder, StatusFilter, Version};

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
        for (origin, expected) in [("probe", 3), ("client", 0), ("management", 0)] {
            let (before, after) = if label < "origin" { (label, "") } else { ("", label) };
            let series =
                format!("pharos_responder_{family}{{{before}origin=\"{origin}\",{after}transport=\"udp\"}}");
            assert_eq!(value(&text, &series), Some(expected), "{series} in\n{text}");
        }
    }
    let zone = |origin| {
        value(&text, &format!("pharos_responder_zone_queries_total{{origin=\"{origin}\",zone=\"a.test.\"}}"))
    };
    assert_eq!((zone("probe"), zone("client"), zone("management")), (Some(3), Some(0), None));
}

#[test]
fn tcp_threads_beat_like_the_workers_and_each_zone_tells_its_state() {
    let zones = Zones::new("beats", &[("a.test.zone", ZONE), ("b.test.zone", "nonsense")]);
    let responder = Responder::start(zones.config()).unwrap();
    let handle = responder.handle();
    drop(TcpStream::connect(handle.listen()[0]).unwrap());
    let text = scrape(&handle);
    for worker in ["tcp-0", "udp-0"] {
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

/// What a name of class CH says, if anything.
fn chaos(server: SocketAddr, name: &str) -> Result<String, ResponseCode> {
    let mut question = query(name, 16);
    let class = question.len() - 1;
    question[class] = 3;
    let reply = ask_udp(server, &question);
    match reply.answers.first() {
        Some(record) => Ok(record.data.to_string().trim_matches('"').to_owned()),
        None => Err(reply.metadata.response_code),
    }
}

#[test]
fn operators_are_told_version_and_digest_at_their_own_addresses_and_strangers_are_not() {
    let zones = Zones::new("desk", &[("a.test.zone", ZONE)]);
    let config = Config { management_dns: vec!["127.0.0.1:0".parse().unwrap()], ..zones.config() };
    let responder = Responder::start(config.clone()).unwrap();
    let handle = responder.handle();
    let (service, desk) = (handle.listen()[0], handle.management_dns()[0]);
    for name in ["version.bind", "version.server", "digest.pharos"] {
        assert_eq!(chaos(service, name), Err(ResponseCode::Refused), "{name}");
    }
    assert_eq!(chaos(service, "id.server").as_deref(), Ok("a.test"));
    assert_eq!(chaos(desk, "version.bind"), Ok(concat!("pharos ", env!("CARGO_PKG_VERSION")).to_owned()));
    let digest = chaos(desk, "digest.pharos").unwrap();
    assert_eq!(digest, handle.status(&StatusFilter::default()).digest);
    assert!(digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digest}");
    // The same zones are answered there, by TCP as well, and all of it is counted apart.
    assert_eq!(ask_udp(desk, &query("www.a.test", 1)).answers.len(), 1);
    drop(TcpStream::connect(desk).unwrap());
    let text = scrape(&handle);
    let series = "pharos_responder_queries_total{family=\"ipv4\",origin=\"management\",transport=\"udp\"}";
    assert_eq!(value(&text, series), Some(3), "{text}");
    let series = "pharos_responder_zone_queries_total{origin=\"management\",zone=\"a.test.\"}";
    assert_eq!(value(&text, series), Some(1), "{text}");
    for worker in ["management-udp", "management-tcp"] {
        let series = format!("pharos_responder_worker_heartbeat_age_milliseconds{{worker=\"{worker}\"}}");
        assert!(value(&text, &series).is_some(), "{series} is not in\n{text}");
    }
    drop(responder);

    let shown = Responder::start(Config { version: Version::Shown, ..zones.config() }).unwrap();
    let told = chaos(shown.handle().listen()[0], "version.server");
    assert_eq!(told, Ok(concat!("pharos ", env!("CARGO_PKG_VERSION")).to_owned()));
}

#[test]
fn nodes_with_the_same_zones_have_one_digest_until_one_of_them_gets_other_data() {
    let digest = |handle: &Handle| handle.status(&StatusFilter::default()).digest;
    let files = [("a.test.zone", ZONE), ("b.test.zone", "nonsense")];
    let (one, other) = (Zones::new("digest-one", &files), Zones::new("digest-other", &files));
    other.write("a.test.zone", &format!("; laid out in another way\n{ZONE}"));
    let (first, second) =
        (Responder::start(one.config()).unwrap(), Responder::start(other.config()).unwrap());
    let before = digest(&first.handle());
    assert_eq!(before, digest(&second.handle()));
    // The same serial hides nothing.
    other.write("a.test.zone", &ZONE.replace("www A 192.0.2.1", "www A 192.0.2.2"));
    second.handle().reload().unwrap();
    assert_ne!(digest(&second.handle()), before);
    other.write("a.test.zone", ZONE);
    second.handle().reload().unwrap();
    assert_eq!(digest(&second.handle()), before);
}

#[test]
fn queries_are_counted_by_the_address_that_was_asked_by_both_transports() {
    let zones = Zones::new("addresses", &[("a.test.zone", ZONE)]);
    let listen = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| address.parse().unwrap());
    let responder = Responder::start(Config { listen: listen.to_vec(), ..zones.config() }).unwrap();
    let handle = responder.handle();
    let [one, two] = handle.listen()[..] else { panic!("two addresses") };
    let asked = query("www.a.test", 1);
    for server in [one, two, two] {
        ask_udp(server, &asked);
    }
    let mut stream = std::net::TcpStream::connect(two).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let framed = [&u16::try_from(asked.len()).unwrap().to_be_bytes(), &asked[..]].concat();
    stream.write_all(&framed).unwrap();
    stream.read_exact(&mut [0; 14]).unwrap();
    let traffic = handle.status(&StatusFilter::default()).traffic;
    let counts: Vec<_> = traffic.iter().map(|it| (it.address.as_str(), it.client, it.probe)).collect();
    assert_eq!(counts, [(one.to_string().as_str(), 0, 1), (two.to_string().as_str(), 0, 3)]);
    let text = scrape(&handle);
    let series = format!(
        "pharos_responder_address_queries_total{{address=\"{two}\",origin=\"probe\",transport=\"tcp\"}} 1\n"
    );
    assert!(text.contains(&series), "{text}");
}
