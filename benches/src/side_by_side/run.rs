//! One run: set by set, round by round, server by server.

use std::time::{Duration, Instant};

use pharos_netio::affinity::{CpuId, pin_current_thread};

use super::cases::{CASES, Case, Tool, starting};
use super::data::{Data, FIRST_SERIAL, Issue, Set, Sizes};
use super::error::BenchError;
use super::results::{Begin, LatencyFigures, LoadFigures, Record, Results};
use super::room::Cores;
use super::running::{Files, Running, Site};
use super::servers::{Bounds, Server};
use super::{Run, Sets, latency, load, machine, proc};

/// Measures what the options say.
pub(super) fn run(options: &Run) -> Result<(), BenchError> {
    let plan = Plan::new(options)?;
    let begin = if options.go_on { Begin::GoOn } else { Begin::Anew };
    let mut results = Results::open(&options.results, begin)?;
    let (rounds, seconds) = (plan.rounds, plan.time.as_secs());
    results.add(&Record::Run(machine::describe(&plan.servers, (rounds, seconds, plan.sizes.name))))?;
    let began = Instant::now();
    for set in Set::ALL {
        plan.measure(set, &options.sets, &mut results)?;
    }
    println!("{} minutes; the results are in {}", began.elapsed().as_secs() / 60, options.results.display());
    Ok(())
}

/// What was asked for, checked.
struct Plan {
    rows: Vec<String>,
    servers: Vec<Server>,
    rounds: u32,
    time: Duration,
    sizes: Sizes,
    cores: Cores,
}

impl Plan {
    fn new(options: &Run) -> Result<Self, BenchError> {
        for name in &options.servers {
            if !Server::ALL.iter().any(|server| server.label() == name) {
                let all: Vec<&str> = Server::ALL.iter().map(|server| server.label()).collect();
                let all = all.join(", ");
                return Err(BenchError::Usage(format!("there is no server `{name}`; there are: {all}")));
            }
        }
        let chosen = |server: &Server| {
            options.servers.is_empty() || options.servers.iter().any(|name| name == server.label())
        };
        let (servers, absent): (Vec<Server>, Vec<Server>) = Server::ALL
            .into_iter()
            .filter(chosen)
            .partition(|server| machine::is_installed(&server.program()));
        for server in absent {
            println!("LEFT OUT: {}: there is no {}", server.label(), server.program().display());
        }
        let cores = Cores { server: options.server_core, load: options.load_core };
        // What this process does while others are measured shall not be on the servers' core.
        pin_current_thread(CpuId::new(cores.load)).map_err(|error| BenchError::Usage(error.to_string()))?;
        Ok(Self {
            rows: options.rows.clone(),
            servers,
            rounds: if options.quick { 1 } else { options.rounds.max(1) },
            time: Duration::from_secs(if options.quick { 1 } else { options.seconds.max(1) }),
            sizes: options.sets.sizes(),
            cores,
        })
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|beginning| row.starts_with(beginning.as_str()))
    }

    fn measure(&self, set: Set, sets: &Sets, results: &mut Results) -> Result<(), BenchError> {
        let able = |server: &&Server| !set.is_signed() || server.knows_signed();
        let cases: Vec<&Case> =
            CASES.iter().filter(|case| case.set == set && self.wants(case.name)).collect();
        let starts = self.wants(&format!("start-{}", set.label()));
        let reloads = set == Set::Big && self.wants("reload");
        let starting = if starts || reloads { starting(set) } else { &[] };
        let wanted = |server: &&Server| {
            starting.contains(server) || cases.iter().any(|case| case.servers.contains(server))
        };
        let servers: Vec<Server> = self.servers.iter().filter(wanted).filter(able).copied().collect();
        if servers.is_empty() {
            return Ok(());
        }
        let (data, work) = (sets.open()?, sets.directory()?.join("run"));
        data.make(set)?;
        let mut up = Vec::new();
        for (number, server) in (1..).zip(servers) {
            let site = Site {
                run: work.join(format!("{}-{}", server.label(), set.label())),
                zones: data.zones(set),
                names: data.names(set),
                files: if set == Set::Big { Files::Own } else { Files::Shared },
                bounds: Bounds::SHIPPED,
            };
            up.push(Running::new(server, number, &site, self.cores)?);
        }
        if starts {
            // Images are there from the second start on.
            for running in up.iter_mut().filter(|running| running.server == Server::PharosImage) {
                match running.start() {
                    Ok(_) => running.stop(),
                    Err(error) => println!("LEFT OUT: {error}"),
                }
            }
            for round in 0..self.rounds {
                let measured = up.iter_mut().filter(|running| starting.contains(&running.server));
                for running in measured {
                    start(running, set, round, results)?;
                    running.stop();
                }
            }
        }
        up.retain_mut(|running| match running.start() {
            Ok(_) => true,
            Err(error) => {
                println!("LEFT OUT: {error}");
                false
            }
        });
        for round in 0..self.rounds {
            for case in &cases {
                for running in up.iter_mut().filter(|running| case.servers.contains(&running.server)) {
                    self.load(case, running, &data, round, results)?;
                }
            }
        }
        if reloads {
            for round in 0..self.rounds {
                for running in up.iter_mut().filter(|running| starting.contains(&running.server)) {
                    reload(running, &data, round, results)?;
                }
            }
        }
        Ok(())
    }

    fn load(
        &self,
        case: &Case,
        running: &mut Running,
        data: &Data,
        round: u32,
        results: &mut Results,
    ) -> Result<(), BenchError> {
        let name = running.server.label();
        if !running.lives() {
            println!("{round} {:16} {name:11} is no more", case.name);
            return Ok(());
        }
        if let Tool::Latency(rate) = case.tool {
            let file = data.queries(case.queries);
            for _ in 0..latency::SLICES {
                let figures = latency::undisturbed(rate, &file, &running.room, (self.cores, self.time))?;
                running.settle();
                say_latency(round, case.name, name, &figures);
                let (case, server) = (case.name.into(), name.into());
                results.add(&Record::Latency { case, server, round, figures })?;
            }
            return Ok(());
        }
        let processes = running.processes();
        let read = || {
            let (process, receive) = (proc::cpu(&processes), proc::cpu(&running.room.receivers));
            (proc::everybody(self.cores.server), process, receive)
        };
        let before = read();
        let (cores, time) = (self.cores, self.time);
        let answered = match load::run(case.tool, &data.queries(case.queries), &running.room, (cores, time)) {
            Ok(answered) => answered,
            Err(error) => {
                println!("{round} {:16} {name:11} {error}", case.name);
                return Ok(());
            }
        };
        let after = read();
        running.settle();
        let (process, receive) = (after.1 - before.1, (after.2 - before.2).total());
        let (answers, seconds) = (answered.answered.max(1) as f64, self.time.as_secs_f64());
        let each = |time: Duration| time.as_secs_f64() * 1e9 / answers;
        let ours = process.total() + receive;
        let measured = [&processes[..], &running.room.receivers].concat();
        let (other, passed) = after.0.others_since(&before.0, &measured);
        let figures = LoadFigures {
            per_second: answered.answered as f64 / seconds,
            process_ns: each(process.total()),
            receive_ns: each(receive),
            user_percent: process.user_percent(),
            core_percent: 100.0 * ours.as_secs_f64() / seconds,
            other_percent: 100.0 * other.as_secs_f64() / passed.as_secs_f64(),
            answered,
        };
        println!(
            "{round} {:16} {name:11} {:8.0} answers/s of {:8.0}, {:6.0} ns each (process {:.0}), core {:.0} %, other {:.0} %",
            case.name,
            figures.per_second,
            figures.answered.asked as f64 / seconds,
            figures.cpu_ns(),
            figures.process_ns,
            figures.core_percent,
            figures.other_percent
        );
        results.add(&Record::Load { case: case.name.into(), server: name.into(), round, figures })
    }
}

