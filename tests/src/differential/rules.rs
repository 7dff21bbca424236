//! The named rules that decide differences; docs/rfc-exceptions.md has the reasons.
//!
//! A rule looks at what was asked, at the zones and at both replies, never at a single name. Where it favours
//! ours it checks that ours is what the RFC wants: a rule that only said "that peer differs here" would hide
//! our own faults.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Aspect, Case, Differences, SECTIONS};
use super::message::{ANSWER, AUTHORITY, Reply, ReplyRecord, TC};
use super::names::DomainName;
use super::proof_rules::{
    aa_in_errors, asterisk_exists, before_asterisk, cname_answers, ds_below_a_cut, expansions, hash_owners,
    highest_cut, nsec_is_data, nsec3param_ttl, other_proofs, proofs_behind_dname, provable_encloser,
    servfail, wildcard_encloser, without_do,
};
use super::queries::Shape;
use super::servers::IDENTITY;
use pharos_testkit::peers::Peer;

/// A rule.
pub struct Rule {
    /// Its name, the same as in docs/rfc-exceptions.md.
    pub name: &'static str,
    /// Takes away the differences that it decides.
    pub decide: fn(&Case<'_>, &mut Differences),
}

/// All rules, in the order in which they are asked.
pub const RULES: &[Rule] = &[
    Rule { name: "silence_is_an_answer_to_errors", decide: silence },
    Rule { name: "what_cannot_be_read_has_no_vote", decide: garbled },
    Rule { name: "error_replies_may_be_bare", decide: bare_errors },
    Rule { name: "z_ad_and_cd_are_cleared", decide: spare_flags },
    Rule { name: "extended_errors_are_optional", decide: extended_errors },
    Rule { name: "badvers_repeats_do_and_nsid", decide: badvers },
    Rule { name: "opcodes_not_served_are_policy", decide: opcodes },
    Rule { name: "malformed_messages_are_judged_differently", decide: malformed },
    Rule { name: "other_classes_are_policy", decide: classes },
    Rule { name: "transfers_are_policy", decide: transfers },
    Rule { name: "query_types_have_no_data", decide: query_types },
    Rule { name: "any_is_policy", decide: any },
    Rule { name: "signatures_stand_beside_aliases", decide: beside_an_alias },
    Rule { name: "nsec_at_a_cut_or_a_referral", decide: nsec_at_a_cut },
    Rule { name: "proofs_behind_dname_are_of_the_last_name", decide: proofs_behind_dname },
    Rule { name: "expansions_carry_their_proof", decide: expansions },
    Rule { name: "hash_owners_are_no_names", decide: hash_owners },
    Rule { name: "an_asterisk_that_exists_is_a_name", decide: asterisk_exists },
    Rule { name: "a_denial_at_a_wildcard_proves_its_encloser", decide: wildcard_encloser },
    Rule { name: "the_encloser_is_the_provable_one", decide: provable_encloser },
    Rule { name: "names_may_sort_before_an_asterisk", decide: before_asterisk },
    Rule { name: "proofs_are_those_of_the_rfcs", decide: other_proofs },
    Rule { name: "nsec_is_data", decide: nsec_is_data },
    Rule { name: "cname_is_the_answer_to_cname", decide: cname_answers },
    Rule { name: "ds_below_a_cut_is_referred", decide: ds_below_a_cut },
    Rule { name: "the_highest_cut_refers", decide: highest_cut },
    Rule { name: "without_do_no_proofs", decide: without_do },
    Rule { name: "nsec3param_has_the_ttl_of_the_zone", decide: nsec3param_ttl },
    Rule { name: "aa_in_errors_means_nothing", decide: aa_in_errors },
    Rule { name: "servfail_is_no_answer", decide: servfail },
    Rule { name: "alias_loops_are_data", decide: loops },
    Rule { name: "chains_may_end_early", decide: chain_ends_early },
    Rule { name: "ds_is_the_closest_parents", decide: ds_of_the_parent },
    Rule { name: "names_of_other_zones_do_not_exist_here", decide: shared_tree },
    Rule { name: "yxdomain_ends_the_reply", decide: yxdomain },
    Rule { name: "truncation_depends_on_octets", decide: truncation },
    Rule { name: "additional_data_are_optional", decide: additional },
];

fn all_sections() -> [Aspect; 7] {
    use Aspect::{Aa, Rcode, Tc};
    [Rcode, Aa, Tc, SECTIONS[0], SECTIONS[1], SECTIONS[2], Aspect::OptOptions]
}

/// Nothing requires a reply to what is not a sound query, and limits on error replies are usual.
fn silence(case: &Case<'_>, differences: &mut Differences) {
    let error = [1, 2, 4, 5, 16].contains(&case.ours.rcode) || case.ask.qclass != 1;
    if case.theirs.octets == 0 && (case.ask.is_odd() || error) {
        differences.excuse(&[Aspect::Silence]);
    }
}

/// RFC 1035 §4.1.4: a pointer leads to a prior place. Knot's sometimes do not, where SVCB, MX or SRV have many targets.
fn garbled(case: &Case<'_>, differences: &mut Differences) {
    if case.peer == Peer::Knot && case.theirs.octets == 0 {
        differences.excuse(&[Aspect::Garbled]);
    }
}

/// FORMERR, NOTIMP and REFUSED may come without question, without OPT, and then without RD.
fn bare_errors(case: &Case<'_>, differences: &mut Differences) {
    let error = |reply: &Reply| [1, 4, 5, 9].contains(&reply.rcode);
    if !error(case.theirs) || case.theirs.octets == 0 || !error(case.ours) {
        return;
    }
    if case.theirs.question.is_empty() || case.ours.question.is_empty() {
        differences.excuse(&[Aspect::Question, Aspect::Rd, Aspect::OtherFlags]);
    }
    if case.theirs.opt.is_none() || case.theirs.question.is_empty() {
        differences.excuse(&[Aspect::OptPresence, Aspect::OptFlags, Aspect::OptOptions]);
    }
}

/// Z must be zero (RFC 1035 §4.1.1); an authoritative server clears AD and CD (RFC 4035 §3.1.6).
fn spare_flags(case: &Case<'_>, differences: &mut Differences) {
    const SPARE: u16 = 0x70;
    if case.ours.flags & SPARE == 0 && (case.ours.flags ^ case.theirs.flags) & 0x78f0 & !SPARE == 0 {
        differences.excuse(&[Aspect::OtherFlags]);
    }
}

/// RFC 8914 §2: a server may add an extended error; ours does not.
fn extended_errors(case: &Case<'_>, differences: &mut Differences) {
    const EDE: u16 = 15;
    let without = |reply: &Reply| -> Vec<u16> {
        let options = reply.opt.iter().flat_map(|opt| &opt.options).copied();
        options.filter(|&code| code != EDE).collect()
    };
    if without(case.ours) == without(case.theirs) {
        differences.excuse(&[Aspect::OptOptions]);
    }
}

/// RFC 6891 §6.1.3: only the version is at fault, so DO is repeated (RFC 3225 §3); NSID may come along or not.
fn badvers(case: &Case<'_>, differences: &mut Differences) {
    const NSID: u16 = 3;
    let without = |reply: &Reply| -> Vec<u16> {
        let options = reply.opt.iter().flat_map(|opt| &opt.options).copied();
        options.filter(|&code| code != NSID).collect()
    };
    if case.ours.rcode != 16 || case.theirs.rcode != 16 {
        return;
    }
    // That ours repeats DO is the oracle's business; NSD clears it.
    if case.peer == Peer::Nsd && case.theirs.opt.as_ref().is_some_and(|opt| opt.flags == 0) {
        differences.excuse(&[Aspect::OptFlags]);
    }
    if without(case.ours) == without(case.theirs) {
        differences.excuse(&[Aspect::OptOptions]);
    }
}

/// NOTIFY and UPDATE: who does not implement them says NOTIMP (RFC 1996 §3.12, RFC 2136 §2.2); the others do
/// implement them and have something to say of the zone.
fn opcodes(case: &Case<'_>, differences: &mut Differences) {
    let theirs = [0, 1, 3, 5, 9].contains(&case.theirs.rcode) && case.theirs.octets > 0;
    if matches!(case.ask.opcode, 4 | 5) && case.ours.rcode == 4 && theirs {
        differences.excuse(&all_sections());
        differences.excuse(&[
            Aspect::Rd,
            Aspect::OtherFlags,
            Aspect::Question,
            Aspect::OptPresence,
            Aspect::OptFlags,
        ]);
    }
}

/// Where the RFCs leave open whether an oddity is an error, or another server does not look.
fn malformed(case: &Case<'_>, differences: &mut Differences) {
    if case.ask.shape == Shape::Good || (case.ours.rcode == 1) == (case.theirs.rcode == 1) {
        return;
    }
    // The reader is lenient where nothing is ambiguous, and strict elsewhere; the oracle holds ours to that.
    differences.excuse(&all_sections());
    differences.excuse(&[Aspect::Rd, Aspect::Question, Aspect::OptPresence, Aspect::OptFlags]);
}

/// No zone here has another class than IN: REFUSED, but for two names of class CH.
fn classes(case: &Case<'_>, differences: &mut Differences) {
    let chaos = case.ask.qclass == 3;
    if case.ask.qclass != 1 && (case.ours.rcode == 5 || chaos && case.ours.rcode == 0 || case.ours.rcode == 1)
    {
        differences.excuse(&all_sections());
        differences.excuse(&[Aspect::Question, Aspect::OptPresence, Aspect::OptFlags]);
    }
}

/// RFC 5936 §2.2.1: whether to transfer is policy. Ours refuses whatever the name.
fn transfers(case: &Case<'_>, differences: &mut Differences) {
    // PowerDNS looks for data of that type where a transfer over UDP is asked for.
    let theirs = [0, 1, 4, 5, 9].contains(&case.theirs.rcode) || case.peer == Peer::Pdns;
    if matches!(case.ask.qtype, 251 | 252) && case.ours.rcode == 5 && theirs {
        differences.excuse(&all_sections());
        differences.excuse(&[Aspect::Question, Aspect::OptPresence, Aspect::OptFlags]);
    }
}

/// Numbers of meta types and of query types (RFC 6895 §3.1): OPT, TSIG, TKEY and 0 are errors, which NSD and Knot do
/// not see in them; the others are looked up, which BIND does not do with all.
fn query_types(case: &Case<'_>, differences: &mut Differences) {
    let right = match case.ask.qtype {
        0 | 41 | 250 => case.ours.rcode == 1,
        249 => case.ours.rcode == 4,
        128..=254 => case.peer == Peer::Bind,
        _ => false,
    };
    if right {
        differences.excuse(&all_sections());
        differences.excuse(&[Aspect::Question, Aspect::OptPresence]);
    }
}

/// RFC 8482 §4.1, §7: one of the RRsets is enough for ANY, and of the signatures for RRSIG.
fn any(case: &Case<'_>, differences: &mut Differences) {
    if !matches!(case.ask.qtype, 46 | 255) {
        return;
    }
    if case.peer == Peer::Pdns && case.ask.qtype == 46 && case.theirs.rcode == 5 {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Aa, Aspect::Tc, Aspect::OptOptions]);
    }
    let answers = |reply: &Reply| reply.sections[ANSWER].len();
    let same_way = walk(case.ours_whole, &case.ask.qname) == walk(case.theirs_whole, &case.ask.qname);
    if same_way && answers(case.ours_whole) > 0 && answers(case.theirs_whole) > 0 && is_in_zones(case) {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Tc]);
    }
}

