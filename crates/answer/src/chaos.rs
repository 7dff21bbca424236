//! Questions about the server itself, in class CH.
//!
//! | Name | Type TXT tells | To whom |
//! |---|---|---|
//! | `id.server`, `hostname.bind` | the node's identity, the same as NSID (RFC 4892 §2) | everybody, if there is one |
//! | `version.server`, `version.bind` | name and version of this software | everybody, if the context has it |
//! | `digest.pharos` | the digest of the live data, in hexadecimal | operators |
//!
//! Everything else is refused. Nodes with equal digests give equal answers, and so the digest shows by one query
//! whether a push has arrived everywhere; strangers have no business with it.

use pharos_wire::{Query, Rcode, Rtype};
use pharos_zonedb::ZoneSet;

use crate::context::{Audience, Context};
use crate::reply::Reply;
use crate::verdict::Kind;

const ID_SERVER: &[u8] = b"\x02id\x06server\0";
const HOSTNAME_BIND: &[u8] = b"\x08hostname\x04bind\0";
const VERSION_SERVER: &[u8] = b"\x07version\x06server\0";
const VERSION_BIND: &[u8] = b"\x07version\x04bind\0";
const DIGEST_PHAROS: &[u8] = b"\x06digest\x06pharos\0";

/// Answers a query in class CH.
pub(crate) fn chaos(
    query: &Query,
    zones: &ZoneSet,
    context: &Context,
    reply: &mut Reply<'_, '_>,
) -> (Rcode, Kind) {
    let text = match query.qname.as_wire() {
        ID_SERVER | HOSTNAME_BIND => context.identity(),
        VERSION_SERVER | VERSION_BIND => context.version(),
        DIGEST_PHAROS => return tell_digest(query, zones, context, reply),
        _ => &[],
    };
    tell(query, text, reply)
}

/// The digest's hexadecimal form is made only for those who ask.
#[cold]
fn tell_digest(
    query: &Query,
    zones: &ZoneSet,
    context: &Context,
    reply: &mut Reply<'_, '_>,
) -> (Rcode, Kind) {
    let digest = zones.digest().filter(|_| context.audience() == Audience::Operators);
    let digit = |value: u8| char::from_digit(value.into(), 16).map_or(b'0', |digit| digit as u8);
    let mut text = [0; 64];
    for (pair, octet) in text.chunks_exact_mut(2).zip(digest.into_iter().flatten()) {
        pair.copy_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
    }
    tell(query, digest.map_or(&[], |_| &text), reply)
}

fn tell(query: &Query, text: &[u8], reply: &mut Reply<'_, '_>) -> (Rcode, Kind) {
    if text.is_empty() {
        return (Rcode::REFUSED, Kind::Error);
    }
    reply.authoritative();
    if matches!(query.qtype, Rtype::TXT | Rtype::ANY) {
        reply.chaos_text(text);
        (Rcode::NOERROR, Kind::Chaos)
    } else {
        (Rcode::NOERROR, Kind::NoData)
    }
}
