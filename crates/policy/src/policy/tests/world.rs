//! Three POPs, every order of events: an exhaustive search over the very machines.
//!
//! No node knows of another, so nothing that one does can save the world; what keeps all of them from leaving
//! at once is that the faults which hit all of them at once may not withdraw. This searches for an order of
//! events that proves the opposite.
//!
//! 1. One POP is a [`Policy`] together with its facts: does it run, how old are its data and signatures, how are its two
//!    zones answered, is it flooded. Each event changes facts; then a second passes, in which everything is observed as the facts
//!    have it: in each second the status before the answers, or in each the answers before the status. Starting from a new policy, every state that any sequence of events reaches is visited; two
//!    states are one if their [shape](Signal::shape) is, which holds all that their future depends on.
//! 2. States of a POP that no sequence of events can tell apart, by whether it runs, is able and announces,
//!    are merged (Moore's partition refinement). This loses nothing, and leaves few.
//! 3. The world is three of these, and which is which makes no difference. Events hit one POP or all. Every reachable world is visited, breadth first,
//!    so that what is found has the shortest possible story.
//!
//! That the search can find something is proved by wrong settings, which it must find out.
//!
//! All events at once make too many states. So what is told of data and what may become of zones are searched apart, each with
//! every kind of flood, and together with some.
//!
//! Not in it: a second address, beside which one that is silent stands out (`policy/silent.rs`): of that, tests of
//! single signals and the properties tell.

use super::*;
use crate::alarm::AlarmId;
use crate::config::PolicyConfig;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

const SECOND: Duration = Duration::from_secs(1);
const POPS: usize = 3;
const SECOND_ZONE: &str = "example.net";

/// What can happen to a POP; after each, a second passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Nothing but time.
    Wait,
    /// A push is refused; the last good data stay.
    RefusedPush,
    /// A push is good: data and signatures are fresh.
    GoodPush,
    /// The data are too old.
    DataOld,
    /// Signatures expire within a day.
    SignaturesNear,
    /// Signatures have expired.
    SignaturesExpired,
    /// The zones are answered with another serial than the status says.
    ZonesDisagree,
    /// One zone is answered with SERVFAIL.
    ZoneFails,
    /// A flood swallows what its probes ask.
    Flood,
    /// A flood swallows the queries for one zone, and no probe.
    FloodOverOneZone,
    /// A few queries are dropped, and no probe.
    Trickle,
    /// The same flood, or another, swallows the status as well: it falls silent.
    Drown,
    /// The flood is over.
    Calm,
    /// The responder dies.
    Kill,
    /// The responder runs.
    Start,
}

impl Event {
    const ALL: [Self; 15] = [
        Self::Wait,
        Self::RefusedPush,
        Self::GoodPush,
        Self::DataOld,
        Self::SignaturesNear,
        Self::SignaturesExpired,
        Self::ZonesDisagree,
        Self::ZoneFails,
        Self::Flood,
        Self::FloodOverOneZone,
        Self::Trickle,
        Self::Drown,
        Self::Calm,
        Self::Kill,
        Self::Start,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Runs {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Fresh,
    Near,
    Over,
}

/// How the two zones are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Zones {
    Well,
    BothDisagree,
    SecondFails,
}

/// What a flood swallows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flood {
    Nothing,
    AFewQueries,
    SecondZone,
    Probes,
    ProbesAndStatus,
}

/// What is the case at a POP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    responder: Runs,
    flood: Flood,
    data: Age,
    signatures: Age,
    zones: Zones,
}

impl Facts {
    fn after(self, event: Event) -> Self {
        match event {
            Event::Wait | Event::RefusedPush => self,
            Event::GoodPush => Self { data: Age::Fresh, signatures: Age::Fresh, zones: Zones::Well, ..self },
            Event::ZonesDisagree => Self { zones: Zones::BothDisagree, ..self },
            Event::ZoneFails => Self { zones: Zones::SecondFails, ..self },
            Event::DataOld => Self { data: Age::Over, ..self },
            Event::SignaturesNear => Self { signatures: Age::Near, ..self },
            Event::SignaturesExpired => Self { signatures: Age::Over, ..self },
            Event::Flood => Self { flood: Flood::Probes, ..self },
            Event::FloodOverOneZone => Self { flood: Flood::SecondZone, ..self },
            Event::Trickle => Self { flood: Flood::AFewQueries, ..self },
            Event::Drown => Self { flood: Flood::ProbesAndStatus, ..self },
            Event::Calm => Self { flood: Flood::Nothing, ..self },
            Event::Kill => Self { responder: Runs::No, ..self },
            Event::Start => Self { responder: Runs::Yes, ..self },
        }
    }
}

