//! What Prometheus scrapes: `pharos_sidecar_*`.
//!
//! Counters count when something happens; gauges are read from the keeper when somebody scrapes, so that
//! they cannot disagree with `/status`. Label values come from the configuration and from fixed lists, never
//! from strangers, so that the number of series is bounded by the configuration.

use std::sync::Arc;
use std::time::Duration;

use pharos_policy::explain::{Followed, Route, Verdict};
use pharos_policy::{Family, Kind, Level, Prefix, Transport};
use pharos_routing::bfd::State as BfdState;
use pharos_routing::bgp::State as SessionState;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::config::Mode;
use crate::keeper::Keeper;
use crate::told;

/// Upper bounds in seconds: a loopback answer takes tens of microseconds, a timeout is a few hundred
/// milliseconds.
const BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// What became of one probe, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// All as it should be.
    Pass,
    /// Somebody said no, or answered who is not this node.
    Unreachable,
    /// Nobody answered in time.
    Unanswered,
    /// This host did not let the query out.
    NotAsked,
    /// This node answered, and not as it should.
    Wrong,
}

impl ProbeResult {
    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unreachable => "unreachable",
            Self::Unanswered => "unanswered",
            Self::NotAsked => "not-asked",
            Self::Wrong => "wrong",
        }
    }
}

