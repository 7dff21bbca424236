//! What the signals ask of a prefix, and what spares it.
//!
//! One signal asks one level of one prefix. One may be *spared* for a reason that the explanation names; all but those that
//! the clock makes blind would ask for something:
//!
//! | spared because | which signals | until |
//! |---|---|---|
//! | its grace runs | kinds that have one | the grace ends |
//! | the clock is wrong | data-age, signatures | the clock is good again |
//! | overload explains it | UDP and TCP probes, merely unanswered, and the zones that nobody could ask; slow answers | see below |
//! | degrade is off for the group | whatever asks for degraded or last-resort | never |
//!
//! A required zone that this node answers wrongly is a fault of data wherever another one is answered, and what spoils data
//! spoils them at all POPs at once. So it asks for no more than the group says (`failing:`), unless it has never been answered
//! since the start: then the node is not ready. Where no required zone is answered any more, the node cannot answer; nor does it
//! where nothing comes back for a zone, which is a worker that hangs. A zone whose answers do not agree with what is known
//! of it is warned, and asks for one step less.
//!
//! Overload explains a probe that nobody answers while drops rise, and the responder has told lately that every worker
//! goes round its loop and that somebody is answered (see [`load`](crate::load)): all are required. Once the drops have
//! ended, whatever is answered again has its time to be believed, and what has not been asked since is as it was: of many
//! zones, each waits for its turn. The first answer that is missed after the drops ends the excuse, and so does the silence of
//! whoever should ask. That its address is answered is enough for a zone then: the host tells of answers in a flood alone.
//!
//! A flood keeps the status away as well, and another name server has none. Then the host's own counts have to bear it out:
//! datagrams are taken from sockets and sent by hundreds a second, of either family
//! ([`SignalId::Answers`]). Who hangs sends none, and of what others of the host send the observer tells it apart.
//!
//! | the responder's status | then heartbeats | and the excuse |
//! |---|---|---|
//! | is read | as they are told | stands while they are good, or while none are known and the host is seen to answer |
//! | does not come in time, while somebody takes in what comes | good until they are forgotten | stands as long |
//! | the same | are forgotten | stands while the host is seen to answer |
//! | is refused, or is no status, or does not come and nobody takes in anything | any | is gone with the verdict on the status |
//! | nobody asks for it any more | any | is gone with the verdict on the status |
//! | is not there: another name server | there are none | stands while the host is seen to answer |
//!
//! The excuse belongs to an address and a transport, and has an end, which comes sooner where few queries are dropped:
//! `policy/silent.rs`. Answers that are slow while many are dropped ask for nothing either, or a flood would be passed on as one that withdraws; their grace begins when that is over.
//!
//! Whenever the explanation goes, and also when one probe is refused, the prefix is withdrawn in that same step. So a
//! flood alone empties no POP, a responder that dies in one is withdrawn at once, and one that hangs in one as soon as that is
//! told, or as neither it nor the host tells that anybody is answered. What is beyond all this: a responder in a network
//! namespace of its own, or whose queries no socket takes (AF_XDP), is not among the host's counts, and has no
//! excuse once its heartbeats are forgotten.
//!
//! What was told of drops has to be there before the silence of a probe is believed. That is the observer's part: it asks
//! for the status, and looks at its own host's counters, between the first unanswered probe and the one that counts.

use std::time::Duration;

use super::{Policy, Role, Route};
use crate::config::{Degrade, GroupConfig};
use crate::kind::{Kind, SignalId};
use crate::level::Level;
use crate::preference::Wish;
use crate::prefix::Family;
use crate::signal::{Health, Signal};

/// What one signal asks of one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) level: Level,
    /// Why a signal that is bad asks for nothing.
    pub(super) spared: Option<Spared>,
}

/// Why a bad signal asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spared {
    /// It has not been bad for long enough; the end of its grace.
    Grace(Duration),
    /// The clock by which it is judged is wrong.
    Clock,
    /// The node drops queries, and does what it can.
    Overload,
    /// The group asks for no less than everything, or is withdrawn.
    DegradeOff,
    /// Its kind, or the group's choice, makes an alarm of it and no more.
    AlarmOnly,
}

