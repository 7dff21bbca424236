//! The rules about signed zones: proofs, and what PowerDNS makes of a zone that came signed.
//!
//! Parts of the list in [`super::rules`]; the oracle has judged ours before any of them is asked.

use std::collections::BTreeSet;

use super::judge::{Aspect, Case, Differences, SECTIONS};
use super::message::{ANSWER, AUTHORITY, Reply, ReplyRecord};
use super::names::DomainName;
use super::rules::{walk, zone_for};
use pharos_testkit::peers::Peer;

/// What proves an expansion or a denial behind a DNAME speaks of the last name (RFC 4035 §3.1.3); NSD's speaks of
/// the first.
pub fn proofs_behind_dname(case: &Case<'_>, differences: &mut Differences) {
    let dname = case.ours.of_type(ANSWER, 39).next().is_some();
    if case.peer == Peer::Nsd && dname && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority]);
    }
}

/// Every expansion needs the proof that nothing is closer (RFC 4035 §3.1.3.3), also that of a qname that begins with
/// an asterisk (RFC 4592 §2.2.1), and that of NSEC itself; Knot leaves it out of these two.
pub fn expansions(case: &Case<'_>, differences: &mut Differences) {
    let expanded = |name: &DomainName| {
        let asterisk = name.0.first().is_some_and(|label| label == b"*");
        let zone = zone_for(case, name);
        let absent = zone.is_some_and(|zone| case.world.types(&zone, name).is_none());
        absent && (asterisk || case.ask.qtype == 47)
    };
    let names = walk(case.ours, &case.ask.qname).0;
    if case.peer == Peer::Knot && names.iter().any(expanded) && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority]);
    }
}

/// The owner of an NSEC3 record is no name of the zone (RFC 5155 §7.2.8), so it is nobody's closest encloser.
pub fn hash_owners(case: &Case<'_>, differences: &mut Differences) {
    let names = walk(case.ours, &case.ask.qname).0;
    let hashed = |name: &DomainName| name.ancestors().any(|above| case.world.hash_owners.contains(&above));
    if case.peer != Peer::Nsd || !names.iter().any(hashed) {
        return;
    }
    if only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority]);
    }
    // With another encloser, neither the DNAME nor the wildcard above it is met.
    let redirected = !case.ours.sections[ANSWER].is_empty();
    if redirected && case.theirs.rcode == 3 {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc]);
    }
}

/// A name that begins with an asterisk and exists is denied a type like any other, by the one record that matches it
/// (RFC 5155 §7.2.3, RFC 4592 §2.3); NSD adds what a wildcard's denial takes.
pub fn asterisk_exists(case: &Case<'_>, differences: &mut Differences) {
    let last = walk(case.ours, &case.ask.qname).0.pop().unwrap_or_default();
    let asterisk = last.0.first().is_some_and(|label| label == b"*");
    let exists = zone_for(case, &last).is_some_and(|zone| case.world.types(&zone, &last).is_some());
    let more = case.ours.sections[AUTHORITY]
        .keys()
        .all(|record| case.theirs.sections[AUTHORITY].contains_key(record));
    if case.peer == Peer::Nsd && asterisk && exists && more && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority]);
    }
}

/// RFC 5155 §7.2.5: the denial of a type at a wildcard takes the closest encloser's record too. NSD leaves it out.
pub fn wildcard_encloser(case: &Case<'_>, differences: &mut Differences) {
    let last = walk(case.ours, &case.ask.qname).0.pop().unwrap_or_default();
    let absent = zone_for(case, &last).is_some_and(|zone| case.world.types(&zone, &last).is_none());
    let (ours, theirs) = (&case.ours.sections[AUTHORITY], &case.theirs.sections[AUTHORITY]);
    let less = theirs.keys().all(|record| ours.contains_key(record));
    if case.peer == Peer::Nsd && case.ours.rcode == 0 && absent && less && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority, Aspect::Tc]);
    }
}

