//! The host around the processes: what is missing at boot, clocks, a second instance.

use super::super::expect::{absent, decided, preferred, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::data::{ZONE, push_fresh_signed};
use super::{ANNOUNCED, ANNOUNCED_WHY, HOLD_DOWN};
use crate::lab::{Backbone, ClockKind, Edit, PREFIX4, PREFIX6, Plan};
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
            [
                vec![
                    Expect::Logged(Who::A, "session up", ""),
                    Expect::Why(Who::A, PREFIX4, "example.com"),
                ],
                absent(),
            ]
            .concat(),
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
        )
        .between(HOLD_DOWN, ANNOUNCED, ANNOUNCED_WHY),
        Scenario::new(
            "clock-jumps",
            "the wall clock of both processes of a node jumps a year ahead, then six back, and then to the truth; the zone is \
             signed, `data-age` is an hour, and new data are pushed each time",
            "an alarm that the clock is not believed, and nothing else: no level changes, nothing is said of ages and \
             signatures, and each push answers",
        )
        .plan(Plan { clock: ClockKind::Shifted, pharos: vec![AN_HOUR, AT_ONCE], ..Plan::default() })
        .prepared(push_fresh_everywhere)
        .within(Duration::from_secs(2), "the status is fetched once a second")
        .loses(Loss::Nothing)
        .never_alarm("data-age")
        .never_alarm("signatures")
        .never_alarm("zone-refused")
        .jumps("a year ahead", |lab| lab.node(Who::A).clock().set(YEAR), "has stepped")
        .jumps("six years back", |lab| lab.node(Who::A).clock().set(-5 * YEAR), "before this version was made")
        .jumps("five years ahead", |lab| lab.node(Who::A).clock().set(0), "has stepped"),
        Scenario::new(
            "clock-wrong-at-start",
            "a node starts with a clock that is six years behind, as after a power cut without a battery",
            "an alarm; what the clock judges is ignored, all zones load, and the node is announced",
        )
        .plan(Plan { clock: ClockKind::Shifted, ..Plan::default() })
        .dark(|lab| lab.node(Who::A).clock().set(-6 * YEAR))
        .within(ANNOUNCED, ANNOUNCED_WHY)
        .loses(Loss::Nothing)
        .step(
            "start both processes",
            |lab| {
                lab.node(Who::A).start_responder();
                lab.node(Who::A).start_sidecar();
            },
            {
                let mut list = returns();
                list.push(Expect::Alarm(Who::A, "clock", ""));
                list
            },
        ),
        Scenario::new(
            "address-removed",
            "the anycast IPv4 address is taken off the node",
            "IPv4 withdrawn at once; IPv6 stays as it is",
        )
        .within(Duration::from_millis(500), "the host's addresses are looked at four times a second")
        .step(
            "ip address del",
            |lab| {
                lab.node(Who::A).namespace.sh("ip address del 192.0.2.53/32 dev lo");
            },
            vec![
                Expect::Level { who: Who::A, prefix: PREFIX4, level: "withdrawn", because: "192.0.2.53" },
                Expect::Gone(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Alarm(Who::A, "address", "is gone"),
                Expect::Answered(&["a.ams", "a.fra"]),
            ],
        )
        .calm(Duration::from_secs(1))
        .step(
            "ip address add",
            |lab| {
                lab.node(Who::A).namespace.sh("ip address add 192.0.2.53/32 dev lo");
            },
            vec![
                Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
                Expect::Back(PREFIX4),
                Expect::AlarmOver(Who::A, "address"),
                Expect::Answered(&["a.ams"]),
            ],
        ),
        Scenario::new(
            "default-routes-gone",
            "the node's default routes vanish: queries arrive, and no reply leaves",
            "an alarm, and degraded after a grace of five seconds; never withdrawn for it",
        )
        .plan(Plan { backbone: Backbone::Ibgp, ..Plan::default() })
        .within(Duration::from_secs(7), "two looks a quarter second apart, and a grace of five seconds")
        .step(
            "ip route del default",
            |lab| {
                lab.node(Who::A).namespace.sh("ip route del default; ip -6 route del default");
            },
            {
                let mut list = decided("degraded", "default route");
                list.extend([
                    Expect::Alarm(Who::A, "default-route", ""),
                    Expect::Preference(PREFIX4, 80),
                    Expect::Preference(PREFIX6, 80),
                    Expect::Answered(&["a.fra"]),
                ]);
                list
            },
        )
        .step(
            "ip route add default",
            |lab| {
                lab.node(Who::A)
                    .namespace
                    .sh("ip route add default via 10.0.0.1; ip -6 route add default via fd00::1");
            },
            {
                let mut list = preferred("normal", "", 100);
                list.extend([Expect::AlarmOver(Who::A, "default-route"), Expect::Answered(&["a.ams"])]);
                list
            },
        ),
        Scenario::new(
            "second-instance",
            "a second responder is started on the same addresses, by mistake",
            "it refuses to start; the first one answers on",
        )
        .loses(Loss::Nothing)
        .step("start another", |lab| second(lab, "serve"), stays())
        .calm(Duration::from_secs(1)),
        Scenario::new(
            "second-sidecar",
            "a second sidecar is started beside the running one, by mistake",
            "it refuses to start; the first one keeps its sessions",
        )
        .loses(Loss::Nothing)
        .never("session down")
        .step("start another", |lab| second(lab, "announce"), stays())
        .calm(Duration::from_secs(2)),
    ]
}

