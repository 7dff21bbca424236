//! Announcers beside our own BGP speaker: what they are told, and what is refused.
//!
//! Each is a value of [`AnnouncerConfig`]; several may be active at once, and each carries out every level on its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use pharos_policy::{Level, Prefix};

use super::{Config, LevelMap, Mode, StartError};

/// One announcer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncerConfig {
    /// The name in logs, metrics and alarms; no two announcers share one.
    pub name: String,
    /// Whether decisions are carried out; [`Mode::DryRun`] of the whole sidecar wins.
    pub mode: Mode,
    /// How they are.
    pub way: Way,
}

/// How an announcer carries decisions out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a BIRD on this host.
    Bird(Box<BirdConfig>),
    /// By marker addresses on which a routing daemon's routes depend.
    Lease(LeaseConfig),
    /// By running a program for each change.
    Exec(ExecConfig),
}

/// A BIRD on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BirdConfig {
    /// Its control socket.
    pub control: PathBuf,
    /// The file that its configuration includes, which is ours.
    pub include: PathBuf,
    /// What each level looks like to it.
    pub levels: LevelMap,
    /// How long BIRD waits for a confirmation before it undoes a load; `None` asks for none.
    pub undo_timeout: Option<Duration>,
    /// How its configuration is loaded.
    pub reload: Reload,
    /// From one look at what it shows to the next.
    pub look: Duration,
    /// The first pause after something failed; it doubles up to half a minute.
    pub retry: Duration,
    /// What becomes of its routes when this process dies.
    pub death: Death,
}

/// How BIRD loads a configuration that others may have changed as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// With everything that follows from changed filters.
    Full,
    /// Changed filters hold for new routes alone (`configure soft`).
    Soft,
}

/// What becomes of routes that another process holds when this one dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// They depend on the markers of the `lease` announcer, which run out.
    Lease,
    /// They stay for good.
    Stay,
}

/// Marker addresses with a lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The interface that they are set on.
    pub interface: String,
    /// How long they last when nobody renews them, in whole seconds.
    pub lifetime: Duration,
    /// The markers; each prefix has at least one.
    pub markers: Vec<MarkerConfig>,
}

/// One marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerConfig {
    /// The prefix that it stands for.
    pub prefix: Prefix,
    /// Its address.
    pub address: IpAddr,
    /// The length of its network.
    pub length: u8,
    /// The levels at which it is there: all that are announced, where a BIRD that is told goes by it.
    pub levels: Vec<Level>,
}

/// A program that is run for each change of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program, as an absolute path; no shell is involved.
    pub program: PathBuf,
    /// Its first arguments; level, prefix and reason follow.
    pub arguments: Vec<String>,
    /// How long it may take before it is killed.
    pub timeout: Duration,
    /// The first pause after a run that failed; it doubles up to half a minute.
    pub retry: Duration,
    /// How the state is observed; without it the last run that succeeded counts.
    pub observe: Option<ObserveConfig>,
}

/// A program that says which level a prefix has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserveConfig {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its first arguments; the prefix follows.
    pub arguments: Vec<String>,
    /// From one look to the next.
    pub interval: Duration,
}

/// A program that takes longer is none for this: routes wait for it.
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// Shorter pauses and looks would make a load of their own.
const SHORTEST: Duration = Duration::from_millis(100);
/// Whole seconds count, and looks take a part of it.
const LEAST_UNDO: Duration = Duration::from_secs(2);
/// Until then nobody knows whether a load holds.
const MOST_UNDO: Duration = Duration::from_secs(600);
/// Renewed each second; one late renewal must not cost the route.
const LEAST_LIFETIME: Duration = Duration::from_secs(2);
/// IFNAMSIZ of linux/if.h, less the zero.
const LONGEST_INTERFACE: usize = 15;

impl AnnouncerConfig {
    /// What makes this announcer impossible.
    pub(super) fn check(&self, config: &Config) -> Result<(), StartError> {
        let refuse = |why: String| Err(StartError::Announcer { name: self.name.clone(), why });
        let fault = match &self.way {
            Way::Bird(bird) => bird.fault(self.mode, config),
            Way::Lease(lease) => lease.fault(config),
            Way::Exec(exec) => exec.fault(),
        };
        fault.map_or(Ok(()), refuse)
    }
}

