//! A policy that goes on from another's memory: nothing is forgotten, and nothing happens by the change itself.

use super::*;
use proptest::prelude::*;

/// The memory by way of text, as one process leaves it to another.
fn by_text(policy: &Policy) -> Memory {
    let memory = policy.memory();
    let read: Memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
    assert_eq!(read, memory);
    read
}

fn resume(bench: &mut Bench, config: PolicyConfig, keeps: impl Fn(&AlarmId) -> bool) {
    let memory = by_text(&bench.policy);
    bench.outputs.clear();
    bench.policy = Policy::resume(bench.now, config, memory, keeps, &mut bench.outputs).unwrap();
}

fn all_of(policy: &Policy, now: Duration) -> String {
    let why: Vec<_> = policy.levels().map(|(prefix, _)| policy.explain(prefix, now)).collect();
    let alarms: Vec<_> = policy.alarms().collect();
    format!("{why:?} {alarms:?} {:?} {:?}", policy.word_views(now), policy.next_deadline())
}

fn an_input() -> impl Strategy<Value = (u64, Input)> {
    let observation = prop_oneof![
        6 => Just(Observation::Pass("good".to_owned())),
        2 => Just(Observation::Fail("no answer".to_owned())),
        1 => Just(Observation::Unanswered("late".to_owned())),
    ];
    let signal = (0..2usize, 0..2usize, any::<bool>()).prop_map(|(family, transport, zoned)| {
        let (prefix, transport) = ([V4, V6][family], Transport::ALL[transport]);
        if zoned { zone(prefix, transport) } else { probe(prefix, transport) }
    });
    let target = prop_oneof![Just(Target::All), Just(Target::Prefix(V4.parse().unwrap()))];
    let input = prop_oneof![
        30 => (signal, observation).prop_map(|(signal, observation)| Input::Observe { signal, observation }),
        2 => Just(Input::Tick),
        1 => Just(drain("new disks", "ada")),
        1 => Just(Input::Undrain { text: "done".into(), author: "ada".into() }),
        1 => (target, 1..60u64).prop_map(|(target, lasts)| Input::Force {
            target,
            level: Level::Degraded,
            expires: Duration::from_secs(100 + lasts),
            text: "uplink".into(),
            author: "bob".into(),
        }),
    ];
    (0..700u64, input)
}

proptest! {
    #[test]
    fn a_policy_that_changes_hands_at_any_moment_goes_on_like_one_that_does_not(
        inputs in prop::collection::vec(an_input(), 1..200),
        at in 0..200usize,
    ) {
        let mut one = Bench::announced(Degrade::Allowed);
        let mut other = Bench::announced(Degrade::Allowed);
        for (n, (after, input)) in inputs.into_iter().enumerate() {
            if n == at {
                // A tick is what the change amounts to.
                one.input(Input::Tick);
                resume(&mut other, settings(Degrade::Allowed), |_| true);
            }
            one.now += Duration::from_millis(after);
            other.now = one.now;
            one.outputs.clear();
            other.outputs.clear();
            one.input(input.clone());
            other.input(input);
            prop_assert_eq!(&one.outputs, &other.outputs);
            prop_assert_eq!(all_of(&one.policy, one.now), all_of(&other.policy, other.now));
        }
    }
}

#[test]
fn a_hold_down_goes_on_where_it_was() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let dead = [probe(V4, Transport::Udp)];
    bench.round_but(&dead);
    bench.round_but(&dead);
    for _ in 0..8 {
        bench.round();
    }
    let left = bench.why(V4).hold_down_left.unwrap();
    resume(&mut bench, settings(Degrade::Allowed), |_| true);
    assert_eq!(bench.outputs, [], "nothing happens by the change");
    assert_eq!(bench.why(V4).hold_down_left, Some(left));
    assert_eq!(bench.why(V4).history.len(), 2, "and what happened before is still told");
}

#[test]
fn a_signal_that_is_new_in_the_configuration_withdraws_nothing_until_it_is_observed() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let mut config = settings(Degrade::Allowed);
    config.groups[0].required_zones.push("example.net".into());
    config.groups[0].prefixes.push("198.51.100.0/24".parse().unwrap());
    config.groups[0].addresses.push("198.51.100.53:53".parse().unwrap());
    resume(&mut bench, config, |_| true);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert_eq!(bench.policy.level("198.51.100.0/24".parse().unwrap()), Some(Level::Withdrawn));
    let zone =
        SignalId::Zone { address: address_of(V4), transport: Transport::Udp, zone: "example.net".into() };
    for _ in 0..3 {
        bench.round_but(std::slice::from_ref(&zone));
    }
    assert_eq!(bench.levels(), [Level::LastResort, Level::Normal], "it counts like any other from then on");
}

