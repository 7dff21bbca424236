//! What an endurance run found: kept as JSON, judged, and printed as a section of `docs/faults.md`.

pub use super::counters::{Clients, Counters};
use crate::lab::source_root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A record shorter than this is no hour, and is not published.
const HOUR_SECONDS: f64 = 3600.0;
/// Of one kind of reaction, so many are printed.
const MOST_PRINTED: usize = 20;

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The machine and the versions, for people.
    pub machine: String,
    /// How long it was.
    pub seconds: f64,
    /// What came of each burden, all of its turns together.
    pub stretches: Vec<Stretch>,
    /// Prefixes that a sidecar withdrew.
    pub withdrawals: Vec<Reaction>,
    /// Routes that a router lost.
    pub routes_gone: Vec<Reaction>,
    /// BGP sessions that ended.
    pub sessions_lost: Vec<Reaction>,
    /// BFD sessions that ended.
    pub bfd_lost: Vec<Reaction>,
    /// Other changes of a level.
    pub levels: Vec<Reaction>,
    /// What happened while the machine stood still, or soon after.
    pub spoilt: Vec<Reaction>,
    /// Alarms that were raised, by kind.
    pub alarms: BTreeMap<String, u64>,
    /// Signals that turned bad, by name.
    pub signals: BTreeMap<String, u64>,
    /// What the router of ams counted of the node's session.
    pub neighbour: Vec<String>,
    /// Reloads that failed.
    pub failed_reloads: Vec<String>,
    /// Processes that did not run to the end.
    pub ended: Vec<String>,
    /// How often the counters could not be read.
    pub looks_missed: u64,
    /// When the machine stood still: from and until, in seconds.
    pub standstills: Vec<[f64; 2]>,
    /// What else is to be known.
    pub remarks: Vec<String>,
}

/// What came of one burden.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// What weighed on the node.
    pub name: String,
    /// For how long.
    pub seconds: f64,
    /// What the node counted.
    pub counted: Counters,
    /// What became of the steady clients' queries.
    pub clients: Clients,
    /// The longest time for which no query of theirs was answered over UDP, of the worse family.
    pub silence_ms: f64,
    /// Pushes of the big zone, loaded.
    pub reloads: u64,
    /// The one that took longest, from the writing of the file to the end of the reload.
    pub slowest_reload_ms: f64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// When, from the beginning.
    pub at_seconds: f64,
    /// What weighed on the node then.
    pub during: String,
    /// What it was.
    pub what: String,
}

impl Stretch {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Queries that reached the node's sockets.
    fn offered(&self) -> u64 {
        let Counters { udp: [v4, v6], tcp, dropped, .. } = self.counted;
        v4 + v6 + tcp + dropped
    }
}

impl Record {
    /// What fails it; nothing if all is well.
    pub fn failures(&self) -> Vec<String> {
        let lists = [
            ("withdrawn", &self.withdrawals),
            ("route gone", &self.routes_gone),
            ("session lost", &self.sessions_lost),
            ("BFD lost", &self.bfd_lost),
        ];
        let of_list = |(what, list): (&str, &Vec<Reaction>)| {
            list.iter().map(|reaction| format!("{what}: {}", line(reaction))).collect::<Vec<_>>()
        };
        let mut failures: Vec<String> = lists.into_iter().flat_map(of_list).collect();
        failures.extend(self.failed_reloads.iter().cloned());
        failures.extend(self.ended.iter().map(|process| format!("ended: {process}")));
        let wrong: u64 = self.stretches.iter().map(|stretch| stretch.clients.wrong).sum();
        if wrong > 0 {
            failures.push(format!("{wrong} wrong answers"));
        }
        if self.stretches.iter().all(|stretch| stretch.counted.dropped == 0) {
            failures.push("nothing was dropped, so the load was not full".to_owned());
        }
        if self.stretches.iter().all(|stretch| stretch.reloads == 0) {
            failures.push("nothing was reloaded".to_owned());
        }
        failures
    }

    /// Writes it, whole or not at all.
    ///
    /// # Panics
    /// If the directory cannot be written.
    pub fn write(&self, file: &Path) {
        let directory = file.parent().expect("a file is in a directory");
        fs::create_dir_all(directory).expect("the directory of results can be made");
        let text = serde_json::to_string_pretty(self).expect("plain data can be written as JSON");
        let new = file.with_extension("json.new");
        fs::write(&new, text + "\n").expect("the directory of results can be written");
        fs::rename(&new, file).expect("a file can be renamed in its directory");
    }

    /// Reads one.
    pub fn read(file: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
    }

    /// Makes it the committed record, and prints the page of faults anew.
    ///
    /// # Panics
    /// If it failed, or is shorter than the hour that the page promises.
    pub fn publish(&self) {
        assert!(self.failures().is_empty(), "a failed run is not published");
        assert!(self.seconds >= HOUR_SECONDS, "{} s are no hour; nothing is written", self.seconds);
        self.write(&source_root().join("tests/endurance.json"));
        crate::faults::report::publish();
    }
}

/// The committed record's section, if there is one.
pub fn committed_section() -> String {
    Record::read(&source_root().join("tests/endurance.json"))
        .map(|record| format!("\n## An hour of it\n\n{}", section(&record)))
        .unwrap_or_default()
}

