//! What a lab is built from: how many nodes and routers, and how their configurations differ from the shipped ones.
//!
//! Every configuration begins as the file of `deploy/` and is changed by named edits alone, each of which must find
//! what it replaces: so a scenario says in so many words how it departs from what operators are given.

use pharos_testkit::peers::Peer;

/// A departure from a shipped file: this text, wherever it stands, becomes that.
pub type Edit = (&'static str, &'static str);

/// Which daemon the POPs' routers run; the transit router is always BIRD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterKind {
    /// BIRD with the files of `deploy/bird/`.
    Bird,
    /// FRR with the file of `deploy/frr/`.
    Frr,
}

/// What the transit network makes of communities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitPolicy {
    /// GRACEFUL_SHUTDOWN (65535:0, RFC 8326) makes a route the last choice.
    HonoursShutdown,
    /// Every community goes, MED and origin too: the customer's preference is all that counts.
    StripsEverything,
}

/// How the transit network takes it when the session with a POP breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitHelp {
    /// The routes go with the session.
    Off,
    /// The POP's routers ask for graceful restart, and the transit router keeps their routes meanwhile (RFC 4724).
    GracefulRestart,
    /// The same for five seconds, and then as routes of last resort for an hour (RFC 9494).
    LongLived,
}

/// Whether the POPs have a link of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backbone {
    /// Islands: who loses its node's route has none.
    None,
    /// The POPs' routers are joined by a link with IBGP, as the local preferences of `deploy/` assume: who loses its
    /// node's route, or finds it less preferred, sends traffic to the other POP.
    Ibgp,
}

/// Who speaks BGP with the POP's router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The sidecar itself.
    Own,
    /// A BIRD on the node, with `deploy/bird/pharos-node.conf`, told by the announcers `bird` and `lease`.
    LocalBird,
}

/// Who answers at the nodes of ams; at those of fra Pharos does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Our responder.
    Pharos,
    /// Another name server, which the sidecar watches from outside.
    Other(Peer),
}

/// Where the processes of a node write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// The machine's.
    Roomy,
    /// At the first node of ams, file systems of a few megabytes each for state and images, which a scenario can fill.
    Small,
}

/// What clients ask over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpLoad {
    /// Forty connections a second, each with one query.
    Connections,
    /// The same, and 5,200 queries a second over connections that stay open.
    Streams,
}

/// A lab before it is built.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Daemon of the POPs' routers.
    pub routers: RouterKind,
    /// Nodes of the POP ams, which share its router by ECMP; fra has one.
    pub ams_nodes: u8,
    /// Routers of the POP ams, each with a session with every node; fra has one.
    pub ams_routers: u8,
    /// What the transit network makes of communities.
    pub transit: TransitPolicy,
    /// Whether it helps a restarting router.
    pub help: TransitHelp,
    /// Whether the POPs have a link of their own.
    pub backbone: Backbone,
    /// Who speaks BGP at every node.
    pub speaker: Speaker,
    /// Who answers at the nodes of ams.
    pub server: Server,
    /// Where the first node of ams writes.
    pub disk: Disk,
    /// Departures from `deploy/pharos.yaml`, at every node.
    pub pharos: Vec<Edit>,
    /// Departures from `deploy/site.yaml`, at every node.
    pub site: Vec<Edit>,
    /// Departures from `deploy/bird/pharos.conf`, at every router of the POPs.
    pub bird: Vec<Edit>,
    /// Whether the processes of ams run with a clock that the lab can move.
    pub clock: ClockKind,
    /// What clients ask over TCP, beside 5,200 queries a second over UDP.
    pub tcp: TcpLoad,
}

/// Which wall clock the processes of ams see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockKind {
    /// The machine's.
    Real,
    /// The machine's and an offset, given by a library that stands before the C library's `clock_gettime`.
    Shifted,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            routers: RouterKind::Bird,
            ams_nodes: 1,
            ams_routers: 1,
            transit: TransitPolicy::HonoursShutdown,
            help: TransitHelp::Off,
            backbone: Backbone::None,
            speaker: Speaker::Own,
            server: Server::Pharos,
            disk: Disk::Roomy,
            pharos: Vec::new(),
            site: Vec::new(),
            bird: Vec::new(),
            clock: ClockKind::Real,
            tcp: TcpLoad::Connections,
        }
    }
}

/// Applies `edits` to `text`.
///
/// # Panics
/// If one of them finds nothing to replace: then the shipped file has changed, and the scenario would not do what it
/// says.
pub fn edited(text: &str, edits: &[Edit]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing to replace with {to:?}: no {from:?} in the shipped file");
        text.replace(from, to)
    })
}
