//! Forms of rdata that one type or two have: read from text, passed on the wire, shown as text.

use super::address::{ipv4, ipv6};
use super::base;
use super::codes::ALGORITHMS;
use super::text::{Input, number};
use super::wire::{Fault, Octets};
use crate::diagnostic::quoted;
use crate::scan::token::{Parsed, Problem, Token};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

fn err<T>(token: Token<'_>, what: &'static str, remedy: &'static str) -> Parsed<T> {
    Problem::err(token.span, format!("{} is not {what}", quoted(token.text)), remedy)
}

/// YYYYMMDDHHmmSS in UTC, or seconds since 1970 modulo 2^32 (RFC 4034 §3.2).
pub(crate) fn read_time(token: Token<'_>) -> Parsed<u32> {
    if token.text.len() < 14 {
        return number(token, u32::MAX);
    }
    calendar_seconds(token.text).map_or_else(
        || {
            err(
                token,
                "a time",
                "write it as YYYYMMDDHHmmSS in UTC, from 1970 to 2106, or as seconds since 1970",
            )
        },
        Ok,
    )
}

/// Seconds since 1970 of YYYYMMDDHHmmSS in UTC.
pub(crate) fn calendar_seconds(text: &[u8]) -> Option<u32> {
    if text.len() != 14 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part =
        |range: Range<usize>| -> Option<i64> { std::str::from_utf8(text.get(range)?).ok()?.parse().ok() };
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    let days = days_since_1970(year, month, day);
    let valid = (1..=12).contains(&month) && day >= 1 && date_of(days) == (year, month, day);
    // A leap second is written as :60 (RFC 4034 does not say; BIND takes it).
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    u32::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

/// Days from 1 January 1970 to a date of the Gregorian calendar. Years are counted from March, so that the leap
/// day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// The date that lies `days` after 1 January 1970: year, month, day.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

/// The canonical text of a time. No clock is read: 32 bits are seconds since 1970, which ends in 2106.
pub(crate) fn show_time(seconds: u32, out: &mut String) {
    let (year, month, day) = date_of(i64::from(seconds) / 86_400);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let _ = write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
}

pub(crate) fn read_tag(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    match u8::try_from(token.text.len()) {
        Ok(length) if token.text.iter().all(u8::is_ascii_alphanumeric) => {
            out.push(length);
            out.extend_from_slice(token.text);
            Ok(())
        }
        _ => err(
            token,
            "a property tag",
            "a tag has letters and digits only, as issue or iodef (RFC 8659 \u{a7}4.1)",
        ),
    }
}

/// Appends what `read` yields behind its length in one octet.
fn counted(token: Token<'_>, out: &mut Vec<u8>, read: impl FnOnce(&mut Vec<u8>) -> Parsed<()>) -> Parsed<()> {
    let start = out.len();
    out.push(0);
    read(out)?;
    match u8::try_from(out.len() - start - 1) {
        Ok(length) => out[start] = length,
        Err(_) => return err(token, "short enough", "at most 255 octets fit here"),
    }
    Ok(())
}

pub(crate) fn read_salt(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    match token.text {
        b"-" => out.push(0),
        _ => counted(token, out, |out| base::hex(token, out))?,
    }
    Ok(())
}

pub(crate) fn read_hash(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    counted(token, out, |out| base::base32(token, out))
}

pub(crate) fn read_eui(token: Token<'_>, octets: usize, out: &mut Vec<u8>) -> Parsed<()> {
    let start = out.len();
    for group in token.text.split(|&octet| octet == b'-') {
        match *group {
            [high, low] => {
                if let (Some(high), Some(low)) = (base::hex_digit(high), base::hex_digit(low)) {
                    out.push(high << 4 | low);
                }
            }
            _ => break,
        }
    }
    if out.len() - start != octets || token.text.len() != octets * 3 - 1 {
        let remedy = match octets {
            6 => "write six pairs of hexadecimal digits with hyphens between, as 00-00-5e-00-53-2a",
            _ => "write eight pairs of hexadecimal digits with hyphens between, as 00-00-5e-ef-10-00-00-2a",
        };
        return err(token, "an EUI address", remedy);
    }
    Ok(())
}

pub(crate) fn show_eui(octets: &[u8], out: &mut String) {
    for (at, octet) in octets.iter().enumerate() {
        let _ = write!(out, "{}{octet:02x}", if at == 0 { "" } else { "-" });
    }
}

pub(crate) fn read_locator(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let start = out.len();
    for group in token.text.split(|&octet| octet == b':') {
        let value = std::str::from_utf8(group).ok().filter(|text| (1..=4).contains(&text.len()));
        // The standard library would take a plus sign.
        match value.filter(|text| !text.starts_with('+')).map(|text| u16::from_str_radix(text, 16)) {
            Some(Ok(value)) if out.len() - start < 8 => out.extend_from_slice(&value.to_be_bytes()),
            _ => return not_a_locator(token),
        }
    }
    if out.len() - start == 8 { Ok(()) } else { not_a_locator(token) }
}

fn not_a_locator(token: Token<'_>) -> Parsed<()> {
    err(
        token,
        "a 64-bit locator or identifier",
        "write four groups of hexadecimal digits with colons between, as 2001:0db8:1140:1000",
    )
}

pub(crate) fn read_nsap(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let digits = token.text.strip_prefix(b"0x").or_else(|| token.text.strip_prefix(b"0X"));
    let start = out.len();
    let mut half = None;
    for &octet in digits.unwrap_or_default().iter().filter(|&&octet| octet != b'.') {
        let Some(digit) = base::hex_digit(octet) else { return not_nsap(token) };
        half = match half {
            None => Some(digit),
            Some(high) => {
                out.push(high << 4 | digit);
                None
            }
        };
    }
    if half.is_some() || out.len() == start { not_nsap(token) } else { Ok(()) }
}

fn not_nsap(token: Token<'_>) -> Parsed<()> {
    err(
        token,
        "an NSAP address",
        "write 0x and pairs of hexadecimal digits, as 0x47.0005.80.005a00 (RFC 1706 \u{a7}5)",
    )
}

/// `[!]family:address/prefix` (RFC 3123 §5), any number of them.
pub(crate) fn read_prefixes(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    while let Some(token) = input.maybe()? {
        if read_prefix(token.text, out).is_none() {
            return err(
                token,
                "an address prefix",
                "write [!]1:ADDRESS/LENGTH for IPv4 and [!]2:ADDRESS/LENGTH for IPv6, as !1:192.0.2.0/24",
            );
        }
        super::text::bound(out, token)?;
    }
    Ok(())
}

fn read_prefix(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (negation, text) = match text.strip_prefix(b"!") {
        Some(text) => (0x80, text),
        None => (0, text),
    };
    let (family, text) = (text.first()?, text.get(2..).filter(|_| text.get(1) == Some(&b':'))?);
    let slash = text.iter().position(|&octet| octet == b'/')?;
    let (address, length) = (text.get(..slash)?, text.get(slash + 1..)?);
    let mut octets = [0; 16];
    let bits = match family {
        b'1' => {
            octets[..4].copy_from_slice(&ipv4(address)?);
            32
        }
        b'2' => {
            octets = ipv6(address)?;
            128
        }
        _ => return None,
    };
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u8 = std::str::from_utf8(length).ok()?.parse().ok().filter(|&length| length <= bits)?;
    // RFC 3123 §4: zeros at the end are left out.
    let kept = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&[0, family - b'0', length, negation | kept as u8]);
    out.extend_from_slice(&octets[..kept]);
    Some(())
}

