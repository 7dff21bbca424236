//! What repetitions found, kept as JSON for each scenario, and the closing table made of it.
//!
//! A scenario's file is written after each repetition, so a record run that was interrupted goes on where it ended. One
//! with a failure is played anew as a whole, and says how often that has happened. All repetitions of a scenario are of one
//! commit: what was begun at another one and is not whole is played anew too, and of which commits a record is made stands
//! on the page. `docs/faults.md` is the introduction that people wrote, followed by what [`page`] makes of the committed
//! record.

use super::{Discarded, Loss, Repetition, Scenario, Timed};
use crate::lab::source_root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All repetitions of one scenario, with what they are held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Under which heading it stands.
    pub section: String,
    /// The scenario's name.
    pub name: String,
    /// What was broken.
    pub fault: String,
    /// What had to come of it.
    pub reaction: String,
    /// What that may take, in milliseconds.
    pub bound_ms: Option<f64>,
    /// Why so much.
    pub because: String,
    /// The bounds of later steps, in their order.
    #[serde(default)]
    pub later: Vec<Later>,
    /// Whether clients had to lose nothing at all.
    pub lossless: bool,
    /// What was played: [`commit`](crate::lab::commit).
    pub commit: String,
    /// Repetitions that failed in earlier runs, which were played again.
    #[serde(default)]
    pub failed_earlier: usize,
    /// Attempts that do not count, because the machine stood still.
    #[serde(default)]
    pub discarded: Vec<Discarded>,
    /// What happened, each time.
    pub repetitions: Vec<Repetition>,
}

/// The bounds of one step after the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// What is done in that step.
    pub what: String,
    /// Its reaction comes no sooner, in milliseconds.
    pub least_ms: f64,
    /// And no later.
    pub most_ms: f64,
    /// Why so much.
    pub because: String,
}

impl Later {
    fn new(what: &str, timed: &Timed) -> Self {
        let Timed { least, most, because, .. } = timed;
        let (what, because) = (what.to_owned(), (*because).to_owned());
        Self { what, least_ms: in_milliseconds(*least), most_ms: in_milliseconds(*most), because }
    }

    /// Whether both are of the same step, and the same bounds.
    fn is_as(&self, other: &Self) -> bool {
        (&self.what, self.least_ms, self.most_ms) == (&other.what, other.least_ms, other.most_ms)
    }
}

fn in_milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Fewer repetitions tell too little.
const LEAST_REPETITIONS: usize = 10;

/// A whole record: where and what, then each scenario in the order of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The machine and the versions, for people.
    pub machine: String,
    /// The scenarios.
    pub scenarios: Vec<Found>,
}

/// Some times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half are at most this.
    pub median: f64,
    /// Of a hundred, 99 are at most this; of fewer it is the worst.
    pub p99: f64,
    /// The most.
    pub worst: f64,
}

impl Spread {
    /// By the nearest rank; `None` of nothing.
    fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let rank = |percent: usize| (times.len() * percent).div_ceil(100).checked_sub(1);
        let at = |percent| rank(percent).and_then(|rank| times.get(rank).copied());
        Some(Self { median: at(50)?, p99: at(99)?, worst: at(100)? })
    }
}

impl Found {
    /// Nothing found yet at this commit.
    pub fn new(scenario: &Scenario, commit: &str) -> Self {
        let steps = scenario.steps.iter();
        let later = steps.filter_map(|step| Some(Later::new(step.what, step.timed.as_ref()?)));
        Self {
            section: scenario.section.to_owned(),
            name: scenario.name.to_owned(),
            fault: scenario.fault.to_owned(),
            reaction: scenario.reaction.to_owned(),
            bound_ms: scenario.bound.within.map(in_milliseconds),
            because: scenario.bound.because.to_owned(),
            later: later.collect(),
            lossless: scenario.loss == Loss::Nothing,
            commit: commit.to_owned(),
            failed_earlier: 0,
            discarded: Vec::new(),
            repetitions: Vec::new(),
        }
    }

    /// What failed, if anything.
    pub fn failures(&self) -> Vec<&str> {
        self.repetitions.iter().flat_map(|one| &one.failures).map(String::as_str).collect()
    }

