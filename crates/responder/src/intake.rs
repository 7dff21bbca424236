//! What the host's interfaces received, and what was dropped there before any socket or ring.
//!
//! Whoever asks for the status is told, so that overload shows also where the device drops, or the kernel's queue behind
//! it (`netdev_max_backlog`), which is where it does while workers leave the kernel little of their cores. All interfaces of
//! the network namespace count but loopback, by which nobody floods us from outside: which of them clients come by is the
//! routers' choice, and may change. What a count means, and from which rise on it is overload, is for the reader to say.
//!
//! One read of `/proc/self/net/dev`, in which a device's drops are those of `rx_dropped` and `rx_missed_errors`; the
//! kernel adds to the former what it dropped itself, in its queue too. Where it cannot be read nothing is told.

use crate::status::IntakeStatus;

/// That of this process: a service may have no other part of `/proc`.
const PLACE: &str = "/proc/self/net/dev";

/// The counts of all interfaces but loopback, in the kernel's order.
pub(crate) fn look() -> Vec<IntakeStatus> {
    std::fs::read_to_string(PLACE).map(|text| parse(&text)).unwrap_or_default()
}

/// Two lines of headings, then a line for each interface: its name, a colon, eight numbers of what was received (octets,
/// packets, errors, drops, overruns of the device's queue, and three others), eight of what was sent.
fn parse(text: &str) -> Vec<IntakeStatus> {
    let of = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let mut numbers = numbers.split_ascii_whitespace().map(str::parse::<u64>);
        let (packets, dropped) = (numbers.nth(1)?.ok()?, numbers.nth(1)?.ok()?);
        let overruns = numbers.next()?.ok()?;
        Some(IntakeStatus {
            interface: name.trim().to_owned(),
            packets,
            dropped: dropped.saturating_add(overruns),
        })
    };
    text.lines().filter_map(of).filter(|intake| intake.interface != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 2776770   11307    0  999    0     0          0         0  2776770   11307    0    0    0     0       0          0
  eth0:1215645    2751    3   17    2     1          0         0  1782404    4324    5    7    0   427       0          0
 wan.7: 12      1 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 short: 12 1
";

    #[test]
    fn each_interface_but_loopback_is_told_with_what_it_dropped_and_what_overran_it() {
        let told: Vec<_> = parse(TEXT).into_iter().map(|it| (it.interface, it.packets, it.dropped)).collect();
        assert_eq!(told, [("eth0".to_owned(), 2751, 19), ("wan.7".to_owned(), 1, 0)]);
    }

    #[test]
    fn this_host_tells_of_as_many_interfaces_as_it_has_besides_loopback() {
        let here = std::fs::read_to_string(PLACE).unwrap();
        let others = here.lines().filter(|line| line.contains(':') && !line.trim().starts_with("lo:"));
        assert_eq!(look().len(), others.count());
    }
}
