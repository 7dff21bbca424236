//! The inner probe: asks the responder as a client would, through the anycast addresses.
//!
//! For every address and transport that a prefix needs there is one loop. A round asks for the SOA of some of
//! the required zones, each on a socket of its own, waits for all answers, and hands the keeper two kinds of
//! observations: whether anybody answered who is this node (the *probe* signal), and whether each zone is
//! answered with authority and the serial that the responder's status names (the *zone* signals). Rounds of
//! one loop never overlap; loops start at random offsets, so that they do not march in step.
//!
//! A single lost answer among others is the zone's matter; only a round without any answer speaks against the
//! address. So one lost packet never counts more than once. But whoever answers in this node's place, or refuses in it, does
//! speak against the address, though others are answered.
//!
//! A round that nobody answered in time is told as such, since overload may explain it; before that is told, this host and
//! the responder's status are asked whether queries are dropped and whether its threads run (`probe/doubt.rs`). The same
//! holds of a zone that goes unanswered among others. What is answered within a second, though late, is answered; unless so
//! many rounds have gone unanswered meanwhile that the address counts as bad, which the defaults say after 0.45 s, or after
//! 0.65 s where the status does not come. A query that this host itself did not let out (`probe/exchange.rs`) is one that
//! nobody answered: it says as little of the responder, and a flood is what fills the tables and buffers of a host.
//!
//! A mismatch of serials is judged only against a status that was fetched after the answer came, because a
//! reload may fall between the two; the serial that the status named when the query was sent is good as well, because it
//! may fall before the answer is read; and like any failure it has to last for `fall` rounds. It is a warning of the zone and
//! no failure: clients get an answer, and whatever makes it differ may do so at all POPs.
//!
//! The loops run on one thread; what they send, they send from each CPU in turn (`probe/seats.rs`), since the kernel
//! steers what goes over loopback to the worker of the CPU that sends it. A loop that is not answered stays at its CPU
//! until it is: so a worker that is stuck among many fails `fall` rounds in a row, once its turn has come, and a packet
//! that is lost here and there does not. Of N CPUs each has its turn every N intervals.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name;
use pharos_policy::policy::Input;
use pharos_policy::{Family, Observation, SignalId, Transport};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::config::{ProbeConfig, WireConfig, zone_name};
use crate::keeper::Keeper;
use crate::metrics::ProbeResult;
use crate::responder::{Expected, Serials};

mod doubt;
mod exchange;
mod pace;
pub(crate) mod reply;
mod seats;
pub(crate) mod wire;

use doubt::{Believed, Doubt};
use exchange::{Late, Miss};
use pace::Pace;
use reply::{Asking, Flaw, Judged, Reply};
use seats::Seat;
pub(crate) use seats::Seats;
use wire::Wire;

/// A required zone: as configured, and as asked for.
#[derive(Clone, Debug)]
struct Zone {
    text: Arc<str>,
    name: Name,
}

/// How long an answer is still worth having: what clients wait before they ask somebody else.
const LATEST: Duration = Duration::from_secs(1);

/// One loop.
struct Loop {
    config: ProbeConfig,
    judge: Judge,
    zones: Vec<Zone>,
    /// Where the next round begins in `zones`.
    turn: usize,
    seats: Seats,
    /// Where the next round is sent from.
    cpu: usize,
    /// Of rounds that nobody answered in time.
    silence: Doubt,
    /// Of rounds in which some zone was not answered for in time.
    gaps: Doubt,
}

/// What makes observations of answers. Each late answer has one of its own.
#[derive(Clone)]
struct Judge {
    keeper: Arc<Keeper>,
    nsid: Arc<str>,
    address: SocketAddr,
    transport: Transport,
    serials: Serials,
    slow: Duration,
    pace: Arc<Mutex<Pace>>,
}

