//! How long an address has been silent, held against the others: what ends the excuse that overload is.
//!
//! Drops say that some queries of this node are lost, not whose. An address that is dead for good, because a filter
//! swallows its family or its socket is wedged, is as silent as one that is flooded, and a flood elsewhere on the node
//! would excuse it for as long as the flood lasts. What tells them apart is that in a flood somebody who asks often
//! enough is answered now and then; and where few are dropped, whoever asks.
//!
//! | no answer there, by this transport | overload | another address, by the same transport | datagrams of its family, by UDP | the excuse |
//! |---|---|---|---|---|
//! | for less than [`SILENT`] | any | any | any | stands |
//! | for longer | not bad: few are dropped | any | any | is over, until it is answered |
//! | for longer | bad: many are dropped | has been answered fewer than [`ANSWERS`] times meanwhile | any | stands: nobody does better, and all would leave |
//! | for longer | bad | that often or more | are taken and sent by hundreds a second | stands: its family does answer, and the flood is there |
//! | for longer | bad | that often or more | the same, and the responder counts that none of them come to its prefix | is over, until it is answered |
//! | for longer | bad | that often or more | are not, or nobody counts them | is over, until it is answered |
//!
//! A zone counts with its address: one that alone goes unanswered there is excused while anything is dropped.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::kind::{SignalId, Transport};
use crate::prefix::Family;
use crate::signal::Health;

/// So long an address may be silent in a flood that is another's: 120 probes by the defaults. Of an address that answers one
/// query in ten, all of so many are lost three times in a million. Shorter, and an address that the flood hits hardest
/// is taken for dead; longer, and a dead one draws queries for as long.
const SILENT: Duration = Duration::from_secs(30);

/// So many answers elsewhere, and none here, are no accident: where both are answered as rarely, it happens once in a thousand
/// times.
const ANSWERS: usize = 10;

/// The answers of one address by one transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// When the last one came; before the first, when it was begun to listen.
    last: Duration,
    /// When the last few came, the oldest first.
    recent: VecDeque<Duration>,
}

impl Heard {
    pub(super) fn from(now: Duration) -> Self {
        Self { last: now, recent: VecDeque::with_capacity(ANSWERS) }
    }

    pub(super) fn answer(&mut self, now: Duration) {
        self.last = now;
        if self.recent.len() == ANSWERS {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// When its silence has lasted too long.
    fn end(&self) -> Duration {
        self.last.saturating_add(SILENT)
    }

    /// Whether it was answered often after `moment`.
    fn often_after(&self, moment: Duration) -> bool {
        self.recent.len() == ANSWERS && self.recent.front().is_some_and(|first| *first > moment)
    }
}

impl Policy {
    /// Whether a probe, or a zone, is of an address that has been silent for longer than overload explains.
    pub(super) fn is_silent_beyond_excuse(&self, index: usize) -> bool {
        let Some((address, transport, own)) = self.heard_at(index) else { return false };
        let beside = |(id, heard): (&usize, &super::Heard)| match self.ids[*id] {
            SignalId::Probe { address: other, transport: by } => {
                by == transport && other != address && heard.often_after(own.last)
            }
            _ => false,
        };
        let alone = || !self.family_answers(address, transport) && self.heard.iter().any(beside);
        own.end() <= self.clock && (!self.is_bad(&SignalId::Overload) || alone())
    }

    /// When the silence of a probe, or of a zone's address, has lasted too long.
    pub(super) fn silent_end(&self, index: usize) -> Option<Duration> {
        let (_, _, own) = self.heard_at(index)?;
        Some(own.end()).filter(|end| *end > self.clock)
    }

    fn heard_at(&self, index: usize) -> Option<(SocketAddr, Transport, &Heard)> {
        let (SignalId::Probe { address, transport } | SignalId::Zone { address, transport, .. }) =
            self.ids[index]
        else {
            return None;
        };
        let probe = self.index.get(&SignalId::Probe { address, transport })?;
        Some((address, transport, self.heard.get(probe)?))
    }

    /// Whether this host is seen to answer queries of the family by UDP, and the address may be where they come to.
    fn family_answers(&self, address: SocketAddr, transport: Transport) -> bool {
        let family = Family::of(address.ip());
        transport == Transport::Udp
            && self.health(&SignalId::Answers { family }) == Some(Health::Good)
            && !self.is_unasked(address)
    }

    /// Whether the responder counts that nobody but us asks at the prefix of this address: what the host counts of its family
    /// is another one's then.
    fn is_unasked(&self, address: SocketAddr) -> bool {
        self.ids.iter().any(|id| {
            matches!(id, SignalId::Traffic { prefix } if prefix.contains(address.ip())) && self.is_bad(id)
        })
    }
}
