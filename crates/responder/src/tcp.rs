//! TCP (RFC 7766, RFC 9210): threads that each have listeners and connections of their own.
//!
//! There is one thread for each UDP worker, and the kernel spreads connections over them as it does datagrams over the
//! workers. A thread waits with epoll; a query then costs one read and one write, and queries that arrive together
//! share both. Replies are linked in one buffer that all its connections share, since a turn ends with them written;
//! so an open connection costs its entry in a table, about 120 octets beside the kernel's, and whoever makes us
//! remember more is bounded (modules `session` and `gate`).
//!
//! Threads are not pinned, unlike workers: a flood of datagrams may take the whole of one core, and must not take the
//! connections that arrive there with it. They run before ordinary threads and after workers, while no worker is that busy
//! (`rhythm.rs` of pharos-netio). By intention there is no async runtime here: its timer for each wait, its
//! wakers and a task for each connection cost more than all that DNS needs.
//!
//! Bounds: connections in all, from one address and from one network; a deadline for each query to become whole and for
//! replies to be taken; an idle time that shrinks as the server fills. A new connection over a bound takes the place of one
//! that idles, if there is one (module `displace`), else it is closed.

mod displace;
mod gate;
mod groups;
mod holder;
mod list;
mod session;
mod table;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pharos_answer::{Context, Job, Pressure, Silent, Verdict, look_up};
use pharos_netio::descriptors::is_shortage;
use pharos_netio::poll::{Event, Events, Interest, Poll};
use pharos_netio::tcp::accept;
use pharos_netio::urgency::Urgency;
use pharos_netio::{Connections, Shares};
use pharos_zonedb::Reader;

use crate::config::{Precedence, StartError};
use crate::counters::Counters;
use crate::hush::Hush;
use crate::origin::{Origin, Origins};
use crate::room;
use crate::worker::{TURN, since_epoch};
use crate::zones::Served;

use displace::Entry;
pub(crate) use gate::Gate;
use session::{Outbox, Phase, Session, split_message};
use table::{Queue, Table};

/// Read at once; a query has some 50 octets, so this takes hundreds of pipelined ones, and yet another connection waits
/// for less than a millisecond.
const READ_OCTETS: usize = 16 * 1024;
/// Queries of one connection that are looked up together, so that their waits for memory overlap.
const TOGETHER: usize = 16;
/// Connections that something happened to and that are looked at before epoll is asked again.
const EVENTS: usize = 256;
/// Connections that are accepted at once at most, before others are answered.
const ACCEPTED_AT_ONCE: usize = 64;
/// Connections over their time that are closed in one turn: closing takes a few microseconds each.
const CLOSED_AT_ONCE: usize = 256;
/// Only who makes us remember more than this has to go when all together do: a query that came in two segments is none
/// of those.
const INNOCENT_OCTETS: usize = 2048;
/// Connections are given this long to finish when the responder stops.
const DRAIN: Duration = Duration::from_millis(500);
/// Events with this token and the ones above are those of listeners; below are places in the table.
const LISTENERS: u64 = 1 << 32;

/// What a TCP thread is made of.
pub(crate) struct Tcp {
    /// The thread's name.
    pub(crate) name: String,
    pub(crate) precedence: Precedence,
    /// What the UDP workers take.
    pub(crate) shares: Arc<Shares>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) zones: Reader<Served>,
    pub(crate) context: Context,
    pub(crate) counters: Arc<Counters>,
    pub(crate) origins: Origins,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) started: Instant,
}

impl Tcp {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> Result<JoinHandle<()>, StartError> {
        let failed = |source| StartError::System { what: "a TCP thread cannot be started", source };
        let name = self.name.clone();
        let mut desk = self.desk().map_err(failed)?;
        std::thread::Builder::new().name(name).spawn(move || desk.run()).map_err(failed)
    }

