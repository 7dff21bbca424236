//! A thread that must not wait while others compute, and one that has time while others answer: the kernel is told.
//!
//! The sidecar's threads that keep a route and the responder's threads that answer ask to be run first (module `rhythm` says
//! why the latter do, and what they leave to others), in the order of their [`Duty`]; the responder's thread that reloads
//! zones asks to be run after those that answer. None needs it to be right, only to be in time on a busy machine or to
//! answer more on the same core, so what the kernel refuses is told and not an error.

use std::time::Duration;
use std::{fmt, io};

use crate::sys;

/// The longest turn that the kernel grants to an ordinary thread (Linux 6.12), in nanoseconds.
const LONGEST_TURN: u64 = 100_000_000;

/// What the kernel granted to the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// SCHED_FIFO: before all ordinary threads. Needs CAP_SYS_NICE, or `LimitRTPRIO=` of 3 for a route and 2 for answers.
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
            Self::Ordinary => "as any other thread; allow LimitRTPRIO= or LimitNICE=-10 for more",
        })
    }
}

/// What a thread that asks to be run first is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It answers on connections: after those who answer datagrams, whose clients have no queue to wait in.
    Connections,
    /// It answers datagrams, as many as come.
    Answers,
    /// It keeps a route or a session, which takes next to nothing of a CPU: before those who answer, since what they do not
    /// leave to it they would lose with the route.
    Route,
}

/// Asks for the most that is granted, for the calling thread alone. The kernel bounds what a real-time thread takes
/// (sched_rt_runtime_us), so that one that spins does not lock the machine.
pub fn prefer_current_thread(duty: Duty) -> Urgency {
    const NICE: i32 = -10;
    let granted = match duty {
        // Beside datagrams at the same priority those would wait for connections.
        Duty::Connections => {
            return if run_at(2) && run_at(1) { Urgency::RealTime } else { Urgency::Ordinary };
        }
        Duty::Answers => run_at(2) || run_at(1),
        // Where only a lower one is granted, it takes turns with those who answer.
        Duty::Route => run_at(3) || run_at(2) || run_at(1),
    };
    if granted {
        return Urgency::RealTime;
    }
    if nice() <= NICE {
        return Urgency::Favoured;
    }
    // SAFETY: no pointers; on Linux 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    match sys::check(result) {
        Ok(_) => Urgency::Favoured,
        Err(_) => Urgency::Ordinary,
    }
}

/// The calling thread runs as any other from now on, until it asks again.
pub fn run_as_any_other() {
    // Nobody is refused what is less than he has.
    let _ = schedule(libc::SCHED_OTHER, 0);
}

/// Before all ordinary threads, and those of a lower priority; says whether the kernel grants it.
fn run_at(priority: i32) -> bool {
    schedule(libc::SCHED_FIFO, priority)
}

fn schedule(policy: i32, sched_priority: i32) -> bool {
    let priority = libc::sched_param { sched_priority };
    // SAFETY: the pointer is to a structure that outlives the call, which only reads it; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const priority) };
    sys::check(result).is_ok()
}

/// From now on the calling thread lets others of the same CPU run as soon as they have something to do. Its share of a
/// busy CPU stays that of any thread: it gets it in longer turns, and each ends when a thread with shorter ones wakes.
/// Without this, a thread that answers waits for the end of a turn of one that computes: 4 to 16 ms where the kernel's
/// clock ticks 250 times a second. A kernel before Linux 6.12 only keeps the thread from interrupting others.
///
/// # Errors
/// What the kernel said. Nothing is wrong then but the time that others wait.
pub fn give_way() -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_BATCH as u32,
        sched_flags: 0,
        sched_nice: nice(),
        sched_priority: 0,
        sched_runtime: LONGEST_TURN,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the pointer is to a structure of the size that it names, which outlives the call; the kernel only reads
    // it. 0 is the calling thread, and there are no flags.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// That of the calling thread: from 19, who gives way, to -20. (-1 looks like an error and is none.)
fn nice() -> i32 {
    // SAFETY: no pointers; on Linux 0 is the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// What a thread has taken so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Usage {
    /// Time on a core, in user space and in the kernel.
    pub(crate) cpu: Duration,
    /// How often it gave its core away to wait for something.
    pub(crate) waits: u64,
}

impl Usage {
    /// Of the calling thread.
    pub(crate) fn of_current_thread() -> Self {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a structure that outlives the call, which only writes it.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        // SAFETY: it holds integers alone, for which zero is valid, and whatever the kernel wrote.
        let usage = unsafe { usage.assume_init() };
        let time = |time: libc::timeval| {
            let micros = u64::try_from(time.tv_usec).unwrap_or(0);
            Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
        };
        let waits = u64::try_from(usage.ru_nvcsw).unwrap_or(0);
        Self { cpu: time(usage.ru_utime) + time(usage.ru_stime), waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_computes_uses_its_core_and_one_that_sleeps_gives_it_away() {
        let before = Usage::of_current_thread();
        while Usage::of_current_thread().cpu == before.cpu {}
        std::thread::sleep(Duration::from_millis(1));
        let after = Usage::of_current_thread();
        assert!(after.cpu > before.cpu && after.waits > before.waits, "{before:?} {after:?}");
    }

    #[test]
    fn whatever_is_granted_a_thread_goes_on() {
        for duty in [Duty::Connections, Duty::Answers, Duty::Route] {
            let granted = std::thread::spawn(move || prefer_current_thread(duty)).join().unwrap();
            assert!(!granted.to_string().is_empty());
        }
    }

    #[test]
    fn a_thread_may_give_way_without_any_privilege() {
        std::thread::spawn(give_way).join().unwrap().unwrap();
    }
}
