//! What is checked of the neighbours: addresses, protection, roles, and what each level is told as.

use super::{Checker, In};
use crate::config::schema::{
    BgpRoleCheck, LevelSection, LevelsSection, NeighbourSection, PharosFile, SiteFile,
};
use crate::config::values::{Family, Prefix};
use crate::yaml::Step::{self, Item, Key};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

/// Longer paths change nothing and are filtered.
const PREPEND_AT_MOST: u8 = 3;
/// So many communities fit a message beside everything else.
const COMMUNITIES_AT_MOST: usize = 90;
const LARGE_COMMUNITIES_AT_MOST: usize = 50;

impl Checker<'_> {
    pub(super) fn neighbours(&mut self, pharos: &PharosFile, site: &SiteFile) {
        let mut seen = HashSet::new();
        for (index, neighbour) in site.neighbours.iter().enumerate() {
            if !seen.insert((neighbour.address, neighbour.port)) {
                self.error(
                    In::Site,
                    &neighbour_path(index, "address"),
                    format!("neighbour {} is listed twice", neighbour.address),
                    "keep one of them",
                );
            }
        }
        let groups = pharos.sidecar.iter().flat_map(|sidecar| &sidecar.groups);
        let needed: BTreeSet<Family> = groups.flat_map(|group| &group.prefixes).map(Prefix::family).collect();
        for (index, neighbour) in site.neighbours.iter().enumerate() {
            self.neighbour(index, neighbour, &needed);
            self.protection(index, neighbour);
            self.role(index, neighbour, site);
            self.levels(index, neighbour, site);
            self.bfd(index, neighbour);
        }
        for family in needed {
            if !site.neighbours.is_empty() && site.neighbours.iter().all(|n| !n.families.contains(&family)) {
                self.warning(
                    In::Site,
                    &[Key("neighbours")],
                    format!("no neighbour takes {family} routes, but a group has {family} prefixes"),
                    format!("add {family} to a neighbour's `families:`"),
                );
            }
        }
    }

    fn neighbour(&mut self, index: usize, neighbour: &NeighbourSection, needed: &BTreeSet<Family>) {
        let at = |key| neighbour_path(index, key);
        if neighbour.r#as == 0 {
            self.error(
                In::Site,
                &at("as"),
                "`as` is 0, which RFC 7607 reserves",
                "write the neighbour's AS number",
            );
        }
        if neighbour.port == 0 {
            self.error(In::Site, &at("port"), "`port` is 0", "write 1 to 65535; BGP's own port is 179");
        }
        if neighbour.families.is_empty() {
            self.error(In::Site, &at("families"), "`families` is empty", "write ipv4, ipv6 or both");
        }
        let hops = [
            (Family::Ipv4, "next-hop-ipv4", neighbour.next_hop_ipv4),
            (Family::Ipv6, "next-hop-ipv6", neighbour.next_hop_ipv6),
        ];
        for (family, key, next_hop) in hops {
            let is_implied = family == Family::of(neighbour.address.0);
            let is_needed = neighbour.families.contains(&family) && needed.contains(&family);
            match next_hop {
                None if is_needed && !is_implied => self.error(
                    In::Site,
                    &at("families"),
                    format!("neighbour {} takes {family} routes, but has no `{key}`", neighbour.address),
                    format!("add `{key}:` with this node's address, or leave {family} out of `families:`"),
                ),
                // IPv4 may go over an IPv6 next hop, RFC 8950; the reverse does not exist.
                Some(hop) if family == Family::Ipv4 && hop.0.is_ipv6() && is_usable(hop.0) => {}
                Some(hop) if Family::of(hop.0) != family || !is_usable(hop.0) => self.error(
                    In::Site,
                    &at(key),
                    format!("`{key}` is {hop}, which is no {family} next hop"),
                    format!("write this node's {family} address as the neighbour reaches it"),
                ),
                _ => {}
            }
        }
        let hold = neighbour.hold_time.0;
        // RFC 4271 §4.2: the hold time is zero or at least three seconds, in 16 bits of whole seconds.
        let whole = hold.subsec_nanos() == 0 && (3..=65_535).contains(&hold.as_secs());
        if !hold.is_zero() && !whole {
            self.error(
                In::Site,
                &at("hold-time"),
                format!("`hold-time` is {}", neighbour.hold_time),
                "write 3s to 65535s in whole seconds, or 0s for none (RFC 4271 §4.2); the default is 9s",
            );
        }
        if hold.is_zero() {
            self.warning(
                In::Site,
                &at("hold-time"),
                "`hold-time` is 0s: a frozen node would keep its route until TCP gives up",
                "write a hold time, like 9s",
            );
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&neighbour.connect_retry.0) {
            self.error(
                In::Site,
                &at("connect-retry"),
                format!("`connect-retry` is {}", neighbour.connect_retry),
                "write 100ms to 10m; the default is 1s",
            );
        }
    }

    /// TCP MD5 (RFC 2385).
    fn protection(&mut self, index: usize, neighbour: &NeighbourSection) {
        if neighbour.md5_key.is_some() && neighbour.md5_key_file.is_some() {
            self.error(
                In::Site,
                &neighbour_path(index, "md5-key-file"),
                format!("neighbour {} has both `md5-key` and `md5-key-file`", neighbour.address),
                "keep one of them",
            );
        }
    }

    /// BGP roles (RFC 9234).
    fn role(&mut self, index: usize, neighbour: &NeighbourSection, site: &SiteFile) {
        match neighbour.bgp_role {
            Some(_) if site.local_as == Some(neighbour.r#as) => self.error(
                In::Site,
                &neighbour_path(index, "bgp-role"),
                format!("neighbour {} is of our own AS, and roles are between ASes", neighbour.address),
                "leave `bgp-role` out (RFC 9234 §4.1)",
            ),
            None if neighbour.bgp_role_check == BgpRoleCheck::Strict => self.error(
                In::Site,
                &neighbour_path(index, "bgp-role-check"),
                "`bgp-role-check` is strict, but there is no `bgp-role` to compare",
                "add `bgp-role:` with what this node's AS is to the neighbour's, or leave the check out",
            ),
            _ => {}
        }
    }

    fn bfd(&mut self, index: usize, neighbour: &NeighbourSection) {
        let Some(bfd) = &neighbour.bfd else { return };
        let at = |key| [Key("neighbours"), Item(index), Key("bfd"), Key(key)];
        if !(Duration::from_millis(10)..=Duration::from_secs(10)).contains(&bfd.interval.0) {
            let what = format!("`interval` is {}", bfd.interval);
            self.error(In::Site, &at("interval"), what, "write 10ms to 10s; the default is 300ms");
        }
        if bfd.multiplier < 2 {
            self.error(
                In::Site,
                &at("multiplier"),
                format!("`multiplier` is {}: one lost packet would be a dead path", bfd.multiplier),
                "write 2 to 255; the default is 3",
            );
        }
    }

    fn levels(&mut self, index: usize, neighbour: &NeighbourSection, site: &SiteFile) {
        if neighbour.communities.len() > COMMUNITIES_AT_MOST {
            let count = neighbour.communities.len();
            self.too_many(&neighbour_path(index, "communities"), count, COMMUNITIES_AT_MOST);
        }
        if neighbour.large_communities.len() > LARGE_COMMUNITIES_AT_MOST {
            let count = neighbour.large_communities.len();
            self.too_many(&neighbour_path(index, "large-communities"), count, LARGE_COMMUNITIES_AT_MOST);
        }
        let LevelsSection { normal, degraded, last_resort, draining } = &neighbour.levels;
        for (level, section) in
            [("normal", normal), ("degraded", degraded), ("last-resort", last_resort), ("draining", draining)]
        {
            self.level(index, level, section, site.local_as == Some(neighbour.r#as));
        }
    }

    fn level(&mut self, index: usize, level: &'static str, section: &LevelSection, is_internal: bool) {
        let at = |key| [Key("neighbours"), Item(index), Key("levels"), Key(level), Key(key)];
        match section.prepend {
            Some(_) if is_internal => self.error(
                In::Site,
                &at("prepend"),
                "`prepend` does nothing within one AS: its paths stay as they are (RFC 4271 §5.1.2)",
                "write `local-pref:` for an internal neighbour",
            ),
            Some(times) if times > PREPEND_AT_MOST => self.error(
                In::Site,
                &at("prepend"),
                format!("`prepend` is {times}"),
                "write 0 to 3: longer paths are filtered, and win nothing",
            ),
            _ => {}
        }
        if section.local_pref.is_some() && !is_internal {
            self.error(
                In::Site,
                &at("local-pref"),
                "`local-pref` is for neighbours of our own AS and never sent to others (RFC 4271 §5.1.5)",
                "write `prepend:`, `med:` or `communities:`, which the neighbour may translate",
            );
        }
        let count = section.communities.as_ref().map_or(0, Vec::len);
        if count > COMMUNITIES_AT_MOST {
            self.too_many(&at("communities"), count, COMMUNITIES_AT_MOST);
        }
        if section.large_communities.len() > LARGE_COMMUNITIES_AT_MOST {
            self.too_many(
                &at("large-communities"),
                section.large_communities.len(),
                LARGE_COMMUNITIES_AT_MOST,
            );
        }
    }

    fn too_many(&mut self, path: &[Step<'_>], count: usize, most: usize) {
        let remedy = format!("write at most {most}, so that a route fits a message");
        self.error(In::Site, path, format!("these are {count} communities"), remedy);
    }
}

/// Whether a host can have this address, and a router send to it.
fn is_usable(address: IpAddr) -> bool {
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !(address.is_unspecified() || address.is_multicast() || is_link_local)
}

fn neighbour_path(index: usize, key: &'static str) -> [Step<'static>; 3] {
    [Key("neighbours"), Item(index), Key(key)]
}
