//! Clients that keep their connections (RFC 7766 §6.2.1.1), as resolvers with much to ask do: each lane is one connection
//! at a time, over which queries go out when they are due, whether earlier ones were answered or not.
//!
//! A connection that ends is lost with all that was asked over it and not answered; so is one that is silent for so long
//! that its client gives it up. The next one is made at once, and none of those queries is asked again. What is due while
//! there is no connection is lost as well.

use super::{Fate, Lane, Shared, at_pace, framed, place};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections of each family.
pub(super) const EACH: u64 = 8;
/// Queries of all of them in a second: as many as over UDP.
const PACE: u64 = 5200;
/// A connection on which nothing comes back for so long, while queries go out by the hundred, is given up; so is the
/// attempt to make one.
const SILENCE: Duration = Duration::from_secs(1);
/// How often a reader looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);
/// From an attempt that failed to the next.
const AGAIN: Duration = Duration::from_millis(20);

/// Where queries of a lane go, while it has a connection.
type Way = Arc<Mutex<Option<TcpStream>>>;

/// A thread for each connection, and one that asks over all of them.
pub(super) fn start(shared: &Arc<Shared>, lanes: Vec<usize>) -> Vec<JoinHandle<()>> {
    let ways: Vec<(usize, Way)> = lanes.into_iter().map(|lane| (lane, Way::default())).collect();
    let keep = |(lane, way): (usize, Way)| {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || keep_connected(&shared, lane, &way))
    };
    let mut threads: Vec<_> = ways.iter().cloned().map(keep).collect();
    let shared = Arc::clone(shared);
    threads.push(std::thread::spawn(move || at_pace(&shared, PACE, |turn| ask(&shared, &ways, turn))));
    threads
}

fn ask(shared: &Shared, ways: &[(usize, Way)], turn: u64) {
    let Some((lane, way)) = ways.get(place(turn, ways.len())) else { return };
    let Some(lane) = shared.lanes.get(*lane) else { return };
    // Held until it is sent: what is noted belongs to the connection that there is.
    let mut way = way.lock().unwrap_or_else(PoisonError::into_inner);
    let number = shared.sending(lane);
    if way.as_mut().is_none_or(|stream| stream.write_all(&framed(number)).is_err()) {
        lane.settle(shared.now(), number, Fate::Failed);
    }
}

fn keep_connected(shared: &Shared, lane: usize, way: &Way) {
    let Some(lane) = shared.lanes.get(lane) else { return };
    while !shared.stopped() {
        let Ok((stream, out)) = connect(lane.server) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        *way.lock().unwrap_or_else(PoisonError::into_inner) = Some(out);
        lane.connected(shared.now());
        read_replies(shared, lane, stream);
        let mut way = way.lock().unwrap_or_else(PoisonError::into_inner);
        *way = None;
        lane.ended(shared.now());
    }
}

/// A connection by which to read, and to write.
fn connect(server: SocketAddr) -> io::Result<(TcpStream, TcpStream)> {
    let stream = TcpStream::connect_timeout(&server, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let out = stream.try_clone()?;
    Ok((stream, out))
}

/// Until the connection ends, falls silent, or is no longer wanted.
fn read_replies(shared: &Shared, lane: &Lane, mut stream: TcpStream) {
    let mut octets = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let mut heard = Instant::now();
    while !shared.stopped() && heard.elapsed() < SILENCE {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        };
        heard = Instant::now();
        octets.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let mut read = 0;
        while let Some(reply) = message(octets.get(read..).unwrap_or_default()) {
            read += 2 + reply.len();
            let [high, low, ..] = reply else { continue };
            if let Some(number) = lane.by_id(u16::from_be_bytes([*high, *low])) {
                lane.settle(shared.now(), number, shared.fate(reply));
            }
        }
        octets.drain(..read);
    }
}

/// The first message of a stream, once all of it is there.
fn message(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_once_all_of_it_is_there() {
        let stream = [0, 3, b'a', b'b', b'c', 0, 1, b'd'];
        assert_eq!(message(&stream), Some(&b"abc"[..]));
        assert_eq!(message(&stream[..4]), None);
        assert_eq!(message(&stream[..1]), None);
        assert_eq!(message(&stream[5..]), Some(&b"d"[..]));
    }
}
