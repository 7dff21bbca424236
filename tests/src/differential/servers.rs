//! The servers of one world: NSD, Knot, BIND and, for signed zones, PowerDNS as processes on loopback, ours in this
//! process.
//!
//! Each has the same zones, one of them without a file, and the same limits on UDP. What would make them
//! different on purpose is off: rate limits, rotation, ACLs, transfers. Every process is killed by its pid when
//! it is dropped; if the test itself is killed, the kernel does so.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use pharos_responder::{Config, Responder, StatusFilter, ZoneSource};

use super::exchange::{Patience, udp};
use super::generate::ZoneText;
use super::message::Reply;
use super::names::DomainName;
use super::world::World;
use crate::lab::{Daemon, Workspace, wait_until};

/// The servers that ours is compared with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Peer {
    /// NSD.
    Nsd,
    /// Knot DNS.
    Knot,
    /// BIND.
    Bind,
    /// PowerDNS with its bind backend.
    Pdns,
}

impl Peer {
    /// All of them, in the order of every list of replies.
    pub const ALL: [Self; 4] = [Self::Nsd, Self::Knot, Self::Bind, Self::Pdns];

    /// Those that are asked about unsigned zones. PowerDNS has no answer to many odd names.
    pub const UNSIGNED: &'static [Self] = &[Self::Nsd, Self::Knot, Self::Bind];

    /// Those that are asked about signed zones.
    pub const SIGNED: &'static [Self] = &Self::ALL;

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Bind => "BIND",
            Self::Pdns => "PowerDNS",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
            Self::Bind => "named",
            Self::Pdns => "pdns_server",
        }
    }
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let mut directories: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    directories.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    directories.into_iter().map(|directory| directory.join(program)).find(|path| path.exists())
}

/// The programs of these peers that are missing.
pub fn missing(peers: &[Peer]) -> Vec<&'static str> {
    peers.iter().map(|peer| peer.program()).filter(|program| find(program).is_none()).collect()
}

/// Who ours says it is.
pub const IDENTITY: &str = "a.test";

/// UDP size of all servers.
pub const UDP_SIZE: u16 = 1232;

/// The address family that a world's servers are asked over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// Whether this machine has it.
    pub fn is_here(self) -> bool {
        UdpSocket::bind((self.loopback(), 0)).is_ok()
    }
}

/// The running servers of a world.
pub struct Servers {
    /// Where each listens: ours first, then the world's peers.
    pub addresses: Vec<SocketAddr>,
    labels: Vec<&'static str>,
    kinds: &'static [Peer],
    files: Vec<(String, PathBuf)>,
    peers: Vec<Daemon>,
    _ours: Responder,
    workspace: Workspace,
}

impl Servers {
    /// Starts them and waits until every zone is served by every server.
    ///
    /// # Panics
    /// If one does not start or refuses a zone, with what it printed.
    pub fn start(world: &World, family: Family) -> Self {
        let workspace = Workspace::new("differential");
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for (number, zone) in world.zones.iter().enumerate() {
            files.push((zone.apex.text(), workspace.write(&format!("zones/{number}.zone"), &zone.text)));
        }
        files.push((world.unloaded.text(), workspace.join("zones/missing.zone")));
        if let Some(dnssec) = &world.pdns_metadata {
            std::fs::create_dir_all(workspace.join("pdns_server"))
                .expect("the temporary directory can be written");
            std::fs::copy(dnssec, workspace.join("pdns_server/dnssec.db")).expect("a database can be copied");
        }
        let mut addresses = Vec::new();
        let mut peers = Vec::new();
        for &peer in world.peers {
            let address = free_address(family);
            addresses.push(address);
            peers.push(start_peer(peer, &workspace, &files, address));
        }
        // The others start meanwhile.
        let (ours, our_address) = start_ours(&files, family);
        addresses.insert(0, our_address);
        let labels = world.peers.iter().map(|peer| peer.label()).collect();
        let kinds = world.peers;
        let mut servers = Self { addresses, labels, kinds, files, peers, _ours: ours, workspace };
        for slot in 0..servers.peers.len() {
            servers.wait_for(slot, &world.zones);
        }
        servers
    }

    /// Whether a peer has a worker that no longer answers: some MX and SRV queries make one of Knot's go round for ever.
    pub fn is_hung(&self, slot: usize, zones: &[ZoneText]) -> bool {
        let Some(zone) = zones.first() else { return false };
        let query = soa_query(&zone.apex);
        let patience = Patience { wait: Duration::from_secs(1), tries: 2 };
        // Each from a socket of its own, so that every worker gets one.
        (0..24).any(|_| udp(self.addresses[slot], &[&query], patience) == [None])
    }

