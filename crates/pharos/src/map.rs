//! From the configuration files to what responder and sidecar take: the one place that knows both sides.
//!
//! Pure but for nothing: no file is read, no socket opened, so that `check-config` can call it and the result
//! can be printed.

use crate::failure::Failure;
use pharos_netio::lock::LockPlace;
use pharos_ops::config::Loaded;
use pharos_ops::config::schema::{
    self, CookiesSection, Mode, NeighbourSection, RequireCookies, ResponderSection, SidecarMode,
};
use pharos_ops::config::values::{
    Address, Community, CookieSecret, Family, Prefix, Queues, Threads, Verify, Workers,
};
use pharos_responder as responder;
use pharos_routing::Families;
use pharos_sidecar as sidecar;
use pharos_wire::Name;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;

mod announcers;

pub(crate) use announcers::in_words as announcers_in_words;

/// The responder of this configuration.
pub(crate) fn responder(loaded: &Loaded) -> Result<responder::Config, Failure> {
    let section = loaded.pharos.responder.as_ref();
    let section = section.ok_or_else(|| Failure::usage("the configuration has no responder"))?;
    let zones = match (&section.zones.directory, &section.zones.list) {
        (Some(directory), _) => responder::ZoneSource::Directory(loaded.path(directory)),
        (None, list) => {
            let entries = list.iter().flatten();
            let named = entries.map(|entry| (entry.name.0.clone(), loaded.path(&entry.file)));
            responder::ZoneSource::List(named.collect())
        }
    };
    let listen = section.listen.iter().map(|endpoint| endpoint.0).collect();
    let mut config = responder::Config::new(listen, zones);
    config.nsid = loaded.nsid();
    config.images = section.zones.images.as_ref().map(|directory| loaded.path(directory));
    config.workers = match section.workers {
        Workers::Auto => None,
        Workers::Fixed(count) => Some(count),
    };
    config.udp_payload_octets = section.udp_payload_size;
    config.any = match section.any {
        schema::AnyAnswer::Minimal => responder::AnyPolicy::Minimal,
        schema::AnyAnswer::Full => responder::AnyPolicy::Full,
    };
    config.version = match section.version {
        schema::VersionAnswer::Hidden => responder::Version::Hidden,
        schema::VersionAnswer::Shown => responder::Version::Shown,
    };
    config.management_dns = loaded.site.management_dns.iter().map(|endpoint| endpoint.0).collect();
    config.xdp = loaded.site.xdp.iter().map(xdp).collect();
    config.tcp = responder::TcpLimits {
        connections: section.tcp.connections as usize,
        connections_per_address: section.tcp.connections_per_address as usize,
        connections_per_network: section.tcp.connections_per_network as usize,
        idle: section.tcp.idle.0,
        deadline: section.tcp.deadline.0,
    };
    config.dnssec = responder::DnssecConfig {
        verify: match section.dnssec.verify {
            Verify::All => responder::Signatures::All,
            Verify::OneIn(number) => responder::Signatures::OneIn(number),
            Verify::None => responder::Signatures::None,
        },
        broken: match section.dnssec.broken {
            schema::Broken::Refuse => responder::Broken::Refuse,
            schema::Broken::Serve => responder::Broken::Serve,
        },
        near_expiry: section.dnssec.near_expiry.0,
        threads: match section.dnssec.threads {
            Threads::Auto => None,
            Threads::Fixed(count) => Some(count),
        },
    };
    config.report_agent = match &section.error_reporting {
        Some(agent) => {
            Some(Name::from_text(&agent.0).map_err(|error| Failure::usage(format!("{agent}: {error}")))?)
        }
        None => None,
    };
    config.cookies = section.cookies.as_ref().and_then(|cookies| {
        let secret = |secret: CookieSecret| responder::Secret::new(secret.0);
        let (current, previous) = (cookies.secret.map(secret)?, cookies.previous.map(secret));
        Some(responder::Cookies { current, previous, require: require(cookies) })
    });
    config.lock = match &section.lock_directory {
        Some(directory) => LockPlace::Directory(loaded.path(directory)),
        None => LockPlace::Namespace,
    };
    Ok(config)
}

