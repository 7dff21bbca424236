//! Where a run is made: processor, kernel, commit, versions of the servers and tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::results::RunFigures;
use super::servers::Server;

/// The circumstances of a run that begins now.
pub(super) fn describe(servers: &[Server], (rounds, seconds, sizes): (u32, u64, &str)) -> RunFigures {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let mut versions = BTreeMap::new();
    for server in servers {
        if let Some(argument) = server.version_argument() {
            versions.insert(server.title().to_owned(), version(&server.program(), argument));
        }
    }
    versions.insert("dnsperf".into(), version(Path::new("dnsperf"), "-h"));
    versions.insert("kxdpgun".into(), version(Path::new("kxdpgun"), "-V"));
    RunFigures {
        date: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
        processor: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
        // Not those that this process may use: it is pinned.
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        commit: commit(),
        rounds,
        seconds,
        sizes: sizes.to_owned(),
        versions,
    }
}

/// The commit that is measured, marked where the tree differs from it in more than what measurements write.
fn commit() -> String {
    const WRITTEN: [&str; 5] = ["--", ".", ":!benches/results", ":!docs/performance.md", ":!docs/plots"];
    let changes = said("git", &[&["status", "--porcelain"][..], &WRITTEN].concat());
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    if changes.is_empty() { commit } else { format!("{commit}-dirty") }
}

/// Whether there is such a program.
pub(super) fn is_installed(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// The first word of what a program says of itself that begins with a digit.
fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    // Not a number that is part of its usage: a version has a dot inside.
    let mut words = said.split(|letter: char| letter.is_whitespace() || letter == ',');
    let version =
        words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'));
    version.unwrap_or("unknown").to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
