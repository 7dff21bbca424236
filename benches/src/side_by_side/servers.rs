//! The servers: what each is started with, and how it is told to read its zones anew.
//!
//! All are set up alike, so that what differs is the servers: one thread, logs of queries and rate limits off,
//! answers minimal, zones from the same files, room for a thousand TCP connections. Ours runs as it is shipped,
//! with metrics, NSID, cookies and heartbeats, and its worker runs before ordinary threads. The echoes do no DNS work: they
//! are the floor, the cost of receiving and sending alone. What running first does by itself is seen by both without it
//! and the echoes with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{BenchError, cannot};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Server {
    /// Ours, on sockets.
    Pharos,
    /// Ours, on AF_XDP.
    PharosXdp,
    /// Ours, on sockets, which keeps images of its zones for the next start.
    PharosImage,
    /// Ours, on sockets, with a worker that is an ordinary thread.
    PharosOrdinary,
    /// gdnsd: no DNSSEC.
    Gdnsd,
    /// NSD.
    Nsd,
    /// Knot DNS, on sockets.
    Knot,
    /// Knot DNS, on AF_XDP.
    KnotXdp,
    /// BIND's named.
    Bind,
    /// The floor of sockets: recvmmsg and sendmmsg.
    Echo,
    /// The same, run before ordinary threads.
    EchoFirst,
    /// The floor of AF_XDP.
    XdpEcho,
    /// The same, run before ordinary threads.
    XdpEchoFirst,
}

/// In which part a server appears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// What this is all about.
    Ours,
    /// Somebody else's.
    Peer,
    /// No server at all.
    Floor,
}

/// What a server needs to know to be set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// A directory of its own.
    pub(super) run: &'a Path,
    /// Where to answer, on port 53.
    pub(super) address: &'a str,
    /// The interface of that address.
    pub(super) interface: &'a str,
    /// The directory of NAME.zone files.
    pub(super) zones: &'a Path,
    /// Their names.
    pub(super) names: &'a [String],
    /// What ours is allowed beyond its defaults.
    pub(super) bounds: Bounds,
}

/// What grows in [`super::scale`]; the comparison has one worker and the bounds that we ship.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    /// Worker threads.
    pub(super) workers: u16,
    /// TCP connections, if not those that we ship.
    pub(super) connections: Option<u32>,
}

impl Bounds {
    /// Those of the comparison.
    pub(super) const SHIPPED: Self = Self { workers: 1, connections: None };
}

/// How a server is started, stays in the foreground, and reloads.
#[derive(Debug)]
pub(super) struct Launch {
    /// Program and arguments.
    pub(super) start: Vec<String>,
    /// How it is told to read its zones anew.
    pub(super) reload: Reload,
}

/// How a server is told to read its zones anew.
#[derive(Debug)]
pub(super) enum Reload {
    /// By SIGHUP.
    Signal,
    /// By a command.
    Command(Vec<String>),
    /// It has none.
    Never,
}

impl Server {
    /// All of them, in the order of the tables' columns.
    pub(super) const ALL: [Self; 13] = [
        Self::Pharos,
        Self::PharosXdp,
        Self::PharosImage,
        Self::PharosOrdinary,
        Self::Gdnsd,
        Self::Nsd,
        Self::Knot,
        Self::KnotXdp,
        Self::Bind,
        Self::Echo,
        Self::EchoFirst,
        Self::XdpEcho,
        Self::XdpEchoFirst,
    ];

