//! An announce-only BGP-4 speaker's session with one neighbour: RFC 4271, with the multiprotocol extensions of RFC
//! 4760 for IPv4 and IPv6 unicast, IPv6 next hops for IPv4 (RFC 8950), four-octet AS numbers (RFC 6793), communities
//! (RFC 1997, 8092), route refresh (RFC 2918, 7313), roles (RFC 9234), shutdown texts (RFC 9003), the send hold timer
//! (RFC 9687), and RFC 7606's care for what arrives.
//!
//! The session is the lease on our routes: when it ends, for whatever reason, the neighbour forgets them. That is
//! why graceful restart is never offered: it would have the neighbour keep the routes of a dead node.
//!
//! # How a driver uses it
//!
//! The driver owns the socket. It calls [`Session::step`] with each [`Input`], carries out the [`Output`]s in order,
//! and sends [`Input::Tick`] no later than [`Session::next_deadline`]. Routes are set at any time with
//! [`Session::set_routes`], [`Session::announce`] and [`Session::withdraw`]: the session remembers what is wanted,
//! sends only the difference, and tells each new session everything, closed by End-of-RIB (RFC 4724 §2, which asks
//! for the marker even without graceful restart).
//!
//! There is one connection at a time, opened by us ([`Role::Active`]) or by the neighbour ([`Role::Passive`]), so
//! that one of ours and one of the neighbour's never collide (RFC 4271 §6.8). A driver that accepts gives a connection to
//! the session while [`Session::accepts_connection`], and one that takes the place of another while
//! [`Session::yields_connection`], after [`Input::Superseded`]; it answers any other with [`Session::rejection`].
//!
//! # A change of the process
//!
//! [`Session::snapshot`] gives an established session as plain values, and [`Session::resume`] goes on from them in
//! another process that has the connection by then. The neighbour hears a KEEPALIVE, and no UPDATE.
//!
//! # Transitions
//!
//! "Pause" is Idle until a back-off has passed: connect-retry, doubled with each failure up to connect-retry-max, less
//! up to a quarter; a session that was established for `stable_after` makes it short again. A passive session has no
//! pause: wherever the table says pause, it goes to Active at once. "Refuse" is NOTIFICATION, close, pause.
//!
//! | state | input | actions | next |
//! |---|---|---|---|
//! | Idle (at rest or pause) | Start | active: connect | Connect |
//! | | | passive: nothing | Active |
//! | Idle (pause) | the pause has passed | connect | Connect |
//! | Idle | Connected | close | Idle |
//! | Connect | Connected | send OPEN | OpenSent |
//! | Connect | ConnectFailed | none | pause |
//! | Connect | 5 s or connect-retry have passed | close | pause |
//! | Active | Connected | send OPEN | OpenSent |
//! | OpenSent | OPEN, acceptable | send KEEPALIVE, start hold and keepalive timers | OpenConfirm |
//! | OpenSent | OPEN, not acceptable | refuse 2/x | pause |
//! | OpenSent | open-time has passed | refuse 4/0 | pause |
//! | OpenConfirm | KEEPALIVE | send all wanted routes, End-of-RIB | Established |
//! | Established | KEEPALIVE | restart the hold timer | Established |
//! | Established | UPDATE | restart the hold timer; discard or report; of those that are discarded a hundred a second are read | Established |
//! | Established | UPDATE that cannot be taken apart; where routes are reported, one in which prefixes cannot be found | refuse 3/x | pause |
//! | Established | ROUTE-REFRESH | send that family's routes again, between BoRR and EoRR if both speak RFC 7313 | Established |
//! | Established | ROUTE-REFRESH of a wrong length | refuse 7/1 or 1/2 | pause |
//! | Established | wanted routes change | send the difference | Established |
//! | OpenConfirm, Established | a third of the hold time since we last sent | send KEEPALIVE | same |
//! | OpenConfirm, Established | the hold time has passed in silence | refuse 4/0 | pause |
//! | OpenSent, OpenConfirm, Established | a header that is wrong | refuse 1/x | pause |
//! | OpenSent, OpenConfirm, Established | any other message but NOTIFICATION | refuse 5/1, 5/2, 5/3 | pause |
//! | OpenSent, OpenConfirm, Established | NOTIFICATION | close | pause |
//! | OpenSent, OpenConfirm, Established | Closed | none | pause |
//! | OpenSent, OpenConfirm, Established | nothing taken by the transport for send-hold-time | refuse 8/0 | pause |
//! | OpenSent, OpenConfirm, Established | PathDown | refuse 6/10 | pause |
//! | OpenSent, OpenConfirm | Superseded, in a passive session | refuse 6/7 | Active |
//! | OpenSent, OpenConfirm, Established | Stop | send Cease with the text, close | Idle, at rest |
//! | Connect | Stop | close | Idle, at rest |
//! | Active, Idle (pause) | Stop | none | Idle, at rest |
//!
//! Everything else changes nothing, and is counted in [`Counters::inputs_ignored`].
//!
//! Where this differs from the letter of RFC 4271 §8: a lost connection leads from OpenSent to the pause rather than
//! to Active, since an active session does not listen; the RFC's IdleHoldTimer (§8.1.1) is the pause; DelayOpen is
//! not used.

mod backoff;
mod codec;
mod config;
mod event;
mod notification;
mod rib;
mod session;

pub use config::{
    AS_TRANS, ConfigError, ExtendedNextHop, Peering, PeeringCheck, Received, Role, SessionConfig,
};
pub use event::{
    AsNumbers, AsPath, AsSegment, Cause, Counters, Event, Fault, Input, Negotiated, Origin, Output,
    ReceivedRoute, RouteChange, RouteRefresh, State,
};
pub use notification::{Notification, Shutdown, ShutdownKind};
pub use session::{Farewell, Session, Snapshot};
