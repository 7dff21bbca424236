//! The keys of a zone: what its apex DNSKEY RRset offers, and which algorithms the zone is signed with.

use pharos_wire::Rtype;

use super::ds::{is_revoked, is_zone_key, key_tag};
use super::faults::Faults;
use super::rrsig::Rrsig;
use super::verify::{Busy, PublicKey};
use crate::rdata::codes::ALGORITHMS;
use crate::scan::Place;
use crate::tree::{APEX, Tree};

/// The secure entry point flag (RFC 4034 §2.1.1).
const SEP: u8 = 0x01;

/// Signatures of one key that are worth tables of its multiples, which cost as much time as some 300 of ring's.
const BUSY_MIN: usize = 1000;

/// One DNSKEY that may sign.
pub(crate) struct Key<'t> {
    pub(crate) tag: u16,
    pub(crate) algorithm: u8,
    /// It signs nothing any more but the set of keys, to be known as revoked (RFC 5011 §2.1).
    pub(crate) revoked: bool,
    is_entry: bool,
    place: Place,
    /// `None` where signatures of it cannot be verified here.
    pub(crate) public: Option<PublicKey<'t>>,
}

/// The keys of a zone.
pub(crate) struct Keys<'t> {
    keys: Vec<Key<'t>>,
    /// Algorithms that each RRset must be signed with.
    active: Vec<u8>,
    /// Algorithms of which a secure entry point says that it signs the DNSKEY RRset.
    entered: Vec<u8>,
}

impl<'t> Keys<'t> {
    /// Reads the apex DNSKEY RRset and judges it.
    pub(crate) fn of(tree: &'t Tree, faults: &mut Faults) -> Self {
        let keys: Vec<Key<'t>> = tree
            .of_type(APEX, Rtype::DNSKEY)
            .filter_map(|record| {
                let revoked = is_revoked(record.rdata);
                let &[_, flags, _, algorithm] = record.rdata.first_chunk::<4>()?;
                (revoked || is_zone_key(record.rdata)).then(|| Key {
                    tag: key_tag(record.rdata),
                    algorithm,
                    revoked,
                    is_entry: flags & SEP != 0,
                    place: record.place,
                    public: PublicKey::new(algorithm, &record.rdata[4..]),
                })
            })
            .collect();
        let mut this = Self { keys, active: Vec::new(), entered: Vec::new() };
        this.judge(tree, faults);
        this
    }

    fn judge(&mut self, tree: &Tree, faults: &mut Faults) {
        let first =
            tree.of_type(APEX, Rtype::DNSKEY).next().map_or_else(Place::default, |record| record.place);
        let over_keys: Vec<Rrsig<'_>> = tree
            .of_type(APEX, Rtype::RRSIG)
            .filter_map(|record| Rrsig::parse(record.rdata))
            .filter(|rrsig| rrsig.covered == Rtype::DNSKEY)
            .collect();
        let signs = |key: &Key<'_>| over_keys.iter().any(|rrsig| key.made(rrsig));
        for key in &self.keys {
            let Key { tag, algorithm, place, .. } = *key;
            let algorithm_name = name(algorithm);
            if key.public.is_none() {
                let message = format!("signatures of key {tag} ({algorithm_name}) cannot be verified here");
                let remedy = "they are served unchecked; ECDSAP256SHA256 is what RFC 8624 §3.1 recommends";
                faults.warn(place, message, remedy);
            }
            if key.revoked && !signs(key) {
                let message = format!("key {tag} is revoked and does not sign the DNSKEY RRset");
                let remedy =
                    "sign the RRset with it too: otherwise nobody takes it for revoked (RFC 5011 §2.1)";
                faults.warn(place, message, remedy);
            }
        }
        let live = || self.keys.iter().filter(|key| !key.revoked);
        // An algorithm that does not sign the keys themselves stands by for a change: it can be in no DS record, so
        // validators do not expect it anywhere (RFC 6840 §5.11).
        let mut active: Vec<u8> = live().filter(|key| signs(key)).map(|key| key.algorithm).collect();
        active.sort_unstable();
        active.dedup();
        for key in live().filter(|key| !active.contains(&key.algorithm)) {
            let message = format!(
                "key {} ({}) is published and its algorithm does not sign the DNSKEY RRset",
                key.tag,
                name(key.algorithm)
            );
            let remedy = "a zone is signed with each algorithm that its keys have (RFC 4035 §2.2)";
            faults.warn(key.place, message, remedy);
        }
        if live().next().is_none() {
            let remedy = "publish one with the flags 256 or 257 and the protocol 3 (RFC 4034 §2.1)";
            faults.error(first, "no DNSKEY may sign the zone", remedy);
        } else if active.is_empty() {
            let remedy = "sign the RRset with the key that the parent's DS record names (RFC 4035 §2.2)";
            faults.error(first, "no key of the zone signs the DNSKEY RRset", remedy);
        } else if live().any(|key| key.is_entry) && !live().any(|key| key.is_entry && signs(key)) {
            let remedy = "sign the RRset with a key that has the flags 257, which is what DS records name \
                          (RFC 4034 §2.1.1)";
            faults.error(first, "no secure entry point signs the DNSKEY RRset", remedy);
        }
        self.entered = live().filter(|key| key.is_entry && signs(key)).map(|key| key.algorithm).collect();
        self.active = active;
    }

    /// The algorithms that each RRset must be signed with.
    pub(crate) fn active(&self) -> &[u8] {
        &self.active
    }

    /// Whether validators may begin with what this key signs over the DNSKEY RRset. What the parent's DS record names is
    /// not known here: it is taken to be a secure entry point, if one of the algorithm signs (RFC 4034 §2.1.1).
    pub(crate) fn anchors(&self, key: &Key<'_>) -> bool {
        !key.revoked && (key.is_entry || !self.entered.contains(&key.algorithm))
    }

    /// The key of algorithm 13 that made most signatures, if they are many.
    pub(crate) fn busy(&self, tree: &Tree) -> Option<Busy<'_>> {
        let fit: Vec<&Key<'_>> = self.keys.iter().filter(|key| key.algorithm == 13 && !key.revoked).collect();
        let mut counts = vec![0usize; fit.len()];
        if fit.is_empty() {
            return None;
        }
        for record in tree.nodes().flat_map(|node| tree.of_type(node, Rtype::RRSIG)) {
            let Some(rrsig) = Rrsig::parse(record.rdata) else { continue };
            if let Some(at) = fit.iter().position(|key| key.made(&rrsig)) {
                counts[at] += 1;
            }
        }
        let (key, count) = fit.into_iter().zip(counts).max_by_key(|&(_, count)| count)?;
        (count >= BUSY_MIN).then(|| Busy::new(key)).flatten()
    }

    /// The keys that may have made a signature: several, where key tags collide (RFC 4034 §8).
    pub(crate) fn candidates(&self, rrsig: &Rrsig<'_>) -> impl Iterator<Item = &Key<'t>> {
        self.keys.iter().filter(move |key| key.made(rrsig))
    }
}

impl Key<'_> {
    fn made(&self, rrsig: &Rrsig<'_>) -> bool {
        self.tag == rrsig.key_tag && self.algorithm == rrsig.algorithm
    }
}

/// The mnemonic of an algorithm, or its number.
pub(crate) fn name(algorithm: u8) -> String {
    ALGORITHMS.name(algorithm.into()).map_or_else(|| format!("algorithm {algorithm}"), str::to_owned)
}
