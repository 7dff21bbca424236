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
//! The message headers that the kernel wants are built on the stack for each call rather than kept: they hold
//! pointers, and building them anew keeps every borrow visible to the compiler. 64 of them take about 100 ns,
//! under 2 ns a query when it matters, which is when batches are full.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use crate::control::Control;
use crate::sys;
use crate::udp::{ReplySource, UdpSocket};

/// The most datagrams of one batch. Beyond 64 the system call is under 1 % of the cost of a query, while the
/// buffers begin to push the zone data out of the first-level cache.
pub const MAX_SLOTS: usize = 64;

/// Whether a receive may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until the first datagram or the socket's receive wait ([`crate::UdpOptions::receive_wait`]).
    ForDatagram,
    /// Take what is queued.
    Never,
}

/// Whether a datagram fitted its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// All octets are there.
    #[default]
    Whole,
    /// The datagram was longer than the query buffer; its end is lost (MSG_TRUNC).
    Truncated,
}

/// The kernel's form of an IPv4 or IPv6 socket address; an IPv4 one uses the first 16 octets of it.
type Name = libc::sockaddr_in6;

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
    bound: Option<IpAddr>,
    queries: Buffers,
    replies: Buffers,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    metas: Box<[Meta]>,
}

impl Batch {
    /// Room for `slots` datagrams (1 to [`MAX_SLOTS`]; anything else is brought into that range), each with
    /// a query of up to `query_octets` and a reply of up to `reply_octets`.
    pub fn new(slots: usize, query_octets: usize, reply_octets: usize) -> Self {
        let slots = slots.clamp(1, MAX_SLOTS);
        Self {
            received: 0,
            bound: None,
            queries: Buffers::new(slots, query_octets),
            replies: Buffers::new(slots, reply_octets),
            names: vec![EMPTY_NAME; slots].into_boxed_slice(),
            controls: vec![Control::default(); slots].into_boxed_slice(),
            metas: vec![Meta::default(); slots].into_boxed_slice(),
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
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.received = 0;
        let wants_control = match socket.reply_source() {
            ReplySource::Bound(address) => {
                self.bound = Some(address);
                false
            }
            ReplySource::PacketInfo => {
                self.bound = None;
                true
            }
        };
        let mut parts = [EMPTY_PART; MAX_SLOTS];
        let mut headers = [EMPTY_HEADER; MAX_SLOTS];
        let slots = self.metas.len();
        let filled = headers
            .iter_mut()
            .zip(&mut parts)
            .zip(self.names.iter_mut())
            .zip(self.controls.iter_mut())
            .zip(self.queries.iter_mut());
        for ((((header, part), name), control), query) in filled {
            part.iov_base = query.as_mut_ptr().cast();
            part.iov_len = query.len();
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = NAME_OCTETS;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            if wants_control {
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = Control::OCTETS as _;
            }
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
                headers.as_mut_ptr(),
                slots as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        let received = match sys::check(result) {
            Ok(received) => received.min(slots),
            Err(error) if nothing_there(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        for (index, header) in headers.iter().enumerate().take(received) {
            self.metas[index] = Meta {
                query_octets: (header.msg_len as usize).min(self.queries.octets),
                reply_octets: 0,
                name_octets: header.msg_hdr.msg_namelen.min(NAME_OCTETS),
                control_octets: 0,
                arrival: if header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 {
                    Arrival::Whole
                } else {
                    Arrival::Truncated
                },
            };
            if wants_control {
                #[allow(clippy::unnecessary_cast, reason = "socklen_t with musl, usize with glibc")]
                let octets = header.msg_hdr.msg_controllen as usize;
                self.metas[index].control_octets = self.controls[index].keep_for_reply(octets);
            }
        }
        self.received = received;
        Ok(received)
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
                name: &self.names[index],
                control: (meta.control_octets != 0).then_some(&self.controls[index]),
                bound: self.bound,
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
    /// Whatever the kernel refuses is counted and skipped; there are at most as many system calls as replies.
    pub fn send(&mut self, socket: &UdpSocket) -> SendReport {
        let mut parts = [EMPTY_PART; MAX_SLOTS];
        let mut headers = [EMPTY_HEADER; MAX_SLOTS];
        let mut replies = 0;
        let slots = self
            .metas
            .iter()
            .zip(self.replies.iter_mut())
            .zip(self.names.iter_mut())
            .zip(self.controls.iter_mut())
            .take(self.received)
            .filter(|(((meta, _), _), _)| meta.reply_octets != 0);
        for ((((meta, reply), name), control), (header, part)) in
            slots.zip(headers.iter_mut().zip(&mut parts))
        {
            part.iov_base = reply.as_mut_ptr().cast();
            part.iov_len = meta.reply_octets.min(reply.len());
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = meta.name_octets;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            if meta.control_octets != 0 {
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = meta.control_octets as _;
            }
            replies += 1;
        }
        self.received = 0;
        let mut report = SendReport::default();
        let mut next = 0;
        while next < replies {
            let rest = &mut headers[next..replies];
            // SAFETY: the headers point to names, control messages and replies of `self`, which is borrowed
            // mutably for the call, each with its true length; the kernel only reads them, and writes the
            // length that it sent into each header.
            let result = unsafe {
                libc::sendmmsg(socket.as_fd().as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            match sys::check(result) {
                // sendmmsg reports an error only for the first of its messages: each round either sends at
                // least one or fails on exactly one, and passes it.
                Ok(sent) => {
                    report.sent += sent.max(1).min(rest.len());
                    next += sent.max(1);
                }
                Err(error) => next += report.count(&error, replies - next),
            }
        }
        report
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
    reply_octets: &'a mut usize,
}

impl Slot<'_> {
    /// The first `octets` of the reply buffer are to be sent; 0, where a slot starts, sends nothing.
    pub fn set_reply(&mut self, octets: usize) {
        *self.reply_octets = octets.min(self.reply.len());
    }
}

/// The two ends of one datagram. Reading costs nothing until a method is called.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    name: &'a Name,
    control: Option<&'a Control>,
    bound: Option<IpAddr>,
    arrival: Arrival,
}

impl Peer<'_> {
    /// The sender's address and port, as the datagram claims.
    pub fn source(&self) -> SocketAddr {
        let port = u16::from_be(self.name.sin6_port);
        match self.source_ip() {
            IpAddr::V4(ip) => SocketAddr::from((ip, port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(
                ip,
                port,
                u32::from_be(self.name.sin6_flowinfo),
                self.name.sin6_scope_id,
            )),
        }
    }

    /// The sender's address alone, for what is kept per address (cookies, rate limits).
    pub fn source_ip(&self) -> IpAddr {
        if i32::from(self.name.sin6_family) == libc::AF_INET {
            // sockaddr_in has its address where sockaddr_in6 has the flow information.
            IpAddr::V4(Ipv4Addr::from(self.name.sin6_flowinfo.to_ne_bytes()))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.name.sin6_addr.s6_addr))
        }
    }

    /// The address of ours that was asked, from which the reply will leave. `None` only if the kernel sent no
    /// packet information on a wildcard socket.
    pub fn destination(&self) -> Option<IpAddr> {
        self.bound.or_else(|| self.control.and_then(Control::destination))
    }

    /// Whether the query fitted its buffer.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }
}

/// What became of the replies of one batch. The counts add up to the replies that were set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendReport {
    /// Handed to the network.
    pub sent: usize,
    /// Dropped because the send buffer stayed full for the socket's send wait, or the device's queue was full
    /// (EAGAIN, ENOBUFS, ENOMEM).
    pub no_room: usize,
    /// Refused by a local firewall (EPERM, EACCES).
    pub forbidden: usize,
    /// No route back to the sender, or our address has gone (ENETUNREACH, EHOSTUNREACH, ENETDOWN,
    /// EADDRNOTAVAIL).
    pub unreachable: usize,
    /// Anything else, such as a sender with port 0 (EINVAL).
    pub other: usize,
    last_errno: i32,
}

impl SendReport {
    /// All that was not sent.
    pub fn dropped(&self) -> usize {
        self.no_room + self.forbidden + self.unreachable + self.other
    }

    /// The kernel's last refusal in this batch.
    pub fn last_error(&self) -> Option<io::Error> {
        (self.last_errno != 0).then(|| io::Error::from_raw_os_error(self.last_errno))
    }

    /// Counts a refusal of the first of `left` messages, and says how many of them are to be passed over.
    fn count(&mut self, error: &io::Error, left: usize) -> usize {
        self.last_errno = error.raw_os_error().unwrap_or(libc::EIO);
        let (counter, passed) = match self.last_errno {
            // The buffer stayed full for the whole send wait; each further message would wait as long again.
            libc::EAGAIN => (&mut self.no_room, left),
            libc::ENOBUFS | libc::ENOMEM => (&mut self.no_room, 1),
            libc::EPERM | libc::EACCES => (&mut self.forbidden, 1),
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
                (&mut self.unreachable, 1)
            }
            _ => (&mut self.other, 1),
        };
        *counter += passed;
        passed
    }
}

/// Equal buffers in one allocation. Their starts are an odd number of cache lines apart, so that the first
/// lines of all of them do not fall into the same set of the first-level cache, as with 4096 octets they would.
struct Buffers {
    memory: Box<[u8]>,
    octets: usize,
    stride: usize,
}

impl Buffers {
    fn new(count: usize, octets: usize) -> Self {
        const CACHE_LINE: usize = 64;
        let octets = octets.max(1);
        let stride = (octets.div_ceil(CACHE_LINE) | 1) * CACHE_LINE;
        Self { memory: vec![0; count * stride].into_boxed_slice(), octets, stride }
    }

    fn get(&self, index: usize, octets: usize) -> &[u8] {
        let start = index * self.stride;
        &self.memory[start..start + octets.min(self.octets)]
    }

    fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.stride;
        &mut self.memory[start..start + self.octets]
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let octets = self.octets;
        self.memory.chunks_exact_mut(self.stride).map(move |buffer| &mut buffer[..octets])
    }
}

/// No datagram came in time, or a signal ended the wait.
fn nothing_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

const NAME_OCTETS: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

const EMPTY_NAME: Name = Name {
    sin6_family: 0,
    sin6_port: 0,
    sin6_flowinfo: 0,
    sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
    sin6_scope_id: 0,
};

const EMPTY_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

// SAFETY: no system call, but musl's header has private padding and so no constructor. All fields are integers
// and raw pointers, for which zero is valid.
const EMPTY_HEADER: libc::mmsghdr = unsafe { std::mem::zeroed() };
