//! Plays one scenario once, and measures.

use super::expect::{Kind, returned};
use super::{Expect, FaultLab, Loss, Routers, Scenario, Since, Step, Who};
use crate::lab::{GUARD, NodeEvent, PREFIX4, PREFIX6, STANDSTILL, Standstills, Tallies, Watcher};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The pause between two looks at what is still expected: a quarter of the smallest bound would be far more.
const LOOK: Duration = Duration::from_millis(3);

/// What one repetition found. Times are in milliseconds from the fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// Until the sidecar had decided; where no level changes, until its alarm.
    pub detection_ms: Option<f64>,
    /// Until the neighbour's route had changed.
    pub convergence_ms: Option<f64>,
    /// Until clients were answered by whom they should be.
    pub clients_ms: Option<f64>,
    /// Queries over UDP from the fault until all that was expected of it had come, and how many were lost.
    pub udp: [u64; 2],
    /// The same over TCP.
    pub tcp: [u64; 2],
    /// Queries lost from the fault to the end over connections that were open at the moment when a route moved.
    #[serde(default)]
    pub cut: u64,
    /// Queries lost later, in the steps after the fault.
    pub lost_later: u64,
    /// Until later steps that have bounds of their own had their reactions, in the order of the steps.
    #[serde(default)]
    pub later_ms: Vec<f64>,
    /// Answers that were none.
    pub wrong: u64,
    /// Changes of a level that nobody expected.
    pub false_reactions: Vec<String>,
    /// What the neighbour counted: updates and withdrawals from the fault to the end.
    pub neighbour: Vec<String>,
    /// What failed; empty if all was as expected.
    pub failures: Vec<String>,
}

/// A repetition that does not count, because the machine stood still.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Discarded {
    /// For so long.
    pub stood_ms: f64,
    /// What failed in it, if anything.
    pub failures: Vec<String>,
}

/// A change of a level that a step expected, or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    node: String,
    prefix: String,
    to: String,
}

/// A machine that did not let the lab itself run for so long cannot blame the sidecar, to whom a responder that is silent
/// for 450 ms is dead. So long no machine makes anybody wait that is the lab's alone.
const STARVED: Duration = Duration::from_millis(300);
/// So many repetitions may be spoilt in a row.
const MOST_SPOILT: u32 = 5;

/// Plays the scenario once; again, if the machine stood still meanwhile, or failed it while it let nobody run. Tells of
/// those attempts as well.
pub fn run(scenario: &Scenario) -> (Repetition, Vec<Discarded>) {
    let mut discarded = Vec::new();
    for _ in 0..MOST_SPOILT {
        let standstill = Standstills::watch(Watcher::OnEachCore);
        let repetition = run_once(scenario);
        let longest = standstill.longest();
        if longest < if repetition.failures.is_empty() { STANDSTILL } else { STARVED } {
            return (repetition, discarded);
        }
        println!(
            "    {}: the machine stood still for {longest:.1?}, so this one does not count",
            scenario.name
        );
        repetition.failures.iter().for_each(|failure| println!("    it would have failed: {failure}"));
        let stood_ms = longest.as_secs_f64() * 1e3;
        discarded.push(Discarded { stood_ms, failures: repetition.failures });
    }
    let why = format!("the machine stood still in each of {MOST_SPOILT} attempts");
    (Repetition { failures: vec![why], ..Repetition::default() }, discarded)
}

fn run_once(scenario: &Scenario) -> Repetition {
    let played = catch_unwind(AssertUnwindSafe(|| play(scenario)));
    played.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let why = words.unwrap_or_else(|| "a panic without words".to_owned());
        Repetition { failures: vec![why], ..Repetition::default() }
    })
}

