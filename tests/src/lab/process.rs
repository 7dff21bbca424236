//! Processes of the lab: started in a namespace, logged to a file, killed by pid.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A process that ends with its owner: by `SIGKILL` on drop, and by the kernel if the test itself is killed.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program`, standard output and error appended to `log`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, program: &Path, args: &[String], log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("the lab can write its logs");
        let err = out.try_clone().expect("a file handle can be doubled");
        let child = dying_with_parent(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({}): {error}", program.display()));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// The process id; `setpriv` and `nsenter` only ever replace themselves, so it is the program's own.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `SIGKILL`, and waits until the process is no more. Gives the moment of the signal.
    pub fn kill(&mut self) -> Instant {
        let at = Instant::now();
        // An error means that it had ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        at
    }

    /// Sends any other signal.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid is positive");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// # Panics
    /// If it has ended, with what it printed.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended ({status}):\n{}", self.name, self.log());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that the kernel kills when the thread that started it ends: a test that is killed itself, where
/// no drop runs, leaves nothing behind.
pub(super) fn dying_with_parent(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}
