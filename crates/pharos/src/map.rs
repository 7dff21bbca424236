//! From the configuration files to what responder and sidecar take: the one place that knows both sides.
//!
//! Pure but for nothing: no file is read, no socket opened, so that `check-config` can call it and the result
//! can be printed.

use crate::failure::Failure;
use pharos_netio::lock::LockPlace;
use pharos_ops::config::Loaded;
use pharos_ops::config::schema::{
    self, BeforeSession, BgpRole, BgpRoleCheck, CookiesSection, LevelSection, LevelsSection, Mode,
    NeighbourSection, RequireCookies, ResponderSection, SidecarMode, SidecarSection, TtlSecurity,
};
use pharos_ops::config::values::{
    Address, Community, CookieSecret, Family, LargeCommunity, Prefix, Queues, Threads, Verify, Workers,
};
use pharos_responder as responder;
use pharos_routing::Families;
use pharos_sidecar as sidecar;
use pharos_wire::Name;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

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
    config.precedence = match section.run_first {
        schema::RunFirst::Yes => responder::Precedence::First,
        schema::RunFirst::No => responder::Precedence::Ordinary,
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
        neighbours: (site.neighbours.iter())
            .map(|neighbour| neighbour_config(neighbour, local_as))
            .collect::<Result<_, _>>()?,
        announcers: announcers::all(loaded),
        probe: sidecar::ProbeConfig {
            interval: section.probe.interval.0,
            timeout: section.probe.timeout.0,
            fall: sidecar::Fall::new(section.probe.fall.into()),
            rise: sidecar::Rise::new(section.probe.rise.into()),
            slow: section.probe.slow.0,
            ..sidecar::ProbeConfig::default()
        },
        wire: site.wire.as_ref().map(|wire| wire_config(wire, &site.site.0)),
        hold_down: sidecar::HoldDown::new(section.hold_down.0),
        drain_time: sidecar::DrainTime(section.drain_time.0),
        rules: rules(section)?,
        status: responder.map(|responder| sidecar::StatusConfig::new(responder.management.0)),
        mode: mode(section.mode),
        state: Some(state_directory(loaded, section)),
        record: (section.record_megabytes > 0).then(|| sidecar::RecordConfig {
            path: record(loaded, section),
            octets: u64::from(section.record_megabytes) * 1_000_000,
        }),
    };
    config
        .check()
        .map_err(|error| Failure::usage(format!("the sidecar refuses this configuration: {error}")))?;
    Ok(config)
}

fn wire_config(wire: &schema::WireSection, site: &str) -> sidecar::WireConfig {
    sidecar::WireConfig {
        interface: wire.interface.0.clone(),
        interval: wire.interval.0,
        timeout: wire.timeout.0,
        siblings: wire.siblings.iter().map(|node| format!("{}.{site}", node.0)).collect(),
        trial: sidecar::WireConfig::TRIAL,
    }
}

fn mode(mode: SidecarMode) -> sidecar::Mode {
    match mode {
        SidecarMode::Announce => sidecar::Mode::Announce,
        SidecarMode::DryRun => sidecar::Mode::DryRun,
    }
}

/// The file into which signals are recorded.
pub(crate) fn record(loaded: &Loaded, section: &SidecarSection) -> PathBuf {
    let named = section.record.as_ref().map(|path| loaded.path(path));
    named.unwrap_or_else(|| state_directory(loaded, section).join("signals.jsonl"))
}

/// The groups' prefixes that no anchor covers.
pub(crate) fn without_anchor(section: &SidecarSection) -> Vec<&Prefix> {
    let covered = |prefix: &&Prefix| section.anchors.iter().any(|anchor| anchor.prefix.covers(prefix));
    section.groups.iter().flat_map(|group| &group.prefixes).filter(|prefix| !covered(prefix)).collect()
}

