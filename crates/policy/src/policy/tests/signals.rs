//! What each kind of signal asks for, one by one, and what spares it.

use super::*;
use crate::alarm::AlarmId;
use crate::config::PolicyConfig;

/// The bench with every kind watched, by counts of two and three and short graces.
pub(super) fn wide(degrade: Degrade, expired: OnExpiry, overload: OnOverload) -> PolicyConfig {
    let mut config = settings(degrade);
    config.groups[0].expired = expired;
    config.groups[0].overload = overload;
    let timing = config.probe;
    let watch = |kind: Kind| {
        let fall = if matches!(kind, Kind::Overload | Kind::Heartbeats) { Fall::new(1) } else { timing.fall };
        // What is only told may be silent for a while.
        let stale = if kind == Kind::Status { STALE } else { STALE * 4 };
        let grace = if kind.asks() && !kind.means_cannot_answer() { GRACE * 2 } else { Duration::ZERO };
        (kind, Watch { timing: Timing { fall, stale, ..timing }, grace })
    };
    config.watched = Kind::ALL.into_iter().filter(|kind| !kind.gates()).map(watch).collect();
    config
}

fn announced(config: PolicyConfig) -> Bench {
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let mut bench = Bench { policy, now: Duration::ZERO, outputs: Vec::new() };
    for _ in 0..13 {
        bench.round();
        bench.told(&[]);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    bench.outputs.clear();
    bench
}

fn usual() -> Bench {
    announced(wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default()))
}

impl Bench {
    /// Every signal but probes and zones passes, save those given.
    fn told(&mut self, otherwise: &[(SignalId, Observation)]) {
        let all: Vec<_> = self.policy.observed().filter(|id| !id.kind().gates()).cloned().collect();
        for signal in all {
            let other = otherwise.iter().find(|(id, _)| *id == signal);
            let observation =
                other.map_or_else(|| Observation::Pass("good".into()), |(_, seen)| seen.clone());
            self.input(Input::Observe { signal, observation });
        }
    }

    /// Rounds in which every probe passes and these signals are as given.
    fn rounds(&mut self, count: u32, otherwise: &[(SignalId, Observation)]) {
        for _ in 0..count {
            self.round();
            self.told(otherwise);
        }
    }

    fn alarmed(&self, signal: &SignalId) -> bool {
        let id = AlarmId::Signal { signal: signal.clone() };
        self.policy.alarms().any(|alarm| alarm.id == id)
    }

    fn reasons(&self) -> String {
        self.why(V4).reasons.iter().map(|reason| format!("{}: {}\n", reason.asks, reason.text)).collect()
    }
}

fn fail() -> Observation {
    Observation::Fail("broken".into())
}

fn group() -> Arc<str> {
    Arc::from("main")
}

#[test]
fn what_may_only_degrade_is_an_alarm_first_and_degrades_after_its_grace() {
    let cases = [
        SignalId::Slow { address: address_of(V4) },
        SignalId::Wire { address: address_of(V4) },
        SignalId::DefaultRoute { family: Family::Ipv4 },
    ];
    for signal in cases {
        let mut bench = usual();
        bench.rounds(2, &[(signal.clone(), fail())]);
        assert!(bench.alarmed(&signal), "{signal}");
        assert_eq!(bench.levels(), [Level::Normal; 2], "{signal} has its grace");
        assert!(bench.reasons().contains("asks for nothing for"), "{}", bench.reasons());
        assert!(
            bench.why(V4).next_changes.iter().any(|next| next.to == Level::Degraded && next.after.is_some())
        );
        bench.rounds(4, &[(signal.clone(), fail())]);
        assert_eq!(bench.levels(), [Level::Degraded, Level::Normal], "{signal}");
        bench.rounds(30, &[(signal.clone(), fail())]);
        assert_eq!(bench.levels(), [Level::Degraded, Level::Normal], "{signal} never withdraws");
        bench.rounds(14, &[]);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
        assert!(!bench.alarmed(&signal));
    }
}

#[test]
fn data_too_old_degrade_the_group_and_no_more() {
    let mut bench = usual();
    let old = [(SignalId::DataAge { group: group() }, fail())];
    bench.rounds(60, &old);
    assert_eq!(bench.levels(), [Level::Degraded; 2]);
}

