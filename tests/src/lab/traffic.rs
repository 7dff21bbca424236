//! A population of clients: queries at a fixed pace over UDP and TCP and both families, none of them ever repeated.
//!
//! The pace is open-loop: a query is due when the clock says so, whether the one before was answered or not, so an
//! outage costs as many queries as it lasted, and slowness of the machine cannot hide any. Each query is kept with the
//! moment of its sending and, once answered, with the node that named itself in the answer (NSID, RFC 5001). What has
//! no answer is lost. An answer that is not an authoritative SOA is *wrong*, and no scenario forgives one.
//!
//! UDP goes out of [`FLOWS`] sockets for each family, so that routers which spread flows over nodes have some to
//! spread. TCP opens a connection for each query, [`TCP_PACE`] a second; where a plan wants it, as much as over UDP is
//! asked over connections that stay open, too ([`TcpLoad::Streams`]).
//!
//! Who asks for hours forgets what it has counted ([`Traffic::forget`]), or five thousand queries a second fill memory.

mod streams;

use super::{ANYCAST4, ANYCAST6, Namespace, TcpLoad, wait_until};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sockets for each family. Sixteen flows leave no node of two without any, but once in thirty thousand labs.
const FLOWS: u64 = 16;
/// Queries over UDP for each family and second: 5,200 together, of which each flow sends its part.
const UDP_PACE: u64 = 2600;
/// Connections for each family and second.
const TCP_PACE: u64 = 20;
/// Connections that may hang at once for each family: what the pace can leave behind in the time of a patience, and
/// then some. A machine that cannot keep up must not be given more to do.
const MOST_HANGING: usize = 150;
/// A query is lost for good when no answer came in this time: far above a round trip here, so that a machine that is
/// busy for a moment loses nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a query travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Udp,
    /// A connection for each query.
    Tcp,
    /// One connection for many.
    Stream,
}

/// Who answered a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// The node's place in [`Shared::names`].
    By(u8),
    /// Something else than the expected answer.
    Wrong,
    /// The attempt failed at once: refused, reset, no route.
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Since the origin.
    sent: Duration,
    /// When its fate was known; until then when it was sent.
    ended: Duration,
    fate: Fate,
}

impl Sample {
    fn is_lost(&self) -> bool {
        matches!(self.fate, Fate::Open | Fate::Failed)
    }
}

/// One socket, one family's connections, or one connection that stays.
#[derive(Debug)]
struct Lane {
    over: Over,
    server: SocketAddr,
    samples: Mutex<Samples>,
    /// The ends of its connections, where it keeps one.
    ends: Mutex<Vec<End>>,
}

/// A connection that should have stayed has ended.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Duration,
    /// When there was another in its place.
    again: Option<Duration>,
}

/// The queries of a lane, in the order of their sending. The first so many are forgotten, and keep their numbers.
#[derive(Debug, Default)]
struct Samples {
    forgotten: usize,
    kept: VecDeque<Sample>,
}

#[derive(Debug)]
struct Shared {
    origin: Instant,
    names: Vec<String>,
    lanes: Vec<Lane>,
    stop: AtomicBool,
    /// Attempts to send that the kernel refused twice.
    unsent: AtomicU64,
}

/// Clients that are asking.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of the queries of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Queries sent.
    pub sent: u64,
    /// Of those, without an answer.
    pub lost: u64,
    /// Of those, with an answer that is none.
    pub wrong: u64,
}

/// The queries of a time over each transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Datagrams.
    pub udp: Tally,
    /// Connections.
    pub tcp: Tally,
}

/// For how long nobody answered, however many asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Silence {
    /// By family, IPv4 first: since when no query over UDP has been answered, where that is so.
    since: [Option<Duration>; 2],
    /// The longest so far: from the first query without an answer to the next with one.
    pub longest: Duration,
}

