//! The one file that knows the YAML library.
//!
//! It turns text into our own configuration types, turns the library's complaints into a [`Fault`] with a
//! place, a path and words that a person can act on, and finds the line and column of any key or item for
//! checks that run after parsing. Called by [`crate::config`] only; replacing the library means rewriting
//! this file.

use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A place in a text: both counted from 1, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One step on the way from the document's root to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// The value of this key in a mapping.
    Key(&'a str),
    /// The item with this number, from 0, in a list.
    Item(usize),
}

/// Why a text is not the configuration that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: Option<Position>,
    /// Dotted path with item numbers, like `sidecar.groups[0].prefixes[1]`; empty at the root.
    pub(crate) path: String,
    pub(crate) kind: FaultKind,
}

/// The kinds of fault that get different advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The file holds nothing.
    Empty,
    /// Not YAML at all.
    Syntax(String),
    /// A key that no option has, with those that exist there.
    UnknownKey { found: String, known: Vec<String> },
    /// A key without which nothing works.
    MissingKey(String),
    /// The same key twice.
    DuplicateKey(String),
    /// A value of the wrong type or out of its type's range: what stands there, what should.
    WrongType { found: String, expected: String },
    /// A value that one of our own types refused, with its own words and cure.
    BadValue { what: String, remedy: Option<String> },
}

/// Separates complaint and cure in the message of a [`refusal`]; no message holds a line break otherwise.
const CURE: char = '\n';

/// The error by which our value types refuse a text: what is wrong, and what to do instead.
pub(crate) fn refusal<E: serde::de::Error>(what: &str, remedy: &str) -> E {
    E::custom(format_args!("{what}{CURE}{remedy}"))
}

/// Parses a whole document.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line == "---";
    if text.lines().all(is_blank) {
        return Err(Fault { position: None, path: String::new(), kind: FaultKind::Empty });
    }
    serde_yaml::from_str(text).map_err(|error| Fault::from_library(&error, text))
}

/// Line and column of the value at `path`, or of its key when the value is a mapping's.
pub(crate) fn locate(text: &str, path: &[Step<'_>]) -> Option<Position> {
    find(text, Seek { path, skip: 0 })
}

/// Line and column of the second writing of `key` in the mapping at a path of [`Fault`]'s form.
fn locate_again(text: &str, path: &str, key: &str) -> Option<Position> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split(['[', ']']).filter(|piece| !piece.is_empty());
        steps.extend(pieces.next().map(Step::Key));
        steps.extend(pieces.filter_map(|number| number.parse().ok()).map(Step::Item));
    }
    steps.push(Step::Key(key));
    find(text, Seek { path: &steps, skip: 1 })
}

fn find(text: &str, seek: Seek<'_>) -> Option<Position> {
    let found = seek.deserialize(serde_yaml::Deserializer::from_str(text));
    position_of(&found.err()?)
}

fn position_of(error: &serde_yaml::Error) -> Option<Position> {
    let place = error.location()?;
    Some(Position { line: place.line(), column: place.column() })
}

impl Fault {
    fn from_library(error: &serde_yaml::Error, text: &str) -> Self {
        let position = position_of(error);
        let mut message = error.to_string();
        if let Some(at) = position {
            let suffix = format!(" at line {} column {}", at.line, at.column);
            if let Some(index) = message.find(&suffix) {
                message.replace_range(index..index + suffix.len(), "");
            }
        }
        let (path, message) = split_path(&message);
        let kind = FaultKind::from_message(message);
        let position = match &kind {
            // The library points at the mapping; the second of the two keys is what a person looks for.
            FaultKind::DuplicateKey(key) => locate_again(text, &path, key).or(position),
            _ => position,
        };
        Self { position, path, kind }
    }
}

/// The library writes `a.b[0]: message`; no message of ours or serde's begins like a path before a colon,
/// save `invalid type: …` and its siblings, which contain a space.
fn split_path(message: &str) -> (String, &str) {
    match message.split_once(": ") {
        Some((path, rest)) if !path.contains([' ', '`', '"']) => (path.to_owned(), rest),
        _ => (String::new(), message),
    }
}

