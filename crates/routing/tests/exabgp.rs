//! ExaBGP as a second opinion on octets: it reads what we write, and writes the same for the same routes.
//!
//! Without ExaBGP these tests are skipped with a printed reason; with `CI=true` they fail instead.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{message, node_config, open};
use pharos_routing::bgp::{ExtendedNextHop, Input, Output, Peering, Role, Session, SessionConfig, State};
use pharos_routing::{Community, LargeCommunity, Route};

/// Against a hang only.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a router offers: both families, IPv6 next hops for IPv4, route refresh, four-octet AS numbers.
const ROUTER_OFFERS: [u8; 28] =
    [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 5, 6, 0, 1, 0, 1, 0, 2, 2, 0, 65, 4, 0, 0, 0xfb, 0xf4];

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/bin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join("exabgp"))
        .find(|p: &PathBuf| Path::exists(p));
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "ExaBGP is not installed (Debian: exabgp)");
        println!("skipped: ExaBGP is not installed (Debian: exabgp)");
    }
    found
}

/// A directory of our own that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pharos-exabgp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn command(&self, program: &Path, config: &str) -> Command {
        let file = self.0.join("exabgp.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(&self.0)
            .env("exabgp.daemon.drop", "false")
            .env("exabgp.api.cli", "false")
            .arg(file);
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

fn route(prefix: &str, next_hop: &str) -> Route {
    Route::new(prefix.parse().unwrap(), next_hop.parse().unwrap())
}

/// The UPDATEs with which a session tells these routes, without the End-of-RIB markers.
fn updates(mut config: SessionConfig, routes: Vec<Route>) -> Vec<Vec<u8>> {
    config.extended_next_hop = ExtendedNextHop::Offered;
    let mut session = Session::new(config, Duration::ZERO).unwrap();
    let mut out = Vec::new();
    session.set_routes(Duration::ZERO, routes, &mut out).unwrap();
    session.step(Duration::ZERO, Input::Start, &mut out);
    session.step(Duration::ZERO, Input::Connected, &mut out);
    let router = open(4, 64500, 90, [10, 0, 0, 1], &ROUTER_OFFERS);
    session.step(Duration::ZERO, Input::Received(&router), &mut out);
    session.step(Duration::ZERO, Input::Received(&message(4, &[])), &mut out);
    assert_eq!(session.state(), State::Established, "{out:?}");
    let is_update = |message: &Vec<u8>| message[18] == 2 && message.len() > 30;
    let sent = out.into_iter().filter_map(|output| match output {
        Output::Send(message) => Some(message),
        _ => None,
    });
    sent.filter(is_update).collect()
}

fn full(prefix: &str, next_hop: &str) -> Route {
    let mut route = route(prefix, next_hop);
    route.prepends = 1;
    route.med = Some(50);
    route.communities = vec![Community::new(64512, 53), Community::NO_EXPORT];
    route.large_communities = vec![LargeCommunity::new(4_200_000_000, 1, 53)];
    route
}

#[test]
fn exabgp_reads_every_route_as_it_was_meant() {
    let Some(program) = program() else { return };
    let scratch = Scratch::new("decode");
    let config =
        "neighbor 127.0.0.1 { router-id 10.0.0.1; local-address 127.0.0.1; local-as 64500; peer-as 64512;
        family { ipv4 unicast; ipv6 unicast; } capability { asn4 enable; nexthop enable; }
        nexthop { ipv4 unicast ipv6; } }";
    let mut marked = node_config();
    marked.peering = Some(Peering::Peer);
    let cases = [
        (
            updates(node_config(), vec![full("192.0.2.0/24", "10.0.0.2")]),
            "192.0.2.0/24 next-hop 10.0.0.2 origin igp as-path [ 64512 64512 ] med 50 \
             community [ 64512:53 no-export ] large-community 4200000000:1:53",
        ),
        (
            updates(node_config(), vec![full("2001:db8:53::/48", "fd00::2")]),
            "2001:db8:53::/48 next-hop fd00::2 origin igp as-path [ 64512 64512 ] med 50 \
             community [ 64512:53 no-export ] large-community 4200000000:1:53",
        ),
        (
            updates(node_config(), vec![route("198.51.100.128/25", "fd00::2")]),
            "198.51.100.128/25 next-hop fd00::2 origin igp as-path [ 64512 ]",
        ),
        // ONLY_TO_CUSTOMER is younger than ExaBGP 4.2; it must not make the rest unreadable.
        (
            updates(marked, vec![route("192.0.2.0/24", "10.0.0.2")]),
            "192.0.2.0/24 next-hop 10.0.0.2 origin igp as-path [ 64512 ]",
        ),
    ];
    for (messages, expected) in cases {
        let [update] = &messages[..] else { panic!("{messages:?}") };
        let hex: String = update.iter().map(|octet| format!("{octet:02x}")).collect();
        let output = scratch.command(&program, config).args(["--decode", &hex]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find_map(|line| line.split_once("decoded update 1 ")).map(|(_, words)| words);
        let words =
            |text: &str| text.replace(['[', ']'], "").split_whitespace().collect::<Vec<_>>().join(" ");
        let line = line.unwrap_or_else(|| panic!("nothing is decoded: {said}"));
        assert!(words(line).starts_with(&words(expected)), "{line}\nis not\n{expected}");
    }
}

/// A running ExaBGP that is killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A path attribute: its code, its flags, its value.
type Attribute = (u8, u8, Vec<u8>);

/// The attributes of an UPDATE by code, without the bit for the length's width, and its prefixes as octets.
fn parts(update: &[u8]) -> (BTreeSet<Attribute>, Vec<u8>) {
    let two = |at: usize| usize::from(u16::from_be_bytes([update[at], update[at + 1]]));
    let withdrawn = two(19);
    let attributes_at = 19 + 2 + withdrawn;
    let len = two(attributes_at);
    let (mut rest, nlri) = update[attributes_at + 2..].split_at(len);
    let mut attributes = BTreeSet::new();
    while let [flags, code, tail @ ..] = rest {
        let (len, tail) = match flags & 0x10 {
            0 => (usize::from(tail[0]), &tail[1..]),
            _ => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
        };
        attributes.insert((*code, flags & !0x10, tail[..len].to_vec()));
        rest = &tail[len..];
    }
    (attributes, nlri.to_vec())
}

#[test]
fn exabgp_writes_the_same_attributes_for_the_same_routes() {
    let Some(program) = program() else { return };
    let scratch = Scratch::new("encode");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let communities = "community [ 64512:53 65535:65281 ] large-community [ 4200000000:1:53 ]";
    let config = format!(
        "neighbor 127.0.0.1 {{ router-id 10.0.0.2; local-address 127.0.0.1; local-as 64512; peer-as 64500;
            connect {port}; hold-time 90; family {{ ipv4 unicast; ipv6 unicast; }} capability {{ asn4 enable; }}
            static {{
                route 192.0.2.0/24 next-hop 10.0.0.2 as-path [ 64512 64512 ] med 50 {communities};
                route 198.51.100.128/25 next-hop 10.0.0.2;
                route 203.0.113.7/32 next-hop 10.0.0.2 med 0 community [ 65535:0 ];
                route 2001:db8:53::/48 next-hop fd00::2 as-path [ 64512 64512 ] med 50 {communities};
            }} }}"
    );
    let log = std::fs::File::create(scratch.0.join("log")).unwrap();
    let mut command = scratch.command(&program, &config);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let _exabgp = Running(command.spawn().unwrap());

    let mut zero = route("203.0.113.7/32", "10.0.0.2");
    zero.med = Some(0);
    zero.communities = vec![Community::GRACEFUL_SHUTDOWN];
    let routes = vec![
        full("192.0.2.0/24", "10.0.0.2"),
        route("198.51.100.128/25", "10.0.0.2"),
        zero,
        full("2001:db8:53::/48", "fd00::2"),
    ];
    let ours: BTreeSet<_> = updates(node_config(), routes).iter().map(|update| parts(update)).collect();
    assert_eq!(ours.len(), 4);

    let mut session = {
        let mut config = SessionConfig::new(64500, 64512, Ipv4Addr::new(10, 0, 0, 1));
        config.role = Role::Passive;
        Session::new(config, Duration::ZERO).unwrap()
    };
    let mut out = Vec::new();
    session.step(Duration::ZERO, Input::Start, &mut out);
    listener.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    let mut stream = loop {
        if let Ok((stream, _)) = listener.accept() {
            break stream;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", std::fs::read_to_string(scratch.0.join("log")).unwrap());
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    session.step(begun.elapsed(), Input::Connected, &mut out);
    let mut received = Vec::new();
    let mut theirs = BTreeSet::new();
    let mut buffer = [0; 4096];
    while theirs.len() < ours.len() {
        assert!(begun.elapsed() < PATIENCE, "only {theirs:?}");
        for output in std::mem::take(&mut out) {
            match output {
                Output::Send(octets) => stream.write_all(&octets).unwrap(),
                Output::Close => panic!("the session ended: {:?}", session.last_down()),
                _ => {}
            }
        }
        if let Ok(count) = stream.read(&mut buffer) {
            session.step(begun.elapsed(), Input::Received(&buffer[..count]), &mut out);
            received.extend_from_slice(&buffer[..count]);
        }
        session.step(begun.elapsed(), Input::Tick, &mut out);
        while let Some(len) =
            received.get(16..18).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])))
        {
            if received.len() < len {
                break;
            }
            let message: Vec<u8> = received.drain(..len).collect();
            if message[18] == 2 && message.len() > 30 {
                theirs.insert(parts(&message));
            }
        }
    }
    assert_eq!(ours, theirs);
}
