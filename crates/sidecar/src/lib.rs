//! Probes, announcers and control: the keeper of the route.
//!
//! The sidecar looks at the responder as a client would, lets [`pharos_policy`] decide what each anycast
//! prefix deserves, and tells the routers exactly that. It meets the responder in DNS packets and in the
//! responder's status endpoint and nowhere else, so that any failure of the one is visible to the other.
//!
//! ```text
//!   probe ──────┐                         ┌── announcers: BGP neighbours, programs
//!   responder ──┤ observations   levels ──┤
//!   sessions ───┼──────► keeper ──────────┼── events, log, metrics
//!   operator ───┘      (the policy)       └── status, why
//! ```
//!
//! * the inner probe ([`ProbeConfig`]): SOA queries with NSID to every anycast address, by UDP and TCP,
//!   encoded and decoded by hickory-proto, so that a bug in our own codec cannot hide from its own check;
//! * the wire probe ([`WireConfig`]): the same query out of the interface and back by way of the router;
//! * the responder's `/status`: real queries by address, expected serials, alarms for refused zones, heartbeats and drops, the age of the data,
//!   the end of their signatures;
//! * the host: addresses, default routes, the clock, what its sockets and interfaces drop;
//! * the keeper: owns the policy and the clock, and publishes what changes;
//! * the recorder: everything that the policy hears goes into a bounded pair of files, for replays;
//! * the words: what the operator said is written down and survives a restart;
//! * the flaps: falls and returns are written down, so that a process that dies again and again earns its returns, too;
//! * the status, and the page that shows it to people;
//! * the [handover]: at a planned restart another process goes on with the sessions, and no neighbour hears of it;
//! * the announcers: each reconciles what it observes with what was decided, and reports drift. Our own BGP
//!   speaker has one session per neighbour. The session is the lease: when this process dies, the kernel
//!   closes it and the route goes. There is no graceful restart. What the death of this process means to the
//!   others stands in their status.
//!
//! # Threads
//!
//! Probing, BGP, each kind of other announcer, and keeping time have a thread with a runtime of their own, so
//! that neither a busy management endpoint nor each other can make a hold timer or a probe late; BFD has one without a
//! runtime. A last one ends the process, and
//! with it the sessions, when one of these no longer turns (`beat.rs` says what each may do): nobody else would withdraw what
//! is announced, or announce what may be. Three more
//! write files, so that a disk that hangs makes nothing late, and one reads the kernel's tables of routes, which may be
//! long: these are ordinary threads. On a host with several CPUs there is one on each, from
//! which probes are sent.
//! [`Sidecar::start`] makes the
//! threads and returns; it needs no runtime of the caller's, and [`Handle`] works from anywhere.
#![forbid(unsafe_code)]

mod announcer;
mod beat;
mod bfd;
mod clock;
pub mod config;
mod counts;
pub mod event;
mod flaps;
mod handle;
pub mod handover;
mod host;
mod keeper;
mod kept;
mod metrics;
pub mod page;
mod probe;
mod queues;
mod record;
mod responder;
pub mod sources;
pub mod status;
mod threads;
mod told;
mod traffic;
mod watchdog;
mod way_out;
mod words;

pub use config::{
    AnnouncerConfig, Attributes, BeforeSession, BfdConfig, BirdConfig, Config, DataGrace, Death, ExecConfig,
    LeaseConfig, LevelMap, MarkerConfig, Mode, NeighbourConfig, ObserveConfig, Patience, ProbeConfig, Quiet,
    RecordConfig, Reload, Role, Rules, StartError, StatusConfig, Way, WireConfig,
};
pub use event::Event;
pub use handle::{Handle, LONGEST_WORD, Prepared, Sidecar, WhyError, WordError};
pub use handover::{Estate, HandoverError, Predecessor};
pub use pharos_netio::bgp::{Gtsm, Md5Key};
pub use pharos_policy::{
    AnchorConfig, AnchorDrain, Degrade, DrainPhase, DrainTime, DrainView, Explanation, Fall, Family,
    GroupConfig, HoldDown, Level, Linger, OnExpiry, OnFailure, OnOverload, Prefix, Remaining, ReturnCap,
    Rise, Target,
};
pub use pharos_routing::bgp::{Peering, PeeringCheck};
pub use pharos_routing::{Community, Families, LargeCommunity};
pub use status::{Status, WhyStatus};
pub use words::UnkeptError;

/// What was recorded, and how to replay it.
pub mod trace {
    pub use crate::record::older;
    pub use pharos_policy::replay::{Empty, Moved, Replay, Unknown, World};
    pub use pharos_policy::trace::{Line, VERSION};
}
