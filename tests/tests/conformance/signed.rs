//! The signed zones of `tests/data/dnssec`, and which records must prove what: worked out from the text of the zones,
//! by a search of its own.

use std::fs;
use std::path::Path;

use pharos_testkit::{Ask, Reply, Served};
use pharos_wire::name::canonical_order;
use pharos_wire::{Name, Rtype};
use pharos_zonedb::nsec3::Nsec3Parameters;

/// What a record in the authority section is there for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// It stands at this name, or at its hash.
    Matches(&'static str),
    /// It covers this name, or its hash.
    Covers(&'static str),
}

/// `signed.test.` in one of its variants, its child and the zone that it leads into.
pub(crate) struct Signed {
    pub(crate) served: Served,
    variant: &'static str,
}

impl Signed {
    pub(crate) fn new(variant: &'static str) -> Self {
        Self::with(variant, &["signed.test", "child.signed.test", "other.test"])
    }

    /// Only these zones.
    pub(crate) fn with(variant: &'static str, zones: &[&str]) -> Self {
        let served = zones
            .iter()
            .fold(Served::new(), |served, zone| served.zone(&format!("{zone}."), &text(variant, zone)));
        Self { served, variant }
    }

    /// Asks with DO, by TCP so that nothing is left out, and checks what holds for every signed reply.
    pub(crate) fn ask(&self, qname: &str, qtype: Rtype) -> Reply {
        let reply = self.served.ask(&Ask::new(qname, qtype).dnssec().tcp());
        every_rrset_is_signed(&reply);
        reply
    }

    /// Asks and wants, of NSEC and NSEC3 records in the authority section, just those that prove this, each once.
    pub(crate) fn proves(&self, qname: &str, qtype: Rtype, proofs: &[(&str, Proof)]) -> Reply {
        let reply = self.ask(qname, qtype);
        let mut wanted: Vec<String> = proofs
            .iter()
            .map(|(zone, proof)| Chain::of(&text(self.variant, zone), zone).record(*proof))
            .collect();
        wanted.sort();
        wanted.dedup();
        let is_proof = |rtype| matches!(rtype, Rtype::NSEC | Rtype::NSEC3);
        let records = reply.sections[1].iter().filter(|record| is_proof(record.rtype));
        let mut told: Vec<String> =
            records.map(|record| pharos_wire::name::Text(&record.owner).to_string().to_lowercase()).collect();
        told.sort();
        assert_eq!(told, wanted, "{qname} {qtype}: {proofs:?}\n{reply}");
        reply
    }
}

fn text(variant: &str, zone: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/dnssec");
    let path = data.join(variant).join(format!("{zone}.zone"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// RFC 4035 §3.1.1: signatures go along in answer and authority section, but for what has none: the NS records of a
/// referral, and the CNAME that a DNAME makes (RFC 6672 §5.3.1).
fn every_rrset_is_signed(reply: &Reply) {
    for (index, section) in reply.sections[..2].iter().enumerate() {
        for record in section.iter().filter(|record| record.rtype != Rtype::RRSIG) {
            let delegation = index == 1 && record.rtype == Rtype::NS;
            let made = record.rtype == Rtype::CNAME
                && section.iter().any(|other| {
                    other.rtype == Rtype::DNAME
                        && record.owner.ends_with(&other.owner)
                        && record.owner != other.owner
                });
            let signed = section.iter().any(|other| {
                other.rtype == Rtype::RRSIG
                    && other.owner == record.owner
                    && other.ttl == record.ttl
                    && other.rdata.starts_with(&record.rtype.0.to_be_bytes())
            });
            assert_eq!(signed, !delegation && !made, "{record}\n{reply}");
        }
    }
}

/// The NSEC or NSEC3 records of a zone by what they match.
struct Chain {
    parameters: Option<Nsec3Parameters>,
    /// Owners in order: names by RFC 4034 §6.1, hashes as their text.
    owners: Vec<String>,
    apex: String,
}

impl Chain {
    fn of(text: &str, apex: &str) -> Self {
        let mut owners = Vec::new();
        let mut parameters = None;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[owner, _, _, rtype, ..] = &words[..] else { continue };
            match rtype {
                "NSEC" | "NSEC3" => owners.push(owner.to_lowercase()),
                "NSEC3PARAM" => {
                    let (iterations, salt) = (words[6].parse().unwrap_or(0), words[7]);
                    let digits = if salt == "-" { "" } else { salt };
                    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or(0);
                    let salt = (0..digits.len()).step_by(2).map(octet).collect();
                    parameters = Some(Nsec3Parameters { iterations, salt });
                }
                _ => {}
            }
        }
        match parameters {
            Some(_) => owners.sort(),
            None => owners.sort_by(|a, b| canonical_order(&wire(a), &wire(b))),
        }
        Self { parameters, owners, apex: apex.to_owned() }
    }

    /// The owner of the record that proves this.
    fn record(&self, proof: Proof) -> String {
        let (Proof::Matches(name) | Proof::Covers(name)) = proof;
        let key = match &self.parameters {
            Some(parameters) => format!("{}.{}.", base32hex(&parameters.hash(&[&wire(name)])), self.apex),
            None => name.to_owned(),
        };
        let before = |owner: &&String| match self.parameters {
            Some(_) => **owner <= key,
            None => canonical_order(&wire(owner), &wire(&key)).is_le(),
        };
        let found = self.owners.iter().rev().find(before).or(self.owners.last());
        let found = found.unwrap_or_else(|| panic!("{} has no chain", self.apex)).clone();
        assert_eq!(matches!(proof, Proof::Matches(_)), found == key, "{proof:?}: {key} {found}");
        found
    }
}

fn wire(name: &str) -> Vec<u8> {
    Name::from_text(name).unwrap_or_else(|error| panic!("{name}: {error}")).as_wire().to_vec()
}

/// The hash of a name as the label of an NSEC3 owner, for a test that asks for it.
pub(crate) fn hash_label(variant: &str, zone: &str, name: &str) -> String {
    let chain = Chain::of(&text(variant, zone), zone);
    let parameters = chain.parameters.unwrap_or_else(|| panic!("{zone} has no NSEC3"));
    base32hex(&parameters.hash(&[&wire(name)]))
}

fn base32hex(octets: &[u8]) -> String {
    let bit = |at: usize| octets[at / 8] >> (7 - at % 8) & 1;
    let digit = |at: usize| (at..at + 5).fold(0, |value, at| value << 1 | u32::from(bit(at)));
    (0..octets.len() * 8).step_by(5).filter_map(|at| char::from_digit(digit(at), 32)).collect()
}
