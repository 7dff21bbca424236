//! What delays the returns of a prefix, as plain values, for a process that begins anew.
//!
//! A sidecar that dies again and again would announce its prefixes each time as if nothing had been, since hold-downs and
//! the cap on returns live in memory. So falls and returns are written down when they happen, and a start takes them
//! back. Times are ages at the moment of writing: which clock has measured what went by since is the caller's business.
//!
//! | the process before | the prefix was | then |
//! |---|---|---|
//! | ended because it was told to | any | falls and returns count on; that end is no fall |
//! | ended by itself | announced | its end is one more fall: neighbours saw the route go |
//! | ended by itself | withdrawn | falls and returns count on |
//!
//! What is older than the rules remember is left out, and what lies before the origin of the policy's time counts from
//! that origin: younger than it is, so that a return may only be later for it. Callers: [`Policy`](crate::Policy).

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Course, Earning, Level, Preference};
use crate::prefix::Prefix;

/// Returns that are written down of one machine. The cap by default counts ten; one that allows more than these in its
/// time is looser after a restart.
const MOST_RISES: usize = 64;

/// How the process before has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Nobody told it to.
    Broken,
    /// It was told to.
    Ordered,
}

/// What is written down of one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFlaps {
    /// The prefix.
    pub prefix: Prefix,
    /// The level that was in force.
    pub level: Level,
    /// Of what all signals earn.
    pub all: SavedEarning,
    /// Of what those alone earn that mean "cannot answer".
    pub able: SavedEarning,
}

/// Falls and returns of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEarning {
    /// Falls in short succession.
    pub falls: u32,
    /// How long ago the last one was.
    pub fell_ago_ms: Option<u64>,
    /// How long ago it came back, the longest first.
    pub rises_ago_ms: Vec<u64>,
    /// How long ago it got better while it was announced.
    #[serde(default)]
    pub betters_ago_ms: Vec<u64>,
}

impl Preference {
    /// What a process that begins anew has to know of it.
    pub(crate) fn flaps(&self, now: Duration, prefix: Prefix) -> SavedFlaps {
        let now = self.clock.max(now);
        SavedFlaps { prefix, level: self.level, all: self.all.saved(now), able: self.able.saved(now) }
    }

    /// Takes back what a process before has written down, `elapsed` ago. For one that has just begun.
    pub(crate) fn remember(&mut self, elapsed: Duration, end: End, saved: &SavedFlaps) {
        let fell = end == End::Broken && saved.level.is_announced();
        for (machine, saved) in [(&mut self.all, &saved.all), (&mut self.able, &saved.able)] {
            machine.remember(elapsed, saved);
            if fell {
                // What it had risen to went with the process.
                machine.course = Course::Risen;
                machine.fall(machine.earned);
            }
        }
    }
}

impl Earning {
    fn saved(&self, now: Duration) -> SavedEarning {
        let ago = |at: Duration| milliseconds(now.saturating_sub(at));
        let youngest = |times: &VecDeque<Duration>| {
            let passed_over = times.len().saturating_sub(MOST_RISES);
            times.iter().skip(passed_over).copied().map(ago).collect()
        };
        SavedEarning {
            falls: self.falls,
            fell_ago_ms: self.last_fall.map(ago),
            rises_ago_ms: youngest(&self.rises),
            betters_ago_ms: youngest(&self.betters),
        }
    }

    fn remember(&mut self, elapsed: Duration, saved: &SavedEarning) {
        let age = |ago_ms: u64| Duration::from_millis(ago_ms).saturating_add(elapsed);
        let at = |age: Duration| self.clock.saturating_sub(age);
        let (within, most) = (self.pace.returns.within, self.most());
        let counted = |ago_ms: &[u64]| {
            let mut ages: Vec<_> = ago_ms.iter().map(|ago| age(*ago)).collect();
            ages.retain(|age| *age < within);
            // The longest ago first, whoever wrote it.
            ages.sort_unstable_by(|one, other| other.cmp(one));
            let passed_over = ages.len().saturating_sub(most);
            ages.into_iter().skip(passed_over).map(at).collect()
        };
        let (rises, betters) = (counted(&saved.rises_ago_ms), counted(&saved.betters_ago_ms));
        let fell = saved.fell_ago_ms.map(age).filter(|age| *age < self.pace.hold_down.forget);
        if let Some(fell) = fell.filter(|_| saved.falls > 0) {
            self.falls = saved.falls;
            self.last_fall = Some(at(fell));
            self.hold = self.hold_after_falls();
        }
        (self.rises, self.betters) = (rises, betters);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Pace, Wish, Word};
    use super::*;
    use crate::config::{HoldDown, ReturnCap};
    use std::num::NonZeroU32;

    const S: fn(u64) -> Duration = Duration::from_secs;
    /// A process begins with its time so far from the origin that ages fit.
    const START: Duration = Duration::from_secs(100_000);

