//! A Pharos node: responder and sidecar as the processes that they are, on the configuration of `deploy/`.

use super::bird::{Bird, utf8};
use super::configs;
use super::plan::edited;
use super::process::{Journal, Line};
use super::{
    ANYCAST4, ANYCAST6, ClockKind, Daemon, Disk, Edit, Namespace, Server, ShiftedClock, Workspace,
    pharos_binary, source_root, wait_for,
};
use pharos_testkit::peers::{Peer, Setting};
use rustix::process::Signal;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the responder's HTTP is, inside the node, as `deploy/pharos.yaml` has it.
pub const RESPONDER_HTTP: &str = "127.0.0.1:9153";
/// Where the sidecar's HTTP is.
pub const SIDECAR_HTTP: &str = "127.0.0.1:9154";

/// Room for state and images of a node with a small disk: all of the samples several times.
const SMALL_DISK_KILOBYTES: u32 = 4096;

/// What a node has that others have not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fittings {
    /// The clock of its processes.
    pub(super) clock: ClockKind,
    /// Where they write.
    pub(super) disk: Disk,
    /// Who answers.
    pub(super) server: Server,
}

/// How a sidecar is told to leave everything to its next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// `pharos hand-over`.
    ByCommand,
    /// SIGHUP.
    BySignal,
}

/// A node, of which either process may be running or not.
#[derive(Debug)]
pub struct Node {
    name: String,
    /// Its machine.
    pub namespace: Arc<Namespace>,
    binary: PathBuf,
    logs: PathBuf,
    zones: PathBuf,
    config: PathBuf,
    site: PathBuf,
    clock: Option<ShiftedClock>,
    server: Server,
    responder: Option<Daemon>,
    sidecar: Option<Daemon>,
    /// The routing daemon on this very node, where the plan has one.
    bird: Option<Bird>,
    /// What the sidecar writes for it.
    bird_include: String,
    /// Where its processes keep what survives them.
    pub state: PathBuf,
    /// Where the responder keeps what it has accepted.
    pub images: PathBuf,
    /// What each sidecar of this node has said, in the order of their starts.
    journals: Vec<Journal>,
}

impl Node {
    /// Writes the configuration and copies the sample zones; starts nothing.
    ///
    /// The files are those of `deploy/` but for the plan's departures, the directories and the names.
    pub(super) fn new(
        namespace: &Arc<Namespace>,
        letter: &str,
        site: &str,
        workspace: &Workspace,
        [pharos_yaml, site_yaml]: [&str; 2],
        Fittings { clock, disk, server }: Fittings,
    ) -> Self {
        let name = format!("{letter}.{site}");
        let run = workspace.join(&format!("{name}-run"));
        let zones = workspace.join(&format!("{name}-zones"));
        let images = workspace.join(&format!("{name}-images"));
        for directory in [&run, &zones, &images] {
            fs::create_dir_all(directory).expect("the lab's own directory can be written");
        }
        if disk == Disk::Small {
            for directory in [&run, &images] {
                namespace.small_disk(directory, SMALL_DISK_KILOBYTES);
            }
        }
        for entry in
            fs::read_dir(source_root().join("zones")).expect("zones/ is in the source tree").flatten()
        {
            if entry.path().extension().is_some_and(|extension| extension == "zone") {
                fs::copy(entry.path(), zones.join(entry.file_name())).expect("a zone file can be copied");
            }
        }
        let bird_include = format!("{}/bird.conf", utf8(&run));
        let site_yaml = site_yaml
            .replace("/var/lib/pharos/bird.conf", &bird_include)
            .replace("/run/bird/bird.ctl", utf8(&Bird::control(namespace, workspace)));
        let config = pharos_yaml
            .replace("/var/lib/pharos/zones", utf8(&zones))
            .replace("/run/pharos", utf8(&run))
            .replace("/var/lib/pharos/images", utf8(&images));
        Self {
            namespace: Arc::clone(namespace),
            binary: pharos_binary(),
            logs: workspace.path().to_owned(),
            zones,
            config: workspace.write(&format!("{name}/pharos.yaml"), &config),
            site: workspace.write(&format!("{name}/site.yaml"), &site_yaml),
            clock: (clock == ClockKind::Shifted).then(|| ShiftedClock::new(workspace, &name)),
            server,
            responder: None,
            sidecar: None,
            bird: None,
            bird_include,
            state: run,
            images,
            journals: Vec::new(),
            name,
        }
    }

    /// What it says in NSID.
    pub fn nsid(&self) -> &str {
        &self.name
    }

    /// Starts `pharos serve`, or the server that answers in its place.
    pub fn start_responder(&mut self) {
        self.responder = Some(match self.server {
            Server::Pharos => self.start("serve").0,
            Server::Other(peer) => self.start_other(peer),
        });
    }