impl Config {
    /// The markers, if there are any.
    pub(crate) fn lease(&self) -> Option<&LeaseConfig> {
        self.lease_mode().map(|(lease, _)| lease)
    }

    fn lease_mode(&self) -> Option<(&LeaseConfig, Mode)> {
        self.announcers.iter().find_map(|announcer| match &announcer.way {
            Way::Lease(lease) => Some((lease, announcer.mode)),
            Way::Bird(_) | Way::Exec(_) => None,
        })
    }

    /// Every prefix that is announced here: those of the groups, and anchors, which are announced like them.
    pub(crate) fn announced(&self) -> impl Iterator<Item = Prefix> {
        let of_groups = self.groups.iter().flat_map(|group| group.prefixes.iter().copied());
        of_groups.chain(self.rules.anchors.iter().map(|anchor| anchor.prefix))
    }

    /// For each prefix the next hops that exist while its markers do; BIRD goes by the first.
    pub(crate) fn gateways(&self) -> Vec<(Prefix, IpAddr)> {
        let markers = self.lease().into_iter().flat_map(|lease| &lease.markers);
        markers.map(|marker| (marker.prefix, marker.gateway())).collect()
    }
}

impl BirdConfig {
    fn fault(&self, mode: Mode, config: &Config) -> Option<String> {
        for path in [&self.control, &self.include] {
            if !path.is_absolute() {
                return Some(format!("{} is not an absolute path; write it from the root", path.display()));
            }
        }
        for level in Level::ALL {
            if let Some(why) = self.levels.of(level).and_then(super::fault) {
                return Some(format!("level {level}: {why}"));
            }
        }
        for (what, time) in [("look", self.look), ("retry", self.retry)] {
            if !(SHORTEST..=LONGEST_RUN).contains(&time) {
                return Some(format!("{what} of {time:?} is not between {SHORTEST:?} and {LONGEST_RUN:?}"));
            }
        }
        if self.undo_timeout.is_some_and(|undo| !(LEAST_UNDO..=MOST_UNDO).contains(&undo)) {
            return Some(format!("an undo timeout must be {LEAST_UNDO:?} to {MOST_UNDO:?}, or none"));
        }
        if self.death == Death::Stay {
            return None;
        }
        if mode == Mode::Announce && matches!(config.lease_mode(), Some((_, Mode::DryRun))) {
            return Some(
                "its routes go by markers that nobody sets: the lease announcer is a dry run".to_owned(),
            );
        }
        config.announced().find_map(|prefix| fault_of_marker(config, prefix))
    }
}

/// What is wrong with the marker on which BIRD's route of a prefix depends.
fn fault_of_marker(config: &Config, prefix: Prefix) -> Option<String> {
    let mut markers = config.lease().into_iter().flat_map(|lease| &lease.markers);
    // BIRD's route goes by the first alone. A change from one to the next would leave it without a next hop meanwhile.
    let Some(marker) = markers.find(|marker| marker.prefix == prefix) else {
        return Some(format!(
            "nothing would end the route of {prefix} when the sidecar dies; \
             give it a marker in the lease announcer, or say that its routes stay"
        ));
    };
    let lacks = Level::ALL.into_iter().filter(|level| level.is_announced() && !marker.levels.contains(level));
    let lacks: Vec<_> = lacks.map(Level::name).collect();
    (!lacks.is_empty()).then(|| {
        format!(
            "BIRD's route of {prefix} goes by its first marker, {}, which is not there at level {}: \
             it would be withdrawn; let that marker stand for every level",
            marker.address,
            lacks.join(", ")
        )
    })
}

