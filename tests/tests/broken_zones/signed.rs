//! A signed zone as lines that a test may spoil, and a small signer that makes the rest true again.
//!
//! A record that is wrong and badly signed would be refused for its signature alone. So that each fault stands by itself,
//! what an edit touches is signed again with the zone's own keys (ECDSAP256SHA256).

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pharos_wire::Name;
use pharos_zone::print::{Listing, canonical_rdata};
use pharos_zone::scan::{Includes, Record, Source, scan};
use pharos_zonedb::nsec3::Nsec3Parameters;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// The zone that is signed.
pub(crate) const APEX: &str = "signed.test.";

/// A day, in seconds.
pub(crate) const DAY: u32 = 86_400;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) owner: String,
    pub(crate) ttl: u32,
    pub(crate) rtype: String,
    pub(crate) rdata: String,
}

/// One of the zone's keys.
pub(crate) struct Key {
    pub(crate) tag: u16,
    pair: EcdsaKeyPair,
}

pub(crate) struct Zone<'k> {
    pub(crate) lines: Vec<Line>,
    pub(crate) keys: &'k Keys,
}

/// The keys that sign the DNSKEY RRset and everything else.
pub(crate) struct Keys {
    pub(crate) ksk: Key,
    pub(crate) zsk: Key,
}

/// What stands in a signature that is made.
pub(crate) struct Fields<'k> {
    pub(crate) labels: u8,
    pub(crate) original_ttl: u32,
    pub(crate) inception: u32,
    pub(crate) expiration: u32,
    pub(crate) tag: u16,
    pub(crate) signer: String,
    pub(crate) key: &'k Key,
}

impl Keys {
    /// From a directory with the files of dnssec-keygen.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut keys = [None, None];
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.contains("+013+") || !name.ends_with(".key") {
                continue;
            }
            let public = fs::read_to_string(&path).unwrap();
            let line = public.lines().find(|line| !line.starts_with(';')).unwrap();
            let (_, dnskey) = wire_of(line).remove(0);
            let private = fs::read_to_string(path.with_extension("private")).unwrap();
            let private = private.lines().find_map(|line| line.strip_prefix("PrivateKey: ")).unwrap();
            // A key in text is base 64, as is the public one: our scanner reads it from a DNSKEY record.
            let (_, scalar) = wire_of(&format!("{APEX} 1 IN DNSKEY 0 3 13 {private}")).remove(0);
            let point = [&[4], &dnskey[4..]].concat();
            let pair = EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &scalar[4..],
                &point,
                &SystemRandom::new(),
            );
            let entry_point = dnskey[1] & 1;
            keys[usize::from(entry_point)] = Some(Key { tag: key_tag(&dnskey), pair: pair.unwrap() });
        }
        let [zsk, ksk] = keys;
        Self { ksk: ksk.unwrap(), zsk: zsk.unwrap() }
    }
}

