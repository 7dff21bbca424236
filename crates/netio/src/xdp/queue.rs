//! One receive queue of an interface: a socket, its frames and its four rings, as a source of batches.
//!
//! A [`Queue`] has the form of [`crate::Batch`] and [`crate::Inbox`] in one: [`Queue::receive`] takes what is in the
//! RX ring, slots show each query in the frame in which it came with the frame in which the reply goes, and
//! [`Queue::send`] gives replies to the TX ring and the frames of the queries back to the fill ring. No octet of a
//! message is copied here. Nothing is allocated after set-up.
//!
//! Frames stay on their side: the lower ones hold queries (fill ring, RX ring, a batch, fill ring), the others
//! replies (free, a batch, TX ring, completion ring, free). So both rings of a side always have room for all frames of
//! it, and a slot's query and reply never share one.
//!
//! In copy mode each system call sends a bounded number of frames (32 unless the kernel takes a larger number), the
//! rest is asked for again while that moves anything: EAGAIN without progress means that the device is full, and so does
//! EBUSY, with which a frame is gone already. What is in the ring then is sent at a later turn. No more queries are taken
//! from the RX ring than there are free frames for replies: an overload is dropped by the kernel before work went into it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Copying;
use super::counts::{Event, QueueCounts};
use super::frame::{self, Datagram, Refusal};
use super::memory::Mapping;
use super::program::HEARTBEAT_OCTETS;
use super::ring::{self, Consumer, Descriptor, Producer, Which};
use crate::batch::{Datagrams, MAX_SLOTS, Slot};
use crate::peer::{Arrival, Ends, Peer};
use crate::sys;

/// What the kernel puts before each packet in a frame (XDP_PACKET_HEADROOM).
pub(super) const KERNEL_HEADROOM: u32 = 256;
/// Frames for replies. Those that were sent and not yet let go of stay far below it: a device's ring has a few
/// hundred places, and a batch takes 64.
const REPLY_FRAMES: u32 = 2048;
/// System calls of one send, at most. 64 replies take two where the kernel sends 32 a call.
const KICKS: u8 = 8;
/// Octets that the kernel may hold for frames that are on their way; its default would do for 200 of them.
const SEND_BUFFER: i32 = 4 << 20;
/// Frames that a call in copy mode may send (XDP_MAX_TX_SKB_BUDGET); older kernels have 32, and refuse.
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

/// How a queue is to be.
pub(super) struct Plan<'a> {
    pub(super) interface: u32,
    pub(super) number: u32,
    /// Places of RX and fill ring, a power of two.
    pub(super) ring: u32,
    pub(super) frame_octets: u32,
    pub(super) mtu: u32,
    pub(super) copying: Copying,
    pub(super) heartbeats: &'a Arc<Mapping>,
    pub(super) counts: Arc<QueueCounts>,
}

/// What is known of one slot besides its octets.
#[derive(Clone, Copy, Default)]
struct Meta {
    datagram: Datagram,
    /// The query's frame, from its first octet.
    query: Descriptor,
    /// Where the reply's frame begins.
    reply_address: u64,
    reply_octets: usize,
}

/// One receive queue with its socket.
pub struct Queue {
    interface: u32,
    number: u32,
    socket: OwnedFd,
    rx: Consumer<Descriptor>,
    /// Places of the RX ring.
    places: u32,
    tx: Producer<Descriptor>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    frames: Mapping,
    frame_octets: u64,
    /// Where the frames of replies begin.
    replies_at: u64,
    /// The largest reply: what fits a packet of the interface, by family of the client.
    most_octets: [usize; 2],
    /// Frames of replies that are free; the one that was used last is the warmest.
    free: Vec<u64>,
    metas: Box<[Meta]>,
    received: usize,
    is_zero_copy: bool,
    identification: u64,
    heartbeats: Arc<Mapping>,
    counts: Arc<QueueCounts>,
    /// The kernel's counts at the last look.
    kernel: [u64; 5],
}

/// A step that failed while a queue was made, and what the kernel said.
pub(super) type Failed = (super::Step, io::Error);