/// Whether every record of our answer that is no alias stands in a zone at its owner or at a wildcard.
fn is_in_zones(case: &Case<'_>) -> bool {
    let answer = case.ours_whole.sections[ANSWER].keys();
    answer.filter(|record| record.rtype != 5).all(|record| {
        let wildcards = record.owner.ancestors().skip(1).map(|above| above.child(b"*"));
        std::iter::once(record.owner.clone())
            .chain(wildcards)
            .any(|owner| case.world.records.contains(&ReplyRecord { owner, ..record.clone() }))
    })
}

/// RRSIG and NSEC may stand beside a CNAME (RFC 4034 §3, §4), so they need not be looked for behind it; NSD takes
/// NSEC3 for one of them.
fn beside_an_alias(case: &Case<'_>, differences: &mut Differences) {
    let (ours, ours_return) = walk(case.ours_whole, &case.ask.qname);
    let (theirs, theirs_return) = walk(case.theirs_whole, &case.ask.qname);
    let shorter = theirs.len() < ours.len() || ours_return && !theirs_return;
    let stayed = shorter && theirs.iter().zip(&ours).all(|(a, b)| a == b);
    if matches!(case.ask.qtype, 46 | 47 | 50) && stayed && case.theirs_whole.rcode == 0 {
        differences.excuse(&[
            Aspect::Rcode,
            Aspect::Answer,
            Aspect::Authority,
            Aspect::Additional,
            Aspect::Tc,
        ]);
    }
}

