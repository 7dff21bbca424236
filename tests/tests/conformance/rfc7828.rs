//! RFC 7828: edns-tcp-keepalive.

use std::time::Duration;

use pharos_answer::{Context, Job, Silent, Transport, Verdict, answer};
use pharos_testkit::{Ask, CLIENT, Reply, Served};
use pharos_wire::{Rcode, Rtype};

use super::live::{Live, framed, receive, send};

const KEEPALIVE: u16 = 11;

fn ask() -> Ask {
    Ask::new("a.example.", Rtype::A)
}

fn told(ask: &Ask, transport: Transport, idle: Duration) -> Option<Vec<u8>> {
    let served = Served::small("example.", "a A 192.0.2.1\n");
    let mut context: Context = served.context(transport);
    context.set_keepalive(idle);
    let mut out = vec![0; 4096];
    let verdict =
        answer(&mut Job::default(), served.set(), &context, CLIENT, &ask.octets(), &mut out, &mut Silent);
    let Verdict::Reply(replied) = verdict else { panic!("{verdict:?}") };
    let reply = Reply::read(&out[..replied.len], replied).unwrap();
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    reply.opt.as_ref().and_then(|opt| opt.option(KEEPALIVE)).map(<[u8]>::to_vec)
}

// §3.1: TIMEOUT is 16 bits in units of 100 milliseconds; §3.3.2: the server tells it over TCP.
#[test]
fn a_client_is_told_how_long_its_connection_may_be_idle() {
    let ask = ask().option(KEEPALIVE, b"").tcp();
    for (idle, units) in [(0, 0), (99, 0), (100, 1), (10_000, 100), (6_553_500, 65_535), (u64::MAX, 65_535)] {
        let told = told(&ask, Transport::Tcp, Duration::from_millis(idle)).unwrap();
        assert_eq!(told, u16::to_be_bytes(units), "{idle} ms");
    }
}

// §3.3.1: over UDP the server "MUST ignore the option".
#[test]
fn over_udp_it_is_ignored() {
    assert_eq!(told(&ask().option(KEEPALIVE, b""), Transport::Udp, Duration::from_secs(10)), None);
}

// §3.3.2: the server may tell it unasked; ours tells who asks.
#[test]
fn who_does_not_ask_is_not_told() {
    assert_eq!(told(&ask().edns(1232).tcp(), Transport::Tcp, Duration::from_secs(10)), None);
    assert_eq!(told(&ask().tcp(), Transport::Tcp, Duration::from_secs(10)), None);
}

// §3.4: what was told is what holds: the connection is closed after that time and not before a query was sent.
#[test]
fn a_running_responder_tells_its_idle_time() {
    let live = Live::start("keepalive", "a A 192.0.2.1\n", |config| config.tcp.idle = Duration::from_secs(7));
    let stream = live.connect();
    send(&stream, &framed(1, &ask().option(KEEPALIVE, b"")));
    assert!(receive(&stream).unwrap().ends_with(&[0, 11, 0, 2, 0, 70]));
}
