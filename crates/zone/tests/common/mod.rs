//! What the tests of the scanner share.
#![allow(dead_code, reason = "each test file uses a part")]

use pharos_zone::print::write_record;
use pharos_zone::scan::{Includes, Report, Source, scan};
use std::path::Path;

/// Scans `text` as `test.zone` with the origin example.com; gives the canonical lines and the report.
pub(crate) fn scan_text(text: impl AsRef<[u8]>) -> (Vec<String>, Report) {
    scan_with(text.as_ref(), Includes::Refused)
}

/// The same, with included files.
pub(crate) fn scan_with<'a>(octets: &'a [u8], includes: Includes<'a>) -> (Vec<String>, Report) {
    let origin = pharos_wire::Name::from_text("example.com").expect("a name");
    let mut lines = Vec::new();
    let source = Source { path: Path::new("test.zone"), octets, includes };
    let report = scan(source, origin.as_wire(), &mut |record| {
        let mut line = String::new();
        write_record(&record, &mut line);
        lines.push(line.trim_end().replace('\t', " "));
    });
    (lines, report)
}
