//! The sidecar's own threads: one current-thread runtime each, ended together.
//!
//! A thread that ends before it was told to is a fault that `/livez` reports. What then becomes of the route
//! is decided elsewhere: without the BGP thread its sockets close and the neighbours drop the routes, and without one that
//! must beat ([`crate::beat`]) the process ends.
//!
//! Those on which a route depends ask the kernel to run them before ordinary threads: on a machine whose cores are taken
//! they would find late what is in time, and that looks like a failure. A nice value alone does not do: where the kernel
//! groups processes by session (autogroup, sched(7)), it counts among the threads of one service only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pharos_netio::urgency::{self, Duty};
use tokio::sync::watch;

use crate::beat::Beats;
use crate::config::StartError;

/// A stop takes the time of one withdrawal, and this is more than a session needs; a neighbour that reads nothing shall not
/// keep the process. Who needs longer by configuration has [`Threads::stop`] told so.
pub(crate) const STOP_BOUND: Duration = Duration::from_secs(5);

/// How long files and programs may take when another process takes over: it waits with its own until this one has ended.
const YIELD_BOUND: Duration = Duration::from_secs(1);

/// Whether a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Running,
    Ended,
}

/// How far a sidecar is that takes another's place; one that does not is alone from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The process before drives everything still.
    Waiting,
    /// The sessions are ours; the process before ends.
    Driving,
    /// It has ended: what both would write to, files and daemons, is ours too.
    Alone,
}

/// Whether a thread may wait while others compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A route depends on it. It computes little, and starts no process, which would inherit its turn.
    First,
    /// As any other.
    Ordinary,
}

/// The threads of one sidecar.
#[derive(Debug)]
pub(crate) struct Threads {
    /// The text of the stop, once there is one.
    stop: watch::Sender<Option<Arc<str>>>,
    /// The same for those that write files or start programs, which end before the others when another process takes over.
    yielding: watch::Sender<Option<Arc<str>>>,
    stage: watch::Sender<Stage>,
    runs: Runs,
}

type Runs = Arc<watch::Sender<BTreeMap<Cow<'static, str>, Run>>>;

impl Default for Threads {
    fn default() -> Self {
        Self {
            stop: watch::Sender::new(None),
            yielding: watch::Sender::new(None),
            stage: watch::Sender::new(Stage::Waiting),
            runs: Arc::new(watch::Sender::new(BTreeMap::new())),
        }
    }
}

impl Threads {
    /// The order to stop, for a task that has something to finish.
    pub(crate) fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    /// The order to stop or to leave it to another process, for a task that writes files or starts programs.
    pub(crate) fn yielding(&self) -> Stopping {
        Stopping(self.yielding.subscribe())
    }

    /// Lets the threads run that wait for this stage.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = *now < stage;
            *now = (*now).max(stage);
            later
        });
    }

    /// Runs `main` on a thread of its own, from this stage on, until it ends; it ends by itself after the order to stop.
    pub(crate) fn spawn(
        &self,
        name: impl Into<Cow<'static, str>>,
        from: Stage,
        turn: Turn,
        main: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let name = name.into();
        let failed = |source| StartError::Thread { name: name.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        self.runs.send_modify(|runs| {
            runs.insert(name.clone(), Run::Running);
        });
        let ended = Ended { name: name.clone(), runs: Arc::clone(&self.runs) };
        let mut stage = self.stage.subscribe();
        let body = move || {
            let ended = ended;
            if turn == Turn::First {
                let granted = urgency::prefer_current_thread(Duty::Route);
                tracing::debug!(thread = %ended.name, %granted, "a thread on which routes depend runs");
            }
            runtime.block_on(async {
                // The sidecar is gone where nobody can say the stage any more.
                if stage.wait_for(|stage| *stage >= from).await.is_ok() {
                    main.await;
                }
            });
            drop(runtime);
            drop(ended);
        };
        std::thread::Builder::new().name(name.clone().into_owned()).spawn(body).map(drop).map_err(failed)
    }

    /// The same for a helper, which beats while it turns (module `beat`).
    pub(crate) fn spawn_helper(
        &self,
        beats: &mut Beats,
        name: &'static str,
        from: Stage,
        turn: Turn,
        main: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        self.spawn(name, from, turn, beats.add_helper(name).helping(main))
    }

    /// An error that names a thread which is not running.
    pub(crate) fn all_running(&self) -> Result<(), String> {
        match self.runs.borrow().iter().find(|(_, run)| **run == Run::Ended) {
            Some((name, _)) => Err(format!("thread {name} has ended")),
            None => Ok(()),
        }
    }

    /// Tells every thread to stop and waits until they have, for `bound` at most.
    pub(crate) async fn stop(&self, text: &str, bound: Duration) {
        // Whoever waits for a stage still shall hear the order, too.
        self.enter(Stage::Alone);
        self.stop.send_replace(Some(Arc::from(text)));
        self.yielding.send_replace(Some(Arc::from(text)));
        let mut runs = self.runs.subscribe();
        let ended = runs.wait_for(|runs| runs.values().all(|run| *run == Run::Ended));
        if tokio::time::timeout(bound, ended).await.is_err() {
            tracing::warn!("threads did not end within {bound:?}; the process ends without them");
        }
    }

    /// Tells those that write files or start programs to finish, and waits until these have, but not for ever.
    pub(crate) async fn give_way(&self, names: &[&str]) {
        self.yielding.send_replace(Some(Arc::from("another process takes over")));
        let mut runs = self.runs.subscribe();
        let ended = |runs: &BTreeMap<Cow<'static, str>, Run>| {
            names.iter().all(|name| runs.get(*name).is_none_or(|run| *run == Run::Ended))
        };
        if tokio::time::timeout(YIELD_BOUND, runs.wait_for(ended)).await.is_err() {
            tracing::warn!("not every file was written, or program killed, within {YIELD_BOUND:?}");
        }
    }
}

/// Marks a thread as ended, also when it panics.
struct Ended {
    name: Cow<'static, str>,
    runs: Runs,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.runs.send_modify(|runs| {
            runs.insert(self.name.clone(), Run::Ended);
        });
    }
}

/// The order to stop, when it comes.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(watch::Receiver<Option<Arc<str>>>);

impl Stopping {
    /// Waits for the order; gives its text.
    pub(crate) async fn ordered(&mut self) -> Arc<str> {
        match self.0.wait_for(Option::is_some).await {
            Ok(text) => text.clone().unwrap_or_else(|| Arc::from("")),
            // The sidecar itself is gone.
            Err(_) => Arc::from("the sidecar ended"),
        }
    }

    /// Whether the order has come.
    pub(crate) fn is_ordered(&self) -> bool {
        self.0.has_changed().is_err() || self.0.borrow().is_some()
    }

    /// Runs `work` until the order comes.
    pub(crate) async fn or(mut self, work: impl Future<Output = ()>) {
        tokio::select! {
            _ = self.ordered() => {}
            () = work => {}
        }
    }
}
