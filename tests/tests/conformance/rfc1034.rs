//! RFC 1034: concepts. The example zones of §6.1 and the queries of §6.2, and the algorithm of §4.3.2.

use pharos_testkit::Served;
use pharos_wire::{Rcode, Rtype};

const ROOT: &str = "\
$TTL 86400
.               SOA     SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
                NS      A.ISI.EDU.
                NS      C.ISI.EDU.
                NS      SRI-NIC.ARPA.
MIL.            NS      SRI-NIC.ARPA.
                NS      A.ISI.EDU.
EDU.            NS      SRI-NIC.ARPA.
                NS      C.ISI.EDU.
SRI-NIC.ARPA.   A       26.0.0.73
                A       10.0.0.51
                MX      0 SRI-NIC.ARPA.
                HINFO   DEC-2060 TOPS20
ACC.ARPA.       A       26.6.0.65
                HINFO   PDP-11/70 UNIX
                MX      10 ACC.ARPA.
USC-ISIC.ARPA.  CNAME   C.ISI.EDU.
73.0.0.26.IN-ADDR.ARPA. PTR SRI-NIC.ARPA.
A.ISI.EDU.      A       26.3.0.103
C.ISI.EDU.      A       10.0.0.52
";

const EDU: &str = "\
$TTL 172800
@               SOA     SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870729 1800 300 604800 86400
                NS      SRI-NIC.ARPA.
                NS      C.ISI.EDU.
UCI             NS      ICS.UCI
                NS      ROME.UCI
ICS.UCI         A       192.5.19.1
ROME.UCI        A       192.5.19.31
ISI             NS      VAXA.ISI
                NS      A.ISI
                NS      VENERA.ISI.EDU.
VAXA.ISI        A       10.2.0.27
                A       128.9.0.33
VENERA.ISI.EDU. A       10.1.0.52
                A       128.9.0.32
A.ISI           A       26.3.0.103
C.ISI           A       10.0.0.52
YALE.EDU.       NS      YALE.ARPA.
MIT.EDU. 43200  NS      XX.LCS.MIT.EDU.
XX.LCS.MIT.EDU. 43200 A 10.0.0.44
";

fn root() -> Served {
    Served::one(".", ROOT)
}

// §6.2.1
#[test]
fn the_addresses_of_sri_nic_are_an_authoritative_answer() {
    let reply = root().query("SRI-NIC.ARPA.", Rtype::A);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["SRI-NIC.ARPA. 86400 A 26.0.0.73", "SRI-NIC.ARPA. 86400 A 10.0.0.51"]);
    assert_eq!(reply.authority(), []);
    assert_eq!(reply.additional(), []);
}

// §6.2.2
#[test]
fn all_types_of_sri_nic_are_told_where_any_is_not_minimal() {
    let served = root().any(pharos_answer::AnyPolicy::Full);
    let reply = served.query("SRI-NIC.ARPA.", Rtype::ANY);
    assert!(reply.is_authoritative());
    assert_eq!(
        reply.answer(),
        [
            "SRI-NIC.ARPA. 86400 A 26.0.0.73",
            "SRI-NIC.ARPA. 86400 A 10.0.0.51",
            "SRI-NIC.ARPA. 86400 MX 0 SRI-NIC.ARPA.",
            "SRI-NIC.ARPA. 86400 HINFO \"DEC-2060\" \"TOPS20\"",
        ]
    );
}

// §6.2.3
#[test]
fn a_mail_exchange_brings_its_addresses_along() {
    let reply = root().query("SRI-NIC.ARPA.", Rtype::MX);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["SRI-NIC.ARPA. 86400 MX 0 SRI-NIC.ARPA."]);
    assert_eq!(reply.additional(), ["SRI-NIC.ARPA. 86400 A 26.0.0.73", "SRI-NIC.ARPA. 86400 A 10.0.0.51"]);
}

// §6.2.4; the SOA is RFC 2308's.
#[test]
fn a_name_without_the_type_gives_no_answer_and_no_error() {
    let reply = root().query("SRI-NIC.ARPA.", Rtype::NS);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(reply.answer(), []);
    assert!(reply.authority().has(". 86400 SOA "));
}

