//! RFC 2181: clarifications: RRsets, their TTLs, truncation, authority of zones.

use pharos_answer::{AnyPolicy, Truncation};
use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

// §5: "This document ... assumes that duplicate records are suppressed".
#[test]
fn duplicate_records_count_once() {
    let served = Served::small("example.", "a A 192.0.2.1\na A 192.0.2.1\nA A 192.0.2.1\n");
    assert_eq!(served.query("a.example.", Rtype::A).answer(), ["a.example. 3600 A 192.0.2.1"]);
}

// §5.2: "the TTLs of all RRs in an RRSet must be the same".
#[test]
fn the_records_of_an_rrset_have_one_ttl() {
    let served = Served::small("example.", "a 60 A 192.0.2.1\na 90 A 192.0.2.2\na 30 A 192.0.2.3\n");
    let reply = served.query("a.example.", Rtype::A);
    assert_eq!(reply.sections[0].len(), 3);
    assert!(reply.sections[0].iter().all(|record| record.ttl == reply.sections[0][0].ttl));
}

// §6.1: "The existence of a zone cut is indicated ... by the presence of NS records in the parent"; the origin's NS
// belong to the zone.
#[test]
fn the_name_servers_at_the_apex_are_authoritative_data() {
    let reply = Served::small("example.", "").query("example.", Rtype::NS);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["example. 3600 NS ns.invalid."]);
}

// §9: "Where TC is set, the partial RRSet that would not completely fit may be left in the response": ours leaves
// whole RRsets out.
#[test]
fn an_rrset_is_never_sent_in_part() {
    let mut body = String::from("a MX 1 b\n");
    for number in 0..40 {
        body.push_str(&format!("b A 192.0.2.{number}\n"));
    }
    let reply = Served::small("example.", &body).query("b.example.", Rtype::A);
    assert!(reply.is_truncated());
    assert_eq!(reply.answer(), []);
}

// §9: "The TC bit should not be set merely because some extra information could have been included, but there was
// insufficient room."
#[test]
fn addresses_that_only_help_do_not_truncate() {
    let mut body = String::from("a MX 1 b\n");
    for number in 0..40 {
        body.push_str(&format!("b A 192.0.2.{number}\n"));
    }
    let reply = Served::small("example.", &body).query("a.example.", Rtype::MX);
    assert!(!reply.is_truncated());
    assert_eq!(reply.answer(), ["a.example. 3600 MX 1 b.example."]);
    assert_eq!(reply.additional(), []);
}

// §9: a denial whose SOA does not fit can not be told apart from an empty answer.
#[test]
fn a_denial_that_does_not_fit_is_truncated() {
    let labels = vec!["l".repeat(63); 3].join(".");
    let (primary, mailbox) = (format!("p.{labels}.test."), format!("m.{labels}.other."));
    let text = format!("@ 60 SOA {primary} {mailbox} 1 1 1 1 1\n@ 60 NS ns.test.\n");
    let served = Served::one("example.", &text);
    let qname = format!("{}.{}.{}.example.", "q".repeat(63), "q".repeat(63), "q".repeat(63));
    let reply = served.query(&qname, Rtype::A);
    assert!(reply.is_truncated());
    assert_eq!(reply.authority(), []);
    let reply = served.ask(&Ask::new(&qname, Rtype::A).edns(1232));
    assert_eq!((reply.is_truncated(), reply.rcode()), (false, Rcode::NXDOMAIN));
}

// §10.1: "an alias ... can have no other data"; such a zone is refused when it is loaded, see crates/zone.
#[test]
#[should_panic = "which is an alias"]
fn a_zone_with_other_data_beside_an_alias_is_not_served() {
    let _ = Served::small("example.", "a CNAME b\na A 192.0.2.1\n");
}

// §10.3 forbids NS and MX to aliases; where a zone does so all the same, nothing is made up.
#[test]
fn a_name_server_that_is_an_alias_gets_no_addresses() {
    let served = Served::small("example.", "m MX 1 alias\nalias CNAME real\nreal A 192.0.2.1\n");
    let reply = served.query("m.example.", Rtype::MX);
    assert_eq!(reply.additional(), []);
}

// §11: "any binary string whatever can be used as the label of any resource record".
#[test]
fn labels_may_hold_any_octets() {
    let served = Served::small("example.", "a\\000b\\255\\.c A 192.0.2.1\n");
    let reply = served.ask(&Ask::of_wire(b"\x06a\0b\xff.c\x07example\0", Rtype::A));
    assert_eq!(reply.sections[0].len(), 1);
    assert_eq!(served.query("a.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
}

// §9: TC is for what did not fit; over TCP a name with much data is told whole.
#[test]
fn a_large_name_is_told_whole_over_tcp() {
    let texts = |rtype: &str, letter: &str| {
        (0..40).map(|n| format!("big {rtype} \"{}{n:02}\"\n", letter.repeat(240))).collect::<String>()
    };
    let served = Served::small("example.", &(texts("TXT", "x") + &texts("SPF", "y"))).any(AnyPolicy::Full);
    let reply = served.ask(&Ask::new("big.example.", Rtype::ANY).tcp());
    assert!(reply.octets.len() > 16_384, "beyond the reach of pointers");
    assert_eq!((reply.sections[0].len(), reply.replied.truncation), (80, Truncation::Whole));
}
