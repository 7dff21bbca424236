//! How long answers take at a rate that the server does not decide: `xdp_latency` of crates/netio is called, which
//! says how, and its numbers are read.

use std::path::Path;
use std::time::Duration;

use super::error::BenchError;
use super::proc::stolen;
use super::results::LatencyFigures;
use super::room::{Cores, Room, succeed};
use super::servers::example;

/// A round has so many slices, each with percentiles of its own: what disturbs the machine for a moment then disturbs one
/// figure of many, and not the one of a thousand in all of them.
pub(super) const SLICES: u32 = 4;
/// A client that sent one query of a hundred later than this tells of itself.
const LATE_US: f64 = 1e3;
/// So often a slice may be tried.
const ATTEMPTS: u32 = 6;

/// Asks at a rate for a while; again, if the client itself was late or the host took a core away. Of attempts that all were
/// disturbed, the one that was least.
pub(super) fn undisturbed(
    rate: u32,
    file: &Path,
    room: &Room,
    place: (Cores, Duration),
) -> Result<LatencyFigures, BenchError> {
    let mut best = run(rate, file, room, place)?;
    for _ in 1..ATTEMPTS {
        if disturbance_us(&best) <= LATE_US {
            break;
        }
        let again = run(rate, file, room, place)?;
        if disturbance_us(&again) < disturbance_us(&best) {
            best = again;
        }
    }
    Ok(best)
}

/// What latencies may hold that is not the server's.
fn disturbance_us(figures: &LatencyFigures) -> f64 {
    figures.client_late_p99_us + 1e3 * figures.stolen_ms
}

fn run(
    rate: u32,
    file: &Path,
    room: &Room,
    (cores, time): (Cores, Duration),
) -> Result<LatencyFigures, BenchError> {
    // kxdpgun, when it is ended in the middle of TCP, leaves its program on the interface.
    room.client.sh(&format!("ip link set dev {} xdp off", room.client_interface))?;
    let mut command = room.client.command_on(cores.load, &example("xdp_latency"));
    command.args([&room.client_interface, &room.client_address, &room.address, &room.server_mac]);
    command.args([rate.to_string(), time.as_secs().to_string()]).arg(file);
    let taken = || stolen(cores.load) + stolen(cores.server);
    let before = taken();
    let said = succeed(&mut command)?;
    let stolen_ms = taken().saturating_sub(before).as_secs_f64() * 1e3;
    let words: Vec<&str> = said.split_whitespace().collect();
    let [asked, answered, p50, p99, p999, max, late] = words[..] else {
        return Err(BenchError::Command { command: "xdp_latency".into(), said });
    };
    let number = |word: &str| word.parse::<u64>().ok();
    let microseconds = |word: &str| number(word).map(|nanoseconds| nanoseconds as f64 / 1e3);
    Ok(LatencyFigures {
        asked: number(asked).unwrap_or_default(),
        answered: number(answered).unwrap_or_default(),
        p50_us: microseconds(p50),
        p99_us: microseconds(p99),
        p999_us: microseconds(p999),
        max_us: microseconds(max).unwrap_or_default(),
        client_late_p99_us: microseconds(late).unwrap_or_default(),
        stolen_ms,
    })
}
