//! Which zones there are, and the file of each.
//!
//! One wrong name concerns nobody else: it is told, and all others are listed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pharos_wire::Name;

use super::report::ReloadError;
use crate::config::ZoneSource;
use crate::status::{ZoneLife, ZoneStatus};

/// What a source holds.
#[derive(Default)]
pub(super) struct Listing {
    /// The zones by lower-case wire name, with the file of each.
    pub(super) found: BTreeMap<Vec<u8>, (Name, PathBuf)>,
    pub(super) misnamed: Vec<Misnamed>,
    /// Zones that a second file claims, and the reason why it is left aside.
    pub(super) rivals: Vec<(Vec<u8>, String)>,
}

/// A file whose name is not that of a zone.
pub(super) struct Misnamed {
    pub(super) text: String,
    pub(super) reason: String,
}

impl Misnamed {
    pub(super) fn status(&self) -> ZoneStatus {
        ZoneStatus {
            name: self.text.clone(),
            state: ZoneLife::NotLoaded,
            serial: None,
            records: 0,
            octets: 0,
            loaded_unix: None,
            load_ms: 0,
            file: self.text.clone(),
            from_image: false,
            refusal: Some(self.reason.clone()),
            refused_unix: None,
            digest: None,
            warnings: 0,
            signed: None,
            findings: Vec::new(),
        }
    }
}

impl ZoneSource {
    /// Lists the zones. One wrong name concerns nobody else: it is told, and all others are listed. Of two files
    /// for one zone the one in use stays, or else the first by name.
    pub(super) fn list(&self, in_use: &BTreeMap<Vec<u8>, PathBuf>) -> Result<Listing, ReloadError> {
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
