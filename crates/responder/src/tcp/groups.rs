//! The connections of one thread by whom they count against, so that the one to give up is found at once.
//!
//! A group is an address or a network with a connection here: how many it has, and those that idle, in the order in
//! which their time began. Networks are ranked besides, by how many of theirs idle: each number has a list of its
//! networks, and since a number changes by one at a time, the largest is always known. Among networks with as many
//! that one is first which has been silent longest. So whatever changes costs a few links, and so does finding who is
//! to give way; only a connection that comes or goes costs a look into a map.

use std::collections::HashMap;

use super::holder::Holder;
use super::list::{Links, List, NONE};

/// Groups at places that their members remember.
pub(super) struct Groups {
    places: HashMap<Holder, u32>,
    groups: Vec<Group>,
    /// Places without a group.
    free: Vec<u32>,
    /// Networks by the number of their idle connections.
    ranks: Vec<List>,
    /// The largest number that a network has.
    most: usize,
}

/// One address or network.
pub(super) struct Group {
    holder: Holder,
    members: u32,
    /// How many idle.
    idle: usize,
    /// Those, by their places in the table.
    pub(super) queue: List,
    rank: Links,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            groups: Vec::new(),
            free: Vec::new(),
            ranks: vec![List::EMPTY],
            most: 0,
        }
    }
}

impl Groups {
    /// Counts a connection as one of this holder's, and says at which place its group is.
    pub(super) fn join(&mut self, holder: Holder) -> u32 {
        if let Some(&place) = self.places.get(&holder) {
            self.at(place).members += 1;
            return place;
        }
        let group = Group { holder, members: 1, idle: 0, queue: List::EMPTY, rank: Links::LOOSE };
        let place = match self.free.pop() {
            Some(place) => {
                *self.at(place) = group;
                place
            }
            None => {
                let place = u32::try_from(self.groups.len()).ok().filter(|&place| place != NONE);
                self.groups.push(group);
                place.expect("there are no more groups than connections, twice")
            }
        };
        self.places.insert(holder, place);
        self.rank(place, 0);
        place
    }

    /// Counts a connection that does not idle as gone.
    pub(super) fn leave(&mut self, place: u32) {
        let group = self.at(place);
        group.members -= 1;
        if group.members == 0 {
            let holder = group.holder;
            self.unrank(place);
            self.places.remove(&holder);
            self.free.push(place);
        }
    }

    /// The group at a place.
    pub(super) fn at(&mut self, place: u32) -> &mut Group {
        // Places come from `join` alone, and groups are never taken away.
        &mut self.groups[place as usize]
    }

    /// The connection of a holder that has idled longest.
    pub(super) fn longest_idle(&self, holder: Holder) -> Option<u32> {
        self.groups.get(*self.places.get(&holder)? as usize)?.queue.first()
    }

    /// The network with the most idle connections, if one idles at all.
    pub(super) fn largest(&self) -> Option<Holder> {
        let place = self.ranks.get(self.most).filter(|_| self.most > 0)?.first()?;
        Some(self.groups.get(place as usize)?.holder)
    }

    /// One connection more of a group idles.
    pub(super) fn begins_to_idle(&mut self, place: u32) {
        let idle = self.at(place).idle + 1;
        self.unrank(place);
        self.rank(place, idle);
    }

    /// One connection less of a group idles.
    pub(super) fn ends_to_idle(&mut self, place: u32) {
        let idle = self.at(place).idle - 1;
        self.unrank(place);
        self.rank(place, idle);
    }

    /// A connection that idles has just been answered.
    #[inline]
    pub(super) fn is_heard(&mut self, place: u32) {
        let Group { holder: Holder::Network(_), idle, .. } = *self.at(place) else { return };
        if let Some(list) = self.ranks.get_mut(idle) {
            list.move_last(&mut self.groups, place, |group| &mut group.rank);
        }
    }

    fn rank(&mut self, place: u32, idle: usize) {
        let group = self.at(place);
        group.idle = idle;
        if let Holder::Address(_) = group.holder {
            return;
        }
        if idle >= self.ranks.len() {
            self.ranks.resize(idle + 1, List::EMPTY);
        }
        self.ranks[idle].append(&mut self.groups, place, |group| &mut group.rank);
        self.most = self.most.max(idle);
        // The one that was there alone has moved by one, or gone from zero.
        if self.most > idle && self.ranks[self.most].first().is_none() {
            self.most -= 1;
        }
    }

    fn unrank(&mut self, place: u32) {
        let Group { holder: Holder::Network(_), idle, .. } = *self.at(place) else { return };
        self.ranks[idle].unlink(&mut self.groups, place, |group| &mut group.rank);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let all_free = self.free.len() == self.groups.len();
        self.places.is_empty() && all_free && self.ranks.iter().all(|list| list.first().is_none())
    }
}