pub(crate) fn pass_prefixes(octets: &mut Octets<'_>) -> Result<(), Fault> {
    while !octets.0.is_empty() {
        let (family, length) = (octets.u16()?, octets.u8()?);
        let count = octets.u8()? & 0x7f;
        let address = octets.take(count.into())?;
        let (max_length, max_count) = match family {
            1 => (32, 4),
            2 => (128, 16),
            _ => continue, // RFC 3123 §4 leaves room for other families.
        };
        if length > max_length || count > max_count {
            return Err(Fault::Bad("a prefix is longer than its family's addresses"));
        }
        if address.last() == Some(&0) {
            return Err(Fault::Bad("an address ends with octets of zero"));
        }
    }
    Ok(())
}

/// Appends the prefixes; fails for families that have no text form.
pub(crate) fn show_prefixes(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let mut blank = "";
    while !octets.0.is_empty() {
        let (family, length, flags) = (octets.u16()?, octets.u8()?, octets.u8()?);
        let kept = octets.take((flags & 0x7f).into())?;
        let negation = if flags & 0x80 != 0 { "!" } else { "" };
        let mut address = [0; 16];
        address.get_mut(..kept.len()).ok_or(Fault::Short)?.copy_from_slice(kept);
        let _ = write!(out, "{blank}{negation}{family}:");
        match (family, address) {
            (1, [a, b, c, d, ..]) => {
                let _ = write!(out, "{}", Ipv4Addr::new(a, b, c, d));
            }
            (2, address) => show_ipv6(address, out),
            _ => return Err(Fault::Bad("this address family has no text form")),
        }
        let _ = write!(out, "/{length}");
        blank = " ";
    }
    Ok(())
}

