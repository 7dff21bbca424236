//! What goes into a session and what comes out of it: inputs, outputs, and the events that a person or a log
//! wants to know.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::{ExtendedNextHop, Peering};
use super::notification::{Notification, Shutdown};
use crate::{Community, Families, Family, LargeCommunity, Prefix};

/// The states of RFC 4271 §8.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No connection and none wanted, or the pause before the next attempt.
    Idle,
    /// Waiting for our connection to complete.
    Connect,
    /// Waiting for the neighbour to connect (passive sessions only).
    Active,
    /// Our OPEN is sent; waiting for the neighbour's.
    OpenSent,
    /// Both OPENs agree; waiting for the first KEEPALIVE.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// The state's name as RFC 4271 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that happened to a session.
///
/// [`Input::Connected`], [`Input::ConnectFailed`], [`Input::Closed`], [`Input::Received`] and the two about
/// sending always speak of the connection that the session asked for or was given last. After
/// [`Output::Close`] the driver must not pass on anything more from the connection that it closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The operator or the start of the process wants the session.
    Start,
    /// A transport connection exists: the one asked for by [`Output::Connect`], or one that was accepted while
    /// [`super::Session::accepts_connection`].
    Connected,
    /// The connection asked for did not come about.
    ConnectFailed {
        /// The transport's reason, for people.
        why: &'a str,
    },
    /// The neighbour has opened another connection, while [`super::Session::yields_connection`]. The one before is given
    /// up; then [`Input::Connected`] speaks of the new one.
    Superseded,
    /// The connection ended without our doing.
    Closed {
        /// The transport's reason, for people ("connection reset", "end of stream").
        why: &'a str,
    },
    /// Octets arrived; a part of a message, or several, as the transport cut them.
    Received(&'a [u8]),
    /// The transport takes no more of what we sent; some waits. Repeating it changes nothing: the send hold timer
    /// (RFC 9687) runs from the first.
    SendBlocked,
    /// The transport has taken some of what waited, or all; the send hold timer stops. A driver that still has
    /// octets waiting says [`Input::SendBlocked`] again.
    SendProgress,
    /// Something else than BGP found that the path to the neighbour is dead: BFD, RFC 5882 §4.
    PathDown {
        /// What was found, for people.
        why: &'a str,
    },
    /// Time has passed; send it when [`super::Session::next_deadline`] is reached, or at any other time.
    Tick,
    /// The session must end, with a reason for the people at the other end.
    Stop(Shutdown),
}

/// What the driver must do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection to the neighbour, and answer with [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect,
    /// Write these octets: one or more whole messages.
    Send(Vec<u8>),
    /// Close the connection, or give up the attempt. What was sent before should still go out if it can without
    /// waiting long: it often holds the NOTIFICATION.
    Close,
    /// Tell whoever listens.
    Event(Event),
}

/// What a person, a log or a test may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session went from one state to another.
    StateChanged {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
    },
    /// The session is up; the wanted routes were sent just now.
    Established(Negotiated),
    /// The connection, or the attempt, is over; all routes that were exchanged are void.
    Down(Cause),
    /// The neighbour ended the session and said why.
    NotificationReceived(Notification),
    /// We ended the session and said why.
    NotificationSent {
        /// What was sent.
        notification: Notification,
        /// What exactly was wrong, in words for our own operator.
        detail: String,
    },
    /// The neighbour asked for our routes once more (RFC 2918), and got them.
    RefreshRequested(Family),
    /// The neighbour has sent all its routes of a family (RFC 4724 §2). Only with [`super::Received::Report`].
    EndOfRib(Family),
    /// The neighbour announced or withdrew a route. Only with [`super::Received::Report`].
    Route(RouteChange),
    /// Something was wrong, or not for us, and the session goes on.
    Tolerated(Fault),
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// The neighbour's AS number.
    pub peer_as: u32,
    /// The neighbour's BGP Identifier.
    pub peer_router_id: Ipv4Addr,
    /// The smaller of both hold times; zero if neither side watches.
    pub hold_time: Duration,
    /// The families that both offer.
    pub families: Families,
    /// How AS numbers are written on this session.
    pub as_numbers: AsNumbers,
    /// Whether the neighbour may ask for our routes again.
    pub route_refresh: RouteRefresh,
    /// Whether IPv4 routes may have an IPv6 next hop, RFC 8950.
    pub extended_next_hop: ExtendedNextHop,
    /// What the neighbour's AS says that it is to ours, RFC 9234.
    pub peer_role: Option<Peering>,
}

/// The width of AS numbers in AS_PATH, RFC 6793.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsNumbers {
    /// Both sides speak four octets.
    FourOctet,
    /// The neighbour is an old speaker: larger numbers go as AS_TRANS with AS4_PATH beside it.
    TwoOctet,
}

/// Whether ROUTE-REFRESH was offered by both sides, RFC 2918.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteRefresh {
    /// Both sides offered it with marks around what is repeated, RFC 7313.
    Enhanced,
    /// Both sides offered it.
    Offered,
    /// The neighbour did not.
    NotOffered,
}

