//! One prefix in invented time.

use super::*;
use std::num::NonZeroU32;

const S: fn(u64) -> Duration = Duration::from_secs;

fn hold_down() -> HoldDown {
    HoldDown { first: S(5), base: S(10), max: S(35), forget: S(1000) }
}

fn pace(hold_down: HoldDown, grace: u64) -> Pace {
    let returns = ReturnCap { most: NonZeroU32::new(1000).unwrap(), within: S(3600) };
    Pace { hold_down, returns, grace: S(grace) }
}

fn prefix() -> Preference {
    Preference::new(S(0), pace(hold_down(), 0))
}

/// What it wants where only the able withdraw.
fn wants(level: Level) -> Wish {
    let able = if level == Level::Withdrawn { level } else { Level::Normal };
    Wish { all: level, able }
}

fn wish(prefix: &mut Preference, at: u64, wanted: Level) -> Level {
    prefix.step(S(at), wants(wanted), Word::NONE, "a wish");
    prefix.level()
}

fn under(prefix: &mut Preference, at: u64, wanted: Level, word: Word) -> Level {
    prefix.step(S(at), wants(wanted), word, "a word");
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
    let cap = |cap| Word { cap, standing: None };
    assert_eq!(under(&mut prefix, 6, Level::Normal, cap(Level::Draining)), Level::Draining);
    assert_eq!(under(&mut prefix, 16, Level::Normal, cap(Level::Withdrawn)), Level::Withdrawn);
    assert_eq!(wish(&mut prefix, 17, Level::Normal), Level::Normal);
    under(&mut prefix, 18, Level::Withdrawn, cap(Level::Draining));
    let level = wish(&mut prefix, 19, Level::Normal);
    assert_eq!(level, Level::Withdrawn, "a return after a fault is still earned");
}

#[test]
fn a_death_that_is_noticed_piece_by_piece_is_one_fall_and_one_return() {
    let mut prefix = Preference::new(S(0), pace(hold_down(), 2));
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
    let mut prefix = Preference::new(S(0), pace(HoldDown::new(S(10)), 2));
    wish(&mut prefix, 0, Level::Normal);
    wish(&mut prefix, 10, Level::Normal);
    wish(&mut prefix, 20, Level::Degraded);
    assert_eq!(wish(&mut prefix, 22, Level::Degraded), Level::Degraded);
    assert_eq!(wish(&mut prefix, 60, Level::Withdrawn), Level::Withdrawn);
    assert_eq!(prefix.hold_down(), S(10));
}

