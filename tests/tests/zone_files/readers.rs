//! The readers of zone files that are asked: four of other projects, and ours.
//!
//! A reader takes a file or refuses it, and most print what they read. Every print is read by our scanner and
//! kept as records in wire form, each with the text of its data as that reader wrote it.

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::{LoadError, load};
use pharos_zone::print::{Listing, canonical_rdata};
use pharos_zone::scan::{Includes, Source, scan};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A reader of another project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    Bind,
    Nsd,
    Knot,
    Ldns,
}

pub(crate) const READERS: [Reader; 4] = [Reader::Bind, Reader::Nsd, Reader::Knot, Reader::Ldns];

/// A record as all readers should see it: folded owner, type, TTL, data in canonical form (RFC 4034 §6.2).
pub(crate) type Key = (Vec<u8>, u16, u32, Vec<u8>);

/// Records, each with the text of its data.
pub(crate) type Print = BTreeMap<Key, String>;

/// What a reader made of a file.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// With what it printed, if it can print.
    Accepts(Option<Result<Print, String>>),
    /// With its words.
    Refuses(String),
}

impl Verdict {
    pub(crate) fn accepts(&self) -> bool {
        matches!(self, Self::Accepts(_))
    }
}

/// Seconds after which a reader counts as refusing; only a guard against a mutation that makes one loop.
const GUARD_SECONDS: &str = "60";

impl Reader {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bind => "named-checkzone",
            Self::Nsd => "nsd-checkzone",
            Self::Knot => "kzonecheck",
            Self::Ldns => "ldns-read-zone",
        }
    }

    /// Reads `file`, which stands in `directory`, as the zone `origin`.
    pub(crate) fn read(self, directory: &Path, file: &Path, origin: &str) -> Verdict {
        let mut command = Command::new("timeout");
        command.arg(GUARD_SECONDS).arg(self.name()).current_dir(directory);
        match self {
            // Without `-i none` it would look names of other zones up on the network.
            Self::Bind => command.args(["-i", "none", "-D", "-s", "full", "-o", "-", origin]).arg(file),
            Self::Nsd => command.args(["-p", origin]).arg(file),
            Self::Knot => command.args(["-o", origin]).arg(file),
            Self::Ldns => command.arg("-z").arg(file),
        };
        let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        if !output.status.success() {
            let words = [output.stdout, output.stderr].concat();
            return Verdict::Refuses(String::from_utf8_lossy(&words).into_owned());
        }
        // kzonecheck of Knot 3.2 does not print.
        Verdict::Accepts((self != Self::Knot).then(|| entries(&output.stdout)))
    }
}

/// What ours makes of it: the path that the responder takes, and the canonical print.
pub(crate) fn ours(directory: &Path, file: &Path, origin: &str) -> Verdict {
    let path = directory.join(file);
    let octets = std::fs::read(&path).unwrap_or_default();
    let name = Name::from_text(origin).expect("origins are names");
    let source = || Source { path: &path, octets: &octets, includes: Includes::Files };
    match load(&name, source(), HashKey::new([0, 0]), &Checks::LENIENT, &mut |_| {}) {
        Err(LoadError::Refused(report)) => {
            Verdict::Refuses(report.errors.first().map_or(String::new(), |first| first.message.clone()))
        }
        Err(error) => Verdict::Refuses(error.to_string()),
        Ok(_) => {
            let mut listing = Listing::new();
            scan(source(), name.as_wire(), &mut |record| listing.push(&record));
            listing.sort();
            let mut text = Vec::new();
            listing.print(&mut text).expect("memory takes everything");
            Verdict::Accepts(Some(entries(&text)))
        }
    }
}

/// The records of a print.
fn entries(print: &[u8]) -> Result<Print, String> {
    let mut found = Vec::new();
    let path = Path::new("print");
    let source = Source { path, octets: print, includes: Includes::Refused };
    let report = scan(source, &[0], &mut |record| {
        let key = (
            record.owner.to_ascii_lowercase(),
            record.rtype,
            record.ttl,
            canonical_rdata(record.rtype, record.rdata),
        );
        found.push((record.place.line as usize, key));
    });
    if !report.is_clean() {
        return Err(report.to_string());
    }
    let lines: Vec<&[u8]> = print.split(|&octet| octet == b'\n').collect();
    let ends = found.iter().skip(1).map(|(line, _)| *line).chain([lines.len() + 1]).collect::<Vec<_>>();
    let text = |from: usize, to: usize| {
        let own = lines.get(from - 1..to - 1).unwrap_or_default();
        // Directives and remarks between two records belong to neither.
        let own = own.iter().filter(|line| !line.starts_with(b"$") && !line.starts_with(b";"));
        data_text(&String::from_utf8_lossy(&own.copied().collect::<Vec<_>>().join(&b' ')))
    };
    Ok(found.into_iter().zip(ends).map(|((line, key), end)| (key, text(line, end))).collect())
}

/// The text of the data in a line `[OWNER] [TTL] [CLASS] TYPE DATA`, made comparable: without blanks and
/// parentheses, and in lower case. What these mean is compared in wire form; readers break and case long data in
/// different ways.
fn data_text(line: &str) -> String {
    let head = usize::from(!line.starts_with([' ', '\t']));
    let mut words = line.split_whitespace().skip(head).skip_while(|word| {
        word.starts_with(|c: char| c.is_ascii_digit())
            || word.eq_ignore_ascii_case("IN")
            || word.starts_with("CLASS")
    });
    words.next();
    words.flat_map(str::chars).filter(|c| !"()".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
}