/// The names that a reply's aliases lead through, from the qname on, and whether they come back.
pub fn walk(reply: &Reply, qname: &DomainName) -> (Vec<DomainName>, bool) {
    let mut names = vec![qname.folded()];
    while let Some(next) = names.last().and_then(|last| reply.alias(last)) {
        let next = next.folded();
        if names.contains(&next) {
            return (names, true);
        }
        names.push(next);
    }
    (names, false)
}

/// The parent's NSEC at a cut is authoritative there (RFC 4035 §2.6); a referral is as good (RFC 1034 §4.3.2).
fn nsec_at_a_cut(case: &Case<'_>, differences: &mut Differences) {
    let theirs_answers = case.theirs.of_type(ANSWER, 47).next().is_some();
    if case.ask.qtype == 47 && case.ours.is_referral() && theirs_answers {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Aa, Aspect::Tc]);
    }
}

/// RFC 1034 §3.6.2: an alias loop is a fault of the data; the reply holds it as far as it goes. BIND says SERVFAIL;
/// Knot repeats records, or goes round once more.
fn loops(case: &Case<'_>, differences: &mut Differences) {
    let (_, comes_back) = walk(case.ours_whole, &case.ask.qname);
    if !comes_back || case.ours.rcode != 0 {
        return;
    }
    if case.peer == Peer::Bind && case.theirs.rcode == 2 {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Aa, Aspect::OptOptions, Aspect::Tc]);
    }
    let records =
        |reply: &Reply| -> BTreeSet<ReplyRecord> { reply.sections[ANSWER].keys().cloned().collect() };
    if case.theirs.rcode == 0 && records(case.ours_whole) == records(case.theirs_whole) {
        differences.excuse(&[Aspect::Answer, Aspect::Tc]);
    }
}

