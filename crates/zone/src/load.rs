//! A zone file in, an image out: scan, group, check, compile. All that is wrong is told in one run, and a zone
//! with anything wrong is not compiled.

use std::cell::Cell;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_wire::name::Text;
use pharos_zonedb::ZoneImage;

use crate::check::check;
use crate::compile::compile;
use crate::diagnostic::{Diagnostic, Severity, add_lines};
use crate::digest::{DIGEST_OCTETS, Digester};
use crate::direct::Direct;
use crate::dnssec::{self, Checks, Findings, Progress, Signed};
use crate::files::{open_regular, read_whole};
use crate::scan::{
    FileId, Flow, Includes, Lost, MAX_KEPT, Place, Record, Report, Scanned, Source, scan_zone,
};
use crate::tree::{Misfit, Tree};

/// A zone that may answer, and what its writer should know of it.
#[derive(Debug)]
pub struct Loaded {
    /// The compiled zone.
    pub image: ZoneImage,
    /// What was found; without errors.
    pub report: Report,
    /// SHA-256 over its records in the order of the file: equal for the same data at every node.
    pub digest: [u8; DIGEST_OCTETS],
    /// What is known of its signatures; none for an unsigned zone.
    pub signed: Option<Signed>,
    /// What is wrong with signatures by the clock of [`Checks`], worst first and [`MAX_KEPT`] at most:
    /// errors are of signatures that no validator takes now, warnings of those that end soon. They never refuse
    /// a zone here, since a lapsed signature is no worse than no answer: the caller knows what else there is.
    pub by_clock: Vec<Diagnostic>,
    /// How many findings by the clock there were.
    pub by_clock_total: u64,
}

/// Who watches a load.
pub struct Watch<'a> {
    /// Is told of the zone file and of each file that it includes, and of what each was before it was read, if it was
    /// there, so that the caller can tell later whether any of them changed since.
    pub about_to_read: &'a mut dyn FnMut(&Path, Option<&Metadata>),
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
    load_file_watched(apex, path, key, checks, Watch { about_to_read: &mut |_, _| {}, progress: &mut |_| {} })
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
    let octets = match open_regular(path) {
        Ok((mut file, metadata)) => {
            about_to_read(path, Some(&metadata));
            read_whole(&mut file, metadata.len())
        }
        Err(error) => {
            about_to_read(path, fs::metadata(path).ok().as_ref());
            Err(error)
        }
    };
    let octets = octets.map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    let source = Source { path, octets: &octets, includes: Includes::Watched(about_to_read) };
    load(apex, source, key, checks, progress)
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
    if let Some(loaded) = load_directly(apex, &source, key) {
        return Ok(loaded);
    }
    load_by_tree(apex, source, key, checks, progress)
}

/// Loads a zone the short way, if nothing at all is to be said of it: see [`Direct`]. A zone that is not signed has no
/// use for [`Checks`].
fn load_directly(apex: &Name, source: &Source<'_>, key: HashKey) -> Option<Loaded> {
    let mut direct = Direct::new(apex, key, source.octets).ok()?;
    let mut digester = Digester::new();
    let flow = Cell::new(Flow::On);
    // Whatever is included goes the long way, by which those who watch are told of it.
    let mut not_here = |_: &Path| Err(io::Error::other("not this way"));
    let includes = Includes::Reader(&mut not_here);
    let source = Source { path: source.path, octets: source.octets, includes };
    let scanned = scan_zone(
        source,
        apex.as_wire(),
        &mut |record| {
            digester.push(&record);
            if flow.get() == Flow::On && direct.insert(&record).is_err() {
                flow.set(Flow::Ends);
            }
        },
        &flow,
    );
    let mut report = scanned.report;
    if flow.get() == Flow::Ends || !report.is_clean() {
        return None;
    }
    report.warnings.sort_by_key(|finding| finding.place);
    let (image, digest) = (direct.finish().ok()?, digester.finish());
    Some(Loaded { image, report, digest, signed: None, by_clock: Vec::new(), by_clock_total: 0 })
}

