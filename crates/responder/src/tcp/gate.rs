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

use super::holder::Holder;
use crate::config::TcpLimits;

/// Maps: so many that threads seldom want the same one.
const SHARDS: usize = 64;
/// Octets of begun queries and of replies that nobody reads, over all connections. A busy server has a few kilobytes
/// of them; without a bound, 4096 connections could make it keep 650 MB.
const HELD_OCTETS: u64 = 64 << 20;

/// The narrowest bound that forbids one more connection: whoever of those that it counts leaves makes room as to the
/// others, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// That of its address.
    Address,
    /// That of its network.
    Network,
    /// That of all.
    All,
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
        let network = Holder::network(address);
        let mut held = self.shard(network);
        self.has_room(&held, address)?;
        if self.open.fetch_add(1, Relaxed) >= self.limits.connections as u64 {
            self.open.fetch_sub(1, Relaxed);
            return Err(Full::All);
        }
        add(&mut held, Holder::Address(address));
        add(&mut held, network);
        Ok(())
    }

    /// Counts a connection as closed.
    pub(crate) fn leave(&self, address: IpAddr) {
        self.forget(address);
        self.open.fetch_sub(1, Relaxed);
    }

    /// Counts a connection as closed and one of `newcomer` in its place, which nobody else can take meanwhile; nothing
    /// changes if a bound forbids it.
    pub(crate) fn hand_over(&self, leaver: IpAddr, newcomer: IpAddr) -> Result<(), Full> {
        if leaver == newcomer {
            return Ok(());
        }
        let [old, new] = [leaver, newcomer].map(Holder::network);
        let mut held = self.shard(new);
        if old == new {
            if self.is_full(&held, Holder::Address(newcomer)) {
                return Err(Full::Address);
            }
            remove(&mut held, Holder::Address(leaver));
            add(&mut held, Holder::Address(newcomer));
        } else {
            self.has_room(&held, newcomer)?;
            add(&mut held, Holder::Address(newcomer));
            add(&mut held, new);
            drop(held);
            self.forget(leaver);
        }
        Ok(())
    }

    /// How many connections a network has open.
    pub(crate) fn held_by(&self, network: Holder) -> usize {
        self.shard(network).get(&network).copied().unwrap_or_default()
    }

    fn has_room(&self, held: &Held, address: IpAddr) -> Result<(), Full> {
        if self.is_full(held, Holder::Address(address)) {
            Err(Full::Address)
        } else if self.is_full(held, Holder::network(address)) {
            Err(Full::Network)
        } else {
            Ok(())
        }
    }

    fn is_full(&self, held: &Held, holder: Holder) -> bool {
        let bound = match holder {
            Holder::Address(_) => self.limits.connections_per_address,
            Holder::Network(_) => self.limits.connections_per_network,
        };
        held.get(&holder).is_some_and(|&open| open >= bound)
    }

    fn forget(&self, address: IpAddr) {
        let network = Holder::network(address);
        let mut held = self.shard(network);
        remove(&mut held, Holder::Address(address));
        remove(&mut held, network);
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

    fn shard(&self, network: Holder) -> MutexGuard<'_, Held> {
        let index = self.hasher.hash_one(network) as usize % SHARDS;
        // No step between lock and unlock can panic and leave a count half made.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(held: &mut Held, holder: Holder) {
    *held.entry(holder).or_default() += 1;
}

fn remove(held: &mut Held, holder: Holder) {
    match held.get_mut(&holder) {
        Some(open) if *open > 1 => *open -= 1,
        _ => drop(held.remove(&holder)),
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
    fn the_narrowest_bound_is_told_so_that_who_leaves_makes_room_as_to_all() {
        let [one, neighbour, stranger] =
            ["192.0.2.1", "192.0.2.2", "198.51.100.1"].map(|text| text.parse().unwrap());
        let gate = gate(2, 1, 2);
        gate.enter(one).unwrap();
        assert_eq!(gate.enter(one), Err(Full::Address));
        gate.enter(neighbour).unwrap();
        assert_eq!(gate.enter("192.0.2.3".parse().unwrap()), Err(Full::Network));
        assert_eq!(gate.enter(one), Err(Full::Address), "though the network is full and all are");
        assert_eq!(gate.enter(stranger), Err(Full::All));
        assert_eq!(gate.open(), 2);
    }

    #[test]
    fn a_place_is_handed_over_and_nobody_gets_between() {
        let [one, neighbour, stranger] =
            ["192.0.2.1", "192.0.2.2", "198.51.100.1"].map(|text| text.parse::<IpAddr>().unwrap());
        let counts = |gate: &Gate| {
            let held: Vec<Held> = gate.shards.iter().map(|shard| shard.lock().unwrap().clone()).collect();
            [one, neighbour, stranger]
                .map(|of| held.iter().find_map(|held| held.get(&Holder::Address(of))).copied().unwrap_or(0))
        };
        let gate = gate(2, 1, 2);
        gate.enter(one).unwrap();
        gate.enter(stranger).unwrap();
        assert_eq!(gate.hand_over(one, one), Ok(()));
        assert_eq!((gate.open(), counts(&gate)), (2, [1, 0, 1]));
        assert_eq!(gate.hand_over(one, neighbour), Ok(()));
        assert_eq!((gate.open(), counts(&gate)), (2, [0, 1, 1]));
        assert_eq!(gate.hand_over(neighbour, stranger), Err(Full::Address), "who has enough gets no more");
        assert_eq!((gate.open(), counts(&gate)), (2, [0, 1, 1]));
        assert_eq!(gate.hand_over(stranger, one), Ok(()));
        assert_eq!((gate.open(), counts(&gate)), (2, [1, 1, 0]));
        assert_eq!(gate.held_by(Holder::network(one)), 2);
        assert_eq!(gate.held_by(Holder::network(stranger)), 0);
        [one, neighbour].into_iter().for_each(|address| gate.leave(address));
        assert!(gate.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
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