fn play(scenario: &Scenario) -> Repetition {
    let mut lab = FaultLab::build(scenario.plan.clone(), scenario.begin);
    let mut counted = Vec::new();
    let mut result = Repetition::default();
    let mut expected = Vec::new();
    let (mut begun, mut fault) = (None, None);
    // What must not be there is looked for from the end of the step before, so that nothing falls in between.
    let mut entered = Instant::now();
    for (number, step) in scenario.steps.iter().enumerate() {
        let heard = (step.routers == Routers::HearNothing).then(|| lab.topology.ams.listen());
        if number == scenario.fault_step {
            counted = lab.topology.ams.route_changes();
        }
        lab.strike();
        (step.act)(&mut lab);
        let since = lab.struck;
        begun.get_or_insert(since);
        let moments = wait_for_all(&mut lab, step, since);
        expected.extend(step.expect.iter().filter_map(change));
        let settled = Instant::now();
        calm(step);
        judge_hold(&mut result, step, &mut lab, since, settled);
        let end = Instant::now();
        judge_news(&mut result, step, &lab, entered, &moments);
        entered = end;
        let tallies = lab.traffic.tally(since, end);
        result.wrong += tallies.udp.wrong + tallies.tcp.wrong;
        if number == scenario.fault_step {
            fault = Some(since);
            measure(&mut result, since, step, &moments, tallies);
        } else if number > scenario.fault_step {
            result.lost_later += tallies.udp.lost + tallies.tcp.lost;
        }
        if number >= scenario.fault_step {
            result.cut += lab.traffic.cut(since, end, &lab.moves(since));
        }
        measure_later(&mut result, step, fault.unwrap_or(since), since, &moments);
        judge_losses(&mut result, scenario, step, &lab, since, &moments, end);
        if let Some(before) = heard {
            judge_hearing(&mut result, step, &lab, before);
        }
    }
    let tolerated = |prefix: &str, level: &str| Change {
        node: Who::A.nsid().to_owned(),
        prefix: prefix.to_owned(),
        to: level.to_owned(),
    };
    expected
        .extend(scenario.tolerates.iter().flat_map(|level| [PREFIX4, PREFIX6].map(|p| tolerated(p, level))));
    if let Some(begun) = begun {
        judge_changes(&mut result, &lab, begun, expected);
        judge_silence(&mut result, scenario, &lab, begun);
    }
    if result.wrong > 0 {
        result.failures.push(format!("{} wrong answers", result.wrong));
    }
    result.neighbour = difference(&counted, &lab.topology.ams.route_changes());
    if !result.failures.is_empty() {
        lab.topology.workspace.keep();
    }
    result
}

/// The moments at which each of the step's expectations came true first, once those about the present are so all at once.
fn wait_for_all(lab: &mut FaultLab, step: &Step, since: Instant) -> Vec<Instant> {
    let mut moments: Vec<Option<Instant>> = vec![None; step.expect.len()];
    loop {
        let cheap_ones_met =
            moments.iter().zip(&step.expect).all(|(moment, expect)| moment.is_some() || expect.is_costly());
        for (moment, expect) in moments.iter_mut().zip(&step.expect) {
            if moment.is_none() && (cheap_ones_met || !expect.is_costly()) {
                *moment = expect.met(lab, since);
            }
        }
        let mut lapsed = Vec::new();
        if let Some(moments) = moments.iter().copied().collect::<Option<Vec<_>>>() {
            lapsed = lapses(lab, step, since);
            if lapsed.is_empty() {
                return moments;
            }
        }
        let missing = step.expect.iter().zip(&moments).filter(|(_, moment)| moment.is_none());
        assert!(
            since.elapsed() < GUARD,
            "{}: not within {} s: {:?}; was so and is not any more: {lapsed:?}\nevents: {:#?}",
            step.what,
            GUARD.as_secs(),
            missing.map(|(expect, _)| expect).collect::<Vec<_>>(),
            recent(lab, since),
        );
        std::thread::sleep(if cheap_ones_met { 20 * LOOK } else { LOOK });
    }
}

