//! The session: the finite state machine of RFC 4271 §8, and the way routes go out through it.
//!
//! The transition table stands in the documentation of [`super`]. Callers: the driver that owns the connection.

use std::time::Duration;

use super::backoff::Backoff;
use super::codec::{Frame, Inbox, Kind, Refusal, read, type_name, write};
use super::config::{ConfigError, ExtendedNextHop, Peering, PeeringCheck, Received, Role, SessionConfig};
use super::event::{
    AsNumbers, Cause, Counters, Event, Fault, Input, Negotiated, Output, RouteRefresh, State,
};
use super::notification::{self, Notification, Shutdown};
use super::rib::AdjRibOut;
use crate::{Families, Family, Prefix, Route, RouteError};

mod snapshot;

pub use snapshot::{Farewell, Snapshot};

/// An attempt to connect may take this long, or a connect-retry time if that is longer. The first repetition of a
/// lost SYN comes after one second and must have a chance.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// UPDATEs that are read within a second where nobody uses their routes. A neighbour that sends a full table by mistake
/// keeps the thread busy on which all sessions depend; what is wrong with its routes shows in the first of them.
const READ_IN_A_SECOND: u32 = 100;

/// One BGP session with one neighbour, over one connection at a time.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    rib: AdjRibOut,
    inbox: Inbox,
    backoff: Backoff,
    counters: Counters,
    last_down: Option<Cause>,
    /// The latest time that was ever told; an earlier one is taken for this.
    now: Duration,
    /// When the current state began.
    since: Duration,
    /// Since when the transport has taken nothing.
    blocked_since: Option<Duration>,
    /// Families that the neighbour wants to hear again.
    refresh: Families,
    sample: Sample,
}

/// What of the UPDATEs that nobody uses is read.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// When the present second began, and how many were read in it.
    since: Duration,
    read: u32,
}

impl Sample {
    /// Whether one more may be read.
    fn takes(&mut self, now: Duration) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        if now.saturating_sub(self.since) >= SECOND {
            *self = Self { since: now, read: 0 };
        }
        self.read = self.read.saturating_add(1);
        self.read <= READ_IN_A_SECOND
    }
}

/// The state together with what only it has.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Stopped,
    Waiting { until: Duration },
    Connect { until: Duration },
    Active,
    OpenSent { until: Duration },
    OpenConfirm(Link),
    Established(Link),
}

/// A connection on which both OPENs agree.
#[derive(Debug, Clone, Copy)]
struct Link {
    negotiated: Negotiated,
    hold_until: Option<Duration>,
    keepalive_at: Option<Duration>,
}

impl Session {
    /// A session at rest; [`Input::Start`] sets it going. Settings that make no session are refused.
    pub fn new(config: SessionConfig, now: Duration) -> Result<Self, ConfigError> {
        config.check()?;
        let backoff = Backoff::new(config.connect_retry, config.connect_retry_max, config.jitter_seed);
        Ok(Self {
            config,
            phase: Phase::Stopped,
            rib: AdjRibOut::default(),
            inbox: Inbox::default(),
            backoff,
            counters: Counters::default(),
            last_down: None,
            now,
            since: now,
            blocked_since: None,
            refresh: Families::NONE,
            sample: Sample::default(),
        })
    }

