//! The query path's steps in words: one line for each, with the section of the RFC that asks for it.

use pharos_answer::{End, Observer, Owner, Proves, Step, Subject};
use pharos_wire::Rtype;
use pharos_wire::hash::HashedName;
use pharos_wire::header::Section;
use pharos_wire::name::Text;
use pharos_zone::rdata::write_text;
use pharos_zonedb::image::Need;
use pharos_zonedb::nsec3::HASH_OCTETS;
use pharos_zonedb::{Node, RrSet, ZoneImage, ZoneSet, ZoneState};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Where a zone of the set came from.
pub(super) struct Origin {
    pub(super) path: PathBuf,
    /// Why it has no data, if it has none.
    pub(super) refusal: Option<String>,
}

/// Puts steps into words.
pub(super) struct Narrator<'a> {
    set: &'a ZoneSet,
    /// One for each zone of the set.
    origins: &'a [Origin],
    /// The type whose absence is proved: DS at a cut.
    denied: Rtype,
    signed: Signed,
    /// Index of the zone at hand.
    zone: usize,
    text: String,
}

/// Whether the client wants signatures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Wanted,
    Unwanted,
}

impl<'a> Narrator<'a> {
    pub(super) fn new(set: &'a ZoneSet, origins: &'a [Origin], qtype: Rtype, dnssec: bool) -> Self {
        let signed = if dnssec { Signed::Wanted } else { Signed::Unwanted };
        Self { set, origins, denied: qtype, signed, zone: 0, text: String::new() }
    }

    /// All lines so far.
    pub(super) fn told(&self) -> String {
        self.text.clone()
    }

    pub(super) fn heard_nothing(&self) -> bool {
        self.text.is_empty()
    }

    fn say(&mut self, topic: &str, what: &str) {
        let mut lines = what.trim_end().lines();
        let _ = writeln!(self.text, "{topic:<11} {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(self.text, "{:<11} {line}", "");
        }
    }

    fn zone(&mut self, name: &HashedName, zone: usize, apex_label: usize) {
        self.zone = zone;
        let apex = Text(name.suffix(apex_label)).to_string();
        let file = self.origins.get(zone).map(|origin| origin.path.display().to_string());
        let file = file.unwrap_or_default();
        let what = match self.set.state(zone) {
            Some(ZoneState::Live(image)) => {
                let (serial, denials) = (image.serial(), denials(image));
                format!(
                    "{apex} is the longest apex that encloses {} (RFC 1034 §4.3.2 step 2): {file}, serial {serial}, {denials}",
                    Text(name.as_wire())
                )
            }
            _ => format!("{apex} is configured: {file}"),
        };
        self.say("zone", &what);
    }

    fn not_loaded(&mut self) {
        let origin = self.origins.get(self.zone);
        let why = origin.and_then(|origin| origin.refusal.clone()).unwrap_or_default();
        self.say(
            "not loaded",
            &format!(
                "its file is refused, and a responder that starts now has no earlier data: SERVFAIL, or the end of a \
                 chain of aliases\n{why}"
            ),
        );
    }

    fn needs(&mut self, name: &HashedName, record: Node<'_>, proves: Proves, of: Subject) {
        let what = match record.rrset(Rtype::NSEC) {
            Some(nsec) => self.nsec(name, record, &nsec, proves, of),
            None => self.nsec3(name, record, proves, of).unwrap_or_default(),
        };
        self.say("needs", &what);
    }

    fn nsec(
        &self,
        name: &HashedName,
        record: Node<'_>,
        nsec: &RrSet<'_>,
        proves: Proves,
        of: Subject,
    ) -> String {
        let (owner, subject) = (owner_text(record), subject_text(name, of));
        let data = data_text(nsec);
        let (next, types) = data.split_once(' ').unwrap_or((&data, ""));
        let lacking = self.lacking();
        match proves {
            Proves::NoType => {
                format!("NSEC of {owner}: its types are {types}; {lacking} (RFC 4035 §3.1.3.1)")
            }
            Proves::Empty => format!(
                "NSEC {owner} to {next}: {subject} is between, and the next name lies below it, so it exists and has \
                 no types (RFC 4035 §3.1.3.1, RFC 4592 §2.2.2)"
            ),
            Proves::NoWildcard => {
                format!(
                    "NSEC {owner} to {next}: no wildcard {subject} stands for the name (RFC 4035 §3.1.3.2)"
                )
            }
            _ => format!(
                "NSEC {owner} to {next}: {subject} is between, so it does not exist (RFC 4035 §3.1.3.2)"
            ),
        }
    }

