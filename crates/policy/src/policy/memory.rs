//! Everything that a policy has learnt, as plain values: for a process that takes the place of another.
//!
//! A restart that nobody shall notice must not forget: neither that a signal is bad and why, nor how long a hold-down has
//! still to run, nor how often a prefix has returned within the hour, nor a word of the operator's. [`Policy::memory`]
//! gives all of it, [`Policy::resume`] goes on from it, by the same clock. What may have changed in between is the
//! configuration: its rules count from then on, and what is no longer configured is forgotten.
//!
//! | configured anew | then |
//! |---|---|
//! | a signal, of a prefix that is remembered as announced | good until it is observed, as if it had been so: the change by itself withdraws nothing, and a zone that then fails beside others fails as any that was answered |
//! | a prefix | withdrawn, and its hold-down runs, as at a start |
//! | an anchor | announced, as at a start |
//! | a prefix that was an anchor, or the reverse | as at a start |
//! | a prefix no longer | withdrawn, for that reason |
//! | a prefix in another group, or its group under another name | what was said of the group still holds for it |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ANCHOR, Gone, Heard, Input, Output, Policy};
use crate::alarm::{Alarm, AlarmId};
use crate::config::{ConfigError, PolicyConfig};
use crate::kind::SignalId;
use crate::level::Level;
use crate::operator::{Drain, Operator, Recalled, Stand, Target};
use crate::preference::Preference;
use crate::prefix::Prefix;
use crate::signal::Signal;

/// What a policy remembers. Opaque: it is written by one process and read by the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    clock: Duration,
    pub(super) signals: Vec<(SignalId, Signal)>,
    routes: Vec<Kept>,
    pub(super) alarms: Vec<Alarm>,
    drain: Option<Drain>,
    stands: Vec<(Target, Stand)>,
    excused: Vec<SignalId>,
    /// Nothing, where a version wrote it that did not remember.
    #[serde(default)]
    heard: Vec<(SignalId, Heard)>,
}

/// One prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    prefix: Prefix,
    group: String,
    gone: Gone,
    preference: Preference,
}

/// What a new signal says until it is observed.
const UNSEEN: &str = "new in the configuration, and not looked at yet";

impl Policy {
    /// Everything that this policy has learnt.
    pub fn memory(&self) -> Memory {
        // Whoever adds a field must say here whether it is learnt.
        let Self {
            config: _,
            ids,
            signals,
            index: _,
            routes,
            alarms,
            operator,
            excused,
            zones_changed: _,
            heard,
            clock,
        } = self;
        let Operator { drain, stands } = operator;
        let kept = |route: &super::Route| {
            let super::Route { prefix, role, needs: _, answered: _, traffic: _, gone, preference } = route;
            let group = self.group_name(*role).to_owned();
            Kept { prefix: *prefix, group, gone: *gone, preference: preference.clone() }
        };
        Memory {
            clock: *clock,
            signals: ids.iter().cloned().zip(signals.iter().cloned()).collect(),
            routes: routes.iter().map(kept).collect(),
            alarms: alarms.iter().cloned().collect(),
            drain: drain.clone(),
            stands: stands.clone().into_iter().collect(),
            excused: excused.iter().map(|&index| ids[index].clone()).collect(),
            heard: heard.iter().map(|(&index, heard)| (ids[index].clone(), heard.clone())).collect(),
        }
    }

    /// A policy that goes on from what another one has learnt, by the same clock. Alarms that others than the policy
    /// raise are in force again if `keeps` says so. `outputs` gets what the configuration changes.
    pub fn resume(
        now: Duration,
        config: PolicyConfig,
        memory: Memory,
        keeps: impl Fn(&AlarmId) -> bool,
        outputs: &mut Vec<Output>,
    ) -> Result<Self, ConfigError> {
        let Memory { clock, signals, routes, alarms, drain, stands, excused, heard } = memory;
        let mut policy = Self::new(now.max(clock), config)?;
        let mut known = vec![false; policy.signals.len()];
        for (id, signal) in signals {
            if let Some(&index) = policy.index.get(&id) {
                policy.signals[index] = signal.with_timing_of(&policy.signals[index]);
                known[index] = true;
            }
        }
        policy.excused = excused.iter().filter_map(|id| policy.index.get(id).copied()).collect();
        for (id, heard) in heard {
            if let Some(&index) = policy.index.get(&id) {
                policy.heard.insert(index, heard);
            }
        }
        let about = |target: &Target| match target {
            Target::Group(name) => {
                routes.iter().filter(|kept| kept.group == *name).map(|kept| kept.prefix).collect()
            }
            Target::All | Target::Prefix(_) => Vec::new(),
        };
        let stands = stands.into_iter().map(|(target, stand)| {
            let prefixes = about(&target);
            Recalled { target, stand, prefixes }
        });
        let stands = stands.collect();
        policy.resume_routes(routes, &known, outputs);
        policy.operator.drain = drain;
        policy.take_stands(stands);
        let alarms: Vec<Alarm> =
            alarms.into_iter().filter(|alarm| policy.still_concerns(&alarm.id, &keeps)).collect();
        alarms.into_iter().for_each(|alarm| policy.alarms.resume(alarm));
        policy.say_what_stands(outputs);
        policy.note_answered();
        policy.step(now, Input::Tick, outputs);
        Ok(policy)
    }

    fn resume_routes(&mut self, kept: Vec<Kept>, known: &[bool], outputs: &mut Vec<Output>) {
        let pace = self.pace();
        for Kept { prefix, group, gone, preference } in kept {
            let index = self.routes.iter().position(|route| {
                let is_anchor = self.group_name(route.role) == ANCHOR;
                route.prefix == prefix && is_anchor == (group == ANCHOR)
            });
            let Some(index) = index else {
                let from = preference.level();
                if from.is_announced() && self.route(prefix).is_none() {
                    let cause = "no longer configured".to_owned();
                    outputs.push(Output::Level { prefix, group, from, to: Level::Withdrawn, cause });
                }
                continue;
            };
            if preference.earned().is_announced() {
                for signal in self.routes[index].needs.clone() {
                    if !known[signal] && self.ids[signal].kind().gates() {
                        self.signals[signal].begin_good(UNSEEN);
                    }
                }
            }
            let route = &mut self.routes[index];
            route.gone = gone;
            route.preference = preference.at_pace(pace);
        }
    }

    /// Whether an alarm of before is about something that there still is.
    fn still_concerns(&self, id: &AlarmId, keeps: &impl Fn(&AlarmId) -> bool) -> bool {
        match id {
            AlarmId::Signal { signal } => self.index.contains_key(signal),
            AlarmId::ZoneFailing => true,
            AlarmId::StatusUnreachable => self.index.contains_key(&SignalId::Status),
            AlarmId::DrainInForce => self.operator.drain.is_some(),
            AlarmId::DrainIgnored { prefix } => self.route(*prefix).is_some(),
            AlarmId::WordInForce { target } => self.operator.stands.contains_key(target),
            other => keeps(other),
        }
    }
}
