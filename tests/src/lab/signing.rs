//! Zones whose signatures end when a scenario wants it, by BIND's tools.

use super::Workspace;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Signs example.com (P-256, NSEC) so that the signatures end at `end`, with the same keys throughout a lab.
///
/// # Panics
/// If one of the tools fails, with what it said.
pub fn sign_until(workspace: &Workspace, text: &str, end: SystemTime) -> String {
    const APEX: &str = "example.com.";
    let keys = workspace.join("keys");
    if !keys.exists() {
        fs::create_dir_all(&keys).expect("the lab's own directory can be written");
        for flags in [&["-f", "KSK"][..], &[]] {
            let mut command = Command::new("dnssec-keygen");
            command.args(["-q", "-a", "ECDSAP256SHA256", "-K"]).arg(&keys).args(flags);
            run(command.arg(APEX));
        }
    }
    let unsigned = workspace.write("keys/unsigned", text);
    let signed = workspace.join("keys/signed");
    let mut command = Command::new("dnssec-signzone");
    command.args(["-q", "-S", "-P", "-O", "full", "-o", APEX, "-e", &stamp(end)]);
    command.arg("-K").arg(&keys).arg("-d").arg(&keys).arg("-f").arg(&signed);
    run(command.arg(&unsigned));
    fs::read_to_string(&signed).expect("the tool wrote it")
}

/// A time as the tools take it.
fn stamp(end: SystemTime) -> String {
    let seconds = end.duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let output = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%d%H%M%S"]).output();
    String::from_utf8_lossy(&output.expect("coreutils are installed").stdout).trim().to_owned()
}

/// Seconds since 1970, as serials may be.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
