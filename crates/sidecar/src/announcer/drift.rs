//! Drift: where what is observed differs from what was decided, for each prefix, since when, and why. Pure.
//!
//! Every announcer gives its gaps after each of its steps. A gap that is only being closed is no news until it has
//! lasted [`PATIENCE`]; one that goes against what had been reached, or that an attempt failed to close, is news at
//! once. [`Watch`] remembers since when, and says when drift begins and when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use pharos_policy::Prefix;

/// How long carrying out a decision may take before it is called drift: well beyond what any announcer needs when
/// all is well, so that ordinary changes raise no alarm.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an announcer says about a prefix that is not as decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) prefix: Prefix,
    /// What was decided, in words: a level, or a route with its attributes.
    pub(crate) wanted: String,
    /// What is observed, in words.
    pub(crate) observed: String,
    /// Why, as far as it is known: a sentence without a full stop.
    pub(crate) why: String,
    pub(crate) kind: Kind,
}

/// Whether a gap is ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The decision is being carried out.
    Closing,
    /// It was carried out and does not hold, or it could not be.
    Astray,
    /// Another alarm already says why, that of a lost neighbour: shown, and not told again.
    Explained,
}

/// A gap that people are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) gap: Gap,
    pub(crate) since: Duration,
}

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Began(Drift),
    Over { prefix: Prefix, since: Duration },
}

/// The drift of one announcer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    gaps: BTreeMap<Prefix, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    drift: Drift,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

impl Watch {
    /// Takes all gaps as they are now; gives what people should hear.
    pub(crate) fn step(&mut self, now: Duration, gaps: Vec<Gap>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.gaps);
        for gap in gaps {
            let prefix = gap.prefix;
            // The first of several gaps of a prefix speaks for it.
            if self.gaps.contains_key(&prefix) {
                continue;
            }
            let old = before.remove(&prefix);
            let since = old.as_ref().map_or(now, |old| old.drift.since);
            let mut told = old.map_or(Told::No, |old| old.told);
            let drift = Drift { gap, since };
            let due = match drift.gap.kind {
                Kind::Astray => true,
                Kind::Closing => now.saturating_sub(since) >= PATIENCE,
                Kind::Explained => false,
            };
            if told == Told::No && due {
                told = Told::Yes;
                changes.push(Change::Began(drift.clone()));
            }
            self.gaps.insert(prefix, Entry { drift, told });
        }
        for (prefix, entry) in before {
            if entry.told == Told::Yes {
                changes.push(Change::Over { prefix, since: entry.drift.since });
            }
        }
        changes
    }

    /// Every gap, those that are only being closed as well: what the status shows.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = &Drift> {
        self.gaps.values().map(|entry| &entry.drift)
    }

    /// What people were told of and is not over: what the alarm says.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &Drift> {
        self.gaps.values().filter(|entry| entry.told == Told::Yes).map(|entry| &entry.drift)
    }

    /// When a gap that is being closed becomes drift.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let waiting = self
            .gaps
            .values()
            .filter(|entry| entry.told == Told::No && entry.drift.gap.kind == Kind::Closing);
        waiting.map(|entry| entry.drift.since + PATIENCE).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn gap(kind: Kind) -> Gap {
        Gap {
            prefix: "192.0.2.0/24".parse().unwrap(),
            wanted: "normal".to_owned(),
            observed: "withdrawn".to_owned(),
            why: "the daemon is not there".to_owned(),
            kind,
        }
    }

    #[test]
    fn a_gap_that_is_being_closed_is_news_only_when_it_lasts() {
        let mut watch = Watch::default();
        assert_eq!(watch.step(S(5), vec![gap(Kind::Closing)]), []);
        assert_eq!((watch.gaps().count(), watch.in_force().count()), (1, 0));
        assert_eq!(watch.next_deadline(), Some(S(7)));
        let began = Change::Began(Drift { gap: gap(Kind::Closing), since: S(5) });
        assert_eq!(watch.step(S(7), vec![gap(Kind::Closing)]), [began]);
        assert_eq!(watch.step(S(8), vec![gap(Kind::Closing)]), [], "it is told once");
        assert_eq!(watch.next_deadline(), None);
        assert_eq!(
            watch.step(S(9), vec![]),
            [Change::Over { prefix: gap(Kind::Closing).prefix, since: S(5) }]
        );
    }

    #[test]
    fn a_change_that_is_carried_out_in_time_is_no_news() {
        let mut watch = Watch::default();
        assert_eq!(watch.step(S(5), vec![gap(Kind::Closing)]), []);
        assert_eq!(watch.step(S(6), vec![]), []);
        assert_eq!(watch.gaps().count(), 0);
    }

    #[test]
    fn what_goes_astray_is_news_at_once_and_its_age_goes_on() {
        let mut watch = Watch::default();
        watch.step(S(5), vec![gap(Kind::Closing)]);
        let began = Change::Began(Drift { gap: gap(Kind::Astray), since: S(5) });
        assert_eq!(watch.step(S(6), vec![gap(Kind::Astray)]), [began]);
        assert_eq!(watch.in_force().next().map(|drift| drift.since), Some(S(5)));
    }

    #[test]
    fn what_another_alarm_explains_is_shown_and_not_told() {
        let mut watch = Watch::default();
        watch.step(S(5), vec![gap(Kind::Explained)]);
        assert_eq!(watch.step(S(500), vec![gap(Kind::Explained)]), []);
        assert_eq!((watch.gaps().count(), watch.in_force().count(), watch.next_deadline()), (1, 0, None));
    }

    #[test]
    fn several_gaps_of_one_prefix_are_one() {
        let mut watch = Watch::default();
        let changes = watch.step(S(5), vec![gap(Kind::Astray), gap(Kind::Astray)]);
        assert_eq!(watch.gaps().count(), 1);
        assert_eq!(changes.len(), 1, "{changes:?}");
    }
}
