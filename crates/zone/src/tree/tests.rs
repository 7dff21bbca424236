//! What the tree says of names and records.

use super::*;

fn tree(records: &[(&str, Rtype)]) -> Tree {
    let mut tree = Tree::new(&Name::from_text("example.").unwrap(), HashKey::new([1, 2]), 0);
    for (owner, rtype) in records {
        let owner = Name::from_text(owner).unwrap();
        let record = Record {
            owner: owner.as_wire(),
            rtype: rtype.0,
            class: 1,
            ttl: 60,
            rdata: &[0],
            place: Place::default(),
        };
        tree.insert(&record).unwrap();
    }
    tree.settle();
    tree
}

fn find(tree: &Tree, name: &str) -> Option<NodeIndex> {
    let wire = Name::from_text(name).unwrap();
    tree.slot(tree.key.name(wire.as_wire()).unwrap(), wire.as_wire())
}

#[test]
fn names_between_owner_and_apex_exist() {
    let tree = tree(&[("a.b.c.example.", Rtype::A), ("x.b.c.example.", Rtype::A)]);
    assert_eq!(tree.node_count(), 5);
    let middle = find(&tree, "B.c.example.").unwrap();
    assert_eq!(tree.records(middle).count(), 0);
    assert_eq!(tree.parent(middle), find(&tree, "c.example."));
    assert_eq!(tree.parent(find(&tree, "c.example.").unwrap()), Some(APEX));
}

#[test]
fn the_highest_cut_occludes() {
    let tree = tree(&[
        ("ns.deep.sub.example.", Rtype::A),
        ("deep.sub.example.", Rtype::NS),
        ("sub.example.", Rtype::NS),
        ("example.", Rtype::NS),
    ]);
    let sub = find(&tree, "sub.example.").unwrap();
    assert_eq!(tree.standing(APEX), Standing::Authoritative);
    assert_eq!(tree.standing(sub), Standing::Cut);
    assert_eq!(tree.standing(find(&tree, "deep.sub.example.").unwrap()), Standing::Occluded(sub));
    assert_eq!(tree.standing(find(&tree, "ns.deep.sub.example.").unwrap()), Standing::Occluded(sub));
}

#[test]
fn what_lies_below_a_dname_is_occluded_and_its_owner_is_not() {
    let tree = tree(&[("d.example.", Rtype::DNAME), ("x.d.example.", Rtype::A)]);
    let owner = find(&tree, "d.example.").unwrap();
    assert_eq!(tree.standing(owner), Standing::Authoritative);
    assert_eq!(tree.standing(find(&tree, "x.d.example.").unwrap()), Standing::Occluded(owner));
}

#[test]
fn rdata_lead_to_nodes_whatever_the_case_and_the_order() {
    let mut tree = Tree::new(&Name::from_text("example.").unwrap(), HashKey::new([1, 2]), 0);
    let (mx, owner, after) = (b"\0\x0a\x04MAIL\x07example\0", b"\x07example\0", b"\x04mail\x07example\0");
    let nowhere = b"\0\x0a\x02no\x07example\0";
    for (owner, rtype, rdata) in [
        (&owner[..], Rtype::MX, &mx[..]),
        (&owner[..], Rtype::MX, &nowhere[..]),
        (&owner[..], Rtype::MX, b"\0\0\0"),
        (&after[..], Rtype::A, &[192, 0, 2, 1]),
    ] {
        let (class, ttl, place) = (1, 60, Place::default());
        tree.insert(&Record { owner, rtype: rtype.0, class, ttl, rdata, place }).unwrap();
    }
    tree.settle();
    let mail = find(&tree, "mail.example.");
    let targets: Vec<_> = tree.records(APEX).map(|record| record.target).collect();
    assert_eq!(targets, [mail, None, None]);
    assert!(tree.has_address(mail.unwrap()));
}

#[test]
fn owners_outside_the_zone_do_not_fit() {
    let mut tree = tree(&[]);
    let owner = Name::from_text("example.org.").unwrap();
    let (rtype, class, ttl, rdata, place) = (1, 1, 1, &[0][..], Place::default());
    let record = Record { owner: owner.as_wire(), rtype, class, ttl, rdata, place };
    assert_eq!(tree.insert(&record), Err(Misfit::OutOfZone));
}

#[test]
fn many_names_are_all_found_with_their_records_in_order() {
    let names: Vec<String> = (0..3000).map(|n| format!("h{n}.example.")).collect();
    let pairs: Vec<_> = names.iter().flat_map(|n| [(n.as_str(), Rtype::A), (n, Rtype::TXT)]).collect();
    let tree = tree(&pairs);
    for name in &names {
        let node = find(&tree, name).unwrap();
        let types: Vec<_> = tree.records(node).map(|record| record.rtype).collect();
        assert_eq!(types, [Rtype::A, Rtype::TXT]);
    }
}

#[test]
fn the_owner_of_a_hash_is_a_name_of_the_zone_only_with_names_below_it() {
    let tree = tree(&[
        ("hash.example.", Rtype::NSEC3),
        ("other.example.", Rtype::NSEC3),
        ("x.other.example.", Rtype::A),
    ]);
    let is_hash_owner = |name| crate::nsec3::is_hash_owner(&tree, find(&tree, name).unwrap());
    assert!(is_hash_owner("hash.example."));
    assert!(!is_hash_owner("other.example."));
    assert!(!tree.has_children(find(&tree, "x.other.example.").unwrap()));
}
