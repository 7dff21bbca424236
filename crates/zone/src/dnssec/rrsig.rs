//! The parts of an RRSIG record (RFC 4034 §3.1).

use pharos_wire::{Rtype, name};

/// Octets before the signer's name.
const FIXED: usize = 18;

/// One RRSIG, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rrsig<'a> {
    /// The type that it covers.
    pub(crate) covered: Rtype,
    pub(crate) algorithm: u8,
    /// Labels of the owner without root and asterisk (RFC 4034 §3.1.3).
    pub(crate) labels: u8,
    pub(crate) original_ttl: u32,
    /// Seconds since 1970, modulo 2^32 (RFC 4034 §3.1.5).
    pub(crate) expiration: u32,
    pub(crate) inception: u32,
    pub(crate) key_tag: u16,
    /// Whose key made it, in wire form.
    pub(crate) signer: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// Everything before the signer's name, as it is signed.
    pub(crate) head: &'a [u8],
}

impl<'a> Rrsig<'a> {
    /// `None` for rdata that are cut short, which the scanner lets nowhere.
    pub(crate) fn parse(rdata: &'a [u8]) -> Option<Self> {
        let (head, rest) = rdata.split_at_checked(FIXED)?;
        let (signer, signature) = rest.split_at_checked(name::measure(rest).ok()?)?;
        let number = |at: usize| head.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets));
        let short = |at: usize| head.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets));
        Some(Self {
            covered: Rtype(short(0)?),
            algorithm: head[2],
            labels: head[3],
            original_ttl: number(4)?,
            expiration: number(8)?,
            inception: number(12)?,
            key_tag: short(16)?,
            signer,
            signature,
            head,
        })
    }
}
