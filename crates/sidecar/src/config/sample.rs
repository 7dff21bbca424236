//! The configuration on which this crate's own tests stand; each changes what it is about.

use std::net::Ipv4Addr;
use std::time::Duration;

use pharos_policy::{Degrade, DrainTime, GroupConfig, HoldDown, OnExpiry, OnFailure, OnOverload};

use super::{Config, Mode, ProbeConfig, Rules};

/// A group of one prefix with one address and one required zone.
pub(crate) fn group() -> GroupConfig {
    GroupConfig {
        name: "main".into(),
        prefixes: vec!["192.0.2.0/24".parse().unwrap()],
        required_zones: vec!["example.com".into()],
        addresses: vec!["192.0.2.53:53".parse().unwrap()],
        degrade: Degrade::Allowed,
        failing: OnFailure::default(),
        expired: OnExpiry::default(),
        overload: OnOverload::default(),
    }
}

/// A node with that group, and nobody to announce it to.
pub(crate) fn config() -> Config {
    Config {
        node: "a".into(),
        site: "ams".into(),
        nsid: "a.ams".into(),
        local_as: 64512,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        groups: vec![group()],
        neighbours: Vec::new(),
        announcers: Vec::new(),
        probe: ProbeConfig::default(),
        wire: None,
        hold_down: HoldDown::new(Duration::from_secs(10)),
        drain_time: DrainTime::default(),
        rules: Rules::default(),
        status: None,
        mode: Mode::Announce,
        state: None,
        record: None,
    }
}
