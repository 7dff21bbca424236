//! A zone with every situation in which an answer or a denial differs, and what must be said of each.

use std::collections::BTreeSet;

use hickory_proto::rr::RecordType;

use super::sign::{Algorithm, Denial, Signed, Signer};
use super::{Outcome, Trust, Verdict};
use crate::differential::random::Random;

/// The zone that is asked about.
pub const APEX: &str = "signed.test";

/// All that is served: the root, where trust begins, the zone, and two children.
pub const SERVED: [&str; 4] = [".", APEX, "child.signed.test", "plain.signed.test"];

/// The root, but for the DS of the zone.
const ROOT: &str = "\
$TTL 3600
@ SOA ns.signed.test. hostmaster 1 7200 1800 1209600 300
@ NS ns.signed.test.
signed.test NS ns.signed.test.
ns.signed.test A 192.0.2.53
";

/// The zone's records, but for the DS of `child`. The delegations to 192.0.2.4 lead nowhere; those to `ns` are to
/// zones that are served beside this one.
const ZONE: &str = "\
$TTL 3600
@ SOA ns hostmaster 1 7200 1800 1209600 300
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
mail A 192.0.2.25
alias CNAME mail
chain CNAME alias
towild CNAME x.wild
tonowhere CNAME nope
tochild CNAME www.child
toplain CNAME www.plain
leaf.empty A 192.0.2.1
*.wild A 192.0.2.2
*.wildalias CNAME mail
there.wild TXT \"closer\"
d DNAME empty
tod CNAME leaf.d
secure NS ns.secure
secure DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.secure A 192.0.2.4
insecure NS ns.insecure
ns.insecure A 192.0.2.4
under.optout NS ns.insecure
child NS ns
plain NS ns
";

/// Two zones below it, the first of them signed.
const CHILD: &str = "\
$TTL 3600
@ SOA ns.signed.test. hostmaster 1 7200 1800 1209600 300
@ NS ns.signed.test.
www A 192.0.2.80
";

/// Below these, names are of zones that nobody serves: only what their parent has can be asked for.
const DEAD: [&str; 3] = ["secure", "insecure", "under.optout"];

/// What must be said of a question, whichever way the zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It is secure.
    Secure,
    /// It rests on a record that covers a name. With opt-out that leaves room for unsigned delegations, and
    /// then the verdict is insecure (RFC 5155 §9.2).
    Spanned,
    /// It is below an unsigned delegation.
    Insecure,
}

/// A question, and the verdict that is right.
#[derive(Debug, Clone)]
pub struct Question {
    /// Absolute.
    pub qname: String,
    /// The type asked for.
    pub rtype: RecordType,
    /// What must become of it; `None` where no more is known than that it must not fail.
    pub outcome: Option<Outcome>,
    /// The verdicts that are right, the best first.
    pub trust: Vec<Trust>,
}

impl Question {
    /// Whether a verdict is right.
    pub fn fits(&self, verdict: Verdict) -> bool {
        let outcome = match self.outcome {
            Some(outcome) => verdict.outcome == outcome,
            None => verdict.outcome != Outcome::Failure,
        };
        outcome && self.trust.contains(&verdict.trust)
    }

    /// Whether it asks for a name that begins with an asterisk and is not in the zone, so that it is expanded like any
    /// other (RFC 4592 §2.2.1).
    pub fn expands_asterisk(&self) -> bool {
        self.qname.starts_with("*.")
            && !ZONE.lines().any(|line| {
                let owner = line.split(' ').next().unwrap_or_default();
                self.qname.eq_ignore_ascii_case(&absolute(owner))
            })
    }

    /// Whether it asks for the CNAME that a DNAME makes, which is never signed (RFC 6672 §5.3.1).
    pub fn wants_synthesized(&self) -> bool {
        self.rtype == RecordType::CNAME && self.qname.ends_with(&format!(".d.{APEX}."))
    }
}

