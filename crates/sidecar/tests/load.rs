//! What goes unanswered is told apart: overload, lateness, a stuck worker, a dead responder.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use common::responder::Fault;
use common::{
    Collector, FakeResponder, LOCALHOST, Running, V4, active, config, in_namespace, ip, status, until,
};
use pharos_policy::explain::Verdict;
use pharos_sidecar::{Config, Rise, StatusConfig};

/// Settings by which an unanswered probe is soon known for one.
fn impatient(responder: &FakeResponder, router: &Collector) -> Config {
    let mut settings = config(&[V4], vec![responder.address], vec![active(router.address)]);
    settings.status = Some(status(responder.status));
    settings.probe.timeout = Duration::from_millis(200);
    settings
}

/// The health of a signal, and what was seen of it last.
fn signal(sidecar: &Running, name: &str) -> (Verdict, String) {
    let signals = sidecar.0.why(V4).unwrap().signals;
    let found = signals.into_iter().find(|signal| signal.name.contains(name));
    found.map_or((Verdict::Unknown, String::new()), |signal| (signal.health, signal.last))
}

fn until_health(sidecar: &Running, name: &str, health: Verdict) {
    until(&format!("{name} is {health}"), || (signal(sidecar, name).0 == health).then_some(()));
}

/// An announced node whose responder runs, drops queries, and answers none.
fn flooded(responder: &FakeResponder, router: &Collector) -> Running {
    responder.change(|manner| manner.tell_worker(3, "$FETCHES"));
    let sidecar = Running::start(impatient(responder, router));
    router.until_known(V4);
    until_health(&sidecar, "load", Verdict::Bad);
    responder.change(|manner| manner.fault = Fault::Mute);
    until_health(&sidecar, "UDP probe", Verdict::Bad);
    until_health(&sidecar, "TCP probe", Verdict::Bad);
    sidecar
}

fn withdrawals(sidecar: &Running) -> usize {
    sidecar.0.why(V4).unwrap().history.iter().filter(|past| past.to.name() == "withdrawn").count()
}

#[test]
fn what_a_flood_leaves_unanswered_withdraws_nothing_while_the_worker_runs() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = flooded(&responder, &router);
    let fetches = responder.fetches();
    until("the status was read many times more", || (responder.fetches() > fetches + 30).then_some(()));
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    let alarms = sidecar.alarms();
    assert!(
        alarms.iter().any(|alarm| alarm.contains("of what came to worker 0 among them, while all 1 run")),
        "{alarms:?}"
    );

    responder.change(|manner| {
        manner.fault = Fault::None;
        manner.tell_worker(3, "100000");
    });
    until_health(&sidecar, "UDP probe", Verdict::Good);
    until_health(&sidecar, "load", Verdict::Good);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    sidecar.until_level(V4, "normal");
}

/// An announced node whose status is read as seldom as usual, and has told that all threads run.
fn calm(responder: &FakeResponder, router: &Collector) -> Running {
    calm_by(impatient(responder, router), responder, router)
}

fn calm_by(mut settings: Config, responder: &FakeResponder, router: &Collector) -> Running {
    responder.change(|manner| manner.tell_worker(3, "0"));
    settings.status = Some(StatusConfig::new(responder.status));
    let sidecar = Running::start(settings);
    router.until_known(V4);
    until_health(&sidecar, "heartbeats", Verdict::Good);
    sidecar
}

#[test]
fn a_flood_that_begins_in_the_same_moment_as_the_silence_withdraws_nothing_though_the_status_takes_its_time()
{
    // As quick as ever; and later than the second round without an answer is over.
    for ponders in [0, 350].map(Duration::from_millis) {
        let responder = FakeResponder::start(LOCALHOST).unwrap();
        let router = Collector::passive();
        let sidecar = calm(&responder, &router);
        responder.change(|manner| {
            manner.ponders = ponders;
            manner.tell_worker(3, "$FETCHES");
            manner.fault = Fault::Mute;
        });
        until_health(&sidecar, "UDP probe", Verdict::Bad);
        until_health(&sidecar, "TCP probe", Verdict::Bad);
        assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
        until("socket drops are told", || {
            signal(&sidecar, "load")
                .1
                .contains("of what came to worker 0 among them, while all 1 run")
                .then_some(())
        });
    }
}

/// Of many zones each is asked for once a turn: the one before says nothing of the load now.
#[test]
fn a_flood_that_begins_with_the_second_miss_of_one_of_many_zones_withdraws_nothing() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = impatient(&responder, &router);
    let zones = ["com", "net", "org", "int"].map(|top| format!("example.{top}"));
    settings.groups[0].required_zones = zones.to_vec();
    settings.probe.zones_per_round = NonZeroUsize::new(2).unwrap();
    let sidecar = calm_by(settings, &responder, &router);
    responder.change(|manner| {
        manner.ponders = Duration::from_millis(100);
        manner.fault = Fault::FloodWithTheSecondFor("example.net.");
    });
    until_health(&sidecar, "zone example.net", Verdict::Bad);
    until_health(&sidecar, "load", Verdict::Bad);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
}

