//! The policy as a whole, in invented time.

use super::*;
use crate::config::{
    AnchorConfig, AnchorDrain, Degrade, DrainTime, HoldDown, Linger, OnExpiry, OnFailure, OnOverload,
    ReturnCap,
};
use crate::kind::Watch;
use crate::operator::DrainPhase;
use crate::signal::{Fall, Rise, Timing};
use std::num::NonZeroU32;

mod memory;
mod probes;
mod properties;
mod signals;
mod words;
mod world;

const V4: &str = "192.0.2.0/24";
const V6: &str = "2001:db8:53::/48";
const HOLD: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(20);
const STALE: Duration = Duration::from_secs(3);

fn settings(degrade: Degrade) -> PolicyConfig {
    let timing = Timing { fall: Fall::new(2), rise: Rise::new(3), stale: STALE };
    let watch = Watch { timing, grace: Duration::ZERO };
    PolicyConfig {
        groups: vec![GroupConfig {
            name: "main".into(),
            prefixes: vec![V4.parse().unwrap(), V6.parse().unwrap()],
            required_zones: vec!["example.com".into()],
            addresses: vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8:53::53]:53".parse().unwrap()],
            degrade,
            failing: OnFailure::default(),
            expired: OnExpiry::default(),
            overload: OnOverload::default(),
        }],
        anchors: Vec::new(),
        probe: timing,
        zone: timing,
        watched: [Kind::Status, Kind::Ready].map(|kind| (kind, watch)).into(),
        hold_down: HoldDown::new(HOLD),
        returns: ReturnCap { most: NonZeroU32::MAX, within: Duration::from_secs(3600) },
        grace: GRACE,
        drain_time: DrainTime(DRAIN),
        linger: Linger(LINGER),
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

fn drain(text: &str, author: &str) -> Input {
    Input::Drain { text: text.into(), author: author.into(), within: None, expires: None }
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

/// A bench of these required zones, announced, and the signals of the first by UDP and TCP and of the second by UDP.
fn two_zones(failing: OnFailure, degrade: Degrade) -> (Bench, [SignalId; 3]) {
    let mut config = settings(degrade);
    config.groups[0].required_zones.push("example.net".into());
    config.groups[0].failing = failing;
    let policy = Policy::new(Duration::ZERO, config).unwrap();
    let mut bench = Bench { policy, now: Duration::ZERO, outputs: Vec::new() };
    for _ in 0..13 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let other =
        SignalId::Zone { address: address_of(V4), transport: Transport::Udp, zone: "example.net".into() };
    (bench, [zone(V4, Transport::Udp), zone(V4, Transport::Tcp), other])
}

#[test]
fn one_required_zone_that_fails_while_another_is_answered_makes_a_last_resort() {
    let (mut bench, [one, by_tcp, other]) = two_zones(OnFailure::default(), Degrade::Allowed);
    let changes = bench.why(V4).next_changes;
    assert!(changes.iter().any(|change| change.to == Level::LastResort), "{changes:?}");
    for _ in 0..5 {
        bench.round_but(&[one.clone(), by_tcp.clone()]);
    }
    assert_eq!(bench.levels(), [Level::LastResort, Level::Normal]);
    assert!(bench.why(V4).reasons[0].text.contains("zone example.com over UDP"));
    for _ in 0..2 {
        bench.round_but(&[one.clone(), other.clone()]);
    }
    assert_eq!(bench.levels()[0], Level::Withdrawn, "no zone is answered any more");
    for _ in 0..15 {
        bench.round();
    }
    assert_eq!(bench.levels()[0], Level::Normal);
    for _ in 0..5 {
        bench.round_but(std::slice::from_ref(&by_tcp));
    }
    assert_eq!(bench.levels()[0], Level::Degraded, "TCP asks for no more than one step");
}

#[test]
fn one_required_zone_that_fails_withdraws_where_the_group_says_so_and_is_left_where_degrade_is_off() {
    for (failing, degrade, level) in [
        (OnFailure::Withdraw, Degrade::Allowed, Level::Withdrawn),
        (OnFailure::Withdraw, Degrade::Off, Level::Withdrawn),
        (OnFailure::LastResort, Degrade::Off, Level::Normal),
    ] {
        let (mut bench, [one, ..]) = two_zones(failing, degrade);
        for _ in 0..5 {
            bench.round_but(std::slice::from_ref(&one));
        }
        assert_eq!(bench.levels(), [level, Level::Normal], "{failing:?} {degrade:?}");
    }
}

#[test]
fn a_required_zone_that_was_never_answered_keeps_the_node_withdrawn() {
    let (mut bench, [one, by_tcp, _]) = two_zones(OnFailure::default(), Degrade::Allowed);
    // The responder dies, and the next one has not loaded it.
    for _ in 0..2 {
        bench.round_but(&[probe(V4, Transport::Udp), probe(V4, Transport::Tcp)]);
    }
    for _ in 0..40 {
        bench.round_but(&[one.clone(), by_tcp.clone()]);
        assert_eq!(bench.levels()[0], Level::Withdrawn);
    }
    for _ in 0..24 {
        bench.round();
    }
    assert_eq!(bench.levels()[0], Level::Normal);
}

#[test]
fn a_required_zone_whose_answers_disagree_with_the_status_asks_for_one_step_less() {
    for (degrade, level) in [(Degrade::Allowed, Level::Degraded), (Degrade::Off, Level::Normal)] {
        let mut bench = Bench::announced(degrade);
        for _ in 0..40 {
            bench.round();
            let observation = Observation::Warn("serial 7, status says 8".into());
            bench.input(Input::Observe { signal: zone(V4, Transport::Udp), observation });
        }
        assert_eq!(bench.levels(), [Level::Normal; 2], "each has a good one in between");
        for _ in 0..40 {
            bench.now += Duration::from_secs(1);
            let all: Vec<_> = bench.policy.needed().map(|(id, _)| id.clone()).collect();
            for signal in all {
                let observation = if signal == zone(V4, Transport::Udp) {
                    Observation::Warn("serial 7, status says 8".into())
                } else {
                    Observation::Pass("good".into())
                };
                bench.input(Input::Observe { signal, observation });
            }
        }
        assert_eq!(bench.levels(), [level, Level::Normal]);
        let reasons = bench.why(V4).reasons;
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].text.contains("serial 7, status says 8"), "{reasons:?}");
    }
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
    assert!(bench.policy.alarms().any(|alarm| alarm.id == AlarmId::ZoneFailing));
}

