//! Addresses with a lifetime, by rtnetlink(7): what the sidecar's `lease` announcer renews.
//!
//! An address whose valid lifetime ends is removed by the kernel, whatever has become of the process that set it. Nothing
//! here keeps a list or a timer: the caller renews by setting it again.

use std::ffi::CString;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// How long the kernel may take to answer; it waits for whoever changes routes and addresses at the same time.
const PATIENCE: Duration = Duration::from_secs(2);

/// No duplicate address detection (RFC 4862 §5.4): nobody else is on an interface that leads nowhere, and the second
/// that it takes would be without the marker.
const IFA_F_NODAD: u32 = 0x02;

/// The number of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface(u32);

/// The interface of this name in this network namespace.
pub fn interface(name: &str) -> io::Result<Interface> {
    let name = CString::new(name)?;
    // SAFETY: the pointer is to a string that ends with a zero octet and outlives the call, which only reads it.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(Interface(index)) }
}

/// A socket to the kernel's tables of addresses.
#[derive(Debug)]
pub struct Markers {
    socket: Socket,
    sequence: u32,
}

impl Markers {
    /// Opens the socket; changes need CAP_NET_ADMIN.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::RAW,
            Some(Protocol::from(libc::NETLINK_ROUTE)),
        )?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sets an address with a lifetime in whole seconds, or gives it another lifetime.
    pub fn set(&mut self, on: Interface, address: IpAddr, length: u8, lifetime: Duration) -> io::Result<()> {
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.ask(libc::RTM_NEWADDR, flags, &body(on, address, length, Some(seconds)))
    }

    /// Removes an address; one that is not there is no error.
    pub fn remove(&mut self, on: Interface, address: IpAddr, length: u8) -> io::Result<()> {
        match self.ask(libc::RTM_DELADDR, 0, &body(on, address, length, None)) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other,
        }
    }

    /// Sends a request and waits for its acknowledgement.
    fn ask(&mut self, what: u16, flags: i32, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags).expect("flags have 16 bits");
        let mut message = Vec::with_capacity(HEADER + body.len());
        let length = u32::try_from(HEADER + body.len()).expect("a few dozen octets");
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&what.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        // The kernel fills in who we are.
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(body);
        (&self.socket).write_all(&message)?;
        let mut answer = [0; 4096];
        loop {
            let count = (&self.socket).read(&mut answer)?;
            // An answer to an earlier request, whose patience had ended, may still come.
            if let Some(errno) = acknowledged(answer.get(..count).unwrap_or_default(), self.sequence) {
                return if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-errno)) };
            }
        }
    }
}

/// `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;

/// The error number in an acknowledgement of this request, 0 for success; nothing if it is another message.
fn acknowledged(message: &[u8], sequence: u32) -> Option<i32> {
    let word = |at: usize| message.get(at..at + 4).and_then(|octets| octets.try_into().ok());
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let is_ours = i32::from(kind) == libc::NLMSG_ERROR && word(8).map(u32::from_ne_bytes) == Some(sequence);
    if is_ours { word(HEADER).map(i32::from_ne_bytes) } else { None }
}

/// `struct ifaddrmsg` and its attributes.
fn body(Interface(index): Interface, address: IpAddr, length: u8, lifetime: Option<u32>) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let family = u8::try_from(family).expect("address families are small numbers");
    let mut body = vec![family, length, 0, libc::RT_SCOPE_UNIVERSE];
    body.extend_from_slice(&index.to_ne_bytes());
    attribute(&mut body, libc::IFA_LOCAL, &octets);
    attribute(&mut body, libc::IFA_ADDRESS, &octets);
    if let Some(seconds) = lifetime {
        if address.is_ipv6() {
            attribute(&mut body, libc::IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
        }
        // `struct ifa_cacheinfo`: preferred and valid lifetime in seconds, and two times that only the kernel knows.
        let info = [seconds, seconds, 0, 0].map(u32::to_ne_bytes).concat();
        attribute(&mut body, libc::IFA_CACHEINFO, &info);
    }
    body
}

/// `struct rtattr`: its length, its type, its value; the next one begins at a multiple of four.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).expect("values have at most 16 octets");
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_laid_out_as_the_kernel_reads_it() {
        let body = body(Interface(7), [169, 254, 77, 1].into(), 30, Some(3));
        let word = |at: usize| u32::from_ne_bytes(body[at..at + 4].try_into().unwrap());
        assert_eq!((body[0], body[1], word(4)), (2, 30, 7));
        assert_eq!(body[12..16], [169, 254, 77, 1]);
        assert_eq!((word(28), word(32), body.len()), (3, 3, 44));
    }

    #[test]
    fn an_answer_to_another_request_is_not_taken_for_ours() {
        let mut message = vec![0; 36];
        message[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        message[8..12].copy_from_slice(&9_u32.to_ne_bytes());
        message[16..20].copy_from_slice(&(-99_i32).to_ne_bytes());
        assert_eq!(acknowledged(&message, 9), Some(-99));
        assert_eq!(acknowledged(&message, 8), None);
        assert_eq!(acknowledged(&message[..18], 9), None);
        assert_eq!(acknowledged(&[], 9), None);
    }

    #[test]
    fn the_loopback_interface_has_a_number_and_nonsense_has_none() {
        assert_eq!(interface("lo").unwrap(), Interface(1));
        assert!(interface("no-such-one").is_err());
    }
}
