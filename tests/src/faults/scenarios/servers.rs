//! NSD, Knot and BIND answer at ams, and the sidecar watches them from outside.

use super::super::expect::{DEAD, leaves, returns};
use super::super::{FaultLab, Scenario, Who};
use crate::lab::{Plan, Server};
use pharos_testkit::peers::Peer;
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    [
        of(Peer::Nsd, ["nsd-killed", "nsd-frozen"]),
        of(Peer::Knot, ["knot-killed", "knot-frozen"]),
        of(Peer::Bind, ["bind-killed", "bind-frozen"]),
    ]
    .concat()
}

fn of(peer: Peer, [killed, frozen]: [&'static str; 2]) -> Vec<Scenario> {
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
    ]
}

fn signal(lab: &mut FaultLab, signal: Signal) {
    lab.node(Who::A).responder().signal_all(signal);
}
