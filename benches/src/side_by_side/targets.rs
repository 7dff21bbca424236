//! What is to be reached, as a table: each line a ratio or a figure, its bound, and what was measured.

use super::cases::{CASES, Tool};
use super::figures::Figures;
use super::load::Transport;
use super::results::{LatencyFigures, LoadFigures};
use super::servers::Server;
use super::servers::Server::{
    Bind, Echo, EchoFirst, Gdnsd, Knot, KnotXdp, Nsd, Pharos, PharosImage, PharosOrdinary, PharosXdp,
    XdpEchoFirst,
};

/// One line.
#[derive(Debug)]
pub(super) struct Target {
    /// The number of the target that it is a part of.
    pub(super) number: u8,
    /// What is compared.
    pub(super) what: String,
    /// What was measured, if it was.
    pub(super) measured: Option<f64>,
    /// What it may be.
    pub(super) bound: Bound,
    /// Behind both numbers.
    pub(super) unit: &'static str,
}

/// How far a figure may go.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Bound {
    /// Not above.
    AtMost(f64),
    /// Not below.
    AtLeast(f64),
}

impl Target {
    /// Whether it is reached; nothing if it was not measured.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtMost(most) => measured <= most,
            Bound::AtLeast(least) => measured >= least,
        })
    }
}

/// Seconds of the peers' starts on the machine on which the bounds in seconds were set: bounds hold there, and on others
/// as the ratios that they make with these.
const KNOT_BIG: f64 = 1.15;
/// The same of gdnsd with 10k zones.
const GDNSD_MANY: f64 = 0.27;

/// All of them, with what these figures say.
pub(super) fn targets(figures: &Figures) -> Vec<Target> {
    let mut list = List { figures, targets: Vec::new() };
    list.sockets();
    list.xdp();
    list.negative();
    list.tcp();
    list.loading();
    list.latency();
    list.targets
}

struct List<'f> {
    figures: &'f Figures,
    targets: Vec<Target>,
}