/// What the step expects of the present, and is not so now.
fn lapses<'s>(lab: &mut FaultLab, step: &'s Step, since: Instant) -> Vec<&'s Expect> {
    let states = step.expect.iter().filter(|expect| expect.is_state());
    states.filter(|expect| expect.met(lab, since).is_none()).collect()
}

/// What the sidecars said since then, for those who look for the cause.
fn recent(lab: &FaultLab, since: Instant) -> Vec<String> {
    let of = |events: Vec<NodeEvent>, node: String| {
        events.into_iter().map(move |event| {
            format!("{node} +{:.3} {}", event.at.duration_since(since).as_secs_f64(), event.fields)
        })
    };
    lab.nodes().iter().flat_map(|node| of(node.events(since), node.nsid().to_owned())).collect()
}

/// The one wait for time alone: that nothing happens can only be seen by waiting.
fn calm(step: &Step) {
    std::thread::sleep(step.calm);
}

/// After its calm everything about the present is as it was before, and nobody else has answered meanwhile.
fn judge_hold(result: &mut Repetition, step: &Step, lab: &mut FaultLab, since: Instant, settled: Instant) {
    for lapsed in lapses(lab, step, since) {
        result.failures.push(format!("{}: in the calm after it came to an end: {lapsed:?}", step.what));
    }
    for expect in &step.expect {
        let Expect::Answered(nodes) = expect else { continue };
        let mut others = lab.traffic.answered_by(settled, Instant::now());
        others.retain(|other| !nodes.contains(&other.as_str()));
        if !others.is_empty() {
            result.failures.push(format!("{}: in the calm after it {others:?} answered", step.what));
        }
    }
}

/// What was gone, or had to be away all the while, did not come back at a router for a moment. `entered` is when the step
/// before had ended.
fn judge_news(result: &mut Repetition, step: &Step, lab: &FaultLab, entered: Instant, moments: &[Instant]) {
    for (expect, moment) in step.expect.iter().zip(moments) {
        let Some((prefix, most)) = expect.most_nodes() else { continue };
        let after = if matches!(expect, Expect::Absent(_)) { entered } else { *moment };
        for router in &lab.topology.ams.routers {
            result.failures.extend(returned(&router.routes.news(prefix), after, most).iter().map(|news| {
                let late = news.at.duration_since(after).as_secs_f64();
                let by = news.gateways.join(", ");
                format!("{}: {expect:?}, and {late:.3} s later it is there by {by}", step.what)
            }));
        }
    }
}

/// The last moment of one kind, from then on.
fn last(step: &Step, moments: &[Instant], kind: Kind, since: Instant) -> Option<f64> {
    let of_kind = step.expect.iter().zip(moments).filter(|(expect, _)| expect.kind() == kind);
    of_kind.map(|(_, at)| at.saturating_duration_since(since).as_secs_f64() * 1e3).reduce(f64::max)
}

fn measure(result: &mut Repetition, since: Instant, step: &Step, moments: &[Instant], tallies: Tallies) {
    let last = |kind| last(step, moments, kind, since);
    result.detection_ms = last(Kind::Detection).or_else(|| last(Kind::Alarm));
    result.convergence_ms = last(Kind::Convergence);
    result.clients_ms = last(Kind::Clients);
    result.udp = [tallies.udp.sent, tallies.udp.lost];
    result.tcp = [tallies.tcp.sent, tallies.tcp.lost];
}

/// What a step with bounds of its own is held against them by: its decision, or its alarm where there is none, and the
/// neighbour's change, whichever is later.
fn measure_later(result: &mut Repetition, step: &Step, fault: Instant, since: Instant, moments: &[Instant]) {
    let Some(timed) = step.timed else { return };
    let from = match timed.since {
        Since::Step => since,
        Since::Fault => fault,
    };
    let last = |kind| last(step, moments, kind, from);
    let decided = last(Kind::Detection).or_else(|| last(Kind::Alarm));
    let judged = [decided, last(Kind::Convergence)].into_iter().flatten().reduce(f64::max);
    result.later_ms.extend(judged);
}

