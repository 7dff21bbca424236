//! The hash table of an image: one cache line holds the tags and offsets of ten nodes.
//!
//! ```text
//! | ten tags, 16 bits each | spill | ten node offsets, 32 bits each |   = 64 octets
//! ```
//!
//! A tag is 16 bits of the hash that the choice of the bucket does not use. A bucket that was full when one
//! more node came has its spill mark set, and the look-up goes on in the next bucket. At 3/4 full a miss
//! reads 1.05 lines on average and no node.

/// Nodes in one bucket.
const SLOTS: usize = 10;
/// Buckets are sized for 7.5 of their 10 slots: fuller ones spill too often, emptier ones waste memory.
const NODES_PER_TWO_BUCKETS: usize = 15;

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; SLOTS],
    spilled: u32,
    offsets: [u32; SLOTS],
}

/// Octets of a bucket, in memory and stored.
pub(crate) const BUCKET_OCTETS: usize = 64;

/// Tags in a word.
const LANES: usize = 4;

impl Bucket {
    /// A mask with a bit for each slot whose tag may be this one: all that are, and now and then one right behind such a
    /// slot, which the comparison of names sorts out. The bit of slot `4 * word + lane` is `16 * lane + word`.
    #[inline]
    fn candidates(&self, tag: u16) -> u64 {
        const EACH: u64 = 0x0001_0001_0001_0001;
        const HIGHEST: u64 = EACH << 15;
        let wanted = u64::from(tag) * EACH;
        let t = &self.tags;
        let four = |at: usize| {
            u64::from(t[at])
                | u64::from(t[at + 1]) << 16
                | u64::from(t[at + 2]) << 32
                | u64::from(t[at + 3]) << 48
        };
        let two = u64::from(t[8]) | u64::from(t[9]) << 16;
        let equal = |word: u64| {
            // A lane becomes zero where the tags are equal; borrowing then sets its highest bit.
            let lanes = word ^ wanted;
            lanes.wrapping_sub(EACH) & !lanes & HIGHEST
        };
        equal(four(0)) >> 15 | equal(four(LANES)) >> 14 | (equal(two) & HIGHEST >> 32) >> 13
    }

    /// The slot of the lowest bit of a mask.
    #[inline]
    fn slot(mask: u64) -> usize {
        let bit = mask.trailing_zeros() as usize;
        LANES * (bit % 16) + bit / 16
    }
}

impl Bucket {
    fn to_octets(self) -> [u8; BUCKET_OCTETS] {
        let mut octets = [0; BUCKET_OCTETS];
        let (tags, rest) = octets.split_at_mut(2 * SLOTS);
        let (spilled, offsets) = rest.split_at_mut(4);
        for (room, tag) in tags.as_chunks_mut().0.iter_mut().zip(self.tags) {
            *room = tag.to_le_bytes();
        }
        spilled.copy_from_slice(&self.spilled.to_le_bytes());
        for (room, offset) in offsets.as_chunks_mut().0.iter_mut().zip(self.offsets) {
            *room = offset.to_le_bytes();
        }
        octets
    }

