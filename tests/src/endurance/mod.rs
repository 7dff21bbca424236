//! Full load for as long as one likes, and no route moves: a flood above what the node can answer, a zone of a million
//! records that is pushed and loaded again and again, and other programs that take every core.
//!
//! The lab is that of the faults, on the files of `deploy/` as they are shipped, hold-down included; BFD is on. What weighs
//! on the node changes in turns (`Burden`); clients ask at their steady pace all the while ([`Traffic`]) and never
//! repeat a query. Nothing is broken, so every withdrawal, and every session or route that is lost, is a false reaction
//! and fails the run. Levels other than withdrawn, alarms and lost queries are what overload may cost: they are counted.
//!
//! Routers are machines of their own in any network. Here they share the cores of the node that is starved, so they run
//! before ordinary processes; else it would be their BFD that is late.
//!
//! A machine that stood still for a second has measured nothing: what happens then, and until everything has had time to
//! find together again, is told apart and fails nothing.
//!
//! [`run`] plays, [`report`] keeps and prints. `tests/tests/endurance.rs` calls both.
//!
//! [`Traffic`]: crate::lab::Traffic

mod big;
mod counters;
pub mod report;

use crate::faults::{Begin, FaultLab, Who, difference, plan_with_bfd};
use crate::lab::{
    ANYCAST4, ANYCAST6, Daemon, Namespace, Node, NodeEvent, PREFIX4, PREFIX6, Pop, Sender, Silence,
    Standstills, Topology, Watcher, flood, wait_until,
};
use big::BigZone;
use counters::Counters;
use report::{Reaction, Record, Stretch};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at the counters.
const STEP: Duration = Duration::from_secs(5);
/// The longest turn of one burden.
const LONGEST_TURN: Duration = Duration::from_secs(60);
/// From the beginning of one push to that of the next, unless the one before takes longer.
const PUSH: Duration = Duration::from_secs(20);
/// Queries that are younger may still be answered.
const ON_THE_WAY: Duration = Duration::from_secs(3);
/// After a standstill, so long nothing counts: a hold timer, a new session, three probes and the hold-down, twice.
const RECOVERY: Duration = Duration::from_secs(60);

/// What weighs on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Burden {
    Flood,
    Reloads,
    Spinners,
}

impl Burden {
    const ALL: [Self; 3] = [Self::Flood, Self::Reloads, Self::Spinners];

    const fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Reloads => "flood, reloads",
            Self::Spinners => "flood, reloads, busy processes on all cores",
        }
    }

    /// The burden at so much time into the run.
    fn at(passed: Duration, turn: Duration) -> Self {
        let number = passed.as_millis() / turn.as_millis().max(1);
        match number % 3 {
            0 => Self::Flood,
            1 => Self::Reloads,
            _ => Self::Spinners,
        }
    }
}

/// What the thread that pushes, and the one that looks, tell each other.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The burden's place in [`Burden::ALL`].
    burden: AtomicU8,
    pushes: Mutex<Vec<Push>>,
}

/// One push of the big zone, and its reload.
#[derive(Debug, Clone)]
struct Push {
    during: Burden,
    took: Duration,
    failure: Option<String>,
}

impl Shared {
    fn burden(&self) -> Burden {
        let place = usize::from(self.burden.load(Ordering::Relaxed));
        Burden::ALL.get(place).copied().unwrap_or(Burden::Flood)
    }

