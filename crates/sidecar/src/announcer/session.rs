//! The driver of one BGP session: moves octets, time and levels into the machine, and its outputs out.
//!
//! The machine is [`pharos_routing::bgp::Session`]; it decides when to connect, what to send and when to
//! give up. This driver owns the socket, and tells the keeper what the neighbour knows and what happens to
//! the session: an alarm while a configured neighbour is down, an event when the session comes and goes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::AlarmId;
use pharos_policy::policy::Input as PolicyInput;
use pharos_routing::Route;
use pharos_routing::bfd::{Cause as BfdCause, State as BfdState};
use pharos_routing::bgp::{
    self, Cause, ExtendedNextHop, Input, Negotiated, Notification, Output, Session, SessionConfig, Shutdown,
    ShutdownKind, State,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::drift::Kind;
use super::link::{Connection, Link, News, Read, Sent};
use super::ration::Ration;
use super::report::Reporter;
use super::routes::{self, Impossible};
use crate::bfd::View as BfdView;
use crate::config::{BeforeSession, NeighbourConfig, Role, StartError};
use crate::event::Event;
use crate::handover::{Inherited, Order, Part, SessionState, Socket, ordered};
use crate::keeper::{Keeper, Levels, Notified};
use crate::status::Direction;
use crate::threads::Stopping;

/// How long after the start a neighbour may take before it is called down; what fails outright is called so
/// at once.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// The longest sleep of a driver. Its machine names its deadlines and the kernel wakes it for octets; should
/// either ever be missed, a session is this much late and not stuck.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Connections that end at one time, each for a second at most; more end without a word. A session of our own needs one,
/// so only a neighbour that connects again and again comes to it.
const MOST_FAREWELLS: usize = 8;

/// One session and everything under it.
pub(super) struct Driver {
    index: usize,
    name: String,
    config: NeighbourConfig,
    session: Session,
    keeper: Arc<Keeper>,
    levels: watch::Receiver<Levels>,
    accepted: mpsc::Receiver<TcpStream>,
    link: Link,
    /// Our own address on the connection that was made last.
    local: Option<IpAddr>,
    farewells: JoinSet<()>,
    buffer: Vec<u8>,
    /// What the neighbour does that is odd, and connections of its that are refused.
    oddities: Ration,
    refusals: Ration,
    /// Why a route cannot be sent at all.
    impossible: Vec<Impossible>,
    /// What the neighbour was told when it had taken all octets: nothing yet on a new connection.
    taken: Vec<Route>,
    reporter: Reporter,
    standing: Standing,
    /// When a neighbour that was never up is called down.
    patience: Option<Duration>,
    last: Option<Cause>,
    /// What BFD sees, and what it saw when this driver looked last.
    bfd: Option<(watch::Receiver<BfdView>, BfdView)>,
    /// When a neighbour whose BFD was never up is told of.
    bfd_patience: Option<Duration>,
    /// By what another process knows that the session is what it wants.
    identity: String,
    /// A session that the process before has left.
    inherited: Option<Inherited>,
    /// The order to let go of the session, while it stands.
    handover: watch::Receiver<Option<Order>>,
}

/// Whether the session is up, as far as people were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Down,
    Up,
}

/// What woke the driver.
enum Woken {
    Stop(Arc<str>),
    LetGo(Order),
    Levels,
    Deadline,
    Accepted(TcpStream),
    Bfd(BfdNews),
    Link(News),
}

