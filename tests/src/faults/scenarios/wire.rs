//! What the probe by way of the router sees and the one over loopback cannot. The POPs are joined by a backbone, so that
//! a node which asks for less gets less; but for those with two nodes behind one router.

use super::super::expect::decided;
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::{QUIET_MOST, QUIET_WHY, UPDATE, UPDATE_WHY};
use crate::lab::{ANYCAST4, Backbone, Edit, PREFIX4, PREFIX6, Plan};
use std::time::Duration;

pub(super) const WITHIN: Duration = Duration::from_millis(16_500);
const WHY: &str = "five rounds a second apart, the last of which waits half a second, a grace of ten seconds, and the one \
                   before any lower level, 750 ms";

/// The settings, in the place of a sample that the shipped file has.
const WIRE: Edit = ("# xdp: [{interface: eth0}]", "wire: {interface: eth0}");

pub(super) fn all() -> Vec<Scenario> {
    vec![
        lab(
            "wire-path-dead",
            "queries that come by the network card are lost before the host's IP stack; loopback works, and so does the \
             session with the router",
            "the wire probe alone sees it: an alarm, then degraded, and the router sends clients to the other POP; mended, \
             it is tried half a minute later",
        )
        .within(WITHIN, WHY)
        .step("lose what comes for port 53", lose_queries, degraded("no answer by way of eth0"))
        .step("let it through", find_queries, well_again()),
        lab(
            "wire-path-dead-for-good",
            "the same, and nobody mends it",
            "after half a minute at which it could not be seen whether it is still so it is tried at level normal, and \
             degraded again; the next trial takes twice as long to come",
        )
        .within(WITHIN, WHY)
        .step("lose what comes for port 53", lose_queries, degraded("no answer by way of eth0"))
        .step("wait", |_| {}, {
            let mut list = decided("normal", "");
            list.extend(decided("degraded", "no answer by way of eth0"));
            list
        })
        .calm(Duration::from_secs(20)),
        lab(
            "wire-return-broken",
            "the node's way back to its clients leads to a router that is not there: queries arrive, no reply gets out",
            "the same, by the same signal: there is a default route, so that nothing else can tell",
        )
        .within(WITHIN, WHY)
        .step(
            "lead it nowhere",
            |lab| lead_default_routes(lab, "10.0.0.99", "fd00::99"),
            degraded("by way of eth0"),
        )
        .step("lead it to the router", |lab| lead_default_routes(lab, "10.0.0.1", "fd00::1"), well_again()),
        lab(
            "wire-while-drained",
            "a drain, after which the router sends what comes for the prefix to the other POP for a while",
            "that nobody answers by way of the router meanwhile is no fault of the node: it comes back at level normal",
        )
        .within(QUIET_MOST, QUIET_WHY)
        .loses(Loss::Nothing)
        .step(
            "drain",
            |lab| {
                lab.pharos(Who::A, &["drain", "--text", "lab"]);
            },
            {
                let mut list = decided("draining", "");
                list.extend(decided("withdrawn", ""));
                list.extend([Expect::Gone(PREFIX4), Expect::Gone(PREFIX6), Expect::Answered(&["a.fra"])]);
                list
            },
        )
        .calm(Duration::from_secs(20))
        .step(
            "undrain",
            |lab| {
                assert!(has_no_wire_alarm(lab), "drained, it is not meant by what others answer");
                lab.strike();
                lab.pharos(Who::A, &["undrain"]);
            },
            {
                let mut list = decided("normal", "");
                list.extend([
                    Expect::Preference(PREFIX4, 100),
                    Expect::Preference(PREFIX6, 100),
                    Expect::Answered(&["a.ams"]),
                ]);
                list
            },
        )
        .between(Duration::ZERO, UPDATE, UPDATE_WHY)
        .calm(Duration::from_secs(18))
        .step("look", |_| {}, vec![Expect::That("the wire probe has no alarm", has_no_wire_alarm)]),
        another(),
    ]
}

