//! Whether a worker has more to do than it can, told once a second to whoever sheds work.
//!
//! A worker that keeps up finds few datagrams each time that it looks; one that does not finds its batch full, again
//! and again, and in the end the kernel drops what its queue cannot hold. So:
//!
//! - pressure begins when within one look half of the batches were full, and there were enough of them to tell a
//!   flood from a burst, or when the kernel dropped something;
//! - pressure ends after [`CALM_LOOKS`] looks in a row at which hardly any batch was full and nothing was dropped;
//! - everything else changes nothing.
//!
//! What begins at a half ends at an eighth, and not at once: a server that sheds work because of pressure has less
//! of it, and must not swing. Pure: the worker says what happened and when to look.

use pharos_answer::Pressure;

/// Fewer batches than this in one look are a burst: 16 full ones are 1024 queries, which take a few milliseconds.
const FEW_BATCHES: u32 = 16;
/// Looks without a sign of pressure before it counts as over.
const CALM_LOOKS: u32 = 5;

/// How full a batch was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fill {
    /// There was room left: the queue is empty.
    Partial,
    /// All slots were taken, so more may wait.
    Full,
}

/// The signs of pressure at one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge {
    batches: u32,
    full: u32,
    /// What the kernel had dropped at the last look.
    dropped: u64,
    calm_looks: u32,
    level: Pressure,
}

impl Gauge {
    /// A batch came.
    #[inline]
    pub(crate) fn batch(&mut self, fill: Fill) {
        self.batches = self.batches.saturating_add(1);
        if fill == Fill::Full {
            self.full = self.full.saturating_add(1);
        }
    }

    /// Judges the time since the last look. `dropped` is what the kernel has dropped since the start.
    pub(crate) fn look(&mut self, dropped: u64) -> Pressure {
        let more_dropped = dropped > self.dropped;
        let often_full = self.full >= FEW_BATCHES && self.full >= self.batches / 2;
        let seldom_full = self.full <= self.batches / 8;
        if more_dropped || often_full {
            self.level = Pressure::High;
            self.calm_looks = 0;
        } else if seldom_full {
            self.calm_looks = self.calm_looks.saturating_add(1);
            if self.calm_looks >= CALM_LOOKS {
                self.level = Pressure::Calm;
            }
        } else {
            self.calm_looks = 0;
        }
        (self.batches, self.full, self.dropped) = (0, 0, dropped);
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One look after so many batches, of which so many were full.
    fn look(gauge: &mut Gauge, batches: u32, full: u32, dropped: u64) -> Pressure {
        for number in 0..batches {
            gauge.batch(if number < full { Fill::Full } else { Fill::Partial });
        }
        gauge.look(dropped)
    }

    #[test]
    fn an_idle_worker_and_a_busy_one_that_keeps_up_are_calm() {
        let mut gauge = Gauge::default();
        assert_eq!(look(&mut gauge, 0, 0, 0), Pressure::Calm);
        assert_eq!(look(&mut gauge, 10_000, 100, 0), Pressure::Calm);
        assert_eq!(look(&mut gauge, 10_000, 4_999, 0), Pressure::Calm);
    }

    #[test]
    fn a_burst_is_no_pressure_and_a_flood_is() {
        let mut gauge = Gauge::default();
        assert_eq!(look(&mut gauge, 15, 15, 0), Pressure::Calm);
        assert_eq!(look(&mut gauge, 10_000, 5_000, 0), Pressure::High);
    }

    #[test]
    fn one_drop_is_pressure_and_an_old_one_is_not() {
        let mut gauge = Gauge::default();
        assert_eq!(look(&mut gauge, 100, 0, 1), Pressure::High);
        for _ in 1..CALM_LOOKS {
            assert_eq!(look(&mut gauge, 100, 0, 1), Pressure::High);
        }
        assert_eq!(look(&mut gauge, 100, 0, 1), Pressure::Calm);
    }

    #[test]
    fn pressure_ends_only_after_calm_looks_in_a_row() {
        let mut gauge = Gauge::default();
        assert_eq!(look(&mut gauge, 1_000, 900, 0), Pressure::High);
        for _ in 0..3 {
            for _ in 1..CALM_LOOKS {
                assert_eq!(look(&mut gauge, 1_000, 100, 0), Pressure::High);
            }
            // Neither a flood nor calm: the count begins anew.
            assert_eq!(look(&mut gauge, 1_000, 300, 0), Pressure::High);
        }
        for _ in 1..CALM_LOOKS {
            assert_eq!(look(&mut gauge, 0, 0, 0), Pressure::High);
        }
        assert_eq!(look(&mut gauge, 0, 0, 0), Pressure::Calm);
    }
}
