//! One query and its reply: by UDP, and again by TCP if that reply is cut short (RFC 7766 §5).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// The octet of a header that holds TC, and the bit that is it (RFC 1035 §4.1.1).
const TC: (usize, u8) = (2, 0x02);

/// Asks a server on IPv4.
pub(super) fn exchange(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let reply = by_udp(server, query, patience)?;
    let cut_short = reply.get(TC.0).is_some_and(|octet| octet & TC.1 != 0);
    if cut_short { by_tcp(server, query, patience) } else { Ok(reply) }
}

fn by_udp(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(query)?;
    let mut reply = vec![0; 65_535];
    let count = socket.recv(&mut reply)?;
    reply.truncate(count);
    Ok(reply)
}

fn by_tcp(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let length = u16::try_from(query.len()).expect("a query is short");
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}
