//! Writing: whole messages, header included, never longer than 4096 octets.

use std::net::IpAddr;

use netgauze_bgp_pkt::community::{Community as WireCommunity, LargeCommunity as WireLargeCommunity};
use netgauze_bgp_pkt::path_attribute::{
    As2PathSegment, As4Path, As4PathSegment, AsPath, AsPathSegmentType, Communities, LargeCommunities,
    LocalPreference, MultiExitDiscriminator, NextHop, OnlyToCustomer, Origin, PathAttribute,
    PathAttributeValue,
};
use netgauze_parse_utils::WritablePdu;

use super::{HEADER_LEN, Kind};
use crate::bgp::{AS_TRANS, AsNumbers, ExtendedNextHop, Notification, SessionConfig};
use crate::{Family, Prefix, Route};

/// So many prefixes go into one UPDATE. The longest is 17 octets, all attributes together stay under 1200, so
/// that an UPDATE stays under 3800.
const PREFIXES_PER_UPDATE: usize = 150;

/// What a path must know about the session that it is sent on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) local_as: u32,
    pub(crate) ibgp: bool,
    pub(crate) as_numbers: AsNumbers,
    pub(crate) extended_next_hop: ExtendedNextHop,
    /// Routes are marked as only for customers, RFC 9234 §5.
    pub(crate) only_to_customer: Mark,
}

/// Whether routes get ONLY_TO_CUSTOMER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Set,
    Unset,
}

/// OPEN, RFC 4271 §4.2, with all capabilities in one parameter (RFC 5492 §4).
pub(crate) fn open(config: &SessionConfig) -> Vec<u8> {
    let mut capabilities = Vec::with_capacity(48);
    for family in config.families.iter() {
        let [afi, unicast, safi] = family_octets(family);
        capabilities.extend([1, 4, afi, unicast, 0, safi]);
    }
    if config.extended_next_hop == ExtendedNextHop::Offered {
        // RFC 8950 §4: for AFI 1, SAFI 1 also next hops of AFI 2.
        capabilities.extend([5, 6, 0, 1, 0, 1, 0, 2]);
    }
    // Route refresh and enhanced route refresh have nothing to add: RFC 2918 §2, RFC 7313 §3.
    capabilities.extend([2, 0, 70, 0]);
    capabilities.extend([65, 4]);
    capabilities.extend(config.local_as.to_be_bytes());
    if let Some(peering) = config.peering {
        capabilities.extend([9, 1, peering.octet()]);
    }
    let hold_time = u16::try_from(config.hold_time.as_secs()).unwrap_or(u16::MAX);
    let mut body = vec![4];
    body.extend(two_octets(config.local_as).to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(config.router_id.octets());
    let mut parameter = vec![2];
    counted(&mut parameter, &capabilities);
    counted(&mut body, &parameter);
    frame(Kind::Open, &body)
}

/// ROUTE-REFRESH of a subtype: RFC 7313 §3.2.
pub(crate) fn route_refresh(family: Family, subtype: u8) -> Vec<u8> {
    let [high, low, safi] = family_octets(family);
    frame(Kind::RouteRefresh, &[high, low, subtype, safi])
}

/// KEEPALIVE, RFC 4271 §4.4.
pub(crate) fn keepalive() -> Vec<u8> {
    frame(Kind::Keepalive, &[])
}

/// NOTIFICATION, RFC 4271 §4.5.
pub(crate) fn notification(notification: &Notification) -> Vec<u8> {
    let mut body = vec![notification.code, notification.subcode];
    body.extend(notification.data.iter().take(super::MAX_LEN - HEADER_LEN - 2));
    frame(Kind::Notification, &body)
}

/// UPDATEs that withdraw prefixes of one family.
pub(crate) fn withdrawals(family: Family, prefixes: &[Prefix]) -> Vec<Vec<u8>> {
    let update = |prefixes: &[Prefix]| match family {
        Family::Ipv4 => update(&nlri(prefixes), &[], &[]),
        Family::Ipv6 => update(&[], &mp_unreach(family, prefixes), &[]),
    };
    prefixes.chunks(PREFIXES_PER_UPDATE).map(update).collect()
}

/// UPDATEs that announce `prefixes`, all of one family, with the attributes of `route`.
pub(crate) fn announcements(route: &Route, prefixes: &[Prefix], speaker: Speaker) -> Vec<Vec<u8>> {
    prefixes
        .chunks(PREFIXES_PER_UPDATE)
        .map(|prefixes| match route.next_hop {
            IpAddr::V4(_) => update(&[], &attributes(route, speaker), &nlri(prefixes)),
            // For IPv4 prefixes too, RFC 8950 §3.
            IpAddr::V6(_) => {
                // RFC 7606 §5.1: MP_REACH_NLRI goes first.
                let mut octets = mp_reach(route.prefix.family(), route.next_hop, prefixes);
                octets.extend(attributes(route, speaker));
                update(&[], &octets, &[])
            }
        })
        .collect()
}

/// The End-of-RIB marker of a family, RFC 4724 §2.
pub(crate) fn end_of_rib(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4 => update(&[], &[], &[]),
        Family::Ipv6 => update(&[], &mp_unreach(family, &[]), &[]),
    }
}

