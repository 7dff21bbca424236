//! All the sockets of one UDP worker, behind one call that waits for the next batch.
//!
//! The worker's loop is the same for one listen address and for ten: [`Inbox::receive`] fills a batch and says
//! through which socket to reply, or returns `None` after the wait, so that the worker can show that it lives
//! and look whether it should stop. With one socket that is one blocking recvmmsg and nothing else. With
//! several, epoll tells which are readable; a socket that fills a whole batch is asked again without waiting,
//! but only a few times before the others get their turn, so that a flood on one address cannot starve another.
//!
//! Queues of AF_XDP may join and leave while the worker runs ([`Inbox::set_queues`]). Their rings are looked at first,
//! since that costs no system call, and after a few full rounds the sockets are asked without waiting. A queue's
//! descriptor stands in the same epoll, edge-triggered: nobody waits while there are packets in a ring.
//!
//! The kernel may be asked to run the thread before others ([`Inbox::run_first`]); module `rhythm` says why, and what is
//! left to others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Wait};
use crate::error::{NetError, on_socket};
use crate::poll::{Events, Interest, Poll};
use crate::rhythm::Rhythm;
use crate::udp::UdpSocket;
use crate::urgency::{Duty, Urgency, Usage, prefer_current_thread};
use crate::xdp::{Queue, coarse_now_ns};

/// How often a socket that fills its batches is asked again before the others are looked at: often enough
/// that epoll costs nothing under load, seldom enough that another address waits well under a millisecond.
const FULL_BATCHES_IN_A_ROW: u8 = 4;

/// Batches of queues in a row before the sockets are looked at, which costs a system call: 512 queries, under a
/// millisecond.
const RING_BATCHES_IN_A_ROW: u8 = 8;
/// The wait while replies are in a ring that the device had no room for, or all frames are on their way: about the
/// time in which a device sends a few hundred.
const RETRY: Duration = Duration::from_millis(1);

/// The sockets of one worker, and the queues that it serves besides.
pub struct Inbox {
    sockets: Box<[UdpSocket]>,
    queues: Vec<Queue>,
    next_queue: usize,
    ring_batches_left: u8,
    /// There while the thread runs before others.
    rhythm: Option<Rhythm>,
    poller: Option<Poller>,
    wait: Duration,
}

