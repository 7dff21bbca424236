//! The rings between a queue and the kernel, one writer and one reader each.
//!
//! The kernel reads of the fill ring which frames it may receive into, and writes to the RX ring what came; it reads
//! of the TX ring what to send, and writes to the completion ring which frames it has let go of. Positions only grow
//! (and wrap at 2^32); the lower bits are the place. Each side publishes its position with a release store after the
//! entries, and reads the other's with an acquire load, no more often than it must: the cache line belongs to the
//! other side.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::Mapping;
use crate::sys;

/// One frame and how much of it counts (`struct xdp_desc`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Descriptor {
    /// Where the packet begins, in octets from the start of the frames.
    pub(super) address: u64,
    pub(super) octets: u32,
    /// Options; none are used.
    pub(super) options: u32,
}

/// Which ring of a socket.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Rx,
    Tx,
    Fill,
    Completion,
}

impl Which {
    /// The socket option that makes it.
    fn option(self) -> i32 {
        match self {
            Self::Rx => libc::XDP_RX_RING,
            Self::Tx => libc::XDP_TX_RING,
            Self::Fill => libc::XDP_UMEM_FILL_RING,
            Self::Completion => libc::XDP_UMEM_COMPLETION_RING,
        }
    }

    /// Where it is mapped.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "types differ by platform")]
    fn page_offset(self) -> libc::off_t {
        match self {
            Self::Rx => libc::XDP_PGOFF_RX_RING as libc::off_t,
            Self::Tx => libc::XDP_PGOFF_TX_RING as libc::off_t,
            Self::Fill => libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t,
            Self::Completion => libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t,
        }
    }

    fn offsets(self, all: &libc::xdp_mmap_offsets) -> &libc::xdp_ring_offset {
        match self {
            Self::Rx => &all.rx,
            Self::Tx => &all.tx,
            Self::Fill => &all.fr,
            Self::Completion => &all.cr,
        }
    }
}

/// Gives the socket a ring of `entries`, a power of two.
pub(super) fn create(socket: BorrowedFd<'_>, which: Which, entries: u32) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_XDP, which.option(), &entries.to_ne_bytes())
}

/// Where in their mappings the parts of the rings are.
pub(super) fn offsets(socket: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    const NONE: libc::xdp_ring_offset = libc::xdp_ring_offset { producer: 0, consumer: 0, desc: 0, flags: 0 };
    let mut offsets = libc::xdp_mmap_offsets { rx: NONE, tx: NONE, fr: NONE, cr: NONE };
    let mut length = size_of_val(&offsets) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets of the structure, of which any bits are valid.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut length,
        )
    };
    sys::check(result)?;
    if length as usize != size_of_val(&offsets) {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    Ok(offsets)
}

struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    mask: u32,
    /// What all of these point into.
    _map: Mapping,
}

// SAFETY: the pointers are into the mapping, which goes along; entries are plain numbers.
unsafe impl<T: Copy + Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        which: Which,
        all: &libc::xdp_mmap_offsets,
        entries: u32,
    ) -> io::Result<Self> {
        let offsets = which.offsets(all);
        let at = |offset: u64| usize::try_from(offset).map_err(io::Error::other);
        let (start, count) = (at(offsets.desc)?, entries as usize);
        let map = Mapping::shared(socket, which.page_offset(), start + count * size_of::<T>())?;
        Ok(Self {
            entries: map.place(start, count),
            producer: map.place(at(offsets.producer)?, 1),
            consumer: map.place(at(offsets.consumer)?, 1),
            flags: map.place(at(offsets.flags)?, 1),
            mask: entries - 1,
            _map: map,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: checked by `place`; mapped for as long as `self` lives; everybody uses it atomically.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.flags.as_ref() }
    }

    fn entry(&self, position: u32) -> NonNull<T> {
        // SAFETY: masked, the index is below the number of entries, for which the mapping was checked.
        unsafe { self.entries.add((position & self.mask) as usize) }
    }
}

/// Our end of a ring that the kernel writes to.
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    next: u32,
    /// The kernel's position when it was last read.
    end: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        which: Which,
        all: &libc::xdp_mmap_offsets,
        entries: u32,
    ) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, which, all, entries)?, next: 0, end: 0 })
    }

    /// How many entries there are, up to `most`.
    #[inline]
    pub(super) fn peek(&mut self, most: u32) -> u32 {
        if self.end.wrapping_sub(self.next) < most {
            self.end = self.ring.producer().load(Ordering::Acquire);
        }
        self.end.wrapping_sub(self.next).min(most)
    }

    /// An entry among those that were peeked at.
    #[inline]
    pub(super) fn get(&self, index: u32) -> T {
        // SAFETY: the place is inside the ring; the kernel does not write it before it is released, and any bits
        // are valid in an entry.
        unsafe { self.ring.entry(self.next.wrapping_add(index)).read() }
    }

    /// Gives the first entries back to the kernel.
    #[inline]
    pub(super) fn release(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count);
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}

/// Our end of a ring that the kernel reads.
pub(super) struct Producer<T> {
    ring: Ring<T>,
    next: u32,
    /// The position of the kernel's end when it was last read.
    start: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        which: Which,
        all: &libc::xdp_mmap_offsets,
        entries: u32,
    ) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, which, all, entries)?, next: 0, start: 0 })
    }

    /// Writes an entry that the kernel sees with the next [`Self::submit`]; says whether there was room.
    #[inline]
    pub(super) fn push(&mut self, entry: T) -> bool {
        let used = self.next.wrapping_sub(self.start);
        if used > self.ring.mask {
            self.start = self.ring.consumer().load(Ordering::Acquire);
            if self.next.wrapping_sub(self.start) > self.ring.mask {
                return false;
            }
        }
        // SAFETY: the place is inside the ring, and the kernel has left it, as its position just said.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the kernel what was written.
    #[inline]
    pub(super) fn submit(&self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Entries that the kernel has not taken yet.
    #[inline]
    pub(super) fn pending(&self) -> u32 {
        self.next.wrapping_sub(self.ring.consumer().load(Ordering::Acquire))
    }

    /// Whether the kernel sleeps and wants a system call (XDP_RING_NEED_WAKEUP).
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}