impl List<'_> {
    fn sockets(&mut self) {
        // A floor that does not run first where the server does would be none.
        let pairs = [("both run first", Pharos, EchoFirst), ("both ordinary", PharosOrdinary, Echo)];
        for (how, ours, floor) in pairs {
            let what = format!("UDP sockets, small zone: CPU beside the recvmmsg echo, {how}");
            self.ratio_line(1, &what, self.ratio("udp-small", ours, floor), Bound::AtMost(1.06));
        }
        for case in CASES.iter().filter(|case| matches!(case.tool, Tool::Dnsperf(Transport::Udp, _))) {
            let bound = match case.name {
                "udp-many" | "udp-big-mix" | "udp-big-none" => 1.0 / 1.1,
                _ => 1.0,
            };
            let peers = [(Gdnsd, bound), (Nsd, 1.0)];
            for (peer, bound) in peers.into_iter().filter(|(peer, _)| case.servers.contains(peer)) {
                let ratio = self.ratio(case.name, Pharos, peer);
                let what = format!("{}: CPU beside {}", case.title, peer.title());
                self.ratio_line(1, &what, ratio, Bound::AtMost(bound));
            }
        }
    }

    fn xdp(&mut self) {
        let rate = |server| {
            self.figures.quiet_load("xdp-flood", server, |load| load.per_second).map(|spread| spread.median)
        };
        let flood = divide(rate(PharosXdp), rate(KnotXdp));
        self.ratio_line(2, "AF_XDP, flood: answers/s beside Knot XDP", flood, Bound::AtLeast(1.3));
        let rows = CASES.iter().filter(|case| {
            let cpu_is_compared = !matches!(case.tool, Tool::Latency(_)) && case.name != "xdp-flood";
            cpu_is_compared && case.servers.contains(&PharosXdp) && case.servers.contains(&KnotXdp)
        });
        for case in rows {
            let ratio = self.quiet_ratio(case.name, PharosXdp, KnotXdp);
            let what = format!("{}: CPU beside Knot XDP", case.title);
            self.ratio_line(2, &what, ratio, Bound::AtMost(0.8));
        }
        let floor = self.quiet_ratio("xdp-small", PharosXdp, XdpEchoFirst);
        self.ratio_line(
            2,
            "AF_XDP, small zone: CPU beside the AF_XDP echo, both run first",
            floor,
            Bound::AtMost(1.15),
        );
    }

    fn negative(&mut self) {
        for (what, none, exist) in [
            ("small zone", "udp-small-none", "udp-small"),
            ("1M records", "udp-big-none", "udp-big-exist"),
            ("NSEC", "nsec-none", "nsec-exist"),
            ("NSEC3", "nsec3-none", "nsec3-exist"),
        ] {
            for server in [Pharos, PharosXdp] {
                let ratio = divide(self.cpu(none, server), self.cpu(exist, server));
                if server == Pharos || ratio.is_some() {
                    let what = format!("{what}, {}: CPU of NXDOMAIN beside positive", server.title());
                    self.ratio_line(3, &what, ratio, Bound::AtMost(1.1));
                }
            }
        }
        let xdp = self.quiet_ratio("nsec3-none", PharosXdp, KnotXdp);
        self.ratio_line(3, "NSEC3, all NXDOMAIN, AF_XDP: CPU beside Knot XDP", xdp, Bound::AtMost(0.5));
        let process = |server| self.median("nsec3-none", server, |load| load.process_ns);
        let ratio = divide(process(Pharos), process(Knot));
        self.ratio_line(
            3,
            "NSEC3, all NXDOMAIN, sockets: process time beside Knot",
            ratio,
            Bound::AtMost(0.5),
        );
    }

    fn tcp(&mut self) {
        let kept = self.ratio("tcp-20", Pharos, Gdnsd);
        self.ratio_line(4, "TCP, 20 connections: CPU beside gdnsd", kept, Bound::AtMost(1.0));
        for case in CASES.iter().filter(|case| matches!(case.tool, Tool::KxdpgunTcp(_))) {
            for peer in [Gdnsd, Nsd, Knot, Bind] {
                let each = self.ratio(case.name, Pharos, peer);
                let what = format!("{}: CPU beside {}", case.title, peer.title());
                self.ratio_line(4, &what, each, Bound::AtMost(1.0));
            }
        }
    }

    fn loading(&mut self) {
        let start = |set, server| self.figures.start(set, server, |start| start.seconds).map(|s| s.median);
        let memory =
            |set| self.figures.start(set, Pharos, |start| start.proportional_mib).map(|spread| spread.median);
        let reload_time = |server| self.figures.reload(server, |reload| reload.seconds).map(|s| s.median);
        let peak = self.figures.reload(Pharos, |reload| reload.peak_mib).map(|spread| spread.median);
        let gap = self.figures.reload(Pharos, |reload| reload.longest_gap_ms).map(|spread| spread.most);
        let lines = [
            ("1M records: start beside Knot", divide(start("big", Pharos), start("big", Knot)), 0.35, ""),
            ("1M records: start from an image", start("big", PharosImage), 0.05, " s"),
            (
                "1M records: start from an image beside Knot's from text",
                divide(start("big", PharosImage), start("big", Knot)),
                0.05 / KNOT_BIG,
                "",
            ),
            ("1M records: memory", memory("big"), 64.0, " MiB"),
            ("10k zones: start", start("many", Pharos), 0.12, " s"),
            (
                "10k zones: start beside gdnsd",
                divide(start("many", Pharos), start("many", Gdnsd)),
                0.12 / GDNSD_MANY,
                "",
            ),
            ("10k zones: memory", memory("many"), 16.0, " MiB"),
            (
                "NSEC3, 100k names: start beside Knot",
                divide(start("nsec3", Pharos), start("nsec3", Knot)),
                0.35,
                "",
            ),
            ("NSEC3, 100k names: memory", memory("nsec3"), 45.0, " MiB"),
            (
                "reload of 1M records: time beside Knot",
                divide(reload_time(Pharos), reload_time(Knot)),
                0.5,
                "",
            ),
            ("reload of 1M records: peak of memory", peak, 150.0, " MiB"),
            ("reload of 1M records: longest gap of all rounds", gap, 10.0, " ms"),
        ];
        for (what, measured, most, unit) in lines {
            self.line(5, what, measured, Bound::AtMost(most), unit);
        }
    }

    fn latency(&mut self) {
        type Of = fn(&LatencyFigures) -> Option<f64>;
        let percentiles: [(&str, Of); 3] =
            [("p50", |l| l.p50_us), ("p99", |l| l.p99_us), ("p99.9", |l| l.p999_us)];
        for case in CASES.iter().filter(|case| matches!(case.tool, Tool::Latency(_))) {
            for (name, of) in percentiles {
                // A query that is never answered waits for ever.
                let of = |figures: &LatencyFigures| of(figures).unwrap_or(f64::INFINITY);
                let at = |server| self.figures.latency(case.name, server, of).map(|spread| spread.median);
                let (ours, theirs) = (at(Pharos), at(Gdnsd));
                let what = format!("{}: {name} beside gdnsd", case.title);
                // Both lose more than would leave such a time: nobody is worse.
                let (what, ratio) = match [ours, theirs].map(|time| time.is_some_and(f64::is_infinite)) {
                    [true, true] => (format!("{what} (never with both)"), Some(1.0)),
                    _ => (what, divide(ours, theirs)),
                };
                self.ratio_line(6, &what, ratio, Bound::AtMost(1.0));
            }
        }
    }

    fn median(&self, case: &str, server: Server, of: impl Fn(&LoadFigures) -> f64) -> Option<f64> {
        self.figures.load(case, server, of).map(|spread| spread.median)
    }

    fn cpu(&self, case: &str, server: Server) -> Option<f64> {
        self.median(case, server, LoadFigures::cpu_ns)
    }

    fn ratio(&self, case: &str, one: Server, other: Server) -> Option<f64> {
        divide(self.cpu(case, one), self.cpu(case, other))
    }

    fn quiet_ratio(&self, case: &str, one: Server, other: Server) -> Option<f64> {
        let cpu =
            |server| self.figures.quiet_load(case, server, LoadFigures::cpu_ns).map(|spread| spread.median);
        divide(cpu(one), cpu(other))
    }

    fn ratio_line(&mut self, number: u8, what: &str, measured: Option<f64>, bound: Bound) {
        self.line(number, what, measured, bound, "");
    }

    fn line(&mut self, number: u8, what: &str, measured: Option<f64>, bound: Bound, unit: &'static str) {
        self.targets.push(Target { number, what: what.to_owned(), measured, bound, unit });
    }
}

fn divide(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(one? / other.filter(|other| *other > 0.0)?)
}
