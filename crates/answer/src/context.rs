//! What an answer depends on besides the query and the zones.

use std::time::Duration;

use pharos_wire::Name;
use pharos_wire::edns::MIN_PAYLOAD;

use crate::cookie::{Cookies, Require};

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

/// Who can ask, and so what is told of the server itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Audience {
    /// Everybody.
    #[default]
    Public,
    /// Those who run the server, on addresses that nobody else reaches.
    Operators,
}

/// Whether a server has more to do than it can.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pressure {
    /// It has not.
    #[default]
    Calm,
    /// Queries come faster than they are answered.
    High,
}

/// The most octets of an identity that is told to clients.
pub const NSID_MAX: usize = 128;

/// The settings of a node, the same for all queries of one transport; and the little that moves.
#[derive(Clone, Debug)]
pub struct Context {
    transport: Transport,
    udp_payload: u16,
    identity: Box<[u8]>,
    version: Box<[u8]>,
    audience: Audience,
    any: AnyPolicy,
    keepalive: Duration,
    cookies: Option<Cookies>,
    report_agent: Option<Name>,
    unix_seconds: u32,
    pressure: Pressure,
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
            version: Box::default(),
            audience: Audience::Public,
            any,
            keepalive: Duration::ZERO,
            cookies: None,
            report_agent: None,
            unix_seconds: 0,
            pressure: Pressure::Calm,
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

    /// Tells this version from now on to whoever asks for `version.bind` or `version.server`; none if it is empty.
    pub fn set_version(&mut self, version: &str) {
        self.version = version.as_bytes().into();
    }

    /// Speaks to these from now on.
    pub fn set_audience(&mut self, audience: Audience) {
        self.audience = audience;
    }

    /// Serves cookies from now on, or none: then the option is passed over like any unknown one. [`Self::turn`] must
    /// be called from time to time.
    pub fn set_cookies(&mut self, cookies: Option<Cookies>) {
        self.cookies = cookies;
    }

    /// Names the agent to whom resolvers may report what fails (RFC 9567), in every reply with EDNS of a zone that
    /// does not hold it (§8.1). The root stands for none (§4).
    pub fn set_report_agent(&mut self, agent: Option<Name>) {
        self.report_agent = agent.filter(|agent| agent.as_wire().len() > 1);
    }

    /// Tells the time since the Unix epoch, to the second, and how much there is to do.
    pub fn turn(&mut self, since_epoch: Duration, pressure: Pressure) {
        // Cookies have 32 bits of it and compare them as serial numbers (RFC 9018 §4.3).
        self.unix_seconds = since_epoch.as_secs() as u32;
        self.pressure = pressure;
    }

    /// How cookies are made and judged, if they are served.
    #[inline]
    pub fn cookies(&self) -> Option<&Cookies> {
        self.cookies.as_ref()
    }

    /// Whether a cookie that is not valid is a reason not to answer (RFC 7873 §5.2.3).
    pub(crate) fn demands_cookies(&self) -> bool {
        let required = match self.cookies.as_ref().map(|cookies| cookies.require) {
            None | Some(Require::Never) => false,
            Some(Require::UnderPressure) => self.pressure == Pressure::High,
            Some(Require::Always) => true,
        };
        // A TCP connection proves what a cookie would, and is where a client goes that has trouble with cookies.
        required && self.transport == Transport::Udp
    }

    /// Unix time modulo 2^32.
    pub(crate) fn unix_seconds(&self) -> u32 {
        self.unix_seconds
    }

    /// To whom errors are reported.
    #[inline]
    pub fn report_agent(&self) -> Option<&Name> {
        self.report_agent.as_ref()
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

    /// What calls itself so; nothing if that is not told.
    pub(crate) fn version(&self) -> &[u8] {
        &self.version
    }

    /// Who can ask.
    pub(crate) fn audience(&self) -> Audience {
        self.audience
    }

    /// What ANY gets.
    #[inline]
    pub fn any(&self) -> AnyPolicy {
        self.any
    }
}
