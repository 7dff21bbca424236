//! The fault lab: every fault that the design names, injected into real processes, and what must come of it.
//!
//! A [`Scenario`] is a value: what the lab is built from, what is broken and how, what each prefix, route, alarm and
//! client must do then, how fast, and what may be lost. One engine ([`run`]) plays any of them and measures:
//!
//! * *detection*: from the fault to the sidecar's decision, or to its alarm where no level changes, by the moment at which its
//!   log line was read;
//! * *convergence*: from the fault to the change at the neighbour: netlink's news of the router's kernel route, or the
//!   router's own table where a route changes and stays;
//! * *clients*: from the fault to the first query after which every one is answered by whom it should be;
//! * *lost*: queries without an answer among those of [`Traffic`](crate::lab::Traffic), which never repeats one;
//! * *false reactions*: any change of a level, at any node, that the scenario does not name;
//! * and where a scenario says that routers hear nothing, BIRD's own trace of its sessions with the nodes.
//!
//! A machine that stood still while a repetition ran has measured nothing: that repetition is played again.
//!
//! One step is the fault, the first unless another is marked: its times and losses are those of the scenario. A later step
//! may have bounds of its own. What a step expects of the present (a route, a preference, who answers) has to be so all at
//! once when the step's wait ends, and again when its calm does; a route that had to be gone and came back for a moment
//! fails it by the router's own news, whatever the sidecars say of themselves.
//!
//! It refuses to judge a time in a single run: that a reaction comes, and in which order, is what fails it. Bounds are
//! held against many repetitions by the closing table ([`report`]), of which `docs/faults.md` is made.

mod engine;
mod expect;
mod lab;
pub mod report;
mod scenarios;

pub(crate) use engine::difference;
pub use engine::{Discarded, Repetition, run};
pub use expect::Expect;
pub use lab::{FaultLab, Who};
pub use scenarios::{all, left_out, plan_with_bfd};

use crate::lab::{Plan, TcpLoad};
use std::time::Duration;

/// A fault and what must come of it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Under which heading it stands in the record.
    pub section: &'static str,
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// What is broken, for people.
    pub fault: &'static str,
    /// What must come of it, for people.
    pub reaction: &'static str,
    /// What the lab is built from.
    pub plan: Plan,
    /// The state in which the fault strikes.
    pub begin: Begin,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// Which of them is the fault; those before it prepare it.
    pub fault_step: usize,
    /// How fast.
    pub bound: Bound,
    /// What clients may lose.
    pub loss: Loss,
    /// Levels that the first node of ams may pass through on its way, or not: which comes first is a race.
    pub tolerates: Vec<&'static str>,
    /// Messages that no sidecar may log from the fault to the end.
    pub never: Vec<&'static str>,
    /// Kinds of alarms that no sidecar may raise from the fault to the end.
    pub never_alarms: Vec<&'static str>,
    /// Whether other labs may run at the same time.
    pub company: Company,
}

/// Whether other labs may run beside a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// It mostly waits for timers.
    Welcome,
    /// It takes all that the machine can give: a second such lab would take more than there is, and every other starve.
    None,
}

/// The state of the lab before the first step.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// Everything runs, all routes are there, clients are answered by ams.
    Lit,
    /// The same, and this has been done before anything ran.
    Prepared(fn(&mut FaultLab)),
    /// Prepared by this before anything runs; then only fra is lit, and clients are answered by it.
    Dark(fn(&mut FaultLab)),
}

/// Something that is done, and what must come of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done, for people.
    pub what: &'static str,
    /// Does it.
    pub act: fn(&mut FaultLab),
    /// All of this must come true.
    pub expect: Vec<Expect>,
    /// For so long after that, nothing else may happen.
    pub calm: Duration,
    /// What the routers of ams may hear of it, from its beginning to the end of its calm.
    pub routers: Routers,
    /// When its own reaction must come, where that is judged beside the fault's.
    pub timed: Option<Timed>,
}

/// Between which times the decision and the neighbour's change of one step must come.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// From when on it counts.
    pub since: Since,
    /// Not sooner.
    pub least: Duration,
    /// Not later.
    pub most: Duration,
    /// From which settings that follows.
    pub because: &'static str,
}

/// From when on a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From the step itself.
    Step,
    /// From the fault.
    Fault,
}

/// What routers may hear from their nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routers {
    /// Whatever comes of it.
    Hear,
    /// Keepalives, in sessions that stand: no UPDATE, no NOTIFICATION, nothing of BFD.
    HearNothing,
}

