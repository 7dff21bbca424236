//! Recorded lives, invented by driving a policy and recording what it hears.

use super::*;
use crate::alarm::AlarmId;
use crate::config::{Degrade, DrainTime, GroupConfig, HoldDown, Linger, OnExpiry, OnOverload, ReturnCap};
use crate::kind::{Kind, SignalId, Transport};
use crate::signal::{Fall, Observation, Rise, Timing};
use crate::trace::{VERSION, Writer, micros};
use std::net::SocketAddr;

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
}

impl Node {
    fn start(name: &'static str, after: u64) -> Self {
        let policy = Policy::new(S(0), config(OnExpiry::LastResort)).unwrap();
        let mut node = Self {
            name,
            policy,
            writer: Writer::new(),
            now: S(0),
            started: UNIX + S(after),
            lines: Vec::new(),
            moved: Vec::new(),
        };
        node.begin_file();
        node
    }

    fn begin_file(&mut self) {
        self.writer = Writer::new();
        let unix = self.started + self.now;
        let begin = Begin {
            version: VERSION,
            node: self.name.into(),
            life: micros(self.started),
            at_us: micros(self.now),
            unix_us: micros(unix),
        };
        self.lines.push(Line::Begin(begin));
        self.lines.push(Line::State(micros(self.now), self.policy.standing_now(self.now, unix)));
    }

    fn hear(&mut self, input: Input) {
        self.lines.extend(self.writer.lines(self.now, &input));
        let mut outputs = Vec::new();
        self.policy.step(self.now, input, &mut outputs);
        for output in outputs {
            if let Output::Level { to, .. } = output {
                self.moved.push((self.started + self.now, to));
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

#[test]
fn a_process_that_starts_anew_withdraws_what_it_had() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let mut lines = node.lines.clone();
    let mut anew = Node::start("a.ams", 100);
    anew.seconds(20, good);
    lines.extend(anew.lines);
    let replayed = replay(&lines, config(OnExpiry::LastResort));
    let told: Vec<_> = replayed.moved().iter().map(|moved| (moved.to, moved.cause.as_str())).collect();
    let good = "all 4 probes are good, hold-down of 5.0s is over";
    let anew = "the sidecar started anew";
    assert_eq!(told, [(Level::Normal, good), (Level::Withdrawn, anew), (Level::Normal, good)]);
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
