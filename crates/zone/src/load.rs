//! A zone file in, an image out: scan, group, check, compile. All that is wrong is told in one run, and a zone
//! with anything wrong is not compiled.

use std::io;
use std::path::{Path, PathBuf};

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_wire::name::Text;
use pharos_zonedb::ZoneImage;

use crate::check::check;
use crate::compile::compile;
use crate::diagnostic::{Diagnostic, Severity};
use crate::dnssec::{self, Checks, Findings, Progress, Signed};
use crate::scan::{Includes, Place, Report, Source, scan};
use crate::tree::{Misfit, Tree};

/// A zone that may answer, and what its writer should know of it.
#[derive(Debug)]
pub struct Loaded {
    /// The compiled zone.
    pub image: ZoneImage,
    /// What was found; without errors.
    pub report: Report,
    /// What is known of its signatures; none for an unsigned zone.
    pub signed: Option<Signed>,
    /// What is wrong with signatures by the clock of [`Checks`], worst first and [`crate::scan::MAX_KEPT`] at most:
    /// errors are of signatures that no validator takes now, warnings of those that end soon. They never refuse
    /// a zone here, since a lapsed signature is no worse than no answer: the caller knows what else there is.
    pub by_clock: Vec<Diagnostic>,
    /// How many findings by the clock there were.
    pub by_clock_total: u64,
}

/// Who watches a load.
pub struct Watch<'a> {
    /// Is told of the zone file and of each file that it includes, there or not, before it is opened, so that the
    /// caller can tell later whether any of them changed since.
    pub about_to_read: &'a mut dyn FnMut(&Path),
    /// Is told from time to time how far the verification of signatures has come.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// Why a zone file did not become an image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's content is refused; the report says where and why.
    #[error("{0}")]
    Refused(Box<Report>),
}

/// Loads the zone `apex` from a file.
///
/// # Errors
/// [`LoadError`]; nothing is kept of a zone with any error in it.
pub fn load_file(apex: &Name, path: &Path, key: HashKey, checks: &Checks) -> Result<Loaded, LoadError> {
    load_file_watched(apex, path, key, checks, Watch { about_to_read: &mut |_| {}, progress: &mut |_| {} })
}

/// The same under the eyes of `watch`.
///
/// # Errors
/// [`LoadError`]; nothing is kept of a zone with any error in it.
pub fn load_file_watched(
    apex: &Name,
    path: &Path,
    key: HashKey,
    checks: &Checks,
    watch: Watch<'_>,
) -> Result<Loaded, LoadError> {
    let Watch { about_to_read, progress } = watch;
    about_to_read(path);
    let octets =
        std::fs::read(path).map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    // Who writes a zone file need not be who may read everything that the responder may: what is included
    // stands beside the zone file or below, and errors never show lines of anything else.
    let below = path.parent().unwrap_or(Path::new("."));
    let mut read = |included: &Path| {
        about_to_read(included);
        read_below(below, included)
    };
    let source = Source { path, octets: &octets, includes: Includes::Reader(&mut read) };
    load(apex, source, key, checks, progress)
}

