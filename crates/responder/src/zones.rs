//! From zone files to the set in force, and from one set to the next.
//!
//! A reload reads what changed, judged by size, times and inode of a zone's file and of the files that it
//! includes. Each changed zone is scanned, checked and compiled beside the running data, and must answer for
//! its own apex before it counts as good. What remains is judged by the clock and beside its parent (`zones/judge.rs`).
//! Then one pointer swap puts all good changes in force together.
//!
//! Where images are kept (`zones/images.rs`), the first load takes them for text that has not changed since, and for text
//! that is refused.
//!
//! Whatever fails for a zone, its last good data stay, and the reason is kept until newer data are good
//! (invariant 2). A zone without good data ever is in the set as not loaded: SERVFAIL (invariant 1). A zone
//! whose file has vanished keeps answering too: a push that lost a file must not take a customer off the net.

mod images;
mod judge;
mod known;
mod listing;
mod progress;
mod report;
mod zone;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::digest::DIGEST_OCTETS;
use pharos_zonedb::{Published, Retire, ZoneImage, ZoneSet, ZoneState};
use ring::digest::{Context, SHA256};

use crate::config::ZoneSource;
use crate::counters::ZONE_SLOTS;
use crate::status::ZoneLife;
use images::{Images, Note};
use judge::Proof;
use listing::{Listing, Misnamed};
use progress::ProgressLog;
use zone::{Candidate, Cause, Zone};

pub(crate) use judge::{Belief, Bench};
pub(crate) use known::{Entry, Known};
pub(crate) use report::RefusedZone;
pub use report::{ReloadError, ReloadReport};

/// What workers answer from.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) zones: ZoneSet,
    /// For each zone of the set the slot of its counts.
    pub(crate) slots: Box<[u16]>,
}

/// Every configured zone with what is known of it.
pub(crate) struct ZoneKeeper {
    source: ZoneSource,
    key: HashKey,
    /// Boxed, since the map keeps room for as many again as it holds.
    zones: BTreeMap<Vec<u8>, Box<Zone>>,
    /// Files that are named like no zone, each with the reason.
    misnamed: Vec<Misnamed>,
    published: Arc<Published<Served>>,
    /// Where images of what is accepted are kept, if they are.
    images: Option<Images>,
    /// Zones whose images are to be written, each with its note.
    unwritten: Vec<(Name, Note)>,
}

impl ZoneKeeper {
    /// Loads everything for the first time; images of it are kept in a directory, if one is given.
    pub(crate) fn start(
        source: ZoneSource,
        images: Option<PathBuf>,
        bench: &Bench,
    ) -> Result<(Self, ReloadReport), ReloadError> {
        let images = images.and_then(|directory| {
            let opened = Images::open(directory.clone());
            let failed = |error: &std::io::Error| {
                let directory = directory.display();
                tracing::warn!(%directory, %error, "images are neither read nor written");
            };
            opened.inspect_err(failed).ok()
        });
        let key = images.as_ref().map_or_else(|| HashKey::new(random_words()), Images::key);
        let published =
            Published::new(Arc::new(Served { zones: ZoneSet::new(key, []), slots: Box::default() }));
        let (zones, misnamed, unwritten) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut keeper = Self { source, key, zones, misnamed, published, images, unwritten };
        let report = keeper.reload(bench)?;
        if let Some(images) = &keeper.images {
            images.retain(&keeper.zones);
        }
        Ok((keeper, report))
    }

    /// Has images of what was accepted since the last call written; to be called once it answers.
    pub(crate) fn write_images(&mut self) {
        let unwritten = std::mem::take(&mut self.unwritten);
        let Some(images) = &self.images else { return };
        for (name, note) in unwritten {
            let zone = self.zones.get(name.to_folded().as_wire());
            if let Some(live) = zone.and_then(|zone| zone.live.as_ref()) {
                images.keep(&name, &live.image, &note);
            }
        }
    }

    /// Where workers take the set in force from.
    pub(crate) fn published(&self) -> &Arc<Published<Served>> {
        &self.published
    }

