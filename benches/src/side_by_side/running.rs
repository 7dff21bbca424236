//! A server in its room: started, watched, asked, reloaded, stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::data::{Data, Dice, Issue};
use super::error::{BenchError, cannot};
use super::probe::Probe;
use super::proc::{self, Memory};
use super::results::{ReloadFigures, StartFigures};
use super::room::{Cores, Room};
use super::servers::{Bounds, Launch, Part, Place, Reload, Server};

/// Until then every server has answered that ever will, and every reload has ended.
const GUARD: Duration = Duration::from_secs(120);
/// A process that was asked to end is killed after this.
const TIME_TO_END: Duration = Duration::from_secs(20);
/// How long a probe waits while a server starts; then it asks anew.
const PROBE: Duration = Duration::from_millis(20);
/// So many zones besides the last one must be answered for before a server of many counts as started.
const SAMPLE: u32 = 50;
/// Between two probes of a server that is being watched, and between two looks at its memory.
const PACE: Duration = Duration::from_millis(1);
const MEMORY_PACE: Duration = Duration::from_millis(10);
/// A pause may come behind the switch, when the old data are taken down.
const AFTER_SWITCH: Duration = Duration::from_secs(1);

/// What a server is to answer for.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// A directory of its own; what is there is removed.
    pub(super) run: PathBuf,
    /// The directory of NAME.zone files.
    pub(super) zones: PathBuf,
    /// Their names.
    pub(super) names: Vec<String>,
    /// Whose files they are.
    pub(super) files: Files,
    /// What ours is allowed beyond its defaults.
    pub(super) bounds: Bounds,
}

/// Whose the zone files are that a server reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Files {
    /// All servers read the same ones.
    Shared,
    /// A copy, since reloads replace it; of the first zone alone.
    Own,
}

/// A server and its room. It can be started and stopped many times.
#[derive(Debug)]
pub(super) struct Running {
    /// Which one.
    pub(super) server: Server,
    /// Where it is.
    pub(super) room: Room,
    cores: Cores,
    launch: Launch,
    names: Vec<String>,
    /// The zone file that reloads replace: a copy of this server's own.
    own_zone: Option<PathBuf>,
    log: PathBuf,
    process: Option<Child>,
    probe: Probe,
}

impl Running {
    /// Builds room `number`, writes the configuration. The server is not started.
    pub(super) fn new(server: Server, number: u8, site: &Site, cores: Cores) -> Result<Self, BenchError> {
        let Site { run, zones, names, bounds, .. } = site;
        let _ = fs::remove_dir_all(run);
        fs::create_dir_all(run).map_err(cannot(format!("make {}", run.display())))?;
        let room = Room::new(number, cores)?;
        let (mut zones, mut own_zone) = (zones.clone(), None);
        if site.files == Files::Own && server.part() != Part::Floor {
            let (own, name) = (run.join("zones"), format!("{}.zone", names[0]));
            let file = own.join(&name);
            fs::create_dir_all(&own)
                .and_then(|()| fs::copy(zones.join(name), &file))
                .map_err(cannot("copy a zone"))?;
            (zones, own_zone) = (own, Some(file));
        }
        let place = Place {
            run,
            address: &room.address,
            interface: &room.server_interface,
            zones: &zones,
            names,
            bounds: *bounds,
        };
        let launch = server.set_up(&place)?;
        let (probe, log) = (Probe::new(&room)?, run.join("log"));
        let names = names.clone();
        Ok(Self { server, room, cores, launch, names, own_zone, log, process: None, probe })
    }

