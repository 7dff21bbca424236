//! Counters with one writer each, summed when somebody scrapes.
//!
//! Each worker and each TCP thread own one [`Counters`], with a [`Tally`] for each origin of queries; a count is a
//! load and a store of a word that no other thread writes, so it needs no locked instruction. Readers may see a number
//! that is one batch old.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pharos_answer::{DropReason, Kind, Replied, Truncation, Verdict};
use pharos_netio::SendReport;
use pharos_wire::{Opcode, Rcode, Rtype};

use crate::origin::Origin;

/// A number that one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed) + more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// The IP version by which a query came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Zones with counts of their own; the queries of all others are one count, so that neither memory nor a scrape
/// grows with a hosting company's zones.
pub(crate) const ZONE_SLOTS: usize = 1000;

/// Query types that are counted by name; all others are one.
pub(crate) const QTYPES: [Rtype; 18] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::PTR,
    Rtype::MX,
    Rtype::TXT,
    Rtype::SRV,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::DNSKEY,
    Rtype::NSEC,
    Rtype::SVCB,
    Rtype::HTTPS,
    Rtype::AXFR,
    Rtype::IXFR,
    Rtype::ANY,
];
pub(crate) const OPCODES: [Opcode; 4] = [Opcode::QUERY, Opcode::NOTIFY, Opcode::UPDATE, Opcode(2)];
pub(crate) const RCODES: [Rcode; 9] = [
    Rcode::NOERROR,
    Rcode::FORMERR,
    Rcode::SERVFAIL,
    Rcode::NXDOMAIN,
    Rcode::NOTIMP,
    Rcode::REFUSED,
    Rcode::YXDOMAIN,
    Rcode::BADVERS,
    Rcode::BADCOOKIE,
];
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Answer, Kind::NoData, Kind::NxDomain, Kind::Referral, Kind::Chaos, Kind::Error];
/// Upper bounds of the classes of reply sizes, in octets.
pub(crate) const SIZES: [usize; 8] = [64, 128, 256, 512, 768, 1232, 4096, 65_535];

/// A count for each of `N` known values and one for all others.
#[derive(Debug)]
pub(crate) struct Classes<const N: usize> {
    known: [Count; N],
    other: Count,
}

impl<const N: usize> Default for Classes<N> {
    fn default() -> Self {
        Self { known: std::array::from_fn(|_| Count::default()), other: Count::default() }
    }
}

impl<const N: usize> Classes<N> {
    #[inline]
    fn add(&self, index: Option<usize>) {
        index.and_then(|index| self.known.get(index)).unwrap_or(&self.other).add(1);
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = u64> {
        self.known.iter().map(Count::get)
    }

    pub(crate) fn other(&self) -> u64 {
        self.other.get()
    }
}

/// Counts by zone.
#[derive(Debug)]
pub(crate) struct ZoneCounts(Box<[Count]>);

impl Default for ZoneCounts {
    fn default() -> Self {
        Self((0..=ZONE_SLOTS).map(|_| Count::default()).collect())
    }
}

impl ZoneCounts {
    #[inline]
    fn add(&self, slot: u16) {
        if let Some(count) = self.0.get(usize::from(slot)) {
            count.add(1);
        }
    }

    pub(crate) fn get(&self, slot: u16) -> u64 {
        self.0.get(usize::from(slot)).map_or(0, Count::get)
    }
}

/// A count that is allocated by itself, away from what other threads write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart(Count);

/// What one thread counts of the messages of one origin.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By the place of the address that was asked among those that the thread answers at: what the sidecar knows the
    /// traffic of a prefix by. It tells the family, too.
    pub(crate) received: Box<[Apart]>,
    /// Replies by the slot of the zone asked; the last is for zones without a slot.
    pub(crate) zones: ZoneCounts,
    pub(crate) opcodes: Classes<{ OPCODES.len() }>,
    pub(crate) qtypes: Classes<{ QTYPES.len() }>,
    pub(crate) rcodes: Classes<{ RCODES.len() }>,
    pub(crate) kinds: Classes<{ KINDS.len() }>,
    pub(crate) sizes: Classes<{ SIZES.len() }>,
    pub(crate) reply_octets: Count,
    pub(crate) truncated: Count,
    pub(crate) unanswered: [Count; DropReason::ALL.len()],
}

impl Tally {
    fn new(addresses: usize) -> Self {
        Self { received: (0..addresses).map(|_| Apart::default()).collect(), ..Self::default() }
    }

    /// Counts what became of one message to the address at this place.
    #[inline]
    pub(crate) fn verdict(&self, place: usize, slots: &[u16], verdict: &Verdict) {
        if let Some(received) = self.received.get(place) {
            received.0.add(1);
        }
        match verdict {
            Verdict::Reply(reply) => {
                self.reply(reply);
                if let Some(slot) = reply.zone.and_then(|zone| slots.get(zone)) {
                    self.zones.add(*slot);
                }
            }
            Verdict::Drop(reason) => self.unanswered[*reason as usize].add(1),
        }
    }

