//! The lab: POPs, routers and clients as network namespaces of one machine, joined by veth pairs.
//!
//! ```text
//!                         +---------+
//!                         | client  |  10.9.0.2, fd00:9::2
//!                         +----+----+
//!                              |
//!                         +----+----+
//!                         | transit |  AS 64496, BIRD; prefers ams by local preference
//!                         +-+-----+-+
//!              10.1.0.0/24  |     |  10.2.0.0/24
//!                +----------+     +----------+
//!          +-----+------+              +-----+------+
//!          | ams router |  AS 64500    | fra router |  BIRD with deploy/bird, or FRR with deploy/frr
//!          +-----+------+              +-----+------+
//!  10.0.0.0/30   |                           |   10.0.0.0/30 again: the link to the node is nobody else's
//!          +-----+------+              +-----+------+
//!          | ams node   |  AS 64512    | fra node   |  responder and sidecar; 192.0.2.53 and
//!          +------------+              +------------+  2001:db8:53::53 on lo
//! ```
//!
//! What it promises: every process runs under its own pid, is told by the kernel to die with the thread that
//! started it, and is killed by pid on drop, panics included; namespaces have no names, so they vanish with
//! the process that holds them, and labs that run beside each other cannot meet. Nothing in it waits a fixed
//! time: it polls for a condition, up to [`GUARD`].
//!
//! A [`Plan`] says how a lab departs from that: two nodes behind one router, two routers before one node, another
//! transit network, edits of the shipped configurations. [`Traffic`] is the clients' load, [`RouteMonitor`] the
//! kernels' own news of their routes.
//!
//! What it refuses: to say that a time is good or bad. Times are printed; the guard only ends a hung test.
//!
//! The suites `lab_*.rs` and the fault lab ([`crate::faults`]) call it. They need the right to make namespaces and the routing daemons, so they are
//! marked as ignored, and `tests/run` runs them where those are at hand.

mod bird;
mod busy;
mod client;
mod clock;
mod configs;
mod flood;
mod frr;
mod neighbour;
mod netns;
mod node;
mod plan;
mod process;
mod queue;
mod routes;
mod signing;
mod standstill;
mod thread;
mod topology;
mod traffic;

pub use bird::{Bird, BirdRoute};
pub use busy::Busy;
pub use client::{Answer, Client, Transport, Watch};
pub use clock::ShiftedClock;
pub use flood::{Sender, flood};
pub use frr::Frr;
pub use neighbour::{Heard, Misbehaver, message, update_body};
pub use netns::Namespace;
pub use node::{Event as NodeEvent, HandOver, Node, RESPONDER_HTTP, SIDECAR_HTTP};
pub use plan::{
    Backbone, ClockKind, Disk, Edit, Plan, RouterKind, Server, Speaker, TcpLoad, TransitHelp, TransitPolicy,
    edited,
};
pub use process::{Daemon, Journal, Line};
pub use queue::break_queue;
pub use routes::{RouteMonitor, RouteNews};
pub use signing::{sign_until, unix_seconds};
pub use standstill::{STANDSTILL, Standstills, Watcher};
pub use thread::{freeze_thread, make_tracer, stutter_threads};
pub use topology::{Pop, Router, Topology};
pub use traffic::{Silence, Tallies, Tally, Traffic};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long any single condition may take before the test is taken for hung. Far above every timer in the
/// lab; it is no judgement on speed.
pub const GUARD: Duration = Duration::from_secs(90);

/// How often a condition is looked at. Fine enough for times in milliseconds, coarse enough for two cores.
const POLL: Duration = Duration::from_millis(2);

/// The service's IPv4 address, as `deploy/pharos.yaml` has it.
pub const ANYCAST4: &str = "192.0.2.53";
/// The service's IPv6 address.
pub const ANYCAST6: &str = "2001:db8:53::53";
/// The prefix that carries [`ANYCAST4`].
pub const PREFIX4: &str = "192.0.2.0/24";
/// The prefix that carries [`ANYCAST6`].
pub const PREFIX6: &str = "2001:db8:53::/48";

