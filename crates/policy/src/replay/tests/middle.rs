//! Files that begin in the middle of a life: from wherever they begin, a replay does what the node did from there on.

use super::*;
use crate::operator::Target;
use crate::preference::End;
use proptest::prelude::*;

/// Long enough to be told from a hold-down.
const DATA_GRACE: Duration = Duration::from_secs(40);

/// Everything is watched, and two zones are required.
fn watchful() -> PolicyConfig {
    let mut config = config(OnExpiry::LastResort);
    config.groups[0].required_zones.push("example.net".into());
    let watched = Kind::ALL.into_iter().filter(|kind| !kind.gates()).map(|kind| {
        let mut watch = kind.watch(S(10));
        watch.grace = if kind == Kind::DataAge { DATA_GRACE } else { watch.grace.min(S(4)) };
        (kind, watch)
    });
    config.watched = watched.collect();
    config
}

/// What is wrong in some second: all else passes.
#[derive(Clone, Debug)]
enum Fault {
    Nothing,
    /// The signal with this index in the order of the policy is seen so, or not looked at.
    One(usize, Option<Observation>),
    /// No query comes back, and drops explain it.
    Flood(Observation),
}

/// A flood that most queries are lost in, and one that spares most.
const FLOODS: [fn() -> Fault; 2] = [
    || Fault::Flood(Observation::Fail("9000 drops a second".into())),
    || Fault::Flood(Observation::Warn("90 drops a second".into())),
];

impl Fault {
    /// What is seen of a signal.
    fn seen(&self, index: usize, signal: &SignalId) -> Option<Observation> {
        let unanswered = Observation::Unanswered("no answer within 200ms".into());
        match (self, signal.kind()) {
            (Self::One(at, seen), _) if *at == index => seen.clone(),
            (Self::Flood(_), Kind::Probe | Kind::Status) => Some(unanswered),
            (Self::Flood(_), Kind::Zone) => None,
            (Self::Flood(drops), Kind::Overload) => Some(drops.clone()),
            _ => Some(good()),
        }
    }
}

/// Inputs with their times.
struct Heard {
    signals: Vec<SignalId>,
    inputs: Vec<(Duration, Input)>,
    now: Duration,
}

impl Heard {
    fn nothing() -> Self {
        let signals = Policy::new(S(0), watchful()).unwrap().observed().cloned().collect();
        Self { signals, inputs: Vec::new(), now: S(0) }
    }

    fn seconds(mut self, count: u64, fault: &Fault) -> Self {
        for _ in 0..count {
            self.now += S(1);
            for (index, signal) in self.signals.iter().enumerate() {
                let Some(observation) = fault.seen(index, signal) else { continue };
                let at = self.now + Duration::from_millis(7) * u32::try_from(index).unwrap();
                self.inputs.push((at, Input::Observe { signal: signal.clone(), observation }));
            }
        }
        self
    }

    fn word(mut self, word: Input) -> Self {
        self.inputs.push((self.now + Duration::from_millis(900), word));
        self
    }

    /// The index of a signal.
    fn index(&self, signal: &SignalId) -> usize {
        self.signals.iter().position(|known| known == signal).unwrap()
    }
}

/// What a replay of the whole does after a moment, and what one does that begins there: so many inputs and a millisecond
/// after the first.
fn cut(policy: Policy, inputs: &[(Duration, Input)], at: usize) -> [Vec<Moved>; 2] {
    let mut node = Node::with(policy, "a.ams", 0);
    for (now, input) in &inputs[..at] {
        node.now = *now;
        node.hear(input.clone());
    }
    node.now += Duration::from_millis(1);
    node.hear(Input::Tick);
    let (begin, cut) = (node.lines.len(), node.started + node.now);
    node.begin_file();
    for (now, input) in &inputs[at..] {
        node.now = *now;
        node.hear(input.clone());
    }
    let whole = replay(&node.lines, watchful());
    assert_eq!(levels(&whole), node.moved);
    let after = whole.moved().iter().filter(|moved| moved.at > cut).cloned().collect();
    [after, replay(&node.lines[begin..], watchful()).moved().to_vec()]
}