/// What is looked at first in each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The status, so that a flood is told before the first answer is missed.
    StatusFirst,
    /// The answers: a flood begins behind the back of the status.
    AnswersFirst,
}

/// One POP.
#[derive(Clone)]
struct Pop {
    policy: Policy,
    order: Order,
    now: Duration,
    facts: Facts,
}

impl Pop {
    fn new(config: PolicyConfig, order: Order) -> Self {
        let facts = Facts {
            responder: Runs::Yes,
            flood: Flood::Nothing,
            data: Age::Fresh,
            signatures: Age::Fresh,
            zones: Zones::Well,
        };
        Self { policy: Policy::new(Duration::ZERO, config).unwrap(), order, now: Duration::ZERO, facts }
    }

    fn see(&mut self, signal: SignalId, observation: Observation) {
        self.policy.step(self.now, Input::Observe { signal, observation }, &mut Vec::new());
    }

    /// What happens, and the second after it.
    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        next.now += SECOND;
        next.facts = next.facts.after(event);
        let alarm = AlarmId::ZoneRefused { zone: "example.com.".into() };
        let push = match event {
            Event::RefusedPush => Input::Raise { alarm, text: "refused".into() },
            Event::GoodPush => Input::Clear { alarm },
            _ => Input::Tick,
        };
        next.policy.step(next.now, push, &mut Vec::new());
        next.look();
        next
    }

    /// Every observer looks once.
    fn look(&mut self) {
        // A flood comes by the route.
        let flood = if self.announces() { self.facts.flood } else { Flood::Nothing };
        match self.order {
            Order::StatusFirst => {
                self.look_at_status(flood);
                self.look_at_answers(flood);
            }
            Order::AnswersFirst => {
                self.look_at_answers(flood);
                self.look_at_status(flood);
            }
        }
    }

    /// Between the first answer that is missed and the one that counts, this comes too: so the host's counts are here.
    fn look_at_status(&mut self, flood: Flood) {
        let Facts { responder, data, signatures, .. } = self.facts;
        let (good, bad) = (|| Observation::Pass("good".into()), || Observation::Fail("bad".into()));
        let group: Arc<str> = Arc::from("main");
        let answers = SignalId::Answers { family: Family::Ipv4 };
        if matches!(flood, Flood::SecondZone | Flood::Probes | Flood::ProbesAndStatus) {
            self.see(answers, if responder == Runs::Yes { good() } else { bad() });
            self.see(SignalId::Overload, bad());
        }
        if (responder, flood) == (Runs::Yes, Flood::ProbesAndStatus) {
            self.see(SignalId::Status, Observation::Unanswered("no answer".into()));
        } else if responder == Runs::Yes {
            self.see(SignalId::Status, good());
            self.see(SignalId::Heartbeats, good());
            self.see(
                SignalId::Overload,
                match flood {
                    Flood::Nothing => good(),
                    Flood::AFewQueries => Observation::Warn("9 drops".into()),
                    Flood::SecondZone | Flood::Probes | Flood::ProbesAndStatus => bad(),
                },
            );
            self.see(
                SignalId::DataAge { group: Arc::clone(&group) },
                if data == Age::Fresh { good() } else { bad() },
            );
            self.see(
                SignalId::Signatures { group },
                match signatures {
                    Age::Fresh => good(),
                    Age::Near => bad(),
                    Age::Over => Observation::Expired("expired".into()),
                },
            );
        } else {
            self.see(SignalId::Status, bad());
        }
    }

    fn look_at_answers(&mut self, flood: Flood) {
        let Facts { responder, zones, .. } = self.facts;
        let (good, bad) = (|| Observation::Pass("good".into()), || Observation::Fail("bad".into()));
        let lost = || Observation::Unanswered("no answer".into());
        for transport in Transport::ALL {
            let seen = match (responder, flood) {
                (Runs::No, _) => bad(),
                (Runs::Yes, Flood::Nothing | Flood::AFewQueries | Flood::SecondZone) => good(),
                (Runs::Yes, Flood::Probes | Flood::ProbesAndStatus) => lost(),
            };
            let answered = matches!(seen, Observation::Pass(_));
            self.see(probe(V4, transport), seen);
            if answered {
                let disagree = || Observation::Warn("serial 7, status says 8".into());
                let [first, second] = match zones {
                    Zones::Well => [good(), good()],
                    Zones::BothDisagree => [disagree(), disagree()],
                    Zones::SecondFails => [good(), bad()],
                };
                self.see(zone(V4, transport), first);
                if self.turn() != 0 {
                    continue;
                }
                let second = if flood == Flood::SecondZone {
                    // Its turn before may have been in another flood: so the status is heard before each that is missed.
                    self.look_at_status(flood);
                    lost()
                } else {
                    second
                };
                let signal = SignalId::Zone { address: address_of(V4), transport, zone: SECOND_ZONE.into() };
                self.see(signal, second);
            }
        }
    }

    /// The second zone is asked for each third second: of many, each waits for its turn.
    fn turn(&self) -> u64 {
        self.now.as_secs() % 3
    }

    fn announces(&self) -> bool {
        self.policy.levels().any(|(_, level)| level.is_announced())
    }

    fn runs(&self) -> bool {
        self.facts.responder == Runs::Yes
    }

    /// Whether it answers all that is required: without that it does not return, however it left.
    fn is_able(&self) -> bool {
        self.runs() && self.facts.zones != Zones::SecondFails
    }

    /// All that its future depends on. When each address was last answered is not among it: there is one, so nothing to hold it
    /// against, and few drops never swallow a probe here.
    fn shape(&self) -> String {
        let signals = self.policy.ids.iter().zip(&self.policy.signals);
        let signals: Vec<_> =
            signals.map(|(id, signal)| signal.shape(self.policy.grace(id.kind()))).collect();
        let routes: Vec<_> = self.policy.routes.iter().map(|route| route.preference.shape()).collect();
        // Where there is one zone, its turn is always.
        let turn = if self.policy.config.groups[0].required_zones.len() > 1 { self.turn() } else { 0 };
        let excused: Vec<_> =
            self.policy.excused.iter().map(|&index| (index, self.policy.awaits_its_turn(index))).collect();
        format!("{:?} {signals:?} {routes:?} {excused:?} {turn}", self.facts)
    }
}

