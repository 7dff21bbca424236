//! The connections of one thread, and which of them has waited longest.
//!
//! Each stands in one of two queues, in the order in which its time began: in that of the idle, or in that of those
//! whose query or reply is under way. All in one queue may wait equally long, so only the first of each can be late,
//! whatever the bound is at the moment: there is no timer to set, move or cancel, and a query costs a few links.

/// Why a connection waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queue {
    /// For the next query.
    Idle,
    /// For the rest of a query, or for a client that does not read.
    Busy,
}

/// No entry.
const NONE: u32 = u32::MAX;

/// Places for values, each in a queue.
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    /// The first place that is free; they are linked by `next`.
    free: u32,
    queues: [Ends; 2],
}

struct Entry<T> {
    value: Option<T>,
    queue: Queue,
    before: u32,
    next: u32,
}

#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: NONE, queues: [Ends { first: NONE, last: NONE }; 2] }
    }
}

impl<T> Table<T> {
    /// Takes a value in, last in its queue, and says at which place.
    pub(crate) fn insert(&mut self, value: T, queue: Queue) -> u32 {
        let place = match self.free {
            NONE => {
                let place = u32::try_from(self.entries.len()).ok().filter(|&place| place != NONE);
                self.entries.push(Entry { value: None, queue, before: NONE, next: NONE });
                place.expect("a process has fewer descriptors than 2^32")
            }
            place => {
                self.free = self.entry(place).next;
                place
            }
        };
        self.entry(place).value = Some(value);
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
        let free = std::mem::replace(&mut self.free, place);
        self.entry(place).next = free;
        Some(value)
    }

    /// Makes a value that is there the last of a queue: its time begins now.
    #[inline]
    pub(crate) fn requeue(&mut self, place: u32, queue: Queue) {
        if self.queues[queue as usize].last != place {
            self.unlink(place);
            self.append(place, queue);
        }
    }

    /// The place that has waited longest.
    #[inline]
    pub(crate) fn first(&self, queue: Queue) -> Option<u32> {
        let first = self.queues[queue as usize].first;
        (first != NONE).then_some(first)
    }

    /// That behind it in its queue.
    #[inline]
    pub(crate) fn next(&self, place: u32) -> Option<u32> {
        let entry = self.entries.get(place as usize).filter(|entry| entry.value.is_some())?;
        (entry.next != NONE).then_some(entry.next)
    }

    fn append(&mut self, place: u32, queue: Queue) {
        let last = std::mem::replace(&mut self.queues[queue as usize].last, place);
        let entry = self.entry(place);
        (entry.queue, entry.before, entry.next) = (queue, last, NONE);
        match last {
            NONE => self.queues[queue as usize].first = place,
            last => self.entry(last).next = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let &mut Entry { queue, before, next, .. } = self.entry(place);
        match before {
            NONE => self.queues[queue as usize].first = next,
            before => self.entry(before).next = next,
        }
        match next {
            NONE => self.queues[queue as usize].last = before,
            next => self.entry(next).before = before,
        }
    }

    fn entry(&mut self, place: u32) -> &mut Entry<T> {
        // Places come from `insert` alone, and entries are never taken away.
        &mut self.entries[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// All of a queue, from the one that has waited longest.
    fn queue(table: &mut Table<u32>, queue: Queue) -> Vec<u32> {
        let mut places = Vec::new();
        let mut place = table.queues[queue as usize].first;
        while place != NONE {
            assert_eq!(table.entry(place).before, places.last().copied().unwrap_or(NONE));
            places.push(place);
            place = table.entry(place).next;
        }
        assert_eq!(table.queues[queue as usize].last, places.last().copied().unwrap_or(NONE));
        places.iter().map(|&place| *table.get_mut(place).unwrap()).collect()
    }

    #[test]
    fn values_keep_the_order_in_which_their_time_began() {
        let mut table = Table::default();
        let [a, b, c] = [1, 2, 3].map(|value| table.insert(value, Queue::Idle));
        table.requeue(a, Queue::Idle);
        assert_eq!(queue(&mut table, Queue::Idle), [2, 3, 1]);
        table.requeue(c, Queue::Busy);
        table.requeue(b, Queue::Busy);
        assert_eq!((queue(&mut table, Queue::Idle), queue(&mut table, Queue::Busy)), (vec![1], vec![3, 2]));
        assert_eq!(table.first(Queue::Busy), Some(c));
        assert_eq!((table.next(c), table.next(b)), (Some(b), None));
        assert_eq!(table.remove(c), Some(3));
        assert_eq!((table.remove(c), table.get(c), table.next(c)), (None, None, None));
        assert_eq!(table.first(Queue::Busy), Some(b));
        assert_eq!(table.insert(4, Queue::Busy), c, "a free place is taken again");
    }

    #[test]
    fn whatever_comes_and_goes_the_queues_are_those_of_a_naive_model() {
        let mut table = Table::default();
        let mut model = [VecDeque::new(), VecDeque::new()];
        let mut places = std::collections::HashMap::new();
        let mut state = 1_u32;
        for value in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let which = [Queue::Idle, Queue::Busy][state as usize % 2];
            let mut known: Vec<u32> = places.keys().copied().collect();
            known.sort_unstable();
            let some = known.get(state as usize / 7 % known.len().max(1)).copied();
            match (state / 2 % 4, some) {
                (0, Some(old)) => {
                    table.remove(places.remove(&old).unwrap()).unwrap();
                    model.iter_mut().for_each(|queue| queue.retain(|&value| value != old));
                }
                (1 | 2, Some(old)) => {
                    table.requeue(places[&old], which);
                    model.iter_mut().for_each(|queue| queue.retain(|&value| value != old));
                    model[which as usize].push_back(old);
                }
                _ if places.len() < 40 => {
                    places.insert(value, table.insert(value, which));
                    model[which as usize].push_back(value);
                }
                _ => {}
            }
            if value % 50 == 0 {
                for which in [Queue::Idle, Queue::Busy] {
                    assert_eq!(queue(&mut table, which), Vec::from(model[which as usize].clone()));
                }
            }
        }
        assert!(table.entries.len() <= 40);
    }
}
