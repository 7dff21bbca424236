//! The keeper: one policy, one clock, one lock, and everything that is published about them.
//!
//! Whoever has seen something (a probe, a status fetch, a session, an operator) hands it to
//! [`Keeper::take`] on its own thread; the step takes microseconds. What changes goes out at once: levels to
//! the announcer, events to watchers, counters to metrics, one line to the log. A task of its own, the
//! [`ticker`], steps the policy when time alone may change something.
//!
//! The lock is never held while anything waits: not for a socket, not for the log. Threads on which routes depend take it
//! and ordinary ones do, so it lends the precedence of the former to the latter ([`InheritingMutex`]). Whoever only wants to
//! tell people takes a copy ([`Keeper::copy`]) and finds his words after that.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pharos_netio::precedence::{Guard, InheritingMutex};
use pharos_policy::alarm::Alarm;
use pharos_policy::explain::{Explanation, Route, Verdict};
use pharos_policy::policy::{Input, Output, Policy};
use pharos_policy::preference::HISTORY;
use pharos_policy::trace::Standing;
use pharos_policy::{AlarmId, End, Level, Memory, Prefix, Saved, SavedFlaps};
use pharos_routing::bgp::{Notification, State as SessionState};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast, watch};

use crate::announcer::drift::Drift;
use crate::beat::{self, Beat, Beats};
use crate::bfd::View as BfdView;
use crate::clock::Clock;
use crate::config::Mode;
use crate::event::Event;
use crate::handover::Order;
use crate::metrics::Metrics;
use crate::queues::Queues;
use crate::record::Recorder;
use crate::status::{Direction, ZoneStatus};
use crate::traffic::{Flows, Traffic};
use crate::words::Ledger;

/// Events that a slow watcher may lag behind before it misses some; a night of flapping fits.
const EVENTS: usize = 1024;

/// The levels in force, in the order of the configuration.
pub(crate) type Levels = Arc<[(Prefix, Level)]>;

/// What is known about the session with one neighbour.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    pub(crate) name: String,
    pub(crate) remote_as: u32,
    /// `None` in a dry run.
    pub(crate) state: Option<SessionState>,
    pub(crate) since: Duration,
    pub(crate) agreed: Option<String>,
    pub(crate) flaps: u64,
    pub(crate) last_down: Option<String>,
    pub(crate) last_notification: Option<Notified>,
    pub(crate) told: Vec<String>,
    /// Whether octets of what it is told wait, because it takes none: then it may know something older.
    pub(crate) waits: bool,
    pub(crate) drift: Vec<Drift>,
    /// `None` where BFD is not configured.
    pub(crate) bfd: Option<BfdView>,
}

impl Neighbour {
    /// What the neighbour was told of a prefix, with which every route begins.
    pub(crate) fn told_of(&self, prefix: Prefix) -> Option<&str> {
        let prefix = prefix.to_string();
        let mut told = self.told.iter().map(String::as_str);
        told.find(|line| line.split(' ').next() == Some(prefix.as_str()))
    }
}

/// What is known about an announcer that is not our own BGP speaker.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    /// The thread that it runs on, and whether that is late: then what is observed is of the past.
    pub(crate) thread: &'static str,
    pub(crate) late: bool,
    pub(crate) mode: Mode,
    /// What becomes of the routes when this process dies: a sentence.
    pub(crate) death: String,
    /// How it stands with whatever the announcer depends on.
    pub(crate) state: String,
    /// Why its last action failed, if it did.
    pub(crate) failing: Option<String>,
    /// What is observed of each prefix; of one prefix there may be several things to observe.
    pub(crate) observed: Vec<Observed>,
    /// What was said last, by a program or a daemon.
    pub(crate) said: Vec<String>,
    pub(crate) drift: Vec<Drift>,
}

/// What an announcer observes of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) prefix: Prefix,
    /// In words.
    pub(crate) text: String,
    /// Whether that is a route.
    pub(crate) route: Route,
}

