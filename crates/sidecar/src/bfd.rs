//! BFD with the neighbours that have it (RFC 5880, 5881): a thread of its own, which no runtime can hold up.
//!
//! The thread waits for packets, orders and deadlines with one system call, drives the machines of
//! [`pharos_routing::bfd`], and asks the kernel to run it before others. What it finds goes to each session's driver
//! as a [`View`]; the drivers decide what follows (RFC 5882): the thread knows no BGP.
//!
//! Packets that wait are taken before a timer is looked at: a process that was frozen and goes on must not hold its own
//! pause against the path.
//!
//! While another process takes the sessions over ([`crate::handover`]), this one reads nothing and decides nothing, and
//! goes on saying that it is up, until the other one says so itself.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use pharos_netio::bfd::{Receiver, Sender, wait_for_any};
use pharos_netio::urgency;
use pharos_routing::bfd::{
    self, Cause, Counters, Event, Input, Output, Packet, Session, SessionConfig, State,
};
use tokio::sync::watch;

use crate::beat::{Beat, Beats};
use crate::clock::Clock;
use crate::config::{BfdConfig, Config, NeighbourConfig, StartError};
use crate::handover::{self, BfdState, Part, Predecessor, Socket};

/// The longest wait: deadlines are named by the machines, and orders wake the thread. The watchdog wants to see it turn.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So many packets are taken from a socket before the timers get their turn.
const PACKETS_IN_A_ROW: usize = 64;
/// A control packet has 24 octets; what is longer has nothing for us behind them.
const BUFFER_OCTETS: usize = 128;

/// What a session's driver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) state: State,
    /// When the state began.
    pub(crate) since: Duration,
    /// Why it did; `None` at the start.
    pub(crate) cause: Option<Cause>,
    /// Why it was lost last, however short that was.
    pub(crate) lost: Option<Cause>,
    pub(crate) detection_time: Duration,
    pub(crate) send_interval: Duration,
    pub(crate) counters: Counters,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.state, self.cause) {
            (State::Up, _) => {
                write!(f, "Up, each {:?}, detection within {:?}", self.send_interval, self.detection_time)
            }
            (state, Some(cause)) => write!(f, "{state}: {cause}"),
            (state, None) => write!(f, "{state}: nothing is heard yet"),
        }
    }
}

/// The running thread, from outside.
#[derive(Debug)]
pub(crate) struct Bfd {
    orders: mpsc::Sender<Order>,
    wake: UnixStream,
    views: Vec<Option<watch::Receiver<View>>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Begin to speak.
    Begin,
    /// Leave the sessions to another process, and give signs of life only.
    LetGo(handover::Order),
    /// They go on here after all.
    TakeBack,
    /// Say AdminDown and end.
    Stop,
}

impl Bfd {
    /// Opens the sockets, or takes them over, and makes the thread, which waits; nothing where no neighbour has BFD, or
    /// nobody is to be told.
    pub(crate) fn open(
        config: &Config,
        clock: Clock,
        beats: &mut Beats,
        before: &mut Option<Predecessor>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Thread { name: THREAD.into(), source };
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        wake.set_nonblocking(true).map_err(failed)?;
        woken.set_nonblocking(true).map_err(failed)?;
        let (orders, received) = mpsc::channel();
        let (receivers, peers) = (Vec::new(), Vec::new());
        let mut worker = Worker { clock, orders: received, woken, receivers, peers };
        let mut views = Vec::new();
        for neighbour in &config.neighbours {
            views.push(match neighbour.bfd {
                Some(settings) => Some(worker.add(neighbour, settings, before)?),
                None => None,
            });
        }
        let thread = match worker.peers.is_empty() {
            true => None,
            false => {
                let beat = beats.add(THREAD);
                let thread = std::thread::Builder::new().name(THREAD.to_owned());
                Some(thread.spawn(move || worker.run(&beat)).map_err(failed)?)
            }
        };
        Ok(Self { orders, wake, views, thread })
    }

