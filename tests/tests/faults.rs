//! Runs the fault lab's scenarios: `cargo test --test faults -- --ignored [NAME...]`.
//!
//! A runner of its own, since scenarios are values. It speaks enough of the usual test runner's language that cargo
//! and `tests/run` need not know: `--ignored` runs them (they need namespaces and routers), `--list` names them, words
//! select names that contain them, `--test-threads N` plays so many labs side by side, and then, one after the other, those
//! that bear no company.
//!
//! | Variable | Means |
//! |---|---|
//! | `PHAROS_LAB_ONLY` | words like those behind the command, apart by spaces |
//! | `PHAROS_LAB_REPEAT` | repetitions of each scenario; 1 unless set |
//! | `PHAROS_LAB_RECORD` | a directory for results, written after each repetition: what stands there is not played again |
//! | `PHAROS_LAB_SECONDS` | start no repetition after so many seconds; what is left is for the next call |
//! | `PHAROS_BLESS=1` | makes `tests/faults.json` and `docs/faults.md` of the results and, for scenarios that were not played, of those in `tests/faults.json`; once none is missing |

use pharos_tests::faults::report::{Found, Record, page, publish, table};
use pharos_tests::faults::{Company, Repetition, Scenario, all, left_out, run};
use pharos_tests::lab::{commit, machine, source_root};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the command line asks for.
struct Wanted {
    scenarios: Vec<Scenario>,
    side_by_side: usize,
    run: bool,
    list: bool,
}

fn main() -> ExitCode {
    let wanted = wanted();
    if wanted.list {
        wanted.scenarios.iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    if !wanted.run {
        let count = wanted.scenarios.len();
        println!("\ntest result: ok. 0 passed; 0 failed; {count} ignored; 0 measured; 0 filtered out");
        return ExitCode::SUCCESS;
    }
    if let Some(why) = left_out() {
        println!("left out: {why}");
    }
    let begun = Instant::now();
    let found = play(&wanted, begun);
    println!("\n{}", table(&found));
    close(&found);
    bless(&found);
    let failed = found.iter().filter(|found| !found.failures().is_empty()).count();
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        if failed == 0 { "ok" } else { "FAILED" },
        found.len() - failed,
        all().len() - found.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wanted() -> Wanted {
    let (mut run, mut list, mut side_by_side) = (false, false, 1);
    let only = std::env::var("PHAROS_LAB_ONLY").unwrap_or_default();
    let mut words: Vec<_> = only.split_whitespace().map(str::to_owned).collect();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--ignored" | "--include-ignored" => run = true,
            "--list" => list = true,
            "--test-threads" => {
                side_by_side = arguments.next().and_then(|n| n.parse().ok()).expect("a number of labs");
            }
            "--skip" | "--format" | "--color" => {
                let _ = arguments.next();
            }
            option if option.starts_with('-') => {}
            word => words.push(word.to_owned()),
        }
    }
    let chosen =
        |scenario: &Scenario| words.is_empty() || words.iter().any(|word| scenario.name.contains(word));
    Wanted { scenarios: all().into_iter().filter(chosen).collect(), side_by_side, run, list }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn directory() -> Option<PathBuf> {
    std::env::var_os("PHAROS_LAB_RECORD").map(PathBuf::from)
}

/// Plays what is wanted and gives what was found, in the order of the table.
fn play(wanted: &Wanted, begun: Instant) -> Vec<Found> {
    let repetitions = number("PHAROS_LAB_REPEAT").unwrap_or(1);
    let latest = number("PHAROS_LAB_SECONDS")
        .map(|seconds| begun + Duration::from_secs(u64::try_from(seconds).expect("seconds")));
    let commit = commit();
    let found = Mutex::new(Vec::new());
    let numbered = || wanted.scenarios.iter().enumerate();
    let (social, alone): (Vec<_>, Vec<_>) =
        numbered().partition(|(_, scenario)| scenario.company == Company::Welcome);
    for (scenarios, side_by_side) in [(social, wanted.side_by_side), (alone, 1)] {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..side_by_side {
                scope.spawn(|| {
                    while let Some((place, scenario)) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(one) = repeat(scenario, &commit, repetitions, latest) {
                            found.lock().expect("no thread panics with it").push((*place, one));
                        }
                    }
                });
            }
        });
    }
    let mut found = found.into_inner().expect("no thread panicked with it");
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, found)| found).collect()
}

