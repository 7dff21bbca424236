//! The options of `pharos announce` that are the same everywhere: section `sidecar` of pharos.yaml.

use super::{DefaultDoc, OptionDoc, ResponderSection, every_default, loopback, period_ms};
use crate::config::values::{Endpoint, Label, Period, Prefix, ZoneName};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

section! {
    /// What `pharos announce` does.
    SidecarSection at "sidecar" {
        /// Where HTTP serves /metrics, /livez, /readyz and /status.
        #[serde(default = "sidecar_management")]
        management: Endpoint, write "ADDRESS:PORT", Value("127.0.0.1:9154");
        /// The unix socket by which `pharos status`, `why`, `drain`, `hold` and the like reach the sidecar. File
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
        /// How long a drained node has to go on answering after its routes are gone, at least: those who have not
        /// heard still ask. `pharos status` then says that it may stop, once no real queries come any more; after twice as
        /// long where that is not known.
        #[serde(default = "linger")]
        linger: Period, write "duration, at most 24h", Value("2m");
        /// Fewer queries a second from other hosts than this are next to none: a drained prefix is then withdrawn
        /// before the drain time is over, and `patience` of them at level normal is an alarm. With 0 there are
        /// never too few, and a drain ends with its time.
        #[serde(default = "quiet")]
        quiet: u32, write "0 to 4294967295", Value("1");
        /// How long traffic may take: after a change of level for the worse until what still comes is an alarm, and at
        /// level normal until next to none is one.
        #[serde(default = "patience")]
        patience: Period, write "duration, at most 24h", Value("5m");
        /// How long the data of a group may be older than its `data-age` before it asks for less traffic; the alarm does
        /// not wait. Longer than a push takes to reach the last node.
        #[serde(default = "data_grace")]
        data_grace: Period, write "duration, at most 24h", Value("15m");
        /// How often a prefix may return within an hour after it was withdrawn, and how often it may get better while it is
        /// announced; the two are counted apart. Leaving is never bounded, and an operator who forces a level does not wait.
        #[serde(default = "returns_per_hour")]
        returns_per_hour: u16, write "1 to 1000", Value("10");
        /// Less-specific prefixes that cover those of the groups and that health never gates: announced as long as
        /// the sidecar lives, so that a fault common to all nodes leaves no address unreachable. Recommended.
        #[serde(default)]
        anchors: Vec<AnchorSection>, write "list of sections", Described("none");
        /// The directory in which the sidecar keeps what has to survive its restart: the operator's words, the
        /// falls and returns of prefixes, and the recorded signals.
        #[serde(default)]
        state: Option<PathBuf>, write "path",
            Described("/var/lib/pharos if the control socket is in /run, else the control socket's directory");
        /// The file into which everything that the policy hears is recorded, for `pharos simulate`. When it is half
        /// of its size, it is renamed to the same name with `.1` and begun anew.
        #[serde(default)]
        record: Option<PathBuf>, write "path", Described("signals.jsonl in the state directory");
        /// So many megabytes are recorded at most, in both files together; with 0 nothing is.
        #[serde(default = "record_megabytes")]
        record_megabytes: u16, write "0 to 10000", Value("64");
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
        /// Zones whose SOA is asked for by each probe. Their answers, by UDP and TCP, decide. The node is not announced
        /// before all of them are answered.
        required: Vec<ZoneName>, write "list of domain names", Required;
        /// Addresses and ports to probe. Only needed when the responder's listen addresses do not lie in the
        /// prefixes, as on a test machine, or when the responder is another name server. If any lies in a prefix, each
        /// prefix needs one of its own.
        #[serde(default)]
        addresses: Vec<Endpoint>, write "list of ADDRESS:PORT",
            Described("those of responder.listen that lie inside the prefixes");
        /// Whether the group may ask for less traffic while it still answers. Turn it off on nodes that share
        /// an ECMP router, where one degraded node would send the whole site's traffic to the others.
        #[serde(default = "degrade")]
        degrade: Degrade, write "allowed or never", Value("allowed");
        /// What becomes of the group when a required zone that was answered is not any more, while another one is. What
        /// spoils a zone tends to spoil it everywhere at once: with withdraw, all nodes then withdraw. So they do, whatever is
        /// said here, when no required zone is answered any more: require more than one, or announce an anchor. With
        /// `degrade: never`, last-resort asks for nothing.
        #[serde(default = "failing")]
        failing: Failing, write "last-resort or withdraw", Value("last-resort");
        /// What becomes of the group when its signatures have expired. Signing tends to break everywhere at once:
        /// with withdraw, all nodes then withdraw.
        #[serde(default = "expired")]
        expired: Expired, write "last-resort or withdraw", Value("last-resort");
        /// What becomes of the group while queries are dropped although every worker runs. With hold this node
        /// absorbs what it can, and slow answers ask for nothing; with degrade it asks for less after a minute; with
        /// withdraw the flood goes to the next node.
        #[serde(default = "overload")]
        overload: Overload, write "hold, degrade or withdraw", Value("hold");
        /// How old the data of the required zones may be. Older ones are an alarm, and after the sidecar's `data-grace`
        /// the group asks for less traffic. Age counts from the serial where that is a time (seconds since 1970) or a day
        /// (YYYYMMDDnn, from its end), else from the moment at which the responder loaded the zone, so that a restart
        /// makes it young. Another server than Pharos' own does not tell that moment: then the age is not known, which is
        /// an alarm and no more.
        #[serde(default)]
        data_age: Option<Period>, write "duration, at least 1m", Described("none; data may be of any age");
    }
}

