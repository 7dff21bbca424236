//! Each RRset of the zone and the signatures over it.
//!
//! What must be signed is what the zone speaks of with authority (RFC 4035 §2.2): not delegations, nor glue. It must
//! be signed with each algorithm that the zone uses. A signature that is there must be one that validators would
//! take (RFC 4035 §5.3.1), or stand beside such a one: that is odd, and no fault (RFC 4035 §5.3.3). Only over the keys
//! themselves signatures by different keys do not stand for each other. Their times are told apart, of which [`super::times`] speaks.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use pharos_wire::Rtype;
use pharos_wire::name::{Labels, Text};

use super::faults::Faults;
use super::is_judged;
use super::keys::{Key, Keys, name as algorithm_name};
use super::p256::Claim;
use super::rrsig::Rrsig;
use super::verify::{Busy, Canonical, PublicKey};
use super::{Checks, Signatures};
use crate::rtype::Display;
use crate::scan::Place;
use crate::tree::{APEX, NodeIndex, Standing, Tree, TreeRecord};

/// A batch of fewer signatures is left to ring: the inversions that a batch shares take as long as eight of them.
const BATCH_MIN: usize = 32;

/// What all threads share.
pub(crate) struct Judge<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) keys: &'t Keys<'t>,
    pub(crate) checks: &'t Checks,
    /// The key that made most of the signatures, where they are many enough.
    pub(crate) busy: Option<&'t Busy<'t>>,
    /// Signatures that were looked at.
    pub(crate) done: &'t AtomicU64,
}

/// What one thread found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) faults: Faults,
    pub(crate) verified: u64,
    pub(crate) unverifiable: u64,
    /// What is signed; kept for its memory.
    data: Vec<u8>,
    batch: Batch,
}

/// Signatures of the busy key over what one call of [`Judge::nodes`] judges.
enum Batch {
    /// They are being gathered, and taken to hold meanwhile.
    Gathered(Vec<Claim>),
    /// These hold; ring is asked of all others.
    Accepted(HashSet<Claim>),
}

impl Default for Batch {
    fn default() -> Self {
        Self::Accepted(HashSet::new())
    }
}

/// What is to be said of one signature.
enum Verdict {
    /// Validators take it, as far as was looked.
    Good,
    /// It holds, and no validator begins with it: over the keys, of a key that is revoked or no secure entry point.
    NoAnchor,
    /// It is of a key that the zone does not have, or of one that is revoked.
    NoKey,
    /// No validator takes it: why, and what to do.
    Bad(String, &'static str),
}

impl Verdict {
    /// Of several keys that may have made a signature, the one that speaks for it most.
    fn best(mut verdicts: impl Iterator<Item = Self>) -> Self {
        if verdicts.any(|verdict| matches!(verdict, Self::Good)) { Self::Good } else { Self::NoAnchor }
    }
}

impl Judge<'_> {
    /// Judges all that stands at these nodes. Where there is a busy key, they are gone through twice: to gather its
    /// signatures, which are then verified together, and to judge.
    pub(crate) fn nodes(&self, nodes: Range<usize>, found: &mut Found) {
        if let Some(busy) = self.busy {
            let uncounted = AtomicU64::new(0);
            let rehearsal = Judge {
                tree: self.tree,
                keys: self.keys,
                checks: self.checks,
                busy: Some(busy),
                done: &uncounted,
            };
            let mut seen = Found { batch: Batch::Gathered(Vec::new()), ..Found::default() };
            nodes.clone().for_each(|node| rehearsal.node(NodeIndex(node as u32), &mut seen));
            let claims = match seen.batch {
                Batch::Gathered(claims) if claims.len() >= BATCH_MIN => claims,
                _ => Vec::new(),
            };
            let accepted = busy.verifier.accepted(&claims);
            let good = claims.into_iter().zip(accepted).filter_map(|(claim, good)| good.then_some(claim));
            found.batch = Batch::Accepted(good.collect());
        }
        nodes.for_each(|node| self.node(NodeIndex(node as u32), found));
    }

