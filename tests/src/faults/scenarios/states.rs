//! The same deaths in other states: degraded, withdrawn, in hold-down, and before the first announcement.

use super::super::expect::{DEAD, absent, decided, gone, leaves, normal_again, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::{ANNOUNCED, ANNOUNCED_WHY, HOLD_DOWN};
use crate::lab::{PREFIX4, PREFIX6};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const PROBES: &str = "two probes 250 ms apart, refused at once";
const SILENT_PROBES: &str = "two probes 250 ms apart, 200 ms each without an answer";

pub(super) fn all() -> Vec<Scenario> {
    [responder(), sidecar()].concat()
}

fn responder() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "responder-killed-while-degraded",
            "kill -9 of the responder while the node is degraded",
            "withdrawn at once; earned back to normal once all is mended",
        )
        .within(Duration::from_secs(1), PROBES)
        .step(
            "reject TCP 53, then kill -9",
            |lab| {
                lab.degrade();
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step(
            "mend TCP, start again",
            |lab| {
                lab.unfilter(Who::A);
                lab.node(Who::A).start_responder();
            },
            returns(),
        ),
        Scenario::new(
            "responder-frozen-while-degraded",
            "the responder hangs (SIGSTOP) while the node is degraded",
            "withdrawn at once; earned back to normal once all is mended",
        )
        .within(Duration::from_secs(1), SILENT_PROBES)
        .step(
            "reject TCP 53, then SIGSTOP",
            |lab| {
                lab.degrade();
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            leaves("no answer within"),
        )
        .step(
            "mend TCP, SIGCONT",
            |lab| {
                lab.unfilter(Who::A);
                lab.node(Who::A).responder().signal(Signal::CONT);
            },
            returns(),
        ),
        Scenario::new(
            "responder-killed-in-hold-down",
            "kill -9 of the responder again, while its first return still waits for the hold-down",
            "nothing is announced in between; the next hold-down is no shorter",
        )
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "start again, and kill when its probes are good",
            |lab| {
                start_until_good(lab);
                lab.kill_responder(Who::A);
            },
            [vec![Expect::Logged(Who::A, "signal", DEAD)], absent()].concat(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(3))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns_after_the_hold_down())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "responder-frozen-in-hold-down",
            "the responder dies, comes back, and hangs (SIGSTOP) while its return still waits for the hold-down",
            "nothing is announced in between; earned back once it runs again, after a hold-down that is no shorter",
        )
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "start again, and SIGSTOP when its probes are good",
            |lab| {
                start_until_good(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            [vec![Expect::Logged(Who::A, "signal", "no answer within")], absent()].concat(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(3))
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), returns_after_the_hold_down())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "responder-killed-before-the-first-announcement",
            "kill -9 of the responder of a node that has just started and is not announced yet",
            "it never was announced; announced once the responder has come back and stays",
        )
        .dark(|_| {})
        .step(
            "start both, and kill when its probes are good",
            |lab| {
                start_both_until_good(lab);
                lab.kill_responder(Who::A);
            },
            [
                vec![
                    Expect::Logged(Who::A, "signal", DEAD),
                    Expect::Why(Who::A, PREFIX4, DEAD),
                ],
                absent(),
            ]
            .concat(),
        )
        .calm(Duration::from_secs(4))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "responder-frozen-before-the-first-announcement",
            "the responder of a node that has just started and is not announced yet hangs (SIGSTOP)",
            "it never was announced; announced once the responder goes on and stays",
        )
        .dark(|_| {})
        .step(
            "start both, and SIGSTOP when its probes are good",
            |lab| {
                start_both_until_good(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            [
                vec![
                    Expect::Logged(Who::A, "signal", "no answer within"),
                    Expect::Why(Who::A, PREFIX4, "no answer within"),
                ],
                absent(),
            ]
            .concat(),
        )
        .calm(Duration::from_secs(4))
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), returns())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "responder-stopped-while-degraded",
            "the responder is stopped in order (SIGTERM) while the node is degraded",
            "withdrawn once UDP has ended, a second after TCP; earned back to normal once all is mended",
        )
        .within(Duration::from_secs(2), "a second for what has arrived, then two probes 250 ms apart")
        .step(
            "reject TCP 53, then SIGTERM",
            |lab| {
                lab.degrade();
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::TERM);
            },
            leaves(DEAD),
        )
        .step(
            "mend TCP, start again",
            |lab| {
                lab.unfilter(Who::A);
                lab.node(Who::A).start_responder();
            },
            returns(),
        ),
    ]
}

