//! Sockets that ask an address of this very host by way of the network: what the sidecar's wire probe sends.
//!
//! The kernel delivers what is sent to one of its own addresses without any interface. A socket that is bound to one
//! (SO_BINDTODEVICE, which needs no privilege since Linux 5.7) leaves that route aside where the address stands on
//! another interface, such as lo, and takes the one that leads out. The answer to an address of ours, on the other
//! hand, comes by the short way, where such a socket hears nothing: so a second one has the same address and port and
//! is bound to no interface.
//!
//! Whether the query comes back is up to the router; whether the kernel takes it, to `accept_local` (IPv4).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{NetError, on_socket};
use crate::sys;

/// The two sockets, nonblocking, and both connected.
#[derive(Debug)]
pub struct Pair {
    /// Sends out of the interface, and hears what comes in by it; routers' refusals are errors of it.
    pub out: UdpSocket,
    /// Hears answers that come by any other way.
    pub back: UdpSocket,
}

/// How far a query may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As far as any.
    Anywhere,
    /// Over no router: whoever answers is this host itself, or its neighbour.
    FirstHop,
}

impl Pair {
    /// Sockets from `from`, an address of `interface` and a port, 0 for a free one, to `target`.
    ///
    /// # Errors
    /// [`NetError::Socket`], also when the port is taken, and when nothing leads from the interface to the target.
    pub fn open(
        interface: &str,
        from: SocketAddr,
        target: SocketAddr,
        reach: Reach,
    ) -> Result<Self, NetError> {
        let out = open(target)?;
        out.bind_device(Some(interface.as_bytes()))
            .map_err(on_socket("bind to the interface that leads to", target))?;
        set_reach(&out, target, reach).map_err(on_socket("bound the way to", target))?;
        out.bind(&from.into()).map_err(on_socket("send a wire probe from", from))?;
        let from = out.local_addr().map_err(on_socket("read the port of", from))?;
        let back = open(target)?;
        back.bind(&from).map_err(on_socket("hear answers to", target))?;
        for socket in [&out, &back] {
            socket.connect(&target.into()).map_err(on_socket("find a way by this interface to", target))?;
        }
        Ok(Self { out: out.into(), back: back.into() })
    }
}

fn open(target: SocketAddr) -> Result<Socket, NetError> {
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))
        .map_err(on_socket("open a UDP socket for", target))?;
    socket.set_nonblocking(true).map_err(on_socket("open a nonblocking socket for", target))?;
    // Both sockets have one port.
    socket.set_reuse_address(true).map_err(on_socket("share a port towards", target))?;
    Ok(socket)
}

/// A router's "time exceeded" becomes an error of the socket (IP_RECVERR), which says that it hears this host.
fn set_reach(socket: &Socket, target: SocketAddr, reach: Reach) -> io::Result<()> {
    if reach == Reach::Anywhere {
        return Ok(());
    }
    if target.is_ipv4() {
        socket.set_ttl_v4(1)?;
        sys::set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    } else {
        socket.set_unicast_hops_v6(1)?;
        sys::set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sockets_have_one_port_and_a_missing_interface_is_an_error() {
        let target = "127.0.0.1:53".parse().unwrap();
        let from = "127.0.0.1:0".parse().unwrap();
        let open = |interface| Pair::open(interface, from, target, Reach::FirstHop);
        let pair = open("lo").unwrap();
        assert_eq!(pair.out.local_addr().unwrap(), pair.back.local_addr().unwrap());
        assert_eq!((pair.out.ttl().unwrap(), pair.back.ttl().unwrap()), (1, 64));
        assert!(open("pharos-none").unwrap_err().to_string().contains("127.0.0.1:53"));
    }

    #[test]
    fn a_port_that_was_used_before_can_be_used_again() {
        let target = "127.0.0.1:53".parse().unwrap();
        let first = Pair::open("lo", "127.0.0.1:0".parse().unwrap(), target, Reach::Anywhere).unwrap();
        let from = first.out.local_addr().unwrap();
        drop(first);
        let again = Pair::open("lo", from, target, Reach::Anywhere).unwrap();
        assert_eq!(again.out.local_addr().unwrap(), from);
    }
}