/// Where the sidecar keeps what has to survive its restart. A control socket outside /run is that of somebody who
/// tries something, and whose words are not those of this machine's service.
pub(crate) fn state_directory(loaded: &Loaded, section: &SidecarSection) -> PathBuf {
    if let Some(state) = &section.state {
        return loaded.path(state);
    }
    let control = loaded.path(&section.control);
    match control.parent() {
        Some(directory) if !control.starts_with("/run") => directory.to_owned(),
        _ => PathBuf::from("/var/lib/pharos"),
    }
}

fn prefix_of(prefix: &Prefix) -> Result<sidecar::Prefix, Failure> {
    sidecar::Prefix::new(prefix.address(), prefix.length_bits())
        .map_err(|error| Failure::usage(format!("prefix {prefix}: {error}")))
}

fn rules(section: &SidecarSection) -> Result<sidecar::Rules, Failure> {
    let anchor = |anchor: &schema::AnchorSection| {
        let drain = match anchor.drain {
            schema::AnchorDrain::Stays => sidecar::AnchorDrain::Stays,
            schema::AnchorDrain::Follows => sidecar::AnchorDrain::Follows,
        };
        Ok(sidecar::AnchorConfig { prefix: prefix_of(&anchor.prefix)?, drain })
    };
    let mut returns = sidecar::ReturnCap::default();
    returns.most = NonZeroU32::new(section.returns_per_hour.into()).unwrap_or(returns.most);
    let anchors = section.anchors.iter().map(anchor).collect::<Result<_, Failure>>()?;
    let bound = |group: &schema::GroupSection| Some((group.name.0.clone(), group.data_age?.0));
    let data_age = section.groups.iter().filter_map(bound).collect();
    Ok(sidecar::Rules {
        anchors,
        returns,
        linger: sidecar::Linger(section.linger.0),
        quiet: sidecar::Quiet(section.quiet),
        patience: sidecar::Patience(section.patience.0),
        data_age,
        data_grace: sidecar::DataGrace(section.data_grace.0),
    })
}

fn group_config(
    group: &schema::GroupSection,
    responder: Option<&ResponderSection>,
) -> Result<sidecar::GroupConfig, Failure> {
    Ok(sidecar::GroupConfig {
        name: group.name.0.clone(),
        prefixes: group.prefixes.iter().map(prefix_of).collect::<Result<_, _>>()?,
        required_zones: group.required.iter().map(|zone| zone.0.clone()).collect(),
        addresses: group.probed(responder),
        degrade: match group.degrade {
            schema::Degrade::Allowed => sidecar::Degrade::Allowed,
            schema::Degrade::Never => sidecar::Degrade::Off,
        },
        failing: match group.failing {
            schema::Failing::LastResort => sidecar::OnFailure::LastResort,
            schema::Failing::Withdraw => sidecar::OnFailure::Withdraw,
        },
        expired: match group.expired {
            schema::Expired::LastResort => sidecar::OnExpiry::LastResort,
            schema::Expired::Withdraw => sidecar::OnExpiry::Withdraw,
        },
        overload: match group.overload {
            schema::Overload::Hold => sidecar::OnOverload::Hold,
            schema::Overload::Degrade => sidecar::OnOverload::Degrade,
            schema::Overload::Withdraw => sidecar::OnOverload::Withdraw,
        },
    })
}

