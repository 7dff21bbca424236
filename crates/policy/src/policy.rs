//! The policy of one node: observations go to their signals, signals to their prefixes, words to people.
//!
//! Called by the sidecar for every probe result, status fetch, session change and operator's command, and at
//! [`next_deadline`](Policy::next_deadline). Its outputs are changes only; the levels in force can be read at
//! any time. What a signal asks for stands in `policy/asks.rs`, what ends an excuse in `policy/silent.rs`, the
//! operator's words in `policy/command.rs`, explanations in `policy/why.rs`.
//!
//! # Transition table
//!
//! | input | then |
//! |---|---|
//! | observation of a configured signal | the signal's machine; a changed verdict is judged for its prefixes |
//! | address and transport turn bad | its zone signals are lost with it, so that readiness is earned anew |
//! | the same, explained by overload | its zone signals keep their verdicts: nobody looked; they are lost when the explanation ends |
//! | a signal turns warned, bad or expired | its alarm, if the kind has one |
//! | a signal turns good or unknown | that alarm is over |
//! | a zone is warned, or bad and has failed, since its address is answered | an alarm, one for all of them |
//! | traffic next to none at level normal, for its grace | an alarm |
//! | observation of anything else | nothing |
//! | raise or clear an alarm | the alarm's table; no prefix is touched |
//! | drain, undrain, hold, force, release | the tables of [`operator`](crate::operator) |
//! | tick | silence, graces, hold-downs, ends of words and the drain are looked at |
//!
//! Everything else changes nothing, time going backwards included.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alarm::{Alarm, AlarmId, Alarms, Effect};
use crate::config::{AnchorDrain, ConfigError, GroupConfig, PolicyConfig};
use crate::explain::{SignalView, Verdict};
use crate::kind::{Kind, SignalId, Transport};
use crate::level::Level;
use crate::operator::{Operator, Target};
use crate::preference::{Pace, Preference};
use crate::prefix::{Family, Prefix};
use crate::signal::{self, Health, Observation, Signal, Timing};

mod asks;
mod command;
mod flaps;
mod memory;
mod silent;
mod standing;
mod why;

pub use command::{DrainView, WordView};
pub use memory::Memory;
use silent::Heard;
pub use standing::Standing;

/// What can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "kebab-case")]
pub enum Input {
    /// Time passed.
    Tick,
    /// A signal was looked at.
    Observe {
        /// Which one.
        signal: SignalId,
        /// What was seen.
        observation: Observation,
    },
    /// Something that a person should know, and that moves no route.
    Raise {
        /// What it is about.
        alarm: AlarmId,
        /// What is known.
        text: String,
    },
    /// That is over.
    Clear {
        /// What it was about.
        alarm: AlarmId,
    },
    /// The operator wants the traffic gone.
    Drain {
        /// Why, in the operator's words.
        text: String,
        /// Who.
        author: String,
        /// How long the node stays announced at level draining, if not as configured.
        #[serde(default)]
        within: Option<Duration>,
        /// When the drain ends by itself, in the policy's time.
        #[serde(default)]
        expires: Option<Duration>,
    },
    /// The operator wants the traffic back.
    Undrain {
        /// Why, in the operator's words.
        text: String,
        /// Who.
        author: String,
    },
    /// The operator wants no change: neither better nor worse, save that what cannot answer is withdrawn.
    Hold {
        /// Of what.
        target: Target,
        /// When that ends, in the policy's time.
        expires: Duration,
        /// Why, in the operator's words.
        text: String,
        /// Who.
        author: String,
    },
    /// The operator wants a level, as long as the node can answer.
    Force {
        /// Of what.
        target: Target,
        /// The level.
        level: Level,
        /// When that ends, in the policy's time.
        expires: Duration,
        /// Why, in the operator's words.
        text: String,
        /// Who.
        author: String,
    },
    /// The operator takes back what was held or forced.
    Release {
        /// Of what.
        target: Target,
        /// Why, in the operator's words.
        text: String,
        /// Who.
        author: String,
    },
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A prefix has another level; the announcers act on it.
    Level {
        /// The prefix.
        prefix: Prefix,
        /// Its group; `anchor` for an anchor.
        group: String,
        /// The level before.
        from: Level,
        /// The level after.
        to: Level,
        /// Why.
        cause: String,
    },
    /// A signal has another verdict.
    Signal {
        /// Which one.
        signal: SignalId,
        /// The verdict before.
        from: Health,
        /// The verdict after.
        to: Health,
        /// Why.
        text: String,
    },
    /// An alarm came into force or has news.
    AlarmRaised(Alarm),
    /// An alarm is over.
    AlarmCleared(Alarm),
    /// The operator's words are others than before, or a drain is further: time to write them down.
    WordsChanged,
}

