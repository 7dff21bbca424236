//! Sums that tell octets from damaged ones, at the speed of memory.
//!
//! Eight lanes each take one word in eight. What a word does to its lane can be undone, whatever follows: so a single
//! word that differs always shows, and what else differs shows but once in 2^64. It is no cryptographic digest.

/// Octets of all sums.
pub(crate) const SUMS_OCTETS: usize = LANES * 8;

const LANES: usize = 8;
/// Octets that are taken at once: a word for each lane.
const ROUND: usize = LANES * 8;
/// Odd, so that multiplying by it loses nothing; 2^64 divided by the golden ratio, so that it mixes.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sums in the making.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    lanes: [u64; LANES],
    /// Octets that wait for a whole round.
    held: [u8; ROUND],
    held_octets: usize,
    octets: u64,
}

impl Default for Sums {
    fn default() -> Self {
        // Lanes that begin alike would hide words that change places.
        let lanes = std::array::from_fn(|lane| (lane as u64 + 1).wrapping_mul(FACTOR));
        Self { lanes, held: [0; ROUND], held_octets: 0, octets: 0 }
    }
}

impl Sums {
    /// The sums of these octets.
    pub(crate) fn of(octets: &[u8]) -> [u8; SUMS_OCTETS] {
        let mut sums = Self::default();
        sums.update(octets);
        sums.finish()
    }

    /// Takes the next octets; in how many pieces all of them come makes no difference.
    pub(crate) fn update(&mut self, mut octets: &[u8]) {
        self.octets += octets.len() as u64;
        if self.held_octets > 0 {
            let (taken, rest) = octets.split_at(octets.len().min(ROUND - self.held_octets));
            self.held[self.held_octets..self.held_octets + taken.len()].copy_from_slice(taken);
            self.held_octets += taken.len();
            octets = rest;
            if self.held_octets < ROUND {
                return;
            }
            self.lanes = round(self.lanes, &self.held);
            self.held_octets = 0;
        }
        let (rounds, rest) = octets.as_chunks::<ROUND>();
        self.lanes = rounds.iter().fold(self.lanes, round);
        self.held[..rest.len()].copy_from_slice(rest);
        self.held_octets = rest.len();
    }

    /// What all octets together make.
    pub(crate) fn finish(mut self) -> [u8; SUMS_OCTETS] {
        self.held[self.held_octets..].fill(0);
        self.lanes = round(self.lanes, &self.held);
        let mut out = [0; SUMS_OCTETS];
        for (lane, room) in self.lanes.iter().zip(out.as_chunks_mut::<8>().0) {
            *room = (lane ^ self.octets).to_le_bytes();
        }
        out
    }
}

#[inline]
fn round(mut lanes: [u64; LANES], octets: &[u8; ROUND]) -> [u64; LANES] {
    for (lane, word) in lanes.iter_mut().zip(octets.as_chunks::<8>().0) {
        *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        (0..1000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = text();
        for piece in [1, 7, 63, 64, 65, 128, 999] {
            let mut sums = Sums::default();
            text.chunks(piece).for_each(|piece| sums.update(piece));
            assert_eq!(sums.finish(), Sums::of(&text), "{piece}");
        }
    }

    #[test]
    fn every_bit_counts_and_so_does_the_length() {
        let text = text();
        let sums = Sums::of(&text);
        for bit in 0..text.len() * 8 {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Sums::of(&other), sums, "{bit}");
        }
        let mut longer = text.clone();
        longer.push(0);
        assert_ne!(Sums::of(&longer), sums);
        assert_ne!(Sums::of(&text[..999]), sums);
    }

    #[test]
    fn words_that_change_places_show() {
        let text = text();
        for (one, other) in [(0, 8), (0, 64), (8, 640)] {
            let mut swapped = text.clone();
            for at in 0..8 {
                swapped.swap(one + at, other + at);
            }
            assert_ne!(Sums::of(&swapped), Sums::of(&text));
        }
    }
}
