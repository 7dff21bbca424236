//! What holds of every sequence of observations, words and times, of all kinds at once.

use super::signals::wide;
use super::*;
use crate::config::PolicyConfig;
use proptest::prelude::*;

/// Something that happens, after some time.
#[derive(Clone, Debug)]
enum Step {
    /// The signal of this index, modulo their number.
    Saw(usize, Grade),
    Drain,
    Undrain,
    Hold(usize, u64),
    Force(usize, usize, u64),
    Release(usize),
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Pass,
    Warn,
    Fail,
    Unanswered,
    Expired,
}

impl Grade {
    fn seen(self) -> Observation {
        let text = format!("{self:?}");
        match self {
            Self::Pass => Observation::Pass(text),
            Self::Warn => Observation::Warn(text),
            Self::Fail => Observation::Fail(text),
            Self::Unanswered => Observation::Unanswered(text),
            Self::Expired => Observation::Expired(text),
        }
    }
}

fn grade() -> impl Strategy<Value = Grade> {
    prop_oneof![
        12 => Just(Grade::Pass),
        1 => Just(Grade::Warn),
        1 => Just(Grade::Fail),
        1 => Just(Grade::Unanswered),
        1 => Just(Grade::Expired),
    ]
}

fn observation() -> impl Strategy<Value = Step> {
    (any::<usize>(), grade()).prop_map(|(signal, grade)| Step::Saw(signal, grade))
}

/// Words of people; none ends in the moment in which it is said.
fn word() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Drain),
        Just(Step::Undrain),
        (any::<usize>(), 1u64..20_000).prop_map(|(target, lasts)| Step::Hold(target, lasts)),
        (any::<usize>(), any::<usize>(), 1u64..20_000)
            .prop_map(|(target, level, lasts)| Step::Force(target, level, lasts)),
        any::<usize>().prop_map(Step::Release),
    ]
}

/// Milliseconds; rarely so many that silence counts.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 0u64..60, 1 => 0u64..4_000, 1 => 0u64..15_000]
}

fn steps_of(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<(u64, Step)>> {
    prop::collection::vec((pause(), step), 0..300)
}

fn observations() -> impl Strategy<Value = Vec<(u64, Step)>> {
    steps_of(prop_oneof![30 => observation(), 1 => Just(Step::Tick)])
}

fn everything() -> impl Strategy<Value = Vec<(u64, Step)>> {
    steps_of(prop_oneof![30 => observation(), 2 => word(), 1 => Just(Step::Tick)])
}

fn choices() -> impl Strategy<Value = PolicyConfig> {
    let degrade = prop_oneof![Just(Degrade::Allowed), Just(Degrade::Off)];
    let expired = prop_oneof![Just(OnExpiry::LastResort), Just(OnExpiry::Withdraw)];
    let overload = prop_oneof![Just(OnOverload::Hold), Just(OnOverload::Degrade), Just(OnOverload::Withdraw)];
    let failing = prop_oneof![Just(OnFailure::LastResort), Just(OnFailure::Withdraw)];
    (degrade, expired, overload, failing, any::<bool>()).prop_map(
        |(degrade, expired, overload, failing, has_two_zones)| {
            let mut config = wide(degrade, expired, overload);
            config.groups[0].failing = failing;
            if has_two_zones {
                config.groups[0].required_zones.push("example.net".into());
            }
            quick(config)
        },
    )
}

/// As wide, and quick enough that much happens in a few hundred steps.
fn quick(mut config: PolicyConfig) -> PolicyConfig {
    config.hold_down = HoldDown::new(Duration::from_millis(300));
    config.grace = Duration::from_millis(100);
    for watch in config.watched.values_mut() {
        watch.grace /= 4;
    }
    config
}

fn usual() -> PolicyConfig {
    quick(wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default()))
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Ours,
    /// One without a status.
    Another,
}

impl Server {
    fn usual(self) -> PolicyConfig {
        let mut config = usual();
        if self == Self::Another {
            for kind in [Kind::Status, Kind::Ready, Kind::Heartbeats, Kind::Traffic] {
                config.watched.remove(&kind);
            }
        }
        config
    }
}

fn bench(config: PolicyConfig) -> Bench {
    Bench { policy: Policy::new(Duration::ZERO, config).unwrap(), now: Duration::ZERO, outputs: Vec::new() }
}

/// A bench whose prefixes are announced, and whose signals are all good.
fn announced(config: PolicyConfig) -> Bench {
    let mut bench = bench(config);
    for _ in 0..10 {
        bench.now += Duration::from_millis(100);
        all_pass(&mut bench, |_| true);
    }
    assert_eq!(bench.levels(), [Level::Normal; 2]);
    bench
}

