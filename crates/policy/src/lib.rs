//! Observations and time in; announce, de-prefer or withdraw, with reasons, out.
//!
//! This crate decides what a node tells its routers, and can say why. It is pure: no clock, no socket, no
//! randomness. Time is a [`Duration`](std::time::Duration) since an origin that the caller chose, handed in
//! with every step; the sidecar drives the machines with real probes, the tests with invented ones.
//!
//! Three machines stand on top of one another, each with its transition table in its module docs:
//!
//! * [`signal`] turns single observations (one probe, one status fetch) into *good*, *bad* or *unknown*, by
//!   rise and fall counts and a bound on silence;
//! * [`preference`] turns what the signals of one prefix ask for into the level that is really announced:
//!   worse at once, better only after a hold-down;
//! * [`policy`] owns all signals, prefixes, alarms and the operator's drain of one node, routes observations
//!   to them, and [explains](explain::Explanation) every prefix at any time.
//!
//! # What asks for what
//!
//! | observation | asks for | why |
//! |---|---|---|
//! | UDP probe bad: no answer, refused, wrong node, wrong data | *withdrawn*, at once | cannot answer |
//! | a required zone bad over UDP | *withdrawn*, at once | cannot answer what the group promises |
//! | TCP probe or zone bad, UDP good | *degraded*, after a short grace | most clients still get answers |
//! | any probe of the prefix still unknown | *withdrawn* | a node starts withdrawn and earns its route |
//! | a zone push refused | an alarm | the last good data keep answering, and all POPs may refuse at once |
//! | responder's status unreachable | an alarm | probes say whether it answers |
//! | a neighbour lost | an alarm | its route is gone by itself, the others' stay |
//! | operator drains | *draining*, then *withdrawn* after the drain time | intent, not fault |
//!
//! A probe concerns the prefixes that hold its address; where no prefix of the group does (a laboratory on
//! loopback), all prefixes of the group of the address' family. So the families never touch each other.
//!
//! # What it refuses
//!
//! It takes no remote evidence, never withdraws for a data fault, never delays a withdrawal, and never lets
//! time that goes backwards change anything: an earlier `now` is read as "no time has passed".
#![forbid(unsafe_code)]

pub mod alarm;
pub mod config;
pub mod explain;
pub mod level;
pub mod policy;
pub mod preference;
pub mod prefix;
pub mod signal;

pub use alarm::{Alarm, AlarmId};
pub use config::{ConfigError, Degrade, DrainTime, GroupConfig, HoldDown, PolicyConfig};
pub use explain::Explanation;
pub use level::Level;
pub use policy::{Input, Output, Policy, SignalId, Transport};
pub use prefix::{Family, Prefix, PrefixError};
pub use signal::{Fall, Health, Observation, Rise, Timing};
