//! Scans a zone file several times and prints the speed: `cargo run --release -p pharos-zone --example scan --
//! FILE [ORIGIN]`. Errors are printed as `pharos zone check` prints them.

use pharos_zone::scan::{Includes, Source, scan};
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the file is scanned; the fastest run is the one that was disturbed least.
const RUNS: usize = 5;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), origin) = (arguments.next(), arguments.next().unwrap_or_else(|| ".".to_owned())) else {
        eprintln!("usage: scan FILE [ORIGIN]");
        return ExitCode::FAILURE;
    };
    let path = Path::new(&file);
    let (octets, origin) = match (std::fs::read(path), pharos_wire::Name::from_text(&origin)) {
        (Ok(octets), Ok(origin)) => (octets, origin),
        (octets, origin) => {
            eprintln!("{file}: {octets:?}, origin: {origin:?}");
            return ExitCode::FAILURE;
        }
    };
    let mut best = Duration::MAX;
    let mut report = None;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let source = Source { path, octets: &octets, includes: Includes::Files };
        report = Some(scan(source, origin.as_wire(), &mut |record| {
            black_box(record);
        }));
        best = best.min(begin.elapsed());
    }
    let Some(report) = report else { return ExitCode::FAILURE };
    print!("{report}");
    let seconds = best.as_secs_f64();
    println!(
        "{} records, {} octets in {:.1} ms: {:.2} million records/s, {:.0} MB/s",
        report.records,
        octets.len(),
        seconds * 1e3,
        report.records as f64 / seconds / 1e6,
        octets.len() as f64 / seconds / 1e6
    );
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
