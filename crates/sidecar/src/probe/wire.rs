//! The wire probe: asks the responder by way of the router, as a customer's query comes.
//!
//! The inner probe goes over loopback and cannot see the network card, AF_XDP, or the router. So the same query is sent
//! out of the interface to the router, which has our route and sends it back: it shows that this node reaches its
//! router, that the router's route for the anycast address leads here, and that what comes by the interface is
//! answered, by this node (its NSID). It may lower the preference, and never withdraws: what it sees may be the
//! router's matter, and common to all nodes.
//!
//! A round sends a few queries from different ports, since a router with several nodes behind it spreads flows; one
//! answer of this node is enough. Where only the named siblings answer, nothing is observed: theirs is the other share.
//! A query that nobody answers is asked again from the same port, as long as there are no siblings: a network card
//! spreads flows over its queues by their ports, so one queue that swallows what it gets has caught all of a round's
//! flows some rounds later, while a packet that is lost here and there fails none.
//!
//! One more query may cross no router. If that one is answered by this node, the queries do not leave the host at all
//! (the anycast address stands on that very interface), and no pass is believed; if a router refuses it, the router
//! hears us, which a failure then says.
//!
//! What a round is worth depends on what this node asks of the network: `wire/judge.rs`. Where the kernel would drop
//! what comes back, or there is no address to ask from, it is a warning: nothing is known, and a person should know why.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pharos_netio::wire::{Pair, Reach};
use pharos_policy::policy::Input;
use pharos_policy::{Health, Observation, SignalId};
use pharos_routing::bgp::State as SessionState;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::reply::{self, Asking, Reply, Wanted};
use super::{Zone, exchange, share};
use crate::config::WireConfig;
use crate::keeper::Keeper;

mod judge;

use judge::{Asked, Heard, Judge, Round};

/// Queries of a round. Where a router spreads flows over two nodes, one round in sixteen misses this one, and five in a
/// row never do.
const FLOWS: usize = 4;

/// One loop.
pub(super) struct Wire {
    pub(super) keeper: Arc<Keeper>,
    pub(super) config: Arc<WireConfig>,
    pub(super) nsid: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) zone: Zone,
}

/// A query's port, and what came of it.
struct Flow {
    /// The port to ask from next time; 0 for any.
    port: u16,
    heard: Heard,
}

impl Wire {
    pub(super) async fn run(self) {
        let mut start = Instant::now() + share(self.config.interval, self.address);
        let mut judge = Judge::new(self.config.trial);
        let mut ports = [0; FLOWS];
        loop {
            sleep_until(start).await;
            if let Some(observation) = self.round(&mut judge, &mut ports).await {
                self.keeper.take(Input::Observe { signal: self.signal(), observation });
            }
            start = (start + self.config.interval).max(Instant::now());
        }
    }

    fn signal(&self) -> SignalId {
        SignalId::Wire { address: self.address }
    }

    async fn round(&self, judge: &mut Judge, ports: &mut [u16; FLOWS]) -> Option<Observation> {
        let source = match self.source().await {
            Ok(source) => source,
            Err(why) => return Some(Observation::Warn(why)),
        };
        let mut flows = JoinSet::new();
        for port in *ports {
            flows.spawn(self.flow(SocketAddr::new(source, port), Reach::Anywhere));
        }
        let bounded = self.flow(SocketAddr::new(source, 0), Reach::FirstHop);
        let (flows, bounded) = tokio::join!(flows.join_all(), bounded);
        for (port, flow) in ports.iter_mut().zip(&flows) {
            let stays = flow.heard == Heard::Nothing && self.config.siblings.is_empty();
            *port = if stays { flow.port } else { 0 };
        }
        let heard: Vec<_> = flows.into_iter().map(|flow| flow.heard).collect();
        let round = Round {
            interface: &self.config.interface,
            address: self.address.ip(),
            heard: &heard,
            bounded: &bounded.heard,
        };
        let (asked, health) = self.standing();
        judge.round(self.keeper.clock.now(), &round, asked, health)
    }

    /// What this node asks for the address, and the verdict so far.
    fn standing(&self) -> (Asked, Health) {
        let state = self.keeper.state();
        let health = state.policy.health(&self.signal()).unwrap_or(Health::Unknown);
        // In a dry run somebody else announces what is told to nobody here.
        let is_down =
            |session: Option<SessionState>| session.is_some_and(|state| state != SessionState::Established);
        let untold = state.announcers.is_empty()
            && !state.neighbours.is_empty()
            && state.neighbours.iter().all(|neighbour| is_down(neighbour.state));
        let level = state.policy.best_level_of(&self.signal());
        let asked = level.filter(|_| !untold).map_or(Asked::None, Asked::of);
        (asked, health)
    }

