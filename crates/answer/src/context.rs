//! What an answer depends on besides the query and the zones.

use std::time::Duration;

use pharos_wire::edns::MIN_PAYLOAD;

/// How the query came, and so how long a reply may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One datagram: the reply's size is bounded by client and server (RFC 6891 §6.2.5).
    Udp,
    /// A stream: 65,535 octets (RFC 1035 §4.2.2).
    Tcp,
}

/// What a query for type ANY gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AnyPolicy {
    /// One RRset of the name (RFC 8482 §4.1): large answers to small queries serve attackers most.
    #[default]
    Minimal,
    /// All RRsets of the name.
    Full,
}

/// The most octets of an identity that is told to clients.
pub const NSID_MAX: usize = 128;

/// The settings of a node, the same for all queries of one transport.
#[derive(Clone, Debug)]
pub struct Context {
    transport: Transport,
    udp_payload: u16,
    identity: Box<[u8]>,
    any: AnyPolicy,
    keepalive: Duration,
}

impl Context {
    /// Settings for queries that come by `transport`, with replies of at most `udp_payload` octets over UDP (512
    /// at least) and `identity` as NSID (RFC 5001) and `id.server` (RFC 4892), cut at [`NSID_MAX`] octets.
    pub fn new(transport: Transport, udp_payload: u16, identity: &str, any: AnyPolicy) -> Self {
        let identity = identity.as_bytes();
        Self {
            transport,
            udp_payload: udp_payload.max(MIN_PAYLOAD),
            identity: identity.get(..NSID_MAX).unwrap_or(identity).into(),
            any,
            keepalive: Duration::ZERO,
        }
    }

    /// The same settings for another transport.
    #[must_use]
    pub fn over(&self, transport: Transport) -> Self {
        Self { transport, ..self.clone() }
    }

    /// Tells how long an idle connection is kept, from now on: said to TCP clients that ask (RFC 7828).
    pub fn set_keepalive(&mut self, idle: Duration) {
        self.keepalive = idle;
    }

    /// How long an idle connection is kept, in the option's units of 100 ms.
    #[inline]
    pub(crate) fn keepalive_units(&self) -> u16 {
        u16::try_from(self.keepalive.as_millis() / 100).unwrap_or(u16::MAX)
    }

    /// How queries come.
    #[inline]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The largest UDP reply that this server sends; also what its OPT records advertise.
    #[inline]
    pub fn udp_payload(&self) -> u16 {
        self.udp_payload
    }

    /// Who answers.
    #[inline]
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// What ANY gets.
    #[inline]
    pub fn any(&self) -> AnyPolicy {
        self.any
    }
}
