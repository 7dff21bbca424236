//! RFC 8482: minimal answers to ANY.

use pharos_answer::AnyPolicy;
use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

fn served() -> Served {
    Served::small(
        "example.",
        "a A 192.0.2.1\na A 192.0.2.2\na AAAA ::1\na TXT x\nc CNAME a\n*.w TXT w\ne.e A 192.0.2.3\n",
    )
}

// §4.1: "a subset of the available RRsets", here one, whole.
#[test]
fn any_is_answered_with_one_whole_rrset() {
    for ask in [Ask::new("a.example.", Rtype::ANY), Ask::new("a.example.", Rtype::ANY).tcp()] {
        let reply = served().ask(&ask);
        assert!(reply.is_authoritative() && !reply.is_truncated());
        let rtype = reply.sections[0][0].rtype;
        assert!(reply.sections[0].iter().all(|record| record.rtype == rtype));
        assert_eq!(reply.sections[0].len(), served().query("a.example.", rtype).sections[0].len());
    }
}

// §4 speaks of names that exist: others are denied as always.
#[test]
fn any_for_what_does_not_exist_is_denied_as_always() {
    assert_eq!(served().query("none.example.", Rtype::ANY).rcode(), Rcode::NXDOMAIN);
    let reply = served().query("e.example.", Rtype::ANY);
    assert_eq!((reply.rcode(), reply.sections[0].len()), (Rcode::NOERROR, 0));
    assert!(reply.authority().has("example. 300 SOA"));
}

// §4.1, RFC 1034 §3.6.2: ANY matches the alias itself.
#[test]
fn any_at_an_alias_is_the_alias() {
    assert_eq!(served().query("c.example.", Rtype::ANY).answer(), ["c.example. 3600 CNAME a.example."]);
}

#[test]
fn any_is_synthesized_from_wildcards() {
    assert_eq!(served().query("q.w.example.", Rtype::ANY).answer(), ["q.w.example. 3600 TXT \"w\""]);
}

// §4.4 leaves it to the operator.
#[test]
fn all_rrsets_are_told_if_the_operator_says_so() {
    let reply = served().any(AnyPolicy::Full).query("a.example.", Rtype::ANY);
    assert_eq!(reply.sections[0].len(), 4);
}
