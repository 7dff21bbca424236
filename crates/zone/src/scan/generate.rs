//! `$GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA`, in the form that BIND reads.
//!
//! `$` in the owner and in the data stands for the number of the step; `${OFFSET[,WIDTH[,BASE]]}` adds an offset,
//! pads with zeros, and prints in base `d`, `o`, `x` or `X`, or as nibbles with dots between, lowest first (`n`,
//! `N`). `$$` and `\$` are a dollar sign. Data that are one quoted string are taken without the quotes, so that
//! `"10 mail$"` can be written. Each step becomes a line that is read like any other. All steps are read, whatever
//! is wrong with some; steps that fail alike at the same word of the template are told together.

use super::directive::{argument, unquoted};
use super::scanner::{Margin, Scanner};
use super::token::{Cursor, Parsed, Problem, Quotes, Span, Token};
use super::{FileId, MAX_GENERATE_STEPS, MAX_GENERATED, MAX_GENERATED_OCTETS, Place, Record};
use crate::diagnostic::quoted;
use crate::rdata::text::MAX_RDATA;
use crate::rtype;
use std::borrow::Cow;
use std::io::Write;

/// The widest number that a template can ask for: more digits than a label has room for.
const MAX_WIDTH: usize = 255;

/// The longest line that a step may make: the longest rdata, each octet as `\DDD`, and a long owner.
const MAX_LINE: usize = 4 * MAX_RDATA + 4096;

/// How many kinds of failure of one `$GENERATE` are told.
const MAX_FAILURES: usize = 100;

/// START, STOP and STEP.
struct Range<'a> {
    start: u32,
    stop: u32,
    step: u32,
    token: Token<'a>,
}

/// What each step becomes a line of.
struct Template<'t, 'a> {
    owner: Token<'a>,
    /// TTL, class and type.
    head: &'t [Token<'a>],
    data: &'t [Token<'a>],
}

/// The line of one step, and where in it each word of the template begins.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    words: Vec<(usize, Span)>,
}

