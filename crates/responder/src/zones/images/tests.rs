use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::keys::{FORMER, KEY};
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
fn a_key_is_drawn_only_where_there_is_none() {
    let place = Place::new("key");
    let key = Images::open(place.0.clone()).unwrap().key();
    assert_eq!(Images::open(place.0.clone()).unwrap().key(), key);
    let file = place.0.join(KEY);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let good = std::fs::read(&file).unwrap();
    for other in [&b"PHAROSHK too short"[..], b"", b"noise that is as long as", &[&good[..], b"x"].concat()] {
        std::fs::write(&file, other).unwrap();
        let error = Images::open(place.0.clone()).err().unwrap().to_string();
        assert!(error.contains(file.to_str().unwrap()) && error.contains("help: "), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), other);
    }
    std::fs::remove_file(&file).unwrap();
    assert_ne!(Images::open(place.0.clone()).unwrap().key(), key);
}

#[test]
fn whatever_keeps_a_key_from_being_read_leaves_it_and_the_images_as_they_are() {
    let place = Place::new("unreadable");
    let key = Images::open(place.0.clone()).unwrap().key();
    let (file, elsewhere) = (place.0.join(KEY), place.0.join("elsewhere"));
    std::fs::rename(&file, &elsewhere).unwrap();
    std::fs::write(place.0.join("a.test.image"), "x").unwrap();
    let spoil: [(&str, &dyn Fn()); 3] = [
        ("a directory", &|| std::fs::create_dir(&file).unwrap()),
        ("a link to what is not there", &|| symlink(place.0.join("later"), &file).unwrap()),
        ("a link to itself", &|| symlink(&file, &file).unwrap()),
    ];
    for (what, spoil) in spoil {
        spoil();
        let before = std::fs::symlink_metadata(&file).unwrap();
        assert!(Images::open(place.0.clone()).is_err(), "{what}");
        let after = std::fs::symlink_metadata(&file).unwrap();
        assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()), "{what}");
        assert_eq!(std::fs::read(place.0.join("a.test.image")).unwrap(), b"x", "{what}");
        let _ = std::fs::remove_file(&file).or_else(|_| std::fs::remove_dir(&file));
    }
    // It has passed.
    std::fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(Images::open(place.0.clone()).unwrap().key(), key);
}

#[test]
fn a_key_that_others_could_read_is_replaced_and_still_opens_images() {
    let place = Place::new("open");
    let key = Images::open(place.0.clone()).unwrap().key();
    let file = place.0.join(KEY);
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let images = Images::open(place.0.clone()).unwrap();
    assert_ne!(images.key(), key, "others could read it");
    assert_eq!(images.keys, [images.key(), key]);
    for file in [KEY, FORMER] {
        assert_eq!(std::fs::metadata(place.0.join(file)).unwrap().mode() & 0o777, 0o600);
    }
    let again = Images::open(place.0.clone()).unwrap();
    assert_eq!(again.keys, images.keys);
    // That one is left open, too, before anything was written with it.
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let third = Images::open(place.0.clone()).unwrap();
    assert_eq!(third.keys, [third.key(), images.key(), key]);
}

#[test]
fn where_an_open_key_cannot_be_replaced_it_is_used_as_it_is() {
    let place = Place::new("stuck");
    let key = Images::open(place.0.clone()).unwrap().key();
    let file = place.0.join(KEY);
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    // Former keys that cannot be read are not written over, either.
    std::fs::write(place.0.join(FORMER), "damaged").unwrap();
    assert_eq!(Images::open(place.0.clone()).unwrap().keys, [key]);
    assert_eq!(std::fs::read(place.0.join(FORMER)).unwrap(), b"damaged");
    std::fs::remove_file(place.0.join(FORMER)).unwrap();
    // Nor is there room for another file.
    std::fs::create_dir(place.0.join("key.former.new")).unwrap();
    assert_eq!(Images::open(place.0.clone()).unwrap().keys, [key]);
    std::fs::remove_dir(place.0.join("key.former.new")).unwrap();
    // Or for the new key alone: the open one is among the former ones then, once however often it is tried.
    std::fs::create_dir(place.0.join("key.new")).unwrap();
    for _ in 0..2 {
        let keys = Images::open(place.0.clone()).unwrap().keys;
        assert!(keys.iter().all(|each| *each == key), "{keys:?}");
    }
    std::fs::remove_dir(place.0.join("key.new")).unwrap();
    let images = Images::open(place.0.clone()).unwrap();
    assert_eq!(images.keys, [images.key(), key]);
}

#[test]
fn an_open_key_in_a_directory_that_others_write_opens_nothing_and_stays() {
    let place = Place::new("shared");
    let key = Images::open(place.0.clone()).unwrap().key();
    let file = place.0.join(KEY);
    let before = std::fs::read(&file).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    std::fs::set_permissions(&place.0, Permissions::from_mode(0o770)).unwrap();
    let error = Images::open(place.0.clone()).err().unwrap().to_string();
    assert!(error.contains("mode 0770") && error.contains("help: "), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // One that nobody knows is as good there as anywhere.
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Images::open(place.0.clone()).unwrap().keys, [key]);
    std::fs::write(place.0.join(FORMER), &before).unwrap();
    assert_eq!(Images::open(place.0.clone()).unwrap().keys, [key], "a former one is known");
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
