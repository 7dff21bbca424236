//! The control socket: one unix socket for everything that changes state.
//!
//! A client writes one JSON object on one line and gets one back: `{"command":"reload"}` →
//! `{"ok":true,"result":…}`, or `{"ok":false,"error":…,"remedy":…}`. Several may follow one another on a
//! connection. File permissions (0660) decide who may. Whatever a client sends, the server lives on: lines
//! are at most [`LINE_OCTETS_AT_MOST`] long, must be whole within [`LINE_WAIT`], and places are few.
//!
//! [`server::ControlServer`] runs in `pharos serve`, `announce` and `demo`; [`client::call`] in `pharos
//! reload`, `hand-over`, `drain`, `undrain`, `why` and `status`.

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
    /// Leave everything to the next version of this process, whose neighbours shall not notice (sidecar).
    HandOver,
    /// Why a prefix is announced as it is (sidecar).
    Why {
        /// The prefix, like `192.0.2.0/24`.
        prefix: String,
    },
    /// Take the node out of service gently (sidecar).
    Drain {
        /// How long it stays announced, asking for no traffic; as configured if absent.
        within: Option<Duration>,
        /// When the drain ends by itself; never if absent.
        lasts: Option<Duration>,
        /// Who and why.
        order: Order,
    },
    /// Put it back (sidecar).
    Undrain(Order),
    /// Keep levels as they are (sidecar).
    Hold {
        /// `all`, a group or a prefix.
        target: String,
        /// When that ends by itself.
        lasts: Duration,
        /// Who and why.
        order: Order,
    },
    /// Give prefixes a level (sidecar).
    Force {
        /// `all`, a group or a prefix.
        target: String,
        /// The level's name.
        level: String,
        /// When that ends by itself.
        lasts: Duration,
        /// Who and why.
        order: Order,
    },
    /// Take back what was held or forced (sidecar).
    Release {
        /// `all`, a group or a prefix.
        target: String,
        /// Who and why.
        order: Order,
    },
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
const COMMANDS: &str = "status, reload, hand-over, why, drain, undrain, hold, force, release";

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
            "hand-over" => (Self::HandOver, &[]),
            "why" => match text_of(&object, "prefix")? {
                Some(prefix) => (Self::Why { prefix }, &["prefix"]),
                None => {
                    let remedy = "add \"prefix\", like \"192.0.2.0/24\"";
                    return Err(Reply::refused("why needs a prefix", remedy));
                }
            },
            "drain" => {
                let within = seconds_of(&object, "within_seconds")?;
                let lasts = seconds_of(&object, "lasts_seconds")?;
                let drain = Self::Drain { within, lasts, order: Order::of(&object)? };
                (drain, &["within_seconds", "lasts_seconds", "text", "author"])
            }
            "undrain" => (Self::Undrain(Order::of(&object)?), &["text", "author"]),
            "hold" => {
                let (target, lasts) = (target_of(&object)?, lasts_of(&object)?);
                let hold = Self::Hold { target, lasts, order: Order::of(&object)? };
                (hold, &["target", "lasts_seconds", "text", "author"])
            }
            "force" => {
                let (target, lasts) = (target_of(&object)?, lasts_of(&object)?);
                let Some(level) = text_of(&object, "level")? else {
                    return Err(Reply::refused("force needs a level", "add \"level\", like \"degraded\""));
                };
                let force = Self::Force { target, level, lasts, order: Order::of(&object)? };
                (force, &["target", "level", "lasts_seconds", "text", "author"])
            }
            "release" => {
                let release = Self::Release { target: target_of(&object)?, order: Order::of(&object)? };
                (release, &["target", "text", "author"])
            }
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
        let object = match self {
            Self::Status => json!({"command": "status"}),
            Self::Reload => json!({"command": "reload"}),
            Self::HandOver => json!({"command": "hand-over"}),
            Self::Why { prefix } => json!({"command": "why", "prefix": prefix}),
            Self::Drain { within, lasts, .. } => {
                let mut drain = json!({"command": "drain"});
                for (key, time) in [("within_seconds", within), ("lasts_seconds", lasts)] {
                    if let Some(time) = time {
                        drain[key] = time.as_secs_f64().into();
                    }
                }
                drain
            }
            Self::Undrain(_) => json!({"command": "undrain"}),
            Self::Hold { target, lasts, .. } => {
                json!({"command": "hold", "target": target, "lasts_seconds": lasts.as_secs_f64()})
            }
            Self::Force { target, level, lasts, .. } => {
                let lasts = lasts.as_secs_f64();
                json!({"command": "force", "target": target, "level": level, "lasts_seconds": lasts})
            }
            Self::Release { target, .. } => json!({"command": "release", "target": target}),
        };
        match self.order() {
            Some(order) => signed(object, order),
            None => object,
        }
        .to_string()
    }

    /// Who wants it and why, where that is told.
    fn order(&self) -> Option<&Order> {
        match self {
            Self::Status | Self::Reload | Self::HandOver | Self::Why { .. } => None,
            Self::Undrain(order)
            | Self::Drain { order, .. }
            | Self::Hold { order, .. }
            | Self::Force { order, .. }
            | Self::Release { order, .. } => Some(order),
        }
    }
}

fn signed(mut object: Value, order: &Order) -> Value {
    object["text"] = order.text.as_str().into();
    object["author"] = order.author.as_str().into();
    object
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

/// A time in seconds. What no time can be is refused here, so that nobody later has to wonder.
fn seconds_of(object: &Map<String, Value>, key: &str) -> Result<Option<Duration>, Reply> {
    let Some(value) = object.get(key) else { return Ok(None) };
    let time = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.map(Some).ok_or_else(|| {
        Reply::refused(format!("\"{key}\" is no time"), format!("write \"{key}\":3600, in seconds"))
    })
}

fn lasts_of(object: &Map<String, Value>) -> Result<Duration, Reply> {
    let what = "how long it lasts is missing";
    seconds_of(object, "lasts_seconds")?
        .ok_or_else(|| Reply::refused(what, "add \"lasts_seconds\", like 3600"))
}

fn target_of(object: &Map<String, Value>) -> Result<String, Reply> {
    let remedy = "add \"target\": \"all\", a group or a prefix";
    text_of(object, "target")?.ok_or_else(|| Reply::refused("the target is missing", remedy))
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
    /// It was not done and nothing changed, or it was done only in part and the reason says what holds.
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