    /// Starts it; gives how long it took until it answered for all zones, and its memory then.
    pub(super) fn start(&mut self) -> Result<StartFigures, BenchError> {
        let failed = || cannot(format!("start {}", self.server.label()));
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed())?;
        let (program, arguments) = self.launch.start.split_first().expect("a launch names its program");
        let mut command = self.room.server.command_on(self.cores.server, Path::new(program));
        command.args(arguments).stdout(log.try_clone().map_err(failed())?).stderr(log);
        let mut dice = Dice(1);
        let mut asked: Vec<&String> = self.names.last().into_iter().collect();
        if self.names.len() > 1 {
            let count = self.names.len() as u32;
            asked.extend((0..SAMPLE).map(|_| &self.names[dice.below(count) as usize]));
        }
        let begin = Instant::now();
        let mut process = command.spawn().map_err(failed())?;
        for zone in asked {
            while self.probe.serial(zone, PROBE).is_none() {
                let ended = process.try_wait().map_err(failed())?.is_some();
                if ended || begin.elapsed() > GUARD {
                    self.process = Some(process);
                    self.stop();
                    return Err(BenchError::Silent {
                        server: self.server.label().into(),
                        log: self.log.clone(),
                    });
                }
                std::thread::sleep(PACE);
            }
        }
        let took = begin.elapsed();
        self.process = Some(process);
        // What it still does behind its first answers, in the background, belongs to its memory and time.
        self.settle();
        let processes = self.processes();
        let memory = proc::memory(&processes);
        Ok(StartFigures {
            seconds: took.as_secs_f64(),
            cpu_seconds: proc::cpu(&processes).total().as_secs_f64(),
            resident_mib: memory.resident,
            proportional_mib: memory.proportional,
        })
    }

    /// The server and its children.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.process.as_ref().map(|process| proc::tree(process.id())).unwrap_or_default()
    }

    /// Whether it is up.
    pub(super) fn lives(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Waits until it does nothing any more, so that what is left of one measurement is not in the next.
    pub(super) fn settle(&self) {
        const LOOK: Duration = Duration::from_millis(100);
        let processes = self.processes();
        let mut before = proc::cpu(&processes);
        for _ in 0..100 {
            std::thread::sleep(LOOK);
            let now = proc::cpu(&processes);
            if (now - before).total() < LOOK / 10 {
                return;
            }
            before = now;
        }
    }

    /// Has the zone replaced and read twice: once while answers are watched, then, with serial and content of the next,
    /// while memory is. Who does both at once waits for itself, and takes that for a pause of the server.
    pub(super) fn reload(
        &mut self,
        data: &Data,
        serial: u32,
        [first, second]: [Issue; 2],
    ) -> Result<Option<ReloadFigures>, BenchError> {
        let processes = self.processes();
        let used = proc::cpu(&processes);
        let Some((took, gap)) = self.reload_once(data, serial, first)? else { return Ok(None) };
        let cpu = (proc::cpu(&self.processes()) - used).total();
        let (root, finished) =
            (self.process.as_ref().map(Child::id).unwrap_or_default(), AtomicBool::new(false));
        let peak = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| peak_of(root, &finished));
            let reloaded = self.reload_once(data, serial + 1, second);
            finished.store(true, Ordering::Relaxed);
            let peak = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            reloaded.map(|reloaded| reloaded.map(|_| peak))
        })?;
        Ok(peak.map(|peak| ReloadFigures {
            seconds: took.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            longest_gap_ms: gap.as_secs_f64() * 1e3,
            peak_mib: peak.proportional,
        }))
    }

    /// Replaces the zone, tells the server, and asks for the serial all the time until it is the new one and a while
    /// longer: how long it took, and the longest gap between answers.
    fn reload_once(
        &mut self,
        data: &Data,
        serial: u32,
        issue: Issue,
    ) -> Result<Option<(Duration, Duration)>, BenchError> {
        let Some(zone) = self.own_zone.clone() else { return Ok(None) };
        let new = zone.with_extension("new");
        data.write_big(serial, issue, &new)
            .and_then(|()| fs::rename(&new, &zone))
            .map_err(cannot(format!("replace {}", zone.display())))?;
        let begin = Instant::now();
        let mut told = self.tell_to_reload()?;
        let watched = watch(&mut self.probe, &self.names[0], serial, begin);
        let _ = told.as_mut().map(Child::wait);
        Ok(watched)
    }

    fn tell_to_reload(&self) -> Result<Option<Child>, BenchError> {
        let failed = || cannot(format!("tell {} to reload", self.server.label()));
        match &self.launch.reload {
            Reload::Never => Ok(None),
            Reload::Signal => {
                self.signal(Signal::HUP);
                Ok(None)
            }
            Reload::Command(words) => {
                let (program, arguments) = words.split_first().expect("a command names its program");
                let mut command: Command = self.room.server.command_on(self.cores.load, Path::new(program));
                command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().map(Some).map_err(failed())
            }
        }
    }

    /// Ends it, and waits until it is gone.
    pub(super) fn stop(&mut self) {
        let processes = self.processes();
        self.signal(Signal::TERM);
        let Some(mut process) = self.process.take() else { return };
        let begin = Instant::now();
        while matches!(process.try_wait(), Ok(None)) && begin.elapsed() < TIME_TO_END {
            std::thread::sleep(PACE);
        }
        // An error means that it has ended, as it should have.
        let _ = process.kill();
        let _ = process.wait();
        for child in processes.iter().skip(1) {
            if let Some(pid) = i32::try_from(*child).ok().and_then(Pid::from_raw)
                && proc::tree(std::process::id()).contains(child)
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().and_then(|process| Pid::from_raw(i32::try_from(process.id()).ok()?));
        // An error means that it has ended already.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks until the new serial comes and for a while longer; gives the time to the switch and the longest time from
/// one answer to the next.
fn watch(probe: &mut Probe, name: &str, serial: u32, begin: Instant) -> Option<(Duration, Duration)> {
    let (mut last, mut gap, mut switched) = (begin, Duration::ZERO, None);
    loop {
        if let Some(seen) = probe.serial(name, Duration::from_secs(2)) {
            gap = gap.max(last.elapsed());
            last = Instant::now();
            if seen == serial && switched.is_none() {
                switched = Some(begin.elapsed());
            }
        }
        match switched {
            Some(at) if begin.elapsed() > at + AFTER_SWITCH => return Some((at, gap)),
            None if begin.elapsed() > GUARD => return None,
            _ => std::thread::sleep(PACE),
        }
    }
}

/// The most memory that the processes have until it is over.
fn peak_of(root: u32, finished: &AtomicBool) -> Memory {
    let mut peak = Memory::default();
    while !finished.load(Ordering::Relaxed) {
        let now = proc::memory(&proc::tree(root));
        if now.proportional > peak.proportional {
            peak = now;
        }
        std::thread::sleep(MEMORY_PACE);
    }
    peak
}
