//! Recorded lives, invented by driving a policy and recording what it hears.

use super::*;
use crate::alarm::AlarmId;
use crate::config::{
    Degrade, DrainTime, GroupConfig, HoldDown, Linger, OnExpiry, OnFailure, OnOverload, ReturnCap,
};
use crate::kind::{Kind, SignalId, Transport};
use crate::signal::{Fall, Observation, Rise, Timing};
use crate::trace::{VERSION, Writer, micros};
use std::net::SocketAddr;

mod middle;

const S: fn(u64) -> Duration = Duration::from_secs;
const UNIX: Duration = Duration::from_secs(1_795_000_000);

fn prefix() -> Prefix {
    "192.0.2.0/24".parse().unwrap()
}

fn config(expired: OnExpiry) -> PolicyConfig {
    let timing = Timing { fall: Fall::new(2), rise: Rise::new(3), stale: S(3) };
    PolicyConfig {
        groups: vec![GroupConfig {
            name: "main".into(),
            prefixes: vec![prefix()],
            required_zones: vec!["example.com".into()],
            addresses: vec![address()],
            degrade: Degrade::Allowed,
            failing: OnFailure::default(),
            expired,
            overload: OnOverload::default(),
        }],
        anchors: Vec::new(),
        probe: timing,
        zone: timing,
        watched: [(Kind::Signatures, Kind::Signatures.watch(S(10)))].into(),
        hold_down: HoldDown::new(S(5)),
        returns: ReturnCap::default(),
        grace: S(1),
        drain_time: DrainTime(S(5)),
        linger: Linger(S(10)),
    }
}

fn address() -> SocketAddr {
    "192.0.2.53:53".parse().unwrap()
}

/// A node that lives and is recorded.
struct Node {
    name: &'static str,
    policy: Policy,
    writer: Writer,
    now: Duration,
    started: Duration,
    lines: Vec<Line>,
    moved: Vec<(Duration, Level)>,
    life: u64,
    goes_on_from: Option<u64>,
}

impl Node {
    fn start(name: &'static str, after: u64) -> Self {
        Self::with(Policy::new(S(0), config(OnExpiry::LastResort)).unwrap(), name, after)
    }

    fn with(policy: Policy, name: &'static str, after: u64) -> Self {
        let mut node = Self {
            name,
            policy,
            writer: Writer::new(),
            now: S(0),
            started: UNIX + S(after),
            lines: Vec::new(),
            moved: Vec::new(),
            life: micros(UNIX + S(after)),
            goes_on_from: None,
        };
        node.begin_file();
        node
    }

    /// Another process goes on with the policy: it was given its memory a second ago, and the one before has heard more
    /// since.
    fn hand_over(&mut self) {
        self.goes_on_from = Some(self.life);
        self.life += 1;
        let before = self.policy.clone();
        self.now += S(1);
        self.lines.extend(self.writer.lines(self.now, &probed(good())));
        self.policy.step(self.now, probed(good()), &mut Vec::new());
        self.begin_file_at(self.now - S(1), &before);
    }

    fn begin_file(&mut self) {
        self.begin_file_at(self.now, &self.policy.clone());
    }

    fn begin_file_at(&mut self, now: Duration, policy: &Policy) {
        self.writer = Writer::new();
        let unix = self.started + now;
        let begin = Begin {
            version: VERSION,
            node: self.name.into(),
            life: self.life,
            at_us: micros(now),
            unix_us: micros(unix),
            goes_on_from: self.goes_on_from,
        };
        self.lines.push(Line::Begin(begin));
        self.lines.push(Line::State(micros(now), Box::new(policy.standing_now())));
    }

    fn hear(&mut self, input: Input) {
        while let Some(deadline) = self.policy.next_deadline().filter(|deadline| *deadline <= self.now) {
            self.step(deadline, Input::Tick);
        }
        self.lines.extend(self.writer.lines(self.now, &input));
        self.step(self.now, input);
    }

    fn step(&mut self, at: Duration, input: Input) {
        let mut outputs = Vec::new();
        self.policy.step(at, input, &mut outputs);
        for output in outputs {
            if let Output::Level { to, .. } = output {
                self.moved.push((self.started + at, to));
            }
        }
    }

    fn see(&mut self, signal: SignalId, observation: Observation) {
        self.hear(Input::Observe { signal, observation });
    }