/// What a prefix is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A prefix of the group with this index.
    Service(usize),
    /// A prefix that health never gates.
    Anchor(AnchorDrain),
}

/// One prefix with its place in the configuration.
#[derive(Clone, Debug)]
struct Route {
    prefix: Prefix,
    role: Role,
    /// Indices of the signals that may ask something of it.
    needs: Vec<usize>,
    /// Where some of its required zones is answered, and by which transport.
    answered: BTreeSet<(SocketAddr, Transport)>,
    /// The signal of its real traffic, if that is watched.
    traffic: Option<usize>,
    /// Whether its traffic has gone in the present drain.
    gone: Gone,
    preference: Preference,
}

/// Whether a drained prefix has lost its traffic before the drain time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Gone {
    No,
    Yes,
}

/// The policy of one node.
#[derive(Clone, Debug)]
pub struct Policy {
    config: PolicyConfig,
    ids: Vec<SignalId>,
    signals: Vec<Signal>,
    index: HashMap<SignalId, usize>,
    routes: Vec<Route>,
    alarms: Alarms,
    operator: Operator,
    /// Probes and zones that are bad because overload explains it; the zones of such probes are not lost.
    excused: BTreeSet<usize>,
    /// Whether the verdict on some zone has changed since it was noted which are answered.
    zones_changed: bool,
    /// When each probe was answered.
    heard: BTreeMap<usize, Heard>,
    clock: Duration,
}

/// The group that outputs and explanations name for an anchor.
pub const ANCHOR: &str = "anchor";

impl Policy {
    /// A node of which nothing is known: every prefix withdrawn, every anchor announced.
    pub fn new(now: Duration, config: PolicyConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut policy = Self {
            ids: Vec::new(),
            signals: Vec::new(),
            index: HashMap::new(),
            routes: Vec::new(),
            alarms: Alarms::default(),
            operator: Operator::default(),
            excused: BTreeSet::new(),
            zones_changed: false,
            heard: BTreeMap::new(),
            clock: now,
            config,
        };
        policy.add_watched(now, SignalId::Status);
        policy.add_watched(now, SignalId::Ready);
        policy.add_watched(now, SignalId::Clock);
        for family in [Family::Ipv4, Family::Ipv6] {
            policy.add_watched(now, SignalId::Answers { family });
        }
        let pace = policy.pace();
        for (group, settings) in policy.config.groups.clone().iter().enumerate() {
            for &prefix in &settings.prefixes {
                let needs = policy.needs(now, prefix, settings);
                let traffic = policy.add_watched(now, SignalId::Traffic { prefix });
                let role = Role::Service(group);
                let preference = Preference::new(now, pace);
                let answered = BTreeSet::new();
                policy.routes.push(Route {
                    prefix,
                    role,
                    needs,
                    answered,
                    traffic,
                    gone: Gone::No,
                    preference,
                });
            }
        }
        for anchor in policy.config.anchors.clone() {
            policy.routes.push(Route {
                prefix: anchor.prefix,
                role: Role::Anchor(anchor.drain),
                needs: Vec::new(),
                answered: BTreeSet::new(),
                traffic: None,
                gone: Gone::No,
                preference: Preference::anchored(now, pace),
            });
        }
        Ok(policy)
    }

    fn pace(&self) -> Pace {
        let PolicyConfig { hold_down, returns, grace, .. } = self.config;
        Pace { hold_down, returns, grace }
    }

