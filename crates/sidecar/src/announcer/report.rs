//! What every announcer tells people: drift to the status, to metrics, as events and as an alarm.
//!
//! One [`Reporter`] for each announcer, and one for each BGP neighbour. It owns the [`Watch`] over the gaps and the two
//! alarms that an announcer has: that something is not as decided, and that its actions fail.

use std::sync::Arc;
use std::time::Duration;

use pharos_policy::AlarmId;
use pharos_policy::policy::Input;

use super::drift::{Change, Drift, Gap, Watch};
use crate::event::Event;
use crate::keeper::Keeper;

/// Tells what there is to tell about one announcer.
pub(super) struct Reporter {
    keeper: Arc<Keeper>,
    name: String,
    watch: Watch,
    drifting: Option<String>,
    failing: Option<String>,
}

impl Reporter {
    pub(super) fn new(keeper: Arc<Keeper>, name: String) -> Self {
        Self { keeper, name, watch: Watch::default(), drifting: None, failing: None }
    }

    /// Takes all gaps as they are now; gives them back with their ages for the status.
    pub(super) fn gaps(&mut self, gaps: Vec<Gap>) -> Vec<Drift> {
        let now = self.keeper.clock.now();
        for change in self.watch.step(now, gaps) {
            self.keeper.tell(match change {
                Change::Began(Drift { gap: Gap { prefix, wanted, observed, why, .. }, .. }) => {
                    Event::Drift { announcer: self.name.clone(), prefix, wanted, observed, why }
                }
                Change::Over { prefix, since } => Event::DriftOver {
                    announcer: self.name.clone(),
                    prefix,
                    lasted_seconds: now.saturating_sub(since).as_secs(),
                },
            });
        }
        let text = in_words(self.watch.in_force());
        let id = AlarmId::Drift { announcer: self.name.clone() };
        set_alarm(&self.keeper, id, &mut self.drifting, text);
        self.watch.gaps().cloned().collect()
    }

    /// Says that the announcer's actions fail, or that they do not.
    pub(super) fn failing(&mut self, why: Option<&str>) {
        let id = AlarmId::AnnouncerFailing { announcer: self.name.clone() };
        set_alarm(&self.keeper, id, &mut self.failing, why.map(str::to_owned));
    }

    /// When a gap becomes drift by time alone.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.watch.next_deadline()
    }
}

fn in_words<'a>(mut drifts: impl Iterator<Item = &'a Drift>) -> Option<String> {
    let Gap { prefix, wanted, observed, why, .. } = &drifts.next()?.gap;
    let more = match drifts.count() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Some(format!("{prefix} should be {wanted} and is {observed}: {why}{more}"))
}

/// Raises or clears, and troubles the policy with changes alone.
fn set_alarm(keeper: &Keeper, alarm: AlarmId, before: &mut Option<String>, now: Option<String>) {
    if *before == now {
        return;
    }
    keeper.take(match &now {
        Some(text) => Input::Raise { alarm, text: text.clone() },
        None => Input::Clear { alarm },
    });
    *before = now;
}
