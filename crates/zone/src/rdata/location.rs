//! LOC (RFC 1876): positions on the earth in thousandths of a second of arc and centimetres.

use super::text::Input;
use super::wire::{Fault, Octets};
use crate::diagnostic::quoted;
use crate::scan::token::{Parsed, Problem, Token};
use std::fmt::Write;

/// What stands for 0° on both axes; thousandths of a second of arc (RFC 1876 §2).
const MERIDIAN: u32 = 1 << 31;
/// Thousandths of a second of arc in a degree.
const DEGREE: u32 = 3_600_000;
/// What stands for the WGS 84 ellipsoid: altitudes count centimetres from 100 km below it.
const GROUND_CM: i64 = 10_000_000;
/// Sizes and precisions have one digit and a power of ten up to 9: 90,000 km in centimetres.
const MAX_SIZE_CM: u64 = 9_000_000_000;

/// `d1 [m1 [s1]] N|S d2 [m2 [s2]] E|W alt[m] [size[m] [horizontal[m] [vertical[m]]]]`
pub(crate) fn read(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let latitude = read_angle(input, 90, [b'N', b'S'])?;
    let longitude = read_angle(input, 180, [b'E', b'W'])?;
    let token = input.word()?;
    let altitude = centimetres(token, -GROUND_CM, i64::from(u32::MAX) - GROUND_CM)? + GROUND_CM;
    // RFC 1876 §3: size 1 m, horizontal precision 10,000 m, vertical precision 10 m.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        let Some(token) = input.maybe()? else { break };
        *size = size_octet(centimetres(token, 0, MAX_SIZE_CM as i64)? as u64);
    }
    out.push(0); // The version.
    out.extend_from_slice(&sizes);
    out.extend_from_slice(&latitude.to_be_bytes());
    out.extend_from_slice(&longitude.to_be_bytes());
    out.extend_from_slice(&(altitude as u32).to_be_bytes());
    Ok(())
}

/// Degrees, perhaps minutes and seconds, and a direction: `[positive, negative]`.
fn read_angle(input: &mut Input<'_, '_>, max_degrees: u32, directions: [u8; 2]) -> Parsed<u32> {
    let token = input.word()?;
    let mut angle = thousandths(token, max_degrees, 0)? / 1000 * DEGREE;
    let mut unit = DEGREE / 60;
    loop {
        let token = input.word()?;
        let side = match token.text {
            [letter] => directions.iter().position(|known| known.eq_ignore_ascii_case(letter)),
            _ => None,
        };
        if side.is_some() && angle > max_degrees * DEGREE {
            return Problem::err(
                token.span,
                format!("the angle is more than {max_degrees} degrees"),
                "latitudes reach 90 degrees, longitudes 180",
            );
        }
        match (side, unit) {
            (Some(0), _) => return Ok(MERIDIAN + angle),
            (Some(_), _) => return Ok(MERIDIAN - angle),
            (None, 60_000) => angle += thousandths(token, 59, 0)? / 1000 * unit,
            (None, 1_000) => angle += thousandths(token, 59, 3)?,
            (None, _) => return not_an_angle(token, directions),
        }
        unit /= 60;
    }
}

fn not_an_angle(token: Token<'_>, [positive, negative]: [u8; 2]) -> Parsed<u32> {
    let (positive, negative) = (char::from(positive), char::from(negative));
    Problem::err(
        token.span,
        format!("{} stands where {positive} or {negative} must", quoted(token.text)),
        format!(
            "write degrees, minutes and seconds, then {positive} or {negative}, as 52 22 23.000 {positive}"
        ),
    )
}

/// A decimal number up to `max` (its whole part) with at most `digits` digits behind the point, in thousandths.
fn thousandths(token: Token<'_>, max: u32, digits: usize) -> Parsed<u32> {
    let value = fixed_point(token.text, digits).map(|value| {
        value / 10_u64.pow(digits as u32) * 1000
            + value % 10_u64.pow(digits as u32) * 1000 / 10_u64.pow(digits as u32)
    });
    match value {
        Some(value) if value <= u64::from(max) * 1000 + 999 => Ok(value as u32),
        _ => Problem::err(
            token.span,
            format!("{} is not a number from 0 to {max}", quoted(token.text)),
            "write degrees, minutes and seconds as numbers; only seconds have decimals, three at most",
        ),
    }
}

