//! The sidecar at a glance: what `/status` and `pharos status` show.
//!
//! A snapshot that stands alone. As JSON, durations are seconds with fractions; as text it is a page for a
//! person in a hurry, worst news first. It reads back from its JSON, so that a client prints what the
//! sidecar said.

use std::fmt;

use pharos_policy::explain::{
    Age, Explanation, NextChange, Reason, ReturnsView, SignalView, Told, TrafficView, WaitsFor,
};
pub use pharos_policy::explain::{Effect, Route};
use pharos_policy::{DrainPhase, DrainView, Level, Prefix, WordView};
use serde::{Deserialize, Serialize};

use crate::sources::{Source, Sources};

/// Signals that are listed at most, those that are not good first; a group may require thousands of zones.
pub const MOST_SIGNALS: usize = 200;

/// Zones that are listed at most, those that somebody should look at first.
pub const MOST_ZONES: usize = 200;

/// Everything about a sidecar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name within its site.
    pub node: String,
    /// The site's name.
    pub site: String,
    /// The version of this program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Whether decisions are carried out.
    pub mode: StatusMode,
    /// When this was taken, in seconds since 1970 by the clock of the host.
    #[serde(default)]
    pub taken_unix: f64,
    /// How long the sidecar has been running.
    pub uptime_seconds: f64,
    /// Every configured prefix.
    pub prefixes: Vec<PrefixStatus>,
    /// The drain in force.
    #[serde(default)]
    pub drain: Option<DrainView>,
    /// Holds and forced levels in force.
    #[serde(default)]
    pub words: Vec<WordView>,
    /// What the responder told of itself when its status was last read; `None` if it never was.
    #[serde(default)]
    pub responder: Option<ResponderStatus>,
    /// Every configured neighbour.
    pub neighbours: Vec<NeighbourStatus>,
    /// Every other announcer.
    #[serde(default)]
    pub announcers: Vec<AnnouncerStatus>,
    /// Alarms in force.
    pub alarms: Vec<AlarmStatus>,
    /// Which signals there are, and which there are not.
    #[serde(default)]
    pub sources: Sources,
    /// Signals, those that are not good first, at most [`MOST_SIGNALS`].
    pub signals: Vec<SignalView>,
    /// Signals that are not listed.
    pub signals_omitted: usize,
    /// The last changes of any prefix, newest first.
    pub transitions: Vec<TransitionStatus>,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusMode {
    /// Neighbours are told.
    Announce,
    /// Nobody is told.
    DryRun,
}

/// One prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefixStatus {
    /// The prefix.
    pub prefix: Prefix,
    /// Its group.
    pub group: String,
    /// The level in force.
    pub level: Level,
    /// How long it has been in force.
    pub level_age_seconds: f64,
    /// What has come of it; `None` from a sidecar that does not say so.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
    /// What is left of the hold-down.
    pub hold_down_left_seconds: Option<f64>,
    /// Whether that is the hold-down, or a return that is not allowed yet.
    #[serde(default)]
    pub waits_for: Option<WaitsFor>,
    /// How long a return waits at present.
    #[serde(default)]
    pub hold_down_seconds: f64,
    /// What is left of the grace when the level will be worse but still announced.
    #[serde(default)]
    pub grace_left_seconds: Option<f64>,
    /// How many returns are counted, and how many may be.
    #[serde(default)]
    pub returns: ReturnsView,
    /// What would change the level.
    pub next_changes: Vec<NextChange>,
    /// What each neighbour and each other announcer was told.
    #[serde(default)]
    pub told: Vec<Told>,
    /// The client queries that come for it, where the responder tells.
    #[serde(default)]
    pub traffic: Option<TrafficView>,
}

/// The responder, as it told of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponderStatus {
    /// How long ago it did.
    pub age_seconds: f64,
    /// Whether it said to be ready.
    pub ready: bool,
    /// All its zones.
    pub zones_total: u64,
    /// Those whose newest data answer.
    pub zones_live: u64,
    /// Those whose newest data were refused, so that older ones answer.
    pub zones_refused: u64,
    /// Those that never had good data and answer SERVFAIL.
    pub zones_not_loaded: u64,
    /// Zones, those that somebody should look at first, at most [`MOST_ZONES`].
    pub zones: Vec<ZoneStatus>,
    /// Zones that are not listed.
    pub zones_omitted: u64,
}

