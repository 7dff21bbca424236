//! Announcers whose routes stay until somebody withdraws them: no session of ours ends them.
//!
//! The next process goes on with such routes as far as it has the same announcer with the same prefixes. What it has not,
//! nobody would ever withdraw, so that it does not take over; a restart withdraws everything first. Markers are no such
//! routes: they run out by themselves.

use pharos_policy::Prefix;
use serde::{Deserialize, Serialize};

use crate::announcer;
use crate::config::{AnnouncerConfig, Config, Mode, Way};

/// One announcer, and what it may have announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    name: String,
    /// What must be the same for the next process to reach whom this one has told.
    identity: Vec<String>,
    prefixes: Vec<Prefix>,
}

impl Holder {
    /// All of a configuration, with every prefix: one that is withdrawn now may have returned a moment later.
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let prefixes: Vec<_> = config.announced().collect();
        let holder = |of: &AnnouncerConfig| {
            let identity = match &of.way {
                Way::Lease(_) => return None,
                Way::Bird(bird) => vec![bird.control.display().to_string()],
                Way::Exec(exec) => {
                    [vec![exec.program.display().to_string()], exec.arguments.clone()].concat()
                }
            };
            let acts = announcer::mode(config, of) == Mode::Announce;
            acts.then(|| Self { name: of.name.clone(), identity, prefixes: prefixes.clone() })
        };
        config.announcers.iter().filter_map(holder).collect()
    }

    /// What of it nobody with this configuration would withdraw, and why.
    fn left_up(&self, config: &Config, now: &[Self]) -> Option<String> {
        let Self { name, identity, prefixes } = self;
        let all = |why: &str| Some(format!("{} by {name}, which {why}", list(prefixes)));
        let Some(known) = now.iter().find(|known| known.name == *name) else {
            let is_there = config.announcers.iter().any(|announcer| announcer.name == *name);
            return all(if is_there { "runs dry now" } else { "is no longer configured" });
        };
        // Without their words: arguments may hold what is not for everybody.
        if known.identity != *identity {
            return all("has another program, other arguments or another control socket now");
        }
        let is_gone = |prefix: &Prefix| !known.prefixes.contains(prefix);
        let gone: Vec<_> = prefixes.iter().copied().filter(is_gone).collect();
        (!gone.is_empty()).then(|| format!("{} by {name}, no longer configured", list(&gone)))
    }
}

/// What of all that they hold nobody with this configuration would withdraw: by whom, and why.
pub(super) fn left_up(holders: &[Holder], config: &Config) -> Option<String> {
    let now = Holder::all(config);
    let left: Vec<_> = holders.iter().filter_map(|holder| holder.left_up(config, &now)).collect();
    (!left.is_empty()).then(|| left.join("; "))
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
