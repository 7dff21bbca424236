//! Zones from text, ready to be asked.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use pharos_answer::{
    AnyPolicy, Context, Cookies, Job, Observer, Pressure, Silent, Transport, Verdict, answer, look_up,
};
use pharos_wire::Name;
use pharos_wire::hash::HashKey;
use pharos_zone::dnssec::Checks;
use pharos_zone::load::load;
use pharos_zone::scan::{Includes, Source};
use pharos_zonedb::stored::Head;
use pharos_zonedb::{ZoneImage, ZoneSet, ZoneState};

use crate::query::Ask;
use crate::reply::Reply;

/// The key of all hashes in tests and benchmarks: fixed, so that they can be repeated.
pub const KEY: HashKey = HashKey::new([0x5eed_0000_0000_0001, 0x5eed_0000_0000_0002]);

/// Whence the tests ask.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

/// Since the Unix epoch, when the tests ask.
pub const NOW: Duration = Duration::from_secs(1_800_000_000);

/// What the tests' node is called.
const IDENTITY: &str = "a.test";

/// A set of zones with the settings of a node.
#[derive(Debug)]
pub struct Served {
    set: ZoneSet,
    udp_payload: u16,
    any: AnyPolicy,
    identity: &'static str,
    cookies: Option<Cookies>,
    agent: Option<Name>,
    pressure: Pressure,
}

impl Default for Served {
    fn default() -> Self {
        Self::new()
    }
}

impl Served {
    /// No zones, and the responder's default settings.
    pub fn new() -> Self {
        Self {
            set: ZoneSet::new(KEY, []),
            udp_payload: 1232,
            any: AnyPolicy::default(),
            identity: IDENTITY,
            cookies: None,
            agent: None,
            pressure: Pressure::Calm,
        }
    }

    /// One zone from its whole text.
    pub fn one(apex: &str, text: &str) -> Self {
        Self::new().zone(apex, text)
    }

    /// One zone from the records below its apex; see [`Self::body`].
    pub fn small(apex: &str, body: &str) -> Self {
        Self::new().body(apex, body)
    }

    /// Adds a zone from its whole text, relative to the apex.
    ///
    /// # Panics
    /// When the text is refused: the test is wrong then, and the message shows where.
    #[must_use]
    pub fn zone(self, apex: &str, text: &str) -> Self {
        let name = name(apex);
        let source = Source { path: Path::new(apex), octets: text.as_bytes(), includes: Includes::Refused };
        let loaded = load(&name, source, KEY, &Checks::LENIENT, &mut |_| {})
            .unwrap_or_else(|error| panic!("zone {apex}\n{error}"));
        self.with(name, ZoneState::Live(loaded.image.into()))
    }

    /// Adds a zone from `body`, its records behind `$TTL 3600`, the SOA
    /// `ns.invalid. hostmaster.invalid. 1 7200 1800 1209600 300` and the name server `ns.invalid.`, which are
    /// given. So denials have the TTL 300.
    #[must_use]
    pub fn body(self, apex: &str, body: &str) -> Self {
        let head =
            "$TTL 3600\n@ SOA ns.invalid. hostmaster.invalid. 1 7200 1800 1209600 300\n@ NS ns.invalid.\n";
        self.zone(apex, &format!("{head}{body}"))
    }

    /// Adds a zone that is configured and has never been loaded.
    #[must_use]
    pub fn not_loaded(self, apex: &str) -> Self {
        self.with(name(apex), ZoneState::NotLoaded)
    }

    /// The same zones, each read from what was written of its image.
    ///
    /// # Panics
    /// When an image is not read as it was written.
    #[must_use]
    pub fn stored(&self) -> ZoneSet {
        let again = |image: &ZoneImage| {
            let mut octets = Vec::new();
            // Writing to memory cannot fail.
            let _ = image.write_to(KEY, b"", &mut octets);
            let mut input = &octets[..];
            let read = Head::read_from(&[KEY], &mut input).and_then(|(head, read)| {
                ZoneImage::read_from(&head, octets.len() as u64 - read, &mut input, |_| ())
            });
            read.unwrap_or_else(|error| panic!("{}: {error}", image.apex()))
        };
        let zones = self.set.zones().map(|(name, state)| match state {
            ZoneState::Live(image) => (name, ZoneState::Live(again(image).into())),
            ZoneState::NotLoaded => (name, ZoneState::NotLoaded),
        });
        ZoneSet::new(KEY, zones)
    }

