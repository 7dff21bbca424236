//! One signal: from single observations to a verdict that can be trusted.
//!
//! A signal watches one thing by one means, for example an address by UDP. Single observations may be noise,
//! so a verdict changes only after several in a row. Observations have grades, from a pass over a warning and
//! a failure to the worst that can be, and so have verdicts: `fall` observations in a row that are at least so
//! bad make it so bad, `rise` in a row that are at most so bad make it no worse than that.
//!
//! What silence means depends on who is silent. A prober that died has nothing good to report, so the silence
//! of a probe [counts as failing](Silence::Fails). What somebody else tells (the responder's status, the
//! kernel's tables) is [forgotten](Silence::Forgotten): the probes go on judging without it. What was told of data, and
//! of the clock that they are judged by, is [forgotten only where it was good](Silence::Kept): signatures that have
//! expired do not become valid because a status page hangs. And a worker that was told to be stuck
//! [stays so](Silence::BadKept). When that clock itself is found wrong, all that was judged
//! by it is forgotten ([`Input::Void`]): it was perhaps wrong then already.
//!
//! # Transition table
//!
//! | health | input | then |
//! |---|---|---|
//! | unknown | `rise` passes in a row | good |
//! | any but that | `fall` in a row at least at a worse grade | the verdict of that grade |
//! | warned, bad, expired | `rise` in a row at most at a better grade | the verdict of that grade |
//! | unknown, good, warned | silent for `stale`, silence fails | bad |
//! | any but unknown | silent for `stale`, silence is forgotten | unknown |
//! | good | silent for `stale`, silence is kept, or kept if bad | unknown |
//! | warned | silent for `stale`, silence is kept if bad | unknown |
//! | warned, bad, expired | silent for `stale`, silence is kept | the same; the reason says that it is the last known |
//! | bad, expired | silent for `stale`, silence is kept if bad | the same |
//! | any but bad | lost | bad |
//! | any but unknown | void | unknown |
//! | any | silent for `stale`, lost, or void | runs so far are forgotten |
//! | any | excused | silence counts from now on, nothing else |
//!
//! Everything else changes nothing, time going backwards included: `now` is read as the latest ever given.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::explain::{SignalView, Verdict};
use crate::kind::SignalId;

/// How many failures in a row make a signal bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Failures in a row until bad.
    pub fall: Fall,
    /// Passes in a row until good.
    pub rise: Rise,
    /// Silence that counts as failing; must exceed the time between two observations, slow ones included.
    pub stale: Duration,
}

/// What silence means for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Silence {
    /// It counts as failing: whoever should look may be dead.
    Fails,
    /// The verdict is forgotten: somebody else would have to tell, and nothing can be made of that.
    Forgotten,
    /// A good verdict is forgotten, a worse one is kept: that nobody tells it again makes nothing better.
    Kept,
    /// A good verdict is forgotten, and so is a warning; a bad one is kept.
    BadKept,
}

/// The verdict on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not enough seen since the start, or too long ago.
    Unknown,
    /// Passing.
    Good,
    /// Passing, and a person should look before that ends: signatures that expire within days.
    Warned,
    /// Failing, or silent.
    Bad,
    /// Failing as badly as it can: signatures that have expired.
    Expired,
}

impl Health {
    /// The name in logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Warned => "warned",
            Self::Bad => "bad",
            Self::Expired => "expired",
        }
    }

    /// Whether what is watched is as it should be, or nearly so: of a zone, that it is answered.
    pub(crate) const fn is_answered(self) -> bool {
        matches!(self, Self::Good | Self::Warned)
    }

    /// Whether what is watched is not as it should be: bad or expired.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Bad | Self::Expired)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One observation: how good it was, and what was seen, in words.
///
/// The text of a verdict goes into logs and alarms: it should say the same as long as the same is the case
/// (`expires within 7 d`, not the seconds that are left).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// As it should be; the text says what was seen: `serial 7`.
    Pass(String),
    /// As it should be for now; the text says what is coming.
    Warn(String),
    /// Not as it should be; the text says why: `connection refused by 192.0.2.53:53 over TCP`.
    Fail(String),
    /// Nothing came back in time: a failure like any other, unless overload explains it.
    Unanswered(String),
    /// As bad as it can be.
    Expired(String),
}

/// Grades of observations: a pass is 0, a warning 1, a failure 2, the worst 3.
const GRADES: usize = 4;

