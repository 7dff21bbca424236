//! What a responder needs to be told, and why one does not start.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use pharos_answer::{AnyPolicy, Cookies};
use pharos_netio::{NetError, lock::LockPlace, xdp};
use pharos_wire::Name;
use pharos_zone::dnssec::{Broken, Signatures};

/// The settings of a responder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's identity, `NODE.SITE`: NSID (RFC 5001) and `id.server` (RFC 4892).
    pub nsid: String,
    /// Whether `version.bind` and `version.server` are answered at service addresses.
    pub version: Version,
    /// Unicast addresses of the operators' own, where the same zones are answered and questions about the server, too;
    /// by UDP and TCP, on threads of their own.
    pub management_dns: Vec<SocketAddr>,
    /// Addresses to answer on, by UDP and TCP. Port 0 takes a free one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// Interfaces whose queries are taken by AF_XDP, where that works; by the sockets where it does not.
    pub xdp: Vec<xdp::Options>,
    /// Where zones come from.
    pub zones: ZoneSource,
    /// A directory where images of accepted zones are kept, so that the next start is quick, and has the last good data
    /// where a zone file has been broken meanwhile.
    pub images: Option<PathBuf>,
    /// UDP workers; `None` for one on each CPU that the process may use.
    pub workers: Option<NonZeroUsize>,
    /// Whether one worker of each CPU asks to run before ordinary threads.
    pub precedence: Precedence,
    /// Octets of the largest UDP reply, 512 at least. 1232 fits one packet on every path that carries IPv6
    /// (RFC 9715 §3).
    pub udp_payload_octets: u16,
    /// What type ANY gets.
    pub any: AnyPolicy,
    /// Bounds on TCP connections.
    pub tcp: TcpLimits,
    /// How signed zones are checked when they load.
    pub dnssec: DnssecConfig,
    /// DNS cookies (RFC 7873), if they are served.
    pub cookies: Option<Cookies>,
    /// The agent to whom resolvers may report errors (RFC 9567), if there is one.
    pub report_agent: Option<Name>,
    /// Where the lock stands that keeps a second instance from the same addresses.
    pub lock: LockPlace,
}

impl Config {
    /// The defaults for everything but addresses and zones.
    pub fn new(listen: Vec<SocketAddr>, zones: ZoneSource) -> Self {
        Self {
            nsid: String::new(),
            version: Version::Hidden,
            management_dns: Vec::new(),
            listen,
            xdp: Vec::new(),
            zones,
            images: None,
            workers: None,
            precedence: Precedence::default(),
            udp_payload_octets: 1232,
            any: AnyPolicy::default(),
            tcp: TcpLimits::default(),
            dnssec: DnssecConfig::default(),
            cookies: None,
            report_agent: None,
            lock: LockPlace::default(),
        }
    }
}

/// How a thread that answers stands to the other threads of its CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precedence {
    /// It asks the kernel to run before them, and leaves them an eighth of the time.
    #[default]
    First,
    /// It runs as they do.
    Ordinary,
}

/// Whether strangers are told what software this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// They are not.
    #[default]
    Hidden,
    /// They are, if they ask.
    Shown,
}

/// What `version.bind` and `version.server` tell.
pub const VERSION: &str = concat!("pharos ", env!("CARGO_PKG_VERSION"));

/// Where zones come from.
#[derive(Clone, Debug)]
pub enum ZoneSource {
    /// Every file `NAME.zone` of a directory; `@.zone` is the root.
    Directory(PathBuf),
    /// Names, and the file of each.
    List(Vec<(String, PathBuf)>),
}

/// How signed zones are checked when they load, and watched while they answer.
#[derive(Clone, Copy, Debug)]
pub struct DnssecConfig {
    /// Which signatures are verified. Chains of denial, times and digests are checked in any case.
    pub verify: Signatures,
    /// What becomes of a zone that no validator would believe.
    pub broken: Broken,
    /// A signature that ends within this time is an alarm.
    pub near_expiry: Duration,
    /// Threads that verify at once. `None`: as many as there are CPUs before the first query is answered, and half
    /// as many, one at least, when workers need the CPUs too.
    pub threads: Option<NonZeroUsize>,
}

impl Default for DnssecConfig {
    fn default() -> Self {
        Self {
            verify: Signatures::All,
            broken: Broken::Refuse,
            near_expiry: Duration::from_secs(7 * 86_400),
            threads: None,
        }
    }
}

/// Bounds on TCP connections (RFC 7766 §6.1, §6.2; RFC 9210 §4). A new one over a bound takes the place of one that idles:
/// of the same address, of the same network, or, where all are too many, of the network of which most idle. If none idles
/// on the thread that it came to, it is closed as soon as it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct TcpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address.
    pub connections_per_address: usize,
    /// Connections open at once from one network: /24 of IPv4, /56 of IPv6.
    pub connections_per_network: usize,
    /// A connection without a query is closed after this time; sooner the fuller the server is, down to a tenth, and at
    /// once in favour of a new one over a bound.
    pub idle: Duration,
    /// A query must be whole, and a reply be taken, within this time; single octets do not extend it.
    pub deadline: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 256,
            connections_per_network: 1024,
            idle: Duration::from_secs(10),
            deadline: Duration::from_secs(5),
        }
    }
}

/// Why a responder does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No address to listen on.
    #[error("no listen address is given")]
    NoAddress,
    /// A socket, a lock or an affinity.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The zones' directory or a zone's name.
    #[error(transparent)]
    Zones(#[from] crate::zones::ReloadError),
    /// A thread could not be started, or the TCP runtime.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StartError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NoAddress => Some("name one, for instance --listen 127.0.0.1:5300".into()),
            Self::Net(error) => error.remedy(),
            Self::Zones(error) => error.remedy(),
            Self::System { .. } => None,
        }
    }
}