    /// What is seen of a neighbour, by its place in the configuration; `None` where it has no BFD.
    pub(crate) fn view(&self, index: usize) -> Option<watch::Receiver<View>> {
        self.views.get(index).cloned().flatten()
    }

    /// Lets the thread speak.
    pub(crate) fn begin(&mut self) {
        self.order(Order::Begin);
    }

    /// Has the thread leave its sessions to another process. Where there is none, that is all there is to say.
    pub(crate) fn let_go(&mut self, order: &handover::Order) {
        match self.thread {
            Some(_) => self.order(Order::LetGo(order.clone())),
            None => order.give(Part::default()),
        }
    }

    /// Has the thread go on with its sessions after all.
    pub(crate) fn take_back(&mut self) {
        self.order(Order::TakeBack);
    }

    fn order(&mut self, order: Order) {
        // A thread that has ended wants no orders.
        let _ = self.orders.send(order);
        let _ = self.wake.write(&[0]);
    }

    /// Tells the neighbours that this end goes down by intention, and ends the thread.
    pub(crate) fn stop(mut self) {
        self.order(Order::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the BFD thread had failed");
        }
    }
}

const THREAD: &str = "pharos-bfd";

/// What the thread owns.
struct Worker {
    clock: Clock,
    orders: mpsc::Receiver<Order>,
    woken: UnixStream,
    receivers: Vec<(SocketAddr, Receiver)>,
    peers: Vec<Peer>,
}

/// One neighbour's session.
struct Peer {
    name: String,
    address: IpAddr,
    session: Session,
    sender: Sender,
    view: watch::Sender<View>,
    cause: Option<Cause>,
    lost: Option<Cause>,
    /// Whether the last packet left, so that a failure is told once.
    sending: Sending,
}

/// Whether packets leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Works,
    Fails,
}

/// What becomes of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    StandBy,
    End,
}

impl Worker {
    /// Opens what a neighbour needs.
    fn add(
        &mut self,
        neighbour: &NeighbourConfig,
        settings: BfdConfig,
        before: &mut Option<Predecessor>,
    ) -> Result<watch::Receiver<View>, StartError> {
        let name = neighbour.name();
        let failed = |source| StartError::Bfd { name: name.clone(), source };
        let listen = listen_address(neighbour);
        if !self.receivers.iter().any(|(address, _)| *address == listen) {
            let inherited = before.as_mut().and_then(|it| it.take_socket(&Socket::BfdReceiver(listen)));
            self.receivers.push(match inherited {
                Some(socket) => (listen, Receiver::from(socket)),
                None => (listen, Receiver::bind(listen)?),
            });
        }
        let random = random();
        let mut discriminator = SessionConfig::new(discriminator(random));
        while self.peers.iter().any(|peer| peer.session.discriminator() == discriminator.discriminator) {
            discriminator = SessionConfig::new(self::discriminator(self::random()));
        }
        let session = SessionConfig {
            interval: settings.interval,
            multiplier: settings.multiplier,
            jitter_seed: random,
            ..discriminator
        };
        let now = self.clock.now();
        let to = SocketAddr::new(neighbour.address, bfd::PORT);
        let left = before.as_mut().and_then(|it| it.take_bfd(&name));
        let same = |(snapshot, socket): (bfd::Snapshot, OwnedFd)| {
            Some((snapshot, Sender::inherited(socket, neighbour.source, to)?))
        };
        let (session, sender) = match left.and_then(same) {
            Some((snapshot, sender)) => (Session::resume(session, &snapshot, now).map_err(failed)?, sender),
            None => {
                let first_port = bfd::SOURCE_PORTS.start() | (random >> 40) as u16;
                let sender = Sender::connect(neighbour.source, to, &bfd::SOURCE_PORTS, first_port)?;
                (Session::new(session, now).map_err(failed)?, sender)
            }
        };
        let view = watch::Sender::new(view_of(&session, None, None));
        let receiver = view.subscribe();
        self.peers.push(Peer {
            name,
            address: neighbour.address,
            session,
            sender,
            view,
            cause: None,
            lost: None,
            sending: Sending::Works,
        });
        Ok(receiver)
    }

