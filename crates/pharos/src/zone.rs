//! `pharos zone check` and `pharos zone print`: zone files judged and shown without serving them.
//!
//! Both load a zone by the function that the responder calls, from files as it reads them, so what passes here is what
//! it accepts. Zones that are checked together are also judged beside each other, again by the responder's own function:
//! a child whose keys no DS record of its parent leads to is refused. The responder, which may have to choose between
//! that and no data, serves such a child with an alarm where nothing better answers. Nothing is kept and nothing is sent;
//! the whole state is the exit code.

use crate::cli;
use crate::failure::Failure;
use crate::print::{remark, say};
use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::delegation::broken;
use pharos_zone::diagnostic::Severity;
use pharos_zone::dnssec::{Checks, Clock, Progress, Signatures, Signed};
use pharos_zone::files::read_regular;
use pharos_zone::load::{LoadError, Loaded, load};
use pharos_zone::print::Listing;
use pharos_zone::scan::{Includes, Report, Source, scan};
use pharos_zonedb::ZoneImage;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nobody queries these images: no secret is needed against collisions.
const KEY: HashKey = HashKey::new([0, 0]);

/// How zone files are named in a directory that is served.
const SUFFIX: &str = ".zone";

/// Signatures that end within this time are warned of.
const NEAR: Duration = Duration::from_secs(7 * 86_400);

/// How often a long verification says how far it has come.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file, and the zone that it holds or why that is not known.
pub(crate) struct ZoneFile {
    pub(crate) path: PathBuf,
    pub(crate) name: Result<Name, String>,
}

pub(crate) fn check(args: &cli::ZoneCheck) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in &args.paths {
        if path.is_dir() {
            if args.origin.is_some() {
                return Err(Failure::usage(format!("{} is a directory", path.display())).help(
                    "--origin names the zone of one file; files in a directory say it by their names",
                ));
            }
            files.extend(files_of(path)?);
        } else {
            let name = zone_of(path, args.origin.as_deref())?;
            files.push(ZoneFile { path: path.clone(), name: Ok(name) });
        }
    }
    if args.origin.is_some() && files.len() > 1 {
        return Err(Failure::usage("--origin is given for more than one file").help("check them one by one"));
    }
    let checks = checks(args)?;
    let twice = given_twice(&files);
    let mut judged: Vec<Judged> =
        files.iter().zip(twice).map(|(file, twice)| judge(file, twice, &checks)).collect();
    judge_delegations(&files, &mut judged, &checks);
    judged.iter().for_each(Judged::tell);
    let refused = judged.iter().filter(|zone| matches!(zone.verdict, Verdict::Refused(_))).count();
    match (refused, files.len()) {
        (0, _) => Ok(()),
        (1, 1) => Err(Failure::failed("the zone is refused")),
        (refused, all) => Err(Failure::failed(format!("{refused} of {all} zones are refused"))),
    }
}

/// What is checked in signed zones, and by which clock.
fn checks(args: &cli::ZoneCheck) -> Result<Checks, Failure> {
    let signatures = match (args.no_verify, args.sample) {
        (true, _) => Signatures::None,
        (false, Some(n)) => Signatures::OneIn(n),
        (false, None) => Signatures::All,
    };
    let clock = match &args.at {
        Some(text) => Clock::from_text(text, NEAR).ok_or_else(|| {
            Failure::usage(format!("--at {text:?} is not a time"))
                .help("write YYYYMMDDHHmmSS in UTC, or seconds since 1970")
        })?,
        None => Clock {
            unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            near: NEAR,
        },
    };
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Checks { signatures, clock: Some(clock), threads, ..Checks::STRICT })
}

/// What became of one file.
struct Judged {
    /// The zone, or the file where that is not known.
    name: String,
    /// What its writer should know, in whole lines.
    findings: String,
    verdict: Verdict,
}

enum Verdict {
    /// The zone, and its numbers in words.
    Accepted(Box<ZoneImage>, String),
    /// Why not, in a few words.
    Refused(String),
}

impl Judged {
    fn refused(name: impl ToString, why: &str, summary: impl Into<String>) -> Self {
        let findings = if why.is_empty() { String::new() } else { format!("{why}\n") };
        Self { name: name.to_string(), findings, verdict: Verdict::Refused(summary.into()) }
    }

    /// Prints the findings on stderr and the zone's line on stdout.
    fn tell(&self) {
        remark(&self.findings);
        match &self.verdict {
            Verdict::Accepted(_, numbers) => say(&format!("ok       {} {numbers}\n", self.name)),
            Verdict::Refused(summary) => say(&format!("REFUSED  {} {summary}\n", self.name)),
        }
    }
}