fn another() -> Scenario {
    lab(
        "wire-answered-by-another",
        "the router of two nodes gets a route of its own for the IPv4 address, which leads to the second node alone",
        "an alarm at the first with the other's name, and IPv4 degraded there; IPv6 stays, and no client loses an answer",
    )
    .plan(Plan { ams_nodes: 2, site: vec![WIRE], ..Plan::default() })
    .within(WITHIN, WHY)
    .loses(Loss::Connections)
    .step("ip route add", |lab| router(lab, &format!("ip route add {ANYCAST4}/32 via 10.0.1.2")), {
        let words = "NSID says b.ams, this node is a.ams";
        vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "degraded", because: words },
            Expect::Alarm(Who::A, "wire", words),
            Expect::Preference(PREFIX4, 80),
            Expect::Preference(PREFIX6, 100),
            Expect::Why(Who::A, PREFIX4, words),
            Expect::That("the probes over loopback are good", is_good_inside),
            Expect::Answered(&["a.ams", "b.ams"]),
        ]
    })
    .step("ip route del", |lab| router(lab, &format!("ip route del {ANYCAST4}/32")), {
        vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
            Expect::Preference(PREFIX4, 100),
            Expect::AlarmOver(Who::A, "wire"),
            Expect::Answered(&["a.ams", "b.ams"]),
        ]
    })
}

pub(super) fn lab(name: &'static str, fault: &'static str, reaction: &'static str) -> Scenario {
    Scenario::new(name, fault, reaction)
        .plan(Plan { site: vec![WIRE], backbone: Backbone::Ibgp, ..Plan::default() })
        .prepared(accept_local)
}

/// What docs/operation.md asks of a node whose wire is probed.
pub(super) fn accept_local(lab: &mut FaultLab) {
    for node in lab.nodes() {
        node.namespace.sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/accept_local");
    }
}

pub(super) fn router(lab: &mut FaultLab, command: &str) {
    lab.ams().router().namespace.sh(command);
}

fn lose_queries(lab: &mut FaultLab) {
    lab.node(Who::A)
        .namespace
        .sh("nft 'table netdev lab { chain in { type filter hook ingress device \"eth0\" priority 0;
            meta l4proto { tcp, udp } th dport 53 drop; }; }'");
}

fn find_queries(lab: &mut FaultLab) {
    lab.node(Who::A).namespace.sh("nft delete table netdev lab");
}

fn lead_default_routes(lab: &mut FaultLab, v4: &str, v6: &str) {
    lab.node(Who::A)
        .namespace
        .sh(&format!("ip route replace default via {v4} dev eth0 onlink; ip -6 route replace default via {v6} dev eth0 onlink"));
}

/// The wire probe alone is bad, both prefixes are less preferred, and clients with the other POP.
pub(super) fn degraded(because: &'static str) -> Vec<Expect> {
    let mut list = decided("degraded", because);
    list.extend([
        Expect::Alarm(Who::A, "wire", because),
        Expect::Preference(PREFIX4, 80),
        Expect::Preference(PREFIX6, 80),
        Expect::That("the probes over loopback are good", is_good_inside),
        Expect::Answered(&["a.fra"]),
    ]);
    list
}

pub(super) fn well_again() -> Vec<Expect> {
    let mut list = decided("normal", "");
    list.extend([
        Expect::Preference(PREFIX4, 100),
        Expect::Preference(PREFIX6, 100),
        Expect::AlarmOver(Who::A, "wire"),
        Expect::Answered(&["a.ams"]),
    ]);
    list
}

fn has_no_wire_alarm(lab: &mut FaultLab) -> bool {
    !lab.node(Who::A).alarms().iter().any(|kind| kind == "wire")
}

fn is_good_inside(lab: &mut FaultLab) -> bool {
    is_healthy(lab, "UDP probe", 2) && is_healthy(lab, "TCP probe", 2)
}

/// Whether so many signals of the first node have these words in their names, and all of them are good.
pub(super) fn is_healthy(lab: &mut FaultLab, words: &str, count: usize) -> bool {
    let status = lab.node(Who::A).sidecar_status().unwrap_or_default();
    let text = |signal: &serde_json::Value, key: &str| {
        signal.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let signals = status.get("signals").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let named: Vec<_> = signals.iter().filter(|signal| text(signal, "name").contains(words)).collect();
    named.len() == count && named.iter().all(|signal| text(signal, "health") == "good")
}