impl Driver {
    pub(super) fn new(
        index: usize,
        config: NeighbourConfig,
        settings: SessionConfig,
        accepted: mpsc::Receiver<TcpStream>,
        keeper: Arc<Keeper>,
    ) -> Result<Self, StartError> {
        let name = config.name();
        let now = keeper.clock.now();
        keeper.metrics.neighbour(&name, config.remote_as);
        let session = Session::new(settings, now)
            .map_err(|source| StartError::Session { name: name.clone(), source })?;
        let reporter = Reporter::new(Arc::clone(&keeper), format!("bgp {name}"));
        Ok(Self {
            index,
            name,
            config,
            session,
            levels: keeper.levels(),
            accepted,
            link: Link::None,
            local: None,
            farewells: JoinSet::new(),
            buffer: Vec::new(),
            oddities: Ration::default(),
            refusals: Ration::default(),
            impossible: Vec::new(),
            taken: Vec::new(),
            reporter,
            standing: Standing::Down,
            patience: Some(now + FIRST_PATIENCE),
            last: None,
            bfd: None,
            bfd_patience: None,
            identity: String::new(),
            inherited: None,
            handover: keeper.handover(),
            keeper,
        })
    }

    /// Lets the session depend on what BFD finds.
    pub(super) fn follow_bfd(&mut self, view: Option<watch::Receiver<BfdView>>) {
        self.bfd_patience = view.as_ref().and(self.patience);
        self.bfd = view.map(|mut view| {
            let seen = *view.borrow_and_update();
            (view, seen)
        });
        if self.bfd.as_ref().is_some_and(|(_, seen)| seen.state == BfdState::Up) {
            // As the process before has left it.
            self.bfd_patience = None;
        }
    }

    /// Names the session for other processes, and goes on with the one that the process before has left.
    pub(super) fn inherit(&mut self, identity: String, inherited: Option<Inherited>) {
        self.identity = identity;
        self.inherited = inherited;
    }

    /// Drives the session until the order to stop; then withdraws, says goodbye with the order's text, and
    /// lets the last octets out.
    pub(super) async fn run(mut self, mut stopping: Stopping) {
        match self.inherited.take() {
            Some(inherited) => self.take_over(inherited),
            None => self.begin(),
        }
        loop {
            self.report();
            match self.wake(&mut stopping).await {
                Woken::Stop(text) => break self.stop(&text),
                Woken::LetGo(order) => self.let_go(&order).await,
                Woken::Levels => self.follow_levels(),
                Woken::Deadline => self.tick(),
                Woken::Accepted(stream) => self.accept(stream),
                Woken::Bfd(BfdNews::Changed) => self.bfd_changed(),
                Woken::Bfd(BfdNews::Gone) => self.bfd_gone(),
                Woken::Link(News::Connected(stream)) => self.connected(stream),
                Woken::Link(News::ConnectFailed(why)) => {
                    self.link = Link::None;
                    self.step(Input::ConnectFailed { why: &why });
                }
                Woken::Link(News::Ready) => self.transfer(),
            }
        }
        self.report();
        while self.farewells.join_next().await.is_some() {}
    }

    async fn wake(&mut self, stopping: &mut Stopping) -> Woken {
        let clock = self.keeper.clock;
        let latest = clock.now() + LONGEST_SLEEP;
        let reports = self.reporter.next_deadline();
        let deadlines = [self.session.next_deadline(), self.patience, self.bfd_patience, reports];
        let deadlines = deadlines.into_iter().flatten();
        let timer = tokio::time::sleep_until(clock.instant(deadlines.fold(latest, Duration::min)));
        let passive = matches!(self.config.role, Role::Passive { .. });
        tokio::select! {
            text = stopping.ordered() => Woken::Stop(text),
            Some(order) = ordered(&mut self.handover) => Woken::LetGo(order),
            // The keeper outlives every driver, which holds it.
            Ok(()) = self.levels.changed() => Woken::Levels,
            Some(stream) = self.accepted.recv(), if passive => Woken::Accepted(stream),
            news = bfd_news(&mut self.bfd) => Woken::Bfd(news),
            news = self.link.news() => Woken::Link(news),
            Some(_) = self.farewells.join_next(), if !self.farewells.is_empty() => Woken::Deadline,
            () = timer => Woken::Deadline,
        }
    }

    fn begin(&mut self) {
        self.follow_levels();
        self.step(Input::Start);
    }

