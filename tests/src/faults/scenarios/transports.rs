//! Half of the service: one transport, one family, the address, the answer of somebody else.
//!
//! Clients ask as much over TCP as over UDP, and each over both families: 10,400 queries a second.

use super::super::expect::{leaves, normal_again, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::network::pair;
use crate::lab::{Backbone, PREFIX4, PREFIX6, Plan};
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    halves().into_iter().map(Scenario::asked_by_streams).collect()
}

fn halves() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "udp-dead",
            "the service's UDP port is silent, TCP answers",
            "withdrawn: what nearly all clients use is gone",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, 200 ms each without an answer")
        .step("drop UDP 53", |lab| lab.filter(Who::A, "udp dport 53 drop"), leaves("UDP probe"))
        .step("let it through", |lab| lab.unfilter(Who::A), returns()),
        Scenario::new(
            "tcp-dead",
            "the service's TCP port refuses, UDP answers",
            "degraded after the grace: still announced, and less preferred",
        )
        .within(Duration::from_secs(2), "two probes 250 ms apart and a grace of one second")
        .loses(Loss::Connections)
        .step("reject TCP 53", |lab| lab.filter(Who::A, "tcp dport 53 reject with tcp reset"), degraded())
        .calm(Duration::from_secs(2))
        .step("let it through", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "ipv6-dead",
            "only the IPv6 address is silent",
            "IPv6 withdrawn alone; IPv4 stays as it is",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, 200 ms each without an answer")
        .step("drop what comes for the IPv6 address", |lab| lab.filter(Who::A, "ip6 daddr 2001:db8:53::53 drop"), vec![
            Expect::Level { who: Who::A, prefix: PREFIX6, level: "withdrawn", because: "2001:db8:53::53" },
            Expect::Gone(PREFIX6),
            Expect::Back(PREFIX4),
            Expect::Answered(&["a.ams", "a.fra"]),
        ])
        .calm(Duration::from_secs(1))
        .step("let it through", |lab| lab.unfilter(Who::A), vec![
            Expect::Level { who: Who::A, prefix: PREFIX6, level: "normal", because: "" },
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams"]),
        ]),
        Scenario::new(
            "tcp-dead-on-a-backbone",
            "the service's TCP port refuses, and the POPs are joined by a backbone with IBGP",
            "degraded: the router prefers the other POP, and clients go there while the route stands",
        )
        .plan(Plan { backbone: Backbone::Ibgp, ..Plan::default() })
        .within(Duration::from_secs(2), "two probes 250 ms apart and a grace of one second")
        .step("reject TCP 53", |lab| lab.filter(Who::A, "tcp dport 53 reject with tcp reset"), {
            let mut list = degraded();
            list.push(Expect::Answered(&["a.fra"]));
            list
        })
        .step("let it through", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "another-node-answers",
            "what one of two nodes asks of its own IPv4 address is led to the other, which answers; the address stays on it, and \
             clients reach it as before",
            "IPv4 withdrawn there, since another node's NSID says so, and it stays so while a stranger answers in its place; IPv6 \
             stays as it is, and no query over UDP is lost",
        )
        .plan(pair())
        .within(
            Duration::from_millis(600),
            "two probes 250 ms and a twentieth of jitter apart, answered at once, and one UPDATE",
        )
        .loses(Loss::Connections)
        .step("ip rule add", FaultLab::lead_own_queries_astray, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "withdrawn", because: STRANGER },
            Expect::Spread(PREFIX4, 1),
            Expect::Spread(PREFIX6, 2),
            Expect::Why(Who::A, PREFIX4, STRANGER),
            Expect::That("the address is on it, and no alarm says otherwise", |lab| {
                let alarms = lab.node(Who::A).alarms();
                let addresses = lab.node(Who::A).namespace.sh("ip address show dev lo");
                addresses.contains("192.0.2.53/32") && !alarms.iter().any(|kind| kind == "address")
            }),
            Expect::Answered(&["a.ams", "b.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .step("ip rule del", FaultLab::lead_own_queries_home, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams", "b.ams"]),
        ]),
        Scenario::new(
            "address-removed-at-one-of-two",
            "the anycast IPv4 address is taken off one of two nodes; by the router, the other answers its probes",
            "IPv4 withdrawn there at once; the reason names the other node once its probes have met it",
        )
        .plan(pair())
        .within(Duration::from_millis(500), "the host's addresses are looked at four times a second")
        .step("ip address del", |lab| {
            let machine = lab.node(Who::A).namespace.clone();
            machine.sh("ip address del 192.0.2.53/32 dev lo");
        }, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "withdrawn", because: "192.0.2.53" },
            Expect::Spread(PREFIX4, 1),
            Expect::Why(Who::A, PREFIX4, STRANGER),
            Expect::Answered(&["a.ams", "b.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .step("ip address add", |lab| {
            let machine = lab.node(Who::A).namespace.clone();
            machine.sh("ip address add 192.0.2.53/32 dev lo");
        }, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
            Expect::Back(PREFIX4),
            Expect::Answered(&["a.ams", "b.ams"]),
        ]),
    ]
}

/// What a probe says of another node that answers in the place of the first.
const STRANGER: &str = "NSID says b.ams, this node is a.ams";

/// Both prefixes degraded and told so to the router; clients stay, since ams is the only one who is asked first.
fn degraded() -> Vec<Expect> {
    let mut list = preferred("degraded", "TCP", 80);
    list.extend([Expect::Community(PREFIX4, "64512:101"), Expect::Why(Who::A, PREFIX4, "TCP")]);
    list
}
