//! The OPT record of EDNS (RFC 6891 §6.1.2) and the options that we understand.
//!
//! ```text
//! NAME   TYPE  CLASS            TTL                              RDLENGTH  RDATA
//! root   41    payload octets   ext-rcode | version | DO, Z bits  n        {code, length, data}*
//! ```
//!
//! Unknown options and flags are passed over (RFC 6891 §6.1.2, §6.1.4).

/// Name server identifier (RFC 5001).
pub const NSID: u16 = 3;
/// DNS cookie (RFC 7873).
pub const COOKIE: u16 = 10;
/// Idle time of a TCP connection (RFC 7828).
pub const TCP_KEEPALIVE: u16 = 11;

/// Octets of an OPT record without options: root name, type, class, TTL and length.
pub const OPT_OCTETS: usize = 11;
/// The DO bit among the flags (RFC 3225).
pub const DO: u16 = 0x8000;
/// Sizes below this count as this (RFC 6891 §6.2.3), and so does a message without EDNS (RFC 1035 §4.2.1).
pub const MIN_PAYLOAD: u16 = 512;

/// Whether a client sent an option that asks for something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// It did not.
    #[default]
    Unasked,
    /// It did.
    Asked,
}

/// What a query's OPT record said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns {
    /// The largest UDP message that the client takes, as sent; see [`Self::payload`].
    pub advertised: u16,
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// The flags, DO among them.
    pub flags: u16,
    /// Whether the server's identity was asked for (RFC 5001 §2.1).
    pub nsid: Wish,
    /// Whether the client wants to know how long its connection may be idle (RFC 7828 §3.2.1).
    pub keepalive: Wish,
}

impl Edns {
    /// Octets that a UDP reply may have as far as the client is concerned (RFC 6891 §6.2.3).
    pub fn payload(self) -> u16 {
        self.advertised.max(MIN_PAYLOAD)
    }

    /// Whether DNSSEC records are wanted (RFC 3225 §3).
    pub fn wants_dnssec(self) -> bool {
        self.flags & DO != 0
    }

    /// Reads the fixed fields and the options; `None` when an option overruns the record (FORMERR).
    pub(crate) fn parse(class: u16, ttl: u32, mut options: &[u8]) -> Option<Self> {
        let mut edns = Self {
            advertised: class,
            version: (ttl >> 16) as u8,
            flags: ttl as u16,
            nsid: Wish::Unasked,
            keepalive: Wish::Unasked,
        };
        while !options.is_empty() {
            let (head, rest) = options.split_first_chunk::<4>()?;
            let code = u16::from_be_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            options = rest.get(len..)?;
            match code {
                NSID => edns.nsid = Wish::Asked,
                TCP_KEEPALIVE => edns.keepalive = Wish::Asked,
                _ => {}
            }
        }
        Some(edns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_passed_over_and_nsid_is_seen() {
        let edns = Edns::parse(1232, 0x8000, b"\xff\xfe\0\x02ab\0\x03\0\0").unwrap();
        assert_eq!(edns.nsid, Wish::Asked);
        assert!(edns.wants_dnssec());
        assert_eq!(edns.payload(), 1232);
    }

    #[test]
    fn an_option_that_overruns_is_malformed() {
        assert_eq!(Edns::parse(1232, 0, b"\0\x03\0\x01"), None);
        assert_eq!(Edns::parse(1232, 0, b"\0\x03\0"), None);
    }

    #[test]
    fn small_sizes_count_as_512() {
        assert_eq!(Edns::parse(0, 0, b"").unwrap().payload(), 512);
    }
}