    fn start_other(&self, peer: Peer) -> Daemon {
        let addresses = [ANYCAST4, ANYCAST6]
            .map(|address| SocketAddr::new(address.parse().expect("the lab's addresses are some"), 53));
        let zones = fs::read_dir(&self.zones).expect("the lab has copied them").flatten().map(|it| it.path());
        let named = |file: PathBuf| Some((file.file_stem()?.to_str()?.to_owned(), file));
        let files: Vec<_> = zones.filter_map(named).collect();
        let directory = self.logs.join(format!("{}-{}", self.name, peer.program()));
        let setting =
            Setting { directory: &directory, files: &files, addresses: &addresses, identity: &self.name };
        let (program, arguments) = peer.command(&setting);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = self.logs.join(format!("{}-{}.log", self.name, peer.program()));
        self.namespace.start(&format!("{} at {}", peer.label(), self.name), &program, &arguments, &log)
    }

    /// Starts `pharos announce`.
    pub fn start_sidecar(&mut self) {
        let (sidecar, journal) = self.start("announce");
        self.sidecar = Some(sidecar);
        self.journals.push(journal);
    }

    /// Has the sidecar leave everything to its next version, which is this node's sidecar from then on.
    ///
    /// # Panics
    /// If nothing is handed over.
    pub fn hand_over(&mut self, told: HandOver) {
        Daemon::take_in_orphans();
        let since = Instant::now();
        match told {
            HandOver::ByCommand => {
                let output = self.pharos(&["hand-over"]);
                assert!(output.status.success(), "{output:?}");
            }
            HandOver::BySignal => self.sidecar().signal(Signal::HUP),
        }
        let (heir, _) = wait_for("the next version has taken over", || {
            let events = self.events(since);
            let taken = events.iter().find(|event| event.message.contains("has taken over"))?;
            u32::try_from(taken.fields.get("pid")?.as_u64()?).ok()
        });
        self.sidecar().become_heir(heir);
    }

    /// Starts the routing daemon on this node. The markers of the announcer `lease` get an interface that leads nowhere.
    pub fn start_bird(&mut self, workspace: &Workspace) {
        // A kernel without the dummy device has veth.
        self.namespace.sh("ip link show pharos0 > /dev/null 2>&1 || {
            ip link add pharos0 type veth peer name pharos1; ip link set pharos0 up; ip link set pharos1 up; }");
        self.bird = Some(Bird::start(&self.namespace, workspace, &configs::node_bird(&self.bird_include)));
    }

    /// The routing daemon on this node.
    ///
    /// # Panics
    /// If the plan has none.
    pub fn bird(&mut self) -> &mut Bird {
        self.bird.as_mut().expect("the plan gives this node a routing daemon")
    }

    /// What the sidecars of this node have logged since then, oldest first.
    pub fn events(&self, since: Instant) -> Vec<Event> {
        let of = |journal: &Journal| -> Vec<Event> {
            let lines = journal.lines();
            let late = lines.get(lines.partition_point(|line| line.at < since)..).unwrap_or_default();
            late.iter().filter_map(Event::read).collect()
        };
        self.journals.iter().flat_map(of).collect()
    }

    /// The clock of its processes, where the plan wants one that moves.
    ///
    /// # Panics
    /// If the plan wants the real one.
    pub fn clock(&self) -> &ShiftedClock {
        self.clock.as_ref().expect("the plan gives this node a clock that moves")
    }

    /// Where its zone files are.
    pub fn zones(&self) -> &Path {
        &self.zones
    }

    /// Changes its `pharos.yaml` for whatever starts from now on.
    pub fn edit_config(&self, edits: &[Edit]) {
        let text = fs::read_to_string(&self.config).expect("the lab wrote it");
        fs::write(&self.config, edited(&text, edits)).expect("the lab's own directory can be written");
    }

    /// The responder's process.
    ///
    /// # Panics
    /// If it was not started.
    pub fn responder(&mut self) -> &mut Daemon {
        self.responder.as_mut().expect("the responder was started")
    }

    /// The sidecar's process.
    ///
    /// # Panics
    /// If it was not started.
    pub fn sidecar(&mut self) -> &mut Daemon {
        self.sidecar.as_mut().expect("the sidecar was started")
    }

    /// Writes a zone file as a push would: beside it, then renamed over it.
    pub fn push_zone(&self, file: &str, text: &str) {
        let new = self.zones.join(format!(".{file}.new"));
        fs::write(&new, text).expect("the lab's own directory can be written");
        fs::rename(&new, self.zones.join(file)).expect("a file can be renamed in its directory");
    }

    /// The text of a zone file.
    pub fn zone_text(&self, file: &str) -> String {
        fs::read_to_string(self.zones.join(file)).expect("the zone is one of the samples")
    }

