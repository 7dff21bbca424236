//! Whom a connection is counted against: its address, and the network around that.

use std::net::IpAddr;

/// One that has connections.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Holder {
    Address(IpAddr),
    /// The network that one customer of an access provider or one small site has: /24 or /56. Its address, with zeroes
    /// for all that the customer chooses.
    Network(IpAddr),
}

impl Holder {
    /// The network of an address.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(match address {
            IpAddr::V4(address) => IpAddr::V4((u32::from(address) & !0 << 8).into()),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !0 << 72).into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_24_or_a_56() {
        let network = |text: &str| Holder::network(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), Holder::Network("192.0.2.0".parse().unwrap()));
        assert_eq!(network("2001:db8:0:1ff::1"), Holder::Network("2001:db8:0:100::".parse().unwrap()));
        assert_ne!(network("2001:db8:0:1ff::1"), network("2001:db8:0:200::1"));
    }
}
