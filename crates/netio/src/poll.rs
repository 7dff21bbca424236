//! Waiting on many descriptors at once: epoll, level-triggered but for [`Interest::News`].
//!
//! A [`Poll`] remembers descriptors, each with a token of the caller's choice and with what is awaited of it;
//! [`Poll::wait`] fills [`Events`]. Level-triggered, because then whoever reads less than there is, on purpose or not,
//! is told again, and because one read of a stream that brings less than its buffer holds needs no second one to
//! find out that there is no more. Closing a descriptor takes it out; nothing else needs to.
//!
//! The UDP [`crate::Inbox`] waits with it on its sockets, and the responder's TCP threads on their connections.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::sys;

/// What is awaited of a descriptor. That the other end has gone is told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Octets, connections, or that the other end will send no more.
    Read,
    /// That something more has come, told once (edge-triggered): for whoever sees without a system call what is there.
    News,
    /// Room to write.
    Write,
    /// Nothing for now.
    Nothing,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Self::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Self::News => libc::EPOLLIN | libc::EPOLLET,
            Self::Write => libc::EPOLLOUT,
            Self::Nothing => 0,
        };
        bits.cast_unsigned()
    }
}

/// Descriptors that are waited on.
#[derive(Debug)]
pub struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    /// Waits on nothing yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        sys::check(epoll)?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        Ok(Self { epoll: unsafe { OwnedFd::from_raw_fd(epoll) } })
    }

    /// Waits on a descriptor from now on; its events carry `token`.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Awaits something else of a descriptor.
    pub fn change(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    fn control(&self, what: i32, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: the event outlives the call, which only reads it; both descriptors are open.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd.as_raw_fd(), &raw mut event) };
        sys::check(result).map(drop)
    }

    /// Waits until something happens or the time is over, rounded up to a millisecond. A signal ends the wait, too.
    pub fn wait(&self, events: &mut Events, wait: Duration) -> io::Result<()> {
        events.ready = 0;
        let millis = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let room = i32::try_from(events.all.len()).unwrap_or(i32::MAX);
        // SAFETY: the pointer and `room` describe `events.all`, borrowed mutably for the call; any bits are valid
        // in an event.
        let result =
            unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.all.as_mut_ptr(), room, millis) };
        match sys::check(result) {
            Ok(ready) => events.ready = ready.min(events.all.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What happened during one wait.
pub struct Events {
    all: Box<[libc::epoll_event]>,
    ready: usize,
}

impl Events {
    /// Room for as many events at once, one at least; what finds no room is told by the next wait.
    pub fn new(room: usize) -> Self {
        Self { all: vec![libc::epoll_event { events: 0, u64: 0 }; room.max(1)].into_boxed_slice(), ready: 0 }
    }

    /// How many descriptors something happened to.
    pub fn len(&self) -> usize {
        self.ready
    }

    /// Whether the wait ended without anything.
    pub fn is_empty(&self) -> bool {
        self.ready == 0
    }

    /// One of them. `None` beyond [`Self::len`].
    pub fn get(&self, index: usize) -> Option<Event> {
        let event = self.all.get(..self.ready)?.get(index)?;
        Some(Event { token: event.u64, bits: event.events })
    }
}

/// What happened to one descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    token: u64,
    bits: u32,
}

impl Event {
    /// What was given with the descriptor.
    pub fn token(self) -> u64 {
        self.token
    }

    /// Whether the other end has closed its half or has gone: after what is there to be read, nothing will come.
    pub fn is_last(self) -> bool {
        self.bits & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR).cast_unsigned() != 0
    }

    /// Whether the connection is gone in both directions, so that nothing written would arrive.
    pub fn is_gone(self) -> bool {
        self.bits & (libc::EPOLLHUP | libc::EPOLLERR).cast_unsigned() != 0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[test]
    fn what_is_there_is_told_until_it_is_read_and_only_to_who_awaits_it() {
        let (server, mut client) = pair();
        let (poll, mut events) = (Poll::new().unwrap(), Events::new(4));
        poll.add(server.as_fd(), 7, Interest::Read).unwrap();
        poll.wait(&mut events, Duration::ZERO).unwrap();
        assert!(events.is_empty());
        client.write_all(b"x").unwrap();
        for _ in 0..2 {
            poll.wait(&mut events, LONG).unwrap();
            let event = events.get(0).unwrap();
            assert_eq!((events.len(), event.token(), event.is_last()), (1, 7, false));
        }
        poll.change(server.as_fd(), 7, Interest::Nothing).unwrap();
        poll.wait(&mut events, Duration::ZERO).unwrap();
        assert!(events.is_empty());
        poll.change(server.as_fd(), 8, Interest::Write).unwrap();
        poll.wait(&mut events, LONG).unwrap();
        assert_eq!(events.get(0).unwrap().token(), 8);
    }

    #[test]
    fn the_end_of_what_the_other_side_sends_is_told_apart_from_its_being_gone() {
        let (server, client) = pair();
        let (poll, mut events) = (Poll::new().unwrap(), Events::new(1));
        poll.add(server.as_fd(), 0, Interest::Read).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        poll.wait(&mut events, LONG).unwrap();
        let event = events.get(0).unwrap();
        assert!(event.is_last() && !event.is_gone());
        // Now the server's half is closed, too.
        server.shutdown(Shutdown::Write).unwrap();
        poll.wait(&mut events, LONG).unwrap();
        assert!(events.get(0).unwrap().is_gone());
    }

    #[test]
    fn a_closed_descriptor_is_forgotten() {
        let (server, client) = pair();
        let (poll, mut events) = (Poll::new().unwrap(), Events::new(1));
        poll.add(server.as_fd(), 0, Interest::Read).unwrap();
        drop(server);
        drop(client);
        poll.wait(&mut events, Duration::ZERO).unwrap();
        assert!(events.is_empty());
    }
}
