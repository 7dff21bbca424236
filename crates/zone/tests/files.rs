//! Zone files and what they include, in a directory: which are read, and what is said of others.

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::{Loaded, load_file};
use pharos_zone::scan::{Includes, Source, scan};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pharos-zone-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("zones/sub")).expect("there is room");
        Self(path)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect("there is room");
    }

    fn pipe(&self, file: &str) {
        assert!(Command::new("mkfifo").arg(self.0.join(file)).status().is_ok_and(|status| status.success()));
    }

    fn load(&self) -> Result<Loaded, String> {
        let apex = Name::from_text("example.").expect("a name");
        let path = self.0.join("zones/example.zone");
        load_file(&apex, &path, HashKey::new([1, 2]), &Checks::STRICT).map_err(|error| error.to_string())
    }

    /// What is said of a zone that includes `path`; both ways to read say the same.
    fn refusal(&self, path: &str) -> String {
        self.write("zones/example.zone", &format!("{ZONE}$INCLUDE {path}\n"));
        let said = self.load().expect_err("it includes what it may not");
        let main = self.0.join("zones/example.zone");
        let octets = fs::read(&main).expect("it was written");
        let source = Source { path: &main, octets: &octets, includes: Includes::Files };
        assert_eq!(scan(source, b"\x07example\0", &mut |_| {}).to_string(), said);
        said
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ZONE: &str = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n NS ns\nns A 192.0.2.1\n";

#[test]
fn a_named_pipe_is_refused_and_keeps_nobody_waiting() {
    let scratch = Scratch::new("pipe");
    scratch.pipe("zones/sub/pipe");
    let said = scratch.refusal("sub/pipe");
    assert!(said.contains("cannot be read: it is a named pipe, not a regular file\n"), "{said}");
    assert!(said.contains("\n help: put the records here, or into a regular file"), "{said}");
    fs::remove_file(scratch.0.join("zones/example.zone")).unwrap();
    scratch.pipe("zones/example.zone");
    let said = scratch.load().unwrap_err();
    assert!(said.ends_with("example.zone: cannot be read: it is a named pipe, not a regular file"), "{said}");
}

#[test]
fn devices_and_directories_are_not_included() {
    let scratch = Scratch::new("devices");
    symlink("/dev/zero", scratch.0.join("zones/zero")).unwrap();
    assert!(scratch.refusal("zero").contains("it is outside of "));
    assert!(scratch.refusal("sub").contains("it is a directory, not a regular file"));
}

#[test]
fn what_stands_outside_of_the_directory_is_not_included_and_the_remedy_says_so() {
    let scratch = Scratch::new("outside");
    fs::create_dir(scratch.0.join("common")).unwrap();
    scratch.write("common/c.inc", "secret TXT x\n");
    symlink("../common/c.inc", scratch.0.join("zones/c.inc")).unwrap();
    let zones = scratch.0.join("zones").canonicalize().unwrap();
    for path in ["../common/c.inc", "c.inc"] {
        let said = scratch.refusal(path);
        assert!(said.contains(&format!("cannot be read: it is outside of {}\n", zones.display())), "{said}");
        assert!(
            said.contains("\n help: what a zone file includes stands in its own directory or below"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
    assert!(
        scratch.refusal("none.inc").contains("\n help: the path is relative to the directory of the file")
    );
    scratch.write("zones/sub/d.inc", "$INCLUDE ../e.inc\n");
    scratch.write("zones/e.inc", "e A 192.0.2.2\n");
    scratch.write("zones/example.zone", &format!("{ZONE}$INCLUDE sub/d.inc\n"));
    assert_eq!(scratch.load().unwrap().image.records(), 4);
}

#[test]
fn a_file_that_includes_itself_by_a_link_or_another_spelling_is_refused() {
    let scratch = Scratch::new("cycle");
    symlink("../example.zone", scratch.0.join("zones/sub/link")).unwrap();
    for path in ["sub/link", "../zones/example.zone", "sub/../example.zone"] {
        let said = scratch.refusal(path);
        assert!(
            said.contains(&format!("example.zone:5:10: error: the file `{path}` includes itself")),
            "{said}"
        );
        assert_eq!(said.matches(": error: ").count(), 1, "{said}");
    }
}

#[test]
fn what_whole_zones_lack_or_contradict_is_shown_with_its_line_in_included_files_too() {
    let scratch = Scratch::new("lines");
    scratch.write("zones/sub/in.inc", "a CNAME b\na A 192.0.2.2\nx.org. A 192.0.2.3\n");
    scratch.write(
        "zones/example.zone",
        &format!("{ZONE}$INCLUDE sub/in.inc\n$INCLUDE sub/in.inc\nns A 192.0.2.256\n"),
    );
    let said = scratch.load().unwrap_err();
    let inner = Path::new(&scratch.0).join("zones/sub/in.inc");
    for shown in [
        "in.inc:2:1: error: A at a.example., which is an alias\n 2 | a A 192.0.2.2\n   | ^\n",
        "in.inc:3:1: error: x.org. is outside of zone example.\n 3 | x.org. A 192.0.2.3\n   | ^^^^^^\n",
        "example.zone:7:6: error: A address: `192.0.2.256` is not an IPv4 address\n 7 | ns A 192.0.2.256\n",
    ] {
        assert!(said.contains(shown), "{}: {said}", inner.display());
    }
    // Each time that a file is included counts, and each finding has its line.
    assert_eq!(said.matches(" 3 | x.org. A 192.0.2.3\n").count(), 2, "{said}");
}
