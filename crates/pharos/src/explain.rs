//! `pharos explain`: how the answer to one query comes about, step by step, and the answer itself.
//!
//! The query goes through the responder's own code, with an observer that puts every step into words
//! ([`narrator`]); the reply is then read back from its octets ([`message`]). Zones are loaded as the responder would
//! load them, and nothing is sent: no running process is asked or needed.

mod message;
mod narrator;

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::print::say;
use crate::zone::{self, ZoneFile};
use narrator::{Narrator, Origin};
use pharos_answer::{Context, Job, Kind, Replied, Transport, Truncation, Verdict, answer};
use pharos_ops::config::Need;
use pharos_responder::{Version, ZoneSource};
use pharos_wire::edns::{DO, MIN_PAYLOAD};
use pharos_wire::hash::HashKey;
use pharos_wire::{Class, Name, Rcode, Rtype};
use pharos_zone::dnssec::Checks;
use pharos_zone::load::load_file;
use pharos_zonedb::{ZoneSet, ZoneState};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::path::Path;

/// Nobody else queries these zones: no secret is needed against collisions.
const KEY: HashKey = HashKey::new([0, 0]);

/// Where zones are looked for when nothing is said and nothing is configured.
const NEARBY: &str = "zones";

/// What the responder would answer with.
struct Settings {
    zones: Vec<ZoneFile>,
    checks: Checks,
    context: Context,
}

impl Settings {
    /// Those of a responder without a configuration, but for what the command line says.
    fn of(zones: Vec<ZoneFile>, args: &cli::Explain) -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let context = Context::new(Transport::Udp, cli::PAYLOAD, "", args.any.unwrap_or_default());
        Self { zones, checks: Checks { threads, ..Checks::STRICT }, context }
    }
}

pub(crate) fn run(args: &cli::Explain) -> Result<(), Failure> {
    let qname = Name::from_text(&args.qname)
        .map_err(|error| Failure::usage(format!("{:?} is not a name: {error}", args.qname)))?;
    let class = if args.chaos { Class::CH } else { Class::IN };
    let qtype = match &args.qtype {
        Some(text) => query_type(text)?,
        None if args.chaos => Rtype::TXT,
        None => Rtype::A,
    };
    if args.dnssec && args.payload == 0 {
        return Err(Failure::usage("--do needs EDNS, which --payload 0 takes away")
            .help("leave --payload out, or name at least 512"));
    }
    let settings = settings(args)?;
    let (set, origins) = load_zones(settings.zones, &settings.checks);
    let query = query(&qname, qtype, class, args);
    let context = settings.context.over(if args.tcp { Transport::Tcp } else { Transport::Udp });
    let mut reply = vec![0; usize::from(u16::MAX)];
    let mut narrator = Narrator::new(&set, &origins, qtype, args.dnssec);
    let verdict = answer(
        &mut Job::default(),
        &set,
        &context,
        Ipv4Addr::LOCALHOST.into(),
        &query,
        &mut reply,
        &mut narrator,
    );
    let Verdict::Reply(replied) = verdict else {
        return Err(Failure::failed("such a query gets no reply"));
    };
    let mut text = String::new();
    let client = match (args.payload, args.dnssec) {
        (0, _) => "without EDNS".to_owned(),
        (octets, true) => format!("EDNS with {octets} octets and DO"),
        (octets, false) => format!("EDNS with {octets} octets"),
    };
    let by = if args.tcp { "TCP" } else { "UDP" };
    let asked = if args.chaos { "class CH, " } else { "" };
    let _ = writeln!(text, "query       {qname} {}, {asked}{client}, by {by}", type_text(qtype));
    text.push_str(&narrator.told());
    match replied.kind {
        Kind::Error if narrator.heard_nothing() => {
            let _ = writeln!(text, "refused     {}", objection(class, qtype, replied.rcode));
        }
        Kind::Chaos => text.push_str("server      it tells this of itself (RFC 4892 §2)\n"),
        Kind::NoData if class == Class::CH => {
            text.push_str("server      it tells this of itself in TXT records only (RFC 4892 §2)\n");
        }
        _ => {}
    }
    let _ = writeln!(text, "size        {}", size(&replied, args, context.udp_payload()));
    if replied.truncation == Truncation::Cut && !args.tcp {
        text.push_str(
            "next        the client asks again over TCP (RFC 7766 §5); --tcp shows what it gets then\n",
        );
    }
    text.push('\n');
    match message::show(reply.get(..replied.len).unwrap_or_default()) {
        Some(shown) => text.push_str(&shown),
        None => return Err(Failure::failed(format!("{text}the reply cannot be read back"))),
    }
    say(&text);
    Ok(())
}

/// A type as people write it; queries may ask for more than zones can hold.
fn query_type(text: &str) -> Result<Rtype, Failure> {
    let upper = text.to_ascii_uppercase();
    let special = match upper.as_str() {
        "ANY" | "*" => Some(Rtype::ANY),
        "AXFR" => Some(Rtype::AXFR),
        "IXFR" => Some(Rtype::IXFR),
        _ => None,
    };
    special.or_else(|| pharos_zone::rtype::from_text(upper.as_bytes()).map(Rtype)).ok_or_else(|| {
        Failure::usage(format!("{text:?} is no record type"))
            .help("write a mnemonic such as AAAA or DNSKEY, or TYPE and a number")
    })
}

