//! One thread of a process, stopped while its siblings run.
//!
//! Signals stop whole processes, so a small tracer, compiled here, takes hold of the thread alone (ptrace(2),
//! PTRACE_SEIZE and PTRACE_INTERRUPT): to its process that looks like a thread that the kernel never lets run again.
//! When the tracer ends, the thread goes on.

use super::bird::utf8;
use super::{Daemon, Workspace, wait_until};
use std::fs;
use std::process::Command;

const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(int count, char **words) {
    pid_t thread = count > 1 ? atoi(words[1]) : 0;
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0)) {
        perror("ptrace");
        return 1;
    }
    if (waitpid(thread, NULL, __WALL) != thread) return 2;
    puts("stopped");
    fflush(stdout);
    // The end of a traced thread is its tracer's to take; until then its process has not ended.
    int status;
    while (waitpid(thread, &status, __WALL) == thread)
        if (WIFEXITED(status) || WIFSIGNALED(status)) return 0;
    return 3;
}
"#;

/// Stops the thread of this name in a process, for as long as what it gives is kept.
///
/// # Panics
/// If there is no such thread.
pub fn freeze_thread(workspace: &Workspace, process: u32, name: &str) -> Daemon {
    let source = workspace.write("freeze.c", SOURCE);
    let tracer = workspace.join("freeze");
    if !tracer.exists() {
        let output = Command::new("cc").args(["-O1", "-o", utf8(&tracer), utf8(&source)]).output();
        let output = output.expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let thread = thread_id(process, name);
    let log = workspace.join(&format!("freeze-{thread}.log"));
    let mut holder = Daemon::start("freeze", &tracer, &[thread.to_string()], &log);
    wait_until("the thread is stopped", || {
        holder.assert_running();
        holder.log().contains("stopped")
    });
    holder
}

fn thread_id(pid: u32, name: &str) -> u32 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let named = |thread: &fs::DirEntry| {
        // The kernel keeps 15 octets of a name.
        let known = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        known.trim() == name.get(..15).unwrap_or(name)
    };
    let found = threads.flatten().find(named);
    let found = found.unwrap_or_else(|| panic!("process {pid} has no thread called {name}"));
    found.file_name().to_string_lossy().parse().expect("threads are numbers")
}