/// Probes everything that the policy needs, until it is dropped.
pub(crate) async fn run(
    keeper: Arc<Keeper>,
    config: ProbeConfig,
    wire: Option<WireConfig>,
    seats: Seats,
    nsid: Arc<str>,
    serials: Serials,
) {
    let mut targets: BTreeMap<(SocketAddr, Transport), Vec<Zone>> = BTreeMap::new();
    for (signal, _) in keeper.state().policy.needed() {
        if let SignalId::Zone { address, transport, zone } = signal
            && let Ok(name) = zone_name(zone)
        {
            targets.entry((*address, *transport)).or_default().push(Zone { text: Arc::clone(zone), name });
        }
    }
    let mut loops = JoinSet::new();
    let wire = wire.map(Arc::new);
    for ((address, transport), zones) in &targets {
        let (Some(config), Transport::Udp, Some(zone)) = (&wire, transport, zones.first()) else { continue };
        let (keeper, nsid) = (Arc::clone(&keeper), Arc::clone(&nsid));
        let (config, address, zone) = (Arc::clone(config), *address, zone.clone());
        loops.spawn(Wire { keeper, config, nsid, address, zone }.run());
    }
    for ((address, transport), zones) in targets {
        let (keeper, nsid, serials) = (Arc::clone(&keeper), Arc::clone(&nsid), serials.clone());
        let judge =
            Judge { keeper, nsid, address, transport, serials, slow: config.slow, pace: Arc::default() };
        // Loops begin at different CPUs, so that together they are sooner through.
        let (seats, cpu) = (seats.clone(), loops.len());
        let (silence, gaps) = (Doubt::default(), Doubt::default());
        loops.spawn(Loop { config, judge, zones, turn: 0, seats, cpu, silence, gaps }.run());
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
    id: u16,
    /// What the status said of its serial when it was asked.
    before: Expected,
    /// When it was asked, in the keeper's time.
    started: Duration,
    /// When the answer was there, or was given up.
    at: Duration,
    outcome: Result<Vec<u8>, Miss>,
}

/// What a round without any answer has seen.
enum Silent {
    /// Something else than an answer.
    Refused(String),
    /// Nothing at all, or it could not be asked.
    Unanswered(String),
}

/// Of what a late answer is evidence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Zone,
    ZoneAndAddress,
}

impl Loop {
    async fn run(mut self) {
        let mut start = Instant::now() + share(self.config.interval, self.judge.address);
        loop {
            sleep_until(start).await;
            self.round().await;
            // A tenth of jitter keeps loops from falling into step; a late round is not made up for.
            let pause = self.config.interval - self.config.interval / 20
                + share(self.config.interval / 10, self.judge.address);
            start = (start + pause).max(Instant::now());
        }
    }

    async fn round(&mut self) {
        let Judge { address, transport, .. } = self.judge;
        let mut asking = JoinSet::new();
        for zone in self.take_turn() {
            let seat = self.seats.get(self.cpu).cloned();
            let patience = (self.judge.keeper.clock, self.config.timeout);
            let query = reply::query(&zone.name, self.judge.serials.wanted());
            let before = self.judge.serials.expected(&zone.name);
            asking.spawn(ask(patience, address, transport, (zone, before, query), seat));
        }
        let mut asked = Vec::new();
        while let Some(joined) = asking.join_next().await {
            match joined {
                Ok(Ok(one)) => asked.push(one),
                // A query that cannot be encoded is a zone's name that no server can have.
                Ok(Err((zone, why))) => self.judge.zone(&zone, Observation::Fail(why)),
                Err(_) => {}
            }
        }
        self.settle(asked).await;
    }

    /// The zones of the next round.
    fn take_turn(&mut self) -> Vec<Zone> {
        let count = self.config.zones_per_round.get().min(self.zones.len());
        let turn: Vec<_> = self.zones.iter().cycle().skip(self.turn).take(count).cloned().collect();
        self.turn = (self.turn + count) % self.zones.len().max(1);
        turn
    }

