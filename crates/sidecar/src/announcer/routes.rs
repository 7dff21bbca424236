//! From levels to routes: what one neighbour should be told. Pure.

use std::net::IpAddr;

use pharos_policy::{Level, Prefix};
use pharos_routing::{Family, Route};

use super::drift::{Gap, Kind};
use crate::config::NeighbourConfig;

/// The routes that a neighbour should know.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Those that can be sent.
    pub(super) sendable: Vec<Route>,
    /// Those that cannot.
    pub(super) impossible: Vec<Impossible>,
}

/// A route that cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Impossible {
    pub(super) prefix: Prefix,
    /// A sentence without a full stop.
    pub(super) why: String,
    /// Whether another alarm says it already.
    pub(super) kind: Kind,
}

/// What `neighbour` should be told at these levels, on a session whose own address is `local`.
pub(super) fn wanted(
    neighbour: &NeighbourConfig,
    levels: &[(Prefix, Level)],
    local: Option<IpAddr>,
) -> Wanted {
    let mut wanted = Wanted::default();
    for &(prefix, level) in levels {
        let Some(attributes) = neighbour.levels.of(level) else { continue };
        let family = Family::of(prefix.address());
        if !neighbour.families.contains(family) {
            continue;
        }
        let Some(next_hop) = next_hop(neighbour, family, local) else {
            // Without a session there is the alarm about the neighbour. Nobody else says the rest.
            let (why, kind) = match local {
                None => ("its next hop is our own address on the session, which is not up", Kind::Explained),
                Some(_) => ("no next hop of its family; the session runs over the other one", Kind::Astray),
            };
            wanted.impossible.push(Impossible { prefix, why: why.to_owned(), kind });
            continue;
        };
        // Both crates clear host bits and bound lengths alike, so the conversion always succeeds.
        let Ok(told) = pharos_routing::Prefix::new(prefix.address(), prefix.length()) else { continue };
        let mut route = Route::new(told, next_hop);
        route.communities.clone_from(&attributes.communities);
        route.large_communities.clone_from(&attributes.large_communities);
        route.prepends = attributes.prepends;
        route.med = attributes.med;
        route.local_pref = attributes.local_pref;
        match route.check() {
            Ok(()) => wanted.sendable.push(route),
            Err(error) => {
                let why = error.to_string();
                wanted.impossible.push(Impossible { prefix, why, kind: Kind::Astray });
            }
        }
    }
    wanted
}

/// The configured next hop, else the session's own address where it is of the family.
fn next_hop(neighbour: &NeighbourConfig, family: Family, local: Option<IpAddr>) -> Option<IpAddr> {
    let configured = match family {
        Family::Ipv4 => neighbour.next_hop_ipv4,
        Family::Ipv6 => neighbour.next_hop_ipv6.map(IpAddr::V6),
    };
    configured.or_else(|| local.filter(|local| Family::of(*local) == family))
}

/// Where a neighbour does not know what it should, or knows what it should not. `why_not` says why a route that could
/// be sent was not.
pub(super) fn gaps(
    impossible: &[Impossible],
    wanted: &[&Route],
    told: &[&Route],
    why_not: impl Fn(&Route) -> (String, Kind),
) -> Vec<Gap> {
    let same = |route: &Route| Prefix::new(route.prefix.addr(), route.prefix.len()).ok();
    let known = |prefix: Prefix| told.iter().find(|told| same(told) == Some(prefix)).map(|told| line(told));
    let observed = |prefix| known(prefix).unwrap_or_else(|| "not told".to_owned());
    let mut gaps = Vec::new();
    for &Impossible { prefix, ref why, kind } in impossible {
        let (wanted, observed) = ("announced".to_owned(), observed(prefix));
        gaps.push(Gap { prefix, wanted, observed, why: why.clone(), kind });
    }
    for route in wanted.iter().filter(|wanted| !told.contains(wanted)) {
        let Some(prefix) = same(route) else { continue };
        let (why, kind) = why_not(route);
        gaps.push(Gap { prefix, wanted: line(route), observed: observed(prefix), why, kind });
    }
    for route in told.iter().filter(|told| !wanted.iter().any(|wanted| wanted.prefix == told.prefix)) {
        let Some(prefix) = same(route) else { continue };
        let (wanted, why) = ("withdrawn".to_owned(), "it is being withdrawn".to_owned());
        gaps.push(Gap { prefix, wanted, observed: line(route), why, kind: Kind::Closing });
    }
    gaps
}

