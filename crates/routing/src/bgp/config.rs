//! What a person chooses about one BGP session, and which choices make no session.
//!
//! Read by [`super::Session::new`], which refuses what [`SessionConfig::check`] refuses.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Families;

/// The AS number that stands for one that two octets cannot hold (RFC 6793 §4.2.3).
pub const AS_TRANS: u32 = 23456;

/// The settings of one session with one neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Our AS number.
    pub local_as: u32,
    /// The neighbour's AS number; equal to ours on an iBGP session.
    pub peer_as: u32,
    /// Our BGP Identifier; unique within our AS (RFC 6286).
    pub router_id: Ipv4Addr,
    /// The hold time that we propose: whole seconds, 3 s to 65535 s, or zero for "never". The session takes the
    /// smaller of both sides' values. It bounds how long a frozen node keeps its route, so that a peer which
    /// proposes zero is refused unless this is zero too (RFC 4271 §4.2 leaves that choice to us).
    pub hold_time: Duration,
    /// How long a peer may stay silent before its OPEN once there is a connection. RFC 4271 §8 suggests
    /// four minutes.
    pub open_time: Duration,
    /// How long an attempt to connect may take, and the first pause before the next one. Pauses double with
    /// each failure up to [`SessionConfig::connect_retry_max`].
    pub connect_retry: Duration,
    /// The longest pause between attempts.
    pub connect_retry_max: Duration,
    /// A session that was established for so long makes the pauses start again from
    /// [`SessionConfig::connect_retry`]; one that ends sooner counts as a failure.
    pub stable_after: Duration,
    /// How long the transport may take none of our octets before the session ends (RFC 9687 §3.3 suggests the
    /// greater of 8 minutes and twice the hold time). A peer that has stopped reading would otherwise keep our
    /// route although it can no longer hear the withdrawal.
    pub send_hold_time: Duration,
    /// Who opens the connection.
    pub role: Role,
    /// The families that we offer; the session carries those that both sides offer.
    pub families: Families,
    /// Whether IPv4 routes may have an IPv6 next hop, RFC 8950.
    pub extended_next_hop: ExtendedNextHop,
    /// What our AS is to the neighbour's, RFC 9234; `None` says nothing about it.
    pub peering: Option<Peering>,
    /// What becomes of a neighbour that says nothing of its own role.
    pub peering_check: PeeringCheck,
    /// What happens to the routes that the neighbour sends.
    pub received: Received,
    /// Any number, best a different one for each session: the machine has no randomness of its own, and derives
    /// from this the jitter of RFC 4271 §10 (timers run for 75 to 100 per cent of their time).
    pub jitter_seed: u64,
}

/// Who opens the connection. A session has one connection, so that the collision detection of RFC 4271 §6.8 is
/// not needed: an active session accepts none, a passive one opens none. Of several that the neighbour opens see
/// [`super::Session::yields_connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connect to the neighbour.
    Active,
    /// The neighbour connects to us.
    Passive,
}

/// Whether IPv4 routes may have an IPv6 next hop, RFC 8950.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtendedNextHop {
    /// It is offered; such routes are told to a neighbour that offers it too.
    Offered,
    /// It is not offered, and such routes are kept back.
    NotOffered,
}

/// What our AS is to the neighbour's: a BGP Role of RFC 9234 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peering {
    /// We are a transit provider of the neighbour.
    Provider,
    /// We are a route server, and the neighbour its client.
    RouteServer,
    /// The neighbour is a route server, and we are its client.
    RouteServerClient,
    /// The neighbour is our transit provider.
    Customer,
    /// Neither carries transit for the other.
    Peer,
}

/// What becomes of a neighbour that says nothing of its role, RFC 9234 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeeringCheck {
    /// The session comes about all the same.
    Lenient,
    /// It is refused.
    Strict,
}

impl Peering {
    const ALL: [Self; 5] =
        [Self::Provider, Self::RouteServer, Self::RouteServerClient, Self::Customer, Self::Peer];

    /// The value of the capability.
    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
        }
    }

    pub(crate) fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|peering| peering.octet() == octet)
    }

    /// The role that the other end must have, RFC 9234 §4.2.
    #[must_use]
    pub fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }

    /// Whether our routes get ONLY_TO_CUSTOMER on the way to such a neighbour, RFC 9234 §5: they must not leave its
    /// customer cone.
    pub(crate) fn marks_routes(self) -> bool {
        matches!(self, Self::Provider | Self::RouteServer | Self::Peer)
    }
}

impl fmt::Display for Peering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::RouteServer => "route server",
            Self::RouteServerClient => "route-server client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        })
    }
}

/// What happens to routes that the neighbour announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// They are dropped: this node is not a router. What is wrong with them is counted, and ends the session only
    /// where the message itself cannot be taken apart.
    Discard,
    /// Each change is reported as [`super::Event::Route`]; nothing is kept. For route collectors.
    Report,
}

