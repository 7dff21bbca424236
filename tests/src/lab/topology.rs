//! The machines, cables and routers of a lab: two POPs, a transit network and a client, as a [`Plan`] wants them.

use super::configs;
use super::node::Fittings;
use super::{
    Backbone, Bird, BirdRoute, Client, ClockKind, Disk, Frr, Namespace, Node, Plan, RouteMonitor, RouterKind,
    Server, Workspace, wait_until,
};
use std::sync::Arc;

#[derive(Debug)]
enum Daemons {
    Bird(Bird),
    Frr(Frr),
    /// Killed, and not started again yet.
    Down,
}

/// One router of a POP.
#[derive(Debug)]
pub struct Router {
    /// Before the namespace: fields drop in this order.
    daemons: Daemons,
    kind: RouterKind,
    config: String,
    /// What its kernel forwards by.
    pub routes: RouteMonitor,
    /// The name of its session at the transit router, which is its interface's name there too.
    pub uplink_name: String,
    uplink: String,
    /// Where it runs.
    pub namespace: Namespace,
}

/// One point of presence: routers, and machines for the nodes.
#[derive(Debug)]
pub struct Pop {
    name: String,
    /// At least one.
    pub routers: Vec<Router>,
    /// Where the nodes run; at least one.
    pub machines: Vec<Arc<Namespace>>,
}

/// The whole lab.
#[derive(Debug)]
pub struct Topology {
    /// The transit network's router.
    pub transit: Bird,
    /// What the transit router's kernel forwards by.
    pub transit_routes: RouteMonitor,
    /// The POP that the transit network prefers.
    pub ams: Pop,
    /// The other one.
    pub fra: Pop,
    /// Where the client is.
    pub client_namespace: Namespace,
    /// Where the transit router runs.
    pub transit_namespace: Namespace,
    /// What it was built from.
    pub plan: Plan,
    /// Configurations, sockets and logs.
    pub workspace: Workspace,
}

impl Topology {
    /// The plain lab with routers of that kind.
    pub fn new(kind: RouterKind) -> Self {
        Self::build(Plan { routers: kind, ..Plan::default() })
    }

    /// Builds everything but the nodes, and waits until the routers speak with one another.
    pub fn build(plan: Plan) -> Self {
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
        let transit_routes = RouteMonitor::start(&transit_namespace, workspace.path());
        let ams = Pop::new("ams", 1, plan.ams_routers, plan.ams_nodes, &plan, &transit_namespace, &workspace);
        let fra = Pop::new("fra", 2, 1, 1, &plan, &transit_namespace, &workspace);
        if plan.backbone == Backbone::Ibgp {
            let (ams, fra) = (&ams.router().namespace, &fra.router().namespace);
            ams.link(
                "backbone",
                &["10.8.0.1/30", "fd00:8::1/64"],
                fra,
                "backbone",
                &["10.8.0.2/30", "fd00:8::2/64"],
            );
        }
        let sessions: Vec<_> = [(&ams, 200), (&fra, 100)]
            .into_iter()
            .flat_map(|(pop, preference)| pop.routers.iter().map(move |router| (router, preference)))
            .map(|(router, preference)| (router.uplink_name.as_str(), router.uplink.as_str(), preference))
            .collect();
        let text = configs::transit(&plan, &sessions);
        let transit = Bird::start(&transit_namespace, &workspace, &text);
        for (name, ..) in sessions {
            wait_until("the transit network has a session with each router", || transit.established(name));
        }
        let client_namespace = client;
        Self { transit, transit_routes, ams, fra, client_namespace, transit_namespace, plan, workspace }
    }