    /// Judges all that stands at one node.
    fn node(&self, node: NodeIndex, found: &mut Found) {
        let tree = self.tree;
        let mut records: Vec<TreeRecord<'_>> =
            tree.records(node).filter(|record| is_judged(tree, node, record.rtype)).collect();
        records.sort_by_key(|record| record.rtype);
        let mut rrsigs: Vec<(Rrsig<'_>, Place)> = tree
            .of_type(node, Rtype::RRSIG)
            .filter_map(|record| Some((Rrsig::parse(record.rdata)?, record.place)))
            .collect();
        rrsigs.sort_by_key(|(rrsig, _)| rrsig.covered);
        for rrset in records.chunk_by(|one, other| one.rtype == other.rtype) {
            let over = |rrsigs: &[(Rrsig<'_>, Place)], rtype| {
                let from = rrsigs.partition_point(|(rrsig, _)| rrsig.covered < rtype);
                from..rrsigs.partition_point(|(rrsig, _)| rrsig.covered <= rtype)
            };
            let range = over(&rrsigs, rrset[0].rtype);
            self.rrset(node, rrset, &rrsigs[range], found);
        }
        for (rrsig, place) in &rrsigs {
            self.useless(node, rrsig, *place, &records, found);
        }
    }

    /// Signatures over what is not there, or must not be signed.
    fn useless(
        &self,
        node: NodeIndex,
        rrsig: &Rrsig<'_>,
        place: Place,
        records: &[TreeRecord<'_>],
        found: &mut Found,
    ) {
        let (owner, covered, shown) = (Text(self.tree.owner(node)), rrsig.covered, Display(rrsig.covered.0));
        if matches!(self.tree.standing(node), Standing::Occluded(_)) {
            // The checks of any zone speak of what is never served.
        } else if covered == Rtype::RRSIG || !is_judged(self.tree, node, covered) {
            let message = format!("{shown} at {owner} is signed and must not be");
            found.faults.warn(place, message, "it is not the zone's own there (RFC 4035 §2.2): sign anew");
        } else if records.binary_search_by_key(&covered, |record| record.rtype).is_err() {
            let message = format!("an RRSIG is over {shown} at {owner}, which is not there");
            found.faults.warn(place, message, "remove it, or sign the zone again");
        }
    }

    fn rrset(
        &self,
        node: NodeIndex,
        rrset: &[TreeRecord<'_>],
        rrsigs: &[(Rrsig<'_>, Place)],
        found: &mut Found,
    ) {
        let (rtype, owner) = (rrset[0].rtype, self.tree.owner(node));
        let what = || format!("{} RRset of {}", Display(rtype.0), Text(owner));
        let mut canonical = None;
        // Algorithms of good signatures, those that are bad and why, and those whose key is missing.
        let (mut good, mut bad, mut keyless) = ([false; 256], Vec::new(), Vec::new());
        for (rrsig, place) in rrsigs {
            match self.signature(node, rrset, rrsig, &mut canonical, found) {
                Verdict::Good => good[usize::from(rrsig.algorithm)] = true,
                Verdict::NoAnchor => {}
                Verdict::NoKey => keyless.push((rrsig, *place)),
                Verdict::Bad(why, remedy) => bad.push((rrsig.algorithm, *place, why, remedy)),
            }
        }
        for (algorithm, place, why, remedy) in &bad {
            // Validators try the others, and one that holds is enough (RFC 4035 §5.3.3).
            if good[usize::from(*algorithm)] || !self.keys.active().contains(algorithm) {
                found.faults.warn(*place, format!("an RRSIG of the {} {why}", what()), *remedy);
            } else {
                found.faults.error(*place, format!("the RRSIG of the {} {why}", what()), *remedy);
            }
        }
        self.done.fetch_add(rrsigs.len() as u64, Ordering::Relaxed);
        for &algorithm in self.keys.active() {
            if good[usize::from(algorithm)] || bad.iter().any(|&(of, ..)| of == algorithm) {
                continue;
            }
            let unknown = keyless.iter().find(|(rrsig, _)| rrsig.algorithm == algorithm);
            let (place, message) = match unknown {
                Some((rrsig, place)) => (
                    *place,
                    format!(
                        "the RRSIG of the {} is of key {}, which the zone does not have or has revoked",
                        what(),
                        rrsig.key_tag
                    ),
                ),
                None => {
                    (rrset[0].place, format!("the {} has no RRSIG of {}", what(), algorithm_name(algorithm)))
                }
            };
            found.faults.error(place, message, "sign the zone again with the keys that it publishes");
            keyless.retain(|(rrsig, _)| rrsig.algorithm != algorithm);
        }
        for (rrsig, place) in keyless {
            let message = format!(
                "an RRSIG of the {} is of key {}, which the zone does not have or has revoked",
                what(),
                rrsig.key_tag
            );
            found.faults.warn(place, message, "during a change of keys that is as it should be");
        }
    }

    /// RFC 4035 §5.3.1, without times.
    fn signature(
        &self,
        node: NodeIndex,
        rrset: &[TreeRecord<'_>],
        rrsig: &Rrsig<'_>,
        canonical: &mut Option<Canonical>,
        found: &mut Found,
    ) -> Verdict {
        const AGAIN: &str = "sign the zone again";
        let (tree, owner, ttl) = (self.tree, self.tree.owner(node), rrset[0].ttl);
        if !rrsig.signer.eq_ignore_ascii_case(tree.apex().as_wire()) {
            let signer = Text(rrsig.signer);
            return Verdict::Bad(format!("names the signer {signer}; it must be {}", tree.apex()), AGAIN);
        }
        let labels = Labels::new(owner).count() - usize::from(owner.starts_with(b"\x01*"));
        if usize::from(rrsig.labels) != labels {
            return Verdict::Bad(format!("counts {} labels; the owner has {labels}", rrsig.labels), AGAIN);
        }
        if rrsig.expiration.wrapping_sub(rrsig.inception).cast_signed() < 0 {
            return Verdict::Bad("ends before it begins".to_owned(), AGAIN);
        }
        if ttl > rrsig.original_ttl {
            let remedy = "sign the zone after its last change: validators cut TTLs down (RFC 4035 §5.3.3)";
            return Verdict::Bad(
                format!("is of the TTL {}; the RRset has {ttl}", rrsig.original_ttl),
                remedy,
            );
        }
        let over_keys = rrset[0].rtype == Rtype::DNSKEY;
        let verdict_of = |key: &Key<'_>| match over_keys && !self.keys.anchors(key) {
            true => Verdict::NoAnchor,
            false => Verdict::Good,
        };
        let mut candidates = self.keys.candidates(rrsig).filter(|key| over_keys || !key.revoked).peekable();
        if candidates.peek().is_none() {
            return Verdict::NoKey;
        }
        if !self.is_chosen(node, rrsig) {
            return Verdict::best(candidates.map(verdict_of));
        }
        let canonical = canonical
            .get_or_insert_with(|| Canonical::new(rrset[0].rtype, rrset.iter().map(|record| record.rdata)));
        canonical.signed_data(owner, rrset[0].rtype, rrsig, &mut found.data);
        let mut unverifiable = Vec::new();
        for key in candidates {
            match &key.public {
                None => unverifiable.push(verdict_of(key)),
                Some(public) if self.holds(key, public, rrsig.signature, found) => {
                    found.verified += 1;
                    return verdict_of(key);
                }
                Some(_) => {}
            }
        }
        if !unverifiable.is_empty() {
            found.unverifiable += 1;
            return Verdict::best(unverifiable.into_iter());
        }
        let why = format!("does not verify with key {}", rrsig.key_tag);
        Verdict::Bad(why, "something was changed behind the signer's back: sign the zone again")
    }

    /// Whether a key made a signature over the data at hand. Only what a batch accepted is taken without asking ring.
    fn holds(&self, key: &Key<'_>, public: &PublicKey<'_>, signature: &[u8], found: &mut Found) -> bool {
        let claim = self
            .busy
            .filter(|busy| std::ptr::eq(busy.key, key))
            .and_then(|_| Claim::new(&found.data, signature));
        match &mut found.batch {
            Batch::Gathered(claims) => {
                claims.extend(claim);
                true
            }
            Batch::Accepted(accepted) if claim.is_some_and(|claim| accepted.contains(&claim)) => true,
            Batch::Accepted(_) => public.verify(&found.data, signature),
        }
    }

    fn is_chosen(&self, node: NodeIndex, rrsig: &Rrsig<'_>) -> bool {
        match self.checks.signatures {
            Signatures::All => true,
            Signatures::None => false,
            Signatures::OneIn(_) if node == APEX => true,
            Signatures::OneIn(n) => hash(rrsig.signature).is_multiple_of(n.get().into()),
        }
    }
}

/// FNV-1a: signatures are random already, but for their first octets and their length.
fn hash(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}
