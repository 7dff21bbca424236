//! The options of `pharos announce` that are the same everywhere: section `sidecar` of pharos.yaml.

use super::{DefaultDoc, OptionDoc, every_default, loopback, period_ms};
use crate::config::values::{Endpoint, Label, Period, Prefix, ZoneName};
use serde::Deserialize;
use std::path::PathBuf;

section! {
    /// What `pharos announce` does.
    SidecarSection at "sidecar" {
        /// Where HTTP serves /metrics, /livez, /readyz and /status.
        #[serde(default = "sidecar_management")]
        management: Endpoint, write "ADDRESS:PORT", Value("127.0.0.1:9154");
        /// The unix socket by which `pharos status`, `why`, `drain` and `undrain` reach the sidecar. File
        /// permissions decide who may: mode 0660.
        #[serde(default = "sidecar_control")]
        control: PathBuf, write "path", Value("/run/pharos/sidecar.sock");
        /// Services and the prefixes that they need. The prefixes of a group stand and fall together, each
        /// address family on its own.
        groups: Vec<GroupSection>, write "list of sections", Required;
        /// How the responder is asked whether it answers.
        #[serde(default = "every_default")]
        probe: ProbeSection, write "section", Described("all of its defaults");
        /// How long a prefix must have been well before it is announced or announced better, doubling when
        /// it falls again and again. It never delays a withdrawal.
        #[serde(default = "hold_down")]
        hold_down: Period, write "duration, at most 1h", Value("10s");
        /// How long a drained node stays announced at level draining, for traffic to move away, before its
        /// routes are withdrawn.
        #[serde(default = "drain_time")]
        drain_time: Period, write "duration, at most 24h", Value("10s");
        /// Whether decisions are carried out: dry-run decides and reports everything, and tells nobody.
        #[serde(default = "announcing")]
        mode: SidecarMode, write "announce or dry-run", Value("announce");
    }
}

section! {
    /// A group of prefixes and what must be well for them to be announced.
    GroupSection at "sidecar.groups[]" {
        /// A name for logs, metrics and status.
        name: Label, write "1 to 63 letters, digits, - and _", Required;
        /// The prefixes that are announced for this group.
        prefixes: Vec<Prefix>, write "list of PREFIX/LENGTH", Required;
        /// Zones whose SOA is asked for by each probe. Their answers, by UDP and TCP, decide.
        required: Vec<ZoneName>, write "list of domain names", Required;
        /// Addresses and ports to probe. Only needed when the responder's listen addresses do not lie in the
        /// prefixes, as on a test machine, or when the responder is another name server.
        #[serde(default)]
        addresses: Vec<Endpoint>, write "list of ADDRESS:PORT",
            Described("those of responder.listen that lie inside the prefixes");
        /// Whether the group may ask for less traffic while it still answers. Turn it off on nodes that share
        /// an ECMP router, where one degraded node would send the whole site's traffic to the others.
        #[serde(default = "degrade")]
        degrade: Degrade, write "allowed or never", Value("allowed");
    }
}

section! {
    /// How the responder is asked whether it answers.
    ProbeSection at "sidecar.probe" {
        /// Time from one probe to the next, for each address and transport.
        #[serde(default = "probe_interval")]
        interval: Period, write "duration, 10ms to 1m", Value("250ms");
        /// A probe without an answer for so long has failed; at most the interval.
        #[serde(default = "probe_timeout")]
        timeout: Period, write "duration, 1ms to the interval", Value("200ms");
        /// So many failures in a row withdraw the route.
        #[serde(default = "fall")]
        fall: u16, write "1 to 1000", Value("2");
        /// So many successes in a row are needed to announce it.
        #[serde(default = "rise")]
        rise: u16, write "1 to 1000", Value("3");
    }
}

/// Whether the sidecar's decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SidecarMode {
    /// Neighbours are told.
    Announce,
    /// Nobody is told.
    DryRun,
}

/// Whether a group may ask for less traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Degrade {
    /// It may.
    Allowed,
    /// It stays normal until it is withdrawn.
    Never,
}

fn sidecar_management() -> Endpoint {
    loopback(9154)
}

fn sidecar_control() -> PathBuf {
    PathBuf::from("/run/pharos/sidecar.sock")
}

fn hold_down() -> Period {
    period_ms(10_000)
}

fn drain_time() -> Period {
    period_ms(10_000)
}

fn announcing() -> SidecarMode {
    SidecarMode::Announce
}

fn degrade() -> Degrade {
    Degrade::Allowed
}

fn probe_interval() -> Period {
    period_ms(250)
}

fn probe_timeout() -> Period {
    period_ms(200)
}

fn fall() -> u16 {
    2
}

fn rise() -> u16 {
    3
}
