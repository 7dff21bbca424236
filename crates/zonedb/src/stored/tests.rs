use pharos_wire::Rtype;
use pharos_wire::hash::HashedName;

use super::*;
use crate::build::{ImageBuilder, LinksSpec, NodeId, NodeSpec, Reach, RrSetSpec};
use crate::image::NodeFlags;

const KEY: HashKey = HashKey::new([3, 4]);

fn wire(text: &str) -> Vec<u8> {
    Name::from_text(text).unwrap().as_wire().to_vec()
}

/// A zone with names, an NSEC chain and an NSEC3 chain, which no true one has both of.
fn image(names: usize) -> ZoneImage {
    let apex = Name::from_text("example.").unwrap();
    let parameters = Nsec3Parameters { iterations: 1, salt: [1, 2].into() };
    let mut builder = ImageBuilder::new(&apex, names * 2);
    builder.nsec3(parameters.clone());
    for number in 0..names {
        let owner = if number == 0 { wire("example.") } else { wire(&format!("h{number}.example.")) };
        let (id, hashed) = (NodeId(number as u32), NodeId((names + number) as u32));
        let address = [192, 0, (number >> 8) as u8, number as u8];
        let rrset =
            |rtype, records| RrSetSpec { rtype, ttl: 60, records, signatures: &[b"sig"], extras: &[] };
        let (addresses, nsec): ([&[u8]; 1], [&[u8]; 1]) = ([&address], [b"\0"]);
        let rrsets = [rrset(Rtype::A, &addresses), rrset(Rtype::NSEC, &nsec)];
        let links = Some(LinksSpec { encloser: hashed, next_closer: None, wildcard: hashed });
        let reach = Reach::Listed(KEY.name(&owner).unwrap());
        let flags = NodeFlags::default();
        builder.node(&NodeSpec { id, owner: &owner, reach, flags, links, rrsets: &rrsets }).unwrap();
        let reach = Reach::Hashed(parameters.hash(&[&owner]));
        let rrsets = [rrset(Rtype::NSEC3, &nsec)];
        let spec = NodeSpec { id: hashed, owner: &owner, reach, flags, links: None, rrsets: &rrsets };
        builder.node(&spec).unwrap();
    }
    builder.finish(NodeId(0), 7, 60).unwrap()
}

fn stored(image: &ZoneImage) -> Vec<u8> {
    let mut octets = Vec::new();
    image.write_to(KEY, b"a note", &mut octets).unwrap();
    octets
}

fn read(key: HashKey, octets: &[u8]) -> Result<(Head, ZoneImage), StoredError> {
    let mut input = octets;
    let (head, read) = Head::read_from(&[key], &mut input)?;
    let left = (octets.len() as u64).saturating_sub(read);
    let image = ZoneImage::read_from(&head, left, &mut input, |_| ())?;
    Ok((head, image))
}

#[test]
fn what_is_read_is_what_was_written() {
    for names in [1, 2, 5000] {
        let image = image(names);
        let octets = stored(&image);
        let (head, again) = read(KEY, &octets).unwrap();
        assert_eq!((head.apex, &head.note[..]), (image.apex().to_name(), &b"a note"[..]));
        assert_eq!(stored(&again), octets);
        assert_eq!(format!("{again:?}"), format!("{image:?}"));
    }
}

