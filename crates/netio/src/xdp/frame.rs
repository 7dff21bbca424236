//! Ethernet, IPv4, IPv6 and UDP as far as an answer to a datagram needs them. Pure: octets in, octets out.
//!
//! [`parse`] looks at a frame that the XDP program let through. It trusts neither that program nor the sender: every
//! length is checked against what is there, and a source that nobody may have gets no answer. Checksums are not
//! verified: frames of a virtual interface's peer carry partial ones, and a network card has looked before. A query
//! that was damaged on its way gets an answer that nobody asked for, as from a server that is sent a wrong query.
//!
//! [`write`] puts the headers of the reply in front of it, so that it goes back where the query came from: addresses
//! and ports change places, on the link as well. Checksums are computed in full. The reply is a datagram without
//! options, of hop limit 64, as the kernel's sockets send it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Where the payload of a reply begins in its frame: behind the longest headers (62 octets), at a cache line.
pub(super) const PAYLOAD: usize = 64;

const ETHERNET_OCTETS: usize = 14;
const IPV4_OCTETS: usize = 20;
const IPV6_OCTETS: usize = 40;
const UDP_OCTETS: usize = 8;
/// The value that hosts start with (RFC 1700, and the kernel's default).
const HOP_LIMIT: u8 = 64;
const UDP: u8 = 17;

/// A datagram found in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) source: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination: IpAddr,
    /// Where the payload stands in the frame.
    start: u16,
    end: u16,
}

impl Default for Datagram {
    fn default() -> Self {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { source: nobody, source_port: 0, destination: nobody, start: 0, end: 0 }
    }
}

impl Datagram {
    /// Where the payload stands in the frame.
    pub(super) fn payload(&self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// Octets of all headers of a reply.
    pub(super) fn headers(source: IpAddr) -> usize {
        let ip = if source.is_ipv4() { IPV4_OCTETS } else { IPV6_OCTETS };
        ETHERNET_OCTETS + ip + UDP_OCTETS
    }
}

/// Why a frame is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not a whole UDP datagram in a plain IPv4 or IPv6 packet.
    Malformed,
    /// The source is an address or a port that no host has, or that stands for many.
    Source,
}

/// Finds the datagram in a frame.
#[inline]
pub(super) fn parse(frame: &[u8]) -> Result<Datagram, Refusal> {
    let (ethernet, packet) = frame.split_first_chunk::<ETHERNET_OCTETS>().ok_or(Refusal::Malformed)?;
    // A sender is one host: the group bit stands for many (IEEE 802.3 §3.2.3).
    if ethernet[6] & 1 != 0 {
        return Err(Refusal::Source);
    }
    let found = match [ethernet[12], ethernet[13]] {
        [0x08, 0x00] => parse_ipv4(packet),
        [0x86, 0xdd] => parse_ipv6(packet),
        _ => Err(Refusal::Malformed),
    }?;
    if found.source_port == 0 || found.source == found.destination {
        return Err(Refusal::Source);
    }
    Ok(found)
}

#[inline]
fn parse_ipv4(packet: &[u8]) -> Result<Datagram, Refusal> {
    let (ip, rest) = packet.split_first_chunk::<IPV4_OCTETS>().ok_or(Refusal::Malformed)?;
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
    if ip[0] != 0x45 || fragment != 0 || ip[9] != UDP {
        return Err(Refusal::Malformed);
    }
    // Ethernet fills short packets up; what counts is what the packet says, as far as it is there.
    let octets = usize::from(u16::from_be_bytes([ip[2], ip[3]])).checked_sub(IPV4_OCTETS);
    let datagram = octets.and_then(|octets| rest.get(..octets)).ok_or(Refusal::Malformed)?;
    let source = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
    // RFC 1122 §3.2.1.3: none of these is the source of a packet from elsewhere; 240.0.0.0/4 holds the broadcast.
    if source.octets()[0] == 0 || source.is_loopback() || source.octets()[0] >= 224 {
        return Err(Refusal::Source);
    }
    let destination = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    parse_udp(datagram, ETHERNET_OCTETS + IPV4_OCTETS, source.into(), destination.into())
}

#[inline]
fn parse_ipv6(packet: &[u8]) -> Result<Datagram, Refusal> {
    let (ip, rest) = packet.split_first_chunk::<IPV6_OCTETS>().ok_or(Refusal::Malformed)?;
    if ip[0] >> 4 != 6 || ip[6] != UDP {
        return Err(Refusal::Malformed);
    }
    let octets = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    let datagram = rest.get(..octets).ok_or(Refusal::Malformed)?;
    let address = |at: usize| {
        let octets = ip.get(at..at + 16).and_then(|octets| octets.first_chunk::<16>());
        Ipv6Addr::from(*octets.expect("40 octets hold two addresses behind the first 8"))
    };
    let (source, destination) = (address(8), address(24));
    // RFC 4291 §2.5.2, §2.5.3, §2.7
    if source.is_unspecified() || source.is_loopback() || source.is_multicast() {
        return Err(Refusal::Source);
    }
    parse_udp(datagram, ETHERNET_OCTETS + IPV6_OCTETS, source.into(), destination.into())
}

#[inline]
fn parse_udp(datagram: &[u8], at: usize, source: IpAddr, destination: IpAddr) -> Result<Datagram, Refusal> {
    let udp = datagram.first_chunk::<UDP_OCTETS>().ok_or(Refusal::Malformed)?;
    let octets = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    if octets < UDP_OCTETS || octets > datagram.len() {
        return Err(Refusal::Malformed);
    }
    let place = |place: usize| u16::try_from(place).map_err(|_| Refusal::Malformed);
    Ok(Datagram {
        source,
        source_port: u16::from_be_bytes([udp[0], udp[1]]),
        destination,
        start: place(at + UDP_OCTETS)?,
        end: place(at + octets)?,
    })
}

