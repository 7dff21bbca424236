//! RFC 7766: DNS over TCP, on a running responder.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use pharos_testkit::Ask;
use pharos_wire::{Opcode, Rtype};

use super::live::{Live, framed, head, receive, send};

const ZONE: &str = "a A 192.0.2.1\n";

fn a() -> Ask {
    Ask::new("a.example.", Rtype::A)
}

// §5: all servers "MUST support TCP"; what is too long for a datagram comes whole.
#[test]
fn tcp_carries_what_datagrams_do_not() {
    let many: String = (0..2000).map(|n| format!("many AAAA 2001:db8::{n:x}\n")).collect();
    let live = Live::start("long", &many, |_| {});
    let stream = live.connect();
    send(&stream, &framed(7, &Ask::new("many.example.", Rtype::AAAA)));
    let reply = receive(&stream).unwrap();
    assert_eq!((head(&reply), reply[2] & 2, &reply[6..8]), ((7, 0), 0, &2000u16.to_be_bytes()[..]));
    assert!(reply.len() > 56_000);
}

// §6.2.1: a connection is for more than one query, whether or not the client sends anything else in between.
#[test]
fn a_connection_serves_one_query_after_another() {
    let live = Live::start("again", ZONE, |_| {});
    let stream = live.connect();
    for id in 0..20 {
        send(&stream, &framed(id, &a()));
        assert_eq!(head(&receive(&stream).unwrap()), (id, 0));
    }
}

// §6.2.1.1: clients may pipeline; §7: "the server ... responses ... MUST" be matched by their identifier, and here they
// come in the order of the queries.
#[test]
fn pipelined_queries_are_all_answered() {
    let live = Live::start("pipeline", ZONE, |_| {});
    let stream = live.connect();
    let names = ["a.example.", "none.example.", "a.elsewhere."];
    let ask = |id: u16| Ask::new(names[usize::from(id) % 3], Rtype::A);
    let all: Vec<u8> = (0..300).flat_map(|id| framed(id, &ask(id))).collect();
    send(&stream, &all);
    for id in 0..300 {
        assert_eq!(head(&receive(&stream).unwrap()), (id, [0, 3, 5][usize::from(id) % 3]));
    }
}

// §8: a message may arrive in any number of segments, its length too.
#[test]
fn a_query_may_come_in_pieces() {
    let live = Live::start("pieces", ZONE, |_| {});
    let stream = live.connect();
    for octet in framed(9, &a()) {
        send(&stream, &[octet]);
    }
    assert_eq!(head(&receive(&stream).unwrap()), (9, 0));
}

// §6.2.4: a client may close its half and still wants the replies to what it sent.
#[test]
fn a_client_that_has_finished_sending_gets_its_replies() {
    let live = Live::start("half", ZONE, |_| {});
    let stream = live.connect();
    send(&stream, &[framed(1, &a()), framed(2, &a())].concat());
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(head(&receive(&stream).unwrap()), (1, 0));
    assert_eq!(head(&receive(&stream).unwrap()), (2, 0));
    assert_eq!(receive(&stream), None);
}

// §6.2.3: a server may close idle connections after some time.
#[test]
fn an_idle_connection_is_closed() {
    let live = Live::start("idle", ZONE, |config| config.tcp.idle = Duration::from_millis(50));
    let stream = live.connect();
    assert_eq!(receive(&stream), None);
}

// §6.2.2, §6.2.3, §10: a server may limit the connections of one client, and close one that idles for it; the others go on.
#[test]
fn of_the_connections_of_a_client_no_more_than_its_limit_go_on() {
    let live = Live::start("limit", ZONE, |config| config.tcp.connections_per_address = 2);
    let held = [live.connect(), live.connect()];
    for stream in &held {
        send(stream, &framed(3, &a()));
        assert_eq!(head(&receive(stream).unwrap()), (3, 0));
    }
    // The newcomer first: whoever gives way for it has done so once it is answered.
    let [newcomer, first, second] = [&live.connect(), &held[0], &held[1]].map(|stream| {
        let mut length = [0; 2];
        let mut stream: &TcpStream = stream;
        stream.write_all(&framed(4, &a())).and_then(|()| stream.read_exact(&mut length)).is_ok()
    });
    assert_eq!([newcomer, first, second].iter().filter(|answered| **answered).count(), 2);
}

// §6.2.1: an error is a reply like any other, and the connection stays.
#[test]
fn an_error_leaves_the_connection_open() {
    let live = Live::start("error", ZONE, |_| {});
    let stream = live.connect();
    send(&stream, &[framed(5, &a().opcode(Opcode::NOTIFY)), framed(6, &a())].concat());
    assert_eq!(head(&receive(&stream).unwrap()), (5, 4));
    assert_eq!(head(&receive(&stream).unwrap()), (6, 0));
}
