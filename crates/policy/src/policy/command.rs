//! The operator's words: taking them, letting them end, and following a drain to its end.
//!
//! The tables stand in [`operator`](crate::operator); this is where they meet the prefixes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ANCHOR, Gone, Input, Output, Policy, Role, Route};
use crate::alarm::AlarmId;
use crate::config::{AnchorDrain, Linger};
use crate::level::Level;
use crate::operator::{
    Drain, DrainPhase, Operator, Recalled, Remaining, Said, Saved, Stand, Standing, Target, Wall, Words,
};
use crate::preference::Word;
use crate::prefix::Prefix;
use crate::signal::{self, Health};

/// A drain in force, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainView {
    /// How far it is.
    pub phase: DrainPhase,
    /// Who wanted it, and why.
    pub words: Words,
    /// How long ago.
    pub age_seconds: f64,
    /// Until the routes go, while they have not.
    pub withdraw_after_seconds: Option<f64>,
    /// Until the node may stop at the earliest, while it lingers.
    pub linger_left_seconds: Option<f64>,
    /// What is known of the queries that still come.
    #[serde(default)]
    pub remaining: Remaining,
    /// Until it ends by itself.
    pub expires_after_seconds: Option<f64>,
}

/// A hold or a forced level in force, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordView {
    /// Of what.
    pub target: Target,
    /// `held`, or `forced to LEVEL`.
    pub what: String,
    /// Who wanted it, and why.
    pub words: Words,
    /// How long ago.
    pub age_seconds: f64,
    /// Until it ends by itself.
    pub expires_after_seconds: f64,
}

impl Policy {
    /// Takes a word; gives the cause that its changes have.
    pub(super) fn command(&mut self, word: Input, outputs: &mut Vec<Output>) -> Option<String> {
        let cause = match word {
            Input::Drain { text, author, within, expires } => {
                return self.drain(Words { author, text }, within, expires, outputs);
            }
            Input::Undrain { text, author } => {
                self.undrain(outputs)?;
                format!("undrained {}", Words { author, text })
            }
            Input::Hold { target, expires, text, author } => {
                let held = self.routes.iter().filter(|route| self.is_meant(&target, route));
                let levels = held.map(|route| (route.prefix, route.preference.uncapped())).collect();
                let words = Words { author, text };
                let cause = format!("held {words}");
                self.stand(target, Standing::Hold(levels), words, expires, outputs);
                cause
            }
            Input::Force { target, level, expires, text, author } => {
                let words = Words { author, text };
                let cause = format!("forced to {level} {words}");
                self.wait_no_longer(&target, level);
                self.stand(target, Standing::Force(level), words, expires, outputs);
                cause
            }
            Input::Release { target, text, author } => {
                for on in &self.released_by(&target) {
                    self.end_stand(on, outputs);
                }
                format!("released {}", Words { author, text })
            }
            Input::Tick | Input::Observe { .. } | Input::Raise { .. } | Input::Clear { .. } => return None,
        };
        Some(cause)
    }

    fn drain(
        &mut self,
        words: Words,
        within: Option<Duration>,
        expires: Option<Duration>,
        outputs: &mut Vec<Output>,
    ) -> Option<String> {
        let cause = format!("drained {words}");
        self.raise(&AlarmId::DrainInForce, &cause, outputs);
        outputs.push(Output::WordsChanged);
        match &mut self.operator.drain {
            Some(drain) => {
                drain.words = words;
                drain.expires = expires;
                if let (Some(within), DrainPhase::Draining) = (within, drain.phase()) {
                    drain.withdraw_at = self.clock.saturating_add(within);
                }
                None
            }
            None => {
                let withdraw_at = self.clock.saturating_add(within.unwrap_or(self.config.drain_time.0));
                let said = Said::now(self.clock);
                let drain = Drain { words, said, expires, withdraw_at, left: None, done: None };
                self.operator.drain = Some(drain);
                // That next to nothing came before says nothing of those whom the drain shall move: without this a quiet
                // prefix would leave at once, and not after it has asked for no traffic.
                for index in 0..self.routes.len() {
                    let Some(index) = self.routes[index].traffic else { continue };
                    if self.signals[index].health() == Health::Bad {
                        self.feed(index, signal::Input::Void("a drain began"), outputs);
                    }
                }
                Some(cause)
            }
        }
    }

