//! Data that are too old, and signatures that end: alarms and preference, and no route goes for what may be bad
//! everywhere at once.

use super::super::expect::{at_fra, decided, leaves, normal_again, preferred, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::{ANNOUNCED, ANNOUNCED_WHY};
use crate::lab::{Backbone, PREFIX4, PREFIX6, Plan, sign_until, source_root, unix_seconds};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

/// The status is fetched once a second, and two readings in a row count.
const STATUS: &str = "the status is fetched once a second, twice";
const GRACED: Duration = Duration::from_secs(14);
const GRACED_WHY: &str = "the status is fetched once a second, twice, and a grace of ten seconds";
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// So long a lab has to be lit before the moment that its scenario waits for.
const TO_BE_LIT: Duration = Duration::from_secs(30);
pub(super) const ZONE: &str = "example.com.zone";

pub(super) fn all() -> Vec<Scenario> {
    [age(), signatures()].concat()
}

fn age() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "data-too-old-at-one-pop",
            "no push reaches one POP any more, and its data pass the age that `data-age` allows",
            "an alarm there; no route moves before the grace of a quarter of an hour is over",
        )
        .plan(bounded())
        .prepared(|lab| {
            push_serial(lab, Who::Fra, unix_seconds() + 3600);
            made_before(lab, Who::A, TO_BE_LIT);
        })
        .within(Duration::from_secs(4), STATUS)
        .loses(Loss::Nothing)
        .step(
            "their time comes",
            FaultLab::strike_when_due,
            vec![Expect::Alarm(Who::A, "data-age", "more than 60 s old"), Expect::Answered(&["a.ams"])],
        )
        .calm(Duration::from_secs(3))
        .step(
            "a push",
            |lab| push_fresh(lab, Who::A),
            vec![Expect::AlarmOver(Who::A, "data-age"), Expect::Answered(&["a.ams"])],
        ),
        Scenario::new(
            "data-too-old-everywhere",
            "no push reaches any POP any more",
            "an alarm at each; no route moves",
        )
        .plan(bounded())
        .prepared(|lab| {
            made_before(lab, Who::Fra, TO_BE_LIT);
            made_before(lab, Who::A, TO_BE_LIT);
        })
        .within(Duration::from_secs(4), STATUS)
        .loses(Loss::Nothing)
        .step(
            "their time comes",
            FaultLab::strike_when_due,
            vec![
                Expect::Alarm(Who::A, "data-age", "more than 60 s old"),
                Expect::Alarm(Who::Fra, "data-age", "more than 60 s old"),
                Expect::Answered(&["a.ams"]),
            ],
        )
        .calm(Duration::from_secs(3)),
        Scenario::new(
            "data-too-old-past-the-grace-at-one-pop",
            "no push reaches one POP any more, and the grace is over, which is ten seconds here; a backbone joins the POPs",
            "degraded there, still announced and answering; clients go to the POP with fresh data",
        )
        .plan(Plan { backbone: Backbone::Ibgp, ..graced() })
        .prepared(|lab| {
            push_serial(lab, Who::Fra, unix_seconds() + 3600);
            made_before(lab, Who::A, TO_BE_LIT);
        })
        .within(GRACED, GRACED_WHY)
        .loses(Loss::Nothing)
        .step("their time comes", FaultLab::strike_when_due, [
            preferred("degraded", "more than 60 s old", 80),
            vec![
                Expect::Alarm(Who::A, "data-age", "more than 60 s old"),
                Expect::Community(PREFIX4, "64512:101"),
                Expect::Why(Who::A, PREFIX4, "more than 60 s old"),
                Expect::Answered(&["a.fra"]),
            ],
        ]
        .concat())
        .calm(Duration::from_secs(2))
        .step("a push", |lab| push_fresh(lab, Who::A), [
            normal_again(),
            vec![Expect::AlarmOver(Who::A, "data-age")],
        ]
        .concat()),
        Scenario::new(
            "data-too-old-past-the-grace-everywhere",
            "no push reaches any POP any more, and the grace is over, which is ten seconds here",
            "degraded at each, and nobody withdraws: nothing is lost",
        )
        .plan(graced())
        .prepared(|lab| {
            made_before(lab, Who::Fra, TO_BE_LIT);
            made_before(lab, Who::A, TO_BE_LIT);
        })
        .within(GRACED, GRACED_WHY)
        .loses(Loss::Nothing)
        .step("their time comes", FaultLab::strike_when_due, [
            preferred("degraded", "more than 60 s old", 80),
            at_fra("degraded", "more than 60 s old"),
            vec![Expect::Answered(&["a.ams"])],
        ]
        .concat())
        .calm(Duration::from_secs(5)),
    ]
}

