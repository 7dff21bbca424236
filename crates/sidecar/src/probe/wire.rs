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
//! One more query may cross no router. If that one is answered by this node, the queries do not leave the host at all
//! (the anycast address stands on that very interface), and no pass is believed; if a router refuses it, the router
//! hears us, which a failure then says.
//!
//! | round | observed |
//! |---|---|
//! | some answer by this node | pass |
//! | answers by siblings alone | nothing |
//! | an answer by anybody else, or a refusal | fail |
//! | no answer, or no way out | fail |
//! | the bounded query is answered by this node; the kernel would drop what comes back; no address to ask from | warn: nothing is known, and a person should know why |

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pharos_netio::wire::{Pair, Reach};
use pharos_policy::policy::Input;
use pharos_policy::{Observation, SignalId};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::reply::{self, Reply, Wanted};
use super::{Zone, exchange, share};
use crate::config::WireConfig;
use crate::keeper::Keeper;

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

/// What came of one query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Us,
    Sibling,
    /// Somebody said something else, or the query could not be sent.
    Wrong(String),
    Nothing,
    /// A router said that the bounded query has come to its end.
    Router,
}

impl Wire {
    pub(super) async fn run(self) {
        let mut start = Instant::now() + share(self.config.interval, self.address);
        loop {
            sleep_until(start).await;
            if let Some(observation) = self.round().await {
                let signal = SignalId::Wire { address: self.address };
                self.keeper.take(Input::Observe { signal, observation });
            }
            start = (start + self.config.interval).max(Instant::now());
        }
    }

    async fn round(&self) -> Option<Observation> {
        let source = match self.source() {
            Ok(source) => source,
            Err(why) => return Some(Observation::Warn(why)),
        };
        let mut flows = JoinSet::new();
        for _ in 0..FLOWS {
            flows.spawn(self.flow(source, Reach::Anywhere));
        }
        let (heard, bounded) = tokio::join!(flows.join_all(), self.flow(source, Reach::FirstHop));
        judge(&self.config.interface, self.address.ip(), &heard, &bounded)
    }

    /// The address to ask from, if what comes back will not be dropped.
    fn source(&self) -> Result<IpAddr, String> {
        let interface = &self.config.interface;
        let all = pharos_netio::addresses_of(interface).unwrap_or_default();
        let target = self.address.ip();
        let suits = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => target.is_ipv4() && !ip.is_link_local(),
            IpAddr::V6(ip) => target.is_ipv6() && !ip.is_unicast_link_local(),
        };
        let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
        let source = all.into_iter().find(|ip| suits(ip) && *ip != target);
        let source = source.ok_or_else(|| format!("{interface} has no {family} address to ask from"))?;
        if target.is_ipv4() && !accepts_local(interface) {
            return Err(format!(
                "the kernel drops what comes back: set net.ipv4.conf.{interface}.accept_local to 1"
            ));
        }
        Ok(source)
    }

    fn flow(&self, source: IpAddr, reach: Reach) -> impl Future<Output = Heard> + Send + use<> {
        let (config, nsid, zone) = (Arc::clone(&self.config), Arc::clone(&self.nsid), self.zone.clone());
        let address = self.address;
        async move {
            let query = match reply::query(&zone.name, Wanted::Serial) {
                Ok(query) => query,
                Err(why) => return Heard::Wrong(why),
            };
            let pair = match Pair::open(&config.interface, source, address, reach) {
                Ok(pair) => pair,
                Err(error) => return Heard::Wrong(error.to_string()),
            };
            let answer = tokio::time::timeout(config.timeout, send_and_hear(pair, &query.octets));
            let octets = match answer.await {
                Ok(Ok(octets)) => octets,
                Ok(Err(error))
                    if error.kind() == std::io::ErrorKind::HostUnreachable && reach == Reach::FirstHop =>
                {
                    return Heard::Router;
                }
                Ok(Err(error)) => return Heard::Wrong(exchange::in_words(&error)),
                Err(_) => return Heard::Nothing,
            };
            let reply = Reply { octets, id: query.id };
            match reply::judge(&reply, &zone.name, &nsid) {
                // What it answers is the inner probe's matter.
                reply::Judged::Ours(_) => Heard::Us,
                reply::Judged::Strange(why) => {
                    let theirs = |sibling: &&String| {
                        matches!(reply::judge(&reply, &zone.name, sibling), reply::Judged::Ours(_))
                    };
                    if config.siblings.iter().any(|sibling| theirs(&sibling)) {
                        Heard::Sibling
                    } else {
                        Heard::Wrong(why)
                    }
                }
            }
        }
    }
}

