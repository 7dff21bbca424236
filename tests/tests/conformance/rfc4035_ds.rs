//! RFC 4035: which side of a cut answers for DS (§3.1.4, §3.1.4.1), in unsigned zones.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

const DS: &str = "sub DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n";
const DELEGATION: &str = "sub NS ns.sub\nns.sub A 192.0.2.1\nbare NS ns.test.\n";

fn parent() -> Served {
    Served::small("example.", &format!("{DELEGATION}{DS}"))
}

// §3.1.4.1: the parent is authoritative for DS at the cut.
#[test]
fn ds_at_a_cut_is_an_authoritative_answer_of_the_parent() {
    let reply = parent().query("sub.example.", Rtype::DS);
    assert!(reply.is_authoritative());
    assert!(reply.answer().has("sub.example. 3600 DS 1 13 2 "));
    assert_eq!(reply.authority(), []);
}

// §3.1.4.1: "... if no DS RRset is present ..., no data".
#[test]
fn no_ds_at_a_cut_is_no_data_of_the_parent() {
    let reply = parent().query("bare.example.", Rtype::DS);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert!(reply.authority().has("example. 300 SOA"));
    assert_eq!(reply.sections[1].len(), 1);
}

// §3.1.4.1: a server with both zones answers from the parent.
#[test]
fn with_parent_and_child_served_the_parent_answers_for_ds() {
    let served = parent().body("sub.example.", "@ A 192.0.2.2\n");
    assert_eq!(served.query("sub.example.", Rtype::DS).sections[0].len(), 1);
    assert_eq!(served.query("sub.example.", Rtype::A).sections[0].len(), 1);
    assert!(served.query("sub.example.", Rtype::NS).is_authoritative());
}

// §3.1.4.1: a server with the child alone: "the name server MUST ... treat ... as no data".
#[test]
fn with_the_child_alone_ds_has_no_data() {
    let reply = Served::small("sub.example.", "").query("sub.example.", Rtype::DS);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert!(reply.authority().has("sub.example. 300 SOA"));
}

// The parent is served and does not delegate the child: the parent's truth is that the name does not exist.
#[test]
fn ds_of_a_child_that_its_parent_does_not_know_is_a_name_error() {
    let served = Served::small("example.", "").body("sub.example.", "");
    let reply = served.query("sub.example.", Rtype::DS);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    assert!(reply.authority().has("example. 300 SOA"));
}

// Below the cut the child answers, or is referred to, for DS as for every type.
#[test]
fn ds_below_a_cut_is_a_referral() {
    let reply = parent().query("x.sub.example.", Rtype::DS);
    assert!(!reply.is_authoritative());
    assert_eq!(reply.authority(), ["sub.example. 3600 NS ns.sub.example."]);
}

// §3.1.4 asks for DS and its signatures in referrals of signed zones. A DS that nobody signed proves nothing: whether
// it goes along is ours to say, and it is never sent to those who do not set DO.
#[test]
fn a_referral_has_no_ds_for_those_who_do_not_ask_by_do() {
    assert!(!parent().query("x.sub.example.", Rtype::A).authority().has("sub.example. 3600 DS"));
    let reply = parent().ask(&Ask::new("x.sub.example.", Rtype::A).dnssec());
    assert!(reply.authority().has("sub.example. 3600 NS ns.sub.example."));
}

// The root has no parent.
#[test]
fn ds_of_the_root_has_no_data() {
    let reply = Served::small(".", "").query(".", Rtype::DS);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert!(reply.authority().has(". 300 SOA"));
}

// The parent is configured and was never loaded: it cannot say.
#[test]
fn ds_with_the_parent_not_loaded_is_a_server_failure() {
    let served = Served::small("sub.example.", "").not_loaded("example.");
    assert_eq!(served.query("sub.example.", Rtype::DS).rcode(), Rcode::SERVFAIL);
    assert_eq!(served.query("sub.example.", Rtype::SOA).rcode(), Rcode::NOERROR);
}