fn signatures() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "push-of-signatures-near-their-end",
            "signatures that end in two days are pushed to every POP, over ones that last a month",
            "refused with an alarm at each; the data that last longer answer; no route moves",
        )
        .prepared(|lab| {
            let end = SystemTime::now() + 30 * DAY;
            for who in [Who::A, Who::Fra] {
                push_signed(lab, who, 1, end);
            }
        })
        .within(Duration::from_secs(2), "the status is fetched once a second")
        .loses(Loss::Nothing)
        .step(
            "push and reload",
            |lab| {
                let end = SystemTime::now() + 2 * DAY;
                reload_signed(lab, 2, end);
            },
            vec![
                Expect::Alarm(Who::A, "zone-refused", ""),
                Expect::Alarm(Who::Fra, "zone-refused", ""),
                Expect::Answered(&["a.ams"]),
            ],
        )
        .calm(Duration::from_secs(3))
        .step(
            "a good push",
            |lab| {
                let end = SystemTime::now() + 31 * DAY;
                reload_signed(lab, 3, end);
            },
            vec![
                Expect::AlarmOver(Who::A, "zone-refused"),
                Expect::AlarmOver(Who::Fra, "zone-refused"),
                Expect::Answered(&["a.ams"]),
            ],
        ),
        Scenario::new(
            "signatures-near-their-end",
            "a node starts with data whose signatures end in three days",
            "an alarm for a person; announced at level normal",
        )
        .dark(|lab| {
            push_signed(lab, Who::Fra, 1, SystemTime::now() + 30 * DAY);
            push_signed(lab, Who::A, 1, SystemTime::now() + 3 * DAY);
        })
        .within(ANNOUNCED, ANNOUNCED_WHY)
        .loses(Loss::Nothing)
        .step(
            "start both processes",
            |lab| {
                lab.node(Who::A).start_responder();
                lab.node(Who::A).start_sidecar();
            },
            [returns(), vec![Expect::Alarm(Who::A, "signatures", "within 7 days")]].concat(),
        )
        .calm(Duration::from_secs(3))
        .step(
            "a push with good ones",
            |lab| push_good(lab, Who::A),
            vec![Expect::AlarmOver(Who::A, "signatures"), Expect::Answered(&["a.ams"])],
        ),
        Scenario::new(
            "signatures-expire",
            "the signatures of the required zone come to their end at one POP",
            "degraded within their last day; then last resort, still announced and answering",
        )
        .dark(|lab| {
            push_signed(lab, Who::Fra, 1, SystemTime::now() + 30 * DAY);
            push_ending(lab, Who::A);
        })
        .within(Duration::from_secs(4), STATUS)
        .loses(Loss::Nothing)
        .step("start, and their end comes", start_and_wait, {
            let mut list = decided("last-resort", "has expired");
            list.extend([
                Expect::Alarm(Who::A, "signatures", "has expired"),
                Expect::Preference(PREFIX4, 40),
                Expect::Preference(PREFIX6, 40),
                Expect::Community(PREFIX4, "64512:102"),
                Expect::Why(Who::A, PREFIX4, "has expired"),
                Expect::Answered(&["a.ams"]),
            ]);
            list
        })
        .calm(Duration::from_secs(2))
        .step("a push with good ones", |lab| push_good(lab, Who::A), {
            let mut list = decided("normal", "");
            list.extend([
                Expect::Preference(PREFIX4, 100),
                Expect::AlarmOver(Who::A, "signatures"),
                Expect::Answered(&["a.ams"]),
            ]);
            list
        }),
        Scenario::new(
            "signatures-expire-withdraw",
            "the same, and the group says `expired: withdraw`",
            "withdrawn; clients are answered by the POP whose signatures hold",
        )
        .plan(Plan {
            pharos: vec![("degrade: allowed", "degrade: allowed\n      expired: withdraw")],
            ..Plan::default()
        })
        .dark(|lab| {
            push_signed(lab, Who::Fra, 1, SystemTime::now() + 30 * DAY);
            push_ending(lab, Who::A);
        })
        .within(Duration::from_secs(4), STATUS)
        .step("start, and their end comes", start_and_wait, leaves("has expired"))
        .step("a push with good ones", |lab| push_good(lab, Who::A), returns()),
        Scenario::new(
            "signatures-expire-everywhere",
            "the signatures of the required zone come to their end at every POP",
            "last resort at each, and nobody withdraws: who does not validate is served, and nothing is lost",
        )
        .dark(|lab| {
            push_ending(lab, Who::A);
            let end = lab.due.expect("it was set");
            push_signed(lab, Who::Fra, 1, end);
        })
        .within(Duration::from_secs(4), STATUS)
        .loses(Loss::Nothing)
        .step("start, and their end comes", start_and_wait, {
            let at_ams = preferred("last-resort", "has expired", 40);
            [at_ams, at_fra("last-resort", "has expired"), vec![Expect::Answered(&["a.ams"])]].concat()
        })
        .calm(Duration::from_secs(5)),
    ]
}

