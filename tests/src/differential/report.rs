//! What a run found, counted and in examples.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::judge::{Differences, Judgement, Outcome, Outcomes};
use super::message::{AA, ADDITIONAL, ANSWER, AUTHORITY, Reply, TC};
use super::queries::{Ask, Shape, Transport};
use super::rules::RULES;
use super::servers::Family;
use super::world::World;
use pharos_testkit::peers::Peer;

/// Examples shown of each kind of finding.
const EXAMPLES: usize = 3;

/// Kinds of findings shown.
const SIGNATURES: usize = 60;

/// How often: what sets the query apart, our response code, the peer's.
type Codes = BTreeMap<(String, Option<u16>, Option<u16>), usize>;

/// Counts and examples.
pub struct Report {
    /// Queries judged.
    pub queries: usize,
    /// How the queries that come now travel.
    pub family: Family,
    /// The kinds that are told apart.
    shown: &'static [&'static str],
    kinds: BTreeMap<&'static str, [usize; 2]>,
    rules: BTreeMap<(&'static str, Peer), usize>,
    /// What the replies' codes were where a rule decided, ours and the peer's.
    rcodes: BTreeMap<(&'static str, Peer), Codes>,
    findings: BTreeMap<String, (usize, Vec<String>)>,
    silent: [usize; 5],
    late: [usize; 5],
    hung: BTreeMap<&'static str, usize>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            queries: 0,
            family: Family::V4,
            shown: KINDS,
            kinds: BTreeMap::new(),
            rules: BTreeMap::new(),
            rcodes: BTreeMap::new(),
            findings: BTreeMap::new(),
            silent: [0; 5],
            late: [0; 5],
            hung: BTreeMap::new(),
        }
    }
}

impl Report {
    /// For signed zones, where other kinds of answers are told apart.
    pub fn of_signed() -> Self {
        Self { shown: KINDS_SIGNED, ..Self::default() }
    }

    /// Takes up one judged query.
    pub fn add(&mut self, ask: &Ask, world: &World, outcomes: &Outcomes, judgement: &Judgement) {
        self.queries += 1;
        let family = if self.family == Family::V4 { "over IPv4" } else { "over IPv6" };
        let ours = outcomes[0].reply();
        for kind in kinds(ask, world, ours).into_iter().chain(proofs(ask, world, ours)).chain([family]) {
            self.kinds.entry(kind).or_default()[usize::from(ask.transport == Transport::Tcp)] += 1;
        }
        for (slot, outcome) in outcomes.iter().enumerate() {
            self.silent[slot] += usize::from(*outcome == Outcome::Silent);
        }
        let once: BTreeSet<_> = judgement.decided.iter().collect();
        for &&decided in &once {
            *self.rules.entry(decided).or_default() += 1;
            let rcode = |slot: usize| outcomes[slot].reply().map(|reply| reply.rcode);
            let slot = 1 + world.peers.iter().position(|peer| *peer == decided.1).unwrap_or_default();
            *self
                .rcodes
                .entry(decided)
                .or_default()
                .entry((about(ask), rcode(0), rcode(slot)))
                .or_default() += 1;
        }
        if judgement.is_good() {
            return;
        }
        let mut signature =
            judgement.wrong.iter().map(|wrong| words_only(wrong)).collect::<Vec<_>>().join("; ");
        for (peer, Differences(aspects)) in &judgement.open {
            let _ = write!(signature, "{}{aspects:?} ", peer.label());
        }
        let our_rcode = outcomes[0].reply().map(|reply| reply.rcode);
        let rcodes: Vec<_> =
            outcomes[1..].iter().map(|outcome| outcome.reply().map(|reply| reply.rcode)).collect();
        let _ = write!(signature, "rcodes {our_rcode:?} {rcodes:?}");
        if ask.shape != Shape::Good {
            let _ = write!(signature, " {:?}", ask.shape);
        }
        let (count, examples) = self.findings.entry(signature).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let example = example(ask, world, outcomes, judgement);
            // A run may take long: the first of a kind is told at once.
            if *count == 1 {
                println!("{example}");
            }
            examples.push(example);
        }
    }

    /// Kinds of answers that came up less often than `least` times over either transport.
    pub fn rare(&self, least: usize) -> Vec<String> {
        let mut rare = Vec::new();
        for kind in self.shown {
            let [udp, tcp] = self.kinds.get(kind).copied().unwrap_or_default();
            for (transport, count) in [("UDP", udp), ("TCP", tcp)] {
                if count < least && (*kind, transport) != ("truncated", "TCP") {
                    rare.push(format!("{kind} over {transport}: {count}"));
                }
            }
        }
        rare
    }

    /// Takes up that a peer hung, and was started anew.
    pub fn hung(&mut self, label: &'static str) {
        *self.hung.entry(label).or_default() += 1;
    }

    /// Takes up that a query was asked once more, because of who was silent.
    pub fn late(&mut self, outcomes: &Outcomes) {
        for (late, outcome) in self.late.iter_mut().zip(outcomes) {
            *late += usize::from(*outcome == Outcome::Silent);
        }
    }

    /// Queries with a fault, or with a difference that no rule decides.
    pub fn found(&self) -> usize {
        self.findings.values().map(|(count, _)| count).sum()
    }

    /// The counts.
    pub fn tables(&self) -> String {
        let mut text = format!("{} queries\n{:<24} {:>9} {:>9}\n", self.queries, "kind", "UDP", "TCP");
        for kind in self.shown {
            let [udp, tcp] = self.kinds.get(kind).copied().unwrap_or_default();
            let _ = writeln!(text, "{kind:<24} {udp:>9} {tcp:>9}");
        }
        for (what, counts) in [("no reply", self.silent), ("asked once more", self.late)] {
            let [ours, nsd, knot, bind, pdns] = counts;
            let _ =
                writeln!(text, "\n{what}: ours {ours}, NSD {nsd}, Knot {knot}, BIND {bind}, PowerDNS {pdns}");
        }
        let _ = writeln!(
            text,
            "\n{:<48} {:>8} {:>8} {:>8} {:>8}",
            "decided by rule", "NSD", "Knot", "BIND", "PowerDNS"
        );
        for rule in RULES {
            let count = |peer| self.rules.get(&(rule.name, peer)).copied().unwrap_or_default();
            let counts = Peer::ALL.map(count);
            let [nsd, knot, bind, pdns] = counts;
            let _ = writeln!(text, "{:<48} {nsd:>8} {knot:>8} {bind:>8} {pdns:>8}", rule.name);
        }
        text += "\nresponse codes, ours -> theirs, where a rule decided\n";
        for ((rule, peer), codes) in &self.rcodes {
            let _ = write!(text, "{rule} {}:", peer.label());
            for ((about, ours, theirs), count) in codes {
                let code = |code: &Option<u16>| code.map_or("silent".to_owned(), |code| code.to_string());
                let _ = write!(text, " {about}{}->{} x{count}", code(ours), code(theirs));
            }
            text.push('\n');
        }
        text
    }

    /// The findings, the most frequent first.
    pub fn findings(&self) -> String {
        let mut all: Vec<_> = self.findings.iter().collect();
        all.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let mut text = format!("{} kinds of findings\n", all.len());
        for (signature, (count, examples)) in all.into_iter().take(SIGNATURES) {
            let _ = writeln!(text, "\n##### {count} x {signature}");
            for example in examples {
                text += example;
            }
        }
        text
    }
}

