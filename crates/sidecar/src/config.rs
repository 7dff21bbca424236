//! What the sidecar is told: plain values that the binary fills from its configuration files.
//!
//! [`Config::check`] refuses what cannot work, in words that name the setting; the text of a file, its lines
//! and columns are the binary's business. Called by [`Sidecar::start`](crate::Sidecar::start) and by
//! `pharos check-config`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::rr::Name;
use pharos_netio::bgp::{Gtsm, Md5Key, SessionOptions};
use pharos_policy::{
    AnchorConfig, ConfigError, DrainTime, Fall, GroupConfig, HoldDown, Kind, Level, Linger, PolicyConfig,
    ReturnCap, Rise, Timing, Watch,
};
use pharos_routing::bgp::{ExtendedNextHop, Peering, PeeringCheck, SessionConfig};
use pharos_routing::{
    Community, Families, Family, LargeCommunity, MAX_COMMUNITIES, MAX_LARGE_COMMUNITIES, MAX_PREPENDS,
};
use thiserror::Error;

mod announcers;
#[cfg(test)]
pub(crate) mod sample;

pub use announcers::{
    AnnouncerConfig, BirdConfig, Death, ExecConfig, LeaseConfig, MarkerConfig, ObserveConfig, Reload, Way,
};

/// Everything that a sidecar needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name within its site: `a`.
    pub node: String,
    /// The site's name: `ams`.
    pub site: String,
    /// The NSID (RFC 5001) that this node's responder gives, so that another node's answer is recognized:
    /// `a.ams`.
    pub nsid: String,
    /// Our AS number.
    pub local_as: u32,
    /// Our BGP identifier.
    pub router_id: Ipv4Addr,
    /// The groups: prefixes, the zones they require, and the responder's addresses to probe.
    pub groups: Vec<GroupConfig>,
    /// The routers that our own BGP speaker tells. May be empty only in [`Mode::DryRun`] or beside `announcers`.
    pub neighbours: Vec<NeighbourConfig>,
    /// Whoever else is told, each of every level.
    pub announcers: Vec<AnnouncerConfig>,
    /// How the responder is probed.
    pub probe: ProbeConfig,
    /// How the responder is asked by way of the router; `None` where it is not.
    pub wire: Option<WireConfig>,
    /// The wait before a better level is taken.
    pub hold_down: HoldDown,
    /// How long a drained node stays announced at level draining.
    pub drain_time: DrainTime,
    /// What else the policy holds to.
    pub rules: Rules,
    /// The responder's status endpoint; `None` where the responder has none (serials and refusals are then
    /// not known, and no alarm says so).
    pub status: Option<StatusConfig>,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// The directory for what has to survive a restart; `None` where nothing has to.
    pub state: Option<PathBuf>,
    /// Where signals are recorded; `None` where they are not.
    pub record: Option<RecordConfig>,
}

/// Where signals are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// The file; the one before it has the same name and `.1`.
    pub path: PathBuf,
    /// How many octets both may have together.
    pub octets: u64,
}

/// What the policy holds to beside its groups and hold-downs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Prefixes that health never gates.
    pub anchors: Vec<AnchorConfig>,
    /// How often a prefix may get better.
    pub returns: ReturnCap,
    /// How long a drained node goes on answering at least.
    pub linger: Linger,
    /// How few client queries are next to none.
    pub quiet: Quiet,
    /// How long traffic may take to come or to go.
    pub patience: Patience,
    /// By group: how old the data may be that it serves. A group that is not in here may serve any.
    pub data_age: BTreeMap<String, Duration>,
    /// How long they may be older.
    pub data_grace: DataGrace,
}

/// Fewer client queries a second than this are next to none: a drained prefix is then withdrawn, and one that is
/// announced at level normal raises an alarm. With 0 there are never too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet(pub u32);

impl Default for Quiet {
    /// One: below it are scanners and those who try.
    fn default() -> Self {
        Self(1)
    }
}

/// How long traffic may take: after a change of level for the worse until what still comes is an alarm, and at level
/// normal until next to none is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

impl Default for Patience {
    /// As suits the signal: BGP has converged and resolvers have learnt which server is quick long before.
    fn default() -> Self {
        Self(Kind::Traffic.watch(Duration::ZERO).grace)
    }
}

/// How long data may be too old before the group asks for less traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataGrace(pub Duration);

