//! No kind of query allocates: a counting allocator watches the query path from the octets of a message to those
//! of its reply, for every kind of answer there is, for a great many damaged messages, and for the zones and queries
//! that the differential test makes. What kinds of answers there are is not left to the table here: each combination
//! of RCODE, kind, truncation and transport that those queries bring about must be in it.
//!
//! The loop around it, with its sockets, is watched in `crates/responder/tests/no_allocation.rs`.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::{BTreeMap, BTreeSet};

use pharos_answer::{AnyPolicy, Context, Cookies, DropReason, Job, Kind, Require, Secret};
use pharos_answer::{Silent, Transport, Truncation, Verdict};
use pharos_answer::{answer, look_up};
use pharos_testkit::counting::{Counting, allocations};
use pharos_testkit::fuzz::VARIED;
use pharos_testkit::{Ask, CLIENT, Dice, Served, mutate};
use pharos_tests::differential::queries::{Palette, Transport as Way};
use pharos_tests::differential::random::Random;
use pharos_tests::differential::world::World;
use pharos_wire::{Class, Name, Opcode, Rcode, Rtype};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Damaged messages in one run.
const DAMAGED: usize = 200_000;

/// Sets of zones of the differential test, and queries to each.
const WORLDS: usize = 3;
const WORLD_QUERIES: usize = 15_000;

/// A kind of query: its name, what it is, and what becomes of it.
type Case = (&'static str, Ask, Outcome);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Reply(u16, &'static str, Whole),
    Dropped(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Whole {
    Whole,
    Truncated,
}

fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Reply(reply) => {
            let whole = if reply.truncation == Truncation::Cut { Whole::Truncated } else { Whole::Whole };
            Outcome::Reply(reply.rcode.0, reply.kind.label(), whole)
        }
        Verdict::Drop(reason) => Outcome::Dropped(reason.label()),
    }
}

fn zones() -> Served {
    let signed = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../zones/signed.example.zone"),
    );
    Served::one("example.", VARIED)
        .zone("signed.example.", &signed.unwrap())
        .not_loaded("broken.example.")
        .body("crowd.test.", &crowd())
        .body("other.test.", "www A 192.0.2.99\nback CNAME www.example.\n*.chain CNAME alias2.example.\n")
}

/// A delegation with too much glue for 512 octets, aliases of services, and services at the owner.
fn crowd() -> String {
    let mut body = String::from(
        "alias HTTPS 0 pool\npool HTTPS 1 .\npool HTTPS 2 a.wild\npool A 192.0.2.1\n*.wild A 192.0.2.2\n\
         *.wild HTTPS 1 .\nphone NAPTR 1 1 \"s\" \"\" \"\" _sip._udp\n_sip._udp SRV 1 1 1 a.wild\n\
         round HTTPS 0 trip\ntrip HTTPS 0 round\n",
    );
    for number in 0..20 {
        body.push_str(&format!("cut NS ns{number}.cut\nns{number}.cut AAAA 2001:db8::{number}\n"));
    }
    body
}

fn truncated(rcode: Rcode, kind: Kind) -> Outcome {
    Outcome::Reply(rcode.0, kind.label(), Whole::Truncated)
}

fn ok(kind: Kind) -> Outcome {
    Outcome::Reply(0, kind.label(), Whole::Whole)
}

fn fails(rcode: Rcode) -> Outcome {
    Outcome::Reply(rcode.0, Kind::Error.label(), Whole::Whole)
}

/// The query with every option that we understand.
fn with_options(ask: Ask) -> Ask {
    ask.nsid().option(10, &[1; 24]).option(11, b"").option(19, b"").option(65_001, b"unknown")
}