/// With opt-out a name may exist and have no NSEC3 record. Then the closest encloser that can be proved is one above it,
/// and the wildcard is that one's (RFC 5155 §1.3, §7.2.1, §7.2.2). NSD goes by names.
pub fn provable_encloser(case: &Case<'_>, differences: &mut Differences) {
    let unprovable = |name: &DomainName| {
        let zone = zone_for(case, name).and_then(|zone| case.world.facts.get(&zone));
        zone.is_some_and(|zone| {
            let encloser = name.ancestors().find(|above| zone.exists(above));
            let unmatched =
                |encloser: DomainName| zone.chains.iter().any(|chain| chain.matching(&encloser).is_none());
            encloser.is_some_and(unmatched)
        })
    };
    let names = walk(case.ours, &case.ask.qname).0;
    if !names.iter().any(unprovable) {
        return;
    }
    let empty = case.theirs.sections[AUTHORITY].is_empty();
    match case.peer {
        Peer::Nsd if only_proofs_differ(case) => differences.excuse(&[Aspect::Authority, Aspect::Tc]),
        Peer::Knot if case.theirs.rcode == 3 && empty => differences.excuse(&[Aspect::Authority, Aspect::Aa]),
        _ => {}
    }
}

/// The canonical order (RFC 4034 §6.1) puts labels such as \000 before an asterisk, so the NSEC record that covers the
/// wildcard need not be that of its parent. NSD sends the parent's.
pub fn before_asterisk(case: &Case<'_>, differences: &mut Differences) {
    let last = walk(case.ours, &case.ask.qname).0.pop().unwrap_or_default();
    let Some(zone) = zone_for(case, &last) else { return };
    let nodes = || case.world.nodes.get(&zone).into_iter().flat_map(|nodes| nodes.keys());
    let early =
        |name: &DomainName| name.below(&zone) && last.below(&name.parent()) && name.0[0] < b"*".to_vec();
    if case.peer == Peer::Nsd && case.ours.rcode == 3 && nodes().any(early) && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority, Aspect::Tc]);
    }
}

/// RFC 4035 §3.1.3, RFC 5155 §7.2: which records prove a denial or an expansion; the oracle knows them. PowerDNS looks
/// them up in an order of names that it works out by itself.
pub fn other_proofs(case: &Case<'_>, differences: &mut Differences) {
    if case.peer == Peer::Pdns && only_proofs_differ(case) {
        differences.excuse(&[Aspect::Authority, Aspect::Tc]);
    }
}

/// NSEC records are data of the zone that can be asked for (RFC 4034 §4). PowerDNS has them for proofs alone: what it
/// answers is made up from its own order of names.
pub fn nsec_is_data(case: &Case<'_>, differences: &mut Differences) {
    if case.peer == Peer::Pdns && case.ask.qtype == 47 {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc]);
    }
}

/// RFC 1034 §4.3.2 step 3a: an alias is followed if QTYPE does not match CNAME. PowerDNS follows one from a wildcard, and
/// for ANY.
pub fn cname_answers(case: &Case<'_>, differences: &mut Differences) {
    let (ours, theirs) = (&case.ours_whole.sections[ANSWER], &case.theirs_whole.sections[ANSWER]);
    let further = ours.keys().all(|record| theirs.contains_key(record));
    if case.peer == Peer::Pdns && matches!(case.ask.qtype, 5 | 255) && !ours.is_empty() && further {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc]);
    }
}

/// RFC 4035 §3.1.4.1 has the parent answer for DS at a cut, not for names below it: these are referred like any
/// (RFC 1034 §4.3.2 step 3b). PowerDNS denies them.
pub fn ds_below_a_cut(case: &Case<'_>, differences: &mut Differences) {
    let soa = case.theirs_whole.of_type(AUTHORITY, 6).next().is_some();
    let refers = case.ours_whole.of_type(AUTHORITY, 2).next().is_some();
    if case.peer == Peer::Pdns && case.ask.qtype == 43 && refers && soa {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Aa, Aspect::Rcode, Aspect::Tc]);
    }
}

