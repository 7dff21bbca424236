//! The value types of the configuration: each refuses what it cannot mean, in words with a cure.
//!
//! They parse from the same text that a person writes, and print it back the same way, so that a warning,
//! `check-config` and the reference show what stands in the file.

use crate::yaml::refusal;
use serde::de::{Deserialize, Deserializer, Visitor};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a value of its type, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Refusal {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

fn refuse<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { what: what.into(), remedy: remedy.into() })
}

/// Deserializes through `FromStr`, taking a bare number as its decimal text, so that `9` where `9s` is
/// meant gets our words and not the library's.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = Refusal>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|refused: Refusal| refusal(&refused.what, &refused.remedy))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! deserialize_from_text {
    ($($type:ty),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(std::marker::PhantomData))
            }
        }
    )+};
}
deserialize_from_text!(
    Period,
    Prefix,
    Endpoint,
    Address,
    Marker,
    RouterId,
    Community,
    LargeCommunity,
    Workers,
    Threads,
    Verify,
    CookieSecret,
    Queues,
    Interface,
    Label,
    ZoneName
);

/// A length of time: `250ms`, `10s`, `2m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        const EXAMPLE: &str = "write a whole number and a unit: 250ms, 10s, 2m, 1h or 7d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let Ok(count) = number.parse::<u64>() else {
            return refuse(format!("\"{text}\" is not a length of time"), EXAMPLE);
        };
        let length = match unit {
            "ms" => Some(Duration::from_millis(count)),
            "s" => Some(Duration::from_secs(count)),
            "m" => count.checked_mul(60).map(Duration::from_secs),
            "h" => count.checked_mul(3600).map(Duration::from_secs),
            "d" => count.checked_mul(86_400).map(Duration::from_secs),
            "" => return refuse(format!("{text} has no unit"), EXAMPLE),
            other => return refuse(format!("\"{other}\" is not a unit of time"), EXAMPLE),
        };
        // A century is beyond any timer here, and far inside what adding to a clock can hold.
        match length {
            Some(length) if length <= Duration::from_secs(100 * 366 * 86_400) => Ok(Self(length)),
            _ => refuse(format!("{text} is longer than a century"), EXAMPLE),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest_ms) = (self.0.as_secs(), self.0.subsec_millis());
        match (seconds, rest_ms) {
            // A day is more often written as 24h.
            (s, 0) if s > 86_400 && s % 86_400 == 0 => write!(out, "{}d", s / 86_400),
            (s, 0) if s != 0 && s % 3600 == 0 => write!(out, "{}h", s / 3600),
            (s, 0) if s != 0 && s % 60 == 0 => write!(out, "{}m", s / 60),
            (s, 0) => write!(out, "{s}s"),
            _ => write!(out, "{}ms", self.0.as_millis()),
        }
    }
}

/// An IP prefix without host bits, like `192.0.2.0/24` or `2001:db8:53::/48`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length_bits: u8,
}

impl Prefix {
    /// The network address; all host bits are zero.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits, 0 to 32 for IPv4 and 0 to 128 for IPv6.
    pub fn length_bits(&self) -> u8 {
        self.length_bits
    }

    /// IPv4 or IPv6.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && masked(address, self.length_bits) == self.address
    }

    /// Whether all of `other` lies inside, and more beside it.
    pub fn covers(&self, other: &Self) -> bool {
        self.length_bits < other.length_bits && self.contains(other.address)
    }
}

fn masked(address: IpAddr, length_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length_bits.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length_bits.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

impl FromStr for Prefix {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        const EXAMPLE: &str = "write it like 192.0.2.0/24 or 2001:db8:53::/48";
        let Some((address, length)) = text.split_once('/') else {
            return refuse(format!("\"{text}\" has no prefix length"), EXAMPLE);
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return refuse(format!("\"{address}\" is not an IP address"), EXAMPLE);
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length_bits = match length.parse::<u8>() {
            Ok(bits) if bits <= longest => bits,
            _ => {
                let what = format!("\"{length}\" is not a prefix length");
                return refuse(what, format!("write a length from 0 to {longest} after the slash"));
            }
        };
        let network = masked(address, length_bits);
        if network != address {
            return refuse(
                format!("{text} has bits set beyond its length of {length_bits}"),
                format!("write {network}/{length_bits}, or a longer prefix"),
            );
        }
        Ok(Self { address, length_bits })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.length_bits)
    }
}

