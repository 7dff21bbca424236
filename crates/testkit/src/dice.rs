//! Choices that look random and can be repeated.

/// A source of choices: the same seed or the same octets yield the same choices.
#[derive(Clone, Debug)]
pub struct Dice<'o> {
    state: u64,
    octets: Option<std::slice::Iter<'o, u8>>,
}

impl Dice<'static> {
    /// Endless choices that follow from a seed (SplitMix64, whose every seed is good).
    pub fn of_seed(seed: u64) -> Self {
        Self { state: seed, octets: None }
    }
}

impl<'o> Dice<'o> {
    /// Choices read from octets, as fuzzers want it: a changed octet changes one choice. Behind the last octet
    /// all choices are 0.
    pub fn of_octets(octets: &'o [u8]) -> Self {
        Self { state: 0, octets: Some(octets.iter()) }
    }

    /// A number less than `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        match &mut self.octets {
            None => (self.next() % (bound.max(1) as u64)) as usize,
            Some(octets) => {
                let mut value = 0;
                let mut reach = 1;
                while reach < bound {
                    value = value << 8 | usize::from(octets.next().copied().unwrap_or(0));
                    reach <<= 8;
                }
                value % bound.max(1)
            }
        }
    }

    /// Whether something happens that happens once in `of` times.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == of.saturating_sub(1)
    }

    /// One of `choices`, which are not empty.
    pub fn pick<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        choices[self.below(choices.len())]
    }

    /// Any octet.
    pub fn octet(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// Whether the octets have all been used; never for a seed.
    pub fn is_spent(&self) -> bool {
        self.octets.as_ref().is_some_and(|octets| octets.as_slice().is_empty())
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_yields_the_same_choices() {
        let draw = |seed| -> Vec<usize> {
            let mut dice = Dice::of_seed(seed);
            (0..100).map(|_| dice.below(1000)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn octets_are_used_one_for_each_small_choice_and_then_all_is_zero() {
        let mut dice = Dice::of_octets(&[3, 200, 1, 0]);
        assert_eq!((dice.below(10), dice.below(10), dice.below(1000)), (3, 0, 256));
        assert!(dice.is_spent());
        assert_eq!(dice.below(10), 0);
    }
}
