//! A route as this node announces it: one prefix, where to send the traffic, and how much it is wanted.
//!
//! What a route carries is a request to the neighbour, not a guarantee: policies strip prepends and communities
//! and overrule MED. Who decides the values is `pharos-policy`; here only their form is checked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Community, Family, LargeCommunity, Prefix};

/// More prepends change nothing in practice and make the announcement fragile (long paths are filtered, and a
/// far-away route leak of ours wins over the real path).
pub const MAX_PREPENDS: u8 = 3;

/// So many communities at most, so that an UPDATE with every other attribute always fits 4096 octets.
pub const MAX_COMMUNITIES: usize = 100;

/// So many large communities at most, for the same reason.
pub const MAX_LARGE_COMMUNITIES: usize = 50;

/// A route to be announced. The fields may be set freely; [`Route::check`] says whether they can be sent, and
/// a session does not take a route that cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub prefix: Prefix,
    /// Where the neighbour sends packets for the prefix; of the prefix's own family, or IPv6 for an IPv4 prefix
    /// where the neighbour offers that too (RFC 8950).
    pub next_hop: IpAddr,
    /// How many times more than once our AS stands in AS_PATH: 0 to [`MAX_PREPENDS`]. Not used on iBGP.
    pub prepends: u8,
    /// MULTI_EXIT_DISC: lower wins, compared only among routes from the same neighbouring AS.
    pub med: Option<u32>,
    /// LOCAL_PREF: higher wins. Sent on iBGP only (RFC 4271 §5.1.5), 100 when absent.
    pub local_pref: Option<u32>,
    /// Communities, RFC 1997. Order and repetition do not matter: they are sent sorted and once each.
    pub communities: Vec<Community>,
    /// Large communities, RFC 8092; sent sorted and once each too.
    pub large_communities: Vec<LargeCommunity>,
}

/// Why a route cannot be announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// An IPv6 prefix with an IPv4 next hop, which no RFC has.
    #[error("{prefix}: the next hop {next_hop} is not an address of the same family; set one for {family}")]
    NextHopFamily {
        /// The route's prefix.
        prefix: Prefix,
        /// The next hop given.
        next_hop: IpAddr,
        /// The family needed.
        family: Family,
    },
    /// The next hop is not an address that a host can have.
    #[error(
        "{prefix}: {next_hop} cannot be a next hop; give an address of this node that the neighbour reaches"
    )]
    NextHopUnusable {
        /// The route's prefix.
        prefix: Prefix,
        /// The next hop given.
        next_hop: IpAddr,
    },
    /// Too many prepends.
    #[error("{prefix}: {prepends} prepends are more than the {MAX_PREPENDS} that make sense")]
    Prepends {
        /// The route's prefix.
        prefix: Prefix,
        /// The number asked for.
        prepends: u8,
    },
    /// Too many communities.
    #[error("{prefix}: {count} communities are more than the {MAX_COMMUNITIES} that fit")]
    Communities {
        /// The route's prefix.
        prefix: Prefix,
        /// The number asked for.
        count: usize,
    },
    /// Too many large communities.
    #[error("{prefix}: {count} large communities are more than the {MAX_LARGE_COMMUNITIES} that fit")]
    LargeCommunities {
        /// The route's prefix.
        prefix: Prefix,
        /// The number asked for.
        count: usize,
    },
}

impl Route {
    /// A plain route: no prepends, MED, local preference or communities.
    pub fn new(prefix: Prefix, next_hop: IpAddr) -> Self {
        Self {
            prefix,
            next_hop,
            prepends: 0,
            med: None,
            local_pref: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
        }
    }

    /// Whether the route can be sent.
    pub fn check(&self) -> Result<(), RouteError> {
        let Self { prefix, next_hop, prepends, .. } = *self;
        if next_hop.is_ipv4() && prefix.family() == Family::Ipv6 {
            return Err(RouteError::NextHopFamily { prefix, next_hop, family: prefix.family() });
        }
        let unusable = match next_hop {
            IpAddr::V4(a) => a.is_unspecified() || a.is_multicast() || a.is_broadcast(),
            // A link-local address needs a global one beside it (RFC 2545 §3).
            IpAddr::V6(a) => a.is_unspecified() || a.is_multicast() || a.is_unicast_link_local(),
        };
        if unusable {
            return Err(RouteError::NextHopUnusable { prefix, next_hop });
        }
        if prepends > MAX_PREPENDS {
            return Err(RouteError::Prepends { prefix, prepends });
        }
        if self.communities.len() > MAX_COMMUNITIES {
            return Err(RouteError::Communities { prefix, count: self.communities.len() });
        }
        if self.large_communities.len() > MAX_LARGE_COMMUNITIES {
            return Err(RouteError::LargeCommunities { prefix, count: self.large_communities.len() });
        }
        Ok(())
    }

    /// Whether the neighbour must have offered RFC 8950 to be told.
    pub fn needs_extended_next_hop(&self) -> bool {
        self.prefix.family() == Family::Ipv4 && self.next_hop.is_ipv6()
    }

    /// The same route with its communities sorted and once each, so that equal requests compare equal.
    pub(crate) fn normalized(mut self) -> Self {
        self.communities.sort_unstable();
        self.communities.dedup();
        self.large_communities.sort_unstable();
        self.large_communities.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, next_hop: &str) -> Route {
        Route::new(prefix.parse().unwrap(), next_hop.parse().unwrap())
    }

    #[test]
    fn a_route_that_cannot_be_sent_says_why() {
        let mut prepended = route("192.0.2.0/24", "10.0.0.2");
        prepended.prepends = 4;
        let mut tagged = route("192.0.2.0/24", "10.0.0.2");
        tagged.communities = vec![Community(1); 101];
        for (route, message) in [
            (
                route("2001:db8::/32", "10.0.0.2"),
                "2001:db8::/32: the next hop 10.0.0.2 is not an address of the same family; set one for IPv6 unicast",
            ),
            (
                route("2001:db8::/32", "fe80::1"),
                "2001:db8::/32: fe80::1 cannot be a next hop; give an address of this node that the neighbour reaches",
            ),
            (
                route("192.0.2.0/24", "0.0.0.0"),
                "192.0.2.0/24: 0.0.0.0 cannot be a next hop; give an address of this node that the neighbour reaches",
            ),
            (prepended, "192.0.2.0/24: 4 prepends are more than the 3 that make sense"),
            (tagged, "192.0.2.0/24: 101 communities are more than the 100 that fit"),
        ] {
            assert_eq!(route.check().unwrap_err().to_string(), message);
        }
        assert_eq!(route("192.0.2.0/24", "10.0.0.2").check(), Ok(()));
        assert_eq!(route("192.0.2.0/24", "fd00::2").check(), Ok(()), "RFC 8950");
    }
}