/// An address family of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 unicast.
    Ipv4,
    /// IPv6 unicast.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// An address and a port, like `192.0.2.53:53` or `[2001:db8:53::53]:53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(pub SocketAddr);

impl FromStr for Endpoint {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        if let Ok(endpoint) = text.parse() {
            return Ok(Self(endpoint));
        }
        match text.parse::<IpAddr>() {
            Ok(v4 @ IpAddr::V4(_)) => {
                refuse(format!("{text} has no port"), format!("write \"{v4}:53\" for port 53"))
            }
            Ok(v6 @ IpAddr::V6(_)) => {
                refuse(format!("{text} has no port"), format!("write \"[{v6}]:53\" for port 53"))
            }
            Err(_) => refuse(
                format!("\"{text}\" is not an address with a port"),
                "write it like \"192.0.2.53:53\" or \"[2001:db8:53::53]:53\"",
            ),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// An IP address without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub IpAddr);

impl FromStr for Address {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.parse() {
            Ok(address) => Ok(Self(address)),
            Err(_) => refuse(
                format!("\"{text}\" is not an IP address"),
                "write it like 10.0.0.1 or \"fd00::1\", without port or prefix length",
            ),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// An address together with the length of the network that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The address.
    pub address: IpAddr,
    /// The length of its network.
    pub length_bits: u8,
}

/// A BGP identifier: 32 bits other than zero, written like an IPv4 address (RFC 6286).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterId(pub Ipv4Addr);

impl FromStr for Marker {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let parts = text.split_once('/').and_then(|(address, length)| {
            Some(Self { address: address.parse().ok()?, length_bits: length.parse().ok()? })
        });
        let fits = |marker: &Self| marker.length_bits <= if marker.address.is_ipv4() { 32 } else { 128 };
        match parts.filter(fits) {
            Some(marker) => Ok(marker),
            None => refuse(
                format!("\"{text}\" is no address with the length of its network"),
                "write ADDRESS/LENGTH, like 169.254.77.1/30",
            ),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.length_bits)
    }
}

impl FromStr for RouterId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.parse::<Ipv4Addr>() {
            Ok(id) if !id.is_unspecified() => Ok(Self(id)),
            _ => refuse(
                format!("\"{text}\" is not a router id"),
                "write one of this node's IPv4 addresses; it must differ from every neighbour's",
            ),
        }
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A standard community (RFC 1997), two 16-bit numbers like `64512:53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Community(pub u32);

impl FromStr for Community {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        // The registered names that a node has use for; blackhole (RFC 7999) would discard its own traffic.
        match text {
            "no-export" => return Ok(Self(0xffff_ff01)),
            "no-advertise" => return Ok(Self(0xffff_ff02)),
            "no-peer" => return Ok(Self(0xffff_ff04)),
            "graceful-shutdown" => return Ok(Self(0xffff_0000)),
            _ => {}
        }
        let halves = text.split_once(':').and_then(|(high, low)| {
            Some((u32::from(high.parse::<u16>().ok()?), u32::from(low.parse::<u16>().ok()?)))
        });
        match halves {
            Some((high, low)) => Ok(Self(high << 16 | low)),
            None => refuse(
                format!("\"{text}\" is not a community"),
                "write two numbers from 0 to 65535 in quotes, like \"64512:53\", or no-export, no-advertise, no-peer or \
                 graceful-shutdown",
            ),
        }
    }
}

impl fmt::Display for Community {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A large community (RFC 8092), three 32-bit numbers like `4200000000:1:53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

impl FromStr for LargeCommunity {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let mut numbers = text.split(':').map(|number| number.parse::<u32>().ok());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(a)), Some(Some(b)), Some(Some(c)), None) => Ok(Self([a, b, c])),
            _ => refuse(
                format!("\"{text}\" is not a large community"),
                "write three numbers from 0 to 4294967295 in quotes, like \"4200000000:1:53\"",
            ),
        }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(out, "{a}:{b}:{c}")
    }
}

/// The secret of TCP MD5 signatures (RFC 2385). It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Secret(pub String);

