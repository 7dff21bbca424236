//! Alarms: things that a person should know. An alarm by itself moves no route.
//!
//! Data faults live here, because they tend to hit all POPs at once: a refused push leaves the last good
//! data answering, and if each POP withdrew for it, the service would vanish. An alarm is raised when it was
//! not in force or its text changed, and cleared once; everything else changes nothing.
//!
//! | in force | input | then |
//! |---|---|---|
//! | no | raise | in force, reported |
//! | yes | raise, same text | nothing |
//! | yes | raise, other text | text replaced, reported; its age goes on |
//! | yes | clear | gone, reported |
//! | no | clear | nothing |

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kind::{Kind, SignalId};
use crate::operator::Target;
use crate::prefix::Prefix;

/// What an alarm is about; at most one per subject is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "alarm", rename_all = "kebab-case")]
pub enum AlarmId {
    /// New data of a zone were refused; the last good data, if any, keep answering.
    ZoneRefused {
        /// The zone's name.
        zone: String,
    },
    /// The responder's status cannot be read: whatever it would tell is not known.
    StatusUnreachable,
    /// A signal is not as it should be. Raised by the policy itself; probes have none, since their routes say it, and zones
    /// have one for all.
    Signal {
        /// The signal in question.
        signal: SignalId,
    },
    /// A configured neighbour has no established session.
    NeighbourDown {
        /// The neighbour by the name that its owner gives it.
        neighbour: String,
    },
    /// BFD with a configured neighbour is not up.
    BfdDown {
        /// The neighbour by the name that its owner gives it.
        neighbour: String,
    },
    /// The operator has drained this node.
    DrainInForce,
    /// What an announcer observes is not what was decided.
    Drift {
        /// The announcer by the name that its owner gives it.
        announcer: String,
    },
    /// An announcer's actions fail.
    AnnouncerFailing {
        /// The announcer by the name that its owner gives it.
        announcer: String,
    },
    /// Real queries still come for a prefix although the drain time is over.
    DrainIgnored {
        /// The prefix in question.
        prefix: Prefix,
    },
    /// Real queries come for a prefix as before although its level has been worse for longer than `patience`.
    PreferenceIgnored {
        /// The prefix in question.
        prefix: Prefix,
    },
    /// The operator holds or forces levels.
    WordInForce {
        /// Of what.
        target: Target,
    },
    /// The operator's words could not be written down: a restart would forget them.
    WordsNotSaved,
    /// The operator's words of before this process could not be read: the node is drained until somebody says more.
    WordsUnreadable,
    /// Falls and returns could not be written down or read: what delays the returns of a node that flaps does not
    /// survive a restart.
    FlapsNotKept,
    /// Signals are not being recorded.
    NotRecording,
    /// Required zones are not answered as they should be, at addresses that answer.
    ZoneFailing,
    /// A thread that looks at something, writes something down or tells a program or a daemon does not run.
    ThreadLate {
        /// Its name.
        thread: String,
    },
}

impl AlarmId {
    /// All kinds, for whoever counts them.
    pub const KINDS: [&'static str; 26] = [
        "zone-refused",
        "status-unreachable",
        "neighbour-down",
        "bfd-down",
        "drain-in-force",
        "drain-ignored",
        "preference-ignored",
        "word-in-force",
        "words-not-saved",
        "words-unreadable",
        "flaps-not-kept",
        "not-recording",
        "thread-late",
        "zone-failing",
        "drift",
        "announcer-failing",
        "slow",
        "wire",
        "address",
        "default-route",
        "heartbeats",
        "overload",
        "data-age",
        "signatures",
        "traffic",
        "clock",
    ];

