//! RFC 5155 §7.2: what a zone with NSEC3 answers, salted and with iterations, and one with opt-out. Proofs are
//! minimal: just the records named here, each once.

use pharos_testkit::Ask;
use pharos_wire::{Rcode, Rtype};

use super::signed::Proof::{Covers, Matches};
use super::signed::{Proof, Signed, hash_label};

/// The zone's name in the list of proofs.
const HERE: &str = "signed.test";

fn nsec3() -> Signed {
    Signed::new("nsec3")
}

fn opt_out() -> Signed {
    Signed::new("opt-out")
}

fn here<const N: usize>(proofs: [Proof; N]) -> [(&'static str, Proof); N] {
    proofs.map(|proof| (HERE, proof))
}

// §7.2.2: closest encloser, next closer name, wildcard.
#[test]
fn a_name_error_is_proved_by_three_records() {
    let cases = [
        (
            "a.nope.signed.test.",
            [Matches("signed.test."), Covers("nope.signed.test."), Covers("*.signed.test.")],
        ),
        (
            "a.b.mail.signed.test.",
            [Matches("mail.signed.test."), Covers("b.mail.signed.test."), Covers("*.mail.signed.test.")],
        ),
        (
            "foo.deep.signed.test.",
            [Matches("deep.signed.test."), Covers("foo.deep.signed.test."), Covers("*.deep.signed.test.")],
        ),
        (
            "foo.empty.signed.test.",
            [Matches("empty.signed.test."), Covers("foo.empty.signed.test."), Covers("*.empty.signed.test.")],
        ),
    ];
    for (qname, proofs) in cases {
        for qtype in [Rtype::A, Rtype::DS, Rtype::NSEC3, Rtype::RRSIG, Rtype::ANY] {
            assert_eq!(nsec3().proves(qname, qtype, &here(proofs)).rcode(), Rcode::NXDOMAIN);
        }
    }
}

// §7.2.3: the record that matches the name; empty non-terminals have one, too.
#[test]
fn no_data_is_proved_by_the_record_that_matches_the_name() {
    for qname in
        ["signed.test.", "mail.signed.test.", "empty.signed.test.", "deep.signed.test.", "d.signed.test."]
    {
        for qtype in [Rtype::AAAA, Rtype::NSEC, Rtype::NSEC3] {
            let reply = nsec3().proves(qname, qtype, &here([Matches(qname)]));
            assert_eq!(reply.rcode(), Rcode::NOERROR);
        }
    }
}

// §7.2.4: no DS, with a record at the delegation.
#[test]
fn no_ds_is_proved_by_the_delegations_record() {
    let reply = nsec3().proves("insecure.signed.test.", Rtype::DS, &here([Matches("insecure.signed.test.")]));
    assert!(reply.is_authoritative());
    nsec3().proves("under.gap.signed.test.", Rtype::DS, &here([Matches("under.gap.signed.test.")]));
}

// §7.2.4: no DS, the delegation being in an opt-out span: the closest provable encloser's proof.
#[test]
fn no_ds_in_an_opt_out_span_is_proved_by_the_closest_provable_encloser() {
    let proofs = here([Matches("signed.test."), Covers("insecure.signed.test.")]);
    let reply = opt_out().proves("insecure.signed.test.", Rtype::DS, &proofs);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    // The empty non-terminal above has no record either.
    let proofs = here([Matches("signed.test."), Covers("gap.signed.test.")]);
    opt_out().proves("under.gap.signed.test.", Rtype::DS, &proofs);
}

// §7.2.3 with erratum 3441: an empty non-terminal that only opted-out delegations make has no record.
#[test]
fn an_empty_non_terminal_in_an_opt_out_span_is_covered() {
    let proofs = here([Matches("signed.test."), Covers("gap.signed.test.")]);
    let reply = opt_out().proves("gap.signed.test.", Rtype::A, &proofs);
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    let proofs = here([Matches("signed.test."), Covers("gap.signed.test."), Covers("*.signed.test.")]);
    assert_eq!(opt_out().proves("x.gap.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NXDOMAIN);
}

// §7.2.5: closest encloser, next closer name, and the wildcard's own record.
#[test]
fn no_data_at_a_wildcard_is_proved_by_three_records() {
    let proofs =
        here([Matches("wild.signed.test."), Covers("x.wild.signed.test."), Matches("*.wild.signed.test.")]);
    for zone in [nsec3(), opt_out()] {
        let reply = zone.proves("x.wild.signed.test.", Rtype::TXT, &proofs);
        assert_eq!(reply.rcode(), Rcode::NOERROR);
    }
    // The same where the wildcard is an empty non-terminal.
    let proofs =
        here([Matches("star.signed.test."), Covers("x.star.signed.test."), Matches("*.star.signed.test.")]);
    assert_eq!(nsec3().proves("x.star.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NOERROR);
}

// §7.2.6: only that the next closer name does not exist; the signature tells the encloser.
#[test]
fn an_expansion_is_proved_by_the_record_that_covers_the_next_closer_name() {
    nsec3().proves("x.wild.signed.test.", Rtype::A, &here([Covers("x.wild.signed.test.")]));
    nsec3().proves("x.y.wild.signed.test.", Rtype::A, &here([Covers("y.wild.signed.test.")]));
    nsec3().proves("x.y.wild.signed.test.", Rtype::ANY, &here([Covers("y.wild.signed.test.")]));
    nsec3().proves("*.wild.signed.test.", Rtype::A, &[]);
    let proofs = here([Covers("x.wildalias.signed.test."), Matches("mail.signed.test.")]);
    nsec3().proves("x.wildalias.signed.test.", Rtype::AAAA, &proofs);
}

// §7.2.7: referrals to unsigned zones.
#[test]
fn a_referral_has_ds_or_the_proof_of_its_absence() {
    for zone in [nsec3(), opt_out()] {
        let reply = zone.proves("www.secure.signed.test.", Rtype::A, &[]);
        assert!(reply.authority().has("secure.signed.test. 3600 DS "));
    }
    nsec3().proves("www.insecure.signed.test.", Rtype::A, &here([Matches("insecure.signed.test.")]));
    let proofs = here([Matches("signed.test."), Covers("insecure.signed.test.")]);
    opt_out().proves("www.insecure.signed.test.", Rtype::A, &proofs);
    let proofs = here([Matches("signed.test."), Covers("gap.signed.test.")]);
    let reply = opt_out().proves("www.under.gap.signed.test.", Rtype::A, &proofs);
    assert!(!reply.is_authoritative());
    assert!(reply.authority().has("under.gap.signed.test. 3600 NS "));
}

// §7.2.8: owners of NSEC3 records are no names of the zone, whatever is asked for, and nor is anything below them.
#[test]
fn the_owner_of_an_nsec3_record_does_not_exist() {
    let owner = format!("{}.signed.test.", hash_label("nsec3", HERE, "mail.signed.test."));
    let owner: &'static str = owner.leak();
    let proofs = here([Matches("signed.test."), Covers(owner), Covers("*.signed.test.")]);
    for qtype in [Rtype::A, Rtype::NSEC3, Rtype::RRSIG, Rtype::ANY, Rtype::DS] {
        let reply = nsec3().proves(owner, qtype, &proofs);
        assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    }
    let reply = nsec3().proves(&format!("x.{owner}"), Rtype::A, &proofs);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    // Also for those who did not set DO.
    let reply = nsec3().served.query(owner, Rtype::NSEC3);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    assert_eq!(reply.sections[1].len(), 1);
}

// §7.2.9 and RFC 4035 §3.1.4.1: DS at a child's apex with the child alone.
#[test]
fn ds_of_a_zone_whose_parent_is_not_served_is_denied_by_its_own_apex() {
    let alone = Signed::with("nsec3", &["child.signed.test"]);
    let proofs = [("child.signed.test", Matches("child.signed.test."))];
    let reply = alone.proves("child.signed.test.", Rtype::DS, &proofs);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
}

// RFC 4035 §3.1.3: in a chain through zones of both kinds each proves its own part.
#[test]
fn an_alias_from_nsec3_into_nsec_is_proved_by_both() {
    let proofs = [
        (HERE, Covers("x.wildout.signed.test.")),
        ("other.test", Covers("nope.other.test.")),
        ("other.test", Covers("*.other.test.")),
    ];
    assert_eq!(nsec3().proves("x.wildout.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NXDOMAIN);
    nsec3().proves("out.signed.test.", Rtype::A, &[]);
}

// RFC 6672 §5.3.
#[test]
fn behind_a_dname_the_last_name_is_denied() {
    let proofs = here([
        Matches("target.signed.test."),
        Covers("nope.target.signed.test."),
        Covers("*.target.signed.test."),
    ]);
    assert_eq!(nsec3().proves("nope.d.signed.test.", Rtype::A, &proofs).rcode(), Rcode::NXDOMAIN);
    nsec3().proves("www.d.signed.test.", Rtype::A, &[]);
}

// §4: NSEC3PARAM is data like any other; NSEC3 records are told in proofs alone.
#[test]
fn without_do_only_what_is_asked_for_is_told() {
    let zone = nsec3();
    let reply = zone.served.query("signed.test.", Rtype::NSEC3PARAM);
    assert_eq!(reply.answer(), ["signed.test. 0 NSEC3PARAM 1 0 2 AABBCCDD"]);
    for qtype in [Rtype::NSEC3, Rtype::NSEC] {
        let reply = zone.served.query("mail.signed.test.", qtype);
        assert_eq!((reply.rcode(), reply.sections[0].len(), reply.sections[1].len()), (Rcode::NOERROR, 0, 1));
    }
    for qname in ["nope", "empty", "x.wild", "www.insecure", "mail"] {
        let reply = zone.served.ask(&Ask::new(&format!("{qname}.signed.test."), Rtype::TXT).edns(4096));
        let dnssec = |rtype| matches!(rtype, Rtype::RRSIG | Rtype::NSEC3);
        assert!(!reply.sections.iter().flatten().any(|record| dnssec(record.rtype)), "{reply}");
    }
}