impl FromStr for Md5Secret {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        // TCP_MD5SIG_MAXKEYLEN of the kernel.
        if (1..=80).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        refuse(
            format!("this secret has {} octets", text.len()),
            "write 1 to 80 octets, as the router has them",
        )
    }
}

impl<'de> Deserialize<'de> for Md5Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Quoted)
    }
}

/// Takes a text as it is written and no number, whose leading zeros would be lost.
struct Quoted;

impl Visitor<'_> for Quoted {
    type Value = Md5Secret;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text in quotes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Md5Secret, E> {
        text.parse().map_err(|refused: Refusal| refusal(&refused.what, &refused.remedy))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Md5Secret, E> {
        Err(refusal("this is a number, whose writing would be lost", "write the secret in quotes"))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Md5Secret, E> {
        self.visit_u64(0)
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Md5Secret, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Md5Secret, E> {
        self.visit_u64(0)
    }
}

impl fmt::Debug for Md5Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Md5Secret")
    }
}

/// How many UDP workers: one per core, or a fixed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each core that this process may use.
    Auto,
    /// This many.
    Fixed(NonZeroUsize),
}

/// More threads than any machine has cores only cost memory.
const WORKERS_AT_MOST: usize = 1024;

impl FromStr for Workers {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Ok(auto_or_count(text, "workers", "auto (one per core)")?.map_or(Self::Auto, Self::Fixed))
    }
}

/// `auto`, which is none, or a number of threads.
fn auto_or_count(text: &str, what: &str, auto: &str) -> Result<Option<NonZeroUsize>, Refusal> {
    match (text, text.parse::<NonZeroUsize>()) {
        ("auto", _) => Ok(None),
        (_, Ok(count)) if count.get() <= WORKERS_AT_MOST => Ok(Some(count)),
        _ => refuse(
            format!("\"{text}\" is not a number of {what}"),
            format!("write {auto} or a number from 1 to {WORKERS_AT_MOST}"),
        ),
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Fixed(count) => count.fmt(out),
        }
    }
}

/// Threads for work beside the workers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// As many as leave the workers alone.
    Auto,
    /// This many.
    Fixed(NonZeroUsize),
}

impl FromStr for Threads {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Ok(auto_or_count(text, "threads", "auto")?.map_or(Self::Auto, Self::Fixed))
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Fixed(count) => count.fmt(out),
        }
    }
}

/// How many receive queues of an interface are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queues {
    /// All that there are.
    Auto,
    /// The first so many.
    Fixed(NonZeroUsize),
}

impl FromStr for Queues {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Ok(auto_or_count(text, "queues", "auto (all)")?.map_or(Self::Auto, Self::Fixed))
    }
}

impl fmt::Display for Queues {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Fixed(count) => count.fmt(out),
        }
    }
}

/// The name of a network interface, as the kernel takes it: up to 15 octets, no slash, no blank.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface(pub String);

impl FromStr for Interface {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let allowed = |octet: u8| octet.is_ascii_graphic() && octet != b'/' && octet != b':';
        if (1..=15).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != ".." {
            return Ok(Self(text.to_owned()));
        }
        refuse(
            format!("\"{text}\" is not the name of an interface"),
            "write it as `ip link` shows it, like eth0",
        )
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Which signatures are verified when a zone loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Each one.
    All,
    /// One in so many.
    OneIn(NonZeroU32),
    /// None.
    None,
}

impl FromStr for Verify {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("one-in ").map(|number| number.trim().parse()) {
                Some(Ok(number)) => Ok(Self::OneIn(number)),
                _ => refuse(
                    format!("\"{text}\" does not say which signatures are verified"),
                    "write all, none, or one in so many, like one-in 16",
                ),
            },
        }
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("all"),
            Self::OneIn(number) => write!(out, "one-in {number}"),
            Self::None => out.write_str("none"),
        }
    }
}

/// A secret of 128 bits for DNS cookies. It is never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; 16]);

impl FromStr for CookieSecret {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let number = u128::from_str_radix(text, 16).ok();
        match number.filter(|_| text.len() == 32 && !text.starts_with('+')) {
            Some(number) => Ok(Self(number.to_be_bytes())),
            None => refuse(
                "this is no cookie secret",
                "write 32 hexadecimal digits in quotes, as `openssl rand -hex 16` makes them",
            ),
        }
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CookieSecret")
    }
}

