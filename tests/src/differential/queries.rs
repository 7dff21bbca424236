//! Queries for a world: what exists, what nearly exists, what does not; in every shape a message can have.
//!
//! Each kind of question has a weight, so that every kind of answer comes up often enough to mean something.

use super::message::ReplyRecord;
use super::names::DomainName;
use super::oracle::comes_back;
use super::random::Random;
use super::rdata::{TYPES, type_number};
use super::world::World;

/// How a query travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// The client's EDNS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AskEdns {
    /// The client's UDP size.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// Flags, DO among them.
    pub flags: u16,
    /// Options, each with its code.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// Whether a message is as it should be, or what is odd about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shape {
    /// One question, at most one OPT record, nothing else.
    Good,
    /// QDCOUNT 0 and no question.
    NoQuestion,
    /// QDCOUNT 2.
    TwoQuestions,
    /// Octets behind the last record.
    Trailing,
    /// A record in the answer section of the query.
    AnswerRecord,
    /// A record in the additional section, before OPT.
    AdditionalRecord,
    /// A record behind OPT.
    RecordAfterOpt,
    /// Two OPT records.
    TwoOpts,
    /// An OPT record with an owner other than the root.
    OptOwner,
    /// An OPT record in the answer section.
    OptInAnswer,
    /// An option longer than its record.
    OptionOverrun,
    /// The message ends within the qname.
    CutInName,
    /// The message ends within OPT.
    CutInOpt,
    /// A label of a kind that is not in use.
    LabelKind,
    /// A qname of more than 255 octets.
    NameTooLong,
    /// A qname that is a compression pointer.
    Pointer,
    /// The QR bit is set.
    Response,
    /// Less than a header.
    Short,
}

impl Shape {
    /// Whether header, question and OPT can be read.
    pub fn is_readable(self) -> bool {
        matches!(
            self,
            Self::Good | Self::Trailing | Self::AnswerRecord | Self::AdditionalRecord | Self::RecordAfterOpt
        )
    }
}

const ODD: &[Shape] = &[
    Shape::NoQuestion,
    Shape::TwoQuestions,
    Shape::Trailing,
    Shape::AnswerRecord,
    Shape::AdditionalRecord,
    Shape::RecordAfterOpt,
    Shape::TwoOpts,
    Shape::OptOwner,
    Shape::OptInAnswer,
    Shape::OptionOverrun,
    Shape::CutInName,
    Shape::CutInOpt,
    Shape::LabelKind,
    Shape::NameTooLong,
    Shape::Pointer,
    Shape::Response,
    Shape::Short,
];

/// A query and what is known of it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its octets; the identifier is the exchange's business.
    pub message: Vec<u8>,
    /// How it travels.
    pub transport: Transport,
    /// The name asked for, in its case.
    pub qname: DomainName,
    /// The type asked for.
    pub qtype: u16,
    /// The class asked for.
    pub qclass: u16,
    /// Its opcode.
    pub opcode: u8,
    /// Its EDNS.
    pub edns: Option<AskEdns>,
    /// Its shape.
    pub shape: Shape,
}

impl Ask {
    /// Whether servers may stay silent or close the connection.
    pub fn is_odd(&self) -> bool {
        self.shape != Shape::Good || self.opcode != 0 || matches!(self.qtype, 251 | 252)
    }

    /// The most octets of a reply.
    pub fn limit(&self) -> usize {
        match (self.transport, &self.edns) {
            (Transport::Tcp, _) => 65_535,
            (Transport::Udp, None) => 512,
            (Transport::Udp, Some(edns)) => {
                usize::from(edns.size.clamp(512, pharos_testkit::peers::UDP_SIZE))
            }
        }
    }

    /// The same over TCP.
    pub fn over_tcp(&self) -> Self {
        Self { transport: Transport::Tcp, ..self.clone() }
    }

