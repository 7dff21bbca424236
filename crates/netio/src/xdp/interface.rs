//! What must be known of a network interface, and word when anything changes.
//!
//! [`Interface::look`] asks the kernel anew each time. [`Changes`] only says that something happened to links or
//! addresses: what it is, the next look tells, so that no message of netlink needs to be understood, and none that is
//! lost is missed for long.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::sys;

/// A network interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// The kernel's number; one that is deleted and made anew has another.
    pub(super) index: u32,
    /// Its address on the link.
    pub(super) mac: [u8; 6],
    /// Octets of the largest IP packet.
    pub(super) mtu: u32,
    pub(super) is_up: bool,
    /// What the host sends to itself goes there.
    pub(super) is_loopback: bool,
    /// Receive queues.
    pub(super) queues: u32,
}

/// `struct ethtool_channels` with the command that fills it.
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const SIOCETHTOOL: u32 = 0x8946;

#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

impl Interface {
    /// The interface of this name; `None` when there is none. Allocates nothing.
    pub(super) fn look(name: &str) -> io::Result<Option<Self>> {
        let mut request = EMPTY_REQUEST;
        // The last octet stays zero and ends the name.
        if name.len() >= request.ifr_name.len() || name.bytes().any(|octet| octet == 0) {
            return Ok(None);
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed() as _;
        }
        // SAFETY: a string that ends in zero and outlives the call, which only reads it.
        let index = unsafe { libc::if_nametoindex(request.ifr_name.as_ptr()) };
        if index == 0 {
            let error = io::Error::last_os_error();
            let absent = matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::EINVAL));
            return if absent { Ok(None) } else { Err(error) };
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        let ask = |mut request: libc::ifreq, what: u32| {
            // SAFETY: the request has a name that ends in zero, and room for what these commands write; the
            // structure outlives the call.
            let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), what as _, &raw mut request) };
            sys::check(result).map(|_| request)
        };
        // SAFETY: SIOCGIFFLAGS filled this field of the union.
        let flags = unsafe { ask(request, libc::SIOCGIFFLAGS as u32)?.ifr_ifru.ifru_flags };
        // SAFETY: SIOCGIFMTU filled this field of the union.
        let mtu = unsafe { ask(request, libc::SIOCGIFMTU as u32)?.ifr_ifru.ifru_mtu };
        // SAFETY: SIOCGIFHWADDR filled this field of the union.
        let address = unsafe { ask(request, libc::SIOCGIFHWADDR as u32)?.ifr_ifru.ifru_hwaddr };
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(address.sa_data) {
            #[allow(clippy::unnecessary_cast, reason = "signed on some platforms only")]
            let octet = from as u8;
            *to = octet;
        }
        let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
        request.ifr_ifru.ifru_data = (&raw mut channels).cast();
        // A driver that cannot tell has one queue.
        let queues = ask(request, SIOCETHTOOL).map_or(1, |_| channels.combined + channels.rx);
        Ok(Some(Self {
            index,
            mac,
            mtu: mtu.try_into().unwrap_or(0),
            is_up: i32::from(flags) & libc::IFF_UP != 0,
            is_loopback: i32::from(flags) & libc::IFF_LOOPBACK != 0,
            queues: queues.max(1),
        }))
    }
}

// SAFETY: no system call; a name of zeros and a union of which zero is valid in every field.
const EMPTY_REQUEST: libc::ifreq = unsafe { std::mem::zeroed() };

/// Tells that links or addresses of this network namespace changed.
#[derive(Debug)]
pub struct Changes {
    socket: OwnedFd,
}

impl Changes {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the kernel says; without it, changes are seen only by looking now and then.
    pub fn watch() -> io::Result<Self> {
        // SAFETY: no pointers.
        let socket = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        };
        sys::check(socket)?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: integers, for which zero is valid.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as _;
        address.nl_groups =
            (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR).cast_unsigned();
        // SAFETY: the address and its true length; the kernel only reads it.
        let result = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        sys::check(result)?;
        Ok(Self { socket })
    }

    /// Waits until something changes, no longer than `wait`, and says whether it did; what else has changed meanwhile is
    /// forgotten with it.
    pub fn wait(&self, wait: Duration) -> Changed {
        let milliseconds = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, as told, that outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        if ready <= 0 {
            return Changed::Nothing;
        }
        let mut octets = [0_u8; 4096];
        // Bounded: whoever changes addresses without end must not keep us from looking.
        for _ in 0..1000 {
            // SAFETY: the buffer and its true length, which is all that the kernel writes to.
            let got = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    octets.as_mut_ptr().cast(),
                    octets.len(),
                    libc::MSG_DONTWAIT,
                )
            };
            if got <= 0 {
                break;
            }
        }
        Changed::Something
    }
}

/// Whether anything changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A link or an address.
    Something,
    /// Nothing, as far as is known.
    Nothing,
}
