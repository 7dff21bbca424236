//! The replays of many nodes, side by side: was there a moment at which nobody announced a prefix?
//!
//! The answer is for the time from the beginning of the trace that begins last to the end of the one that ends last.
//! Traces that end within [`TOGETHER`] of that were copied one after the other, and the first of these ends is the end of
//! all. A trace that ends before says nothing of what came then: its node died for good, or stopped recording, or its file
//! is an old one. From there on it counts as one that announces nothing, for who asks this before a change wants to hear
//! of whatever may have been; and [`Unknown`] says that it is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Moved, Replay};
use crate::level::Level;
use crate::prefix::Prefix;

/// Traces whose ends are no further apart end together.
pub const TOGETHER: Duration = Duration::from_secs(10);

/// A time at which nobody is known to have announced a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {
    /// The prefix.
    pub prefix: Prefix,
    /// From when, by the wall clock.
    pub from: Duration,
    /// Until when; `None` if it was so at the end.
    pub until: Option<Duration>,
    /// Why each node had withdrawn it, when the time began.
    pub because: BTreeMap<String, String>,
    /// Nodes of which nothing was known at some moment of it. Without any, nobody announced it for sure.
    pub unknown: BTreeSet<String>,
}

/// A node whose trace ends while those of others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// Who recorded.
    pub node: String,
    /// Its last line, by the wall clock.
    pub from: Duration,
}

/// Many nodes' replays, side by side.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    replays: &'a [Replay],
}

/// What is known of a prefix at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Level(Level),
    Unknown,
}

impl Stand {
    fn is_announced(self) -> bool {
        matches!(self, Self::Level(level) if level.is_announced())
    }
}

/// A change of what is known of a prefix at the node with this index.
#[derive(Clone, Copy, Debug)]
struct Change<'a> {
    at: Duration,
    index: usize,
    to: Stand,
    cause: &'a str,
}

impl<'a> World<'a> {
    /// These nodes, and no others.
    pub fn new(replays: &'a [Replay]) -> Self {
        Self { replays }
    }

    /// The time of which something can be said of all of them together; `None` if no two traces have a time in common.
    pub fn covered(&self) -> Option<(Duration, Duration)> {
        let spans: Vec<_> = self.replays.iter().map(Replay::span).collect::<Option<_>>()?;
        let first = spans.iter().map(|span| span.0).max()?;
        let ends: Vec<_> = spans.iter().map(|span| span.1).filter(|end| *end >= first).collect();
        let latest = ends.iter().copied().max()?;
        let last = ends.iter().copied().filter(|end| end.saturating_add(TOGETHER) >= latest).min()?;
        (ends.len() > 1 || spans.len() == 1).then_some((first, last))
    }

    /// Every node whose trace ends before the time that is covered.
    pub fn unknown(&self) -> Vec<Unknown> {
        let known_until = |index: &usize| self.replays[*index].span();
        let unknown = |index: usize| {
            Some(Unknown { node: self.replays[index].node.clone(), from: known_until(&index)?.1 })
        };
        self.end_early().into_iter().filter_map(unknown).collect()
    }

    fn end_early(&self) -> Vec<usize> {
        let Some((_, last)) = self.covered() else { return Vec::new() };
        let early = |index: &usize| self.replays[*index].span().is_some_and(|span| span.1 < last);
        (0..self.replays.len()).filter(early).collect()
    }

    /// Every time that is covered at which no node is known to have announced a prefix.
    pub fn empty(&self) -> Vec<Empty> {
        let Some((first, last)) = self.covered() else { return Vec::new() };
        let prefixes: BTreeSet<Prefix> = self
            .replays
            .iter()
            .flat_map(|replay| &replay.levels_at_first)
            .map(|(prefix, _)| *prefix)
            .collect();
        prefixes.into_iter().flat_map(|prefix| self.empty_of(prefix, first, last)).collect()
    }

    /// All changes for one prefix, in the order of their times.
    fn changes(&self, prefix: Prefix) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        for (index, replay) in self.replays.iter().enumerate() {
            let own = replay.moved.iter().filter(|moved| moved.prefix == prefix);
            changes.extend(own.map(|Moved { at, to, cause, .. }| Change {
                at: *at,
                index,
                to: Stand::Level(*to),
                cause,
            }));
        }
        for index in self.end_early() {
            let ends = self.replays[index].span().map(|span| span.1);
            let cause = "nothing is known of it: its trace ended before";
            changes.extend(ends.map(|at| Change { at, index, to: Stand::Unknown, cause }));
        }
        // Stable: of one moment at one node, what it did comes before the end of its trace.
        changes.sort_by_key(|change| (change.at, change.index));
        changes
    }

    fn empty_of(&self, prefix: Prefix, first: Duration, last: Duration) -> Vec<Empty> {
        let mut now: BTreeMap<usize, (Stand, &str)> = BTreeMap::new();
        for (index, replay) in self.replays.iter().enumerate() {
            let at_first = replay.levels_at_first.iter().find(|(known, _)| *known == prefix);
            if let Some((_, level)) = at_first {
                now.insert(index, (Stand::Level(*level), "from the beginning of its trace"));
            }
        }
        let name = |index: &usize| self.replays[*index].node.clone();
        let changes = self.changes(prefix);
        let mut found = Vec::new();
        let mut open: Option<Empty> = None;
        // Changes of one moment are one change: who leaves as another comes leaves nothing empty.
        let mut rest = changes.as_slice();
        let mut at = first;
        loop {
            while let Some((change, others)) = rest.split_first().filter(|(change, _)| change.at <= at) {
                now.insert(change.index, (change.to, change.cause));
                rest = others;
            }
            let all_gone = !now.is_empty() && now.values().all(|(stand, _)| !stand.is_announced());
            if all_gone {
                let because =
                    || now.iter().map(|(index, (_, why))| (name(index), (*why).to_owned())).collect();
                let empty = open.get_or_insert_with(|| Empty {
                    prefix,
                    from: at,
                    until: None,
                    because: because(),
                    unknown: BTreeSet::new(),
                });
                let unknown = now.iter().filter(|(_, (stand, _))| *stand == Stand::Unknown);
                empty.unknown.extend(unknown.map(|(index, _)| name(index)));
            } else {
                found.extend(open.take().map(|empty| Empty { until: Some(at), ..empty }));
            }
            match rest.first() {
                Some(next) if next.at <= last => at = next.at,
                _ => break,
            }
        }
        found.extend(open);
        found
    }
}
