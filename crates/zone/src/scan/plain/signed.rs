//! The types that fill signed zones: DS, RRSIG, NSEC and NSEC3.
//!
//! Algorithms are read as numbers, which RFC 4034 §2.2 prefers; and base 16 and 64 only where no word ends within the
//! digits that make an octet.

use super::{MAX_STRING, ROOM, figures, names};
use crate::rdata::odd::calendar_seconds;
use crate::rdata::table::digest_length;
use crate::rtype;
use crate::scan::line::{Line, Next, Word};
use crate::scan::name::NameBuf;
use pharos_wire::name::MAX_OCTETS;

/// Digits of a point in time (RFC 4034 §3.2).
const TIME: usize = 14;

/// RFC 4034 §5.3.
#[inline(never)]
pub(super) fn ds<'a>(mut line: Line<'a>, out: &mut [u8; ROOM]) -> Option<(Line<'a>, usize)> {
    let [tag, tag_behind] = figures::decimal16(field(&mut line)?)?;
    let algorithm = figures::decimal8(field(&mut line)?)?;
    let digest = figures::decimal8(field(&mut line)?)?;
    *out.first_chunk_mut()? = [tag, tag_behind, algorithm, digest];
    let mut octets = 4;
    loop {
        let digits = line.long_word(2 * ROOM)?;
        octets += figures::hex(digits, out.get_mut(octets..)?)?;
        if line.next()? == Next::LineEnd {
            break;
        }
    }
    digest_length(out.get(..octets)?).ok()?;
    Some((line, octets))
}

/// RFC 4034 §3.2.
#[inline(never)]
pub(super) fn rrsig<'a>(
    mut line: Line<'a>,
    origin: &NameBuf,
    out: &mut [u8; ROOM],
    times: &mut Times,
) -> Option<(Line<'a>, usize)> {
    let [covered, covered_behind] = rtype_of(field(&mut line)?)?.to_be_bytes();
    let algorithm = figures::decimal8(field(&mut line)?)?;
    let labels = figures::decimal8(field(&mut line)?)?;
    *out.first_chunk_mut()? = [covered, covered_behind, algorithm, labels];
    let fields = out.get_mut(4..)?;
    *fields.first_chunk_mut()? = figures::decimal(field(&mut line)?)?.to_be_bytes();
    let fields = fields.get_mut(4..)?;
    *fields.first_chunk_mut()? = times.read(field(&mut line)?)?.to_be_bytes();
    let fields = fields.get_mut(4..)?;
    *fields.first_chunk_mut()? = times.read(field(&mut line)?)?.to_be_bytes();
    let fields = fields.get_mut(4..)?;
    *fields.first_chunk_mut()? = figures::decimal16(field(&mut line)?)?;
    let mut octets = 18;
    let signer: &mut [u8; MAX_OCTETS] = out.get_mut(octets..)?.first_chunk_mut()?;
    octets += names::read(field(&mut line)?, origin, signer)?;
    let begin = octets;
    loop {
        let digits = line.long_word(2 * ROOM)?;
        // Nothing follows padding.
        if (octets - begin) % 3 != 0 {
            return None;
        }
        octets += figures::base64(digits, out.get_mut(octets..)?)?;
        if line.next()? == Next::LineEnd {
            return Some((line, octets));
        }
    }
}

/// RFC 4034 §4.2.
#[inline(never)]
pub(super) fn nsec<'a>(
    mut line: Line<'a>,
    origin: &NameBuf,
    out: &mut [u8; ROOM],
) -> Option<(Line<'a>, usize)> {
    let octets = names::read(line.word()?, origin, out.first_chunk_mut()?)?;
    types(line, octets, out)
}

/// RFC 5155 §3.3.
#[inline(never)]
pub(super) fn nsec3<'a>(mut line: Line<'a>, out: &mut [u8; ROOM]) -> Option<(Line<'a>, usize)> {
    let algorithm = figures::decimal8(field(&mut line)?)?;
    let flags = figures::decimal8(field(&mut line)?)?;
    let [iterations, iterations_behind] = figures::decimal16(field(&mut line)?)?;
    *out.first_chunk_mut()? = [algorithm, flags, iterations, iterations_behind];
    let salt = line.long_word(2 * MAX_STRING)?;
    line.gap()?;
    let mut octets = 4;
    octets += counted(
        out.get_mut(octets..)?,
        |room| if salt == b"-" { Some(0) } else { figures::hex(salt, room) },
    )?;
    let hash = line.long_word(2 * MAX_STRING)?;
    octets += counted(out.get_mut(octets..)?, |room| figures::base32(hash, room))?;
    types(line, octets, out)
}

/// A word that is not the last of its line.
#[inline(always)]
fn field<'a>(line: &mut Line<'a>) -> Option<Word<'a>> {
    let word = line.word()?;
    line.gap()?;
    Some(word)
}

/// What `read` yields behind its length in one octet.
fn counted(out: &mut [u8], read: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize> {
    let (length, room) = out.split_first_mut()?;
    let octets = read(room)?;
    *length = u8::try_from(octets).ok()?;
    Some(1 + octets)
}

/// Types to the end of the line, as a set behind `octets` of the data (RFC 4034 §4.1.2).
#[inline]
fn types<'a>(mut line: Line<'a>, octets: usize, out: &mut [u8; ROOM]) -> Option<(Line<'a>, usize)> {
    let mut bits = [0u8; 32];
    while line.next()? == Next::Word {
        // Types of other windows are few; CAA has the lowest number of them.
        let rtype = usize::from(u8::try_from(rtype_of(line.word()?)?).ok()?);
        bits[rtype / 8] |= 0x80 >> (rtype % 8);
    }
    let Some(last) = bits.iter().rposition(|octet| *octet != 0) else { return Some((line, octets)) };
    let room: &mut [u8; 34] = out.get_mut(octets..)?.first_chunk_mut()?;
    *room.first_chunk_mut()? = [0, last as u8 + 1];
    *room.last_chunk_mut()? = bits;
    Some((line, octets + 3 + last))
}

#[inline(always)]
fn rtype_of(word: Word<'_>) -> Option<u16> {
    rtype::from_text(word.octets.get(..word.len)?)
}

/// The last two points in time: nearly all signatures of a zone have the same.
#[derive(Default)]
pub(super) struct Times {
    known: [([u8; TIME], u32); 2],
    /// Which of them was read before the other.
    older: usize,
}

impl Times {
    fn read(&mut self, word: Word<'_>) -> Option<u32> {
        let digits: &[u8; TIME] = word.octets.first_chunk()?;
        if word.len != TIME {
            return None;
        }
        if let Some((_, seconds)) = self.known.iter().find(|(known, _)| known == digits) {
            return Some(*seconds);
        }
        let seconds = calendar_seconds(digits)?;
        self.known[self.older] = (*digits, seconds);
        self.older = 1 - self.older;
        Some(seconds)
    }
}
