//! The options of site.yaml: what differs from node to node.

use super::{AnnouncersSection, DefaultDoc, OptionDoc, period_ms};
use crate::config::values::{
    Address, Community, Endpoint, Family, Interface, Label, Period, Queues, RouterId,
};
use serde::Deserialize;

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
        /// The interface's name.
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