/// The root and the zone, signed, with the children beside them.
pub fn sign(signer: &Signer, algorithms: &[Algorithm], denial: Denial) -> [Signed; 2] {
    let child = signer.sign(&format!("child.{APEX}"), CHILD, algorithms, denial);
    signer.leave_unsigned(&format!("plain.{APEX}"), CHILD);
    let zone = signer.sign(APEX, &format!("{ZONE}{}", child.ds()), algorithms, denial);
    [signer.sign(".", &format!("{ROOT}{}", zone.ds()), algorithms, denial), zone]
}

/// One question of every kind.
pub fn every_kind(zone: &Signed, denial: Denial) -> Vec<Question> {
    use Expected::{Insecure, Secure, Spanned};
    use Outcome::{Answer, NoData, NoName};
    use RecordType::{A, AAAA, CNAME, DNSKEY, DS, MX, NS, NSEC, NSEC3, NSEC3PARAM, SOA, TXT};
    let with_nsec = if denial == Denial::Nsec { Answer } else { NoData };
    let with_nsec3 = if denial == Denial::Nsec { NoData } else { Answer };
    let kinds = [
        // What is there, and types that are not (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3).
        ("", SOA, Answer, Secure),
        ("", NS, Answer, Secure),
        ("", MX, Answer, Secure),
        ("", DNSKEY, Answer, Secure),
        ("", TXT, NoData, Secure),
        ("", NSEC3PARAM, with_nsec3, Secure),
        ("", NSEC, with_nsec, Secure),
        ("", DS, Answer, Secure),
        ("mail", A, Answer, Secure),
        ("MAIL", A, Answer, Secure),
        ("mail", AAAA, NoData, Secure),
        ("mail", NSEC, with_nsec, Secure),
        ("mail", DS, NoData, Secure),
        // Empty non-terminals (RFC 4035 §3.1.3.2, RFC 5155 §7.2.3).
        ("leaf.empty", A, Answer, Secure),
        ("empty", A, NoData, Secure),
        ("empty", DS, NoData, Secure),
        ("wild", A, NoData, Secure),
        ("optout", A, NoData, Spanned),
        // Names that are not there: below the apex, deep, below an empty non-terminal (§3.1.3.2, §7.2.2).
        ("nope", A, NoName, Spanned),
        ("a.b.c.mail", A, NoName, Spanned),
        ("foo.empty", A, NoName, Spanned),
        ("x.there.wild", A, NoName, Spanned),
        ("nope", DS, NoName, Spanned),
        // Wildcards: expanded, without the type, by name (§3.1.3.3, §3.1.3.4, §7.2.5, §7.2.6).
        ("x.wild", A, Answer, Spanned),
        ("x.y.wild", A, Answer, Spanned),
        ("x.wild", MX, NoData, Spanned),
        ("x.wild", DS, NoData, Spanned),
        ("*.y.wild", A, Answer, Spanned),
        ("*.wild", A, Answer, Secure),
        ("*.wild", MX, NoData, Secure),
        ("there.wild", TXT, Answer, Secure),
        ("there.wild", A, NoData, Secure),
        ("x.wildalias", A, Answer, Spanned),
        ("x.wildalias", CNAME, Answer, Spanned),
        ("x.wildalias", DS, NoData, Spanned),
        // Aliases: within, to a wildcard, to nothing, into other zones.
        ("alias", A, Answer, Secure),
        ("alias", CNAME, Answer, Secure),
        ("alias", TXT, NoData, Secure),
        ("alias", DS, NoData, Secure),
        ("chain", A, Answer, Secure),
        ("towild", A, Answer, Spanned),
        ("towild", MX, NoData, Spanned),
        ("tonowhere", A, NoName, Spanned),
        ("tochild", A, Answer, Secure),
        ("tochild", MX, NoData, Secure),
        ("toplain", A, Answer, Insecure),
        // DNAME, and what it makes of names below it (RFC 6672 §5.3.1).
        ("d", RecordType::from(39), Answer, Secure),
        ("d", A, NoData, Secure),
        ("leaf.d", A, Answer, Secure),
        ("leaf.d", TXT, NoData, Secure),
        ("foo.d", A, NoName, Spanned),
        ("leaf.d", CNAME, Answer, Secure),
        ("tod", A, Answer, Secure),
        // Delegations: DS, none, none within a span of opt-out (RFC 4035 §3.1.4.1, RFC 5155 §7.2.4).
        ("secure", DS, Answer, Secure),
        ("insecure", DS, NoData, Spanned),
        ("under.optout", DS, NoData, Spanned),
        // Children that are served here: DS is the parent's, all else their own.
        ("child", DS, Answer, Secure),
        ("child", SOA, Answer, Secure),
        ("child", NS, Answer, Secure),
        ("child", DNSKEY, Answer, Secure),
        ("child", TXT, NoData, Secure),
        ("www.child", A, Answer, Secure),
        ("nope.child", A, NoName, Spanned),
        ("plain", DS, NoData, Spanned),
        ("plain", SOA, Answer, Insecure),
        ("www.plain", A, Answer, Insecure),
        ("nope.plain", A, NoName, Insecure),
    ];
    let mut questions: Vec<Question> = kinds
        .into_iter()
        .map(|(name, rtype, outcome, trust)| question(name, rtype, outcome, trust, denial))
        .collect();
    // Owners of NSEC3 records exist for nobody who asks (RFC 5155 §7.2.8).
    if let Some(label) = zone.nsec3_label() {
        for (name, rtype) in [(label.to_owned(), A), (label.to_owned(), NSEC3), (format!("x.{label}"), A)] {
            questions.push(question(&name, rtype, NoName, Spanned, denial));
        }
    }
    questions
}

