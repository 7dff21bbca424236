//! Starting, asking, commanding and stopping a sidecar.
//!
//! [`Sidecar::prepare`] checks the configuration, opens what can fail and makes the threads, which wait; they run from
//! [`Prepared::begin`] on, which gives a [`Handle`]. The handle is for management endpoints, control sockets and signals; all of it can be called
//! from any thread and none of it waits for the network, save [`Handle::stop`].

use std::sync::Arc;
use std::time::Duration;

use pharos_policy::explain::{Effect, Explanation};
use pharos_policy::policy::Input;
use pharos_policy::{AlarmId, Health, Level, Policy, Prefix, PrefixError, Target};
use thiserror::Error;
use tokio::sync::broadcast;

use crate::announcer::drift::Drift;
use crate::beat::{self, Beats};
use crate::clock::Clock;
use crate::config::{Config, Mode, StartError};
use crate::event::Event;
use crate::flaps::Tally;
use crate::handover::{Ending, Estate, HandoverError, Holder, Order, Predecessor};
use crate::keeper::{self, Keeper, Neighbour, Notified, Observed, Served, State, View};
use crate::metrics::Scraped;
use crate::queues::Queues;
use crate::sources::Sources;
use crate::status::{
    AlarmStatus, AnnouncerStatus, BfdStatus, DriftStatus, MOST_SIGNALS, NeighbourStatus, NotificationStatus,
    ObservedStatus, PrefixStatus, ResponderStatus, Status, StatusMode, TransitionStatus, WhyStatus,
};
use crate::threads::{Stage, Threads, Turn};
use crate::traffic::Traffic;
use crate::words::{self, Book, UnkeptError};
use crate::{announcer, flaps, host, kept, probe, record, responder, told, watchdog, way_out};

/// The start of a sidecar; what runs is reached by its [`Handle`].
#[derive(Debug)]
pub struct Sidecar;

/// A running sidecar. Clones reach the same one; dropping the last does not stop it.
#[derive(Clone, Debug)]
pub struct Handle {
    config: Arc<Config>,
    keeper: Arc<Keeper>,
    threads: Arc<Threads>,
    beats: Beats,
    answers: responder::Answers,
}

/// Why a prefix cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WhyError {
    /// Not a prefix.
    #[error(transparent)]
    Syntax(#[from] PrefixError),
    /// A prefix that is not ours to announce.
    #[error("prefix {prefix} is not configured; configured are {configured}")]
    NotConfigured {
        /// What was asked for.
        prefix: Prefix,
        /// What could have been, separated by commas.
        configured: String,
    },
}

/// Why a word is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordError {
    /// Neither `all`, nor a group, nor a prefix.
    #[error(transparent)]
    Syntax(#[from] PrefixError),
    /// Nothing of that name is configured.
    #[error("{target} is not configured; there are {configured}")]
    NotConfigured {
        /// What was named.
        target: Target,
        /// What could have been, separated by commas.
        configured: String,
    },
    /// A word for ever is a change of the configuration.
    #[error("{lasts:?} is longer than a word may last, which is {LONGEST_WORD:?}")]
    TooLong {
        /// What was asked for.
        lasts: Duration,
    },
    /// There is nothing to take back.
    #[error("nothing on {target} is held or forced; in force are {in_force}")]
    NothingToRelease {
        /// What was named.
        target: Target,
        /// What could have been, separated by commas.
        in_force: String,
    },
}

/// A month. Whoever wants it longer wants another configuration, or none of us.
pub const LONGEST_WORD: Duration = Duration::from_secs(31 * 86_400);

/// A sidecar that stands ready and touches nothing yet.
#[derive(Debug)]
#[must_use = "it does nothing before it begins"]
pub struct Prepared {
    handle: Handle,
    first: Stage,
    endings: Vec<Ending>,
}

impl Prepared {
    /// Lets it run: in place of the process before, if there is one, until [`Handle::alone`].
    pub fn begin(self) -> Handle {
        self.handle.threads.enter(self.first);
        if !self.endings.is_empty() {
            // It waits for neighbours, and nobody waits for it; where it cannot, they see their connections end.
            let endings = self.endings;
            let perform = move || endings.into_iter().for_each(Ending::perform);
            let _ = std::thread::Builder::new().name("pharos-farewell".to_owned()).spawn(perform);
        }
        self.handle
    }
}

/// The threads that have to end before another process begins with what they do: those that write files, and the one that
/// starts programs.
const YIELDING: [&str; 4] = ["pharos-words", "pharos-flaps", "pharos-record", "pharos-exec"];

