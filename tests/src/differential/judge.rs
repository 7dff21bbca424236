//! Compares our reply with each peer's, and asks the rules about every difference.
//!
//! A difference stands unless a rule takes it away, from each peer by itself: agreement with one peer does not
//! excuse a difference from another. What must hold of our reply whatever the peers say is checked first.

use std::collections::BTreeSet;

use super::message::{ADDITIONAL, ANSWER, AUTHORITY, Reply, TC};
use super::names::DomainName;
use super::oracle::{Denial, expect};
use super::queries::{Ask, Transport};
use super::rules::RULES;
use super::world::World;
use pharos_testkit::peers::{Peer, UDP_SIZE};

/// What came of a query at one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// No reply, or the connection was closed.
    Silent,
    /// A reply that cannot be decoded, and why.
    Garbled(String),
    /// Nobody was there to ask: the server hung and was started anew.
    Absent,
    /// A reply.
    Reply(Reply),
}

impl Outcome {
    /// From what was received.
    pub fn of(received: Option<&[u8]>) -> Self {
        match received.map(Reply::decode) {
            None => Self::Silent,
            Some(Err(why)) => Self::Garbled(why),
            Some(Ok(reply)) => Self::Reply(reply),
        }
    }

    /// The reply, if there is one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Reply(reply) => Some(reply),
            _ => None,
        }
    }
}

/// In what two replies can differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Aspect {
    /// One replies and the other does not.
    Silence,
    /// The peer's reply cannot be decoded.
    Garbled,
    /// The response code.
    Rcode,
    /// AA.
    Aa,
    /// TC.
    Tc,
    /// RD.
    Rd,
    /// RA, Z, AD, CD or the opcode.
    OtherFlags,
    /// The question section, with its case.
    Question,
    /// Whether there is an OPT record.
    OptPresence,
    /// The EDNS version.
    OptVersion,
    /// DO and the other flags of EDNS.
    OptFlags,
    /// Whether NSID and other options are there.
    OptOptions,
    /// Records of the answer section.
    Answer,
    /// Records of the authority section.
    Authority,
    /// Records of the additional section.
    Additional,
}

/// The aspects of the three sections.
pub const SECTIONS: [Aspect; 3] = [Aspect::Answer, Aspect::Authority, Aspect::Additional];

/// The differences between our reply and one peer's that no rule has taken away yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Differences(pub BTreeSet<Aspect>);

impl Differences {
    fn between(ours: &Outcome, theirs: &Outcome) -> Self {
        let mut found = BTreeSet::new();
        match (ours, theirs) {
            (Outcome::Reply(ours), Outcome::Reply(theirs)) => return Self::of_replies(ours, theirs),
            (Outcome::Silent, Outcome::Silent) | (_, Outcome::Absent) => {}
            (_, Outcome::Garbled(_)) => {
                found.insert(Aspect::Garbled);
            }
            _ => {
                found.insert(Aspect::Silence);
            }
        }
        Self(found)
    }

    fn of_replies(ours: &Reply, theirs: &Reply) -> Self {
        let opt = |reply: &Reply, what: fn(&super::message::ReplyOpt) -> Vec<u16>| {
            reply.opt.as_ref().map(what).unwrap_or_default()
        };
        let both = ours.opt.is_some() && theirs.opt.is_some();
        let checks = [
            (Aspect::Rcode, ours.rcode != theirs.rcode),
            (Aspect::Aa, (ours.flags ^ theirs.flags) & 0x0400 != 0),
            (Aspect::Tc, (ours.flags ^ theirs.flags) & TC != 0),
            (Aspect::Rd, (ours.flags ^ theirs.flags) & 0x0100 != 0),
            (Aspect::OtherFlags, (ours.flags ^ theirs.flags) & !0x0700 != 0),
            (Aspect::Question, ours.question != theirs.question),
            (Aspect::OptPresence, ours.opt.is_some() != theirs.opt.is_some()),
            (
                Aspect::OptVersion,
                both && opt(ours, |opt| vec![opt.version.into()])
                    != opt(theirs, |opt| vec![opt.version.into()]),
            ),
            (
                Aspect::OptFlags,
                both && opt(ours, |opt| vec![opt.flags]) != opt(theirs, |opt| vec![opt.flags]),
            ),
            (
                Aspect::OptOptions,
                both && opt(ours, |opt| opt.options.clone()) != opt(theirs, |opt| opt.options.clone()),
            ),
            (Aspect::Answer, ours.sections[ANSWER] != theirs.sections[ANSWER]),
            (Aspect::Authority, ours.sections[AUTHORITY] != theirs.sections[AUTHORITY]),
            (Aspect::Additional, ours.sections[ADDITIONAL] != theirs.sections[ADDITIONAL]),
        ];
        Self(checks.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect())
    }