impl Traffic {
    /// Begins inside `namespace`; `names` are those that nodes may give in NSID.
    pub fn start(namespace: &Namespace, names: &[String], tcp: TcpLoad) -> Self {
        let servers = [ANYCAST4, ANYCAST6]
            .map(|address| SocketAddr::new(address.parse::<IpAddr>().expect("the lab's own addresses"), 53));
        let lane = |over, server| Lane { over, server, samples: Mutex::default(), ends: Mutex::default() };
        let udp = servers.iter().flat_map(|server| (0..FLOWS).map(|_| lane(Over::Udp, *server)));
        let connections = servers.iter().map(|server| lane(Over::Tcp, *server));
        let streams = if tcp == TcpLoad::Streams { streams::EACH } else { 0 };
        let streams = servers.iter().flat_map(|server| (0..streams).map(|_| lane(Over::Stream, *server)));
        let shared = Arc::new(Shared {
            origin: Instant::now(),
            names: names.to_vec(),
            lanes: udp.chain(connections).chain(streams).collect(),
            stop: AtomicBool::new(false),
            unsent: AtomicU64::new(0),
        });
        // Threads inherit the namespace of the thread that makes them.
        let threads = namespace.enter(|| start_threads(&shared));
        Self { shared, threads }
    }

    /// What became of the queries sent from `from` on and before `until`. Those that may still be answered are
    /// waited for.
    pub fn tally(&self, from: Instant, until: Instant) -> Tallies {
        let [from, until] = [from, until].map(|at| at.saturating_duration_since(self.shared.origin));
        wait_until("the last queries are answered or lost", || {
            self.shared.origin.elapsed() > until + PATIENCE || self.open(from, until) == 0
        });
        let mut tallies = Tallies::default();
        self.each(from, until, |over, sample| {
            let tally = match over {
                Over::Udp => &mut tallies.udp,
                Over::Tcp | Over::Stream => &mut tallies.tcp,
            };
            tally.sent += 1;
            tally.lost += u64::from(sample.is_lost());
            tally.wrong += u64::from(sample.fate == Fate::Wrong);
        });
        tallies
    }

    /// How many of the queries lost in that time were asked over connections that were open at one of `moves`, when a
    /// route changed: the next packet reaches a node that does not know them, whatever the nodes do. A connection that
    /// stays learns of it by that packet, and until there is another its queries are lost.
    pub fn cut(&self, from: Instant, until: Instant, moves: &[Instant]) -> u64 {
        /// From a move to the end of a connection that stays: a few packets, on a machine that is busy.
        const SOON: Duration = Duration::from_millis(100);
        /// A query that was sent so long before the move had its answer by then, or was lost to something else.
        const ANSWERED: Duration = Duration::from_millis(10);
        /// From a move to the moment at which the monitor has read of it: a connection may have been reset in between.
        const HEARD: Duration = Duration::from_millis(10);
        let since_origin = |at: &Instant| at.saturating_duration_since(self.shared.origin);
        let moves: Vec<_> = moves.iter().map(since_origin).collect();
        let [from, until] = [from, until].map(|at| since_origin(&at));
        let mut cut = 0;
        for lane in &self.shared.lanes {
            let ends = lane.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let by = |sample: &Sample, at: Duration| match lane.over {
                Over::Udp => false,
                Over::Tcp => (sample.sent..=sample.ended + HEARD).contains(&at),
                Over::Stream => ends.iter().any(|end| {
                    // Who writes may meet the end before who reads has noted it.
                    let meanwhile = end.at.min(at.saturating_sub(HEARD))..=end.again.unwrap_or(Duration::MAX);
                    end.at.abs_diff(at) <= SOON
                        && sample.sent + ANSWERED >= at
                        && meanwhile.contains(&sample.ended)
                }),
            };
            lane.within(from, until, |sample| {
                cut += u64::from(sample.is_lost() && moves.iter().any(|at| by(sample, *at)));
            });
        }
        cut
    }