    #[inline]
    fn reply(&self, reply: &Replied) {
        self.opcodes.add(OPCODES.iter().position(|&opcode| opcode == reply.opcode));
        self.qtypes.add(QTYPES.iter().position(|&known| reply.qtype == Some(known)));
        self.rcodes.add(RCODES.iter().position(|&rcode| rcode == reply.rcode));
        self.kinds.add(KINDS.iter().position(|&kind| kind == reply.kind));
        self.sizes.add(SIZES.iter().position(|&bound| reply.len <= bound));
        self.reply_octets.add(reply.len as u64);
        if reply.truncation == Truncation::Cut {
            self.truncated.add(1);
        }
    }
}

/// What one thread counts.
#[derive(Debug, Default)]
#[repr(align(128))] // no two threads write to one cache line or to its neighbour
pub(crate) struct Counters {
    /// Where the thread answers.
    pub(crate) addresses: Box<[SocketAddr]>,
    tallies: [Tally; Origin::ALL.len()],
    pub(crate) send_no_room: Count,
    pub(crate) send_forbidden: Count,
    pub(crate) send_unreachable: Count,
    pub(crate) send_other: Count,
    pub(crate) receive_errors: Count,
    /// Datagrams that the kernel dropped before they were received, mostly for full buffers.
    pub(crate) socket_drops: Count,
    pub(crate) accepted: Count,
    pub(crate) turned_away: Count,
    pub(crate) displaced: Count,
    pub(crate) timed_out: Count,
    pub(crate) overfull: Count,
    heartbeat_ms: Count,
}

impl Counters {
    /// The counters of a thread that answers at these addresses.
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        let tallies = std::array::from_fn(|_| Tally::new(addresses.len()));
        Self { addresses: addresses.into(), tallies, ..Self::default() }
    }

    /// Messages of this origin by the address that they came to.
    pub(crate) fn by_address(&self, origin: Origin) -> impl Iterator<Item = (SocketAddr, u64)> {
        self.addresses.iter().copied().zip(self.of(origin).received.iter().map(|count| count.0.get()))
    }

    /// What is counted of messages of this origin.
    #[inline]
    pub(crate) fn of(&self, origin: Origin) -> &Tally {
        &self.tallies[origin as usize]
    }

    /// Counts replies that the kernel did not take.
    #[inline]
    pub(crate) fn sent(&self, report: &SendReport) {
        if report.dropped() > 0 {
            self.send_no_room.add(report.no_room as u64);
            self.send_forbidden.add(report.forbidden as u64);
            self.send_unreachable.add(report.unreachable as u64);
            self.send_other.add(report.other as u64);
        }
    }

    /// Says that the thread turns.
    #[inline]
    pub(crate) fn beat(&self, since_start: Duration) {
        self.heartbeat_ms.set(since_start.as_millis() as u64);
    }

    /// The last beat, in milliseconds since the start.
    pub(crate) fn last_beat_ms(&self) -> u64 {
        self.heartbeat_ms.get()
    }

    pub(crate) fn queries(&self) -> u64 {
        self.tallies.iter().flat_map(|tally| &*tally.received).map(|count| count.0.get()).sum()
    }

    pub(crate) fn drops(&self) -> u64 {
        self.unanswered().saturating_add(self.socket_drops.get())
    }

    /// Messages that the worker has done its part for: replies that were sent, and silence where that is the rule. Whoever
    /// is flooded with responses, which get no reply, works all the same.
    pub(crate) fn answered(&self) -> u64 {
        self.queries().saturating_sub(self.unsent())
    }

    /// Messages that were received and to which nothing was sent, for whatever reason.
    fn unanswered(&self) -> u64 {
        let by_rule = self.tallies.iter().flat_map(|tally| &tally.unanswered);
        by_rule.map(Count::get).sum::<u64>().saturating_add(self.unsent())
    }

    /// Replies that the kernel did not take.
    fn unsent(&self) -> u64 {
        let all = [&self.send_no_room, &self.send_forbidden, &self.send_unreachable, &self.send_other];
        all.into_iter().map(Count::get).sum()
    }
}

/// Milliseconds from a beat to now.
pub(crate) fn beat_age_ms(counters: &Counters, started: Instant) -> u64 {
    (started.elapsed().as_millis() as u64).saturating_sub(counters.last_beat_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_no_reply_by_rule_is_done_with_and_what_could_not_be_sent_is_not() {
        let counters = Counters::new(&["192.0.2.53:53".parse().unwrap()]);
        for reason in DropReason::ALL {
            counters.of(Origin::Client).verdict(0, &[], &Verdict::Drop(reason));
        }
        assert_eq!((counters.queries(), counters.answered(), counters.drops()), (2, 2, 2));
        counters.send_no_room.add(1);
        assert_eq!((counters.answered(), counters.drops()), (1, 3));
    }
}
