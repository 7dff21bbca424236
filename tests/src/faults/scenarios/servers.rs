//! NSD, Knot and BIND answer at ams, and the sidecar watches them from outside.

use super::super::expect::{DEAD, leaves, returns};
use super::super::{FaultLab, Scenario, Who};
use crate::lab::{Plan, Server};
use pharos_testkit::peers::Peer;
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    [
        of(Peer::Nsd, ["nsd-killed", "nsd-frozen", "nsd-flooded"]),
        of(Peer::Knot, ["knot-killed", "knot-frozen", "knot-flooded"]),
        of(Peer::Bind, ["bind-killed", "bind-frozen", "bind-flooded"]),
    ]
    .concat()
}

fn of(peer: Peer, [killed, frozen, flooded]: [&'static str; 3]) -> Vec<Scenario> {
    let plan = || Plan { server: Server::Other(peer), ..Plan::default() };
    let probed = Duration::from_secs(1);
    vec![
        Scenario::new(
            killed,
            "another server in the responder's place: kill -9 of it",
            "as with ours: both families withdrawn",
        )
        .plan(plan())
        .within(probed, "two probes 250 ms apart, refused at once")
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            frozen,
            "it hangs (SIGSTOP), its sockets stay open",
            "as with ours: nobody is answered, so no flood explains it",
        )
        .plan(plan())
        .within(probed, "two probes 250 ms apart, 200 ms each without an answer")
        .step("SIGSTOP", |lab| signal(lab, Signal::STOP), leaves("no answer within"))
        .step("SIGCONT", |lab| signal(lab, Signal::CONT), returns()),
        Scenario::new(
            flooded,
            "far more queries than it can answer, for names that do not exist",
            "an alarm, by what the host counts alone; it absorbs what it can, and no route moves",
        )
        .plan(plan())
        .flooded()
        .within(
            Duration::from_secs(10),
            "what the host counts is read from the first probe on that is lost in the flood",
        ),
    ]
}

fn signal(lab: &mut FaultLab, signal: Signal) {
    lab.node(Who::A).responder().signal_all(signal);
}
