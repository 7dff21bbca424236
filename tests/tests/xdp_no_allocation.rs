//! A responder that has warmed up answers by AF_XDP, thousands of queries, without one allocation in any of its
//! threads: the same proof as crates/responder/tests/no_allocation.rs has for sockets.
//!
//! The responder runs in this process, in a network namespace of its own at one end of a veth pair; a counting
//! allocator tells its threads apart.

use pharos_responder::{Config, Responder, XdpOptions, XdpRingSize, ZoneSource};
use pharos_testkit::counting::{self, Counting};
use pharos_tests::lab::{Namespace, source_root};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Long enough for the slowest machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Queries sent before the first is read back: less than the rings and the sockets' buffers hold.
const WINDOW: usize = 16;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Header, question and EDNS with the DO bit and NSID.
fn query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let [i0, i1] = id.to_be_bytes();
    let mut message = vec![i0, i1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    message.extend(b"\0\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x03\0\0");
    message
}

/// Asks everything so many times; nothing here needs memory once it runs.
fn ask(socket: &UdpSocket, queries: &[Vec<u8>], rounds: usize) {
    let mut reply = [0; 4096];
    for _ in 0..rounds {
        for window in queries.chunks(WINDOW) {
            for message in window {
                socket.send(message).expect("the veth is up");
            }
            for _ in window {
                let octets = socket.recv(&mut reply).expect("each query has its answer");
                assert!(octets >= 12 && queries.iter().any(|message| message[..2] == reply[..2]));
            }
        }
    }
}

#[test]
#[ignore = "needs network namespaces"]
fn no_thread_of_a_responder_allocates_while_it_answers_by_af_xdp() {
    let (server, client) = (Namespace::new("server"), Namespace::new("client"));
    server.link("xs0", &["10.53.0.1/24", "fd53::1/64"], &client, "xc0", &["10.53.0.2/24", "fd53::2/64"]);
    let listen: Vec<SocketAddr> =
        ["10.53.0.1:53", "[fd53::1]:53"].map(|address| address.parse().unwrap()).to_vec();
    let mut xdp = XdpOptions::new("xs0");
    xdp.ring = XdpRingSize::new(1024).unwrap();
    let zones = ZoneSource::Directory(source_root().join("zones"));
    let config = Config {
        nsid: "a.test".into(),
        workers: NonZeroUsize::new(1),
        xdp: vec![xdp],
        ..Config::new(listen.clone(), zones)
    };
    let asked = [
        ("www.example.com", 1),
        ("WWW.Example.COM", 28),
        ("example.com", 15),
        ("shop.example.com", 1),
        ("none.none.example.com", 1),
        ("signed.example", 48),
        ("none.signed.example", 1),
        ("www.elsewhere.test", 1),
        ("example.com", 252),
    ];
    let queries: Vec<_> = (0..).zip(asked).map(|(id, (name, qtype))| query(id, name, qtype)).collect();
    let sockets: Vec<UdpSocket> = client.enter(|| {
        let connected = |address: &SocketAddr| {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.connect(address).unwrap();
            socket
        };
        listen.iter().map(connected).collect()
    });
    let first = counting::next_thread();
    let responder = server.enter(|| Responder::start(config).unwrap());
    sockets.iter().for_each(|socket| ask(socket, &queries, 50));
    let received = |responder: &Responder| {
        let status = responder.handle().status(&pharos_responder::StatusFilter::default());
        let queues = status.xdp.first().map(|face| face.queues.as_slice()).unwrap_or_default();
        queues.iter().filter_map(|queue| queue.events.get("received")).sum::<u64>()
    };
    let received_before = received(&responder);
    // Of the threads that were there by now.
    let threads = first..counting::next_thread();
    let counts = || counting::counts(threads.clone());
    let before = counts();
    sockets.iter().for_each(|socket| ask(socket, &queries, 500));
    let after = counts();
    let asked = (2 * 500 * queries.len()) as u64;
    assert_eq!(received(&responder) - received_before, asked, "all of them came by AF_XDP");
    println!("{asked} queries; allocations of each thread before and after: {before:?} {after:?}");
    assert!(before.len() >= 3, "the worker, the keeper and the TCP thread have allocated while they started");
    // The keeper of the interfaces allocates when the kernel tells it of a change; a worker would do so for each batch.
    let grown: u64 = before.iter().zip(&after).map(|(before, after)| after - before).sum();
    assert!(grown < asked / 64, "{grown} allocations: {before:?} {after:?}");
    responder.stop();
}