impl Ask {
    pub(super) const NOTHING: Self = Self { level: Level::Normal, spared: None };

    /// A level, as far as the group may ask for it.
    fn of(level: Level, group: &GroupConfig) -> Self {
        match (level, group.degrade) {
            (Level::Normal, _) => Self::spared(Spared::AlarmOnly),
            (Level::Degraded | Level::LastResort, Degrade::Off) => Self::spared(Spared::DegradeOff),
            (level, _) => Self { level, spared: None },
        }
    }

    const fn spared(why: Spared) -> Self {
        Self { level: Level::Normal, spared: Some(why) }
    }
}

impl Policy {
    /// The worst that any signal asks for, and the worst of those that mean "cannot answer".
    pub(super) fn wish(&self, route: &Route) -> Wish {
        if let Role::Anchor(_) = route.role {
            return Wish { all: Level::Normal, able: Level::Normal };
        }
        let mut wish = Wish { all: Level::Normal, able: Level::Normal };
        for &index in &route.needs {
            let level = self.asks(route, index).level;
            wish.all = wish.all.max(level);
            // What a group chose to leave for, an operator may choose to stay for.
            let cannot_answer =
                || self.ids[index].kind().means_cannot_answer() && !self.fails_beside_others(route, index);
            if level == Level::Withdrawn && cannot_answer() {
                wish.able = Level::Withdrawn;
            }
        }
        wish
    }

    /// What one signal asks of one prefix.
    pub(super) fn asks(&self, route: &Route, index: usize) -> Ask {
        let Role::Service(group) = route.role else { return Ask::NOTHING };
        let (id, group) = (&self.ids[index], &self.config.groups[group]);
        match self.signals[index].health() {
            Health::Warned if id.kind() == Kind::Zone => Ask::of(Level::Degraded, group),
            Health::Good | Health::Warned => Ask::NOTHING,
            Health::Unknown if self.is_blind(id) => Ask::spared(Spared::Clock),
            Health::Unknown if id.kind().gates() => Ask { level: Level::Withdrawn, spared: None },
            Health::Unknown => Ask::NOTHING,
            Health::Bad | Health::Expired => self.bad_asks(route, group, index),
        }
    }

    fn bad_asks(&self, route: &Route, group: &GroupConfig, index: usize) -> Ask {
        let id = &self.ids[index];
        if self.is_excused(index) || self.is_crowded(id) {
            return Ask::spared(Spared::Overload);
        }
        if let Some(end) = self.grace_end(index) {
            return Ask::spared(Spared::Grace(end));
        }
        let ceiling = id.ceiling(group);
        let level = match (id, self.signals[index].health()) {
            (SignalId::Signatures { .. }, Health::Bad) => Level::Degraded.min(ceiling),
            (SignalId::Zone { .. }, _) if self.fails_beside_others(route, index) => {
                group.failing.asks().min(ceiling)
            }
            _ => ceiling,
        };
        Ask::of(level, group)
    }

    /// Whether this is a required zone that was answered and now is wrongly, while another one is, there and by the same
    /// transport.
    fn fails_beside_others(&self, route: &Route, index: usize) -> bool {
        let (SignalId::Zone { address, transport, .. }, signal) = (&self.ids[index], &self.signals[index])
        else {
            return false;
        };
        signal.is_proven()
            && !signal.is_merely_unanswered()
            && route.answered.contains(&(*address, *transport))
    }

    /// Where some required zone of each route is answered: looked up once when that of a zone has changed, since each of
    /// thousands asks for it.
    pub(super) fn note_answered(&mut self) {
        for route in &mut self.routes {
            let answered = route.needs.iter().filter(|&&index| self.signals[index].health().is_answered());
            let place = |&index: &usize| match self.ids[index] {
                SignalId::Zone { address, transport, .. } => Some((address, transport)),
                _ => None,
            };
            route.answered = answered.filter_map(place).collect();
        }
    }

    /// When a bad signal's grace ends, if it has not yet.
    pub(super) fn grace_end(&self, index: usize) -> Option<Duration> {
        let kind = self.ids[index].kind();
        let ill = self.signals[index].ill_since().filter(|_| kind.asks())?;
        let from = if kind == Kind::Slow { ill.max(self.uncrowded_since()) } else { ill };
        let end = from.saturating_add(self.grace(kind));
        (end > self.clock).then_some(end)
    }

