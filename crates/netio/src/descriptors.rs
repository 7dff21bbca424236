//! How many file descriptors the process may have, and has.
//!
//! Every connection is one. The soft limit that most systems start services with, 1024, exists for programs that use
//! select(2), which nothing here does; the hard limit is what the operator really grants. Who serves strangers
//! raises the one to the other, counts what is left, and takes fewer connections than that, so that files can be
//! read and operators be heard however many strangers come.

use std::io;

/// The limits of a process on open descriptors (getrlimit(2), RLIMIT_NOFILE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorLimits {
    /// What the kernel enforces.
    pub soft: u64,
    /// What the process may raise that to without privileges.
    pub hard: u64,
}

/// The limits in force.
pub fn limits() -> io::Result<DescriptorLimits> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of ours that lives through the call; the kernel fills it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(DescriptorLimits { soft: limits.rlim_cur, hard: limits.rlim_max })
}

/// Raises the soft limit to the hard one, for the whole process; says what is in force afterwards, which is what was
/// before if the system refuses.
pub fn raise_limit() -> io::Result<DescriptorLimits> {
    let before = limits()?;
    let wanted = libc::rlimit { rlim_cur: before.hard, rlim_max: before.hard };
    // SAFETY: the kernel only reads the structure, which lives through the call.
    let refused = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } != 0;
    Ok(if refused { before } else { DescriptorLimits { soft: before.hard, ..before } })
}

/// How many descriptors the process has open.
pub fn open() -> io::Result<u64> {
    // The listing's own is among them.
    Ok((std::fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1))
}

/// Whether an error says that the process (EMFILE) or the whole system (ENFILE) has no descriptor left.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
