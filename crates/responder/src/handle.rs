//! Asking, reloading and stopping a responder; module `start` starts it.

mod start;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pharos_netio::affinity::CpuId;
use pharos_netio::lock::AddressLocks;
use pharos_zone::dnssec::{Checks, Clock};
use pharos_zonedb::Published;

use crate::config::DnssecConfig;
use crate::counters::{Counters, beat_age_ms};
use crate::intake;
use crate::log;
use crate::metrics::ResponderCollector;
use crate::origin::{Origin, OwnAddresses};
use crate::pages;
use crate::status::{
    AddressStatus, MAX_LISTED, Status, StatusFilter, TcpThreadStatus, WorkerStatus, XdpStatus, ZoneLife,
};
use crate::tcp::Gate;
use crate::vigil::{self, Moment, Standing, Vigil};
use crate::xdp::Face;
use crate::zones::{Belief, Bench, Entry, Known, ReloadError, ReloadReport, Served, ZoneKeeper, unix};

/// A thread that answers and did not turn for this long makes the responder not ready; the watchdog is more patient.
const LATE: Duration = Duration::from_secs(1);
/// A thread that waits for its next look wakes so often, to see whether the responder stops.
const WAKE: Duration = Duration::from_millis(500);
/// Names of threads.
const DESK_UDP: &str = "management-udp";
const DESK_TCP: &str = "management-tcp";
/// Time between two tries of a reload that lacked descriptors.
const RETRY: Duration = Duration::from_secs(1);
/// How old the list of the host's addresses may be.
const ADDRESSES_FOR: Duration = Duration::from_secs(10);

/// A running responder. Dropping it stops it.
pub struct Responder {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
    _locks: AddressLocks,
}

/// Asks and commands a running responder; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    nsid: String,
    listen: Vec<SocketAddr>,
    /// Held for as long as a reload takes, so nobody who only asks may wait for it.
    keeper: Mutex<ZoneKeeper>,
    /// What the last reload left; held for a moment.
    known: Mutex<Arc<Known>>,
    dnssec: DnssecConfig,
    /// CPUs that the process may use.
    cpus: usize,
    /// What is thought of the clock; held for a look.
    vigil: Mutex<Vigil>,
    published: Arc<Published<Served>>,
    workers: Vec<(Option<CpuId>, Arc<Counters>)>,
    /// Interfaces that are to be used by AF_XDP.
    xdp: Vec<Arc<Face>>,
    /// One for each TCP thread.
    tcp: Vec<Arc<Counters>>,
    gate: Arc<Gate>,
    management: Option<Management>,
    own_addresses: Arc<OwnAddresses>,
    /// Whether a thread waits to do again what a reload could not for want of descriptors.
    retrying: AtomicBool,
    stop: Arc<AtomicBool>,
    started: Instant,
    started_at: SystemTime,
}

/// What answers at the management addresses.
struct Management {
    listen: Vec<SocketAddr>,
    udp: Arc<Counters>,
    tcp: Arc<Counters>,
}

/// Whether the responder can be relied on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Every zone has been tried and all threads that answer turn.
    Ready,
    /// It cannot, for this reason.
    NotReady(String),
}

impl Responder {
    /// For whoever asks and commands.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers what has arrived, stops all threads and waits for them.
    pub fn stop(self) {
        // The drop does it.
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.handle.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the responder had panicked");
            }
        }
    }
}

