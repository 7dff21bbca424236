//! Whether a parent's DS records and its child's keys hold together, where both zones are at hand.
//!
//! A validator comes down by a DS record to the key that it speaks of, and believes the child's DNSKEY RRset if that
//! very key signs it (RFC 4035 §5.2). Where no DS record leads so far, everything in the child is refused, however well
//! signed. [`broken`] is pure and looks at compiled zones alone. The responder asks it before new data come into force
//! and after every reload; `pharos zone check` asks it of all zones that it is given.
//!
//! Whether that signature verifies is judged when the child is loaded, with all signatures of its apex. Its time is looked
//! at here too, for whoever has a clock: of several keys that sign the keys, only here it is known which one matters.

use std::fmt;

use pharos_wire::hash::{HashKey, HashedName};
use pharos_wire::{Name, Rtype};
use pharos_zonedb::image::NodeFlags;
use pharos_zonedb::{RrSet, ZoneImage};

use crate::dnssec::{Clock, DsVerdict, ds_matches};

/// Key tags that are named of a DS RRset; nobody compares more by eye.
const MAX_TAGS: usize = 8;

/// A secure delegation that leads a validator nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLink {
    parent: Name,
    child: Name,
    /// Key tags of the parent's DS records.
    tags: Vec<u16>,
    fault: Fault,
}

/// How far the best of the DS records leads, the least far first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NoKey,
    /// The key with this tag is there, and does not sign the DNSKEY RRset.
    Silent(u16),
    /// It does, and its signature does not hold now.
    Lapsed(u16),
}

/// What a person should know of it: one sentence without a full stop.
impl fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, child, tags, fault } = self;
        match fault {
            Fault::NoKey => {
                let tags = tags.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "no DNSKEY of {child} matches a DS record that zone {parent} has for it (key tags {tags})"
                )
            }
            Fault::Silent(tag) => write!(
                f,
                "the DNSKEY of {child} that matches a DS record of zone {parent} (key tag {tag}) does not sign the \
                 DNSKEY RRset"
            ),
            Fault::Lapsed(tag) => write!(
                f,
                "the DNSKEY of {child} that matches a DS record of zone {parent} (key tag {tag}) signs the DNSKEY RRset, \
                 but not for this time"
            ),
        }
    }
}

/// What is wrong between `parent` and `child`, a zone whose apex lies inside; `key` is the one that the parent's image
/// was made with. Without a clock a signature is good at any time. None where a DS record leads to a key that signs the child's keys, and where validators ask for no
/// signatures: without DS records, or with digests that none of them knows (RFC 4035 §5.2).
#[must_use]
pub fn broken(
    parent: &ZoneImage,
    child: &ZoneImage,
    key: HashKey,
    clock: Option<Clock>,
) -> Option<BrokenLink> {
    let all = ds_of(parent, child.apex().as_wire(), key)?;
    let keys = child.apex_node().rrset(Rtype::DNSKEY);
    let (mut judged, mut fault, mut tags) = (false, Fault::NoKey, Vec::new());
    for record in all.records() {
        let ds = record.rdata();
        // Tag, algorithm, digest type (RFC 4034 §5.1).
        let Some(&[tag0, tag1, algorithm, digest_type]) = ds.first_chunk::<4>() else { continue };
        let tag = u16::from_be_bytes([tag0, tag1]);
        tags.push(tag);
        judged |= matches!(digest_type, 1 | 2 | 4);
        let speaks_of = |key: &[u8]| ds_matches(child.apex().as_wire(), ds, key) == DsVerdict::Matches;
        let Some(keys) = keys.filter(|keys| keys.records().any(|key| speaks_of(key.rdata()))) else {
            continue;
        };
        let mut signatures =
            keys.signatures().filter(|rrsig| is_by(rrsig.rdata(), algorithm, tag)).peekable();
        fault = fault.max(if signatures.peek().is_none() { Fault::Silent(tag) } else { Fault::Lapsed(tag) });
        if signatures.any(|rrsig| clock.is_none_or(|clock| holds(rrsig.rdata(), clock))) {
            return None;
        }
    }
    if !judged {
        return None;
    }
    tags.truncate(MAX_TAGS);
    Some(BrokenLink { parent: parent.apex().to_name(), child: child.apex().to_name(), tags, fault })
}

/// Whether a signature says that this key made it (RFC 4034 §3.1.2 and §3.1.6).
fn is_by(rrsig: &[u8], algorithm: u8, tag: u16) -> bool {
    rrsig.get(2) == Some(&algorithm) && rrsig.get(16..18) == Some(&tag.to_be_bytes())
}

