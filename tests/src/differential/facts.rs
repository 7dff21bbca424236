//! What a zone holds, by name: the ground that [`super::oracle`] stands on.
//!
//! RRsets with the signatures over them, the order of names for NSEC, and the chains of NSEC3 records by their
//! parameters. Owners of NSEC3 records are hashes and no names of the zone (RFC 5155 §7.2.8).

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::message::ReplyRecord;
use super::names::DomainName;

/// NS, the type of referrals.
pub const NS: u16 = 2;
/// CNAME.
pub const CNAME: u16 = 5;
/// SOA.
pub const SOA: u16 = 6;
/// DNAME.
pub const DNAME: u16 = 39;
/// DS.
pub const DS: u16 = 43;
/// RRSIG.
pub const RRSIG: u16 = 46;
/// NSEC.
pub const NSEC: u16 = 47;
/// NSEC3.
pub const NSEC3: u16 = 50;
/// NSEC3PARAM.
pub const NSEC3PARAM: u16 = 51;

/// An RRset and what signs it.
#[derive(Clone, Debug, Default)]
pub struct RrSet {
    /// Its records.
    pub records: BTreeSet<ReplyRecord>,
    /// The RRSIG records that cover it.
    pub signatures: BTreeSet<ReplyRecord>,
}

impl RrSet {
    /// The records, with their signatures if `signed`, as those of another owner and with another TTL.
    pub fn told(&self, signed: Signed, owner: &DomainName, ttl: Option<u32>) -> BTreeSet<ReplyRecord> {
        let signatures = self.signatures.iter().filter(|_| signed == Signed::Along);
        let renamed = |record: &ReplyRecord| ReplyRecord {
            owner: owner.clone(),
            ttl: ttl.unwrap_or(record.ttl),
            ..record.clone()
        };
        self.records.iter().chain(signatures).map(renamed).collect()
    }
}

/// Whether signatures go along with records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    /// They do: the client set DO.
    Along,
    /// They do not.
    Not,
}

/// The NSEC3 records of one set of parameters, by hash.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    iterations: u16,
    salt: Vec<u8>,
    members: BTreeMap<Vec<u8>, RrSet>,
}

impl Chain {
    /// The hash of a name, as the label that an NSEC3 record has (RFC 5155 §5).
    fn label(&self, name: &DomainName) -> Vec<u8> {
        let mut digest = Sha1::digest([name.folded().wire(), self.salt.clone()].concat()).to_vec();
        for _ in 0..self.iterations {
            digest = Sha1::digest([digest, self.salt.clone()].concat()).to_vec();
        }
        // Base32 with the extended hex alphabet (RFC 4648 §7) keeps the order of hashes.
        let mut label = Vec::new();
        for five in digest.chunks(5) {
            let bits = five.iter().fold(0u64, |bits, &octet| bits << 8 | u64::from(octet));
            let digits = (0..8).rev().map(|digit| (bits >> (5 * digit) & 31) as u8);
            label.extend(digits.map(|value| if value < 10 { b'0' + value } else { b'a' + value - 10 }));
        }
        label
    }

    /// The record that matches a name.
    pub fn matching(&self, name: &DomainName) -> Option<&RrSet> {
        self.members.get(&self.label(name))
    }

    /// The record that covers a name without matching it.
    pub fn covering(&self, name: &DomainName) -> Option<&RrSet> {
        let label = self.label(name);
        let before = self.members.range(..label).next_back().or_else(|| self.members.iter().next_back());
        before.map(|(_, set)| set)
    }
}

/// A zone.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// Its name.
    pub apex: DomainName,
    /// RRsets by name and type; empty non-terminals have none.
    pub names: BTreeMap<DomainName, BTreeMap<u16, RrSet>>,
    /// Names with NSEC records, in canonical order (RFC 4034 §6.1).
    nsec: BTreeMap<Vec<Vec<u8>>, DomainName>,
    /// The chains of NSEC3 records that the apex's NSEC3PARAM records name.
    pub chains: Vec<Chain>,
    /// NSEC3 records of no such chain.
    pub strays: usize,
}

/// A name's place in the canonical order.
fn key(name: &DomainName) -> Vec<Vec<u8>> {
    name.folded().0.into_iter().rev().collect()
}

