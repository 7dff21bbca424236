//! What is measured: a table. [`super::targets`] says what is to be reached, [`super::report`] what is shown.

use super::data::Set;
use super::load::{Dnssec, Transport};
use super::servers::Server;
use super::servers::Server::{
    Bind, Echo, EchoFirst, Gdnsd, Knot, KnotXdp, Nsd, Pharos, PharosImage, PharosOrdinary, PharosXdp,
    XdpEcho, XdpEchoFirst,
};

/// A load that goes round the servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The name on the command line and in results.
    pub(super) name: &'static str,
    /// What it says in the table.
    pub(super) title: &'static str,
    /// Which zones.
    pub(super) set: Set,
    /// Which queries of [`super::data`].
    pub(super) queries: &'static str,
    /// How they are sent.
    pub(super) tool: Tool,
    /// To whom.
    pub(super) servers: &'static [Server],
}

/// What sends a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tool {
    /// Closed loop: a new query for each answer.
    Dnsperf(Transport, Dnssec),
    /// Open loop through AF_XDP, at so many queries a second.
    Kxdpgun(u32),
    /// A TCP connection for each query, so many a second.
    KxdpgunTcp(u32),
    /// Our own client, at so many queries a second, for the times of answers.
    Latency(u32),
}

const UDP: Tool = Tool::Dnsperf(Transport::Udp, Dnssec::Plain);
const UDP_DO: Tool = Tool::Dnsperf(Transport::Udp, Dnssec::Ok);
const SOCKETS: &[Server] = &[Pharos, PharosOrdinary, Gdnsd, Nsd, Knot, Bind];
const SOCKETS_AND_FLOOR: &[Server] = &[Pharos, PharosOrdinary, Gdnsd, Nsd, Knot, Bind, Echo, EchoFirst];
const XDP: &[Server] = &[PharosXdp, KnotXdp];
const XDP_AND_FLOOR: &[Server] = &[PharosXdp, KnotXdp, XdpEcho, XdpEchoFirst];
const FLOOD: &[Server] = &[Pharos, PharosXdp, Nsd, Knot, KnotXdp, XdpEcho, XdpEchoFirst];
const SIGNED: &[Server] = &[Pharos, PharosOrdinary, PharosXdp, Nsd, Knot, KnotXdp, Bind];
const TCP: &[Server] = &[Pharos, PharosOrdinary, Gdnsd, Nsd, Knot, KnotXdp, Bind];
/// A connection per query.
const TCP_SHORT: &[Server] = &[Pharos, PharosOrdinary, Gdnsd, Nsd, Knot, Bind];
/// BIND does not reach the highest rate.
const LATENCY: &[Server] = &[Pharos, PharosOrdinary, PharosXdp, Gdnsd, Nsd, Knot, KnotXdp];
const OURS: &[Server] = &[Pharos, PharosXdp];

/// All loads.
pub(super) const CASES: &[Case] = &[
    case("udp-small", "UDP sockets, small zone", Set::Small, "small-exist", UDP, SOCKETS_AND_FLOOR),
    case("udp-small-none", "UDP sockets, small zone, all NXDOMAIN", Set::Small, "small-none", UDP, SOCKETS),
    case("udp-many", "UDP sockets, 10k zones", Set::Many, "many-exist", UDP, SOCKETS),
    case("udp-big-mix", "UDP sockets, 1M records, 1 in 10 NXDOMAIN", Set::Big, "big-mix", UDP, SOCKETS),
    case("udp-big-none", "UDP sockets, 1M records, random subdomains", Set::Big, "big-none", UDP, SOCKETS),
    case("udp-big-exist", "UDP sockets, 1M records, all positive", Set::Big, "big-exist", UDP, OURS),
    case(
        "xdp-small",
        "AF_XDP, small zone, 400k/s",
        Set::Small,
        "small-exist",
        Tool::Kxdpgun(400_000),
        XDP_AND_FLOOR,
    ),
    case(
        "xdp-small-150k",
        "AF_XDP, small zone, 150k/s",
        Set::Small,
        "small-exist",
        Tool::Kxdpgun(150_000),
        XDP_AND_FLOOR,
    ),
    case(
        "xdp-small-none",
        "AF_XDP, small zone, all NXDOMAIN, 150k/s",
        Set::Small,
        "small-none",
        Tool::Kxdpgun(150_000),
        XDP,
    ),
    case("xdp-flood", "flood, small zone, 800k/s", Set::Small, "small-exist", Tool::Kxdpgun(800_000), FLOOD),
    case("xdp-big", "AF_XDP, 1M records, 100k/s", Set::Big, "big-exist", Tool::Kxdpgun(100_000), XDP),
    case(
        "xdp-big-none",
        "AF_XDP, 1M records, random subdomains, 100k/s",
        Set::Big,
        "big-none",
        Tool::Kxdpgun(100_000),
        XDP,
    ),
    case("nsec-exist", "NSEC, DO, positive", Set::Nsec, "signed-exist", UDP_DO, SIGNED),
    case("nsec-none", "NSEC, DO, all NXDOMAIN", Set::Nsec, "signed-none", UDP_DO, SIGNED),
    case("nsec3-exist", "NSEC3, DO, positive", Set::Nsec3, "signed-exist", UDP_DO, SIGNED),
    case("nsec3-none", "NSEC3, DO, all NXDOMAIN", Set::Nsec3, "signed-none", UDP_DO, SIGNED),
    case(
        "tcp-20",
        "TCP, 20 connections, small zone",
        Set::Small,
        "small-exist",
        Tool::Dnsperf(Transport::Tcp, Dnssec::Plain),
        TCP,
    ),
    case(
        "tcp-each",
        "TCP, a connection per query, 20k/s",
        Set::Small,
        "small-exist",
        Tool::KxdpgunTcp(20_000),
        TCP_SHORT,
    ),
    case(
        "tcp-each-5k",
        "TCP, a connection per query, 5k/s",
        Set::Small,
        "small-exist",
        Tool::KxdpgunTcp(5_000),
        TCP_SHORT,
    ),
    case("latency-10k", "10k queries/s", Set::Small, "small-exist", Tool::Latency(10_000), LATENCY),
    case("latency-100k", "100k queries/s", Set::Small, "small-exist", Tool::Latency(100_000), LATENCY),
    case("latency-200k", "200k queries/s", Set::Small, "small-exist", Tool::Latency(200_000), LATENCY),
];

const fn case(
    name: &'static str,
    title: &'static str,
    set: Set,
    queries: &'static str,
    tool: Tool,
    servers: &'static [Server],
) -> Case {
    Case { name, title, set, queries, tool, servers }
}

/// Whose start, memory and reload are measured, by the set that they load.
pub(super) fn starting(set: Set) -> &'static [Server] {
    match set {
        Set::Small | Set::Nsec => &[],
        Set::Many | Set::Big => &[Pharos, PharosImage, Gdnsd, Nsd, Knot, Bind],
        Set::Nsec3 => &[Pharos, PharosImage, Nsd, Knot, Bind],
    }
}
