//! The operator's words: that they do what they say, end when they should, and survive a restart.

use super::*;
use crate::alarm::AlarmId;
use crate::operator::Remaining;

const HOUR: Duration = Duration::from_secs(3600);
const UNIX: Duration = Duration::from_secs(1_795_000_000);

fn hold(bench: &Bench, target: Target) -> Input {
    Input::Hold { target, expires: bench.now + HOUR, text: "upstream flaps".into(), author: "ada".into() }
}

fn force(bench: &Bench, target: Target, level: Level) -> Input {
    let (text, author) = ("congestion".into(), "bob".into());
    Input::Force { target, level, expires: bench.now + HOUR, text, author }
}

fn release(target: Target) -> Input {
    Input::Release { target, text: "done".into(), author: "ada".into() }
}

fn only(prefix: &str) -> Target {
    Target::Prefix(prefix.parse().unwrap())
}

#[test]
fn a_hold_keeps_degradation_and_improvement_away_but_not_a_withdrawal() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let word = hold(&bench, Target::All);
    bench.input(word);
    let tcp = [probe(V4, Transport::Tcp), zone(V4, Transport::Tcp)];
    for _ in 0..10 {
        bench.round_but(&tcp);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    let why = bench.why(V4);
    assert!(why.reasons.iter().any(|reason| reason.text.contains("the operator's word stands")), "{why}");
    let udp = [probe(V4, Transport::Udp)];
    bench.round_but(&udp);
    bench.round_but(&udp);
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
    for _ in 0..13 {
        bench.round_but(&tcp);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2], "it returns to the level that is held, and earns it");
    assert!(bench.why(V4).history[0].cause.contains("held by ada: upstream flaps"));
    bench.input(release(Target::All));
    assert_eq!(bench.levels(), [Level::Degraded, Level::Normal]);
    assert_eq!(bench.why(V4).history[0].cause, "released by ada: done");
}

#[test]
fn a_forced_level_is_in_force_at_once_and_ends_by_itself() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let word = force(&bench, only(V6), Level::LastResort);
    bench.input(word);
    assert_eq!(bench.levels(), [Level::Normal, Level::LastResort]);
    assert!(bench.policy.alarms().any(|alarm| alarm.id == AlarmId::WordInForce { target: only(V6) }));
    let views = bench.policy.word_views(bench.now);
    assert_eq!((views.len(), views[0].what.as_str()), (1, "forced to last-resort"));
    let ends = bench.why(V6).next_changes.into_iter().find(|next| next.to == Level::Normal).unwrap();
    assert_eq!(ends.after, Some(HOUR));
    bench.now += HOUR - Duration::from_secs(20);
    for _ in 0..21 {
        bench.round();
    }
    // The probes were silent for most of the hour; what counts is who speaks last.
    assert!(bench.policy.word_views(bench.now).is_empty());
    assert!(bench.policy.alarms().all(|alarm| alarm.id.kind() != "word-in-force"));
    assert_eq!(bench.levels(), [Level::Normal; 2]);
}

#[test]
fn a_word_that_ends_is_no_cause_for_what_becomes_of_another_prefix_in_the_same_step() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let (text, author) = ("congestion".into(), "bob".into());
    // Bad after two rounds, and then for the grace.
    let expires = bench.now + Duration::from_secs(2) + GRACE;
    bench.input(Input::Force { target: only(V4), level: Level::LastResort, expires, text, author });
    for _ in 0..2 {
        bench.round_but(&[probe(V6, Transport::Tcp)]);
    }
    assert_eq!(bench.levels(), [Level::LastResort, Level::Normal]);
    bench.now = expires;
    bench.input(Input::Tick);
    assert_eq!(bench.levels(), [Level::Normal, Level::Degraded]);
    let cause = |prefix| bench.why(prefix).history[0].cause.clone();
    assert!(cause(V4).contains("which has ended by itself"), "{}", cause(V4));
    assert!(cause(V6).starts_with("TCP probe"), "{}", cause(V6));
}

#[test]
fn what_words_allow_at_best_is_told_apart_from_what_health_allows() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let ordered = |bench: &Bench| [V4, V6].map(|prefix| bench.policy.ordered(prefix.parse().unwrap()));
    bench.round_but(&[probe(V4, Transport::Udp)]);
    bench.round_but(&[probe(V4, Transport::Udp)]);
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
    assert_eq!(ordered(&bench), [Some(Level::Normal); 2]);
    let word = force(&bench, only(V6), Level::Withdrawn);
    bench.input(word);
    assert_eq!(ordered(&bench), [Some(Level::Normal), Some(Level::Withdrawn)]);
    bench.input(drain("disks", "ada"));
    assert_eq!(
        ordered(&bench),
        [Some(Level::Withdrawn); 2],
        "a drain of what is all withdrawn lingers at once"
    );
    assert_eq!(bench.policy.ordered("203.0.113.0/24".parse().unwrap()), None);
}

