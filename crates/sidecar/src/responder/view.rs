//! The responder's `/status` as the sidecar reads it: a view of its own, since the two share no code.
//!
//! Whatever is missing is not known, so that an older responder, or a newer one, is understood as far as it goes;
//! fields that this version does not know are passed over.

use std::net::SocketAddr;
use std::time::Duration;

use pharos_policy::load::{Heartbeat, Intake, Reading};
use serde::Deserialize;

use crate::keeper::Served;
use crate::status::{MOST_ZONES, ZoneStatus};

/// What is read of the responder's `/status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    pub(super) pid: u32,
    pub(super) ready: bool,
    pub(super) zones_total: u64,
    pub(super) zones_live: u64,
    pub(super) zones_refused: u64,
    pub(super) zones_not_loaded: u64,
    pub(super) zones: Vec<ZoneView>,
    pub(super) zones_omitted: u64,
    pub(super) clock: ClockView,
    workers: Vec<ThreadView>,
    tcp_threads: Vec<ThreadView>,
    xdp: Vec<InterfaceView>,
    interfaces: Vec<IntakeView>,
    /// What came to each service address.
    pub(super) traffic: Vec<AddressView>,
}

/// What came to one service address.
#[derive(Debug, Deserialize)]
pub(super) struct AddressView {
    pub(super) address: SocketAddr,
    /// From other hosts.
    pub(super) client: u64,
}

/// One zone of it.
#[derive(Debug, Deserialize)]
pub(super) struct ZoneView {
    pub(super) name: String,
    pub(super) state: ZoneState,
    #[serde(default)]
    pub(super) serial: Option<u32>,
    #[serde(default)]
    pub(super) refusal: Option<String>,
    #[serde(default)]
    pub(super) refused_unix: Option<u64>,
    #[serde(default)]
    pub(super) findings: Vec<String>,
    #[serde(default)]
    pub(super) records: u64,
    #[serde(default)]
    pub(super) loaded_unix: Option<u64>,
    #[serde(default)]
    pub(super) signed: Option<SignedView>,
}

/// A zone's signatures.
#[derive(Debug, Deserialize)]
pub(super) struct SignedView {
    pub(super) earliest_expiry_unix: u64,
    #[serde(default)]
    pub(super) earliest_expiry_record: String,
}

/// What the responder thinks of the clock.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClockView {
    pub(super) doubt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ZoneState {
    /// The newest data answer.
    Live,
    /// Newer data were refused, the last good ones answer.
    Refused,
    /// There never were good data: SERVFAIL.
    NotLoaded,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

impl ZoneState {
    /// The name, as the responder writes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Refused => "refused",
            Self::NotLoaded => "not_loaded",
            Self::Other => "unknown",
        }
    }
}

/// A thread that answers.
#[derive(Debug, Deserialize)]
struct ThreadView {
    id: u64,
    heartbeat_age_ms: u64,
    /// Of workers: messages that they received.
    #[serde(default)]
    queries: u64,
    #[serde(default)]
    socket_drops: u64,
    /// Of workers: messages to which a reply was sent.
    #[serde(default)]
    answered: Option<u64>,
}

/// An interface that is used by AF_XDP.
#[derive(Debug, Deserialize)]
struct InterfaceView {
    interface: String,
    state: String,
    #[serde(default)]
    queues: Vec<QueueView>,
}

/// One queue of it.
#[derive(Debug, Deserialize)]
struct QueueView {
    queue: u32,
    #[serde(default)]
    worker: u64,
    heartbeat_age_ms: u64,
    #[serde(default)]
    lost: u64,
    #[serde(default)]
    events: QueueEventsView,
}

/// What happened at it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct QueueEventsView {
    received: u64,
}

/// What an interface of the host received, and what was dropped there.
#[derive(Debug, Deserialize)]
struct IntakeView {
    interface: String,
    packets: u64,
    dropped: u64,
}

impl View {
    /// What people are told of the responder: zones that a person should look at first, the rest by name.
    pub(super) fn told(&self, at: Duration) -> Served {
        let mut zones: Vec<_> = self.zones.iter().map(ZoneView::told).collect();
        zones.sort_by(|one, other| (one.severity(), &one.name).cmp(&(other.severity(), &other.name)));
        zones.truncate(MOST_ZONES);
        Served {
            at,
            ready: self.ready,
            zones_total: self.zones_total,
            zones_live: self.zones_live,
            zones_refused: self.zones_refused,
            zones_not_loaded: self.zones_not_loaded,
            zones: zones.into(),
        }
    }