/// All series of the sidecar.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    level: IntGaugeVec,
    level_age: GaugeVec,
    ordered: IntGaugeVec,
    announced: IntGaugeVec,
    dry_run: IntGauge,
    hold_down_left: GaugeVec,
    transitions: IntCounterVec,
    probes: IntCounterVec,
    probe_seconds: HistogramVec,
    session: IntGaugeVec,
    session_flaps: IntCounterVec,
    told: IntGaugeVec,
    bfd: IntGaugeVec,
    bfd_flaps: IntCounterVec,
    alarms: IntGaugeVec,
    drift: GaugeVec,
    actions: IntCounterVec,
    signal: IntGaugeVec,
    signal_age: GaugeVec,
    traffic: GaugeVec,
    followed: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let gauge = |name, help, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("the name and labels are valid")
        };
        let counter = |name, help, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("the name and labels are valid")
        };
        Self {
            level: gauge(
                "pharos_sidecar_level",
                "Level in force: 0 normal, 1 degraded, 2 last-resort, 3 draining, 4 withdrawn.",
                &["prefix", "group"],
            ),
            level_age: GaugeVec::new(
                Opts::new("pharos_sidecar_level_age_seconds", "How long the level has been in force."),
                &["prefix"],
            )
            .expect("the name and labels are valid"),
            ordered: gauge(
                "pharos_sidecar_ordered_level",
                "The best level that drains, holds and forced levels allow, as pharos_sidecar_level; 0 without any.",
                &["prefix"],
            ),
            announced: gauge(
                "pharos_sidecar_announced",
                "Whether anybody has a route of the prefix: 1 yes, 0 no, -1 not known.",
                &["prefix"],
            ),
            dry_run: IntGauge::new(
                "pharos_sidecar_dry_run",
                "1 if the whole sidecar runs dry: nobody is told.",
            )
            .expect("the name is valid"),
            hold_down_left: GaugeVec::new(
                Opts::new(
                    "pharos_sidecar_hold_down_left_seconds",
                    "What is left of a hold-down; 0 if none runs.",
                ),
                &["prefix"],
            )
            .expect("the name and labels are valid"),
            transitions: counter(
                "pharos_sidecar_transitions_total",
                "Changes of level.",
                &["prefix", "from", "to"],
            ),
            probes: counter(
                "pharos_sidecar_probes_total",
                "Probes by what became of them.",
                &["family", "transport", "result"],
            ),
            probe_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "pharos_sidecar_probe_duration_seconds",
                    "Time to an answer or a failure.",
                )
                .buckets(BUCKETS.to_vec()),
                &["family", "transport"],
            )
            .expect("the name and labels are valid"),
            session: gauge(
                "pharos_sidecar_session_established",
                "1 while the BGP session is established.",
                &["neighbour", "remote_as"],
            ),
            session_flaps: counter(
                "pharos_sidecar_session_flaps_total",
                "Established sessions lost since the start.",
                &["neighbour", "remote_as"],
            ),
            told: gauge(
                "pharos_sidecar_told",
                "1 while the neighbour has been told a route for the prefix, and not that it is gone; -1 while \
                 it takes no octets, so that what it knows may be older.",
                &["neighbour", "remote_as", "prefix"],
            ),
            bfd: gauge(
                "pharos_sidecar_bfd_up",
                "1 while BFD with the neighbour is up.",
                &["neighbour", "remote_as"],
            ),
            bfd_flaps: counter(
                "pharos_sidecar_bfd_flaps_total",
                "Times that BFD with the neighbour was lost since the start.",
                &["neighbour", "remote_as"],
            ),
            alarms: gauge("pharos_sidecar_alarms", "Alarms in force.", &["kind"]),
            drift: GaugeVec::new(
                Opts::new(
                    "pharos_sidecar_drift_seconds",
                    "How long what an announcer observes has not been what was decided; 0 if it is.",
                ),
                &["announcer", "prefix"],
            )
            .expect("the name and labels are valid"),
            signal: gauge(
                "pharos_sidecar_signal",
                "Verdict on a signal: 0 good or quiet, 1 warned, 2 bad, 3 expired, -1 unknown. Required zones are left out.",
                &["kind", "signal"],
            ),
            signal_age: GaugeVec::new(
                Opts::new(
                    "pharos_sidecar_signal_age_seconds",
                    "Time since a signal was last observed; -1 if it never was. Required zones are left out.",
                ),
                &["kind", "signal"],
            )
            .expect("the name and labels are valid"),
            traffic: GaugeVec::new(
                Opts::new(
                    "pharos_sidecar_client_queries_per_second",
                    "Real queries of a prefix, as the responder counts.",
                ),
                &["prefix"],
            )
            .expect("the name and labels are valid"),
            followed: gauge(
                "pharos_sidecar_traffic_followed",
                "Whether real queries followed the last change of level: 1 yes, 0 not yet, -1 no; absent where there was nothing to follow.",
                &["prefix"],
            ),
            actions: counter(
                "pharos_sidecar_announcer_actions_total",
                "Actions of announcers other than BGP by what became of them: done or failed.",
                &["announcer", "result"],
            ),
        }
    }

    pub(crate) fn transition(&self, prefix: Prefix, from: Level, to: Level) {
        self.transitions.with_label_values(&[prefix.to_string().as_str(), from.name(), to.name()]).inc();
    }

    pub(crate) fn probe(&self, family: Family, transport: Transport, result: ProbeResult, took: Duration) {
        self.probes.with_label_values(&[family.name(), transport.name(), result.name()]).inc();
        self.probe_seconds.with_label_values(&[family.name(), transport.name()]).observe(took.as_secs_f64());
    }

    /// Says whether decisions are carried out.
    pub(crate) fn mode(&self, mode: Mode) {
        self.dry_run.set(i64::from(mode == Mode::DryRun));
    }

    /// Makes the series of a neighbour exist from the start, so that a first flap is an increase from zero.
    pub(crate) fn neighbour(&self, name: &str, remote_as: u32) {
        self.session_flaps.with_label_values(&[name, remote_as.to_string().as_str()]);
    }

    /// An established session was lost.
    pub(crate) fn flap(&self, name: &str, remote_as: u32) {
        self.session_flaps.with_label_values(&[name, remote_as.to_string().as_str()]).inc();
    }

    /// Makes the series of an announcer exist from the start.
    pub(crate) fn announcer(&self, name: &str) {
        for result in ["done", "failed"] {
            self.actions.with_label_values(&[name, result]);
        }
    }

    /// An announcer's action has ended.
    pub(crate) fn action<T, E>(&self, name: &str, result: &Result<T, E>) {
        let result = if result.is_ok() { "done" } else { "failed" };
        self.actions.with_label_values(&[name, result]).inc();
    }

    /// BFD was lost.
    pub(crate) fn bfd_flap(&self, name: &str, remote_as: u32) {
        self.bfd_flaps.with_label_values(&[name, remote_as.to_string().as_str()]).inc();
    }

    fn collectors(&self) -> [&dyn Collector; 21] {
        [
            &self.level,
            &self.level_age,
            &self.ordered,
            &self.announced,
            &self.dry_run,
            &self.hold_down_left,
            &self.transitions,
            &self.probes,
            &self.probe_seconds,
            &self.session,
            &self.session_flaps,
            &self.told,
            &self.bfd,
            &self.bfd_flaps,
            &self.alarms,
            &self.drift,
            &self.actions,
            &self.signal,
            &self.signal_age,
            &self.traffic,
            &self.followed,
        ]
    }
}

/// A verdict as a number: the greater, the worse.
const fn rank(verdict: Verdict) -> i64 {
    match verdict {
        Verdict::Unknown => -1,
        Verdict::Good | Verdict::Quiet => 0,
        Verdict::Warned => 1,
        Verdict::Bad => 2,
        Verdict::Expired => 3,
    }
}

