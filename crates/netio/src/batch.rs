//! Many datagrams per system call: the reusable buffers of one UDP worker.
//!
//! A [`Batch`] is filled by recvmmsg, shown slot by slot to whoever answers, and emptied by sendmmsg. All
//! memory is allocated in [`Batch::new`]; no later call allocates. A reply goes to the sender's address exactly
//! as the kernel stored it, and leaves from the address that was asked; nothing is converted to Rust's address
//! types unless [`Peer`] is asked.
//!
//! It refuses to spin and to wait without bound: what the kernel will not send is counted in a [`SendReport`]
//! and dropped, as UDP may (the resolver asks again).
//!
//! The message headers that the kernel wants hold pointers, so they are filled anew for each call, which keeps every
//! borrow visible to the compiler; only their memory is kept. And only as many are filled as datagrams may be expected
//! ([`Batch::receive`]): all 64 take longer than the answer to a query that comes alone.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use crate::buffers::Buffers;
use crate::control::Control;
use crate::peer::{Arrival, EMPTY_NAME, Ends, NAME_OCTETS, Name, Peer};
use crate::report::SendReport;
use crate::sys;
use crate::udp::{ReplySource, UdpSocket};

/// The most datagrams of one batch. Beyond 64 the system call is under 1 % of the cost of a query, while the
/// buffers begin to push the zone data out of the first-level cache.
pub const MAX_SLOTS: usize = 64;

/// How many signals may interrupt the sending of one batch before a reply is given up: more than any sane
/// process gets in the few milliseconds that a send may wait, and yet a bound.
const MAX_INTERRUPTIONS: u8 = 8;

/// Whether a receive may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until the first datagram or the socket's receive wait ([`crate::UdpOptions::receive_wait`]).
    ForDatagram,
    /// Take what is queued.
    Never,
}

/// A batch of datagrams that came, each with a place for its reply.
pub trait Datagrams {
    /// How many there are.
    fn len(&self) -> usize;

    /// How many there can be.
    fn capacity(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets of one; for a pass that only looks.
    fn query(&self, index: usize) -> Option<&[u8]>;

    /// One with the place for its reply.
    fn slot(&mut self, index: usize) -> Option<Slot<'_>>;
}

/// The fewest datagrams that a receive asks for, where the batch has room for as many.
const FEWEST: usize = 8;

/// What is known of one slot besides its octets.
#[derive(Clone, Copy, Default)]
struct Meta {
    query_octets: usize,
    reply_octets: usize,
    name_octets: libc::socklen_t,
    control_octets: usize,
    arrival: Arrival,
}

/// The reusable buffers of a batch of datagrams, allocated once.
pub struct Batch {
    received: usize,
    /// How many datagrams the last receive brought, also after they have been sent.
    last_received: usize,
    bound: Option<IpAddr>,
    queries: Buffers,
    replies: Buffers,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    metas: Box<[Meta]>,
    /// Filled for each call, and not read after it.
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
}

impl Batch {
    /// Room for `slots` datagrams (1 to [`MAX_SLOTS`]; anything else is brought into that range), each with
    /// a query of up to `query_octets` and a reply of up to `reply_octets`.
    pub fn new(slots: usize, query_octets: usize, reply_octets: usize) -> Self {
        let slots = slots.clamp(1, MAX_SLOTS);
        Self {
            received: 0,
            last_received: slots,
            bound: None,
            queries: Buffers::new(slots, query_octets),
            replies: Buffers::new(slots, reply_octets),
            names: vec![EMPTY_NAME; slots].into_boxed_slice(),
            controls: vec![Control::default(); slots].into_boxed_slice(),
            metas: vec![Meta::default(); slots].into_boxed_slice(),
            headers: vec![EMPTY_HEADER; slots].into_boxed_slice(),
            parts: vec![EMPTY_PART; slots].into_boxed_slice(),
        }
    }

    /// How many datagrams one receive can bring.
    pub fn capacity(&self) -> usize {
        self.metas.len()
    }

