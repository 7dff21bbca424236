//! One prefix: worse at once, better when it was earned.
//!
//! The signals of a prefix together *want* a level. What is *earned* follows a wish to withdraw at once, a
//! wish to be less preferred after a short grace, and a better wish only after it has held for the hold-down.
//! A wish in between counts for what it is, so that a prefix that wavers between normal and degraded still
//! returns as degraded.
//!
//! The operator's words lie over it. A *cap* (a drain) makes the level no better than it says. A *standing*
//! level (a hold, a forced level) replaces what is earned, save that a prefix which cannot answer is withdrawn
//! all the same: a second machine of the same table earns being *able*, from nothing but the signals that mean
//! "cannot answer". Words take effect and go at once, because an intent does not flap, while both machines go
//! on judging underneath.
//!
//! A level that is forced waits for nothing either: at that word both machines have at once what they only waited for,
//! be it the end of a hold-down or a return that is allowed again. That is said once: what falls after it waits like
//! everything else.
//!
//! | standing | able | level in force |
//! |---|---|---|
//! | none | any | the worse of earned and cap |
//! | L | yes | the worse of L and cap |
//! | L | no | withdrawn |
//!
//! The grace is there for the order of things: a process that dies is noticed by one transport a moment
//! before the other, and when it returns, likewise. Without it each death and each return would be two
//! changes at every router of the world instead of one. It never stands before a withdrawal.
//!
//! # Transition table (of what is earned)
//!
//! | wanted, against earned | then |
//! |---|---|
//! | withdrawn | earned = withdrawn at once |
//! | worse but announced, for less than the grace | nothing; next deadline is the end of the grace |
//! | worse but announced, for the grace | earned = wanted |
//! | equal | nothing |
//! | better, for less than the hold-down | nothing; next deadline is the end of the hold-down |
//! | better, and so often got better of late from where it is | nothing; next deadline is when the oldest of them is no longer counted |
//! | better, at the word that forces a better level | earned = wanted |
//! | at least L, for the hold-down, L better than earned | earned = L, the best such L |
//! | the same, and the hold-down of a still better level ends within the grace | that is waited for |
//!
//! What is withdrawn comes *back*, what is announced gets *better*, and the cap counts these apart: ten nights on which one
//! transport failed must not keep away a prefix that was withdrawn once. No more than the cap of each happen within its
//! time, words aside.
//!
//! A restart forgets neither falls nor returns: `preference/flaps.rs`.
//!
//! The hold-down is `first` until the first fall, then `base`, doubled by each fall after a return up to
//! `max`, and `base` again after `forget` without one. Getting still worse after a fall is the same fall.
//! Everything else changes nothing, time going backwards included.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{HoldDown, ReturnCap};
use crate::explain::{Transition, WaitsFor};
use crate::level::Level;

mod flaps;

pub use flaps::{End, SavedEarning, SavedFlaps};

/// Transitions that are remembered for each prefix; enough for a night, small enough to print.
pub const HISTORY: usize = 50;

/// A change of the level in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The level before.
    pub from: Level,
    /// The level after.
    pub to: Level,
}

/// How quickly levels may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The wait before a better level.
    pub hold_down: HoldDown,
    /// How often there may be a better one.
    pub returns: ReturnCap,
    /// The wait before a worse level that is still announced.
    pub grace: Duration,
}

/// What the signals of a prefix ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// All of them.
    pub all: Level,
    /// Those alone that mean "cannot answer".
    pub able: Level,
}

/// What the operator has said about a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// A drain: no better than this.
    pub cap: Level,
    /// A hold or a forced level: this instead of what is earned, as long as the prefix can answer.
    pub standing: Option<Level>,
}

impl Word {
    /// Nothing said.
    pub const NONE: Self = Self { cap: Level::Normal, standing: None };
}

/// The machine of one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    all: Earning,
    able: Earning,
    word: Word,
    level: Level,
    since: Duration,
    history: VecDeque<Past>,
    clock: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    at: Duration,
    from: Level,
    to: Level,
    cause: String,
}

impl Preference {
    /// A prefix that is withdrawn and has earned nothing.
    pub fn new(now: Duration, pace: Pace) -> Self {
        Self::starting_at(Level::Withdrawn, now, pace)
    }

