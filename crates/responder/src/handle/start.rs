//! Starting a responder: everything is loaded and bound before the first thread answers, or nothing is left.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use pharos_answer::{Audience, Context, Transport};
use pharos_netio::affinity::{self, CpuId};
use pharos_netio::lock::AddressLocks;
use pharos_netio::{Inbox, Shares, UdpSocket};

use super::{
    DESK_TCP, DESK_UDP, Handle, Management, Post, Responder, Shared, checks, lock, tcp_name, wall,
    worker_name,
};
use crate::config::{Config, Precedence, StartError, TcpLimits, VERSION, Version};
use crate::counters::Counters;
use crate::origin::Origins;
use crate::sockets::Sockets;
use crate::tcp::{Gate, Tcp};
use crate::worker::{TURN, Worker};
use crate::xdp::{Face, Mailbox};
use crate::zones::{Belief, Bench, ZoneKeeper};
use crate::{log, room, watchdog, xdp};

/// TCP connections at management addresses, where a person or two are expected.
const DESK_CONNECTIONS: usize = 16;

impl Responder {
    /// Locks the addresses, loads the zones, binds, and starts all threads. Blocks while zones load.
    ///
    /// A zone with faults does not keep the responder from starting: it answers SERVFAIL. The whole process
    /// gives back large blocks of memory from now on ([`pharos_netio::memory`]).
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running or bound.
    pub fn start(config: Config) -> Result<Self, StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        pharos_netio::memory::give_back_large_blocks();
        room::raise();
        let addresses = [&config.listen[..], &config.management_dns].concat();
        let locks = AddressLocks::acquire(&config.lock, &addresses)?;
        let cpus = affinity::allowed_cpus()?;
        // Nothing answers yet that good data could be lost of, so the clock is asked only to tell.
        let checks = checks(&config.dnssec, wall(), cpus.len());
        let (keeper, report) =
            ZoneKeeper::start(config.zones, config.images, &Bench { checks, belief: Belief::Doubted })?;
        log::reload(&report);
        let count = config.workers.map_or(cpus.len(), NonZeroUsize::get).max(1);
        let worker_cpus: Vec<CpuId> = cpus.iter().copied().cycle().take(count).collect();
        let sockets = Sockets::bind(&config.listen, &worker_cpus, cpus.len())?;
        // One worker is plenty for people, and none is pinned beside those that serve.
        let one = worker_cpus.get(..1).unwrap_or_default();
        let desk = Sockets::bind(&config.management_dns, one, cpus.len() + 1)?;
        let mut context = Context::new(Transport::Udp, config.udp_payload_octets, &config.nsid, config.any);
        context.set_cookies(config.cookies);
        context.set_report_agent(config.report_agent);
        let mut desk_context = context.clone();
        desk_context.set_audience(Audience::Operators);
        desk_context.set_version(VERSION);
        if config.version == Version::Shown {
            context.set_version(VERSION);
        }
        let counters = |addresses: &[SocketAddr]| Arc::new(Counters::new(addresses));
        let shared = Arc::new(Shared {
            nsid: config.nsid,
            management: (!desk.listen.is_empty()).then(|| Management {
                udp: counters(&desk.listen),
                tcp: counters(&desk.listen),
                listen: desk.listen,
            }),
            xdp: config.xdp.into_iter().map(|options| Arc::new(Face::new(options))).collect(),
            workers: worker_cpus.iter().map(|&cpu| (Some(cpu), counters(&sockets.listen))).collect(),
            tcp: worker_cpus.iter().map(|_| counters(&sockets.listen)).collect(),
            listen: sockets.listen,
            gate: Arc::new(Gate::new(room::fit(config.tcp))),
            own_addresses: Arc::default(),
            retrying: AtomicBool::new(false),
            stop: Arc::default(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            known: Mutex::new(Arc::new(keeper.known())),
            dnssec: config.dnssec,
            cpus: cpus.len(),
            vigil: Mutex::default(),
            published: keeper.published().clone(),
            keeper: Mutex::new(keeper),
        });
        shared.own_addresses.refresh();
        // The empty set that stood before the zones were loaded: nobody has read it, so nobody need look again for it.
        shared.published.sweep();
        shared.look();
        let mut responder = Self { handle: Handle { shared }, threads: Vec::new(), _locks: locks };
        responder.spawn(sockets.udp, sockets.tcp, &context, config.precedence)?;
        responder.spawn_management(desk.udp, desk.tcp, desk_context)?;
        responder.watch()?;
        // Not before the first query is answered, which images are written for.
        lock(&responder.handle.shared.keeper).write_images();
        pharos_netio::memory::give_back_freed();
        Ok(responder)
    }

