//! The same deaths under a drain, before its deadline and after it.

use super::super::expect::{DEAD, absent, decided, gone, leaves, returns};
use super::super::{Expect, FaultLab, Scenario, Who};
use super::states::loses_its_session;
use crate::lab::PREFIX4;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// The drain time of ten seconds, and then some: its end changes nothing any more.
const PAST_THE_DEADLINE: Duration = Duration::from_secs(12);

/// In the log: the probe that is looked for afterwards is the one that has to have failed.
const UNANSWERED: &str = "UDP probe of 192.0.2.53:53\",\"text\":\"no answer within";
pub(super) const REFUSED: &str = "UDP probe of 192.0.2.53:53\",\"text\":\"connection refused|\
                       UDP probe of 192.0.2.53:53\",\"text\":\"no answer within";
/// The same probe is answered.
const GOOD: &str = "UDP probe of 192.0.2.53:53\",\"text\":\"answered";

pub(super) fn all() -> Vec<Scenario> {
    [draining(), drained()].concat()
}

fn draining() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "responder-killed-while-draining",
            "kill -9 of the responder while the node is being drained, and a start",
            "withdrawn at once, not at the drain's deadline; it answers again, and nothing is announced until somebody undrains \
             it",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step(
            "drain, then kill -9",
            |lab| {
                drain(lab);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step("start again", |lab| lab.node(Who::A).start_responder(), answers_still_drained())
        .calm(PAST_THE_DEADLINE)
        .step("undrain", undrain, returns()),
        Scenario::new(
            "responder-frozen-while-draining",
            "the responder hangs (SIGSTOP) while the node is being drained, and goes on",
            "withdrawn at once, not at the drain's deadline; it answers again, and nothing is announced until somebody undrains \
             it",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, 200 ms each without an answer")
        .step(
            "drain, then SIGSTOP",
            |lab| {
                drain(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            leaves("no answer within"),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), answers_still_drained())
        .calm(PAST_THE_DEADLINE)
        .step("undrain", undrain, returns()),
        Scenario::new(
            "sidecar-killed-while-draining",
            "kill -9 of the sidecar of a node that is being drained, and a start",
            "the routes go at once; it remembers, and announces nothing until somebody undrains it",
        )
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step(
            "drain, then kill -9",
            |lab| {
                drain(lab);
                lab.kill_sidecar(Who::A);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), remembers())
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
        Scenario::new(
            "sidecar-frozen-while-draining",
            "the sidecar of a node that is being drained hangs (SIGSTOP) past the hold time, and goes on",
            "declared: the routes stay for the hold time; then nothing is announced until somebody undrains it",
        )
        .within(Duration::from_secs(9), "the hold time")
        .step(
            "drain, then SIGSTOP",
            |lab| {
                drain(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            gone(),
        )
        .step(
            "SIGCONT",
            |lab| lab.node(Who::A).sidecar().signal(Signal::CONT),
            [decided("withdrawn", ""), remembers()].concat(),
        )
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
    ]
}

fn drained() -> Vec<Scenario> {
    vec![
        after_the_deadline(
            "responder-killed-while-drained",
            "kill -9 of the responder of a drained node, and a start",
            "nothing is announced before, during or after, until somebody undrains it",
        )
        .step(
            "kill -9",
            |lab| lab.kill_responder(Who::A),
            [vec![Expect::Logged(Who::A, "signal", REFUSED)], still_drained()].concat(),
        )
        .is_the_fault()
        .step("start again", |lab| lab.node(Who::A).start_responder(), answers_still_drained())
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
        after_the_deadline(
            "responder-frozen-while-drained",
            "the responder of a drained node hangs (SIGSTOP), and goes on",
            "nothing is announced before, during or after, until somebody undrains it",
        )
        .step(
            "SIGSTOP",
            |lab| lab.node(Who::A).responder().signal(Signal::STOP),
            [vec![Expect::Logged(Who::A, "signal", UNANSWERED)], still_drained()].concat(),
        )
        .is_the_fault()
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), answers_still_drained())
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
        after_the_deadline(
            "sidecar-killed-while-drained",
            "kill -9 of the sidecar of a drained node, and a start",
            "it remembers: nothing is announced until somebody undrains it",
        )
        .step(
            "kill -9, and start",
            |lab| {
                lab.kill_sidecar(Who::A);
                lab.node(Who::A).start_sidecar();
            },
            remembers(),
        )
        .is_the_fault()
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
        after_the_deadline(
            "sidecar-frozen-while-drained",
            "the sidecar of a drained node hangs (SIGSTOP) past the hold time, and goes on",
            "nothing is announced before, during or after, until somebody undrains it",
        )
        .step("SIGSTOP", |lab| lab.node(Who::A).sidecar().signal(Signal::STOP), loses_its_session())
        .is_the_fault()
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), remembers())
        .calm(Duration::from_secs(5))
        .step("undrain", undrain, returns()),
    ]
}

/// A node that has been drained, and has left.
pub(super) fn after_the_deadline(
    name: &'static str,
    fault: &'static str,
    reaction: &'static str,
) -> Scenario {
    Scenario::new(name, fault, reaction).step(
        "drain, and the deadline",
        |lab| {
            lab.pharos(Who::A, &["drain", "--text", "lab"]);
        },
        [decided("draining", ""), leaves("")].concat(),
    )
}

/// A drained node whose sidecar is new, or was away: it looks, and announces nothing.
pub(super) fn remembers() -> Vec<Expect> {
    let seen = [
        Expect::Logged(Who::A, "session up", "10.0.0.1"),
        Expect::Logged(Who::A, "signal", "UDP probe of 192.0.2.53:53"),
    ];
    [seen.to_vec(), still_drained()].concat()
}

/// A drained node whose responder has come back: it is seen to answer, and nothing is announced.
pub(super) fn answers_still_drained() -> Vec<Expect> {
    [vec![Expect::Logged(Who::A, "signal", GOOD)], still_drained()].concat()
}

pub(super) fn still_drained() -> Vec<Expect> {
    [vec![Expect::Why(Who::A, PREFIX4, "drain")], absent()].concat()
}

/// The router has heard that the node is being drained.
fn drain(lab: &mut FaultLab) {
    let since = Instant::now();
    lab.pharos(Who::A, &["drain", "--text", "lab"]);
    lab.wait_for_level(since, "draining", 0);
}

pub(super) fn undrain(lab: &mut FaultLab) {
    lab.pharos(Who::A, &["undrain"]);
}
