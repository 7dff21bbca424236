//! The session against a real router: BIRD 2, unprivileged, on loopback and high ports.
//!
//! Without BIRD these tests are skipped with a printed reason; with `CI=true` they fail instead, so that a build
//! which claims to have tested them has. Conditions are polled for, with a bound that only a hang exceeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{route, stop};
use pharos_routing::bgp::{
    AsNumbers, Event, Input, Output, Received, Role, RouteChange, Session, SessionConfig, State,
};
use pharos_routing::{Community, Families, Family};

/// Far more than anything here takes; only a hang gets there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A BIRD of our own that ends with the test.
struct Bird {
    child: Child,
    dir: PathBuf,
}

impl Bird {
    /// Starts BIRD with this configuration, or says why there is none to start.
    fn start(name: &str, config: &str) -> Option<Self> {
        let Some(program) = program() else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "BIRD is not installed (Debian: bird2)");
            println!("skipped: BIRD is not installed (Debian: bird2)");
            return None;
        };
        let dir = std::env::temp_dir().join(format!("pharos-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("bird.conf"), config).unwrap();
        let child = Command::new(program)
            .current_dir(&dir)
            .args(["-f", "-c", "bird.conf", "-s", "bird.sock", "-P", "bird.pid"])
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(dir.join("bird.log")).unwrap()))
            .spawn()
            .unwrap();
        let bird = Self { child, dir };
        let begun = Instant::now();
        while UnixStream::connect(bird.dir.join("bird.sock")).is_err() {
            assert!(begun.elapsed() < PATIENCE, "BIRD does not start: {}", bird.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(bird)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("bird.log")).unwrap_or_default()
    }

    /// What BIRD answers on its control socket. Lines of an answer's last kind begin with a code and a space.
    fn ask(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.dir.join("bird.sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 4096];
        let ended = |answer: &str| {
            let last =
                |l: &&str| l.len() > 4 && l.as_bytes()[..4].iter().all(u8::is_ascii_digit) && &l[4..5] == " ";
            // The greeting is such a line too.
            answer.ends_with('\n') && answer.lines().filter(last).count() >= 2
        };
        while !ended(&answer) {
            let n = socket.read(&mut buffer).unwrap();
            assert_ne!(n, 0, "BIRD ended its answer: {answer}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        answer
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        if !std::thread::panicking() {
            let _removed = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join("bird")).find(|p: &PathBuf| Path::exists(p))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The simplest driver there can be: one thread, one connection, blocking reads that end soon.
struct Driver {
    session: Session,
    peer: SocketAddr,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    begun: Instant,
    events: Vec<Event>,
}

impl Driver {
    fn new(config: SessionConfig, peer_port: u16, listener: Option<TcpListener>) -> Self {
        if let Some(listener) = &listener {
            listener.set_nonblocking(true).unwrap();
        }
        let mut driver = Self {
            session: Session::new(config, Duration::ZERO).unwrap(),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, peer_port)),
            listener,
            stream: None,
            begun: Instant::now(),
            events: Vec::new(),
        };
        driver.step(Input::Start);
        driver
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.session.step(self.now(), input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Close => self.stream = None,
                Output::Send(octets) => {
                    if let Some(stream) = &mut self.stream
                        && let Err(error) = stream.write_all(&octets)
                    {
                        self.stream = None;
                        return self.step(Input::Closed { why: &error.to_string() });
                    }
                }
                Output::Connect => match TcpStream::connect_timeout(&self.peer, PATIENCE) {
                    Ok(stream) => self.adopt(stream),
                    Err(error) => self.step(Input::ConnectFailed { why: &error.to_string() }),
                },
            }
        }
    }

    fn adopt(&mut self, stream: TcpStream) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        self.stream = Some(stream);
        self.step(Input::Connected);
    }

    fn turn(&mut self) {
        if let Some(listener) = &self.listener
            && let Ok((mut stream, _)) = listener.accept()
        {
            if self.session.accepts_connection() {
                self.adopt(stream);
            } else {
                let _sent = stream.write_all(&Session::rejection());
            }
        }
        let mut buffer = [0; 4096];
        match self.stream.as_mut().map(|stream| stream.read(&mut buffer)) {
            None => std::thread::sleep(Duration::from_millis(5)),
            Some(Ok(0)) => {
                self.stream = None;
                self.step(Input::Closed { why: "end of stream" });
            }
            Some(Ok(n)) => self.step(Input::Received(&buffer[..n])),
            Some(Err(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Some(Err(error)) => {
                self.stream = None;
                self.step(Input::Closed { why: &error.to_string() });
            }
        }
        self.step(Input::Tick);
    }

    /// Goes on until the condition holds.
    #[track_caller]
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what} never happened: {:#?}", self.events);
            self.turn();
        }
    }

    fn announce(&mut self, routes: impl IntoIterator<Item = pharos_routing::Route>) {
        let mut out = Vec::new();
        self.session.set_routes(self.now(), routes, &mut out).unwrap();
        self.carry_out(out);
    }

    fn changes(&self) -> Vec<String> {
        let words = |e: &Event| match e {
            Event::Route(change) => Some(change.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(words).collect()
    }
}

fn node() -> SessionConfig {
    SessionConfig::new(64512, 64500, Ipv4Addr::new(10, 0, 0, 2))
}

/// BIRD as a passive router on this port, with these lines more in its session.
fn passive_router(port: u16, more: &str) -> String {
    format!(
        "log stderr all;
         router id 10.0.0.1;
         protocol device {{ disabled; }}
         protocol bgp node {{
           local 127.0.0.1 port {port} as 64500;
           neighbor 127.0.0.1 as 64512;
           multihop; passive; hold time 30;
           ipv4 {{ import all; export none; }};
           ipv6 {{ import all; export none; }};
           {more}
         }}"
    )
}

#[test]
fn bird_imports_what_the_node_announces_and_forgets_what_it_withdraws() {
    let port = free_port();
    let Some(bird) = Bird::start("import", &passive_router(port, "")) else { return };
    let mut driver = Driver::new(node(), port, None);
    let mut tagged = route("192.0.2.0/24");
    tagged.prepends = 1;
    tagged.med = Some(50);
    tagged.communities = vec![Community::new(64512, 53), Community::NO_EXPORT];
    driver.announce([tagged, route("2001:db8:53::/48")]);
    driver.until("the session", |d| d.session.state() == State::Established);

    let negotiated = *driver.session.negotiated().unwrap();
    assert_eq!((negotiated.hold_time, negotiated.families), (Duration::from_secs(9), Families::BOTH));
    driver.until("the import", |_| {
        let routes = bird.ask("show route all");
        routes.contains("192.0.2.0/24") && routes.contains("2001:db8:53::/48")
    });
    let routes = bird.ask("show route all");
    for attribute in [
        "BGP.origin: IGP",
        "BGP.as_path: 64512 64512\n",
        "BGP.next_hop: 10.0.0.2",
        "BGP.med: 50",
        "BGP.community: (64512,53) (65535,65281)",
        "BGP.as_path: 64512\n",
        "BGP.next_hop: fd00::2",
    ] {
        assert!(routes.contains(attribute), "{attribute} is not in {routes}");
    }

    driver.announce([route("192.0.2.0/24")]);
    driver.until("the withdrawal", |_| !bird.ask("show route all").contains("2001:db8:53::/48"));
    driver.until("the new attributes", |_| !bird.ask("show route all").contains("BGP.med"));

    bird.ask("reload in node");
    for family in [Family::Ipv4, Family::Ipv6] {
        driver.until("the refresh", |d| d.events.contains(&Event::RefreshRequested(family)));
    }
    assert!(bird.ask("show route").contains("192.0.2.0/24"));

    driver.step(stop("Wartung in Köln"));
    driver.until("the shutdown", |_| bird.log().contains("Administrative shutdown"));
    assert!(bird.log().contains("Wartung in Köln"), "{}", bird.log());
    driver.until("the route's end", |_| !bird.ask("show route").contains("192.0.2.0/24"));
    assert!(!bird.log().contains("<BUG>") && !bird.log().contains("Invalid"), "{}", bird.log());
}

#[test]
fn a_session_with_bird_outlives_many_keepalives_and_comes_back_after_its_restart() {
    let port = free_port();
    let config = passive_router(port, "");
    let Some(bird) = Bird::start("restart", &config) else { return };
    let mut settings = node();
    settings.hold_time = Duration::from_secs(3);
    settings.connect_retry = Duration::from_millis(50);
    settings.connect_retry_max = Duration::from_millis(200);
    let mut driver = Driver::new(settings, port, None);
    driver.announce([route("192.0.2.0/24")]);
    driver.until("twelve keepalives", |d| d.session.counters().messages_received > 12);
    assert_eq!(driver.session.counters().established, 1);
    drop(bird);
    driver.until("the end", |d| d.session.state() != State::Established);
    let Some(bird) = Bird::start("restart", &config) else { return };
    driver.until("the return", |_| bird.ask("show route").contains("192.0.2.0/24"));
    assert_eq!(driver.session.counters().established, 2);
}

#[test]
fn a_collector_hears_what_bird_exports_and_why_it_leaves() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = format!(
        "log stderr all;
         router id 10.0.0.1;
         protocol device {{ disabled; }}
         protocol static s4 {{ ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/24 blackhole; }}
         protocol static s6 {{ ipv6; route 2001:db8:1::/48 blackhole; }}
         protocol bgp collector {{
           local 127.0.0.1 as 4200000001;
           neighbor 127.0.0.1 port {port} as 64512;
           multihop; connect delay time 1; connect retry time 1; error wait time 1, 1;
           ipv4 {{ import none; next hop address 10.0.0.1;
             export filter {{ bgp_community.add((64500,1)); bgp_med = 7; bgp_path.prepend(4200000001); accept; }}; }};
           ipv6 {{ import none; next hop address fd00::1; export all; }};
         }}"
    );
    let Some(bird) = Bird::start("collector", &config) else { return };
    let mut settings = SessionConfig::new(64512, 4_200_000_001, Ipv4Addr::new(10, 0, 0, 2));
    settings.role = Role::Passive;
    settings.received = Received::Report;
    let mut driver = Driver::new(settings, 0, Some(listener));
    for family in [Family::Ipv4, Family::Ipv6] {
        driver.until("the end of the RIB", |d| d.events.contains(&Event::EndOfRib(family)));
    }
    let mut changes = driver.changes();
    changes.sort();
    assert_eq!(
        changes,
        [
            "announced 198.51.100.0/24 via 10.0.0.1, AS path 4200000001 4200000001, MED 7, communities 64500:1",
            "announced 2001:db8:1::/48 via fd00::1, AS path 4200000001",
            "announced 203.0.113.0/24 via 10.0.0.1, AS path 4200000001 4200000001, MED 7, communities 64500:1",
        ]
    );
    bird.ask("disable s6");
    let gone = Event::Route(RouteChange::Withdrawn("2001:db8:1::/48".parse().unwrap()));
    driver.until("the withdrawal", |d| d.events.contains(&gone));
    bird.ask("disable collector \"power work, back at 04:00\"");
    driver.until("the notification", |d| d.session.state() == State::Active);
    assert_eq!(
        driver.session.last_down().unwrap().to_string(),
        "the neighbour ended the session: Cease/Administrative Shutdown (6/2): \u{201c}power work, back at 04:00\u{201d}"
    );
    bird.ask("enable collector");
    driver.until("the return", |d| d.session.state() == State::Established);
    let faults: Vec<_> = driver.events.iter().filter(|e| matches!(e, Event::Tolerated(_))).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_bird_of_two_octet_as_numbers_reads_the_path_too() {
    let port = free_port();
    let Some(bird) = Bird::start("as2", &passive_router(port, "enable as4 off;")) else { return };
    let mut driver = Driver::new(node(), port, None);
    let mut prepended = route("192.0.2.0/24");
    prepended.prepends = 3;
    driver.announce([prepended]);
    driver.until("the import", |_| bird.ask("show route").contains("192.0.2.0/24"));
    assert_eq!(driver.session.negotiated().unwrap().as_numbers, AsNumbers::TwoOctet);
    let routes = bird.ask("show route all");
    assert!(routes.contains("BGP.as_path: 64512 64512 64512 64512\n"), "{routes}");
}

#[test]
fn bird_refuses_a_wrong_as_in_words_that_reach_the_operator() {
    let port = free_port();
    let Some(_bird) = Bird::start("wrongas", &passive_router(port, "")) else { return };
    let mut settings = node();
    settings.local_as = 64999;
    let mut driver = Driver::new(settings, port, None);
    // BIRD may not listen yet at the first attempts.
    let expected = "the neighbour ended the session: OPEN Message Error/Bad Peer AS (2/2)";
    driver.until("the refusal", |d| d.session.last_down().is_some_and(|cause| cause.to_string() == expected));
}