    /// Whether answers are slow because there are too many queries.
    fn is_crowded(&self, id: &SignalId) -> bool {
        id.kind() == Kind::Slow && self.is_bad(&SignalId::Overload) && self.is_known_to_run()
    }

    fn overload(&self) -> Option<&Signal> {
        self.index.get(&SignalId::Overload).map(|&index| &self.signals[index])
    }

    /// When the last overload ended.
    fn uncrowded_since(&self) -> Duration {
        self.overload().and_then(Signal::well_since).unwrap_or_default()
    }

    /// Whether queries are dropped, few or many.
    pub(super) fn is_dropping(&self) -> bool {
        self.health(&SignalId::Overload).is_some_and(|health| health == Health::Warned || health.is_bad())
    }

    /// Whether nobody has asked for it since drops ended, or began to be told otherwise.
    pub(super) fn awaits_its_turn(&self, index: usize) -> bool {
        let told = self.overload().map(Signal::since).unwrap_or_default();
        !self.signals[index].was_seen_after(told)
    }

    /// Whether overload explains that this probe or zone is unanswered, or did until it was asked for again, and answered.
    pub(super) fn is_excused(&self, index: usize) -> bool {
        let signal = &self.signals[index];
        let recovers =
            || self.excused.contains(&index) && (signal.passed_last() || self.awaits_its_turn(index));
        matches!(self.ids[index].kind(), Kind::Probe | Kind::Zone)
            && signal.is_merely_unanswered()
            && !self.is_silent_beyond_excuse(index)
            && (self.is_known_to_run() && (self.is_dropping() || recovers())
                || self.is_answered_beside(index) && recovers())
    }

    /// Whether this is a zone whose address is answered, by the same transport: once nobody else tells that the node answers, as
    /// after a flood of another name server, that does.
    fn is_answered_beside(&self, index: usize) -> bool {
        let SignalId::Zone { address, transport, .. } = self.ids[index] else { return false };
        self.health(&SignalId::Probe { address, transport }) == Some(Health::Good)
    }

    /// Whether this is a zone, answered until then or excused as well, that nobody could ask for, because overload swallows
    /// its probe.
    pub(super) fn is_unseen(&self, index: usize) -> bool {
        let SignalId::Zone { address, transport, .. } = self.ids[index] else { return false };
        let probe = SignalId::Probe { address, transport };
        let excused = |&probe: &usize| self.signals[probe].health().is_bad() && self.is_excused(probe);
        (self.signals[index].health().is_answered() || self.is_excused(index))
            && self.index.get(&probe).is_some_and(excused)
    }

    /// Whether the responder itself has said lately that all of it runs, and nothing since speaks against it but that its
    /// status did not come in time; or, where it cannot say so, whether the host is seen to answer.
    fn is_known_to_run(&self) -> bool {
        let Some(&status) = self.index.get(&SignalId::Status) else { return self.is_seen_to_answer() };
        let status = &self.signals[status];
        let is_late = status.health().is_bad() && status.is_merely_unanswered();
        let is_reached = is_late || status.health() == Health::Good;
        match self.health(&SignalId::Heartbeats) {
            Some(Health::Good) => is_reached,
            // Forgotten, and perhaps told anew and not yet believed.
            Some(Health::Unknown) => is_reached && self.is_seen_to_answer(),
            _ => false,
        }
    }

    /// Whether the host counts as many datagrams that are taken and sent as only a responder takes and sends.
    fn is_seen_to_answer(&self) -> bool {
        let answers = |family| self.health(&SignalId::Answers { family }) == Some(Health::Good);
        answers(Family::Ipv4) || answers(Family::Ipv6)
    }

    /// Whether nothing that is seen of this counts, because it is judged by a clock that is wrong.
    pub(super) fn is_blind(&self, id: &SignalId) -> bool {
        id.kind().needs_clock() && self.is_bad(&SignalId::Clock)
    }

    pub(super) fn is_bad(&self, id: &SignalId) -> bool {
        self.health(id).is_some_and(Health::is_bad)
    }
}
