//! The responder is NSD, Knot or BIND: the same sidecar keeps its route, by what its answers tell.
//!
//! A server that is not installed leaves its part out (with CI=true nothing may be missing).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Collector, LOCALHOST, Running, V4, active, config, until};
use pharos_policy::explain::Verdict;
use pharos_testkit::peers::{self, Peer, Setting};

/// A server in a directory of its own; both go with the test.
struct Server {
    program: &'static str,
    process: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Server {
    /// Starts it as node a.ams; `None` if it is not installed.
    fn start(peer: Peer) -> Option<Self> {
        let program = peer.program();
        if !peers::missing(&[peer]).is_empty() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{program} is not installed");
            println!("skipped: {program} is not installed");
            return None;
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("pharos-{program}-{}-{}", unique.0, unique.1));
        fs::create_dir_all(&directory).unwrap();
        let address = until("a port is free for both transports", || {
            let tcp = TcpListener::bind((LOCALHOST, 0)).ok()?;
            let address = tcp.local_addr().ok()?;
            UdpSocket::bind(address).ok().map(|_| address)
        });
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zones");
        fs::copy(zones.join("signed.example.zone"), directory.join("signed.example.zone")).unwrap();
        write_zone(&directory, now());
        let files = ["example.com", "signed.example"]
            .map(|zone| (zone.to_owned(), directory.join(format!("{zone}.zone"))));
        let (path, arguments) = peer.command(&Setting {
            directory: &directory,
            files: &files,
            addresses: &[address],
            identity: "a.ams",
        });
        let log = fs::File::create(directory.join("log")).unwrap();
        let process = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Self { program, process, address, directory })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Serves data that were made at another time.
    fn reload(&self, made: u64) {
        write_zone(&self.directory, made);
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that it ends what it has started itself.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A zone whose serial is the time at which it was made.
fn write_zone(directory: &Path, serial: u64) {
    let text = format!("$TTL 60\n@ SOA ns host {serial} 7200 1800 1209600 60\n@ NS ns\nns A 192.0.2.1\n");
    fs::write(directory.join("new"), text).unwrap();
    fs::rename(directory.join("new"), directory.join("example.com.zone")).unwrap();
}

fn each(test: impl Fn(&Server)) {
    for peer in [Peer::Nsd, Peer::Knot, Peer::Bind] {
        if let Some(server) = Server::start(peer) {
            test(&server);
        }
    }
}

fn start(server: &Server, router: &Collector, nsid: &str) -> Running {
    let mut settings = config(&[V4], vec![server.address], vec![active(router.address)]);
    let mut signed = settings.groups[0].clone();
    signed.name = "signed".into();
    signed.prefixes = vec!["198.51.100.0/24".parse().unwrap()];
    signed.required_zones = vec!["signed.example".into()];
    settings.groups.push(signed);
    settings.nsid = nsid.into();
    settings.rules.data_age.insert("main".into(), Duration::from_secs(3600));
    Running::start(settings)
}

fn health(sidecar: &Running, name: &str) -> (Option<Verdict>, String) {
    let signals = sidecar.0.status().signals;
    let signal = signals.into_iter().find(|signal| signal.name.contains(name));
    signal.map_or((None, String::new()), |signal| (Some(signal.health), signal.last))
}

fn until_health(server: &Server, sidecar: &Running, name: &str, wanted: Verdict) {
    let what = format!("{name} of {} is {wanted}; it says: {}", server.program, server.log());
    until(&what, || (health(sidecar, name).0 == Some(wanted)).then_some(()));
}

#[test]
fn its_route_is_kept_by_what_its_answers_tell() {
    each(|server| {
        let router = Collector::passive();
        let sidecar = start(server, &router, "a.ams");
        sidecar.until_level(V4, "normal");
        until_health(server, &sidecar, "age of the data of group main", Verdict::Good);
        until_health(server, &sidecar, "signatures of group signed", Verdict::Good);
        // It says which signals there are, and which there are not.
        let status = sidecar.0.status();
        let names = |list: &[pharos_sidecar::sources::Source]| -> Vec<String> {
            list.iter().map(|source| source.signal.clone()).collect()
        };
        let lacks = names(&status.sources.lacks);
        for signal in ["heartbeats", "traffic", "status", "ready", "wire"] {
            assert!(lacks.iter().any(|it| it == signal), "{signal} is not in {lacks:?}");
        }
        let has = names(&status.sources.has);
        for signal in
            ["probe", "zone", "slow", "overload", "answers", "data-age", "signatures", "clock", "address"]
        {
            assert!(has.iter().any(|it| it == signal), "{signal} is not in {has:?}");
        }
        assert!(has.iter().chain(&lacks).any(|it| it == "zone-version"));
        assert!(status.to_string().contains("none of heartbeats: only Pharos' own responder tells it"));
        let (_, last) = health(&sidecar, "signatures of group signed");
        assert!(last.contains("signed.example. SOA expires first"), "{last}");

        server.reload(now() - 7200);
        // Older data with a lower serial are a rollback, which servers differ about; what is served counts.
        until_health(server, &sidecar, "age of the data of group main", Verdict::Bad);
        sidecar.until_level(V4, "normal");

        // A counter tells no age, which people hear of.
        server.reload(7);
        until_health(server, &sidecar, "age of the data of group main", Verdict::Warned);
        let said = "the serial of example.com. is neither a time nor a day";
        until("it is an alarm", || sidecar.alarms().iter().any(|alarm| alarm.contains(said)).then_some(()));
        let sources = sidecar.0.status().sources;
        assert!(
            sources.lacks.iter().any(|it| it.signal == "data-age" && it.text.contains(said)),
            "{sources:?}"
        );
        assert!(!names(&sources.has).iter().any(|it| it == "data-age"), "{sources:?}");
        sidecar.until_level(V4, "normal");
    });
}

#[test]
fn one_that_says_it_is_another_node_or_has_died_is_not_announced() {
    each(|server| {
        let router = Collector::passive();
        let sidecar = start(server, &router, "b.ams");
        until_health(server, &sidecar, "UDP probe", Verdict::Bad);
        let (_, last) = health(&sidecar, "UDP probe");
        until(&format!("it names itself: {last}"), || {
            let (_, last) = health(&sidecar, "UDP probe");
            last.contains("NSID says a.ams, this node is b.ams").then_some(())
        });
        assert!(router.knows(V4).is_none());
    });
}