#[test]
fn the_history_is_bounded_and_newest_first() {
    let mut prefix = Preference::new(S(0), pace(HoldDown::new(S(0)), 0));
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

#[test]
fn a_standing_level_waits_for_nothing_and_gives_way_only_to_what_cannot_answer() {
    let mut prefix = prefix();
    wish(&mut prefix, 0, Level::Normal);
    wish(&mut prefix, 5, Level::Normal);
    let word = Word { cap: Level::Normal, standing: Some(Level::Normal) };
    assert_eq!(under(&mut prefix, 6, Level::Degraded, word), Level::Normal);
    prefix.step(S(7), Wish { all: Level::Withdrawn, able: Level::Normal }, word, "expired");
    assert_eq!(prefix.level(), Level::Normal, "data faults are what a hold is for");
    assert_eq!(under(&mut prefix, 8, Level::Withdrawn, word), Level::Withdrawn);
    assert_eq!(under(&mut prefix, 9, Level::Degraded, word), Level::Withdrawn);
    assert_eq!(prefix.hold_down_left(S(9)), Some((Level::Normal, S(10))));
    assert_eq!(under(&mut prefix, 19, Level::Degraded, word), Level::Normal, "it returns to the level held");
    assert_eq!(wish(&mut prefix, 20, Level::Degraded), Level::Degraded, "and then to what is earned");
}

#[test]
fn returns_used_up_wait_until_the_oldest_is_no_longer_counted_and_leaving_never_does() {
    let returns = ReturnCap { most: NonZeroU32::new(2).unwrap(), within: S(100) };
    let hold_down = HoldDown { first: S(1), base: S(1), max: S(1), forget: S(1) };
    let mut prefix = Preference::new(S(0), Pace { hold_down, returns, grace: S(0) });
    wish(&mut prefix, 0, Level::Normal);
    assert_eq!(wish(&mut prefix, 1, Level::Normal), Level::Normal);
    assert_eq!(wish(&mut prefix, 10, Level::Withdrawn), Level::Withdrawn);
    wish(&mut prefix, 11, Level::Normal);
    assert_eq!(wish(&mut prefix, 12, Level::Normal), Level::Normal);
    assert_eq!(prefix.returns(S(12)), 2);
    assert_eq!(wish(&mut prefix, 20, Level::Withdrawn), Level::Withdrawn);
    wish(&mut prefix, 21, Level::Normal);
    assert_eq!(prefix.next_deadline(), Some(S(101)));
    assert_eq!(prefix.waits_for(), Some(WaitsFor::Returns), "the hold-down is over at 22");
    assert_eq!(wish(&mut prefix, 100, Level::Normal), Level::Withdrawn);
    assert_eq!(wish(&mut prefix, 101, Level::Normal), Level::Normal);
    assert_eq!(prefix.waits_for(), None);
}

/// A prefix that got better from degraded twice, as often as it may within 100 s.
fn degraded_twice() -> Preference {
    let returns = ReturnCap { most: NonZeroU32::new(2).unwrap(), within: S(100) };
    let hold_down = HoldDown { first: S(1), base: S(1), max: S(1), forget: S(1) };
    let mut prefix = Preference::new(S(0), Pace { hold_down, returns, grace: S(0) });
    wish(&mut prefix, 0, Level::Normal);
    wish(&mut prefix, 1, Level::Normal);
    for start in [10, 20] {
        assert_eq!(wish(&mut prefix, start, Level::Degraded), Level::Degraded);
        wish(&mut prefix, start + 1, Level::Normal);
        assert_eq!(wish(&mut prefix, start + 2, Level::Normal), Level::Normal);
    }
    prefix
}

#[test]
fn how_often_it_got_better_while_announced_keeps_nothing_away_that_was_withdrawn() {
    let mut prefix = degraded_twice();
    assert_eq!(prefix.returns(S(25)), 1, "the first announcement came from withdrawn");
    assert_eq!(wish(&mut prefix, 30, Level::Withdrawn), Level::Withdrawn);
    wish(&mut prefix, 31, Level::Normal);
    assert_eq!(prefix.waits_for(), Some(WaitsFor::HoldDown));
    assert_eq!(wish(&mut prefix, 32, Level::Normal), Level::Normal);
    assert_eq!(wish(&mut prefix, 40, Level::Degraded), Level::Degraded);
    wish(&mut prefix, 41, Level::Normal);
    assert_eq!((prefix.waits_for(), prefix.returns(S(42))), (Some(WaitsFor::Returns), 2));
    assert_eq!(wish(&mut prefix, 111, Level::Normal), Level::Degraded, "which is announced, and may wait");
    assert_eq!(wish(&mut prefix, 112, Level::Normal), Level::Normal);
}

#[test]
fn a_forced_level_ends_the_waits_of_its_moment_and_no_later_one() {
    let mut prefix = degraded_twice();
    wish(&mut prefix, 30, Level::Withdrawn);
    let forced = Word { cap: Level::Normal, standing: Some(Level::Normal) };
    prefix.wait_no_longer(S(30), wants(Level::Withdrawn));
    assert_eq!(under(&mut prefix, 30, Level::Withdrawn, forced), Level::Withdrawn, "it cannot answer");
    assert_eq!(under(&mut prefix, 31, Level::Normal, forced), Level::Withdrawn);
    assert_eq!(prefix.waits_for(), Some(WaitsFor::HoldDown));
    prefix.wait_no_longer(S(31), wants(Level::Normal));
    assert_eq!(under(&mut prefix, 31, Level::Normal, forced), Level::Normal);
    assert_eq!(prefix.earned(), Level::Normal, "the end of the word will not withdraw it");
    assert_eq!(under(&mut prefix, 33, Level::Withdrawn, forced), Level::Withdrawn);
    assert_eq!(under(&mut prefix, 34, Level::Normal, forced), Level::Withdrawn, "what falls after it waits");
}

#[test]
fn a_smaller_cap_on_returns_is_in_force_at_once_for_a_prefix_that_has_used_up_the_larger_one() {
    let within = S(100);
    let hold_down = HoldDown { first: S(1), base: S(1), max: S(1), forget: S(1) };
    let returns = ReturnCap { most: NonZeroU32::MIN, within };
    let mut prefix = degraded_twice().at_pace(Pace { hold_down, returns, grace: S(0) });
    for (fall, back) in [(30, 122), (130, 222)] {
        wish(&mut prefix, fall, Level::Degraded);
        wish(&mut prefix, fall + 1, Level::Normal);
        assert_eq!(prefix.next_deadline(), Some(S(back)), "100 s after the last time that it got better");
        assert_eq!(wish(&mut prefix, back, Level::Normal), Level::Normal);
    }
}
