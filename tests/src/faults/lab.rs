//! A lab that is lit: routers, nodes, clients under way, and the verbs by which scenarios break things.

use super::Begin;
use super::expect::nodes_among;
use crate::lab::{
    ANYCAST4, Busy, Daemon, Edit, Misbehaver, Namespace, Node, PREFIX4, PREFIX6, Plan, Pop, Router, Speaker,
    Topology, Traffic, Transport, edited, unix_seconds, wait_until,
};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A node of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The first node of ams, where most faults strike.
    A,
    /// The second node of ams, where the plan has one.
    B,
    /// The node of fra.
    Fra,
}

impl Who {
    /// What it says in NSID.
    pub const fn nsid(self) -> &'static str {
        match self {
            Self::A => "a.ams",
            Self::B => "b.ams",
            Self::Fra => "a.fra",
        }
    }
}

/// Everything that a scenario can touch.
#[derive(Debug)]
pub struct FaultLab {
    /// When the fault struck: set by the engine before a step, and again by a step that had to prepare something.
    pub struck: Instant,
    /// The clients. First to go, so that they ask nobody who is gone.
    pub traffic: Traffic,
    /// What else runs; killed with the lab.
    pub helpers: Vec<Daemon>,
    /// Another server on the first node of ams, where a scenario puts one there.
    pub busy: Option<Busy>,
    /// A neighbour that misbehaves, where a scenario puts one in the router's place.
    pub neighbour: Option<Misbehaver>,
    /// A moment that a scenario has set for later, by the wall clock.
    pub due: Option<SystemTime>,
    nodes: Vec<Node>,
    /// Routers and machines.
    pub topology: Topology,
}

impl FaultLab {
    /// Builds the lab and brings it to the state in which the fault strikes.
    ///
    /// The hold-down is two seconds unless the plan speaks of it: nobody's leaving depends on it, and the shipped ten
    /// would be most of the time that the lab takes.
    pub fn build(mut plan: Plan, begin: Begin) -> Self {
        if !plan.pharos.iter().any(|(from, _)| from.starts_with("hold-down")) {
            plan.pharos.push(("hold-down: 10s", "hold-down: 2s"));
        }
        let topology = Topology::build(plan);
        let mut nodes = topology.make_nodes(&topology.ams);
        nodes.extend(topology.make_nodes(&topology.fra));
        let names: Vec<_> = nodes.iter().map(|node| node.nsid().to_owned()).collect();
        let traffic = Traffic::start(&topology.client_namespace, &names, topology.plan.tcp);
        let mut lab = Self {
            struck: Instant::now(),
            traffic,
            helpers: Vec::new(),
            busy: None,
            neighbour: None,
            due: None,
            nodes,
            topology,
        };
        match begin {
            Begin::Lit => lab.light(),
            Begin::Prepared(prepare) => {
                prepare(&mut lab);
                lab.light();
            }
            Begin::Dark(prepare) => {
                prepare(&mut lab);
                lab.light_fra();
            }
        }
        lab
    }

    fn light(&mut self) {
        for node in &mut self.nodes {
            if self.topology.plan.speaker == Speaker::LocalBird {
                node.start_bird(&self.topology.workspace);
            }
            node.start_responder();
            node.start_sidecar();
        }
        let topology = &self.topology;
        for prefix in [PREFIX4, PREFIX6] {
            for router in topology.ams.routers.iter().chain(&topology.fra.routers) {
                wait_until("each router has both routes", || {
                    self.nodes.iter_mut().for_each(|node| {
                        node.responder().assert_running();
                        node.sidecar().assert_running();
                    });
                    router.has_route(prefix)
                });
            }
        }
        let whole: Vec<_> =
            self.nodes.iter().map(|node| node.nsid().to_owned()).filter(|n| n.ends_with("ams")).collect();
        wait_until("every node's route is there", || {
            self.nodes
                .iter()
                .all(|node| [PREFIX4, PREFIX6].iter().all(|p| node.level(p).as_deref() == Some("normal")))
                && topology.ams.routers.iter().all(|router| gateways(router) == whole.len())
        });
        let ams: Vec<_> = whole.iter().map(String::as_str).collect();
        let since = Instant::now();
        wait_until("clients are answered by ams", || self.traffic.settled_on(&ams, since).is_some());
    }

    fn light_fra(&mut self) {
        let fra = self.node(Who::Fra);
        fra.start_responder();
        fra.start_sidecar();
        let since = Instant::now();
        wait_until("clients are answered by fra", || {
            self.traffic.settled_on(&[Who::Fra.nsid()], since).is_some()
        });
    }

    /// Now is when it strikes: what came before was preparation.
    pub fn strike(&mut self) {
        self.struck = Instant::now();
    }

