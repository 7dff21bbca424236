//! What goes along with an RRset in the additional section: worked out once, when the zone is loaded.
//!
//! A name in some rdata leads to the addresses at that name, at the wildcard that stands for it (RFC 1034 §4.3.2 step
//! 6, RFC 4592 §3.3.1), or, with NS records, to glue. Two kinds of records lead on to another RRset: NAPTR (RFC 3403
//! §4.2) and SVCB with its like (RFC 9460 §4.1). What that RRset leads to is noted beside it, and the responder goes
//! from one to the next.
//!
//! Called by [`crate::compile`].

use pharos_wire::{Rtype, name};
use pharos_zonedb::build::{ExtraSpec, NameAt, NodeId};
use pharos_zonedb::image::{Along, Need};

use crate::tree::{NodeIndex, Standing, Tree, TreeRecord, target_offset};

/// Looks for what the records of one zone lead to.
pub(crate) struct Extras<'t> {
    tree: &'t Tree,
    /// Where no wildcard is, none is looked for.
    wildcards: bool,
}

impl<'t> Extras<'t> {
    /// For a settled tree, which has wildcards or has not.
    pub(crate) fn of(tree: &'t Tree, wildcards: bool) -> Self {
        Self { tree, wildcards }
    }

    /// Adds what `record` at `owner`, which follows the records `before` it in its RRset, leads to; what the RRset is
    /// known to lead to stands in `known` from `from` on.
    pub(crate) fn add(
        &self,
        owner: NodeIndex,
        record: &TreeRecord<'_>,
        before: &[&[u8]],
        known: &mut Vec<ExtraSpec>,
        from: usize,
    ) {
        let Some((target, name)) = self.target(owner, record) else { return };
        for &along in along(record) {
            let Some(need) = self.need(owner, target, record.rtype, along) else { continue };
            let node = NodeId(target.0);
            let same = |extra: &ExtraSpec| {
                extra.node == node
                    && extra.along == along
                    && (!self.tree.is_wildcard(target) || same_name(before, extra, record, name))
            };
            if !known[from..].iter().any(same) {
                known.push(ExtraSpec { record: before.len(), name, node, along, need });
            }
        }
    }

    /// The node with the data of the name that a record leads to, and where that name stands.
    fn target(&self, owner: NodeIndex, record: &TreeRecord<'_>) -> Option<(NodeIndex, NameAt)> {
        if record.target.is_none() && !self.wildcards && !is_binding(record.rtype) {
            return None;
        }
        let offset = target_offset(record.rtype, record.rdata)?;
        if let Some(target) = record.target {
            return Some((target, NameAt::Rdata(offset)));
        }
        let wire = record.rdata.get(offset..)?;
        let octets = name::measure(wire).ok()?;
        match wire.get(..octets)? {
            // RFC 9460 §2.5.2: the owner; §2.5.1: in AliasMode that there is no service.
            [0] if is_binding(record.rtype) && !is_alias(record.rdata) => Some((owner, NameAt::Owner)),
            [0] => None,
            name if self.wildcards => {
                let wildcard = self.tree.wildcard_for(name)?;
                let stands = self.tree.standing(wildcard) == Standing::Authoritative;
                stands.then_some((wildcard, NameAt::Rdata(offset)))
            }
            _ => None,
        }
    }

    /// Whether a reply must have what goes along; none where nothing may.
    fn need(&self, owner: NodeIndex, target: NodeIndex, rtype: Rtype, along: Along) -> Option<Need> {
        let tree = self.tree;
        let is_there = match along {
            Along::Addresses => tree.has_address(target),
            Along::Service => tree.has(target, service(rtype)),
        };
        match tree.standing(target) {
            _ if !is_there => None,
            Standing::Authoritative => Some(Need::Helpful),
            // Only NS records lead to glue: elsewhere it could pass for an answer.
            _ if rtype != Rtype::NS => None,
            Standing::Occluded(above) if tree.standing(above) != Standing::Cut => None, // a DNAME
            // RFC 9471 §3.1: in-domain glue is required; §3.2: sibling glue is sent where it fits.
            Standing::Cut | Standing::Occluded(_) => {
                let in_domain = tree.standing(owner) == Standing::Cut
                    && name::is_within(tree.owner(target), tree.owner(owner));
                Some(if in_domain { Need::Required } else { Need::Helpful })
            }
        }
    }
}

/// Whether an extra of some record `before` has the very name of this one.
fn same_name(before: &[&[u8]], extra: &ExtraSpec, record: &TreeRecord<'_>, name: NameAt) -> bool {
    let (NameAt::Rdata(there), NameAt::Rdata(here)) = (extra.name, name) else { return extra.name == name };
    let rdata = before.get(extra.record).copied().unwrap_or(record.rdata);
    let name_in = |rdata: &'_ [u8], at: usize| {
        let wire = rdata.get(at..).unwrap_or_default();
        wire.get(..name::measure(wire).unwrap_or(0)).unwrap_or_default().to_ascii_lowercase()
    };
    name_in(rdata, there) == name_in(record.rdata, here)
}

/// What of its target a record leads to.
fn along(record: &TreeRecord<'_>) -> &'static [Along] {
    match record.rtype {
        // RFC 9460 §4.1; only an alias has the client ask for another RRset of the type (§3).
        Rtype::SVCB | Rtype::HTTPS if is_alias(record.rdata) => &[Along::Service, Along::Addresses],
        // RFC 3403 §4.2. The flags, a string behind order and preference, are those of RFC 3404 §4.3.
        Rtype::NAPTR => {
            let octets = record.rdata.get(4).copied().map_or(0, usize::from);
            match record.rdata.get(5..5 + octets) {
                Some([b's' | b'S']) => &[Along::Service],
                Some([b'a' | b'A']) => &[Along::Addresses],
                _ => &[],
            }
        }
        _ => &[Along::Addresses],
    }
}

/// The type of the RRset that such records lead to.
fn service(rtype: Rtype) -> Rtype {
    if rtype == Rtype::NAPTR { Rtype::SRV } else { rtype }
}

fn is_binding(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::SVCB | Rtype::HTTPS)
}

/// Whether the rdata of SVCB or HTTPS are of AliasMode: SvcPriority, which they begin with, is 0 (RFC 9460 §2.4.1).
fn is_alias(rdata: &[u8]) -> bool {
    rdata.starts_with(&[0, 0])
}
