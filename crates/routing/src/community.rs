//! BGP communities (RFC 1997) and large communities (RFC 8092): tags on a route that ask a neighbour for something.
//!
//! Written `AS:VALUE` or by the registered names that a node of ours uses; large ones `AS:VALUE:VALUE`. Callers:
//! configuration, routes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A community attribute value, RFC 1997.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Community(pub u32);

/// The text is not a community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a community: write AS:VALUE with two numbers up to 65535, or one of no-export, no-advertise, \
     no-peer, graceful-shutdown, blackhole"
)]
pub struct CommunityError(String);

impl Community {
    /// 65535:0: the route is about to go, prefer another (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// 65535:666: discard the traffic (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// 65535:65281: not beyond the neighbour's AS or confederation (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// 65535:65282: to nobody (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// 65535:65284: not to the neighbour's peers (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);

    const NAMES: [(&'static str, Self); 5] = [
        ("graceful-shutdown", Self::GRACEFUL_SHUTDOWN),
        ("blackhole", Self::BLACKHOLE),
        ("no-export", Self::NO_EXPORT),
        ("no-advertise", Self::NO_ADVERTISE),
        ("no-peer", Self::NO_PEER),
    ];

    /// The community `high:low`; by convention the high half is an AS number.
    pub const fn new(high: u16, low: u16) -> Self {
        Self((high as u32) << 16 | low as u32)
    }
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        if let Some((_, community)) = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*community);
        }
        let half = |s: &str| match s.bytes().all(|b| b.is_ascii_digit()) {
            true => s.parse::<u16>().ok(),
            false => None,
        };
        text.split_once(':')
            .and_then(|(high, low)| Some(Self::new(half(high)?, half(low)?)))
            .ok_or_else(|| CommunityError(text.to_owned()))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A large community, RFC 8092: room for an AS number of four octets and two values of as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LargeCommunity {
    /// The Global Administrator: the AS that gives the values their meaning.
    pub admin: u32,
    /// The two Local Data Parts.
    pub data: [u32; 2],
}

/// The text is not a large community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a large community: write AS:VALUE:VALUE with three numbers up to 4294967295")]
pub struct LargeCommunityError(String);

impl LargeCommunity {
    /// The large community `admin:first:second`.
    pub const fn new(admin: u32, first: u32, second: u32) -> Self {
        Self { admin, data: [first, second] }
    }
}

impl FromStr for LargeCommunity {
    type Err = LargeCommunityError;

    fn from_str(text: &str) -> Result<Self, LargeCommunityError> {
        let number = |s: &str| match s.bytes().all(|b| b.is_ascii_digit()) {
            true => s.parse::<u32>().ok(),
            false => None,
        };
        let mut numbers = text.split(':').map(number);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(admin)), Some(Some(first)), Some(Some(second)), None) => {
                Ok(Self::new(admin, first, second))
            }
            _ => Err(LargeCommunityError(text.to_owned())),
        }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.data;
        write!(f, "{}:{first}:{second}", self.admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_community_is_three_numbers_of_32_bits() {
        for text in ["64512:1:53", "4294967295:0:4294967295"] {
            assert_eq!(text.parse::<LargeCommunity>().unwrap().to_string(), text);
        }
        for text in ["", "1:2", "1:2:3:4", "1:2:4294967296", "1:-2:3", "a:b:c"] {
            let message = text.parse::<LargeCommunity>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{text}` is not a large community")), "{message}");
        }
    }

    #[test]
    fn a_community_reads_as_numbers_or_by_name_and_prints_as_numbers() {
        for (text, printed) in [
            ("64512:53", "64512:53"),
            ("0:0", "0:0"),
            ("65535:65535", "65535:65535"),
            ("no-export", "65535:65281"),
            ("GRACEFUL-SHUTDOWN", "65535:0"),
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_not_a_community_is_refused_with_the_ways_to_write_one() {
        for text in ["", "53", "65536:1", "1:-1", "1:2:3", "+1:2", "no-export-please"] {
            let message = text.parse::<Community>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("`{text}` is not a community: write AS:VALUE")),
                "{message}"
            );
        }
    }
}
