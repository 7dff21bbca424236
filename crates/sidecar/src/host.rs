//! What the host's own tables say: whether the anycast addresses are still there, and a way out for replies.
//!
//! Only what was there and is gone counts. An address that no interface ever had may be local by a route (AnyIP), or
//! be the loopback's; a host that never had a default route may know every route in the world. Of those nothing is
//! observed, and the probes judge without it. What a process before has seen was there, at a hand-over.
//!
//! The tables are read every quarter of a second, which takes some ten microseconds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::policy::Input;
use pharos_policy::{Family, Health, Observation, Policy, SignalId};
use tokio::time::sleep;

use crate::keeper::Keeper;

/// From one look to the next.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Flags of a route (linux/route.h): it is usable; it refuses.
const USABLE: u32 = 0x1;
const REFUSES: u32 = 0x200;

/// What has been there.
#[derive(Debug, Default)]
struct Seen(BTreeSet<SignalId>);

impl Seen {
    /// What has a verdict has been there.
    fn before(policy: &Policy, watched: &[SignalId]) -> Self {
        let known = |id: &&SignalId| policy.health(id).is_some_and(|health| health != Health::Unknown);
        Self(watched.iter().filter(known).cloned().collect())
    }

    /// What is to be said of something that is there now, or is not.
    fn observe(&mut self, signal: &SignalId, there: bool) -> Option<Observation> {
        if there {
            self.0.insert(signal.clone());
            return Some(Observation::Pass("is there".to_owned()));
        }
        self.0.contains(signal).then(|| Observation::Fail("was there and is gone".to_owned()))
    }
}

/// Looks until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let watched: Vec<_> = keeper.state().policy.observed().cloned().collect();
    let watched: Vec<_> = watched
        .into_iter()
        .filter(|id| matches!(id, SignalId::Address { .. } | SignalId::DefaultRoute { .. }))
        .collect();
    let mut seen = Seen::before(&keeper.state().policy, &watched);
    loop {
        // A table that cannot be read says nothing.
        let addresses = pharos_netio::own_addresses().ok();
        for signal in &watched {
            let there = match signal {
                SignalId::Address { ip } => addresses.as_ref().map(|all| has(all, *ip)),
                SignalId::DefaultRoute { family } => has_default(*family),
                _ => None,
            };
            if let Some(observation) = there.and_then(|there| seen.observe(signal, there)) {
                keeper.take(Input::Observe { signal: signal.clone(), observation });
            }
        }
        sleep(LOOK).await;
    }
}

fn has(addresses: &[IpAddr], ip: IpAddr) -> bool {
    addresses.binary_search(&ip).is_ok()
}

fn has_default(family: Family) -> Option<bool> {
    let (path, parse): (_, fn(&str) -> bool) = match family {
        Family::Ipv4 => ("/proc/self/net/route", is_default_ipv4),
        Family::Ipv6 => ("/proc/self/net/ipv6_route", is_default_ipv6),
    };
    Some(std::fs::read_to_string(path).ok()?.lines().any(parse))
}

/// Interface, destination, gateway, flags, three counts, mask.
fn is_default_ipv4(line: &str) -> bool {
    let fields: Vec<_> = line.split_whitespace().collect();
    matches!(fields.as_slice(), [_, "00000000", _, flags, _, _, _, "00000000", ..] if is_usable(flags))
}

/// Destination, its length, source, its length, gateway, three counts, flags, interface.
fn is_default_ipv6(line: &str) -> bool {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [destination, "00", _, _, _, _, _, _, flags, _] = fields.as_slice() else { return false };
    destination.bytes().all(|digit| digit == b'0') && is_usable(flags)
}

fn is_usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & USABLE != 0 && flags & REFUSES == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_can_be_gone() {
        let mut seen = Seen::default();
        let signal = SignalId::Address { ip: IpAddr::from([192, 0, 2, 53]) };
        assert_eq!(seen.observe(&signal, false), None);
        assert!(matches!(seen.observe(&signal, true), Some(Observation::Pass(_))));
        assert!(matches!(seen.observe(&signal, false), Some(Observation::Fail(_))));
    }

    #[test]
    fn what_the_process_before_has_seen_was_there() {
        let settings = crate::config::sample::config().policy();
        let mut policy = Policy::new(Duration::ZERO, settings).unwrap();
        let of_address = |id: &&SignalId| matches!(id, SignalId::Address { .. });
        let signal = policy.observed().find(of_address).unwrap().clone();
        let watched = [signal.clone()];
        assert_eq!(Seen::before(&policy, &watched).observe(&signal, false), None);
        let observation = Observation::Pass("is there".to_owned());
        let input = Input::Observe { signal: signal.clone(), observation };
        policy.step(Duration::ZERO, input, &mut Vec::new());
        let gone = Seen::before(&policy, &watched).observe(&signal, false);
        assert!(matches!(gone, Some(Observation::Fail(_))));
    }

    #[test]
    fn default_routes_are_found_in_the_kernels_tables() {
        let v4 = |flags| format!("eth0\t00000000\t010011AC\t{flags}\t0\t0\t0\t00000000\t0\t0\t0");
        assert!(is_default_ipv4(&v4("0003")));
        assert!(!is_default_ipv4(&v4("0201")), "one that refuses");
        assert!(!is_default_ipv4("eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"));
        assert!(!is_default_ipv4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU"));
        let zero = "0".repeat(32);
        let v6 = |flags, at| format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 {flags} {at}");
        assert!(is_default_ipv6(&v6("00450003", "eth0")));
        assert!(!is_default_ipv6(&v6("00200200", "lo")), "what every host has on lo");
    }
}