    /// Reads what changed and swaps once.
    ///
    /// Where zones cannot even be listed, every zone keeps its data and is marked as refused: whoever watches
    /// them shall see that what was pushed did not arrive.
    pub(crate) fn reload(&mut self, bench: &Bench) -> Result<ReloadReport, ReloadError> {
        let begun = Instant::now();
        self.published.sweep();
        let mut report = ReloadReport::default();
        let current = self.zones.iter().map(|(key, zone)| (key.clone(), zone.path().to_owned())).collect();
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
                    zone.path().display()
                );
                zone.refuse(what, Cause::Absence, &mut report);
            }
        }
        let mut candidates = Vec::new();
        let mut proof = Proof::new(self.key);
        let mut log = ProgressLog::new(begun, found.len());
        for (key, (name, path)) in found {
            // Zones keep their slots; those beyond the last share one.
            let slot = self.zones.len().min(ZONE_SLOTS) as u16;
            let zone =
                self.zones.entry(key.clone()).or_insert_with(|| Box::new(Zone::new(&name, &path, slot)));
            zone.stand_at(path);
            let candidate = zone.refresh(
                &mut proof,
                &bench.checks,
                self.images.as_mut(),
                &mut |far| log.signatures(&name, far),
                &mut report,
            );
            if let Some(candidate) = candidate {
                candidates.push((key, candidate));
            }
            log.zone_done();
        }
        self.unwritten.extend(self.images.iter_mut().flat_map(Images::owed));
        self.admit(candidates, bench, &mut report);
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

    /// Lets those of the new data come into force that may.
    fn admit(&mut self, mut candidates: Vec<(Vec<u8>, Candidate)>, bench: &Bench, report: &mut ReloadReport) {
        let some = !candidates.is_empty();
        // Parents first, so that each child is judged beside the parent that it will have.
        candidates.sort_unstable_by(|(name, one), (other_name, other)| {
            let depth = |candidate: &Candidate| candidate.image.apex().labels().count();
            depth(one).cmp(&depth(other)).then_with(|| name.cmp(other_name))
        });
        for (name, mut candidate) in candidates {
            let parent = self.parent(&name).cloned();
            let Some(zone) = self.zones.get_mut(&name) else { continue };
            match judge::admit(&candidate, zone.live.as_deref(), parent.as_deref(), bench, self.key) {
                Ok(()) => {
                    if self.images.is_some() {
                        self.unwritten
                            .extend(candidate.note.take().map(|note| (zone.name().to_name(), *note)));
                    }
                    zone.accept(candidate, report);
                }
                Err(reason) => zone.refuse(reason, Cause::Circumstance, report),
            }
        }
        if some {
            self.review_delegations(report);
        }
    }

    /// Looks at every secure delegation between zones in force: a parent that changed must not stop for one child, but
    /// be told of it ([`judge::delegation`] says why).
    fn review_delegations(&mut self, report: &mut ReloadReport) {
        let found: Vec<Option<String>> = self
            .zones
            .iter()
            .map(|(name, zone)| judge::delegation(self.parent(name)?, &zone.live.as_ref()?.image, self.key))
            .collect();
        for (zone, found) in self.zones.values_mut().zip(found) {
            if let Some(finding) = &found
                && zone.delegation != found
            {
                report.delegations.push(finding.clone());
            }
            zone.delegation = found;
        }
    }

    /// The data in force of the closest zone above the one with this wire name; none when that zone has none.
    fn parent(&self, name: &[u8]) -> Option<&Arc<ZoneImage>> {
        let mut rest = name;
        loop {
            let (&octets, _) = rest.split_first().filter(|(octets, _)| **octets > 0)?;
            rest = rest.get(usize::from(octets) + 1..)?;
            if let Some(zone) = self.zones.get(rest) {
                return zone.live.as_ref().map(|live| &live.image);
            }
        }
    }

    fn served(&self) -> Served {
        let state = |zone: &Zone| match &zone.live {
            Some(live) => ZoneState::Live(live.image.clone()),
            None => ZoneState::NotLoaded,
        };
        let zones: Vec<_> = self.zones.values().map(|zone| (zone.name().as_wire(), state(zone))).collect();
        Served {
            zones: ZoneSet::new(self.key, zones).with_digest(self.digest()),
            slots: self.zones.values().map(|zone| zone.slot).collect(),
        }
    }

    /// Tells the data of all zones together from others: the name of each, in order, with the digest of the data that
    /// answer, or zeros where none do.
    fn digest(&self) -> [u8; DIGEST_OCTETS] {
        let mut context = Context::new(&SHA256);
        for (name, zone) in &self.zones {
            context.update(name);
            context.update(zone.live.as_ref().map_or(&[0; DIGEST_OCTETS], |live| &live.digest));
        }
        let mut digest = [0; DIGEST_OCTETS];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// What status and metrics shall tell from now on.
    pub(crate) fn known(&self) -> Known {
        let counted = self.zones.values().filter(|zone| usize::from(zone.slot) < ZONE_SLOTS);
        let mut zones = Vec::with_capacity(self.zones.len() + self.misnamed.len());
        zones.extend(self.zones.values().map(|zone| zone.entry()));
        zones.extend(self.misnamed.iter().map(|misnamed| misnamed.status().into()));
        zones.sort_by_key(|zone: &Entry| zone.state() == ZoneLife::Live);
        Known {
            generation: self.published.generation(),
            digest: self.published.current().zones.digest().map(hexadecimal).unwrap_or_default(),
            zones,
            slots: counted.map(|zone| (zone.name().to_string(), zone.slot)).collect(),
        }
    }
}

fn hexadecimal(digest: &[u8; DIGEST_OCTETS]) -> String {
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn random_words() -> [u64; 2] {
    // The standard library's hash seeds come from the system's randomness.
    let word = || RandomState::new().build_hasher().finish();
    [word(), word()]
}

pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
