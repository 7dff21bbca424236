//! The zones that a node serves at one moment: found by the longest apex that encloses a name.

use std::sync::Arc;

use pharos_wire::Name;
use pharos_wire::hash::{HashKey, HashedName};
use pharos_wire::name::Labels;

use crate::depths::Depths;
use crate::image::ZoneImage;

/// Zones whose names and places fit the first-level cache beside everything else.
const NARROW: usize = 32;

/// What is known of a configured zone.
#[derive(Clone, Debug)]
pub enum ZoneState {
    /// Good data answer.
    Live(Arc<ZoneImage>),
    /// There never were good data: names inside answer SERVFAIL, never REFUSED and never the parent's NXDOMAIN.
    NotLoaded,
}

/// One generation of all zones; parent, child and targets of aliases always belong together.
#[derive(Debug)]
pub struct ZoneSet {
    key: HashKey,
    zones: Vec<Zone>,
    /// The apexes in wire form and lower case, one behind the other: there may be a hundred thousand, and a look-up reads
    /// one of them.
    names: Vec<u8>,
    /// Open addressing: 32 bits of the apex' hash, and the zone's index plus one.
    slots: Box<[(u32, u32)]>,
    /// How many labels apexes have.
    depths: Depths,
    digest: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Zone {
    state: ZoneState,
    /// Where its apex begins among all names, and how long it is.
    name: u32,
    octets: u8,
}

/// Where a name belongs.
#[derive(Clone, Copy, Debug)]
pub struct Enclosing<'a> {
    /// Index of the zone in the set.
    pub zone: usize,
    /// The label of the name at which the zone's apex starts; equal apexes have 0.
    pub apex_label: usize,
    /// The zone's data.
    pub state: &'a ZoneState,
}

impl ZoneSet {
    /// A set of the given zones by their apexes in wire form, whose images must have been built with `key`. Of two zones
    /// with one name the first is found.
    pub fn new<'a>(
        key: HashKey,
        zones: impl IntoIterator<Item = (&'a [u8], ZoneState), IntoIter: ExactSizeIterator>,
    ) -> Self {
        let zones = zones.into_iter();
        let mut set = Self {
            key,
            zones: Vec::with_capacity(zones.len()),
            names: Vec::new(),
            slots: vec![(0u32, 0u32); (zones.len() * 2).next_power_of_two()].into_boxed_slice(),
            depths: Depths::default(),
            digest: None,
        };
        for (apex, state) in zones {
            let name = set.names.len() as u32;
            set.names.extend(apex.iter().map(u8::to_ascii_lowercase));
            set.zones.push(Zone { state, name, octets: apex.len() as u8 });
            set.depths.add(Labels::new(apex).count());
            let hash = key.name(apex).unwrap_or_default();
            let mask = set.slots.len() - 1;
            let mut at = hash as usize & mask;
            while set.slots[at].1 != 0 {
                at = (at + 1) & mask;
            }
            set.slots[at] = ((hash >> 32) as u32, set.zones.len() as u32);
        }
        set.names.shrink_to_fit();
        set
    }

    /// The same set, of whose data somebody made this digest.
    #[must_use]
    pub fn with_digest(self, digest: [u8; 32]) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// What tells its data from those of another set, if whoever made it said so.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }

    /// The key with which names must be hashed before they are looked up here.
    #[inline]
    pub fn key(&self) -> HashKey {
        self.key
    }

