//! Our scanner of zone files beside `domain::zonefile::inplace`, on the same text of a million records.
//!
//! Both read from memory, in turns (ours, theirs, ours, theirs, ...), so that what disturbs the machine disturbs
//! both alike; what each needs before its first record (theirs copies the text) is not counted. Each record is taken as
//! the scanner hands it out, its data in wire form or parsed. The ratio of the medians is what the machine
//! decides least.
//!
//! Usage: `cargo run --release -p pharos-benches --bin zone-scan [-- FILE ORIGIN]`; without a file, a mixed zone of a
//! million records is made.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::base::Name;
use domain::zonefile::inplace::{Entry, Zonefile};
use pharos_benches::mixed_zone;
use pharos_zone::scan::{Includes, Source, scan};

/// Records of the zone that is made, apart from its head.
const RECORDS: u32 = 1_000_000;
/// Turns of each scanner; odd, so that the median is one of them.
const TURNS: usize = 11;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (text, origin) = match &arguments[..] {
        [] => (mixed_zone(RECORDS).into_bytes(), "example.".to_owned()),
        [file, origin] => {
            (std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}")), origin.clone())
        }
        _ => panic!("usage: zone-scan [FILE ORIGIN]"),
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut counts = (0, 0);
    for _ in 0..TURNS {
        let (records, took) = scan_ours(&text, &origin);
        ours.push(took);
        counts.0 = records;
        let (records, took) = scan_theirs(&text, &origin);
        theirs.push(took);
        counts.1 = records;
    }
    assert_eq!(counts.0, counts.1, "the scanners disagree on the number of records");
    println!("{} records, {} octets, {TURNS} turns each", counts.0, text.len());
    let ours = show("pharos-zone", &mut ours, counts.0, text.len());
    let theirs = show("domain", &mut theirs, counts.0, text.len());
    println!("domain takes {:.2} times as long (medians)", theirs.as_secs_f64() / ours.as_secs_f64());
}

fn scan_ours(text: &[u8], origin: &str) -> (u64, Duration) {
    let origin = pharos_wire::Name::from_text(origin).expect("the origin is a name");
    let begin = Instant::now();
    let source = Source { path: Path::new("zone"), octets: text, includes: Includes::Refused };
    let report = scan(source, origin.as_wire(), &mut |record| {
        black_box(&record);
    });
    let took = begin.elapsed();
    assert!(report.is_clean(), "{report}");
    (report.records, took)
}

fn scan_theirs(text: &[u8], origin: &str) -> (u64, Duration) {
    let mut zonefile = Zonefile::from(text);
    zonefile.set_origin(Name::bytes_from_str(origin).expect("the origin is a name"));
    let mut records = 0;
    let begin = Instant::now();
    while let Some(entry) = zonefile.next_entry().expect("it reads what we read") {
        if let Entry::Record(record) = entry {
            records += 1;
            black_box(&record);
        }
    }
    (records, begin.elapsed())
}

/// Prints one line of the table; gives the median.
fn show(name: &str, turns: &mut [Duration], records: u64, octets: usize) -> Duration {
    turns.sort_unstable();
    let (least, median, most) = (turns[0], turns[turns.len() / 2], turns[turns.len() - 1]);
    let seconds = median.as_secs_f64();
    println!(
        "{name:12} median {:7.1} ms, min {:7.1}, max {:7.1}; {:5.2} million records/s, {:4.0} MB/s",
        seconds * 1e3,
        least.as_secs_f64() * 1e3,
        most.as_secs_f64() * 1e3,
        records as f64 / seconds / 1e6,
        octets as f64 / seconds / 1e6
    );
    median
}