    /// The name on the command line and in results.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Pharos => "pharos",
            Self::PharosXdp => "pharos-xdp",
            Self::PharosImage => "pharos-image",
            Self::PharosOrdinary => "pharos-ordinary",
            Self::Gdnsd => "gdnsd",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::KnotXdp => "knot-xdp",
            Self::Bind => "bind",
            Self::Echo => "echo",
            Self::EchoFirst => "echo-first",
            Self::XdpEcho => "xdp-echo",
            Self::XdpEchoFirst => "xdp-echo-first",
        }
    }

    /// The name in tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pharos => "Pharos",
            Self::PharosXdp => "Pharos XDP",
            Self::PharosImage => "Pharos, from images",
            Self::PharosOrdinary => "Pharos, ordinary",
            Self::Gdnsd => "gdnsd",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::KnotXdp => "Knot XDP",
            Self::Bind => "BIND",
            Self::Echo => "recvmmsg echo",
            Self::EchoFirst => "recvmmsg echo, first",
            Self::XdpEcho => "AF_XDP echo",
            Self::XdpEchoFirst => "AF_XDP echo, first",
        }
    }

    /// Whose it is.
    pub(super) fn part(self) -> Part {
        match self {
            Self::Pharos | Self::PharosXdp | Self::PharosImage | Self::PharosOrdinary => Part::Ours,
            Self::Gdnsd | Self::Nsd | Self::Knot | Self::KnotXdp | Self::Bind => Part::Peer,
            Self::Echo | Self::EchoFirst | Self::XdpEcho | Self::XdpEchoFirst => Part::Floor,
        }
    }

    /// Whether it answers from signed zones, or echoes as well without them.
    pub(super) fn knows_signed(self) -> bool {
        self != Self::Gdnsd
    }

    /// The program.
    pub(super) fn program(self) -> PathBuf {
        let named = |name: &str| PathBuf::from(name);
        match self {
            Self::Pharos | Self::PharosXdp | Self::PharosImage | Self::PharosOrdinary => pharos(),
            Self::Gdnsd => named("gdnsd"),
            Self::Nsd => named("nsd"),
            Self::Knot | Self::KnotXdp => named("knotd"),
            Self::Bind => named("named"),
            Self::Echo | Self::EchoFirst => example("bare_echo"),
            Self::XdpEcho | Self::XdpEchoFirst => example("bare_xdp_echo"),
        }
    }

    /// The arguments that make it print its version, and which word of that matters.
    pub(super) fn version_argument(self) -> Option<&'static str> {
        match self {
            Self::Pharos | Self::PharosXdp | Self::PharosImage | Self::PharosOrdinary => Some("--version"),
            Self::Gdnsd => Some("--version"),
            Self::Nsd => Some("-v"),
            Self::Knot | Self::KnotXdp | Self::Bind => Some("-V"),
            Self::Echo | Self::EchoFirst | Self::XdpEcho | Self::XdpEchoFirst => None,
        }
    }

    /// Writes the configuration.
    pub(super) fn set_up(self, place: &Place<'_>) -> Result<Launch, BenchError> {
        match self {
            Self::Pharos | Self::PharosXdp | Self::PharosImage | Self::PharosOrdinary => self.pharos(place),
            Self::Gdnsd => gdnsd(place),
            Self::Nsd => nsd(place),
            Self::Knot | Self::KnotXdp => self.knot(place),
            Self::Bind => bind(place),
            Self::Echo | Self::EchoFirst => Ok(self.echo(format!("{}:53", place.address))),
            Self::XdpEcho | Self::XdpEchoFirst => Ok(self.echo(place.interface.to_owned())),
        }
    }

    fn pharos(self, place: &Place<'_>) -> Result<Launch, BenchError> {
        let Place { run, address, zones, bounds, .. } = place;
        let (run, zones) = (text(run), text(zones));
        let tcp = bounds.connections.map_or_else(String::new, |most| {
            format!(
                "  tcp: {{connections: {most}, connections-per-address: {most}, connections-per-network: {most}, \
                 idle: 1h}}\n"
            )
        });
        let images = match self {
            Self::PharosImage => format!(", images: {run}/images"),
            _ => String::new(),
        };
        let first = if self == Self::PharosOrdinary { "no" } else { "yes" };
        let common = format!(
            "responder:\n  listen: [\"{address}:53\"]\n  zones: {{directory: {zones}{images}}}\n  workers: {}\n  run-first: {first}\n\
             \x20 cookies: {{secret: 00112233445566778899aabbccddeeff}}\n  management: \"127.0.0.1:9153\"\n\
             \x20 control: {run}/control\n  lock-directory: {run}\n{tcp}",
            bounds.workers
        );
        let mut site = String::from("node: a\nsite: bench\n");
        if self == Self::PharosXdp {
            let _ = writeln!(site, "xdp:\n  - interface: {}", place.interface);
        }
        write(place, "pharos.yaml", &common)?;
        write(place, "site.yaml", &site)?;
        let pharos = text(&pharos());
        Ok(Launch {
            start: words(&[&pharos, "serve", "--log-level", "warn", "--config", &run]),
            reload: Reload::Command(words(&[&pharos, "reload", "--control", &format!("{run}/control")])),
        })
    }

    /// An echo, perhaps with the priority that our worker has.
    fn echo(self, on: String) -> Launch {
        let mut start = match self {
            Self::EchoFirst | Self::XdpEchoFirst => words(&["chrt", "--fifo", "1"]),
            _ => Vec::new(),
        };
        start.extend([text(&self.program()), on]);
        Launch { start, reload: Reload::Never }
    }

    fn knot(self, place: &Place<'_>) -> Result<Launch, BenchError> {
        let Place { run, address, zones, .. } = place;
        let (run, zones) = (text(run), text(zones));
        // Beside XDP there is no listener on sockets: everything to port 53 goes one way.
        let (listen, xdp) = match self {
            Self::KnotXdp => (String::new(), format!("xdp:\n  listen: {}@53\n  tcp: on\n", place.interface)),
            _ => (format!("  listen: {address}@53\n"), String::new()),
        };
        let mut text = format!(
            "server:\n  rundir: {run}\n  user: root:root\n{listen}  udp-workers: 1\n  tcp-workers: 1\n\
             \x20 background-workers: 1\n  tcp-max-clients: 1000\ncontrol:\n  listen: {run}/control\n\
             database:\n  storage: {run}\n{xdp}log:\n  - target: stderr\n    any: warning\n\
             template:\n  - id: default\n    storage: {zones}\n    zonefile-load: whole\n    zonefile-sync: -1\n\
             \x20   journal-content: none\n    semantic-checks: off\nzone:\n"
        );
        for name in place.names {
            let _ = writeln!(text, "  - domain: {name}\n    file: {name}.zone");
        }
        let file = write(place, "knot.conf", &text)?;
        let control = format!("{run}/control");
        Ok(Launch {
            start: words(&["knotd", "-c", &file]),
            reload: Reload::Command(words(&["knotc", "-c", &file, "-s", &control, "zone-reload"])),
        })
    }
}

