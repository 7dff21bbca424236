//! What a person chooses about one BFD session, and which choices make none.
//!
//! Read by [`super::Session::new`], which refuses what [`SessionConfig::check`] refuses.

use std::num::NonZeroU32;
use std::time::Duration;

/// The settings of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// The interval at which we send and want to hear, once the session is up.
    pub interval: Duration,
    /// How many packets in a row may be missed, for the neighbour's clock.
    pub multiplier: u8,
    /// Our name for the session: one that strangers cannot guess, and that no other session of ours has (RFC 5880
    /// §6.3). The machine has no randomness of its own.
    pub discriminator: NonZeroU32,
    /// Any number, best a different one for each session: jitter (RFC 5880 §6.8.7) is derived from it.
    pub jitter_seed: u64,
}

/// Why settings make no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An interval that floods the link, or that detects nothing in time.
    #[error("a BFD interval of {0:?} is not possible: 10ms to 10s")]
    Interval(Duration),
    /// A multiplier with which nothing works.
    #[error("a BFD multiplier of {0} is not possible: 2 to 255 packets")]
    Multiplier(u8),
}

impl SessionConfig {
    /// 300 ms times 3: a dead path is seen within 0.9 s, and what a loaded virtual machine does to a thread is not
    /// mistaken for one.
    pub fn new(discriminator: NonZeroU32) -> Self {
        let jitter_seed = u64::from(discriminator.get());
        Self { interval: Duration::from_millis(300), multiplier: 3, discriminator, jitter_seed }
    }

    /// Whether these settings make a session.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(Duration::from_millis(10)..=Duration::from_secs(10)).contains(&self.interval) {
            return Err(ConfigError::Interval(self.interval));
        }
        // With 1 each lost packet is a lost path.
        if self.multiplier < 2 {
            return Err(ConfigError::Multiplier(self.multiplier));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_session_say_why() {
        let good = SessionConfig::new(NonZeroU32::MIN);
        assert_eq!(good.check(), Ok(()));
        for (config, words) in [
            (
                SessionConfig { interval: Duration::from_millis(9), ..good },
                "a BFD interval of 9ms is not possible: 10ms to 10s",
            ),
            (
                SessionConfig { interval: Duration::from_secs(11), ..good },
                "a BFD interval of 11s is not possible: 10ms to 10s",
            ),
            (
                SessionConfig { multiplier: 1, ..good },
                "a BFD multiplier of 1 is not possible: 2 to 255 packets",
            ),
        ] {
            assert_eq!(config.check().unwrap_err().to_string(), words);
        }
    }
}
