//! The same deaths while the operator's word stands: held levels and forced ones, which outlive both processes and keep
//! nobody announced who cannot answer.

use super::super::expect::{DEAD, absent, decided, gone, leaves, normal_again, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::handover::{force_degraded, release};
use super::host::YEAR;
use crate::lab::{ClockKind, PREFIX4, PREFIX6, Plan};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const PROBES: &str = "two probes 250 ms apart, refused at once";
const SILENT_PROBES: &str = "two probes 250 ms apart, 200 ms each without an answer";
const CLOSED: Duration = Duration::from_millis(50);
const CLOSED_WHY: &str = "the kernel closes the session's connection";
const HOLD: Duration = Duration::from_secs(9);
const HOLD_WHY: &str = "the hold time";

pub(super) fn all() -> Vec<Scenario> {
    [held(), forced()].concat()
}

fn held() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "responder-killed-while-held",
            "kill -9 of the responder while the operator holds all levels",
            "withdrawn all the same: a hold does not make a node answer",
        )
        .within(Duration::from_secs(1), PROBES)
        .step(
            "`pharos hold all`, then kill -9",
            |lab| {
                hold(lab);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "responder-frozen-while-held",
            "the responder hangs (SIGSTOP) while the operator holds all levels",
            "withdrawn all the same; back at the level held once it runs again",
        )
        .within(Duration::from_secs(1), SILENT_PROBES)
        .step(
            "`pharos hold all`, then SIGSTOP",
            |lab| {
                hold(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            leaves("no answer within"),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), returns()),
        Scenario::new(
            "sidecar-killed-while-held",
            "kill -9 of the sidecar of a node that is held at normal, though its TCP refuses, and a start",
            "the routes go at once; it remembers the hold, and they come back at normal; degraded once it is released",
        )
        .within(CLOSED, CLOSED_WHY)
        .loses(Loss::Any)
        .step(
            "`pharos hold all`, reject TCP 53, then kill -9",
            |lab| {
                hold_above_its_worth(lab);
                lab.kill_sidecar(Who::A);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), back_at_the_level_held())
        .calm(Duration::from_secs(3))
        .released_from_hold(),
        Scenario::new(
            "sidecar-frozen-while-held",
            "the sidecar of a node that is held at normal, though its TCP refuses, hangs (SIGSTOP) past the hold time, and \
             goes on",
            "declared: the routes stay for the hold time; earned back at the level held; degraded once it is released",
        )
        .within(HOLD, HOLD_WHY)
        .loses(Loss::Any)
        .step(
            "`pharos hold all`, reject TCP 53, then SIGSTOP",
            |lab| {
                hold_above_its_worth(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            gone(),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), {
            [decided("withdrawn", "nothing seen"), back_at_the_level_held()].concat()
        })
        .calm(Duration::from_secs(3))
        .released_from_hold(),
    ]
}

fn forced() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "responder-killed-while-forced",
            "kill -9 of the responder of a node that is forced to be degraded; then it is stopped in order (SIGTERM)",
            "withdrawn each time, and back as degraded once it answers",
        )
        .within(Duration::from_secs(1), PROBES)
        .step(
            "`pharos force all degraded`, then kill -9",
            |lab| {
                force(lab);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step("start again", |lab| lab.node(Who::A).start_responder(), back_as_forced())
        .step("SIGTERM", |lab| lab.node(Who::A).responder().signal(Signal::TERM), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), back_as_forced())
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "responder-frozen-while-forced",
            "the responder of a node that is forced to be degraded hangs (SIGSTOP)",
            "withdrawn, and back as degraded once it runs again",
        )
        .within(Duration::from_secs(1), SILENT_PROBES)
        .step(
            "`pharos force all degraded`, then SIGSTOP",
            |lab| {
                force(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            leaves("no answer within"),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), back_as_forced())
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "sidecar-killed-while-forced",
            "kill -9 of the sidecar of a node that is forced to be degraded, and a start; then it is stopped in order \
             (SIGTERM), and a start",
            "the routes go at once each time; it remembers, and they come back as degraded",
        )
        .within(CLOSED, CLOSED_WHY)
        .step(
            "`pharos force all degraded`, then kill -9",
            |lab| {
                force(lab);
                lab.kill_sidecar(Who::A);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), back_as_forced())
        .step("SIGTERM", |lab| lab.node(Who::A).sidecar().signal(Signal::TERM), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), back_as_forced())
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "sidecar-frozen-while-forced",
            "the sidecar of a node that is forced to be degraded hangs (SIGSTOP) past the hold time, and goes on",
            "declared: the routes stay for the hold time; they come back as degraded",
        )
        .within(HOLD, HOLD_WHY)
        .step(
            "`pharos force all degraded`, then SIGSTOP",
            |lab| {
                force(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            gone(),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), {
            [decided("withdrawn", "nothing seen"), back_as_forced()].concat()
        })
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "sidecar-killed-while-forced-to-withdrawn",
            "kill -9 of the sidecar of a node that is forced to be withdrawn, and a start",
            "it remembers: nothing is announced until somebody releases it",
        )
        .step("`pharos force all withdrawn`", force_withdrawn, leaves("lab"))
        .step("kill -9, and start", killed_and_started, remembers())
        .is_the_fault()
        .calm(Duration::from_secs(5))
        .step("`pharos release`", release, returns()),
        Scenario::new(
            "sidecar-killed-while-forced-to-withdrawn-and-the-clock-jumps",
            "the wall clock of a node that is forced to be withdrawn for an hour jumps a year ahead; kill -9 of its sidecar, and \
             a start",
            "the word has the time left that it had: nothing is announced until somebody releases it",
        )
        .plan(Plan { clock: ClockKind::Shifted, ..Plan::default() })
        .step("`pharos force all withdrawn`", force_withdrawn, leaves("lab"))
        .step(
            "a year ahead, kill -9, and start",
            |lab| {
                lab.node(Who::A).clock().set(YEAR);
                killed_and_started(lab);
            },
            remembers(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(5))
        .step("`pharos release`", release, returns()),
    ]
}