fn neighbour_config(
    neighbour: &NeighbourSection,
    local_as: u32,
) -> Result<sidecar::NeighbourConfig, Failure> {
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
    config.next_hop_ipv4 = neighbour.next_hop_ipv4.map(|Address(hop)| hop);
    config.next_hop_ipv6 = neighbour.next_hop_ipv6.and_then(|Address(hop)| match hop {
        IpAddr::V4(_) => None,
        IpAddr::V6(hop) => Some(hop),
    });
    config.hold_time = neighbour.hold_time.0;
    config.connect_retry = neighbour.connect_retry.0;
    config.levels = levels(neighbour, local_as);
    config.gtsm = match neighbour.ttl_security {
        TtlSecurity::None => sidecar::Gtsm::Off,
        TtlSecurity::Neighbour => sidecar::Gtsm::Neighbour,
    };
    if let Some(key) = &neighbour.md5_key {
        config.md5 = Some(md5_key(&key.0, neighbour)?);
    }
    config.bfd = neighbour.bfd.as_ref().map(|bfd| sidecar::BfdConfig {
        interval: bfd.interval.0,
        multiplier: bfd.multiplier,
        before_session: match bfd.before_session {
            BeforeSession::Optional => sidecar::BeforeSession::Optional,
            BeforeSession::Required => sidecar::BeforeSession::Required,
        },
    });
    config.peering = neighbour.bgp_role.map(|role| match role {
        BgpRole::Provider => sidecar::Peering::Provider,
        BgpRole::Customer => sidecar::Peering::Customer,
        BgpRole::Peer => sidecar::Peering::Peer,
        BgpRole::RouteServer => sidecar::Peering::RouteServer,
        BgpRole::RouteServerClient => sidecar::Peering::RouteServerClient,
    });
    config.peering_check = match neighbour.bgp_role_check {
        BgpRoleCheck::Lenient => sidecar::PeeringCheck::Lenient,
        BgpRoleCheck::Strict => sidecar::PeeringCheck::Strict,
    };
    Ok(config)
}

fn md5_key(text: &str, neighbour: &NeighbourSection) -> Result<sidecar::Md5Key, Failure> {
    sidecar::Md5Key::new(text.as_bytes())
        .map_err(|error| Failure::usage(format!("neighbour {}: {error}", neighbour.address)))
}

/// Puts the secrets into their neighbours that stand in files of their own: `read` gives a file's text.
pub(crate) fn md5_keys_of_files(
    loaded: &Loaded,
    config: &mut sidecar::Config,
    read: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<(), Failure> {
    for (section, neighbour) in loaded.site.neighbours.iter().zip(&mut config.neighbours) {
        let Some(file) = &section.md5_key_file else { continue };
        let path = loaded.path(file);
        let text = read(&path).map_err(|error| {
            let what = "cannot read the TCP MD5 secret of neighbour";
            Failure::failed(format!("{what} {} in {}: {error}", section.address, path.display()))
                .help("let this process read it, or change `md5-key-file:`")
        })?;
        // What stands behind the first line end is no part of it, and no space around it is lost.
        let secret = text.lines().next().unwrap_or_default();
        neighbour.md5 = Some(md5_key(secret, section)?);
    }
    Ok(())
}

fn families(neighbour: &NeighbourSection) -> Families {
    neighbour.families.iter().fold(Families::NONE, |families, family| match family {
        Family::Ipv4 => families.with(pharos_routing::Family::Ipv4),
        Family::Ipv6 => families.with(pharos_routing::Family::Ipv6),
    })
}

/// What each level is told as: the configuration's own words, else communities that say the level, LOCAL-AS:100 to
/// :103, which the router configurations in deploy/ translate. An AS number beyond 16 bits has no such community
/// (RFC 1997 has room for 16 bits only).
fn levels(neighbour: &NeighbourSection, local_as: u32) -> sidecar::LevelMap {
    let listener = if neighbour.r#as == local_as { Listener::Internal } else { Listener::External };
    let common =
        Common { communities: &neighbour.communities, large_communities: &neighbour.large_communities };
    level_map(&neighbour.levels, &common, listener, local_as)
}

/// Who is told: local preference means nothing to another AS, and prepends mean nothing within ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Internal,
    External,
    /// A daemon of this node, which has filters of its own.
    Daemon,
}

/// What every route says, whatever its level.
struct Common<'a> {
    communities: &'a [Community],
    large_communities: &'a [LargeCommunity],
}

