//! The BIRD on a node dies and hangs while the node is degraded, drained or withdrawn: what it tells the router once it is
//! back is what the sidecar wants then, and no more for a moment.

use super::super::expect::{DEAD, absent, decided, gone, leaves, normal_again, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::announcers::plan;
use super::drains::{after_the_deadline, undrain};
use crate::lab::{Edit, PREFIX4, PREFIX6, Plan};
use rustix::process::Signal;
use std::time::Duration;

/// The router connects by itself, and at once: a BIRD that has just started is heard before it would have connected, which is
/// after five seconds.
const EAGER: Edit = ("passive on; ", "connect delay time 1; connect retry time 1; ");

const CLOSED: Duration = Duration::from_millis(100);
const CLOSED_WHY: &str = "the kernel closes the session's connection";

/// What becomes of the BIRD.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// kill -9, and a start.
    Killed,
    /// SIGSTOP, past the router's hold time, and SIGCONT.
    Frozen,
}

/// What is told of the node meanwhile.
#[derive(Debug, Clone, Copy)]
enum State {
    /// TCP refuses.
    Degraded,
    /// The operator has said so, and the drain's deadline is over.
    Drained,
    /// The responder is dead.
    Withdrawn,
}

pub(super) fn all() -> Vec<Scenario> {
    let states = [State::Degraded, State::Drained, State::Withdrawn];
    let in_states =
        states.into_iter().flat_map(|state| [Fault::Killed, Fault::Frozen].map(|it| strikes(it, state)));
    in_states.chain([stays()]).collect()
}

fn strikes(fault: Fault, state: State) -> Scenario {
    let (name, what, reaction) = words(fault, state);
    let (strikes, mends) = match fault {
        Fault::Killed => ("kill -9 of the BIRD", "start it again"),
        Fault::Frozen => ("SIGSTOP of the BIRD", "SIGCONT"),
    };
    let reached = match state {
        State::Degraded => return while_degraded(fault, Scenario::new(name, what, reaction), mends),
        State::Drained => after_the_deadline(name, what, reaction),
        State::Withdrawn => Scenario::new(name, what, reaction).step(
            "kill -9 of the responder",
            |lab| lab.kill_responder(Who::A),
            leaves(DEAD),
        ),
    };
    let eager = Plan { bird: vec![EAGER], ..plan() };
    let broken = bounded(reached, fault)
        .plan(eager)
        .step(strikes, strike(fault), [fails(), absent()].concat())
        .is_the_fault()
        .step(mends, mend(fault), [succeeds(), vec![has_a_session()], absent()].concat())
        .calm(Duration::from_secs(5));
    match state {
        State::Drained => broken.step("undrain", undrain, returns()),
        State::Degraded | State::Withdrawn => broken.step("start the responder", start_responder, returns()),
    }
}

fn while_degraded(fault: Fault, scenario: Scenario, mends: &'static str) -> Scenario {
    bounded(scenario, fault)
        .loses(Loss::Any)
        .step("reject TCP 53, then break the BIRD", strike_degraded(fault), [fails(), gone()].concat())
        .step(mends, mend(fault), {
            let routes =
                [PREFIX4, PREFIX6].map(|prefix| [Expect::Back(prefix), Expect::Preference(prefix, 80)]);
            [succeeds(), routes.concat()].concat()
        })
        .calm(Duration::from_secs(2))
        .step("let TCP through", |lab| lab.unfilter(Who::A), normal_again())
}

fn bounded(scenario: Scenario, fault: Fault) -> Scenario {
    let scenario = scenario.plan(plan());
    match fault {
        Fault::Killed => scenario.within(CLOSED, CLOSED_WHY),
        Fault::Frozen => scenario.within(
            Duration::from_secs(12),
            "the router's hold time of nine seconds; the alarm after a look once a second and ten for an answer",
        ),
    }
}

