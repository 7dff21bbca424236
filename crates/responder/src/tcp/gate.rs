//! How many connections may be open, and how much they may make us remember: what all TCP threads of the same
//! addresses share.
//!
//! The sum is an atomic number. Connections by address and by network are counted in maps, each under a lock of its
//! own that is held for a few dozen nanoseconds when a connection comes or goes, and never for a query. An address and
//! its network share a map, so one lock serves both.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::TcpLimits;

/// Maps: so many that threads seldom want the same one.
const SHARDS: usize = 64;
/// Octets of begun queries and of replies that nobody reads, over all connections. A busy server has a few kilobytes
/// of them; without a bound, 4096 connections could make it keep 650 MB.
const HELD_OCTETS: u64 = 64 << 20;

/// Whom connections are counted against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Address(IpAddr),
    /// The network that one customer of an access provider or one small site has: /24 or /56.
    Network(IpAddr),
}

/// A bound that forbids one more connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// That of all.
    All,
    /// That of its network.
    Network,
    /// That of its address.
    Address,
}

impl Full {
    /// Whether one more of `newcomer` could come if one of `other` left.
    pub(crate) fn is_shared(self, newcomer: IpAddr, other: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Network => network(newcomer) == network(other),
            Self::Address => newcomer == other,
        }
    }
}

/// Connections by holder.
type Held = HashMap<Holder, usize>;

/// The bounds, and what is open.
pub(crate) struct Gate {
    limits: TcpLimits,
    open: AtomicU64,
    held_octets: AtomicU64,
    hasher: RandomState,
    shards: Box<[Mutex<Held>]>,
}