/// Sends out of the interface and waits for an answer by whatever way.
async fn send_and_hear(pair: Pair, query: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let (out, back) = (UdpSocket::from_std(pair.out)?, UdpSocket::from_std(pair.back)?);
    out.send(query).await?;
    let (mut one, mut other) = (vec![0; exchange::UDP_ROOM], vec![0; exchange::UDP_ROOM]);
    let (mut octets, length) = tokio::select! {
        length = out.recv(&mut one) => { let length = length?; (one, length) }
        length = back.recv(&mut other) => { let length = length?; (other, length) }
    };
    octets.truncate(length);
    Ok(octets)
}

/// Whether the kernel takes IPv4 packets from one of its own addresses (fib_validate_source).
fn accepts_local(interface: &str) -> bool {
    ["all", interface].into_iter().any(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/accept_local");
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
    })
}

fn judge(interface: &str, address: IpAddr, heard: &[Heard], bounded: &Heard) -> Option<Observation> {
    if *bounded == Heard::Us {
        return Some(Observation::Warn(format!(
            "queries do not leave this host: is {address} an address of {interface}? it belongs on lo"
        )));
    }
    if heard.contains(&Heard::Us) {
        return Some(Observation::Pass(format!("answered by way of {interface}")));
    }
    if let Some(Heard::Wrong(why)) = heard.iter().find(|heard| matches!(heard, Heard::Wrong(_))) {
        return Some(Observation::Fail(format!("by way of {interface}: {why}")));
    }
    if heard.contains(&Heard::Sibling) {
        return None;
    }
    let router = match bounded {
        Heard::Router => ", though the router hears this node",
        _ => "",
    };
    Some(Observation::Fail(format!("no answer by way of {interface}{router}")))
}

/// So long after the last observation a wire probe has fallen silent.
pub(crate) fn silence(config: &WireConfig) -> Duration {
    (config.interval.max(config.timeout) * 10).max(Duration::from_secs(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(heard: &[Heard], bounded: Heard) -> Option<Observation> {
        judge("eth0", [192, 0, 2, 53].into(), heard, &bounded)
    }

    fn wrong() -> Heard {
        Heard::Wrong("NSID says b.fra, this node is a.ams".into())
    }

    #[test]
    fn one_answer_of_this_node_is_a_pass_unless_the_query_never_left() {
        let heard = [Heard::Sibling, wrong(), Heard::Us, Heard::Nothing];
        assert!(matches!(judged(&heard, Heard::Nothing), Some(Observation::Pass(_))));
        assert!(matches!(judged(&heard, Heard::Us), Some(Observation::Warn(_))));
    }

    #[test]
    fn siblings_alone_prove_nothing_and_strangers_are_a_failure() {
        assert_eq!(judged(&[Heard::Nothing, Heard::Sibling], Heard::Router), None);
        let fail = "by way of eth0: NSID says b.fra, this node is a.ams";
        assert_eq!(judged(&[Heard::Sibling, wrong()], Heard::Nothing), Some(Observation::Fail(fail.into())));
    }

    #[test]
    fn a_failure_says_whether_the_router_hears_us() {
        let fail = |text: &str| Some(Observation::Fail(text.to_owned()));
        assert_eq!(judged(&[Heard::Nothing], Heard::Nothing), fail("no answer by way of eth0"));
        let heard = "no answer by way of eth0, though the router hears this node";
        assert_eq!(judged(&[Heard::Nothing], Heard::Router), fail(heard));
    }
}