#[test]
fn no_forced_level_keeps_a_node_that_cannot_answer() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let word = force(&bench, Target::All, Level::Normal);
    bench.input(word);
    bench.fail(probe(V4, Transport::Udp));
    bench.fail(probe(V4, Transport::Udp));
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
    assert!(bench.why(V4).history[0].cause.contains("no answer"), "the fault is the cause, not the word");
}

#[test]
fn the_most_specific_word_counts_and_a_release_takes_what_is_narrower_along() {
    let mut bench = Bench::announced(Degrade::Allowed);
    for word in [
        force(&bench, Target::All, Level::Degraded),
        force(&bench, Target::Group("main".into()), Level::LastResort),
        force(&bench, only(V6), Level::Draining),
    ] {
        bench.input(word);
    }
    assert_eq!(bench.levels(), [Level::LastResort, Level::Draining]);
    assert!(!bench.policy.would_release(&only(V4)));
    bench.input(release(Target::Group("main".into())));
    assert_eq!(bench.levels(), [Level::Degraded; 2]);
    bench.input(release(Target::All));
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(!bench.policy.knows(&only("203.0.113.0/24")));
    assert!(!bench.policy.knows(&Target::Group("other".into())));
}

fn with_traffic() -> Bench {
    let mut config = settings(Degrade::Allowed);
    let watch = Kind::Traffic.watch(Duration::from_secs(60));
    config.watched.insert(Kind::Traffic, watch);
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let mut bench = Bench { policy, now: Duration::ZERO, outputs: Vec::new() };
    for _ in 0..13 {
        bench.round();
        for prefix in [V4, V6] {
            bench.pass(traffic(prefix));
        }
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    bench
}

fn traffic(prefix: &str) -> SignalId {
    SignalId::Traffic { prefix: prefix.parse().unwrap() }
}

#[test]
fn a_drained_prefix_leaves_when_its_traffic_has_gone_and_the_node_may_stop_after_the_linger() {
    let mut bench = with_traffic();
    bench.input(drain("new disks", "ada"));
    assert_eq!(bench.levels(), [Level::Draining; 2]);
    for _ in 0..3 {
        bench.fail(traffic(V4));
    }
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Draining]);
    let cause = &bench.why(V4).history[0].cause;
    assert_eq!(cause, "next to no traffic any more, drained by ada: new disks");
    bench.pass(traffic(V4));
    bench.pass(traffic(V4));
    assert_eq!(bench.levels()[0], Level::Withdrawn, "what comes late brings no route back");
    for _ in 0..5 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    let phase = |bench: &Bench| bench.policy.drain_view(bench.now).unwrap().phase;
    assert_eq!(phase(&bench), DrainPhase::Lingering);
    for _ in 0..20 {
        bench.round();
    }
    assert_eq!(phase(&bench), DrainPhase::Lingering, "real queries still come");
    let ignored = |prefix: &str| AlarmId::DrainIgnored { prefix: prefix.parse().unwrap() };
    assert!(bench.policy.alarms().any(|alarm| alarm.id == ignored(V6)));
    for prefix in [V4, V6] {
        for _ in 0..3 {
            bench.fail(traffic(prefix));
        }
    }
    assert_eq!(phase(&bench), DrainPhase::Done);
    assert!(bench.policy.alarms().all(|alarm| alarm.id.kind() != "drain-ignored"));
    assert!(bench.why(V4).reasons[0].text.starts_with("drained (done) "));
}

#[test]
fn who_does_not_know_whether_queries_still_come_says_so_and_waits_twice_as_long() {
    let mut bench = with_traffic();
    bench.input(drain("new disks", "ada"));
    for _ in 0..3 {
        bench.fail(traffic(V6));
    }
    // Nobody counts the queries of one prefix any more, which takes a minute to be forgotten.
    let view = |bench: &Bench| bench.policy.drain_view(bench.now).unwrap();
    while view(&bench).remaining == Remaining::Some {
        bench.round();
        bench.fail(traffic(V6));
    }
    assert_eq!((view(&bench).phase, view(&bench).remaining), (DrainPhase::Done, Remaining::NotKnown));

    let mut bench = Bench::announced(Degrade::Allowed);
    bench.input(drain("new disks", "ada"));
    bench.now += DRAIN;
    bench.input(Input::Tick);
    assert_eq!(view(&bench).linger_left_seconds, Some(2.0 * LINGER.as_secs_f64()));
    while bench.now < Duration::from_secs(13) + DRAIN + LINGER * 2 {
        assert_eq!(view(&bench).phase, DrainPhase::Lingering, "nobody counts queries here");
        bench.round();
    }
    assert_eq!((view(&bench).phase, view(&bench).remaining), (DrainPhase::Done, Remaining::NotKnown));
    let said = bench.why(V4).reasons[0].text.clone();
    assert!(said.ends_with("by ada: new disks; whether queries still come is not known"), "{said}");
}

