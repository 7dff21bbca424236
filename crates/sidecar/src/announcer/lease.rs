//! The announcer `lease`: marker addresses that end by themselves when nobody renews them.
//!
//! A marker is an address of no service, on an interface that leads nowhere, with a lifetime of a few seconds. A route
//! of the routing daemon on this host goes by a next hop in the marker's network, so that it exists while the marker
//! does. The sidecar renews the markers of what shall be announced, each second, and removes those of what shall not. When
//! it dies or is frozen, the kernel removes them, and the daemon's routes follow.
//!
//! One [`Reconciler`] for each marker; what is observed are the addresses of the host. A marker may stand for some levels
//! only, so that a daemon can hold a route for each level.
//!
//! It runs on a thread of its own: the kernel may keep whoever changes addresses waiting while it works on routes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pharos_netio::markers::{self, Markers};
use pharos_policy::explain::Route;
use pharos_policy::policy::Input as PolicyInput;
use pharos_policy::{Level, Prefix};
use tokio::sync::watch;

use super::drift::{Gap, Kind};
use super::reconcile::{Input, Output, Reconciler, Seen, Standing, Urgency};
use super::report::Reporter;
use crate::config::{LeaseConfig, MarkerConfig};
use crate::keeper::{Keeper, Levels, Observed};
use crate::threads::Stopping;

/// The longest time between two renewals.
const LONGEST_RENEWAL: Duration = Duration::from_secs(1);
/// The first pause after an address could not be set or removed.
const PAUSE: Duration = Duration::from_millis(500);

/// All markers of one interface.
pub(crate) struct Lease {
    index: usize,
    name: String,
    config: LeaseConfig,
    follower: Follower,
    keeper: Arc<Keeper>,
    levels: watch::Receiver<Levels>,
    reporter: Reporter,
    kept: Vec<Kept>,
    kernel: Option<Markers>,
    renew_at: Duration,
}

struct Kept {
    marker: MarkerConfig,
    level: Level,
    presence: Reconciler<Presence>,
}

/// Whose routes depend on the markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follower {
    /// Those of a daemon that nobody here asks: its routes are there as far as the markers are.
    Unseen,
    /// Those of the BIRD that is told and looked at, which has its own word on each of them.
    Bird,
}

/// Whether a marker is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    Gone,
}

impl Lease {
    pub(super) fn new(
        index: usize,
        name: String,
        config: LeaseConfig,
        follower: Follower,
        keeper: &Arc<Keeper>,
    ) -> Self {
        let kept = |marker: &MarkerConfig| Kept {
            marker: marker.clone(),
            level: Level::Withdrawn,
            presence: Reconciler::new(Presence::Gone, Urgency::Urgent, PAUSE),
        };
        Self {
            index,
            reporter: Reporter::new(Arc::clone(keeper), name.clone()),
            name,
            kept: config.markers.iter().map(kept).collect(),
            config,
            follower,
            keeper: Arc::clone(keeper),
            levels: keeper.levels(),
            kernel: None,
            renew_at: Duration::ZERO,
        }
    }

