//! What happened at a queue, by kind, counted by its worker and read by whoever scrapes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that happens to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A datagram came and went to the worker.
    Received,
    /// A reply was given to the kernel.
    Sent,
    /// The frame held no whole datagram.
    Malformed,
    /// The source was no host's address.
    BadSource,
    /// A turn at which no frame was free for replies, so that queries stayed in the ring.
    NoReplyFrame,
    /// The kernel had no room for replies that are in the ring; they are sent later.
    TxAgain,
    /// The device had no room for a reply, and it is lost (EBUSY).
    TxBusy,
    /// The kernel did not send for another reason, such as an interface that is down; the replies stay in the ring.
    TxFailed,
    /// The kernel dropped a packet that did not fit its frame, or for which no frame was there.
    RxDropped,
    /// The kernel dropped a packet since the RX ring was full.
    RxRingFull,
    /// The kernel found no frame in the fill ring. A packet that was lost by it is among [`Self::RxDropped`].
    FillRingEmpty,
    /// The kernel refused a frame that was to be received into.
    RxInvalid,
    /// The kernel refused a frame that was to be sent.
    TxInvalid,
}

impl Event {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Received,
        Self::Sent,
        Self::Malformed,
        Self::BadSource,
        Self::NoReplyFrame,
        Self::TxAgain,
        Self::TxBusy,
        Self::TxFailed,
        Self::RxDropped,
        Self::RxRingFull,
        Self::FillRingEmpty,
        Self::RxInvalid,
        Self::TxInvalid,
    ];

    /// The name used in metrics and in the status.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Malformed => "malformed",
            Self::BadSource => "bad_source",
            Self::NoReplyFrame => "no_reply_frame",
            Self::TxAgain => "tx_again",
            Self::TxBusy => "tx_busy",
            Self::TxFailed => "tx_failed",
            Self::RxDropped => "rx_dropped",
            Self::RxRingFull => "rx_ring_full",
            Self::FillRingEmpty => "fill_ring_empty",
            Self::RxInvalid => "rx_invalid",
            Self::TxInvalid => "tx_invalid",
        }
    }

    /// Whether a query or a reply was lost by it.
    pub const fn is_loss(self) -> bool {
        !matches!(
            self,
            Self::Received
                | Self::Sent
                | Self::NoReplyFrame
                | Self::TxAgain
                | Self::TxFailed
                | Self::FillRingEmpty
        )
    }
}

/// The counts of one queue. They outlive the queue, so that one which comes back goes on counting.
#[derive(Debug, Default)]
#[repr(align(128))] // no two workers write to one cache line or to its neighbour
pub struct QueueCounts([AtomicU64; Event::ALL.len()]);

impl QueueCounts {
    /// How often it happened.
    pub fn get(&self, event: Event) -> u64 {
        self.0[event as usize].load(Relaxed)
    }

    /// Queries and replies that were lost here.
    pub fn lost(&self) -> u64 {
        Event::ALL.into_iter().filter(|event| event.is_loss()).map(|event| self.get(event)).sum()
    }

    /// The writer is one thread, so no locked instruction is needed.
    #[inline]
    pub(super) fn add(&self, event: Event, more: u64) {
        let count = &self.0[event as usize];
        count.store(count.load(Relaxed) + more, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_a_count_and_a_name_of_its_own() {
        let counts = QueueCounts::default();
        for (number, event) in (1..).zip(Event::ALL) {
            counts.add(event, number);
        }
        for (number, event) in (1..).zip(Event::ALL) {
            assert_eq!(counts.get(event), number, "{event:?}");
            assert_eq!(Event::ALL.iter().filter(|other| other.label() == event.label()).count(), 1);
        }
        assert_eq!(counts.lost(), (1..=13).sum::<u64>() - 1 - 2 - 5 - 6 - 8 - 11);
    }
}
