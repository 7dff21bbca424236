//! What an endurance run found: kept as JSON, judged, and printed as a section of `docs/faults.md`.

use super::RECOVERY;
pub use super::counters::{Clients, Counters};
use crate::lab::source_root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A record shorter than this is no hour, and is not published.
const HOUR_SECONDS: f64 = 3600.0;
/// In a longer part of the time than this what happened counts for nothing, and then the whole does: one standstill of two
/// minutes in an hour, or two short ones.
const MOST_SPOILT: f64 = 0.05;
/// A node that drops less than this part of the queries at its sockets is not flooded by more than it can take.
const LEAST_DROPPED: f64 = 0.25;
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

    /// The part of them that the kernel dropped, its buffer being full. Counts are far below the 53 bits of a float.
    fn dropped(&self) -> f64 {
        self.counted.dropped as f64 / self.offered().max(1) as f64
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
        // Whatever else weighs on the node, the flood does.
        let played = self.stretches.iter().filter(|stretch| stretch.seconds > 0.0);
        let lame = played.clone().filter(|stretch| stretch.dropped() < LEAST_DROPPED);
        failures.extend(lame.map(|stretch| {
            let [dropped, least] = [stretch.dropped(), LEAST_DROPPED].map(|part| part * 100.0);
            format!(
                "{}: {dropped:.1} % were dropped, less than {least:.0} %, so the load was not full",
                stretch.name
            )
        }));
        if played.count() == 0 {
            failures.push("nothing weighed on the node".to_owned());
        }
        if self.spoilt_part() > MOST_SPOILT {
            let [part, most] = [self.spoilt_part(), MOST_SPOILT].map(|part| part * 100.0);
            failures.push(format!(
                "the machine stood still: {part:.1} % of the time counts for nothing, more than {most:.0} %"
            ));
        }
        if self.stretches.iter().all(|stretch| stretch.reloads == 0) {
            failures.push("nothing was reloaded".to_owned());
        }
        failures
    }

    /// The part of the time in which nothing counts: standstills, and the recovery after each.
    fn spoilt_part(&self) -> f64 {
        let (mut spoilt, mut end) = (0.0, 0.0_f64);
        for [from, until] in &self.standstills {
            let until = (until + RECOVERY.as_secs_f64()).min(self.seconds);
            spoilt += (until - from.max(end)).max(0.0);
            end = end.max(until);
        }
        if self.seconds > 0.0 { spoilt / self.seconds } else { 0.0 }
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

/// The section of the page: the committed record, or that there is none.
///
/// # Panics
/// If what is committed cannot be read.
pub fn committed_section() -> String {
    let file = source_root().join("tests/endurance.json");
    let body = match file.exists() {
        true => section(&Record::read(&file).expect("the committed record is one")),
        false => "Not measured: there is no `tests/endurance.json`.\n".to_owned(),
    };
    format!("\n## An hour of it\n\n{body}")
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
        "- The machine stood still: {} times, {stood:.1} s together; with a minute after each, {:.1} % of the time counts for \
         nothing",
        record.standstills.len(),
        record.spoilt_part() * 100.0
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
        let counted = Counters { udp: [4, 2], dropped: 2, ..Counters::default() };
        let stretch = Stretch { counted, seconds: 3600.0, reloads: 1, ..Stretch::new("flood") };
        Record { seconds: 3600.0, stretches: vec![stretch], ..Record::default() }
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
    fn a_stretch_that_hardly_drops_was_not_full_load() {
        let mut record = well();
        let mut other = Stretch { seconds: 60.0, ..Stretch::new("flood, reloads") };
        other.counted = Counters { udp: [80, 0], dropped: 20, ..Counters::default() };
        record.stretches.push(other);
        assert_eq!(
            record.failures(),
            ["flood, reloads: 20.0 % were dropped, less than 25 %, so the load was not full"]
        );
    }

    #[test]
    fn no_more_than_a_twentieth_of_the_time_may_count_for_nothing() {
        let stood = |standstills: &[[f64; 2]]| Record { standstills: standstills.to_vec(), ..well() };
        assert!(stood(&[[100.0, 102.0], [200.0, 220.0]]).failures().is_empty());
        let failures = stood(&[[100.0, 221.0]]).failures();
        assert_eq!(
            failures,
            ["the machine stood still: 5.0 % of the time counts for nothing, more than 5 %"]
        );
        // What is spoilt twice counts once, and nothing behind the end does.
        let record = stood(&[[0.0, 30.0], [60.0, 66.0], [3590.0, 3595.0]]);
        assert!((record.spoilt_part() - 136.0 / 3600.0).abs() < 1e-9);
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
