//! The floor of every server on AF_XDP: takes frames from queue 0 of an interface, turns the addresses round, sets
//! the bits that make a DNS query a reply, and sends the same frames back. No DNS, no second frame, no checksums, no
//! heartbeat, IPv4 alone; the crate's own queues do all of that.
//!
//! ```text
//! cargo run --release -p pharos-netio --example bare_xdp_echo -- eth0
//! ```

mod bare_xdp;

use std::error::Error;
use std::os::fd::AsRawFd as _;

use bare_xdp::{FRAME, Port, Socket};

/// As many as the responder's workers take at once.
const BATCH: u32 = 64;
/// Frames that are taken back at once.
const FREED: usize = 256;
/// In copy mode one call sends at most 32 frames, so a batch takes some; what is left then waits for the next turn.
const KICKS: usize = 8;
/// QR and AA (RFC 1035 §4.1.1).
const REPLY: u8 = 0x84;
/// Where the octets with them are, behind the headers of Ethernet, IPv4 and UDP.
const FLAGS_AT: usize = 14 + 20 + 8 + 2;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("usage: bare_xdp_echo INTERFACE")?;
    // 53, as the octets stand.
    let mut attached = bare_xdp::attach(&name, Port { mask: 0xffff, value: 0x3500 })?;
    serve(&mut attached.socket)
}

fn serve(socket: &mut Socket) -> ! {
    let mut unsent = false;
    loop {
        // Frames that were sent are there to be received into again.
        let sent = socket.sent.waiting().min(socket.fill.room()).min(FREED as u32);
        if sent > 0 {
            let (mut free, mut count) = ([0; FREED], 0);
            socket.sent.take(sent, |address| {
                free[count] = address & !(FRAME as u64 - 1);
                count += 1;
            });
            socket.fill.put(sent, |at| free[at as usize]);
        }
        let came = socket.receive.waiting().min(BATCH).min(socket.send.room());
        if came == 0 {
            if unsent {
                unsent = socket.kick();
            } else {
                wait(socket);
            }
            continue;
        }
        let mut batch = [libc::xdp_desc { addr: 0, len: 0, options: 0 }; BATCH as usize];
        let mut at = 0;
        socket.receive.take(came, |packet| {
            batch[at] = libc::xdp_desc { options: 0, ..packet };
            at += 1;
        });
        for packet in &batch[..at] {
            echo(socket.frame(packet.addr, packet.len as usize));
        }
        socket.send.put(came, |at| batch[at as usize]);
        unsent = (0..KICKS).all(|_| socket.kick());
    }
}

fn wait(socket: &Socket) {
    let mut poll = libc::pollfd { fd: socket.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, ours alone for the call. Its result does not matter: the rings say what there is.
    unsafe { libc::poll(&raw mut poll, 1, 1000) };
}

/// Turns link addresses, IPv4 addresses and ports round. Their sums stay as they are; UDP may go without its own.
fn echo(frame: &mut [u8]) {
    if frame.len() <= FLAGS_AT {
        return;
    }
    for (one, other, octets) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        for at in 0..octets {
            frame.swap(one + at, other + at);
        }
    }
    frame[40..42].fill(0);
    frame[FLAGS_AT] |= REPLY;
}
