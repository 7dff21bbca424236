//! The other name servers, as the suites start them: NSD, Knot, BIND and PowerDNS.
//!
//! What would make them different on purpose is off: rate limits, rotation, ACLs, transfers.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A name server that is not ours.
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

    /// The name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Knot => "knotd",
            Self::Bind => "named",
            Self::Pdns => "pdns_server",
        }
    }

    /// Writes its configuration, and gives the program and arguments that start it in the foreground.
    ///
    /// # Panics
    /// If its program is missing or its directory cannot be written.
    pub fn command(self, setting: &Setting<'_>) -> (PathBuf, Vec<String>) {
        let configuration = match self {
            Self::Nsd => nsd(setting),
            Self::Knot => knot(setting),
            Self::Bind => bind(setting),
            Self::Pdns => pdns(setting),
        };
        let write = |name: &str, text: &str| {
            let path = setting.directory.join(name);
            fs::create_dir_all(setting.directory).expect("the temporary directory can be written");
            fs::write(&path, text).expect("the temporary directory can be written");
            path.display().to_string()
        };
        let args = match self {
            Self::Nsd => vec!["-d".to_owned(), "-c".to_owned(), write("nsd.conf", &configuration)],
            Self::Knot => vec!["-c".to_owned(), write("knotd.conf", &configuration)],
            Self::Bind => {
                let path = write("named.conf", &configuration);
                ["-g", "-n", "2", "-c", &path].map(str::to_owned).to_vec()
            }
            Self::Pdns => {
                write("named.conf", &bind_zones(setting.files));
                // The name that is asked for is `pdns-NAME.conf`.
                write("pdns.conf", &configuration);
                vec![format!("--config-dir={}", setting.directory.display()), "--config-name=".to_owned()]
            }
        };
        (find(self.program()).expect("missing programs were looked for first"), args)
    }
}

/// What each of them is told.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Where it may write.
    pub directory: &'a Path,
    /// Zones by name, each with its file.
    pub files: &'a [(String, PathBuf)],
    /// Where it listens, for both transports; PowerDNS at the first one alone.
    pub addresses: &'a [SocketAddr],
    /// What it says in NSID (RFC 5001).
    pub identity: &'a str,
}

/// UDP size of all servers.
pub const UDP_SIZE: u16 = 1232;

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

fn nsd(setting: &Setting<'_>) -> String {
    let directory = setting.directory.display();
    let mut text = "server:\n".to_owned();
    for address in setting.addresses {
        let _ = writeln!(text, "  ip-address: {}@{}", address.ip(), address.port());
    }
    let _ = write!(
        text,
        "  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{directory}\"\n  database: \"\"\n  \
         pidfile: \"\"\n  xfrdfile: \"{directory}/xfrd.state\"\n  xfrdir: \"{directory}\"\n  \
         zonelistfile: \"{directory}/zone.list\"\n  server-count: 4\n  tcp-count: 500\n  rrl-ratelimit: 0\n  \
         rrl-whitelist-ratelimit: 0\n  ipv4-edns-size: {UDP_SIZE}\n  ipv6-edns-size: {UDP_SIZE}\n  minimal-responses: yes\n  refuse-any: no\n  \
         round-robin: no\n  nsid: \"ascii_{}\"\nremote-control:\n  control-enable: no\n",
        setting.identity
    );
    for (name, path) in setting.files {
        let _ = write!(text, "zone:\n  name: \"{name}\"\n  zonefile: \"{}\"\n", path.display());
    }
    text
}

fn knot(setting: &Setting<'_>) -> String {
    let directory = setting.directory.display();
    let listen: Vec<_> =
        setting.addresses.iter().map(|address| format!("{}@{}", address.ip(), address.port())).collect();
    let mut text = format!(
        "server:\n  listen: [{}]\n  rundir: {directory}\n  nsid: {}\n  udp-max-payload: {UDP_SIZE}\n  \
         udp-workers: 2\n  tcp-workers: 2\n  background-workers: 2\n  tcp-max-clients: 1000\n  \
         answer-rotation: off\ncontrol:\n  listen: {directory}/knot.sock\nlog:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: {directory}\n  kasp-db-max-size: 5M\n\
         template:\n  - id: default\n    storage: {directory}\n    semantic-checks: off\n    zonefile-load: whole\n    \
         zonefile-sync: -1\n    journal-content: none\nzone:\n",
        listen.join(", "),
        setting.identity
    );
    for (name, path) in setting.files {
        let _ = write!(text, "  - domain: \"{name}\"\n    file: \"{}\"\n", path.display());
    }
    text
}

fn bind(setting: &Setting<'_>) -> String {
    let directory = setting.directory.display();
    let listen_of = |option: &str, is_it: fn(&SocketAddr) -> bool| {
        let of_family = setting.addresses.iter().filter(|address| is_it(address));
        let lines: String =
            of_family.map(|at| format!("{option} port {} {{ {}; }}; ", at.port(), at.ip())).collect();
        if lines.is_empty() { format!("{option} {{ none; }}; ") } else { lines }
    };
    let listen =
        listen_of("listen-on", SocketAddr::is_ipv4) + &listen_of("listen-on-v6", SocketAddr::is_ipv6);
    let identity = setting.identity;
    let text = format!(
        "options {{ directory \"{directory}\"; pid-file none; session-keyfile none; \
         {listen} recursion no; allow-query {{ any; }}; \
         allow-transfer {{ none; }}; allow-update {{ none; }}; notify no; minimal-responses no-auth; minimal-any no; \
         dnssec-validation no; zero-no-soa-ttl no; empty-zones-enable no; edns-udp-size {UDP_SIZE}; max-udp-size {UDP_SIZE}; \
         server-id \"{identity}\"; rrset-order {{ order none; }}; check-names primary ignore; check-integrity no; \
         check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; check-wildcard no; check-spf ignore; \
         check-dup-records ignore; max-records-per-type 0; max-types-per-name 0; tcp-clients 1000; }};\n\
         controls {{ }};\nlogging {{ category default {{ default_stderr; }}; category lame-servers {{ null; }}; }};\n"
    );
    text + &bind_zones(setting.files)
}

fn bind_zones(files: &[(String, PathBuf)]) -> String {
    files.iter().fold(String::new(), |mut text, (name, path)| {
        let _ = writeln!(text, "zone \"{name}\" {{ type master; file \"{}\"; }};", path.display());
        text
    })
}

/// That zones come signed, and by which parameters, stands in a database (see the differential test).
fn pdns(setting: &Setting<'_>) -> String {
    let directory = setting.directory.display();
    let address = setting.addresses.first().expect("there is an address");
    format!(
        "launch=bind\nbind-config={directory}/named.conf\nbind-dnssec-db={directory}/dnssec.db\n\
         local-address={}\nlocal-port={}\nsocket-dir={directory}\ndaemon=no\nguardian=no\nsetuid=\nsetgid=\n\
         cache-ttl=0\nnegquery-cache-ttl=0\nquery-cache-ttl=0\nzone-cache-refresh-interval=0\nreceiver-threads=2\n\
         distributor-threads=2\nloglevel=3\nsecurity-poll-suffix=\nexpand-alias=no\n8bit-dns=yes\n\
         dname-processing=yes\nmax-nsec3-iterations=500\nserver-id={}\nudp-truncation-threshold={UDP_SIZE}\n\
         any-to-tcp=no\nmax-tcp-connections=1000\nmax-tcp-transactions-per-conn=0\ndisable-axfr=yes\n",
        address.ip(),
        address.port(),
        setting.identity
    )
}
