//! Signing as an operator does it: with BIND's dnssec-keygen and dnssec-signzone.
//!
//! Every zone has a directory of keys of its own, one key-signing and one zone-signing key for each algorithm.
//! Signed zones are files `NAME.zone` in one directory, as `pharos serve --zones` takes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::Workspace;

/// An algorithm that today's validators know (RFC 8624 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Number 8, with keys of 2048 bits.
    RsaSha256,
    /// Number 13.
    EcdsaP256,
    /// Number 15.
    Ed25519,
}

impl Algorithm {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::RsaSha256 => &["-a", "RSASHA256", "-b", "2048"],
            Self::EcdsaP256 => &["-a", "ECDSAP256SHA256"],
            Self::Ed25519 => &["-a", "ED25519"],
        }
    }
}

/// How a zone denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// NSEC (RFC 4034 §4).
    Nsec,
    /// NSEC3 as RFC 9276 §3.1 wants it: no salt, no more iterations.
    Nsec3,
    /// NSEC3 with a salt and 12 more iterations.
    Nsec3Salted,
    /// NSEC3 in which unsigned delegations have no record of their own (RFC 5155 §6).
    Nsec3OptOut,
}

impl Denial {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Nsec => &[],
            Self::Nsec3 => &["-3", "-", "-H", "0"],
            Self::Nsec3Salted => &["-3", "aabbccdd", "-H", "12"],
            Self::Nsec3OptOut => &["-3", "-", "-H", "0", "-A"],
        }
    }
}

/// Where zones are signed to.
#[derive(Debug)]
pub struct Signer {
    directory: PathBuf,
}

/// A zone that has been signed.
#[derive(Debug, Clone)]
pub struct Signed {
    name: String,
    text: String,
    ds: String,
}

impl Signer {
    /// Signs into the directory `name` of a workspace.
    pub fn new(workspace: &Workspace, name: &str) -> Self {
        let directory = workspace.join(name);
        fs::create_dir_all(directory.join("zones")).expect("the workspace can be written");
        Self { directory }
    }

    /// The directory of the signed zones.
    pub fn zones(&self) -> PathBuf {
        self.directory.join("zones")
    }

    /// Writes a zone as it is, unsigned.
    pub fn leave_unsigned(&self, name: &str, text: &str) {
        fs::write(self.zone_file(name), text).expect("the workspace can be written");
    }

    /// Signs a zone whose name has no dot at its end; the root is `.`. Names in `text` are relative to it.
    ///
    /// # Panics
    /// If one of the tools fails, with what it said.
    pub fn sign(&self, name: &str, text: &str, algorithms: &[Algorithm], denial: Denial) -> Signed {
        let apex = format!("{}.", name.trim_end_matches('.'));
        let keys = self.directory.join(format!("keys-{apex}"));
        fs::create_dir_all(&keys).expect("the workspace can be written");
        for algorithm in algorithms {
            for flags in [&["-f", "KSK"][..], &[]] {
                let mut command = Command::new("dnssec-keygen");
                command.arg("-q").arg("-K").arg(&keys).args(algorithm.options()).args(flags);
                run(command.arg(&apex));
            }
        }
        let unsigned = keys.join("unsigned");
        fs::write(&unsigned, text).expect("the workspace can be written");
        let signed = self.zone_file(name);
        let mut command = Command::new("dnssec-signzone");
        command.args(["-q", "-S", "-P", "-O", "full", "-o", &apex]).args(denial.options());
        command.arg("-K").arg(&keys).arg("-d").arg(&keys).arg("-f").arg(&signed);
        run(command.arg(&unsigned));
        Signed {
            text: read(&signed),
            ds: read(&keys.join(format!("dsset-{apex}"))),
            name: name.trim_end_matches('.').to_owned(),
        }
    }

    fn zone_file(&self, name: &str) -> PathBuf {
        let stem = if name == "." { "@" } else { name };
        self.zones().join(format!("{stem}.zone"))
    }
}

impl Signed {
    /// The zone's name, absolute.
    pub fn apex(&self) -> String {
        format!("{}.", self.name)
    }

    /// The signed zone, one record on a line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The DS records for the parent, as lines of a zone file.
    pub fn ds(&self) -> &str {
        &self.ds
    }

    /// The key-signing keys as lines of a zone file, which is how unbound, Knot Resolver and hickory want their
    /// trust anchors told.
    pub fn anchors(&self) -> String {
        let line = |key: &Vec<String>| format!("{} 3600 IN DNSKEY {}\n", self.apex(), key.join(" "));
        self.keys().iter().map(line).collect()
    }

    /// The same as delv wants it told.
    pub fn delv_anchors(&self) -> String {
        let line = |key: &Vec<String>| {
            let (numbers, key) = key.split_at(3);
            format!("\"{}\" static-key {} \"{}\"; ", self.apex(), numbers.join(" "), key.concat())
        };
        format!("trust-anchors {{ {}}};\n", self.keys().iter().map(line).collect::<String>())
    }

    /// The words of each key-signing key's data.
    fn keys(&self) -> Vec<Vec<String>> {
        let data =
            self.text.lines().filter_map(|line| line.split_once("DNSKEY").map(|(_, data)| data.trim()));
        let words = |data: &str| {
            data.split_whitespace().take_while(|word| !word.starts_with(';')).map(str::to_owned).collect()
        };
        let keys: Vec<Vec<String>> = data.filter(|data| data.starts_with("257 ")).map(words).collect();
        assert!(!keys.is_empty(), "{} has no key-signing key", self.apex());
        keys
    }

    /// The first label of some NSEC3 record, if it has any.
    pub fn nsec3_label(&self) -> Option<&str> {
        let line = self.text.lines().find(|line| line.split_whitespace().nth(3) == Some("NSEC3"))?;
        line.split('.').next()
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
