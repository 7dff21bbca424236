//! From zone files to the set in force, and from one set to the next.
//!
//! A reload reads what changed, judged by size, times and inode of a zone's file and of the files that it
//! includes. Each changed zone is scanned, checked and compiled beside the running data, and must answer for
//! its own apex before it counts as good. Then one pointer swap puts all good changes in force together.
//!
//! Whatever fails for a zone, its last good data stay, and the reason is kept until newer data are good
//! (invariant 2). A zone without good data ever is in the set as not loaded: SERVFAIL (invariant 1). A zone
//! whose file has vanished keeps answering too: a push that lost a file must not take a customer off the net.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pharos_answer::{AnyPolicy, Context, Job, Silent, Transport, Verdict, answer};
use pharos_wire::hash::HashKey;
use pharos_wire::{Name, Rcode, Rtype};
use pharos_zone::dnssec::Checks;
use pharos_zone::load::{Watch, load_file_watched};
use pharos_zonedb::{Published, Retire, ZoneImage, ZoneSet, ZoneState};
use serde::Serialize;

use crate::config::ZoneSource;
use crate::counters::ZONE_SLOTS;
use crate::status::{ZoneLife, ZoneStatus};

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
        Some(format!("create {} with files named NAME.zone, or name another directory", path.display()))
    }
}