    /// The address to ask from, if what comes back will not be dropped.
    async fn source(&self) -> Result<IpAddr, String> {
        let interface = &self.config.interface;
        let config = Arc::clone(&self.config);
        // The kernel lists addresses when nobody changes interfaces, for which one may wait for seconds. That makes this
        // round late, and must not stop the thread on which all probes run.
        let looking = tokio::task::spawn_blocking(move || pharos_netio::addresses_of(&config.interface));
        let all = looking.await.ok().and_then(Result::ok).unwrap_or_default();
        let target = self.address.ip();
        let suits = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => target.is_ipv4() && !ip.is_link_local(),
            IpAddr::V6(ip) => target.is_ipv6() && !ip.is_unicast_link_local(),
        };
        let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
        let source = all.into_iter().find(|ip| suits(ip) && *ip != target);
        let source = source.ok_or_else(|| format!("{interface} has no {family} address to ask from"))?;
        if target.is_ipv4() && !accepts_local(Path::new(SETTINGS), interface) {
            return Err(format!(
                "the kernel drops what comes back: set net.ipv4.conf.{interface}.accept_local to 1"
            ));
        }
        Ok(source)
    }

    fn flow(&self, from: SocketAddr, reach: Reach) -> impl Future<Output = Flow> + Send + use<> {
        let (config, nsid, zone) = (Arc::clone(&self.config), Arc::clone(&self.nsid), self.zone.clone());
        let address = self.address;
        async move {
            let asking = match reply::query(&zone.name, Wanted::Serial) {
                Ok(asking) => asking,
                Err(why) => return Flow { port: 0, heard: Heard::Wrong(why) },
            };
            let open = |from| Pair::open(&config.interface, from, address, reach);
            // Somebody may have taken the port meanwhile.
            let pair = match open(from).or_else(|_| open(SocketAddr::new(from.ip(), 0))) {
                Ok(pair) => pair,
                Err(error) => return Flow { port: 0, heard: Heard::Wrong(error.to_string()) },
            };
            let port = pair.out.local_addr().map_or(0, |from| from.port());
            let heard = match tokio::time::timeout(config.timeout, send_and_hear(pair, &asking)).await {
                Ok(Ok(octets)) => {
                    let reply = Reply { octets, id: asking.id };
                    heard_of(&reply, &zone, &nsid, &config.siblings)
                }
                Ok(Err(error))
                    if error.kind() == std::io::ErrorKind::HostUnreachable && reach == Reach::FirstHop =>
                {
                    Heard::Router
                }
                Ok(Err(error)) => Heard::Wrong(exchange::in_words(&error)),
                Err(_) => Heard::Nothing,
            };
            Flow { port, heard }
        }
    }
}

/// Who has answered.
fn heard_of(reply: &Reply, zone: &Zone, nsid: &str, siblings: &[String]) -> Heard {
    let by = |nsid: &str| reply::judge(reply, &zone.name, nsid);
    match by(nsid) {
        // What it answers is the inner probe's matter.
        reply::Judged::Ours(_) => Heard::Us,
        reply::Judged::Strange(_)
            if siblings.iter().any(|sibling| matches!(by(sibling), reply::Judged::Ours(_))) =>
        {
            Heard::Sibling
        }
        reply::Judged::Strange(why) => Heard::Wrong(why),
    }
}

/// Sends out of the interface and waits for an answer by whatever way.
async fn send_and_hear(pair: Pair, asking: &Asking) -> Result<Vec<u8>, std::io::Error> {
    let (out, back) = (UdpSocket::from_std(pair.out)?, UdpSocket::from_std(pair.back)?);
    out.send(&asking.octets).await?;
    let (mut one, mut other) = (vec![0; exchange::UDP_ROOM], vec![0; exchange::UDP_ROOM]);
    loop {
        let came = tokio::select! {
            length = out.recv(&mut one) => one.get(..length?),
            length = back.recv(&mut other) => other.get(..length?),
        };
        // A query from the same port may have been answered late.
        if let Some(octets) = came.filter(|octets| octets.starts_with(&asking.id.to_be_bytes())) {
            return Ok(octets.to_vec());
        }
    }
}

/// Whether the kernel takes IPv4 packets from one of its own addresses (fib_validate_source), as far as `settings` tell: a
/// unit may hide them (`ProcSubset=pid`), and then the probe itself finds out.
fn accepts_local(settings: &Path, interface: &str) -> bool {
    let said: Vec<String> = ["all", interface]
        .into_iter()
        .filter_map(|name| std::fs::read_to_string(settings.join(name).join("accept_local")).ok())
        .collect();
    said.is_empty() || said.iter().any(|text| text.trim() == "1")
}

/// Where the kernel's settings of interfaces for IPv4 are.
const SETTINGS: &str = "/proc/sys/net/ipv4/conf";

/// So long after the last observation a wire probe has fallen silent.
pub(crate) fn silence(config: &WireConfig) -> Duration {
    (config.interval.max(config.timeout) * 10).max(Duration::from_secs(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_nobody_may_read_forbid_nothing() {
        let settings = std::env::temp_dir().join(format!("pharos-accept-local-{}", std::process::id()));
        assert!(accepts_local(&settings, "eth0"), "nothing is there to be read");
        for (all, own, accepts) in [("0", "0", false), ("1", "0", true), ("0", "1", true)] {
            for (name, value) in [("all", all), ("eth0", own)] {
                std::fs::create_dir_all(settings.join(name)).unwrap();
                std::fs::write(settings.join(name).join("accept_local"), format!("{value}\n")).unwrap();
            }
            assert_eq!(accepts_local(&settings, "eth0"), accepts, "{all} {own}");
        }
        std::fs::remove_dir_all(&settings).unwrap();
    }
}
