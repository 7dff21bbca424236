//! The zones that the servers load and the queries that they are asked: the same octets on every machine.
//!
//! | set | zones |
//! |---|---|
//! | `small` | one of about thirty records, of the usual types |
//! | `many` | ten thousand of ten records |
//! | `big` | one of a million addresses; beside it the same with one in a hundred changed, for reloads |
//! | `nsec`, `nsec3` | one of a hundred thousand names, signed (ECDSA P-256) by dnssec-signzone |
//!
//! Signatures alone differ from one making to the next: ECDSA draws a random number for each. What has been made is
//! kept and not made again.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{BenchError, cannot};
use super::room::succeed;

/// Raised when the content of a set changes, so that older files are not taken for it.
const EDITION: u32 = 1;
/// Every serial has as many digits, so that a new one can be written over it.
pub(super) const FIRST_SERIAL: u32 = 2_026_000_001;
/// Addresses of one in so many hosts differ in the changed copy.
const CHANGED_ONE_IN: u32 = 100;

/// A set of zones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Set {
    /// One small zone.
    Small,
    /// Many small zones.
    Many,
    /// One big zone.
    Big,
    /// One signed zone with NSEC.
    Nsec,
    /// One signed zone with NSEC3.
    Nsec3,
}

/// How much is in the sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Files are kept under this name.
    pub(super) name: &'static str,
    /// Zones of `many`.
    pub(super) zones: u32,
    /// Hosts of `big`.
    pub(super) hosts: u32,
    /// Hosts of `nsec` and `nsec3`.
    pub(super) signed_hosts: u32,
    /// Lines of each file of queries.
    pub(super) queries: u32,
}

impl Sizes {
    /// What the published figures are made with.
    pub(super) const FULL: Self =
        Self { name: "full", zones: 10_000, hosts: 1_000_000, signed_hosts: 100_000, queries: 500_000 };
    /// Enough to see that everything works.
    pub(super) const TINY: Self =
        Self { name: "tiny", zones: 20, hosts: 1000, signed_hosts: 100, queries: 2000 };
}

/// Where the sets are.
#[derive(Clone, Debug)]
pub(super) struct Data {
    directory: PathBuf,
    sizes: Sizes,
}

impl Set {
    /// All of them, in the order in which they are measured.
    pub(super) const ALL: [Self; 5] = [Self::Small, Self::Many, Self::Big, Self::Nsec, Self::Nsec3];

    /// The name of its directory, and in results.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Many => "many",
            Self::Big => "big",
            Self::Nsec => "nsec",
            Self::Nsec3 => "nsec3",
        }
    }

    /// Whether servers without DNSSEC are left out.
    pub(super) fn is_signed(self) -> bool {
        matches!(self, Self::Nsec | Self::Nsec3)
    }
}

impl Data {
    /// Files of these sizes below `root`.
    pub(super) fn new(root: &Path, sizes: Sizes) -> Self {
        Self { directory: root.join(format!("{}-{EDITION}", sizes.name)), sizes }
    }

    /// Makes a set and its queries, unless they are there.
    pub(super) fn make(&self, set: Set) -> Result<(), BenchError> {
        let finished = self.directory.join(format!("{}.made", set.label()));
        if finished.exists() {
            return Ok(());
        }
        println!("making the zones of `{}`", set.label());
        let directory = self.zones(set);
        let _ = fs::remove_dir_all(&directory);
        for directory in [&directory, &self.directory.join("queries")] {
            fs::create_dir_all(directory).map_err(cannot(format!("make {}", directory.display())))?;
        }
        let made = match set {
            Set::Small => self.small(),
            Set::Many => self.many(),
            Set::Big => self.big(),
            Set::Nsec | Set::Nsec3 => self.signed(set)?,
        };
        made.and_then(|()| File::create(&finished))
            .map_err(cannot(format!("write {}", directory.display())))?;
        Ok(())
    }

    /// The directory of a set's NAME.zone files.
    pub(super) fn zones(&self, set: Set) -> PathBuf {
        self.directory.join(set.label())
    }

    /// The names of a set's zones.
    pub(super) fn names(&self, set: Set) -> Vec<String> {
        match set {
            Set::Small => vec!["small.test".into()],
            Set::Many => (0..self.sizes.zones).map(zone_name).collect(),
            Set::Big => vec!["big.test".into()],
            Set::Nsec | Set::Nsec3 => vec!["signed.test".into()],
        }
    }

