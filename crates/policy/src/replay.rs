//! Recorded signals through any configuration: what would this policy have done?
//!
//! A [`Replay`] takes the [lines](crate::trace) of one node, in order, and lets a policy hear them as if it
//! had been there; deadlines between two lines are kept, so that silence counts and hold-downs end when they
//! would have. A [`World`] takes the replays of many nodes and says whether there was a moment at which none of
//! them is known to have announced a prefix: "would this policy have emptied the world?"
//!
//! What is replayed is what was heard. A setting that would have looked more often, or at something else,
//! cannot be tried on a recording; counts, bounds, graces, hold-downs, groups and choices can.
//!
//! # Transition table
//!
//! | line | then |
//! |---|---|
//! | begin of a process | what was announced was withdrawn at the line before, by the death of its process; a new policy |
//! | begin of a process that goes on from the life before | the policy goes on |
//! | begin of a file, in the middle of the same life | the policy goes on; where there is none yet, a new one |
//! | state, for a new policy | it goes on from how things stood; levels that are others by it are told so |
//! | an input | deadlines until then, then the input |
//! | anything else | nothing |
//!
//! Nobody writes down its own death. The last line of a life is the best that is known of it: what is recorded is on the
//! disk within a second.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, PolicyConfig};
use crate::level::Level;
use crate::policy::{Input, Output, Policy};
use crate::prefix::Prefix;
use crate::trace::{Begin, Line, Reader, Standing};

mod world;

pub use world::{Empty, TOGETHER, Unknown, World};

/// A change of level that the policy under trial would have made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When, by the wall clock, since 1970.
    pub at: Duration,
    /// The prefix.
    pub prefix: Prefix,
    /// The level before.
    pub from: Level,
    /// The level after.
    pub to: Level,
    /// Why.
    pub cause: String,
}

/// One node's trace, on its way through a policy.
#[derive(Debug)]
pub struct Replay {
    config: PolicyConfig,
    node: String,
    reader: Reader,
    life: Option<Life>,
    moved: Vec<Moved>,
    /// What the node itself recorded.
    really: usize,
    gaps: u64,
    /// From the first to the last line, by the wall clock.
    span: Option<(Duration, Duration)>,
    levels_at_first: Vec<(Prefix, Level)>,
}

/// One life of a process.
#[derive(Debug)]
struct Life {
    policy: Policy,
    begin: Begin,
    fresh: Fresh,
    order: Order,
    /// When its last line was, by the policy's clock.
    last: Duration,
}

/// Whether it is the first life of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    First,
    Later,
}

/// Whether the policy has heard anything yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

impl Life {
    /// The wall clock at a moment of the policy's.
    fn wall(&self, at: Duration) -> Duration {
        let since = at.saturating_sub(Duration::from_micros(self.begin.at_us));
        Duration::from_micros(self.begin.unix_us).saturating_add(since)
    }
}