    /// Takes one input, appends what the driver must do to `out`, and lets all timers run that are due.
    pub fn step(&mut self, now: Duration, input: Input<'_>, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        match input {
            Input::Start => self.start(out),
            Input::Connected => self.connected(out),
            Input::Superseded if self.yields_connection() => {
                let detail = "the neighbour has opened another connection, which takes the place of this one";
                self.refuse(Refusal::new(notification::CEASE, 7, [], detail), out);
            }
            Input::Superseded => self.counters.inputs_ignored += 1,
            Input::ConnectFailed { why } => match self.phase {
                Phase::Connect { .. } => self.down(Cause::ConnectFailed(why.to_owned()), out),
                _ => self.counters.inputs_ignored += 1,
            },
            Input::Closed { why } => match self.has_connection() {
                true => self.down(Cause::Closed(why.to_owned()), out),
                false => self.counters.inputs_ignored += 1,
            },
            Input::Received(octets) => self.received(octets, out),
            Input::SendBlocked if self.has_connection() => {
                self.blocked_since.get_or_insert(self.now);
            }
            Input::SendBlocked => self.counters.inputs_ignored += 1,
            Input::SendProgress => self.blocked_since = None,
            // RFC 9384: Cease with the subcode that BFD has.
            Input::PathDown { why } if self.has_connection() => {
                self.refuse(Refusal::new(notification::CEASE, 10, [], why), out);
            }
            Input::PathDown { .. } => self.counters.inputs_ignored += 1,
            Input::Tick => {}
            Input::Stop(shutdown) => self.stop(shutdown, out),
        }
        self.refresh_routes(out);
        self.run_timers(out);
    }

    /// Makes exactly these the wanted routes. An established session sends the difference at once; each new session
    /// begins with all of them. If one route cannot be sent, none is taken and nothing changes.
    pub fn set_routes(
        &mut self,
        now: Duration,
        routes: impl IntoIterator<Item = Route>,
        out: &mut Vec<Output>,
    ) -> Result<(), RouteError> {
        let routes: Vec<Route> = routes.into_iter().collect();
        routes.iter().try_for_each(Route::check)?;
        self.now = self.now.max(now);
        self.rib.set(routes);
        self.send_difference(out);
        Ok(())
    }

    /// Wants one route more, or another one for its prefix.
    pub fn announce(&mut self, now: Duration, route: Route, out: &mut Vec<Output>) -> Result<(), RouteError> {
        route.check()?;
        self.now = self.now.max(now);
        self.rib.insert(route);
        self.send_difference(out);
        Ok(())
    }

    /// Wants no route for this prefix any more.
    pub fn withdraw(&mut self, now: Duration, prefix: Prefix, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        self.rib.remove(prefix);
        self.send_difference(out);
    }

    /// What the neighbour was told on the current session, by prefix: the adj-RIB-out of RFC 4271 §3.2. Empty unless
    /// Established.
    pub fn adj_rib_out(&self) -> impl Iterator<Item = &Route> {
        self.rib.told()
    }

    /// What the neighbour should know, by prefix, whatever the state.
    pub fn wanted_routes(&self) -> impl Iterator<Item = &Route> {
        self.rib.wanted()
    }

    /// When [`Session::step`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        let (first, second) = match self.phase {
            Phase::Stopped | Phase::Active => (None, None),
            Phase::Waiting { until } | Phase::Connect { until } | Phase::OpenSent { until } => {
                (Some(until), None)
            }
            Phase::OpenConfirm(link) | Phase::Established(link) => (link.hold_until, link.keepalive_at),
        };
        [first, second, self.send_hold_until()].into_iter().flatten().min()
    }

    /// The state.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Stopped | Phase::Waiting { .. } => State::Idle,
            Phase::Connect { .. } => State::Connect,
            Phase::Active => State::Active,
            Phase::OpenSent { .. } => State::OpenSent,
            Phase::OpenConfirm(_) => State::OpenConfirm,
            Phase::Established(_) => State::Established,
        }
    }

    /// When the current state began.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// What was agreed with the neighbour; only while there is a session to speak of.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.phase {
            Phase::OpenConfirm(link) | Phase::Established(link) => Some(&link.negotiated),
            _ => None,
        }
    }

    /// Why the last connection or attempt ended.
    pub fn last_down(&self) -> Option<&Cause> {
        self.last_down.as_ref()
    }

    /// When the next attempt to connect is due, while one waits for its turn.
    pub fn next_attempt(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The settings.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Whether a connection from the neighbour may be given to this session now.
    pub fn accepts_connection(&self) -> bool {
        matches!(self.phase, Phase::Active)
    }

    /// Whether another connection from the neighbour takes the place of the present one, by [`Input::Superseded`]. It does
    /// until there is a session: a neighbour that has died or begun anew before its OPEN would otherwise keep itself out.
    ///
    /// RFC 4271 §6.8 resolves a collision between a connection that we opened and one that the neighbour opened. Of two that
    /// the neighbour has opened it says nothing; the later one is the one that it knows of still. An established session
    /// stays, and the new connection is refused: the RFC's default, CollisionDetectEstablishedState (§8.1.1) being false. It
    /// would be ended by whoever can send from the neighbour's address, and a neighbour that has died is found out by the
    /// hold timer.
    pub fn yields_connection(&self) -> bool {
        let unagreed = matches!(self.phase, Phase::OpenSent { .. } | Phase::OpenConfirm(_));
        self.config.role == Role::Passive && unagreed
    }

    /// A message for a connection that no session takes: Cease/Connection Rejected (RFC 4486 §4). The driver writes
    /// it and closes.
    pub fn rejection() -> Vec<u8> {
        write::notification(&Notification::new(notification::CEASE, 5, []))
    }

    fn start(&mut self, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Stopped | Phase::Waiting { .. } => self.begin(out),
            _ => self.counters.inputs_ignored += 1,
        }
    }

    /// Connects, or waits to be connected to.
    fn begin(&mut self, out: &mut Vec<Output>) {
        match self.config.role {
            Role::Active => {
                let until = self.now + self.connect_time();
                self.enter(Phase::Connect { until }, out);
                out.push(Output::Connect);
            }
            Role::Passive => self.enter(Phase::Active, out),
        }
    }

    fn connect_time(&self) -> Duration {
        CONNECT_TIME.max(self.config.connect_retry)
    }

    fn connected(&mut self, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Connect { .. } | Phase::Active => {
                self.inbox.clear();
                self.send(write::open(&self.config), out);
                let until = self.now + self.config.open_time;
                self.enter(Phase::OpenSent { until }, out);
            }
            Phase::Stopped | Phase::Waiting { .. } => {
                self.counters.inputs_ignored += 1;
                out.push(Output::Close);
            }
            Phase::OpenSent { .. } | Phase::OpenConfirm(_) | Phase::Established(_) => {
                self.counters.inputs_ignored += 1;
            }
        }
    }

    fn stop(&mut self, shutdown: Shutdown, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Stopped => self.counters.inputs_ignored += 1,
            Phase::Waiting { .. } | Phase::Active => self.rest(shutdown, out),
            Phase::Connect { .. } => {
                out.push(Output::Close);
                self.rest(shutdown, out);
            }
            Phase::OpenSent { .. } | Phase::OpenConfirm(_) | Phase::Established(_) => {
                self.send(write::notification(&shutdown.notification()), out);
                out.push(Output::Close);
                self.rest(shutdown, out);
            }
        }
    }

    /// Goes to Idle for good, until the next start.
    fn rest(&mut self, shutdown: Shutdown, out: &mut Vec<Output>) {
        self.lose_connection();
        self.backoff.reset();
        self.enter(Phase::Stopped, out);
        self.tell_down(Cause::Stopped(shutdown), out);
    }

    fn received(&mut self, mut octets: &[u8], out: &mut Vec<Output>) {
        if !self.has_connection() {
            self.counters.inputs_ignored += 1;
            return;
        }
        loop {
            match self.inbox.next_frame(&mut octets) {
                Ok(Some(frame)) => {
                    self.counters.messages_received += 1;
                    self.message(&frame, out);
                }
                Ok(None) => return,
                Err(refusal) => self.refuse(refusal, out),
            }
            if !self.has_connection() {
                return;
            }
        }
    }

    fn message(&mut self, frame: &Frame, out: &mut Vec<Output>) {
        match (self.phase, frame.kind) {
            (_, Kind::Notification) => {
                let notification = read::notification(&frame.body);
                if let Err(why) = notification.shutdown_text() {
                    out.push(Output::Event(Event::Tolerated(Fault::ShutdownText(why.to_owned()))));
                }
                out.push(Output::Close);
                out.push(Output::Event(Event::NotificationReceived(notification.clone())));
                self.down(Cause::NotificationReceived(notification), out);
            }
            (Phase::OpenSent { .. }, Kind::Open) => self.open(&frame.body, out),
            (Phase::OpenConfirm(link), Kind::Keepalive) => self.establish(self.heard(link), out),
            (Phase::Established(link), Kind::Keepalive) => self.phase = Phase::Established(self.heard(link)),
            (Phase::Established(link), Kind::Update) => {
                self.phase = Phase::Established(self.heard(link));
                self.counters.updates_received += 1;
                self.update(&frame.body, link.negotiated, out);
            }
            (Phase::Established(link), Kind::RouteRefresh) => {
                let enhanced = match link.negotiated.route_refresh {
                    RouteRefresh::Enhanced => read::Offered::Yes,
                    RouteRefresh::Offered | RouteRefresh::NotOffered => read::Offered::No,
                };
                match read::route_refresh(&frame.body, enhanced) {
                    Ok(read::Refresh::Wanted(family)) => self.refresh = self.refresh.with(family),
                    Ok(read::Refresh::Mark) => {}
                    Ok(read::Refresh::Pointless(what)) => {
                        out.push(Output::Event(Event::Tolerated(Fault::Ignored(what))));
                    }
                    Err(refusal) => self.refuse(refusal, out),
                }
            }
            (_, kind) => self.unexpected(kind, out),
        }
    }

    /// RFC 6608 §3: a subcode for each state, and the message's type as the data.
    fn unexpected(&mut self, kind: Kind, out: &mut Vec<Output>) {
        let subcode = match self.phase {
            Phase::OpenSent { .. } => 1,
            Phase::OpenConfirm(_) => 2,
            Phase::Established(_) => 3,
            _ => 0,
        };
        let detail = format!("{} is not expected in state {}", type_name(kind as u8), self.state());
        self.refuse(Refusal::new(notification::FSM, subcode, [kind as u8], detail), out);
    }

    fn open(&mut self, body: &[u8], out: &mut Vec<Output>) {
        match read::open(body).and_then(|open| self.negotiate(&open)) {
            Err(refusal) => self.refuse(refusal, out),
            Ok(negotiated) => {
                self.send(write::keepalive(), out);
                let link = Link { negotiated, hold_until: None, keepalive_at: None };
                let link = self.spoken(self.heard(link));
                self.enter(Phase::OpenConfirm(link), out);
            }
        }
    }

    /// What both OPENs come to, or why they come to nothing: RFC 4271 §6.2.
    fn negotiate(&self, open: &read::Open) -> Result<Negotiated, Refusal> {
        let config = &self.config;
        read::judge_as(open, config.peer_as)?;
        // RFC 6286 §2.2: zero never, and within one AS not ours.
        if open.router_id.is_unspecified() || (config.is_ibgp() && open.router_id == config.router_id) {
            let detail = format!("the neighbour's BGP Identifier {} is zero or our own", open.router_id);
            return Err(Refusal::new(notification::OPEN, 3, [], detail));
        }
        // RFC 4271 §6.2: one and two seconds must be refused, anything else may be.
        let theirs = Duration::from_secs(u64::from(open.hold_time));
        let pointless = open.hold_time == 0 && !config.hold_time.is_zero();
        if matches!(open.hold_time, 1 | 2) || pointless {
            let detail = match pointless {
                true => "the neighbour wants no hold timer, and a frozen node would keep its route for ever"
                    .to_owned(),
                false => format!("the neighbour wants a hold time of {} s; 3 s is the least", open.hold_time),
            };
            return Err(Refusal::new(notification::OPEN, 6, open.hold_time.to_be_bytes(), detail));
        }
        let families = config.families.common(open.families);
        if families.is_empty() {
            let detail = format!("we offer {}, the neighbour {}", config.families, open.families);
            return Err(Refusal::new(notification::OPEN, 7, needed(config.families), detail));
        }
        let peer_role = self.judge_role(open.role)?;
        Ok(Negotiated {
            peer_as: open.asn,
            peer_router_id: open.router_id,
            hold_time: config.hold_time.min(theirs),
            families,
            as_numbers: match open.four_octet_as {
                read::Offered::Yes => AsNumbers::FourOctet,
                read::Offered::No => AsNumbers::TwoOctet,
            },
            route_refresh: match (open.route_refresh, open.enhanced_refresh) {
                (read::Offered::Yes, read::Offered::Yes) => RouteRefresh::Enhanced,
                (read::Offered::Yes, read::Offered::No) => RouteRefresh::Offered,
                (read::Offered::No, _) => RouteRefresh::NotOffered,
            },
            extended_next_hop: match (config.extended_next_hop, open.extended_next_hop) {
                (ExtendedNextHop::Offered, read::Offered::Yes) => ExtendedNextHop::Offered,
                _ => ExtendedNextHop::NotOffered,
            },
            peer_role,
        })
    }

    /// RFC 9234 §4.2: both roles must fit, and in strict mode there must be one.
    fn judge_role(&self, said: read::Role) -> Result<Option<Peering>, Refusal> {
        let Some(ours) = self.config.peering else {
            return Ok(match said {
                read::Role::Is(peering) => Some(peering),
                _ => None,
            });
        };
        let expected = ours.counterpart();
        let detail = match said {
            read::Role::Is(theirs) if theirs == expected => return Ok(Some(theirs)),
            read::Role::Unsaid if self.config.peering_check == PeeringCheck::Lenient => return Ok(None),
            read::Role::Is(theirs) => {
                format!("we are {ours}, so the neighbour must be {expected}, and says that it is {theirs}")
            }
            read::Role::Unsaid => format!("the neighbour says no BGP role; {expected} is expected"),
            read::Role::Unknown(octet) => {
                format!("the neighbour says BGP role {octet}, which there is not; {expected} is expected")
            }
            read::Role::Several => "the neighbour says several BGP roles".to_owned(),
        };
        Err(Refusal::new(notification::OPEN, 11, [], detail))
    }

    fn establish(&mut self, link: Link, out: &mut Vec<Output>) {
        self.counters.established += 1;
        self.enter(Phase::Established(link), out);
        out.push(Output::Event(Event::Established(link.negotiated)));
        self.send_difference(out);
        // RFC 4724 §2 recommends the marker whether or not graceful restart is spoken.
        for family in link.negotiated.families.iter() {
            self.counters.updates_sent += 1;
            self.send(write::end_of_rib(family), out);
        }
    }

    fn update(&mut self, body: &[u8], negotiated: Negotiated, out: &mut Vec<Output>) {
        if self.config.received == Received::Discard && !self.sample.takes(self.now) {
            // RFC 4271 §6.3: lengths that do not fit are an error whoever uses what they enclose.
            return match read::update::split(body) {
                Ok(_) => self.counters.updates_unread += 1,
                Err(refusal) => self.refuse(refusal, out),
            };
        }
        let mut speaker = self.speaker(negotiated);
        if self.config.received == Received::Discard {
            // That our own AS stands in a path is no fault of a route that nobody uses. AS 0 stands in none.
            speaker.local_as = 0;
        }
        let read = read::update::update(body, speaker, negotiated.families);
        match (read, self.config.received) {
            // Nobody uses these routes, and ours are worth more than the letter of RFC 7606 §5.3 about them.
            (Err(refusal), Received::Discard) if read::update::split(body).is_ok() => {
                self.counters.updates_malformed += 1;
                out.push(Output::Event(Event::Tolerated(Fault::Unreadable(refusal.detail))));
            }
            (Err(refusal), _) => self.refuse(refusal, out),
            (Ok(update), Received::Discard) => {
                // Nor is that routes of another family came.
                let broken = |fault: &Fault| !matches!(fault, Fault::Ignored(_));
                let broken: Vec<Fault> = update.faults.into_iter().filter(broken).collect();
                self.counters.updates_malformed += u64::from(!broken.is_empty());
                out.extend(broken.into_iter().map(|fault| Output::Event(Event::Tolerated(fault))));
            }
            (Ok(update), Received::Report) => {
                if !update.faults.is_empty() {
                    self.counters.updates_malformed += 1;
                }
                out.extend(update.faults.into_iter().map(|fault| Output::Event(Event::Tolerated(fault))));
                out.extend(update.changes.into_iter().map(|change| Output::Event(Event::Route(change))));
                out.extend(update.end_of_rib.map(|family| Output::Event(Event::EndOfRib(family))));
            }
        }
    }

    fn speaker(&self, negotiated: Negotiated) -> write::Speaker {
        write::Speaker {
            local_as: self.config.local_as,
            ibgp: self.config.is_ibgp(),
            as_numbers: negotiated.as_numbers,
            extended_next_hop: negotiated.extended_next_hop,
            only_to_customer: match self.config.peering {
                Some(peering) if peering.marks_routes() => write::Mark::Set,
                _ => write::Mark::Unset,
            },
        }
    }

    /// Whether the session with `negotiated` can carry a route.
    fn carries(negotiated: &Negotiated, route: &Route) -> bool {
        !route.needs_extended_next_hop() || negotiated.extended_next_hop == ExtendedNextHop::Offered
    }

    fn send_difference(&mut self, out: &mut Vec<Output>) {
        let Phase::Established(link) = self.phase else { return };
        let speaker = self.speaker(link.negotiated);
        let difference = self
            .rib
            .take_difference(link.negotiated.families, |route| Self::carries(&link.negotiated, route));
        let withdrawals =
            difference.withdraw.iter().flat_map(|(family, prefixes)| write::withdrawals(*family, prefixes));
        let announcements = difference
            .announce
            .iter()
            .flat_map(|(route, prefixes)| write::announcements(route, prefixes, speaker));
        for message in withdrawals.chain(announcements) {
            self.counters.updates_sent += 1;
            self.send(message, out);
        }
    }

    /// Answers ROUTE-REFRESH, once however many came in one chunk, and not while the neighbour does not read: what
    /// waits to be sent must not grow with what it asks for.
    fn refresh_routes(&mut self, out: &mut Vec<Output>) {
        if self.refresh.is_empty() || self.blocked_since.is_some() {
            return;
        }
        let wanted = std::mem::take(&mut self.refresh);
        let Phase::Established(link) = self.phase else { return };
        let families = wanted.common(link.negotiated.families);
        let enhanced = link.negotiated.route_refresh == RouteRefresh::Enhanced;
        // RFC 7313 §4.1: what lies between the marks is all that there is.
        let mark = |session: &mut Self, subtype, out: &mut Vec<Output>| {
            for family in families.iter().filter(|_| enhanced) {
                session.send(write::route_refresh(family, subtype), out);
            }
        };
        mark(self, 1, out);
        for family in families.iter() {
            out.push(Output::Event(Event::RefreshRequested(family)));
            self.rib.forget_family(family);
        }
        self.send_difference(out);
        mark(self, 2, out);
    }

    fn run_timers(&mut self, out: &mut Vec<Output>) {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= self.now);
        if due(self.send_hold_until()) {
            let detail = format!("the neighbour has taken nothing for {:?}", self.config.send_hold_time);
            return self.refuse(Refusal::new(notification::SEND_HOLD_TIMER, 0, [], detail), out);
        }
        match self.phase {
            Phase::Waiting { until } if due(Some(until)) => self.begin(out),
            Phase::Connect { until } if due(Some(until)) => {
                out.push(Output::Close);
                self.down(Cause::ConnectTimedOut(self.connect_time()), out);
            }
            Phase::OpenSent { until } if due(Some(until)) => {
                let detail = format!("the neighbour has sent no OPEN within {:?}", self.config.open_time);
                self.refuse(Refusal::new(notification::HOLD_TIMER, 0, [], detail), out);
            }
            Phase::OpenConfirm(link) | Phase::Established(link) if due(link.hold_until) => {
                let detail = format!("the neighbour was silent for {:?}", link.negotiated.hold_time);
                self.refuse(Refusal::new(notification::HOLD_TIMER, 0, [], detail), out);
            }
            Phase::OpenConfirm(link) | Phase::Established(link) if due(link.keepalive_at) => {
                self.send(write::keepalive(), out);
            }
            _ => {}
        }
    }

    /// The hold timer begins anew: the neighbour was heard.
    fn heard(&self, link: Link) -> Link {
        let hold_time = link.negotiated.hold_time;
        Link { hold_until: (!hold_time.is_zero()).then(|| self.now + hold_time), ..link }
    }

    /// The keepalive timer begins anew: the neighbour heard us. A third of the hold time, RFC 4271 §4.4, with jitter.
    fn spoken(&mut self, link: Link) -> Link {
        let interval = link.negotiated.hold_time / 3;
        let keepalive_at = (!interval.is_zero()).then(|| self.now + self.backoff.jittered(interval));
        Link { keepalive_at, ..link }
    }

    fn send_hold_until(&self) -> Option<Duration> {
        self.blocked_since.map(|since| since + self.config.send_hold_time)
    }

    fn has_connection(&self) -> bool {
        matches!(self.phase, Phase::OpenSent { .. } | Phase::OpenConfirm(_) | Phase::Established(_))
    }

    /// Every message goes out here, because each counts as a sign of life.
    fn send(&mut self, message: Vec<u8>, out: &mut Vec<Output>) {
        self.counters.messages_sent += 1;
        out.push(Output::Send(message));
        match self.phase {
            Phase::OpenConfirm(link) => self.phase = Phase::OpenConfirm(self.spoken(link)),
            Phase::Established(link) => self.phase = Phase::Established(self.spoken(link)),
            _ => {}
        }
    }

    /// Ends the session with a NOTIFICATION.
    fn refuse(&mut self, refusal: Refusal, out: &mut Vec<Output>) {
        let Refusal { notification, detail } = refusal;
        self.send(write::notification(&notification), out);
        out.push(Output::Close);
        let event = Event::NotificationSent { notification: notification.clone(), detail: detail.clone() };
        out.push(Output::Event(event));
        self.down(Cause::NotificationSent { notification, detail }, out);
    }

    /// The connection or the attempt is over: an active session pauses before the next, a passive one waits.
    fn down(&mut self, cause: Cause, out: &mut Vec<Output>) {
        let held = self.now.saturating_sub(self.since) >= self.config.stable_after;
        if matches!(self.phase, Phase::Established(_)) && held {
            self.backoff.reset();
        }
        self.lose_connection();
        let next = match self.config.role {
            Role::Active => Phase::Waiting { until: self.now + self.backoff.next_pause() },
            Role::Passive => Phase::Active,
        };
        self.enter(next, out);
        self.tell_down(cause, out);
    }

    fn lose_connection(&mut self) {
        self.inbox.clear();
        self.rib.forget();
        self.blocked_since = None;
        self.refresh = Families::NONE;
    }

    fn tell_down(&mut self, cause: Cause, out: &mut Vec<Output>) {
        self.last_down = Some(cause.clone());
        out.push(Output::Event(Event::Down(cause)));
    }

    fn enter(&mut self, phase: Phase, out: &mut Vec<Output>) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if from != to {
            self.since = self.now;
            out.push(Output::Event(Event::StateChanged { from, to }));
        }
    }
}

/// RFC 5492 §5: the data of Unsupported Capability are the capabilities that we need.
fn needed(families: Families) -> Vec<u8> {
    families
        .iter()
        .flat_map(|family: Family| {
            let [high, low] = family.afi().to_be_bytes();
            [1, 4, high, low, 0, 1]
        })
        .collect()
}