impl Handle {
    /// Reads what changed and swaps; blocks meanwhile. Whatever is refused keeps its last good data.
    ///
    /// # Errors
    /// [`ReloadError`] when the zones cannot even be listed; nothing changes then.
    pub fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let report = self.shared.reload();
        match &report {
            Ok(report) => log::reload(report),
            Err(error) => tracing::error!(%error, "reload failed, the zones in force stay"),
        }
        self.shared.look();
        if is_short(&report) && !self.shared.retrying.swap(true, Ordering::Relaxed) {
            let again = self.clone();
            let thread = std::thread::Builder::new().name("reload".into());
            // Nobody waits for it: it may read for longer than a stop may take.
            if let Err(error) = thread.spawn(move || again.reload_until_done()) {
                tracing::error!(%error, "the reload is not tried again");
                self.shared.retrying.store(false, Ordering::Relaxed);
            }
        }
        report
    }

    /// Reloads until there were descriptors for all that was to be read.
    fn reload_until_done(&self) {
        let shared = &*self.shared;
        let mut next = shared.started.elapsed() + RETRY;
        while !shared.stop.load(Ordering::Relaxed) {
            std::thread::sleep(WAKE);
            if shared.started.elapsed() < next {
                continue;
            }
            let report = shared.reload();
            if !is_short(&report) {
                shared.retrying.store(false, Ordering::Relaxed);
                tracing::info!("the reload that lacked file descriptors has been done again");
                match &report {
                    Ok(report) => log::reload(report),
                    Err(error) => tracing::error!(%error, "reload failed, the zones in force stay"),
                }
                shared.look();
                return;
            }
            next = shared.started.elapsed() + RETRY;
        }
    }

    /// How the responder fares. During a reload it tells what the one before has left, without waiting.
    pub fn status(&self, filter: &StatusFilter) -> Status {
        let shared = &*self.shared;
        let known = shared.known();
        let Known { generation, zones: all, .. } = &*known;
        let clock = shared.clock();
        let trust = lock(&shared.vigil).clock(shared.started.elapsed());
        let is_alarming = |zone: &Entry| {
            !zone.findings().is_empty() || Standing::of(zone.signed(), clock) != Standing::Good
        };
        let count = |state| all.iter().filter(|zone| zone.state() == state).count();
        let workers: Vec<WorkerStatus> =
            shared.workers.iter().enumerate().map(|(id, worker)| shared.worker(id, worker)).collect();
        Status {
            node: shared.nsid.clone(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started_unix: unix(shared.started_at),
            ready: self.readiness() == Readiness::Ready,
            generation: *generation,
            listen: shared.listen.iter().map(ToString::to_string).collect(),
            digest: known.digest.clone(),
            management_dns: self.management_dns().iter().map(ToString::to_string).collect(),
            zones_total: all.len(),
            zones_live: count(ZoneLife::Live),
            zones_refused: count(ZoneLife::Refused),
            zones_not_loaded: count(ZoneLife::NotLoaded),
            zones_omitted: if filter.zones.is_empty() { all.len().saturating_sub(MAX_LISTED) } else { 0 },
            zones_with_findings: all.iter().filter(|zone| is_alarming(zone)).count(),
            zones: pick(all, filter, is_alarming)
                .map(|zone| {
                    let mut zone = zone.status();
                    zone.findings.extend(vigil::findings(zone.signed.as_ref(), clock));
                    zone
                })
                .collect(),
            clock: trust,
            xdp: self.xdp(),
            interfaces: intake::look(),
            tcp_connections: shared.gate.open(),
            tcp_connections_at_most: shared.gate.limits().connections as u64,
            tcp_heartbeat_age_ms: {
                let ages = shared.tcp.iter().map(|counters| beat_age_ms(counters, shared.started));
                ages.max().unwrap_or_default()
            },
            tcp_threads: (shared.tcp.iter().enumerate())
                .map(|(id, counters)| TcpThreadStatus {
                    id,
                    heartbeat_age_ms: beat_age_ms(counters, shared.started),
                })
                .collect(),
            traffic: shared.traffic(),
            queries: workers.iter().map(|worker| worker.queries).sum::<u64>()
                + shared.tcp.iter().map(|counters| counters.queries()).sum::<u64>(),
            drops: self.counters().iter().map(|(_, counters)| counters.drops()).sum::<u64>()
                + shared.xdp.iter().map(|face| face.lost()).sum::<u64>(),
            workers,
        }
    }

    /// Whether the responder can be relied on.
    pub fn readiness(&self) -> Readiness {
        // A handle exists only once every zone has been tried, so only the threads remain to be seen.
        let shared = &*self.shared;
        if shared.stop.load(Ordering::Relaxed) {
            return Readiness::NotReady("the responder is stopping".into());
        }
        let late =
            |post: &Post<'_>| u128::from(beat_age_ms(post.counters, shared.started)) > LATE.as_millis();
        match shared.posts().find(late) {
            Some(Post { name, .. }) => {
                Readiness::NotReady(format!("thread {name} has not turned for more than {LATE:?}"))
            }
            None => Readiness::Ready,
        }
    }

    /// Adds the responder's metrics to a registry.
    ///
    /// # Errors
    /// When the registry holds a responder's metrics already.
    pub fn register(&self, registry: &prometheus::Registry) -> prometheus::Result<()> {
        registry.register(Box::new(ResponderCollector::new(self.clone())?))
    }

    /// The addresses that it answers on, ports resolved.
    pub fn listen(&self) -> Vec<SocketAddr> {
        self.shared.listen.clone()
    }

    /// The management addresses that it answers on, ports resolved.
    pub fn management_dns(&self) -> Vec<SocketAddr> {
        self.shared.management.iter().flat_map(|management| management.listen.iter().copied()).collect()
    }

    /// The interfaces that are to be used by AF_XDP.
    pub(crate) fn xdp(&self) -> Vec<XdpStatus> {
        self.shared.xdp.iter().map(|face| face.status()).collect()
    }

    /// The zones that have counts of their own, each with its slot.
    pub(crate) fn zone_slots(&self) -> Vec<(String, u16)> {
        self.shared.known().slots.clone()
    }

    /// Every thread's counters with its transport.
    pub(crate) fn counters(&self) -> Vec<(&'static str, &Counters)> {
        self.shared.posts().map(|post| (post.transport, &**post.counters)).collect()
    }

    /// How long ago each thread that answers turned last, by its name, in milliseconds.
    pub(crate) fn heartbeats(&self) -> Vec<(String, u64)> {
        let age = |post: Post<'_>| (post.name, beat_age_ms(post.counters, self.shared.started));
        self.shared.posts().map(age).collect()
    }
}