/// One zone, as the responder told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// Its name.
    pub name: String,
    /// `live`, `refused` (older data answer), `not_loaded` (SERVFAIL), or `unknown` to this version.
    pub state: String,
    /// The serial of the data that answer.
    pub serial: Option<u32>,
    /// Records that answer.
    pub records: u64,
    /// When the data that answer were loaded, in seconds since 1970.
    pub loaded_unix: Option<u64>,
    /// Why newer data were refused.
    pub refusal: Option<String>,
    /// Since when, in seconds since 1970.
    pub refused_unix: Option<u64>,
    /// When the first of its signatures ends, in seconds since 1970.
    pub signatures_end_unix: Option<u64>,
    /// What is wrong with the data that answer.
    pub findings: Vec<String>,
}

impl ZoneStatus {
    /// A sort key that puts first what somebody should look at.
    pub fn severity(&self) -> u8 {
        match self.state.as_str() {
            "not_loaded" => 0,
            "refused" => 1,
            "live" if self.findings.is_empty() => 4,
            "live" => 2,
            _ => 3,
        }
    }

    /// What answers, in words.
    pub fn state_in_words(&self) -> &str {
        match self.state.as_str() {
            "not_loaded" => "not loaded, answers SERVFAIL",
            "refused" => "push refused, old data answer",
            other => other,
        }
    }
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NeighbourStatus {
    /// Its name: the address, and the port where it is not 179.
    pub name: String,
    /// Its AS number.
    pub remote_as: u32,
    /// The session's state as RFC 4271 names it, or `dry-run`.
    pub state: String,
    /// How long the session has been in that state.
    pub state_age_seconds: f64,
    /// What both sides agreed on, while established.
    pub agreed: Option<String>,
    /// How often an established session was lost.
    pub flaps: u64,
    /// Why the last session or attempt ended.
    pub last_down: Option<String>,
    /// The last NOTIFICATION of either side; it stays after the session is up again.
    #[serde(default)]
    pub last_notification: Option<NotificationStatus>,
    /// The routes that the neighbour was told and has not been told otherwise, each with its attributes.
    pub told: Vec<String>,
    /// Whether octets of that wait because the neighbour takes none: it may know something older.
    #[serde(default)]
    pub waits: bool,
    /// What the neighbour should know and does not, or the reverse; empty when all is as decided.
    pub drift: Vec<DriftStatus>,
    /// BFD with it; `None` where it is not configured, or in a dry run.
    pub bfd: Option<BfdStatus>,
}

/// Who sent a NOTIFICATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// This node.
    Sent,
    /// The neighbour.
    Received,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "sent",
            Self::Received => "received",
        })
    }
}

/// A NOTIFICATION (RFC 4271 §4.5), in numbers and in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationStatus {
    /// Who sent it.
    pub direction: Direction,
    /// The error code.
    pub code: u8,
    /// The subcode; 0 where there is none.
    pub subcode: u8,
    /// The code's name: `Cease`.
    pub code_name: String,
    /// The subcode's name; `None` where it has none.
    pub subcode_name: Option<String>,
    /// What the operator at the sending end has written (RFC 9003), as it came.
    pub communication: Option<String>,
    /// All of it in one line: `Cease/Administrative Shutdown (6/2): “power work”`.
    pub text: String,
    /// What exactly was wrong, where this end knows it.
    pub detail: Option<String>,
    /// How long ago it was.
    pub age_seconds: f64,
}

impl fmt::Display for NotificationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NOTIFICATION {} {} ago: {}", self.direction, age(self.age_seconds), self.text)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// Why a prefix is as it is, and what each neighbour knows of it: what `pharos why` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyStatus {
    /// The policy's part.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// Every neighbour, with the routes and drifts of this prefix alone.
    #[serde(default)]
    pub neighbours: Vec<NeighbourStatus>,
}

impl fmt::Display for WhyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.explanation)?;
        if !self.neighbours.is_empty() {
            writeln!(f, "neighbours")?;
        }
        for neighbour in &self.neighbours {
            // What it was told stands in the explanation, with what others were.
            write!(f, "{}", NeighbourStatus { told: Vec::new(), ..neighbour.clone() })?;
        }
        Ok(())
    }
}

/// BFD with one neighbour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// The session's state as RFC 5880 names it.
    pub state: String,
    /// How long it has been in that state.
    pub state_age_seconds: f64,
    /// State and cause in words.
    pub text: String,
    /// How long the neighbour may be silent.
    pub detection_seconds: f64,
    /// The interval at which this end sends.
    pub interval_seconds: f64,
    /// How often the session was lost.
    pub flaps: u64,
}