    fn desk(self) -> io::Result<Desk> {
        let poll = Poll::new()?;
        for (listener, token) in self.listeners.iter().zip(LISTENERS..) {
            poll.add(listener.as_fd(), token, Interest::Read)?;
        }
        let listeners = self.listeners.into_iter();
        Ok(Desk {
            name: self.name,
            precedence: match self.precedence {
                Precedence::First => Connections::first(),
                Precedence::Ordinary => Connections::ordinary(),
            },
            shares: self.shares,
            poll,
            listeners: listeners.map(Listener::new).collect(),
            hushed_until: None,
            table: Table::default(),
            gate: self.gate,
            clerk: Clerk {
                zones: self.zones,
                context: self.context,
                jobs: vec![Job::default(); TOGETHER].into(),
                origins: self.origins,
                counters: self.counters,
            },
            input: vec![0; READ_OCTETS].into(),
            outbox: Outbox::new(),
            complaints: Hush::default(),
            stop: self.stop,
            started: self.started,
            now: Duration::ZERO,
            turned: None,
        })
    }
}

/// A listener, and how many connections are taken from it before others are looked at.
///
/// Asking for one that is not there costs nearly as much as a connection, so one is taken at a time while the listener
/// is ready now and then; twice as many as before each time that it is ready again at the next look; and one again, for
/// the next [`CAUTION`] times, after one was asked for too many.
struct Listener {
    socket: TcpListener,
    burst: usize,
    caution: u32,
}

/// One needless call in so many cannot be seen; a queue that fills meanwhile is seen [`CAUTION`] looks later.
const CAUTION: u32 = 32;

impl Listener {
    fn new(socket: TcpListener) -> Self {
        Self { socket, burst: 1, caution: 0 }
    }

    /// Learns from how many could be taken of as many as were asked for.
    fn learn(&mut self, taken: usize) {
        if taken < self.burst {
            (self.burst, self.caution) = (1, CAUTION);
        } else if self.caution > 0 {
            self.caution -= 1;
        } else {
            self.burst = (2 * self.burst).min(ACCEPTED_AT_ONCE);
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    origin: Origin,
    /// The number of the listener that was asked.
    listener: usize,
    session: Session,
}

/// Whether a connection stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Ends,
}

/// Whether the client may send more than what is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    MayCome,
    WillNotCome,
}

/// What a connection in this phase waits for.
fn interest(phase: Phase) -> Interest {
    match phase {
        Phase::Idle | Phase::Incomplete => Interest::Read,
        Phase::Blocked => Interest::Write,
    }
}

/// A TCP thread at work.
struct Desk {
    name: String,
    precedence: Connections,
    shares: Arc<Shares>,
    poll: Poll,
    listeners: Vec<Listener>,
    /// Set while no connection is accepted, for want of descriptors.
    hushed_until: Option<Duration>,
    table: Table<Connection>,
    gate: Arc<Gate>,
    clerk: Clerk,
    input: Box<[u8]>,
    outbox: Outbox,
    complaints: Hush,
    stop: Arc<AtomicBool>,
    started: Instant,
    /// Time since `started`, read once a turn.
    now: Duration,
    /// When the context was told the time last.
    turned: Option<Duration>,
}

impl Desk {
    fn run(&mut self) {
        let mut events = Events::new(EVENTS);
        while !self.stop.load(Ordering::Relaxed) {
            self.turn(&mut events, TURN);
        }
        self.finish(&mut events);
    }

    /// Waits for something to happen, no longer than `wait`, and deals with it; says whether anything did.
    fn turn(&mut self, events: &mut Events, wait: Duration) -> bool {
        if let Some(granted) = self.precedence.turn(&self.shares)
            && granted != Urgency::RealTime
        {
            tracing::info!(thread = self.name, %granted, "connections are not answered before ordinary threads run");
        }
        self.tick();
        let next = self.next_deadline();
        let wait = next.map_or(wait, |next| next.saturating_sub(self.now).min(wait));
        if let Err(error) = self.poll.wait(events, wait) {
            self.complain("events of TCP connections cannot be waited for", &error);
            std::thread::sleep(TURN);
        }
        self.tick();
        // A connection is closed while its own event is looked at, or after all: no event finds another in its place.
        // New ones are let in last, when those have left that were done: where more come than can be answered, they wait
        // outside rather than to be turned away.
        for index in 0..events.len() {
            let Some(event) = events.get(index) else { break };
            if event.token() < LISTENERS {
                self.serve(event.token() as u32, event);
            }
        }
        for index in 0..events.len() {
            let Some(event) = events.get(index) else { break };
            if let Some(listener) = event.token().checked_sub(LISTENERS) {
                self.accept(listener as usize);
            }
        }
        self.close_late();
        !events.is_empty()
    }

