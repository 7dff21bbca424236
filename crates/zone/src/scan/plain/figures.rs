//! Numbers, addresses and digits of base 16, 32 and 64 in plain words, several octets at a time.
//!
//! Each reads what its counterpart beside the types' rules reads ([`crate::rdata`]) and gives the same, or none: for
//! whatever is wrong, and for forms that are rare. Most check all of a word before they look whether it was good, so
//! that which digits it has decides no branch.

use crate::rdata::base::{BASE32_VALUES, BASE64_VALUES};
use crate::scan::line::Word;
use crate::scan::marks::{BLOCK, HIGH_BITS, ONES, places_of};

/// A decimal number of up to eight digits.
#[inline(always)]
pub(super) fn decimal(word: Word<'_>) -> Option<u32> {
    let digits = u64::from_le_bytes(*word.octets.first_chunk()?) ^ (ONES * u64::from(b'0'));
    if word.len > 8 {
        return None;
    }
    // The last digit to the highest octet, zeros before the first.
    let digits = digits << (64 - 8 * word.len as u32);
    if (digits.wrapping_add(ONES * 0x76) | digits) & HIGH_BITS != 0 {
        return None;
    }
    // Pairs, then fours, then all eight.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) as u32)
}

/// A decimal number of so many bits at most.
#[inline(always)]
pub(super) fn decimal16(word: Word<'_>) -> Option<[u8; 2]> {
    u16::try_from(decimal(word)?).ok().map(u16::to_be_bytes)
}

/// The same.
#[inline(always)]
pub(super) fn decimal8(word: Word<'_>) -> Option<u8> {
    u8::try_from(decimal(word)?).ok()
}

/// An IPv4 address.
#[inline(always)]
pub(super) fn ipv4(word: Word<'_>) -> Option<[u8; 4]> {
    /// The least number of so many digits that does not begin with a zero, a digit in each octet.
    const LEAST: [u32; 4] = [0, 0, 0x0100, 0x01_0000];
    let mut dots = places_of(b'.', word.octets, word.len.min(16));
    if dots.count_ones() != 3 || word.len > 15 {
        return None;
    }
    let (mut address, mut start, mut wrong) = ([0; 4], 0, false);
    for octet in &mut address {
        let end = if dots == 0 { word.len } else { dots.trailing_zeros() as usize };
        dots &= dots.wrapping_sub(1);
        let len = end - start;
        let digits = load(word.octets, start) ^ 0x3030_3030;
        start = end + 1;
        wrong |= len.wrapping_sub(1) > 2;
        // The last digit to the highest octet, zeros before the first.
        let digits = digits.wrapping_shl(32u32.wrapping_sub(8 * len as u32));
        let in_order = digits.swap_bytes();
        wrong |= (digits.wrapping_add(0x7676_7676) | digits) & 0x8080_8080 != 0;
        wrong |= in_order > 0x02_0505 || in_order < LEAST[len % 4];
        // The highest octet of the product is what the digits stand for.
        *octet = (digits.wrapping_mul(0x64_0a01) >> 24) as u8;
    }
    (!wrong).then_some(address)
}

/// An IPv6 address without a dotted part (RFC 4291 §2.2).
#[inline(always)]
pub(super) fn ipv6(word: Word<'_>) -> Option<[u8; 16]> {
    if word.len > 39 {
        return None;
    }
    let colons = places_of(b':', word.octets, word.len);
    let pairs = colons & colons >> 1;
    let mut address = [0; 16];
    let Some(gap) = (pairs != 0).then(|| pairs.trailing_zeros()) else {
        let groups = groups(word, 0, colons, word.len, &mut address)?;
        return (groups == 8).then_some(address);
    };
    if pairs & (pairs - 1) != 0 {
        return None;
    }
    // What stands before the two colons, and what behind them, goes to either end.
    let mut head = 0;
    if gap > 0 {
        head = groups(word, 0, colons & !(u64::MAX << gap), gap as usize, &mut address)?;
    }
    let (behind, mut tail, mut count) = (gap as usize + 2, [0; 16], 0);
    let mut value = u128::from_be_bytes(address);
    if behind < word.len {
        count = groups(word, behind, colons & u64::MAX << behind, word.len, &mut tail)?;
        value |= u128::from_be_bytes(tail) >> (128 - 16 * count);
    }
    // The colons stand for one group at least.
    (head + count <= 7).then(|| value.to_be_bytes())
}

/// Groups of hexadecimal digits from `start` to `end` with colons between, at most eight: how many there were.
#[inline(always)]
fn groups(word: Word<'_>, start: usize, colons: u64, end: usize, into: &mut [u8; 16]) -> Option<usize> {
    let (mut start, mut colons, mut wrong) = (start, colons, false);
    let count = colons.count_ones() as usize + 1;
    if count > 8 {
        return None;
    }
    for group in into.as_chunks_mut::<2>().0.iter_mut().take(count) {
        let stop = if colons == 0 { end } else { colons.trailing_zeros() as usize };
        colons &= colons.wrapping_sub(1);
        let len = stop.wrapping_sub(start);
        wrong |= len.wrapping_sub(1) > 3;
        let shift = 32u32.wrapping_sub(8 * len as u32);
        // Zeros before the first digit.
        let fill = 0x3030_3030 & !u32::MAX.wrapping_shl(shift);
        let digits = load(word.octets, start % BLOCK).wrapping_shl(shift) | fill;
        let (nibbles, bad) = nibbles(u64::from(digits) | 0x3030_3030_0000_0000);
        wrong |= bad;
        let octets = (nibbles << 4 | nibbles >> 8) as u32;
        *group = [octets as u8, (octets >> 16) as u8];
        start = stop.wrapping_add(1);
    }
    (!wrong).then_some(count)
}

