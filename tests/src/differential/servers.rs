//! The servers of one world: NSD, Knot, BIND and, for signed zones, PowerDNS as processes on loopback, ours in this
//! process.
//!
//! Each has the same zones, one of them without a file, and the same limits on UDP. What would make them
//! different on purpose is off: rate limits, rotation, ACLs, transfers. Every process is killed by its pid when
//! it is dropped; if the test itself is killed, the kernel does so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use pharos_responder::{Config, Responder, StatusFilter, ZoneSource};

use super::exchange::{Patience, udp};
use super::generate::ZoneText;
use super::message::Reply;
use super::names::DomainName;
use super::world::World;
use crate::lab::{Daemon, Workspace, wait_until};
use pharos_testkit::peers::{Peer, Setting, UDP_SIZE};

/// Who ours says it is.
pub const IDENTITY: &str = "a.test";

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
    let setting = Setting { directory: &directory, files, addresses: &[address], identity: peer.program() };
    let (program, args) = peer.command(&setting);
    Daemon::start(peer.label(), &program, &args, &workspace.join(&format!("{}.log", peer.program())))
}
