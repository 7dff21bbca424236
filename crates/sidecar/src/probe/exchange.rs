//! One query, one answer, one socket: the part of a probe that touches the network.
//!
//! Every exchange has a socket of its own, so that a random port is used, a late answer to an earlier probe
//! cannot be taken for this one's, and TCP's handshake is probed too. UDP sockets are connected, so that the
//! kernel's "port unreachable" ends the wait at once. Failures come back as words; the signal that they are
//! observed for names address and transport. An exchange that took too long comes back with them, since an answer
//! may still come, and that it comes at all is worth knowing.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use super::seats::Seat;
use pharos_policy::Transport;
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

pub(super) fn in_words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::UnexpectedEof => "connection closed before an answer".to_owned(),
        _ => error.to_string(),
    }
}