    /// In the words of dig.
    pub fn dig(&self) -> String {
        let mut text = format!("{} TYPE{} CLASS{}", self.qname.text(), self.qtype, self.qclass);
        if self.transport == Transport::Tcp {
            text += " +tcp";
        }
        match &self.edns {
            None => text += " +noedns",
            Some(edns) => {
                text +=
                    &format!(" +bufsize={} +ednsflags={:#x} +edns={}", edns.size, edns.flags, edns.version);
                for (code, data) in &edns.options {
                    text += &format!(" +ednsopt={code}:{data:02x?}");
                }
            }
        }
        if self.opcode != 0 {
            text += &format!(" +opcode={}", self.opcode);
        }
        let flags = u16::from_be_bytes([
            self.message.get(2).copied().unwrap_or_default(),
            self.message.get(3).copied().unwrap_or_default(),
        ]);
        text + &format!(" flags={flags:#06x} shape={:?}", self.shape)
    }
}

/// Lists of a world's names, by what they are good for.
pub struct Palette<'w> {
    world: &'w World,
    with_types: Vec<(DomainName, Vec<u16>)>,
    empty: Vec<DomainName>,
    wildcards: Vec<DomainName>,
    cuts: Vec<DomainName>,
    dnames: Vec<DomainName>,
    /// Owners of DNAMEs with a longer target.
    stretching: Vec<DomainName>,
    cnames: Vec<DomainName>,
    /// Aliases that lead in a circle.
    loops: Vec<DomainName>,
    large: Vec<(DomainName, u16)>,
    apexes: Vec<DomainName>,
    /// Owners of NSEC3 records.
    hashes: Vec<DomainName>,
}

/// How often each kind of question is asked, in the order of [`Palette::ask`].
const WEIGHTS: [usize; 21] = [16, 8, 5, 9, 9, 10, 6, 5, 16, 7, 4, 4, 6, 11, 4, 4, 5, 1, 3, 0, 0];

/// The same for signed zones: more of what is denied, less of what has nothing to do with signatures.
const WEIGHTS_SIGNED: [usize; 21] = [14, 16, 9, 16, 14, 16, 12, 4, 8, 8, 1, 1, 4, 1, 1, 1, 1, 1, 1, 3, 3];

impl<'w> Palette<'w> {
    /// Sorts a world's names.
    pub fn new(world: &'w World) -> Self {
        let mut palette = Self {
            world,
            with_types: Vec::new(),
            empty: Vec::new(),
            wildcards: Vec::new(),
            cuts: Vec::new(),
            dnames: Vec::new(),
            stretching: Vec::new(),
            cnames: Vec::new(),
            loops: Vec::new(),
            large: Vec::new(),
            apexes: world.zones.iter().map(|zone| zone.apex.clone()).collect(),
            hashes: world.hash_owners.iter().cloned().collect(),
        };
        for (zone, nodes) in &world.nodes {
            // The samples are larger than the other zones, but not more interesting.
            let step = nodes.len() / 80 + 1;
            for (number, (name, types)) in nodes.iter().enumerate() {
                let special = [5, 39].iter().any(|rtype| types.contains(rtype));
                if number % step != 0 && !special && !name.0.contains(&b"*".to_vec()) {
                    continue;
                }
                palette.sort(zone, name, types.iter().copied().collect());
            }
        }
        let stretches =
            |record: &&ReplyRecord| record.rtype == 39 && record.rdata.len() > record.owner.octets();
        palette.stretching =
            world.records.iter().filter(stretches).map(|record| record.owner.clone()).collect();
        let mut sizes = std::collections::BTreeMap::<(DomainName, u16), usize>::new();
        for record in &world.records {
            *sizes.entry((record.owner.clone(), record.rtype)).or_default() += 12 + record.rdata.len();
        }
        palette.large = sizes.into_iter().filter(|(_, size)| *size > 480).map(|(key, _)| key).collect();
        palette
    }

    fn sort(&mut self, zone: &DomainName, name: &DomainName, types: Vec<u16>) {
        if types.is_empty() {
            self.empty.push(name.clone());
            return;
        }
        if name.0.first().is_some_and(|label| label == b"*") {
            self.wildcards.push(name.clone());
        }
        if name != zone && types.contains(&2) {
            self.cuts.push(name.clone());
        }
        if types.contains(&39) {
            self.dnames.push(name.clone());
        }
        if types.contains(&5) {
            self.cnames.push(name.clone());
            if comes_back(self.world, name) {
                self.loops.push(name.clone());
            }
        }
        self.with_types.push((name.clone(), types));
    }

