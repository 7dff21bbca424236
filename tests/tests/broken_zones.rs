//! Signed zones, good and broken in every way that we know, judged by our checks at load, by ldns-verify-zone and by
//! dnssec-verify.
//!
//! The zone is signed by dnssec-signzone, ldns-signzone and kzonesign, with NSEC, NSEC3 and opt-out: all judges accept.
//! Then it is spoilt in one way after the other (`broken_zones/table.rs`), and what the edit touches is signed again
//! where that is possible, so that each fault stands by itself. Ours refuses each and says why. What the other two
//! say stands in the table, with the reason where they accept, and is held to: when a newer version looks at more,
//! this fails and the table is mended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "broken_zones/signed.rs"]
mod signed;
#[path = "broken_zones/table.rs"]
mod table;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pharos_testkit::{Ask, Served};
use pharos_tests::lab::Workspace;
use pharos_wire::hash::HashKey;
use pharos_wire::{Name, Rtype};
use pharos_zone::diagnostic::Severity;
use pharos_zone::dnssec::{Checks, Clock};
use pharos_zone::load::load_file;
use pharos_zonedb::nsec3::Nsec3Parameters;
use signed::{APEX, Keys, Zone};
use table::{Base, CASES, Case, ODD, Verdict};

/// A zone with every situation in which signatures or denials differ.
const ZONE: &str = "\
$TTL 3600
@ SOA ns hostmaster 1 7200 1800 1209600 300
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
mail A 192.0.2.25
mail TXT \"one\"
mail TXT \"two\"
alias CNAME Mail
leaf.empty A 192.0.2.1
*.wild A 192.0.2.2
*.wildalias CNAME mail
there.wild TXT \"closer\"
d DNAME mail
srv SRV 1 2 3 Mail
unknown TYPE65280 \\# 3 010203
secure NS ns.secure
secure DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.secure A 192.0.2.3
insecure NS ns.insecure
ns.insecure A 192.0.2.4
under.optout NS ns.insecure
";

const KNOT: &str = "\
database:
    storage: kasp
policy:
  - id: nsec
    algorithm: ecdsap256sha256
  - id: nsec3
    algorithm: ecdsap256sha256
    nsec3: on
    nsec3-salt-length: 0
  - id: opt-out
    algorithm: ecdsap256sha256
    nsec3: on
    nsec3-salt-length: 0
    nsec3-opt-out: on
zone:
  - domain: signed.test
    storage: .
    file: plain
    dnssec-signing: on
    zonemd-generate: zonemd-sha512
";

/// The zone that ldns-verify-zone 1.8 is not asked about: it never ends on some chains with opt-out, which depends on the
/// order of the hashes.
const ENDLESS: &str = "kzonesign opt-out";

#[test]
#[ignore = "needs dnssec-signzone, dnssec-verify, ldns-signzone, ldns-verify-zone, kzonesign"]
fn good_zones_of_three_signers_are_accepted_by_all_judges() {
    let signer = Signer::new("good");
    let mut zones: Vec<(String, PathBuf)> = Vec::new();
    for base in [Base::Nsec, Base::Nsec3, Base::OptOut, Base::TwoAlgorithms, Base::Zonemd] {
        zones.push((format!("{base:?}"), signer.sign(base)));
    }
    for (name, options) in
        [("nsec3", &["-n"][..]), ("salted", &["-n", "-s", "aabb", "-t", "5"]), ("opt-out", &["-n", "-p"])]
    {
        zones.push((format!("ldns-signzone {name}"), signer.ldns(name, options)));
    }
    for policy in ["nsec", "nsec3", "opt-out"] {
        zones.push((format!("kzonesign {policy}"), signer.knot(policy)));
    }
    for algorithm in ["RSASHA1", "RSASHA256", "RSASHA512", "ECDSAP384SHA384", "ED25519"] {
        zones.push((format!("dnssec-signzone {algorithm}"), signer.algorithm(algorithm)));
    }
    for (name, path) in zones {
        println!("{name}");
        assert_eq!(ours(&path), Ok(()), "{name}");
        assert_eq!(dnssec_verify(&path), Ok(()), "{name}");
        if name != ENDLESS {
            assert_eq!(ldns_verify_zone(&path), Ok(()), "{name}");
        }
    }
}