    /// A prefix that is announced from the start.
    pub fn anchored(now: Duration, pace: Pace) -> Self {
        Self::starting_at(Level::Normal, now, pace)
    }

    fn starting_at(level: Level, now: Duration, pace: Pace) -> Self {
        let able = if level == Level::Withdrawn { Level::Withdrawn } else { Level::Normal };
        Self {
            all: Earning::new(level, now, pace),
            able: Earning::new(able, now, pace),
            word: Word::NONE,
            level,
            since: now,
            history: VecDeque::new(),
            clock: now,
        }
    }

    /// The same prefix under other rules: what it has earned and what it waits for stay.
    pub(crate) fn at_pace(mut self, pace: Pace) -> Self {
        self.all.at_pace(pace);
        self.able.at_pace(pace);
        self
    }

    /// Takes what the signals want and what the operator has said, with the reason for a change; returns the
    /// change of the level in force, if there is one. Also to be called at
    /// [`next_deadline`](Self::next_deadline).
    pub fn step(&mut self, now: Duration, wish: Wish, word: Word, cause: &str) -> Option<Change> {
        self.clock = self.clock.max(now);
        self.all.step(self.clock, wish.all);
        self.able.step(self.clock, wish.able);
        self.word = word;
        let from = self.level;
        self.level = self.in_force();
        if self.level == from {
            return None;
        }
        self.since = self.clock;
        if self.history.len() == HISTORY {
            self.history.pop_back();
        }
        let past = Past { at: self.clock, from, to: self.level, cause: cause.to_owned() };
        self.history.push_front(past);
        Some(Change { from, to: self.level })
    }

    fn in_force(&self) -> Level {
        self.uncapped().max(self.word.cap)
    }

    /// Whether the operator's words for it are others than at its last step.
    pub(crate) fn is_told_anew(&self, word: Word) -> bool {
        self.word != word
    }

    /// Whether a step with these would change nothing but the time: the rule, for which no words are made.
    pub(crate) fn is_settled(&self, wish: Wish, word: Word) -> bool {
        let settled = |earning: &Earning, wish| earning.wanted == wish && earning.earned == wish;
        settled(&self.all, wish.all)
            && settled(&self.able, wish.able)
            && !self.is_told_anew(word)
            && self.level == self.in_force()
    }

    /// A better level was forced: what only waits for time has what it waits for, at this word and no longer.
    pub(crate) fn wait_no_longer(&mut self, now: Duration, wish: Wish) {
        self.clock = self.clock.max(now);
        self.all.wait_no_longer(self.clock, wish.all);
        self.able.wait_no_longer(self.clock, wish.able);
    }

    /// When a hold-down, a grace or the wait for a return ends.
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.all.next_deadline(), self.able.next_deadline()].into_iter().flatten().min()
    }

    /// The machine whose steps move the level in force at present.
    fn ruling(&self) -> &Earning {
        if self.word.standing.is_some() { &self.able } else { &self.all }
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Since when the level is in force.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// What the signals have earned, the operator's words aside.
    pub fn earned(&self) -> Level {
        self.all.earned
    }

    /// Whether it is withdrawn for want of answers, or not yet back from that.
    pub fn is_able(&self) -> bool {
        self.able.earned != Level::Withdrawn
    }

    /// What the signals want, the hold-down aside.
    pub fn wanted(&self) -> Level {
        self.all.wanted
    }

    /// The level that would be in force without the cap of a drain.
    pub fn uncapped(&self) -> Level {
        match self.word.standing {
            None => self.all.earned,
            Some(_) if !self.is_able() => Level::Withdrawn,
            Some(level) => level,
        }
    }

    /// The hold-down at present.
    pub fn hold_down(&self) -> Duration {
        self.ruling().hold
    }

    /// Returns that are counted at present: from withdrawn, or, while it waits at a level that is announced, from there.
    pub fn returns(&self, now: Duration) -> usize {
        let now = self.clock.max(now);
        let ruling = self.ruling();
        let waits = ruling.earned.is_announced() && ruling.upcoming().is_some();
        let counted = if waits { &ruling.betters } else { &ruling.rises };
        counted.iter().filter(|at| at.saturating_add(ruling.pace.returns.within) > now).count()
    }

    /// The better level that only waits, and how much longer.
    pub fn hold_down_left(&self, now: Duration) -> Option<(Level, Duration)> {
        let (level, end) = self.ruling().upcoming()?;
        Some((self.as_standing(level), end.saturating_sub(self.clock.max(now))))
    }

    /// What the better level waits for, if one does.
    pub fn waits_for(&self) -> Option<WaitsFor> {
        self.ruling().waits_for()
    }

    /// The worse level that only waits, and how much longer.
    pub fn grace_left(&self, now: Duration) -> Option<(Level, Duration)> {
        let end = self.ruling().worsens()?;
        Some((self.ruling().wanted, end.saturating_sub(self.clock.max(now))))
    }

    /// What a level of the ruling machine comes to.
    fn as_standing(&self, level: Level) -> Level {
        match self.word.standing {
            Some(standing) if level != Level::Withdrawn => standing,
            _ => level,
        }
    }

    /// Everything that its future depends on, free of the time of day and bounded: for searches over states.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> impl std::fmt::Debug + use<> {
        (self.all.shape(), self.able.shape(), self.word, self.level)
    }

    /// Why the level is what it is; `None` if it has not changed yet.
    pub(crate) fn last_cause(&self) -> Option<&str> {
        self.history.front().map(|past| past.cause.as_str())
    }

    /// The last transitions, newest first, with their age at `now`.
    pub fn history(&self, now: Duration) -> Vec<Transition> {
        let now = self.clock.max(now);
        let seen = |past: &Past| Transition {
            age: now.saturating_sub(past.at),
            from: past.from,
            to: past.to,
            cause: past.cause.clone(),
        };
        self.history.iter().map(seen).collect()
    }
}