/// Where octets wait that the neighbour does not take: what they tell, `told`, differs from what it was told when it had
/// taken all. Each message that comes after one that waits does so as well.
pub(super) fn untaken(told: &[&Route], taken: &[Route]) -> Vec<Gap> {
    let of = |routes: &[&Route], route: &Route| {
        routes.iter().find(|other| other.prefix == route.prefix).map(|other| line(other))
    };
    let taken: Vec<&Route> = taken.iter().collect();
    let changed = told.iter().filter(|told| !taken.contains(told));
    let gone = taken.iter().filter(|taken| !told.iter().any(|told| told.prefix == taken.prefix));
    let gap = |route: &&Route| {
        Some(Gap {
            prefix: Prefix::new(route.prefix.addr(), route.prefix.len()).ok()?,
            wanted: of(told, route).unwrap_or_else(|| "withdrawn".to_owned()),
            observed: of(&taken, route).unwrap_or_else(|| "not told".to_owned()),
            why: "that waits, for the neighbour takes no octets".to_owned(),
            kind: Kind::Closing,
        })
    };
    changed.chain(gone).filter_map(gap).collect()
}

/// A route as a person reads it: `192.0.2.0/24 via 10.0.0.2 communities 64512:53`.
pub(super) fn line(route: &Route) -> String {
    let mut line = format!("{} via {}", route.prefix, route.next_hop);
    if route.prepends > 0 {
        line += &format!(" prepends {}", route.prepends);
    }
    if let Some(med) = route.med {
        line += &format!(" med {med}");
    }
    if let Some(local_pref) = route.local_pref {
        line += &format!(" local-pref {local_pref}");
    }
    if !route.communities.is_empty() {
        let texts: Vec<_> = route.communities.iter().map(ToString::to_string).collect();
        line += &format!(" communities {}", texts.join(" "));
    }
    if !route.large_communities.is_empty() {
        let texts: Vec<_> = route.large_communities.iter().map(ToString::to_string).collect();
        line += &format!(" large communities {}", texts.join(" "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LevelMap;
    use pharos_routing::{Community, Families};

    fn neighbour() -> NeighbourConfig {
        let mut neighbour = NeighbourConfig::new("10.0.0.1".parse().unwrap(), 64500);
        neighbour.next_hop_ipv6 = Some("fd00::2".parse().unwrap());
        neighbour.levels = LevelMap::with_communities(vec![Community::new(64512, 53)]);
        neighbour
    }

    fn lines(neighbour: &NeighbourConfig, levels: [Level; 2], local: Option<&str>) -> Vec<String> {
        let [v4, v6] = levels;
        let levels = [("192.0.2.0/24".parse().unwrap(), v4), ("2001:db8:53::/48".parse().unwrap(), v6)];
        let local = local.map(|local| local.parse().unwrap());
        wanted(neighbour, &levels, local).sendable.iter().map(line).collect()
    }

    #[test]
    fn each_level_has_its_attributes_and_withdrawn_has_no_route() {
        assert_eq!(
            lines(&neighbour(), [Level::Normal, Level::Withdrawn], Some("10.0.0.2")),
            ["192.0.2.0/24 via 10.0.0.2 communities 64512:53"]
        );
        assert_eq!(
            lines(&neighbour(), [Level::Degraded, Level::Draining], Some("10.0.0.2")),
            [
                "192.0.2.0/24 via 10.0.0.2 prepends 1 communities 64512:53",
                "2001:db8:53::/48 via fd00::2 prepends 3 communities 64512:53 65535:0"
            ]
        );
    }

    #[test]
    fn a_configured_next_hop_wins_over_the_sessions_own_address() {
        let mut neighbour = neighbour();
        neighbour.next_hop_ipv4 = Some("10.9.9.9".parse().unwrap());
        assert!(lines(&neighbour, [Level::Normal; 2], Some("10.0.0.2"))[0].contains("via 10.9.9.9"));
    }

    #[test]
    fn a_next_hop_that_only_the_session_can_tell_is_named_until_it_does() {
        let levels = [("192.0.2.0/24".parse().unwrap(), Level::Normal)];
        let wanted = wanted(&neighbour(), &levels, None);
        let why = "its next hop is our own address on the session, which is not up".to_owned();
        let [(prefix, _)] = levels;
        let impossible = vec![Impossible { prefix, why, kind: Kind::Explained }];
        assert_eq!((wanted.sendable.len(), wanted.impossible), (0, impossible));
    }

    #[test]
    fn families_outside_the_session_are_not_told() {
        let mut neighbour = neighbour();
        neighbour.families = Families::IPV6;
        assert_eq!(lines(&neighbour, [Level::Normal; 2], Some("10.0.0.2")).len(), 1);
    }

    #[test]
    fn a_route_that_cannot_be_sent_is_named_and_keeps_no_other_back() {
        let levels = [
            ("192.0.2.0/24".parse().unwrap(), Level::Normal),
            ("2001:db8::/48".parse().unwrap(), Level::Normal),
        ];
        let local = Some("fe80::1".parse().unwrap());
        let mut neighbour = neighbour();
        neighbour.next_hop_ipv6 = None;
        neighbour.next_hop_ipv4 = Some("10.0.0.2".parse().unwrap());
        let wanted = wanted(&neighbour, &levels, local);
        assert_eq!(wanted.sendable.len(), 1);
        assert!(wanted.impossible[0].why.starts_with("2001:db8::/48: fe80::1 cannot be a next hop"));
        // No other alarm would say so.
        let gaps = gaps(&wanted.impossible, &[], &[], |_| unreachable!("no route that can be sent is amiss"));
        let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
        assert_eq!((gap.prefix.to_string().as_str(), gap.kind), ("2001:db8::/48", Kind::Astray));
    }

    #[test]
    fn what_the_neighbour_does_not_take_is_a_gap_of_each_prefix_that_it_is_about() {
        let routes = |levels: [Level; 2]| {
            let [v4, v6] = levels;
            let levels = [("192.0.2.0/24".parse().unwrap(), v4), ("2001:db8:53::/48".parse().unwrap(), v6)];
            wanted(&neighbour(), &levels, Some("10.0.0.2".parse().unwrap())).sendable
        };
        let seen = |told: [Level; 2], taken: [Level; 2]| -> Vec<String> {
            let (told, taken) = (routes(told), routes(taken));
            let gaps = untaken(&told.iter().collect::<Vec<_>>(), &taken);
            assert!(gaps.iter().all(|gap| gap.kind == Kind::Closing));
            gaps.iter().map(|gap| format!("{}: {} for {}", gap.prefix, gap.observed, gap.wanted)).collect()
        };
        let (normal, degraded, withdrawn) = (Level::Normal, Level::Degraded, Level::Withdrawn);
        let four = "192.0.2.0/24 via 10.0.0.2 communities 64512:53";
        assert_eq!(seen([normal; 2], [normal; 2]), Vec::<String>::new(), "what waits is something else");
        assert_eq!(seen([withdrawn, normal], [normal; 2]), [format!("192.0.2.0/24: {four} for withdrawn")]);
        assert_eq!(seen([normal; 2], [withdrawn, normal]), [format!("192.0.2.0/24: not told for {four}")]);
        let worse = "192.0.2.0/24 via 10.0.0.2 prepends 1 communities 64512:53";
        assert_eq!(seen([degraded, normal], [normal; 2]), [format!("192.0.2.0/24: {four} for {worse}")]);
        assert_eq!(seen([withdrawn; 2], [normal; 2]).len(), 2);
    }
}
