//! Which CPUs this process may use, and pinning a thread to one of them.
//!
//! A UDP worker is pinned so that a query is answered on the CPU that received it ([`crate::Steering`]); the
//! sidecar's probe thread is pinned to each CPU in turn to reach each worker. Masks of up to 8192 CPUs, the
//! most that Linux can be built for on any architecture; nothing is hidden by the 1024 of glibc's `cpu_set_t`.

use std::fmt;
use std::io;

use crate::NetError;
use crate::sys::check;

/// The most CPUs that a Linux kernel can be configured for (NR_CPUS of x86-64 with MAXSMP).
const MAX_CPUS: usize = 8192;

/// The kernel's masks are arrays of `unsigned long`, which is as wide as usize on Linux.
const WORD_BITS: usize = usize::BITS as usize;

/// One CPU by the kernel's number, as in /proc/cpuinfo and in the masks of IRQ affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u16);

impl CpuId {
    /// The CPU with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The kernel's number of this CPU.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The CPUs that the calling thread may run on, in ascending order: those of the machine less what a cpuset,
/// a container or `taskset` took away. Ask before any thread pins itself.
pub fn allowed_cpus() -> Result<Vec<CpuId>, NetError> {
    let mask = current_mask().map_err(|source| NetError::Affinity {
        what: "read which CPUs may be used",
        cpu: None,
        source,
    })?;
    Ok((0..MAX_CPUS)
        .filter(|&cpu| mask[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1 == 1)
        .filter_map(|cpu| u16::try_from(cpu).ok().map(CpuId))
        .collect())
}

/// Keeps the calling thread on one CPU from now on.
pub fn pin_current_thread(cpu: CpuId) -> Result<(), NetError> {
    let failed = |source| NetError::Affinity { what: "pin a thread to CPU", cpu: Some(cpu), source };
    let number = usize::from(cpu.0);
    let mut mask = [0_usize; MAX_CPUS / WORD_BITS];
    let Some(word) = mask.get_mut(number / WORD_BITS) else {
        return Err(failed(io::Error::from_raw_os_error(libc::EINVAL)));
    };
    *word = 1 << (number % WORD_BITS);
    // SAFETY: the kernel reads `size_of_val(&mask)` octets of the mask, which outlives the call; pid 0 means
    // the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) };
    check(result).map(drop).map_err(failed)
}

/// The CPU that the calling thread runs on at this moment.
pub fn current_cpu() -> Option<CpuId> {
    // SAFETY: no arguments; it only reads where the thread runs.
    let number = unsafe { libc::sched_getcpu() };
    u16::try_from(number).ok().map(CpuId)
}

fn current_mask() -> io::Result<[usize; MAX_CPUS / WORD_BITS]> {
    let mut mask = [0_usize; MAX_CPUS / WORD_BITS];
    // SAFETY: the kernel writes at most `size_of_val(&mask)` octets of the mask, which is ours alone for the
    // call; any bits are valid.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    check(result)?;
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_runs_where_it_was_pinned_and_may_run_nowhere_else() {
        for cpu in allowed_cpus().unwrap() {
            std::thread::spawn(move || {
                pin_current_thread(cpu).unwrap();
                assert_eq!(current_cpu(), Some(cpu));
                assert_eq!(allowed_cpus().unwrap(), [cpu]);
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error_that_names_it() {
        for number in [8191, u16::MAX] {
            let error = pin_current_thread(CpuId::new(number)).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("cannot pin a thread to CPU {number}: ")),
                "{error}"
            );
        }
    }
}
