//! TCP on one thread (RFC 7766, RFC 9210): every listener, every connection.
//!
//! A connection costs a task and a small buffer; replies are linked in one buffer that all connections share,
//! since the thread finishes a reply before it waits. Queries on a connection are answered in order, as many
//! as have arrived at once (RFC 7766 §6.2.1.1 wants clients to pipeline).
//!
//! Bounds: connections in all and from one address, a deadline for each query to become whole and for each
//! reply to be taken, an idle time that shrinks as the server fills. What is over a bound is closed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pharos_answer::{Context, Job, Pressure, Silent, Verdict, answer};
use pharos_netio::descriptors::is_shortage;
use pharos_zonedb::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::config::{StartError, TcpLimits};
use crate::counters::{Counters, Family};
use crate::hush::Hush;
use crate::origin::{Origin, Origins};
use crate::room;
use crate::worker::{TURN, since_epoch};
use crate::zones::Served;

/// Octets of the largest reply with its length before it.
const REPLY_OCTETS: usize = 2 + 65_535;
/// Read at once; a query has some 50 octets, so this takes dozens of pipelined ones.
const READ_OCTETS: usize = 2048;
/// Replies gathered before they are written, so that a client that pipelines gets few segments.
const WRITE_OCTETS: usize = 16 * 1024;
/// Connections are given this long to finish when the responder stops.
const DRAIN: Duration = Duration::from_millis(500);

/// What the TCP thread is made of.
pub(crate) struct Tcp {
    /// The thread's name.
    pub(crate) name: &'static str,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) limits: TcpLimits,
    pub(crate) zones: Reader<Served>,
    pub(crate) context: Context,
    pub(crate) counters: Arc<Counters>,
    pub(crate) origins: Origins,
    pub(crate) open: Arc<AtomicU64>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) started: Instant,
}

impl Tcp {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> Result<JoinHandle<()>, StartError> {
        let failed = |source| StartError::System { what: "the TCP thread cannot be started", source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let name = self.name;
        let body = move || LocalSet::new().block_on(&runtime, self.run());
        std::thread::Builder::new().name(name.into()).spawn(body).map_err(failed)
    }

    async fn run(self) {
        let shared = Rc::new(Shared {
            limits: self.limits,
            counters: self.counters,
            origins: self.origins,
            open: self.open,
            held: RefCell::default(),
            complaints: RefCell::default(),
            started: self.started,
            work: RefCell::new(Work {
                zones: self.zones,
                context: self.context,
                job: Job::default(),
                reply: vec![0; REPLY_OCTETS],
            }),
        });
        for listener in self.listeners {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(tokio::task::spawn_local(accept(listener, shared.clone()))),
                Err(error) => tracing::error!(%error, "a TCP listener is of no use"),
            }
        }
        while !self.stop.load(Ordering::Relaxed) {
            shared.counters.beat(self.started.elapsed());
            // An idle thread, too, lets go of a set that has been replaced.
            let _ = shared.work.borrow_mut().zones.get();
            // Pressure is of no interest here: a connection is worth a cookie.
            shared.work.borrow_mut().context.turn(since_epoch(), Pressure::Calm);
            tokio::time::sleep(TURN).await;
        }
        // Leaving the local set ends listeners and connections alike.
        let begun = Instant::now();
        while shared.open.load(Ordering::Relaxed) > 0 && begun.elapsed() < DRAIN {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What all connections share; of one thread, so borrowed, never locked, and never across a wait.
struct Shared {
    limits: TcpLimits,
    counters: Arc<Counters>,
    origins: Origins,
    open: Arc<AtomicU64>,
    /// Open connections by address and by network.
    held: RefCell<HashMap<Holder, usize>>,
    work: RefCell<Work>,
    complaints: RefCell<Hush>,
    started: Instant,
}

struct Work {
    zones: Reader<Served>,
    context: Context,
    job: Job,
    reply: Vec<u8>,
}

/// Whom connections are counted against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Address(IpAddr),
    /// The network that one customer of an access provider or one small site has: /24 or /56.
    Network(IpAddr),
}

impl Holder {
    fn both(address: IpAddr) -> [Self; 2] {
        let network = match address {
            IpAddr::V4(address) => IpAddr::V4((u32::from(address) & !0 << 8).into()),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !0 << 72).into()),
        };
        [Self::Address(address), Self::Network(network)]
    }

    fn bound(self, limits: &TcpLimits) -> usize {
        match self {
            Self::Address(_) => limits.connections_per_address,
            Self::Network(_) => limits.connections_per_network,
        }
    }
}

/// One open connection in the counts; closing is its end, however it comes.
struct Admission {
    shared: Rc<Shared>,
    holders: [Holder; 2],
}

impl Admission {
    fn ask(shared: &Rc<Shared>, address: IpAddr) -> Option<Self> {
        let holders = Holder::both(address);
        let mut held = shared.held.borrow_mut();
        let over =
            |holder: &Holder| held.get(holder).is_some_and(|&open| open >= holder.bound(&shared.limits));
        if shared.open.load(Ordering::Relaxed) >= shared.limits.connections as u64 || holders.iter().any(over)
        {
            shared.counters.turned_away.add(1);
            return None;
        }
        for holder in holders {
            *held.entry(holder).or_default() += 1;
        }
        shared.counters.accepted.add(1);
        shared.open.fetch_add(1, Ordering::Relaxed);
        Some(Self { shared: shared.clone(), holders })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        let mut held = self.shared.held.borrow_mut();
        for holder in &self.holders {
            match held.get_mut(holder) {
                Some(open) if *open > 1 => *open -= 1,
                _ => drop(held.remove(holder)),
            }
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Rc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Over a bound: dropping the stream closes it.
                let peer = peer.ip().to_canonical();
                if let Some(admission) = Admission::ask(&shared, peer) {
                    tokio::task::spawn_local(serve(stream, peer, admission));
                }
            }
            Err(error) => {
                // Never a reason to exit: those who hold descriptors will let go.
                shared.counters.receive_errors.add(1);
                shared.complain(&error);
                tokio::time::sleep(TURN).await;
            }
        }
    }
}