/// How an interface is used by AF_XDP.
fn xdp(section: &schema::XdpSection) -> responder::XdpOptions {
    let mut options = responder::XdpOptions::new(section.interface.0.clone());
    options.queues = match section.queues {
        Queues::Auto => None,
        Queues::Fixed(count) => u32::try_from(count.get()).ok().and_then(NonZeroU32::new),
    };
    options.mode = match section.mode {
        schema::XdpMode::Auto => responder::XdpMode::Auto,
        schema::XdpMode::Native => responder::XdpMode::Native,
        schema::XdpMode::Generic => responder::XdpMode::Generic,
    };
    options.copying = match section.copy {
        schema::XdpCopy::Auto => responder::XdpCopying::Auto,
        schema::XdpCopy::Copy => responder::XdpCopying::Copy,
        schema::XdpCopy::ZeroCopy => responder::XdpCopying::ZeroCopy,
    };
    options.ring = responder::XdpRingSize::new(section.ring).unwrap_or_default();
    options
}

/// Cookies whose secrets stand in a file: one line, or two when another secret is accepted too.
pub(crate) fn cookies_of_file(
    cookies: &CookiesSection,
    path: &Path,
    text: &str,
) -> Result<responder::Cookies, Failure> {
    let mut secrets = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::parse);
    let all = (secrets.next(), secrets.next(), secrets.next());
    let (Some(Ok(current)), previous @ (None | Some(Ok(_))), None) = all else {
        return Err(Failure::usage(format!("{} does not hold one or two cookie secrets", path.display()))
            .help("write 32 hexadecimal digits into the first line, as `openssl rand -hex 16` makes them"));
    };
    let previous = previous.and_then(Result::ok);
    Ok(responder::Cookies { current, previous, require: require(cookies) })
}

fn require(cookies: &CookiesSection) -> responder::Require {
    match cookies.require {
        RequireCookies::Never => responder::Require::Never,
        RequireCookies::UnderPressure => responder::Require::UnderPressure,
        RequireCookies::Always => responder::Require::Always,
    }
}

/// The sidecar of this configuration.
pub(crate) fn sidecar(loaded: &Loaded) -> Result<sidecar::Config, Failure> {
    let incomplete = || Failure::usage("the configuration has no complete sidecar");
    let section = loaded.pharos.sidecar.as_ref().ok_or_else(incomplete)?;
    let responder = loaded.pharos.responder.as_ref();
    let site = &loaded.site;
    let local_as = site.local_as.ok_or_else(incomplete)?;
    let config = sidecar::Config {
        node: site.node.0.clone(),
        site: site.site.0.clone(),
        nsid: loaded.nsid(),
        local_as,
        router_id: site.router_id.ok_or_else(incomplete)?.0,
        groups: section
            .groups
            .iter()
            .map(|group| group_config(group, responder))
            .collect::<Result<_, _>>()?,
        neighbours: site.neighbours.iter().map(|neighbour| neighbour_config(neighbour, local_as)).collect(),
        announcers: announcers::all(loaded),
        probe: sidecar::ProbeConfig {
            interval: section.probe.interval.0,
            timeout: section.probe.timeout.0,
            fall: sidecar::Fall::new(section.probe.fall.into()),
            rise: sidecar::Rise::new(section.probe.rise.into()),
            ..sidecar::ProbeConfig::default()
        },
        hold_down: sidecar::HoldDown::new(section.hold_down.0),
        drain_time: sidecar::DrainTime(section.drain_time.0),
        status: responder.map(|responder| sidecar::StatusConfig::new(responder.management.0)),
        mode: mode(section.mode),
    };
    config
        .check()
        .map_err(|error| Failure::usage(format!("the sidecar refuses this configuration: {error}")))?;
    Ok(config)
}

fn mode(mode: SidecarMode) -> sidecar::Mode {
    match mode {
        SidecarMode::Announce => sidecar::Mode::Announce,
        SidecarMode::DryRun => sidecar::Mode::DryRun,
    }
}

