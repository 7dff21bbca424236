//! The policy as a whole, in invented time.

use super::*;
use crate::config::{DrainTime, HoldDown};
use crate::signal::{Fall, Rise, Timing};

const V4: &str = "192.0.2.0/24";
const V6: &str = "2001:db8:53::/48";
const HOLD: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(5);
const STALE: Duration = Duration::from_secs(3);

fn settings(degrade: Degrade) -> PolicyConfig {
    let timing = Timing { fall: Fall::new(2), rise: Rise::new(3), stale: STALE };
    PolicyConfig {
        groups: vec![GroupConfig {
            name: "main".into(),
            prefixes: vec![V4.parse().unwrap(), V6.parse().unwrap()],
            required_zones: vec!["example.com".into()],
            addresses: vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8:53::53]:53".parse().unwrap()],
            degrade,
        }],
        probe: timing,
        zone: timing,
        status: Some(timing),
        hold_down: HoldDown::new(HOLD),
        grace: GRACE,
        drain_time: DrainTime(DRAIN),
    }
}

/// A policy with a clock that tests move.
struct Bench {
    policy: Policy,
    now: Duration,
    outputs: Vec<Output>,
}

impl Bench {
    fn new(degrade: Degrade) -> Self {
        let policy = Policy::new(Duration::ZERO, settings(degrade)).unwrap();
        Self { policy, now: Duration::ZERO, outputs: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        self.policy.step(self.now, input, &mut self.outputs);
    }

    fn pass(&mut self, signal: SignalId) {
        self.input(Input::Observe { signal, observation: Observation::Pass("good".into()) });
    }

    fn fail(&mut self, signal: SignalId) {
        self.input(Input::Observe { signal, observation: Observation::Fail("no answer".into()) });
    }

    /// One round in which everything passes, a second later.
    fn round(&mut self) {
        self.round_but(&[]);
    }

    /// One round in which all but `failing` pass.
    fn round_but(&mut self, failing: &[SignalId]) {
        self.now += Duration::from_secs(1);
        let all: Vec<_> = self.policy.needed().map(|(id, _)| id.clone()).collect();
        for id in all {
            if failing.contains(&id) { self.fail(id) } else { self.pass(id) }
        }
    }

    fn announced(degrade: Degrade) -> Self {
        let mut bench = Self::new(degrade);
        for _ in 0..13 {
            bench.round();
        }
        assert_eq!(bench.levels(), [Level::Normal; 2]);
        bench.outputs.clear();
        bench
    }

    fn levels(&self) -> [Level; 2] {
        [V4, V6].map(|prefix| self.policy.level(prefix.parse().unwrap()).unwrap())
    }

    fn why(&self, prefix: &str) -> crate::Explanation {
        self.policy.explain(prefix.parse().unwrap(), self.now).unwrap()
    }
}

fn probe(prefix: &str, transport: Transport) -> SignalId {
    SignalId::Probe { address: address_of(prefix), transport }
}

fn zone(prefix: &str, transport: Transport) -> SignalId {
    SignalId::Zone { address: address_of(prefix), transport, zone: "example.com".into() }
}

fn address_of(prefix: &str) -> SocketAddr {
    if prefix == V4 { "192.0.2.53:53" } else { "[2001:db8:53::53]:53" }.parse().unwrap()
}

#[test]
fn a_node_starts_withdrawn_and_is_announced_after_rise_and_hold_down() {
    let mut bench = Bench::new(Degrade::Allowed);
    for _ in 0..12 {
        bench.round();
        assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    }
    assert_eq!(bench.why(V4).hold_down_left, Some(Duration::from_secs(1)));
    bench.round();
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert_eq!(bench.why(V4).history[0].cause, "all 4 probes are good, hold-down of 10.0s is over");
}

#[test]
fn a_dead_udp_withdraws_at_the_fall_count_and_the_other_family_stays() {
    let mut bench = Bench::announced(Degrade::Allowed);
    bench.fail(probe(V4, Transport::Udp));
    assert_eq!(bench.levels(), [Level::Normal; 2], "one late probe changes nothing");
    bench.fail(probe(V4, Transport::Udp));
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
    let cause = "UDP probe of 192.0.2.53:53: no answer";
    assert_eq!(bench.why(V4).history[0].cause, cause);
}

#[test]
fn a_dead_tcp_degrades_and_its_return_waits_for_the_hold_down() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let dead = [probe(V6, Transport::Tcp), zone(V6, Transport::Tcp)];
    bench.round_but(&dead);
    bench.round_but(&dead);
    assert_eq!(bench.levels(), [Level::Normal; 2], "UDP has its grace to turn out dead as well");
    assert_eq!(bench.why(V6).next_changes[0].after, Some(GRACE));
    bench.round_but(&dead);
    assert_eq!(bench.levels(), [Level::Normal, Level::Degraded]);
    for _ in 0..12 {
        bench.round();
        assert_eq!(bench.levels(), [Level::Normal, Level::Degraded]);
    }
    bench.round();
    assert_eq!(bench.levels(), [Level::Normal; 2]);
}

