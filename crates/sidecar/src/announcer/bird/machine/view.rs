//! What people are told of a BIRD: how it stands with it, what is observed of each prefix, and where that is not as wanted.

use pharos_policy::{Level, explain};

use super::{Kept, Link, Looked, Machine, Stage, Up};
use crate::announcer::bird::include::{Shown, Sight};
use crate::announcer::drift::{Gap, Kind};
use crate::announcer::reconcile::{Reconciler, Standing};
use crate::keeper::Observed;

impl Machine {
    /// How it stands with BIRD.
    pub(in crate::announcer::bird) fn state(&self) -> String {
        match (&self.problem, &self.link) {
            // A connection counts from its greeting on: a BIRD that hangs is connected to as well.
            (Some(why), _) => format!("not connected: {why}"),
            (None, Link::Up(up)) => match &up.stage {
                Stage::Idle => "connected".to_owned(),
                Stage::Writing(_) | Stage::Restoring(_) => "connected, writing the file".to_owned(),
                Stage::Checking(_) | Stage::Loading(_) => "connected, loading the file".to_owned(),
                Stage::Settling { .. } | Stage::Confirming(_) => "connected, confirming the load".to_owned(),
                Stage::Undoing(_) => "connected, undoing the load".to_owned(),
            },
            (None, _) => "connecting".to_owned(),
        }
    }

    /// Why the last action failed, if it did.
    pub(in crate::announcer::bird) fn failing(&self) -> Option<&str> {
        match (&self.problem, &self.link) {
            (Some(why), _) => Some(why),
            (None, Link::Up(up)) => up.load.failure(),
            (None, _) => None,
        }
    }

    /// BIRD's last refusals.
    pub(in crate::announcer::bird) fn said(&self) -> Vec<String> {
        self.said.iter().cloned().collect()
    }

    /// What is observed of each prefix.
    pub(in crate::announcer::bird) fn observed(&self) -> Vec<Observed> {
        let observed = |(at, kept): (usize, &Kept)| Observed {
            prefix: kept.prefix,
            text: self.observed_of(at, kept),
            route: self.route_of(at),
        };
        self.kept.iter().enumerate().map(observed).collect()
    }

    /// Whether BIRD has a route of the prefix, as far as it says so.
    fn route_of(&self, at: usize) -> explain::Route {
        match &self.link {
            Link::Up(up) if up.looked == Looked::Once => match up.sights.get(at) {
                Some(Sight::Route(_)) => explain::Route::There,
                Some(Sight::Opening) => explain::Route::Unknown,
                None | Some(Sight::Missing | Sight::Closed | Sight::Idle) => explain::Route::Absent,
            },
            Link::Up(_) | Link::Connecting | Link::Down { .. } => explain::Route::Unknown,
        }
    }

    fn observed_of(&self, at: usize, kept: &Kept) -> String {
        let Link::Up(up) = &self.link else { return "unknown: not connected".to_owned() };
        if up.looked == Looked::NotYet {
            return "unknown: not looked at yet".to_owned();
        }
        match up.sights.get(at) {
            None | Some(Sight::Missing) => "withdrawn: BIRD has no such protocol".to_owned(),
            Some(Sight::Closed) => "withdrawn".to_owned(),
            Some(Sight::Opening) => "unknown: not looked at since a load that opens it".to_owned(),
            Some(Sight::Idle) => "not announced: BIRD has no way to its next hop".to_owned(),
            Some(Sight::Route(shown)) => {
                let mut levels =
                    std::iter::once(kept.level).chain(Level::ALL).filter(|level| level.is_announced());
                match levels.find(|level| *shown == Shown::expected(&self.settings, *level)) {
                    Some(level) => level.to_string(),
                    None => format!("announced with {}", shown.words()),
                }
            }
        }
    }

    /// Every prefix that is not as wanted.
    pub(in crate::announcer::bird) fn gaps(&self) -> Vec<Gap> {
        self.kept.iter().enumerate().filter_map(|(at, kept)| self.gap(at, kept)).collect()
    }

    fn gap(&self, at: usize, kept: &Kept) -> Option<Gap> {
        let (why, kind) = match &self.link {
            Link::Up(up) if up.looked == Looked::Once => {
                let sight = up.sights.get(at)?;
                if self.is_right(kept, sight) {
                    return None;
                }
                self.explain(up, at, sight)
            }
            _ => match &self.problem {
                Some(why) => (why.clone(), Kind::Astray),
                None => ("not asked yet".to_owned(), Kind::Closing),
            },
        };
        let observed = self.observed_of(at, kept);
        Some(Gap { prefix: kept.prefix, wanted: kept.level.to_string(), observed, why, kind })
    }

    fn is_right(&self, kept: &Kept, sight: &Sight) -> bool {
        match sight {
            Sight::Missing | Sight::Closed => !kept.level.is_announced(),
            Sight::Opening | Sight::Idle => false,
            Sight::Route(shown) => {
                kept.level.is_announced() && *shown == Shown::expected(&self.settings, kept.level)
            }
        }
    }

    fn explain(&self, up: &Up, at: usize, sight: &Sight) -> (String, Kind) {
        let door = up.doors.get(at).and_then(Option::as_ref);
        let failure = up.load.failure().or_else(|| door.and_then(Reconciler::failure));
        let astray = up.load.standing() == Standing::Astray
            || door.is_some_and(|door| door.standing() == Standing::Astray);
        match (failure, sight, astray) {
            (Some(why), ..) => (why.to_owned(), Kind::Astray),
            (None, Sight::Idle, _) => ("is its marker there?".to_owned(), Kind::Closing),
            (None, _, true) => ("somebody else has changed it".to_owned(), Kind::Astray),
            (None, _, false) => ("it is being carried out".to_owned(), Kind::Closing),
        }
    }
}