/// What sets a query apart from an ordinary one.
fn about(ask: &Ask) -> String {
    match (ask.shape, ask.opcode, ask.qclass, ask.qtype) {
        (Shape::Good, 0, 1, 0 | 41 | 128..=254) => format!("type {} {:?} ", ask.qtype, ask.transport),
        (Shape::Good, 0, 1, _) => String::new(),
        (Shape::Good, 0, class, _) => format!("class {class} "),
        (Shape::Good, opcode, _, _) => format!("opcode {opcode} "),
        (shape, _, _, _) => format!("{shape:?} "),
    }
}

/// All kinds, as they are printed.
const KINDS: &[&str] = &[
    "answer",
    "nodata",
    "nxdomain",
    "referral",
    "wildcard",
    "cname chain",
    "dname",
    "ds",
    "any",
    "chaos",
    "refused",
    "formerr",
    "notimp",
    "badvers",
    "servfail",
    "yxdomain",
    "truncated",
    "empty non-terminal",
    "alias loop",
    "glue",
    "over IPv4",
    "over IPv6",
];

/// The same where zones are signed.
const KINDS_SIGNED: &[&str] = &[
    "answer, signed",
    "answer without DO",
    "DNSSEC type without DO",
    "wildcard, NSEC",
    "wildcard, NSEC3",
    "nodata, NSEC",
    "nodata, NSEC3",
    "wildcard nodata, NSEC",
    "wildcard nodata, NSEC3",
    "empty, NSEC",
    "empty, NSEC3",
    "nxdomain, NSEC",
    "nxdomain, NSEC3",
    "referral, DS",
    "referral, NSEC",
    "referral, NSEC3",
    "referral, opt-out",
    "DS of a child served",
    "no DS, NSEC",
    "no DS, NSEC3",
    "DNAME, signed",
    "alias, signed",
    "name of a hash",
    "DNSKEY",
    "CDS or CDNSKEY",
    "several algorithms",
    "chains in change",
    "truncated",
    "referral",
    "over IPv4",
    "over IPv6",
];

