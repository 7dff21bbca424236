//! A thread on each CPU from which probes are sent.
//!
//! The responder has a worker for each CPU, and the kernel steers a packet to the worker of the CPU that received it.
//! What goes over loopback is received by the CPU that sends it. So whoever wants to ask a certain worker has to sit
//! where it sits: here, on a thread with a small runtime that is pinned to that CPU. A CPU on which nothing else can
//! run any more, because a worker spins there, then makes late what is sent from it, and nothing else.

use std::pin::Pin;
use std::sync::Arc;

use pharos_netio::affinity::{CpuId, allowed_cpus, pin_current_thread};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::StartError;
use crate::threads::{Stage, Threads, Turn};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) cpu: CpuId,
    runtime: watch::Receiver<Option<Handle>>,
}

/// All of them; none where they cannot be pinned, or there is but one CPU.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<[Seat]>);

impl Seats {
    /// Takes a seat on every CPU that this process may use.
    pub(crate) fn take(threads: &Threads) -> Result<Self, StartError> {
        let cpus = match allowed_cpus() {
            Ok(cpus) if cpus.len() > 1 => cpus,
            Ok(_) => return Ok(Self::default()),
            Err(error) => {
                tracing::warn!(%error, "probes are sent from whatever CPU they run on");
                return Ok(Self::default());
            }
        };
        let seats = cpus.into_iter().map(|cpu| {
            let (tell, runtime) = watch::channel(None);
            let mut stopping = threads.stopping();
            threads.spawn(format!("pharos-seat-{cpu}"), Stage::Driving, Turn::First, async move {
                if let Err(error) = pin_current_thread(cpu) {
                    tracing::warn!(%error, "probes from this CPU are sent from another");
                }
                tell.send_replace(Some(Handle::current()));
                let _ = stopping.ordered().await;
            })?;
            Ok(Seat { cpu, runtime })
        });
        Ok(Self(seats.collect::<Result<_, StartError>>()?))
    }

    /// The seat whose turn it is.
    pub(crate) fn get(&self, turn: usize) -> Option<&Seat> {
        self.0.get(turn.checked_rem(self.0.len())?)
    }
}

impl Seat {
    /// Runs something here until it is dropped; before the thread has begun, where the caller is. `None`: the thread has
    /// ended.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Option<T>> + Send>> {
        let Some(runtime) = self.runtime.borrow().clone() else {
            return Box::pin(async move { Some(work.await) });
        };
        // A set aborts what is in it when it is dropped, so that nobody waits for an answer that is not wanted any more.
        let mut running = JoinSet::new();
        running.spawn_on(work, &runtime);
        Box::pin(async move { running.join_next().await?.ok() })
    }
}