/// What the responder told of itself when its status was last read.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// When that was.
    pub(crate) at: Duration,
    pub(crate) ready: bool,
    pub(crate) zones_total: u64,
    pub(crate) zones_live: u64,
    pub(crate) zones_refused: u64,
    pub(crate) zones_not_loaded: u64,
    pub(crate) zones: Arc<[ZoneStatus]>,
}

/// A NOTIFICATION that ended a session or an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notified {
    pub(crate) at: Duration,
    pub(crate) direction: Direction,
    pub(crate) code: u8,
    pub(crate) subcode: u8,
    pub(crate) data: Vec<u8>,
    /// What exactly was wrong, where we know it.
    pub(crate) detail: Option<String>,
}

impl Notified {
    pub(crate) fn new(
        at: Duration,
        direction: Direction,
        message: Notification,
        detail: Option<String>,
    ) -> Self {
        let Notification { code, subcode, data } = message;
        Self { at, direction, code, subcode, data, detail }
    }

    /// The message, which knows its own words.
    pub(crate) fn message(&self) -> Notification {
        Notification { code: self.code, subcode: self.subcode, data: self.data.clone() }
    }
}

/// What is known of a neighbour beyond its session: what the next process goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) name: String,
    flaps: u64,
    last_down: Option<String>,
    last_notification: Option<Notified>,
}

impl Neighbour {
    /// Takes over what a process before knew.
    pub(crate) fn resume(&mut self, left: Left) {
        (self.flaps, self.last_down) = (left.flaps, left.last_down);
        self.last_notification = left.last_notification;
    }
}

/// A change of level that any prefix made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) at: Duration,
    pub(crate) prefix: Prefix,
    pub(crate) from: Level,
    pub(crate) to: Level,
    pub(crate) cause: String,
}

/// What a keeper knows at one moment, for that of the next process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) now: Duration,
    pub(crate) policy: Memory,
    pub(crate) transitions: Vec<Past>,
    pub(crate) neighbours: Vec<Left>,
    #[serde(default)]
    pub(crate) traffic: Flows,
    /// By what its recorded lines are known; `None` if it records none.
    #[serde(default)]
    pub(crate) life: Option<u64>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) announcers: Vec<View>,
    /// `None` until the responder's status could be read.
    pub(crate) served: Option<Served>,
    pub(crate) transitions: VecDeque<Past>,
    pub(crate) traffic: Traffic,
    recorder: Option<Recorder>,
}

impl State {
    /// The same for who reads.
    fn copy(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            neighbours: self.neighbours.clone(),
            announcers: self.announcers.clone(),
            served: self.served.clone(),
            transitions: self.transitions.clone(),
            traffic: self.traffic.clone(),
            recorder: None,
        }
    }
}

/// The one owner of the policy.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) queues: Queues,
    state: InheritingMutex<State>,
    events: broadcast::Sender<Event>,
    levels: watch::Sender<Levels>,
    stepped: Notify,
    words: Ledger,
    /// The order to let go of every session, while it stands.
    handover: watch::Sender<Option<Order>>,
}

impl Keeper {
    /// The keeper of a policy.
    pub(crate) fn new(
        clock: Clock,
        policy: Policy,
        neighbours: Vec<Neighbour>,
        announcers: Vec<View>,
        recorder: Option<Recorder>,
        traffic: Traffic,
        queues: Queues,
    ) -> Self {
        let levels: Levels = policy.levels().collect();
        Self {
            clock,
            metrics: Metrics::new(),
            queues,
            state: InheritingMutex::new(State {
                policy,
                neighbours,
                announcers,
                served: None,
                transitions: VecDeque::new(),
                traffic,
                recorder,
            }),
            events: broadcast::Sender::new(EVENTS),
            levels: watch::Sender::new(levels),
            stepped: Notify::new(),
            words: Ledger::new(),
            handover: watch::Sender::new(None),
        }
    }

    /// Goes on from what another process has decided: what the configuration changes in it is published, and the
    /// operator's words are to be written down here.
    pub(crate) fn resume(&self, transitions: Vec<Past>, outputs: Vec<Output>) {
        self.state().transitions = transitions.into();
        self.step(|_, _, out| out.extend(outputs));
        self.words.changed();
    }

