//! Ours against NSD, Knot, BIND and PowerDNS, with random signed zones and queries.
//!
//! ```text
//! cargo test -p pharos-tests --test differential_signed -- --nocapture
//! ```
//!
//! `PHAROS_DIFF_QUERIES` is how many queries, `PHAROS_DIFF_SETS` on how many sets of zones from `PHAROS_DIFF_FIRST` on,
//! and `PHAROS_DIFF_SEED` repeats a run (but for the keys, which are new in each). Without the other programs it is skipped, with a line
//! that says so; with `CI=true` that is a failure.

use pharos_testkit::peers::{self, Peer};
use pharos_tests::differential::{clock, number, run_signed, settle, sign};

/// Half a minute.
const QUERIES: usize = 8_000;
const SETS: usize = 4;

/// With `CI=true`: a minute and a half at most.
const QUERIES_IN_CI: usize = 24_000;
const SETS_IN_CI: usize = 8;

/// With `CI=true`: a change is judged by itself, not by what luck brings up.
const SEED_IN_CI: u64 = 1;

/// From this many queries on, each kind of answer must have come up so often over each transport.
const EACH_KIND: (usize, usize) = (1_000_000, 1_000);

#[test]
fn no_signed_answer_differs_from_four_other_servers_but_by_a_named_rule() {
    let in_ci = std::env::var("CI").as_deref() == Ok("true");
    let missing = [peers::missing(Peer::SIGNED), sign::missing()].concat();
    if !missing.is_empty() {
        let packages = "Debian: nsd knot bind9 bind9-utils ldnsutils pdns-server pdns-backend-bind";
        assert!(!in_ci, "missing: {missing:?} ({packages})");
        println!("SKIPPED: missing: {missing:?} ({packages})");
        return;
    }
    let (queries, sets, seed) =
        if in_ci { (QUERIES_IN_CI, SETS_IN_CI, SEED_IN_CI) } else { (QUERIES, SETS, clock()) };
    let queries = number("PHAROS_DIFF_QUERIES").map_or(queries, |count| count as usize);
    let sets = number("PHAROS_DIFF_SETS").map_or(sets, |count| count as usize);
    let seed = number("PHAROS_DIFF_SEED").unwrap_or(seed);
    println!("PHAROS_DIFF_SEED={seed} PHAROS_DIFF_QUERIES={queries} PHAROS_DIFF_SETS={sets}");
    let first = number("PHAROS_DIFF_FIRST").map_or(0, |first| first as usize);
    let report = run_signed(seed, queries, first..first + sets.max(1));
    settle(&report, seed, queries, EACH_KIND);
}
