//! What `/status` tells, as the sidecar and people read it.

use serde::Serialize;

/// Zones that are listed when no filter names any; the others are only counted.
pub(crate) const MAX_LISTED: usize = 1000;

/// Which zones a status shall list.
#[derive(Clone, Debug, Default)]
pub struct StatusFilter {
    /// Zone names; all, up to a bound, when empty.
    pub zones: Vec<String>,
}

/// How the responder fares.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// `NODE.SITE`.
    pub node: String,
    /// The program's version.
    pub version: &'static str,
    /// Process id.
    pub pid: u32,
    /// When it started, seconds since 1970.
    pub started_unix: u64,
    /// Whether every zone has been tried and all workers turn.
    pub ready: bool,
    /// How many sets of zones have been in force.
    pub generation: u64,
    /// Addresses that it answers on, ports resolved.
    pub listen: Vec<String>,
    /// Management addresses where it answers DNS, ports resolved.
    pub management_dns: Vec<String>,
    /// SHA-256, in hexadecimal, over the names and digests of all zones: equal where the same data answer.
    pub digest: String,
    /// Configured zones.
    pub zones_total: usize,
    /// Zones whose newest data answer.
    pub zones_live: usize,
    /// Zones of which newer data were refused, the last good data answering.
    pub zones_refused: usize,
    /// Zones that never had good data: SERVFAIL.
    pub zones_not_loaded: usize,
    /// Zones of which something is to be told, whatever their state: see [`ZoneStatus::findings`].
    pub zones_with_findings: usize,
    /// Whether the host's clock is believed.
    pub clock: ClockStatus,
    /// The zones, those with trouble first.
    pub zones: Vec<ZoneStatus>,
    /// Zones left out of the list.
    pub zones_omitted: usize,
    /// UDP workers.
    pub workers: Vec<WorkerStatus>,
    /// Interfaces that are to be used by AF_XDP.
    pub xdp: Vec<XdpStatus>,
    /// What interfaces of the host received and dropped; loopback is left out.
    pub interfaces: Vec<IntakeStatus>,
    /// TCP connections open now.
    pub tcp_connections: u64,
    /// TCP connections that may be open at once: as configured, or fewer where descriptors are few.
    pub tcp_connections_at_most: u64,
    /// Milliseconds since any TCP thread last turned, of the one that is latest; each turns at least every 100 ms.
    pub tcp_heartbeat_age_ms: u64,
    /// TCP threads.
    pub tcp_threads: Vec<TcpThreadStatus>,
    /// Messages received, by the address that was asked.
    pub traffic: Vec<AddressStatus>,
    /// Messages received.
    pub queries: u64,
    /// Messages or replies dropped, for whatever reason.
    pub drops: u64,
}

/// How a zone fares.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneStatus {
    /// Absolute name.
    pub name: String,
    /// What answers.
    pub state: ZoneLife,
    /// Serial of the data that answer.
    pub serial: Option<u32>,
    /// Records that answer.
    pub records: u64,
    /// Octets of memory.
    pub octets: usize,
    /// When the data that answer were loaded, seconds since 1970.
    pub loaded_unix: Option<u64>,
    /// How long reading, checking and compiling them took, in milliseconds.
    pub load_ms: u64,
    /// The zone file.
    pub file: String,
    /// Whether the data that answer come from the image that an earlier process kept of them, and not from the file.
    pub from_image: bool,
    /// Why newer data were refused: place, reason and remedy.
    pub refusal: Option<String>,
    /// Since when data have been refused, seconds since 1970.
    pub refused_unix: Option<u64>,
    /// SHA-256, in hexadecimal, over the records that answer, in the order of the file.
    pub digest: Option<String>,
    /// Things that its writer should look at.
    pub warnings: u64,
    /// What is known of the signatures that answer; none for an unsigned zone.
    pub signed: Option<SignedStatus>,
    /// What is wrong with the data that answer, by the clock or beside other zones: an alarm, and no reason to stop
    /// answering.
    pub findings: Vec<String>,
}