    /// Leaves an established session as it is and touches nothing any more, until the order is taken back; if it is not,
    /// the process ends here.
    async fn let_go(&mut self, order: &Order) {
        order.give(self.share());
        order.over(&mut self.handover).await;
        // What has come meanwhile speaks for the neighbour before its silence does.
        self.transfer();
        self.follow_levels();
        self.step(Input::Tick);
    }

    /// What another process needs for this session; nothing where it is not established.
    fn share(&mut self) -> Part {
        let snapshot = self.session.snapshot(self.keeper.clock.now());
        let (Some(snapshot), Link::Up(connection)) = (snapshot, &mut self.link) else {
            return Part::default();
        };
        connection.flush();
        match connection.share() {
            Ok((socket, unsent)) => {
                let (name, identity) = (self.name.clone(), self.identity.clone());
                Part {
                    session: Some(SessionState { name: name.clone(), identity, unsent, snapshot }),
                    sockets: vec![(Socket::Session(name), socket)],
                    ..Part::default()
                }
            }
            Err(error) => {
                tracing::warn!(neighbour = self.name, %error, "the session cannot be handed over");
                Part::default()
            }
        }
    }

    /// Goes on with a session as the process before has left it.
    fn take_over(&mut self, inherited: Inherited) {
        if let Err(why) = self.try_take_over(inherited) {
            tracing::warn!(neighbour = self.name, why, "the session cannot be taken over and begins anew");
            self.begin();
        }
    }

    fn try_take_over(&mut self, inherited: Inherited) -> Result<(), String> {
        let Inherited { state: SessionState { unsent, snapshot, .. }, socket } = inherited;
        let negotiated = snapshot.negotiated;
        let session = Session::resume(self.session.config().clone(), snapshot, self.keeper.clock.now())
            .map_err(|error| error.to_string())?;
        let connection = Connection::resume(socket, unsent).map_err(|error| error.to_string())?;
        connection
            .protect(self.config.address, &self.config.socket_options())
            .map_err(|error| error.to_string())?;
        self.local = connection.local();
        self.session = session;
        self.link = Link::Up(connection);
        tracing::info!(
            neighbour = self.name,
            agreed = agreed(&negotiated),
            "the session goes on as the process before has left it"
        );
        self.stands();
        self.transfer();
        self.follow_levels();
        self.step(Input::Tick);
        Ok(())
    }

    fn tick(&mut self) {
        if self.patience.is_some_and(|until| until <= self.keeper.clock.now()) {
            self.patience = None;
            let text = match self.config.role {
                Role::Active { .. } => format!("no session since the start; {}", self.session.state()),
                Role::Passive { listen } => format!("has not connected to {listen} since the start"),
            };
            self.alarm(text);
        }
        if self.bfd_patience.is_some_and(|until| until <= self.keeper.clock.now()) {
            self.bfd_patience = None;
            self.bfd_alarm("not up since the start".to_owned());
        }
        self.step(Input::Tick);
    }

    /// BFD has news: RFC 5882 §4.
    fn bfd_changed(&mut self) {
        let Some((view, seen)) = &mut self.bfd else { return };
        let new = *view.borrow_and_update();
        let old = std::mem::replace(seen, new);
        let lost = new.counters.flaps > old.counters.flaps;
        if lost {
            let text = new.lost.map_or_else(String::new, |cause| cause.to_string());
            self.bfd_patience = None;
            self.keeper.metrics.bfd_flap(&self.name, self.config.remote_as);
            let event = Event::BfdDown { neighbour: self.name.clone(), cause: text.clone() };
            self.keeper.neighbour(self.index, Some(event), |_| {});
            self.bfd_alarm(text.clone());
            // One that went down and is up again already has lost its path all the same.
            if new.lost.is_some_and(BfdCause::is_failure) {
                self.step(Input::PathDown { why: &format!("BFD: {text}") });
            }
        }
        if new.state == BfdState::Up && (lost || old.state != BfdState::Up) {
            self.bfd_patience = None;
            let event = Event::BfdUp { neighbour: self.name.clone(), text: new.to_string() };
            self.keeper.neighbour(self.index, Some(event), |_| {});
            self.keeper.take(PolicyInput::Clear { alarm: self.bfd_alarm_id() });
            if self.waits_for_bfd() && self.session.state() == State::Idle {
                self.step(Input::Start);
            }
        }
    }

