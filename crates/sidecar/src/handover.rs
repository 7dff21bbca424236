//! A planned restart that no neighbour notices: one process leaves its sessions to the next.
//!
//! ```text
//!   this process                          the next one
//!   drives everything                     reads its configuration, opens what it needs
//!   Handle::offer: drivers let go, ───────► Predecessor::read, Sidecar::prepare
//!     BFD gives signs of life only              │ nothing has been touched yet
//!   Handle::recall, if that fails ◄────────── "mine", or its end
//!   ends without a word ──── "yours" ─────► Prepared::begin: resumes as it was
//!   has ended ────────────────────────────► Handle::alone: files and daemons, too
//! ```
//!
//! An [`Estate`] is a text and open sockets: of every established session with what its neighbour was told and the part of
//! a message that has come, of BFD, of the listeners, and whatever the caller adds. With the sockets stay their options:
//! the MD5 key, the TTL check. The policy goes over with all that it has learnt, by the same clock, so that the levels
//! in force and the hold-downs that run are what they were. Nothing that has arrived is lost: who lets go reads no more,
//! and what the kernel has not been given is handed over.
//!
//! Up to "yours" the next process only looks: whatever happens to it before, this one takes its sessions back and goes on.
//! No neighbour misses it meanwhile, for [`HELD_AT_MOST`] is less than what is left of any hold time after a KEEPALIVE,
//! and BFD packets go on.
//!
//! A session whose settings have changed is not gone on with: it ends with Cease/Other Configuration Change and begins
//! anew. One whose neighbour is no longer configured ends with Cease/Peer De-configured.
//!
//! Other announcers have no sessions: their routes stay as they are, and the next process finds them so, and withdraws them
//! when it must. What it could not withdraw, because its configuration has that announcer or that prefix no longer, would
//! stay for good; so it refuses then (module `holder`), and the process before goes on.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use pharos_netio::handover::moment;
use pharos_routing::{bfd, bgp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::config::{Config, NeighbourConfig, Role};
use crate::keeper::{Keeper, Known};

mod ending;
mod holder;

pub(crate) use ending::Ending;
pub(crate) use holder::Holder;

/// The form of what is handed over. Another one is not read: the next process says so and ends, and this one goes on.
pub const VERSION: u32 = 1;

/// How long sessions may be without anybody who drives them before this process takes them back: with a third of the
/// shortest hold time before it (3 s, RFC 4271 §4.2), the neighbour still waits.
pub const HELD_AT_MOST: Duration = Duration::from_millis(1500);

/// How long the drivers may take to let go: no I/O is in it.
const LETTING_GO: Duration = Duration::from_millis(500);

/// Why nothing is handed over.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// There is nothing that a neighbour would miss.
    #[error("there is nothing to hand over: {0}")]
    Nothing(&'static str),
    /// A driver hangs.
    #[error("the sessions were not let go within {LETTING_GO:?}; they go on here")]
    Stuck,
    /// The predecessor has another form.
    #[error(
        "the process before hands over form {theirs}, and this version of pharos reads form {VERSION}: \
         a restart between them withdraws the routes"
    )]
    Version {
        /// What it hands over.
        theirs: u32,
    },
    /// The predecessor's state makes no sense.
    #[error("what the process before hands over is not understood: {0}")]
    State(String),
}

/// The text of an estate.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    /// The moment by the clock of all processes.
    moment: Duration,
    #[serde(flatten)]
    known: Known,
    sessions: Vec<SessionState>,
    bfd: Vec<BfdState>,
    /// Who else may hold routes of ours.
    #[serde(default)]
    announcers: Vec<Holder>,
    /// What the descriptors are, in their order.
    sockets: Vec<Socket>,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Socket {
    /// The connection with a neighbour.
    Session(String),
    /// Where neighbours connect to.
    Listener(SocketAddr),
    /// Where BFD packets come in.
    BfdReceiver(SocketAddr),
    /// Where those for a neighbour go out.
    BfdSender(String),
    /// The caller knows.
    Callers(String),
}