#[test]
fn queries_that_come_again_take_back_that_the_node_may_stop() {
    let mut bench = with_traffic();
    bench.input(drain("new disks", "ada"));
    bench.now += DRAIN;
    let phase = |bench: &Bench| bench.policy.drain_view(bench.now).unwrap().phase;
    for _ in 0..25 {
        bench.round();
        for prefix in [V4, V6] {
            bench.fail(traffic(prefix));
        }
    }
    assert_eq!(phase(&bench), DrainPhase::Done);
    bench.outputs.clear();
    for _ in 0..2 {
        bench.pass(traffic(V4));
    }
    assert_eq!(phase(&bench), DrainPhase::Lingering);
    assert!(bench.outputs.contains(&Output::WordsChanged), "which a restart shall know");
    assert!(bench.why(V4).reasons[0].text.ends_with("; queries still come"), "{}", bench.why(V4));
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    for _ in 0..3 {
        bench.fail(traffic(V4));
    }
    assert_eq!(phase(&bench), DrainPhase::Done);
}

#[test]
fn a_forced_level_does_not_wait_for_a_return_that_is_not_allowed_yet() {
    let mut config = settings(Degrade::Allowed);
    config.returns = ReturnCap { most: NonZeroU32::MIN, within: HOUR };
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let mut bench = Bench { policy, now: Duration::ZERO, outputs: Vec::new() };
    for _ in 0..13 {
        bench.round();
    }
    for _ in 0..2 {
        bench.fail(probe(V4, Transport::Udp));
    }
    for _ in 0..30 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal], "it came back once within the hour");
    let why = bench.why(V4);
    let said = &why.reasons[0].text;
    assert!(said.starts_with("returns used up, 1 of 1 within 1h 00m: good enough to be normal, "), "{said}");
    assert!(said.ends_with("or for the operator to force it"), "{said}");
    assert_eq!(why.waits_for, Some(crate::explain::WaitsFor::Returns));
    let next = why.next_changes.iter().find(|next| next.to == Level::Normal).unwrap();
    assert!(next.when.starts_with("a return is allowed again"), "{why}");
    assert!(why.to_string().contains("returns 1 of 1 within 1h 00m (the next in "), "{why}");
    let word = force(&bench, only(V4), Level::Normal);
    bench.input(word);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert_eq!(bench.why(V4).history[0].cause, "forced to normal by bob: congestion");
    bench.input(release(only(V4)));
    assert_eq!(bench.levels(), [Level::Normal; 2], "and the end of the word withdraws nothing");
}

#[test]
fn a_prefix_that_was_quiet_before_asks_for_no_traffic_before_it_leaves() {
    let mut bench = with_traffic();
    for _ in 0..5 {
        bench.fail(traffic(V4));
    }
    bench.input(drain("new disks", "ada"));
    assert_eq!(bench.levels(), [Level::Draining; 2]);
    for _ in 0..2 {
        bench.fail(traffic(V4));
        assert_eq!(bench.levels(), [Level::Draining; 2]);
    }
    bench.fail(traffic(V4));
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Draining]);
}

#[test]
fn a_drained_prefix_that_a_fault_withdrew_stays_away_once_nobody_asks() {
    let mut bench = with_traffic();
    let (text, author) = ("new disks".to_owned(), "ada".to_owned());
    bench.input(Input::Drain { text, author, within: Some(HOUR), expires: None });
    for _ in 0..2 {
        bench.fail(probe(V4, Transport::Udp));
    }
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Draining]);
    for _ in 0..20 {
        bench.round();
        bench.fail(traffic(V4));
        bench.pass(traffic(V6));
    }
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Draining]);
    let why = bench.why(V4);
    assert_eq!(why.reasons.len(), 1, "{why}");
    let said = &why.reasons[0].text;
    assert_eq!(said, "drained 20.0s ago by ada: new disks; next to no traffic comes any more");
    bench.input(Input::Undrain { text: "done".into(), author: "ada".into() });
    assert_eq!(bench.levels(), [Level::Normal; 2], "it has earned its return meanwhile");
}

