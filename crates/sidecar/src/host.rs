//! What the host's own table says: whether the anycast addresses are still there.
//!
//! Only what was there and is gone counts. An address that no interface ever had may be local by a route (AnyIP), or
//! be the loopback's. Of those nothing is observed, and the probes judge without it. What a process before has seen was
//! there, at a hand-over.
//!
//! The table is read every quarter of a second, which takes some ten microseconds. Those of routes may be long, and are
//! read elsewhere: [`way_out`](crate::way_out).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::policy::Input;
use pharos_policy::{Health, Observation, Policy, SignalId};
use tokio::time::sleep;

use crate::keeper::Keeper;

/// From one look to the next.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// What has been there.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeSet<SignalId>);

impl Seen {
    /// What has a verdict has been there.
    pub(crate) fn before<'a>(policy: &Policy, watched: impl IntoIterator<Item = &'a SignalId>) -> Self {
        let known = |id: &&SignalId| policy.health(id).is_some_and(|health| health != Health::Unknown);
        Self(watched.into_iter().filter(known).cloned().collect())
    }

    /// What is to be said of something that is there now, or is not.
    pub(crate) fn observe(&mut self, signal: &SignalId, there: bool) -> Option<Observation> {
        if there {
            self.0.insert(signal.clone());
            return Some(Observation::Pass("is there".to_owned()));
        }
        self.0.contains(signal).then(|| Observation::Fail("was there and is gone".to_owned()))
    }
}

/// Looks until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let is_address = |id: &&SignalId| matches!(id, SignalId::Address { .. });
    let watched: Vec<_> = keeper.state().policy.observed().filter(is_address).cloned().collect();
    let mut seen = Seen::before(&keeper.state().policy, &watched);
    loop {
        // A table that cannot be read says nothing.
        let addresses = pharos_netio::own_addresses().ok();
        for signal in &watched {
            let there = match signal {
                SignalId::Address { ip } => addresses.as_ref().map(|all| has(all, *ip)),
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
}
