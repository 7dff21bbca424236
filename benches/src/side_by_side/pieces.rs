//! What the pieces of the server cost by themselves, in one process and on one thread: from text to an image, look-ups
//! among a million names one by one and in batches, hashes, and the search in an NSEC3 chain.
//!
//! Everything is measured in turns, one after the other and all of them again, so that what disturbs the machine disturbs
//! all alike; the medians are told. Two yardsticks are measured in the same turns: what a load costs that has to wait for
//! the one before, anywhere in as much memory as the image has, and how long `domain::zonefile::inplace` takes to scan the
//! same text without making anything of it. What machines differ in is in those, too.

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use domain::base::Name as TheirName;
use domain::zonefile::inplace::{Entry, Zonefile};
use pharos_answer::{Context, Job, Silent, Transport, look_up};
use pharos_netio::memory::{expect_huge_pages, use_huge_pages};
use pharos_testkit::{Ask, CLIENT, KEY, Served};
use pharos_wire::hash::HashedName;
use pharos_wire::{Name, Rtype};
use pharos_zone::dnssec::Checks;
use pharos_zone::load::load;
use pharos_zone::scan::{Includes, Source, scan};
use pharos_zonedb::build::{ImageBuilder, NodeId, NodeSpec, Reach, RrSetSpec};
use pharos_zonedb::image::NodeFlags;
use pharos_zonedb::nsec3::Nsec3Parameters;
use pharos_zonedb::stored::Head;
use pharos_zonedb::{Glimpse, ZoneImage, ZoneSet, ZoneState};

use super::Pieces;
use super::error::BenchError;
use super::machine;
use super::results::{Begin, Record, Results};
use crate::hosts_zone;

/// Names of the zone, and hashes of the chain.
const NAMES: u32 = 1_000_000;
/// The zone's name.
const ORIGIN: &str = "million.test.";
/// Queries of one turn: so many that they touch most of the image's pages, and so few that a turn is short.
const QUERIES: u32 = 1 << 17;
/// Names that stay in the nearest cache.
const NEAR: usize = 128;
/// Queries that are looked up together.
const BATCH: usize = 32;
/// Turns of each measurement; odd, so that the median is one of them.
const TURNS: usize = 9;
/// An odd number, so that its multiples come in any order and all differ.
const STEP: u32 = 0x9e37_79b1;

/// The pieces, in the order of the table, each with what a sketch of it took before the server was written.
pub(super) const ALL: [(&str, &str); 14] = [
    (WAIT, ""),
    (THEIRS, "219 to 262 ms (97 to 116 MB/s)"),
    ("text scanned", "49 to 64 ms (400 to 516 MB/s)"),
    ("text to image, digest and checks included", "300 to 390 ms"),
    ("image read, with its sums", "6 ms with a digest"),
    ("name folded and hashed, each suffix", "7 ns, the whole name alone"),
    ("look-up, one by one", "327 ns"),
    ("look-up, batches of 32", "58 ns, 79 without prefetch instructions"),
    ("look-up of what is not there, batches of 32", "32 ns"),
    ("query to reply, one by one", ""),
    (QUERY_IN_BATCH, ""),
    ("query to NXDOMAIN, batches of 32", ""),
    ("NSEC3, hash of a name", "89 ns"),
    ("NSEC3, search among a million hashes, one by one", "39 to 69 ns"),
];
/// The query path without sockets.
pub(super) const QUERY_IN_BATCH: &str = "query to reply, batches of 32";
/// The yardsticks.
const WAIT: &str = "a load that waits for the one before";
const THEIRS: &str = "`domain` scans the text";

/// What is measured: its name, and the nanoseconds that one of them took in each turn.
struct Measured {
    name: &'static str,
    turns: Vec<f64>,
}

/// Measures them, and writes the results.
pub(super) fn run(options: &Pieces) -> Result<(), BenchError> {
    let mut results = Results::open(&options.results, Begin::Anew)?;
    results.add(&Record::Run(machine::describe(&[], (TURNS as u32, 0, "full"))))?;
    for Measured { name, mut turns } in measure(&options.only) {
        turns.sort_by(f64::total_cmp);
        let (median_ns, least_ns) = (turns[turns.len() / 2], turns[0]);
        println!("{name}: {} ({} at least)", shown(median_ns), shown(least_ns));
        results.add(&Record::Piece { name: name.to_owned(), median_ns, least_ns })?;
    }
    Ok(())
}

