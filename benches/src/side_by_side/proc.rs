//! What the kernel says of processes and cores, read from /proc.
//!
//! A process that ended meanwhile reads as zero: the caller looks at whether its server still runs.

use std::collections::HashMap;
use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::{Duration, Instant};

/// The kernel counts `/proc/*/stat` in hundredths of a second for user space on every architecture (USER_HZ).
const TICK: Duration = Duration::from_millis(10);
/// Ticks and nanoseconds of one process never differ by more than this, unless threads have ended.
const TICKS_OFF: Duration = Duration::from_millis(30);

/// Time on a core, of all threads of some processes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct CpuTime {
    /// By the scheduler's count, to the nanosecond; of the threads that live.
    precise: Duration,
    /// By ticks, in user space and in the kernel; of threads that have ended, too.
    user: Duration,
    kernel: Duration,
}

impl CpuTime {
    /// The more exact of the two counts that holds everything.
    pub(super) fn total(self) -> Duration {
        let ticks = self.user + self.kernel;
        if ticks > self.precise + TICKS_OFF { ticks } else { self.precise }
    }

    /// The part of user space, in percent.
    pub(super) fn user_percent(self) -> f64 {
        100.0 * self.user.as_secs_f64() / (self.user + self.kernel).as_secs_f64().max(0.01)
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            precise: self.precise.saturating_sub(earlier.precise),
            user: self.user.saturating_sub(earlier.user),
            kernel: self.kernel.saturating_sub(earlier.kernel),
        }
    }
}

/// Memory of some processes in MiB.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Memory {
    /// Resident, with shared pages once for each process that shares them.
    pub(super) resident: f64,
    /// Resident, with shared pages divided among those that share them.
    pub(super) proportional: f64,
}

/// A process and all that descend from it.
pub(super) fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in all() {
        if let Some(parent) = stat(process).get(1).and_then(|field| field.parse().ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(process) = found.get(at) {
        found.extend(children.remove(process).unwrap_or_default());
        at += 1;
    }
    found
}

/// Processes and kernel threads whose name begins so.
pub(super) fn named(beginning: &str) -> Vec<u32> {
    let mut found: Vec<u32> = all()
        .filter(|process| {
            fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.starts_with(beginning))
        })
        .collect();
    found.sort_unstable();
    found
}

/// What these processes have used so far.
pub(super) fn cpu(processes: &[u32]) -> CpuTime {
    let mut sum = CpuTime::default();
    for process in processes {
        for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            sum.precise += run_time(&task.path());
        }
        let stat = stat(*process);
        let ticks =
            |field: usize| TICK * stat.get(field).and_then(|word| word.parse().ok()).unwrap_or_default();
        sum.user += ticks(11);
        sum.kernel += ticks(12);
    }
    sum
}

/// The memory of these processes.
pub(super) fn memory(processes: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for process in processes {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        let mib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        };
        sum.resident += mib("Rss:");
        sum.proportional += mib("Pss:");
    }
    sum
}

/// What every thread has used so far, and whether it ran last on a core; and what the host took of that core.
#[derive(Debug)]
pub(super) struct Everybody {
    at: Instant,
    /// By process and thread.
    used: HashMap<(u32, u32), (RanLast, Duration)>,
    stolen: Duration,
}

/// Where a thread ran last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RanLast {
    Here,
    Elsewhere,
}

/// Looks at all threads, by the scheduler's count: that by ticks is wrong by several percent for threads that sleep and
/// wake in step with them.
pub(super) fn everybody(core: u16) -> Everybody {
    let mut used = HashMap::new();
    for process in all() {
        for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let Some(thread) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // The core is the 37th of these fields.
            let ran_on = stat_of(&task.path()).get(36).and_then(|field| field.parse::<u16>().ok());
            let ran_last = if ran_on == Some(core) { RanLast::Here } else { RanLast::Elsewhere };
            used.insert((process, thread), (ran_last, run_time(&task.path())));
        }
    }
    Everybody { at: Instant::now(), used, stolen: stolen(core) }
}

impl Everybody {
    /// What the core gave to others than `measured` since `earlier`, or did not have, and how long ago that was. Of a thread
    /// that ran elsewhere, too, all counts: rather more than less.
    pub(super) fn others_since(&self, earlier: &Self, measured: &[u32]) -> (Duration, Duration) {
        let here = self.used.iter().filter(|((process, _), (ran_last, _))| {
            *ran_last == RanLast::Here && !measured.contains(process)
        });
        let used: Duration = here
            .map(|(thread, (_, used))| {
                used.saturating_sub(earlier.used.get(thread).map(|(_, before)| *before).unwrap_or_default())
            })
            .sum();
        (used + self.stolen.saturating_sub(earlier.stolen), self.at - earlier.at)
    }
}

/// Time that the host has given to others.
pub(super) fn stolen(core: u16) -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")));
    // user, nice, system, idle, iowait, irq, softirq, steal
    let ticks = line.unwrap_or_default().split_whitespace().nth(7).and_then(|word| word.parse().ok());
    TICK * ticks.unwrap_or_default()
}

/// How long a thread has run.
fn run_time(task: &Path) -> Duration {
    let counted = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanoseconds = counted.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fields of `/proc/PID/stat` behind the name, which may hold blanks and parentheses: state, parent, ...
fn stat(process: u32) -> Vec<String> {
    stat_of(Path::new(&format!("/proc/{process}")))
}

/// The same of a process or thread by its directory.
fn stat_of(task: &Path) -> Vec<String> {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_own_tree_has_memory_and_uses_a_core() {
        let own = std::process::id();
        let tree = tree(own);
        assert_eq!(tree[0], own);
        let before = cpu(&tree);
        while (cpu(&tree) - before).total().is_zero() {}
        let memory = memory(&[own]);
        assert!(memory.resident >= memory.proportional && memory.proportional > 0.0, "{memory:?}");
    }

    #[test]
    fn a_process_that_is_no_more_reads_as_zero() {
        assert_eq!(cpu(&[u32::MAX]), CpuTime::default());
        assert_eq!(memory(&[u32::MAX]), Memory::default());
    }
}
