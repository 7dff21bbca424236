//! Loads a zone file several times, from text to image, and prints how long that takes: `cargo run --release -p
//! pharos-zone --example load -- FILE ORIGIN`.

use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::load_file;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// How often the file is loaded; the fastest run is the one that was disturbed least.
const RUNS: usize = 7;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(origin)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: load FILE ORIGIN");
        return ExitCode::FAILURE;
    };
    let apex = match pharos_wire::Name::from_text(&origin) {
        Ok(apex) => apex,
        Err(error) => {
            eprintln!("{origin}: {error}");
            return ExitCode::FAILURE;
        }
    };
    for _ in 0..RUNS {
        let begin = Instant::now();
        let loaded = match load_file(&apex, Path::new(&file), HashKey::new([1, 2]), &Checks::STRICT) {
            Ok(loaded) => loaded,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        println!(
            "{} records, {} octets of image: {:.0} ms",
            loaded.image.records(),
            loaded.image.octets(),
            begin.elapsed().as_secs_f64() * 1e3
        );
    }
    ExitCode::SUCCESS
}
