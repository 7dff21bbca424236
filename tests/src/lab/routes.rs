//! What the kernel of a machine has in its routing table, and since when: netlink's own news, as `ip monitor` prints
//! them.
//!
//! Routers of any make put their routes into the kernel, so this is the neighbour's view that needs no question: a
//! poll would cost time on both sides, and its answer would be as old as the pause between two.
//!
//! When an interface goes down the kernel drops the IPv4 routes through it without a word. Who expects that asks
//! the routing daemon as well.

use super::process::Journal;
use super::{Daemon, Namespace};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// A kernel's routes, as they come and go.
#[derive(Debug)]
pub struct RouteMonitor {
    journal: Journal,
    _monitor: Daemon,
}

/// The last that was heard of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteNews {
    /// When.
    pub at: Instant,
    /// The gateways of the route, none once it is gone.
    pub gateways: Vec<String>,
}

impl RouteMonitor {
    /// Listens inside `namespace` from now on.
    pub fn start(namespace: &Namespace, directory: &Path) -> Self {
        let log = directory.join(format!("routes-{}.log", namespace.name()));
        let mut command = namespace.command("ip");
        // One line for each change, whatever the number of gateways.
        command.args(["-o", "monitor", "route"]).stdout(Stdio::piped());
        let (monitor, out) = Daemon::adopt("ip monitor", command, &log);
        let journal = Journal::read(out, File::create(&log).expect("the lab can write its logs"));
        Self { journal, _monitor: monitor }
    }

    /// What was heard last of `prefix`, if anything.
    pub fn last(&self, prefix: &str) -> Option<RouteNews> {
        self.news(prefix).pop()
    }

    /// All that was heard of `prefix`, oldest first.
    pub fn news(&self, prefix: &str) -> Vec<RouteNews> {
        let lines = self.journal.lines();
        lines
            .iter()
            .filter_map(|line| parse(&line.text, prefix).map(|g| (line.at, g)))
            .map(|(at, gateways)| RouteNews { at, gateways })
            .collect()
    }
}

/// The gateways that a line of `ip -o monitor route` gives for `prefix`; none if it says that the route is gone.
fn parse(line: &str, prefix: &str) -> Option<Vec<String>> {
    let (gone, rest) = match line.strip_prefix("Deleted ") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut words = rest.split_whitespace();
    if words.next()? != prefix {
        return None;
    }
    if gone {
        return Some(Vec::new());
    }
    let mut gateways = Vec::new();
    while let Some(word) = words.next() {
        // `via inet6 ADDRESS` is an IPv4 route with an IPv6 gateway.
        if word == "via" {
            gateways.extend(words.find(|word| *word != "inet6").map(str::to_owned));
        }
    }
    Some(gateways)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_tells_of_one_prefix_and_its_gateways() {
        let line = "192.0.2.0/24 via 10.0.0.2 dev node proto bird metric 32 ";
        assert_eq!(parse(line, "192.0.2.0/24"), Some(vec!["10.0.0.2".to_owned()]));
        assert_eq!(parse(line, "192.0.2.0/25"), None);
        let gone = "Deleted 192.0.2.0/24 via 10.0.0.2 dev node proto bird metric 32 ";
        assert_eq!(parse(gone, "192.0.2.0/24"), Some(vec![]));
        let two = "2001:db8:53::/48 proto bird metric 32 \\\tnexthop via fd00::2 dev node weight 1 \\\tnexthop via fd00:0:0:1::2 dev node-b weight 1 ";
        assert_eq!(parse(two, "2001:db8:53::/48").map(|gateways| gateways.len()), Some(2));
    }
}
