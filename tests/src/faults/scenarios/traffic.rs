//! Real traffic that does not do what the levels ask for: it stays, or it does not come. Both are alarms, and no more.
//!
//! The patience of five minutes is ten seconds here.

use super::super::expect::{normal_again, preferred, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::handover::{force_degraded, release};
use super::{UPDATE, UPDATE_WHY};
use crate::lab::{Backbone, Edit, PREFIX4, PREFIX6, Plan};
use std::time::Duration;

/// A router whose policy prefers its own nodes, whatever they say of themselves: neither their communities nor what they
/// prepend counts.
pub(super) const DEAF: Edit = (
    "pharos_level();",
    "bgp_local_pref = 150; bgp_path.delete(PHAROS_NODE_AS); bgp_path.prepend(PHAROS_NODE_AS);",
);

const PATIENCE: Edit = ("drain-time: 10s", "drain-time: 10s\n  patience: 10s");

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "preference-ignored",
            "a node is degraded, and its router ignores the community",
            "an alarm once the patience is over; the node stays degraded, announced, and answering",
        )
        .plan(Plan { backbone: Backbone::Ibgp, bird: vec![DEAF], pharos: vec![PATIENCE], ..Plan::default() })
        .within(UPDATE, UPDATE_WHY)
        .loses(Loss::Nothing)
        .step(
            "`pharos force all degraded`",
            force_degraded,
            [still("degraded"), vec![Expect::Community(PREFIX4, "64512:101")]].concat(),
        )
        .step(
            "the patience is over",
            |_| {},
            {
                let alarm = Expect::Alarm(Who::A, "preference-ignored", "as if nobody had been told");
                [stays(), vec![alarm, Expect::Followed(Who::A, PREFIX4, "no")]].concat()
            },
        )
        .between_from_the_fault(
            Duration::from_secs(10),
            Duration::from_secs(13),
            "a patience of ten seconds, and the status is fetched once a second",
        )
        .calm(Duration::from_secs(3))
        .step(
            "`pharos release`",
            release,
            [still("normal"), vec![Expect::AlarmOver(Who::A, "preference-ignored")]].concat(),
        ),
        Scenario::new(
            "preference-heard",
            "the same, and the router obeys",
            "clients go over the backbone to the other POP, and there is no alarm of `preference-ignored`",
        )
        .plan(Plan { backbone: Backbone::Ibgp, pharos: vec![PATIENCE], ..Plan::default() })
        .within(Duration::from_millis(500), "one UPDATE")
        .loses(Loss::Nothing)
        .step(
            "`pharos force all degraded`",
            force_degraded,
            [
                preferred("degraded", "lab", 80),
                vec![Expect::Answered(&["a.fra"]), Expect::Followed(Who::A, PREFIX4, "yes")],
            ]
            .concat(),
        )
        .calm(Duration::from_secs(13))
        .step(
            "`pharos release`",
            |lab| {
                let ignored = lab.node(Who::A).alarms().iter().any(|alarm| alarm == "preference-ignored");
                assert!(!ignored, "nobody ignores anything here");
                release(lab);
            },
            normal_again(),
        ),
        Scenario::new(
            "traffic-gone",
            "a transit network sends everything to the other POP, though the node is announced at level normal",
            "an alarm once the patience is over; the route stays",
        )
        .plan(Plan { pharos: vec![PATIENCE], ..Plan::default() })
        .within(
            Duration::from_secs(16),
            "three readings of the status, a second apart, and a patience of ten seconds",
        )
        .loses(Loss::Nothing)
        .step(
            "another route at the transit network",
            |lab| pin_transit(lab, "10.2.0.2", "fd00:2::2"),
            vec![
                Expect::Alarm(Who::A, "traffic", "announced at level normal, yet"),
                Expect::Back(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Answered(&["a.fra"]),
            ],
        )
        .calm(Duration::from_secs(3))
        .step(
            "that route goes",
            unpin_transit,
            [stays(), vec![Expect::AlarmOver(Who::A, "traffic")]].concat(),
        ),
    ]
}

/// The first node of ams decides on this level, and its deaf router and the clients stay with it.
fn still(level: &'static str) -> Vec<Expect> {
    [preferred(level, "", 150), vec![Expect::Answered(&["a.ams"])]].concat()
}

/// The transit network sends the service's addresses to this router, whatever it hears.
pub(super) fn pin_transit(lab: &mut FaultLab, router4: &str, router6: &str) {
    lab.topology.transit_namespace.sh(&format!(
        "ip route add 192.0.2.53/32 via {router4}; ip -6 route add 2001:db8:53::53/128 via {router6}"
    ));
}

pub(super) fn unpin_transit(lab: &mut FaultLab) {
    lab.topology.transit_namespace.sh("ip route del 192.0.2.53/32; ip -6 route del 2001:db8:53::53/128");
}