/// A reply may end at an alias: another zone, or a bound on the chain (RFC 1034 §4.3.2 step 3a, RFC 2308 §2.1).
fn chain_ends_early(case: &Case<'_>, differences: &mut Differences) {
    let (ours, _) = walk(case.ours_whole, &case.ask.qname);
    let (theirs, _) = walk(case.theirs_whole, &case.ask.qname);
    let common = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    if common < 2 || common != ours.len().min(theirs.len()) {
        return;
    }
    // The last name that the shorter one reached.
    let shorter = common - 1;
    let crosses = zone_for(case, &ours[shorter]) != zone_for(case, &ours[shorter - 1]);
    let bound = common > 5 && case.peer == Peer::Knot || common > 8;
    // A DNAME that leads below itself (RFC 6672 §2.2 ends it by YXDOMAIN).
    let grows = case
        .ours_whole
        .of_type(ANSWER, 39)
        .any(|dname| DomainName::from_wire(&dname.rdata).below(&dname.owner));
    if crosses || bound || grows && case.peer == Peer::Nsd {
        differences.excuse(&[
            Aspect::Rcode,
            Aspect::Answer,
            Aspect::Authority,
            Aspect::Additional,
            Aspect::Tc,
        ]);
        differences.excuse(&[Aspect::OptOptions]);
    }
}

/// RFC 6672 §2.2: YXDOMAIN comes with the DNAME, after which nothing can follow. Knot goes on from other names.
fn yxdomain(case: &Case<'_>, differences: &mut Differences) {
    let dname = case.ours_whole.of_type(ANSWER, 39).next().is_some();
    let theirs = case.theirs_whole.of_type(ANSWER, 39).next().is_some();
    if case.peer == Peer::Knot && case.ours_whole.rcode == 6 && dname && theirs {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc]);
    }
}

/// What another zone of this server holds at or above the name does not make it exist in this one, nor shut out a
/// wildcard of this one.
fn shared_tree(case: &Case<'_>, differences: &mut Differences) {
    if case.peer != Peer::Nsd {
        return;
    }
    let names = walk(case.ours_whole, &case.ask.qname).0;
    if names.iter().any(|name| is_known_elsewhere(case, name)) {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc, Aspect::OptOptions]);
    }
}