    fn needs(&mut self, now: Duration, prefix: Prefix, group: &GroupConfig) -> Vec<usize> {
        let (probe, zone_timing) = (self.config.probe, self.config.zone);
        let name: Arc<str> = Arc::from(group.name.as_str());
        let mut needs = Vec::new();
        for address in group.probed(prefix) {
            for transport in Transport::ALL {
                needs.push(self.add_signal(now, SignalId::Probe { address, transport }, probe));
                for zone in &group.required_zones {
                    let zone = Arc::from(zone.as_str());
                    let signal = SignalId::Zone { address, transport, zone };
                    needs.push(self.add_signal(now, signal, zone_timing));
                }
            }
            needs.extend(self.add_watched(now, SignalId::Slow { address }));
            needs.extend(self.add_watched(now, SignalId::Wire { address }));
            needs.extend(self.add_watched(now, SignalId::Address { ip: address.ip() }));
        }
        for signal in [
            SignalId::DefaultRoute { family: prefix.family() },
            SignalId::Heartbeats,
            SignalId::Overload,
            SignalId::DataAge { group: Arc::clone(&name) },
            SignalId::Signatures { group: name },
        ] {
            needs.extend(self.add_watched(now, signal));
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// Adds a signal whose kind is watched.
    fn add_watched(&mut self, now: Duration, id: SignalId) -> Option<usize> {
        let timing = self.config.watched.get(&id.kind())?.timing;
        Some(self.add_signal(now, id, timing))
    }

    fn add_signal(&mut self, now: Duration, id: SignalId, timing: Timing) -> usize {
        if let Some(&index) = self.index.get(&id) {
            return index;
        }
        let index = self.signals.len();
        self.signals.push(Signal::new(now, timing, id.kind().silence()));
        if id.kind() == Kind::Probe {
            self.heard.insert(index, Heard::from(now));
        }
        self.ids.push(id.clone());
        self.index.insert(id, index);
        index
    }

    /// Takes an input and adds to `outputs` what came of it. `now` may be given late but is never taken back.
    pub fn step(&mut self, now: Duration, input: Input, outputs: &mut Vec<Output>) {
        self.clock = self.clock.max(now);
        self.silence(outputs);
        let mut said = self.expire(outputs);
        match input {
            Input::Tick => {}
            Input::Observe { signal, observation } => {
                if let Some(&index) = self.index.get(&signal) {
                    let seen = signal::Input::Observed(observation);
                    let input = if self.is_blind(&signal) { signal::Input::Excused } else { seen };
                    self.feed(index, input, outputs);
                }
            }
            Input::Raise { alarm, text } => self.raise(&alarm, &text, outputs),
            Input::Clear { alarm } => self.clear(&alarm, outputs),
            word => said = self.command(word, outputs).or(said),
        }
        self.hold_excused_to_it(outputs);
        if std::mem::take(&mut self.zones_changed) {
            self.note_answered();
            self.watch_zones(outputs);
        }
        self.follow_drain();
        self.judge(said.as_deref(), outputs);
        self.finish_drain(outputs);
        self.watch_traffic(outputs);
    }

    /// Lets every signal whose deadline has passed count its silence.
    fn silence(&mut self, outputs: &mut Vec<Output>) {
        for index in 0..self.signals.len() {
            if self.signals[index].next_deadline().is_some_and(|deadline| deadline <= self.clock) {
                let unseen = self.is_unseen(index);
                let input = if unseen { signal::Input::Excused } else { signal::Input::Tick };
                self.feed(index, input, outputs);
            }
        }
    }

    fn feed(&mut self, index: usize, input: signal::Input, outputs: &mut Vec<Output>) {
        let lost = matches!(input, signal::Input::Lost(_));
        if let (signal::Input::Observed(Observation::Pass(_)), Some(heard)) =
            (&input, self.heard.get_mut(&index))
        {
            heard.answer(self.clock);
        }
        let was_troubled = self.is_troubled(index);
        let change = self.signals[index].step(self.clock, input);
        if change.is_some() || self.is_troubled(index) != was_troubled {
            self.zones_changed |= matches!(self.ids[index].kind(), Kind::Probe | Kind::Zone);
        }
        let Some(signal::Change { from, to }) = change else { return };
        let (id, why) = (self.ids[index].clone(), self.signals[index].why().into_owned());
        // A thousand zones that go with their address, or are good from the start, are no thousand events.
        let at_first = from == Health::Unknown && to == Health::Good;
        if !(lost || at_first && id.kind() == Kind::Zone) {
            outputs.push(Output::Signal { signal: id.clone(), from, to, text: why.clone() });
        }
        if id == SignalId::Clock && to.is_bad() {
            self.forget_what_the_clock_judged(outputs);
        }
        if matches!(id.kind(), Kind::Probe | Kind::Zone) && to.is_bad() {
            // Whether overload excuses it is looked at when all of this step is known.
            self.excused.insert(index);
        }
        if let Some(alarm) = AlarmId::of(&id).filter(|_| id.kind() != Kind::Traffic) {
            match to {
                Health::Warned | Health::Bad | Health::Expired => self.raise(&alarm, &why, outputs),
                Health::Good | Health::Unknown => self.clear(&alarm, outputs),
            }
        }
    }

    /// Whatever is bad without excuse has lost its zones: what answered may come back as a new process that
    /// has not loaded everything.
    fn hold_excused_to_it(&mut self, outputs: &mut Vec<Output>) {
        for index in self.excused.clone() {
            let bad = self.signals[index].health().is_bad();
            if bad && self.is_excused(index) {
                continue;
            }
            self.excused.remove(&index);
            if let SignalId::Probe { address, transport } = self.ids[index]
                && bad
            {
                let why = self.signals[index].why().into_owned();
                self.lose_zones(address, transport, &why, outputs);
            }
        }
    }

    fn lose_zones(&mut self, at: SocketAddr, by: Transport, why: &str, outputs: &mut Vec<Output>) {
        for index in 0..self.ids.len() {
            match &self.ids[index] {
                SignalId::Zone { address, transport, .. } if (*address, *transport) == (at, by) => {
                    self.feed(index, signal::Input::Lost(why.to_owned()), outputs);
                }
                _ => {}
            }
        }
    }

    fn forget_what_the_clock_judged(&mut self, outputs: &mut Vec<Output>) {
        for index in 0..self.ids.len() {
            if self.ids[index].kind().needs_clock() {
                self.feed(index, signal::Input::Void("it is judged by a clock that is wrong"), outputs);
            }
        }
    }

    fn raise(&mut self, id: &AlarmId, text: &str, outputs: &mut Vec<Output>) {
        if self.alarms.raise(self.clock, id, text) == Effect::Changed {
            outputs.extend(self.alarms.get(id).cloned().map(Output::AlarmRaised));
        }
    }

    fn clear(&mut self, id: &AlarmId, outputs: &mut Vec<Output>) {
        outputs.extend(self.alarms.clear(id).map(Output::AlarmCleared));
    }

    /// Brings every prefix to the level that it wants and has earned.
    fn judge(&mut self, said: Option<&str>, outputs: &mut Vec<Output>) {
        for index in 0..self.routes.len() {
            let route = &self.routes[index];
            let (wish, word) = (self.wish(route), self.word(route));
            // Steps that change nothing are the rule; words are only made for those that might.
            if route.preference.is_settled(wish, word) {
                continue;
            }
            // What was said of one prefix is no cause for what becomes of another in the same step.
            let said = said.filter(|_| route.preference.is_told_anew(word));
            let cause = self.cause(route, wish, word, said);
            let route = &mut self.routes[index];
            if let Some(change) = route.preference.step(self.clock, wish, word, &cause) {
                outputs.push(Output::Level {
                    prefix: route.prefix,
                    group: self.group_name(self.routes[index].role).to_owned(),
                    from: change.from,
                    to: change.to,
                    cause,
                });
            }
        }
    }

    /// Whether this is a zone that is not answered as it should be, while its address is answered. One that was lost with
    /// its address, and earns its way back after it, is not.
    fn is_troubled(&self, index: usize) -> bool {
        let zone = &self.signals[index];
        if !(zone.health() == Health::Warned || zone.health().is_bad()) {
            return false;
        }
        let SignalId::Zone { address, transport, .. } = self.ids[index] else { return false };
        let Some(&probe) = self.index.get(&SignalId::Probe { address, transport }) else { return false };
        let probe = &self.signals[probe];
        probe.health() == Health::Good
            && (zone.health() == Health::Warned || zone.is_bad_since(probe.since()))
    }

    /// A zone that is not answered as it should be where its address is answered is an alarm, whatever comes of it.
    fn watch_zones(&mut self, outputs: &mut Vec<Output>) {
        let mut troubled = (0..self.ids.len()).filter(|&index| self.is_troubled(index));
        let Some(first) = troubled.next() else { return self.clear(&AlarmId::ZoneFailing, outputs) };
        let text = match troubled.count() {
            0 => format!("{}: {}", self.ids[first], self.signals[first].why()),
            more => format!("{}: {}; and {more} more", self.ids[first], self.signals[first].why()),
        };
        self.raise(&AlarmId::ZoneFailing, &text, outputs);
    }

    /// Real traffic that does not come although all is well is an alarm, and only that.
    fn watch_traffic(&mut self, outputs: &mut Vec<Output>) {
        for index in 0..self.routes.len() {
            let route = &self.routes[index];
            let Some(signal) = route.traffic else { continue };
            let alarm = AlarmId::Signal { signal: self.ids[signal].clone() };
            match self.quiet_since(route) {
                Some(since) if since.saturating_add(self.grace(Kind::Traffic)) <= self.clock => {
                    let text = format!("announced at level normal, yet {}", self.signals[signal].why());
                    self.raise(&alarm, &text, outputs);
                }
                Some(_) => {}
                None => self.clear(&alarm, outputs),
            }
        }
    }

    /// Since when a prefix has been at level normal with next to no traffic.
    fn quiet_since(&self, route: &Route) -> Option<Duration> {
        let traffic = &self.signals[route.traffic?];
        let quiet = traffic.health() == Health::Bad && route.preference.level() == Level::Normal;
        quiet.then(|| traffic.since().max(route.preference.since()))
    }

    fn grace(&self, kind: Kind) -> Duration {
        self.config.watched.get(&kind).map_or(Duration::ZERO, |watch| watch.grace)
    }

    /// When time alone may next change something.
    pub fn next_deadline(&self) -> Option<Duration> {
        let silence = self.signals.iter().filter_map(Signal::next_deadline);
        let graces = (0..self.signals.len()).filter_map(|index| self.grace_end(index));
        let hold_downs = self.routes.iter().filter_map(|route| route.preference.next_deadline());
        let quiet = self.routes.iter().filter_map(|route| {
            let end = self.quiet_since(route)?.saturating_add(self.grace(Kind::Traffic));
            (end > self.clock).then_some(end)
        });
        let excuses = self.excused.iter().filter_map(|&index| self.silent_end(index));
        let words = self.operator.next_deadline().into_iter().chain(self.drain_deadline());
        silence.chain(graces).chain(hold_downs).chain(quiet).chain(excuses).chain(words).min()
    }

    /// Every prefix with its level in force, in the order of the configuration, anchors last.
    pub fn levels(&self) -> impl Iterator<Item = (Prefix, Level)> + '_ {
        self.routes.iter().map(|route| (route.prefix, route.preference.level()))
    }

    /// The level in force of one prefix; `None` if it is not configured.
    pub fn level(&self, prefix: Prefix) -> Option<Level> {
        self.route(prefix).map(|route| route.preference.level())
    }

    /// Why a prefix has its level; `None` if it has had it from the start, or is not configured.
    pub(crate) fn last_cause(&self, prefix: Prefix) -> Option<&str> {
        self.route(prefix)?.preference.last_cause()
    }

    /// The best level in force of the prefixes that a signal concerns; `None` if it concerns none.
    pub fn best_level_of(&self, signal: &SignalId) -> Option<Level> {
        let index = self.index.get(signal)?;
        let concerned = self.routes.iter().filter(|route| route.needs.contains(index));
        concerned.map(|route| route.preference.level()).min()
    }

    /// The group of a prefix, [`ANCHOR`] for an anchor; `None` if it is not configured.
    pub fn group(&self, prefix: Prefix) -> Option<&str> {
        self.route(prefix).map(|route| self.group_name(route.role))
    }

    fn group_name(&self, role: Role) -> &str {
        match role {
            Role::Service(group) => &self.config.groups[group].name,
            Role::Anchor(_) => ANCHOR,
        }
    }

    /// How long a prefix has had its level.
    pub fn level_age(&self, prefix: Prefix, now: Duration) -> Option<Duration> {
        Some(self.clock.max(now).saturating_sub(self.route(prefix)?.preference.since()))
    }

    /// What is left of a prefix' hold-down, if one runs.
    pub fn hold_down_left(&self, prefix: Prefix, now: Duration) -> Option<Duration> {
        self.route(prefix)?.preference.hold_down_left(self.clock.max(now)).map(|(_, left)| left)
    }

    fn route(&self, prefix: Prefix) -> Option<&Route> {
        self.routes.iter().find(|route| route.prefix == prefix)
    }

    /// Every probe and zone signal that some prefix needs, with its verdict.
    pub fn needed(&self) -> impl Iterator<Item = (&SignalId, Health)> {
        let all = self.ids.iter().zip(&self.signals);
        all.filter(|(id, _)| id.kind().gates()).map(|(id, signal)| (id, signal.health()))
    }

    /// Every signal that somebody has to observe: what the observers ask at the start.
    pub fn observed(&self) -> impl Iterator<Item = &SignalId> {
        self.ids.iter()
    }

    /// Every signal as it stands.
    pub fn signals(&self, now: Duration) -> Vec<SignalView> {
        (0..self.ids.len()).map(|index| self.signal_view(index, now)).collect()
    }

    fn signal_view(&self, index: usize, now: Duration) -> SignalView {
        let mut view = self.signals[index].view(self.clock.max(now), &self.ids[index]);
        if view.health == Verdict::Quiet {
            self.what_quiet_means(index).clone_into(&mut view.remark);
        }
        view
    }

    /// The verdict on one signal; `None` if it is not configured.
    pub fn health(&self, signal: &SignalId) -> Option<Health> {
        self.index.get(signal).map(|&index| self.signals[index].health())
    }

    /// Since when a signal has been bad, if it is.
    pub fn ill_since(&self, signal: &SignalId) -> Option<Duration> {
        self.index.get(signal).and_then(|&index| self.signals[index].ill_since())
    }

    /// Alarms in force.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.iter()
    }
}

#[cfg(test)]
mod tests;
