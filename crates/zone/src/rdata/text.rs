//! Rdata from text to wire format, driven by the table of types.
//!
//! Called by the scanner for every record. Octets are appended to a buffer that the scanner reuses; the few
//! forms that must be put in order first (type sets, service parameters) work in [`Scratch`].

use super::address::{self, ipv4, ipv6};
use super::table::{Field, Form, Kind};
use super::{base, bits, location, odd, params, wire};
use crate::diagnostic::quoted;
use crate::rtype;
use crate::scan::name::{NameBuf, Relation, unescape};
use crate::scan::token::{Cursor, Parsed, Problem, Quotes, Span, Subject, Token};

/// The most octets that a record's data can have: RDLENGTH has 16 bits (RFC 1035 §3.2.1).
pub(crate) const MAX_RDATA: usize = 65_535;

/// Buffers that live as long as the scan.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) types: bits::TypeSet,
    pub(crate) params: params::Params,
    /// The name in the rdata that is being read.
    name: NameBuf,
    /// Oddities that do not stop the record.
    pub(crate) warnings: Vec<Problem>,
}

/// The words of an entry from where its rdata begin, and what they are read with.
pub(crate) struct Input<'c, 'a> {
    pub(crate) cursor: &'c mut Cursor<'a>,
    /// What completes relative names.
    pub(crate) origin: &'c [u8],
    pub(crate) scratch: &'c mut Scratch,
}

impl<'a> Input<'_, 'a> {
    /// The next word, if one is left.
    #[inline]
    pub(crate) fn maybe(&mut self) -> Parsed<Option<Token<'a>>> {
        self.cursor.next()
    }

    /// The next word, quoted or not.
    #[inline]
    pub(crate) fn any(&mut self) -> Parsed<Token<'a>> {
        match self.cursor.next()? {
            Some(token) => Ok(token),
            None => self.missing(),
        }
    }

    /// The next word, which must stand without quotes.
    #[inline]
    pub(crate) fn word(&mut self) -> Parsed<Token<'a>> {
        let token = self.any()?;
        if token.quotes == Quotes::Within { in_quotes(token) } else { Ok(token) }
    }

    #[cold]
    fn missing<T>(&self) -> Parsed<T> {
        let problem = Problem::new(self.cursor.here(), "a field is missing", "add what is missing");
        Err(Box::new(Problem { subject: Subject::Missing, ..*problem }))
    }

    /// Reads a name and appends it.
    #[inline]
    pub(crate) fn name(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let token = self.any()?;
        let Scratch { name, warnings, .. } = &mut *self.scratch;
        if name.read(token, self.origin)? == Relation::Completed {
            warn_of_missing_dot(name, token, self.origin, warnings);
        }
        out.extend_from_slice(name.as_wire());
        Ok(())
    }
}

#[cold]
fn in_quotes<T>(token: Token<'_>) -> Parsed<T> {
    Problem::err(token.span, format!("{} stands in quotes", quoted(token.text)), "remove the quotes")
}

/// `www.example.com` in the zone example.com nearly always lacks the dot that keeps it from becoming
/// `www.example.com.example.com.`.
#[inline]
pub(crate) fn warn_of_missing_dot(
    name: &NameBuf,
    token: Token<'_>,
    origin: &[u8],
    warnings: &mut Vec<Problem>,
) {
    let relative = name.as_wire().len() - origin.len();
    let labels = origin.len() - 1;
    if labels == 0 || relative < labels {
        return;
    }
    let (head, tail) = name.as_wire().split_at(relative - labels);
    // Octets that look alike can stand inside a longer label: the head must end where a label does.
    if tail.get(..labels).is_some_and(|tail| tail.eq_ignore_ascii_case(&origin[..labels]))
        && pharos_wire::name::Labels::new(head).map(|label| label.len() + 1).sum::<usize>() == head.len()
    {
        warnings.push(*Problem::new(
            token.span,
            format!("{} becomes {}", quoted(token.text), pharos_wire::name::Text(name.as_wire())),
            "end the name with a dot if it is complete as it stands",
        ));
    }
}