impl Default for DataGrace {
    /// As suits the signal.
    fn default() -> Self {
        Self(Kind::DataAge.watch(Duration::ZERO).grace)
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Neighbours are told.
    #[default]
    Announce,
    /// Everything is decided and reported, and nobody is told; no session is opened.
    DryRun,
}

/// How the responder is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// From the start of one round to the start of the next, per address and transport.
    pub interval: Duration,
    /// How long an answer may take. Should be below the interval, or rounds come late.
    pub timeout: Duration,
    /// Failing rounds in a row until an address is bad.
    pub fall: Fall,
    /// Passing rounds in a row until it is good.
    pub rise: Rise,
    /// How many required zones are asked for in one round; the others' turn comes in the next rounds.
    pub zones_per_round: NonZeroUsize,
    /// The time within which 99 of 100 answers by UDP have to come.
    pub slow: Duration,
}

impl Default for ProbeConfig {
    /// A dead responder is noticed within half a second, one lost packet changes nothing.
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            timeout: Duration::from_millis(200),
            fall: Fall::new(2),
            rise: Rise::new(3),
            zones_per_round: NonZeroUsize::MIN.saturating_add(31),
            slow: Duration::from_millis(100),
        }
    }
}

/// How the responder is asked by way of the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireConfig {
    /// The interface to the router.
    pub interface: String,
    /// From the start of one round to the start of the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The NSIDs of the other nodes behind the same router, to which it sends a share of the queries.
    pub siblings: Vec<String>,
    /// A bad probe that cannot be looked at, since this node asks for less, is tried at level normal after so long; each
    /// time twice as long.
    pub trial: Duration,
}

impl WireConfig {
    /// Longer than a router takes to restart its line card, shorter than a person takes to look. Each trial of a path that
    /// is still dead costs the clients of this POP what the probe takes to find out, 16 s by default.
    pub const TRIAL: Duration = Duration::from_secs(30);
}

/// The responder's status endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// Its management address; `/status` is fetched there over HTTP.
    pub address: SocketAddr,
    /// From one fetch to the next.
    pub interval: Duration,
    /// How long a fetch may take.
    pub timeout: Duration,
}

impl StatusConfig {
    /// A fetch each second that may take one second.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, interval: Duration::from_secs(1), timeout: Duration::from_secs(1) }
    }
}

/// A router that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Its address: where we connect to, or whom we expect.
    pub address: IpAddr,
    /// Its AS number; equal to ours on an iBGP session.
    pub remote_as: u32,
    /// Who opens the connection.
    pub role: Role,
    /// The address that we connect from, when the kernel's choice is not the one that the router expects.
    pub source: Option<IpAddr>,
    /// The secret of TCP MD5 signatures (RFC 2385), when the router asks for them.
    pub md5: Option<Md5Key>,
    /// The TTL check of RFC 5082, when the router does it too.
    pub gtsm: Gtsm,
    /// The families that the session carries.
    pub families: Families,
    /// The next hop of IPv4 prefixes; with an IPv6 address the session offers RFC 8950. `None`: the session's own
    /// local address, if that is IPv4.
    pub next_hop_ipv4: Option<IpAddr>,
    /// The next hop of IPv6 prefixes. `None`: the session's own local address, if that is IPv6.
    pub next_hop_ipv6: Option<Ipv6Addr>,
    /// The hold time that we propose (RFC 4271 §4.2), whole seconds of at least 3: how long a frozen node
    /// keeps its route.
    pub hold_time: Duration,
    /// The first pause after a failed connection; it doubles up to half a minute.
    pub connect_retry: Duration,
    /// What our AS is to the neighbour's (RFC 9234); never on an iBGP session.
    pub peering: Option<Peering>,
    /// What becomes of a neighbour that says no role.
    pub peering_check: PeeringCheck,
    /// BFD with this neighbour (RFC 5881), when the router does it too.
    pub bfd: Option<BfdConfig>,
    /// What a level looks like to this neighbour.
    pub levels: LevelMap,
}

/// BFD with one neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdConfig {
    /// The interval at which each end sends, once the session is up.
    pub interval: Duration,
    /// How many packets in a row may be missed.
    pub multiplier: u8,
    /// Whether there is a BGP session without it.
    pub before_session: BeforeSession,
}

/// Whether BFD must be up before there is a BGP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeSession {
    /// A session comes about without it, and ends when BFD goes down.
    Optional,
    /// There is no session until BFD is up.
    Required,
}

