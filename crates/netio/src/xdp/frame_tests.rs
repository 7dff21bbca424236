//! Frames that hosts send, and frames that nobody should; replies are judged by a checksum of the test's own.

use super::*;

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xc];
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x5];

/// A frame with a datagram, as a client sends it; checksums are of no interest here.
fn frame(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let udp_octets = (8 + payload.len()) as u16;
    let mut out = [&OUR_MAC[..], &CLIENT_MAC[..]].concat();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend([8, 0, 0x45, 0x10]);
            out.extend((20 + udp_octets).to_be_bytes());
            out.extend([0xab, 0xcd, 0x40, 0, 57, 17, 0xde, 0xad]);
            out.extend(source.octets());
            out.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend([0x86, 0xdd, 0x6b, 0x12, 0x34, 0x56]);
            out.extend(udp_octets.to_be_bytes());
            out.extend([17, 57]);
            out.extend(source.octets());
            out.extend(destination.octets());
        }
        _ => unreachable!("one family"),
    }
    out.extend(40_000_u16.to_be_bytes());
    out.extend(53_u16.to_be_bytes());
    out.extend(udp_octets.to_be_bytes());
    out.extend([0xbe, 0xef]);
    out.extend(payload);
    out
}

fn v4(payload: &[u8]) -> Vec<u8> {
    frame("192.0.2.7", "198.51.100.53", payload)
}

fn v6(payload: &[u8]) -> Vec<u8> {
    frame("2001:db8::7", "2001:db8:53::53", payload)
}

