//! The program as the kernel runs it, on packets of every kind (BPF_PROG_TEST_RUN): what goes to the queue's socket,
//! and what passes. Where the kernel does not let us load programs, the test says so and leaves itself out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::super::interface::Interface;
use super::super::memory::Mapping;
use super::super::queue::{Plan, Queue};
use super::super::{Copying, QueueCounts, bpf, coarse_now_ns};
use super::*;

const XDP_REDIRECT: u32 = 4;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
const LONGEST: u32 = 1792;

/// The program with its maps and the socket of queue 0, in a network namespace of its own.
struct Bench {
    program: OwnedFd,
    _sockets: OwnedFd,
    _heartbeats: OwnedFd,
    queue: Queue,
}

impl Bench {
    fn new(targets: &[SocketAddr]) -> io::Result<Self> {
        // SAFETY: no pointers; only this thread, which belongs to the test, gets another network.
        crate::sys::check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
        let interface = Interface::look("lo")?.expect("every namespace has a loopback");
        let heartbeats = bpf::array(HEARTBEAT_OCTETS, 1)?;
        let beats = Arc::new(Mapping::shared(heartbeats.as_fd(), 0, HEARTBEAT_OCTETS as usize)?);
        let sockets = bpf::socket_map(1)?;
        let plan = Plan {
            interface: interface.index,
            number: 0,
            ring: 64,
            frame_octets: 2048,
            mtu: 1500,
            copying: Copying::Copy,
            heartbeats: &beats,
            counts: Arc::<QueueCounts>::default(),
        };
        let queue = Queue::open(&plan).map_err(|(_, error)| error)?;
        bpf::set_socket(sockets.as_fd(), 0, queue.as_fd())?;
        let purpose = Purpose {
            mac: MAC,
            targets,
            longest: LONGEST,
            sockets: sockets.as_fd(),
            heartbeats: heartbeats.as_fd(),
        };
        let program = bpf::load(&assemble(&purpose))?;
        Ok(Self { program, _sockets: sockets, _heartbeats: heartbeats, queue })
    }

    /// The bench on a thread that it has to itself; nothing where it cannot be made.
    fn with(targets: &[SocketAddr], test: impl FnOnce(&Self) + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| match Self::new(targets) {
                Ok(bench) => test(&bench),
                Err(error) => {
                    let why = format!("the program cannot be loaded and run here: {error}");
                    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
                    eprintln!("left out: {why}");
                }
            });
        });
    }

    /// What the program says of a packet while the worker turns.
    fn verdict(&self, packet: &[u8]) -> u32 {
        self.queue.beat(coarse_now_ns());
        bpf::run(self.program.as_fd(), packet).expect("the kernel runs a program that it took")
    }

    fn takes(&self, packet: &[u8]) -> bool {
        match self.verdict(packet) {
            XDP_REDIRECT => true,
            verdict => {
                assert_eq!(verdict, XDP_PASS as u32, "nothing is ever dropped");
                false
            }
        }
    }
}

fn targets(text: &[&str]) -> Vec<SocketAddr> {
    text.iter().map(|target| target.parse().unwrap()).collect()
}

fn served() -> Vec<SocketAddr> {
    targets(&["192.0.2.53:53", "192.0.2.54:5353", "[2001:db8::53]:53", "[2001:db8:1::53]:5353"])
}

/// A UDP packet for an address and a port, with a payload of so many octets.
fn packet(to: &str, octets: usize) -> Vec<u8> {
    let to: SocketAddr = to.parse().unwrap();
    let udp_octets = (8 + octets) as u16;
    let mut out = [&MAC[..], &[2, 0, 0, 0, 0, 0xc]].concat();
    match to.ip() {
        IpAddr::V4(address) => {
            out.extend([8, 0, 0x45, 0]);
            out.extend((20 + udp_octets).to_be_bytes());
            out.extend([0, 1, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 7]);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend(udp_octets.to_be_bytes());
            out.extend([17, 64]);
            out.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            out.extend(address.octets());
        }
    }
    out.extend([0x9c, 0x40]);
    out.extend(to.port().to_be_bytes());
    out.extend(udp_octets.to_be_bytes());
    out.extend([0, 0]);
    out.extend(vec![0; octets]);
    out
}

fn changed(to: &str, changes: &[(usize, u8)]) -> Vec<u8> {
    let mut out = packet(to, 30);
    for &(at, octet) in changes {
        out[at] = octet;
    }
    out
}

