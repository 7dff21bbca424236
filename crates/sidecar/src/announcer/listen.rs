//! Listeners for neighbours that connect to us.
//!
//! Neighbours may share a listener; a connection belongs to the neighbour whose address it comes from.
//! Strangers are closed without a word. At most one connection waits for its session: more can only come
//! from a neighbour that does not wait for our OPEN. Whether a connection takes the place of the one before is the session's
//! decision.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use pharos_netio::bgp::{self, SessionOptions};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::config::{NeighbourConfig, Role, StartError};
use crate::handover::{Order, Predecessor, Socket, ordered};

/// The pause after a failed accept, which usually means that descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// One listening socket and whom it is for.
pub(crate) struct Listener {
    address: SocketAddr,
    socket: std::net::TcpListener,
    expected: Vec<Expected>,
}

struct Expected {
    address: IpAddr,
    options: SessionOptions,
    accepted: mpsc::Sender<TcpStream>,
}

/// Adds `neighbour` to the listener that it connects to, which is taken over or opened if need be. An active
/// neighbour gets a queue that stays empty.
pub(super) fn expect(
    listeners: &mut Vec<Listener>,
    neighbour: &NeighbourConfig,
    before: &mut Option<Predecessor>,
) -> Result<mpsc::Receiver<TcpStream>, StartError> {
    let (sender, accepted) = mpsc::channel(1);
    let Role::Passive { listen } = neighbour.role else { return Ok(accepted) };
    let index = match listeners.iter().position(|listener| listener.address == listen) {
        Some(index) => index,
        None => {
            let inherited = before.as_mut().and_then(|it| it.take_socket(&Socket::Listener(listen)));
            listeners.push(match inherited {
                Some(socket) => Listener { address: listen, socket: socket.into(), expected: Vec::new() },
                None => Listener::open(listen)?,
            });
            listeners.len() - 1
        }
    };
    if let Some(listener) = listeners.get_mut(index) {
        let options = neighbour.socket_options();
        bgp::expect_peer(&listener.socket, neighbour.address, &options)?;
        listener.expected.push(Expected { address: neighbour.address, options, accepted: sender });
    }
    Ok(accepted)
}

impl Listener {
    fn open(address: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address, source };
        let socket = std::net::TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { address, socket, expected: Vec::new() })
    }

    /// The listener for another process. It stays open here, too.
    pub(super) fn share(&self) -> io::Result<(SocketAddr, OwnedFd)> {
        Ok((self.address, self.socket.as_fd().try_clone_to_owned()?))
    }

    /// Accepts until it is dropped, but not while the sessions are another process's, which accepts here too.
    pub(super) async fn run(self, mut orders: watch::Receiver<Option<Order>>) {
        let socket = match tokio::net::TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(address = %self.address, %error, "cannot accept BGP connections");
                return;
            }
        };
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                Some(order) = ordered(&mut orders) => {
                    order.over(&mut orders).await;
                    continue;
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "accepting a BGP connection failed");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let from = peer.ip().to_canonical();
            let Some(expected) = self.expected.iter().find(|expected| expected.address == from) else {
                tracing::debug!(%peer, "BGP connection from a stranger closed");
                continue;
            };
            match bgp::protect(&stream, from, &expected.options) {
                // A full queue means that the session has one to look at already.
                Ok(()) => drop(expected.accepted.try_send(stream)),
                Err(error) => tracing::warn!(%peer, %error, "BGP connection closed"),
            }
        }
    }
}
