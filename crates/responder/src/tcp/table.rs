//! The connections of one thread, and which of them has waited longest: of all, of an address, and of a network.
//!
//! Each stands in one of two queues, in the order in which its time began: in that of the idle, or in that of those
//! whose query or reply is under way. All in one queue may wait equally long, so only the first of each can be late,
//! whatever the bound is at the moment: there is no timer to set, move or cancel, and a query costs a few links. The
//! idle stand in the queues of their address and of their network as well (module `groups`), so that whoever has to
//! give way is found without a search, however many others idle.

use std::net::IpAddr;

use super::groups::Groups;
use super::holder::Holder;
use super::list::{Links, List, NONE};

/// Why a connection waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queue {
    /// For the next query.
    Idle,
    /// For the rest of a query, or for a client that does not read.
    Busy,
}

/// Places for values, each in a queue.
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    /// Places without a value.
    free: Vec<u32>,
    queues: [List; 2],
    groups: Groups,
}

struct Entry<T> {
    value: Option<T>,
    queue: Queue,
    links: Links,
    address: Member,
    network: Member,
}

/// Membership of a group.
#[derive(Clone, Copy)]
struct Member {
    group: u32,
    /// Its neighbours among the group's idle ones.
    links: Links,
}

impl Member {
    const OF_NONE: Self = Self { group: NONE, links: Links::LOOSE };
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), queues: [List::EMPTY; 2], groups: Groups::default() }
    }
}

impl<T> Table<T> {
    /// Takes a value of this address in, last in its queue, and says at which place.
    pub(crate) fn insert(&mut self, value: T, address: IpAddr, queue: Queue) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            let place = u32::try_from(self.entries.len()).ok().filter(|&place| place != NONE);
            let none = Member::OF_NONE;
            let entry = Entry { value: None, queue, links: Links::LOOSE, address: none, network: none };
            self.entries.push(entry);
            place.expect("a process has fewer descriptors than 2^32")
        });
        let [address, network] = [Holder::Address(address), Holder::network(address)]
            .map(|holder| Member { group: self.groups.join(holder), links: Links::LOOSE });
        let entry = self.entry(place);
        (entry.value, entry.address, entry.network) = (Some(value), address, network);
        self.append(place, queue);
        place
    }

    /// The value at a place, if there is one.
    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        self.entries.get(place as usize)?.value.as_ref()
    }

    /// The same, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.entries.get_mut(place as usize)?.value.as_mut()
    }

    /// Takes a value out; its place is given to another.
    pub(crate) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.entries.get_mut(place as usize)?.value.take()?;
        self.unlink(place);
        let Entry { address, network, .. } = *self.entry(place);
        self.groups.leave(address.group);
        self.groups.leave(network.group);
        self.free.push(place);
        Some(value)
    }

    /// Makes a value that is there the last of a queue: its time begins now.
    #[inline]
    pub(crate) fn requeue(&mut self, place: u32, queue: Queue) {
        if self.queues[queue as usize].last() == Some(place) {
            return;
        }
        let Entry { queue: before, address, network, .. } = *self.entry(place);
        if queue != before {
            self.unlink(place);
            self.append(place, queue);
            return;
        }
        self.queues[queue as usize].move_last(&mut self.entries, place, in_queue);
        if queue == Queue::Idle {
            // Mostly the last of its address and of its network already, and then neither is looked at.
            if address.links.next().is_some() {
                self.groups.at(address.group).queue.move_last(&mut self.entries, place, in_address);
            }
            if network.links.next().is_some() {
                self.groups.at(network.group).queue.move_last(&mut self.entries, place, in_network);
            }
            self.groups.is_heard(network.group);
        }
    }

    /// The place that has waited longest.
    #[inline]
    pub(crate) fn first(&self, queue: Queue) -> Option<u32> {
        self.queues[queue as usize].first()
    }

    /// The place of a holder that has idled longest.
    pub(crate) fn longest_idle(&self, holder: Holder) -> Option<u32> {
        self.groups.longest_idle(holder)
    }

    /// That which has idled longest after this one, of the same holder.
    pub(crate) fn next_idle(&self, holder: Holder, place: u32) -> Option<u32> {
        let entry = self.entries.get(place as usize)?;
        match holder {
            Holder::Address(_) => entry.address.links.next(),
            Holder::Network(_) => entry.network.links.next(),
        }
    }

    /// The network of which most idle; among equals the one that has been silent longest.
    pub(crate) fn largest_network(&self) -> Option<Holder> {
        self.groups.largest()
    }

    fn append(&mut self, place: u32, queue: Queue) {
        self.queues[queue as usize].append(&mut self.entries, place, in_queue);
        let entry = self.entry(place);
        entry.queue = queue;
        let (address, network) = (entry.address.group, entry.network.group);
        if queue == Queue::Idle {
            self.groups.at(address).queue.append(&mut self.entries, place, in_address);
            self.groups.at(network).queue.append(&mut self.entries, place, in_network);
            self.groups.begins_to_idle(address);
            self.groups.begins_to_idle(network);
        }
    }

    fn unlink(&mut self, place: u32) {
        let Entry { queue, address, network, .. } = *self.entry(place);
        self.queues[queue as usize].unlink(&mut self.entries, place, in_queue);
        if queue == Queue::Idle {
            self.groups.at(address.group).queue.unlink(&mut self.entries, place, in_address);
            self.groups.at(network.group).queue.unlink(&mut self.entries, place, in_network);
            self.groups.ends_to_idle(address.group);
            self.groups.ends_to_idle(network.group);
        }
    }

    fn entry(&mut self, place: u32) -> &mut Entry<T> {
        // Places come from `insert` alone, and entries are never taken away.
        &mut self.entries[place as usize]
    }
}

