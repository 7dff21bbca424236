//! Server cookies that every server of an anycast set can check (RFC 7873, RFC 9018).
//!
//! ```text
//! client's half (8) | version 1 | reserved (3) | timestamp (4) | hash (8)
//! hash = SipHash-2-4 by the secret over all before it and the client's address
//! ```
//!
//! A client that shows a valid cookie sits where its address says. Nothing is kept of clients: all nodes that have
//! the secret judge alike, so it must be the same at all of them. To change it without a moment at which one node
//! refuses what another one made: first let all nodes accept the new secret beside the old one, then let them make
//! cookies by the new one and accept the old one, then forget the old one (RFC 9018 §5).
//!
//! Cookies are never demanded of a client that does not speak of them, nor over TCP, whose handshake proves as
//! much. Called by the module `options`; the clock comes with the context.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use pharos_wire::edns::{CLIENT_COOKIE_OCTETS, COOKIE_OCTETS, Cookie};
use siphasher::sip::SipHasher24;

/// The one layout of server cookies that exists (RFC 9018 §4.1), with its reserved octets as we send them.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// Cookies older than this are not valid (RFC 9018 §4.3).
const OLDEST_SECONDS: i32 = 3600;
/// Cookies from the future are valid as far as clocks of an anycast set may differ (RFC 9018 §4.3).
const NEWEST_SECONDS: i32 = 300;
/// Cookies older than this are replaced, though they are valid (RFC 9018 §4.3).
const RENEWED_SECONDS: i32 = 1800;

/// The settings for cookies; the same at every node of an anycast set.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// The secret by which cookies are made and checked.
    pub current: Secret,
    /// Another one by which they are valid too: the next one before a change of secrets, the last one after it.
    pub previous: Option<Secret>,
    /// When a client that knows cookies must show a valid one.
    pub require: Require,
}

/// When a client that sends a COOKIE option over UDP gets BADCOOKIE unless its cookie is valid (RFC 7873 §5.2.3).
/// Clients without the option are always answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Require {
    /// Never: cookies protect clients from forged replies, and no more.
    Never,
    /// While the server has more to do than it can: each first query then costs a small reply and comes again.
    #[default]
    UnderPressure,
    /// Always.
    Always,
}

/// A secret of 128 bits (RFC 9018 §4.4). Its value is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

/// Why a text is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a cookie secret has 32 hexadecimal digits")]
pub struct BadSecret;

impl Secret {
    /// The secret with these octets.
    pub fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The hash over a cookie's first 16 octets and the client's address (RFC 9018 §4.4).
    fn hash(&self, head: &[u8; 16], client: IpAddr) -> [u8; 8] {
        let mut input = [0; 32];
        input[..16].copy_from_slice(head);
        // Clients of IPv4 have 4 octets, by whichever socket they come.
        let octets = match client.to_canonical() {
            IpAddr::V4(address) => {
                input[16..20].copy_from_slice(&address.octets());
                20
            }
            IpAddr::V6(address) => {
                input[16..].copy_from_slice(&address.octets());
                32
            }
        };
        SipHasher24::new_with_key(&self.0).hash(&input[..octets]).to_le_bytes()
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let mut octets = [0; 16];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(BadSecret) };
        if pairs.len() != octets.len() {
            return Err(BadSecret);
        }
        for (octet, pair) in octets.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(BadSecret);
            *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(octets))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a client's cookie is worth, with the cookie that it gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// There is none, or none are served.
    None,
    /// It is none: FORMERR (RFC 7873 §5.2.2).
    Malformed,
    /// The client does not know ours yet (RFC 7873 §5.2.3).
    First([u8; COOKIE_OCTETS]),
    /// What it shows is not ours, or too old (RFC 7873 §5.2.4).
    Invalid([u8; COOKIE_OCTETS]),
    /// It is ours (RFC 7873 §5.2.5).
    Valid([u8; COOKIE_OCTETS]),
}

