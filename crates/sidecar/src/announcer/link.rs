//! The TCP connection under a BGP session: being made, up, or absent.
//!
//! Octets that the kernel does not take at once wait here; the session is told, so that its send hold timer
//! runs (RFC 9687). A connection is closed kindly: what was sent last is often the NOTIFICATION that says
//! why, and a hasty close would reset it away.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

use pharos_netio::NetError;
use pharos_netio::bgp::{self, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};

/// How long a closed connection may take to hand over its last octets.
const FAREWELL: Duration = Duration::from_secs(1);

/// Read at most so much at once; a session is heard again soon enough.
const CHUNK: usize = 16 * 1024;

/// The longest message (RFC 4271 §4): who has taken so many octets has taken the whole of one at least.
const MESSAGE_OCTETS: usize = 4096;

type Connecting = Pin<Box<dyn Future<Output = Result<TcpStream, String>> + Send>>;

/// What there is of a connection.
pub(super) enum Link {
    None,
    Connecting(Connecting),
    Up(Connection),
}

/// A connection with what the kernel has not taken yet.
pub(super) struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    taken: Taken,
}

/// What the kernel has taken of octets that wait, since it was last said.
#[derive(Clone, Copy, Debug, Default)]
struct Taken(usize);

impl Taken {
    /// What so many more come to, while others wait still.
    fn more(&mut self, count: usize) -> Sent {
        self.0 = self.0.saturating_add(count);
        match self.0 >= MESSAGE_OCTETS {
            true => {
                self.0 = 0;
                Sent::Some
            }
            false => Sent::None,
        }
    }
}

/// What a link has to say.
pub(super) enum News {
    Connected(TcpStream),
    ConnectFailed(String),
    /// The kernel takes or has octets; see [`Connection::flush`] and [`Connection::read`].
    Ready,
}

/// What a read gave.
pub(super) enum Read {
    Octets(usize),
    Nothing,
    Closed(String),
}

/// What became of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// A whole message was taken at least, and others wait.
    Some,
    /// Not even that: a neighbour that takes single octets for ever has stopped reading, RFC 9687.
    None,
}

impl Link {
    /// Begins to connect.
    pub(super) fn connect(address: SocketAddr, options: SessionOptions) -> Self {
        Self::Connecting(Box::pin(async move {
            let socket = bgp::outbound(address, &options).map_err(|error| error.to_string())?;
            let connected = TcpSocket::from_std_stream(socket).connect(address).await;
            connected.map_err(|error| match error.kind() {
                ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
                _ => format!("{address}: {error}"),
            })
        }))
    }

    /// Waits for news; for ever when there is no connection.
    pub(super) async fn news(&mut self) -> News {
        match self {
            Self::None => std::future::pending().await,
            Self::Connecting(connecting) => match connecting.await {
                Ok(stream) => News::Connected(stream),
                Err(why) => News::ConnectFailed(why),
            },
            Self::Up(connection) => {
                let interest = match connection.unsent.is_empty() {
                    true => Interest::READABLE,
                    false => Interest::READABLE | Interest::WRITABLE,
                };
                // An error shows again when the socket is read.
                let _ = connection.stream.ready(interest).await;
                News::Ready
            }
        }
    }

    /// Ends the connection or the attempt. The octets that still wait are sent in the background, for a
    /// moment.
    pub(super) fn close(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        match std::mem::replace(self, Self::None) {
            Self::Up(connection) => Some(connection.farewell()),
            Self::None | Self::Connecting(_) => None,
        }
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Keepalives and withdrawals must not wait for one another; a socket that refuses is slower, not wrong.
        let _ = stream.set_nodelay(true);
        Self { stream, unsent: Vec::new(), taken: Taken::default() }
    }

    /// A connection that another process has held, with what it had left to send.
    pub(super) fn resume(socket: OwnedFd, unsent: Vec<u8>) -> io::Result<Self> {
        let stream = std::net::TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Self { unsent, ..Self::new(TcpStream::from_std(stream)?) })
    }

    /// The connection for another process, and what is left to send. It stays open here, too.
    pub(super) fn share(&self) -> io::Result<(OwnedFd, Vec<u8>)> {
        Ok((self.stream.as_fd().try_clone_to_owned()?, self.unsent.clone()))
    }

    /// Sets the password and the TTL check, which may be others by now.
    pub(super) fn protect(&self, peer: IpAddr, options: &SessionOptions) -> Result<(), NetError> {
        bgp::protect(&self.stream, peer, options)
    }

    /// Our own address on this connection.
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Sends octets, or keeps them until the kernel takes them.
    pub(super) fn send(&mut self, octets: &[u8]) -> Sent {
        self.unsent.extend_from_slice(octets);
        self.flush()
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Sent {
        let mut taken = 0;
        while let Some(rest) = self.unsent.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(0) | Err(_) => break,
                Ok(count) => taken += count,
            }
        }
        self.unsent.drain(..taken);
        if self.unsent.is_empty() {
            self.taken = Taken::default();
            return Sent::All;
        }
        self.taken.more(taken)
    }

    /// Whether octets wait for the kernel to take them.
    pub(super) fn is_waiting(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads what is there.
    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> Read {
        buffer.resize(CHUNK, 0);
        match self.stream.try_read(buffer) {
            Ok(0) => Read::Closed("the neighbour closed the connection".to_owned()),
            Ok(count) => Read::Octets(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Read::Nothing
            }
            Err(error) => Read::Closed(in_words(&error)),
        }
    }

    /// Sends the rest, says that no more comes, and reads until the neighbour has closed too: closing with
    /// unread octets would reset the connection and could lose our last message on the way.
    async fn farewell(mut self) {
        let goodbye = async {
            self.stream.write_all(&self.unsent).await?;
            self.stream.shutdown().await?;
            let mut ignored = [0; 1024];
            while self.stream.read(&mut ignored).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Whoever does not listen is not waited for.
        let _ = tokio::time::timeout(FAREWELL, goodbye).await;
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset => "the neighbour reset the connection".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_single_octets_has_taken_something_only_when_they_come_to_a_message() {
        let mut taken = Taken::default();
        let told: Vec<_> = (0..2 * MESSAGE_OCTETS).filter(|_| taken.more(1) == Sent::Some).collect();
        assert_eq!(told, [MESSAGE_OCTETS - 1, 2 * MESSAGE_OCTETS - 1]);
        assert_eq!(taken.more(0), Sent::None);
        assert_eq!(taken.more(10 * MESSAGE_OCTETS), Sent::Some);
    }
}
