//! The file that BIRD includes, and what BIRD shows of it. Pure.
//!
//! One static protocol for each prefix, so that each can be disabled by itself, without any configuration. A withdrawn
//! prefix keeps its protocol, with `disabled yes`: BIRD may restart at any time and must come back as it was.
//!
//! ```text
//! protocol static pharos_192_0_2_0_24 {
//!     description "degraded";
//!     disabled no;
//!     ipv4;
//!     route 192.0.2.0/24 via 169.254.77.2 {
//!         bgp_community.add((64512,101));
//!         bgp_path.prepend(64512);
//!     };
//! }
//! ```
//!
//! Attributes are set where the route is born; the operator's export filter passes them on, and adds the AS path that
//! BGP demands. Everything in the file is a number, an address, or a word of ours: nothing of it can break BIRD's syntax.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use pharos_policy::{Family, Level, Prefix};
use pharos_routing::{Community, LargeCommunity};

use super::reply::{Code, Reply};
use crate::config::{Attributes, LevelMap};

/// What the file is made from besides the levels.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) local_as: u32,
    pub(super) levels: LevelMap,
    /// The next hop that each prefix depends on; a prefix without one is announced as long as BIRD runs.
    pub(super) gateways: Vec<(Prefix, IpAddr)>,
}

/// The first line of a file that holds nothing: what is there before anything was accepted.
pub(super) const EMPTY: &str = "# pharos: nothing is announced\n";

/// The name of a prefix's protocol: `pharos_192_0_2_0_24`.
pub(super) fn protocol(prefix: Prefix) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("pharos_{}", prefix.to_string().chars().map(plain).collect::<String>())
}

