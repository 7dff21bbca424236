//! Whether data whose content is good may come into force.
//!
//! Two things besides content speak for or against new data, and both may be wrong themselves: the clock, and the
//! parent zone. They are heard only where good data would be lost: new data are refused when they stand worse than
//! the data that answer. Where nothing answers, nothing is lost: a signature that lapsed is no worse than SERVFAIL,
//! and so what was once accepted loads again after every restart. By a clock that is doubted nothing is refused.
//!
//! What is accepted in spite of findings is an alarm; see [`crate::vigil`].

use std::net::Ipv4Addr;
use std::sync::Arc;

use pharos_answer::{AnyPolicy, Context, Job, Silent, Transport, Verdict, answer};
use pharos_wire::hash::HashKey;
use pharos_wire::{Name, Rcode, Rtype};
use pharos_zone::delegation::broken;
use pharos_zone::dnssec::{Broken, Checks};
use pharos_zonedb::{ZoneImage, ZoneSet, ZoneState};

use super::zone::{Candidate, Live};
use crate::vigil::{Standing, findings};

/// How new data are checked and judged.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// What to check while they load, and the time.
    pub(crate) checks: Checks,
    /// Whether that time is believed.
    pub(crate) belief: Belief,
}

/// Whether a clock is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Belief {
    /// It is.
    Trusted,
    /// It is not; nothing is refused by it.
    Doubted,
}

/// Judges new data beside those that answer and those of the closest zone above in the set that would come into force.
pub(super) fn admit(
    candidate: &Candidate,
    live: Option<&Live>,
    parent: Option<&ZoneImage>,
    bench: &Bench,
    key: HashKey,
) -> Result<(), String> {
    let Some(live) = live else { return Ok(()) };
    let serial = live.image.serial();
    if let (Belief::Trusted, Some(clock)) = (bench.belief, bench.checks.clock) {
        let new = Standing::of(candidate.signed.as_deref(), clock);
        if new > Standing::of(live.signed.as_deref(), clock) {
            let mut said = candidate.by_clock.clone();
            if said.is_empty() {
                said = findings(candidate.signed.as_deref(), clock);
            }
            return Err(format!(
                "by the clock the new signatures stand worse than those of serial {serial}, which answers:\n{}\n \
                 help: sign the zone again; if the clock is wrong, set it and reload",
                said.join("\n")
            ));
        }
    }
    let clock = bench.checks.clock.filter(|_| bench.belief == Belief::Trusted);
    if let Some(parent) = parent
        && bench.checks.broken == Broken::Refuse
        && let Some(fault) = broken(parent, &candidate.image, key, clock)
        && broken(parent, &live.image, key, clock).is_none()
    {
        return Err(format!(
            "{fault}; serial {serial}, which answers, has no such fault\n help: sign with a key that the parent knows, or put \
             the DS record of the new key into the parent first",
        ));
    }
    Ok(())
}

/// What is to be told of data in force beside those of their parent, whatever the time: what has lapsed is told from
/// hour to hour by [`crate::vigil`].
///
/// A parent that breaks the link to a child is not refused for it: its customer may have moved away, with a new DS record
/// here and the old zone still configured, and one delegation must not hold up a release that holds all the others.
pub(super) fn delegation(parent: &ZoneImage, child: &ZoneImage, key: HashKey) -> Option<String> {
    broken(parent, child, key, None).map(|fault| format!("{fault}: validators refuse the zone"))
}

/// Room for a test of many images, one after the other.
pub(super) struct Proof {
    key: HashKey,
    job: Job,
    query: Vec<u8>,
    reply: Vec<u8>,
}

impl Proof {
    /// For images that were made with this key.
    pub(super) fn new(key: HashKey) -> Self {
        Self { key, job: Job::default(), query: Vec::new(), reply: vec![0; usize::from(u16::MAX)] }
    }

    /// The key of the images.
    pub(super) fn key(&self) -> HashKey {
        self.key
    }

    /// Lets the new image answer for its own apex before anybody else asks it.
    pub(super) fn of(&mut self, name: &Name, image: &Arc<ZoneImage>) -> Result<(), String> {
        let zones = ZoneSet::new(self.key, [(name.as_wire(), ZoneState::Live(image.clone()))]);
        let context = Context::new(Transport::Tcp, 1232, "", AnyPolicy::Minimal);
        let Self { job, query, reply: out, .. } = self;
        for rtype in [Rtype::SOA, Rtype::NS] {
            query.clear();
            query.extend([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            query.extend(name.as_wire());
            query.extend(rtype.0.to_be_bytes());
            query.extend([0, 1]);
            let client = Ipv4Addr::LOCALHOST.into();
            let verdict = answer(job, &zones, &context, client, query, out, &mut Silent);
            let good = match verdict {
                Verdict::Reply(reply) => reply.rcode == Rcode::NOERROR && out[2] & 4 != 0 && out[7] != 0,
                Verdict::Drop(_) => false,
            };
            if !good {
                return Err(format!(
                    "{name}: the compiled zone does not answer {rtype} at its apex ({verdict:?})\n help: this is a defect of the program: report it with the zone file"
                ));
            }
        }
        Ok(())
    }
}
