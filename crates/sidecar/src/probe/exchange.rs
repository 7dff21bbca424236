//! One query, one answer, one socket: the part of a probe that touches the network.
//!
//! Every exchange has a socket of its own, so that a random port is used, a late answer to an earlier probe
//! cannot be taken for this one's, and TCP's handshake is probed too. UDP sockets are connected, so that the
//! kernel's "port unreachable" ends the wait at once. Failures come back as words; the signal that they are
//! observed for names address and transport. An exchange that took too long comes back with them, since an answer
//! may still come, and that it comes at all is worth knowing.
//!
//! Whose fault an error is, decides what it is worth:
//!
//! | error | what it says | miss |
//! |---|---|---|
//! | refused, reset, unreachable, no such route | nobody is there, or the address is gone | refused |
//! | no descriptor left | this process can vouch for nothing, for as long as that lasts | refused |
//! | not permitted, no buffer, no memory, no port, would block | this host did not let the query out: connection tracking that is full in a flood says so of every new flow, on loopback too | could not ask |
//! | nothing in time | nobody answered yet | unanswered |

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use super::seats::Seat;
use pharos_policy::Transport;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Room for any answer by UDP that a SOA query can have, with our advertised size well below.
pub(super) const UDP_ROOM: usize = 4096;

/// An exchange whose time is over, and that may still bring an answer.
pub(super) struct Late(Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>>);

impl Late {
    /// The answer, if one comes within `patience`.
    pub(super) async fn answer(self, patience: Duration) -> Option<Vec<u8>> {
        tokio::time::timeout(patience, self.0).await.ok()?.ok()
    }
}

/// Why there is no answer.
pub(super) enum Miss {
    /// Something said no, for the reason given.
    Refused(String),
    /// This host did not let the query out, for the reason given: of whoever should answer it nothing is known.
    NotAsked(String),
    /// Nothing came back in time.
    Unanswered(String, Late),
}

/// Sends `query`, from that CPU if there is one to send from, and waits for one answer.
pub(super) async fn ask(
    address: SocketAddr,
    transport: Transport,
    timeout: Duration,
    query: Vec<u8>,
    seat: Option<Seat>,
) -> Result<Vec<u8>, Miss> {
    let exchange = async move {
        match transport {
            Transport::Udp => udp(address, &query).await,
            Transport::Tcp => tcp(address, &query).await,
        }
    };
    let mut late = Late(match &seat {
        Some(seat) => {
            let there = seat.run(exchange);
            Box::pin(async move {
                there.await.unwrap_or_else(|| Err(Error::other("the prober's thread has ended")))
            })
        }
        None => Box::pin(exchange),
    });
    match tokio::time::timeout(timeout, &mut late.0).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_of_this_host(&error) => Err(Miss::NotAsked(not_asked(&error))),
        Ok(Err(error)) => Err(Miss::Refused(in_words(&error))),
        Err(_) => {
            let from = seat.map(|seat| format!(", asked from CPU {}", seat.cpu)).unwrap_or_default();
            Err(Miss::Unanswered(format!("no answer within {timeout:?}{from}"), late))
        }
    }
}

async fn udp(address: SocketAddr, query: &[u8]) -> Result<Vec<u8>, Error> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(address).await?;
    socket.send(query).await?;
    let mut answer = vec![0; UDP_ROOM];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// RFC 1035 §4.2.2: two octets of length before the message.
async fn tcp(address: SocketAddr, query: &[u8]) -> Result<Vec<u8>, Error> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(query.len()).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    // RFC 7766 §8: length and message in one write, so that they share a segment.
    let framed = [&length.to_be_bytes(), query].concat();
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Whether an error says that this host lacks something, or forbids it, and nothing of whoever was asked. What the routing
/// table says of an address is none of these (`EINVAL` of a blackhole, `EACCES` of a prohibited destination): an address
/// that has been taken away falls to whatever route is behind it.
fn is_of_this_host(error: &Error) -> bool {
    const OURS: [Errno; 6] =
        [Errno::PERM, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

fn not_asked(error: &Error) -> String {
    format!("could not be asked: {error}")
}

pub(super) fn in_words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::UnexpectedEof => "connection closed before an answer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_host_lacks_or_forbids_says_nothing_of_whoever_was_asked() {
        for errno in
            [Errno::PERM, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE]
        {
            assert!(is_of_this_host(&errno.into()), "{errno}");
        }
        let said = not_asked(&Errno::PERM.into());
        assert_eq!(said, "could not be asked: Operation not permitted (os error 1)");
    }

    #[test]
    fn a_refusal_an_address_that_is_gone_and_a_lack_of_descriptors_are_failures() {
        for errno in [
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::INVAL,
            Errno::ACCESS,
            Errno::MFILE,
            Errno::NFILE,
        ] {
            assert!(!is_of_this_host(&errno.into()), "{errno}");
        }
        assert!(!is_of_this_host(&Error::other("the prober's thread has ended")));
        assert!(!is_of_this_host(&ErrorKind::UnexpectedEof.into()));
    }
}
