//! A new connection over a bound, and who makes room for it.
//!
//! What is over a bound is closed, but a new connection rather takes the place of one that idles, so that its query is
//! answered: a server short of resources may close idle connections, not those whose answers are outstanding (RFC 7766
//! §6.1, §6.2.3). Who gives way, among the connections of the thread to which the new one came:
//!
//! | the bound that is reached | who gives way |
//! |---|---|
//! | of its address | the connection of this address that has idled longest |
//! | of its network | the connection of this network that has idled longest |
//! | of all | the connection that has idled longest of the network of which most idle, among equals of the one that has been silent longest; if that network has no more open connections than the newcomer's own, one of its own |
//!
//! So whoever opens many gives way first, and newcomers from a few networks cannot close everybody's connections. The
//! idle are found without a search (module `table`); then the kernel is asked about [`LOOKED_AT`] of them at most. The
//! first with nothing outstanding is reset: it has been answered, or had its time to ask, and whoever is flooded keeps no
//! state of those that may never answer a FIN. One that has asked meanwhile is answered and stays. If each of the others
//! has octets on their way to the client, the first of those is closed in the ordinary way, so that they arrive. The
//! newcomer is closed if none of these was there.

use std::net::{IpAddr, TcpStream};

use pharos_netio::tcp::{abort, unacknowledged, unread};

use super::gate::Full;
use super::holder::Holder;
use super::{Connection, Desk, More};

/// Of those that may be closed in favour of a new connection so many are asked about that have idled longest: two calls
/// of the kernel each, a few microseconds in all.
const LOOKED_AT: usize = 16;

/// Whether a newcomer may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Granted,
    Refused,
}

/// What the kernel has of a connection that its client or we do not have yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outstanding {
    Nothing,
    /// Octets that the client has sent and nobody has read.
    Query,
    /// Octets that the client has not acknowledged.
    Reply,
}

impl Desk {
    /// Gives a newcomer the place of a connection that idles, as the module's documentation says.
    pub(super) fn displace(&mut self, full: Full, newcomer: IpAddr) -> Entry {
        let Some(holder) = self.who_gives_way(full, newcomer) else { return Entry::Refused };
        let mut answered_last = None;
        let mut next = self.table.longest_idle(holder);
        for _ in 0..LOOKED_AT {
            let Some(place) = next else { break };
            next = self.table.next_idle(holder, place);
            match self.outstanding(place) {
                Outstanding::Nothing => return self.hand_over(place, newcomer, abort),
                Outstanding::Reply => answered_last = answered_last.or(Some(place)),
                // It idled until a moment ago, and is no longer among those that do.
                Outstanding::Query => self.go_on(place, More::MayCome),
            }
        }
        match answered_last {
            // The kernel delivers what is under way, and ends the connection after that.
            Some(place) => self.hand_over(place, newcomer, drop),
            // One that asked may have ended.
            None => self.gate.enter(newcomer).map_or(Entry::Refused, |()| Entry::Granted),
        }
    }

    /// Whose connection makes room for one of `newcomer`.
    fn who_gives_way(&self, full: Full, newcomer: IpAddr) -> Option<Holder> {
        let own = Holder::network(newcomer);
        match full {
            Full::Address => Some(Holder::Address(newcomer)),
            Full::Network => Some(own),
            Full::All => {
                let largest = self.table.largest_network()?;
                let takes_from_others = self.gate.held_by(largest) > self.gate.held_by(own);
                Some(if takes_from_others { largest } else { own })
            }
        }
    }

    /// What is on its way of a connection that idles as far as we have seen.
    fn outstanding(&self, place: u32) -> Outstanding {
        let Some(Connection { stream, .. }) = self.table.get(place) else { return Outstanding::Nothing };
        // Of one that cannot even be asked nothing can be delivered.
        if unread(stream).is_ok_and(|octets| octets > 0) {
            Outstanding::Query
        } else if unacknowledged(stream).is_ok_and(|octets| octets > 0) {
            Outstanding::Reply
        } else {
            Outstanding::Nothing
        }
    }