fn sidecar() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "sidecar-killed-while-degraded",
            "kill -9 of the sidecar while the node is degraded, and a start",
            "the routes go at once, and come back no better than degraded",
        )
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .loses(Loss::Any)
        .step(
            "reject TCP 53, then kill -9",
            |lab| {
                lab.degrade();
                lab.kill_sidecar(Who::A);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), {
            let mut list = decided("degraded", "");
            list.extend([
                Expect::Back(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Preference(PREFIX4, 80),
                Expect::Preference(PREFIX6, 80),
            ]);
            list
        })
        .calm(Duration::from_secs(2))
        .step("mend TCP", |lab| lab.unfilter(Who::A), {
            let mut list = decided("normal", "");
            list.extend([Expect::Preference(PREFIX4, 100), Expect::Answered(&["a.ams"])]);
            list
        }),
        Scenario::new(
            "sidecar-frozen-while-degraded",
            "the sidecar hangs (SIGSTOP) while the node is degraded, past the hold time, and goes on",
            "declared: the routes stay as they are for the hold time; they come back no better than degraded",
        )
        .within(Duration::from_secs(9), "the hold time")
        .loses(Loss::Any)
        .step(
            "reject TCP 53, then SIGSTOP",
            |lab| {
                lab.degrade();
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            gone(),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), {
            let earned = preferred("degraded", "", 80);
            let back = vec![Expect::Back(PREFIX4), Expect::Back(PREFIX6)];
            [decided("withdrawn", "nothing seen"), earned, back].concat()
        })
        .calm(Duration::from_secs(2))
        .step("mend TCP", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "sidecar-killed-in-hold-down",
            "kill -9 of the sidecar, and a start, while a return still waits for the hold-down",
            "nothing is announced in between; earned back as after any start",
        )
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "start it again, and kill the sidecar when its probes are good",
            |lab| {
                start_until_good(lab);
                lab.kill_sidecar(Who::A);
            },
            absent(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(1))
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "sidecar-frozen-in-hold-down",
            "the sidecar hangs (SIGSTOP), past the hold time, while a return still waits for the hold-down, and goes on",
            "nothing is announced in between; earned back once it runs again",
        )
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "start it again, and SIGSTOP of the sidecar when its probes are good",
            |lab| {
                start_until_good(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            loses_its_session(),
        )
        .is_the_fault()
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), returns()),
        Scenario::new(
            "sidecar-killed-before-the-first-announcement",
            "kill -9 of the sidecar of a node that has just started and is not announced yet, and a start",
            "it never was announced; announced as after any start",
        )
        .dark(|_| {})
        .step(
            "start both, and kill when its probes are good",
            |lab| {
                start_both_until_good(lab);
                lab.kill_sidecar(Who::A);
            },
            absent(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(1))
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "sidecar-frozen-before-the-first-announcement",
            "the sidecar of a node that has just started and is not announced yet hangs (SIGSTOP), past the hold time, and \
             goes on",
            "it is not announced before it has gone on and earned it",
        )
        .dark(|_| {})
        .step(
            "start both, and SIGSTOP when its probes are good",
            |lab| {
                start_both_until_good(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            loses_its_session(),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), returns()),
        Scenario::new(
            "sidecar-stopped-while-degraded",
            "the sidecar is stopped in order (SIGTERM) while the node is degraded, and a start",
            "the routes are withdrawn, and come back no better than degraded",
        )
        .within(Duration::from_millis(50), "a withdrawal and a NOTIFICATION")
        .loses(Loss::Any)
        .step(
            "reject TCP 53, then SIGTERM",
            |lab| {
                lab.degrade();
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::TERM);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), {
            [preferred("degraded", "", 80), vec![Expect::Back(PREFIX4), Expect::Back(PREFIX6)]].concat()
        })
        .calm(Duration::from_secs(2))
        .step("mend TCP", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "sidecar-frozen-while-withdrawn",
            "the sidecar hangs (SIGSTOP) while the responder is dead, past the hold time, and goes on",
            "nothing is announced before, during or after",
        )
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step(
            "SIGSTOP of the sidecar",
            |lab| lab.node(Who::A).sidecar().signal(Signal::STOP),
            loses_its_session(),
        )
        .is_the_fault()
        .step(
            "SIGCONT",
            |lab| lab.node(Who::A).sidecar().signal(Signal::CONT),
            [vec![Expect::Logged(Who::A, "session up", "10.0.0.1")], absent()].concat(),
        )
        .calm(Duration::from_secs(3))
        .step("start the responder", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "both-killed-while-withdrawn",
            "kill -9 of the sidecar of a node that is withdrawn, and a start of both",
            "earned back as after any start",
        )
        .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("kill -9 of the sidecar too", |lab| lab.kill_sidecar(Who::A), absent())
        .is_the_fault()
        .step("start both", start_both, returns())
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
    ]
}

/// Both prefixes come back, and the reason names the lab's hold-down of two seconds: what fell before it returned has fallen
/// once, and waits no less.
fn returns_after_the_hold_down() -> Vec<Expect> {
    let rest = [Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams"])];
    [decided("normal", "hold-down of 2.0s is over"), rest.to_vec()].concat()
}

/// Starts the responder, and waits until its probes are good: then its return waits for the hold-down alone.
pub(super) fn start_until_good(lab: &mut FaultLab) {
    let since = Instant::now();
    lab.node(Who::A).start_responder();
    lab.wait_for_signal(Who::A, since, "UDP probe of 192.0.2.53:53", "good");
}

/// Starts both, and waits until the probes are good: then the first announcement waits for the hold-down alone.
fn start_both_until_good(lab: &mut FaultLab) {
    let since = Instant::now();
    start_both(lab);
    lab.wait_for_signal(Who::A, since, "UDP probe of 192.0.2.53:53", "good");
}

/// A sidecar that announces nothing and hangs: its session ends by the hold time, and nobody has heard anything.
pub(super) fn loses_its_session() -> Vec<Expect> {
    [vec![Expect::That("the router has lost the session", has_lost_the_session)], absent()].concat()
}

fn has_lost_the_session(lab: &mut FaultLab) -> bool {
    !lab.topology.ams.router().bird().is_some_and(|bird| bird.established("pharos_node"))
}

fn start_both(lab: &mut FaultLab) {
    lab.node(Who::A).start_responder();
    lab.node(Who::A).start_sidecar();
}
