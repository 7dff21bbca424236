//! The options of site.yaml: what differs from node to node.

use super::{AnnouncersSection, DefaultDoc, OptionDoc, every_default, period_ms};
use crate::config::values::{
    Address, Community, Endpoint, Family, Interface, Label, LargeCommunity, Md5Secret, Period, Queues,
    RouterId,
};
use serde::Deserialize;
use std::path::PathBuf;

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
        /// Interfaces whose queries the responder takes by AF_XDP, past the kernel's IP stack. Where that does not
        /// work, for want of privileges, driver or kernel, they come by the kernel's sockets as without it, and the
        /// log and /status say why. Replies leave by the interface on which the query came, and the host's packet
        /// filter sees neither: docs/operation.md.
        #[serde(default)]
        xdp: Vec<XdpSection>, write "list of sections", Described("none; queries come by sockets");
        /// Asks the responder by way of the router as well: the inner probe, which goes over loopback, does not see the
        /// network card, AF_XDP or the router's route. A failure is an alarm, and after ten seconds a lower
        /// preference; it never withdraws. docs/operation.md says what the kernel and the router must allow.
        #[serde(default)]
        wire: Option<WireSection>, write "section", Described("none; nothing is asked by way of the router");
        /// The BGP identifier. Needed by `pharos announce`.
        #[serde(default)]
        router_id: Option<RouterId>, write "IPv4 address", Described("none; the sidecar needs it");
        /// The autonomous system that this node speaks for. Needed by `pharos announce`.
        #[serde(default)]
        local_as: Option<u32>, write "1 to 4294967295", Described("none; the sidecar needs it");
        /// The routers to announce to by BGP.
        #[serde(default)]
        neighbours: Vec<NeighbourSection>, write "list of sections",
            Described("none; the sidecar needs one, or another announcer");
        /// Who else is told of every level.
        #[serde(default)]
        announcers: Option<AnnouncersSection>, write "section", Described("none");
    }
}

section! {
    /// One interface that is used by AF_XDP.
    XdpSection at "site.xdp[]" {
        /// The interface's name; one by which clients come, so not lo.
        interface: Interface, write "name of an interface", Required;
        /// How many of its receive queues are served, from the first; the others' packets go to the kernel. Queue i is
        /// served by worker i modulo the number of workers, so receive queues and workers should be as many, and
        /// the interrupts of queue i go to the core of worker i.
        #[serde(default = "queues")]
        queues: Queues, write "auto (all) or 1 to 1024", Value("auto");
        /// Where the XDP program is attached: native in the driver, generic behind it, which costs more but works with
        /// any driver, auto natively where the driver can.
        #[serde(default = "xdp_mode")]
        mode: XdpMode, write "auto, native or generic", Value("auto");
        /// Whether packets are copied between the device's memory and the responder's: zero-copy needs a driver that
        /// can, auto does without copying where that works.
        #[serde(default = "xdp_copy")]
        copy: XdpCopy, write "auto, copy or zero-copy", Value("auto");
        /// Packets that a queue holds until its worker takes them. Each takes 2 KiB of locked memory, or 4 KiB with
        /// an MTU above 1778; 4 MiB for replies come on top.
        #[serde(default = "xdp_ring")]
        ring: u32, write "a power of two, 64 to 65536", Value("4096");
    }
}

