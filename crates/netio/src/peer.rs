//! Who sent a datagram, and to which of our addresses, read from the kernel's own structures only when asked.
//!
//! The query path replies to the stored structure without looking into it; logs, cookies and rate limits ask
//! [`Peer`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::control::Control;

/// The two ends of one datagram. Reading costs nothing until a method is called.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    pub(crate) ends: Ends<'a>,
    pub(crate) arrival: Arrival,
}

/// Where the two ends are known from.
#[derive(Clone, Copy)]
pub(crate) enum Ends<'a> {
    /// A socket: the kernel's structures.
    Socket { name: &'a Name, control: Option<&'a Control>, bound: Option<IpAddr> },
    /// The packet itself.
    Packet { source: IpAddr, port: u16, destination: IpAddr },
}

impl Peer<'_> {
    /// The sender's address and port, as the datagram claims.
    pub fn source(&self) -> SocketAddr {
        match self.ends {
            Ends::Socket { name, .. } => {
                let port = u16::from_be(name.sin6_port);
                match ip_of(name) {
                    IpAddr::V4(ip) => SocketAddr::from((ip, port)),
                    IpAddr::V6(ip) => {
                        SocketAddr::V6(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id))
                    }
                }
            }
            Ends::Packet { source, port, .. } => SocketAddr::new(source, port),
        }
    }

    /// The sender's address alone, for what is kept per address (cookies, rate limits).
    #[inline]
    pub fn source_ip(&self) -> IpAddr {
        match self.ends {
            Ends::Socket { name, .. } => ip_of(name),
            Ends::Packet { source, .. } => source,
        }
    }

    /// The address of ours that was asked, from which the reply will leave. `None` only if the kernel sent no
    /// packet information on a wildcard socket.
    pub fn destination(&self) -> Option<IpAddr> {
        match self.ends {
            Ends::Socket { control, bound, .. } => bound.or_else(|| control.and_then(Control::destination)),
            Ends::Packet { destination, .. } => Some(destination),
        }
    }

    /// Whether the query fitted its buffer.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }
}

/// Whether a datagram fitted its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// All octets are there.
    #[default]
    Whole,
    /// The datagram was longer than the query buffer; its end is lost (MSG_TRUNC).
    Truncated,
}

/// The address in the kernel's form of it.
pub(crate) fn ip_of(name: &Name) -> IpAddr {
    if i32::from(name.sin6_family) == libc::AF_INET {
        // sockaddr_in has its address where sockaddr_in6 has the flow information.
        IpAddr::V4(Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes()))
    } else {
        IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr))
    }
}

/// The kernel's form of an IPv4 or IPv6 socket address; an IPv4 one uses the first 16 octets of it.
pub(crate) type Name = libc::sockaddr_in6;

pub(crate) const NAME_OCTETS: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

pub(crate) const EMPTY_NAME: Name = Name {
    sin6_family: 0,
    sin6_port: 0,
    sin6_flowinfo: 0,
    sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
    sin6_scope_id: 0,
};
