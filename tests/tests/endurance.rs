//! Full load until the time is over: `cargo test --test endurance -- --ignored`, or `tests/run endurance`.
//!
//! A runner of its own, as that of the fault lab: `--ignored` runs it (it needs root, routers, and a machine to itself).
//!
//! | Variable | Means |
//! |---|---|
//! | `PHAROS_LAB_SECONDS` | how long; a minute unless set, and the record has 3600 |
//! | `PHAROS_LAB_RECORD` | a directory for `endurance.json`, which holds what is known so far after each turn |
//! | `PHAROS_BLESS=1` | makes `tests/endurance.json` and its section in `docs/faults.md` of the result, if that is an hour |

use pharos_tests::endurance::report::{Record, section};
use pharos_tests::endurance::run;
use pharos_tests::lab::machine;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const NAME: &str = "an_hour_of_full_load_moves_no_route";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !(has("--ignored") || has("--include-ignored")) {
        println!("\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let seconds = std::env::var("PHAROS_LAB_SECONDS").map_or(60, |text| text.parse().expect("seconds"));
    let file = std::env::var_os("PHAROS_LAB_RECORD").map(|path| PathBuf::from(path).join("endurance.json"));
    let record = run(Duration::from_secs(seconds), machine(), |so_far: &Record| {
        let found = so_far.failures();
        println!(
            "    {:.0} s: {}",
            so_far.seconds,
            if found.is_empty() { "all is well".into() } else { found.join("; ") }
        );
        if let Some(file) = &file {
            so_far.write(file);
        }
    });
    println!("\n{}", section(&record));
    let failures = record.failures();
    failures.iter().for_each(|failure| println!("    {failure}"));
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("test {NAME} ... {verdict}");
    if failures.is_empty() && std::env::var_os("PHAROS_BLESS").is_some() {
        record.publish();
    }
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s",
        u8::from(failures.is_empty()),
        u8::from(!failures.is_empty()),
        begun.elapsed().as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