/// Writes the headers of a reply of `octets`, which stand at [`PAYLOAD`] in `reply`, to the datagram in `query`. Says
/// which part of `reply` is the frame to send; an empty one when anything does not fit. `identification` tells the
/// fragments of different replies apart, should a router make any.
#[inline]
pub(super) fn write(
    query: &[u8],
    datagram: &Datagram,
    reply: &mut [u8],
    octets: usize,
    identification: u16,
) -> Range<usize> {
    let headers = Datagram::headers(datagram.source);
    let (start, end) = (PAYLOAD - headers, PAYLOAD + octets);
    let written = match (query.get(..headers), reply.get_mut(start..end)) {
        (Some(query), Some(reply)) if datagram.source.is_ipv4() => write_ipv4(query, reply, identification),
        (Some(query), Some(reply)) => write_ipv6(query, reply),
        _ => None,
    };
    written.map_or(0..0, |()| start..end)
}

fn write_ipv4(query: &[u8], reply: &mut [u8], identification: u16) -> Option<()> {
    const AT: usize = ETHERNET_OCTETS;
    const UDP_AT: usize = AT + IPV4_OCTETS;
    let asked: &[u8; UDP_AT + UDP_OCTETS] = query.first_chunk()?;
    let octets = u16::try_from(reply.len() - AT).ok()?;
    let head: &mut [u8; UDP_AT + UDP_OCTETS] = reply.first_chunk_mut()?;
    let udp_octets = octets - IPV4_OCTETS as u16;
    turn_around(asked, head);
    let ip = &mut head[AT..UDP_AT];
    ip[..12].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, HOP_LIMIT, UDP, 0, 0]);
    ip[2..4].copy_from_slice(&octets.to_be_bytes());
    ip[4..6].copy_from_slice(&identification.to_be_bytes());
    ip[12..16].copy_from_slice(&asked[30..34]);
    ip[16..20].copy_from_slice(&asked[26..30]);
    let header_sum = checksum(sum(ip));
    ip[10..12].copy_from_slice(&header_sum);
    write_udp(&asked[UDP_AT..], &mut head[UDP_AT..], udp_octets);
    // The addresses stand right before the datagram: the pseudo-header (RFC 768) but for two numbers.
    let udp_sum = never_zero(checksum(sum(&reply[AT + 12..]) + pseudo(udp_octets)));
    reply.get_mut(UDP_AT + 6..UDP_AT + 8)?.copy_from_slice(&udp_sum);
    Some(())
}

fn write_ipv6(query: &[u8], reply: &mut [u8]) -> Option<()> {
    const AT: usize = ETHERNET_OCTETS;
    const UDP_AT: usize = AT + IPV6_OCTETS;
    let asked: &[u8; UDP_AT + UDP_OCTETS] = query.first_chunk()?;
    let udp_octets = u16::try_from(reply.len() - UDP_AT).ok()?;
    let head: &mut [u8; UDP_AT + UDP_OCTETS] = reply.first_chunk_mut()?;
    turn_around(asked, head);
    let ip = &mut head[AT..UDP_AT];
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, UDP, HOP_LIMIT]);
    ip[4..6].copy_from_slice(&udp_octets.to_be_bytes());
    ip[8..24].copy_from_slice(&asked[38..54]);
    ip[24..40].copy_from_slice(&asked[22..38]);
    write_udp(&asked[UDP_AT..], &mut head[UDP_AT..], udp_octets);
    // RFC 8200 §8.1
    let udp_sum = never_zero(checksum(sum(&reply[AT + 8..]) + pseudo(udp_octets)));
    reply.get_mut(UDP_AT + 6..UDP_AT + 8)?.copy_from_slice(&udp_sum);
    Some(())
}

/// The Ethernet header: back to the sender.
fn turn_around<const N: usize>(query: &[u8; N], reply: &mut [u8; N]) {
    reply[..6].copy_from_slice(&query[6..12]);
    reply[6..12].copy_from_slice(&query[..6]);
    reply[12..14].copy_from_slice(&query[12..14]);
}

fn write_udp(query: &[u8], reply: &mut [u8], octets: u16) {
    reply[..2].copy_from_slice(&query[2..4]);
    reply[2..4].copy_from_slice(&query[..2]);
    reply[4..6].copy_from_slice(&octets.to_be_bytes());
    reply[6..8].fill(0);
}

/// What the pseudo-header adds to the addresses: protocol and length.
fn pseudo(udp_octets: u16) -> u64 {
    u64::from(u16::from(UDP).to_be()) + u64::from(udp_octets.to_be())
}

/// The sum of 16-bit words of RFC 1071, four octets at a time, in the machine's order of octets (§2 (B)).
#[inline]
fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word)));
    words.sum::<u64>() + u64::from(u32::from_ne_bytes(last))
}

/// The complement of a sum, folded to 16 bits, as octets.
#[inline]
fn checksum(sum: u64) -> [u8; 2] {
    // At most 2^14 words of 32 bits and a little more: 47 bits, which two folds bring into 17, and a third into 16.
    let fold = |sum: u64| (sum & 0xffff) + (sum >> 16);
    let folded = fold(fold(fold(sum & 0xffff_ffff) + fold(sum >> 32)));
    (!(fold(folded) as u16)).to_ne_bytes()
}

/// Zero stands for no checksum (RFC 768), so a sum of zero is sent as its other form.
fn never_zero(sum: [u8; 2]) -> [u8; 2] {
    if sum == [0, 0] { [0xff, 0xff] } else { sum }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
