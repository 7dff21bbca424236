//! AF_XDP on a veth pair: the same octets as by sockets, everything else for the kernel, and what happens when a
//! process, an interface or a privilege is missing.
//!
//! Each test has two machines of its own, a server and a client. The server's end of the wire has the XDP program; it
//! is the driver's native mode, with copying, as veth knows no other. The counts of `/status` tell which way a query
//! came: whatever is not in the queues' counts came by a socket.

mod xdp {
    pub(crate) mod wire;
}

use pharos_tests::lab::{wait_for, wait_until};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;
use xdp::wire::{Options, SERVER_4, SERVER_6, Wire, queries, query};

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn answers_are_the_same_octets_as_by_sockets() {
    let wire = Wire::new(Options::default());
    let queries = queries();
    assert!(queries.len() > 2_000, "{}", queries.len());
    for address in [SERVER_4, SERVER_6] {
        // Who asks on the server itself comes by loopback, where there is no XDP program.
        let (far, near) = (wire.client_socket(address), wire.server_socket(address));
        let before = wire.events();
        let mut replies = 0;
        for (index, message) in queries.iter().enumerate() {
            let by_socket = wire.exchange_patiently(&near, message);
            let by_xdp = wire.exchange_by_xdp(&far, message);
            assert_eq!(by_xdp, by_socket, "{address}, query {index}: {message:02x?}");
            replies += u64::from(by_xdp.is_some());
        }
        let sent = wire.events().sent - before.sent;
        println!("{address}: {} queries by AF_XDP, {replies} replies, all the same", queries.len());
        assert!(sent >= replies, "{sent} of {replies} replies left by AF_XDP");
    }
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn what_is_no_plain_datagram_for_us_goes_to_the_kernel() {
    let wire = Wire::new(Options::default());
    // That anything came at all needed ARP and neighbour discovery, which had to pass.
    for address in [SERVER_4, SERVER_6] {
        wire.wait_for_xdp(&[address]);
        assert!(wire.asks_by_tcp(address), "TCP {address}");
    }
    let before = wire.events();
    // An answered ping passed in both directions.
    wire.client.sh(&format!("ping -c 1 -W 5 {SERVER_4}; ping -c 1 -W 5 {SERVER_6}"));
    for address in [SERVER_4, SERVER_6] {
        // Longer than a packet: in fragments, which the kernel joins. Trailing octets are answered like others.
        let mut long = query(8, "www.example.com", 1, &[]);
        long.extend(vec![0; 3_000]);
        let reply = wire.exchange_patiently(&wire.client_socket(address), &long);
        assert!(reply.is_some(), "fragments to {address}");
    }
    // What no socket sends, such as options in the header of IPv4, the program's own tests send (crates/netio).
    wire.ask_by_vlan();
    wire.send_to_another_port();
    assert_eq!(wire.events().received, before.received, "none of it went to a queue");
    wire.wait_for_xdp(&[SERVER_4]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn a_queue_without_a_socket_leaves_its_packets_to_the_kernel() {
    let wire = Wire::new(Options { queues: 2, served: "1", ..Options::default() });
    let before = wire.events();
    // The client's kernel spreads flows over the two queues of its end.
    let asked = 64;
    for _ in 0..asked {
        wait_until("every flow is answered", || wire.answers(SERVER_4));
    }
    let by_xdp = wire.events().received - before.received;
    assert!((1..asked).contains(&by_xdp), "{by_xdp} of {asked} by AF_XDP, the others by sockets");
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn after_a_kill_nothing_is_left_on_the_interface_and_the_kernel_answers() {
    let mut wire = Wire::new(Options::default());
    wire.wait_for_xdp(&[SERVER_4]);
    assert!(wire.has_program());
    wire.responder().kill();
    wait_until("the program has gone with its process", || !wire.has_program());
    // Whoever listens now is reached, on the very same port.
    wire.start_without_xdp();
    wait_until("the kernel's sockets answer", || wire.answers(SERVER_4) && wire.answers(SERVER_6));
    assert!(!wire.has_program());
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn a_stopped_process_does_not_keep_packets_from_the_kernels_sockets() {
    let mut wire = Wire::new(Options::default());
    wire.wait_for_xdp(&[SERVER_4]);
    // Another socket of the same user may share the port; the kernel gives it some of the flows.
    let beside = wire.socket_beside(SERVER_4);
    beside.set_nonblocking(true).expect("a socket can be told not to wait");
    wait_until("while the process runs, 64 flows in a row are its own", || {
        while beside.recv(&mut [0; 512]).is_ok() {}
        (0..64).all(|_| wire.answers(SERVER_4)) && beside.recv(&mut [0; 512]).is_err()
    });
    wire.responder().signal(Signal::STOP);
    let (_, after) = wait_for("packets go to the kernel's sockets", || {
        let socket = wire.client_socket(SERVER_4);
        socket.send(&query(9, "www.example.com", 1, &[])).ok()?;
        beside.recv(&mut [0; 512]).ok()
    });
    println!("the kernel had the packets {} ms after the process stopped", after.as_millis());
    drop(beside);
    wire.responder().signal(Signal::CONT);
    wire.wait_for_xdp(&[SERVER_4]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn an_interface_may_go_down_and_up_and_be_deleted_and_come_again() {
    let mut wire = Wire::new(Options::default());
    wire.wait_for_xdp(&[SERVER_4]);
    wire.server.sh("ip link set xs0 down");
    wait_until("the status says so", || wire.state() == "down");
    wire.server.sh("ip link set xs0 up");
    wire.add_addresses();
    wait_until("the status says that it is up", || wire.state() == "attached");
    wire.wait_for_xdp(&[SERVER_4, SERVER_6]);
    wire.server.sh("ip link delete xs0");
    wait_until("the status says that sockets are used", || wire.state() == "sockets");
    wire.responder().assert_running();
    wire.make_link();
    wait_until("the new interface is attached", || wire.state() == "attached");
    wire.wait_for_xdp(&[SERVER_4, SERVER_6]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn an_address_on_the_link_that_changes_is_followed() {
    let wire = Wire::new(Options::default());
    wire.wait_for_xdp(&[SERVER_4]);
    wire.server.sh("ip link set xs0 address 02:00:00:00:00:99");
    wire.client.sh("ip neigh flush dev xc0");
    wire.wait_for_xdp(&[SERVER_4]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn what_clients_ask_is_counted_by_address_and_apart_from_what_the_host_asks() {
    let several = Options::default().listen;
    for listen in [several, "[\"10.53.0.1:53\", \"[fd53::1]:53\"]"] {
        let wire = Wire::new(Options { listen, ..Options::default() });
        wire.wait_for_xdp(&[SERVER_4, SERVER_6]);
        let (message, both) = (query(7, "example.com", 6, &[]), [SERVER_4, SERVER_6]);
        let (before, received) = (both.map(|address| wire.traffic(address)), wire.events().received);
        // Whatever was sent is counted, whether or not its answer came in time.
        let ask = |socket: &UdpSocket, answers: u64| {
            (0..answers)
                .map(|_| 1 + (0..40).take_while(|_| wire.exchange(socket, &message).is_none()).count() as u64)
                .sum::<u64>()
        };
        let sent = [(SERVER_4, 3, 1), (SERVER_6, 2, 4)].map(|(address, far, near)| {
            (ask(&wire.client_socket(address), far), ask(&wire.server_socket(address), near))
        });
        wait_until("all of it is counted", || {
            let after = both.map(|address| wire.traffic(address));
            [0, 1].map(|one| (after[one].0 - before[one].0, after[one].1 - before[one].1)) == sent
        });
        assert!(wire.events().received > received, "some came by AF_XDP");
    }
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn a_wildcard_is_every_address_that_the_host_has_at_the_time() {
    let wire = Wire::new(Options { listen: "[\"0.0.0.0:53\", \"[::]:53\"]", ..Options::default() });
    wire.wait_for_xdp(&[SERVER_4, SERVER_6]);
    wire.server.sh("ip address add 10.77.0.53/32 dev lo");
    wire.client.sh(&format!("ip route add 10.77.0.53/32 via {SERVER_4}"));
    wire.wait_for_xdp(&["10.77.0.53"]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn what_is_missing_is_named_and_sockets_answer() {
    for (without, words) in [
        ("-bpf,-sys_admin", "needs CAP_BPF ("),
        ("-net_admin,-sys_admin", "needs CAP_NET_ADMIN ("),
        ("-net_raw", "need CAP_NET_RAW ("),
        ("-ipc_lock,-sys_resource", "RLIMIT_MEMLOCK"),
    ] {
        let wire = Wire::new(Options { without: Some(without), ..Options::default() });
        assert_eq!(wire.state(), "sockets", "without {without}");
        wait_until("sockets answer", || wire.answers(SERVER_4) && wire.answers(SERVER_6));
        let log = wire.log();
        assert!(log.contains(words), "without {without} the log names {words}:\n{log}");
        assert!(!wire.has_program());
    }
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn behind_a_driver_it_works_as_well_and_only_one_may_have_an_interface() {
    let wire = Wire::new(Options { mode: "generic", ..Options::default() });
    wire.wait_for_xdp(&[SERVER_4, SERVER_6]);
    let second = wire.start_a_second();
    wait_until("the second one says why it uses sockets", || {
        second.log().contains("AF_XDP cannot be used here") && second.log().contains("another")
    });
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn a_flood_of_what_nobody_should_send_is_answered_or_dropped_and_counted() {
    let wire = Wire::new(Options::default());
    let socket = wire.client_socket(SERVER_4);
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket can be told how long to wait");
    let mut dice = pharos_testkit::Dice::of_seed(11);
    let before = wire.events();
    let mut sent = 0;
    for round in 0..20_000_u32 {
        let mut message = query(round as u16, "www.example.com", 1, &[]);
        for _ in 0..dice.below(4) {
            let at = dice.below(message.len());
            message[at] = dice.octet();
        }
        message.truncate(message.len() - dice.below(message.len()).min(20));
        sent += u64::from(socket.send(&message).is_ok());
        if round % 64 == 0 {
            while socket.recv(&mut [0; 4096]).is_ok() {}
        }
    }
    // What neither came to a queue nor was lost at its rings came by a socket, while the worker had no CPU for a second.
    let now = wire.events();
    let (received, lost) = (now.received - before.received, now.lost - before.lost);
    println!("{sent} sent, {received} received, {lost} lost at the rings");
    assert!(received > 0 && received + lost <= sent, "{received} and {lost} of {sent}");
    wire.wait_for_xdp(&[SERVER_4]);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn what_the_kernel_has_no_room_for_before_any_ring_is_told_with_its_interface() {
    // Behind the driver: there packets wait in a queue of the kernel's.
    let wire = Wire::new(Options { mode: "generic", ..Options::default() });
    let before = wire.dropped();
    wire.overfill_the_queue();
    wait_until("the status tells of drops", || wire.dropped() >= before + 500);
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn metrics_tell_state_heartbeats_and_every_ring() {
    let wire = Wire::new(Options::default());
    wire.wait_for_xdp(&[SERVER_4]);
    let metrics = wire.http("/metrics").expect("the metrics");
    assert!(
        metrics.contains("pharos_responder_xdp_state{interface=\"xs0\",state=\"attached\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics
            .contains("pharos_responder_xdp_queue_heartbeat_age_milliseconds{interface=\"xs0\",queue=\"0\"}")
    );
    let events: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("pharos_responder_xdp_frames_total{event=\"")?.split('"').next())
        .collect();
    for event in ["received", "sent", "malformed", "rx_dropped", "rx_ring_full", "fill_ring_empty", "tx_busy"]
    {
        assert!(events.contains(event), "{event}: {events:?}");
    }
    let status = wire.http("/status").expect("the status");
    assert!(status.contains("\"zero_copy\":false") || status.contains("\"zero_copy\": false"), "{status}");
}
