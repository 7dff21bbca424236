//! One prefix: worse at once, better when it was earned.
//!
//! The signals of a prefix together *want* a level. What is *earned* follows a wish to withdraw at once, a
//! wish to be less preferred after a short grace, and a better wish only after it has held for the hold-down.
//! A wish in between counts for what it is, so that a prefix that wavers between normal and degraded still
//! returns as degraded. The operator's *cap* lies over both: it takes effect and goes at once, because an
//! intent does not flap, while what is earned goes on being judged underneath.
//!
//! The grace is there for the order of things: a process that dies is noticed by one transport a moment
//! before the other, and when it returns, likewise. Without it each death and each return would be two
//! changes at every router of the world instead of one. It never stands before a withdrawal.
//!
//! # Transition table (of the earned level; the level in force is the worse of earned and cap)
//!
//! | wanted, against earned | then |
//! |---|---|
//! | withdrawn | earned = withdrawn at once |
//! | worse but announced, for less than the grace | nothing; next deadline is the end of the grace |
//! | worse but announced, for the grace | earned = wanted |
//! | equal | nothing |
//! | better, for less than the hold-down | nothing; next deadline is the end of the hold-down |
//! | at least L, for the hold-down, L better than earned | earned = L, the best such L |
//! | the same, and the hold-down of a still better level ends within the grace | that is waited for |
//!
//! The hold-down is `first` until the first fall, then `base`, doubled by each fall after a return up to
//! `max`, and `base` again after `forget` without one. Getting still worse after a fall is the same fall.
//! Everything else changes nothing, time going backwards included.

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
    grace: Duration,
    /// The hold-down at present.
    hold: Duration,
    /// Falls in short succession.
    falls: u32,
    course: Course,
    last_fall: Option<Duration>,
    wanted: Level,
    earned: Level,
    cap: Level,
    level: Level,
    since: Duration,
    /// Since when the wish has been worse than what is earned.
    worse: Option<Duration>,
    /// By rank of a level: since when the wish has been at least that good.
    at_least: [Option<Duration>; Level::ALL.len()],
    history: VecDeque<Past>,
    clock: Duration,
}

/// Which way the earned level went last: what tells a new fall from one that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Risen,
    Fallen,
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
    pub fn new(now: Duration, hold_down: HoldDown, grace: Duration) -> Self {
        let mut at_least = [None; Level::ALL.len()];
        at_least[Level::Withdrawn.rank()] = Some(now);
        Self {
            hold_down,
            grace,
            hold: hold_down.first,
            falls: 0,
            course: Course::Fallen,
            last_fall: None,
            wanted: Level::Withdrawn,
            earned: Level::Withdrawn,
            cap: Level::Normal,
            level: Level::Withdrawn,
            since: now,
            worse: None,
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
        self.worse = if wanted > self.earned { self.worse.or(Some(self.clock)) } else { None };
        if self.worsens().is_some_and(|end| end <= self.clock) {
            self.fall(wanted);
        } else if let Some((level, end)) = self.upcoming()
            && end <= self.clock
        {
            self.earned = level;
            self.course = Course::Risen;
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

    /// When the earned level follows a worse wish.
    fn worsens(&self) -> Option<Duration> {
        let since = self.worse?;
        Some(if self.wanted.is_announced() { since.saturating_add(self.grace) } else { since })
    }

    fn fall(&mut self, to: Level) {
        if self.course == Course::Risen {
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
        self.course = Course::Fallen;
        self.earned = to;
        self.worse = None;
    }

    /// The better level that comes next if the wish stays as it is, and when: the first to end its
    /// hold-down, or a better one that ends its own within the grace after that.
    fn upcoming(&self) -> Option<(Level, Duration)> {
        let first = self.waiting().map(|(_, end)| end).min()?;
        self.waiting().find(|(_, end)| *end <= first.saturating_add(self.grace))
    }

    /// Levels better than the earned one that the wish reaches, best first, each with its hold-down's end.
    fn waiting(&self) -> impl Iterator<Item = (Level, Duration)> {
        Level::ALL
            .into_iter()
            .zip(self.at_least)
            .take_while(|(level, _)| *level < self.earned)
            .filter_map(|(level, since)| Some((level, since?.saturating_add(self.hold))))
    }

    /// When a hold-down or a grace ends.
    pub fn next_deadline(&self) -> Option<Duration> {
        let better = self.upcoming().map(|(_, end)| end);
        [better, self.worsens()].into_iter().flatten().min()
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

    /// The better level that only waits, and how much longer.
    pub fn hold_down_left(&self, now: Duration) -> Option<(Level, Duration)> {
        let (level, end) = self.upcoming()?;
        Some((level, end.saturating_sub(self.clock.max(now))))
    }

    /// The worse level that only waits, and how much longer.
    pub fn grace_left(&self, now: Duration) -> Option<(Level, Duration)> {
        let end = self.worsens()?;
        Some((self.wanted, end.saturating_sub(self.clock.max(now))))
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
        Preference::new(S(0), HoldDown { first: S(5), base: S(10), max: S(35), forget: S(1000) }, S(0))
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
    fn a_death_that_is_noticed_piece_by_piece_is_one_fall_and_one_return() {
        let hold_down = HoldDown { first: S(5), base: S(10), max: S(35), forget: S(1000) };
        let mut prefix = Preference::new(S(0), hold_down, S(2));
        wish(&mut prefix, 0, Level::Degraded);
        wish(&mut prefix, 1, Level::Normal);
        assert_eq!(wish(&mut prefix, 5, Level::Normal), Level::Withdrawn, "normal is only a moment away");
        assert_eq!(prefix.next_deadline(), Some(S(6)));
        assert_eq!(wish(&mut prefix, 6, Level::Normal), Level::Normal);

        assert_eq!(wish(&mut prefix, 20, Level::Degraded), Level::Normal);
        assert_eq!(prefix.grace_left(S(21)), Some((Level::Degraded, S(1))));
        assert_eq!(prefix.next_deadline(), Some(S(22)));
        assert_eq!(wish(&mut prefix, 21, Level::Withdrawn), Level::Withdrawn, "no grace before a withdrawal");
        assert_eq!(prefix.history(S(21)).len(), 2);
        assert_eq!(prefix.hold_down(), S(10));
    }

    #[test]
    fn after_the_grace_a_worse_level_is_taken_and_getting_worse_still_is_the_same_fall() {
        let mut prefix = Preference::new(S(0), HoldDown::new(S(10)), S(2));
        wish(&mut prefix, 0, Level::Normal);
        wish(&mut prefix, 10, Level::Normal);
        wish(&mut prefix, 20, Level::Degraded);
        assert_eq!(wish(&mut prefix, 22, Level::Degraded), Level::Degraded);
        assert_eq!(wish(&mut prefix, 60, Level::Withdrawn), Level::Withdrawn);
        assert_eq!(prefix.hold_down(), S(10));
    }

    #[test]
    fn the_history_is_bounded_and_newest_first() {
        let mut prefix = Preference::new(S(0), HoldDown::new(S(0)), S(0));
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
