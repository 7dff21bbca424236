//! The words of the policy: causes of transitions and explanations of prefixes.
//!
//! Reads the machines and changes nothing. Where many signals say the same thing, the first few are named
//! and the rest are counted, so that a thousand zones that went with their responder make one readable line.

use std::time::Duration;

use super::{Policy, Route, SignalId, Transport};
use crate::config::Degrade;
use crate::explain::{Age, Explanation, NextChange, Reason};
use crate::level::Level;
use crate::prefix::Prefix;
use crate::signal::Health;

/// Reasons of one kind that are spelled out before the rest is counted.
const SPELLED_OUT: usize = 4;

impl Policy {
    /// Why `prefix` has its level; `None` if it is not configured.
    pub fn explain(&self, prefix: Prefix, now: Duration) -> Option<Explanation> {
        let now = self.clock.max(now);
        let route = self.route(prefix)?;
        let preference = &route.preference;
        let informs = |index: &usize| matches!(self.ids[*index], SignalId::Status | SignalId::Ready);
        let concerned = route.needs.iter().copied().chain((0..self.ids.len()).filter(informs));
        Some(Explanation {
            prefix,
            group: self.config.groups[route.group].name.clone(),
            level: preference.level(),
            level_age: now.saturating_sub(preference.since()),
            reasons: self.reasons(route, now),
            signals: concerned.map(|index| self.signal_view(index, now)).collect(),
            hold_down_left: preference.hold_down_left(now).map(|(_, left)| left),
            grace_left: preference.grace_left(now).map(|(_, left)| left),
            hold_down: preference.hold_down(),
            next_changes: self.next_changes(route, now),
            history: preference.history(now),
        })
    }

    /// One sentence for a transition of `route`.
    pub(super) fn cause(&self, route: &Route, wanted: Level, cap: Level, operator: Option<&str>) -> String {
        if let Some(operator) = operator {
            return operator.to_owned();
        }
        let earned = route.preference.earned();
        match &self.drain {
            Some(drain) if cap >= wanted.max(earned) => match cap {
                Level::Withdrawn => format!("drain time over, drained by {}: {}", drain.author, drain.text),
                _ => format!("drained by {}: {}", drain.author, drain.text),
            },
            _ if wanted >= earned => self.complaint(route, wanted),
            _ => {
                let hold = Age(route.preference.hold_down());
                let good = self.good_part(route, wanted);
                format!("{good}, hold-down of {hold} is over")
            }
        }
    }

    /// What the signals that ask for `level` say, the first one in full.
    fn complaint(&self, route: &Route, level: Level) -> String {
        match self.asking(route, level).as_slice() {
            [] => "no signal asks for more".to_owned(),
            [only] => self.signal_reason(*only),
            [first, rest @ ..] => format!("{}; and {} more like it", self.signal_reason(*first), rest.len()),
        }
    }

    /// The signals that ask for `level`, without the zones that only went with their address.
    fn asking(&self, route: &Route, level: Level) -> Vec<usize> {
        let asks = |index: &usize| self.asks(route, *index) == level;
        let spoken_for = |index: &usize| match &self.ids[*index] {
            SignalId::Zone { address, transport, .. } => {
                let probe = SignalId::Probe { address: *address, transport: *transport };
                self.health(&probe) == Some(self.signals[*index].health())
            }
            _ => false,
        };
        route.needs.iter().copied().filter(|index| asks(index) && !spoken_for(index)).collect()
    }

    fn good_part(&self, route: &Route, wanted: Level) -> String {
        match wanted {
            Level::Normal => format!("all {} probes are good", route.needs.len()),
            _ => format!("answers again, though {}", self.complaint(route, wanted)),
        }
    }

    fn signal_reason(&self, index: usize) -> String {
        let (id, signal) = (&self.ids[index], &self.signals[index]);
        match signal.health() {
            Health::Bad => format!("{id}: {}", signal.why()),
            Health::Unknown => format!("{id}: not yet known to be good"),
            Health::Good => format!("{id}: good"),
        }
    }

    /// Never empty: the operator, the signals by what they ask for, a hold-down, or that all is good.
    fn reasons(&self, route: &Route, now: Duration) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(drain) = &self.drain {
            let (since, asks) = (Age(now.saturating_sub(drain.since)), self.cap());
            let text = format!("drained {since} ago by {}: {}", drain.author, drain.text);
            reasons.push(Reason { asks, text });
        }
        for asks in Level::ALL.into_iter().rev().filter(|level| *level != Level::Normal) {
            let asking = self.asking(route, asks);
            let spelled = asking.iter().take(SPELLED_OUT);
            reasons.extend(spelled.map(|index| Reason { asks, text: self.signal_reason(*index) }));
            if let Some(more @ 1..) = asking.len().checked_sub(SPELLED_OUT) {
                reasons.push(Reason { asks, text: format!("and {more} more like these") });
            }
        }
        if let Some((better, left)) = route.preference.hold_down_left(now) {
            let text = format!("hold-down: good enough to be {better}, which has to last {} more", Age(left));
            reasons.push(Reason { asks: route.preference.earned(), text });
        }
        let tolerated = |index: &&usize| {
            self.signals[**index].health() == Health::Bad && self.asks(route, **index) == Level::Normal
        };
        for index in route.needs.iter().filter(tolerated).take(SPELLED_OUT) {
            let text = format!("{} (degrade is off for this group)", self.signal_reason(*index));
            reasons.push(Reason { asks: Level::Normal, text });
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.asks));
        if reasons.is_empty() {
            let text = format!("all {} probes are good", route.needs.len());
            reasons.push(Reason { asks: Level::Normal, text });
        }
        reasons
    }

    /// Never empty: whatever the state, some event would change it.
    fn next_changes(&self, route: &Route, now: Duration) -> Vec<NextChange> {
        let preference = &route.preference;
        let mut changes = Vec::new();
        let mut change = |to, after, when: String| changes.push(NextChange { to, after, when });
        if let Some(drain) = &self.drain {
            if self.cap() == Level::Draining && preference.level().is_announced() {
                let left = drain.withdraw_at.saturating_sub(now);
                change(Level::Withdrawn, Some(left), "the drain time ends".to_owned());
            }
            if preference.earned() < preference.level() {
                change(preference.earned(), None, "the operator undrains this node".to_owned());
            }
        }
        if let Some((worse, left)) = preference.grace_left(now).filter(|_| self.drain.is_none()) {
            change(worse, Some(left), "the grace ends, unless what is named above passes again".to_owned());
        }
        let unless = if self.drain.is_some() { ", and the operator undrains" } else { "" };
        if let Some((better, left)) = preference.hold_down_left(now) {
            change(
                better,
                Some(left),
                format!("the hold-down ends, if all that it needs stays good{unless}"),
            );
        } else if preference.wanted() != Level::Normal && preference.wanted() == preference.earned() {
            let (rise, hold) = (self.config.probe.rise.count(), Age(preference.hold_down()));
            let what =
                format!("what is named above passes {rise} times in a row and stays good for {hold}{unless}");
            change(Level::Normal, None, what);
        }
        let fall = self.config.probe.fall.count();
        let falls = |by: Transport| format!("a {by} probe or zone fails {fall} times in a row");
        if preference.level().is_announced() {
            change(Level::Withdrawn, None, falls(Transport::Udp));
        }
        let degrade = self.config.groups[route.group].degrade;
        if preference.level() == Level::Normal && degrade == Degrade::Allowed {
            change(Level::Degraded, None, falls(Transport::Tcp));
        }
        changes
    }
}