/// Answers from data.
fn answers() -> Vec<Case> {
    let (a, ns, answer) = (Rtype::A, Rtype::NS, ok(Kind::Answer));
    let nxdomain = Outcome::Reply(3, Kind::NxDomain.label(), Whole::Whole);
    vec![
        ("positive", Ask::new("www.example.", a), answer),
        ("positive with all options", with_options(Ask::new("www.example.", a)), answer),
        ("NXDOMAIN with all options", with_options(Ask::new("none.example.", a).dnssec()), nxdomain),
        ("positive, upper case", Ask::new("WWW.eXaMpLe.", a), answer),
        ("positive with additional addresses", Ask::new("example.", Rtype::MX), answer),
        ("the apex' name servers, glue among them", Ask::new("example.", ns), answer),
        ("unknown type", Ask::new("unknown.example.", Rtype(65_280)), answer),
        ("NODATA", Ask::new("www.example.", Rtype::MX), ok(Kind::NoData)),
        ("NODATA at an empty non-terminal", Ask::new("deep.ent.example.", a), ok(Kind::NoData)),
        ("NXDOMAIN", Ask::new("none.example.", a), nxdomain),
        ("NXDOMAIN, deep", Ask::new("a.b.c.d.e.f.g.h.none.example.", a), nxdomain),
        ("NXDOMAIN, of the longest name", Ask::new(&format!("{}example.", "a.".repeat(123)), a), nxdomain),
        ("referral with glue", Ask::new("host.sub.example.", a), ok(Kind::Referral)),
        ("referral without glue", Ask::new("host.bare.example.", a), ok(Kind::Referral)),
        ("referral with DS", Ask::new("host.sub.example.", a).dnssec(), ok(Kind::Referral)),
        ("DS at a cut", Ask::new("sub.example.", Rtype::DS), answer),
        ("no DS at a cut", Ask::new("bare.example.", Rtype::DS), ok(Kind::NoData)),
        ("DS of a zone served beside its parent", Ask::new("signed.example.", Rtype::DS), ok(Kind::NoData)),
        ("wildcard", Ask::new("any.wild.example.", Rtype::TXT), answer),
        ("wildcard with additional addresses", Ask::new("any.wild.example.", Rtype::MX), answer),
        ("wildcard NODATA", Ask::new("any.wild.example.", a), ok(Kind::NoData)),
        ("wildcard CNAME", Ask::new("any.alias.example.", a), answer),
        ("CNAME chain within the zone", Ask::new("alias2.example.", a), answer),
        ("CNAME chain through two zones", Ask::new("x.chain.other.test.", a), answer),
        ("CNAME out of all zones", Ask::new("outside.example.", a), answer),
        ("CNAME to a name that does not exist", Ask::new("dangling.example.", a), nxdomain),
        ("CNAME to a delegated name", Ask::new("into-cut.example.", a), answer),
        ("CNAME asked for", Ask::new("alias.example.", Rtype::CNAME), answer),
        ("CNAME loop of one", Ask::new("self.example.", a), answer),
        ("CNAME loop of two", Ask::new("loop1.example.", a), answer),
        ("DNAME", Ask::new("host.old.example.", a), answer),
        ("DNAME's owner", Ask::new("old.example.", Rtype::DNAME), answer),
        ("DNAME that grows until the bound", Ask::new("x.circle.example.", a), answer),
        (
            "DNAME to a name that is too long",
            Ask::new(&format!("{}.long.example.", "d".repeat(60)), a),
            fails(Rcode::YXDOMAIN),
        ),
        ("ANY", Ask::new("www.example.", Rtype::ANY), answer),
        ("ANY of nothing", Ask::new("ent.example.", Rtype::ANY), ok(Kind::NoData)),
        ("RRSIG", Ask::new("signed.example.", Rtype::RRSIG).tcp(), answer),
        ("no RRSIG", Ask::new("www.example.", Rtype::RRSIG), ok(Kind::NoData)),
        ("signed answer", Ask::new("signed.example.", Rtype::SOA).dnssec().tcp(), answer),
        ("signed NODATA", Ask::new("signed.example.", Rtype::SRV).dnssec().tcp(), ok(Kind::NoData)),
        ("signed NXDOMAIN", Ask::new("none.signed.example.", a).dnssec().tcp(), nxdomain),
        ("an alias of a service", Ask::new("alias.crowd.test.", Rtype::HTTPS), answer),
        ("services in a circle", Ask::new("round.crowd.test.", Rtype::HTTPS), answer),
        ("a service at a wildcard", Ask::new("any.wild.crowd.test.", Rtype::HTTPS), answer),
        ("NAPTR to SRV to a wildcard", Ask::new("phone.crowd.test.", Rtype::NAPTR), answer),
        ("keepalive over TCP", Ask::new("www.example.", a).option(11, b"").tcp(), answer),
    ]
}