    /// Runs a `pharos` command on this node's configuration.
    pub fn pharos(&self, arguments: &[&str]) -> Output {
        let mut command = self.namespace.command(utf8(&self.binary));
        let (first, rest) = arguments.split_first().expect("a command has a name");
        command.arg(first).args(["--config", utf8(&self.config), "--site", utf8(&self.site)]).args(rest);
        command.output().expect("the pharos command can be started")
    }

    /// Starts `serve` or `announce` beside what runs, waits until it has ended, and gives what it said. One that does
    /// not end by itself is ended by timeout(1), with its exit code 124.
    pub fn second(&self, command: &str) -> Output {
        let mut timeout = self.namespace.command("timeout");
        timeout.arg("20").arg(&self.binary).arg(command);
        timeout.args(["--config", utf8(&self.config), "--site", utf8(&self.site)]);
        timeout.output().expect("coreutils are installed")
    }

    /// The body of an HTTP answer from `/status`, `/metrics` and so on; an error while nobody listens.
    pub fn http(&self, address: &str, path: &str) -> io::Result<String> {
        self.namespace.enter(|| {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            let (_, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP answer"))?;
            Ok(body.to_owned())
        })
    }

    /// The responder's status.
    pub fn responder_status(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.http(RESPONDER_HTTP, "/status").ok()?).ok()
    }

    /// What the responder says about one zone.
    pub fn zone_status(&self, zone: &str) -> Option<serde_json::Value> {
        let status = self.responder_status()?;
        status
            .get("zones")?
            .as_array()?
            .iter()
            .find(|entry| entry.get("name").is_some_and(|n| n == zone))
            .cloned()
    }

    /// The sidecar's status.
    pub fn sidecar_status(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.http(SIDECAR_HTTP, "/status").ok()?).ok()
    }

    /// The level of a prefix, as the sidecar says; `None` while it is not running.
    pub fn level(&self, prefix: &str) -> Option<String> {
        let status = self.sidecar_status()?;
        let mut prefixes = status.get("prefixes")?.as_array()?.iter();
        let entry = prefixes.find(|entry| entry.get("prefix").is_some_and(|value| value == prefix))?;
        Some(entry.get("level")?.as_str()?.to_owned())
    }

    /// Every change of level since the sidecar's start, oldest first, as `PREFIX: FROM -> TO`.
    pub fn transitions(&self) -> Vec<String> {
        let status = self.sidecar_status().unwrap_or_default();
        let list =
            status.get("transitions").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let text = |entry: &serde_json::Value, key: &str| {
            entry.get(key).and_then(serde_json::Value::as_str).unwrap_or("?").to_owned()
        };
        list.iter()
            .rev()
            .map(|entry| {
                format!("{}: {} -> {}", text(entry, "prefix"), text(entry, "from"), text(entry, "to"))
            })
            .collect()
    }

    /// The kinds of the alarms that the sidecar has raised.
    pub fn alarms(&self) -> Vec<String> {
        let status = self.sidecar_status().unwrap_or_default();
        let list = status.get("alarms").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        list.iter().filter_map(|alarm| Some(alarm.get("kind")?.as_str()?.to_owned())).collect()
    }

    fn start(&self, command: &str) -> (Daemon, Journal) {
        let log = self.logs.join(format!("{}-{command}.log", self.name));
        let binary = utf8(&self.binary);
        let pharos =
            ["--log-format", "json", command, "--config", utf8(&self.config), "--site", utf8(&self.site)];
        // As the unit has it: on a machine whose cores are taken, probes must not be late. Without the right to it,
        // nice(1) says so and goes on.
        let arguments: Vec<&str> = match command {
            "announce" => ["-n", "-10", binary].into_iter().chain(pharos).collect(),
            _ => pharos.to_vec(),
        };
        let program = if command == "announce" { Path::new("nice") } else { self.binary.as_path() };
        let environment = self.clock.as_ref().map(ShiftedClock::environment).unwrap_or_default();
        let name = format!("pharos {command} at {}", self.name);
        self.namespace.start_heard(&name, program, &arguments, &environment, &log)
    }
}

/// A line of a sidecar's log.
#[derive(Debug, Clone)]
pub struct Event {
    /// When the lab read it.
    pub at: Instant,
    /// Its message: `route`, `signal`, `alarm`, `session up` and so on.
    pub message: String,
    /// Everything else that it says.
    pub fields: serde_json::Value,
}

impl Event {
    fn read(line: &Line) -> Option<Self> {
        let fields = line.fields.clone()?;
        let message = fields.get("message")?.as_str()?.to_owned();
        Some(Self { at: line.at, message, fields })
    }

    /// A field's text; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(serde_json::Value::as_str).unwrap_or_default()
    }
}
