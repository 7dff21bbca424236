//! Sans-I/O protocol machines for the routing side of a Pharos node: an announce-only BGP-4 session
//! ([`bgp::Session`]), and single-hop BFD ([`bfd::Session`]).
//!
//! A machine here owns no socket, no clock and no randomness. The caller moves octets and time in by
//! `step(now, input, out)`, carries out what comes back, and calls again no later than `next_deadline()`.
//! `now` is monotonic time since an origin that the caller chose; time that goes backwards moves nothing.
//!
//! What this crate refuses to do: to decide *whether* a route should be announced (that is `pharos-policy`), to
//! open connections (that is the sidecar), and to be a router: it selects no routes, forwards none, and keeps
//! none that a neighbour sends. [`origin`] says what RPKI data make of our own.
//!
//! Callers: the sidecar's `bgp` announcer, and the route collector of the demo and the tests, which is the same
//! [`bgp::Session`] with [`bgp::Received::Report`].
#![forbid(unsafe_code)]

pub mod bfd;
pub mod bgp;
mod community;
mod jitter;
pub mod origin;
mod prefix;
mod route;

pub use community::{Community, CommunityError, LargeCommunity, LargeCommunityError};
pub use prefix::{Families, Family, Prefix, PrefixError};
pub use route::{MAX_COMMUNITIES, MAX_LARGE_COMMUNITIES, MAX_PREPENDS, Route, RouteError};
