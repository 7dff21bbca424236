//! What the answers themselves tell of the data, where there is no `/status`: another name server than ours.
//!
//! Every probe learns the serial of a required zone, asks for the SOA record's signature, and for the version of the
//! zone (RFC 9660). From that follow the age of the data, where serials are times or dates, and the end of the
//! signatures, as far as that of the SOA record stands for all of them. What was answered long ago tells nothing any
//! more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name;

use super::data;
use super::view::{SignedView, ZoneState, ZoneView};
use crate::probe::reply::{Told, Version};

/// Each zone's turn comes sooner, even among thousands.
const FRESH: Duration = Duration::from_secs(60);

/// The last answer for each zone; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<BTreeMap<String, (Duration, Told)>>>);

impl Answers {
    /// A good answer came.
    pub(crate) fn tell(&self, now: Duration, zone: &Name, told: Told) {
        self.lock().insert(zone.to_string(), (now, told));
    }

    /// The zones that were answered for lately, as a status would tell of them.
    pub(super) fn zones(&self, now: Duration) -> Vec<ZoneView> {
        let all = self.lock();
        let fresh = all.iter().filter(|(_, (at, _))| now.saturating_sub(*at) < FRESH);
        let view = |(name, (_, told)): (&String, &(Duration, Told))| ZoneView {
            name: name.clone(),
            state: ZoneState::Live,
            serial: Some(told.serial),
            refusal: None,
            refused_unix: None,
            findings: Vec::new(),
            records: 0,
            loaded_unix: None,
            signed: told.expires.map(|expires| SignedView {
                earliest_expiry_unix: expires.into(),
                earliest_expiry_record: format!("{name} SOA"),
            }),
        };
        fresh.map(view).collect()
    }

    /// Why the age of a zone is not known, where the answer that came last shows that no serial tells it.
    pub(crate) fn ageless(&self, zone: &Name, now_unix: u64) -> Option<String> {
        let zone = zone.to_string();
        let (_, told) = *self.lock().get(&zone)?;
        data::is_undated(told.serial, now_unix).then(|| data::ageless(&zone))
    }

    /// Whether the server says which version of a zone it answers from; `None` before it has answered.
    pub(crate) fn tells_version(&self) -> Option<Version> {
        let all = self.lock();
        let said = all.values().map(|(_, told)| told.version);
        said.reduce(|one, next| if one == Version::Told { one } else { next })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Duration, Told)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn answers_become_zones_for_a_while() {
        let answers = Answers::default();
        assert_eq!(answers.tells_version(), None);
        let told = |expires, version| Told { serial: 7, expires, version };
        answers.tell(S(1), &Name::from_ascii("a.").unwrap(), told(Some(9), Version::NotTold));
        assert_eq!(answers.tells_version(), Some(Version::NotTold));
        answers.tell(S(50), &Name::from_ascii("b.").unwrap(), told(None, Version::Told));
        assert_eq!(answers.tells_version(), Some(Version::Told));
        let zones = answers.zones(S(60));
        assert_eq!((zones[0].name.as_str(), zones[0].serial), ("a.", Some(7)));
        assert_eq!(zones[0].signed.as_ref().unwrap().earliest_expiry_record, "a. SOA");
        assert!(zones[1].signed.is_none());
        assert_eq!(answers.zones(S(61)).len(), 1);
        let ageless = |zone| answers.ageless(&Name::from_ascii(zone).unwrap(), 1_795_867_200);
        assert!(ageless("a.").unwrap().starts_with("the serial of a. is neither"), "told once, it stays so");
        assert_eq!(ageless("c."), None, "nobody was asked");
    }
}