    /// The moment from which on every query has been answered by one of `nodes`, over all transports and families,
    /// as far as answers are due; `None` if that is not so yet, or not for long enough to tell.
    pub fn settled_on(&self, nodes: &[&str], since: Instant) -> Option<Instant> {
        /// Both families and transports have asked a few times in this time, and flows to all nodes.
        const EVIDENCE: Duration = Duration::from_millis(400);
        /// What is younger may have its answer on the way.
        const ON_THE_WAY: Duration = Duration::from_millis(100);
        let since = since.saturating_duration_since(self.shared.origin);
        let until = self.shared.origin.elapsed().saturating_sub(ON_THE_WAY);
        let good = |sample: &Sample| matches!(sample.fate, Fate::By(who) if self.is_one_of(who, nodes));
        // The usual answer is no, and is found in the last moments; this is asked often.
        let recent = until.saturating_sub(EVIDENCE).max(since);
        let mut asked = 0_u64;
        let mut all_good = true;
        self.each(recent, until, |_, sample| {
            asked += 1;
            all_good &= good(sample);
        });
        if asked == 0 || !all_good || until < since + EVIDENCE {
            return None;
        }
        let lanes = || {
            self.shared.lanes.iter().map(|lane| lane.samples.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let last_other = lanes().filter_map(|samples| {
            let end = samples.kept.partition_point(|sample| sample.sent < until);
            let in_time = samples.kept.range(..end).rev().take_while(|sample| sample.sent >= since);
            in_time.clone().find(|sample| !good(sample)).map(|sample| sample.sent)
        });
        let last_other = last_other.max();
        let first_good = lanes().filter_map(|samples| {
            let first = samples.kept.partition_point(|sample| match last_other {
                Some(last) => sample.sent <= last,
                None => sample.sent < since,
            });
            samples.kept.get(first).map(|sample| sample.sent)
        });
        first_good.min().map(|at| self.shared.origin + at)
    }

    /// The nodes that answered queries sent from `from` on and before `until`.
    pub fn answered_by(&self, from: Instant, until: Instant) -> Vec<String> {
        let [from, until] = [from, until].map(|at| at.saturating_duration_since(self.shared.origin));
        let mut seen = vec![false; self.shared.names.len()];
        self.each(from, until, |_, sample| {
            if let Fate::By(who) = sample.fate
                && let Some(seen) = seen.get_mut(usize::from(who))
            {
                *seen = true;
            }
        });
        let names = self.shared.names.iter().zip(seen);
        names.filter(|(_, seen)| *seen).map(|(name, _)| name.clone()).collect()
    }

    /// Sends that the kernel refused outright, which count as lost besides.
    pub fn unsent(&self) -> u64 {
        self.shared.unsent.load(Ordering::Relaxed)
    }

    /// Goes on with `silence` over the queries sent over UDP from `from` on and before `until`, which are as answered now
    /// as they ever will be.
    pub fn follow(&self, from: Instant, until: Instant, silence: &mut Silence) {
        let [from, until] = [from, until].map(|at| at.saturating_duration_since(self.shared.origin));
        let Silence { since, longest } = silence;
        for (since, of_family) in since.iter_mut().zip([SocketAddr::is_ipv4, SocketAddr::is_ipv6]) {
            let mut asked = Vec::new();
            let lanes = self.shared.lanes.iter();
            for lane in lanes.filter(|lane| lane.over == Over::Udp && of_family(&lane.server)) {
                lane.within(from, until, |sample| asked.push(*sample));
            }
            asked.sort_unstable_by_key(|sample| sample.sent);
            for Sample { sent, fate, .. } in asked {
                let begun = *since.get_or_insert(sent);
                *longest = (*longest).max(sent.saturating_sub(begun));
                if matches!(fate, Fate::By(_) | Fate::Wrong) {
                    *since = None;
                }
            }
        }
    }

    /// Forgets the queries sent before `before`: nobody will ask for them any more.
    pub fn forget(&self, before: Instant) {
        let before = before.saturating_duration_since(self.shared.origin);
        for lane in &self.shared.lanes {
            let mut samples = lane.samples.lock().unwrap_or_else(PoisonError::into_inner);
            let old = samples.kept.partition_point(|sample| sample.sent < before);
            samples.kept.drain(..old);
            samples.forgotten += old;
        }
    }

    fn is_one_of(&self, who: u8, nodes: &[&str]) -> bool {
        self.shared.names.get(usize::from(who)).is_some_and(|name| nodes.contains(&name.as_str()))
    }

    fn open(&self, from: Duration, until: Duration) -> u64 {
        let mut open = 0;
        self.each(from, until, |_, sample| open += u64::from(sample.fate == Fate::Open));
        open
    }

    fn each(&self, from: Duration, until: Duration, mut look: impl FnMut(Over, &Sample)) {
        for lane in &self.shared.lanes {
            lane.within(from, until, |sample| look(lane.over, sample));
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic, if any, has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Notes a query about to be sent in a lane, and gives its number there.
    fn sending(&self, lane: &Lane) -> usize {
        let mut samples = lane.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        samples.kept.push_back(Sample { sent: now, ended: now, fate: Fate::Open });
        samples.forgotten + samples.kept.len() - 1
    }

    /// What an answer tells: who gave it, or that it is wrong.
    fn fate(&self, answer: &[u8]) -> Fate {
        // QR and AA set, TC not, NOERROR, and an answer.
        let [_, _, first, second, _, _, high, low, ..] = answer else { return Fate::Wrong };
        let good = first & 0b1000_0110 == 0b1000_0100 && second & 0x0f == 0 && (*high, *low) != (0, 0);
        // The option as it stands in OPT: code 3, length, text. No name in a message has dots in it.
        let named = |name: &String| {
            let length = u8::try_from(name.len()).expect("names of the lab are short");
            let option = [&[0, 3, 0, length], name.as_bytes()].concat();
            answer.windows(option.len()).any(|window| window == option)
        };
        match self.names.iter().position(named).and_then(|place| u8::try_from(place).ok()) {
            Some(who) if good => Fate::By(who),
            _ => Fate::Wrong,
        }
    }
}

impl Lane {
    /// The fate of a query, unless it is known, `now` after the origin.
    fn settle(&self, now: Duration, number: usize, fate: Fate) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let place = number.checked_sub(samples.forgotten);
        let sample = place.and_then(|place| samples.kept.get_mut(place));
        if let Some(sample) = sample.filter(|sample| sample.fate == Fate::Open) {
            (sample.ended, sample.fate) = (now, fate);
        }
    }

    /// Its connection has ended, `now` after the origin: what has not been answered yet will not be.
    fn ended(&self, now: Duration) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(End { at: now, again: None });
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let open = samples.kept.iter_mut().filter(|sample| sample.fate == Fate::Open);
        open.for_each(|sample| (sample.ended, sample.fate) = (now, Fate::Failed));
    }

    /// It has a connection, `now` after the origin.
    fn connected(&self, now: Duration) {
        if let Some(end) = self.ends.lock().unwrap_or_else(PoisonError::into_inner).last_mut() {
            end.again = Some(now);
        }
    }

    /// Looks at the queries sent from `from` on and before `until`, in the order of their sending.
    fn within(&self, from: Duration, until: Duration, look: impl FnMut(&Sample)) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let first = samples.kept.partition_point(|sample| sample.sent < from);
        samples.kept.range(first..).take_while(|sample| sample.sent < until).for_each(look);
    }

    /// The last query with this message id.
    fn by_id(&self, id: u16) -> Option<usize> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let last = (samples.forgotten + samples.kept.len()).checked_sub(1)?;
        let back = last.wrapping_sub(usize::from(id)) % 65_536;
        last.checked_sub(back)
    }
}

