//! Records as canonical text: one on a line, absolute names, TTL, class, type and data in the canonical form.
//!
//! `pharos zone print` uses it, and comparisons of zones do: two files that hold the same records print the same
//! once the records stand in canonical order (RFC 4034 §6). Names keep the case in which they were written;
//! order and equality do not look at it where RFC 4034 §6.2 says so.

use crate::rdata::{self, NameUse};
use crate::rtype;
use crate::scan::{Place, Record};
use pharos_wire::Rtype;
use pharos_wire::name::{Labels, MAX_LABELS, Text};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;

/// The type that stands first at its owner, as readers of zone files expect it.
const SOA: u16 = 6;

/// Appends the record as one line: owner, TTL, class, type and data with a tab between each.
pub fn write_record(record: &Record<'_>, out: &mut String) {
    let Record { owner, rtype, class, ttl, rdata, .. } = *record;
    // Writing to a string does not fail.
    let _ = write!(out, "{}\t{ttl}\t", Text(owner));
    let _ = match class {
        1 => write!(out, "IN"),
        _ => write!(out, "CLASS{class}"), // RFC 3597 §5
    };
    let _ = write!(out, "\t{}\t", rtype::Display(rtype));
    rdata::write_text(rtype, rdata, out);
    out.push('\n');
}

/// Records that were collected to be put in order and printed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Owners and rdata of all records.
    octets: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Where the owner begins in [`Listing::octets`]; the rdata follow it.
    start: usize,
    owner_len: u8,
    rdata_len: u16,
    rtype: u16,
    class: u16,
    ttl: u32,
    place: Place,
}

impl Listing {
    /// An empty listing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a copy of `record`.
    pub fn push(&mut self, record: &Record<'_>) {
        // What the scanner hands out is no longer than that.
        let (Ok(owner_len), Ok(rdata_len)) = (record.owner.len().try_into(), record.rdata.len().try_into())
        else {
            return;
        };
        let &Record { rtype, class, ttl, place, .. } = record;
        self.lines.push(Line { start: self.octets.len(), owner_len, rdata_len, rtype, class, ttl, place });
        self.octets.extend_from_slice(record.owner);
        self.octets.extend_from_slice(record.rdata);
    }

    /// Puts the records in canonical order, SOA first at its owner, and drops duplicates: records that differ in
    /// nothing but their TTL or the case of names count once (RFC 2181 §5).
    pub fn sort(&mut self) {
        let Self { octets, lines } = self;
        lines.sort_by(|a, b| canonical_order(&a.record(octets), &b.record(octets)));
        lines.dedup_by(|a, b| canonical_order(&a.record(octets), &b.record(octets)).is_eq());
    }

    /// The records, in the order in which they stand.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.lines.iter().map(|line| line.record(&self.octets))
    }

    /// Prints the records, a line each.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut line = String::new();
        for record in self.records() {
            line.clear();
            write_record(&record, &mut line);
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

impl Line {
    fn record<'a>(&self, octets: &'a [u8]) -> Record<'a> {
        let split = self.start + usize::from(self.owner_len);
        Record {
            owner: octets.get(self.start..split).unwrap_or_default(),
            rdata: octets.get(split..split + usize::from(self.rdata_len)).unwrap_or_default(),
            rtype: self.rtype,
            class: self.class,
            ttl: self.ttl,
            place: self.place,
        }
    }
}

/// The order of RFC 4034 §6 for records: by owner, then by type (SOA first), then by data in canonical form.
/// Equal are records that differ in nothing but TTL and the case of names.
#[must_use]
pub fn canonical_order(a: &Record<'_>, b: &Record<'_>) -> Ordering {
    let types = |record: &Record<'_>| (record.rtype != SOA, record.rtype, record.class);
    canonical_name_order(a.owner, b.owner)
        .then_with(|| types(a).cmp(&types(b)))
        .then_with(|| canonical_rdata_order(a.rtype, a.rdata, b.rdata))
}

