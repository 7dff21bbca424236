//! What can be watched, and the worst that each may ever ask for.
//!
//! Every signal has a kind, and every kind a ceiling: the level beyond which it cannot push a prefix, whatever
//! is observed. The ceilings are the arithmetic behind the promise that common faults never empty the world:
//! data, load, latency, traffic and clocks go wrong everywhere at once, so what is seen of them may ask for
//! less traffic and never, by default, for none. A property test holds the policy to this table.
//!
//! | kind | observed by | asks, when bad | ceiling | silence |
//! |---|---|---|---|---|
//! | probe by UDP | inner probe | withdrawn, at once; unless overload explains it | withdrawn | fails |
//! | zone by UDP | inner probe | withdrawn, at once, unless overload explains it; last-resort, or withdrawn by the group's choice, if it has been good and another required zone is. When warned: degraded | withdrawn | fails |
//! | probe, zone by TCP | inner probe | degraded; a zone also when warned | degraded | fails |
//! | address | host | withdrawn, at once | withdrawn | forgotten |
//! | heartbeats | responder's status | withdrawn, at once | withdrawn | kept, if bad |
//! | slow | inner probe | degraded, after its grace; alarm | degraded | forgotten |
//! | wire | wire probe | degraded, after its grace; alarm | degraded | forgotten |
//! | default-route | host | degraded, after its grace; alarm | degraded | forgotten |
//! | data-age | responder's status | degraded, after its grace; alarm, also when warned | degraded | kept, unless good |
//! | signatures | responder's status | alarm; degraded; when expired last-resort, or withdrawn by the group's choice | last-resort, or withdrawn by choice | kept, unless good |
//! | overload | responder's status; the host, while a probe is unanswered, and always where no status tells | alarm, also when warned; degraded or withdrawn only by the group's choice | normal, or as chosen | forgotten |
//! | answers | the host, while something goes unanswered | nothing: it bears out that overload explains it | normal | forgotten |
//! | traffic | responder's status | alarm | normal | forgotten |
//! | clock | host | alarm; data-age and signatures are ignored meanwhile | normal | kept, unless good |
//! | status | status fetch | alarm | normal | fails |
//! | ready | responder's status | nothing | normal | fails |
//!
//! Probes and zones *gate* as well: until each has its first verdict, the prefix stays withdrawn. No other
//! signal keeps a node from its start, since all that they have to say is said of one that answers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::GroupConfig;
use crate::level::Level;
use crate::prefix::{Family, Prefix};
use crate::signal::{Fall, Rise, Silence, Timing};

/// A transport of DNS that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: what nearly all clients use, so without it the node cannot answer.
    Udp,
    /// Streams (RFC 7766): what clients need for large answers, so without it the node is degraded.
    Tcp,
}

impl Transport {
    /// Both, the more important one first.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// The name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What a signal watches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SignalId {
    /// Whether anybody answers there by that transport, and whether it is this node.
    Probe {
        /// The anycast address and port.
        address: SocketAddr,
        /// The transport.
        transport: Transport,
    },
    /// Whether a required zone is answered there with authority and the expected serial.
    Zone {
        /// The anycast address and port.
        address: SocketAddr,
        /// The transport.
        transport: Transport,
        /// The zone as the group's configuration names it.
        #[serde(with = "shared_text")]
        zone: Arc<str>,
    },
    /// Whether answers there come within the bound on their 99th percentile.
    Slow {
        /// The anycast address and port.
        address: SocketAddr,
    },
    /// Whether queries that leave by the interface and come back like a customer's are answered there.
    Wire {
        /// The anycast address and port.
        address: SocketAddr,
    },
    /// Whether an anycast address is on this host.
    Address {
        /// The address.
        ip: IpAddr,
    },
    /// Whether replies of a family have a way out.
    DefaultRoute {
        /// The family.
        family: Family,
    },
    /// Whether every worker and every XDP queue of the responder goes round its loop.
    Heartbeats,
    /// Whether queries are dropped although all workers run: warned while few are, bad when many; see
    /// [`load`](crate::load).
    Overload,
    /// Whether this host is seen to answer in a flood, whatever anybody tells: a pass means that datagrams of the family are
    /// taken from sockets and sent by hundreds a second, a failure that they are not.
    Answers {
        /// The family.
        family: Family,
    },
    /// Whether the data that a group serves are fresh enough.
    DataAge {
        /// The group.
        #[serde(with = "shared_text")]
        group: Arc<str>,
    },
    /// How far the earliest expiry of a group's signatures is: warned within 7 days, bad within one, expired.
    Signatures {
        /// The group.
        #[serde(with = "shared_text")]
        group: Arc<str>,
    },
    /// Whether real queries come for a prefix: a pass means some, a failure next to none. What that means
    /// depends on the level in force.
    Traffic {
        /// The prefix.
        prefix: Prefix,
    },
    /// Whether this host's clock can be believed.
    Clock,
    /// Whether the responder's status endpoint can be read. Information and alarm, never a route change.
    Status,
    /// Whether the responder calls itself ready. Information: the probes decide.
    Ready,
}

