//! How long answers take at a rate that the server does not decide: `xdp_latency` of crates/netio is called, which
//! says how, and its numbers are read.

use std::path::Path;
use std::time::Duration;

use super::error::BenchError;
use super::results::LatencyFigures;
use super::room::{Cores, Room, succeed};
use super::servers::example;

/// A client that sent one query of a hundred later than this tells of itself.
const LATE_US: f64 = 1e3;
/// So often it may try.
const ATTEMPTS: u32 = 4;

/// Asks at a rate for a while; again, if the client itself was late. Of attempts that all were, the one that was least.
pub(super) fn on_time(
    rate: u32,
    file: &Path,
    room: &Room,
    place: (Cores, Duration),
) -> Result<LatencyFigures, BenchError> {
    let mut best = run(rate, file, room, place)?;
    for _ in 1..ATTEMPTS {
        if best.client_late_p99_us <= LATE_US {
            break;
        }
        let again = run(rate, file, room, place)?;
        if again.client_late_p99_us < best.client_late_p99_us {
            best = again;
        }
    }
    Ok(best)
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
    let said = succeed(&mut command)?;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [asked, answered, p50, p99, p999, max, late] = numbers[..] else {
        return Err(BenchError::Command { command: "xdp_latency".into(), said });
    };
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    Ok(LatencyFigures {
        asked,
        answered,
        p50_us: microseconds(p50),
        p99_us: microseconds(p99),
        p999_us: microseconds(p999),
        max_us: microseconds(max),
        client_late_p99_us: microseconds(late),
    })
}
