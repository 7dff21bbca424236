//! Any octets as a query, under any settings: the body of the fuzz target `query`.

use std::sync::OnceLock;

use pharos_answer::{
    AnyPolicy, Context, Cookies, Job, Kind, Pressure, Replied, Require, Secret, Silent, Transport,
    Truncation, Verdict, answer,
};
use pharos_wire::{Class, Name, Rcode, Rtype};

use crate::decode::{Cursor, Fault};
use crate::reply::{Opt, Record, Reply};
use crate::served::{CLIENT, NOW, Served, name};

const NSID: u16 = 3;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const EXTENDED_ERROR: u16 = 15;
const REPORT_CHANNEL: u16 = 18;
const ZONEVERSION: u16 = 19;

/// The zones against which stray queries are put: one with something of every kind, signed ones, and one without
/// data.
fn zones() -> &'static Served {
    static ZONES: OnceLock<Served> = OnceLock::new();
    ZONES.get_or_init(|| {
        Served::one("example.", super::VARIED)
            .not_loaded("broken.example.")
            .zone("signed.example.", include_str!("../../../../zones/signed.example.zone"))
            .zone("signed.test.", include_str!("../../../../tests/data/dnssec/nsec3/signed.test.zone"))
    })
}

/// The settings of one server.
struct Settings {
    require: Option<Require>,
    pressure: Pressure,
    agent: Option<Name>,
    udp_payload: u16,
    any: AnyPolicy,
}

impl Settings {
    /// A fuzzer chooses them by the message's identifier, which means nothing to the answer.
    fn of(message: &[u8]) -> Self {
        let choice = message.first().copied().unwrap_or(0);
        let bit = |place: u8| choice >> place & 1 == 1;
        Self {
            require: match choice & 3 {
                0 => None,
                1 => Some(Require::Never),
                2 => Some(Require::UnderPressure),
                _ => Some(Require::Always),
            },
            pressure: if bit(2) { Pressure::High } else { Pressure::Calm },
            agent: bit(3).then(|| name("reports.test.")),
            udp_payload: if bit(4) { 512 } else { 1232 },
            any: if bit(5) { AnyPolicy::Full } else { AnyPolicy::Minimal },
        }
    }

    fn context(&self, transport: Transport) -> Context {
        let mut context = Context::new(transport, self.udp_payload, "a.test", self.any);
        context.set_cookies(self.require.map(|require| Cookies {
            current: Secret::new([1; 16]),
            previous: Some(Secret::new([2; 16])),
            require,
        }));
        context.set_report_agent(self.agent);
        context.turn(NOW, self.pressure);
        context
    }

    fn demand_cookies(&self, transport: Transport) -> bool {
        let require = match self.require {
            None | Some(Require::Never) => false,
            Some(Require::UnderPressure) => self.pressure == Pressure::High,
            Some(Require::Always) => true,
        };
        require && transport == Transport::Udp
    }
}

/// Any octets as a query: a drop where nothing may be sent, else a reply that hickory-proto can read and our own
/// reader too, that repeats the identifier and the question, that is no longer than the client allows, and whose
/// options are those that the client and the settings ask for.
pub fn query(message: &[u8]) {
    let settings = Settings::of(message);
    for transport in [Transport::Udp, Transport::Tcp] {
        let (context, mut out) = (settings.context(transport), vec![0xaa; 65_535]);
        let verdict =
            answer(&mut Job::default(), zones().set(), &context, CLIENT, message, &mut out, &mut Silent);
        match verdict {
            Verdict::Drop(_) => {
                assert!(message.len() < 12 || message[2] & 0x80 != 0, "dropped: {message:02x?}");
            }
            Verdict::Reply(replied) => {
                let octets = &out[..replied.len];
                if let Err(fault) = judge(message, octets, replied, transport, &settings) {
                    panic!("{fault}, by {transport:?}\n{message:02x?}\n{octets:02x?}");
                }
            }
        }
    }
}