pub(crate) fn load_by_tree(
    apex: &Name,
    source: Source<'_>,
    key: HashKey,
    checks: &Checks,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, LoadError> {
    let main_file = source.octets;
    let mut tree = Tree::new(apex, key, main_file.len());
    let mut misfits = Vec::new();
    let (mut misfit_count, mut misfit_lost) = (0u64, Lost::default());
    let mut digester = Digester::new();
    let mut sink = |record: Record<'_>| {
        digester.push(&record);
        if let Err(misfit) = tree.insert(&record) {
            misfit_count += 1;
            misfit_lost.record(record.rtype);
            if misfits.len() < MAX_KEPT {
                misfits.push(say_misfit(misfit, record.owner, apex, record.place));
            }
        }
    };
    let scanned = scan_zone(source, apex.as_wire(), &mut sink, &Cell::new(Flow::On));
    let Scanned { mut report, mut lost, texts } = scanned;
    lost.join(misfit_lost);
    report.errors_total += misfit_count - misfits.len() as u64;
    for misfit in misfits {
        add(&mut report, misfit);
    }
    let whole = report.is_clean();
    tree.settle();
    check(&tree, lost, &mut |finding| {
        // Where records were refused, what a warning misses may be among them. What stands in the file and
        // contradicts other records, and what no refused line can have held, is told in the same run.
        if whole || finding.severity == Severity::Error {
            add(&mut report, finding);
        }
    });
    // Of a zone that is refused anyway nobody needs to hear that its signatures are wrong, too.
    let mut findings = report.is_clean().then(|| dnssec::check(&tree, checks, progress));
    if let Some(findings) = &mut findings {
        report.errors_total += findings.hidden_errors;
        report.warnings_total += findings.hidden_warnings;
        for fault in std::mem::take(&mut findings.faults) {
            add(&mut report, fault);
        }
    }
    report.errors.sort_by_key(|finding| finding.place);
    report.warnings.sort_by_key(|finding| finding.place);
    let text = |file: FileId| match file {
        FileId(0) => Some(main_file),
        FileId(included) => texts.get(usize::from(included))?.as_ref().map(|text| &text[..]),
    };
    add_lines(&mut report.errors, text);
    add_lines(&mut report.warnings, text);
    let Some(Findings { chain, signed, mut by_clock, by_clock_total, .. }) =
        findings.filter(|_| report.is_clean())
    else {
        return Err(LoadError::Refused(Box::new(report)));
    };
    add_lines(&mut by_clock, text);
    drop(texts);
    match compile(&tree, chain.as_ref()) {
        Ok(image) => {
            Ok(Loaded { image, report, digest: digester.finish(), signed, by_clock, by_clock_total })
        }
        Err(error) => {
            let remedy = "split the zone, or remove what makes it so large";
            add(&mut report, Diagnostic::error(Place::default(), error.to_string(), remedy));
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

/// Adds a finding; its line comes later.
fn add(report: &mut Report, finding: Diagnostic) {
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
    if kept.len() < MAX_KEPT {
        kept.push(finding);
    }
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

    fn accepted(text: &str) -> Loaded {
        let apex = Name::from_text("example.").unwrap();
        let path = Path::new("example.zone");
        let source = Source { path, octets: text.as_bytes(), includes: Includes::Refused };
        load(&apex, source, HashKey::new([0, 0]), &Checks::STRICT, &mut |_| {}).unwrap()
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
    fn hashing_more_than_once_and_salt_are_warned_of() {
        let warnings = |parameters: &str| {
            let report = accepted(&format!("@ 1 SOA . . 1 1 1 1 1\n  NS .\n  NSEC3PARAM 1 0 {parameters}\n"));
            report.report.warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(warnings("0 -"), [""; 0]);
        assert_eq!(warnings("1 -"), ["NSEC3 with 1 iterations and 0 octets of salt, which protect nothing"]);
        assert_eq!(warnings("0 AB"), ["NSEC3 with 0 iterations and 1 octets of salt, which protect nothing"]);
    }

    #[test]
    fn what_refuses_is_told_before_what_does_not() {
        let report =
            refused("@ 1 SOA . . 1 1 1 1 1\n  NS .\n  NSEC3PARAM 1 0 1 -\na CNAME b\na A 192.0.2.1\n");
        let (error, warning) = (report.find(": error: "), report.find(": warning: "));
        assert!(error.is_some() && error < warning, "{report}");
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

    /// Whether it is said that SOA and NS are missing.
    fn missing(text: &str) -> (bool, bool) {
        let report = refused(text);
        (report.contains("has no SOA record"), report.contains("has no NS record at its apex"))
    }

    #[test]
    fn what_a_refused_record_may_have_held_is_not_called_missing() {
        let report = refused("@ 1 SOA . . 1 1 1 1\n  NS a.b\nb NS a.b\n");
        assert_eq!(report.matches("example.zone").count(), 1, "{report}");
        for text in [
            // The type of a record at the apex, or the owner of an NS record, cannot be read.
            "@ 1 SAO x x 1 1 1 1 1\n@ 1 NS .\n@ 1 SS x\n",
            "@ 1 SOA x x 1 1 1 1\n@..a 1 NS .\n",
            "SOA x x 1 1 1 1 1\nNS a.b\n",
            "$INCLUDE other\n",
            "$ORIGIN a b\nexample 1 SOA . . 1 1 1 1 1\n",
            "$INCLUD other\n",
            "a..b 1 A 192.0.2.1\n 1 SOA . . 1 1 1 1 1\n 1 NS .\n",
            "@ 1 TXT ( a \"\n@ 1 SOA x x 1 1 1 1 1\n@ 1 NS . )\n",
            "$GENERATE 1-2 @ 1 NS ${x}\n@ SOA . . 1\n",
            "example.org. 1 SOA . . 1 1 1 1 1\nexample.org. 1 NS .\n",
        ] {
            assert_eq!(missing(text), (false, false), "{text}");
        }
    }

    #[test]
    fn what_no_refused_record_can_have_held_is_called_missing_together_with_other_errors() {
        for text in [
            "a 1 A 192.0.2.256\n",
            "@ 1 A 192.0.2.256\n",
            "$TTL x\na 1 AA 192.0.2.1\n",
            "$GENERATE 1-2 a$ 1 A 192.0.2.${x}\n",
            " A 192.0.2.1\n",
            "a..b 1 A 192.0.2.1\n",
            "x.example.org. 1 A 192.0.2.1\n",
        ] {
            assert_eq!(missing(text), (true, true), "{text}");
        }
        assert_eq!(missing("@ 1 SOA . . 1 1 1 1\na NS\n"), (false, true));
        assert_eq!(missing("@ 1 NS\n"), (true, false));
    }

    #[test]
    fn the_same_soa_twice_is_one() {
        let zone = |again: &str| format!("@ 1 SOA Ns host 1 1 1 1 1\n  NS .\n  SOA {again}\n");
        for same in ["Ns host 1 1 1 1 1", "nS HOST 1 1 1 1 1"] {
            let loaded = accepted(&zone(same));
            assert_eq!(loaded.image.records(), 2);
        }
        assert!(
            refused(&zone("ns host 2 1 1 1 1"))
                .contains("example.zone:3:3: error: zone example. has a second SOA")
        );
    }

    #[test]
    fn records_that_differ_in_the_case_of_names_only_count_once() {
        let records =
            |text: &str| accepted(&format!("$TTL 1\n@ SOA . . 1 1 1 1 1\n NS .\n{text}")).image.records() - 2;
        assert_eq!(records("c CNAME ns\nC CNAME NS\n"), 1);
        assert_eq!(records("a MX 1 m\na MX 1 M\na MX 2 M\n"), 2);
        assert_eq!(records("a TXT m\na TXT M\n"), 2);
        assert_eq!(records("a NS b.org.\na NS B.org.\n NS b.ORG.\n"), 1);
        let many: String =
            (0..200).map(|at| format!("a SRV 1 1 {} {}\n", at / 2, ["m", "M"][at % 2])).collect();
        assert_eq!(records(&many), 100);
        // As many as fit into a message are there but once.
        let large: String = (0..400).map(|at| format!("a TXT {at}{}\n", " x".repeat(60)).repeat(3)).collect();
        assert_eq!(records(&large), 400);
    }

    #[test]
    fn a_signature_that_stands_twice_is_served_once() {
        let rrsig = "a RRSIG A 13 2 1 20300101000000 20200101000000 1 @ AQID\n";
        let zone =
            |times| format!("$TTL 1\n@ SOA . . 1 1 1 1 1\n NS .\na A 192.0.2.1\n{}", rrsig.repeat(times));
        let octets = |times| accepted(&zone(times)).image.octets();
        assert_eq!(octets(1), octets(2));
        assert_eq!(octets(1), octets(20));
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
