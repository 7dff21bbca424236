//! Zones of a million records are replaced under load, ten times in a row: no query is lost, and no answer mixes
//! generations.
//!
//! By default the zone has fewer records than that, so that the test is quick; `PHAROS_RELOAD_RECORDS=1000000`
//! and `--nocapture` make it the measurement whose figures it prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use pharos_netio::affinity::allowed_cpus;
use pharos_responder::{Config, Handle, Responder, StatusFilter, ZoneSource};
use pharos_tests::load::{
    Control, Generation, Memory, Tally, UdpClient, World, ask_with_new_connections, pipeline, udp_drops,
};

const RECORDS: u32 = 200_000;
const RELOADS: u16 = 10;
/// The share of what was answered at saturation that is asked while zones change.
const SHARE_PERCENT: u64 = 80;
/// How long saturation is looked for.
const CALIBRATION: Duration = Duration::from_secs(2);
/// Answers that each client must get between two reloads.
const ANSWERS_BETWEEN: u64 = 50;
/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn ten_reloads_under_load_lose_no_query_and_mix_no_generations() {
    let records = std::env::var("PHAROS_RELOAD_RECORDS").map_or(RECORDS, |text| text.parse().unwrap());
    let directory = std::env::temp_dir().join(format!("pharos-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let outcome = std::panic::catch_unwind(|| run(&World::new(&directory, records), records, &directory));
    std::fs::remove_dir_all(&directory).unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn run(world: &World, records: u32, directory: &std::path::Path) {
    world.write(1).unwrap();
    let before = Memory::now().unwrap();
    let source = ZoneSource::Directory(directory.to_owned());
    let begun = Instant::now();
    let config = Config::new(vec!["127.0.0.1:0".parse().unwrap()], source);
    let cpus = allowed_cpus().unwrap();
    let responder = Responder::start(config).unwrap();
    let handle = responder.handle();
    let status = handle.status(&StatusFilter::default());
    assert_eq!(status.zones_live, 2, "{status:?}");
    let big = status.zones.iter().find(|zone| zone.name == "big.test.").unwrap();
    assert_eq!((big.serial, big.records), (Some(1), u64::from(records)));
    println!(
        "start: {} records and {} in {} ms; memory {} KiB before, {} KiB after, {} KiB at most",
        big.records,
        status.zones.iter().map(|zone| zone.records).sum::<u64>() - big.records,
        begun.elapsed().as_millis(),
        before.resident,
        Memory::now().unwrap().resident,
        Memory::now().unwrap().peak,
    );

    let control = Control::default();
    control.offer(1);
    control.reload_ended(1);
    let udp: Vec<Tally> = cpus.iter().map(|cpu| Tally::new(format!("udp on CPU {cpu}"))).collect();
    let [persistent, fresh] = ["pipelined tcp", "tcp by new connections"].map(Tally::new);
    let tallies: Vec<&Tally> = udp.iter().chain([&persistent, &fresh]).collect();
    let server = handle.listen()[0];
    std::thread::scope(|scope| {
        let control = &control;
        // Whatever ends this scope ends the clients.
        let _stop = StopOnDrop(control);
        let mut first_number = 0;
        for (tally, &cpu) in udp.iter().zip(&cpus) {
            let client = UdpClient::new(server, cpus.len(), first_number, (control, tally, world)).unwrap();
            first_number += 1 << 40;
            scope.spawn(move || client.run(cpu));
        }
        let (persistent, fresh) = (&persistent, &fresh);
        scope.spawn(move || pipeline(server, first_number, (control, persistent, world)));
        scope.spawn(move || ask_with_new_connections(server, first_number << 1, (control, fresh, world)));
        calibrate(&tallies);
        Memory::forget_peak();
        for number in 1..=RELOADS {
            reload(number, &handle, world, control, &tallies);
        }
    });

    conclude(&handle, &control, &tallies, udp_drops(server).unwrap());
}

struct StopOnDrop<'c>(&'c Control);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Finds what is answered when everybody asks as fast as answers come, and sets each client's share of it.
fn calibrate(tallies: &[&Tally]) {
    wait_for_answers(tallies, |_| true);
    let counts = || tallies.iter().map(|tally| tally.answers.load(SeqCst)).collect::<Vec<_>>();
    let (begun, before) = (Instant::now(), counts());
    std::thread::sleep(CALIBRATION);
    let (seconds, after) = (begun.elapsed().as_secs_f64(), counts());
    for ((tally, before), after) in tallies.iter().zip(before).zip(after) {
        let saturation = (after - before) as f64 / seconds;
        let rate = (saturation * SHARE_PERCENT as f64 / 100.0) as u64;
        println!("saturation: {saturation:.0} queries/s of {}, asks {rate} from now on", tally.name);
        tally.rate.store(rate.max(1), SeqCst);
    }
}

/// Replaces both files, reloads, and lets everybody see the outcome.
fn reload(number: u16, handle: &Handle, world: &World, control: &Control, tallies: &[&Tally]) {
    let generation: Generation = number + 1;
    world.write(generation).unwrap();
    control.offer(generation);
    control.reload_begins(number.into());
    let answered = |tallies: &[&Tally]| tallies.iter().map(|tally| tally.answers.load(SeqCst)).sum::<u64>();
    let (begun, before) = (Instant::now(), answered(tallies));
    let report = handle.reload().unwrap();
    let (took, during) = (begun.elapsed(), answered(tallies) - before);
    control.reload_ended(generation);
    let serials: Vec<_> = report.loaded.iter().map(|zone| zone.serial).collect();
    assert_eq!(serials, [u32::from(generation); 2], "{report}");
    wait_for_answers(tallies, |tally| tally.seen.load(SeqCst) == generation);
    let status = handle.status(&StatusFilter::default());
    let load_ms: Vec<_> = status.zones.iter().map(|zone| (zone.name.as_str(), zone.load_ms)).collect();
    println!(
        "reload {number}: {} ms, of them scan, check and compile {load_ms:?}; {:.0} answers/s meanwhile; \
         longest gap {:.1} ms on UDP, {:.1} ms on pipelined TCP; {} KiB resident",
        report.took_ms,
        during as f64 / took.as_secs_f64(),
        longest(&tallies[..tallies.len() - 2], number.into()),
        longest(&tallies[tallies.len() - 2..tallies.len() - 1], number.into()),
        Memory::now().unwrap().resident,
    );
}

/// The longest gap of any of these clients in a reload, or outside of all with 0, in milliseconds.
fn longest(tallies: &[&Tally], reload: usize) -> f64 {
    let of = |tally: &&Tally| {
        tally.gaps.lock().unwrap_or_else(PoisonError::into_inner).get(reload).copied().unwrap_or_default()
    };
    tallies.iter().map(of).max().unwrap_or_default().as_secs_f64() * 1e3
}

/// Waits until each client has got more answers and fulfils a condition.
fn wait_for_answers(tallies: &[&Tally], fulfilled: impl Fn(&Tally) -> bool) {
    let begun = Instant::now();
    for tally in tallies {
        let before = tally.answers.load(SeqCst);
        while tally.answers.load(SeqCst) < before + ANSWERS_BETWEEN || !fulfilled(tally) {
            assert!(begun.elapsed() < PATIENCE, "{} gets no answers: {tally:?}", tally.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Prints the sums and judges them.
fn conclude(handle: &Handle, control: &Control, tallies: &[&Tally], server_drops: u64) {
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    let (queries, answers) = (sum(|t| t.queries.load(SeqCst)), sum(|t| t.answers.load(SeqCst)));
    let (lost, own_drops) = (sum(|t| t.lost.load(SeqCst)), sum(|t| t.own_drops.load(SeqCst)));
    for tally in tallies {
        println!(
            "{}: {} queries, {} answers, {} lost, {} held back, longest gap outside of reloads {:.1} ms",
            tally.name,
            tally.queries.load(SeqCst),
            tally.answers.load(SeqCst),
            tally.lost.load(SeqCst),
            tally.held_back.load(SeqCst),
            longest(&[tally], 0),
        );
    }
    let status = handle.status(&StatusFilter::default());
    let memory = Memory::now().unwrap();
    let (faults, first_faults) = control.faults();
    println!(
        "all: {queries} queries, {answers} answers, {lost} lost, {faults} wrong; dropped by the kernel: \
         {server_drops} queries before the responder, {own_drops} replies before the clients; by the responder: \
         {}; {RELOADS} reloads; memory {} KiB now, {} KiB at most since the first reload",
        status.drops, memory.resident, memory.peak,
    );
    assert_eq!(own_drops, 0, "the clients' own receive buffers were too small: this judges nothing");
    assert_eq!(faults, 0, "{first_faults:#?}");
    assert_eq!((lost, server_drops, status.drops), (0, 0, 0), "lost queries");
    assert_eq!(queries, answers);
    assert_eq!(status.generation, u64::from(RELOADS) + 2, "each reload swapped the zones once");
}
