//! Asks a DNS server at a rate that the server does not decide, through AF_XDP, and tells how long answers took.
//!
//! Each query has a time at which it is due, which follows from the rate alone, and its latency counts from then: a
//! server that pauses pays for all the queries that were due meanwhile, whether or not they could be sent (no
//! coordinated omission). This program never waits: it sends what is due, takes what has come, and gives its core away
//! for a moment, to the kernel's thread that receives for it. Through sockets a core could not keep up with the
//! rates that are asked for here.
//!
//! ```text
//! xdp_latency INTERFACE OWN-ADDRESS SERVER-ADDRESS SERVER-MAC RATE SECONDS QUERIES
//! ```
//!
//! IPv4 alone. The file of queries has `NAME TYPE` on each line. Printed are: queries, answers, nanoseconds within which
//! 50, 99 and 99.9 % of the queries were answered, or `never` where more than the rest were lost, those of the last answer,
//! and how late 99 % of the queries were sent at most, which is this program's own share in the latencies.

mod bare_xdp;

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bare_xdp::{Attached, FRAME, PLACES, Port, Socket};

/// Queries come from 256 ports, those with this upper octet.
const PORTS: u8 = 0x50;
/// Queries of which the due times are known; what comes later is lost.
const REMEMBERED: usize = 1 << 18;
/// At most so many are sent before answers are taken.
const BURST: u32 = 32;
/// Answers that come later than this behind the last query are lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Different queries, asked again and again.
const QUERIES: usize = 10_000;
/// Headers of Ethernet, IPv4 and UDP.
const HEADERS: usize = 14 + 20 + 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, own, server, server_mac, rate, seconds, file] = &arguments[..] else {
        return Err(
            "usage: xdp_latency INTERFACE OWN-ADDRESS SERVER-ADDRESS SERVER-MAC RATE SECONDS QUERIES".into(),
        );
    };
    let own_mac = fs::read_to_string(format!("/sys/class/net/{interface}/address"))?;
    let packets = packets((&mac(&own_mac)?, own.parse()?), (&mac(server_mac)?, server.parse()?), file)?;
    // The upper octet of a port stands first.
    let attached = bare_xdp::attach(interface, Port { mask: 0x00ff, value: PORTS.into() })?;
    let mut client = Client::new(attached, packets);
    client.run(rate.parse()?, Duration::from_secs(seconds.parse()?));
    client.tell();
    Ok(())
}

fn mac(text: &str) -> Result<[u8; 6], Box<dyn Error>> {
    let octets = text.trim().split(':').map(|octet| u8::from_str_radix(octet, 16));
    let octets: Vec<u8> = octets.collect::<Result<_, _>>()?;
    octets.try_into().map_err(|_| "a link address has six octets".into())
}

/// Whole frames but for port and identifier.
fn packets(
    (own_mac, own): (&[u8; 6], Ipv4Addr),
    (server_mac, server): (&[u8; 6], Ipv4Addr),
    file: &str,
) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let text = fs::read_to_string(file)?;
    let lines = text.lines().take(QUERIES);
    lines
        .map(|line| {
            let (name, qtype) = line.split_once(' ').ok_or("a line of queries is NAME TYPE")?;
            let message = query(name, qtype)?;
            let mut packet = [&server_mac[..], own_mac, &[8, 0]].concat();
            // No identification, no fragments (RFC 6864 §4.1), a hop limit of 64, UDP; the sum comes below.
            let length = ((HEADERS - 14 + message.len()) as u16).to_be_bytes();
            let mut ip = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 17, 0, 0];
            ip.extend(own.octets());
            ip.extend(server.octets());
            let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend(ip);
            let length = ((8 + message.len()) as u16).to_be_bytes();
            // Without a checksum, which IPv4 allows.
            packet.extend([PORTS, 0, 0, 53, length[0], length[1], 0, 0]);
            packet.extend(message);
            Ok(packet)
        })
        .collect()
}

fn query(name: &str, qtype: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let qtype: u8 = match qtype {
        "A" => 1,
        "NS" => 2,
        "SOA" => 6,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        _ => return Err(format!("{qtype}: not a type that is known here").into()),
    };
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len())?);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, qtype, 0, 1]);
    Ok(message)
}

