//! One prefix: worse at once, better when it was earned.
//!
//! The signals of a prefix together *want* a level. What is *earned* follows a worse wish at once and a
//! better one only after it has held for the hold-down; a wish in between counts for what it is, so that a
//! prefix that wavers between normal and degraded still returns as degraded. The operator's *cap* lies over
//! both: it takes effect and goes at once, because an intent does not flap, while what is earned goes on
//! being judged underneath.
//!
//! # Transition table (of the earned level; the level in force is the worse of earned and cap)
//!
//! | wanted, against earned | then |
//! |---|---|
//! | worse | earned = wanted at once; if it was announced, the hold-down grows |
//! | equal | nothing |
//! | better, for less than the hold-down | nothing; next deadline is the end of the hold-down |
//! | at least L, for the hold-down, L better than earned | earned = L (the best such L) |
//!
//! The hold-down is `first` until the first announcement, then `base` after a fall, doubled by each further
//! fall up to `max`, and `base` again after `forget` without one. Everything else changes nothing, time going
//! backwards included.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::HoldDown;
use crate::explain::Transition;
use crate::level::Level;

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

/// The machine of one prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    hold_down: HoldDown,
    /// The hold-down at present.
    hold: Duration,
    /// Falls in short succession.
    falls: u32,
    last_fall: Option<Duration>,
    wanted: Level,
    earned: Level,
    cap: Level,
    level: Level,
    since: Duration,
    /// By rank of a level: since when the wish has been at least that good.
    at_least: [Option<Duration>; Level::ALL.len()],
    history: VecDeque<Past>,
    clock: Duration,
}

#[derive(Clone, Debug, PartialEq)]
struct Past {
    at: Duration,
    from: Level,
    to: Level,
    cause: String,
}

impl Preference {
    /// A prefix that is withdrawn and has earned nothing.
    pub fn new(now: Duration, hold_down: HoldDown) -> Self {
        let mut at_least = [None; Level::ALL.len()];
        at_least[Level::Withdrawn.rank()] = Some(now);
        Self {
            hold_down,
            hold: hold_down.first,
            falls: 0,
            last_fall: None,
            wanted: Level::Withdrawn,
            earned: Level::Withdrawn,
            cap: Level::Normal,
            level: Level::Withdrawn,
            since: now,
            at_least,
            history: VecDeque::new(),
            clock: now,
        }
    }