fn judge(
    message: &[u8],
    octets: &[u8],
    replied: Replied,
    transport: Transport,
    settings: &Settings,
) -> Result<(), Fault> {
    let reply = Reply::read(octets, replied)?;
    reply.check_against(message);
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    demand(
        reply.is_truncated() == (replied.truncation == Truncation::Cut),
        "TC is not what the verdict says",
    )?;
    let sent = sent_opt(message);
    let limit = match (transport, &sent, &reply.opt) {
        (Transport::Tcp, ..) => 65_535,
        // RFC 6891 §6.2.3, §6.2.5
        (Transport::Udp, Some(sent), _) => settings.udp_payload.min(sent.payload.max(512)),
        (Transport::Udp, None, Some(_)) => settings.udp_payload,
        (Transport::Udp, None, None) => 512,
    };
    demand(octets.len() <= usize::from(limit), "it is too long")?;
    if replied.kind == Kind::Error && replied.rcode != Rcode::YXDOMAIN {
        demand(reply.sections.iter().all(Vec::is_empty), "an error with records")?;
        demand(!reply.is_truncated(), "an error with TC")?;
    }
    // RFC 6891 §6.1.1, §7: OPT for OPT, where it could be read.
    let whole = !matches!(replied.rcode, Rcode::FORMERR | Rcode::NOTIMP);
    demand(!whole || reply.opt.is_some() == sent.is_some(), "OPT where none was sent, or none for one")?;
    match (&reply.opt, &sent) {
        (Some(opt), Some(sent)) => options(opt, sent, replied, transport, settings),
        (Some(opt), None) => demand(opt.options.len() <= 6, "too many options"),
        (None, _) => Ok(()),
    }
}

/// What may stand in the reply's OPT record, and what must.
fn options(
    opt: &Opt,
    sent: &Opt,
    replied: Replied,
    transport: Transport,
    settings: &Settings,
) -> Result<(), Fault> {
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    for (index, (code, data)) in opt.options.iter().enumerate() {
        demand(opt.options.iter().skip(index + 1).all(|(other, _)| other != code), "an option twice")?;
        let (asked, sound) = match *code {
            COOKIE => (sent.option(COOKIE).is_some() && settings.require.is_some(), data.len() == 24),
            KEEPALIVE => (sent.option(KEEPALIVE).is_some() && transport == Transport::Tcp, data.len() == 2),
            NSID => (sent.option(NSID).is_some(), data == b"a.test"),
            ZONEVERSION => (sent.option(ZONEVERSION).is_some(), data.len() == 6 && data[1] == 0),
            EXTENDED_ERROR => (replied.kind == Kind::Error, matches!(data[..], [0, 14 | 18 | 20 | 21])),
            REPORT_CHANNEL => {
                let agent = settings.agent.as_ref().map(Name::as_wire);
                (agent.is_some(), agent == Some(&data[..]))
            }
            _ => (false, false),
        };
        demand(asked, "an option that nobody asked for")?;
        demand(sound, "an option with wrong data")?;
    }
    let served = settings.require.is_some();
    let Some(cookie) = sent.option(COOKIE).filter(|_| served) else {
        return demand(replied.rcode != Rcode::BADCOOKIE, "BADCOOKIE without a cookie");
    };
    let sound = matches!(cookie.len(), 8 | 16..=40);
    let given = opt.option(COOKIE);
    // RFC 7873 §5.2: the client's half comes back, whatever else; without it the reply would be thrown away.
    demand(given.is_some() == sound, "a cookie is missing, or given for none")?;
    demand(given.is_none_or(|given| given[..8] == cookie[..8]), "the cookie is not the client's")?;
    if replied.rcode == Rcode::BADCOOKIE {
        let no_question = replied.qtype.is_none();
        demand(settings.demand_cookies(transport) || no_question, "BADCOOKIE where none are required")?;
    }
    demand(sound || !matches!(replied.rcode, Rcode::NOERROR | Rcode::NXDOMAIN), "a malformed cookie passes")
}

/// The first OPT record of a message whose records can be told apart.
fn sent_opt(message: &[u8]) -> Option<Opt> {
    let mut cursor = Cursor::new(message);
    cursor.take(4).ok()?;
    let counts = [cursor.u16().ok()?, cursor.u16().ok()?, cursor.u16().ok()?, cursor.u16().ok()?];
    for _ in 0..counts[0] {
        skip_name(&mut cursor)?;
        cursor.take(4).ok()?;
    }
    let mut found = None;
    for _ in 0..u32::from(counts[1]) + u32::from(counts[2]) + u32::from(counts[3]) {
        skip_name(&mut cursor)?;
        let (rtype, class) = (Rtype(cursor.u16().ok()?), Class(cursor.u16().ok()?));
        let (ttl, octets) = (cursor.u32().ok()?, cursor.u16().ok()?);
        let rdata = cursor.take(usize::from(octets)).ok()?.to_vec();
        if rtype == Rtype::OPT && found.is_none() {
            found = Some(Opt::read(&Record { owner: vec![0], rtype, class, ttl, rdata }).ok());
        }
    }
    found.flatten()
}

/// Steps over a name, and follows no pointer.
fn skip_name(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        match *cursor.take(1).ok()?.first()? {
            0 => return Some(()),
            octets @ 1..=63 => drop(cursor.take(usize::from(octets)).ok()?),
            0xc0.. => return cursor.take(1).ok().map(|_| ()),
            _ => return None,
        }
    }
}