/// The number that `text` is, times 10 to the power of `digits`.
fn fixed_point(text: &[u8], digits: usize) -> Option<u64> {
    let point = text.iter().position(|&octet| octet == b'.').unwrap_or(text.len());
    let (whole, decimals) = (text.get(..point)?, text.get(point + 1..).unwrap_or_default());
    let bad_point = point < text.len() && (digits == 0 || decimals.is_empty());
    if whole.is_empty() || whole.len() > 12 || decimals.len() > digits || bad_point {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', digits - decimals.len());
    whole
        .iter()
        .chain(decimals)
        .chain(padding)
        .try_fold(0u64, |value, octet| octet.is_ascii_digit().then(|| value * 10 + u64::from(octet - b'0')))
}

/// Metres with at most two decimals and perhaps an `m`, in centimetres.
fn centimetres(token: Token<'_>, min: i64, max: i64) -> Parsed<i64> {
    let text = token.text.strip_suffix(b"m").unwrap_or(token.text);
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    match fixed_point(digits, 2).map(|value| sign * value as i64) {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        _ => Problem::err(
            token.span,
            format!("{} is not a length from {} m to {} m", quoted(token.text), min / 100, max / 100),
            "write metres with at most two decimals, as 12.34m",
        ),
    }
}

/// One digit and a power of ten; what does not fit is cut off (RFC 1876 §2).
fn size_octet(mut centimetres: u64) -> u8 {
    let mut exponent = 0;
    while centimetres >= 10 {
        centimetres /= 10;
        exponent += 1;
    }
    (centimetres as u8) << 4 | exponent
}

fn size_of(octet: u8) -> Option<u64> {
    let (digit, exponent) = (u64::from(octet >> 4), u32::from(octet & 15));
    (digit <= 9 && exponent <= 9).then(|| digit * 10_u64.pow(exponent))
}

pub(crate) fn pass(octets: &mut Octets<'_>) -> Result<(), Fault> {
    if octets.u8()? != 0 {
        octets.rest(); // RFC 1876 §2: another version has another form.
        return Ok(());
    }
    if octets.array::<3>()?.iter().any(|&size| size_of(size).is_none()) {
        return Err(Fault::Bad("a size or precision has a digit or a power above 9"));
    }
    for max_degrees in [90, 180] {
        if octets.u32()?.abs_diff(MERIDIAN) > max_degrees * DEGREE {
            return Err(Fault::Bad("an angle is out of range"));
        }
    }
    octets.u32().map(drop)
}

/// Appends the text; fails for versions that have none.
pub(crate) fn show(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    if octets.u8()? != 0 {
        return Err(Fault::Bad("this version has no text form"));
    }
    let sizes = octets.array::<3>()?;
    for [positive, negative] in [['N', 'S'], ['E', 'W']] {
        let angle = octets.u32()?;
        let side = if angle >= MERIDIAN { positive } else { negative };
        let angle = angle.abs_diff(MERIDIAN);
        let (degrees, minutes) = (angle / DEGREE, angle / 60_000 % 60);
        let (seconds, rest) = (angle / 1000 % 60, angle % 1000);
        let _ = write!(out, "{degrees} {minutes} {seconds}.{rest:03} {side} ");
    }
    let altitude = i64::from(octets.u32()?) - GROUND_CM;
    let sign = if altitude < 0 { "-" } else { "" };
    let altitude = altitude.abs();
    let _ = write!(out, "{sign}{}.{:02}m", altitude / 100, altitude % 100);
    for size in sizes {
        let size = size_of(size).ok_or(Fault::Bad("a size is out of range"))?;
        let _ = match size {
            0..100 => write!(out, " 0.{size:02}m"),
            _ => write!(out, " {}m", size / 100),
        };
    }
    Ok(())
}
