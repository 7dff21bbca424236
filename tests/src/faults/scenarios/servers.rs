//! NSD, Knot and BIND answer at ams, and the sidecar watches them from outside.

use super::super::expect::{DEAD, leaves, normal_again, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::resources::begin_flood;
use crate::lab::{Busy, Edit, PREFIX4, PREFIX6, Plan, Server};
use pharos_testkit::peers::Peer;
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    let mut all = [
        of(Peer::Nsd, ["nsd-killed", "nsd-frozen", "nsd-flooded"]),
        of(Peer::Knot, ["knot-killed", "knot-frozen", "knot-flooded"]),
        of(Peer::Bind, ["bind-killed", "bind-frozen", "bind-flooded"]),
    ]
    .concat();
    all.extend([zone_lost(), frozen_beside_a_busy_one()]);
    all
}

/// A required zone that only clients of that zone miss.
fn zone_lost() -> Scenario {
    const TWO: Edit = ("required: [example.com]", "required: [example.com, example]");
    Scenario::new(
        "nsd-zone-lost",
        "a syntax error is pushed for one of two required zones: NSD answers SERVFAIL for it, and goes on with the other",
        "last resort, and no withdrawal: what spoils a zone may spoil it at all POPs; normal again when it is mended",
    )
    .plan(Plan { server: Server::Other(Peer::Nsd), pharos: vec![TWO], ..Plan::default() })
    .within(
        Duration::from_secs(3),
        "a second of NSD's reload, two probes of the zone 250 ms apart, and the grace before any lower level, 750 ms",
    )
    .loses(Loss::Nothing)
    .step("push and SIGHUP", |lab| push_example(lab, |good| good.replace("IN SOA", "IN SOA SOA")), {
        let mut list = preferred("last-resort", "SERVFAIL", 40);
        list.extend([Expect::Back(PREFIX4), Expect::Back(PREFIX6)]);
        list
    })
    .calm(Duration::from_secs(5))
    .step("a good push", |lab| push_example(lab, |bad| bad.replace("IN SOA SOA", "IN SOA")), normal_again())
}

/// Its queue runs over as in a flood, and somebody takes and sends datagrams.
fn frozen_beside_a_busy_one() -> Scenario {
    Scenario::new(
        "nsd-frozen-beside-a-busy-server",
        "in a flood it hangs (SIGSTOP), while another server of its machine takes and sends some thousand datagrams a second",
        "what comes to it is read by nobody, so that the flood explains nothing any more: withdrawn as soon as that is seen",
    )
    .plan(Plan { server: Server::Other(Peer::Nsd), ..Plan::default() })
    .alone()
    .within(
        Duration::from_secs(6),
        "its queue is looked at for 3 s, then what the host counts has to be heard three times more, once a second at least",
    )
    .loses(Loss::Any)
    .step(
        "the flood and the other server",
        |lab| {
            let machine = lab.node(Who::A).namespace.clone();
            lab.busy = Some(Busy::start(&machine));
            begin_flood(lab);
        },
        vec![Expect::Alarm(Who::A, "overload", "")],
    )
    .step("SIGSTOP", |lab| signal(lab, Signal::STOP), leaves("no answer within"))
    .is_the_fault()
    .step(
        "the flood ends, and SIGCONT",
        |lab| {
            lab.helpers.clear();
            lab.busy = None;
            signal(lab, Signal::CONT);
        },
        returns(),
    )
}

fn push_example(lab: &mut FaultLab, change: fn(&str) -> String) {
    let node = lab.node(Who::A);
    let text = change(&node.zone_text("example.zone"));
    node.push_zone("example.zone", &text);
    node.responder().signal(Signal::HUP);
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