impl Zone {
    /// From the zone's records.
    pub fn new<'r>(apex: &DomainName, records: impl IntoIterator<Item = &'r ReplyRecord>) -> Self {
        let mut zone = Self { apex: apex.folded(), ..Self::default() };
        let mut hashed: BTreeMap<DomainName, RrSet> = BTreeMap::new();
        for record in records {
            let covered = record.rdata.first_chunk().map(|octets| u16::from_be_bytes(*octets));
            let (rtype, is_signature) = match (record.rtype, covered) {
                (RRSIG, Some(covered)) => (covered, true),
                (rtype, _) => (rtype, false),
            };
            let set = if rtype == NSEC3 {
                hashed.entry(record.owner.clone()).or_default()
            } else {
                for above in record.owner.ancestors().filter(|above| above.within(apex)) {
                    zone.names.entry(above).or_default();
                }
                zone.names.entry(record.owner.clone()).or_default().entry(rtype).or_default()
            };
            if is_signature { &mut set.signatures } else { &mut set.records }.insert(record.clone());
        }
        let owners = zone.names.iter().filter(|(_, sets)| sets.contains_key(&NSEC));
        zone.nsec = owners.map(|(name, _)| (key(name), name.clone())).collect();
        zone.chains = zone.chains_of(&hashed);
        let members: usize = zone.chains.iter().map(|chain| chain.members.len()).sum();
        zone.strays = hashed.len().saturating_sub(members);
        zone
    }

    /// Those that NSEC3PARAM records without flags name (RFC 5155 §4.1.2) and that match the apex.
    fn chains_of(&self, hashed: &BTreeMap<DomainName, RrSet>) -> Vec<Chain> {
        let mut chains = Vec::new();
        for parameters in self.set(&self.apex, NSEC3PARAM).iter().flat_map(|set| &set.records) {
            let [1, 0, i0, i1, salt_octets, salt @ ..] = &parameters.rdata[..] else { continue };
            let head = [&[*i0, *i1, *salt_octets], salt].concat();
            let ours = hashed.iter().filter(|(_, set)| {
                set.records.iter().any(|record| record.rdata.get(2..2 + head.len()) == Some(&head[..]))
            });
            let members = ours.map(|(owner, set)| (owner.0[0].clone(), set.clone())).collect();
            let chain = Chain { iterations: u16::from_be_bytes([*i0, *i1]), salt: salt.to_vec(), members };
            if chain.matching(&self.apex).is_some() {
                chains.push(chain);
            }
        }
        chains
    }

    /// An RRset.
    pub fn set(&self, name: &DomainName, rtype: u16) -> Option<&RrSet> {
        self.names.get(name)?.get(&rtype).filter(|set| !set.records.is_empty())
    }

    /// Whether a name has a type.
    pub fn has(&self, name: &DomainName, rtype: u16) -> bool {
        self.set(name, rtype).is_some()
    }

    /// Whether a name is in the zone, be it without records.
    pub fn exists(&self, name: &DomainName) -> bool {
        self.names.contains_key(name)
    }

    /// The highest cut at or above a name.
    pub fn cut(&self, name: &DomainName) -> Option<DomainName> {
        let above: Vec<DomainName> = name.ancestors().filter(|above| above.below(&self.apex)).collect();
        above.into_iter().rev().find(|above| self.has(above, NS))
    }

    /// The NSEC record of the name, or else the one that covers it.
    pub fn nsec_for(&self, name: &DomainName) -> Option<&RrSet> {
        let (_, owner) = self.nsec.range(..=key(name)).next_back()?;
        self.set(owner, NSEC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_hashed_as_in_the_appendix_of_the_standard() {
        // RFC 5155 appendix A.
        let chain = Chain { iterations: 12, salt: vec![0xaa, 0xbb, 0xcc, 0xdd], ..Chain::default() };
        let label = |name: &str| String::from_utf8(chain.label(&DomainName::plain(name))).unwrap();
        assert_eq!(label("example"), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
        assert_eq!(label("x.y.w.example"), "2vptu5timamqttgl4luu9kg21e0aor3s");
    }
}
