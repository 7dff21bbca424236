//! `$GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA`, in the form that BIND reads.
//!
//! `$` in the owner and in the data stands for the number of the step; `${OFFSET[,WIDTH[,BASE]]}` adds an offset,
//! pads with zeros, and prints in base `d`, `o`, `x` or `X`, or as nibbles with dots between, lowest first (`n`,
//! `N`). `$$` and `\$` are a dollar sign. Data that are one quoted string are taken without the quotes, so that
//! `"10 mail$"` can be written. Each step becomes a line that is read like any other.

use super::directive::{argument, unquoted};
use super::scanner::{Margin, Scanner};
use super::token::{Cursor, Parsed, Problem, Quotes, Span, Token};
use super::{FileId, MAX_GENERATE_STEPS, MAX_GENERATED, MAX_GENERATED_OCTETS, Place, Record};
use crate::diagnostic::quoted;
use crate::rdata::text::MAX_RDATA;
use std::io::Write;

/// The widest number that a template can ask for: more digits than a label has room for.
const MAX_WIDTH: usize = 255;

/// The longest line that a step may make: the longest rdata, each octet as `\DDD`, and a long owner.
const MAX_LINE: usize = 4 * MAX_RDATA + 4096;

/// START, STOP and STEP.
struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

impl<S: FnMut(Record<'_>)> Scanner<'_, '_, S> {
    pub(super) fn generate(&mut self, file: FileId, cursor: &mut Cursor<'_>, name: Token<'_>) -> Parsed<()> {
        let range = read_range(argument(cursor, name, "a range")?)?;
        let owner = argument(cursor, name, "an owner")?;
        let mut rest = Vec::new();
        while let Some(token) = cursor.next()? {
            rest.push(token);
            if rest.len() > MAX_RDATA {
                return Problem::err(
                    token.span,
                    "$GENERATE has too many words",
                    "no record has so many fields",
                );
            }
        }
        let (head, data) = split_data(&rest, name)?;
        let steps = (range.stop - range.start) / range.step + 1;
        self.generated = self.generated.saturating_add(steps);
        let template = rest.iter().map(|token| token.text.len() + 1).sum::<usize>() + owner.text.len();
        let octets = template.saturating_mul(steps as usize).saturating_add(self.generated_octets);
        if steps > MAX_GENERATE_STEPS || self.generated > MAX_GENERATED || octets > MAX_GENERATED_OCTETS {
            return too_many(name.span, steps);
        }
        let place = Place { file, line: name.span.line, column: name.span.column() };
        let mut line = Vec::new();
        for step in (range.start..=range.stop).step_by(range.step as usize) {
            line.clear();
            expand(owner, owner.text, step, &mut line)?;
            for token in head {
                line.push(b' ');
                line.extend_from_slice(token.text);
            }
            for token in data {
                line.push(b' ');
                match (token.quotes, data.len()) {
                    (Quotes::Within, 1) => expand(*token, &without_quotes(token.text), step, &mut line)?,
                    (Quotes::Within, _) => {
                        line.push(b'"');
                        expand(*token, token.text, step, &mut line)?;
                        line.push(b'"');
                    }
                    (Quotes::Without, _) => expand(*token, token.text, step, &mut line)?,
                }
            }
            self.generated_octets += line.len();
            if self.generated_octets > MAX_GENERATED_OCTETS {
                return too_many(name.span, steps);
            }
            self.generated_record(place, &line).map_err(|problem| in_step(*problem, name.span, &line))?;
            // One warning tells enough.
            self.scratch.warnings.truncate(1);
            if let Some(warning) = self.scratch.warnings.first_mut() {
                warning.span = name.span;
            }
        }
        Ok(())
    }

    fn generated_record(&mut self, place: Place, line: &[u8]) -> Parsed<()> {
        let mut cursor = Cursor::new(line);
        match cursor.next()? {
            Some(first) => self.record(place, &mut cursor, first, Margin::Owner),
            None => Ok(()),
        }
    }
}

fn in_step(problem: Problem, span: Span, line: &[u8]) -> Box<Problem> {
    Problem::new(span, format!("in the generated line {}: {}", quoted(line), problem.message), problem.remedy)
}

fn too_many(span: Span, steps: u32) -> Parsed<()> {
    Problem::err(
        span,
        format!("$GENERATE makes too many records: {steps} here"),
        format!("a range may have {MAX_GENERATE_STEPS} steps, and all of a zone's together {MAX_GENERATED}"),
    )
}