/// A thread that answers.
struct Post<'a> {
    name: String,
    transport: &'static str,
    counters: &'a Arc<Counters>,
}

fn worker_name(id: usize) -> String {
    format!("udp-{id}")
}

fn tcp_name(id: usize) -> String {
    format!("tcp-{id}")
}

/// Whether a reload left something out for want of descriptors, and nothing else can be said of it.
fn is_short(report: &Result<ReloadReport, ReloadError>) -> bool {
    match report {
        Ok(report) => report.unopened > 0,
        Err(error) => error.is_shortage(),
    }
}

impl Shared {
    /// Reloads on a thread that gives way to those that answer: where they share a CPU, no query waits for its turn to
    /// end.
    fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let gently = || {
            if let Err(error) = pharos_netio::urgency::give_way() {
                tracing::debug!(%error, "a reload does not give way to queries");
            }
            self.reload_here()
        };
        std::thread::scope(|scope| {
            match std::thread::Builder::new().name("reload".into()).spawn_scoped(scope, gently) {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // Where there is no room for a thread, zones are still to be read.
                Err(_) => self.reload_here(),
            }
        })
    }

    fn reload_here(&self) -> Result<ReloadReport, ReloadError> {
        let bench = self.bench();
        let mut keeper = lock(&self.keeper);
        let report = keeper.reload(&bench);
        // While the keeper is held, so that the last reload has the last word.
        *lock(&self.known) = Arc::new(keeper.known());
        keeper.write_images();
        drop(keeper);
        pharos_netio::memory::give_back_freed();
        report
    }

    fn posts(&self) -> impl Iterator<Item = Post<'_>> {
        let workers = self.workers.iter().enumerate();
        let workers =
            workers.map(|(id, (_, counters))| Post { name: worker_name(id), transport: "udp", counters });
        let tcp = self.tcp.iter().enumerate();
        let tcp = tcp.map(|(id, counters)| Post { name: tcp_name(id), transport: "tcp", counters });
        let management = self.management.iter().flat_map(|management| {
            [
                Post { name: DESK_UDP.to_owned(), transport: "udp", counters: &management.udp },
                Post { name: DESK_TCP.to_owned(), transport: "tcp", counters: &management.tcp },
            ]
        });
        workers.chain(tcp).chain(management)
    }

    /// How the next reload checks and judges; after a look, since the clock may have stepped this very moment.
    fn bench(&self) -> Bench {
        let belief = self.look();
        // Workers need the other half, so that no query waits for a signature.
        Bench { checks: checks(&self.dnssec, wall(), self.cpus / 2), belief }
    }

    fn clock(&self) -> Clock {
        Clock { unix: wall().as_secs(), near: self.dnssec.near_expiry }
    }

    /// Looks at the zones in force and at the clock, and says what changed.
    fn look(&self) -> Belief {
        let known = self.known();
        let (notices, belief) = {
            let mut vigil = lock(&self.vigil);
            let now = Moment { monotonic: self.started.elapsed(), wall: wall() };
            let notices = vigil.look(now, self.dnssec.near_expiry, &known.zones);
            (notices, if vigil.is_trusted() { Belief::Trusted } else { Belief::Doubted })
        };
        notices.iter().for_each(log::notice);
        belief
    }

    /// Looks until the responder stops.
    fn keep_vigil(&self) {
        let mut moved = 0;
        let mut next_look = self.started.elapsed() + vigil::LOOK;
        let mut next_addresses = self.started.elapsed() + ADDRESSES_FOR;
        while !self.stop.load(Ordering::Relaxed) {
            let generation = self.published.generation();
            if generation != moved {
                moved = generation;
                pages::make_huge(&self.published.current().zones);
            }
            std::thread::sleep(WAKE);
            if self.started.elapsed() >= next_look {
                self.look();
                next_look = self.started.elapsed() + vigil::LOOK;
            }
            if self.started.elapsed() >= next_addresses {
                self.own_addresses.refresh();
                next_addresses = self.started.elapsed() + ADDRESSES_FOR;
            }
        }
    }

    fn known(&self) -> Arc<Known> {
        lock(&self.known).clone()
    }

    /// What came to each service address.
    fn traffic(&self) -> Vec<AddressStatus> {
        let sum = |place: usize, origin| {
            let all = self.workers.iter().map(|(_, counters)| counters).chain(&self.tcp);
            all.filter_map(|counters| counters.by_address(origin).nth(place)).map(|(_, count)| count).sum()
        };
        let of = |(place, address): (usize, &SocketAddr)| AddressStatus {
            address: address.to_string(),
            client: sum(place, Origin::Client),
            probe: sum(place, Origin::Probe),
        };
        self.listen.iter().enumerate().map(of).collect()
    }

    fn worker(&self, id: usize, (cpu, counters): &(Option<CpuId>, Arc<Counters>)) -> WorkerStatus {
        WorkerStatus {
            id,
            cpu: cpu.map(CpuId::number),
            heartbeat_age_ms: beat_age_ms(counters, self.started),
            queries: counters.queries(),
            answered: counters.answered(),
            socket_drops: counters.socket_drops.get(),
        }
    }
}

