//! The floor under every measurement of a UDP server built on this crate: it does all that a DNS worker does
//! but the DNS. Each datagram goes back as it came.
//!
//! ```text
//! cargo run --release -p pharos-netio --example udp_echo -- serve 127.0.0.1:5300 [ADDRESS...]
//! cargo run --release -p pharos-netio --example udp_echo -- measure
//! ```
//!
//! `serve` starts a pinned worker on every CPU and prints the datagrams of each second. `measure` bounces full
//! batches between two sockets in one thread and prints the time of a receive and a send per datagram, for
//! sockets bound to a specific address and for wildcard ones, which pay for packet information.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pharos_netio::affinity::{CpuId, allowed_cpus, pin_current_thread};
use pharos_netio::{
    Batch, Came, Inbox, MAX_SLOTS, NetError, Steering, UdpOptions, UdpSocket, Wait, bind_group,
};

const USAGE: &str = "usage: udp_echo serve ADDRESS:PORT... | udp_echo measure";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, listen)) if verb == "serve" && !listen.is_empty() => {
            let listen = listen.iter().map(|text| text.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
            serve(&listen)
        }
        Some((verb, [])) if verb == "measure" => measure(),
        _ => Err(USAGE.into()),
    }
}

fn serve(listen: &[SocketAddr]) -> Result<(), Box<dyn Error>> {
    let cpus = allowed_cpus()?;
    let mut workers: Vec<Vec<UdpSocket>> = cpus.iter().map(|_| Vec::new()).collect();
    for &addr in listen {
        let steering = Steering::ReceivingCpu { worker_cpus: &cpus };
        let group = bind_group(addr, cpus.len(), steering, &UdpOptions::default())?;
        println!("listening on {}", group[0].local_addr());
        for (worker, socket) in workers.iter_mut().zip(group) {
            worker.push(socket);
        }
    }
    let echoed = Arc::new(AtomicU64::new(0));
    for (&cpu, sockets) in cpus.iter().zip(workers) {
        let inbox = Inbox::new(sockets, Duration::from_millis(100))?;
        let echoed = Arc::clone(&echoed);
        std::thread::spawn(move || {
            if let Err(error) = work(cpu, inbox, &echoed) {
                eprintln!("worker on CPU {cpu}: {error}");
                std::process::exit(1);
            }
        });
    }
    loop {
        let before = echoed.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
        let datagrams = echoed.load(Ordering::Relaxed) - before;
        if datagrams > 0 {
            println!("{datagrams} datagrams/s");
        }
    }
}

fn work(cpu: CpuId, mut inbox: Inbox, echoed: &AtomicU64) -> Result<(), Box<dyn Error>> {
    pin_current_thread(cpu)?;
    let mut batch = Batch::new(MAX_SLOTS, 4096, 4096);
    loop {
        let Some(Came::Socket(_, socket)) = inbox.receive(&mut batch)? else { continue };
        let sent = echo(&mut batch, socket);
        echoed.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

/// Sends the batch back as it came; returns how many datagrams left.
fn echo(batch: &mut Batch, socket: &UdpSocket) -> usize {
    batch.for_each(|slot| {
        let octets = slot.query.len().min(slot.reply.len());
        slot.reply[..octets].copy_from_slice(&slot.query[..octets]);
        slot.set_reply(octets);
    });
    batch.send(socket).sent
}

fn measure() -> Result<(), Box<dyn Error>> {
    const BATCHES: usize = 20_000;
    if let Some(&cpu) = allowed_cpus()?.first() {
        pin_current_thread(cpu)?;
    }
    for slots in [1, 8, MAX_SLOTS] {
        for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let per_datagram = bounce(listen.parse()?, slots, BATCHES)?;
            println!("{listen:>12}, {slots:>2} in a batch: {per_datagram:?} to receive and send one");
        }
    }
    Ok(())
}

/// Bounces `slots` datagrams of a query's size between two sockets; the mean time of one hop of one datagram.
fn bounce(listen: SocketAddr, slots: usize, batches: usize) -> Result<Duration, Box<dyn Error>> {
    const QUERY: [u8; 60] = [0; 60];
    let open = || -> Result<UdpSocket, NetError> { UdpSocket::bind(listen, &UdpOptions::default()) };
    let (one, other) = (open()?, open()?);
    let mut asked = one.local_addr();
    if asked.ip().is_unspecified() {
        asked.set_ip(if asked.is_ipv4() { [127, 0, 0, 1].into() } else { IpAddr::V6(1.into()) });
    }
    for _ in 0..slots {
        socket2::SockRef::from(&other).send_to(&QUERY, &asked.into())?;
    }
    let mut batch = Batch::new(slots, 4096, 4096);
    let mut hops = 0;
    let start = Instant::now();
    for socket in [&one, &other].into_iter().cycle().take(batches) {
        batch.receive(socket, Wait::ForDatagram)?;
        hops += echo(&mut batch, socket);
    }
    Ok(start.elapsed() / u32::try_from(hops.max(1))?)
}
