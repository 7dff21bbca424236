//! How long answers take at a rate that the server does not decide.
//!
//! Each query has a time at which it is due, which follows from the rate alone, and its latency counts from then: a
//! server that pauses pays for all the queries that were due meanwhile, whether or not they could be sent (no
//! coordinated omission). The client never waits for anything: it sends what is due, takes what has come, and gives
//! its core away to the thread that receives for it. How late it was itself is told beside, as that is in the
//! latencies, too; it is the same client for all.

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use pharos_netio::affinity::{CpuId, pin_current_thread};

use super::error::{BenchError, cannot};
use super::probe::query;
use super::results::LatencyFigures;
use super::room::{Cores, Room};

/// Sockets of the client; each has a port of its own.
const SOCKETS: usize = 8;
/// Queries of a socket that may be under way; what has not come back when its place is needed is lost.
const UNDER_WAY: usize = 8192;
/// At most so many are sent before the client looks for answers.
const BURST: u32 = 32;
/// Answers that come later than this behind the last query are lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Different queries, asked again and again.
const QUERIES: usize = 10_000;

/// Asks at a rate for a while.
pub(super) fn run(
    rate: u32,
    file: &Path,
    room: &Room,
    (cores, time): (Cores, Duration),
) -> Result<LatencyFigures, BenchError> {
    let messages = read_queries(file).map_err(cannot(format!("read {}", file.display())))?;
    let ask = || -> io::Result<LatencyFigures> {
        pin_current_thread(CpuId::new(cores.load)).map_err(io::Error::other)?;
        let mut client = Client::new(&room.address)?;
        client.run(rate, time, &messages)
    };
    room.client.enter(ask)?.map_err(cannot("ask for latencies"))
}

fn read_queries(file: &Path) -> io::Result<Vec<Vec<u8>>> {
    let lines = BufReader::new(fs::File::open(file)?).lines().take(QUERIES);
    lines
        .map(|line| {
            let line = line?;
            let (name, qtype) = line.split_once(' ').ok_or(ErrorKind::InvalidData)?;
            let qtype = match qtype {
                "A" => 1,
                "NS" => 2,
                "SOA" => 6,
                "MX" => 15,
                "TXT" => 16,
                "AAAA" => 28,
                _ => return Err(ErrorKind::InvalidData.into()),
            };
            Ok(query(0, name, qtype, &[]))
        })
        .collect()
}

struct Client {
    sockets: Vec<UdpSocket>,
    /// When the query in each place was due; `None` once it is answered.
    due: Vec<Option<Duration>>,
    latencies: Histogram,
    lateness: Histogram,
    answered: u64,
}

impl Client {
    fn new(address: &str) -> io::Result<Self> {
        let open = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect((address, 53))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self {
            sockets: (0..SOCKETS).map(open).collect::<io::Result<_>>()?,
            due: vec![None; SOCKETS * UNDER_WAY],
            latencies: Histogram::default(),
            lateness: Histogram::default(),
            answered: 0,
        })
    }

    fn run(&mut self, rate: u32, time: Duration, messages: &[Vec<u8>]) -> io::Result<LatencyFigures> {
        let all = u64::from(rate) * time.as_secs();
        let begin = Instant::now();
        let (mut asked, mut message) = (0_u64, Vec::new());
        loop {
            for _ in 0..BURST {
                let due = Duration::from_nanos(asked * 1_000_000_000 / u64::from(rate));
                let now = begin.elapsed();
                if asked == all || due > now {
                    break;
                }
                self.lateness.add(now - due);
                let place = (asked % (SOCKETS * UNDER_WAY) as u64) as usize;
                message.clear();
                message.extend_from_slice(&messages[asked as usize % messages.len()]);
                message[..2].copy_from_slice(&((place / SOCKETS) as u16).to_be_bytes());
                self.due[place] = Some(due);
                match self.sockets[place % SOCKETS].send(&message) {
                    Ok(_) => {}
                    // It counts as asked and lost.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                asked += 1;
            }
            self.take(begin)?;
            if asked == all && (self.answered == all || begin.elapsed() > time + PATIENCE) {
                break;
            }
            std::thread::yield_now();
        }
        let at = |share| self.latencies.quantile(share).as_secs_f64() * 1e6;
        Ok(LatencyFigures {
            asked,
            answered: self.answered,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: at(1.0),
            client_late_p99_us: self.lateness.quantile(0.99).as_secs_f64() * 1e6,
        })
    }

    /// Takes what has come on all sockets.
    fn take(&mut self, begin: Instant) -> io::Result<()> {
        let mut reply = [0; 2048];
        for (number, socket) in self.sockets.iter().enumerate() {
            loop {
                let octets = match socket.recv(&mut reply) {
                    Ok(octets) => octets,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let id = reply[..octets].first_chunk().map_or(UNDER_WAY, |id| u16::from_be_bytes(*id).into());
                if let Some(due) = self.due.get_mut(id * SOCKETS + number).and_then(Option::take) {
                    self.latencies.add(begin.elapsed().saturating_sub(due));
                    self.answered += 1;
                }
            }
        }
        Ok(())
    }
}

/// Counts of times, in classes that are one in 64 wide: what is read from it is right to 1.6 %.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    all: u64,
}

impl Histogram {
    const SUBCLASS_BITS: u32 = 6;

    /// Counts one.
    pub(super) fn add(&mut self, time: Duration) {
        let class = Self::class(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        if self.counts.len() <= class {
            self.counts.resize(class + 1, 0);
        }
        self.counts[class] += 1;
        self.all += 1;
    }

    /// The time that this share of all stayed within: the upper end of its class.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(Self::upper(class));
            }
        }
        Duration::ZERO
    }

    fn class(nanoseconds: u64) -> usize {
        let top = 64 - nanoseconds.leading_zeros();
        let shift = top.saturating_sub(Self::SUBCLASS_BITS + 1);
        // Below 128 every number is a class; above, each doubling adds 64 classes.
        ((shift << Self::SUBCLASS_BITS) as u64 + (nanoseconds >> shift)) as usize
    }

    fn upper(class: usize) -> u64 {
        let class = class as u64;
        let shift = (class >> Self::SUBCLASS_BITS).saturating_sub(1);
        ((class - (shift << Self::SUBCLASS_BITS) + 1) << shift) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_class_that_ends_at_most_a_sixty_fourth_above_it() {
        for nanoseconds in (0..5000).chain([65_535, 65_536, 1_000_000_007, 123_456_789_012]) {
            let upper = Histogram::upper(Histogram::class(nanoseconds));
            assert!(
                upper >= nanoseconds && upper - nanoseconds <= nanoseconds / 64,
                "{nanoseconds}: {upper}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_counted_times() {
        let mut histogram = Histogram::default();
        for microseconds in 1..=1000 {
            histogram.add(Duration::from_micros(microseconds));
        }
        for (share, microseconds) in [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            let quantile = histogram.quantile(share).as_micros();
            assert!(quantile.abs_diff(microseconds) <= microseconds / 60, "{share}: {quantile}");
        }
    }
}
