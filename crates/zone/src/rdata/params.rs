//! Service parameters of SVCB and HTTPS (RFC 9460 §2): keys with values, put in the order of the wire.
//!
//! Refused are keys that stand twice, lists of mandatory keys that are not kept, and values that a key cannot
//! have: clients must ignore such a record (RFC 9460 §2.2), so that serving it would only hide the mistake.

use super::address::{ipv4, ipv6};
use super::base;
use super::odd::show_ipv6;
use super::show::{show_string, show_text};
use super::text::{Input, MAX_RDATA, number, unescaped};
use super::wire::{Fault, Octets};
use crate::diagnostic::quoted;
use crate::rtype::generic;
use crate::scan::token::{Parsed, Problem, Quotes, Span, Subject, Token};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::ops::Range;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
/// RFC 9461 §5.
const DOHPATH: u16 = 7;
/// RFC 9540 §4.
const OHTTP: u16 = 8;
/// Instead of a key: its value is written as octets. This is the number of no key (RFC 9460 §14.3.2), though it can
/// be written.
const BY_NUMBER: u16 = 65_535;

const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// A key written as its name, or as `key` and its number.
fn key_number(text: &[u8]) -> Option<u16> {
    match named_key(text) {
        Some(key) => Some(key),
        // RFC 9460 §2.1: a number has no leading zeros.
        None if text.strip_prefix(b"key0").is_some_and(|rest| !rest.is_empty()) => None,
        None => generic(text, b"key"),
    }
}

fn named_key(text: &[u8]) -> Option<u16> {
    KEYS.iter().position(|known| known.as_bytes() == text).map(|key| key as u16)
}

fn show_key(key: u16, out: &mut String) {
    match KEYS.get(usize::from(key)) {
        Some(name) => out.push_str(name),
        None => {
            let _ = write!(out, "key{key}");
        }
    }
}

/// Room for the parameters of one record while they are put in order.
#[derive(Default)]
pub(crate) struct Params {
    /// Key, where its value stands in `values`, and where it stood in the text.
    found: Vec<(u16, Range<usize>, Span)>,
    values: Vec<u8>,
    /// A value whose escapes are resolved, before its own form is read.
    plain: Vec<u8>,
}

/// Keys and values to the end of the entry.
pub(crate) fn read(input: &mut Input<'_, '_>, out: &mut Vec<u8>) -> Parsed<()> {
    // The buffers are taken out, since reading words borrows what holds them.
    let mut params = std::mem::take(&mut input.scratch.params);
    params.found.clear();
    params.values.clear();
    let done = read_all(input, &mut params).and_then(|()| params.write(out));
    if done.is_ok() {
        warn_of_ignored(input, out, &params);
    }
    input.scratch.params = params;
    done
}

fn read_all(input: &mut Input<'_, '_>, params: &mut Params) -> Parsed<()> {
    while let Some(token) = input.maybe()? {
        if token.quotes == Quotes::Within {
            return Problem::err(
                token.span,
                "a parameter stands in quotes",
                "only the value can be quoted: key=\"value\" (RFC 9460 \u{a7}2.1)",
            );
        }
        let equals = token.text.iter().position(|&octet| octet == b'=');
        let name = token.text.get(..equals.unwrap_or(token.text.len())).unwrap_or_default();
        let Some(key) = key_number(name) else { return unknown_key(token, name) };
        let mut value = None;
        if let Some(equals) = equals {
            let inline = token.text.get(equals + 1..).unwrap_or_default();
            let span = token.span.part(equals + 1, token.text.len());
            let quoted_follows = inline.is_empty() && input.cursor.peek() == Some(b'"');
            value = match quoted_follows {
                true => input.maybe()?,
                false => Some(Token { text: inline, span, ..token }),
            };
        }
        let start = params.values.len();
        // RFC 9460 §2.1: behind a number stand the octets of the wire, behind a name the form of that key.
        let form = if named_key(name).is_some() { key } else { BY_NUMBER };
        read_value(form, token, value, &mut params.plain, &mut params.values)
            .and_then(|()| check_value(key, token, &params.values[start..]))
            .map_err(|problem| in_param(problem, name))?;
        params.found.push((key, start..params.values.len(), token.span));
        if params.values.len() + 4 * params.found.len() > MAX_RDATA {
            return Problem::err(token.span, "the parameters are longer than 65535 octets", "shorten them");
        }
    }
    Ok(())
}

