//! One signal: from single observations to a verdict that can be trusted.
//!
//! A signal watches one thing by one means, for example an address by UDP. Single observations may be noise,
//! so a verdict changes only after several in a row; but silence is no excuse: no observation within a bound
//! counts as failing, since a watcher that died has nothing good to report.
//!
//! # Transition table
//!
//! | health | input | then |
//! |---|---|---|
//! | unknown | `rise` passes in a row | good |
//! | unknown, good | `fall` fails in a row | bad |
//! | unknown, good | silent for `stale` | bad |
//! | unknown, good | lost | bad |
//! | bad | `rise` passes in a row | good |
//! | bad | silent for `stale`, or lost | bad; passes so far are forgotten |
//!
//! Everything else changes nothing, time going backwards included: `now` is read as the latest ever given.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::explain::SignalView;

/// How many failures in a row make a signal bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fall(NonZeroU32);

impl Fall {
    /// `count` failures in a row; zero means one, since a signal cannot fall without evidence.
    pub const fn new(count: u32) -> Self {
        Self(at_least_one(count))
    }

    /// The count.
    pub const fn count(self) -> u32 {
        self.0.get()
    }
}

/// How many passes in a row make a signal good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise(NonZeroU32);

impl Rise {
    /// `count` passes in a row; zero means one, since a signal cannot rise without evidence.
    pub const fn new(count: u32) -> Self {
        Self(at_least_one(count))
    }

    /// The count.
    pub const fn count(self) -> u32 {
        self.0.get()
    }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

/// What it takes to believe observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Failures in a row until bad.
    pub fall: Fall,
    /// Passes in a row until good.
    pub rise: Rise,
    /// Silence that counts as failing; must exceed the time between two observations, slow ones included.
    pub stale: Duration,
}

/// The verdict on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not enough seen since the start.
    Unknown,
    /// Passing.
    Good,
    /// Failing, or silent.
    Bad,
}

impl Health {
    /// The name in logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One observation: whether it was good, and what was seen, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// As it should be; the text says what was seen: `serial 7`.
    Pass(String),
    /// Not as it should be; the text says why: `connection refused by 192.0.2.53:53 over TCP`.
    Fail(String),
}

impl Observation {
    /// What was seen.
    pub fn text(&self) -> &str {
        match self {
            Self::Pass(text) | Self::Fail(text) => text,
        }
    }
}

/// What can happen to a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// Something was seen.
    Observed(Observation),
    /// What this signal stands on is gone, for the reason given; what was seen before counts no more.
    Lost(String),
}

/// A change of verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The verdict before.
    pub from: Health,
    /// The verdict after.
    pub to: Health,
}

/// The machine of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    timing: Timing,
    health: Health,
    since: Duration,
    /// Why the verdict is what it is: the observation, silence or loss that made it.
    why: String,
    passes: u32,
    fails: u32,
    last: Option<(Duration, Observation)>,
    /// When silence began to count: the start, or the last observation.
    heard: Duration,
    silence: Silence,
    clock: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    Waiting,
    Counted,
}

impl Signal {
    /// A signal of which nothing is known yet.
    pub fn new(now: Duration, timing: Timing) -> Self {
        Self {
            timing,
            health: Health::Unknown,
            since: now,
            why: "nothing seen yet".to_owned(),
            passes: 0,
            fails: 0,
            last: None,
            heard: now,
            silence: Silence::Waiting,
            clock: now,
        }
    }

    /// Takes an input; returns the change of verdict, if it led to one.
    pub fn step(&mut self, now: Duration, input: Input) -> Option<Change> {
        self.clock = self.clock.max(now);
        let from = self.health;
        self.count_silence();
        match input {
            Input::Tick => {}
            Input::Observed(observation) => self.observe(observation),
            Input::Lost(text) => {
                self.forget_runs();
                if self.health != Health::Bad {
                    self.become_(Health::Bad, text);
                }
            }
        }
        (self.health != from).then_some(Change { from, to: self.health })
    }

    fn count_silence(&mut self) {
        if self.silence == Silence::Counted || self.clock < self.heard.saturating_add(self.timing.stale) {
            return;
        }
        self.silence = Silence::Counted;
        self.forget_runs();
        if self.health != Health::Bad {
            self.become_(Health::Bad, format!("nothing seen for {} s", self.timing.stale.as_secs_f64()));
        }
    }

    fn observe(&mut self, observation: Observation) {
        self.heard = self.clock;
        self.silence = Silence::Waiting;
        match &observation {
            Observation::Pass(text) => {
                self.fails = 0;
                self.passes = self.passes.saturating_add(1);
                if self.health != Health::Good && self.passes >= self.timing.rise.count() {
                    self.become_(Health::Good, text.clone());
                }
            }
            Observation::Fail(text) => {
                self.passes = 0;
                self.fails = self.fails.saturating_add(1);
                if self.health != Health::Bad && self.fails >= self.timing.fall.count() {
                    self.become_(Health::Bad, text.clone());
                } else if self.health == Health::Bad {
                    // The freshest failure explains a bad signal better than the one that made it bad.
                    self.why.clone_from(text);
                }
            }
        }
        self.last = Some((self.clock, observation));
    }

