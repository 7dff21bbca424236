//! Bidirectional forwarding detection: RFC 5880 in asynchronous mode, over one hop (RFC 5881), as a machine without
//! sockets. It tells within a second that the neighbour hears us no more, or we it; BGP's hold time takes nine.
//!
//! Not spoken: demand mode as the one who asks for it (a neighbour that does is obliged), the Echo function, and
//! authentication, whose place the TTL check of RFC 5881 §5 takes.
//!
//! # How a driver uses it
//!
//! The driver owns the socket. It checks the TTL (255, RFC 5881 §5), reads a [`Packet`], finds its session by
//! `your_discriminator`, or by the sender's address where that is absent (RFC 5880 §6.3), and gives it to
//! [`Session::step`]. It carries out the [`Output`]s in order and sends [`Input::Tick`] no later than
//! [`Session::next_deadline`]. After a pause of its own it hands over the packets that wait before it sends a tick, so
//! that a machine that was slow does not blame the path.
//!
//! # Transitions
//!
//! A session begins in Down, and sends from then on (the active role of RFC 5880 §6.1). What is sent after each change
//! is sent at once; otherwise once in each interval less up to a quarter (§6.8.7).
//!
//! | state | input | actions | next |
//! |---|---|---|---|
//! | Down | packet in Down | restart detection | Init |
//! | Down | packet in Init | restart detection, Poll with our true interval | Up |
//! | Down | packet in Up | restart detection | Down |
//! | Init | packet in Init or Up | restart detection, Poll with our true interval | Up |
//! | Init | packet in Down | restart detection | Init |
//! | Up | packet in Init or Up | restart detection | Up |
//! | Up | packet in Down | diagnostic 3 | Down |
//! | Init, Up | packet in AdminDown | diagnostic 3 | Down |
//! | Init, Up | nothing heard for the detection time | diagnostic 1, forget the neighbour's discriminator | Down |
//! | Down | nothing heard for the detection time | forget the neighbour's discriminator | Down |
//! | any but AdminDown | packet with Poll | answer with Final at once | by the rows above |
//! | any but AdminDown | packet with Final | our Poll is over | by the rows above |
//! | any | Stop | diagnostic 7, say so at once | AdminDown |
//! | AdminDown | any packet | none | AdminDown |
//!
//! Intervals. In any state but Up at least one second is sent (§6.8.3); in Up the greater of our interval and what the
//! neighbour takes (§6.8.2). Detection takes the neighbour's multiplier times the greater of what we take and what it
//! says it sends (§6.8.4). A process that takes a session over with another interval says so with Poll; until the Final it
//! sends at the shorter of both and waits by the longer (§6.8.3). A neighbour that takes none, or asks for demand mode while both are up, gets nothing but
//! answers.
//!
//! What a session going down means for routing is the caller's: [`Event::Changed`] says whether the neighbour's
//! operator took it down, which is no failure of the path (RFC 5882 §3.2).

mod config;
mod packet;
mod session;

pub use config::{ConfigError, SessionConfig};
pub use packet::{Demand, Diagnostic, Malformed, PACKET_OCTETS, Packet, Sequence, State};
pub use session::{Cause, Counters, Event, Input, Output, Poll, Session, Snapshot, Span};

/// The UDP port of single-hop BFD, RFC 5881 §4.
pub const PORT: u16 = 3784;
/// The ports that a session may send from, RFC 5881 §4.
pub const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;
/// The TTL of every packet, RFC 5881 §5: whoever sees less hears somebody beyond a router.
pub const TTL: u8 = 255;