#[test]
fn whatever_bit_falls_over_it_is_damaged() {
    let octets = stored(&image(3));
    for bit in 0..octets.len() * 8 {
        let mut damaged = octets.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(KEY, &damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn a_file_that_ends_early_or_goes_on_is_damaged() {
    let octets = stored(&image(3));
    for length in 0..octets.len() {
        assert!(read(KEY, &octets[..length]).is_err(), "{length}");
    }
    let longer = [&octets[..], b"x"].concat();
    assert!(matches!(read(KEY, &longer), Err(StoredError::Damaged(_))));
}

#[test]
fn another_key_another_layout_and_other_files_are_told_apart() {
    let mut octets = stored(&image(3));
    assert!(matches!(read(HashKey::new([4, 3]), &octets), Err(StoredError::OtherKey)));
    octets[8] = 99;
    assert!(matches!(read(KEY, &octets), Err(StoredError::OtherLayout(99))));
    assert!(matches!(read(KEY, &[b'x'; 1000]), Err(StoredError::NotAnImage)));
    assert!(matches!(read(KEY, b"short"), Err(StoredError::Unreadable(_))));
}

#[test]
fn lengths_that_nobody_can_mean_take_no_memory() {
    let image = image(3);
    let (mut head, octets) = Head::read_from(&[KEY], &mut &stored(&image)[..]).unwrap();
    let left = stored(&image).len() as u64 - octets;
    for (arena, buckets) in [(u64::MAX, 1), (1 << 40, 1), (64, u64::MAX / 64), (0, u64::MAX)] {
        (head.shape.arena, head.shape.buckets) = (arena, buckets);
        assert!(ZoneImage::read_from(&head, left, &mut std::io::repeat(0), |_| ()).is_err());
    }
}

/// Whoever can write sums can write anything, and still look-ups must end, inside of the image.
#[test]
fn look_ups_in_an_image_that_somebody_made_up_end() {
    let image = image(40);
    let octets = stored(&image);
    let (head, start) = Head::read_from(&[KEY], &mut &octets[..]).unwrap();
    let start = start as usize;
    let end = octets.len() - SUMS_OCTETS;
    let mut word = 1u64;
    for turn in 0..2000 {
        let mut made_up = octets.clone();
        for _ in 0..1 + turn % 40 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = start + (word >> 33) as usize % (end - start);
            made_up[at] = (word >> 24) as u8;
        }
        let sums = Sums::of(&made_up[start..end]);
        made_up[end..].copy_from_slice(&sums);
        let mut body = &made_up[start..];
        let image = ZoneImage::read_from(&head, body.len() as u64, &mut body, |_| ()).unwrap();
        for number in 0..60 {
            let mut name = HashedName::default();
            name.set(&wire(&format!("h{number}.example."))).unwrap();
            name.hash(KEY);
            let glimpse = image.glimpse(&name);
            let found = image.find_glimpsed(&name, 1, glimpse).node;
            assert_eq!(found, image.find(&name, 1).node);
            let denials = [image.nsec_for(b"\x02h7"), image.nsec3_for(&[number; HASH_OCTETS])];
            let links = found.links().map(|links| links.wildcard);
            for node in [Some(found), links].into_iter().chain(denials).flatten() {
                for rrset in node.rrsets() {
                    let octets = |records: crate::image::Records<'_>| {
                        records.map(|record| record.rdata().len() + record.patches().count()).sum::<usize>()
                    };
                    let octets = octets(rrset.records()) + octets(rrset.signatures());
                    std::hint::black_box(octets + rrset.extras().map(|extra| extra.place).sum::<usize>());
                }
            }
        }
    }
}

/// FNV-1a: enough to tell octets from others.
fn fingerprint(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Where this fails, and the change is meant, [`LAYOUT`] is to be counted up together with what stands here: an image of
/// before must not be read as what it is not.
#[test]
fn a_layout_has_one_number() {
    assert_eq!((LAYOUT, fingerprint(&stored(&image(40)))), (1, 0x090b_ab49_7508_b053));
}

#[test]
fn an_image_that_gets_another_key_is_found_by_that_and_says_the_same() {
    let other = HashKey::new([5, 6]);
    for names in [1, 2, 5000] {
        let image = image(names).with_key(other);
        let find = |key: HashKey, number: usize| {
            let mut name = HashedName::default();
            name.set(&wire(&format!("h{number}.example."))).unwrap();
            name.hash(key);
            image.find(&name, 1)
        };
        for number in 1..names {
            let found = find(other, number);
            let text = format!("h{number}");
            assert_eq!((found.label, &found.node.name()[1..]), (0, text.as_bytes()));
            assert!(found.node.rrset(Rtype::A).is_some());
        }
        assert!(image.nsec_for(b"\x02h1").is_some() && image.nsec3().is_some());
        // And back again.
        let before = super::tests::image(names);
        let mut octets = Vec::new();
        image.write_to(other, b"a note", &mut octets).unwrap();
        let (head, again) = read(other, &octets).unwrap();
        assert_eq!(head.key, other);
        let again = again.with_key(KEY);
        assert_eq!((again.arena, again.nsec.keys), (before.arena, before.nsec.keys));
        assert_eq!(again.table.buckets(), before.table.buckets());
    }
}

#[test]
fn an_image_of_any_of_several_keys_is_read() {
    let octets = stored(&image(2));
    let (one, other) = (HashKey::new([5, 6]), HashKey::new([7, 8]));
    let read = |keys: &[HashKey]| Head::read_from(keys, &mut &octets[..]).map(|(head, _)| head.key);
    assert_eq!(read(&[one, KEY, other]).unwrap(), KEY);
    assert!(matches!(read(&[one, other]), Err(StoredError::OtherKey)));
    assert!(matches!(read(&[]), Err(StoredError::OtherKey)));
}