    fn become_(&mut self, health: Health, why: String) {
        self.health = health;
        self.since = self.clock;
        self.why = why;
    }

    fn forget_runs(&mut self) {
        self.passes = 0;
        self.fails = 0;
    }

    /// When silence would next count.
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.silence {
            Silence::Waiting => Some(self.heard.saturating_add(self.timing.stale)),
            Silence::Counted => None,
        }
    }

    /// The verdict.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Why the verdict is what it is; never empty.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Everything about the signal for a person to read, under the name that its owner gives it.
    pub fn view(&self, now: Duration, name: String) -> SignalView {
        let now = self.clock.max(now);
        let Timing { fall, rise, .. } = self.timing;
        let progress = match self.health {
            Health::Good if self.fails > 0 => format!("{} of {} failures", self.fails, fall.count()),
            Health::Good => String::new(),
            Health::Unknown if self.fails > 0 => format!("{} of {} failures", self.fails, fall.count()),
            Health::Unknown | Health::Bad => format!("{} of {} passes", self.passes, rise.count()),
        };
        let last = self.last.as_ref();
        SignalView {
            name,
            health: self.health,
            health_age: now.saturating_sub(self.since),
            last: last.map(|(_, observation)| observation.text().to_owned()).unwrap_or_default(),
            last_age: last.map(|(at, _)| now.saturating_sub(*at)),
            progress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(3);
    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn signal() -> Signal {
        Signal::new(MS(0), Timing { fall: Fall::new(2), rise: Rise::new(3), stale: STALE })
    }

    fn pass() -> Input {
        Input::Observed(Observation::Pass("serial 7".into()))
    }

    fn fail() -> Input {
        Input::Observed(Observation::Fail("no answer".into()))
    }

    fn good() -> Signal {
        let mut signal = signal();
        for at in [1, 2, 3] {
            signal.step(MS(at), pass());
        }
        assert_eq!(signal.health(), Health::Good);
        signal
    }

    #[test]
    fn rise_passes_in_a_row_make_it_good_and_not_one_fewer() {
        let mut signal = signal();
        for input in [pass(), pass(), fail(), pass(), pass()] {
            assert_eq!(signal.step(MS(1), input), None);
        }
        assert_eq!(signal.step(MS(2), pass()), Some(Change { from: Health::Unknown, to: Health::Good }));
    }

    #[test]
    fn one_late_probe_changes_nothing_and_two_make_it_bad_with_the_reason() {
        let mut signal = good();
        assert_eq!(signal.step(MS(4), fail()), None);
        assert_eq!(signal.step(MS(5), pass()), None);
        assert_eq!(signal.step(MS(6), fail()), None);
        assert_eq!(signal.step(MS(7), fail()), Some(Change { from: Health::Good, to: Health::Bad }));
        assert_eq!(signal.why(), "no answer");
    }

    #[test]
    fn silence_counts_as_failing_at_its_deadline_and_not_before() {
        let mut signal = good();
        let deadline = signal.next_deadline().unwrap();
        assert_eq!(deadline, MS(3) + STALE);
        assert_eq!(signal.step(deadline - MS(1), Input::Tick), None);
        assert_eq!(signal.step(deadline, Input::Tick), Some(Change { from: Health::Good, to: Health::Bad }));
        assert_eq!(signal.next_deadline(), None);
        assert_eq!(signal.why(), "nothing seen for 3 s");
    }

    #[test]
    fn passes_before_a_silence_do_not_count_towards_the_rise() {
        let mut signal = signal();
        signal.step(MS(0), Input::Lost("gone".into()));
        signal.step(MS(1), pass());
        signal.step(MS(2), pass());
        assert_eq!(signal.step(MS(2) + STALE, pass()), None);
        assert_eq!(signal.health(), Health::Bad);
    }

    #[test]
    fn a_loss_is_bad_at_once_and_the_rise_starts_over() {
        let mut signal = good();
        signal.step(MS(4), pass());
        assert!(signal.step(MS(5), Input::Lost("no answer over UDP".into())).is_some());
        assert_eq!(signal.why(), "no answer over UDP");
        assert_eq!(signal.step(MS(6), pass()), None);
        assert_eq!(signal.step(MS(7), pass()), None);
        assert!(signal.step(MS(8), pass()).is_some());
    }

    #[test]
    fn time_going_backwards_changes_nothing() {
        let mut signal = good();
        let before = signal.clone();
        assert_eq!(signal.step(MS(0), Input::Tick), None);
        assert_eq!(signal, before);
        signal.step(MS(0), pass());
        assert_eq!(signal.next_deadline(), before.next_deadline(), "an earlier now is the latest now");
    }
}
