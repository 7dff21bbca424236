//! Which of the addresses that a thread answers at a query came to.
//!
//! Queries are counted by it, so that the traffic of a prefix is known. A socket is bound to one of the addresses, so
//! that its whole batches have one place and nothing is looked up; the packets of AF_XDP tell themselves.

use std::net::{IpAddr, SocketAddr};

use pharos_netio::Peer;

/// The places of packets that no socket has told of.
///
/// Ports are not looked at: of two with one address the first counts for both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Places {
    /// At most one address of each family is answered at, IPv4 first: the sender's family says it.
    ByFamily([usize; 2]),
    /// There are more.
    ByAddress(Box<[IpAddr]>),
}

impl Places {
    /// The places in this list.
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        if v4 > 1 || addresses.len() - v4 > 1 {
            return Self::ByAddress(addresses.iter().map(SocketAddr::ip).collect());
        }
        // Of a family that is not answered at nothing comes.
        let first = |is: fn(&SocketAddr) -> bool| addresses.iter().position(is).unwrap_or(addresses.len());
        Self::ByFamily([first(SocketAddr::is_ipv4), first(SocketAddr::is_ipv6)])
    }

    /// Where a packet came to; beyond the list if nowhere in it.
    #[inline]
    pub(crate) fn of(&self, peer: &Peer<'_>) -> usize {
        match self {
            Self::ByFamily([v4, v6]) => {
                if peer.source_ip().is_ipv4() {
                    *v4
                } else {
                    *v6
                }
            }
            Self::ByAddress(addresses) => match peer.destination() {
                Some(asked) => find(addresses, asked),
                None => usize::MAX,
            },
        }
    }
}

/// The address itself, or else the one that stands for all of its family.
fn find(addresses: &[IpAddr], asked: IpAddr) -> usize {
    let itself = addresses.iter().position(|address| *address == asked);
    let any = || {
        let stands = |address: &IpAddr| address.is_unspecified() && address.is_ipv4() == asked.is_ipv4();
        addresses.iter().position(stands)
    };
    itself.or_else(any).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_address_of_each_family_is_told_by_the_family() {
        assert_eq!(Places::new(&listen(&["[2001:db8::1]:53", "192.0.2.1:53"])), Places::ByFamily([1, 0]));
        assert_eq!(Places::new(&listen(&["192.0.2.1:53"])), Places::ByFamily([0, 1]));
        assert_eq!(Places::new(&[]), Places::ByFamily([0, 0]));
    }

    #[test]
    fn of_several_the_destination_is_looked_up_and_the_wildcard_stands_for_the_others() {
        let Places::ByAddress(all) = Places::new(&listen(&["192.0.2.1:53", "0.0.0.0:53", "[::1]:53"])) else {
            panic!("two addresses of a family cannot be told by it");
        };
        assert_eq!(find(&all, [192, 0, 2, 1].into()), 0);
        assert_eq!(find(&all, [192, 0, 2, 9].into()), 1);
        assert_eq!(find(&all, "2001:db8::1".parse().unwrap()), usize::MAX);
    }
}
