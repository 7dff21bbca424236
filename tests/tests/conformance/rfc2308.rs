//! RFC 2308: negative answers and how long they may be kept.

use pharos_testkit::Served;
use pharos_wire::{Rcode, Rtype};

fn served(soa_ttl: u32, minimum: u32) -> Served {
    let text = format!(
        "$TTL 900\n@ {soa_ttl} SOA ns h 7 7200 1800 1209600 {minimum}\n@ NS ns\nns A 192.0.2.1\n\
         alias CNAME none\nalias2 CNAME ns\ndeep.ent A 192.0.2.2\n"
    );
    Served::one("example.", &text)
}

// §2.1
#[test]
fn a_name_error_has_the_soa_and_authority() {
    let reply = served(900, 300).query("none.example.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NXDOMAIN, true));
    assert_eq!(reply.answer(), []);
    assert_eq!(reply.authority(), ["example. 300 SOA ns.example. h.example. 7 7200 1800 1209600 300"]);
    assert_eq!(reply.additional(), []);
}

// §2.1: "... with or without an answer section": the alias and the name error of its target.
#[test]
fn a_name_error_behind_an_alias_comes_with_the_alias() {
    let reply = served(900, 300).query("alias.example.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NXDOMAIN, true));
    assert_eq!(reply.answer(), ["alias.example. 900 CNAME none.example."]);
    assert_eq!(reply.authority(), ["example. 300 SOA ns.example. h.example. 7 7200 1800 1209600 300"]);
}

// §2.2
#[test]
fn no_data_has_the_soa_and_no_error() {
    for qname in ["ns.example.", "example."] {
        let reply = served(900, 300).query(qname, Rtype::MX);
        assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
        assert_eq!(reply.answer(), []);
        assert_eq!(reply.authority(), ["example. 300 SOA ns.example. h.example. 7 7200 1800 1209600 300"]);
    }
}

// §2.2: also behind an alias.
#[test]
fn no_data_behind_an_alias_comes_with_the_alias() {
    let reply = served(900, 300).query("alias2.example.", Rtype::MX);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert_eq!(reply.answer(), ["alias2.example. 900 CNAME ns.example."]);
    assert!(reply.authority().has("example. 300 SOA"));
}

// §3, §5: "The TTL of this record is set from the minimum of the MINIMUM field of the SOA record and the TTL of the
// SOA itself".
#[test]
fn the_ttl_of_a_denial_is_the_lesser_of_the_soas_ttl_and_minimum() {
    for (soa_ttl, minimum, ttl) in [(900, 300, 300), (300, 900, 300), (60, 60, 60), (0, 300, 0), (300, 0, 0)]
    {
        let reply = served(soa_ttl, minimum).query("none.example.", Rtype::A);
        assert_eq!(reply.sections[1][0].ttl, ttl, "TTL {soa_ttl}, MINIMUM {minimum}");
        // The SOA as an answer keeps its own TTL.
        assert_eq!(served(soa_ttl, minimum).query("example.", Rtype::SOA).sections[0][0].ttl, soa_ttl);
    }
}

// §2.2.1: without records of its own a name that has names below it exists (RFC 4592 §2.2.2, RFC 8020 §2).
#[test]
fn an_empty_non_terminal_has_no_data() {
    let reply = served(900, 300).query("ent.example.", Rtype::A);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert!(reply.authority().has("example. 300 SOA"));
    assert_eq!(served(900, 300).query("x.ent.example.", Rtype::A).rcode(), Rcode::NXDOMAIN);
}

// §2.1: the SOA is that of the zone in which the last name was not found.
#[test]
fn the_soa_is_that_of_the_zone_where_the_chain_ended() {
    let served = Served::small("example.", "alias CNAME none.test.\n").body("test.", "");
    let reply = served.query("alias.example.", Rtype::A);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    assert!(reply.authority().has("test. 300 SOA"));
    assert_eq!(reply.sections[1].len(), 1);
}