    /// The thread has ended before this driver: a fault of ours, and no reason to drop a route.
    fn bfd_gone(&mut self) {
        self.bfd = None;
        self.bfd_alarm("the BFD thread has ended; restart this process".to_owned());
    }

    fn bfd_alarm(&self, text: String) {
        self.keeper.take(PolicyInput::Raise { alarm: self.bfd_alarm_id(), text });
    }

    fn bfd_alarm_id(&self) -> AlarmId {
        AlarmId::BfdDown { neighbour: self.name.clone() }
    }

    /// Whether there may be no session without BFD.
    fn waits_for_bfd(&self) -> bool {
        self.config.bfd.is_some_and(|bfd| bfd.before_session == BeforeSession::Required)
    }

    /// Why there may be no session yet.
    fn held_back(&self) -> Option<String> {
        let (_, seen) = self.bfd.as_ref().filter(|(_, seen)| seen.state != BfdState::Up)?;
        self.waits_for_bfd().then(|| format!("the session waits for BFD, which is {seen}"))
    }

    /// Wants the routes that the levels in force ask for.
    fn follow_levels(&mut self) {
        let levels = Arc::clone(&self.levels.borrow_and_update());
        let wanted = routes::wanted(&self.config, &levels, self.local);
        self.impossible = wanted.impossible;
        self.want(wanted.sendable);
    }

    fn want(&mut self, routes: Vec<Route>) {
        let mut outputs = Vec::new();
        if let Err(error) = self.session.set_routes(self.keeper.clock.now(), routes, &mut outputs) {
            // Each route was checked before, so this is a fault of ours. The routes stay unsaid, which people see as
            // drift.
            tracing::error!(neighbour = self.name, %error, "BGP");
        }
        self.perform(outputs);
    }

    fn accept(&mut self, stream: TcpStream) {
        let why = match self.held_back() {
            _ if !self.session.accepts_connection() && !self.session.yields_connection() => {
                format!("the session is {}", self.session.state())
            }
            None => return self.take(stream),
            Some(why) => why,
        };
        if let Some(unsaid) = self.refusals.ask(self.keeper.clock.now()) {
            tracing::info!(
                neighbour = self.name,
                unsaid,
                "a connection of the neighbour was refused with Cease/Connection Rejected (6/5): {why}"
            );
        }
        if self.farewells.len() >= MOST_FAREWELLS {
            return;
        }
        let mut refused = Connection::new(stream);
        refused.send(&Session::rejection());
        let mut link = Link::Up(refused);
        self.farewells.extend(link.close());
    }

    /// Goes on with a connection of the neighbour, and without the one before: it has forgotten that, or it does not wait
    /// for our OPEN.
    fn take(&mut self, stream: TcpStream) {
        if self.session.yields_connection() {
            if self.farewells.len() >= MOST_FAREWELLS {
                return;
            }
            self.step(Input::Superseded);
        }
        self.connected(stream);
    }

    fn connected(&mut self, stream: TcpStream) {
        let connection = Connection::new(stream);
        self.local = connection.local();
        self.link = Link::Up(connection);
        // The next hop may be our own address on this very connection.
        self.follow_levels();
        self.step(Input::Connected);
    }

    /// Moves octets both ways.
    fn transfer(&mut self) {
        let Link::Up(connection) = &mut self.link else { return };
        let sent = connection.flush();
        self.sent(sent);
        let Link::Up(connection) = &mut self.link else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        match connection.read(&mut buffer) {
            Read::Octets(count) => self.step(Input::Received(buffer.get(..count).unwrap_or_default())),
            Read::Nothing => {}
            Read::Closed(why) => {
                self.link = Link::None;
                self.step(Input::Closed { why: &why });
            }
        }
        self.buffer = buffer;
    }

