//! The short way from a line to a record, for lines that are whole entries and have nothing special.
//!
//! Nearly every line of a large zone is `OWNER [TTL] [CLASS] TYPE DATA` (or a blank, and the owner of the record before),
//! of one of a few types, without quotes but those of texts, parentheses, escapes and comments. Such a line is read here
//! in one pass over the marks of its octets ([`super::line`]), with loads of a fixed width and few branches.
//!
//! This way says nothing and refuses nothing. It either hands the record out as [`super::scanner`] would, and leaves the
//! same [`super::scanner::State`] behind; or it says none, has changed nothing that counts, and the entry is read anew, by
//! which everything is told. So there is one set of rules and messages, and `tests` holds both ways against each other.
//! Whoever adds to this way must keep to that: in doubt, none.

mod figures;
mod names;
mod signed;

use super::line::{Line, Next};
use super::name::NameBuf;
use super::scanner::{CLASS_IN, OwnerState, Scanner};
use super::token::Cursor;
use super::{FileId, Flow, Record};
use pharos_wire::Rtype;
use pharos_wire::name::MAX_OCTETS;

/// Room for the data of a record; longer ones are read the long way.
pub(super) const ROOM: usize = 1_024;

/// A character-string (RFC 1035 §3.3).
const MAX_STRING: usize = 255;

/// A word of up to eight letters and digits as [`super::line::Word::key`] gives it, the bit that tells upper from lower
/// case cleared. No two words without control characters are the same that way, but for case.
const fn folded(word: u64) -> u64 {
    word & !0x2020_2020_2020_2020
}

/// A mnemonic in that form.
const fn mnemonic(text: &str) -> u64 {
    let (mut word, mut at) = (0, text.len());
    while at > 0 {
        at -= 1;
        word = word << 8 | text.as_bytes()[at] as u64;
    }
    folded(word)
}

const IN: u64 = mnemonic("IN");
const A: u64 = mnemonic("A");
const AAAA: u64 = mnemonic("AAAA");
const NS: u64 = mnemonic("NS");
const CNAME: u64 = mnemonic("CNAME");
const PTR: u64 = mnemonic("PTR");
const MX: u64 = mnemonic("MX");
const SRV: u64 = mnemonic("SRV");
const TXT: u64 = mnemonic("TXT");
const DS: u64 = mnemonic("DS");
const RRSIG: u64 = mnemonic("RRSIG");
const NSEC: u64 = mnemonic("NSEC");
const NSEC3: u64 = mnemonic("NSEC3");

impl<S: FnMut(Record<'_>)> Scanner<'_, '_, S> {
    /// Reads entries as long as they are plain lines.
    #[inline]
    pub(super) fn plain_lines(&mut self, file: FileId, cursor: &mut Cursor<'_>) {
        if cursor.group().is_none() {
            while self.flow.get() == Flow::On && self.plain_line(file, cursor).is_some() {}
        }
    }

    #[inline(always)]
    fn plain_line(&mut self, file: FileId, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut line = Line::at(cursor.text(), cursor.offset())?;
        let state = &mut self.state;
        let place;
        if line.is_at_blank() {
            if state.owner_state != OwnerState::Named {
                return None;
            }
            line.gap()?;
            place = cursor.place(file, line.offset());
        } else {
            place = cursor.place(file, line.offset());
            let directive = line.octet() == b'$';
            let owner = line.word()?;
            // Only what is certain to be the whole first word may change the owner: the long way reads the same then.
            line.gap()?;
            if directive {
                return None;
            }
            state.owner.fill(|room| names::read(owner, &state.origin, room))?;
        }
        let (explicit_ttl, key) = read_head(&mut line)?;
        line.gap()?;
        let (rtype, octets) = read_data(&mut line, key, &state.origin, &mut self.plain)?;
        line.end()?;
        let ttl = explicit_ttl.or(state.default_ttl).or(state.last_ttl)?;
        state.last_ttl = explicit_ttl.or(state.last_ttl);
        state.owner_state = OwnerState::Named;
        cursor.pass_line(line.offset());
        self.report.records += 1;
        (self.sink)(Record {
            owner: state.owner.as_wire(),
            rtype: rtype.0,
            class: CLASS_IN,
            ttl,
            rdata: self.plain.data.get(..octets)?,
            place,
        });
        Some(())
    }
}

