//! The dry run: nobody is told; what would be told is shown.
//!
//! It stands in for every announcer that is not to act: all of them with [`Mode::DryRun`] for the whole sidecar, or one
//! that is tried out beside others. Its desired state is shown like that of a real one; there is no observed state, and
//! so no drift, but for what could not be told at all.

use std::sync::Arc;

use pharos_policy::explain::Route;
use pharos_policy::{Level, Prefix};

use super::drift::Kind;
use super::report::Reporter;
use super::{mode, routes};
use crate::config::{Config, Mode, NeighbourConfig};
use crate::keeper::{Keeper, Levels, Observed};

/// Shows what those who do not act would tell.
pub(crate) struct Null {
    keeper: Arc<Keeper>,
    /// Neighbours that are not told, by their index.
    neighbours: Vec<(usize, NeighbourConfig, Reporter)>,
    /// Other announcers that do not act, by their index.
    announcers: Vec<usize>,
}

impl Null {
    /// One for all that do not act; nothing if all do.
    pub(super) fn open(config: &Config, keeper: &Arc<Keeper>) -> Option<Self> {
        let neighbours: Vec<_> = match config.mode {
            Mode::Announce => Vec::new(),
            Mode::DryRun => (config.neighbours.iter().cloned().enumerate())
                .map(|(index, neighbour)| {
                    let reporter = Reporter::new(Arc::clone(keeper), format!("bgp {}", neighbour.name()));
                    (index, neighbour, reporter)
                })
                .collect(),
        };
        let idle = config.announcers.iter().enumerate();
        let idle = idle.filter(|(_, announcer)| mode(config, announcer) == Mode::DryRun);
        let announcers: Vec<_> = idle.map(|(index, _)| index).collect();
        let needed = !(neighbours.is_empty() && announcers.is_empty()) || config.mode == Mode::DryRun;
        needed.then(|| Self { keeper: Arc::clone(keeper), neighbours, announcers })
    }

    /// Follows the levels for ever.
    pub(super) async fn run(mut self) {
        let mut levels = self.keeper.levels();
        loop {
            let now = Arc::clone(&levels.borrow_and_update());
            self.show(&now);
            if levels.changed().await.is_err() {
                return;
            }
        }
    }

    fn show(&mut self, levels: &Levels) {
        for (index, neighbour, reporter) in &mut self.neighbours {
            let routes = routes::wanted(neighbour, levels, None);
            let would = |route| format!("(dry run, not sent) {}", routes::line(route));
            let told = routes.sendable.iter().map(would).collect();
            let gaps = routes::gaps(&routes.impossible, &[], &[], |_| (String::new(), Kind::Explained));
            let drift = reporter.gaps(gaps);
            self.keeper.neighbour(*index, None, |view| {
                view.told = told;
                view.drift = drift;
            });
        }
        for &index in &self.announcers {
            let would = |&(prefix, level): &(Prefix, Level)| Observed {
                prefix,
                text: format!("(dry run, not done) {level}"),
                route: Route::Absent,
            };
            let would = levels.iter().map(would).collect();
            self.keeper.announcer(index, |view| {
                view.state = "dry run: nothing is done".to_owned();
                view.observed = would;
            });
        }
    }
}
