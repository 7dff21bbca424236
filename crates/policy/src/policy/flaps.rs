//! Falls and returns of all prefixes, for a process that begins anew: see `preference/flaps.rs`.

use std::time::Duration;

use super::{Policy, Role};
use crate::preference::{End, SavedFlaps};

impl Policy {
    /// What the next process has to know of falls and returns if this one ends, each time a level changes. Anchors have
    /// nothing to earn.
    pub fn flaps(&self, now: Duration) -> Vec<SavedFlaps> {
        let services = self.routes.iter().filter(|route| matches!(route.role, Role::Service(_)));
        services.map(|route| route.preference.flaps(self.clock.max(now), route.prefix)).collect()
    }

    /// Takes back what was written down `elapsed` ago by a process that ended so. For a policy that has just begun: it
    /// changes no level. What is no longer configured is left out.
    pub fn remember(&mut self, elapsed: Duration, end: End, saved: &[SavedFlaps]) {
        for saved in saved {
            let of_it = |route: &&mut super::Route| {
                route.prefix == saved.prefix && matches!(route.role, Role::Service(_))
            };
            if let Some(route) = self.routes.iter_mut().find(of_it) {
                route.preference.remember(elapsed, end, saved);
            }
        }
    }
}
