//! How a policy stands, for the beginning of a trace: its [`Memory`], small enough for a file that is bounded.
//!
//! A replay that begins in the middle of a life goes on from there as the next process does in a planned restart, by the
//! same rules where its configuration is another. So excuses, graces, hold-downs, falls and returns are those of the node,
//! and so is what it [remembered](Policy::remember) of the processes before.
//!
//! Two things are left out, since no level depends on them. Alarms are one. The other is most of what is known of probes and
//! zones that are good, that nobody has looked at yet, or that are lost with their address: a node with ten thousand zones
//! has forty thousand of them, and of each only its name, that, and since when it is silent are written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Memory, Output, Policy};
use crate::config::{ConfigError, PolicyConfig};
use crate::kind::{Kind, SignalId};
use crate::signal::{Plain, Signal};
use crate::trace::micros;

/// How a policy stands. Opaque: it is written by one policy and read by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Probes and zones of which nothing speaks for another verdict; since when they are silent, in microseconds.
    plain: Vec<(SignalId, Plain, u64)>,
    /// Everything else.
    memory: Memory,
}

impl Policy {
    /// How this policy stands.
    pub fn standing_now(&self) -> Standing {
        let mut memory = self.memory();
        memory.alarms.clear();
        let mut plain = Vec::new();
        memory.signals.retain(|(id, signal)| match signal.plain() {
            Some((stands, silent)) if id.kind().gates() => {
                plain.push((id.clone(), stands, micros(silent)));
                false
            }
            _ => true,
        });
        Standing { plain, memory }
    }

    /// A policy that goes on from how another one stood, by the same clock. `outputs` gets what the configuration changes.
    pub(crate) fn from_standing(
        now: Duration,
        config: PolicyConfig,
        standing: Standing,
        outputs: &mut Vec<Output>,
    ) -> Result<Self, ConfigError> {
        let Standing { plain, mut memory } = standing;
        let whole = |(id, stands, silent): (SignalId, Plain, u64)| {
            let timing = if id.kind() == Kind::Probe { config.probe } else { config.zone };
            let silent = Duration::from_micros(silent);
            let signal = Signal::from_plain(stands, silent, timing, id.kind().silence());
            (id, signal)
        };
        memory.signals.extend(plain.into_iter().map(whole));
        Self::resume(now, config, memory, |_| false, outputs)
    }
}