    fn run(mut self, beat: &Beat) {
        let Ok(Order::Begin) = self.orders.recv() else { return };
        tracing::debug!(granted = %urgency::prefer_current_thread(urgency::Duty::Route), "the BFD thread runs");
        // However long it has waited: packets that wait are taken before timers are looked at.
        self.peers.iter_mut().for_each(|peer| peer.session.take_back(self.clock.now()));
        loop {
            beat.beat();
            let next = match self.obey() {
                Next::StandBy => self.stand_by(beat),
                next => next,
            };
            self.receive();
            let now = self.clock.now();
            for peer in &mut self.peers {
                peer.step(now, Input::Tick);
            }
            if next == Next::End {
                return;
            }
            self.wait();
        }
    }

    /// What another process needs.
    fn share(&self) -> std::io::Result<Part> {
        let now = self.clock.now();
        let mut part = Part::default();
        for (address, receiver) in &self.receivers {
            let socket = receiver.as_fd().try_clone_to_owned()?;
            part.sockets.push((Socket::BfdReceiver(*address), socket));
        }
        for peer in &self.peers {
            let socket = peer.sender.as_fd().try_clone_to_owned()?;
            part.sockets.push((Socket::BfdSender(peer.name.clone()), socket));
            part.bfd.push(BfdState { name: peer.name.clone(), snapshot: peer.session.snapshot(now) });
        }
        Ok(part)
    }