/// All attributes but MP_REACH_NLRI, in the order of their type codes (RFC 4271 §5).
fn attributes(route: &Route, speaker: Speaker) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let path = match speaker.ibgp {
        true => Vec::new(),
        false => vec![speaker.local_as; usize::from(route.prepends) + 1],
    };
    well_known(&mut out, PathAttributeValue::Origin(Origin::IGP));
    well_known(&mut out, PathAttributeValue::AsPath(as_path(&path, speaker.as_numbers)));
    if let IpAddr::V4(next_hop) = route.next_hop {
        well_known(&mut out, PathAttributeValue::NextHop(NextHop::new(next_hop)));
    }
    if let Some(med) = route.med {
        let value = PathAttributeValue::MultiExitDiscriminator(MultiExitDiscriminator::new(med));
        attribute(&mut out, Flags::OptionalNonTransitive, value);
    }
    // RFC 4271 §5.1.5: to internal peers always, to external ones never.
    if speaker.ibgp {
        let preference = LocalPreference::new(route.local_pref.unwrap_or(100));
        well_known(&mut out, PathAttributeValue::LocalPreference(preference));
    }
    if !route.communities.is_empty() {
        let communities: Vec<WireCommunity> =
            route.communities.iter().map(|c| WireCommunity::new(c.0)).collect();
        let value = PathAttributeValue::Communities(Communities::new(communities));
        attribute(&mut out, Flags::OptionalTransitive, value);
    }
    // RFC 6793 §4.2.2: beside AS_TRANS, an old speaker gets the true path to pass on.
    let unmappable = path.iter().any(|&number| u16::try_from(number).is_err());
    if speaker.as_numbers == AsNumbers::TwoOctet && unmappable {
        let segment = As4PathSegment::new(AsPathSegmentType::AsSequence, path);
        let value = PathAttributeValue::As4Path(As4Path::new([segment]));
        attribute(&mut out, Flags::OptionalTransitive, value);
    }
    if !route.large_communities.is_empty() {
        let communities: Vec<WireLargeCommunity> = (route.large_communities.iter())
            .map(|c| WireLargeCommunity::new(c.admin, c.data[0], c.data[1]))
            .collect();
        let value = PathAttributeValue::LargeCommunities(LargeCommunities::new(communities));
        attribute(&mut out, Flags::OptionalTransitive, value);
    }
    if speaker.only_to_customer == Mark::Set {
        let value = PathAttributeValue::OnlyToCustomer(OnlyToCustomer::new(speaker.local_as));
        attribute(&mut out, Flags::OptionalTransitive, value);
    }
    out
}

fn as_path(path: &[u32], width: AsNumbers) -> AsPath {
    let sequence = AsPathSegmentType::AsSequence;
    match width {
        AsNumbers::FourOctet if path.is_empty() => AsPath::as4_path_segments([]),
        AsNumbers::FourOctet => AsPath::as4_path_segments([As4PathSegment::new(sequence, path)]),
        AsNumbers::TwoOctet if path.is_empty() => AsPath::as2_path_segments([]),
        AsNumbers::TwoOctet => {
            let numbers: Vec<u16> = path.iter().copied().map(two_octets).collect();
            AsPath::as2_path_segments([As2PathSegment::new(sequence, numbers)])
        }
    }
}

/// An AS number for a field of two octets, RFC 6793 §4.2.3.
fn two_octets(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(AS_TRANS as u16)
}

#[derive(Debug, Clone, Copy)]
enum Flags {
    WellKnown,
    OptionalTransitive,
    OptionalNonTransitive,
}

