//! Route origin validation: what RPKI data say of a prefix that an AS announces (RFC 6811), and whether they say more
//! than they need to (RFC 9319).
//!
//! A validated ROA payload ([`Vrp`]) allows an AS to announce a prefix and everything within it up to a length. A route is
//! *valid* if one allows it, *invalid* if some cover it and none allows it, and *not found* if none covers it. Pure; where
//! the data come from is the caller's business. Called by `pharos check-config --vrps`.

use std::collections::BTreeSet;
use std::fmt;

use crate::Prefix;

/// A validated ROA payload, RFC 6811 §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrp {
    prefix: Prefix,
    max_length: u8,
    asn: u32,
}

/// Why three values are no VRP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a maxLength of {max_length} is not possible for {prefix}: {} to {} bits are", prefix.len(), prefix.family().bits())]
pub struct MaxLengthError {
    prefix: Prefix,
    max_length: u8,
}

impl Vrp {
    /// One that allows `asn` the prefix, and what lies within it up to `max_length` bits.
    pub fn new(prefix: Prefix, max_length: u8, asn: u32) -> Result<Self, MaxLengthError> {
        match (prefix.len()..=prefix.family().bits()).contains(&max_length) {
            true => Ok(Self { prefix, max_length, asn }),
            false => Err(MaxLengthError { prefix, max_length }),
        }
    }

    /// Whether it says anything about a route for this prefix.
    pub fn covers(&self, prefix: Prefix) -> bool {
        prefix.len() >= self.prefix.len() && self.prefix.contains(prefix.addr())
    }

    /// Whether it allows the route. One of AS 0 allows nothing (RFC 6483 §4, RFC 6811 §2).
    pub fn allows(&self, prefix: Prefix, origin: u32) -> bool {
        self.covers(prefix) && prefix.len() <= self.max_length && self.asn == origin && origin != 0
    }
}

impl fmt::Display for Vrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max_length == self.prefix.len() {
            true => write!(f, "{} AS{}", self.prefix, self.asn),
            false => write!(f, "{} up to /{} AS{}", self.prefix, self.max_length, self.asn),
        }
    }
}

/// What the data say of a route, RFC 6811 §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validity {
    /// These allow it.
    Valid(Vec<Vrp>),
    /// These cover it, and none allows it.
    Invalid(Vec<Vrp>),
    /// Nothing covers it.
    NotFound,
}

impl Validity {
    /// Judges a route by a set of data in any order.
    pub fn judge<'a>(vrps: impl IntoIterator<Item = &'a Vrp>, prefix: Prefix, origin: u32) -> Self {
        let covering: BTreeSet<Vrp> = vrps.into_iter().filter(|vrp| vrp.covers(prefix)).copied().collect();
        let (allowing, others): (Vec<_>, Vec<_>) =
            covering.into_iter().partition(|vrp| vrp.allows(prefix, origin));
        match (allowing.is_empty(), others.is_empty()) {
            (false, _) => Self::Valid(allowing),
            (true, false) => Self::Invalid(others),
            (true, true) => Self::NotFound,
        }
    }
}

/// Why a VRP that covers a route does not allow it, in words; `None` if it does, or does not cover it.
pub fn objection(vrp: &Vrp, prefix: Prefix, origin: u32) -> Option<String> {
    if !vrp.covers(prefix) || vrp.allows(prefix, origin) {
        return None;
    }
    let too_long = (prefix.len() > vrp.max_length)
        .then(|| format!("/{} is longer than its maxLength of {}", prefix.len(), vrp.max_length));
    let other_as = (vrp.asn != origin || origin == 0).then(|| match vrp.asn {
        0 => "it allows nobody (AS 0)".to_owned(),
        asn => format!("it is for AS{asn}"),
    });
    Some([other_as, too_long].into_iter().flatten().collect::<Vec<_>>().join(", and "))
}

