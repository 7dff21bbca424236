//! One worker of several that answers nobody: seen by the probes, whichever CPU it has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use common::responder::answer_well;
use common::{Collector, Running, V4, active, config, until};
use pharos_netio::affinity::{CpuId, allowed_cpus};
use pharos_netio::{Batch, Came, Inbox, MAX_SLOTS, Steering, UdpOptions, bind_group};
use pharos_policy::explain::Verdict;

/// A responder with a worker for each CPU, as ours is; one of them may be told to be silent.
struct Workers {
    address: SocketAddr,
    mute: Vec<Arc<AtomicBool>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(cpus: &[CpuId]) -> Self {
        let steering = Steering::ReceivingCpu { worker_cpus: cpus };
        let any = "127.0.0.1:0".parse().unwrap();
        let sockets = bind_group(any, cpus.len(), steering, &UdpOptions::default()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut all = Self { address: sockets[0].local_addr(), mute: Vec::new(), stop, threads: Vec::new() };
        for socket in sockets {
            let (mute, stop) = (Arc::new(AtomicBool::new(false)), Arc::clone(&all.stop));
            all.mute.push(Arc::clone(&mute));
            all.threads.push(std::thread::spawn(move || {
                let mut inbox = Inbox::new(vec![socket], Duration::from_millis(10)).unwrap();
                let mut batch = Batch::new(MAX_SLOTS, 4096, 4096);
                while !stop.load(Ordering::Relaxed) {
                    let Ok(Some(Came::Socket(_, socket))) = inbox.receive(&mut batch) else { continue };
                    batch.for_each(|slot| {
                        if let Some(reply) = answer_well(slot.query).filter(|_| !mute.load(Ordering::Relaxed))
                        {
                            slot.reply[..reply.len()].copy_from_slice(&reply);
                            slot.set_reply(reply.len());
                        }
                    });
                    batch.send(socket);
                }
            }));
        }
        all
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn each_worker_that_is_silent_among_others_withdraws_the_route() {
    let cpus = allowed_cpus().unwrap();
    if cpus.len() < 2 {
        println!("skipped: there is but one CPU");
        return;
    }
    let workers = Workers::start(&cpus);
    let router = Collector::passive();
    let mut settings = config(&[V4], vec![workers.address], vec![active(router.address)]);
    settings.probe.timeout = Duration::from_millis(500);
    let sidecar = Running::start(settings);
    let probe = || {
        let signals = sidecar.0.why(V4).unwrap().signals;
        signals.into_iter().find(|signal| signal.name.starts_with("UDP probe")).unwrap()
    };
    until("all workers answer", || (probe().health == Verdict::Good).then_some(()));
    for (mute, cpu) in workers.mute.iter().zip(&cpus) {
        mute.store(true, Ordering::Relaxed);
        until("the silent one is found", || (probe().health == Verdict::Bad).then_some(()));
        assert!(sidecar.reasons(V4).contains(&format!("asked from CPU {cpu}")), "{}", sidecar.reasons(V4));
        sidecar.until_level(V4, "withdrawn");
        mute.store(false, Ordering::Relaxed);
        until("all workers answer again", || (probe().health == Verdict::Good).then_some(()));
    }
}
