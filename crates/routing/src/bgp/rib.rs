//! The adj-RIB-out: what the neighbour should know, what it was told, and the difference.
//!
//! Nothing here knows of messages or time. A route announced and withdrawn before anybody asked for the difference
//! leaves no trace; a route set again to what was told is not told again.

use std::collections::BTreeMap;

use crate::{Families, Family, Prefix, Route};

/// Both sides of the difference.
#[derive(Debug, Default)]
pub(crate) struct AdjRibOut {
    wanted: BTreeMap<Prefix, Route>,
    told: BTreeMap<Prefix, Route>,
}

/// What the neighbour must be told, withdrawals before announcements: leaving is the more urgent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) withdraw: Vec<(Family, Vec<Prefix>)>,
    /// Groups of prefixes of one family that share all attributes: those of the route.
    pub(crate) announce: Vec<(Route, Vec<Prefix>)>,
}

impl AdjRibOut {
    /// Wants exactly these routes.
    pub(crate) fn set(&mut self, routes: impl IntoIterator<Item = Route>) {
        self.wanted = routes.into_iter().map(|route| (route.prefix, route.normalized())).collect();
    }

    /// Wants this route, in place of another for its prefix.
    pub(crate) fn insert(&mut self, route: Route) {
        self.wanted.insert(route.prefix, route.normalized());
    }

    /// No longer wants a route for this prefix.
    pub(crate) fn remove(&mut self, prefix: Prefix) {
        self.wanted.remove(&prefix);
    }

    /// The session is gone and the neighbour has forgotten everything.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }

    /// The neighbour wants to hear all of a family again.
    pub(crate) fn forget_family(&mut self, family: Family) {
        self.told.retain(|prefix, _| prefix.family() != family);
    }

    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Route> {
        self.wanted.values()
    }

    pub(crate) fn told(&self) -> impl Iterator<Item = &Route> {
        self.told.values()
    }

    /// What the neighbour has been told already on a session that was taken over.
    pub(crate) fn set_told(&mut self, routes: impl IntoIterator<Item = Route>) {
        self.told = routes.into_iter().map(|route| (route.prefix, route.normalized())).collect();
    }

    /// The difference in what the session carries; it counts as told from here on. What it cannot carry any more
    /// is withdrawn.
    pub(crate) fn take_difference(
        &mut self,
        families: Families,
        carried: impl Fn(&Route) -> bool,
    ) -> Difference {
        let mut difference = Difference::default();
        let stays = |prefix: &Prefix| self.wanted.get(prefix).is_some_and(&carried);
        let gone: Vec<Prefix> = self.told.keys().filter(|p| !stays(p)).copied().collect();
        for family in families.iter() {
            let of_family: Vec<Prefix> = gone.iter().filter(|p| p.family() == family).copied().collect();
            if !of_family.is_empty() {
                difference.withdraw.push((family, of_family));
            }
        }
        for prefix in gone {
            self.told.remove(&prefix);
        }
        for route in self.wanted.values() {
            let carried = families.contains(route.prefix.family()) && carried(route);
            if carried && self.told.get(&route.prefix) != Some(route) {
                match difference.announce.iter_mut().find(|(first, _)| same_attributes(first, route)) {
                    Some((_, prefixes)) => prefixes.push(route.prefix),
                    None => difference.announce.push((route.clone(), vec![route.prefix])),
                }
            }
        }
        for (route, prefixes) in &difference.announce {
            for &prefix in prefixes {
                self.told.insert(prefix, Route { prefix, ..route.clone() });
            }
        }
        difference
    }
}

/// Whether two routes fit one UPDATE.
fn same_attributes(a: &Route, b: &Route) -> bool {
    a.prefix.family() == b.prefix.family()
        && a.next_hop == b.next_hop
        && a.prepends == b.prepends
        && a.med == b.med
        && a.local_pref == b.local_pref
        && a.communities == b.communities
        && a.large_communities == b.large_communities
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Community;

    fn any(_: &Route) -> bool {
        true
    }

    fn route(prefix: &str) -> Route {
        let prefix: Prefix = prefix.parse().unwrap();
        let next_hop = match prefix.family() {
            Family::Ipv4 => "10.0.0.2",
            Family::Ipv6 => "fd00::2",
        };
        Route::new(prefix, next_hop.parse().unwrap())
    }

    #[test]
    fn a_route_that_comes_and_goes_before_the_difference_leaves_no_trace() {
        let mut rib = AdjRibOut::default();
        rib.insert(route("192.0.2.0/24"));
        rib.remove("192.0.2.0/24".parse().unwrap());
        assert_eq!(rib.take_difference(Families::BOTH, any), Difference::default());
    }

    #[test]
    fn the_difference_is_told_once() {
        let mut rib = AdjRibOut::default();
        rib.set([route("192.0.2.0/24"), route("2001:db8::/32")]);
        assert_eq!(rib.take_difference(Families::BOTH, any).announce.len(), 2);
        rib.set([route("2001:db8::/32"), route("192.0.2.0/24")]);
        assert_eq!(rib.take_difference(Families::BOTH, any), Difference::default());
        rib.set([]);
        assert_eq!(rib.take_difference(Families::BOTH, any).withdraw.len(), 2);
        assert_eq!(rib.take_difference(Families::BOTH, any), Difference::default());
    }

    #[test]
    fn routes_that_share_all_attributes_share_an_update() {
        let mut rib = AdjRibOut::default();
        let mut tagged = route("203.0.113.0/24");
        tagged.communities = vec![Community(2), Community(1), Community(2)];
        let mut likewise = route("198.51.100.0/24");
        likewise.communities = vec![Community(1), Community(2)];
        rib.set([route("192.0.2.0/24"), tagged, likewise]);
        let groups: Vec<usize> = rib
            .take_difference(Families::BOTH, any)
            .announce
            .iter()
            .map(|(_, prefixes)| prefixes.len())
            .collect();
        assert_eq!(groups, [1, 2]);
    }

    #[test]
    fn a_family_that_the_session_lacks_waits() {
        let mut rib = AdjRibOut::default();
        rib.set([route("192.0.2.0/24"), route("2001:db8::/32")]);
        rib.take_difference(Families::IPV4, any);
        assert_eq!(rib.told().count(), 1);
        rib.forget();
        assert_eq!(rib.take_difference(Families::BOTH, any).announce.len(), 2);
    }

    #[test]
    fn a_route_that_the_session_cannot_carry_any_more_is_withdrawn() {
        let mut rib = AdjRibOut::default();
        rib.set([route("192.0.2.0/24")]);
        rib.take_difference(Families::BOTH, any);
        let over_ipv6 = Route { next_hop: "fd00::2".parse().unwrap(), ..route("192.0.2.0/24") };
        rib.set([over_ipv6]);
        let difference = rib.take_difference(Families::BOTH, |route| !route.needs_extended_next_hop());
        assert_eq!((difference.withdraw.len(), difference.announce.len()), (1, 0));
    }

    #[test]
    fn what_was_told_before_a_take_over_is_not_told_again() {
        let mut rib = AdjRibOut::default();
        rib.set_told([route("192.0.2.0/24"), route("198.51.100.0/24")]);
        rib.set([route("192.0.2.0/24")]);
        let difference = rib.take_difference(Families::BOTH, any);
        assert_eq!((difference.withdraw.len(), difference.announce.len()), (1, 0));
    }
}
