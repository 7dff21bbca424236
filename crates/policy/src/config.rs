//! What the policy is told to hold to: groups, timings, and the refusal of settings that cannot work.
//!
//! Plain values without defaults of their own beyond [`HoldDown::new`]; where settings come from is the
//! caller's business.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::prefix::{Family, Prefix};
use crate::signal::Timing;

/// Everything that the policy of one node needs to know.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// The groups; a prefix belongs to exactly one.
    pub groups: Vec<GroupConfig>,
    /// How single probes become the verdict on an address and transport.
    pub probe: Timing,
    /// How single probes become the verdict on one required zone; its silence bound must allow for the
    /// rotation in which many zones are probed.
    pub zone: Timing,
    /// How single fetches become the verdict on the responder's status endpoint; `None` where it has none.
    pub status: Option<Timing>,
    /// The wait before a better level is taken.
    pub hold_down: HoldDown,
    /// The wait before a worse level that is still announced is taken; a withdrawal never waits. As long as
    /// one transport may notice a death after the other.
    pub grace: Duration,
    /// How long a drained node stays announced at level draining before it withdraws.
    pub drain_time: DrainTime,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A prefix would never be announced, because nothing of its family is probed.
    #[error(
        "prefix {prefix} of group \"{group}\" has no {family} address to probe: \
         add one to the responder's listen addresses, or take the prefix out"
    )]
    NoAddress {
        /// The group in question.
        group: String,
        /// The prefix without an address.
        prefix: Prefix,
        /// Its family.
        family: Family,
    },
    /// Two groups, or one group twice, claim a prefix.
    #[error("prefix {prefix} is configured twice; a prefix belongs to one group")]
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
        let mut names = std::collections::BTreeSet::new();
        let mut prefixes = std::collections::BTreeSet::new();
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
                let family = prefix.family();
                if !group.addresses.iter().any(|address| Family::of(address.ip()) == family) {
                    return Err(ConfigError::NoAddress { group: name(), prefix, family });
                }
            }
        }
        Ok(())
    }
}