/// A panic elsewhere leaves the keeper with whole zones, so poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The zones that the filter names; without one as many as are listed, those with trouble first.
fn pick<'a>(
    all: &'a [Entry],
    filter: &StatusFilter,
    is_alarming: impl Fn(&Entry) -> bool + Copy,
) -> Box<dyn Iterator<Item = &'a Entry> + 'a> {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    if filter.zones.is_empty() {
        let is_troubled = move |zone: &Entry| zone.state() != ZoneLife::Live || is_alarming(zone);
        let (mut troubled, rest): (Vec<_>, Vec<_>) = all.iter().partition(|zone| is_troubled(zone));
        troubled.extend(rest);
        Box::new(troubled.into_iter().take(MAX_LISTED))
    } else {
        let wanted: Vec<String> = filter.zones.iter().map(|name| plain(name)).collect();
        Box::new(all.iter().filter(move |zone| wanted.contains(&plain(&zone.name()))))
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What is checked of zones that load now, by so many threads if none are configured.
fn checks(config: &DnssecConfig, wall: Duration, threads: usize) -> Checks {
    Checks {
        signatures: config.verify,
        clock: Some(Clock { unix: wall.as_secs(), near: config.near_expiry }),
        threads: config.threads.or(NonZeroUsize::new(threads)).unwrap_or(NonZeroUsize::MIN),
        broken: config.broken,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::config::{Config, ZoneSource};

    #[test]
    fn whoever_asks_for_the_status_does_not_wait_for_a_reload() {
        let directory = std::env::temp_dir().join(format!("pharos-handle-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let text = "@ 300 SOA ns host 7 1 1 1 1\n@ 300 NS ns\nns 300 A 192.0.2.1\n";
        std::fs::write(directory.join("a.test.zone"), text).unwrap();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let zones = ZoneSource::Directory(directory.clone());
        let responder = Responder::start(Config::new(listen, zones)).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        let handle = responder.handle();
        // Held by a reload from its begin to its end.
        let reloading = lock(&handle.shared.keeper);
        let (tell, told) = mpsc::channel();
        let asked = handle.clone();
        std::thread::spawn(move || {
            let registry = prometheus::Registry::new();
            asked.register(&registry).unwrap();
            let metrics = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            drop(tell.send((asked.status(&StatusFilter::default()), metrics)));
        });
        let answer = told.recv_timeout(Duration::from_secs(20));
        let (status, metrics) = answer.expect("the status comes while the reload runs");
        drop(reloading);
        assert_eq!((status.zones[0].serial, status.generation), (Some(7), 2));
        assert!(metrics.contains("pharos_responder_zone_serial{zone=\"a.test.\"} 7\n"), "{metrics}");
    }
}
