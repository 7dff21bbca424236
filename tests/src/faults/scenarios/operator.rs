//! What operators do, and what a push does: nothing of it may cost a query.

use super::super::expect::{at_fra, decided, leaves, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::traffic::{DEAF, pin_transit, unpin_transit};
use super::{
    DEADLINE_LEAST, DEADLINE_MOST, DEADLINE_WHY, QUIET_LEAST, QUIET_MOST, QUIET_WHY, UPDATE, UPDATE_WHY,
};
use crate::lab::{Backbone, PREFIX4, PREFIX6, Plan, TransitPolicy, wait_until};
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "drain",
            "`pharos drain` under load by UDP and by TCP, and the transit network honours GRACEFUL_SHUTDOWN",
            "clients move while the route still stands; it is withdrawn when they are gone; nothing is lost",
        )
        .asked_by_streams()
        .loses(Loss::Nothing)
        .drained(draining(&["a.fra"]), |all| all.when_they_are_gone(left())),
        Scenario::new(
            "drain-stripped",
            "`pharos drain` under load; the transit network strips every community, the backbone does not",
            "the transit network's choice stays; the POP's router sends clients over the backbone; nothing is lost",
        )
        .plan(Plan { transit: TransitPolicy::StripsEverything, backbone: Backbone::Ibgp, ..Plan::default() })
        .loses(Loss::Nothing)
        .drained(draining(&["a.fra"]), |all| all.when_they_are_gone(left())),
        Scenario::new(
            "drain-that-nobody-follows",
            "`pharos drain` under load; the transit network strips every community, and the POPs have no link of their own",
            "clients stay until the deadline; then the route is withdrawn, with the alarm `drain-ignored` until they are gone",
        )
        .plan(Plan { transit: TransitPolicy::StripsEverything, ..Plan::default() })
        .drained(draining(&["a.ams"]), |all| all.at_the_deadline(ignored())),
        Scenario::new(
            "drain-ignored-by-the-router",
            "`pharos drain` under load; the POP's own router and the transit network ignore every community",
            "the same: no more than an alarm, and clients are answered until they have moved",
        )
        .plan(Plan { transit: TransitPolicy::StripsEverything, bird: vec![DEAF], ..Plan::default() })
        .drained(
            [
                decided("draining", "the lab's drain"),
                vec![
                    Expect::Preference(PREFIX4, 150),
                    Expect::Preference(PREFIX6, 150),
                    Expect::Community(PREFIX4, "65535:0"),
                    Expect::Answered(&["a.ams"]),
                ],
            ]
            .concat(),
            |all| all.at_the_deadline(ignored()),
        ),
        Scenario::new(
            "drain-and-the-route-is-kept-upstream",
            "`pharos drain` under load; the routers have static routes to the node, from a repair that nobody undid",
            "withdrawn at the deadline, and clients are answered on; the alarm `drain-ignored` stands while they come, and \
             the node may not stop",
        )
        .loses(Loss::Nothing)
        .prepared(pin)
        .within(UPDATE, UPDATE_WHY)
        .step("drain", drain, draining(&["a.ams"]))
        .at_the_deadline([
            decided("withdrawn", ""),
            vec![
                Expect::Gone(PREFIX4),
                Expect::Gone(PREFIX6),
                Expect::Alarm(Who::A, "drain-ignored", "still come"),
                Expect::Answered(&["a.ams"]),
            ],
        ]
        .concat())
        .calm(Duration::from_secs(5))
        .step("the static routes go", unpin, vec![
            Expect::AlarmOver(Who::A, "drain-ignored"),
            Expect::Answered(&["a.fra"]),
        ])
        .step("undrain", undrain, back()),
        Scenario::new(
            "rolling-upgrade",
            "both processes of every POP are replaced under load by UDP and by TCP, one POP after the other, each drained \
             first",
            "clients are always with a POP that is not being upgraded; nothing is lost",
        )
        .asked_by_streams()
        .loses(Loss::Nothing)
        .within(UPDATE, UPDATE_WHY)
        .step("drain ams", drain, draining(&["a.fra"]))
        .when_they_are_gone(left())
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
            let mut list = at_fra("draining", "");
            list.extend(at_fra("withdrawn", ""));
            list
        })
        .step("replace both processes there", |lab| replace(lab, Who::Fra), {
            let mut list = at_fra("normal", "");
            list.push(Expect::Answered(&["a.ams"]));
            list
        }),
        Scenario::new(
            "refused-push-at-one-pop",
            "a zone with a syntax error is pushed to one POP; to the other it never comes",
            "an alarm there; last good data answer; no route moves",
        )
        .within(Duration::from_secs(2), "the status is fetched once a second")
        .loses(Loss::Nothing)
        .step("push and reload", |lab| {
            push_to(lab, &[Who::A], |good| good.replace("2026112101", "2026112102").replace("192.0.2.25", "192.0.2.256"));
        }, vec![
            Expect::Alarm(Who::A, "zone-refused", "192.0.2.256"),
            Expect::Answered(&["a.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .step("a good push", |lab| {
            push_to(lab, &[Who::A], |bad| bad.replace("192.0.2.256", "192.0.2.25"));
        }, vec![Expect::AlarmOver(Who::A, "zone-refused"), Expect::Answered(&["a.ams"])]),
        Scenario::new(
            "refused-push-everywhere",
            "a zone with a syntax error is pushed to every POP",
            "an alarm at each; last good data answer; no route moves",
        )
        .within(Duration::from_secs(2), "the status is fetched once a second")
        .loses(Loss::Nothing)
        .step("push and reload", |lab| {
            push_to(lab, &[Who::A, Who::Fra], |good| good.replace("2026112101", "2026112102").replace("192.0.2.25", "192.0.2.256"));
        }, vec![
            Expect::Alarm(Who::A, "zone-refused", "192.0.2.256"),
            Expect::Alarm(Who::Fra, "zone-refused", "192.0.2.256"),
            Expect::Answered(&["a.ams"]),
        ])
        .calm(Duration::from_secs(3))
        .step("a good push", |lab| {
            push_to(lab, &[Who::A, Who::Fra], |bad| bad.replace("2026112102", "2026112103").replace("192.0.2.256", "192.0.2.25"));
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

impl Scenario {
    /// The steps of a drain: clients do as they are told or not, the routes go, and it ends.
    fn drained(self, draining: Vec<Expect>, leaves: fn(Self) -> Self) -> Self {
        let told = self.within(UPDATE, UPDATE_WHY).step("drain", drain, draining);
        leaves(told).step("undrain", undrain, back())
    }

    /// The drain has its way before its deadline: next to no query comes any more.
    fn when_they_are_gone(self, left: Vec<Expect>) -> Self {
        self.step("the clients are gone", |_| {}, left).between_from_the_fault(
            QUIET_LEAST,
            QUIET_MOST,
            QUIET_WHY,
        )
    }

    /// The drain ends at its deadline, since queries come still.
    fn at_the_deadline(self, left: Vec<Expect>) -> Self {
        self.step("the deadline", |_| {}, left).between_from_the_fault(
            DEADLINE_LEAST,
            DEADLINE_MOST,
            DEADLINE_WHY,
        )
    }
}

/// While the route stands, clients are answered by these.
fn draining(by: &'static [&'static str]) -> Vec<Expect> {
    let mut list = preferred("draining", "the lab's drain", 0);
    list.extend([
        Expect::Community(PREFIX4, "65535:0"),
        Expect::Alarm(Who::A, "drain-in-force", ""),
        Expect::Why(Who::A, PREFIX4, "the lab's drain"),
        Expect::Answered(by),
    ]);
    list
}

fn left() -> Vec<Expect> {
    leaves("")
}

/// The same, and the alarm about those who still came.
fn ignored() -> Vec<Expect> {
    let said =
        [Expect::Alarm(Who::A, "drain-ignored", "still come"), Expect::AlarmOver(Who::A, "drain-ignored")];
    [leaves(""), said.to_vec()].concat()
}

fn back() -> Vec<Expect> {
    [returns(), vec![Expect::AlarmOver(Who::A, "drain-in-force")]].concat()
}

/// A router on the way keeps to the node whatever it is told.
fn pin(lab: &mut FaultLab) {
    lab.topology.ams.router().namespace.sh("ip route add 192.0.2.53/32 via 10.0.0.2
        ip -6 route add 2001:db8:53::53/128 via fd00::2");
    pin_transit(lab, "10.1.0.2", "fd00:1::2");
}

fn unpin(lab: &mut FaultLab) {
    unpin_transit(lab);
    lab.topology.ams.router().namespace.sh("ip route del 192.0.2.53/32; ip -6 route del 2001:db8:53::53/128");
}

fn push_to(lab: &mut FaultLab, nodes: &[Who], change: fn(&str) -> String) {
    for who in nodes {
        let node = lab.node(*who);
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