    /// One query.
    pub fn ask(&self, random: &mut Random) -> Ask {
        let signed = self.world.is_signed();
        let kind = random.weighted(if signed { &WEIGHTS_SIGNED } else { &WEIGHTS });
        let (qname, qtype) = match kind {
            0 => self.existing(random),
            1 => (self.existing(random).0, any_type(random)),
            2 => (pick(random, &self.empty), any_type(random)),
            3 => {
                let apex = random.pick(&self.apexes);
                (below(random, apex, 3), any_type(random))
            }
            4 => self.wildcard(random),
            5 => self.cut(random),
            6 => self.signer(random),
            7 => (self.existing(random).0, 255),
            8 => self.renamed(random),
            9 => (pick(random, &self.cnames), any_type(random)),
            10 => (self.outside(random), any_type(random)),
            11 => (below(random, self.world.unloaded.clone(), 2), any_type(random)),
            12 if !self.large.is_empty() => random.pick(&self.large).clone(),
            18 => (pick(random, &self.loops), any_type(random)),
            19 => self.hash(random),
            // What a zone says of its own keys and chains.
            20 => (random.pick(&self.apexes), random.pick(&[48, 48, 51, 59, 60])),
            17 => (self.existing(random).0, random.pick(&[251, 252])),
            _ => self.existing(random),
        };
        let mut qname = qname;
        while qname.octets() > 255 {
            // Names that are too long have a shape of their own.
            qname = qname.parent();
        }
        let mut ask = Ask {
            message: Vec::new(),
            transport: if random.percent(50) { Transport::Udp } else { Transport::Tcp },
            qname: respell(random, qname),
            qtype,
            qclass: 1,
            opcode: 0,
            edns: None,
            shape: Shape::Good,
        };
        ask.edns = edns(random);
        if signed {
            for_proofs(random, &mut ask);
        }
        match kind {
            13 => self.class(random, &mut ask),
            14 => {
                ask.opcode = random.pick(&[1, 2, 3, 4, 4, 5, 5, 6, 7, 15]);
                if random.percent(50) {
                    // As NOTIFY and UPDATE have it.
                    (ask.qname, ask.qtype) = (random.pick(&self.apexes), 6);
                }
            }
            15 => {
                let edns = ask.edns.get_or_insert_default();
                edns.version = random.between(1, 255) as u8;
            }
            16 => ask.shape = random.pick(ODD),
            _ => {}
        }
        build(random, &mut ask);
        ask
    }

    /// The owner of an NSEC3 record, which is no name, or one below it.
    fn hash(&self, random: &mut Random) -> (DomainName, u16) {
        let name = pick(random, &self.hashes);
        let qtype = if random.percent(50) { random.pick(&[46, 50]) } else { any_type(random) };
        if random.percent(60) { (name, qtype) } else { (below(random, name, 2), qtype) }
    }

    fn existing(&self, random: &mut Random) -> (DomainName, u16) {
        let (name, types) = random.pick(&self.with_types);
        (name, random.pick(&types))
    }

    fn wildcard(&self, random: &mut Random) -> (DomainName, u16) {
        let wildcard = pick(random, &self.wildcards);
        let types = self.with_types.iter().find(|(name, _)| *name == wildcard);
        let qtype = match types {
            Some((_, types)) if random.percent(70) => random.pick(types),
            _ => any_type(random),
        };
        match random.below(10) {
            0 => (wildcard, qtype),
            1 => (below(random, wildcard, 2), qtype),
            2 => (below(random, wildcard.parent(), 2).child(b"*"), qtype),
            _ => (below(random, wildcard.parent(), 3), qtype),
        }
    }

    fn cut(&self, random: &mut Random) -> (DomainName, u16) {
        let cut = pick(random, &self.cuts);
        let name = match random.below(10) {
            0..3 => cut,
            3..5 => cut.child(b"ns0"),
            _ => below(random, cut, 3),
        };
        let qtype = if random.percent(20) { 43 } else { any_type(random) };
        (name, qtype)
    }

    /// DS, where parent and child differ in what they know.
    fn signer(&self, random: &mut Random) -> (DomainName, u16) {
        let name = match random.below(10) {
            0..5 => pick(random, &self.cuts),
            5..8 => pick(random, &self.apexes),
            8 => {
                let cut = pick(random, &self.cuts);
                below(random, cut, 1)
            }
            _ => self.existing(random).0,
        };
        (name, 43)
    }

