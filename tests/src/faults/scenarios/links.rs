//! A link that goes down and says so.

use super::super::expect::{decided, gone};
use super::super::{Expect, FaultLab, Scenario, Who};
use crate::lab::{PREFIX4, PREFIX6, wait_until};
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "link-down",
            "the node's interface towards the router goes down; the router's loses its carrier",
            "the router ends the session and drops the routes at once; the node alarms, degraded for want of a way out, and is \
             back with the link",
        )
        .within(Duration::from_millis(100), "the router's kernel tells its daemon of the carrier")
        .step("ip link set down", down, gone())
        .step("what the node sees", |_| {}, {
            let alarms = [
                Expect::Alarm(Who::A, "neighbour-down", ""),
                Expect::That("there is an alarm of the default route", |lab| {
                    lab.node(Who::A).alarms().iter().any(|kind| kind == "default-route")
                }),
            ];
            [decided("degraded", "default route"), alarms.to_vec()].concat()
        })
        .step("ip link set up", up, {
            let rest = [
                Expect::AlarmOver(Who::A, "default-route"),
                Expect::AlarmOver(Who::A, "neighbour-down"),
                Expect::Back(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Preference(PREFIX4, 100),
                Expect::Preference(PREFIX6, 100),
                Expect::Answered(&["a.ams"]),
            ];
            [decided("normal", ""), rest.to_vec()].concat()
        }),
    ]
}

fn down(lab: &mut FaultLab) {
    let machine = lab.node(Who::A).namespace.clone();
    // As network managers do: IPv6 addresses that people have set outlast the interface, as those of IPv4 do.
    machine.sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down");
    lab.strike();
    machine.sh("ip link set eth0 down");
}

/// With the routes that went with it, which a network manager would set again.
fn up(lab: &mut FaultLab) {
    let machine = lab.node(Who::A).namespace.clone();
    machine.sh("ip link set eth0 up; ip route add default via 10.0.0.1");
    // The kernel has the network of IPv6 a moment later.
    wait_until("the way out by IPv6 is there again", || {
        let mut route = machine.command("ip");
        let output = route.args(["-6", "route", "replace", "default", "via", "fd00::1"]).output();
        output.expect("iproute2 is installed").status.success()
    });
}
