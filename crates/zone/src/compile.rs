//! From a checked tree to an image.
//!
//! Decides what look-ups can meet: authoritative names and empty non-terminals, and cuts, are listed; names
//! below cuts become hidden nodes where some NS record leads to them, laid out right behind the delegation
//! that needs them, because a referral reads both. Everything else that is occluded is left out.

use pharos_wire::Rtype;
use pharos_zonedb::build::{NodeId, NodeSpec, Reach, RrSetSpec};
use pharos_zonedb::image::NodeFlags;
use pharos_zonedb::{BuildError, ImageBuilder, ZoneImage};

use crate::extras::Extras;
use crate::nsec3::{Nsec3Chain, is_hash_owner};
use crate::print::Distinct;
use crate::tree::{APEX, NodeIndex, Standing, Tree, TreeRecord};

/// Compiles a settled tree that passed the checks; without a chain of NSEC3 records, NSEC records deny, if there are any.
pub(crate) fn compile(tree: &Tree, chain: Option<&Nsec3Chain>) -> Result<ZoneImage, BuildError> {
    // Each name, and each NSEC3 record beside it.
    let numbers = tree.node_count() * if chain.is_some() { 2 } else { 1 };
    let wildcard_parents = wildcard_parents(tree);
    let mut compiler = Compiler {
        tree,
        builder: ImageBuilder::new(tree.apex(), numbers),
        chain,
        extras: Extras::of(tree, wildcard_parents.contains(&true)),
        wildcard_parents,
        laid_out: vec![false; tree.node_count()],
        parts: Parts::default(),
    };
    for node in tree.nodes() {
        match tree.standing(node) {
            // The owner of an NSEC3 record is no name of the zone (RFC 5155 §7.2.8).
            Standing::Authoritative if is_hash_owner(tree, node) => {}
            Standing::Authoritative => {
                compiler.node(node, Reach::Listed(tree.hash(node)), |rtype| rtype != Rtype::NSEC3)?;
            }
            Standing::Cut => {
                // What the parent says with authority at a cut (RFC 4035 §2.6), and addresses for glue.
                compiler.node(node, Reach::Listed(tree.hash(node)), |rtype| {
                    matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::A | Rtype::AAAA)
                })?;
                compiler.glue_of(node)?;
            }
            Standing::Occluded(_) => {}
        }
    }
    // The apex may name servers below a cut.
    compiler.glue_of(APEX)?;
    if let Some(chain) = chain {
        compiler.builder.nsec3(chain.parameters.clone());
        for (hash, node, id) in chain.members() {
            compiler.lay_out(node, id, Reach::Hashed(hash), |rtype| rtype == Rtype::NSEC3)?;
        }
    }
    let soa = tree.of_type(APEX, Rtype::SOA).next();
    let (serial, minimum) = soa_numbers(soa.map_or(&[], |soa| soa.rdata));
    let negative_ttl = soa.map_or(0, |soa| soa.ttl.min(minimum)); // RFC 2308 §5
    compiler.builder.finish(NodeId(APEX.0), serial, negative_ttl)
}

/// Serial and minimum. SOA rdata end in serial, refresh, retry, expire and minimum, four octets each (RFC 1035 §3.3.13).
pub(crate) fn soa_numbers(rdata: &[u8]) -> (u32, u32) {
    let number = |from_end: usize| {
        let at = rdata.len().checked_sub(from_end);
        let octets = at.and_then(|at| rdata.get(at..)).and_then(|rest| rest.first_chunk::<4>());
        octets.map_or(0, |octets| u32::from_be_bytes(*octets))
    };
    (number(20), number(4))
}

fn wildcard_parents(tree: &Tree) -> Vec<bool> {
    let mut parents = vec![false; tree.node_count()];
    for node in tree.nodes().filter(|&node| tree.is_wildcard(node)) {
        if let Some(parent) = tree.parent(node) {
            parents[parent.0 as usize] = true;
        }
    }
    parents
}

struct Compiler<'t> {
    tree: &'t Tree,
    builder: ImageBuilder,
    chain: Option<&'t Nsec3Chain>,
    extras: Extras<'t>,
    wildcard_parents: Vec<bool>,
    laid_out: Vec<bool>,
    parts: Parts<'t>,
}

/// What is gathered for one node; kept from node to node for its memory.
#[derive(Default)]
struct Parts<'t> {
    /// Records by type, and RRSIG rdata by the type that they cover.
    all: Vec<TreeRecord<'t>>,
    covering: Vec<(Rtype, &'t [u8])>,
    rrsets: Vec<PartRrset>,
    records: Vec<&'t [u8]>,
    signatures: Vec<&'t [u8]>,
    extras: Vec<pharos_zonedb::build::ExtraSpec>,
}

impl Parts<'_> {
    fn clear(&mut self) {
        self.all.clear();
        self.covering.clear();
        self.rrsets.clear();
        self.records.clear();
        self.signatures.clear();
        self.extras.clear();
    }
}

/// An RRset as ranges of the lists of [`Parts`].
struct PartRrset {
    rtype: Rtype,
    ttl: u32,
    records: std::ops::Range<usize>,
    signatures: std::ops::Range<usize>,
    extras: std::ops::Range<usize>,
}

