//! A thread on which routes depend hangs for good: the sidecar ends itself, and its last line names the thread.
//!
//! The end is that of a whole process, so each case plays in a process of its own: this very program, which runs an ignored
//! test. There a thread hangs as it writes a line to the log, in a subscriber that never returns to it. (Pharos' own
//! takes lines without waiting; a subscriber is where a test can get hold of one thread.)

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::fmt::{self, Write as _};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Collector, FakeResponder, LOCALHOST, Running, V4, active, config};
use pharos_sidecar::BfdConfig;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Which thread hangs, in the process that plays the case.
const CASE: &str = "PHAROS_TEST_HUNG_THREAD";
/// SIGABRT, signal(7).
const ABORT: i32 = 6;

#[test]
fn a_sidecar_whose_bgp_thread_hangs_for_good_ends_itself() {
    ends_itself("pharos-routes");
}

#[test]
fn a_sidecar_whose_probing_thread_hangs_for_good_ends_itself() {
    ends_itself("pharos-probe");
}

#[test]
fn a_sidecar_whose_bfd_thread_hangs_for_good_ends_itself() {
    ends_itself("pharos-bfd");
}

#[test]
fn a_sidecar_whose_deciding_thread_hangs_for_good_ends_itself() {
    ends_itself("pharos-keeper");
}

fn ends_itself(thread: &str) {
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", "inside", "--ignored", "--nocapture"]).env(CASE, thread).stdin(Stdio::null());
    let ended = inside.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(ABORT), "{said}");
    let line = format!("thread {thread} has not run for 3 s: the sidecar ends itself, and its routes go");
    assert!(said.contains(&line), "{said}");
}

/// Ends only by the sidecar's hand.
#[test]
#[ignore = "the other tests run it in processes of its own"]
fn inside() {
    let thread = std::env::var(CASE).expect("the other tests say which thread");
    tracing::subscriber::set_global_default(Hanging { thread: thread.clone() }).unwrap();
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let router = Collector::passive();
    let mut neighbour = active(router.address);
    // An address for this process alone, since the port is always the same.
    let [.., high, low] = std::process::id().to_be_bytes();
    let here = std::net::Ipv4Addr::new(127, 53, high, low);
    if thread == "pharos-bfd" {
        neighbour.source = Some(here.into());
        neighbour.bfd = Some(BfdConfig::default());
    }
    let sidecar = Running::start(config(&[V4], vec![responder.address], vec![neighbour]));
    router.until_known(V4);
    HANGS.store(true, Ordering::Relaxed);
    match thread.as_str() {
        // The driver says what it has told.
        "pharos-routes" => sidecar.0.drain("a test", "a test", None, None).unwrap(),
        // Who takes an observation says what comes of it.
        "pharos-probe" => responder.kill(),
        // Nobody but time ends the drain.
        "pharos-keeper" => {
            sidecar.0.drain("a test", "a test", None, Some(Duration::from_millis(100))).unwrap();
        }
        "pharos-bfd" => {
            let stranger = UdpSocket::bind((here, 0)).unwrap();
            stranger.set_ttl(255).unwrap();
            stranger.send_to(b"no packet of BFD", (here, 3784)).unwrap();
        }
        other => panic!("{other}"),
    }
    loop {
        std::thread::park();
    }
}

/// Whether the thread hangs when it next says something.
static HANGS: AtomicBool = AtomicBool::new(false);

/// Writes errors to standard error, and never returns to one thread.
struct Hanging {
    thread: String,
}

impl Subscriber for Hanging {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            let mut text = Text::default();
            event.record(&mut text);
            eprintln!("{}", text.0);
        }
        while HANGS.load(Ordering::Relaxed) && std::thread::current().name() == Some(&self.thread) {
            std::thread::park();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What an event says.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{value:?} ");
    }
}