impl Observation {
    /// What was seen.
    pub fn text(&self) -> &str {
        match self {
            Self::Pass(text)
            | Self::Warn(text)
            | Self::Fail(text)
            | Self::Unanswered(text)
            | Self::Expired(text) => text,
        }
    }

    const fn grade(&self) -> usize {
        match self {
            Self::Pass(_) => 0,
            Self::Warn(_) => 1,
            Self::Fail(_) | Self::Unanswered(_) => 2,
            Self::Expired(_) => 3,
        }
    }
}

/// The verdict of each grade.
const VERDICTS: [Health; GRADES] = [Health::Good, Health::Warned, Health::Bad, Health::Expired];

/// What can happen to a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// Something was seen.
    Observed(Observation),
    /// What this signal stands on is gone, for the reason given; what was seen before counts no more.
    Lost(String),
    /// It could not be looked at, for a reason that speaks for nothing.
    Excused,
    /// What was seen before says nothing any more, for the reason given.
    Void(&'static str),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    timing: Timing,
    silence: Silence,
    health: Health,
    since: Duration,
    /// Since when it has been bad or worse.
    ill: Option<Duration>,
    /// Since when it has been neither, if it ever was.
    #[serde(default)]
    well: Option<Duration>,
    /// Whether it was as it should be, or nearly so, since it was new or lost.
    #[serde(default)]
    proven: bool,
    /// When it was last seen to fail, or failed by silence, if it was since it was new or lost.
    #[serde(default)]
    failed: Option<Duration>,
    /// Why the verdict is what it is: the observation, silence or loss that made it.
    why: String,
    /// By grade: observations in a row that were at least so bad.
    at_least: [u32; GRADES],
    /// By grade: observations in a row that were better.
    better: [u32; GRADES],
    /// Whether all that speaks against it since it was good is that nothing came back in time.
    blame: Blame,
    last: Option<(Duration, Observation)>,
    /// When silence began to count: the start, or the last observation.
    heard: Duration,
    ear: Ear,
    clock: Duration,
}

