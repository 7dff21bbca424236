//! The counters as Prometheus metrics, made when somebody scrapes: the single-writer counters are the only
//! truth, and nothing is counted twice.

use std::collections::HashMap;

use pharos_answer::DropReason;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::counters::{
    Classes, Count, Counters, Family as IpFamily, KINDS, OPCODES, QTYPES, RCODES, SIZES, ZONE_SLOTS,
};
use crate::handle::Handle;
use crate::origin::Origin;
use crate::status::{StatusFilter, XdpLife, ZoneLife};

/// The commit that this was built from, where the build was told by `PHAROS_COMMIT`.
const BUILT_FROM: &str = match option_env!("PHAROS_COMMIT") {
    Some(commit) => commit,
    None => "",
};
/// What the compiler calls itself (build.rs asks it).
const BUILT_BY: &str = env!("PHAROS_RUSTC");

/// Makes metric families of what a responder counts.
pub(crate) struct ResponderCollector {
    handle: Handle,
    /// The registry tells collectors apart by their descriptions; one is enough.
    description: Desc,
}

impl ResponderCollector {
    pub(crate) fn new(handle: Handle) -> prometheus::Result<Self> {
        let description =
            Desc::new("pharos_responder".into(), "A responder.".into(), Vec::new(), HashMap::new())?;
        Ok(Self { handle, description })
    }
}

impl Collector for ResponderCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = traffic(&self.handle.counters());
        families.extend(health(&self.handle));
        families.extend(xdp(&self.handle));
        families
    }
}

