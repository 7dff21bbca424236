//! Type bitmaps of NSEC and NSEC3 records against the types that a name really has (RFC 4034 §4.1.2).

use pharos_wire::Rtype;

use crate::nsec3::is_hash_owner;
use crate::rtype::Display;
use crate::tree::{NodeIndex, Standing, Tree};

/// How many types a message lists.
const LISTED: usize = 6;

/// The types that a denial at a node must list, in ascending order: all that is the zone's own there. At a cut that is
/// NS, DS and NSEC (RFC 4035 §2.3). NSEC3 is at a hash and not at a name, so it never is (RFC 5155 §7.1).
pub(crate) fn types(tree: &Tree, node: NodeIndex, found: &mut Vec<Rtype>) {
    found.clear();
    let cut = tree.standing(node) == Standing::Cut;
    let own = |rtype: Rtype| {
        rtype != Rtype::NSEC3 && (!cut || matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC))
    };
    if matches!(tree.standing(node), Standing::Occluded(_)) || is_hash_owner(tree, node) {
        return;
    }
    for record in tree.records(node) {
        if record.rtype == Rtype::RRSIG {
            let covered = record.rdata.first_chunk::<2>().map(|octets| Rtype(u16::from_be_bytes(*octets)));
            if covered.is_some_and(|covered| own(covered) && !(cut && covered == Rtype::NS)) {
                found.push(Rtype::RRSIG);
            }
        } else if own(record.rtype) {
            found.push(record.rtype);
        }
    }
    found.sort_unstable();
    found.dedup();
}

/// Whether a bitmap is that of an NSEC3 record beside an NSEC chain that is being built or taken down: it lists all but
/// NSEC, and but RRSIG where nothing else is signed, as at an unsigned delegation. Nobody asks a server for the denial
/// of what it has, and signers write such records while they change the chain.
pub(crate) fn lacks_only_nsec(tree: &Tree, node: NodeIndex, bitmap: &[u8], types: &[Rtype]) -> bool {
    let is_cut = tree.standing(node) == Standing::Cut;
    let signs_other = tree.of_type(node, Rtype::RRSIG).any(|record| {
        let covered = record.rdata.first_chunk::<2>().map(|octets| Rtype(u16::from_be_bytes(*octets)));
        covered.is_some_and(|covered| if is_cut { covered == Rtype::DS } else { covered != Rtype::NSEC })
    });
    let expected = |rtype: &Rtype| *rtype != Rtype::NSEC && (*rtype != Rtype::RRSIG || signs_other);
    types.contains(&Rtype::NSEC) && decode(bitmap).eq(types.iter().copied().filter(expected))
}

/// What a bitmap lists wrongly, as part of a sentence; `None` when it lists just these types.
pub(crate) fn difference(bitmap: &[u8], types: &[Rtype]) -> Option<String> {
    let mut listed = decode(bitmap);
    if listed.by_ref().eq(types.iter().copied()) {
        return None;
    }
    let stated: Vec<Rtype> = decode(bitmap).collect();
    let missing: Vec<_> = types.iter().filter(|rtype| !stated.contains(rtype)).collect();
    let extra: Vec<_> = stated.iter().filter(|rtype| !types.contains(rtype)).collect();
    let list = |types: &[&Rtype]| {
        let mut names: Vec<String> =
            types.iter().take(LISTED).map(|rtype| Display(rtype.0).to_string()).collect();
        if types.len() > LISTED {
            names.push(format!("{} more", types.len() - LISTED));
        }
        names.join(", ")
    };
    Some(match (&missing[..], &extra[..]) {
        (missing, []) => format!("lacks {}", list(missing)),
        ([], extra) => format!("lists {}, which is not there", list(extra)),
        (missing, extra) => format!("lacks {} and lists {}, which is not there", list(missing), list(extra)),
    })
}

/// The types that a bitmap lists, in its order.
fn decode(mut bitmap: &[u8]) -> impl Iterator<Item = Rtype> {
    let windows = std::iter::from_fn(move || {
        let (&[window, octets], rest) = bitmap.split_first_chunk::<2>()?;
        let (bits, rest) = rest.split_at_checked(octets.into())?;
        bitmap = rest;
        Some((window, bits))
    });
    windows.flat_map(|(window, bits)| {
        let set = |bit: usize| bits.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0);
        (0..bits.len() * 8)
            .filter(move |&bit| set(bit))
            .map(move |bit| Rtype(u16::from_be_bytes([window, bit as u8])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A, MX, RRSIG, NSEC and TYPE1234: the bitmap of RFC 4034 §4.3.
    fn bitmap() -> Vec<u8> {
        [&b"\x00\x06\x40\x01\x00\x00\x00\x03\x04\x1b"[..], &[0; 26], &[0x20]].concat()
    }

    #[test]
    fn a_bitmap_that_says_what_is_there_differs_in_nothing() {
        let types = [Rtype::A, Rtype::MX, Rtype::RRSIG, Rtype::NSEC, Rtype(1234)];
        assert_eq!(difference(&bitmap(), &types), None);
        assert_eq!(difference(&[], &[]), None);
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_named() {
        let types = [Rtype::A, Rtype::AAAA, Rtype::RRSIG, Rtype::NSEC, Rtype(1234)];
        let said = difference(&bitmap(), &types).unwrap();
        assert_eq!(said, "lacks AAAA and lists MX, which is not there");
        assert_eq!(
            difference(&bitmap(), &types[..0]).unwrap(),
            "lists A, MX, RRSIG, NSEC, TYPE1234, which is not there"
        );
        assert_eq!(difference(&[], &types[..1]).unwrap(), "lacks A");
    }
}