/// Answers one connection until its client, a bound or an error ends it.
async fn serve(mut stream: TcpStream, peer: IpAddr, admission: Admission) {
    let shared = &admission.shared;
    let _ = stream.set_nodelay(true);
    let origin = shared.origins.of(peer);
    let mut input: Vec<u8> = Vec::with_capacity(READ_OCTETS);
    let mut output: Vec<u8> = Vec::new();
    // Set while an incomplete query has been received: more octets do not extend it.
    let mut deadline: Option<tokio::time::Instant> = None;
    loop {
        let wait = match deadline {
            Some(deadline) => deadline.saturating_duration_since(tokio::time::Instant::now()),
            None => idle(&shared.limits, shared.open.load(Ordering::Relaxed)),
        };
        match timeout(wait, stream.read_buf(&mut input)).await {
            Ok(Ok(octets)) if octets > 0 => {}
            Ok(_) => return,
            Err(_) => {
                shared.counters.timed_out.add(1);
                return;
            }
        }
        let mut rest = &input[..];
        while let Some((query, after)) = split_message(rest) {
            rest = after;
            shared.answer(query, peer, origin, &mut output);
            if output.len() >= WRITE_OCTETS && !write(&mut stream, &mut output, shared.limits.deadline).await
            {
                return;
            }
        }
        let consumed = input.len() - rest.len();
        input.drain(..consumed);
        if !output.is_empty() && !write(&mut stream, &mut output, shared.limits.deadline).await {
            return;
        }
        deadline = match (input.is_empty(), consumed > 0) {
            (true, _) => None,
            (false, true) => Some(tokio::time::Instant::now() + shared.limits.deadline),
            (false, false) => deadline.or_else(|| Some(tokio::time::Instant::now() + shared.limits.deadline)),
        };
        // Room for the query that has begun; at most 65,537 octets, since that is what its length can say.
        if let Some(length) = input.first_chunk::<2>() {
            let whole = 2 + usize::from(u16::from_be_bytes(*length));
            input.reserve(whole.saturating_sub(input.len()));
        }
    }
}

/// The first whole message and what follows it (RFC 1035 §4.2.2).
fn split_message(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stream.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// How long a connection may be idle: all of it while half the server is free, a tenth when it is full.
fn idle(limits: &TcpLimits, open: u64) -> Duration {
    let share = open as f64 / limits.connections.max(1) as f64;
    limits.idle.mul_f64((1.9 - 1.8 * share).clamp(0.1, 1.0))
}

/// Writes everything within the deadline; the buffer is empty afterwards.
async fn write(stream: &mut TcpStream, output: &mut Vec<u8>, deadline: Duration) -> bool {
    let done = matches!(timeout(deadline, stream.write_all(output)).await, Ok(Ok(())));
    output.clear();
    output.shrink_to(WRITE_OCTETS);
    done
}

impl Shared {
    /// Says that a connection could not be accepted, if that has not been said a moment ago.
    fn complain(&self, error: &std::io::Error) {
        if let Some(hidden) = self.complaints.borrow_mut().ask(self.started.elapsed()) {
            let remedy = if is_shortage(error) { room::REMEDY } else { "" };
            tracing::warn!(%error, hidden, remedy, "a TCP connection cannot be accepted");
        }
    }

    /// Appends the reply to one query, its length before it.
    fn answer(&self, query: &[u8], client: IpAddr, origin: Origin, output: &mut Vec<u8>) {
        let mut work = self.work.borrow_mut();
        let Work { zones, context, job, reply } = &mut *work;
        context.set_keepalive(idle(&self.limits, self.open.load(Ordering::Relaxed)));
        let served = zones.get();
        let verdict = answer(job, &served.zones, context, client, query, reply, &mut Silent);
        self.counters.of(origin).verdict(Family::of(client), &served.slots, &verdict);
        if let Verdict::Reply(replied) = verdict
            && let Some(octets) = reply.get(..replied.len)
        {
            output.extend((replied.len as u16).to_be_bytes());
            output.extend(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_by_their_length() {
        assert_eq!(split_message(b"\0\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(split_message(b"\0\x02a"), None);
        assert_eq!(split_message(b"\0"), None);
        assert_eq!(split_message(b"\0\0"), Some((&b""[..], &b""[..])));
    }

    #[test]
    fn the_idle_time_shrinks_as_the_server_fills() {
        let limits = TcpLimits { connections: 100, idle: Duration::from_secs(10), ..TcpLimits::default() };
        assert_eq!(idle(&limits, 0), Duration::from_secs(10));
        assert_eq!(idle(&limits, 50), Duration::from_secs(10));
        assert_eq!(idle(&limits, 100), Duration::from_secs(1));
        assert!(idle(&limits, 75) < Duration::from_secs(6));
    }
}
