//! UDP sockets of a DNS server: one per worker and listen address, opened together, with every option set
//! before the first datagram can arrive.
//!
//! [`bind_group`] opens the SO_REUSEPORT sockets of one address in worker order and attaches a small classic
//! BPF program that picks the socket by the CPU on which the packet arrived, so that a packet is answered
//! where it lies in the cache. The path MTU that an ICMP message claims is ignored (IP_PMTUDISC_OMIT): such a
//! message is easily forged to make us send fragments, and in an anycast service it may reach another node than
//! the one it is meant for. That replies fit every path is a matter of their size, which is the caller's.
//!
//! IPv6 sockets are always V6ONLY: with IPv4 in its own sockets, the kernel never hands us mapped addresses,
//! and the families fail and are counted apart.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::NetError;
use crate::affinity::CpuId;
use crate::error::on_socket;
use crate::sys;

/// Whether other sockets may share the address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReusePort {
    /// SO_REUSEPORT: the kernel spreads datagrams over all sockets that share the address.
    Shared,
    /// The address belongs to this socket alone.
    Exclusive,
}

/// Whether an address may be bound before an interface has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freebind {
    /// IP_FREEBIND: listen now, answer when the address comes.
    Allowed,
    /// An address that is not there is an error.
    Refused,
}

/// Options of a DNS UDP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpOptions {
    /// Sharing of the port among workers.
    pub reuse_port: ReusePort,
    /// Binding before the address is there.
    pub freebind: Freebind,
    /// Wanted receive buffer in octets, as the kernel counts them (a small datagram costs about 800). Asked
    /// for beyond the system's limit when privileged (SO_RCVBUFFORCE), silently cut to it otherwise; `None`
    /// leaves the system's default.
    pub receive_buffer: Option<usize>,
    /// Wanted send buffer in octets, in the same way.
    pub send_buffer: Option<usize>,
    /// How long a blocking receive waits for the first datagram: the beat of the worker's heart.
    pub receive_wait: Duration,
    /// How long a send waits for room in the send buffer before it drops what is left of the batch. Waiting
    /// moves the loss of an overload to the receive queue, where no work was yet done.
    pub send_wait: Duration,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            reuse_port: ReusePort::Shared,
            freebind: Freebind::Refused,
            // About 5,000 small datagrams: 20 ms at 250,000 queries/s. More only delays the drop of an
            // overload; much less loses the burst that arrives while a reload evicts the caches.
            receive_buffer: Some(4 << 20),
            send_buffer: Some(2 << 20),
            receive_wait: Duration::from_millis(100),
            send_wait: Duration::from_millis(5),
        }
    }
}

/// How the sockets of one address share its datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering<'a> {
    /// By the CPU that received the packet: socket `i` gets what arrived on `worker_cpus[i]`; what arrives on
    /// a CPU without a worker goes to socket `cpu modulo workers`.
    ReceivingCpu {
        /// The CPU to which each worker is pinned, in worker order.
        worker_cpus: &'a [CpuId],
    },
    /// By the kernel's hash of addresses and ports: for workers that are not pinned.
    FlowHash,
}

/// Where the source address of a reply comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplySource {
    /// The socket's own specific address: no control message is needed, which on loopback saves
    /// 160 ns (IPv4) to 350 ns (IPv6) of about 3 µs that a datagram costs the kernel (examples/udp_echo.rs).
    Bound(IpAddr),
    /// The control message (IP_PKTINFO, IPV6_PKTINFO) that came with the query.
    PacketInfo,
}

/// One bound UDP socket of one worker.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    reply_source: ReplySource,
}