section! {
    /// How the responder is asked by way of the router.
    WireSection at "site.wire" {
        /// The interface to the router. Queries come from its first address of each family that is not link-local; the
        /// anycast addresses must stand on another one, such as lo.
        interface: Interface, write "name of an interface", Required;
        /// Time from one probe to the next, for each address.
        #[serde(default = "wire_interval")]
        interval: Period, write "duration, 100ms to 1h", Value("1s");
        /// A probe without an answer for so long has failed; at most the interval.
        #[serde(default = "wire_timeout")]
        timeout: Period, write "duration, 10ms to the interval", Value("500ms");
        /// Other nodes of this site behind the same router, which sends a share of the queries to them: their answers
        /// are neither a pass nor a failure.
        #[serde(default)]
        siblings: Vec<Label>, write "list of node names", Value("[]");
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
        /// Next hop of IPv4 routes: this node's address as the neighbour reaches it. With an IPv6 address here IPv4
        /// routes are told to a router that offers the extended next hop encoding (RFC 8950; in BIRD `extended next
        /// hop on`, in FRR `capability extended-nexthop`), and kept back from one that does not.
        #[serde(default)]
        next_hop_ipv4: Option<Address>, write "IPv4 address, or IPv6 address",
            Described("this node's end of the session, when that is IPv4");
        /// Next hop of IPv6 routes: this node's address as the neighbour reaches it.
        #[serde(default)]
        next_hop_ipv6: Option<Address>, write "IPv6 address",
            Described("this node's end of the session, when that is IPv6");
        /// Standard communities (RFC 1997) on every route to this neighbour: no-export on a local node, whose routes
        /// shall not leave the neighbour's AS. Beside them each route says its level as LOCAL-AS:100 (normal), :101
        /// (degraded), :102 (last resort) or :103 (draining, with graceful-shutdown of RFC 8326), as long as local-as
        /// fits 16 bits.
        #[serde(default)]
        communities: Vec<Community>,
            write "list of \"NUMBER:NUMBER\", no-export, no-advertise, no-peer, graceful-shutdown", Value("[]");
        /// Large communities (RFC 8092) on every route to this neighbour.
        #[serde(default)]
        large_communities: Vec<LargeCommunity>, write "list of \"NUMBER:NUMBER:NUMBER\"", Value("[]");
        /// What each level is told as to this neighbour, where that is to differ from the defaults.
        #[serde(default = "every_default")]
        levels: LevelsSection, write "section", Described("the default of each level");
        /// The secret of TCP MD5 signatures (RFC 2385), if the router asks for them: in BIRD and FRR `password`. The
        /// file that holds it should be readable by the sidecar alone.
        #[serde(default)]
        md5_key: Option<Md5Secret>, write "text of 1 to 80 octets, in quotes", Described("none");
        /// A file whose first line is that secret. Relative paths begin at the directory of pharos.yaml.
        #[serde(default)]
        md5_key_file: Option<PathBuf>, write "path", Described("none");
        /// The TTL check of RFC 5082 (GTSM): neighbour sends packets with TTL 255 and drops what comes with less, so
        /// that nobody beyond a router can reach the session. Both ends must do it: in BIRD and FRR `ttl security`.
        #[serde(default = "ttl_security")]
        ttl_security: TtlSecurity, write "none or neighbour", Value("none");
        /// What this node's AS is to the neighbour's (RFC 9234), for neighbours of another AS: customer where the
        /// neighbour is a transit provider. Routers that say a role which does not fit are refused; to customers,
        /// peers and clients of a route server, routes are marked as not to be passed on upwards (ONLY_TO_CUSTOMER).
        #[serde(default)]
        bgp_role: Option<BgpRole>,
            write "provider, customer, peer, route-server or route-server-client", Described("none is said");
        /// Whether a router that says no role is refused.
        #[serde(default = "bgp_role_check")]
        bgp_role_check: BgpRoleCheck, write "lenient or strict", Value("lenient");
        /// BFD with the router (RFC 5880, 5881; one hop, UDP port 3784): a dead path or a frozen process is seen within
        /// interval times multiplier instead of the hold time. The router must do it too: in BIRD and FRR `bfd`.
        #[serde(default)]
        bfd: Option<BfdSection>, write "section; {} for its defaults", Described("none; no BFD is spoken");
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

section! {
    /// What each level is told as to a neighbour. A withdrawn prefix has no route, and so no attributes.
    LevelsSection at "site.neighbours[].levels" {
        /// All is well.
        #[serde(default = "every_default")]
        normal: LevelSection, write "section", Described("the default of each of its keys");
        /// Prefer others, please.
        #[serde(default = "every_default")]
        degraded: LevelSection, write "section", Described("the default of each of its keys");
        /// Only if nobody else is left.
        #[serde(default = "every_default")]
        last_resort: LevelSection, write "section", Described("the default of each of its keys");
        /// About to leave.
        #[serde(default = "every_default")]
        draining: LevelSection, write "section", Described("the default of each of its keys");
    }
}

section! {
    /// What one level is told as: `normal`, `degraded`, `last-resort` or `draining`.
    LevelSection at "site.neighbours[].levels.LEVEL" {
        /// Communities that say this level, beside those on every route.
        #[serde(default)]
        communities: Option<Vec<Community>>, write "list, as communities of the neighbour",
            Described("LOCAL-AS:100 to :103, and graceful-shutdown for draining");
        /// Large communities that say this level, beside those on every route.
        #[serde(default)]
        large_communities: Vec<LargeCommunity>, write "list of \"NUMBER:NUMBER:NUMBER\"", Value("[]");
        /// How many times more than once local-as stands in the AS path. Not for neighbours of our own AS.
        #[serde(default)]
        prepend: Option<u8>, write "0 to 3",
            Described("0 for normal, 1 for degraded, 3 for last-resort and draining");
        /// MULTI_EXIT_DISC: the lower value wins, among routes from the same neighbouring AS.
        #[serde(default)]
        med: Option<u32>, write "0 to 4294967295", Described("none");
        /// LOCAL_PREF: the higher value wins. For neighbours of our own AS only.
        #[serde(default)]
        local_pref: Option<u32>, write "0 to 4294967295",
            Described("to neighbours of our own AS 100 for normal, 50 for degraded, 10 for last-resort, 0 for draining");
    }
}

section! {
    /// BFD with one neighbour.
    BfdSection at "site.neighbours[].bfd" {
        /// The interval at which both ends send, as far as this one has a say. Below 100ms a busy machine is easily
        /// taken for a dead one.
        #[serde(default = "bfd_interval")]
        interval: Period, write "duration, 10ms to 10s", Value("300ms");
        /// How many packets in a row may be missed before the path counts as dead.
        #[serde(default = "bfd_multiplier")]
        multiplier: u8, write "2 to 255", Value("3");
        /// Whether the BGP session waits until BFD is up. When optional, a router that does not speak BFD gets its
        /// session all the same, with an alarm.
        #[serde(default = "before_session")]
        before_session: BeforeSession, write "optional or required", Value("optional");
    }
}

/// Whether the BGP session waits until BFD is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeforeSession {
    /// It does not wait.
    Optional,
    /// It waits.
    Required,
}

fn bfd_interval() -> Period {
    period_ms(300)
}

fn bfd_multiplier() -> u8 {
    3
}

fn before_session() -> BeforeSession {
    BeforeSession::Optional
}

/// Whether the TTL of a neighbour's packets is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TtlSecurity {
    /// It is not.
    None,
    /// It must be 255.
    Neighbour,
}