/// Whether a signature is good at the clock's time, by the arithmetic of serials (RFC 4034 §3.1.5).
fn holds(rrsig: &[u8], clock: Clock) -> bool {
    let time = |at: usize| rrsig.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets));
    let (Some(expiration), Some(inception)) = (time(8), time(12)) else { return false };
    let now = clock.unix as u32;
    now.wrapping_sub(inception).cast_signed() >= 0 && expiration.wrapping_sub(now).cast_signed() >= 0
}

fn ds_of<'a>(parent: &'a ZoneImage, child: &[u8], key: HashKey) -> Option<RrSet<'a>> {
    let mut name = HashedName::default();
    name.set(child).ok()?;
    name.hash(key);
    let apex_label = name.labels().checked_sub(parent.apex().labels().count())?;
    let found = parent.find(&name, apex_label);
    // Where a cut lies above, another zone between the two has the delegation.
    if found.label != 0 || !found.node.flags().has(NodeFlags::CUT) {
        return None;
    }
    found.node.rrset(Rtype::DS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::Checks;
    use crate::load::load;
    use crate::scan::{Includes, Source};
    use std::path::Path;
    use std::time::Duration;

    const KEY: HashKey = HashKey::new([1, 2]);

    fn image(apex: &str, text: &str) -> ZoneImage {
        let source = Source { path: Path::new("zone"), octets: text.as_bytes(), includes: Includes::Refused };
        load(&Name::from_text(apex).unwrap(), source, KEY, &Checks::LENIENT, &mut |_| {}).unwrap().image
    }

    /// A child with the key of RFC 4034 §5.4, whose tag is 60485, with these signatures over it.
    fn child(signed_by: &[u16]) -> ZoneImage {
        let mut text = "$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n@ DNSKEY 256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==\n".to_owned();
        for tag in signed_by {
            text.push_str(&format!("@ RRSIG DNSKEY 5 3 60 20300101000000 20200101000000 {tag} @ AAAA\n"));
        }
        image("dskey.example.com", &text)
    }

    fn parent(ds: &str) -> ZoneImage {
        image(
            "example.com",
            &format!(
                "$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\ndskey NS ns.elsewhere.\n{ds}\nsub NS ns.elsewhere.\n"
            ),
        )
    }

    const FITS: &str = "dskey DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118";

    fn said(ds: &str, signed_by: &[u16]) -> String {
        broken(&parent(ds), &child(signed_by), KEY, None).map_or(String::new(), |link| link.to_string())
    }

    #[test]
    fn a_ds_record_of_a_key_that_signs_the_keys_holds() {
        assert_eq!(said(FITS, &[60485]), "");
        assert_eq!(said(FITS, &[4711, 60485]), "");
        assert_eq!(said(&format!("dskey DS 7 13 2 {}\n{FITS}", "00".repeat(32)), &[60485]), "");
    }

    #[test]
    fn a_ds_record_of_a_key_that_only_stands_by_leads_nowhere() {
        let words = "the DNSKEY of dskey.example.com. that matches a DS record of zone example.com. (key tag 60485) does not sign the DNSKEY RRset";
        assert_eq!(said(FITS, &[4711]), words);
        assert_eq!(said(FITS, &[]), words);
    }

    #[test]
    fn by_a_clock_the_signature_of_the_key_in_question_must_hold() {
        let said = |time| {
            let clock = Clock::from_text(time, Duration::ZERO);
            broken(&parent(FITS), &child(&[4711, 60485]), KEY, clock).map(|link| link.to_string())
        };
        for good in ["20200101000000", "20250101000000", "20300101000000"] {
            assert_eq!(said(good), None);
        }
        for bad in ["20191231235959", "20300101000001"] {
            let words = said(bad).unwrap();
            assert!(
                words.ends_with("(key tag 60485) signs the DNSKEY RRset, but not for this time"),
                "{words}"
            );
        }
    }

    #[test]
    fn ds_records_of_other_keys_are_named_by_their_tags() {
        let others = format!("dskey DS 7 13 2 {0}\ndskey DS 8 13 2 {0}", "00".repeat(32));
        assert_eq!(
            said(&others, &[60485]),
            "no DNSKEY of dskey.example.com. matches a DS record that zone example.com. has for it (key tags 7, 8)"
        );
    }

    #[test]
    fn without_ds_records_or_with_unknown_digests_nothing_is_asked_for() {
        assert_eq!(said("", &[]), "");
        assert_eq!(said(&format!("dskey DS 60485 5 3 {}", "00".repeat(32)), &[60485]), "");
    }
}
