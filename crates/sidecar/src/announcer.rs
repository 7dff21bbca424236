//! Announcers: bring what the routers know to what the policy decided, and report where it differs.
//!
//! An announcer follows the levels in force and owns everything that carrying them out takes. Desired state
//! is the list of levels; observed state is the session and what it was told; the difference is drift, which
//! `status` shows for each neighbour until it is gone.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::{Config, Mode, StartError};
use crate::keeper::Keeper;
use crate::threads::Stopping;

mod link;
mod listen;
mod routes;
mod session;

use listen::Listener;
use session::Driver;

/// How decisions are carried out.
pub(crate) enum Announcer {
    /// By our own BGP speaker.
    Bgp(Bgp),
    /// Not at all: decisions are reported and nobody is told.
    Null(Null),
}

impl Announcer {
    /// Opens what can fail: the listeners of passive sessions.
    pub(crate) fn open(config: &Arc<Config>, keeper: &Arc<Keeper>) -> Result<Self, StartError> {
        match config.mode {
            Mode::Announce => Bgp::open(config, keeper).map(Self::Bgp),
            Mode::DryRun => Ok(Self::Null(Null { config: Arc::clone(config), keeper: Arc::clone(keeper) })),
        }
    }

    /// Follows the levels until the order to stop; then withdraws everything first.
    pub(crate) async fn run(self, stopping: Stopping) {
        match self {
            Self::Bgp(bgp) => bgp.run(stopping).await,
            Self::Null(null) => stopping.or(null.run()).await,
        }
    }
}

/// One session with each neighbour.
pub(crate) struct Bgp {
    drivers: Vec<Driver>,
    listeners: Vec<Listener>,
}

impl Bgp {
    fn open(config: &Config, keeper: &Arc<Keeper>) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let mut drivers = Vec::new();
        for (index, neighbour) in config.neighbours.iter().enumerate() {
            let accepted = listen::expect(&mut listeners, neighbour)?;
            let settings = config.session(neighbour);
            drivers.push(Driver::new(index, neighbour.clone(), settings, accepted, Arc::clone(keeper))?);
        }
        Ok(Self { drivers, listeners })
    }

    async fn run(self, stopping: Stopping) {
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(listener.run());
        }
        let mut sessions = JoinSet::new();
        for driver in self.drivers {
            sessions.spawn(driver.run(stopping.clone()));
        }
        // A session ends by the order to stop alone. If one panics, this thread ends with all its sockets,
        // so that no neighbour keeps a route that nobody would withdraw.
        while let Some(ended) = sessions.join_next().await {
            if ended.is_err() {
                tracing::error!("a BGP session failed; all sessions end with it");
                return;
            }
        }
    }
}

/// Nobody is told; what would be told is shown.
pub(crate) struct Null {
    config: Arc<Config>,
    keeper: Arc<Keeper>,
}

impl Null {
    async fn run(self) {
        let mut levels = self.keeper.levels();
        loop {
            let now = Arc::clone(&levels.borrow_and_update());
            for (index, neighbour) in self.config.neighbours.iter().enumerate() {
                let routes = routes::wanted(neighbour, &now, None);
                let would = |route| format!("(dry run, not sent) {}", routes::line(route));
                let told = routes.sendable.iter().map(would).collect();
                self.keeper.neighbour(index, None, |view| {
                    view.told = told;
                    view.drift = routes.impossible;
                });
            }
            if levels.changed().await.is_err() {
                return;
            }
        }
    }
}
