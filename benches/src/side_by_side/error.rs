//! What can go wrong in a run, in words for whoever started it.

use std::io;
use std::path::PathBuf;

/// Why a run could not be made, or not be made in full.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was being done, as in "cannot …".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed: {said}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// The end of what it printed.
        said: String,
    },
    /// A server was started and does not answer.
    #[error("{server} does not answer for its zones; its words are in {log}")]
    Silent {
        /// Which one.
        server: String,
        /// What it printed.
        log: PathBuf,
    },
    /// The command line asks for what there is not.
    #[error("{0}")]
    Usage(String),
    /// A file of results that cannot be understood.
    #[error("{file}, line {line}: {source}")]
    Results {
        /// The file.
        file: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// For `map_err`: the system's error with what was being done.
pub(super) fn cannot(doing: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    let doing = doing.into();
    move |source| BenchError::System { doing, source }
}
