//! The policy of one node: observations go to their signals, signals to their prefixes, words to people.
//!
//! Called by the sidecar for every probe result, status fetch, session change and operator's command, and at
//! [`next_deadline`](Policy::next_deadline). Its outputs are changes only; the levels in force can be read at
//! any time.
//!
//! # Transition table
//!
//! | input | then |
//! |---|---|
//! | observation of a configured signal | the signal's machine; a changed verdict is judged for its prefixes |
//! | address and transport turn bad | its zone signals are lost with it, so that readiness is earned anew |
//! | observation of anything else | nothing |
//! | raise or clear an alarm | the alarm's table; no prefix is touched |
//! | status turns bad or good | alarm raised or cleared; no prefix is touched |
//! | drain | every prefix capped at draining, at withdrawn after the drain time; an alarm stands |
//! | drain while drained | text and author replaced; the deadline stays |
//! | undrain | cap and alarm gone |
//! | tick | silence, hold-downs and the drain time are looked at |
//!
//! Everything else changes nothing, time going backwards included.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alarm::{Alarm, AlarmId, Alarms, Effect};
use crate::config::{ConfigError, Degrade, GroupConfig, PolicyConfig};
use crate::explain::SignalView;
use crate::level::Level;
use crate::preference::Preference;
use crate::prefix::{Family, Prefix};
use crate::signal::{self, Health, Observation, Signal, Timing};

mod why;

/// A transport of DNS that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: what nearly all clients use, so without it the node cannot answer.
    Udp,
    /// Streams (RFC 7766): what clients need for large answers, so without it the node is degraded.
    Tcp,
}

impl Transport {
    /// Both, the more important one first.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    /// The name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The level that a prefix deserves while this transport is bad.
    const fn asks(self) -> Level {
        match self {
            Self::Udp => Level::Withdrawn,
            Self::Tcp => Level::Degraded,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What a signal watches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalId {
    /// Whether anybody answers there by that transport, and whether it is this node.
    Probe {
        /// The anycast address and port.
        address: SocketAddr,
        /// The transport.
        transport: Transport,
    },
    /// Whether a required zone is answered there with authority and the expected serial.
    Zone {
        /// The anycast address and port.
        address: SocketAddr,
        /// The transport.
        transport: Transport,
        /// The zone as the group's configuration names it.
        zone: Arc<str>,
    },
    /// Whether the responder's status endpoint can be read. Information and alarm, never a route change.
    Status,
    /// Whether the responder calls itself ready. Information: the probes decide.
    Ready,
}

impl fmt::Display for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe { address, transport } => write!(f, "{transport} probe of {address}"),
            Self::Zone { address, transport, zone } => write!(f, "zone {zone} over {transport} at {address}"),
            Self::Status => f.write_str("responder's status"),
            Self::Ready => f.write_str("responder's readiness"),
        }
    }
}

/// What can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    },
    /// The operator wants the traffic back.
    Undrain {
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
        /// Its group.
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
}

/// The operator's word that traffic shall go.
#[derive(Clone, Debug)]
struct Drain {
    since: Duration,
    withdraw_at: Duration,
    text: String,
    author: String,
}

/// One prefix with its place in the configuration.
#[derive(Clone, Debug)]
struct Route {
    prefix: Prefix,
    group: usize,
    /// Indices of the probe and zone signals that it needs.
    needs: Vec<usize>,
    preference: Preference,
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
    drain: Option<Drain>,
    clock: Duration,
}

impl Policy {
    /// A node of which nothing is known: every prefix withdrawn.
    pub fn new(now: Duration, config: PolicyConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut policy = Self {
            ids: Vec::new(),
            signals: Vec::new(),
            index: HashMap::new(),
            routes: Vec::new(),
            alarms: Alarms::default(),
            drain: None,
            clock: now,
            config,
        };
        if let Some(timing) = policy.config.status {
            policy.add_signal(now, SignalId::Status, timing);
            policy.add_signal(now, SignalId::Ready, timing);
        }
        for (group, settings) in policy.config.groups.clone().iter().enumerate() {
            for &prefix in &settings.prefixes {
                let needs = policy.needs(now, prefix, settings);
                let preference = Preference::new(now, policy.config.hold_down, policy.config.grace);
                policy.routes.push(Route { prefix, group, needs, preference });
            }
        }
        Ok(policy)
    }