    /// A file of queries, one `NAME TYPE` a line: what dnsperf and kxdpgun read.
    pub(super) fn queries(&self, name: &str) -> PathBuf {
        self.directory.join("queries").join(format!("{name}.txt"))
    }

    /// Writes `big.test` as of a later serial: with the changed addresses, or with those of the beginning.
    pub(super) fn write_big(&self, serial: u32, issue: Issue, to: &Path) -> io::Result<()> {
        let from = match issue {
            Issue::First => self.zones(Set::Big).join("big.test.zone"),
            Issue::Changed => self.directory.join("big.test.changed"),
        };
        let mut octets = fs::read(from)?;
        let (old, new) = (FIRST_SERIAL.to_string(), serial.to_string());
        let at = octets.windows(old.len()).position(|window| window == old.as_bytes());
        let at = at.ok_or_else(|| io::Error::other("the zone has no serial"))?;
        octets[at..at + old.len()].copy_from_slice(new.as_bytes());
        fs::write(to, octets)
    }

    fn small(&self) -> io::Result<()> {
        let mut out = self.zone_file(Set::Small, "small.test")?;
        head(&mut out)?;
        out.write_all(
            b"@ MX 10 mail\n@ TXT \"v=spf1 mx -all\"\n@ A 192.0.2.3\n@ AAAA 2001:db8::3\nmail A 192.0.2.4\n\
              _sip._tcp SRV 0 5 5060 web1\nother CNAME web2\n*.any A 192.0.2.5\nchild NS ns.child\n\
              ns.child A 192.0.2.6\n",
        )?;
        let mut asked: Vec<String> =
            ["@ MX", "@ TXT", "@ NS", "@ SOA", "other A", "some.any A", "www.child A"]
                .map(String::from)
                .into();
        for host in 0..10 {
            writeln!(out, "web{host} A 192.0.2.{}", 100 + host)?;
            asked.push(format!("web{host} A"));
        }
        for host in 0..5 {
            writeln!(out, "web{host} AAAA 2001:db8::{}", 100 + host)?;
            asked.push(format!("web{host} AAAA"));
        }
        out.flush()?;
        let asked: Vec<String> = asked
            .iter()
            .map(|ask| match ask.strip_prefix("@ ") {
                Some(qtype) => format!("small.test {qtype}"),
                None => ask.replacen(' ', ".small.test ", 1),
            })
            .collect();
        self.query_file("small-exist", |line, dice| {
            let _ = write!(line, "{}", asked[dice.below(asked.len() as u32) as usize]);
        })?;
        self.query_file("small-none", |line, dice| absent(line, dice, "small.test"))
    }

    fn many(&self) -> io::Result<()> {
        for name in self.names(Set::Many) {
            let mut out = self.zone_file(Set::Many, &name)?;
            head(&mut out)?;
            for host in 0..5 {
                writeln!(out, "web{host} A 192.0.2.{}", 100 + host)?;
            }
            out.flush()?;
        }
        self.query_file("many-exist", |line, dice| {
            let _ = write!(line, "web{}.{} A", dice.below(5), zone_name(dice.below(self.sizes.zones)));
        })
    }

    fn big(&self) -> io::Result<()> {
        let changed = File::create(self.directory.join("big.test.changed"))?;
        let outs = [self.zone_file(Set::Big, "big.test")?, BufWriter::with_capacity(1 << 18, changed)];
        for (mut out, moved) in outs.into_iter().zip([0, self.sizes.hosts]) {
            head(&mut out)?;
            for host in 0..self.sizes.hosts {
                let address = if host % CHANGED_ONE_IN == 0 { host + moved } else { host };
                let [_, b, c, d] = address.to_be_bytes();
                writeln!(out, "h{host:07} A 10.{b}.{c}.{d}")?;
            }
            out.flush()?;
        }
        let present = |line: &mut String, dice: &mut Dice| {
            let _ = write!(line, "h{:07}.big.test A", dice.below(self.sizes.hosts));
        };
        self.query_file("big-exist", present)?;
        self.query_file("big-none", |line, dice| absent(line, dice, "big.test"))?;
        self.query_file("big-mix", |line, dice| {
            if dice.below(10) == 0 { absent(line, dice, "big.test") } else { present(line, dice) }
        })
    }