#[test]
fn signatures_go_from_an_alarm_over_degraded_to_last_resort() {
    let signal = SignalId::Signatures { group: group() };
    let mut bench = usual();
    bench.rounds(2, &[(signal.clone(), Observation::Warn("expire within 7 d".into()))]);
    assert!(bench.alarmed(&signal));
    bench.rounds(10, &[(signal.clone(), Observation::Warn("expire within 7 d".into()))]);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(bench.reasons().contains("expire within 7 d"));
    bench.rounds(10, &[(signal.clone(), Observation::Fail("expire within 1 d".into()))]);
    assert_eq!(bench.levels(), [Level::Degraded; 2]);
    bench.rounds(10, &[(signal.clone(), Observation::Expired("have expired".into()))]);
    assert_eq!(bench.levels(), [Level::LastResort; 2]);
}

#[test]
fn expired_signatures_withdraw_only_where_the_group_says_so() {
    let signal = SignalId::Signatures { group: group() };
    let mut bench = announced(wide(Degrade::Allowed, OnExpiry::Withdraw, OnOverload::default()));
    bench.rounds(10, &[(signal.clone(), Observation::Fail("expire within 1 d".into()))]);
    assert_eq!(bench.levels(), [Level::Degraded; 2]);
    bench.rounds(5, &[(signal.clone(), Observation::Expired("have expired".into()))]);
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
}

#[test]
fn a_clock_that_cannot_be_believed_silences_what_is_judged_by_it() {
    let mut bench = usual();
    let wrong = [
        (SignalId::Clock, fail()),
        (SignalId::Signatures { group: group() }, Observation::Expired("have expired".into())),
        (SignalId::DataAge { group: group() }, fail()),
    ];
    bench.rounds(20, &wrong);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(bench.alarmed(&SignalId::Clock));
    assert!(bench.reasons().contains("ignored while this host's clock is wrong"), "{}", bench.reasons());
    bench.rounds(20, &wrong[1..]);
    assert_eq!(bench.levels(), [Level::LastResort; 2], "once the clock is right, they count");
}

#[test]
fn a_clock_that_cannot_be_believed_raises_no_alarm_of_data_and_ends_those_that_it_may_have_raised() {
    let signatures = SignalId::Signatures { group: group() };
    let age = SignalId::DataAge { group: group() };
    let judged = [(signatures.clone(), Observation::Expired("have expired".into())), (age.clone(), fail())];
    let doubted = [&[(SignalId::Clock, fail())], &judged[..]].concat();
    let mut bench = usual();
    bench.rounds(20, &doubted);
    assert!(!bench.alarmed(&signatures) && !bench.alarmed(&age));
    bench.rounds(20, &judged);
    assert!(bench.alarmed(&signatures) && bench.alarmed(&age), "once the clock is right");
    bench.rounds(20, &doubted);
    assert!(!bench.alarmed(&signatures) && !bench.alarmed(&age), "it was perhaps wrong before");
    bench.rounds(20, &[]);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
}

#[test]
fn a_missing_address_and_a_stuck_worker_withdraw_at_once() {
    let mut bench = usual();
    let missing = SignalId::Address { ip: address_of(V4).ip() };
    bench.fail(missing.clone());
    bench.fail(missing.clone());
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
    assert!(bench.alarmed(&missing));
    let mut bench = usual();
    bench.fail(SignalId::Heartbeats);
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
}

#[test]
fn a_status_that_falls_silent_withdraws_nobody_and_forgets_what_it_told_of_threads() {
    let mut bench = usual();
    bench.rounds(5, &[(SignalId::Overload, fail())]);
    for _ in 0..40 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let alarms: Vec<_> = bench.policy.alarms().map(|alarm| alarm.id.clone()).collect();
    assert_eq!(alarms, [AlarmId::StatusUnreachable]);
    for signal in [SignalId::Heartbeats, SignalId::Overload] {
        assert_eq!(bench.policy.health(&signal), Some(Health::Unknown), "{signal}");
    }
}

