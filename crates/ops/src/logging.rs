//! Logging: one line per event that a person may need, on stderr, as text or JSON.
//!
//! Every process installs it once, first thing. stdout stays free for what a command prints on purpose. The
//! level comes from the command line, else from the environment variable `PHAROS_LOG`, else it is `info`.
//!
//! Logging neither waits nor fails: lines go through a queue with bounds to a thread that writes them. What
//! stderr does not take is lost, and counted ([`dropped`], [`register`]).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::EnvFilter;

mod queue;

use queue::Queue;

/// The environment variable that gives the level when no option does.
pub const LEVEL_VARIABLE: &str = "PHAROS_LOG";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people; coloured when stderr is a terminal.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("\"{other}\" is not a log format: write text or json")),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    /// The level or filter means nothing.
    #[error(
        "\"{filter}\" is not a log level ({reason}): write error, warn, info, debug, trace, or TARGET=LEVEL,..."
    )]
    Filter {
        /// What was given.
        filter: String,
        /// Why it was refused.
        reason: String,
    },
    /// The thread that writes could not be made.
    #[error("the thread that writes the log cannot be started: {reason}")]
    Thread {
        /// What the system said.
        reason: String,
    },
    /// Something in this process logs already.
    #[error("logging was already set up in this process")]
    Twice,
}

/// How long an orderly end waits for stderr to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long a panic waits for its words to be written: it must end the process, heard or not.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Logging, as long as it is kept. Dropping it waits until the lines so far are written, at most a second;
/// later lines are still written, but not waited for.
#[derive(Debug)]
#[must_use = "dropping it ends the waiting for the last lines"]
pub struct Logging {
    queue: Queue,
}

impl Logging {
    /// Writes a line as it is, after those of the log, and like them.
    pub fn say(&self, line: &str) {
        self.queue.put(format!("{line}\n").as_bytes());
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.queue.flush(LAST_LINES);
    }
}

/// Sets up logging for the whole process; `level` is a level or a list of `TARGET=LEVEL`. Panics go the same
/// way as lines: a stderr that takes nothing must not keep a broken process alive.
pub fn init(format: Format, level: Option<&str>, default_level: &str) -> Result<Logging, LoggingError> {
    let from_environment = std::env::var(LEVEL_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = level.or(from_environment.as_deref()).unwrap_or(default_level);
    let env_filter = EnvFilter::try_new(filter)
        .map_err(|error| LoggingError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let queue = Queue::start(format, std::io::stderr())
        .map_err(|error| LoggingError::Thread { reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(Arc::new(queue.clone()))
        // It would report them to stderr, and a failure there is a panic.
        .log_internal_errors(false)
        .with_target(false);
    let installed = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    installed.map_err(|_| LoggingError::Twice)?;
    let words = queue.clone();
    std::panic::set_hook(Box::new(move |panic| {
        // Empty unless RUST_BACKTRACE asks for it.
        let backtrace = match Backtrace::capture() {
            backtrace if backtrace.status() == BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        words.note(Level::ERROR, &format!("thread {name} {panic}{backtrace}"));
        words.flush(LAST_WORDS);
    }));
    Ok(Logging { queue })
}

/// How many lines were lost since the start of the process, because stderr did not take them, or not in time.
pub fn dropped() -> u64 {
    queue::lost().get()
}

/// Adds the counter `pharos_log_lines_lost_total` to a registry.
pub fn register(registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(queue::lost().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_means_nothing_is_refused_with_those_that_do() {
        let error = init(Format::Text, Some("pharos=loud"), "info").unwrap_err();
        assert!(error.to_string().contains("\"pharos=loud\" is not a log level"), "{error}");
        assert!(error.to_string().contains("write error, warn, info, debug, trace"), "{error}");
    }

    #[test]
    fn a_format_is_text_or_json() {
        assert_eq!("json".parse(), Ok(Format::Json));
        assert!("xml".parse::<Format>().unwrap_err().contains("write text or json"));
    }
}
