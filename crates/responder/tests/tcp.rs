//! TCP on a running responder: what clients that are slow, greedy or many can do, and what they cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use common::{PATIENCE, Zones, query, scrape};
use pharos_responder::{Config, Handle, Responder};
use socket2::{Domain, SockRef, Socket, Type};

fn zone() -> String {
    let many: String = (0..2000).map(|n| format!("many AAAA 2001:db8::{n:x}\n")).collect();
    let some: String = (0..500).map(|n| format!("some AAAA 2001:db8::{n:x}\n")).collect();
    format!(
        "$TTL 300\n@ SOA ns host 1 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n{many}{some}"
    )
}

/// A responder with two workers, and so two TCP threads.
fn start(test: &str, settings: impl FnOnce(&mut Config)) -> (Zones, Responder) {
    let zones = Zones::new(test, &[("a.test.zone", &zone())]);
    let mut config = Config { workers: NonZeroUsize::new(2), ..zones.config() };
    settings(&mut config);
    let responder = Responder::start(config).unwrap();
    (zones, responder)
}

fn connect(handle: &Handle) -> TcpStream {
    patient(TcpStream::connect(handle.listen()[0]).unwrap())
}

/// Comes from an address of 127.0.0.0/8; the number is what follows the first octet.
fn connect_from(handle: &Handle, number: u32) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(((0x7f00_0000 + number).to_be_bytes(), 0)).into()).unwrap();
    socket.connect(&handle.listen()[0].into()).unwrap();
    patient(socket.into())
}

