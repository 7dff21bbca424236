//! Ending other processes: a program together with everything that it started, and a successor. And as whom this one runs.
//!
//! The sidecar's `exec` announcer runs programs in process groups of their own and calls [`kill_group`] when their time is
//! over. A sidecar that was told to end while it left everything to the next one passes that on ([`ask_to_end`]).

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

/// Asks a child that this process has started, and not waited for, to end (SIGTERM).
pub fn ask_to_end(child: u32) -> std::io::Result<()> {
    let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

/// The user by whose rights this process opens files.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}
