//! Single threads of a process, stopped while their siblings run: for good, or again and again.
//!
//! Signals stop whole processes, so a small tracer, compiled here, takes hold of the threads alone (ptrace(2),
//! PTRACE_SEIZE and PTRACE_INTERRUPT): to their process that looks like threads that the kernel does not let run. When the
//! tracer ends, they go on.

use super::bird::utf8;
use super::{Daemon, Workspace, wait_until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 16

/* Microseconds for which they stop and for which they run, by turns; with none they stop for good. Then threads. */
int main(int count, char **words) {
    useconds_t stops = count > 2 ? atoi(words[1]) : 0, runs = count > 2 ? atoi(words[2]) : 0;
    pid_t threads[MOST];
    int many = 0, status;
    for (int i = 3; i < count && many < MOST; i++) threads[many++] = atoi(words[i]);
    for (int i = 0; i < many; i++) if (ptrace(PTRACE_SEIZE, threads[i], 0, 0)) return perror("seize"), 1;
    for (int turn = 0;; turn++) {
        for (int i = 0; i < many; i++) if (ptrace(PTRACE_INTERRUPT, threads[i], 0, 0)) return perror("interrupt"), 1;
        for (int i = 0; i < many; i++) {
            if (waitpid(threads[i], &status, __WALL) != threads[i]) return 2;
            if (!WIFSTOPPED(status)) return 0;
        }
        if (turn == 0) puts("stopped"), fflush(stdout);
        if (!runs) break;
        usleep(stops);
        for (int i = 0; i < many; i++) if (ptrace(PTRACE_CONT, threads[i], 0, 0)) return perror("continue"), 1;
        usleep(runs);
    }
    /* The end of a traced thread is its tracer's to take; until then its process has not ended. */
    while (waitpid(-1, &status, __WALL) > 0) {}
    return 0;
}
"#;

/// Makes the tracer, which takes a moment the first time.
///
/// # Panics
/// If there is no C compiler.
pub fn make_tracer(workspace: &Workspace) -> PathBuf {
    let source = workspace.write("freeze.c", SOURCE);
    let tracer = workspace.join("freeze");
    if !tracer.exists() {
        let output = Command::new("cc").args(["-O1", "-o", utf8(&tracer), utf8(&source)]).output();
        let output = output.expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    tracer
}

/// Stops the thread of this name in a process, for as long as what it gives is kept.
///
/// # Panics
/// If there is no such thread.
pub fn freeze_thread(workspace: &Workspace, process: u32, name: &str) -> Daemon {
    let first = threads(process, name).into_iter().take(1).collect();
    trace(workspace, [Duration::ZERO; 2], first)
}

/// Stops all threads of this name for the first of these times and lets them run for the second, over and over, for as long
/// as what it gives is kept.
///
/// # Panics
/// If there is no such thread.
pub fn stutter_threads(workspace: &Workspace, process: u32, name: &str, times: [Duration; 2]) -> Daemon {
    trace(workspace, times, threads(process, name))
}

fn trace(workspace: &Workspace, times: [Duration; 2], threads: Vec<String>) -> Daemon {
    let tracer = make_tracer(workspace);
    let log = workspace.join(&format!("freeze-{}.log", threads.join("-")));
    let arguments = [times.map(|time| time.as_micros().to_string()).to_vec(), threads].concat();
    let mut holder = Daemon::start("freeze", &tracer, &arguments, &log);
    wait_until("the threads are stopped", || {
        holder.assert_running();
        holder.log().contains("stopped")
    });
    holder
}

/// The numbers of all threads of this name.
fn threads(pid: u32, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let named = |thread: &fs::DirEntry| {
        // The kernel keeps 15 octets of a name.
        let known = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        known.trim() == name.get(..15).unwrap_or(name)
    };
    let found =
        threads.flatten().filter(named).map(|thread| thread.file_name().to_string_lossy().into_owned());
    let found: Vec<_> = found.collect();
    assert!(!found.is_empty(), "process {pid} has no thread called {name}");
    found
}
