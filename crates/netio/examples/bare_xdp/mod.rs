//! The rings of AF_XDP and a program for one port, in as few lines as they can be had: what the programs beside this
//! share. Servers use the crate's own queues, which check what they are given and count what they lose.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What a packet may have at most; the smallest page there is.
pub(crate) const FRAME: usize = 4096;
/// Half of them are there to be received into at first.
const FRAMES: u32 = 8192;
/// Places of each ring.
pub(crate) const PLACES: u32 = 4096;

/// Which UDP packets a socket gets: those whose port, as its octets stand in the packet, has this value under the
/// mask.
#[derive(Clone, Copy)]
pub(crate) struct Port {
    pub(crate) mask: i32,
    pub(crate) value: i32,
}

/// A socket on queue 0 of an interface, and the program that leads packets to it: gone with the process.
pub(crate) struct Attached {
    pub(crate) socket: Socket,
    _map: OwnedFd,
    _link: OwnedFd,
}

/// Puts the program on the interface.
pub(crate) fn attach(name: &str, port: Port) -> io::Result<Attached> {
    let c_name = CString::new(name)?;
    // SAFETY: a string that ends with a zero and outlives the call.
    let interface = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if interface == 0 {
        return Err(io::Error::last_os_error());
    }
    let socket = Socket::open(interface)?;
    let map = bpf(0, &[17 | (4 << 32), 4 | (1 << 32)])?; // BPF_MAP_CREATE: XSKMAP, one place of a number for a number
    let (queue, descriptor) = (0_u32, socket.fd.as_raw_fd());
    let update = [map.as_raw_fd() as u64, (&raw const queue) as u64, (&raw const descriptor) as u64, 0];
    bpf_call(2, &update)?; // BPF_MAP_UPDATE_ELEM
    let program = program(map.as_raw_fd(), port);
    let licence = c"GPL";
    // BPF_PROG_LOAD: of type XDP
    let load =
        [6 | ((program.len() as u64) << 32), program.as_ptr() as u64, licence.as_ptr() as u64, 0, 0, 0];
    let program = bpf(5, &load)?;
    // BPF_LINK_CREATE: attach type XDP, in the driver
    let link = [program.as_raw_fd() as u64 | (u64::from(interface) << 32), 37 | (4 << 32)];
    let link = while_busy(|| bpf(28, &link))?;
    Ok(Attached { socket, _map: map, _link: link })
}

/// Tries again while the queue or the interface is another's: the kernel lets go of what a process had some time after
/// that has ended.
fn while_busy<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const PATIENCE: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(10);
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && begin.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// IPv4 without options, UDP to the port goes to the socket, everything else to the kernel.
fn program(map: i32, port: Port) -> Vec<u64> {
    const PASS: i32 = 2;
    let op = |code: u8, to: u8, from: u8, offset: i16, number: i32| {
        u64::from(code)
            | (u64::from(to | (from << 4)) << 8)
            | (u64::from(offset as u16) << 16)
            | (u64::from(number as u32) << 32)
    };
    // How far each comparison has to jump to the last two instructions.
    let unless = |register, number, far| op(0x55, register, 0, far, number);
    vec![
        op(0x61, 2, 1, 0, 0),  // r2: where the packet begins
        op(0x61, 3, 1, 4, 0),  // r3: and ends
        op(0xbf, 4, 2, 0, 0),  // r4 = r2
        op(0x07, 4, 0, 0, 42), // r4 += headers
        op(0x2d, 4, 3, 15, 0), // r4 > r3: pass
        op(0x69, 5, 2, 12, 0), // type
        unless(5, 0x0008, 13), // IPv4, as the octets stand
        op(0x71, 5, 2, 14, 0), // version and length
        unless(5, 0x45, 11),
        op(0x71, 5, 2, 23, 0), // protocol
        unless(5, 17, 9),
        op(0x69, 5, 2, 36, 0),        // port
        op(0x57, 5, 0, 0, port.mask), // &= mask
        unless(5, port.value, 6),
        op(0x61, 2, 1, 16, 0),  // r2: the queue
        op(0x18, 1, 1, 0, map), // r1: the map, in two parts
        0,
        op(0xb7, 3, 0, 0, PASS), // r3: for queues without a socket
        op(0x85, 0, 0, 0, 51),   // bpf_redirect_map
        op(0x95, 0, 0, 0, 0),
        op(0xb7, 0, 0, 0, PASS),
        op(0x95, 0, 0, 0, 0),
    ]
}