    fn stop(&mut self, text: &str) {
        self.want(Vec::new());
        self.step(Input::Stop(Shutdown::new(ShutdownKind::Shutdown, text)));
    }

    fn step(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.session.step(self.keeper.clock.now(), input, &mut outputs);
        self.perform(outputs);
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect => self.connect(),
                Output::Send(octets) => self.send(&octets),
                Output::Close => {
                    let farewell = self.link.close();
                    self.farewells.extend(farewell);
                }
                Output::Event(event) => self.happened(event),
            }
        }
    }

    fn connect(&mut self) {
        let Role::Active { port } = self.config.role else { return };
        if let Some(why) = self.held_back() {
            return self.step(Input::ConnectFailed { why: &why });
        }
        let address = SocketAddr::new(self.config.address, port);
        self.link = Link::connect(address, self.config.socket_options());
    }

    fn send(&mut self, octets: &[u8]) {
        let Link::Up(connection) = &mut self.link else { return };
        let waited = connection.is_waiting();
        let sent = connection.send(octets);
        if waited || sent != Sent::All {
            self.sent(sent);
        }
    }

    /// Has the send hold timer (RFC 9687) run exactly while something waits, and begin anew with each message taken.
    fn sent(&mut self, sent: Sent) {
        if sent != Sent::None {
            self.step(Input::SendProgress);
        }
        if sent != Sent::All {
            self.step(Input::SendBlocked);
        }
    }

    fn happened(&mut self, event: bgp::Event) {
        match event {
            bgp::Event::Established(negotiated) => self.up(&negotiated),
            bgp::Event::Down(cause) => self.down(cause),
            bgp::Event::Tolerated(fault) => {
                if let Some(unsaid) = self.oddities.ask(self.keeper.clock.now()) {
                    tracing::warn!(neighbour = self.name, %fault, unsaid, "BGP");
                }
            }
            bgp::Event::StateChanged { from, to } => {
                tracing::debug!(neighbour = self.name, %from, %to, "BGP");
            }
            bgp::Event::RefreshRequested(family) => {
                if let Some(unsaid) = self.oddities.ask(self.keeper.clock.now()) {
                    tracing::info!(
                        neighbour = self.name,
                        %family,
                        unsaid,
                        "the neighbour asked for our routes again"
                    );
                }
            }
            // Said in the log, with the same words, by the event that the session is down.
            bgp::Event::NotificationReceived(message) => self.notified(Direction::Received, message, None),
            bgp::Event::NotificationSent { notification, detail } => {
                self.notified(Direction::Sent, notification, Some(detail));
            }
            // Received routes are discarded, so there is nothing to report.
            bgp::Event::Route(_) | bgp::Event::EndOfRib(_) => {}
        }
    }

    /// Keeps the reason for whoever asks, also when the session is up again.
    fn notified(&self, direction: Direction, message: Notification, detail: Option<String>) {
        let notified = Notified::new(self.keeper.clock.now(), direction, message, detail);
        self.keeper.neighbour(self.index, None, |view| view.last_notification = Some(notified));
    }

    fn up(&mut self, negotiated: &Negotiated) {
        let text = agreed(negotiated);
        let event = Event::SessionUp { neighbour: self.name.clone(), text };
        self.keeper.neighbour(self.index, Some(event), |_| {});
        self.stands();
    }

    /// The session is up, and nobody waits for it any more.
    fn stands(&mut self) {
        self.standing = Standing::Up;
        self.patience = None;
        self.last = None;
        self.keeper.take(PolicyInput::Clear { alarm: self.alarm_id() });
    }

    fn down(&mut self, cause: Cause) {
        let lost = std::mem::replace(&mut self.standing, Standing::Down) == Standing::Up;
        if matches!(cause, Cause::Stopped(_)) {
            let event = lost.then(|| self.down_event(&cause));
            return self.keeper.neighbour(self.index, event, |view| view.last_down = Some(cause.to_string()));
        }
        // Attempts that fail for the same reason again and again are told once.
        let news = lost || self.last.as_ref() != Some(&cause);
        let event = news.then(|| self.down_event(&cause));
        let text = cause.to_string();
        if lost {
            self.keeper.metrics.flap(&self.name, self.config.remote_as);
        }
        self.keeper.neighbour(self.index, event, |view| {
            view.flaps += u64::from(lost);
            view.last_down = Some(text.clone());
        });
        self.patience = None;
        self.alarm(text);
        self.last = Some(cause);
    }

    fn down_event(&self, cause: &Cause) -> Event {
        Event::SessionDown { neighbour: self.name.clone(), cause: cause.to_string() }
    }

    fn alarm(&self, text: String) {
        self.keeper.take(PolicyInput::Raise { alarm: self.alarm_id(), text });
    }

    fn alarm_id(&self) -> AlarmId {
        AlarmId::NeighbourDown { neighbour: self.name.clone() }
    }

    /// Tells the keeper what the neighbour knows, and where that is not what it should know.
    fn report(&mut self) {
        let state = self.session.state();
        let told: Vec<&Route> = self.session.adj_rib_out().collect();
        let wanted: Vec<&Route> = self.session.wanted_routes().collect();
        let mut gaps = routes::gaps(&self.impossible, &wanted, &told, |wanted| self.why_not(wanted, state));
        let waits = matches!(&self.link, Link::Up(connection) if connection.is_waiting());
        if waits && state == State::Established {
            gaps.extend(routes::untaken(&told, &self.taken));
        } else if !self.taken.iter().eq(told.iter().copied()) {
            self.taken = told.iter().copied().cloned().collect();
        }
        let drift = self.reporter.gaps(gaps);
        let lines = told.into_iter().map(routes::line).collect();
        let agreed = self.session.negotiated().filter(|_| state == State::Established).map(agreed);
        self.keeper.neighbour(self.index, None, |view| {
            view.state = Some(state);
            view.since = self.session.since();
            view.agreed = agreed;
            view.told = lines;
            view.waits = waits;
            view.drift = drift;
            view.bfd = self.bfd.as_ref().map(|(_, seen)| *seen);
        });
    }

    /// Why a route is not told. That of a session which is not there is the alarm about the neighbour.
    fn why_not(&self, route: &Route, state: State) -> (String, Kind) {
        let family = route.prefix.family();
        match self.session.negotiated() {
            Some(negotiated) if !negotiated.families.contains(family) => {
                (format!("the neighbour does not take {family}"), Kind::Astray)
            }
            Some(negotiated)
                if route.needs_extended_next_hop()
                    && negotiated.extended_next_hop == ExtendedNextHop::NotOffered =>
            {
                let why = "the neighbour does not take IPv6 next hops for IPv4, RFC 8950";
                (why.to_owned(), Kind::Astray)
            }
            _ if state == State::Established => ("it is being told".to_owned(), Kind::Closing),
            _ => (format!("session {state}"), Kind::Explained),
        }
    }
}

/// What became of waiting for BFD.
enum BfdNews {
    Changed,
    Gone,
}

/// Waits for news of BFD; for ever where there is none.
async fn bfd_news(bfd: &mut Option<(watch::Receiver<BfdView>, BfdView)>) -> BfdNews {
    match bfd {
        Some((view, _)) => match view.changed().await {
            Ok(()) => BfdNews::Changed,
            Err(_) => BfdNews::Gone,
        },
        None => std::future::pending().await,
    }
}

fn agreed(negotiated: &Negotiated) -> String {
    let Negotiated { peer_as, peer_router_id, hold_time, families, .. } = negotiated;
    let mut text = format!("AS {peer_as}, router id {peer_router_id}, hold time {hold_time:?}, {families}");
    if negotiated.extended_next_hop == ExtendedNextHop::Offered {
        text += ", IPv6 next hops for IPv4";
    }
    if let Some(role) = negotiated.peer_role {
        text += &format!(", the neighbour is {role}");
    }
    text
}
