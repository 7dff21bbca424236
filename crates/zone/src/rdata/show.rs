//! Rdata from wire format to the canonical text of their type.
//!
//! The text is what `named-compilezone` and `ldns-read-zone` agree on: strings in double quotes, names absolute,
//! times as dates, numbers where a mnemonic could stand. Where they differ it is BIND's (hexadecimal digits in
//! upper case, service parameters in quotes), without its blanks inside long base 16 and base 64.

use super::table::{Form, Kind};
use super::wire::{Fault, Octets};
use super::{base, bits, location, odd, params, wire};
use crate::rtype;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Appends the text of `rdata` (uncompressed wire format) to `out`. What is not well-formed for its type, or has
/// no text form, is written as `\# LENGTH HEX` (RFC 3597 §5), which the scanner reads back for unknown types.
pub fn write_text(rtype: u16, rdata: &[u8], out: &mut String) {
    let start = out.len();
    if let Some(Kind::Data(fields, _)) = rtype::known(rtype).map(|known| &known.kind) {
        let mut octets = Octets(rdata);
        let valid = wire::validate(rtype, rdata).is_ok() && !rdata.is_empty();
        let mut shown = |out: &mut String| {
            fields.iter().enumerate().try_for_each(|(at, field)| {
                let sets_itself_apart = matches!(
                    field.form,
                    Form::Types | Form::Params | Form::OptionalString | Form::OptionalBase64
                );
                if at > 0 && !sets_itself_apart {
                    out.push(' ');
                }
                show_field(field.form, &mut octets, out)
            })
        };
        if valid && shown(out).is_ok() {
            return;
        }
        out.truncate(start);
    }
    // Writing to a string does not fail.
    let _ = write!(out, "\\# {}", rdata.len());
    if !rdata.is_empty() {
        out.push(' ');
        base::show_hex(rdata, out);
    }
}

fn show_field(form: Form, octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let number = |number: u32, out: &mut String| {
        let _ = write!(out, "{number}");
    };
    match form {
        Form::U8 => number(octets.u8()?.into(), out),
        Form::U16 => number(octets.u16()?.into(), out),
        Form::U32 | Form::Period => number(octets.u32()?, out),
        Form::Time => odd::show_time(octets.u32()?, out),
        Form::Code8(codes) | Form::Code16(codes) => {
            let code = if matches!(form, Form::Code8(_)) { octets.u8()?.into() } else { octets.u16()? };
            match codes.printed_name(code) {
                Some(name) => out.push_str(name),
                None => number(code.into(), out),
            }
        }
        Form::TypeCode => {
            let _ = write!(out, "{}", rtype::Display(octets.u16()?));
        }
        Form::Ipv4 => {
            let _ = write!(out, "{}", Ipv4Addr::from(octets.array::<4>()?));
        }
        Form::Ipv6 => odd::show_ipv6(octets.array()?, out),
        Form::Name(_) => {
            let _ = write!(out, "{}", pharos_wire::name::Text(octets.name()?));
        }
        Form::String => show_string(octets.counted()?, out),
        Form::OptionalString | Form::OptionalBase64 if octets.0.is_empty() => {}
        Form::OptionalString => {
            out.push(' ');
            show_string(octets.counted()?, out);
        }
        Form::Strings => {
            show_string(octets.counted()?, out);
            while !octets.0.is_empty() {
                out.push(' ');
                show_string(octets.counted()?, out);
            }
        }
        Form::LongString => show_string(octets.rest(), out),
        Form::Tag => octets.counted()?.iter().for_each(|&octet| out.push(octet.into())),
        Form::Hex => base::show_hex(octets.rest(), out),
        Form::Salt => match octets.counted()? {
            [] => out.push('-'),
            salt => base::show_hex(salt, out),
        },
        Form::Hash => base::show_base32(octets.counted()?, out),
        Form::OptionalBase64 => {
            out.push(' ');
            base::show_base64(octets.rest(), out);
        }
        Form::Base64 => base::show_base64(octets.rest(), out),
        Form::Types => bits::show_types(octets, out)?,
        Form::Eui(count) => odd::show_eui(octets.take(count)?, out),
        Form::Locator => {
            let [a, b, c, d] = [octets.u16()?, octets.u16()?, octets.u16()?, octets.u16()?];
            let _ = write!(out, "{a:04x}:{b:04x}:{c:04x}:{d:04x}");
        }
        Form::Nsap => {
            // Lower case, as both BIND and ldns have it here.
            out.push_str("0x");
            for octet in octets.rest() {
                let _ = write!(out, "{octet:02x}");
            }
        }
        Form::Services => bits::show_services(octets, out)?,
        Form::Location => location::show(octets, out)?,
        Form::Prefixes => odd::show_prefixes(octets, out)?,
        Form::HostIdentity => odd::show_host_identity(octets, out)?,
        Form::Gateway => odd::show_gateway(octets, out)?,
        Form::Relay => odd::show_relay(octets, out)?,
        Form::Params => params::show(octets, out)?,
    }
    Ok(())
}

/// Appends octets as a character-string in double quotes.
pub(crate) fn show_string(octets: &[u8], out: &mut String) {
    out.push('"');
    show_text(octets, out);
    out.push('"');
}

/// Appends octets as they stand within double quotes.
pub(crate) fn show_text(octets: &[u8], out: &mut String) {
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(octet.into());
            }
            b' '..=b'~' => out.push(octet.into()),
            _ => {
                let _ = write!(out, "\\{octet:03}");
            }
        }
    }
}
