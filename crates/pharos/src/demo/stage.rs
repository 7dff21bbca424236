//! What the demo stands on: a directory of its own, zone files that may be broken, free ports, and a real
//! configuration that says it all.
//!
//! The configuration is written as a person would write it and then read back by the same code as in earnest,
//! so that `pharos status -c DIRECTORY` and the rest work on the demo too. Nothing is left when this is
//! dropped.

use super::collector::COLLECTOR_AS;
use crate::failure::Failure;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The samples, for a demo that runs anywhere.
const SAMPLES: [(&str, &str); 5] = [
    ("example.com.zone", include_str!("../../../../zones/example.com.zone")),
    ("example.zone", include_str!("../../../../zones/example.zone")),
    ("signed.example.zone", include_str!("../../../../zones/signed.example.zone")),
    ("2.0.192.in-addr.arpa.zone", include_str!("../../../../zones/2.0.192.in-addr.arpa.zone")),
    ("8.b.d.0.1.0.0.2.ip6.arpa.zone", include_str!("../../../../zones/8.b.d.0.1.0.0.2.ip6.arpa.zone")),
];

/// Ports that are easy to type and that no service of a usual machine has.
const DNS_PORT: u16 = 5300;
const RESPONDER_MANAGEMENT_PORT: u16 = 9153;
const SIDECAR_MANAGEMENT_PORT: u16 = 9154;
const BGP_PORT: u16 = 1790;

/// The node's AS number, for private use (RFC 6996).
pub(super) const NODE_AS: u32 = 64512;

/// Which ports to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    /// The usual ones, and others where they are taken.
    Usual,
    /// Any that are free.
    Any,
    /// This one for DNS and no other.
    Dns(u16),
}

/// A set stage. Dropping it removes its directory.
#[derive(Debug)]
pub(super) struct Stage {
    directory: PathBuf,
    /// Where the responder answers; always the IPv4 address first.
    pub(super) listen: Vec<SocketAddr>,
    /// The prefixes that the sidecar announces.
    pub(super) prefixes: Vec<&'static str>,
    /// The zone that every probe asks for, and that the hints break.
    pub(super) zone: String,
    /// How many zone files there are.
    pub(super) zone_count: usize,
    /// The responder's management address.
    pub(super) responder_management: SocketAddr,
    /// The sidecar's management address.
    pub(super) sidecar_management: SocketAddr,
    /// Where the collector listens.
    pub(super) collector: SocketAddr,
}