impl<'t> Compiler<'t> {
    /// Lays out one node with those of its RRsets that `served` accepts.
    fn node(
        &mut self,
        node: NodeIndex,
        reach: Reach,
        served: impl Fn(Rtype) -> bool,
    ) -> Result<(), BuildError> {
        if std::mem::replace(&mut self.laid_out[node.0 as usize], true) {
            return Ok(());
        }
        self.lay_out(node, NodeId(node.0), reach, served)
    }

    fn lay_out(
        &mut self,
        node: NodeIndex,
        id: NodeId,
        reach: Reach,
        served: impl Fn(Rtype) -> bool,
    ) -> Result<(), BuildError> {
        let listed = matches!(reach, Reach::Listed(_));
        self.gather(node, reach == Reach::Hidden, served);
        let parts = &self.parts;
        let spec = |part: &PartRrset| RrSetSpec {
            rtype: part.rtype,
            ttl: part.ttl,
            records: &parts.records[part.records.clone()],
            signatures: &parts.signatures[part.signatures.clone()],
            extras: &parts.extras[part.extras.clone()],
        };
        // Most names have one RRset, which needs no list of its own.
        let (one, many);
        let rrsets = match &parts.rrsets[..] {
            [only] => {
                one = [spec(only)];
                &one[..]
            }
            all => {
                many = all.iter().map(spec).collect::<Vec<_>>();
                &many[..]
            }
        };
        let flags = if listed { self.flags(node) } else { NodeFlags::default() };
        let links = self.chain.filter(|_| listed).and_then(|chain| chain.links(self.tree, node));
        let owner = self.tree.owner(node);
        self.builder.node(&NodeSpec { id, owner, reach, flags, links, rrsets })
    }

    /// Lays out, as hidden nodes, the occluded names that the NS records of `node` lead to.
    fn glue_of(&mut self, node: NodeIndex) -> Result<(), BuildError> {
        for record in self.tree.of_type(node, Rtype::NS) {
            let Some(target) = record.target else { continue };
            if matches!(self.tree.standing(target), Standing::Occluded(_)) && self.tree.has_address(target) {
                self.node(target, Reach::Hidden, |rtype| matches!(rtype, Rtype::A | Rtype::AAAA))?;
            }
        }
        Ok(())
    }

    fn flags(&self, node: NodeIndex) -> NodeFlags {
        let tree = self.tree;
        let standing = tree.standing(node);
        let facts = [
            (standing == Standing::Cut, NodeFlags::CUT),
            (self.wildcard_parents[node.0 as usize], NodeFlags::WILDCARD_CHILD),
            (standing != Standing::Cut && tree.has(node, Rtype::CNAME), NodeFlags::CNAME),
            (tree.has(node, Rtype::DNAME), NodeFlags::DNAME),
            (tree.is_wildcard(node), NodeFlags::WILDCARD),
        ];
        facts
            .into_iter()
            .filter(|(holds, _)| *holds)
            .fold(NodeFlags::default(), |all, (_, flag)| all.with(flag))
    }

    /// Fills [`Parts`] with the node's RRsets: addresses first, because most queries ask for them.
    fn gather(&mut self, node: NodeIndex, hidden: bool, served: impl Fn(Rtype) -> bool) {
        let tree = self.tree;
        let parts = &mut self.parts;
        parts.clear();
        for record in tree.records(node) {
            if record.rtype != Rtype::RRSIG {
                if served(record.rtype) {
                    parts.all.push(record);
                }
            } else if let (false, Some(covered)) = (hidden, record.rdata.first_chunk::<2>()) {
                // An RRSIG's rdata start with the type that it covers (RFC 4034 §3.1).
                parts.covering.push((Rtype(u16::from_be_bytes(*covered)), record.rdata));
            }
        }
        // The order of the file stays within each type.
        parts.all.sort_by_key(|record| {
            let rtype = record.rtype;
            (rtype != Rtype::A, rtype != Rtype::AAAA, rtype)
        });
        parts.covering.sort_by_key(|&(covered, _)| covered);
        for rrset in parts.all.chunk_by(|a, b| a.rtype == b.rtype) {
            let (rtype, ttl) = (rrset[0].rtype, rrset[0].ttl);
            let (records, signatures, extras) =
                (parts.records.len(), parts.signatures.len(), parts.extras.len());
            let mut distinct = Distinct::new(rtype, rrset.len());
            for record in rrset {
                // Duplicates count once (RFC 2181 §5), those that differ in the case of names too (RFC 4343 §3).
                let known = &parts.records[records..];
                if !distinct.is_new(known, record.rdata) {
                    continue;
                }
                if !hidden {
                    self.extras.add(node, record, known, &mut parts.extras, extras);
                }
                parts.records.push(record.rdata);
            }
            let from = parts.covering.partition_point(|&(covered, _)| covered < rtype);
            let to = from + parts.covering[from..].partition_point(|&(covered, _)| covered == rtype);
            let mut distinct = Distinct::new(Rtype::RRSIG, to - from);
            for &(_, rdata) in &parts.covering[from..to] {
                if distinct.is_new(&parts.signatures[signatures..], rdata) {
                    parts.signatures.push(rdata);
                }
            }
            parts.rrsets.push(PartRrset {
                rtype,
                ttl,
                records: records..parts.records.len(),
                signatures: signatures..parts.signatures.len(),
                extras: extras..parts.extras.len(),
            });
        }
    }
}