/// When, and to what, a replay moves that begins after so many seconds; the same as the whole.
fn from(seconds: u64, heard: &Heard) -> Vec<(f64, Level)> {
    let policy = Policy::new(S(0), watchful()).unwrap();
    let at = heard.inputs.partition_point(|(at, _)| *at < S(seconds) + Duration::from_millis(950));
    let [whole, middle] = cut(policy, &heard.inputs, at);
    assert_eq!(middle, whole);
    middle.iter().map(|moved| ((moved.at - UNIX).as_secs_f64().floor(), moved.to)).collect()
}

#[test]
fn in_a_flood_what_it_excuses_stays_announced() {
    let heard = Heard::nothing().seconds(20, &Fault::Nothing).seconds(15, &FLOODS[0]());
    let heard = heard.seconds(20, &Fault::Nothing);
    assert_eq!(from(27, &heard), []);
}

#[test]
fn in_a_flood_what_is_no_longer_excused_goes_when_it_went() {
    let heard = Heard::nothing().seconds(20, &Fault::Nothing).seconds(6, &FLOODS[0]());
    let probe = heard.index(&probe());
    let refused = Fault::One(probe, Some(refused()));
    assert_eq!(from(25, &heard.seconds(1, &refused)), [(27.0, Level::Withdrawn)]);
}

#[test]
fn a_silence_that_few_drops_do_not_explain_is_as_old_as_it_was() {
    let heard = Heard::nothing().seconds(20, &Fault::Nothing).seconds(40, &FLOODS[1]());
    assert_eq!(from(40, &heard), [(50.0, Level::Withdrawn)]);
}

#[test]
fn in_a_grace_it_ends_when_it_ended_and_after_it_nothing_rises() {
    let heard = Heard::nothing().seconds(20, &Fault::Nothing);
    let data = heard.index(&SignalId::DataAge { group: "main".into() });
    let old = Fault::One(data, Some(Observation::Fail("data are 3 h old".into())));
    let heard = heard.seconds(70, &old);
    assert_eq!(from(40, &heard), [(63.0, Level::Degraded)]);
    assert_eq!(from(70, &heard), [], "it is degraded and stays so");
}

#[test]
fn in_a_hold_down_it_ends_when_it_ended() {
    let mut heard = Heard::nothing().seconds(20, &Fault::Nothing);
    let probe = heard.index(&probe());
    for _ in 0..3 {
        heard = heard.seconds(3, &Fault::One(probe, Some(refused()))).seconds(30, &Fault::Nothing);
    }
    // The third fall: four times five seconds after the probe and its zones are good again in second 92.
    assert_eq!(from(100, &heard), [(112.0, Level::Normal)]);
}

#[test]
fn falls_that_were_remembered_at_the_start_delay_the_first_return() {
    let mut flapped = Policy::new(S(0), watchful()).unwrap();
    let heard = Heard::nothing().seconds(60, &Fault::Nothing);
    for _ in 0..4 {
        let mut node = Node::with(flapped, "a.ams", 0);
        for (now, input) in &heard.inputs {
            node.now = *now;
            node.hear(input.clone());
        }
        assert_eq!(node.policy.level(prefix()), Some(Level::Normal));
        let saved = node.policy.flaps(node.now);
        flapped = Policy::new(S(0), watchful()).unwrap();
        flapped.remember(S(1), End::Broken, &saved);
    }
    let [whole, middle] = cut(flapped.clone(), &heard.inputs, heard.inputs.len() / 4);
    assert_eq!(middle, whole);
    assert_eq!(middle.len(), 1);
    assert!(middle[0].cause.contains("hold-down of 40.0s is over"), "{middle:?}");
}

#[test]
fn another_hold_down_counts_from_the_beginning_and_what_was_earned_stays() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let middle = node.lines.len();
    node.begin_file();
    node.seconds(3, refused);
    node.seconds(60, good);
    let mut slow = config(OnExpiry::LastResort);
    slow.hold_down = HoldDown::new(S(12));
    let moved = |lines| told(&replay(lines, slow.clone())).iter().map(|it| (it.0, it.1)).collect::<Vec<_>>();
    let of_both = [(S(22), Level::Withdrawn), (S(38), Level::Normal)];
    assert_eq!(moved(&node.lines), [&[(S(15), Level::Normal)][..], &of_both].concat());
    assert_eq!(moved(&node.lines[middle..]), of_both);
}