/// Settings in which a few seconds are a long time, so that there are few states.
fn small() -> PolicyConfig {
    let mut config = super::signals::wide(Degrade::Allowed, OnExpiry::default(), OnOverload::default());
    config.groups[0].prefixes.truncate(1);
    config.groups[0].addresses.truncate(1);
    let timing = Timing { fall: Fall::new(1), rise: Rise::new(1), stale: SECOND * 3 };
    config.probe = timing;
    config.zone = timing;
    for kind in
        [Kind::Slow, Kind::Wire, Kind::Address, Kind::DefaultRoute, Kind::Traffic, Kind::Clock, Kind::Ready]
    {
        config.watched.remove(&kind);
    }
    for watch in config.watched.values_mut() {
        *watch = Watch { timing, grace: watch.grace.min(SECOND) };
    }
    // Drops are over for a while before that is believed, as they are with the usual settings.
    if let Some(overload) = config.watched.get_mut(&Kind::Overload) {
        overload.timing.rise = Rise::new(2);
    }
    config.hold_down = HoldDown { first: SECOND, base: SECOND, max: SECOND, forget: SECOND };
    config.returns = ReturnCap { most: NonZeroU32::MAX, within: SECOND };
    config.grace = Duration::ZERO;
    config
}

/// The same for each order, as the observers have it: where answers come first, the first that is missed is not believed,
/// and the status is heard before the second is.
fn orders() -> [(Order, PolicyConfig); 2] {
    let mut twice = small();
    twice.probe.fall = Fall::new(2);
    twice.zone.fall = Fall::new(2);
    [(Order::StatusFirst, small()), (Order::AnswersFirst, twice)]
}

/// All states of a POP: where each event leads, whether it runs, is able to answer all, and announces.
#[derive(Debug)]
struct Graph {
    next: Vec<[usize; Event::ALL.len()]>,
    runs: Vec<bool>,
    able: Vec<bool>,
    announces: Vec<bool>,
}

