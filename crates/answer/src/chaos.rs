//! Questions about the server itself, in class CH (RFC 4892).
//!
//! `id.server` and `hostname.bind` tell the node's identity, the same as NSID; versions are not told.

use pharos_wire::{Query, Rcode, Rtype};

use crate::context::Context;
use crate::reply::Reply;
use crate::verdict::Kind;

const ID_SERVER: &[u8] = b"\x02id\x06server\0";
const HOSTNAME_BIND: &[u8] = b"\x08hostname\x04bind\0";

/// Answers a query in class CH.
pub(crate) fn chaos(query: &Query, context: &Context, reply: &mut Reply<'_, '_>) -> (Rcode, Kind) {
    let known = [ID_SERVER, HOSTNAME_BIND].contains(&query.qname.as_wire());
    if !known || context.identity().is_empty() {
        return (Rcode::REFUSED, Kind::Error);
    }
    reply.authoritative();
    if matches!(query.qtype, Rtype::TXT | Rtype::ANY) {
        reply.chaos_text(context.identity());
        (Rcode::NOERROR, Kind::Chaos)
    } else {
        (Rcode::NOERROR, Kind::NoData)
    }
}