/// Replies that are not answers, and messages that get none.
fn refusals() -> Vec<Case> {
    let www = || Ask::new("www.example.", Rtype::A);
    let formerr = fails(Rcode::FORMERR);
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let signed = |qname: &str, qtype| Ask::new(qname, qtype).edns(512).dnssec();
    vec![
        ("truncated at 512", Ask::new("big.example.", Rtype::TXT), truncated(Rcode::NOERROR, Kind::Answer)),
        (
            "truncated referral",
            Ask::new("www.cut.crowd.test.", Rtype::A),
            truncated(Rcode::NOERROR, Kind::Referral),
        ),
        (
            "truncated NXDOMAIN",
            signed("none.signed.example.", Rtype::A),
            truncated(Rcode::NXDOMAIN, Kind::NxDomain),
        ),
        (
            "truncated NODATA",
            signed(&format!("{}wild.signed.example.", "any.".repeat(50)), Rtype::SRV),
            truncated(Rcode::NOERROR, Kind::NoData),
        ),
        ("whole with EDNS", Ask::new("big.example.", Rtype::TXT).edns(1232), ok(Kind::Answer)),
        ("refused", Ask::new("www.elsewhere.", Rtype::A), fails(Rcode::REFUSED)),
        ("refused, root", Ask::new(".", Rtype::NS), fails(Rcode::REFUSED)),
        ("refused, class", www().class(Class(4)), fails(Rcode::REFUSED)),
        ("refused, class ANY", www().class(Class::ANY), fails(Rcode::REFUSED)),
        ("AXFR", Ask::new("example.", Rtype::AXFR), fails(Rcode::REFUSED)),
        ("IXFR", Ask::new("example.", Rtype::IXFR), fails(Rcode::REFUSED)),
        ("not loaded", Ask::new("www.broken.example.", Rtype::A), fails(Rcode::SERVFAIL)),
        ("NOTIFY", www().opcode(Opcode::NOTIFY), fails(Rcode::NOTIMP)),
        ("UPDATE", www().opcode(Opcode::UPDATE), fails(Rcode::NOTIMP)),
        ("TKEY", Ask::new("www.example.", Rtype::TKEY), fails(Rcode::NOTIMP)),
        ("type 0", Ask::new("www.example.", Rtype(0)), formerr),
        ("type OPT", Ask::new("www.example.", Rtype::OPT), formerr),
        ("a label of 64 octets", Ask::of_wire(&[64; 66], Rtype::A), formerr),
        ("a compressed question", Ask::of_wire(b"\xc0\x0c", Rtype::A), formerr),
        ("a name that does not end", Ask::of_wire(&[1; 300], Rtype::A), formerr),
        ("two OPT records", www().edns(1232).record(2, opt), formerr),
        ("OPT in the answer section", www().record(0, opt), formerr),
        ("OPT with an owner", www().record(2, b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"), formerr),
        ("an option that overruns", www().option_octets(b"\0\x03\0\x09"), formerr),
        ("a record that is cut off", www().record(2, b"\0\0\x01"), formerr),
        ("BADVERS", www().version(1), fails(Rcode::BADVERS)),
        ("BADVERS with DO", www().version(200).dnssec(), fails(Rcode::BADVERS)),
        ("id.server", Ask::new("id.server.", Rtype::TXT).class(Class::CH), ok(Kind::Chaos)),
        (
            "hostname.bind, other type",
            Ask::new("hostname.bind.", Rtype::A).class(Class::CH),
            ok(Kind::NoData),
        ),
        ("version.bind", Ask::new("version.bind.", Rtype::TXT).class(Class::CH), fails(Rcode::REFUSED)),
        ("NSID", www().nsid(), ok(Kind::Answer)),
        ("unknown options", www().option(65_001, &[9; 300]).edns_flags(0x7fff), ok(Kind::Answer)),
        ("a response", www().flags(0x8000), Outcome::Dropped(DropReason::Response.label())),
    ]
}

/// Messages that [`Ask`] does not make.
fn odd_messages() -> Vec<(&'static str, Vec<u8>, Outcome)> {
    let with_questions = |count: u8| {
        let mut message = Ask::new("www.example.", Rtype::A).octets();
        message[5] = count;
        message
    };
    let plain = Ask::new("www.example.", Rtype::A).octets();
    let mut two_with_opt = [&plain[..], &plain[12..], b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"].concat();
    (two_with_opt[5], two_with_opt[11]) = (2, 1);
    let formerr = fails(Rcode::FORMERR);
    vec![
        ("nothing", Vec::new(), Outcome::Dropped(DropReason::Short.label())),
        ("eleven octets", plain[..11].to_vec(), Outcome::Dropped(DropReason::Short.label())),
        ("no question", with_questions(0), formerr),
        ("two questions", with_questions(2), formerr),
        ("two questions with OPT", two_with_opt, formerr),
        ("a question that is cut off", plain[..20].to_vec(), formerr),
        ("a header alone", plain[..12].to_vec(), formerr),
        ("trailing octets", [&plain[..], &[0; 40]].concat(), ok(Kind::Answer)),
    ]
}

/// Every way in which the responder answers one message: at once, and in passes.
fn run(served: &Served, context: &Context, message: &[u8], out: &mut [u8], job: &mut Job) -> (Verdict, u64) {
    let mut verdicts = [None; 2];
    let mut batch = [Job::default(), Job::default()];
    let count = allocations(|| {
        verdicts[0] = Some(answer(job, served.set(), context, CLIENT, message, out, &mut Silent));
        look_up(&mut batch, served.set(), |_| message);
        verdicts[1] = Some(batch[1].write(served.set(), context, CLIENT, message, out, &mut Silent));
    });
    assert_eq!(verdicts[0], verdicts[1], "in passes or at once");
    (verdicts[0].unwrap(), count)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

/// Settings of a node that demands cookies and has errors reported, or of one that knows nothing of either.
fn settings(transport: Transport, any: AnyPolicy) -> Context {
    let mut context = Context::new(transport, 4096, &"n".repeat(64), any);
    if any == AnyPolicy::Full {
        let (current, previous) = (Secret::new([1; 16]), Some(Secret::new([2; 16])));
        context.set_cookies(Some(Cookies { current, previous, require: Require::Always }));
        context.set_report_agent(Name::from_text("reports.test.").ok());
        context.set_keepalive(std::time::Duration::from_secs(10));
    }
    context
}

fn label(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

#[test]
fn no_kind_of_query_allocates() {
    prove_the_table();
}

/// Asks all that is in the table, and tells what came of it by which transport.
fn prove_the_table() -> BTreeSet<(Outcome, &'static str)> {
    let mut proven = BTreeSet::new();
    let served = zones();
    let (mut job, mut out) = (Job::default(), vec![0; 65_535]);
    let asked = answers()
        .into_iter()
        .chain(refusals())
        .map(|(name, ask, outcome)| (name, ask.octets(), outcome, ask.transport()));
    let odd =
        odd_messages().into_iter().map(|(name, octets, outcome)| (name, octets, outcome, Transport::Udp));
    for (name, message, expected, transport) in asked.chain(odd) {
        let (verdict, count) = run(&served, &served.context(transport), &message, &mut out, &mut job);
        assert_eq!(outcome(&verdict), expected, "{name}");
        println!("{count} allocations: {name}: {expected:?}");
        assert_eq!(count, 0, "{name}");
        proven.insert((expected, label(transport)));
        // The same by the other transport, by other settings, and with every room for the reply.
        for transport in [Transport::Udp, Transport::Tcp] {
            for any in [AnyPolicy::Minimal, AnyPolicy::Full] {
                let context = settings(transport, any);
                for room in (0..700).step_by(37).chain([65_535]) {
                    let (verdict, count) = run(&served, &context, &message, &mut out[..room], &mut job);
                    assert_eq!(count, 0, "{name} with {room} octets of room");
                    proven.insert((outcome(&verdict), label(transport)));
                }
            }
        }
    }
    proven
}

#[test]
fn no_query_of_the_differential_test_allocates_and_the_table_has_all_their_kinds() {
    let proven = prove_the_table();
    let (mut job, mut out) = (Job::default(), vec![0; 65_535]);
    let mut seen: BTreeMap<(Outcome, &'static str), u64> = BTreeMap::new();
    for index in 0..WORLDS {
        let mut random = Random::new(0xa110_c000 + index as u64);
        let world = World::new(&mut random, index);
        let mut served = Served::new().not_loaded(&world.unloaded.text());
        for zone in &world.zones {
            served = served.zone(&zone.apex.text(), &zone.text);
        }
        let palette = Palette::new(&world);
        for number in 0..WORLD_QUERIES {
            let ask = palette.ask(&mut random);
            let transport = match ask.transport {
                Way::Udp => Transport::Udp,
                Way::Tcp => Transport::Tcp,
            };
            let any = if number % 4 == 0 { AnyPolicy::Full } else { AnyPolicy::Minimal };
            for context in [served.context(transport), settings(transport, any)] {
                let (verdict, count) = run(&served, &context, &ask.message, &mut out, &mut job);
                assert_eq!(count, 0, "{}: {:02x?}", ask.dig(), ask.message);
                *seen.entry((outcome(&verdict), label(transport))).or_default() += 1;
            }
        }
    }
    for ((outcome, transport), count) in &seen {
        println!("{count} replies without an allocation by {transport}: {outcome:?}");
    }
    let unproven: Vec<_> = seen.keys().filter(|kind| !proven.contains(kind)).collect();
    assert!(unproven.is_empty(), "not in the table: {unproven:?}");
    assert!(seen.len() >= 20, "too few kinds: {seen:?}");
}

#[test]
fn no_damaged_query_allocates() {
    let served = zones();
    let (mut job, mut out) = (Job::default(), vec![0; 65_535]);
    let valid: Vec<Vec<u8>> =
        answers().into_iter().chain(refusals()).map(|(_, ask, _)| ask.octets()).collect();
    let contexts = [Transport::Udp, Transport::Tcp].map(|transport| served.context(transport));
    let mut dice = Dice::of_seed(1);
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for number in 0..DAMAGED {
        let mut message = valid[dice.below(valid.len())].clone();
        mutate(&mut message, &mut dice);
        let (verdict, count) = run(&served, &contexts[number % 2], &message, &mut out, &mut job);
        assert_eq!(count, 0, "{message:02x?}");
        *outcomes.entry(outcome(&verdict)).or_default() += 1;
    }
    for (outcome, count) in &outcomes {
        println!("{count} damaged messages without an allocation: {outcome:?}");
    }
    for kind in [ok(Kind::Answer), ok(Kind::NoData), ok(Kind::Referral), fails(Rcode::FORMERR)] {
        assert!(outcomes.get(&kind).is_some_and(|&count| count > 100), "too few of {kind:?}");
    }
}
