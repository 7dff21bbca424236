//! Writing: whole messages, header included, never longer than 4096 octets.

use std::net::IpAddr;

use netgauze_bgp_pkt::capabilities::{
    BgpCapability, FourOctetAsCapability, MultiProtocolExtensionsCapability,
};
use netgauze_bgp_pkt::community::Community as WireCommunity;
use netgauze_bgp_pkt::open::{BgpOpenMessage, BgpOpenMessageParameter};
use netgauze_bgp_pkt::path_attribute::{
    As2PathSegment, As4Path, As4PathSegment, AsPath, AsPathSegmentType, Communities, LocalPreference,
    MultiExitDiscriminator, NextHop, Origin, PathAttribute, PathAttributeValue,
};
use netgauze_iana::address_family::AddressType;
use netgauze_parse_utils::WritablePdu;

use super::{HEADER_LEN, Kind};
use crate::bgp::{AS_TRANS, AsNumbers, Notification, SessionConfig};
use crate::{Family, Prefix, Route};

/// So many prefixes go into one UPDATE. The longest is 17 octets, all attributes together stay under 600, so that
/// an UPDATE stays under 3200.
const PREFIXES_PER_UPDATE: usize = 150;

/// What a path must know about the session that it is sent on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) local_as: u32,
    pub(crate) ibgp: bool,
    pub(crate) as_numbers: AsNumbers,
}

/// OPEN, RFC 4271 §4.2, with all capabilities in one parameter (RFC 5492 §4).
pub(crate) fn open(config: &SessionConfig) -> Vec<u8> {
    let mut capabilities: Vec<BgpCapability> = config
        .families
        .iter()
        .map(|family| {
            let address_type = match family {
                Family::Ipv4 => AddressType::Ipv4Unicast,
                Family::Ipv6 => AddressType::Ipv6Unicast,
            };
            BgpCapability::MultiProtocolExtensions(MultiProtocolExtensionsCapability::new(address_type))
        })
        .collect();
    capabilities.push(BgpCapability::RouteRefresh);
    capabilities.push(BgpCapability::FourOctetAs(FourOctetAsCapability::new(config.local_as)));
    let hold_time = u16::try_from(config.hold_time.as_secs()).unwrap_or(u16::MAX);
    let message = BgpOpenMessage::new(
        two_octets(config.local_as),
        hold_time,
        config.router_id,
        [BgpOpenMessageParameter::new_capabilities(capabilities)],
    );
    let mut body = Vec::with_capacity(message.len());
    message.write(&mut body).expect("a vector takes whatever is written to it");
    frame(Kind::Open, &body)
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
            IpAddr::V6(_) => {
                // RFC 7606 §5.1: MP_REACH_NLRI goes first.
                let mut octets = mp_reach(route.next_hop, prefixes);
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
    let long = matches!(&value, PathAttributeValue::Communities(c) if c.communities().len() > 63);
    let attribute = PathAttribute::from(optional, transitive, false, long, value)
        .expect("each attribute is written with the flags that its RFC gives it");
    attribute.write(out).expect("a vector takes whatever is written to it");
}

/// MP_REACH_NLRI, RFC 4760 §3, with a global next hop alone (RFC 2545 §3).
fn mp_reach(next_hop: IpAddr, prefixes: &[Prefix]) -> Vec<u8> {
    let mut value = family_octets(Family::of(next_hop)).to_vec();
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

fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
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
    use crate::{Community, Families};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const EBGP: Speaker = Speaker { local_as: 64512, ibgp: false, as_numbers: AsNumbers::FourOctet };

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
            "0033", "01", // length 51, OPEN
            "04", "fc00", "0009", "0a000002", // version, my AS, hold time, identifier
            "16", "02", "14", // 22 octets of parameters: capabilities, 20 octets
            "0104", "0001", "00", "01", // multiprotocol: IPv4 unicast
            "0104", "0002", "00", "01",   // multiprotocol: IPv6 unicast
            "0200", // route refresh
            "4104", "0000fc00", // four-octet AS
        ]);
        assert_eq!(hex(&open(&config)), expected);
    }

    #[test]
    fn open_of_a_large_as_says_as_trans_and_offers_only_the_families_wanted() {
        let mut config = SessionConfig::new(4_200_000_000, 64500, Ipv4Addr::new(10, 0, 0, 2));
        config.families = Families::IPV6;
        let expected = octets(&[
            "002d", "01", "04", "5ba0", "0009", "0a000002", "10", "02", "0e", "0104", "0002", "00", "01",
            "0200", "4104", "fa56ea00",
        ]);
        assert_eq!(hex(&open(&config)), expected);
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
        let speaker = Speaker { local_as: 4_200_000_000, as_numbers: AsNumbers::TwoOctet, ibgp: false };
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
        let speaker = Speaker { local_as: 4_200_000_000, as_numbers: AsNumbers::TwoOctet, ibgp: false };
        let mut wanted = route("2001:db8::/128", "fd00::2");
        wanted.prepends = crate::MAX_PREPENDS;
        wanted.med = Some(1);
        wanted.communities = (0..crate::MAX_COMMUNITIES).map(|n| Community(n as u32)).collect();
        let prefixes = vec![wanted.prefix; 1000];
        let messages = announcements(&wanted, &prefixes, speaker);
        assert_eq!(messages.len(), 7);
        assert!(messages.iter().all(|m| m.len() <= super::super::MAX_LEN));
        assert!(withdrawals(Family::Ipv6, &prefixes).iter().all(|m| m.len() <= super::super::MAX_LEN));
    }
}