/// The kinds of proofs in our reply.
fn proofs(ask: &Ask, world: &World, reply: Option<&Reply>) -> Vec<&'static str> {
    let Some(reply) = reply.filter(|_| world.is_signed() && ask.shape == Shape::Good) else {
        return Vec::new();
    };
    let mut kinds = Vec::new();
    let qname = ask.qname.folded();
    let Some(apex) = world.zone_for(&qname, ask.qtype) else { return kinds };
    let Some(zone) = world.facts.get(&apex) else { return kinds };
    let wants = ask.edns.as_ref().is_some_and(|edns| edns.flags & 0x8000 != 0);
    let has = |section: usize, rtype: u16| reply.of_type(section, rtype).next().is_some();
    let (nsec, nsec3) = (has(AUTHORITY, 47), has(AUTHORITY, 50));
    let mut by = |kind: [&'static str; 2]| {
        if nsec3 {
            kinds.push(kind[1]);
        } else if nsec {
            kinds.push(kind[0]);
        }
    };
    let none = reply.sections[ANSWER].is_empty();
    let exists = zone.exists(&qname);
    if !exists && reply.rcode == 0 && !none {
        by(["wildcard, NSEC", "wildcard, NSEC3"]);
    }
    if none && reply.rcode == 0 && reply.has(AA) {
        match (exists, zone.names.get(&qname)) {
            _ if ask.qtype == 43 => by(["no DS, NSEC", "no DS, NSEC3"]),
            (false, _) => by(["wildcard nodata, NSEC", "wildcard nodata, NSEC3"]),
            (_, Some(sets)) if sets.is_empty() => by(["empty, NSEC", "empty, NSEC3"]),
            _ => by(["nodata, NSEC", "nodata, NSEC3"]),
        }
    }
    if reply.rcode == 3 {
        by(["nxdomain, NSEC", "nxdomain, NSEC3"]);
    }
    if reply.is_referral() {
        by(["referral, NSEC", "referral, NSEC3"]);
        if has(AUTHORITY, 43) {
            kinds.push("referral, DS");
        }
        if reply.of_type(AUTHORITY, 50).count() > 1 {
            kinds.push("referral, opt-out");
        }
    }
    if wants && has(ANSWER, 46) {
        kinds.push("answer, signed");
        let algorithms: BTreeSet<_> = reply.of_type(ANSWER, 46).map(|record| record.rdata.get(2)).collect();
        for (kind, holds) in [
            ("DNAME, signed", has(ANSWER, 39)),
            ("alias, signed", has(ANSWER, 5)),
            ("several algorithms", algorithms.len() > 1),
            ("DNSKEY", has(ANSWER, 48)),
            ("CDS or CDNSKEY", has(ANSWER, 59) || has(ANSWER, 60)),
        ] {
            kinds.extend(holds.then_some(kind));
        }
    }
    if !wants && !none {
        let dnssec = [43, 46, 47, 48, 51, 59, 60].iter().any(|rtype| has(ANSWER, *rtype));
        kinds.push(if dnssec { "DNSSEC type without DO" } else { "answer without DO" });
    }
    if ask.qtype == 43 && world.apexes.contains(&qname) && apex != qname && has(ANSWER, 43) {
        kinds.push("DS of a child served");
    }
    if qname.ancestors().any(|above| world.hash_owners.contains(&above)) {
        kinds.push("name of a hash");
    }
    let several = zone.chains.len() > 1 || zone.strays > 0;
    if several && (nsec || nsec3) {
        kinds.push("chains in change");
    }
    kinds
}

