//! What single-hop BFD asks of UDP (RFC 5881): TTL 255 out, nothing less in, and a source port of its own.
//!
//! The sidecar's BFD thread calls it: a [`Receiver`] for each address family, a [`Sender`] for each neighbour, and
//! [`wait_for_any`] until one of them, or something else, has octets. The kernel drops what comes with a lower TTL
//! before it is queued, so that strangers beyond a router cannot fill the queue either. Nothing here knows BFD's
//! messages or its timers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::error::{NetError, on_socket};
use crate::sys;

/// The highest TTL there is: whoever receives it knows that no router has forwarded the packet (RFC 5881 §5).
const TTL: u32 = 255;
/// Class selector 6, "routing protocols" (RFC 4594 §3.2): queries in the same queue must not delay these.
const CS6: u32 = 0xc0;

/// Hears the neighbours of one family.
#[derive(Debug)]
pub struct Receiver(UdpSocket);

/// Speaks to one neighbour.
#[derive(Debug)]
pub struct Sender(UdpSocket);

impl Receiver {
    /// Listens on an address of ours, or on all of its family.
    pub fn bind(address: SocketAddr) -> Result<Self, NetError> {
        let socket = open(address)?;
        // Before the port is bound, so that no packet slips in unchecked.
        socket
            .attach_filter(&only_ttl_255(address))
            .map_err(on_socket("check the TTL (GTSM) on", address))?;
        socket.bind(&address.into()).map_err(on_socket("listen for BFD on", address))?;
        Ok(Self(socket.into()))
    }

