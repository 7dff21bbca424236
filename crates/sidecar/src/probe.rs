//! The inner probe: asks the responder as a client would, through the anycast addresses.
//!
//! For every address and transport that a prefix needs there is one loop. A round asks for the SOA of some of
//! the required zones, each on a socket of its own, waits for all answers, and hands the keeper two kinds of
//! observations: whether anybody answered who is this node (the *probe* signal), and whether each zone is
//! answered with authority and the serial that the responder's status names (the *zone* signals). Rounds of
//! one loop never overlap; loops start at random offsets, so that they do not march in step.
//!
//! A single lost answer among others is the zone's matter; only a round without any answer speaks against the
//! address. So one lost packet never counts more than once.
//!
//! A mismatch of serials is judged only against a status that was fetched after the answer came, because a
//! reload may fall between the two; and like any failure it has to last for `fall` rounds.
//!
//! The loops run on one thread. Where the kernel steers queries to workers by the CPU that sends them, this
//! thread reaches the worker of the CPU on which it happens to run. A probe pinned to each CPU in turn needs
//! a signal for each CPU, since a fault that shows in one round out of many never fails twice in a row.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name;
use pharos_policy::policy::Input;
use pharos_policy::{Family, Observation, SignalId, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::{ProbeConfig, zone_name};
use crate::keeper::Keeper;
use crate::metrics::ProbeResult;
use crate::responder::{Expected, Serials};

mod exchange;
mod reply;

use reply::Reply;

/// A required zone: as configured, and as asked for.
#[derive(Clone, Debug)]
struct Zone {
    text: Arc<str>,
    name: Name,
}

/// One loop.
struct Loop {
    keeper: Arc<Keeper>,
    config: ProbeConfig,
    nsid: Arc<str>,
    address: SocketAddr,
    transport: Transport,
    zones: Vec<Zone>,
    /// Where the next round begins in `zones`.
    turn: usize,
    serials: Serials,
}

/// Probes everything that the policy needs, until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>, config: ProbeConfig, nsid: Arc<str>, serials: Serials) {
    let mut targets: BTreeMap<(SocketAddr, Transport), Vec<Zone>> = BTreeMap::new();
    for (signal, _) in keeper.state().policy.needed() {
        if let SignalId::Zone { address, transport, zone } = signal
            && let Ok(name) = zone_name(zone)
        {
            targets.entry((*address, *transport)).or_default().push(Zone { text: Arc::clone(zone), name });
        }
    }
    let mut loops = JoinSet::new();
    for ((address, transport), zones) in targets {
        let (keeper, nsid, serials) = (Arc::clone(&keeper), Arc::clone(&nsid), serials.clone());
        let one = Loop { keeper, config, nsid, address, transport, zones, turn: 0, serials };
        loops.spawn(one.run());
    }
    // They end only with the runtime; a panic of one is the end of all, which the thread's owner reports.
    while let Some(ended) = loops.join_next().await {
        if ended.is_err() {
            return;
        }
    }
}

/// What came of asking for one zone.
struct Asked {
    zone: Zone,
    outcome: Result<Reply, String>,
    took: Duration,
    /// When the answer was there, in the keeper's time.
    at: Duration,
}

impl Loop {
    async fn run(mut self) {
        let mut start = Instant::now() + share(self.config.interval, self.address);
        loop {
            sleep_until(start).await;
            self.round().await;
            // A tenth of jitter keeps loops from falling into step; a late round is not made up for.
            let pause = self.config.interval - self.config.interval / 20
                + share(self.config.interval / 10, self.address);
            start = (start + pause).max(Instant::now());
        }
    }

    async fn round(&mut self) {
        let mut asking = JoinSet::new();
        for zone in self.take_turn() {
            asking.spawn(ask(self.keeper.clock, self.config.timeout, self.address, self.transport, zone));
        }
        let mut asked = Vec::new();
        while let Some(joined) = asking.join_next().await {
            asked.extend(joined.ok());
        }
        self.judge(asked).await;
    }

