//! The life of one zone: its files as they were last read, the data that answer, what was refused and why.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pharos_netio::descriptors::is_shortage;
use pharos_wire::Name;
use pharos_zone::diagnostic::Diagnostic;
use pharos_zone::digest::DIGEST_OCTETS;
use pharos_zone::dnssec::{Checks, Progress};
use pharos_zone::load::{LoadError, Loaded, Watch, load_file_watched};
use pharos_zonedb::{Apex, ZoneImage};

use super::images::{Copied, Images, Kept, Note};
use super::judge::Proof;
use super::known::{Entered, Entry, Place, Refused};
use super::report::{LoadedZone, RefusedZone, ReloadReport};
use super::unix;
use crate::room;
use crate::status::SignedStatus;
use crate::vigil::findings;

/// Findings by the clock that are named; the others are counted. What signs a zone signs all of it at once, so they
/// are much alike.
const MAX_FINDINGS: usize = 3;

/// A configured zone.
pub(super) struct Zone {
    place: Arc<Place>,
    /// The zone file and those that it includes, as they were before they were read last; none before the first time.
    stamps: Box<[(PathBuf, Option<Stamp>)]>,
    pub(super) live: Option<Arc<Live>>,
    /// Boxed like all that few zones have: there may be a hundred thousand.
    refusal: Option<Box<Refusal>>,
    /// What is wrong between the data that answer and those of the parent zone here.
    pub(super) delegation: Option<String>,
    /// That unsigned data replaced signed ones, until signed ones come.
    unsigned: Option<String>,
    pub(super) slot: u16,
}

/// Data that answer.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) image: Arc<ZoneImage>,
    pub(super) digest: [u8; DIGEST_OCTETS],
    pub(super) signed: Option<Box<SignedStatus>>,
    pub(super) warnings: u64,
    pub(super) loaded: SystemTime,
    pub(super) took: Duration,
    origin: Origin,
}

impl Live {
    pub(super) fn is_from_image(&self) -> bool {
        self.origin == Origin::Image
    }
}

/// Where data come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    Text,
    Image,
}