/// One machine that earns: the table above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Earning {
    pace: Pace,
    /// The hold-down at present.
    hold: Duration,
    /// Falls in short succession.
    falls: u32,
    course: Course,
    last_fall: Option<Duration>,
    wanted: Level,
    earned: Level,
    /// Since when the wish has been worse than what is earned.
    worse: Option<Duration>,
    /// By rank of a level: since when the wish has been at least that good.
    at_least: [Option<Duration>; Level::ALL.len()],
    /// The last times that it came back from withdrawn, oldest first; as many as may be counted.
    rises: VecDeque<Duration>,
    /// The last times that it got better while it was announced.
    #[serde(default)]
    betters: VecDeque<Duration>,
    clock: Duration,
}

/// Which way the earned level went last: what tells a new fall from one that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Course {
    Risen,
    Fallen,
}

impl Earning {
    fn new(earned: Level, now: Duration, pace: Pace) -> Self {
        let since = |level: Level| (level >= earned).then_some(now);
        Self {
            pace,
            hold: pace.hold_down.first,
            falls: 0,
            course: if earned == Level::Withdrawn { Course::Fallen } else { Course::Risen },
            last_fall: None,
            wanted: earned,
            earned,
            worse: None,
            at_least: Level::ALL.map(since),
            rises: VecDeque::new(),
            betters: VecDeque::new(),
            clock: now,
        }
    }