impl Graph {
    /// Every state that any sequence of these events reaches.
    fn of(config: &PolicyConfig, order: Order, events: &[Event]) -> Self {
        let mut graph = Self { next: Vec::new(), runs: Vec::new(), able: Vec::new(), announces: Vec::new() };
        let mut known = BTreeMap::new();
        let mut waiting = VecDeque::new();
        graph.number(Pop::new(config.clone(), order), &mut known, &mut waiting);
        while let Some((index, pop)) = waiting.pop_front() {
            for &event in events {
                let next = graph.number(pop.after(event), &mut known, &mut waiting);
                graph.next[index][Self::way(event)] = next;
            }
            assert!(graph.next.len() < 200_000, "the shapes do not repeat");
        }
        graph
    }

    fn number(
        &mut self,
        pop: Pop,
        known: &mut BTreeMap<String, usize>,
        waiting: &mut VecDeque<(usize, Pop)>,
    ) -> usize {
        let fresh = known.len();
        let index = *known.entry(pop.shape()).or_insert(fresh);
        if index == fresh {
            self.next.push([0; Event::ALL.len()]);
            self.runs.push(pop.runs());
            self.able.push(pop.is_able());
            self.announces.push(pop.announces());
            waiting.push_back((index, pop));
        }
        index
    }

    /// The same with states merged that no sequence of events can tell apart.
    fn merged(&self) -> Self {
        let seen = |index: usize| (self.runs[index], self.able[index], self.announces[index]);
        let mut classes: Vec<usize> = Vec::new();
        let mut count = 0;
        loop {
            let mut names = BTreeMap::new();
            let refined: Vec<usize> = (0..self.next.len())
                .map(|index| {
                    let own = classes.get(index).copied();
                    let ways = self.next[index].map(|next| classes.get(next).copied());
                    let fresh = names.len();
                    *names.entry((seen(index), own, ways)).or_insert(fresh)
                })
                .collect();
            classes = refined;
            if names.len() == count {
                break;
            }
            count = names.len();
        }
        let mut merged = Self {
            next: vec![[0; Event::ALL.len()]; count],
            runs: vec![false; count],
            able: vec![false; count],
            announces: vec![false; count],
        };
        for (index, &class) in classes.iter().enumerate() {
            merged.next[class] = self.next[index].map(|next| classes[next]);
            (merged.runs[class], merged.able[class], merged.announces[class]) = seen(index);
        }
        // The start keeps its place: it is the first to be named.
        assert_eq!(classes[0], 0);
        merged
    }

    fn way(event: Event) -> usize {
        Event::ALL.iter().position(|known| *known == event).unwrap()
    }

    fn after(&self, state: usize, event: Event) -> usize {
        self.next[state][Self::way(event)]
    }

    /// Where it ends when nothing more happens: the states of the cycle that waiting leads to.
    fn in_the_end(&self, mut state: usize) -> Vec<usize> {
        let mut passed = Vec::new();
        loop {
            if let Some(begin) = passed.iter().position(|&before| before == state) {
                return passed.split_off(begin);
            }
            passed.push(state);
            state = self.after(state, Event::Wait);
        }
    }
}

/// Whom an event hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hits {
    All,
    One(usize),
}

type World = [usize; POPS];
type Story = Vec<(Event, Hits)>;

/// Visits every world that these events reach from one in which all POPs are settled and announce; gives the
/// shortest story of one that is `wrong`, and how many worlds there are.
fn search(graph: &Graph, events: &[Event], wrong: impl Fn(&World) -> bool) -> (Option<Story>, usize) {
    let settled = graph.in_the_end(0)[0];
    assert!(graph.announces[settled] && graph.runs[settled]);
    let start = [settled; POPS];
    let mut came: BTreeMap<World, Option<(World, Event, Hits)>> = BTreeMap::from([(start, None)]);
    let mut waiting = VecDeque::from([start]);
    let everyone = [Hits::All, Hits::One(0), Hits::One(1), Hits::One(2)];
    while let Some(world) = waiting.pop_front() {
        if wrong(&world) {
            let mut story = Vec::new();
            let mut at = world;
            while let Some((before, event, hits)) = came[&at] {
                story.push((event, hits));
                at = before;
            }
            story.reverse();
            return (Some(story), came.len());
        }
        for &event in events {
            for hits in everyone {
                let mut next = world;
                for (pop, state) in next.iter_mut().enumerate() {
                    let hit = hits == Hits::All || hits == Hits::One(pop);
                    *state = graph.after(*state, if hit { event } else { Event::Wait });
                }
                // Which POP is which makes no difference.
                next.sort_unstable();
                if let std::collections::btree_map::Entry::Vacant(place) = came.entry(next) {
                    place.insert(Some((world, event, hits)));
                    waiting.push_back(next);
                }
            }
        }
    }
    (None, came.len())
}