#[test]
fn a_worker_that_turns_and_answers_nobody_has_no_excuse_for_what_is_dropped() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = flooded(&responder, &router);
    responder.change(|manner| manner.tell_answered("$FETCHES"));
    let fetches = responder.fetches();
    until("the status was read many times more", || (responder.fetches() > fetches + 30).then_some(()));
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    responder.change(|manner| {
        manner.tell_worker(3, "$FETCHES");
        manner.tell_answered("7");
    });
    router.until_gone(V4);
    let (_, last) = signal(&sidecar, "heartbeats");
    assert_eq!(last, "all 1 run, and have answered nobody for more than 1 s");
}

/// What the host counts in a flood, until it is dropped: datagrams that are taken, and others that nobody has time for.
struct Swamp {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Swamp {
    fn flood() -> Self {
        let [crowded, taken, sender] = [(); 3].map(|()| UdpSocket::bind((LOCALHOST, 0)).unwrap());
        let to = [&crowded, &taken].map(|socket| socket.local_addr().unwrap());
        taken.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    to.iter().for_each(|to| drop(sender.send_to(&[0; 64], to)));
                    let _ = taken.recv(&mut [0; 64]);
                }
                // Neither the sidecar nor its responder shall want for processor.
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(crowded);
        });
        Self { stop, sender: Some(sender) }
    }
}

impl Drop for Swamp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
    }
}

#[test]
fn a_flood_is_seen_by_what_the_host_counts_although_the_status_does_not_come() {
    in_namespace("inside_the_host_counts_a_flood");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_the_host_counts_a_flood() {
    ip("link set lo up");
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = calm(&responder, &router);
    let swamp = Swamp::flood();
    responder.change(|manner| {
        manner.ponders = Duration::from_secs(60);
        manner.fault = Fault::Mute;
    });
    until_health(&sidecar, "UDP probe", Verdict::Bad);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    let (_, last) = signal(&sidecar, "load");
    assert!(last.contains(" packets dropped at UDP sockets (IPv4), as this host counts"), "{last}");
    // It takes two fetches of a second each.
    until_health(&sidecar, "responder's status", Verdict::Bad);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    until_health(&sidecar, "heartbeats", Verdict::Unknown);
    until_health(&sidecar, "IPv4 answers", Verdict::Good);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    leaves_with_the_flood(swamp, &router, &sidecar);
}

/// Once nothing explains the silence any more it counts.
fn leaves_with_the_flood(swamp: Swamp, router: &Collector, sidecar: &Running) {
    drop(swamp);
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("UDP probe"), "{}", sidecar.reasons(V4));
}

#[test]
fn a_flood_of_a_server_without_a_status_is_seen_by_what_the_host_counts() {
    in_namespace("inside_another_server_is_flooded");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_another_server_is_flooded() {
    ip("link set lo up");
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = impatient(&responder, &router);
    settings.status = None;
    let sidecar = Running::start(settings);
    router.until_known(V4);
    let swamp = Swamp::flood();
    responder.change(|manner| manner.fault = Fault::Mute);
    until_health(&sidecar, "UDP probe", Verdict::Bad);
    until_health(&sidecar, "TCP probe", Verdict::Bad);
    until_health(&sidecar, "load", Verdict::Bad);
    until_health(&sidecar, "IPv4 answers", Verdict::Good);
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    leaves_with_the_flood(swamp, &router, &sidecar);
}

#[test]
fn a_responder_that_hangs_is_not_flooded_however_busy_another_program_of_its_host_is() {
    in_namespace("inside_it_hangs_beside_a_busy_program");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_it_hangs_beside_a_busy_program() {
    ip("link set lo up");
    for has_status in [true, false] {
        let responder = FakeResponder::start(LOCALHOST).unwrap();
        let router = Collector::passive();
        let mut settings = impatient(&responder, &router);
        settings.status = settings.status.filter(|_| has_status);
        responder.change(|manner| manner.tell_worker(3, "0"));
        let sidecar = Running::start(settings);
        router.until_known(V4);
        let swamp = Swamp::flood();
        responder.change(|manner| {
            manner.ponders = Duration::from_secs(60);
            manner.fault = Fault::Hangs;
        });
        until_health(&sidecar, "UDP probe", Verdict::Bad);
        until_health(&sidecar, "load", Verdict::Bad);
        until_health(&sidecar, "IPv4 answers", Verdict::Good);
        // What others take excuses it only until it is known that nobody takes what comes to it.
        router.until_gone(V4);
        assert!(sidecar.reasons(V4).contains("UDP probe"), "{}", sidecar.reasons(V4));
        drop(swamp);
    }
}

#[test]
fn a_host_that_does_not_let_its_own_probes_out_is_unanswered_and_a_flood_explains_that() {
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nft is not installed");
        return println!("skipped: nft is not installed");
    }
    in_namespace("inside_probes_are_not_let_out");
}

/// What is sent to the responder by UDP is an error to whoever sends it, as where connection tracking is full.
fn forbid(responder: &FakeResponder) {
    let rule = format!("udp dport {} drop", responder.address.port());
    let table = format!("table inet full {{ chain out {{ type filter hook output priority 0; {rule}; }}; }}");
    assert!(std::process::Command::new("nft").arg(table).status().unwrap().success());
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_probes_are_not_let_out() {
    ip("link set lo up");
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = calm(&responder, &router);
    let swamp = Swamp::flood();
    forbid(&responder);
    until_health(&sidecar, "UDP probe", Verdict::Bad);
    let (_, last) = signal(&sidecar, "UDP probe");
    assert_eq!(last, "could not be asked: Operation not permitted (os error 1)");
    let fetches = responder.fetches();
    until("the status was read many times more", || (responder.fetches() > fetches + 10).then_some(()));
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
    drop(swamp);
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("could not be asked"), "{}", sidecar.reasons(V4));
}

#[test]
fn a_flood_that_is_dropped_before_any_socket_is_overload_and_withdraws_nothing() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    // A hundred more at each reading, and more still where the number of readings gets another digit.
    responder.change(|manner| manner.tell_interface("1$FETCHES00"));
    let sidecar = Running::start(impatient(&responder, &router));
    router.until_known(V4);
    until_health(&sidecar, "load", Verdict::Bad);
    let (_, last) = signal(&sidecar, "load");
    assert!(last.ends_with("% of what came to eth0 among them, while all 1 run"), "{last}");
    responder.change(|manner| manner.fault = Fault::Mute);
    until_health(&sidecar, "UDP probe", Verdict::Bad);
    until_health(&sidecar, "TCP probe", Verdict::Bad);
    let fetches = responder.fetches();
    until("the status was read many times more", || (responder.fetches() > fetches + 30).then_some(()));
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
}