    /// Takes what the signals want and the operator's cap, each with its reason; returns the change of the
    /// level in force, if there is one. Also to be called at [`next_deadline`](Self::next_deadline).
    pub fn step(&mut self, now: Duration, wanted: Level, cap: Level, cause: &str) -> Option<Change> {
        self.clock = self.clock.max(now);
        self.wanted = wanted;
        self.cap = cap;
        for (level, since) in Level::ALL.into_iter().zip(&mut self.at_least) {
            *since = if level >= wanted { since.or(Some(self.clock)) } else { None };
        }
        if wanted > self.earned {
            self.fall(wanted);
        } else if let Some(level) = self.matured() {
            self.earned = level;
        }
        let from = self.level;
        self.level = self.earned.max(cap);
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

    fn fall(&mut self, to: Level) {
        if self.earned.is_announced() {
            let calm = self.last_fall.map(|at| self.clock.saturating_sub(at));
            if calm.is_none_or(|calm| calm >= self.hold_down.forget) {
                self.falls = 0;
            }
            self.falls = self.falls.saturating_add(1);
            self.last_fall = Some(self.clock);
            let doubled = 2u32.saturating_pow(self.falls - 1);
            // A cap below the base would shorten the wait of a prefix that flaps.
            let most = self.hold_down.max.max(self.hold_down.base);
            self.hold = self.hold_down.base.saturating_mul(doubled).min(most);
        }
        self.earned = to;
    }

    /// The best level better than the earned one that the wish has reached for the whole hold-down.
    fn matured(&self) -> Option<Level> {
        self.waiting().find(|(_, end)| *end <= self.clock).map(|(level, _)| level)
    }

    /// Levels better than the earned one that the wish reaches, best first, each with its hold-down's end.
    fn waiting(&self) -> impl Iterator<Item = (Level, Duration)> {
        Level::ALL
            .into_iter()
            .zip(self.at_least)
            .take_while(|(level, _)| *level < self.earned)
            .filter_map(|(level, since)| Some((level, since?.saturating_add(self.hold))))
    }

    /// When a hold-down ends.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.waiting().map(|(_, end)| end).min()
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Since when the level is in force.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// What the signals have earned, the operator's cap aside.
    pub fn earned(&self) -> Level {
        self.earned
    }

    /// What the signals want, the hold-down aside.
    pub fn wanted(&self) -> Level {
        self.wanted
    }

    /// The hold-down at present.
    pub fn hold_down(&self) -> Duration {
        self.hold
    }

    /// The next better level that only waits, and how much longer.
    pub fn hold_down_left(&self, now: Duration) -> Option<(Level, Duration)> {
        let now = self.clock.max(now);
        let (level, end) = self.waiting().min_by_key(|&(level, end)| (end, level))?;
        Some((level, end.saturating_sub(now)))
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

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn prefix() -> Preference {
        Preference::new(S(0), HoldDown { first: S(5), base: S(10), max: S(35), forget: S(1000) })
    }

    fn wish(prefix: &mut Preference, at: u64, wanted: Level) -> Level {
        prefix.step(S(at), wanted, Level::Normal, "a wish");
        prefix.level()
    }

    #[test]
    fn it_starts_withdrawn_and_is_announced_after_the_first_hold_down() {
        let mut prefix = prefix();
        assert_eq!(prefix.level(), Level::Withdrawn);
        assert_eq!(wish(&mut prefix, 1, Level::Normal), Level::Withdrawn);
        assert_eq!(prefix.next_deadline(), Some(S(6)));
        assert_eq!(prefix.hold_down_left(S(4)), Some((Level::Normal, S(2))));
        assert_eq!(wish(&mut prefix, 5, Level::Normal), Level::Withdrawn);
        assert_eq!(wish(&mut prefix, 6, Level::Normal), Level::Normal);
        assert_eq!(prefix.next_deadline(), None);
    }

    #[test]
    fn a_worse_wish_is_followed_at_once_and_a_return_waits_longer_each_time() {
        let mut prefix = prefix();
        wish(&mut prefix, 0, Level::Normal);
        assert_eq!(wish(&mut prefix, 5, Level::Normal), Level::Normal);
        let mut now = 6;
        for hold in [10, 20, 35, 35] {
            assert_eq!(wish(&mut prefix, now, Level::Withdrawn), Level::Withdrawn);
            assert_eq!(wish(&mut prefix, now, Level::Normal), Level::Withdrawn);
            assert_eq!(wish(&mut prefix, now + hold - 1, Level::Normal), Level::Withdrawn);
            assert_eq!(wish(&mut prefix, now + hold, Level::Normal), Level::Normal);
            now += hold + 1;
        }
        now += 1000;
        wish(&mut prefix, now, Level::Withdrawn);
        assert_eq!(prefix.hold_down(), S(10), "after a long calm the wait is short again");
    }

    #[test]
    fn a_wish_that_wavers_between_two_good_levels_returns_as_the_worse_one() {
        let mut prefix = prefix();
        wish(&mut prefix, 0, Level::Normal);
        wish(&mut prefix, 2, Level::Degraded);
        wish(&mut prefix, 4, Level::Normal);
        assert_eq!(wish(&mut prefix, 5, Level::Normal), Level::Degraded);
        assert_eq!(wish(&mut prefix, 8, Level::Normal), Level::Degraded);
        assert_eq!(wish(&mut prefix, 9, Level::Normal), Level::Normal);
    }

    #[test]
    fn an_interrupted_hold_down_starts_over() {
        let mut prefix = prefix();
        wish(&mut prefix, 0, Level::Normal);
        wish(&mut prefix, 4, Level::Withdrawn);
        wish(&mut prefix, 5, Level::Normal);
        assert_eq!(wish(&mut prefix, 9, Level::Normal), Level::Withdrawn);
        assert_eq!(wish(&mut prefix, 10, Level::Normal), Level::Normal);
    }

    #[test]
    fn a_cap_acts_and_goes_at_once_while_health_is_judged_underneath() {
        let mut prefix = prefix();
        wish(&mut prefix, 0, Level::Normal);
        wish(&mut prefix, 5, Level::Normal);
        prefix.step(S(6), Level::Normal, Level::Draining, "drained");
        assert_eq!(prefix.level(), Level::Draining);
        prefix.step(S(16), Level::Normal, Level::Withdrawn, "drained");
        assert_eq!(prefix.level(), Level::Withdrawn);
        prefix.step(S(17), Level::Normal, Level::Normal, "undrained");
        assert_eq!(prefix.level(), Level::Normal);
        prefix.step(S(18), Level::Withdrawn, Level::Draining, "drained and dead");
        prefix.step(S(19), Level::Normal, Level::Normal, "undrained");
        assert_eq!(prefix.level(), Level::Withdrawn, "a return after a fault is still earned");
    }

    #[test]
    fn the_history_is_bounded_and_newest_first() {
        let mut prefix = Preference::new(S(0), HoldDown::new(S(0)));
        for at in 0..200 {
            wish(&mut prefix, at, if at % 2 == 0 { Level::Normal } else { Level::Withdrawn });
        }
        let history = prefix.history(S(200));
        assert_eq!(history.len(), HISTORY);
        assert_eq!((history[0].age, history[0].to), (S(1), Level::Withdrawn));
    }

    #[test]
    fn time_going_backwards_changes_nothing() {
        let mut prefix = prefix();
        wish(&mut prefix, 10, Level::Normal);
        let before = prefix.clone();
        wish(&mut prefix, 0, Level::Normal);
        assert_eq!(prefix, before);
    }
}
