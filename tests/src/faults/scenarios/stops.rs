//! Orderly stops (SIGTERM) of each process of a node that announces nothing: drained, withdrawn, or not yet back.

use super::super::expect::{DEAD, absent, leaves, returns};
use super::super::{Expect, FaultLab, Scenario, Who};
use super::drains::{REFUSED, after_the_deadline, answers_still_drained, remembers, undrain};
use super::states::start_until_good;
use crate::lab::{Edit, PREFIX4, Plan};
use rustix::process::Signal;
use std::time::Duration;

/// Who is stopped.
#[derive(Debug, Clone, Copy)]
enum Process {
    Responder,
    Sidecar,
}

/// Why nothing is announced.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The operator has said so, and the drain's deadline is over.
    Drained,
    /// Queries over UDP do not reach the responder.
    Withdrawn,
    /// The responder has been away, and its probes are good again.
    HoldDown,
}

pub(super) fn all() -> Vec<Scenario> {
    let states = [State::Drained, State::Withdrawn, State::HoldDown];
    states
        .into_iter()
        .flat_map(|state| [Process::Responder, Process::Sidecar].map(|it| stopped(it, state)))
        .collect()
}

fn stopped(process: Process, state: State) -> Scenario {
    let (name, fault, reaction) = words(process, state);
    match state {
        State::Drained => after_the_deadline(name, fault, reaction)
            .step("SIGTERM", stop(process), ended(process, REFUSED))
            .is_the_fault()
            .calm(Duration::from_secs(2))
            .step(
                "start again",
                start(process),
                match process {
                    Process::Responder => answers_still_drained(),
                    Process::Sidecar => remembers(),
                },
            )
            .calm(Duration::from_secs(5))
            .step("undrain", undrain, returns()),
        State::Withdrawn => Scenario::new(name, fault, reaction)
            .step("drop UDP 53", |lab| lab.filter(Who::A, "udp dport 53 drop"), leaves("UDP probe"))
            .step("SIGTERM", stop(process), ended(process, TCP_REFUSED))
            .is_the_fault()
            .calm(Duration::from_secs(2))
            .step(
                "start again",
                start(process),
                match process {
                    Process::Responder => {
                        [vec![Expect::Logged(Who::A, "signal", TCP_GOOD)], still_withdrawn()].concat()
                    }
                    Process::Sidecar => {
                        let seen = [
                            Expect::Logged(Who::A, "session up", "10.0.0.1"),
                            Expect::Logged(Who::A, "signal", UDP_SILENT),
                        ];
                        [seen.to_vec(), still_withdrawn()].concat()
                    }
                },
            )
            .calm(Duration::from_secs(5))
            .step("let UDP through", |lab| lab.unfilter(Who::A), returns()),
        State::HoldDown => Scenario::new(name, fault, reaction)
            .plan(Plan { pharos: vec![LONGER], ..Plan::default() })
            .step("kill -9 of the responder", |lab| lab.kill_responder(Who::A), leaves(DEAD))
            .step("start it again, and SIGTERM when its probes are good", stop_in_hold_down(process), {
                ended(process, REFUSED)
            })
            .is_the_fault()
            .calm(Duration::from_secs(5))
            .step("start again", start(process), returns()),
    }
}

/// Longer than an orderly stop of the responder takes to be seen, which answers UDP for its last second.
const LONGER: Edit = ("hold-down: 10s", "hold-down: 4s");

const TCP_REFUSED: &str = "TCP probe of 192.0.2.53:53\",\"text\":\"connection refused";
const TCP_GOOD: &str = "TCP probe of 192.0.2.53:53\",\"text\":\"answered";
const UDP_SILENT: &str = "UDP probe of 192.0.2.53:53\",\"text\":\"no answer within";

fn words(process: Process, state: State) -> (&'static str, &'static str, &'static str) {
    const UNDRAINED: &str = "nothing is announced before, during or after, until somebody undrains it";
    const MENDED: &str = "nothing is announced before, during or after, until UDP is answered";
    match (process, state) {
        (Process::Responder, State::Drained) => (
            "responder-stopped-while-drained",
            "the responder of a drained node is stopped in order (SIGTERM), and started",
            UNDRAINED,
        ),
        (Process::Sidecar, State::Drained) => (
            "sidecar-stopped-while-drained",
            "the sidecar of a drained node is stopped in order (SIGTERM), and started",
            UNDRAINED,
        ),
        (Process::Responder, State::Withdrawn) => (
            "responder-stopped-while-withdrawn",
            "the responder of a node whose UDP is silent is stopped in order (SIGTERM), and started",
            MENDED,
        ),
        (Process::Sidecar, State::Withdrawn) => (
            "sidecar-stopped-while-withdrawn",
            "the sidecar of a node whose UDP is silent is stopped in order (SIGTERM), and started",
            MENDED,
        ),
        (Process::Responder, State::HoldDown) => (
            "responder-stopped-in-hold-down",
            "the responder dies, comes back, and is stopped in order (SIGTERM) while its return still waits for the \
             hold-down, which is four seconds",
            "nothing is announced in between; earned back once it answers and stays",
        ),
        (Process::Sidecar, State::HoldDown) => (
            "sidecar-stopped-in-hold-down",
            "the sidecar is stopped in order (SIGTERM) while a return still waits for the hold-down, which is four seconds",
            "nothing is announced in between; earned back as after any start",
        ),
    }
}

/// It has ended, and whoever is left has seen that; nothing is announced.
fn ended(process: Process, seen: &'static str) -> Vec<Expect> {
    let ended = match process {
        Process::Responder => vec![Expect::ResponderEnded(Who::A), Expect::Logged(Who::A, "signal", seen)],
        Process::Sidecar => vec![Expect::SidecarEnded(Who::A)],
    };
    [ended, absent()].concat()
}

fn still_withdrawn() -> Vec<Expect> {
    [vec![Expect::Why(Who::A, PREFIX4, "UDP probe")], absent()].concat()
}

fn stop(process: Process) -> fn(&mut FaultLab) {
    match process {
        Process::Responder => |lab| lab.node(Who::A).responder().signal(Signal::TERM),
        Process::Sidecar => |lab| lab.node(Who::A).sidecar().signal(Signal::TERM),
    }
}

fn stop_in_hold_down(process: Process) -> fn(&mut FaultLab) {
    match process {
        Process::Responder => |lab| {
            start_until_good(lab);
            lab.strike();
            lab.node(Who::A).responder().signal(Signal::TERM);
        },
        Process::Sidecar => |lab| {
            start_until_good(lab);
            lab.strike();
            lab.node(Who::A).sidecar().signal(Signal::TERM);
        },
    }
}

fn start(process: Process) -> fn(&mut FaultLab) {
    match process {
        Process::Responder => |lab| lab.node(Who::A).start_responder(),
        Process::Sidecar => |lab| lab.node(Who::A).start_sidecar(),
    }
}