    fn renamed(&self, random: &mut Random) -> (DomainName, u16) {
        let owner = pick(random, &self.dnames);
        let name = match random.below(10) {
            0 => owner,
            1..5 => {
                // So long that the target's name is too long, or just not.
                let stretching = !self.stretching.is_empty() && random.percent(80);
                let mut name = if stretching { random.pick(&self.stretching) } else { owner };
                while name.octets() < 190 {
                    let octets = random.between(20, 63);
                    name = name.child(&vec![b'w'; octets]);
                }
                let room = 254usize.saturating_sub(name.octets());
                if room > 0 && random.percent(70) { name.child(&vec![b'v'; room.min(63)]) } else { name }
            }
            5..7 => {
                let tail = self.existing(random).0.0.into_iter().take(2).collect();
                DomainName(tail).under(&owner)
            }
            _ => below(random, owner, 3),
        };
        (name, any_type(random))
    }

    fn outside(&self, random: &mut Random) -> DomainName {
        let far = random.pick(&["com", "nowhere.invalid", "net", "arpa", "test", "elsewhere.example.org"]);
        let name = below(random, DomainName::plain(far), 3);
        if random.percent(3) { DomainName::default() } else { name }
    }

    fn class(&self, random: &mut Random, ask: &mut Ask) {
        ask.qclass = random.pick(&[3, 3, 3, 3, 3, 4, 0, 254, 255, 777]);
        if ask.qclass == 3 {
            let names =
                ["id.server", "hostname.bind", "id.server", "hostname.bind", "version.bind", "authors.bind"];
            ask.qname = DomainName::plain(random.pick(&names));
            ask.qtype = random.pick(&[16, 16, 16, 1, 255]);
        }
    }
}

/// Most who ask signed zones want proofs, and have room for them.
fn for_proofs(random: &mut Random, ask: &mut Ask) {
    if random.percent(20) {
        ask.qtype = random.pick(&[43, 46, 47, 48, 50, 51, 59, 60]);
    }
    if random.percent(75) {
        let edns = ask.edns.get_or_insert_default();
        edns.flags |= 0x8000;
        if random.percent(70) {
            edns.size = random.pick(&[1232, 4096]);
        }
    }
}

fn edns(random: &mut Random) -> Option<AskEdns> {
    if random.percent(30) {
        return None;
    }
    let size = random.pick(&[0, 511, 512, 513, 700, 1232, 1232, 1400, 4096, 65_535]);
    let mut edns = AskEdns { size, ..AskEdns::default() };
    if random.percent(35) {
        edns.flags |= 0x8000;
    }
    if random.percent(5) {
        edns.flags |= 1 << random.below(15);
    }
    if random.percent(15) {
        edns.options.push((3, Vec::new()));
    }
    if random.percent(15) {
        let octets = random.below(20);
        edns.options.push((random.between(65_001, 65_534) as u16, random.octets(octets)));
    }
    Some(edns)
}

fn pick(random: &mut Random, names: &[DomainName]) -> DomainName {
    if names.is_empty() { DomainName::default() } else { random.pick(names).clone() }
}

/// One to `most` labels below a name, as far as a name may go.
fn below(random: &mut Random, mut name: DomainName, most: usize) -> DomainName {
    const LABELS: &[&[u8]] =
        &[b"a", b"b", b"www", b"mail", b"nope", b"*", b"ns1", b"\0", b"sp ace", b"x", b"_tcp", b"h7"];
    for _ in 0..random.between(1, most) {
        let long = name.child(random.pick(LABELS));
        if long.octets() <= 255 {
            name = long;
        }
    }
    name
}

fn any_type(random: &mut Random) -> u16 {
    match random.below(100) {
        0..60 => random.pick(&[1, 28, 15, 16, 2, 6, 33, 65, 35]),
        60..80 => type_number(random.pick(TYPES)),
        80..92 => random.pick(&[5, 39, 43, 46, 47, 48, 50, 51, 99, 257]),
        // Types of queries and not of data, and numbers that mean nothing.
        _ => random.pick(&[0, 41, 249, 250, 253, 254, 128, 200, 1000, 4096, 32_769, 65_280, 65_535]),
    }
}

