//! Base 16, 32 and 64 (RFC 4648), from words that may be split anywhere, and back.

use super::text::{Input, bound};
use crate::diagnostic::quoted;
use crate::scan::token::{Parsed, Problem, Token};
use std::fmt::{self, Write};

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|digit| digit as u8)
}

/// Appends the octets of all words to the end of the entry; at least one is needed.
pub(crate) fn read_hex(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let mut token = input.word()?;
    // A digit that waits for its second half, perhaps in the next word.
    let mut half = None;
    loop {
        half = hex_word(token, half, out)?;
        bound(out, token)?;
        let Some(next) = input.maybe()? else { break };
        token = next;
    }
    if half.is_some() {
        return Problem::err(
            token.span,
            "the number of hexadecimal digits is odd",
            "two digits make an octet; one is missing or too many",
        );
    }
    Ok(())
}

fn hex_word(token: Token<'_>, mut half: Option<u8>, out: &mut Vec<u8>) -> Parsed<Option<u8>> {
    for (at, &octet) in token.text.iter().enumerate() {
        let Some(digit) = hex_digit(octet) else {
            return Problem::err(
                token.span.part(at, at + 1),
                format!("{} is not a hexadecimal digit", quoted(&[octet])),
                "hexadecimal digits are 0 to 9 and a to f",
            );
        };
        half = match half {
            None => Some(digit),
            Some(high) => {
                out.push(high << 4 | digit);
                None
            }
        };
    }
    Ok(half)
}

/// The octets of one word.
pub(crate) fn hex(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    match hex_word(token, None, out)? {
        None => Ok(()),
        Some(_) => Problem::err(
            token.span,
            "the number of hexadecimal digits is odd",
            "two digits make an octet; one is missing or too many",
        ),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// Marks an octet that is no digit; it has more bits than any value.
const NO_DIGIT: u8 = u8::MAX;

/// What each octet stands for in base 64.
pub(crate) static BASE64_VALUES: [u8; 256] = values(BASE64);
/// What each octet stands for in base 32, whatever its case.
pub(crate) static BASE32_VALUES: [u8; 256] = {
    let mut values = values(BASE32);
    let mut letter = b'A';
    while letter <= b'Z' {
        values[letter.to_ascii_lowercase() as usize] = values[letter as usize];
        letter += 1;
    }
    values
};

const fn values(digits: &[u8]) -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut at = 0;
    while at < digits.len() {
        values[digits[at] as usize] = at as u8;
        at += 1;
    }
    values
}

/// Base 64 that comes in pieces.
#[derive(Default)]
pub(crate) struct Base64 {
    bits: u32,
    digits: u8,
    padding: u8,
}

impl Base64 {
    /// Takes a piece and appends what it completes.
    pub(crate) fn piece(&mut self, token: Token<'_>, text: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
        for (at, &octet) in text.iter().enumerate() {
            let value = BASE64_VALUES[usize::from(octet)];
            if octet == b'=' && self.digits + self.padding >= 2 && self.digits + self.padding < 4 {
                self.padding += 1;
            } else if value == NO_DIGIT || self.padding > 0 {
                return Problem::err(
                    token.span.part(at, at + 1),
                    format!("{} cannot stand here in base 64", quoted(&[octet])),
                    "base 64 has letters, digits, + and /, and = at its end only; copy the data again, whole",
                );
            } else {
                self.bits = self.bits << 6 | u32::from(value);
                self.digits += 1;
                if self.digits == 4 {
                    let [_, octets @ ..] = self.bits.to_be_bytes();
                    out.extend_from_slice(&octets);
                    (self.bits, self.digits) = (0, 0);
                }
            }
        }
        Ok(())
    }

    /// Appends the last octets.
    pub(crate) fn finish(self, token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
        let [_, first, second, _] = (self.bits << (24 - 6 * u32::from(self.digits))).to_be_bytes();
        match (self.digits, self.padding) {
            (0, 0) => {}
            // Bits that make no octet must be zero (RFC 4648 §3.5), so that the text says all there is.
            (2, 2) if self.bits & 0xf == 0 => out.push(first),
            (3, 1) if self.bits & 0x3 == 0 => out.extend_from_slice(&[first, second]),
            _ => {
                return Problem::err(
                    token.span,
                    "the base 64 data are cut off",
                    "four digits make three octets, = fills up the last four; copy the data again, whole",
                );
            }
        }
        Ok(())
    }
}

/// Appends the octets of all words to the end of the entry, perhaps none.
pub(crate) fn read_base64(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let mut decoder = Base64::default();
    let mut last = None;
    while let Some(token) = input.maybe()? {
        decoder.piece(token, token.text, out)?;
        bound(out, token)?;
        last = Some(token);
    }
    last.map_or(Ok(()), |token| decoder.finish(token, out))
}

/// Base 64 in one word.
pub(crate) fn base64(token: Token<'_>, text: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut decoder = Base64::default();
    decoder.piece(token, text, out)?;
    decoder.finish(token, out)
}

/// Base 32 with extended hex alphabet, without padding (RFC 5155 §3.3).
pub(crate) fn base32(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let (mut bits, mut count) = (0u64, 0u32);
    for (at, octet) in token.text.iter().enumerate() {
        let value = BASE32_VALUES[usize::from(*octet)];
        if value == NO_DIGIT {
            return Problem::err(
                token.span.part(at, at + 1),
                format!("{} is not a digit of base 32", quoted(&[*octet])),
                "the digits are 0 to 9 and a to v (RFC 4648 \u{a7}7)",
            );
        }
        bits = bits << 5 | u64::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    if count >= 5 || bits != 0 {
        return Problem::err(
            token.span,
            "the base 32 data are cut off",
            "eight digits make five octets; a SHA-1 hash has 32 digits",
        );
    }
    Ok(())
}

/// Shows octets in base 16, upper case.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

/// Appends octets in base 64.
pub(crate) fn show_base64(octets: &[u8], out: &mut String) {
    for chunk in octets.chunks(3) {
        let group =
            chunk.iter().chain(&[0; 2]).take(3).fold(0u32, |bits, &octet| bits << 8 | u32::from(octet));
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(char::from(BASE64[(group >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
}

/// Appends octets in base 32 with extended hex alphabet, without padding.
pub(crate) fn show_base32(octets: &[u8], out: &mut String) {
    let (mut bits, mut count) = (0u32, 0);
    for &octet in octets {
        bits = (bits << 8 | u32::from(octet)) & 0xfff;
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(char::from(BASE32[(bits >> count) as usize & 31]));
        }
    }
    if count > 0 {
        out.push(char::from(BASE32[(bits << (5 - count)) as usize & 31]));
    }
}

/// Appends octets in base 16.
pub(crate) fn show_hex(octets: &[u8], out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{}", Hex(octets));
}
