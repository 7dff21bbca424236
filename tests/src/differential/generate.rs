//! Random zones: text that four servers are to read alike.
//!
//! A world is a set of zones that are served together. Names and what they are come first, for all zones, so
//! that targets can point anywhere; then the text is written. What no server would load is not made: two
//! kinds of truth at one name, delegated wildcards, apex servers without address.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::names::DomainName;
use super::random::Random;
use super::rdata::{NAMED, TYPES, rdata};

/// A zone and its file.
#[derive(Clone, Debug)]
pub struct ZoneText {
    /// The zone's name.
    pub apex: DomainName,
    /// Its zone file.
    pub text: String,
}

/// What a name is in its zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Apex,
    /// Some RRsets.
    Data,
    /// One RRset that fills messages.
    Large,
    Cname,
    Dname,
    Cut,
    /// NS with a dozen in-domain servers: glue that does not fit.
    WideCut,
    /// Addresses and, now and then, what else may lie below a cut.
    Glue,
}

/// How a zone's names are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Mixed,
    /// Nearly all delegations.
    Registry,
    /// Nearly all aliases.
    Aliases,
    /// Labels so long that few names fit.
    Long,
    /// A DNAME at the apex.
    Renamed,
    Small,
}

struct Draft {
    apex: DomainName,
    style: Style,
    names: BTreeMap<DomainName, (DomainName, Kind)>,
    /// Of a hundred names that an unsigned zone would have.
    share: usize,
    /// Of a hundred labels, those with octets that zone files must escape.
    odd: usize,
    types: &'static [&'static str],
}

/// The zones of world number `index`.
pub fn zones(random: &mut Random, index: usize) -> Vec<ZoneText> {
    let mut drafts = Vec::new();
    let mut add = |name: &str, style| {
        let names = BTreeMap::new();
        drafts.push(Draft {
            apex: DomainName::plain(name),
            style,
            names,
            share: 100,
            odd: ODD,
            types: TYPES,
        });
    };
    if index.is_multiple_of(2) {
        add(&"l".repeat(63), Style::Small);
    }
    add("mixed.test", Style::Mixed);
    add("Other.TEST", Style::Mixed);
    add("registry.test", Style::Registry);
    add("chains.test", Style::Aliases);
    add("chains.example.net", Style::Aliases);
    add("family.test", Style::Mixed);
    add("child.family.test", Style::Mixed);
    add("grand.x.child.family.test", Style::Small);
    add("orphan.family.test", Style::Small);
    add("a.b.c.family.test", Style::Small);
    add("long.test", Style::Long);
    add("renamed.test", Style::Renamed);
    add("lonely.invalid", Style::Small);
    if index % 4 == 1 {
        add("test", Style::Registry);
    }
    if index % 4 == 3 {
        add("", Style::Registry);
    }
    for label in [&b"odd.dot"[..], b"sp ace\x00\xffUP", b"quo\"te;(\\)@$"] {
        let apex = DomainName::plain("test").child(label);
        drafts.push(Draft {
            apex,
            style: Style::Small,
            names: BTreeMap::new(),
            share: 100,
            odd: ODD,
            types: TYPES,
        });
    }
    fill(random, drafts)
}

/// What the drafts hold, as text.
fn fill(random: &mut Random, mut drafts: Vec<Draft>) -> Vec<ZoneText> {
    let apexes: Vec<DomainName> = drafts.iter().map(|draft| draft.apex.clone()).collect();
    for draft in &mut drafts {
        draft.plan(random, &apexes);
    }
    let renamed = clear_below_dnames(&mut drafts, &apexes);
    let names = drafts.iter().flat_map(|draft| draft.names.values().map(|(name, _)| name.clone())).collect();
    let odd = drafts.first().map_or(ODD, |draft| draft.odd);
    let everything = Everything { names, renamed, odd };
    drafts.into_iter().map(|mut draft| draft.write(random, &everything)).collect()
}

