//! What operators do, and what a push does: nothing of it may cost a query.

use super::super::expect::decided;
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use crate::lab::{Backbone, PREFIX4, PREFIX6, Plan, TransitPolicy, wait_until};
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "drain",
            "`pharos drain` under load, and the transit network honours GRACEFUL_SHUTDOWN",
            "clients move while the route still stands; it is withdrawn at the deadline; nothing is lost",
        )
        .within(Duration::from_millis(500), "one UPDATE")
        .loses(Loss::Nothing)
        .step("drain", drain, draining())
        .step("the deadline", |_| {}, left())
        .step("undrain", undrain, back()),
        Scenario::new(
            "drain-stripped",
            "`pharos drain` under load; the transit network strips every community, the backbone does not",
            "the transit network's choice stays; the POP's router sends clients over the backbone; nothing is lost",
        )
        .plan(Plan { transit: TransitPolicy::StripsEverything, backbone: Backbone::Ibgp, ..Plan::default() })
        .within(Duration::from_millis(500), "one UPDATE")
        .loses(Loss::Nothing)
        .step("drain", drain, draining())
        .step("the deadline", |_| {}, left())
        .step("undrain", undrain, back()),
        Scenario::new(
            "drain-that-nobody-follows",
            "`pharos drain` under load; the transit network strips every community, and the POPs have no link of their own",
            "clients stay until the deadline; then the route is withdrawn, and they move",
        )
        .plan(Plan { transit: TransitPolicy::StripsEverything, ..Plan::default() })
        .within(Duration::from_millis(500), "one UPDATE")
        .step("drain", drain, {
            let mut list = draining();
            list.pop();
            list.push(Expect::Answered(&["a.ams"]));
            list
        })
        .step("the deadline", |_| {}, left())
        .step("undrain", undrain, back()),
        Scenario::new(
            "rolling-upgrade",
            "both processes of every POP are replaced, one POP after the other, each drained first",
            "clients are always with a POP that is not being upgraded; nothing is lost",
        )
        .loses(Loss::Nothing)
        .step("drain ams", drain, draining())
        .step("the deadline", |_| {}, left())
        .step("replace both processes", |lab| replace(lab, Who::A), vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
            Expect::Level { who: Who::A, prefix: PREFIX6, level: "normal", because: "" },
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams"]),
        ])
        .step("drain fra", |lab| {
            lab.pharos(Who::Fra, &["drain", "--text", "the lab's drain"]);
        }, {
            let mut list = at_fra("draining");
            list.extend(at_fra("withdrawn"));
            list
        })
        .step("replace both processes there", |lab| replace(lab, Who::Fra), {
            let mut list = at_fra("normal");
            list.push(Expect::Answered(&["a.ams"]));
            list
        }),
        Scenario::new(
            "refused-push-everywhere",
            "a zone with a syntax error is pushed to every POP",
            "an alarm at each; last good data answer; no route moves",
        )
        .within(Duration::from_secs(2), "the status is fetched once a second")
        .loses(Loss::Nothing)
        .step("push and reload", |lab| {
            push_everywhere(lab, |good| good.replace("2026112101", "2026112102").replace("192.0.2.25", "192.0.2.256"));
        }, vec![
            Expect::Alarm(Who::A, "zone-refused", "192.0.2.256"),
            Expect::Alarm(Who::Fra, "zone-refused", "192.0.2.256"),
            Expect::Answered(&["a.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .step("a good push", |lab| {
            push_everywhere(lab, |bad| bad.replace("2026112102", "2026112103").replace("192.0.2.256", "192.0.2.25"));
        }, vec![
            Expect::AlarmOver(Who::A, "zone-refused"),
            Expect::AlarmOver(Who::Fra, "zone-refused"),
            Expect::Answered(&["a.ams"]),
        ]),
    ]
}

fn drain(lab: &mut FaultLab) {
    lab.strike();
    lab.pharos(Who::A, &["drain", "--text", "the lab's drain"]);
}

fn undrain(lab: &mut FaultLab) {
    lab.pharos(Who::A, &["undrain"]);
}

fn draining() -> Vec<Expect> {
    let mut list = decided("draining", "the lab's drain");
    list.extend([
        Expect::Preference(PREFIX4, 0),
        Expect::Preference(PREFIX6, 0),
        Expect::Community(PREFIX4, "65535:0"),
        Expect::Alarm(Who::A, "drain-in-force", ""),
        Expect::Why(Who::A, PREFIX4, "the lab's drain"),
        Expect::Answered(&["a.fra"]),
    ]);
    list
}

fn left() -> Vec<Expect> {
    let mut list = decided("withdrawn", "");
    list.extend([Expect::Gone(PREFIX4), Expect::Gone(PREFIX6), Expect::Answered(&["a.fra"])]);
    list
}

fn back() -> Vec<Expect> {
    let mut list = decided("normal", "");
    list.extend([
        Expect::Back(PREFIX4),
        Expect::Back(PREFIX6),
        Expect::Preference(PREFIX4, 100),
        Expect::AlarmOver(Who::A, "drain-in-force"),
        Expect::Answered(&["a.ams"]),
    ]);
    list
}

fn push_everywhere(lab: &mut FaultLab, change: fn(&str) -> String) {
    for who in [Who::A, Who::Fra] {
        let node = lab.node(who);
        let text = change(&node.zone_text("example.com.zone"));
        node.push_zone("example.com.zone", &text);
        // A refusal is this command's exit code; the alarms are what counts.
        let _ = node.pharos(&["reload"]);
    }
}

/// As a package's upgrade does: stopped in order, started anew, and the drain ended, which the node remembers.
fn replace(lab: &mut FaultLab, who: Who) {
    let node = lab.node(who);
    node.responder().signal(Signal::TERM);
    node.sidecar().signal(Signal::TERM);
    wait_until("both have ended", || node.responder().ended().is_some() && node.sidecar().ended().is_some());
    node.start_responder();
    node.start_sidecar();
    wait_until("the new sidecar takes the word", || {
        node.pharos(&["undrain", "--text", "upgraded"]).status.success()
    });
}

fn at_fra(level: &'static str) -> Vec<Expect> {
    [PREFIX4, PREFIX6].map(|prefix| Expect::Level { who: Who::Fra, prefix, level, because: "" }).to_vec()
}