impl Scenario {
    /// The end of a hold that kept up what was worth less.
    fn released_from_hold(self) -> Self {
        self.step("`pharos release`", release, preferred("degraded", "", 80)).step(
            "let TCP through",
            |lab| lab.unfilter(Who::A),
            normal_again(),
        )
    }
}

fn hold(lab: &mut FaultLab) {
    lab.pharos(Who::A, &["hold", "all", "--text", "lab"]);
}

/// Held at normal, and its probes by TCP say that it is worth less.
fn hold_above_its_worth(lab: &mut FaultLab) {
    hold(lab);
    let since = Instant::now();
    lab.filter(Who::A, "tcp dport 53 reject with tcp reset");
    lab.wait_for_signal(Who::A, since, "TCP probe of 192.0.2.53:53", "bad");
    lab.wait_for_signal(Who::A, since, "TCP probe of [2001:db8:53::53]:53", "bad");
}

/// Clients are not all answered: TCP refuses.
fn back_at_the_level_held() -> Vec<Expect> {
    let routes = [Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Why(Who::A, PREFIX4, "held")];
    [preferred("normal", "", 100), routes.to_vec()].concat()
}

/// The router has heard that the node is degraded, by the operator's word.
fn force(lab: &mut FaultLab) {
    let since = Instant::now();
    force_degraded(lab);
    lab.wait_for_level(since, "degraded", 80);
}

fn force_withdrawn(lab: &mut FaultLab) {
    lab.strike();
    lab.pharos(Who::A, &["force", "all", "withdrawn", "--text", "lab"]);
}

fn killed_and_started(lab: &mut FaultLab) {
    lab.kill_sidecar(Who::A);
    lab.node(Who::A).start_sidecar();
}

/// It is there, sees that all is well, and announces nothing.
fn remembers() -> Vec<Expect> {
    let sees = vec![
        Expect::Logged(Who::A, "session up", "10.0.0.1"),
        Expect::Logged(Who::A, "signal", "UDP probe of 192.0.2.53:53"),
        Expect::Why(Who::A, PREFIX4, "forced to withdrawn"),
    ];
    [sees, absent()].concat()
}

fn back_as_forced() -> Vec<Expect> {
    let rest = [
        Expect::Back(PREFIX4),
        Expect::Back(PREFIX6),
        Expect::Why(Who::A, PREFIX4, "forced to degraded"),
        Expect::Answered(&["a.ams"]),
    ];
    [preferred("degraded", "", 80), rest.to_vec()].concat()
}
