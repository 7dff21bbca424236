//! A router that keeps what it is told: a BGP session of our own in `Report` mode over a blocking socket.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pharos_routing::Families;
use pharos_routing::bgp::{
    Event, Input, Output, Received, ReceivedRoute, Role, RouteChange, Session, SessionConfig,
};

/// What the router saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The routes that it has at present, by prefix.
    pub(crate) table: BTreeMap<String, ReceivedRoute>,
    /// All events, as text.
    pub(crate) log: Vec<String>,
}

/// A running router; it vanishes without a word when it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// A router that waits for the sidecar.
    pub(crate) fn passive() -> Self {
        Self::passive_for(Families::BOTH)
    }

    /// A router that takes routes of some families only.
    pub(crate) fn passive_for(families: Families) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        Self::run(Role::Passive, families, address, Some(listener))
    }

    /// A router that waits for the sidecar, and whose kernel takes as few octets as it can before the router reads them.
    pub(crate) fn narrow() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        // Connections inherit it.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 1).unwrap();
        let address = listener.local_addr().unwrap();
        Self::run(Role::Passive, Families::BOTH, address, Some(listener))
    }

    /// A router that connects to the sidecar.
    pub(crate) fn active(sidecar: SocketAddr) -> Self {
        Self::run(Role::Active, Families::BOTH, sidecar, None)
    }

    fn run(role: Role, families: Families, address: SocketAddr, listener: Option<TcpListener>) -> Self {
        let mut config = SessionConfig::new(64500, 64512, Ipv4Addr::new(10, 0, 0, 1));
        config.role = role;
        config.families = families;
        config.received = Received::Report;
        // The sidecar's is no longer, unless the test says so.
        config.hold_time = Duration::from_secs(90);
        config.connect_retry = Duration::from_millis(20);
        if let Some(listener) = &listener {
            listener.set_nonblocking(true).unwrap();
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let driver = Driver {
            session: Session::new(config, Duration::ZERO).unwrap(),
            start: Instant::now(),
            address,
            listener,
            stream: None,
            seen: Arc::clone(&seen),
        };
        let deaf = Arc::new(AtomicBool::new(false));
        let (stopped, deafened) = (Arc::clone(&stop), Arc::clone(&deaf));
        let thread = std::thread::spawn(move || driver.drive(&stopped, &deafened));
        Self { address, seen, stop, deaf, thread: Some(thread) }
    }

    /// Whether it reads nothing, although it says that it lives.
    pub(crate) fn be_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Looks at what was seen.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    pub(crate) fn knows(&self, prefix: &str) -> Option<ReceivedRoute> {
        self.see(|seen| seen.table.get(prefix).cloned())
    }

    pub(crate) fn until_known(&self, prefix: &str) -> ReceivedRoute {
        super::until(&format!("the router knows {prefix}"), || self.knows(prefix))
    }

    pub(crate) fn until_gone(&self, prefix: &str) {
        super::until(&format!("the router has forgotten {prefix}"), || {
            self.knows(prefix).is_none().then_some(())
        });
    }

    /// The communities of a known route, as text.
    pub(crate) fn communities(&self, prefix: &str) -> Vec<String> {
        let route = self.knows(prefix).unwrap();
        route.communities.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Driver {
    session: Session,
    start: Instant,
    address: SocketAddr,
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    seen: Arc<Mutex<Seen>>,
}

impl Driver {
    fn drive(mut self, stop: &AtomicBool, deaf: &AtomicBool) {
        self.step(Input::Start);
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::Relaxed) {
            if self.session.accepts_connection()
                && let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept)
            {
                self.connected(stream);
            }
            let reads = !deaf.load(Ordering::Relaxed);
            match self.stream.as_mut().filter(|_| reads).map(|stream| stream.read(&mut buffer)) {
                Some(Ok(0)) => self.closed("closed"),
                Some(Ok(count)) => self.step(Input::Received(&buffer[..count])),
                Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Some(Err(error)) => self.closed(&error.to_string()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            self.step(Input::Tick);
        }
    }

    fn connected(&mut self, stream: TcpStream) {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        self.stream = Some(stream);
        self.step(Input::Connected);
    }

    fn closed(&mut self, why: &str) {
        self.stream = None;
        self.step(Input::Closed { why });
    }

    fn step(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.session.step(self.start.elapsed(), input, &mut outputs);
        for output in outputs {
            match output {
                Output::Connect => match TcpStream::connect_timeout(&self.address, Duration::from_secs(5)) {
                    Ok(stream) => self.connected(stream),
                    Err(error) => self.step(Input::ConnectFailed { why: &error.to_string() }),
                },
                Output::Send(octets) => {
                    if let Some(stream) = &mut self.stream {
                        let _ = stream.write_all(&octets);
                    }
                }
                Output::Close => self.stream = None,
                Output::Event(event) => self.note(&event),
            }
        }
    }

    fn note(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap();
        match event {
            Event::Route(change) => {
                seen.log.push(change.to_string());
                match change {
                    RouteChange::Announced(route) => {
                        seen.table.insert(route.prefix.to_string(), route.clone());
                    }
                    RouteChange::Withdrawn(prefix) => {
                        seen.table.remove(&prefix.to_string());
                    }
                }
            }
            Event::Down(cause) => {
                seen.table.clear();
                seen.log.push(format!("down: {cause}"));
            }
            other => seen.log.push(format!("{other:?}")),
        }
    }
}