/// Reads the data of a record of type `rtype` and leaves them in `out`, which is emptied first.
#[inline]
pub(crate) fn read(rtype: u16, input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    out.clear();
    let begin = *input.cursor;
    let known = rtype::known(rtype);
    if at_generic_form(input.cursor)? {
        return read_generic(rtype, input, out);
    }
    let Some((known, Kind::Data(fields, check))) = known.map(|known| (known, &known.kind)) else {
        return no_text_form(rtype, input);
    };
    for field in *fields {
        read_field(field, input, out).map_err(|problem| in_field(problem, known.mnemonic, field.label))?;
    }
    if out.len() > MAX_RDATA {
        return too_long(rtype, input);
    }
    match check.map(|check| check(out)) {
        Some(Err(why)) => {
            let span = begin_of(begin, input);
            Problem::err(span, format!("{}: {why}", known.mnemonic), "copy the data again, whole")
        }
        _ => Ok(()),
    }
}

/// Where the rdata begin, for errors of the whole of them.
#[cold]
fn begin_of(begin: Cursor<'_>, input: &Input<'_, '_>) -> Span {
    let mut begin = begin;
    match begin.next() {
        Ok(Some(token)) => token.span,
        _ => input.cursor.here(),
    }
}

#[cold]
fn in_field(mut problem: Box<Problem>, mnemonic: &str, label: &str) -> Box<Problem> {
    match problem.subject {
        Subject::Word => problem.message = format!("{mnemonic} {label}: {}", problem.message).into(),
        Subject::Missing => problem.message = format!("the {mnemonic} record ends before its {label}").into(),
        Subject::Text => {}
    }
    problem
}

#[cold]
fn in_generic(mut problem: Box<Problem>, part: &str) -> Box<Problem> {
    match problem.subject {
        Subject::Word => problem.message = format!("{part} of \\# data: {}", problem.message).into(),
        Subject::Missing => problem.message = format!("\\# data end before their {part}").into(),
        Subject::Text => {}
    }
    problem
}

#[cold]
fn too_long<T>(rtype: u16, input: &Input<'_, '_>) -> Parsed<T> {
    Problem::err(
        input.cursor.here(),
        format!("the data of this {} record are longer than 65535 octets", rtype::Display(rtype)),
        "split them over several records",
    )
}

#[cold]
fn no_text_form(rtype: u16, input: &mut Input<'_, '_>) -> Parsed<()> {
    let span = input.maybe()?.map_or_else(|| input.cursor.here(), |token| token.span);
    Problem::err(
        span,
        format!("{} has no text form of its own here", rtype::Display(rtype)),
        "write its data in the generic form, \\# LENGTH HEX (RFC 3597 \u{a7}5)",
    )
}

/// Whether the rdata are written as `\# LENGTH HEX`; passes the `\#` if so.
#[inline]
fn at_generic_form(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    cursor.skip_blanks();
    if !matches!(cursor.peek(), Some(b'\\' | b'(')) {
        return Ok(false);
    }
    let begin = *cursor;
    let generic = cursor.next()?.is_some_and(|token| token.text == b"\\#" && token.quotes == Quotes::Without);
    if !generic {
        *cursor = begin;
    }
    Ok(generic)
}

/// RFC 3597 §5; for known types too, whose data must then be well-formed.
#[cold]
fn read_generic(rtype: u16, input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    let token = input.word().map_err(|problem| in_generic(problem, "length"))?;
    let length = number(token, MAX_RDATA as u32).map_err(|problem| in_generic(problem, "length"))?;
    let span = token.span;
    if length > 0 {
        base::read_hex(input, out).map_err(|problem| in_generic(problem, "octets"))?;
    }
    if out.len() != length as usize {
        return Problem::err(
            span,
            format!("the length says {length} octets, and {} follow", out.len()),
            "the length counts octets, two hexadecimal digits each",
        );
    }
    wire::validate(rtype, out).or_else(|error| {
        Problem::err(
            span,
            format!("these octets are no {} data: {error}", rtype::Display(rtype)),
            "use the type's own text form",
        )
    })
}