#[test]
fn what_was_told_to_be_wrong_with_data_counts_on_when_the_status_falls_silent() {
    let signatures = SignalId::Signatures { group: group() };
    let expired = [(signatures.clone(), Observation::Expired("have expired".into()))];
    for (choice, level) in [(OnExpiry::LastResort, Level::LastResort), (OnExpiry::Withdraw, Level::Withdrawn)]
    {
        let mut bench = announced(wide(Degrade::Allowed, choice, OnOverload::default()));
        bench.rounds(10, &expired);
        assert_eq!(bench.levels(), [level; 2]);
        for _ in 0..60 {
            bench.round();
        }
        assert_eq!(bench.levels(), [level; 2], "a status page that hangs makes no signature valid");
        assert!(
            bench.reasons().contains("have expired (last known: nothing seen for 12 s)"),
            "{}",
            bench.reasons()
        );
        assert!(bench.alarmed(&signatures));
        bench.rounds(20, &[]);
        assert_eq!(bench.levels(), [Level::Normal; 2], "a status that says otherwise does");
    }
}

#[test]
fn a_clock_that_could_not_be_believed_spares_data_on_when_the_status_falls_silent() {
    let mut bench = usual();
    let wrong = [(SignalId::Clock, fail()), (SignalId::DataAge { group: group() }, fail())];
    bench.rounds(10, &wrong);
    for _ in 0..60 {
        bench.round();
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.reasons().contains("ignored while this host's clock is wrong"), "{}", bench.reasons());
}

#[test]
fn overload_is_an_alarm_and_a_step_or_a_withdrawal_only_by_choice() {
    let flood = [(SignalId::Overload, fail())];
    for (choice, level) in [
        (OnOverload::Hold, Level::Normal),
        (OnOverload::Degrade, Level::Degraded),
        (OnOverload::Withdraw, Level::Withdrawn),
    ] {
        let mut bench = announced(wide(Degrade::Allowed, OnExpiry::default(), choice));
        bench.rounds(2, &flood);
        assert_eq!(bench.levels(), [Level::Normal; 2], "there is a grace");
        bench.rounds(20, &flood);
        assert_eq!(bench.levels(), [level; 2]);
        assert!(bench.alarmed(&SignalId::Overload));
    }
}

/// One round in which the flood swallows every probe.
fn swallowed(bench: &mut Bench, otherwise: &[(SignalId, Observation)]) {
    swallowed_of(bench, Kind::Probe, otherwise);
}

/// One round in which the flood swallows what is asked for the signals of one kind.
fn swallowed_of(bench: &mut Bench, kind: Kind, otherwise: &[(SignalId, Observation)]) {
    bench.now += Duration::from_secs(1);
    bench.told(otherwise);
    let asked: Vec<_> =
        bench.policy.needed().map(|(id, _)| id.clone()).filter(|id| id.kind() == kind).collect();
    for signal in asked {
        let observation = Observation::Unanswered("no answer within 200ms".into());
        bench.input(Input::Observe { signal, observation });
    }
}

/// One round in which others are answered, and the queries for these zones are swallowed.
fn lossy(bench: &mut Bench, otherwise: &[(SignalId, Observation)]) {
    probes_pass(bench);
    swallowed_of(bench, Kind::Zone, otherwise);
}

/// One round in which all is well, and no zone is asked for.
fn not_its_turn(bench: &mut Bench) {
    bench.now += Duration::from_secs(1);
    probes_pass(bench);
    bench.told(&[]);
}

fn probes_pass(bench: &mut Bench) {
    let probes: Vec<_> =
        bench.policy.needed().map(|(id, _)| id.clone()).filter(|id| id.kind() == Kind::Probe).collect();
    for signal in probes {
        bench.pass(signal);
    }
}

#[test]
fn a_flood_that_swallows_the_probes_withdraws_nobody_while_every_worker_runs() {
    let flood = [(SignalId::Overload, fail())];
    let mut bench = usual();
    for _ in 0..30 {
        swallowed(&mut bench, &flood);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.reasons().contains("overload explains it"), "{}", bench.reasons());
    bench.rounds(5, &[]);
    assert_eq!(bench.levels(), [Level::Normal; 2], "and nothing happens when it ends");
}