impl GroupSection {
    /// Whether an address lies in one of the prefixes.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// The addresses that are probed: those it names, else the responder's inside its prefixes.
    pub fn probed(&self, responder: Option<&ResponderSection>) -> Vec<SocketAddr> {
        if !self.addresses.is_empty() {
            return self.addresses.iter().map(|endpoint| endpoint.0).collect();
        }
        let listen = responder.iter().flat_map(|responder| &responder.listen).map(|endpoint| endpoint.0);
        listen.filter(|address| self.holds(address.ip())).collect()
    }
}

section! {
    /// A prefix that health never gates.
    AnchorSection at "sidecar.anchors[]" {
        /// The prefix.
        prefix: Prefix, write "PREFIX/LENGTH", Required;
        /// Whether it drains with the node. One that stays draws no traffic while other nodes announce the specific
        /// prefixes.
        #[serde(default = "anchor_drain")]
        drain: AnchorDrain, write "stays or follows", Value("stays");
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
        /// Of the last 100 answers by UDP, 99 have to come within this time. Slower ones are an alarm, and after half
        /// a minute the route is announced at level degraded.
        #[serde(default = "slow")]
        slow: Period, write "duration, at least 1ms", Value("100ms");
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

/// What becomes of a group of whose required zones one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failing {
    /// Only if nobody else is left.
    LastResort,
    /// Not announced.
    Withdraw,
}

/// What becomes of a group whose signatures have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expired {
    /// Only if nobody else is left.
    LastResort,
    /// Not announced.
    Withdraw,
}

/// What becomes of a group under overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// Nothing but an alarm.
    Hold,
    /// One step less traffic is asked for.
    Degrade,
    /// Not announced.
    Withdraw,
}

/// Whether an anchor drains with the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorDrain {
    /// It stays.
    Stays,
    /// It drains.
    Follows,
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

fn linger() -> Period {
    period_ms(120_000)
}

fn quiet() -> u32 {
    1
}

fn patience() -> Period {
    period_ms(300_000)
}

fn data_grace() -> Period {
    period_ms(900_000)
}

fn returns_per_hour() -> u16 {
    10
}

fn record_megabytes() -> u16 {
    64
}

fn failing() -> Failing {
    Failing::LastResort
}

fn expired() -> Expired {
    Expired::LastResort
}

fn overload() -> Overload {
    Overload::Hold
}

fn anchor_drain() -> AnchorDrain {
    AnchorDrain::Stays
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

fn slow() -> Period {
    period_ms(100)
}
