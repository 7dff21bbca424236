//! The words of the policy: causes of transitions and explanations of prefixes.
//!
//! Reads the machines and changes nothing. Where many signals say the same thing, the first few are named
//! and the rest are counted, so that a thousand zones that went with their responder make one readable line.

use std::time::Duration;

use super::asks::{Ask, Spared};
use super::{Gone, Policy, Role, Route};
use crate::config::{AnchorDrain, Degrade, OnFailure};
use crate::explain::{Age, Explanation, NextChange, Reason, ReturnsView, WaitsFor};
use crate::kind::SignalId;
use crate::level::Level;
use crate::operator::DrainPhase;
use crate::preference::{Wish, Word};
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
        let informs = |index: &usize| !self.ids[*index].kind().asks() && self.ids[*index].is_of_the_node();
        let concerned = route.needs.iter().copied().chain((0..self.ids.len()).filter(informs));
        Some(Explanation {
            prefix,
            group: self.group_name(route.role).to_owned(),
            level: preference.level(),
            level_age: now.saturating_sub(preference.since()),
            reasons: self.reasons(route, now),
            signals: concerned.chain(route.traffic).map(|index| self.signal_view(index, now)).collect(),
            hold_down_left: preference.hold_down_left(now).map(|(_, left)| left),
            waits_for: preference.waits_for(),
            grace_left: preference.grace_left(now).map(|(_, left)| left),
            hold_down: preference.hold_down(),
            returns: ReturnsView {
                counted: preference.returns(now),
                most: self.config.returns.most.get(),
                within_seconds: self.config.returns.within.as_secs_f64(),
            },
            next_changes: self.next_changes(route, now),
            effect: None,
            told: Vec::new(),
            traffic: None,
            history: preference.history(now),
        })
    }

    /// One sentence for a transition of `route`.
    pub(super) fn cause(&self, route: &Route, wish: Wish, word: Word, said: Option<&str>) -> String {
        let preference = &route.preference;
        let standing = self.standing(route);
        if wish.able == Level::Withdrawn && preference.is_able() {
            return self.complaint(route, Level::Withdrawn);
        }
        if let Some(said) = said {
            return said.to_owned();
        }
        let earned = preference.earned();
        match (self.drain_of(route), standing) {
            (Some(drain), _) if word.cap >= wish.all.max(earned) && word.cap != Level::Normal => {
                match word.cap {
                    Level::Withdrawn if route.gone == Gone::Yes => {
                        format!("next to no traffic any more, drained {}", drain.words)
                    }
                    Level::Withdrawn => format!("drain time over, drained {}", drain.words),
                    _ => format!("drained {}", drain.words),
                }
            }
            (_, Some((_, stand, _))) => format!("answers again, and is {} {}", stand.what, stand.words),
            _ if wish.all >= earned => self.complaint(route, wish.all),
            _ => {
                let hold = Age(preference.hold_down());
                let good = self.good_part(route, wish.all);
                match preference.waits_for() {
                    Some(WaitsFor::Returns) => format!("{good}, and a return is allowed again"),
                    _ => format!("{good}, hold-down of {hold} is over"),
                }
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
        let asks = |index: &usize| self.asks(route, *index).level == level;
        let spoken_for = |index: &usize| match &self.ids[*index] {
            SignalId::Zone { address, transport, .. } => {
                let probe = SignalId::Probe { address: *address, transport: *transport };
                self.health(&probe) == Some(self.signals[*index].health())
                    && self.index.get(&probe).is_some_and(asks)
            }
            _ => false,
        };
        route.needs.iter().copied().filter(|index| asks(index) && !spoken_for(index)).collect()
    }

    /// What it means that nobody asks for a prefix: that depends on what is asked for.
    pub(super) fn what_quiet_means(&self, traffic: usize) -> &'static str {
        let route = self.routes.iter().find(|route| route.traffic == Some(traffic));
        match route.map_or(Level::Normal, |route| route.preference.level()) {
            Level::Withdrawn | Level::Draining => "as it should be",
            Level::Normal | Level::Degraded | Level::LastResort => "no reason to leave",
        }
    }

    fn good_part(&self, route: &Route, wanted: Level) -> String {
        match wanted {
            Level::Normal => self.all_good(route),
            _ => format!("answers again, though {}", self.complaint(route, wanted)),
        }
    }

    fn all_good(&self, route: &Route) -> String {
        let probes = route.needs.iter().filter(|index| self.ids[**index].kind().gates()).count();
        format!("all {probes} probes are good")
    }

    fn signal_reason(&self, index: usize) -> String {
        let (id, signal) = (&self.ids[index], &self.signals[index]);
        match signal.health() {
            Health::Bad if self.is_dropping() && self.is_silent_beyond_excuse(index) => {
                format!("{id}: {}; drops do not explain so long a silence", signal.why())
            }
            Health::Bad | Health::Expired | Health::Warned => format!("{id}: {}", signal.why()),
            Health::Unknown => format!("{id}: not yet known to be good"),
            Health::Good => format!("{id}: good"),
        }
    }

    /// Never empty: the operator, the signals by what they ask for, a wait, or that all is good.
    fn reasons(&self, route: &Route, now: Duration) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(drain) = self.drain_of(route) {
            let age = Age(drain.said.age(now));
            let (phase, unknown) = match drain.phase() {
                DrainPhase::Draining => (String::new(), ""),
                further => (format!(" ({})", further.name()), self.remaining_of(route).remark()),
            };
            let early = route.gone == Gone::Yes && self.clock < drain.withdraw_at;
            let gone = if early { "; next to no traffic comes any more" } else { "" };
            let text = format!("drained{phase} {age} ago {}{gone}{unknown}", drain.words);
            reasons.push(Reason { asks: self.cap(route), text });
        }
        if let Some((target, stand, level)) = self.standing(route) {
            let (age, left) = (Age(stand.said.age(now)), Age(stand.expires.saturating_sub(now)));
            let text = format!("{target} {} {age} ago {}, for {left} more", stand.what, stand.words);
            reasons.push(Reason { asks: level, text });
        }
        self.signal_reasons(route, now, &mut reasons);
        if let Some((better, left)) = route.preference.hold_down_left(now) {
            let (left, most) = (Age(left), self.config.returns.most);
            let text = match route.preference.waits_for() {
                Some(WaitsFor::Returns) => {
                    let (counted, within) = (route.preference.returns(now), Age(self.config.returns.within));
                    format!(
                        "returns used up, {counted} of {most} within {within}: good enough to be {better}, which has to \
                         wait {left} more, or for the operator to force it"
                    )
                }
                _ => format!("hold-down: good enough to be {better}, which has to last {left} more"),
            };
            reasons.push(Reason { asks: self.waits_at(route), text });
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.asks));
        if let Role::Anchor(drain) = route.role {
            let obeys = if drain == AnchorDrain::Follows { "; it drains with the node" } else { "" };
            let text = format!("anchor: announced while the sidecar lives, whatever its health{obeys}");
            reasons.push(Reason { asks: Level::Normal, text });
        } else if reasons.is_empty() {
            reasons.push(Reason { asks: Level::Normal, text: self.all_good(route) });
        }
        reasons
    }

    /// The level at which a prefix waits for a better one.
    fn waits_at(&self, route: &Route) -> Level {
        let preference = &route.preference;
        match self.standing(route) {
            Some(_) if !preference.is_able() => Level::Withdrawn,
            Some((_, _, level)) => level,
            None => preference.earned(),
        }
    }

    fn signal_reasons(&self, route: &Route, now: Duration, reasons: &mut Vec<Reason>) {
        let standing = self.standing(route).is_some();
        for asks in Level::ALL.into_iter().rev().filter(|level| *level != Level::Normal) {
            let asking = self.asking(route, asks);
            let (kept, over): (Vec<_>, Vec<_>) = (asking.into_iter()).partition(|index| {
                !standing || self.ids[*index].kind().means_cannot_answer() && asks == Level::Withdrawn
            });
            let spelled = kept.iter().take(SPELLED_OUT);
            reasons.extend(spelled.map(|index| Reason { asks, text: self.signal_reason(*index) }));
            if let Some(more @ 1..) = kept.len().checked_sub(SPELLED_OUT) {
                reasons.push(Reason { asks, text: format!("and {more} more like these") });
            }
            let overruled = over.iter().take(SPELLED_OUT).map(|index| {
                let text = format!(
                    "{} (would ask for {asks}, and the operator's word stands)",
                    self.signal_reason(*index)
                );
                Reason { asks: Level::Normal, text }
            });
            reasons.extend(overruled);
        }
        let spared = route.needs.iter().filter_map(|index| {
            let Ask { spared, .. } = self.asks(route, *index);
            Some((*index, spared?))
        });
        for (index, why) in spared.take(SPELLED_OUT) {
            let why = match why {
                Spared::Grace(end) => format!("asks for nothing for {} more", Age(end.saturating_sub(now))),
                Spared::Clock => "ignored while this host's clock is wrong".to_owned(),
                Spared::Overload => "overload explains it, this node does what it can".to_owned(),
                Spared::DegradeOff => "degrade is off for this group".to_owned(),
                Spared::AlarmOnly => "an alarm, no more".to_owned(),
            };
            let text = format!("{} ({why})", self.signal_reason(index));
            reasons.push(Reason { asks: Level::Normal, text });
        }
        let warned = |index: &&usize| {
            self.signals[**index].health() == Health::Warned && self.asks(route, **index) == Ask::NOTHING
        };
        for index in route.needs.iter().filter(warned).take(SPELLED_OUT) {
            reasons.push(Reason { asks: Level::Normal, text: self.signal_reason(*index) });
        }
    }

    /// Never empty: whatever the state, some event would change it.
    fn next_changes(&self, route: &Route, now: Duration) -> Vec<NextChange> {
        let mut changes = self.changes_by_word(route, now);
        changes.extend(self.changes_by_time(route, now));
        if let Role::Service(group) = route.role {
            changes.extend(self.changes_by_signals(route, group));
        }
        changes.retain(|change| change.to != route.preference.level());
        if changes.is_empty() {
            let to = if route.preference.level() == Level::Normal { Level::Draining } else { Level::Normal };
            let when = "the operator drains, forces or releases it".to_owned();
            changes.push(NextChange { to, after: None, when });
        }
        changes
    }

    fn changes_by_word(&self, route: &Route, now: Duration) -> Vec<NextChange> {
        let preference = &route.preference;
        let mut changes = Vec::new();
        let mut change = |to, after, when: String| changes.push(NextChange { to, after, when });
        if let Some(drain) = self.drain_of(route) {
            if self.cap(route) == Level::Draining && preference.level().is_announced() {
                let left = drain.withdraw_at.saturating_sub(now);
                change(
                    Level::Withdrawn,
                    Some(left),
                    "the drain time ends, or its traffic before that".to_owned(),
                );
            }
            let left = drain.expires.map(|at| at.saturating_sub(now));
            let when =
                if left.is_some() { "the drain ends by itself" } else { "the operator undrains this node" };
            change(preference.uncapped(), left, when.to_owned());
        }
        if let Some((target, stand, _)) = self.standing(route) {
            let left = stand.expires.saturating_sub(now);
            let when = format!("the word on {target} ends by itself, or the operator releases it before");
            change(preference.earned().max(self.cap(route)), Some(left), when);
        }
        changes
    }

    fn changes_by_time(&self, route: &Route, now: Duration) -> Vec<NextChange> {
        let (preference, drained) = (&route.preference, self.drain_of(route).is_some());
        let mut changes = Vec::new();
        let mut change = |to, after, when: String| changes.push(NextChange { to, after, when });
        if drained {
            // What is earned underneath shows once the drain is over.
        } else if let Some((worse, left)) = preference.grace_left(now) {
            change(worse, Some(left), "the grace ends, unless what is named above passes again".to_owned());
        } else if self.standing(route).is_none()
            && let Some((level, end)) = self.next_grace(route)
        {
            let when = "what is named above has lasted for its grace".to_owned();
            change(level, Some(end.saturating_sub(now)), when);
        }
        let unless = if drained { ", and the operator undrains" } else { "" };
        if let Some((better, left)) = preference.hold_down_left(now) {
            let used_up = preference.waits_for() == Some(WaitsFor::Returns);
            let what = if used_up { "a return is allowed again" } else { "the hold-down ends" };
            change(better, Some(left), format!("{what}, if all that it needs stays good{unless}"));
        } else if preference.wanted() != Level::Normal && preference.wanted() == preference.earned() {
            let (rise, hold) = (self.config.probe.rise.count(), Age(preference.hold_down()));
            let what =
                format!("what is named above passes {rise} times in a row and stays good for {hold}{unless}");
            change(Level::Normal, None, what);
        }
        changes
    }

    /// The first grace of a signal to end, and what it would then ask for.
    fn next_grace(&self, route: &Route) -> Option<(Level, Duration)> {
        let Role::Service(group) = route.role else { return None };
        let running = route.needs.iter().filter_map(|&index| match self.asks(route, index).spared {
            Some(Spared::Grace(end)) => Some((self.ids[index].ceiling(&self.config.groups[group]), end)),
            _ => None,
        });
        let degradable = self.config.groups[group].degrade == Degrade::Allowed;
        running
            .filter(|(level, _)| *level > route.preference.level())
            .filter(|(level, _)| degradable || *level == Level::Withdrawn)
            .min_by_key(|(_, end)| *end)
    }

    fn changes_by_signals(&self, route: &Route, group: usize) -> Vec<NextChange> {
        let level = route.preference.level();
        let fall = self.config.probe.fall.count();
        let falls = |what: &str| format!("{what} fails {fall} times in a row");
        let group = &self.config.groups[group];
        let degradable = group.degrade == Degrade::Allowed;
        let each_zone_withdraws = group.required_zones.len() == 1 || group.failing == OnFailure::Withdraw;
        let mut changes = Vec::new();
        if level.is_announced() {
            let what = if each_zone_withdraws {
                "a UDP probe or zone"
            } else {
                "a UDP probe, or every zone by UDP,"
            };
            changes.push(NextChange { to: Level::Withdrawn, after: None, when: falls(what) });
        }
        if level < Level::LastResort && degradable && !each_zone_withdraws && self.standing(route).is_none() {
            changes.push(NextChange { to: Level::LastResort, after: None, when: falls("a zone by UDP") });
        }
        if level == Level::Normal && degradable && self.standing(route).is_none() {
            changes.push(NextChange { to: Level::Degraded, after: None, when: falls("a TCP probe or zone") });
        }
        changes
    }
}