    /// Seconds in which the responder answers, or does not.
    fn seconds(&mut self, count: u32, answers: impl Fn() -> Observation) {
        for _ in 0..count {
            self.now += S(1);
            self.hear(Input::Tick);
            for transport in Transport::ALL {
                self.see(SignalId::Probe { address: address(), transport }, answers());
                if matches!(answers(), Observation::Pass(_)) {
                    let zone = "example.com".into();
                    self.see(SignalId::Zone { address: address(), transport, zone }, answers());
                }
            }
        }
    }

    fn expire(&mut self) {
        for _ in 0..2 {
            let signal = SignalId::Signatures { group: "main".into() };
            self.see(signal, Observation::Expired("have expired".into()));
        }
    }
}

fn probe() -> SignalId {
    SignalId::Probe { address: address(), transport: Transport::Udp }
}

fn probed(observation: Observation) -> Input {
    Input::Observe { signal: probe(), observation }
}

fn good() -> Observation {
    Observation::Pass("serial 7".into())
}

fn refused() -> Observation {
    Observation::Fail("connection refused".into())
}

fn replay(lines: &[Line], config: PolicyConfig) -> Replay {
    let mut replay = Replay::new(config).unwrap();
    for line in lines {
        // As it comes from a file.
        let json = serde_json::to_string(line).unwrap();
        replay.take(serde_json::from_str(&json).unwrap()).unwrap();
    }
    replay
}

fn levels(replay: &Replay) -> Vec<(Duration, Level)> {
    replay.moved().iter().map(|moved| (moved.at, moved.to)).collect()
}

#[test]
fn a_replay_through_the_same_settings_does_what_the_node_did() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    node.seconds(4, refused);
    node.seconds(20, good);
    node.hear(Input::Drain { text: "disks".into(), author: "ada".into(), within: None, expires: None });
    node.seconds(10, good);
    assert_eq!(node.moved.len(), 5);
    let replayed = replay(&node.lines, config(OnExpiry::LastResort));
    assert_eq!(levels(&replayed), node.moved);
    assert_eq!(replayed.node(), "a.ams");
}

#[test]
fn another_setting_does_what_it_would_have_done() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    node.seconds(4, refused);
    node.seconds(20, good);
    let mut patient = config(OnExpiry::LastResort);
    patient.probe.fall = Fall::new(5);
    patient.zone.fall = Fall::new(5);
    patient.zone.stale = S(60);
    let replayed = replay(&node.lines, patient);
    assert_eq!(levels(&replayed), node.moved[..1], "four failures would have been forgiven");
}

#[test]
fn a_file_that_begins_in_the_middle_goes_on_from_how_things_stood() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let before = node.lines.len();
    node.begin_file();
    node.seconds(3, refused);
    let replayed = replay(&node.lines[before..], config(OnExpiry::LastResort));
    assert_eq!(replayed.levels_at_first(), [(prefix(), Level::Normal)]);
    assert_eq!(levels(&replayed), node.moved[1..]);
    let both = replay(&node.lines, config(OnExpiry::LastResort));
    assert_eq!(levels(&both), node.moved, "and one life in two files is one life");
}

/// Levels with their times since the first start, and why.
fn told(replay: &Replay) -> Vec<(Duration, Level, &str)> {
    replay.moved().iter().map(|moved| (moved.at - UNIX, moved.to, moved.cause.as_str())).collect()
}

/// Replays through the settings that the nodes had.
fn replays<const N: usize>(nodes: [&Node; N]) -> [Replay; N] {
    nodes.map(|node| replay(&node.lines, config(OnExpiry::LastResort)))
}

/// Times at which the world was empty, since the first start, without those until routes had been earned.
fn emptied(world: World<'_>) -> Vec<(Duration, Option<Duration>, Vec<String>)> {
    let later = |empty: &Empty| empty.from >= UNIX + S(10);
    let since = |empty: Empty| {
        (empty.from - UNIX, empty.until.map(|until| until - UNIX), empty.unknown.into_iter().collect())
    };
    world.empty().into_iter().filter(later).map(since).collect()
}

const EARNED: &str = "all 4 probes are good, hold-down of 5.0s is over";

#[test]
fn a_process_that_starts_anew_had_withdrawn_everything_at_the_last_line_of_the_one_before() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let mut anew = Node::start("a.ams", 100);
    anew.seconds(20, good);
    node.lines.extend(anew.lines);
    let replayed = replay(&node.lines, config(OnExpiry::LastResort));
    let died = "its sidecar ended, and the next one began 80.0s later";
    assert_eq!(
        told(&replayed),
        [(S(8), Level::Normal, EARNED), (S(20), Level::Withdrawn, died), (S(108), Level::Normal, EARNED)]
    );
}