/// Steps that fail alike.
struct Failure {
    /// Where in the template, and what to do.
    span: Span,
    remedy: Cow<'static, str>,
    /// What is wrong with the first of them.
    message: Cow<'static, str>,
    steps: u32,
    last: u32,
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
        let template = Template { owner, head, data };
        let (steps, token) = ((range.stop - range.start) / range.step + 1, range.token);
        self.admit(token.span, steps, &template)?;
        let span = owner.span;
        let place = Place { file, line: span.line, column: span.column() };
        let (mut line, mut failures, mut warned) = (Line::default(), Vec::new(), false);
        for step in (range.start..=range.stop).step_by(range.step as usize) {
            if let Err(problem) = template.expand(step, &mut line) {
                note(&mut failures, *problem, step, None);
                continue;
            }
            self.generated_octets += line.text.len();
            if self.generated_octets > MAX_GENERATED_OCTETS {
                note(&mut failures, *too_much_text(token.span), step, None);
                break;
            }
            let outcome = self.generated_record(place, &line.text);
            // One warning tells enough.
            self.scratch.warnings.truncate(1);
            if let Some(warning) = self.scratch.warnings.first_mut().filter(|_| !warned) {
                warning.span = line.in_template(warning.span);
            }
            warned = !self.scratch.warnings.is_empty();
            if let Err(mut problem) = outcome {
                problem.span = line.in_template(problem.span);
                note(&mut failures, *problem, step, Some(&line));
            }
        }
        if let (false, Some(rtype)) = (failures.is_empty(), template.rtype()) {
            self.lost.record(rtype);
        }
        for failure in failures {
            self.error(file, cursor, *failure.told(steps));
        }
        Ok(())
    }

    /// Lets so many steps be made, if they are not too many by themselves or with those before.
    fn admit(&mut self, span: Span, steps: u32, template: &Template<'_, '_>) -> Parsed<()> {
        if steps > MAX_GENERATE_STEPS {
            return Problem::err(
                span,
                format!("this $GENERATE makes {steps} records"),
                format!("a range may have {MAX_GENERATE_STEPS} steps: split it"),
            );
        }
        let before = self.generated;
        if steps > MAX_GENERATED - before {
            return Problem::err(
                span,
                format!("this $GENERATE makes {steps} records, and those before it make {before}"),
                format!("all of a zone may make {MAX_GENERATED} records together"),
            );
        }
        if template.octets().saturating_mul(steps as usize)
            > MAX_GENERATED_OCTETS.saturating_sub(self.generated_octets)
        {
            return Err(too_much_text(span));
        }
        self.generated += steps;
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

impl Template<'_, '_> {
    /// Writes the line of a step.
    fn expand(&self, step: u32, line: &mut Line) -> Parsed<()> {
        line.text.clear();
        line.words.clear();
        line.word(self.owner);
        expand(self.owner, self.owner.text, step, &mut line.text)?;
        for token in self.head {
            line.word(*token);
            line.text.extend_from_slice(token.text);
        }
        for token in self.data {
            line.word(*token);
            match (token.quotes, self.data.len()) {
                (Quotes::Within, 1) => expand(*token, &without_quotes(token.text), step, &mut line.text)?,
                (Quotes::Within, _) => {
                    line.text.push(b'"');
                    expand(*token, token.text, step, &mut line.text)?;
                    line.text.push(b'"');
                }
                (Quotes::Without, _) => expand(*token, token.text, step, &mut line.text)?,
            }
        }
        Ok(())
    }

    /// The length of its text.
    fn octets(&self) -> usize {
        let words = self.head.iter().chain(self.data);
        words.map(|token| token.text.len() + 1).sum::<usize>() + self.owner.text.len()
    }

    fn rtype(&self) -> Option<u16> {
        self.head.last().and_then(|token| rtype::from_text(token.text))
    }
}

impl Line {
    /// Begins the word that a word of the template makes.
    fn word(&mut self, token: Token<'_>) {
        if !self.words.is_empty() {
            self.text.push(b' ');
        }
        self.words.push((self.text.len(), token.span));
    }

    /// The word of the template that made this part of the line; the place behind the last one for what is missing.
    fn in_template(&self, part: Span) -> Span {
        let at = part.start as usize;
        let made = self.words.partition_point(|&(start, _)| start <= at);
        let span = self.words.get(made.saturating_sub(1)).map_or_else(Span::default, |&(_, span)| span);
        if at >= self.text.len() { Span { start: span.end, ..span } } else { span }
    }
}

/// Counts a failed step with those that fail like it; `line` is what is wrong, unless the template itself is.
#[cold]
fn note(failures: &mut Vec<Failure>, problem: Problem, step: u32, line: Option<&Line>) {
    let Problem { span, message, remedy, .. } = problem;
    let like = |failure: &&mut Failure| failure.span == span && failure.remedy == remedy;
    if let Some(known) = failures.iter_mut().find(like) {
        (known.steps, known.last) = (known.steps + 1, step);
    } else if failures.len() < MAX_FAILURES {
        let message = match line {
            Some(line) => format!("in the generated line {}: {message}", quoted(&line.text)).into(),
            None => message,
        };
        failures.push(Failure { span, remedy, message, steps: 1, last: step });
    }
}

impl Failure {
    /// What is said of it, where `all` steps were to be made.
    fn told(self, all: u32) -> Box<Problem> {
        let Self { span, remedy, message, steps, last } = self;
        let message = match steps {
            1 => message,
            steps if steps == all => format!("{message} (each of the {all} lines fails so)").into(),
            steps => format!("{message} ({steps} lines fail so, the last one for {last})").into(),
        };
        Problem::new(span, message, remedy)
    }
}

fn too_much_text(span: Span) -> Box<Problem> {
    Problem::new(
        span,
        format!(
            "with this $GENERATE those of the zone make more than {} MiB of text",
            MAX_GENERATED_OCTETS >> 20
        ),
        "shorten the template or the range",
    )
}

fn read_range<'a>(token: Token<'a>) -> Parsed<Range<'a>> {
    let parse = || -> Option<Range<'a>> {
        let text = std::str::from_utf8(token.text).ok().filter(|text| !text.contains('+'))?;
        let (start, rest) = text.split_once('-')?;
        let (stop, step) = rest.split_once('/').unwrap_or((rest, "1"));
        let range =
            Range { start: start.parse().ok()?, stop: stop.parse().ok()?, step: step.parse().ok()?, token };
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
    let is_type = |token: &Token<'_>| unquoted(*token) && rtype::from_text(token.text).is_some();
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
