//! Puts each kind of query through the query path, for callgrind to count; `benches/instructions` runs it.
//!
//! Each call of [`measured`] is one measurement: callgrind counts inside of it alone and dumps its counts when it
//! returns. Every kind is measured in three stages, each with N and with 2N queries; the difference divided by N is
//! what one query costs, free of what the call itself costs. For each measurement this program prints a line, in
//! the order of the dumps: kind, stage, queries, octets of query and of reply.
//!
//! `query-instructions [--million]`
#![forbid(unsafe_code)]

use std::hint::black_box;

use pharos_answer::{Context, Job, Silent, Transport, Verdict, answer};
use pharos_benches::{QueryKind, million, million_kinds, sample_kinds, samples};
use pharos_testkit::{Ask, CLIENT, Served};
use pharos_wire::Query;
use pharos_zonedb::ZoneSet;

/// Queries of the shorter of two measurements: a multiple of the spread over the generated zone's names.
const QUERIES: usize = 64;

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

impl Stage {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Read, "read"), (Self::Find, "find"), (Self::Answer, "answer")];
}

fn main() {
    let with_million = std::env::args().any(|argument| argument == "--million");
    run(&samples(), &sample_kinds());
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
                measured(stage, count, served.set(), &context, &messages, &mut out);
                println!("{}\t{label}\t{count}\t{asked}\t{replied}", kind.name);
            }
        }
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
fn measured(
    stage: Stage,
    count: usize,
    zones: &ZoneSet,
    context: &Context,
    messages: &[Vec<u8>],
    out: &mut [u8],
) {
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
