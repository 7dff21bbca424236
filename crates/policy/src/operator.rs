//! The operator's words: drain, hold and forced levels, each with its author, text and end.
//!
//! Words lie over what health has earned (see [`preference`](crate::preference)) and never make a node that
//! cannot answer stay. A *drain* is about the whole node; a *hold* or a *forced level* about a prefix, a group
//! or all, and the most specific one in force counts. What is held is the level that was in force when the
//! word was said.
//!
//! # Transition tables
//!
//! | drain | input | then |
//! |---|---|---|
//! | none | drain | every prefix capped at draining; withdrawn after the drain time; that no traffic came is forgotten |
//! | draining | a prefix has next to no real traffic any more | that prefix withdrawn, or not back if a fault withdrew it; the others have their time |
//! | draining | end of the drain time | every prefix withdrawn; an alarm for each that still has traffic |
//! | draining | all withdrawn, for whatever reason | lingering: none is announced before the undrain |
//! | lingering | linger over, and every prefix is known to have next to no real traffic | done: the node may stop |
//! | lingering | twice the linger over, and of some prefix the traffic is not known, of none that there is any | done, and it is said what is not known |
//! | done | real traffic comes for a prefix again | lingering |
//! | any | drain | author, text, end and, while draining, the drain time are replaced; it began when it began |
//! | any | undrain, or its end | none; prefixes are where health has them |
//!
//! | word on a target | input | then |
//! |---|---|---|
//! | any | hold | the levels in force are held |
//! | any | force | the level is forced; one that is better than what is in force waits for nothing |
//! | some | release of the target, or of all that holds it; or its end | none |
//!
//! An anchor obeys a drain, and words on all, only if its [`AnchorDrain`](crate::config::AnchorDrain) says so;
//! words on itself always.
//!
//! # Over a restart
//!
//! Words survive the sidecar: [`Policy::saved`](crate::Policy::saved) gives them as plain values with wall
//! clock times, [`Policy::restore`](crate::Policy::restore) takes them back. A wall clock that went back in
//! between makes no word last longer than it had left.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::prefix::{Prefix, PrefixError};

/// What a hold or a forced level is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Every prefix.
    All,
    /// The prefixes of a group.
    Group(String),
    /// One prefix.
    Prefix(Prefix),
}

impl Target {
    /// Whether a release of this target ends a word on `other`, given the group of a prefix.
    pub(crate) fn holds(&self, other: &Self, group_of: impl Fn(Prefix) -> Option<String>) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Group(group), Self::Prefix(prefix)) => group_of(*prefix).as_ref() == Some(group),
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all prefixes"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Prefix(prefix) => write!(f, "{prefix}"),
        }
    }
}

/// `all`, a prefix, or the name of a group.
impl FromStr for Target {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        match text {
            "all" => Ok(Self::All),
            prefix if prefix.contains('/') => prefix.parse().map(Self::Prefix),
            group => Ok(Self::Group(group.to_owned())),
        }
    }
}

/// Who said something, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Who.
    pub author: String,
    /// Why, in the operator's words; may be empty.
    pub text: String,
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => write!(f, "by {}", self.author),
            text => write!(f, "by {}: {text}", self.author),
        }
    }
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainPhase {
    /// Still announced, asking for no traffic.
    Draining,
    /// Withdrawn; queries of those who have not heard are still answered.
    Lingering,
    /// The node may stop.
    Done,
}

impl DrainPhase {
    /// The name in JSON and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Lingering => "lingering",
            Self::Done => "done",
        }
    }
}

/// What is known of the real queries that still come for the prefixes of a drained node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remaining {
    /// Next to none, for any prefix.
    NextToNone,
    /// Some come for a prefix.
    Some,
    /// Nobody counts them for a prefix, or nobody tells; for none they are known to come.
    #[default]
    NotKnown,
}

impl Remaining {
    /// What a person has to hear beside the phase of the drain; may be empty.
    pub const fn remark(self) -> &'static str {
        match self {
            Self::NextToNone => "",
            Self::Some => "; queries still come",
            Self::NotKnown => "; whether queries still come is not known",
        }
    }
}

/// A word's age, over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// When this process heard it.
    since: Duration,
    /// How old it was then.
    aged: Duration,
}

impl Said {
    pub(crate) const fn now(now: Duration) -> Self {
        Self { since: now, aged: Duration::ZERO }
    }

    pub(crate) fn age(self, now: Duration) -> Duration {
        now.saturating_sub(self.since).saturating_add(self.aged)
    }
}

