//! Observations and time in; announce, de-prefer or withdraw, with reasons, out.
//!
//! This crate decides what a node tells its routers, and can say why. It is pure: no clock, no socket, no
//! randomness. Time is a [`Duration`](std::time::Duration) since an origin that the caller chose, handed in
//! with every step; the sidecar drives the machines with real probes, the tests with invented ones.
//!
//! Machines stand on top of one another, each with its transition table in its module docs:
//!
//! * [`signal`] turns single observations (one probe, one status fetch) into a verdict, by rise and fall
//!   counts and a bound on silence; [`load`] makes observations of counters that only mean something together;
//! * [`preference`] turns what the signals of one prefix ask for into the level that is really announced:
//!   worse at once, better only after a hold-down, and not too often;
//! * [`operator`] keeps the operator's words and follows a drain to its end;
//! * [`policy`] owns all signals, prefixes, alarms and words of one node, routes observations to them, and
//!   [explains](explain::Explanation) every prefix at any time.
//!
//! * [`trace`] is the form in which all of that is recorded, and [`replay`] lets a policy hear it again.
//!
//! What each signal may ask for at the worst stands in one table, in [`kind`].
//!
//! # What asks for what
//!
//! | observation | asks for | why |
//! |---|---|---|
//! | UDP probe bad: no answer, refused, wrong node | *withdrawn*, at once | cannot answer |
//! | every required zone bad over UDP, or one that has not been good yet | *withdrawn*, at once | cannot answer what the group promises |
//! | a required zone bad over UDP while another is good | *last-resort*, or *withdrawn* by the group's choice | what spoils a zone spoils it at all POPs |
//! | a required zone answered with another serial than the status says | *degraded*, after a short grace | clients get an answer, perhaps an old one |
//! | TCP probe or zone bad, UDP good | *degraded*, after a short grace | most clients still get answers |
//! | any probe of the prefix still unknown | *withdrawn* | a node starts withdrawn and earns its route |
//! | an anycast address is not on the host | *withdrawn*, at once | queries would not be ours to answer |
//! | a worker stuck beyond the bound at which the responder ends itself | *withdrawn*, at once | its share goes unanswered |
//! | answers slow, wire probe failing, no default route | an alarm, *degraded* after a grace | answers may still arrive |
//! | served data too old | an alarm, *degraded* after a long grace, also when nobody tells it any more | old answers are better than none |
//! | signatures near their expiry | an alarm, *degraded* in the last day | they still validate |
//! | signatures expired | *last-resort*, or *withdrawn* by the group's choice, also when nobody tells it any more | bogus to some, good to most |
//! | drops rise while every worker runs and somebody is answered | an alarm; more only by the group's choice | a flood that moves on takes the next node |
//! | next to no real traffic although announced | an alarm | no evidence against this node |
//! | clock wrong | an alarm; data age and signatures are ignored | their verdicts mean nothing |
//! | a zone push refused | an alarm | the last good data keep answering, and all POPs may refuse at once |
//! | responder's status unreachable | an alarm | probes say whether it answers |
//! | a neighbour or its BFD session lost | an alarm | its route is gone by itself, the others' stay |
//! | operator drains | *draining*, then *withdrawn* | intent, not fault |
//! | operator holds or forces a level | that level, while it can answer | intent, not fault |
//!
//! A probe concerns the prefixes that hold its address; where no prefix of the group holds any of its family (a
//! laboratory on loopback), all prefixes of the group of that family. A prefix without an address of its own beside
//! one that has is refused. So the families never touch each other, nor do two prefixes.
//!
//! # What it refuses
//!
//! It takes no remote evidence, never withdraws for a data fault or for overload unless the group says so,
//! keeps no node announced that cannot answer, whoever wants it, never delays a withdrawal, and never lets
//! time that goes backwards change anything: an earlier `now` is read as "no time has passed".
#![forbid(unsafe_code)]

pub mod alarm;
pub mod config;
pub mod explain;
pub mod kind;
pub mod level;
pub mod load;
pub mod operator;
pub mod policy;
pub mod preference;
pub mod prefix;
pub mod replay;
pub mod signal;
pub mod trace;

pub use alarm::{Alarm, AlarmId};
pub use config::{
    AnchorConfig, AnchorDrain, ConfigError, Degrade, DrainTime, GroupConfig, HoldDown, Linger, OnExpiry,
    OnFailure, OnOverload, PolicyConfig, ReturnCap,
};
pub use explain::Explanation;
pub use kind::{Kind, SignalId, Transport, Watch};
pub use level::Level;
pub use operator::{DrainPhase, Remaining, Saved, Target, Words};
pub use policy::{DrainView, Input, Memory, Output, Policy, WordView};
pub use preference::{End, SavedEarning, SavedFlaps};
pub use prefix::{Family, Prefix, PrefixError};
pub use signal::{Fall, Health, Observation, Rise, Timing};