/// What a reaction may take, and from which settings that follows.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// From the fault to the sidecar's decision, or its alarm where no level changes, and to the neighbour's change.
    pub within: Option<Duration>,
    /// Why so much.
    pub because: &'static str,
}

/// What clients may lose from the fault to the end of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing at all, but for a connection that is open at the very moment when a route moves: BGP cannot promise it
    /// anything, and the table tells of it.
    Nothing,
    /// Connections alone; not one query over UDP.
    Connections,
    /// What is on its way until the network has converged; nothing after that.
    UntilConverged,
    /// The fault reaches the clients themselves, or no other node can answer.
    Any,
}

impl Scenario {
    /// A scenario in the plain lab, without steps yet.
    pub fn new(name: &'static str, fault: &'static str, reaction: &'static str) -> Self {
        Self {
            section: "",
            name,
            fault,
            reaction,
            plan: Plan::default(),
            begin: Begin::Lit,
            steps: Vec::new(),
            fault_step: 0,
            bound: Bound { within: None, because: "" },
            loss: Loss::UntilConverged,
            tolerates: Vec::new(),
            never: Vec::new(),
            never_alarms: Vec::new(),
            company: Company::Welcome,
        }
    }

    /// In another lab.
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    /// With the hold-down as it is shipped, not the lab's shorter one.
    #[must_use]
    pub fn shipped_hold_down(mut self) -> Self {
        self.plan.pharos.push(("hold-down: 10s", "hold-down: 10s"));
        self
    }

    /// With this done before anything runs.
    #[must_use]
    pub fn prepared(mut self, prepare: fn(&mut FaultLab)) -> Self {
        self.begin = Begin::Prepared(prepare);
        self
    }

    /// From another state.
    #[must_use]
    pub fn dark(mut self, prepare: fn(&mut FaultLab)) -> Self {
        self.begin = Begin::Dark(prepare);
        self
    }

    /// Then this is done, and that comes of it.
    #[must_use]
    pub fn step(mut self, what: &'static str, act: fn(&mut FaultLab), expect: Vec<Expect>) -> Self {
        let (calm, routers, timed) = (Duration::ZERO, Routers::Hear, None);
        self.steps.push(Step { what, act, expect, calm, routers, timed });
        self
    }

    /// The last step is the fault; what came before prepares it.
    #[must_use]
    pub fn is_the_fault(mut self) -> Self {
        self.fault_step = self.steps.len().saturating_sub(1);
        self
    }

    /// The reaction to the last step, which is not the fault, comes between these times from it.
    #[must_use]
    pub fn between(self, least: Duration, most: Duration, because: &'static str) -> Self {
        self.timed(Timed { since: Since::Step, least, most, because })
    }

    /// The same, from the fault.
    #[must_use]
    pub fn between_from_the_fault(self, least: Duration, most: Duration, because: &'static str) -> Self {
        self.timed(Timed { since: Since::Fault, least, most, because })
    }

    fn timed(mut self, timed: Timed) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.timed = Some(timed);
        }
        self
    }

    /// After the last step nothing else happens for so long.
    #[must_use]
    pub fn calm(mut self, calm: Duration) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.calm = calm;
        }
        self
    }

    /// The routers of ams hear nothing of the last step.
    #[must_use]
    pub fn unheard(mut self) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.routers = Routers::HearNothing;
        }
        self
    }

    /// Within so much.
    #[must_use]
    pub fn within(mut self, within: Duration, because: &'static str) -> Self {
        self.bound = Bound { within: Some(within), because };
        self
    }

    /// The first node of ams may pass through this level, or not.
    #[must_use]
    pub fn tolerates(mut self, level: &'static str) -> Self {
        self.tolerates.push(level);
        self
    }

    /// No sidecar logs this message.
    #[must_use]
    pub fn never(mut self, message: &'static str) -> Self {
        self.never.push(message);
        self
    }

    /// No sidecar raises an alarm of this kind.
    #[must_use]
    pub fn never_alarm(mut self, kind: &'static str) -> Self {
        self.never_alarms.push(kind);
        self
    }

    /// Clients ask as much over TCP as over UDP.
    #[must_use]
    pub fn asked_by_streams(mut self) -> Self {
        self.plan.tcp = TcpLoad::Streams;
        self
    }

    /// No other lab runs meanwhile.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.company = Company::None;
        self
    }

    /// Clients lose this much.
    #[must_use]
    pub fn loses(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }
}