    /// One of the measured times over all repetitions.
    pub fn spread(&self, of: impl Fn(&Repetition) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.repetitions.iter().filter_map(of).collect())
    }

    /// What the bound is held against: the decision, or the alarm where there is none, and the neighbour's change, whichever is
    /// later; a route that has only to be as it was is no change, and takes no time.
    pub fn judged(&self) -> Option<Spread> {
        self.spread(judged)
    }

    /// Whether the slowest repetition was within the bound; `None` without a bound or a time.
    pub fn within(&self) -> Option<bool> {
        Some(self.judged()?.worst <= self.bound_ms?)
    }

    /// The times of a later step that has bounds of its own.
    fn later_times(&self, place: usize) -> impl Iterator<Item = f64> {
        self.repetitions.iter().filter_map(move |one| one.later_ms.get(place).copied())
    }

    /// Whether each repetition was within the bounds of that step.
    fn later_within(&self, place: usize, later: &Later) -> bool {
        self.later_times(place).all(|time| (later.least_ms..=later.most_ms).contains(&time))
    }

    /// Whether a time of the fault, or of a later step, is not within its bounds.
    pub fn missed(&self) -> bool {
        let mut later = self.later.iter().enumerate();
        self.within() == Some(false) || later.any(|(place, later)| !self.later_within(place, later))
    }

    /// Whether a repetition lacks a time that there is a bound for.
    fn lacks_a_time(&self) -> bool {
        let lacks = |one: &Repetition| {
            self.bound_ms.is_some() && judged(one).is_none() || one.later_ms.len() < self.later.len()
        };
        self.repetitions.iter().any(lacks)
    }

    /// Why it is not worth a record: too few repetitions, a failure, a time over its bound, a bound without a time.
    pub fn objections(&self) -> Vec<String> {
        let say = |what: String| format!("{}: {what}", self.name);
        let few = (self.repetitions.len() < LEAST_REPETITIONS)
            .then(|| say(format!("{} repetitions, {LEAST_REPETITIONS} are wanted", self.repetitions.len())));
        let failed = self.failures().first().map(|failure| say((*failure).to_owned()));
        let late = (self.within() == Some(false)).then(|| say("over its bound".to_owned()));
        let untimed = self.lacks_a_time().then(|| say("a bound, and no time to hold against it".to_owned()));
        let later = self.later.iter().enumerate();
        let later = later.filter(|(place, later)| !self.later_within(*place, later));
        let later = later.map(|(_, later)| say(format!("{}: out of its bounds", later.what)));
        [few, failed, late, untimed].into_iter().flatten().chain(later).collect()
    }

    /// Writes it into `directory`.
    pub fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("the directory of results can be made");
        let text = serde_json::to_string_pretty(self).expect("plain data can be written as JSON");
        let new = directory.join(format!(".{}.new", self.name));
        fs::write(&new, text + "\n").expect("the directory of results can be written");
        fs::rename(&new, file(directory, &self.name)).expect("a file can be renamed in its directory");
    }

    /// Reads what an earlier run has left of this scenario, if it is still the same in words and bound. If a repetition
    /// failed, only that is left; so it is if fewer than `wanted` are of another commit than this.
    pub fn read(directory: &Path, scenario: &Scenario, commit: &str, wanted: usize) -> Option<Self> {
        let text = fs::read_to_string(file(directory, scenario.name)).ok()?;
        let mut found: Self = serde_json::from_str(&text).ok()?;
        let fresh = Self::new(scenario, commit);
        let same = found.is_as(&fresh);
        let failed = found.repetitions.iter().filter(|one| !one.failures.is_empty()).count();
        found.failed_earlier += failed;
        if failed > 0 || found.commit != commit && found.repetitions.len() < wanted {
            found.repetitions.clear();
            found.commit = fresh.commit;
        }
        found.section = fresh.section;
        found.because = fresh.because;
        found.later = fresh.later;
        same.then_some(found)
    }

    /// Whether both are of the same scenario, in words and bounds.
    fn is_as(&self, other: &Self) -> bool {
        let mut later = self.later.iter().zip(&other.later);
        (&self.name, &self.fault, &self.reaction, self.bound_ms, self.lossless, self.later.len())
            == (&other.name, &other.fault, &other.reaction, other.bound_ms, other.lossless, other.later.len())
            && later.all(|(one, other)| one.is_as(other))
    }
}

