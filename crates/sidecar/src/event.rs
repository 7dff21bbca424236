//! What happened, for whoever wants to watch: one readable line each.
//!
//! Events are what the log says, as values. They go to every [`Handle::events`](crate::Handle::events)
//! receiver; a receiver that does not keep up misses the oldest and is told how many.

use std::fmt;

use pharos_policy::explain::Verdict;
use pharos_policy::{Level, Prefix};
use serde::Serialize;

/// Something that a person may want to know when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A prefix has another level.
    Route {
        /// The prefix.
        prefix: Prefix,
        /// Its group.
        group: String,
        /// The level before.
        from: Level,
        /// The level after.
        to: Level,
        /// Why.
        cause: String,
    },
    /// A signal has another verdict.
    Signal {
        /// What is observed.
        signal: String,
        /// The verdict before.
        from: Verdict,
        /// The verdict after.
        to: Verdict,
        /// Why.
        text: String,
    },
    /// A BGP session is established.
    SessionUp {
        /// The neighbour.
        neighbour: String,
        /// What both sides agreed on.
        text: String,
    },
    /// A BGP session, or an attempt at one, ended.
    SessionDown {
        /// The neighbour.
        neighbour: String,
        /// Why.
        cause: String,
    },
    /// A neighbour was told a route, or that it is gone.
    Told {
        /// The neighbour.
        neighbour: String,
        /// The route with its attributes, or the prefix and that it is withdrawn.
        text: String,
    },
    /// BFD with a neighbour is up.
    BfdUp {
        /// The neighbour.
        neighbour: String,
        /// How quickly a failure will be seen.
        text: String,
    },
    /// BFD with a neighbour went down.
    BfdDown {
        /// The neighbour.
        neighbour: String,
        /// Why.
        cause: String,
    },
    /// What an announcer observes is not what was decided, against what had been reached, or for longer than
    /// carrying it out takes.
    Drift {
        /// The announcer: `bgp 10.0.0.1`, `bird`, `lease`, `exec NAME`.
        announcer: String,
        /// The prefix.
        prefix: Prefix,
        /// What was decided.
        wanted: String,
        /// What is observed.
        observed: String,
        /// Why, as far as it is known.
        why: String,
    },
    /// All is as decided again.
    DriftOver {
        /// The announcer.
        announcer: String,
        /// The prefix.
        prefix: Prefix,
        /// How long it was not.
        lasted_seconds: u64,
    },
    /// An alarm came into force, or has news.
    AlarmRaised {
        /// The kind: one of [`AlarmId::KINDS`](pharos_policy::AlarmId::KINDS).
        kind: String,
        /// What it is about.
        subject: String,
        /// What is known.
        text: String,
    },
    /// An alarm is over.
    AlarmCleared {
        /// The kind, as when it was raised.
        kind: String,
        /// What it was about.
        subject: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route { prefix, from, to, cause, .. } => {
                write!(f, "route {prefix}: {from} -> {to}: {cause}")
            }
            Self::Signal { signal, from, to, text } => write!(f, "{signal}: {from} -> {to}: {text}"),
            Self::SessionUp { neighbour, text } => write!(f, "neighbour {neighbour}: session up: {text}"),
            Self::SessionDown { neighbour, cause } => {
                write!(f, "neighbour {neighbour}: session down: {cause}")
            }
            Self::Told { neighbour, text } => write!(f, "neighbour {neighbour}: told {text}"),
            Self::BfdUp { neighbour, text } => write!(f, "neighbour {neighbour}: BFD {text}"),
            Self::BfdDown { neighbour, cause } => write!(f, "neighbour {neighbour}: BFD down: {cause}"),
            Self::Drift { announcer, prefix, wanted, observed, why } => {
                write!(f, "{announcer}: {prefix} should be {wanted} and is {observed}: {why}")
            }
            Self::DriftOver { announcer, prefix, lasted_seconds } => {
                write!(f, "{announcer}: {prefix} is as decided again after {lasted_seconds} s")
            }
            Self::AlarmRaised { subject, text, .. } => write!(f, "alarm: {subject}: {text}"),
            Self::AlarmCleared { subject, .. } => write!(f, "alarm over: {subject}"),
        }
    }
}
