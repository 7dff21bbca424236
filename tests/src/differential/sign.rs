//! Random zones are signed by the tools that operators use: dnssec-signzone and ldns-signzone.
//!
//! Keys of all algorithms in use are made once; each zone gets copies of some of them in its own name, so that most
//! have one algorithm, some have two, and some have two keys that sign everything. Now and then a zone is caught in
//! the middle of a change: half of another NSEC3 chain stands beside the one in use, or a whole one that
//! NSEC3PARAM names too (RFC 5155 §10.4, §10.5).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::{Proofs, ZoneText, plans};
use super::names::DomainName;
use super::random::Random;
use crate::lab::Workspace;
use pharos_testkit::peers::find;

/// Algorithms by their mnemonics, and the options for keys that are cheap to sign with.
const ALGORITHMS: [(&str, &[&str]); 6] = [
    ("ECDSAP256SHA256", &[]),
    ("RSASHA256", &["-b", "1024"]),
    ("ED25519", &[]),
    ("ECDSAP384SHA384", &[]),
    ("RSASHA512", &["-b", "1024"]),
    ("ED448", &[]),
];

/// The programs that signing takes.
const PROGRAMS: [&str; 5] =
    ["dnssec-keygen", "dnssec-signzone", "dnssec-dsfromkey", "ldns-signzone", "pdnsutil"];

/// Programs that are missing.
pub fn missing() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| find(program).is_none()).collect()
}

/// A key for any zone: what its two files hold.
struct Key {
    /// Algorithm and tag as they stand in the files' names.
    suffix: String,
    public: String,
    private: String,
}

/// Signs zones.
pub struct Signer {
    workspace: Workspace,
    /// For each algorithm a key for the DNSKEY set and two for everything else.
    keys: Vec<[Key; 3]>,
}

impl Signer {
    /// Makes the keys, and tells PowerDNS how each zone will be signed.
    ///
    /// # Panics
    /// If a tool fails.
    pub fn new() -> Self {
        let workspace = Workspace::new("signer");
        let keys = ALGORITHMS
            .iter()
            .map(|(algorithm, options)| {
                [&["-f", "KSK"][..], &[], &[]].map(|kind| make_key(&workspace, algorithm, options, kind))
            })
            .collect();
        write_metadata(&workspace);
        Self { workspace, keys }
    }

    /// PowerDNS's database about signed zones.
    pub fn metadata(&self) -> PathBuf {
        self.workspace.join("dnssec.db")
    }

    /// Signs the zones of a world; parents get the DS records of their children.
    ///
    /// # Panics
    /// If a tool fails.
    pub fn sign(&self, random: &mut Random, zones: Vec<(ZoneText, Proofs)>) -> Vec<ZoneText> {
        let directory = self.workspace.join("zone");
        // The last world's keys and zones.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        let keys: Vec<Vec<String>> = zones
            .iter()
            .map(|(zone, proofs)| match proofs {
                Proofs::None => Vec::new(),
                _ => self.give_keys(random, &directory, &zone.apex),
            })
            .collect();
        let ds: Vec<String> = keys.iter().map(|keys| ds_records(&directory, keys)).collect();
        let mut signed = Vec::new();
        for (number, (zone, proofs)) in zones.iter().enumerate() {
            let mut text = zone.text.clone();
            for (other, ds) in zones
                .iter()
                .map(|(other, _)| other)
                .zip(&ds)
                .filter(|(other, _)| other.apex.below(&zone.apex))
            {
                text = with_ds(&text, &other.apex, ds);
            }
            if *proofs != Proofs::None {
                if random.percent(50) {
                    text += &ds[number].replace(" DS ", " CDS ");
                    text += &published_keys(&directory, &keys[number]);
                }
                text = sign(random, &directory, &zone.apex, &text, &keys[number], *proofs);
            }
            signed.push(ZoneText { apex: zone.apex.clone(), text });
        }
        signed
    }

