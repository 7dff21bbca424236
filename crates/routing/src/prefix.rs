//! Prefixes and address families, in the shape in which BGP carries them.
//!
//! A [`Prefix`] always has its host bits cleared: `192.0.2.1/24` is refused rather than silently shortened,
//! because a person who wrote it meant something else. Callers: configuration, routes, the codec.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IP prefix: an address whose host bits are zero, and a length in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text or a pair of address and length is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The text has no `/`.
    #[error("`{0}` is not a prefix: write ADDRESS/LENGTH, like 192.0.2.0/24 or 2001:db8:53::/48")]
    NoLength(String),
    /// What stands before the `/` is not an IP address.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// What stands after the `/` is not a number of bits that the family has.
    #[error("`{len}` is not a prefix length for {family}: 0 to {max} bits are possible")]
    Length {
        /// The length as written.
        len: String,
        /// The family of the address.
        family: Family,
        /// The longest prefix of that family, in bits.
        max: u8,
    },
    /// Bits after the prefix length are set.
    #[error("{addr}/{len} has bits set after its length; did you mean {meant}?")]
    HostBits {
        /// The address as given.
        addr: IpAddr,
        /// The length in bits.
        len: u8,
        /// The prefix with those bits cleared.
        meant: Prefix,
    },
}

impl Prefix {
    /// A prefix of `len` bits; refuses a length that the family does not have and set host bits.
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, PrefixError> {
        let meant = Self::masked(addr, len)?;
        if meant.addr != addr {
            return Err(PrefixError::HostBits { addr, len, meant });
        }
        Ok(meant)
    }

    /// A prefix of `len` bits with the bits after it cleared, as a receiver of NLRI must read it: their value
    /// is irrelevant (RFC 4271 §4.3).
    pub fn masked(addr: IpAddr, len: u8) -> Result<Self, PrefixError> {
        let family = Family::of(addr);
        if len > family.bits() {
            return Err(PrefixError::Length { len: len.to_string(), family, max: family.bits() });
        }
        let addr = match addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(
                a.to_bits() & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0),
            )),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(
                a.to_bits() & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0),
            )),
        };
        Ok(Self { addr, len })
    }

    /// The address; its bits after [`Prefix::len`] are zero.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// The length in bits: 0 to 32, or 0 to 128.
    #[expect(clippy::len_without_is_empty, reason = "a prefix is never empty; `len` is the field's own term")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// The address family.
    pub fn family(self) -> Family {
        Family::of(self.addr)
    }

    /// Whether `addr` lies inside this prefix.
    pub fn contains(self, addr: IpAddr) -> bool {
        self.family() == Family::of(addr) && Self::masked(addr, self.len) == Ok(self)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (addr, len) = text.split_once('/').ok_or_else(|| PrefixError::NoLength(text.to_owned()))?;
        let addr: IpAddr = addr.parse().map_err(|_| PrefixError::Address(addr.to_owned()))?;
        let family = Family::of(addr);
        // A sign or a leading zero would parse as a number but not be what a router prints.
        let digits = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
        let bits = if digits { len.parse::<u8>().ok() } else { None };
        let bits =
            bits.ok_or_else(|| PrefixError::Length { len: len.to_owned(), family, max: family.bits() })?;
        Self::new(addr, bits)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// An address family that this speaker carries; always with SAFI unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The length of an address, in bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }

    /// The Address Family Identifier (IANA "Address Family Numbers").
    pub fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4 unicast",
            Self::Ipv6 => "IPv6 unicast",
        })
    }
}

/// A set of address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Families(u8);

impl Families {
    /// No family.
    pub const NONE: Self = Self(0);
    /// IPv4 unicast alone.
    pub const IPV4: Self = Self(1);
    /// IPv6 unicast alone.
    pub const IPV6: Self = Self(2);
    /// IPv4 and IPv6 unicast.
    pub const BOTH: Self = Self(3);

    /// This set and `family`.
    #[must_use]
    pub fn with(self, family: Family) -> Self {
        Self(self.0 | Self::bit(family))
    }

    /// The families that stand in both sets.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `family` is in the set.
    pub fn contains(self, family: Family) -> bool {
        self.0 & Self::bit(family) != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The families of the set, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        [Family::Ipv4, Family::Ipv6].into_iter().filter(move |&family| self.contains(family))
    }

    fn bit(family: Family) -> u8 {
        match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        }
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        families.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.contains(Family::Ipv4), self.contains(Family::Ipv6)) {
            (true, true) => "IPv4 and IPv6 unicast",
            (true, false) => "IPv4 unicast",
            (false, true) => "IPv6 unicast",
            (false, false) => "no address family",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_reads_and_prints_alike() {
        for text in
            ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", "::/0", "2001:db8:53::/48", "2001:db8::1/128"]
        {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_prefix_says_what_is_wrong_with_it() {
        for (text, message) in [
            (
                "192.0.2.0",
                "`192.0.2.0` is not a prefix: write ADDRESS/LENGTH, like 192.0.2.0/24 or 2001:db8:53::/48",
            ),
            ("192.0.2/24", "`192.0.2` is not an IP address"),
            ("192.0.2.0/33", "`33` is not a prefix length for IPv4 unicast: 0 to 32 bits are possible"),
            ("2001:db8::/129", "`129` is not a prefix length for IPv6 unicast: 0 to 128 bits are possible"),
            ("192.0.2.0/+8", "`+8` is not a prefix length for IPv4 unicast: 0 to 32 bits are possible"),
            ("192.0.2.0/", "`` is not a prefix length for IPv4 unicast: 0 to 32 bits are possible"),
            ("192.0.2.1/24", "192.0.2.1/24 has bits set after its length; did you mean 192.0.2.0/24?"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_prefix_contains_its_own_addresses_only() {
        let prefix: Prefix = "192.0.2.0/25".parse().unwrap();
        assert!(prefix.contains("192.0.2.127".parse().unwrap()));
        assert!(!prefix.contains("192.0.2.128".parse().unwrap()));
        assert!(!prefix.contains("2001:db8::".parse().unwrap()));
        assert!("::/0".parse::<Prefix>().unwrap().contains("2001:db8::".parse().unwrap()));
    }
}