/// One established session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionState {
    pub(crate) name: String,
    /// What must be the same for it to go on.
    pub(crate) identity: String,
    pub(crate) unsent: Vec<u8>,
    pub(crate) snapshot: bgp::Snapshot,
}

/// One BFD session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BfdState {
    pub(crate) name: String,
    pub(crate) snapshot: bfd::Snapshot,
}

/// What one part of the sidecar hands over.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) session: Option<SessionState>,
    pub(crate) bfd: Vec<BfdState>,
    pub(crate) sockets: Vec<(Socket, OwnedFd)>,
}

/// The order to let go, and where the parts go. While it stands, nobody touches a session.
#[derive(Clone, Debug)]
pub(crate) struct Order(mpsc::UnboundedSender<Part>);

impl Order {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Part>) {
        let (sender, parts) = mpsc::unbounded_channel();
        (Self(sender), parts)
    }

    /// Whether it is the very same order.
    fn is(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Waits until this order stands no longer; another one may by then.
    pub(crate) async fn over(&self, orders: &mut watch::Receiver<Option<Self>>) {
        let stands = |now: &Option<Self>| now.as_ref().is_some_and(|now| now.is(self));
        // The keeper, which gives orders, outlives everybody who obeys them.
        let _ = orders.wait_for(|now| !stands(now)).await;
    }

    pub(crate) fn give(&self, part: Part) {
        // Nobody waits any more where it took too long.
        let _ = self.0.send(part);
    }
}

/// Waits for an order to let go.
pub(crate) async fn ordered(orders: &mut watch::Receiver<Option<Order>>) -> Option<Order> {
    orders.wait_for(Option::is_some).await.ok()?.clone()
}

/// Everything that the next process needs, as it was at one moment.
#[derive(Debug)]
pub struct Estate {
    state: State,
    descriptors: Vec<OwnedFd>,
}

impl Estate {
    /// Waits for so many parts, then adds what the keeper knows.
    pub(crate) async fn collect(
        mut parts: mpsc::UnboundedReceiver<Part>,
        count: usize,
        keeper: &Keeper,
        announcers: Vec<Holder>,
    ) -> Result<Self, HandoverError> {
        let collecting = async {
            let mut collected = Vec::new();
            while collected.len() < count {
                collected.push(parts.recv().await.ok_or(HandoverError::Stuck)?);
            }
            Ok(collected)
        };
        let collected =
            tokio::time::timeout(LETTING_GO, collecting).await.unwrap_or(Err(HandoverError::Stuck))?;
        let known = keeper.left();
        let mut state = State {
            version: VERSION,
            moment: moment(),
            known,
            sessions: Vec::new(),
            bfd: Vec::new(),
            announcers,
            sockets: Vec::new(),
        };
        let mut descriptors = Vec::new();
        for part in collected {
            state.sessions.extend(part.session);
            state.bfd.extend(part.bfd);
            for (socket, descriptor) in part.sockets {
                state.sockets.push(socket);
                descriptors.push(descriptor);
            }
        }
        Ok(Self { state, descriptors })
    }

    /// Adds a socket of the caller's; the next process finds it by its name.
    pub fn add(&mut self, name: &str, socket: OwnedFd) {
        self.state.sockets.push(Socket::Callers(name.to_owned()));
        self.descriptors.push(socket);
    }

    /// How many sessions go over.
    pub fn sessions(&self) -> usize {
        self.state.sessions.len()
    }

    /// The text, for [`Predecessor::read`].
    pub fn text(&self) -> Result<Vec<u8>, HandoverError> {
        serde_json::to_vec(&self.state).map_err(|error| HandoverError::State(error.to_string()))
    }

    /// The sockets, in the order that the text has.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.descriptors.iter().map(AsFd::as_fd)
    }
}

/// What the process before leaves, as far as nobody has taken it yet.
#[derive(Debug)]
pub struct Predecessor {
    pub(crate) moment: Duration,
    pub(crate) known: Known,
    sessions: Vec<SessionState>,
    bfd: Vec<BfdState>,
    announcers: Vec<Holder>,
    sockets: Vec<(Socket, OwnedFd)>,
}

