//! The configurations of a lab's machines: what `deploy/` has, and what any network has around it.

use super::plan::edited;
use super::topology::session_suffix;
use super::{Backbone, Plan, Server, Speaker, TransitHelp, TransitPolicy, source_root};
use std::fmt::Write as _;
use std::fs;

/// The addresses of a link inside a POP: the node's and the router's of IPv4, then of IPv6. The first is the one
/// that the files of `deploy/` name; a link is nobody else's, so every POP has the same.
pub(super) fn link(router: u8, node: u8) -> [String; 4] {
    let number = 2 * router + node;
    let v6 = if number == 0 { "fd00::".to_owned() } else { format!("fd00:0:0:{number}::") };
    [format!("10.0.{number}.2"), format!("10.0.{number}.1"), format!("{v6}2"), format!("{v6}1")]
}

fn shipped(file: &str) -> String {
    fs::read_to_string(source_root().join("deploy").join(file)).expect("deploy/ is in the source tree")
}

/// `pharos.yaml`, directories left as they are shipped; where another server answers, without the responder's section,
/// and with what is to be probed.
pub(super) fn pharos(plan: &Plan, server: Server) -> String {
    let text = edited(&shipped("pharos.yaml"), &plan.pharos);
    if server == Server::Pharos {
        return text;
    }
    let (head, rest) = text.split_once("\nresponder:\n").expect("the shipped file has that section");
    let (_, rest) = rest.split_once("\nsidecar:\n").expect("and behind it the sidecar's");
    let probed = "addresses: [\"192.0.2.53:53\", \"[2001:db8:53::53]:53\"]\n      required: [";
    edited(&format!("{head}\nsidecar:\n{rest}"), &[("required: [", probed)])
}

/// `site.yaml` of a node.
pub(super) fn site(plan: &Plan, letter: &str, site: &str, node: u8, routers: u8) -> String {
    let text = edited(&shipped("site.yaml"), &plan.site);
    let text = edited(&text, &[("node: a", "node: LETTER"), ("site: ams", "site: SITE")]);
    let text = text.replace("LETTER", letter).replace("SITE", site);
    let (head, neighbour) = text.split_once("neighbours:\n").expect("the shipped file has neighbours");
    let at = |router: u8| {
        let [node4, router4, node6, _] = link(router, node);
        neighbour
            .replace("10.0.0.1", &router4)
            .replace("10.0.0.2", &node4)
            .replace("\"fd00::2\"", &format!("\"{node6}\""))
    };
    let neighbours: String = (0..routers).map(at).collect();
    let [node4, ..] = link(0, node);
    let head = head.replace("10.0.0.2", &node4);
    match plan.speaker {
        Speaker::Own => format!("{head}neighbours:\n{neighbours}"),
        Speaker::LocalBird => announcers(&head),
    }
}

/// The commented announcers of the file, in force.
fn announcers(head: &str) -> String {
    let (before, sample) = head.split_once("# announcers:\n").expect("the shipped file has them as a sample");
    let (sample, after) = sample.split_once("\n\n").expect("a blank line ends the sample");
    let lines: Vec<&str> =
        sample.lines().map(|line| line.trim_start_matches("# ").trim_start_matches('#')).collect();
    format!("{before}announcers:\n  {}\n\n{}", lines.join("\n  "), after.trim_end_matches(|c| c != '\n'))
}

/// The BIRD on a node itself: `deploy/bird/pharos-node.conf`, which includes what the sidecar writes to `include`.
pub(super) fn node_bird(include: &str) -> String {
    let (directory, name) = include.rsplit_once('/').expect("the path is absolute");
    let (first, rest) = name.split_at(1);
    let pattern = format!("{directory}/[{first}]{rest}");
    let text =
        edited(&shipped("bird/pharos-node.conf"), &[]).replace("/var/lib/pharos/[b]ird.conf", &pattern);
    assert!(text.contains(&pattern), "the shipped file includes what the sidecar writes");
    format!("log stderr all;\nrouter id 10.0.0.2;\n{text}")
}