    /// The zones of the next round.
    fn take_turn(&mut self) -> Vec<Zone> {
        let count = self.config.zones_per_round.get().min(self.zones.len());
        let turn: Vec<_> = self.zones.iter().cycle().skip(self.turn).take(count).cloned().collect();
        self.turn = (self.turn + count) % self.zones.len().max(1);
        turn
    }

    async fn judge(&mut self, asked: Vec<Asked>) {
        let (mut ours, mut strange) = (None, None);
        let mut zones = Vec::new();
        for Asked { zone, outcome, took, at } in asked {
            let family = Family::of(self.address.ip());
            let judged = match outcome {
                Ok(reply) => reply::judge(&reply, &zone.name, &self.nsid),
                Err(why) => reply::Judged::Strange(why),
            };
            let (result, verdict) = match judged {
                reply::Judged::Strange(why) => {
                    strange.get_or_insert_with(|| why.clone());
                    (ProbeResult::Unreachable, Err(why))
                }
                reply::Judged::Ours(verdict) => {
                    ours.get_or_insert(took);
                    let verdict = match verdict {
                        Ok(serial) => self.compare(&zone.name, serial, at).await,
                        Err(why) => Err(why),
                    };
                    (if verdict.is_ok() { ProbeResult::Pass } else { ProbeResult::Wrong }, verdict)
                }
            };
            self.keeper.metrics.probe(family, self.transport, result, took);
            zones.push((zone, verdict));
        }
        let (address, transport) = (self.address, self.transport);
        let Some(took) = ours else {
            let why = strange.unwrap_or_else(|| "nothing could be asked".to_owned());
            self.observe(SignalId::Probe { address, transport }, Observation::Fail(why));
            return;
        };
        let text = format!("answered in {:.1} ms", took.as_secs_f64() * 1e3);
        self.observe(SignalId::Probe { address, transport }, Observation::Pass(text));
        for (zone, verdict) in zones {
            let observation = match verdict {
                Ok(text) => Observation::Pass(text),
                Err(text) => Observation::Fail(text),
            };
            self.observe(SignalId::Zone { address, transport, zone: zone.text }, observation);
        }
    }

    /// Holds a serial against the one that the responder's status names.
    async fn compare(&mut self, zone: &Name, serial: u32, answered: Duration) -> Result<String, String> {
        let matches = |expected: &Expected| match expected {
            Expected::Serial(expected) if *expected == serial => Some(Ok(format!("serial {serial}"))),
            Expected::Serial(expected) => Some(Err(format!("serial {serial}, status says {expected}"))),
            Expected::Unknown => None,
        };
        let now = matches(&self.serials.expected(zone));
        let judged = match now {
            Some(Err(_)) => matches(&self.serials.expected_after(zone, answered).await),
            other => other,
        };
        judged.unwrap_or_else(|| Ok(format!("serial {serial}, not compared")))
    }

    fn observe(&self, signal: SignalId, observation: Observation) {
        self.keeper.take(Input::Observe { signal, observation });
    }
}

async fn ask(
    clock: crate::clock::Clock,
    timeout: Duration,
    address: SocketAddr,
    transport: Transport,
    zone: Zone,
) -> Asked {
    let started = clock.now();
    let outcome = match reply::query(&zone.name) {
        Ok(query) => exchange::ask(address, transport, timeout, &query.octets)
            .await
            .map(|octets| Reply { octets, id: query.id }),
        Err(why) => Err(why),
    };
    let at = clock.now();
    Asked { zone, outcome, took: at.saturating_sub(started), at }
}

/// A random part of `whole`.
fn share(whole: Duration, salt: SocketAddr) -> Duration {
    // Each RandomState has keys of its own: randomness enough for spreading load, from std alone.
    let random = RandomState::new().hash_one(salt) % 1024;
    whole * u32::try_from(random).unwrap_or(0) / 1024
}
