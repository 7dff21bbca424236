//! Announcers beside our own BGP speaker: what they are told, and what is refused.
//!
//! Each is a value of [`AnnouncerConfig`]; several may be active at once, and each carries out every level on its own.

use std::path::PathBuf;
use std::time::Duration;

use super::{Mode, StartError};

/// One announcer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncerConfig {
    /// The name in logs, metrics and alarms; no two announcers share one.
    pub name: String,
    /// Whether decisions are carried out; [`Mode::DryRun`] of the whole sidecar wins.
    pub mode: Mode,
    /// How they are.
    pub way: Way,
}

/// How an announcer carries decisions out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By running a program for each change.
    Exec(ExecConfig),
}

/// A program that is run for each change of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program, as an absolute path; no shell is involved.
    pub program: PathBuf,
    /// Its first arguments; level, prefix and reason follow.
    pub arguments: Vec<String>,
    /// How long it may take before it is killed.
    pub timeout: Duration,
    /// The first pause after a run that failed; it doubles up to half a minute.
    pub retry: Duration,
    /// How the state is observed; without it the last run that succeeded counts.
    pub observe: Option<ObserveConfig>,
}

/// A program that says which level a prefix has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserveConfig {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its first arguments; the prefix follows.
    pub arguments: Vec<String>,
    /// From one look to the next.
    pub interval: Duration,
}

/// A program that takes longer is none for this: routes wait for it.
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// Shorter pauses and looks would make a load of their own.
const SHORTEST: Duration = Duration::from_millis(100);

impl AnnouncerConfig {
    /// What makes this announcer impossible.
    pub(super) fn check(&self) -> Result<(), StartError> {
        let refuse = |why: String| Err(StartError::Announcer { name: self.name.clone(), why });
        match &self.way {
            Way::Exec(exec) => exec.fault().map_or(Ok(()), refuse),
        }
    }
}

impl ExecConfig {
    fn fault(&self) -> Option<String> {
        let observed = self.observe.iter().map(|observe| &observe.program);
        for program in std::iter::once(&self.program).chain(observed) {
            if !program.is_absolute() {
                let program = program.display();
                return Some(format!("program {program} is not an absolute path; write it from the root"));
            }
        }
        let interval = self.observe.as_ref().map(|observe| ("observe interval", observe.interval));
        for (what, time) in [("timeout", self.timeout), ("retry", self.retry)].into_iter().chain(interval) {
            if !(SHORTEST..=LONGEST_RUN).contains(&time) {
                return Some(format!("{what} of {time:?} is not between {SHORTEST:?} and {LONGEST_RUN:?}"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> ExecConfig {
        ExecConfig {
            program: "/usr/local/sbin/route".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            observe: None,
        }
    }

    fn said(change: impl FnOnce(&mut ExecConfig)) -> String {
        let mut exec = exec();
        change(&mut exec);
        let config = AnnouncerConfig { name: "exec x".into(), mode: Mode::Announce, way: Way::Exec(exec) };
        config.check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_program_is_named_from_the_root_and_ends_within_a_bound() {
        assert_eq!(said(|_| ()), "");
        assert_eq!(
            said(|exec| exec.program = "route".into()),
            "announcer exec x: program route is not an absolute path; write it from the root"
        );
        let long = said(|exec| exec.timeout = Duration::from_secs(61));
        assert_eq!(long, "announcer exec x: timeout of 61s is not between 100ms and 60s");
        let observe = |interval| ObserveConfig { program: "/x".into(), arguments: Vec::new(), interval };
        assert!(said(|exec| exec.observe = Some(observe(Duration::ZERO))).contains("observe interval"));
    }
}