/// The whole file for these levels.
pub(super) fn render(settings: &Settings, levels: &[(Prefix, Level)]) -> String {
    let mut out = String::from("# Written by pharos, and replaced whenever a level changes.\n");
    for &(prefix, level) in levels {
        let family = if prefix.family() == Family::Ipv4 { "ipv4" } else { "ipv6" };
        let disabled = if level.is_announced() { "no" } else { "yes" };
        let target = match settings.gateways.iter().find(|(of, _)| *of == prefix) {
            Some((_, gateway)) => format!("via {gateway}"),
            None => "blackhole".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\nprotocol static {} {{", protocol(prefix));
        let _ = writeln!(out, "\tdescription \"{level}\";\n\tdisabled {disabled};\n\t{family};");
        let _ = writeln!(out, "\troute {prefix} {target} {{");
        attributes(&mut out, settings, settings.levels.of(level));
        out += "\t};\n}\n";
    }
    out
}

fn attributes(out: &mut String, settings: &Settings, attributes: Option<&Attributes>) {
    let Some(attributes) = attributes else { return };
    for community in &attributes.communities {
        let Community(number) = community;
        let _ = writeln!(out, "\t\tbgp_community.add(({},{}));", number >> 16, number & 0xffff);
    }
    for LargeCommunity { admin, data: [first, second] } in &attributes.large_communities {
        let _ = writeln!(out, "\t\tbgp_large_community.add(({admin},{first},{second}));");
    }
    for _ in 0..attributes.prepends {
        let _ = writeln!(out, "\t\tbgp_path.prepend({});", settings.local_as);
    }
    if let Some(med) = attributes.med {
        let _ = writeln!(out, "\t\tbgp_med = {med};");
    }
    if let Some(local_pref) = attributes.local_pref {
        let _ = writeln!(out, "\t\tbgp_local_pref = {local_pref};");
    }
}

/// What is known of a protocol and its route: what BIRD shows, or that it was told something since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Its configuration has no such protocol.
    Missing,
    /// The protocol is disabled.
    Closed,
    /// BIRD was told to go over to a configuration that opens it, and has not been asked since.
    Opening,
    /// The protocol is up, and BIRD has no route of it: its next hop is not there.
    Idle,
    /// BIRD has the route, with these attributes.
    Route(Shown),
}

/// The attributes that BIRD shows, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    communities: BTreeSet<String>,
    large_communities: BTreeSet<String>,
    path: String,
    med: Option<String>,
    local_pref: Option<String>,
}

impl Shown {
    /// What BIRD should show of a route at this level.
    pub(super) fn expected(settings: &Settings, level: Level) -> Self {
        let Some(attributes) = settings.levels.of(level) else { return Self::default() };
        let words = |Community(number): &Community| format!("({},{})", number >> 16, number & 0xffff);
        let large = |LargeCommunity { admin, data: [first, second] }: &LargeCommunity| {
            format!("({admin},{first},{second})")
        };
        Self {
            communities: attributes.communities.iter().map(words).collect(),
            large_communities: attributes.large_communities.iter().map(large).collect(),
            path: vec![settings.local_as.to_string(); attributes.prepends.into()].join(" "),
            med: attributes.med.map(|med| med.to_string()),
            local_pref: attributes.local_pref.map(|local_pref| local_pref.to_string()),
        }
    }

    /// The attributes as a person reads them.
    pub(super) fn words(&self) -> String {
        let mut words: Vec<String> =
            self.communities.iter().chain(&self.large_communities).cloned().collect();
        words.extend((!self.path.is_empty()).then(|| format!("path {}", self.path)));
        words.extend(self.med.iter().map(|med| format!("med {med}")));
        words.extend(self.local_pref.iter().map(|local_pref| format!("local-pref {local_pref}")));
        if words.is_empty() { "no attributes".to_owned() } else { words.join(" ") }
    }
}

/// The state of each of `names` in the reply to `show protocols`.
pub(super) fn protocols(reply: &Reply, names: &[String]) -> Vec<Sight> {
    let state = |name: &String| {
        let line = reply.texts(Code::PROTOCOL).map(str::split_whitespace);
        let mut line = line.filter_map(|mut words| (words.next() == Some(name)).then_some(words)).next();
        match line.as_mut().and_then(|words| words.nth(2)) {
            Some("down") => Sight::Closed,
            Some(_) => Sight::Idle,
            None => Sight::Missing,
        }
    };
    names.iter().map(state).collect()
}

/// The route in the reply to `show route PREFIX all protocol NAME`, if BIRD has it.
pub(super) fn route(reply: &Reply, name: &str) -> Option<Shown> {
    let from = format!("[{name} ");
    if !reply.texts(Code::ROUTE).any(|line| line.contains(&from) && !line.contains("unreachable [")) {
        return None;
    }
    let mut shown = Shown::default();
    for line in reply.texts(Code::ATTRIBUTES) {
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        // BIRD 3 shows attributes by the names that its filters have for them.
        match key {
            "BGP.community" | "bgp_community" => {
                shown.communities = value.split_whitespace().map(str::to_owned).collect();
            }
            "BGP.large_community" | "bgp_large_community" => shown.large_communities = tuples(value),
            "BGP.as_path" | "bgp_path" => value.clone_into(&mut shown.path),
            "BGP.med" | "bgp_med" => shown.med = Some(value.to_owned()),
            "BGP.local_pref" | "bgp_local_pref" => shown.local_pref = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(shown)
}

/// `(1, 2, 3) (4, 5, 6)`, without the blanks inside.
fn tuples(value: &str) -> BTreeSet<String> {
    let tuples = value.split_inclusive(')').map(|tuple| tuple.replace(' ', ""));
    tuples.filter(|tuple| !tuple.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcer::bird::reply::Parser;

    fn settings() -> Settings {
        let mut levels = LevelMap::with_communities(vec![Community::new(64512, 53)]);
        levels.degraded.large_communities =
            vec![LargeCommunity::new(64512, 1, 2), LargeCommunity::new(64512, 3, 4)];
        levels.degraded.med = Some(50);
        levels.degraded.local_pref = Some(80);
        let gateways = vec![("192.0.2.0/24".parse().unwrap(), "169.254.77.2".parse().unwrap())];
        Settings { local_as: 64512, levels, gateways }
    }

    fn reply(octets: &str) -> Reply {
        Parser::default().feed(octets.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn each_prefix_has_a_protocol_of_its_own_and_a_withdrawn_one_is_disabled() {
        let levels = [
            ("192.0.2.0/24".parse().unwrap(), Level::Degraded),
            ("2001:db8:53::/48".parse().unwrap(), Level::Withdrawn),
        ];
        let expected = "# Written by pharos, and replaced whenever a level changes.

protocol static pharos_192_0_2_0_24 {
\tdescription \"degraded\";
\tdisabled no;
\tipv4;
\troute 192.0.2.0/24 via 169.254.77.2 {
\t\tbgp_community.add((64512,53));
\t\tbgp_large_community.add((64512,1,2));
\t\tbgp_large_community.add((64512,3,4));
\t\tbgp_path.prepend(64512);
\t\tbgp_med = 50;
\t\tbgp_local_pref = 80;
\t};
}

protocol static pharos_2001_db8_53___48 {
\tdescription \"withdrawn\";
\tdisabled yes;
\tipv6;
\troute 2001:db8:53::/48 blackhole {
\t};
}
";
        assert_eq!(render(&settings(), &levels), expected);
    }

    #[test]
    fn what_bird_shows_is_compared_in_its_own_words() {
        let said = "1007-Table master4:\n 192.0.2.0/24         unicast [pharos_192_0_2_0_24 20:59:31.389] * (200)\n \
                    \tvia 169.254.77.2 on pharos0\n1008-\tType: static univ\n1012-\tBGP.as_path: 64512\n \tBGP.med: 50\n \
                    \tBGP.local_pref: 80\n \tBGP.community: (64512,53)\n \
                    \tBGP.large_community: (64512, 1, 2) (64512, 3, 4)\n0000 \n";
        let shown = route(&reply(said), "pharos_192_0_2_0_24").unwrap();
        assert_eq!(shown, Shown::expected(&settings(), Level::Degraded));
        assert_ne!(shown, Shown::expected(&settings(), Level::Normal));
        assert_eq!(shown.words(), "(64512,53) (64512,1,2) (64512,3,4) path 64512 med 50 local-pref 80");
        assert_eq!(route(&reply(said), "pharos_192_0_2_0"), None, "another protocol's route is not ours");
        assert_eq!(route(&reply("8001 Network not found\n"), "pharos_192_0_2_0_24"), None);
    }

    #[test]
    fn attributes_are_known_by_the_names_that_bird_3_has_for_them_too() {
        let said = "1007-Table master4:\n 192.0.2.0/24         unicast [pharos_192_0_2_0_24 20:59:31.389] * (200)\n \
                    \tvia 169.254.77.2 on pharos0\n1012-\tpreference: 200\n \tsource: static\n \tbgp_path: 64512\n \
                    \tbgp_med: 50\n \tbgp_local_pref: 80\n \tbgp_community: (64512,53)\n \
                    \tbgp_large_community: (64512, 1, 2) (64512, 3, 4)\n0000 \n";
        let shown = route(&reply(said), "pharos_192_0_2_0_24").unwrap();
        assert_eq!(shown, Shown::expected(&settings(), Level::Degraded));
    }

    #[test]
    fn protocols_are_up_down_or_not_there() {
        let said = "2002-Name       Proto      Table      State  Since         Info\n\
                    1002-pharos_a Static     master4    up     20:59:31.389  \n \
                    pharos_b Static     master6    down   20:59:31.389  \n0000 \n";
        let names = ["pharos_a", "pharos_b", "pharos_c"].map(str::to_owned);
        assert_eq!(protocols(&reply(said), &names), [Sight::Idle, Sight::Closed, Sight::Missing]);
    }
}
