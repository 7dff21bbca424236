//! An NSEC3 chain: one circle through the hashes of all names, each with its types (RFC 5155 §7.1).

use std::collections::HashSet;

use pharos_wire::Rtype;
use pharos_wire::name::Text;
use pharos_zonedb::nsec3::{HASH_OCTETS, Nsec3Parameters};

use super::bitmap;
use super::faults::Faults;
use crate::nsec3::{Hash, Met, Nsec3Chain, owner_hash};
use crate::scan::Place;
use crate::tree::{APEX, NodeIndex, Standing, Tree, TreeRecord};

const AGAIN: &str = "sign the zone again";

/// Unsigned delegations may be missing (RFC 5155 §6).
const OPT_OUT: u8 = 1;

/// The parts of an NSEC3 record behind the salt (RFC 5155 §3.2).
struct Member<'r> {
    flags: u8,
    next: &'r [u8],
    bitmap: &'r [u8],
    place: Place,
}

/// Judges one chain; `listed` is where its NSEC3PARAM record stands.
pub(crate) fn judge(tree: &Tree, chain: &Nsec3Chain, listed: Place, faults: &mut Faults) {
    if chain.members().len() == 0 {
        let message = "NSEC3PARAM names a chain of which there is no NSEC3 record";
        faults.error(listed, message, "sign the zone again, or remove the record");
        return;
    }
    let members: Vec<(Hash, NodeIndex, Option<Member<'_>>)> =
        chain.members().map(|(hash, node, _)| (hash, node, member(tree, chain, node, faults))).collect();
    let mut stands_for_name = vec![false; members.len()];
    let mut types = Vec::new();
    let leaves_room = only_above_insecure(tree);
    let mut beside_nsec: Option<(Place, u64)> = None;
    for node in tree.nodes() {
        let owner = Text(tree.owner(node));
        match chain.met(node) {
            Met::Not => {}
            Met::Matches(at) => {
                stands_for_name[at as usize] = true;
                let Some(member) = &members[at as usize].2 else { continue };
                bitmap::types(tree, node, &mut types);
                if bitmap::lacks_only_nsec(tree, node, member.bitmap, &types) {
                    let (place, count) = beside_nsec.unwrap_or((member.place, 0));
                    beside_nsec = Some((place.min(member.place), count + 1));
                } else if let Some(difference) = bitmap::difference(member.bitmap, &types) {
                    faults.error(member.place, format!("the NSEC3 record of {owner} {difference}"), AGAIN);
                }
            }
            Met::Covered(at) => {
                let place = tree.records(node).next().map_or(Place::default(), |record| record.place);
                let opt_out =
                    members[at as usize].2.as_ref().is_some_and(|member| member.flags & OPT_OUT != 0);
                let hash = Base32(chain.parameters.hash(&[tree.owner(node)]));
                if !opt_out {
                    faults.error(place, format!("{owner} has no NSEC3 record ({hash})"), AGAIN);
                } else if !leaves_room[node.0 as usize] {
                    let message = format!(
                        "{owner} has no NSEC3 record ({hash}), and only unsigned delegations may be opted out"
                    );
                    faults.error(place, message, AGAIN);
                }
            }
        }
    }
    if let Some((place, count)) = beside_nsec {
        let message = format!("{count} NSEC3 records do not list the NSEC record that their name has");
        faults.warn(place, message, "during a change between NSEC and NSEC3 that is as it should be");
    }
    let mut occluded = None;
    for (at, (hash, node, member)) in members.iter().enumerate() {
        let (owner, Some(member)) = (Text(tree.owner(*node)), member) else { continue };
        if !stands_for_name[at] && occluded.get_or_insert_with(|| of_occluded(tree, chain)).contains(hash) {
            let message = format!("the NSEC3 record {owner} stands for a name that is never served");
            let remedy =
                "it denies what it must; remove what is below the delegation or DNAME, and sign again";
            faults.warn(member.place, message, remedy);
        } else if !stands_for_name[at] {
            let message = format!("the NSEC3 record {owner} stands for no name of the zone");
            faults.error(member.place, message, AGAIN);
        }
        let expected = members[(at + 1) % members.len()].0;
        if member.next != expected {
            let message = format!(
                "the NSEC3 record {owner} leads to {}; the next hash is {}",
                Hash::try_from(member.next)
                    .map_or_else(|_| "no hash".to_owned(), |hash| Base32(hash).to_string()),
                Base32(expected)
            );
            faults.error(member.place, message, AGAIN);
        }
    }
}

/// The hashes of names that no look-up meets. Some signers give them records, too: one is a link of the chain like any
/// other, and covers what it says, so that denials hold.
fn of_occluded(tree: &Tree, chain: &Nsec3Chain) -> HashSet<Hash> {
    tree.nodes()
        .filter(|&node| matches!(tree.standing(node), Standing::Occluded(_)))
        .map(|node| chain.parameters.hash(&[tree.owner(node)]))
        .collect()
}

/// NSEC3 records that are of no chain: their owners are no hashes of the apex's children, or they hash otherwise than
/// any NSEC3PARAM record says.
pub(crate) fn strays(tree: &Tree, listed: &[Nsec3Parameters], faults: &mut Faults) {
    // A chain that is being built or taken down may have an NSEC3PARAM with flags, or none (RFC 5155 §4.1.2).
    let mut unlisted: Option<(Place, u64)> = None;
    for node in tree.nodes().filter(|&node| tree.has(node, Rtype::NSEC3)) {
        for record in tree.of_type(node, Rtype::NSEC3) {
            if tree.parent(node) != Some(APEX) || owner_hash(tree.owner(node)).is_none() {
                let message = format!("NSEC3 at {}, which is no hash below the apex", Text(tree.owner(node)));
                faults.error(record.place, message, "sign the zone again (RFC 5155 §3)");
                continue;
            }
            let parameters = Nsec3Parameters::from_rdata(record.rdata);
            if parameters.is_none_or(|parameters| !listed.contains(&parameters)) {
                let (place, count) = unlisted.unwrap_or((record.place, 0));
                unlisted = Some((place.min(record.place), count + 1));
            }
        }
    }
    if let Some((place, count)) = unlisted {
        let message = format!("{count} NSEC3 records hash otherwise than any NSEC3PARAM record says");
        faults.warn(
            place,
            message,
            "they are of no use; during a change of the chain that is as it should be",
        );
    }
}

/// The record of a chain at its owner, which must be one alone.
fn member<'t>(
    tree: &'t Tree,
    chain: &Nsec3Chain,
    node: NodeIndex,
    faults: &mut Faults,
) -> Option<Member<'t>> {
    let mut records = tree.of_type(node, Rtype::NSEC3).filter(|record| {
        Nsec3Parameters::from_rdata(record.rdata).is_some_and(|parameters| parameters == chain.parameters)
    });
    let record = records.next()?;
    let owner = Text(tree.owner(node));
    if let Some(second) = records.find(|second| second.rdata != record.rdata) {
        faults.error(second.place, format!("{owner} has a second NSEC3 record of the same chain"), AGAIN);
    }
    let member = parts(&record)?;
    if member.flags & !OPT_OUT != 0 {
        let message = format!("the NSEC3 record {owner} has the flags {}", member.flags);
        faults.error(record.place, message, "validators ignore all but 0 and 1 (RFC 5155 §8.2): sign again");
    }
    Some(member)
}

