//! Ending other processes: a program together with everything that it started, and a successor. And as whom this one runs.
//!
//! The sidecar's `exec` announcer runs programs in process groups of their own and calls [`kill_group`] when their time is
//! over; when the sidecar itself is killed, the kernel ends those that it has bound to it ([`end_with_us`]). A sidecar that
//! was told to end while it left everything to the next one passes that on ([`ask_to_end`]).

use std::os::unix::process::CommandExt;
use std::process::Command;

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

/// Has the program that this command starts killed by the kernel when the thread that starts it ends, and so when this
/// process does, however it ends. What the program has started itself is not, nor one that changes its user by its file's mode
/// (prctl(2), PR_SET_PDEATHSIG).
pub fn end_with_us(command: &mut Command) {
    let us = rustix::process::getpid();
    let bind = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // Whoever has ended before that sends no signal.
        if rustix::process::getppid() != Some(us) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: what runs between fork and exec makes two system calls and an error of a plain number: it neither allocates
    // nor takes a lock.
    unsafe { command.pre_exec(bind) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_program_that_is_bound_ends_with_the_thread_that_started_it() {
        let started = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("1000");
            end_with_us(&mut command);
            command.spawn().unwrap()
        });
        let mut child = started.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}
