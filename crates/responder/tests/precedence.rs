//! Which workers run before the other threads of their CPU; alone in its process, whose threads it looks at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail where it stands")]

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Instant;

use common::Zones;
use pharos_netio::affinity::allowed_cpus;
use pharos_netio::urgency::{Duty, Urgency, prefer_current_thread};
use pharos_responder::{Config, Precedence, Responder, StatusFilter};

const ZONE: &str = "$TTL 300\n@ SOA ns host 7 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.53\n";

/// The policies by their numbers in sched(7).
const ORDINARY: u32 = 0;
const FIRST: u32 = 1;

/// The scheduling policy of each UDP worker of this process, by its number (field 41 of proc_pid_stat(5)).
fn policies_of_workers() -> BTreeMap<usize, u32> {
    let mut all = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        // Threads of a responder before may be about to end.
        let Ok(stat) = std::fs::read_to_string(thread.unwrap().path().join("stat")) else { continue };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let Some(number) = name.strip_prefix("udp-") else { continue };
        let policy = rest.split_ascii_whitespace().nth(38).unwrap();
        all.insert(number.parse().unwrap(), policy.parse().unwrap());
    }
    all
}

/// The policies of all workers of a responder with two on each CPU.
fn policies(precedence: Precedence) -> Vec<u32> {
    let zones = Zones::new("precedence", &[("a.test.zone", ZONE)]);
    let workers = NonZeroUsize::new(2 * allowed_cpus().unwrap().len());
    let responder = Responder::start(Config { workers, precedence, ..zones.config() }).unwrap();
    let (handle, started) = (responder.handle(), Instant::now());
    // Whoever has turned since has its policy.
    let has_turned = |age: u64| u128::from(age) < started.elapsed().as_millis();
    while !handle.status(&StatusFilter::default()).workers.iter().all(|it| has_turned(it.heartbeat_age_ms)) {
        std::thread::yield_now();
    }
    policies_of_workers().into_values().collect()
}

#[test]
fn of_the_workers_of_a_cpu_one_runs_before_others_and_none_where_that_is_not_wanted() {
    let cpus = allowed_cpus().unwrap().len();
    let granted = std::thread::spawn(|| prefer_current_thread(Duty::Answers)).join().unwrap();
    let of_the_first = if granted == Urgency::RealTime { FIRST } else { ORDINARY };
    assert_eq!(policies(Precedence::First), [vec![of_the_first; cpus], vec![ORDINARY; cpus]].concat());
    assert_eq!(policies(Precedence::Ordinary), vec![ORDINARY; 2 * cpus]);
}
