//! What the host's own table says: whether the anycast addresses are still there.
//!
//! Only what was there and is gone counts. An address that no interface ever had may be local by a route (AnyIP), or
//! be the loopback's. Of those nothing is observed, and the probes judge without it. What a process before has seen was
//! there, at a hand-over.
//!
//! The table is read every quarter of a second, which takes some ten microseconds; but the kernel may take seconds, where
//! somebody holds its lock on interfaces (namespaces that end, drivers that think). So the looks have a thread of their
//! own, and nothing that must go on waits for them: meanwhile nothing is observed. One reading that misses an address
//! says nothing either, for a table may change while it is read in parts: a second one has to miss it, too. Tables of
//! routes may be long, and are read elsewhere: [`way_out`](crate::way_out).

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

    /// Whether this has been there.
    fn knows(&self, signal: &SignalId) -> bool {
        self.0.contains(signal)
    }

    /// What is to be said of something that is there now, or is not.
    pub(crate) fn observe(&mut self, signal: &SignalId, there: bool) -> Option<Observation> {
        if there {
            self.0.insert(signal.clone());
            return Some(Observation::Pass("is there".to_owned()));
        }
        self.knows(signal).then(|| Observation::Fail("was there and is gone".to_owned()))
    }
}

/// Looks until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let address = |id: &SignalId| match id {
        SignalId::Address { ip } => Some((id.clone(), *ip)),
        _ => None,
    };
    let watched: Vec<_> = keeper.state().policy.observed().filter_map(address).collect();
    let mut seen = Seen::before(&keeper.state().policy, watched.iter().map(|(id, _)| id));
    loop {
        for (signal, observation) in look(&watched, &mut seen, || pharos_netio::own_addresses().ok()) {
            keeper.take(Input::Observe { signal, observation });
        }
        sleep(LOOK).await;
    }
}

/// What one look says. A table that cannot be read says nothing.
fn look(
    watched: &[(SignalId, IpAddr)],
    seen: &mut Seen,
    read: impl Fn() -> Option<Vec<IpAddr>>,
) -> Vec<(SignalId, Observation)> {
    let Some(mut there) = read() else { return Vec::new() };
    if watched.iter().any(|(id, ip)| seen.knows(id) && !there.contains(ip)) {
        let Some(again) = read() else { return Vec::new() };
        there.extend(again);
    }
    let said = |(id, ip): &(SignalId, IpAddr)| Some((id.clone(), seen.observe(id, there.contains(ip))?));
    watched.iter().filter_map(said).collect()
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
    fn one_reading_that_misses_an_address_says_nothing_and_two_do() {
        let ip = IpAddr::from([192, 0, 2, 53]);
        let watched = [(SignalId::Address { ip }, ip)];
        let mut seen = Seen::default();
        let mut said = |readings: &[Option<Vec<IpAddr>>]| {
            let left = std::cell::Cell::new(readings);
            let read = || {
                let (first, rest) = left.get().split_first().unwrap();
                left.set(rest);
                first.clone()
            };
            let observed = look(&watched, &mut seen, read);
            assert!(left.get().is_empty(), "read as often as it must, and not more often");
            observed.into_iter().map(|(_, observation)| observation).next()
        };
        assert_eq!(said(&[Some(vec![])]), None, "it was never there");
        let there = Some(Observation::Pass("is there".to_owned()));
        assert_eq!(said(&[Some(vec![ip])]), there);
        assert_eq!(said(&[Some(vec![]), Some(vec![ip])]), there);
        assert_eq!(said(&[Some(vec![]), None]), None);
        assert!(matches!(said(&[Some(vec![]), Some(vec![])]), Some(Observation::Fail(_))));
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
