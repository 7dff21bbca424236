//! Random zones, random queries: every reply is what the model of `pharos_testkit::model` says.
//!
//! The seed is fixed, so that a failure can be repeated; `PHAROS_SEED` and `PHAROS_QUERIES` choose others.

use std::collections::BTreeMap;

use pharos_testkit::{Dice, random};

/// Queries in one run; each set of zones is asked this many of them.
const QUERIES: u64 = 50_000;
const QUERIES_PER_SET: u64 = 50;

fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn every_reply_from_random_zones_is_what_the_model_says() {
    let (seed, queries) = (setting("PHAROS_SEED", 1), setting("PHAROS_QUERIES", QUERIES));
    println!("PHAROS_SEED={seed} PHAROS_QUERIES={queries}");
    let mut kinds = BTreeMap::new();
    for set in 0..queries.div_ceil(QUERIES_PER_SET) {
        // Each set follows from its own number, so that one can be looked at alone.
        let mut dice = Dice::of_seed(seed << 32 | set);
        let zones = random::zones(&mut dice);
        let stored = zones.served.with_set(zones.served.stored());
        for _ in 0..QUERIES_PER_SET {
            let ask = random::ask(&mut dice);
            let reply = zones.served.ask(&ask);
            // What is read from an image that was written answers to the octet alike.
            assert_eq!(stored.ask(&ask).octets, reply.octets, "set {set}:\n{}", zones.text);
            match zones.model.judge(&ask, &reply, 1232) {
                Ok(kind) => {
                    let truncated = if reply.is_truncated() { ", truncated" } else { "" };
                    *kinds.entry(format!("{}{truncated}", kind.label())).or_insert(0u64) += 1;
                }
                Err(difference) => panic!("set {set}: {difference}\n{}", zones.text),
            }
        }
    }
    println!("{kinds:#?}");
    for kind in ["answer", "nodata", "nxdomain", "referral", "error"] {
        assert!(kinds.get(kind).is_some_and(|&n| n >= queries / 50), "too few of {kind}: {kinds:?}");
    }
}
