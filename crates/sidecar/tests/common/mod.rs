//! What the sidecar's tests stand on: a responder and routers that do what they are told, and patience.
//!
//! Everything is on loopback and on ports that the kernel chose. Nothing waits for a fixed time: conditions
//! are polled, with a bound that only a hang can reach.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

pub(crate) mod bird;
pub(crate) mod collector;
pub(crate) mod responder;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pharos_sidecar::{
    Community, Config, Degrade, DrainTime, Estate, Fall, GroupConfig, Handle, HoldDown, LevelMap, Mode,
    NeighbourConfig, OnExpiry, OnFailure, OnOverload, Predecessor, ProbeConfig, Rise, Role, Rules, Sidecar,
    StatusConfig,
};

#[allow(unused_imports, reason = "each test binary uses a part")]
pub(crate) use collector::Collector;
#[allow(unused_imports, reason = "each test binary uses a part")]
pub(crate) use responder::FakeResponder;

pub(crate) const V4: &str = "192.0.2.0/24";
pub(crate) const V6: &str = "2001:db8:53::/48";
pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Polls until `condition` gives something. Panics after a time that only a hang can take.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs an ignored test of the calling file in a network namespace of its own, unless there can be none.
pub(crate) fn in_namespace(test: &str) {
    let can = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "network namespaces cannot be made");
        println!("skipped: network namespaces cannot be made (not root)");
        return;
    }
    let mut inside = Command::new("unshare");
    inside.arg("--net").arg("--").arg(std::env::current_exe().unwrap());
    inside.args(["--exact", test, "--ignored", "--nocapture"]);
    assert!(inside.status().unwrap().success(), "it failed in its namespace");
}

/// Calls ip(8) with these words.
pub(crate) fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// Settings as quick as loopback allows, for one group of `prefixes` probed at `addresses`.
pub(crate) fn config(
    prefixes: &[&str],
    addresses: Vec<SocketAddr>,
    neighbours: Vec<NeighbourConfig>,
) -> Config {
    Config {
        node: "a".into(),
        site: "ams".into(),
        nsid: "a.ams".into(),
        local_as: 64512,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        groups: vec![GroupConfig {
            name: "main".into(),
            prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            required_zones: vec!["example.com".into()],
            addresses,
            degrade: Degrade::Allowed,
            failing: OnFailure::default(),
            expired: OnExpiry::default(),
            overload: OnOverload::default(),
        }],
        neighbours,
        announcers: Vec::new(),
        probe: ProbeConfig {
            interval: Duration::from_millis(20),
            // Long, so that a machine that is busy with other tests makes no false alarm.
            timeout: Duration::from_secs(2),
            fall: Fall::new(2),
            rise: Rise::new(3),
            zones_per_round: NonZeroUsize::new(8).unwrap(),
            slow: Duration::from_secs(2),
        },
        wire: None,
        hold_down: HoldDown::new(Duration::from_millis(50)),
        drain_time: DrainTime(Duration::from_millis(200)),
        rules: Rules::default(),
        status: None,
        mode: Mode::Announce,
        state: None,
        record: None,
    }
}

/// Fetches of the fake responder's status, as quick as its probes.
pub(crate) fn status(address: SocketAddr) -> StatusConfig {
    StatusConfig { address, interval: Duration::from_millis(20), timeout: Duration::from_secs(2) }
}

/// A neighbour that we connect to.
pub(crate) fn active(router: SocketAddr) -> NeighbourConfig {
    NeighbourConfig {
        role: Role::Active { port: router.port() },
        next_hop_ipv4: Some(Ipv4Addr::new(10, 0, 0, 2).into()),
        next_hop_ipv6: Some("fd00::2".parse().unwrap()),
        connect_retry: Duration::from_millis(20),
        levels: LevelMap::with_communities(vec![Community::new(64512, 53)]),
        ..NeighbourConfig::new(router.ip(), 64500)
    }
}

/// What the process after another gets: the text, and descriptors of its own.
pub(crate) fn legacy(estate: &Estate) -> Predecessor {
    let sockets = estate.sockets().map(|socket| socket.try_clone_to_owned().unwrap()).collect();
    Predecessor::read(&estate.text().unwrap(), sockets).unwrap()
}

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A running sidecar that is stopped when the test ends.
pub(crate) struct Running(pub(crate) Handle);

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self(Sidecar::start(config).unwrap())
    }

    /// A sidecar that listens for BGP on a port that nobody else has.
    pub(crate) fn listening(settings: impl Fn(SocketAddr) -> Config) -> (Self, SocketAddr) {
        until("a port is free to listen on", || {
            let free = TcpListener::bind((LOCALHOST, 0)).and_then(|listener| listener.local_addr()).unwrap();
            // Somebody may have taken it in the meantime.
            Some((Self(Sidecar::start(settings(free)).ok()?), free))
        })
    }

    pub(crate) fn stop(&self, text: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.0.stop(text));
    }

    /// Waits for the level of a prefix, by its name.
    pub(crate) fn until_level(&self, prefix: &str, level: &str) {
        until(&format!("{prefix} is {level}; {:?}", self.0.why(prefix)), || {
            (self.0.why(prefix).unwrap().level.name() == level).then_some(())
        });
    }

    /// The reasons of a prefix, as one text.
    pub(crate) fn reasons(&self, prefix: &str) -> String {
        let reasons = self.0.why(prefix).unwrap().reasons;
        reasons.iter().map(|reason| format!("{}: {}\n", reason.asks, reason.text)).collect()
    }

    /// What Prometheus would scrape.
    pub(crate) fn metrics(&self) -> String {
        let registry = prometheus::Registry::new();
        self.0.register(&registry).unwrap();
        let mut text = Vec::new();
        prometheus::Encoder::encode(&prometheus::TextEncoder::new(), &registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// The alarms in force as `subject: text`.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.0.status().alarms.iter().map(|alarm| format!("{}: {}", alarm.subject, alarm.text)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop("the test is over");
    }
}