/// One announcer that is not our own BGP speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnouncerStatus {
    /// Its name: `bird`, `lease`, `exec NAME`.
    pub name: String,
    /// Whether its decisions are carried out.
    pub mode: StatusMode,
    /// What becomes of the routes when the sidecar dies.
    pub death: String,
    /// How it stands with whatever it depends on.
    pub state: String,
    /// Why its last action failed; `None` when it did not.
    pub failing: Option<String>,
    /// What is observed of each prefix.
    pub prefixes: Vec<ObservedStatus>,
    /// The last words of the program or the daemon.
    pub said: Vec<String>,
    /// Where that is not as decided.
    pub drift: Vec<DriftStatus>,
}

/// What an announcer observes of one prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedStatus {
    /// The prefix.
    pub prefix: Prefix,
    /// What is observed, in words.
    pub observed: String,
    /// Whether that is a route.
    #[serde(default)]
    pub route: Route,
}

/// One prefix that is not as decided, as far as an announcer or a neighbour is concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftStatus {
    /// The prefix.
    pub prefix: Prefix,
    /// What was decided: a level, or a route with its attributes.
    pub wanted: String,
    /// What is observed.
    pub observed: String,
    /// Since when.
    pub age_seconds: f64,
    /// Why, as far as it is known.
    pub why: String,
}

impl fmt::Display for DriftStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, wanted, observed, age_seconds, why } = self;
        write!(f, "{prefix} should be {wanted} and is {observed}, for {}: {why}", age(*age_seconds))
    }
}

/// One alarm in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// The kind: one of [`AlarmId::KINDS`](pharos_policy::AlarmId::KINDS).
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What is known.
    pub text: String,
    /// How long it has been in force.
    pub age_seconds: f64,
}

/// One change of a prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// The prefix.
    pub prefix: Prefix,
    /// The level before.
    pub from: Level,
    /// The level after.
    pub to: Level,
    /// Why.
    pub cause: String,
    /// How long ago.
    pub age_seconds: f64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, site, version, pid, .. } = self;
        let mode = match self.mode {
            StatusMode::Announce => "",
            StatusMode::DryRun => ", DRY RUN: nobody is told",
        };
        writeln!(
            f,
            "sidecar {node}.{site}, pharos {version}, pid {pid}, up {}{mode}",
            age(self.uptime_seconds)
        )?;
        writeln!(f, "\nalarms")?;
        if self.alarms.is_empty() {
            writeln!(f, "  none")?;
        }
        for alarm in &self.alarms {
            writeln!(f, "  {} ({}): {}", alarm.subject, age(alarm.age_seconds), alarm.text)?;
        }
        writeln!(f, "\nprefixes")?;
        for prefix in &self.prefixes {
            write!(f, "  {:<22} {:<11} {:>7}", prefix.prefix, prefix.level, age(prefix.level_age_seconds))?;
            writeln!(f, "  {}", prefix.reasons.first().map_or("", |reason| &reason.text))?;
            if let Some(lack) = prefix.effect.and_then(Effect::lack) {
                writeln!(f, "    that is decided only: {lack}")?;
            }
            if let Some(traffic) = &prefix.traffic {
                writeln!(f, "    traffic {traffic}")?;
            }
            match (prefix.hold_down_left_seconds.map(age), prefix.waits_for) {
                (None, _) => {}
                (Some(left), Some(WaitsFor::Returns)) => {
                    let ReturnsView { counted, most, within_seconds } = prefix.returns;
                    let within = age(within_seconds);
                    writeln!(
                        f,
                        "    returns used up, {counted} of {most} within {within} (the next in {left})"
                    )?;
                }
                (Some(left), _) => {
                    writeln!(f, "    hold-down {} ({left} left)", age(prefix.hold_down_seconds))?;
                }
            }
            for change in &prefix.next_changes {
                writeln!(f, "    would become {change}")?;
            }
        }
        self.write_words(f)?;
        self.write_zones(f)?;
        writeln!(f, "\nneighbours")?;
        for neighbour in &self.neighbours {
            write!(f, "{neighbour}")?;
            if neighbour.told.is_empty() {
                writeln!(f, "    told nothing")?;
            }
        }
        if !self.announcers.is_empty() {
            writeln!(f, "\nannouncers")?;
        }
        for announcer in &self.announcers {
            write!(f, "{announcer}")?;
        }
        writeln!(f, "\nsignals")?;
        for signal in &self.signals {
            writeln!(f, "  {signal}")?;
        }
        if self.signals_omitted > 0 {
            writeln!(f, "  and {} more", self.signals_omitted)?;
        }
        for Source { signal, text } in &self.sources.lacks {
            writeln!(f, "  none of {signal}: {text}")?;
        }
        writeln!(f, "\nlast changes")?;
        if self.transitions.is_empty() {
            writeln!(f, "  none since the start")?;
        }
        for TransitionStatus { prefix, from, to, cause, age_seconds } in &self.transitions {
            writeln!(f, "  {:>7} ago  {prefix}: {from} -> {to}: {cause}", age(*age_seconds))?;
        }
        Ok(())
    }
}

