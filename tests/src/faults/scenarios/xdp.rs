//! A responder that takes its queries by AF_XDP, from two queues of the first node's link; the wire probe is on, and the
//! POPs are joined by a backbone.
//!
//! They need root: who is root in a user namespace alone may not load a program into the kernel.

use super::super::expect::{DEAD, leaves, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::threads::{start_responder, worker_stops};
use super::wire::{WITHIN, accept_local, degraded, is_healthy, lab, router, well_again};
use crate::lab::{Backbone, Edit, Plan, break_queue, wait_until};
use rustix::process::Signal;
use std::time::Duration;

/// The settings, in the place of a sample that the shipped file has.
const WIRE_AND_XDP: Edit =
    ("# xdp: [{interface: eth0}]", "wire: {interface: eth0}\nxdp: [{interface: eth0, ring: 1024}]");

pub(super) fn all() -> Vec<Scenario> {
    if may_be_used() { [queues(), deaths()].concat() } else { Vec::new() }
}

/// Whether this is root of the machine.
pub(super) fn may_be_used() -> bool {
    let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root() && mapped.split_whitespace().eq(["0", "0", "4294967295"])
}

fn queues() -> Vec<Scenario> {
    vec![
        with_queues(
            "wire-xdp-well",
            "nothing: the responder takes queries by AF_XDP from two queues, and the wire probe asks",
            "nothing: it is answered by the very queues, and no level changes",
        )
        .loses(Loss::Nothing)
        .never("alarm")
        .step(
            "wait",
            |_| {},
            vec![
                Expect::That("wire probes are good", |lab| is_healthy(lab, "wire probe", 2)),
                Expect::That("both queues are used", uses_both_queues),
                Expect::Answered(&["a.ams"]),
            ],
        )
        .calm(Duration::from_secs(30)),
        with_queues(
            "wire-xdp-queue-wedged",
            "one of two queues of AF_XDP hands its packets to a socket that is not the responder's; its worker turns",
            "the heartbeats are good and so is loopback; the wire probe alone sees it: an alarm, then degraded",
        )
        .within(
            WITHIN + Duration::from_secs(13),
            "13 rounds until all flows of both addresses have met one queue of two, all but one time in a thousand; then \
             as above",
        )
        .step(
            "give queue 0 to another socket",
            |lab| {
                let process = lab.node(Who::A).responder().pid();
                let holder = break_queue(&lab.topology.workspace, process, 0);
                lab.helpers.push(holder);
            },
            {
                let mut list = degraded("no answer by way of eth0");
                list.push(Expect::That("heartbeats are good", |lab| is_healthy(lab, "heartbeats", 1)));
                list
            },
        )
        // The kernel then has no socket for the queue, and its packets go to those of the IP stack.
        .step("end that", |lab| lab.helpers.clear(), well_again()),
    ]
}

fn deaths() -> Vec<Scenario> {
    vec![
        with_queues(
            "xdp-responder-killed",
            "kill -9 of a responder that takes queries by AF_XDP",
            "withdrawn at once; its program leaves the interface with it, and is back with the next start",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", start_on_a_free_interface, queues_are_back()),
        with_queues(
            "xdp-responder-frozen",
            "a responder that takes queries by AF_XDP hangs (SIGSTOP): its program feeds queues that nobody empties",
            "withdrawn by what the probes over loopback say; earned back once it runs again",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, 200 ms each without an answer")
        .step("SIGSTOP", |lab| lab.node(Who::A).responder().signal(Signal::STOP), leaves("no answer within"))
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), queues_are_back()),
        worker_stops(
            with_queues(
                "xdp-worker-stuck",
                "one of two workers stops, and with it the queue of AF_XDP that it empties; the other answers",
                "withdrawn once probes from its CPU have failed; the responder ends itself after ten seconds, and its program \
                 leaves the interface with it",
            ),
            start_on_a_free_interface,
            queues_are_back(),
        ),
    ]
}

fn with_queues(name: &'static str, fault: &'static str, reaction: &'static str) -> Scenario {
    lab(name, fault, reaction)
        .plan(Plan { site: vec![WIRE_AND_XDP], backbone: Backbone::Ibgp, ..Plan::default() })
        .prepared(prepare_queues)
}

/// Two queues at each end of the first node's link, as a card with two has them.
fn prepare_queues(lab: &mut FaultLab) {
    accept_local(lab);
    lab.node(Who::A).namespace.sh("ethtool -L eth0 rx 2 tx 2");
    router(lab, "ethtool -L node rx 2 tx 2");
}

fn start_on_a_free_interface(lab: &mut FaultLab) {
    lab.helpers.clear();
    let machine = lab.node(Who::A).namespace.clone();
    wait_until("no program is left on the interface", || {
        !machine.sh("ip link show dev eth0").contains("xdp")
    });
    start_responder(lab);
}

fn queues_are_back() -> Vec<Expect> {
    [returns(), vec![Expect::That("both queues are used", uses_both_queues)]].concat()
}

/// Whether both queues of the first node have had queries.
fn uses_both_queues(lab: &mut FaultLab) -> bool {
    let status = lab.node(Who::A).responder_status().unwrap_or_default();
    let queues = status.pointer("/xdp/0/queues").and_then(serde_json::Value::as_array).cloned();
    let received = |queue: &serde_json::Value| {
        queue.pointer("/events/received").and_then(serde_json::Value::as_u64).unwrap_or_default()
    };
    queues.is_some_and(|queues| queues.len() == 2 && queues.iter().all(|queue| received(queue) > 0))
}
