//! The announcer `lease` with a real kernel, and with BIRD and FRR whose routes depend on the markers.
//!
//! Each test starts this program again in a network namespace of its own, with an interface that leads nowhere; a sidecar
//! that is to die is one more such process ([`a_sidecar_of_its_own`]). Without the right to make namespaces, or without
//! the daemon, a test leaves itself out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::bird::{Bird, INCLUDES};
use common::{FakeResponder, LOCALHOST, Running, V4, V6, config, until};
use pharos_sidecar::status::AnnouncerStatus;
use pharos_sidecar::{
    AnchorConfig, AnchorDrain, AnnouncerConfig, BirdConfig, Config, Death, Event, LeaseConfig, Level,
    LevelMap, MarkerConfig, Mode, Reload, Way,
};
use rustix::process::{Pid, Signal, kill_process};

/// Over the prefix of IPv4; announced whatever its health.
const ANCHOR: &str = "192.0.0.0/16";

/// Longer than the default, for a machine that is busy with other tests.
const LIFETIME: Duration = Duration::from_secs(6);

/// Runs a test of this program in a network namespace that ends with it.
fn within_a_namespace(test: &str) {
    let can = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "network namespaces cannot be made");
        println!("skipped: network namespaces cannot be made (not root)");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let mut inside = Command::new("unshare");
    inside.arg("--net").arg("--").arg(this).args(["--exact", test, "--ignored", "--nocapture"]);
    assert!(inside.status().unwrap().success(), "{test} failed in its namespace");
}

