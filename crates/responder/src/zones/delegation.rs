//! Whether the DS records of a parent that is served here speak of a key that its child has here.
//!
//! Parent and child are served by one process, so both sides of a secure delegation are at hand (RFC 4035 §5.2): a
//! validator that finds no DNSKEY for any DS record refuses everything in the child.

use pharos_wire::hash::{HashKey, HashedName};
use pharos_wire::{Name, Rtype};
use pharos_zone::dnssec::{DsVerdict, ds_matches};
use pharos_zonedb::image::NodeFlags;
use pharos_zonedb::{RrSet, ZoneImage};

/// What a parent and a child say of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// The parent has no DS record for the child, or none that can be judged: validators ask for no signatures.
    Unsecured,
    /// A DS record is of a key of the child.
    Matches,
    /// None is.
    Broken,
}

/// How `parent` and `child`, whose name lies inside, stand to each other.
pub(super) fn link(parent: &ZoneImage, child: &ZoneImage, key: HashKey) -> Link {
    let owner = child.apex().as_wire();
    let Some(all) = ds_of(parent, child.apex(), key) else { return Link::Unsecured };
    let keys = child.apex_node().rrset(Rtype::DNSKEY);
    let mut judged = false;
    for ds in all.records() {
        // Digest types that no validator knows are no reason to ask for signatures (RFC 4035 §5.2).
        judged |= matches!(ds.rdata().get(3), Some(1 | 2 | 4));
        let speaks_of = |key: &[u8]| ds_matches(owner, ds.rdata(), key) == DsVerdict::Matches;
        if keys.is_some_and(|keys| keys.records().any(|key| speaks_of(key.rdata()))) {
            return Link::Matches;
        }
    }
    if judged { Link::Broken } else { Link::Unsecured }
}

/// The key tags of the parent's DS records, as a person compares them.
pub(super) fn ds_tags(parent: &ZoneImage, child: &Name, key: HashKey) -> String {
    let tag = |rdata: &[u8]| rdata.first_chunk::<2>().map_or(0, |&tag| u16::from_be_bytes(tag)).to_string();
    let tags = ds_of(parent, child, key).into_iter().flat_map(|all| all.records());
    tags.take(8).map(|ds| tag(ds.rdata())).collect::<Vec<_>>().join(", ")
}

fn ds_of<'a>(parent: &'a ZoneImage, child: &Name, key: HashKey) -> Option<RrSet<'a>> {
    let mut name = HashedName::default();
    name.set(child.as_wire()).ok()?;
    name.hash(key);
    let apex_label = name.labels().checked_sub(parent.apex().labels().count())?;
    let found = parent.find(&name, apex_label);
    // Where a cut lies above, another zone between the two has the delegation.
    if found.label != 0 || !found.node.flags().has(NodeFlags::CUT) {
        return None;
    }
    found.node.rrset(Rtype::DS)
}