#[inline]
fn read_field(field: &Field, input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    match field.form {
        Form::U8 => out.push(number(input.word()?, u8::MAX.into())? as u8),
        Form::U16 => out.extend_from_slice(&(number(input.word()?, u16::MAX.into())? as u16).to_be_bytes()),
        Form::U32 => out.extend_from_slice(&number(input.word()?, u32::MAX)?.to_be_bytes()),
        Form::Period => out.extend_from_slice(&period(input.word()?)?.to_be_bytes()),
        Form::Ipv4 => {
            let token = input.word()?;
            match ipv4(token.text) {
                Some(octets) => out.extend_from_slice(&octets),
                None => return address::not_ipv4(token),
            }
        }
        Form::Ipv6 => {
            let token = input.word()?;
            match ipv6(token.text) {
                Some(octets) => out.extend_from_slice(&octets),
                None => return address::not_ipv6(token),
            }
        }
        Form::Name(_) => input.name(out)?,
        Form::Strings => {
            string(input.any()?, out)?;
            while let Some(token) = input.maybe()? {
                string(token, out)?;
                bound(out, token)?;
            }
        }
        Form::String => string(input.any()?, out)?,
        Form::OptionalString => {
            if let Some(token) = input.maybe()? {
                string(token, out)?;
            }
        }
        _ => return read_rare_field(field.form, input, out),
    }
    Ok(())
}

fn read_rare_field(form: Form, input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    match form {
        Form::Time => out.extend_from_slice(&odd::read_time(input.word()?)?.to_be_bytes()),
        Form::Code8(codes) => {
            let token = input.word()?;
            let code = match codes.number(token.text) {
                Some(code) => code,
                None => number(token, u8::MAX.into())? as u16,
            };
            out.push(code as u8);
        }
        Form::Code16(codes) => {
            let token = input.word()?;
            let code = match codes.number(token.text) {
                Some(code) => code,
                None => number(token, u16::MAX.into())? as u16,
            };
            out.extend_from_slice(&code.to_be_bytes());
        }
        Form::TypeCode => out.extend_from_slice(&type_code(input.word()?)?.to_be_bytes()),
        Form::LongString => unescaped(input.any()?, out)?,
        Form::Tag => odd::read_tag(input.word()?, out)?,
        Form::Hex => base::read_hex(input, out)?,
        Form::Salt => odd::read_salt(input.word()?, out)?,
        Form::Hash => odd::read_hash(input.word()?, out)?,
        Form::Base64 => {
            let before = out.len();
            base::read_base64(input, out)?;
            if out.len() == before {
                return input.missing();
            }
        }
        Form::OptionalBase64 => base::read_base64(input, out)?,
        Form::Types => bits::read_types(input, out)?,
        Form::Eui(octets) => odd::read_eui(input.word()?, octets, out)?,
        Form::Locator => odd::read_locator(input.word()?, out)?,
        Form::Nsap => odd::read_nsap(input.word()?, out)?,
        Form::Services => bits::read_services(input, out)?,
        Form::Location => location::read(input, out)?,
        Form::Prefixes => odd::read_prefixes(input, out)?,
        Form::HostIdentity => odd::read_host_identity(input, out)?,
        Form::Gateway => odd::read_gateway(input, out)?,
        Form::Relay => odd::read_relay(input, out)?,
        Form::Params => params::read(input, out)?,
        Form::U8 | Form::U16 | Form::U32 | Form::Period | Form::Ipv4 | Form::Ipv6 | Form::Name(_) => {}
        Form::String | Form::OptionalString | Form::Strings => {}
    }
    Ok(())
}

