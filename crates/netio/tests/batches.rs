//! Batches over real loopback sockets: what arrives, what leaves, from where, and who gets it.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::net::{IpAddr, SocketAddr, UdpSocket as Client};
use std::process::Command;
use std::time::{Duration, Instant};

use pharos_netio::affinity::{allowed_cpus, pin_current_thread};
use pharos_netio::{
    Arrival, Batch, Came, Inbox, MAX_SLOTS, Steering, UdpOptions, UdpSocket, Wait, bind_group,
};

/// Against a hang only; nothing here takes more than milliseconds.
const GUARD: Duration = Duration::from_secs(20);

fn server(addr: &str) -> UdpSocket {
    UdpSocket::bind(addr.parse().unwrap(), &UdpOptions::default()).unwrap()
}

fn client(addr: &str) -> Client {
    let client = Client::bind(addr).unwrap();
    client.set_read_timeout(Some(GUARD)).unwrap();
    client
}

fn batch() -> Batch {
    Batch::new(32, 512, 512)
}

/// Receives until `wanted` datagrams came in one or more batches, answering each with its own octets.
fn echo(socket: &UdpSocket, batch: &mut Batch, wanted: usize) {
    let start = Instant::now();
    let mut answered = 0;
    while answered < wanted && start.elapsed() < GUARD {
        answered += batch.receive(socket, Wait::ForDatagram).unwrap();
        batch.for_each(|slot| {
            slot.reply[..slot.query.len()].copy_from_slice(slot.query);
            slot.set_reply(slot.query.len());
        });
        assert_eq!(batch.send(socket).dropped(), 0);
    }
    assert_eq!(answered, wanted);
}

/// What the client gets back and from where.
fn answer(client: &Client) -> (Vec<u8>, SocketAddr) {
    let mut octets = [0; 2048];
    let (length, from) = client.recv_from(&mut octets).unwrap();
    (octets[..length].to_vec(), from)
}

#[test]
fn many_datagrams_come_in_one_call_and_each_sender_gets_its_own_reply() {
    for (listen, ask) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        let server = server(listen);
        let clients: Vec<Client> = (0..20).map(|_| client(ask)).collect();
        for (client, octet) in clients.iter().zip(0..) {
            client.send_to(&[octet; 30], server.local_addr()).unwrap();
        }
        let mut batch = batch();
        assert_eq!(batch.receive(&server, Wait::Never).unwrap(), 20);
        assert_eq!(batch.len(), 20);
        for index in 0..20 {
            let octet = batch.query(index).unwrap()[0];
            let slot = batch.slot(index).unwrap();
            assert_eq!(slot.peer.source(), clients[usize::from(octet)].local_addr().unwrap());
            assert_eq!(slot.peer.destination(), Some(server.local_addr().ip()));
            assert_eq!(slot.peer.arrival(), Arrival::Whole);
        }
        assert!(batch.query(20).is_none() && batch.slot(20).is_none());
        // Every second one is answered; a slot without a reply sends nothing and shifts nobody.
        batch.for_each(|slot| {
            if slot.query[0] % 2 == 0 {
                slot.reply[..30].copy_from_slice(slot.query);
                slot.set_reply(30);
            }
        });
        let report = batch.send(&server);
        assert_eq!((report.sent, report.dropped()), (10, 0));
        assert!(batch.is_empty());
        for (client, octet) in clients.iter().zip(0..).step_by(2) {
            assert_eq!(answer(client), (vec![octet; 30], server.local_addr()));
        }
    }
}

#[test]
fn a_wildcard_socket_replies_from_the_address_that_was_asked() {
    let server = server("0.0.0.0:0");
    let port = server.local_addr().port();
    let client = client("127.0.0.1:0");
    let mut batch = batch();
    for asked in ["127.0.0.1", "127.0.0.5", "127.9.9.9"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        client.send_to(b"query", asked).unwrap();
        assert_eq!(batch.receive(&server, Wait::ForDatagram).unwrap(), 1);
        let mut slot = batch.slot(0).unwrap();
        assert_eq!(slot.peer.destination(), Some(asked.ip()));
        slot.set_reply(5);
        assert_eq!(batch.send(&server).sent, 1);
        assert_eq!(answer(&client).1, asked);
    }
}

