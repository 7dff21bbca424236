//! What repetitions found, kept as JSON for each scenario, and the closing table made of it.
//!
//! A scenario's file is written after each repetition, so a record run that was interrupted goes on where it ended. One
//! with a failure is played anew as a whole, and says how often that has happened. `docs/faults.md` is the introduction that people wrote, followed by what [`page`] makes of the
//! committed record.

use super::{Loss, Repetition, Scenario};
use crate::lab::source_root;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// All repetitions of one scenario, with what they are held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
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
    /// Whether clients had to lose nothing at all.
    pub lossless: bool,
    /// Repetitions that failed in earlier runs, which were played again.
    #[serde(default)]
    pub failed_earlier: usize,
    /// What happened, each time.
    pub repetitions: Vec<Repetition>,
}

/// A whole record: where and what, then each scenario in the order of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The machine and the versions, for people.
    pub machine: String,
    /// The scenarios.
    pub scenarios: Vec<Found>,
}

/// Least, middle and most of some times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// Half are at most this.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Found {
    /// Nothing found yet.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.to_owned(),
            fault: scenario.fault.to_owned(),
            reaction: scenario.reaction.to_owned(),
            bound_ms: scenario.bound.within.map(|within| within.as_secs_f64() * 1e3),
            because: scenario.bound.because.to_owned(),
            lossless: scenario.loss == Loss::Nothing,
            failed_earlier: 0,
            repetitions: Vec::new(),
        }
    }

    /// What failed, if anything.
    pub fn failures(&self) -> Vec<&str> {
        self.repetitions.iter().flat_map(|one| &one.failures).map(String::as_str).collect()
    }

    /// One of the measured times over all repetitions.
    pub fn spread(&self, of: impl Fn(&Repetition) -> Option<f64>) -> Option<Spread> {
        let mut times: Vec<f64> = self.repetitions.iter().filter_map(of).collect();
        times.sort_by(f64::total_cmp);
        let (min, max) = (*times.first()?, *times.last()?);
        Some(Spread { min, median: *times.get(times.len() / 2)?, max })
    }

    /// What the bound is held against: the neighbour's change, or the decision where no route changes.
    pub fn judged(&self) -> Option<Spread> {
        self.spread(|one| one.convergence_ms.or(one.detection_ms))
    }

    /// Whether the slowest repetition was within the bound; `None` without a bound or a time.
    pub fn within(&self) -> Option<bool> {
        Some(self.judged()?.max <= self.bound_ms?)
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
    /// failed, only that is left.
    pub fn read(directory: &Path, scenario: &Scenario) -> Option<Self> {
        let text = fs::read_to_string(file(directory, scenario.name)).ok()?;
        let mut found: Self = serde_json::from_str(&text).ok()?;
        let fresh = Self::new(scenario);
        let same = (&found.fault, &found.reaction, found.bound_ms, found.lossless)
            == (&fresh.fault, &fresh.reaction, fresh.bound_ms, fresh.lossless);
        let failed = found.repetitions.iter().filter(|one| !one.failures.is_empty()).count();
        if failed > 0 {
            found.failed_earlier += failed;
            found.repetitions.clear();
        }
        same.then_some(found)
    }
}

fn file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.json"))
}

/// The closing table.
pub fn table(scenarios: &[Found]) -> String {
    let mut text =
        "| Scenario | Fault | Expected | Bound | Detection | Convergence | Clients settled | Lost |\n\
                    |---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for found in scenarios {
        let bound = match (found.bound_ms, found.within()) {
            (None, _) => "none".to_owned(),
            (Some(bound), None) => format!("{} ({})", milliseconds(bound), found.because),
            (Some(bound), Some(true)) => format!("{}, kept ({})", milliseconds(bound), found.because),
            (Some(bound), Some(false)) => format!("{}, **missed** ({})", milliseconds(bound), found.because),
        };
        let times = [
            found.spread(|one| one.detection_ms),
            found.spread(|one| one.convergence_ms),
            found.spread(|one| one.clients_ms),
        ]
        .map(cell);
        writeln!(
            text,
            "| {} | {} | {} | {bound} | {} | {} |",
            found.name,
            found.fault,
            found.reaction,
            times.join(" | "),
            losses(found)
        )
        .expect("a string takes it");
    }
    text
}