    /// None where the record proves nothing of the kind, which would be a fault of ours.
    fn nsec3(&self, name: &HashedName, record: Node<'_>, proves: Proves, of: Subject) -> Option<String> {
        let image = record.image();
        let data = data_text(&record.rrset(Rtype::NSEC3)?);
        // Algorithm, flags, iterations, salt, next hash, types (RFC 5155 §3.3).
        let mut words = data.splitn(6, ' ');
        let (_, flags, _, _) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let next = words.next()?.to_ascii_lowercase();
        let types = words.next().unwrap_or("none");
        let held = String::from_utf8_lossy(record.name().get(1..)?).into_owned();
        let (Subject::Suffix(label) | Subject::WildcardBelow(label)) = of;
        let apex_label = name.labels() - image.apex().labels().count();
        // What opt-out left without a record has its closest provable encloser above.
        let provable = |mut label: usize| {
            while label < apex_label && !is_member(image, name.suffix(label)) {
                label += 1;
            }
            label
        };
        let opt_out = if flags == "1" { "; opt-out: there may be unsigned delegations" } else { "" };
        let lacking = self.lacking();
        Some(match proves {
            Proves::Encloser => {
                let encloser = provable(label);
                let kind = if encloser == label { "closest encloser" } else { "closest provable encloser" };
                format!(
                    "NSEC3 {held} is the hash of {}, the {kind} (RFC 5155 §7.2.1)",
                    Text(name.suffix(encloser))
                )
            }
            Proves::NextCloser => {
                let encloser = if is_member(image, name.suffix(label)) { label } else { provable(label) };
                let next_closer = name.suffix(encloser.checked_sub(1)?);
                format!(
                    "NSEC3 {held} to {next}: between them is {}, the hash of {}, the next closer name, so that has no \
                     record{opt_out} (RFC 5155 §7.2.1)",
                    hash_text(image, next_closer)?,
                    Text(next_closer)
                )
            }
            Proves::NoWildcard => {
                let mut wildcard = b"\x01*".to_vec();
                wildcard.extend(name.suffix(provable(label)));
                if is_member(image, &wildcard) {
                    return Some(format!(
                        "NSEC3 {held} is the hash of {}, a wildcard that exists and does not stand for the name; what \
                         opt-out leaves out cannot be proved (RFC 5155 §12.2)",
                        Text(&wildcard)
                    ));
                }
                format!(
                    "NSEC3 {held} to {next}: between them is {}, the hash of {}, so that no wildcard stands for the \
                     name (RFC 5155 §7.2.2)",
                    hash_text(image, &wildcard)?,
                    Text(&wildcard)
                )
            }
            _ => format!(
                "NSEC3 {held} is the hash of {}: its types are {types}; {lacking} (RFC 5155 §7.2.3)",
                subject_text(name, of)
            ),
        })
    }

    fn lacking(&self) -> String {
        format!("{} is not among them", type_text(self.denied))
    }

    fn put(&mut self, name: &HashedName, section: Section, put: &Put<'_>) {
        let Put { owner, rrset, ttl, octets } = *put;
        let owner = match owner {
            Owner::Suffix(count) => {
                let wire = name.as_wire();
                Text(wire.get(wire.len().saturating_sub(count)..).unwrap_or_default()).to_string()
            }
            Owner::Node(node) => owner_text(node),
        };
        let why = match (section, rrset.rtype) {
            (Section::Answer, _) => "",
            (_, Rtype::NS) => "; whom to ask instead (RFC 1034 §4.3.2 step 3b)",
            (_, Rtype::DS) => "; the child's keys can be trusted (RFC 4035 §3.1.4)",
            (_, Rtype::SOA) => {
                "; so long the denial may be kept: the lesser of its TTL and MINIMUM (RFC 2308 §3)"
            }
            _ => "; the proof",
        };
        let topic = if section == Section::Answer { "answer" } else { "authority" };
        let what = format!("{owner} {ttl} {}{why}; now {octets} octets", self.records_text(&rrset));
        self.say(topic, &what);
    }