/// A short name of a node, site or group: letters, digits, `-` and `_`, at most 63.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(pub String);

impl FromStr for Label {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        if (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        refuse(
            format!("\"{text}\" is not a short name"),
            "use 1 to 63 letters, digits, - and _, like a or ams2",
        )
    }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A zone's name in lower case with its final dot, like `example.com.`; the root is `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneName(pub String);

impl FromStr for ZoneName {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text == "." {
            return Ok(Self(text.to_owned()));
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        let good = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_graphic())
        };
        // 253 characters and two length octets make the 255 of RFC 1035 §2.3.4.
        if bare.len() <= 253 && bare.split('.').all(good) {
            return Ok(Self(format!("{}.", bare.to_ascii_lowercase())));
        }
        refuse(format!("\"{text}\" is not a zone name"), "write it like example.com, or \".\" for the root")
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: FromStr<Err = Refusal>>(text: &str) -> String {
        text.parse::<T>().err().map(|refused| refused.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_period_prints_as_it_is_written() {
        for text in ["0s", "250ms", "10s", "2m", "1h", "90s", "1500ms"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_period_without_a_unit_is_refused() {
        assert_eq!(
            words::<Period>("9"),
            "9 has no unit; write a whole number and a unit: 250ms, 10s, 2m, 1h or 7d"
        );
        assert!(words::<Period>("9 s").contains("not a unit"));
        assert!(words::<Period>("-9s").contains("not a length of time"));
        assert!(words::<Period>("99999999999999999h").contains("century"));
    }

    #[test]
    fn a_prefix_with_host_bits_is_refused_with_the_one_that_was_meant() {
        let expected =
            "192.0.2.53/24 has bits set beyond its length of 24; write 192.0.2.0/24, or a longer prefix";
        assert_eq!(words::<Prefix>("192.0.2.53/24"), expected);
        assert!(words::<Prefix>("2001:db8::1/48").contains("write 2001:db8::/48"));
        assert!(words::<Prefix>("192.0.2.0/33").contains("0 to 32"));
    }

    #[test]
    fn a_prefix_contains_its_own_addresses_only() {
        let prefix: Prefix = "192.0.2.0/24".parse().unwrap();
        assert!(prefix.contains("192.0.2.53".parse().unwrap()));
        assert!(!prefix.contains("192.0.3.53".parse().unwrap()));
        assert!(!prefix.contains("2001:db8::1".parse().unwrap()));
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn an_address_without_a_port_is_told_which_to_add() {
        assert_eq!(
            words::<Endpoint>("192.0.2.53"),
            "192.0.2.53 has no port; write \"192.0.2.53:53\" for port 53"
        );
        assert!(words::<Endpoint>("2001:db8::1").contains("\"[2001:db8::1]:53\""));
    }

    #[test]
    fn a_zone_name_gets_its_final_dot() {
        assert_eq!("Example.COM".parse::<ZoneName>().unwrap().0, "example.com.");
        assert_eq!(".".parse::<ZoneName>().unwrap().0, ".");
        assert!(words::<ZoneName>("a..b").contains("not a zone name"));
    }

    #[test]
    fn a_community_is_two_halves() {
        assert_eq!("64512:53".parse::<Community>().unwrap().0, 64512 << 16 | 53);
        assert!(words::<Community>("64512").contains("two numbers"));
        assert_eq!("no-export".parse::<Community>().unwrap().to_string(), "65535:65281");
        assert!(words::<Community>("blackhole").contains("no-export"));
    }

    #[test]
    fn a_large_community_is_three_numbers() {
        assert_eq!("4200000000:1:53".parse::<LargeCommunity>().unwrap().to_string(), "4200000000:1:53");
        for wrong in ["1:2", "1:2:3:4", "1:2:4294967296"] {
            assert!(words::<LargeCommunity>(wrong).contains("three numbers"), "{wrong}");
        }
    }

    #[test]
    fn an_md5_secret_has_a_length_that_the_kernel_takes_and_is_never_printed() {
        let secret: Md5Secret = "s3cret".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Md5Secret");
        assert!("k".repeat(80).parse::<Md5Secret>().is_ok());
        for octets in [0, 81] {
            assert!(words::<Md5Secret>(&"k".repeat(octets)).contains("1 to 80 octets"));
        }
    }
}