fn well_known(out: &mut Vec<u8>, value: PathAttributeValue) {
    attribute(out, Flags::WellKnown, value);
}

fn attribute(out: &mut Vec<u8>, flags: Flags, value: PathAttributeValue) {
    let (optional, transitive) = match flags {
        Flags::WellKnown => (false, true),
        Flags::OptionalTransitive => (true, true),
        Flags::OptionalNonTransitive => (true, false),
    };
    // RFC 4271 §4.3: the extended length is for values of more than 255 octets; only communities get there.
    let long = match &value {
        PathAttributeValue::Communities(c) => c.communities().len() > 63,
        PathAttributeValue::LargeCommunities(c) => c.communities().len() > 21,
        _ => false,
    };
    let attribute = PathAttribute::from(optional, transitive, false, long, value)
        .expect("each attribute is written with the flags that its RFC gives it");
    attribute.write(out).expect("a vector takes whatever is written to it");
}

/// MP_REACH_NLRI, RFC 4760 §3, with a global next hop alone (RFC 2545 §3).
fn mp_reach(family: Family, next_hop: IpAddr, prefixes: &[Prefix]) -> Vec<u8> {
    let mut value = family_octets(family).to_vec();
    match next_hop {
        IpAddr::V4(a) => counted(&mut value, &a.octets()),
        IpAddr::V6(a) => counted(&mut value, &a.octets()),
    }
    value.push(0);
    value.extend(nlri(prefixes));
    mp_attribute(14, &value)
}

/// MP_UNREACH_NLRI, RFC 4760 §4.
fn mp_unreach(family: Family, prefixes: &[Prefix]) -> Vec<u8> {
    let mut value = family_octets(family).to_vec();
    value.extend(nlri(prefixes));
    mp_attribute(15, &value)
}

/// Optional, non-transitive, with the extended length where it is needed.
fn mp_attribute(code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 4);
    match u8::try_from(value.len()) {
        Ok(len) => out.extend([0x80, code, len]),
        Err(_) => {
            out.extend([0x90, code]);
            out.extend(length(value));
        }
    }
    out.extend(value);
    out
}

fn family_octets(family: Family) -> [u8; 3] {
    let [high, low] = family.afi().to_be_bytes();
    [high, low, 1]
}

fn counted(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(u8::try_from(octets.len()).unwrap_or(u8::MAX));
    out.extend(octets);
}

/// Prefixes as a length in bits and as many octets as that needs, RFC 4271 §4.3.
fn nlri(prefixes: &[Prefix]) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefixes.len() * 8);
    for prefix in prefixes {
        out.push(prefix.len());
        let octets = usize::from(prefix.len().div_ceil(8));
        match prefix.addr() {
            IpAddr::V4(a) => out.extend(a.octets().iter().take(octets)),
            IpAddr::V6(a) => out.extend(a.octets().iter().take(octets)),
        }
    }
    out
}

/// UPDATE, RFC 4271 §4.3.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + withdrawn.len() + attributes.len() + nlri.len());
    for part in [withdrawn, attributes] {
        body.extend(length(part));
        body.extend(part);
    }
    body.extend(nlri);
    frame(Kind::Update, &body)
}

fn length(octets: &[u8]) -> [u8; 2] {
    u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes()
}

