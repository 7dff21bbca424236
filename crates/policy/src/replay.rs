//! Recorded signals through any configuration: what would this policy have done?
//!
//! A [`Replay`] takes the [lines](crate::trace) of one node, in order, and lets a policy hear them as if it
//! had been there; deadlines between two lines are kept, so that silence counts and hold-downs end when they
//! would have. A [`World`] takes the replays of many nodes and says whether there was a moment at which all of
//! them had withdrawn a prefix: "would this policy have emptied the world?"
//!
//! What is replayed is what was heard. A setting that would have looked more often, or at something else,
//! cannot be tried on a recording; counts, bounds, graces, hold-downs, groups and choices can.
//!
//! # Transition table
//!
//! | line | then |
//! |---|---|
//! | begin of a process | a new policy; what was announced is withdrawn |
//! | begin of a file, in the middle of the same life | the policy goes on; where there is none yet, a new one |
//! | state, for a new policy | signals, levels and words as they stood |
//! | an input | deadlines until then, then the input |
//! | anything else | nothing |

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, PolicyConfig};
use crate::level::Level;
use crate::policy::{Input, Output, Policy};
use crate::prefix::Prefix;
use crate::trace::{Begin, Line, Reader, Standing};

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
        match &line {
            Line::Begin(begin) => self.begin(begin.clone())?,
            Line::State(at, standing) => self.stand(Duration::from_micros(*at), standing),
            Line::Moved(..) => self.really += 1,
            Line::Gap(_, lost) => self.gaps += lost,
            Line::Signal(..) | Line::Pass(..) | Line::Saw(..) | Line::Input(..) => {}
        }
        if let Some((at, input)) = self.reader.input(line) {
            self.hear(at, input);
        }
        Ok(())
    }

    fn begin(&mut self, begin: Begin) -> Result<(), ConfigError> {
        let at = Duration::from_micros(begin.at_us);
        let wall = Duration::from_micros(begin.unix_us);
        self.node.clone_from(&begin.node);
        let goes_on = self.life.as_ref().is_some_and(|life| life.begin.life == begin.life);
        if goes_on {
            return Ok(());
        }
        let policy = Policy::new(at, self.config.clone())?;
        if let Some(before) = self.life.take() {
            let anew: BTreeMap<Prefix, Level> = policy.levels().collect();
            for (prefix, from) in before.policy.levels() {
                let to = anew.get(&prefix).copied().unwrap_or(Level::Withdrawn);
                if from != to {
                    let cause = "the sidecar started anew".to_owned();
                    self.moved.push(Moved { at: wall, prefix, from, to, cause });
                }
            }
        } else {
            self.levels_at_first = policy.levels().collect();
        }
        self.life = Some(Life { policy, begin, fresh: Fresh::Yes });
        self.seen(wall);
        Ok(())
    }

    fn stand(&mut self, at: Duration, standing: &Standing) {
        let Some(life) = self.life.as_mut().filter(|life| life.fresh == Fresh::Yes) else { return };
        let mut outputs = Vec::new();
        let wall = life.wall(at);
        life.policy.assume(at, wall, standing, &mut outputs);
        if self.moved.is_empty() {
            self.levels_at_first = life.policy.levels().collect();
        } else {
            self.note(wall, outputs);
        }
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
        let wall = life.wall(at);
        steps.push((wall, outputs));
        for (wall, outputs) in steps {
            self.note(wall, outputs);
        }
        self.seen(wall);
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

/// A time at which nobody announced a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {
    /// The prefix.
    pub prefix: Prefix,
    /// From when, by the wall clock.
    pub from: Duration,
    /// Until when; `None` if it was so when the first trace ended.
    pub until: Option<Duration>,
    /// Why each node had withdrawn it.
    pub because: BTreeMap<String, String>,
}

/// Many nodes' replays, side by side.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    replays: &'a [Replay],
}

impl<'a> World<'a> {
    /// These nodes, and no others.
    pub fn new(replays: &'a [Replay]) -> Self {
        Self { replays }
    }

    /// The time that every trace covers: outside of it, nobody knows what the others did.
    pub fn covered(&self) -> Option<(Duration, Duration)> {
        let spans: Vec<_> = self.replays.iter().map(Replay::span).collect::<Option<_>>()?;
        let first = spans.iter().map(|span| span.0).max()?;
        let last = spans.iter().map(|span| span.1).min()?;
        (first <= last).then_some((first, last))
    }

    /// Every time, of those that all traces cover, at which all nodes that have a prefix had withdrawn it.
    pub fn empty(&self) -> Vec<Empty> {
        let Some((first, last)) = self.covered() else { return Vec::new() };
        let mut prefixes: Vec<Prefix> = self
            .replays
            .iter()
            .flat_map(|replay| &replay.levels_at_first)
            .map(|(prefix, _)| *prefix)
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes.into_iter().flat_map(|prefix| self.empty_of(prefix, first, last)).collect()
    }

    fn empty_of(&self, prefix: Prefix, first: Duration, last: Duration) -> Vec<Empty> {
        let mut now: BTreeMap<usize, (Level, String)> = BTreeMap::new();
        let mut changes: Vec<(Duration, usize, &Moved)> = Vec::new();
        for (index, replay) in self.replays.iter().enumerate() {
            let at_first = replay.levels_at_first.iter().find(|(known, _)| *known == prefix);
            if let Some((_, level)) = at_first {
                now.insert(index, (*level, "from the beginning of its trace".to_owned()));
            }
            let own = replay.moved.iter().filter(|moved| moved.prefix == prefix);
            changes.extend(own.map(|moved| (moved.at, index, moved)));
        }
        changes.sort_by_key(|(at, index, _)| (*at, *index));
        let mut found = Vec::new();
        let mut open: Option<Empty> = None;
        // Changes of one moment are one change: who leaves as another comes leaves nothing empty.
        let mut rest = changes.as_slice();
        let mut at = first;
        loop {
            while let Some(((_, index, moved), others)) =
                rest.split_first().filter(|((when, ..), _)| *when <= at)
            {
                now.insert(*index, (moved.to, moved.cause.clone()));
                rest = others;
            }
            let all_gone = !now.is_empty() && now.values().all(|(level, _)| !level.is_announced());
            match (&mut open, all_gone) {
                (None, true) => {
                    let name = |index: &usize| self.replays[*index].node.clone();
                    let because =
                        now.iter().map(|(index, (_, cause))| (name(index), cause.clone())).collect();
                    open = Some(Empty { prefix, from: at, until: None, because });
                }
                (Some(_), false) => {
                    found.extend(open.take().map(|empty| Empty { until: Some(at), ..empty }));
                }
                _ => {}
            }
            match rest.first() {
                Some((next, ..)) if *next <= last => at = *next,
                _ => break,
            }
        }
        found.extend(open);
        found
    }
}

#[cfg(test)]
mod tests;