/// The kinds that a query and our reply belong to.
fn kinds(ask: &Ask, world: &World, reply: Option<&Reply>) -> Vec<&'static str> {
    let Some(reply) = reply else { return Vec::new() };
    let mut kinds = Vec::new();
    let answers = &reply.sections[ANSWER];
    let qname = ask.qname.folded();
    match reply.rcode {
        0 if reply.is_referral() => kinds.push("referral"),
        0 if reply.has(AA) && answers.keys().any(|record| record.rtype == ask.qtype) => kinds.push("answer"),
        0 if reply.has(AA) && answers.is_empty() => kinds.push("nodata"),
        1 => kinds.push("formerr"),
        2 => kinds.push("servfail"),
        3 => kinds.push("nxdomain"),
        4 => kinds.push("notimp"),
        5 => kinds.push("refused"),
        6 => kinds.push("yxdomain"),
        16 => kinds.push("badvers"),
        _ => {}
    }
    if reply.has(TC) {
        kinds.push("truncated");
    }
    if reply.rcode != 0 && reply.rcode != 3 || ask.shape != Shape::Good {
        return kinds;
    }
    if ask.qclass == 3 {
        kinds.push("chaos");
    }
    if reply.rcode == 0
        && world
            .zone_of(&qname)
            .is_some_and(|zone| world.types(&zone, &qname).is_some_and(BTreeSet::is_empty))
    {
        kinds.push("empty non-terminal");
    }
    if super::rules::walk(reply, &qname).1 {
        kinds.push("alias loop");
    }
    if reply.of_type(AUTHORITY, 2).next().is_some() && !reply.sections[ADDITIONAL].is_empty() {
        kinds.push("glue");
    }
    if reply.of_type(ANSWER, 39).next().is_some() {
        kinds.push("dname");
    } else if reply.of_type(ANSWER, 5).next().is_some() && ask.qtype != 5 {
        kinds.push("cname chain");
    }
    if ask.qtype == 43 {
        kinds.push("ds");
    }
    if ask.qtype == 255 {
        kinds.push("any");
    }
    let unknown = !world.nodes.values().any(|nodes| nodes.contains_key(&qname));
    let dname = |record: &super::message::ReplyRecord| record.rtype == 39;
    if unknown && answers.keys().any(|record| record.owner == qname) && !answers.keys().any(dname) {
        kinds.push("wildcard");
    }
    kinds
}

/// Without names and numbers, so that like findings look alike.
fn words_only(text: &str) -> String {
    let plain = |word: &&str| !word.contains('.') && !word.chars().any(|c| c.is_ascii_digit());
    text.split_whitespace().filter(plain).collect::<Vec<_>>().join(" ")
}

fn example(ask: &Ask, world: &World, outcomes: &Outcomes, judgement: &Judgement) -> String {
    let mut text = format!("--- {}\n", ask.dig());
    for wrong in &judgement.wrong {
        let _ = writeln!(text, "    ours is wrong: {wrong}");
    }
    for (peer, differences) in &judgement.open {
        let _ = writeln!(text, "    differs from {}: {:?}", peer.label(), differences.0);
    }
    let mut names: BTreeSet<_> = [ask.qname.folded()].into();
    let labels = std::iter::once("ours").chain(world.peers.iter().map(|peer| peer.label()));
    for (label, outcome) in labels.zip(outcomes) {
        let _ = match outcome {
            Outcome::Silent => writeln!(text, "  {label:<8} silent"),
            Outcome::Absent => writeln!(text, "  {label:<8} hung"),
            Outcome::Garbled(why) => writeln!(text, "  {label:<8} {why}"),
            Outcome::Reply(reply) => {
                for record in reply.sections.iter().flat_map(|section| section.keys()).take(12) {
                    names.insert(record.owner.clone());
                }
                writeln!(text, "  {label:<8} {}", show(reply))
            }
        };
    }
    for above in ask.qname.ancestors().take(3).collect::<Vec<_>>() {
        names.insert(above.child(b"*").folded());
        names.insert(above.folded());
    }
    for line in world.excerpt(&names) {
        let _ = writeln!(text, "      {line}");
    }
    text
}

/// Long labels by their first octet and their length.
fn short(name: &super::names::DomainName) -> String {
    let mut name = name.clone();
    for label in name.0.iter_mut().filter(|label| label.len() > 20) {
        let octets = label.len();
        label.truncate(1);
        label.extend(format!("-{octets}").bytes());
    }
    name.text()
}

fn show(reply: &Reply) -> String {
    let mut text = format!("rcode {} flags {:#06x} {} octets", reply.rcode, reply.flags, reply.octets);
    match &reply.opt {
        Some(opt) => {
            let _ = write!(text, " OPT size {} flags {:#x} options {:?}", opt.size, opt.flags, opt.options);
        }
        None => text += " no OPT",
    }
    if reply.question.len() != 1 {
        let _ = write!(text, " {} questions", reply.question.len());
    }
    for (section, name) in ["ANSWER", "AUTHORITY", "ADDITIONAL"].iter().enumerate() {
        let records = &reply.sections[section];
        if !records.is_empty() {
            let _ = write!(text, "\n        {name} {}:", records.len());
        }
        for (record, count) in records.iter().take(6) {
            let names = [2, 5, 39, 12].contains(&record.rtype);
            let rdata = if names {
                short(&super::names::DomainName::from_wire(&record.rdata))
            } else {
                format!("{:02x?}", record.rdata.iter().take(12).collect::<Vec<_>>())
            };
            let _ = write!(text, " [{} {} T{} {rdata}", short(&record.owner), record.ttl, record.rtype);
            text += if *count > 1 { " TWICE]" } else { "]" };
        }
    }
    text
}
