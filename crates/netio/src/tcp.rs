//! TCP listeners for DNS (RFC 7766), with every option set before the first connection can arrive.
//!
//! [`listen_group`] gives nonblocking std listeners, one for each thread that accepts; the kernel spreads connections
//! over them as it spreads datagrams over the workers' sockets. Accepted connections inherit segment size, TCP_NODELAY, the
//! user timeout and the end's patience from their listener (tcp(7), and a test below), and [`accept`] has them nonblocking, so
//! that a connection costs one system call to accept and no further one to set up. TCP Fast Open is never asked for:
//! its cookie is per node, so that in an anycast service it fails whenever the route changes, and a SYN with data is one
//! more amplifier.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::error::{NetError, on_socket};
use crate::peer::{EMPTY_NAME, NAME_OCTETS, ip_of};
use crate::sys;
use crate::udp::{Freebind, ReusePort, Steering, allow_freebind, steer};

/// Options of a DNS TCP listener and of the connections that it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpOptions {
    /// Binding before the address is there.
    pub freebind: Freebind,
    /// TCP_MAXSEG in octets: the largest segment that we send and announce; `None` leaves it to the interface.
    pub max_segment: Option<u16>,
    /// Connections that wait to be accepted; the kernel cuts it to sysctl net.core.somaxconn.
    pub backlog: u16,
    /// TCP_USER_TIMEOUT: how long sent octets may stay unacknowledged before the connection ends; `None`
    /// leaves the kernel's quarter of an hour.
    pub user_timeout: Option<Duration>,
    /// TCP_LINGER2, in whole seconds: how long the kernel waits for the client's FIN behind ours (FIN-WAIT-2, RFC 9293
    /// §3.3.2) before it forgets the connection; `None` leaves the kernel's minute. Until then a client that comes anew
    /// from the same port is turned away.
    pub fin_wait: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            freebind: Freebind::Refused,
            // 1280 octets, which every IPv6 path carries (RFC 8200 §5), less 40 for IPv6 and 20 for TCP: no
            // packet-too-big message is needed, and such a message may reach another node (RFC 7690 §1).
            max_segment: Some(1220),
            // What Linux allows by default. A thread that is away for 50 ms finds as many at 80,000 connections/s.
            backlog: 4096,
            // Longer than any idle time that we grant; a vanished client's answer must not stay in memory.
            user_timeout: Some(Duration::from_secs(30)),
            // Answers were acknowledged before FIN-WAIT-2 begins; a client that goes on only learns of a reset.
            fin_wait: Some(Duration::from_secs(2)),
        }
    }
}

/// Opens nonblocking listeners on one address, in the order of the threads that accept, and steers connections among
/// them like datagrams ([`crate::bind_group`]). With port 0 all share the port that the kernel chose for the first.
///
/// Where another process listens, it is refused, even if that one shares its port: the first listener binds and
/// listens like one that shares nothing, and lets the others join only afterwards.
pub fn listen_group(
    addr: SocketAddr,
    threads: usize,
    steering: Steering<'_>,
    options: &TcpOptions,
) -> Result<Vec<TcpListener>, NetError> {
    let first = bind(addr, ReusePort::Exclusive, options)?;
    if threads > 1 {
        first.set_reuse_port(true).map_err(on_socket("share the TCP port of", addr))?;
    }
    let first = listen(first, addr, options)?;
    let addr = first.local_addr().map_err(on_socket("read the bound address of", addr))?;
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(listen(bind(addr, ReusePort::Shared, options)?, addr, options)?);
    }
    if let (Steering::ReceivingCpu { worker_cpus }, [first, _, ..]) = (steering, &*listeners) {
        steer(first.as_fd(), worker_cpus, threads)
            .map_err(on_socket("attach the steering program to", addr))?;
    }
    Ok(listeners)
}

