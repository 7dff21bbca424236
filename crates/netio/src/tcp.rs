//! TCP listeners for DNS (RFC 7766), with every option set before the first connection can arrive.
//!
//! [`listen`] gives a nonblocking std listener, which tokio takes over. Accepted connections inherit segment
//! size, TCP_NODELAY and the user timeout from their listener (tcp(7), and a test below), so that accepting
//! one costs no further system call. TCP Fast Open is never asked for: its cookie is per node, so that in an
//! anycast service it fails whenever the route changes, and a SYN with data is one more amplifier.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{NetError, on_socket};
use crate::udp::{Freebind, ReusePort, allow_freebind};

/// Options of a DNS TCP listener and of the connections that it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpOptions {
    /// Whether several listeners share the port.
    pub reuse_port: ReusePort,
    /// Binding before the address is there.
    pub freebind: Freebind,
    /// TCP_MAXSEG in octets: the largest segment that we send and announce; `None` leaves it to the interface.
    pub max_segment: Option<u16>,
    /// Connections that wait to be accepted; the kernel cuts it to sysctl net.core.somaxconn.
    pub backlog: u16,
    /// TCP_USER_TIMEOUT: how long sent octets may stay unacknowledged before the connection ends; `None`
    /// leaves the kernel's quarter of an hour.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            reuse_port: ReusePort::Exclusive,
            freebind: Freebind::Refused,
            // 1280 octets, which every IPv6 path carries (RFC 8200 §5), less 40 for IPv6 and 20 for TCP: no
            // packet-too-big message is needed, and such a message may reach another node (RFC 7690 §1).
            max_segment: Some(1220),
            backlog: 1024,
            // Longer than any idle time that we grant; a vanished client's answer must not stay in memory.
            user_timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// Opens a nonblocking listener. With port 0, ask the listener for the port that the kernel chose.
pub fn listen(addr: SocketAddr, options: &TcpOptions) -> Result<TcpListener, NetError> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))
        .map_err(on_socket("open a TCP socket for", addr))?;
    configure(&socket, addr, options).map_err(on_socket("set the TCP options of", addr))?;
    socket.bind(&addr.into()).map_err(on_socket("bind TCP", addr))?;
    socket.listen(options.backlog.into()).map_err(on_socket("listen on TCP", addr))?;
    Ok(socket.into())
}

fn configure(socket: &Socket, addr: SocketAddr, options: &TcpOptions) -> std::io::Result<()> {
    // A restart must not wait for the TIME_WAIT of old connections.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuse_port == ReusePort::Shared)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.freebind == Freebind::Allowed {
        allow_freebind(socket, addr)?;
    }
    if let Some(octets) = options.max_segment {
        socket.set_tcp_mss(octets.into())?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    // Answers are whole messages; waiting for more to fill a segment only delays them (RFC 7766 §8).
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    /// The accepted end of a fresh connection to the listener.
    fn accepted(listener: &TcpListener) -> (TcpStream, TcpStream) {
        listener.set_nonblocking(false).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[test]
    fn accepted_connections_inherit_what_was_set_on_the_listener() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(addr.parse().unwrap(), &TcpOptions::default()).unwrap();
            let (server, client) = accepted(&listener);
            let options = SockRef::from(&server);
            assert!(options.tcp_nodelay().unwrap());
            assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
            // The timestamps option, which both ends use here, takes 12 octets of each segment.
            assert_eq!(options.tcp_mss().unwrap(), 1220 - 12);
            assert_eq!(SockRef::from(&client).tcp_mss().unwrap(), 1220 - 12);
        }
    }

    #[test]
    fn a_listener_does_not_block() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &TcpOptions::default()).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_ipv6_wildcard_listener_leaves_the_port_free_for_ipv4() {
        // Some other process may hold a port for IPv4, but not one after the other.
        let free = (0..20).any(|_| {
            let v6 = listen("[::]:0".parse().unwrap(), &TcpOptions::default()).unwrap();
            let port = v6.local_addr().unwrap().port();
            listen(SocketAddr::from(([0, 0, 0, 0], port)), &TcpOptions::default()).is_ok()
        });
        assert!(free);
    }

    #[test]
    fn a_taken_port_is_refused_with_the_command_that_names_the_other() {
        let first = listen("127.0.0.1:0".parse().unwrap(), &TcpOptions::default()).unwrap();
        let error = listen(first.local_addr().unwrap(), &TcpOptions::default()).unwrap_err();
        assert!(error.remedy().unwrap().contains("ss -lntup"), "{error}");
    }

    #[test]
    fn listeners_that_share_a_port_are_possible() {
        let options = TcpOptions { reuse_port: ReusePort::Shared, ..TcpOptions::default() };
        let first = listen("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        listen(first.local_addr().unwrap(), &options).unwrap();
    }

    #[test]
    fn an_address_that_is_not_there_needs_freebind() {
        let addr = "192.0.2.53:0".parse().unwrap();
        assert!(listen(addr, &TcpOptions::default()).is_err());
        listen(addr, &TcpOptions { freebind: Freebind::Allowed, ..TcpOptions::default() }).unwrap();
    }
}
