//! What must be true of a whole zone before it may answer.
//!
//! Errors are what would make some answer wrong or impossible: no SOA, two kinds of truth at one name, data
//! that no query can reach by the rules. Warnings are what its writer probably did not mean and what is still
//! one consistent zone, such as a delegation without the glue that it needs: refusing a whole zone for one
//! customer's delegation would be the greater harm.
//!
//! Single records were judged by the scanner already.

use pharos_wire::name::Text;
use pharos_wire::{Rtype, name};
use pharos_zonedb::build::MAX_RRSET;
use pharos_zonedb::image::RECORD_HEAD;
use pharos_zonedb::nsec3::Nsec3Parameters;

use crate::diagnostic::Diagnostic;
use crate::nsec3::is_hash_owner;
use crate::print::{distinct, same_data};
use crate::scan::{Lost, Place};
use crate::tree::{APEX, NodeIndex, Standing, Tree, TreeRecord};

/// Judges a settled tree; `say` receives each finding. What refused lines may have held is not called missing.
pub(crate) fn check(tree: &Tree, lost: Lost, say: &mut impl FnMut(Diagnostic)) {
    apex(tree, lost, say);
    hashing(tree, say);
    for node in tree.nodes() {
        match tree.standing(node) {
            Standing::Authoritative => {
                aliases(tree, node, say);
                rrsets(tree, node, say);
            }
            Standing::Cut => {
                delegation(tree, node, say);
                rrsets(tree, node, say);
            }
            Standing::Occluded(above) => occluded(tree, node, above, say),
        }
    }
}

/// SOA and NS at the apex (RFC 1035 §5.2, RFC 2181 §6.1), and SOA nowhere else. The same SOA twice is one
/// (RFC 2181 §5).
fn apex(tree: &Tree, lost: Lost, say: &mut impl FnMut(Diagnostic)) {
    let zone = tree.apex();
    let mut soas = tree.of_type(APEX, Rtype::SOA);
    match soas.next() {
        None if lost.soa => {}
        None => say(Diagnostic::error(
            Place::default(),
            format!("zone {zone} has no SOA record"),
            format!("add one at {zone}; is this the file of another zone?"),
        )),
        Some(first) => {
            if let Some(second) = soas.find(|soa| !same_data(Rtype::SOA, first.rdata, soa.rdata)) {
                say(Diagnostic::error(
                    second.place,
                    format!("zone {zone} has a second SOA record"),
                    "keep one of them",
                ));
            }
        }
    }
    if !lost.ns && !tree.has(APEX, Rtype::NS) {
        say(Diagnostic::error(
            Place::default(),
            format!("zone {zone} has no NS record at its apex"),
            format!("add the name servers of {zone}"),
        ));
    }
    for node in tree.nodes().skip(1).filter(|&node| tree.has(node, Rtype::SOA)) {
        for soa in tree.of_type(node, Rtype::SOA) {
            say(Diagnostic::error(
                soa.place,
                format!("SOA at {}, which is not the zone's apex {zone}", owner(tree, node)),
                "put the records of each zone into a file of their own",
            ));
        }
    }
}

/// Additional iterations of NSEC3 that are served: validators give up beyond 150 or less (RFC 9276 §3.2), and each
/// query for a name that does not exist costs as many hashes.
const MAX_NSEC3_ITERATIONS: u16 = 150;

const HASHING: &str = "sign with 0 iterations and no salt, as RFC 9276 §3.1 asks";

/// Denials must be cheap to make and to check.
fn hashing(tree: &Tree, say: &mut impl FnMut(Diagnostic)) {
    for record in tree.of_type(APEX, Rtype::NSEC3PARAM) {
        let parameters = Nsec3Parameters::from_rdata(record.rdata);
        let iterations = parameters.as_ref().map_or(0, |parameters| parameters.iterations);
        if iterations > MAX_NSEC3_ITERATIONS {
            say(Diagnostic::error(
                record.place,
                format!("NSEC3 with {iterations} iterations; {MAX_NSEC3_ITERATIONS} are served at most"),
                HASHING,
            ));
        } else if let Some(parameters) = parameters
            && (iterations > 0 || !parameters.salt.is_empty())
        {
            say(Diagnostic::warning(
                record.place,
                format!(
                    "NSEC3 with {iterations} iterations and {} octets of salt, which protect nothing",
                    parameters.salt.len()
                ),
                HASHING,
            ));
        }
    }
}

/// CNAME stands alone (RFC 1034 §3.6.2, RFC 2181 §10.1, RFC 4034 §3 and §4), and so does each DNAME among
/// DNAMEs, without CNAME, and with NS only at the apex (RFC 6672 §2.3, §2.4).
fn aliases(tree: &Tree, node: NodeIndex, say: &mut impl FnMut(Diagnostic)) {
    for rtype in [Rtype::CNAME, Rtype::DNAME] {
        if !tree.has(node, rtype) {
            continue;
        }
        let mut same = tree.of_type(node, rtype);
        let Some(first) = same.next() else { continue };
        if let Some(second) = same.find(|record| !same_data(rtype, first.rdata, record.rdata)) {
            say(Diagnostic::error(
                second.place,
                format!("second {rtype} at {}", owner(tree, node)),
                format!("a name has one {rtype} at most"),
            ));
        }
    }
    if tree.has(node, Rtype::CNAME)
        && let Some(other) = tree.records(node).find(|record| !may_join_cname(record.rtype))
    {
        say(Diagnostic::error(
            other.place,
            format!("{} at {}, which is an alias", other.rtype, owner(tree, node)),
            "remove the CNAME, or put this record at the name that it points to",
        ));
    }
}

