//! Each row of the table above, and the routes that are right.

use super::*;
use crate::bgp::codec::write::Mark;

const EBGP: Speaker = Speaker {
    local_as: 64500,
    ibgp: false,
    as_numbers: AsNumbers::FourOctet,
    extended_next_hop: ExtendedNextHop::NotOffered,
    only_to_customer: Mark::Unset,
};

const ORIGIN_IGP: &[u8] = &[0x40, 1, 1, 0];
const PATH_64512: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfc, 0];
const VIA_10_0_0_2: &[u8] = &[0x40, 3, 4, 10, 0, 0, 2];
const NET_192_0_2: &[u8] = &[24, 192, 0, 2];

fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let len = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    [&len(withdrawn), withdrawn, &len(&attributes), &attributes, nlri].concat()
}

/// A whole, plain announcement with these attributes more.
fn plus(more: &[&[u8]]) -> Vec<u8> {
    let mut attributes = vec![ORIGIN_IGP, PATH_64512, VIA_10_0_0_2];
    attributes.extend(more);
    body(&[], &attributes, NET_192_0_2)
}

/// What was announced and withdrawn, and the faults, in words.
fn read(body: &[u8], speaker: Speaker, families: Families) -> (Vec<String>, Vec<String>) {
    let update = update(body, speaker, families).unwrap();
    (
        update.changes.iter().map(ToString::to_string).collect(),
        update.faults.iter().map(ToString::to_string).collect(),
    )
}

fn ebgp(body: &[u8]) -> (Vec<String>, Vec<String>) {
    read(body, EBGP, Families::BOTH)
}

fn announced(words: &str) -> (Vec<String>, Vec<String>) {
    (vec![format!("announced {words}")], vec![])
}

/// The prefix of [`NET_192_0_2`] counts as withdrawn for a reason that begins like this.
#[track_caller]
fn assert_withdrawn(body: &[u8], speaker: Speaker, why: &str) {
    let (changes, faults) = read(body, speaker, Families::BOTH);
    assert_eq!(changes, ["withdrawn 192.0.2.0/24"]);
    let expected = format!("an UPDATE counts as a withdrawal (RFC 7606): {why}");
    assert!(faults.iter().any(|f| f.starts_with(&expected)), "{faults:?}");
}

#[test]
fn a_plain_announcement_is_read_whole() {
    let octets = plus(&[
        &[0x80, 4, 4, 0, 0, 0, 50],
        &[0xc0, 8, 8, 0xfc, 0, 0, 53, 0xff, 0xff, 0xff, 1],
        &[0xc0, 7, 8, 0, 0, 0xfc, 0, 10, 0, 0, 9], // AGGREGATOR: not used
        &[0xe0, 99, 1, 7],                         // unknown, optional
    ]);
    let words = "192.0.2.0/24 via 10.0.0.2, AS path 64512, MED 50, communities 64512:53 65535:65281";
    assert_eq!(ebgp(&octets), announced(words));
}

#[test]
fn large_communities_and_the_mark_for_customers_are_read_and_broken_ones_withdraw() {
    let large = [0xc0, 32, 12, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 53];
    let words = "192.0.2.0/24 via 10.0.0.2, AS path 64512, large communities 65536:1:53, only to customers says AS 64512";
    assert_eq!(ebgp(&plus(&[&large, &[0xc0, 35, 4, 0, 0, 0xfc, 0]])), announced(words));
    assert_withdrawn(&plus(&[&[0xc0, 32, 0]]), EBGP, "LARGE_COMMUNITY is malformed: 0 octets");
    assert_withdrawn(
        &plus(&[&[0xc0, 32, 8, 0, 0, 0, 0, 0, 0, 0, 0]]),
        EBGP,
        "LARGE_COMMUNITY is malformed: 8 octets",
    );
    assert_withdrawn(&plus(&[&[0xc0, 35, 3, 0, 0, 1]]), EBGP, "ONLY_TO_CUSTOMER is malformed: 3 octets");
}