    fn signed(&self, set: Set) -> Result<io::Result<()>, BenchError> {
        let directory = self.zones(set);
        // Beside, so that no server takes the unsigned zone for one of its own.
        let work = self.directory.join(format!("{}.work", set.label()));
        let _ = fs::remove_dir_all(&work);
        let unsigned = work.join("unsigned");
        let written = fs::create_dir_all(&work).and_then(|()| {
            let mut out = BufWriter::new(File::create(&unsigned)?);
            head(&mut out)?;
            for host in 0..self.sizes.signed_hosts {
                let [_, b, c, d] = host.to_be_bytes();
                writeln!(out, "h{host:06} A 10.{b}.{c}.{d}")?;
            }
            out.flush()
        });
        written.map_err(cannot(format!("write {}", unsigned.display())))?;
        // No salt and no additional iterations (RFC 9276 §3.1).
        let nsec3: &[&str] = if set == Set::Nsec3 { &["-3", "-", "-H", "0"] } else { &[] };
        sign("signed.test", &unsigned, &work, nsec3, &directory.join("signed.test.zone"))?;
        let _ = fs::remove_dir_all(&work);
        let hosts = self.sizes.signed_hosts;
        Ok(self
            .query_file("signed-exist", |line, dice| {
                let _ = write!(line, "h{:06}.signed.test A", dice.below(hosts));
            })
            .and_then(|()| self.query_file("signed-none", |line, dice| absent(line, dice, "signed.test"))))
    }

    fn zone_file(&self, set: Set, name: &str) -> io::Result<BufWriter<File>> {
        let file = File::create(self.zones(set).join(format!("{name}.zone")))?;
        Ok(BufWriter::with_capacity(1 << 18, file))
    }

    fn query_file(&self, name: &str, mut next: impl FnMut(&mut String, &mut Dice)) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 18, File::create(self.queries(name))?);
        let (mut line, mut dice) = (String::new(), Dice(u64::from(EDITION)));
        for _ in 0..self.sizes.queries {
            line.clear();
            next(&mut line, &mut dice);
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// Signs a zone with keys that are made for it, good from long ago until long after, so that what is kept stays good.
pub(super) fn sign(
    name: &str,
    unsigned: &Path,
    work: &Path,
    options: &[&str],
    signed: &Path,
) -> Result<(), BenchError> {
    let keys = work.join("keys");
    let _ = fs::remove_dir_all(&keys);
    fs::create_dir_all(&keys).map_err(cannot(format!("make {}", keys.display())))?;
    for key in [&[][..], &["-f", "KSK"]] {
        let mut keygen = Command::new("dnssec-keygen");
        keygen.arg("-q").arg("-K").arg(&keys).args(["-a", "ECDSAP256SHA256"]).args(key).arg(name);
        succeed(&mut keygen)?;
    }
    let mut command = Command::new("dnssec-signzone");
    command.arg("-S").arg("-K").arg(&keys).arg("-d").arg(work).args(["-o", name, "-O", "full", "-x"]);
    command.args(["-s", "20240101000000", "-e", "20371231000000"]).args(options);
    succeed(command.arg("-f").arg(signed).arg(unsigned))?;
    Ok(())
}

/// Which addresses `big.test` has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Issue {
    /// Those it starts with.
    First,
    /// One in a hundred differs.
    Changed,
}

fn zone_name(number: u32) -> String {
    format!("z{number:05}.test")
}

/// What every zone begins with. Owners are relative to the zone's name.
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "$TTL 3600\n@ SOA ns1 hostmaster {FIRST_SERIAL} 7200 3600 1209600 300\n@ NS ns1\n@ NS ns2\n\
         ns1 A 192.0.2.1\nns2 A 192.0.2.2"
    )
}

/// A name of twelve random characters, which no zone has: what a flood of random subdomains asks for.
fn absent(line: &mut String, dice: &mut Dice, zone: &str) {
    const OF: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    for _ in 0..12 {
        line.push(char::from(OF[dice.below(36) as usize]));
    }
    let _ = write!(line, ".{zone} A");
}

/// SplitMix64: enough for choosing names, and the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((mixed ^ (mixed >> 31)) >> 32) * u64::from(bound)) >> 32) as u32
    }
}