/// Random case, as resolvers send it against forgery.
fn respell(random: &mut Random, mut name: DomainName) -> DomainName {
    if random.percent(40) {
        for octet in name.0.iter_mut().flatten() {
            if random.percent(50) {
                *octet = if octet.is_ascii_lowercase() {
                    octet.to_ascii_uppercase()
                } else {
                    octet.to_ascii_lowercase()
                };
            }
        }
    }
    name
}

/// Writes the message.
fn build(random: &mut Random, ask: &mut Ask) {
    let rd = if random.percent(50) { 0x0100 } else { 0 };
    // AD and CD mean something to validating servers alone (RFC 6840 §5.7, RFC 4035 §3.2.2).
    let cd_ad = if random.percent(10) { random.pick(&[0x10, 0x20, 0x30]) } else { 0 };
    let z = if random.percent(3) { 0x40 } else { 0 };
    let mut flags = u16::from(ask.opcode) << 11 | rd | cd_ad | z;
    let mut question = ask.qname.wire();
    let mut counts = [1u16, 0, 0, 0];
    let mut behind = Vec::new();
    let a_record = [&ask.qname.wire()[..], &[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]].concat();
    if matches!(ask.shape, Shape::RecordAfterOpt | Shape::TwoOpts | Shape::OptionOverrun | Shape::CutInOpt)
        || matches!(ask.shape, Shape::OptOwner | Shape::OptInAnswer)
    {
        ask.edns.get_or_insert(AskEdns { size: 1232, ..AskEdns::default() });
    }
    let mut opt = ask.edns.as_ref().map(|edns| opt_record(edns, ask.shape)).unwrap_or_default();
    let opts = u16::from(!opt.is_empty());
    match ask.shape {
        Shape::Response => flags |= 0x8000,
        Shape::AnswerRecord => {
            counts[1] = 1;
            behind.extend(&a_record);
        }
        Shape::AdditionalRecord => {
            counts[3] = 1;
            behind.extend(&a_record);
        }
        Shape::LabelKind => question = vec![0x41, b'a', 0],
        Shape::Pointer => question = vec![0xc0, 12],
        Shape::NameTooLong => question = [[1, b'a'].repeat(130), vec![0]].concat(),
        Shape::TwoOpts => {
            opt = opt.repeat(2);
            counts[3] += 1;
        }
        Shape::OptOwner => opt = [&[1, b'x'][..], &opt].concat(),
        _ => {}
    }
    if ask.shape == Shape::OptInAnswer {
        counts[1] = opts;
    } else {
        counts[3] += opts;
    }
    question.extend(ask.qtype.to_be_bytes());
    question.extend(ask.qclass.to_be_bytes());
    match ask.shape {
        Shape::NoQuestion => {
            counts[0] = 0;
            question.clear();
        }
        Shape::TwoQuestions => {
            counts[0] = 2;
            question = question.repeat(2);
        }
        _ => {}
    }
    behind.extend(opt);
    if ask.shape == Shape::RecordAfterOpt {
        counts[3] += 1;
        behind.extend(&a_record);
    }
    let mut message = vec![0, 0];
    message.extend(flags.to_be_bytes());
    for count in counts {
        message.extend(count.to_be_bytes());
    }
    message.extend(question);
    message.extend(behind);
    match ask.shape {
        Shape::Trailing => {
            let octets = random.between(1, 20);
            message.extend(random.octets(octets));
        }
        Shape::CutInName => message.truncate(13),
        Shape::CutInOpt => message.truncate(message.len() - 3),
        Shape::Short => message.truncate(random.between(3, 11)),
        _ => {}
    }
    ask.message = message;
}

fn opt_record(edns: &AskEdns, shape: Shape) -> Vec<u8> {
    let mut options = Vec::new();
    for (code, data) in &edns.options {
        options.extend(code.to_be_bytes());
        options.extend((data.len() as u16).to_be_bytes());
        options.extend(data);
    }
    if shape == Shape::OptionOverrun {
        options.extend([0xff, 0xf0, 0, 9, 1]);
    }
    let mut opt = vec![0, 0, 41];
    opt.extend(edns.size.to_be_bytes());
    opt.extend([0, edns.version]);
    opt.extend(edns.flags.to_be_bytes());
    opt.extend((options.len() as u16).to_be_bytes());
    opt.extend(options);
    opt
}