    /// When a route of the service changed since then, at the transit network or at a router of ams.
    pub fn moves(&self, since: Instant) -> Vec<Instant> {
        let routers = self.topology.ams.routers.iter().map(|router| &router.routes);
        let monitors = routers.chain([&self.topology.transit_routes]);
        let news = monitors.flat_map(|monitor| [PREFIX4, PREFIX6].map(|prefix| monitor.news(prefix)));
        news.flatten().map(|news| news.at).filter(|at| *at >= since).collect()
    }

    /// Waits until a sidecar has said since then that a signal has become so.
    pub fn wait_for_signal(&mut self, who: Who, since: Instant, signal: &str, to: &str) {
        wait_until("a signal is as the scenario needs it", || {
            let events = self.node(who).events(since);
            events.iter().any(|event| {
                event.message == "signal" && event.text("signal") == signal && event.text("to") == to
            })
        });
    }

    /// Waits until the first node of ams has said since then that both prefixes have this level, and its router has heard.
    pub fn wait_for_level(&mut self, since: Instant, level: &str, preference: u64) {
        wait_until("a level is as the scenario needs it", || {
            let events = self.node(Who::A).events(since);
            let said = |prefix: &&str| {
                events.iter().any(|event| {
                    event.message == "route" && event.text("prefix") == *prefix && event.text("to") == level
                })
            };
            let told = |prefix: &&str| self.topology.ams.local_preference(prefix) == Some(preference);
            let prefixes = [PREFIX4, PREFIX6];
            prefixes.iter().all(said) && prefixes.iter().all(told)
        });
    }

    /// Waits for the moment that was set, at which it strikes.
    ///
    /// # Panics
    /// If it is past: then the lab took too long to be lit.
    pub fn strike_when_due(&mut self) {
        let due = self.due.expect("the scenario has set it");
        let left =
            due.duration_since(SystemTime::now()).expect("the lab is lit before the moment that was set");
        let at = Instant::now() + left;
        wait_until("the moment that was set", || Instant::now() >= at);
        self.struck = at;
    }

    /// Sets that moment.
    pub fn set_due(&mut self, in_so_much: Duration) -> SystemTime {
        // A whole second, as the times of signatures and serials are.
        let due = UNIX_EPOCH + Duration::from_secs(unix_seconds() + in_so_much.as_secs());
        self.due = Some(due);
        due
    }

