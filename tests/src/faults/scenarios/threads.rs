//! Parts of a process: one thread stops while its siblings run.

use super::super::expect::{leaves, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use crate::lab::{PREFIX4, PREFIX6, freeze_thread, make_tracer, stutter_threads};
use std::time::Duration;

/// From when on a helper's silence is told.
pub(super) const LATE: Duration = Duration::from_secs(12);
pub(super) const LATE_WHY: &str =
    "a thread beats once a second, ten may be missing, and who looks looks once a second";

pub(super) fn all() -> Vec<Scenario> {
    vec![
        worker_stops(
            Scenario::new(
                "worker-stuck",
                "one UDP worker of the responder stops, its siblings answer",
                "withdrawn once probes from its CPU have failed; the responder ends itself after ten seconds",
            ),
            start_responder,
            returns(),
        ),
        Scenario::new(
            "tcp-thread-stuck",
            "one TCP thread of the responder stops, its siblings and UDP answer",
            "the responder ends itself after ten seconds; degraded before, if probes meet that thread",
        )
        .within(Duration::from_secs(12), "ten seconds of the watchdog, then two probes")
        .tolerates("degraded")
        .step("stop tcp-0", |lab| stop_responder_thread(lab, "tcp-0"), responder_gone())
        .step("start again", start_responder, returns()),
        Scenario::new(
            "keeper-stuck",
            "the sidecar's deciding thread stops, its BGP thread sends keepalives on",
            "the sidecar ends itself after three seconds, and the routes go with its sessions",
        )
        .within(Duration::from_secs(4), "three seconds of the watchdog")
        .step("stop pharos-keeper", |lab| stop_sidecar_thread(lab, "pharos-keeper"), sidecar_ends())
        .step("start again", start_sidecar, returns()),
        Scenario::new(
            "prober-stuck",
            "the sidecar's probing thread stops: nobody sees how the responder is",
            "the sidecar ends itself after three seconds, and the routes go with its sessions",
        )
        .within(
            Duration::from_secs(4),
            "three seconds of the watchdog; signals are silent for too long by then, too",
        )
        .tolerates("withdrawn")
        .step("stop pharos-probe", |lab| stop_sidecar_thread(lab, "pharos-probe"), sidecar_ends())
        .step("start again", start_sidecar, returns()),
        Scenario::new(
            "speaker-stuck",
            "the sidecar's BGP thread stops for a second and a half, over and over; the others run",
            "nothing: it beats in between, and the router hears it within the hold time",
        )
        .loses(Loss::Nothing)
        .never("session down")
        .step("stop pharos-routes again and again", stutter_speaker, stays())
        .calm(Duration::from_secs(10))
        .step("let it go on", |lab| lab.helpers.clear(), stays()),
        Scenario::new(
            "addresses-untold",
            "the kernel does not say which addresses the host has, as while somebody holds its lock on interfaces: the sidecar's \
             thread that asks stands still",
            "what is not seen is no reason to leave, and nobody waits for it: no more than an alarm, after ten seconds",
        )
        .within(LATE, LATE_WHY)
        .loses(Loss::Nothing)
        .step("stop pharos-addresses", |lab| stop_sidecar_thread(lab, "pharos-addresses"), {
            [stays(), vec![Expect::Alarm(Who::A, "thread-late", "has not run for 10s")]].concat()
        })
        .step("let it go on", |lab| lab.helpers.clear(), {
            [stays(), vec![Expect::AlarmOver(Who::A, "thread-late")]].concat()
        })
        .calm(Duration::from_secs(2)),
        Scenario::new(
            "speaker-hung",
            "the sidecar's BGP thread stops for good, the others run",
            "the sidecar ends itself after three seconds, and the routes go with its sessions",
        )
        .within(
            Duration::from_millis(3500),
            "three seconds of the watchdog, and a moment for its look and its last line",
        )
        .step("stop pharos-routes", |lab| stop_sidecar_thread(lab, "pharos-routes"), sidecar_ends())
        .step("start again", start_sidecar, returns()),
        Scenario::new(
            "management-silent",
            "the responder's status page does not answer",
            "an alarm; probes decide, and no route moves",
        )
        .within(
            Duration::from_secs(4),
            "the status is fetched once a second, with a second's patience, twice",
        )
        .loses(Loss::Nothing)
        .step(
            "drop TCP 9153",
            |lab| lab.filter(Who::A, "tcp dport 9153 drop"),
            vec![Expect::Alarm(Who::A, "status-unreachable", ""), Expect::Answered(&["a.ams"])],
        )
        .calm(Duration::from_secs(3))
        .step(
            "let it through",
            |lab| lab.unfilter(Who::A),
            vec![Expect::AlarmOver(Who::A, "status-unreachable"), Expect::Answered(&["a.ams"])],
        ),
    ]
}

/// The steps of a scenario in which a UDP worker of the first node stops; `start` starts the responder that has ended then.
pub(super) fn worker_stops(scenario: Scenario, start: fn(&mut FaultLab), back: Vec<Expect>) -> Scenario {
    scenario
        .within(
            turns() + Duration::from_millis(1500),
            "the turn of the worker's CPU, one of all each 250 ms; then two probes, or, where queries are dropped \
             meanwhile, the second after which its heart is late, and the next probe",
        )
        .step("stop udp-0", |lab| stop_responder_thread(lab, "udp-0"), {
            let mut list = leaves("no answer within");
            list.push(Expect::ResponderEnded(Who::A));
            list
        })
        .step("start again", start, back)
}

/// Until a probe has been sent from each CPU.
fn turns() -> Duration {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Duration::from_millis(250) * u32::try_from(cpus).unwrap_or(u32::MAX)
}

pub(super) fn stop_responder_thread(lab: &mut FaultLab, name: &str) {
    let process = lab.node(Who::A).responder().pid();
    stop_thread(lab, process, name);
}

pub(super) fn stop_sidecar_thread(lab: &mut FaultLab, name: &str) {
    let process = lab.node(Who::A).sidecar().pid();
    stop_thread(lab, process, name);
}

/// It runs for half a second of each two.
fn stutter_speaker(lab: &mut FaultLab) {
    let process = lab.node(Who::A).sidecar().pid();
    let times = [1500, 500].map(Duration::from_millis);
    let holder = stutter_threads(&lab.topology.workspace, process, "pharos-routes", times);
    lab.helpers.push(holder);
}

fn stop_thread(lab: &mut FaultLab, process: u32, name: &str) {
    make_tracer(&lab.topology.workspace);
    lab.strike();
    let holder = freeze_thread(&lab.topology.workspace, process, name);
    lab.helpers.push(holder);
}

/// A process that ended is a process to be started again, as the service manager does.
pub(super) fn start_responder(lab: &mut FaultLab) {
    lab.helpers.clear();
    lab.node(Who::A).start_responder();
}

fn start_sidecar(lab: &mut FaultLab) {
    lab.helpers.clear();
    lab.node(Who::A).start_sidecar();
}

fn responder_gone() -> Vec<Expect> {
    let mut list = leaves("");
    list.push(Expect::ResponderEnded(Who::A));
    list
}

fn sidecar_ends() -> Vec<Expect> {
    vec![
        Expect::SidecarEnded(Who::A),
        Expect::Gone(PREFIX4),
        Expect::Gone(PREFIX6),
        Expect::Answered(&["a.fra"]),
    ]
}