/// The query of this number in its lane: SOA of example.com, with NSID.
fn query(number: usize) -> Vec<u8> {
    let id = u16::try_from(number % 65_536).expect("a remainder fits");
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend_from_slice(b"\0\0\0\x01\0\0\0\0\0\x01\x07example\x03com\0\0\x06\0\x01");
    // OPT: the root, type 41, 1232 octets, no flags, and one empty option of code 3.
    octets.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x03\0\0");
    octets
}

/// The same as TCP carries it (RFC 1035 §4.2.2).
fn framed(number: usize) -> Vec<u8> {
    let query = query(number);
    let length = u16::try_from(query.len()).expect("a query is short").to_be_bytes();
    [&length, query.as_slice()].concat()
}

fn start_threads(shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    for (place, lane) in shared.lanes.iter().enumerate() {
        match lane.over {
            Over::Udp => {
                let socket = udp_socket(lane.server).expect("a client can have a UDP socket");
                let listening = socket.try_clone().expect("a socket can be doubled");
                let shared = Arc::clone(shared);
                threads.push(std::thread::spawn(move || listen(&shared, place, &listening)));
                sockets.push((place, socket));
            }
            Over::Tcp => {
                let shared = Arc::clone(shared);
                threads.push(std::thread::spawn(move || connect_at_pace(&shared, place)));
            }
            Over::Stream => streams.push(place),
        }
    }
    if !streams.is_empty() {
        threads.extend(streams::start(shared, streams));
    }
    let shared = Arc::clone(shared);
    threads.push(std::thread::spawn(move || {
        at_pace(&shared, 2 * UDP_PACE, |turn| send(&shared, &sockets, turn));
    }));
    threads
}