impl Predecessor {
    /// Reads what [`Estate::text`] wrote, in whatever version of this program.
    pub fn read(text: &[u8], descriptors: Vec<OwnedFd>) -> Result<Self, HandoverError> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let wrong = |error: serde_json::Error| HandoverError::State(error.to_string());
        let Form { version } = serde_json::from_slice(text).map_err(wrong)?;
        if version != VERSION {
            return Err(HandoverError::Version { theirs: version });
        }
        let State { moment, known, sessions, bfd, announcers, sockets, .. } =
            serde_json::from_slice(text).map_err(wrong)?;
        if sockets.len() != descriptors.len() {
            let what = format!("{} sockets with {} names", descriptors.len(), sockets.len());
            return Err(HandoverError::State(what));
        }
        let sockets = sockets.into_iter().zip(descriptors).collect();
        Ok(Self { moment, known, sessions, bfd, announcers, sockets })
    }

    /// What would stay announced for good, since nobody with this configuration would withdraw it: by whom, and why.
    pub(crate) fn left_up(&self, config: &Config) -> Option<String> {
        holder::left_up(&self.announcers, config)
    }

    /// A socket that the caller of [`Estate::add`] named so.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.take_socket(&Socket::Callers(name.to_owned()))
    }

    pub(crate) fn take_socket(&mut self, socket: &Socket) -> Option<OwnedFd> {
        let index = self.sockets.iter().position(|(name, _)| name == socket)?;
        Some(self.sockets.swap_remove(index).1)
    }

    /// A neighbour's session, if it is what is wanted now. One that is not stays here, to be ended.
    pub(crate) fn take_session(&mut self, name: &str, identity: &str) -> Option<Inherited> {
        let same = |session: &SessionState| session.name == name && session.identity == identity;
        let index = self.sessions.iter().position(same)?;
        let socket = self.take_socket(&Socket::Session(name.to_owned()))?;
        Some(Inherited { state: self.sessions.swap_remove(index), socket })
    }

    pub(crate) fn take_bfd(&mut self, name: &str) -> Option<(bfd::Snapshot, OwnedFd)> {
        let index = self.bfd.iter().position(|state| state.name == name)?;
        let socket = self.take_socket(&Socket::BfdSender(name.to_owned()))?;
        Some((self.bfd.swap_remove(index).snapshot, socket))
    }

    /// What nobody goes on with, to be ended once this process drives.
    pub(crate) fn rest(mut self, config: &Config) -> Vec<Ending> {
        let mut endings = Vec::new();
        for session in std::mem::take(&mut self.sessions) {
            let Some(socket) = self.take_socket(&Socket::Session(session.name.clone())) else { continue };
            let why = match config.neighbours.iter().any(|neighbour| neighbour.name() == session.name) {
                true => bgp::Farewell::Reconfigured,
                false => bgp::Farewell::Deconfigured,
            };
            endings.push(Ending::Session { session, socket, why });
        }
        for state in std::mem::take(&mut self.bfd) {
            if let Some(socket) = self.take_socket(&Socket::BfdSender(state.name.clone())) {
                endings.push(Ending::Bfd { state, socket });
            }
        }
        endings
    }
}

/// A session to go on with.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) state: SessionState,
    pub(crate) socket: OwnedFd,
}

/// What must be the same for a session to go on: who both ends are, and all that they agreed on or offered. In words of
/// its own, so that another version says the same.
pub(crate) fn identity(config: &Config, neighbour: &NeighbourConfig) -> String {
    let session = config.session(neighbour);
    let role = match neighbour.role {
        Role::Active { port } => format!("to {}", SocketAddr::new(neighbour.address, port)),
        Role::Passive { listen } => format!("from {} at {listen}", neighbour.address),
    };
    let source = neighbour.source.map_or_else(|| "any".to_owned(), |source| source.to_string());
    format!(
        "{role} source {source} as {} to {} id {} hold {} {} extended {:?} role {:?} {:?}",
        session.local_as,
        session.peer_as,
        session.router_id,
        session.hold_time.as_secs(),
        session.families,
        session.extended_next_hop,
        session.peering,
        session.peering_check,
    )
}

#[cfg(test)]
mod tests;