/// Why a connection or an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// We were told to stop.
    Stopped(Shutdown),
    /// No connection came about.
    ConnectFailed(String),
    /// The neighbour did not answer our attempt to connect within this time.
    ConnectTimedOut(Duration),
    /// The connection ended under us.
    Closed(String),
    /// The neighbour ended the session.
    NotificationReceived(Notification),
    /// We ended the session because of what the neighbour did, or did not.
    NotificationSent {
        /// What was sent.
        notification: Notification,
        /// What exactly was wrong.
        detail: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(shutdown) => write!(f, "we stopped the session: {shutdown}"),
            Self::ConnectFailed(why) => write!(f, "no connection to the neighbour: {why}"),
            Self::ConnectTimedOut(after) => {
                write!(f, "the neighbour did not accept a connection within {after:?}")
            }
            Self::Closed(why) => write!(f, "the connection ended: {why}"),
            Self::NotificationReceived(n) => write!(f, "the neighbour ended the session: {n}"),
            Self::NotificationSent { notification, detail } => {
                write!(f, "we ended the session: {notification}: {detail}")
            }
        }
    }
}

/// A change in what the neighbour announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// A route was announced, or announced anew with other attributes.
    Announced(ReceivedRoute),
    /// A route was withdrawn, or counts as withdrawn because its attributes were broken (RFC 7606 §2).
    Withdrawn(Prefix),
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced(route) => write!(f, "announced {route}"),
            Self::Withdrawn(prefix) => write!(f, "withdrawn {prefix}"),
        }
    }
}

/// A route as the neighbour announced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRoute {
    /// The destination.
    pub prefix: Prefix,
    /// Where to send its packets; for IPv6 the global address.
    pub next_hop: IpAddr,
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, nearest AS first, merged with AS4_PATH where the neighbour is an old speaker.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; on iBGP only.
    pub local_pref: Option<u32>,
    /// Communities, RFC 1997, in the order received.
    pub communities: Vec<Community>,
    /// Large communities, RFC 8092, in the order received.
    pub large_communities: Vec<LargeCommunity>,
    /// ONLY_TO_CUSTOMER, RFC 9234: the AS that marked the route.
    pub only_to_customer: Option<u32>,
}

impl fmt::Display for ReceivedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {}, AS path {}", self.prefix, self.next_hop, self.as_path)?;
        if let Some(med) = self.med {
            write!(f, ", MED {med}")?;
        }
        if let Some(local_pref) = self.local_pref {
            write!(f, ", local preference {local_pref}")?;
        }
        for (i, community) in self.communities.iter().enumerate() {
            write!(f, "{}{community}", if i == 0 { ", communities " } else { " " })?;
        }
        for (i, community) in self.large_communities.iter().enumerate() {
            write!(f, "{}{community}", if i == 0 { ", large communities " } else { " " })?;
        }
        if let Some(asn) = self.only_to_customer {
            write!(f, ", only to customers says AS {asn}")?;
        }
        Ok(())
    }
}

/// ORIGIN, RFC 4271 §5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the origin AS's interior.
    Igp,
    /// Learned by EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// AS_PATH, RFC 4271 §5.1.2: segments, nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AsPath(pub Vec<AsSegment>);

/// A segment of an AS_PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsSegment {
    /// AS numbers in order, nearest first.
    Sequence(Vec<u32>),
    /// AS numbers without order, from aggregation.
    Set(Vec<u32>),
}

impl AsPath {
    /// The path as a plain list, sets unfolded.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|segment| match segment {
            AsSegment::Sequence(numbers) | AsSegment::Set(numbers) => numbers.iter().copied(),
        })
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(empty)");
        }
        for (i, segment) in self.0.iter().enumerate() {
            let (numbers, open, close) = match segment {
                AsSegment::Sequence(numbers) => (numbers, "", ""),
                AsSegment::Set(numbers) => (numbers, "{", "}"),
            };
            let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
            write!(f, "{}{open}{}{close}", if i == 0 { "" } else { " " }, words.join(" "))?;
        }
        Ok(())
    }
}

/// A fault of the neighbour that does not end the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An UPDATE with broken attributes: its routes count as withdrawn (RFC 7606 §2).
    TreatedAsWithdraw(String),
    /// An UPDATE with a broken attribute that decides nothing: it was left out (RFC 7606 §2).
    AttributeDiscarded(String),
    /// An UPDATE whose prefixes cannot be found, among routes that are discarded anyway.
    Unreadable(String),
    /// A message that is not for us.
    Ignored(String),
    /// A NOTIFICATION's text that is not what RFC 9003 allows; the session was ending anyway.
    ShutdownText(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TreatedAsWithdraw(what) => write!(f, "an UPDATE counts as a withdrawal (RFC 7606): {what}"),
            Self::AttributeDiscarded(what) => write!(f, "an attribute was left out (RFC 7606): {what}"),
            Self::Unreadable(what) => {
                write!(f, "an UPDATE cannot be read, and its routes are not used: {what}")
            }
            Self::Ignored(what) => write!(f, "ignored: {what}"),
            Self::ShutdownText(what) => write!(f, "the shutdown text cannot be read (RFC 9003): {what}"),
        }
    }
}

/// What a session has counted since it was made. Numbers wrap never in practice: 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Whole messages received.
    pub messages_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// UPDATEs received, End-of-RIB included.
    pub updates_received: u64,
    /// UPDATEs sent, End-of-RIB included.
    pub updates_sent: u64,
    /// UPDATEs with faults that RFC 7606 tolerates, among those that were read.
    pub updates_malformed: u64,
    /// UPDATEs that were not read beyond their lengths: many came at once, and nobody uses their routes.
    #[serde(default)]
    pub updates_unread: u64,
    /// Inputs that had no meaning in the state they came in.
    pub inputs_ignored: u64,
    /// Times that the session became Established.
    pub established: u64,
}
