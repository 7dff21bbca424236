//! What happened, for whoever wants to watch: one readable line each.
//!
//! Events are what the log says, as values. They go to every [`Handle::events`](crate::Handle::events)
//! receiver; a receiver that does not keep up misses the oldest and is told how many.

use std::fmt;

use pharos_policy::{Health, Level, Prefix};
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
        from: Health,
        /// The verdict after.
        to: Health,
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
    /// An alarm came into force, or has news.
    AlarmRaised {
        /// The kind: `zone-refused`, `status-unreachable`, `neighbour-down`, `drain-in-force`.
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
            Self::AlarmRaised { subject, text, .. } => write!(f, "alarm: {subject}: {text}"),
            Self::AlarmCleared { subject, .. } => write!(f, "alarm over: {subject}"),
        }
    }
}