fn measure(only: &str) -> Vec<Measured> {
    let text = hosts_zone(NAMES);
    let image = load_ours(&text);
    let zones = Served::one(ORIGIN, &text);
    let (found, missing) = (names("h"), names("n"));
    let chain = Chain::new();
    let walk = Walk::over(image.octets());
    let stored = store(&image);
    let apex = Name::from_text(ORIGIN).expect("the origin is a name");
    let apex_labels = apex.labels().count();
    // As the responder does.
    let live = zones.set().zones().filter_map(|(_, state)| match state {
        ZoneState::Live(image) => Some(image.places()),
        _ => None,
    });
    for place in live.chain([image.places()]).flatten().chain([walk.place()]) {
        if let Err(error) = use_huge_pages(place) {
            println!("not all is on huge pages: {error}");
        }
    }
    println!("{NAMES} names, {} octets of text, {} of the image", text.len(), image.octets());
    let context = zones.context(Transport::Udp);
    let mut all: Vec<Measured> = Vec::new();
    for _ in 0..TURNS {
        let mut note = |place: usize, each: u32, work: &mut dyn FnMut()| {
            let (name, _) = ALL[place];
            if !name.contains(only) {
                return;
            }
            let begin = Instant::now();
            work();
            let took = begin.elapsed().as_nanos() as f64 / f64::from(each);
            match all.iter_mut().find(|measured| measured.name == name) {
                Some(measured) => measured.turns.push(took),
                None => all.push(Measured { name, turns: vec![took] }),
            }
        };
        note(0, QUERIES, &mut || walk.take(QUERIES));
        note(1, 1, &mut || scan_theirs(&text));
        note(2, 1, &mut || scan_ours(&text));
        note(3, 1, &mut || drop(black_box(load_ours(&text))));
        note(4, 1, &mut || drop(black_box(read(&stored))));
        note(5, QUERIES, &mut || hash(&found));
        note(6, QUERIES, &mut || find(&image, &found, 1, apex_labels));
        note(7, QUERIES, &mut || find(&image, &found, BATCH, apex_labels));
        note(8, QUERIES, &mut || find(&image, &missing, BATCH, apex_labels));
        note(9, QUERIES, &mut || ask(zones.set(), &context, &found, 1));
        note(10, QUERIES, &mut || ask(zones.set(), &context, &found, BATCH));
        note(11, QUERIES, &mut || ask(zones.set(), &context, &missing, BATCH));
        note(12, QUERIES, &mut || chain.hash(&found));
        note(13, QUERIES, &mut || chain.search());
    }
    all
}

/// A time for people.
pub(super) fn shown(nanoseconds: f64) -> String {
    match nanoseconds {
        ..100_000.0 => format!("{nanoseconds:.0} ns"),
        _ => format!("{:.0} ms", nanoseconds / 1e6),
    }
}

/// An image as it stands in a file.
fn store(image: &ZoneImage) -> Vec<u8> {
    let mut octets = Vec::new();
    image.write_to(KEY, b"", &mut octets).expect("memory takes all of it");
    octets
}

fn read(stored: &[u8]) -> ZoneImage {
    let (head, start) = Head::read_from(&[KEY], &mut &*stored).expect("we wrote it");
    let mut body = stored.get(start as usize..).unwrap_or_default();
    let octets = body.len() as u64;
    // As the responder does; a kernel that has none is slower, and no more.
    let room = |place| drop(expect_huge_pages(place));
    ZoneImage::read_from(&head, octets, &mut body, room).expect("we wrote it")
}

/// One query, its name as the client wrote it and its message.
struct Asked {
    name: Vec<u8>,
    message: Vec<u8>,
}

/// Queries for names of the zone, or for others, in an order that is not that of the image.
fn names(prefix: &str) -> Vec<Asked> {
    let numbers = (0..QUERIES).map(|number| number.wrapping_mul(STEP) % NAMES);
    let asked = |number: u32| {
        let text = format!("{prefix}{number}.{ORIGIN}");
        let name = Name::from_text(&text).expect("it is a name");
        Asked { name: name.as_wire().to_vec(), message: Ask::new(&text, Rtype::A).octets() }
    };
    numbers.map(asked).collect()
}

fn source(text: &str) -> Source<'_> {
    Source { path: Path::new("zone"), octets: text.as_bytes(), includes: Includes::Refused }
}

fn scan_ours(text: &str) {
    let origin = Name::from_text(ORIGIN).expect("the origin is a name");
    let report = scan(source(text), origin.as_wire(), &mut |record| {
        black_box(&record);
    });
    assert!(report.is_clean(), "{report}");
}

fn load_ours(text: &str) -> ZoneImage {
    let origin = Name::from_text(ORIGIN).expect("the origin is a name");
    match load(&origin, source(text), KEY, &Checks::LENIENT, &mut |_| {}) {
        Ok(loaded) => loaded.image,
        Err(error) => panic!("{error}"),
    }
}

fn scan_theirs(text: &str) {
    let mut zonefile = Zonefile::from(text);
    zonefile.set_origin(TheirName::bytes_from_str(ORIGIN).expect("the origin is a name"));
    while let Some(entry) = zonefile.next_entry().expect("it reads what we read") {
        if let Entry::Record(record) = entry {
            black_box(&record);
        }
    }
}

