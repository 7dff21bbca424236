//! Puts each kind of query through the query path, and a zone through the loader, for callgrind to count;
//! `benches/instructions` runs it.
//!
//! Each call of [`measured`] is one measurement: callgrind counts inside of it alone and dumps its counts when it
//! returns. Every kind is measured in three stages, each with N and with 2N queries; the difference divided by N is
//! what one query costs, free of what the call itself costs. For each measurement this program prints a line, in
//! the order of the dumps: kind, stage, queries, octets of query and of reply. Of a zone it is loaded: kind, stage,
//! records, octets of text and of the image for each record.
//!
//! `query-instructions [--million]`
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::path::Path;

use pharos_answer::{Context, Job, Silent, Transport, Verdict, answer};
use pharos_benches::{QueryKind, million, million_kinds, mixed_zone, sample_kinds, samples};
use pharos_testkit::{Ask, CLIENT, Served};
use pharos_wire::{Name, Query};
use pharos_zone::scan::{Includes, Source, scan};
use pharos_zonedb::{ZoneSet, ZoneState};

/// Queries of the shorter of two measurements: a multiple of the spread over the generated zone's names.
const QUERIES: usize = 64;

/// Records of the shorter of two loads.
const RECORDS: u32 = 8000;
/// The zone's name.
const ORIGIN: &str = "example.";

/// How far a query is taken.
#[derive(Clone, Copy)]
enum Stage {
    /// Its octets are read.
    Read,
    /// Its name is hashed, too, and its zone found.
    Find,
    /// It is answered.
    Answer,
}

/// How far a zone is taken.
#[derive(Clone, Copy)]
enum Load {
    /// Its text is read.
    Scan,
    /// It could be asked.
    Whole,
}

impl Stage {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Read, "read"), (Self::Find, "find"), (Self::Answer, "answer")];
}

fn main() {
    let with_million = std::env::args().any(|argument| argument == "--million");
    run(&samples(), &sample_kinds());
    run_load();
    if with_million {
        run(&million(), &million_kinds());
    }
}

fn run(served: &Served, kinds: &[QueryKind]) {
    let context = served.context(Transport::Udp);
    let mut out = vec![0; 4096];
    for kind in kinds {
        let messages: Vec<Vec<u8>> = kind.asks.iter().map(Ask::octets).collect();
        let (asked, replied) = octets(served, &context, &messages, &mut out);
        for (stage, label) in Stage::ALL {
            for count in [QUERIES, 2 * QUERIES] {
                measured(&mut || ask(stage, count, served.set(), &context, &messages, &mut out));
                println!("{}\t{label}\t{count}\t{asked}\t{replied}", kind.name);
            }
        }
    }
}

/// A zone of mixed records, scanned alone, and loaded: scanned, checked and compiled.
fn run_load() {
    let texts = [RECORDS, 2 * RECORDS].map(mixed_zone);
    let served = Served::one(ORIGIN, &texts[0]);
    let images = served.set().zones().filter_map(|(_, state)| match state {
        ZoneState::Live(image) => Some(image.octets()),
        _ => None,
    });
    let (asked, replied) = (texts[0].len() / RECORDS as usize, images.sum::<usize>() / RECORDS as usize);
    for (load, label) in [(Load::Scan, "scan"), (Load::Whole, "load")] {
        for (text, count) in texts.iter().zip([RECORDS, 2 * RECORDS]) {
            measured(&mut || take(load, text));
            println!("zone, mixed records\t{label}\t{count}\t{asked}\t{replied}");
        }
    }
}

fn take(load: Load, text: &str) {
    let text = black_box(text);
    match load {
        Load::Scan => {
            let origin = Name::from_text(ORIGIN).expect("the origin is a name");
            let octets = text.as_bytes();
            let source = Source { path: Path::new("zone"), octets, includes: Includes::Refused };
            black_box(scan(source, origin.as_wire(), &mut |record| {
                black_box(&record);
            }));
        }
        Load::Whole => drop(black_box(Served::one(ORIGIN, text))),
    }
}

/// Mean octets of the queries and of their replies.
fn octets(served: &Served, context: &Context, messages: &[Vec<u8>], out: &mut [u8]) -> (usize, usize) {
    let mut job = Job::default();
    let (mut asked, mut replied) = (0, 0);
    for message in messages {
        asked += message.len();
        if let Verdict::Reply(reply) =
            answer(&mut job, served.set(), context, CLIENT, message, out, &mut Silent)
        {
            replied += reply.len;
        }
    }
    (asked / messages.len(), replied / messages.len())
}

/// What callgrind counts. Its name stands in `benches/instructions`.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn ask(stage: Stage, count: usize, zones: &ZoneSet, context: &Context, messages: &[Vec<u8>], out: &mut [u8]) {
    let (mut query, mut job) = (Query::default(), Job::default());
    for message in messages.iter().cycle().take(count) {
        let message = black_box(&message[..]);
        match stage {
            Stage::Read => drop(black_box(query.read(message))),
            Stage::Find => job.read(zones, message),
            Stage::Answer => {
                black_box(answer(&mut job, zones, context, CLIENT, message, out, &mut Silent));
            }
        }
        black_box((&query, &job));
    }
}