// §6.2.5
#[test]
fn a_mistyped_name_gives_a_name_error_with_the_soa() {
    let reply = root().query("SIR-NIC.ARPA.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NXDOMAIN, true));
    assert_eq!(reply.answer(), []);
    assert_eq!(
        reply.authority(),
        [". 86400 SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400"]
    );
}

// §6.2.6
#[test]
fn a_name_in_a_delegated_zone_gives_a_referral_without_authority() {
    let reply = root().query("BRL.MIL.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, false));
    assert_eq!(reply.answer(), []);
    assert_eq!(reply.authority(), ["MIL. 86400 NS SRI-NIC.ARPA.", "MIL. 86400 NS A.ISI.EDU."]);
    assert_eq!(
        reply.additional(),
        [
            "A.ISI.EDU. 86400 A 26.3.0.103",
            "SRI-NIC.ARPA. 86400 A 26.0.0.73",
            "SRI-NIC.ARPA. 86400 A 10.0.0.51"
        ]
    );
}

// §6.2.7: at a server that has the target's parent only by delegation.
#[test]
fn an_alias_into_a_delegated_zone_comes_with_the_referral_for_its_target() {
    let reply = root().query("USC-ISIC.ARPA.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(reply.answer(), ["USC-ISIC.ARPA. 86400 CNAME C.ISI.EDU."]);
    assert_eq!(reply.authority(), ["EDU. 86400 NS SRI-NIC.ARPA.", "EDU. 86400 NS C.ISI.EDU."]);
}

// §6.2.7: at a server with both zones.
#[test]
fn an_alias_restarts_the_query_in_the_zone_of_its_target() {
    let served = root().body("ISI.EDU.", "C A 10.0.0.52\n").zone("EDU.", EDU);
    let reply = served.query("USC-ISIC.ARPA.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(reply.answer(), ["USC-ISIC.ARPA. 86400 CNAME C.ISI.EDU.", "C.ISI.EDU. 3600 A 10.0.0.52"]);
}

// §6.2.8
#[test]
fn a_query_for_the_alias_itself_is_not_restarted() {
    let reply = root().query("USC-ISIC.ARPA.", Rtype::CNAME);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["USC-ISIC.ARPA. 86400 CNAME C.ISI.EDU."]);
    assert_eq!(reply.authority(), []);
}

// §3.6.2: "... unless the query type matches CNAME": all other types restart, signatures too where there are none.
#[test]
fn every_other_type_follows_the_alias() {
    let served = Served::small("example.", "a CNAME b\nb A 192.0.2.1\nb TXT x\n");
    for (qtype, last) in
        [(Rtype::TXT, "b.example. 3600 TXT \"x\""), (Rtype::A, "b.example. 3600 A 192.0.2.1")]
    {
        assert_eq!(served.query("a.example.", qtype).answer(), ["a.example. 3600 CNAME b.example.", last]);
    }
    for qtype in [Rtype::RRSIG, Rtype::NSEC, Rtype::DS, Rtype(65_280)] {
        let reply = served.query("a.example.", qtype);
        assert_eq!(reply.answer(), ["a.example. 3600 CNAME b.example."], "{qtype}");
        assert!(reply.authority().has("example. 300 SOA"), "{qtype}");
    }
}

// §4.3.2 step 2: the nearest ancestor zone answers, not the parent's referral.
#[test]
fn the_zone_nearest_to_the_name_answers() {
    let served = root().zone("EDU.", EDU);
    let reply = served.query("EDU.", Rtype::NS);
    assert!(reply.is_authoritative());
    assert_eq!(reply.answer(), ["EDU. 172800 NS SRI-NIC.ARPA.", "EDU. 172800 NS C.ISI.EDU."]);
    assert_eq!(served.query("x.NONE.EDU.", Rtype::A).rcode(), Rcode::NXDOMAIN);
    assert!(served.query("x.MIT.EDU.", Rtype::A).authority().has("MIT.EDU. 43200 NS"));
}

// §4.3.2 step 3b: also for the cut's own name, and for NS.
#[test]
fn the_name_of_a_cut_belongs_to_the_child() {
    let served = Served::one("EDU.", EDU);
    for qtype in [Rtype::NS, Rtype::A, Rtype::SOA, Rtype::ANY, Rtype::MX] {
        let reply = served.query("UCI.EDU.", qtype);
        assert!(!reply.is_authoritative(), "{qtype}");
        assert_eq!(reply.answer(), [], "{qtype}");
        assert_eq!(
            reply.authority(),
            ["UCI.EDU. 172800 NS ICS.UCI.EDU.", "UCI.EDU. 172800 NS ROME.UCI.EDU."]
        );
        assert_eq!(
            reply.additional(),
            ["ICS.UCI.EDU. 172800 A 192.5.19.1", "ROME.UCI.EDU. 172800 A 192.5.19.31"]
        );
    }
}

// §4.2.1: glue is not authoritative, so a query for it gets the referral.
#[test]
fn glue_is_never_an_answer() {
    let reply = Served::one("EDU.", EDU).query("ICS.UCI.EDU.", Rtype::A);
    assert!(!reply.is_authoritative());
    assert_eq!(reply.answer(), []);
    assert!(reply.authority().has("UCI.EDU. 172800 NS"));
}

// §4.3.2 step 3: matching goes down label by label, so the highest cut refers.
#[test]
fn the_highest_of_nested_cuts_refers() {
    let served =
        Served::small("example.", "a NS ns.a\nns.a A 192.0.2.1\nb.a NS ns.b.a\nns.b.a A 192.0.2.2\n");
    for qname in ["x.b.a.example.", "b.a.example.", "ns.b.a.example.", "a.example."] {
        let reply = served.query(qname, Rtype::A);
        assert_eq!(reply.authority(), ["a.example. 3600 NS ns.a.example."], "{qname}");
        assert_eq!(reply.additional(), ["ns.a.example. 3600 A 192.0.2.1"], "{qname}");
    }
}

// §3.6.2: "CNAME chains should be followed and CNAME loops signalled as an error": at a server the loop is data, and
// what has been found so far is the answer.
#[test]
fn a_loop_of_aliases_is_told_once_around() {
    let served = Served::small("example.", "a CNAME b\nb CNAME c\nc CNAME a\n");
    let reply = served.query("a.example.", Rtype::A);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert_eq!(
        reply.answer(),
        [
            "a.example. 3600 CNAME b.example.",
            "b.example. 3600 CNAME c.example.",
            "c.example. 3600 CNAME a.example."
        ]
    );
}

// §5.2.2: resolvers follow chains; a server's bound is its own, and eight must be within it.
#[test]
fn eight_aliases_are_followed() {
    let mut body: String = (0..8).map(|n| format!("a{n} CNAME a{}\n", n + 1)).collect();
    body.push_str("a8 A 192.0.2.8\n");
    let reply = Served::small("example.", &body).query("a0.example.", Rtype::A);
    assert_eq!(reply.sections[0].len(), 9);
    assert!(reply.answer().has("a8.example. 3600 A 192.0.2.8"));
}

// §4.3.1: what is outside of all zones is not ours to answer.
#[test]
fn names_outside_of_all_zones_are_refused() {
    let reply = Served::one("EDU.", EDU).query("www.example.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::REFUSED, false));
    assert_eq!(reply.authority(), []);
}

// §4.3.2 step 6 uses all local data, those of wildcards too (RFC 4592 §3.3.1): under the name that was looked for.
#[test]
fn addresses_that_only_a_wildcard_has_go_along() {
    let body = "@ MX 1 a.wild\n@ MX 2 b.wild\n@ MX 3 x.ent.wild\n@ MX 4 c.d.cut\n*.wild A 192.0.2.1\n\
                ent.wild TXT a\n_srv SRV 1 2 3 a.wild\ncut NS ns.cut\nns.cut A 192.0.2.2\n*.cut A 192.0.2.3\n\
                child NS s.wild\nchild NS q.cut\n";
    let served = Served::small("example.", body);
    assert_eq!(
        served.query("example.", Rtype::MX).additional(),
        ["a.wild.example. 3600 A 192.0.2.1", "b.wild.example. 3600 A 192.0.2.1"]
    );
    let one = ["a.wild.example. 3600 A 192.0.2.1"];
    assert_eq!(served.query("_srv.example.", Rtype::SRV).additional(), one);
    // What stands below a cut expands nothing in this zone.
    let reply = served.query("www.child.example.", Rtype::A);
    assert_eq!(reply.additional(), ["s.wild.example. 3600 A 192.0.2.1"]);
}