    /// Follows the levels and renews until the order to stop; then removes every marker.
    pub(super) async fn run(mut self, mut stopping: Stopping) {
        // First of all: markers that a process before has left are there because the levels want them.
        self.follow_levels();
        loop {
            self.look_and_renew();
            self.follow_levels();
            self.report();
            let wake = self.keeper.clock.instant(self.next_deadline());
            tokio::select! {
                _ = stopping.ordered() => break,
                // The keeper outlives every announcer, which holds it.
                _ = self.levels.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        for at in 0..self.kept.len() {
            self.want(at, Level::Withdrawn);
        }
        self.report();
    }

    fn next_deadline(&self) -> Duration {
        let machines = self.kept.iter().filter_map(|kept| kept.presence.next_deadline());
        machines.chain(self.reporter.next_deadline()).fold(self.renew_at, Duration::min)
    }

    fn follow_levels(&mut self) {
        let levels = Arc::clone(&self.levels.borrow_and_update());
        for at in 0..self.kept.len() {
            let Some(kept) = self.kept.get(at) else { continue };
            let level = levels.iter().find(|(prefix, _)| *prefix == kept.marker.prefix);
            self.want(at, level.map_or(Level::Withdrawn, |(_, level)| *level));
        }
    }

    fn want(&mut self, at: usize, level: Level) {
        let Some(kept) = self.kept.get_mut(at) else { return };
        kept.level = level;
        let input = match kept.marker.levels.contains(&level) {
            true => Input::Want(Presence::There, Urgency::Patient),
            false => Input::Want(Presence::Gone, Urgency::Urgent),
        };
        self.step(at, input);
    }

    /// Looks which markers are there, mends what is not as wanted, and gives the others another lifetime.
    fn look_and_renew(&mut self) {
        let now = self.keeper.clock.now();
        if now < self.renew_at {
            return;
        }
        self.renew_at = now + (self.config.lifetime / 3).min(LONGEST_RENEWAL);
        let addresses = pharos_netio::own_addresses();
        // This thread, or all of them, may have stood still for longer than a lifetime: a marker that has run out meanwhile
        // is set again by what holds now, and by no level of before.
        let before: Vec<_> = self.kept.iter().map(|kept| *kept.presence.wanted()).collect();
        self.keeper.take(PolicyInput::Tick);
        self.follow_levels();
        for (at, before) in before.into_iter().enumerate() {
            let Some(kept) = self.kept.get(at) else { continue };
            if *kept.presence.wanted() != before {
                // What was seen was before this.
                continue;
            }
            let address = kept.marker.address;
            let seen = match &addresses {
                Ok(addresses) if addresses.contains(&address) => Seen::Known(Presence::There),
                Ok(_) => Seen::Known(Presence::Gone),
                Err(error) => Seen::Unknown(format!("the host's addresses cannot be read: {error}")),
            };
            let is_renewed =
                seen == Seen::Known(Presence::There) && *kept.presence.wanted() == Presence::There;
            self.step(at, Input::Saw(seen));
            if is_renewed && let Err(why) = self.set(at, Presence::There) {
                self.step(at, Input::Saw(Seen::Unknown(why)));
            }
        }
    }

    fn step(&mut self, at: usize, input: Input<Presence>) {
        let now = self.keeper.clock.now();
        let Some(kept) = self.kept.get_mut(at) else { return };
        // An address is set before this returns, so that there is never anything to break off.
        let Some(Output::Act(presence)) = kept.presence.step(now, input) else { return };
        if kept.presence.standing() == Standing::Astray {
            // In a moment it is mended; people shall hear of it all the same.
            self.report();
        }
        let result = self.set(at, presence);
        self.keeper.metrics.action(&self.name, &result);
        let input = match result {
            Ok(()) => Input::Done,
            Err(why) => {
                tracing::warn!(announcer = self.name, why, "lease");
                Input::Failed(why)
            }
        };
        let Some(kept) = self.kept.get_mut(at) else { return };
        let _ = kept.presence.step(now, input);
    }

    fn set(&mut self, at: usize, presence: Presence) -> Result<(), String> {
        let Some(MarkerConfig { address, length, .. }) = self.kept.get(at).map(|kept| &kept.marker) else {
            return Ok(());
        };
        let (address, length) = (*address, *length);
        let interface = markers::interface(&self.config.interface)
            .map_err(|error| self.in_words("find", address, &error))?;
        let kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Markers::open().map_err(|error| self.in_words("set", address, &error))?,
        };
        let kernel = self.kernel.insert(kernel);
        let (what, result) = match presence {
            Presence::There => ("set", kernel.set(interface, address, length, self.config.lifetime)),
            Presence::Gone => ("remove", kernel.remove(interface, address, length)),
        };
        result.map_err(|error| {
            // Whatever is wrong with the socket goes with it.
            self.kernel = None;
            self.in_words(what, address, &error)
        })
    }

    fn in_words(&self, what: &str, address: IpAddr, error: &std::io::Error) -> String {
        let interface = &self.config.interface;
        match (what, error.kind()) {
            ("find", _) => {
                format!("no interface {interface}; `ip link add {interface} type dummy` makes one")
            }
            (_, std::io::ErrorKind::PermissionDenied) => {
                format!("cannot {what} {address} on {interface}: {error}; it takes CAP_NET_ADMIN")
            }
            _ => format!("cannot {what} {address} on {interface}: {error}"),
        }
    }

    fn report(&mut self) {
        let gaps = self.kept.iter().filter_map(gap).collect();
        let drift = self.reporter.gaps(gaps);
        let failing = self.kept.iter().find_map(|kept| kept.presence.failure()).map(str::to_owned);
        self.reporter.failing(failing.as_deref());
        let observed = |kept: &Kept| Observed {
            prefix: kept.marker.prefix,
            text: observed(kept),
            route: route(kept, self.follower),
        };
        let observed = self.kept.iter().map(observed).collect();
        let LeaseConfig { interface, lifetime, .. } = &self.config;
        let state = format!("markers on {interface}, for {lifetime:?} at a time");
        self.keeper.announcer(self.index, |view| {
            view.state = state;
            view.failing = failing;
            view.observed = observed;
            view.drift = drift;
        });
    }
}

/// Whether somebody has a route by this marker.
fn route(kept: &Kept, follower: Follower) -> Route {
    match (kept.presence.seen(), follower) {
        (_, Follower::Bird) | (Seen::Known(Presence::Gone), _) => Route::Absent,
        (Seen::Known(Presence::There), Follower::Unseen) => Route::There,
        (Seen::Odd(_) | Seen::Unknown(_), Follower::Unseen) => Route::Unknown,
    }
}

fn observed(kept: &Kept) -> String {
    let address = kept.marker.address;
    match kept.presence.seen() {
        Seen::Known(Presence::There) => format!("marker {address} is there"),
        Seen::Known(Presence::Gone) => format!("marker {address} is not there"),
        Seen::Odd(why) | Seen::Unknown(why) => format!("marker {address}: {why}"),
    }
}

fn gap(kept: &Kept) -> Option<Gap> {
    let kind = match kept.presence.standing() {
        Standing::AsWanted => return None,
        Standing::OnTheWay => Kind::Closing,
        Standing::Astray => Kind::Astray,
    };
    let why = kept.presence.failure().unwrap_or("somebody else has changed it").to_owned();
    let prefix: Prefix = kept.marker.prefix;
    Some(Gap { prefix, wanted: kept.level.to_string(), observed: observed(kept), why, kind })
}