#[test]
fn a_planned_restart_goes_on_with_the_levels_however_often_and_wherever_the_trace_begins() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    node.hand_over();
    node.seconds(20, good);
    let second = node.lines.len();
    node.hand_over();
    node.seconds(5, good);
    node.seconds(3, refused);
    assert_eq!(node.moved.len(), 2);
    assert_eq!(levels(&replay(&node.lines, config(OnExpiry::LastResort))), node.moved);
    let begin = node.lines[second..].iter().position(|line| matches!(line, Line::Begin(_))).unwrap();
    let last = replay(&node.lines[second + begin..], config(OnExpiry::LastResort));
    assert_eq!(last.levels_at_first(), [(prefix(), Level::Normal)]);
    assert_eq!(levels(&last), node.moved[1..]);
}

#[test]
fn planned_restarts_of_all_nodes_in_turn_leave_no_world_empty() {
    let nodes = ["a.ams", "a.fra"].map(|name| Node::start(name, 0));
    let [mut one, mut other] = nodes;
    one.seconds(20, good);
    one.hand_over();
    one.seconds(49, good);
    other.seconds(50, good);
    other.hand_over();
    other.seconds(19, good);
    assert_eq!(emptied(World::new(&replays([&one, &other]))), []);
}

#[test]
fn a_life_that_goes_on_from_another_than_the_one_before_in_the_trace_is_a_new_one() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let until = node.lines.len();
    node.hand_over();
    node.seconds(30, good);
    node.hand_over();
    let missing = node.lines.iter().rposition(|line| matches!(line, Line::Begin(_))).unwrap();
    node.seconds(5, good);
    node.lines.drain(until..missing);
    let ended = "its sidecar ended, and the next one began 31.0s later";
    let stood = "it stood so when its recording began: all 4 probes are good, hold-down of 5.0s is over";
    let replayed = replay(&node.lines, config(OnExpiry::LastResort));
    let expected =
        [(S(8), Level::Normal, EARNED), (S(20), Level::Withdrawn, ended), (S(51), Level::Normal, stood)];
    assert_eq!(told(&replayed), expected);
}

#[test]
fn a_life_that_does_not_say_whose_place_it_took_says_how_it_stood() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    node.hear(Input::Drain { text: "disks".into(), author: "ada".into(), within: None, expires: None });
    node.hand_over();
    let begin = node.lines.iter().rposition(|line| matches!(line, Line::Begin(_))).unwrap();
    let Line::Begin(begin) = &mut node.lines[begin] else { panic!("it is one") };
    begin.goes_on_from = None;
    begin.unix_us += 1_300_000;
    node.seconds(1, good);
    let replayed = replay(&node.lines, config(OnExpiry::LastResort));
    let ended = "its sidecar ended, and the next one began 0.3s later";
    let drained = "drained by ada: disks";
    let stood = "it stood so when its recording began: drained by ada: disks";
    assert_eq!(
        told(&replayed)[1..],
        [
            (S(20), Level::Draining, drained),
            (S(21), Level::Withdrawn, ended),
            (Duration::from_millis(21_300), Level::Draining, stood)
        ]
    );
}

#[test]
fn a_node_that_is_dead_announces_nothing_until_it_is_back() {
    let mut dead = Node::start("a.ams", 0);
    dead.seconds(60, good);
    let mut back = Node::start("a.ams", 120);
    back.seconds(60, good);
    dead.lines.extend(back.lines);
    let mut other = Node::start("a.fra", 0);
    other.seconds(70, good);
    other.seconds(20, refused);
    other.seconds(90, good);
    let replays = replays([&dead, &other]);
    let world = World::new(&replays);
    assert_eq!(world.unknown(), []);
    let found = emptied(world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, S(72), "its second failure");
    assert!(found[0].1.is_some_and(|until| until > S(90) && until < S(120)), "{found:?}");
    let empty = world.empty().pop().unwrap();
    assert!(empty.because["a.ams"].contains("its sidecar ended"), "{empty:?}");
}

