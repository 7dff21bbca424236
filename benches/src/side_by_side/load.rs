//! The load tools, dnsperf and kxdpgun: called, and their words read. Latencies have a client of our own,
//! [`super::latency`].

use std::path::Path;
use std::time::Duration;

use super::cases::Tool;
use super::error::{BenchError, cannot};
use super::results::Answered;
use super::room::{Cores, Room};

/// Sends queries to the server of a room and counts the answers.
pub(super) fn run(
    tool: Tool,
    queries: &Path,
    room: &Room,
    (cores, time): (Cores, Duration),
) -> Result<Answered, BenchError> {
    let (program, mut arguments) = match tool {
        Tool::Dnsperf(transport, dnssec) => ("dnsperf", dnsperf(transport, dnssec)),
        Tool::Kxdpgun(rate) => ("kxdpgun", vec!["-Q".into(), rate.to_string(), "-b".into(), "32".into()]),
        Tool::KxdpgunTcp(rate) => ("kxdpgun", vec!["-T".into(), "-Q".into(), rate.to_string()]),
        Tool::Latency(_) => {
            return Err(BenchError::Usage("latencies are not measured by these tools".into()));
        }
    };
    let (file, seconds) = (queries.to_string_lossy().into_owned(), time.as_secs().to_string());
    let mut all = match program {
        "dnsperf" => vec!["-s", &room.address, "-d", &file, "-l", &seconds],
        _ => vec!["-i", &file, "-t", &seconds, "-I", &room.client_interface],
    };
    let core = cores.load.to_string();
    if program == "kxdpgun" {
        all.extend(["-F", &core]);
        arguments.push(room.address.clone());
    }
    let mut command = room.client.command_on(cores.load, Path::new(program));
    let output = command.args(all).args(arguments).output().map_err(cannot(format!("run {program}")))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let answered = if program == "dnsperf" { read_dnsperf(&said) } else { read_kxdpgun(&said) };
    answered.filter(|answered| answered.asked > 0).ok_or_else(|| BenchError::Command {
        command: program.to_owned(),
        said: said.chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect(),
    })
}

/// How dnsperf asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transport {
    /// From 32 sockets, 256 queries under way at once.
    Udp,
    /// The same from 20 connections.
    Tcp,
}

/// Whether the queries have the DO bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dnssec {
    /// They have not.
    Plain,
    /// They have.
    Ok,
}

fn dnsperf(transport: Transport, dnssec: Dnssec) -> Vec<String> {
    // A lost query holds its place among those under way for the time of -t; the buffers of -b lose none.
    let mut arguments = vec!["-q", "256", "-t", "2", "-b", "4096"];
    arguments.extend(match transport {
        Transport::Udp => &["-c", "32"][..],
        Transport::Tcp => &["-m", "tcp", "-c", "20"],
    });
    if dnssec == Dnssec::Ok {
        arguments.push("-D");
    }
    arguments.into_iter().map(str::to_owned).collect()
}

/// The number behind a word that stands at the beginning of a line, blanks aside.
fn number(said: &str, word: &str) -> Option<u64> {
    let rest = said.lines().find_map(|line| line.trim_start().strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read_dnsperf(said: &str) -> Option<Answered> {
    let (asked, answered) = (number(said, "Queries sent:")?, number(said, "Queries completed:")?);
    let codes = said.lines().find_map(|line| line.trim_start().strip_prefix("Response codes:"));
    // "NOERROR 123 (90.00%), NXDOMAIN 12 (10.00%)"
    let rcodes = codes.unwrap_or_default().split(',').filter_map(|code| {
        let mut words = code.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    Some(Answered { asked, answered, rcodes: rcodes.collect() })
}

fn read_kxdpgun(said: &str) -> Option<Answered> {
    let asked = number(said, "total queries:").or_else(|| number(said, "total SYNs:"))?;
    let answered = number(said, "total replies:")?;
    // "responded NOERROR:   123"
    let rcodes = said.lines().filter_map(|line| {
        let (code, count) = line.trim_start().strip_prefix("responded ")?.split_once(':')?;
        Some((code.to_owned(), count.trim().parse().ok()?))
    });
    Some(Answered { asked, answered, rcodes: rcodes.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_dnsperf_are_read() {
        let said = "Statistics:\n\n  Queries sent:         120\n  Queries completed:    119 (99.17%)\n  Queries lost: \
                    1 (0.83%)\n\n  Response codes:       NOERROR 100 (84.03%), NXDOMAIN 19 (15.97%)\n";
        let answered = read_dnsperf(said).unwrap();
        assert_eq!((answered.asked, answered.answered), (120, 119));
        assert_eq!(answered.rcodes["NXDOMAIN"], 19);
    }

    #[test]
    fn the_words_of_kxdpgun_are_read_for_udp_and_tcp() {
        let udp = "total queries:     2000 (1000 pps) (100.000000%)\ntotal replies:     1999 (999 pps) (99%)\n\
                   responded NOERROR:   1999\n";
        let answered = read_kxdpgun(udp).unwrap();
        assert_eq!((answered.asked, answered.answered, answered.rcodes["NOERROR"]), (2000, 1999, 1999));
        let tcp = "total SYNs:        200 (100 pps)\ntotal established: 199 (99 pps) (99%)\ntotal replies:     150 (75 pps)\n";
        let answered = read_kxdpgun(tcp).unwrap();
        assert_eq!((answered.asked, answered.answered), (200, 150));
    }
}
