//! What the two processes of a node have counted: read from their metrics, told as differences.

use crate::lab::{Node, RESPONDER_HTTP, SIDECAR_HTTP, Tallies};
use serde::{Deserialize, Serialize};

/// So many, of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Queries over UDP that a worker received, IPv4 and IPv6.
    pub udp: [u64; 2],
    /// Messages over TCP.
    pub tcp: u64,
    /// Replies, by whatever transport.
    pub replies: u64,
    /// Datagrams that the kernel dropped before a worker could receive them: its buffer was full.
    pub dropped: u64,
    /// The sidecar's probes.
    pub probes: u64,
    /// Of those, without an answer in time.
    pub late: u64,
    /// Of those, refused, answered by somebody else, or answered wrongly.
    pub bad: u64,
}

impl Counters {
    /// Reads them; `None` where one of the processes does not tell.
    pub(super) fn read(node: &Node) -> Option<Self> {
        let responder = node.http(RESPONDER_HTTP, "/metrics").ok()?;
        let sidecar = node.http(SIDECAR_HTTP, "/metrics").ok()?;
        Some(Self::parse(&responder, &sidecar))
    }

    fn parse(responder: &str, sidecar: &str) -> Self {
        let queries = |labels: &[&str]| sum(responder, "pharos_responder_queries_total", labels);
        let probes = |result: &[&str]| sum(sidecar, "pharos_sidecar_probes_total", result);
        let of_family = |family| queries(&["transport=\"udp\"", family]);
        Self {
            udp: ["family=\"ipv4\"", "family=\"ipv6\""].map(of_family),
            tcp: queries(&["transport=\"tcp\""]),
            replies: sum(responder, "pharos_responder_rcodes_total", &[]),
            dropped: sum(responder, "pharos_responder_dropped_total", &["reason=\"receive_buffer_full\""]),
            probes: probes(&[]),
            late: probes(&["result=\"unanswered\""]),
            bad: probes(&["result=\"unreachable\""]) + probes(&["result=\"wrong\""]),
        }
    }

    fn each(mut self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let [v4, v6] = &mut self.udp;
        let mine = [
            v4,
            v6,
            &mut self.tcp,
            &mut self.replies,
            &mut self.dropped,
            &mut self.probes,
            &mut self.late,
            &mut self.bad,
        ];
        let [v4, v6] = other.udp;
        let others = [v4, v6, other.tcp, other.replies, other.dropped, other.probes, other.late, other.bad];
        mine.into_iter().zip(others).for_each(|(mine, other)| *mine = join(*mine, other));
        self
    }

    /// What has been added since then. A process that began anew has added all that it tells.
    pub(super) fn since(self, before: &Self) -> Self {
        self.each(before, |now, before| now.checked_sub(before).unwrap_or(now))
    }

    /// Adds.
    pub(super) fn add(&mut self, more: &Self) {
        *self = self.each(more, u64::saturating_add);
    }
}

/// What clients asked, by transport, and what of it was lost; a query with a wrong answer is none of the lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Over UDP: asked, and lost.
    pub udp: [u64; 2],
    /// The same over TCP.
    pub tcp: [u64; 2],
    /// Answers that were none.
    pub wrong: u64,
}

impl Clients {
    pub(super) fn add(&mut self, tallies: &Tallies) {
        let Tallies { udp, tcp } = tallies;
        for (mine, more) in [(&mut self.udp, udp), (&mut self.tcp, tcp)] {
            let [sent, lost] = mine;
            *sent += more.sent;
            *lost += more.lost;
        }
        self.wrong += udp.wrong + tcp.wrong;
    }
}

/// The sum of a metric's series that have all of these labels.
fn sum(text: &str, name: &str, labels: &[&str]) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (of, value) = rest.rsplit_once(' ')?;
        let mine = of.is_empty() || of.starts_with('{');
        (mine && labels.iter().all(|label| of.contains(label))).then(|| value.parse::<f64>().ok()).flatten()
    };
    // Counters are whole numbers, far below the 53 bits that a float keeps.
    text.lines().filter_map(value).map(|value| value as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONDER: &str = "\
# TYPE pharos_responder_queries_total counter
pharos_responder_queries_total{family=\"ipv4\",origin=\"client\",transport=\"udp\"} 100
pharos_responder_queries_total{family=\"ipv4\",origin=\"probe\",transport=\"udp\"} 5
pharos_responder_queries_total{family=\"ipv6\",origin=\"client\",transport=\"udp\"} 40
pharos_responder_queries_total{family=\"ipv4\",origin=\"client\",transport=\"tcp\"} 7
pharos_responder_rcodes_total{origin=\"client\",rcode=\"NOERROR\",transport=\"udp\"} 60
pharos_responder_rcodes_total{origin=\"client\",rcode=\"NXDOMAIN\",transport=\"udp\"} 80
pharos_responder_dropped_total{reason=\"receive_buffer_full\",transport=\"udp\"} 9
pharos_responder_dropped_total{reason=\"send_other\",transport=\"udp\"} 1
";
    const SIDECAR: &str = "\
pharos_sidecar_probes_total{family=\"ipv4\",result=\"pass\",transport=\"udp\"} 10
pharos_sidecar_probes_total{family=\"ipv4\",result=\"unanswered\",transport=\"udp\"} 2
pharos_sidecar_probes_total{family=\"ipv6\",result=\"wrong\",transport=\"udp\"} 1
";

    #[test]
    fn metrics_are_read_by_name_and_label() {
        let read = Counters::parse(RESPONDER, SIDECAR);
        let expected =
            Counters { udp: [105, 40], tcp: 7, replies: 140, dropped: 9, probes: 13, late: 2, bad: 1 };
        assert_eq!(read, expected);
    }

    #[test]
    fn differences_add_up_and_a_new_process_begins_at_nothing() {
        let [before, now] = [100, 130].map(|probes| Counters { probes, late: 50, ..Counters::default() });
        let mut all = now.since(&before);
        assert_eq!((all.probes, all.late), (30, 0));
        all.add(&Counters { probes: 3, ..now }.since(&before));
        assert_eq!(all.probes, 33);
    }
}
