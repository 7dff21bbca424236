//! The NSEC chain: one circle through all names that the zone speaks of, each with its types (RFC 4034 §4).

use pharos_wire::Rtype;
use pharos_wire::name::{Text, canonical_order, measure};

use super::bitmap;
use super::faults::Faults;
use crate::nsec3::holds_hashes_only;
use crate::tree::{APEX, NodeIndex, Standing, Tree, TreeRecord};

const AGAIN: &str = "sign the zone again";

/// Judges the chain.
pub(crate) fn judge(tree: &Tree, faults: &mut Faults) {
    let mut members: Vec<NodeIndex> = tree.nodes().filter(|&node| is_in_chain(tree, node)).collect();
    members.sort_by(|&one, &other| canonical_order(tree.owner(one), tree.owner(other)));
    let mut types = Vec::new();
    for (at, &node) in members.iter().enumerate() {
        let owner = Text(tree.owner(node));
        let mut records = tree.of_type(node, Rtype::NSEC);
        let Some(record) = records.next() else {
            let place = tree.records(node).next().map(|record| record.place).unwrap_or_default();
            faults.error(place, format!("{owner} has no NSEC record"), AGAIN);
            continue;
        };
        if let Some(second) = records.find(|second| second.rdata != record.rdata) {
            faults.error(second.place, format!("{owner} has a second NSEC record"), AGAIN);
        }
        let Some((next, bitmap)) = split(&record) else { continue };
        // The last name leads back to the apex (RFC 4034 §4.1.1).
        let expected = members.get(at + 1).copied().unwrap_or(APEX);
        if !next.eq_ignore_ascii_case(tree.owner(expected)) {
            let message = format!(
                "the NSEC record of {owner} leads to {}; the next name is {}",
                Text(next),
                Text(tree.owner(expected))
            );
            // Some signers lead through names below a DNAME, which are never met: the denials of what follows them
            // would stand at names that are not served.
            let stops = tree.standing(node) == Standing::Cut || tree.has(node, Rtype::DNAME);
            let below = is_below(next, tree.owner(node)) && node != APEX && stops;
            let remedy = match below {
                true => {
                    format!("remove what is below {owner}, which is never served, and sign the zone again")
                }
                false => AGAIN.to_owned(),
            };
            faults.error(record.place, message, remedy);
        }
        bitmap::types(tree, node, &mut types);
        if let Some(difference) = bitmap::difference(bitmap, &types) {
            faults.error(record.place, format!("the NSEC record of {owner} {difference}"), AGAIN);
        }
        // RFC 4035 §2.3.
        if types.iter().all(|rtype| matches!(*rtype, Rtype::NSEC | Rtype::RRSIG)) {
            faults.warn(record.place, format!("{owner} has nothing but its NSEC record"), AGAIN);
        }
    }
}

/// Whether a name in wire form ends in the labels of another.
fn is_below(name: &[u8], above: &[u8]) -> bool {
    let Some(head) = name.len().checked_sub(above.len()).filter(|&head| head > 0) else { return false };
    let mut at = 0;
    while at < head {
        at += 1 + usize::from(name[at]);
    }
    at == head && name[head..].eq_ignore_ascii_case(above)
}

/// Names with data or delegations have a record; empty non-terminals have none (RFC 4034 §4, RFC 4035 §2.3).
fn is_in_chain(tree: &Tree, node: NodeIndex) -> bool {
    !matches!(tree.standing(node), Standing::Occluded(_))
        && tree.records(node).next().is_some()
        && !holds_hashes_only(tree, node)
}

fn split<'r>(record: &TreeRecord<'r>) -> Option<(&'r [u8], &'r [u8])> {
    record.rdata.split_at_checked(measure(record.rdata).ok()?)
}