    fn records_text(&self, rrset: &RrSet<'_>) -> String {
        let mut text = format!("{}, {}", type_text(rrset.rtype), counted(rrset.count.into(), "record"));
        if self.signed == Signed::Wanted {
            let _ = write!(text, ", {}", counted(rrset.signature_count(), "signature"));
        }
        text
    }
}

/// What was put into a section.
struct Put<'a> {
    owner: Owner<'a>,
    rrset: RrSet<'a>,
    ttl: u32,
    octets: usize,
}

impl Observer for Narrator<'_> {
    fn note(&mut self, name: &HashedName, step: Step<'_>) {
        match step {
            Step::Zone { zone, apex_label } => self.zone(name, zone, apex_label),
            Step::NotLoaded => self.not_loaded(),
            Step::Needs { record, proves, of } => self.needs(name, record, proves, of),
            Step::Put { section, owner, rrset, ttl, octets } => {
                self.put(name, section, &Put { owner, rrset, ttl, octets });
            }
            _ => {
                if matches!(step, Step::Cut(_)) {
                    self.denied = Rtype::DS;
                }
                // A step that has no words yet shows by the reply alone.
                let words = found(name, &step, self.denied).or_else(|| wrote(name, &step));
                if let Some((topic, what)) = words {
                    self.say(topic, &what);
                }
            }
        }
    }
}

/// What a look-up came upon: a topic, and words.
fn found(name: &HashedName, step: &Step<'_>, denied: Rtype) -> Option<(&'static str, String)> {
    let at = |label: usize| Text(name.suffix(label)).to_string();
    Some(match *step {
        Step::NoZone => {
            ("no zone", format!("none here encloses {}: REFUSED, or the end of a chain of aliases", at(0)))
        }
        Step::Exists(node) => {
            ("name", format!("{} exists, {} (RFC 1034 §4.3.2 step 3a)", at(0), types_at(node)))
        }
        Step::ClosestEncloser(label) => (
            "name",
            format!("{} does not exist; its closest encloser is {} (RFC 4592 §3.3.1)", at(0), at(label)),
        ),
        Step::Cut(label) => {
            ("cut", format!("{} is delegated: a referral (RFC 1034 §4.3.2 step 3b)", at(label)))
        }
        Step::Dname(label) => {
            ("dname", format!("{} redirects all names below it (RFC 6672 §3.2)", at(label)))
        }
        Step::Wildcard(node) => {
            let (owner, types) = (owner_text(node), types_at(node));
            ("wildcard", format!("{owner} stands for the name, {types} (RFC 1034 §4.3.2 step 3c)"))
        }
        Step::Alias => (
            "alias",
            format!("{} is an alias: its target is looked up next (RFC 1034 §4.3.2 step 3a)", at(0)),
        ),
        Step::ChainEnds(end) => {
            let why = match end {
                End::Loop => "was met before: a loop, which is a fault of the data (RFC 1034 §3.6.2)",
                End::Bound => "would be one alias too many; the client can ask for it",
                End::Length => "is left to the client: the reply is beyond the reach of compression",
            };
            ("chain", format!("{} {why}", at(0)))
        }
        Step::NameTooLong => {
            ("name", format!("{} would become longer than 255 octets: YXDOMAIN (RFC 6672 §2.2)", at(0)))
        }
        Step::NoData => {
            ("denial", format!("there is no {} there: NODATA (RFC 2308 §2.2)", type_text(denied)))
        }
        Step::NxDomain => {
            ("denial", "nor does a wildcard stand for the name: NXDOMAIN (RFC 2308 §2.1)".to_owned())
        }
        _ => return None,
    })
}