/// Loopback has but one IPv6 address, so this makes a network namespace with more of them and runs itself in
/// it. Where namespaces are not allowed, it says so and passes.
#[test]
fn a_wildcard_ipv6_socket_replies_from_the_address_that_was_asked() {
    const INSIDE: &str = "PHAROS_TEST_INSIDE_NAMESPACE";
    if std::env::var_os(INSIDE).is_none() {
        let setup =
            "ip link set lo up && for a in 53 54 55; do ip addr add 2001:db8::$a/128 dev lo nodad; done";
        let test = "a_wildcard_ipv6_socket_replies_from_the_address_that_was_asked";
        let me = std::env::current_exe().unwrap();
        let unshare = |command: &str| {
            Command::new("unshare").args(["-Urn", "sh", "-c", command]).env(INSIDE, "1").status()
        };
        if !unshare(setup).is_ok_and(|status| status.success()) {
            eprintln!("skipped: no network namespaces here (unshare -Urn, ip)");
            return;
        }
        let run = format!("{setup} && exec '{}' --exact {test}", me.display());
        assert!(unshare(&run).unwrap().success());
        return;
    }
    let server = server("[::]:0");
    let port = server.local_addr().port();
    let client = client("[2001:db8::53]:0");
    let mut batch = batch();
    for asked in ["2001:db8::54", "2001:db8::55", "2001:db8::53"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        client.send_to(b"query", asked).unwrap();
        assert_eq!(batch.receive(&server, Wait::ForDatagram).unwrap(), 1);
        let mut slot = batch.slot(0).unwrap();
        assert_eq!(slot.peer.destination(), Some(asked.ip()));
        slot.set_reply(5);
        assert_eq!(batch.send(&server).sent, 1);
        assert_eq!(answer(&client).1, asked);
    }
}

