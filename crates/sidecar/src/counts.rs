//! What this host itself counts of packets that came, were taken and were dropped, so that a flood is seen although it
//! keeps the responder's status away.
//!
//! The kernel counts by protocol what programs took from their sockets, what those had no room for, and what programs sent
//! (`InDatagrams`, `RcvbufErrors` and `OutDatagrams` of UDP, in `/proc/self/net/snmp` and `snmp6`), and by interface what
//! came and what the interface and the kernel's own queue dropped (`/proc/self/net/dev`, the third and fourth number of what
//! was received; loopback is left out). Connection tracking drops what would be a new flow once its table is full, before any socket and uncounted by the
//! interface: that is `drop` of `/proc/self/net/stat/nf_conntrack`, a column with a row for each CPU, in hexadecimal. Where
//! none is loaded there is no such file.
//!
//! Responder and sidecar of one host share these counts, as long as they share the network namespace. Where they do
//! not, or where a file cannot be read, nothing is seen here, and the responder's status alone tells of drops; so it does
//! of AF_XDP, whose queries no socket takes.
//!
//! Of the addresses that are probed it is also seen whether anybody takes out what comes (`queues.rs`): if nobody does, what
//! other programs take is no sign of a flood that is answered.
//!
//! Read by probes that nobody answered, before that is told (`probe/doubt.rs`), around each fetch of the status, and where
//! there is no status once a second (`responder.rs`). What the counts mean is said in [`pharos_policy::load`].

use std::collections::BTreeMap;
use std::time::Duration;

use pharos_policy::load::{Flow, HostCounts, Intake, Takers};
use pharos_policy::policy::Input;
use pharos_policy::{Family, Observation, SignalId};

use crate::keeper::Keeper;

/// The counts at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// In the keeper's time.
    at: Duration,
    counts: HostCounts,
    /// For how long nobody has taken out what comes to the addresses that are probed, if that is so.
    unread: Option<Duration>,
}

impl Look {
    /// How it is now.
    pub(crate) fn now(keeper: &Keeper) -> Self {
        let at = keeper.clock.now();
        Self { at, counts: all(), unread: keeper.queues.look(at) }
    }

    /// That nobody takes out what comes, if that is so.
    pub(crate) fn unread(&self) -> Option<String> {
        let seconds = self.unread?.as_secs();
        Some(format!("what comes to the responder's sockets has lain there unread for {seconds} s"))
    }

    /// Whether many datagrams were taken since `before`.
    pub(crate) fn takers_since(&self, before: &Self) -> Takers {
        match self.unread {
            Some(_) => Takers::Few,
            None => self.counts.takers_since(&before.counts),
        }
    }

    /// What is seen of load since `before`, if that is overload.
    pub(crate) fn overload_since(&self, before: &Self) -> Option<Observation> {
        let dropped = self.counts.crowded_since(&before.counts).filter(|_| self.unread.is_none())?;
        Some(Observation::Fail(format!("{dropped}, as this host counts, while others are taken")))
    }

    /// Tells whether anybody was answered since `before`.
    pub(crate) fn tell_answers_since(&self, before: &Self, keeper: &Keeper) {
        let elapsed = self.at.saturating_sub(before.at);
        for (family, counted) in self.counts.answers_since(&before.counts, elapsed) {
            let observation = self.unread().map_or(counted, Observation::Fail);
            keeper.take(Input::Observe { signal: SignalId::Answers { family }, observation });
        }
    }

    /// Tells what bears on something that went unanswered since `before`: overload if it is seen, and whether anybody is
    /// answered. What is not overload is not told: the status knows better.
    pub(crate) fn tell_since(&self, before: &Self, keeper: &Keeper) {
        self.tell_answers_since(before, keeper);
        if let Some(observation) = self.overload_since(before) {
            keeper.take(Input::Observe { signal: SignalId::Overload, observation });
        }
    }
}

/// All counts that can be read.
fn all() -> HostCounts {
    let mut counts = of_sockets();
    let intakes = &mut counts.intakes;
    intakes.extend(interfaces(&read("dev")));
    intakes
        .extend(tracked(&read("stat/nf_conntrack")).map(|intake| ("connection tracking".to_owned(), intake)));
    counts
}

/// Those of sockets alone.
fn of_sockets() -> HostCounts {
    let families = [(Family::Ipv4, udp_ipv4(&read("snmp"))), (Family::Ipv6, udp_ipv6(&read("snmp6")))];
    let mut counts = HostCounts::default();
    for (family, sockets) in families {
        let Some(Sockets { intake, flow }) = sockets else { continue };
        counts.taken = counts.taken.saturating_add(flow.taken);
        counts.intakes.insert(format!("UDP sockets ({family})"), intake);
        counts.flows.insert(family, flow);
    }
    counts
}

/// One of this process's tables: a service may have no other part of `/proc`.
pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default()
}

/// What the sockets of a protocol have seen.
#[derive(Debug, PartialEq, Eq)]
struct Sockets {
    intake: Intake,
    flow: Flow,
}