/// Few names, again and again: what the hash costs, and not the memory in which they stand.
fn near(asked: &[Asked]) -> impl Iterator<Item = &Asked> {
    asked.iter().take(NEAR).cycle().take(asked.len())
}

fn hash(asked: &[Asked]) {
    let mut hashed = HashedName::default();
    for Asked { name, .. } in near(asked) {
        let _ = black_box(hashed.set(black_box(name)));
        hashed.hash(KEY);
        black_box(hashed.suffix_hash(0));
    }
}

/// Looks names up in three passes: hashed and the bucket touched, the node touched, found and its address read.
fn find(image: &ZoneImage, asked: &[Asked], batch: usize, apex_labels: usize) {
    let mut names = vec![HashedName::default(); batch];
    let mut glimpses = vec![Glimpse::NotTaken; batch];
    for asked in asked.chunks(batch) {
        for (hashed, Asked { name, .. }) in names.iter_mut().zip(asked) {
            let _ = hashed.set(name);
            hashed.hash(KEY);
        }
        if batch > 1 {
            names.iter().for_each(|hashed| image.warm_table(hashed));
            for (glimpse, hashed) in glimpses.iter_mut().zip(&names) {
                *glimpse = image.glimpse(hashed);
            }
        }
        for (hashed, glimpse) in names.iter().zip(&glimpses) {
            let found = image.find_glimpsed(hashed, hashed.labels() - apex_labels, *glimpse);
            let address =
                found.node.rrset(Rtype::A).and_then(|rrset| rrset.records().next().map(|it| it.wire));
            black_box((found.label, address));
        }
    }
}

/// The query path without sockets.
fn ask(zones: &ZoneSet, context: &Context, asked: &[Asked], batch: usize) {
    let mut jobs = vec![Job::default(); batch];
    let mut out = vec![0; 4096];
    for asked in asked.chunks(batch) {
        look_up(&mut jobs, zones, |index| &asked[index].message);
        for (job, Asked { message, .. }) in jobs.iter_mut().zip(asked) {
            black_box(job.write(zones, context, CLIENT, message, &mut out, &mut Silent));
        }
    }
}

/// An NSEC3 chain, in an image that has nothing else.
struct Chain {
    image: ZoneImage,
    parameters: Nsec3Parameters,
    /// Of names that are not there.
    wanted: Vec<[u8; 20]>,
}

impl Chain {
    fn new() -> Self {
        let apex = Name::from_text(ORIGIN).expect("the origin is a name");
        let parameters = Nsec3Parameters { iterations: 0, salt: Box::default() };
        let mut builder = ImageBuilder::new(&apex, NAMES as usize + 1);
        builder.nsec3(parameters.clone());
        let soa = [RrSetSpec { rtype: Rtype::A, ttl: 1, records: &[&[0; 4]], signatures: &[], extras: &[] }];
        for number in 0..=NAMES {
            let reach = match number {
                0 => Reach::Hidden,
                _ => Reach::Hashed(parameters.hash(&[&number.to_be_bytes()])),
            };
            let (id, owner, flags) = (NodeId(number), apex.as_wire(), NodeFlags::default());
            let spec = NodeSpec { id, owner, reach, flags, links: None, rrsets: &soa };
            builder.node(&spec).expect("each node stands once");
        }
        let image = builder.finish(NodeId(0), 1, 1).expect("all nodes stand there");
        let wanted = (0..QUERIES).map(|number| parameters.hash(&[b"n", &number.to_be_bytes()])).collect();
        Self { image, parameters, wanted }
    }

    fn hash(&self, asked: &[Asked]) {
        for Asked { name, .. } in near(asked) {
            black_box(self.parameters.hash(&[black_box(name)]));
        }
    }

    fn search(&self) {
        for hash in &self.wanted {
            black_box(self.image.nsec3_for(hash));
        }
    }
}

/// Places in memory, a cache line each, of which every one names the next: a circle without any order.
struct Walk(Vec<[u32; 16]>);

impl Walk {
    fn over(octets: usize) -> Self {
        let lines = octets / 64;
        let mut order: Vec<u32> = (0..lines as u32).collect();
        let mut dice = 1u64;
        for at in (1..lines).rev() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (dice >> 33) as usize % at);
        }
        let mut walk = vec![[0; 16]; lines];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            walk[*from as usize][0] = *to;
        }
        Self(walk)
    }

    fn place(&self) -> Range<usize> {
        let all = self.0.as_ptr_range();
        all.start as usize..all.end as usize
    }

    fn take(&self, steps: u32) {
        black_box((0..steps).fold(0, |at, _| self.0[at as usize][0]));
    }
}