fn say_latency(round: u32, case: &str, server: &str, figures: &LatencyFigures) {
    let us = |time: Option<f64>| time.map_or_else(|| "never".into(), |time| format!("{time:.0}"));
    println!(
        "{round} {case:16} {server:11} p50 {}, p99 {}, p99.9 {}, max {:.0} us; lost {}, client late {:.0} us, stolen {:.0} ms",
        us(figures.p50_us),
        us(figures.p99_us),
        us(figures.p999_us),
        figures.max_us,
        figures.asked - figures.answered,
        figures.client_late_p99_us,
        figures.stolen_ms
    );
}

fn start(running: &mut Running, set: Set, round: u32, results: &mut Results) -> Result<(), BenchError> {
    let (set, server) = (set.label(), running.server.label());
    match running.start() {
        Ok(figures) => {
            println!(
                "{round} start-{set:10} {server:11} {:.3} s, {:.0} MiB (resident {:.0})",
                figures.seconds, figures.proportional_mib, figures.resident_mib
            );
            results.add(&Record::Start { set: set.into(), server: server.into(), round, figures })
        }
        Err(error) => {
            println!("{round} start-{set:10} {server:11} {error}");
            Ok(())
        }
    }
}

fn reload(running: &mut Running, data: &Data, round: u32, results: &mut Results) -> Result<(), BenchError> {
    let server = running.server.label();
    let issues = [Issue::Changed, Issue::First];
    let Some(figures) = running.reload(data, FIRST_SERIAL + 1 + 2 * round, issues)? else {
        println!("{round} reload           {server:11} has not shown the new serial");
        return Ok(());
    };
    println!(
        "{round} reload           {server:11} {:.3} s, peak {:.0} MiB, longest gap {:.1} ms",
        figures.seconds, figures.peak_mib, figures.longest_gap_ms
    );
    results.add(&Record::Reload { server: server.into(), round, figures })
}
