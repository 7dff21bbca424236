//! Lists whose links stand in what they link: places of a slice, each of which may stand in several lists at once.
//!
//! Taking out of the middle costs as much as appending, and nothing is allocated. Who calls says which links of a
//! place are meant, always the same for one list.

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

/// The neighbours of a place in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    before: u32,
    next: u32,
}

impl Links {
    /// Those of a place that stands alone, or in no list.
    pub(crate) const LOOSE: Self = Self { before: NONE, next: NONE };

    /// The place behind, if this one is not the last.
    pub(crate) fn next(self) -> Option<u32> {
        some(self.next)
    }
}

/// The ends of one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { first: NONE, last: NONE };

    pub(crate) fn first(self) -> Option<u32> {
        some(self.first)
    }

    pub(crate) fn last(self) -> Option<u32> {
        some(self.last)
    }

    /// Makes a place that is not in this list its last.
    pub(crate) fn append<E>(&mut self, all: &mut [E], place: u32, links: fn(&mut E) -> &mut Links) {
        let last = std::mem::replace(&mut self.last, place);
        *at(all, place, links) = Links { before: last, next: NONE };
        match last {
            NONE => self.first = place,
            last => at(all, last, links).next = place,
        }
    }

    /// Takes a place that is in this list out of it.
    pub(crate) fn unlink<E>(&mut self, all: &mut [E], place: u32, links: fn(&mut E) -> &mut Links) {
        let Links { before, next } = std::mem::replace(at(all, place, links), Links::LOOSE);
        match before {
            NONE => self.first = next,
            before => at(all, before, links).next = next,
        }
        match next {
            NONE => self.last = before,
            next => at(all, next, links).before = before,
        }
    }

    /// Makes a place that is in this list its last.
    #[inline]
    pub(crate) fn move_last<E>(&mut self, all: &mut [E], place: u32, links: fn(&mut E) -> &mut Links) {
        if at(all, place, links).next != NONE {
            self.unlink(all, place, links);
            self.append(all, place, links);
        }
    }
}

fn some(place: u32) -> Option<u32> {
    (place != NONE).then_some(place)
}

fn at<E>(all: &mut [E], place: u32, links: fn(&mut E) -> &mut Links) -> &mut Links {
    // Who owns the slice gives places of it alone, and never takes one away.
    links(&mut all[place as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a list, from its first; both directions agree.
    fn all(list: List, links: &[Links]) -> Vec<u32> {
        let mut places = Vec::new();
        let mut next = list.first();
        while let Some(place) = next {
            assert_eq!(some(links[place as usize].before), places.last().copied());
            places.push(place);
            next = links[place as usize].next();
        }
        assert_eq!(list.last(), places.last().copied());
        places
    }

    #[test]
    fn places_are_appended_taken_out_and_moved_to_the_end() {
        let mut links = [Links::LOOSE; 4];
        let mut list = List::EMPTY;
        for place in 0..4 {
            list.append(&mut links, place, |links| links);
        }
        assert_eq!(all(list, &links), [0, 1, 2, 3]);
        list.move_last(&mut links, 1, |links| links);
        list.move_last(&mut links, 1, |links| links);
        assert_eq!(all(list, &links), [0, 2, 3, 1]);
        list.unlink(&mut links, 0, |links| links);
        list.unlink(&mut links, 3, |links| links);
        assert_eq!(all(list, &links), [2, 1]);
        list.unlink(&mut links, 1, |links| links);
        list.unlink(&mut links, 2, |links| links);
        assert_eq!(all(list, &links), [] as [u32; 0]);
    }
}