    /// How many datagrams the last receive brought.
    pub fn len(&self) -> usize {
        self.received
    }

    /// Whether the last receive brought nothing.
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// Receives up to [`Self::capacity`] datagrams with one recvmmsg, forgetting the previous ones, and says
    /// how many came. 0 means that nothing came in time, or that a signal interrupted the wait.
    ///
    /// It asks for twice as many as came the last time, and at least for a few, so that a burst after a silence takes
    /// some calls more, and a batch is full only while datagrams keep coming.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.received = 0;
        let (bound, control_octets) = match socket.reply_source() {
            ReplySource::Bound(address) => (Some(address), 0),
            ReplySource::PacketInfo => (None, Control::OCTETS),
        };
        self.bound = bound;
        let slots = self.metas.len().min((2 * self.last_received).max(FEWEST));
        let memory = self.names.iter_mut().zip(self.controls.iter_mut()).zip(self.queries.iter_mut());
        let room = self.headers.iter_mut().zip(&mut self.parts);
        for (((name, control), query), (header, part)) in memory.zip(room).take(slots) {
            let query_octets = query.len();
            point(header, part, name, NAME_OCTETS, query, query_octets, control, control_octets);
        }
        let flags = match wait {
            Wait::ForDatagram => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: the first `slots` headers point to names, control buffers and query buffers of `self`, which
        // is borrowed mutably for the call, each with its true length; they do not overlap. The kernel writes
        // octets and address structures, for which any bits are valid. The null timeout means none.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                slots as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        match sys::check(result) {
            Ok(received) => self.take_note(received),
            Err(error) if nothing_there(&error) => self.last_received = 0,
            Err(error) => return Err(error),
        }
        Ok(self.received)
    }

    /// Remembers what the kernel wrote into the headers of the datagrams that came.
    fn take_note(&mut self, received: usize) {
        let slots = self.metas.iter_mut().zip(&mut self.controls);
        for ((meta, control), header) in slots.zip(&self.headers).take(received) {
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            #[allow(clippy::unnecessary_cast, reason = "a narrower type with musl than with glibc")]
            let control_octets = header.msg_hdr.msg_controllen as usize;
            *meta = Meta {
                query_octets: header.msg_len as usize,
                reply_octets: 0,
                name_octets: header.msg_hdr.msg_namelen.min(NAME_OCTETS),
                control_octets: if control_octets == 0 { 0 } else { control.keep_for_reply(control_octets) },
                arrival: if truncated { Arrival::Truncated } else { Arrival::Whole },
            };
        }
        self.received = received.min(self.metas.len());
        self.last_received = self.received;
    }

    /// The query of one slot; for a pass that only looks (hash and prefetch). `None` beyond [`Self::len`].
    pub fn query(&self, index: usize) -> Option<&[u8]> {
        (index < self.received).then(|| self.queries.get(index, self.metas[index].query_octets))
    }