fn level_map(
    sections: &LevelsSection,
    common: &Common<'_>,
    listener: Listener,
    local_as: u32,
) -> sidecar::LevelMap {
    let is_internal = listener == Listener::Internal;
    let own = u16::try_from(local_as).ok();
    let attributes = |section: &LevelSection, default: LevelDefault| {
        let mut communities: Vec<_> = common.communities.iter().map(community).collect();
        match &section.communities {
            Some(written) => communities.extend(written.iter().map(community)),
            None => {
                communities.extend(default.communities);
                communities.extend(own.map(|own| sidecar::Community::new(own, default.number)));
            }
        }
        let large = common.large_communities.iter().chain(&section.large_communities);
        sidecar::Attributes {
            communities,
            large_communities: large
                .map(|community| {
                    let [admin, first, second] = community.0;
                    sidecar::LargeCommunity::new(admin, first, second)
                })
                .collect(),
            prepends: section.prepend.unwrap_or(if is_internal { 0 } else { default.prepends }),
            med: section.med,
            local_pref: match listener {
                Listener::Internal => Some(section.local_pref.unwrap_or(default.local_pref)),
                Listener::External => None,
                Listener::Daemon => section.local_pref,
            },
        }
    };
    let level = |number, prepends, local_pref, communities| LevelDefault {
        number,
        prepends,
        local_pref,
        communities,
    };
    sidecar::LevelMap {
        normal: attributes(&sections.normal, level(100, 0, 100, None)),
        degraded: attributes(&sections.degraded, level(101, 1, 50, None)),
        last_resort: attributes(&sections.last_resort, level(102, 3, 10, None)),
        draining: attributes(
            &sections.draining,
            level(103, 3, 0, Some(sidecar::Community::GRACEFUL_SHUTDOWN)),
        ),
    }
}

fn community(written: &Community) -> sidecar::Community {
    sidecar::Community(written.0)
}

