//! The host around the processes: what is missing at boot, clocks, a second instance.

use super::super::expect::returns;
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use crate::lab::{ClockKind, PREFIX4, PREFIX6, Plan};
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "required-zone-missing-at-boot",
            "a node starts without its required zone",
            "it stays withdrawn and says why; it is announced once the zone is there",
        )
        .dark(|lab| {
            let zone = lab.node(Who::A).zones().join("example.com.zone");
            std::fs::rename(&zone, zone.with_extension("later")).expect("the zone is one of the samples");
        })
        .loses(Loss::Nothing)
        .step(
            "start both processes",
            |lab| {
                lab.node(Who::A).start_responder();
                lab.node(Who::A).start_sidecar();
            },
            vec![
                Expect::Logged(Who::A, "session up", ""),
                Expect::Why(Who::A, PREFIX4, "example.com"),
                Expect::Answered(&["a.fra"]),
            ],
        )
        .calm(Duration::from_secs(4))
        .step(
            "push the zone",
            |lab| {
                let zone = lab.node(Who::A).zones().join("example.com.zone");
                std::fs::rename(zone.with_extension("later"), &zone).expect("it was put there");
                lab.pharos(Who::A, &["reload"]);
            },
            returns(),
        ),
        Scenario::new(
            "clock-jumps",
            "the wall clock of both processes of a node jumps a year ahead, then five back",
            "no route moves, no answer changes; the clocks that decide are steady ones",
        )
        .plan(Plan { clock: ClockKind::Shifted, ..Plan::default() })
        .loses(Loss::Nothing)
        .step("a year ahead", |lab| lab.node(Who::A).clock().set(YEAR), stays())
        .calm(Duration::from_secs(4))
        .step("five years back", |lab| lab.node(Who::A).clock().set(-5 * YEAR), stays())
        .calm(Duration::from_secs(4))
        .step(
            "a reload meanwhile",
            |lab| {
                lab.pharos(Who::A, &["reload"]);
            },
            stays(),
        )
        .calm(Duration::from_secs(2)),
        Scenario::new(
            "second-instance",
            "a second responder is started on the same addresses, by mistake",
            "it refuses to start; the first one answers on",
        )
        .loses(Loss::Nothing)
        .step("start another", second_instance, stays())
        .calm(Duration::from_secs(1)),
    ]
}

/// Seconds.
const YEAR: i64 = 365 * 86_400;

fn stays() -> Vec<Expect> {
    vec![Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams"])]
}

fn second_instance(lab: &mut FaultLab) {
    let output = lab.node(Who::A).pharos(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "the second instance ended well: {said}");
    assert!(said.contains("another") || said.contains("already") || said.contains("lock"), "{said}");
}