impl UdpSocket {
    /// Opens and binds one socket. With a wildcard address, replies still leave from the address that was
    /// asked; with port 0, [`Self::local_addr`] tells the port that the kernel chose.
    pub fn bind(addr: SocketAddr, options: &UdpOptions) -> Result<Self, NetError> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))
            .map_err(on_socket("open a UDP socket for", addr))?;
        configure(&socket, addr, options).map_err(on_socket("set the UDP options of", addr))?;
        let reply_source = if addr.ip().is_unspecified() {
            want_packet_info(&socket, addr).map_err(on_socket("ask for packet information on", addr))?;
            ReplySource::PacketInfo
        } else {
            ReplySource::Bound(addr.ip())
        };
        socket.bind(&addr.into()).map_err(on_socket("bind UDP", addr))?;
        let local = socket
            .local_addr()
            .and_then(|local| local.as_socket().ok_or_else(|| io::Error::other("not an IP address")))
            .map_err(on_socket("read the bound address of", addr))?;
        Ok(Self { socket, local, reply_source })
    }

    /// The bound address, with the port that the kernel chose where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Datagrams that the kernel dropped for this socket, mostly for a full receive buffer; it wraps at 2^32.
    /// One system call (SO_MEMINFO): for a scrape, not for a batch.
    pub fn drops(&self) -> io::Result<u32> {
        const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
        let mut words = [0; 4 * (DROPS + 1)];
        sys::get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, &mut words)?;
        let (words, _) = words.as_chunks::<4>();
        Ok(u32::from_ne_bytes(words[DROPS]))
    }

    /// The receive buffer that the kernel really gave, in octets of its own counting (twice what was asked).
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// How long a receive with [`crate::Wait::ForDatagram`] waits for its first datagram.
    pub fn set_receive_wait(&self, wait: Duration) -> Result<(), NetError> {
        self.socket.set_read_timeout(Some(wait)).map_err(on_socket("set the receive timeout of", self.local))
    }

    pub(crate) fn reply_source(&self) -> ReplySource {
        self.reply_source
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Opens `workers` sockets on one address, in worker order, and steers its datagrams among them. With port 0
/// all share the port that the first was given.
pub fn bind_group(
    addr: SocketAddr,
    workers: usize,
    steering: Steering<'_>,
    options: &UdpOptions,
) -> Result<Vec<UdpSocket>, NetError> {
    let mut addr = addr;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = UdpSocket::bind(addr, options)?;
        addr = socket.local_addr();
        sockets.push(socket);
    }
    if let (Steering::ReceivingCpu { worker_cpus }, Some(first)) = (steering, sockets.first()) {
        // A lone socket needs no program, and an exclusive one has no group to attach it to.
        if workers > 1 {
            steer(first.as_fd(), worker_cpus, workers)
                .map_err(on_socket("attach the steering program to", addr))?;
        }
    }
    Ok(sockets)
}

fn configure(socket: &Socket, addr: SocketAddr, options: &UdpOptions) -> io::Result<()> {
    socket.set_reuse_port(options.reuse_port == ReusePort::Shared)?;
    if addr.is_ipv4() {
        sys::set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)?;
    } else {
        socket.set_only_v6(true)?;
        sys::set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)?;
    }
    if options.freebind == Freebind::Allowed {
        allow_freebind(socket, addr)?;
    }
    set_buffer(socket, options.receive_buffer, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    set_buffer(socket, options.send_buffer, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
    socket.set_read_timeout(Some(options.receive_wait))?;
    socket.set_write_timeout(Some(options.send_wait))
}

/// IP_FREEBIND or IPV6_FREEBIND; the latter needs Linux 4.15, so it is set only where it is wanted.
pub(crate) fn allow_freebind(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }
}

/// Beyond the system's limit where we may (CAP_NET_ADMIN), else up to it.
fn set_buffer(socket: &Socket, octets: Option<usize>, force: i32, ask: i32) -> io::Result<()> {
    let Some(octets) = octets else { return Ok(()) };
    let octets = i32::try_from(octets).unwrap_or(i32::MAX / 2);
    sys::set_int(socket.as_fd(), libc::SOL_SOCKET, force, octets)
        .or_else(|_| sys::set_int(socket.as_fd(), libc::SOL_SOCKET, ask, octets))
}

fn want_packet_info(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv4() {
        sys::set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    } else {
        sys::set_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    }
}

/// The kernel's limit on classic BPF programs (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4096;

/// Returns the index of the socket that serves the receiving CPU. Where worker `i` sits on CPU `i`, the modulo
/// alone says so; otherwise a chain of comparisons stands before it.
fn steering_program(worker_cpus: &[CpuId], workers: usize) -> Vec<libc::sock_filter> {
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let instruction = |code: u32, jump_false: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("BPF codes have 16 bits"),
        jt: 0,
        jf: jump_false,
        k,
    };
    // The offset is negative on purpose: BPF's window on what is no packet data.
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned();
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, cpu)];
    let in_order = worker_cpus.iter().zip(0..).all(|(cpu, index)| cpu.number() == index);
    if !in_order {
        let chain = worker_cpus.iter().zip(0..workers).take((MAX_INSTRUCTIONS - 3) / 2);
        for (cpu, index) in chain {
            program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, cpu.number().into()));
            program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, index));
        }
    }
    program.push(instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, workers));
    program.push(instruction(libc::BPF_RET | libc::BPF_A, 0, 0));
    program
}