/// What this node's AS is to the neighbour's, RFC 9234.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BgpRole {
    /// It carries transit for the neighbour.
    Provider,
    /// The neighbour carries transit for it.
    Customer,
    /// Neither.
    Peer,
    /// It is a route server.
    RouteServer,
    /// The neighbour is a route server.
    RouteServerClient,
}

/// Whether a router that says no role is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BgpRoleCheck {
    /// It is not.
    Lenient,
    /// It is.
    Strict,
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

/// Where an XDP program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver where it can, else behind it.
    Auto,
    /// In the driver.
    Native,
    /// Behind the driver.
    Generic,
}

/// Whether packets are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum XdpCopy {
    /// Where the driver needs it.
    Auto,
    /// They are.
    Copy,
    /// They are not.
    ZeroCopy,
}

fn wire_interval() -> Period {
    period_ms(1000)
}

fn wire_timeout() -> Period {
    period_ms(500)
}

fn queues() -> Queues {
    Queues::Auto
}

fn xdp_mode() -> XdpMode {
    XdpMode::Auto
}

fn xdp_copy() -> XdpCopy {
    XdpCopy::Auto
}

fn xdp_ring() -> u32 {
    4096
}

fn families() -> Vec<Family> {
    vec![Family::Ipv4, Family::Ipv6]
}

fn ttl_security() -> TtlSecurity {
    TtlSecurity::None
}

fn bgp_role_check() -> BgpRoleCheck {
    BgpRoleCheck::Lenient
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