#[test]
fn where_degrade_is_off_a_dead_tcp_is_shown_and_changes_nothing() {
    let mut bench = Bench::announced(Degrade::Off);
    let dead = [probe(V4, Transport::Tcp)];
    for _ in 0..5 {
        bench.round_but(&dead);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let reasons = bench.why(V4).reasons;
    assert!(reasons.iter().any(|reason| reason.text.contains("degrade is off")), "{reasons:?}");
}

#[test]
fn a_required_zone_that_is_not_answered_withdraws() {
    let mut bench = Bench::announced(Degrade::Allowed);
    bench.round_but(&[zone(V4, Transport::Udp)]);
    bench.round_but(&[zone(V4, Transport::Udp)]);
    assert_eq!(bench.levels(), [Level::Withdrawn, Level::Normal]);
}

#[test]
fn a_responder_that_comes_back_earns_each_zone_anew() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let udp = || probe(V4, Transport::Udp);
    bench.fail(udp());
    bench.fail(udp());
    assert_eq!(bench.policy.health(&zone(V4, Transport::Udp)), Some(Health::Bad));
    for _ in 0..20 {
        bench.round_but(&[zone(V4, Transport::Udp)]);
        assert_eq!(bench.levels()[0], Level::Withdrawn, "it answers, and has not loaded the zone");
    }
}

#[test]
fn silence_withdraws_everything_at_its_deadline() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let deadline = bench.policy.next_deadline().unwrap();
    assert_eq!(deadline, bench.now + STALE);
    bench.now = deadline;
    bench.input(Input::Tick);
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    assert!(bench.why(V4).history[0].cause.contains("nothing seen for 3 s"));
}

#[test]
fn a_refused_zone_and_a_blind_status_are_alarms_and_move_nothing() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let refused = AlarmId::ZoneRefused { zone: "example.com.".into() };
    bench.input(Input::Raise { alarm: refused.clone(), text: "example.com.zone:3:7".into() });
    bench.fail(SignalId::Status);
    bench.fail(SignalId::Status);
    bench.fail(SignalId::Ready);
    bench.fail(SignalId::Ready);
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let alarms: Vec<_> = bench.policy.alarms().map(|alarm| alarm.id.clone()).collect();
    assert_eq!(alarms, [refused.clone(), AlarmId::StatusUnreachable]);
    bench.input(Input::Clear { alarm: refused });
    for _ in 0..3 {
        bench.pass(SignalId::Status);
    }
    assert_eq!(bench.policy.alarms().count(), 0);
    assert!(!bench.outputs.iter().any(|output| matches!(output, Output::Level { .. })));
}

#[test]
fn a_drain_caps_at_once_withdraws_at_its_deadline_and_ends_on_a_word() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let start = bench.now;
    bench.input(Input::Drain { text: "new disks".into(), author: "ada".into() });
    assert_eq!(bench.levels(), [Level::Draining; 2]);
    let change = &bench.why(V4).next_changes[0];
    assert_eq!((change.to, change.after), (Level::Withdrawn, Some(DRAIN)));
    bench.round();
    bench.input(Input::Drain { text: "and a fan".into(), author: "bob".into() });
    while bench.now < start + DRAIN {
        assert_eq!(bench.levels(), [Level::Draining; 2]);
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "a second drain does not move the deadline");
    assert!(bench.why(V4).reasons[0].text.ends_with("by bob: and a fan"));
    bench.input(Input::Undrain { text: "done".into(), author: "ada".into() });
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(bench.policy.alarms().all(|alarm| alarm.id != AlarmId::DrainInForce));
}

#[test]
fn an_address_concerns_the_prefixes_that_hold_it_and_else_its_family() {
    let mut config = settings(Degrade::Allowed);
    config.groups[0].prefixes = vec![V4.parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
    config.groups[0].addresses = vec!["192.0.2.53:53".parse().unwrap(), "192.0.2.54:53".parse().unwrap()];
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let count = |prefix: &str| policy.explain(prefix.parse().unwrap(), Duration::ZERO).unwrap().signals.len();
    let (per_address, informing) = (4, 2);
    assert_eq!(count(V4), 2 * per_address + informing);
    assert_eq!(count("198.51.100.0/24"), 2 * per_address + informing, "no address lies in it: both count");
}

#[test]
fn settings_that_can_never_announce_are_refused_by_name() {
    let refusal = |change: &dyn Fn(&mut PolicyConfig)| {
        let mut config = settings(Degrade::Allowed);
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut PolicyConfig);
    let cases: [(Change<'_>, &str); 6] = [
        (&|c| c.groups.clear(), "no group is configured"),
        (&|c| c.groups.push(c.groups[0].clone()), "group \"main\" is configured twice"),
        (&|c| c.groups[0].prefixes.clear(), "group \"main\" has no prefixes"),
        (&|c| c.groups[0].required_zones.clear(), "group \"main\" requires no zone"),
        (
            &|c| c.groups[0].addresses.truncate(1),
            "prefix 2001:db8:53::/48 of group \"main\" has no IPv6 address",
        ),
        (&|c| c.groups[0].prefixes.push(V4.parse().unwrap()), "prefix 192.0.2.0/24 is configured twice"),
    ];
    for (change, message) in cases {
        let said = refusal(change);
        assert!(said.contains(message), "{message} not in {said}");
    }
}

mod properties {
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
            Step::Drain => Input::Drain { text: words().0, author: words().1 },
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
}
