//! RFC 6604: response codes and status bits where aliases were followed.

use pharos_testkit::Served;
use pharos_wire::{Rcode, Rtype};

// §3: "the RCODE in the ultimate DNS response MUST BE set based on the final query cycle".
#[test]
fn the_response_code_is_that_of_the_last_name() {
    let served = Served::small("example.", "a CNAME b\nb CNAME none\nc CNAME d\nd TXT x\n*.w CNAME none\n");
    assert_eq!(served.query("a.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.query("q.w.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.query("c.example.", Rtype::A).rcode(), Rcode::NOERROR);
}

// §3: across zones of one server, and by DNAME.
#[test]
fn the_last_name_may_be_in_another_zone() {
    let served =
        Served::small("example.", "a CNAME none.test.\nd DNAME test.\n").body("test.", "x A 192.0.2.1\n");
    assert_eq!(served.query("a.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.query("none.d.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.query("x.d.example.", Rtype::A).rcode(), Rcode::NOERROR);
}

// §3: what ends outside of our zones ends without an error of ours.
#[test]
fn a_chain_that_leaves_our_zones_is_no_error() {
    let reply = Served::small("example.", "a CNAME b\nb CNAME www.test.\n").query("a.example.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(reply.sections[0].len(), 2);
    assert_eq!(reply.authority(), []);
}

// §2.1 (RFC 1035 §4.1.1): AA "corresponds to the name which matches the query name, or the first owner name".
#[test]
fn authority_is_that_of_the_first_name() {
    let served = Served::small("example.", "a CNAME x.sub\nsub NS ns.sub\nns.sub A 192.0.2.1\n");
    let reply = served.query("a.example.", Rtype::A);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["a.example. 3600 CNAME x.sub.example."]);
    assert_eq!(reply.authority(), ["sub.example. 3600 NS ns.sub.example."]);
    assert_eq!(reply.additional(), ["ns.sub.example. 3600 A 192.0.2.1"]);
}

// Ours: the target's zone was never loaded; the alias is known, and the next query, for the target, is told.
#[test]
fn an_alias_into_a_zone_that_is_not_loaded_is_answered_as_far_as_it_goes() {
    let served = Served::small("example.", "a CNAME x.test.\n").not_loaded("test.");
    let reply = served.query("a.example.", Rtype::A);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert_eq!(reply.answer(), ["a.example. 3600 CNAME x.test."]);
    assert_eq!(served.query("x.test.", Rtype::A).rcode(), Rcode::SERVFAIL);
}
