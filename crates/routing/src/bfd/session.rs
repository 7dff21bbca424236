//! The session: the state machine of RFC 5880 §6.2 and its timers.
//!
//! The transition table stands in the documentation of [`super`]. Callers: the driver that owns the socket.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet::{Demand, Diagnostic, Packet, Sequence, State};
use super::{ConfigError, SessionConfig};
use crate::jitter::Jitter;

/// While a session is not up, at most one packet in so long: RFC 5880 §6.8.3.
const SLOW: Duration = Duration::from_secs(1);

/// One BFD session with one neighbour.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    diagnostic: Diagnostic,
    neighbour: Neighbour,
    jitter: Jitter,
    counters: Counters,
    /// The latest time that was ever told; an earlier one is taken for this.
    now: Duration,
    /// When the current state began.
    since: Duration,
    /// When the neighbour counts as silent.
    detect_at: Option<Duration>,
    /// When the last packet of the periodic kind went out.
    sent_at: Option<Duration>,
    /// The interval drawn for the next.
    drawn: Duration,
    poll: Poll,
    /// Intervals of before this one that the neighbour may still go by.
    unconfirmed: Option<Span>,
}

/// What the neighbour said last; RFC 5880 §6.8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Neighbour {
    discriminator: Option<NonZeroU32>,
    state: State,
    demand: Demand,
    multiplier: u8,
    desired_min_tx: Duration,
    required_min_rx: Duration,
}

impl Neighbour {
    /// One of whom nothing is known: RFC 5880 §6.8.1 says to begin with an interval of a microsecond.
    const UNKNOWN: Self = Self {
        discriminator: None,
        state: State::Down,
        demand: Demand::Off,
        multiplier: 1,
        desired_min_tx: Duration::ZERO,
        required_min_rx: Duration::from_micros(1),
    };
}

/// Whether a change of ours waits for the neighbour's Final, RFC 5880 §6.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Poll {
    /// There is none, or it was confirmed.
    #[default]
    Idle,
    /// It waits.
    Running,
}

/// Intervals of ours that the neighbour has been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub greatest: Duration,
}

impl Span {
    fn of(interval: Duration) -> Self {
        Self { least: interval, greatest: interval }
    }

    fn with(self, interval: Duration) -> Self {
        Self { least: self.least.min(interval), greatest: self.greatest.max(interval) }
    }
}

/// What goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// A packet came for this session, with a TTL of 255.
    Received(&'a Packet),
    /// Time has passed.
    Tick,
    /// The session is taken down by us, for good: the process ends, or the neighbour leaves the configuration.
    Stop,
}

/// What the driver must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send this packet.
    Send(Packet),
    /// Tell whoever listens.
    Event(Event),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The session went from one state to another.
    Changed {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// Why.
        cause: Cause,
    },
}

/// Why a state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The neighbour is heard, and says so far.
    Heard(State),
    /// Nothing was heard for this long.
    Silence(Duration),
    /// The neighbour's session is down, for its own reason.
    NeighbourDown(Diagnostic),
    /// The neighbour's operator took it down; no failure of the path.
    NeighbourAdminDown,
    /// We took it down.
    Stopped,
}

impl Cause {
    /// Whether the path to the neighbour failed, as far as BFD can tell: RFC 5882 §3.2 excepts what people did.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Silence(_) | Self::NeighbourDown(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard(state) => write!(f, "the neighbour is heard, in state {state}"),
            Self::Silence(time) => write!(f, "nothing was heard for {time:?}"),
            Self::NeighbourDown(diagnostic) => write!(f, "the neighbour is down: {diagnostic}"),
            Self::NeighbourAdminDown => f.write_str("the neighbour's operator took it down"),
            Self::Stopped => f.write_str("we took it down"),
        }
    }
}

/// What a session has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets taken.
    pub received: u64,
    /// Packets that spoke of another session.
    pub strangers: u64,
    /// Packets sent.
    pub sent: u64,
    /// Times that the session left Up.
    pub flaps: u64,
}

/// A session's state for the process that takes it over; times are what is left of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Our name for the session.
    pub discriminator: NonZeroU32,
    /// The state.
    pub state: State,
    /// The last diagnostic.
    pub diagnostic: Diagnostic,
    /// The neighbour's name for it.
    pub neighbour_discriminator: Option<NonZeroU32>,
    /// The neighbour's state.
    pub neighbour_state: State,
    /// The neighbour's multiplier.
    pub neighbour_multiplier: u8,
    /// What the neighbour says that it sends.
    pub neighbour_min_tx: Duration,
    /// What the neighbour takes.
    pub neighbour_min_rx: Duration,
    /// For how long the state has lasted.
    pub age: Duration,
    /// Our own interval, of which the neighbour was told last.
    #[serde(default)]
    pub interval: Option<Duration>,
    /// Whether that waits for its Final.
    #[serde(default)]
    pub poll: Poll,
    /// Those of before, if it does.
    #[serde(default)]
    pub unconfirmed: Option<Span>,
}