    /// The hold-down is what the falls until now come to by these rules. Of a smaller cap only the last returns count: the
    /// oldest of as many as may be is what the next one waits for.
    fn at_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.hold = self.hold_after_falls();
        let most = self.most();
        for rises in [&mut self.rises, &mut self.betters] {
            rises.drain(..rises.len().saturating_sub(most));
        }
    }

    fn wait_no_longer(&mut self, clock: Duration, wanted: Level) {
        self.step(clock, wanted);
        if wanted < self.earned {
            self.rise(wanted);
        }
    }

    fn step(&mut self, clock: Duration, wanted: Level) {
        self.clock = clock;
        self.wanted = wanted;
        for (level, since) in Level::ALL.into_iter().zip(&mut self.at_least) {
            *since = if level >= wanted { since.or(Some(clock)) } else { None };
        }
        self.worse = if wanted > self.earned { self.worse.or(Some(clock)) } else { None };
        if self.worsens().is_some_and(|end| end <= clock) {
            self.fall(wanted);
        } else if let Some((level, end)) = self.upcoming()
            && end <= clock
        {
            self.rise(level);
        }
    }

    #[cfg(test)]
    fn shape(&self) -> impl std::fmt::Debug + use<> {
        let HoldDown { first, base, max, forget } = self.pace.hold_down;
        let age = |at: Duration, most: Duration| self.clock.saturating_sub(at).min(most);
        let longest = first.max(base).max(max);
        let within = self.pace.returns.within;
        let counted = |rises: &VecDeque<Duration>| {
            rises.iter().map(|at| age(*at, within)).filter(|age| *age < within).collect::<Vec<_>>()
        };
        let calm = self.last_fall.map(|at| age(at, forget)).filter(|calm| *calm < forget);
        (
            (self.wanted, self.earned, self.hold, self.course),
            // Falls beyond those that reach the longest hold-down change nothing, and none after a calm.
            calm.map(|calm| (calm, self.falls.min(16))),
            self.worse.map(|at| age(at, self.pace.grace)),
            self.at_least.map(|since| since.map(|at| age(at, longest))),
            (counted(&self.rises), counted(&self.betters)),
        )
    }

    /// When the earned level follows a worse wish.
    fn worsens(&self) -> Option<Duration> {
        let since = self.worse?;
        Some(if self.wanted.is_announced() { since.saturating_add(self.pace.grace) } else { since })
    }

    fn fall(&mut self, to: Level) {
        if self.course == Course::Risen {
            let forget = self.pace.hold_down.forget;
            let calm = self.last_fall.map(|at| self.clock.saturating_sub(at));
            if calm.is_none_or(|calm| calm >= forget) {
                self.falls = 0;
            }
            self.falls = self.falls.saturating_add(1);
            self.last_fall = Some(self.clock);
            self.hold = self.hold_after_falls();
        }
        self.course = Course::Fallen;
        self.earned = to;
        self.worse = None;
    }

    /// The hold-down that so many falls come to.
    fn hold_after_falls(&self) -> Duration {
        let HoldDown { first, base, max, .. } = self.pace.hold_down;
        if self.falls == 0 {
            return first;
        }
        let doubled = 2u32.saturating_pow(self.falls - 1);
        // A cap below the base would shorten the wait of a prefix that flaps.
        base.saturating_mul(doubled).min(max.max(base))
    }

    fn rise(&mut self, to: Level) {
        let most = self.most();
        let rises = if self.earned.is_announced() { &mut self.betters } else { &mut self.rises };
        if rises.len() >= most {
            rises.pop_front();
        }
        rises.push_back(self.clock);
        self.earned = to;
        self.course = Course::Risen;
    }

    fn most(&self) -> usize {
        usize::try_from(self.pace.returns.most.get()).unwrap_or(usize::MAX)
    }

    /// When it may get better again: once the oldest of as many as may be, from where it is, is no longer counted.
    fn may_rise(&self) -> Duration {
        let rises = if self.earned.is_announced() { &self.betters } else { &self.rises };
        match rises.front() {
            Some(oldest) if rises.len() >= self.most() => oldest.saturating_add(self.pace.returns.within),
            _ => Duration::ZERO,
        }
    }

    /// The better level that comes next if the wish stays as it is, and when: the first to end its
    /// hold-down, or a better one that ends its own within the grace after that.
    fn upcoming(&self) -> Option<(Level, Duration)> {
        let first = self.waiting().map(|(_, end)| end).min()?;
        self.waiting().find(|(_, end)| *end <= first.saturating_add(self.pace.grace))
    }

    /// What the better level that comes next waits for: the cap, if without it the hold-down would end sooner.
    fn waits_for(&self) -> Option<WaitsFor> {
        let (level, end) = self.upcoming()?;
        let good_since = self.at_least[level.rank()]?;
        let capped = end > good_since.saturating_add(self.hold);
        Some(if capped { WaitsFor::Returns } else { WaitsFor::HoldDown })
    }

    /// Levels better than the earned one that the wish reaches, best first, each with the end of its wait.
    fn waiting(&self) -> impl Iterator<Item = (Level, Duration)> {
        let may_rise = self.may_rise();
        Level::ALL
            .into_iter()
            .zip(self.at_least)
            .take_while(|(level, _)| *level < self.earned)
            .filter_map(move |(level, since)| Some((level, since?.saturating_add(self.hold).max(may_rise))))
    }

    fn next_deadline(&self) -> Option<Duration> {
        let better = self.upcoming().map(|(_, end)| end);
        [better, self.worsens()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