/// What kind of thing a signal watches: the name in configuration, metrics and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each stands for the signal of the same name")]
pub enum Kind {
    Probe,
    Zone,
    Slow,
    Wire,
    Address,
    DefaultRoute,
    Heartbeats,
    Overload,
    Answers,
    DataAge,
    Signatures,
    Traffic,
    Clock,
    Status,
    Ready,
}

/// What it takes to believe the observations of a kind, and how long what it asks for waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// From observations to verdicts.
    pub timing: Timing,
    /// How long a bad verdict has to last before it asks for anything; an alarm does not wait. For traffic,
    /// where there is nothing but an alarm, it is the alarm that waits.
    pub grace: Duration,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Probe,
        Self::Zone,
        Self::Slow,
        Self::Wire,
        Self::Address,
        Self::DefaultRoute,
        Self::Heartbeats,
        Self::Overload,
        Self::Answers,
        Self::DataAge,
        Self::Signatures,
        Self::Traffic,
        Self::Clock,
        Self::Status,
        Self::Ready,
    ];

    /// The name in configuration, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Zone => "zone",
            Self::Slow => "slow",
            Self::Wire => "wire",
            Self::Address => "address",
            Self::DefaultRoute => "default-route",
            Self::Heartbeats => "heartbeats",
            Self::Overload => "overload",
            Self::Answers => "answers",
            Self::DataAge => "data-age",
            Self::Signatures => "signatures",
            Self::Traffic => "traffic",
            Self::Clock => "clock",
            Self::Status => "status",
            Self::Ready => "ready",
        }
    }

    /// What silence means: failing where we look ourselves, forgetting where somebody else would tell; save that data do
    /// not get better, nor the clock that they are judged by, nor a worker that is stuck, because nobody tells of them.
    pub const fn silence(self) -> Silence {
        match self {
            Self::Probe | Self::Zone | Self::Status | Self::Ready => Silence::Fails,
            Self::DataAge | Self::Signatures | Self::Clock => Silence::Kept,
            // A worker that is stuck does not turn because its responder tells nothing more; that one was late is of no use.
            Self::Heartbeats => Silence::BadKept,
            _ => Silence::Forgotten,
        }
    }

    /// Whether a prefix stays withdrawn until the signal has its first verdict.
    pub const fn gates(self) -> bool {
        matches!(self, Self::Probe | Self::Zone)
    }

    /// Whether it is judged by the clock of this host, and is worth nothing when that is wrong.
    pub const fn needs_clock(self) -> bool {
        matches!(self, Self::DataAge | Self::Signatures)
    }

    /// Whether a bad one means that this node cannot answer: what an operator's hold does not hold.
    pub const fn means_cannot_answer(self) -> bool {
        matches!(self, Self::Probe | Self::Zone | Self::Address | Self::Heartbeats)
    }

    /// Whether some verdict of it asks for a level; the others only inform.
    pub const fn asks(self) -> bool {
        !matches!(self, Self::Answers | Self::Traffic | Self::Clock | Self::Status | Self::Ready)
    }

    /// Counts and graces that suit a kind; `stale` depends on how often its observer looks.
    ///
    /// What withdraws falls at once where the observer is sure (the kernel's own table of addresses). Heartbeats
    /// fall at the second reading: the observer has waited already, and processes that stood still together find
    /// old heartbeats once when they go on. What degrades may wait: nobody goes without an answer meanwhile, and
    /// most of it passes by itself.
    pub const fn watch(self, stale: Duration) -> Watch {
        const SECOND: Duration = Duration::from_secs(1);
        let (fall, rise, grace) = match self {
            Self::Probe | Self::Zone => (2, 3, Duration::ZERO),
            Self::Address | Self::Clock => (1, 1, Duration::ZERO),
            Self::Heartbeats => (2, 3, Duration::ZERO),
            // Falls at once, so that it stands before lost probes withdraw what is only overloaded.
            Self::Overload => (1, 10, SECOND.saturating_mul(60)),
            // Believed at once, or the first silence of a flood would withdraw; and not given up for one quiet moment.
            Self::Answers => (3, 1, Duration::ZERO),
            Self::Slow => (3, 10, SECOND.saturating_mul(30)),
            Self::Wire => (5, 5, SECOND.saturating_mul(10)),
            Self::DefaultRoute => (2, 2, SECOND.saturating_mul(5)),
            // Longer than a push takes to reach the last node.
            Self::DataAge => (2, 2, SECOND.saturating_mul(900)),
            Self::Signatures => (2, 2, Duration::ZERO),
            // Longer than the quiet minutes of a small site.
            Self::Traffic => (3, 2, SECOND.saturating_mul(300)),
            Self::Status | Self::Ready => (2, 1, Duration::ZERO),
        };
        Watch { timing: Timing { fall: Fall::new(fall), rise: Rise::new(rise), stale }, grace }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl SignalId {
    /// What kind of thing it watches.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Probe { .. } => Kind::Probe,
            Self::Zone { .. } => Kind::Zone,
            Self::Slow { .. } => Kind::Slow,
            Self::Wire { .. } => Kind::Wire,
            Self::Address { .. } => Kind::Address,
            Self::DefaultRoute { .. } => Kind::DefaultRoute,
            Self::Heartbeats => Kind::Heartbeats,
            Self::Overload => Kind::Overload,
            Self::Answers { .. } => Kind::Answers,
            Self::DataAge { .. } => Kind::DataAge,
            Self::Signatures { .. } => Kind::Signatures,
            Self::Traffic { .. } => Kind::Traffic,
            Self::Clock => Kind::Clock,
            Self::Status => Kind::Status,
            Self::Ready => Kind::Ready,
        }
    }

    /// Whether it says something about the whole node, and not about one prefix, address or group.
    pub const fn is_of_the_node(&self) -> bool {
        matches!(
            self,
            Self::Heartbeats
                | Self::Overload
                | Self::Answers { .. }
                | Self::Clock
                | Self::Status
                | Self::Ready
        )
    }

    /// The worst level that this signal may ever ask of a prefix of `group`, once it has a verdict.
    pub const fn ceiling(&self, group: &GroupConfig) -> Level {
        match self {
            Self::Probe { transport, .. } | Self::Zone { transport, .. } => match transport {
                Transport::Udp => Level::Withdrawn,
                Transport::Tcp => Level::Degraded,
            },
            Self::Address { .. } | Self::Heartbeats => Level::Withdrawn,
            Self::Slow { .. } | Self::Wire { .. } | Self::DefaultRoute { .. } | Self::DataAge { .. } => {
                Level::Degraded
            }
            Self::Signatures { .. } => group.expired.asks(),
            Self::Overload => group.overload.asks(),
            Self::Answers { .. } | Self::Traffic { .. } | Self::Clock | Self::Status | Self::Ready => {
                Level::Normal
            }
        }
    }
}

impl fmt::Display for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe { address, transport } => write!(f, "{transport} probe of {address}"),
            Self::Zone { address, transport, zone } => write!(f, "zone {zone} over {transport} at {address}"),
            Self::Slow { address } => write!(f, "latency of {address}"),
            Self::Wire { address } => write!(f, "wire probe of {address}"),
            Self::Address { ip } => write!(f, "address {ip} on this host"),
            Self::DefaultRoute { family } => write!(f, "{family} default route"),
            Self::Heartbeats => f.write_str("responder's heartbeats"),
            Self::Overload => f.write_str("responder's load"),
            Self::Answers { family } => write!(f, "{family} answers of this host"),
            Self::DataAge { group } => write!(f, "age of the data of group {group}"),
            Self::Signatures { group } => write!(f, "signatures of group {group}"),
            Self::Traffic { prefix } => write!(f, "real traffic of {prefix}"),
            Self::Clock => f.write_str("clock of this host"),
            Self::Status => f.write_str("responder's status"),
            Self::Ready => f.write_str("responder's readiness"),
        }
    }
}

/// Shared text as plain text.
mod shared_text {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(text: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(d).map(Arc::from)
    }
}
