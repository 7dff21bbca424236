//! The wire probe: what it sees that the inner probe cannot, on a node and a router in network namespaces of their own.
//!
//! The node is the namespace that a test runs in; the router is that of a process which only sleeps, and which goes
//! with the test. Without the right to make namespaces the tests leave themselves out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Collector, FakeResponder, Running, V4, V6, active, config, in_namespace, ip, until};
use pharos_netio::xdp::{Attachment, Options};
use pharos_netio::{Batch, Came, Inbox, MAX_SLOTS};
use pharos_policy::explain::Verdict;
use pharos_sidecar::WireConfig;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

const ANYCAST: &str = "192.0.2.53";
const ANYCAST6: &str = "2001:db8:53::53";

fn allow(setting: &str) {
    std::fs::write(format!("/proc/sys/net/{setting}"), "1").unwrap();
}

/// The router: a process that sleeps in a namespace of its own.
struct Router(Child);

impl Router {
    fn start() -> Self {
        let child = Command::new("unshare").args(["--net", "sleep", "3600"]).spawn().unwrap();
        let router = Self(child);
        let of = |pid: String| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        until("the router has its namespace", || {
            let theirs = of(router.0.id().to_string())?;
            // `unshare` has become `sleep` only when it is done.
            let name = std::fs::read_to_string(format!("/proc/{}/comm", router.0.id())).ok()?;
            (name.trim() == "sleep" && Some(theirs) != of("self".into())).then_some(())
        });
        router
    }

    fn run(&self, command: &str) -> Command {
        let mut all = Command::new("nsenter");
        all.args(["-t", &self.0.id().to_string(), "-n", "--"]).args(command.split(' '));
        all
    }