    /// The same server with other zones.
    #[must_use]
    pub fn with_set(&self, set: ZoneSet) -> Self {
        Self {
            set,
            udp_payload: self.udp_payload,
            any: self.any,
            identity: self.identity,
            cookies: self.cookies.clone(),
            agent: self.agent,
            pressure: self.pressure,
        }
    }

    /// The same zones with another bound on UDP replies, in octets.
    #[must_use]
    pub fn udp_payload(self, udp_payload: u16) -> Self {
        Self { udp_payload, ..self }
    }

    /// The same zones with another policy for type ANY.
    #[must_use]
    pub fn any(self, any: AnyPolicy) -> Self {
        Self { any, ..self }
    }

    /// The same zones under another identity; an empty one is told to nobody.
    #[must_use]
    pub fn identity(self, identity: &'static str) -> Self {
        Self { identity, ..self }
    }

    /// The same zones by a server with cookies.
    #[must_use]
    pub fn cookies(self, cookies: Cookies) -> Self {
        Self { cookies: Some(cookies), ..self }
    }

    /// The same zones, whose errors are reported to this name.
    #[must_use]
    pub fn report_agent(self, agent: &str) -> Self {
        Self { agent: Some(name(agent)), ..self }
    }

    /// The same zones under this much pressure.
    #[must_use]
    pub fn pressure(self, pressure: Pressure) -> Self {
        Self { pressure, ..self }
    }

    /// The zones.
    pub fn set(&self) -> &ZoneSet {
        &self.set
    }

    /// The settings for queries that come by `transport`.
    pub fn context(&self, transport: Transport) -> Context {
        let mut context = Context::new(transport, self.udp_payload, self.identity, self.any);
        context.set_cookies(self.cookies.clone());
        context.set_report_agent(self.agent);
        context.turn(NOW, self.pressure);
        context
    }

    /// Asks and reads the reply.
    ///
    /// # Panics
    /// When there is no reply, when it cannot be read, or when it does not match the query (RFC 1035 §4.1.1).
    pub fn ask(&self, ask: &Ask) -> Reply {
        self.ask_observed(ask, &mut Silent)
    }

    /// Asks for a name and type over UDP, without EDNS.
    pub fn query(&self, qname: &str, qtype: pharos_wire::Rtype) -> Reply {
        self.ask(&Ask::new(qname, qtype))
    }

    /// Asks with somebody looking on.
    ///
    /// # Panics
    /// As [`Self::ask`] does.
    pub fn ask_observed(&self, ask: &Ask, observer: &mut impl Observer) -> Reply {
        let message = ask.octets();
        let mut out = vec![0xaa; 65_535];
        let context = self.context(ask.transport());
        let verdict = answer(&mut Job::default(), &self.set, &context, CLIENT, &message, &mut out, observer);
        let Verdict::Reply(replied) = verdict else { panic!("{ask:?}: {verdict:?}") };
        assert!(
            self.in_passes(&context, &message) == (verdict, out[..replied.len].to_vec()),
            "{ask:?}: in passes it is answered otherwise"
        );
        let reply = Reply::read(&out[..replied.len], replied)
            .unwrap_or_else(|fault| panic!("{ask:?}: {fault}: {:02x?}", &out[..replied.len]));
        reply.check_against(&message);
        reply
    }

    /// The verdict on a message and its reply, as it is answered among others.
    fn in_passes(&self, context: &Context, message: &[u8]) -> (Verdict, Vec<u8>) {
        let mut jobs = [Job::default(), Job::default()];
        let mut out = vec![0x55; 65_535];
        look_up(&mut jobs, &self.set, |_| message);
        let verdict = jobs[1].write(&self.set, context, CLIENT, message, &mut out, &mut Silent);
        if let Verdict::Reply(replied) = verdict {
            out.truncate(replied.len);
        }
        (verdict, out)
    }

    /// The verdict on any octets, without a look at the reply.
    pub fn verdict(&self, transport: Transport, message: &[u8]) -> Verdict {
        let (context, mut out) = (self.context(transport), vec![0; 65_535]);
        answer(&mut Job::default(), &self.set, &context, CLIENT, message, &mut out, &mut Silent)
    }

    fn with(self, name: Name, state: ZoneState) -> Self {
        let zones = self.set.zones().map(|(name, state)| (name, state.clone()));
        let zones: Vec<_> = zones.chain([(name.as_wire(), state)]).collect();
        Self { set: ZoneSet::new(KEY, zones), ..self }
    }
}

/// A name from text that the test wrote.
pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}
