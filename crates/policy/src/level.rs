//! The five levels of preference, ordered from best to worst.
//!
//! A level is what this node asks of the network for one prefix. What a level means on the wire
//! (communities, prepends, MED, local preference) is the announcer's business; that it is only a request is
//! the network's. The order is the whole arithmetic of the policy: several reasons give the worst of their
//! levels, and "better" or "worse" decides whether a change waits for a hold-down.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much traffic this node wants for a prefix; a greater level is a worse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Everything that the prefix needs is good.
    Normal,
    /// Answers, yet something is wrong that other nodes may not have: please prefer them.
    Degraded,
    /// Answers that are worse than none elsewhere, better than none at all: use only if nobody else is left.
    LastResort,
    /// About to leave on an operator's word: finish, and take the traffic elsewhere (RFC 8326).
    Draining,
    /// Not announced.
    Withdrawn,
}

impl Level {
    /// All levels, best first.
    pub const ALL: [Self; 5] =
        [Self::Normal, Self::Degraded, Self::LastResort, Self::Draining, Self::Withdrawn];

    /// The name in configuration, logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Degraded => "degraded",
            Self::LastResort => "last-resort",
            Self::Draining => "draining",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Position in [`Self::ALL`]: 0 is normal, 4 withdrawn. The value of the metric that shows the level.
    pub const fn rank(self) -> usize {
        match self {
            Self::Normal => 0,
            Self::Degraded => 1,
            Self::LastResort => 2,
            Self::Draining => 3,
            Self::Withdrawn => 4,
        }
    }

    /// Whether routers are told the prefix at all.
    pub const fn is_announced(self) -> bool {
        !matches!(self, Self::Withdrawn)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_the_order_and_json_uses_the_names() {
        for (rank, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(level.rank(), rank);
            assert_eq!(serde_json::to_string(&level).unwrap(), format!("\"{level}\""));
        }
        assert!(Level::Normal < Level::Degraded && Level::Draining < Level::Withdrawn);
    }
}