fn all_pass(bench: &mut Bench, which: impl Fn(&SignalId) -> bool) {
    let all: Vec<_> = bench.policy.observed().filter(|id| which(id)).cloned().collect();
    for signal in all {
        bench.pass(signal);
    }
}

fn prefixes() -> [Prefix; 2] {
    [V4.parse().unwrap(), V6.parse().unwrap()]
}

fn target(index: usize) -> Target {
    match index % 4 {
        0 => Target::All,
        1 => Target::Group("main".into()),
        2 => Target::Prefix(V4.parse().unwrap()),
        _ => Target::Prefix(V6.parse().unwrap()),
    }
}

fn input(bench: &Bench, step: &Step) -> Input {
    let (text, author) = ("a word".to_owned(), "ada".to_owned());
    let end = |lasts: &u64| bench.now + Duration::from_millis(*lasts);
    match step {
        Step::Saw(index, grade) => {
            let count = bench.policy.observed().count();
            let signal = bench.policy.observed().nth(index % count).unwrap().clone();
            Input::Observe { signal, observation: grade.seen() }
        }
        Step::Drain => drain(&text, &author),
        Step::Undrain => Input::Undrain { text, author },
        Step::Hold(on, lasts) => Input::Hold { target: target(*on), expires: end(lasts), text, author },
        Step::Force(on, level, lasts) => {
            let level = Level::ALL[level % Level::ALL.len()];
            Input::Force { target: target(*on), level, expires: end(lasts), text, author }
        }
        Step::Release(on) => Input::Release { target: target(*on), text, author },
        Step::Tick => Input::Tick,
    }
}

fn take(bench: &mut Bench, pause: u64, step: &Step) {
    bench.now += Duration::from_millis(pause);
    let next = input(bench, step);
    bench.input(next);
}

/// Whether a signal that means "cannot answer" speaks against a prefix, and nothing excuses it.
fn cannot_answer(policy: &Policy, prefix: Prefix) -> bool {
    let good = |id: &SignalId| policy.health(id) == Some(Health::Good);
    let fine = |id: &SignalId| matches!(policy.health(id), Some(Health::Good | Health::Warned));
    let bad = |id: &SignalId| policy.health(id).is_some_and(Health::is_bad);
    let reached = good(&SignalId::Status) || bad(&SignalId::Status);
    let answers = BOTH.iter().any(|family| good(&SignalId::Answers { family: *family }));
    let forgotten = policy.health(&SignalId::Heartbeats) == Some(Health::Unknown);
    let told_to_run = reached && (good(&SignalId::Heartbeats) || forgotten && answers);
    // Drops rise, or they did until it was answered again. The rest of the excuse is judged by tests of its own.
    let dropping = bad(&SignalId::Overload) || policy.health(&SignalId::Overload) == Some(Health::Warned);
    let excused =
        |id: &SignalId| bad(id) && told_to_run && (dropping || policy.excused.contains(&policy.index[id]));
    // Another zone is answered there, and this one was.
    let beside = |id: &SignalId, at: &SocketAddr| {
        let signal = &policy.signals[policy.index[id]];
        let other = |other: &SignalId| match other {
            SignalId::Zone { address, transport: Transport::Udp, .. } => address == at && fine(other),
            _ => false,
        };
        signal.is_proven() && !signal.is_merely_unanswered() && bad(id) && policy.observed().any(other)
    };
    policy.observed().any(|id| match id {
        SignalId::Probe { address, transport: Transport::Udp } => {
            prefix.contains(address.ip()) && !fine(id) && !excused(id)
        }
        SignalId::Zone { address, transport: Transport::Udp, .. } => {
            prefix.contains(address.ip()) && !fine(id) && !excused(id) && !beside(id, address)
        }
        SignalId::Address { ip } => prefix.contains(*ip) && bad(id),
        SignalId::Heartbeats => bad(id),
        _ => false,
    })
}

/// The table of ceilings once more, written down apart from the code that it judges.
fn worst(kind: Kind, config: &PolicyConfig) -> Level {
    match kind {
        Kind::Probe | Kind::Zone | Kind::Address | Kind::Heartbeats => Level::Withdrawn,
        Kind::Slow | Kind::Wire | Kind::DefaultRoute | Kind::DataAge => Level::Degraded,
        Kind::Signatures if config.groups[0].expired == OnExpiry::Withdraw => Level::Withdrawn,
        Kind::Signatures => Level::LastResort,
        Kind::Overload => match config.groups[0].overload {
            OnOverload::Hold => Level::Normal,
            OnOverload::Degrade => Level::Degraded,
            OnOverload::Withdraw => Level::Withdrawn,
        },
        Kind::Answers | Kind::Traffic | Kind::Clock | Kind::Status | Kind::Ready => Level::Normal,
    }
}

