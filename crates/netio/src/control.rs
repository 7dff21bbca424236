//! The control message that tells to which of our addresses a datagram was sent, and that, sent back, makes
//! the reply leave from there: IP_PKTINFO (ip(7)) and IPV6_PKTINFO (RFC 3542 §6).
//!
//! Only [`crate::Batch`] uses it, and only for wildcard sockets. The message is received into the very place
//! from which it is sent; only the interface in it is erased, because the way back is the routing table's
//! choice: at an anycast node, replies rarely leave by the interface on which the query came.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest of the data: `struct in6_pktinfo`, an address and an interface index.
const MAX_DATA_OCTETS: usize = 20;

/// `struct in_pktinfo`: interface index, our address for replies, the address in the packet's header.
const V4_DATA_OCTETS: usize = 12;

/// Control messages are aligned to words: where the data start, and where a next message would.
const fn aligned(octets: usize) -> usize {
    octets.next_multiple_of(size_of::<usize>())
}

const DATA: usize = aligned(size_of::<libc::cmsghdr>());
const OCTETS: usize = DATA + aligned(MAX_DATA_OCTETS);

/// Room for one control message.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; OCTETS]);

impl Default for Control {
    fn default() -> Self {
        Self([0; OCTETS])
    }
}

impl Control {
    /// The room for one message, in octets.
    pub(crate) const OCTETS: usize = OCTETS;

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Makes the received message, of which the kernel wrote `octets`, fit to be sent. Returns the octets to
    /// send: 0 if it is not the packet information that was asked for.
    pub(crate) fn keep_for_reply(&mut self, octets: usize) -> usize {
        match self.kind(octets) {
            Some(Kind::V4) => {
                self.0[DATA..DATA + 4].fill(0);
                DATA + aligned(V4_DATA_OCTETS)
            }
            Some(Kind::V6) => {
                // A link-local source address means nothing without its interface.
                let link_local = self.v6().is_unicast_link_local();
                if !link_local {
                    self.0[DATA + 16..DATA + MAX_DATA_OCTETS].fill(0);
                }
                OCTETS
            }
            None => 0,
        }
    }

    /// The address of ours from which the reply will leave.
    pub(crate) fn destination(&self) -> Option<IpAddr> {
        match self.kind(OCTETS)? {
            Kind::V4 => {
                let address: [u8; 4] = self.0[DATA + 4..DATA + 8].try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(address)))
            }
            Kind::V6 => Some(IpAddr::V6(self.v6())),
        }
    }

    fn v6(&self) -> Ipv6Addr {
        let mut address = [0; 16];
        address.copy_from_slice(&self.0[DATA..DATA + 16]);
        Ipv6Addr::from(address)
    }

    fn kind(&self, octets: usize) -> Option<Kind> {
        let level = self.int_at(offset_of!(libc::cmsghdr, cmsg_level));
        let kind = self.int_at(offset_of!(libc::cmsghdr, cmsg_type));
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if octets >= DATA + V4_DATA_OCTETS => Some(Kind::V4),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if octets >= DATA + MAX_DATA_OCTETS => Some(Kind::V6),
            _ => None,
        }
    }

    fn int_at(&self, offset: usize) -> i32 {
        let mut octets = [0; 4];
        octets.copy_from_slice(&self.0[offset..offset + 4]);
        i32::from_ne_bytes(octets)
    }
}

enum Kind {
    V4,
    V6,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel writes it.
    fn message(level: i32, kind: i32, data: &[u8]) -> Control {
        let mut control = Control::default();
        let length = DATA + data.len();
        control.0[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
        for (offset, value) in
            [(offset_of!(libc::cmsghdr, cmsg_level), level), (offset_of!(libc::cmsghdr, cmsg_type), kind)]
        {
            control.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        control.0[DATA..length].copy_from_slice(data);
        control
    }

    fn v6(address: &str, interface: u32) -> Control {
        let address: Ipv6Addr = address.parse().unwrap();
        let data = [&address.octets()[..], &interface.to_ne_bytes()].concat();
        message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data)
    }

    #[test]
    fn the_interface_of_the_query_does_not_bind_the_reply() {
        let data = [&7_u32.to_ne_bytes()[..], &[192, 0, 2, 53], &[192, 0, 2, 53]].concat();
        let mut control = message(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
        assert_eq!(control.keep_for_reply(DATA + 16), DATA + 16);
        assert_eq!(control.0[DATA..DATA + 8], [0, 0, 0, 0, 192, 0, 2, 53]);
        assert_eq!(control.destination(), Some(IpAddr::from([192, 0, 2, 53])));

        let mut control = v6("2001:db8::53", 7);
        assert_eq!(control.keep_for_reply(OCTETS), OCTETS);
        assert_eq!(control.0[DATA + 16..DATA + 20], [0; 4]);
        assert_eq!(control.destination(), Some("2001:db8::53".parse().unwrap()));
    }

    #[test]
    fn a_link_local_address_keeps_its_interface() {
        let mut control = v6("fe80::53", 7);
        assert_eq!(control.keep_for_reply(OCTETS), OCTETS);
        assert_eq!(control.0[DATA + 16..DATA + 20], 7_u32.to_ne_bytes());
    }

    #[test]
    fn a_message_of_another_kind_or_cut_short_is_not_sent_back() {
        assert_eq!(message(libc::SOL_SOCKET, libc::SO_TIMESTAMP, &[0; 16]).keep_for_reply(OCTETS), 0);
        assert_eq!(v6("2001:db8::53", 7).keep_for_reply(DATA + 12), 0);
        assert_eq!(Control::default().keep_for_reply(OCTETS), 0);
    }
}