    async fn settle(&mut self, asked: Vec<Asked>) {
        let (mut ours, mut silent, mut unanswered, mut awaited) = (None, None, false, false);
        // Somebody else answers, or refuses, where this node does as well.
        let mut strange = None;
        let mut zones = Vec::new();
        for Asked { zone, id, before, started, at, outcome } in asked {
            let took = at.saturating_sub(started);
            match outcome {
                Ok(octets) => match self.judge.answer(&zone, Reply { octets, id }, (before, at)).await {
                    Ok(observation) => {
                        ours.get_or_insert(took);
                        self.judge.count(result_of(&observation), took);
                        zones.push((zone, observation));
                    }
                    Err(why) => {
                        self.judge.count(ProbeResult::Unreachable, took);
                        silent = Some(Silent::Refused(why.clone()));
                        zones.push((zone, Observation::Fail(why.clone())));
                        strange = Some(why);
                    }
                },
                Err(Miss::Refused(why)) => {
                    self.judge.count(ProbeResult::Unreachable, took);
                    silent = Some(Silent::Refused(why.clone()));
                    zones.push((zone, Observation::Fail(why.clone())));
                    strange = Some(why);
                }
                Err(Miss::NotAsked(why)) => {
                    // Nothing was sent, so nothing can come late; else as good as unanswered.
                    self.judge.count(ProbeResult::NotAsked, took);
                    unanswered = true;
                    silent.get_or_insert(Silent::Unanswered(why.clone()));
                    zones.push((zone, Observation::Unanswered(why)));
                }
                Err(Miss::Unanswered(why, late)) => {
                    self.judge.count(ProbeResult::Unanswered, took);
                    // However many of a round come late, its address has been heard once.
                    let of = if awaited { Of::Zone } else { Of::ZoneAndAddress };
                    (unanswered, awaited) = (true, true);
                    tokio::spawn(self.judge.clone().wait(zone.clone(), id, (before, started), late, of));
                    // One that said no says more than one that said nothing.
                    silent.get_or_insert(Silent::Unanswered(why.clone()));
                    zones.push((zone, Observation::Unanswered(why)));
                }
            }
        }
        let Some(took) = ours else { return self.unheard(silent).await };
        self.silence.end();
        // Whoever is not answered stays, so that a worker that is stuck fails often enough in a row.
        self.cpu = self.cpu.wrapping_add(1);
        self.judge.pace(took);
        self.judge.probe(match strange {
            Some(why) => Observation::Fail(why),
            None => Observation::Pass(format!("answered in {:.1} ms", took.as_secs_f64() * 1e3)),
        });
        if unanswered {
            // Whether queries are dropped tells a lost one from a zone that is not answered for; and of many zones, those of
            // this round were last asked for a turn ago.
            let takes_turns = self.zones.len() > self.config.zones_per_round.get();
            let believed = if takes_turns { Believed::Each } else { Believed::InARow(self.config.fall) };
            self.gaps.go_on(believed, &self.judge.keeper, &mut self.judge.serials).await;
        } else {
            self.gaps.end();
        }
        for (zone, observation) in zones {
            self.judge.zone(&zone, observation);
        }
    }

    /// A round that this node did not answer.
    async fn unheard(&mut self, silent: Option<Silent>) {
        match silent {
            Some(Silent::Unanswered(why)) => {
                let believed = Believed::InARow(self.config.fall);
                self.silence.go_on(believed, &self.judge.keeper, &mut self.judge.serials).await;
                self.judge.probe(Observation::Unanswered(why));
            }
            Some(Silent::Refused(why)) => self.judge.probe(Observation::Fail(why)),
            None => self.judge.probe(Observation::Fail("nothing could be asked".to_owned())),
        }
    }
}

impl Judge {
    /// What is seen of a zone, if this node answered; else why it did not. A warning: the answer can be used, and is not
    /// what it should be.
    async fn answer(
        &mut self,
        zone: &Zone,
        reply: Reply,
        (before, at): (Expected, Duration),
    ) -> Result<Observation, String> {
        match reply::judge(&reply, &zone.name, &self.nsid) {
            Judged::Strange(why) => Err(why),
            Judged::Ours(Ok(told)) => {
                self.serials.tell(at, &zone.name, told);
                Ok(self.compare(&zone.name, told.serial, (before, at)).await)
            }
            Judged::Ours(Err(Flaw::Disagrees(why))) => Ok(Observation::Warn(why)),
            Judged::Ours(Err(Flaw::Wrong(why))) => Ok(Observation::Fail(why)),
        }
    }

