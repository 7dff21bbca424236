//! The life of one zone: its files as they were last read, the data that answer, what was refused and why.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::{Watch, load_file_watched};
use pharos_zonedb::ZoneImage;

use super::judge::self_test;
use super::report::{LoadedZone, RefusedZone, ReloadReport};
use super::unix;
use crate::status::{ZoneLife, ZoneStatus};

pub(super) struct Zone {
    pub(super) name: Name,
    pub(super) path: PathBuf,
    pub(super) stamps: Vec<(PathBuf, Option<Stamp>)>,
    pub(super) live: Option<Live>,
    refusal: Option<Refusal>,
    warnings: u64,
    pub(super) slot: u16,
}

pub(super) struct Live {
    pub(super) image: Arc<ZoneImage>,
    loaded: SystemTime,
    took: Duration,
}

struct Refusal {
    reason: String,
    since: SystemTime,
    cause: Cause,
}

/// What is wrong with a zone's newest data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// What the files hold; it stays wrong until one of them changes.
    Content,
    /// That they are not there to be read; once they are, unchanged data are good data.
    Absence,
    /// That another file claims the same zone.
    Rival,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: data.ino(),
            octets: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl Zone {
    pub(super) fn new(name: Name, path: PathBuf, slot: u16) -> Self {
        Self { name, path, stamps: Vec::new(), live: None, refusal: None, warnings: 0, slot }
    }

    /// Loads the zone if any of its files changed since the last look.
    pub(super) fn refresh(&mut self, key: HashKey, report: &mut ReloadReport) {
        let changed =
            self.stamps.is_empty() || self.stamps.iter().any(|(path, stamp)| Stamp::of(path) != *stamp);
        if !changed {
            match &self.refusal {
                // Told again: whoever asks for a reload shall not think that all is well.
                Some(refusal) if refusal.cause == Cause::Content => {
                    report.refused.push(self.refused(&refusal.reason));
                    return;
                }
                Some(_) if self.live.is_none() => {}
                _ => {
                    self.refusal = None;
                    report.unchanged += 1;
                    return;
                }
            }
        }
        let begun = Instant::now();
        // Stamped before they are read: a change in between is seen by the next reload.
        let mut stamps = Vec::new();
        let watch = Watch {
            about_to_read: &mut |file| stamps.push((file.to_owned(), Stamp::of(file))),
            progress: &mut |_| {},
        };
        let outcome = load_file_watched(&self.name, &self.path, key, &Checks::LENIENT, watch);
        self.stamps = stamps;
        let outcome = outcome.map_err(|error| error.to_string()).and_then(|loaded| {
            let image = Arc::new(loaded.image);
            self_test(&self.name, &image, key).map(|()| (image, loaded.report.warnings_total))
        });
        match outcome {
            Ok((image, warnings)) => {
                let (serial, records) = (image.serial(), image.records());
                self.live = Some(Live { image, loaded: SystemTime::now(), took: begun.elapsed() });
                self.refusal = None;
                self.warnings = warnings;
                report.loaded.push(LoadedZone { name: self.name.to_string(), serial, records, warnings });
            }
            Err(reason) => self.refuse(reason, Cause::Content, report),
        }
    }

    pub(super) fn refuse(&mut self, reason: String, cause: Cause, report: &mut ReloadReport) {
        let since = self.refusal.as_ref().map_or_else(SystemTime::now, |refusal| refusal.since);
        report.refused.push(self.refused(&reason));
        self.refusal = Some(Refusal { reason, since, cause });
    }

    fn refused(&self, reason: &str) -> RefusedZone {
        let keeps_serial = self.live.as_ref().map(|live| live.image.serial());
        RefusedZone { name: self.name.to_string(), reason: reason.to_owned(), keeps_serial }
    }

    pub(super) fn status(&self) -> ZoneStatus {
        let live = self.live.as_ref();
        ZoneStatus {
            name: self.name.to_string(),
            state: match (live, &self.refusal) {
                (None, _) => ZoneLife::NotLoaded,
                (Some(_), Some(_)) => ZoneLife::Refused,
                (Some(_), None) => ZoneLife::Live,
            },
            serial: live.map(|live| live.image.serial()),
            records: live.map_or(0, |live| live.image.records()),
            octets: live.map_or(0, |live| live.image.octets()),
            loaded_unix: live.map(|live| unix(live.loaded)),
            load_ms: live.map_or(0, |live| live.took.as_millis() as u64),
            file: self.path.display().to_string(),
            refusal: self.refusal.as_ref().map(|refusal| refusal.reason.clone()),
            refused_unix: self.refusal.as_ref().map(|refusal| unix(refusal.since)),
            warnings: self.warnings,
        }
    }
}