impl Session {
    /// A session in Down, which sends with its first tick.
    pub fn new(config: SessionConfig, now: Duration) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            neighbour: Neighbour::UNKNOWN,
            jitter: Jitter::new(config.jitter_seed),
            counters: Counters::default(),
            now,
            since: now,
            detect_at: None,
            sent_at: None,
            drawn: Duration::ZERO,
            poll: Poll::Idle,
            unconfirmed: None,
        })
    }

    /// A session that another process has held until now. The neighbour gets its full detection time anew, since
    /// what it sent meanwhile may be lost. Another interval is agreed on with it first: RFC 5880 §6.8.3.
    pub fn resume(config: SessionConfig, snapshot: &Snapshot, now: Duration) -> Result<Self, ConfigError> {
        let config = SessionConfig { discriminator: snapshot.discriminator, ..config };
        let mut session = Self::new(config, now)?;
        session.state = snapshot.state;
        session.diagnostic = snapshot.diagnostic;
        session.neighbour = Neighbour {
            discriminator: snapshot.neighbour_discriminator,
            state: snapshot.neighbour_state,
            demand: Demand::Off,
            multiplier: snapshot.neighbour_multiplier,
            desired_min_tx: snapshot.neighbour_min_tx,
            required_min_rx: snapshot.neighbour_min_rx,
        };
        session.since = now.saturating_sub(snapshot.age);
        if snapshot.state == State::Up {
            let (said, wanted) =
                (snapshot.interval.unwrap_or(session.config.interval), session.config.interval);
            session.poll = if said == wanted { snapshot.poll } else { Poll::Running };
            session.unconfirmed = match snapshot.unconfirmed {
                Some(span) => Some(span.with(said)),
                None if said == wanted => None,
                None => Some(Span::of(said)),
            };
        }
        session.detect_at = session.neighbour.discriminator.map(|_| now + session.detection_time());
        Ok(session)
    }

    /// What the process that takes over must know.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        Snapshot {
            discriminator: self.config.discriminator,
            state: self.state,
            diagnostic: self.diagnostic,
            neighbour_discriminator: self.neighbour.discriminator,
            neighbour_state: self.neighbour.state,
            neighbour_multiplier: self.neighbour.multiplier,
            neighbour_min_tx: self.neighbour.desired_min_tx,
            neighbour_min_rx: self.neighbour.required_min_rx,
            age: now.saturating_sub(self.since),
            interval: Some(self.config.interval),
            poll: self.poll,
            unconfirmed: self.unconfirmed,
        }
    }

    /// What keeps the neighbour from missing us while another process takes this session over: the packet of each
    /// interval. Nothing unless the session is up.
    pub fn sign_of_life(&self) -> Option<Packet> {
        (self.state == State::Up).then(|| self.packet(Sequence::None))
    }

    /// The session goes on here after all: the neighbour gets its full detection time anew, since another process may
    /// have read what it sent.
    pub fn take_back(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if self.detect_at.is_some() {
            self.detect_at = Some(self.now + self.detection_time());
        }
    }

    /// Takes one input, appends what the driver must do to `out`, and lets the timers run that are due.
    pub fn step(&mut self, now: Duration, input: Input<'_>, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        match input {
            Input::Received(packet) => self.received(packet, out),
            Input::Tick => {}
            Input::Stop => {
                self.diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
                self.confirmed();
                self.enter(State::AdminDown, Cause::Stopped, out);
            }
        }
        self.run_timers(out);
    }

    /// When [`Session::step`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.detect_at, self.send_at()].into_iter().flatten().min()
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the current state began.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Why the session went down last.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Our name for the session.
    pub fn discriminator(&self) -> NonZeroU32 {
        self.config.discriminator
    }

    /// How long the neighbour may be silent, RFC 5880 §6.8.4; while it may still go by a longer interval of ours, by that
    /// (§6.8.3).
    pub fn detection_time(&self) -> Duration {
        let Neighbour { multiplier, desired_min_tx, .. } = self.neighbour;
        let ours =
            self.unconfirmed.map_or(self.config.interval, |span| span.with(self.config.interval).greatest);
        // A neighbour may ask for hours; a session of ours then is only slow to go down.
        ours.max(desired_min_tx).saturating_mul(u32::from(multiplier))
    }

    /// The interval at which packets go out, before jitter: RFC 5880 §6.8.2. A longer one waits until the neighbour has
    /// confirmed it, which goes by the shorter one so long (§6.8.3).
    pub fn send_interval(&self) -> Duration {
        let ours =
            self.unconfirmed.map_or(self.desired_min_tx(), |span| span.least.min(self.desired_min_tx()));
        ours.max(self.neighbour.required_min_rx)
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn desired_min_tx(&self) -> Duration {
        match self.state {
            State::Up => self.config.interval,
            State::AdminDown | State::Down | State::Init => self.config.interval.max(SLOW),
        }
    }

    /// RFC 5880 §6.8.6, from where the session is known.
    fn received(&mut self, packet: &Packet, out: &mut Vec<Output>) {
        if packet.your_discriminator.is_some_and(|yours| yours != self.config.discriminator) {
            self.counters.strangers += 1;
            return;
        }
        self.counters.received += 1;
        self.neighbour = Neighbour {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            demand: packet.demand,
            multiplier: packet.multiplier,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
        };
        if self.state == State::AdminDown {
            return;
        }
        if packet.sequence == Sequence::Final {
            self.confirmed();
        }
        self.detect_at = Some(self.now + self.detection_time());
        match (self.state, packet.state) {
            (State::Down, State::AdminDown) => {}
            (_, State::AdminDown) => self.fall(Diagnostic::NEIGHBOUR_DOWN, Cause::NeighbourAdminDown, out),
            (State::Down, State::Down) => self.enter(State::Init, Cause::Heard(State::Down), out),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                // What we said of our interval so far was the slow one.
                self.poll = Poll::Running;
                self.enter(State::Up, Cause::Heard(packet.state), out);
            }
            (State::Up, State::Down) => {
                self.fall(Diagnostic::NEIGHBOUR_DOWN, Cause::NeighbourDown(packet.diagnostic), out);
            }
            (State::Down, State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up)
            | (State::AdminDown, _) => {}
        }
        if packet.sequence == Sequence::Poll {
            self.send(Sequence::Final, out);
        }
    }

    fn run_timers(&mut self, out: &mut Vec<Output>) {
        if self.detect_at.is_some_and(|at| at <= self.now) {
            let silence = self.detection_time();
            self.detect_at = None;
            // RFC 5880 §6.8.1: its name is forgotten, so that one that has begun anew is heard.
            self.neighbour = Neighbour::UNKNOWN;
            if matches!(self.state, State::Init | State::Up) {
                self.fall(Diagnostic::DETECTION_TIME_EXPIRED, Cause::Silence(silence), out);
            }
        }
        if self.send_at().is_some_and(|at| at <= self.now) {
            self.send_periodic(out);
        }
    }

    fn fall(&mut self, diagnostic: Diagnostic, cause: Cause, out: &mut Vec<Output>) {
        self.diagnostic = diagnostic;
        self.confirmed();
        self.enter(State::Down, cause, out);
    }

    /// Nothing that was said waits for the neighbour any more.
    fn confirmed(&mut self) {
        self.poll = Poll::Idle;
        self.unconfirmed = None;
    }

    fn enter(&mut self, to: State, cause: Cause, out: &mut Vec<Output>) {
        let from = self.state;
        if from == to {
            return;
        }
        if from == State::Up {
            self.counters.flaps += 1;
        }
        self.state = to;
        self.since = self.now;
        out.push(Output::Event(Event::Changed { from, to, cause }));
        // RFC 5880 §6.8.7: what has changed may be said between two periods.
        self.send_periodic(out);
    }

    /// When the next packet is due; never while the neighbour wants none (RFC 5880 §6.8.7).
    fn send_at(&self) -> Option<Duration> {
        let Neighbour { demand, state, required_min_rx, .. } = self.neighbour;
        let idle = self.poll == Poll::Idle;
        let obliged = demand == Demand::On && state == State::Up && self.state == State::Up && idle;
        if required_min_rx.is_zero() || obliged || self.state == State::AdminDown {
            return None;
        }
        // A neighbour that begins to take more often does not wait for what was drawn before.
        Some(self.sent_at.map_or(self.now, |at| at + self.drawn.min(self.send_interval())))
    }

    fn send_periodic(&mut self, out: &mut Vec<Output>) {
        let sequence = match self.poll {
            Poll::Running => Sequence::Poll,
            Poll::Idle => Sequence::None,
        };
        self.send(sequence, out);
        self.sent_at = Some(self.now);
        // RFC 5880 §6.8.7, for a multiplier above 1.
        self.drawn = self.jitter.between(self.send_interval(), 750, 1000);
    }

    fn send(&mut self, sequence: Sequence, out: &mut Vec<Output>) {
        self.counters.sent += 1;
        out.push(Output::Send(self.packet(sequence)));
    }

    fn packet(&self, sequence: Sequence) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            sequence,
            demand: Demand::Off,
            multiplier: self.config.multiplier,
            my_discriminator: self.config.discriminator,
            your_discriminator: self.neighbour.discriminator,
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.config.interval,
            required_min_echo_rx: Duration::ZERO,
        }
    }
}