impl<'k> Zone<'k> {
    /// From the file that a signer made, each record on a line of its own.
    pub(crate) fn read(path: &Path, keys: &'k Keys) -> Self {
        let octets = fs::read(path).unwrap();
        let mut listing = Listing::new();
        let apex = Name::from_text(APEX).unwrap();
        let source = Source { path, octets: &octets, includes: Includes::Refused };
        let report = scan(source, apex.as_wire(), &mut |record| listing.push(&record));
        assert!(report.is_clean(), "{report}");
        listing.sort();
        let mut text = Vec::new();
        listing.print(&mut text).unwrap();
        let lines = String::from_utf8(text).unwrap().lines().map(Line::parse).collect();
        Self { lines, keys }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| line.text() + "\n").collect()
    }

    /// The places of all records of a type at an owner.
    pub(crate) fn all(&self, owner: &str, rtype: &str) -> Vec<usize> {
        let fits = |line: &Line| line.owner.eq_ignore_ascii_case(owner) && line.rtype == rtype;
        (0..self.lines.len()).filter(|&at| fits(&self.lines[at])).collect()
    }

    /// The first of them.
    pub(crate) fn line(&mut self, owner: &str, rtype: &str) -> &mut Line {
        let at = *self.all(owner, rtype).first().unwrap_or_else(|| panic!("no {rtype} at {owner}"));
        &mut self.lines[at]
    }

    pub(crate) fn add(&mut self, owner: &str, ttl: u32, rtype: &str, rdata: &str) {
        self.lines.push(Line { owner: owner.into(), ttl, rtype: rtype.into(), rdata: rdata.into() });
    }

    /// Removes records, and leaves what signs them.
    pub(crate) fn remove(&mut self, owner: &str, rtype: &str) {
        let all = self.all(owner, rtype);
        assert!(!all.is_empty(), "no {rtype} at {owner}");
        let mut at = 0..;
        self.lines.retain(|_| !all.contains(&at.next().unwrap()));
    }

    /// Removes the signatures over a type at an owner, of all algorithms or of one.
    pub(crate) fn unsign(&mut self, owner: &str, rtype: &str, algorithm: Option<u8>) {
        let before = self.lines.len();
        let over = |line: &Line| {
            let mut words = line.rdata.split(' ');
            line.rtype == "RRSIG"
                && line.owner.eq_ignore_ascii_case(owner)
                && words.next() == Some(rtype)
                && algorithm.is_none_or(|algorithm| words.next() == Some(&algorithm.to_string()))
        };
        self.lines.retain(|line| !over(line));
        assert!(self.lines.len() < before, "no RRSIG over {rtype} at {owner}");
    }

    /// The signature over a type at an owner.
    pub(crate) fn signature(&mut self, owner: &str, rtype: &str) -> &mut Line {
        let over = |line: &Line| line.rdata.split(' ').next() == Some(rtype);
        let at = self.all(owner, "RRSIG").into_iter().find(|&at| over(&self.lines[at]));
        &mut self.lines[at.unwrap_or_else(|| panic!("no RRSIG over {rtype} at {owner}"))]
    }

    /// Signs an RRset again.
    pub(crate) fn sign(&mut self, owner: &str, rtype: &str) {
        self.sign_with(owner, rtype, |_, _| ());
    }

    /// Signs an RRset again, with fields that `change` has changed.
    pub(crate) fn sign_with(&mut self, owner: &str, rtype: &str, change: impl Fn(&mut Fields<'k>, &'k Keys)) {
        let over = |line: &Line| line.rtype == "RRSIG" && line.rdata.split(' ').next() == Some(rtype);
        self.lines.retain(|line| !(over(line) && line.owner.eq_ignore_ascii_case(owner)));
        self.sign_beside(owner, rtype, change);
    }

    /// Signs an RRset once more, and leaves the signatures that are there.
    pub(crate) fn sign_beside(
        &mut self,
        owner: &str,
        rtype: &str,
        change: impl Fn(&mut Fields<'k>, &'k Keys),
    ) {
        let rrset: Vec<String> = self.all(owner, rtype).into_iter().map(|at| self.lines[at].text()).collect();
        let records: Vec<_> = rrset.iter().flat_map(|line| wire_of(line)).collect();
        let rtype_number = records.first().unwrap_or_else(|| panic!("no {rtype} at {owner}")).0;
        let key = if rtype == "DNSKEY" { &self.keys.ksk } else { &self.keys.zsk };
        let labels = owner.trim_end_matches('.').split('.').filter(|&label| label != "*").count();
        let now = now();
        let mut fields = Fields {
            labels: labels as u8,
            original_ttl: self.line(owner, rtype).ttl,
            inception: now - 3_600,
            expiration: now + 30 * DAY,
            tag: key.tag,
            signer: APEX.to_owned(),
            key,
        };
        change(&mut fields, self.keys);
        let mut head = rtype_number.to_be_bytes().to_vec();
        head.extend([13, fields.labels]);
        for number in [fields.original_ttl, fields.expiration, fields.inception] {
            head.extend(number.to_be_bytes());
        }
        head.extend(fields.tag.to_be_bytes());
        head.extend(wire_name(&fields.signer));
        let mut canonical: Vec<Vec<u8>> =
            records.iter().map(|(rtype, rdata)| canonical_rdata(*rtype, rdata)).collect();
        canonical.sort();
        canonical.dedup();
        let mut data = head.clone();
        for rdata in canonical {
            data.extend(wire_name(owner));
            data.extend(rtype_number.to_be_bytes());
            data.extend(1u16.to_be_bytes());
            data.extend(fields.original_ttl.to_be_bytes());
            data.extend((rdata.len() as u16).to_be_bytes());
            data.extend(rdata);
        }
        let signature = fields.key.pair.sign(&SystemRandom::new(), &data).unwrap();
        head.extend(signature.as_ref());
        let wire = Name::from_text(owner).unwrap();
        let ttl = self.line(owner, rtype).ttl;
        let record = Record {
            owner: wire.as_wire(),
            rtype: 46,
            class: 1,
            ttl,
            rdata: &head,
            place: Default::default(),
        };
        let mut text = String::new();
        pharos_zone::print::write_record(&record, &mut text);
        self.lines.push(Line::parse(text.trim_end()));
    }

    /// The owner of the NSEC3 record that stands for a name.
    pub(crate) fn hashed(&self, name: &str) -> String {
        let line = self.lines.iter().find(|line| line.rtype == "NSEC3PARAM").expect("an NSEC3 zone");
        let (_, rdata) = wire_of(&line.text()).remove(0);
        let hash = Nsec3Parameters::from_rdata(&rdata).unwrap().hash(&[&wire_name(name)]);
        let mut label = String::new();
        for digit in 0..32 {
            let bits = (0..5).fold(0, |bits, bit| {
                let at: usize = digit * 5 + bit;
                bits << 1 | usize::from(hash[at / 8] >> (7 - at % 8) & 1)
            });
            label.push(char::from(b"0123456789abcdefghijklmnopqrstuv"[bits]));
        }
        format!("{label}.{APEX}")
    }

    /// Takes the record of a name out of a chain, whose link before it then leads past it.
    pub(crate) fn skip(&mut self, owner: &str, rtype: &str) {
        let word = if rtype == "NSEC" { 0 } else { 4 };
        let next = self.line(owner, rtype).word(word).to_owned();
        let this = if rtype == "NSEC" { owner } else { owner.split('.').next().unwrap() };
        let leads_here = |line: &&Line| line.rtype == rtype && line.word(word).eq_ignore_ascii_case(this);
        let before = self.lines.iter().find(leads_here).expect("the chain leads here").owner.clone();
        self.remove(owner, rtype);
        self.unsign(owner, rtype, None);
        self.line(&before, rtype).set_word(word, &next);
        self.sign(&before, rtype);
    }
}