    /// Copies of some keys in a zone's name: the files' names without their endings.
    fn give_keys(&self, random: &mut Random, directory: &Path, apex: &DomainName) -> Vec<String> {
        let first = random.weighted(&[50, 15, 15, 8, 6, 6]);
        let [key_signing, signing, second] = &self.keys[first];
        let mut keys = vec![key_signing, signing];
        match random.below(100) {
            0..15 => keys.push(second),
            15..30 => {
                let [key_signing, signing, _] = &self.keys[(first + random.between(1, 5)) % self.keys.len()];
                keys.extend([key_signing, signing]);
            }
            _ => {}
        }
        let name = apex.text();
        let give = |key: &Key| {
            let base = format!("K{name}{}", key.suffix);
            write(&directory.join(format!("{base}.key")), &key.public.replace("pool. ", &format!("{name} ")));
            write(&directory.join(format!("{base}.private")), &key.private);
            base
        };
        keys.into_iter().map(give).collect()
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the temporary directory can be written");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a tool and gives what it printed.
fn run(directory: &Path, program: &str, args: &[&str]) -> String {
    let path = find(program).unwrap_or_else(|| panic!("{program} is missing"));
    let output = Command::new(path).args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} in {}: {said}", directory.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn make_key(workspace: &Workspace, algorithm: &str, options: &[&str], kind: &[&str]) -> Key {
    let directory = workspace.join("keys");
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let args = [&["-q", "-a", algorithm][..], options, kind, &["pool."]].concat();
    let base = run(&directory, "dnssec-keygen", &args).trim().to_owned();
    Key {
        suffix: base.trim_start_matches("Kpool.").to_owned(),
        public: read(&directory.join(format!("{base}.key"))),
        private: read(&directory.join(format!("{base}.private"))),
    }
}

fn write_metadata(workspace: &Workspace) {
    let directory = workspace.join("");
    let directory_name = directory.display().to_string();
    workspace.write(
        "pdns.conf",
        &format!("launch=bind\nbind-config={directory_name}/named.conf\nbind-dnssec-db={directory_name}/dnssec.db\n"),
    );
    let mut zones = String::new();
    for (number, (apex, _)) in plans().enumerate() {
        let text = "@ 60 IN SOA a. b. 1 2 3 4 5\n@ 60 IN NS a.\n";
        let path = workspace.write(&format!("empty/{number}.zone"), text);
        let _ = writeln!(zones, "zone \"{}\" {{ type master; file \"{}\"; }};", apex.text(), path.display());
    }
    workspace.write("named.conf", &zones);
    let config = format!("--config-dir={directory_name}");
    let database = workspace.join("dnssec.db").display().to_string();
    run(&directory, "pdnsutil", &[&config, "create-bind-db", &database]);
    for (apex, proofs) in plans() {
        let parameters = match proofs {
            Proofs::None => continue,
            Proofs::Nsec => None,
            Proofs::Nsec3(iterations, salt) => Some(format!("1 0 {iterations} {salt}")),
            Proofs::OptOut(iterations, salt) => Some(format!("1 1 {iterations} {salt}")),
        };
        run(&directory, "pdnsutil", &[&config, "set-presigned", &apex.text()]);
        if let Some(parameters) = parameters {
            run(&directory, "pdnsutil", &[&config, "set-meta", &apex.text(), "NSEC3PARAM", &parameters]);
        }
    }
}

/// The DS records for a zone's keys.
fn ds_records(directory: &Path, keys: &[String]) -> String {
    let is_signing_key =
        |base: &&String| read(&directory.join(format!("{base}.key"))).contains("DNSKEY 257 ");
    keys.iter().filter(is_signing_key).fold(String::new(), |mut all, base| {
        let text = run(directory, "dnssec-dsfromkey", &["-2", "-T", "3600", base]);
        // The digest comes in pieces; one line is as good.
        let _ = writeln!(all, "{}", text.trim());
        all
    })
}

/// CDNSKEY records for the keys that sign keys (RFC 7344 §3.2).
fn published_keys(directory: &Path, keys: &[String]) -> String {
    let lines: Vec<String> = keys.iter().map(|base| read(&directory.join(format!("{base}.key")))).collect();
    let keys = lines.iter().flat_map(|text| text.lines()).filter(|line| line.contains("IN DNSKEY 257 "));
    keys.fold(String::new(), |mut text, line| {
        let (owner, rdata) = line.split_once(" IN DNSKEY ").expect("a key file has a DNSKEY record");
        let _ = writeln!(text, "{owner} 3600 IN CDNSKEY {rdata}");
        text
    })
}

/// A parent's text with a child's DS records in place of random ones, if it delegates the child.
fn with_ds(text: &str, child: &DomainName, ds: &str) -> String {
    let start = |line: &str| line.starts_with(&format!("{} ", child.text()));
    let delegates = text.lines().any(|line| start(line) && line.contains(" IN NS "));
    let mut kept = String::new();
    for line in text.lines().filter(|line| !(start(line) && line.contains(" IN DS "))) {
        let _ = writeln!(kept, "{line}");
    }
    if delegates {
        kept += ds;
    }
    kept
}

/// Signs a zone, once or, if it is to be in the middle of a change, twice.
fn sign(
    random: &mut Random,
    directory: &Path,
    apex: &DomainName,
    text: &str,
    keys: &[String],
    proofs: Proofs,
) -> String {
    let other = Proofs::Nsec3(4, "0ddba111");
    let other = if let Proofs::Nsec3(_, _) | Proofs::OptOut(_, _) = proofs {
        Proofs::Nsec3(2, "dead")
    } else {
        other
    };
    // ldns-signzone writes these in names as they are.
    let ldns_can = !["\\\"", "\\$", "\\@", "\\032"].iter().any(|odd| text.contains(odd));
    // Knot takes NSEC3 records that are not of its chain for names, and wants none below a DNAME.
    let apex_dname = format!("{} 60 IN DNAME ", apex.text());
    let renamed = text.lines().any(|line| line.starts_with(&apex_dname));
    match random.below(100) {
        // Both chains are complete, and both are named.
        0..8 if proofs != Proofs::Nsec && ldns_can && !renamed => {
            let first = ldns(directory, apex, &format!("{text}{}", parameters(apex, other)), keys, proofs);
            let second = ldns(directory, apex, &format!("{text}{}", parameters(apex, proofs)), keys, other);
            first + &hashed(&second).concat()
        }
        // A chain is half built, or half taken down.
        8..20 if !renamed => {
            let first = bind(random, directory, apex, text, proofs);
            let second = bind(random, directory, apex, text, other);
            first + &hashed(&second).into_iter().filter(|_| random.percent(50)).collect::<String>()
        }
        20..50 if ldns_can => ldns(directory, apex, text, keys, proofs),
        _ => bind(random, directory, apex, text, proofs),
    }
}

/// NSEC3PARAM as it stands in a zone.
fn parameters(apex: &DomainName, proofs: Proofs) -> String {
    match proofs {
        Proofs::Nsec3(iterations, salt) | Proofs::OptOut(iterations, salt) => {
            format!("{} 0 IN NSEC3PARAM 1 0 {iterations} {salt}\n", apex.text())
        }
        _ => String::new(),
    }
}

/// The NSEC3 records of a signed zone, each with its signatures.
fn hashed(text: &str) -> Vec<String> {
    let fields = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let lines: Vec<(String, &str)> = text
        .lines()
        .filter_map(|line| {
            let words = fields(line);
            let is_hashed = match words.get(3).map(String::as_str) {
                Some("NSEC3") => true,
                Some("RRSIG") => words.get(4).is_some_and(|covered| covered == "NSEC3"),
                _ => false,
            };
            is_hashed.then(|| (words[0].to_ascii_lowercase(), line))
        })
        .collect();
    let owners: BTreeSet<&String> = lines.iter().map(|(owner, _)| owner).collect();
    let of = |owner: &&String| -> String {
        lines.iter().filter(|(other, _)| other == *owner).map(|(_, line)| format!("{line}\n")).collect()
    };
    owners.iter().map(of).collect()
}

fn bind(random: &mut Random, directory: &Path, apex: &DomainName, text: &str, proofs: Proofs) -> String {
    write(&directory.join("unsigned.zone"), text);
    let name = apex.text();
    let mut args = vec!["-q", "-S", "-P", "-O", "full", "-o", &name, "-f", "signed.zone"];
    if random.percent(50) {
        // Only keys for keys sign keys.
        args.push("-x");
    }
    let iterations;
    if let Proofs::Nsec3(count, salt) | Proofs::OptOut(count, salt) = proofs {
        iterations = count.to_string();
        args.extend(["-3", salt, "-H", &iterations]);
    }
    if matches!(proofs, Proofs::OptOut(_, _)) {
        args.push("-A");
    }
    args.push("unsigned.zone");
    run(directory, "dnssec-signzone", &args);
    signed(directory)
}

/// What a tool wrote. Knot reads some octets only when they are escaped.
fn signed(directory: &Path) -> String {
    read(&directory.join("signed.zone")).replace('{', "\\123").replace('[', "\\091")
}

fn ldns(directory: &Path, apex: &DomainName, text: &str, keys: &[String], proofs: Proofs) -> String {
    write(&directory.join("unsigned.zone"), text);
    let name = apex.text();
    let mut args = vec!["-o", &name, "-f", "signed.zone"];
    let iterations;
    if let Proofs::Nsec3(count, salt) | Proofs::OptOut(count, salt) = proofs {
        iterations = count.to_string();
        args.extend(["-n", "-t", &iterations]);
        if salt != "-" {
            args.extend(["-s", salt]);
        }
    }
    if matches!(proofs, Proofs::OptOut(_, _)) {
        args.push("-p");
    }
    args.push("unsigned.zone");
    args.extend(keys.iter().map(String::as_str));
    run(directory, "ldns-signzone", &args);
    signed(directory)
}