#[test]
fn where_nobody_asks_it_is_quiet_and_people_are_told_what_that_means() {
    let mut bench = with_traffic();
    let seen = |bench: &Bench| {
        let why = bench.why(V4);
        let told = why.to_string();
        let line = told.lines().find(|line| line.contains("real traffic")).unwrap();
        assert!(!line.contains("bad"), "{line}");
        let traffic = why.signals.into_iter().find(|signal| signal.name.starts_with("real traffic")).unwrap();
        (traffic.health, traffic.remark)
    };
    assert_eq!(seen(&bench), (Verdict::Good, String::new()));
    for _ in 0..3 {
        bench.fail(traffic(V4));
    }
    assert_eq!(seen(&bench), (Verdict::Quiet, "no reason to leave".to_owned()));
    let why = bench.why(V4).to_string();
    assert!(why.contains("quiet   for     0ms  real traffic of 192.0.2.0/24; last 0ms ago: "), "{why}");
    bench.input(drain("new disks", "ada"));
    for _ in 0..3 {
        bench.fail(traffic(V4));
    }
    assert_eq!(bench.levels()[0], Level::Withdrawn);
    assert_eq!(seen(&bench), (Verdict::Quiet, "as it should be".to_owned()));
}

#[test]
fn a_drain_may_have_its_own_time_and_end() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let (within, expires) = (Some(Duration::from_secs(2)), Some(bench.now + Duration::from_secs(8)));
    bench.input(Input::Drain { text: "fan".into(), author: "bob".into(), within, expires });
    bench.round();
    assert_eq!(bench.levels(), [Level::Draining; 2]);
    bench.round();
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    for _ in 0..6 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert_eq!(bench.why(V4).history[0].cause, "the drain by bob: fan has ended by itself");
}

#[test]
fn words_survive_a_restart_with_what_they_have_left() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let word = hold(&bench, only(V6));
    bench.input(word);
    bench.input(drain("new disks", "ada"));
    bench.now += DRAIN;
    bench.input(Input::Tick);
    let saved = bench.policy.saved(bench.now, UNIX);
    let text = serde_json::to_string(&saved).unwrap();

    let mut anew = Bench::new(Degrade::Allowed);
    let later = UNIX + Duration::from_secs(60);
    let saved = serde_json::from_str(&text).unwrap();
    anew.policy.restore(Duration::ZERO, later, saved, &mut anew.outputs);
    for _ in 0..40 {
        anew.round();
        assert_eq!(anew.levels(), [Level::Withdrawn; 2], "drained is drained");
    }
    let view = anew.policy.drain_view(anew.now).unwrap();
    assert_eq!((view.phase, view.age_seconds), (DrainPhase::Done, 105.0));
    anew.input(Input::Undrain { text: "done".into(), author: "ada".into() });
    assert_eq!(anew.levels(), [Level::Normal; 2]);
    let left = anew.policy.word_views(anew.now)[0].expires_after_seconds;
    assert_eq!(left, 3600.0 - 5.0 - 60.0 - 40.0);
    anew.round_but(&[probe(V6, Transport::Tcp)]);
    for _ in 0..5 {
        anew.round_but(&[probe(V6, Transport::Tcp)]);
    }
    assert_eq!(anew.levels(), [Level::Normal; 2], "and the hold holds what it held");
}

/// The usual settings with the IPv4 prefix in a group of its own, and neither group named as before.
fn divided() -> PolicyConfig {
    let mut config = settings(Degrade::Allowed);
    config.groups.push(config.groups[0].clone());
    for (group, name) in config.groups.iter_mut().zip(["west", "east"]) {
        group.name = name.into();
        group.prefixes.retain(|prefix| (prefix.to_string() == V4) == (name == "west"));
    }
    config
}

#[test]
fn what_was_said_of_a_group_holds_for_its_prefixes_when_it_is_renamed_or_divided() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let force = |target: Target, level: Level| Input::Force {
        target,
        level,
        expires: Duration::from_secs(3600),
        text: "uplink".into(),
        author: "ada".into(),
    };
    bench.input(force(Target::Group("main".into()), Level::Withdrawn));
    bench.input(force(only(V6), Level::Degraded));
    let before = bench.levels();
    assert_eq!(
        before,
        [Level::Withdrawn, Level::Degraded],
        "what was said of the prefix itself counts for more"
    );
    let (memory, saved) = (bench.policy.memory(), bench.policy.saved(bench.now, UNIX));

    let mut outputs = Vec::new();
    let resumed = Policy::resume(bench.now, divided(), memory, |_| true, &mut outputs).unwrap();
    let mut restarted = Policy::new(bench.now, divided()).unwrap();
    restarted.restore(bench.now, UNIX, saved, &mut outputs);
    for policy in [&resumed, &restarted] {
        let words = policy.word_views(bench.now).into_iter().map(|view| (view.target, view.what));
        let expected =
            [(only(V4), "forced to withdrawn".to_owned()), (only(V6), "forced to degraded".to_owned())];
        assert_eq!(words.collect::<Vec<_>>(), expected);
        for target in [only(V4), only(V6)] {
            let alarm = AlarmId::WordInForce { target };
            assert!(policy.alarms().any(|raised| raised.id == alarm), "{alarm:?}");
        }
    }
    assert_eq!([V4, V6].map(|prefix| resumed.level(prefix.parse().unwrap()).unwrap()), before);
}