    /// Looks at the clock, and says that the thread lives.
    fn tick(&mut self) {
        self.now = self.started.elapsed();
        self.clerk.counters.beat(self.now);
        if self.turned.is_none_or(|turned| self.now - turned >= TURN) {
            self.turned = Some(self.now);
            // Pressure is of no interest here: a connection is worth a cookie.
            self.clerk.context.turn(since_epoch(), Pressure::Calm);
            // An idle thread, too, lets go of a set that has been replaced.
            let _ = self.clerk.zones.get();
            if self.hushed_until.is_some_and(|until| until <= self.now) {
                self.hushed_until = None;
                self.await_connections(Interest::Read);
            }
        }
        self.clerk.context.set_keepalive(self.gate.idle());
    }

    /// Answers what has arrived, then lets those finish who have begun.
    fn finish(&mut self, events: &mut Events) {
        let end = self.now + DRAIN;
        while self.turn(events, Duration::ZERO) && self.now < end {}
        self.listeners.clear();
        while self.table.first(Queue::Busy).is_some() && self.now < end {
            self.turn(events, Duration::from_millis(10));
        }
        for queue in [Queue::Idle, Queue::Busy] {
            while let Some(place) = self.table.first(queue) {
                self.close(place);
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let Some(burst) = self.listeners.get(index).map(|listener| listener.burst) else { return };
        let mut accepted = 0;
        while accepted < burst {
            let Some(listener) = self.listeners.get(index) else { return };
            match accept(&listener.socket) {
                Ok(Some((stream, peer))) => self.admit(stream, peer, index),
                Ok(None) => break,
                Err(error) => {
                    // Never a reason to exit: those who hold descriptors will let go.
                    self.clerk.counters.receive_errors.add(1);
                    self.complain("a TCP connection cannot be accepted", &error);
                    self.hushed_until = Some(self.now + TURN);
                    self.await_connections(Interest::Nothing);
                    return;
                }
            }
            accepted += 1;
        }
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.learn(accepted);
        }
    }

    fn await_connections(&self, interest: Interest) {
        for (listener, token) in self.listeners.iter().zip(LISTENERS..) {
            let _ = self.poll.change(listener.socket.as_fd(), token, interest);
        }
    }

    /// Takes a connection in, unless it is over a bound: dropping the stream closes it. Its first query has mostly
    /// arrived with it, and is answered before anything is awaited.
    fn admit(&mut self, stream: TcpStream, peer: IpAddr, listener: usize) {
        if let Err(full) = self.gate.enter(peer)
            && self.displace(full, peer) == Entry::Refused
        {
            self.clerk.counters.turned_away.add(1);
            return;
        }
        self.clerk.counters.accepted.add(1);
        let origin = self.clerk.origins.of(peer);
        let connection = Connection { stream, peer, origin, listener, session: Session::new(self.now) };
        let place = self.table.insert(connection, peer, Queue::Idle);
        let fate = self.step(place, More::MayCome);
        let awaited = self.table.get_mut(place).filter(|_| fate == Fate::Stays).is_some_and(|connection| {
            let interest = interest(connection.session.phase());
            self.poll.add(connection.stream.as_fd(), place.into(), interest).is_ok()
        });
        if !awaited {
            self.close(place);
        }
    }

    /// Deals with what happened to a connection.
    fn serve(&mut self, place: u32, event: Event) {
        if event.is_gone() {
            self.close(place);
        } else {
            self.go_on(place, if event.is_last() { More::WillNotCome } else { More::MayCome });
        }
    }

    /// Reads or writes once; closes the connection, or waits for what it needs next.
    fn go_on(&mut self, place: u32, more: More) {
        let Some(connection) = self.table.get_mut(place) else { return };
        let awaited = interest(connection.session.phase());
        if self.step(place, more) == Fate::Ends {
            self.close(place);
            return;
        }
        let Some(Connection { stream, session, .. }) = self.table.get_mut(place) else { return };
        let interest = interest(session.phase());
        if interest != awaited && self.poll.change(stream.as_fd(), place.into(), interest).is_err() {
            self.close(place);
        }
    }

    /// Reads or writes once, and judges what that leaves.
    #[inline]
    fn step(&mut self, place: u32, more: More) -> Fate {
        let Some(connection) = self.table.get_mut(place) else { return Fate::Ends };
        let held = connection.session.held();
        let fate = connection.turn(self.now, more, &mut self.input, &mut self.outbox, &mut self.clerk);
        let session = &connection.session;
        if held != session.held() {
            self.gate.hold(held, session.held());
            if session.held() > INNOCENT_OCTETS && self.gate.is_overfull() {
                self.clerk.counters.overfull.add(1);
                return Fate::Ends;
            }
        }
        if session.since() == self.now {
            let queue = session.queue();
            self.table.requeue(place, queue);
        }
        fate
    }

    fn close(&mut self, place: u32) {
        if let Some(connection) = self.take_out(place) {
            self.gate.leave(connection.peer);
        }
    }

    /// Takes a connection out whose place is left or given away; it is open for as long as its stream lives.
    fn take_out(&mut self, place: u32) -> Option<Connection> {
        let connection = self.table.remove(place)?;
        self.gate.hold(connection.session.held(), 0);
        Some(connection)
    }

    /// When the first connection of a queue is late.
    fn deadline(&mut self, queue: Queue) -> Option<(u32, Duration)> {
        let place = self.table.first(queue)?;
        let since = self.table.get_mut(place)?.session.since();
        let bound = match queue {
            Queue::Idle => self.gate.idle(),
            Queue::Busy => self.gate.limits().deadline,
        };
        Some((place, since.saturating_add(bound)))
    }

    fn next_deadline(&mut self) -> Option<Duration> {
        let both = [Queue::Idle, Queue::Busy].map(|queue| self.deadline(queue));
        both.into_iter().flatten().map(|(_, deadline)| deadline).min()
    }

    /// Closes connections over their time.
    fn close_late(&mut self) {
        for queue in [Queue::Idle, Queue::Busy] {
            for _ in 0..CLOSED_AT_ONCE {
                match self.deadline(queue) {
                    Some((place, deadline)) if deadline <= self.now => {
                        self.clerk.counters.timed_out.add(1);
                        self.close(place);
                    }
                    _ => break,
                }
            }
        }
    }

    /// Says what failed, if that has not been said a moment ago.
    fn complain(&mut self, what: &str, error: &io::Error) {
        if let Some(hidden) = self.complaints.ask(self.now) {
            let remedy = if is_shortage(error) { room::REMEDY } else { "" };
            tracing::warn!(%error, hidden, remedy, "{what}");
        }
    }
}

impl Connection {
    /// Reads or writes once, and answers what has become whole.
    #[inline]
    fn turn(
        &mut self,
        now: Duration,
        more: More,
        input: &mut [u8],
        outbox: &mut Outbox,
        clerk: &mut Clerk,
    ) -> Fate {
        let Self { stream, peer, origin, listener, session } = self;
        let answer =
            |stream: &[u8], outbox: &mut Outbox| clerk.answer((*peer, *origin, *listener), stream, outbox);
        let stream = &*stream;
        let write = |octets: &[u8]| nothing_if_it_would_block((&mut &*stream).write(octets));
        if session.phase() == Phase::Blocked {
            let done = session.writable(now, outbox, answer, write);
            return if done.is_ok() { Fate::Stays } else { Fate::Ends };
        }
        let octets = match (&mut &*stream).read(input) {
            Ok(0) => return Fate::Ends,
            Ok(octets) => octets,
            Err(error) => return if is_passing(&error) { Fate::Stays } else { Fate::Ends },
        };
        let arrived = input.get(..octets).unwrap_or_default();
        if session.arrived(now, arrived, outbox, answer, write).is_err() {
            return Fate::Ends;
        }
        // The client has said all, and all of that has been read: what it began will not become whole.
        let is_all = more == More::WillNotCome && octets < input.len();
        if is_all && session.phase() != Phase::Blocked { Fate::Ends } else { Fate::Stays }
    }
}

/// Nothing is wrong with the connection.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn nothing_if_it_would_block(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_passing(&error) => Ok(0),
        other => other,
    }
}

