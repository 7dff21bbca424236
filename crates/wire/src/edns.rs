//! The OPT record of EDNS (RFC 6891 §6.1.2) and the options that we understand.
//!
//! ```text
//! NAME   TYPE  CLASS            TTL                              RDLENGTH  RDATA
//! root   41    payload octets   ext-rcode | version | DO, Z bits  n        {code, length, data}*
//! ```
//!
//! Unknown options and flags are passed over (RFC 6891 §6.1.2, §6.1.4). One pass over the options leaves a set of
//! what was asked for; only the place of a cookie is kept, and its octets are looked at by whoever serves cookies.

/// Name server identifier (RFC 5001).
pub const NSID: u16 = 3;
/// DNS cookie (RFC 7873).
pub const COOKIE: u16 = 10;
/// Idle time of a TCP connection (RFC 7828).
pub const TCP_KEEPALIVE: u16 = 11;
/// Extended DNS error (RFC 8914).
pub const EXTENDED_ERROR: u16 = 15;
/// Where errors are reported to (RFC 9567).
pub const REPORT_CHANNEL: u16 = 18;
/// Version of the zone that answers (RFC 9660).
pub const ZONEVERSION: u16 = 19;

/// Octets of a client's half of a cookie (RFC 7873 §4).
pub const CLIENT_COOKIE_OCTETS: usize = 8;
/// Octets of a client's half and a server's half as RFC 9018 §4 makes it.
pub const COOKIE_OCTETS: usize = 24;

/// Octets of an OPT record without options: root name, type, class, TTL and length.
pub const OPT_OCTETS: usize = 11;
/// The DO bit among the flags (RFC 3225).
pub const DO: u16 = 0x8000;
/// Sizes below this count as this (RFC 6891 §6.2.3), and so does a message without EDNS (RFC 1035 §4.2.1).
pub const MIN_PAYLOAD: u16 = 512;

/// A set of options that a client sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asked(u8);

impl Asked {
    /// The server's identity (RFC 5001 §2.1).
    pub const NSID: Self = Self(1);
    /// How long the connection may be idle (RFC 7828 §3.2.1).
    pub const KEEPALIVE: Self = Self(2);
    /// The version of the zone that answers (RFC 9660 §3.1).
    pub const ZONEVERSION: Self = Self(4);
    /// A cookie, sound or not (RFC 7873 §4); see [`Edns::cookie`].
    pub const COOKIE: Self = Self(8);
    /// An option in a form for which its RFC demands FORMERR, whatever the server's settings.
    pub const FAULTY: Self = Self(0x80);

    /// Whether there are none of those that we understand.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this option, or one of these, is among them.
    #[inline]
    pub const fn has(self, option: Self) -> bool {
        self.0 & option.0 != 0
    }

    #[inline]
    fn add(&mut self, option: Self) {
        self.0 |= option.0;
    }
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
    /// The options that we understand and the client sent.
    pub asked: Asked,
    /// Where the data of the first COOKIE option start in the message, and how many octets they have.
    cookie: (u16, u16),
}