#[test]
fn a_few_drops_excuse_what_is_lost_for_half_a_minute_and_not_an_address_that_is_dead() {
    let few = [(SignalId::Overload, Observation::Warn("1 drop".into()))];
    let mut bench = usual();
    let begin = bench.now;
    while bench.now - begin < Duration::from_secs(29) {
        swallowed(&mut bench, &few);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.alarmed(&SignalId::Overload));
    for _ in 0..2 {
        swallowed(&mut bench, &few);
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    assert!(bench.reasons().contains("drops do not explain so long a silence"), "{}", bench.reasons());

    // Many excuse it for as long as they last; of what comes after them, a while is theirs.
    let mut bench = usual();
    for _ in 0..120 {
        swallowed(&mut bench, &[(SignalId::Overload, fail())]);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    for _ in 0..3 {
        swallowed(&mut bench, &few);
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
}

#[test]
fn answers_that_are_slow_while_a_few_are_dropped_ask_for_less_after_their_grace_all_the_same() {
    let slow = || (SignalId::Slow { address: address_of(V4) }, fail());
    let mut bench = usual();
    for second in 0..20 {
        // One drop every five seconds.
        let dropped = (second % 5 == 0).then(|| (SignalId::Overload, Observation::Warn("1 drop".into())));
        let told: Vec<_> = dropped.into_iter().chain([slow()]).collect();
        bench.rounds(1, &told);
    }
    assert_eq!(bench.levels(), [Level::Degraded, Level::Normal]);
}

#[test]
fn answers_that_are_slow_in_a_flood_are_not_asked_to_be_fewer_before_it_has_been_over_for_their_grace() {
    let slow = || (SignalId::Slow { address: address_of(V4) }, fail());
    let mut bench = usual();
    for _ in 0..120 {
        bench.rounds(1, &[(SignalId::Overload, fail()), slow()]);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.reasons().contains("overload explains it"), "{}", bench.reasons());
    let until = |bench: &mut Bench, is_so: fn(&Bench) -> bool| {
        let begun = bench.now;
        while !is_so(bench) && bench.now < begun + Duration::from_secs(100) {
            bench.rounds(1, &[slow()]);
            assert!(bench.levels()[0] == Level::Normal || is_so(bench), "{}", bench.reasons());
        }
        bench.now
    };
    let over = until(&mut bench, |bench| !bench.policy.is_bad(&SignalId::Overload));
    let degraded = until(&mut bench, |bench| bench.levels()[0] == Level::Degraded);
    // And the round in which it is seen.
    assert!((GRACE * 2..=GRACE * 3).contains(&(degraded - over)), "{:?}", degraded - over);
}

/// What the host counts of each family.
fn counted(v4: &Observation, v6: &Observation) -> [(SignalId, Observation); 3] {
    [
        (SignalId::Overload, fail()),
        (SignalId::Answers { family: Family::Ipv4 }, v4.clone()),
        (SignalId::Answers { family: Family::Ipv6 }, v6.clone()),
    ]
}

#[test]
fn where_nobody_is_answered_nobody_does_better_and_nobody_leaves_though_the_host_counts_nothing() {
    let mut bench = usual();
    for _ in 0..600 {
        swallowed(&mut bench, &counted(&fail(), &fail()));
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
}

#[test]
fn a_flooded_family_that_is_seen_to_answer_is_not_taken_for_dead_however_well_the_other_is_answered() {
    let answers = Observation::Pass("by hundreds".into());
    let mut bench = usual();
    let round = |bench: &mut Bench, v4: &Observation| {
        bench.now += Duration::from_secs(1);
        bench.told(&counted(v4, &fail()));
        let late = || Observation::Unanswered("no answer within 200ms".into());
        let signal = probe(V4, Transport::Udp);
        bench.input(Input::Observe { signal, observation: late() });
        let good = [probe(V6, Transport::Udp), zone(V6, Transport::Udp), probe(V4, Transport::Tcp)];
        let rest = [zone(V4, Transport::Tcp), probe(V6, Transport::Tcp), zone(V6, Transport::Tcp)];
        good.into_iter().chain(rest).for_each(|signal| bench.pass(signal));
    };
    for _ in 0..600 {
        round(&mut bench, &answers);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    for _ in 0..2 {
        round(&mut bench, &fail());
    }
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal], "then it is dead");
    bench.pass(probe(V4, Transport::Udp));
    assert_eq!(bench.levels()[0], Level::Withdrawn, "one answer earns nothing back");
}

#[test]
fn an_address_that_no_query_reaches_does_not_hide_behind_what_its_family_answers_elsewhere() {
    let answers = Observation::Pass("by hundreds".into());
    let late = || Observation::Unanswered("no answer within 200ms".into());
    let round = |bench: &mut Bench, traffic: Observation| {
        bench.now += Duration::from_secs(1);
        let traffic = (SignalId::Traffic { prefix: V4.parse().unwrap() }, traffic);
        bench.told(&[counted(&answers, &answers).as_slice(), &[traffic]].concat());
        let signal = probe(V4, Transport::Udp);
        bench.input(Input::Observe { signal, observation: late() });
        let good = [probe(V6, Transport::Udp), zone(V6, Transport::Udp), probe(V4, Transport::Tcp)];
        let rest = [zone(V4, Transport::Tcp), probe(V6, Transport::Tcp), zone(V6, Transport::Tcp)];
        good.into_iter().chain(rest).for_each(|signal| bench.pass(signal));
    };
    let mut bench = usual();
    for _ in 0..120 {
        round(&mut bench, Observation::Pass("they come".into()));
        assert_eq!(bench.levels(), [Level::Normal; 2], "the flood is there");
    }
    for _ in 0..3 {
        round(&mut bench, fail());
    }
    assert_eq!(
        bench.levels(),
        [Level::Withdrawn, Level::Normal],
        "nothing reaches it, whatever others are sent"
    );
}

#[test]
fn a_flood_that_swallows_the_queries_for_some_zones_withdraws_nobody_while_every_worker_runs() {
    let flood = [(SignalId::Overload, fail())];
    let mut bench = usual();
    for _ in 0..30 {
        lossy(&mut bench, &flood);
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    bench.rounds(5, &[]);
    assert_eq!(bench.levels(), [Level::Normal; 2], "and nothing happens when it ends");
    for _ in 0..2 {
        lossy(&mut bench, &[]);
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "without a flood it is the zone's matter");
}

/// Of thousands of zones each waits for its turn, which may be longer than it takes to believe that drops are over.
#[test]
fn a_zone_that_a_flood_left_unanswered_is_excused_until_its_next_turn_and_no_longer() {
    let patient = || {
        let mut config = wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default());
        config.zone.stale = Duration::from_secs(60);
        let mut bench = announced(config);
        for _ in 0..30 {
            lossy(&mut bench, &[(SignalId::Overload, fail())]);
        }
        assert_eq!(bench.policy.health(&zone(V4, Transport::Udp)), Some(Health::Bad));
        for _ in 0..15 {
            not_its_turn(&mut bench);
            assert_eq!(bench.levels(), [Level::Normal; 2]);
        }
        assert_eq!(bench.policy.health(&SignalId::Overload), Some(Health::Good), "over, and believed to be");
        bench
    };
    let mut answered = patient();
    answered.rounds(5, &[]);
    assert_eq!(answered.levels(), [Level::Normal; 2], "it comes back by and by");

    let mut missed = patient();
    lossy(&mut missed, &[]);
    assert_eq!(missed.levels(), [Level::Withdrawn; 2], "the first that is missed has no excuse");

    let mut forgotten = patient();
    for _ in 0..60 {
        not_its_turn(&mut forgotten);
    }
    assert_eq!(forgotten.levels(), [Level::Withdrawn; 2], "nor has whoever should ask");
}

/// Another name server: what the host tells of answers is forgotten soon after a flood.
#[test]
fn a_zone_of_another_server_is_excused_until_its_next_turn_too() {
    let mut config = wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default());
    config.zone.stale = Duration::from_secs(90);
    for kind in [Kind::Status, Kind::Ready, Kind::Heartbeats] {
        config.watched.remove(&kind);
    }
    let mut bench = announced(config);
    for _ in 0..30 {
        lossy(&mut bench, &[(SignalId::Overload, fail())]);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let answers = SignalId::Answers { family: Family::Ipv4 };
    let calm = |bench: &mut Bench, zones: bool| {
        bench.now += Duration::from_secs(1);
        probes_pass(bench);
        bench.pass(SignalId::Overload);
        let all: Vec<_> = bench.policy.needed().map(|(id, _)| id.clone()).collect();
        all.into_iter().filter(|id| zones && id.kind() == Kind::Zone).for_each(|id| bench.pass(id));
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    };
    // Three turns until it is believed to be answered again.
    for round in 1..=60 {
        calm(&mut bench, round % 20 == 0);
    }
    assert_eq!(bench.policy.health(&answers), Some(Health::Unknown), "long forgotten");
    assert_eq!(bench.policy.health(&zone(V4, Transport::Udp)), Some(Health::Good));
}

#[test]
fn what_overload_excuses_stays_excused_while_whole_rounds_are_swallowed() {
    let flood = [(SignalId::Overload, fail())];
    let mut bench = usual();
    for _ in 0..5 {
        lossy(&mut bench, &flood);
    }
    assert_eq!(bench.policy.health(&zone(V4, Transport::Udp)), Some(Health::Bad));
    for _ in 0..20 {
        swallowed(&mut bench, &flood);
        assert_eq!(bench.levels(), [Level::Normal; 2], "nobody could look");
    }
    bench.rounds(5, &[]);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
}

#[test]
fn a_hang_in_a_flood_withdraws_as_soon_as_a_heartbeat_or_the_status_says_so() {
    let flood = (SignalId::Overload, fail());
    for other in [SignalId::Heartbeats, SignalId::Status] {
        let mut bench = usual();
        for _ in 0..5 {
            swallowed(&mut bench, std::slice::from_ref(&flood));
        }
        swallowed(&mut bench, &[flood.clone(), (other.clone(), fail())]);
        swallowed(&mut bench, &[flood.clone(), (other.clone(), fail())]);
        assert_eq!(bench.levels(), [Level::Withdrawn; 2], "{other}");
        assert_eq!(
            bench.policy.health(&zone(V4, Transport::Udp)),
            Some(Health::Bad),
            "readiness is earned anew"
        );
    }
}

/// One round in which the flood swallows every probe, and the status with them; this is what the host counts.
fn swallowed_with_the_status(bench: &mut Bench, answers: &Observation) {
    bench.now += Duration::from_secs(1);
    let late = || Observation::Unanswered("no answer within 1s".into());
    bench.input(Input::Observe { signal: SignalId::Status, observation: late() });
    bench.fail(SignalId::Overload);
    let signal = SignalId::Answers { family: Family::Ipv4 };
    bench.input(Input::Observe { signal, observation: answers.clone() });
    let probes: Vec<_> =
        bench.policy.needed().map(|(id, _)| id.clone()).filter(|id| id.kind() == Kind::Probe).collect();
    for signal in probes {
        bench.input(Input::Observe { signal, observation: late() });
    }
}

#[test]
fn a_status_that_comes_too_late_in_a_flood_withdraws_nobody_while_the_host_is_seen_to_answer() {
    let mut bench = usual();
    for _ in 0..5 {
        swallowed(&mut bench, &[(SignalId::Overload, fail())]);
    }
    for _ in 0..600 {
        swallowed_with_the_status(&mut bench, &Observation::Pass("by hundreds".into()));
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert_eq!(bench.policy.health(&SignalId::Heartbeats), Some(Health::Unknown), "long forgotten");
    for _ in 0..3 {
        swallowed_with_the_status(&mut bench, &fail());
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "who is not seen to answer any more may hang");
}

#[test]
fn a_status_that_is_refused_in_a_flood_ends_the_excuse_although_the_host_is_seen_to_answer() {
    let mut bench = usual();
    for _ in 0..20 {
        swallowed_with_the_status(&mut bench, &Observation::Pass("by hundreds".into()));
    }
    bench.fail(SignalId::Status);
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
}

#[test]
fn without_a_status_a_flood_withdraws_nobody_while_the_host_is_seen_to_answer() {
    let mut config = wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default());
    for kind in [Kind::Status, Kind::Ready, Kind::Heartbeats, Kind::Traffic] {
        config.watched.remove(&kind);
    }
    let mut bench = announced(config);
    for _ in 0..600 {
        swallowed_with_the_status(&mut bench, &Observation::Pass("by hundreds".into()));
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.alarmed(&SignalId::Overload));
    for _ in 0..3 {
        swallowed_with_the_status(&mut bench, &fail());
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "drops alone are those of a server that hangs");
}

#[test]
fn who_is_seen_to_answer_or_not_raises_no_alarm_and_is_quiet_at_worst() {
    let signal = SignalId::Answers { family: Family::Ipv6 };
    let mut bench = usual();
    bench.rounds(10, &[(signal.clone(), fail())]);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(!bench.alarmed(&signal));
    let views = bench.why(V6).signals;
    let view = views.iter().find(|view| view.name == "IPv6 answers of this host").unwrap();
    assert_eq!(view.health, crate::explain::Verdict::Quiet);
}

#[test]
fn a_status_that_comes_too_late_in_a_flood_withdraws_nobody_until_heartbeats_are_forgotten_where_the_host_counts_nothing()
 {
    let mut bench = usual();
    for _ in 0..5 {
        swallowed(&mut bench, &[(SignalId::Overload, fail())]);
    }
    let forgotten = (STALE * 4).as_secs();
    for _ in 1..forgotten {
        swallowed_with_the_status(&mut bench, &fail());
        assert_eq!(bench.levels(), [Level::Normal; 2]);
    }
    assert!(bench.policy.health(&SignalId::Status).is_some_and(Health::is_bad));
    swallowed_with_the_status(&mut bench, &fail());
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "who has not been heard for so long may hang");
}

#[test]
fn a_responder_that_answers_nobody_has_no_excuse_although_it_drops_queries() {
    let flood = [(SignalId::Overload, fail())];
    let mut bench = usual();
    for _ in 0..5 {
        swallowed(&mut bench, &flood);
    }
    let silent = [(SignalId::Heartbeats, Observation::Warn("all 2 run, and have answered nobody".into()))];
    for _ in 0..2 {
        swallowed(&mut bench, &silent);
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
}

#[test]
fn a_refused_probe_in_a_flood_withdraws_at_once() {
    let flood = [(SignalId::Overload, fail())];
    let mut bench = usual();
    for _ in 0..5 {
        swallowed(&mut bench, &flood);
    }
    bench.fail(probe(V4, Transport::Udp));
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
}

#[test]
fn next_to_no_traffic_is_an_alarm_at_level_normal_and_only_there() {
    let traffic = SignalId::Traffic { prefix: V4.parse().unwrap() };
    let mut bench = usual();
    bench.rounds(10, &[(traffic.clone(), fail())]);
    assert!(bench.alarmed(&traffic));
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let text = bench.policy.alarms().next().unwrap().text.clone();
    assert_eq!(text, "announced at level normal, yet broken");
    bench.rounds(10, &[(traffic.clone(), fail()), (SignalId::DataAge { group: group() }, fail())]);
    assert_eq!(bench.levels(), [Level::Degraded; 2]);
    assert!(!bench.alarmed(&traffic), "who asks for less must not wonder that less comes");
}

#[test]
fn an_anchor_stands_from_the_start_and_through_everything() {
    let mut config = wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default());
    let prefix: Prefix = "192.0.2.0/23".parse().unwrap();
    config.anchors = vec![AnchorConfig { prefix, drain: AnchorDrain::Stays }];
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let mut bench = Bench { policy, now: Duration::ZERO, outputs: Vec::new() };
    assert_eq!(bench.policy.level(prefix), Some(Level::Normal));
    bench.fail(probe(V4, Transport::Udp));
    bench.fail(SignalId::Heartbeats);
    bench.input(drain("by mistake, everywhere", "ada"));
    bench.now += DRAIN;
    bench.input(Input::Tick);
    assert_eq!(bench.policy.level(prefix), Some(Level::Normal));
    let why = bench.policy.explain(prefix, bench.now).unwrap();
    assert_eq!((why.group.as_str(), why.reasons.len()), ("anchor", 1));
    assert!(why.reasons[0].text.starts_with("anchor: announced while the sidecar lives"));
}