/// RFC 1034 §4.3.2 step 3b: going down, the first cut ends the look-up. PowerDNS goes up from the name, and takes NS
/// records that stand below a cut.
pub fn highest_cut(case: &Case<'_>, differences: &mut Differences) {
    let cut = |reply: &Reply| reply.of_type(AUTHORITY, 2).next().map(|ns| ns.owner.clone());
    let (Some(ours), Some(theirs)) = (cut(case.ours_whole), cut(case.theirs_whole)) else { return };
    if case.peer == Peer::Pdns && theirs.below(&ours) {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Tc, Aspect::Aa]);
    }
}

/// RFC 4035 §3.1: without DO no DNSSEC record, unless it is asked for. PowerDNS sends DS with referrals.
pub fn without_do(case: &Case<'_>, differences: &mut Differences) {
    let wants = case.ask.edns.as_ref().is_some_and(|edns| edns.flags & 0x8000 != 0);
    let others = |reply: &Reply| -> BTreeSet<ReplyRecord> {
        reply.sections[AUTHORITY].keys().filter(|record| record.rtype != 43).cloned().collect()
    };
    if case.peer == Peer::Pdns && !wants && others(case.ours) == others(case.theirs) {
        differences.excuse(&[Aspect::Authority]);
    }
}

/// A record has the TTL that the zone's file gives it (RFC 2181 §5.2). PowerDNS makes NSEC3PARAM up from its settings,
/// and does not have it behind an alias.
pub fn nsec3param_ttl(case: &Case<'_>, differences: &mut Differences) {
    let others = |reply: &Reply| -> BTreeSet<ReplyRecord> {
        let plain = |record: &ReplyRecord| ReplyRecord { ttl: 0, ..record.clone() };
        reply.sections[ANSWER].keys().map(plain).filter(|record| record.rtype != 51).collect()
    };
    let missing =
        case.theirs.of_type(ANSWER, 51).next().is_none() && case.ours.of_type(ANSWER, 51).next().is_some();
    if case.peer == Peer::Pdns
        && case.ask.qtype == 51
        && (missing || others(case.ours) == others(case.theirs))
    {
        differences.excuse(&[Aspect::Answer]);
        if missing {
            differences.excuse(&[Aspect::Authority]);
        }
    }
}

/// RFC 1035 §4.1.1: AA is about the name in the question; an error says nothing of it.
pub fn aa_in_errors(case: &Case<'_>, differences: &mut Differences) {
    let same = case.ours.rcode == case.theirs.rcode;
    if case.peer == Peer::Pdns && same && [1, 2, 4, 5, 16].contains(&case.ours.rcode) {
        differences.excuse(&[Aspect::Aa]);
    }
}

/// RFC 1035 §4.1.1: SERVFAIL tells of the server and not of the data. PowerDNS's bind backend fails at names with odd
/// octets, at rdata that lead to them, and where aliases lead in circles or far.
pub fn servfail(case: &Case<'_>, differences: &mut Differences) {
    if case.peer == Peer::Pdns && case.theirs.rcode == 2 && case.theirs.octets > 0 {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Aa, Aspect::Tc, Aspect::OptOptions]);
    }
}

/// Whether the authority sections are the same but for NSEC records and their signatures.
fn only_proofs_differ(case: &Case<'_>) -> bool {
    let others = |reply: &Reply| -> BTreeSet<ReplyRecord> {
        let proof = |record: &ReplyRecord| {
            // An RRSIG begins with the type that it covers (RFC 4034 §3.1).
            matches!(record.rtype, 47 | 50)
                || record.rtype == 46 && matches!(record.rdata.get(..2), Some([0, 47 | 50]))
        };
        reply.sections[AUTHORITY].keys().filter(|record| !proof(record)).cloned().collect()
    };
    others(case.ours) == others(case.theirs)
}