/// Seconds.
pub(super) const YEAR: i64 = 365 * 86_400;
const AN_HOUR: Edit = ("degrade: allowed", "degrade: allowed\n      data-age: 1h");
/// What is too old asks for less at once.
const AT_ONCE: Edit = ("drain-time: 10s", "drain-time: 10s\n  data-grace: 1s");

impl Scenario {
    /// The clock jumps, and is not believed for these words; then there is a push.
    fn jumps(self, what: &'static str, act: fn(&mut FaultLab), because: &'static str) -> Self {
        let doubted = vec![
            Expect::Saw(Who::A, "clock of this host", because),
            Expect::That("there is an alarm of the clock", |lab| {
                lab.node(Who::A).alarms().iter().any(|kind| kind == "clock")
            }),
        ];
        // Later ones find the alarm in force, with other words.
        let raised = self.steps.is_empty().then_some(Expect::Alarm(Who::A, "clock", because));
        let doubted = [raised.into_iter().collect(), doubted, stays()].concat();
        self.step(what, act, doubted)
            .calm(Duration::from_secs(6))
            .step("a push meanwhile", push_fresh, {
                [vec![Expect::That("the new data answer", new_data_answer)], stays()].concat()
            })
            .calm(Duration::from_secs(3))
    }
}

fn push_fresh_everywhere(lab: &mut FaultLab) {
    push_fresh_signed(lab, Who::Fra);
    push_fresh_signed(lab, Who::A);
}

fn push_fresh(lab: &mut FaultLab) {
    push_fresh_signed(lab, Who::A);
    lab.pharos(Who::A, &["reload"]);
}

/// Whether the serial that answers is that of the file.
fn new_data_answer(lab: &mut FaultLab) -> bool {
    let zone = lab.node(Who::A).zone_status("example.com.").unwrap_or_default();
    let serial = zone.get("serial").and_then(serde_json::Value::as_u64);
    serial.is_some_and(|serial| lab.node(Who::A).zone_text(ZONE).contains(&serial.to_string()))
}

/// Starts a process beside the one that runs, which must refuse and say why.
fn second(lab: &mut FaultLab, command: &str) {
    let output = lab.node(Who::A).second(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(1..=99)),
        "the second one did not refuse: {:?}, {said}",
        output.status
    );
    let reasons = ["another", "already", "lock", "in use"];
    assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
}
