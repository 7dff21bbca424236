//! Reading the bodies of OPEN, NOTIFICATION and ROUTE-REFRESH. UPDATE, which is longer, is read in [`update`].
//!
//! Nothing here indexes: octets are taken from the front of a slice or are not there.

pub(crate) mod update;

use std::net::Ipv4Addr;

use super::Refusal;
use crate::bgp::{AS_TRANS, Notification, Peering, notification};
use crate::{Families, Family};

/// What the neighbour says in its OPEN; read, not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The AS number: the capability's if there is one, else the fixed field's.
    pub(crate) asn: u32,
    /// Seconds.
    pub(crate) hold_time: u16,
    pub(crate) router_id: Ipv4Addr,
    /// The families offered; IPv4 unicast for a speaker that knows no other (RFC 4760 §8).
    pub(crate) families: Families,
    pub(crate) four_octet_as: Offered,
    pub(crate) route_refresh: Offered,
    /// RFC 7313.
    pub(crate) enhanced_refresh: Offered,
    /// IPv6 next hops for IPv4 unicast, RFC 8950.
    pub(crate) extended_next_hop: Offered,
    /// RFC 9234.
    pub(crate) role: Role,
}

/// What the neighbour says of its role, RFC 9234 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    #[default]
    Unsaid,
    Is(Peering),
    /// A value that the RFC does not have.
    Unknown(u8),
    /// Two that differ.
    Several,
}

/// Whether a capability was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    Yes,
    No,
}

/// Reads OPEN, RFC 4271 §4.2 and §6.2.
pub(crate) fn open(body: &[u8]) -> Result<Open, Refusal> {
    let mut rest = body;
    let fixed = (|| {
        let [version] = take(&mut rest)?;
        Some((version, take::<2>(&mut rest)?, take::<2>(&mut rest)?, take::<4>(&mut rest)?))
    })();
    let Some((version, asn, hold_time, router_id)) = fixed else { return Err(unspecific("it is cut short")) };
    // RFC 4271 §6.2: the data name the version that we do speak.
    if version != 4 {
        let detail = format!("the neighbour speaks BGP version {version}, not 4");
        return Err(Refusal::new(notification::OPEN, 1, [0, 4], detail));
    }
    let mut open = Open {
        asn: u32::from(u16::from_be_bytes(asn)),
        hold_time: u16::from_be_bytes(hold_time),
        router_id: Ipv4Addr::from(router_id),
        families: Families::NONE,
        four_octet_as: Offered::No,
        route_refresh: Offered::No,
        enhanced_refresh: Offered::No,
        extended_next_hop: Offered::No,
        role: Role::Unsaid,
    };
    let mut offers = Offers::default();
    let (mut parameters, width) = parameters(rest)?;
    while !parameters.is_empty() {
        let parameter = (|| Some((take::<1>(&mut parameters)?, taken_by_length(&mut parameters, width)?)))();
        match parameter {
            None => return Err(unspecific("an optional parameter is cut short")),
            Some(([2], value)) => capabilities(value, &mut offers)?,
            Some(([kind], _)) => {
                let detail =
                    format!("the neighbour asks for optional parameter {kind}, which is not spoken here");
                return Err(Refusal::new(notification::OPEN, 4, [kind], detail));
            }
        }
    }
    if let Some(asn) = offers.asn {
        open.asn = asn;
        open.four_octet_as = Offered::Yes;
    }
    open.route_refresh = offers.route_refresh.unwrap_or(Offered::No);
    open.enhanced_refresh = offers.enhanced_refresh.unwrap_or(Offered::No);
    open.extended_next_hop = offers.extended_next_hop.unwrap_or(Offered::No);
    open.role = offers.role;
    open.families = offers.families.unwrap_or(Families::IPV4);
    Ok(open)
}

#[derive(Debug, Default)]
struct Offers {
    families: Option<Families>,
    asn: Option<u32>,
    route_refresh: Option<Offered>,
    enhanced_refresh: Option<Offered>,
    extended_next_hop: Option<Offered>,
    role: Role,
}