/// The values of eight hexadecimal digits, each in its octet, and whether one is none.
#[inline(always)]
fn nibbles(digits: u64) -> (u64, bool) {
    let figure = digits ^ (ONES * u64::from(b'0'));
    let no_figure = figure.wrapping_add(ONES * 0x76);
    let letter = digits | (ONES * 0x20);
    // At `a` and above, and above `f`.
    let (from_a, above_f) = (letter.wrapping_add(ONES * 0x1f), letter.wrapping_add(ONES * 0x19));
    let bad = digits | no_figure & (!from_a | above_f);
    let values = (digits & (ONES * 0x0f)) + (digits >> 6 & ONES) * 9;
    (values, bad & HIGH_BITS != 0)
}

/// Hexadecimal digits, two to an octet: how many octets they were.
#[inline]
pub(super) fn hex(text: &[u8], into: &mut [u8]) -> Option<usize> {
    let octets = text.len() / 2;
    let into = into.get_mut(..octets).filter(|_| text.len().is_multiple_of(2))?;
    let (eights, rest) = text.as_chunks::<8>();
    let (fours, last) = into.as_chunks_mut::<4>();
    let mut wrong = false;
    for (digits, octets) in eights.iter().zip(fours) {
        let (values, bad) = nibbles(u64::from_le_bytes(*digits));
        *octets = packed(values);
        wrong |= bad;
    }
    if !rest.is_empty() {
        let mut digits = [b'0'; 8];
        digits.get_mut(..rest.len())?.copy_from_slice(rest);
        let (values, bad) = nibbles(u64::from_le_bytes(digits));
        last.copy_from_slice(packed(values).get(..last.len())?);
        wrong |= bad;
    }
    (!wrong).then_some(octets)
}

/// Eight values of four bits to four octets.
#[inline(always)]
fn packed(values: u64) -> [u8; 4] {
    let octets = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let pairs = (octets | octets >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) as u32).to_le_bytes()
}

/// Four octets from `at` on, the first one lowest.
#[inline(always)]
fn load(octets: &[u8; BLOCK], at: usize) -> u32 {
    octets.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Digits of base 64 with their padding, four to three octets: how many octets they were.
#[inline]
pub(super) fn base64(text: &[u8], into: &mut [u8]) -> Option<usize> {
    let (fours, rest) = text.as_chunks::<4>();
    let (last, fours) = fours.split_last().filter(|_| rest.is_empty())?;
    let whole = 3 * fours.len();
    let (into, behind) = into.split_at_mut_checked(whole)?;
    let mut wrong = 0;
    for (digits, octets) in fours.iter().zip(into.as_chunks_mut::<3>().0) {
        let values = digits.map(|digit| BASE64_VALUES[usize::from(digit)]);
        wrong |= values.iter().fold(0, |all, value| all | value);
        *octets = joined(values);
    }
    let padding = last.iter().rev().take_while(|octet| **octet == b'=').count();
    if padding > 2 {
        return None;
    }
    let (digits, mut values) = (last.get(..4 - padding)?, [0; 4]);
    for (value, digit) in values.iter_mut().zip(digits) {
        *value = BASE64_VALUES[usize::from(*digit)];
        wrong |= *value;
    }
    let octets = joined(values);
    let (kept, dropped) = octets.split_at_checked(3 - padding)?;
    // Bits that make no octet must be zero (RFC 4648 §3.5).
    if wrong > 63 || dropped.iter().any(|octet| *octet != 0) {
        return None;
    }
    behind.get_mut(..kept.len())?.copy_from_slice(kept);
    Some(whole + kept.len())
}

/// Four values of six bits to three octets.
#[inline(always)]
fn joined(values: [u8; 4]) -> [u8; 3] {
    let bits = values.iter().fold(0u32, |bits, value| bits << 6 | u32::from(*value));
    let [_, octets @ ..] = bits.to_be_bytes();
    octets
}

/// Digits of base 32 with extended hex alphabet, eight to five octets: how many octets they were.
#[inline]
pub(super) fn base32(text: &[u8], into: &mut [u8]) -> Option<usize> {
    let (eights, rest) = text.as_chunks::<8>();
    let into = into.get_mut(..5 * eights.len()).filter(|_| rest.is_empty())?;
    let mut wrong = 0;
    for (digits, octets) in eights.iter().zip(into.as_chunks_mut::<5>().0) {
        let values = digits.map(|digit| BASE32_VALUES[usize::from(digit)]);
        wrong |= values.iter().fold(0, |all, value| all | value);
        let bits = values.iter().fold(0u64, |bits, value| bits << 5 | u64::from(*value));
        let [_, _, _, joined @ ..] = bits.to_be_bytes();
        *octets = joined;
    }
    (wrong <= 31).then_some(into.len())
}
