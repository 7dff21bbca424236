//! The one definition of every option: its key, type, default, and what it means.
//!
//! Each section below becomes a struct that the files are read into and a table of [`OptionDoc`] that error
//! messages, `pharos config-reference` and docs/configuration.md are made from. Nothing else may describe an
//! option. The doc comment of a field says meaning and unit in whole sentences; the line under the type
//! says what may be written and the default, and a test compares that default with the real one.

use super::values::{
    Address, Community, CookieSecret, Endpoint, Family, Label, Period, Prefix, RouterId, Threads, Verify,
    Workers, ZoneName,
};
use crate::yaml;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// What a person may know about one option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionDoc {
    /// Dotted path of the section that it stands in, with `[]` for items of a list; empty for the root.
    pub section: &'static str,
    /// The key, with underscores where the file has hyphens: see [`Self::key`].
    field: &'static str,
    /// What may be written.
    pub values: &'static str,
    /// What holds when nothing is written.
    pub default: DefaultDoc,
    /// The paragraphs of its description.
    pub text: &'static [&'static str],
}

/// What holds when an option is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultDoc {
    /// The file is refused.
    Required,
    /// The same as if this were written.
    Value(&'static str),
    /// Something that one value cannot say.
    Described(&'static str),
}

impl OptionDoc {
    /// The key as it is written in the file.
    pub fn key(&self) -> String {
        self.field.trim_start_matches("r#").replace('_', "-")
    }

    /// The whole path, like `sidecar.groups[].name`.
    pub fn path(&self) -> String {
        if self.section.is_empty() { self.key() } else { format!("{}.{}", self.section, self.key()) }
    }
}

/// A struct of options and the table that describes them, from one text.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident at $path:literal {
            $(
                $(#[doc = $text:literal])+
                $(#[serde($($attribute:tt)+)])?
                $field:ident: $type:ty, write $values:literal, $kind:ident $(($default:literal))?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $text])+
                $(#[serde($($attribute)+)])?
                pub $field: $type,
            )+
        }

        impl $name {
            /// The options of this section, in the order of the reference.
            pub const OPTIONS: &'static [OptionDoc] = &[$(OptionDoc {
                section: $path,
                field: stringify!($field),
                values: $values,
                default: DefaultDoc::$kind $(($default))?,
                text: &[$($text),+],
            }),+];
        }
    };
}

section! {
    /// `pharos.yaml`: the same at every node of the service.
    PharosFile at "" {
        /// The responder, which answers DNS queries: `pharos serve`.
        /// Without it `pharos announce` watches another name server.
        #[serde(default)]
        responder: Option<ResponderSection>, write "section", Described("none");
        /// The sidecar, which keeps the routes: `pharos announce`.
        #[serde(default)]
        sidecar: Option<SidecarSection>, write "section", Described("none");
    }
}

section! {
    /// What `pharos serve` does.
    ResponderSection at "responder" {
        /// Addresses and ports to answer on, by UDP and TCP; anycast addresses usually stand on lo. One that is
        /// not on this host yet is warned of, and answers once it is.
        listen: Vec<Endpoint>, write "list of ADDRESS:PORT", Required;
        /// Where the zones come from.
        zones: ZonesSection, write "section", Required;
        /// UDP worker threads, each pinned to a core with a socket of its own for each address.
        #[serde(default = "workers")]
        workers: Workers, write "auto (one per core) or 1 to 1024", Value("auto");
        /// The largest UDP response in octets, for clients that accept as much. Beyond 1232 octets responses
        /// may be fragmented on the way and lost.
        #[serde(default = "udp_payload_size")]
        udp_payload_size: u16, write "512 to 4096 octets", Value("1232");
        /// What a query for type ANY gets: one RRset of the name (RFC 8482), or all of them. Large answers to
        /// small queries serve attackers most.
        #[serde(default = "any")]
        any: AnyAnswer, write "minimal or full", Value("minimal");
        /// Whether everybody is told name and version of this software (class CH, version.bind and version.server).
        /// Those who ask at management-dns of site.yaml always are.
        #[serde(default = "version")]
        version: VersionAnswer, write "hidden or shown", Value("hidden");
        /// Bounds on TCP connections.
        #[serde(default = "every_default")]
        tcp: TcpSection, write "section", Described("all of its defaults");
        /// How signed zones are checked when they load.
        #[serde(default = "every_default")]
        dnssec: DnssecSection, write "section", Described("all of its defaults");
        /// DNS cookies (RFC 7873), by which clients and the server know each other again, and forged queries are told
        /// from true ones. Without this section there are none.
        #[serde(default)]
        cookies: Option<CookiesSection>, write "section", Described("none; no cookies are served");
        /// The agent to whom resolvers may report what goes wrong with these zones (RFC 9567): a domain that some
        /// name server keeps a log of. It is named in replies with EDNS about names of the zones here, but for zones that
        /// hold the agent itself. REFUSED for other names, BADCOOKIE, BADVERS and FORMERR name none.
        #[serde(default)]
        error_reporting: Option<ZoneName>, write "domain name", Described("none; no agent is named");
        /// Where HTTP serves /metrics, /livez, /readyz and /status.
        #[serde(default = "responder_management")]
        management: Endpoint, write "ADDRESS:PORT", Value("127.0.0.1:9153");
        /// The unix socket by which `pharos reload` and `pharos status` reach the responder. File
        /// permissions decide who may: mode 0660.
        #[serde(default = "responder_control")]
        control: PathBuf, write "path", Value("/run/pharos/responder.sock");
        /// Where the locks stand that keep a second responder from joining the same addresses: files in
        /// this directory, or names that belong to the network namespace and need no directory. All
        /// responders of a host need the same place.
        #[serde(default)]
        lock_directory: Option<PathBuf>, write "path", Described("none; names in the network namespace");
    }
}