/// What this way needs as long as the scan lasts.
pub(super) struct Plain {
    /// The data of the record at hand.
    data: [u8; ROOM],
    times: signed::Times,
}

impl Default for Plain {
    fn default() -> Self {
        Self { data: [0; ROOM], times: signed::Times::default() }
    }
}

/// TTL and class, and the type's mnemonic.
#[inline(always)]
fn read_head(line: &mut Line<'_>) -> Option<(Option<u32>, u64)> {
    let (mut ttl, mut has_class) = (None, false);
    loop {
        let word = line.word()?;
        if word.octets[0].is_ascii_digit() {
            if ttl.replace(figures::decimal(word)?).is_some() {
                return None;
            }
        } else {
            let key = folded(word.key()?);
            if key != IN {
                return Some((ttl, key));
            }
            if std::mem::replace(&mut has_class, true) {
                return None;
            }
        }
        line.gap()?;
    }
}

/// The data of a record whose type has this mnemonic: the type, and how many octets they are.
#[inline(always)]
fn read_data(line: &mut Line<'_>, key: u64, origin: &NameBuf, plain: &mut Plain) -> Option<(Rtype, usize)> {
    let out = &mut plain.data;
    Some(match key {
        A => {
            *out.first_chunk_mut()? = figures::ipv4(line.word()?)?;
            (Rtype::A, 4)
        }
        AAAA => {
            *out.first_chunk_mut()? = figures::ipv6(line.word()?)?;
            (Rtype::AAAA, 16)
        }
        NS => (Rtype::NS, read_name(line, origin, 0, out)?),
        CNAME => (Rtype::CNAME, read_name(line, origin, 0, out)?),
        PTR => (Rtype::PTR, read_name(line, origin, 0, out)?),
        MX => {
            *out.first_chunk_mut()? = figures::decimal16(line.word()?)?;
            line.gap()?;
            (Rtype::MX, read_name(line, origin, 2, out)?)
        }
        SRV => {
            for number in out.as_chunks_mut::<2>().0.iter_mut().take(3) {
                *number = figures::decimal16(line.word()?)?;
                line.gap()?;
            }
            (Rtype::SRV, read_name(line, origin, 6, out)?)
        }
        // What is read out of line takes the place and gives it back, so that it may stand in registers here.
        TXT => {
            let octets;
            (*line, octets) = read_strings(*line, out)?;
            (Rtype::TXT, octets)
        }
        DS => {
            let octets;
            (*line, octets) = signed::ds(*line, out)?;
            (Rtype::DS, octets)
        }
        RRSIG => {
            let octets;
            (*line, octets) = signed::rrsig(*line, origin, out, &mut plain.times)?;
            (Rtype::RRSIG, octets)
        }
        NSEC => {
            let octets;
            (*line, octets) = signed::nsec(*line, origin, out)?;
            (Rtype::NSEC, octets)
        }
        NSEC3 => {
            let octets;
            (*line, octets) = signed::nsec3(*line, out)?;
            (Rtype::NSEC3, octets)
        }
        _ => return None,
    })
}

/// A name from octet `at` of the data on: where it ends.
#[inline(always)]
fn read_name(line: &mut Line<'_>, origin: &NameBuf, at: usize, out: &mut [u8; ROOM]) -> Option<usize> {
    let room: &mut [u8; MAX_OCTETS] = out.get_mut(at..)?.first_chunk_mut()?;
    names::read(line.word()?, origin, room).map(|octets| at + octets)
}

/// Character-strings to the end of the line.
#[inline(never)]
fn read_strings<'a>(mut line: Line<'a>, out: &mut [u8; ROOM]) -> Option<(Line<'a>, usize)> {
    let mut octets = 0;
    loop {
        let text = match line.octet() {
            b'"' => line.quoted(MAX_STRING)?,
            _ => line.long_word(MAX_STRING)?,
        };
        let length = u8::try_from(text.len()).ok()?;
        let (first, room) = out.get_mut(octets..=octets + text.len())?.split_first_mut()?;
        *first = length;
        room.copy_from_slice(text);
        octets += 1 + text.len();
        if line.next()? == Next::LineEnd {
            return Some((line, octets));
        }
    }
}

#[cfg(test)]
mod tests;