fn judged(one: &Repetition) -> Option<f64> {
    [one.detection_ms, one.convergence_ms].into_iter().flatten().reduce(f64::max)
}

impl Record {
    /// What the source tree has of before, if anything.
    ///
    /// # Panics
    /// If that cannot be read.
    pub fn committed() -> Option<Self> {
        let json = fs::read_to_string(source_root().join("tests/faults.json")).ok()?;
        Some(serde_json::from_str(&json).expect("the committed record is one"))
    }

    /// The same with what `before` has of those of `scenarios` that are not in it, where they have stayed the same.
    pub fn completed(self, before: &Self, scenarios: &[Scenario]) -> Self {
        let Self { machine, scenarios: found } = self;
        let of = |scenario: &Scenario| {
            let fresh = Found::new(scenario, "");
            let kept = || before.scenarios.iter().find(|kept| kept.is_as(&fresh));
            found.iter().find(|found| found.name == scenario.name).or_else(kept).cloned()
        };
        let machine = match before.machine.starts_with(&machine) {
            true => before.machine.clone(),
            false => format!("{machine}; before that: {}", before.machine),
        };
        Self { machine, scenarios: scenarios.iter().filter_map(of).collect() }
    }
}

fn file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.json"))
}

const HEAD: &str = "| Scenario | Fault | Expected | Bound | Detection | Convergence | Clients settled | Lost |\n\
                    |---|---|---|---|---|---|---|---|\n";

/// The closing table, a part of it for each section.
pub fn table(scenarios: &[Found]) -> String {
    let mut text = String::new();
    for part in scenarios.chunk_by(|one, next| one.section == next.section) {
        let section = part.first().map_or("", |found| found.section.as_str());
        write!(text, "\n### {section}\n\n{HEAD}").expect("a string takes it");
        part.iter().for_each(|found| text += &line(found));
    }
    text
}

fn line(found: &Found) -> String {
    let bound = match (found.bound_ms, found.within()) {
        (None, _) => None,
        (Some(bound), None) => Some(format!("{} ({})", milliseconds(bound), found.because)),
        (Some(bound), Some(kept)) => {
            Some(format!("{}, {} ({})", milliseconds(bound), verdict(kept), found.because))
        }
    };
    let later = found.later.iter().enumerate().map(|(place, later)| {
        let Later { what, least_ms, most_ms, because } = later;
        let times = cell(Spread::of(found.later_times(place).collect()));
        let kept = verdict(found.later_within(place, later));
        let [least, most] = [*least_ms, *most_ms].map(milliseconds);
        format!("{what}: {least} to {most}, {kept}: {times} ({because})")
    });
    let bounds: Vec<_> = bound.into_iter().chain(later).collect();
    let bounds = if bounds.is_empty() { "none".to_owned() } else { bounds.join("; ") };
    let times = [
        found.spread(|one| one.detection_ms),
        found.spread(|one| one.convergence_ms),
        found.spread(|one| one.clients_ms),
    ]
    .map(cell);
    format!(
        "| {} | {} | {} | {bounds} | {} | {} |\n",
        found.name,
        found.fault,
        found.reaction,
        times.join(" | "),
        losses(found)
    )
}

const fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "**missed**" }
}

/// The median, p99 and worst of times, or one time where they are the same.
fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { median, worst, .. }) if median.total_cmp(&worst).is_eq() => milliseconds(worst),
        Some(Spread { median, p99, worst }) => {
            format!("{} / {} / {}", milliseconds(median), milliseconds(p99), milliseconds(worst))
        }
    }
}

fn milliseconds(value: f64) -> String {
    match value {
        value if value >= 9999.5 => format!("{:.1} s", value / 1e3),
        value if value >= 99.95 => format!("{value:.0} ms"),
        value => format!("{value:.1} ms"),
    }
}