/// The router of a POP: `deploy/bird` as it stands, then what any router of a network has.
pub(super) fn bird(plan: &Plan, pop: &str, third: u8, router: u8, nodes: u8) -> String {
    let pharos = edited(&shipped("bird/pharos.conf"), &plan.bird);
    let site = shipped("bird/pharos-site.conf");
    let (policy, session) =
        pharos.split_once("protocol bgp pharos_node {").expect("the shipped file has a session");
    let mut text = format!("log stderr all;\nrouter id 10.{third}.0.2;\n{site}\n{policy}\n");
    for node in 0..nodes {
        let [node4, router4, ..] = link(router, node);
        let session =
            session.replace("PHAROS_ROUTER", &router4).replace("PHAROS_NODE as", &format!("{node4} as"));
        writeln!(text, "protocol bgp pharos_node{} {{{session}", session_suffix(node))
            .expect("a string takes it");
    }
    let restart = match plan.help {
        TransitHelp::Off => "graceful restart off;",
        TransitHelp::GracefulRestart => "graceful restart on; graceful restart time 30;",
        TransitHelp::LongLived => {
            "graceful restart on; graceful restart time 5;
    long lived graceful restart on; long lived stale time 3600;"
        }
    };
    write!(
        text,
        r"
protocol device {{}}
protocol kernel {{ scan time 60; merge paths on; ipv4 {{ import none; export all; }}; }}
protocol kernel {{ scan time 60; merge paths on; ipv6 {{ import none; export all; }}; }}
protocol bgp transit {{
    local as PHAROS_LOCAL_AS;
    neighbor 10.{third}.0.1 as 64496;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    hold time 9; keepalive time 3;
    {restart}
    ipv4 {{ import all; export filter pharos_border_out; }};
    ipv6 {{ import all; export filter pharos_border_out; }};
}}
"
    )
    .expect("a string takes it");
    if plan.backbone == Backbone::Ibgp {
        let (near, far) = if pop == "ams" { (1, 2) } else { (2, 1) };
        // The far router's own route counts as it is preferred there; what came from it is not sent on.
        write!(
            text,
            r"protocol bgp backbone {{
    local 10.8.0.{near} as PHAROS_LOCAL_AS;
    neighbor 10.8.0.{far} as PHAROS_LOCAL_AS;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    hold time 9; keepalive time 3; direct;
    ipv4 {{ import all; export where source = RTS_BGP; next hop self; }};
}}
protocol bgp backbone6 {{
    local fd00:8::{near} as PHAROS_LOCAL_AS;
    neighbor fd00:8::{far} as PHAROS_LOCAL_AS;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    hold time 9; keepalive time 3; direct;
    ipv6 {{ import all; export where source = RTS_BGP; next hop self; }};
}}
"
        )
        .expect("a string takes it");
    }
    text
}

/// The same for FRR: `deploy/frr` as it stands, with the session to the transit network added.
pub(super) fn frr(third: u8) -> String {
    let mut text = shipped("frr/pharos.conf");
    write!(
        text,
        "!
route-map ALL permit 10
exit
!
router bgp 64500
 neighbor 10.{third}.0.1 remote-as 64496
 neighbor 10.{third}.0.1 timers connect 1
 neighbor 10.{third}.0.1 advertisement-interval 0
 address-family ipv4 unicast
  neighbor 10.{third}.0.1 activate
  neighbor 10.{third}.0.1 route-map ALL in
  neighbor 10.{third}.0.1 route-map PHAROS-BORDER-OUT4 out
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.{third}.0.1 activate
  neighbor 10.{third}.0.1 route-map ALL in
  neighbor 10.{third}.0.1 route-map PHAROS-BORDER-OUT6 out
 exit-address-family
exit
"
    )
    .expect("a string takes it");
    text
}

/// The transit router: takes what the POPs send, prefers one POP by local preference, and knows the way back to
/// the client, whose network is its own. Each session is a name, the POP's address and the preference.
pub(super) fn transit(plan: &Plan, sessions: &[(&str, &str, u32)]) -> String {
    let policy = match plan.transit {
        TransitPolicy::HonoursShutdown => {
            "if (65535, 0) ~ bgp_community then bgp_local_pref = 0; # RFC 8326
	accept;"
        }
        TransitPolicy::StripsEverything => {
            "bgp_community.empty; bgp_large_community.empty; bgp_ext_community.empty; bgp_med = 0;
	accept;"
        }
    };
    let help = match plan.help {
        TransitHelp::Off => "graceful restart off;",
        TransitHelp::GracefulRestart => "graceful restart aware;",
        TransitHelp::LongLived => "graceful restart aware; long lived graceful restart aware;",
    };
    let mut text = format!(
        "log stderr all;
router id 10.9.0.1;
protocol device {{}}
protocol direct {{ ipv4; ipv6; interface \"client\"; }}
protocol kernel {{ scan time 60; ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ scan time 60; ipv6 {{ import none; export where source = RTS_BGP; }}; }}
filter from_pop {{
	{policy}
}}
"
    );
    for (name, neighbour, preference) in sessions {
        write!(
            text,
            "protocol bgp {name} {{
    local as 64496;
    neighbor {neighbour} as 64500;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    hold time 9; keepalive time 3;
    {help}
    default bgp_local_pref {preference};
    ipv4 {{ import filter from_pop; export where source = RTS_DEVICE; }};
    ipv6 {{ import filter from_pop; export where source = RTS_DEVICE; }};
}}
"
        )
        .expect("a string takes it");
    }
    text
}
