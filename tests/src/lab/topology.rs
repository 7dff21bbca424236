//! The machines, cables and routers: two POPs, a transit network and a client.

use super::{Bird, BirdRoute, Client, Frr, Namespace, Node, Workspace, source_root, wait_until};
use std::fmt::Write as _;
use std::fs;

/// Which daemon the POPs' routers run; the transit router is always BIRD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterKind {
    /// BIRD with the files of `deploy/bird/`.
    Bird,
    /// FRR with the file of `deploy/frr/`.
    Frr,
}

#[derive(Debug)]
enum Router {
    Bird(Bird),
    Frr(Frr),
}

/// One point of presence: a router, and a machine for the node.
#[derive(Debug)]
pub struct Pop {
    name: String,
    /// This site's address on the link to the transit network, which is the name of its BGP session there.
    uplink: String,
    /// Before the namespaces: fields drop in this order.
    router: Router,
    router_namespace: Namespace,
    /// Where the node runs.
    pub node: Namespace,
}

/// The whole lab.
#[derive(Debug)]
pub struct Topology {
    /// The transit network's router.
    pub transit: Bird,
    /// The POP that the transit network prefers.
    pub ams: Pop,
    /// The other one.
    pub fra: Pop,
    client: Namespace,
    _transit_namespace: Namespace,
    /// Configurations, sockets and logs.
    pub workspace: Workspace,
}

impl Topology {
    /// Builds everything but the nodes, and waits until the routers speak with one another.
    pub fn new(kind: RouterKind) -> Self {
        let workspace = Workspace::new("lab");
        let transit_namespace = Namespace::new("transit");
        let client = Namespace::new("client");
        client.link(
            "eth0",
            &["10.9.0.2/24", "fd00:9::2/64"],
            &transit_namespace,
            "client",
            &["10.9.0.1/24", "fd00:9::1/64"],
        );
        client.sh("ip route add default via 10.9.0.1; ip -6 route add default via fd00:9::1");
        let ams = Pop::new("ams", 1, kind, &transit_namespace, &workspace);
        let fra = Pop::new("fra", 2, kind, &transit_namespace, &workspace);
        let transit =
            Bird::start(&transit_namespace, &workspace, &transit_config(&[(&ams, 200), (&fra, 100)]));
        for pop in [&ams, &fra] {
            wait_until("the transit network has a session with each POP", || transit.established(&pop.name));
        }
        Self { transit, ams, fra, client, _transit_namespace: transit_namespace, workspace }
    }

    /// The resolver somewhere on the Internet.
    pub fn client(&self) -> Client<'_> {
        Client::new(&self.client)
    }

    /// Makes the node of a POP, not yet running.
    pub fn make_node<'lab>(&'lab self, pop: &'lab Pop) -> Node<'lab> {
        Node::new(&pop.node, &pop.name, &self.workspace)
    }
}

