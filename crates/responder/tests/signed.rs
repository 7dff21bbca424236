//! What becomes of signed zones when they load, by the clock and beside their parent. The zone files stand in
//! `signed/`, with the script that made them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::time::Duration;

use common::{Zones, scrape, www};
use pharos_responder::{
    Broken, Config, Handle, ReloadReport, Responder, Signatures, Status, StatusFilter, ZoneLife,
};

const GOOD: &str = include_str!("signed/child-good.zone");
const NEWER: &str = include_str!("signed/child-newer.zone");
const EXPIRED: &str = include_str!("signed/child-expired.zone");
const AHEAD: &str = include_str!("signed/child-ahead.zone");
const OTHER_KEY: &str = include_str!("signed/child-other-key.zone");
const UNSIGNED: &str = include_str!("signed/child-unsigned.zone");
const STANDBY: &str = include_str!("signed/child-standby.zone");
const PARENT: &str = include_str!("signed/parent-good.zone");
const PARENT_OTHER_DS: &str = include_str!("signed/parent-other-ds.zone");
const PARENT_AHEAD: &str = include_str!("signed/parent-ahead.zone");

const CHILD_FILE: &str = "child.test.zone";
const PARENT_FILE: &str = "test.zone";

struct Node {
    zones: Zones,
    responder: Responder,
}

impl Node {
    fn start(test: &str, files: &[(&str, &str)]) -> Self {
        Self::with(test, files, |_| {})
    }

    fn with(test: &str, files: &[(&str, &str)], set: impl FnOnce(&mut Config)) -> Self {
        let zones = Zones::new(&format!("signed-{test}"), files);
        let mut config = zones.config();
        set(&mut config);
        let responder = Responder::start(config).unwrap();
        Self { zones, responder }
    }

    fn handle(&self) -> Handle {
        self.responder.handle()
    }

    fn push(&self, files: &[(&str, &str)]) -> ReloadReport {
        files.iter().for_each(|(name, text)| self.zones.write(name, text));
        self.handle().reload().unwrap()
    }

    fn status(&self) -> Status {
        self.handle().status(&StatusFilter::default())
    }

    /// State of the child, its serial by DNS, and all findings.
    fn child(&self) -> (ZoneLife, Option<u8>, String) {
        let status = self.status();
        let zone = status.zones.iter().find(|zone| zone.name == "child.test.").unwrap();
        (zone.state, www(&self.handle(), "child.test"), zone.findings.join("\n"))
    }
}

#[test]
fn good_signatures_are_told_with_their_first_end_and_raise_no_alarm() {
    let node = Node::start("good", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT)]);
    assert_eq!(node.child(), (ZoneLife::Live, Some(1), String::new()));
    let status = node.status();
    assert!(status.clock.trusted, "{:?}", status.clock);
    assert_eq!(status.zones_with_findings, 0);
    let signed = status.zones[0].signed.as_ref().unwrap();
    assert_eq!((signed.earliest_expiry_unix, signed.latest_inception_unix), (3_471_292_800, 1_577_836_800));
    let metrics = scrape(&node.handle());
    for line in [
        "pharos_responder_zone_signature_expiry_time_seconds{zone=\"child.test.\"} 3471292800",
        "pharos_responder_zone_findings{zone=\"child.test.\"} 0",
        "pharos_responder_zones_with_findings 0",
        "pharos_responder_clock_trusted 1",
        "pharos_responder_zone_queries_total{origin=\"client\",zone=\"child.test.\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn expired_signatures_do_not_replace_good_ones() {
    let node = Node::start("expired", &[(CHILD_FILE, GOOD)]);
    let report = node.push(&[(CHILD_FILE, EXPIRED)]);
    let [refused] = &report.refused[..] else { panic!("{report:?}") };
    assert_eq!((refused.name.as_str(), refused.keeps_serial), ("child.test.", Some(1)));
    for words in [
        "child.test.zone:",
        "expired",
        "and 5 more by the clock",
        "help: sign the zone again",
        "serial 1, which answers",
    ] {
        assert!(refused.reason.contains(words), "{words} is not in {}", refused.reason);
    }
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial, findings.as_str()), (ZoneLife::Refused, Some(1), ""));
    assert_eq!(node.push(&[]).refused.len(), 1, "it is told again");
    assert_eq!(node.push(&[(CHILD_FILE, NEWER)]).loaded.len(), 1);
    assert_eq!(node.child(), (ZoneLife::Live, Some(5), String::new()));
}

#[test]
fn signatures_that_begin_later_do_not_replace_good_ones() {
    let node = Node::start("ahead", &[(CHILD_FILE, GOOD)]);
    let report = node.push(&[(CHILD_FILE, AHEAD)]);
    assert!(report.refused[0].reason.contains("begins only in"), "{report}");
    assert_eq!(node.child().1, Some(1));
}

