//! What a reload did, for the log, the control socket and people.

use std::fmt;
use std::path::PathBuf;

use pharos_netio::descriptors::is_shortage;
use serde::Serialize;

use crate::room;

/// Why no zone at all could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The directory cannot be listed.
    #[error("{}: the zone directory cannot be read: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ReloadError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Option<String> {
        let Self::Directory { path, .. } = self;
        if self.is_shortage() {
            return Some(format!("{}; the reload is tried again by itself", room::REMEDY));
        }
        Some(format!("create {} with files named NAME.zone, or name another directory", path.display()))
    }

    /// Whether nothing is wrong but that no descriptor was left to look.
    pub(crate) fn is_shortage(&self) -> bool {
        let Self::Directory { source, .. } = self;
        is_shortage(source)
    }
}

/// What a reload did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReloadReport {
    /// Zones whose files had not changed.
    pub unchanged: usize,
    /// Zones whose data come from images that an earlier process kept.
    pub from_images: usize,
    /// Zones with new data in force.
    pub loaded: Vec<LoadedZone>,
    /// Zones whose new data were refused.
    pub refused: Vec<RefusedZone>,
    /// Secure delegations between zones here that are broken since this reload: alarms.
    pub delegations: Vec<String>,
    /// The generation in force afterwards.
    pub generation: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Zones whose files could not be opened for want of descriptors; they are looked at again soon.
    #[serde(skip)]
    pub(crate) unopened: usize,
}

/// A zone with new data.
#[derive(Clone, Debug, Serialize)]
pub struct LoadedZone {
    /// Absolute name.
    pub name: String,
    /// Serial in force.
    pub serial: u32,
    /// Records in force.
    pub records: u64,
    /// Things that its writer should look at.
    pub warnings: u64,
    /// What the clock says of its signatures, and that it has none any more: alarms, though the data answer.
    pub findings: Vec<String>,
}

/// A zone whose new data were refused.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedZone {
    /// Absolute name.
    pub name: String,
    /// Place, reason and remedy.
    pub reason: String,
    /// Serial that keeps answering, if any.
    pub keeps_serial: Option<u32>,
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} loaded, {} refused, {} unchanged in {} ms; generation {}",
            self.loaded.len(),
            self.refused.len(),
            self.unchanged,
            self.took_ms,
            self.generation
        )?;
        for LoadedZone { name, serial, records, warnings, findings } in &self.loaded {
            write!(f, "loaded   {name} serial {serial}, {records} records")?;
            writeln!(f, "{}", if *warnings > 0 { format!(", {warnings} warnings") } else { String::new() })?;
            for finding in findings {
                writeln!(f, "  {}", finding.trim_end().replace('\n', "\n  "))?;
            }
        }
        for RefusedZone { name, reason, keeps_serial } in &self.refused {
            let keeps = keeps_serial
                .map_or("nothing to serve: SERVFAIL".into(), |s| format!("serial {s} keeps answering"));
            writeln!(f, "REFUSED  {name} ({keeps})\n  {}", reason.trim_end().replace('\n', "\n  "))?;
        }
        for finding in &self.delegations {
            writeln!(f, "ALARM    {finding}")?;
        }
        Ok(())
    }
}