impl Sidecar {
    /// Starts probing, deciding and announcing. Everything begins withdrawn. Spawns its own threads; the
    /// caller needs no runtime.
    pub fn start(config: Config) -> Result<Handle, StartError> {
        Ok(Self::prepare(config, None)?.begin())
    }

    /// Makes everything ready, to go on in the place of the process before if there is one: see [`crate::handover`].
    /// Until [`Prepared::begin`] nothing is touched that the other process has.
    pub fn prepare(config: Config, mut before: Option<Predecessor>) -> Result<Prepared, StartError> {
        config.check()?;
        if let Some(what) = before.as_ref().and_then(|before| before.left_up(&config)) {
            return Err(StartError::LeftUp { what });
        }
        let config = Arc::new(config);
        let state = match config.mode {
            Mode::Announce => Some(pharos_routing::bgp::State::Idle),
            Mode::DryRun => None,
        };
        let clock = match &before {
            None => Clock::start(),
            Some(before) => Clock::resume(before.known.now, before.moment),
        };
        let neighbour = |neighbour: &crate::NeighbourConfig| Neighbour {
            name: neighbour.name(),
            remote_as: neighbour.remote_as,
            state,
            since: clock.now(),
            agreed: None,
            flaps: 0,
            last_down: None,
            last_notification: None,
            told: Vec::new(),
            waits: false,
            drift: Vec::new(),
            bfd: None,
        };
        let mut neighbours: Vec<Neighbour> = config.neighbours.iter().map(neighbour).collect();
        let recording = config.record.clone().map(|settings| record::pair(settings, config.nsid.clone()));
        let (recorder, mut tape) = recording.unzip();
        let mut outputs = Vec::new();
        let policy = match &before {
            None => Policy::new(clock.now(), config.policy())?,
            Some(before) => {
                for left in before.known.neighbours.iter().cloned() {
                    if let Some(neighbour) = neighbours.iter_mut().find(|known| known.name == left.name) {
                        neighbour.resume(left);
                    }
                }
                let memory = before.known.policy.clone();
                let keeps = |alarm: &AlarmId| keeps(&config, alarm);
                Policy::resume(clock.now(), config.policy(), memory, keeps, &mut outputs)?
            }
        };
        let views = announcer::views(&config);
        let traffic = Traffic::new(
            config.rules.quiet,
            config.rules.patience,
            before.as_ref().map(|before| before.known.traffic.clone()).unwrap_or_default(),
        );
        let queues = Queues::of(config.groups.iter().flat_map(|group| group.addresses.iter().copied()));
        let keeper = Arc::new(Keeper::new(clock, policy, neighbours, views, recorder, traffic, queues));
        let book = config.state.as_deref().map(Book::in_directory);
        let mut tally = config.state.as_deref().map(Tally::in_directory);
        match &before {
            Some(before) => {
                tape.iter_mut().for_each(|tape| tape.goes_on(before.known.life, &keeper));
                keeper.resume(before.known.transitions.clone(), outputs);
            }
            None => {
                // Falls and returns first: they change no level.
                tally.iter_mut().for_each(|tally| tally.recall(&keeper));
                book.iter().for_each(|book| book.recall(&keeper));
            }
        }
        let first = if before.is_some() { Stage::Driving } else { Stage::Alone };
        let mut beats = Beats::new(clock);
        let announcers = announcer::open(&config, &keeper, &mut beats, &mut before)?;
        let answers = responder::Answers::default();
        let (responder, serials) = responder::client(
            Arc::clone(&keeper),
            config.status,
            data_groups(&config),
            (&config.groups, config.rules.quiet),
            answers.clone(),
        );
        let sources = Sources::of(&config, &answers);
        tracing::info!(
            has = Sources::in_words(&sources.has),
            lacks = Sources::in_words(&sources.lacks),
            "signals"
        );

        let threads = Arc::new(Threads::default());
        let addresses = threads.stopping().or(host::run(Arc::clone(&keeper)));
        threads.spawn_helper(&mut beats, "pharos-addresses", Stage::Driving, Turn::First, addresses)?;
        let way_out = threads.stopping().or(way_out::run(Arc::clone(&keeper)));
        threads.spawn_helper(&mut beats, "pharos-way-out", Stage::Driving, Turn::Ordinary, way_out)?;
        for announcer in announcers {
            let (name, from, turn) = (announcer.thread(), announcer.stage(), announcer.turn());
            let helps = announcer.is_helper();
            let running = announcer.run(threads.stopping(), threads.yielding());
            match helps {
                true => threads.spawn_helper(&mut beats, name, from, turn, running)?,
                false => threads.spawn(name, from, turn, running)?,
            }
        }
        if let Some(book) = book {
            let keeping = words::keep(Arc::clone(&keeper), book, threads.yielding());
            threads.spawn_helper(&mut beats, "pharos-words", Stage::Alone, Turn::Ordinary, keeping)?;
        }
        if let Some(tally) = tally {
            let (stopping, finishing) = (threads.stopping(), threads.yielding());
            let keeping = flaps::keep(Arc::clone(&keeper), tally, stopping, finishing);
            threads.spawn_helper(&mut beats, "pharos-flaps", Stage::Alone, Turn::Ordinary, keeping)?;
        }
        if let Some(tape) = tape {
            let recording = record::run(Arc::clone(&keeper), tape, threads.yielding());
            threads.spawn_helper(&mut beats, "pharos-record", Stage::Alone, Turn::Ordinary, recording)?;
        }
        let seats = probe::Seats::take(&threads)?;
        let nsid = Arc::from(config.nsid.as_str());
        let probing =
            probe::run(Arc::clone(&keeper), config.probe, config.wire.clone(), seats, nsid, serials);
        let probing = beats.add("pharos-probe").during(probing);
        threads.spawn("pharos-probe", Stage::Driving, Turn::First, threads.stopping().or(probing))?;
        let (own, keeping) = (beats.add("pharos-watch"), beats.add("pharos-keeper"));
        let watching = watchdog::run(beats.clone(), own);
        threads.spawn("pharos-watch", Stage::Driving, Turn::First, threads.stopping().or(watching))?;
        let ticking = keeper::ticker(Arc::clone(&keeper), keeping, beats.clone());
        threads.spawn(
            "pharos-keeper",
            Stage::Driving,
            Turn::First,
            threads.stopping().or(async {
                tokio::join!(ticking, responder.run());
            }),
        )?;
        let endings = before.map_or_else(Vec::new, |before| before.rest(&config));
        Ok(Prepared { handle: Handle { config, keeper, threads, beats, answers }, first, endings })
    }
}