/// What went into the reply besides whole RRsets, and what did not: a topic, and words.
fn wrote(name: &HashedName, step: &Step<'_>) -> Option<(&'static str, String)> {
    let qname = Text(name.as_wire());
    Some(match *step {
        Step::Signatures(rrset) => {
            let (count, covered) = (counted(rrset.signature_count(), "signature"), type_text(rrset.rtype));
            ("answer", format!("{qname} RRSIG, {count} over {covered}"))
        }
        Step::Synthesized => ("answer", format!("{qname} CNAME, made as the DNAME demands (RFC 6672 §3.1)")),
        Step::Additional { node, rrset, need, octets } => {
            let why = match need {
                Need::Required => "glue that the referral needs (RFC 9471 §3.1)",
                Need::Helpful => "saves the client a query (RFC 1034 §4.3.2 step 6)",
            };
            let (owner, rtype) = (owner_text(node), type_text(rrset.rtype));
            let count = counted(rrset.count.into(), "record");
            ("additional", format!("{owner} {} {rtype}, {count}; {why}; now {octets} octets", rrset.ttl))
        }
        Step::AdditionalSignatures { node, rtype } => {
            let (owner, rtype) = (owner_text(node), type_text(rtype));
            ("additional", format!("{owner} RRSIG over {rtype}; where they fit (RFC 4035 §3.1.1)"))
        }
        Step::LeftOut { node, rtype } => {
            let (owner, rtype) = (owner_text(node), type_text(rtype));
            let what = format!("{owner} {rtype} would help and does not fit; no reason for TC (RFC 2181 §9)");
            ("left out", what)
        }
        Step::DidNotFit { rtype, octets } => {
            let rtype = type_text(rtype);
            let what =
                format!("{rtype} does not fit behind {octets} octets, and the client needs it (RFC 2181 §9)");
            ("truncated", what)
        }
        _ => return None,
    })
}

/// How a zone denies.
fn denials(image: &ZoneImage) -> &'static str {
    match (image.nsec3(), image.apex_node().rrset(Rtype::NSEC)) {
        (Some(_), _) => "signed, denials by NSEC3",
        (None, Some(_)) => "signed, denials by NSEC",
        (None, None) => "unsigned",
    }
}

fn types_at(node: Node<'_>) -> String {
    let types: Vec<String> = node.rrsets().map(|rrset| type_text(rrset.rtype)).collect();
    if types.is_empty() { "an empty non-terminal".to_owned() } else { format!("with {}", types.join(" ")) }
}

fn owner_text(node: Node<'_>) -> String {
    let mut name = node.name().to_vec();
    name.extend(node.image().apex().as_wire());
    Text(&name).to_string()
}

fn subject_text(name: &HashedName, of: Subject) -> String {
    match of {
        Subject::Suffix(label) => Text(name.suffix(label)).to_string(),
        Subject::WildcardBelow(label) => {
            let mut wildcard = b"\x01*".to_vec();
            wildcard.extend(name.suffix(label));
            Text(&wildcard).to_string()
        }
    }
}

/// The data of an RRset that holds one record and no compressed name.
fn data_text(rrset: &RrSet<'_>) -> String {
    let mut text = String::new();
    if let Some(record) = rrset.records().next() {
        write_text(rrset.rtype.0, record.rdata(), &mut text);
    }
    text
}

fn type_text(rtype: Rtype) -> String {
    rtype.mnemonic().map_or_else(|| pharos_zone::rtype::Display(rtype.0).to_string(), ToOwned::to_owned)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Whether the NSEC3 chain has a record that matches the name.
fn is_member(image: &ZoneImage, name: &[u8]) -> bool {
    let member = || {
        let hash = image.nsec3()?.hash(&[name]);
        Some(image.nsec3_for(&hash)?.name().get(1..)? == base32hex(&hash).as_bytes())
    };
    member().unwrap_or(false)
}

fn hash_text(image: &ZoneImage, name: &[u8]) -> Option<String> {
    Some(base32hex(&image.nsec3()?.hash(&[name])))
}

/// As owners of NSEC3 records are written (RFC 5155 §1.3, RFC 4648 §7), in lower case.
fn base32hex(hash: &[u8; HASH_OCTETS]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = String::new();
    let (mut bits, mut held) = (0u32, 0);
    for &octet in hash {
        bits = bits << 8 | u32::from(octet);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(DIGITS[(bits >> held & 31) as usize]));
        }
    }
    text
}