    /// What the next process goes on with, all of one moment.
    pub(crate) fn left(&self) -> Known {
        let state = self.state();
        let left = |neighbour: &Neighbour| Left {
            name: neighbour.name.clone(),
            flaps: neighbour.flaps,
            last_down: neighbour.last_down.clone(),
            last_notification: neighbour.last_notification.clone(),
        };
        let transitions = state.transitions.iter().cloned().collect();
        let neighbours = state.neighbours.iter().map(left).collect();
        let (policy, traffic) = (state.policy.memory(), state.traffic.flows());
        let life = state.recorder.as_ref().map(Recorder::life);
        Known { now: self.clock.now(), policy, transitions, neighbours, traffic, life }
    }

    /// The order to let go of every session, as it comes and goes.
    pub(crate) fn handover(&self) -> watch::Receiver<Option<Order>> {
        self.handover.subscribe()
    }

    /// Gives that order, or takes it back.
    pub(crate) fn order_handover(&self, order: Option<Order>) {
        self.handover.send_replace(order);
    }

    /// The state at this moment. A panic elsewhere leaves a state that was whole between two steps' parts;
    /// it is better read than lost.
    pub(crate) fn state(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    /// The state of one moment for who takes the time to put it into words, and the moment.
    pub(crate) fn copy(&self) -> (Duration, State) {
        let state = self.state();
        (self.clock.now(), state.copy())
    }

    /// Takes an observation or a command, and publishes what came of it.
    pub(crate) fn take(&self, input: Input) {
        self.step(|state, now, outputs| {
            if let Some(recorder) = &mut state.recorder {
                recorder.heard(now, &input);
            }
            state.policy.step(now, input, outputs);
        });
    }

    /// How the policy stands, and when that was.
    pub(crate) fn standing(&self) -> (Duration, Standing) {
        let (now, state) = self.copy();
        (now, state.policy.standing_now())
    }

    /// Inputs that the recorder could not hand over since this was last asked.
    pub(crate) fn take_lost_notes(&self) -> u64 {
        self.state().recorder.as_mut().map_or(0, Recorder::take_lost)
    }

    /// So many inputs were handed over and not written.
    pub(crate) fn lost_notes(&self, count: u64) {
        if let Some(recorder) = &mut self.state().recorder {
            recorder.lose(count);
        }
    }

    /// Takes back the operator's words of before a restart; `unix` is the wall clock.
    pub(crate) fn restore(&self, unix: Duration, saved: Saved) {
        self.step(|state, now, outputs| state.policy.restore(now, unix, saved, outputs));
    }

    /// The operator's words, to be written down; `unix` is the wall clock.
    pub(crate) fn saved(&self, unix: Duration) -> Saved {
        self.state().policy.saved(self.clock.now(), unix)
    }

    /// How far these have come onto the disk.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.words
    }

    /// Falls and returns, to be written down.
    pub(crate) fn flaps(&self) -> Vec<SavedFlaps> {
        self.state().policy.flaps(self.clock.now())
    }

    /// Takes back falls and returns that a process before has written down `elapsed` ago. For the start.
    pub(crate) fn remember(&self, elapsed: Duration, end: End, saved: &[SavedFlaps]) {
        self.state().policy.remember(elapsed, end, saved);
    }

    /// Whether an alarm is in force.
    pub(crate) fn has_alarm(&self, alarm: &AlarmId) -> bool {
        self.state().policy.alarms().any(|in_force| in_force.id == *alarm)
    }

    fn step(&self, step: impl FnOnce(&mut State, Duration, &mut Vec<Output>)) {
        let mut outputs = Vec::new();
        let mut events = Vec::new();
        {
            let mut state = self.state();
            // Read under the lock, so that the policy sees its inputs in the order of their times.
            let now = self.clock.now();
            step(&mut state, now, &mut outputs);
            if let Some(recorder) = &mut state.recorder {
                outputs.iter().for_each(|output| recorder.made(now, output));
            }
            if outputs.iter().any(|output| matches!(output, Output::Level { .. })) {
                self.levels.send_replace(state.policy.levels().collect());
            }
            for output in outputs {
                events.extend(self.publish(&mut state, now, output));
            }
        }
        self.stepped.notify_one();
        for event in events {
            log(&event);
        }
    }