fn bounded() -> Plan {
    Plan { pharos: vec![("degrade: allowed", "degrade: allowed\n      data-age: 1m")], ..Plan::default() }
}

/// The same, with a grace that a lab can wait for.
fn graced() -> Plan {
    let mut plan = bounded();
    plan.pharos.push(("drain-time: 10s", "drain-time: 10s\n  data-grace: 10s"));
    plan
}

/// The node's zone says by its serial that it will be a minute old in so much, which is then due.
fn made_before(lab: &mut FaultLab, who: Who, too_old_in: Duration) {
    lab.set_due(too_old_in);
    push_serial(lab, who, unix_seconds() + too_old_in.as_secs() - 60);
}

fn push_serial(lab: &mut FaultLab, who: Who, serial: u64) {
    lab.node(who).push_zone(ZONE, &sample().replace("2026112101", &serial.to_string()));
}

/// The sample with the time as its serial, signed for a month.
pub(super) fn push_fresh_signed(lab: &mut FaultLab, who: Who) {
    let text = sample().replace("2026112101", &unix_seconds().to_string());
    let signed = sign_until(&lab.topology.workspace, &text, SystemTime::now() + 30 * DAY);
    lab.node(who).push_zone(ZONE, &signed);
}

fn push_fresh(lab: &mut FaultLab, who: Who) {
    push_serial(lab, who, unix_seconds() + 3600);
    lab.pharos(who, &["reload"]);
}

fn sample() -> String {
    fs::read_to_string(source_root().join("zones").join(ZONE)).expect("the zone is one of the samples")
}

/// Pushes the sample with this number in its serial, signed until then.
pub(super) fn push_signed(lab: &mut FaultLab, who: Who, number: u32, end: SystemTime) {
    let text = sample().replace("2026112101", &format!("20261121{number:02}"));
    let signed = sign_until(&lab.topology.workspace, &text, end);
    lab.node(who).push_zone(ZONE, &signed);
}

pub(super) fn push_ending(lab: &mut FaultLab, who: Who) {
    let end = lab.set_due(TO_BE_LIT);
    push_signed(lab, who, 1, end);
}

fn reload_signed(lab: &mut FaultLab, number: u32, end: SystemTime) {
    for who in [Who::A, Who::Fra] {
        push_signed(lab, who, number, end);
        // A refusal is this command's exit code; the alarms are what counts.
        let _ = lab.node(who).pharos(&["reload"]);
    }
}

pub(super) fn push_good(lab: &mut FaultLab, who: Who) {
    push_signed(lab, who, 2, SystemTime::now() + 30 * DAY);
    lab.pharos(who, &["reload"]);
}

/// Starts the first node of ams, waits until its last day has made it degraded, and then for the end.
pub(super) fn start_and_wait(lab: &mut FaultLab) {
    let since = Instant::now();
    lab.node(Who::A).start_responder();
    lab.node(Who::A).start_sidecar();
    lab.wait_for_level(since, "degraded", 80);
    lab.strike_when_due();
}