section! {
    /// Bounds on TCP connections. What is over a bound is closed at once.
    TcpSection at "responder.tcp" {
        /// Connections open at once.
        #[serde(default = "tcp_connections")]
        connections: u32, write "1 to 1000000", Value("4096");
        /// Connections open at once from one address.
        #[serde(default = "tcp_connections_per_address")]
        connections_per_address: u32, write "1 to 1000000", Value("256");
        /// Connections open at once from one network: /24 of IPv4, /56 of IPv6.
        #[serde(default = "tcp_connections_per_network")]
        connections_per_network: u32, write "1 to 1000000", Value("1024");
        /// A connection without a query is closed after this time; sooner the fuller the server is, down to a
        /// tenth.
        #[serde(default = "tcp_idle")]
        idle: Period, write "duration, 100ms to 1h", Value("10s");
        /// A query must be whole, and a reply be taken, within this time; single octets do not extend it.
        #[serde(default = "tcp_deadline")]
        deadline: Period, write "duration, 100ms to 1h", Value("5s");
    }
}

section! {
    /// How signed zones are checked when they load, and watched while they answer.
    DnssecSection at "responder.dnssec" {
        /// Which signatures are verified: all, one in so many (the same ones at every node, and those of the apex
        /// always), or none. Whether there are signatures where there must be, their times, the chains of NSEC and
        /// NSEC3 records and digests (ZONEMD) are checked in any case.
        #[serde(default = "verify")]
        verify: Verify, write "all, one-in N, or none", Value("all");
        /// What becomes of a zone that no validator would believe: refuse keeps its last good data, serve takes the
        /// new ones and tells the faults as warnings.
        #[serde(default = "broken")]
        broken: Broken, write "refuse or serve", Value("refuse");
        /// A signature that ends within this time raises an alarm, and new data with such signatures do not
        /// replace data whose signatures last longer. Write less than the time for which your signer lets old
        /// signatures stand.
        #[serde(default = "near_expiry")]
        near_expiry: Period, write "duration, at most 365d", Value("7d");
        /// Threads that verify signatures at once. With auto there is one for each core while the responder starts
        /// and answers nothing yet, and one for every other core, but at least one, in reloads, so that half of
        /// the cores is left to the workers.
        #[serde(default = "threads")]
        threads: Threads, write "auto or 1 to 1024", Value("auto");
    }
}