impl Default for BfdConfig {
    /// 300 ms times 3, and no session waits for it.
    fn default() -> Self {
        Self { interval: Duration::from_millis(300), multiplier: 3, before_session: BeforeSession::Optional }
    }
}

/// Who opens the connection to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We connect to the neighbour's port, 179 by assignment.
    Active {
        /// The neighbour's TCP port.
        port: u16,
    },
    /// The neighbour connects to this address of ours. Neighbours may share one.
    Passive {
        /// Where we listen.
        listen: SocketAddr,
    },
}

impl NeighbourConfig {
    /// An active session for both families with a hold time of 9 s and no communities.
    pub fn new(address: IpAddr, remote_as: u32) -> Self {
        Self {
            address,
            remote_as,
            role: Role::Active { port: 179 },
            source: None,
            md5: None,
            gtsm: Gtsm::Off,
            families: Families::BOTH,
            next_hop_ipv4: None,
            next_hop_ipv6: None,
            hold_time: Duration::from_secs(9),
            connect_retry: Duration::from_secs(1),
            peering: None,
            peering_check: PeeringCheck::Lenient,
            bfd: None,
            levels: LevelMap::default(),
        }
    }

    /// What the session asks of its sockets.
    pub(crate) fn socket_options(&self) -> SessionOptions {
        SessionOptions { source: self.source, md5: self.md5.clone(), gtsm: self.gtsm }
    }

    /// The name in logs, metrics and alarms: the address, and the port where it is not 179.
    pub fn name(&self) -> String {
        match self.role {
            Role::Active { port } if port != 179 => SocketAddr::new(self.address, port).to_string(),
            _ => self.address.to_string(),
        }
    }
}

/// What each level looks like on the wire. The level *withdrawn* has no attributes: it has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelMap {
    /// All is well.
    pub normal: Attributes,
    /// Please prefer others.
    pub degraded: Attributes,
    /// Only if nobody else is left.
    pub last_resort: Attributes,
    /// About to leave.
    pub draining: Attributes,
}

impl LevelMap {
    /// These communities at every level, and beside them: prepends that grow with the level, and
    /// GRACEFUL_SHUTDOWN (RFC 8326) while draining.
    pub fn with_communities(communities: Vec<Community>) -> Self {
        let prepended =
            |prepends| Attributes { communities: communities.clone(), prepends, ..Attributes::default() };
        let mut draining = prepended(MAX_PREPENDS);
        draining.communities.push(Community::GRACEFUL_SHUTDOWN);
        Self { normal: prepended(0), degraded: prepended(1), last_resort: prepended(MAX_PREPENDS), draining }
    }

    /// The attributes of a level; `None` when it means that there is no route.
    pub fn of(&self, level: Level) -> Option<&Attributes> {
        match level {
            Level::Normal => Some(&self.normal),
            Level::Degraded => Some(&self.degraded),
            Level::LastResort => Some(&self.last_resort),
            Level::Draining => Some(&self.draining),
            Level::Withdrawn => None,
        }
    }
}

impl Default for LevelMap {
    /// As [`LevelMap::with_communities`] of none.
    fn default() -> Self {
        Self::with_communities(Vec::new())
    }
}

/// What a route carries beside its prefix and next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Communities (RFC 1997).
    pub communities: Vec<Community>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// How many times more than once our AS stands in AS_PATH, at most 3; without effect on iBGP.
    pub prepends: u8,
    /// MULTI_EXIT_DISC: lower wins, compared within one neighbour AS.
    pub med: Option<u32>,
    /// LOCAL_PREF: higher wins; iBGP only.
    pub local_pref: Option<u32>,
}

