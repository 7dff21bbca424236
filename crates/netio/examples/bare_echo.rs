//! The floor of every server on sockets: receives up to 64 datagrams by one recvmmsg, sets the bits that make a DNS
//! query a reply, and sends the same octets back by one sendmmsg. No DNS, no second buffer, no packet information,
//! one thread; `udp_echo` beside this does the same through this crate, and shows what the crate costs.
//!
//! ```text
//! cargo run --release -p pharos-netio --example bare_echo -- 127.0.0.1:5300
//! ```

use std::error::Error;
use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::ptr::null_mut;

/// As many as the responder's workers take at once.
const BATCH: usize = 64;
const DATAGRAM: usize = 2048;
/// What the kernel grants of it is its limit (net.core.rmem_max).
const BUFFER: usize = 4 << 20;
/// QR and AA (RFC 1035 §4.1.1).
const REPLY: u8 = 0x84;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: bare_echo ADDRESS:PORT")?;
    let socket = UdpSocket::bind(&address)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(BUFFER)?;
    options.set_send_buffer_size(BUFFER)?;
    let mut datagrams = vec![[0_u8; DATAGRAM]; BATCH];
    // SAFETY: these are plain structures of the kernel's, for which zeros are a value.
    let (mut names, mut parts, mut headers): (
        [libc::sockaddr_storage; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { (zeroed(), zeroed(), zeroed()) };
    loop {
        for at in 0..BATCH {
            parts[at] = libc::iovec { iov_base: datagrams[at].as_mut_ptr().cast(), iov_len: DATAGRAM };
            let header = &mut headers[at].msg_hdr;
            header.msg_name = (&raw mut names[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut parts[at];
            header.msg_iovlen = 1;
        }
        // SAFETY: every header points to a name and a part of its own, every part to a datagram; all outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for at in 0..received {
            parts[at].iov_len = headers[at].msg_len as usize;
            datagrams[at][2] |= REPLY;
        }
        let mut sent = 0;
        while sent < received {
            // SAFETY: as above; the headers are those that were just received into.
            let more = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers[sent..received].as_mut_ptr(),
                    (received - sent) as libc::c_uint,
                    0,
                )
            };
            // What the kernel does not take is lost, as it is with a server.
            sent += usize::try_from(more).unwrap_or(1);
        }
    }
}