/// What a reload did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReloadReport {
    /// Zones whose files had not changed.
    pub unchanged: usize,
    /// Zones with new data in force.
    pub loaded: Vec<LoadedZone>,
    /// Zones whose new data were refused.
    pub refused: Vec<RefusedZone>,
    /// The generation in force afterwards.
    pub generation: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
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
        for LoadedZone { name, serial, records, warnings } in &self.loaded {
            write!(f, "loaded   {name} serial {serial}, {records} records")?;
            writeln!(f, "{}", if *warnings > 0 { format!(", {warnings} warnings") } else { String::new() })?;
        }
        for RefusedZone { name, reason, keeps_serial } in &self.refused {
            let keeps = keeps_serial
                .map_or("nothing to serve: SERVFAIL".into(), |s| format!("serial {s} keeps answering"));
            writeln!(f, "REFUSED  {name} ({keeps})\n  {}", reason.trim_end().replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

/// What workers answer from.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) zones: ZoneSet,
    /// For each zone of the set the slot of its counts.
    pub(crate) slots: Box<[u16]>,
}

/// What is known of all zones after a reload: what status and metrics tell while the next one runs.
#[derive(Debug)]
pub(crate) struct Known {
    /// The generation in force.
    pub(crate) generation: u64,
    /// Every zone's status, those with trouble first.
    pub(crate) zones: Vec<ZoneStatus>,
    /// The zones that have counts of their own, each with its slot.
    pub(crate) slots: Vec<(String, u16)>,
}

/// Every configured zone with what is known of it.
pub(crate) struct ZoneKeeper {
    source: ZoneSource,
    key: HashKey,
    zones: BTreeMap<Vec<u8>, Zone>,
    /// Files that are named like no zone, each with the reason.
    misnamed: Vec<Misnamed>,
    published: Arc<Published<Served>>,
}

struct Zone {
    name: Name,
    path: PathBuf,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    live: Option<Live>,
    refusal: Option<Refusal>,
    warnings: u64,
    slot: u16,
}

struct Live {
    image: Arc<ZoneImage>,
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
enum Cause {
    /// What the files hold; it stays wrong until one of them changes.
    Content,
    /// That they are not there to be read; once they are, unchanged data are good data.
    Absence,
    /// That another file claims the same zone.
    Rival,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
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

impl ZoneKeeper {
    /// Loads everything for the first time.
    pub(crate) fn start(source: ZoneSource) -> Result<(Self, ReloadReport), ReloadError> {
        let key = random_key();
        let published =
            Published::new(Arc::new(Served { zones: ZoneSet::new(key, Vec::new()), slots: Box::default() }));
        let mut keeper = Self { source, key, zones: BTreeMap::new(), misnamed: Vec::new(), published };
        let report = keeper.reload()?;
        Ok((keeper, report))
    }

    /// Where workers take the set in force from.
    pub(crate) fn published(&self) -> &Arc<Published<Served>> {
        &self.published
    }

    /// Reads what changed and swaps once.
    ///
    /// Where zones cannot even be listed, every zone keeps its data and is marked as refused: whoever watches
    /// them shall see that what was pushed did not arrive.
    pub(crate) fn reload(&mut self) -> Result<ReloadReport, ReloadError> {
        let begun = Instant::now();
        self.published.sweep();
        let mut report = ReloadReport::default();
        let current = self.zones.iter().map(|(key, zone)| (key.clone(), zone.path.clone())).collect();
        let Listing { found, misnamed, rivals } = match self.source.list(&current) {
            Ok(listing) => listing,
            Err(error) => {
                let reason = format!("{error}\n help: {}", error.remedy().unwrap_or_default());
                for zone in self.zones.values_mut() {
                    zone.refuse(reason.clone(), Cause::Absence, &mut report);
                }
                return Err(error);
            }
        };
        for Misnamed { text, reason } in &misnamed {
            let (name, reason) = (text.clone(), reason.clone());
            report.refused.push(RefusedZone { name, reason, keeps_serial: None });
        }
        self.misnamed = misnamed;
        for (key, zone) in &mut self.zones {
            if !found.contains_key(key) {
                let what = format!(
                    "{}: the zone file has vanished\n help: restore it; to stop serving the zone, restart the \
                     responder without it",
                    zone.path.display()
                );
                zone.refuse(what, Cause::Absence, &mut report);
            }
        }
        for (key, (name, path)) in found {
            // Zones keep their slots; those beyond the last share one.
            let slot = self.zones.len().min(ZONE_SLOTS) as u16;
            let zone = self.zones.entry(key).or_insert_with(|| Zone::new(name, path.clone(), slot));
            if zone.path != path {
                (zone.path, zone.stamps) = (path, Vec::new());
            }
            zone.refresh(self.key, &mut report);
        }
        for (key, reason) in rivals {
            if let Some(zone) = self.zones.get_mut(&key) {
                zone.refuse(reason, Cause::Rival, &mut report);
            }
        }
        report.generation =
            if report.loaded.is_empty() && self.published.current().slots.len() == self.zones.len() {
                self.published.generation()
            } else {
                self.published.publish(Arc::new(self.served()), Retire::WhenUnread)
            };
        report.took_ms = begun.elapsed().as_millis() as u64;
        Ok(report)
    }

    fn served(&self) -> Served {
        let state = |zone: &Zone| match &zone.live {
            Some(live) => ZoneState::Live(live.image.clone()),
            None => ZoneState::NotLoaded,
        };
        Served {
            zones: ZoneSet::new(self.key, self.zones.values().map(|zone| (zone.name, state(zone))).collect()),
            slots: self.zones.values().map(|zone| zone.slot).collect(),
        }
    }

    /// What status and metrics shall tell from now on.
    pub(crate) fn known(&self) -> Known {
        let counted = self.zones.values().filter(|zone| usize::from(zone.slot) < ZONE_SLOTS);
        let mut zones: Vec<_> = self.zones.values().map(Zone::status).collect();
        zones.extend(self.misnamed.iter().map(Misnamed::status));
        zones.sort_by_key(|zone| zone.state == ZoneLife::Live);
        Known {
            generation: self.published.generation(),
            zones,
            slots: counted.map(|zone| (zone.name.to_string(), zone.slot)).collect(),
        }
    }
}

impl Zone {
    fn new(name: Name, path: PathBuf, slot: u16) -> Self {
        Self { name, path, stamps: Vec::new(), live: None, refusal: None, warnings: 0, slot }
    }

    /// Loads the zone if any of its files changed since the last look.
    fn refresh(&mut self, key: HashKey, report: &mut ReloadReport) {
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

    fn refuse(&mut self, reason: String, cause: Cause, report: &mut ReloadReport) {
        let since = self.refusal.as_ref().map_or_else(SystemTime::now, |refusal| refusal.since);
        report.refused.push(self.refused(&reason));
        self.refusal = Some(Refusal { reason, since, cause });
    }

    fn refused(&self, reason: &str) -> RefusedZone {
        let keeps_serial = self.live.as_ref().map(|live| live.image.serial());
        RefusedZone { name: self.name.to_string(), reason: reason.to_owned(), keeps_serial }
    }

    fn status(&self) -> ZoneStatus {
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

/// A file whose name is not that of a zone.
struct Misnamed {
    text: String,
    reason: String,
}

impl Misnamed {
    fn status(&self) -> ZoneStatus {
        ZoneStatus {
            name: self.text.clone(),
            state: ZoneLife::NotLoaded,
            serial: None,
            records: 0,
            octets: 0,
            loaded_unix: None,
            load_ms: 0,
            file: self.text.clone(),
            refusal: Some(self.reason.clone()),
            refused_unix: None,
            warnings: 0,
        }
    }
}

/// What a source holds.
#[derive(Default)]
struct Listing {
    /// The zones by lower-case wire name, with the file of each.
    found: BTreeMap<Vec<u8>, (Name, PathBuf)>,
    misnamed: Vec<Misnamed>,
    /// Zones that a second file claims, and the reason why it is left aside.
    rivals: Vec<(Vec<u8>, String)>,
}

impl ZoneSource {
    /// Lists the zones. One wrong name concerns nobody else: it is told, and all others are listed. Of two files
    /// for one zone the one in use stays, or else the first by name.
    fn list(&self, in_use: &BTreeMap<Vec<u8>, PathBuf>) -> Result<Listing, ReloadError> {
        let mut listing = Listing::default();
        let mut entries = self.entries()?;
        entries.sort();
        for (place, text, path) in entries {
            let name = if text == "@" { Ok(Name::ROOT) } else { Name::from_text(&text) };
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    let reason = format!(
                        "{place}: {text:?} is not a zone name: {error}\n help: name zone files NAME.zone, as in \
                         example.com.zone; @.zone is the root"
                    );
                    listing.misnamed.push(Misnamed { text, reason });
                    continue;
                }
            };
            let key = name.to_folded().as_wire().to_vec();
            let Some((_, first)) = listing.found.get(&key) else {
                listing.found.insert(key, (name, path));
                continue;
            };
            let (kept, left) =
                if in_use.get(&key) == Some(&path) { (path, first.clone()) } else { (first.clone(), path) };
            let reason = format!(
                "zone {name} is given twice: {} is served, {} is not\n help: keep one of them",
                kept.display(),
                left.display()
            );
            listing.rivals.push((key.clone(), reason));
            listing.found.insert(key, (name, kept));
        }
        Ok(listing)
    }

    /// Where each name stands, the name's text, and the file.
    fn entries(&self) -> Result<Vec<(String, String, PathBuf)>, ReloadError> {
        match self {
            Self::List(list) => Ok(list
                .iter()
                .map(|(name, path)| ("the list of zones".to_owned(), name.clone(), path.clone()))
                .collect()),
            Self::Directory(directory) => {
                let failed = |source| ReloadError::Directory { path: directory.clone(), source };
                let mut entries = Vec::new();
                for entry in std::fs::read_dir(directory).map_err(failed)? {
                    let path = entry.map_err(failed)?.path();
                    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if let Some(name) = file.strip_suffix(".zone")
                        && !file.starts_with('.')
                    {
                        entries.push((path.display().to_string(), name.to_owned(), path.clone()));
                    }
                }
                Ok(entries)
            }
        }
    }
}

/// Lets the new image answer for its own apex before anybody else asks it.
fn self_test(name: &Name, image: &Arc<ZoneImage>, key: HashKey) -> Result<(), String> {
    let zones = ZoneSet::new(key, vec![(*name, ZoneState::Live(image.clone()))]);
    let context = Context::new(Transport::Tcp, 1232, "", AnyPolicy::Minimal);
    let (mut job, mut out) = (Job::default(), vec![0; 65_535]);
    for rtype in [Rtype::SOA, Rtype::NS] {
        let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(name.as_wire());
        query.extend(rtype.0.to_be_bytes());
        query.extend([0, 1]);
        let verdict = answer(&mut job, &zones, &context, &query, &mut out, &mut Silent);
        let good = match verdict {
            Verdict::Reply(reply) => reply.rcode == Rcode::NOERROR && out[2] & 4 != 0 && out[7] != 0,
            Verdict::Drop(_) => false,
        };
        if !good {
            return Err(format!(
                "{name}: the compiled zone does not answer {rtype} at its apex ({verdict:?})\n help: this is a defect of the program: report it with the zone file"
            ));
        }
    }
    Ok(())
}

fn random_key() -> HashKey {
    // The standard library's hash seeds come from the system's randomness.
    let word = || RandomState::new().build_hasher().finish();
    HashKey::new([word(), word()])
}

pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
