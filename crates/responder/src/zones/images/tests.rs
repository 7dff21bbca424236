use super::*;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

#[test]
fn any_zone_name_makes_the_name_of_a_file() {
    for (zone, file) in [
        ("Example.COM.", "example.com.image"),
        (".", "@.image"),
        ("0/25.2.0.192.in-addr.arpa.", "0%2f25.2.0.192.in-addr.arpa.image"),
        ("a\\.b.", "a%2eb.image"),
        ("\\064.", "%40.image"),
    ] {
        assert_eq!(file_name(&name(zone)), file);
    }
    let long = |last: &str| format!("{}.{}.{}.{last}.", "a".repeat(63), "b".repeat(63), "c".repeat(63));
    let file = file_name(&name(&long(&"d".repeat(61))));
    assert!(file.len() < 100 && file.starts_with("%%") && file.ends_with(SUFFIX), "{file}");
    assert_ne!(file, file_name(&name(&long(&"e".repeat(61)))));
}

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pharos-images-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_key_stays_and_is_its_owners_alone() {
    let place = Place::new("key");
    let key = Images::open(place.0.clone()).unwrap().key();
    assert_eq!(Images::open(place.0.clone()).unwrap().key(), key);
    let file = place.0.join(KEY);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let other = Images::open(place.0.clone()).unwrap().key();
    assert_ne!(other, key, "others could read it");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    std::fs::write(&file, "PHAROSHK too short").unwrap();
    assert_ne!(Images::open(place.0.clone()).unwrap().key(), other);
}

#[test]
fn only_images_of_zones_that_are_gone_are_removed_and_none_where_all_are_gone() {
    let place = Place::new("retain");
    std::fs::create_dir_all(&place.0).unwrap();
    for file in ["a.test.image", "b.test.image", "c.test.image.new", "notes.txt"] {
        std::fs::write(place.0.join(file), "x").unwrap();
    }
    let images = Images::open(place.0.clone()).unwrap();
    let left = || {
        let mut all: Vec<_> = std::fs::read_dir(&place.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    };
    images.retain::<()>(&BTreeMap::new());
    assert_eq!(left(), ["a.test.image", "b.test.image", "c.test.image.new", "key", "notes.txt"]);
    images.retain(&BTreeMap::from([(name("a.test.").as_wire().to_vec(), ())]));
    assert_eq!(left(), ["a.test.image", "key", "notes.txt"]);
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_the_old_one_and_nothing_half_done() {
    let place = Place::new("replace");
    std::fs::create_dir_all(&place.0).unwrap();
    replace(&place.0, "x", |file| file.write_all(b"old")).unwrap();
    let full = |file: &mut File| {
        file.write_all(b"ne")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    };
    assert_eq!(replace(&place.0, "x", full).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(std::fs::read(place.0.join("x")).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(&place.0).unwrap().count(), 1);
}
