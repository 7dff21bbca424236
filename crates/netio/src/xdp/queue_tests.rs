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

/// The queue, and the kernel's ends of its rings.
struct Bench {
    queue: Queue,
    rx: Producer<Descriptor>,
    fill: Consumer<u64>,
    tx: Consumer<Descriptor>,
    completion: Producer<u64>,
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
            tx: Consumer::map(fd, Which::Tx, &offsets, PLACES).unwrap(),
            completion: Producer::map(fd, Which::Completion, &offsets, PLACES).unwrap(),
        }
    }

    /// So many queries arrive, are taken and answered, and the replies stay in the TX ring.
    fn answers(&mut self, queries: u32) {
        assert!((0..queries).all(|_| self.arrives(A_PORT)));
        assert_eq!(self.queue.receive(), queries as usize);
        for index in 0..queries as usize {
            *self.queue.slot(index).unwrap().reply_octets = 12;
        }
        self.queue.send();
        assert_eq!(self.queue.tx.pending(), queries);
    }

    /// The system call in which the kernel takes up to `most` replies, and then says this.
    fn kick(&mut self, most: u32, errors: &[i32]) -> usize {
        let Self { queue, tx, .. } = self;
        let mut calls = 0;
        queue.kick_by(|| {
            let taken = tx.peek(most);
            tx.release(taken);
            calls += 1;
            match errors.get(calls - 1) {
                Some(&error) => Err(io::Error::from_raw_os_error(error)),
                None => Ok(()),
            }
        });
        calls
    }

    /// The kernel lets go of the frames of replies that it has taken from their first octets.
    fn lets_go(&mut self, frames: impl Iterator<Item = u64>) {
        for frame in frames {
            assert!(self.completion.push(frame));
        }
        self.completion.submit();
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

#[test]
fn a_kernel_that_sends_a_part_is_asked_again_while_that_moves_anything_and_not_for_good() {
    let mut bench = Bench::new();
    bench.answers(64);
    assert_eq!(bench.kick(32, &[libc::EAGAIN]), 2);
    assert_eq!(bench.queue.tx.pending(), 0);
    assert_eq!(bench.queue.counts().get(Event::TxAgain), 0, "nothing had to wait");

    bench.answers(64);
    assert_eq!(
        bench.kick(1, &[libc::EAGAIN; 100]),
        usize::from(KICKS),
        "no more than so many calls for one send"
    );
    assert_eq!(bench.queue.tx.pending(), 64 - u32::from(KICKS));
}

#[test]
fn a_device_that_is_full_leaves_the_replies_in_the_ring_and_is_asked_once() {
    for error in [libc::EAGAIN, libc::EINTR] {
        let mut bench = Bench::new();
        bench.answers(3);
        let before = bench.queue.counts().get(Event::TxAgain);
        assert_eq!(bench.kick(0, &[error; 100]), 1);
        assert_eq!(bench.queue.counts().get(Event::TxAgain), before + 1);
        assert!(bench.queue.is_waiting(), "so nobody sleeps");
        assert_eq!(bench.kick(32, &[]), 1, "a later turn sends them");
        assert!(!bench.queue.is_waiting());
    }
}

#[test]
fn a_busy_device_loses_one_reply_which_is_counted_and_no_second_one_by_another_call() {
    let mut bench = Bench::new();
    bench.answers(3);
    assert_eq!(bench.kick(1, &[libc::EBUSY; 100]), 1);
    assert_eq!(bench.queue.counts().get(Event::TxBusy), 1);
    assert_eq!(bench.queue.counts().lost(), 1);
    assert_eq!(bench.queue.tx.pending(), 2);
}

#[test]
fn an_interface_that_is_down_is_counted_apart_and_its_replies_stay() {
    let mut bench = Bench::new();
    bench.answers(3);
    let before = bench.queue.counts().get(Event::TxFailed);
    assert_eq!(bench.kick(0, &[libc::ENETDOWN; 100]), 1);
    assert_eq!(bench.queue.counts().get(Event::TxFailed), before + 1);
    assert_eq!((bench.queue.tx.pending(), bench.queue.counts().lost()), (3, 0));
}

#[test]
fn without_frames_for_replies_queries_stay_in_the_ring_until_the_kernel_lets_go_of_some() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.answers(64);
        bench.kick(64, &[]);
    }
    assert!(bench.queue.free.is_empty());
    assert!(bench.arrives(A_PORT));
    assert_eq!(bench.queue.receive(), 0);
    assert_eq!(bench.queue.counts().get(Event::NoReplyFrame), 1);
    assert!(!bench.queue.has_more(), "none that can be taken");
    assert!(bench.queue.is_waiting());
    // From anywhere in the frame.
    let (replies_at, octets) = (bench.queue.replies_at, bench.queue.frame_octets);
    bench.lets_go((0..2).map(|index| replies_at + index * octets + 20));
    assert_eq!(bench.queue.receive(), 1, "the query had waited");
    assert_eq!(bench.queue.counts().lost(), 0);
    assert_eq!(bench.queue.free.len(), 1);
}