/// Counters of every thread, each with its transport and, of what became of messages, with the origin.
fn traffic(all: &[(&'static str, &Counters)]) -> Vec<MetricFamily> {
    let mut queries = counter(
        "pharos_responder_queries_total",
        "Messages received, by transport, family and origin: clients, probes from this host, management addresses.",
    );
    let mut asked = counter(
        "pharos_responder_address_queries_total",
        "Messages received, by transport, origin and the address that was asked.",
    );
    let mut opcodes =
        counter("pharos_responder_opcodes_total", "Messages answered, by transport, origin and opcode.");
    let mut qtypes =
        counter("pharos_responder_qtypes_total", "Messages answered, by transport, origin and query type.");
    let mut rcodes =
        counter("pharos_responder_rcodes_total", "Replies, by transport, origin and response code.");
    let mut kinds =
        counter("pharos_responder_answers_total", "Replies, by transport, origin and kind of answer.");
    let mut sizes = counter(
        "pharos_responder_reply_sizes_total",
        "Replies, by transport, origin and size: at most `octets`, more than the class below.",
    );
    let mut octets =
        counter("pharos_responder_reply_octets_total", "Octets of replies, without IP, UDP and TCP headers.");
    let mut truncated = counter("pharos_responder_truncated_total", "Replies with the TC bit set.");
    let mut unanswered = counter(
        "pharos_responder_unanswered_total",
        "Messages that get no reply by rule, by reason: shorter than a header, or responses.",
    );
    let mut dropped = counter(
        "pharos_responder_dropped_total",
        "Datagrams and replies that were lost here, by reason: the receive buffer was full, or the reply not sent.",
    );
    let mut errors = counter("pharos_responder_receive_errors_total", "Failures to receive or accept.");
    for &(transport, counters) in all {
        let transport = ("transport", transport);
        for origin in Origin::ALL {
            let tally = counters.of(origin);
            let both = [transport, ("origin", origin.label())];
            for (address, count) in counters.by_address(origin) {
                let family = IpFamily::of(address.ip());
                queries.add(&[both[0], both[1], ("family", family.label())], count);
                let address = address.to_string();
                asked.add(&[both[0], both[1], ("address", address.as_str())], count);
            }
            opcodes.classes(&both, "opcode", OPCODES.map(|opcode| opcode.label().to_owned()), &tally.opcodes);
            qtypes.classes(&both, "qtype", QTYPES.map(|qtype| qtype.to_string()), &tally.qtypes);
            rcodes.classes(&both, "rcode", RCODES.map(|rcode| rcode.label().to_owned()), &tally.rcodes);
            kinds.classes(&both, "kind", KINDS.map(|kind| kind.label().to_owned()), &tally.kinds);
            sizes.classes(&both, "octets", SIZES.map(|size| size.to_string()), &tally.sizes);
            octets.add(&both, tally.reply_octets.get());
            truncated.add(&both, tally.truncated.get());
            for (reason, count) in DropReason::ALL.iter().zip(&tally.unanswered) {
                unanswered.add(&[both[0], both[1], ("reason", reason.label())], count.get());
            }
        }
        let sends: [(&str, &Count); 5] = [
            ("receive_buffer_full", &counters.socket_drops),
            ("send_no_room", &counters.send_no_room),
            ("send_forbidden", &counters.send_forbidden),
            ("send_unreachable", &counters.send_unreachable),
            ("send_other", &counters.send_other),
        ];
        for (reason, count) in sends {
            dropped.add(&[transport, ("reason", reason)], count.get());
        }
        errors.add(&[transport], counters.receive_errors.get());
    }
    [queries, asked, opcodes, qtypes, rcodes, kinds, sizes, octets, truncated, unanswered, dropped, errors]
        .into_iter()
        .map(Family::finish)
        .collect()
}

/// Zones, workers, the process.
fn health(handle: &Handle) -> Vec<MetricFamily> {
    let status = handle.status(&StatusFilter::default());
    let mut info = gauge(
        "pharos_responder_info",
        "1, with the node's identity, the version, the commit it was built from if the build knew, and the compiler.",
    );
    let build =
        [("version", status.version), ("commit", BUILT_FROM), ("rustc", BUILT_BY), ("node", &status.node)];
    info.add(&build, 1);
    let mut started =
        gauge("pharos_responder_start_time_seconds", "When the responder started, seconds since 1970.");
    started.add(&[], status.started_unix);
    let mut ready =
        gauge("pharos_responder_ready", "1 when every zone has been tried and all threads that answer turn.");
    ready.add(&[], status.ready.into());
    let mut generation = gauge("pharos_responder_generation", "How many sets of zones have been in force.");
    generation.add(&[], status.generation);
    let mut zones = gauge(
        "pharos_responder_zones",
        "Zones by state: live, refused (newer data were refused and the last good ones answer), not_loaded (SERVFAIL).",
    );
    for (state, count) in [
        (ZoneLife::Live, status.zones_live),
        (ZoneLife::Refused, status.zones_refused),
        (ZoneLife::NotLoaded, status.zones_not_loaded),
    ] {
        zones.add(&[("state", state.label())], count as u64);
    }
    let mut state = gauge(
        "pharos_responder_zone_state",
        "1 for the state that the zone is in, 0 for the others: live, refused (newer data were refused and the last \
         good ones answer), not_loaded (SERVFAIL).",
    );
    let mut serial = gauge("pharos_responder_zone_serial", "SOA serial that answers.");
    let mut records = gauge("pharos_responder_zone_records", "Records that answer.");
    let mut octets = gauge("pharos_responder_zone_octets", "Octets of memory of a zone.");
    let mut loaded = gauge(
        "pharos_responder_zone_loaded_time_seconds",
        "When the data that answer were loaded, seconds since 1970.",
    );
    let mut took = gauge(
        "pharos_responder_zone_load_milliseconds",
        "How long reading, checking and compiling the data that answer took.",
    );
    let mut refused = gauge(
        "pharos_responder_zone_refused",
        "1 while newer data of the zone are refused or it has none: an alarm.",
    );
    let mut expiry = gauge(
        "pharos_responder_zone_signature_expiry_time_seconds",
        "When the first signature of a signed zone ends, seconds since 1970.",
    );
    let mut findings = gauge(
        "pharos_responder_zone_findings",
        "Things that are wrong with data that answer, by the clock or beside the parent zone: an alarm.",
    );
    for zone in &status.zones {
        let label = [("zone", zone.name.as_str())];
        refused.add(&label, (zone.state != ZoneLife::Live).into());
        for known in [ZoneLife::Live, ZoneLife::Refused, ZoneLife::NotLoaded] {
            state.add(&[label[0], ("state", known.label())], (zone.state == known).into());
        }
        records.add(&label, zone.records);
        octets.add(&label, zone.octets as u64);
        findings.add(&label, zone.findings.len() as u64);
        if let Some(signed) = &zone.signed {
            expiry.add(&label, signed.earliest_expiry_unix);
        }
        if let (Some(number), Some(at)) = (zone.serial, zone.loaded_unix) {
            serial.add(&label, number.into());
            loaded.add(&label, at);
            took.add(&label, zone.load_ms);
        }
    }
    let mut alarming = gauge(
        "pharos_responder_zones_with_findings",
        "Zones with such findings, those among them that are not listed one by one.",
    );
    alarming.add(&[], status.zones_with_findings as u64);
    let mut clock = gauge(
        "pharos_responder_clock_trusted",
        "1 while the host's clock is believed; while it is not, nothing is refused by it.",
    );
    clock.add(&[], status.clock.trusted.into());
    let mut heartbeat = gauge(
        "pharos_responder_worker_heartbeat_age_milliseconds",
        "Since a thread that answers last turned, by its name: UDP workers and TCP threads turn at least every 100 ms.",
    );
    for (name, age) in handle.heartbeats() {
        heartbeat.add(&[("worker", &name)], age);
    }
    let all = handle.counters();
    let mut queries = counter(
        "pharos_responder_zone_queries_total",
        "Replies, by zone asked and origin; zones beyond the first 1000 share the empty name. Of probes and management \
         only zones that were asked are listed.",
    );
    let slots = handle.zone_slots();
    let slots = slots.iter().map(|(zone, slot)| (zone.as_str(), *slot)).chain([("", ZONE_SLOTS as u16)]);
    for (zone, slot) in slots {
        for origin in Origin::ALL {
            let count = all.iter().map(|(_, counters)| counters.of(origin).zones.get(slot)).sum();
            if origin == Origin::Client || count > 0 {
                let labels = [("zone", zone), ("origin", origin.label())];
                queries.series.push((labels.map(|(name, value)| (name.into(), value.into())).into(), count));
            }
        }
    }
    let mut ended = counter(
        "pharos_responder_tcp_events_total",
        "TCP connections accepted, turned away over a bound, closed in favour of a new one since they idled longest \
         (displaced), closed because they idled or were too slow (timed_out), and closed because clients that do not read \
         made the responder keep too much (overfull).",
    );
    for (event, count) in [
        ("accepted", |counters: &Counters| counters.accepted.get()),
        ("turned_away", |counters: &Counters| counters.turned_away.get()),
        ("displaced", |counters: &Counters| counters.displaced.get()),
        ("timed_out", |counters: &Counters| counters.timed_out.get()),
        ("overfull", |counters: &Counters| counters.overfull.get()),
    ] as [(&str, fn(&Counters) -> u64); 5]
    {
        ended.add(&[("event", event)], all.iter().map(|(_, counters)| count(counters)).sum());
    }
    let mut connections = gauge("pharos_responder_tcp_connections", "TCP connections open now.");
    connections.add(&[], status.tcp_connections);
    let mut bound = gauge(
        "pharos_responder_tcp_connections_limit",
        "TCP connections that may be open at once: as configured, or fewer where file descriptors are few.",
    );
    bound.add(&[], status.tcp_connections_at_most);
    [
        info,
        started,
        ready,
        generation,
        zones,
        state,
        serial,
        records,
        octets,
        loaded,
        took,
        refused,
        expiry,
        findings,
        alarming,
        clock,
        heartbeat,
        queries,
        ended,
        connections,
        bound,
    ]
    .into_iter()
    .map(Family::finish)
    .collect()
}

/// Interfaces under AF_XDP and their queues.
fn xdp(handle: &Handle) -> Vec<MetricFamily> {
    let faces = handle.xdp();
    if faces.is_empty() {
        return Vec::new();
    }
    let mut state = gauge(
        "pharos_responder_xdp_state",
        "1 for the state that the interface is in, 0 for the others: attached, down (the interface is), sockets (AF_XDP \
         cannot be used there: an alarm).",
    );
    let mut heartbeat = gauge(
        "pharos_responder_xdp_queue_heartbeat_age_milliseconds",
        "Since the worker of a queue last turned; after 1000 its packets go to the kernel.",
    );
    let mut events = counter(
        "pharos_responder_xdp_frames_total",
        "What happened at the queues, by kind: received and sent, frames without a whole datagram, and losses at each ring.",
    );
    for face in faces {
        let interface = ("interface", face.interface.as_str());
        for known in [XdpLife::Attached, XdpLife::Down, XdpLife::Sockets] {
            state.add(&[interface, ("state", known.label())], (face.state == known).into());
        }
        for queue in &face.queues {
            let number = queue.queue.to_string();
            heartbeat.add(&[interface, ("queue", &number)], queue.heartbeat_age_ms);
            for (&event, &count) in &queue.events {
                events.add(&[interface, ("queue", &number), ("event", event)], count);
            }
        }
    }
    [state, heartbeat, events].into_iter().map(Family::finish).collect()
}

/// A family under construction; series with the same labels are summed.
struct Family {
    kind: MetricType,
    family: MetricFamily,
    series: Vec<(Vec<(String, String)>, u64)>,
}

fn counter(name: &str, help: &str) -> Family {
    Family::new(MetricType::COUNTER, name, help)
}

fn gauge(name: &str, help: &str) -> Family {
    Family::new(MetricType::GAUGE, name, help)
}

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self { kind, family, series: Vec::new() }
    }

    fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        // Only counters of several threads meet; their families have few series.
        let same = |known: &[(String, String)]| {
            known.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(labels.iter().copied())
        };
        if self.kind == MetricType::COUNTER
            && let Some((_, sum)) = self.series.iter_mut().find(|(known, _)| same(known))
        {
            *sum += value;
            return;
        }
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.series.push((labels, value));
    }

    fn classes<const N: usize>(
        &mut self,
        labels: &[(&str, &str)],
        name: &str,
        values: [String; N],
        classes: &Classes<N>,
    ) {
        let counts = classes.known().chain([classes.other()]);
        for (value, count) in values.iter().map(String::as_str).chain(["other"]).zip(counts) {
            self.add(&[labels, &[(name, value)]].concat(), count);
        }
    }

    fn finish(mut self) -> MetricFamily {
        let metrics = self.series.into_iter().map(|(mut labels, value)| {
            labels.sort(); // the order in which the format's other writers put them
            let pairs = labels.into_iter().map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name);
                pair.set_value(value);
                pair
            });
            let mut metric = Metric::from_label(pairs.collect());
            if self.kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value as f64);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value as f64);
                metric.set_gauge(gauge);
            }
            metric
        });
        let metrics = metrics.collect();
        self.family.set_metric(metrics);
        self.family
    }
}