/// The median and the most of what was lost, and of about how many.
fn losses(found: &Found) -> String {
    let counts = |of: fn(&Repetition) -> u64| {
        let mut counts: Vec<u64> = found.repetitions.iter().map(of).collect();
        counts.sort_unstable();
        let middle = counts.len().div_ceil(2).saturating_sub(1);
        (counts.get(middle).copied().unwrap_or(0), counts.last().copied().unwrap_or(0))
    };
    let lost = |what: &str, (middle, most): (u64, u64), of: String| match most {
        0 => format!("{what} 0{of}"),
        _ if middle == most => format!("{what} {most}{of}"),
        _ => format!("{what} {middle} / {most}{of}"),
    };
    let (udp, tcp) = (counts(|one| one.udp[1]), counts(|one| one.tcp[1]));
    let later = counts(|one| one.lost_later);
    if (udp.1, tcp.1, later.1) == (0, 0, 0) {
        let all: u64 = found.repetitions.iter().map(|one| one.udp[0] + one.tcp[0]).sum();
        return format!("0 of {all}");
    }
    let of = |of: fn(&Repetition) -> u64| format!(" of {}", counts(of).0);
    let mut parts = vec![lost("UDP", udp, of(|one| one.udp[0])), lost("TCP", tcp, of(|one| one.tcp[0]))];
    if later.1 > 0 {
        parts.push(lost("while mending", later, String::new()));
    }
    let cut: u64 = found.repetitions.iter().map(|one| one.cut).sum();
    if cut > 0 {
        parts.push(format!("{cut} in all over connections that were open as a route moved"));
    }
    parts.join(", ")
}

/// What was promised of single scenarios, beside their own bounds.
const PROMISES: [(&str, &str, Promise); 16] = [
    (
        "The responder is killed: its route is gone at the neighbour",
        "responder-killed",
        Promise::Within(1000.0),
    ),
    ("The same with the fast profile", "responder-killed-fast-profile", Promise::Within(350.0)),
    ("The sidecar is killed", "sidecar-killed", Promise::Within(50.0)),
    ("A host that hangs, with BFD", "node-frozen-bfd", Promise::Within(1000.0)),
    ("Drain, with a network that honours GRACEFUL_SHUTDOWN", "drain", Promise::NothingLost),
    (
        "Drain, with one that strips every community, and a backbone with IBGP on which nothing is stripped",
        "drain-stripped",
        Promise::NothingLost,
    ),
    (
        "Drain, with routers that keep a route of their own",
        "drain-and-the-route-is-kept-upstream",
        Promise::NothingLost,
    ),
    (
        "Drain, with one that strips every community, and no other way to the other POP",
        "drain-that-nobody-follows",
        Promise::NothingLostButUnderWay,
    ),
    (
        "Drain, with a router of the POP that ignores every community as well",
        "drain-ignored-by-the-router",
        Promise::NothingLostButUnderWay,
    ),
    ("Rolling upgrade of all POPs", "rolling-upgrade", Promise::NothingLost),
    ("Planned restart of the sidecar, and no UPDATE", "sidecar-handed-over", Promise::NothingLost),
    ("The same with BFD", "sidecar-handed-over-bfd", Promise::NothingLost),
    (
        "The same while degraded, for TCP refuses",
        "sidecar-handed-over-while-degraded",
        Promise::NothingLostOverUdp,
    ),
    ("The same while drained", "sidecar-handed-over-while-drained", Promise::NothingLost),
    ("The same while held and forced", "sidecar-handed-over-while-held-and-forced", Promise::NothingLost),
    ("The same with a BIRD on the node", "bird-sidecar-handed-over", Promise::NothingLost),
];

#[derive(Debug, Clone, Copy)]
enum Promise {
    /// No query over UDP, in any repetition; TCP is what is broken.
    NothingLostOverUdp,
    /// Milliseconds to the neighbour's change, in 99 of a hundred.
    Within(f64),
    /// No query, in any repetition, but for connections that were open as a route moved.
    NothingLost,
    /// No query but those that are under way from the moment at which the route goes until the network has converged, which
    /// each repetition is held against: nobody has moved before.
    NothingLostButUnderWay,
}

