//! `pharos simulate`: recorded signals through a configuration.
//!
//! Reads what sidecars recorded, one trace for each node, lets the policy of this configuration hear it, and
//! prints what it would have done. For traces of several nodes it also says whether there was a moment at
//! which none of them is known to have announced a prefix. Touches no running process.

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::print::{remark, say};
use pharos_ops::config::Need;
use pharos_sidecar::trace::{Empty, Line, Moved, Replay, Unknown, VERSION, World, older};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

/// The name of a trace in a state directory.
const TRACE: &str = "signals.jsonl";

pub(crate) fn run(args: &cli::Simulate) -> Result<(), Failure> {
    let loaded = args.files.load(Need::Sidecar)?;
    let config = map::sidecar(&loaded)?;
    let mut replays = Vec::new();
    for path in &args.traces {
        let mut replay = Replay::new(config.policy()).map_err(|error| Failure::from_error(&error))?;
        read(path, &mut replay)?;
        replays.push(replay);
    }
    let world = World::new(&replays);
    let empty = if replays.len() > 1 { world.empty() } else { Vec::new() };
    say(&if args.json { as_json(&replays, &world, &empty) } else { as_text(&replays, &world, &empty) });
    if replays.len() > 1 && world.covered().is_none() {
        return Err(Failure::failed("nothing can be said of the world".to_owned())
            .help("give traces of the same time: each is of the time that its first line says"));
    }
    match empty.len() {
        0 => Ok(()),
        times => Err(Failure::failed(format!(
            "this policy would have left the world without a prefix, {times} times{}",
            if empty.iter().all(|empty| empty.unknown.is_empty()) { "" } else { ", as far as is known" }
        ))),
    }
}

/// Reads a trace, and what was written before it.
fn read(path: &Path, replay: &mut Replay) -> Result<(), Failure> {
    let path = if path.is_dir() { path.join(TRACE) } else { path.to_owned() };
    let before = older(&path);
    let earlier = if before.exists() { read_file(&before, replay)? } else { 0 };
    match earlier + read_file(&path, replay)? {
        0 => Err(Failure::failed(format!("{} holds no trace", path.display()))),
        _ => Ok(()),
    }
}

fn read_file(path: &Path, replay: &mut Replay) -> Result<u64, Failure> {
    let unreadable = |error| {
        Failure::failed(format!("{}: {error}", path.display()))
            .help("name the file that a sidecar records into (`record:`), or its state directory")
    };
    let mut strange = 0_u64;
    let mut known = 0_u64;
    for line in BufReader::new(File::open(path).map_err(unreadable)?).split(b'\n') {
        let line = line.map_err(unreadable)?;
        match serde_json::from_slice::<Line>(&line) {
            Ok(Line::Begin(begin)) if begin.version != VERSION => {
                return Err(Failure::failed(format!(
                    "{} is of form {}, and this command reads form {VERSION}",
                    path.display(),
                    begin.version
                )));
            }
            Ok(line) => {
                replay.take(line).map_err(|error| Failure::from_error(&error))?;
                known += 1;
            }
            Err(_) if line.is_empty() => {}
            Err(_) => strange += 1,
        }
    }
    if strange > 0 {
        remark(&format!("{}: {strange} lines are none of a trace, and left out\n", path.display()));
    }
    Ok(known)
}

