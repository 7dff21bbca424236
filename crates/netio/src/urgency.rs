//! A thread that must not wait while others compute: the kernel is asked to run it first.
//!
//! The sidecar's BFD thread calls it at its start. It needs no privilege to be right, only to be in time on a busy
//! machine, so what the kernel refuses is told and not an error.

use std::fmt;

use crate::sys;

/// What the kernel granted to the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// SCHED_FIFO at its lowest priority: before all ordinary threads. Needs CAP_SYS_NICE or `LimitRTPRIO=1`.
    RealTime,
    /// A larger share than others get. Needs CAP_SYS_NICE or `LimitNICE=-10`.
    Favoured,
    /// As any other thread.
    Ordinary,
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RealTime => "before all ordinary threads (SCHED_FIFO)",
            Self::Favoured => "favoured (nice -10)",
            Self::Ordinary => "as any other thread; allow LimitRTPRIO=1 or LimitNICE=-10 for more",
        })
    }
}

/// Asks for the most that is granted, for the calling thread alone. The kernel bounds what a real-time thread takes
/// (sched_rt_runtime_us), so that one that spins does not lock the machine.
pub fn prefer_current_thread() -> Urgency {
    const NICE: i32 = -10;
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a structure that outlives the call, which only reads it; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) };
    if sys::check(result).is_ok() {
        return Urgency::RealTime;
    }
    // SAFETY: no pointers; on Linux 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    match sys::check(result) {
        Ok(_) => Urgency::Favoured,
        Err(_) => Urgency::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_granted_a_thread_goes_on() {
        let granted = std::thread::spawn(prefer_current_thread).join().unwrap();
        assert!(!granted.to_string().is_empty());
    }
}
