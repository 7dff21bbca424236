//! What a restart finds when images of accepted zones are kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use common::{Zones, www};
use pharos_responder::{
    Config, DnssecConfig, ReloadError, Responder, Signatures, StartError, Status, StatusFilter, ZoneLife,
    ZoneSource,
};

const FILE: &str = "example.com.zone";
const IMAGE: &str = "example.com.image";
const SIGNED: &str = include_str!("signed/child-good.zone");
const EXPIRED: &str = include_str!("signed/child-expired.zone");

fn zone(serial: u32, address: u8) -> String {
    format!(
        "$TTL 300\n@ SOA ns hostmaster {serial} 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.{address}\n"
    )
}

/// Zone files, and a directory of images beside them.
struct Node {
    zones: Zones,
    config: Config,
}

impl Node {
    fn new(test: &str, files: &[(&str, &str)]) -> Self {
        let zones = Zones::new(&format!("images-{test}"), files);
        let images = Some(zones.0.join("images"));
        let config = Config { images, ..zones.config() };
        Self { zones, config }
    }

    fn start(&self) -> Responder {
        Responder::start(self.config.clone()).unwrap()
    }

    /// Starts and stops: images of what was accepted are on the disk then.
    fn run_once(&self) {
        self.start().stop();
    }

    fn image(&self, name: &str) -> PathBuf {
        self.zones.0.join("images").join(name)
    }
}

fn status(responder: &Responder) -> Status {
    responder.handle().status(&StatusFilter::default())
}

/// State, serial, last octet of the address of www, and whether an image answers.
fn seen(responder: &Responder) -> (ZoneLife, Option<u32>, Option<u8>, bool) {
    let zone = status(responder).zones.remove(0);
    (zone.state, zone.serial, www(&responder.handle(), zone.name.trim_end_matches('.')), zone.from_image)
}

#[test]
fn unchanged_text_is_loaded_from_its_image_and_answers_alike() {
    let node = Node::new("same", &[(FILE, &zone(1, 80))]);
    let first = node.start();
    assert_eq!(seen(&first), (ZoneLife::Live, Some(1), Some(80), false));
    let before = status(&first);
    first.stop();
    let second = node.start();
    assert_eq!(seen(&second), (ZoneLife::Live, Some(1), Some(80), true));
    let after = status(&second);
    assert_eq!(after.digest, before.digest);
    assert_eq!(after.zones[0].octets, before.zones[0].octets);
    // From then on it is a zone like any other.
    assert_eq!(second.handle().reload().unwrap().unchanged, 1);
    node.zones.write(FILE, &zone(2, 81));
    second.handle().reload().unwrap();
    assert_eq!(seen(&second), (ZoneLife::Live, Some(2), Some(81), false));
    second.stop();
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(2), Some(81), true));
}

#[test]
fn text_that_changed_while_nobody_looked_is_read() {
    let node = Node::new("changed", &[(FILE, &zone(1, 80))]);
    node.run_once();
    node.zones.write(FILE, &zone(2, 81));
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(2), Some(81), false));
}

#[test]
fn of_text_that_was_broken_while_nobody_looked_the_last_good_data_answer_with_an_alarm() {
    let node = Node::new("broken", &[(FILE, &zone(1, 80))]);
    node.run_once();
    node.zones.write(FILE, "www A 192.0.2.256\n");
    let responder = node.start();
    assert_eq!(seen(&responder), (ZoneLife::Refused, Some(1), Some(80), true));
    let told = status(&responder).zones.remove(0).refusal.unwrap();
    assert!(told.contains("`192.0.2.256` is not an IPv4 address"), "{told}");
    // However often it starts, and until the text is good.
    responder.stop();
    let responder = node.start();
    assert_eq!(seen(&responder), (ZoneLife::Refused, Some(1), Some(80), true));
    node.zones.write(FILE, &zone(2, 81));
    responder.handle().reload().unwrap();
    assert_eq!(seen(&responder), (ZoneLife::Live, Some(2), Some(81), false));
}

#[test]
fn a_listed_zone_whose_file_is_gone_answers_from_its_image() {
    let mut node = Node::new("gone", &[("a.txt", &zone(1, 80))]);
    let file = node.zones.0.join("a.txt");
    node.config.zones = ZoneSource::List(vec![("a.test".into(), file.clone())]);
    node.run_once();
    std::fs::remove_file(file).unwrap();
    assert_eq!(seen(&node.start()), (ZoneLife::Refused, Some(1), Some(80), true));
}

#[test]
fn an_image_that_is_damaged_or_of_another_key_is_left_aside_for_the_text() {
    let node = Node::new("damaged", &[(FILE, &zone(1, 80))]);
    node.run_once();
    let good = std::fs::read(node.image(IMAGE)).unwrap();
    let half = &good[..good.len() / 2];
    let mut bit = good.clone();
    bit[good.len() / 2] ^= 4;
    for (damaged, why) in [(half, "half"), (&bit, "one bit"), (b"", "empty"), (&[7; 5000], "noise")] {
        std::fs::write(node.image(IMAGE), damaged).unwrap();
        assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(1), Some(80), false), "{why}");
        // And it has been written anew.
        assert_eq!(std::fs::read(node.image(IMAGE)).unwrap(), good, "{why}");
    }
    std::fs::remove_file(node.image("key")).unwrap();
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(1), Some(80), false));
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(1), Some(80), true));
    // Nothing else is left to be served.
    node.zones.write(FILE, "broken\n");
    std::fs::write(node.image(IMAGE), half).unwrap();
    assert_eq!(status(&node.start()).zones[0].state, ZoneLife::NotLoaded);
}

