//! The sample zones of `zones/`, judged by the checkers of other name servers and by their own generators.
//!
//! The quick start serves these files and other suites ask for what is in them, so a mistake here would look
//! like a mistake of the responder. Tests that need the other servers' programs are ignored by default;
//! `tests/run` runs them.

use pharos_tests::lab::{Workspace, source_root};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Each sample's zone name and file.
fn samples() -> Vec<(String, PathBuf)> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(source_root().join("zones")).expect("zones/ is in the source tree").flatten() {
        let name = entry.file_name().into_string().expect("samples have plain names");
        if let Some(zone) = name.strip_suffix(".zone") {
            samples.push((zone.to_owned(), entry.path()));
        }
    }
    assert!(samples.len() >= 5, "only {samples:?}");
    samples
}

fn sample(name: &str) -> PathBuf {
    source_root().join("zones").join(format!("{name}.zone"))
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn assert_success(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}{complaint}");
    said
}

#[test]
fn the_tld_sample_is_what_its_generator_writes() {
    let workspace = Workspace::new("samples");
    let written = workspace.join("example.zone");
    assert_success(Command::new(source_root().join("tests/tools/make-tld")).arg(&written));
    assert!(
        fs::read(&written).unwrap() == fs::read(sample("example")).unwrap(),
        "zones/example.zone and tests/tools/make-tld have drifted apart: run the latter"
    );
}

#[test]
fn samples_hold_documentation_addresses_alone() {
    let allowed = ["192.0.2.", "198.51.100.", "203.0.113."];
    for (name, path) in samples() {
        for word in fs::read_to_string(&path).unwrap().split([' ', '\t', '\n', ',', '=', '/', ':']) {
            if word.parse::<std::net::Ipv4Addr>().is_ok() {
                assert!(allowed.iter().any(|prefix| word.starts_with(prefix)), "{word} in {name}");
            }
        }
        for word in fs::read_to_string(&path).unwrap().split([' ', '\t', '\n', ',', '=', '/']) {
            if word.parse::<std::net::Ipv6Addr>().is_ok() {
                assert!(word.starts_with("2001:db8:"), "{word} in {name}");
            }
        }
    }
}

#[test]
#[ignore = "needs named-checkzone (Debian: bind9-utils)"]
fn bind_accepts_every_sample() {
    for (name, path) in samples() {
        // Without `-i none` it would look names of other zones up on the network.
        assert_success(Command::new("named-checkzone").args(["-i", "none", &name]).arg(&path));
    }
}

#[test]
#[ignore = "needs nsd-checkzone (Debian: nsd)"]
fn nsd_accepts_every_sample() {
    for (name, path) in samples() {
        assert_success(Command::new("nsd-checkzone").arg(&name).arg(&path));
    }
}

#[test]
#[ignore = "needs kzonecheck (Debian: knot-dnssecutils)"]
fn knot_accepts_every_sample() {
    for (name, path) in samples() {
        assert_success(Command::new("kzonecheck").args(["-o", &name]).arg(&path));
    }
}

#[test]
#[ignore = "needs ldns-read-zone (Debian: ldnsutils)"]
fn ldns_accepts_every_sample() {
    for (_, path) in samples() {
        assert_success(Command::new("ldns-read-zone").arg(&path));
    }
}

#[test]
#[ignore = "needs ldns-verify-zone (Debian: ldnsutils)"]
fn the_signed_sample_verifies_until_2036() {
    // Judged at fixed moments, so that neither the clock of this machine nor the year decides.
    for moment in ["20261201000000", "20361001000000"] {
        assert_success(Command::new("ldns-verify-zone").args(["-t", moment]).arg(sample("signed.example")));
    }
    let late =
        run(Command::new("ldns-verify-zone").args(["-t", "20361201000000"]).arg(sample("signed.example")));
    assert!(!late.status.success(), "the signatures should have an end");
}

#[test]
#[ignore = "needs dnssec-dsfromkey (Debian: bind9-utils)"]
fn the_parent_carries_the_ds_of_the_signed_sample() {
    let file = sample("signed.example");
    let ds =
        assert_success(Command::new("dnssec-dsfromkey").arg("-2").arg("-f").arg(&file).arg("signed.example"));
    let words: Vec<&str> = ds.split_whitespace().collect();
    let parent = fs::read_to_string(sample("example")).unwrap();
    let found = parent.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words);
    assert!(found, "zones/example.zone lacks {ds}: run tests/tools/make-tld");
}
