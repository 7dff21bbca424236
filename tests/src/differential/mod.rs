//! The differential test: the same zones and the same queries to NSD, Knot, BIND and ours; with signed zones to
//! PowerDNS too.
//!
//! ```text
//! seed -> generate (zone text) [-> sign] -> servers -> queries -> exchange -> judge: oracle, rules -> report
//! ```
//!
//! No peer is the truth. What ours must say [`oracle`] works out by itself, and every difference between our reply and any peer's must be decided by a rule in
//! [`rules`], which speaks of a section of an RFC and never of a single query; docs/rfc-exceptions.md has the
//! same names with the reasons. What no rule decides fails the test, with the query, the zone's lines and all
//! four replies.
//!
//! Decoding, names and the model of a zone are this module's own: a fault of the responder's crates cannot
//! hide in its judge. Only the reading of zone files is shared, and that is compared through the answers.
//!
//! Called by `tests/differential.rs` and `tests/differential_signed.rs`.

pub mod exchange;
pub mod facts;
pub mod generate;
pub mod judge;
pub mod message;
pub mod names;
pub mod oracle;
pub mod proof_rules;
pub mod queries;
pub mod random;
pub mod rdata;
pub mod report;
pub mod rules;
pub mod servers;
pub mod sign;
pub mod world;

use std::ops::Range;
use std::time::Instant;

use exchange::{LONG, Patience, QUICK, STEADY};
use judge::{Outcome, Outcomes, judge};
use message::TC;
use queries::{Ask, Palette, Transport};
use random::Random;
use report::Report;
use servers::{Family, Servers};
use sign::Signer;
use world::World;

/// Queries to one world before the next one is made: many zones are worth more than many queries to each.
const WORLD_QUERIES: usize = 10_000;

/// Queries under way together.
const BATCH: usize = 2_000;

/// A number that the environment sets for a run.
///
/// # Panics
/// If it is not a number.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// A seed that nobody has had: the time.
pub fn clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Prints what a run came to. From so many queries on each kind of answer must have come up so often over each
/// transport.
///
/// # Panics
/// If anything was found, or a kind was too rare.
pub fn settle(report: &Report, seed: u64, queries: usize, (from, least): (usize, usize)) {
    println!("{}", report.tables());
    assert!(report.found() == 0, "PHAROS_DIFF_SEED={seed}\n{}", report.findings());
    let rare = if queries >= from { report.rare(least) } else { Vec::new() };
    assert!(rare.is_empty(), "fewer than {least}: {rare:?}");
}