const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// Whether the status comes in a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Read,
    /// It does not come in time, and what it tells is not told.
    Silent,
}

/// What is told beside the probes while a flood goes on and the responder answers.
fn told_in_a_flood(bench: &mut Bench, status: Status, answering: &[Family]) {
    bench.fail(SignalId::Overload);
    let told = |id: &SignalId| {
        matches!(
            id.kind(),
            Kind::Status | Kind::Ready | Kind::Heartbeats | Kind::DataAge | Kind::Signatures | Kind::Traffic
        )
    };
    let counted = |id: &SignalId| matches!(id.kind(), Kind::Overload | Kind::Answers);
    all_pass(bench, |id| !id.kind().gates() && !counted(id) && !told(id));
    for family in BOTH {
        let seen = if answering.contains(&family) { Grade::Pass } else { Grade::Fail };
        let signal = SignalId::Answers { family };
        bench.input(Input::Observe { signal, observation: seen.seen() });
    }
    match status {
        Status::Read => all_pass(bench, told),
        Status::Silent => {
            let observation = Grade::Unanswered.seen();
            bench.input(Input::Observe { signal: SignalId::Status, observation });
        }
    }
}

/// One round of probes, in the order of the signals, with what is lost of them.
fn probes_but(bench: &mut Bench, lost: [bool; 4]) {
    let probes: Vec<_> = bench.policy.observed().filter(|id| id.kind() == Kind::Probe).cloned().collect();
    for (signal, lost) in probes.into_iter().zip(lost) {
        let seen = if lost { Grade::Unanswered } else { Grade::Pass };
        let SignalId::Probe { address, transport } = signal else { continue };
        bench.input(Input::Observe { signal, observation: seen.seen() });
        if !lost {
            bench.pass(SignalId::Zone { address, transport, zone: "example.com".into() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn who_cannot_answer_is_withdrawn_in_the_same_step_whatever_anybody_says(
        config in choices(),
        steps in everything(),
    ) {
        let mut bench = bench(config);
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
            for prefix in prefixes() {
                if cannot_answer(&bench.policy, prefix) {
                    prop_assert_eq!(bench.policy.level(prefix), Some(Level::Withdrawn));
                }
            }
        }
    }

    #[test]
    fn no_kind_pushes_a_prefix_beyond_its_ceiling(
        config in choices(),
        kind in prop::sample::select(Kind::ALL.to_vec()),
        steps in observations(),
    ) {
        let ceiling = worst(kind, &config);
        let mut bench = announced(config);
        for (pause, step) in steps {
            let Step::Saw(index, grade) = step else { continue };
            // Less than the time after which silence counts.
            bench.now += Duration::from_millis(pause.min(2_000));
            all_pass(&mut bench, |id| id.kind() != kind);
            let of_kind: Vec<_> =
                bench.policy.observed().filter(|id| id.kind() == kind).cloned().collect();
            let signal = of_kind[index % of_kind.len()].clone();
            bench.input(Input::Observe { signal, observation: grade.seen() });
            for level in bench.levels() {
                prop_assert!(level <= ceiling, "{kind} reached {level}");
            }
        }
    }

    #[test]
    fn from_any_state_whoever_is_not_answered_by_udp_is_withdrawn_within_the_bound(
        config in choices(),
        steps in everything(),
        seen in prop_oneof![Just(Some(Grade::Fail)), Just(Some(Grade::Unanswered)), Just(None)],
    ) {
        let mut bench = bench(config);
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
        }
        let begin = bench.now;
        let is_udp = |id: &SignalId| matches!(id, SignalId::Probe { transport: Transport::Udp, .. });
        let asked: Vec<_> = bench.policy.observed().filter(|id| is_udp(id)).cloned().collect();
        // Two rounds are believed, or silence; before that the end of a flood may have to be, which takes three.
        let bound = if seen.is_some() { Duration::from_millis(750) } else { STALE };
        while bench.now < begin + bound {
            bench.now += Duration::from_millis(250);
            all_pass(&mut bench, |id| !id.kind().gates());
            for signal in seen.iter().flat_map(|_| asked.clone()) {
                bench.input(Input::Observe { signal, observation: seen.unwrap_or(Grade::Fail).seen() });
            }
        }
        prop_assert_eq!(bench.levels(), [Level::Withdrawn; 2]);
    }

    #[test]
    fn data_and_load_of_all_sorts_withdraw_nobody_by_default(steps in observations()) {
        let mut bench = announced(usual());
        for (pause, step) in steps {
            let Step::Saw(index, grade) = step else { continue };
            bench.now += Duration::from_millis(pause.min(2_000));
            all_pass(&mut bench, |id| id.kind().gates() || id.kind().means_cannot_answer());
            let harmless: Vec<_> = (bench.policy.observed())
                .filter(|id| !id.kind().means_cannot_answer())
                .cloned()
                .collect();
            let signal = harmless[index % harmless.len()].clone();
            bench.input(Input::Observe { signal, observation: grade.seen() });
            prop_assert!(bench.levels().iter().all(|level| level.is_announced()));
        }
    }

    #[test]
    fn a_flood_that_swallows_any_probes_withdraws_nobody_by_default(
        swallowed in prop::collection::vec((0u64..1_000, any::<[bool; 4]>()), 1..300),
        // For how many of these steps each the status is read, then silent, by turns.
        turns in 1usize..80,
        server in prop_oneof![Just(Server::Ours), Just(Server::Another)],
    ) {
        let mut bench = announced(server.usual());
        for (step, (pause, lost)) in swallowed.into_iter().enumerate() {
            bench.now += Duration::from_millis(pause);
            let status = if (step / turns) % 2 == 0 { Status::Read } else { Status::Silent };
            told_in_a_flood(&mut bench, status, &BOTH);
            probes_but(&mut bench, lost);
            prop_assert!(bench.levels().iter().all(|level| level.is_announced()));
        }
    }

    #[test]
    fn a_flood_that_swallows_everything_withdraws_nobody_however_long_it_lasts(
        server in prop_oneof![Just(Server::Ours), Just(Server::Another)],
        lucky in prop::collection::vec(0usize..1_000, 0..4),
    ) {
        let mut bench = announced(server.usual());
        for step in 0..1_000 {
            bench.now += Duration::from_millis(250);
            told_in_a_flood(&mut bench, Status::Silent, &BOTH);
            let lost = !lucky.contains(&step);
            probes_but(&mut bench, [lost, lost, true, true]);
            prop_assert!(bench.levels().iter().all(|level| level.is_announced()));
        }
    }

    #[test]
    fn a_family_that_is_dead_for_good_beside_a_flood_of_the_other_is_withdrawn_within_the_bound(
        server in prop_oneof![Just(Server::Ours), Just(Server::Another)],
        // Of each ten rounds of the flooded family one is answered: which.
        answered in prop::collection::vec(0usize..10, 20),
    ) {
        let mut bench = announced(server.usual());
        let begin = bench.now;
        for step in 0..200 {
            bench.now += Duration::from_millis(250);
            told_in_a_flood(&mut bench, Status::Read, &[Family::Ipv4]);
            let lost = answered[step / 10] != step % 10;
            probes_but(&mut bench, [lost, lost, true, true]);
            let [v4, v6] = bench.levels();
            prop_assert!(v4.is_announced());
            let since = bench.now - begin;
            // It was last answered at the beginning; ten answers of the other have come after a tenth more, at the latest.
            if since < Duration::from_secs(30) {
                prop_assert!(v6.is_announced(), "after {since:?}");
            }
            if since > Duration::from_secs(33) {
                prop_assert_eq!(v6, Level::Withdrawn);
            }
        }
        let why = bench.why(V6).history[0].cause.clone();
        prop_assert!(why.contains("drops do not explain so long a silence"), "{}", why);
    }

    #[test]
    fn no_state_lacks_a_reason_or_a_way_out(config in choices(), steps in everything()) {
        let mut bench = bench(config);
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
            for prefix in prefixes() {
                let why = bench.policy.explain(prefix, bench.now).unwrap();
                prop_assert!(!why.reasons.is_empty());
                prop_assert!(why.reasons.iter().all(|reason| !reason.text.is_empty()));
                let worst = why.reasons.iter().map(|reason| reason.asks).max();
                if why.grace_left.is_none() {
                    prop_assert!(worst >= Some(why.level), "the reasons account for the level: {}", why);
                }
                prop_assert!(!why.next_changes.is_empty());
                prop_assert!(why.next_changes.iter().all(|change| change.to != why.level), "{}", why);
                prop_assert!(why.history.iter().all(|past| !past.cause.is_empty()));
            }
        }
    }

    #[test]
    fn an_explanation_stands_alone_as_json(config in choices(), steps in everything()) {
        let mut bench = bench(config);
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
        }
        for prefix in prefixes() {
            let why = bench.policy.explain(prefix, bench.now).unwrap();
            let json = serde_json::to_string(&why).unwrap();
            let read: crate::Explanation = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
    }

    #[test]
    fn returns_and_betterments_within_any_such_time_are_bounded_apart(
        steps in observations(),
        most in 1u32..4,
    ) {
        let within = Duration::from_secs(5);
        let mut config = usual();
        config.returns = ReturnCap { most: NonZeroU32::new(most).unwrap(), within };
        let mut bench = bench(config);
        let mut rises: [Vec<Duration>; 4] = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
            for output in bench.outputs.drain(..) {
                if let Output::Level { prefix, from, to, .. } = output
                    && to < from
                {
                    let family = usize::from(prefix.family() == Family::Ipv6);
                    rises[2 * family + usize::from(from.is_announced())].push(bench.now);
                }
            }
        }
        for rises in rises {
            for window in rises.windows(usize::try_from(most).unwrap() + 1) {
                prop_assert!(*window.last().unwrap() - window[0] >= within);
            }
        }
    }

    #[test]
    fn what_happens_to_one_family_does_not_move_the_other(steps in observations()) {
        let (mut both, mut one) = (bench(usual()), bench(usual()));
        for (pause, step) in steps {
            both.now += Duration::from_millis(pause);
            one.now = both.now;
            let next = input(&both, &step);
            let of_v4 = match &next {
                // Who is answered at all is answered by the node.
                Input::Observe { signal: SignalId::Answers { .. }, .. } => false,
                Input::Observe { signal, .. } => signal.to_string().contains("192.0.2.") || signal.to_string().contains("IPv4"),
                _ => false,
            };
            both.input(next.clone());
            one.input(if of_v4 { Input::Tick } else { next });
            prop_assert_eq!(both.levels()[1], one.levels()[1]);
        }
    }

    #[test]
    fn time_that_goes_backwards_changes_nothing(
        steps in everything(),
        back in prop::collection::vec(0u64..5_000, 300),
    ) {
        let (mut straight, mut jumping) = (bench(usual()), bench(usual()));
        for ((pause, step), back) in steps.into_iter().zip(back) {
            straight.now += Duration::from_millis(pause);
            jumping.now = straight.now;
            jumping.input(Input::Tick);
            straight.input(Input::Tick);
            let next = input(&straight, &step);
            straight.input(next.clone());
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
    fn the_deadline_is_when_time_alone_changes_something(config in choices(), steps in everything()) {
        let mut bench = bench(config);
        for (pause, step) in steps {
            let target = bench.now + Duration::from_millis(pause);
            let mut patient = bench.policy.clone();
            while let Some(deadline) = patient.next_deadline().filter(|at| *at <= target) {
                let before: Vec<_> = patient.levels().collect();
                let mut outputs = Vec::new();
                let just_before = deadline.saturating_sub(Duration::from_nanos(1)).max(bench.now);
                if just_before < deadline {
                    patient.step(just_before, Input::Tick, &mut outputs);
                    prop_assert_eq!(patient.levels().collect::<Vec<_>>(), before);
                    prop_assert!(outputs.is_empty(), "{outputs:?}");
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

    #[test]
    fn words_survive_a_restart_at_any_time(steps in everything()) {
        let mut bench = bench(usual());
        for (pause, step) in steps {
            take(&mut bench, pause, &step);
        }
        let unix = Duration::from_secs(1_795_000_000);
        let saved = bench.policy.saved(bench.now, unix);
        let mut anew = Policy::new(bench.now, usual()).unwrap();
        anew.restore(bench.now, unix, saved, &mut Vec::new());
        let named = |policy: &Policy| -> Vec<_> {
            policy.word_views(bench.now).into_iter().map(|view| (view.target, view.what)).collect()
        };
        // What was to end within this very millisecond may have ended.
        let left = named(&bench.policy);
        prop_assert!(named(&anew).iter().all(|word| left.contains(word)));
        let long = bench.policy.word_views(bench.now);
        let long = long.iter().filter(|view| view.expires_after_seconds > 0.01).count();
        prop_assert!(named(&anew).len() >= long);
        let drained = |policy: &Policy| policy.drain_view(bench.now).is_some();
        prop_assert_eq!(drained(&anew), drained(&bench.policy));
    }
}