/// Its kernel takes two kilobytes or so from the network before somebody reads.
fn connect_with_little_room(handle: &Handle) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&handle.listen()[0].into()).unwrap();
    patient(socket.into())
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn framed(name: &str, rtype: u16) -> Vec<u8> {
    let query = query(name, rtype);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

/// Asks, and has the answer acknowledged when it returns.
fn ask(stream: &mut TcpStream) {
    stream.write_all(&framed("www.a.test", 1)).unwrap();
    assert_eq!(read_message(stream)[3] & 0xf, 0);
    SockRef::from(&*stream).set_tcp_quickack(true).unwrap();
}

/// Whether the server has not ended a connection on which nothing is outstanding.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Waits until a count of TCP events is as large.
fn wait_for(handle: &Handle, event: &str, least: u64) {
    let series = format!("pharos_responder_tcp_events_total{{event=\"{event}\"}} ");
    let begun = Instant::now();
    loop {
        let text = scrape(handle);
        let count = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse::<u64>().unwrap();
        if count >= least {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{series}{count}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn many_connections_are_served_by_several_threads_under_one_bound() {
    let (_zones, responder) = start("many", |config| config.tcp.connections_per_address = 200);
    let handle = responder.handle();
    let mut streams: Vec<_> = (0..200).map(|_| connect(&handle)).collect();
    for round in 0..3 {
        for stream in &mut streams {
            stream.write_all(&framed("www.a.test", 1)).unwrap();
        }
        for stream in &mut streams {
            assert_eq!(read_message(stream)[3] & 0xf, 0, "round {round}");
        }
    }
    drop(streams.drain(..100));
    let begun = Instant::now();
    while handle.status(&Default::default()).tcp_connections > 100 {
        assert!(begun.elapsed() < PATIENCE, "closed connections are still counted");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_new_connection_over_a_bound_takes_the_place_of_one_that_idles() {
    let (_zones, responder) = start("displace", |config| {
        config.workers = NonZeroUsize::new(1);
        config.tcp.connections_per_address = 3;
    });
    let handle = responder.handle();
    let mut streams = [connect(&handle), connect(&handle), connect(&handle)];
    streams.iter_mut().for_each(ask);
    ask(&mut streams[0]);
    ask(&mut connect(&handle));
    wait_for(&handle, "displaced", 1);
    assert_eq!(streams[1].read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset, "it idled longest");
    ask(&mut streams[0]);
    ask(&mut streams[2]);
}

#[test]
fn who_idles_longest_of_an_address_is_found_behind_any_number_of_strangers() {
    let (_zones, responder) = start("strangers", |config| {
        config.workers = NonZeroUsize::new(1);
        config.tcp.connections_per_address = 2;
        config.tcp.idle = 10 * PATIENCE;
    });
    let handle = responder.handle();
    let mut strangers: Vec<_> = (0..200).map(|number| connect_from(&handle, 0x1_0001 + number)).collect();
    strangers.iter_mut().for_each(ask);
    let mut streams = [connect(&handle), connect(&handle)];
    streams.iter_mut().for_each(ask);
    ask(&mut connect(&handle));
    wait_for(&handle, "displaced", 1);
    assert_eq!(streams[0].read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    ask(&mut streams[1]);
    strangers.iter_mut().for_each(ask);
}

#[test]
fn on_a_full_server_room_is_made_by_the_network_that_holds_most() {
    let (_zones, responder) = start("most", |config| {
        config.workers = NonZeroUsize::new(1);
        config.tcp.connections = 60;
        config.tcp.idle = 10 * PATIENCE;
    });
    let handle = responder.handle();
    // Seven networks with three connections each at most, longer idle than the forty of one network.
    let mut few: Vec<_> =
        (0..20).map(|number| connect_from(&handle, 0x1_0001 + number / 3 * 0x100)).collect();
    few.iter_mut().for_each(ask);
    let greedy = |number: u32| connect_from(&handle, 0x2_0000 + number % 10);
    let mut many: Vec<_> = (0..40).map(greedy).collect();
    many.iter_mut().for_each(ask);
    let mut newcomers = Vec::new();
    for number in 0..10 {
        newcomers.push(connect_from(&handle, 0x3_0001 + number * 0x100));
        newcomers.push(greedy(number));
        newcomers.iter_mut().rev().take(2).for_each(ask);
    }
    wait_for(&handle, "displaced", 20);
    few.iter_mut().for_each(ask);
    newcomers.iter_mut().for_each(ask);
    let left = many.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
    assert_eq!(left, 20);
}

#[test]
fn who_takes_an_answer_slowly_gets_all_of_it_though_another_gets_its_place() {
    let (_zones, responder) = start("slowly", |config| {
        config.workers = NonZeroUsize::new(1);
        config.tcp.connections_per_address = 2;
        config.tcp.idle = 10 * PATIENCE;
    });
    let handle = responder.handle();
    let mut slow = [connect_with_little_room(&handle), connect_with_little_room(&handle)];
    for stream in &mut slow {
        stream.write_all(&framed("some.a.test", 28)).unwrap();
        // Since it begins to come, all of it has been handed to the server's kernel.
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    }
    ask(&mut connect(&handle));
    wait_for(&handle, "displaced", 1);
    for stream in &mut slow {
        assert!(read_message(stream).len() > 14_000);
    }
    let [first, second] = &mut slow;
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "closed, not reset");
    ask(second);
}

#[test]
fn a_query_under_way_is_not_given_up_for_a_new_connection() {
    let (_zones, responder) = start("underway", |config| {
        config.workers = NonZeroUsize::new(1);
        config.tcp.connections_per_address = 2;
    });
    let handle = responder.handle();
    let mut begun = [connect(&handle), connect(&handle)];
    let query = framed("www.a.test", 1);
    for stream in &mut begun {
        stream.write_all(&query[..5]).unwrap();
    }
    wait_for(&handle, "accepted", 2);
    assert_eq!(connect(&handle).read(&mut [0]).unwrap_or(0), 0, "closed without an answer");
    for stream in &mut begun {
        stream.write_all(&query[5..]).unwrap();
        assert_eq!(read_message(stream)[3] & 0xf, 0);
    }
}

#[test]
fn single_octets_do_not_keep_a_connection_open() {
    let (_zones, responder) = start("drip", |config| config.tcp.deadline = Duration::from_millis(100));
    let handle = responder.handle();
    let mut stream = connect(&handle);
    // A query whose octets would take more than a minute to come.
    stream.write_all(&[0xff, 0xff]).unwrap();
    let dripped = (0..60_000).take_while(|_| {
        std::thread::sleep(Duration::from_millis(1));
        stream.write_all(&[0]).is_ok()
    });
    assert!(dripped.count() < 60_000);
    wait_for(&handle, "timed_out", 1);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_closed_and_others_are_served_meanwhile() {
    let (_zones, responder) = start("deaf", |config| config.tcp.deadline = Duration::from_millis(500));
    let handle = responder.handle();
    let mut deaf = connect(&handle);
    // Each query brings 56 kB: some gigabytes in all, if they were answered.
    let queries = framed("many.a.test", 28).repeat(500);
    let asker = std::thread::spawn(move || (0..200).find(|_| deaf.write_all(&queries).is_err()));
    let mut other = connect(&handle);
    while handle.status(&Default::default()).tcp_connections > 1 {
        other.write_all(&framed("www.a.test", 1)).unwrap();
        assert_eq!(read_message(&mut other)[3] & 0xf, 0);
    }
    wait_for(&handle, "timed_out", 1);
    assert!(asker.join().unwrap().is_some(), "it could ask for all of it");
}

#[test]
fn a_client_that_reads_late_gets_every_octet() {
    let (_zones, responder) = start("late", |config| config.tcp.deadline = 3 * PATIENCE);
    let handle = responder.handle();
    let mut stream = connect(&handle);
    let writer = stream.try_clone().unwrap();
    const QUERIES: usize = 300;
    let asker = std::thread::spawn(move || {
        for _ in 0..QUERIES {
            (&writer).write_all(&framed("many.a.test", 28)).unwrap();
        }
    });
    // Until this, replies have filled every buffer on the way.
    asker.join().unwrap();
    let first = read_message(&mut stream);
    assert!(first.len() > 56_000);
    for _ in 1..QUERIES {
        assert_eq!(read_message(&mut stream), first);
    }
}

#[test]
fn what_has_arrived_by_tcp_is_answered_before_a_stop() {
    let (_zones, responder) = start("tcpstop", |_| {});
    let handle = responder.handle();
    let mut streams: Vec<_> = (0..20).map(|_| connect(&handle)).collect();
    for stream in &mut streams {
        stream.write_all(&framed("www.a.test", 1).repeat(10)).unwrap();
    }
    responder.stop();
    for stream in &mut streams {
        for _ in 0..10 {
            assert_eq!(read_message(stream)[3] & 0xf, 0);
        }
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}