/// Judges one file by itself.
fn judge(file: &ZoneFile, twice: Option<&Path>, checks: &Checks) -> Judged {
    let path = file.path.display();
    let name = match (&file.name, twice) {
        (Err(why), _) => return Judged::refused(path, why, "no zone name"),
        (Ok(name), Some(first)) => {
            let why = format!(
                "{path}: error: zone {name} is given twice: here and in {}\n help: keep one of them",
                first.display()
            );
            return Judged::refused(name, &why, "two files");
        }
        (Ok(name), None) => name,
    };
    let octets = match read_regular(&file.path) {
        Ok(octets) => octets,
        Err(error) => {
            let why = format!("{path}: error: the file cannot be read: {error}");
            return Judged::refused(name, &why, "unreadable");
        }
    };
    match load_zone(name, &file.path, &octets, checks, &mut progress(name)) {
        Ok(loaded) => accepted(name, loaded),
        Err(LoadError::Refused(report)) => {
            let Report { errors_total, warnings_total, .. } = *report;
            let (errors, warnings) = (counted(errors_total, "error"), counted(warnings_total, "warning"));
            Judged::refused(name, report.whole().to_string().trim_end(), format!("{errors}, {warnings}"))
        }
        Err(error @ LoadError::Unreadable { .. }) => Judged::refused(name, &error.to_string(), "unreadable"),
    }
}

/// What becomes of a zone whose content is good: it may be refused by the clock yet.
fn accepted(name: &Name, loaded: Loaded) -> Judged {
    let Loaded { image, report, signed, by_clock, by_clock_total, .. } = loaded;
    let mut findings = report.whole().to_string();
    for finding in &by_clock {
        let _ = writeln!(findings, "{}", finding.render(&report.files));
    }
    let hidden = by_clock_total.saturating_sub(by_clock.len() as u64);
    if hidden > 0 {
        let _ = writeln!(findings, "{hidden} more findings by the clock are not shown");
    }
    let verdict = if by_clock.iter().any(|finding| finding.severity == Severity::Error) {
        Verdict::Refused(format!("{} by the clock", counted(by_clock_total, "finding")))
    } else {
        let records = counted(image.records(), "record");
        let warnings = counted(report.warnings_total + by_clock_total, "warning");
        let signed = signed.map_or(String::new(), |signed| signatures(&signed));
        let numbers = format!("serial {}, {records}{signed}, {warnings}", image.serial());
        Verdict::Accepted(Box::new(image), numbers)
    };
    Judged { name: name.to_string(), findings, verdict }
}

/// Refuses each accepted zone to which the DS records of the accepted zone above it do not lead.
fn judge_delegations(files: &[ZoneFile], judged: &mut [Judged], checks: &Checks) {
    let folded = |file: &ZoneFile| Some(file.name.as_ref().ok()?.to_folded().as_wire().to_vec());
    let names: Vec<Option<Vec<u8>>> = files.iter().map(folded).collect();
    // Of two files for one zone the second is refused already.
    let places = names.iter().enumerate().rev();
    let places: HashMap<&[u8], usize> =
        places.filter_map(|(place, name)| Some((name.as_deref()?, place))).collect();
    let image = |place: usize| match &judged[place].verdict {
        Verdict::Accepted(image, _) => Some(image),
        Verdict::Refused(_) => None,
    };
    let fault = |place: usize| {
        let parent = enclosing(names[place].as_deref()?, &places)?;
        broken(image(parent)?, image(place)?, KEY, checks.clock)
    };
    let faults: Vec<_> = (0..judged.len()).map(fault).collect();
    for ((file, zone), fault) in files.iter().zip(judged).zip(faults) {
        let Some(fault) = fault else { continue };
        let _ = writeln!(
            zone.findings,
            "{}: error: {fault}: validators refuse the zone\n help: sign with a key that the parent knows, or put the \
             DS record of the new key into the parent first; if the zone has moved away, remove its file",
            file.path.display()
        );
        zone.verdict = Verdict::Refused("broken secure delegation".to_owned());
    }
}

/// The closest zone above the one with this wire name.
fn enclosing(name: &[u8], places: &HashMap<&[u8], usize>) -> Option<usize> {
    let mut rest = name;
    loop {
        let (&octets, _) = rest.split_first().filter(|(octets, _)| **octets > 0)?;
        rest = rest.get(usize::from(octets) + 1..)?;
        if let Some(&place) = places.get(rest) {
            return Some(place);
        }
    }
}