    #[inline]
    fn from_octets(octets: &[u8; BUCKET_OCTETS]) -> Self {
        let (tags, rest) = octets.split_at(2 * SLOTS);
        let (spilled, offsets) = rest.split_at(4);
        let mut bucket = Self::default();
        for (tag, stored) in bucket.tags.iter_mut().zip(tags.as_chunks().0) {
            *tag = u16::from_le_bytes(*stored);
        }
        for (offset, stored) in bucket.offsets.iter_mut().zip(offsets.as_chunks().0) {
            *offset = u32::from_le_bytes(*stored);
        }
        bucket.spilled = spilled.first_chunk().map_or(0, |stored| u32::from_le_bytes(*stored));
        bucket
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct TableReader {
    buckets: Vec<Bucket>,
}

impl TableReader {
    /// Where it will stand in memory, as addresses.
    pub(crate) fn place(&self) -> std::ops::Range<usize> {
        let start = self.buckets.as_ptr() as usize;
        start..start + self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Takes whole buckets, as they were written.
    pub(crate) fn extend(&mut self, octets: &[u8]) {
        self.buckets.extend(octets.as_chunks().0.iter().map(Bucket::from_octets));
    }

    pub(crate) fn finish(self) -> Table {
        Table { buckets: self.buckets.into_boxed_slice() }
    }
}

/// Maps hashes to node offsets; equality of names is the caller's check.
#[derive(Debug)]
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
}

impl Table {
    /// An empty table with room for `nodes`.
    pub(crate) fn with_room(nodes: usize) -> Self {
        Self { buckets: vec![Bucket::default(); buckets_for(nodes)].into_boxed_slice() }
    }

    /// Adds a node. The table was made with room for all, so a free slot exists.
    pub(crate) fn insert(&mut self, hash: u64, offset: u32) {
        let (mut index, tag) = (self.index(hash), tag(hash));
        for _ in 0..self.buckets.len() {
            let bucket = &mut self.buckets[index];
            if let Some(slot) = bucket.tags.iter().position(|&held| held == 0) {
                bucket.tags[slot] = tag;
                bucket.offsets[slot] = offset;
                return;
            }
            bucket.spilled = 1;
            index = (index + 1) % self.buckets.len();
        }
    }

    /// Has the node under `hash` that stands at `from` stand at `to`.
    pub(crate) fn moved(&mut self, hash: u64, from: u32, to: u32) {
        let (mut index, tag) = (self.index(hash), tag(hash));
        for _ in 0..self.buckets.len() {
            let bucket = &mut self.buckets[index];
            let slot = (0..SLOTS).find(|&slot| bucket.tags[slot] == tag && bucket.offsets[slot] == from);
            if let Some(slot) = slot {
                bucket.offsets[slot] = to;
                return;
            }
            index = (index + 1) % self.buckets.len();
        }
    }

    /// Offsets of all nodes, in the order of buckets.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u32> {
        let of = |bucket: &Bucket| bucket.tags.into_iter().zip(bucket.offsets);
        self.buckets.iter().flat_map(of).filter(|&(tag, _)| tag != 0).map(|(_, offset)| offset)
    }

    /// Whether a table made for `nodes` would be much smaller.
    pub(crate) fn is_roomy_for(&self, nodes: usize) -> bool {
        self.buckets.len() > buckets_for(nodes) * 5 / 4
    }

    /// The first offset under `hash` that `is_it` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (mut index, tag) = (self.index(hash), tag(hash));
        for _ in 0..self.buckets.len() {
            let bucket = self.buckets.get(index)?;
            let mut hits = bucket.candidates(tag);
            while hits != 0 {
                if let Some(&offset) = bucket.offsets.get(Bucket::slot(hits))
                    && is_it(offset)
                {
                    return Some(offset);
                }
                hits &= hits - 1;
            }
            if bucket.spilled == 0 {
                return None;
            }
            index = if index + 1 == self.buckets.len() { 0 } else { index + 1 };
        }
        None
    }

    /// Loads the line that a look-up of `hash` will need first, so that the wait overlaps with other work.
    #[inline]
    pub(crate) fn warm(&self, hash: u64) {
        core::hint::black_box(self.buckets.get(self.index(hash)).map(|bucket| bucket.spilled));
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Hands out each bucket as octets.
    pub(crate) fn write(&self, put: &mut impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        self.buckets.iter().try_for_each(|bucket| put(&bucket.to_octets()))
    }

    /// A table of so many buckets, to be made of stored ones.
    pub(crate) fn reader(buckets: usize) -> TableReader {
        TableReader { buckets: Vec::with_capacity(buckets) }
    }

    /// Octets of memory.
    pub(crate) fn octets(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Where it stands in memory, as addresses.
    pub(crate) fn place(&self) -> std::ops::Range<usize> {
        let buckets = self.buckets.as_ptr_range();
        buckets.start as usize..buckets.end as usize
    }

    /// Spreads the upper half of the hash over any number of buckets without a division.
    #[inline]
    fn index(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }
}

fn buckets_for(nodes: usize) -> usize {
    (nodes * 2).div_ceil(NODES_PER_TWO_BUCKETS).max(1)
}

/// The lower 16 bits; zero marks a free slot.
#[inline]
fn tag(hash: u64) -> u16 {
    (hash as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn all_that_was_put_in_is_found_even_where_buckets_spill() {
        let hash = |n: u64| (n / 25).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut table = Table::with_room(10_000);
        for n in 0..10_000u32 {
            table.insert(hash(n.into()), n);
        }
        for n in 0..10_000u32 {
            assert_eq!(table.find(hash(n.into()), |offset| offset == n), Some(n));
        }
        assert_eq!(table.find(hash(7), |_| false), None);
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(Table::with_room(0).find(42, |_| true), None);
    }
}
