//! Memory that the kernel knows too: the frames of a queue, its rings, the heartbeats of an interface.
//!
//! A [`Mapping`] lives as long as whoever holds it; nothing else here may unmap. It hands out words for atomic use,
//! which any number of threads may share, and raw places, for whose borrowing rules the caller answers (rings and
//! frames, where the kernel's protocol says who owns what at a time).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A stretch of mapped memory.
pub(super) struct Mapping {
    start: NonNull<u8>,
    octets: usize,
}

// SAFETY: the memory belongs to the process, not to a thread; what is shared of it is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above; `place` only computes an address.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Fresh memory, in large pages where the system gives them: a queue's frames are touched one after the other, and
    /// with small pages nearly every frame would be a miss of the TLB.
    pub(super) fn anonymous(octets: usize) -> io::Result<Self> {
        let mapping = Self::map(octets, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
        // SAFETY: the pointer and the length are those of the mapping just made; the advice changes no content. That
        // it is not taken is no fault.
        unsafe { libc::madvise(mapping.start.as_ptr().cast(), octets, libc::MADV_HUGEPAGE) };
        Ok(mapping)
    }

    /// Memory behind a descriptor.
    pub(super) fn shared(fd: BorrowedFd<'_>, offset: libc::off_t, octets: usize) -> io::Result<Self> {
        Self::map(octets, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset)
    }

    fn map(octets: usize, flags: i32, fd: i32, offset: libc::off_t) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no address is asked for, so that nothing that exists is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, protection, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, octets })
    }

    /// The address, for system calls that want it as a number.
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// How much it is.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Where `count` values of a type begin.
    ///
    /// # Panics
    /// When they do not lie inside, each at its alignment: offsets come from the kernel once, at set-up.
    pub(super) fn place<T>(&self, offset: usize, count: usize) -> NonNull<T> {
        let end = count.checked_mul(size_of::<T>()).and_then(|octets| octets.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.octets), "outside of the mapping");
        // SAFETY: `offset` is at most the length of the mapping, as just seen.
        let place = unsafe { self.start.add(offset) }.cast::<T>();
        assert!(place.is_aligned(), "unaligned in the mapping");
        place
    }

    /// A double word that is shared with the kernel.
    pub(super) fn long(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: `place` has checked bounds and alignment; the memory is mapped for as long as `self` lives, and
        // everybody uses it atomically.
        unsafe { self.place::<AtomicU64>(offset, 1).as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing that borrowed from it lives any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.octets) };
    }
}