/// The promises and what became of them.
fn promises(scenarios: &[Found]) -> String {
    let mut text = "| Promised | Scenario | At most | Measured | Kept |\n|---|---|---|---|---|\n".to_owned();
    for (what, name, promise) in PROMISES {
        let Some(found) = scenarios.iter().find(|found| found.name == name) else { continue };
        let (most, measured, kept) = match promise {
            Promise::NothingLostOverUdp => {
                let kept = found.failures().is_empty() && found.repetitions.iter().all(|one| one.udp[1] == 0);
                ("0 lost over UDP".to_owned(), losses(found), kept)
            }
            Promise::Within(most) => {
                let spread = found.spread(|one| one.convergence_ms);
                (milliseconds(most), cell(spread), spread.is_some_and(|spread| spread.p99 <= most))
            }
            Promise::NothingLost => {
                let lost =
                    |one: &Repetition| (one.udp[1] + one.tcp[1] + one.lost_later).saturating_sub(one.cut);
                let kept =
                    found.failures().is_empty() && found.repetitions.iter().map(lost).sum::<u64>() == 0;
                ("0 lost".to_owned(), losses(found), kept)
            }
            Promise::NothingLostButUnderWay => {
                let most = "what is under way as the route goes, until the network has converged";
                (most.to_owned(), losses(found), found.failures().is_empty())
            }
        };
        let kept = if kept { "yes" } else { "**no**" };
        writeln!(text, "| {what} | {name} | {most} | {measured} | {kept} |").expect("a string takes it");
    }
    text
}

/// Which commits were played, and what of them, if they are several.
fn commits(scenarios: &[Found]) -> String {
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    scenarios.iter().for_each(|found| of.entry(&found.commit).or_default().push(&found.name));
    let mut of: Vec<_> = of.into_iter().collect();
    of.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let Some(((first, _), others)) = of.split_first() else { return String::new() };
    let others = others.iter().map(|(commit, names)| format!("; of {commit}: {}", names.join(", ")));
    format!("Played at commit {first}{}.", others.collect::<String>())
}

/// How many attempts do not count because the machine stood still, and what of them had failed.
fn discarded(scenarios: &[Found]) -> String {
    let all: usize = scenarios.iter().map(|found| found.discarded.len()).sum();
    if all == 0 {
        return String::new();
    }
    let has_failed = |found: &&Found| found.discarded.iter().any(|one| !one.failures.is_empty());
    let failed = scenarios.iter().flat_map(|found| &found.discarded);
    let failed = failed.filter(|one| !one.failures.is_empty()).count();
    let names: Vec<_> = scenarios.iter().filter(has_failed).map(|found| found.name.as_str()).collect();
    let of = if names.is_empty() { String::new() } else { format!(" (of {})", names.join(", ")) };
    format!(
        "Besides, {all} repetitions do not count, because the machine stood still meanwhile, and were played again: {failed} \
         of them had failed{of}. What failed in them stands in `tests/faults.json`.\n\n"
    )
}

/// Prints `docs/faults.md` anew from what is committed. Without a record of scenarios there is no page.
///
/// # Panics
/// If the source tree cannot be read and written.
pub fn publish() {
    let Some(text) = committed_page() else { return };
    fs::write(source_root().join("docs/faults.md"), text).expect("the source tree can be written");
}

/// The page by what is committed: the introduction, the record of scenarios, and the hour's.
fn committed_page() -> Option<String> {
    let record = Record::committed()?;
    let introduction = fs::read_to_string(source_root().join("tests/faults.md"));
    let introduction = introduction.expect("the introduction is in the source tree");
    Some(page(&introduction, &record) + &crate::endurance::report::committed_section())
}