    /// The kind of the alarm in metrics and JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ZoneRefused { .. } => "zone-refused",
            Self::StatusUnreachable => "status-unreachable",
            Self::Signal { signal } => signal.kind().name(),
            Self::NeighbourDown { .. } => "neighbour-down",
            Self::BfdDown { .. } => "bfd-down",
            Self::DrainInForce => "drain-in-force",
            Self::Drift { .. } => "drift",
            Self::AnnouncerFailing { .. } => "announcer-failing",
            Self::DrainIgnored { .. } => "drain-ignored",
            Self::PreferenceIgnored { .. } => "preference-ignored",
            Self::WordInForce { .. } => "word-in-force",
            Self::WordsNotSaved => "words-not-saved",
            Self::WordsUnreadable => "words-unreadable",
            Self::FlapsNotKept => "flaps-not-kept",
            Self::NotRecording => "not-recording",
            Self::ThreadLate { .. } => "thread-late",
            Self::ZoneFailing => "zone-failing",
        }
    }

    /// The alarm that a signal raises while it is not as it should be; `None` for those that raise none.
    pub(crate) fn of(signal: &SignalId) -> Option<Self> {
        match signal.kind() {
            Kind::Probe | Kind::Zone | Kind::Answers | Kind::Ready => None,
            Kind::Status => Some(Self::StatusUnreachable),
            _ => Some(Self::Signal { signal: signal.clone() }),
        }
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZoneRefused { zone } => write!(f, "zone {zone} refused"),
            Self::StatusUnreachable => write!(f, "responder status unreachable"),
            Self::Signal { signal } => write!(f, "{signal}"),
            Self::NeighbourDown { neighbour } => write!(f, "neighbour {neighbour} down"),
            Self::BfdDown { neighbour } => write!(f, "BFD with neighbour {neighbour} down"),
            Self::DrainInForce => write!(f, "drain in force"),
            Self::Drift { announcer } => write!(f, "{announcer} drifts"),
            Self::AnnouncerFailing { announcer } => write!(f, "{announcer} fails"),
            Self::DrainIgnored { prefix } => write!(f, "drain of {prefix} ignored"),
            Self::PreferenceIgnored { prefix } => write!(f, "traffic of {prefix} does not follow"),
            Self::WordInForce { target } => write!(f, "operator's word on {target}"),
            Self::WordsNotSaved => write!(f, "operator's words not saved"),
            Self::WordsUnreadable => write!(f, "operator's words unreadable"),
            Self::FlapsNotKept => write!(f, "falls and returns not kept"),
            Self::NotRecording => write!(f, "signals not recorded"),
            Self::ThreadLate { thread } => write!(f, "thread {thread} late"),
            Self::ZoneFailing => write!(f, "required zones fail"),
        }
    }
}

/// An alarm in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    pub id: AlarmId,
    /// When it was raised, in the policy's time.
    pub since: Duration,
    /// What is known: a sentence without a full stop.
    pub text: String,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// There is something to report.
    Changed,
    /// Everything is as it was.
    Unchanged,
}

/// All alarms in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms {
    in_force: BTreeMap<AlarmId, Alarm>,
}

impl Alarms {
    pub(crate) fn raise(&mut self, now: Duration, id: &AlarmId, text: &str) -> Effect {
        match self.in_force.get_mut(id) {
            Some(alarm) if alarm.text == text => Effect::Unchanged,
            Some(alarm) => {
                text.clone_into(&mut alarm.text);
                Effect::Changed
            }
            None => {
                let alarm = Alarm { id: id.clone(), since: now, text: text.to_owned() };
                self.in_force.insert(id.clone(), alarm);
                Effect::Changed
            }
        }
    }

    /// An alarm that was in force before, with its age.
    pub(crate) fn resume(&mut self, alarm: Alarm) {
        self.in_force.insert(alarm.id.clone(), alarm);
    }

    pub(crate) fn get(&self, id: &AlarmId) -> Option<&Alarm> {
        self.in_force.get(id)
    }

    /// The alarm that ended, if it was in force.
    pub(crate) fn clear(&mut self, id: &AlarmId) -> Option<Alarm> {
        self.in_force.remove(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Alarm> {
        self.in_force.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn an_alarm_is_reported_once_until_its_text_changes_or_it_ends() {
        let mut alarms = Alarms::default();
        let id = AlarmId::ZoneRefused { zone: "example.com.".into() };
        assert_eq!(alarms.raise(AT(1), &id, "a:1:1: no SOA"), Effect::Changed);
        assert_eq!(alarms.raise(AT(2), &id, "a:1:1: no SOA"), Effect::Unchanged);
        assert_eq!(alarms.raise(AT(3), &id, "a:9:1: no NS"), Effect::Changed);
        assert_eq!(alarms.iter().next().unwrap().since, AT(1), "the age goes on");
        assert_eq!(alarms.clear(&id).unwrap().text, "a:9:1: no NS");
        assert_eq!(alarms.clear(&id), None);
    }

    #[test]
    fn every_signal_that_raises_an_alarm_has_its_kind_in_the_list() {
        let signals = [
            SignalId::Heartbeats,
            SignalId::Overload,
            SignalId::Clock,
            SignalId::Status,
            SignalId::Slow { address: "192.0.2.53:53".parse().unwrap() },
            SignalId::Wire { address: "192.0.2.53:53".parse().unwrap() },
            SignalId::Address { ip: "192.0.2.53".parse().unwrap() },
            SignalId::DefaultRoute { family: crate::Family::Ipv6 },
            SignalId::DataAge { group: "main".into() },
            SignalId::Signatures { group: "main".into() },
            SignalId::Traffic { prefix: "192.0.2.0/24".parse().unwrap() },
        ];
        for signal in signals {
            let alarm = AlarmId::of(&signal).unwrap();
            assert!(AlarmId::KINDS.contains(&alarm.kind()), "{alarm:?}");
        }
    }
}