fn question(name: &str, rtype: RecordType, outcome: Outcome, expected: Expected, denial: Denial) -> Question {
    let trust = match expected {
        Expected::Secure => vec![Trust::Secure],
        Expected::Spanned if denial == Denial::Nsec3OptOut => vec![Trust::Secure, Trust::Insecure],
        Expected::Spanned => vec![Trust::Secure],
        Expected::Insecure => vec![Trust::Insecure],
    };
    Question { qname: absolute(name), rtype, outcome: Some(outcome), trust }
}

fn absolute(name: &str) -> String {
    if name.is_empty() { format!("{APEX}.") } else { format!("{name}.{APEX}.") }
}

/// Questions that follow from a seed: names of the zone, names beside, above and below them, and types that
/// they have and have not.
pub fn at_random(random: &mut Random, denial: Denial, count: usize) -> Vec<Question> {
    let owners: BTreeSet<&str> = ZONE.lines().filter_map(|line| line.split(' ').next()).collect();
    let owners: Vec<&str> = owners.into_iter().filter(|owner| !owner.starts_with(['$', '@'])).collect();
    let types = [
        RecordType::A,
        RecordType::AAAA,
        RecordType::CAA,
        RecordType::CNAME,
        RecordType::DNSKEY,
        RecordType::DS,
        RecordType::MX,
        RecordType::NS,
        RecordType::NSEC,
        RecordType::SOA,
        RecordType::SRV,
        RecordType::TXT,
    ];
    let mut questions = Vec::with_capacity(count);
    while questions.len() < count {
        let mut labels: Vec<String> = random.pick(&owners).split('.').map(str::to_owned).collect();
        match random.below(4) {
            0 => {}
            1 => labels[0] = label(random),
            2 => labels.insert(0, label(random)),
            _ => drop(labels.remove(0)),
        }
        if random.percent(20) {
            labels.insert(0, label(random));
        }
        let (name, rtype) = (labels.join("."), random.pick(&types));
        let dead = DEAD
            .iter()
            .any(|cut| name.ends_with(&format!(".{cut}")) || (name == *cut && rtype != RecordType::DS));
        // What is below `plain` is not signed, nor is what an alias finds there.
        let unsigned = name == "toplain" || name.ends_with("plain");
        if dead {
            continue;
        }
        let mut trust = vec![Trust::Secure];
        if unsigned || denial == Denial::Nsec3OptOut {
            trust.push(Trust::Insecure);
        }
        questions.push(Question { qname: absolute(&name), rtype, outcome: None, trust });
    }
    questions
}

/// A label from end to end of the canonical order; often short, so that it collides with others.
fn label(random: &mut Random) -> String {
    if random.percent(10) {
        return "*".to_owned();
    }
    let length = random.between(1, 5);
    (0..length).map(|_| random.pick(b"-0129_abcmnstwxyzAMZ") as char).collect()
}
