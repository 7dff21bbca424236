//! Sets as bits: the types of NSEC, NSEC3 and CSYNC (RFC 4034 §4.1.2), the ports of WKS (RFC 1035 §3.4.2).

use super::codes::{PROTOCOLS, SERVICES};
use super::text::{Input, number, type_code};
use super::wire::{Fault, Octets};
use crate::rtype;
use crate::scan::token::Parsed;
use std::fmt::Write;

/// A set of record types; one bit for each.
pub(crate) struct TypeSet {
    /// By window (the type's high octet), then by low octet, the most significant bit first.
    windows: Box<[[u8; 32]; 256]>,
    /// Which windows have bits.
    used: [bool; 256],
}

impl Default for TypeSet {
    fn default() -> Self {
        Self { windows: Box::new([[0; 32]; 256]), used: [false; 256] }
    }
}

impl TypeSet {
    fn insert(&mut self, rtype: u16) {
        let [window, low] = rtype.to_be_bytes();
        self.used[usize::from(window)] = true;
        self.windows[usize::from(window)][usize::from(low / 8)] |= 0x80 >> (low % 8);
    }

    /// Appends the set in wire format and leaves it empty.
    fn drain_into(&mut self, out: &mut Vec<u8>) {
        for (number, (window, used)) in self.windows.iter_mut().zip(&mut self.used).enumerate() {
            if std::mem::take(used) {
                let length = window.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
                out.extend_from_slice(&[number as u8, length as u8]);
                out.extend_from_slice(window.get(..length).unwrap_or_default());
                *window = [0; 32];
            }
        }
    }

    fn clear(&mut self) {
        for (window, used) in self.windows.iter_mut().zip(&mut self.used) {
            if std::mem::take(used) {
                *window = [0; 32];
            }
        }
    }
}

/// Type mnemonics to the end of the entry, in any order.
pub(crate) fn read_types(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    // What an error in the record before left behind.
    input.scratch.types.clear();
    while let Some(token) = input.maybe()? {
        let rtype = type_code(token)?;
        input.scratch.types.insert(rtype);
    }
    input.scratch.types.drain_into(out);
    Ok(())
}

pub(crate) fn pass_types(octets: &mut Octets<'_>) -> Result<(), Fault> {
    let mut last = None;
    while !octets.0.is_empty() {
        let window = octets.u8()?;
        if last.replace(window).is_some_and(|last| last >= window) {
            return Err(Fault::Bad("the windows are not in order"));
        }
        match octets.counted()? {
            [] => return Err(Fault::Bad("a window is empty")),
            bits if bits.len() > 32 => return Err(Fault::Bad("a window has more than 32 octets")),
            [.., 0] => return Err(Fault::Bad("a window ends with an octet of zero")),
            _ => {}
        }
    }
    Ok(())
}

/// Appends the mnemonics, a blank before each.
pub(crate) fn show_types(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    while !octets.0.is_empty() {
        let window = octets.u8()?;
        for (at, &bits) in octets.counted()?.iter().enumerate() {
            for bit in (0..8).filter(|bit| bits & 0x80 >> bit != 0) {
                let rtype = u16::from_be_bytes([window, (at * 8 + bit) as u8]);
                let _ = write!(out, " {}", rtype::Display(rtype));
            }
        }
    }
    Ok(())
}

/// A protocol, then ports.
pub(crate) fn read_services(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let token = input.word()?;
    let protocol = match PROTOCOLS.number(token.text) {
        Some(protocol) => u32::from(protocol),
        None => number(token, u8::MAX.into())?,
    };
    out.push(protocol as u8);
    let bits = out.len();
    while let Some(token) = input.maybe()? {
        let port = match SERVICES.number(token.text) {
            Some(port) => usize::from(port),
            None => number(token, u16::MAX.into())? as usize,
        };
        let octet = bits + port / 8;
        if out.len() <= octet {
            out.resize(octet + 1, 0);
        }
        out[octet] |= 0x80 >> (port % 8);
    }
    Ok(())
}

pub(crate) fn pass_services(octets: &mut Octets<'_>) -> Result<(), Fault> {
    octets.u8()?;
    match octets.rest() {
        bits if bits.len() > 8_192 => Err(Fault::Bad("there are more bits than ports")),
        [.., 0] => Err(Fault::Bad("the bits end with an octet of zero")),
        _ => Ok(()),
    }
}

/// Appends the protocol and the ports as numbers.
pub(crate) fn show_services(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let _ = write!(out, "{}", octets.u8()?);
    for (at, &bits) in octets.rest().iter().enumerate() {
        for bit in (0..8).filter(|bit| bits & 0x80 >> bit != 0) {
            let _ = write!(out, " {}", at * 8 + bit);
        }
    }
    Ok(())
}