fn read_range(token: Token<'_>) -> Parsed<Range> {
    let parse = || -> Option<Range> {
        let text = std::str::from_utf8(token.text).ok().filter(|text| !text.contains('+'))?;
        let (start, rest) = text.split_once('-')?;
        let (stop, step) = rest.split_once('/').unwrap_or((rest, "1"));
        let range = Range { start: start.parse().ok()?, stop: stop.parse().ok()?, step: step.parse().ok()? };
        (range.start <= range.stop && range.stop < i32::MAX as u32 && range.step > 0).then_some(range)
    };
    parse().ok_or_else(|| {
        Problem::new(
            token.span,
            format!("{} is not a range", quoted(token.text)),
            "write START-STOP or START-STOP/STEP with START not above STOP, as 1-254",
        )
    })
}

/// TTL, class and type, which are taken as they stand, and the data behind them.
fn split_data<'t, 'a>(rest: &'t [Token<'a>], name: Token<'_>) -> Parsed<(&'t [Token<'a>], &'t [Token<'a>])> {
    let is_type = |token: &Token<'_>| unquoted(*token) && crate::rtype::from_text(token.text).is_some();
    match rest.iter().take(3).position(is_type) {
        Some(at) if at + 1 < rest.len() => Ok(rest.split_at(at + 1)),
        _ => Problem::err(
            name.span,
            "$GENERATE lacks a type and data",
            "write $GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA",
        ),
    }
}

/// Takes the escapes off inner quotes: the text is not quoted any more.
fn without_quotes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        match (octet, rest.as_slice()) {
            (b'\\', [b'"', ..]) => {}
            (b'\\', [next, ..]) => {
                out.extend_from_slice(&[octet, *next]);
                rest.next();
            }
            _ => out.push(octet),
        }
    }
    out
}

/// Appends a template with the step's number put in.
fn expand(token: Token<'_>, template: &[u8], step: u32, line: &mut Vec<u8>) -> Parsed<()> {
    let mut rest = template;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match (octet, rest.first()) {
            (b'\\', Some(&next)) => {
                line.extend_from_slice(&[octet, next]);
                rest = rest.get(1..).unwrap_or_default();
            }
            (b'$', Some(b'$')) => {
                line.push(b'$');
                rest = rest.get(1..).unwrap_or_default();
            }
            (b'$', Some(b'{')) => {
                let close = rest.iter().position(|&octet| octet == b'}').unwrap_or(0);
                let modifiers =
                    std::str::from_utf8(rest.get(1..close).unwrap_or_default()).unwrap_or_default();
                if write_modified(modifiers, step, line).is_none() {
                    return bad_modifiers(token);
                }
                rest = rest.get(close + 1..).unwrap_or_default();
            }
            (b'$', _) => {
                // Writing to a vector does not fail.
                let _ = write!(line, "{step}");
            }
            _ => line.push(octet),
        }
        if line.len() > MAX_LINE {
            return Problem::err(token.span, "the generated line is too long", "shorten the template");
        }
    }
    Ok(())
}

fn bad_modifiers(token: Token<'_>) -> Parsed<()> {
    Problem::err(
        token.span,
        format!("{} has a bad ${{...}}", quoted(token.text)),
        "write ${OFFSET}, ${OFFSET,WIDTH} or ${OFFSET,WIDTH,BASE} with BASE one of d o x X n N, and an offset that \
         keeps the number from being negative",
    )
}

/// Appends the number as `OFFSET[,WIDTH[,BASE]]` wants it.
fn write_modified(modifiers: &str, step: u32, line: &mut Vec<u8>) -> Option<()> {
    let mut parts = modifiers.split(',');
    let offset: i64 = parts.next()?.trim().parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), |width| width.trim().parse().ok())?;
    let base = parts.next().map_or("d", str::trim);
    let value = u32::try_from(i64::from(step).checked_add(offset)?).ok()?;
    if parts.next().is_some() || width > MAX_WIDTH {
        return None;
    }
    match base {
        "d" => write!(line, "{value:0width$}"),
        "o" => write!(line, "{value:0width$o}"),
        "x" => write!(line, "{value:0width$x}"),
        "X" => write!(line, "{value:0width$X}"),
        "n" => return write_nibbles(value, width, Case::Lower, line),
        "N" => return write_nibbles(value, width, Case::Upper, line),
        _ => return None,
    }
    .ok()
}

/// Hexadecimal digits, lowest first, dots between; `width` counts digits and dots.
fn write_nibbles(mut value: u32, width: usize, case: Case, line: &mut Vec<u8>) -> Option<()> {
    let start = line.len();
    loop {
        let digit = char::from_digit(value & 15, 16).unwrap_or('0');
        line.push(match case {
            Case::Lower => digit as u8,
            Case::Upper => digit.to_ascii_uppercase() as u8,
        });
        value >>= 4;
        let written = line.len() - start;
        if value == 0 && written >= width {
            return Some(());
        }
        line.push(b'.');
        if value == 0 && written + 1 >= width {
            return Some(());
        }
    }
}

#[derive(Clone, Copy)]
enum Case {
    Lower,
    Upper,
}