impl Handle {
    /// Everything at a glance.
    pub fn status(&self) -> Status {
        let (now, state) = self.keeper.copy();
        let ago = |at: Duration| now.saturating_sub(at).as_secs_f64();
        let mut signals = state.policy.signals(now);
        signals.sort_by_key(|signal| signal.health.severity());
        let signals_omitted = signals.len().saturating_sub(MOST_SIGNALS);
        signals.truncate(MOST_SIGNALS);
        let explain = |(prefix, _)| explain(&state, prefix, now);
        Status {
            node: self.config.node.clone(),
            site: self.config.site.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mode: status_mode(self.config.mode),
            taken_unix: kept::since_1970().as_secs_f64(),
            uptime_seconds: self.keeper.clock.uptime().as_secs_f64(),
            prefixes: state.policy.levels().filter_map(explain).map(prefix_status).collect(),
            drain: state.policy.drain_view(now),
            words: state.policy.word_views(now),
            responder: state.served.as_ref().map(|served| responder_status(served, now)),
            neighbours: state.neighbours.iter().map(|neighbour| neighbour_status(neighbour, now)).collect(),
            announcers: state.announcers.iter().map(|view| announcer_status(view, now)).collect(),
            alarms: (state.policy.alarms())
                .map(|alarm| AlarmStatus {
                    kind: alarm.id.kind().to_owned(),
                    subject: alarm.id.to_string(),
                    text: alarm.text.clone(),
                    age_seconds: ago(alarm.since),
                })
                .collect(),
            sources: Sources::of(&self.config, &self.answers),
            signals,
            signals_omitted,
            transitions: (state.transitions.iter())
                .map(|past| TransitionStatus {
                    prefix: past.prefix,
                    from: past.from,
                    to: past.to,
                    cause: past.cause.clone(),
                    age_seconds: ago(past.at),
                })
                .collect(),
        }
    }

    /// Why a prefix, given as `ADDRESS/LENGTH`, has its level.
    pub fn why(&self, prefix: &str) -> Result<Explanation, WhyError> {
        let (now, state) = self.keeper.copy();
        why(&state, prefix, now)
    }