/// Polls until `condition` yields something, and gives that with the time that it took.
///
/// # Panics
/// After [`GUARD`], naming `what`.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> (T, Duration) {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return (value, start.elapsed());
        }
        assert!(start.elapsed() < GUARD, "gave up after {} s: {what}", GUARD.as_secs());
        std::thread::sleep(POLL);
    }
}

/// [`wait_for`] with a condition that is true or not.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    wait_for(what, || condition().then_some(())).1
}

/// Something that will come true, and what to call it.
pub type Event<'a> = (&'a str, &'a mut dyn FnMut() -> bool);

/// Polls all events together until each has come true, and prints and gives the time from `since` to each.
///
/// # Panics
/// After [`GUARD`], naming the first that has not.
pub fn observe(since: Instant, events: &mut [Event<'_>]) -> Vec<Duration> {
    let mut times = vec![None; events.len()];
    loop {
        for (time, (_, event)) in times.iter_mut().zip(events.iter_mut()) {
            if time.is_none() && event() {
                *time = Some(since.elapsed());
            }
        }
        if let Some(times) = times.iter().copied().collect::<Option<Vec<Duration>>>() {
            for (time, (what, _)) in times.iter().zip(events.iter()) {
                print_time(what, *time);
            }
            return times;
        }
        let pending = times.iter().zip(events.iter()).find(|(time, _)| time.is_none());
        let what = pending.map_or("", |(_, (what, _))| what);
        assert!(since.elapsed() < GUARD, "gave up after {} s: {what}", GUARD.as_secs());
        std::thread::sleep(POLL);
    }
}

/// Prints a time for people to read; no test judges it.
pub fn print_time(what: &str, time: Duration) {
    println!("    {what:<62} {:>9.1} ms", time.as_secs_f64() * 1e3);
}

/// The machine and the router's version, in words for records.
pub fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let bird = Command::new("bird").arg("--version").output().map(|output| {
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).trim().to_owned()
    });
    format!("Linux {}, {cores} cores, {}", kernel.trim(), bird.unwrap_or_default())
}

/// What is played, in words for records: the commit of the source tree, and whether it has been changed since.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(source_root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "of no commit".to_owned() };
    let parts = ["Cargo.toml", "Cargo.lock", "crates", "deploy", "tests/src", "zones"];
    match git(&[&["status", "--porcelain", "--"], &parts[..]].concat()) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

/// The root of the source tree, where `deploy/` and `zones/` are.
pub fn source_root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a member of the workspace").to_path_buf()
}

/// The command under test: `$PHAROS_BIN`, else the one that cargo put beside the running test.
///
/// # Panics
/// If there is none, with the command that builds it.
pub fn pharos_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PHAROS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests are built into PROFILE/deps");
    let binary = profile.join("pharos");
    assert!(binary.exists(), "no {}: `cargo build -p pharos` makes it, or set PHAROS_BIN", binary.display());
    binary
}

/// A directory for configurations, sockets and logs. It goes on drop, unless the test fails: then it stays,
/// and the end of every log in it is printed.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    kept: AtomicBool,
}

impl Workspace {
    /// Makes a directory that no other lab has.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, since the path of a unix socket holds 108 octets.
        let path = std::env::temp_dir().join(format!("pharos-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        Self { path, kept: AtomicBool::new(false) }
    }

    /// It stays, since something in it is to be looked at.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the lab's own directory can be written");
        }
        fs::write(&path, text).expect("the lab's own directory can be written");
        path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.kept.load(Ordering::Relaxed) {
            // Left-overs in the temporary directory harm nobody.
            let _ = fs::remove_dir_all(&self.path);
            return;
        }
        eprintln!("the lab's files are kept in {}", self.path.display());
        if self.kept.load(Ordering::Relaxed) {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let end = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
                eprintln!("--- end of {}\n{end}", path.display());
            }
        }
    }
}
