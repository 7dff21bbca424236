//! Whether what comes to the addresses that are probed is taken out of their sockets.
//!
//! A responder that hangs while many ask leaves its queue to run over, and so does one that is flooded. The host's sums
//! (`counts.rs`) tell them apart by what programs take, but every program of the host is in them: beside a resolver that is
//! busy, one that hangs would look flooded for good. The kernel's tables of UDP sockets (`/proc/self/net/udp`, `udp6`) tell
//! of each how many octets lie in it. Of those that somebody reads, at some look there are fewer than at the look before; of
//! those that nobody reads there never are.
//!
//! | sockets of the addresses, over [`UNREAD`] and [`LOOKS`] | then |
//! |---|---|
//! | in one there were fewer than before at some look | somebody reads |
//! | in one something has lain all the time, and in none there were ever fewer | nobody reads: neither drops nor what the host's programs take excuse anything |
//! | nothing lies in any, or none is here (another network namespace, or packets that a rule leads elsewhere) | nothing is known; the host's sums count as they are |
//!
//! Sockets that are bound to no address count with those of the same port. A look costs a walk through the kernel's table, and
//! is made only while something is unanswered and at each fetch of the status.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// For so long and at so many looks. In floods of several times as much as was answered, nearly every other look found less in
/// the socket than the one before it (measured of Pharos, Knot and BIND): then as many find none once in ten million times.
const UNREAD: Duration = Duration::from_secs(3);
const LOOKS: u32 = 25;

/// From one look to the next, however many ask: a table of ten thousand sockets takes milliseconds to walk through.
const SOONEST: Duration = Duration::from_millis(50);

/// The sockets of the addresses that are probed.
#[derive(Debug)]
pub(crate) struct Queues {
    addresses: BTreeSet<SocketAddr>,
    sockets: Mutex<Sockets>,
}

impl Queues {
    /// Nothing is known of them yet.
    pub(crate) fn of(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), sockets: Mutex::default() }
    }

    /// Looks, unless somebody has just done so; says for how long nobody has read, if that is so.
    pub(crate) fn look(&self, now: Duration) -> Option<Duration> {
        // What a panic elsewhere leaves is whole: each look replaces it.
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if sockets.looked.is_none_or(|looked| now >= looked.saturating_add(SOONEST)) {
            let tables = ["udp", "udp6"].map(crate::counts::read);
            let rows = tables.iter().flat_map(|table| table.lines().filter_map(row));
            let ours = rows.filter(|row| self.is_probed(row.local));
            sockets.take(now, ours.map(|row| (row.inode, row.octets)));
        }
        sockets.unread(now)
    }

    fn is_probed(&self, local: SocketAddr) -> bool {
        let same_port = |address: &SocketAddr| address.port() == local.port();
        match local.ip().is_unspecified() {
            true => self.addresses.iter().any(same_port),
            false => self.addresses.contains(&local),
        }
    }
}

/// What lay in each socket at the last look, by its inode.
#[derive(Debug, Default)]
struct Sockets {
    looked: Option<Duration>,
    lies: BTreeMap<u64, Lies>,
    /// When there were fewer in one of them than before.
    fell: Option<Duration>,
}

/// Something that lies in a socket.
#[derive(Clone, Copy, Debug)]
struct Lies {
    octets: u64,
    /// Since when there have never been fewer, and at how many looks since.
    since: Duration,
    looks: u32,
}

impl Sockets {
    fn take(&mut self, now: Duration, rows: impl Iterator<Item = (u64, u64)>) {
        self.looked = Some(now);
        let before = std::mem::take(&mut self.lies);
        for (inode, octets) in rows {
            let last = before.get(&inode).copied();
            if last.is_some_and(|last| octets < last.octets) {
                self.fell = Some(now);
            }
            if octets == 0 {
                continue;
            }
            let lies = match last {
                Some(last) if octets >= last.octets => {
                    Lies { octets, looks: last.looks.saturating_add(1), ..last }
                }
                _ => Lies { octets, since: now, looks: 0 },
            };
            self.lies.insert(inode, lies);
        }
    }

    fn unread(&self, now: Duration) -> Option<Duration> {
        let long = |since: Duration| now.saturating_sub(since) >= UNREAD;
        if self.fell.is_some_and(|fell| !long(fell)) {
            return None;
        }
        let lying = self.lies.values().filter(|lies| long(lies.since) && lies.looks >= LOOKS);
        lying.map(|lies| now.saturating_sub(lies.since)).max()
    }
}

/// A row of the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    /// What lies in it, with the kernel's own overhead.
    octets: u64,
    inode: u64,
}

/// Number, local address, remote address, state, octets to be sent and to be read, timer, retransmissions, owner, timeout,
/// inode, and others; `None` of the heading and of what has another form.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace();
    let local = socket_address(fields.nth(1)?)?;
    let (_, octets) = fields.nth(2)?.split_once(':')?;
    let octets = u64::from_str_radix(octets, 16).ok()?;
    let inode = fields.nth(4)?.parse().ok()?;
    Some(Row { local, octets, inode })
}