    /// The same with what each neighbour was told of it, and why its sessions ended.
    pub fn why_in_full(&self, prefix: &str) -> Result<WhyStatus, WhyError> {
        let (now, state) = self.keeper.copy();
        let explanation = why(&state, prefix, now)?;
        // As the lines begin that say what a neighbour was told.
        let route = format!("{} ", explanation.prefix);
        let mut neighbours: Vec<NeighbourStatus> =
            state.neighbours.iter().map(|neighbour| neighbour_status(neighbour, now)).collect();
        for neighbour in &mut neighbours {
            neighbour.told.retain(|line| line.starts_with(&route));
            neighbour.drift.retain(|drift| drift.prefix == explanation.prefix);
        }
        Ok(WhyStatus { explanation, neighbours })
    }

    /// Takes the traffic away: level draining at once, withdrawn after the drain time, or after `within` if
    /// that is given. Draining twice replaces text and author. With `lasts` the drain ends by itself.
    pub fn drain(
        &self,
        text: &str,
        author: &str,
        within: Option<Duration>,
        lasts: Option<Duration>,
    ) -> Result<(), WordError> {
        if let Some(lasts) = lasts.filter(|lasts| *lasts > LONGEST_WORD) {
            return Err(WordError::TooLong { lasts });
        }
        let expires = lasts.map(|lasts| self.after(lasts));
        let (text, author) = (text.to_owned(), author.to_owned());
        self.keeper.take(Input::Drain { text, author, within, expires });
        Ok(())
    }

    /// Ends a drain; prefixes return at once to what their signals have earned meanwhile.
    pub fn undrain(&self, text: &str, author: &str) {
        self.keeper.take(Input::Undrain { text: text.to_owned(), author: author.to_owned() });
    }

    /// Waits until every word that was said so far is on the disk, or says why it is not. It holds in any case; one that
    /// is not on the disk is unknown to a restart. Without a state directory there is nothing to wait for.
    pub async fn words_kept(&self) -> Result<(), UnkeptError> {
        match self.config.state {
            Some(_) => self.keeper.ledger().kept().await,
            None => Ok(()),
        }
    }

    /// Keeps the levels in force, of `all`, a group or a prefix, for as long as `lasts`: neither better nor
    /// worse, save that what cannot answer is withdrawn.
    pub fn hold(&self, target: &str, lasts: Duration, text: &str, author: &str) -> Result<(), WordError> {
        let target = self.known(target)?;
        let expires = self.end_of(lasts)?;
        let (text, author) = (text.to_owned(), author.to_owned());
        self.keeper.take(Input::Hold { target, expires, text, author });
        Ok(())
    }

    /// Gives `all`, a group or a prefix a level for as long as `lasts`, while it can answer.
    pub fn force(
        &self,
        target: &str,
        level: Level,
        lasts: Duration,
        text: &str,
        author: &str,
    ) -> Result<(), WordError> {
        let target = self.known(target)?;
        let expires = self.end_of(lasts)?;
        let (text, author) = (text.to_owned(), author.to_owned());
        self.keeper.take(Input::Force { target, level, expires, text, author });
        Ok(())
    }

    /// Takes back what was held or forced: of a target and all that is narrower than it.
    pub fn release(&self, target: &str, text: &str, author: &str) -> Result<(), WordError> {
        let target = self.known(target)?;
        {
            let (now, state) = self.keeper.copy();
            if !state.policy.would_release(&target) {
                let views = state.policy.word_views(now);
                let in_force: Vec<_> = views.iter().map(|view| view.target.to_string()).collect();
                let in_force = if in_force.is_empty() { "none".to_owned() } else { in_force.join(", ") };
                return Err(WordError::NothingToRelease { target, in_force });
            }
        }
        self.keeper.take(Input::Release { target, text: text.to_owned(), author: author.to_owned() });
        Ok(())
    }

    fn known(&self, target: &str) -> Result<Target, WordError> {
        let target: Target = target.parse()?;
        let (_, state) = self.keeper.copy();
        if state.policy.knows(&target) {
            return Ok(target);
        }
        let groups = self.config.groups.iter().map(|group| group.name.clone());
        let prefixes = state.policy.levels().map(|(prefix, _)| prefix.to_string());
        let all = std::iter::once("all".to_owned()).chain(groups).chain(prefixes);
        Err(WordError::NotConfigured { target, configured: all.collect::<Vec<_>>().join(", ") })
    }

    fn end_of(&self, lasts: Duration) -> Result<Duration, WordError> {
        if lasts > LONGEST_WORD { Err(WordError::TooLong { lasts }) } else { Ok(self.after(lasts)) }
    }

