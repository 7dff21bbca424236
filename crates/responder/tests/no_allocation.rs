//! A responder that has warmed up answers thousands of queries without one allocation in any of its threads.
//!
//! A counting allocator tells threads apart; those that the responder started are held to zero. What each kind of
//! query does on the way is watched in more detail in the workspace's `tests/tests/no_allocation.rs`.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pharos_responder::{Config, Responder, ZoneSource};
use pharos_testkit::counting::{self, Counting};

/// Long enough for the slowest machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Queries sent before the first is read back: less than the sockets' buffers hold.
const WINDOW: usize = 32;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Header, question and EDNS with the DO bit and NSID.
fn query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let [i0, i1] = id.to_be_bytes();
    let mut message = vec![i0, i1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    message.extend(b"\0\0\x29\x04\xd0\0\0\x80\0\0\x04\0\x03\0\0");
    message
}

/// Queries of every kind that the sample zones have, by the response code that they get.
fn queries() -> Vec<(Vec<u8>, u8)> {
    let asked = [
        ("www.example.com", 1, 0),       // positive
        ("WWW.Example.COM", 28, 0),      // in other case
        ("example.com", 15, 0),          // with additional addresses
        ("shop.example.com", 1, 0),      // CNAME
        ("old-shop.example.com", 1, 0),  // a chain
        ("static.example.com", 1, 0),    // out of the zone
        ("www.example.com", 16, 0),      // NODATA
        ("_tcp.example.com", 1, 0),      // NODATA at an empty non-terminal
        ("none.none.example.com", 1, 3), // NXDOMAIN
        ("example.com", 255, 0),         // ANY
        ("signed.example", 48, 0),       // signed
        ("none.signed.example", 1, 3),   // signed NXDOMAIN
        ("www.elsewhere.test", 1, 5),    // REFUSED
        ("example.com", 252, 5),         // AXFR
        ("example.com", 41, 1),          // FORMERR
        ("example.com", 249, 4),         // NOTIMP
    ];
    let mut queries: Vec<_> =
        (0..).zip(asked).map(|(id, (name, qtype, rcode))| (query(id, name, qtype), rcode)).collect();
    let mut versed = query(100, "example.com", 1);
    let at = versed.len() - 9;
    versed[at] = 1;
    queries.push((versed, 0)); // BADVERS, whose lower four bits are 0
    queries
}

/// Asks all queries `rounds` times, with room for whole batches; nothing here needs memory once it runs.
fn ask(server: SocketAddr, socket: &UdpSocket, queries: &[(Vec<u8>, u8)], rounds: usize) {
    let mut reply = [0; 4096];
    for _ in 0..rounds {
        for window in queries.chunks(WINDOW) {
            for (message, _) in window {
                socket.send_to(message, server).unwrap();
            }
            for _ in window {
                let octets = socket.recv(&mut reply).unwrap();
                let asked = queries.iter().find(|(message, _)| message[..2] == reply[..2]);
                let (message, rcode) = asked.unwrap();
                assert!(octets >= 12, "{octets}");
                assert_eq!(reply[3] & 0xf, *rcode, "{message:02x?}");
            }
        }
    }
}

/// The same by a connection, where those of one window come together.
fn ask_by_tcp(stream: &mut TcpStream, queries: &[(Vec<u8>, u8)], rounds: usize) {
    let (mut octets, mut reply) = ([0; 4096], [0; 4096]);
    for _ in 0..rounds {
        for window in queries.chunks(WINDOW / 2) {
            let mut len = 0;
            for (message, _) in window {
                octets[len..len + 2].copy_from_slice(&(message.len() as u16).to_be_bytes());
                octets[len + 2..len + 2 + message.len()].copy_from_slice(message);
                len += 2 + message.len();
            }
            stream.write_all(&octets[..len]).unwrap();
            for (message, rcode) in window {
                stream.read_exact(&mut reply[..2]).unwrap();
                let len = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
                stream.read_exact(&mut reply[..len]).unwrap();
                assert_eq!((&reply[..2], reply[3] & 0xf), (&message[..2], *rcode), "{message:02x?}");
            }
        }
    }
}

#[test]
fn no_thread_of_a_responder_allocates_while_it_answers() {
    let zones: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zones");
    let first = counting::next_thread();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let config = Config {
        nsid: "a.test".into(),
        workers: NonZeroUsize::new(2),
        ..Config::new(listen, ZoneSource::Directory(zones))
    };
    let responder = Responder::start(config).unwrap();
    let server = responder.handle().listen()[0];
    let queries = queries();
    // Several sockets, so that both workers are asked whichever way the kernel spreads clients.
    let sockets: Vec<UdpSocket> = (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        ask(server, socket, &queries, 5);
    }
    let mut streams: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(server).unwrap()).collect();
    for stream in &mut streams {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ask_by_tcp(stream, &queries, 5);
    }
    let counts = || counting::counts(first..counting::next_thread());
    let before = counts();
    for socket in &sockets {
        ask(server, socket, &queries, 20);
    }
    for stream in &mut streams {
        ask_by_tcp(stream, &queries, 20);
    }
    let after = counts();
    println!(
        "{} queries; allocations of each thread before and after: {before:?} {after:?}",
        2 * 16 * 20 * queries.len()
    );
    assert!(before.len() >= 4, "workers and TCP threads have allocated while they started");
    assert_eq!(before, after);
    responder.stop();
}
