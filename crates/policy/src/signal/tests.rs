//! One signal in invented time.

use super::*;

const STALE: Duration = Duration::from_secs(3);
const MS: fn(u64) -> Duration = Duration::from_millis;
const TIMING: Timing = Timing { fall: Fall::new(2), rise: Rise::new(3), stale: STALE };

fn signal() -> Signal {
    Signal::new(MS(0), TIMING, Silence::Fails)
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

fn seen(signal: &mut Signal, at: u64, observation: fn(String) -> Observation) -> Health {
    signal.step(MS(at), Input::Observed(observation("seen".into())));
    signal.health()
}

#[test]
fn a_verdict_follows_the_grade_that_enough_observations_in_a_row_reach() {
    let mut signal = good();
    assert_eq!(seen(&mut signal, 4, Observation::Expired), Health::Good);
    assert_eq!(seen(&mut signal, 5, Observation::Warn), Health::Warned, "both are at least a warning");
    assert_eq!(seen(&mut signal, 6, Observation::Expired), Health::Warned);
    assert_eq!(seen(&mut signal, 7, Observation::Expired), Health::Expired);
    assert_eq!(seen(&mut signal, 8, Observation::Warn), Health::Expired);
    assert_eq!(seen(&mut signal, 9, Observation::Fail), Health::Expired);
    assert_eq!(seen(&mut signal, 10, Observation::Warn), Health::Bad, "three were at most bad");
    assert_eq!(seen(&mut signal, 11, Observation::Warn), Health::Bad);
    assert_eq!(seen(&mut signal, 12, Observation::Warn), Health::Warned);
}

#[test]
fn what_is_only_told_is_forgotten_when_its_teller_falls_silent() {
    let mut signal = Signal::new(MS(0), TIMING, Silence::Forgotten);
    for at in [1, 2] {
        seen(&mut signal, at, Observation::Fail);
    }
    assert_eq!(signal.health(), Health::Bad);
    let change = signal.step(MS(2) + STALE, Input::Tick);
    assert_eq!(change, Some(Change { from: Health::Bad, to: Health::Unknown }));
}

#[test]
fn what_was_told_to_be_bad_is_kept_as_the_last_known_and_what_was_good_is_forgotten() {
    type Says = fn(String) -> Observation;
    let told = |observation: Says| {
        let mut signal = Signal::new(MS(0), TIMING, Silence::Kept);
        for at in [1, 2, 3] {
            seen(&mut signal, at, observation);
        }
        signal
    };
    let cases: [(Says, Health); 3] = [
        (Observation::Warn, Health::Warned),
        (Observation::Fail, Health::Bad),
        (Observation::Expired, Health::Expired),
    ];
    for (observation, health) in cases {
        let mut signal = told(observation);
        assert_eq!(signal.why(), "seen");
        assert_eq!(signal.step(MS(3) + STALE, Input::Tick), None);
        assert_eq!((signal.health(), signal.next_deadline()), (health, None));
        assert_eq!(signal.why(), "seen (last known: nothing seen for 3 s)");
        for at in [10_000, 10_001] {
            assert_eq!(seen(&mut signal, at, Observation::Pass), health, "what is better is earned anew");
        }
        assert_eq!(signal.why(), "seen", "somebody tells again");
        assert_eq!(seen(&mut signal, 10_002, Observation::Pass), Health::Good);
    }
    let mut good = told(Observation::Pass);
    let change = good.step(MS(3) + STALE, Input::Tick);
    assert_eq!(change, Some(Change { from: Health::Good, to: Health::Unknown }));
}

#[test]
fn a_worker_that_was_told_to_be_stuck_stays_so_and_one_that_was_late_is_forgotten() {
    for (observation, health) in [
        (Observation::Pass as fn(String) -> Observation, Health::Unknown),
        (Observation::Warn, Health::Unknown),
        (Observation::Fail, Health::Bad),
    ] {
        let mut signal = Signal::new(MS(0), TIMING, Silence::BadKept);
        for at in [1, 2, 3] {
            seen(&mut signal, at, observation);
        }
        signal.step(MS(3) + STALE, Input::Tick);
        assert_eq!(signal.health(), health);
    }
}

#[test]
fn only_what_was_good_and_then_met_nothing_but_silence_on_the_line_is_merely_unanswered() {
    let mut signal = good();
    seen(&mut signal, 4, Observation::Unanswered);
    seen(&mut signal, 5, Observation::Unanswered);
    assert_eq!(signal.health(), Health::Bad);
    assert!(signal.is_merely_unanswered());
    seen(&mut signal, 6, Observation::Fail);
    seen(&mut signal, 7, Observation::Unanswered);
    assert!(!signal.is_merely_unanswered(), "a refusal is remembered until it is good again");
    let mut never_good = self::signal();
    seen(&mut never_good, 1, Observation::Unanswered);
    seen(&mut never_good, 2, Observation::Unanswered);
    assert!(!never_good.is_merely_unanswered());
}

#[test]
fn an_excuse_moves_the_deadline_of_silence_and_nothing_else() {
    let mut signal = good();
    assert_eq!(signal.step(MS(2_000), Input::Excused), None);
    assert_eq!(signal.next_deadline(), Some(MS(2_000) + STALE));
    assert_eq!(signal.health(), Health::Good);
}
