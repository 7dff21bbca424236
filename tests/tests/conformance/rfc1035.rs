//! RFC 1035: the message: header, limits, compression, kinds of queries that are not served.

use pharos_answer::{DropReason, Transport, Verdict};
use pharos_testkit::{Ask, Served};
use pharos_wire::{Class, Opcode, Rcode, Rtype};

fn served() -> Served {
    Served::small("example.", "www A 192.0.2.1\nmail MX 10 www\nhost PTR www\n")
}

// §4.1.1: "copied into the corresponding reply"; checked by the test kit for every reply, here on purpose.
#[test]
fn identifier_opcode_and_rd_are_copied_and_ra_is_clear() {
    for flags in [0, 0x0100] {
        let reply = served().ask(&Ask::new("www.example.", Rtype::A).flags(flags));
        assert_eq!(reply.id, 0xbeef);
        assert_eq!(reply.flags, 0x8400 | flags);
    }
}

// §4.1.1: Z "must be zero in all queries and responses"; AD and CD are RFC 4035's and not ours to copy.
#[test]
fn reserved_bits_of_the_query_do_not_come_back() {
    let reply = served().ask(&Ask::new("www.example.", Rtype::A).flags(0x0070 | 0x0680));
    assert_eq!(reply.flags, 0x8400);
}

// §4.1.1, RCODE 4
#[test]
fn other_kinds_of_query_are_not_implemented() {
    for opcode in (1..16).map(Opcode) {
        let reply = served().ask(&Ask::new("www.example.", Rtype::A).opcode(opcode));
        assert_eq!(reply.rcode(), Rcode::NOTIMP, "{opcode:?}");
        assert_eq!(reply.answer(), []);
    }
}

// §4.1.1, QR: answering an answer could go on for ever.
#[test]
fn a_response_is_never_answered() {
    for flags in [0x8000, 0x8180, 0xffff] {
        let message = Ask::new("www.example.", Rtype::A).flags(flags).octets();
        let verdict = served().verdict(Transport::Udp, &message);
        assert_eq!(verdict, Verdict::Drop(DropReason::Response));
    }
}

// §4.1.2, RCODE 1
#[test]
fn a_question_that_is_cut_off_is_a_format_error() {
    let message = Ask::new("www.example.", Rtype::A).octets();
    for octets in 12..message.len() {
        let verdict = served().verdict(Transport::Udp, &message[..octets]);
        assert!(matches!(verdict, Verdict::Reply(r) if r.rcode == Rcode::FORMERR), "{octets}: {verdict:?}");
    }
}

// §4.1.1: without a whole header there is nobody to answer to.
#[test]
fn less_than_a_header_is_dropped() {
    for octets in 0..12 {
        assert_eq!(served().verdict(Transport::Udp, &[0; 12][..octets]), Verdict::Drop(DropReason::Short));
    }
}

// §2.3.4: labels 63 octets or less, names 255 octets or less.
#[test]
fn names_beyond_the_limits_are_format_errors() {
    let longest = format!("{}example.", "a.".repeat(123));
    assert_eq!(served().query(&longest, Rtype::A).rcode(), Rcode::NXDOMAIN);
    let too_long = [&b"\x01a".repeat(124)[..], b"\x07example\0"].concat();
    assert_eq!(served().ask(&Ask::of_wire(&too_long, Rtype::A)).rcode(), Rcode::FORMERR);
    let long_label = [&[64][..], &[b'a'; 64], b"\x07example\0"].concat();
    assert_eq!(served().ask(&Ask::of_wire(&long_label, Rtype::A)).rcode(), Rcode::FORMERR);
}

// §4.1.4: nothing stands before the question that a pointer could point to.
#[test]
fn a_pointer_in_the_question_is_a_format_error() {
    for pointer in [b"\xc0\x0c", b"\xc0\x00", b"\xff\xff"] {
        assert_eq!(served().ask(&Ask::of_wire(pointer, Rtype::A)).rcode(), Rcode::FORMERR);
    }
}

// §4.1.4: the types of this document may be compressed; owners point to the question.
#[test]
fn names_in_the_data_of_well_known_types_are_compressed() {
    let whole = b"\x03www\x07example\0";
    for (qname, qtype) in [("mail.example.", Rtype::MX), ("host.example.", Rtype::PTR)] {
        let reply = served().query(qname, qtype);
        assert!(!reply.octets.windows(whole.len()).any(|octets| octets == whole), "{qtype}");
        assert!(reply.octets.windows(6).any(|octets| octets == b"\x03www\xc0\x11"), "{qtype}");
    }
}

// §4.2.1: "Messages carried by UDP are restricted to 512 bytes"
#[test]
fn a_reply_over_udp_without_edns_has_512_octets_at_most() {
    let mut body = String::new();
    for number in 0..40 {
        body.push_str(&format!("many A 192.0.2.{number}\n"));
    }
    let served = Served::small("example.", &body);
    let reply = served.query("many.example.", Rtype::A);
    assert!(reply.is_truncated() && reply.octets.len() <= 512);
    // §4.2.2: over TCP the whole answer.
    let reply = served.ask(&Ask::new("many.example.", Rtype::A).tcp());
    assert!(!reply.is_truncated());
    assert_eq!(reply.sections[0].len(), 40);
}

// §3.2.3: queries for transfers are for others; by policy refused.
#[test]
fn transfers_are_refused() {
    for qtype in [Rtype::AXFR, Rtype::IXFR] {
        for ask in [Ask::new("example.", qtype), Ask::new("example.", qtype).tcp()] {
            assert_eq!(served().ask(&ask).rcode(), Rcode::REFUSED);
        }
    }
}

// §3.2.3: MAILA and MAILB are query types like any other that no record has.
#[test]
fn obsolete_query_types_have_no_data() {
    for qtype in [Rtype::MAILA, Rtype::MAILB] {
        let reply = served().query("www.example.", qtype);
        assert_eq!(reply.rcode(), Rcode::NOERROR);
        assert!(reply.authority().has("example. 300 SOA"));
    }
}

// §3.2.4, §3.2.5: our zones have class IN.
#[test]
fn other_classes_are_refused() {
    for qclass in [0, 2, 4, 254, 255, 65_535].map(Class) {
        let reply = served().ask(&Ask::new("www.example.", Rtype::A).class(qclass));
        assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::REFUSED, false), "{qclass:?}");
    }
}

// §3.3.11: NS "cause ... additional section processing to locate the type A record".
#[test]
fn name_servers_bring_their_addresses_along() {
    let served =
        Served::one("example.", "@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\nns 60 AAAA ::1\n");
    let reply = served.query("example.", Rtype::NS);
    assert_eq!(reply.additional(), ["ns.example. 60 A 192.0.2.1", "ns.example. 60 AAAA ::1"]);
}