/// What is known of a zone's signatures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SignedStatus {
    /// When the first of them ends, seconds since 1970.
    pub earliest_expiry_unix: u64,
    /// What that one covers, such as `www.example. A`.
    pub earliest_expiry_record: String,
    /// When the last of them begins, seconds since 1970.
    pub latest_inception_unix: u64,
    /// Signatures that validators look at.
    pub signatures: u64,
    /// Those that were verified when the zone loaded.
    pub verified: u64,
    /// Those that should have been and could not, for their algorithm or key.
    pub unverifiable: u64,
}

/// Whether the host's clock is believed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClockStatus {
    /// Whether it is; while it is not, nothing is refused by it.
    pub trusted: bool,
    /// Why not.
    pub doubt: Option<String>,
    /// For how many seconds it has been so, not counted by that clock.
    pub for_seconds: u64,
}

/// What answers for a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneLife {
    /// The newest data.
    Live,
    /// The last good data; newer ones were refused.
    Refused,
    /// Nothing yet: SERVFAIL.
    NotLoaded,
}

impl ZoneLife {
    /// The name used in metrics, the same as in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Refused => "refused",
            Self::NotLoaded => "not_loaded",
        }
    }
}

/// How a UDP worker fares.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// Number, from 0.
    pub id: usize,
    /// The CPU that it is pinned to.
    pub cpu: Option<u16>,
    /// Milliseconds since it last turned; it turns at least every 100 ms.
    pub heartbeat_age_ms: u64,
    /// Messages that it received.
    pub queries: u64,
    /// Those of them to which a reply was sent, or that get none by rule: responses, and what is shorter than a header.
    pub answered: u64,
    /// Datagrams that the kernel dropped before it received them, mostly for full buffers.
    pub socket_drops: u64,
}

/// How a TCP thread fares.
#[derive(Clone, Debug, Serialize)]
pub struct TcpThreadStatus {
    /// Number, from 0.
    pub id: usize,
    /// Milliseconds since it last turned; it turns at least every 100 ms.
    pub heartbeat_age_ms: u64,
}

/// What came to one service address, by all transports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AddressStatus {
    /// The address and port.
    pub address: String,
    /// Messages from other hosts.
    pub client: u64,
    /// Messages from this very host: the sidecar's probes, and whoever tries something there.
    pub probe: u64,
}

/// What an interface of the host received, whoever it was for, since it is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IntakeStatus {
    /// Its name.
    pub interface: String,
    /// Packets that came.
    pub packets: u64,
    /// Packets that the device or the kernel dropped before any socket or ring.
    pub dropped: u64,
}

/// How an interface fares that is to be used by AF_XDP.
#[derive(Clone, Debug, Serialize)]
pub struct XdpStatus {
    /// Its name.
    pub interface: String,
    /// Whether queries come by AF_XDP.
    pub state: XdpLife,
    /// Why they do not.
    pub why: Option<String>,
    /// `native` or `generic`; none while nothing is attached.
    pub mode: Option<&'static str>,
    /// Addresses that are answered this way.
    pub addresses: Vec<String>,
    /// The queues that are served.
    pub queues: Vec<XdpQueueStatus>,
}

/// Whether queries come by AF_XDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpLife {
    /// They do.
    Attached,
    /// They will again once the interface is up.
    Down,
    /// They come by the kernel's sockets.
    Sockets,
}

impl XdpLife {
    /// The name used in metrics, the same as in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Down => "down",
            Self::Sockets => "sockets",
        }
    }
}

/// How a queue of AF_XDP fares.
#[derive(Clone, Debug, Serialize)]
pub struct XdpQueueStatus {
    /// The kernel's number of the queue.
    pub queue: u32,
    /// The worker that serves it.
    pub worker: usize,
    /// Whether the device reads and writes the frames itself.
    pub zero_copy: bool,
    /// Milliseconds since its worker last turned; after 1000 the kernel takes the packets.
    pub heartbeat_age_ms: u64,
    /// Queries and replies that were lost at it.
    pub lost: u64,
    /// What happened at it, by kind.
    pub events: std::collections::BTreeMap<&'static str, u64>,
}