impl Pop {
    fn new(name: &str, number: u8, kind: RouterKind, transit: &Namespace, workspace: &Workspace) -> Self {
        let router_namespace = Namespace::new(&format!("{name}-router"));
        let node = Namespace::new(&format!("{name}-node"));
        let address = |host: u8| (format!("10.{number}.0.{host}/24"), format!("fd00:{number}::{host}/64"));
        let (near, far) = (address(2), address(1));
        router_namespace.link("uplink", &[&near.0, &near.1], transit, name, &[&far.0, &far.1]);
        // The addresses that deploy/ uses. The link is nobody else's, so every POP can have the same.
        node.link(
            "eth0",
            &["10.0.0.2/30", "fd00::2/64"],
            &router_namespace,
            "node",
            &["10.0.0.1/30", "fd00::1/64"],
        );
        node.sh("ip address add 192.0.2.53/32 dev lo
            ip address add 2001:db8:53::53/128 dev lo
            ip route add default via 10.0.0.1
            ip -6 route add default via fd00::1");
        let router = match kind {
            RouterKind::Bird => Router::Bird(Bird::start(&router_namespace, workspace, &bird_config(number))),
            RouterKind::Frr => Router::Frr(Frr::start(&router_namespace, workspace, &frr_config(number))),
        };
        Self { name: name.to_owned(), uplink: format!("10.{number}.0.2"), router, router_namespace, node }
    }

    /// The site's name, `ams` or `fra`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the router's BGP table has a route for `prefix`.
    pub fn has_route(&self, prefix: &str) -> bool {
        match &self.router {
            Router::Bird(bird) => bird.has(prefix),
            Router::Frr(frr) => frr.has(prefix),
        }
    }

    /// The local preference of the router's route for `prefix`.
    pub fn local_preference(&self, prefix: &str) -> Option<u64> {
        match &self.router {
            Router::Bird(bird) => bird.route(prefix).map(|route| u64::from(route.local_preference)),
            Router::Frr(frr) => frr.local_preference(prefix),
        }
    }

    /// The router's route in full, where the router is BIRD.
    pub fn bird_route(&self, prefix: &str) -> Option<BirdRoute> {
        match &self.router {
            Router::Bird(bird) => bird.route(prefix),
            Router::Frr(_) => None,
        }
    }

    /// How many routes the node's session has announced and withdrawn, where the router is BIRD.
    pub fn route_changes(&self) -> Vec<String> {
        match &self.router {
            Router::Bird(bird) => bird.route_changes("pharos_node"),
            Router::Frr(_) => Vec::new(),
        }
    }

    /// Where the router runs.
    pub fn router_namespace(&self) -> &Namespace {
        &self.router_namespace
    }
}

/// The router of a POP: deploy/bird included as it stands, then what any router of a network has.
fn bird_config(number: u8) -> String {
    let deploy = source_root().join("deploy/bird");
    let deploy = deploy.display();
    format!(
        r#"log stderr all;
router id 10.{number}.0.2;
include "{deploy}/pharos-site.conf";
include "{deploy}/pharos.conf";
protocol device {{}}
protocol kernel {{ scan time 60; ipv4 {{ import none; export all; }}; }}
protocol kernel {{ scan time 60; ipv6 {{ import none; export all; }}; }}
protocol bgp transit {{
    local as PHAROS_LOCAL_AS;
    neighbor 10.{number}.0.1 as 64496;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    graceful restart off;
    ipv4 {{ import all; export filter pharos_border_out; }};
    ipv6 {{ import all; export filter pharos_border_out; }};
}}
"#
    )
}

/// The same for FRR: deploy/frr as it stands, with the session to the transit network added.
fn frr_config(number: u8) -> String {
    let path = source_root().join("deploy/frr/pharos.conf");
    let mut text = fs::read_to_string(path).expect("the router configuration is in the source tree");
    write!(
        text,
        "!
route-map ALL permit 10
exit
!
router bgp 64500
 neighbor 10.{number}.0.1 remote-as 64496
 neighbor 10.{number}.0.1 timers connect 1
 neighbor 10.{number}.0.1 advertisement-interval 0
 address-family ipv4 unicast
  neighbor 10.{number}.0.1 activate
  neighbor 10.{number}.0.1 route-map ALL in
  neighbor 10.{number}.0.1 route-map PHAROS-BORDER-OUT4 out
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.{number}.0.1 activate
  neighbor 10.{number}.0.1 route-map ALL in
  neighbor 10.{number}.0.1 route-map PHAROS-BORDER-OUT6 out
 exit-address-family
exit
"
    )
    .expect("text can be appended to a string");
    text
}

/// The transit router: takes what the POPs send, prefers one POP by local preference, and knows the way back to
/// the client, whose network is its own.
fn transit_config(pops: &[(&Pop, u32)]) -> String {
    let mut text = "log stderr all;
router id 10.9.0.1;
protocol device {}
protocol direct { ipv4; ipv6; interface \"client\"; }
protocol kernel { scan time 60; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { scan time 60; ipv6 { import none; export where source = RTS_BGP; }; }
"
    .to_owned();
    for (pop, preference) in pops {
        let (name, neighbour) = (&pop.name, &pop.uplink);
        write!(
            text,
            "protocol bgp {name} {{
    local as 64496;
    neighbor {neighbour} as 64500;
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    graceful restart off;
    default bgp_local_pref {preference};
    ipv4 {{ import all; export where source = RTS_DEVICE; }};
    ipv6 {{ import all; export where source = RTS_DEVICE; }};
}}
"
        )
        .expect("text can be appended to a string");
    }
    text
}
