//! Ending a process together with everything that it started.
//!
//! The sidecar's `exec` announcer runs programs in process groups of their own and calls this when their time is over.

/// Kills every process of a group that this process made for a child (`process_group(0)`). A group that is gone
/// already is none of our business any more.
pub fn kill_group(leader: u32) {
    let Ok(group) = libc::pid_t::try_from(leader) else { return };
    // Groups 0 and 1 would mean our own group and everybody (kill(2)).
    if group > 1 {
        // SAFETY: the call takes plain numbers and touches no memory of ours.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}
