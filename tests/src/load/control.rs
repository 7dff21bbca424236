//! What clients and the test tell each other while they run.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::judge::Judge;
use super::query::Query;
use super::world::Generation;

/// How many faults are kept; the others are only counted.
const MAX_KEPT: usize = 10;

/// Shared by the test and all clients.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    /// The oldest generation that may answer a query asked now.
    in_force: AtomicU16,
    /// The newest generation that there is.
    newest: AtomicU16,
    /// Number of the reload that runs, from 1; 0 between reloads.
    reload: AtomicU64,
    faults_total: AtomicU64,
    faults: Mutex<Vec<String>>,
}

/// What one client did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Who it is.
    pub name: String,
    /// Queries per second that it shall ask; 0 for as many as are answered.
    pub rate: AtomicU64,
    /// Queries asked.
    pub queries: AtomicU64,
    /// Replies judged.
    pub answers: AtomicU64,
    /// Queries without a reply, after all patience.
    pub lost: AtomicU64,
    /// Queries that were due and not asked, because too many waited for replies.
    pub held_back: AtomicU64,
    /// Datagrams that the kernel dropped for the client's own full receive buffers.
    pub own_drops: AtomicU64,
    /// The newest generation that each of its connections or sockets has seen, at least.
    pub seen: AtomicU16,
    /// Longest time between two answers: outside of reloads, then during each of them.
    pub gaps: Mutex<Vec<Duration>>,
}

impl Tally {
    /// A client's empty tally.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The rate that it shall keep, if any.
    pub(super) fn wanted_rate(&self) -> Option<u64> {
        Some(self.rate.load(SeqCst)).filter(|&rate| rate > 0)
    }

    pub(super) fn note_gap(&self, reload: u64, gap: Duration) {
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = reload as usize;
        if gaps.len() <= slot {
            gaps.resize(slot + 1, Duration::ZERO);
        }
        gaps[slot] = gaps[slot].max(gap);
    }
}

impl Control {
    /// Says that a generation is in its files and may be seen from now on.
    pub fn offer(&self, generation: Generation) {
        self.newest.store(generation, SeqCst);
    }

    /// Says that reload `number`, from 1, begins.
    pub fn reload_begins(&self, number: u64) {
        self.reload.store(number, SeqCst);
    }

    /// Says that the reload is over: from now on only this generation answers.
    pub fn reload_ended(&self, generation: Generation) {
        self.in_force.store(generation, SeqCst);
        self.reload.store(0, SeqCst);
    }

    /// Tells clients to ask no more and to wait for what they have asked.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    /// Whether clients shall end.
    pub fn stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// How many faults there were, and the first of them.
    pub fn faults(&self) -> (u64, Vec<String>) {
        let kept = self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.faults_total.load(SeqCst), kept)
    }

    pub(super) fn fault(&self, fault: String) {
        self.faults_total.fetch_add(1, SeqCst);
        let mut kept = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(fault);
        }
    }

    pub(super) fn in_force(&self) -> Generation {
        self.in_force.load(SeqCst)
    }

    pub(super) fn running_reload(&self) -> u64 {
        self.reload.load(SeqCst)
    }
}

/// What is remembered of a query until its reply comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    /// The generation in force when it was asked.
    pub(super) in_force: Generation,
}

/// The order of generations on one connection, or on one socket whose datagrams reach one worker.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) newest: Generation,
}

impl Flow {
    /// Judges one reply by itself and by those before it.
    pub(super) fn take(
        &mut self,
        control: &Control,
        tally: &Tally,
        judge: &mut Judge,
        asked: &Asked,
        (id, reply): (u16, &[u8]),
    ) {
        tally.answers.fetch_add(1, SeqCst);
        match judge.judge(&asked.query, id, reply) {
            Err(fault) => control.fault(format!("{}: {fault}", tally.name)),
            Ok(generation) => {
                let range = asked.in_force.max(self.newest)..=control.newest.load(SeqCst);
                if !range.contains(&generation) {
                    control.fault(format!("{}: generation {generation}, not of {range:?}", tally.name));
                }
                self.newest = self.newest.max(generation);
            }
        }
    }
}

/// Says how many queries are due at a rate, without bursts after a delay.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    due: f64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), due: 0.0 }
    }

    /// Queries due now, `burst` at most.
    pub(super) fn due(&mut self, rate: Option<u64>, burst: usize) -> usize {
        let Some(rate) = rate else { return burst };
        let now = Instant::now();
        let since = now.duration_since(std::mem::replace(&mut self.last, now));
        // What was not asked in time is not made up for: that would be a load of its own.
        self.due = (self.due + since.as_secs_f64() * rate as f64).min(2.0 * burst as f64);
        let whole = (self.due as usize).min(burst);
        self.due -= whole as f64;
        whole
    }
}