/// Prefixes that a VRP allows although nobody announces them: whoever forges the origin AS can announce one of them, and
/// it is valid everywhere (RFC 9319 §3). `None` if all that it allows is announced.
pub fn looseness(vrp: &Vrp, announced: &BTreeSet<Prefix>) -> Option<Looseness> {
    let within = announced.iter().filter(|prefix| vrp.covers(**prefix) && prefix.len() <= vrp.max_length);
    let within = within.count() as u128;
    let bits = u32::from(vrp.max_length - vrp.prefix.len());
    // 2^(bits + 1) - 1 prefixes: one of its own length, two of the next, and so on.
    let allowed = 1_u128.checked_shl(bits + 1).map_or(u128::MAX, |all| all - 1);
    (within < allowed).then(|| Looseness { unused: allowed - within, example: example(vrp, announced) })
}

/// How much more a VRP allows than is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looseness {
    /// So many prefixes.
    pub unused: u128,
    /// One of them: of the longest that nobody announces, since that is what wins.
    pub example: Prefix,
}

/// The first prefix of the greatest length that is allowed and not announced.
fn example(vrp: &Vrp, announced: &BTreeSet<Prefix>) -> Prefix {
    for len in (vrp.prefix.len()..=vrp.max_length).rev() {
        // As many as are announced, and one more, must hold one that is not.
        let mut next = Prefix::masked(vrp.prefix.addr(), len).ok();
        while let Some(prefix) = next.filter(|prefix| vrp.covers(*prefix)) {
            if !announced.contains(&prefix) {
                return prefix;
            }
            next = following(prefix);
        }
    }
    vrp.prefix
}

