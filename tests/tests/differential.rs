//! Ours against NSD, Knot and BIND, with random zones and queries.
//!
//! ```text
//! cargo test -p pharos-tests --test differential -- --nocapture
//! ```
//!
//! `PHAROS_DIFF_QUERIES` is how many queries, `PHAROS_DIFF_SEED` repeats a run. Without the other servers' programs
//! it is skipped, with a line that says so; with `CI=true` that is a failure.

use pharos_testkit::peers::{self, Peer};
use pharos_tests::differential::{clock, number, run, settle};

/// Half a minute: two worlds.
const QUERIES: usize = 20_000;

/// With `CI=true`: enough to meet every kind of answer more than a thousand times over each transport.
const QUERIES_IN_CI: usize = 100_000;

/// With `CI=true`: a change is judged by itself, not by what luck brings up. New ground is for runs by hand, whose
/// seed is the clock's.
const SEED_IN_CI: u64 = 8;

/// From this many queries on, each kind of answer must have come up so often over each transport.
const EACH_KIND: (usize, usize) = (100_000, 1_000);

#[test]
fn no_answer_differs_from_nsd_knot_or_bind_but_by_a_named_rule() {
    let in_ci = std::env::var("CI").as_deref() == Ok("true");
    let missing = peers::missing(Peer::UNSIGNED);
    if !missing.is_empty() {
        assert!(!in_ci, "missing: {missing:?} (Debian: nsd knot bind9)");
        println!("SKIPPED: missing: {missing:?} (Debian: nsd knot bind9)");
        return;
    }
    let (queries, seed) = if in_ci { (QUERIES_IN_CI, SEED_IN_CI) } else { (QUERIES, clock()) };
    let queries = number("PHAROS_DIFF_QUERIES").map_or(queries, |count| count as usize);
    let seed = number("PHAROS_DIFF_SEED").unwrap_or(seed);
    println!("PHAROS_DIFF_SEED={seed} PHAROS_DIFF_QUERIES={queries}");
    let report = run(seed, queries);
    settle(&report, seed, queries, EACH_KIND);
}