#[test]
fn data_that_expired_load_again_after_a_restart_and_are_an_alarm() {
    let zones = [(CHILD_FILE, EXPIRED), ("plain.test.zone", UNSIGNED)];
    let node = Node::start("restart", &zones);
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(2)));
    assert!(findings.contains("expired"), "{findings}");
    let status = node.status();
    assert_eq!((status.zones_with_findings, status.zones[0].name.as_str()), (1, "child.test."));
    // All that is signed expired at once: it may as well be the clock.
    assert!(status.clock.doubt.unwrap().contains("1 of 1 signed zones"));
    let metrics = scrape(&node.handle());
    for line in [
        "pharos_responder_zone_findings{zone=\"child.test.\"} 1",
        "pharos_responder_zones_with_findings 1",
        "pharos_responder_clock_trusted 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(node.push(&[(CHILD_FILE, NEWER)]).loaded.len(), 1);
    assert!(node.status().clock.trusted);
}

#[test]
fn by_a_clock_that_is_doubted_nothing_is_refused_and_an_alarm_says_so() {
    // The parent's signatures begin only in many years: then the clock must be far behind, or its signer ahead.
    let node = Node::start("doubted", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT_AHEAD)]);
    let doubt = node.status().clock.doubt.unwrap();
    assert!(doubt.contains("before the beginning of signatures of 1 of 2"), "{doubt}");
    let report = node.push(&[(CHILD_FILE, EXPIRED)]);
    assert_eq!((report.loaded.len(), report.refused.len()), (1, 0), "{report}");
    assert!(report.to_string().contains("expired"), "{report}");
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(2)));
    assert!(findings.contains("expired"), "{findings}");
}

#[test]
fn signatures_that_end_soon_are_an_alarm_and_do_not_replace_lasting_ones() {
    let long = Duration::from_secs(65 * 366 * 86_400);
    let near = |config: &mut Config| config.dnssec.near_expiry = long;
    let node = Node::with("near", &[(CHILD_FILE, GOOD)], near);
    let (state, _, findings) = node.child();
    assert_eq!(state, ZoneLife::Live);
    assert!(findings.contains("ends in") && findings.contains("child.test. "), "{findings}");
    // No worse than what answers.
    assert_eq!(node.push(&[(CHILD_FILE, NEWER)]).loaded.len(), 1);
    assert_eq!(node.push(&[(CHILD_FILE, EXPIRED)]).refused.len(), 1);
}

#[test]
fn a_child_whose_keys_the_parent_does_not_know_is_refused() {
    let node = Node::start("other-key", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT)]);
    for text in [OTHER_KEY, UNSIGNED] {
        let report = node.push(&[(CHILD_FILE, text)]);
        let reason = &report.refused[0].reason;
        assert!(
            reason.contains("no DNSKEY of child.test. matches a DS record that zone test. has"),
            "{reason}"
        );
        assert!(reason.contains("put the DS record of the new key into the parent first"), "{reason}");
        assert_eq!(node.child().1, Some(1));
    }
    // The parent follows, and the next reload looks at the child again though its file is the same.
    node.zones.write(CHILD_FILE, OTHER_KEY);
    let report = node.push(&[(PARENT_FILE, PARENT_OTHER_DS)]);
    assert_eq!((report.loaded.len(), report.refused.len()), (2, 0), "{report}");
    assert_eq!(node.child(), (ZoneLife::Live, Some(4), String::new()));
}

#[test]
fn a_child_whose_known_key_only_stands_by_is_refused() {
    let node = Node::start("standby", &[(CHILD_FILE, OTHER_KEY), (PARENT_FILE, PARENT_OTHER_DS)]);
    assert_eq!(node.child(), (ZoneLife::Live, Some(4), String::new()));
    let report = node.push(&[(CHILD_FILE, STANDBY)]);
    let reason = &report.refused[0].reason;
    assert!(
        reason.contains("does not sign the DNSKEY RRset; serial 4, which answers, has no such fault"),
        "{reason}"
    );
    assert_eq!(node.child().1, Some(4));
    // The key that signs is the one that this parent knows.
    assert_eq!(node.push(&[(PARENT_FILE, PARENT)]).refused.len(), 0);
    assert_eq!(node.child(), (ZoneLife::Live, Some(7), String::new()));
}

#[test]
fn a_signed_zone_that_becomes_unsigned_is_an_alarm_until_it_is_signed_again() {
    let node = Node::start("unsigned", &[(CHILD_FILE, GOOD)]);
    let report = node.push(&[(CHILD_FILE, UNSIGNED)]);
    let words = "serial 1 was signed and serial 6, which replaced it, is not";
    assert!(report.to_string().contains(words), "{report}");
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(6)));
    assert!(findings.contains(words), "{findings}");
    assert_eq!(node.status().zones_with_findings, 1);
    // Another unsigned release is no answer to it.
    let again = UNSIGNED.replace("192.0.2.6\n", "192.0.2.66\n");
    assert_eq!(node.push(&[(CHILD_FILE, &again)]).loaded.len(), 1);
    assert!(node.child().2.contains(words));
    assert_eq!(node.push(&[(CHILD_FILE, NEWER)]).loaded.len(), 1);
    assert_eq!(node.child(), (ZoneLife::Live, Some(5), String::new()));
}