/// What is registered: reads the keeper, then gives the series.
pub(crate) struct Scraped(pub(crate) Arc<Keeper>);

impl Scraped {
    fn read_gauges(&self) {
        let metrics = &self.0.metrics;
        let (now, state) = self.0.copy();
        for (prefix, level) in state.policy.levels() {
            let text = prefix.to_string();
            let group = state.policy.group(prefix).unwrap_or_default();
            let figure = |level: Level| i64::try_from(level.rank()).unwrap_or(i64::MAX);
            metrics.level.with_label_values(&[text.as_str(), group]).set(figure(level));
            let ordered = state.policy.ordered(prefix).unwrap_or(Level::Normal);
            metrics.ordered.with_label_values(&[text.as_str()]).set(figure(ordered));
            let left = state.policy.hold_down_left(prefix, now).unwrap_or_default();
            let level_age = state.policy.level_age(prefix, now).unwrap_or_default();
            metrics.level_age.with_label_values(&[text.as_str()]).set(level_age.as_secs_f64());
            metrics.hold_down_left.with_label_values(&[text.as_str()]).set(left.as_secs_f64());
            let announced = match told::route(&state, prefix) {
                Route::There => 1,
                Route::Absent => 0,
                Route::Unknown => -1,
            };
            metrics.announced.with_label_values(&[text.as_str()]).set(announced);
            if let Some(traffic) = state.traffic.view(now, prefix) {
                metrics.traffic.with_label_values(&[text.as_str()]).set(traffic.queries_per_second);
                let followed = match traffic.followed {
                    Some(Followed::Yes) => Some(1),
                    Some(Followed::NotYet) => Some(0),
                    Some(Followed::No) => Some(-1),
                    None => None,
                };
                let label = [text.as_str()];
                match followed {
                    Some(followed) => metrics.followed.with_label_values(&label).set(followed),
                    // There is none yet at the first reading, and that is well.
                    None => drop(metrics.followed.remove_label_values(&label)),
                }
            }
        }
        let views = state.policy.signals(now);
        for (id, view) in state.policy.observed().zip(&views).filter(|(id, _)| id.kind() != Kind::Zone) {
            let labels = [id.kind().name(), view.name.as_str()];
            metrics.signal.with_label_values(&labels).set(rank(view.health));
            let age = view.last_age.map_or(-1.0, |age| age.as_secs_f64());
            metrics.signal_age.with_label_values(&labels).set(age);
        }
        for neighbour in &state.neighbours {
            let remote_as = neighbour.remote_as.to_string();
            let labels = [neighbour.name.as_str(), remote_as.as_str()];
            let up = i64::from(neighbour.state == Some(SessionState::Established));
            metrics.session.with_label_values(&labels).set(up);
            for (prefix, _) in state.policy.levels() {
                let labels = [labels[0], labels[1], &prefix.to_string()];
                let told = if neighbour.waits { -1 } else { i64::from(neighbour.told_of(prefix).is_some()) };
                metrics.told.with_label_values(&labels).set(told);
            }
            if let Some(bfd) = neighbour.bfd {
                let up = i64::from(bfd.state == BfdState::Up);
                metrics.bfd.with_label_values(&labels).set(up);
                // Makes the series exist from the start, so that a first loss is an increase from zero.
                metrics.bfd_flaps.with_label_values(&labels);
            }
        }
        let prefixes: Vec<_> = state.policy.levels().map(|(prefix, _)| prefix).collect();
        let neighbours = (state.neighbours.iter()).map(|it| (format!("bgp {}", it.name), &it.drift));
        let announcers = state.announcers.iter().map(|it| (it.name.clone(), &it.drift));
        for (name, drift) in neighbours.chain(announcers) {
            for &prefix in &prefixes {
                let since = drift.iter().find(|drift| drift.gap.prefix == prefix).map(|drift| drift.since);
                let age = since.map_or(0.0, |since| now.saturating_sub(since).as_secs_f64());
                let labels = [name.as_str(), &prefix.to_string()];
                metrics.drift.with_label_values(&labels).set(age);
            }
        }
        for kind in pharos_policy::AlarmId::KINDS {
            let count = state.policy.alarms().filter(|alarm| alarm.id.kind() == kind).count();
            metrics.alarms.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Collector for Scraped {
    fn desc(&self) -> Vec<&Desc> {
        self.0.metrics.collectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read_gauges();
        self.0.metrics.collectors().into_iter().flat_map(Collector::collect).collect()
    }
}
