//! A line that may be a whole entry, word by word, for [`super::plain`].
//!
//! [`Line`] looks at the text through a window of 128 octets, of which the first 64 are marked ([`super::marks`]); it
//! moves the window on where a line is longer. It knows blanks and plain words, no more: at a comment, a quote, a
//! parenthesis, an escape, a control character, and near the end of the text it says none, and the line is left to
//! [`super::token`].
//!
//! The window is wide enough that whoever reads a word may look at 64 octets from its start, whatever is there: loads
//! of a fixed width take no branch.

use super::marks::{BLOCK, stops};

/// Octets of the window: the marked ones, and as many behind the last of them.
const WINDOW: usize = 2 * BLOCK;

/// A place on a line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    text: &'a [u8],
    /// Where the window begins.
    base: usize,
    window: &'a [u8; WINDOW],
    /// What ends a word, from the start of the window on: see [`stops`].
    stops: u64,
    /// The place, in the window: less than [`BLOCK`].
    at: usize,
}

/// A word of 1 to 63 octets.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    /// The word, and what stands behind it.
    pub(super) octets: &'a [u8; BLOCK],
    pub(super) len: usize,
}

/// What follows a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another word, or what else is no blank.
    Word,
    LineEnd,
}

impl<'a> Line<'a> {
    /// A place in the text, if enough text follows.
    #[inline(always)]
    pub(super) fn at(text: &'a [u8], at: usize) -> Option<Self> {
        let window: &[u8; WINDOW] = text.get(at..)?.first_chunk()?;
        Some(Self { text, base: at, window, stops: stops(window.first_chunk()?), at: 0 })
    }

    /// The same, where lines are longer than most.
    #[inline(never)]
    fn further(text: &'a [u8], at: usize) -> Option<Self> {
        Self::at(text, at)
    }

    /// The place, counted from the start of the text.
    #[inline(always)]
    pub(super) fn offset(&self) -> usize {
        self.base + self.at
    }

    /// The octet here.
    #[inline(always)]
    pub(super) fn octet(&self) -> u8 {
        self.window[self.at % BLOCK]
    }

    /// Whether a blank stands here.
    #[inline(always)]
    pub(super) fn is_at_blank(&self) -> bool {
        is_blank(self.octet())
    }

    /// What ends words from here on.
    #[inline(always)]
    fn stops(&self) -> u64 {
        self.stops >> (self.at % BLOCK)
    }

    /// Passes the word that begins here; none if none does, or a longer one.
    #[inline(always)]
    pub(super) fn word(&mut self) -> Option<Word<'a>> {
        if self.stops() == 0 {
            *self = Self::further(self.text, self.offset())?;
        }
        let (at, len) = (self.at % BLOCK, self.stops().trailing_zeros() as usize);
        if len == 0 || len >= BLOCK {
            return None;
        }
        self.at = at + len;
        Some(Word { octets: self.window[at..].first_chunk()?, len })
    }

    /// Passes the word that begins here, of any length up to `most` and a block.
    #[inline(always)]
    pub(super) fn long_word(&mut self, most: usize) -> Option<&'a [u8]> {
        let start = self.offset();
        self.pass_to_stop(start + most)?;
        self.text.get(start..self.offset()).filter(|word| !word.is_empty())
    }

    /// Passes what stands in quotes, the first of which is here; none if it has an escape.
    #[inline(always)]
    pub(super) fn quoted(&mut self, most: usize) -> Option<&'a [u8]> {
        self.pass_octet()?;
        let start = self.offset();
        loop {
            self.pass_to_stop(start + most)?;
            match self.octet() {
                b'"' => break,
                b'\n' | b'\\' => return None,
                // In quotes, other octets have no meaning.
                _ => self.pass_octet()?,
            }
        }
        let text = self.text.get(start..self.offset());
        self.pass_octet()?;
        text
    }

    /// Passes octets until one ends a word, but not many beyond `end`.
    #[inline(always)]
    fn pass_to_stop(&mut self, end: usize) -> Option<()> {
        while self.stops() == 0 {
            if self.base > end {
                return None;
            }
            *self = Self::further(self.text, self.base + BLOCK)?;
        }
        self.at += self.stops().trailing_zeros() as usize;
        Some(())
    }

    #[inline(always)]
    fn pass_octet(&mut self) -> Option<()> {
        self.at += 1;
        if self.at == BLOCK {
            *self = Self::further(self.text, self.offset())?;
        }
        Some(())
    }

    /// Passes blanks, of which there must be one unless the line ends here, and says what is behind them.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Next> {
        let mut octet = self.octet();
        if octet != b'\n' && !is_blank(octet) {
            return None;
        }
        while octet != b'\n' {
            self.pass_octet()?;
            octet = self.octet();
            // One blank is what is between most words.
            if self.stops() & 1 == 0 || !is_blank(octet) && octet != b'\n' {
                return Some(Next::Word);
            }
        }
        Some(Next::LineEnd)
    }

    /// Passes blanks to where the next word of the line begins.
    #[inline(always)]
    pub(super) fn gap(&mut self) -> Option<()> {
        (self.next()? == Next::Word).then_some(())
    }

    /// Passes blanks to where the line ends.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Option<()> {
        (self.next()? == Next::LineEnd).then_some(())
    }
}

/// What separates words on a line: see [`super::token`].
#[inline(always)]
fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r')
}

impl Word<'_> {
    /// Up to eight octets as a number, the first one lowest.
    #[inline(always)]
    pub(super) fn key(self) -> Option<u64> {
        let word = u64::from_le_bytes(*self.octets.first_chunk()?);
        (self.len <= 8).then(|| word & u64::MAX >> (64 - 8 * self.len as u32))
    }
}