    /// The resolver somewhere on the Internet.
    pub fn client(&self) -> Client<'_> {
        Client::new(&self.client_namespace)
    }

    /// Makes the first node of a POP, not yet running.
    pub fn make_node(&self, pop: &Pop) -> Node {
        self.make_nodes(pop).swap_remove(0)
    }

    /// Makes all nodes of a POP, not yet running.
    pub fn make_nodes(&self, pop: &Pop) -> Vec<Node> {
        let routers = u8::try_from(pop.routers.len()).expect("a POP has few routers");
        let node = |(number, machine): (u8, &Arc<Namespace>)| {
            let letter = ["a", "b"].get(usize::from(number)).expect("a POP has one node or two");
            let site = configs::site(&self.plan, letter, &pop.name, number, routers);
            let ams = pop.name == "ams";
            let fittings = Fittings {
                clock: if ams { self.plan.clock } else { ClockKind::Real },
                disk: if ams && number == 0 { self.plan.disk } else { Disk::Roomy },
                server: if ams { self.plan.server } else { Server::Pharos },
            };
            let pharos = configs::pharos(&self.plan, fittings.server);
            Node::new(machine, letter, &pop.name, &self.workspace, [&pharos, &site], fittings)
        };
        (0..).zip(&pop.machines).map(node).collect()
    }
}