    /// Gives signs of life until there is another order: that the sessions go on here, or the end of the process.
    fn stand_by(&mut self, beat: &Beat) -> Next {
        loop {
            beat.beat();
            let intervals = self.peers.iter().map(|peer| peer.session.send_interval());
            // Three quarters, as with the most jitter (RFC 5880 §6.8.7).
            let pause = intervals.fold(LONGEST_WAIT, Duration::min) * 3 / 4;
            match self.orders.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    for peer in &mut self.peers {
                        if let Some(packet) = peer.session.sign_of_life() {
                            peer.send(&packet);
                        }
                    }
                }
                Ok(Order::TakeBack) => {
                    let now = self.clock.now();
                    self.peers.iter_mut().for_each(|peer| peer.session.take_back(now));
                    return Next::GoOn;
                }
                // The one before was taken back meanwhile.
                Ok(Order::LetGo(order)) => {
                    if let Ok(part) = self.share() {
                        order.give(part);
                    }
                }
                Ok(Order::Begin) => {}
                Ok(Order::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Next {
        let now = self.clock.now();
        for peer in &mut self.peers {
            peer.step(now, Input::Stop);
        }
        Next::End
    }

    /// Waits for a packet, an order, or the next deadline.
    fn wait(&self) {
        let now = self.clock.now();
        let deadlines = self.peers.iter().filter_map(|peer| peer.session.next_deadline());
        let until = deadlines.fold(now + LONGEST_WAIT, Duration::min);
        let mut descriptors = vec![self.woken.as_fd()];
        descriptors.extend(self.receivers.iter().map(|(_, receiver)| receiver.as_fd()));
        if let Err(error) = wait_for_any(&descriptors, until.saturating_sub(now)) {
            // It cannot fail with descriptors of ours; should it, this loop must not spin.
            tracing::error!(%error, "BFD cannot wait");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn obey(&mut self) -> Next {
        let mut signals = [0; 64];
        while self.woken.read(&mut signals).is_ok_and(|count| count > 0) {}
        match self.orders.try_recv() {
            Err(mpsc::TryRecvError::Empty) | Ok(Order::Begin | Order::TakeBack) => Next::GoOn,
            Ok(Order::LetGo(order)) => match self.share() {
                Ok(part) => {
                    order.give(part);
                    Next::StandBy
                }
                Err(error) => {
                    // Without this part there is no handover, and everything goes on.
                    tracing::warn!(%error, "BFD cannot be handed over");
                    Next::GoOn
                }
            },
            // The sidecar is gone, or goes.
            Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => self.end(),
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; BUFFER_OCTETS];
        let Self { clock, receivers, peers, .. } = self;
        for (address, receiver) in receivers {
            for _ in 0..PACKETS_IN_A_ROW {
                match receiver.receive(&mut buffer) {
                    Ok(Some((octets, from))) => {
                        let octets = buffer.get(..octets).unwrap_or_default();
                        heard(peers, clock.now(), octets, from);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%address, %error, "BFD");
                        break;
                    }
                }
            }
        }
    }
}

/// Gives a packet to its session: RFC 5880 §6.3. It counts only from the session's own neighbour, whatever
/// discriminator it names.
fn heard(peers: &mut [Peer], now: Duration, octets: &[u8], from: IpAddr) {
    let packet = match Packet::read(octets) {
        Ok(packet) => packet,
        Err(why) => return tracing::debug!(%from, %why, "BFD packet discarded"),
    };
    let named = |peer: &&mut Peer| match packet.your_discriminator {
        Some(yours) => peer.session.discriminator() == yours,
        None => true,
    };
    match peers.iter_mut().filter(|peer| peer.address == from).find(named) {
        Some(peer) => peer.step(now, Input::Received(&packet)),
        None => tracing::debug!(%from, "BFD packet of a stranger discarded"),
    }
}

impl Peer {
    fn step(&mut self, now: Duration, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.session.step(now, input, &mut outputs);
        for output in outputs {
            match output {
                Output::Send(packet) => self.send(&packet),
                Output::Event(Event::Changed { from, cause, .. }) => {
                    self.cause = Some(cause);
                    if from == State::Up {
                        self.lost = Some(cause);
                    }
                }
            }
        }
        let new = view_of(&self.session, self.cause, self.lost);
        self.view.send_if_modified(|view| {
            let told = |view: &View| {
                (view.state, view.cause, view.counters.flaps, view.detection_time, view.send_interval)
            };
            let news = told(view) != told(&new);
            *view = new;
            news
        });
    }

    fn send(&mut self, packet: &Packet) {
        match (self.sender.send(&packet.octets()), self.sending) {
            (Ok(()), _) => self.sending = Sending::Works,
            (Err(error), Sending::Works) => {
                self.sending = Sending::Fails;
                tracing::warn!(neighbour = self.name, %error, "BFD packets do not leave");
            }
            (Err(_), Sending::Fails) => {}
        }
    }
}

fn view_of(session: &Session, cause: Option<Cause>, lost: Option<Cause>) -> View {
    View {
        state: session.state(),
        since: session.since(),
        cause,
        lost,
        detection_time: session.detection_time(),
        send_interval: session.send_interval(),
        counters: session.counters(),
    }
}

/// Where packets of a neighbour are heard: at the session's own address, else at every one of its family.
fn listen_address(neighbour: &NeighbourConfig) -> SocketAddr {
    let any: IpAddr = match neighbour.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(neighbour.source.unwrap_or(any), bfd::PORT)
}

/// A number that strangers cannot guess: the standard library seeds its hash maps from the kernel.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn discriminator(random: u64) -> NonZeroU32 {
    NonZeroU32::new(random as u32).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminators_are_never_zero_and_differ() {
        assert_eq!(discriminator(1 << 32), NonZeroU32::MIN);
        assert_ne!((random(), random()), (random(), random()));
    }

    #[test]
    fn a_view_reads_as_a_person_would_say_it() {
        let session = Session::new(SessionConfig::new(NonZeroU32::MIN), Duration::ZERO).unwrap();
        let view = view_of(&session, None, None);
        assert_eq!(view.to_string(), "Down: nothing is heard yet");
        let view = View { cause: Some(Cause::Silence(Duration::from_millis(900))), ..view };
        assert_eq!(view.to_string(), "Down: nothing was heard for 900ms");
        let up = View { state: State::Up, send_interval: Duration::from_millis(300), ..view };
        assert!(up.to_string().starts_with("Up, each 300ms, detection within"), "{up}");
    }
}
