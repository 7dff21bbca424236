//! `pharos zone check` and `pharos zone print`: zone files judged and shown without serving them.
//!
//! Both load a zone by the function that the responder calls, from files as it reads them, so what passes here is what
//! it accepts. Nothing is kept and nothing is sent; the whole state is the exit code.

use crate::cli;
use crate::failure::Failure;
use crate::print::{remark, say};
use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::diagnostic::Severity;
use pharos_zone::dnssec::{Checks, Clock, Progress, Signatures, Signed};
use pharos_zone::files::read_regular;
use pharos_zone::load::{LoadError, Loaded, load};
use pharos_zone::print::Listing;
use pharos_zone::scan::{Includes, Report, Source, scan};
use std::collections::HashMap;
use std::io::{BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let mut refused = 0;
    for (file, twice) in files.iter().zip(twice) {
        if !check_one(file, twice, &checks) {
            refused += 1;
        }
    }
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

/// Prints the findings and the line of one zone; whether it is accepted.
fn check_one(file: &ZoneFile, twice: Option<&Path>, checks: &Checks) -> bool {
    let path = file.path.display();
    let name = match (&file.name, twice) {
        (Err(why), _) => return refuse(&path.to_string(), why, "no zone name"),
        (Ok(name), Some(first)) => {
            let why = format!(
                "{path}: error: zone {name} is given twice: here and in {}\n help: keep one of them",
                first.display()
            );
            return refuse(&name.to_string(), &why, "two files");
        }
        (Ok(name), None) => name,
    };
    let octets = match read_regular(&file.path) {
        Ok(octets) => octets,
        Err(error) => {
            let why = format!("{path}: error: the file cannot be read: {error}");
            return refuse(&name.to_string(), &why, "unreadable");
        }
    };
    match load_zone(name, &file.path, &octets, checks, &mut progress(name)) {
        Ok(loaded) => {
            remark(&loaded.report.whole().to_string());
            for finding in &loaded.by_clock {
                remark(&format!("{}\n", finding.render(&loaded.report.files)));
            }
            let hidden = loaded.by_clock_total.saturating_sub(loaded.by_clock.len() as u64);
            if hidden > 0 {
                remark(&format!("{hidden} more findings by the clock are not shown\n"));
            }
            if loaded.by_clock.iter().any(|finding| finding.severity == Severity::Error) {
                let findings = counted(loaded.by_clock_total, "finding");
                return refuse(&name.to_string(), "", &format!("{findings} by the clock"));
            }
            let (serial, records) = (loaded.image.serial(), loaded.image.records());
            let warnings = loaded.report.warnings_total + loaded.by_clock_total;
            let (records, warnings) = (counted(records, "record"), counted(warnings, "warning"));
            let signed = loaded.signed.map_or(String::new(), |signed| signatures(&signed));
            say(&format!("ok       {name} serial {serial}, {records}{signed}, {warnings}\n"));
            true
        }
        Err(LoadError::Refused(report)) => {
            let Report { errors_total, warnings_total, .. } = *report;
            let (errors, warnings) = (counted(errors_total, "error"), counted(warnings_total, "warning"));
            refuse(&name.to_string(), report.whole().to_string().trim_end(), &format!("{errors}, {warnings}"))
        }
        Err(error @ LoadError::Unreadable { .. }) => {
            refuse(&name.to_string(), &error.to_string(), "unreadable")
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

fn refuse(name: &str, why: &str, summary: &str) -> bool {
    if !why.is_empty() {
        remark(&format!("{why}\n"));
    }
    say(&format!("REFUSED  {name} {summary}\n"));
    false
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
    // Nobody queries this image: no secret is needed against collisions.
    load(name, source(path, octets), HashKey::new([0, 0]), checks, progress)
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
