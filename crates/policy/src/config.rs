//! What the policy is told to hold to: groups, timings, and the refusal of settings that cannot work.
//!
//! Plain values without defaults of their own beyond [`HoldDown::new`]; where settings come from is the
//! caller's business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kind::{Kind, Watch};
use crate::level::Level;
use crate::prefix::{Family, Prefix};
use crate::signal::Timing;

/// Everything that the policy of one node needs to know.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// The groups; a prefix belongs to exactly one.
    pub groups: Vec<GroupConfig>,
    /// Prefixes that health never gates.
    pub anchors: Vec<AnchorConfig>,
    /// How single probes become the verdict on an address and transport.
    pub probe: Timing,
    /// How single probes become the verdict on one required zone; its silence bound must allow for the
    /// rotation in which many zones are probed.
    pub zone: Timing,
    /// What else is watched. A kind that is not in here has no signals: nobody would observe them.
    pub watched: BTreeMap<Kind, Watch>,
    /// The wait before a better level is taken.
    pub hold_down: HoldDown,
    /// How often a prefix may get better.
    pub returns: ReturnCap,
    /// The wait before a worse level that is still announced is taken; a withdrawal never waits. As long as
    /// one transport may notice a death after the other.
    pub grace: Duration,
    /// How long a drained node stays announced at level draining before it withdraws.
    pub drain_time: DrainTime,
    /// How long a drained node has to go on answering after its routes are gone.
    pub linger: Linger,
}

/// A group ties services to prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its name in logs, metrics and explanations.
    pub name: String,
    /// The prefixes that are announced while the group deserves it.
    pub prefixes: Vec<Prefix>,
    /// The zones that must be answered, as written by the operator; at least one.
    pub required_zones: Vec<String>,
    /// The anycast addresses that are probed, in every family that has a prefix.
    pub addresses: Vec<SocketAddr>,
    /// Whether the group may ask for less traffic while it still answers.
    pub degrade: Degrade,
    /// What becomes of the group when one of its required zones fails while another is answered.
    pub failing: OnFailure,
    /// What becomes of the group when its signatures have expired.
    pub expired: OnExpiry,
    /// What becomes of the group under overload.
    pub overload: OnOverload,
}

impl GroupConfig {
    /// The addresses whose probes tell of a prefix of the group: those inside it. Where no prefix of its family holds any
    /// (a laboratory on loopback), all addresses of the family. None at all if only other prefixes hold some: that
    /// one address answers says nothing of another.
    pub fn probed(&self, prefix: Prefix) -> Vec<SocketAddr> {
        let family = prefix.family();
        let mut probed = self.addresses.clone();
        probed.retain(|at| Family::of(at.ip()) == family);
        if probed.iter().any(|at| self.prefixes.iter().any(|prefix| prefix.contains(at.ip()))) {
            probed.retain(|at| prefix.contains(at.ip()));
        }
        probed
    }
}

/// A prefix that health never gates: a less-specific one that covers prefixes of groups.
///
/// It is announced from the start, so that when something common to all nodes withdraws every specific route,
/// queries still arrive somewhere and are answered as well as that somewhere can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorConfig {
    /// The prefix.
    pub prefix: Prefix,
    /// Whether a drain of the node moves it.
    pub drain: AnchorDrain,
}

/// Whether a drain of the node moves an anchor; a level forced on the very prefix always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AnchorDrain {
    /// No: while the specific routes are announced elsewhere the anchor draws no traffic, and a drain of all
    /// nodes by mistake leaves it standing.
    #[default]
    Stays,
    /// It drains with the others.
    Follows,
}

/// What becomes of a group when a required zone that was answered is not any more, by UDP, while another one is.
///
/// A group none of whose required zones is answered is withdrawn, and so is one that waits for a zone from the start:
/// there the node cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Level last-resort: what spoils a zone spoils it at all nodes, and those that ask for the others are still served.
    #[default]
    LastResort,
    /// Withdrawn: for groups in which each zone is worth all others. A zone that fails everywhere then withdraws
    /// everything everywhere.
    Withdraw,
}

impl OnFailure {
    /// The level that it asks for.
    pub const fn asks(self) -> Level {
        match self {
            Self::LastResort => Level::LastResort,
            Self::Withdraw => Level::Withdrawn,
        }
    }
}

/// What becomes of a group when its signatures have expired, where the clock is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnExpiry {
    /// Level last-resort: signatures expire everywhere at once when signing is what broke, and clients that
    /// do not validate are still served.
    #[default]
    LastResort,
    /// Withdrawn: for groups that rather go unanswered than bogus. If signing breaks, all nodes withdraw.
    Withdraw,
}

impl OnExpiry {
    /// The level that it asks for.
    pub const fn asks(self) -> Level {
        match self {
            Self::LastResort => Level::LastResort,
            Self::Withdraw => Level::Withdrawn,
        }
    }
}

/// What becomes of a group whose node drops queries although all of it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnOverload {
    /// Nothing but an alarm: this node absorbs what it can, and the flood stays here.
    #[default]
    Hold,
    /// One step: level degraded, after the grace.
    Degrade,
    /// Withdrawn, after the grace: the flood moves to the next node.
    Withdraw,
}