    /// Remembers and counts an output, and tells the watchers; logging is left for after the lock.
    fn publish(&self, state: &mut State, now: Duration, output: Output) -> Option<Event> {
        let event = match output {
            Output::Level { prefix, group, from, to, cause } => {
                self.metrics.transition(prefix, from, to);
                state.traffic.moved(now, prefix, from, to);
                state.transitions.truncate(HISTORY - 1);
                state.transitions.push_front(Past { at: now, prefix, from, to, cause: cause.clone() });
                Event::Route { prefix, group, from, to, cause }
            }
            Output::Signal { signal, from, to, text } => {
                let [from, to] = [from, to].map(|health| Verdict::of(signal.kind(), health));
                Event::Signal { signal: signal.to_string(), from, to, text }
            }
            Output::AlarmRaised(Alarm { id, text, .. }) => {
                Event::AlarmRaised { kind: id.kind().to_owned(), subject: id.to_string(), text }
            }
            Output::AlarmCleared(Alarm { id, .. }) => {
                Event::AlarmCleared { kind: id.kind().to_owned(), subject: id.to_string() }
            }
            Output::WordsChanged => {
                self.words.changed();
                return None;
            }
        };
        // Nobody listening is not an error.
        let _ = self.events.send(event.clone());
        Some(event)
    }

    /// Changes what is known about a neighbour; `event` is published with it.
    pub(crate) fn neighbour(&self, index: usize, event: Option<Event>, change: impl FnOnce(&mut Neighbour)) {
        let mut events = Vec::from_iter(event);
        {
            let mut state = self.state();
            if let Some(neighbour) = state.neighbours.get_mut(index) {
                let before = neighbour.told.clone();
                change(neighbour);
                events.extend(newly_told(neighbour, &before));
            }
            for event in &events {
                let _ = self.events.send(event.clone());
            }
        }
        events.iter().for_each(log);
    }

    /// Changes what is known about an announcer.
    pub(crate) fn announcer(&self, index: usize, change: impl FnOnce(&mut View)) {
        if let Some(view) = self.state().announcers.get_mut(index) {
            change(view);
        }
    }

    /// Says which helpers are late; `before` are those that were at the last look. Until `awake` all may have stood still.
    fn helpers(&self, beats: &Beats, awake: Duration, before: &mut BTreeSet<&'static str>) {
        for (thread, late) in beats.helpers(awake) {
            let is_news = if late { before.insert(thread) } else { before.remove(thread) };
            if !is_news {
                continue;
            }
            for view in self.state().announcers.iter_mut().filter(|view| view.thread == thread) {
                view.late = late;
            }
            let alarm = AlarmId::ThreadLate { thread: thread.to_owned() };
            self.take(match late {
                true => Input::Raise { alarm, text: format!("has not run for {:?}", beat::LATE) },
                false => Input::Clear { alarm },
            });
        }
    }

    /// Remembers what the responder told of itself.
    pub(crate) fn served(&self, served: Served) {
        // What it replaces is freed after the lock.
        let _before = self.state().served.replace(served);
    }

    /// Tells the watchers and the log.
    pub(crate) fn tell(&self, event: Event) {
        log(&event);
        // Nobody listening is not an error.
        let _ = self.events.send(event);
    }

    /// Why a prefix has its level; `None` if it is not configured.
    pub(crate) fn explain(&self, prefix: Prefix) -> Option<Explanation> {
        let (now, state) = self.copy();
        let mut explanation = state.policy.explain(prefix, now)?;
        explanation.traffic = state.traffic.view(now, prefix);
        Some(explanation)
    }

    /// So many client queries a second came for a prefix.
    pub(crate) fn measured(&self, prefix: Prefix, per_second: f64) {
        let mut state = self.state();
        let now = self.clock.now();
        state.traffic.measured(now, prefix, per_second);
    }

