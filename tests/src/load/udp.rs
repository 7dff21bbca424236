//! A client on UDP: a few sockets, pinned to one CPU, so that the steering by CPU leads its queries to one worker.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use pharos_netio::affinity::{CpuId, pin_current_thread};
use pharos_netio::{ReusePort, UdpOptions};

use super::control::{Asked, Control, Flow, Pace, Tally};
use super::judge::Judge;
use super::query::Query;
use super::world::World;

/// Sockets of a client.
pub const SOCKETS: usize = 4;
/// Queries asked in a row.
const BURST: usize = 32;
/// Most queries of one socket that wait for replies. With buffers of the usual size this is what bounds it.
const MAX_WAITING: usize = 512;
/// Octets that the kernel takes from a receive buffer for a reply: more than it really does.
const OCTETS_PER_REPLY: usize = 2560;
/// How long a client waits for anything to come before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// One UDP client.
pub struct UdpClient<'t> {
    control: &'t Control,
    tally: &'t Tally,
    world: &'t World,
    sockets: Vec<Socket>,
    judge: Judge,
    /// Number of the next query; those of other clients are far away.
    number: u64,
    last_answer: Instant,
}

struct Socket {
    socket: UdpSocket,
    /// The same socket, for its counter of drops.
    kernel: pharos_netio::UdpSocket,
    /// By identifier.
    asked: Vec<Option<Asked>>,
    waiting: usize,
    next_id: u16,
    flow: Flow,
}

impl<'t> UdpClient<'t> {
    /// Opens the sockets. All clients together, `clients` of them, never have more queries under way than the
    /// receive buffer of a single worker holds.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(
        server: SocketAddr,
        clients: usize,
        first_number: u64,
        (control, tally, world): (&'t Control, &'t Tally, &'t World),
    ) -> io::Result<Self> {
        let sockets =
            (0..SOCKETS).map(|_| Socket::new(server, clients * SOCKETS)).collect::<io::Result<_>>()?;
        let judge = Judge::default();
        Ok(Self { control, tally, world, sockets, judge, number: first_number, last_answer: Instant::now() })
    }

    /// Asks and judges until the test stops, and then until nothing waits any more.
    pub fn run(mut self, cpu: CpuId) {
        if let Err(error) = pin_current_thread(cpu) {
            self.control.fault(format!("{}: {error}", self.tally.name));
        }
        let (mut pace, mut turn, mut message) = (Pace::new(), 0, Vec::new());
        loop {
            let stopping = self.control.stopped();
            if !stopping {
                turn = (turn + 1) % SOCKETS;
                for _ in 0..pace.due(self.tally.wanted_rate(), BURST) {
                    self.ask(turn, &mut message);
                }
            }
            let received = (0..SOCKETS).map(|at| self.receive(at)).sum::<usize>();
            let seen = self.sockets.iter().map(|socket| socket.flow.newest).min();
            self.tally.seen.store(seen.unwrap_or_default(), SeqCst);
            if received == 0 {
                let waiting: usize = self.sockets.iter().map(|socket| socket.waiting).sum();
                if stopping && (waiting == 0 || self.last_answer.elapsed() > PATIENCE) {
                    self.tally.lost.store(waiting as u64, SeqCst);
                    break;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        let drops = self.sockets.iter().map(|socket| socket.kernel.drops().unwrap_or_default());
        self.tally.own_drops.store(drops.map(u64::from).sum(), SeqCst);
    }

    fn ask(&mut self, at: usize, message: &mut Vec<u8>) {
        let socket = &mut self.sockets[at];
        let slots = socket.asked.len();
        let id = socket.next_id;
        if socket.asked[usize::from(id) % slots].is_some() {
            self.tally.held_back.fetch_add(1, SeqCst);
            return;
        }
        let query = Query::new(self.number, self.world);
        message.clear();
        query.write(id, message);
        let asked = Asked { query, in_force: self.control.in_force() };
        match socket.socket.send(message) {
            Ok(_) => {
                self.number += 1;
                self.tally.queries.fetch_add(1, SeqCst);
                socket.asked[usize::from(id) % slots] = Some(asked);
                socket.waiting += 1;
                socket.next_id = id.wrapping_add(1);
            }
            // The query was never under way.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tally.held_back.fetch_add(1, SeqCst);
            }
            Err(error) => self.control.fault(format!("{}: {error}", self.tally.name)),
        }
    }

    /// Takes what has come, a burst at most.
    fn receive(&mut self, at: usize) -> usize {
        let socket = &mut self.sockets[at];
        let mut reply = [0; 4096];
        for received in 0..BURST {
            let octets = match socket.socket.recv(&mut reply) {
                Ok(octets) => octets,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.control.fault(format!("{}: {error}", self.tally.name));
                    }
                    return received;
                }
            };
            if received == 0 {
                let gap = self.last_answer.elapsed();
                self.tally.note_gap(self.control.running_reload(), gap);
                self.last_answer += gap;
            }
            let reply = &reply[..octets];
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let slots = socket.asked.len();
            // An identifier that is off by a multiple of the slots is for the judge to find.
            match socket.asked[usize::from(id) % slots].take() {
                Some(asked) => {
                    socket.waiting -= 1;
                    socket.flow.take(self.control, self.tally, &mut self.judge, &asked, (id, reply));
                }
                None => self.control.fault(format!("{}: nobody asked for {reply:02x?}", self.tally.name)),
            }
        }
        BURST
    }
}

impl Socket {
    fn new(server: SocketAddr, sharing: usize) -> io::Result<Self> {
        let options = UdpOptions { reuse_port: ReusePort::Exclusive, ..UdpOptions::default() };
        let kernel =
            pharos_netio::UdpSocket::bind("127.0.0.1:0".parse().map_err(io::Error::other)?, &options)
                .map_err(io::Error::other)?;
        let socket = UdpSocket::from(kernel.as_fd().try_clone_to_owned()?);
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        // The workers' sockets are opened with the same options, so they have the same room, for half as large
        // messages.
        let room = kernel.receive_buffer()? / OCTETS_PER_REPLY;
        // A power of two, so that identifiers fall into the same slots after they wrap.
        let slots = 1 << (room * 2 / sharing).min(room).clamp(2, MAX_WAITING).ilog2();
        Ok(Self { socket, kernel, asked: vec![None; slots], waiting: 0, next_id: 0, flow: Flow::default() })
    }
}
