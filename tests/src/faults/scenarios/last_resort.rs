//! The same deaths at level last resort: the signatures of the required zone have come to their end at one POP.
//!
//! What was seen to end by a clock that was believed is not forgotten because a process starts anew.

use super::super::expect::{DEAD, decided, gone, leaves, normal_again, preferred};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::data::{DAY, push_ending, push_good, push_signed, start_and_wait};
use crate::lab::{PREFIX4, PREFIX6};
use rustix::process::Signal;
use std::time::{Duration, Instant, SystemTime};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        lapsed(
            "responder-killed-while-last-resort",
            "kill -9 of the responder of a node at last resort, and a start on the same data",
            "withdrawn at once; back no better than last resort, until a push brings signatures that hold",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step(
            "at last resort, kill -9",
            |lab| {
                at_last_resort(lab);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        // The status falls silent, and is missed.
        .calm(Duration::from_secs(8))
        .step("start again", |lab| lab.node(Who::A).start_responder(), back_at_last_resort())
        .mended(),
        lapsed(
            "responder-frozen-while-last-resort",
            "the responder of a node at last resort hangs (SIGSTOP)",
            "withdrawn at once; back no better than last resort, until a push brings signatures that hold",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, 200 ms each without an answer")
        .step(
            "at last resort, SIGSTOP",
            |lab| {
                at_last_resort(lab);
                lab.strike();
                lab.node(Who::A).responder().signal(Signal::STOP);
            },
            leaves("no answer within"),
        )
        .calm(Duration::from_secs(8))
        .step("SIGCONT", |lab| lab.node(Who::A).responder().signal(Signal::CONT), back_at_last_resort())
        .mended(),
        lapsed(
            "sidecar-killed-while-last-resort",
            "kill -9 of the sidecar of a node at last resort, and a start",
            "the routes go at once, and come back no better than last resort",
        )
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step(
            "at last resort, kill -9",
            |lab| {
                at_last_resort(lab);
                lab.kill_sidecar(Who::A);
            },
            gone(),
        )
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), back_at_last_resort())
        .mended(),
        lapsed(
            "sidecar-frozen-while-last-resort",
            "the sidecar of a node at last resort hangs (SIGSTOP) past the hold time, and goes on",
            "declared: the routes stay as they are for the hold time; they come back no better than last resort",
        )
        .within(Duration::from_secs(9), "the hold time")
        .step(
            "at last resort, SIGSTOP",
            |lab| {
                at_last_resort(lab);
                lab.strike();
                lab.node(Who::A).sidecar().signal(Signal::STOP);
            },
            gone(),
        )
        .step("SIGCONT", |lab| lab.node(Who::A).sidecar().signal(Signal::CONT), {
            [decided("withdrawn", "nothing seen"), back_at_last_resort()].concat()
        })
        .mended(),
        lapsed(
            "status-silent-while-last-resort",
            "the responder's status page falls silent at a node at last resort, and answers again",
            "nothing but an alarm: nobody has said that the signatures hold",
        )
        .within(Duration::from_secs(4), "the status is fetched once a second, with a second's patience, twice")
        .loses(Loss::Nothing)
        .step(
            "at last resort, drop TCP 9153",
            |lab| {
                at_last_resort(lab);
                lab.strike();
                lab.filter(Who::A, "tcp dport 9153 drop");
            },
            vec![Expect::Alarm(Who::A, "status-unreachable", ""), Expect::Answered(&["a.ams"])],
        )
        .calm(Duration::from_secs(12))
        .step("let it through", |lab| lab.unfilter(Who::A), vec![
            Expect::AlarmOver(Who::A, "status-unreachable"),
            Expect::Preference(PREFIX4, 40),
            Expect::Preference(PREFIX6, 40),
            Expect::Answered(&["a.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .mended(),
    ]
}

/// Signatures that last at fra, and end soon at the first node of ams.
fn lapsed(name: &'static str, fault: &'static str, reaction: &'static str) -> Scenario {
    Scenario::new(name, fault, reaction).dark(|lab| {
        push_signed(lab, Who::Fra, 1, SystemTime::now() + 30 * DAY);
        push_ending(lab, Who::A);
    })
}

impl Scenario {
    fn mended(self) -> Self {
        self.step("a push with good ones", |lab| push_good(lab, Who::A), normal_again())
    }
}

/// Starts the node, waits until its signatures have ended, and until its router has heard of it.
fn at_last_resort(lab: &mut FaultLab) {
    let since = Instant::now();
    start_and_wait(lab);
    lab.wait_for_level(since, "last-resort", 40);
}

fn back_at_last_resort() -> Vec<Expect> {
    let rest = [
        Expect::Back(PREFIX4),
        Expect::Back(PREFIX6),
        Expect::Why(Who::A, PREFIX4, "has expired"),
        Expect::Answered(&["a.ams"]),
    ];
    [preferred("last-resort", "", 40), rest.to_vec()].concat()
}
