//! An established session as plain values, and a session that goes on from them: for a process that takes another's
//! place and keeps its connections.
//!
//! The neighbour must notice nothing. What was agreed, what it was told, and the part of a message that has arrived go
//! over; timers begin anew, since their neighbours' octets may wait in the socket. A session that is not established has
//! nothing worth keeping, and begins anew in the next process.
//!
//! Callers: the driver that owns the connection, on both sides of the change.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Inbox, Link, Phase, Session};
use crate::Route;
use crate::bgp::codec::{MAX_LEN, write};
use crate::bgp::config::{ConfigError, SessionConfig};
use crate::bgp::event::{Counters, Negotiated};
use crate::bgp::notification::{self, Notification};

/// An established session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What was agreed on.
    pub negotiated: Negotiated,
    /// What the neighbour was told: the adj-RIB-out.
    pub told: Vec<Route>,
    /// The part of a message that has arrived.
    pub partial: Vec<u8>,
    /// For how long the session has been established.
    pub age: Duration,
    /// For how long the transport has taken nothing, if it has not.
    pub blocked: Option<Duration>,
    /// What was counted.
    pub counters: Counters,
}

/// Why a session that another process has held is not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The neighbour is no longer in our configuration.
    Deconfigured,
    /// What was agreed on is no longer what we want: a new session shall follow.
    Reconfigured,
}

impl Session {
    /// What another process needs to go on with this session; nothing unless it is established.
    pub fn snapshot(&self, now: Duration) -> Option<Snapshot> {
        let Phase::Established(link) = self.phase else { return None };
        let since = |at: Duration| self.now.max(now).saturating_sub(at);
        Some(Snapshot {
            negotiated: link.negotiated,
            told: self.rib.told().cloned().collect(),
            partial: self.inbox.partial().to_vec(),
            age: since(self.since),
            blocked: self.blocked_since.map(since),
            counters: self.counters,
        })
    }

    /// A session that another process has held until now, over a connection that comes with it: Established, with what
    /// the neighbour was told, and nothing to say but a KEEPALIVE. What `config` offers must be what the session was made
    /// with; timers may differ. The neighbour gets a whole hold time anew.
    pub fn resume(config: SessionConfig, snapshot: Snapshot, now: Duration) -> Result<Self, ConfigError> {
        let Snapshot { negotiated, told, mut partial, age, blocked, counters } = snapshot;
        let mut session = Self::new(config, now)?;
        session.rib.set_told(told.iter().cloned());
        session.rib.set(told);
        // A part of a message is shorter than any message, whoever wrote the snapshot.
        partial.truncate(MAX_LEN);
        session.inbox = Inbox::resume(partial);
        session.counters = counters;
        session.since = now.saturating_sub(age);
        session.blocked_since = blocked.map(|for_so_long| now.saturating_sub(for_so_long));
        let link = session.heard(Link { negotiated, hold_until: None, keepalive_at: None });
        // Nothing was said while the processes changed.
        let keepalive_at = (!negotiated.hold_time.is_zero()).then_some(now);
        session.phase = Phase::Established(Link { keepalive_at, ..link });
        Ok(session)
    }

    /// A message for a connection whose session another process has held, and that nobody goes on with (RFC 4486 §4).
    pub fn farewell(why: Farewell) -> Vec<u8> {
        let subcode = match why {
            Farewell::Deconfigured => 3,
            Farewell::Reconfigured => 6,
        };
        write::notification(&Notification::new(notification::CEASE, subcode, []))
    }
}