/// Whether a zone other than the one that answers has the name, one above it, or a wildcard for it, where the one
/// that answers has none.
fn is_known_elsewhere(case: &Case<'_>, name: &DomainName) -> bool {
    let Some(zone) = zone_for(case, name) else { return false };
    let above = name.ancestors().filter(|above| above.below(&zone));
    let wildcards =
        name.ancestors().skip(1).filter(|above| above.within(&zone)).map(|above| above.child(b"*"));
    let absent = above.chain(wildcards).filter(|name| case.world.types(&zone, name).is_none());
    let elsewhere = |name: DomainName| {
        let has = |(apex, nodes): (&DomainName, &BTreeMap<_, _>)| *apex != zone && nodes.contains_key(&name);
        // That tree has the names above an apex too.
        case.world.nodes.iter().any(has) || case.world.apexes.iter().any(|apex| apex.within(&name))
    };
    absent.into_iter().any(elsewhere)
}

/// The zone that answers for a name and the type asked for.
pub fn zone_for(case: &Case<'_>, name: &DomainName) -> Option<DomainName> {
    case.world.zone_for(name, case.ask.qtype)
}

/// RFC 4035 §3.1.4.1: the zone above the child answers for DS, which is the closest one that is served.
fn ds_of_the_parent(case: &Case<'_>, differences: &mut Differences) {
    let qname = case.ask.qname.folded();
    let is_apex = case.world.apexes.contains(&qname);
    let ours_parent = case.world.zone_of(&qname.parent());
    let soa = |reply: &Reply| reply.of_type(AUTHORITY, 6).next().map(|soa| soa.owner.clone());
    let ours_right = soa(case.ours).is_none_or(|owner| Some(owner) == ours_parent);
    let root_is_served = case.world.apexes.contains(&DomainName::default());
    if case.peer == Peer::Nsd && case.ask.qtype == 43 && is_apex && root_is_served && ours_right {
        differences.excuse(&SECTIONS);
        differences.excuse(&[Aspect::Rcode, Aspect::Tc]);
    }
}

/// What fits depends on the packing of names and on what else is in the reply; what counts is that TC tells of
/// what the client needs (checked for ours in every case).
fn truncation(case: &Case<'_>, differences: &mut Differences) {
    use Aspect::{Additional, Answer, Authority, Rcode, Tc};
    // Nothing asks that the options fit (RFC 6891 §6.1.2); ours gives their room to records.
    if case.ours.octets + 4 + IDENTITY.len() > case.ask.limit() {
        differences.excuse(&[Aspect::OptOptions]);
    }
    if case.ours_whole.rcode != case.theirs_whole.rcode {
        return;
    }
    if case.ours.has(TC) && case.theirs.has(TC) {
        differences.excuse(&[Rcode, Tc, Answer, Authority, Additional]);
    }
    // One of them left something out for its size.
    let cut = |reply: &Reply, whole: &Reply| {
        whole.octets > case.ask.limit() || reply.has(TC) || is_part(reply, whole)
    };
    if cut(case.ours, case.ours_whole) || cut(case.theirs, case.theirs_whole) {
        differences.excuse(&[Rcode, Tc, Answer, Authority, Additional]);
    }
}

/// Whether a reply has some of the records of another, and no other ones.
fn is_part(reply: &Reply, whole: &Reply) -> bool {
    let pairs = || reply.sections.iter().zip(&whole.sections);
    pairs().all(|(part, all)| part.keys().all(|record| all.contains_key(record)))
        && pairs().any(|(part, all)| part.len() < all.len())
}

/// RFC 1034 §4.3.2 step 6, RFC 9471 §3: addresses are help, but for in-domain glue in referrals. Ours is held
/// against the oracle, address by address.
fn additional(_: &Case<'_>, differences: &mut Differences) {
    differences.excuse(&[Aspect::Additional]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::source_root;

    #[test]
    fn every_rule_is_documented_and_nothing_else_is() {
        let text = std::fs::read_to_string(source_root().join("docs/rfc-exceptions.md")).unwrap();
        let documented: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
        let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(documented, rules);
    }
}