/// A call of bpf(2) with an attribute of so many words; the kernel takes what is missing for zeros.
fn bpf_call(command: libc::c_int, attribute: &[u64]) -> io::Result<i32> {
    // SAFETY: the kernel reads as many octets of the attribute as it is told; what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_ptr(), size_of_val(attribute)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn bpf(command: libc::c_int, attribute: &[u64]) -> io::Result<OwnedFd> {
    let descriptor = bpf_call(command, attribute)?;
    // SAFETY: it was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// One of the four rings: the kernel's and our positions, and the places.
pub(crate) struct Ring<T> {
    produced: *const AtomicU32,
    consumed: *const AtomicU32,
    places: *mut T,
}

impl<T: Copy> Ring<T> {
    fn map(fd: &OwnedFd, at: &libc::xdp_ring_offset, page: i64) -> io::Result<Self> {
        let octets = at.desc as usize + PLACES as usize * size_of::<T>();
        // SAFETY: a new mapping at a place that the kernel chooses; it is never taken away.
        let base = unsafe {
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
            libc::mmap(null_mut(), octets, access, flags, fd.as_raw_fd(), page)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = base.cast::<u8>();
        Ok(Self {
            produced: base.wrapping_add(at.producer as usize).cast(),
            consumed: base.wrapping_add(at.consumer as usize).cast(),
            places: base.wrapping_add(at.desc as usize).cast(),
        })
    }

    fn positions(&self) -> (&AtomicU32, &AtomicU32) {
        // SAFETY: both lie in the mapping, aligned, for as long as the process lives, and are only used atomically.
        unsafe { (&*self.produced, &*self.consumed) }
    }

    /// How many the kernel has produced that we have not taken.
    pub(crate) fn waiting(&self) -> u32 {
        let (produced, consumed) = self.positions();
        produced.load(Ordering::Acquire).wrapping_sub(consumed.load(Ordering::Relaxed))
    }

    /// How many we may produce.
    pub(crate) fn room(&self) -> u32 {
        let (produced, consumed) = self.positions();
        PLACES - produced.load(Ordering::Relaxed).wrapping_sub(consumed.load(Ordering::Acquire))
    }

    pub(crate) fn take(&self, count: u32, mut each: impl FnMut(T)) {
        let from = self.positions().1.load(Ordering::Relaxed);
        for at in 0..count {
            let place = self.places.wrapping_add((from.wrapping_add(at) & (PLACES - 1)) as usize);
            // SAFETY: within the mapping by the mask; the kernel has written it and will not before we release it.
            each(unsafe { place.read() });
        }
        self.positions().1.store(from.wrapping_add(count), Ordering::Release);
    }

    pub(crate) fn put(&self, count: u32, mut each: impl FnMut(u32) -> T) {
        let from = self.positions().0.load(Ordering::Relaxed);
        for at in 0..count {
            let place = self.places.wrapping_add((from.wrapping_add(at) & (PLACES - 1)) as usize);
            // SAFETY: within the mapping by the mask; the kernel does not look at it before we say so.
            unsafe { place.write(each(at)) };
        }
        self.positions().0.store(from.wrapping_add(count), Ordering::Release);
    }
}

pub(crate) struct Socket {
    pub(crate) fd: OwnedFd,
    frames: *mut u8,
    pub(crate) receive: Ring<libc::xdp_desc>,
    pub(crate) send: Ring<libc::xdp_desc>,
    pub(crate) fill: Ring<u64>,
    pub(crate) sent: Ring<u64>,
}

impl Socket {
    fn open(interface: u32) -> io::Result<Self> {
        let octets = FRAME * FRAMES as usize;
        // SAFETY: no pointers; a new mapping at a place that the kernel chooses, never taken away.
        let (fd, frames) = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
            let frames = libc::mmap(null_mut(), octets, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            (libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0), frames)
        };
        if fd < 0 || frames == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Frames, their number of octets, the size of each, no headroom, no flags.
        set(&fd, libc::XDP_UMEM_REG, &[frames as u64, octets as u64, FRAME as u64, 0])?;
        for ring in
            [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING]
        {
            set(&fd, ring, &PLACES)?;
        }
        // SAFETY: plain numbers, for which zeros are a value.
        let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&offsets) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` octets of the structure, which is ours alone for the call.
        let result = unsafe {
            let (level, option) = (libc::SOL_XDP, libc::XDP_MMAP_OFFSETS);
            libc::getsockopt(fd.as_raw_fd(), level, option, (&raw mut offsets).cast(), &raw mut length)
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = Self {
            receive: Ring::map(&fd, &offsets.rx, libc::XDP_PGOFF_RX_RING)?,
            send: Ring::map(&fd, &offsets.tx, libc::XDP_PGOFF_TX_RING)?,
            fill: Ring::map(&fd, &offsets.fr, libc::XDP_UMEM_PGOFF_FILL_RING as i64)?,
            sent: Ring::map(&fd, &offsets.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64)?,
            frames: frames.cast(),
            fd,
        };
        socket.fill.put(PLACES, |at| u64::from(at) * FRAME as u64);
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: interface,
            sxdp_queue_id: 0,
            sxdp_shared_umem_fd: 0,
        };
        while_busy(|| {
            // SAFETY: the kernel reads as many octets of the address as it is told.
            let result = unsafe {
                let octets = size_of_val(&address) as libc::socklen_t;
                libc::bind(socket.fd.as_raw_fd(), (&raw const address).cast(), octets)
            };
            if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        })?;
        Ok(socket)
    }

    /// Has the kernel send what is in the ring; says whether something is left.
    pub(crate) fn kick(&self) -> bool {
        // SAFETY: no buffer, no address.
        let result = unsafe { libc::sendto(self.fd.as_raw_fd(), null(), 0, libc::MSG_DONTWAIT, null(), 0) };
        result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
    }

    /// A frame that is ours: received and not given back, or free and not sent.
    ///
    /// # Panics
    /// If it is not within the memory of this socket.
    pub(crate) fn frame(&mut self, address: u64, octets: usize) -> &mut [u8] {
        assert!(address as usize + octets <= FRAME * FRAMES as usize, "frames are within their memory");
        // SAFETY: within the mapping, which lives as long as the process; who asks has the frame, and has the socket
        // alone meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.frames.wrapping_add(address as usize), octets) }
    }
}

fn set<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads as many octets of the value as it is told.
    let result = unsafe {
        let octets = size_of_val(value) as libc::socklen_t;
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, (&raw const *value).cast(), octets)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
