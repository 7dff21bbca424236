//! How many labels the names of a collection have: look-ups leave out what no name has.

/// A set of numbers of labels.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Depths(u128);

/// No name has more labels; see `pharos_wire::name::MAX_LABELS`.
const DEEPEST: usize = 127;

impl Depths {
    /// The set whose bit N says whether N is in it.
    pub(crate) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u128 {
        self.0
    }

    pub(crate) fn add(&mut self, labels: usize) {
        self.0 |= 1 << labels.min(DEEPEST);
    }

    #[inline]
    pub(crate) fn has(self, labels: usize) -> bool {
        // Half by half: a shift of all 128 bits takes three times as many instructions.
        let halves = [self.0 as u64, (self.0 >> 64) as u64];
        let labels = labels.min(DEEPEST);
        halves[labels / 64] >> (labels % 64) & 1 != 0
    }

    /// The greatest number in it that is at most `labels`.
    #[inline]
    pub(crate) fn deepest(self, labels: usize) -> Option<usize> {
        let no_deeper = self.0 & (u128::MAX >> (DEEPEST - labels.min(DEEPEST)));
        Some(no_deeper.checked_ilog2()? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_nothing_else_is() {
        let added = [0, 2, 63, 64, 127];
        let mut depths = Depths::default();
        added.into_iter().for_each(|labels| depths.add(labels));
        for labels in 0..=DEEPEST {
            assert_eq!(depths.has(labels), added.contains(&labels), "{labels}");
            let deepest = added.into_iter().filter(|&it| it <= labels).max();
            assert_eq!(depths.deepest(labels), deepest, "{labels}");
        }
        assert_eq!(Depths::from_bits(depths.bits()), depths);
        assert_eq!(Depths::default().deepest(DEEPEST), None);
    }
}
