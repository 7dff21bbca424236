//! A queue whose other end is the test's: rings in a file, where the kernel would have them.

use std::fs::File;
use std::os::fd::AsFd;

use super::*;

/// Places of RX and fill ring, two batches.
const PLACES: u32 = 128;
const FRAME_OCTETS: u32 = 2048;
/// A port that no host sends from, and one that hosts do.
const NO_PORT: u16 = 0;
const A_PORT: u16 = 40_000;

/// The queue, and the kernel's end of the rings on its side of the queries.
struct Bench {
    queue: Queue,
    rx: Producer<Descriptor>,
    fill: Consumer<u64>,
}

impl Bench {
    fn new() -> Self {
        let file = sparse_file();
        let fd = file.as_fd();
        let at = libc::xdp_ring_offset { producer: 0, consumer: 64, flags: 128, desc: 192 };
        let offsets = libc::xdp_mmap_offsets { rx: at, tx: at, fr: at, cr: at };
        let mut fill = Producer::map(fd, Which::Fill, &offsets, PLACES).unwrap();
        for index in 0..u64::from(PLACES) {
            assert!(fill.push(index * u64::from(FRAME_OCTETS)));
        }
        fill.submit();
        let replies_at = u64::from(PLACES * FRAME_OCTETS);
        let reply = |index: u32| replies_at + u64::from(index * FRAME_OCTETS);
        let queue = Queue {
            interface: 1,
            number: 0,
            // Nothing listens there: what is sent stays in the ring.
            socket: std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            rx: Consumer::map(fd, Which::Rx, &offsets, PLACES).unwrap(),
            places: PLACES,
            tx: Producer::map(fd, Which::Tx, &offsets, PLACES).unwrap(),
            fill,
            completion: Consumer::map(fd, Which::Completion, &offsets, PLACES).unwrap(),
            frames: Mapping::anonymous((2 * PLACES * FRAME_OCTETS) as usize).unwrap(),
            frame_octets: FRAME_OCTETS.into(),
            replies_at,
            most_octets: [1472, 1452],
            free: (0..PLACES).map(reply).collect(),
            metas: vec![Meta::default(); MAX_SLOTS].into_boxed_slice(),
            received: 0,
            is_zero_copy: false,
            identification: 0,
            heartbeats: Arc::new(Mapping::anonymous(4096).unwrap()),
            counts: Arc::default(),
            kernel: [0; 5],
        };
        Self {
            queue,
            rx: Producer::map(fd, Which::Rx, &offsets, PLACES).unwrap(),
            fill: Consumer::map(fd, Which::Fill, &offsets, PLACES).unwrap(),
        }
    }

    /// A packet from this port arrives; says whether there was a frame and a place for it.
    fn arrives(&mut self, source_port: u16) -> bool {
        if self.fill.peek(1) == 0 {
            return false;
        }
        let address = self.fill.get(0) + u64::from(KERNEL_HEADROOM);
        self.fill.release(1);
        let packet = packet(source_port);
        let place = self.queue.frames.place::<u8>(address as usize, packet.len());
        // SAFETY: `place` has checked the bounds; the frame is the kernel's, whose part the test plays.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(&packet[..]).cast(), packet.len()) };
        let is_there = self.rx.push(Descriptor { address, octets: packet.len() as u32, options: 0 });
        self.rx.submit();
        is_there
    }
}

/// Long enough for the rings at the kernel's offsets, and empty.
fn sparse_file() -> File {
    let path = std::env::temp_dir().join(format!(
        "pharos-rings-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(libc::XDP_UMEM_PGOFF_COMPLETION_RING + (1 << 20)).unwrap();
    file
}

/// A query of twelve octets by IPv4 from a port to port 53.
fn packet(source_port: u16) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 5, 2, 0, 0, 0, 0, 12, 8, 0];
    packet.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 7, 198, 51, 100, 53]);
    packet.extend(source_port.to_be_bytes());
    packet.extend([0, 53, 0, 20, 0, 0]);
    packet.extend([0; 12]);
    packet
}

#[test]
fn a_query_behind_more_refused_frames_than_a_batch_is_taken_at_once() {
    let mut bench = Bench::new();
    let refused = PLACES - 1;
    assert!((0..refused).all(|_| bench.arrives(NO_PORT)) && bench.arrives(A_PORT));
    assert_eq!(bench.queue.receive(), 1, "the first look finds it");
    assert_eq!(bench.queue.counts().get(Event::BadSource), refused.into());
    assert_eq!(bench.queue.query(0), Some(&[0; 12][..]));
    assert!(!bench.queue.has_more());
}

#[test]
fn frames_that_are_refused_are_the_kernels_again_before_the_ring_is_looked_at_once_more() {
    let mut bench = Bench::new();
    assert!((0..PLACES).all(|_| bench.arrives(NO_PORT)));
    assert!(!bench.arrives(A_PORT), "all frames are in the ring");
    assert_eq!(bench.queue.receive(), 0);
    assert!(!bench.queue.has_more());
    assert!(bench.arrives(A_PORT));
    assert!(bench.queue.has_more(), "so nobody sleeps");
    assert_eq!(bench.queue.receive(), 1);
}

#[test]
fn no_more_than_a_ring_is_looked_at_in_a_row_and_whoever_looks_knows_that_there_is_more() {
    let mut bench = Bench::new();
    bench.queue.places = 64;
    assert!((0..PLACES - 1).all(|_| bench.arrives(NO_PORT)) && bench.arrives(A_PORT));
    assert_eq!(bench.queue.receive(), 0);
    assert!(bench.queue.has_more());
    assert_eq!(bench.queue.receive(), 1);
}
