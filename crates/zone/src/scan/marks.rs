//! Where words end among 64 octets of a zone file, and where an octet stands in a word, as bits.
//!
//! Finding the words of a line is then a matter of counting zeros. Called by [`super::line`] for each line; the loop is
//! written so that the compiler makes vectors of it.

/// Octets that are marked together: as many as a word of the machine has bits.
pub(super) const BLOCK: usize = 64;

/// A one in each octet.
pub(super) const ONES: u64 = u64::MAX / 255;
/// The high bit of each octet.
pub(super) const HIGH_BITS: u64 = ONES * 0x80;

/// What a plain word does not have: blanks and control characters, and what has a meaning of its own. One bit for each
/// octet, the first one's lowest.
#[inline(always)]
pub(super) fn stops(block: &[u8; BLOCK]) -> u64 {
    let mut flags = [0; BLOCK];
    for (flag, &octet) in flags.iter_mut().zip(block) {
        // The parentheses differ in their lowest bit alone. No `||` here: branches keep the compiler from vectors.
        let odd = (octet == b'"') | (octet | 1 == b')') | (octet == b';') | (octet == b'\\');
        *flag = u8::from((octet <= b' ') | odd);
    }
    let eights = flags.as_chunks::<8>().0.iter().enumerate();
    eights.fold(0, |bits, (number, flags)| bits | gathered(u64::from_le_bytes(*flags)) << (8 * number))
}

/// Where `octet` stands among the first `len` octets of a block.
#[inline(always)]
pub(super) fn places_of(octet: u8, block: &[u8; BLOCK], len: usize) -> u64 {
    let mut places = 0;
    for (number, piece) in block.as_chunks::<8>().0.iter().enumerate().take(len.div_ceil(8)) {
        let differing = u64::from_le_bytes(*piece) ^ (ONES * u64::from(octet));
        // An octet is zero if neither its high bit is set nor any other, which would carry into the high bit.
        let zeros = !(((differing & !HIGH_BITS) + !HIGH_BITS) | differing) & HIGH_BITS;
        places |= gathered(zeros >> 7) << (8 * number);
    }
    places & !u64::MAX.checked_shl(len as u32).unwrap_or(0)
}

/// The lowest bits of eight octets of which no other bit is set: the product brings them together in its highest octet.
#[inline(always)]
const fn gathered(flags: u64) -> u64 {
    flags.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(block: &[u8], is: impl Fn(u8) -> bool) -> u64 {
        block.iter().enumerate().fold(0, |bits, (at, &octet)| bits | u64::from(is(octet)) << at)
    }

    fn ends_a_word(octet: u8) -> bool {
        octet <= b' ' || b"\"();\\".contains(&octet)
    }

    #[test]
    fn every_octet_is_marked_as_what_it_is_wherever_it_stands() {
        for octet in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[at] = octet;
                assert_eq!(stops(&block), bits(&block, ends_a_word), "{octet} at {at}");
                assert_eq!(places_of(octet, &block, BLOCK), bits(&block, |other| other == octet));
            }
        }
    }

    proptest! {
        #[test]
        fn neighbours_do_not_change_what_an_octet_is(
            octets in prop::collection::vec(prop_oneof![any::<u8>(), b' '..b'/'], BLOCK),
            len in 0..=BLOCK,
        ) {
            let block = octets.first_chunk().unwrap();
            prop_assert_eq!(stops(block), bits(block, ends_a_word));
            for octet in [b'.', octets[0], octets[1]] {
                prop_assert_eq!(places_of(octet, block, len), bits(&block[..len], |other| other == octet));
            }
        }
    }
}