/// Why settings make no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An AS number that no speaker may have.
    #[error("AS {asn} cannot be {whose} AS number: {why}")]
    As {
        /// "our" or "the neighbour's".
        whose: &'static str,
        /// The number.
        asn: u32,
        /// What the number is reserved for.
        why: &'static str,
    },
    /// A BGP Identifier that no speaker may have.
    #[error("the router id must not be 0.0.0.0; use an IPv4 address of this node")]
    RouterId,
    /// A hold time that cannot be written or is forbidden.
    #[error("a hold time of {0:?} is not possible: whole seconds from 3 to 65535, or 0 for none")]
    HoldTime(Duration),
    /// A timer that would fire without end.
    #[error("{name} of {value:?} is not possible: it must be at least {min:?}")]
    TooShort {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: Duration,
        /// The least possible one.
        min: Duration,
    },
    /// A role within one AS.
    #[error("a BGP role is for neighbours of another AS (RFC 9234 §4.1); this one is of ours, AS {0}")]
    PeeringWithinAs(u32),
    /// Nothing to talk about.
    #[error("no address family is chosen; choose IPv4, IPv6 or both")]
    NoFamilies,
}

impl SessionConfig {
    /// An active session for both families, hold time 9 s, first pause 1 s: quick enough for a node whose route
    /// must not outlive it, and what routers accept.
    pub fn new(local_as: u32, peer_as: u32, router_id: Ipv4Addr) -> Self {
        Self {
            local_as,
            peer_as,
            router_id,
            hold_time: Duration::from_secs(9),
            open_time: Duration::from_secs(240),
            connect_retry: Duration::from_secs(1),
            connect_retry_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(60),
            send_hold_time: Duration::from_secs(480),
            role: Role::Active,
            families: Families::BOTH,
            extended_next_hop: ExtendedNextHop::NotOffered,
            peering: None,
            peering_check: PeeringCheck::Lenient,
            received: Received::Discard,
            jitter_seed: u64::from(router_id.to_bits()) << 32 | u64::from(peer_as),
        }
    }

    /// Whether these settings make a session.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (whose, asn) in [("our", self.local_as), ("the neighbour's", self.peer_as)] {
            let why = match asn {
                0 => "it is reserved (RFC 7607)",
                AS_TRANS => "it stands for four-octet numbers (RFC 6793)",
                0xffff | u32::MAX => "it is reserved (RFC 7300)",
                _ => continue,
            };
            return Err(ConfigError::As { whose, asn, why });
        }
        if self.router_id.is_unspecified() {
            return Err(ConfigError::RouterId);
        }
        let seconds = self.hold_time.as_secs();
        if self.hold_time.subsec_nanos() != 0 || !(seconds == 0 || (3..=65535).contains(&seconds)) {
            return Err(ConfigError::HoldTime(self.hold_time));
        }
        // Shorter pauses than this are a flood of connections to a router that has just failed.
        let floor = Duration::from_millis(10);
        for (name, value, min) in [
            ("connect-retry", self.connect_retry, floor),
            ("connect-retry-max", self.connect_retry_max, self.connect_retry),
            ("open-time", self.open_time, Duration::from_secs(1)),
            ("send-hold-time", self.send_hold_time, self.hold_time.max(Duration::from_secs(1))),
        ] {
            if value < min {
                return Err(ConfigError::TooShort { name, value, min });
            }
        }
        if self.families.is_empty() {
            return Err(ConfigError::NoFamilies);
        }
        if self.peering.is_some() && self.is_ibgp() {
            return Err(ConfigError::PeeringWithinAs(self.local_as));
        }
        Ok(())
    }

    /// Whether both ends are in one AS.
    pub fn is_ibgp(&self) -> bool {
        self.local_as == self.peer_as
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_session_say_why() {
        let good = SessionConfig::new(64512, 64500, Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(good.check(), Ok(()));
        type Change = dyn Fn(&mut SessionConfig);
        let cases: [(&Change, &str); 10] = [
            (&|c| c.local_as = 0, "AS 0 cannot be our AS number: it is reserved (RFC 7607)"),
            (
                &|c| c.peer_as = 23456,
                "AS 23456 cannot be the neighbour's AS number: it stands for four-octet numbers (RFC 6793)",
            ),
            (
                &|c| c.peer_as = 65535,
                "AS 65535 cannot be the neighbour's AS number: it is reserved (RFC 7300)",
            ),
            (
                &|c| c.router_id = Ipv4Addr::UNSPECIFIED,
                "the router id must not be 0.0.0.0; use an IPv4 address of this node",
            ),
            (
                &|c| c.hold_time = Duration::from_secs(2),
                "a hold time of 2s is not possible: whole seconds from 3 to 65535, or 0 for none",
            ),
            (
                &|c| c.hold_time = Duration::from_millis(9500),
                "a hold time of 9.5s is not possible: whole seconds from 3 to 65535, or 0 for none",
            ),
            (
                &|c| c.connect_retry = Duration::ZERO,
                "connect-retry of 0ns is not possible: it must be at least 10ms",
            ),
            (
                &|c| c.connect_retry_max = Duration::from_millis(500),
                "connect-retry-max of 500ms is not possible: it must be at least 1s",
            ),
            (
                &|c| (c.peer_as, c.peering) = (64512, Some(Peering::Peer)),
                "a BGP role is for neighbours of another AS (RFC 9234 §4.1); this one is of ours, AS 64512",
            ),
            (&|c| c.families = Families::NONE, "no address family is chosen; choose IPv4, IPv6 or both"),
        ];
        for (change, message) in cases {
            let mut config = good.clone();
            change(&mut config);
            assert_eq!(config.check().unwrap_err().to_string(), message);
        }
    }
}