impl LeaseConfig {
    fn fault(&self, config: &Config) -> Option<String> {
        let name = &self.interface;
        let is_odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > LONGEST_INTERFACE || name.contains(is_odd) {
            return Some(format!("\"{name}\" is no name of an interface"));
        }
        if self.lifetime.subsec_nanos() != 0 || !(LEAST_LIFETIME..=LONGEST_RUN).contains(&self.lifetime) {
            let lifetime = self.lifetime;
            return Some(format!(
                "lifetime of {lifetime:?} is not {LEAST_LIFETIME:?} to {LONGEST_RUN:?} in whole seconds"
            ));
        }
        let announced: Vec<_> = config.announced().collect();
        // Addresses below an anchor alone are nobody's of the service.
        let of_groups = || config.groups.iter().flat_map(|group| &group.prefixes);
        let probed = || config.groups.iter().flat_map(|group| &group.addresses);
        for (at, marker) in self.markers.iter().enumerate() {
            let MarkerConfig { prefix, address, length, levels } = marker;
            if !announced.contains(prefix) {
                return Some(format!(
                    "marker {address} stands for {prefix}, which is neither a group's prefix nor an anchor"
                ));
            }
            if of_groups().any(|prefix| prefix.contains(*address))
                || probed().any(|probed| probed.ip() == *address)
            {
                return Some(format!(
                    "marker {address} is an address of the service, which must never go away; \
                     take one that nobody else uses, like 169.254.77.1/30"
                ));
            }
            let most = if address.is_ipv4() { 31 } else { 127 };
            if !(8..=most).contains(length) || marker.gateway() == *address {
                return Some(format!(
                    "marker {address}/{length} leaves no other address in its network; write a shorter length"
                ));
            }
            if levels.is_empty() || levels.contains(&Level::Withdrawn) {
                return Some(format!("marker {address} must stand for levels that are announced"));
            }
            if self.markers.iter().take(at).any(|other| other.address == *address) {
                return Some(format!("marker {address} is configured twice"));
            }
        }
        let without =
            announced.into_iter().find(|prefix| !self.markers.iter().any(|it| it.prefix == *prefix))?;
        Some(format!("prefix {without} has no marker, so that nothing here would announce it: add one"))
    }
}

impl MarkerConfig {
    /// Another address in the marker's network: the next one, or the one before where there is none.
    pub fn gateway(&self) -> IpAddr {
        let (own, bits) = match self.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let host_bits = bits - u32::from(self.length).min(bits);
        let hosts = if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 };
        // In networks of two addresses both are hosts (RFC 3021, RFC 6164); elsewhere the first and last are not.
        let (first, last) = match host_bits {
            0 | 1 => (own & !hosts, own | hosts),
            _ => ((own & !hosts) + 1, (own | hosts) - 1),
        };
        let other = if own < last { own + 1 } else { own.saturating_sub(1).max(first) };
        match self.address {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(other).unwrap_or(u32::MAX)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(other).into(),
        }
    }
}