    /// One received datagram with its reply buffer. `None` beyond [`Self::len`].
    pub fn slot(&mut self, index: usize) -> Option<Slot<'_>> {
        if index >= self.received {
            return None;
        }
        let meta = &mut self.metas[index];
        let (query_octets, arrival) = (meta.query_octets, meta.arrival);
        Some(Slot {
            query: self.queries.get(index, query_octets),
            peer: Peer {
                ends: Ends::Socket {
                    name: &self.names[index],
                    control: (meta.control_octets != 0).then_some(&self.controls[index]),
                    bound: self.bound,
                },
                arrival,
            },
            reply: self.replies.get_mut(index),
            reply_octets: &mut meta.reply_octets,
        })
    }

    /// Calls `answer` for every received datagram, in order of arrival.
    pub fn for_each(&mut self, mut answer: impl FnMut(&mut Slot<'_>)) {
        for index in 0..self.received {
            if let Some(mut slot) = self.slot(index) {
                answer(&mut slot);
            }
        }
    }

    /// Sends every reply that was set, through the socket on which the queries came, and forgets the batch.
    /// Whatever the kernel refuses is counted and skipped; there are at most as many system calls as replies,
    /// and a few more if signals interrupt them.
    pub fn send(&mut self, socket: &UdpSocket) -> SendReport {
        let memory = self.names.iter_mut().zip(self.controls.iter_mut()).zip(self.replies.iter_mut());
        let slots = self.metas.iter().zip(memory).take(self.received);
        let replies = slots.filter(|(meta, _)| meta.reply_octets != 0);
        let room = self.headers.iter_mut().zip(&mut self.parts);
        let mut count = 0;
        for ((meta, ((name, control), reply)), (header, part)) in replies.zip(room) {
            point(
                header,
                part,
                name,
                meta.name_octets,
                reply,
                meta.reply_octets,
                control,
                meta.control_octets,
            );
            count += 1;
        }
        self.received = 0;
        let mut report = SendReport::default();
        let mut interruptions_left = MAX_INTERRUPTIONS;
        let mut rest = self.headers.get_mut(..count).unwrap_or_default();
        while !rest.is_empty() {
            // SAFETY: the headers point to names, control messages and replies of `self`, which is borrowed
            // mutably for the call, each with its true length; the kernel only reads them, and writes the
            // length that it sent into each header.
            let result = unsafe {
                libc::sendmmsg(socket.as_fd().as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            // sendmmsg reports an error only for the first of its messages: a round either sends at least one,
            // or fails on exactly one, and passes it.
            let passed = match sys::check(result) {
                Ok(sent) => report.count_sent(sent.clamp(1, rest.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted && interruptions_left > 0 => {
                    interruptions_left -= 1;
                    0
                }
                Err(error) => report.count_refused(&error, rest.len()),
            };
            rest = rest.get_mut(passed..).unwrap_or_default();
        }
        report
    }
}

impl Datagrams for Batch {
    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    #[inline]
    fn query(&self, index: usize) -> Option<&[u8]> {
        self.query(index)
    }

    #[inline]
    fn slot(&mut self, index: usize) -> Option<Slot<'_>> {
        self.slot(index)
    }
}

/// One received datagram, and the buffer for its reply.
pub struct Slot<'a> {
    /// The octets that came.
    pub query: &'a [u8],
    /// Who sent it, and to which of our addresses.
    pub peer: Peer<'a>,
    /// Where the reply is to be written; holds the octets of some earlier reply.
    pub reply: &'a mut [u8],
    pub(crate) reply_octets: &'a mut usize,
}

impl Slot<'_> {
    /// The first `octets` of the reply buffer are to be sent; 0, where a slot starts, sends nothing.
    pub fn set_reply(&mut self, octets: usize) {
        *self.reply_octets = octets.min(self.reply.len());
    }
}

/// Makes a message header point to the memory of one slot; lengths beyond that memory are cut to it.
#[expect(clippy::too_many_arguments, reason = "the fields of a msghdr")]
fn point(
    header: &mut libc::mmsghdr,
    part: &mut libc::iovec,
    name: &mut Name,
    name_octets: libc::socklen_t,
    octets: &mut [u8],
    octets_used: usize,
    control: &mut Control,
    control_octets: usize,
) {
    part.iov_len = octets_used.min(octets.len());
    part.iov_base = octets.as_mut_ptr().cast();
    *header = EMPTY_HEADER;
    let header = &mut header.msg_hdr;
    header.msg_name = (&raw mut *name).cast();
    header.msg_namelen = name_octets.min(NAME_OCTETS);
    header.msg_iov = part;
    header.msg_iovlen = 1;
    if control_octets != 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_octets.min(Control::OCTETS) as _;
    }
}

/// No datagram came in time, or a signal ended the wait.
fn nothing_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

const EMPTY_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

// SAFETY: no system call, but musl's header has private padding and so no constructor. All fields are integers
// and raw pointers, for which zero is valid.
const EMPTY_HEADER: libc::mmsghdr = unsafe { std::mem::zeroed() };
