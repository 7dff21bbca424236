//! What holds of every sequence of probes, where nothing else is watched: the bare route of a name server.

use super::*;
use proptest::prelude::*;

/// What can happen, with the time that passes before it.
#[derive(Clone, Debug)]
enum Step {
    Probe(usize, Verdict),
    Data(Verdict),
    Status(Verdict),
    Drain,
    Undrain,
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
}

fn verdict() -> impl Strategy<Value = Verdict> {
    // Mostly good, or nothing would ever be announced.
    prop_oneof![8 => Just(Verdict::Pass), 1 => Just(Verdict::Fail)]
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        40 => (0usize..8, verdict()).prop_map(|(signal, verdict)| Step::Probe(signal, verdict)),
        2 => verdict().prop_map(Step::Data),
        2 => verdict().prop_map(Step::Status),
        1 => Just(Step::Drain),
        1 => Just(Step::Undrain),
        4 => Just(Step::Tick),
    ];
    // Milliseconds; rarely so many that silence counts.
    let pause = prop_oneof![20 => 0u64..300, 1 => 0u64..12_000];
    prop::collection::vec((pause, step), 0..400)
}

fn quick() -> Bench {
    let mut config = settings(Degrade::Allowed);
    config.hold_down = HoldDown::new(Duration::from_millis(800));
    config.grace = Duration::from_millis(400);
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    Bench { policy, now: Duration::ZERO, outputs: Vec::new() }
}

fn signal(bench: &Bench, index: usize) -> SignalId {
    bench.policy.needed().nth(index).unwrap().0.clone()
}

fn input(bench: &Bench, step: &Step) -> Input {
    let observed = |signal, verdict: &Verdict| Input::Observe {
        signal,
        observation: match verdict {
            Verdict::Pass => Observation::Pass("good".into()),
            Verdict::Fail => Observation::Fail("broken".into()),
        },
    };
    let words = || ("a word".to_owned(), "ada".to_owned());
    let alarm = AlarmId::ZoneRefused { zone: "example.com.".into() };
    match step {
        Step::Probe(index, verdict) => observed(signal(bench, *index), verdict),
        Step::Status(verdict) => observed(SignalId::Status, verdict),
        Step::Data(Verdict::Fail) => Input::Raise { alarm, text: "refused".into() },
        Step::Data(Verdict::Pass) => Input::Clear { alarm },
        Step::Drain => drain("a word", "ada"),
        Step::Undrain => Input::Undrain { text: words().0, author: words().1 },
        Step::Tick => Input::Tick,
    }
}

fn prefixes() -> [Prefix; 2] {
    [V4.parse().unwrap(), V6.parse().unwrap()]
}

/// UDP signals that a prefix needs and that are not good.
fn udp_trouble(policy: &Policy, prefix: Prefix) -> usize {
    let concerns = |id: &SignalId| match id {
        SignalId::Probe { address, transport } | SignalId::Zone { address, transport, .. } => {
            prefix.contains(address.ip()) && *transport == Transport::Udp
        }
        _ => false,
    };
    policy.needed().filter(|(id, health)| concerns(id) && *health != Health::Good).count()
}