/// RFC 1071 as it is written there, octet pair by octet pair.
fn plain_sum(octets: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The reply with this payload to a frame.
fn reply(query: &[u8], payload: &[u8]) -> Vec<u8> {
    let datagram = parse(query).unwrap();
    let mut out = vec![0xee; 2048];
    out[PAYLOAD..PAYLOAD + payload.len()].copy_from_slice(payload);
    let part = write(query, &datagram, &mut out, payload.len(), 0x1234);
    out[part].to_vec()
}

#[test]
fn the_payload_of_a_datagram_is_found_and_what_ethernet_adds_is_not_in_it() {
    for mut query in [v4(b"question"), v6(b"question")] {
        query.resize(query.len() + 18, 0);
        let datagram = parse(&query).unwrap();
        assert_eq!(&query[datagram.payload()], b"question");
        assert_eq!(datagram.source_port, 40_000);
        assert_eq!(datagram.source.is_ipv4(), datagram.destination.is_ipv4());
    }
    assert_eq!(parse(&v4(b"")).unwrap().source, IpAddr::from([192, 0, 2, 7]));
    assert_eq!(parse(&v6(b"")).unwrap().destination, "2001:db8:53::53".parse::<IpAddr>().unwrap());
}

#[test]
fn a_frame_that_is_cut_anywhere_is_malformed() {
    for query in [v4(b"question"), v6(b"question")] {
        for length in 0..query.len() {
            assert_eq!(parse(&query[..length]), Err(Refusal::Malformed), "{length}");
        }
    }
}

#[test]
fn options_fragments_tags_and_other_protocols_are_no_datagrams_of_ours() {
    let changes: [(usize, u8); 6] = [
        (12, 0x81), // a VLAN tag, or anything that is not IPv4
        (14, 0x46), // IPv4 with a word of options
        (14, 0x65), // another version
        (20, 0x20), // more fragments
        (21, 0x01), // a later fragment
        (23, 6),    // TCP
    ];
    for (at, octet) in changes {
        let mut query = v4(b"question");
        query[at] = octet;
        assert_eq!(parse(&query), Err(Refusal::Malformed), "octet {at}");
    }
    for (at, octet) in [(14, 0x40), (20, 0), (20, 44), (20, 60), (20, 6)] {
        let mut query = v6(b"question");
        query[at] = octet;
        assert_eq!(parse(&query), Err(Refusal::Malformed), "octet {at}");
    }
}

#[test]
fn lengths_that_contradict_each_other_are_malformed() {
    // Of the IPv4 packet, of its datagram; of the IPv6 payload, of its datagram.
    for (at, lengths) in [(16, [0, 19, 27, 37, 65_535]), (38, [0, 7, 17, 1000, 65_535])] {
        for length in lengths {
            let mut query = v4(b"question");
            query[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
            assert_eq!(parse(&query), Err(Refusal::Malformed), "octet {at}: {length}");
        }
    }
    for (at, lengths) in [(18, [0, 7, 17, 1000, 65_535]), (58, [0, 7, 17, 1000, 65_535])] {
        for length in lengths {
            let mut query = v6(b"question");
            query[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
            assert_eq!(parse(&query), Err(Refusal::Malformed), "octet {at}: {length}");
        }
    }
}

#[test]
fn a_source_that_no_single_host_has_gets_no_answer() {
    for source in
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.251", "239.1.1.1", "240.0.0.1", "255.255.255.255"]
    {
        assert_eq!(parse(&frame(source, "198.51.100.53", b"q")), Err(Refusal::Source), "{source}");
    }
    for source in ["::", "::1", "ff02::fb", "ff0e::1"] {
        assert_eq!(parse(&frame(source, "2001:db8:53::53", b"q")), Err(Refusal::Source), "{source}");
    }
    // Our own address comes from no wire: whoever forges it would have us answer ourselves.
    assert_eq!(parse(&frame("198.51.100.53", "198.51.100.53", b"q")), Err(Refusal::Source));
    let mut from_port_zero = v4(b"q");
    from_port_zero[34..36].fill(0);
    assert_eq!(parse(&from_port_zero), Err(Refusal::Source));
    let mut from_a_group = v6(b"q");
    from_a_group[6] |= 1;
    assert_eq!(parse(&from_a_group), Err(Refusal::Source));
}

#[test]
fn a_reply_goes_back_on_every_layer_and_carries_nothing_of_the_querys_options() {
    let out = reply(&v4(b"question"), b"the answer");
    assert_eq!(out[..14], [&CLIENT_MAC[..], &OUR_MAC[..], &[8, 0]].concat());
    assert_eq!(out[14..24], [0x45, 0, 0, 38, 0x12, 0x34, 0, 0, 64, 17]);
    assert_eq!(out[26..34], [198, 51, 100, 53, 192, 0, 2, 7]);
    assert_eq!(out[34..40], [0, 53, 0x9c, 0x40, 0, 18]);
    assert_eq!(&out[42..], b"the answer");
    assert_eq!(plain_sum(&out[14..34]), 0xffff, "the header's checksum");

    let out = reply(&v6(b"question"), b"the answer");
    assert_eq!(out[..14], [&CLIENT_MAC[..], &OUR_MAC[..], &[0x86, 0xdd]].concat());
    assert_eq!(out[14..22], [0x60, 0, 0, 0, 0, 18, 17, 64]);
    let (source, destination) = ("2001:db8:53::53", "2001:db8::7");
    let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(out[22..54], [octets(source), octets(destination)].concat());
    assert_eq!(&out[62..], b"the answer");
}

#[test]
fn checksums_are_right_for_every_length_and_any_content() {
    let mut seed = 7_u64;
    for length in (0..200).chain([511, 512, 1231, 1232, 1400]) {
        let payload: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Octets of all ones now and then, where carries are.
                if seed >> 60 < 8 { 0xff } else { (seed >> 33) as u8 }
            })
            .collect();
        for (query, addresses) in [(v4(b"q"), 26), (v6(b"q"), 22)] {
            let out = reply(&query, &payload);
            let pseudo = [0, 17].into_iter().chain((8 + payload.len() as u16).to_be_bytes());
            // The payload may be odd, so what the pseudo-header adds goes in front.
            let covered: Vec<u8> = pseudo.chain(out[addresses..].iter().copied()).collect();
            assert_eq!(plain_sum(&covered), 0xffff, "{length} octets");
            let at = addresses + if addresses == 26 { 14 } else { 38 };
            assert_ne!(out[at..at + 2], [0, 0], "zero would mean that there is none");
        }
    }
}

#[test]
fn a_sum_of_zero_is_sent_as_all_ones() {
    // The payload takes the sum to all ones, whose complement is zero.
    for (query, addresses) in [(v4(b"q"), 26), (v6(b"q"), 22)] {
        let at = addresses + if addresses == 26 { 14 } else { 38 };
        let first = reply(&query, &[0, 0]);
        let missing = [first[at], first[at + 1]];
        let second = reply(&query, &missing);
        assert_eq!(second[at..at + 2], [0xff, 0xff]);
    }
}

#[test]
fn a_reply_that_does_not_fit_its_frame_is_not_sent() {
    let query = v4(b"q");
    let datagram = parse(&query).unwrap();
    let mut out = vec![0; 2048];
    assert_eq!(write(&query, &datagram, &mut out, 2048 - PAYLOAD, 0), 22..2048);
    assert_eq!(write(&query, &datagram, &mut out, 2048 - PAYLOAD + 1, 0), 0..0);
    assert_eq!(write(&query[..20], &datagram, &mut out, 1, 0), 0..0);
    let mut huge = vec![0; 80_000];
    assert_eq!(write(&query, &datagram, &mut huge, 70_000, 0), 0..0);
}

#[test]
fn random_frames_end_in_a_verdict_and_any_accepted_one_can_be_answered() {
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut accepted = 0;
    for round in 0..200_000 {
        let mut query = if round % 2 == 0 { v4(b"some question") } else { v6(b"some question") };
        for _ in 0..random() % 4 {
            let at = random() % query.len();
            query[at] = random() as u8;
        }
        query.truncate(query.len() - random() % 3);
        if let Ok(datagram) = parse(&query) {
            accepted += 1;
            assert!(query.get(datagram.payload()).is_some());
            let mut out = [0; 2048];
            assert!(!write(&query, &datagram, &mut out, 100, 0).is_empty());
        }
    }
    assert!(accepted > 10_000, "{accepted}");
}