fn gdnsd(place: &Place<'_>) -> Result<Launch, BenchError> {
    let run = text(place.run);
    let directory = place.run.join("etc");
    fs::create_dir_all(directory.join("zones")).map_err(cannot("make gdnsd's directory"))?;
    let config = format!(
        "options => {{\n  listen => {{ {} => {{ udp_threads => 1, tcp_threads => 1, \
         tcp_clients_per_thread => 1000 }} }}\n  run_dir => {run}/run\n  state_dir => {run}/state\n}}\n",
        place.address
    );
    write(place, "etc/config", &config)?;
    for name in place.names {
        // gdnsd names its files like the zones.
        std::os::unix::fs::symlink(
            place.zones.join(format!("{name}.zone")),
            directory.join("zones").join(name),
        )
        .map_err(cannot("link a zone file for gdnsd"))?;
    }
    let directory = text(&directory);
    Ok(Launch {
        start: words(&["gdnsd", "-c", &directory, "start"]),
        reload: Reload::Command(words(&["gdnsdctl", "-c", &directory, "reload-zones"])),
    })
}

fn nsd(place: &Place<'_>) -> Result<Launch, BenchError> {
    let (run, zones) = (text(place.run), text(place.zones));
    let mut config = format!(
        "server:\n  ip-address: {}@53\n  server-count: 1\n  reuseport: yes\n  username: \"\"\n  database: \"\"\n\
         \x20 zonesdir: {zones}\n  pidfile: {run}/nsd.pid\n  xfrdfile: {run}/xfrd\n  zonelistfile: {run}/list\n\
         \x20 xfrdir: {run}\n  tcp-count: 1000\n  minimal-responses: yes\n  rrl-ratelimit: 0\n\
         \x20 rrl-whitelist-ratelimit: 0\n  logfile: {run}/nsd.log\nremote-control:\n  control-enable: yes\n\
         \x20 control-interface: {run}/control\n",
        place.address
    );
    for name in place.names {
        let _ = writeln!(config, "zone:\n  name: {name}\n  zonefile: {name}.zone");
    }
    let file = write(place, "nsd.conf", &config)?;
    Ok(Launch {
        start: words(&["nsd", "-d", "-c", &file]),
        reload: Reload::Command(words(&["nsd-control", "-c", &file, "reload"])),
    })
}

fn bind(place: &Place<'_>) -> Result<Launch, BenchError> {
    let (run, zones) = (text(place.run), text(place.zones));
    let mut config = format!(
        "options {{\n  directory \"{run}\";\n  pid-file none;\n  session-keyfile none;\n\
         \x20 listen-on port 53 {{ {}; }};\n  listen-on-v6 {{ none; }};\n  recursion no;\n\
         \x20 dnssec-validation no;\n  minimal-responses yes;\n  notify no;\n  allow-transfer {{ none; }};\n\
         \x20 allow-query {{ any; }};\n  empty-zones-enable no;\n  tcp-clients 1000;\n}};\ncontrols {{ }};\n\
         logging {{\n  channel file {{ file \"{run}/named.log\"; severity warning; }};\n\
         \x20 category default {{ file; }};\n  category lame-servers {{ null; }};\n}};\n",
        place.address
    );
    for name in place.names {
        let _ = writeln!(config, "zone \"{name}\" {{ type primary; file \"{zones}/{name}.zone\"; }};");
    }
    let file = write(place, "named.conf", &config)?;
    Ok(Launch { start: words(&["named", "-f", "-n", "1", "-c", &file]), reload: Reload::Signal })
}

/// Our command: that which `benches/side-by-side` has built, or another one.
fn pharos() -> PathBuf {
    std::env::var_os("PHAROS_BIN").map_or_else(|| beside("pharos"), PathBuf::from)
}

/// A program of crates/netio that needs what only that crate may do.
pub(super) fn example(name: &str) -> PathBuf {
    beside(&format!("examples/{name}"))
}

/// What cargo has built beside this program.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new(".")).join(name)
}

fn write(place: &Place<'_>, name: &str, content: &str) -> Result<String, BenchError> {
    let file = place.run.join(name);
    fs::write(&file, content).map_err(cannot(format!("write {}", file.display())))?;
    Ok(text(&file))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