#[cold]
fn in_param(mut problem: Box<Problem>, name: &[u8]) -> Box<Problem> {
    if problem.subject == Subject::Word {
        problem.message = format!("{}: {}", quoted(name), problem.message).into();
    }
    problem
}

#[cold]
fn unknown_key(token: Token<'_>, name: &[u8]) -> Parsed<()> {
    Problem::err(
        token.span.part(0, name.len()),
        format!("{} is not a parameter key", quoted(name)),
        format!(
            "the keys with names are {}; others are written as key and their number, as key65280",
            KEYS.join(", ")
        ),
    )
}

impl Params {
    /// Puts the parameters in order, checks them, and appends them.
    fn write(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        self.found.sort_by_key(|&(key, ..)| key);
        let twice = self.found.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some([_, (key, _, span)]) = twice {
            let mut name = String::new();
            show_key(*key, &mut name);
            return Problem::err(
                *span,
                format!("the key `{name}` stands twice"),
                "a key may stand once; join the values",
            );
        }
        let start = out.len();
        for (key, value, _) in &self.found {
            let value = self.values.get(value.clone()).unwrap_or_default();
            out.extend_from_slice(&key.to_be_bytes());
            // No value is longer than all of them, which have been bounded.
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
            out.extend_from_slice(value);
        }
        let Err(Fault::Bad(why)) = pass(out.get(start..).unwrap_or_default()) else { return Ok(()) };
        let span = self.found.first().map_or_else(Span::default, |&(_, _, span)| span);
        Problem::err(
            span,
            why,
            "clients ignore a record whose parameters do not fit one another (RFC 9460 \u{a7}2.2)",
        )
    }
}

/// RFC 9460 §2.4.2: a record in AliasMode has no use for parameters.
fn warn_of_ignored(input: &mut Input<'_, '_>, out: &[u8], params: &Params) {
    if let (Some([0, 0]), Some(&(_, _, span))) = (out.get(..2), params.found.first()) {
        input.scratch.warnings.push(*Problem::new(
            span,
            "a record with priority 0 is an alias, whose parameters clients ignore",
            "remove the parameters, or give the record a priority of 1 or more",
        ));
    }
}

/// Appends the wire form of a value. `form` is the key whose text form it has, or [`BY_NUMBER`] if it is written as
/// its octets.
fn read_value(
    form: u16,
    param: Token<'_>,
    value: Option<Token<'_>>,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Parsed<()> {
    let wants_none = matches!(form, NO_DEFAULT_ALPN | OHTTP);
    let Some(token) = value else {
        if wants_none || form > OHTTP {
            return Ok(());
        }
        return Problem::err(param.span, "the value is missing", "write key=value");
    };
    if wants_none && !token.text.is_empty() {
        return Problem::err(token.span, "this key takes no value", "remove the equals sign and the value");
    }
    plain.clear();
    unescaped(token, plain)?;
    let element = |text| Token { text, quotes: Quotes::Without, ..token };
    match form {
        MANDATORY => read_mandatory(token, plain, out)?,
        ALPN => read_alpn(token, plain, out)?,
        PORT => out.extend_from_slice(&(number(element(plain), u16::MAX.into())? as u16).to_be_bytes()),
        IPV4_HINT => {
            for text in plain.split(|&octet| octet == b',') {
                match ipv4(text) {
                    Some(address) => out.extend_from_slice(&address),
                    None => return bad_element(token, text, "an IPv4 address"),
                }
            }
        }
        IPV6_HINT => {
            for text in plain.split(|&octet| octet == b',') {
                match ipv6(text) {
                    Some(address) => out.extend_from_slice(&address),
                    None => return bad_element(token, text, "an IPv6 address"),
                }
            }
        }
        ECH => base::base64(token, plain, out)?,
        _ => out.extend_from_slice(plain),
    }
    Ok(())
}