/// The least, middle and greatest time, or one time where there was one repetition.
fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { min, max, .. }) if min.total_cmp(&max).is_eq() => milliseconds(min),
        Some(Spread { min, median, max }) => {
            format!("{} / {} / {}", milliseconds(min), milliseconds(median), milliseconds(max))
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

/// The middle of what was lost, and of how many.
fn losses(found: &Found) -> String {
    let middle = |of: fn(&Repetition) -> u64| {
        let mut counts: Vec<u64> = found.repetitions.iter().map(of).collect();
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or(0)
    };
    let most =
        found.repetitions.iter().map(|one| one.udp[1] + one.tcp[1] + one.lost_later).max().unwrap_or(0);
    if most == 0 {
        let all: u64 = found.repetitions.iter().map(|one| one.udp[0] + one.tcp[0]).sum();
        return format!("0 of {all}");
    }
    let (udp, tcp, later) =
        (middle(|one| one.udp[1]), middle(|one| one.tcp[1]), middle(|one| one.lost_later));
    let returning = if later > 0 { format!(", {later} while mending") } else { String::new() };
    format!("UDP {udp} of {}, TCP {tcp} of {}{returning}", middle(|one| one.udp[0]), middle(|one| one.tcp[0]))
}

/// Prints `docs/faults.md` anew from what is committed: the introduction, the record of scenarios, and the hour's. Without
/// a record of scenarios there is no page.
///
/// # Panics
/// If the source tree cannot be read and written.
pub fn publish() {
    let root = source_root();
    let Ok(json) = fs::read_to_string(root.join("tests/faults.json")) else { return };
    let record: Record = serde_json::from_str(&json).expect("the committed record is one");
    let introduction = fs::read_to_string(root.join("tests/faults.md"));
    let introduction = introduction.expect("the introduction is in the source tree");
    let text = page(&introduction, &record) + &crate::endurance::report::committed_section();
    fs::write(root.join("docs/faults.md"), text).expect("the source tree can be written");
}

/// The page of a record: the introduction, then the table.
pub fn page(introduction: &str, record: &Record) -> String {
    let missed: Vec<_> = record.scenarios.iter().filter(|found| found.within() == Some(false)).collect();
    let repetitions: usize = record.scenarios.iter().map(|found| found.repetitions.len()).sum();
    let failed = record.scenarios.iter().filter(|found| !found.failures().is_empty()).count();
    let earlier: usize = record.scenarios.iter().map(|found| found.failed_earlier).sum();
    let mut text = format!(
        "{introduction}\n## The record\n\n{}. {} scenarios, {repetitions} repetitions; {failed} scenarios with a wrong \
         reaction, {} with a time over its bound.{}\n\n",
        record.machine,
        record.scenarios.len(),
        missed.len(),
        if earlier == 0 {
            String::new()
        } else {
            format!(" Of the runs that led to it, {earlier} repetitions failed and were played again.")
        },
    );
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

    #[test]
    fn what_was_found_is_found_again_unless_the_scenario_has_changed() {
        let workspace = Workspace::new("report");
        let mut found = Found::new(&scenario());
        found.repetitions.push(Repetition { udp: [5200, 3], ..Repetition::default() });
        found.write(workspace.path());
        assert_eq!(Found::read(workspace.path(), &scenario()), Some(found));
        let other = Scenario { fault: "something else is broken", ..scenario() };
        assert_eq!(Found::read(workspace.path(), &other), None);
    }

    #[test]
    fn a_failure_is_counted_and_all_repetitions_are_played_again() {
        let workspace = Workspace::new("report");
        let mut found = Found::new(&scenario());
        let failed = Repetition { failures: vec!["lost".to_owned()], ..Repetition::default() };
        found.repetitions = vec![Repetition::default(), failed];
        found.write(workspace.path());
        let again = Found::read(workspace.path(), &scenario()).unwrap();
        assert_eq!((again.failed_earlier, again.repetitions.len()), (1, 0));
    }
}