    fn after(&self, lasts: Duration) -> Duration {
        self.keeper.clock.now().saturating_add(lasts)
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.keeper.events()
    }

    /// Adds the metrics `pharos_sidecar_*` to a registry.
    pub fn register(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(Scraped(Arc::clone(&self.keeper))))
    }

    /// For `/livez`: an error, in words, when the sidecar is stuck and should be restarted. It names the thread. The
    /// watchdog ends the process before that, unless it is stuck itself.
    pub fn live(&self) -> Result<(), String> {
        /// Well beyond a starved machine's pauses; every thread that beats does so once a second.
        const STUCK: Duration = Duration::from_secs(10);
        match self.beats.silent_for(STUCK) {
            Some((name, silent)) => Err(format!("thread {name} has not run for {} s", silent.as_secs())),
            None => self.threads.all_running(),
        }
    }

    /// For `/readyz`: an error, in words, until every probe has a verdict, good or bad.
    pub fn ready(&self) -> Result<(), String> {
        self.live()?;
        match self.keeper.state().policy.needed().filter(|(_, health)| *health == Health::Unknown).count() {
            0 => Ok(()),
            unknown => Err(format!("{unknown} probes have no verdict yet")),
        }
    }

    /// Lets go of every session and gives all that another process needs to go on with them. Nobody drives them from
    /// here on, until [`Handle::recall`]; after an error they go on by themselves.
    pub async fn offer(&self) -> Result<Estate, HandoverError> {
        if self.config.mode == Mode::DryRun {
            return Err(HandoverError::Nothing("this is a dry run; restart it"));
        }
        let (order, parts) = Order::new();
        let count = match announcer::speaks_bgp(&self.config) {
            true => {
                self.keeper.order_handover(Some(order));
                announcer::parts(&self.config)
            }
            false => 0,
        };
        let collected = Estate::collect(parts, count, &self.keeper, Holder::all(&self.config)).await;
        if collected.is_err() {
            self.recall();
        }
        collected
    }

    /// The sessions go on here after all: the other process has not taken them.
    pub fn recall(&self) {
        self.keeper.order_handover(None);
    }

    /// Finishes what both processes would write to or run, a second at the most; this one must end then, and not by
    /// [`Handle::stop`].
    pub async fn give_way(&self) {
        // Threads take the end of the last handle for the order to stop, and would withdraw at daemons what the next
        // process goes on with. So the order's place outlives every handle: it ends with this process.
        std::mem::forget(Arc::clone(&self.threads));
        self.threads.give_way(&YIELDING).await;
    }

    /// The process before has ended, so that files and daemons are this one's alone.
    pub fn alone(&self) {
        self.threads.enter(Stage::Alone);
    }

    /// Withdraws every route, closes the sessions with Cease and `text` for the neighbours' operators
    /// (RFC 9003), and ends the threads. Returns when that is done, after a few seconds at the latest, or after as long as
    /// the announcers' programs are given to withdraw.
    pub async fn stop(&self, text: &str) {
        self.threads.stop(text, announcer::longest_stop(&self.config)).await;
    }
}

/// Whether an alarm that a process before has raised is somebody's here, who clears it. The others are raised anew by
/// whoever finds their cause.
fn keeps(config: &Config, alarm: &AlarmId) -> bool {
    match alarm {
        AlarmId::NeighbourDown { neighbour } => config.neighbours.iter().any(|it| it.name() == *neighbour),
        AlarmId::BfdDown { neighbour } => {
            config.neighbours.iter().any(|it| it.name() == *neighbour && it.bfd.is_some())
        }
        _ => false,
    }
}

fn data_groups(config: &Config) -> Vec<responder::Group> {
    let group = |group: &pharos_policy::GroupConfig| responder::Group {
        name: Arc::from(group.name.as_str()),
        zones: group.required_zones.clone(),
        most_age: config.rules.data_age.get(&group.name).copied(),
    };
    config.groups.iter().map(group).collect()
}

fn why(state: &State, prefix: &str, now: Duration) -> Result<Explanation, WhyError> {
    let prefix: Prefix = prefix.parse()?;
    explain(state, prefix, now).ok_or_else(|| {
        let configured: Vec<_> = state.policy.levels().map(|(prefix, _)| prefix.to_string()).collect();
        WhyError::NotConfigured { prefix, configured: configured.join(", ") }
    })
}

/// Why a prefix has its level, with what was made of it.
fn explain(state: &State, prefix: Prefix, now: Duration) -> Option<Explanation> {
    let mut explanation = state.policy.explain(prefix, now)?;
    explanation.told = told::told(state, prefix);
    explanation.effect = Some(Effect::of(explanation.level, told::route(state, prefix)));
    explanation.traffic = state.traffic.view(now, prefix);
    Some(explanation)
}