/// Runs `count` queries that follow from `seed`.
pub fn run(seed: u64, count: usize) -> Report {
    let mut report = Report::default();
    let mut left = count;
    for index in 0.. {
        if left == 0 {
            break;
        }
        let here = left.min(WORLD_QUERIES);
        left -= here;
        let mut random = Random::new(seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let begun = Instant::now();
        let world = World::new(&mut random, index);
        let family = if index % 2 == 1 && Family::V6.is_here() { Family::V6 } else { Family::V4 };
        let mut servers = Servers::start(&world, family);
        let ready = begun.elapsed();
        report.family = family;
        run_world(&world, &mut servers, &mut random, here, &mut report);
        println!(
            "world {index} over {family:?}: {} zones, {} records, {here} queries, {} findings so far, {:.1} s to start, {:.1} s in all",
            world.zones.len(),
            world.records.len(),
            report.found(),
            ready.as_secs_f64(),
            begun.elapsed().as_secs_f64()
        );
    }
    report
}

/// Runs `count` queries that follow from `seed` on sets of signed zones, those with these numbers.
pub fn run_signed(seed: u64, count: usize, sets: Range<usize>) -> Report {
    let mut report = Report::of_signed();
    let signer = Signer::new();
    for (nth, index) in sets.clone().enumerate() {
        let here = count / sets.len() + usize::from(nth < count % sets.len());
        let mut random = Random::new(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let begun = Instant::now();
        let world = World::signed(&mut random, index, &signer);
        let made = begun.elapsed();
        let family = if index % 2 == 1 && Family::V6.is_here() { Family::V6 } else { Family::V4 };
        let mut servers = Servers::start(&world, family);
        let ready = begun.elapsed();
        report.family = family;
        run_world(&world, &mut servers, &mut random, here, &mut report);
        println!(
            "set {index} over {family:?}: {} zones, {} records, {here} queries, {} findings so far, {:.1} s to sign, \
             {:.1} s to start, {:.1} s in all",
            world.zones.len(),
            world.records.len(),
            report.found(),
            made.as_secs_f64(),
            (ready - made).as_secs_f64(),
            begun.elapsed().as_secs_f64()
        );
    }
    report
}

fn run_world(world: &World, servers: &mut Servers, random: &mut Random, count: usize, report: &mut Report) {
    let palette = Palette::new(world);
    let mut left = count;
    while left > 0 {
        let asks: Vec<Ask> = (0..left.min(BATCH)).map(|_| palette.ask(random)).collect();
        left -= asks.len();
        let outcomes = ask_sound(servers, world, &asks, QUICK, report);
        // Over TCP again: what was cut short, and what differs perhaps for its size alone.
        let mut again = Vec::new();
        for (index, (ask, outcomes)) in asks.iter().zip(&outcomes).enumerate() {
            let cut = outcomes.iter().any(|outcome| outcome.reply().is_some_and(|reply| reply.has(TC)));
            let judged = cut || !judge(ask, world, outcomes, None).is_good();
            if judged && ask.transport == Transport::Udp && ask.shape.is_readable() {
                again.push(index);
            }
        }
        let asks_again: Vec<Ask> = again.iter().map(|&index| asks[index].over_tcp()).collect();
        let whole = ask_sound(servers, world, &asks_again, QUICK, report);
        let mut whole = again.into_iter().zip(whole).peekable();
        for (index, (ask, outcomes)) in asks.iter().zip(outcomes).enumerate() {
            let whole = whole.next_if(|(at, _)| *at == index).map(|(_, whole)| whole);
            if let Some(whole) = &whole {
                let ask = ask.over_tcp();
                report.add(&ask, world, whole, &judge(&ask, world, whole, None));
            }
            let mut outcomes = outcomes;
            let mut judgement = judge(ask, world, &outcomes, whole.as_ref());
            let silence = outcomes.contains(&Outcome::Silent);
            if !judgement.is_good() && silence {
                // On a busy machine a reply may be late.
                report.late(&outcomes);
                outcomes = ask_sound(servers, world, std::slice::from_ref(ask), LONG, report).remove(0);
                judgement = judge(ask, world, &outcomes, whole.as_ref());
            }
            report.add(ask, world, &outcomes, &judgement);
        }
    }
}

/// Like [`ask_all`]; who hangs has no vote on what it left without a reply, and is started anew.
fn ask_sound(
    servers: &mut Servers,
    world: &World,
    asks: &[Ask],
    patience: Patience,
    report: &mut Report,
) -> Vec<Outcomes> {
    let mut all = ask_all(servers, asks, patience);
    for slot in 1..servers.addresses.len() {
        let unanswered =
            |(ask, outcomes): (&Ask, &Outcomes)| !ask.is_odd() && outcomes[slot] == Outcome::Silent;
        if asks.iter().zip(&all).any(unanswered) && servers.is_hung(slot, &world.zones) {
            report.hung(servers.restart(slot, &world.zones));
            for outcomes in all.iter_mut().filter(|outcomes| outcomes[slot] == Outcome::Silent) {
                outcomes[slot] = Outcome::Absent;
            }
        }
    }
    all
}

/// Sends all queries to all servers; the outcomes stand in the order of the queries.
fn ask_all(servers: &Servers, asks: &[Ask], patience: Patience) -> Vec<Outcomes> {
    let answers: Vec<Vec<Option<Vec<u8>>>> = std::thread::scope(|scope| {
        let ask = |address| scope.spawn(move || ask_one(address, asks, patience));
        let threads: Vec<_> = servers.addresses.iter().copied().map(ask).collect();
        threads.into_iter().map(|thread| thread.join().expect("asking does not panic")).collect()
    });
    (0..asks.len())
        .map(|index| answers.iter().map(|replies| Outcome::of(replies[index].as_deref())).collect())
        .collect()
}

fn ask_one(address: std::net::SocketAddr, asks: &[Ask], patience: Patience) -> Vec<Option<Vec<u8>>> {
    let mut replies = vec![None; asks.len()];
    for way in 0..3 {
        let on_way = |ask: &Ask| match (ask.transport, ask.is_odd()) {
            (Transport::Udp, _) => 0,
            (Transport::Tcp, false) => 1,
            (Transport::Tcp, true) => 2,
        };
        let chosen: Vec<usize> = (0..asks.len()).filter(|&index| on_way(&asks[index]) == way).collect();
        let messages: Vec<&[u8]> = chosen.iter().map(|&index| asks[index].message.as_slice()).collect();
        let got = match way {
            0 => exchange::udp(address, &messages, patience),
            1 => exchange::tcp(address, &messages, STEADY),
            _ => exchange::tcp_solo(address, &messages, patience.wait),
        };
        for (index, reply) in chosen.into_iter().zip(got) {
            replies[index] = reply;
        }
    }
    replies
}