fn udp_socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket)
}

/// Calls `send` with the number of each query that is due, `pace` of them a second, and sleeps a millisecond, over and over.
fn at_pace(shared: &Shared, pace: u64, mut send: impl FnMut(u64)) {
    let start = Instant::now();
    let mut sent = 0_u64;
    while !shared.stopped() {
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) * pace / 1_000_000;
        (sent..due).for_each(&mut send);
        sent = due.max(sent);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Which of so many has the turn.
fn place(turn: u64, of: usize) -> usize {
    usize::try_from(turn).unwrap_or_default() % of
}

fn send(shared: &Shared, sockets: &[(usize, UdpSocket)], turn: u64) {
    let Some((lane, socket)) = sockets.get(place(turn, sockets.len())) else { return };
    let Some(lane) = shared.lanes.get(*lane) else { return };
    let number = shared.sending(lane);
    let query = query(number);
    // A connected socket first tells of an error that an earlier query met; then it sends.
    if socket.send(&query).is_err() && socket.send(&query).is_err() {
        shared.unsent.fetch_add(1, Ordering::Relaxed);
        lane.settle(shared.now(), number, Fate::Failed);
    }
}

fn listen(shared: &Shared, place: usize, socket: &UdpSocket) {
    let Some(lane) = shared.lanes.get(place) else { return };
    let mut buffer = [0; 1232];
    while !shared.stopped() {
        // Time-outs are there to look whether to stop; errors belong to lost queries.
        let Ok(count) = socket.recv(&mut buffer) else { continue };
        let answer = buffer.get(..count).unwrap_or_default();
        let [high, low, ..] = answer else { continue };
        if let Some(number) = lane.by_id(u16::from_be_bytes([*high, *low])) {
            lane.settle(shared.now(), number, shared.fate(answer));
        }
    }
}

/// Starts a thread for each connection that is due, since one may hang.
fn connect_at_pace(shared: &Arc<Shared>, place: usize) {
    let start = Instant::now();
    let mut begun = 0_u32;
    let pause = Duration::from_secs(1) / u32::try_from(TCP_PACE).expect("a small number");
    let mut hanging: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stopped() {
        while pause * begun <= start.elapsed() {
            begun += 1;
            if hanging.len() >= MOST_HANGING {
                let Some(lane) = shared.lanes.get(place) else { return };
                lane.settle(shared.now(), shared.sending(lane), Fate::Failed);
                continue;
            }
            let shared = Arc::clone(shared);
            hanging.push(std::thread::spawn(move || {
                let Some(lane) = shared.lanes.get(place) else { return };
                let number = shared.sending(lane);
                let fate = ask_once(lane.server, number).map_or(Fate::Failed, |answer| shared.fate(&answer));
                lane.settle(shared.now(), number, fate);
            }));
        }
        hanging.retain(|thread| !thread.is_finished());
        std::thread::sleep(Duration::from_millis(2));
    }
    for thread in hanging {
        let _ = thread.join();
    }
}

fn ask_once(server: SocketAddr, number: usize) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE / 2)?;
    stream.set_read_timeout(Some(PATIENCE / 2))?;
    stream.write_all(&framed(number))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(sent_ms: impl Iterator<Item = u64>, fate: impl Fn(u64) -> Fate) -> Lane {
        let sample = |ms| {
            let sent = Duration::from_millis(ms);
            Sample { sent, ended: sent, fate: fate(ms) }
        };
        let kept = sent_ms.map(sample).collect();
        let server = SocketAddr::from(([127, 0, 0, 1], 53));
        Lane {
            over: Over::Udp,
            server,
            samples: Mutex::new(Samples { forgotten: 0, kept }),
            ends: Mutex::default(),
        }
    }

    fn traffic(lanes: Vec<Lane>) -> Traffic {
        let (origin, stop, unsent) = (Instant::now(), AtomicBool::new(true), AtomicU64::new(0));
        Traffic {
            shared: Arc::new(Shared { origin, names: Vec::new(), lanes, stop, unsent }),
            threads: Vec::new(),
        }
    }

    #[test]
    fn an_id_finds_its_last_query() {
        let lane = lane((0..65_540).map(|_| 0), |_| Fate::Open);
        assert_eq!(lane.by_id(3), Some(65_539));
        assert_eq!(lane.by_id(4), Some(4));
        assert_eq!(lane.by_id(65_535), Some(65_535));
    }

    #[test]
    fn what_is_forgotten_is_not_counted_and_later_queries_keep_their_numbers() {
        let traffic = traffic(vec![lane(0..1000, |_| Fate::Open)]);
        let (origin, whole) = (traffic.shared.origin, Duration::from_secs(1));
        traffic.forget(origin + Duration::from_millis(400));
        let lane = &traffic.shared.lanes[0];
        assert_eq!(lane.by_id(999), Some(999));
        lane.settle(Duration::ZERO, 999, Fate::By(0));
        lane.settle(Duration::ZERO, 3, Fate::By(0));
        assert_eq!(traffic.open(Duration::ZERO, whole), 599);
    }

    #[test]
    fn a_connection_is_cut_by_what_moved_while_it_was_open() {
        let mut lane = lane((0..10).map(|second| second * 1000), |_| Fate::Open);
        lane.over = Over::Tcp;
        for (number, (ended, fate)) in
            [(500, Fate::By(0)), (1500, Fate::Failed), (2500, Fate::Failed)].into_iter().enumerate()
        {
            lane.settle(Duration::from_millis(ended), number, fate);
        }
        let traffic = traffic(vec![lane]);
        let at = |ms| traffic.shared.origin + Duration::from_millis(ms);
        assert_eq!(traffic.cut(at(0), at(3000), &[at(200), at(1200), at(2600)]), 1);
        assert_eq!(
            traffic.cut(at(0), at(3000), &[at(200), at(1600)]),
            0,
            "one was answered, and two were over"
        );
    }

    #[test]
    fn a_connection_that_stays_is_cut_by_what_moved_just_before_it_ended() {
        // Answered up to 1,000 ms; the connection ends at 1,025 and is there again at 1,050.
        let mut lane = lane((0..2000).step_by(10), |ms| match ms {
            1010..=1040 => Fate::Open,
            _ => Fate::By(0),
        });
        lane.over = Over::Stream;
        let at = Duration::from_millis;
        // It could not be written: the connection had ended by then, and its reader had not noticed.
        lane.settle(at(1020), 102, Fate::Failed);
        lane.ended(at(1025));
        for number in [103, 104] {
            lane.settle(at(10 * number as u64), number, Fate::Failed);
        }
        lane.connected(at(1050));
        let traffic = traffic(vec![lane]);
        let cut = |ms| {
            let origin = traffic.shared.origin;
            traffic.cut(origin, origin + at(2000), &[origin + at(ms)])
        };
        assert_eq!(cut(1005), 4);
        assert_eq!(cut(1024), 3, "what was asked 14 ms before had its answer by then");
        assert_eq!(cut(900), 0, "it lived on for long");
        assert_eq!(cut(1500), 0);
    }

    #[test]
    fn silence_lasts_from_the_first_query_without_an_answer_to_the_next_with_one_by_whomever() {
        let answered = |ms: u64| if (300..700).contains(&ms) { Fate::Open } else { Fate::By(0) };
        let others = |_| Fate::Open;
        let traffic =
            traffic(vec![lane((0..1000).step_by(10), answered), lane((5..1000).step_by(10), others)]);
        let at = |ms| traffic.shared.origin + Duration::from_millis(ms);
        let mut silence = Silence::default();
        traffic.follow(at(0), at(500), &mut silence);
        assert_eq!(silence.longest, Duration::from_millis(200), "from 295 to 495, and it goes on");
        traffic.follow(at(500), at(1000), &mut silence);
        assert_eq!(silence.longest, Duration::from_millis(405), "from 295 to 700");
    }
}
