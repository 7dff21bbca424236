//! Processes that die, hang and come back: the responder, the sidecar, both, in each state.

use super::super::expect::{DEAD, absent, at_fra, decided, gone, leaves, returns, wakes};
use super::super::{Expect, Loss, Scenario, Who};
use crate::lab::{Edit, PREFIX4, PREFIX6, Plan};
use rustix::process::Signal;
use std::time::Duration;

/// Two failures in a row, 250 ms and a tenth of jitter from one probe to the next, refused at once.
const PROBES: &str = "two probes 250 ms apart, refused at once";
/// The same, but the probe waits 200 ms for an answer.
const SILENT_PROBES: &str = "two probes 250 ms apart, 200 ms each without an answer";
/// The hold time that both sides of the shipped session agree on.
const HOLD: Duration = Duration::from_secs(9);

/// `probe: {interval: 100ms, timeout: 80ms}`.
pub(super) const FAST: [Edit; 2] =
    [("interval: 250ms", "interval: 100ms"), ("timeout: 200ms", "timeout: 80ms")];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "responder-killed",
            "kill -9 of the responder",
            "both families withdrawn at once; earned back after the hold-down",
        )
        .shipped_hold_down()
        .within(Duration::from_secs(1), PROBES)
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "responder-killed-fast-profile",
            "kill -9 of the responder, with `probe: {interval: 100ms, timeout: 80ms}`",
            "both families withdrawn, in less than half of the time",
        )
        .plan(Plan { pharos: FAST.to_vec(), ..Plan::default() })
        .within(Duration::from_millis(350), "two probes 100 ms apart, refused at once")
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "responder-stopped",
            "the responder is stopped in order (SIGTERM) without a drain",
            "withdrawn once UDP has ended, a second after TCP, by which it may be degraded for a moment",
        )
        .within(Duration::from_secs(2), "a second for what has arrived, then two probes 250 ms apart")
        .tolerates("degraded")
        .step("SIGTERM", |lab| lab.node(Who::A).responder().signal(Signal::TERM), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "responder-frozen",
            "the responder hangs (SIGSTOP), its sockets stay open",
            "both families withdrawn; earned back once it runs again",
        )
        .within(Duration::from_secs(1), SILENT_PROBES)
        .step("SIGSTOP", |lab| lab.node(Who::A).responder().signal(Signal::STOP), leaves("no answer within"))
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), returns()),
        Scenario::new(
            "sidecar-killed",
            "kill -9 of the sidecar",
            "its sessions close and the routes go with them; the responder answers on",
        )
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step("kill -9", |lab| lab.kill_sidecar(Who::A), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns()),
        Scenario::new(
            "sidecar-stopped",
            "the sidecar is stopped in order (SIGTERM)",
            "the routes are withdrawn, then the session ends; the responder answers on",
        )
        .within(Duration::from_millis(50), "a withdrawal and a NOTIFICATION")
        .step("SIGTERM", |lab| lab.node(Who::A).sidecar().signal(Signal::TERM), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns()),
        Scenario::new(
            "sidecar-frozen",
            "the sidecar hangs (SIGSTOP); the responder answers on",
            "declared: the routes stay for the hold time, then the router drops them",
        )
        .within(HOLD, "the hold time")
        .step("SIGSTOP", |lab| lab.node(Who::A).sidecar().signal(Signal::STOP), gone())
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), wakes()),
        Scenario::new(
            "node-frozen",
            "both processes of the node hang at once (SIGSTOP)",
            "declared: the routes stay for the hold time, then the router drops them",
        )
        .within(HOLD, "the hold time")
        .step("SIGSTOP to both", |lab| lab.freeze(Who::A), gone())
        .step("SIGCONT to both", |lab| lab.thaw(Who::A), wakes()),
        Scenario::new(
            "both-killed",
            "kill -9 of both processes at once",
            "the routes go with the sidecar's sessions",
        )
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step(
            "kill -9 of both",
            |lab| {
                lab.kill_sidecar(Who::A);
                lab.node(Who::A).responder().kill();
            },
            gone(),
        )
        .step(
            "start both again",
            |lab| {
                lab.node(Who::A).start_sidecar();
                lab.node(Who::A).start_responder();
            },
            returns(),
        ),
        Scenario::new(
            "responders-killed-everywhere-with-anchors",
            "kill -9 of the responder at every POP; anchors cover the prefixes",
            "the prefixes go everywhere, the anchors stay: queries still come to somebody, who answers as soon as he can",
        )
        .plan(anchored())
        .within(Duration::from_secs(1), PROBES)
        .loses(Loss::Any)
        .step(
            "kill -9 of both",
            |lab| {
                lab.kill_responder(Who::A);
                lab.node(Who::Fra).responder().kill();
            },
            [
                decided("withdrawn", DEAD),
                at_fra("withdrawn", DEAD),
                vec![
                    Expect::Gone(PREFIX4),
                    Expect::Gone(PREFIX6),
                    Expect::Transit(PREFIX4, None),
                    Expect::That("the transit network has the anchors, and prefers those of ams", |lab| {
                        ANCHORS.iter().all(|anchor| {
                            let best = lab.topology.transit.route(anchor);
                            best.is_some_and(|route| route.local_preference == 200)
                        })
                    }),
                ],
            ]
            .concat(),
        )
        .calm(Duration::from_secs(2))
        .step("start that of ams", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "sidecar-restarted-while-withdrawn",
            "the sidecar is killed and started again while the responder is dead",
            "nothing is announced until the responder answers",
        )
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "kill -9 of the sidecar, and start",
            |lab| {
                lab.node(Who::A).sidecar().kill();
                lab.node(Who::A).start_sidecar();
            },
            [
                vec![
                    Expect::Logged(Who::A, "session up", "10.0.0.1"),
                    Expect::Logged(Who::A, "signal", DEAD),
                    Expect::Why(Who::A, PREFIX4, DEAD),
                ],
                absent(),
            ]
            .concat(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(5))
        .step("start the responder", |lab| lab.node(Who::A).start_responder(), returns()),
    ]
}

/// Less-specific prefixes that cover the service's.
const ANCHORS: [&str; 2] = ["192.0.2.0/23", "2001:db8:52::/47"];

/// The nodes announce them, and the routers of the POPs take them.
fn anchored() -> Plan {
    Plan {
        pharos: vec![(
            "drain-time: 10s",
            "drain-time: 10s
  anchors: [{prefix: 192.0.2.0/23}, {prefix: \"2001:db8:52::/47\"}]",
        )],
        bird: vec![
            ("PHAROS_PREFIXES4", "[ 192.0.2.0/23, 192.0.2.0/24 ]"),
            ("PHAROS_PREFIXES6", "[ 2001:db8:52::/47, 2001:db8:53::/48 ]"),
        ],
        ..Plan::default()
    }
}
