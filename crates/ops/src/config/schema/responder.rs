//! The options of `pharos serve`: section `responder` of pharos.yaml.

use super::{DefaultDoc, OptionDoc, every_default, loopback, period_ms};
use crate::config::values::{CookieSecret, Endpoint, Period, Threads, Verify, Workers, ZoneName};
use serde::Deserialize;
use std::path::PathBuf;

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
        /// Whether threads that answer ask the kernel to run before ordinary threads of their core, of which they leave an
        /// eighth to others: one worker of each core does, and a TCP thread for each of these. Write no for a second
        /// responder on the same cores.
        #[serde(default = "run_first")]
        run_first: RunFirst, write "yes or no", Value("yes");
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
    /// Bounds on TCP connections. A new one over a bound takes the place of one that idles, or is closed at once.
    TcpSection at "responder.tcp" {
        /// Connections open at once. One more takes the place of one that idles, of the network of which most idle; if none
        /// idles, it is closed at once.
        #[serde(default = "tcp_connections")]
        connections: u32, write "1 to 1000000", Value("4096");
        /// Connections open at once from one address. One more takes the place of the one that has idled longest.
        #[serde(default = "tcp_connections_per_address")]
        connections_per_address: u32, write "1 to 1000000", Value("256");
        /// Connections open at once from one network: /24 of IPv4, /56 of IPv6. One more takes the place of the one that has
        /// idled longest.
        #[serde(default = "tcp_connections_per_network")]
        connections_per_network: u32, write "1 to 1000000", Value("1024");
        /// A connection without a query is closed after this time; sooner the fuller the server is, down to a
        /// tenth; and at once where a new one over a bound takes its place.
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
        /// A directory where the responder keeps what it has accepted, ready to answer: a file for each zone, and the
        /// key of its hashes, which nobody else may read. The next start is quick then, verifies no signature again, and
        /// has the last good data of a zone whose file has been broken meanwhile. It is made if it is not there; if it
        /// cannot be used, zones are read from their files. No two responders may share it.
        #[serde(default)]
        images: Option<PathBuf>, write "path", Described("none; zones are read from their files alone");
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

/// Whether workers run before ordinary threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunFirst {
    /// One of each core does.
    Yes,
    /// None does.
    No,
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

fn workers() -> Workers {
    Workers::Auto
}

fn run_first() -> RunFirst {
    RunFirst::Yes
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

fn responder_management() -> Endpoint {
    loopback(9153)
}

fn responder_control() -> PathBuf {
    PathBuf::from("/run/pharos/responder.sock")
}