    /// The worse level of a prefix that its traffic does not heed; a drain has an alarm of its own.
    pub(crate) fn unheeded(&self, prefix: Prefix) -> Option<Level> {
        let state = self.state();
        let now = self.clock.now();
        let drained = state.policy.drain_view(now).is_some();
        state.traffic.unheeded(now, prefix).filter(|_| !drained)
    }

    /// Levels as they change.
    pub(crate) fn levels(&self) -> watch::Receiver<Levels> {
        self.levels.subscribe()
    }

    /// Events from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// What a neighbour was told that it had not been told before. One without a session has forgotten everything, and
/// was told nothing.
fn newly_told(neighbour: &Neighbour, before: &[String]) -> Vec<Event> {
    if neighbour.state != Some(SessionState::Established) || neighbour.told == before {
        return Vec::new();
    }
    let prefix_of = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let known: Vec<_> = neighbour.told.iter().map(|line| prefix_of(line)).collect();
    let told = neighbour.told.iter().filter(|line| !before.contains(line)).cloned();
    let gone = before.iter().map(|line| prefix_of(line)).filter(|prefix| !known.contains(prefix));
    told.chain(gone.map(|prefix| format!("{prefix} withdrawn")))
        .map(|text| Event::Told { neighbour: neighbour.name.clone(), text })
        .collect()
}

/// The longest sleep of the ticker: a beat for the watchdog even when no deadline is near.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Steps the policy whenever time alone may change something, and looks after the helpers. Ends only with its runtime.
pub(crate) async fn ticker(keeper: Arc<Keeper>, beat: Beat, beats: Beats) {
    let mut late = BTreeSet::new();
    let mut awake = keeper.clock.now();
    let mut looked = awake;
    loop {
        beat.beat();
        let before = std::mem::replace(&mut looked, keeper.clock.now());
        // It is here once in a heartbeat, unless it was kept from running itself.
        if looked.saturating_sub(before) > HEARTBEAT * 3 {
            awake = looked;
        }
        keeper.helpers(&beats, awake, &mut late);
        let now = keeper.clock.now();
        let deadline = keeper.state().policy.next_deadline();
        let wake = keeper.clock.instant(deadline.unwrap_or(now + HEARTBEAT).min(now + HEARTBEAT));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {
                if deadline.is_some_and(|deadline| deadline <= keeper.clock.now()) {
                    keeper.take(Input::Tick);
                }
            }
            // The step may have brought a nearer deadline.
            () = keeper.stepped.notified() => {}
        }
    }
}

/// One line for each event that a person may need, at the level that it deserves.
fn log(event: &Event) {
    match event {
        Event::Route { prefix, group, from, to, cause } if to > from => {
            tracing::warn!(%prefix, group, %from, %to, cause, "route");
        }
        Event::Route { prefix, group, from, to, cause } => {
            tracing::info!(%prefix, group, %from, %to, cause, "route");
        }
        Event::Signal { signal, from, to, text }
            if matches!(to, Verdict::Warned | Verdict::Bad | Verdict::Expired) =>
        {
            tracing::warn!(signal, %from, %to, text, "signal");
        }
        Event::Signal { signal, from, to, text } => tracing::info!(signal, %from, %to, text, "signal"),
        Event::SessionUp { neighbour, text } => tracing::info!(neighbour, text, "session up"),
        Event::SessionDown { neighbour, cause } => tracing::warn!(neighbour, cause, "session down"),
        Event::Told { neighbour, text } => tracing::info!(neighbour, text, "told"),
        Event::BfdUp { neighbour, text } => tracing::info!(neighbour, text, "BFD up"),
        Event::BfdDown { neighbour, cause } => tracing::warn!(neighbour, cause, "BFD down"),
        Event::Drift { announcer, prefix, wanted, observed, why } => {
            tracing::warn!(announcer, %prefix, wanted, observed, why, "drift");
        }
        Event::DriftOver { announcer, prefix, lasted_seconds } => {
            tracing::info!(announcer, %prefix, lasted_seconds, "drift over");
        }
        Event::AlarmRaised { kind, subject, text } => tracing::warn!(kind, subject, text, "alarm"),
        Event::AlarmCleared { kind, subject } => tracing::info!(kind, subject, "alarm over"),
    }
}
