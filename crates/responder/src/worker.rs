//! The loop of a UDP worker: receive a batch, look all of it up in passes, answer it, send it.
//!
//! A worker owns its sockets, its batch, its jobs and its counters; what it shares it only reads: the set of
//! zones in force, looked at once per batch, and the stop flag. After set-up the loop allocates nothing,
//! takes no lock (but for the moment of a swap) and makes no system call besides receive and send. A batch comes from a
//! socket or from a queue of AF_XDP; the same code answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pharos_answer::{Context, Job, Pressure, Silent, Verdict, look_up};
use pharos_netio::affinity::{CpuId, pin_current_thread};
use pharos_netio::urgency::Urgency;
use pharos_netio::{Batch, Came, Datagrams, Inbox, MAX_SLOTS, Peer, Shares};
use pharos_zonedb::Reader;

use crate::config::{Precedence, StartError};
use crate::counters::Counters;
use crate::origin::Origins;
use crate::places::Places;
use crate::pressure::{Fill, Gauge};
use crate::xdp::Mailbox;
use crate::zones::Served;

/// How long a worker waits before it turns without a query.
pub(crate) const TURN: Duration = Duration::from_millis(100);
/// Octets of the largest query that is read whole; a longer datagram is cut and so malformed. Queries have a
/// few hundred octets; one with many large options still fits.
const QUERY_OCTETS: usize = 4096;
/// Queries that are looked up together: enough for their waits to overlap, and so few that a first-level cache of 32 KiB
/// holds all that passes between them.
const GROUP: usize = 32;
/// A worker that is told to stop answers what has arrived, but not for longer than this.
const DRAIN: Duration = Duration::from_secs(1);

/// One system call for each socket and queue in this time tells overload from silence, and costs nothing that shows. Cookies
/// count in seconds, too.
const LOOK: Duration = Duration::from_secs(1);

/// What one worker is made of.
pub(crate) struct Worker {
    /// The thread's name, in the log as well.
    pub(crate) name: String,
    pub(crate) cpu: Option<CpuId>,
    pub(crate) precedence: Precedence,
    /// Where it notes what it takes of its core, under its number.
    pub(crate) shares: (Arc<Shares>, usize),
    pub(crate) inbox: Inbox,
    /// Where queues of AF_XDP come from.
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) zones: Reader<Served>,
    pub(crate) context: Arc<Context>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) origins: Origins,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) started: Instant,
}

impl Worker {
    /// Starts the worker's thread.
    pub(crate) fn spawn(self) -> Result<JoinHandle<()>, StartError> {
        std::thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || self.run())
            .map_err(|source| StartError::System { what: "a UDP worker cannot be started", source })
    }

    fn run(mut self) {
        if let Some(cpu) = self.cpu
            && let Err(error) = pin_current_thread(cpu)
        {
            tracing::warn!(worker = self.name, %error, "the worker runs unpinned");
        }
        if self.precedence == Precedence::First {
            let granted = self.inbox.run_first();
            if granted != Urgency::RealTime {
                tracing::info!(worker = self.name, %granted, "the worker does not run first on its core");
            }
        }
        let mut batch = Batch::new(MAX_SLOTS, QUERY_OCTETS, usize::from(self.context.udp_payload()));
        let mut jobs = vec![Job::default(); GROUP];
        let places = Places::new(&self.counters.addresses);
        let mut stopping: Option<Instant> = None;
        let mut context = Context::clone(&self.context);
        let mut gauge = Gauge::default();
        let mut share = 0;
        let (mut looked, mut counted) = (Duration::ZERO, Duration::ZERO);
        context.turn(since_epoch(), Pressure::Calm);
        loop {
            let now = self.started.elapsed();
            self.counters.beat(now);
            if now - counted >= TURN {
                // Often: whoever finds a query unanswered asks at once whether it was dropped.
                counted = now;
                self.count_drops();
            }
            if now - looked >= LOOK {
                looked = now;
                context.turn(since_epoch(), gauge.look(self.count_drops()));
            }
            if stopping.is_none() && self.stop.load(Ordering::Relaxed) {
                stopping = Some(Instant::now());
            }
            if stopping.is_some_and(|since| since.elapsed() > DRAIN) {
                return;
            }
            self.mailbox.deliver(&mut self.inbox);
            if share != self.inbox.share() {
                // Once a round: all workers write to the same place, and may not meet there with each batch.
                share = self.inbox.share();
                let (shares, id) = &self.shares;
                shares.set(*id, share);
            }
            let counting = (&*self.counters, &self.origins);
            match self.inbox.receive(&mut batch) {
                Ok(Some(Came::Socket(place, socket))) => {
                    gauge.batch(fill(&batch));
                    answer_batch(&mut batch, &mut jobs, self.zones.get(), &context, counting, |_| place);
                    self.counters.sent(&batch.send(socket));
                }
                Ok(Some(Came::Queue(queue))) => {
                    gauge.batch(fill(queue));
                    let place = |peer: &Peer<'_>| places.of(peer);
                    answer_batch(queue, &mut jobs, self.zones.get(), &context, counting, place);
                    queue.send();
                }
                Ok(None) if stopping.is_some() => return,
                // An idle worker, too, lets go of a set that has been replaced.
                Ok(None) => drop(self.zones.get()),
                Err(error) => {
                    self.counters.receive_errors.add(1);
                    tracing::error!(worker = self.name, %error, "datagrams cannot be received");
                    std::thread::sleep(TURN);
                }
            }
        }
    }
}

impl Worker {
    /// Asks the kernel how many datagrams it dropped before they could be received.
    fn count_drops(&mut self) -> u64 {
        let drops = self.inbox.sockets().iter().filter_map(|socket| socket.drops().ok());
        let drops = drops.map(u64::from).sum();
        self.counters.socket_drops.set(drops);
        let lost = self.inbox.queues_mut().iter_mut().map(|queue| {
            queue.count_drops();
            queue.counts().lost()
        });
        drops + lost.sum::<u64>()
    }
}

/// The wall clock's time, which only cookies look at.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn fill(batch: &impl Datagrams) -> Fill {
    if batch.len() < batch.capacity() { Fill::Partial } else { Fill::Full }
}

/// Answers every query of a batch, wherever it came from, as many at once as there are jobs. `place` says to which of
/// the worker's addresses a query came.
#[inline]
fn answer_batch(
    batch: &mut impl Datagrams,
    jobs: &mut [Job],
    served: &Served,
    context: &Context,
    (counters, origins): (&Counters, &Origins),
    place: impl Fn(&Peer<'_>) -> usize,
) {
    let zones = &served.zones;
    for start in (0..batch.len()).step_by(jobs.len().max(1)) {
        let arrived = jobs.len().min(batch.len() - start);
        let Some(jobs) = jobs.get_mut(..arrived) else { return };
        look_up(jobs, zones, |index| batch.query(start + index).unwrap_or_default());
        for (index, job) in (start..).zip(jobs) {
            let Some(mut slot) = batch.slot(index) else { continue };
            let (source, place) = (slot.peer.source_ip(), place(&slot.peer));
            let verdict = job.write(zones, context, source, slot.query, slot.reply, &mut Silent);
            counters.of(origins.of(source)).verdict(place, &served.slots, &verdict);
            slot.set_reply(match verdict {
                Verdict::Reply(reply) => reply.len,
                Verdict::Drop(_) => 0,
            });
        }
    }
}
