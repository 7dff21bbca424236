//! The floor of every server on AF_XDP: takes frames from queue 0 of an interface, turns the addresses round, sets
//! the bits that make a DNS query a reply, and sends the same frames back. No DNS, no second frame, no checksums, no
//! heartbeat, IPv4 alone; the crate's own queues do all of that.
//!
//! ```text
//! cargo run --release -p pharos-netio --example bare_xdp_echo -- eth0
//! ```

use std::error::Error;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a packet may have at most; the smallest page there is.
const FRAME: usize = 4096;
const FRAMES: u32 = 8192;
/// Places of each ring; half of the frames at first wait to be received into.
const PLACES: u32 = 4096;
/// As many as the responder's workers take at once.
const BATCH: u32 = 64;
/// Frames that are taken back at once.
const FREED: usize = 256;
/// In copy mode one call sends at most 32 frames, so a batch takes some; what is left then waits for the next turn.
const KICKS: usize = 8;
/// QR and AA (RFC 1035 §4.1.1).
const REPLY: u8 = 0x84;
/// Where the octets with them are, behind the headers of Ethernet, IPv4 and UDP.
const FLAGS_AT: usize = 14 + 20 + 8 + 2;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("usage: bare_xdp_echo INTERFACE")?;
    let c_name = CString::new(name)?;
    // SAFETY: a string that ends with a zero and outlives the call.
    let interface = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if interface == 0 {
        return Err(io::Error::last_os_error().into());
    }
    let socket = Socket::open(interface)?;
    let map = bpf(0, &[17 | (4 << 32), 4 | (1 << 32)])?; // BPF_MAP_CREATE: XSKMAP, one place of a number for a number
    let (queue, descriptor) = (0_u32, socket.fd.as_raw_fd());
    let update = [map.as_raw_fd() as u64, (&raw const queue) as u64, (&raw const descriptor) as u64, 0];
    bpf_call(2, &update)?; // BPF_MAP_UPDATE_ELEM
    let program = program(map.as_raw_fd());
    let licence = c"GPL";
    // BPF_PROG_LOAD: of type XDP
    let load =
        [6 | ((program.len() as u64) << 32), program.as_ptr() as u64, licence.as_ptr() as u64, 0, 0, 0];
    let program = bpf(5, &load)?;
    // BPF_LINK_CREATE: attach type XDP, in the driver
    let _link = bpf(28, &[program.as_raw_fd() as u64 | (u64::from(interface) << 32), 37 | (4 << 32)])?;
    socket.serve()
}

/// IPv4 without options, UDP to port 53 goes to the socket, everything else to the kernel.
fn program(map: i32) -> Vec<u64> {
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
        op(0x2d, 4, 3, 14, 0), // r4 > r3: pass
        op(0x69, 5, 2, 12, 0), // type
        unless(5, 0x0008, 12), // IPv4, as the octets stand
        op(0x71, 5, 2, 14, 0), // version and length
        unless(5, 0x45, 10),
        op(0x71, 5, 2, 23, 0), // protocol
        unless(5, 17, 8),
        op(0x69, 5, 2, 36, 0),  // port
        unless(5, 0x3500, 6),   // 53, as the octets stand
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
struct Ring<T> {
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
    fn waiting(&self) -> u32 {
        let (produced, consumed) = self.positions();
        produced.load(Ordering::Acquire).wrapping_sub(consumed.load(Ordering::Relaxed))
    }

    /// How many we may produce.
    fn room(&self) -> u32 {
        let (produced, consumed) = self.positions();
        PLACES - produced.load(Ordering::Relaxed).wrapping_sub(consumed.load(Ordering::Acquire))
    }

    fn take(&self, count: u32, mut each: impl FnMut(T)) {
        let from = self.positions().1.load(Ordering::Relaxed);
        for at in 0..count {
            let place = self.places.wrapping_add((from.wrapping_add(at) & (PLACES - 1)) as usize);
            // SAFETY: within the mapping by the mask; the kernel has written it and will not before we release it.
            each(unsafe { place.read() });
        }
        self.positions().1.store(from.wrapping_add(count), Ordering::Release);
    }

    fn put(&self, count: u32, mut each: impl FnMut(u32) -> T) {
        let from = self.positions().0.load(Ordering::Relaxed);
        for at in 0..count {
            let place = self.places.wrapping_add((from.wrapping_add(at) & (PLACES - 1)) as usize);
            // SAFETY: within the mapping by the mask; the kernel does not look at it before we say so.
            unsafe { place.write(each(at)) };
        }
        self.positions().0.store(from.wrapping_add(count), Ordering::Release);
    }
}

struct Socket {
    fd: OwnedFd,
    frames: *mut u8,
    receive: Ring<libc::xdp_desc>,
    send: Ring<libc::xdp_desc>,
    fill: Ring<u64>,
    sent: Ring<u64>,
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
        // SAFETY: the kernel reads as many octets of the address as it is told.
        let result = unsafe {
            let octets = size_of_val(&address) as libc::socklen_t;
            libc::bind(socket.fd.as_raw_fd(), (&raw const address).cast(), octets)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    fn serve(&self) -> ! {
        let mut unsent = false;
        loop {
            // Frames that were sent are there to be received into again.
            let sent = self.sent.waiting().min(self.fill.room()).min(FREED as u32);
            if sent > 0 {
                let (mut free, mut count) = ([0; FREED], 0);
                self.sent.take(sent, |address| {
                    free[count] = address & !(FRAME as u64 - 1);
                    count += 1;
                });
                self.fill.put(sent, |at| free[at as usize]);
            }
            let came = self.receive.waiting().min(BATCH).min(self.send.room());
            if came == 0 {
                if unsent {
                    unsent = self.kick();
                } else {
                    self.wait();
                }
                continue;
            }
            let mut batch = [libc::xdp_desc { addr: 0, len: 0, options: 0 }; BATCH as usize];
            let mut at = 0;
            self.receive.take(came, |packet| {
                // SAFETY: the kernel gave us this frame, and no one else has it until we send it.
                let frame = unsafe {
                    let start = self.frames.wrapping_add(packet.addr as usize);
                    std::slice::from_raw_parts_mut(start, packet.len as usize)
                };
                echo(frame);
                batch[at] = libc::xdp_desc { options: 0, ..packet };
                at += 1;
            });
            self.send.put(came, |at| batch[at as usize]);
            unsent = (0..KICKS).all(|_| self.kick());
        }
    }

    /// Has the kernel send what is in the ring; says whether something is left.
    fn kick(&self) -> bool {
        // SAFETY: no buffer, no address.
        let result = unsafe { libc::sendto(self.fd.as_raw_fd(), null(), 0, libc::MSG_DONTWAIT, null(), 0) };
        result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
    }

    fn wait(&self) {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, ours alone for the call. Its result does not matter: the rings say what there is.
        unsafe { libc::poll(&raw mut poll, 1, 1000) };
    }
}

/// Turns link addresses, IPv4 addresses and ports round. Their sums stay as they are; UDP may go without its own.
fn echo(frame: &mut [u8]) {
    if frame.len() <= FLAGS_AT {
        return;
    }
    for (one, other, octets) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        for at in 0..octets {
            frame.swap(one + at, other + at);
        }
    }
    frame[40..42].fill(0);
    frame[FLAGS_AT] |= REPLY;
}

fn set<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads as many octets of the value as it is told.
    let result = unsafe {
        let octets = size_of_val(value) as libc::socklen_t;
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, (&raw const *value).cast(), octets)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