impl FaultKind {
    fn from_message(message: &str) -> Self {
        let quoted = || message.split('`').skip(1).step_by(2).map(str::to_owned);
        if message.starts_with("unknown field `") || message.starts_with("unknown variant `") {
            let mut names = quoted();
            let found = names.next().unwrap_or_default();
            if message.starts_with("unknown variant") {
                let known: Vec<_> = names.collect();
                return Self::WrongType { found: format!("`{found}`"), expected: known.join(" or ") };
            }
            return Self::UnknownKey { found, known: names.collect() };
        }
        if message.starts_with("missing field `") {
            return Self::MissingKey(quoted().next().unwrap_or_default());
        }
        if message.starts_with("duplicate field `") || message.starts_with("duplicate entry with key ") {
            let name = quoted().next().or_else(|| message.split('"').nth(1).map(str::to_owned));
            return Self::DuplicateKey(name.unwrap_or_default());
        }
        if let Some(rest) =
            message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))
        {
            let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "something else"));
            return Self::WrongType { found: found_words(found), expected: expected_words(expected) };
        }
        if let Some((what, remedy)) = message.split_once(CURE) {
            return Self::BadValue { what: what.to_owned(), remedy: Some(remedy.to_owned()) };
        }
        Self::Syntax(message.to_owned())
    }
}

/// serde's name of what it saw, in words.
fn found_words(found: &str) -> String {
    match found {
        "unit value" => "nothing".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a mapping of keys".to_owned(),
        other => other
            .strip_prefix("string ")
            .map(|text| format!("the text {text}"))
            .or_else(|| other.strip_prefix("integer ").map(|n| format!("the number {}", n.trim_matches('`'))))
            .or_else(|| {
                other.strip_prefix("floating point ").map(|n| format!("the number {}", n.trim_matches('`')))
            })
            .or_else(|| other.strip_prefix("boolean ").map(|b| b.trim_matches('`').to_owned()))
            .unwrap_or_else(|| other.to_owned()),
    }
}

/// serde's name of what it wanted, in words.
fn expected_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "a sequence" => "a list, [like, this]",
        "a string" | "string" => "a text",
        "path string" => "a path",
        other if other.starts_with("struct ") => "a mapping of keys",
        other => other,
    }
    .to_owned()
}

/// Walks to a place and fails there: the library notes the place of every failure.
struct Seek<'a> {
    path: &'a [Step<'a>],
    /// So many writings of the last key are passed over.
    skip: usize,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the value that is looked for")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("here"));
        };
        // The key itself is the place when the path ends with it: a caret under a key reads better than one
        // under the first letter of whatever it holds.
        let mut skip = self.skip;
        loop {
            let stop_at = (rest.is_empty() && skip == 0).then_some(*wanted);
            let Some(key) = map.next_key_seed(KeyOf { stop_at })? else { return Ok(()) };
            if key == *wanted && rest.is_empty() {
                skip = skip.saturating_sub(1);
                map.next_value::<IgnoredAny>()?;
            } else if key == *wanted {
                map.next_value_seed(Seek { path: rest, skip })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..*wanted {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(Seek { path: rest, skip: self.skip })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Reads a key as text, and fails on the one that is looked for.
struct KeyOf<'a> {
    stop_at: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf<'_> {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.stop_at == Some(key) { Err(E::custom("here")) } else { Ok(key.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "responder:\n  listen:\n    - \"192.0.2.53:53\"\n    - nonsense\n  workers: auto\n";

    #[test]
    fn a_key_is_found_where_it_stands() {
        let at = locate(TEXT, &[Step::Key("responder"), Step::Key("workers")]);
        assert_eq!(at, Some(Position { line: 5, column: 3 }));
    }

    #[test]
    fn an_item_is_found_where_it_stands() {
        let at = locate(TEXT, &[Step::Key("responder"), Step::Key("listen"), Step::Item(1)]);
        assert_eq!(at, Some(Position { line: 4, column: 7 }));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(locate(TEXT, &[Step::Key("responder"), Step::Key("control")]), None);
        assert_eq!(locate(TEXT, &[Step::Key("responder"), Step::Key("listen"), Step::Item(2)]), None);
    }

    #[test]
    fn a_message_loses_its_path_but_not_its_words() {
        assert_eq!(split_path("a.b[0]: invalid type: map, expected u16").0, "a.b[0]");
        assert_eq!(split_path("invalid type: map, expected u16").0, "");
    }
}
