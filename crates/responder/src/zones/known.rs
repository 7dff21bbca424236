//! What is known of all zones between two reloads, for those who ask: [`crate::Handle::status`], metrics and the vigil.
//!
//! A zone of a hundred thousand is seldom asked for, so its status is put into words when it is; what stands here is
//! shared with the keeper.

use std::path::Path;
use std::sync::Arc;

use pharos_zonedb::Apex;

use super::zone::Live;
use super::{hexadecimal, unix};
use crate::status::{SignedStatus, ZoneLife, ZoneStatus};

/// What is known of all zones after a reload: what status and metrics tell while the next one runs.
#[derive(Debug)]
pub(crate) struct Known {
    /// The generation in force.
    pub(crate) generation: u64,
    /// The digest of the data in force, in hexadecimal.
    pub(crate) digest: String,
    /// Every zone, those with trouble first.
    pub(crate) zones: Vec<Entry>,
    /// The zones that have counts of their own, each with its slot.
    pub(crate) slots: Vec<(String, u16)>,
}

/// What is known of one zone.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A zone.
    Zone(Entered),
    /// A status that is in words already.
    Worded(Box<ZoneStatus>),
}

/// See [`Entry`].
#[derive(Debug)]
pub(crate) struct Entered {
    pub(super) place: Arc<Place>,
    pub(super) live: Option<Arc<Live>>,
    pub(super) refusal: Option<Box<Refused>>,
    /// What is wrong with the data that answer, whatever the time.
    pub(super) findings: Box<[String]>,
}

/// What a zone is called, and its file.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: Apex,
    pub(super) path: Box<Path>,
}

/// Why newer data are refused, and since when.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: String,
    pub(super) unix: u64,
}

impl From<ZoneStatus> for Entry {
    fn from(status: ZoneStatus) -> Self {
        Self::Worded(status.into())
    }
}

impl Entry {
    /// What answers.
    pub(crate) fn state(&self) -> ZoneLife {
        match self {
            Self::Zone(Entered { live: None, .. }) => ZoneLife::NotLoaded,
            Self::Zone(Entered { refusal: Some(_), .. }) => ZoneLife::Refused,
            Self::Zone(_) => ZoneLife::Live,
            Self::Worded(status) => status.state,
        }
    }

    /// The absolute name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Zone(zone) => zone.place.name.to_string(),
            Self::Worded(status) => status.name.clone(),
        }
    }

    /// What is known of the signatures that answer.
    pub(crate) fn signed(&self) -> Option<&SignedStatus> {
        match self {
            Self::Zone(zone) => zone.live.as_ref()?.signed.as_deref(),
            Self::Worded(status) => status.signed.as_ref(),
        }
    }

    /// What is wrong with the data that answer, whatever the time.
    pub(crate) fn findings(&self) -> &[String] {
        match self {
            Self::Zone(zone) => &zone.findings,
            Self::Worded(status) => &status.findings,
        }
    }

    /// All of it in words.
    pub(crate) fn status(&self) -> ZoneStatus {
        let Entered { place, live, refusal, findings } = match self {
            Self::Zone(zone) => zone,
            Self::Worded(status) => return (**status).clone(),
        };
        let live = live.as_deref();
        ZoneStatus {
            name: self.name(),
            state: self.state(),
            serial: live.map(|live| live.image.serial()),
            records: live.map_or(0, |live| live.image.records()),
            octets: live.map_or(0, |live| live.image.octets()),
            loaded_unix: live.map(|live| unix(live.loaded)),
            load_ms: live.map_or(0, |live| live.took.as_millis() as u64),
            file: place.path.display().to_string(),
            from_image: live.is_some_and(Live::is_from_image),
            refusal: refusal.as_ref().map(|refused| refused.reason.clone()),
            refused_unix: refusal.as_ref().map(|refused| refused.unix),
            digest: live.map(|live| hexadecimal(&live.digest)),
            warnings: live.map_or(0, |live| live.warnings),
            signed: self.signed().cloned(),
            findings: findings.to_vec(),
        }
    }
}