impl fmt::Display for NeighbourStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} AS{} {}", self.name, self.remote_as, self.state)?;
        writeln!(f, " for {}, lost {} times", age(self.state_age_seconds), self.flaps)?;
        let cause = self.last_down.as_ref().filter(|_| self.agreed.is_none());
        if let Some(cause) = cause {
            writeln!(f, "    {cause}")?;
        }
        // What the line before has said already is not said twice.
        let is_news =
            |message: &&NotificationStatus| cause.is_none_or(|cause| !cause.contains(&message.text));
        if let Some(message) = self.last_notification.as_ref().filter(is_news) {
            writeln!(f, "    last {message}")?;
        }
        if let Some(bfd) = &self.bfd {
            let BfdStatus { text, state_age_seconds, flaps, .. } = bfd;
            writeln!(f, "    BFD {text}, for {}, lost {flaps} times", age(*state_age_seconds))?;
        }
        for line in &self.told {
            writeln!(f, "    told {line}")?;
        }
        if self.waits {
            writeln!(f, "    takes no octets: what it is told waits, and it may know something older")?;
        }
        for drift in &self.drift {
            writeln!(f, "    drift {drift}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AnnouncerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            StatusMode::Announce => "",
            StatusMode::DryRun => ", dry run",
        };
        writeln!(f, "  {}{mode}: {}", self.name, self.state)?;
        writeln!(f, "    when the sidecar dies: {}", self.death)?;
        for ObservedStatus { prefix, observed, .. } in &self.prefixes {
            writeln!(f, "    observed {prefix} {observed}")?;
        }
        for drift in &self.drift {
            writeln!(f, "    drift {drift}")?;
        }
        if let Some(why) = &self.failing {
            writeln!(f, "    failing {why}")?;
        }
        for line in &self.said {
            writeln!(f, "    said {line}")?;
        }
        Ok(())
    }
}

impl Status {
    /// How many zones there are, and those that are not as they should be; `pharos status` has all of them from the
    /// responder itself.
    fn write_zones(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(responder) = &self.responder else { return Ok(()) };
        let ResponderStatus { zones_live, zones_refused, zones_not_loaded, age_seconds, .. } = responder;
        write!(f, "\nzones, as the responder told {} ago: {zones_live} live", age(*age_seconds))?;
        writeln!(f, ", {zones_refused} refused, {zones_not_loaded} not loaded")?;
        for zone in responder.zones.iter().filter(|zone| zone.severity() < 4) {
            let serial = zone.serial.map_or("none".to_owned(), |serial| serial.to_string());
            writeln!(f, "  {} serial {serial}: {}", zone.name, zone.state_in_words())?;
            let lines = zone.refusal.iter().flat_map(|text| text.lines());
            for line in lines.chain(zone.findings.iter().map(String::as_str)) {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }

    fn write_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.drain.is_none() && self.words.is_empty() {
            return Ok(());
        }
        writeln!(f, "\noperator")?;
        if let Some(drain) = &self.drain {
            write!(f, "  drained {} ago {}", age(drain.age_seconds), drain.words)?;
            match drain.phase {
                DrainPhase::Draining => {
                    let left = age(drain.withdraw_after_seconds.unwrap_or_default());
                    writeln!(f, "; withdrawn in {left} at the latest")?;
                }
                DrainPhase::Lingering => {
                    let left = age(drain.linger_left_seconds.unwrap_or_default());
                    writeln!(
                        f,
                        "; withdrawn, keep answering for {left} at least{}",
                        drain.remaining.remark()
                    )?;
                }
                DrainPhase::Done => {
                    writeln!(f, "; withdrawn, this node may stop{}", drain.remaining.remark())?;
                }
            }
            if let Some(left) = drain.expires_after_seconds {
                writeln!(f, "    ends by itself in {}", age(left))?;
            }
        }
        for word in &self.words {
            let (said, left) = (age(word.age_seconds), age(word.expires_after_seconds));
            writeln!(f, "  {} {} {said} ago {}, for {left} more", word.target, word.what, word.words)?;
        }
        Ok(())
    }
}

fn age(seconds: f64) -> Age {
    Age(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
