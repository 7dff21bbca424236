//! Announcers: bring what others know to what the policy decided, and report where it differs.
//!
//! | announcer | tells | observes | when the sidecar dies |
//! |---|---|---|---|
//! | `bgp` ([`session`]) | each neighbour, by our own speaker | what each was told | its sessions close, the routes go |
//! | `bird` ([`bird`]) | a BIRD, by its control socket and a file | what BIRD shows | the routes go with their lease, or stay |
//! | `lease` ([`lease`]) | the kernel, by marker addresses | the host's addresses | the markers run out in seconds |
//! | `exec` ([`exec`]) | a program of the operator's | what another program says | the routes stay |
//! | `null` ([`null`]) | nobody: a dry run | nothing | there is nothing |
//!
//! All of them follow the levels in force and own everything that carrying them out takes. Desired state is the list of
//! levels; observed state is what there is. An announcer acts until both are the same, with pauses that grow up to a
//! bound ([`reconcile`]; a BGP session has its own machine for that), and where they differ it reports [`drift`]: to
//! the status, to metrics, as events and as an alarm ([`report`]). Each has a thread of its own, so that a slow disk or
//! a program delays no BGP session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::beat::{Beat, Beats};
use crate::bfd::Bfd;
use crate::config::{AnnouncerConfig, Config, Death, Mode, StartError, Way};
use crate::handover::{self, Order, Part, Predecessor, Socket};
use crate::keeper::{Keeper, View};
use crate::threads::{STOP_BOUND, Stage, Stopping, Turn};

mod bird;
pub(crate) mod drift;
mod exec;
mod lease;
mod link;
mod listen;
mod null;
mod ration;
mod reconcile;
mod report;
mod routes;
mod session;

use bird::Bird;
use exec::Exec;
use lease::{Follower, Lease};
use listen::Listener;
use null::Null;
use session::Driver;

/// How decisions are carried out.
pub(crate) enum Announcer {
    /// By our own BGP speaker.
    Bgp(Bgp),
    /// By a BIRD on this host.
    Bird(Box<Bird>),
    /// By marker addresses on which a routing daemon's routes depend.
    Lease(Box<Lease>),
    /// By programs, one list of prefixes for each.
    Exec(Vec<Exec>),
    /// Not at all: decisions are reported and nobody is told.
    Null(Null),
}

/// What is known of each announcer besides the neighbours before it has begun.
pub(crate) fn views(config: &Config) -> Vec<View> {
    let view = |announcer: &AnnouncerConfig| View {
        name: announcer.name.clone(),
        thread: thread_of(&announcer.way),
        late: false,
        mode: mode(config, announcer),
        death: death(config, announcer),
        state: "starting".to_owned(),
        failing: None,
        observed: Vec::new(),
        said: Vec::new(),
        drift: Vec::new(),
    };
    config.announcers.iter().map(view).collect()
}

/// The thread on which an announcer of the configuration runs.
fn thread_of(way: &Way) -> &'static str {
    match way {
        Way::Bird(_) => "pharos-bird",
        Way::Lease(_) => "pharos-lease",
        Way::Exec(_) => "pharos-exec",
    }
}

/// Every announcer of the configuration, with what the process before has left for it. Opens what can fail: the
/// listeners of passive sessions. Those on which a route depends get a place in `beats`.
pub(crate) fn open(
    config: &Arc<Config>,
    keeper: &Arc<Keeper>,
    beats: &mut Beats,
    before: &mut Option<Predecessor>,
) -> Result<Vec<Announcer>, StartError> {
    keeper.metrics.mode(config.mode);
    let mut all = Vec::new();
    if speaks_bgp(config) {
        all.push(Announcer::Bgp(Bgp::open(config, keeper, beats, before)?));
    }
    let mut programs = Vec::new();
    for (index, announcer) in config.announcers.iter().enumerate() {
        keeper.metrics.announcer(&announcer.name);
        match (&announcer.way, mode(config, announcer)) {
            (_, Mode::DryRun) => {}
            (Way::Bird(bird), Mode::Announce) => {
                let bird = Bird::new(index, announcer.name.clone(), bird, config, keeper);
                all.push(Announcer::Bird(Box::new(bird)));
            }
            (Way::Lease(lease), Mode::Announce) => {
                let (name, follower) = (announcer.name.clone(), follower(config));
                let lease = Lease::new(index, name, lease.clone(), follower, keeper);
                all.push(Announcer::Lease(Box::new(lease)));
            }
            (Way::Exec(exec), Mode::Announce) => {
                programs.push(Exec::new(index, announcer.name.clone(), exec.clone(), config, keeper));
            }
        }
    }
    if !programs.is_empty() {
        all.push(Announcer::Exec(programs));
    }
    all.extend(Null::open(config, keeper).map(Announcer::Null));
    Ok(all)
}