/// RFC 5952, with the dotted form for the old IPv4-compatible addresses too, as BIND and ldns print them.
pub(crate) fn show_ipv6(octets: [u8; 16], out: &mut String) {
    let _ = match octets {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if (a, b) != (0, 0) => {
            write!(out, "::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => write!(out, "{}", Ipv6Addr::from(octets)),
    };
}

/// `algorithm HIT key [server...]` (RFC 8005 §6). Only the servers can be several words.
pub(crate) fn read_host_identity(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let algorithm = number(input.word()?, u8::MAX.into())?;
    let tag_at = out.len();
    out.extend_from_slice(&[0, algorithm as u8, 0, 0]);
    let token = input.word()?;
    base::hex(token, out)?;
    let tag = out.len() - tag_at - 4;
    match u8::try_from(tag) {
        Ok(length) if length > 0 => out[tag_at] = length,
        _ => {
            return err(
                token,
                "a host identity tag",
                "a tag has 1 to 255 octets, two hexadecimal digits each",
            );
        }
    }
    let token = input.word()?;
    let key_at = out.len();
    base::base64(token, token.text, out)?;
    match u16::try_from(out.len() - key_at) {
        Ok(length) if length > 0 => out[tag_at + 2..tag_at + 4].copy_from_slice(&length.to_be_bytes()),
        _ => return err(token, "a public key", "a key has 1 to 65535 octets"),
    }
    loop {
        let before = *input.cursor;
        let Some(token) = input.maybe()? else { return Ok(()) };
        super::text::bound(out, token)?;
        *input.cursor = before;
        input.name(out)?;
    }
}

/// Where the names of the rendezvous servers stand, counted from the start of the field.
pub(crate) fn pass_host_identity(octets: &mut Octets<'_>) -> Result<Range<usize>, Fault> {
    let whole = octets.0.len();
    let (tag, _algorithm, key) = (octets.u8()?, octets.u8()?, octets.u16()?);
    if tag == 0 || key == 0 {
        return Err(Fault::Bad("the tag or the key is empty"));
    }
    octets.take(usize::from(tag) + usize::from(key))?;
    let start = whole - octets.0.len();
    while !octets.0.is_empty() {
        octets.name()?;
    }
    Ok(start..whole)
}

pub(crate) fn show_host_identity(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let (tag, algorithm, key) = (octets.u8()?, octets.u8()?, octets.u16()?);
    let _ = write!(out, "{algorithm} {} ", base::Hex(octets.take(tag.into())?));
    base::show_base64(octets.take(key.into())?, out);
    while !octets.0.is_empty() {
        let _ = write!(out, " {}", pharos_wire::name::Text(octets.name()?));
    }
    Ok(())
}

/// Type, algorithm, gateway and key (RFC 4025 §3.1).
pub(crate) fn read_gateway(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let kind = input.word()?;
    let kind_number = number(kind, 3)?;
    let token = input.word()?;
    let algorithm = match ALGORITHMS.number(token.text) {
        Some(code) => u32::from(code),
        None => number(token, u8::MAX.into())?,
    };
    out.extend_from_slice(&[kind_number as u8, algorithm as u8]);
    read_address_or_name(kind_number as u8, input, out)?;
    base::read_base64(input, out)
}

/// Types 0 to 3 of RFC 4025 §2.3 and RFC 8777 §4.2.3: nothing (written as a dot), IPv4, IPv6, a name.
fn read_address_or_name(kind: u8, input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    if kind == 3 {
        return input.name(out);
    }
    let token = input.word()?;
    match kind {
        0 if token.text == b"." => {}
        0 => return err(token, "a dot", "type 0 means that there is no address or name; write a dot"),
        1 => match ipv4(token.text) {
            Some(address) => out.extend_from_slice(&address),
            None => {
                return err(token, "an IPv4 address", "type 1 needs one; types 2 and 3 are IPv6 and names");
            }
        },
        _ => match ipv6(token.text) {
            Some(address) => out.extend_from_slice(&address),
            None => {
                return err(token, "an IPv6 address", "type 2 needs one; types 1 and 3 are IPv4 and names");
            }
        },
    }
    Ok(())
}

/// Where the name is, counted from the start of `octets`, if it is one.
fn pass_address_or_name(kind: u8, octets: &mut Octets<'_>) -> Result<usize, Fault> {
    match kind {
        0 => {}
        1 => drop(octets.take(4)?),
        2 => drop(octets.take(16)?),
        3 => return octets.name().map(<[u8]>::len),
        _ => return Err(Fault::Bad("its type is not one of 0, 1, 2 and 3")),
    }
    Ok(0)
}

fn show_address_or_name(kind: u8, octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    match kind {
        0 => out.push('.'),
        1 => {
            let _ = write!(out, "{}", Ipv4Addr::from(octets.array::<4>()?));
        }
        2 => show_ipv6(octets.array()?, out),
        3 => {
            let _ = write!(out, "{}", pharos_wire::name::Text(octets.name()?));
        }
        _ => return Err(Fault::Bad("this type has no text form")),
    }
    Ok(())
}

/// Where the gateway's name stands, counted from the start of the field.
pub(crate) fn pass_gateway(octets: &mut Octets<'_>) -> Result<Range<usize>, Fault> {
    let (kind, _algorithm) = (octets.u8()?, octets.u8()?);
    let name = pass_address_or_name(kind, octets)?;
    octets.rest();
    Ok(2..2 + name)
}

pub(crate) fn show_gateway(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let (kind, algorithm) = (octets.u8()?, octets.u8()?);
    let _ = write!(out, "{kind} {algorithm} ");
    show_address_or_name(kind, octets, out)?;
    if !octets.0.is_empty() {
        out.push(' ');
        base::show_base64(octets.rest(), out);
    }
    Ok(())
}

/// Discovery bit, type and relay (RFC 8777 §4.3.1).
pub(crate) fn read_relay(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let discovery = number(input.word()?, 1)?;
    let kind = number(input.word()?, 3)?;
    out.push((discovery << 7 | kind) as u8);
    read_address_or_name(kind as u8, input, out)
}

/// Where the relay's name stands, counted from the start of the field.
pub(crate) fn pass_relay(octets: &mut Octets<'_>) -> Result<Range<usize>, Fault> {
    let kind = octets.u8()? & 0x7f;
    let name = pass_address_or_name(kind, octets)?;
    Ok(1..1 + name)
}

pub(crate) fn show_relay(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let octet = octets.u8()?;
    let _ = write!(out, "{} {} ", octet >> 7, octet & 0x7f);
    show_address_or_name(octet & 0x7f, octets, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        for (text, seconds) in [
            ("19700101000000", 0),
            ("20000229235959", 951_868_799),
            ("20300101000000", 1_893_456_000),
            ("21060207062815", u32::MAX),
        ] {
            assert_eq!(calendar_seconds(text.as_bytes()), Some(seconds), "{text}");
            let mut shown = String::new();
            show_time(seconds, &mut shown);
            assert_eq!(shown, text);
        }
        for text in ["20010229000000", "20011301000000", "20010100000000", "20010101240000", "21060207062816"]
        {
            assert_eq!(calendar_seconds(text.as_bytes()), None, "{text}");
        }
    }
}