/// The record for people, as markdown.
pub fn section(record: &Record) -> String {
    let minutes = record.seconds / 60.0;
    let mut text = format!(
        "{}. {minutes:.0} minutes in the same lab with BFD, shipped hold-down included: on each core a \
         thread floods the service addresses of ams, over IPv4 and IPv6 in turns, with more than its node can take; clients ask at their steady pace. The \
         burdens take turns: the flood alone; with it, pushes of a zone of 1,000,000 records, 20 s apart or as soon as the \
         one before is loaded; with both, two busy processes for each core. Nothing is broken, so every withdrawal, and \
         every route or session that is lost, is a false reaction.\n\n",
        record.machine
    );
    text += &table(record);
    text.push('\n');
    for (what, list) in [
        ("False withdrawals", &record.withdrawals),
        ("Routes gone at a router", &record.routes_gone),
        ("BGP sessions lost", &record.sessions_lost),
        ("BFD sessions lost", &record.bfd_lost),
        ("Other changes of a level", &record.levels),
        ("While the machine stood still, or until a minute later", &record.spoilt),
    ] {
        let _ = writeln!(text, "- {what}: {}", list.len());
        for reaction in list.iter().take(MOST_PRINTED) {
            let _ = writeln!(text, "  - {}", line(reaction));
        }
        if list.len() > MOST_PRINTED {
            let _ = writeln!(text, "  - and {} more", list.len() - MOST_PRINTED);
        }
    }
    let stood: f64 =
        record.standstills.iter().map(|[from, until]| until - from).fold(0.0, |all, one| all + one);
    let _ = writeln!(
        text,
        "- The machine stood still: {} times, {stood:.1} s together",
        record.standstills.len()
    );
    let _ = writeln!(text, "- Alarms: {}", counts(&record.alarms));
    let _ = writeln!(text, "- Signals that turned bad: {}", counts(&record.signals));
    let counted =
        if record.neighbour.is_empty() { "nothing".to_owned() } else { record.neighbour.join(", ") };
    let _ = writeln!(text, "- Counted by the router of the node's session: {counted}");
    if record.looks_missed > 0 {
        let _ = writeln!(text, "- Counters that could not be read in time: {} times", record.looks_missed);
    }
    for remark in &record.remarks {
        let _ = writeln!(text, "- {remark}");
    }
    text
}

fn table(record: &Record) -> String {
    let mut text = "| Burden | Time | Queries at the sockets | Answered | Dropped, buffer full | Clients' queries lost | \
                    Longest time without an answer | Reloads | Slowest reload | Probes | Late |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for stretch in &record.stretches {
        let Clients { udp: [udp, udp_lost], tcp: [tcp, tcp_lost], .. } = stretch.clients;
        let Counters { replies, dropped, probes, late, .. } = stretch.counted;
        let reload = match stretch.reloads {
            0 => "–".to_owned(),
            _ => format!("{:.1} s", stretch.slowest_reload_ms / 1e3),
        };
        let _ = writeln!(
            text,
            "| {} | {:.0} s | {} | {replies} | {dropped} | UDP {udp_lost} of {udp}, TCP {tcp_lost} of {tcp} | {:.0} ms | {} | \
             {reload} | {probes} | {late} |",
            stretch.name,
            stretch.seconds,
            stretch.offered(),
            stretch.silence_ms,
            stretch.reloads,
        );
    }
    text
}

fn line(reaction: &Reaction) -> String {
    format!("{:.1} s ({}): {}", reaction.at_seconds, reaction.during, reaction.what)
}

fn counts(of: &BTreeMap<String, u64>) -> String {
    if of.is_empty() {
        return "none".to_owned();
    }
    of.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Workspace;

    fn well() -> Record {
        let counted = Counters { dropped: 5, ..Counters::default() };
        let stretch = Stretch { counted, reloads: 1, ..Stretch::new("flood") };
        Record { stretches: vec![stretch], ..Record::default() }
    }

    fn reaction(what: &str) -> Reaction {
        Reaction { at_seconds: 7.0, during: "flood".to_owned(), what: what.to_owned() }
    }

    #[test]
    fn a_withdrawal_fails_a_run_and_another_level_does_not() {
        assert_eq!(well().failures(), Vec::<String>::new());
        let degraded = Record { levels: vec![reaction("normal -> degraded")], ..well() };
        assert!(degraded.failures().is_empty());
        let withdrawn = Record { withdrawals: vec![reaction("normal -> withdrawn")], ..well() };
        assert_eq!(withdrawn.failures(), ["withdrawn: 7.0 s (flood): normal -> withdrawn"]);
        let spoilt = Record { spoilt: vec![reaction("normal -> withdrawn")], ..well() };
        assert!(spoilt.failures().is_empty());
    }

    #[test]
    fn a_run_without_drops_or_reloads_was_not_full_load() {
        assert_eq!(Record::default().failures().len(), 2);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let workspace = Workspace::new("endurance");
        let file = workspace.join("endurance.json");
        let record = Record { levels: vec![reaction("x")], ..well() };
        record.write(&file);
        assert_eq!(Record::read(&file), Some(record));
    }
}
