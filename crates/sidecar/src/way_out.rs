//! What the host's own tables of routes say: whether replies have a way out by a default route.
//!
//! Only what was there and is gone counts: a host that never had a default route may know every route in the world, and of
//! it nothing is observed. What a process before has seen was there, at a hand-over.
//!
//! Such a table has a hundred megabytes as text. So it is read on a thread of ordinary precedence, which may ask no more of
//! a route than level degraded and that after a grace; up to the line that is looked for, which is the first of IPv4; and
//! [`MOST_OCTETS`] of it at most, beyond which nothing is said. What a look has taken decides when the next one is, so that
//! all of them together take a hundredth of a core.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Instant;

use pharos_policy::policy::Input;
use pharos_policy::{Family, SignalId};

use crate::host::{LOOK, Seen};
use crate::keeper::Keeper;

/// What is read of a table: some ten thousand routes, which takes the kernel some ten milliseconds.
const MOST_OCTETS: u64 = 2 << 20;

/// A look waits for so many times what the one before has taken.
const REST: u32 = 100;

/// Flags of a route (linux/route.h): it is usable; it refuses.
const USABLE: u32 = 0x1;
const REFUSES: u32 = 0x200;

/// Looks until it is dropped.
pub(crate) async fn run(keeper: Arc<Keeper>) {
    let watched: Vec<_> = (keeper.state().policy.observed())
        .filter_map(|id| match id {
            SignalId::DefaultRoute { family } => Some((id.clone(), *family)),
            _ => None,
        })
        .collect();
    let mut seen = Seen::before(&keeper.state().policy, watched.iter().map(|(id, _)| id));
    loop {
        let begun = Instant::now();
        for (signal, family) in &watched {
            if let Some(observation) = has_default(*family).and_then(|there| seen.observe(signal, there)) {
                keeper.take(Input::Observe { signal: signal.clone(), observation });
            }
        }
        tokio::time::sleep(LOOK.max(begun.elapsed().saturating_mul(REST))).await;
    }
}

/// Whether there is a default route. A table that cannot be read says nothing.
fn has_default(family: Family) -> Option<bool> {
    let (path, is_default): (_, fn(&str) -> bool) = match family {
        Family::Ipv4 => ("/proc/self/net/route", is_default_ipv4),
        Family::Ipv6 => ("/proc/self/net/ipv6_route", is_default_ipv6),
    };
    has_line(File::open(path).ok()?, is_default).ok()?
}

/// Whether a table has such a line; nothing if it is too long to know.
fn has_line(table: impl Read, wanted: fn(&str) -> bool) -> io::Result<Option<bool>> {
    let mut table = BufReader::new(table).take(MOST_OCTETS);
    let mut line = String::new();
    while table.read_line(&mut line)? > 0 {
        if wanted(&line) {
            return Ok(Some(true));
        }
        line.clear();
    }
    Ok((table.limit() > 0).then_some(false))
}

/// Interface, destination, gateway, flags, three counts, mask.
fn is_default_ipv4(line: &str) -> bool {
    let fields: Vec<_> = line.split_whitespace().collect();
    matches!(fields.as_slice(), [_, "00000000", _, flags, _, _, _, "00000000", ..] if is_usable(flags))
}

/// Destination, its length, source, its length, gateway, three counts, flags, interface.
fn is_default_ipv6(line: &str) -> bool {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [destination, "00", _, _, _, _, _, _, flags, _] = fields.as_slice() else { return false };
    destination.bytes().all(|digit| digit == b'0') && is_usable(flags)
}

fn is_usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & USABLE != 0 && flags & REFUSES == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n";
    const DEFAULT: &str = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    const ANOTHER: &str = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    #[test]
    fn a_table_is_read_up_to_the_line_that_is_looked_for() {
        // Nothing but an error behind it.
        let broken = io::BufReader::new(Broken);
        let found = has_line(HEAD.as_bytes().chain(DEFAULT.as_bytes()).chain(broken), is_default_ipv4);
        assert_eq!(found.unwrap(), Some(true));
        assert_eq!(has_line([HEAD, ANOTHER].concat().as_bytes(), is_default_ipv4).unwrap(), Some(false));
        assert_eq!(has_line(&b""[..], is_default_ipv4).unwrap(), Some(false));
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("nobody should have read on"))
        }
    }

    #[test]
    fn of_a_table_that_is_too_long_nothing_is_said() {
        let endless = io::repeat(b'x');
        assert_eq!(has_line(endless, is_default_ipv4).unwrap(), None);
        let many = ANOTHER.repeat(60_000);
        assert_eq!(has_line(many.as_bytes(), is_default_ipv4).unwrap(), None);
        assert_eq!(has_line([DEFAULT, &many].concat().as_bytes(), is_default_ipv4).unwrap(), Some(true));
    }

    #[test]
    fn default_routes_are_found_in_the_kernels_tables() {
        let v4 = |flags| format!("eth0\t00000000\t010011AC\t{flags}\t0\t0\t0\t00000000\t0\t0\t0");
        assert!(is_default_ipv4(&v4("0003")));
        assert!(!is_default_ipv4(&v4("0201")), "one that refuses");
        assert!(!is_default_ipv4("eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"));
        assert!(!is_default_ipv4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU"));
        let zero = "0".repeat(32);
        let v6 = |flags, at| format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 {flags} {at}");
        assert!(is_default_ipv6(&v6("00450003", "eth0")));
        assert!(!is_default_ipv6(&v6("00200200", "lo")), "what every host has on lo");
    }
}