fn judge_losses(
    result: &mut Repetition,
    scenario: &Scenario,
    step: &Step,
    lab: &FaultLab,
    since: Instant,
    moments: &[Instant],
    end: Instant,
) {
    let clients = step.expect.iter().zip(moments).filter(|(expect, _)| expect.kind() == Kind::Clients);
    let settled = clients.map(|(_, at)| *at).max();
    let from = match (scenario.loss, settled) {
        (Loss::Any, _) | (Loss::UntilConverged, None) => return,
        (Loss::Nothing | Loss::Connections, _) => since,
        (Loss::UntilConverged, Some(settled)) => settled,
    };
    let tallies = lab.traffic.tally(from, end);
    let (udp, tcp) = (tallies.udp, tallies.tcp);
    let cut = lab.traffic.cut(from, end, &lab.moves(since));
    if udp.lost > 0 || scenario.loss != Loss::Connections && tcp.lost > cut {
        let of = format!("{} of {} over UDP, {} of {} over TCP", udp.lost, udp.sent, tcp.lost, tcp.sent);
        result.failures.push(format!("{}: lost {of}", step.what));
    }
}

fn change(expect: &Expect) -> Option<Change> {
    let Expect::Level { who, prefix, level, .. } = expect else { return None };
    Some(Change { node: who.nsid().to_owned(), prefix: (*prefix).to_owned(), to: (*level).to_owned() })
}

/// Every change since the fault must have been expected, as often as it was.
fn judge_changes(result: &mut Repetition, lab: &FaultLab, since: Instant, mut expected: Vec<Change>) {
    for node in lab.nodes() {
        for event in node.events(since).iter().filter(|event| event.message == "route") {
            let change = Change {
                node: node.nsid().to_owned(),
                prefix: event.text("prefix").to_owned(),
                to: event.text("to").to_owned(),
            };
            match expected.iter().position(|one| *one == change) {
                Some(place) => {
                    expected.swap_remove(place);
                }
                None => result.false_reactions.push(format!(
                    "{} {}: {} -> {}: {}",
                    change.node,
                    change.prefix,
                    event.text("from"),
                    change.to,
                    event.text("cause")
                )),
            }
        }
    }
    if !result.false_reactions.is_empty() {
        result.failures.push(format!("false reactions: {:#?}", result.false_reactions));
    }
}

/// Where the routers shall hear nothing, they have noted no more than before.
fn judge_hearing(result: &mut Repetition, step: &Step, lab: &FaultLab, before: usize) {
    let heard: Vec<_> = lab.topology.ams.heard().into_iter().skip(before).collect();
    if !heard.is_empty() {
        result.failures.push(format!("{}: the routers of ams have heard {heard:#?}", step.what));
    }
}

/// What must not be logged was not.
fn judge_silence(result: &mut Repetition, scenario: &Scenario, lab: &FaultLab, since: Instant) {
    let is_false_alarm =
        |event: &NodeEvent| event.message == "alarm" && scenario.never_alarms.contains(&event.text("kind"));
    for node in lab.nodes() {
        for event in node.events(since) {
            if scenario.never.contains(&event.message.as_str()) || is_false_alarm(&event) {
                result.failures.push(format!("{} says: {}", node.nsid(), event.fields));
            }
        }
    }
}

/// What BIRD counts of a session now, where it is more than before. A session that began anew counts from nothing. Columns are
/// received, rejected, filtered, ignored, accepted.
pub(crate) fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let numbers =
        |line: &str| -> Vec<i64> { line.split_whitespace().filter_map(|word| word.parse().ok()).collect() };
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let of = |(before, after): (&String, &String)| {
        let [before, now] = [before, after].map(|line| numbers(line).first().copied().unwrap_or(0));
        let received = if now < before { now } else { now - before };
        (received != 0).then(|| format!("{}: {received}", name(after)))
    };
    before.iter().zip(after).filter_map(of).collect()
}
