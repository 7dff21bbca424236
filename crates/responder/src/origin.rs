//! Whom a query is from: strangers, this host, or people at the management addresses.
//!
//! What is counted of strangers must not be moved by the sidecar's probes, which come from this very host several
//! times a second, nor by an operator who looks what a node answers. So each has a set of counts of its own
//! ([`crate::counters::Tally`]), and all that the query path does is to pick one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Whom a query is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Somebody somewhere, at a service address.
    Client,
    /// This host, at a service address: the sidecar's probes, and people at its keyboard.
    Probe,
    /// Whoever asks a management address.
    Management,
}

impl Origin {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Probe, Self::Management];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Probe => "probe",
            Self::Management => "management",
        }
    }
}

/// How the origin of a query follows from its source.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    /// At a service address this host is told from strangers.
    Service(Arc<OwnAddresses>),
    /// At a management address everybody is the same.
    Management,
}

impl Origins {
    #[inline]
    pub(crate) fn of(&self, source: IpAddr) -> Origin {
        match self {
            Self::Service(own) if own.has(source) => Origin::Probe,
            Self::Service(_) => Origin::Client,
            Self::Management => Origin::Management,
        }
    }
}

/// Addresses that are told from strangers'; a host with more has its other ones counted as clients.
const AT_MOST: usize = 64;

/// The addresses of this host, asked once for each query and replaced now and then.
///
/// One word tells nearly every stranger from the host: the bit that an address is hashed to is set if one of the
/// host's own is. While the addresses are being replaced, a query may be counted wrongly; no more.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    filter: AtomicU64,
    count: AtomicUsize,
    all: [[AtomicU64; 2]; AT_MOST],
}

impl Default for OwnAddresses {
    fn default() -> Self {
        Self {
            filter: AtomicU64::default(),
            count: AtomicUsize::default(),
            all: std::array::from_fn(|_| Default::default()),
        }
    }
}

impl OwnAddresses {
    /// Takes the host's addresses as they are now; those known stay if it cannot be asked.
    pub(crate) fn refresh(&self) {
        if let Ok(all) = pharos_netio::own_addresses() {
            self.replace(&all);
        }
    }

    fn replace(&self, all: &[IpAddr]) {
        let mut filter = 0;
        let mut count = 0;
        for (place, &address) in self.all.iter().zip(all) {
            let key = key(address);
            filter |= bit(key);
            for (word, half) in place.iter().zip(key) {
                word.store(half, Relaxed);
            }
            count += 1;
        }
        self.count.store(count, Relaxed);
        self.filter.store(filter, Relaxed);
    }

    /// Whether an address is one of this host.
    #[inline]
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let key = key(address);
        // All of 127.0.0.0/8 is this host, whatever its interfaces list.
        (self.filter.load(Relaxed) & bit(key) != 0 && self.lists(key))
            || key[0] == 0 && key[1] >> 24 == 0xff_ff7f
    }

    #[cold]
    fn lists(&self, key: [u64; 2]) -> bool {
        let all = self.all.iter().take(self.count.load(Relaxed));
        all.into_iter().any(|words| words.each_ref().map(|word| word.load(Relaxed)) == key)
    }
}

/// The two halves of an address, of IPv4 those of its mapped form.
#[inline]
fn key(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, 0xffff_0000_0000 | u64::from(u32::from(address))],
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            [(bits >> 64) as u64, bits as u64]
        }
    }
}

/// The bit of the filter that an address has: the upper six of its product with a number of no pattern.
#[inline]
fn bit(key: [u64; 2]) -> u64 {
    1 << ((key[0] ^ key[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(own: &Arc<OwnAddresses>, source: &str) -> Origin {
        Origins::Service(own.clone()).of(source.parse().unwrap())
    }

    #[test]
    fn this_host_is_known_by_every_address_of_its_own_and_by_all_of_127() {
        let own = Arc::new(OwnAddresses::default());
        own.replace(&["192.0.2.1", "2001:db8::1", "::1"].map(|address| address.parse().unwrap()));
        for source in ["192.0.2.1", "2001:db8::1", "::1", "127.0.0.1", "127.255.0.9"] {
            assert_eq!(origin(&own, source), Origin::Probe, "{source}");
        }
        for n in 0..=255 {
            let sources = [format!("192.0.3.{n}"), format!("2001:db8::1:{n}"), format!("128.0.0.{n}")];
            sources.iter().for_each(|source| assert_eq!(origin(&own, source), Origin::Client, "{source}"));
        }
    }

    #[test]
    fn an_address_that_has_gone_is_a_stranger_again() {
        let own = Arc::new(OwnAddresses::default());
        own.replace(&["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap()));
        own.replace(&["192.0.2.2".parse().unwrap()]);
        assert_eq!(origin(&own, "192.0.2.1"), Origin::Client);
        assert_eq!(origin(&own, "192.0.2.2"), Origin::Probe);
    }

    #[test]
    fn a_host_with_more_addresses_than_are_kept_has_the_others_counted_as_clients() {
        let own = Arc::new(OwnAddresses::default());
        let all: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        own.replace(&all);
        assert_eq!(all.iter().filter(|&&address| own.has(address)).count(), AT_MOST);
    }

    #[test]
    fn at_a_management_address_everybody_is_management() {
        assert_eq!(Origins::Management.of([127, 0, 0, 1].into()), Origin::Management);
    }
}
