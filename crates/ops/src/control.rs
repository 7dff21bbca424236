//! The control socket: one unix socket for everything that changes state.
//!
//! A client writes one JSON object on one line and gets one back: `{"command":"reload"}` →
//! `{"ok":true,"result":…}`, or `{"ok":false,"error":…,"remedy":…}`. Several may follow one another on a
//! connection. File permissions (0660) decide who may. Whatever a client sends, the server lives on: lines
//! are at most [`LINE_OCTETS_AT_MOST`] long, must be whole within [`LINE_WAIT`], and places are few.
//!
//! [`server::ControlServer`] runs in `pharos serve`, `announce` and `demo`; [`client::call`] in `pharos
//! reload`, `drain`, `undrain`, `why` and `status`.

pub mod client;
pub mod server;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// A request holds a command and a sentence; more is a mistake.
pub const LINE_OCTETS_AT_MOST: usize = 16 * 1024;
/// A line must be whole within this time from its connection's opening or from the reply before it.
pub const LINE_WAIT: Duration = Duration::from_secs(30);
/// A few people and scripts at a time.
pub const CONNECTIONS_AT_MOST: usize = 32;

/// What a client may ask for. Each process refuses what is not its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The same as `/status` over HTTP.
    Status,
    /// Read the zones anew (responder).
    Reload,
    /// Why a prefix is announced as it is (sidecar).
    Why {
        /// The prefix, like `192.0.2.0/24`.
        prefix: String,
    },
    /// Take the node out of service gently (sidecar).
    Drain(Order),
    /// Put it back (sidecar).
    Undrain(Order),
}

/// Who wants something, and why; both are shown wherever the state is explained.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// Why, in the operator's words.
    pub text: String,
    /// Who.
    pub author: String,
}

/// The commands, as a refusal lists them.
const COMMANDS: &str = "status, reload, why, drain, undrain";

impl Request {
    /// Reads a request line.
    pub fn parse(line: &[u8]) -> Result<Self, Reply> {
        const SHAPE: &str = "send one JSON object on one line, like {\"command\":\"status\"}";
        let object = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(Reply::refused("the request is not a JSON object", SHAPE)),
            Err(error) => return Err(Reply::refused(format!("the request is not JSON: {error}"), SHAPE)),
        };
        // Which of two reasons for a drain was meant, nobody knows.
        let Keys(keys) = serde_json::from_slice(line).unwrap_or_default();
        if let Some(key) = keys.iter().enumerate().find_map(|(n, key)| keys[..n].contains(key).then_some(key))
        {
            let what = format!("the request has \"{}\" twice", shortened(key));
            return Err(Reply::refused(what, "keep one of them"));
        }
        let Some(command) = object.get("command").and_then(Value::as_str) else {
            return Err(Reply::refused(
                "the request has no \"command\"",
                format!("the commands are {COMMANDS}"),
            ));
        };
        let (request, keys): (_, &[&str]) = match command {
            "status" => (Self::Status, &[]),
            "reload" => (Self::Reload, &[]),
            "why" => match text_of(&object, "prefix")? {
                Some(prefix) => (Self::Why { prefix }, &["prefix"]),
                None => {
                    let remedy = "add \"prefix\", like \"192.0.2.0/24\"";
                    return Err(Reply::refused("why needs a prefix", remedy));
                }
            },
            "drain" => (Self::Drain(Order::of(&object)?), &["text", "author"]),
            "undrain" => (Self::Undrain(Order::of(&object)?), &["text", "author"]),
            other => {
                let what = format!("there is no command \"{}\"", shortened(other));
                return Err(Reply::refused(what, format!("the commands are {COMMANDS}")));
            }
        };
        // A key that is silently ignored is a drain without its reason.
        match object.keys().find(|key| *key != "command" && !keys.contains(&key.as_str())) {
            Some(key) => {
                let what = format!("{command} has no key \"{}\"", shortened(key));
                let known = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                Err(Reply::refused(what, format!("besides \"command\" its keys are: {known}")))
            }
            None => Ok(request),
        }
    }

    /// The request as a line, without its line break.
    pub fn to_line(&self) -> String {
        let order = |command: &str, order: &Order| json!({"command": command, "text": order.text, "author": order.author});
        match self {
            Self::Status => json!({"command": "status"}),
            Self::Reload => json!({"command": "reload"}),
            Self::Why { prefix } => json!({"command": "why", "prefix": prefix}),
            Self::Drain(why) => order("drain", why),
            Self::Undrain(why) => order("undrain", why),
        }
        .to_string()
    }
}

/// The keys of an object as they stand in the text, each as often as it is written.
#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = entries.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Order {
    fn of(object: &Map<String, Value>) -> Result<Self, Reply> {
        let part = |key| text_of(object, key).map(Option::unwrap_or_default);
        Ok(Self { text: part("text")?, author: part("author")? })
    }
}

fn text_of(object: &Map<String, Value>, key: &str) -> Result<Option<String>, Reply> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => {
            let what = format!("\"{key}\" is not a text");
            Err(Reply::refused(what, format!("write \"{key}\":\"...\"")))
        }
    }
}

/// What a stranger wrote is quoted back to a bounded length and without control characters.
fn shortened(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was done; the result is the command's own.
    Done(Value),
    /// It was not done, nothing changed.
    Refused {
        /// Why not.
        error: String,
        /// What to do instead.
        remedy: String,
    },
}

impl Reply {
    /// Done, with what `value` serializes to.
    pub fn done(value: &impl serde::Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::Done(value),
            Err(error) => {
                Self::refused(format!("it was done, but the result has no JSON form: {error}"), "report this")
            }
        }
    }

    /// Refused, with the reason and the cure.
    pub fn refused(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { error: error.into(), remedy: remedy.into() }
    }

    /// The reply as a line, without its line break.
    pub fn to_line(&self) -> String {
        match self {
            Self::Done(result) => json!({"ok": true, "result": result}),
            Self::Refused { error, remedy } => json!({"ok": false, "error": error, "remedy": remedy}),
        }
        .to_string()
    }

    /// Reads a reply line.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        if value.get("ok")?.as_bool()? {
            return Some(Self::Done(value.get("result").cloned().unwrap_or(Value::Null)));
        }
        let part = |key| value.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(Self::refused(part("error"), part("remedy")))
    }
}

#[cfg(test)]
mod tests;