fn parts<'r>(record: &TreeRecord<'r>) -> Option<Member<'r>> {
    let (&[_, flags, _, _, salt], rest) = record.rdata.split_first_chunk::<5>()?;
    let (&octets, rest) = rest.get(usize::from(salt)..)?.split_first()?;
    let (next, bitmap) = rest.split_at_checked(octets.into())?;
    Some(Member { flags, next, bitmap, place: record.place })
}

/// For each node whether opt-out may leave it out: it is an unsigned delegation, or an empty non-terminal that only such
/// delegations need (RFC 5155 §7.1).
fn only_above_insecure(tree: &Tree) -> Vec<bool> {
    let is_insecure_cut = |node| tree.standing(node) == Standing::Cut && !tree.has(node, Rtype::DS);
    let mut may: Vec<bool> =
        tree.nodes().map(|node| is_insecure_cut(node) || tree.records(node).next().is_none()).collect();
    for node in tree.nodes() {
        // What must be there makes all that is above it be there. What is occluded makes nothing.
        if may[node.0 as usize] || matches!(tree.standing(node), Standing::Occluded(_)) {
            continue;
        }
        let mut above = tree.parent(node);
        while let Some(parent) = above.filter(|parent| may[parent.0 as usize]) {
            may[parent.0 as usize] = false;
            above = tree.parent(parent);
        }
    }
    may
}

/// A hash as owners write it (RFC 4648 §7).
struct Base32(Hash);

impl std::fmt::Display for Base32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for digit in 0..HASH_OCTETS * 8 / 5 {
            let bit = digit * 5;
            let pair = [self.0[bit / 8], self.0.get(bit / 8 + 1).copied().unwrap_or(0)];
            let value = u16::from_be_bytes(pair) >> (11 - bit % 8) & 31;
            f.write_str(
                char::from(b"0123456789abcdefghijklmnopqrstuv"[usize::from(value)]).encode_utf8(&mut [0; 4]),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_printed_as_its_owner_is_written() {
        let owner = b"\x200p9mhaveqvm6t7vbl5lop2u3t2rp3tom\x07example\0";
        assert_eq!(Base32(owner_hash(owner).unwrap()).to_string().as_bytes(), &owner[1..33]);
    }
}