/// The addresses that are probed for a group: those it names, else the responder's inside its prefixes.
pub(crate) fn probed(group: &schema::GroupSection, responder: Option<&ResponderSection>) -> Vec<SocketAddr> {
    if !group.addresses.is_empty() {
        return group.addresses.iter().map(|endpoint| endpoint.0).collect();
    }
    let listen = responder.iter().flat_map(|responder| &responder.listen).map(|endpoint| endpoint.0);
    listen.filter(|address| group.prefixes.iter().any(|prefix| prefix.contains(address.ip()))).collect()
}

fn group_config(
    group: &schema::GroupSection,
    responder: Option<&ResponderSection>,
) -> Result<sidecar::GroupConfig, Failure> {
    let prefix = |prefix: &Prefix| {
        sidecar::Prefix::new(prefix.address(), prefix.length_bits())
            .map_err(|error| Failure::usage(format!("prefix {prefix}: {error}")))
    };
    Ok(sidecar::GroupConfig {
        name: group.name.0.clone(),
        prefixes: group.prefixes.iter().map(prefix).collect::<Result<_, _>>()?,
        required_zones: group.required.iter().map(|zone| zone.0.clone()).collect(),
        addresses: probed(group, responder),
        degrade: match group.degrade {
            schema::Degrade::Allowed => sidecar::Degrade::Allowed,
            schema::Degrade::Never => sidecar::Degrade::Off,
        },
    })
}

