//! RFC 4035 §3: what a signed zone with NSEC answers. Proofs are minimal: just the records named here, each once.

use pharos_testkit::Ask;
use pharos_wire::{Rcode, Rtype};

use super::signed::Proof::{Covers, Matches};
use super::signed::{Proof, Signed};

/// The zone's name in the list of proofs.
const HERE: &str = "signed.test";

fn nsec() -> Signed {
    Signed::new("nsec")
}

fn here<const N: usize>(proofs: [Proof; N]) -> [(&'static str, Proof); N] {
    proofs.map(|proof| (HERE, proof))
}

// §3.1.1: without anything to deny there is nothing to prove.
#[test]
fn a_positive_answer_has_its_signature_and_no_proof() {
    let reply = nsec().proves("mail.signed.test.", Rtype::A, &[]);
    assert_eq!(reply.sections.each_ref().map(Vec::len), [2, 0, 0]);
}

// §3.1.1: signatures over additional data go along where they fit, and never set TC.
#[test]
fn additional_addresses_come_with_their_signatures_as_far_as_there_is_room() {
    let reply = nsec().ask("signed.test.", Rtype::MX);
    assert!(reply.additional().has("mail.signed.test. 3600 A 192.0.2.25"));
    assert!(reply.additional().has("mail.signed.test. 3600 RRSIG A "));
    // A long identity fills the reply, since no client takes less than 512 octets.
    let served = Signed::with("nsec", &["signed.test"]).served.identity(LONG);
    let ask = |octets| served.ask(&Ask::new("signed.test.", Rtype::NS).edns(octets).dnssec().nsid());
    let whole = ask(1232);
    assert_eq!(whole.sections[2].iter().filter(|record| record.rtype == Rtype::RRSIG).count(), 2);
    for octets in 512..whole.octets.len() as u16 {
        let reply = ask(octets);
        assert!(!reply.is_truncated());
        assert!(
            reply.additional().has("ns.signed.test. 3600 A ")
                && reply.additional().has("ns.signed.test. 3600 AAAA ")
        );
        assert_eq!(reply.sections[2].len(), 3, "{octets}: {reply}");
    }
}

const LONG: &str = "a-node-with-a-long-name-so-that-its-identity-takes-a-hundred-and-twenty-eight-octets-of-each-reply-that-it-sends-to-whoever-asks-";

// §3.1.3.1: the NSEC record of the name.
#[test]
fn no_data_is_proved_by_the_record_at_the_name() {
    let reply = nsec().proves("mail.signed.test.", Rtype::AAAA, &here([Matches("mail.signed.test.")]));
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    nsec().proves("signed.test.", Rtype::AAAA, &here([Matches("signed.test.")]));
}

// §3.1.3.1, RFC 4592 §2.2.2: an empty non-terminal has no NSEC record.
#[test]
fn an_empty_non_terminal_is_proved_by_the_record_that_covers_it() {
    for qtype in [Rtype::A, Rtype::NSEC, Rtype::RRSIG, Rtype::ANY, Rtype::DS] {
        let reply = nsec().proves("empty.signed.test.", qtype, &here([Covers("empty.signed.test.")]));
        assert_eq!(reply.rcode(), Rcode::NOERROR);
    }
}

// §3.1.3.2: that the name does not exist, and that no wildcard could have stood for it.
#[test]
fn a_name_error_is_proved_by_two_records_or_one_that_does_both() {
    let cases = [
        ("nope.signed.test.", [Covers("nope.signed.test."), Covers("*.signed.test.")]),
        ("a.b.mail.signed.test.", [Covers("a.b.mail.signed.test."), Covers("*.mail.signed.test.")]),
        // below an empty non-terminal, and beside the wildcard below it
        ("foo.deep.signed.test.", [Covers("foo.deep.signed.test."), Covers("*.deep.signed.test.")]),
        (
            "x.there.wild.signed.test.",
            [Covers("x.there.wild.signed.test."), Covers("*.there.wild.signed.test.")],
        ),
    ];
    for (qname, proofs) in cases {
        let reply = nsec().proves(qname, Rtype::A, &here(proofs));
        assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    }
    // One record covers both of these.
    let reply = nsec().ask("a.b.mail.signed.test.", Rtype::A);
    assert_eq!(reply.sections[1].iter().filter(|record| record.rtype == Rtype::NSEC).count(), 1);
}

// §3.1.3.2: types of DNSSEC are denied as all others.
#[test]
fn a_name_error_does_not_depend_on_the_type() {
    for qtype in [Rtype::NSEC, Rtype::RRSIG, Rtype::DS, Rtype::DNSKEY, Rtype::ANY] {
        let proofs = here([Covers("nope.signed.test."), Covers("*.signed.test.")]);
        assert_eq!(nsec().proves("nope.signed.test.", qtype, &proofs).rcode(), Rcode::NXDOMAIN);
    }
}

// §3.1.3.3: that nothing closer exists.
#[test]
fn an_expansion_is_proved_by_the_record_that_covers_the_name() {
    for (qname, qtype) in [
        ("x.wild.signed.test.", Rtype::A),
        ("x.y.wild.signed.test.", Rtype::A),
        ("x.wild.signed.test.", Rtype::ANY),
        ("x.wild.signed.test.", Rtype::NSEC),
        ("a.x.deep.signed.test.", Rtype::A),
    ] {
        let name = qname.to_owned().leak();
        let reply = nsec().proves(qname, qtype, &here([Covers(name)]));
        assert_eq!(reply.rcode(), Rcode::NOERROR);
        assert!(reply.sections[0].len() >= 2, "{reply}");
    }
    // The wildcard's own name is no expansion.
    nsec().proves("*.wild.signed.test.", Rtype::A, &[]);
}

// §3.1.3.4: that nothing closer exists, and the wildcard's own record.
#[test]
fn no_data_at_a_wildcard_is_proved_by_two_records() {
    let proofs = here([Covers("x.wild.signed.test."), Matches("*.wild.signed.test.")]);
    let reply = nsec().proves("x.wild.signed.test.", Rtype::TXT, &proofs);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    // A wildcard that is an empty non-terminal has no record of its own.
    let proofs = here([Covers("x.star.signed.test."), Covers("*.star.signed.test.")]);
    assert_eq!(nsec().proves("x.star.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NOERROR);
}

// §3.1.4: the DS RRset, or that there is none.
#[test]
fn a_referral_has_the_ds_records_or_the_proof_of_their_absence() {
    let reply = nsec().proves("www.secure.signed.test.", Rtype::A, &[]);
    assert!(!reply.is_authoritative());
    assert!(reply.authority().has("secure.signed.test. 3600 DS 12345 13 2 "));
    assert!(reply.authority().has("secure.signed.test. 3600 RRSIG DS "));
    let proofs = here([Matches("insecure.signed.test.")]);
    nsec().proves("www.insecure.signed.test.", Rtype::A, &proofs);
    nsec().proves("insecure.signed.test.", Rtype::NS, &proofs);
}

// §3.1.4.1: DS is the parent's, and so is its denial.
#[test]
fn ds_at_a_cut_is_answered_or_denied_with_the_parents_records() {
    let reply = nsec().proves("secure.signed.test.", Rtype::DS, &[]);
    assert!(reply.is_authoritative());
    assert_eq!(reply.sections[0].len(), 2);
    let reply = nsec().proves("insecure.signed.test.", Rtype::DS, &here([Matches("insecure.signed.test.")]));
    assert!(reply.is_authoritative());
    assert!(reply.authority().has("signed.test. 300 SOA"));
}

// §3.1.4.1: with parent and child served here, the parent has the DS records and the child all else.
#[test]
fn ds_of_a_child_that_is_served_here_comes_from_the_parent() {
    let reply = nsec().proves("child.signed.test.", Rtype::DS, &[]);
    assert!(reply.answer().has("child.signed.test. 3600 DS "));
    assert!(reply.answer().has("child.signed.test. 3600 RRSIG DS 13 3 3600 20860101000000 "));
    let child = ("child.signed.test", Matches("child.signed.test."));
    let reply = nsec().proves("child.signed.test.", Rtype::MX, &[child]);
    assert!(reply.authority().has("child.signed.test. 300 SOA"));
    // The child alone has no DS and proves it from its own apex.
    let alone = Signed::with("nsec", &["child.signed.test"]);
    let reply = alone.proves("child.signed.test.", Rtype::DS, &[child]);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
}

// §3.1.1: an alias' signature; §3.1.3.2: what denies its target.
#[test]
fn an_alias_is_signed_and_the_denial_is_of_the_last_name() {
    nsec().proves("alias.signed.test.", Rtype::A, &[]);
    nsec().proves("alias.signed.test.", Rtype::AAAA, &here([Matches("mail.signed.test.")]));
    let proofs = here([Covers("nope.signed.test."), Covers("*.signed.test.")]);
    let reply = nsec().proves("dangling.signed.test.", Rtype::A, &proofs);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    // Its own records can be asked for.
    let reply = nsec().proves("alias.signed.test.", Rtype::NSEC, &[]);
    assert!(reply.answer().has("alias.signed.test. 300 NSEC "));
}

// §3.1.3.3: an expansion on the way needs its proof, whatever is at the end.
#[test]
fn each_expansion_of_a_chain_is_proved() {
    nsec().proves("x.wildalias.signed.test.", Rtype::A, &here([Covers("x.wildalias.signed.test.")]));
    let proofs = here([Covers("x.wildalias.signed.test."), Matches("mail.signed.test.")]);
    nsec().proves("x.wildalias.signed.test.", Rtype::AAAA, &proofs);
}

// §3.1.3: each zone's part is proved by its own records.
#[test]
fn an_alias_into_another_zone_is_proved_by_both() {
    nsec().proves("out.signed.test.", Rtype::A, &[]);
    let proofs = [
        (HERE, Covers("x.wildout.signed.test.")),
        ("other.test", Covers("nope.other.test.")),
        ("other.test", Covers("*.other.test.")),
    ];
    let reply = nsec().proves("x.wildout.signed.test.", Rtype::A, &proofs);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    assert!(reply.authority().has("other.test. 300 SOA"));
    assert!(!reply.authority().has("signed.test. 300 SOA"));
}

// RFC 6672 §5.3: the DNAME is signed, the CNAME that it makes is not.
#[test]
fn a_dname_is_signed_and_needs_no_proof_of_its_own() {
    let reply = nsec().proves("www.d.signed.test.", Rtype::A, &[]);
    assert!(reply.answer().has("d.signed.test. 3600 RRSIG DNAME "));
    assert!(reply.answer().has("www.d.signed.test. 3600 CNAME www.target.signed.test."));
    assert!(!reply.answer().has("www.d.signed.test. 3600 RRSIG"));
    let proofs = here([Covers("nope.target.signed.test."), Covers("*.target.signed.test.")]);
    assert_eq!(nsec().proves("nope.d.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NXDOMAIN);
    nsec().proves("d.signed.test.", Rtype::A, &here([Matches("d.signed.test.")]));
}

// RFC 6672 §2.2 ends the chain; the expansion before it is still in need of its proof.
#[test]
fn a_name_that_grows_too_long_behind_an_expansion_leaves_the_proof_of_the_expansion() {
    let reply =
        nsec().proves("x.wildlong.signed.test.", Rtype::A, &here([Covers("x.wildlong.signed.test.")]));
    assert_eq!(reply.rcode(), Rcode::YXDOMAIN);
}

// §3.2.1 of RFC 3225, §3.1 of this: without DO there are no DNSSEC records, unless one is asked for by type.
#[test]
fn without_do_no_dnssec_record_is_told_unless_asked_for() {
    let zone = nsec();
    for qname in ["mail", "nope", "empty", "x.wild", "www.secure", "www.insecure", "x.wildout", "www.d"] {
        for qtype in [Rtype::A, Rtype::TXT, Rtype::MX] {
            let reply = zone.served.ask(&Ask::new(&format!("{qname}.signed.test."), qtype).edns(4096));
            let dnssec = |rtype| matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::DS | Rtype::DNSKEY);
            assert!(!reply.sections.iter().flatten().any(|record| dnssec(record.rtype)), "{reply}");
        }
    }
    for (qname, qtype) in [
        ("signed.test.", Rtype::DNSKEY),
        ("signed.test.", Rtype::NSEC),
        ("signed.test.", Rtype::RRSIG),
        ("mail.signed.test.", Rtype::NSEC),
        ("secure.signed.test.", Rtype::DS),
    ] {
        let reply = zone.served.ask(&Ask::new(qname, qtype).tcp());
        assert!(!reply.sections[0].is_empty(), "{reply}");
        assert!(reply.sections.iter().flatten().all(|record| record.rtype == qtype), "{reply}");
    }
}

// RFC 8482 §4.1: one RRset; with DO it is signed.
#[test]
fn any_gets_a_signed_rrset() {
    let reply = nsec().proves("mail.signed.test.", Rtype::ANY, &[]);
    assert_eq!(reply.sections.each_ref().map(Vec::len), [2, 0, 0]);
}

// §3.1.5, §3.1.1: a proof that does not fit sets TC.
#[test]
fn a_proof_that_does_not_fit_truncates() {
    let ask = |octets| nsec().served.ask(&Ask::new("x.wild.signed.test.", Rtype::TXT).edns(octets).dnssec());
    assert!(ask(512).is_truncated());
    assert!(!ask(1232).is_truncated());
}