/// What the line of a signed zone says of its signatures.
fn signatures(signed: &Signed) -> String {
    let Signed { signatures, verified, earliest_expiry, .. } = signed;
    let mut left = String::new();
    if verified < signatures {
        left = format!(" ({verified} verified)");
    }
    let signatures = counted(*signatures, "signature");
    format!(", {signatures}{left} until {} ({})", earliest_expiry.calendar(), earliest_expiry.record)
}

/// Tells on stderr how far a long verification has come.
fn progress(name: &Name) -> impl FnMut(Progress) {
    let mut told = Instant::now();
    move |Progress { done, total }| {
        if told.elapsed() >= PATIENCE {
            remark(&format!("{name} {done} of {total} signatures are checked\n"));
            told = Instant::now();
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(crate) fn print(args: &cli::ZonePrint) -> Result<(), Failure> {
    let path = args.path.as_path();
    if path.is_dir() {
        return Err(
            Failure::usage(format!("{} is a directory", path.display())).help("print one zone at a time")
        );
    }
    let name = zone_of(path, args.origin.as_deref())?;
    let octets = read_regular(path)
        .map_err(|error| Failure::failed(format!("{}: cannot be read: {error}", path.display())))?;
    match load_zone(&name, path, &octets, &Checks::LENIENT, &mut |_| {}) {
        Ok(loaded) => remark(&loaded.report.to_string()),
        Err(error) => {
            remark(&format!("{}\n", error.to_string().trim_end()));
            return Err(Failure::failed("the zone is refused, so it is not printed"));
        }
    }
    let mut listing = Listing::new();
    scan(source(path, &octets), name.as_wire(), &mut |record| listing.push(&record));
    listing.sort();
    let mut out = BufWriter::new(std::io::stdout().lock());
    // A closed pipe (`pharos zone print FILE | head`) is no reason to fail; a full disk is.
    match listing.print(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write the zone: {error}")))
        }
        _ => Ok(()),
    }
}

fn load_zone(
    name: &Name,
    path: &Path,
    octets: &[u8],
    checks: &Checks,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, LoadError> {
    load(name, source(path, octets), KEY, checks, progress)
}

fn source<'a>(path: &'a Path, octets: &'a [u8]) -> Source<'a> {
    Source { path, octets, includes: Includes::Files }
}

/// The zone that a file given by itself holds.
pub(crate) fn zone_of(path: &Path, origin: Option<&str>) -> Result<Name, Failure> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(Failure::usage(format!("{}: {error}", path.display()))
            .help("name a zone file or a directory of NAME.zone files"));
    }
    if let Some(origin) = origin {
        return Name::from_text(origin)
            .map_err(|error| Failure::usage(format!("--origin {origin:?} is not a zone name: {error}")));
    }
    match name_in(path) {
        Some(name) => name.map_err(Failure::usage),
        None => Err(Failure::usage(format!("{}: its name does not say which zone it is", path.display()))
            .help("add --origin NAME, or call the file NAME.zone")),
    }
}

/// The zone that the name `NAME.zone` of a file stands for; none for other names.
fn name_in(path: &Path) -> Option<Result<Name, String>> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let text = file.strip_suffix(SUFFIX).filter(|_| !file.starts_with('.'))?;
    let name = if text == "@" { Ok(Name::ROOT) } else { Name::from_text(text) };
    Some(name.map_err(|error| {
        format!("{}: error: {text:?} is not a zone name: {error}\n help: rename the file", path.display())
    }))
}

/// The zone files of a directory by name, as `pharos serve` would find them.
pub(crate) fn files_of(directory: &Path) -> Result<Vec<ZoneFile>, Failure> {
    let failed = |error| Failure::failed(format!("{}: cannot be read: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(name) = name_in(&path) {
            files.push(ZoneFile { path, name });
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: no zone file is in it", directory.display()))
            .help("zone files are named NAME.zone; @.zone is the root"));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// For each file the one before it that holds the same zone, if there is one: `pharos serve` takes neither.
fn given_twice(files: &[ZoneFile]) -> Vec<Option<&Path>> {
    let mut seen: HashMap<Vec<u8>, &Path> = HashMap::new();
    let mut first_of = |file: &'_ ZoneFile, path| {
        let key = file.name.as_ref().ok()?.to_folded().as_wire().to_vec();
        seen.insert(key, path)
    };
    files.iter().map(|file| first_of(file, file.path.as_path())).collect()
}