fn type_text(rtype: Rtype) -> String {
    match rtype.mnemonic() {
        Some(mnemonic) => mnemonic.to_owned(),
        None => pharos_zone::rtype::Display(rtype.0).to_string(),
    }
}

fn settings(args: &cli::Explain) -> Result<Settings, Failure> {
    if let Some(file) = &args.file {
        let name = zone::zone_of(file, args.origin.as_deref())?;
        let zones = vec![ZoneFile { path: file.clone(), name: Ok(name) }];
        return Ok(Settings::of(zones, args));
    }
    if let Some(directory) = &args.zones {
        return Ok(Settings::of(zone::files_of(directory)?, args));
    }
    let (pharos, _) = args.files.paths();
    if args.files.config.is_none() && args.files.site.is_none() && !pharos.exists() {
        if !Path::new(NEARBY).is_dir() {
            return Err(Failure::usage(format!("there is no configuration at {}", pharos.display())).help(
                "name one with --config, or zone files with --zones DIR or --file FILE --origin NAME",
            ));
        }
        return Ok(Settings::of(zone::files_of(Path::new(NEARBY))?, args));
    }
    let config = map::responder(&args.files.load(Need::Responder)?)?;
    let zones = match config.zones {
        ZoneSource::Directory(directory) => zone::files_of(&directory)?,
        ZoneSource::List(list) => {
            list.into_iter().map(|(name, path)| ZoneFile { path, name: named(&name) }).collect()
        }
    };
    let mut settings = Settings::of(zones, args);
    settings.checks.signatures = config.dnssec.verify;
    settings.checks.broken = config.dnssec.broken;
    // NSID is not asked for, so the identity is told in class CH alone.
    settings.context =
        Context::new(Transport::Udp, config.udp_payload_octets, &config.nsid, args.any.unwrap_or(config.any));
    if config.version == Version::Shown {
        settings.context.set_version(pharos_responder::VERSION);
    }
    settings.context.set_report_agent(config.report_agent);
    Ok(settings)
}

fn named(name: &str) -> Result<Name, String> {
    Name::from_text(name).map_err(|error| format!("{name:?} is not a zone name: {error}"))
}

/// Loads all zones: an alias in one may lead into any other. What is wrong by the clock refuses none, as when a
/// responder starts.
fn load_zones(files: Vec<ZoneFile>, checks: &Checks) -> (ZoneSet, Vec<Origin>) {
    let (mut zones, mut origins) = (Vec::new(), Vec::new());
    for file in files {
        let Ok(name) = file.name else { continue };
        let (state, refusal) = match load_file(&name, &file.path, KEY, checks) {
            Ok(loaded) => (ZoneState::Live(loaded.image.into()), None),
            Err(error) => (ZoneState::NotLoaded, Some(error.to_string())),
        };
        zones.push((name, state));
        origins.push(Origin { path: file.path, refusal });
    }
    let zones: Vec<_> = zones.iter().map(|(name, state)| (name.as_wire(), ZoneState::clone(state))).collect();
    (ZoneSet::new(KEY, zones), origins)
}

/// The query's octets (RFC 1035 §4.1, RFC 6891 §6.1.2).
fn query(qname: &Name, qtype: Rtype, class: Class, args: &cli::Explain) -> Vec<u8> {
    let with_edns = args.payload > 0;
    let mut octets = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)];
    octets.extend(qname.as_wire());
    octets.extend(qtype.0.to_be_bytes());
    octets.extend(class.0.to_be_bytes());
    if with_edns {
        let flags = if args.dnssec { DO } else { 0 };
        octets.push(0);
        octets.extend(Rtype::OPT.0.to_be_bytes());
        octets.extend(args.payload.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(flags.to_be_bytes());
        octets.extend([0, 0]);
    }
    octets
}

/// Why a query gets an error whatever the zones hold.
fn objection(class: Class, qtype: Rtype, rcode: Rcode) -> String {
    let why = match qtype {
        _ if class == Class::CH => {
            "nothing is told by this name: the node's identity by id.server and hostname.bind (RFC 4892 §2) where one is \
             configured, name and version by version.server and version.bind where `version` is `shown`, digest.pharos \
             only at the addresses of `management-dns`"
        }
        Rtype::AXFR | Rtype::IXFR => "zone transfers are not served (RFC 5936 §2.2.1)",
        Rtype::TKEY => "keys are not negotiated here (RFC 2930)",
        _ => "it is not a type of data: OPT, TSIG and type 0 are never asked for (RFC 6895 §3.1)",
    };
    format!("{}: {why}", rcode.label().to_ascii_uppercase())
}

/// The reply's octets and what bounds them.
fn size(replied: &Replied, args: &cli::Explain, server: u16) -> String {
    let bound = if args.tcp {
        "TCP takes 65535 (RFC 1035 §4.2.2)".to_owned()
    } else if args.payload == 0 {
        "a client without EDNS takes 512 (RFC 1035 §4.2.1)".to_owned()
    } else {
        let client = args.payload.max(MIN_PAYLOAD);
        format!("the client takes {client}, this server sends {server} at most (RFC 6891 §6.2.5)")
    };
    let whole = match replied.truncation {
        Truncation::Whole => "nothing that the client needs is missing",
        Truncation::Cut => "something that the client needs is missing: TC is set (RFC 2181 §9)",
    };
    format!("{} octets; {bound}; {whole}", replied.len)
}
