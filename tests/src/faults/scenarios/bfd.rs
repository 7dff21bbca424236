//! What fails without a word, with BFD on the session: 300 ms, three times, on both sides.

use super::super::expect::{gone, reconnects, returns, wakes};
use super::super::{Expect, FaultLab, Scenario, Who};
use crate::lab::{PREFIX4, PREFIX6, Plan};
use rustix::process::Signal;
use std::time::Duration;

const WHY: &str = "three packets of BFD, 300 ms apart";
const WITHIN: Duration = Duration::from_secs(1);

/// The shipped files, with the lines about BFD in force.
pub fn plan() -> Plan {
    Plan {
        site: vec![("# bfd: {interval: 300ms, multiplier: 3}", "bfd: {interval: 300ms, multiplier: 3}")],
        bird: vec![
            ("# bfd on;", "bfd on;"),
            (
                "function pharos_border()",
                "protocol bfd {
	interface \"node*\" { min rx interval 300 ms; min tx interval 300 ms; idle tx interval 300 ms; multiplier 3; };
}

function pharos_border()",
            ),
        ],
        ..Plan::default()
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "link-silent-bfd",
            "the link to the router loses every packet without going down; BFD is on",
            "the router drops the routes, and the sidecar ends the session, within a second",
        )
        .plan(plan())
        .within(WITHIN, WHY)
        .step(
            "lose everything",
            FaultLab::silence_link,
            vec![
                Expect::Gone(PREFIX4),
                Expect::Gone(PREFIX6),
                Expect::Alarm(Who::A, "neighbour-down", "BFD"),
                Expect::Answered(&["a.fra"]),
            ],
        )
        .step("let it through", FaultLab::restore_link, reconnects()),
        Scenario::new(
            "node-frozen-bfd",
            "both processes of the node hang at once (SIGSTOP), as those of a host that hangs do; BFD is on",
            "the router drops the routes within a second; earned back once they run again",
        )
        .plan(plan())
        .within(WITHIN, WHY)
        .step("SIGSTOP to both", |lab| lab.freeze(Who::A), gone())
        .calm(Duration::from_secs(5))
        .step("SIGCONT to both", |lab| lab.thaw(Who::A), wakes()),
        Scenario::new(
            "sidecar-frozen-bfd",
            "the sidecar hangs (SIGSTOP), the responder answers on; BFD is on",
            "the router drops the routes within a second; earned back once it runs again",
        )
        .plan(plan())
        .within(WITHIN, WHY)
        .step("SIGSTOP", |lab| lab.node(Who::A).sidecar().signal(Signal::STOP), gone())
        .calm(Duration::from_secs(5))
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), wakes()),
        Scenario::new(
            "sidecar-killed-bfd",
            "kill -9 of the sidecar; BFD is on",
            "its sessions close and the routes go with them: nobody waits for BFD",
        )
        .plan(plan())
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step("kill -9", |lab| lab.kill_sidecar(Who::A), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns()),
    ]
}