/// Why a sidecar cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Groups that cannot work.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// Nobody would be told.
    #[error("no neighbour and no announcer is configured: name at least one router, or run dry")]
    NoNeighbours,
    /// An announcer that cannot work.
    #[error("announcer {name}: {why}")]
    Announcer {
        /// The announcer in question.
        name: String,
        /// What is wrong, and what is possible.
        why: String,
    },
    /// Routes that the process before has given to somebody, and that nobody with this configuration would take back.
    #[error(
        "it would leave for good what the process before announces: {what}; \
         restart the sidecar instead, which withdraws every route before it ends"
    )]
    LeftUp {
        /// The prefixes, by whom, and why nobody would withdraw them.
        what: String,
    },
    /// Two announcers that cannot be told apart.
    #[error("announcer {name} is configured twice")]
    DuplicateAnnouncer {
        /// The announcer in question.
        name: String,
    },
    /// Two neighbours that cannot be told apart.
    #[error("neighbour {name} is configured twice")]
    DuplicateNeighbour {
        /// The neighbour in question.
        name: String,
    },
    /// A session that cannot work.
    #[error("neighbour {name}: {source}")]
    Session {
        /// The neighbour in question.
        name: String,
        /// What is wrong.
        source: pharos_routing::bgp::ConfigError,
    },
    /// A BFD session that cannot work.
    #[error("neighbour {name}: {source}")]
    Bfd {
        /// The neighbour in question.
        name: String,
        /// What is wrong.
        source: pharos_routing::bfd::ConfigError,
    },
    /// A level map that no session would take.
    #[error("neighbour {name}, level {level}: {why}")]
    Attributes {
        /// The neighbour in question.
        name: String,
        /// The level in question.
        level: Level,
        /// What is wrong, and what is possible.
        why: String,
    },
    /// Prefixes that a neighbour could not be told.
    #[error(
        "neighbour {name} has no next hop for {family}: its session runs over the other family; \
         set next-hop-{key}, or leave {key} out of its families"
    )]
    NoNextHop {
        /// The neighbour in question.
        name: String,
        /// The family without a next hop.
        family: Family,
        /// The family as the configuration writes it.
        key: &'static str,
    },
    /// A name that is no zone.
    #[error("\"{zone}\", required by group \"{group}\", is not a domain name: {why}")]
    ZoneName {
        /// The group in question.
        group: String,
        /// What was written.
        zone: String,
        /// What is wrong.
        why: String,
    },
    /// A time that would make a loop spin.
    #[error("{setting} of {value:?} is too short: at least {least:?}")]
    TooShort {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: Duration,
        /// The least possible.
        least: Duration,
    },
    /// A passive session has nowhere to listen.
    #[error("cannot listen for BGP on {address}: {source}; free it, or set another port")]
    Listen {
        /// The address in question.
        address: SocketAddr,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// A listener cannot be prepared for a neighbour.
    #[error(transparent)]
    Protect(#[from] pharos_netio::NetError),
    /// The machine gives no more threads.
    #[error("cannot start thread {name}: {source}")]
    Thread {
        /// What the thread would do.
        name: Cow<'static, str>,
        /// The kernel's reason.
        source: std::io::Error,
    },
}

/// A router that has connected says OPEN at once, unless it is starved. That a hold time is short is no reason to hurry it.
const LEAST_OPEN_TIME: Duration = Duration::from_secs(10);

/// Shorter rounds are a flood of our own making.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

impl Config {
    /// Refuses what cannot work. Touches nothing: neither sockets nor threads.
    pub fn check(&self) -> Result<(), StartError> {
        self.policy().check()?;
        for group in &self.groups {
            for zone in &group.required_zones {
                zone_name(zone).map_err(|why| StartError::ZoneName {
                    group: group.name.clone(),
                    zone: zone.clone(),
                    why,
                })?;
            }
        }
        let status = self.status.map_or(LEAST_INTERVAL, |status| status.interval.min(status.timeout));
        let wire = self.wire.as_ref().map_or(LEAST_INTERVAL, |wire| wire.interval.min(wire.timeout));
        for (setting, value) in [
            ("probe interval", self.probe.interval),
            ("probe timeout", self.probe.timeout),
            ("status interval or timeout", status),
            ("wire interval or timeout", wire),
        ] {
            if value < LEAST_INTERVAL {
                return Err(StartError::TooShort { setting, value, least: LEAST_INTERVAL });
            }
        }
        self.check_announcers()?;
        self.check_neighbours()
    }

    fn check_announcers(&self) -> Result<(), StartError> {
        let mut names = BTreeSet::new();
        for announcer in &self.announcers {
            announcer.check(self)?;
            if !names.insert(&announcer.name) {
                return Err(StartError::DuplicateAnnouncer { name: announcer.name.clone() });
            }
        }
        Ok(())
    }

    fn check_neighbours(&self) -> Result<(), StartError> {
        if self.neighbours.is_empty() && self.announcers.is_empty() && self.mode == Mode::Announce {
            return Err(StartError::NoNeighbours);
        }
        let mut names = BTreeSet::new();
        for neighbour in &self.neighbours {
            let name = neighbour.name();
            self.session(neighbour)
                .check()
                .map_err(|source| StartError::Session { name: name.clone(), source })?;
            if let Some(BfdConfig { interval, multiplier, .. }) = neighbour.bfd {
                let settings = pharos_routing::bfd::SessionConfig {
                    interval,
                    multiplier,
                    ..pharos_routing::bfd::SessionConfig::new(NonZeroU32::MIN)
                };
                settings.check().map_err(|source| StartError::Bfd { name: name.clone(), source })?;
            }
            for level in Level::ALL {
                let Some(why) = neighbour.levels.of(level).and_then(fault) else { continue };
                return Err(StartError::Attributes { name, level, why });
            }
            self.check_next_hops(neighbour)?;
            if !names.insert(name.clone()) {
                return Err(StartError::DuplicateNeighbour { name });
            }
        }
        Ok(())
    }

    /// Every prefix and anchor whose family the session carries needs a next hop of that family.
    fn check_next_hops(&self, neighbour: &NeighbourConfig) -> Result<(), StartError> {
        for (family, key, set) in [
            (Family::Ipv4, "ipv4", neighbour.next_hop_ipv4.is_some()),
            (Family::Ipv6, "ipv6", neighbour.next_hop_ipv6.is_some()),
        ] {
            let own = Family::of(neighbour.address) == family;
            let needed = neighbour.families.contains(family)
                && self.announced().any(|prefix| Family::of(prefix.address()) == family);
            if needed && !set && !own {
                return Err(StartError::NoNextHop { name: neighbour.name(), family, key });
            }
        }
        Ok(())
    }

    /// The settings of the session with `neighbour`.
    pub(crate) fn session(&self, neighbour: &NeighbourConfig) -> SessionConfig {
        let mut session = SessionConfig::new(self.local_as, neighbour.remote_as, self.router_id);
        session.hold_time = neighbour.hold_time;
        session.connect_retry = neighbour.connect_retry;
        session.connect_retry_max = session.connect_retry_max.max(neighbour.connect_retry);
        session.send_hold_time = session.send_hold_time.max(neighbour.hold_time * 2);
        session.families = neighbour.families;
        session.extended_next_hop = match neighbour.next_hop_ipv4 {
            Some(IpAddr::V6(_)) => ExtendedNextHop::Offered,
            _ => ExtendedNextHop::NotOffered,
        };
        session.peering = neighbour.peering;
        session.peering_check = neighbour.peering_check;
        session.role = match neighbour.role {
            Role::Active { .. } => pharos_routing::bgp::Role::Active,
            Role::Passive { .. } => pharos_routing::bgp::Role::Passive,
        };
        if session.role == pharos_routing::bgp::Role::Passive && !session.hold_time.is_zero() {
            // Four minutes (RFC 4271 §8.2.2) are for those who connect themselves: this end only waits meanwhile, and a
            // connection that nobody is at the other end of is worth no longer a wait than a session is.
            session.open_time = session.open_time.min(session.hold_time.max(LEAST_OPEN_TIME));
        }
        session
    }

    /// What the policy is told; also for those who replay what another policy heard.
    pub fn policy(&self) -> PolicyConfig {
        let ProbeConfig { interval, timeout, fall, rise, zones_per_round, .. } = self.probe;
        // A live prober is heard each interval, or each timeout when the responder hangs; ten of them without
        // a word mean that the prober itself is stuck. Three seconds forgive a starved machine.
        let stale = (interval.max(timeout) * 10).max(Duration::from_secs(3));
        let zones: usize = self.groups.iter().map(|group| group.required_zones.len()).sum();
        let rounds = u32::try_from(zones.div_ceil(zones_per_round.get())).unwrap_or(u32::MAX);
        PolicyConfig {
            groups: self.groups.clone(),
            anchors: self.rules.anchors.clone(),
            probe: Timing { fall, rise, stale },
            zone: Timing { fall, rise, stale: stale.saturating_mul(rounds.max(1)) },
            watched: self.watched(),
            hold_down: self.hold_down,
            returns: self.rules.returns,
            // One transport notices a death at most a fall's rounds after the other.
            grace: interval.max(timeout).saturating_mul(fall.count().saturating_add(1)),
            drain_time: self.drain_time,
            linger: self.rules.linger,
        }
    }

    /// What is watched beside probes and zones: whatever somebody here observes.
    fn watched(&self) -> BTreeMap<Kind, Watch> {
        let mut watched = BTreeMap::new();
        let looks = crate::host::LOOK * 20;
        for kind in [Kind::Address, Kind::DefaultRoute] {
            watched.insert(kind, kind.watch(looks));
        }
        // Of an address that nobody answers no pace is known; probes say that.
        let pace = (self.probe.interval.max(self.probe.timeout) * 10).max(Duration::from_secs(3));
        watched.insert(Kind::Slow, Kind::Slow.watch(pace));
        if let Some(wire) = &self.wire {
            watched.insert(Kind::Wire, Kind::Wire.watch(crate::probe::wire::silence(wire)));
        }
        if self.status.is_none() {
            for kind in [Kind::Overload, Kind::Answers, Kind::DataAge, Kind::Signatures, Kind::Clock] {
                watched.insert(kind, kind.watch(crate::responder::JUDGE * 10));
            }
        }
        if let Some(status) = self.status {
            let stale = (status.interval + status.timeout) * 3;
            for kind in [
                Kind::Status,
                Kind::Ready,
                Kind::Heartbeats,
                Kind::Overload,
                Kind::Answers,
                Kind::DataAge,
                Kind::Signatures,
                Kind::Clock,
                Kind::Traffic,
            ] {
                watched.insert(kind, kind.watch(stale));
            }
        }
        let Rules { patience, data_grace, .. } = &self.rules;
        for (kind, grace) in [(Kind::Traffic, patience.0), (Kind::DataAge, data_grace.0)] {
            if let Some(watch) = watched.get_mut(&kind) {
                watch.grace = grace;
            }
        }
        watched
    }
}

/// A zone's name as it is asked for: absolute and in lower case.
pub(crate) fn zone_name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// What makes attributes impossible, with what is possible.
fn fault(attributes: &Attributes) -> Option<String> {
    let Attributes { communities, large_communities, prepends, .. } = attributes;
    if *prepends > MAX_PREPENDS {
        return Some(format!("{prepends} prepends are more than the {MAX_PREPENDS} that make sense"));
    }
    if communities.len() > MAX_COMMUNITIES {
        return Some(format!(
            "{} communities are more than the {MAX_COMMUNITIES} that fit",
            communities.len()
        ));
    }
    if large_communities.len() > MAX_LARGE_COMMUNITIES {
        return Some(format!(
            "{} large communities are more than the {MAX_LARGE_COMMUNITIES} that fit",
            large_communities.len()
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_connected_to_waits_for_an_open_for_the_hold_time_and_no_less_than_a_starved_router_needs() {
        let config = sample::config();
        let open_time = |role, hold_time_seconds| {
            let mut neighbour = NeighbourConfig::new(Ipv4Addr::new(10, 0, 0, 1).into(), 64500);
            (neighbour.role, neighbour.hold_time) = (role, Duration::from_secs(hold_time_seconds));
            config.session(&neighbour).open_time.as_secs()
        };
        let passive = Role::Passive { listen: "127.0.0.1:179".parse().unwrap() };
        assert_eq!([3, 9, 90, 600].map(|seconds| open_time(passive, seconds)), [10, 10, 90, 240]);
        assert_eq!(open_time(passive, 0), 240, "nothing bounds silence by configuration");
        assert_eq!(open_time(Role::Active { port: 179 }, 9), 240);
    }

    #[test]
    fn an_anchor_needs_a_next_hop_of_its_family_as_any_prefix_does() {
        let mut config = sample::config();
        config.neighbours.push(NeighbourConfig::new(Ipv4Addr::new(10, 0, 0, 1).into(), 64500));
        let said = |config: &Config| config.check().err().map(|error| error.to_string());
        assert_eq!(said(&config), None);
        let (prefix, drain) = ("2001:db8::/32".parse().unwrap(), pharos_policy::AnchorDrain::Stays);
        config.rules.anchors = vec![AnchorConfig { prefix, drain }];
        let refusal = said(&config).unwrap();
        assert!(refusal.starts_with("neighbour 10.0.0.1 has no next hop for "), "{refusal}");
        assert!(refusal.contains("set next-hop-ipv6, or leave ipv6 out of its families"), "{refusal}");
        config.neighbours[0].next_hop_ipv6 = Some("fd00::2".parse().unwrap());
        assert_eq!(said(&config), None);
    }
}