    /// Starts a peer anew, at its old address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self, slot: usize, zones: &[ZoneText]) -> &'static str {
        self.peers[slot - 1].kill();
        self.peers[slot - 1] =
            start_peer(self.kinds[slot - 1], &self.workspace, &self.files, self.addresses[slot]);
        self.wait_for(slot - 1, zones);
        self.labels[slot - 1]
    }

    /// What a peer printed.
    pub fn log(&self, peer: usize) -> String {
        self.peers[peer].log()
    }

    fn wait_for(&mut self, slot: usize, zones: &[ZoneText]) {
        let address = self.addresses[slot + 1];
        let queries: Vec<Vec<u8>> = zones.iter().map(|zone| soa_query(&zone.apex)).collect();
        let queries: Vec<&[u8]> = queries.iter().map(Vec::as_slice).collect();
        let patience = Patience { wait: Duration::from_millis(100), tries: 1 };
        let (peer, label) = (&mut self.peers[slot], self.labels[slot]);
        let mut first_reply = None;
        wait_until(&format!("{label} answers for all zones"), || {
            peer.assert_running();
            let replies = udp(address, &queries, patience);
            let good = |reply: &Option<Vec<u8>>| {
                reply
                    .as_deref()
                    .and_then(|reply| Reply::decode(reply).ok())
                    .is_some_and(|reply| reply.rcode == 0)
            };
            if replies.iter().all(good) {
                return true;
            }
            if replies.iter().all(Option::is_some) {
                // It is up, so it has judged its zones; a grace for those that load in the background.
                let since = *first_reply.get_or_insert_with(std::time::Instant::now);
                if since.elapsed() > Duration::from_secs(10) {
                    let refused: Vec<String> = zones
                        .iter()
                        .zip(&replies)
                        .filter(|(_, reply)| !good(reply))
                        .map(|(zone, _)| zone.apex.text())
                        .collect();
                    panic!("{label} does not serve {refused:?}:\n{}", peer.log());
                }
            }
            false
        });
    }
}

fn soa_query(apex: &DomainName) -> Vec<u8> {
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(apex.wire());
    query.extend([0, 6, 0, 1]);
    query
}

fn start_ours(files: &[(String, PathBuf)], family: Family) -> (Responder, SocketAddr) {
    let any = SocketAddr::new(family.loopback(), 0);
    let mut config = Config::new(vec![any], ZoneSource::List(files.to_vec()));
    config.nsid = IDENTITY.to_owned();
    config.udp_payload_octets = UDP_SIZE;
    let responder = Responder::start(config).unwrap_or_else(|error| panic!("ours does not start: {error}"));
    let status = responder.handle().status(&StatusFilter::default());
    for zone in &status.zones {
        if let Some(refusal) = &zone.refusal
            && !zone.file.ends_with("missing.zone")
        {
            panic!("ours does not serve {}: {refusal}", zone.name);
        }
    }
    let address = status.listen[0].parse().expect("the status tells an address");
    (responder, address)
}