#[test]
fn an_ipv6_next_hop_for_ipv4_counts_only_where_it_was_agreed_on() {
    let mut reach = vec![0x80, 14, 25, 0, 1, 1, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    reach.extend(NET_192_0_2);
    let octets = body(&[], &[&reach, ORIGIN_IGP, PATH_64512], &[]);
    let extended = Speaker { extended_next_hop: ExtendedNextHop::Offered, ..EBGP };
    assert_eq!(read(&octets, extended, Families::BOTH), announced("192.0.2.0/24 via fd00::2, AS path 64512"));
    let refused = update(&octets, EBGP, Families::BOTH).unwrap_err();
    assert_eq!(refused.detail, "MP_REACH_NLRI for IPv4 unicast has a next hop of 16 octets");
}

#[test]
fn host_bits_of_a_prefix_mean_nothing() {
    let octets = body(&[], &[ORIGIN_IGP, PATH_64512, VIA_10_0_0_2], &[20, 192, 0, 0xff]);
    assert_eq!(ebgp(&octets), announced("192.0.240.0/20 via 10.0.0.2, AS path 64512"));
}

#[test]
fn both_families_may_share_an_update_and_withdrawals_come_first() {
    let reach = [
        &[0x80, 14, 28, 0, 2, 1, 16][..],
        &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        &[0],
        &[48, 0x20, 1, 0xd, 0xb8, 0, 0x53],
    ]
    .concat();
    let unreach = [0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0xd, 0xb8];
    let attributes = [&reach, &unreach[..], ORIGIN_IGP, PATH_64512, VIA_10_0_0_2];
    let (changes, faults) = ebgp(&body(&[8, 10], &attributes, NET_192_0_2));
    assert_eq!(
        changes,
        [
            "withdrawn 10.0.0.0/8",
            "withdrawn 2001:db8::/32",
            "announced 192.0.2.0/24 via 10.0.0.2, AS path 64512",
            "announced 2001:db8:53::/48 via fd00::2, AS path 64512",
        ]
    );
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_link_local_next_hop_may_follow_the_global_one() {
    let mut reach = vec![0x80, 14, 40, 0, 2, 1, 32];
    reach.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    reach.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    reach.extend([0, 16, 0x20, 1]);
    let octets = body(&[], &[&reach, ORIGIN_IGP, PATH_64512], &[]);
    assert_eq!(ebgp(&octets), announced("2001::/16 via fd00::2, AS path 64512"));
}

#[test]
fn the_end_of_rib_markers_are_recognized() {
    let end = |octets: &[u8]| update(octets, EBGP, Families::BOTH).unwrap().end_of_rib;
    assert_eq!(end(&body(&[], &[], &[])), Some(Family::Ipv4));
    assert_eq!(end(&body(&[], &[&[0x80, 15, 3, 0, 2, 1]], &[])), Some(Family::Ipv6));
    assert_eq!(end(&body(&[], &[&[0x80, 15, 3, 0, 2, 128]], &[])), None);
    assert_eq!(end(&body(&[8, 10], &[], &[])), None);
    assert_eq!(end(&plus(&[])), None);
}

#[test]
fn a_family_that_was_not_negotiated_is_ignored() {
    let (changes, faults) = read(&plus(&[]), EBGP, Families::IPV6);
    assert!(changes.is_empty());
    assert_eq!(faults, ["ignored: routes for IPv4 unicast, which was not negotiated"]);
    let unreach: &[u8] = &[0x80, 15, 5, 0, 2, 1, 8, 0x20];
    let (changes, faults) = read(&plus(&[unreach]), EBGP, Families::IPV4);
    assert_eq!(changes, ["announced 192.0.2.0/24 via 10.0.0.2, AS path 64512"]);
    assert_eq!(faults, ["ignored: routes for IPv6 unicast, which was not negotiated"]);
}

#[test]
fn a_missing_mandatory_attribute_withdraws() {
    let without = |left_out: &[u8]| {
        let attributes: Vec<&[u8]> =
            [ORIGIN_IGP, PATH_64512, VIA_10_0_0_2].into_iter().filter(|a| *a != left_out).collect();
        body(&[], &attributes, NET_192_0_2)
    };
    assert_withdrawn(&without(ORIGIN_IGP), EBGP, "ORIGIN is missing");
    assert_withdrawn(&without(PATH_64512), EBGP, "AS_PATH is missing");
    assert_withdrawn(&without(VIA_10_0_0_2), EBGP, "NEXT_HOP is missing");
    assert_withdrawn(&plus(&[]), Speaker { ibgp: true, local_as: 64500, ..EBGP }, "LOCAL_PREF is missing");
}

#[test]
fn a_malformed_attribute_withdraws() {
    let with = |origin: &[u8], path: &[u8], next_hop: &[u8], more: &[u8]| {
        body(&[], &[origin, path, next_hop, more], NET_192_0_2)
    };
    let good = (ORIGIN_IGP, PATH_64512, VIA_10_0_0_2);
    for origin in [&[0x40, 1, 1, 3][..], &[0x40, 1, 0], &[0x40, 1, 2, 0, 0], &[0xc0, 1, 1, 0]] {
        assert_withdrawn(&with(origin, good.1, good.2, &[]), EBGP, "ORIGIN is malformed");
    }
    // Too few numbers, too many octets, an unknown segment type, an empty segment, wrong flags.
    for path in [
        &[0x40, 2, 5, 2, 1, 0, 0, 0xfc][..],
        &[0x40, 2, 7, 2, 1, 0, 0, 0xfc, 0, 0],
        &[0x40, 2, 6, 9, 1, 0, 0, 0xfc, 0],
        &[0x40, 2, 2, 2, 0],
        &[0x80, 2, 6, 2, 1, 0, 0, 0xfc, 0],
    ] {
        assert_withdrawn(&with(good.0, path, good.2, &[]), EBGP, "AS_PATH is malformed");
    }
    for next_hop in [&[0x40, 3, 3, 10, 0, 0][..], &[0x40, 3, 5, 10, 0, 0, 2, 0]] {
        assert_withdrawn(&with(good.0, good.1, next_hop, &[]), EBGP, "NEXT_HOP is malformed");
    }
    assert_withdrawn(
        &with(good.0, good.1, &[0x40, 3, 4, 0, 0, 0, 0], &[]),
        EBGP,
        "0.0.0.0 cannot be a next hop",
    );
    assert_withdrawn(&plus(&[&[0x80, 4, 3, 0, 0, 1]]), EBGP, "MULTI_EXIT_DISC is malformed");
    for communities in [&[0xc0, 8, 3, 0, 0, 1][..], &[0xc0, 8, 0], &[0x80, 8, 4, 0, 0, 0, 1]] {
        assert_withdrawn(&plus(&[communities]), EBGP, "COMMUNITIES is malformed");
    }
    let ibgp = Speaker { ibgp: true, ..EBGP };
    assert_withdrawn(&plus(&[&[0x40, 5, 3, 0, 0, 1]]), ibgp, "LOCAL_PREF is malformed");
    assert_withdrawn(&plus(&[&[0x40, 99, 0]]), EBGP, "attribute 99 says that it is well-known, and is not");
}

#[test]
fn an_attribute_that_runs_over_withdraws_since_the_prefixes_are_still_found() {
    assert_withdrawn(&plus(&[&[0x40, 5, 9, 0]]), EBGP, "an attribute runs past the end of the attributes");
    assert_withdrawn(&plus(&[&[0xc0]]), EBGP, "an attribute runs past the end of the attributes");
}

#[test]
fn the_partial_bit_and_the_extended_length_are_no_faults() {
    let origin: &[u8] = &[0x70, 1, 0, 1, 0];
    let octets = body(&[], &[origin, PATH_64512, VIA_10_0_0_2], NET_192_0_2);
    assert_eq!(ebgp(&octets), announced("192.0.2.0/24 via 10.0.0.2, AS path 64512"));
}

#[test]
fn a_second_attribute_of_a_kind_is_left_out() {
    let (changes, faults) = ebgp(&plus(&[&[0x40, 1, 1, 2], &[0x40, 3, 4, 10, 0, 0, 9]]));
    assert_eq!(changes, ["announced 192.0.2.0/24 via 10.0.0.2, AS path 64512"]);
    assert_eq!(
        faults,
        [
            "an attribute was left out (RFC 7606): ORIGIN a second time",
            "an attribute was left out (RFC 7606): NEXT_HOP a second time",
        ]
    );
}

#[test]
fn a_local_preference_from_outside_means_nothing() {
    for value in [&[0x40, 5, 4, 0, 0, 0, 200][..], &[0x40, 5, 1, 0]] {
        assert_eq!(ebgp(&plus(&[value])), announced("192.0.2.0/24 via 10.0.0.2, AS path 64512"));
    }
}

#[test]
fn our_own_as_in_the_path_withdraws() {
    let octets = plus(&[]);
    let loops = Speaker { local_as: 64512, ..EBGP };
    assert_withdrawn(&octets, loops, "our own AS 64512 stands in the AS path 64512");
}

#[test]
fn as4_path_restores_the_path_behind_an_old_speaker() {
    let old = Speaker { as_numbers: AsNumbers::TwoOctet, ..EBGP };
    let path: &[u8] = &[0x40, 2, 8, 2, 3, 0xfb, 0xf5, 0x5b, 0xa0, 0x5b, 0xa0];
    let wide: &[u8] = &[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 2, 0, 0];
    let octets = |more: &[&[u8]]| {
        let mut attributes = vec![ORIGIN_IGP, path, VIA_10_0_0_2];
        attributes.extend(more);
        body(&[], &attributes, NET_192_0_2)
    };
    let words = "192.0.2.0/24 via 10.0.0.2, AS path 64501 65536 131072";
    assert_eq!(read(&octets(&[wide]), old, Families::BOTH), announced(words));
    // Longer than AS_PATH, or malformed: left out.
    let longer: &[u8] = &[0xc0, 17, 18, 2, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    let words = "192.0.2.0/24 via 10.0.0.2, AS path 64501 23456 23456";
    assert_eq!(read(&octets(&[longer]), old, Families::BOTH), announced(words));
    let (changes, faults) = read(&octets(&[&[0xc0, 17, 3, 2, 1, 0]]), old, Families::BOTH);
    assert_eq!(changes, [format!("announced {words}")]);
    assert!(
        faults[0].starts_with("an attribute was left out (RFC 7606): AS4_PATH is malformed"),
        "{faults:?}"
    );
}

#[test]
fn where_prefixes_cannot_be_found_the_session_ends() {
    let refused = |octets: &[u8]| {
        let refusal = update(octets, EBGP, Families::BOTH).unwrap_err();
        (refusal.notification.code, refusal.notification.subcode, refusal.detail)
    };
    let reach = |value: &[u8]| {
        let mut attribute = vec![0x80, 14, u8::try_from(value.len()).unwrap()];
        attribute.extend(value);
        body(&[], &[&attribute], &[])
    };
    let cases: [(Vec<u8>, u8, &str); 9] = [
        (vec![0, 9, 0, 0], 1, "the lengths inside an UPDATE exceed the message"),
        (
            body(&[], &[], &[33, 1, 2, 3, 4, 5]),
            10,
            "an IPv4 unicast prefix of 33 bits is too long or cut short",
        ),
        (body(&[], &[], &[24, 1, 2]), 10, "an IPv4 unicast prefix of 24 bits is too long or cut short"),
        (body(&[255], &[], &[]), 10, "an IPv4 unicast prefix of 255 bits is too long or cut short"),
        (reach(&[0, 2, 1]), 9, "MP_REACH_NLRI is cut short"),
        (reach(&[0, 2, 1, 4, 1, 2, 3, 4, 0]), 9, "MP_REACH_NLRI for IPv6 unicast has a next hop of 4 octets"),
        (
            reach(&[0, 1, 1, 4, 10, 0, 0, 2, 0, 40, 1]),
            9,
            "an IPv4 unicast prefix of 40 bits is too long or cut short",
        ),
        (body(&[], &[&[0x80, 15, 2, 0, 2]], &[]), 9, "MP_UNREACH_NLRI is cut short"),
        (
            body(&[], &[&[0x80, 15, 3, 0, 2, 1], &[0x80, 15, 3, 0, 2, 1]], &[]),
            1,
            "MP_UNREACH_NLRI stands twice in an UPDATE",
        ),
    ];
    for (octets, subcode, detail) in cases {
        assert_eq!(refused(&octets), (3, subcode, detail.to_owned()));
    }
}

#[test]
fn another_address_family_is_no_fault() {
    let vpn: &[u8] = &[0x80, 14, 9, 0, 1, 128, 4, 1, 2, 3, 4, 0];
    assert_eq!(ebgp(&plus(&[vpn])), announced("192.0.2.0/24 via 10.0.0.2, AS path 64512"));
}