#[test]
fn a_trace_that_ends_early_hides_nothing_that_came_after_and_counts_as_one_that_announces_nothing() {
    let mut gone = Node::start("a.ams", 0);
    gone.seconds(60, good);
    let [mut one, mut other] = ["a.fra", "a.lhr"].map(|name| Node::start(name, 0));
    one.seconds(100, good);
    one.seconds(50, refused);
    other.seconds(110, good);
    other.seconds(20, refused);
    other.seconds(23, good);
    let nodes = replays([&gone, &one, &other]);
    let world = World::new(&nodes);
    assert_eq!(world.covered(), Some((UNIX, UNIX + S(150))));
    assert_eq!(world.unknown(), [Unknown { node: "a.ams".into(), from: UNIX + S(60) }]);
    let found = emptied(world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, &found[0].2[..]), (S(112), &["a.ams".to_owned()][..]));
    assert!(found[0].1.is_some_and(|until| until > S(130)), "{found:?}");
    let known = replays([&one, &other]);
    assert!(emptied(World::new(&known))[0].2.is_empty(), "of these two all is known");
}

#[test]
fn traces_that_end_within_seconds_of_each_other_end_together() {
    let [mut first, mut last] = ["a.ams", "a.fra"].map(|name| Node::start(name, 0));
    first.seconds(60, good);
    last.seconds(62, good);
    last.seconds(7, refused);
    let replays = replays([&first, &last]);
    let world = World::new(&replays);
    assert_eq!(world.covered(), Some((UNIX, UNIX + S(60))));
    assert_eq!((world.unknown(), emptied(world)), (vec![], vec![]));
}

#[test]
fn of_traces_without_a_common_time_nothing_is_said_and_one_of_yesterday_says_nothing_of_today() {
    let mut yesterday = Node::start("a.ams", 0);
    yesterday.seconds(20, good);
    let [mut one, mut other] = ["a.fra", "a.lhr"].map(|name| Node::start(name, 1000));
    one.seconds(20, good);
    other.seconds(20, good);
    let apart = replays([&yesterday, &one]);
    assert_eq!(World::new(&apart).covered(), None);
    let all = replays([&yesterday, &one, &other]);
    assert_eq!(World::new(&all).covered(), Some((UNIX + S(1000), UNIX + S(1020))));
    assert_eq!(World::new(&all).unknown(), [Unknown { node: "a.ams".into(), from: UNIX + S(20) }]);
}

#[test]
fn a_policy_that_would_have_emptied_the_world_is_told_from_one_that_would_not() {
    let pops = ["a.ams", "a.fra", "a.lhr"].map(|name| {
        let mut node = Node::start(name, 0);
        node.seconds(20, good);
        node.expire();
        node.seconds(20, good);
        node
    });
    let through =
        |expired| -> Vec<Replay> { pops.iter().map(|node| replay(&node.lines, config(expired))).collect() };
    let at_start = |empty: &Empty| empty.from == UNIX;
    let kept = through(OnExpiry::LastResort);
    assert!(World::new(&kept).empty().iter().all(at_start), "only until they had earned their routes");
    let emptied = through(OnExpiry::Withdraw);
    let found: Vec<_> = World::new(&emptied).empty().into_iter().filter(|empty| !at_start(empty)).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].prefix, found[0].from), (prefix(), UNIX + S(20)));
    assert_eq!(found[0].because.len(), 3);
    assert!(found[0].because["a.fra"].contains("have expired"));
}

#[test]
fn a_pop_that_stays_leaves_no_world_empty_and_times_are_those_of_the_wall() {
    let mut leaving = Node::start("a.ams", 0);
    leaving.seconds(20, good);
    leaving.seconds(20, refused);
    let mut staying = Node::start("a.fra", 7);
    staying.seconds(33, good);
    let replays = [&leaving, &staying].map(|node| replay(&node.lines, config(OnExpiry::LastResort)));
    let world = World::new(&replays);
    assert_eq!(world.covered(), Some((UNIX + S(7), UNIX + S(40))));
    let empty = world.empty();
    assert!(empty.iter().all(|empty| empty.until.is_some_and(|until| until < UNIX + S(10))), "{empty:?}");
}

#[test]
fn alarms_in_a_trace_move_nothing() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let alarm = AlarmId::ZoneRefused { zone: "example.com.".into() };
    node.hear(Input::Raise { alarm, text: "refused".into() });
    let replayed = replay(&node.lines, config(OnExpiry::LastResort));
    assert_eq!(levels(&replayed), node.moved);
}