fn as_text(replays: &[Replay], world: &World<'_>, empty: &[Empty]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for replay in replays {
        let (first, last) = replay.span().unwrap_or_default();
        let _ = writeln!(
            out,
            "{}, {} to {}: {} changes (its own policy made {})",
            replay.node(),
            utc(first),
            utc(last),
            replay.moved().len(),
            replay.really_moved()
        );
        if replay.gaps() > 0 {
            let _ = writeln!(out, "  {} inputs are missing in the trace", replay.gaps());
        }
        for (prefix, level) in replay.levels_at_first() {
            let _ = writeln!(out, "  {}  {prefix} is {level}", utc(first));
        }
        for Moved { at, prefix, from, to, cause } in replay.moved() {
            let _ = writeln!(out, "  {}  {prefix}  {from} -> {to}: {cause}", utc(*at));
        }
        let _ = writeln!(out);
    }
    if replays.len() < 2 {
        return out;
    }
    let Some((first, last)) = world.covered() else {
        let _ = writeln!(out, "the traces have no time in common: nothing can be said of the world");
        return out;
    };
    let _ = writeln!(out, "the world of these {} nodes, {} to {}", replays.len(), utc(first), utc(last));
    for Unknown { node, from } in world.unknown() {
        let _ = writeln!(
            out,
            "  {node} is not known from {} on, where its trace ends: it counts as one that announces nothing",
            utc(from)
        );
    }
    if empty.is_empty() {
        let _ = writeln!(out, "  every prefix was announced somewhere all the time");
    }
    for Empty { prefix, from, until, because, unknown } in empty {
        let until = until.map_or_else(|| "the end".to_owned(), utc);
        let everywhere = match unknown.is_empty() {
            true => "everywhere".to_owned(),
            false => format!(
                "everywhere but perhaps at {}",
                unknown.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
            ),
        };
        let _ = writeln!(out, "  {prefix} was withdrawn {everywhere} from {} to {until}", utc(*from));
        for (node, cause) in because {
            let _ = writeln!(out, "    {node}: {cause}");
        }
    }
    out
}

fn as_json(replays: &[Replay], world: &World<'_>, empty: &[Empty]) -> String {
    let seconds = |at: Duration| at.as_secs_f64();
    let moved = |moved: &Moved| {
        json!({
            "unix_seconds": seconds(moved.at), "prefix": moved.prefix, "from": moved.from, "to": moved.to,
            "cause": moved.cause,
        })
    };
    let node = |replay: &Replay| {
        json!({
            "node": replay.node(),
            "from_unix_seconds": replay.span().map(|span| seconds(span.0)),
            "until_unix_seconds": replay.span().map(|span| seconds(span.1)),
            "missing_inputs": replay.gaps(),
            "levels_at_first": replay.levels_at_first(),
            "changes": replay.moved().iter().map(moved).collect::<Vec<_>>(),
            "changes_of_its_own_policy": replay.really_moved(),
        })
    };
    let gone = |empty: &Empty| {
        json!({
            "prefix": empty.prefix,
            "from_unix_seconds": seconds(empty.from),
            "until_unix_seconds": empty.until.map(seconds),
            "because": empty.because,
            "unknown": empty.unknown,
        })
    };
    let unknown =
        |unknown: &Unknown| json!({"node": unknown.node, "from_unix_seconds": seconds(unknown.from)});
    let all = json!({
        "nodes": replays.iter().map(node).collect::<Vec<_>>(),
        "covered_unix_seconds": world.covered().map(|(first, last)| [seconds(first), seconds(last)]),
        "unknown": world.unknown().iter().map(unknown).collect::<Vec<_>>(),
        "empty": empty.iter().map(gone).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

/// A time since 1970 as `2026-11-27 20:18:53.250` in UTC.
fn utc(at: Duration) -> String {
    let (days, second) = (at.as_secs() / 86_400, at.as_secs() % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", at.subsec_millis())
}

/// Year, month and day of a day since 1970, by the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    const IN_400_YEARS: u64 = 146_097;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970 + days / IN_400_YEARS * 400;
    let mut left = days % IN_400_YEARS;
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let texts = [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400, "2000-02-29 00:00:00.000"),
            (1_709_251_199, "2024-02-29 23:59:59.000"),
            (1_709_251_200, "2024-03-01 00:00:00.000"),
            (4_107_542_400, "2100-03-01 00:00:00.000"),
        ];
        for (seconds, text) in texts {
            assert_eq!(utc(Duration::from_secs(seconds)), text);
        }
    }
}