#[test]
#[ignore = "needs dnssec-signzone, dnssec-verify, ldns-signzone, ldns-verify-zone"]
fn every_kind_of_broken_zone_is_refused_and_the_other_judges_are_recorded() {
    assert!(CASES.len() >= 30);
    judge_all("broken", CASES, |ours, case| ours.as_ref().is_err_and(|said| said.contains(case.ours)));
}

#[test]
#[ignore = "needs dnssec-signzone, dnssec-verify, ldns-signzone, ldns-verify-zone"]
fn what_is_odd_and_believed_by_validators_is_accepted_with_a_warning() {
    judge_all("odd", ODD, |ours, case| ours.as_ref().is_ok_and(|warnings| warnings.contains(case.ours)));
}

/// Spoils a zone in each way, and compares what all judges say with the table: `is_right` knows of ours.
fn judge_all(name: &str, cases: &[Case], is_right: fn(&Result<String, String>, &Case) -> bool) {
    let signer = Signer::new(name);
    let keys = Keys::read(&signer.workspace.join("keys"));
    let bases: Vec<(Base, PathBuf)> =
        [Base::Nsec, Base::Nsec3, Base::OptOut, Base::TwoAlgorithms, Base::Zonemd]
            .map(|base| (base, signer.sign(base)))
            .into();
    let mut wrong = Vec::new();
    println!("{:<58} {:<9} {:<14} ldns-verify-zone", "kind", "ours", "dnssec-verify");
    let mut reasons = Vec::new();
    for case in cases {
        let (_, path) = bases.iter().find(|(base, _)| *base == case.base).unwrap();
        let mut zone = Zone::read(path, &keys);
        (case.spoil)(&mut zone);
        let path = signer.workspace.write("broken", &zone.text());
        let (ours, bind, ldns) = (warned(&path), dnssec_verify(&path), ldns_verify_zone(&path));
        let word = |accepts| if accepts { "accepts" } else { "refuses" };
        println!(
            "{:<58} {:<9} {:<14} {}",
            case.name,
            word(ours.is_ok()),
            word(bind.is_ok()),
            word(ldns.is_ok())
        );
        if !is_right(&ours, case) {
            wrong.push(format!("{}: ours: {:?} is not in {ours:?}", case.name, case.ours));
        }
        for (judge, said, expected) in
            [("dnssec-verify", bind, case.dnssec_verify), ("ldns-verify-zone", ldns, case.ldns_verify_zone)]
        {
            match (&said, expected) {
                (Err(_), Verdict::Refuses) => {}
                (Ok(()), Verdict::Accepts(why)) => reasons.push(format!("{}: {judge}: {why}", case.name)),
                _ => wrong.push(format!("{}: {judge}: {said:?}, expected {expected:?}", case.name)),
            }
        }
    }
    println!("{}", reasons.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "needs dnssec-signzone, ldns-signzone"]
fn of_several_chains_the_first_whole_one_is_served() {
    let signer = Signer::new("chains");
    let keys = Keys::read(&signer.workspace.join("keys"));
    let salted = Zone::read(&signer.sign(Base::Nsec3), &keys);
    let plain = Zone::read(&signer.bind("plain-nsec3", "keys", &["-3", "-", "-H", "0"]), &keys);
    let is_chain = |line: &signed::Line| line.rtype == "NSEC3" || line.rdata.starts_with("NSEC3 ");
    // Both chains, the salted one listed first.
    let mut both = salted;
    both.lines.extend(plain.lines.iter().filter(|line| is_chain(line)).cloned());
    both.add(APEX, 0, "NSEC3PARAM", "1 0 0 -");
    both.line(APEX, "NSEC3PARAM").ttl = 0;
    both.sign(APEX, "NSEC3PARAM");
    assert_eq!(denied_by(&signer, &both), ("NSEC3", Some((2, 2))));
    // The first lacks a record: it is not whole, and the other is served.
    let owner = both.hashed("mail.signed.test.");
    both.remove(&owner, "NSEC3");
    both.unsign(&owner, "NSEC3", None);
    assert_eq!(denied_by(&signer, &both), ("NSEC3", Some((0, 0))));
    // A chain that is being built beside NSEC: its NSEC3PARAM comes last (RFC 5155 §10.4).
    let mut change = Zone::read(&signer.sign(Base::Nsec), &keys);
    change.lines.extend(plain.lines.iter().filter(|line| is_chain(line)).take(8).cloned());
    assert_eq!(denied_by(&signer, &change), ("NSEC", None));
}

#[test]
#[ignore = "needs kzonesign, dnssec-verify, ldns-verify-zone"]
fn links_of_names_below_a_dname_are_accepted_in_a_chain_of_hashes_and_not_in_one_of_names() {
    let signer = Signer::new("below-dname");
    signer.workspace.write("plain", &format!("{ZONE}x.d A 192.0.2.9\n"));
    for policy in ["nsec3", "opt-out"] {
        let path = signer.knot(policy);
        let warnings = warned(&path).unwrap();
        assert!(warnings.contains("stands for a name that is never served"), "{warnings}");
        assert!(dnssec_verify(&path).is_err());
    }
    // What is below the DNAME is not served, so nothing would deny the names between it and the next one.
    let path = signer.knot("nsec");
    let said = ours(&path).unwrap_err();
    assert!(said.contains("the NSEC record of d.signed.test. leads to x.d.signed.test."), "{said}");
    assert!(said.contains("remove what is below d.signed.test."), "{said}");
    assert!(dnssec_verify(&path).is_err() && ldns_verify_zone(&path).is_err());
}

/// What denies a name that is not there: the type of the records, and iterations and octets of salt. All of the
/// denial is of one chain, and the zone is one that our checks accept.
fn denied_by(signer: &Signer, zone: &Zone<'_>) -> (&'static str, Option<(u16, usize)>) {
    let path = signer.workspace.write("chains", &zone.text());
    assert_eq!(ours(&path), Ok(()));
    let served = Served::one(APEX, &zone.text());
    let reply = served.ask(&Ask::new("a.nope.signed.test.", Rtype::A).dnssec().tcp());
    let proofs: Vec<_> = reply.sections[1]
        .iter()
        .filter(|record| matches!(record.rtype, Rtype::NSEC | Rtype::NSEC3))
        .map(|record| {
            let parameters =
                Nsec3Parameters::from_rdata(&record.rdata).filter(|_| record.rtype == Rtype::NSEC3);
            let name = if record.rtype == Rtype::NSEC { "NSEC" } else { "NSEC3" };
            (name, parameters.map(|parameters| (parameters.iterations, parameters.salt.len())))
        })
        .collect();
    assert!(proofs.windows(2).all(|pair| pair[0] == pair[1]), "{proofs:?}");
    *proofs.first().expect("a name that is not there is denied")
}

/// Our checks, with the system's clock, as `pharos zone check` makes them.
fn ours(path: &Path) -> Result<(), String> {
    warned(path).map(|_| ())
}

/// The same, with the warnings about what is accepted.
fn warned(path: &Path) -> Result<String, String> {
    let clock = Clock { unix: signed::now().into(), near: Duration::ZERO };
    let threads = NonZeroUsize::new(2).unwrap();
    let checks = Checks { clock: Some(clock), threads, ..Checks::STRICT };
    let loaded = load_file(&Name::from_text(APEX).unwrap(), path, HashKey::new([1, 2]), &checks)
        .map_err(|error| error.to_string())?;
    let expired = loaded.by_clock.iter().filter(|finding| finding.severity == Severity::Error);
    match expired.map(|finding| finding.message.clone()).collect::<Vec<_>>().join("\n") {
        none if none.is_empty() => Ok(loaded.report.to_string()),
        findings => Err(findings),
    }
}

fn dnssec_verify(path: &Path) -> Result<(), String> {
    judged(Command::new("dnssec-verify").args(["-q", "-o", APEX]).arg(path))
}

fn ldns_verify_zone(path: &Path) -> Result<(), String> {
    // A guard against the next zone of that kind.
    judged(Command::new("timeout").args(["60", "ldns-verify-zone"]).arg(path))
}

fn judged(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The keys and the unsigned zone, in a directory.
struct Signer {
    workspace: Workspace,
}

impl Signer {
    fn new(name: &str) -> Self {
        let workspace = Workspace::new(&format!("broken-zones-{name}"));
        workspace.write("plain", ZONE);
        workspace.write("with-zonemd", &format!("{ZONE}@ ZONEMD 1 1 1 {}\n", "0".repeat(96)));
        let signer = Self { workspace };
        signer.keygen("keys", "ECDSAP256SHA256");
        signer
    }

    fn keygen(&self, directory: &str, algorithm: &str) {
        let directory = self.workspace.join(directory);
        fs::create_dir_all(&directory).unwrap();
        for flags in [&["-f", "KSK"][..], &[]] {
            let mut command = Command::new("dnssec-keygen");
            command.args(["-q", "-a", algorithm, "-K"]).arg(&directory).args(flags);
            if algorithm.starts_with("RSA") {
                command.args(["-b", "1024"]);
            }
            run(command.arg(APEX));
        }
    }

    fn sign(&self, base: Base) -> PathBuf {
        match base {
            Base::Nsec => self.bind("nsec", "keys", &[]),
            Base::Nsec3 => self.bind("nsec3", "keys", &["-3", "aabb", "-H", "2"]),
            Base::OptOut => self.bind("opt-out", "keys", &["-3", "-", "-H", "0", "-A"]),
            Base::TwoAlgorithms => {
                self.keygen("two", "ED25519");
                for entry in fs::read_dir(self.workspace.join("keys")).unwrap() {
                    let path = entry.unwrap().path();
                    fs::copy(&path, self.workspace.join("two").join(path.file_name().unwrap())).unwrap();
                }
                self.bind("two-signed", "two", &[])
            }
            Base::Zonemd => self.ldns("zonemd", &["-z", "1:1"]),
        }
    }

    fn algorithm(&self, algorithm: &str) -> PathBuf {
        self.keygen(algorithm, algorithm);
        self.bind(&format!("{algorithm}-signed"), algorithm, &[])
    }

    fn bind(&self, name: &str, keys: &str, options: &[&str]) -> PathBuf {
        let signed = self.workspace.join(name);
        let mut command = Command::new("dnssec-signzone");
        command.args(["-q", "-S", "-P", "-o", APEX, "-K"]).arg(self.workspace.join(keys)).args(options);
        run(command
            .arg("-d")
            .arg(self.workspace.path())
            .arg("-f")
            .args([&signed, &self.workspace.join("plain")]));
        signed
    }

    fn ldns(&self, name: &str, options: &[&str]) -> PathBuf {
        let signed = self.workspace.join(&format!("ldns-{name}"));
        let zone = if name == "zonemd" { "with-zonemd" } else { "plain" };
        let mut keys: Vec<PathBuf> = fs::read_dir(self.workspace.join("keys"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
            .map(|path| path.with_extension(""))
            .collect();
        keys.sort();
        let mut command = Command::new("ldns-signzone");
        command.args(["-o", APEX]).args(options).arg("-f").arg(&signed).arg(self.workspace.join(zone));
        run(command.args(keys));
        signed
    }

    fn knot(&self, policy: &str) -> PathBuf {
        let directory = self.workspace.join(&format!("knot-{policy}"));
        for below in ["out", "kasp"] {
            fs::create_dir_all(directory.join(below)).unwrap();
        }
        fs::copy(self.workspace.join("plain"), directory.join("plain")).unwrap();
        fs::write(directory.join("knot.conf"), format!("{KNOT}    dnssec-policy: {policy}\n")).unwrap();
        let mut command = Command::new("kzonesign");
        run(command.current_dir(&directory).args(["-c", "knot.conf", "-o", "out", "signed.test"]));
        directory.join("out/plain")
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