#[test]
fn a_zone_that_never_was_signed_raises_no_alarm() {
    let node = Node::start("plain", &[(CHILD_FILE, UNSIGNED)]);
    assert_eq!(node.child(), (ZoneLife::Live, Some(6), String::new()));
}

#[test]
fn a_refused_child_is_judged_again_when_only_its_parent_changed() {
    let node = Node::start("parent-follows", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT)]);
    assert_eq!(node.push(&[(CHILD_FILE, OTHER_KEY)]).refused.len(), 1);
    let report = node.push(&[(PARENT_FILE, PARENT_OTHER_DS)]);
    assert_eq!((report.loaded.len(), report.refused.len()), (2, 0), "{report}");
    assert_eq!(node.child(), (ZoneLife::Live, Some(4), String::new()));
}

#[test]
fn a_parent_whose_ds_records_fit_no_longer_is_served_and_its_child_is_an_alarm() {
    let node = Node::start("other-ds", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT)]);
    let report = node.push(&[(PARENT_FILE, PARENT_OTHER_DS)]);
    assert_eq!((report.loaded.len(), report.refused.len(), report.delegations.len()), (1, 0, 1), "{report}");
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(1)));
    assert!(findings.contains("no DNSKEY of child.test. matches"), "{findings}");
    assert_eq!(node.status().zones_with_findings, 1);
    // A child that is no better and no worse may come.
    assert_eq!(node.push(&[(CHILD_FILE, NEWER)]).loaded.len(), 1);
    let report = node.push(&[(PARENT_FILE, PARENT)]);
    assert_eq!((report.delegations.len(), node.status().zones_with_findings), (0, 0));
}

#[test]
fn at_the_start_a_broken_delegation_is_only_an_alarm() {
    let node = Node::start("start-broken", &[(CHILD_FILE, OTHER_KEY), (PARENT_FILE, PARENT)]);
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(4)));
    assert!(findings.contains("no DNSKEY of child.test. matches"), "{findings}");
}

#[test]
fn whoever_wants_broken_zones_served_gets_them_with_an_alarm() {
    let serve = |config: &mut Config| config.dnssec.broken = Broken::Serve;
    let node = Node::with("serve", &[(CHILD_FILE, GOOD), (PARENT_FILE, PARENT)], serve);
    assert_eq!(node.push(&[(CHILD_FILE, OTHER_KEY)]).loaded.len(), 1);
    let (state, serial, findings) = node.child();
    assert_eq!((state, serial), (ZoneLife::Live, Some(4)));
    assert!(findings.contains("no DNSKEY of child.test. matches"), "{findings}");
}

/// The data with another address, which the signature over it does not cover.
fn forged() -> String {
    NEWER.replace("192.0.2.5\n", "192.0.2.66\n")
}

#[test]
fn a_signature_that_does_not_verify_refuses_the_zone_also_at_the_start() {
    let node = Node::start("forged", &[(CHILD_FILE, GOOD)]);
    let report = node.push(&[(CHILD_FILE, &forged())]);
    let reason = &report.refused[0].reason;
    assert!(
        reason.contains("A RRset of www.child.test. does not verify") && reason.contains("child.test.zone:"),
        "{reason}"
    );
    assert_eq!(node.child().1, Some(1));
    let node = Node::start("forged-start", &[(CHILD_FILE, &forged())]);
    assert_eq!((node.child().0, node.child().1), (ZoneLife::NotLoaded, None));
}

#[test]
fn what_is_not_verified_or_to_be_served_though_broken_is_served() {
    let unverified = |config: &mut Config| config.dnssec.verify = Signatures::None;
    let node = Node::with("unverified", &[(CHILD_FILE, GOOD)], unverified);
    assert_eq!(node.push(&[(CHILD_FILE, &forged())]).loaded.len(), 1);
    let serve = |config: &mut Config| config.dnssec.broken = Broken::Serve;
    let node = Node::with("served", &[(CHILD_FILE, GOOD)], serve);
    let report = node.push(&[(CHILD_FILE, &forged())]);
    assert!(report.loaded[0].warnings > 0, "{report}");
    assert_eq!(node.child().1, Some(66));
}

#[test]
fn every_metric_that_a_shipped_alert_asks_for_is_told() {
    let node = Node::start("alerts", &[(CHILD_FILE, GOOD)]);
    let metrics = scrape(&node.handle());
    let rules = include_str!("../../../deploy/prometheus/alerts.yml");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asked: Vec<_> =
        rules.split(|c| !is_part(c)).filter(|word| word.starts_with("pharos_responder_")).collect();
    assert!(asked.len() > 5, "{asked:?}");
    for name in asked {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is not in\n{metrics}");
    }
}