impl OnOverload {
    /// The level that it asks for.
    pub const fn asks(self) -> Level {
        match self {
            Self::Hold => Level::Normal,
            Self::Degrade => Level::Degraded,
            Self::Withdraw => Level::Withdrawn,
        }
    }
}

/// Whether a group may take the level *degraded*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Degrade {
    /// Yes: other POPs take over what they can.
    #[default]
    Allowed,
    /// No: for nodes that share an ECMP router, where one degraded node would send the whole POP's traffic
    /// to its sibling. The reason stays visible.
    Off,
}

/// The wait before a better level is taken, growing while the prefix flaps.
///
/// The wait is `base` after a first fall, and doubles with each further fall up to `max`; after `forget`
/// without a fall it is `base` again. Falling never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldDown {
    /// The wait before the first announcement after the start; also bounds how fast a sidecar that is
    /// restarted again and again can flap the route.
    pub first: Duration,
    /// The wait after a fall that stands alone.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
    /// The calm after which falls are forgotten.
    pub forget: Duration,
}

impl HoldDown {
    /// `base` at first and after a single fall, at most 16 times that, forgotten after 64 times that.
    pub fn new(base: Duration) -> Self {
        Self { first: base, base, max: base * 16, forget: base * 64 }
    }
}

/// How often a prefix may get better within a time: the last bound on what a node that flaps sends into the
/// world, when its faults come too slowly for the hold-down. Leaving is never bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnCap {
    /// So many times at most; at least one.
    pub most: NonZeroU32,
    /// Within any such time.
    pub within: Duration,
}

impl Default for ReturnCap {
    /// Ten an hour: above what a bad night's single faults take, far below what neighbours damp.
    fn default() -> Self {
        const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self { most: TEN, within: Duration::from_secs(3600) }
    }
}

/// How long a drained node has to go on answering after its routes are gone, at least; twice as long where nobody knows
/// whether real queries still come; and while they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger(pub Duration);

impl Default for Linger {
    /// Two minutes: longer than the slowest networks take to forget a withdrawn route (path hunting).
    fn default() -> Self {
        Self(Duration::from_secs(120))
    }
}

/// How long a drained node keeps announcing at level draining.
///
/// A type of its own, since it is the only delay in this crate that stands before a withdrawal: the node can
/// still answer, and traffic needs time to go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTime(pub Duration);

impl Default for DrainTime {
    /// Ten seconds: longer than BGP takes to move traffic inside most networks, shorter than a person waits.
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// There is nothing to decide about.
    #[error("no group is configured: name at least one with its prefixes and required zones")]
    NoGroups,
    /// Two groups of one name.
    #[error("group \"{group}\" is configured twice")]
    DuplicateGroup {
        /// The name in question.
        group: String,
    },
    /// A group announces nothing.
    #[error("group \"{group}\" has no prefixes: name what it announces")]
    NoPrefixes {
        /// The group in question.
        group: String,
    },
    /// A group promises nothing that could be checked.
    #[error("group \"{group}\" requires no zone: name at least one zone whose SOA is probed")]
    NoRequiredZones {
        /// The group in question.
        group: String,
    },
    /// Nothing would tell whether a prefix is answered.
    #[error(
        "prefix {prefix} of group \"{group}\" has no address to probe: \
         add one inside it to the responder's listen addresses, or take the prefix out"
    )]
    NoAddress {
        /// The group in question.
        group: String,
        /// The prefix without an address.
        prefix: Prefix,
    },
    /// Two groups, or one group twice, claim a prefix.
    #[error("prefix {prefix} is configured twice; a prefix belongs to one group, or is one anchor")]
    DuplicatePrefix {
        /// The prefix in question.
        prefix: Prefix,
    },
}

impl PolicyConfig {
    /// Refuses what could never be announced or would be ambiguous.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.groups.is_empty() {
            return Err(ConfigError::NoGroups);
        }
        let mut names = BTreeSet::new();
        let mut prefixes = BTreeSet::new();
        for group in &self.groups {
            let name = || group.name.clone();
            if !names.insert(&group.name) {
                return Err(ConfigError::DuplicateGroup { group: name() });
            }
            if group.prefixes.is_empty() {
                return Err(ConfigError::NoPrefixes { group: name() });
            }
            if group.required_zones.is_empty() {
                return Err(ConfigError::NoRequiredZones { group: name() });
            }
            for &prefix in &group.prefixes {
                if !prefixes.insert(prefix) {
                    return Err(ConfigError::DuplicatePrefix { prefix });
                }
                if group.probed(prefix).is_empty() {
                    return Err(ConfigError::NoAddress { group: name(), prefix });
                }
            }
        }
        for anchor in &self.anchors {
            if !prefixes.insert(anchor.prefix) {
                return Err(ConfigError::DuplicatePrefix { prefix: anchor.prefix });
            }
        }
        Ok(())
    }
}
