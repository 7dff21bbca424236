//! Real queries by prefix: the responder's counts of what came to its service addresses, as rates.
//!
//! The responder counts apart what comes from this very host, so our own probes, the wire probe's included, are no
//! traffic. A prefix has the queries of the addresses that lie in it, and of those that its group names for it: the
//! same rule by which the policy finds its probes. A responder that listens on a wildcard address counts for all
//! prefixes of the family; one that counts nothing by address tells nothing.
//!
//! A count that is smaller than the last, or of another process, begins anew.

use std::net::SocketAddr;
use std::time::Duration;

use pharos_policy::{GroupConfig, Observation, Prefix};

use super::view::AddressView;

/// Readings that follow sooner on one another are waited with, so that a rate is of some queries.
const LEAST: Duration = Duration::from_millis(900);

/// What a reading says of one prefix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) prefix: Prefix,
    pub(super) per_second: f64,
    pub(super) observation: Observation,
}

/// Makes rates of counts.
#[derive(Debug)]
pub(super) struct Loads {
    quiet_per_second: u32,
    /// The time from one rate to the next, at least.
    least: Duration,
    watched: Vec<Watched>,
    last: Option<(u32, Duration)>,
}

#[derive(Debug)]
struct Watched {
    prefix: Prefix,
    /// Where it is asked.
    probed: Vec<SocketAddr>,
    count: Option<u64>,
}

impl Loads {
    /// For the prefixes of these groups, when the status is read once an `interval`.
    pub(super) fn new(groups: &[GroupConfig], quiet_per_second: u32, interval: Duration) -> Self {
        let of = |group: &GroupConfig| {
            let watched = |&prefix: &Prefix| Watched { prefix, probed: group.probed(prefix), count: None };
            group.prefixes.iter().map(watched).collect::<Vec<_>>()
        };
        let watched = groups.iter().flat_map(of).collect();
        Self { quiet_per_second, least: LEAST.min(interval), watched, last: None }
    }

    /// Takes the counts of a process; gives the rates since the last ones.
    pub(super) fn read(&mut self, now: Duration, pid: u32, counts: &[AddressView]) -> Vec<Load> {
        let since = match self.last {
            Some((same, at)) if same == pid => {
                let since = now.saturating_sub(at);
                if since < self.least {
                    return Vec::new();
                }
                Some(since.as_secs_f64())
            }
            _ => None,
        };
        self.last = Some((pid, now));
        let quiet = self.quiet_per_second;
        let mut loads = Vec::new();
        for watched in &mut self.watched {
            let of = counts.iter().filter(|count| watched.has(count.address)).map(|count| count.client);
            let sum = of.fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0).saturating_add(count)));
            let last = std::mem::replace(&mut watched.count, sum);
            let (Some(since), Some(more)) =
                (since, sum.zip(last).and_then(|(sum, last)| sum.checked_sub(last)))
            else {
                continue;
            };
            // Queries between two readings are few enough for a float to count them.
            #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
            let per_second = more as f64 / since;
            let observation = if per_second < f64::from(quiet) {
                let queries = if quiet == 1 { "query" } else { "queries" };
                Observation::Fail(format!("nobody asks here: fewer than {quiet} {queries} a second"))
            } else {
                Observation::Pass(format!("{per_second:.0} queries a second came from clients"))
            };
            loads.push(Load { prefix: watched.prefix, per_second, observation });
        }
        loads
    }
}

impl Watched {
    fn has(&self, address: SocketAddr) -> bool {
        let stands_for = |probed: &SocketAddr| {
            *probed == address
                || address.ip().is_unspecified()
                    && address.is_ipv4() == probed.is_ipv4()
                    && address.port() == probed.port()
        };
        self.prefix.contains(address.ip()) || self.probed.iter().any(stands_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sample;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn loads(addresses: &[&str]) -> Loads {
        let group = GroupConfig {
            prefixes: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:53::/48".parse().unwrap()],
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ..sample::group()
        };
        Loads::new(&[group], 1, S(1))
    }

    fn counts(all: &[(&str, u64)]) -> Vec<AddressView> {
        all.iter()
            .map(|(address, client)| AddressView { address: address.parse().unwrap(), client: *client })
            .collect()
    }

    fn rates(loads: &[Load]) -> Vec<f64> {
        loads.iter().map(|load| load.per_second).collect()
    }

    #[test]
    fn the_queries_of_a_prefix_are_those_of_the_addresses_in_it() {
        let mut loads = loads(&["192.0.2.53:53", "192.0.2.54:53", "[2001:db8:53::53]:53"]);
        let at = |a, b, c| counts(&[("192.0.2.53:53", a), ("192.0.2.54:53", b), ("[2001:db8:53::53]:53", c)]);
        assert_eq!(loads.read(S(1), 7, &at(5, 5, 5)), [], "what was before is not known");
        let read = loads.read(S(3), 7, &at(105, 205, 6));
        assert_eq!(rates(&read), [150.0, 0.5]);
        assert!(matches!(&read[0].observation, Observation::Pass(text) if text.starts_with("150 queries")));
        assert!(
            matches!(&read[1].observation, Observation::Fail(text) if text == "nobody asks here: fewer than 1 query a second")
        );
    }

    #[test]
    fn readings_in_quick_succession_are_one() {
        let mut loads = loads(&["192.0.2.53:53"]);
        let at = |count| counts(&[("192.0.2.53:53", count)]);
        loads.read(S(1), 7, &at(0));
        assert_eq!(loads.read(S(1) + Duration::from_millis(100), 7, &at(0)), []);
        assert_eq!(rates(&loads.read(S(2), 7, &at(50))), [50.0]);
    }

    #[test]
    fn a_new_process_begins_anew_and_one_that_counts_no_address_tells_nothing() {
        let mut loads = loads(&["192.0.2.53:53"]);
        let at = |count| counts(&[("192.0.2.53:53", count)]);
        loads.read(S(1), 7, &at(900));
        assert_eq!(loads.read(S(2), 8, &at(1000)), []);
        assert_eq!(loads.read(S(3), 8, &at(3)), [], "a count that went back");
        assert_eq!(rates(&loads.read(S(4), 8, &at(5))), [2.0]);
        assert_eq!(loads.read(S(5), 8, &[]), []);
    }

    #[test]
    fn a_wildcard_counts_for_its_family_and_loopback_for_the_prefixes_that_it_stands_for() {
        let mut wild = loads(&["192.0.2.53:53", "[2001:db8:53::53]:53"]);
        wild.read(S(1), 7, &counts(&[("0.0.0.0:53", 0)]));
        assert_eq!(rates(&wild.read(S(2), 7, &counts(&[("0.0.0.0:53", 9)]))), [9.0]);
        let mut laboratory = loads(&["127.0.0.1:5300"]);
        laboratory.read(S(1), 7, &counts(&[("127.0.0.1:5300", 0)]));
        assert_eq!(rates(&laboratory.read(S(2), 7, &counts(&[("127.0.0.1:5300", 9)]))), [9.0]);
    }
}