    fn undrain(&mut self, outputs: &mut Vec<Output>) -> Option<Drain> {
        let drain = self.operator.drain.take()?;
        self.clear(&AlarmId::DrainInForce, outputs);
        for index in 0..self.routes.len() {
            self.routes[index].gone = Gone::No;
            self.clear(&AlarmId::DrainIgnored { prefix: self.routes[index].prefix }, outputs);
        }
        outputs.push(Output::WordsChanged);
        Some(drain)
    }

    fn stand(
        &mut self,
        target: Target,
        what: Standing,
        words: Words,
        expires: Duration,
        outputs: &mut Vec<Output>,
    ) {
        let text = format!("{what} {words}");
        self.raise(&AlarmId::WordInForce { target: target.clone() }, &text, outputs);
        let said = Said::now(self.clock);
        self.operator.stands.insert(target, Stand { what, words, said, expires });
        outputs.push(Output::WordsChanged);
    }

    /// What a better level is forced upon waits neither for its hold-down nor for a return: somebody has looked.
    fn wait_no_longer(&mut self, target: &Target, level: Level) {
        for index in 0..self.routes.len() {
            let route = &self.routes[index];
            if self.is_meant(target, route) && level < route.preference.level() {
                let wish = self.wish(route);
                self.routes[index].preference.wait_no_longer(self.clock, wish);
            }
        }
    }

    fn end_stand(&mut self, target: &Target, outputs: &mut Vec<Output>) {
        self.operator.stands.remove(target);
        self.clear(&AlarmId::WordInForce { target: target.clone() }, outputs);
        outputs.push(Output::WordsChanged);
    }

    /// Lets words end whose time has come; gives the cause that their changes have.
    pub(super) fn expire(&mut self, outputs: &mut Vec<Output>) -> Option<String> {
        let clock = self.clock;
        let mut cause = None;
        if self.operator.drain.as_ref().and_then(|drain| drain.expires).is_some_and(|at| at <= clock)
            && let Some(drain) = self.undrain(outputs)
        {
            cause = Some(format!("the drain {} has ended by itself", drain.words));
        }
        let over = |(_, stand): &(&Target, &Stand)| stand.expires <= clock;
        let ended: Vec<_> =
            self.operator.stands.iter().filter(over).map(|(on, stand)| (on.clone(), stand.clone())).collect();
        for (target, stand) in ended {
            self.end_stand(&target, outputs);
            cause = Some(format!("no longer {} {}, which has ended by itself", stand.what, stand.words));
        }
        cause
    }

    /// Whether a hold or forced level on `target` is about this prefix.
    fn is_meant(&self, target: &Target, route: &Route) -> bool {
        match (target, route.role) {
            (Target::Prefix(prefix), _) => *prefix == route.prefix,
            (Target::All, role) => role != Role::Anchor(AnchorDrain::Stays),
            (Target::Group(name), Role::Service(group)) => self.config.groups[group].name == *name,
            (Target::Group(_), Role::Anchor(_)) => false,
        }
    }

    /// Whether any prefix would be meant.
    pub fn knows(&self, target: &Target) -> bool {
        self.routes.iter().any(|route| self.is_meant(target, route))
    }

    /// The words that a release of `target` ends.
    fn released_by(&self, target: &Target) -> Vec<Target> {
        let group_of = |prefix| self.group(prefix).map(str::to_owned);
        self.operator.stands.keys().filter(|on| target.holds(on, group_of)).cloned().collect()
    }

    /// Whether a release of `target` would end any word.
    pub fn would_release(&self, target: &Target) -> bool {
        !self.released_by(target).is_empty()
    }

    /// The words on a prefix: the most specific one in force.
    pub(super) fn standing(&self, route: &Route) -> Option<(&Target, &Stand, Level)> {
        // `Target` is ordered from wide to narrow.
        let stands = self.operator.stands.iter().rev();
        let mut meant = stands.filter(|(target, _)| self.is_meant(target, route));
        meant.find_map(|(target, stand)| Some((target, stand, stand.what.level(route.prefix)?)))
    }

    /// All that the operator has said about a prefix.
    pub(super) fn word(&self, route: &Route) -> Word {
        Word { cap: self.cap(route), standing: self.standing(route).map(|(_, _, level)| level) }
    }