/// The prefix of the same length behind this one.
fn following(prefix: Prefix) -> Option<Prefix> {
    use std::net::IpAddr;
    let host_bits = u32::from(prefix.family().bits() - prefix.len());
    let addr = match prefix.addr() {
        IpAddr::V4(addr) => {
            let next = addr.to_bits().checked_add(1_u32.checked_shl(host_bits)?)?;
            IpAddr::V4(next.into())
        }
        IpAddr::V6(addr) => {
            let next = addr.to_bits().checked_add(1_u128.checked_shl(host_bits)?)?;
            IpAddr::V6(next.into())
        }
    };
    Prefix::new(addr, prefix.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn vrp(text: &str, max_length: u8, asn: u32) -> Vrp {
        Vrp::new(prefix(text), max_length, asn).unwrap()
    }

    #[test]
    fn routes_are_valid_invalid_or_not_found_as_rfc_6811_has_it() {
        let vrps = [
            vrp("192.0.2.0/24", 24, 64512),
            vrp("198.51.0.0/16", 20, 64512),
            vrp("2001:db8::/32", 48, 64513),
        ];
        for (route, origin, expected) in [
            ("192.0.2.0/24", 64512, "valid"),
            ("192.0.2.0/24", 64513, "invalid"),
            ("192.0.2.0/25", 64512, "invalid"),
            ("192.0.0.0/16", 64512, "not found"),
            ("198.51.16.0/20", 64512, "valid"),
            ("198.51.16.0/21", 64512, "invalid"),
            ("203.0.113.0/24", 64512, "not found"),
            ("2001:db8:53::/48", 64513, "valid"),
            ("2001:db8:53::/48", 64512, "invalid"),
            ("2001:db9::/32", 64513, "not found"),
            ("0.0.0.0/0", 64512, "not found"),
        ] {
            let said = match Validity::judge(&vrps, prefix(route), origin) {
                Validity::Valid(by) => {
                    assert!(by.iter().all(|vrp| objection(vrp, prefix(route), origin).is_none()));
                    "valid"
                }
                Validity::Invalid(by) => {
                    assert!(by.iter().all(|vrp| objection(vrp, prefix(route), origin).is_some()));
                    "invalid"
                }
                Validity::NotFound => "not found",
            };
            assert_eq!(said, expected, "{route} from AS{origin}");
        }
    }

    #[test]
    fn one_that_allows_outweighs_any_number_that_do_not() {
        let vrps =
            [vrp("192.0.2.0/24", 24, 64513), vrp("192.0.0.0/16", 16, 0), vrp("192.0.2.0/24", 24, 64512)];
        assert_eq!(Validity::judge(&vrps, prefix("192.0.2.0/24"), 64512), Validity::Valid(vec![vrps[2]]));
    }

    #[test]
    fn as_0_allows_nothing() {
        let vrps = [vrp("192.0.2.0/24", 24, 0)];
        assert_eq!(Validity::judge(&vrps, prefix("192.0.2.0/24"), 0), Validity::Invalid(vrps.to_vec()));
        assert_eq!(objection(&vrps[0], prefix("192.0.2.0/24"), 64512).unwrap(), "it allows nobody (AS 0)");
    }

    #[test]
    fn an_objection_names_all_that_is_wrong() {
        let vrp = vrp("192.0.0.0/16", 20, 64513);
        assert_eq!(
            objection(&vrp, prefix("192.0.2.0/24"), 64512).unwrap(),
            "it is for AS64513, and /24 is longer than its maxLength of 20"
        );
        assert_eq!(objection(&vrp, prefix("192.0.0.0/20"), 64513), None);
        assert_eq!(objection(&vrp, prefix("203.0.113.0/24"), 64513), None);
    }

    #[test]
    fn a_max_length_that_the_prefix_cannot_have_is_no_vrp() {
        for (text, max_length) in [("192.0.2.0/24", 23), ("192.0.2.0/24", 33), ("2001:db8::/32", 129)] {
            assert!(Vrp::new(prefix(text), max_length, 64512).is_err(), "{text} {max_length}");
        }
        assert!(Vrp::new(prefix("2001:db8::/32"), 128, 64512).is_ok());
    }

    #[test]
    fn a_max_length_is_loose_unless_all_that_it_allows_is_announced() {
        let announced = |texts: &[&str]| texts.iter().map(|text| prefix(text)).collect::<BTreeSet<_>>();
        let exact = vrp("192.0.2.0/24", 24, 64512);
        assert_eq!(looseness(&exact, &announced(&["192.0.2.0/24"])), None);
        let loose = vrp("192.0.2.0/24", 25, 64512);
        let found = looseness(&loose, &announced(&["192.0.2.0/24"])).unwrap();
        assert_eq!((found.unused, found.example), (2, prefix("192.0.2.0/25")));
        let found = looseness(&loose, &announced(&["192.0.2.0/24", "192.0.2.0/25"])).unwrap();
        assert_eq!((found.unused, found.example), (1, prefix("192.0.2.128/25")));
        let all = announced(&["192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25"]);
        assert_eq!(looseness(&loose, &all), None);
        let parent = vrp("192.0.2.0/24", 25, 64512);
        let found = looseness(&parent, &announced(&["192.0.2.0/25", "192.0.2.128/25"])).unwrap();
        assert_eq!((found.unused, found.example), (1, prefix("192.0.2.0/24")));
        let wide = vrp("::/0", 128, 64512);
        let found = looseness(&wide, &announced(&["2001:db8::/32"])).unwrap();
        assert_eq!(found.example, prefix("::/128"));
        assert!(found.unused > 1 << 100);
        let last = vrp("255.255.255.254/31", 32, 64512);
        let both = announced(&["255.255.255.254/32", "255.255.255.255/32"]);
        assert_eq!(looseness(&last, &both).unwrap().example, prefix("255.255.255.254/31"));
    }

    #[test]
    fn a_vrp_reads_as_a_person_would_write_it() {
        assert_eq!(vrp("192.0.2.0/24", 24, 64512).to_string(), "192.0.2.0/24 AS64512");
        assert_eq!(vrp("2001:db8::/32", 48, 64512).to_string(), "2001:db8::/32 up to /48 AS64512");
    }
}
