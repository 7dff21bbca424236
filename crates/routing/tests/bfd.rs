//! Two BFD sessions on a simulated link: time moves by addition, packets at once, or not at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::time::Duration;

use pharos_routing::bfd::{
    Cause, Demand, Diagnostic, Event, Input, Output, Packet, Sequence, Session, SessionConfig, State,
};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// So many steps in one run mean that two machines excite each other without end.
const MOST_STEPS: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    /// What the first end says is lost.
    FirstMute,
    Down,
}

struct Pair {
    now: Duration,
    link: Link,
    ends: [Session; 2],
    sent: [Vec<(Duration, Packet)>; 2],
    changes: [Vec<(Duration, State, Cause)>; 2],
}

fn config(discriminator: u32) -> SessionConfig {
    SessionConfig::new(NonZeroU32::new(discriminator).unwrap())
}

impl Pair {
    fn new(first: SessionConfig, second: SessionConfig) -> Self {
        let session = |config| Session::new(config, Duration::ZERO).unwrap();
        Self {
            now: Duration::ZERO,
            link: Link::Up,
            ends: [session(first), session(second)],
            sent: Default::default(),
            changes: Default::default(),
        }
    }

    fn up() -> Self {
        let mut pair = Self::new(config(7), config(9));
        pair.run(3 * SECOND);
        assert_eq!(pair.states(), [State::Up; 2]);
        pair
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    fn step(&mut self, end: usize, input: Input<'_>) {
        let mut out = Vec::new();
        self.ends[end].step(self.now, input, &mut out);
        self.carry_out(end, &out);
    }

    fn carry_out(&mut self, end: usize, outputs: &[Output]) {
        for output in outputs {
            match *output {
                Output::Event(Event::Changed { to, cause, .. }) => {
                    self.changes[end].push((self.now, to, cause));
                }
                Output::Send(packet) => {
                    assert_eq!(Packet::read(&packet.octets()), Ok(packet), "what is sent can be read");
                    self.sent[end].push((self.now, packet));
                    let lost = self.link == Link::Down || self.link == Link::FirstMute && end == 0;
                    if !lost {
                        self.step(1 - end, Input::Received(&packet));
                    }
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..MOST_STEPS {
            let due = self.ends.iter().filter_map(Session::next_deadline).min();
            match due {
                Some(due) if due <= until => {
                    self.now = self.now.max(due);
                    self.step(0, Input::Tick);
                    self.step(1, Input::Tick);
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("the machines do not come to rest");
    }
}

#[test]
fn two_sessions_find_each_other_and_poll_their_way_to_the_quick_interval() {
    let pair = Pair::up();
    for end in [0, 1] {
        let states: Vec<State> = pair.changes[end].iter().map(|(_, to, _)| *to).collect();
        assert_eq!(states.last(), Some(&State::Up));
        assert_eq!(pair.ends[end].detection_time(), 900 * MS);
        assert_eq!(pair.ends[end].send_interval(), 300 * MS);
        let polls = pair.sent[end].iter().filter(|(_, packet)| packet.sequence == Sequence::Poll).count();
        let finals = pair.sent[end].iter().filter(|(_, packet)| packet.sequence == Sequence::Final).count();
        assert!(polls >= 1 && finals >= 1, "{polls} polls, {finals} finals");
        let last = pair.sent[end].last().unwrap().1;
        assert_eq!((last.sequence, last.desired_min_tx), (Sequence::None, 300 * MS));
    }
}

#[test]
fn before_it_is_up_a_session_sends_once_a_second_at_most() {
    let mut pair = Pair::new(config(7), config(9));
    pair.link = Link::Down;
    pair.run(60 * SECOND);
    let times: Vec<Duration> = pair.sent[0].iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|two| two[1] - two[0] >= 750 * MS), "{times:?}");
    assert!(times.len() >= 60, "{}", times.len());
    assert!(pair.sent[0].iter().all(|(_, packet)| packet.desired_min_tx == SECOND));
}

#[test]
fn an_interval_varies_between_three_quarters_and_all_of_it() {
    let mut pair = Pair::up();
    pair.sent[0].clear();
    pair.run(60 * SECOND);
    let times: Vec<Duration> = pair.sent[0].iter().map(|(at, _)| *at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (225 * MS..=300 * MS).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 260 * MS) && gaps.iter().any(|gap| *gap > 280 * MS));
}

#[test]
fn a_dead_link_is_seen_by_both_within_the_detection_time() {
    let mut pair = Pair::up();
    pair.link = Link::Down;
    let cut = pair.now;
    pair.changes = Default::default();
    pair.run(SECOND);
    for end in [0, 1] {
        let [(at, State::Down, cause)] = pair.changes[end][..] else { panic!("{:?}", pair.changes[end]) };
        assert!(at - cut <= 900 * MS, "{:?}", at - cut);
        assert_eq!(cause, Cause::Silence(900 * MS));
        assert!(cause.is_failure());
        assert_eq!(pair.ends[end].diagnostic(), Diagnostic::DETECTION_TIME_EXPIRED);
    }
    pair.link = Link::Up;
    pair.run(3 * SECOND);
    assert_eq!(pair.states(), [State::Up; 2], "it comes back by itself");
    assert_eq!(pair.ends[0].counters().flaps, 1);
}

#[test]
fn a_link_that_is_dead_one_way_is_down_at_both_ends() {
    let mut pair = Pair::up();
    pair.link = Link::FirstMute;
    pair.run(SECOND);
    assert_eq!(pair.ends[1].diagnostic(), Diagnostic::DETECTION_TIME_EXPIRED);
    assert_eq!(pair.ends[0].diagnostic(), Diagnostic::NEIGHBOUR_DOWN);
    assert_ne!(pair.ends[0].state(), State::Up);
    pair.run(10 * SECOND);
    assert!(!pair.states().contains(&State::Up), "who is not heard is not up");
}

#[test]
fn stopping_says_so_at_once_and_is_no_failure_of_the_path() {
    let mut pair = Pair::up();
    pair.changes = Default::default();
    pair.step(0, Input::Stop);
    assert_eq!(pair.states(), [State::AdminDown, State::Down]);
    assert_eq!(pair.sent[0].last().unwrap().1.diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    let (_, _, cause) = pair.changes[1][0];
    assert_eq!(cause, Cause::NeighbourAdminDown);
    assert!(!cause.is_failure());
    pair.run(10 * SECOND);
    assert_eq!(pair.states(), [State::AdminDown, State::Down]);
}

#[test]
fn a_poll_is_answered_with_final_at_once() {
    let mut pair = Pair::up();
    let poll = Packet { sequence: Sequence::Poll, ..pair.sent[1].last().unwrap().1 };
    let mut out = Vec::new();
    pair.ends[0].step(pair.now, Input::Received(&poll), &mut out);
    let [Output::Send(answer)] = out[..] else { panic!("{out:?}") };
    assert_eq!((answer.sequence, answer.state), (Sequence::Final, State::Up));
}

#[test]
fn a_neighbour_in_demand_mode_gets_nothing_while_both_are_up() {
    let mut pair = Pair::up();
    let demand = Packet { demand: Demand::On, ..pair.sent[1].last().unwrap().1 };
    let mut session = Session::resume(config(7), &pair.ends[0].snapshot(pair.now), pair.now).unwrap();
    let mut out = Vec::new();
    session.step(pair.now, Input::Received(&demand), &mut out);
    out.clear();
    pair.now += 800 * MS;
    session.step(pair.now, Input::Tick, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_neighbour_that_takes_no_packets_gets_none() {
    let mut pair = Pair::up();
    let deaf = Packet { required_min_rx: Duration::ZERO, ..pair.sent[1].last().unwrap().1 };
    let mut out = Vec::new();
    pair.ends[0].step(pair.now, Input::Received(&deaf), &mut out);
    out.clear();
    pair.ends[0].step(pair.now + 890 * MS, Input::Tick, &mut out);
    assert_eq!(out, []);
    pair.ends[0].step(pair.now + 900 * MS, Input::Tick, &mut out);
    assert_eq!(pair.ends[0].state(), State::Down, "but its silence counts");
    assert!(
        out.iter().any(|output| matches!(output, Output::Send(_))),
        "and once it is gone it may be another"
    );
}

#[test]
fn a_slower_neighbour_sets_the_pace() {
    let slow = SessionConfig { interval: SECOND, multiplier: 5, ..config(9) };
    let mut pair = Pair::new(config(7), slow);
    pair.run(10 * SECOND);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.ends[0].send_interval(), SECOND);
    assert_eq!(pair.ends[0].detection_time(), 5 * SECOND);
    assert_eq!(pair.ends[1].detection_time(), 3 * SECOND);
}

#[test]
fn packets_for_another_session_change_nothing() {
    let mut pair = Pair::up();
    let stranger = Packet {
        your_discriminator: NonZeroU32::new(4711),
        state: State::Down,
        ..pair.sent[1].last().unwrap().1
    };
    let mut out = Vec::new();
    pair.ends[0].step(pair.now, Input::Received(&stranger), &mut out);
    assert_eq!((pair.ends[0].state(), out.len()), (State::Up, 0));
    assert_eq!(pair.ends[0].counters().strangers, 1);
}

#[test]
fn a_session_that_another_process_takes_over_stays_up_at_the_neighbour() {
    let mut pair = Pair::up();
    pair.changes = Default::default();
    let snapshot = pair.ends[0].snapshot(pair.now);
    pair.link = Link::FirstMute;
    pair.run(500 * MS);
    let other = SessionConfig { jitter_seed: 99, ..config(1234) };
    pair.ends[0] = Session::resume(other, &snapshot, pair.now).unwrap();
    pair.link = Link::Up;
    pair.run(30 * SECOND);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.changes, <[Vec<_>; 2]>::default());
    assert_eq!(pair.ends[0].discriminator().get(), 7);
}

/// What the first end's next process sends at once, and that process.
fn taken_over(pair: &Pair, interval: Duration) -> (Session, Packet) {
    let snapshot = pair.ends[0].snapshot(pair.now);
    let text = serde_json::to_string(&snapshot).unwrap();
    let read = serde_json::from_str(&text).unwrap();
    assert_eq!(snapshot, read);
    let mut session = Session::resume(SessionConfig { interval, ..config(7) }, &read, pair.now).unwrap();
    let mut out = Vec::new();
    session.step(pair.now, Input::Tick, &mut out);
    let [Output::Send(packet)] = out[..] else { panic!("{out:?}") };
    (session, packet)
}

#[test]
fn a_process_that_takes_over_with_a_longer_interval_sends_at_the_shorter_until_the_neighbour_has_confirmed_it()
 {
    let pair = Pair::up();
    let (mut session, packet) = taken_over(&pair, SECOND);
    assert_eq!((packet.sequence, packet.desired_min_tx), (Sequence::Poll, SECOND));
    assert_eq!(packet.required_min_rx, SECOND);
    assert_eq!((session.send_interval(), session.detection_time()), (300 * MS, 3 * SECOND));
    let answer = pair.sent[1].last().unwrap().1;
    session.step(pair.now, Input::Received(&answer), &mut Vec::new());
    assert_eq!(session.send_interval(), 300 * MS, "an ordinary packet confirms nothing");
    let answer = Packet { sequence: Sequence::Final, ..answer };
    session.step(pair.now, Input::Received(&answer), &mut Vec::new());
    assert_eq!((session.send_interval(), session.detection_time()), (SECOND, 3 * SECOND));
}

#[test]
fn a_process_that_takes_over_with_a_shorter_interval_waits_by_the_longer_until_the_neighbour_has_confirmed_it()
 {
    let quick = SessionConfig { interval: 50 * MS, ..config(9) };
    let mut pair = Pair::new(config(7), quick);
    pair.run(5 * SECOND);
    let (mut session, packet) = taken_over(&pair, 50 * MS);
    assert_eq!((packet.sequence, packet.desired_min_tx), (Sequence::Poll, 50 * MS));
    assert_eq!((session.send_interval(), session.detection_time()), (50 * MS, 900 * MS));
    let answer = Packet { sequence: Sequence::Final, ..pair.sent[1].last().unwrap().1 };
    session.step(pair.now, Input::Received(&answer), &mut Vec::new());
    assert_eq!((session.send_interval(), session.detection_time()), (50 * MS, 150 * MS));
}

#[test]
fn intervals_that_change_from_process_to_process_before_the_neighbour_answers_are_all_remembered() {
    let mut pair = Pair::up();
    pair.changes = Default::default();
    pair.link = Link::Down;
    for interval in [SECOND, 100 * MS, 500 * MS] {
        (pair.ends[0], _) = taken_over(&pair, interval);
    }
    assert_eq!(pair.ends[0].send_interval(), 300 * MS, "the neighbour takes no more");
    assert_eq!(pair.ends[0].detection_time(), 3 * SECOND);
    pair.link = Link::Up;
    pair.run(30 * SECOND);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.changes, <[Vec<_>; 2]>::default());
    assert_eq!(pair.ends[0].send_interval(), 500 * MS);
    assert_eq!(pair.ends[1].detection_time(), 1500 * MS, "the neighbour has heard it");
}

#[test]
fn a_process_that_takes_over_with_the_same_interval_asks_for_nothing() {
    let (_, packet) = taken_over(&Pair::up(), 300 * MS);
    assert_eq!(packet.sequence, Sequence::None);
}

#[test]
fn signs_of_life_keep_the_neighbour_while_the_process_changes_and_it_can_be_taken_back() {
    let mut pair = Pair::up();
    pair.changes = Default::default();
    // Another process reads what comes, and ends before it goes on.
    let mut now = pair.now;
    for _ in 0..20 {
        let packet = pair.ends[0].sign_of_life().unwrap();
        now += 300 * MS;
        pair.ends[1].step(now, Input::Received(&packet), &mut Vec::new());
    }
    assert_eq!(pair.ends[1].state(), State::Up);
    pair.ends[0].take_back(now);
    pair.now = now;
    pair.run(30 * SECOND);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.changes, <[Vec<_>; 2]>::default());
    assert_eq!(Session::new(config(7), now).unwrap().sign_of_life(), None, "only of one that is up");
}

#[test]
fn time_that_goes_backwards_moves_nothing() {
    let mut pair = Pair::up();
    let due = pair.ends[0].next_deadline();
    let mut out = Vec::new();
    pair.ends[0].step(Duration::ZERO, Input::Tick, &mut out);
    assert!(out.is_empty());
    assert_eq!(pair.ends[0].next_deadline(), due);
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let octets = proptest::array::uniform24(any::<u8>());
    // Half of them with a head that is right, so that the machine sees them.
    (octets, any::<bool>(), 0_u8..4, 0_u8..4, 1_u8..5).prop_map(
        |(mut octets, right, state, sequence, multiplier)| {
            if right {
                octets[0] = 0x20 | octets[0] & 0x1f;
                octets[1] = state << 6 | [0, 0x20, 0x10, 2][usize::from(sequence)];
                octets[2] = multiplier;
                octets[3] = 24;
                let yours = if state < 2 { octets[8] & 7 } else { 7 };
                octets[8..12].copy_from_slice(&[0, 0, 0, yours]);
            }
            octets.to_vec()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_packets_at_any_times_are_survived(
        packets in proptest::collection::vec((any_packet(), 0_u64..3000), 0..60),
    ) {
        let mut session = Session::new(config(7), Duration::ZERO).unwrap();
        let mut now = Duration::ZERO;
        for (octets, wait) in packets {
            now += Duration::from_millis(wait);
            let mut out = Vec::new();
            match Packet::read(&octets) {
                Ok(packet) => session.step(now, Input::Received(&packet), &mut out),
                Err(why) => drop(why.to_string()),
            }
            session.step(now, Input::Tick, &mut out);
            prop_assert!(out.len() <= 8, "{out:?}");
            prop_assert!(session.next_deadline().is_none_or(|due| due > now), "nothing is overdue after a tick");
            let finals = out.iter().filter(
                |o| matches!(o, Output::Send(p) if p.sequence == Sequence::Final)).count();
            prop_assert!(finals <= 1);
        }
    }
}