fn in_queue<T>(entry: &mut Entry<T>) -> &mut Links {
    &mut entry.links
}

fn in_address<T>(entry: &mut Entry<T>) -> &mut Links {
    &mut entry.address.links
}

fn in_network<T>(entry: &mut Entry<T>) -> &mut Links {
    &mut entry.network.links
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// All of a queue, from the one that has waited longest.
    fn queue(table: &Table<u32>, queue: Queue) -> Vec<u32> {
        let places =
            std::iter::successors(table.first(queue), |&place| table.entries[place as usize].links.next());
        places.map(|place| *table.get(place).unwrap()).collect()
    }

    /// All of a holder that idle, from the one that has waited longest.
    fn idle(table: &Table<u32>, holder: Holder) -> Vec<u32> {
        let places =
            std::iter::successors(table.longest_idle(holder), |&place| table.next_idle(holder, place));
        places.map(|place| *table.get(place).unwrap()).collect()
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0xc000_0200 + number).into())
    }

    #[test]
    fn values_keep_the_order_in_which_their_time_began() {
        let mut table = Table::default();
        let [a, b, c] = [1, 2, 3].map(|value| table.insert(value, address(value % 2), Queue::Idle));
        table.requeue(a, Queue::Idle);
        assert_eq!(queue(&table, Queue::Idle), [2, 3, 1]);
        assert_eq!(idle(&table, Holder::Address(address(1))), [3, 1]);
        assert_eq!(idle(&table, Holder::network(address(0))), [2, 3, 1]);
        table.requeue(c, Queue::Busy);
        table.requeue(b, Queue::Busy);
        assert_eq!((queue(&table, Queue::Idle), queue(&table, Queue::Busy)), (vec![1], vec![3, 2]));
        assert_eq!(idle(&table, Holder::Address(address(0))), [] as [u32; 0]);
        assert_eq!(table.remove(c), Some(3));
        assert_eq!((table.remove(c), table.get(c)), (None, None));
        assert_eq!(table.first(Queue::Busy), Some(b));
        assert_eq!(table.insert(4, address(1), Queue::Busy), c, "a free place is taken again");
    }

    #[test]
    fn of_networks_with_as_many_idle_connections_that_is_first_which_has_been_silent_longest() {
        let mut table = Table::default();
        let [one, two, three] = [0, 256, 512].map(address);
        let [a, b, _] = [one, two, three].map(|address| table.insert(0, address, Queue::Idle));
        assert_eq!(table.largest_network(), Some(Holder::network(one)));
        table.requeue(a, Queue::Idle);
        assert_eq!(table.largest_network(), Some(Holder::network(two)));
        let again = table.insert(0, one, Queue::Idle);
        assert_eq!(table.largest_network(), Some(Holder::network(one)), "two are more than one");
        table.remove(again);
        table.requeue(b, Queue::Busy);
        assert_eq!(table.largest_network(), Some(Holder::network(three)));
    }

    #[test]
    fn whatever_comes_and_goes_all_is_as_in_a_naive_model() {
        let mut table = Table::default();
        // Value, address, queue, in the order in which their time began.
        let mut model: Vec<(u32, IpAddr, Queue)> = Vec::new();
        let mut places = HashMap::new();
        let mut state = 1_u32;
        for value in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let which = [Queue::Idle, Queue::Idle, Queue::Busy][state as usize % 3];
            let some = (!model.is_empty()).then(|| state as usize / 7 % model.len().max(1));
            match (state / 3 % 4, some) {
                (0, Some(some)) => {
                    let (old, ..) = model.remove(some);
                    assert_eq!(table.remove(places.remove(&old).unwrap()), Some(old));
                }
                (1 | 2, Some(some)) => {
                    let (old, address, _) = model.remove(some);
                    table.requeue(places[&old], which);
                    model.push((old, address, which));
                }
                _ if model.len() < 40 => {
                    // Seven networks, some of three addresses.
                    let address = address(state / 5 % 7 * 256 + state / 11 % 3);
                    places.insert(value, table.insert(value, address, which));
                    model.push((value, address, which));
                }
                _ => {}
            }
            if value % 50 == 0 {
                holds_the_same(&table, &model);
            }
        }
        assert!(table.entries.len() <= 40);
        for place in places.into_values() {
            table.remove(place);
        }
        assert!(table.groups.is_empty(), "nothing is remembered of who has left");
    }

    fn holds_the_same(table: &Table<u32>, model: &[(u32, IpAddr, Queue)]) {
        let of = |is_meant: &dyn Fn(&(u32, IpAddr, Queue)) -> bool| -> Vec<u32> {
            model.iter().filter(|entry| is_meant(entry)).map(|&(value, ..)| value).collect()
        };
        for which in [Queue::Idle, Queue::Busy] {
            assert_eq!(queue(table, which), of(&|&(_, _, queue)| queue == which));
        }
        let mut most = 0;
        for network in (0..7).map(|number| number * 256) {
            let holder = Holder::network(address(network));
            let all = of(&|&(_, of, queue)| queue == Queue::Idle && Holder::network(of) == holder);
            most = most.max(all.len());
            assert_eq!(idle(table, holder), all);
            for address in (network..network + 3).map(address) {
                let all = of(&|&(_, of, queue)| queue == Queue::Idle && of == address);
                assert_eq!(idle(table, Holder::Address(address)), all);
            }
        }
        let largest = table.largest_network().map_or(0, |holder| idle(table, holder).len());
        assert_eq!(largest, most);
    }
}