impl Judged {
    /// The cookie that the client gets.
    pub(crate) fn given(&self) -> Option<&[u8; COOKIE_OCTETS]> {
        match self {
            Self::None | Self::Malformed => None,
            Self::First(cookie) | Self::Invalid(cookie) | Self::Valid(cookie) => Some(cookie),
        }
    }
}

impl Cookies {
    /// Judges a cookie that came from `client` at `now`, in seconds of Unix time modulo 2^32.
    pub(crate) fn judge(&self, cookie: Cookie<'_>, client: IpAddr, now: u32) -> Judged {
        match cookie {
            Cookie::Absent => Judged::None,
            Cookie::Malformed => Judged::Malformed,
            Cookie::Client(half) => Judged::First(self.make(half, client, now)),
            Cookie::Foreign(half) => Judged::Invalid(self.make(half, client, now)),
            Cookie::Whole(whole) => self.judge_whole(whole, client, now),
        }
    }

    fn judge_whole(&self, whole: &[u8; COOKIE_OCTETS], client: IpAddr, now: u32) -> Judged {
        let (half, _) = whole.split_first_chunk().unwrap_or((&[0; CLIENT_COOKIE_OCTETS], &[]));
        let (head, hash) = whole.split_first_chunk().unwrap_or((&[0; 16], &[]));
        let [.., version, _, _, _, t0, t1, t2, t3] = *head;
        // Serial number arithmetic, so that 2106 is a year like any other (RFC 9018 §4.3, RFC 1982).
        let age = now.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])).cast_signed();
        let timely = (-NEWEST_SECONDS..=OLDEST_SECONDS).contains(&age);
        let by = |secret: &Secret| hash == secret.hash(head, client);
        let by_current = version == VERSION[0] && timely && by(&self.current);
        if by_current && age <= RENEWED_SECONDS {
            return Judged::Valid(*whole);
        }
        let fresh = self.make(half, client, now);
        let known = version == VERSION[0] && timely && self.previous.as_ref().is_some_and(by);
        // What was made by another secret is replaced at once (RFC 7873 §7.1).
        if by_current || known { Judged::Valid(fresh) } else { Judged::Invalid(fresh) }
    }

    fn make(&self, half: &[u8; CLIENT_COOKIE_OCTETS], client: IpAddr, now: u32) -> [u8; COOKIE_OCTETS] {
        let mut head = [0; 16];
        head[..8].copy_from_slice(half);
        head[8..12].copy_from_slice(&VERSION);
        head[12..].copy_from_slice(&now.to_be_bytes());
        let mut whole = [0; COOKIE_OCTETS];
        whole[..16].copy_from_slice(&head);
        whole[16..].copy_from_slice(&self.current.hash(&head, client));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(text: &str) -> [u8; N] {
        let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        let octets: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        octets.try_into().unwrap()
    }

    fn cookies(current: &str, previous: Option<&str>) -> Cookies {
        let previous = previous.map(|text| text.parse().unwrap());
        Cookies { current: current.parse().unwrap(), previous, require: Require::Never }
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn judge(cookies: &Cookies, whole: &str, client: &str, now: u32) -> Judged {
        cookies.judge(Cookie::Whole(&octets(whole)), client.parse().unwrap(), now)
    }

    #[test]
    fn a_client_learns_a_new_server_cookie_as_rfc_9018_appendix_a_1_shows() {
        let half = octets("2464c4abcf10c957");
        let judged = cookies(SECRET, None).judge(
            Cookie::Client(&half),
            "198.51.100.100".parse().unwrap(),
            1_559_731_985,
        );
        assert_eq!(judged, Judged::First(octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480")));
    }

    #[test]
    fn the_same_client_learns_a_renewed_server_cookie_as_appendix_a_2_shows() {
        let sent = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let judged = judge(&cookies(SECRET, None), sent, "198.51.100.100", 1_559_734_385);
        assert_eq!(judged, Judged::Valid(octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")));
        // The same by a socket of IPv6 that takes IPv4 too.
        assert_eq!(judge(&cookies(SECRET, None), sent, "::ffff:198.51.100.100", 1_559_734_385), judged);
    }

    #[test]
    fn another_client_learns_a_renewed_server_cookie_as_appendix_a_3_shows() {
        // Its reserved octets are not ours and count all the same; the example's cookie is too old when it comes.
        let sent = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = octets("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        let cookies = cookies(SECRET, None);
        assert_eq!(judge(&cookies, sent, "203.0.113.203", 1_559_734_700), Judged::Invalid(renewed));
        assert_eq!(judge(&cookies, sent, "203.0.113.203", 1_559_727_985), Judged::Valid(octets(sent)));
    }

    #[test]
    fn a_cookie_by_the_secret_before_is_valid_and_replaced_as_appendix_a_4_shows() {
        let (old, new) = ("dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962");
        let sent = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let renewed = octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a");
        let (client, now) = ("2001:db8:220:1:59de:d0f4:8769:82b8", 1_559_741_961);
        assert_eq!(judge(&cookies(new, Some(old)), sent, client, now), Judged::Valid(renewed));
        assert_eq!(judge(&cookies(new, None), sent, client, now), Judged::Invalid(renewed));
        // Before the change: the next secret is accepted beside the one in use.
        assert_eq!(judge(&cookies(old, Some(new)), sent, client, now), Judged::Valid(octets(sent)));
    }

    #[test]
    fn a_cookie_is_valid_for_an_hour_and_five_minutes_early_and_renewed_after_half_an_hour() {
        let cookies = cookies(SECRET, None);
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        // Once with a clock that passes the end of 32 bits meanwhile.
        for made in [1_700_000_000u32, u32::MAX - 1000] {
            let Judged::First(whole) = cookies.judge(Cookie::Client(&[7; 8]), client, made) else { panic!() };
            let at = |seconds: i32| {
                cookies.judge(Cookie::Whole(&whole), client, made.wrapping_add_signed(seconds))
            };
            for same in [-300, 0, 1800] {
                assert_eq!(at(same), Judged::Valid(whole), "{same}");
            }
            for renewed in [1801, 3600] {
                assert!(matches!(at(renewed), Judged::Valid(fresh) if fresh != whole), "{renewed}");
            }
            for bad in [-301, 3601, 1_000_000] {
                assert!(matches!(at(bad), Judged::Invalid(_)), "{bad}");
            }
        }
    }

    #[test]
    fn a_cookie_of_another_client_version_or_length_is_not_valid() {
        let cookies = cookies(SECRET, None);
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let Judged::First(whole) = cookies.judge(Cookie::Client(&[7; 8]), client, 9) else { panic!() };
        let judge = |whole: &_, client| cookies.judge(Cookie::Whole(whole), client, 9);
        assert!(matches!(judge(&whole, "192.0.2.2".parse().unwrap()), Judged::Invalid(_)));
        for place in 0..COOKIE_OCTETS {
            let mut other = whole;
            other[place] ^= 1;
            assert!(matches!(judge(&other, client), Judged::Invalid(_)), "octet {place}");
        }
        assert_eq!(cookies.judge(Cookie::Foreign(&[7; 8]), client, 9), Judged::Invalid(whole));
        assert_eq!(cookies.judge(Cookie::Malformed, client, 9), Judged::Malformed);
        assert_eq!(cookies.judge(Cookie::Absent, client, 9), Judged::None);
    }

    #[test]
    fn a_secret_is_32_hexadecimal_digits_and_is_not_printed() {
        assert_eq!(SECRET.to_uppercase().parse::<Secret>(), SECRET.parse());
        for bad in ["", "e5", &SECRET[1..], &format!("{SECRET}00"), &format!("+{}", &SECRET[1..])] {
            assert_eq!(bad.parse::<Secret>(), Err(BadSecret), "{bad}");
        }
        assert_eq!(format!("{:?}", SECRET.parse::<Secret>().unwrap()), "Secret(..)");
    }
}