struct Client {
    attached: Attached,
    packets: Vec<Vec<u8>>,
    /// Frames that can be sent.
    free: Vec<u64>,
    /// When the query in each place was due; `None` once it is answered.
    due: Vec<Option<Duration>>,
    asked: u64,
    latencies: Vec<Duration>,
    lateness: Vec<Duration>,
}

impl Client {
    fn new(attached: Attached, packets: Vec<Vec<u8>>) -> Self {
        // The lower half of the frames is received into.
        let free = (PLACES..2 * PLACES).map(|frame| u64::from(frame) * FRAME as u64).collect();
        let due = vec![None; REMEMBERED];
        Self { attached, packets, free, due, asked: 0, latencies: Vec::new(), lateness: Vec::new() }
    }

    fn socket(&mut self) -> &mut Socket {
        &mut self.attached.socket
    }

    fn run(&mut self, rate: u64, time: Duration) {
        let all = rate * time.as_secs();
        self.latencies.reserve(all as usize);
        self.lateness.reserve(all as usize);
        let begin = Instant::now();
        let mut unsent = false;
        loop {
            let mut filled = 0;
            while filled < BURST && self.asked < all {
                let due = Duration::from_nanos(self.asked * 1_000_000_000 / rate);
                let now = begin.elapsed();
                if due > now || !self.ask(due) {
                    break;
                }
                self.lateness.push(now - due);
                filled += 1;
            }
            if filled > 0 || unsent {
                unsent = self.socket().kick();
            }
            self.take(begin);
            // Queries that were due and never sent are lost, too.
            if self.latencies.len() as u64 == all || begin.elapsed() > time + PATIENCE {
                self.asked = all;
                break;
            }
            std::thread::yield_now();
        }
    }

    /// Puts the next query into the ring, unless there is no room: then it is sent later, and late.
    fn ask(&mut self, due: Duration) -> bool {
        let done = self.attached.socket.sent.waiting();
        let free = &mut self.free;
        self.attached.socket.sent.take(done, |frame| free.push(frame & !(FRAME as u64 - 1)));
        if self.attached.socket.send.room() == 0 {
            return false;
        }
        let Some(address) = self.free.pop() else { return false };
        let number = self.asked;
        let packet = &self.packets[number as usize % self.packets.len()];
        let frame = self.attached.socket.frame(address, packet.len());
        frame.copy_from_slice(packet);
        frame[35] = number as u8;
        frame[HEADERS..HEADERS + 2].copy_from_slice(&((number >> 8) as u16).to_be_bytes());
        let descriptor = libc::xdp_desc { addr: address, len: packet.len() as u32, options: 0 };
        self.attached.socket.send.put(1, |_| descriptor);
        self.due[number as usize % REMEMBERED] = Some(due);
        self.asked += 1;
        true
    }

    /// Takes what has come, and gives the frames back to be received into.
    fn take(&mut self, begin: Instant) {
        let mut came = Vec::new();
        let count = self.socket().receive.waiting();
        self.socket().receive.take(count, |packet| came.push(packet));
        for packet in &came {
            let frame = self.attached.socket.frame(packet.addr, packet.len as usize);
            let (Some(&port), Some(&[high, low])) = (frame.get(37), frame[HEADERS..].first_chunk()) else {
                continue;
            };
            // 24 bits of the query's number: more than are remembered.
            let number = usize::from(port) | usize::from(low) << 8 | usize::from(high) << 16;
            if let Some(due) = self.due[number % REMEMBERED].take() {
                self.latencies.push(begin.elapsed().saturating_sub(due));
            }
        }
        let mut frames = came.iter().map(|packet| packet.addr & !(FRAME as u64 - 1));
        self.attached.socket.fill.put(count, |_| frames.next().unwrap_or_default());
    }

    fn tell(&mut self) {
        self.latencies.sort_unstable();
        self.lateness.sort_unstable();
        print!("{} {}", self.asked, self.latencies.len());
        for share in [0.5, 0.99, 0.999] {
            let rank = (self.asked as f64 * share).ceil() as usize;
            match self.latencies.get(rank.saturating_sub(1)) {
                Some(latency) => print!(" {}", latency.as_nanos()),
                None => print!(" never"),
            }
        }
        print!(" {}", self.latencies.last().map_or(0, Duration::as_nanos));
        let rank = (self.lateness.len() as f64 * 0.99).ceil() as usize;
        println!(" {}", self.lateness.get(rank.saturating_sub(1)).map_or(0, Duration::as_nanos));
    }
}