#[test]
fn datagrams_to_served_addresses_are_taken_and_no_others() {
    Bench::with(&served(), |bench| {
        for target in served() {
            assert!(bench.takes(&packet(&target.to_string(), 30)), "{target}");
            assert!(bench.takes(&packet(&target.to_string(), 0)), "{target}, empty");
        }
        for other in [
            "192.0.2.53:5353",
            "192.0.2.54:53",
            "192.0.2.55:53",
            "193.0.2.53:53",
            "[2001:db8::53]:5353",
            "[2001:db8:1::53]:53",
            "[2001:db8::54]:53",
            "[2001:db8:0:1::53]:53",
            "[3001:db8::53]:53",
            "[2001:db8::1:0:53]:53",
        ] {
            assert!(!bench.takes(&packet(other, 30)), "{other}");
        }
    });
}

#[test]
fn everything_that_is_no_plain_udp_packet_for_this_host_passes() {
    Bench::with(&served(), |bench| {
        let v4 = "192.0.2.53:53";
        assert!(bench.takes(&changed(v4, &[])));
        // Neither DF nor the type of service is anything special.
        assert!(bench.takes(&changed(v4, &[(20, 0), (15, 0xff)])));
        let passing: &[(&str, &[(usize, u8)])] = &[
            ("another host's address on the link", &[(5, 6)]),
            ("the first octets of it", &[(0, 6)]),
            ("a broadcast", &[(0, 255), (1, 255), (2, 255), (3, 255), (4, 255), (5, 255)]),
            ("a VLAN tag", &[(12, 0x81), (13, 0)]),
            ("ARP", &[(12, 8), (13, 6)]),
            ("IP options", &[(14, 0x46)]),
            ("a header that is too short", &[(14, 0x44)]),
            ("another version", &[(14, 0x65)]),
            ("the first fragment", &[(20, 0x20)]),
            ("a later fragment", &[(20, 0), (21, 1)]),
            ("the last fragment far behind", &[(20, 0x1f), (21, 0xff)]),
            ("the reserved bit with a fragment", &[(20, 0xa0)]),
            ("TCP", &[(23, 6)]),
            ("ICMP", &[(23, 1)]),
            ("IP in IP", &[(23, 4)]),
        ];
        for (what, changes) in passing {
            assert!(!bench.takes(&changed(v4, changes)), "{what}");
        }
        let v6 = "[2001:db8::53]:53";
        assert!(bench.takes(&changed(v6, &[])));
        assert!(bench.takes(&changed(v6, &[(14, 0x6f), (15, 0xff)])), "traffic class and flow label");
        for (what, changes) in [
            ("hop-by-hop options", (20, 0)),
            ("a routing header", (20, 43)),
            ("a fragment header", (20, 44)),
            ("destination options", (20, 60)),
            ("TCP", (20, 6)),
            ("neighbour discovery", (20, 58)),
            ("another version", (14, 0x40)),
        ] {
            assert!(!bench.takes(&changed(v6, &[changes])), "{what}");
        }
    });
}

#[test]
fn short_packets_pass_and_those_that_fit_no_frame_too() {
    Bench::with(&served(), |bench| {
        for target in ["192.0.2.53:53", "[2001:db8::53]:53"] {
            let headers = packet(target, 0).len();
            for octets in 14..headers {
                assert!(!bench.takes(&packet(target, 30)[..octets]), "{octets} octets to {target}");
            }
            let fits = LONGEST as usize - headers;
            assert!(bench.takes(&packet(target, fits)), "{target}");
            assert!(!bench.takes(&packet(target, fits + 1)), "{target}");
        }
    });
}

#[test]
fn without_a_turn_of_the_worker_for_a_second_packets_pass() {
    Bench::with(&served(), |bench| {
        let packet = packet("192.0.2.53:53", 30);
        let verdict = |beat_ns| {
            bench.queue.beat(beat_ns);
            bpf::run(bench.program.as_fd(), &packet).unwrap()
        };
        let stale_ns = STALE.as_nanos() as u64;
        assert_eq!(verdict(0), XDP_PASS as u32, "before its first turn");
        assert_eq!(verdict(coarse_now_ns() - 2 * stale_ns), XDP_PASS as u32);
        assert_eq!(verdict(coarse_now_ns()), XDP_REDIRECT);
        // The worker's clock may be a tick ahead of the program's.
        assert_eq!(verdict(coarse_now_ns() + 20_000_000), XDP_REDIRECT);
    });
}

#[test]
fn as_many_addresses_as_are_allowed_make_a_program_that_the_kernel_takes() {
    let mut many: Vec<SocketAddr> = (0..32).map(|n| SocketAddr::from(([192, 0, 2, n], 53))).collect();
    many.extend((0..32).map(|n| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 53))));
    assert_eq!(many.len(), MOST_TARGETS);
    Bench::with(&many, |bench| {
        for target in &many {
            assert!(bench.takes(&packet(&target.to_string(), 30)), "{target}");
        }
        assert!(!bench.takes(&packet("192.0.2.32:53", 30)) && !bench.takes(&packet("[2001:db8::20]:53", 30)));
    });
}
