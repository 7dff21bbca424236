//! Rdata on the wire: whether octets are well-formed data of their type, and where names stand in them.
//!
//! Data that were written in the generic form pass here, and the printing of records relies on it. Names must
//! be uncompressed: this is the form that the scanner makes and that compiled zones hold.

use super::table::{Field, Form, Kind, NameUse};
use super::{bits, location, odd, params};
use crate::rtype;
use std::ops::Range;
use thiserror::Error;

/// Why octets are not the data of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RdataError {
    /// They end inside a field.
    #[error("they end within the {0}")]
    Short(&'static str),
    /// A field does not have the form that it must have.
    #[error("{field}: {why}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Octets follow the last field.
    #[error("{0} octets follow the last field")]
    Extra(usize),
    /// All fields have their form, but do not fit one another.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// More than RDLENGTH can count (RFC 1035 §3.2.1).
    #[error("{0} octets are more than the 65535 that a record can have")]
    TooLong(usize),
}

/// What stops the reading of one field.
pub(crate) enum Fault {
    Short,
    Bad(&'static str),
}

/// Octets that are consumed from the left.
#[derive(Clone, Copy)]
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl<'a> Octets<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// An uncompressed name.
    pub(crate) fn name(&mut self) -> Result<&'a [u8], Fault> {
        use pharos_wire::name::{NameError, measure};
        let length = measure(self.0).map_err(|error| match error {
            NameError::Unfinished => Fault::Short,
            NameError::TooLong => Fault::Bad("the name is longer than 255 octets"),
            _ => Fault::Bad("the name has a label that is compressed or longer than 63 octets"),
        })?;
        self.take(length)
    }

    /// Octets behind their number in one octet.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.u8()?;
        self.take(count.into())
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn some(&mut self) -> Result<(), Fault> {
        if self.rest().is_empty() { Err(Fault::Short) } else { Ok(()) }
    }
}

/// Whether `rdata` (uncompressed wire format) is well-formed for records of type `rtype`. Types without a known
/// form take any octets.
///
/// # Errors
/// [`RdataError`] says which field is wrong.
pub fn validate(rtype: u16, rdata: &[u8]) -> Result<(), RdataError> {
    if rdata.len() > super::text::MAX_RDATA {
        return Err(RdataError::TooLong(rdata.len()));
    }
    let Some((fields, check)) = form_of(rtype) else { return Ok(()) };
    let mut octets = Octets(rdata);
    for field in fields {
        pass(field.form, &mut octets).map_err(|fault| match fault {
            Fault::Short => RdataError::Short(field.label),
            Fault::Bad(why) => RdataError::Malformed { field: field.label, why },
        })?;
    }
    if !octets.0.is_empty() {
        return Err(RdataError::Extra(octets.0.len()));
    }
    check.map_or(Ok(()), |check| check(rdata)).map_err(RdataError::Inconsistent)
}

fn form_of(rtype: u16) -> Option<(&'static [Field], super::table::Check)> {
    match rtype::known(rtype)?.kind {
        Kind::Data(fields, check) => Some((fields, check)),
        Kind::Opaque | Kind::NotInZones => None,
    }
}

/// Consumes one field and checks it.
pub(crate) fn pass(form: Form, octets: &mut Octets<'_>) -> Result<(), Fault> {
    match form {
        Form::U8 | Form::Code8(_) => octets.take(1).map(drop),
        Form::U16 | Form::Code16(_) | Form::TypeCode => octets.take(2).map(drop),
        Form::U32 | Form::Period | Form::Time | Form::Ipv4 => octets.take(4).map(drop),
        Form::Ipv6 => octets.take(16).map(drop),
        Form::Locator => octets.take(8).map(drop),
        Form::Eui(count) => octets.take(count).map(drop),
        Form::Name(_) => octets.name().map(drop),
        Form::String | Form::Salt => octets.counted().map(drop),
        Form::OptionalString if octets.0.is_empty() => Ok(()),
        Form::OptionalString => octets.counted().map(drop),
        Form::Strings => {
            octets.counted()?;
            while !octets.0.is_empty() {
                octets.counted()?;
            }
            Ok(())
        }
        Form::Tag => match octets.counted()? {
            [] => Err(Fault::Bad("it is empty")),
            tag if tag.iter().all(u8::is_ascii_alphanumeric) => Ok(()),
            _ => Err(Fault::Bad("it has other characters than letters and digits")),
        },
        Form::Hash => match octets.counted()? {
            [] => Err(Fault::Bad("it is empty")),
            _ => Ok(()),
        },
        Form::LongString | Form::OptionalBase64 => {
            octets.rest();
            Ok(())
        }
        Form::Hex | Form::Base64 | Form::Nsap => octets.some(),
        Form::Types => bits::pass_types(octets),
        Form::Services => bits::pass_services(octets),
        Form::Location => location::pass(octets),
        Form::Prefixes => odd::pass_prefixes(octets),
        Form::HostIdentity => odd::pass_host_identity(octets).map(drop),
        Form::Gateway => odd::pass_gateway(octets).map(drop),
        Form::Relay => odd::pass_relay(octets).map(drop),
        Form::Params => params::pass(octets.rest()),
    }
}