    fn pace() -> Pace {
        let hold_down = HoldDown { first: S(10), base: S(10), max: S(160), forget: S(640) };
        let returns = ReturnCap { most: NonZeroU32::new(10).unwrap(), within: S(3600) };
        Pace { hold_down, returns, grace: S(2) }
    }

    fn the_prefix() -> Prefix {
        "192.0.2.0/24".parse().unwrap()
    }

    /// By way of text, as one process leaves it to another.
    fn saved(preference: &Preference, now: Duration) -> SavedFlaps {
        let saved = preference.flaps(now, the_prefix());
        let text = serde_json::to_string(&saved).unwrap();
        let read = serde_json::from_str(&text).unwrap();
        assert_eq!(saved, read);
        read
    }

    fn begun(elapsed: Duration, end: End, saved: &SavedFlaps) -> Preference {
        let mut preference = Preference::new(START, pace());
        preference.remember(elapsed, end, saved);
        preference
    }

    fn wish(preference: &mut Preference, at: Duration, level: Level) -> Level {
        let able = if level == Level::Withdrawn { level } else { Level::Normal };
        preference.step(at, Wish { all: level, able }, Word::NONE, "a wish");
        preference.level()
    }

    /// Earns its announcement, and says how long that took.
    fn announced(preference: &mut Preference, from: Duration) -> Duration {
        wish(preference, from, Level::Normal);
        let at = preference.next_deadline().unwrap();
        assert_eq!(wish(preference, at, Level::Normal), Level::Normal);
        at - from
    }

    #[test]
    fn a_process_that_dies_each_time_it_has_announced_waits_longer_each_time() {
        let mut preference = Preference::new(START, pace());
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = announced(&mut preference, START);
            waits.push(wait.as_secs());
            let left = saved(&preference, START + wait);
            preference = begun(S(1), End::Broken, &left);
        }
        assert_eq!(waits, [10, 10, 20, 40, 80, 160, 160]);
    }

    #[test]
    fn returns_are_counted_over_restarts_and_used_up_however_the_processes_end() {
        let mut preference = Preference::new(START, pace());
        for returns in 0..10 {
            assert_eq!(preference.returns(START), returns);
            let wait = announced(&mut preference, START);
            assert_eq!(wait, S(10), "an end that was ordered is no fall");
            preference = begun(S(1), End::Ordered, &saved(&preference, START + wait));
        }
        // Ten times a second without process and ten seconds of hold-down, since the first return but its own wait.
        assert_eq!(announced(&mut preference, START), S(3600 - 10 * 11 + 10));
    }

    #[test]
    fn an_end_while_withdrawn_is_no_fall_and_a_calm_of_any_process_forgets() {
        let mut preference = Preference::new(START, pace());
        announced(&mut preference, START);
        for at in [20, 40] {
            wish(&mut preference, START + S(at), Level::Withdrawn);
            announced(&mut preference, START + S(at));
        }
        wish(&mut preference, START + S(90), Level::Withdrawn);
        assert_eq!(preference.hold_down(), S(40));
        let left = saved(&preference, START + S(91));
        assert_eq!(begun(S(1), End::Broken, &left).hold_down(), S(40));
        assert_eq!(begun(S(600), End::Broken, &left).hold_down(), S(40));
        assert_eq!(begun(S(640), End::Broken, &left).hold_down(), S(10));
    }

    #[test]
    fn what_lies_before_the_origin_of_time_counts_from_there_and_nonsense_does_no_harm() {
        let mut preference = Preference::new(START, pace());
        announced(&mut preference, START);
        let mut left = saved(&preference, START + S(1000));
        let mut young = Preference::new(S(5), pace());
        young.remember(S(1), End::Broken, &left);
        assert_eq!((young.returns(S(5)), young.hold_down()), (1, S(10)));
        left.all = SavedEarning {
            falls: u32::MAX,
            fell_ago_ms: Some(0),
            rises_ago_ms: (0..100_000).chain([u64::MAX]).collect(),
            betters_ago_ms: vec![u64::MAX; 100],
        };
        let strange = begun(S(0), End::Broken, &left);
        assert_eq!((strange.returns(START), strange.hold_down()), (10, S(160)));
        assert_eq!(strange.level(), Level::Withdrawn);
    }

    #[test]
    fn what_is_written_down_is_bounded() {
        let returns = ReturnCap { most: NonZeroU32::MAX, within: S(1_000_000) };
        let hold_down = HoldDown { first: S(0), base: S(0), max: S(0), forget: S(0) };
        let mut preference = Preference::new(START, Pace { hold_down, returns, grace: S(0) });
        for at in 0..1000 {
            let level = if at % 2 == 0 { Level::Normal } else { Level::Withdrawn };
            wish(&mut preference, START + S(at), level);
        }
        let left = saved(&preference, START + S(1000));
        assert_eq!(left.all.rises_ago_ms.len(), MOST_RISES);
        assert_eq!(left.all.rises_ago_ms.last(), Some(&2000), "the newest");
    }
}