/// Where a batch came from, to send the replies there.
pub enum Came<'a> {
    /// The batch that was given is filled; replies go through this socket, the one of this number in
    /// [`Inbox::sockets`].
    Socket(usize, &'a UdpSocket),
    /// This queue holds the batch itself.
    Queue(&'a mut Queue),
}

/// The same by its number.
enum Found {
    Socket(usize),
    Queue(usize),
}

impl Inbox {
    /// Takes the sockets of a worker, at least one. [`Self::receive`] will wait for `wait`, a tenth of a
    /// second or so, rounded up to the kernel's clock tick.
    pub fn new(sockets: Vec<UdpSocket>, wait: Duration) -> Result<Self, NetError> {
        let mut inbox = Self {
            sockets: sockets.into_boxed_slice(),
            queues: Vec::new(),
            next_queue: 0,
            ring_batches_left: RING_BATCHES_IN_A_ROW,
            rhythm: None,
            poller: None,
            wait,
        };
        inbox.prepare()?;
        Ok(inbox)
    }

    /// Asks the kernel to run the calling thread before others from now on: that which receives. As far as it is granted,
    /// [`Self::receive`] leaves others their part of the core.
    pub fn run_first(&mut self) -> Urgency {
        let urgency = prefer_current_thread(Duty::Answers);
        self.rhythm =
            (urgency == Urgency::RealTime).then(|| Rhythm::new(Instant::now(), Usage::of_current_thread()));
        urgency
    }

    /// What the thread took of its core in its last round, in thousandths; nothing unless it runs first.
    #[inline]
    pub fn share(&self) -> u16 {
        self.rhythm.as_ref().map_or(0, |rhythm| rhythm.share)
    }

    /// Serves these queues from now on instead of those before, which are closed.
    ///
    /// # Errors
    /// [`NetError`] when they cannot be waited for; there are no queues then.
    pub fn set_queues(&mut self, queues: Vec<Queue>) -> Result<(), NetError> {
        self.queues = queues;
        let prepared = self.prepare();
        if prepared.is_err() {
            self.queues.clear();
            // If even that fails, what waited for the sockets goes on: a queue that is closed is no event any more.
            let _ = self.prepare();
        }
        prepared
    }

    /// Takes the queues away, for [`Self::set_queues`].
    pub fn take_queues(&mut self) -> Vec<Queue> {
        std::mem::take(&mut self.queues)
    }

    /// One socket alone waits by itself; more of anything are waited for with epoll.
    fn prepare(&mut self) -> Result<(), NetError> {
        self.poller = match (&*self.sockets, &*self.queues) {
            ([only], []) => {
                only.set_receive_wait(self.wait)?;
                None
            }
            ([], []) => None,
            (sockets, queues) => {
                let address = sockets.first().map_or(NOWHERE, UdpSocket::local_addr);
                let made = Poller::new(sockets, queues);
                Some(made.map_err(on_socket("wait for datagrams on", address))?)
            }
        };
        Ok(())
    }

    /// Waits for datagrams, fills the batch from one socket or a queue with one of its own, and says which, to send
    /// the replies there. `None`: nothing came within the wait.
    pub fn receive(&mut self, batch: &mut Batch) -> io::Result<Option<Came<'_>>> {
        Ok(match self.find(batch)? {
            Some(Found::Socket(index)) => self.sockets.get(index).map(|socket| Came::Socket(index, socket)),
            Some(Found::Queue(index)) => self.queues.get_mut(index).map(Came::Queue),
            None => None,
        })
    }

    fn find(&mut self, batch: &mut Batch) -> io::Result<Option<Found>> {
        if !self.queues.is_empty() {
            let now = coarse_now_ns();
            self.queues.iter().for_each(|queue| queue.beat(now));
        }
        if let Some(rhythm) = &mut self.rhythm {
            let owed = rhythm.owes(Instant::now(), Usage::of_current_thread, || 0);
            if !owed.is_zero() {
                std::thread::sleep(owed);
            }
        }
        if self.poller.is_none() {
            let Some(only) = self.sockets.first() else {
                std::thread::sleep(self.wait);
                return Ok(None);
            };
            let received = batch.receive(only, Wait::ForDatagram)?;
            return Ok((received > 0).then_some(Found::Socket(0)));
        }
        // Every round takes one ready socket away; the poller is asked once, when none is left, and once more where it
        // was asked without waiting.
        for _ in 0..self.sockets.len() + self.queues.len() + 2 {
            if self.ring_batches_left > 0
                && let Some(index) = self.look_at_rings()
            {
                self.ring_batches_left -= 1;
                return Ok(Some(Found::Queue(index)));
            }
            let wait = self.how_long();
            self.ring_batches_left = RING_BATCHES_IN_A_ROW;
            let Some(poller) = &mut self.poller else { return Ok(None) };
            match poller.next(wait)? {
                None if wait.is_zero() => {}
                None => return Ok(None),
                Some(index) => {
                    // Of a queue the ring is looked at.
                    let Some(socket) = self.sockets.get(index) else { continue };
                    let received = batch.receive(socket, Wait::Never)?;
                    if received == batch.capacity() {
                        poller.more_of(index);
                    }
                    if received > 0 {
                        return Ok(Some(Found::Socket(index)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next queue in whose ring there is something, taken into its batch.
    #[inline]
    fn look_at_rings(&mut self) -> Option<usize> {
        for _ in 0..self.queues.len() {
            let index = self.next_queue;
            self.next_queue = if index + 1 < self.queues.len() { index + 1 } else { 0 };
            if self.queues.get_mut(index).is_some_and(|queue| queue.receive() > 0) {
                return Some(index);
            }
        }
        None
    }

    fn how_long(&mut self) -> Duration {
        if self.queues.is_empty() {
            self.wait
        } else if self.ring_batches_left == 0 || self.queues.iter_mut().any(Queue::has_more) {
            Duration::ZERO
        } else if self.queues.iter().any(Queue::is_waiting) {
            RETRY
        } else {
            self.wait
        }
    }

    /// The queues that are served now.
    pub fn queues_mut(&mut self) -> &mut [Queue] {
        &mut self.queues
    }

    /// The sockets, in the order in which they were given.
    pub fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }
}

/// What stands in an error about queues that no socket goes with.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Which of a worker's sockets and queues to read next.
struct Poller {
    poll: Poll,
    events: Events,
    /// How many of the last events have been looked at.
    next: usize,
    /// The socket that just filled a batch, and how often in a row it may be asked again.
    again: Option<usize>,
    repeats_left: u8,
}

impl Poller {
    fn new(sockets: &[UdpSocket], queues: &[Queue]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let sockets = sockets.iter().map(|socket| (socket.as_fd(), Interest::Read));
        let queues = queues.iter().map(|queue| (queue.as_fd(), Interest::News));
        let mut count = 0;
        for (fd, interest) in sockets.chain(queues) {
            poll.add(fd, count as u64, interest)?;
            count += 1;
        }
        Ok(Self { poll, events: Events::new(count), next: 0, again: None, repeats_left: 0 })
    }

    /// The index of the next socket to read; `None` when none became readable within the wait.
    fn next(&mut self, wait: Duration) -> io::Result<Option<usize>> {
        if let Some(index) = self.again.take() {
            return Ok(Some(index));
        }
        self.repeats_left = FULL_BATCHES_IN_A_ROW - 1;
        if self.next == self.events.len() {
            self.next = 0;
            self.poll.wait(&mut self.events, wait)?;
        }
        let Some(event) = self.events.get(self.next) else { return Ok(None) };
        self.next += 1;
        Ok(usize::try_from(event.token()).ok())
    }

    /// The socket filled a whole batch: there is probably more.
    fn more_of(&mut self, index: usize) {
        if self.repeats_left > 0 {
            self.repeats_left -= 1;
            self.again = Some(index);
        }
    }
}
