//! What is to be reached, as a table: each line a ratio or a figure, its bound, and what was measured.

use super::cases::{CASES, Tool};
use super::figures::{Figures, Spread};
use super::load::Transport;
use super::results::{LatencyFigures, LoadFigures, StartFigures};
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
    /// What was measured, if it was: of ratios those within a round.
    pub(super) measured: Option<Spread>,
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
        self.measured.map(|measured| self.allows(measured.median))
    }

    /// Whether single rounds would say otherwise.
    pub(super) fn is_close(&self) -> bool {
        self.measured.is_some_and(|measured| self.allows(measured.least) != self.allows(measured.most))
    }

    fn allows(&self, measured: f64) -> bool {
        match self.bound {
            Bound::AtMost(most) => measured <= most,
            Bound::AtLeast(least) => measured >= least,
        }
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
        let (ours, theirs) = (("xdp-flood", PharosXdp), ("xdp-flood", KnotXdp));
        let flood = self.figures.quiet_load_ratio(ours, theirs, |load| load.per_second);
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
        // Over AF_XDP there is no TCP of ours: an interface passes it to the kernel.
        let tcp = self.ratio("tcp-20", Pharos, KnotXdp);
        self.ratio_line(
            2,
            "TCP, 20 connections: CPU beside Knot's own TCP over AF_XDP",
            tcp,
            Bound::AtMost(0.8),
        );
        for case in ["xdp-small", "xdp-small-150k"] {
            let floor = self.quiet_ratio(case, PharosXdp, XdpEchoFirst);
            let rate = if case == "xdp-small" { "400k/s" } else { "150k/s" };
            let what = format!("AF_XDP, small zone, {rate}: CPU beside the AF_XDP echo, both run first");
            self.ratio_line(2, &what, floor, Bound::AtMost(1.15));
        }
    }

    fn negative(&mut self) {
        for (what, none, exist, server) in [
            ("small zone", "udp-small-none", "udp-small", Pharos),
            ("small zone", "xdp-small-none", "xdp-small-150k", PharosXdp),
            ("1M records", "udp-big-none", "udp-big-exist", Pharos),
            ("1M records", "xdp-big-none", "xdp-big", PharosXdp),
            ("NSEC", "nsec-none", "nsec-exist", Pharos),
            ("NSEC", "nsec-none", "nsec-exist", PharosXdp),
            ("NSEC3", "nsec3-none", "nsec3-exist", Pharos),
            ("NSEC3", "nsec3-none", "nsec3-exist", PharosXdp),
        ] {
            let ratio = self.figures.load_ratio((none, server), (exist, server), LoadFigures::cpu_ns);
            let what = format!("{what}, {}: CPU of NXDOMAIN beside positive", server.title());
            self.ratio_line(3, &what, ratio, Bound::AtMost(1.1));
        }
        let xdp = self.quiet_ratio("nsec3-none", PharosXdp, KnotXdp);
        self.ratio_line(3, "NSEC3, all NXDOMAIN, AF_XDP: CPU beside Knot XDP", xdp, Bound::AtMost(0.5));
        let (ours, theirs) = (("nsec3-none", Pharos), ("nsec3-none", Knot));
        let ratio = self.figures.load_ratio(ours, theirs, |load| load.process_ns);
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
        let seconds = |start: &StartFigures| start.seconds;
        let memory = |set| self.figures.start(set, Pharos, |start| start.proportional_mib);
        let beside = |set, ours, theirs| self.figures.start_ratio(set, ours, theirs, seconds);
        let reload_time = self.figures.reload_ratio(Pharos, Knot, |reload| reload.seconds);
        let peak = self.figures.reload(Pharos, |reload| reload.peak_mib);
        let gap = self.figures.reload(Pharos, |reload| reload.longest_gap_ms);
        // What no round may exceed.
        let gap = gap.map(|spread| Spread { median: spread.most, ..spread });
        let lines = [
            ("1M records: start beside Knot", beside("big", Pharos, Knot), 0.35, ""),
            ("1M records: start from an image", self.figures.start("big", PharosImage, seconds), 0.05, " s"),
            (
                "1M records: start from an image beside Knot's from text",
                beside("big", PharosImage, Knot),
                0.05 / KNOT_BIG,
                "",
            ),
            ("1M records: memory", memory("big"), 64.0, " MiB"),
            ("10k zones: start", self.figures.start("many", Pharos, seconds), 0.12, " s"),
            ("10k zones: start beside gdnsd", beside("many", Pharos, Gdnsd), 0.12 / GDNSD_MANY, ""),
            ("10k zones: memory", memory("many"), 16.0, " MiB"),
            ("NSEC3, 100k names: start beside Knot", beside("nsec3", Pharos, Knot), 0.35, ""),
            ("NSEC3, 100k names: memory", memory("nsec3"), 45.0, " MiB"),
            ("reload of 1M records: time beside Knot", reload_time, 0.5, ""),
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
                let time = |figures: &LatencyFigures| of(figures).unwrap_or(f64::INFINITY);
                let what = format!("{}: {name} beside gdnsd", case.title);
                let is_never = |server| {
                    self.figures
                        .latency(case.name, server, time)
                        .is_some_and(|spread| spread.median.is_infinite())
                };
                // Where both lose more than would leave such a time, the losses say who is worse.
                let (what, ratio) = if is_never(Pharos) && is_never(Gdnsd) {
                    let lost = LatencyFigures::lost_percent;
                    let what = format!("{what} (never with both: queries lost)");
                    (what, self.figures.latency_ratio(case.name, Pharos, Gdnsd, lost))
                } else {
                    (what, self.figures.latency_ratio(case.name, Pharos, Gdnsd, time))
                };
                self.ratio_line(6, &what, ratio, Bound::AtMost(1.0));
            }
        }
    }

    fn ratio(&self, case: &str, one: Server, other: Server) -> Option<Spread> {
        self.figures.load_ratio((case, one), (case, other), LoadFigures::cpu_ns)
    }

    fn quiet_ratio(&self, case: &str, one: Server, other: Server) -> Option<Spread> {
        self.figures.quiet_load_ratio((case, one), (case, other), LoadFigures::cpu_ns)
    }

    fn ratio_line(&mut self, number: u8, what: &str, measured: Option<Spread>, bound: Bound) {
        self.line(number, what, measured, bound, "");
    }

    fn line(&mut self, number: u8, what: &str, measured: Option<Spread>, bound: Bound, unit: &'static str) {
        self.targets.push(Target { number, what: what.to_owned(), measured, bound, unit });
    }
}