#[test]
fn a_worker_that_is_late_lends_no_excuse_for_what_is_unanswered() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = flooded(&responder, &router);
    responder.change(|manner| manner.tell_worker(1_500, "$FETCHES"));
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("UDP probe"), "{}", sidecar.reasons(V4));
    let (_, last) = signal(&sidecar, "heartbeats");
    assert_eq!(last, "worker 0 has not run for more than 1 s, with 0 others of 1");
}

#[test]
fn a_responder_that_dies_in_a_flood_is_withdrawn() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let sidecar = flooded(&responder, &router);
    responder.kill();
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("refused"), "{}", sidecar.reasons(V4));
}

#[test]
fn unanswered_probes_withdraw_when_nothing_is_dropped() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    responder.change(|manner| manner.tell_worker(3, "7"));
    let sidecar = Running::start(impatient(&responder, &router));
    router.until_known(V4);
    responder.change(|manner| manner.fault = Fault::Mute);
    router.until_gone(V4);
    assert!(sidecar.reasons(V4).contains("no answer within 200ms"), "{}", sidecar.reasons(V4));
}

#[test]
fn a_stuck_worker_withdraws_although_another_answers_the_probes() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    responder.change(|manner| manner.tell_worker(3, "7"));
    let sidecar = Running::start(impatient(&responder, &router));
    router.until_known(V4);
    responder.change(|manner| manner.tell_worker(12_500, "7"));
    router.until_gone(V4);
    let reasons = sidecar.reasons(V4);
    assert!(reasons.contains("worker 0 has not run for more than 12 s"), "{reasons}");
    assert_eq!(signal(&sidecar, "UDP probe").0, Verdict::Good);
    responder.change(|manner| manner.tell_worker(3, "7"));
    router.until_known(V4);
}

#[test]
fn a_first_unanswered_probe_has_the_status_fetched_at_once() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = impatient(&responder, &router);
    settings.status.as_mut().unwrap().interval = Duration::from_secs(3600);
    let _sidecar = Running::start(settings);
    router.until_known(V4);
    let fetches = responder.fetches();
    responder.change(|manner| manner.fault = Fault::Mute);
    until("the status is fetched before its turn", || (responder.fetches() > fetches).then_some(()));
}

#[test]
fn answers_that_come_late_are_answers() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut settings = impatient(&responder, &router);
    settings.probe.rise = Rise::new(1);
    settings.probe.interval = Duration::from_millis(800);
    let sidecar = Running::start(settings);
    router.until_known(V4);
    responder.change(|manner| manner.fault = Fault::Late(Duration::from_millis(300)));
    for _ in 0..4 {
        until("a probe is late", || signal(&sidecar, "UDP probe").1.contains("answered late").then_some(()));
        until("a probe is unanswered", || {
            signal(&sidecar, "UDP probe").1.contains("no answer within").then_some(())
        });
    }
    assert_eq!(withdrawals(&sidecar), 0, "{}", sidecar.reasons(V4));
}