/// A drain in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drain {
    pub(crate) words: Words,
    pub(crate) said: Said,
    pub(crate) expires: Option<Duration>,
    pub(crate) withdraw_at: Duration,
    /// When all that obeys was withdrawn.
    pub(crate) left: Option<Duration>,
    /// Since when the node may stop.
    pub(crate) done: Option<Duration>,
}

impl Drain {
    pub(crate) fn phase(&self) -> DrainPhase {
        match (self.left, self.done) {
            (_, Some(_)) => DrainPhase::Done,
            (Some(_), None) => DrainPhase::Lingering,
            (None, None) => DrainPhase::Draining,
        }
    }

    /// Whether nothing that obeys it is announced any more: its time has ended, or all had left before that. Who has left
    /// once, for whatever reason and in whichever process, comes back on an undrain alone.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        now >= self.withdraw_at || self.phase() != DrainPhase::Draining
    }
}

/// A hold or a forced level in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    pub(crate) what: Standing,
    pub(crate) words: Words,
    pub(crate) said: Said,
    pub(crate) expires: Duration,
}

/// What stood on a target before, with the prefixes that it was about then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recalled {
    pub(crate) target: Target,
    pub(crate) stand: Stand,
    pub(crate) prefixes: Vec<Prefix>,
}

/// What stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Each prefix keeps the level that it had.
    Hold(BTreeMap<Prefix, Level>),
    /// Each prefix has this level.
    Force(Level),
}

impl Standing {
    /// The level of one prefix; `None` if it was not there to be held.
    pub(crate) fn level(&self, prefix: Prefix) -> Option<Level> {
        match self {
            Self::Hold(levels) => levels.get(&prefix).copied(),
            Self::Force(level) => Some(*level),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(_) => f.write_str("held"),
            Self::Force(level) => write!(f, "forced to {level}"),
        }
    }
}

/// All words in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) drain: Option<Drain>,
    pub(crate) stands: BTreeMap<Target, Stand>,
}

impl Operator {
    /// When a word next ends.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let stands = self.stands.values().map(|stand| stand.expires);
        stands.chain(self.drain.iter().filter_map(|drain| drain.expires)).min()
    }
}

/// The words of an operator as they are written down; times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The drain in force.
    pub drain: Option<SavedDrain>,
    /// Holds and forced levels in force.
    #[serde(default)]
    pub stands: Vec<SavedStand>,
}

/// A drain as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDrain {
    /// Who and why.
    pub words: Words,
    /// When it was said.
    pub said_unix_ms: u64,
    /// When it ends by itself.
    pub expires: Option<SavedEnd>,
    /// When the routes go.
    pub withdraw: SavedEnd,
    /// When they were gone.
    pub left_unix_ms: Option<u64>,
    /// When the node could stop.
    pub done_unix_ms: Option<u64>,
}

/// A hold or a forced level as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStand {
    /// Of what.
    pub target: Target,
    /// What.
    pub what: Standing,
    /// Who and why.
    pub words: Words,
    /// When it was said.
    pub said_unix_ms: u64,
    /// When it ends.
    pub expires: SavedEnd,
    /// The prefixes that it was about: groups change.
    #[serde(default)]
    pub prefixes: Vec<Prefix>,
}

/// An end as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEnd {
    /// When.
    pub unix_ms: u64,
    /// What was left of it when it was written: no clock makes it longer.
    pub left_ms: u64,
}

/// Translates between the policy's time and the wall clock, both read at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    pub(crate) now: Duration,
    pub(crate) unix: Duration,
}

impl Wall {
    fn unix_ms(self, at: Duration) -> u64 {
        let unix = self.unix.saturating_add(at).saturating_sub(self.now);
        milliseconds(unix)
    }

    fn end(self, at: Duration) -> SavedEnd {
        SavedEnd { unix_ms: self.unix_ms(at), left_ms: milliseconds(at.saturating_sub(self.now)) }
    }

    fn at(self, end: SavedEnd) -> Duration {
        let left = Duration::from_millis(end.unix_ms).saturating_sub(self.unix);
        self.now.saturating_add(left.min(Duration::from_millis(end.left_ms)))
    }

    fn said(self, unix_ms: u64) -> Said {
        Said { since: self.now, aged: self.unix.saturating_sub(Duration::from_millis(unix_ms)) }
    }