    /// Starts the threads; those that run when one fails are stopped by the drop.
    fn spawn(
        &mut self,
        udp: Vec<Vec<UdpSocket>>,
        listeners: Vec<Vec<TcpListener>>,
        context: &Context,
        precedence: Precedence,
    ) -> Result<(), StartError> {
        let shared = self.handle.shared.clone();
        let published = &shared.published;
        let udp_context = Arc::new(context.clone());
        let mut mailboxes = Vec::new();
        let shares = Arc::new(Shares::of(udp.len()));
        for (id, (sockets, (cpu, counters))) in udp.into_iter().zip(&shared.workers).enumerate() {
            let mailbox = Arc::<Mailbox>::default();
            mailboxes.push(mailbox.clone());
            let worker = Worker {
                name: worker_name(id),
                cpu: *cpu,
                precedence: precedence_of(id, shared.cpus, precedence),
                shares: (shares.clone(), id),
                inbox: Inbox::new(sockets, TURN)?,
                mailbox,
                zones: published.reader(),
                context: udp_context.clone(),
                counters: counters.clone(),
                origins: Origins::Service(shared.own_addresses.clone()),
                stop: shared.stop.clone(),
                started: shared.started,
            };
            self.threads.push(worker.spawn()?);
        }
        let keeper = xdp::Keeper::new(shared.xdp.clone(), shared.listen.clone(), mailboxes);
        self.threads.extend(keeper.spawn(shared.stop.clone())?);
        for (id, (listeners, counters)) in listeners.into_iter().zip(&shared.tcp).enumerate() {
            let tcp = Tcp {
                name: tcp_name(id),
                precedence: precedence_of(id, shared.cpus, precedence),
                shares: shares.clone(),
                listeners,
                gate: shared.gate.clone(),
                zones: published.reader(),
                context: context.over(Transport::Tcp),
                counters: counters.clone(),
                origins: Origins::Service(shared.own_addresses.clone()),
                stop: shared.stop.clone(),
                started: shared.started,
            };
            self.threads.push(tcp.spawn()?);
        }
        Ok(())
    }

    /// Starts the threads behind the management addresses, if there are any.
    fn spawn_management(
        &mut self,
        udp: Vec<Vec<UdpSocket>>,
        listeners: Vec<Vec<TcpListener>>,
        context: Context,
    ) -> Result<(), StartError> {
        let shared = self.handle.shared.clone();
        let Some(management) = &shared.management else { return Ok(()) };
        let shares = Arc::new(Shares::of(1));
        let limits = TcpLimits { connections: DESK_CONNECTIONS, ..*shared.gate.limits() };
        let tcp = Tcp {
            name: DESK_TCP.to_owned(),
            precedence: Precedence::Ordinary,
            shares: shares.clone(),
            listeners: listeners.into_iter().flatten().collect(),
            gate: Arc::new(Gate::new(limits)),
            zones: shared.published.reader(),
            context: context.over(Transport::Tcp),
            counters: management.tcp.clone(),
            origins: Origins::Management,
            stop: shared.stop.clone(),
            started: shared.started,
        };
        self.threads.push(tcp.spawn()?);
        let worker = Worker {
            name: DESK_UDP.to_owned(),
            cpu: None,
            precedence: Precedence::Ordinary,
            shares: (shares, 0),
            inbox: Inbox::new(udp.into_iter().flatten().collect(), TURN)?,
            mailbox: Arc::default(),
            zones: shared.published.reader(),
            context: Arc::new(context),
            counters: management.udp.clone(),
            origins: Origins::Management,
            stop: shared.stop.clone(),
            started: shared.started,
        };
        self.threads.push(worker.spawn()?);
        Ok(())
    }

    /// Starts the threads that look after the others.
    fn watch(&mut self) -> Result<(), StartError> {
        let shared = self.handle.shared.clone();
        let watched: Vec<_> =
            shared.posts().map(|Post { name, counters, .. }| (name, counters.clone())).collect();
        let (stop, published) = (shared.stop.clone(), shared.published.clone());
        let watchdog = std::thread::Builder::new().name("watchdog".into());
        let watchdog = watchdog.spawn(move || watchdog::run(&watched, &published, &stop));
        let failed = |source| StartError::System { what: "the watchdog cannot be started", source };
        self.threads.push(watchdog.map_err(failed)?);
        let vigil = std::thread::Builder::new().name("vigil".into());
        let failed = |source| StartError::System { what: "the vigil cannot be started", source };
        self.threads.push(vigil.spawn(move || shared.keep_vigil()).map_err(failed)?);
        Ok(())
    }
}

/// Workers are dealt to the CPUs in turn, and the first of each CPU may run before others. Of two that did, neither would
/// leave anything: while one sleeps so that others may run, the other one does. There are as many threads of connections
/// that may.
fn precedence_of(worker: usize, cpus: usize, wanted: Precedence) -> Precedence {
    if worker < cpus { wanted } else { Precedence::Ordinary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_workers_of_one_cpu_the_first_alone_runs_first() {
        let of = |wanted| (0..5).map(|worker| precedence_of(worker, 2, wanted)).collect::<Vec<_>>();
        use Precedence::{First, Ordinary};
        assert_eq!(of(First), [First, First, Ordinary, Ordinary, Ordinary]);
        assert_eq!(of(Ordinary), [Ordinary; 5]);
    }
}