fn check_value(key: u16, param: Token<'_>, value: &[u8]) -> Parsed<()> {
    let why = match pass_value(key, value) {
        Ok(()) => return Ok(()),
        Err(Fault::Bad(why)) => why,
        Err(Fault::Short) => "the value is cut off",
    };
    Problem::err(param.span, why, "RFC 9460 \u{a7}7 and RFC 9461 \u{a7}5 say what each value looks like")
}

#[cold]
fn bad_element(token: Token<'_>, text: &[u8], what: &str) -> Parsed<()> {
    Problem::err(
        token.span,
        format!("{} is not {what}", quoted(text)),
        "write the elements of the list with commas, and no blanks, between them",
    )
}

/// RFC 9460 §8: keys, here in ascending order.
fn read_mandatory(token: Token<'_>, plain: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut keys = Vec::new();
    for text in plain.split(|&octet| octet == b',') {
        match key_number(text) {
            Some(key) => keys.push(key),
            None => return bad_element(token, text, "a parameter key"),
        }
    }
    keys.sort_unstable();
    out.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
    Ok(())
}

/// RFC 9460 §7.1.1 and appendix A.1: identifiers with commas between; a comma or a backslash inside one stands
/// behind a backslash.
fn read_alpn(token: Token<'_>, plain: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut length_at = out.len();
    out.push(0);
    let mut octets = plain.iter();
    loop {
        let octet = match octets.next() {
            Some(b',') | None => {
                match u8::try_from(out.len() - length_at - 1) {
                    Ok(length) if length > 0 => out[length_at] = length,
                    Ok(_) => return bad_element(token, b"", "a protocol identifier"),
                    Err(_) => {
                        return bad_element(
                            token,
                            plain,
                            "a list of protocol identifiers of 255 octets or less",
                        );
                    }
                }
                if octets.as_slice().is_empty() && plain.last() != Some(&b',') {
                    return Ok(());
                }
                length_at = out.len();
                out.push(0);
                continue;
            }
            Some(b'\\') => match octets.next() {
                Some(octet @ (b',' | b'\\')) => octet,
                _ => {
                    return bad_element(
                        token,
                        plain,
                        "a list in which only commas and backslashes are escaped",
                    );
                }
            },
            Some(octet) => octet,
        };
        out.push(*octet);
    }
}