#[test]
fn new_rules_count_at_once_and_what_is_no_longer_configured_is_forgotten() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let dead = [probe(V6, Transport::Tcp)];
    for _ in 0..3 {
        bench.round_but(&dead);
    }
    assert_eq!(bench.levels(), [Level::Normal, Level::Degraded]);
    bench.input(Input::Force {
        target: Target::Prefix(V4.parse().unwrap()),
        level: Level::LastResort,
        expires: bench.now + Duration::from_secs(600),
        text: String::new(),
        author: "ada".into(),
    });
    for neighbour in ["10.0.0.1", "10.0.0.9"] {
        let alarm = AlarmId::NeighbourDown { neighbour: neighbour.into() };
        bench.input(Input::Raise { alarm, text: "silent".into() });
    }
    let mut config = settings(Degrade::Allowed);
    config.groups[0].prefixes = vec![V6.parse().unwrap()];
    config.groups[0].addresses.remove(0);
    config.hold_down = HoldDown::new(Duration::from_secs(2));
    let configured = AlarmId::NeighbourDown { neighbour: "10.0.0.1".into() };
    resume(&mut bench, config, |id| *id == configured);
    let alarms = bench.policy.alarms().map(|alarm| alarm.id.clone());
    let of_others: Vec<_> = alarms.filter(|id| *id != AlarmId::StatusUnreachable).collect();
    assert_eq!(of_others, [configured], "no word on a prefix that is gone, no neighbour that is gone");
    let earned = bench.policy.levels().collect::<Vec<_>>();
    assert_eq!(earned, [(V6.parse().unwrap(), Level::Degraded)]);
    let gone = bench.outputs.iter().find_map(|output| match output {
        Output::Level { prefix, to, cause, .. } => Some((prefix.to_string(), *to, cause.as_str())),
        _ => None,
    });
    assert_eq!(gone, Some((V4.to_owned(), Level::Withdrawn, "no longer configured")));
}

#[test]
fn a_prefix_that_becomes_an_anchor_begins_as_one() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let mut config = settings(Degrade::Allowed);
    config.groups[0].prefixes = vec![V6.parse().unwrap()];
    config.groups[0].addresses.remove(0);
    config.anchors = vec![AnchorConfig { prefix: V4.parse().unwrap(), drain: AnchorDrain::default() }];
    resume(&mut bench, config, |_| true);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert_eq!(bench.policy.group(V4.parse().unwrap()), Some(ANCHOR));
}

#[test]
fn settings_that_make_no_policy_are_refused_as_at_the_start() {
    let bench = Bench::announced(Degrade::Allowed);
    let mut config = settings(Degrade::Allowed);
    config.groups.clear();
    let resumed = Policy::resume(bench.now, config, bench.policy.memory(), |_| true, &mut Vec::new());
    assert!(resumed.is_err());
}

#[test]
fn a_process_that_begins_anew_knows_the_falls_of_those_before_and_changes_nothing_for_it() {
    let mut bench = Bench::announced(Degrade::Allowed);
    for holds in [HOLD, HOLD * 2] {
        let saved = bench.policy.flaps(bench.now);
        assert_eq!(saved.iter().map(|it| it.level).collect::<Vec<_>>(), [Level::Normal; 2]);
        bench = Bench::new(Degrade::Allowed);
        bench.policy.remember(Duration::from_secs(1), crate::End::Broken, &saved);
        assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
        assert_eq!(bench.why(V4).hold_down, holds);
        while bench.levels() != [Level::Normal; 2] {
            assert!(bench.now < holds + Duration::from_secs(5), "the hold-down is no longer than it says");
            bench.round();
        }
        assert!(bench.now >= holds);
    }
}

#[test]
fn of_falls_and_returns_only_those_of_prefixes_that_can_fall_count() {
    let saved = Bench::announced(Degrade::Allowed).policy.flaps(Duration::from_secs(60));
    let mut config = settings(Degrade::Allowed);
    config.groups[0].prefixes = vec![V6.parse().unwrap()];
    config.anchors = vec![crate::AnchorConfig { prefix: V4.parse().unwrap(), drain: AnchorDrain::Stays }];
    let mut policy = Policy::new(Duration::ZERO, config).unwrap();
    policy.remember(Duration::ZERO, crate::End::Broken, &saved);
    assert_eq!(policy.level(V4.parse().unwrap()), Some(Level::Normal), "an anchor has nothing to earn");
    let left = policy.flaps(Duration::ZERO);
    assert_eq!(
        left.iter().map(|it| (it.prefix, it.all.falls)).collect::<Vec<_>>(),
        [(V6.parse().unwrap(), 1)]
    );
}
