//! Alarms: things that a person should know and that move no route.
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

/// What an alarm is about; at most one per subject is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmId {
    /// New data of a zone were refused; the last good data, if any, keep answering.
    ZoneRefused {
        /// The zone's name.
        zone: String,
    },
    /// The responder's status cannot be read: zone alarms and the serial comparison are blind.
    StatusUnreachable,
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
}

impl AlarmId {
    /// All kinds, for whoever counts them.
    pub const KINDS: [&'static str; 7] = [
        "zone-refused",
        "status-unreachable",
        "neighbour-down",
        "bfd-down",
        "drain-in-force",
        "drift",
        "announcer-failing",
    ];

    /// The kind of the alarm in metrics and JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ZoneRefused { .. } => "zone-refused",
            Self::StatusUnreachable => "status-unreachable",
            Self::NeighbourDown { .. } => "neighbour-down",
            Self::BfdDown { .. } => "bfd-down",
            Self::DrainInForce => "drain-in-force",
            Self::Drift { .. } => "drift",
            Self::AnnouncerFailing { .. } => "announcer-failing",
        }
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZoneRefused { zone } => write!(f, "zone {zone} refused"),
            Self::StatusUnreachable => write!(f, "responder status unreachable"),
            Self::NeighbourDown { neighbour } => write!(f, "neighbour {neighbour} down"),
            Self::BfdDown { neighbour } => write!(f, "BFD with neighbour {neighbour} down"),
            Self::DrainInForce => write!(f, "drain in force"),
            Self::Drift { announcer } => write!(f, "{announcer} drifts"),
            Self::AnnouncerFailing { announcer } => write!(f, "{announcer} fails"),
        }
    }
}

/// An alarm in force.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}