impl Replay {
    /// A replay through `config`.
    pub fn new(config: PolicyConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            node: String::new(),
            reader: Reader::default(),
            life: None,
            moved: Vec::new(),
            really: 0,
            gaps: 0,
            span: None,
            levels_at_first: Vec::new(),
        })
    }

    /// Takes the next line.
    pub fn take(&mut self, line: Line) -> Result<(), ConfigError> {
        let at = line.at();
        match &line {
            Line::Begin(begin) => self.begin(begin.clone())?,
            Line::State(at, standing) => self.stand(Duration::from_micros(*at), standing)?,
            Line::Moved(..) => self.really += 1,
            Line::Gap(_, lost) => self.gaps += lost,
            Line::Signal(..) | Line::Pass(..) | Line::Saw(..) | Line::Input(..) => {}
        }
        if let Some((at, input)) = self.reader.input(line) {
            self.hear(at, input);
        }
        if let (Some(life), Some(at)) = (&mut self.life, at) {
            life.last = life.last.max(at);
            let wall = life.wall(at);
            self.seen(wall);
        }
        Ok(())
    }

    fn begin(&mut self, begin: Begin) -> Result<(), ConfigError> {
        self.node.clone_from(&begin.node);
        if let Some(life) = &mut self.life
            && (begin.life == life.begin.life || begin.goes_on_from == Some(life.begin.life))
        {
            life.begin = begin;
            return Ok(());
        }
        let last = Duration::from_micros(begin.at_us);
        let policy = Policy::new(last, self.config.clone())?;
        let order = if self.life.is_none() { Order::First } else { Order::Later };
        let life = Life { policy, begin, fresh: Fresh::Yes, order, last };
        match self.life.take() {
            None => self.levels_at_first = life.policy.levels().collect(),
            Some(before) => self.die(&before, &life),
        }
        self.life = Some(life);
        Ok(())
    }

    /// One life has ended at its last line, and another has begun.
    fn die(&mut self, before: &Life, next: &Life) {
        let began = next.wall(next.last);
        // A wall clock that was set back in between is no reason to end after the next has begun.
        let ended = before.wall(before.last).min(began);
        let gone = began.saturating_sub(ended);
        let cause = format!("its sidecar ended, and the next one began {:.1}s later", gone.as_secs_f64());
        for (prefix, from) in before.policy.levels().filter(|(_, from)| *from != Level::Withdrawn) {
            self.moved.push(Moved { at: ended, prefix, from, to: Level::Withdrawn, cause: cause.clone() });
        }
        // Anchors: the others are withdrawn until more is known.
        for (prefix, to) in next.policy.levels().filter(|(_, to)| *to != Level::Withdrawn) {
            let cause = "the next sidecar began".to_owned();
            self.moved.push(Moved { at: began, prefix, from: Level::Withdrawn, to, cause });
        }
    }

    fn stand(&mut self, at: Duration, standing: &Standing) -> Result<(), ConfigError> {
        let Some(life) = self.life.as_mut().filter(|life| life.fresh == Fresh::Yes) else { return Ok(()) };
        let wall = life.wall(at);
        let before: Vec<(Prefix, Level)> = life.policy.levels().collect();
        let mut outputs = Vec::new();
        life.policy = Policy::from_standing(at, self.config.clone(), standing.clone(), &mut outputs)?;
        if life.order == Order::First {
            self.levels_at_first = life.policy.levels().collect();
            return Ok(());
        }
        // What is told is what came of the standing and of the configuration, with the last word on it.
        let said = |of: Prefix| {
            outputs.iter().rev().find_map(|output| match output {
                Output::Level { prefix, cause, .. } if *prefix == of => Some(cause.clone()),
                _ => None,
            })
        };
        let stood = |of: Prefix| match life.policy.last_cause(of) {
            Some(cause) => format!("it stood so when its recording began: {cause}"),
            None => "it stood so when its recording began".to_owned(),
        };
        for ((prefix, from), (_, to)) in before.into_iter().zip(life.policy.levels()) {
            if from != to {
                let cause = said(prefix).unwrap_or_else(|| stood(prefix));
                self.moved.push(Moved { at: wall, prefix, from, to, cause });
            }
        }
        Ok(())
    }

    fn hear(&mut self, at: Duration, input: Input) {
        let Some(life) = &mut self.life else { return };
        life.fresh = Fresh::No;
        let mut steps = Vec::new();
        while let Some(deadline) = life.policy.next_deadline().filter(|deadline| *deadline <= at) {
            let mut outputs = Vec::new();
            life.policy.step(deadline, Input::Tick, &mut outputs);
            steps.push((life.wall(deadline), outputs));
        }
        let mut outputs = Vec::new();
        life.policy.step(at, input, &mut outputs);
        steps.push((life.wall(at), outputs));
        for (wall, outputs) in steps {
            self.note(wall, outputs);
        }
    }

    fn note(&mut self, at: Duration, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Level { prefix, from, to, cause, .. } = output {
                self.moved.push(Moved { at, prefix, from, to, cause });
            }
        }
    }

    fn seen(&mut self, wall: Duration) {
        let (first, last) = self.span.unwrap_or((wall, wall));
        self.span = Some((first.min(wall), last.max(wall)));
    }

    /// Who recorded.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What the policy would have done, in order.
    pub fn moved(&self) -> &[Moved] {
        &self.moved
    }

    /// How many changes the recording node's own policy made.
    pub fn really_moved(&self) -> usize {
        self.really
    }

    /// Inputs that the recorder had to leave out.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// The time from the first to the last line, by the wall clock.
    pub fn span(&self) -> Option<(Duration, Duration)> {
        self.span
    }

    /// Each prefix with its level at the first line.
    pub fn levels_at_first(&self) -> &[(Prefix, Level)] {
        &self.levels_at_first
    }
}

#[cfg(test)]
mod tests;