/// An address that nobody listens on, for both transports. Its port is below those that the kernel gives out, so
/// that nobody is given it before the server has taken it.
fn free_address(family: Family) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 20_000) as u16;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::new(family.loopback(), port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn start_peer(peer: Peer, workspace: &Workspace, files: &[(String, PathBuf)], address: SocketAddr) -> Daemon {
    let directory = workspace.join(peer.program());
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let configuration = match peer {
        Peer::Nsd => nsd(&directory, files, address),
        Peer::Knot => knot(&directory, files, address),
        Peer::Bind => bind(&directory, files, address),
        Peer::Pdns => pdns(&directory, files, address),
    };
    if peer == Peer::Pdns {
        workspace.write("pdns_server/named.conf", &bind_zones(files));
    }
    let name = if peer == Peer::Pdns { "pdns" } else { peer.program() };
    let path = workspace.write(&format!("{}/{name}.conf", peer.program()), &configuration);
    let path = path.display().to_string();
    let args: Vec<String> = match peer {
        Peer::Nsd => vec!["-d".into(), "-c".into(), path],
        Peer::Knot => vec!["-c".into(), path],
        Peer::Bind => ["-g", "-n", "2", "-c", &path].map(str::to_owned).to_vec(),
        // Its configuration is called `pdns-NAME.conf`.
        Peer::Pdns => vec![format!("--config-dir={}", directory.display()), "--config-name=".into()],
    };
    let program = find(peer.program()).expect("missing programs were looked for first");
    Daemon::start(peer.label(), &program, &args, &workspace.join(&format!("{}.log", peer.program())))
}

fn nsd(directory: &Path, files: &[(String, PathBuf)], address: SocketAddr) -> String {
    let directory = directory.display();
    let mut text = format!(
        "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{directory}\"\n  database: \"\"\n  \
         pidfile: \"\"\n  xfrdfile: \"{directory}/xfrd.state\"\n  xfrdir: \"{directory}\"\n  \
         zonelistfile: \"{directory}/zone.list\"\n  server-count: 4\n  tcp-count: 500\n  rrl-ratelimit: 0\n  \
         rrl-whitelist-ratelimit: 0\n  ipv4-edns-size: {UDP_SIZE}\n  ipv6-edns-size: {UDP_SIZE}\n  minimal-responses: yes\n  refuse-any: no\n  \
         round-robin: no\n  nsid: \"ascii_nsd\"\nremote-control:\n  control-enable: no\n",
        address.ip(),
        address.port()
    );
    for (name, path) in files {
        let _ = write!(text, "zone:\n  name: \"{name}\"\n  zonefile: \"{}\"\n", path.display());
    }
    text
}

fn knot(directory: &Path, files: &[(String, PathBuf)], address: SocketAddr) -> String {
    let directory = directory.display();
    let mut text = format!(
        "server:\n  listen: {}@{}\n  rundir: {directory}\n  nsid: knot\n  udp-max-payload: {UDP_SIZE}\n  \
         udp-workers: 2\n  tcp-workers: 2\n  background-workers: 2\n  tcp-max-clients: 1000\n  \
         answer-rotation: off\ncontrol:\n  listen: {directory}/knot.sock\nlog:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: {directory}\n  kasp-db-max-size: 5M\n\
         template:\n  - id: default\n    storage: {directory}\n    semantic-checks: off\n    zonefile-load: whole\n    \
         zonefile-sync: -1\n    journal-content: none\nzone:\n",
        address.ip(),
        address.port()
    );
    for (name, path) in files {
        let _ = write!(text, "  - domain: \"{name}\"\n    file: \"{}\"\n", path.display());
    }
    text
}

fn bind(directory: &Path, files: &[(String, PathBuf)], address: SocketAddr) -> String {
    let directory = directory.display();
    let (port, ip) = (address.port(), address.ip());
    let none = format!("listen-on{} {{ none; }};", if ip.is_ipv4() { "-v6" } else { "" });
    let listen =
        format!("listen-on{} port {port} {{ {ip}; }}; {none}", if ip.is_ipv4() { "" } else { "-v6" });
    let text = format!(
        "options {{ directory \"{directory}\"; pid-file none; session-keyfile none; \
         {listen} recursion no; allow-query {{ any; }}; \
         allow-transfer {{ none; }}; allow-update {{ none; }}; notify no; minimal-responses no-auth; minimal-any no; \
         dnssec-validation no; zero-no-soa-ttl no; empty-zones-enable no; edns-udp-size {UDP_SIZE}; max-udp-size {UDP_SIZE}; \
         server-id \"bind\"; rrset-order {{ order none; }}; check-names primary ignore; check-integrity no; \
         check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; check-wildcard no; check-spf ignore; \
         check-dup-records ignore; max-records-per-type 0; max-types-per-name 0; tcp-clients 1000; }};\n\
         controls {{ }};\nlogging {{ category default {{ default_stderr; }}; category lame-servers {{ null; }}; }};\n"
    );
    text + &bind_zones(files)
}

fn bind_zones(files: &[(String, PathBuf)]) -> String {
    files.iter().fold(String::new(), |mut text, (name, path)| {
        let _ = writeln!(text, "zone \"{name}\" {{ type master; file \"{}\"; }};", path.display());
        text
    })
}

/// That zones come signed, and by which parameters, stands in a database (see [`super::sign`]).
fn pdns(directory: &Path, _: &[(String, PathBuf)], address: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "launch=bind\nbind-config={directory}/named.conf\nbind-dnssec-db={directory}/dnssec.db\n\
         local-address={}\nlocal-port={}\nsocket-dir={directory}\ndaemon=no\nguardian=no\nsetuid=\nsetgid=\n\
         cache-ttl=0\nnegquery-cache-ttl=0\nquery-cache-ttl=0\nzone-cache-refresh-interval=0\nreceiver-threads=2\n\
         distributor-threads=2\nloglevel=3\nsecurity-poll-suffix=\nexpand-alias=no\n8bit-dns=yes\n\
         dname-processing=yes\nmax-nsec3-iterations=500\nserver-id=pdns\nudp-truncation-threshold={UDP_SIZE}\n\
         any-to-tcp=no\nmax-tcp-connections=1000\nmax-tcp-transactions-per-conn=0\ndisable-axfr=yes\n",
        address.ip(),
        address.port()
    )
}