    /// A datagram, if one is there: how many octets it has, and who sent it.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, IpAddr)>> {
        match self.0.recv_from(buffer) {
            Ok((octets, from)) => Ok(Some((octets, from.ip().to_canonical()))),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Sender {
    /// A socket towards `peer`, from `source` or whatever address leads there, and from a free port of `ports`: the
    /// first that is tried is `first`, so that a session can keep its port.
    pub fn connect(
        source: Option<IpAddr>,
        peer: SocketAddr,
        ports: &RangeInclusive<u16>,
        first: u16,
    ) -> Result<Self, NetError> {
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = source.unwrap_or(any);
        let first = if ports.contains(&first) { first } else { *ports.start() };
        let candidates = (first..=*ports.end()).chain(*ports.start()..first);
        let mut refused = None;
        for port in candidates {
            let from = SocketAddr::new(address, port);
            let socket = open(peer)?;
            send_options(&socket, peer).map_err(on_socket("set TTL and traffic class towards", peer))?;
            match socket.bind(&from.into()) {
                Ok(()) => {
                    socket.connect(&peer.into()).map_err(on_socket("find a way to", peer))?;
                    return Ok(Self(socket.into()));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refused = Some((from, error)),
                Err(error) => return Err(on_socket("send BFD from", from)(error)),
            }
        }
        let (from, error) = refused.unwrap_or((peer, io::ErrorKind::AddrInUse.into()));
        Err(on_socket("send BFD from", from)(error))
    }

    /// A socket that another process has opened, if it leads to `peer`, and comes from `source` where that is given.
    pub fn inherited(descriptor: OwnedFd, source: Option<IpAddr>, peer: SocketAddr) -> Option<Self> {
        let socket = UdpSocket::from(descriptor);
        let leads_there = socket.peer_addr().is_ok_and(|address| address == peer);
        let comes_from = |source| socket.local_addr().is_ok_and(|address| address.ip() == source);
        (leads_there && source.is_none_or(comes_from)).then_some(Self(socket))
    }

    /// Sends a datagram, or says why not. That nobody listens there (yet) is what the receiving side finds out.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        match self.0.send(octets) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Our own address and port.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One that another process has opened for the same address.
impl From<OwnedFd> for Receiver {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of the descriptors has something to read, or until the time is over. A signal ends the wait early.
pub fn wait_for_any(descriptors: &[BorrowedFd<'_>], time: Duration) -> io::Result<()> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: the pointer and the length describe `polled`, which is ours alone for the call, as is the time; the
    // signal mask is left as it is.
    let result = unsafe {
        libc::ppoll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, &raw const time, std::ptr::null())
    };
    match sys::check(result) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}

fn open(address: SocketAddr) -> Result<Socket, NetError> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
        .map_err(on_socket("open a UDP socket for", address))?;
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(on_socket("keep IPv4 out of", address))?;
    }
    socket.set_nonblocking(true).map_err(on_socket("open a nonblocking socket for", address))?;
    Ok(socket)
}

fn send_options(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    match peer {
        SocketAddr::V4(_) => {
            socket.set_ttl_v4(TTL)?;
            socket.set_tos_v4(CS6)
        }
        SocketAddr::V6(_) => {
            socket.set_unicast_hops_v6(TTL)?;
            socket.set_tclass_v6(CS6)
        }
    }
}

/// A program that keeps a datagram whole if the TTL or hop limit in its IP header is 255, and drops it otherwise.
fn only_ttl_255(address: SocketAddr) -> [SockFilter; 4] {
    /// Loads are relative to the network header from here on: SKF_NET_OFF of linux/filter.h.
    const NET_OFF: u32 = (-0x10_0000_i32).cast_unsigned();
    let place = match address {
        SocketAddr::V4(_) => 8, // RFC 791 §3.1: Time to Live
        SocketAddr::V6(_) => 7, // RFC 8200 §3: Hop Limit
    };
    let code = |class: u32| u16::try_from(class).expect("classic BPF has codes of eight bits");
    [
        SockFilter::new(code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, NET_OFF + place),
        SockFilter::new(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, TTL),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: RangeInclusive<u16> = 49152..=65535;

    fn receiver(address: &str) -> (Receiver, SocketAddr) {
        let receiver = Receiver::bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        let address = receiver.0.local_addr().unwrap();
        (receiver, address)
    }

    /// Against a hang only.
    fn next(receiver: &Receiver) -> Option<(Vec<u8>, IpAddr)> {
        let mut buffer = [0; 64];
        wait_for_any(&[receiver.as_fd()], Duration::from_secs(20)).unwrap();
        let (octets, from) = receiver.receive(&mut buffer).unwrap()?;
        Some((buffer[..octets].to_vec(), from))
    }

    #[test]
    fn what_is_sent_with_ttl_255_from_a_port_of_the_range_is_heard() {
        for address in ["127.0.0.1", "::1"] {
            let (receiver, to) = receiver(address);
            let sender = Sender::connect(None, to, &PORTS, 60_000).unwrap();
            assert!(PORTS.contains(&sender.local().unwrap().port()));
            sender.send(b"control").unwrap();
            assert_eq!(next(&receiver), Some((b"control".to_vec(), address.parse().unwrap())));
        }
    }

    #[test]
    fn what_comes_with_a_lower_ttl_is_dropped_before_it_is_queued() {
        for address in ["127.0.0.1", "::1"] {
            let (receiver, to) = receiver(address);
            let far = UdpSocket::bind((address, 0)).unwrap();
            let socket = socket2::SockRef::from(&far);
            match to {
                SocketAddr::V4(_) => socket.set_ttl_v4(254).unwrap(),
                SocketAddr::V6(_) => socket.set_unicast_hops_v6(254).unwrap(),
            }
            far.send_to(b"far", to).unwrap();
            let near = Sender::connect(None, to, &PORTS, 60_100).unwrap();
            near.send(b"near").unwrap();
            // In order of arrival: had the first been queued, it would come first.
            assert_eq!(next(&receiver).unwrap().0, b"near");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let (_receiver, to) = receiver("127.0.0.1");
        let first = Sender::connect(Some("127.0.0.1".parse().unwrap()), to, &PORTS, 60_200).unwrap();
        let taken = first.local().unwrap().port();
        let second = Sender::connect(Some("127.0.0.1".parse().unwrap()), to, &PORTS, taken).unwrap();
        assert_ne!(second.local().unwrap().port(), taken);
        let error = Sender::connect(Some("192.0.2.1".parse().unwrap()), to, &PORTS, 60_300).unwrap_err();
        assert!(error.remedy().unwrap().contains("192.0.2.1"), "{error}");
    }

    #[test]
    fn sockets_that_another_process_opened_are_taken_where_they_fit() {
        let (receiver, to) = receiver("127.0.0.1");
        let here = Some("127.0.0.1".parse().unwrap());
        let sender = Sender::connect(here, to, &PORTS, 60_400).unwrap();
        let port = sender.local().unwrap().port();
        let again = || sender.as_fd().try_clone_to_owned().unwrap();
        let elsewhere = SocketAddr::new(to.ip(), to.port() ^ 1);
        assert!(Sender::inherited(again(), here, elsewhere).is_none());
        assert!(Sender::inherited(again(), Some("127.0.0.2".parse().unwrap()), to).is_none());
        let inherited = Sender::inherited(again(), here, to).unwrap();
        assert_eq!(inherited.local().unwrap().port(), port, "the port stays (RFC 5881 §4)");
        let receiver = Receiver::from(receiver.as_fd().try_clone_to_owned().unwrap());
        inherited.send(b"on").unwrap();
        assert_eq!(next(&receiver).unwrap().0, b"on");
    }

    #[test]
    fn a_wait_ends_with_its_time() {
        let (receiver, _) = receiver("127.0.0.1");
        wait_for_any(&[receiver.as_fd()], Duration::from_millis(1)).unwrap();
        assert_eq!(receiver.receive(&mut [0; 8]).unwrap(), None);
    }
}