/// Whether there are sessions of our own.
pub(crate) fn speaks_bgp(config: &Config) -> bool {
    config.mode == Mode::Announce && !config.neighbours.is_empty()
}

/// Whether an announcer's decisions are carried out.
pub(crate) fn mode(config: &Config, announcer: &AnnouncerConfig) -> Mode {
    match config.mode {
        Mode::Announce => announcer.mode,
        Mode::DryRun => Mode::DryRun,
    }
}

/// Whose routes depend on the markers.
fn follower(config: &Config) -> Follower {
    let follows = |announcer: &AnnouncerConfig| match &announcer.way {
        Way::Bird(bird) => bird.death == Death::Lease && mode(config, announcer) == Mode::Announce,
        Way::Lease(_) | Way::Exec(_) => false,
    };
    if config.announcers.iter().any(follows) { Follower::Bird } else { Follower::Unseen }
}

/// What becomes of the routes when this process dies, whatever kills it.
fn death(config: &Config, announcer: &AnnouncerConfig) -> String {
    match &announcer.way {
        Way::Bird(bird) => match (bird.death, config.lease()) {
            (Death::Lease, Some(lease)) => {
                format!("the routes go with their markers, within {:?} and a moment", lease.lifetime)
            }
            _ => "the routes stay for good, by configuration: withdraw them in BIRD".to_owned(),
        },
        Way::Lease(lease) => {
            format!("the markers run out within {:?}, and with them whatever depends on them", lease.lifetime)
        }
        Way::Exec(_) => "the routes stay as they are: nobody is left to run the program".to_owned(),
    }
}

/// How long it takes at most until every announcer has withdrawn everything and ended.
pub(crate) fn longest_stop(config: &Config) -> Duration {
    let of_programs =
        config.announcers.iter().filter_map(|announcer| match (&announcer.way, mode(config, announcer)) {
            (Way::Exec(exec), Mode::Announce) => Some(exec::longest_stop(exec)),
            _ => None,
        });
    of_programs.fold(STOP_BOUND, Duration::max)
}

impl Announcer {
    /// The thread that it runs on.
    pub(crate) fn thread(&self) -> &'static str {
        match self {
            Self::Bgp(_) => Bgp::THREAD,
            Self::Bird(_) => "pharos-bird",
            Self::Lease(_) => "pharos-lease",
            Self::Exec(_) => "pharos-exec",
            Self::Null(_) => "pharos-null",
        }
    }

    /// Whether its thread may wait for others, and is late if it does for long; the other has a beat of its own.
    pub(crate) fn is_helper(&self) -> bool {
        !matches!(self, Self::Bgp(_))
    }

    /// From when on it may act in the place of another process: sessions come with their sockets, and whatever else both
    /// would act upon only when the other one has ended.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Bgp(_) => Stage::Driving,
            Self::Bird(_) | Self::Lease(_) | Self::Exec(_) | Self::Null(_) => Stage::Alone,
        }
    }

    /// Sessions must not wait while others compute; whoever starts programs must not have them run first.
    pub(crate) fn turn(&self) -> Turn {
        match self {
            Self::Bgp(_) => Turn::First,
            Self::Bird(_) | Self::Lease(_) | Self::Exec(_) | Self::Null(_) => Turn::Ordinary,
        }
    }

    /// Follows the levels until the order to stop; then withdraws everything first. Who starts programs has none left when
    /// another process takes over.
    pub(crate) async fn run(self, stopping: Stopping, yielding: Stopping) {
        match self {
            Self::Bgp(bgp) => bgp.run(stopping).await,
            Self::Bird(bird) => bird.run(stopping).await,
            Self::Lease(lease) => lease.run(stopping).await,
            Self::Exec(programs) => {
                let mut running = JoinSet::new();
                for program in programs {
                    running.spawn(program.run(stopping.clone(), yielding.clone()));
                }
                while running.join_next().await.is_some() {}
            }
            Self::Null(null) => stopping.or(null.run()).await,
        }
    }
}

