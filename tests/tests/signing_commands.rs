//! docs/dnssec.md tells an operator what to type; here it is typed.
//!
//! Every block of the document that is marked as `sh` runs, in order, in one shell and an empty directory, with
//! this build's `pharos` first in the path. A command that fails ends the session; `pharos zone check` is
//! among them, so a zone that we refuse fails it as well.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use pharos_tests::lab::{Workspace, pharos_binary, source_root};

/// Releases that the session makes and has checked, one of them twice.
const RELEASES: usize = 17;

#[test]
#[ignore = "needs dnssec-signzone, ldns-signzone, kzonesign (Debian: bind9-utils, ldnsutils, knot-dnssecutils), pharos"]
fn every_command_of_the_signing_guide_works_and_its_zones_are_accepted() {
    let guide = fs::read_to_string(source_root().join("docs/dnssec.md")).unwrap();
    let (script, blocks) = session(&guide);
    assert!(blocks >= 20, "only {blocks} blocks: has the marking changed?");
    let workspace = Workspace::new("signing");
    let directory = workspace.join("session");
    fs::create_dir_all(workspace.join("bin")).unwrap();
    fs::create_dir_all(&directory).unwrap();
    symlink(pharos_binary(), workspace.join("bin/pharos")).unwrap();
    let path = format!("{}:{}", workspace.join("bin").display(), std::env::var("PATH").unwrap());
    let script = workspace.write("session.sh", &script);
    let output = Command::new("bash")
        .arg(&script)
        .current_dir(&directory)
        .env("PATH", path)
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let told: Vec<&str> = complaint.lines().rev().take(60).collect();
    let told = told.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{said}\n--- the last that it did:\n{told}");
    let accepted: Vec<&str> = said.lines().filter(|line| line.starts_with("ok ")).collect();
    println!("{}", accepted.join("\n"));
    assert_eq!(accepted.len(), RELEASES, "releases that were accepted:\n{said}");
    // The guide speaks of one: signatures whose keys come later, in a change of algorithm.
    let warned = accepted.iter().filter(|line| !line.ends_with(" 0 warnings")).count();
    assert_eq!(warned, 1, "releases with warnings:\n{said}");
}

/// All blocks as one script that shows each command and stops at the first that fails; and how many there are.
fn session(guide: &str) -> (String, usize) {
    let (mut script, mut blocks, mut inside) = ("set -euxo pipefail\n".to_owned(), 0, false);
    for line in guide.lines() {
        match (inside, line) {
            (false, "```sh") => (inside, blocks) = (true, blocks + 1),
            (true, "```") => inside = false,
            (true, line) => {
                script += line;
                script.push('\n');
            }
            (false, _) => {}
        }
    }
    assert!(!inside, "the last block has no end");
    (script, blocks)
}