/// Makes the kernel pick, of the sockets that share a port with this one, that of the worker on the receiving CPU.
pub(crate) fn steer(socket: BorrowedFd<'_>, worker_cpus: &[CpuId], workers: usize) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let program = steering_program(worker_cpus, workers);
    let header = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    let length = libc::socklen_t::try_from(size_of_val(&header)).expect("sixteen octets");
    // SAFETY: the header and the program it points to outlive the call, its length is that of the program, and
    // the kernel only reads both.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const header).cast(),
            length,
        )
    };
    sys::check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(cpus: &[u16]) -> Vec<libc::sock_filter> {
        let cpus: Vec<CpuId> = cpus.iter().copied().map(CpuId::new).collect();
        steering_program(&cpus, cpus.len())
    }

    #[test]
    fn workers_on_the_first_cpus_need_no_comparison() {
        assert_eq!(program(&[0, 1, 2, 3]).len(), 3);
        assert_eq!(program(&[2, 3]).len(), 7);
    }

    #[test]
    fn every_option_of_the_design_is_set_in_both_families() {
        let options = UdpOptions { freebind: Freebind::Allowed, ..UdpOptions::default() };
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let v4 = |name| sys::get_int(socket.as_fd(), libc::IPPROTO_IP, name).unwrap();
        assert_eq!(v4(libc::IP_MTU_DISCOVER), libc::IP_PMTUDISC_OMIT);
        assert_eq!((v4(libc::IP_FREEBIND), v4(libc::IP_PKTINFO)), (1, 0));
        assert!(socket.socket.reuse_port().unwrap());

        let socket = UdpSocket::bind("[::]:0".parse().unwrap(), &options).unwrap();
        let v6 = |name| sys::get_int(socket.as_fd(), libc::IPPROTO_IPV6, name).unwrap();
        assert_eq!(v6(libc::IPV6_MTU_DISCOVER), libc::IPV6_PMTUDISC_OMIT);
        assert_eq!((v6(libc::IPV6_FREEBIND), v6(libc::IPV6_RECVPKTINFO), v6(libc::IPV6_V6ONLY)), (1, 1, 1));
    }

    #[test]
    fn an_address_that_no_interface_has_is_bound_only_with_freebind() {
        for addr in ["192.0.2.53:0", "[2001:db8::53]:0"] {
            let addr = addr.parse().unwrap();
            let mut options = UdpOptions::default();
            let error = UdpSocket::bind(addr, &options).unwrap_err();
            assert!(error.remedy().unwrap().contains("freebind"), "{error}");
            options.freebind = Freebind::Allowed;
            UdpSocket::bind(addr, &options).unwrap();
        }
    }

    #[test]
    fn an_exclusive_port_is_refused_to_a_second_socket() {
        let options = UdpOptions { reuse_port: ReusePort::Exclusive, ..UdpOptions::default() };
        let first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let error = UdpSocket::bind(first.local_addr(), &options).unwrap_err();
        assert!(error.remedy().unwrap().contains("ss -lntup"), "{error}");
    }

    #[test]
    fn a_group_shares_the_port_that_the_kernel_chose_for_its_first_socket() {
        let group =
            bind_group("[::1]:0".parse().unwrap(), 3, Steering::FlowHash, &UdpOptions::default()).unwrap();
        let port = group[0].local_addr().port();
        assert!(port != 0 && group.iter().all(|socket| socket.local_addr().port() == port));
    }

    #[test]
    fn datagrams_that_do_not_fit_the_receive_buffer_are_counted() {
        let options = UdpOptions { receive_buffer: Some(1), ..UdpOptions::default() };
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert_eq!(socket.drops().unwrap(), 0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            sender.send_to(&[0; 1000], socket.local_addr()).unwrap();
        }
        assert!(socket.drops().unwrap() > 100);
    }
}