/// The next connection that waits to be accepted, nonblocking, and whom it comes from. `None`: none waits, or the one
/// that did has gone.
pub fn accept(listener: &TcpListener) -> io::Result<Option<(TcpStream, IpAddr)>> {
    let mut name = EMPTY_NAME;
    let mut octets = NAME_OCTETS;
    // SAFETY: the name and its length are ours for the call, and the length is true; any bits are valid in a name.
    let result = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            (&raw mut name).cast(),
            &raw mut octets,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    };
    match sys::check(result) {
        // SAFETY: the descriptor was just made, and nobody else has it.
        Ok(_) => Ok(Some((unsafe { OwnedFd::from_raw_fd(result) }.into(), ip_of(&name)))),
        Err(error) if has_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends a connection at once, by a reset (ABORT, RFC 9293 §3.10.7): the kernel keeps nothing of it, neither octets that
/// were not taken yet nor a state that waits for the other end.
pub fn abort(stream: TcpStream) {
    // What cannot be set is closed in the ordinary way.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// Octets that have arrived and were not read (SIOCINQ, tcp(7)).
pub fn unread(stream: &TcpStream) -> io::Result<usize> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the request writes one int, to a variable of ours that lives through the call.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut octets) };
    sys::check(result)?;
    Ok(usize::try_from(octets).unwrap_or_default())
}

/// Octets that were written and that the other end has not acknowledged, sent or not (SIOCOUTQ, tcp(7)).
pub fn unacknowledged(stream: &TcpStream) -> io::Result<usize> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the request writes one int, to a variable of ours that lives through the call.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) };
    sys::check(result)?;
    Ok(usize::try_from(octets).unwrap_or_default())
}

/// Errors that are those of one connection, not of the listener (accept(2)).
fn has_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN
                | libc::EINTR
                | libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
        )
    )
}

fn bind(addr: SocketAddr, reuse_port: ReusePort, options: &TcpOptions) -> Result<Socket, NetError> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))
        .map_err(on_socket("open a TCP socket for", addr))?;
    configure(&socket, addr, reuse_port, options).map_err(on_socket("set the TCP options of", addr))?;
    socket.bind(&addr.into()).map_err(on_socket("bind TCP", addr))?;
    Ok(socket)
}

fn listen(socket: Socket, addr: SocketAddr, options: &TcpOptions) -> Result<TcpListener, NetError> {
    socket.listen(options.backlog.into()).map_err(on_socket("listen on TCP", addr))?;
    Ok(socket.into())
}