#[test]
fn zones_that_go_and_come_with_their_responder_are_no_alarm() {
    let mut bench = Bench::announced(Degrade::Allowed);
    for _ in 0..4 {
        bench.round_but(&[probe(V4, Transport::Udp), zone(V4, Transport::Udp)]);
    }
    for _ in 0..13 {
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    let raised = |output: &&Output| matches!(output, Output::AlarmRaised(_));
    assert_eq!(bench.outputs.iter().find(raised), None);
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
    bench.input(drain("new disks", "ada"));
    assert_eq!(bench.levels(), [Level::Draining; 2]);
    let change = &bench.why(V4).next_changes[0];
    assert_eq!((change.to, change.after), (Level::Withdrawn, Some(DRAIN)));
    bench.round();
    bench.input(drain("and a fan", "bob"));
    while bench.now < start + DRAIN {
        assert_eq!(bench.levels(), [Level::Draining; 2]);
        bench.round();
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2], "a second drain does not move the deadline");
    let said = bench.why(V4).reasons[0].text.clone();
    assert!(said.ends_with("by bob: and a fan; whether queries still come is not known"), "{said}");
    bench.input(Input::Undrain { text: "done".into(), author: "ada".into() });
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    assert!(bench.policy.alarms().all(|alarm| alarm.id != AlarmId::DrainInForce));
}

#[test]
fn who_has_left_altogether_under_a_drain_comes_back_on_an_undrain_alone() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let (text, author) = ("new disks".to_owned(), "ada".to_owned());
    bench.input(Input::Drain { text, author, within: Some(6 * HOLD), expires: None });
    for _ in 0..3 {
        bench.round_but(&[probe(V4, Transport::Udp), probe(V6, Transport::Udp)]);
    }
    assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    let left_at = bench.now;
    while bench.now < left_at + 3 * HOLD {
        bench.round();
        assert_eq!(bench.levels(), [Level::Withdrawn; 2], "good again, and drained all the same");
    }
    bench.input(Input::Undrain { text: "done".into(), author: "ada".into() });
    assert_eq!(bench.levels(), [Level::Normal; 2]);
}

#[test]
fn a_signal_knows_the_best_level_of_the_prefixes_that_it_concerns() {
    let mut bench = Bench::announced(Degrade::Allowed);
    let (v4, v6) = (probe(V4, Transport::Udp), probe(V6, Transport::Udp));
    for _ in 0..2 {
        bench.round_but(std::slice::from_ref(&v4));
    }
    assert_eq!(bench.policy.best_level_of(&v4), Some(Level::Withdrawn));
    assert_eq!(bench.policy.best_level_of(&v6), Some(Level::Normal));
    assert_eq!(bench.policy.best_level_of(&SignalId::Ready), None, "it concerns none");
}

#[test]
fn an_address_concerns_the_prefixes_that_hold_it_and_else_its_family() {
    let other = "198.51.100.0/24";
    let mut config = settings(Degrade::Allowed);
    config.groups[0].prefixes = vec![V4.parse().unwrap(), other.parse().unwrap()];
    let signals = |addresses: &[&str], prefix: &str| {
        let mut config = config.clone();
        config.groups[0].addresses = addresses.iter().map(|at| at.parse().unwrap()).collect();
        let policy = Policy::new(Duration::ZERO, config)?;
        Ok::<_, ConfigError>(policy.explain(prefix.parse().unwrap(), Duration::ZERO).unwrap().signals.len())
    };
    let (per_address, informing) = (4, 2);
    let own = ["192.0.2.53:53", "192.0.2.54:53", "198.51.100.53:53"];
    assert_eq!(signals(&own, V4), Ok(2 * per_address + informing));
    assert_eq!(signals(&own, other), Ok(per_address + informing));
    assert_eq!(
        signals(&["127.0.0.1:5300"], other),
        Ok(per_address + informing),
        "none lies in any: it counts"
    );
    let refused = signals(&own[..2], other).unwrap_err();
    assert!(matches!(refused, ConfigError::NoAddress { prefix, .. } if prefix.to_string() == other));
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
            "prefix 2001:db8:53::/48 of group \"main\" has no address to probe",
        ),
        (&|c| c.groups[0].prefixes.push(V4.parse().unwrap()), "prefix 192.0.2.0/24 is configured twice"),
    ];
    for (change, message) in cases {
        let said = refusal(change);
        assert!(said.contains(message), "{message} not in {said}");
    }
}
