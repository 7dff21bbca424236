//! Once a worker is set up, nothing on the way of a datagram allocates: a counting allocator watches.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::net::UdpSocket as Client;
use std::time::Duration;

use pharos_netio::{Batch, Inbox, UdpOptions, UdpSocket, Wait};
use pharos_testkit::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn socket(addr: &str) -> UdpSocket {
    UdpSocket::bind(addr.parse().unwrap(), &UdpOptions::default()).unwrap()
}

fn ask(client: &Client, server: &UdpSocket) {
    let mut asked = server.local_addr();
    if asked.ip().is_unspecified() {
        asked.set_ip(if asked.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    for _ in 0..40 {
        client.send_to(b"query", asked).unwrap();
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn receiving_looking_and_sending_do_not_allocate() {
    for (listen, from) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("0.0.0.0:0", "127.0.0.1:0"),
        ("[::1]:0", "[::1]:0"),
        ("[::]:0", "[::1]:0"),
    ] {
        let (server, client) = (socket(listen), Client::bind(from).unwrap());
        let mut batch = Batch::new(32, 512, 70_000);
        ask(&client, &server);
        let mut seen = 0;
        let count = allocations(|| {
            // A full batch, the rest, and nothing.
            for _ in 0..3 {
                seen += batch.receive(&server, Wait::Never).unwrap();
                batch.for_each(|slot| {
                    let known = slot.peer.destination().is_some() && slot.peer.source().port() != 0;
                    // Some replies are too long to be sent: refusals do not allocate either.
                    slot.set_reply(if known { 5 } else { 70_000 });
                });
                assert_eq!(batch.send(&server).dropped(), 0);
            }
        });
        assert_eq!((seen, count), (40, 0), "{listen}");
        ask(&client, &server);
        let mut refused = 0;
        let count = allocations(|| {
            batch.receive(&server, Wait::Never).unwrap();
            batch.for_each(|slot| slot.set_reply(70_000));
            refused = batch.send(&server).dropped();
        });
        // After a silence a few are asked for.
        assert_eq!((refused, count), (8, 0), "{listen}");
    }
}

#[test]
fn waiting_on_one_socket_or_several_does_not_allocate() {
    for count in [1, 3] {
        let sockets = (0..count).map(|_| socket("127.0.0.1:0")).collect();
        let mut inbox = Inbox::new(sockets, Duration::from_millis(1)).unwrap();
        let client = Client::bind("127.0.0.1:0").unwrap();
        for server in inbox.sockets() {
            ask(&client, server);
        }
        let mut batch = Batch::new(32, 512, 512);
        let mut seen = 0;
        let counted = allocations(|| {
            while inbox.receive(&mut batch).unwrap().is_some() {
                seen += batch.len();
            }
        });
        assert_eq!((seen, counted), (40 * count, 0));
    }
}