fn told(story: &Story) -> String {
    story.iter().fold(String::new(), |mut text, (event, hits)| {
        let _ = match hits {
            Hits::All => writeln!(text, "{event:?} at all POPs"),
            Hits::One(_) => writeln!(text, "{event:?} at one POP"),
        };
        text
    })
}

/// Everything but the death of a responder: pushes, data faults and overloads.
const HARMLESS: [Event; 10] = [
    Event::Wait,
    Event::RefusedPush,
    Event::GoodPush,
    Event::DataOld,
    Event::SignaturesNear,
    Event::SignaturesExpired,
    Event::Flood,
    Event::Trickle,
    Event::Drown,
    Event::Calm,
];

/// The same with what may become of two zones, without what is told of data: together there are too many states.
const HARMLESS_TO_ZONES: [Event; 9] = [
    Event::Wait,
    Event::GoodPush,
    Event::ZonesDisagree,
    Event::ZoneFails,
    Event::Flood,
    Event::FloodOverOneZone,
    Event::Drown,
    Event::Trickle,
    Event::Calm,
];

/// All of these together, but for what differs from another by its degree alone.
const ALL_SORTS: [Event; 9] = [
    Event::Wait,
    Event::GoodPush,
    Event::DataOld,
    Event::SignaturesExpired,
    Event::ZonesDisagree,
    Event::ZoneFails,
    Event::FloodOverOneZone,
    Event::Drown,
    Event::Calm,
];

/// Two required zones, of whose data nothing is told.
fn two_zones(mut config: PolicyConfig) -> PolicyConfig {
    config.groups[0].required_zones.push(SECOND_ZONE.into());
    // Longer than a turn.
    config.zone.stale = SECOND * 4;
    for kind in [Kind::DataAge, Kind::Signatures] {
        config.watched.remove(&kind);
    }
    config
}

#[test]
fn no_order_of_pushes_data_faults_and_overloads_withdraws_any_of_three_pops() {
    for (order, config) in orders() {
        let graph = Graph::of(&config, order, &HARMLESS).merged();
        let withdrawn = |world: &World| world.iter().any(|&state| !graph.announces[state]);
        let (story, worlds) = search(&graph, &HARMLESS, withdrawn);
        println!("{order:?}: {} states of a POP, {worlds} worlds", graph.next.len());
        assert_eq!(story.as_ref().map(told), None, "{order:?}");
    }
}

#[test]
fn no_order_of_faults_of_zones_and_overloads_withdraws_any_of_three_pops() {
    for (order, config) in orders() {
        let graph = Graph::of(&two_zones(config), order, &HARMLESS_TO_ZONES).merged();
        let withdrawn = |world: &World| world.iter().any(|&state| !graph.announces[state]);
        let (story, worlds) = search(&graph, &HARMLESS_TO_ZONES, withdrawn);
        println!("{order:?}: {} states of a POP, {worlds} worlds", graph.next.len());
        assert_eq!(story.as_ref().map(told), None, "{order:?}");
    }
}

/// All sorts of faults together, each in its worst form, beside a flood: since no POP knows of another, one that never leaves is
/// enough.
#[test]
fn no_order_of_faults_of_data_and_of_zones_and_of_a_flood_withdraws_a_pop() {
    let mut config = small();
    config.groups[0].required_zones.push(SECOND_ZONE.into());
    config.zone.stale = SECOND * 4;
    let graph = Graph::of(&config, Order::StatusFirst, &ALL_SORTS);
    println!("{} states of a POP", graph.next.len());
    let settled = graph.in_the_end(0)[0];
    let (mut reached, mut waiting) = (BTreeSet::from([settled]), vec![settled]);
    while let Some(state) = waiting.pop() {
        assert!(graph.announces[state], "state {state}");
        let next = ALL_SORTS.map(|event| graph.after(state, event));
        waiting.extend(next.into_iter().filter(|&next| reached.insert(next)));
    }
    assert!(reached.len() > 100, "the search went somewhere");
}