impl Gate {
    pub(crate) fn new(limits: TcpLimits) -> Self {
        Self {
            limits,
            open: AtomicU64::default(),
            held_octets: AtomicU64::default(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn limits(&self) -> &TcpLimits {
        &self.limits
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// How long a connection may be idle: all of it while half the server is free, a tenth when it is full.
    pub(crate) fn idle(&self) -> Duration {
        let share = self.open() as f64 / self.limits.connections.max(1) as f64;
        self.limits.idle.mul_f64((1.9 - 1.8 * share).clamp(0.1, 1.0))
    }

    /// Counts a connection of this address, if no bound forbids it; whoever entered must leave.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<(), Full> {
        let full = if self.open.fetch_add(1, Relaxed) < self.limits.connections as u64 {
            let network = network(address);
            let mut held = self.shard(network);
            let is_full = |holder, bound| held.get(&holder).is_some_and(|&open| open >= bound);
            if is_full(Holder::Address(address), self.limits.connections_per_address) {
                Full::Address
            } else if is_full(Holder::Network(network), self.limits.connections_per_network) {
                Full::Network
            } else {
                *held.entry(Holder::Address(address)).or_default() += 1;
                *held.entry(Holder::Network(network)).or_default() += 1;
                return Ok(());
            }
        } else {
            Full::All
        };
        self.open.fetch_sub(1, Relaxed);
        Err(full)
    }

    /// Counts a connection as closed.
    pub(crate) fn leave(&self, address: IpAddr) {
        let network = network(address);
        let mut held = self.shard(network);
        for holder in [Holder::Address(address), Holder::Network(network)] {
            match held.get_mut(&holder) {
                Some(open) if *open > 1 => *open -= 1,
                _ => drop(held.remove(&holder)),
            }
        }
        drop(held);
        self.open.fetch_sub(1, Relaxed);
    }

    /// Counts what a connection makes us remember, `before` and now.
    pub(crate) fn hold(&self, before: usize, now: usize) {
        // Wraps around where it becomes less, which is what a sum needs.
        self.held_octets.fetch_add((now as u64).wrapping_sub(before as u64), Relaxed);
    }

    /// Whether connections make us remember more than they may.
    pub(crate) fn is_overfull(&self) -> bool {
        self.held_octets.load(Relaxed) > HELD_OCTETS
    }

    fn shard(&self, network: IpAddr) -> MutexGuard<'_, Held> {
        let index = self.hasher.hash_one(network) as usize % SHARDS;
        // No step between lock and unlock can panic and leave a count half made.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & !0 << 8).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !0 << 72).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_address: usize, connections_per_network: usize) -> Gate {
        Gate::new(TcpLimits {
            connections,
            connections_per_address,
            connections_per_network,
            idle: Duration::from_secs(10),
            ..TcpLimits::default()
        })
    }

    fn enters(gate: &Gate, address: &str) -> bool {
        gate.enter(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn the_idle_time_shrinks_as_the_server_fills() {
        let gate = gate(100, 100, 100);
        let mut idle = Vec::new();
        for open in 0..=100 {
            assert_eq!(gate.open(), open);
            idle.push(gate.idle());
            enters(&gate, "192.0.2.1");
        }
        assert_eq!((idle[0], idle[50]), (Duration::from_secs(10), Duration::from_secs(10)));
        assert_eq!(idle[100], Duration::from_secs(1));
        assert!(idle[75] < Duration::from_secs(6));
    }

    #[test]
    fn an_address_a_network_and_all_have_a_bound_each() {
        let gate = gate(6, 2, 3);
        assert!(enters(&gate, "192.0.2.1") && enters(&gate, "192.0.2.1"));
        assert!(!enters(&gate, "192.0.2.1"), "its address is full");
        assert!(enters(&gate, "192.0.2.2"));
        assert!(!enters(&gate, "192.0.2.3"), "its network is full");
        assert!(enters(&gate, "192.0.3.3") && enters(&gate, "2001:db8::1"));
        assert!(enters(&gate, "2001:db8:0:ff::1"), "the network is a /56");
        assert!(!enters(&gate, "198.51.100.1"), "all is full");
        assert_eq!(gate.open(), 6);
    }

    #[test]
    fn it_is_told_whose_leaving_would_make_room() {
        let [one, neighbour, stranger] =
            ["192.0.2.1", "192.0.2.2", "198.51.100.1"].map(|text| text.parse().unwrap());
        let gate = gate(3, 1, 2);
        gate.enter(one).unwrap();
        assert_eq!(gate.enter(one), Err(Full::Address));
        gate.enter(neighbour).unwrap();
        assert_eq!(gate.enter("192.0.2.3".parse().unwrap()), Err(Full::Network));
        gate.enter(stranger).unwrap();
        assert_eq!(gate.enter("203.0.113.1".parse().unwrap()), Err(Full::All));
        assert!(Full::Address.is_shared(one, one) && !Full::Address.is_shared(one, neighbour));
        assert!(Full::Network.is_shared(one, neighbour) && !Full::Network.is_shared(one, stranger));
        assert!(Full::All.is_shared(one, stranger));
    }

    #[test]
    fn who_leaves_makes_room_and_nothing_is_remembered_of_it() {
        let gate = gate(2, 1, 2);
        for address in ["192.0.2.1", "2001:db8::1"] {
            assert!(enters(&gate, address) && !enters(&gate, address));
            gate.leave(address.parse().unwrap());
            assert!(enters(&gate, address));
            gate.leave(address.parse().unwrap());
        }
        assert_eq!(gate.open(), 0);
        assert!(gate.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn threads_share_the_bounds() {
        let gate = gate(1000, 50, 1000);
        let entered: usize = std::thread::scope(|scope| {
            let enter = || (0..100).filter(|_| enters(&gate, "192.0.2.1")).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((entered, gate.open()), (50, 50));
    }

    #[test]
    fn what_connections_hold_is_a_sum_with_a_bound() {
        let gate = gate(1, 1, 1);
        gate.hold(0, HELD_OCTETS as usize);
        assert!(!gate.is_overfull());
        gate.hold(10, 11);
        assert!(gate.is_overfull());
        gate.hold(HELD_OCTETS as usize, 0);
        assert!(!gate.is_overfull());
    }
}
