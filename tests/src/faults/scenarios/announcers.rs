//! A BIRD on the node instead of our own speaker, with the announcers `bird` and `lease` as `deploy/` has them.

use super::super::expect::{
    DEAD, absent, decided, gone, leaves, normal_again, preferred, returns, stays, wakes,
};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::handover::{force_degraded, release};
use super::threads::{LATE, LATE_WHY, start_responder, stop_sidecar_thread};
use crate::lab::{Bird, HandOver, PREFIX4, PREFIX6, Plan, Speaker};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Three seconds of a marker's lifetime, and about one until the kernel looks.
const LEASE: Duration = Duration::from_secs(5);
const LEASE_WHY: &str = "a marker lives for three seconds, and the kernel looks about once a second";

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "bird-responder-killed",
            "kill -9 of the responder; a BIRD on the node speaks with the router",
            "BIRD is told at once, and the routes go",
        )
        .plan(plan())
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "bird-sidecar-killed",
            "kill -9 of the sidecar; a BIRD on the node speaks with the router",
            "declared: the markers are not renewed, and the routes go with them",
        )
        .plan(plan())
        .within(LEASE, LEASE_WHY)
        .step("kill -9", |lab| lab.kill_sidecar(Who::A), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns()),
        Scenario::new(
            "bird-sidecar-frozen",
            "the sidecar hangs (SIGSTOP); a BIRD on the node speaks with the router",
            "declared: the same",
        )
        .plan(plan())
        .within(LEASE, LEASE_WHY)
        .step("SIGSTOP", |lab| lab.node(Who::A).sidecar().signal(Signal::STOP), gone())
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), wakes()),
        Scenario::new(
            "bird-refuses-its-configuration",
            "somebody breaks another part of the BIRD's configuration; then the responder dies, and comes back without TCP",
            "withdrawn and announced all the same; a level that needs a new configuration is an alarm with BIRD's words \
             until it can be told",
        )
        .plan(plan())
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step(
            "break it, then kill -9",
            |lab| {
                break_configuration(lab);
                lab.strike();
                lab.node(Who::A).responder().kill();
            },
            {
                let mut list = leaves(DEAD);
                list.push(Expect::Alarm(Who::A, "announcer-failing", "syntax error"));
                list
            },
        )
        .step("start the responder", |lab| lab.node(Who::A).start_responder(), {
            // What BIRD has is what is wanted again, so nothing is refused until the next step.
            let mut list = returns();
            list.push(Expect::AlarmOver(Who::A, "announcer-failing"));
            list
        })
        .step("reject TCP 53", |lab| lab.filter(Who::A, "tcp dport 53 reject with tcp reset"), {
            let mut list = decided("degraded", "TCP");
            list.extend([
                Expect::Alarm(Who::A, "announcer-failing", "syntax error"),
                Expect::Alarm(Who::A, "drift", "should be degraded"),
                Expect::Preference(PREFIX4, 100),
                Expect::Preference(PREFIX6, 100),
            ]);
            list
        })
        .step("mend the configuration", mend_configuration, vec![
            Expect::Preference(PREFIX4, 80),
            Expect::Preference(PREFIX6, 80),
            Expect::AlarmOver(Who::A, "announcer-failing"),
            Expect::AlarmOver(Who::A, "drift"),
        ])
        .step("let TCP through", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "bird-sidecar-handed-over",
            "a planned restart of the sidecar under load; a BIRD on the node speaks with the router",
            "the markers are renewed, the router hears nothing, and no query is lost",
        )
        .plan(plan())
        .loses(Loss::Nothing)
        .step("`pharos hand-over`", |lab| lab.node(Who::A).hand_over(HandOver::ByCommand), stays())
        .unheard()
        .calm(Duration::from_secs(8))
        .step("`pharos force all degraded`", force_degraded, preferred("degraded", "lab", 80))
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "bird-killed",
            "kill -9 of the BIRD on the node, and a start",
            "the routes go with its session; an alarm; it is told again once it is back",
        )
        .plan(plan())
        .within(Duration::from_millis(100), "the kernel closes the session's connection")
        .step("kill -9", |lab| {
            lab.strike();
            lab.node(Who::A).bird().daemon().kill();
        }, {
            let mut list = gone();
            list.push(Expect::Alarm(Who::A, "announcer-failing", ""));
            list
        })
        .step("start again", |lab| lab.start_bird(Who::A), told_again()),
        Scenario::new(
            "bird-frozen",
            "the BIRD on the node hangs (SIGSTOP), and goes on",
            "declared: the routes stay for the hold time, then the router drops them; an alarm; it is told again once it goes \
             on",
        )
        .plan(plan())
        .within(
            Duration::from_secs(12),
            "the router's hold time of nine seconds; the alarm after a look once a second and ten for an answer",
        )
        .step("SIGSTOP", |lab| lab.node(Who::A).bird().daemon().signal(Signal::STOP), {
            [gone(), vec![Expect::Alarm(Who::A, "announcer-failing", "")]].concat()
        })
        .step("SIGCONT", |lab| lab.node(Who::A).bird().daemon().signal(Signal::CONT), told_again()),
        Scenario::new(
            "lease-thread-hung",
            "the sidecar's thread that renews the markers stops for good, and goes on; a BIRD on the node speaks with the \
             router",
            "the kernel lets the markers end, and the routes go with them; an alarm after ten seconds",
        )
        .plan(plan())
        .within(LATE.max(LEASE), LATE_WHY)
        .step("stop pharos-lease", |lab| stop_sidecar_thread(lab, "pharos-lease"), {
            [gone(), vec![Expect::Alarm(Who::A, "thread-late", "has not run for 10s")]].concat()
        })
        .step("let it go on", |lab| lab.helpers.clear(), vec![
            Expect::AlarmOver(Who::A, "thread-late"),
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams"]),
        ]),
        Scenario::new(
            "lease-thread-hung-and-then-the-responder",
            "the sidecar's thread that renews the markers stops; once they have run out the responder is killed, and then the \
             thread goes on",
            "the routes go with the markers, and no marker is set again for what has been withdrawn meanwhile; earned back once \
             the responder answers",
        )
        .plan(plan())
        .within(LATE.max(LEASE), LATE_WHY)
        .step("stop pharos-lease", |lab| stop_sidecar_thread(lab, "pharos-lease"), {
            [gone(), vec![Expect::Alarm(Who::A, "thread-late", "has not run for 10s")]].concat()
        })
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), {
            [decided("withdrawn", DEAD), absent()].concat()
        })
        .step("let the thread go on", |lab| lab.helpers.clear(), {
            [vec![Expect::AlarmOver(Who::A, "thread-late")], absent()].concat()
        })
        .calm(Duration::from_secs(3))
        .step("start the responder", start_responder, returns()),
    ]
}

/// BIRD has all that it should, and the routes are there.
fn told_again() -> Vec<Expect> {
    vec![
        Expect::AlarmOver(Who::A, "announcer-failing"),
        Expect::Back(PREFIX4),
        Expect::Back(PREFIX6),
        Expect::Answered(&["a.ams"]),
    ]
}

pub(super) fn plan() -> Plan {
    Plan { speaker: Speaker::LocalBird, ..Plan::default() }
}

const BROKEN: &str = "\nthis is no configuration\n";

fn configuration(lab: &FaultLab) -> PathBuf {
    Bird::config(lab.topology.ams.machine(), &lab.topology.workspace)
}

fn break_configuration(lab: &mut FaultLab) {
    let path = configuration(lab);
    let text = fs::read_to_string(&path).expect("the lab wrote it");
    fs::write(&path, text + BROKEN).expect("the lab's own directory can be written");
}

fn mend_configuration(lab: &mut FaultLab) {
    let path = configuration(lab);
    let text = fs::read_to_string(&path).expect("the lab wrote it");
    fs::write(&path, text.replace(BROKEN, "")).expect("the lab's own directory can be written");
}