/// An interface that leads nowhere. A kernel without the dummy device has veth at least.
fn interface() {
    ip("link set lo up");
    ip("link add pharos0 type veth peer name pharos1");
    ip("link set pharos0 up");
    ip("link set pharos1 up");
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn marker(prefix: &str, address: &str, length: u8) -> MarkerConfig {
    let levels = Level::ALL.into_iter().filter(|level| level.is_announced()).collect();
    MarkerConfig { prefix: prefix.parse().unwrap(), address: address.parse().unwrap(), length, levels }
}

fn lease() -> AnnouncerConfig {
    let markers = vec![marker(V4, "169.254.77.1", 30), marker(V6, "fd00:77::1", 126)];
    let lease = LeaseConfig { interface: "pharos0".into(), lifetime: LIFETIME, markers };
    AnnouncerConfig { name: "lease".into(), mode: Mode::Announce, way: Way::Lease(lease) }
}

/// Both prefixes, by a responder on each loopback address.
fn with(responders: &[SocketAddr], announcers: Vec<AnnouncerConfig>) -> Config {
    let mut config = config(&[V4, V6], responders.to_vec(), Vec::new());
    config.probe.timeout = Duration::from_millis(500);
    config.announcers = announcers;
    config
}

fn responders() -> [FakeResponder; 2] {
    let six = std::net::Ipv6Addr::LOCALHOST.into();
    [FakeResponder::start(LOCALHOST).unwrap(), FakeResponder::start(six).expect("lo has ::1")]
}

fn view(sidecar: &Running) -> AnnouncerStatus {
    sidecar.0.status().announcers.into_iter().next().unwrap()
}

fn is_there(address: &str) -> bool {
    let shown = ip("address show dev pharos0");
    let line = shown.lines().find(|line| line.contains(&format!(" {address}/")));
    assert!(!line.is_some_and(|line| line.contains("tentative")), "{shown}");
    line.is_some()
}

fn until_there(address: &str) {
    until(&format!("{address} is there"), || is_there(address).then_some(()));
}

fn until_gone(address: &str) {
    until(&format!("{address} is gone"), || (!is_there(address)).then_some(()));
}

#[test]
fn a_marker_comes_and_goes_with_its_prefix_and_is_set_again_when_somebody_removes_it() {
    within_a_namespace("inside_markers_come_and_go");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_markers_come_and_go() {
    interface();
    let [mut four, six] = responders();
    let sidecar = Running::start(with(&[four.address, six.address], vec![lease()]));
    until_there("169.254.77.1");
    until_there("fd00:77::1");
    assert!(ip("address show dev pharos0").contains(" valid_lft "), "they have a lifetime");
    until("nothing drifts", || {
        (view(&sidecar).drift.is_empty() && sidecar.alarms().is_empty()).then_some(())
    });
    assert_eq!(view(&sidecar).prefixes[0].observed, "marker 169.254.77.1 is there");

    four.kill();
    until_gone("169.254.77.1");
    assert!(is_there("fd00:77::1"), "families are independent");
    four.revive();
    until_there("169.254.77.1");

    let mut events = sidecar.0.events();
    ip("address del 169.254.77.1/30 dev pharos0");
    until("the drift is told", || match events.try_recv().ok()? {
        Event::Drift { announcer, wanted, why, .. } => {
            (announcer == "lease" && wanted == "normal" && why == "somebody else has changed it")
                .then_some(())
        }
        _ => None,
    });
    until_there("169.254.77.1");

    ip("link del pharos0");
    until("the missing interface is an alarm", || {
        let words = "lease fails: no interface pharos0; `ip link add pharos0 type dummy` makes one";
        sidecar.alarms().iter().any(|alarm| alarm == words).then_some(())
    });
    interface_again();
    until_there("169.254.77.1");
    until("the alarms are over", || sidecar.alarms().is_empty().then_some(()));
    sidecar.stop("the end");
    assert!(!is_there("169.254.77.1") && !is_there("fd00:77::1"), "all are gone when the stop returns");
}

fn interface_again() {
    ip("link add pharos0 type veth peer name pharos1");
    ip("link set pharos0 up");
    ip("link set pharos1 up");
}

/// A sidecar as a process of its own, to be frozen and killed.
struct Process(Child);

impl Process {
    fn start(responders: &[FakeResponder; 2], bird: Option<&Bird>) -> Self {
        let addresses = responders.each_ref().map(|responder| responder.address.to_string()).join(" ");
        let directory = bird.map(|bird| bird.directory.display().to_string()).unwrap_or_default();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_sidecar_of_its_own", "--ignored", "--nocapture"])
            .env("PHAROS_TEST_RESPONDERS", addresses)
            .env("PHAROS_TEST_BIRD", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: Signal) -> Instant {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        Instant::now()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "other tests run it as a process of its own"]
fn a_sidecar_of_its_own() {
    // Somebody who runs every ignored test has no responders for it.
    let Ok(responders) = std::env::var("PHAROS_TEST_RESPONDERS") else { return };
    let responders: Vec<SocketAddr> = responders.split(' ').map(|address| address.parse().unwrap()).collect();
    let mut announcers = vec![lease()];
    let mut anchors = Vec::new();
    if let Some(directory) = std::env::var_os("PHAROS_TEST_BIRD").filter(|directory| !directory.is_empty()) {
        let bird = BirdConfig {
            control: Path::new(&directory).join("bird.ctl"),
            include: Path::new(&directory).join("pharos.conf"),
            levels: LevelMap::default(),
            undo_timeout: Some(Duration::from_secs(60)),
            reload: Reload::Full,
            look: Duration::from_millis(200),
            retry: Duration::from_millis(200),
            death: Death::Lease,
        };
        announcers.push(AnnouncerConfig {
            name: "bird".into(),
            mode: Mode::Announce,
            way: Way::Bird(Box::new(bird)),
        });
        if let Some(AnnouncerConfig { way: Way::Lease(lease), .. }) = announcers.first_mut() {
            lease.markers.push(marker(ANCHOR, "169.254.77.5", 30));
        }
        anchors.push(AnchorConfig { prefix: ANCHOR.parse().unwrap(), drain: AnchorDrain::Stays });
    }
    let mut config = with(&responders, announcers);
    config.rules.anchors = anchors;
    let _sidecar = Running::start(config);
    // Until whoever has started it is gone.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// Freezes and thaws a sidecar, then kills it, and holds a daemon's routes against that.
fn freeze_and_kill(who: &str, bird: Option<&Bird>, has_route: impl Fn(&str) -> bool) {
    let responders = responders();
    let sidecar = Process::start(&responders, bird);
    // A BIRD that is told has an anchor as well, which ends with the sidecar and with nothing else.
    let prefixes: Vec<_> = [V4, V6].into_iter().chain(bird.map(|_| ANCHOR)).collect();
    let all = |there: bool| prefixes.iter().all(|prefix| has_route(prefix) == there);
    let until_all =
        |there: bool| until(&format!("{who}'s routes are there: {there}"), || all(there).then_some(()));
    until_all(true);
    let frozen = sidecar.signal(Signal::STOP);
    until_all(false);
    println!("{who}: gone {:.1?} after the sidecar froze (lifetime {LIFETIME:?})", frozen.elapsed());
    sidecar.signal(Signal::CONT);
    until_all(true);
    let killed = sidecar.signal(Signal::KILL);
    until_all(false);
    println!("{who}: gone {:.1?} after the sidecar was killed (lifetime {LIFETIME:?})", killed.elapsed());
}

#[test]
fn the_route_of_a_bird_that_knows_nothing_ends_with_a_frozen_or_killed_sidecar() {
    within_a_namespace("inside_bird_has_a_lease");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_bird_has_a_lease() {
    interface();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/bird/pharos-lease.conf");
    let config = format!("router id 10.0.0.2;\n{}", fs::read_to_string(shipped).unwrap());
    let Some(bird) = Bird::start("lease", &config) else { return };
    freeze_and_kill("BIRD", None, |prefix| bird.route(prefix).is_some());
}

#[test]
fn the_route_of_a_bird_that_is_told_ends_with_a_frozen_or_killed_sidecar() {
    within_a_namespace("inside_bird_is_told_and_has_a_lease");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_bird_is_told_and_has_a_lease() {
    interface();
    let Some(bird) = Bird::start("told-lease", INCLUDES) else { return };
    freeze_and_kill("BIRD with include", Some(&bird), |prefix| bird.route(prefix).is_some());
}

#[test]
fn the_route_of_frr_ends_with_a_frozen_or_killed_sidecar() {
    within_a_namespace("inside_frr_has_a_lease");
}

#[test]
#[ignore = "another test runs it in a namespace"]
fn inside_frr_has_a_lease() {
    let Some(frr) = Frr::start() else { return };
    freeze_and_kill("FRR", None, |prefix| frr.announces(prefix));
}

/// zebra, staticd and bgpd with the shipped configuration.
struct Frr {
    directory: PathBuf,
    daemons: Vec<Child>,
}

impl Frr {
    fn start() -> Option<Self> {
        let programs = Path::new("/usr/lib/frr");
        if !programs.join("bgpd").exists() || !programs.join("staticd").exists() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "FRR is not installed (Debian: frr)");
            println!("skipped: FRR is not installed (Debian: frr)");
            return None;
        }
        interface();
        let directory = std::env::temp_dir().join(format!("pharos-frr-lease-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        // The daemons drop to the account of their package before they make their sockets.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/frr/pharos-lease.conf");
        let config = directory.join("frr.conf");
        fs::copy(shipped, &config).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
        let mut frr = Self { directory, daemons: Vec::new() };
        let path = |file: &str| frr.directory.join(file).display().to_string();
        let mut started = Vec::new();
        for daemon in ["zebra", "staticd", "bgpd"] {
            let (pid, sockets, zserv) = (path(&format!("{daemon}.pid")), path(""), path("zserv.api"));
            let config = config.display().to_string();
            let log = fs::File::create(path(&format!("{daemon}.log"))).unwrap();
            let mut command = Command::new(programs.join(daemon));
            command.args(["--config_file", &config, "--pid_file", &pid, "--vty_socket", &sockets]);
            command.args(["--vty_port", "0", "--socket", &zserv, "--log", "stdout"]);
            let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
            started.push(child.unwrap());
            let vty = frr.directory.join(format!("{daemon}.vty"));
            until(&format!("{daemon} opens its socket"), || vty.exists().then_some(()));
        }
        frr.daemons = started;
        Some(frr)
    }

    /// Whether bgpd has the prefix as a valid path of its own.
    fn announces(&self, prefix: &str) -> bool {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let output = Command::new("vtysh")
            .arg("--vty_socket")
            .arg(&self.directory)
            .args(["-d", "bgpd", "-c", &format!("show bgp {family} unicast {prefix} json")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        said["paths"].as_array().is_some_and(|paths| paths.iter().any(|path| path["valid"] == true))
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