/// The domain names in `rdata` of type `rtype`: where each stands, and how it may be treated. Data that are not
/// well-formed give the names that stand before the fault.
#[must_use]
pub fn names(rtype: u16, rdata: &[u8]) -> Names<'_> {
    let fields = form_of(rtype).map_or(&[][..], |(fields, _)| fields);
    Names { rdata, fields: fields.iter(), at: 0, run: 0..0 }
}

/// What [`names`] gives: octets of the rdata, and what may be done to the name there.
#[derive(Clone)]
pub struct Names<'a> {
    rdata: &'a [u8],
    fields: std::slice::Iter<'static, Field>,
    at: usize,
    /// Names inside a field that is more than a name: one behind the other, never compressed.
    run: Range<usize>,
}

impl Iterator for Names<'_> {
    type Item = (Range<usize>, NameUse);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.run.is_empty() {
                let length = Octets(self.rdata.get(self.run.clone())?).name().ok()?.len();
                let start = self.run.start;
                self.run.start += length;
                return Some((start..start + length, NameUse::Verbatim));
            }
            let field = self.fields.next()?;
            let start = self.at;
            let mut octets = Octets(self.rdata.get(start..)?);
            let inner = match field.form {
                Form::HostIdentity => odd::pass_host_identity(&mut octets).ok()?,
                Form::Gateway => odd::pass_gateway(&mut octets).ok()?,
                Form::Relay => odd::pass_relay(&mut octets).ok()?,
                form => {
                    pass(form, &mut octets).ok()?;
                    0..0
                }
            };
            self.at = self.rdata.len() - octets.0.len();
            match field.form {
                Form::Name(name_use) => return Some((start..self.at, name_use)),
                _ => self.run = start + inner.start..start + inner.end,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(rtype: &str, rdata: &[u8]) -> Vec<(Range<usize>, NameUse)> {
        let rtype = rtype::from_text(rtype.as_bytes()).unwrap();
        assert_eq!(validate(rtype, rdata), Ok(()));
        names(rtype, rdata).collect()
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        use NameUse::{Compressible, Folded, Verbatim};
        assert_eq!(names_of("A", &[1, 2, 3, 4]), []);
        assert_eq!(names_of("NS", b"\x01a\0"), [(0..3, Compressible)]);
        assert_eq!(names_of("MX", b"\0\x0a\x01a\0"), [(2..5, Compressible)]);
        let soa = b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01";
        assert_eq!(names_of("SOA", soa), [(0..3, Compressible), (3..6, Compressible)]);
        assert_eq!(names_of("SRV", b"\0\x01\0\x01\0\x01\x01a\0"), [(6..9, Folded)]);
        assert_eq!(names_of("NAPTR", b"\0\x01\0\x01\x01s\x02ab\0\x01a\0"), [(10..13, Folded)]);
        assert_eq!(names_of("SVCB", b"\0\x01\x01a\0"), [(2..5, Verbatim)]);
        assert_eq!(names_of("HIP", b"\x01\x02\0\x01hk\x01a\0\x01b\0"), [(6..9, Verbatim), (9..12, Verbatim)]);
        assert_eq!(names_of("IPSECKEY", b"\x0a\x03\x02\x01a\0key"), [(3..6, Verbatim)]);
        assert_eq!(names_of("AMTRELAY", b"\x0a\x03\x01a\0"), [(2..5, Verbatim)]);
    }

    #[test]
    fn compressed_names_and_cut_off_data_are_refused() {
        assert_eq!(
            validate(2, b"\xc0\x0c").unwrap_err().to_string(),
            "host: the name has a label that is compressed or longer than 63 octets"
        );
        assert_eq!(validate(1, &[1, 2, 3]), Err(RdataError::Short("address")));
        assert_eq!(validate(1, &[1, 2, 3, 4, 5]), Err(RdataError::Extra(1)));
        assert_eq!(validate(16, b""), Err(RdataError::Short("text")));
    }

    #[test]
    fn unknown_types_take_any_octets() {
        assert_eq!(validate(65280, b"\xff"), Ok(()));
        assert_eq!(names(65280, b"\x01a\0").count(), 0);
    }
}