/// Plays what is missing of a scenario's repetitions; `None` if there was no time for all of it.
fn repeat(scenario: &Scenario, commit: &str, repetitions: usize, latest: Option<Instant>) -> Option<Found> {
    let begun = Instant::now();
    let directory = directory();
    let mut found = directory
        .as_ref()
        .and_then(|directory| Found::read(directory, scenario, commit, repetitions))
        .unwrap_or_else(|| Found::new(scenario, commit));
    let before = found.repetitions.len();
    while found.repetitions.len() < repetitions {
        if latest.is_some_and(|latest| Instant::now() > latest) {
            println!(
                "test {} ... {} repetitions left for the next call",
                scenario.name,
                repetitions - found.repetitions.len()
            );
            return None;
        }
        let (one, discarded) = run(scenario);
        found.discarded.extend(discarded);
        println!("    {}: {}", scenario.name, line(&one));
        one.failures.iter().for_each(|failure| println!("    {failure}"));
        found.repetitions.push(one);
        if let Some(directory) = &directory {
            found.write(directory);
        }
    }
    let verdict = if found.failures().is_empty() { "ok" } else { "FAILED" };
    let known = if before > 0 { format!(", {before} repetitions found before") } else { String::new() };
    println!("test {} ... {verdict} ({:.1} s{known})", scenario.name, begun.elapsed().as_secs_f64());
    Some(found)
}

fn line(one: &Repetition) -> String {
    let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    let later: String = one.later_ms.iter().map(|ms| format!(", later {ms:.1} ms")).collect();
    format!(
        "detection {} ms, convergence {} ms, clients {} ms{later}; lost {} of {} UDP, {} of {} TCP, {} later; {}",
        time(one.detection_ms),
        time(one.convergence_ms),
        time(one.clients_ms),
        one.udp[1],
        one.udp[0],
        one.tcp[1],
        one.tcp[0],
        one.lost_later,
        one.neighbour.join(", ")
    )
}

/// Leaves the closing table beside the results, as text and as JSON, whole or not.
fn close(found: &[Found]) {
    let Some(directory) = directory() else { return };
    let record = Record { machine: machine(), scenarios: found.to_vec() };
    let missing: Vec<&str> = all()
        .iter()
        .map(|scenario| scenario.name)
        .filter(|name| !found.iter().any(|found| found.name == *name))
        .collect();
    std::fs::create_dir_all(&directory).expect("the directory of results can be made");
    let json = serde_json::to_string_pretty(&record).expect("plain data can be written as JSON");
    std::fs::write(directory.join("table.json"), json + "\n")
        .expect("the directory of results can be written");
    std::fs::write(directory.join("table.md"), page("# The fault lab\n", &record))
        .expect("the directory of results can be written");
    if !missing.is_empty() {
        println!("\nnot in this table: {}", missing.join(", "));
    }
}

/// Makes the committed record and its page, if that is asked for and the record is whole.
fn bless(found: &[Found]) {
    if std::env::var_os("PHAROS_BLESS").is_none() {
        return;
    }
    if let Some(why) = left_out() {
        panic!("{why}; a record without them is none, and nothing is written");
    }
    let mut record = Record { machine: machine(), scenarios: found.to_vec() };
    if let Some(before) = Record::committed() {
        record = record.completed(&before, &all());
    }
    // Neither a scenario that nobody has played, nor one that is gone or has another name now.
    let all: Vec<_> = all().iter().map(|scenario| scenario.name).collect();
    let recorded: Vec<_> = record.scenarios.iter().map(|found| found.name.as_str()).collect();
    let missing: Vec<_> = all.iter().filter(|name| !recorded.contains(name)).collect();
    assert!(missing.is_empty(), "missing in the record: {missing:?}; nothing is written");
    assert_eq!(recorded, all, "the record is not of these scenarios in this order; nothing is written");
    let objections: Vec<_> = record.scenarios.iter().flat_map(Found::objections).collect();
    objections.iter().for_each(|objection| println!("{objection}"));
    assert!(objections.is_empty(), "this is no record yet; nothing is written");
    let json = serde_json::to_string_pretty(&record).expect("plain data can be written as JSON");
    let root = source_root();
    std::fs::write(root.join("tests/faults.json"), json + "\n").expect("the source tree can be written");
    publish();
}