    fn set(&self, burden: Burden) {
        let place = Burden::ALL.iter().position(|one| *one == burden).unwrap_or_default();
        self.burden.store(u8::try_from(place).unwrap_or_default(), Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Plays for `length`, and hands what is known so far to `so_far` after each turn.
pub fn run(length: Duration, machine: String, mut so_far: impl FnMut(&Record)) -> Record {
    let mut plan = plan_with_bfd();
    // As it is shipped; without this the lab shortens it.
    plan.pharos.push(("hold-down: 10s", "hold-down: 10s"));
    let mut lab = FaultLab::build(plan, Begin::Prepared(|lab| BigZone::first(lab.node(Who::A).zones())));
    wait_until("BFD is up at every node", || lab.nodes().iter().all(bfd_is_up));
    let routers_first = put_routers_first(&mut lab.topology);
    let zone = BigZone::prepare(&lab.topology.workspace, lab_node(&lab).zones());
    let turn = (length / 3).min(LONGEST_TURN);
    let shared = Shared::default();
    lab.strike();
    let standstill = Standstills::watch(Watcher::BeforeOthers);
    let mut watch = Watch::new(&lab, machine, turn);
    if let Err(why) = routers_first {
        watch.record.remarks.push(format!("the routers do not run before ordinary processes: {why}"));
    }
    std::thread::scope(|scope| {
        let (node, lab, pushing) = (lab_node(&lab), &lab, &shared);
        scope.spawn(move || push_again_and_again(node, zone, pushing));
        // Whatever ends this scope ends the pushes.
        let _stop = StopOnDrop(&shared);
        let floods = begin_floods(&lab.topology);
        watch.play(lab, (&shared, &standstill), length, &mut so_far);
        drop(floods);
    });
    watch.gather(&lab, &shared, &standstill);
    watch.record.ended = ended(&mut lab);
    if !watch.record.failures().is_empty() {
        // The logs say why.
        lab.topology.workspace.keep();
    }
    so_far(&watch.record);
    watch.record
}

struct StopOnDrop<'s>(&'s Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// The node that bears it all.
fn lab_node(lab: &FaultLab) -> &Node {
    lab.nodes().first().expect("ams has a node")
}

fn bfd_is_up(node: &Node) -> bool {
    let status = node.sidecar_status().unwrap_or_default();
    let neighbours = status.get("neighbours").and_then(serde_json::Value::as_array);
    let up = |neighbour: &serde_json::Value| {
        let state = neighbour.pointer("/bfd/state").and_then(serde_json::Value::as_str);
        state.is_some_and(|state| state.eq_ignore_ascii_case("up"))
    };
    neighbours.is_some_and(|all| !all.is_empty() && all.iter().all(up))
}

/// Has the routers' daemons run before ordinary processes, as on machines of their own.
fn put_routers_first(topology: &mut Topology) -> Result<(), String> {
    let mut pids = vec![topology.transit.daemon().pid()];
    let pops: [&mut Pop; 2] = [&mut topology.ams, &mut topology.fra];
    for pop in pops {
        pids.extend(pop.router_mut().bird_mut().map(|bird| bird.daemon().pid()));
    }
    for pid in pids {
        let output =
            Command::new("chrt").args(["--all-tasks", "--fifo", "--pid", "1", &pid.to_string()]).output();
        let output = output.map_err(|error| format!("chrt: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(())
}

/// On each core one thread sends what it can, from the router: over IPv4 on one, over IPv6 on the next.
fn begin_floods(topology: &Topology) -> Vec<Daemon> {
    let router: &Namespace = &topology.ams.router().namespace;
    let each = [ANYCAST4, ANYCAST6].into_iter().cycle().zip(0..cores().max(2));
    let begin = |(address, number): (&str, usize)| {
        let seed = u32::try_from(number + 1).expect("cores are few");
        let sender = Sender::BeforeWorkers { core: number % cores() };
        flood(&topology.workspace, router, address, seed, sender)
    };
    each.map(begin).collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Two for each core, of ordinary priority.
fn begin_spinners(node: &Node, workspace: &Path) -> Vec<Daemon> {
    let one = |number: usize| {
        let name = format!("spinner-{number}");
        let log = workspace.join(format!("{name}.log"));
        node.namespace.start(&name, Path::new("/bin/sh"), &["-c", "while :; do :; done"], &log)
    };
    (0..2 * cores()).map(one).collect()
}

fn push_again_and_again(node: &Node, mut zone: BigZone, shared: &Shared) {
    while !shared.stopped() {
        let during = shared.burden();
        if during == Burden::Flood {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        let begun = Instant::now();
        let failure = push(node, &mut zone).err();
        let push = Push { during, took: begun.elapsed(), failure };
        shared.pushes.lock().unwrap_or_else(PoisonError::into_inner).push(push);
        while begun.elapsed() < PUSH && !shared.stopped() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A push as an operator makes it: a file by rename, and the order to reload, which says what came of it.
fn push(node: &Node, zone: &mut BigZone) -> Result<(), String> {
    zone.push();
    let output = node.pharos(&["reload"]);
    if !output.status.success() {
        return Err(format!("pharos reload: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let live = node.zone_status("big.test.").and_then(|status| status.get("serial")?.as_u64());
    match live {
        // The status may be late on such a machine; the reload has said that it is done.
        None => Ok(()),
        Some(serial) if serial == u64::from(zone.serial()) => Ok(()),
        Some(serial) => Err(format!("serial {} was pushed, and {serial} answers", zone.serial())),
    }
}

/// What is seen, turn by turn.
struct Watch {
    record: Record,
    begun: Instant,
    turn: Duration,
    /// What the neighbour had counted before.
    neighbour: Vec<String>,
    /// The counters at the end of the step before.
    counters: Counters,
    silence: Silence,
    /// Up to when queries have been counted.
    counted: Instant,
}

impl Watch {
    fn new(lab: &FaultLab, machine: String, turn: Duration) -> Self {
        let begun = lab.struck;
        let stretches = Burden::ALL.map(|burden| Stretch::new(burden.name())).into();
        Self {
            record: Record { machine, stretches, ..Record::default() },
            begun,
            turn,
            neighbour: lab.topology.ams.route_changes(),
            counters: Counters::read(lab_node(lab)).unwrap_or_default(),
            silence: Silence::default(),
            counted: begun,
        }
    }

    fn play(
        &mut self,
        lab: &FaultLab,
        (shared, standstill): (&Shared, &Standstills),
        length: Duration,
        so_far: &mut impl FnMut(&Record),
    ) {
        let node = lab_node(lab);
        let mut spinners = Vec::new();
        let mut burden = Burden::Flood;
        let mut next = self.begun;
        while self.begun.elapsed() < length {
            let wanted = Burden::at(self.begun.elapsed(), self.turn);
            if wanted != burden {
                (burden, next) = (wanted, Instant::now());
                shared.set(burden);
                spinners.clear();
                if burden == Burden::Spinners {
                    spinners = begin_spinners(node, lab.topology.workspace.path());
                }
                self.gather(lab, shared, standstill);
                so_far(&self.record);
            }
            next += STEP;
            let end = next.min(self.begun + length);
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
            self.look(lab, burden);
        }
        drop(spinners);
    }

    /// Counts what has come since the last look, for what weighed on the node meanwhile.
    fn look(&mut self, lab: &FaultLab, burden: Burden) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let past = seconds - self.record.seconds;
        self.record.seconds = seconds;
        let until = Instant::now().checked_sub(ON_THE_WAY).unwrap_or(self.counted).max(self.counted);
        let tallies = lab.traffic.tally(self.counted, until);
        lab.traffic.follow(self.counted, until, &mut self.silence);
        lab.traffic.forget(until);
        self.counted = until;
        let name = burden.name();
        let Some(stretch) = self.record.stretches.iter_mut().find(|one| one.name == name) else { return };
        stretch.seconds += past;
        stretch.clients.add(&tallies);
        let silence = std::mem::take(&mut self.silence.longest);
        stretch.silence_ms = stretch.silence_ms.max(silence.as_secs_f64() * 1e3);
        match Counters::read(lab_node(lab)) {
            Some(now) => {
                stretch.counted.add(&now.since(&self.counters));
                self.counters = now;
            }
            None => self.record.looks_missed += 1,
        }
    }

    /// What has happened so far, from the beginning.
    fn gather(&mut self, lab: &FaultLab, shared: &Shared, standstill: &Standstills) {
        let Record { machine, seconds, stretches, looks_missed, remarks, .. } =
            std::mem::take(&mut self.record);
        let mut record = Record { machine, seconds, stretches, looks_missed, remarks, ..Record::default() };
        for stretch in &mut record.stretches {
            (stretch.reloads, stretch.slowest_reload_ms) = (0, 0.0);
        }
        for push in shared.pushes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let stretch = record.stretches.iter_mut().find(|one| one.name == push.during.name());
            let Some(stretch) = stretch else { continue };
            stretch.reloads += 1;
            stretch.slowest_reload_ms = stretch.slowest_reload_ms.max(push.took.as_secs_f64() * 1e3);
            record.failed_reloads.extend(push.failure.clone());
        }
        record.neighbour = difference(&self.neighbour, &lab.topology.ams.route_changes());
        let mut reactions = Reactions { begun: self.begun, turn: self.turn, standstill, record: &mut record };
        for node in lab.nodes() {
            node.events(self.begun).iter().for_each(|event| reactions.take(node.nsid(), event));
        }
        for pop in [&lab.topology.ams, &lab.topology.fra] {
            reactions.take_routes(pop);
        }
        let passed = |at: Instant| at.saturating_duration_since(self.begun).as_secs_f64();
        record.standstills =
            standstill.stretches().iter().map(|it| [passed(it.from), passed(it.until)]).collect();
        self.record = record;
    }
}

/// Processes that should run still.
fn ended(lab: &mut FaultLab) -> Vec<String> {
    let mut ended = Vec::new();
    for who in [Who::A, Who::Fra] {
        let node = lab.node(who);
        for (process, status) in
            [("responder", node.responder().ended()), ("sidecar", node.sidecar().ended())]
        {
            ended.extend(status.map(|status| format!("{process} of {}: {status}", who.nsid())));
        }
    }
    ended
}

/// Sorts what happened: each thing by its moment, into what fails the run and what does not.
struct Reactions<'w> {
    begun: Instant,
    turn: Duration,
    standstill: &'w Standstills,
    record: &'w mut Record,
}

impl Reactions<'_> {
    fn take(&mut self, node: &str, event: &NodeEvent) {
        let text = |field| event.text(field);
        let what = match event.message.as_str() {
            "route" => format!("{}: {} -> {}: {}", text("prefix"), text("from"), text("to"), text("cause")),
            "session down" | "BFD down" => format!("{}: {}", text("neighbour"), text("cause")),
            "signal" => {
                if matches!(text("to"), "bad" | "expired") {
                    *self.record.signals.entry(text("signal").to_owned()).or_default() += 1;
                }
                return;
            }
            "alarm" => {
                *self.record.alarms.entry(text("kind").to_owned()).or_default() += 1;
                return;
            }
            _ => return,
        };
        let withdrawn = text("to") == "withdrawn";
        let reaction = self.reaction(event.at, format!("{node} {what}"));
        if self.standstill.spoils(event.at, RECOVERY) {
            self.record.spoilt.push(reaction);
            return;
        }
        let record = &mut *self.record;
        let list = match event.message.as_str() {
            "route" if withdrawn => &mut record.withdrawals,
            "route" => &mut record.levels,
            "session down" => &mut record.sessions_lost,
            _ => &mut record.bfd_lost,
        };
        list.push(reaction);
    }

    /// Routes that a router's kernel lost, by its own news.
    fn take_routes(&mut self, pop: &Pop) {
        for prefix in [PREFIX4, PREFIX6] {
            let news = pop.router().routes.news(prefix);
            for gone in news.iter().filter(|news| news.at >= self.begun && news.gateways.is_empty()) {
                let reaction = self.reaction(gone.at, format!("router of {}: {prefix} gone", pop.name()));
                let spoilt = self.standstill.spoils(gone.at, RECOVERY);
                let record = &mut *self.record;
                if spoilt { &mut record.spoilt } else { &mut record.routes_gone }.push(reaction);
            }
        }
    }

    fn reaction(&self, at: Instant, what: String) -> Reaction {
        let passed = at.saturating_duration_since(self.begun);
        let during = Burden::at(passed, self.turn).name().to_owned();
        Reaction { at_seconds: passed.as_secs_f64(), during, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burdens_take_turns_and_begin_anew() {
        let turn = Duration::from_secs(20);
        let at = |seconds| Burden::at(Duration::from_secs(seconds), turn);
        assert_eq!(
            [at(0), at(19), at(20), at(40), at(59)],
            [Burden::Flood, Burden::Flood, Burden::Reloads, Burden::Spinners, Burden::Spinners]
        );
        assert_eq!(at(60), Burden::Flood);
    }
}