/// What a level is told as where the configuration says nothing.
struct LevelDefault {
    /// The second half of its community.
    number: u16,
    prepends: u8,
    local_pref: u32,
    communities: Option<sidecar::Community>,
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
        let levels = "[normal, last-resort, degraded, draining]";
        let marker = format!("{{prefix: 192.0.2.0/24, address: 169.254.77.1/30, levels: {levels}}}");
        let bird = "{communities: [\"64512:53\"], levels: {degraded: {prepend: 2, med: 50, local-pref: 80}}}";
        let announcers = format!("{{bird: {bird}, lease: {{markers: [{marker}]}}");
        let config =
            sidecar(&loaded("bird", 64512, &format!("address: 10.0.0.1}}\nannouncers: {announcers}")))
                .unwrap();
        let [bird, lease] = config.announcers.as_slice() else { panic!("two announcers were given") };
        assert_eq!((bird.name.as_str(), lease.name.as_str()), ("bird", "lease"));
        let sidecar::Way::Bird(bird) = &bird.way else { panic!("a BIRD was given") };
        let communities: Vec<_> = bird.levels.degraded.communities.iter().map(ToString::to_string).collect();
        assert_eq!((communities.join(" "), bird.death), ("64512:53 64512:101".into(), sidecar::Death::Lease));
        let sidecar::Attributes { prepends, med, local_pref, .. } = bird.levels.degraded;
        assert_eq!((prepends, med, local_pref, bird.levels.normal.local_pref), (2, Some(50), Some(80), None));
        let sidecar::Way::Lease(lease) = &lease.way else { panic!("a lease was given") };
        use sidecar::Level::{Degraded, Draining, LastResort, Normal};
        assert_eq!(lease.markers[0].levels, [Normal, LastResort, Degraded, Draining]);
        assert_eq!((lease.interface.as_str(), lease.lifetime.as_secs()), ("pharos0", 3));
    }

    #[test]
    fn a_marker_on_which_no_bird_depends_may_stand_for_some_levels() {
        let marker = "{prefix: 192.0.2.0/24, address: 169.254.77.1/30, levels: [normal, last-resort]}";
        let site = format!("address: 10.0.0.1}}\nannouncers: {{lease: {{markers: [{marker}]}}");
        let config = sidecar(&loaded("lease", 64512, &site)).unwrap();
        let [lease] = config.announcers.as_slice() else { panic!("one announcer was given") };
        let sidecar::Way::Lease(lease) = &lease.way else { panic!("a lease was given") };
        assert_eq!(lease.markers[0].levels, [sidecar::Level::Normal, sidecar::Level::LastResort]);
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
    fn what_a_level_is_told_as_may_be_written() {
        let written = "address: 10.0.0.1, communities: [no-export], large-communities: [\"1:2:3\"], \
            levels: {degraded: {communities: [\"64500:80\"], prepend: 2, med: 50, large-communities: [\"4:5:6\"]}}";
        let config = sidecar(&loaded("written", 64512, written)).unwrap();
        let levels = &config.neighbours.first().unwrap().levels;
        let sidecar::Attributes { communities, large_communities, prepends, med, local_pref } =
            &levels.degraded;
        assert_eq!(communities, &[sidecar::Community::NO_EXPORT, sidecar::Community::new(64500, 80)]);
        let large: Vec<String> = large_communities.iter().map(ToString::to_string).collect();
        assert_eq!(
            (large.join(" "), *prepends, *med, *local_pref),
            ("1:2:3 4:5:6".to_owned(), 2, Some(50), None)
        );
        assert_eq!((levels.normal.prepends, levels.last_resort.prepends), (0, 3));
    }

    #[test]
    fn within_one_as_the_local_preference_says_the_level() {
        let own = "address: 10.0.0.1, levels: {last-resort: {local-pref: 7}}";
        let config = sidecar(&loaded("internal", 64500, own)).unwrap();
        let levels = &config.neighbours.first().unwrap().levels;
        let each = [&levels.normal, &levels.degraded, &levels.last_resort, &levels.draining];
        assert_eq!(each.map(|level| level.local_pref), [Some(100), Some(50), Some(7), Some(0)]);
        assert_eq!(each.map(|level| level.prepends), [0; 4]);
    }

    #[test]
    fn protection_and_role_reach_the_session() {
        let written = "address: \"fd00::1\", next-hop-ipv4: \"fd00::2\", md5-key: \"s3cret\", \
            ttl-security: neighbour, bgp-role: customer, bgp-role-check: strict";
        let config = sidecar(&loaded("protected", 64512, written)).unwrap();
        let neighbour = config.neighbours.first().unwrap();
        assert_eq!(neighbour.md5, sidecar::Md5Key::new(b"s3cret").ok());
        assert_eq!(neighbour.gtsm, sidecar::Gtsm::Neighbour);
        assert_eq!(neighbour.next_hop_ipv4, "fd00::2".parse().ok());
        assert_eq!(neighbour.peering, Some(sidecar::Peering::Customer));
        assert_eq!(neighbour.peering_check, sidecar::PeeringCheck::Strict);
    }

    #[test]
    fn a_secret_may_stand_in_the_first_line_of_a_file() {
        let loaded = loaded("file", 64512, "address: 10.0.0.1, md5-key-file: keys/router");
        let mut config = sidecar(&loaded).unwrap();
        let read = |path: &Path| match path.to_str() {
            Some("/etc/pharos/keys/router") => Ok("s3cret\nsecond line\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        md5_keys_of_files(&loaded, &mut config, read).unwrap();
        assert_eq!(config.neighbours.first().unwrap().md5, sidecar::Md5Key::new(b"s3cret").ok());
        let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let said = md5_keys_of_files(&loaded, &mut config, missing).unwrap_err().to_string();
        assert!(
            said.contains("cannot read the TCP MD5 secret of neighbour 10.0.0.1 in /etc/pharos/keys/router")
        );
        let empty = |_: &Path| Ok(String::new());
        let said = md5_keys_of_files(&loaded, &mut config, empty).unwrap_err().to_string();
        assert!(said.contains("1 to 80 octets, this one has 0"), "{said}");
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
