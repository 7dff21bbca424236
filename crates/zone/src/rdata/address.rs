//! Internet addresses from text, as octets. Every second record of most zones is one, so this is written for speed;
//! a test holds it against the standard library's parsers.

use crate::diagnostic::quoted;
use crate::scan::token::{Parsed, Problem, Token};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Four decimal numbers without leading zeros, and dots between.
#[inline]
pub(crate) fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0u8; 4];
    let (mut part, mut value, mut digits) = (0usize, 0u32, 0u32);
    for &octet in text {
        if octet == b'.' {
            if digits == 0 || part == 3 {
                return None;
            }
            octets[part] = value as u8;
            part += 1;
            (value, digits) = (0, 0);
        } else {
            let digit = u32::from(octet.wrapping_sub(b'0'));
            if digit > 9 || (digits > 0 && value == 0) {
                return None;
            }
            value = value * 10 + digit;
            digits += 1;
            if value > 255 {
                return None;
            }
        }
    }
    if part != 3 || digits == 0 {
        return None;
    }
    octets[3] = value as u8;
    Some(octets)
}

#[cold]
pub(crate) fn not_ipv4(token: Token<'_>) -> Parsed<()> {
    let remedy = if ipv6(token.text).is_some() {
        "this is an IPv6 address; its type is AAAA"
    } else {
        "write four numbers from 0 to 255 without leading zeros, dots between, as 192.0.2.1"
    };
    Problem::err(token.span, format!("{} is not an IPv4 address", quoted(token.text)), remedy)
}

/// RFC 4291 §2.2. Plain groups are read here; what is left to the standard library is the dotted form.
#[inline]
pub(crate) fn ipv6(text: &[u8]) -> Option<[u8; 16]> {
    if text.contains(&b'.') {
        let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
        return Some(address.octets());
    }
    let mut octets = [0u8; 16];
    // Octets written so far, and how many of them stand before the `::`.
    let (mut len, mut gap) = (0usize, None);
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"::") {
        gap = Some(0);
        rest = behind;
    }
    while !rest.is_empty() {
        let (value, digits) = hex_group(rest)?;
        octets.get_mut(len..len + 2)?.copy_from_slice(&value.to_be_bytes());
        len += 2;
        rest = rest.get(digits..)?;
        if let Some(behind) = rest.strip_prefix(b"::") {
            if gap.replace(len).is_some() {
                return None;
            }
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix(b":") {
            if behind.is_empty() {
                return None;
            }
            rest = behind;
        } else if !rest.is_empty() {
            return None;
        }
    }
    match gap {
        None if len == 16 => {}
        Some(gap) if len < 16 => {
            octets.copy_within(gap..len, 16 - (len - gap));
            octets.get_mut(gap..16 - (len - gap))?.fill(0);
        }
        _ => return None,
    }
    Some(octets)
}

/// One to four hexadecimal digits, and how many they were.
#[inline]
fn hex_group(text: &[u8]) -> Option<(u16, usize)> {
    let (mut value, mut digits) = (0u16, 0);
    for &octet in text.iter().take(5) {
        let Some(digit) = char::from(octet).to_digit(16) else { break };
        if digits == 4 {
            return None;
        }
        value = value << 4 | digit as u16;
        digits += 1;
    }
    (digits > 0).then_some((value, digits))
}

#[cold]
pub(crate) fn not_ipv6(token: Token<'_>) -> Parsed<()> {
    let dotted = std::str::from_utf8(token.text).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok());
    let remedy = if dotted {
        "this is an IPv4 address; its type is A"
    } else {
        "write up to eight groups of hexadecimal digits, colons between, :: at most once, as 2001:db8::1"
    };
    Problem::err(token.span, format!("{} is not an IPv6 address", quoted(token.text)), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ipv6_is_read_as_the_standard_library_reads_it(text in "[0-9a-f:.]{0,24}|([0-9a-f]{0,5}:){0,9}[0-9a-f]{0,4}") {
            let expected: Option<Ipv6Addr> = text.parse().ok();
            prop_assert_eq!(ipv6(text.as_bytes()).map(Ipv6Addr::from), expected);
        }

        #[test]
        fn ipv4_is_read_as_the_standard_library_reads_it(text in "[0-9.]{0,16}|([0-9]{1,3}[.]){3}[0-9]{1,4}") {
            let expected: Option<Ipv4Addr> = text.parse().ok();
            prop_assert_eq!(ipv4(text.as_bytes()).map(Ipv4Addr::from), expected);
        }

        #[test]
        fn every_ipv6_address_is_read_back(octets: [u16; 8], zeros: u8) {
            let mut octets = octets;
            for (at, group) in octets.iter_mut().enumerate() {
                if zeros >> at & 1 == 1 { *group = 0; }
            }
            let address = Ipv6Addr::from(octets);
            prop_assert_eq!(ipv6(address.to_string().as_bytes()), Some(address.octets()));
        }
    }
}