pub(crate) fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let len = HEADER_LEN + body.len();
    debug_assert!(kind.lengths().contains(&len), "a {kind:?} of {len} octets");
    let mut out = vec![0xff; 16];
    out.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    out.push(kind as u8);
    out.extend(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::Peering;
    use crate::{Community, Families, LargeCommunity};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const EBGP: Speaker = Speaker {
        local_as: 64512,
        ibgp: false,
        as_numbers: AsNumbers::FourOctet,
        extended_next_hop: ExtendedNextHop::NotOffered,
        only_to_customer: Mark::Unset,
    };

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|o| format!("{o:02x}")).collect()
    }

    /// The octets of the expected message written in groups, each with what it is.
    fn octets(groups: &[&str]) -> String {
        "ff".repeat(16) + &groups.concat().replace(' ', "")
    }

    fn route(prefix: &str, next_hop: &str) -> Route {
        Route::new(prefix.parse().unwrap(), next_hop.parse().unwrap())
    }

    fn announce(route: &Route, speaker: Speaker) -> String {
        let mut messages = announcements(route, &[route.prefix], speaker);
        assert_eq!(messages.len(), 1);
        hex(&messages.remove(0))
    }

    #[test]
    fn open_is_written_as_rfc_4271_draws_it() {
        let mut config = SessionConfig::new(64512, 64500, Ipv4Addr::new(10, 0, 0, 2));
        config.hold_time = Duration::from_secs(9);
        let expected = octets(&[
            "0035", "01", // length 53, OPEN
            "04", "fc00", "0009", "0a000002", // version, my AS, hold time, identifier
            "18", "02", "16", // 24 octets of parameters: capabilities, 22 octets
            "0104", "0001", "00", "01", // multiprotocol: IPv4 unicast
            "0104", "0002", "00", "01", // multiprotocol: IPv6 unicast
            "0200", "4600", // route refresh, enhanced route refresh
            "4104", "0000fc00", // four-octet AS
        ]);
        assert_eq!(hex(&open(&config)), expected);
    }

    #[test]
    fn open_of_a_large_as_says_as_trans_and_offers_only_the_families_wanted() {
        let mut config = SessionConfig::new(4_200_000_000, 64500, Ipv4Addr::new(10, 0, 0, 2));
        config.families = Families::IPV6;
        let expected = octets(&[
            "002f", "01", "04", "5ba0", "0009", "0a000002", "12", "02", "10", "0104", "0002", "00", "01",
            "0200", "4600", "4104", "fa56ea00",
        ]);
        assert_eq!(hex(&open(&config)), expected);
    }

    #[test]
    fn open_offers_ipv6_next_hops_for_ipv4_and_says_our_role_when_told_to() {
        let mut config = SessionConfig::new(64512, 64500, Ipv4Addr::new(10, 0, 0, 2));
        config.families = Families::IPV4;
        config.extended_next_hop = ExtendedNextHop::Offered;
        config.peering = Some(Peering::Customer);
        let expected = octets(&[
            "003a", "01", "04", "fc00", "0009", "0a000002", "1d", "02", "1b", "0104", "0001", "00", "01",
            "0506", "0001", "0001", "0002", "0200", "4600", "4104", "0000fc00", "0901", "03",
        ]);
        assert_eq!(hex(&open(&config)), expected);
    }

    #[test]
    fn an_ipv4_route_over_an_ipv6_next_hop_is_written_as_mp_reach() {
        let expected = octets(&[
            "0040 02 0000 0029",                                     // 41 octets of attributes
            "800e19 0001 01 10 fd000000000000000000000000000002 00", // MP_REACH_NLRI of AFI 1, next hop fd00::2
            "18 c00002",                                             // 192.0.2.0/24
            "400101 00 400206 0201 0000fc00",                        // ORIGIN, AS_PATH
        ]);
        assert_eq!(announce(&route("192.0.2.0/24", "fd00::2"), EBGP), expected);
    }

    #[test]
    fn large_communities_and_the_mark_for_customers_come_last() {
        let mut wanted = route("192.0.2.0/24", "10.0.0.2");
        wanted.large_communities = vec![LargeCommunity::new(4_200_000_000, 1, 53)];
        let speaker = Speaker { only_to_customer: Mark::Set, ..EBGP };
        let expected = octets(&[
            "0045 02 0000 002a 400101 00 400206 0201 0000fc00 400304 0a000002",
            "c0200c fa56ea00 00000001 00000035", // LARGE_COMMUNITY
            "c02304 0000fc00",                   // ONLY_TO_CUSTOMER
            "18 c00002",
        ]);
        assert_eq!(announce(&wanted, speaker), expected);
    }

    #[test]
    fn the_marks_around_a_refresh_name_their_family() {
        assert_eq!(hex(&route_refresh(Family::Ipv6, 1)), octets(&["0017", "05", "0002", "01", "01"]));
    }

    #[test]
    fn an_ipv4_route_is_written_as_classic_nlri() {
        let mut wanted = route("192.0.2.0/24", "10.0.0.2");
        wanted.prepends = 1;
        wanted.med = Some(50);
        wanted.local_pref = Some(200); // not for external peers
        wanted.communities = vec![Community::new(64512, 53), Community::NO_EXPORT];
        let expected = octets(&[
            "0045", "02", // length 69, UPDATE
            "0000", "002a", // nothing withdrawn, 42 octets of attributes
            "400101", "00", // ORIGIN: IGP
            "40020a", "0202", "0000fc00", "0000fc00", // AS_PATH: a sequence of two
            "400304", "0a000002", // NEXT_HOP
            "800404", "00000032", // MULTI_EXIT_DISC
            "c00808", "fc000035", "ffffff01", // COMMUNITIES
            "18", "c00002", // 192.0.2.0/24
        ]);
        assert_eq!(announce(&wanted, EBGP), expected);
    }

    #[test]
    fn an_ipv6_route_is_written_as_mp_reach() {
        let expected = octets(&[
            "0043 02 0000 002c",                                     // 44 octets of attributes
            "800e1c 0002 01 10 fd000000000000000000000000000002 00", // MP_REACH_NLRI, next hop fd00::2
            "30 20010db80053",                                       // 2001:db8:53::/48
            "400101 00 400206 0201 0000fc00",                        // ORIGIN, AS_PATH
        ]);
        assert_eq!(announce(&route("2001:db8:53::/48", "fd00::2"), EBGP), expected);
    }

    #[test]
    fn an_internal_peer_gets_an_empty_path_and_a_local_preference() {
        let speaker = Speaker { ibgp: true, ..EBGP };
        let mut wanted = route("192.0.2.0/24", "10.0.0.2");
        wanted.prepends = 3; // an internal path has nothing to prepend to
        let expected = octets(&[
            "0030", "02", "0000", "0015", "400101", "00", "400200", "400304", "0a000002", "400504",
            "00000064", "18", "c00002",
        ]);
        assert_eq!(announce(&wanted, speaker), expected);
    }

    #[test]
    fn an_old_speaker_gets_as_trans_and_as4_path() {
        let speaker = Speaker { local_as: 4_200_000_000, as_numbers: AsNumbers::TwoOctet, ..EBGP };
        let expected = octets(&[
            "0036", "02", "0000", "001b", "400101", "00", "400204", "0201", "5ba0", "400304", "0a000002",
            "c01106", "0201", "fa56ea00", "18", "c00002",
        ]);
        assert_eq!(announce(&route("192.0.2.0/24", "10.0.0.2"), speaker), expected);
        let small = Speaker { local_as: 64512, ..speaker };
        assert!(!announce(&route("192.0.2.0/24", "10.0.0.2"), small).contains("c01106"));
    }

    #[test]
    fn withdrawals_and_end_of_rib_are_written_per_family() {
        let v4: Prefix = "192.0.2.0/24".parse().unwrap();
        let v6: Prefix = "2001:db8:53::/48".parse().unwrap();
        let one = |messages: Vec<Vec<u8>>| hex(&messages.concat());
        assert_eq!(
            one(withdrawals(Family::Ipv4, &[v4])),
            octets(&["001b", "02", "0004", "18", "c00002", "0000"])
        );
        assert_eq!(
            one(withdrawals(Family::Ipv6, &[v6])),
            octets(&["0024", "02", "0000", "000d", "800f0a", "0002", "01", "30", "20010db80053"])
        );
        assert_eq!(hex(&end_of_rib(Family::Ipv4)), octets(&["0017", "02", "0000", "0000"]));
        assert_eq!(
            hex(&end_of_rib(Family::Ipv6)),
            octets(&["001d", "02", "0000", "0006", "800f03", "0002", "01"])
        );
    }

    #[test]
    fn many_prefixes_with_the_longest_attributes_stay_within_4096_octets() {
        let speaker = Speaker {
            local_as: 4_200_000_000,
            as_numbers: AsNumbers::TwoOctet,
            only_to_customer: Mark::Set,
            ..EBGP
        };
        let mut wanted = route("2001:db8::/128", "fd00::2");
        wanted.prepends = crate::MAX_PREPENDS;
        wanted.med = Some(1);
        wanted.communities = (0..crate::MAX_COMMUNITIES).map(|n| Community(n as u32)).collect();
        wanted.large_communities =
            (0..crate::MAX_LARGE_COMMUNITIES).map(|n| LargeCommunity::new(n as u32, 0, 0)).collect();
        let prefixes = vec![wanted.prefix; 1000];
        let messages = announcements(&wanted, &prefixes, speaker);
        assert_eq!(messages.len(), 7);
        assert!(messages.iter().all(|m| m.len() <= super::super::MAX_LEN));
        assert!(withdrawals(Family::Ipv6, &prefixes).iter().all(|m| m.len() <= super::super::MAX_LEN));
    }
}