impl ExecConfig {
    fn fault(&self) -> Option<String> {
        let observed = self.observe.iter().map(|observe| &observe.program);
        for program in std::iter::once(&self.program).chain(observed) {
            if !program.is_absolute() {
                let program = program.display();
                return Some(format!("program {program} is not an absolute path; write it from the root"));
            }
        }
        let interval = self.observe.as_ref().map(|observe| ("observe interval", observe.interval));
        for (what, time) in [("timeout", self.timeout), ("retry", self.retry)].into_iter().chain(interval) {
            if !(SHORTEST..=LONGEST_RUN).contains(&time) {
                return Some(format!("{what} of {time:?} is not between {SHORTEST:?} and {LONGEST_RUN:?}"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sample;

    fn exec() -> ExecConfig {
        ExecConfig {
            program: "/usr/local/sbin/route".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            observe: None,
        }
    }

    fn all(way: Way) -> Config {
        let mut config = sample::config();
        config.groups[0].addresses = vec!["127.0.0.1:53".parse().unwrap()];
        config.announcers.push(AnnouncerConfig { name: "x".into(), mode: Mode::Announce, way });
        config
    }

    fn fault_of(way: Way) -> String {
        all(way).check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn said(change: impl FnOnce(&mut ExecConfig)) -> String {
        let mut exec = exec();
        change(&mut exec);
        fault_of(Way::Exec(exec))
    }

    fn lease(change: impl FnOnce(&mut LeaseConfig)) -> String {
        let mut lease = LeaseConfig {
            interface: "pharos0".into(),
            lifetime: Duration::from_secs(3),
            markers: vec![MarkerConfig {
                prefix: "192.0.2.0/24".parse().unwrap(),
                address: "169.254.77.1".parse().unwrap(),
                length: 30,
                // A daemon that nobody tells may have a route for each level.
                levels: vec![Level::Normal],
            }],
        };
        change(&mut lease);
        fault_of(Way::Lease(lease))
    }

    fn every_level() -> Vec<Level> {
        Level::ALL.into_iter().filter(|level| level.is_announced()).collect()
    }

    #[test]
    fn a_program_is_named_from_the_root_and_ends_within_a_bound() {
        assert_eq!(said(|_| ()), "");
        assert_eq!(
            said(|exec| exec.program = "route".into()),
            "announcer x: program route is not an absolute path; write it from the root"
        );
        let long = said(|exec| exec.timeout = Duration::from_secs(61));
        assert_eq!(long, "announcer x: timeout of 61s is not between 100ms and 60s");
        let observe = |interval| ObserveConfig { program: "/x".into(), arguments: Vec::new(), interval };
        assert!(said(|exec| exec.observe = Some(observe(Duration::ZERO))).contains("observe interval"));
    }

    #[test]
    fn a_marker_is_never_an_address_of_the_service() {
        assert_eq!(lease(|_| ()), "");
        for address in ["192.0.2.53", "127.0.0.1"] {
            let said = lease(|lease| lease.markers[0].address = address.parse().unwrap());
            assert!(said.contains("is an address of the service, which must never go away"), "{said}");
        }
    }

    #[test]
    fn markers_have_a_prefix_a_network_levels_and_whole_seconds() {
        type Break = fn(&mut LeaseConfig);
        let cases: [(Break, &str); 7] = [
            (|lease| lease.markers.clear(), "has no marker"),
            (|lease| lease.markers[0].length = 32, "leaves no other address"),
            (|lease| lease.markers[0].levels.clear(), "levels that are announced"),
            (
                |lease| lease.markers[0].prefix = "198.51.100.0/24".parse().unwrap(),
                "neither a group's prefix nor an anchor",
            ),
            (|lease| lease.markers.push(lease.markers[0].clone()), "is configured twice"),
            (|lease| lease.lifetime = Duration::from_millis(2500), "whole seconds"),
            (|lease| lease.interface = "a/b".into(), "no name of an interface"),
        ];
        for (change, words) in cases {
            let said = lease(change);
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    /// A node with the prefix 192.0.2.0/24 and an anchor over it, whose markers are those of these prefixes.
    fn anchored(markers: &[&str]) -> Config {
        let marker = |(at, prefix): (u8, &&str)| MarkerConfig {
            prefix: prefix.parse().unwrap(),
            address: Ipv4Addr::new(169, 254, 77, at * 4 + 1).into(),
            length: 30,
            levels: every_level(),
        };
        let markers = (0..).zip(markers).map(marker).collect();
        let lease = LeaseConfig { interface: "pharos0".into(), lifetime: Duration::from_secs(3), markers };
        let mut config = all(Way::Lease(lease));
        let (prefix, drain) = ("192.0.0.0/16".parse().unwrap(), pharos_policy::AnchorDrain::Stays);
        config.rules.anchors = vec![pharos_policy::AnchorConfig { prefix, drain }];
        config
    }

    #[test]
    fn an_anchor_has_a_marker_like_any_prefix() {
        let fault = |markers: &[&str]| anchored(markers).check().err().map(|error| error.to_string());
        assert_eq!(fault(&["192.0.2.0/24", "192.0.0.0/16"]), None);
        let said = fault(&["192.0.2.0/24"]).unwrap();
        assert!(said.starts_with("announcer x: prefix 192.0.0.0/16 has no marker"), "{said}");
    }

    #[test]
    fn the_next_hop_is_another_address_of_the_markers_network() {
        let gateway = |address: &str, length| {
            let (prefix, levels) = ("192.0.2.0/24".parse().unwrap(), Vec::new());
            MarkerConfig { prefix, address: address.parse().unwrap(), length, levels }.gateway().to_string()
        };
        assert_eq!(gateway("169.254.77.1", 30), "169.254.77.2");
        assert_eq!(gateway("169.254.77.2", 30), "169.254.77.1");
        assert_eq!(gateway("169.254.77.0", 31), "169.254.77.1");
        assert_eq!(gateway("169.254.77.1", 31), "169.254.77.0");
        assert_eq!(gateway("fd00:77::1", 126), "fd00:77::2");
        assert_eq!(gateway("fd00:77::1", 64), "fd00:77::2");
    }

    fn bird() -> Box<BirdConfig> {
        Box::new(BirdConfig {
            control: "/run/bird/bird.ctl".into(),
            include: "/var/lib/pharos/bird.conf".into(),
            levels: LevelMap::default(),
            undo_timeout: Some(Duration::from_secs(10)),
            reload: Reload::Full,
            look: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            death: Death::Lease,
        })
    }

    #[test]
    fn birds_route_of_an_anchor_ends_with_a_marker_too() {
        let with = |markers: &[&str]| {
            let mut config = anchored(markers);
            let (name, way) = ("bird".into(), Way::Bird(bird()));
            config.announcers.insert(0, AnnouncerConfig { name, mode: Mode::Announce, way });
            config
        };
        let said = with(&["192.0.2.0/24"]).check().unwrap_err().to_string();
        assert!(said.contains("nothing would end the route of 192.0.0.0/16 when the sidecar dies"), "{said}");
        let mut config = with(&["192.0.2.0/24", "192.0.0.0/16"]);
        assert!(config.check().is_ok());
        config.announcers[1].mode = Mode::DryRun;
        assert!(config.check().unwrap_err().to_string().contains("markers that nobody sets"));
        config.announcers[0].mode = Mode::DryRun;
        assert!(config.check().is_ok());
        let gateways: Vec<_> = config.gateways().iter().map(|(of, via)| format!("{of} via {via}")).collect();
        assert_eq!(gateways, ["192.0.2.0/24 via 169.254.77.2", "192.0.0.0/16 via 169.254.77.6"]);
    }

    #[test]
    fn the_marker_that_birds_route_goes_by_is_there_at_every_level() {
        let with = |markers: &[&str], change: fn(&mut Vec<MarkerConfig>)| {
            let mut config = anchored(markers);
            let (name, way) = ("bird".into(), Way::Bird(bird()));
            config.announcers.push(AnnouncerConfig { name, mode: Mode::Announce, way });
            for announcer in &mut config.announcers {
                if let Way::Lease(lease) = &mut announcer.way {
                    change(&mut lease.markers);
                }
            }
            config.check().err().map(|error| error.to_string())
        };
        let each = ["192.0.2.0/24", "192.0.0.0/16"];
        assert_eq!(with(&each, |_| ()), None);
        let said = with(&each, |markers| markers[0].levels = vec![Level::Normal, Level::LastResort]).unwrap();
        let words = "announcer bird: BIRD's route of 192.0.2.0/24 goes by its first marker, 169.254.77.1, which is not \
                     there at level degraded, draining: it would be withdrawn; let that marker stand for every level";
        assert_eq!(said, words);
        let said =
            with(&each, |markers| markers[1].levels.retain(|level| *level != Level::Draining)).unwrap();
        assert!(said.contains("route of 192.0.0.0/16 goes by its first marker, 169.254.77.5"), "{said}");
        // Others of the prefix are for other daemons.
        let more = ["192.0.2.0/24", "192.0.0.0/16", "192.0.2.0/24"];
        assert_eq!(with(&more, |markers| markers[2].levels = vec![Level::Normal]), None);
        let said = with(&more, |markers| markers[0].levels = vec![Level::Normal]).unwrap();
        assert!(said.contains("169.254.77.1, which is not there at level degraded"), "{said}");
    }

    #[test]
    fn birds_routes_end_with_a_marker_unless_it_is_said_that_they_stay() {
        let mut bird = bird();
        let said = fault_of(Way::Bird(bird.clone()));
        assert!(said.contains("nothing would end the route of 192.0.2.0/24 when the sidecar dies"), "{said}");
        bird.death = Death::Stay;
        assert_eq!(fault_of(Way::Bird(bird.clone())), "");
        bird.undo_timeout = Some(Duration::from_secs(1));
        assert!(fault_of(Way::Bird(bird)).contains("undo timeout"));
    }
}