/// A probe or zone of which nothing speaks for another verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plain {
    /// It is good.
    Good,
    /// Nobody has looked at it.
    Unseen,
    /// It is lost, for the reason given.
    Lost(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ear {
    Waiting,
    Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Blame {
    UnansweredOnly,
    Seen,
}

impl Signal {
    /// A signal of which nothing is known yet.
    pub fn new(now: Duration, timing: Timing, silence: Silence) -> Self {
        Self {
            timing,
            silence,
            health: Health::Unknown,
            since: now,
            ill: None,
            well: None,
            proven: false,
            failed: None,
            why: "nothing seen yet".to_owned(),
            at_least: [0; GRADES],
            better: [0; GRADES],
            blame: Blame::Seen,
            last: None,
            heard: now,
            ear: Ear::Waiting,
            clock: now,
        }
    }

    /// Takes an input; returns the change of verdict, if it led to one.
    pub fn step(&mut self, now: Duration, input: Input) -> Option<Change> {
        self.clock = self.clock.max(now);
        let from = self.health;
        if input == Input::Excused {
            self.heard = self.clock;
            self.ear = Ear::Waiting;
            return None;
        }
        self.count_silence();
        match input {
            Input::Tick | Input::Excused => {}
            Input::Observed(observation) => self.observe(observation),
            Input::Lost(text) => {
                self.forget_runs();
                self.blame = Blame::Seen;
                if self.health != Health::Bad {
                    self.become_(Health::Bad, text);
                }
                (self.proven, self.failed) = (false, None);
            }
            Input::Void(why) => {
                self.forget_runs();
                if self.health != Health::Unknown {
                    self.become_(Health::Unknown, why.to_owned());
                }
                (self.proven, self.failed) = (false, None);
            }
        }
        (self.health != from).then_some(Change { from, to: self.health })
    }

    /// The same signal under other rules: its verdict, and what speaks for another, stay.
    pub(crate) fn with_timing_of(self, other: &Self) -> Self {
        Self { timing: other.timing, silence: other.silence, ..self }
    }

    /// A new signal is good from the start, for the reason given: as if it had been observed to be so.
    pub(crate) fn begin_good(&mut self, why: &str) {
        self.blame = Blame::UnansweredOnly;
        self.become_(Health::Good, why.to_owned());
    }

    /// How a probe or zone stands if nothing speaks for another verdict, and since when it is silent: all that it will do
    /// depends on these two. Of other kinds it may also be asked since when they are well, or ill.
    pub(crate) fn plain(&self) -> Option<(Plain, Duration)> {
        let waits = self.ear == Ear::Waiting;
        let no_runs = self.at_least == [0; GRADES];
        let plain = match (self.health, self.blame) {
            (Health::Good, Blame::UnansweredOnly) if waits && no_runs => Plain::Good,
            (Health::Unknown, Blame::Seen) if waits && self.last.is_none() => Plain::Unseen,
            // Silence makes it no worse.
            (Health::Bad, Blame::Seen)
                if no_runs && self.better == [0; GRADES] && !self.proven && self.failed.is_none() =>
            {
                Plain::Lost(self.why.clone())
            }
            _ => return None,
        };
        Some((plain, self.heard))
    }

    /// The same signal again.
    pub(crate) fn from_plain(plain: Plain, silent: Duration, timing: Timing, silence: Silence) -> Self {
        let mut signal = Self::new(silent, timing, silence);
        match plain {
            // As a trace has it of passes: without what was seen.
            Plain::Good => signal.begin_good("good"),
            Plain::Unseen => {}
            Plain::Lost(why) => drop(signal.step(silent, Input::Lost(why))),
        }
        signal
    }

    fn count_silence(&mut self) {
        if self.ear == Ear::Counted || self.clock < self.heard.saturating_add(self.timing.stale) {
            return;
        }
        self.ear = Ear::Counted;
        self.forget_runs();
        let why = || format!("nothing seen for {} s", self.timing.stale.as_secs_f64());
        match self.silence {
            Silence::Fails => {
                self.blame = Blame::Seen;
                if !self.health.is_bad() {
                    self.failed = Some(self.clock);
                    self.become_(Health::Bad, why());
                }
            }
            Silence::Forgotten if self.health != Health::Unknown => self.become_(Health::Unknown, why()),
            Silence::Kept if self.health == Health::Good => self.become_(Health::Unknown, why()),
            Silence::BadKept if matches!(self.health, Health::Good | Health::Warned) => {
                self.become_(Health::Unknown, why());
            }
            Silence::Forgotten | Silence::Kept | Silence::BadKept => {}
        }
    }

    /// Whether the verdict stands although nobody has told it for so long that a good one would be forgotten.
    fn is_last_known(&self) -> bool {
        matches!(self.silence, Silence::Kept | Silence::BadKept)
            && self.ear == Ear::Counted
            && self.health != Health::Unknown
    }

    fn observe(&mut self, observation: Observation) {
        self.heard = self.clock;
        self.ear = Ear::Waiting;
        let grade = observation.grade();
        for at in 1..GRADES {
            let (more, none) = if grade >= at {
                (&mut self.at_least[at], &mut self.better[at])
            } else {
                (&mut self.better[at], &mut self.at_least[at])
            };
            *more = more.saturating_add(1);
            *none = 0;
        }
        match observation {
            Observation::Fail(_) | Observation::Expired(_) => self.blame = Blame::Seen,
            Observation::Unanswered(_) | Observation::Warn(_) | Observation::Pass(_) => {}
        }
        if let Some(verdict) = self.verdict() {
            self.become_(verdict, observation.text().to_owned());
        } else if self.health.is_bad() && grade > 0 {
            // The freshest failure explains a bad signal better than the one that made it bad.
            observation.text().clone_into(&mut self.why);
        }
        if self.health.is_answered() && grade <= 1 {
            self.blame = Blame::UnansweredOnly;
        }
        if grade > 1 {
            self.failed = Some(self.clock);
        }
        self.last = Some((self.clock, observation));
    }

    /// The verdict that the runs give, if it is another one.
    fn verdict(&self) -> Option<Health> {
        let (fall, rise) = (self.timing.fall.count(), self.timing.rise.count());
        let now = VERDICTS.into_iter().position(|verdict| verdict == self.health);
        let worse = (1..GRADES).rev().find(|&grade| self.at_least[grade] >= fall);
        if let Some(grade) = worse.filter(|&grade| now.is_none_or(|now| grade > now)) {
            return Some(VERDICTS[grade]);
        }
        // Of what is unknown only passes make something: a warning is one by falling to it.
        let improvable = now.unwrap_or(1);
        (0..improvable).find(|&grade| self.better[grade + 1] >= rise).map(|grade| VERDICTS[grade])
    }

    fn become_(&mut self, health: Health, why: String) {
        // The one before as well: a process before may not have said.
        self.proven |= self.health.is_answered() || health.is_answered();
        self.health = health;
        self.since = self.clock;
        (self.ill, self.well) = match (health.is_bad(), self.ill) {
            (true, ill) => (ill.or(Some(self.clock)), None),
            (false, Some(_)) => (None, Some(self.clock)),
            (false, None) => (None, self.well),
        };
        self.why = why;
    }

    fn forget_runs(&mut self) {
        self.at_least = [0; GRADES];
        self.better = [0; GRADES];
    }

    /// When silence would next count.
    pub fn next_deadline(&self) -> Option<Duration> {
        match self.ear {
            Ear::Waiting => Some(self.heard.saturating_add(self.timing.stale)),
            Ear::Counted => None,
        }
    }

    /// The verdict.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Since when the verdict stands.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Since when it has been bad, whether or not it got still worse.
    pub fn ill_since(&self) -> Option<Duration> {
        self.ill
    }

    /// Whether it was good or warned at any time since it was begun to look at, or lost.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether it is bad, and has failed after that moment.
    pub(crate) fn is_bad_since(&self, moment: Duration) -> bool {
        self.health.is_bad() && self.failed.is_some_and(|at| at > moment)
    }

    /// Since when it has not been bad any more; `None` if it never was, or is.
    pub fn well_since(&self) -> Option<Duration> {
        self.well
    }

    /// Whether the last that was seen is as it should be, or nearly so, even if that is not yet believed.
    pub fn passed_last(&self) -> bool {
        matches!(self.last, Some((_, Observation::Pass(_) | Observation::Warn(_))))
    }

    /// Whether something was seen of it after that moment.
    pub(crate) fn was_seen_after(&self, moment: Duration) -> bool {
        self.last.as_ref().is_some_and(|(at, _)| *at > moment)
    }

    /// Whether all that speaks against it, since it was last good, is that nothing came back in time: what
    /// overload may explain. A refusal, a wrong answer, silence of the prober or a loss are more than that.
    pub fn is_merely_unanswered(&self) -> bool {
        self.blame == Blame::UnansweredOnly
    }

    /// Why the verdict is what it is; never empty.
    pub fn why(&self) -> Cow<'_, str> {
        if self.is_last_known() {
            let silence = self.timing.stale.as_secs_f64();
            return Cow::Owned(format!("{} (last known: nothing seen for {silence} s)", self.why));
        }
        Cow::Borrowed(&self.why)
    }

    /// Everything that its future depends on, free of the time of day and bounded: for searches over states, in which nobody
    /// asks since when it has been well, or for alarms.
    #[cfg(test)]
    pub(crate) fn shape(&self, grace: Duration) -> impl std::fmt::Debug + use<> {
        let Timing { fall, rise, stale } = self.timing;
        let age = |at: Duration, most: Duration| self.clock.saturating_sub(at).min(most);
        (
            self.health,
            self.at_least.map(|run| run.min(fall.count())),
            self.better.map(|run| run.min(rise.count())),
            (self.blame, self.proven),
            (self.ear, age(self.heard, stale)),
            self.ill.map(|at| age(at, grace)),
            self.passed_last(),
        )
    }

    /// Everything about the signal for a person to read, in the words of what it watches.
    pub fn view(&self, now: Duration, id: &SignalId) -> SignalView {
        let now = self.clock.max(now);
        let Timing { fall, rise, .. } = self.timing;
        let (fails, passes) = (self.at_least[1], self.better[1]);
        let progress = match self.health {
            Health::Unknown | Health::Good if fails > 0 => format!("{fails} of {} failures", fall.count()),
            Health::Good => String::new(),
            Health::Unknown | Health::Warned | Health::Bad | Health::Expired => {
                format!("{} of {} passes", passes.min(rise.count()), rise.count())
            }
        };
        let last = self.last.as_ref();
        SignalView {
            name: id.to_string(),
            health: Verdict::of(id.kind(), self.health),
            health_age: now.saturating_sub(self.since),
            last: last.map(|(_, observation)| observation.text().to_owned()).unwrap_or_default(),
            last_age: last.map(|(at, _)| now.saturating_sub(*at)),
            progress,
            remark: if self.is_last_known() { "last known".to_owned() } else { String::new() },
        }
    }
}

#[cfg(test)]
mod tests;
