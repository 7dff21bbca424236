//! All the sockets of one UDP worker, behind one call that waits for the next batch.
//!
//! The worker's loop is the same for one listen address and for ten: [`Inbox::receive`] fills a batch and says
//! through which socket to reply, or returns `None` after the wait, so that the worker can show that it lives
//! and look whether it should stop. With one socket that is one blocking recvmmsg and nothing else. With
//! several, epoll tells which are readable; a socket that fills a whole batch is asked again without waiting,
//! but only a few times before the others get their turn, so that a flood on one address cannot starve another.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::batch::{Batch, Wait};
use crate::error::{NetError, on_socket};
use crate::poll::{Events, Interest, Poll};
use crate::udp::UdpSocket;

/// How often a socket that fills its batches is asked again before the others are looked at: often enough
/// that epoll costs nothing under load, seldom enough that another address waits well under a millisecond.
const FULL_BATCHES_IN_A_ROW: u8 = 4;

/// The sockets of one worker.
pub struct Inbox {
    sockets: Box<[UdpSocket]>,
    poller: Option<Poller>,
    wait: Duration,
}

impl Inbox {
    /// Takes the sockets of a worker, at least one. [`Self::receive`] will wait for `wait`, a tenth of a
    /// second or so, rounded up to the kernel's clock tick.
    pub fn new(sockets: Vec<UdpSocket>, wait: Duration) -> Result<Self, NetError> {
        let sockets = sockets.into_boxed_slice();
        let mut poller = None;
        match &*sockets {
            [only] => only.set_receive_wait(wait)?,
            [] => {}
            [first, ..] => {
                let made = Poller::new(&sockets);
                poller = Some(made.map_err(on_socket("wait for datagrams on", first.local_addr()))?);
            }
        }
        Ok(Self { sockets, poller, wait })
    }

    /// Waits for datagrams, fills the batch from one socket and returns that socket, to send the replies
    /// through it. `None`: nothing came within the wait.
    pub fn receive(&mut self, batch: &mut Batch) -> io::Result<Option<&UdpSocket>> {
        let Some(poller) = &mut self.poller else {
            let Some(only) = self.sockets.first() else {
                std::thread::sleep(self.wait);
                return Ok(None);
            };
            let received = batch.receive(only, Wait::ForDatagram)?;
            return Ok((received > 0).then_some(only));
        };
        // Every round takes one ready socket away; the poller is asked once, when none is left.
        for _ in 0..=self.sockets.len() {
            let Some(index) = poller.next(self.wait)? else { return Ok(None) };
            let Some(socket) = self.sockets.get(index) else { continue };
            let received = batch.receive(socket, Wait::Never)?;
            if received == batch.capacity() {
                poller.more_of(index);
            }
            if received > 0 {
                return Ok(Some(socket));
            }
        }
        Ok(None)
    }

    /// The sockets, in the order in which they were given.
    pub fn sockets(&self) -> &[UdpSocket] {
        &self.sockets
    }
}

/// Which of a worker's sockets to read next.
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
    fn new(sockets: &[UdpSocket]) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (socket, index) in sockets.iter().zip(0..) {
            poll.add(socket.as_fd(), index, Interest::Read)?;
        }
        Ok(Self { poll, events: Events::new(sockets.len()), next: 0, again: None, repeats_left: 0 })
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
