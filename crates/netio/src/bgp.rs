//! What a BGP session asks of its TCP socket: a source address, MD5 signatures (RFC 2385) and the TTL check of
//! GTSM (RFC 5082).
//!
//! The sidecar's `bgp` announcer calls it: [`outbound`] for a session that we open, [`expect_peer`] on the
//! listener for each configured peer, whose key must be known before its SYN comes, and [`protect`] on each
//! accepted stream, since the TTL check differs from peer to peer. Nothing here connects, waits, or speaks BGP.
//!
//! TCP-AO (RFC 5925) is not offered: few routers' and hardly any distribution's kernels have it on both sides.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::NetError;
use crate::sys;

/// The shared secret of one peer, 1 to 80 octets (TCP_MD5SIG_MAXKEYLEN). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Vec<u8>);

impl Md5Key {
    /// Takes the octets as they are: routers use the password's ASCII text.
    pub fn new(octets: &[u8]) -> Result<Self, NetError> {
        if octets.is_empty() || octets.len() > MD5_KEY_MAX_OCTETS {
            return Err(NetError::KeyLength { octets: octets.len() });
        }
        Ok(Self(octets.to_vec()))
    }
}

impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Key(..)")
    }
}

/// The generalized TTL security mechanism: the peer is a neighbour, and no router stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gtsm {
    /// Any TTL is accepted, and the system's default TTL is sent.
    #[default]
    Off,
    /// Both ends send TTL 255, and the kernel drops what comes with less (RFC 5082 §3). Set it on both ends:
    /// a peer without it, which sends another TTL, is not heard.
    Neighbour,
}

/// What one session asks of its sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// The address that we connect from; `None` leaves it to the routing table.
    pub source: Option<IpAddr>,
    /// The secret for RFC 2385 signatures; segments without a right signature are dropped.
    pub md5: Option<Md5Key>,
    /// The TTL check.
    pub gtsm: Gtsm,
}

/// A nonblocking socket, bound to the source address and protected, ready to be connected to `peer`
/// (`tokio::net::TcpSocket::from_std_stream` takes it). It is not yet connected.
pub fn outbound(peer: SocketAddr, options: &SessionOptions) -> Result<TcpStream, NetError> {
    let failed = |what| move |source| NetError::Session { what, peer: peer.ip(), source };
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))
        .map_err(failed("open a TCP socket to"))?;
    socket.set_nonblocking(true).map_err(failed("open a nonblocking socket to"))?;
    // Keepalives and withdrawals must not wait for one another.
    socket.set_tcp_nodelay(true).map_err(failed("set TCP_NODELAY towards"))?;
    if let Some(source) = options.source {
        let source = SocketAddr::new(source, 0);
        socket.bind(&source.into()).map_err(failed("bind the source address of the session with"))?;
    }
    protect(&socket, peer.ip(), options)?;
    Ok(socket.into())
}

/// Makes a listener ready for the connections of one peer, as one of many. The TTL check waits for
/// [`protect`], but the answer to the peer's SYN already leaves with TTL 255 if the peer wants that.
pub fn expect_peer(listener: &impl AsFd, peer: IpAddr, options: &SessionOptions) -> Result<(), NetError> {
    let failed = |what| move |source| NetError::Session { what, peer, source };
    let listener = listener.as_fd();
    set_md5(listener, peer, options.md5.as_ref()).map_err(failed("set the TCP MD5 key for"))?;
    if options.gtsm == Gtsm::Neighbour {
        send_ttl(listener, peer, GTSM_TTL).map_err(failed("set the TTL (GTSM) for"))?;
    }
    set_class(listener, peer).map_err(failed("set the traffic class for"))
}

/// Protects an accepted stream, or a socket that is to be connected, for its peer. May be repeated when
/// options change.
pub fn protect(stream: &impl AsFd, peer: IpAddr, options: &SessionOptions) -> Result<(), NetError> {
    let failed = |what| move |source| NetError::Session { what, peer, source };
    let stream = stream.as_fd();
    set_md5(stream, peer, options.md5.as_ref()).map_err(failed("set the TCP MD5 key for"))?;
    set_gtsm(stream, peer, options.gtsm).map_err(failed("set the TTL check (GTSM) for"))?;
    set_class(stream, peer).map_err(failed("set the traffic class for"))
}

/// The highest TTL there is: whoever receives it knows that no router has forwarded the packet.
const GTSM_TTL: i32 = 255;

fn set_gtsm(socket: BorrowedFd<'_>, peer: IpAddr, gtsm: Gtsm) -> io::Result<()> {
    const SYSTEM_DEFAULT: i32 = -1;
    let (level, option) = match peer {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    let (ttl, least_accepted) = match gtsm {
        Gtsm::Off => (SYSTEM_DEFAULT, 0),
        Gtsm::Neighbour => (GTSM_TTL, GTSM_TTL),
    };
    send_ttl(socket, peer, ttl)?;
    sys::set_int(socket, level, option, least_accepted)
}

fn send_ttl(socket: BorrowedFd<'_>, peer: IpAddr, ttl: i32) -> io::Result<()> {
    match peer {
        IpAddr::V4(_) => sys::set_int(socket, libc::IPPROTO_IP, libc::IP_TTL, ttl),
        IpAddr::V6(_) => sys::set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, ttl),
    }
}

/// Class selector 6, "routing protocols" (RFC 4594 §3.2), so that a flood of queries in the same queue does
/// not cost us the session.
fn set_class(socket: BorrowedFd<'_>, peer: IpAddr) -> io::Result<()> {
    const CS6: u32 = 0xc0;
    let socket = SockRef::from(&socket);
    match peer {
        IpAddr::V4(_) => socket.set_tos_v4(CS6),
        IpAddr::V6(_) => socket.set_tclass_v6(CS6),
    }
}

/// TCP_MD5SIG_MAXKEYLEN of linux/tcp.h.
const MD5_KEY_MAX_OCTETS: usize = 80;

/// `struct tcp_md5sig` of linux/tcp.h: a sockaddr_storage, flags, prefix length, key length, device, key.
const MD5_KEY_LENGTH_AT: usize = 128 + 2;
const MD5_KEY_AT: usize = MD5_KEY_LENGTH_AT + 2 + 4;

/// Sets the key for the peer, any port; or forgets it.
fn set_md5(socket: BorrowedFd<'_>, peer: IpAddr, key: Option<&Md5Key>) -> io::Result<()> {
    let mut option = [0; MD5_KEY_AT + MD5_KEY_MAX_OCTETS];
    let (family, address_at) = match peer {
        IpAddr::V4(_) => (libc::AF_INET, 4),
        IpAddr::V6(_) => (libc::AF_INET6, 8),
    };
    let family = libc::sa_family_t::try_from(family).expect("address families are small numbers");
    option[..2].copy_from_slice(&family.to_ne_bytes());
    match peer {
        IpAddr::V4(ip) => option[address_at..address_at + 4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => option[address_at..address_at + 16].copy_from_slice(&ip.octets()),
    }
    let octets = key.map_or(&[][..], |key| &key.0);
    let length = u16::try_from(octets.len()).expect("at most 80");
    option[MD5_KEY_LENGTH_AT..MD5_KEY_LENGTH_AT + 2].copy_from_slice(&length.to_ne_bytes());
    option[MD5_KEY_AT..MD5_KEY_AT + octets.len()].copy_from_slice(octets);
    match sys::set_option(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &option) {
        // There was no key to forget, or the kernel knows no keys at all.
        Err(error)
            if key.is_none() && matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOPROTOOPT)) =>
        {
            Ok(())
        }
        other => other,
    }
}