/// Whether the octets are parameters: keys ascending, each value of its key's form, and all in accord.
pub(crate) fn pass(params: &[u8]) -> Result<(), Fault> {
    let mut last = None;
    for param in iterate(params) {
        let (key, value) = param?;
        if last.replace(key).is_some_and(|last| last >= key) {
            return Err(Fault::Bad("the keys are not in order"));
        }
        pass_value(key, value)?;
        let present = |wanted: u16| iterate(params).flatten().any(|(key, _)| key == wanted);
        match key {
            NO_DEFAULT_ALPN if !present(ALPN) => {
                return Err(Fault::Bad("no-default-alpn needs alpn beside it (RFC 9460 \u{a7}7.1.1)"));
            }
            MANDATORY if !u16s(value).all(present) => {
                return Err(Fault::Bad("a key is listed as mandatory and is not there (RFC 9460 \u{a7}8)"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn iterate(params: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Fault>> {
    let mut octets = Octets(params);
    std::iter::from_fn(move || {
        if octets.0.is_empty() {
            return None;
        }
        let param = octets.u16().and_then(|key| {
            let length = octets.u16()?;
            octets.take(length.into()).map(|value| (key, value))
        });
        if param.is_err() {
            octets.rest();
        }
        Some(param)
    })
}

fn u16s(value: &[u8]) -> impl Iterator<Item = u16> {
    value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

fn pass_value(key: u16, value: &[u8]) -> Result<(), Fault> {
    let whole = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
    let fits = match key {
        MANDATORY if !whole(2) => return Err(Fault::Bad("the list of mandatory keys is empty or cut off")),
        MANDATORY if u16s(value).any(|key| key == MANDATORY) => {
            return Err(Fault::Bad("mandatory lists itself (RFC 9460 \u{a7}8)"));
        }
        MANDATORY => {
            return match u16s(value).is_sorted_by(|a, b| a < b) {
                true => Ok(()),
                false => Err(Fault::Bad("a key is listed as mandatory twice (RFC 9460 \u{a7}8)")),
            };
        }
        ALPN => {
            let mut octets = Octets(value);
            loop {
                if octets.counted()?.is_empty() {
                    return Err(Fault::Bad("a protocol identifier is empty"));
                }
                if octets.0.is_empty() {
                    return Ok(());
                }
            }
        }
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => whole(4),
        IPV6_HINT => whole(16),
        ECH => !value.is_empty(),
        DOHPATH => is_doh_template(value),
        _ => true,
    };
    match fits {
        true => Ok(()),
        false if key == DOHPATH => {
            Err(Fault::Bad("the path is no URI template with the variable dns, as /dns-query{?dns}"))
        }
        false => Err(Fault::Bad("the value does not have the form of its key")),
    }
}

/// RFC 9461 §5: UTF-8, a relative reference that begins with a slash, with the variable `dns` in braces.
fn is_doh_template(value: &[u8]) -> bool {
    let names_dns = |braces: &str| {
        let variables = braces.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
        variables.split(',').any(|variable| variable.split([':', '*']).next() == Some("dns"))
    };
    std::str::from_utf8(value).is_ok_and(|text| {
        let braces = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
        text.starts_with('/') && braces.map(|(inside, _)| inside).any(names_dns)
    })
}

/// Appends the parameters, a blank before each.
pub(crate) fn show(octets: &mut Octets<'_>, out: &mut String) -> Result<(), Fault> {
    let list = |out: &mut String, parts: &mut dyn Iterator<Item = String>| {
        for (at, part) in parts.enumerate() {
            let _ = write!(out, "{}{part}", if at == 0 { "" } else { "," });
        }
    };
    for param in iterate(octets.rest()) {
        let (key, value) = param?;
        out.push(' ');
        show_key(key, out);
        if value.is_empty() {
            continue;
        }
        out.push('=');
        match key {
            MANDATORY => list(
                out,
                &mut u16s(value).map(|key| {
                    let mut name = String::new();
                    show_key(key, &mut name);
                    name
                }),
            ),
            ALPN => show_alpn(value, out)?,
            PORT => list(out, &mut u16s(value).map(|port| port.to_string())),
            IPV4_HINT => list(
                out,
                &mut value.as_chunks().0.iter().map(|&octets: &[u8; 4]| Ipv4Addr::from(octets).to_string()),
            ),
            IPV6_HINT => list(
                out,
                &mut value.as_chunks().0.iter().map(|&octets: &[u8; 16]| {
                    let mut address = String::new();
                    show_ipv6(octets, &mut address);
                    address
                }),
            ),
            ECH => base::show_base64(value, out),
            _ => show_string(value, out),
        }
    }
    Ok(())
}

fn show_alpn(value: &[u8], out: &mut String) -> Result<(), Fault> {
    let mut octets = Octets(value);
    let mut comma = "\"";
    while !octets.0.is_empty() {
        out.push_str(comma);
        let mut escaped = Vec::new();
        for &octet in octets.counted()? {
            if matches!(octet, b',' | b'\\') {
                escaped.push(b'\\');
            }
            escaped.push(octet);
        }
        show_text(&escaped, out);
        comma = ",";
    }
    out.push('"');
    Ok(())
}