/// The page of a record: the introduction, then the table.
pub fn page(introduction: &str, record: &Record) -> String {
    let missed = record.scenarios.iter().filter(|found| found.missed()).count();
    let repetitions: usize = record.scenarios.iter().map(|found| found.repetitions.len()).sum();
    let failed = record.scenarios.iter().filter(|found| !found.failures().is_empty()).count();
    let earlier: usize = record.scenarios.iter().map(|found| found.failed_earlier).sum();
    let mut text = format!(
        "{introduction}\n## The record\n\n{}. {} {} scenarios, {repetitions} repetitions; {failed} scenarios with a wrong \
         reaction, {} with a time over its bound.{}\n\n",
        record.machine,
        commits(&record.scenarios),
        record.scenarios.len(),
        missed,
        if earlier == 0 {
            String::new()
        } else {
            format!(" Of the runs that led to it, {earlier} repetitions failed and were played again.")
        },
    );
    text += &discarded(&record.scenarios);
    text += &promises(&record.scenarios);
    text += &table(&record.scenarios);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Workspace;

    fn scenario() -> Scenario {
        Scenario::new("nothing", "nothing is broken", "nothing comes of it")
    }

    fn found(commit: &str, repetitions: usize) -> Found {
        let mut found = Found::new(&scenario(), commit);
        found.repetitions = vec![Repetition { udp: [5200, 3], ..Repetition::default() }; repetitions];
        found
    }

    #[test]
    fn what_was_found_is_found_again_unless_the_scenario_has_changed() {
        let workspace = Workspace::new("report");
        let found = found("abc", 1);
        found.write(workspace.path());
        assert_eq!(Found::read(workspace.path(), &scenario(), "abc", 10), Some(found));
        let other = Scenario { fault: "something else is broken", ..scenario() };
        assert_eq!(Found::read(workspace.path(), &other, "abc", 10), None);
    }

    #[test]
    fn the_committed_page_is_made_of_the_committed_records() {
        if std::env::var_os("PHAROS_BLESS").is_some() {
            publish();
        }
        let Some(page) = committed_page() else { return };
        let committed = fs::read_to_string(source_root().join("docs/faults.md")).unwrap();
        let differing = committed.lines().zip(page.lines()).find(|(committed, made)| committed != made);
        assert!(
            committed == page,
            "PHAROS_BLESS=1 makes docs/faults.md anew; it and what is made of the records differ first in {differing:#?}"
        );
    }

    #[test]
    fn what_was_discarded_outlives_a_new_beginning_and_stands_on_the_page() {
        let workspace = Workspace::new("report");
        let mut found = found("abc", 1);
        let failed = Discarded { stood_ms: 1200.0, failures: vec!["lost".to_owned()] };
        found.discarded = vec![failed, Discarded { stood_ms: 1100.0, failures: Vec::new() }];
        found.write(workspace.path());
        let again = Found::read(workspace.path(), &scenario(), "def", 10).unwrap();
        assert_eq!((again.repetitions.len(), again.discarded.len()), (0, 2));
        let page = page("# Faults", &Record { machine: "A machine".to_owned(), scenarios: vec![again] });
        assert!(page.contains("2 repetitions do not count"), "{page}");
        assert!(page.contains("1 of them had failed (of nothing)"), "{page}");
    }

    #[test]
    fn a_later_step_is_held_against_bounds_of_its_own_on_both_sides() {
        let second = Duration::from_secs(1);
        let of = |later_ms: &[f64]| {
            let scenario = scenario()
                .step("break it", |_| {}, Vec::new())
                .step("the deadline", |_| {}, Vec::new())
                .between_from_the_fault(10 * second, 11 * second, "the drain time");
            let mut found = Found::new(&scenario, "abc");
            found.repetitions = vec![Repetition { later_ms: later_ms.to_vec(), ..Repetition::default() }; 10];
            found
        };
        assert_eq!(of(&[10_500.0]).objections(), Vec::<String>::new());
        for missed in [9_999.0, 11_001.0] {
            assert_eq!(of(&[missed]).objections(), ["nothing: the deadline: out of its bounds"]);
            assert!(of(&[missed]).missed());
        }
        assert_eq!(of(&[]).objections(), ["nothing: a bound, and no time to hold against it"]);
        let line = line(&of(&[10_500.0]));
        assert!(line.contains("| the deadline: 10.0 s to 11.0 s, kept: 10.5 s (the drain time) |"), "{line}");
        assert!(!of(&[1.0]).is_as(&found("abc", 1)), "bounds are part of what is played");
    }

    #[test]
    fn a_failure_is_counted_and_all_repetitions_are_played_again() {
        let workspace = Workspace::new("report");
        let mut found = found("abc", 1);
        let failed = Repetition { failures: vec!["lost".to_owned()], ..Repetition::default() };
        found.repetitions.push(failed);
        found.write(workspace.path());
        let again = Found::read(workspace.path(), &scenario(), "abc", 2).unwrap();
        assert_eq!((again.failed_earlier, again.repetitions.len()), (1, 0));
    }

    #[test]
    fn no_scenario_has_repetitions_of_two_commits_and_the_page_names_those_of_the_record() {
        let workspace = Workspace::new("report");
        found("abc", 9).write(workspace.path());
        let begun = Found::read(workspace.path(), &scenario(), "def", 10).unwrap();
        assert_eq!((begun.commit.as_str(), begun.repetitions.len()), ("def", 0));
        let whole = Found::read(workspace.path(), &scenario(), "def", 9).unwrap();
        assert_eq!((whole.commit.as_str(), whole.repetitions.len()), ("abc", 9));
        let other = Found { name: "other".to_owned(), ..found("def", 9) };
        assert_eq!(commits(std::slice::from_ref(&whole)), "Played at commit abc.");
        assert_eq!(commits(&[whole.clone(), whole, other]), "Played at commit abc; of def: other.");
    }

    #[test]
    fn what_is_not_played_stays_in_the_record_unless_the_scenario_has_changed() {
        let of = |scenarios: Vec<Found>| Record { machine: "A machine".to_owned(), scenarios };
        let changed =
            Found { name: "changed".to_owned(), fault: "another one".to_owned(), ..found("abc", 9) };
        let before = of(vec![found("abc", 9), changed]);
        let named = |name| Scenario { name, ..scenario() };
        let all = [named("new"), named("nothing"), named("changed")];
        let new = Found { name: "new".to_owned(), ..found("def", 9) };
        let whole = of(vec![new.clone()]).completed(&before, &all);
        assert_eq!(whole, of(vec![new, found("abc", 9)]));
        let again = of(vec![found("def", 9)]).completed(&before, &all[1..2]);
        assert_eq!(again, of(vec![found("def", 9)]));
    }

    #[test]
    fn a_record_has_ten_repetitions_none_of_which_failed_or_was_late() {
        let bounded = |repetitions| {
            let mut found = Found { bound_ms: Some(100.0), ..found("abc", repetitions) };
            found.repetitions.iter_mut().for_each(|one| one.detection_ms = Some(7.0));
            found
        };
        assert_eq!(bounded(10).objections(), Vec::<String>::new());
        assert_eq!(bounded(9).objections(), ["nothing: 9 repetitions, 10 are wanted"]);
        let mut late = bounded(10);
        late.repetitions[3].convergence_ms = Some(101.0);
        assert_eq!(late.objections(), ["nothing: over its bound"]);
        let mut untimed = bounded(10);
        untimed.repetitions[3].detection_ms = None;
        assert_eq!(untimed.objections(), ["nothing: a bound, and no time to hold against it"]);
        let mut failed = bounded(10);
        failed.repetitions[3].failures = vec!["lost".to_owned()];
        assert_eq!(failed.objections(), ["nothing: lost"]);
    }

    #[test]
    fn ranks_are_the_nearest_ones() {
        let of = |count: u32| Spread::of((1..=count).map(f64::from).collect());
        assert_eq!(of(0), None);
        assert_eq!(of(1), Some(Spread { median: 1.0, p99: 1.0, worst: 1.0 }));
        assert_eq!(of(10), Some(Spread { median: 5.0, p99: 10.0, worst: 10.0 }));
        assert_eq!(of(200), Some(Spread { median: 100.0, p99: 198.0, worst: 200.0 }));
    }

    #[test]
    fn the_page_tells_of_promises_and_of_losses() {
        let mut found = found("abc", 3);
        found.name = "sidecar-killed".to_owned();
        found
            .repetitions
            .iter_mut()
            .zip([10.0, 20.0, 51.0])
            .for_each(|(one, ms)| one.convergence_ms = Some(ms));
        found.repetitions[0].udp[1] = 7;
        let page = page("# Faults", &Record { machine: "A machine".to_owned(), scenarios: vec![found] });
        assert!(
            page.contains(
                "| The sidecar is killed | sidecar-killed | 50.0 ms | 20.0 ms / 51.0 ms / 51.0 ms | **no** |"
            ),
            "{page}"
        );
        assert!(page.contains("| UDP 3 / 7 of 5200, TCP 0 of 0 |"), "{page}");
    }
}