/// Words of 32 bits in the host's order, each in eight hexadecimal digits, and a port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = address.get(8 * index..8 * index + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let octets: Vec<u8> = (0..4).filter_map(word).flatten().collect();
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Looks ten times a second, for as long as there are rows for each look.
    fn looks<const SOCKETS: usize>(rows: impl IntoIterator<Item = [u64; SOCKETS]>) -> Option<Duration> {
        let (mut sockets, mut now) = (Sockets::default(), Duration::ZERO);
        for row in rows {
            now += MS(100);
            sockets.take(now, row.into_iter().enumerate().map(|(inode, octets)| (inode as u64, octets)));
        }
        sockets.unread(now)
    }

    #[test]
    fn a_queue_that_runs_full_and_never_falls_is_read_by_nobody() {
        let fills = || (1..200).map(|look| [(look * 768).min(212_000)]);
        assert_eq!(looks(fills()), Some(MS(19_800)));
        assert_eq!(looks(fills().take(30)), None, "not for long enough yet");
        // Beside it are those of workers that nobody has asked.
        assert_eq!(looks(fills().map(|[octets]| [0, octets, 0])), Some(MS(19_800)));
    }

    #[test]
    fn a_queue_that_falls_now_and_then_is_read_however_full_it_is() {
        let dips = |look: u64| if look % 20 == 19 { 211_232 } else { 212_000 };
        assert_eq!(looks((0..400).map(|look| [dips(look)])), None);
        assert_eq!(looks((0..400).map(|look| [212_000, dips(look)])), None, "one of two workers");
    }

    #[test]
    fn of_queues_in_which_nothing_lies_nothing_is_known() {
        assert_eq!(looks((0..400).map(|_| [0, 0])), None);
        assert_eq!(looks((0..400).map(|_| [])), None);
        assert_eq!(looks((0..400).map(|look| [768 * u64::from(look < 395)])), None, "it was read in the end");
    }

    #[test]
    fn few_looks_tell_nothing_however_long_it_takes() {
        let mut sockets = Sockets::default();
        for second in 0..u64::from(LOOKS) {
            sockets.take(Duration::from_secs(second), [(7, 768)].into_iter());
            assert_eq!(sockets.unread(Duration::from_secs(second)), None);
        }
        let now = Duration::from_secs(LOOKS.into());
        sockets.take(now, [(7, 768)].into_iter());
        assert_eq!(sockets.unread(now), Some(now));
        sockets.take(now, [(8, 768)].into_iter());
        assert_eq!(sockets.unread(now), None, "another socket, of another process");
    }

    #[test]
    fn rows_of_the_kernels_tables_are_understood() {
        let v4 = "  301: 0100007F:0035 00000000:0000 07 00000000:00033E00 00:00000000 00000000  105        0 18342 2 0000000000000000 71";
        let row4 = row(v4).unwrap();
        let first = if cfg!(target_endian = "little") { "127.0.0.1:53" } else { "1.0.0.127:53" };
        assert_eq!((row4.local.to_string().as_str(), row4.octets, row4.inode), (first, 0x33E00, 18342));
        for other in ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when", "", "1: 01:35"] {
            assert_eq!(row(other), None);
        }
    }

    #[test]
    fn this_hosts_own_sockets_are_found_and_what_lies_in_them() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else { continue };
            let local = socket.local_addr().unwrap();
            let queues = Queues::of([local]);
            UdpSocket::bind(address).unwrap().send_to(b"query", local).unwrap();
            queues.look(MS(1));
            let sizes = |queues: &Queues| -> Vec<u64> {
                queues.sockets.lock().unwrap().lies.values().map(|lies| lies.octets).collect()
            };
            assert!(matches!(sizes(&queues).as_slice(), [octets] if *octets > 0), "{address}");
            socket.recv(&mut [0; 16]).unwrap();
            queues.look(MS(2));
            assert_eq!(sizes(&queues).len(), 1, "nobody looks twice within so short a time");
            queues.look(MS(1) + SOONEST);
            assert!(sizes(&queues).is_empty(), "{address}");
            assert_eq!(queues.sockets.lock().unwrap().fell, Some(MS(1) + SOONEST));
        }
    }

    #[test]
    fn a_socket_of_no_address_counts_by_its_port_and_one_of_another_address_does_not() {
        let queues = Queues::of(["192.0.2.53:53".parse().unwrap()]);
        for (local, ours) in [
            ("192.0.2.53:53", true),
            ("0.0.0.0:53", true),
            ("[::]:53", true),
            ("127.0.0.1:53", false),
            ("0.0.0.0:54", false),
        ] {
            assert_eq!(queues.is_probed(local.parse().unwrap()), ours, "{local}");
        }
    }
}