proptest! {
    #[test]
    fn whoever_cannot_answer_is_withdrawn_in_the_same_step(steps in steps()) {
        let mut bench = quick();
        for (pause, step) in steps {
            bench.now += Duration::from_millis(pause);
            let next = input(&bench, &step);
            bench.input(next);
            for prefix in prefixes() {
                if udp_trouble(&bench.policy, prefix) > 0 {
                    prop_assert_eq!(bench.policy.level(prefix), Some(Level::Withdrawn));
                }
            }
        }
    }

    #[test]
    fn data_faults_and_a_blind_status_never_move_a_route(steps in steps()) {
        let mut bench = quick();
        for (pause, step) in steps {
            bench.now += Duration::from_millis(pause);
            bench.input(Input::Tick);
            let before = bench.levels();
            let next = input(&bench, &step);
            bench.input(next);
            if matches!(step, Step::Data(_) | Step::Status(_)) {
                prop_assert_eq!(bench.levels(), before);
            }
        }
    }

    #[test]
    fn no_state_lacks_a_reason_or_a_way_out(steps in steps()) {
        let mut bench = quick();
        for (pause, step) in steps {
            bench.now += Duration::from_millis(pause);
            let next = input(&bench, &step);
            bench.input(next);
            for prefix in prefixes() {
                let why = bench.policy.explain(prefix, bench.now).unwrap();
                prop_assert!(!why.reasons.is_empty());
                prop_assert!(why.reasons.iter().all(|reason| !reason.text.is_empty()));
                let worst = why.reasons.iter().map(|reason| reason.asks).max();
                if why.grace_left.is_none() {
                    prop_assert_eq!(worst, Some(why.level), "the reasons account for the level: {}", why);
                }
                prop_assert!(!why.next_changes.is_empty());
                prop_assert!(why.next_changes.iter().all(|change| change.to != why.level), "{}", why);
                prop_assert!(why.history.iter().all(|past| !past.cause.is_empty()));
            }
        }
    }

    #[test]
    fn whatever_gets_better_has_been_good_for_the_hold_down(steps in steps()) {
        let mut bench = quick();
        let mut good_since = [None; 2];
        let mut drained = Duration::ZERO;
        for (pause, step) in steps {
            bench.now += Duration::from_millis(pause);
            let before = bench.levels();
            let next = input(&bench, &step);
            bench.input(next);
            if matches!(step, Step::Undrain) {
                drained = bench.now;
            }
            for (index, prefix) in prefixes().into_iter().enumerate() {
                match udp_trouble(&bench.policy, prefix) {
                    0 => good_since[index] = good_since[index].or(Some(bench.now)),
                    _ => good_since[index] = None,
                }
                let risen = before[index] == Level::Withdrawn && bench.levels()[index] != Level::Withdrawn;
                if risen && drained != bench.now {
                    let good = bench.now - good_since[index].unwrap();
                    prop_assert!(good >= Duration::from_millis(800), "announced after {:?}", good);
                }
            }
        }
    }

    #[test]
    fn whoever_stays_good_is_announced_after_rise_and_the_longest_hold_down(steps in steps()) {
        let mut bench = quick();
        for (pause, step) in steps {
            bench.now += Duration::from_millis(pause);
            let next = input(&bench, &step);
            bench.input(next);
        }
        bench.input(Input::Undrain { text: "back".into(), author: "ada".into() });
        // Sixteen hold-downs of 0.8 s, and three rounds of a second.
        for _ in 0..17 {
            bench.round();
        }
        prop_assert_eq!(bench.levels(), [Level::Normal; 2]);
    }

    #[test]
    fn time_that_goes_backwards_changes_nothing(
        steps in steps(),
        back in prop::collection::vec(0u64..5_000, 400),
    ) {
        let (mut straight, mut jumping) = (quick(), quick());
        for ((pause, step), back) in steps.into_iter().zip(back) {
            straight.now += Duration::from_millis(pause);
            jumping.now = straight.now;
            jumping.input(Input::Tick);
            straight.input(Input::Tick);
            let next = input(&straight, &step);
            straight.input(next.clone());
            // The same input with an earlier time has the same effect, and an earlier tick has none.
            jumping.now = straight.now.saturating_sub(Duration::from_millis(back));
            jumping.input(next);
            let before = jumping.outputs.len();
            jumping.input(Input::Tick);
            prop_assert_eq!(jumping.outputs.len(), before);
            prop_assert_eq!(&jumping.outputs, &straight.outputs);
            prop_assert_eq!(jumping.policy.next_deadline(), straight.policy.next_deadline());
        }
    }

    #[test]
    fn the_deadline_is_when_time_alone_changes_something(steps in steps()) {
        let mut bench = quick();
        for (pause, step) in steps {
            let target = bench.now + Duration::from_millis(pause);
            // Whoever ticks at deadlines only sees the same levels as one who ticks all the time.
            let mut patient = bench.policy.clone();
            while let Some(deadline) = patient.next_deadline().filter(|at| *at <= target) {
                let before: Vec<_> = patient.levels().collect();
                let mut outputs = Vec::new();
                let just_before = deadline.saturating_sub(Duration::from_nanos(1)).max(bench.now);
                if just_before < deadline {
                    patient.step(just_before, Input::Tick, &mut outputs);
                    prop_assert_eq!(patient.levels().collect::<Vec<_>>(), before);
                }
                patient.step(deadline, Input::Tick, &mut outputs);
                prop_assert!(patient.next_deadline().is_none_or(|next| next > deadline), "it never spins");
            }
            bench.now = target;
            bench.policy = patient;
            let next = input(&bench, &step);
            bench.input(next);
        }
    }
}
