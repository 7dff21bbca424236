//! BGP socket options between real loopback sockets: signatures and the TTL check, seen in what connects and
//! in the kernel's own counters of what it dropped.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use pharos_netio::Steering;
use pharos_netio::bgp::{Gtsm, Md5Key, SessionOptions, expect_peer, outbound, protect};
use pharos_netio::tcp::{TcpOptions, listen_group};
use socket2::SockRef;

/// Against a hang only.
const GUARD: Duration = Duration::from_secs(20);

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn with_key(key: &str) -> SessionOptions {
    SessionOptions { md5: Some(Md5Key::new(key.as_bytes()).unwrap()), ..SessionOptions::default() }
}

fn neighbour() -> SessionOptions {
    SessionOptions { gtsm: Gtsm::Neighbour, ..SessionOptions::default() }
}

/// A listener on the address that expects one peer there.
fn listener(address: &str, peer: &SessionOptions) -> TcpListener {
    let address = ip(address);
    let at = SocketAddr::new(address, 0);
    let listener = listen_group(at, 1, Steering::FlowHash, &TcpOptions::default()).unwrap().remove(0);
    expect_peer(&listener, address, peer).unwrap();
    listener
}

/// Begins to connect, without waiting for the other side.
fn begin(listener: &TcpListener, options: &SessionOptions) -> TcpStream {
    let peer = listener.local_addr().unwrap();
    let stream = outbound(peer, options).unwrap();
    let started = SockRef::from(&stream).connect(&peer.into());
    assert!(started.is_ok() || started.unwrap_err().raw_os_error() == Some(libc::EINPROGRESS));
    stream
}

/// Polls until something is there.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < GUARD {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

fn accept(listener: &TcpListener) -> TcpStream {
    eventually(|| listener.accept().ok()).expect("the connection is accepted").0
}

/// A counter of /proc/net/netstat, where the kernel says why it dropped what.
fn counter(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let found = names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name);
    found.unwrap().1.parse().unwrap()
}

fn talk(mut one: &TcpStream, mut other: &TcpStream) {
    other.set_nonblocking(false).unwrap();
    other.set_read_timeout(Some(GUARD)).unwrap();
    let mut heard = [0; 4];
    one.write_all(b"OPEN").unwrap();
    other.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"OPEN");
}

#[test]
fn two_ends_with_the_same_key_talk() {
    for address in LOOPBACKS {
        let listener = listener(address, &with_key("secret"));
        let client = begin(&listener, &with_key("secret"));
        let server = accept(&listener);
        protect(&server, ip(address), &with_key("secret")).unwrap();
        talk(&client, &server);
        talk(&server, &client);
    }
}

#[test]
fn a_wrong_key_or_none_never_connects() {
    for address in LOOPBACKS {
        let listener = listener(address, &with_key("secret"));
        for (options, reason) in
            [(with_key("another"), "TCPMD5Failure"), (SessionOptions::default(), "TCPMD5NotFound")]
        {
            let before = counter(reason);
            let client = begin(&listener, &options);
            eventually(|| (counter(reason) > before).then_some(())).expect(reason);
            assert!(client.peer_addr().is_err() && listener.accept().is_err());
        }
    }
}

#[test]
fn a_key_can_be_forgotten_and_forgetting_none_is_no_error() {
    for address in LOOPBACKS {
        let listener = listener(address, &with_key("secret"));
        for _ in 0..2 {
            expect_peer(&listener, ip(address), &SessionOptions::default()).unwrap();
        }
        let client = begin(&listener, &SessionOptions::default());
        talk(&accept(&listener), &client);
    }
}

#[test]
fn keys_have_a_length_that_the_kernel_takes_and_are_never_printed() {
    let key = Md5Key::new(&[b'k'; 80]).unwrap();
    assert_eq!(format!("{key:?}"), "Md5Key(..)");
    for octets in [0, 81] {
        let error = Md5Key::new(&vec![b'k'; octets]).unwrap_err();
        assert!(error.to_string().contains(&format!("this one has {octets}")));
    }
    let options = SessionOptions { md5: Some(key), ..SessionOptions::default() };
    listener("127.0.0.1", &options);
}

#[test]
fn neighbours_that_both_check_the_ttl_talk() {
    for address in LOOPBACKS {
        let listener = listener(address, &neighbour());
        let client = begin(&listener, &neighbour());
        let server = accept(&listener);
        protect(&server, ip(address), &neighbour()).unwrap();
        talk(&client, &server);
        talk(&server, &client);
    }
}

#[test]
fn what_comes_with_a_lower_ttl_is_dropped() {
    for address in LOOPBACKS {
        // The answer to our SYN comes with the system's TTL, as if from beyond a router.
        let listener = listener(address, &SessionOptions::default());
        let before = counter("TCPMinTTLDrop");
        let client = begin(&listener, &neighbour());
        eventually(|| (counter("TCPMinTTLDrop") > before).then_some(())).expect("it is counted");
        assert!(client.peer_addr().is_err());
    }
}

#[test]
fn an_accepted_session_stops_hearing_a_peer_whose_ttl_sinks() {
    for address in LOOPBACKS {
        let listener = listener(address, &neighbour());
        let mut client = begin(&listener, &neighbour());
        let server = accept(&listener);
        protect(&server, ip(address), &neighbour()).unwrap();
        protect(&client, ip(address), &SessionOptions::default()).unwrap();
        let before = counter("TCPMinTTLDrop");
        client.write_all(b"far").unwrap();
        eventually(|| (counter("TCPMinTTLDrop") > before).then_some(())).expect("it is counted");
        server.set_nonblocking(true).unwrap();
        assert!((&server).read(&mut [0; 3]).is_err());
    }
}

#[test]
fn a_session_leaves_from_its_source_address() {
    let listener = listener("127.0.0.1", &SessionOptions::default());
    let options = SessionOptions { source: Some(ip("127.0.0.9")), ..SessionOptions::default() };
    let _client = begin(&listener, &options);
    assert_eq!(accept(&listener).peer_addr().unwrap().ip(), ip("127.0.0.9"));

    let options = SessionOptions { source: Some(ip("192.0.2.1")), ..SessionOptions::default() };
    let error = outbound(listener.local_addr().unwrap(), &options).unwrap_err();
    assert!(error.remedy().unwrap().contains("source address"), "{error}");
}