fn may_join_cname(rtype: Rtype) -> bool {
    const KEY: Rtype = Rtype(25); // RFC 3007 §3
    const NXT: Rtype = Rtype(30); // RFC 2535 §2.3.5
    matches!(rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC | Rtype::SIG | KEY | NXT)
}

/// A delegation's own node, and the glue that it needs (RFC 1034 §4.2.1, RFC 9471 §3).
fn delegation(tree: &Tree, cut: NodeIndex, say: &mut impl FnMut(Diagnostic)) {
    let cut_owner = tree.owner(cut);
    if tree.is_wildcard(cut) {
        let place = tree.of_type(cut, Rtype::NS).next().map(|record| record.place).unwrap_or_default();
        say(Diagnostic::error(
            place,
            format!("NS at the wildcard {}", owner(tree, cut)),
            "delegate each name by itself: what a wildcard delegation means is not defined (RFC 4592 §4.2)",
        ));
    }
    if let Some(dname) = tree.of_type(cut, Rtype::DNAME).next() {
        say(Diagnostic::error(
            dname.place,
            format!("DNAME at {}, which is delegated", owner(tree, cut)),
            "a DNAME stands beside NS only at the apex of a zone (RFC 6672 §2.3): remove one of them",
        ));
    }
    for record in tree.of_type(cut, Rtype::NS) {
        if name::is_within(record.rdata, cut_owner)
            && !record.target.is_some_and(|target| tree.has_address(target))
        {
            say(Diagnostic::warning(
                record.place,
                format!("{} is delegated to {} without glue", owner(tree, cut), Text(record.rdata)),
                "add its A or AAAA record: nobody can reach the delegated zone through this server",
            ));
        }
    }
    let other = tree.records(cut).find(|record| !may_stand_at_cut(record.rtype));
    if let Some(other) = other {
        say(Diagnostic::warning(
            other.place,
            format!("{} at {}, which is delegated, is never served", other.rtype, owner(tree, cut)),
            "move it into the delegated zone",
        ));
    }
}

/// NS, and what the parent says with authority at a cut: DS, NSEC and signatures (RFC 4035 §2.6); glue.
fn may_stand_at_cut(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG | Rtype::A | Rtype::AAAA)
}

/// Data below a cut are glue or never served; below a DNAME they are never served (RFC 6672 §2.4).
fn occluded(tree: &Tree, node: NodeIndex, above: NodeIndex, say: &mut impl FnMut(Diagnostic)) {
    // Owners of NSEC3 records are beside the names, not below any but the apex (RFC 5155 §7.2.8).
    if is_hash_owner(tree, node) && tree.parent(node) == Some(APEX) {
        return;
    }
    let below_cut = tree.standing(above) == Standing::Cut;
    let glue = |rtype| below_cut && matches!(rtype, Rtype::A | Rtype::AAAA);
    let Some(record) = tree.records(node).find(|record| !glue(record.rtype)) else { return };
    let what = if below_cut { "is delegated" } else { "has a DNAME" };
    say(Diagnostic::warning(
        record.place,
        format!(
            "{} at {} is never served, because {} {what}",
            record.rtype,
            owner(tree, node),
            owner(tree, above)
        ),
        "remove it",
    ));
}

/// Each RRset has one TTL (RFC 2181 §5.2) and fits into a message.
fn rrsets(tree: &Tree, node: NodeIndex, say: &mut impl FnMut(Diagnostic)) {
    // Most names have one record, and nearly any one fits.
    if tree.only_record(node).is_some_and(|only| RECORD_HEAD + 2 + only.rdata.len() <= MAX_RRSET) {
        return;
    }
    let mut all: Vec<TreeRecord<'_>> =
        tree.records(node).filter(|record| record.rtype != Rtype::RRSIG).collect();
    all.sort_by_key(|record| record.rtype);
    for rrset in all.chunk_by(|a, b| a.rtype == b.rtype) {
        let first = rrset[0];
        for record in rrset.iter().filter(|record| record.ttl != first.ttl) {
            say(Diagnostic::warning(
                record.place,
                format!("TTL {} differs from the {} of its RRset", record.ttl, first.ttl),
                format!("{} is served for the whole RRset (RFC 2181 §5.2)", first.ttl),
            ));
        }
        let octets = |rdata: &[&[u8]]| rdata.iter().map(|rdata| RECORD_HEAD + 2 + rdata.len()).sum::<usize>();
        let all: Vec<&[u8]> = rrset.iter().map(|record| record.rdata).collect();
        if octets(&all) <= MAX_RRSET {
            continue;
        }
        // Duplicates count once.
        let octets = octets(&distinct(first.rtype, all));
        if octets > MAX_RRSET {
            say(Diagnostic::error(
                first.place,
                format!("the {} RRset of {} has {octets} octets", first.rtype, owner(tree, node)),
                format!("a DNS message holds {MAX_RRSET} octets of one RRset: remove records"),
            ));
        }
    }
}

fn owner(tree: &Tree, node: NodeIndex) -> Text<'_> {
    Text(tree.owner(node))
}
