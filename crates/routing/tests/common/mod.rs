//! Two sessions on one simulated connection. Time moves by addition; octets move at once, or not at all.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use pharos_routing::bgp::{
    Cause, Event, Input, Notification, Output, Received, Role, RouteChange, Session, SessionConfig, Shutdown,
    ShutdownKind, State,
};
use pharos_routing::{Prefix, Route};

/// So many inputs in one run mean that two machines excite each other without end.
const MOST_INPUTS: usize = 100_000;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Delivers everything at once, cut into chunks of so many octets.
    Up { chunk: usize },
    /// Refuses connections.
    Refusing,
    /// Swallows everything: nobody hears anybody, and no connection ends.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Node,
    Router,
}

/// One session and what became of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) events: Vec<Event>,
    /// Whole messages sent, each with its time.
    pub(crate) sent: Vec<(Duration, Vec<u8>)>,
    /// When an attempt to connect was made.
    pub(crate) attempts: Vec<Duration>,
    outputs: VecDeque<Output>,
}

impl End {
    fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config, Duration::ZERO).unwrap(),
            events: Vec::new(),
            sent: Vec::new(),
            attempts: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn step(&mut self, now: Duration, input: Input<'_>) {
        let mut out = Vec::new();
        self.session.step(now, input, &mut out);
        self.outputs.extend(out);
    }

    /// The types of the messages sent, in order.
    pub(crate) fn sent_types(&self) -> Vec<u8> {
        self.sent.iter().map(|(_, message)| message[18]).collect()
    }

    pub(crate) fn sent_count(&self, kind: u8) -> usize {
        self.sent_types().iter().filter(|&&k| k == kind).count()
    }

    pub(crate) fn states(&self) -> Vec<State> {
        self.events
            .iter()
            .filter_map(|e| match e {
                Event::StateChanged { to, .. } => Some(*to),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn causes(&self) -> Vec<&Cause> {
        self.events
            .iter()
            .filter_map(|e| match e {
                Event::Down(cause) => Some(cause),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn notification_sent(&self) -> Option<(&Notification, &str)> {
        self.events.iter().find_map(|e| match e {
            Event::NotificationSent { notification, detail } => Some((notification, detail.as_str())),
            _ => None,
        })
    }

    pub(crate) fn notification_received(&self) -> Option<&Notification> {
        self.events.iter().find_map(|e| match e {
            Event::NotificationReceived(notification) => Some(notification),
            _ => None,
        })
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|e| match e {
                Event::Route(change) => Some(change.to_string()),
                _ => None,
            })
            .collect()
    }

    /// The prefixes that the other side announces now, by its own account.
    pub(crate) fn heard(&self) -> Vec<Prefix> {
        let mut heard = Vec::new();
        for event in &self.events {
            match event {
                Event::Route(RouteChange::Announced(route)) => {
                    heard.retain(|p| *p != route.prefix);
                    heard.push(route.prefix);
                }
                Event::Route(RouteChange::Withdrawn(prefix)) => heard.retain(|p| p != prefix),
                Event::Down(_) => heard.clear(),
                _ => {}
            }
        }
        heard.sort_unstable();
        heard
    }
}

/// A node (active, announces) and its router (passive, reports what it hears).
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) now: Duration,
    pub(crate) wire: Wire,
    pub(crate) node: End,
    pub(crate) router: End,
    connected: bool,
}

pub(crate) fn node_config() -> SessionConfig {
    SessionConfig::new(64512, 64500, Ipv4Addr::new(10, 0, 0, 2))
}

pub(crate) fn router_config() -> SessionConfig {
    let mut config = SessionConfig::new(64500, 64512, Ipv4Addr::new(10, 0, 0, 1));
    config.role = Role::Passive;
    config.received = Received::Report;
    config.hold_time = Duration::from_secs(90);
    config
}

impl Pair {
    pub(crate) fn new(node: SessionConfig, router: SessionConfig) -> Self {
        Self {
            now: Duration::ZERO,
            wire: Wire::Up { chunk: usize::MAX },
            node: End::new(node),
            router: End::new(router),
            connected: false,
        }
    }

    /// Both started and settled, with the settings usual here.
    pub(crate) fn established() -> Self {
        let mut pair = Self::new(node_config(), router_config());
        pair.start();
        assert_eq!(pair.states(), (State::Established, State::Established));
        pair
    }

    pub(crate) fn start(&mut self) {
        self.router.step(self.now, Input::Start);
        self.node.step(self.now, Input::Start);
        self.settle();
    }

    pub(crate) fn states(&self) -> (State, State) {
        (self.node.session.state(), self.router.session.state())
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..MOST_INPUTS {
            self.settle();
            let due = [&self.node, &self.router].iter().filter_map(|e| e.session.next_deadline()).min();
            match due {
                Some(due) if due <= end => {
                    self.now = self.now.max(due);
                    self.node.step(self.now, Input::Tick);
                    self.router.step(self.now, Input::Tick);
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the machines do not come to rest");
    }

    /// Carries out all outputs, without letting time pass.
    pub(crate) fn settle(&mut self) {
        for _ in 0..MOST_INPUTS {
            if let Some(output) = self.node.outputs.pop_front() {
                self.carry_out(Side::Node, output);
            } else if let Some(output) = self.router.outputs.pop_front() {
                self.carry_out(Side::Router, output);
            } else {
                return;
            }
        }
        panic!("the machines do not come to rest");
    }

    /// The connection breaks under both.
    pub(crate) fn cut(&mut self) {
        self.connected = false;
        self.node.step(self.now, Input::Closed { why: "connection reset" });
        self.router.step(self.now, Input::Closed { why: "connection reset" });
        self.settle();
    }

    pub(crate) fn set_routes(&mut self, routes: impl IntoIterator<Item = Route>) {
        let mut out = Vec::new();
        self.node.session.set_routes(self.now, routes, &mut out).unwrap();
        self.node.outputs.extend(out);
        self.settle();
    }

    pub(crate) fn announce(&mut self, route: Route) {
        let mut out = Vec::new();
        self.node.session.announce(self.now, route, &mut out).unwrap();
        self.node.outputs.extend(out);
        self.settle();
    }

    pub(crate) fn withdraw(&mut self, prefix: &str) {
        let mut out = Vec::new();
        self.node.session.withdraw(self.now, prefix.parse().unwrap(), &mut out);
        self.node.outputs.extend(out);
        self.settle();
    }

    /// Octets reach one side as if the other had sent them.
    pub(crate) fn inject(&mut self, to: Side, octets: &[u8]) {
        let now = self.now;
        self.end(to).step(now, Input::Received(octets));
        self.settle();
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Node => &mut self.node,
            Side::Router => &mut self.router,
        }
    }

    fn carry_out(&mut self, side: Side, output: Output) {
        let now = self.now;
        let other = match side {
            Side::Node => Side::Router,
            Side::Router => Side::Node,
        };
        match output {
            Output::Event(event) => self.end(side).events.push(event),
            Output::Connect => {
                self.end(side).attempts.push(now);
                let listening = self.end(other).session.accepts_connection();
                match self.wire {
                    Wire::Up { .. } if listening => {
                        self.connected = true;
                        self.end(side).step(now, Input::Connected);
                        self.end(other).step(now, Input::Connected);
                    }
                    Wire::Silent => {}
                    _ => self.end(side).step(now, Input::ConnectFailed { why: "connection refused" }),
                }
            }
            Output::Send(message) => {
                if let Wire::Up { chunk } = self.wire
                    && self.connected
                {
                    for octets in message.chunks(chunk) {
                        self.end(other).step(now, Input::Received(octets));
                    }
                }
                self.end(side).sent.push((now, message));
            }
            Output::Close => {
                if self.connected && matches!(self.wire, Wire::Up { .. }) {
                    self.end(other).step(now, Input::Closed { why: "end of stream" });
                }
                self.connected = false;
            }
        }
    }
}

pub(crate) fn route(prefix: &str) -> Route {
    let next_hop = if prefix.contains(':') { "fd00::2" } else { "10.0.0.2" };
    Route::new(prefix.parse().unwrap(), next_hop.parse().unwrap())
}

pub(crate) fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

pub(crate) fn stop(text: &str) -> Input<'static> {
    Input::Stop(Shutdown::new(ShutdownKind::Shutdown, text))
}

/// A message of this type with this body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// An OPEN with these fixed fields and these capabilities.
pub(crate) fn open(
    version: u8,
    my_as: u16,
    hold_time: u16,
    router_id: [u8; 4],
    capabilities: &[u8],
) -> Vec<u8> {
    let mut body = vec![version];
    body.extend(my_as.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(router_id);
    if capabilities.is_empty() {
        body.push(0);
    } else {
        let len = u8::try_from(capabilities.len()).unwrap();
        body.extend([len + 2, 2, len]);
        body.extend(capabilities);
    }
    message(1, &body)
}