/// The order of RFC 4034 §6.1 for uncompressed wire names: label by label from the right, in lower case.
#[must_use]
pub fn canonical_name_order(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a_labels, mut b_labels) = ([&[][..]; MAX_LABELS], [&[][..]; MAX_LABELS]);
    let (a, b) = (collect(a, &mut a_labels), collect(b, &mut b_labels));
    let different =
        a.iter().rev().zip(b.iter().rev()).map(|(a, b)| folded_order(a, b)).find(|order| order.is_ne());
    different.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn collect<'l, 'n>(name: &'n [u8], labels: &'l mut [&'n [u8]; MAX_LABELS]) -> &'l [&'n [u8]] {
    let mut count = 0;
    for (slot, label) in labels.iter_mut().zip(Labels::new(name)) {
        *slot = label;
        count += 1;
    }
    labels.get(..count).unwrap_or_default()
}

fn folded_order(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// RFC 4034 §6.2 and §6.3: data as octets, names in lower case in those types that RFC 4034 lists.
fn canonical_rdata_order(rtype: u16, a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    canonical_rdata(rtype, a).cmp(&canonical_rdata(rtype, b))
}

/// The canonical form of rdata (RFC 4034 §6.2): names in lower case in those types that RFC 4034 lists.
#[must_use]
pub fn canonical_rdata(rtype: u16, rdata: &[u8]) -> Vec<u8> {
    let mut folded = rdata.to_vec();
    for (name, name_use) in rdata::names(rtype, rdata) {
        if matches!(name_use, NameUse::Compressible | NameUse::Folded) {
            // Length octets are below 64 and so no letters.
            if let Some(name) = folded.get_mut(name) {
                name.make_ascii_lowercase();
            }
        }
    }
    folded
}

/// Whether data of one type are the same record: the same octets, but for the case of names (RFC 4343 §3) in those
/// types whose names RFC 4034 §6.2 lists.
pub(crate) fn same_data(rtype: Rtype, a: &[u8], b: &[u8]) -> bool {
    a == b || (a.eq_ignore_ascii_case(b) && canonical_rdata(rtype.0, a) == canonical_rdata(rtype.0, b))
}

/// Tells new data of an RRset from data that it has.
pub(crate) struct Distinct<'r> {
    rtype: Rtype,
    /// Data in canonical form; not used where each is compared with each.
    seen: Option<HashSet<Cow<'r, [u8]>>>,
}

/// Records of an RRset up to which comparing each with each costs less than hashing.
const FEW: usize = 8;

impl<'r> Distinct<'r> {
    /// For an RRset of so many records.
    pub(crate) fn new(rtype: Rtype, records: usize) -> Self {
        Self { rtype, seen: (records > FEW).then(HashSet::new) }
    }

    /// Whether `rdata` is not among those asked for before, which are `known`.
    pub(crate) fn is_new(&mut self, known: &[&'r [u8]], rdata: &'r [u8]) -> bool {
        let Some(seen) = &mut self.seen else {
            return !known.iter().any(|known| same_data(self.rtype, known, rdata));
        };
        let has_names = rdata::names(self.rtype.0, rdata).next().is_some();
        seen.insert(if has_names { canonical_rdata(self.rtype.0, rdata).into() } else { rdata.into() })
    }
}

/// The data of an RRset, duplicates once.
pub(crate) fn distinct(rtype: Rtype, mut all: Vec<&[u8]>) -> Vec<&[u8]> {
    let mut distinct = Distinct { rtype, seen: Some(HashSet::new()) };
    all.retain(|rdata| distinct.is_new(&[], rdata));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> pharos_wire::Name {
        pharos_wire::Name::from_text(text).unwrap()
    }

    #[test]
    fn names_are_in_the_order_of_rfc_4034_section_6_1() {
        let names = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in names.windows(2) {
            let (a, b) = (name(pair[0]), name(pair[1]));
            assert_eq!(canonical_name_order(a.as_wire(), b.as_wire()), Ordering::Less, "{pair:?}");
            assert_eq!(canonical_name_order(b.as_wire(), a.as_wire()), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(canonical_name_order(name("A.b.").as_wire(), name("a.B.").as_wire()), Ordering::Equal);
    }

    #[test]
    fn a_listing_is_sorted_and_says_each_record_once() {
        let owner = name("Example.");
        let record = |rtype, rdata| Record {
            owner: owner.as_wire(),
            rtype,
            class: 1,
            ttl: 60,
            rdata,
            place: Place::default(),
        };
        let mut listing = Listing::new();
        for record in
            [record(2, b"\x01b\0"), record(1, &[1, 1, 1, 2]), record(2, b"\x01B\0"), record(1, &[1, 1, 1, 1])]
        {
            listing.push(&record);
        }
        listing.sort();
        let mut text = Vec::new();
        listing.print(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "Example.\t60\tIN\tA\t1.1.1.1\nExample.\t60\tIN\tA\t1.1.1.2\nExample.\t60\tIN\tNS\tb.\n"
        );
    }
}
