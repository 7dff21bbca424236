//! Address prefixes: what a router is told, as a value that cannot be wrong.
//!
//! A [`Prefix`] has no bits set beyond its length, so two equal networks are equal values; a text with host
//! bits (`192.0.2.1/24`) is refused with the network that was probably meant. Text and JSON are the usual
//! `ADDRESS/LENGTH` (RFC 4632 §3.1, RFC 4291 §2.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// An address family; every signal and prefix belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The name in configuration, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// Bits of an address: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A network prefix without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits at `address`, which must be the network's own address.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let family = Family::of(address);
        if length > family.bits() {
            return Err(PrefixError::TooLong { length, family });
        }
        let network = truncate(address, length);
        if network != address {
            return Err(PrefixError::HostBits { address, length, network });
        }
        Ok(Self { address, length })
    }

    /// The network's address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Length in bits: 0 to 32 or 128.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The family of the network.
    pub const fn family(self) -> Family {
        Family::of(self.address)
    }

    /// Whether `address` lies in this network.
    pub fn contains(self, address: IpAddr) -> bool {
        self.family() == Family::of(address) && truncate(address, self.length) == self.address
    }
}

fn truncate(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not of the form `ADDRESS/LENGTH`.
    #[error("\"{text}\" is not a prefix: write ADDRESS/LENGTH, for example 192.0.2.0/24 or 2001:db8:53::/48")]
    Syntax {
        /// What was written.
        text: String,
    },
    /// More bits than the family has.
    #[error("a prefix length of {length} is too long for {family}, which has {} bits", family.bits())]
    TooLong {
        /// The length that was written.
        length: u8,
        /// The family of the address.
        family: Family,
    },
    /// Bits set beyond the length.
    #[error("{address}/{length} has host bits set; the network is {network}/{length}")]
    HostBits {
        /// The address that was written.
        address: IpAddr,
        /// The length that was written.
        length: u8,
        /// The network that holds the address.
        network: IpAddr,
    },
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let syntax = || PrefixError::Syntax { text: text.to_owned() };
        let (address, length) = text.split_once('/').ok_or_else(syntax)?;
        Self::new(address.parse().map_err(|_| syntax())?, length.parse().map_err(|_| syntax())?)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn text_round_trips() {
        for text in ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.53/32", "::/0", "2001:db8:53::/48", "::1/128"] {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn host_bits_are_refused_and_the_network_is_named() {
        let error = "192.0.2.1/24".parse::<Prefix>().unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1/24 has host bits set; the network is 192.0.2.0/24");
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "192.0.2.0", "192.0.2.0/", "192.0.2.0/x", "192.0.2.0/256", "a/24", "192.0.2/24"] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.to_string().contains("192.0.2.0/24"), "{error}");
        }
        assert!(matches!("192.0.2.0/33".parse::<Prefix>(), Err(PrefixError::TooLong { .. })));
    }

    #[test]
    fn a_prefix_holds_addresses_of_its_own_family_only() {
        assert!(prefix("192.0.2.0/24").contains("192.0.2.255".parse().unwrap()));
        assert!(!prefix("192.0.2.0/24").contains("192.0.3.0".parse().unwrap()));
        assert!(!prefix("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(prefix("2001:db8:53::/48").contains("2001:db8:53:ffff::1".parse().unwrap()));
    }
}