    /// What is known of these zones, and nothing else.
    pub(super) fn of_zones(zones: Vec<ZoneView>) -> Self {
        Self { zones, ..Self::default() }
    }

    /// Who empties the queues, and what was dropped from them.
    pub(super) fn reading(&self) -> Reading {
        let beat = |name: String, age_ms: u64| Heartbeat { name, age: Duration::from_millis(age_ms) };
        let workers = self.workers.iter().map(|it| beat(format!("worker {}", it.id), it.heartbeat_age_ms));
        let tcp =
            self.tcp_threads.iter().map(|it| beat(format!("TCP thread {}", it.id), it.heartbeat_age_ms));
        // The queues of an interface whose packets the kernel takes are nobody's.
        let attached = self.xdp.iter().filter(|it| it.state == "attached");
        let queues = attached.flat_map(|it| it.queues.iter().map(move |queue| (it, queue)));
        let queues = queues.map(|(it, queue)| {
            beat(format!("queue {} of {}", queue.queue, it.interface), queue.heartbeat_age_ms)
        });
        let heartbeats = workers.chain(tcp).chain(queues).collect();
        let of = |name: String, taken: u64, dropped: u64| {
            (name, Intake { packets: taken.saturating_add(dropped), dropped })
        };
        // What a worker has of a queue came by no socket.
        let by_queue = |worker: u64| -> u64 {
            let queues = self.xdp.iter().flat_map(|it| &it.queues);
            queues.filter(|queue| queue.worker == worker).map(|queue| queue.events.received).sum()
        };
        let sockets = self.workers.iter().map(|it| {
            let by_socket = it.queries.saturating_sub(by_queue(it.id));
            of(format!("worker {}", it.id), by_socket, it.socket_drops)
        });
        let rings = self.xdp.iter().flat_map(|it| {
            let name = |queue: &QueueView| format!("queue {} of {}", queue.queue, it.interface);
            it.queues.iter().map(move |queue| of(name(queue), queue.events.received, queue.lost))
        });
        let queues = sockets.chain(rings).collect();
        let intake =
            |it: &IntakeView| (it.interface.clone(), Intake { packets: it.packets, dropped: it.dropped });
        let interfaces = self.interfaces.iter().map(intake).collect();
        // What TCP answers shows nothing of those who ask by UDP, whom a flood keeps out.
        let answered = self.workers.iter().filter_map(|it| it.answered).reduce(u64::saturating_add);
        Reading { queues, interfaces, heartbeats, answered }
    }
}

impl ZoneView {
    fn told(&self) -> ZoneStatus {
        ZoneStatus {
            name: self.name.clone(),
            state: self.state.name().to_owned(),
            serial: self.serial,
            records: self.records,
            loaded_unix: self.loaded_unix,
            refusal: self.refusal.clone(),
            refused_unix: self.refused_unix,
            signatures_end_unix: self.signed.as_ref().map(|signed| signed.earliest_expiry_unix),
            findings: self.findings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_attached_queues_are_read_with_what_they_dropped() {
        let text = r#"{"workers":[{"id":0,"cpu":0,"heartbeat_age_ms":3,"queries":9,"answered":8,"socket_drops":7}],
            "tcp_threads":[{"id":0,"heartbeat_age_ms":5}],
            "xdp":[{"interface":"eth0","state":"attached","queues":[{"queue":1,"worker":0,"heartbeat_age_ms":4,"lost":2,"events":{"received":5,"sent":4}}]},
                   {"interface":"eth1","state":"down","queues":[{"queue":0,"heartbeat_age_ms":99999}]}],
            "interfaces":[{"interface":"eth0","packets":90,"dropped":8}]}"#;
        let view: View = serde_json::from_str(text).unwrap();
        let Reading { queues, interfaces, heartbeats, answered } = view.reading();
        assert_eq!(answered, Some(8));
        assert_eq!(interfaces, [("eth0".to_owned(), Intake { packets: 90, dropped: 8 })].into());
        let of = |packets, dropped| Intake { packets, dropped };
        let told = [("worker 0", of(11, 7)), ("queue 1 of eth0", of(7, 2)), ("queue 0 of eth1", of(0, 0))];
        assert_eq!(queues, told.map(|(name, intake)| (name.to_owned(), intake)).into());
        let names: Vec<_> = heartbeats.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["worker 0", "TCP thread 0", "queue 1 of eth0"]);
    }

    #[test]
    fn a_status_that_tells_of_no_thread_tells_of_no_heartbeat() {
        let view: View = serde_json::from_str("{}").unwrap();
        let Reading { heartbeats, answered, .. } = view.reading();
        assert_eq!((heartbeats, answered), (Vec::new(), None));
    }
}
