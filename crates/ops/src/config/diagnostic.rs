//! What a person is told about a configuration: where, what is wrong, what to do.

use crate::yaml::Position;
use std::fmt;
use std::path::PathBuf;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts with this.
    Error,
    /// It starts, but probably does not do what was meant.
    Warning,
}

/// One finding in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the person named it.
    pub file: PathBuf,
    /// The place in the file, unless the finding is about the file as a whole.
    pub position: Option<Position>,
    /// The line at that place, without its line break.
    pub excerpt: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Diagnostic {
    /// `FILE:LINE:COLUMN: error: WHAT`, the line with a caret, and `help: REMEDY`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if let Some(at) = self.position {
            write!(out, ":{}:{}", at.line, at.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, ": {severity}: {}", self.what)?;
        if let (Some(at), Some(excerpt)) = (self.position, &self.excerpt) {
            let number = at.line.to_string();
            writeln!(out, "  {number} | {excerpt}")?;
            writeln!(
                out,
                "  {:gutter$} | {:indent$}^",
                "",
                "",
                gutter = number.len(),
                indent = at.column - 1
            )?;
        }
        write!(out, "  help: {}", self.remedy)
    }
}

/// Why a configuration is refused: every finding, errors first come first told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct ConfigError {
    /// At least one error, and the warnings that were found beside it.
    pub findings: Vec<Diagnostic>,
}