fn neighbour_config(neighbour: &NeighbourSection, local_as: u32) -> sidecar::NeighbourConfig {
    let mut config = sidecar::NeighbourConfig::new(neighbour.address.0, neighbour.r#as);
    let any: IpAddr = match neighbour.address.0 {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = neighbour.local_address.map(|Address(address)| address);
    config.role = match neighbour.mode {
        Mode::Active => sidecar::Role::Active { port: neighbour.port },
        Mode::Passive => {
            sidecar::Role::Passive { listen: SocketAddr::new(own.unwrap_or(any), neighbour.port) }
        }
    };
    config.source = own;
    config.families = families(neighbour);
    config.next_hop_ipv4 = neighbour.next_hop_ipv4.and_then(|Address(hop)| match hop {
        IpAddr::V4(hop) => Some(hop),
        IpAddr::V6(_) => None,
    });
    config.next_hop_ipv6 = neighbour.next_hop_ipv6.and_then(|Address(hop)| match hop {
        IpAddr::V4(_) => None,
        IpAddr::V6(hop) => Some(hop),
    });
    config.hold_time = neighbour.hold_time.0;
    config.connect_retry = neighbour.connect_retry.0;
    config.levels = level_map(&neighbour.communities, local_as);
    config
}

fn families(neighbour: &NeighbourSection) -> Families {
    neighbour.families.iter().fold(Families::NONE, |families, family| match family {
        Family::Ipv4 => families.with(pharos_routing::Family::Ipv4),
        Family::Ipv6 => families.with(pharos_routing::Family::Ipv6),
    })
}

/// The communities of the configuration at every level, and one that says the level: LOCAL-AS:100 to :103,
/// which the router configurations in deploy/ translate. An AS number beyond 16 bits has no such community
/// (RFC 1997 has room for 16 bits only).
fn level_map(communities: &[Community], local_as: u32) -> sidecar::LevelMap {
    let communities = communities.iter().map(|community| sidecar::Community(community.0)).collect();
    let mut levels = sidecar::LevelMap::with_communities(communities);
    if let Ok(own) = u16::try_from(local_as) {
        let each = [&mut levels.normal, &mut levels.degraded, &mut levels.last_resort, &mut levels.draining];
        for (attributes, level) in each.into_iter().zip(100..) {
            attributes.communities.push(sidecar::Community::new(own, level));
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use pharos_ops::config::{Need, load};

    const PHAROS: &str = "responder:
  listen: [\"192.0.2.53:53\", \"198.51.100.1:53\"]
  zones: {list: [{name: example.com, file: zones/x}]}
  workers: 3
  lock-directory: locks
  dnssec: {verify: one-in 8, broken: serve, near-expiry: 2d, threads: 4}
  cookies: {secret: \"e5e973e5a6b2a43f48e7dc849e37bfcf\", require: always}
  error-reporting: agent.example
sidecar:
  groups: [{name: main, prefixes: [192.0.2.0/24], required: [example.com], degrade: never}]
";

    fn loaded(name: &str, local_as: u32, neighbour: &str) -> Loaded {
        let directory = std::env::temp_dir().join(format!("pharos-map-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (pharos, site) = (directory.join("pharos.yaml"), directory.join("site.yaml"));
        let text = format!(
            "node: a\nsite: ams\nrouter-id: 10.0.0.2\nlocal-as: {local_as}\nneighbours:\n  - {{as: 64500, {neighbour}}}\n"
        );
        std::fs::write(&pharos, PHAROS).unwrap();
        std::fs::write(&site, text).unwrap();
        let mut loaded = load(&pharos, &site, Need::Sidecar).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        loaded.directory = "/etc/pharos".into();
        loaded
    }

    #[test]
    fn relative_paths_begin_at_the_configuration() {
        let config = responder(&loaded("paths", 64512, "address: 10.0.0.1")).unwrap();
        let responder::ZoneSource::List(zones) = config.zones else { panic!("a list was given") };
        assert_eq!(zones, [("example.com.".to_owned(), "/etc/pharos/zones/x".into())]);
        assert_eq!(config.lock, LockPlace::Directory("/etc/pharos/locks".into()));
        assert_eq!(config.workers.map(usize::from), Some(3));
        assert_eq!(config.nsid, "a.ams");
    }

    #[test]
    fn what_is_checked_and_what_is_told_reaches_the_responder() {
        let config = responder(&loaded("told", 64512, "address: 10.0.0.1")).unwrap();
        assert_eq!(config.dnssec.verify, responder::Signatures::OneIn(8.try_into().unwrap()));
        assert_eq!(config.dnssec.broken, responder::Broken::Serve);
        assert_eq!(config.dnssec.near_expiry.as_secs(), 2 * 86_400);
        assert_eq!(config.dnssec.threads.map(usize::from), Some(4));
        assert_eq!(config.report_agent, Name::from_text("agent.example.").ok());
        let cookies = config.cookies.unwrap();
        assert_eq!(cookies.current, "e5e973e5a6b2a43f48e7dc849e37bfcf".parse().unwrap());
        assert_eq!((cookies.previous, cookies.require), (None, responder::Require::Always));
    }

    #[test]
    fn a_file_holds_one_cookie_secret_or_two_and_nothing_else() {
        let pharos = loaded("secrets", 64512, "address: 10.0.0.1").pharos;
        let section = pharos.responder.unwrap().cookies.unwrap();
        let read = |text: &str| cookies_of_file(&section, Path::new("/x"), text);
        let (one, other) = ("0".repeat(32), "1".repeat(32));
        assert_eq!(read(&one).unwrap().previous, None);
        assert_eq!(read(&format!("{one}\n{other}\n")).unwrap().previous, other.parse().ok());
        for wrong in ["", "12", &format!("{one}\n12"), &format!("{one}\n{one}\n{one}")] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("/x does not hold one or two cookie secrets"), "{said}");
        }
    }

    #[test]
    fn a_program_is_an_announcer_and_needs_no_neighbour() {
        let program = "{name: x, program: /x, observe: {program: /y}, mode: dry-run}";
        // The template closes one more brace.
        let site = format!("address: 10.0.0.1}}\nannouncers: {{exec: [{program}]");
        let mut loaded = loaded("exec", 64512, &site);
        loaded.site.neighbours.clear();
        let config = sidecar(&loaded).unwrap();
        let [announcer] = config.announcers.as_slice() else { panic!("one announcer was given") };
        assert_eq!((announcer.name.as_str(), announcer.mode), ("exec x", sidecar::Mode::DryRun));
        let sidecar::Way::Exec(exec) = &announcer.way else { panic!("a program was given") };
        assert_eq!((exec.timeout.as_secs(), exec.observe.as_ref().unwrap().interval.as_secs()), (5, 10));
    }

    #[test]
    fn a_bird_is_told_the_levels_and_its_routes_end_with_their_markers() {
        let marker = "{prefix: 192.0.2.0/24, address: 169.254.77.1/30, levels: [normal, last-resort]}";
        let announcers = format!("{{bird: {{communities: [\"64512:53\"]}}, lease: {{markers: [{marker}]}}");
        let config =
            sidecar(&loaded("bird", 64512, &format!("address: 10.0.0.1}}\nannouncers: {announcers}")))
                .unwrap();
        let [bird, lease] = config.announcers.as_slice() else { panic!("two announcers were given") };
        assert_eq!((bird.name.as_str(), lease.name.as_str()), ("bird", "lease"));
        let sidecar::Way::Bird(bird) = &bird.way else { panic!("a BIRD was given") };
        let communities: Vec<_> = bird.levels.degraded.communities.iter().map(ToString::to_string).collect();
        assert_eq!((communities.join(" "), bird.death), ("64512:53 64512:101".into(), sidecar::Death::Lease));
        let sidecar::Way::Lease(lease) = &lease.way else { panic!("a lease was given") };
        assert_eq!(lease.markers[0].levels, [sidecar::Level::Normal, sidecar::Level::LastResort]);
        assert_eq!((lease.interface.as_str(), lease.lifetime.as_secs()), ("pharos0", 3));
    }

    #[test]
    fn a_group_probes_the_listen_addresses_inside_its_prefixes() {
        let config = sidecar(&loaded("group", 64512, "address: 10.0.0.1")).unwrap();
        let [group] = config.groups.as_slice() else { panic!("one group was given") };
        assert_eq!(group.addresses, ["192.0.2.53:53".parse().unwrap()]);
        assert_eq!(group.degrade, sidecar::Degrade::Off);
        assert_eq!(config.status.map(|status| status.address), Some(([127, 0, 0, 1], 9153).into()));
    }

    #[test]
    fn each_level_is_said_by_a_community_that_routers_translate() {
        let config =
            sidecar(&loaded("levels", 64512, "address: 10.0.0.1, communities: [\"64512:53\"]")).unwrap();
        let levels = &config.neighbours.first().unwrap().levels;
        let words = |attributes: &sidecar::Attributes| {
            attributes.communities.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&levels.normal), "64512:53 64512:100");
        assert_eq!(words(&levels.degraded), "64512:53 64512:101");
        assert_eq!(words(&levels.last_resort), "64512:53 64512:102");
        assert_eq!(words(&levels.draining), "64512:53 65535:0 64512:103");
    }

    #[test]
    fn an_as_number_beyond_16_bits_has_no_such_community() {
        let config = sidecar(&loaded("wide", 4_200_000_000, "address: 10.0.0.1")).unwrap();
        assert_eq!(config.neighbours.first().unwrap().levels.normal.communities, []);
    }

    #[test]
    fn a_passive_neighbour_is_waited_for_on_our_own_address() {
        let passive = "address: 10.0.0.1, mode: passive, port: 1179, local-address: 10.0.0.2";
        let config = sidecar(&loaded("passive", 64512, passive)).unwrap();
        let role = config.neighbours.first().unwrap().role;
        assert_eq!(role, sidecar::Role::Passive { listen: "10.0.0.2:1179".parse().unwrap() });
        let anywhere = sidecar(&loaded(
            "anywhere",
            64512,
            "next-hop-ipv4: 10.0.0.2, address: \"fd00::1\", mode: passive",
        ))
        .unwrap();
        let role = anywhere.neighbours.first().map(|neighbour| neighbour.role);
        assert_eq!(role, Some(sidecar::Role::Passive { listen: "[::]:179".parse().unwrap() }));
    }
}