/// Two lines of this protocol: the names of its counts, and the counts.
fn udp_ipv4(text: &str) -> Option<Sockets> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, counts) = (lines.next()?.split_ascii_whitespace(), lines.next()?.split_ascii_whitespace());
    sockets(names.zip(counts), ["InDatagrams", "RcvbufErrors", "OutDatagrams"])
}

/// A line for each count: its name, and how much it is.
fn udp_ipv6(text: &str) -> Option<Sockets> {
    let counts = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    sockets(counts, ["Udp6InDatagrams", "Udp6RcvbufErrors", "Udp6OutDatagrams"])
}

fn sockets<'a>(counts: impl Iterator<Item = (&'a str, &'a str)>, wanted: [&str; 3]) -> Option<Sockets> {
    let counts: BTreeMap<_, _> = counts.filter(|(name, _)| wanted.contains(name)).collect();
    let [taken, dropped, sent] = wanted.map(|name| counts.get(name)?.trim().parse::<u64>().ok());
    let (taken, dropped) = (taken?, dropped?);
    let intake = Intake { packets: taken.saturating_add(dropped), dropped };
    Some(Sockets { intake, flow: Flow { taken, sent: sent? } })
}

/// Two lines of headings, then a line for each interface: its name, a colon, and eight numbers of what was received
/// (octets, packets, errors, drops, overruns of the device's queue, and three others).
fn interfaces(text: &str) -> impl Iterator<Item = (String, Intake)> {
    let of = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let mut counts = counts.split_ascii_whitespace().map(str::parse::<u64>);
        let (packets, dropped) = (counts.nth(1)?.ok()?, counts.nth(1)?.ok()?);
        let overruns = counts.next()?.ok()?;
        Some((name.trim().to_owned(), Intake { packets, dropped: dropped.saturating_add(overruns) }))
    };
    text.lines().filter_map(of).filter(|(name, _)| name != "lo")
}

/// A line of headings, then a line for each CPU. What was let in is not among its counts: whatever is dropped there is much.
fn tracked(text: &str) -> Option<Intake> {
    let mut lines = text.lines();
    let column = lines.next()?.split_ascii_whitespace().position(|name| name == "drop")?;
    let of = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(column)?, 16).ok();
    let dropped = lines.filter_map(of).fold(0, u64::saturating_add);
    Some(Intake { packets: dropped, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "\
Tcp: RtoAlgorithm RtoMin InErrs
Tcp: 1 200 3
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 406 23 44 412 41 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
UdpLite: 1 2 3 4 5 6
";
    const SNMP6: &str = "\
Ip6InReceives                   \t3530377
Udp6InDatagrams                 \t191
Udp6InErrors                    \t22
Udp6RcvbufErrors                \t9
Udp6OutDatagrams                \t188
UdpLite6RcvbufErrors            \t7
";
    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 2776770   11307    0  999    0     0          0         0  2776770   11307    0    0    0     0       0          0
  eth0:1215645    2751    3   17    2     1          0         0  1782404    4324    5    7    0   427       0          0
 short: 12 1
";

    #[test]
    fn what_sockets_and_interfaces_dropped_is_found_in_the_kernels_tables() {
        let (intake, flow) = (Intake { packets: 447, dropped: 41 }, Flow { taken: 406, sent: 412 });
        assert_eq!(udp_ipv4(SNMP), Some(Sockets { intake, flow }));
        let (intake, flow) = (Intake { packets: 200, dropped: 9 }, Flow { taken: 191, sent: 188 });
        assert_eq!(udp_ipv6(SNMP6), Some(Sockets { intake, flow }));
        let all: Vec<_> = interfaces(DEV).collect();
        assert_eq!(all, [("eth0".to_owned(), Intake { packets: 2751, dropped: 19 })]);
    }

    #[test]
    fn what_connection_tracking_dropped_is_the_sum_of_all_cpus() {
        let text = "\
entries  clashres found new invalid insert_failed drop early_drop
0000ffff  00000000 00000000 00000000 00000001 00000007 00000010 00000003
0000ffff  00000000 00000000 00000000 00000000 00000000 000000ff 00000000
";
        assert_eq!(tracked(text), Some(Intake { packets: 271, dropped: 271 }));
        assert_eq!((tracked(""), tracked("entries found\n0 0\n")), (None, None));
    }

    #[test]
    fn a_table_that_is_hidden_or_of_another_form_tells_nothing() {
        for text in
            ["", "Udp: InDatagrams\n", "Udp: InDatagrams RcvbufErrors\nUdp: 1 x\n", "Udp6RcvbufErrors 1"]
        {
            assert_eq!((udp_ipv4(text), udp_ipv6(text)), (None, None), "{text}");
            assert_eq!(interfaces(text).count(), 0);
        }
    }

    #[test]
    fn this_host_counts_what_comes_to_its_sockets() {
        let HostCounts { intakes, taken, .. } = all();
        let came: u64 =
            intakes.iter().filter(|(name, _)| name.starts_with("UDP")).map(|(_, it)| it.packets).sum();
        assert!(intakes.contains_key("UDP sockets (IPv4)") && taken <= came, "{intakes:?}");
    }
}
