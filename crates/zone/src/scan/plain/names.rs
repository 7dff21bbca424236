//! Domain names of plain words, from the places of their dots.

use crate::scan::line::Word;
use crate::scan::marks::{BLOCK, places_of};
use crate::scan::name::NameBuf;
use pharos_wire::name::MAX_OCTETS;

/// Origins up to this length are copied whole, whatever their length.
const SHORT_ORIGIN: usize = 32;

/// Reads a name that nothing is to be said of, and gives its length. A name that does not end in a dot is completed with
/// `origin`.
///
/// Each octet of the text lands one octet further in the name, and each dot becomes the length of the label behind it:
/// the text is copied whole, and only the lengths are filled in. As no word is longer than 63 octets, no label is.
#[inline(always)]
pub(super) fn read(word: Word<'_>, origin: &NameBuf, out: &mut [u8; MAX_OCTETS]) -> Option<usize> {
    let len = word.len % BLOCK;
    // A dot at the start or behind another one makes an empty label; `.` is left to the long way, too.
    let mut dots = places_of(b'.', word.octets, len);
    if dots & (dots << 1 | 1) != 0 {
        return None;
    }
    if len == 1 && word.octets[0] == b'@' {
        let length = origin.as_wire().len();
        out.get_mut(..length)?.copy_from_slice(origin.as_wire());
        return Some(length);
    }
    *out.get_mut(1..)?.first_chunk_mut()? = *word.octets;
    let mut label = 0;
    while dots != 0 {
        let dot = dots.trailing_zeros() as usize % BLOCK;
        out[label] = (dot - label) as u8;
        label = (dot + 1) % BLOCK;
        dots &= dots - 1;
    }
    if label == len {
        out[label] = 0;
        return Some(len + 1);
    }
    out[label] = (len - label) as u8;
    complete(len + 1, origin, out)
}

/// Sets the origin behind the `len` octets of a relative name.
#[inline(always)]
fn complete(len: usize, origin: &NameBuf, out: &mut [u8; MAX_OCTETS]) -> Option<usize> {
    let (octets, length) = origin.parts();
    let labels = length - 1;
    // A name that repeats the origin is warned of.
    if len >= labels && labels > 0 {
        let (last, origins_last) = (out[len % MAX_OCTETS - 1], octets[labels % MAX_OCTETS - 1]);
        if last.eq_ignore_ascii_case(&origins_last)
            && out.get(len - labels..len)?.eq_ignore_ascii_case(octets.get(..labels)?)
        {
            return None;
        }
    }
    let behind = out.get_mut(len..)?;
    if length <= SHORT_ORIGIN {
        *behind.first_chunk_mut::<SHORT_ORIGIN>()? = *octets.first_chunk()?;
    } else {
        behind.get_mut(..length)?.copy_from_slice(origin.as_wire());
    }
    Some(len + length)
}