impl Stage {
    /// Makes the directory, copies the zones, finds free ports, writes the configuration.
    pub(super) fn set(zones: Option<&Path>, collector: SocketAddr, ports: Ports) -> Result<Self, Failure> {
        let source = source_of(zones)?;
        let dns_port = dns_port(ports)?;
        let mut listen = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), dns_port)];
        let mut prefixes = vec!["192.0.2.0/24"];
        if has_ipv6() {
            listen.push(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), dns_port));
            prefixes.push("2001:db8:53::/48");
        }
        let directory = make_directory()?;
        // From here on an early return removes the directory, because the stage is dropped.
        let mut stage = Self {
            directory,
            listen,
            prefixes,
            zone: String::new(),
            zone_count: 0,
            responder_management: free_tcp(ports, RESPONDER_MANAGEMENT_PORT)?,
            sidecar_management: free_tcp(ports, SIDECAR_MANAGEMENT_PORT)?,
            collector,
        };
        stage.fill(&source)?;
        Ok(stage)
    }

    /// Whether somebody else has come to use one of the ports since they were found free.
    pub(super) fn is_taken(&self) -> bool {
        let dns = self.listen.first().is_none_or(|address| !is_free_for_dns(address.port()));
        dns || [self.responder_management, self.sidecar_management]
            .iter()
            .any(|address| TcpListener::bind(address).is_err())
    }

    /// The directory that holds everything; `-c` takes it.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of [`Self::zone`].
    pub(super) fn zone_file(&self) -> PathBuf {
        let name = self.zone.trim_end_matches('.');
        self.directory.join("zones").join(format!("{}.zone", if name.is_empty() { "@" } else { name }))
    }

    fn fill(&mut self, source: &Source) -> Result<(), Failure> {
        let zones = self.directory.join("zones");
        let copied = fs::create_dir(&zones).and_then(|()| source.copy_to(&zones));
        let names =
            copied.map_err(|error| Failure::failed(format!("cannot copy the zone files: {error}")))?;
        self.zone_count = names.len();
        let file = names.iter().find(|name| *name == "example.com.zone").or(names.first());
        let file = file.ok_or_else(|| Failure::usage("there are no .zone files to serve"))?;
        self.zone = match file.strip_suffix(".zone") {
            Some("@") | None => ".".to_owned(),
            Some(name) => format!("{name}."),
        };
        let write = |name: &str, text: String| {
            fs::write(self.directory.join(name), text)
                .map_err(|error| Failure::failed(format!("cannot write {name}: {error}")))
        };
        write("pharos.yaml", self.pharos_yaml())?;
        write("site.yaml", self.site_yaml())
    }

    fn pharos_yaml(&self) -> String {
        let listen = list(&self.listen);
        let prefixes = list(&self.prefixes);
        let quoted = |name: &str| format!("{:?}", self.directory.join(name).display().to_string());
        format!(
            "# The demo's own configuration, as `pharos serve` and `pharos announce` would read it.\n\
             responder:\n  \
               listen: {listen}\n  \
               zones: {{directory: {}}}\n  \
               workers: 2\n  \
               management: \"{}\"\n  \
               control: {}\n\
             sidecar:\n  \
               management: \"{}\"\n  \
               control: {}\n  \
               groups:\n    \
                 - name: demo\n      \
                   prefixes: {prefixes}\n      \
                   required: [{:?}]\n      \
                   # The prefixes' own addresses are not on this machine, so loopback is probed instead.\n      \
                   addresses: {listen}\n  \
               # Short, to be watched; see docs/configuration.md for the defaults.\n  \
               hold-down: 1s\n",
            quoted("zones"),
            self.responder_management,
            quoted("responder.sock"),
            self.sidecar_management,
            quoted("sidecar.sock"),
            self.zone,
        )
    }

    fn site_yaml(&self) -> String {
        format!(
            "node: demo\nsite: loopback\nrouter-id: 127.0.0.1\nlocal-as: {NODE_AS}\nneighbours:\n  \
               - address: {}\n    port: {}\n    as: {COLLECTOR_AS}\n    \
                 next-hop-ipv4: 192.0.2.1\n    next-hop-ipv6: \"2001:db8:53::1\"\n",
            self.collector.ip(),
            self.collector.port(),
        )
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A YAML list of quoted texts; none of them holds a quote or a backslash.
fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("\"{}\"", item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// Where zone files come from.
enum Source {
    Directory(PathBuf),
    Samples,
}

fn source_of(zones: Option<&Path>) -> Result<Source, Failure> {
    let has_zones = |directory: &Path| zone_files(directory).is_ok_and(|files| !files.is_empty());
    match zones {
        Some(named) if has_zones(named) => Ok(Source::Directory(named.to_owned())),
        Some(named) => Err(Failure::usage(format!("{} holds no NAME.zone files", named.display()))
            .help("name a directory of zone files, or leave --zones out for the samples")),
        None if has_zones(Path::new("zones")) => Ok(Source::Directory("zones".into())),
        None => Ok(Source::Samples),
    }
}

fn zone_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "zone") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Source {
    /// Copies the files and gives their names.
    fn copy_to(&self, target: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        match self {
            Self::Samples => {
                for (name, text) in SAMPLES {
                    fs::write(target.join(name), text)?;
                    names.push(name.to_owned());
                }
            }
            Self::Directory(directory) => {
                for path in zone_files(directory)? {
                    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                    // Contents only: a copy of a read-only file should be breakable.
                    fs::write(target.join(name), fs::read(&path)?)?;
                    names.push(name.to_owned());
                }
            }
        }
        Ok(names)
    }
}

/// A new directory with a name that is easy to type, or a longer one when that is taken.
fn make_directory() -> Result<PathBuf, Failure> {
    let base = std::env::temp_dir();
    let pid = std::process::id();
    let mut last = None;
    for name in ["pharos-demo".to_owned(), format!("pharos-demo-{pid}")] {
        let path = base.join(name);
        // Made by us alone and for us alone, or not at all: a directory that somebody prepared is not used.
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Failure::failed(format!("cannot make a directory in {}: {reason}", base.display()))
        .help("set TMPDIR to a directory that you may write"))
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Whether UDP and TCP are free on every loopback address.
fn is_free_for_dns(port: u16) -> bool {
    let v6 = has_ipv6().then_some(IpAddr::from(Ipv6Addr::LOCALHOST));
    let is_free = |address: IpAddr| {
        UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok()
    };
    [Some(IpAddr::from(Ipv4Addr::LOCALHOST)), v6].into_iter().flatten().all(is_free)
}

fn dns_port(ports: Ports) -> Result<u16, Failure> {
    match ports {
        Ports::Usual if is_free_for_dns(DNS_PORT) => return Ok(DNS_PORT),
        Ports::Dns(port) if is_free_for_dns(port) => return Ok(port),
        Ports::Dns(port) => {
            return Err(Failure::failed(format!("port {port} on loopback is taken"))
                .help("name another with --port, or leave it out: then any that is free will do"));
        }
        Ports::Usual | Ports::Any => {}
    }
    // What the kernel gives for one address and protocol is nearly always free for the others.
    for _ in 0..50 {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        match port {
            Ok(address) if is_free_for_dns(address.port()) => return Ok(address.port()),
            _ => {}
        }
    }
    Err(Failure::failed("no port on loopback is free for UDP and TCP"))
}

/// The collector's listener, on its usual port or on any.
pub(super) fn collector_listener() -> Result<(TcpListener, SocketAddr), Failure> {
    listener(BGP_PORT).map_err(|error| Failure::failed(format!("no port for the collector: {error}")))
}

fn listener(usual: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, usual))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok((listener, address))
}

/// An address that is free now.
fn free_tcp(ports: Ports, usual: u16) -> Result<SocketAddr, Failure> {
    listener(if ports == Ports::Any { 0 } else { usual })
        .map(|(_, address)| address)
        .map_err(|error| Failure::failed(format!("no port for a management address: {error}")))
}