    /// Every configured zone, its apex in wire form and lower case, with its state, in the order of configuration.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = (&[u8], &ZoneState)> {
        self.zones.iter().map(|zone| (self.apex_of(zone), &zone.state))
    }

    /// The apex of the zone with this index, in wire form and lower case.
    #[inline]
    pub fn apex(&self, zone: usize) -> Option<&[u8]> {
        Some(self.apex_of(self.zones.get(zone)?))
    }

    /// The state of the zone with this index.
    #[inline]
    pub fn state(&self, zone: usize) -> Option<&ZoneState> {
        Some(&self.zones.get(zone)?.state)
    }

    #[inline]
    fn apex_of(&self, zone: &Zone) -> &[u8] {
        let begin = zone.name as usize;
        self.names.get(begin..begin + usize::from(zone.octets)).unwrap_or_default()
    }

    /// The zone with the longest apex that is a suffix of `name`, looking only at suffixes from label `from`
    /// on: 0 for the name itself, 1 to leave a zone of exactly this name out (the parent side of a cut).
    #[inline]
    pub fn enclosing(&self, name: &HashedName, from: usize) -> Option<Enclosing<'_>> {
        let labels = name.labels();
        for apex_label in from..=labels {
            if !self.depths.has(labels - apex_label) {
                continue;
            }
            if let Some((zone, state)) = self.find(name.suffix_hash(apex_label), name.suffix(apex_label)) {
                return Some(Enclosing { zone, apex_label, state });
            }
        }
        None
    }

    /// Whether there are so many zones that the way to one leads out of the nearest cache: a look-up of many names at
    /// once then gains by [`Self::warm_slot`] and [`Self::warm_zone`] for all of them first.
    #[inline]
    pub fn is_wide(&self) -> bool {
        self.zones.len() > NARROW
    }

    /// Loads the line at which the search for the zone that encloses `name` begins.
    #[inline]
    pub fn warm_slot(&self, name: &HashedName) {
        core::hint::black_box(self.first_slot(name).map(|slot| slot.1));
    }

    /// Loads what that search compares with, probably.
    #[inline]
    pub fn warm_zone(&self, name: &HashedName) {
        let index = self.first_slot(name).and_then(|&(_, index)| (index as usize).checked_sub(1));
        if let Some(zone) = index.and_then(|index| self.zones.get(index)) {
            core::hint::black_box(self.names.get(zone.name as usize).copied());
        }
    }

    /// The slot that is looked at first: that of the longest suffix for which there could be a zone.
    #[inline]
    fn first_slot(&self, name: &HashedName) -> Option<&(u32, u32)> {
        let labels = name.labels();
        let depth = self.depths.deepest(labels)?;
        let mask = self.slots.len() - 1;
        self.slots.get(name.suffix_hash(labels - depth) as usize & mask)
    }

    /// The zone with this very name.
    pub fn zone(&self, apex: &Name) -> Option<&ZoneState> {
        let apex = apex.to_folded();
        let hash = self.key.name(apex.as_wire()).ok()?;
        self.find(hash, apex.as_wire()).map(|(_, state)| state)
    }

    /// The zone whose name, in lower case, is `apex`.
    #[inline]
    fn find(&self, hash: u64, apex: &[u8]) -> Option<(usize, &ZoneState)> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        for _ in 0..self.slots.len() {
            let &(tag, index) = self.slots.get(at)?;
            let index = (index as usize).checked_sub(1)?;
            if tag == (hash >> 32) as u32 {
                let zone = self.zones.get(index)?;
                let is_it = usize::from(zone.octets) == apex.len()
                    && self.names.get(zone.name as usize..).is_some_and(|names| names.starts_with(apex));
                if is_it {
                    return Some((index, &zone.state));
                }
            }
            at = (at + 1) & mask;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey::new([3, 5]);

    fn set(names: &[&str]) -> ZoneSet {
        let names: Vec<Name> = names.iter().map(|name| Name::from_text(name).unwrap()).collect();
        ZoneSet::new(KEY, names.iter().map(|name| (name.as_wire(), ZoneState::NotLoaded)))
    }

    fn enclosing(set: &ZoneSet, name: &str, from: usize) -> Option<(usize, usize)> {
        let mut hashed = HashedName::default();
        hashed.set(Name::from_text(name).unwrap().as_wire()).unwrap();
        hashed.hash(KEY);
        set.enclosing(&hashed, from).map(|found| (found.zone, found.apex_label))
    }

    #[test]
    fn the_longest_apex_wins() {
        let set = set(&["example.", "Sub.Example.", "deep.a.b.example."]);
        assert_eq!(enclosing(&set, "www.sub.example.", 0), Some((1, 1)));
        assert_eq!(enclosing(&set, "a.b.example.", 0), Some((0, 2)));
        assert_eq!(enclosing(&set, "x.deep.a.b.example.", 0), Some((2, 1)));
        assert_eq!(enclosing(&set, "sub.example.", 0), Some((1, 0)));
        assert_eq!(enclosing(&set, "other.", 0), None);
    }

    #[test]
    fn the_parent_side_leaves_the_zone_itself_out() {
        let set = set(&["example.", "sub.example."]);
        assert_eq!(enclosing(&set, "sub.example.", 1), Some((0, 1)));
        assert_eq!(enclosing(&set, "example.", 1), None);
    }

    #[test]
    fn the_slot_that_is_loaded_first_is_that_of_the_zone_whatever_the_name_s_depth() {
        let names: Vec<String> = (0..100).map(|n| format!("zone{n}.example.")).collect();
        let set = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(set.is_wide());
        for depth in [0, 1, 2, 120] {
            let mut hashed = HashedName::default();
            let name = "a.".repeat(depth) + "zone7.example.";
            hashed.set(Name::from_text(&name).unwrap().as_wire()).unwrap();
            hashed.hash(KEY);
            // Another zone may have the slot by its hash; then the search goes on from there.
            assert_ne!(set.first_slot(&hashed).unwrap().1, 0, "{depth}");
            set.warm_slot(&hashed);
            set.warm_zone(&hashed);
        }
        let mut longest = HashedName::default();
        longest.set(Name::from_text(&"a.".repeat(127)).unwrap().as_wire()).unwrap();
        longest.hash(KEY);
        set.warm_slot(&longest);
        let mut root = HashedName::default();
        root.set(b"\0").unwrap();
        root.hash(KEY);
        assert!(set.first_slot(&root).is_none());
    }

    #[test]
    fn the_root_encloses_everything() {
        let set = set(&["."]);
        assert_eq!(enclosing(&set, "a.b.c.", 0), Some((0, 3)));
        assert_eq!(enclosing(&set, ".", 0), Some((0, 0)));
    }

    #[test]
    fn no_zones_enclose_nothing() {
        assert_eq!(enclosing(&set(&[]), "a.", 0), None);
    }

    #[test]
    fn many_zones_are_all_found() {
        let names: Vec<String> = (0..5000).map(|n| format!("zone{n}.example.")).collect();
        let set = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for (index, name) in names.iter().enumerate() {
            assert_eq!(enclosing(&set, &format!("www.{name}"), 0), Some((index, 1)));
        }
    }
}