/// One session with each neighbour.
pub(crate) struct Bgp {
    drivers: Vec<Driver>,
    listeners: Vec<Listener>,
    bfd: Bfd,
    beat: Beat,
    /// The order to let go of everything, while it stands.
    handover: watch::Receiver<Option<Order>>,
}

impl Bgp {
    const THREAD: &str = "pharos-routes";

    fn open(
        config: &Config,
        keeper: &Arc<Keeper>,
        beats: &mut Beats,
        before: &mut Option<Predecessor>,
    ) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let mut drivers = Vec::new();
        let bfd = Bfd::open(config, keeper.clock, beats, before)?;
        for (index, neighbour) in config.neighbours.iter().enumerate() {
            let accepted = listen::expect(&mut listeners, neighbour, before)?;
            let settings = config.session(neighbour);
            let mut driver = Driver::new(index, neighbour.clone(), settings, accepted, Arc::clone(keeper))?;
            driver.follow_bfd(bfd.view(index));
            let identity = handover::identity(config, neighbour);
            let inherited = before.as_mut().and_then(|it| it.take_session(&neighbour.name(), &identity));
            driver.inherit(identity, inherited);
            drivers.push(driver);
        }
        Ok(Self { drivers, listeners, bfd, beat: beats.add(Self::THREAD), handover: keeper.handover() })
    }

    async fn run(self, stopping: Stopping) {
        self.beat.clone().during(self.drive(stopping)).await;
    }

    async fn drive(mut self, stopping: Stopping) {
        self.bfd.begin();
        let doors: Vec<_> = self.listeners.iter().map(Listener::share).collect();
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(listener.run(self.handover.clone()));
        }
        let mut sessions = JoinSet::new();
        for driver in self.drivers {
            sessions.spawn(driver.run(stopping.clone()));
        }
        // A session ends by the order to stop alone. If one panics, this thread ends with all its sockets,
        // so that no neighbour keeps a route that nobody would withdraw.
        loop {
            let ended = tokio::select! {
                ended = sessions.join_next() => ended,
                Ok(()) = self.handover.changed() => {
                    let order = self.handover.borrow_and_update().clone();
                    match order {
                        Some(order) => {
                            order.give(share(&doors));
                            self.bfd.let_go(&order);
                        }
                        None => self.bfd.take_back(),
                    }
                    continue;
                }
            };
            match ended {
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    // And without beats the process.
                    tracing::error!("a BGP session failed; all sessions end with it");
                    return;
                }
                None => break,
            }
        }
        // After the sessions have said why they end: a neighbour must not take this for a dead path.
        self.bfd.stop();
    }
}

/// So many parts make what is handed over: a part for each driver, one for the listeners, one for BFD.
pub(crate) fn parts(config: &Config) -> usize {
    config.neighbours.len() + 2
}

/// The listeners for another process; one that cannot be shared is opened there anew.
fn share(doors: &[std::io::Result<(std::net::SocketAddr, std::os::fd::OwnedFd)>]) -> Part {
    let again = |(address, socket): &(_, std::os::fd::OwnedFd)| {
        Some((Socket::Listener(*address), socket.try_clone().ok()?))
    };
    Part { sockets: doors.iter().flatten().filter_map(again).collect(), ..Part::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ExecConfig, sample};

    #[test]
    fn a_stop_waits_for_the_slowest_program_that_has_to_be_killed_before_it_withdraws() {
        let with = |mode, timeouts: &[u64]| {
            let exec = |seconds: &u64| AnnouncerConfig {
                name: seconds.to_string(),
                mode,
                way: Way::Exec(ExecConfig {
                    program: "/x".into(),
                    arguments: Vec::new(),
                    timeout: Duration::from_secs(*seconds),
                    retry: Duration::from_secs(1),
                    observe: None,
                }),
            };
            let mut config = sample::config();
            config.announcers = timeouts.iter().map(exec).collect();
            longest_stop(&config).as_secs()
        };
        assert_eq!(with(Mode::Announce, &[]), 5);
        assert_eq!(with(Mode::Announce, &[5]), 12, "the unit's TimeoutStopSec is 30 s");
        assert_eq!(with(Mode::Announce, &[5, 60, 10]), 67);
        assert_eq!(with(Mode::DryRun, &[60]), 5);
    }
}