impl Pop {
    fn new(
        name: &str,
        number: u8,
        routers: u8,
        nodes: u8,
        plan: &Plan,
        transit: &Namespace,
        workspace: &Workspace,
    ) -> Self {
        let machines: Vec<_> = (0..nodes)
            .map(|node| {
                let machine = Namespace::new(&format!("{name}-node{}", suffix(node)));
                machine.sh("ip address add 192.0.2.53/32 dev lo
                    ip address add 2001:db8:53::53/128 dev lo");
                Arc::new(machine)
            })
            .collect();
        let routers: Vec<_> = (0..routers)
            .map(|index| Router::new(name, number, index, &machines, plan, transit, workspace))
            .collect();
        for (index, machine) in (0..).zip(&machines) {
            let [_, router4, _, router6] = configs::link(0, index);
            machine.sh(&format!("ip route add default via {router4}; ip -6 route add default via {router6}"));
        }
        Self { name: name.to_owned(), routers, machines }
    }

    /// The site's name, `ams` or `fra`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the first router's BGP table has a route for `prefix`.
    pub fn has_route(&self, prefix: &str) -> bool {
        self.router().has_route(prefix)
    }

    /// The local preference of the first router's route for `prefix`.
    pub fn local_preference(&self, prefix: &str) -> Option<u64> {
        self.router().local_preference(prefix)
    }

    /// The first node's route at the first router in full, where the router is BIRD.
    pub fn bird_route(&self, prefix: &str) -> Option<BirdRoute> {
        self.router().bird().and_then(|bird| bird.route_from("pharos_node", prefix))
    }

    /// How many routes the sessions with the nodes have announced and withdrawn, where the routers are BIRD.
    pub fn route_changes(&self) -> Vec<String> {
        let of_router = |router: &Router| {
            let bird = router.bird()?;
            let sessions =
                (0..).take(self.machines.len()).map(|node| format!("pharos_node{}", session_suffix(node)));
            Some(sessions.flat_map(|session| bird.route_changes(&session)).collect::<Vec<_>>())
        };
        self.routers.iter().filter_map(of_router).flatten().collect()
    }

    /// From now on the routers note whatever they hear from nodes, where they are BIRD. Gives how much they have noted.
    pub fn listen(&self) -> usize {
        self.birds().for_each(|bird| bird.trace("pharos_node"));
        self.heard().len()
    }

    /// All that they have noted: messages and changes of sessions, but for keepalives.
    pub fn heard(&self) -> Vec<String> {
        self.birds().flat_map(|bird| bird.traced("pharos_node")).collect()
    }

    fn birds(&self) -> impl Iterator<Item = &Bird> {
        self.routers.iter().filter_map(Router::bird)
    }

    /// The first router, which most have only.
    pub fn router(&self) -> &Router {
        self.routers.first().expect("a POP has a router")
    }

    /// The first router, to be broken.
    pub fn router_mut(&mut self) -> &mut Router {
        self.routers.first_mut().expect("a POP has a router")
    }

    /// The first node's machine.
    pub fn machine(&self) -> &Arc<Namespace> {
        self.machines.first().expect("a POP has a node")
    }
}

impl Router {
    fn new(
        pop: &str,
        number: u8,
        index: u8,
        machines: &[Arc<Namespace>],
        plan: &Plan,
        transit: &Namespace,
        workspace: &Workspace,
    ) -> Self {
        let namespace = Namespace::new(&format!("{pop}-router{}", suffix(index)));
        let uplink_name = format!("{pop}{}", session_suffix(index));
        let third = number + 10 * index;
        let address = |host: u8| (format!("10.{third}.0.{host}/24"), format!("fd00:{third}::{host}/64"));
        let (near, far) = (address(2), address(1));
        namespace.link("uplink", &[&near.0, &near.1], transit, &uplink_name, &[&far.0, &far.1]);
        for (node, machine) in (0..).zip(machines) {
            let [node4, router4, node6, router6] = configs::link(index, node);
            let (node4, node6) = (format!("{node4}/30"), format!("{node6}/64"));
            let (router4, router6) = (format!("{router4}/30"), format!("{router6}/64"));
            machine.link(
                &format!("eth{index}"),
                &[&node4, &node6],
                &namespace,
                &format!("node{}", suffix(node)),
                &[&router4, &router6],
            );
        }
        // Flows, not addresses, are spread over the nodes.
        namespace.sh("echo 1 > /proc/sys/net/ipv4/fib_multipath_hash_policy
            echo 1 > /proc/sys/net/ipv6/fib_multipath_hash_policy");
        let routes = RouteMonitor::start(&namespace, workspace.path());
        let nodes = u8::try_from(machines.len()).expect("a POP has few nodes");
        let config = match plan.routers {
            RouterKind::Bird => configs::bird(plan, pop, third, index, nodes),
            RouterKind::Frr => configs::frr(third),
        };
        let uplink = format!("10.{third}.0.2");
        let kind = plan.routers;
        let mut router =
            Self { daemons: Daemons::Down, kind, config, routes, uplink_name, uplink, namespace };
        router.start(workspace);
        router
    }

    /// Starts its daemon, if it is down.
    pub fn start(&mut self, workspace: &Workspace) {
        if !matches!(self.daemons, Daemons::Down) {
            return;
        }
        self.daemons = match self.kind {
            RouterKind::Bird => Daemons::Bird(Bird::start(&self.namespace, workspace, &self.config)),
            RouterKind::Frr => Daemons::Frr(Frr::start(&self.namespace, workspace, &self.config)),
        };
    }

    /// The same, with the routes that its kernel still has until the neighbours have told theirs, where it is BIRD.
    pub fn recover(&mut self, workspace: &Workspace) {
        if self.kind == RouterKind::Bird && matches!(self.daemons, Daemons::Down) {
            self.daemons = Daemons::Bird(Bird::recover(&self.namespace, workspace, &self.config));
        }
    }

    /// Changes the configuration that the next start takes.
    pub fn edit(&mut self, edit: impl FnOnce(&str) -> String) {
        self.config = edit(&self.config);
    }

    /// `kill -9` of its daemon; the kernel goes on forwarding.
    pub fn kill(&mut self) {
        self.daemons = Daemons::Down;
    }

    /// BIRD, where it is BIRD and runs.
    pub fn bird(&self) -> Option<&Bird> {
        match &self.daemons {
            Daemons::Bird(bird) => Some(bird),
            Daemons::Frr(_) | Daemons::Down => None,
        }
    }

    /// The same, to be broken.
    pub fn bird_mut(&mut self) -> Option<&mut Bird> {
        match &mut self.daemons {
            Daemons::Bird(bird) => Some(bird),
            Daemons::Frr(_) | Daemons::Down => None,
        }
    }

    /// Whether the BGP table has a route for `prefix`.
    pub fn has_route(&self, prefix: &str) -> bool {
        match &self.daemons {
            Daemons::Bird(bird) => bird.has(prefix),
            Daemons::Frr(frr) => frr.has(prefix),
            Daemons::Down => false,
        }
    }

    /// The local preference of the first node's route for `prefix`.
    pub fn local_preference(&self, prefix: &str) -> Option<u64> {
        match &self.daemons {
            Daemons::Bird(bird) => {
                bird.route_from("pharos_node", prefix).map(|route| u64::from(route.local_preference))
            }
            Daemons::Frr(frr) => frr.local_preference(prefix),
            Daemons::Down => None,
        }
    }
}

/// What sets the second of a kind apart in names of machines and interfaces.
fn suffix(index: u8) -> &'static str {
    if index == 0 { "" } else { "-b" }
}

/// The same in names of BIRD's protocols, which know no hyphen.
pub(super) fn session_suffix(index: u8) -> &'static str {
    if index == 0 { "" } else { "_b" }
}