fn responder_status(served: &Served, now: Duration) -> ResponderStatus {
    ResponderStatus {
        age_seconds: now.saturating_sub(served.at).as_secs_f64(),
        ready: served.ready,
        zones_total: served.zones_total,
        zones_live: served.zones_live,
        zones_refused: served.zones_refused,
        zones_not_loaded: served.zones_not_loaded,
        zones: served.zones.to_vec(),
        zones_omitted: served.zones_total.saturating_sub(served.zones.len() as u64),
    }
}

fn prefix_status(explanation: Explanation) -> PrefixStatus {
    PrefixStatus {
        prefix: explanation.prefix,
        group: explanation.group,
        level: explanation.level,
        level_age_seconds: explanation.level_age.as_secs_f64(),
        effect: explanation.effect,
        reasons: explanation.reasons,
        hold_down_left_seconds: explanation.hold_down_left.map(|left| left.as_secs_f64()),
        waits_for: explanation.waits_for,
        hold_down_seconds: explanation.hold_down.as_secs_f64(),
        grace_left_seconds: explanation.grace_left.map(|left| left.as_secs_f64()),
        returns: explanation.returns,
        next_changes: explanation.next_changes,
        told: explanation.told,
        traffic: explanation.traffic,
    }
}

fn neighbour_status(neighbour: &Neighbour, now: Duration) -> NeighbourStatus {
    NeighbourStatus {
        name: neighbour.name.clone(),
        remote_as: neighbour.remote_as,
        state: neighbour.state.map_or("dry-run", pharos_routing::bgp::State::name).to_owned(),
        state_age_seconds: now.saturating_sub(neighbour.since).as_secs_f64(),
        agreed: neighbour.agreed.clone(),
        flaps: neighbour.flaps,
        last_down: neighbour.last_down.clone(),
        last_notification: neighbour.last_notification.as_ref().map(|it| notification_status(it, now)),
        told: neighbour.told.clone(),
        waits: neighbour.waits,
        drift: drift_status(&neighbour.drift, now),
        bfd: neighbour.bfd.map(|bfd| BfdStatus {
            state: bfd.state.name().to_owned(),
            state_age_seconds: now.saturating_sub(bfd.since).as_secs_f64(),
            text: bfd.to_string(),
            detection_seconds: bfd.detection_time.as_secs_f64(),
            interval_seconds: bfd.send_interval.as_secs_f64(),
            flaps: bfd.counters.flaps,
        }),
    }
}

fn notification_status(notified: &Notified, now: Duration) -> NotificationStatus {
    let message = notified.message();
    NotificationStatus {
        direction: notified.direction,
        code: message.code,
        subcode: message.subcode,
        code_name: message.code_name().to_owned(),
        subcode_name: message.subcode_name().map(str::to_owned),
        communication: message.shutdown_text().ok().flatten().map(str::to_owned),
        text: message.to_string(),
        detail: notified.detail.clone(),
        age_seconds: now.saturating_sub(notified.at).as_secs_f64(),
    }
}

fn announcer_status(view: &View, now: Duration) -> AnnouncerStatus {
    let observed =
        |it: &Observed| ObservedStatus { prefix: it.prefix, observed: it.text.clone(), route: it.route };
    AnnouncerStatus {
        name: view.name.clone(),
        mode: status_mode(view.mode),
        death: view.death.clone(),
        state: view.state.clone(),
        failing: match view.late {
            true => Some(format!("thread {} has not run for {:?}", view.thread, beat::LATE)),
            false => view.failing.clone(),
        },
        prefixes: view.observed.iter().map(observed).collect(),
        said: view.said.clone(),
        drift: drift_status(&view.drift, now),
    }
}

fn drift_status(drift: &[Drift], now: Duration) -> Vec<DriftStatus> {
    let status = |Drift { gap, since }: &Drift| DriftStatus {
        prefix: gap.prefix,
        wanted: gap.wanted.clone(),
        observed: gap.observed.clone(),
        age_seconds: now.saturating_sub(*since).as_secs_f64(),
        why: gap.why.clone(),
    };
    drift.iter().map(status).collect()
}

fn status_mode(mode: Mode) -> StatusMode {
    match mode {
        Mode::Announce => StatusMode::Announce,
        Mode::DryRun => StatusMode::DryRun,
    }
}