    /// The best level that a drain allows.
    pub(super) fn cap(&self, route: &Route) -> Level {
        match self.drain_of(route) {
            None => Level::Normal,
            Some(drain) if drain.is_over(self.clock) || route.gone == Gone::Yes => Level::Withdrawn,
            Some(_) => Level::Draining,
        }
    }

    /// The drain, if this prefix obeys it.
    pub(super) fn drain_of(&self, route: &Route) -> Option<&Drain> {
        match route.role {
            Role::Anchor(AnchorDrain::Stays) => None,
            Role::Service(_) | Role::Anchor(AnchorDrain::Follows) => self.operator.drain.as_ref(),
        }
    }

    fn traffic(&self, route: &Route) -> Option<Health> {
        route.traffic.map(|index| self.signals[index].health())
    }

    /// A drained prefix whose traffic has gone need not wait for the end of the drain time.
    pub(super) fn follow_drain(&mut self) {
        if self.operator.drain.is_none() {
            return;
        }
        for index in 0..self.routes.len() {
            if self.traffic(&self.routes[index]) == Some(Health::Bad) {
                self.routes[index].gone = Gone::Yes;
            }
        }
    }

    /// From withdrawn over lingering to done.
    pub(super) fn finish_drain(&mut self, outputs: &mut Vec<Output>) {
        let Some(drain) = &self.operator.drain else { return };
        let (before, over) = (drain.phase(), self.clock >= drain.withdraw_at);
        let obeying = |route: &&Route| self.drain_of(route).is_some();
        let all_left =
            self.routes.iter().filter(obeying).all(|route| route.preference.level() == Level::Withdrawn);
        let each: Vec<_> = (self.routes.iter().filter(obeying))
            .map(|route| (route.prefix, self.remaining_of(route)))
            .collect();
        let (clock, remaining) = (self.clock, self.remaining());
        let linger = self.linger(remaining);
        if let Some(drain) = &mut self.operator.drain {
            if all_left {
                drain.left.get_or_insert(clock);
            }
            if remaining == Remaining::Some {
                drain.done = None;
            } else if drain.left.is_some_and(|left| left.saturating_add(linger) <= clock) {
                drain.done.get_or_insert(clock);
            }
            if drain.phase() != before {
                outputs.push(Output::WordsChanged);
            }
        }
        for (prefix, remaining) in each {
            let alarm = AlarmId::DrainIgnored { prefix };
            match remaining {
                Remaining::Some if over => {
                    self.raise(&alarm, "real queries still come although the drain time is over", outputs);
                }
                // What is not known any more is no end of it.
                Remaining::Some | Remaining::NotKnown => {}
                Remaining::NextToNone => self.clear(&alarm, outputs),
            }
        }
    }

    /// What is known of the real queries of a prefix.
    pub(super) fn remaining_of(&self, route: &Route) -> Remaining {
        match self.traffic(route) {
            Some(Health::Good | Health::Warned) => Remaining::Some,
            Some(Health::Bad | Health::Expired) => Remaining::NextToNone,
            Some(Health::Unknown) => Remaining::NotKnown,
            // An anchor has the queries of the prefixes that it covers.
            None if matches!(route.role, Role::Anchor(_)) => Remaining::NextToNone,
            None => Remaining::NotKnown,
        }
    }

    /// What is known of the real queries of all that obeys a drain.
    fn remaining(&self) -> Remaining {
        let obeying = self.routes.iter().filter(|route| self.drain_of(route).is_some());
        let all: Vec<_> = obeying.map(|route| self.remaining_of(route)).collect();
        let worst = [Remaining::Some, Remaining::NotKnown].into_iter().find(|some| all.contains(some));
        worst.unwrap_or(Remaining::NextToNone)
    }

    /// How long a node lingers: twice as long where nobody knows whether queries still come.
    fn linger(&self, remaining: Remaining) -> Duration {
        let Linger(linger) = self.config.linger;
        if remaining == Remaining::NotKnown { linger.saturating_mul(2) } else { linger }
    }

    /// When time alone moves a drain on.
    pub(super) fn drain_deadline(&self) -> Option<Duration> {
        let drain = self.operator.drain.as_ref()?;
        let linger = drain.left.map(|left| left.saturating_add(self.linger(self.remaining())));
        let ends = [Some(drain.withdraw_at), linger.filter(|_| drain.done.is_none())];
        ends.into_iter().flatten().filter(|at| *at > self.clock).min()
    }