/// Data whose content is good, and which may come into force if nothing else forbids it. Boxed what few zones have: at a start
/// there is one for each zone at once.
pub(super) struct Candidate {
    pub(super) image: Arc<ZoneImage>,
    digest: [u8; DIGEST_OCTETS],
    pub(super) signed: Option<Box<SignedStatus>>,
    /// What the clock says of signatures, worst first, with places in the file.
    pub(super) by_clock: Vec<String>,
    warnings: u64,
    took: Duration,
    /// What to note beside an image of them; none where they come from one that stands as it should.
    pub(super) note: Option<Box<Note>>,
    origin: Origin,
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
    /// What the clock, another zone or a want of descriptors says of them, and may say otherwise next time.
    Circumstance,
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
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }

    /// Six numbers in one word.
    pub(super) fn text(&self) -> String {
        let Self { inode, octets, modified, changed } = self;
        format!("{inode},{octets},{},{},{},{}", modified.0, modified.1, changed.0, changed.1)
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(',');
        let (inode, octets) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let mut number = || words.next()?.parse::<i64>().ok();
        let (modified, changed) = ((number()?, number()?), (number()?, number()?));
        words.next().is_none().then_some(Self { inode, octets, modified, changed })
    }
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Self {
        Self {
            inode: data.ino(),
            octets: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl Zone {
    pub(super) fn new(name: &Name, path: &Path, slot: u16) -> Self {
        Self {
            place: Arc::new(Place { name: name.into(), path: path.into() }),
            stamps: Box::default(),
            live: None,
            refusal: None,
            delegation: None,
            unsigned: None,
            slot,
        }
    }

    pub(super) fn name(&self) -> &Apex {
        &self.place.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Its file is this one from now on.
    pub(super) fn stand_at(&mut self, path: PathBuf) {
        if *self.place.path != *path {
            let name = self.place.name.clone();
            (self.place, self.stamps) = (Arc::new(Place { name, path: path.into() }), Box::default());
        }
    }

    /// Reads the zone if any of its files changed since the last look, or if what was refused deserves another one.
    ///
    /// At the first look the image of unchanged text stands for it, and that of any other for text that is refused.
    pub(super) fn refresh(
        &mut self,
        proof: &mut Proof,
        checks: &Checks,
        images: Option<&mut Images>,
        progress: &mut dyn FnMut(Progress),
        report: &mut ReloadReport,
    ) -> Option<Candidate> {
        let begun = Instant::now();
        let (name, place, are_kept) = (self.place.name.to_name(), self.place.clone(), images.is_some());
        let images = images.filter(|_| self.stamps.is_empty() && self.live.is_none());
        if let Some(images) = images.as_deref()
            && let Some(kept) = images.unchanged(&name, &place.path, checks)
        {
            let files = kept.note.files.clone().into_boxed_slice();
            if let Some(candidate) = of_image(&name, kept, proof, checks, begun) {
                self.stamps = files;
                report.from_images += 1;
                return Some(candidate);
            }
        }
        let changed =
            self.stamps.is_empty() || self.stamps.iter().any(|(path, stamp)| Stamp::of(path) != *stamp);
        if !changed {
            match &self.refusal {
                // Told again: whoever asks for a reload shall not think that all is well.
                Some(refusal) if refusal.cause == Cause::Content => {
                    report.refused.push(self.refused(&refusal.reason));
                    return None;
                }
                Some(refusal) if refusal.cause == Cause::Circumstance => {}
                Some(_) if self.live.is_none() => {}
                _ => {
                    self.refusal = None;
                    report.unchanged += 1;
                    return None;
                }
            }
        }
        // Stamped before they are read: a change in between is seen by the next reload.
        let mut stamps = Vec::new();
        let stamp = &mut |file: &Path, found: Option<&Metadata>| {
            stamps.push((file.to_owned(), found.map(Stamp::from)));
        };
        let watch = Watch { about_to_read: stamp, progress };
        let outcome = load_file_watched(&name, &place.path, proof.key(), checks, watch);
        self.stamps = stamps.into_boxed_slice();
        let outcome = outcome.map_err(|error| refusal(&error)).and_then(|loaded| {
            let by_clock = by_clock(&loaded);
            let Loaded { image, report, digest, signed, .. } = loaded;
            let (image, signed) = (Arc::new(image), signed.as_ref().map(|signed| Box::new(signed.into())));
            proof.of(&name, &image).map_err(|reason| (reason, Cause::Content))?;
            let (warnings, took) = (report.warnings_total, begun.elapsed());
            let note = are_kept.then(|| {
                Box::new(Note::new(self.stamps.to_vec(), digest, checks, warnings, signed.as_deref()))
            });
            Ok(Candidate { image, digest, signed, by_clock, warnings, took, note, origin: Origin::Text })
        });
        match outcome {
            Ok(candidate) => Some(candidate),
            Err((reason, cause)) => {
                report.unopened += usize::from(cause == Cause::Circumstance);
                let kept = images.as_deref().and_then(|images| images.last_good(&name));
                let last_good = kept.and_then(|kept| of_image(&name, kept, proof, checks, begun));
                if let Some(mut last_good) = last_good {
                    report.from_images += 1;
                    if let (Some(images), Some(note)) = (images, last_good.note.take()) {
                        images.owe(&name, *note);
                    }
                    self.go_live(last_good);
                }
                self.refuse(reason, cause, report);
                None
            }
        }
    }

    fn go_live(&mut self, data: Candidate) {
        let Candidate { image, digest, signed, warnings, took, origin, .. } = data;
        let loaded = SystemTime::now();
        self.live = Some(Arc::new(Live { image, digest, signed, warnings, loaded, took, origin }));
    }

    /// Lets new data answer from the next swap on.
    ///
    /// Data without signatures may replace signed ones, since zones do go back to unsigned; but whoever did not mean it
    /// finds out by an alarm, not by validators that have a DS record of the zone (RFC 4035 §5.2).
    pub(super) fn accept(&mut self, candidate: Candidate, report: &mut ReloadReport) {
        let (serial, records) = (candidate.image.serial(), candidate.image.records());
        let (mut findings, warnings) = (candidate.by_clock.clone(), candidate.warnings);
        match self.live.as_ref().filter(|live| live.signed.is_some()) {
            _ if candidate.signed.is_some() => self.unsigned = None,
            Some(before) => self.unsigned = Some(unsigned_now(before.image.serial(), serial)),
            None => {}
        }
        findings.extend(self.unsigned.clone());
        self.go_live(candidate);
        self.refusal = None;
        let name = self.name().to_string();
        report.loaded.push(LoadedZone { name, serial, records, warnings, findings });
    }

    pub(super) fn refuse(&mut self, reason: String, cause: Cause, report: &mut ReloadReport) {
        let since = self.refusal.as_ref().map_or_else(SystemTime::now, |refusal| refusal.since);
        report.refused.push(self.refused(&reason));
        self.refusal = Some(Box::new(Refusal { reason, since, cause }));
    }

    fn refused(&self, reason: &str) -> RefusedZone {
        let keeps_serial = self.live.as_ref().map(|live| live.image.serial());
        RefusedZone { name: self.name().to_string(), reason: reason.to_owned(), keeps_serial }
    }

    /// What is to be known of it until the next reload.
    pub(super) fn entry(&self) -> Entry {
        let refused = |refusal: &Refusal| {
            Box::new(Refused { reason: refusal.reason.clone(), unix: unix(refusal.since) })
        };
        Entry::Zone(Entered {
            place: self.place.clone(),
            live: self.live.clone(),
            refusal: self.refusal.as_deref().map(refused),
            findings: self.delegation.iter().chain(&self.unsigned).cloned().collect(),
        })
    }
}

/// The data of an image, if they answer.
fn of_image(
    name: &Name,
    kept: Kept,
    proof: &mut Proof,
    checks: &Checks,
    begun: Instant,
) -> Option<Candidate> {
    let Kept { image, note, copy } = kept;
    let image = Arc::new(image);
    if let Err(reason) = proof.of(name, &image) {
        tracing::warn!(zone = %name, reason, "the image of the zone is not used");
        return None;
    }
    let (digest, warnings) = (note.digest, note.warnings);
    let (signed, note) = match copy {
        Copied::AsItIs => (note.signed, None),
        Copied::WithFormerKey => (note.signed.clone(), Some(Box::new(note))),
    };
    // What the clock says changes from start to start.
    let by_clock = checks.clock.map(|clock| findings(signed.as_ref(), clock)).unwrap_or_default();
    let (took, origin, signed) = (begun.elapsed(), Origin::Image, signed.map(Box::new));
    Some(Candidate { image, digest, signed, by_clock, warnings, took, note, origin })
}

fn unsigned_now(before: u32, serial: u32) -> String {
    format!(
        "serial {before} was signed and serial {serial}, which replaced it, is not: validators that know a DS record of \
         the zone refuse it; push it signed, or, if it shall be unsigned, restart the responder to end this alarm"
    )
}

/// Why a zone did not load, and whether it would if there were descriptors to open its files with.
fn refusal(error: &LoadError) -> (String, Cause) {
    let short = match error {
        LoadError::Unreadable { source, .. } => is_shortage(source),
        // Of an included file only words are left; whether there are descriptors is seen at once.
        LoadError::Refused(_) => File::open("/dev/null").is_err_and(|error| is_shortage(&error)),
    };
    if !short {
        return (error.to_string(), Cause::Content);
    }
    (format!("{error}\n help: {}; the reload is tried again by itself", room::REMEDY), Cause::Circumstance)
}

/// What the clock says of new data, a line each. The record says it all, so its text and a remedy for each are left
/// out.
fn by_clock(loaded: &Loaded) -> Vec<String> {
    let shown = loaded.by_clock.iter().take(MAX_FINDINGS).cloned();
    let mut all: Vec<_> = shown
        .map(|finding| {
            let bare = Diagnostic { excerpt: None, remedy: String::new(), ..finding };
            bare.render(&loaded.report.files).to_string()
        })
        .collect();
    let more = loaded.by_clock_total.saturating_sub(all.len() as u64);
    if more > 0 {
        all.push(format!("and {more} more by the clock"));
    }
    all
}