fn configure(
    socket: &Socket,
    addr: SocketAddr,
    reuse_port: ReusePort,
    options: &TcpOptions,
) -> io::Result<()> {
    // A restart must not wait for the TIME_WAIT of old connections.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port == ReusePort::Shared)?;
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
    if let Some(wait) = options.fin_wait {
        let seconds = i32::try_from(wait.as_secs().max(1)).unwrap_or(i32::MAX);
        sys::set_int(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_LINGER2, seconds)?;
    }
    // Answers are whole messages; waiting for more to fill a segment only delays them (RFC 7766 §8).
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn one(addr: &str, options: &TcpOptions) -> Result<TcpListener, NetError> {
        group(addr.parse().unwrap(), 1, options).map(|mut group| group.remove(0))
    }

    fn group(addr: SocketAddr, threads: usize, options: &TcpOptions) -> Result<Vec<TcpListener>, NetError> {
        listen_group(addr, threads, Steering::FlowHash, options)
    }

    /// The next connection of any of the listeners, which do not wait.
    fn accepted(listeners: &[TcpListener]) -> (TcpStream, IpAddr) {
        loop {
            if let Some(got) = listeners.iter().find_map(|listener| accept(listener).unwrap()) {
                return got;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn accepted_connections_inherit_what_was_set_on_the_listener_and_do_not_block() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let listeners = group(addr.parse().unwrap(), 2, &TcpOptions::default()).unwrap();
            let client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
            let (server, peer) = accepted(&listeners);
            assert_eq!(peer, client.local_addr().unwrap().ip());
            let options = SockRef::from(&server);
            assert!(options.nonblocking().unwrap());
            assert!(options.tcp_nodelay().unwrap());
            assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
            assert_eq!(sys::get_int(server.as_fd(), libc::IPPROTO_TCP, libc::TCP_LINGER2).unwrap(), 2);
            // The timestamps option, which both ends use here, takes 12 octets of each segment.
            assert_eq!(options.tcp_mss().unwrap(), 1220 - 12);
            assert_eq!(SockRef::from(&client).tcp_mss().unwrap(), 1220 - 12);
        }
    }

    #[test]
    fn a_connection_that_is_aborted_is_reset() {
        let listeners = group("127.0.0.1:0".parse().unwrap(), 1, &TcpOptions::default()).unwrap();
        let mut client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        abort(accepted(&listeners).0);
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn the_kernel_tells_what_was_not_read_and_what_did_not_arrive() {
        let listeners = group("127.0.0.1:0".parse().unwrap(), 1, &TcpOptions::default()).unwrap();
        let mut client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let (mut server, _) = accepted(&listeners);
        assert_eq!((unread(&server).unwrap(), unacknowledged(&server).unwrap()), (0, 0));
        client.write_all(&[1; 100]).unwrap();
        while unread(&server).unwrap() < 100 {
            std::thread::yield_now();
        }
        // More than the client's window takes while nobody reads there.
        let written = std::iter::from_fn(|| server.write(&[2; 65_536]).ok()).sum::<usize>();
        assert!((1..=written).contains(&unacknowledged(&server).unwrap()));
        client.read_exact(&mut vec![0; written]).unwrap();
        while unacknowledged(&server).unwrap() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(unread(&server).unwrap(), 100);
    }

    #[test]
    fn a_listener_does_not_block() {
        let listener = one("127.0.0.1:0", &TcpOptions::default()).unwrap();
        assert!(accept(&listener).unwrap().is_none());
    }

    #[test]
    fn an_ipv6_wildcard_listener_leaves_the_port_free_for_ipv4() {
        // Some other process may hold a port for IPv4, but not one after the other.
        let free = (0..20).any(|_| {
            let v6 = one("[::]:0", &TcpOptions::default()).unwrap();
            let port = v6.local_addr().unwrap().port();
            group(SocketAddr::from(([0, 0, 0, 0], port)), 1, &TcpOptions::default()).is_ok()
        });
        assert!(free);
    }

    #[test]
    fn a_taken_port_is_refused_with_the_command_that_names_the_other_even_if_that_one_shares_it() {
        for threads in [1, 3] {
            let first = group("0.0.0.0:0".parse().unwrap(), threads, &TcpOptions::default()).unwrap();
            let port = first[0].local_addr().unwrap().port();
            for addr in [[0, 0, 0, 0], [127, 0, 0, 1]] {
                let error = group((addr, port).into(), threads, &TcpOptions::default()).unwrap_err();
                assert!(error.remedy().unwrap().contains("ss -lntup"), "{error}");
            }
        }
    }

    #[test]
    fn the_listeners_of_a_group_share_the_connections() {
        let listeners = group("[::1]:0".parse().unwrap(), 4, &TcpOptions::default()).unwrap();
        let port = listeners[0].local_addr().unwrap();
        let mut hit = [false; 4];
        // By the hash of the ports, so that all of a hundred go to one listener about never.
        let clients: Vec<_> = (0..100).map(|_| TcpStream::connect(port).unwrap()).collect();
        for (listener, hit) in listeners.iter().zip(&mut hit) {
            while accept(listener).unwrap().is_some() {
                *hit = true;
            }
        }
        assert!(hit.iter().filter(|&&hit| hit).count() > 1, "{hit:?}");
        drop(clients);
    }

    #[test]
    fn steering_brings_a_connection_to_the_thread_of_the_cpu_that_it_came_by() {
        use crate::affinity::{allowed_cpus, pin_current_thread};
        let cpus = allowed_cpus().unwrap();
        let steering = Steering::ReceivingCpu { worker_cpus: &cpus };
        let addr = "127.0.0.1:0".parse().unwrap();
        let listeners = listen_group(addr, cpus.len(), steering, &TcpOptions::default()).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        for (&cpu, listener) in cpus.iter().zip(&listeners) {
            // On loopback a packet is received by the CPU that sends it.
            let connect = move || {
                pin_current_thread(cpu).unwrap();
                TcpStream::connect(addr).unwrap()
            };
            let _client = std::thread::spawn(connect).join().unwrap();
            assert!(accept(listener).unwrap().is_some(), "not by {cpu}");
        }
    }

    #[test]
    fn an_address_that_is_not_there_needs_freebind() {
        let addr = "192.0.2.53:0";
        assert!(one(addr, &TcpOptions::default()).is_err());
        one(addr, &TcpOptions { freebind: Freebind::Allowed, ..TcpOptions::default() }).unwrap();
    }
}
