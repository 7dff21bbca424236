//! The demo's route collector: the far end of the sidecar's BGP session.
//!
//! A passive [`Session`] that reports what it is told and announces nothing, with one TCP connection at a time.
//! It stands in for a router, so that the demo shows routes as a neighbour sees them, not as the sidecar
//! believes them to be. Nothing else uses it.

use pharos_routing::Families;
use pharos_routing::bgp::{
    ConfigError, Event, Input, Output, Received, Role, RouteChange, Session, SessionConfig, Shutdown,
    ShutdownKind,
};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The collector's AS number, from those for documentation (RFC 5398).
pub(super) const COLLECTOR_AS: u32 = 64496;

/// What the collector saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The session is up.
    Up,
    /// A route came or went.
    Route(RouteChange),
    /// The session is over, with the reason; all its routes are gone.
    Down(String),
}

/// The settings of the collector's end of the session with `peer_as`.
fn config(peer_as: u32) -> SessionConfig {
    let mut config = SessionConfig::new(COLLECTOR_AS, peer_as, Ipv4Addr::new(192, 0, 2, 255));
    config.role = Role::Passive;
    config.received = Received::Report;
    config.families = Families::BOTH;
    config
}

/// A transport that takes nothing for this long is broken: both ends are in one process.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// Runs the collector until `stop` becomes true, then ends the session with a Cease.
pub(super) async fn run(
    listener: TcpListener,
    peer_as: u32,
    seen: mpsc::Sender<Seen>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ConfigError> {
    let origin = Instant::now();
    let session = Session::new(config(peer_as), Duration::ZERO)?;
    let mut collector = Collector { origin, session, connection: None, seen };
    collector.input(Input::Start).await;
    let mut octets = vec![0; 4096];
    loop {
        // An hour stands for "never": a wake-up without cause does nothing.
        let deadline =
            collector.session.next_deadline().unwrap_or(origin.elapsed() + Duration::from_secs(3600));
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => collector.accept(stream).await,
                // Out of descriptors, as a rule.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            read = read(&mut collector.connection, &mut octets) => match read {
                Ok(0) => collector.lost("end of stream").await,
                Ok(count) => {
                    collector.input(Input::Received(octets.get(..count).unwrap_or_default())).await;
                }
                Err(error) => collector.lost(&error.to_string()).await,
            },
            () = tokio::time::sleep_until(origin + deadline) => collector.input(Input::Tick).await,
            () = stopped(&mut stop) => {
                let words = Shutdown::new(ShutdownKind::Shutdown, "the demo is over");
                collector.input(Input::Stop(words)).await;
                return Ok(());
            }
        }
    }
}

/// Returns when the collector must end, or when nobody can tell it to any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Waits for ever when there is no connection.
async fn read(connection: &mut Option<TcpStream>, octets: &mut [u8]) -> std::io::Result<usize> {
    match connection {
        Some(stream) => stream.read(octets).await,
        None => std::future::pending().await,
    }
}

struct Collector {
    origin: Instant,
    session: Session,
    connection: Option<TcpStream>,
    seen: mpsc::Sender<Seen>,
}

impl Collector {
    async fn accept(&mut self, mut stream: TcpStream) {
        if self.session.accepts_connection() {
            self.connection = Some(stream);
            self.input(Input::Connected).await;
        } else {
            let _ = stream.try_write(&Session::rejection());
            let _ = stream.shutdown().await;
        }
    }

    async fn lost(&mut self, why: &str) {
        self.connection = None;
        self.input(Input::Closed { why }).await;
    }

    /// One input and everything that follows from it: writing may fail, which is an input again.
    async fn input(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.session.step(self.origin.elapsed(), input, &mut outputs);
        let mut broken = false;
        for output in outputs {
            match output {
                Output::Connect => {}
                Output::Send(octets) => broken |= !self.write(&octets).await,
                Output::Close => {
                    if let Some(mut stream) = self.connection.take() {
                        let _ = tokio::time::timeout(WRITE_WAIT, stream.shutdown()).await;
                    }
                }
                Output::Event(event) => self.tell(event).await,
            }
        }
        if broken && self.connection.take().is_some() {
            let mut last = Vec::new();
            self.session.step(self.origin.elapsed(), Input::Closed { why: "writing failed" }, &mut last);
            for output in last {
                if let Output::Event(event) = output {
                    self.tell(event).await;
                }
            }
        }
    }

    async fn write(&mut self, octets: &[u8]) -> bool {
        let Some(stream) = &mut self.connection else { return true };
        matches!(tokio::time::timeout(WRITE_WAIT, stream.write_all(octets)).await, Ok(Ok(())))
    }

    async fn tell(&self, event: Event) {
        let seen = match event {
            Event::Established(_) => Seen::Up,
            Event::Route(change) => Seen::Route(change),
            Event::Down(cause) => Seen::Down(cause.to_string()),
            _ => return,
        };
        // Nobody listens any more only when the demo ends.
        let _ = self.seen.send(seen).await;
    }
}