    /// A node.
    ///
    /// # Panics
    /// If the plan has none of that name.
    pub fn node(&mut self, who: Who) -> &mut Node {
        let found = self.nodes.iter_mut().find(|node| node.nsid() == who.nsid());
        found.expect("the plan has this node")
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The POP where faults strike.
    pub fn ams(&mut self) -> &mut Pop {
        &mut self.topology.ams
    }

    /// `kill -9` of a node's responder, at this moment.
    pub fn kill_responder(&mut self, who: Who) {
        self.strike();
        self.node(who).responder().kill();
    }

    /// `kill -9` of a node's sidecar, at this moment.
    pub fn kill_sidecar(&mut self, who: Who) {
        self.strike();
        self.node(who).sidecar().kill();
    }

    /// TCP refuses at the first node of ams, and its router has heard that the node is degraded.
    pub fn degrade(&mut self) {
        let since = Instant::now();
        self.filter(Who::A, "tcp dport 53 reject with tcp reset");
        self.wait_for_level(since, "degraded", 80);
    }

    /// Restarts the router of ams on a configuration in which this stands in place of that.
    pub fn restart_router(&mut self, edit: Edit) {
        let router = self.ams().router_mut();
        router.kill();
        router.edit(|text| edited(text, &[edit]));
        self.start_router();
    }

    /// Starts the router of ams again.
    pub fn start_router(&mut self) {
        let Topology { ams, workspace, .. } = &mut self.topology;
        ams.routers.iter_mut().for_each(|router| router.start(workspace));
    }

    /// Starts the router of ams again with what its kernel still has, as after a graceful restart (`bird -R`).
    pub fn recover_router(&mut self) {
        let Topology { ams, workspace, .. } = &mut self.topology;
        ams.routers.iter_mut().for_each(|router| router.recover(workspace));
    }

    /// Starts the routing daemon on a node itself.
    pub fn start_bird(&mut self, who: Who) {
        let node = self.nodes.iter_mut().find(|node| node.nsid() == who.nsid());
        node.expect("the plan has this node").start_bird(&self.topology.workspace);
    }

    /// Stops both processes of a node, as a host that hangs does.
    pub fn freeze(&mut self, who: Who) {
        let node = self.node(who);
        node.responder().signal(Signal::STOP);
        node.sidecar().signal(Signal::STOP);
    }

    /// Lets both go on.
    pub fn thaw(&mut self, who: Who) {
        let node = self.node(who);
        node.responder().signal(Signal::CONT);
        node.sidecar().signal(Signal::CONT);
    }

    /// Runs a `pharos` command on a node.
    ///
    /// # Panics
    /// If it fails.
    pub fn pharos(&mut self, who: Who, arguments: &[&str]) -> String {
        let output = self.node(who).pharos(arguments);
        assert!(output.status.success(), "pharos {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Loses every packet between a node of ams and its router, both ways, without a word to either.
    pub fn silence_link(&mut self) {
        drop_packets(
            &self.topology.ams.router().namespace,
            "silence",
            "iifname \"node\" drop",
            "oifname \"node\" drop",
        );
    }

    /// Ends that.
    pub fn restore_link(&mut self) {
        self.topology.ams.router().namespace.sh("nft delete table inet silence");
    }

    /// Loses every packet between the router of ams and the transit network, both ways, without a word to either.
    pub fn silence_uplink(&mut self) {
        drop_packets(
            &self.topology.ams.router().namespace,
            "dark",
            "iifname \"uplink\" drop",
            "oifname \"uplink\" drop",
        );
    }

    /// Ends that.
    pub fn restore_uplink(&mut self) {
        self.topology.ams.router().namespace.sh("nft delete table inet dark");
    }

    /// Inside a node's machine, packets that arrive there and match `rule` are dropped (or rejected, as it says).
    pub fn filter(&mut self, who: Who, rule: &str) {
        let machine = self.node(who).namespace.clone();
        // One transaction: it strikes at one moment.
        machine.sh(&format!(
            "nft 'table inet lab {{ chain in {{ type filter hook input priority 0; {rule}; }}; }}'"
        ));
    }

    /// Ends that.
    pub fn unfilter(&mut self, who: Who) {
        self.node(who).namespace.sh("nft delete table inet lab");
    }

    /// From now on what the first node of ams itself asks of the IPv4 address goes over a link of its own to the second, which
    /// answers it; what comes from elsewhere reaches the first as before. The address stays where it is: a rule stands before
    /// the table of those that are the host's own. It strikes with that rule.
    pub fn lead_own_queries_astray(&mut self) {
        let (machine, other) = (self.node(Who::A).namespace.clone(), self.node(Who::B).namespace.clone());
        machine.link("side", &["10.7.0.1/30"], &other, "side", &["10.7.0.2/30"]);
        // The first query over it must neither wait for the link nor for an address of the other end.
        for (one, end, address) in [(&machine, &other, "10.7.0.2"), (&other, &machine, "10.7.0.1")] {
            wait_until("the link is up", || one.sh("ip link show dev side").contains("state UP"));
            let ends = end.sh("ip -o link show dev side | sed 's/.*link.ether \\([0-9a-f:]*\\) .*/\\1/'");
            one.sh(&format!("ip neigh replace {address} lladdr {} dev side", ends.trim()));
        }
        machine.sh("ip route add default via 10.7.0.2 src 10.7.0.1 table 100
            ip rule add pref 10 lookup local
            ip rule del pref 0");
        self.strike();
        machine.sh(&format!("ip rule add pref 5 iif lo to {ANYCAST4} lookup 100"));
    }

    /// Ends that.
    pub fn lead_own_queries_home(&mut self) {
        self.node(Who::A).namespace.sh("ip rule del pref 5");
    }

    /// Asks a query of a POP's own node, from its machine.
    pub fn local_answer(&mut self, who: Who) -> Option<String> {
        let machine = self.node(who).namespace.clone();
        let client = crate::lab::Client::new(&machine);
        client.ask(ANYCAST4, Transport::Udp, "example.com.", hickory_proto::rr::RecordType::SOA)?.nsid
    }

    /// How many files and sockets a process may have open from now on; those that it has stay.
    pub fn limit_descriptors(&mut self, process: u32, most: u32) {
        let machine = self.topology.ams.machine();
        // The soft limit alone: the hard one could not be raised again.
        machine.sh(&format!("prlimit --pid {process} --nofile={most}:"));
    }

    /// Starts something that ends with the lab.
    pub fn helper(&mut self, namespace: &Namespace, name: &str, program: &Path, args: &[&str]) {
        let log = self.topology.workspace.join(&format!("{name}.log"));
        let daemon = namespace.start(name, program, args, &log);
        self.helpers.push(daemon);
    }
}

/// Drops what comes and goes by two rules, in a table of its own, at one moment.
fn drop_packets(namespace: &Namespace, table: &str, coming: &str, going: &str) {
    let chain =
        |hook: &str, rules: &str| format!("chain {hook} {{ type filter hook {hook} priority 0; {rules}; }};");
    let chains =
        [chain("input", coming), chain("forward", &format!("{coming}; {going}")), chain("output", going)];
    namespace.sh(&format!("nft 'table inet {table} {{ {} }}'", chains.concat()));
}

/// Over how many nodes a router spreads its traffic for the IPv4 prefix.
fn gateways(router: &Router) -> usize {
    router.routes.last(PREFIX4).map_or(0, |news| nodes_among(&news))
}