#[test]
fn a_batch_may_serve_a_wildcard_socket_and_a_specific_one_in_turn() {
    let sockets = [server("0.0.0.0:0"), server("127.0.0.7:0"), server("[::]:0"), server("[::1]:0")];
    let mut batch = batch();
    for _ in 0..3 {
        for socket in &sockets {
            let mut asked = socket.local_addr();
            if asked.ip().is_unspecified() {
                asked.set_ip(if asked.is_ipv4() { [127, 0, 0, 6].into() } else { IpAddr::V6(1.into()) });
            }
            let client = client(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
            client.send_to(b"query", asked).unwrap();
            echo(socket, &mut batch, 1);
            assert_eq!(answer(&client), (b"query".to_vec(), asked));
        }
    }
}

#[test]
fn a_query_longer_than_its_buffer_is_marked_and_one_that_just_fits_is_not() {
    let server = server("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let mut batch = Batch::new(8, 100, 100);
    for (sent, kept, arrival) in
        [(100, 100, Arrival::Whole), (101, 100, Arrival::Truncated), (0, 0, Arrival::Whole)]
    {
        client.send_to(&vec![7; sent], server.local_addr()).unwrap();
        assert_eq!(batch.receive(&server, Wait::ForDatagram).unwrap(), 1);
        let slot = batch.slot(0).unwrap();
        assert_eq!((slot.query.len(), slot.peer.arrival()), (kept, arrival));
    }
}

#[test]
fn a_reply_cannot_be_longer_than_its_buffer() {
    let server = server("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let mut batch = Batch::new(8, 100, 64);
    client.send_to(b"query", server.local_addr()).unwrap();
    batch.receive(&server, Wait::ForDatagram).unwrap();
    batch.for_each(|slot| slot.set_reply(usize::MAX));
    assert_eq!(batch.send(&server).sent, 1);
    assert_eq!(answer(&client).0.len(), 64);
}

#[test]
fn more_datagrams_than_slots_come_in_several_batches_in_order() {
    let server = server("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    for octet in 0..100 {
        client.send_to(&[octet], server.local_addr()).unwrap();
    }
    let mut batch = Batch::new(usize::MAX, 512, 512);
    assert_eq!(batch.capacity(), MAX_SLOTS);
    assert_eq!(batch.receive(&server, Wait::Never).unwrap(), 64);
    assert_eq!(batch.query(63), Some(&[63][..]));
    assert_eq!(batch.receive(&server, Wait::ForDatagram).unwrap(), 36);
    assert_eq!(batch.query(0), Some(&[64][..]));
    assert_eq!(batch.receive(&server, Wait::Never).unwrap(), 0);
}

#[test]
fn a_wait_without_datagrams_ends_with_none() {
    let options = UdpOptions { receive_wait: Duration::from_millis(10), ..UdpOptions::default() };
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert_eq!(batch().receive(&socket, Wait::ForDatagram).unwrap(), 0);
    for count in 0..3 {
        let sockets = (0..count).map(|_| server("127.0.0.1:0")).collect();
        let mut inbox = Inbox::new(sockets, Duration::from_millis(10)).unwrap();
        assert!(inbox.receive(&mut batch()).unwrap().is_none());
    }
}

#[test]
fn a_reply_that_the_kernel_refuses_is_counted_and_the_others_leave() {
    // A wildcard socket may be asked by, and reply to, our own addresses only where a route leads; a reply of
    // more than 65,507 octets never leaves, so the middle one of three fails.
    let server = server("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    let mut batch = Batch::new(8, 512, 70_000);
    for octet in 0..3 {
        client.send_to(&[octet], server.local_addr()).unwrap();
    }
    assert_eq!(batch.receive(&server, Wait::Never).unwrap(), 3);
    batch.for_each(|slot| {
        slot.reply[0] = slot.query[0];
        slot.set_reply(if slot.query[0] == 1 { 70_000 } else { 1 });
    });
    let report = batch.send(&server);
    assert_eq!((report.sent, report.other, report.dropped()), (2, 1, 1));
    assert_eq!(report.last_error().unwrap().to_string(), "Message too long (os error 90)");
    assert_eq!((answer(&client).0, answer(&client).0), (vec![0], vec![2]));
}

#[test]
fn an_inbox_of_several_sockets_hears_them_all() {
    let sockets = vec![server("127.0.0.1:0"), server("[::1]:0"), server("0.0.0.0:0")];
    let addresses: Vec<SocketAddr> = sockets.iter().map(UdpSocket::local_addr).collect();
    let mut inbox = Inbox::new(sockets, Duration::from_millis(50)).unwrap();
    let mut batch = batch();
    let (v4, v6) = (client("127.0.0.1:0"), client("[::1]:0"));
    for addr in &addresses {
        let asked = if addr.ip().is_unspecified() { ([127, 0, 0, 1], addr.port()).into() } else { *addr };
        let client = if addr.is_ipv4() { &v4 } else { &v6 };
        client.send_to(b"query", asked).unwrap();
        let start = Instant::now();
        let socket = loop {
            assert!(start.elapsed() < GUARD);
            if let Some(Came::Socket(_, socket)) = inbox.receive(&mut batch).unwrap() {
                break socket;
            }
        };
        assert_eq!(socket.local_addr(), *addr);
        batch.for_each(|slot| slot.set_reply(1));
        assert_eq!(batch.send(socket).sent, 1);
        assert_eq!(answer(client).1, asked);
    }
}

#[test]
fn a_flood_on_one_socket_does_not_starve_the_other() {
    let sockets = vec![server("127.0.0.1:0"), server("127.0.0.2:0")];
    let (flooded, quiet) = (sockets[0].local_addr(), sockets[1].local_addr());
    let mut inbox = Inbox::new(sockets, Duration::from_millis(50)).unwrap();
    let mut batch = Batch::new(8, 512, 512);
    let client = client("127.0.0.1:0");
    for _ in 0..400 {
        client.send_to(b"flood", flooded).unwrap();
    }
    client.send_to(b"query", quiet).unwrap();
    let mut turns = 1;
    while !matches!(inbox.receive(&mut batch).unwrap(), Some(Came::Socket(_, socket)) if socket.local_addr() == quiet)
    {
        // The flood alone would fill 50 batches.
        assert!(turns < 10);
        turns += 1;
    }
}

#[test]
fn a_datagram_goes_to_the_worker_of_the_cpu_that_received_it() {
    let mut cpus = allowed_cpus().unwrap();
    // Workers in another order than the CPUs' own, so that the comparisons of the program count as well.
    for _ in 0..2 {
        let steering = Steering::ReceivingCpu { worker_cpus: &cpus };
        let listen = "127.0.0.1:0".parse().unwrap();
        let group = bind_group(listen, cpus.len(), steering, &UdpOptions::default()).unwrap();
        let addr = group[0].local_addr();
        for (worker, &cpu) in cpus.iter().enumerate() {
            // Loopback delivers on the CPU of the sender.
            std::thread::spawn(move || {
                pin_current_thread(cpu).unwrap();
                for _ in 0..16 {
                    // A new port each time: by hash they would be spread.
                    client("127.0.0.1:0").send_to(b"query", addr).unwrap();
                }
            })
            .join()
            .unwrap();
            echo(&group[worker], &mut batch(), 16);
            for socket in &group {
                assert_eq!(batch().receive(socket, Wait::Never).unwrap(), 0);
            }
        }
        cpus.reverse();
    }
}

#[test]
fn without_steering_the_kernel_spreads_flows_over_all_workers() {
    let listen = "[::1]:0".parse().unwrap();
    let group = bind_group(listen, 2, Steering::FlowHash, &UdpOptions::default()).unwrap();
    for _ in 0..64 {
        client("[::1]:0").send_to(b"query", group[0].local_addr()).unwrap();
    }
    let mut batch = Batch::new(64, 512, 512);
    let received: Vec<usize> =
        group.iter().map(|socket| batch.receive(socket, Wait::Never).unwrap()).collect();
    assert_eq!(received.iter().sum::<usize>(), 64);
    assert!(received.iter().all(|&count| count > 0), "{received:?}");
}