/// The width of a length field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    One,
    Two,
}

/// The optional parameters, and how wide their lengths are: two octets in the extended form of RFC 9072 §2.
fn parameters(mut rest: &[u8]) -> Result<(&[u8], Width), Refusal> {
    let wrong = || unspecific("the length of the optional parameters does not fit the message");
    let extended = matches!(rest, [255, 255, ..]);
    if extended {
        let _marker = take::<2>(&mut rest);
    }
    let width = if extended { Width::Two } else { Width::One };
    let value = taken_by_length(&mut rest, width).ok_or_else(wrong)?;
    if rest.is_empty() { Ok((value, width)) } else { Err(wrong()) }
}

/// Capabilities, RFC 5492 §4. Those that we do not know are skipped, as §3 asks.
fn capabilities(mut rest: &[u8], offers: &mut Offers) -> Result<(), Refusal> {
    while !rest.is_empty() {
        let capability = (|| Some((take::<1>(&mut rest)?, taken_by_length(&mut rest, Width::One)?)))();
        match capability {
            None => return Err(unspecific("a capability is cut short")),
            Some(([1], &[a, b, _, safi])) => {
                let families = offers.families.get_or_insert_default();
                if let Some(family) = family(u16::from_be_bytes([a, b]), safi) {
                    *families = families.with(family);
                }
            }
            Some(([2], _)) => offers.route_refresh = Some(Offered::Yes),
            Some(([70], _)) => offers.enhanced_refresh = Some(Offered::Yes),
            Some(([5], value)) if value.len().is_multiple_of(6) => {
                // RFC 8950 §4: AFI, SAFI and next hop AFI, two octets each. IPv4 unicast over IPv6 is all that we use.
                if value.chunks_exact(6).any(|triple| triple == [0, 1, 0, 1, 0, 2]) {
                    offers.extended_next_hop = Some(Offered::Yes);
                }
            }
            Some(([9], &[octet])) => offers.role = offers.role.and(octet),
            Some(([65], &[a, b, c, d])) => offers.asn = Some(u32::from_be_bytes([a, b, c, d])),
            Some(([code @ (1 | 65)], value)) => {
                return Err(unspecific(&format!("capability {code} is {} octets long, not 4", value.len())));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

impl Role {
    /// This and one capability more: repetitions must agree, RFC 9234 §4.2.
    fn and(self, octet: u8) -> Self {
        let said = Peering::from_octet(octet).map_or(Self::Unknown(octet), Self::Is);
        if self == Self::Unsaid || self == said { said } else { Self::Several }
    }
}

/// Judges an OPEN's AS number, for RFC 6793 and RFC 7607.
pub(crate) fn judge_as(open: &Open, expected: u32) -> Result<(), Refusal> {
    if open.asn == expected {
        return Ok(());
    }
    let detail = match (open.asn, open.four_octet_as) {
        (0, _) => "the neighbour says that it is AS 0, which is reserved (RFC 7607)".to_owned(),
        (AS_TRANS, Offered::No) => {
            format!(
                "the neighbour says AS {AS_TRANS} without its four-octet number; AS {expected} is expected"
            )
        }
        (asn, _) => format!("the neighbour says that it is AS {asn}; AS {expected} is expected"),
    };
    Err(Refusal::new(notification::OPEN, 2, [], detail))
}

/// Reads NOTIFICATION, RFC 4271 §4.5; the header's check has seen to the first two octets.
pub(crate) fn notification(body: &[u8]) -> Notification {
    match body {
        [code, subcode, data @ ..] => Notification::new(*code, *subcode, data),
        _ => Notification::new(0, 0, body),
    }
}

/// What a ROUTE-REFRESH comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The neighbour wants all routes of a family again.
    Wanted(Family),
    /// A mark around what the neighbour repeats, RFC 7313 §4: its routes are none of our business.
    Mark,
    /// It asks for nothing that we have.
    Pointless(String),
}

/// Reads ROUTE-REFRESH, RFC 2918 §3 and RFC 7313 §5, which gives the marks' length an error of its own.
pub(crate) fn route_refresh(body: &[u8], enhanced: Offered) -> Result<Refresh, Refusal> {
    let &[a, b, subtype, safi] = body else {
        let len = super::HEADER_LEN + body.len();
        let detail = format!("ROUTE-REFRESH cannot be {len} octets long");
        let mark = matches!(body, [_, _, 1 | 2, ..]);
        return Err(match enhanced {
            Offered::Yes if mark => {
                let whole = super::write::frame(super::Kind::RouteRefresh, body);
                Refusal::new(notification::REFRESH, 1, whole, detail)
            }
            _ => {
                let len = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
                Refusal::new(notification::HEADER, 2, len, detail)
            }
        });
    };
    let afi = u16::from_be_bytes([a, b]);
    Ok(match subtype {
        0 => match family(afi, safi) {
            Some(family) => Refresh::Wanted(family),
            None => Refresh::Pointless(format!("ROUTE-REFRESH for AFI {afi} SAFI {safi}")),
        },
        1 | 2 if enhanced == Offered::Yes => Refresh::Mark,
        // RFC 7313 §5: what is not known is ignored.
        _ => Refresh::Pointless(format!("ROUTE-REFRESH of subtype {subtype}")),
    })
}

fn family(afi: u16, safi: u8) -> Option<Family> {
    match (afi, safi) {
        (1, 1) => Some(Family::Ipv4),
        (2, 1) => Some(Family::Ipv6),
        _ => None,
    }
}

/// RFC 4271 §6.2: a recognized but malformed part of OPEN gets subcode 0.
fn unspecific(detail: &str) -> Refusal {
    Refusal::new(notification::OPEN, 0, [], format!("the OPEN cannot be read: {detail}"))
}

/// The first `N` octets.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, remaining) = rest.split_first_chunk::<N>()?;
    *rest = remaining;
    Some(*first)
}

/// A length, and as many octets.
fn taken_by_length<'a>(rest: &mut &'a [u8], width: Width) -> Option<&'a [u8]> {
    let len = match width {
        Width::One => usize::from(take::<1>(rest)?[0]),
        Width::Two => usize::from(u16::from_be_bytes(take::<2>(rest)?)),
    };
    let (value, remaining) = rest.split_at_checked(len)?;
    *rest = remaining;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parameters: &[u8]) -> Vec<u8> {
        let mut body = vec![4, 0xfc, 0, 0, 9, 10, 0, 0, 2];
        body.push(u8::try_from(parameters.len()).unwrap());
        body.extend(parameters);
        body
    }

    #[test]
    fn an_open_without_capabilities_is_an_ipv4_speaker_of_two_octets() {
        let open = open(&body(&[])).unwrap();
        assert_eq!((open.asn, open.hold_time, open.router_id), (64512, 9, Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!((open.families, open.four_octet_as), (Families::IPV4, Offered::No));
        assert_eq!(open.route_refresh, Offered::No);
    }

    #[test]
    fn capabilities_count_wherever_they_stand_and_unknown_ones_are_skipped() {
        let parameters = [2, 9, 65, 4, 0, 1, 0, 0, 99, 1, 7, 2, 6, 1, 4, 0, 2, 0, 1, 2, 2, 2, 0];
        let open =
            open(&body(&[&parameters[..11], &[2, 6, 1, 4, 0, 2, 0, 1], &[2, 2, 2, 0]].concat())).unwrap();
        assert_eq!((open.asn, open.four_octet_as), (65536, Offered::Yes));
        assert_eq!((open.families, open.route_refresh), (Families::IPV6, Offered::Yes));
    }

    #[test]
    fn the_extended_form_of_rfc_9072_is_read() {
        let mut octets = vec![4, 0xfc, 0, 0, 9, 10, 0, 0, 2, 255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 1, 0, 0];
        assert_eq!(open(&octets).unwrap().asn, 65536);
        octets.push(0);
        assert_eq!(open(&octets).unwrap_err().notification.subcode, 0);
    }

    #[test]
    fn an_open_that_cannot_be_read_says_where() {
        let mut version = body(&[]);
        version[0] = 3;
        let cases: [(Vec<u8>, u8, &[u8], &str); 7] = [
            (version, 1, &[0, 4], "the neighbour speaks BGP version 3, not 4"),
            (vec![4, 0, 1], 0, &[], "the OPEN cannot be read: it is cut short"),
            (
                [body(&[]), vec![1]].concat(),
                0,
                &[],
                "the OPEN cannot be read: the length of the optional parameters does not fit the message",
            ),
            (body(&[2, 1]), 0, &[], "the OPEN cannot be read: an optional parameter is cut short"),
            (body(&[2, 1, 1]), 0, &[], "the OPEN cannot be read: a capability is cut short"),
            (
                body(&[2, 5, 65, 3, 0, 0, 1]),
                0,
                &[],
                "the OPEN cannot be read: capability 65 is 3 octets long, not 4",
            ),
            (body(&[1, 0]), 4, &[1], "the neighbour asks for optional parameter 1, which is not spoken here"),
        ];
        for (octets, subcode, data, detail) in cases {
            assert_eq!(open(&octets), Err(Refusal::new(2, subcode, data, detail)));
        }
    }

    #[test]
    fn a_route_refresh_names_a_family_or_is_described() {
        let pointless = |what: &str| Ok(Refresh::Pointless(what.to_owned()));
        assert_eq!(route_refresh(&[0, 2, 0, 1], Offered::No), Ok(Refresh::Wanted(Family::Ipv6)));
        assert_eq!(
            route_refresh(&[0, 1, 0, 128], Offered::No),
            pointless("ROUTE-REFRESH for AFI 1 SAFI 128")
        );
        assert_eq!(route_refresh(&[0, 1, 1, 1], Offered::No), pointless("ROUTE-REFRESH of subtype 1"));
        assert_eq!(route_refresh(&[0, 1, 2, 1], Offered::Yes), Ok(Refresh::Mark));
        assert_eq!(route_refresh(&[0, 1, 3, 1], Offered::Yes), pointless("ROUTE-REFRESH of subtype 3"));
    }

    #[test]
    fn a_route_refresh_of_a_wrong_length_is_refused_as_the_session_says() {
        for (body, enhanced, code, subcode) in [
            (&[0, 1, 1][..], Offered::Yes, 7, 1),
            (&[0, 1, 1], Offered::No, 1, 2),
            (&[0; 5], Offered::Yes, 1, 2),
        ] {
            let refused = route_refresh(body, enhanced).unwrap_err().notification;
            assert_eq!((refused.code, refused.subcode), (code, subcode));
        }
    }

    #[test]
    fn roles_marks_and_next_hops_are_read_from_their_capabilities() {
        let all = [2, 16, 70, 0, 9, 1, 3, 5, 12, 0, 1, 0, 2, 0, 2, 0, 1, 0, 1, 0, 2];
        let open_of = |parameters: &[u8]| open(&body(parameters)).unwrap();
        let read = open_of(&[&all[..1], &[19], &all[2..]].concat());
        assert_eq!((read.enhanced_refresh, read.extended_next_hop), (Offered::Yes, Offered::Yes));
        assert_eq!(read.role, Role::Is(Peering::Customer));
        assert_eq!(open_of(&[2, 6, 9, 1, 3, 9, 1, 3]).role, Role::Is(Peering::Customer));
        assert_eq!(open_of(&[2, 6, 9, 1, 3, 9, 1, 4]).role, Role::Several);
        assert_eq!(open_of(&[2, 3, 9, 1, 5]).role, Role::Unknown(5));
        assert_eq!(open_of(&[2, 8, 5, 6, 0, 1, 0, 128, 0, 2]).extended_next_hop, Offered::No);
    }
}
