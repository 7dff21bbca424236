//! What a refused line may have held.
//!
//! That a zone has no SOA, or no NS at its apex, is worth saying together with all other errors, unless it only seems
//! so because the line with that record was refused. Here a refused entry is looked at once more, and leniently.

use super::name::NameBuf;
use super::scanner::{Margin, OwnerState, Scanner, read_head};
use super::token::{Cursor, Quotes};
use super::{Lost, Record};
use crate::rtype;
use pharos_wire::Rtype;

/// The words of an entry among which its type stands: owner, TTL, class and type, and one that is too many.
const HEAD_WORDS: usize = 5;

impl<S: FnMut(Record<'_>)> Scanner<'_, '_, S> {
    /// Takes note of what may have stood between `begin`, where a refused entry begins, and `end`.
    pub(super) fn note_lost(&mut self, begin: Cursor<'_>, end: &Cursor<'_>) {
        self.lost.join(self.lost_between(begin, end));
    }

    fn lost_between(&self, begin: Cursor<'_>, end: &Cursor<'_>) -> Lost {
        let mut cursor = begin;
        let margin = match cursor.peek() {
            Some(b' ' | b'\t' | b'\r') => Margin::Blank,
            _ => Margin::Owner,
        };
        let Ok(Some(first)) = cursor.next() else { return words(begin.text_until(end)).0 };
        if margin == Margin::Owner && first.quotes == Quotes::Without && first.text.starts_with(b"$") {
            return match first.text.to_ascii_uppercase().as_slice() {
                // Records that need its TTL are refused themselves.
                b"$TTL" => Lost::default(),
                b"$GENERATE" => words(begin.text_until(end)).0,
                // A file that was not read, or an origin that is not what it should be.
                _ => Lost::ANYTHING,
            };
        }
        let (mut lost, other_type) = words(begin.text_until(end));
        let at_apex = match margin {
            Margin::Blank => self.state.owner_state != OwnerState::Named || self.is_apex(&self.state.owner),
            Margin::Owner => {
                let mut owner = NameBuf::root();
                owner.read(first, self.state.origin.as_wire()).is_err() || self.is_apex(&owner)
            }
        };
        let token = if margin == Margin::Blank { Some(first) } else { cursor.next().ok().flatten() };
        let head = token.map(|token| read_head(&mut cursor, token, margin, &mut Vec::new()));
        let one_line = !begin.text_until(end).trim_ascii_end().contains(&b'\n');
        match head {
            // One record, whose owner and type are known.
            Some(Ok((_, rtype))) if one_line && !at_apex => {
                // An SOA that stands elsewhere was meant for the apex all the same.
                lost.ns = false;
                lost.soa |= rtype == Rtype::SOA.0;
            }
            Some(Ok(_)) => {}
            // A type that cannot be read may be any, unless the line has another one.
            Some(Err(_)) | None if at_apex && !other_type => lost = Lost::ANYTHING,
            Some(Err(_)) | None => {}
        }
        lost
    }

    fn is_apex(&self, owner: &NameBuf) -> bool {
        owner.as_wire().eq_ignore_ascii_case(self.apex.as_wire())
    }
}

/// Which types the words of a text name, and whether there is any other type among the first of them.
fn words(text: &[u8]) -> (Lost, bool) {
    let (mut lost, mut other) = (Lost::default(), false);
    let words = text
        .split(|octet| octet.is_ascii_whitespace() || b"();\"".contains(octet))
        .filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        // No name of the two is longer than the generic one of the other.
        let short = word.len() <= b"TYPE2".len();
        match rtype::from_text(word).filter(|_| short || at < HEAD_WORDS) {
            Some(rtype) if rtype == Rtype::SOA.0 || rtype == Rtype::NS.0 => lost.record(rtype),
            Some(_) => other |= at < HEAD_WORDS,
            None => {}
        }
    }
    (lost, other)
}
