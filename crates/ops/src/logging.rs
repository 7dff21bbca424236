//! Logging: one line per event that a person may need, on stderr, as text or JSON.
//!
//! Every process installs it once, first thing. stdout stays free for what a command prints on purpose. The
//! level comes from the command line, else from the environment variable `PHAROS_LOG`, else it is `info`.

use std::io::IsTerminal as _;
use std::str::FromStr;
use tracing_subscriber::EnvFilter;

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
    /// Something in this process logs already.
    #[error("logging was already set up in this process")]
    Twice,
}

/// Sets up logging for the whole process; `level` is a level or a list of `TARGET=LEVEL`.
pub fn init(format: Format, level: Option<&str>, default_level: &str) -> Result<(), LoggingError> {
    let from_environment = std::env::var(LEVEL_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = level.or(from_environment.as_deref()).unwrap_or(default_level);
    let env_filter = EnvFilter::try_new(filter)
        .map_err(|error| LoggingError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(env_filter).with_writer(std::io::stderr).with_target(false);
    let installed = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    installed.map_err(|_| LoggingError::Twice)
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