#[test]
fn a_directory_that_cannot_be_used_keeps_nobody_from_answering() {
    let mut node = Node::new("unusable", &[(FILE, &zone(1, 80)), ("images", "a file stands here")]);
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(1), Some(80), false));
    node.config.images = Some("/proc/no/such/place".into());
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(1), Some(80), false));
}

#[test]
fn the_image_of_a_zone_that_is_no_longer_configured_goes_but_not_because_nobody_can_list_zones() {
    let mut node = Node::new("retired", &[(FILE, &zone(1, 80)), ("b.test.zone", &zone(1, 1))]);
    node.run_once();
    assert!(node.image(IMAGE).exists() && node.image("b.test.image").exists());
    let zones = std::mem::replace(&mut node.config.zones, ZoneSource::Directory("/no such directory".into()));
    let failed = Responder::start(node.config.clone()).err().unwrap();
    assert!(matches!(failed, StartError::Zones(ReloadError::Directory { .. })));
    assert!(node.image(IMAGE).exists() && node.image("b.test.image").exists());
    node.config.zones = zones;
    std::fs::remove_file(node.zones.0.join("b.test.zone")).unwrap();
    node.run_once();
    assert!(node.image(IMAGE).exists() && !node.image("b.test.image").exists());
}

#[test]
fn signatures_are_not_verified_again_unless_more_of_them_shall_be() {
    let mut node = Node::new("signed", &[("child.test.zone", SIGNED)]);
    node.config.dnssec = DnssecConfig { verify: Signatures::None, ..DnssecConfig::default() };
    node.run_once();
    node.config.dnssec.verify = Signatures::All;
    let responder = node.start();
    assert!(!seen(&responder).3, "fewer had been verified");
    let before = status(&responder).zones.remove(0).signed.unwrap();
    assert!(before.verified > 0);
    responder.stop();
    let responder = node.start();
    assert!(seen(&responder).3);
    assert_eq!(status(&responder).zones[0].signed.as_ref(), Some(&before));
    responder.stop();
    node.config.dnssec.verify = Signatures::None;
    assert!(seen(&node.start()).3, "more had been verified");
}

#[test]
fn what_the_clock_says_of_an_image_is_said_at_each_start() {
    let node = Node::new("expired", &[("child.test.zone", EXPIRED)]);
    node.run_once();
    let responder = node.start();
    let status = status(&responder);
    assert!(status.zones[0].from_image);
    assert!(status.zones[0].findings.iter().any(|finding| finding.contains("expired")), "{status:?}");
}

#[test]
fn a_key_with_too_open_a_mode_costs_no_data_and_is_replaced_with_all_images() {
    let node = Node::new("open-key", &[(FILE, &zone(1, 80)), ("b.test.zone", &zone(1, 1))]);
    node.run_once();
    let key = std::fs::read(node.image("key")).unwrap();
    std::fs::set_permissions(node.image("key"), Permissions::from_mode(0o640)).unwrap();
    node.zones.write(FILE, "broken\n");
    let states = |responder: &Responder| {
        let mut zones: Vec<_> = status(responder)
            .zones
            .iter()
            .map(|zone| (zone.name.clone(), zone.state, zone.serial, zone.from_image))
            .collect();
        zones.sort_by(|one, other| one.0.cmp(&other.0));
        let www = ["b.test", "example.com"].map(|zone| www(&responder.handle(), zone));
        (zones, www)
    };
    let all = (
        vec![
            ("b.test.".to_owned(), ZoneLife::Live, Some(1), true),
            ("example.com.".to_owned(), ZoneLife::Refused, Some(1), true),
        ],
        [Some(1), Some(80)],
    );
    for former_is_there_at_its_end in [true, false, false] {
        let responder = node.start();
        assert_eq!(states(&responder), all);
        responder.stop();
        assert_eq!(node.image("key.former").exists(), former_is_there_at_its_end);
    }
    assert_ne!(std::fs::read(node.image("key")).unwrap(), key);
}

#[test]
fn an_image_of_a_former_key_that_others_may_write_is_not_used_and_neither_is_lost() {
    let node = Node::new("forgeable", &[(FILE, &zone(1, 80))]);
    node.run_once();
    std::fs::set_permissions(node.image("key"), Permissions::from_mode(0o640)).unwrap();
    std::fs::set_permissions(node.image(IMAGE), Permissions::from_mode(0o666)).unwrap();
    node.zones.write(FILE, "broken\n");
    for _ in 0..2 {
        assert_eq!(status(&node.start()).zones[0].state, ZoneLife::NotLoaded);
    }
    // A person has looked at it, and found it good.
    std::fs::set_permissions(node.image(IMAGE), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(seen(&node.start()), (ZoneLife::Refused, Some(1), Some(80), true));
}

#[test]
fn a_key_that_cannot_be_read_costs_images_for_as_long_as_that_lasts_and_no_longer() {
    let node = Node::new("unreadable-key", &[(FILE, &zone(1, 80))]);
    node.run_once();
    let good = std::fs::read(node.image(IMAGE)).unwrap();
    let key = std::fs::read(node.image("key")).unwrap();
    std::fs::remove_file(node.image("key")).unwrap();
    std::fs::create_dir(node.image("key")).unwrap();
    node.zones.write(FILE, &zone(2, 81));
    assert_eq!(seen(&node.start()), (ZoneLife::Live, Some(2), Some(81), false));
    node.zones.write(FILE, "broken\n");
    assert_eq!(status(&node.start()).zones[0].state, ZoneLife::NotLoaded);
    assert_eq!(std::fs::read(node.image(IMAGE)).unwrap(), good, "nothing was written without the key");
    std::fs::remove_dir(node.image("key")).unwrap();
    std::fs::write(node.image("key"), key).unwrap();
    std::fs::set_permissions(node.image("key"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(seen(&node.start()), (ZoneLife::Refused, Some(1), Some(80), true));
}