impl Line {
    fn parse(text: &str) -> Self {
        let mut fields = text.split('\t');
        let mut next = || fields.next().unwrap().to_owned();
        let (owner, ttl, _class, rtype, rdata) = (next(), next(), next(), next(), next());
        Self { owner, ttl: ttl.parse().unwrap(), rtype, rdata }
    }

    fn text(&self) -> String {
        let Self { owner, ttl, rtype, rdata } = self;
        format!("{owner}\t{ttl}\tIN\t{rtype}\t{rdata}")
    }

    /// One word of the data.
    pub(crate) fn word(&self, at: usize) -> &str {
        self.rdata.split(' ').nth(at).unwrap_or_else(|| panic!("no word {at} in {self:?}"))
    }

    pub(crate) fn set_word(&mut self, at: usize, word: &str) {
        let mut words: Vec<&str> = self.rdata.split(' ').collect();
        words[at] = word;
        self.rdata = words.join(" ");
    }
}

/// Type and data in wire form of each record of a text.
fn wire_of(text: &str) -> Vec<(u16, Vec<u8>)> {
    let mut records = Vec::new();
    let text = format!("$TTL 1\n{text}\n");
    let source = Source { path: Path::new("line"), octets: text.as_bytes(), includes: Includes::Refused };
    let report = scan(source, b"\0", &mut |record| records.push((record.rtype, record.rdata.to_vec())));
    assert!(report.is_clean(), "{report}");
    records
}

fn wire_name(name: &str) -> Vec<u8> {
    Name::from_text(name).unwrap().to_folded().as_wire().to_vec()
}

/// RFC 4034 appendix B.
fn key_tag(dnskey: &[u8]) -> u16 {
    let weigh = |(at, &octet): (usize, &u8)| if at % 2 == 0 { u32::from(octet) << 8 } else { octet.into() };
    let sum: u32 = dnskey.iter().enumerate().map(weigh).sum();
    (sum + (sum >> 16)) as u16
}

/// Seconds since 1970.
pub(crate) fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}