/// NSD, Knot or BIND: no status tells anything, and the host's counts have to do.
#[test]
fn no_order_of_overloads_withdraws_any_of_three_pops_of_another_server() {
    for (order, mut config) in orders() {
        for kind in [Kind::Status, Kind::Heartbeats] {
            config.watched.remove(&kind);
        }
        for (config, events) in [(config.clone(), &HARMLESS[..]), (two_zones(config), &HARMLESS_TO_ZONES)] {
            let graph = Graph::of(&config, order, events).merged();
            let withdrawn = |world: &World| world.iter().any(|&state| !graph.announces[state]);
            let (story, worlds) = search(&graph, events, withdrawn);
            println!("{order:?}: {} states of a POP, {worlds} worlds", graph.next.len());
            assert_eq!(story.as_ref().map(told), None, "{order:?}");
        }
    }
}

/// Deaths included. A POP that can answer serves in the end, whatever happened to it: so in no world, whatever
/// happened to the others, does everything stay withdrawn while one can answer.
#[test]
fn whatever_happens_a_pop_that_can_answer_serves_in_the_end() {
    let about_data = [&HARMLESS[..], &[Event::Kill, Event::Start]].concat();
    let about_zones =
        [Event::Wait, Event::GoodPush, Event::ZonesDisagree, Event::ZoneFails, Event::Kill, Event::Start];
    let of_data = orders().map(|(order, config)| (order, config, &about_data[..]));
    let of_zones = orders().map(|(order, config)| (order, two_zones(config), &about_zones[..]));
    for (order, config, events) in of_data.into_iter().chain(of_zones) {
        let graph = Graph::of(&config, order, events);
        println!("{order:?}: {} states of a POP", graph.next.len());
        assert!(graph.next.len() > 100, "the search went somewhere");
        for state in (0..graph.next.len()).filter(|&state| graph.able[state]) {
            let end = graph.in_the_end(state);
            assert!(end.iter().all(|&at| graph.able[at] && graph.announces[at]), "from state {state}");
        }
    }
}

/// The search must find what is wrong with these settings, and tell the shortest story of it.
#[test]
fn settings_that_empty_the_world_are_found_and_told() {
    let empty_in = |config: &PolicyConfig, order: Order, events: &[Event]| {
        let graph = Graph::of(config, order, events).merged();
        let empty = |world: &World| world.iter().all(|&state| graph.runs[state] && !graph.announces[state]);
        search(&graph, events, empty).0.as_ref().map(told)
    };
    let empty_by = |config: &PolicyConfig, order: Order| empty_in(config, order, &HARMLESS);
    let empty_of = |config: &PolicyConfig| empty_by(config, Order::StatusFirst);
    let mut config = small();
    config.groups[0].expired = OnExpiry::Withdraw;
    let story = empty_of(&config).expect("signatures that expire everywhere empty the world");
    println!("with expired: withdraw\n{story}");
    assert!(story.contains("SignaturesExpired at all POPs"), "{story}");

    let mut config = two_zones(small());
    config.groups[0].failing = OnFailure::Withdraw;
    let story = empty_in(&config, Order::StatusFirst, &HARMLESS_TO_ZONES);
    let story = story.expect("a zone that fails everywhere empties the world");
    println!("with failing: withdraw\n{story}");
    assert!(story.ends_with("ZoneFails at all POPs\n"), "{story}");

    let mut config = small();
    config.groups[0].overload = OnOverload::Withdraw;
    let story = empty_of(&config).expect("a flood that moves on empties the world");
    println!("with overload: withdraw\n{story}");
    assert!(story.starts_with("Flood at all POPs\n"), "{story}");

    let mut config = small();
    // Without its status nobody can tell a flood from a hang.
    config.watched.remove(&Kind::Heartbeats);
    let story = empty_of(&config).expect("a flood looks like death without heartbeats");
    println!("without heartbeats\n{story}");
    assert_eq!(story, "Flood at all POPs\n");

    let mut config = small();
    // Without the host's counts a status that is silent for long enough is like one that is dead.
    config.watched.remove(&Kind::Answers);
    let story = empty_of(&config).expect("a flood that swallows the status looks like death in the end");
    println!("without the host's counts\n{story}");
    assert!(story.starts_with("Drown at all POPs\n"), "{story}");

    // Whoever believes the first silence believes it before the status can say anything.
    let story =
        empty_by(&small(), Order::AnswersFirst).expect("a flood looks like death while nobody was asked");
    println!("with a silence that is believed at once\n{story}");
    assert_eq!(story, "Flood at all POPs\n");
}