impl Queue {
    pub(super) fn open(plan: &Plan<'_>) -> Result<Self, Failed> {
        use super::Step;
        let failed = |step| move |error| (step, error);
        // SAFETY: no pointers.
        let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        sys::check(socket).map_err(failed(Step::Socket))?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let fd = socket.as_fd();
        let count = plan.ring + REPLY_FRAMES;
        let octets = count as usize * plan.frame_octets as usize;
        let frames = Mapping::anonymous(octets).map_err(failed(Step::Memory))?;
        register(fd, &frames, plan.frame_octets).map_err(failed(Step::Memory))?;
        let rings = [
            (Which::Fill, plan.ring),
            (Which::Completion, REPLY_FRAMES),
            (Which::Rx, plan.ring),
            (Which::Tx, REPLY_FRAMES),
        ];
        for (which, entries) in rings {
            ring::create(fd, which, entries).map_err(failed(Step::Rings))?;
        }
        let offsets = ring::offsets(fd).map_err(failed(Step::Rings))?;
        let mut fill = Producer::map(fd, Which::Fill, &offsets, plan.ring).map_err(failed(Step::Rings))?;
        let completion = Consumer::map(fd, Which::Completion, &offsets, REPLY_FRAMES);
        let completion = completion.map_err(failed(Step::Rings))?;
        let rx = Consumer::map(fd, Which::Rx, &offsets, plan.ring).map_err(failed(Step::Rings))?;
        let tx = Producer::map(fd, Which::Tx, &offsets, REPLY_FRAMES).map_err(failed(Step::Rings))?;
        let frame_octets = u64::from(plan.frame_octets);
        for index in 0..u64::from(plan.ring) {
            fill.push(index * frame_octets);
        }
        fill.submit();
        // Beyond the system's limit where we may. Less only means that replies wait in the ring.
        let _ = sys::set_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER)
            .or_else(|_| sys::set_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER));
        let _ = sys::set_int(fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, MAX_SLOTS as i32);
        bind(fd, plan).map_err(failed(Step::Bind))?;
        let replies_at = u64::from(plan.ring) * frame_octets;
        let most = |headers: u32| {
            let fits = plan.mtu.saturating_sub(headers).min(plan.frame_octets - frame::PAYLOAD as u32);
            fits as usize
        };
        Ok(Self {
            interface: plan.interface,
            number: plan.number,
            is_zero_copy: is_zero_copy(fd).map_err(failed(Step::Bind))?,
            rx,
            places: plan.ring,
            tx,
            fill,
            completion,
            frames,
            frame_octets,
            replies_at,
            most_octets: [most(28), most(48)],
            free: (0..u64::from(REPLY_FRAMES)).rev().map(|index| replies_at + index * frame_octets).collect(),
            metas: vec![Meta::default(); MAX_SLOTS].into_boxed_slice(),
            received: 0,
            identification: std::hash::BuildHasher::hash_one(
                &std::collections::hash_map::RandomState::new(),
                plan.number,
            ),
            heartbeats: plan.heartbeats.clone(),
            counts: plan.counts.clone(),
            kernel: [0; 5],
            socket,
        })
    }

    /// The kernel's number of the interface.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// The kernel's number of this queue.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What happens at this queue.
    pub fn counts(&self) -> &Arc<QueueCounts> {
        &self.counts
    }

    /// Whether the device itself reads and writes the frames.
    pub fn is_zero_copy(&self) -> bool {
        self.is_zero_copy
    }

    /// Says that the worker of this queue turns: without it for a second, packets go to the kernel.
    #[inline]
    pub(crate) fn beat(&self, now_ns: u64) {
        self.heartbeats.long((self.number * HEARTBEAT_OCTETS) as usize).store(now_ns, Ordering::Relaxed);
    }

    /// Takes datagrams from the RX ring, without waiting and without a system call unless replies of earlier ones
    /// still wait; says how many there are now. Frames that are refused are passed over until one is not, or the ring is
    /// empty.
    #[inline]
    pub fn receive(&mut self) -> usize {
        if self.received > 0 {
            // Whoever did not send has no frames to lose by it.
            self.send();
        }
        self.reclaim();
        if self.tx.pending() != 0 {
            self.kick();
        }
        let most = self.free.len().min(self.metas.len());
        if most == 0 {
            self.counts.add(Event::NoReplyFrame, 1);
            return 0;
        }
        // Whoever sends only what is refused gets no more than a ring of it looked at in a row.
        let mut left = self.places;
        while self.received == 0 && left > 0 {
            let came = self.rx.peek(left.min(most as u32));
            if came == 0 {
                break;
            }
            for index in 0..came {
                let query = self.rx.get(index);
                self.take(query);
            }
            self.rx.release(came);
            left -= came;
            if self.received == 0 {
                self.give_back(0);
            }
        }
        self.counts.add(Event::Received, self.received as u64);
        self.received
    }

    /// Makes a slot of a frame, or gives the frame back at once.
    #[inline]
    fn take(&mut self, query: Descriptor) {
        let found = frame::parse(self.frame(query));
        let (Some(meta), Ok(datagram)) = (self.metas.get_mut(self.received), found) else {
            let why = if found == Err(Refusal::Source) { Event::BadSource } else { Event::Malformed };
            self.counts.add(why, 1);
            self.fill.push(self.start_of(query.address));
            return;
        };
        // `receive` took no more than there are.
        let Some(reply_address) = self.free.pop() else { return };
        *meta = Meta { datagram, query, reply_address, reply_octets: 0 };
        self.received += 1;
    }

    /// Where the frame begins that holds this address.
    fn start_of(&self, address: u64) -> u64 {
        // A power of two.
        address & !(self.frame_octets - 1)
    }

    /// The octets of a query's packet.
    #[inline]
    fn frame(&self, packet: Descriptor) -> &[u8] {
        packet_in(&self.frames, self.replies_at, packet)
    }

    /// Where a reply's frame is; it is one of the upper part.
    #[inline]
    fn reply_frame(&self, address: u64) -> NonNull<[u8]> {
        let octets = self.frame_octets as usize;
        NonNull::slice_from_raw_parts(self.frames.place::<u8>(address as usize, octets), octets)
    }

    /// Frames that were sent are free again.
    #[inline]
    fn reclaim(&mut self) {
        let done = self.completion.peek(REPLY_FRAMES);
        for index in 0..done {
            let frame = self.start_of(self.completion.get(index));
            self.free.push(frame);
        }
        if done > 0 {
            self.completion.release(done);
        }
    }

    /// Sends every reply that was set, gives the queries' frames back, and forgets the batch. What the kernel does not
    /// take now is sent at a later turn.
    #[inline]
    pub fn send(&mut self) {
        let mut sent = 0;
        for index in 0..self.received {
            let Some(&meta) = self.metas.get(index) else { break };
            let part = if meta.reply_octets == 0 { 0..0 } else { self.address_reply(&meta) };
            if part.is_empty() {
                self.free.push(meta.reply_address);
                continue;
            }
            let address = meta.reply_address + part.start as u64;
            self.tx.push(Descriptor { address, octets: part.len() as u32, options: 0 });
            sent += 1;
        }
        self.give_back(self.received);
        self.received = 0;
        if sent > 0 {
            self.counts.add(Event::Sent, sent);
            self.tx.submit();
            self.kick();
        }
    }

    /// Writes the headers of a reply.
    #[inline]
    fn address_reply(&mut self, meta: &Meta) -> std::ops::Range<usize> {
        // The multiplier and the increment of Knuth's MMIX; the upper bits are the good ones.
        self.identification = self
            .identification
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut reply = self.reply_frame(meta.reply_address);
        // SAFETY: inside the mapping; the frame is ours until it is in the TX ring, in the part where no query is.
        let reply = unsafe { reply.as_mut() };
        let identification = (self.identification >> 48) as u16;
        frame::write(self.frame(meta.query), &meta.datagram, reply, meta.reply_octets, identification)
    }

    /// The frames of the first slots are free to be received into.
    #[inline]
    fn give_back(&mut self, slots: usize) {
        for index in 0..slots {
            let Some(meta) = self.metas.get(index) else { break };
            self.fill.push(self.start_of(meta.query.address));
        }
        self.fill.submit();
        if self.fill.needs_wakeup() {
            // SAFETY: no buffer is given, so nothing is written.
            unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    std::ptr::null_mut(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
        }
    }

    /// Has the kernel send what is in the TX ring, as far as it goes.
    fn kick(&mut self) {
        let socket = self.socket.as_raw_fd();
        self.kick_by(|| {
            // SAFETY: no buffer is given, so nothing is read.
            let result =
                unsafe { libc::sendto(socket, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
            if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        });
    }

    /// [`Self::kick`] by this system call.
    fn kick_by(&mut self, mut send: impl FnMut() -> io::Result<()>) {
        if self.is_zero_copy && !self.tx.needs_wakeup() {
            return;
        }
        let mut pending = self.tx.pending();
        for _ in 0..KICKS {
            let Err(error) = send() else { return };
            let left = self.tx.pending();
            let event = match error.raw_os_error() {
                Some(libc::EAGAIN) if left < pending => {
                    pending = left;
                    continue;
                }
                Some(libc::EAGAIN | libc::EINTR) => Event::TxAgain,
                // Full as well, and this one is lost. Another call at once would lose another one.
                Some(libc::EBUSY) => Event::TxBusy,
                _ => Event::TxFailed,
            };
            self.counts.add(event, 1);
            return;
        }
    }

    /// Whether something is to be done before the next packet comes: replies wait in the ring, or queries for a frame.
    pub(crate) fn is_waiting(&self) -> bool {
        self.free.is_empty() || self.tx.pending() != 0
    }

    /// Whether there are packets that can be taken now.
    pub(crate) fn has_more(&mut self) -> bool {
        !self.free.is_empty() && self.rx.peek(1) != 0
    }

    /// Asks the kernel what it dropped. One system call: for a look now and then.
    pub fn count_drops(&mut self) {
        let Ok(now) = statistics(self.socket.as_fd()) else { return };
        let events =
            [Event::RxDropped, Event::RxRingFull, Event::FillRingEmpty, Event::RxInvalid, Event::TxInvalid];
        for ((event, now), before) in events.into_iter().zip(now).zip(&mut self.kernel) {
            self.counts.add(event, now.saturating_sub(*before));
            *before = now;
        }
    }
}

impl Datagrams for Queue {
    fn len(&self) -> usize {
        self.received
    }

    fn capacity(&self) -> usize {
        self.metas.len()
    }

    #[inline]
    fn query(&self, index: usize) -> Option<&[u8]> {
        let meta = self.metas.get(index).filter(|_| index < self.received)?;
        self.frame(meta.query).get(meta.datagram.payload())
    }

    #[inline]
    fn slot(&mut self, index: usize) -> Option<Slot<'_>> {
        let meta = *self.metas.get(index).filter(|_| index < self.received)?;
        let mut reply = self.reply_frame(meta.reply_address);
        let [most_v4, most_v6] = self.most_octets;
        let most = if meta.datagram.source.is_ipv4() { most_v4 } else { most_v6 };
        // SAFETY: inside the mapping; the frame is ours until it is in the TX ring, in the part where no query is, and
        // lent only once, since `self` is borrowed for as long.
        let reply = unsafe { reply.as_mut() };
        let query = packet_in(&self.frames, self.replies_at, meta.query).get(meta.datagram.payload())?;
        Some(Slot {
            query,
            peer: Peer {
                ends: Ends::Packet {
                    source: meta.datagram.source,
                    port: meta.datagram.source_port,
                    destination: meta.datagram.destination,
                },
                arrival: Arrival::Whole,
            },
            reply: reply.get_mut(frame::PAYLOAD..frame::PAYLOAD + most)?,
            reply_octets: &mut self.metas.get_mut(index)?.reply_octets,
        })
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The octets of a query's packet; none when the kernel describes what is not there. The frame must be ours: between
/// the RX ring and the fill ring.
#[inline]
fn packet_in(frames: &Mapping, replies_at: u64, packet: Descriptor) -> &[u8] {
    let end = packet.address.checked_add(packet.octets.into());
    if end.is_none_or(|end| end > replies_at) {
        return &[];
    }
    let place = frames.place::<u8>(packet.address as usize, packet.octets as usize);
    // SAFETY: it lies inside the mapping, in the part that holds queries. The frame is ours, so the kernel does not
    // write to it; and nobody writes to that part here.
    unsafe { std::slice::from_raw_parts(place.as_ptr(), packet.octets as usize) }
}

/// Tells the kernel of the frames (XDP_UMEM_REG); it keeps their pages in memory from then on.
fn register(socket: BorrowedFd<'_>, frames: &Mapping, frame_octets: u32) -> io::Result<()> {
    let request = libc::xdp_umem_reg {
        addr: frames.address(),
        len: frames.octets() as u64,
        chunk_size: frame_octets,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    // SAFETY: the request and its true length; the mapping that it tells of lives as long as the socket (they are
    // fields of one queue), and only frames that are in the kernel's hands are written to by it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_UMEM_REG,
            (&raw const request).cast(),
            size_of_val(&request) as libc::socklen_t,
        )
    };
    sys::check(result).map(drop)
}

fn bind(socket: BorrowedFd<'_>, plan: &Plan<'_>) -> io::Result<()> {
    let copying = match plan.copying {
        Copying::Auto => 0,
        Copying::Copy => libc::XDP_COPY,
        Copying::ZeroCopy => libc::XDP_ZEROCOPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: copying | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: plan.interface,
        sxdp_queue_id: plan.number,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the address and its true length; the kernel only reads it.
    let result = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    };
    sys::check(result).map(drop)
}

fn is_zero_copy(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut flags = [0; 4];
    sys::get_option(socket, libc::SOL_XDP, libc::XDP_OPTIONS, &mut flags)?;
    Ok(u32::from_ne_bytes(flags) & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// The kernel's counts of a socket: dropped, ring full, fill ring empty, invalid of both directions.
fn statistics(socket: BorrowedFd<'_>) -> io::Result<[u64; 5]> {
    let mut octets = [0; 48];
    let got = sys::get_option(socket, libc::SOL_XDP, libc::XDP_STATISTICS, &mut octets)?;
    let (words, _) = octets[..got].as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |&word| u64::from_ne_bytes(word));
    Ok([word(0), word(3), word(4), word(1), word(2)])
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