section! {
    /// DNS cookies (RFC 7873). All nodes of a service need the same secrets, since each may see any client (RFC 9018).
    CookiesSection at "responder.cookies" {
        /// The secret by which cookies are made and known again.
        #[serde(default)]
        secret: Option<CookieSecret>, write "32 hexadecimal digits", Described("none; give this or secret-file");
        /// A secret that is accepted too. To change secrets everywhere, first give all nodes the new one here, then
        /// let the two change places at all nodes, and take the old one away an hour later (RFC 9018 §5).
        #[serde(default)]
        previous: Option<CookieSecret>, write "32 hexadecimal digits", Described("none; only beside secret");
        /// A file that holds the secret, and in a second line the one that is accepted too, for a configuration
        /// that others may read. It is read when the responder starts.
        #[serde(default)]
        secret_file: Option<PathBuf>, write "path", Described("none; give this or secret");
        /// When a client that knows cookies, and sends none of ours over UDP, is told to come again with one
        /// (BADCOOKIE). Clients without cookies are always answered.
        #[serde(default = "require")]
        require: RequireCookies, write "never, under-pressure or always", Value("under-pressure");
    }
}

section! {
    /// Where the zones come from: either a directory or a list.
    ZonesSection at "responder.zones" {
        /// A directory of NAME.zone files; @.zone is the root. Other files in it are ignored.
        #[serde(default)]
        directory: Option<PathBuf>, write "path", Described("none; give this or list");
        /// Names and files, one by one.
        #[serde(default)]
        list: Option<Vec<ZoneEntry>>, write "list of sections", Described("none; give this or directory");
    }
}

section! {
    /// One zone and its file.
    ZoneEntry at "responder.zones.list[]" {
        /// The zone's name; a final dot may be left out.
        name: ZoneName, write "domain name", Required;
        /// The zone's file, relative to the directory of pharos.yaml.
        file: PathBuf, write "path", Required;
    }
}

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

section! {
    /// `site.yaml`: what differs from node to node.
    SiteFile at "site" {
        /// This node's name at its site. With the site's it makes the NSID, NODE.SITE.
        node: Label, write "1 to 63 letters, digits, - and _", Required;
        /// The site's name.
        site: Label, write "1 to 63 letters, digits, - and _", Required;
        /// Unicast addresses of this node alone at which the responder answers the same zones to those who run it, by
        /// UDP and TCP: there version.bind is answered, and digest.pharos (class CH, type TXT), which is the same at
        /// all nodes that serve the same data. What is asked there is counted apart from what clients ask. Keep
        /// strangers away from them.
        #[serde(default)]
        management_dns: Vec<Endpoint>, write "list of ADDRESS:PORT", Value("[]");
        /// The BGP identifier. Needed by `pharos announce`.
        #[serde(default)]
        router_id: Option<RouterId>, write "IPv4 address", Described("none; the sidecar needs it");
        /// The autonomous system that this node speaks for. Needed by `pharos announce`.
        #[serde(default)]
        local_as: Option<u32>, write "1 to 4294967295", Described("none; the sidecar needs it");
        /// The routers to announce to. Needed by `pharos announce`.
        #[serde(default)]
        neighbours: Vec<NeighbourSection>, write "list of sections", Described("none; the sidecar needs one");
    }
}

section! {
    /// One BGP neighbour.
    NeighbourSection at "site.neighbours[]" {
        /// The neighbour's address.
        address: Address, write "IP address", Required;
        /// The neighbour's autonomous system. The same as local-as makes the session internal.
        #[serde(rename = "as")]
        r#as: u32, write "1 to 4294967295", Required;
        /// The families that are announced on this session.
        #[serde(default = "families")]
        families: Vec<Family>, write "list of ipv4, ipv6", Value("[ipv4, ipv6]");
        /// Next hop of IPv4 routes: this node's address as the neighbour reaches it.
        #[serde(default)]
        next_hop_ipv4: Option<Address>, write "IPv4 address",
            Described("this node's end of the session, when that is IPv4");
        /// Next hop of IPv6 routes: this node's address as the neighbour reaches it.
        #[serde(default)]
        next_hop_ipv6: Option<Address>, write "IPv6 address",
            Described("this node's end of the session, when that is IPv6");
        /// Standard communities on every route to this neighbour. Beside them each route says its level as
        /// LOCAL-AS:100 (normal), :101 (degraded), :102 (last resort) or :103 (draining, with 65535:0 of RFC
        /// 8326), as long as local-as fits 16 bits.
        #[serde(default)]
        communities: Vec<Community>, write "list of \"NUMBER:NUMBER\"", Value("[]");
        /// Who opens the connection: active connects to the neighbour, passive waits for it.
        #[serde(default = "mode")]
        mode: Mode, write "active or passive", Value("active");
        /// The neighbour's TCP port; in passive mode the port that this node listens on.
        #[serde(default = "bgp_port")]
        port: u16, write "1 to 65535", Value("179");
        /// This node's own address for the session: the source in active mode, the address to listen on in
        /// passive mode.
        #[serde(default)]
        local_address: Option<Address>, write "IP address", Described("chosen by the system");
        /// How long the session survives silence, so how long a frozen node keeps its routes. Each side
        /// proposes, the smaller holds (RFC 4271 §4.2); 0s asks for a session without keepalives, which
        /// notices no silence at all.
        #[serde(default = "hold_time")]
        hold_time: Period, write "duration, 3s to 65535s, or 0s", Value("9s");
        /// The first pause after a failed attempt to connect; it doubles up to half a minute.
        #[serde(default = "connect_retry")]
        connect_retry: Period, write "duration, 100ms to 10m", Value("1s");
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

/// What a query for type ANY gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnyAnswer {
    /// One RRset of the name.
    Minimal,
    /// All of them.
    Full,
}

/// Whether strangers are told what software this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionAnswer {
    /// They are not.
    Hidden,
    /// They are.
    Shown,
}

