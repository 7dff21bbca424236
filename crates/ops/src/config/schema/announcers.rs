//! Announcers beside our own BGP speaker: section `announcers` of site.yaml.

use super::{DefaultDoc, OptionDoc, SidecarMode, period_ms};
use crate::config::values::{Label, Period};
use serde::Deserialize;
use std::path::PathBuf;

section! {
    /// Who is told of every level besides the neighbours.
    AnnouncersSection at "site.announcers" {
        /// Programs that are run for each change of a prefix.
        #[serde(default)]
        exec: Vec<ExecSection>, write "list of sections", Described("none");
    }
}

section! {
    /// A program that is run for each change of a prefix.
    ExecSection at "site.announcers.exec[]" {
        /// A name for logs, metrics and status.
        name: Label, write "1 to 63 letters, digits, - and _", Required;
        /// The program. It gets `arguments`, then the level (normal, degraded, last-resort, draining or withdrawn), the
        /// prefix and the reason; in its environment are PHAROS_LEVEL, PHAROS_PREFIX, PHAROS_FAMILY, PHAROS_REASON,
        /// PHAROS_GROUP, PHAROS_NODE, PHAROS_ATTEMPT, a PATH and LC_ALL, and nothing else. No shell stands between.
        /// Exit code 0 says that it is done; anything else, that it shall be tried again.
        program: PathBuf, write "absolute path", Required;
        /// Its first arguments.
        #[serde(default)]
        arguments: Vec<String>, write "list of texts", Value("[]");
        /// A run that takes longer is killed, with all its children, and has failed.
        #[serde(default = "timeout")]
        timeout: Period, write "duration, 100ms to 1m", Value("5s");
        /// The first pause after a run that failed; it doubles up to half a minute, for a withdrawal up to two seconds.
        #[serde(default = "retry")]
        retry: Period, write "duration, 100ms to 1m", Value("1s");
        /// A program that says which level a prefix has, by its name in the first line. It gets its arguments and the
        /// prefix. Without it the last run that succeeded counts.
        #[serde(default)]
        observe: Option<ObserveSection>, write "section", Described("none");
        /// Whether the program is run: dry-run shows what it would be told.
        #[serde(default = "acting")]
        mode: SidecarMode, write "announce or dry-run", Value("announce");
    }
}

section! {
    /// A program that says which level a prefix has.
    ObserveSection at "site.announcers.exec[].observe" {
        /// The program.
        program: PathBuf, write "absolute path", Required;
        /// Its first arguments.
        #[serde(default)]
        arguments: Vec<String>, write "list of texts", Value("[]");
        /// Time from one look to the next.
        #[serde(default = "look")]
        interval: Period, write "duration, 100ms to 1m", Value("10s");
    }
}

fn timeout() -> Period {
    period_ms(5_000)
}

fn retry() -> Period {
    period_ms(1_000)
}

fn look() -> Period {
    period_ms(10_000)
}

fn acting() -> SidecarMode {
    SidecarMode::Announce
}
