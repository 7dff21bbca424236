//! One question at a time: has a server started, which serial does it have, does it pause?
//!
//! A reply is taken at its word if it is authoritative, without an error, and holds the SOA record that was asked
//! for. An echo counts as serial zero.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::error::{BenchError, cannot};
use super::room::Room;

/// Asks for SOA records, from the client's side of a room.
#[derive(Debug)]
pub(super) struct Probe {
    socket: UdpSocket,
    next_id: u16,
}

impl Probe {
    /// Opens a socket in the client's namespace.
    pub(super) fn new(room: &Room) -> Result<Self, BenchError> {
        let open = || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect((room.address.as_str(), 53))?;
            Ok(socket)
        };
        let socket: io::Result<UdpSocket> = room.client.enter(open)?;
        Ok(Self { socket: socket.map_err(cannot("open a socket in a namespace"))?, next_id: 1 })
    }

    /// The serial of a zone, unless no good answer comes within `patience`.
    pub(super) fn serial(&mut self, zone: &str, patience: Duration) -> Option<u32> {
        self.next_id = self.next_id.wrapping_add(1);
        let query = soa_query(self.next_id, zone);
        let until = Instant::now() + patience;
        self.socket.send(&query).ok()?;
        let mut reply = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).ok()?;
            let octets = self.socket.recv(&mut reply).ok()?;
            let reply = reply.get(..octets)?;
            // Late replies to earlier queries may come first.
            if reply.get(..2)? == self.next_id.to_be_bytes() {
                return serial_of(reply, &query);
            }
        }
    }
}

/// A query for the SOA record of a zone, by the name that people write.
pub(super) fn soa_query(id: u16, zone: &str) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in zone.split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 6, 0, 1]);
    query
}

fn serial_of(reply: &[u8], query: &[u8]) -> Option<u32> {
    if reply.len() == query.len() && reply.get(12..) == query.get(12..) {
        return Some(0);
    }
    let (flags, rcode) = (*reply.get(2)?, reply.get(3)? & 0x0f);
    let answers = u16::from_be_bytes([*reply.get(6)?, *reply.get(7)?]);
    if flags & 0x84 != 0x84 || rcode != 0 || answers == 0 {
        return None;
    }
    // The question as it was, owner, type, class, TTL and length; then the names of server and mailbox.
    let rdata = behind_name(reply, query.len())? + 10;
    let serial = behind_name(reply, behind_name(reply, rdata)?)?;
    reply.get(serial..serial + 4)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            label => at += usize::from(label) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_read_behind_compressed_names_and_an_echo_has_none() {
        let query = soa_query(7, "a.test");
        assert_eq!(serial_of(&query, &query), Some(0));
        let mut reply = query.clone();
        reply[2] = 0x84;
        assert_eq!(serial_of(&reply, &query), Some(0), "an echo that says it is a reply");
        reply[7] = 1;
        reply.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\x3c\0\x1a\x02ns\xc0\x0c\x01h\xc0\x0c\0\0\0\x2a");
        reply.extend([0; 16]);
        assert_eq!(serial_of(&reply, &query), Some(42));
        reply[3] = 2;
        assert_eq!(serial_of(&reply, &query), None, "SERVFAIL");
    }
}