/// The content of a regular file in `directory` or below it, links followed.
fn read_below(directory: &Path, file: &Path) -> io::Result<Vec<u8>> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let (directory, file) = (directory.canonicalize()?, file.canonicalize()?);
    if !file.starts_with(&directory) || !file.is_file() {
        let what = format!("only files in {} and below may be included", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    std::fs::read(file)
}

/// Loads the zone `apex` from text at hand; `progress` is told how far the verification of signatures has come.
///
/// # Errors
/// [`LoadError::Refused`].
pub fn load(
    apex: &Name,
    source: Source<'_>,
    key: HashKey,
    checks: &Checks,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, LoadError> {
    let main_file = source.octets;
    let mut tree = Tree::new(apex, key, main_file.len());
    let mut misfits = Vec::new();
    let mut misfit_count = 0u64;
    let mut report = scan(source, apex.as_wire(), &mut |record| {
        if let Err(misfit) = tree.insert(&record) {
            misfit_count += 1;
            if misfits.len() < crate::scan::MAX_KEPT {
                misfits.push(say_misfit(misfit, record.owner, apex, record.place));
            }
        }
    });
    report.errors_total += misfit_count - misfits.len() as u64;
    for misfit in misfits {
        add(&mut report, misfit, main_file);
    }
    let whole = report.is_clean();
    tree.settle();
    check(&tree, &mut |finding| {
        // Where records were refused, what seems to be missing may be among them. What stands in the file and
        // contradicts other records is told in the same run.
        let missing = finding.place.line == 0 || finding.severity == Severity::Warning;
        if whole || !missing {
            add(&mut report, finding, main_file);
        }
    });
    // Of a zone that is refused anyway nobody needs to hear that its signatures are wrong, too.
    let mut findings = report.is_clean().then(|| dnssec::check(&tree, checks, progress));
    if let Some(findings) = &mut findings {
        report.errors_total += findings.hidden_errors;
        report.warnings_total += findings.hidden_warnings;
        for fault in std::mem::take(&mut findings.faults) {
            add(&mut report, fault, main_file);
        }
    }
    report.errors.sort_by_key(|finding| finding.place);
    report.warnings.sort_by_key(|finding| finding.place);
    let Some(Findings { chain, signed, by_clock, by_clock_total, .. }) =
        findings.filter(|_| report.is_clean())
    else {
        return Err(LoadError::Refused(Box::new(report)));
    };
    let by_clock = by_clock.into_iter().map(|finding| shown(finding, main_file)).collect();
    match compile(&tree, chain.as_ref()) {
        Ok(image) => Ok(Loaded { image, report, signed, by_clock, by_clock_total }),
        Err(error) => {
            let remedy = "split the zone, or remove what makes it so large";
            add(&mut report, Diagnostic::error(Place::default(), error.to_string(), remedy), main_file);
            Err(LoadError::Refused(Box::new(report)))
        }
    }
}

fn say_misfit(misfit: Misfit, owner: &[u8], apex: &Name, place: Place) -> Diagnostic {
    match misfit {
        Misfit::OutOfZone => Diagnostic::error(
            place,
            format!("{} is outside of zone {apex}", Text(owner)),
            "remove the record, or write its owner relative to the zone: a closing dot is missing or too many",
        ),
        Misfit::TooMany => Diagnostic::error(place, "more than 4,294,967,294 records", "split the zone"),
    }
}

/// Adds a finding with its line where that stands in the main file.
fn add(report: &mut Report, finding: Diagnostic, main_file: &[u8]) {
    let kept = match finding.severity {
        Severity::Error => {
            report.errors_total += 1;
            &mut report.errors
        }
        Severity::Warning => {
            report.warnings_total += 1;
            &mut report.warnings
        }
    };
    if kept.len() < crate::scan::MAX_KEPT {
        kept.push(shown(finding, main_file));
    }
}

fn shown(finding: Diagnostic, main_file: &[u8]) -> Diagnostic {
    let in_main_file = finding.place.file.0 == 0 && finding.place.line > 0;
    if in_main_file { finding.with_source(main_file) } else { finding }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let apex = Name::from_text("example.").unwrap();
        let path = Path::new("example.zone");
        let source = Source { path, octets: text.as_bytes(), includes: Includes::Refused };
        match load(&apex, source, HashKey::new([0, 0]), &Checks::STRICT, &mut |_| {}) {
            Err(error) => error.to_string(),
            Ok(loaded) => panic!("accepted: {loaded:?}"),
        }
    }

    #[test]
    fn hashing_that_no_validator_follows_is_refused() {
        let zone = |iterations| format!("@ 1 SOA . . 1 1 1 1 1\n  NS .\n  NSEC3PARAM 1 0 {iterations} -\n");
        let report = refused(&zone(151));
        assert!(report.starts_with("example.zone:3:"), "{report}");
        assert!(report.contains("NSEC3 with 151 iterations; 150 are served at most"), "{report}");
        let apex = Name::from_text("example.").unwrap();
        let path = Path::new("example.zone");
        let fine = zone(150);
        let source = Source { path, octets: fine.as_bytes(), includes: Includes::Refused };
        assert!(load(&apex, source, HashKey::new([0, 0]), &Checks::STRICT, &mut |_| {}).is_ok());
    }

    #[test]
    fn bad_lines_and_contradictions_are_told_in_one_run_by_place() {
        let report = refused(
            "@ 1 SOA . . 1 1 1 1 1\n  NS .\na CNAME b\na A 192.0.2.1\nb A 192.0.2.256\nx.example.org. A 192.0.2.1\n",
        );
        let places: Vec<_> = report.lines().filter(|line| line.starts_with("example.zone:")).collect();
        assert_eq!(
            places,
            [
                "example.zone:4:1: error: A at a.example., which is an alias",
                "example.zone:5:5: error: A address: `192.0.2.256` is not an IPv4 address",
                "example.zone:6:1: error: x.example.org. is outside of zone example.",
            ]
        );
    }

    #[test]
    fn what_a_refused_record_may_have_held_is_not_called_missing() {
        let report = refused("@ 1 SOA . . 1 1 1 1\n  NS a.b\nb NS a.b\n");
        assert_eq!(report.matches("example.zone").count(), 1, "{report}");
    }

    #[test]
    fn what_a_whole_file_lacks_has_no_line() {
        let report = refused("@ 1 NS .\n");
        assert!(
            report.starts_with("example.zone: error: zone example. has no SOA record\n help: "),
            "{report}"
        );
    }

    #[test]
    fn a_name_with_tens_of_thousands_of_types_loads_without_costing_their_square() {
        use std::fmt::Write;
        let mut text = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n NS ns\nns A 192.0.2.1\n".to_owned();
        for rtype in 1000..32_000 {
            writeln!(text, "x TYPE{rtype} \\# 1 00").unwrap();
        }
        let source =
            Source { path: Path::new("x.zone"), octets: text.as_bytes(), includes: Includes::Refused };
        let loaded = load(
            &Name::from_text("x.test.").unwrap(),
            source,
            HashKey::new([1, 2]),
            &Checks::STRICT,
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(loaded.image.records(), 31_003);
    }
}