/// How denials are proved in a zone. Fixed by the zone's name, since PowerDNS is told before the zones are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proofs {
    /// The zone is not signed.
    None,
    /// By NSEC.
    Nsec,
    /// By NSEC3: iterations and salt.
    Nsec3(u16, &'static str),
    /// The same, with opt-out.
    OptOut(u16, &'static str),
}

/// Zones that may be part of a world of signed zones: the first ones always are.
const SIGNED: [(&str, Style, Proofs); 24] = [
    ("family.test", Style::Mixed, Proofs::OptOut(0, "-")),
    ("child.family.test", Style::Mixed, Proofs::Nsec),
    ("grand.x.child.family.test", Style::Small, Proofs::Nsec3(0, "-")),
    ("orphan.family.test", Style::Small, Proofs::Nsec3(1, "0f")),
    ("kin.test", Style::Mixed, Proofs::Nsec),
    ("child.kin.test", Style::Small, Proofs::OptOut(0, "-")),
    ("a.b.c.kin.test", Style::Small, Proofs::None),
    ("plain.test", Style::Mixed, Proofs::Nsec),
    ("hashed.test", Style::Mixed, Proofs::Nsec3(0, "-")),
    ("salted.test", Style::Mixed, Proofs::Nsec3(3, "aabbccdd")),
    ("iterated.test", Style::Small, Proofs::Nsec3(150, "00")),
    ("optmixed.test", Style::Mixed, Proofs::OptOut(0, "-")),
    ("registry.test", Style::Registry, Proofs::Nsec),
    ("busy.test", Style::Registry, Proofs::Nsec3(10, "5a17")),
    ("optout.test", Style::Registry, Proofs::OptOut(0, "-")),
    ("optsalt.test", Style::Registry, Proofs::OptOut(1, "beef")),
    ("links.test", Style::Aliases, Proofs::Nsec),
    ("chains.test", Style::Aliases, Proofs::Nsec3(0, "-")),
    ("optchains.test", Style::Aliases, Proofs::OptOut(2, "c0ffee")),
    ("renamed.test", Style::Renamed, Proofs::Nsec),
    ("moved.test", Style::Renamed, Proofs::Nsec3(0, "-")),
    ("small.invalid", Style::Small, Proofs::Nsec),
    ("test", Style::Registry, Proofs::OptOut(0, "-")),
    ("", Style::Registry, Proofs::Nsec),
];

/// How many of [`SIGNED`] are in every world, and how many are chosen for each.
const ALWAYS: usize = 7;
const CHOSEN: usize = 6;

/// All zones that may be signed, with how their denials are proved.
pub fn plans() -> impl Iterator<Item = (DomainName, Proofs)> {
    SIGNED.iter().map(|&(name, _, proofs)| (DomainName::plain(name), proofs))
}

/// The zones of world number `index`, to be signed.
pub fn signed_zones(random: &mut Random, index: usize) -> Vec<(ZoneText, Proofs)> {
    let parents = SIGNED.len() - 2;
    let mut numbers: Vec<usize> = (0..ALWAYS).collect();
    while numbers.len() < ALWAYS + CHOSEN {
        let number = random.between(ALWAYS, parents - 1);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    // Now and then the zones above are served too.
    numbers.extend(match index % 4 {
        1 => Some(parents),
        3 => Some(parents + 1),
        _ => None,
    });
    // ldns-signzone does not escape what it should: half of the worlds are such that it can be used.
    let odd = random.pick(&[0, ODD]);
    let draft = |&number: &usize| {
        let (name, style, _) = SIGNED[number];
        Draft {
            apex: DomainName::plain(name),
            style,
            names: BTreeMap::new(),
            share: 40,
            odd,
            types: &TYPES[..NAMED],
        }
    };
    let zones = fill(random, numbers.iter().map(draft).collect());
    zones.into_iter().zip(numbers).map(|(zone, number)| (zone, SIGNED[number].2)).collect()
}

/// What the zones hold together.
struct Everything {
    names: Vec<DomainName>,
    /// Owners of DNAME records, folded.
    renamed: Vec<DomainName>,
    /// Of a hundred labels, the odd ones.
    odd: usize,
}

/// NSD keeps all zones in one tree and refuses a zone with a DNAME that has anything below it there, be it occluded
/// or another zone's: no such name is made. Gives the owners of DNAME records.
fn clear_below_dnames(drafts: &mut [Draft], apexes: &[DomainName]) -> Vec<DomainName> {
    let mut renamed = Vec::new();
    for draft in drafts.iter_mut() {
        let style = draft.style;
        for (folded, (_, kind)) in &mut draft.names {
            if *kind == Kind::Dname && apexes.iter().any(|apex| apex.below(folded)) {
                *kind = Kind::Data;
            }
            if *kind == Kind::Dname || *kind == Kind::Apex && style == Style::Renamed {
                renamed.push(folded.clone());
            }
        }
    }
    for draft in drafts {
        draft.names.retain(|folded, _| !renamed.iter().any(|dname| folded.below(dname)));
    }
    renamed
}

/// Of a hundred labels, the odd ones.
const ODD: usize = 15;

fn label(random: &mut Random, style: Style, odd: usize) -> Vec<u8> {
    const PLAIN: &[&str] =
        &["a", "b", "c", "d", "e", "www", "mail", "ns1", "ns2", "x", "y", "z", "_tcp", "Big"];
    const STRANGE: &[&[u8]] = &[
        b"dot.dot",
        b"sp ace",
        b"\0",
        b"\xff\x80",
        b"q\"uote",
        b"semi;colon",
        b"(p)",
        b"back\\slash",
        b"@",
        b"$x",
        b"*a",
        b"a*",
        b"**",
        b"UPPER",
        b"\x7f",
        b"\t",
        b"[",
        b"{",
    ];
    if style == Style::Long && random.percent(60) {
        let octet = random.pick(b"pqr");
        let octets = random.pick(&[63, 63, 62, 61, 58, 30]);
        return vec![octet; octets];
    }
    match random.below(100) {
        number if number < odd => random.pick(STRANGE).to_vec(),
        0..85 => random.pick(PLAIN).as_bytes().to_vec(),
        _ => format!("h{}", random.below(40)).into_bytes(),
    }
}

impl Draft {
    fn kind_of(&self, name: &DomainName) -> Option<Kind> {
        self.names.get(&name.folded()).map(|(_, kind)| *kind)
    }

    fn put(&mut self, name: DomainName, kind: Kind) {
        if name.octets() <= 255 && self.kind_of(&name).is_none() {
            self.names.insert(name.folded(), (name, kind));
        }
    }

    /// Whether something above the name, up to the apex, stops look-ups, and what.
    fn shadow(&self, name: &DomainName) -> Option<Kind> {
        let above = name.ancestors().skip(1).filter(|above| above.within(&self.apex));
        above
            .filter_map(|above| self.kind_of(&above))
            .find(|kind| matches!(kind, Kind::Cut | Kind::WideCut | Kind::Dname))
    }

    fn plan(&mut self, random: &mut Random, apexes: &[DomainName]) {
        self.put(self.apex.clone(), Kind::Apex);
        let apex = self.apex.clone();
        for child in apexes.iter().filter(|other| other.below(&apex)) {
            // Orphans are served here without a delegation in their parent; the root leaves out some too.
            let orphan = child.0[0] == b"orphan" || (self.apex.0.is_empty() && random.percent(50));
            if !orphan && self.shadow(child).is_none() {
                self.put(child.clone(), Kind::Cut);
            }
        }
        let names = match self.style {
            Style::Renamed => 0,
            Style::Small => random.between(4, 12),
            _ => random.between(30, 70) * self.share / 100,
        };
        for _ in 0..names {
            self.plan_name(random);
        }
    }

    fn plan_name(&mut self, random: &mut Random) {
        let known: Vec<&DomainName> = self.names.values().map(|(name, _)| name).collect();
        let mut name = if random.percent(45) { self.apex.clone() } else { (random.pick(&known)).clone() };
        for _ in 0..random.between(1, 3) {
            name = name.child(&label(random, self.style, self.odd));
        }
        let below_here = self.kind_of(&name.parent()).is_some() && self.style == Style::Long;
        if below_here && random.percent(50) && name.octets() < 254 {
            // Exactly as long as a name may be.
            let room = 255 - name.octets() - 1;
            name = if room <= 63 { name.child(&vec![b'm'; room]) } else { name };
        }
        if random.percent(18) {
            name = name.child(b"*");
        }
        // data, large, cname, dname, cut, wide cut
        let weights: [usize; 6] = match self.style {
            Style::Registry => [15, 2, 4, 4, 70, 5],
            Style::Aliases => [15, 1, 60, 20, 4, 0],
            _ => [52, 6, 16, 8, 16, 2],
        };
        let kinds = [Kind::Data, Kind::Large, Kind::Cname, Kind::Dname, Kind::Cut, Kind::WideCut];
        let mut kind = kinds[random.weighted(&weights)];
        if name.0.contains(&b"*".to_vec()) && matches!(kind, Kind::Dname | Kind::Cut | Kind::WideCut) {
            kind = Kind::Data;
        }
        match self.shadow(&name) {
            // Some servers refuse a zone with names below a DNAME.
            Some(Kind::Dname) => return,
            Some(_) if matches!(kind, Kind::Large | Kind::WideCut) => kind = Kind::Glue,
            _ => {}
        }
        let something_below = self.names.values().any(|(other, _)| other.below(&name));
        if kind == Kind::Dname && something_below {
            kind = Kind::Data;
        }
        self.put(name, kind);
    }

    /// A name for rdata.
    fn target(&self, random: &mut Random, everything: &Everything) -> DomainName {
        let here: Vec<&DomainName> = self.names.values().map(|(name, _)| name).collect();
        match random.below(100) {
            0..45 => (random.pick(&here)).clone(),
            45..60 => fitting(random.pick(&here).child(b"nothing")),
            60..80 => random.pick(&everything.names).clone(),
            80..88 => {
                fitting(random.pick(&everything.names).child(&label(random, Style::Mixed, everything.odd)))
            }
            _ => DomainName::plain(random.pick(&["ns.elsewhere.example", "host.nowhere.invalid", "a.gtld"])),
        }
    }

    fn write(&mut self, random: &mut Random, everything: &Everything) -> ZoneText {
        let mut text = String::new();
        let mut planned: Vec<(DomainName, Kind)> = self.names.values().cloned().collect();
        // The SOA comes first, as BIND wants it behind a delegation's glue.
        planned.sort_by_key(|(_, kind)| *kind != Kind::Apex);
        for (name, kind) in &planned {
            self.write_name(random, everything, &mut text, name, *kind);
        }
        ZoneText { apex: self.apex.clone(), text }
    }

    fn write_name(
        &mut self,
        random: &mut Random,
        everything: &Everything,
        text: &mut String,
        name: &DomainName,
        kind: Kind,
    ) {
        let owner = name.text();
        let ttl = random.pick(&[0, 1, 60, 300, 3600, 86_400]);
        let mut line = |rtype: &str, rdata: &str| {
            let _ = writeln!(text, "{owner} {ttl} IN {rtype} {rdata}");
        };
        match kind {
            Kind::Apex => self.write_apex(random, everything, text),
            Kind::Glue => {
                line("A", &format!("192.0.2.{}", random.below(256)));
                if random.percent(50) {
                    line("AAAA", &format!("2001:db8::{:x}", random.below(65_536)));
                }
                if random.percent(20) {
                    line("TXT", "\"below a cut\"");
                }
            }
            Kind::Data => self.write_data(random, everything, text, name),
            Kind::Large if random.percent(60) => {
                for number in 0..random.between(4, 60) {
                    line("TXT", &format!("\"{number}\" \"{}\"", "large ".repeat(random.between(5, 30))));
                }
            }
            Kind::Large => {
                for number in 0..random.between(30, 250) {
                    line("A", &format!("198.51.100.{number}"));
                }
            }
            Kind::Cname => line("CNAME", &self.alias_target(random, everything, name).text()),
            Kind::Dname => line("DNAME", &self.alias_target(random, everything, name).text()),
            Kind::Cut | Kind::WideCut => self.write_cut(random, everything, text, name, kind),
        }
    }

    fn alias_target(&self, random: &mut Random, everything: &Everything, name: &DomainName) -> DomainName {
        match random.below(100) {
            0..4 => name.clone(),
            4..8 => fitting(name.child(b"a")),
            8..50 => {
                let aliases: Vec<&DomainName> = self
                    .names
                    .values()
                    .filter(|(_, kind)| matches!(kind, Kind::Cname | Kind::Dname))
                    .map(|(name, _)| name)
                    .collect();
                let target = (random.pick(&aliases)).clone();
                let below = self.kind_of(&target) == Some(Kind::Dname) && random.percent(60);
                if below { fitting(target.child(b"a")) } else { target }
            }
            _ => self.target(random, everything),
        }
    }

    fn write_apex(&mut self, random: &mut Random, everything: &Everything, text: &mut String) {
        let owner = self.apex.text();
        let ttls = [0, 5, 300, 3600, 86_400];
        let (ttl, minimum) = (random.pick(&ttls), random.pick(&ttls));
        let _ = writeln!(
            text,
            "{owner} {ttl} IN SOA ns.elsewhere.example. Host\\.master.elsewhere.example. {} 7200 1800 1209600 {minimum}",
            random.number() as u32
        );
        let here = DomainName::plain("ns-apex").under(&self.apex);
        // BIND refuses a zone whose own server, here any in the root, has no address.
        let elsewhere = !self.apex.0.is_empty();
        if elsewhere {
            let _ = writeln!(text, "{owner} {ttl} IN NS ns.elsewhere.example.");
        }
        if self.style == Style::Renamed {
            let _ = writeln!(text, "{owner} 60 IN DNAME {}", random.pick(&everything.names).text());
        } else if !elsewhere || random.percent(70) && self.kind_of(&here).is_none() {
            let _ = writeln!(text, "{owner} {ttl} IN NS {}", here.text());
            let _ = writeln!(text, "{} 600 IN A 192.0.2.1", here.text());
        }
        if random.percent(70) {
            let apex = self.apex.clone();
            self.write_data(random, everything, text, &apex);
        }
    }

    fn write_data(
        &mut self,
        random: &mut Random,
        everything: &Everything,
        text: &mut String,
        name: &DomainName,
    ) {
        let mut types: Vec<&str> = Vec::new();
        for _ in 0..random.between(1, 4) {
            let common = random.percent(60);
            let rtype = if common { random.pick(&self.types[..8]) } else { random.pick(self.types) };
            if !types.contains(&rtype) {
                types.push(rtype);
            }
        }
        for rtype in types {
            let ttl = random.pick(&[0, 30, 600, 7200]);
            for _ in 0..random.between(1, 3) {
                let rdata = rdata(random, rtype, &mut |random| self.target(random, everything));
                let _ = writeln!(text, "{} {ttl} IN {rtype} {rdata}", name.text());
            }
        }
    }

    fn write_cut(
        &mut self,
        random: &mut Random,
        everything: &Everything,
        text: &mut String,
        cut: &DomainName,
        kind: Kind,
    ) {
        let ttl = random.pick(&[60, 3600, 172_800]);
        let servers = if kind == Kind::WideCut { random.between(9, 14) } else { random.between(1, 4) };
        for number in 0..servers {
            let server = match random.below(100) {
                _ if kind == Kind::WideCut => fitting(cut.child(format!("ns{number}").as_bytes())),
                0..45 => fitting(cut.child(format!("ns{number}").as_bytes())),
                45..65 => {
                    let cuts: Vec<&DomainName> = self
                        .names
                        .values()
                        .filter(|(_, kind)| *kind == Kind::Cut)
                        .map(|(name, _)| name)
                        .collect();
                    if cuts.is_empty() { cut.clone() } else { fitting(random.pick(&cuts).child(b"ns0")) }
                }
                65..85 => self.target(random, everything),
                85..90 => cut.clone(),
                _ => DomainName::plain("ns.elsewhere.example"),
            };
            let _ = writeln!(text, "{} {ttl} IN NS {}", cut.text(), server.text());
            let renamed = everything.renamed.iter().any(|dname| server.below(dname));
            let free = !renamed
                && server.below(&self.apex)
                && server.within(cut)
                && matches!(self.kind_of(&server), None | Some(Kind::Cut | Kind::WideCut));
            if free && random.percent(88) {
                let glue_ttl = 3600; // one for all records of a set
                let addresses = if kind == Kind::WideCut { 3 } else { random.between(1, 3) };
                if addresses & 1 != 0 {
                    let _ = writeln!(text, "{} {glue_ttl} IN A 192.0.2.{number}", server.text());
                }
                if addresses & 2 != 0 {
                    let _ = writeln!(text, "{} {glue_ttl} IN AAAA 2001:db8::{number}", server.text());
                }
            }
        }
        if random.percent(35) {
            let digest = rdata(random, "DS", &mut |_| DomainName::default());
            let _ = writeln!(text, "{} {ttl} IN DS {digest}", cut.text());
        }
    }
}

/// The name, or its parent where it is too long.
fn fitting(name: DomainName) -> DomainName {
    if name.octets() <= 255 { name } else { name.parent() }
}