    /// Gives the place of a connection to a newcomer, then ends it.
    fn hand_over(&mut self, place: u32, newcomer: IpAddr, end: impl FnOnce(TcpStream)) -> Entry {
        let Some(leaver) = self.table.get(place).map(|connection| connection.peer) else {
            return Entry::Refused;
        };
        if self.gate.hand_over(leaver, newcomer).is_err() {
            return Entry::Refused;
        }
        self.clerk.counters.displaced.add(1);
        if let Some(connection) = self.take_out(place) {
            end(connection.stream);
        }
        Entry::Granted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{ErrorKind, Read, Write};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use pharos_answer::{AnyPolicy, Context, Transport};
    use pharos_netio::Shares;
    use pharos_netio::poll::Events;
    use pharos_wire::hash::HashKey;
    use pharos_zonedb::{Published, ZoneSet};

    use super::super::table::Queue;
    use super::super::{EVENTS, Gate, Tcp};
    use super::*;
    use crate::config::{Precedence, TcpLimits};
    use crate::counters::Counters;
    use crate::origin::Origins;
    use crate::zones::Served;

    /// A thread's desk with a bound of two connections for an address, driven by hand, and its address.
    fn desk() -> (Desk, std::net::SocketAddr) {
        let listeners = pharos_netio::tcp::listen_group(
            "127.0.0.1:0".parse().unwrap(),
            1,
            pharos_netio::Steering::FlowHash,
            &Default::default(),
        );
        let listeners = listeners.unwrap();
        let address = listeners[0].local_addr().unwrap();
        let limits = TcpLimits { connections_per_address: 2, ..TcpLimits::default() };
        let served = Served { zones: ZoneSet::new(HashKey::new([7, 9]), []), slots: Box::default() };
        let tcp = Tcp {
            name: "tcp".into(),
            precedence: Precedence::Ordinary,
            shares: Arc::new(Shares::of(0)),
            listeners,
            gate: Arc::new(Gate::new(limits)),
            zones: Published::new(Arc::new(served)).reader(),
            context: Context::new(Transport::Tcp, 1232, "", AnyPolicy::default()),
            counters: Arc::new(Counters::new(&[address])),
            origins: Origins::Management,
            stop: Arc::default(),
            started: Instant::now(),
        };
        (tcp.desk().unwrap(), address)
    }

    /// A query whose identifier is this, for a zone that is not there.
    fn query(id: u8) -> Vec<u8> {
        let header = [0, 17, 0, id, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], &[0, 0, 6, 0, 1]].concat()
    }

    #[test]
    fn a_query_that_nobody_has_read_yet_is_answered_and_not_reset_by_a_newcomer() {
        let (mut desk, address) = desk();
        let mut open = VecDeque::new();
        for _ in 0..2 {
            open.push_back(TcpStream::connect(address).unwrap());
            while desk.gate.open() < open.len() as u64 {
                desk.accept(0);
            }
        }
        let mut longest_idle = open.pop_front().unwrap();
        longest_idle.write_all(&query(1)).unwrap();
        let place = desk.table.first(Queue::Idle).unwrap();
        while desk.outstanding(place) != Outstanding::Query {
            std::thread::yield_now();
        }
        let mut newcomer = TcpStream::connect(address).unwrap();
        newcomer.write_all(&query(2)).unwrap();
        while desk.clerk.counters.displaced.get() == 0 {
            desk.accept(0);
        }
        let mut events = Events::new(EVENTS);
        for (stream, id) in [(&mut longest_idle, 1), (&mut newcomer, 2)] {
            let mut reply = [0; 19];
            stream.set_nonblocking(true).unwrap();
            while stream.peek(&mut reply).is_err() {
                desk.turn(&mut events, Duration::ZERO);
            }
            stream.set_nonblocking(false).unwrap();
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply[3], id);
        }
        let error = open[0].read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it had nothing to ask");
    }
}