    /// Waits for an answer that is late. That it comes shows that somebody answers: slowly, which is another
    /// fault. It was counted as unanswered.
    async fn wait(
        mut self,
        zone: Zone,
        id: u16,
        (before, started): (Expected, Duration),
        late: Late,
        of: Of,
    ) {
        let Some(octets) = late.answer(LATEST).await else { return };
        let at = self.keeper.clock.now();
        if let Ok(observation) = self.answer(&zone, Reply { octets, id }, (before, at)).await {
            let took = at.saturating_sub(started);
            self.pace(took);
            let took = took.as_secs_f64() * 1e3;
            if of == Of::ZoneAndAddress {
                self.probe(Observation::Pass(format!("answered late, in {took:.1} ms")));
            }
            self.zone(&zone, observation);
        }
    }

    /// Holds a serial against the one that the responder's status names.
    async fn compare(
        &mut self,
        zone: &Name,
        serial: u32,
        (before, answered): (Expected, Duration),
    ) -> Observation {
        if before == Expected::Serial(serial) {
            return Observation::Pass(format!("serial {serial}"));
        }
        let held_against = |expected: Expected| match expected {
            Expected::Serial(expected) if expected == serial => Observation::Pass(format!("serial {serial}")),
            Expected::Serial(expected) => {
                Observation::Warn(format!("serial {serial}, status says {expected}"))
            }
            Expected::Unknown => Observation::Pass(format!("serial {serial}, not compared")),
        };
        match held_against(self.serials.expected(zone)) {
            Observation::Warn(_) => held_against(self.serials.expected_after(zone, answered).await),
            agrees => agrees,
        }
    }

    fn count(&self, result: ProbeResult, took: Duration) {
        self.keeper.metrics.probe(Family::of(self.address.ip()), self.transport, result, took);
    }

    /// Remembers how long an answer by UDP took, and tells how its like come.
    fn pace(&self, took: Duration) {
        if self.transport == Transport::Tcp {
            return;
        }
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner).took(took, self.slow);
        if let Some(observation) = pace {
            self.keeper
                .take(Input::Observe { signal: SignalId::Slow { address: self.address }, observation });
        }
    }

    fn probe(&self, observation: Observation) {
        let (address, transport) = (self.address, self.transport);
        self.keeper.take(Input::Observe { signal: SignalId::Probe { address, transport }, observation });
    }

    fn zone(&self, zone: &Zone, observation: Observation) {
        let (address, transport, zone) = (self.address, self.transport, Arc::clone(&zone.text));
        let signal = SignalId::Zone { address, transport, zone };
        self.keeper.take(Input::Observe { signal, observation });
    }
}

fn result_of(observation: &Observation) -> ProbeResult {
    if matches!(observation, Observation::Pass(_)) { ProbeResult::Pass } else { ProbeResult::Wrong }
}

async fn ask(
    (clock, timeout): (Clock, Duration),
    address: SocketAddr,
    transport: Transport,
    (zone, before, query): (Zone, Expected, Result<Asking, String>),
    seat: Option<Seat>,
) -> Result<Asked, (Zone, String)> {
    let started = clock.now();
    let query = match query {
        Ok(query) => query,
        Err(why) => return Err((zone, why)),
    };
    let outcome = exchange::ask(address, transport, timeout, query.octets, seat).await;
    Ok(Asked { zone, id: query.id, before, started, at: clock.now(), outcome })
}

/// A random part of `whole`.
fn share(whole: Duration, salt: SocketAddr) -> Duration {
    // Each RandomState has keys of its own: randomness enough for spreading load, from std alone.
    let random = RandomState::new().hash_one(salt) % 1024;
    whole * u32::try_from(random).unwrap_or(0) / 1024
}