/// No marker ends a route here: what BIRD reads at its start is what the sidecar has left in the file.
fn stays() -> Scenario {
    Scenario::new(
        "bird-killed-and-then-the-responder-death-stay",
        "kill -9 of the BIRD on the node, whose routes stay for good (`death: stay`), and of the responder while it is away; \
         then the BIRD is started",
        "the routes go with BIRD's session, and it announces nothing when it is back; earned back once the responder answers",
    )
    .plan(Plan { site: vec![STAY], bird: vec![EAGER], ..plan() })
    .within(CLOSED, CLOSED_WHY)
    .step(
        "kill -9 of the BIRD",
        |lab| {
            lab.strike();
            lab.node(Who::A).bird().daemon().kill();
        },
        [fails(), gone()].concat(),
    )
    .step(
        "kill -9 of the responder",
        |lab| lab.kill_responder(Who::A),
        [decided("withdrawn", DEAD), absent()].concat(),
    )
    .step(
        "start the BIRD",
        |lab| lab.start_bird(Who::A),
        [succeeds(), vec![has_a_session()], absent()].concat(),
    )
    .calm(Duration::from_secs(5))
    .step("start the responder", start_responder, returns())
}

/// The sample announcers of `deploy/site.yaml`.
pub(super) const SAMPLE: &str = "#   bird: {control: /run/bird/bird.ctl, include: /var/lib/pharos/bird.conf}
#   lease:
#     interface: pharos0
#     markers:
#       - {prefix: 192.0.2.0/24, address: 169.254.77.1/30}
#       - {prefix: \"2001:db8:53::/48\", address: \"fd00:77::1/126\"}
";

/// No lease.
const STAY: Edit =
    (SAMPLE, "#   bird: {control: /run/bird/bird.ctl, include: /var/lib/pharos/bird.conf, death: stay}\n");

fn words(fault: Fault, state: State) -> (&'static str, &'static str, &'static str) {
    const SILENT: &str = "nothing is announced before, during or after; an alarm while it is away";
    match (fault, state) {
        (Fault::Killed, State::Degraded) => (
            "bird-killed-while-degraded",
            "kill -9 of the BIRD on a node that is degraded, and a start",
            "the routes go with its session; an alarm; they come back no better than degraded",
        ),
        (Fault::Frozen, State::Degraded) => (
            "bird-frozen-while-degraded",
            "the BIRD on a node that is degraded hangs (SIGSTOP), and goes on",
            "declared: the routes stay for the hold time; an alarm; they come back no better than degraded",
        ),
        (Fault::Killed, State::Drained) => {
            ("bird-killed-while-drained", "kill -9 of the BIRD on a drained node, and a start", SILENT)
        }
        (Fault::Frozen, State::Drained) => {
            ("bird-frozen-while-drained", "the BIRD on a drained node hangs (SIGSTOP), and goes on", SILENT)
        }
        (Fault::Killed, State::Withdrawn) => (
            "bird-killed-while-withdrawn",
            "kill -9 of the BIRD on a node whose responder is dead, and a start",
            SILENT,
        ),
        (Fault::Frozen, State::Withdrawn) => (
            "bird-frozen-while-withdrawn",
            "the BIRD on a node whose responder is dead hangs (SIGSTOP), and goes on",
            SILENT,
        ),
    }
}

fn fails() -> Vec<Expect> {
    vec![Expect::Alarm(Who::A, "announcer-failing", "")]
}

fn succeeds() -> Vec<Expect> {
    vec![Expect::AlarmOver(Who::A, "announcer-failing")]
}

/// Before that nobody can hear what it would announce.
fn has_a_session() -> Expect {
    Expect::That("the router has a session with the BIRD", |lab| {
        lab.topology.ams.router().bird().is_some_and(|bird| bird.established("pharos_node"))
    })
}

fn strike_degraded(fault: Fault) -> fn(&mut FaultLab) {
    match fault {
        Fault::Killed => |lab| {
            lab.degrade();
            lab.strike();
            lab.node(Who::A).bird().daemon().kill();
        },
        Fault::Frozen => |lab| {
            lab.degrade();
            lab.strike();
            lab.node(Who::A).bird().daemon().signal(Signal::STOP);
        },
    }
}

fn strike(fault: Fault) -> fn(&mut FaultLab) {
    match fault {
        Fault::Killed => |lab| {
            lab.node(Who::A).bird().daemon().kill();
        },
        Fault::Frozen => |lab| {
            lab.node(Who::A).bird().daemon().signal(Signal::STOP);
        },
    }
}

fn mend(fault: Fault) -> fn(&mut FaultLab) {
    match fault {
        Fault::Killed => |lab| lab.start_bird(Who::A),
        Fault::Frozen => |lab| lab.node(Who::A).bird().daemon().signal(Signal::CONT),
    }
}

fn start_responder(lab: &mut FaultLab) {
    lab.node(Who::A).start_responder();
}