    /// A moment that is past; as near to it as the policy's time reaches.
    fn past(self, unix_ms: u64) -> Duration {
        self.now.saturating_sub(self.unix.saturating_sub(Duration::from_millis(unix_ms)))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Operator {
    /// All words for a file; `members` gives the prefixes that a target is about.
    pub(crate) fn saved(&self, wall: Wall, members: impl Fn(&Target) -> Vec<Prefix>) -> Saved {
        let said_unix_ms = |said: Said| milliseconds(wall.unix.saturating_sub(said.age(wall.now)));
        let drain = self.drain.as_ref().map(|drain| SavedDrain {
            words: drain.words.clone(),
            said_unix_ms: said_unix_ms(drain.said),
            expires: drain.expires.map(|at| wall.end(at)),
            withdraw: wall.end(drain.withdraw_at),
            left_unix_ms: drain.left.map(|at| wall.unix_ms(at)),
            done_unix_ms: drain.done.map(|at| wall.unix_ms(at)),
        });
        let stand = |(target, stand): (&Target, &Stand)| SavedStand {
            target: target.clone(),
            what: stand.what.clone(),
            words: stand.words.clone(),
            said_unix_ms: said_unix_ms(stand.said),
            expires: wall.end(stand.expires),
            prefixes: members(target),
        };
        Saved { drain, stands: self.stands.iter().map(stand).collect() }
    }

    /// The words of a file: the drain, and what stands on which target with the prefixes that it was about.
    pub(crate) fn restored(saved: Saved, wall: Wall) -> (Option<Drain>, Vec<Recalled>) {
        let drain = saved.drain.map(|drain| Drain {
            words: drain.words,
            said: wall.said(drain.said_unix_ms),
            expires: drain.expires.map(|end| wall.at(end)),
            withdraw_at: wall.at(drain.withdraw),
            left: drain.left_unix_ms.map(|at| wall.past(at)),
            done: drain.done_unix_ms.map(|at| wall.past(at)),
        });
        let stand = |stand: SavedStand| {
            let SavedStand { target, what, words, said_unix_ms, expires, prefixes } = stand;
            let stand = Stand { what, words, said: wall.said(said_unix_ms), expires: wall.at(expires) };
            Recalled { target, stand, prefixes }
        };
        (drain, saved.stands.into_iter().map(stand).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn operator() -> Operator {
        let words = Words { author: "ada".into(), text: "new disks".into() };
        let stand = Stand {
            what: Standing::Force(Level::Degraded),
            words: words.clone(),
            said: Said::now(S(50)),
            expires: S(150),
        };
        Operator {
            drain: Some(Drain {
                words,
                said: Said::now(S(90)),
                expires: None,
                withdraw_at: S(110),
                left: None,
                done: None,
            }),
            stands: [(Target::Group("main".into()), stand)].into(),
        }
    }

    #[test]
    fn words_come_back_with_what_they_had_left_and_their_age() {
        let about = vec!["192.0.2.0/24".parse().unwrap()];
        let saved = operator().saved(Wall { now: S(100), unix: S(1_000_000) }, |_| about.clone());
        let json = serde_json::to_string(&saved).unwrap();
        let saved = serde_json::from_str(&json).unwrap();
        let (drain, stands) = Operator::restored(saved, Wall { now: S(3), unix: S(1_000_004) });
        let [Recalled { target, stand, prefixes }] = stands.as_slice() else { panic!("one stands") };
        assert_eq!((target, prefixes), (&Target::Group("main".into()), &about));
        assert_eq!((stand.expires, stand.said.age(S(3))), (S(3 + 46), S(54)));
        let drain = drain.unwrap();
        assert_eq!((drain.withdraw_at, drain.said.age(S(3))), (S(3 + 6), S(14)));
    }

    #[test]
    fn a_wall_clock_that_went_back_makes_no_word_last_longer() {
        let saved = operator().saved(Wall { now: S(100), unix: S(1_000_000) }, |_| Vec::new());
        let (drain, stands) = Operator::restored(saved, Wall { now: S(0), unix: S(5) });
        assert_eq!(stands[0].stand.expires, S(50));
        assert_eq!(drain.unwrap().withdraw_at, S(10));
    }

    #[test]
    fn targets_read_as_they_are_typed() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(target("all"), Ok(Target::All));
        assert_eq!(target("main"), Ok(Target::Group("main".into())));
        assert_eq!(target("192.0.2.0/24"), Ok(Target::Prefix("192.0.2.0/24".parse().unwrap())));
        assert!(target("192.0.2.1/24").is_err());
    }
}