    fn does(&self, command: &str) {
        assert!(self.run(command).status().unwrap().success(), "{command}");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node that is well and asked by way of its router, which has routes for its prefixes.
struct Site {
    sidecar: Running,
    neighbour: Collector,
    router: Router,
    responder: FakeResponder,
    _other_family: FakeResponder,
}

impl Site {
    fn start(change: impl FnOnce(&mut WireConfig)) -> Self {
        let router = Router::start();
        for arguments in [
            "link set lo up",
            "link add wire0 type veth peer name port0",
            &format!("link set port0 netns {}", router.0.id()),
            "link set wire0 up",
            "address add 10.0.0.2/24 dev wire0",
            "address add fd00::2/64 dev wire0 nodad",
            &format!("address add {ANYCAST}/32 dev lo"),
            &format!("address add {ANYCAST6}/128 dev lo nodad"),
        ] {
            ip(arguments);
        }
        for command in [
            "ip link set lo up",
            "ip link set port0 up",
            "ip address add 10.0.0.1/24 dev port0",
            "ip address add fd00::1/64 dev port0 nodad",
            "ip route add 192.0.2.0/24 via 10.0.0.2",
            "ip route add 2001:db8:53::/48 via fd00::2",
            "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        ] {
            router.does(command);
        }
        ip("route add default via 10.0.0.1");
        ip("route add default via fd00::1");
        let responder = FakeResponder::start(ANYCAST.parse().unwrap()).unwrap();
        let other = FakeResponder::start(ANYCAST6.parse().unwrap()).unwrap();
        let neighbour = Collector::passive();
        let addresses = vec![responder.address, other.address];
        let mut settings = config(&[V4, V6], addresses, vec![active(neighbour.address)]);
        let mut wire = WireConfig {
            interface: "wire0".into(),
            interval: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            siblings: Vec::new(),
            trial: WireConfig::TRIAL,
        };
        change(&mut wire);
        settings.wire = Some(wire);
        let sidecar = Running::start(settings);
        neighbour.until_known(V4);
        Self { sidecar, neighbour, router, responder, _other_family: other }
    }

    fn health(&self, name: &str) -> (Option<Verdict>, String) {
        let signals = self.sidecar.0.status().signals;
        let signal = signals.into_iter().find(|signal| signal.name.contains(name));
        signal.map_or((None, String::new()), |signal| (Some(signal.health), signal.last))
    }

    fn until(&self, name: &str, wanted: Verdict) {
        let what = format!("{name} is {wanted}");
        until(&what, || (self.health(name).0 == Some(wanted)).then_some(()));
    }

    /// Waits until the wire probe fails, and sees that the inner probe does not and the route stays.
    fn until_only_the_wire_fails(&self, why: &str) {
        self.until(&format!("wire probe of {ANYCAST}"), Verdict::Bad);
        assert_eq!(self.health(&format!("UDP probe of {ANYCAST}")).0, Some(Verdict::Good));
        assert!(self.neighbour.knows(V4).is_some(), "it never withdraws");
        let alarms = self.sidecar.alarms();
        let ours = |alarm: &&String| alarm.contains("wire probe") && alarm.contains(why);
        assert!(alarms.iter().any(|alarm| ours(&alarm)), "{why} is not in {alarms:?}");
    }
}

fn well() -> Site {
    allow("ipv4/conf/all/accept_local");
    let site = Site::start(|_| {});
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
    site
}

#[test]
fn a_node_that_is_well_is_answered_by_way_of_its_router_in_both_families() {
    in_namespace("inside_both_families");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_both_families() {
    let site = well();
    site.until(&format!("wire probe of [{ANYCAST6}]"), Verdict::Good);
    let (_, last) = site.health(&format!("wire probe of {ANYCAST}"));
    assert_eq!(last, "answered by way of wire0");
}

#[test]
fn a_dead_path_is_seen_and_lowers_the_preference_after_its_grace() {
    in_namespace("inside_dead_path");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_dead_path() {
    let site = well();
    site.router.does("ip link set port0 down");
    site.until_only_the_wire_fails("by way of wire0");
    site.sidecar.until_level(V4, "degraded");
    assert!(site.sidecar.reasons(V4).contains("wire probe"), "{}", site.sidecar.reasons(V4));
    site.router.does("ip link set port0 up");
    // It went with the link.
    site.router.does("ip route add 192.0.2.0/24 via 10.0.0.2");
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
    site.sidecar.until_level(V4, "normal");
}

#[test]
fn a_queue_of_af_xdp_that_swallows_queries_is_seen() {
    in_namespace("inside_wedged_queue");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_wedged_queue() {
    let site = well();
    let stop = Arc::new(AtomicBool::new(false));
    let mut options = Options::new("wire0");
    options.queues = NonZeroU32::new(1);
    let target: SocketAddr = site.responder.address;
    let (_attachment, queues) = match Attachment::open(&options, &[target], |_| Arc::default()) {
        Ok(opened) => opened,
        Err(error) => {
            let why = format!("AF_XDP cannot be used: {error}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
            println!("skipped: {why}");
            return;
        }
    };
    let ended = Arc::clone(&stop);
    // It turns, so that its heart beats and the kernel does not take the packets back, and answers nothing.
    let wedged = std::thread::spawn(move || {
        let mut inbox = Inbox::new(Vec::new(), Duration::from_millis(50)).unwrap();
        inbox.set_queues(queues).unwrap();
        let mut batch = Batch::new(MAX_SLOTS, 4096, 4096);
        while !ended.load(Ordering::Relaxed) {
            if let Ok(Some(Came::Queue(queue))) = inbox.receive(&mut batch) {
                queue.send();
            }
        }
    });
    site.until_only_the_wire_fails("no answer by way of wire0");
    stop.store(true, Ordering::Relaxed);
    wedged.join().unwrap();
}

#[test]
fn a_route_back_to_the_clients_that_leads_nowhere_is_seen() {
    in_namespace("inside_broken_return");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_broken_return() {
    let site = well();
    ip("route replace default via 10.0.0.9");
    site.until_only_the_wire_fails("by way of wire0");
    ip("route replace default via 10.0.0.1");
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
    ip("route del default");
    site.until_only_the_wire_fails("by way of wire0");
}

#[test]
fn another_node_that_the_router_prefers_is_seen_and_a_sibling_is_none() {
    in_namespace("inside_another_node");
    in_namespace("inside_sibling");
}

fn prefer_another(site: &Site) -> Child {
    let mut other = site.router.run("env");
    other.arg(format!("PHAROS_TEST_STRANGER={}", site.responder.address));
    other.arg(std::env::current_exe().unwrap());
    other.args(["--exact", "inside_stranger", "--ignored", "--nocapture"]).stdout(Stdio::null());
    site.router.does(&format!("ip address add {ANYCAST}/32 dev lo"));
    other.spawn().unwrap()
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_another_node() {
    let site = well();
    let mut other = prefer_another(&site);
    site.until_only_the_wire_fails("");
    until("the other's name is told", || {
        let (_, last) = site.health(&format!("wire probe of {ANYCAST}"));
        last.contains("NSID says b.ams, this node is a.ams").then_some(())
    });
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_sibling() {
    allow("ipv4/conf/all/accept_local");
    let site = Site::start(|wire| wire.siblings.push("b.ams".into()));
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
    let mut other = prefer_another(&site);
    // What only siblings answer is nothing seen, and after a while nothing known.
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Unknown);
    site.sidecar.until_level(V4, "normal");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn what_others_answer_for_a_drained_node_is_no_fault_of_it() {
    in_namespace("inside_drained");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_drained() {
    let site = well();
    site.sidecar.0.drain("new disks", "ada", None, None).unwrap();
    site.sidecar.until_level(V4, "withdrawn");
    let mut other = prefer_another(&site);
    // It is seen no more, and in the end forgotten.
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Unknown);
    let alarms = site.sidecar.alarms();
    assert!(!alarms.iter().any(|alarm| alarm.contains("wire probe")), "{alarms:?}");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_node_that_only_a_trial_can_show_well_is_tried() {
    in_namespace("inside_trial");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_trial() {
    allow("ipv4/conf/all/accept_local");
    let site = Site::start(|wire| wire.trial = Duration::from_millis(200));
    let wire = format!("wire probe of {ANYCAST}");
    site.until(&wire, Verdict::Good);
    let mut other = prefer_another(&site);
    site.sidecar.until_level(V4, "degraded");
    // The router may prefer the other because it was asked to: so the node asks for all again, and the path is seen to
    // be as bad as it was.
    site.until(&wire, Verdict::Warned);
    assert!(site.health(&wire).1.contains("is tried at level normal"), "{:?}", site.health(&wire));
    site.sidecar.until_level(V4, "normal");
    site.until(&wire, Verdict::Bad);
    site.sidecar.until_level(V4, "degraded");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_queue_that_swallows_a_share_of_the_flows_is_seen() {
    in_namespace("inside_share");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_share() {
    let site = well();
    // A network card spreads flows by a hash of their ports; this one, so to speak, by whether they are high or low.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 49999").unwrap();
    site.router.does("ip rule add pref 10 iif port0 ipproto udp sport 40000-44999 blackhole");
    site.until_only_the_wire_fails("no answer by way of wire0");
    site.router.does("ip rule del pref 10");
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
}

#[test]
fn a_process_without_any_privilege_asks_by_way_of_the_router() {
    in_namespace("inside_unprivileged");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_unprivileged() {
    allow("ipv4/conf/all/accept_local");
    // Threads have the privileges of the thread that started them.
    let site = Site::start(|_| give_up_privileges());
    let bound = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 1));
    assert_eq!(bound.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied, "no privilege is left");
    site.until(&format!("wire probe of {ANYCAST}"), Verdict::Good);
    site.until(&format!("wire probe of [{ANYCAST6}]"), Verdict::Good);
}

fn give_up_privileges() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).unwrap();
}

/// Answers on the address that the environment names until it is killed.
#[test]
#[ignore = "other tests run it in the router's namespace"]
fn inside_stranger() {
    let address = std::env::var("PHAROS_TEST_STRANGER").unwrap().parse().unwrap();
    let _stranger = FakeResponder::stranger(address, "b.ams");
    loop {
        std::thread::park();
    }
}

#[test]
fn what_keeps_the_wire_probe_from_looking_is_told_and_asks_for_nothing() {
    in_namespace("inside_obstacles");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_obstacles() {
    let site = Site::start(|_| {});
    let wire = format!("wire probe of {ANYCAST}");
    site.until(&wire, Verdict::Warned);
    assert!(site.health(&wire).1.contains("net.ipv4.conf.wire0.accept_local"), "{:?}", site.health(&wire));
    allow("ipv4/conf/wire0/accept_local");
    site.until(&wire, Verdict::Good);
    // On the very interface the query never leaves the host.
    ip(&format!("address add {ANYCAST}/32 dev wire0"));
    ip(&format!("address del {ANYCAST}/32 dev lo"));
    site.until(&wire, Verdict::Warned);
    assert!(site.health(&wire).1.contains("do not leave this host"), "{:?}", site.health(&wire));
    site.sidecar.until_level(V4, "normal");
}