/// A client's COOKIE option (RFC 7873 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cookie<'m> {
    /// There is none.
    Absent,
    /// Its length is none that a cookie may have: FORMERR where cookies are served (RFC 7873 §5.2.2).
    Malformed,
    /// The client's half alone: the client does not know the server's yet.
    Client(&'m [u8; CLIENT_COOKIE_OCTETS]),
    /// Both halves, of lengths as we make them (RFC 9018 §4).
    Whole(&'m [u8; COOKIE_OCTETS]),
    /// The client's half, and a server's half of a length that we do not make.
    Foreign(&'m [u8; CLIENT_COOKIE_OCTETS]),
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

    /// The cookie in the message that this was read from. Of several the first counts (RFC 7873 §5.2).
    pub fn cookie(self, message: &[u8]) -> Cookie<'_> {
        if !self.asked.has(Asked::COOKIE) {
            return Cookie::Absent;
        }
        let (start, octets) = (usize::from(self.cookie.0), usize::from(self.cookie.1));
        let data = message.get(start..start + octets).unwrap_or_default();
        match (data.first_chunk(), data.len()) {
            (Some(client), CLIENT_COOKIE_OCTETS) => Cookie::Client(client),
            // RFC 7873 §4: the server's half has 8 to 32 octets.
            (Some(client), 16..=40) => data.try_into().map_or(Cookie::Foreign(client), Cookie::Whole),
            _ => Cookie::Malformed,
        }
    }

    /// Reads the fixed fields and the options, which start at octet `start` of the message; `None` when an option
    /// overruns the record (FORMERR).
    #[inline]
    pub(crate) fn parse(class: u16, ttl: u32, start: usize, options: &[u8]) -> Option<Self> {
        let mut edns = Self {
            advertised: class,
            version: (ttl >> 16) as u8,
            flags: ttl as u16,
            asked: Asked::default(),
            cookie: (0, 0),
        };
        if !options.is_empty() {
            edns.parse_options(start, options)?;
        }
        Some(edns)
    }

    /// Adds the options. Most queries have none.
    #[inline(never)]
    fn parse_options(&mut self, start: usize, options: &[u8]) -> Option<()> {
        let mut rest = options;
        while !rest.is_empty() {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let code = u16::from_be_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let after = tail.get(len..)?;
            match code {
                NSID => self.asked.add(Asked::NSID),
                TCP_KEEPALIVE => self.asked.add(Asked::KEEPALIVE),
                COOKIE if !self.asked.has(Asked::COOKIE) => {
                    self.asked.add(Asked::COOKIE);
                    self.cookie = ((start + options.len() - tail.len()) as u16, len as u16);
                }
                // RFC 9660 §3.2.1: once, and without data.
                ZONEVERSION if len != 0 || self.asked.has(Asked::ZONEVERSION) => {
                    self.asked.add(Asked::FAULTY);
                }
                ZONEVERSION => self.asked.add(Asked::ZONEVERSION),
                _ => {}
            }
            rest = after;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[u8]) -> Option<Edns> {
        Edns::parse(1232, 0x8000, 0, options)
    }

    #[test]
    fn unknown_options_are_passed_over_and_nsid_is_seen() {
        let edns = parse(b"\xff\xfe\0\x02ab\0\x03\0\0").unwrap();
        assert_eq!(edns.asked, Asked::NSID);
        assert!(edns.wants_dnssec());
        assert_eq!(edns.payload(), 1232);
    }

    #[test]
    fn an_option_that_overruns_is_malformed() {
        assert_eq!(parse(b"\0\x03\0\x01"), None);
        assert_eq!(parse(b"\0\x03\0"), None);
    }

    #[test]
    fn small_sizes_count_as_512() {
        assert_eq!(Edns::parse(0, 0, 0, b"").unwrap().payload(), 512);
    }

    #[test]
    fn the_version_of_a_zone_is_asked_for_once_and_without_data() {
        assert_eq!(parse(b"\0\x13\0\0").unwrap().asked, Asked::ZONEVERSION);
        assert!(parse(b"\0\x13\0\x01a").unwrap().asked.has(Asked::FAULTY));
        assert!(parse(b"\0\x13\0\0\0\x13\0\0").unwrap().asked.has(Asked::FAULTY));
    }

    #[test]
    fn a_cookie_has_8_octets_or_16_to_40_and_the_first_one_counts() {
        for octets in 0..60u8 {
            let mut message = vec![0, 0, 0xff, 0xfe, 0, 1, 7, 0, 10, 0, octets];
            message.extend(1..=octets);
            message.extend(b"\0\x0a\0\x01x");
            let edns = Edns::parse(1232, 0, 2, &message[2..]).unwrap();
            match (octets, edns.cookie(&message)) {
                (8, Cookie::Client(client)) => assert_eq!(client, &[1, 2, 3, 4, 5, 6, 7, 8]),
                (24, Cookie::Whole(whole)) => assert_eq!((whole[0], whole[23]), (1, 24)),
                (16..=40, Cookie::Foreign(client)) => assert_eq!(client[0], 1),
                (0..8 | 9..16 | 41.., Cookie::Malformed) => {}
                (octets, cookie) => panic!("{octets}: {cookie:?}"),
            }
        }
        assert_eq!(parse(b"").unwrap().cookie(b""), Cookie::Absent);
    }
}