/// Keeps hostile text from filling memory before the length of the whole is looked at.
#[inline]
pub(crate) fn bound(out: &[u8], token: Token<'_>) -> Parsed<()> {
    if out.len() > MAX_RDATA {
        return Problem::err(
            token.span,
            "the data grow longer than 65535 octets here",
            "split them over several records",
        );
    }
    Ok(())
}

/// A decimal number up to `max`.
#[inline]
pub(crate) fn number(token: Token<'_>, max: u32) -> Parsed<u32> {
    let mut value = 0u64;
    if token.text.is_empty() {
        return not_a_number(token);
    }
    for &octet in token.text {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return not_a_number(token);
        }
        value = (value * 10 + u64::from(digit)).min(u64::from(u32::MAX) + 1);
    }
    match u32::try_from(value) {
        Ok(value) if value <= max => Ok(value),
        _ => above(token, max),
    }
}

#[cold]
fn not_a_number(token: Token<'_>) -> Parsed<u32> {
    Problem::err(token.span, format!("{} is not a number", quoted(token.text)), "write it in decimal digits")
}

#[cold]
fn above(token: Token<'_>, max: u32) -> Parsed<u32> {
    Problem::err(
        token.span,
        format!("{} is more than {max}", quoted(token.text)),
        format!("write a number from 0 to {max}"),
    )
}

/// Seconds: a number, or numbers with units as 1w2d3h4m5s.
#[inline]
pub(crate) fn period(token: Token<'_>) -> Parsed<u32> {
    let (mut total, mut part, mut digits) = (0u64, 0u64, 0u32);
    let mut units = 0;
    for &octet in token.text {
        if octet.is_ascii_digit() {
            part = (part * 10 + u64::from(octet - b'0')).min(1 << 40);
            digits += 1;
            continue;
        }
        let seconds = match octet.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return not_a_period(token),
        };
        if digits == 0 {
            return not_a_period(token);
        }
        total = (total + part * seconds).min(1 << 40);
        (part, digits) = (0, 0);
        units += 1;
    }
    if (digits == 0) == (units == 0) {
        return not_a_period(token); // A unit is missing behind the last number, or there is none at all.
    }
    match u32::try_from(total + part) {
        Ok(seconds) => Ok(seconds),
        Err(_) => above(token, u32::MAX),
    }
}

#[cold]
fn not_a_period(token: Token<'_>) -> Parsed<u32> {
    Problem::err(
        token.span,
        format!("{} is not a time in seconds", quoted(token.text)),
        "write seconds, as 5400, or numbers with the units w d h m s, as 1h30m",
    )
}

/// A record type by mnemonic or number.
pub(crate) fn type_code(token: Token<'_>) -> Parsed<u16> {
    rtype::from_text(token.text).ok_or_else(|| {
        Problem::new(
            token.span,
            format!("{} is not a record type", quoted(token.text)),
            "write a type's mnemonic, or TYPE and its number, as TYPE65280",
        )
    })
}

/// A character-string: up to 255 octets behind their number (RFC 1035 §3.3).
#[inline]
pub(crate) fn string(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let start = out.len();
    out.push(0);
    unescaped(token, out)?;
    let octets = out.len() - start - 1;
    match u8::try_from(octets) {
        Ok(octets) => out[start] = octets,
        Err(_) => {
            return Problem::err(
                token.span,
                format!("this string has {octets} octets"),
                "a character-string has at most 255 octets; split it into several strings",
            );
        }
    }
    Ok(())
}

/// Appends the octets that a word stands for.
#[inline]
pub(crate) fn unescaped(token: Token<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let mut rest = token.text;
    while let Some(plain) = rest.iter().position(|&octet| octet == b'\\') {
        out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        let at = token.text.len() - rest.len() + plain + 1;
        let (octet, width) = unescape(token, at)?;
        out.push(octet);
        rest = token.text.get(at + width..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}