#[test]
fn what_is_new_in_the_configuration_withdraws_nothing_by_itself_and_what_is_gone_is_left_out() {
    let mut node = Node::start("a.ams", 0);
    node.seconds(20, good);
    let middle = node.lines.len();
    node.begin_file();
    node.seconds(1, good);
    let mut other = config(OnExpiry::LastResort);
    let more: Prefix = "198.51.100.0/24".parse().unwrap();
    other.groups[0].prefixes.push(more);
    other.groups[0].addresses.push("198.51.100.53:53".parse().unwrap());
    other.groups[0].required_zones = vec!["example.net".into()];
    other.watched.clear();
    let replayed = replay(&node.lines[middle..], other);
    assert_eq!(replayed.levels_at_first(), [(prefix(), Level::Normal), (more, Level::Withdrawn)]);
    assert_eq!(levels(&replayed), []);
}

#[test]
fn zones_that_are_unseen_good_or_lost_take_little_more_than_their_names() {
    let mut config = config(OnExpiry::LastResort);
    config.groups[0].required_zones = (0..100).map(|number| format!("example-{number:05}.com")).collect();
    let mut policy = Policy::new(S(0), config).unwrap();
    let octets = |policy: &Policy| serde_json::to_string(&policy.standing_now()).unwrap().len();
    let mut all = vec![octets(&policy)];
    let signals: Vec<SignalId> = policy.observed().cloned().collect();
    for (seconds, level) in [(1..10, Level::Normal), (10..20, Level::Withdrawn)] {
        for at in seconds {
            for signal in &signals {
                let observation = match level {
                    Level::Normal => good(),
                    _ if signal.kind() == Kind::Probe => refused(),
                    _ => continue,
                };
                let input = Input::Observe { signal: signal.clone(), observation };
                policy.step(S(1_000_000 + at), input, &mut Vec::new());
            }
        }
        assert_eq!(policy.level(prefix()), Some(level));
        all.push(octets(&policy));
    }
    // Forty thousand of them are to leave most of a file of 32 MB to what comes after.
    assert!(all.iter().all(|octets| *octets < 6000 + 200 * 150), "{all:?}");
}

fn an_observation() -> impl Strategy<Value = Option<Observation>> {
    prop_oneof![
        Just(Some(refused())),
        Just(Some(Observation::Unanswered("late".into()))),
        Just(Some(Observation::Warn("soon".into()))),
        Just(Some(Observation::Expired("over".into()))),
        Just(None),
    ]
}

fn a_word() -> impl Strategy<Value = Input> {
    let (text, author) = (String::new(), "ada".to_owned());
    let words = [
        Input::Drain { text: text.clone(), author: author.clone(), within: None, expires: Some(S(200)) },
        Input::Undrain { text: text.clone(), author: author.clone() },
        Input::Hold { target: Target::All, expires: S(150), text: text.clone(), author: author.clone() },
        Input::Force {
            target: Target::All,
            level: Level::Degraded,
            expires: S(170),
            text: text.clone(),
            author: author.clone(),
        },
        Input::Release { target: Target::All, text, author },
    ];
    prop::sample::select(words.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn from_any_moment_on_a_replay_does_what_the_whole_does(
        phases in prop::collection::vec(
            prop_oneof![
                3 => (8..20u64, Just(Fault::Nothing), Just(None)),
                4 => (1..7u64, (0..20usize, an_observation()).prop_map(|(at, seen)| Fault::One(at, seen)), Just(None)),
                1 => (1..40u64, (0..2usize).prop_map(|which| FLOODS[which]()), Just(None)),
                1 => (1..9u64, Just(Fault::Nothing), a_word().prop_map(Some)),
            ],
            1..14,
        ),
        at in any::<prop::sample::Index>(),
    ) {
        let mut heard = Heard::nothing().seconds(20, &Fault::Nothing);
        for (seconds, fault, word) in phases {
            heard = heard.seconds(seconds, &fault);
            heard = word.into_iter().fold(heard, Heard::word);
        }
        let policy = Policy::new(S(0), watchful()).unwrap();
        let [whole, middle] = cut(policy, &heard.inputs, at.index(heard.inputs.len()));
        prop_assert_eq!(middle, whole);
    }
}