/// Who answers for all connections of a thread.
struct Clerk {
    zones: Reader<Served>,
    context: Context,
    jobs: Box<[Job]>,
    origins: Origins,
    counters: Arc<Counters>,
}

impl Clerk {
    /// Answers the whole queries at the begin of a stream until the outbox is full; says how many octets they have.
    /// Who asks is known by address and origin, and by the listener that was asked.
    #[inline]
    fn answer(
        &mut self,
        (client, origin, listener): (IpAddr, Origin, usize),
        stream: &[u8],
        outbox: &mut Outbox,
    ) -> usize {
        let served = self.zones.get();
        let mut rest = stream;
        while !outbox.is_full() {
            let mut queries = [&[][..]; TOGETHER];
            let mut arrived = 0;
            let mut behind = rest;
            for place in &mut queries {
                let Some((query, after)) = split_message(behind) else { break };
                (*place, behind) = (query, after);
                arrived += 1;
            }
            let Some(jobs) = self.jobs.get_mut(..arrived) else { break };
            look_up(jobs, &served.zones, |index| queries.get(index).copied().unwrap_or_default());
            for (job, query) in jobs.iter_mut().zip(queries) {
                if outbox.is_full() {
                    break;
                }
                rest = rest.get(2 + query.len()..).unwrap_or_default();
                outbox.message(|reply| {
                    let verdict = job.write(&served.zones, &self.context, client, query, reply, &mut Silent);
                    self.counters.of(origin).verdict(listener, &served.slots, &verdict);
                    match verdict {
                        Verdict::Reply(replied) => replied.len,
                        Verdict::Drop(_) => 0,
                    }
                });
            }
            if arrived < TOGETHER {
                break;
            }
        }
        stream.len() - rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener at which so many connections wait at each look; says how many looks and calls they all took.
    fn take(mut waiting: usize, arriving: usize, looks: usize) -> (usize, usize) {
        let mut listener = Listener::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let (mut calls, mut most) = (0, 0);
        for _ in 0..looks {
            waiting += arriving;
            if waiting > 0 {
                let taken = waiting.min(listener.burst);
                calls += if taken < listener.burst { taken + 1 } else { taken };
                listener.learn(taken);
                waiting -= taken;
            }
            most = most.max(waiting);
        }
        (calls, most)
    }

    #[test]
    fn connections_that_come_one_by_one_are_hardly_ever_asked_for_in_vain() {
        let (calls, most) = take(0, 1, 1000);
        assert!(calls <= 1000 + 1000 / CAUTION as usize + 2, "{calls}");
        assert_eq!(most, 0);
    }

    #[test]
    fn a_queue_that_is_full_is_emptied_in_a_few_looks() {
        let (_, most) = take(4096, 0, 1);
        assert_eq!(most, 4095);
        let (calls, _) = take(4096, 0, 80);
        assert!((4096..4096 + 10).contains(&calls), "{calls}");
        // Twenty come while one is looked after, and the queue does not grow without bound.
        let (_, most) = take(0, 20, 10_000);
        assert!(most < 2 * 20 * (CAUTION as usize + 8), "{most}");
    }
}