    /// The drain in force.
    pub fn drain_view(&self, now: Duration) -> Option<DrainView> {
        let now = self.clock.max(now);
        let drain = self.operator.drain.as_ref()?;
        let until = |at: Duration| at.saturating_sub(now).as_secs_f64();
        let phase = drain.phase();
        let remaining = self.remaining();
        let linger = drain.left.map(|left| until(left.saturating_add(self.linger(remaining))));
        Some(DrainView {
            phase,
            remaining,
            words: drain.words.clone(),
            age_seconds: drain.said.age(now).as_secs_f64(),
            withdraw_after_seconds: (phase == DrainPhase::Draining).then(|| until(drain.withdraw_at)),
            linger_left_seconds: linger.filter(|_| phase == DrainPhase::Lingering),
            expires_after_seconds: drain.expires.map(until),
        })
    }

    /// The best level that the operator's words on a prefix allow; `None` if it is not configured.
    pub fn ordered(&self, prefix: Prefix) -> Option<Level> {
        let Word { cap, standing } = self.word(self.route(prefix)?);
        Some(standing.map_or(cap, |level| level.max(cap)))
    }

    /// Holds and forced levels in force.
    pub fn word_views(&self, now: Duration) -> Vec<WordView> {
        let now = self.clock.max(now);
        let view = |(target, stand): (&Target, &Stand)| WordView {
            target: target.clone(),
            what: stand.what.to_string(),
            words: stand.words.clone(),
            age_seconds: stand.said.age(now).as_secs_f64(),
            expires_after_seconds: stand.expires.saturating_sub(now).as_secs_f64(),
        };
        self.operator.stands.iter().map(view).collect()
    }

    /// The operator's words, to be written down at each [`Output::WordsChanged`]. `unix` is the wall clock at
    /// `now`, since 1970.
    pub fn saved(&self, now: Duration, unix: Duration) -> Saved {
        let wall = Wall { now: self.clock.max(now), unix };
        self.operator.saved(wall, |target| {
            let meant = self.routes.iter().filter(|route| self.is_meant(target, route));
            meant.map(|route| route.prefix).collect()
        })
    }

    /// Takes back what was written down before a restart, in place of anything said until now. Words on
    /// what is no longer configured are left out; those on a group hold for the prefixes that have left it.
    pub fn restore(&mut self, now: Duration, unix: Duration, saved: Saved, outputs: &mut Vec<Output>) {
        self.clock = self.clock.max(now);
        let (drain, stands) = Operator::restored(saved, Wall { now: self.clock, unix });
        if let Some(drain) = drain {
            self.raise(&AlarmId::DrainInForce, &format!("drained {}", drain.words), outputs);
            self.operator.drain = Some(drain);
        }
        self.take_stands(stands);
        self.say_what_stands(outputs);
        self.step(now, Input::Tick, outputs);
    }

    /// Takes over what stood on a target that was about these prefixes. What was said of a group still holds for those that
    /// are no longer in it, because it was renamed or divided: nobody has released them.
    pub(super) fn take_stands(&mut self, stands: Vec<Recalled>) {
        let mut left = Vec::new();
        for Recalled { target, stand, prefixes } in stands {
            if let Target::Group(name) = &target {
                let is_another = |group: &str| group != name && group != ANCHOR;
                let has_left = |prefix: &Prefix| self.group(*prefix).is_some_and(is_another);
                let is_meant = |prefix: &Prefix| has_left(prefix) && stand.what.level(*prefix).is_some();
                let prefixes = prefixes.into_iter().filter(is_meant);
                left.extend(prefixes.map(|prefix| (Target::Prefix(prefix), stand.clone())));
            }
            if self.knows(&target) {
                self.operator.stands.insert(target, stand);
            }
        }
        for (target, stand) in left {
            // What was said of the prefix itself counts for more.
            self.operator.stands.entry(target).or_insert(stand);
        }
    }

    /// Raises the alarm of each word that stands, where it is not in force.
    pub(super) fn say_what_stands(&mut self, outputs: &mut Vec<Output>) {
        let said = |(target, stand): (&Target, &Stand)| {
            (AlarmId::WordInForce { target: target.clone() }, format!("{} {}", stand.what, stand.words))
        };
        let alarms: Vec<_> = self.operator.stands.iter().map(said).collect();
        for (alarm, text) in alarms {
            self.raise(&alarm, &text, outputs);
        }
    }
}