    fn needs(&mut self, now: Duration, prefix: Prefix, group: &GroupConfig) -> Vec<usize> {
        let within: Vec<_> = group.addresses.iter().filter(|at| prefix.contains(at.ip())).copied().collect();
        let same_family = || {
            let family = prefix.family();
            group.addresses.iter().filter(|at| Family::of(at.ip()) == family).copied().collect()
        };
        let addresses: Vec<SocketAddr> = if within.is_empty() { same_family() } else { within };
        let (probe, zone_timing) = (self.config.probe, self.config.zone);
        let mut needs = Vec::new();
        for address in addresses {
            for transport in Transport::ALL {
                needs.push(self.add_signal(now, SignalId::Probe { address, transport }, probe));
                for zone in &group.required_zones {
                    let zone = Arc::from(zone.as_str());
                    let signal = SignalId::Zone { address, transport, zone };
                    needs.push(self.add_signal(now, signal, zone_timing));
                }
            }
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    fn add_signal(&mut self, now: Duration, id: SignalId, timing: Timing) -> usize {
        if let Some(&index) = self.index.get(&id) {
            return index;
        }
        let index = self.signals.len();
        self.signals.push(Signal::new(now, timing));
        self.ids.push(id.clone());
        self.index.insert(id, index);
        index
    }

    /// Takes an input and adds to `outputs` what came of it. `now` may be given late but is never taken back.
    pub fn step(&mut self, now: Duration, input: Input, outputs: &mut Vec<Output>) {
        self.clock = self.clock.max(now);
        self.silence(outputs);
        match input {
            Input::Tick => {}
            Input::Observe { signal, observation } => {
                if let Some(&index) = self.index.get(&signal) {
                    self.feed(index, signal::Input::Observed(observation), outputs);
                }
            }
            Input::Raise { alarm, text } => self.raise(&alarm, &text, outputs),
            Input::Clear { alarm } => self.clear(&alarm, outputs),
            Input::Drain { text, author } => self.drain(text, author, outputs),
            Input::Undrain { text, author } => {
                let cause = format!("undrained by {author}: {text}");
                self.drain = None;
                self.clear(&AlarmId::DrainInForce, outputs);
                self.judge(Some(&cause), outputs);
                return;
            }
        }
        self.judge(None, outputs);
    }

    /// Lets every signal whose deadline has passed count its silence.
    fn silence(&mut self, outputs: &mut Vec<Output>) {
        for index in 0..self.signals.len() {
            if self.signals[index].next_deadline().is_some_and(|deadline| deadline <= self.clock) {
                self.feed(index, signal::Input::Tick, outputs);
            }
        }
    }

    fn feed(&mut self, index: usize, input: signal::Input, outputs: &mut Vec<Output>) {
        let lost = matches!(input, signal::Input::Lost(_));
        let Some(signal::Change { from, to }) = self.signals[index].step(self.clock, input) else { return };
        let (id, why) = (self.ids[index].clone(), self.signals[index].why().to_owned());
        // A thousand zones that go with their address, or are good from the start, are no thousand events.
        let at_first = from == Health::Unknown && to == Health::Good;
        if !(lost || at_first && matches!(id, SignalId::Zone { .. })) {
            outputs.push(Output::Signal { signal: id.clone(), from, to, text: why.clone() });
        }
        match (id, to) {
            (SignalId::Probe { address, transport }, Health::Bad) => {
                self.lose_zones(address, transport, &why, outputs);
            }
            (SignalId::Status, Health::Bad) => self.raise(&AlarmId::StatusUnreachable, &why, outputs),
            (SignalId::Status, Health::Good) => self.clear(&AlarmId::StatusUnreachable, outputs),
            _ => {}
        }
    }

    /// What answered may come back as a new process that has not loaded everything.
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

    fn raise(&mut self, id: &AlarmId, text: &str, outputs: &mut Vec<Output>) {
        if self.alarms.raise(self.clock, id, text) == Effect::Changed {
            outputs.extend(self.alarms.get(id).cloned().map(Output::AlarmRaised));
        }
    }

    fn clear(&mut self, id: &AlarmId, outputs: &mut Vec<Output>) {
        outputs.extend(self.alarms.clear(id).map(Output::AlarmCleared));
    }

    fn drain(&mut self, text: String, author: String, outputs: &mut Vec<Output>) {
        let alarm = format!("drained by {author}: {text}");
        self.raise(&AlarmId::DrainInForce, &alarm, outputs);
        let since = self.drain.as_ref().map_or(self.clock, |drain| drain.since);
        let withdraw_at = since.saturating_add(self.config.drain_time.0);
        self.drain = Some(Drain { since, withdraw_at, text, author });
    }

    /// Brings every prefix to the level that it wants and has earned.
    fn judge(&mut self, operator: Option<&str>, outputs: &mut Vec<Output>) {
        for index in 0..self.routes.len() {
            let wanted = self.wanted(&self.routes[index]);
            let cap = self.cap();
            let route = &self.routes[index];
            // Steps that change nothing are the rule; words are only made for those that might.
            let quiet = route.preference.wanted() == wanted
                && route.preference.earned() == wanted
                && route.preference.level() == wanted.max(cap);
            if quiet {
                continue;
            }
            let cause = self.cause(route, wanted, cap, operator);
            let route = &mut self.routes[index];
            if let Some(change) = route.preference.step(self.clock, wanted, cap, &cause) {
                outputs.push(Output::Level {
                    prefix: route.prefix,
                    group: self.config.groups[route.group].name.clone(),
                    from: change.from,
                    to: change.to,
                    cause,
                });
            }
        }
    }

    /// The worst that any needed signal asks for.
    fn wanted(&self, route: &Route) -> Level {
        let asks = |&index: &usize| self.asks(route, index);
        route.needs.iter().map(asks).max().unwrap_or(Level::Withdrawn)
    }

    fn asks(&self, route: &Route, index: usize) -> Level {
        let (SignalId::Probe { transport, .. } | SignalId::Zone { transport, .. }) = &self.ids[index] else {
            return Level::Normal;
        };
        match self.signals[index].health() {
            Health::Good => Level::Normal,
            Health::Unknown => Level::Withdrawn,
            Health::Bad => match (transport.asks(), self.config.groups[route.group].degrade) {
                (Level::Degraded, Degrade::Off) => Level::Normal,
                (level, _) => level,
            },
        }
    }

    /// The best level that the operator allows.
    fn cap(&self) -> Level {
        match &self.drain {
            None => Level::Normal,
            Some(drain) if self.clock < drain.withdraw_at => Level::Draining,
            Some(_) => Level::Withdrawn,
        }
    }

    /// When time alone may next change something.
    pub fn next_deadline(&self) -> Option<Duration> {
        let silence = self.signals.iter().filter_map(Signal::next_deadline);
        let hold_downs = self.routes.iter().filter_map(|route| route.preference.next_deadline());
        let drain = self.drain.iter().map(|drain| drain.withdraw_at).filter(|at| *at > self.clock);
        silence.chain(hold_downs).chain(drain).min()
    }

    /// Every prefix with its level in force, in the order of the configuration.
    pub fn levels(&self) -> impl Iterator<Item = (Prefix, Level)> + '_ {
        self.routes.iter().map(|route| (route.prefix, route.preference.level()))
    }

    /// The level in force of one prefix; `None` if it is not configured.
    pub fn level(&self, prefix: Prefix) -> Option<Level> {
        self.route(prefix).map(|route| route.preference.level())
    }

    /// The group of a prefix; `None` if it is not configured.
    pub fn group(&self, prefix: Prefix) -> Option<&str> {
        self.route(prefix).map(|route| self.config.groups[route.group].name.as_str())
    }

    /// What is left of a prefix' hold-down, if one runs.
    pub fn hold_down_left(&self, prefix: Prefix, now: Duration) -> Option<Duration> {
        self.route(prefix)?.preference.hold_down_left(self.clock.max(now)).map(|(_, left)| left)
    }

    fn route(&self, prefix: Prefix) -> Option<&Route> {
        self.routes.iter().find(|route| route.prefix == prefix)
    }

    /// Every signal that some prefix needs, with its verdict.
    pub fn needed(&self) -> impl Iterator<Item = (&SignalId, Health)> {
        let needed = |id: &SignalId| matches!(id, SignalId::Probe { .. } | SignalId::Zone { .. });
        let all = self.ids.iter().zip(&self.signals);
        all.filter(move |(id, _)| needed(id)).map(|(id, signal)| (id, signal.health()))
    }

    /// Every signal as it stands.
    pub fn signals(&self, now: Duration) -> Vec<SignalView> {
        (0..self.ids.len()).map(|index| self.signal_view(index, now)).collect()
    }

    fn signal_view(&self, index: usize, now: Duration) -> SignalView {
        self.signals[index].view(self.clock.max(now), self.ids[index].to_string())
    }

    /// The verdict on one signal; `None` if it is not configured.
    pub fn health(&self, signal: &SignalId) -> Option<Health> {
        self.index.get(signal).map(|&index| self.signals[index].health())
    }

    /// Alarms in force.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.iter()
    }
}

#[cfg(test)]
mod tests;
