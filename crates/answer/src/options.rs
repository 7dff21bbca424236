//! The options of a reply's OPT record, in the order in which they are written and have a claim to room:
//!
//! | option | sent when |
//! |---|---|
//! | COOKIE (RFC 7873 §5.2) | the client sent one, and cookies are served |
//! | TCP keepalive (RFC 7828 §3.3.2) | asked for, over TCP |
//! | NSID (RFC 5001 §2.2) | asked for, and the node has an identity |
//! | ZONEVERSION (RFC 9660 §3.2) | asked for, and a zone with data answers |
//! | extended error (RFC 8914 §3) | SERVFAIL, NOTIMP or REFUSED |
//! | Report-Channel (RFC 9567 §6.2) | set, and a zone answers that does not hold the agent itself |
//!
//! A cookie must stand in the reply, or the client throws the reply away (RFC 7873 §5.3); its room is kept from the
//! start. What else the client asked for has its room before addresses that only help, and gives it to whatever the
//! client needs; the rest takes what is left. So no option but the cookie is a reason for TC.
//!
//! All this is out of the way of a query that asks for nothing of it.

use std::net::IpAddr;

use pharos_wire::edns::{
    Asked, COOKIE, COOKIE_OCTETS, EXTENDED_ERROR, Edns, NSID, REPORT_CHANNEL, TCP_KEEPALIVE, ZONEVERSION,
};
use pharos_wire::name::{Labels, is_within};
use pharos_wire::{Name, Rcode, Writer};
use pharos_zonedb::ZoneState;

use crate::context::{Context, Transport};
use crate::cookie::Judged;

/// Octets before an option's data: code and length.
const HEAD_OCTETS: usize = 4;
/// LABELCOUNT, type SOA-SERIAL and the serial (RFC 9660 §2.1, §4).
const ZONEVERSION_OCTETS: usize = 6;
/// The type of version that is a serial (RFC 9660 §4).
const SOA_SERIAL: u8 = 0;

/// What an error says beyond its response code (RFC 8914 §4). No text goes with it: the reply stays small, and the
/// node's log says more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InfoCode {
    /// The zone is configured and was never loaded (§4.15).
    NotReady = 14,
    /// Not for anybody: transfers (§4.19).
    Prohibited = 18,
    /// No zone here has the name, or the class (§4.21).
    NotAuthoritative = 20,
    /// The opcode or the type is not implemented (§4.22).
    NotSupported = 21,
}

/// What a query's cookie is worth.
pub(crate) fn cookie(edns: Edns, context: &Context, client: IpAddr, message: &[u8]) -> Judged {
    match context.cookies() {
        Some(cookies) => cookies.judge(edns.cookie(message), client, context.unix_seconds()),
        None => Judged::None,
    }
}

/// Octets that the cookie's option takes.
pub(crate) fn octets_of(cookie: &Judged) -> usize {
    cookie.given().map_or(0, |_| HEAD_OCTETS + COOKIE_OCTETS)
}

/// Octets of the other options that the client asked for.
pub(crate) fn octets_asked_for(edns: Edns, context: &Context) -> usize {
    let wishes = [
        keepalive(edns, context).map(|data| data.len()),
        nsid(edns, context).map(<[u8]>::len),
        edns.asked.has(Asked::ZONEVERSION).then_some(ZONEVERSION_OCTETS),
    ];
    wishes.into_iter().flatten().map(|octets| HEAD_OCTETS + octets).sum()
}

/// What a reply says of itself, as far as that depends on the zone and the answer.
#[derive(Default)]
pub(crate) struct Extras<'c> {
    error: Option<InfoCode>,
    version: Option<[u8; ZONEVERSION_OCTETS]>,
    agent: Option<&'c Name>,
}

impl<'c> Extras<'c> {
    /// What there is to say with this code, if that zone encloses the name asked for.
    pub(crate) fn of(
        rcode: Rcode,
        zone: Option<(&[u8], &ZoneState)>,
        context: &'c Context,
        asked: Asked,
    ) -> Self {
        let error = match (rcode, zone) {
            (Rcode::SERVFAIL, _) => Some(InfoCode::NotReady),
            (Rcode::NOTIMP, _) => Some(InfoCode::NotSupported),
            (Rcode::REFUSED, None) => Some(InfoCode::NotAuthoritative),
            (Rcode::REFUSED, Some(_)) => Some(InfoCode::Prohibited),
            // Of the others the code says all.
            _ => None,
        };
        let Some((apex, state)) = zone else { return Self { error, ..Self::default() } };
        if matches!(rcode, Rcode::FORMERR | Rcode::BADVERS | Rcode::BADCOOKIE) {
            return Self { error, ..Self::default() };
        }
        let version = match state {
            // RFC 9660 §3.2: of the zone that encloses the qname, also with referrals, denials and errors.
            ZoneState::Live(image) if asked.has(Asked::ZONEVERSION) => {
                let [s0, s1, s2, s3] = image.serial().to_be_bytes();
                Some([Labels::new(apex).count() as u8, SOA_SERIAL, s0, s1, s2, s3])
            }
            _ => None,
        };
        // RFC 9567 §8.1: whom errors are told must not depend on the zone that has them.
        let agent = context.report_agent().filter(|agent| !is_within(agent.as_wire(), apex));
        Self { error, version, agent }
    }
}

/// Writes the options as far as there is room. They begin where the writer stands, behind their length.
pub(crate) fn write(
    writer: &mut Writer<'_>,
    edns: Edns,
    context: &Context,
    cookie: &Judged,
    extras: &Extras<'_>,
) {
    let start = writer.len();
    let keepalive = keepalive(edns, context);
    let error = extras.error.map(|code| (code as u16).to_be_bytes());
    let options = [
        (COOKIE, cookie.given().map(<[u8; _]>::as_slice)),
        (TCP_KEEPALIVE, keepalive.as_ref().map(<[u8; _]>::as_slice)),
        (NSID, nsid(edns, context)),
        (ZONEVERSION, extras.version.as_ref().map(<[u8; _]>::as_slice)),
        (EXTENDED_ERROR, error.as_ref().map(<[u8; _]>::as_slice)),
        (REPORT_CHANNEL, extras.agent.map(Name::as_wire)),
    ];
    for (code, data) in options {
        let Some(data) = data.filter(|data| writer.fits(HEAD_OCTETS + data.len())) else { continue };
        writer.put_u16(code);
        writer.put_u16(data.len() as u16);
        writer.put(data);
    }
    writer.set_u16(start - 2, (writer.len() - start) as u16);
}

/// How long the connection may be idle, for whom it interests; never over UDP (RFC 7828 §3.2.1).
fn keepalive(edns: Edns, context: &Context) -> Option<[u8; 2]> {
    let asked = edns.asked.has(Asked::KEEPALIVE) && context.transport() == Transport::Tcp;
    asked.then(|| context.keepalive_units().to_be_bytes())
}

/// Who answers, for whom it interests.
fn nsid(edns: Edns, context: &Context) -> Option<&[u8]> {
    Some(context.identity()).filter(|identity| edns.asked.has(Asked::NSID) && !identity.is_empty())
}