    /// Whether an aspect differs.
    pub fn has(&self, aspect: Aspect) -> bool {
        self.0.contains(&aspect)
    }

    /// Takes differences away.
    pub fn excuse(&mut self, aspects: &[Aspect]) {
        self.0.retain(|aspect| !aspects.contains(aspect));
    }
}

/// A query with the replies of ours and of one peer: what a rule judges.
pub struct Case<'a> {
    /// The query.
    pub ask: &'a Ask,
    /// The zones.
    pub world: &'a World,
    /// The peer.
    pub peer: Peer,
    /// Our reply.
    pub ours: &'a Reply,
    /// The peer's reply.
    pub theirs: &'a Reply,
    /// Our reply to the same query over TCP.
    pub ours_whole: &'a Reply,
    /// The peer's reply to the same query over TCP.
    pub theirs_whole: &'a Reply,
}

/// The outcomes of a query at all servers: ours, then the world's peers.
pub type Outcomes = Vec<Outcome>;

/// What was found about one query.
#[derive(Default)]
pub struct Judgement {
    /// Which rules decided something, for which peer.
    pub decided: Vec<(&'static str, Peer)>,
    /// Differences that no rule decides.
    pub open: Vec<(Peer, Differences)>,
    /// What is wrong with our reply by itself.
    pub wrong: Vec<String>,
}

impl Judgement {
    /// Whether nothing remains.
    pub fn is_good(&self) -> bool {
        self.open.is_empty() && self.wrong.is_empty()
    }
}

/// Judges one query. `whole` are the outcomes over TCP, where they were asked for.
pub fn judge(ask: &Ask, world: &World, outcomes: &Outcomes, whole: Option<&Outcomes>) -> Judgement {
    let mut judgement = Judgement::default();
    let empty = Reply::default();
    if let Outcome::Garbled(why) = &outcomes[0] {
        judgement.wrong.push(format!("our reply cannot be decoded: {why}"));
    }
    if outcomes[0] == Outcome::Silent && expect(ask, world, Denial::Hashed(0)).is_some() {
        judgement.wrong.push("no reply".to_owned());
    }
    if let Some(ours) = outcomes[0].reply() {
        judgement.wrong = faults(ask, world, ours, whole.and_then(|whole| whole[0].reply()));
    }
    for (slot, peer) in world.peers.iter().copied().enumerate() {
        let (theirs, theirs_whole) =
            (&outcomes[slot + 1], whole.map_or(&outcomes[slot + 1], |all| &all[slot + 1]));
        let mut differences = Differences::between(&outcomes[0], theirs);
        if differences.0.is_empty() {
            continue;
        }
        let case = Case {
            ask,
            world,
            peer,
            ours: outcomes[0].reply().unwrap_or(&empty),
            theirs: theirs.reply().unwrap_or(&empty),
            ours_whole: whole.map_or(&outcomes[0], |all| &all[0]).reply().unwrap_or(&empty),
            theirs_whole: theirs_whole.reply().unwrap_or(&empty),
        };
        for rule in RULES {
            let before = differences.0.len();
            (rule.decide)(&case, &mut differences);
            if differences.0.len() < before {
                judgement.decided.push((rule.name, peer));
            }
            if differences.0.is_empty() {
                break;
            }
        }
        if !differences.0.is_empty() {
            judgement.open.push((peer, differences));
        }
    }
    judgement
}

/// What must hold of our reply whatever others do.
fn faults(ask: &Ask, world: &World, ours: &Reply, whole: Option<&Reply>) -> Vec<String> {
    let mut faults = Vec::new();
    if ours.octets > ask.limit() {
        faults.push(format!("{} octets where {} are the limit", ours.octets, ask.limit()));
    }
    if ours.flags & 0x8000 == 0 || ours.flags & 0x00f0 != 0 {
        faults.push(format!("flags {:#06x}", ours.flags));
    }
    for (section, name) in ["answer", "authority", "additional"].iter().enumerate() {
        if let Some((record, _)) = ours.sections[section].iter().find(|(_, count)| **count > 1) {
            faults.push(format!("{} TYPE{} twice in the {name} section", record.owner.text(), record.rtype));
        }
    }
    if let Some(opt) = &ours.opt
        && (opt.size != UDP_SIZE || opt.version != 0)
    {
        faults.push(format!("OPT says size {} and version {}", opt.size, opt.version));
    }
    faults.extend(unexpected(ask, world, ours));
    if let (Transport::Udp, Some(whole)) = (ask.transport, whole) {
        faults.extend(truncation_faults(ask, ours, whole));
    }
    faults
}

/// What the oracle would have otherwise, whichever of a zone's complete chains proves its denials.
fn unexpected(ask: &Ask, world: &World, ours: &Reply) -> Vec<String> {
    let chains = world.facts.values().map(|zone| zone.chains.len()).max().unwrap_or_default();
    let mut first = None;
    for denial in (0..chains.max(1)).map(Denial::Hashed).chain([Denial::Plain]) {
        let faults = match expect(ask, world, denial) {
            Some(expected) => expected.faults(ask, ours),
            None => vec!["a reply where silence is expected".to_owned()],
        };
        if faults.is_empty() {
            return faults;
        }
        first.get_or_insert(faults);
    }
    first.unwrap_or_default()
}

/// TC is set exactly when something that the client needs is missing (RFC 2181 §9, RFC 9471 §3).
fn truncation_faults(ask: &Ask, ours: &Reply, whole: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    let needed = |section: usize| {
        whole.sections[section].keys().filter(|record| !ours.sections[section].contains_key(*record)).count()
    };
    let missing = needed(ANSWER) + needed(AUTHORITY) + missing_required_glue(ours, whole).len();
    if ours.has(TC) && missing == 0 {
        faults.push("TC is set though nothing that is needed is missing".to_owned());
    }
    if ours.has(TC) && whole.octets <= ask.limit() {
        faults.push(format!("TC is set though the whole reply of {} octets fits", whole.octets));
    }
    if !ours.has(TC) && missing > 0 {
        faults.push(format!("{missing} records that are needed are missing, without TC"));
    }
    if ours.rcode != whole.rcode && !ours.has(TC) {
        faults.push(format!("rcode {} over UDP and {} over TCP", ours.rcode, whole.rcode));
    }
    faults
}

/// The in-domain glue of a referral (RFC 9471 §3.1) that the whole reply has and this one lacks. Ours has NS in
/// the authority section for referrals alone, perhaps behind an alias.
fn missing_required_glue(reply: &Reply, whole: &Reply) -> Vec<DomainName> {
    let in_domain = |owner: &DomainName| {
        whole.of_type(AUTHORITY, 2).any(|ns| ns.rdata == owner.wire() && owner.within(&ns.owner))
    };
    let lacks = |record: &&super::message::ReplyRecord| {
        in_domain(&record.owner) && !reply.sections[ADDITIONAL].contains_key(*record)
    };
    whole.sections[ADDITIONAL].keys().filter(lacks).map(|record| record.owner.clone()).collect()
}