/// When a client that knows cookies must send one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequireCookies {
    /// Never.
    Never,
    /// While there is more to do than can be done.
    UnderPressure,
    /// Always.
    Always,
}

/// What becomes of a signed zone that no validator would believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Broken {
    /// The last good data stay.
    Refuse,
    /// It answers, faults and all.
    Serve,
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

/// Who opens a BGP session's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// This node connects to the neighbour.
    Active,
    /// This node waits for the neighbour.
    Passive,
}

/// Every option of both files, in the order of the reference; those of `site.yaml` begin with `site`.
pub fn all_options() -> impl Iterator<Item = &'static OptionDoc> {
    PharosFile::OPTIONS
        .iter()
        .chain(ResponderSection::OPTIONS)
        .chain(TcpSection::OPTIONS)
        .chain(DnssecSection::OPTIONS)
        .chain(CookiesSection::OPTIONS)
        .chain(ZonesSection::OPTIONS)
        .chain(ZoneEntry::OPTIONS)
        .chain(SidecarSection::OPTIONS)
        .chain(GroupSection::OPTIONS)
        .chain(ProbeSection::OPTIONS)
        .chain(SiteFile::OPTIONS)
        .chain(NeighbourSection::OPTIONS)
}

fn every_default<T: DeserializeOwned>() -> T {
    yaml::parse("{}").expect("each key of the section has a default")
}

fn workers() -> Workers {
    Workers::Auto
}

fn udp_payload_size() -> u16 {
    1232
}

fn any() -> AnyAnswer {
    AnyAnswer::Minimal
}

fn version() -> VersionAnswer {
    VersionAnswer::Hidden
}

fn tcp_connections() -> u32 {
    4096
}

fn tcp_connections_per_address() -> u32 {
    256
}

fn tcp_connections_per_network() -> u32 {
    1024
}

fn tcp_idle() -> Period {
    period_ms(10_000)
}

fn tcp_deadline() -> Period {
    period_ms(5_000)
}

fn verify() -> Verify {
    Verify::All
}

fn broken() -> Broken {
    Broken::Refuse
}

fn near_expiry() -> Period {
    period_ms(7 * 86_400_000)
}

fn threads() -> Threads {
    Threads::Auto
}

fn require() -> RequireCookies {
    RequireCookies::UnderPressure
}

fn loopback(port: u16) -> Endpoint {
    Endpoint(([127, 0, 0, 1], port).into())
}

fn responder_management() -> Endpoint {
    loopback(9153)
}

fn sidecar_management() -> Endpoint {
    loopback(9154)
}

fn responder_control() -> PathBuf {
    PathBuf::from("/run/pharos/responder.sock")
}

fn sidecar_control() -> PathBuf {
    PathBuf::from("/run/pharos/sidecar.sock")
}

fn period_ms(milliseconds: u64) -> Period {
    Period(std::time::Duration::from_millis(milliseconds))
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

fn families() -> Vec<Family> {
    vec![Family::Ipv4, Family::Ipv6]
}

fn mode() -> Mode {
    Mode::Active
}

fn bgp_port() -> u16 {
    179
}

fn hold_time() -> Period {
    period_ms(9_000)
}

fn connect_retry() -> Period {
    period_ms(1_000)
}

#[cfg(test)]
mod tests;
