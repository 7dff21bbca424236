//! Many queries to one server, pipelined: over UDP, over one TCP connection, or each over a connection of its
//! own for those that may make a server close it.
//!
//! The identifier of a message is its number in the batch, so a batch holds 65,536 at most. A query without
//! reply is sent again; one that stays without is [`None`]: silence, which the comparison judges.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// UDP queries under way at once: their replies fit into a socket's default receive buffer.
const WINDOW: usize = 48;
/// TCP queries under way at once.
const TCP_WINDOW: usize = 24;
/// Connections open at once for queries with one of their own.
const SOLO_WINDOW: usize = 48;

/// How long to wait for a reply before a query is sent again, and how often that is done.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Wait for the reply of each try.
    pub wait: Duration,
    /// Number of tries.
    pub tries: usize,
}

/// The usual patience: loopback loses nothing, but a busy machine is slow.
pub const QUICK: Patience = Patience { wait: Duration::from_millis(300), tries: 2 };
/// For pipelined queries over TCP, where no silence is expected.
pub const STEADY: Patience = Patience { wait: Duration::from_millis(1500), tries: 3 };
/// For a query whose silence would be a finding.
pub const LONG: Patience = Patience { wait: Duration::from_secs(4), tries: 2 };

fn numbered(message: &[u8], number: usize) -> Vec<u8> {
    let mut message = message.to_vec();
    if let Some(id) = message.get_mut(..2) {
        id.copy_from_slice(&(number as u16).to_be_bytes());
    }
    message
}

fn number_of(reply: &[u8]) -> usize {
    reply.first_chunk::<2>().map_or(usize::MAX, |id| usize::from(u16::from_be_bytes(*id)))
}

/// Asks over UDP; the replies stand in the order of the messages.
///
/// # Panics
/// If no socket can be had.
pub fn udp(server: SocketAddr, messages: &[&[u8]], patience: Patience) -> Vec<Option<Vec<u8>>> {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a UDP socket on loopback");
    socket.connect(server).expect("loopback can be connected to");
    socket.set_read_timeout(Some(patience.wait)).expect("a socket takes a time limit");
    let mut replies: Vec<Option<Vec<u8>>> = vec![None; messages.len()];
    let mut pending: Vec<usize> = (0..messages.len()).collect();
    let mut buffer = vec![0; 65_535];
    for _ in 0..patience.tries {
        let mut silent = Vec::new();
        let mut queue = pending.iter().copied();
        let mut waiting: Vec<usize> = Vec::new();
        loop {
            while waiting.len() < WINDOW
                && let Some(number) = queue.find(|&number| replies[number].is_none())
            {
                // A refused send (the server is gone) looks like silence.
                let _ = socket.send(&numbered(messages[number], number));
                waiting.push(number);
            }
            if waiting.is_empty() {
                break;
            }
            match socket.recv(&mut buffer) {
                Ok(octets) => {
                    let number = number_of(&buffer[..octets]);
                    waiting.retain(|&waits| waits != number);
                    // Also one that comes late, after its query was taken for lost.
                    if let Some(slot) = replies.get_mut(number) {
                        *slot = Some(buffer[..octets].to_vec());
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    silent.append(&mut waiting);
                }
                Err(_) => {}
            }
        }
        pending = silent.into_iter().filter(|&number| replies[number].is_none()).collect();
    }
    replies
}

/// Asks over TCP, many queries on one connection; where the server closes it, the rest goes over another.
pub fn tcp(server: SocketAddr, messages: &[&[u8]], patience: Patience) -> Vec<Option<Vec<u8>>> {
    let mut replies: Vec<Option<Vec<u8>>> = vec![None; messages.len()];
    let mut pending: Vec<usize> = (0..messages.len()).collect();
    let mut barren = 0;
    while !pending.is_empty() && barren < patience.tries {
        let before = pending.len();
        // Over a dead or silent connection nothing more comes: the caller tries the next.
        let _ = one_connection(server, messages, &pending, &mut replies, patience.wait);
        pending.retain(|&number| replies[number].is_none());
        if pending.len() == before {
            // Perhaps the server stops at the first one: it goes alone.
            barren += 1;
            let first = pending.remove(0);
            replies[first] = tcp_solo(server, &[messages[first]], patience.wait).pop().flatten();
        }
    }
    replies
}

fn one_connection(
    server: SocketAddr,
    messages: &[&[u8]],
    pending: &[usize],
    replies: &mut [Option<Vec<u8>>],
    wait: Duration,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, wait)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let mut queue = pending.iter().copied();
    let mut waiting = 0;
    let mut received = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut out = Vec::new();
        while waiting < TCP_WINDOW
            && let Some(number) = queue.next()
        {
            out.extend((messages[number].len() as u16).to_be_bytes());
            out.extend(numbered(messages[number], number));
            waiting += 1;
        }
        stream.write_all(&out)?;
        if waiting == 0 {
            return Ok(());
        }
        let octets = stream.read(&mut buffer)?;
        if octets == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..octets]);
        while let Some(reply) = take_message(&mut received) {
            waiting -= 1;
            if let Some(slot) = replies.get_mut(number_of(&reply)) {
                *slot = Some(reply);
            }
        }
    }
}

/// The first whole message of a stream, taken out of it.
fn take_message(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes(*received.first_chunk()?));
    let message = received.get(2..2 + len)?.to_vec();
    received.drain(..2 + len);
    Some(message)
}

/// Asks over TCP, each query on its own connection.
pub fn tcp_solo(server: SocketAddr, messages: &[&[u8]], wait: Duration) -> Vec<Option<Vec<u8>>> {
    let mut replies = Vec::with_capacity(messages.len());
    for (group, some) in messages.chunks(SOLO_WINDOW).enumerate() {
        let open = |(index, message): (usize, &&[u8])| {
            let mut stream = TcpStream::connect_timeout(&server, wait).ok()?;
            let mut out = (message.len() as u16).to_be_bytes().to_vec();
            out.extend(numbered(message, group * SOLO_WINDOW + index));
            stream.write_all(&out).ok()?;
            Some(stream)
        };
        let streams: Vec<_> = some.iter().enumerate().map(open).collect();
        let deadline = Instant::now() + wait;
        for stream in streams {
            replies.push(stream.and_then(|mut stream| read_one(&mut stream, deadline)));
        }
    }
    replies
}

fn read_one(stream: &mut TcpStream, deadline: Instant) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).ok()?;
        let octets = stream.read(&mut buffer).ok().filter(|&octets| octets > 0)?;
        received.extend_from_slice(&buffer[..octets]);
        if let Some(reply) = take_message(&mut received) {
            return Some(reply);
        }
    }
}
