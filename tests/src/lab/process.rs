//! Processes of the lab: started in a namespace, logged to a file, killed by pid.
//!
//! One of them may leave its place to a process that it has started itself (`pharos hand-over`). The lab takes that in
//! (prctl(2), PR_SET_CHILD_SUBREAPER), so that it is waited for and killed like any other.
//!
//! What some of them print is evidence of when something happened: a [`Journal`] keeps each line with the moment at
//! which it was read, in the lab's own time, so that no clock of the process under test is trusted.

use super::wait_for;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A process that ends with its owner: by `SIGKILL` on drop, and by the kernel if the test itself is killed.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    process: Process,
    log: PathBuf,
}

#[derive(Debug)]
enum Process {
    /// Started by the lab.
    Child(Child),
    /// Started by one of those, whose place it took.
    Heir(Heir),
}

#[derive(Debug)]
struct Heir {
    pid: Pid,
    ended: Option<ExitStatus>,
    /// Kills it if the lab is killed: the kernel promises that for those whom the lab has started itself alone.
    guard: Child,
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
        Self { name: name.to_owned(), process: Process::Child(child), log: log.to_owned() }
    }

    /// Starts `program` with more in its environment. Standard output goes to `log`; standard error goes there too,
    /// and line by line to the journal.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_heard(
        name: &str,
        program: &Path,
        args: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> (Self, Journal) {
        let out = File::options().create(true).append(true).open(log).expect("the lab can write its logs");
        let copy = out.try_clone().expect("a file handle can be doubled");
        let mut child = dying_with_parent(program)
            .args(args)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({}): {error}", program.display()));
        let journal = Journal::read(child.stderr.take().expect("standard error is a pipe"), copy);
        (Self { name: name.to_owned(), process: Process::Child(child), log: log.to_owned() }, journal)
    }

    /// Starts a command that stands ready, standard error to `log`, and gives its standard output, which is a pipe.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn adopt(name: &str, mut command: Command, log: &Path) -> (Self, ChildStdout) {
        let err = File::options().create(true).append(true).open(log).expect("the lab can write its logs");
        let spawned = command.stderr(err).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let out = child.stdout.take().expect("standard output is a pipe");
        (Self { name: name.to_owned(), process: Process::Child(child), log: log.to_owned() }, out)
    }

    /// From now on those whom processes of the lab leave behind are the lab's own.
    pub(super) fn take_in_orphans() {
        set_child_subreaper(Some(getpid())).expect("any process may take in its orphans");
    }

    /// It has left its place to this process, and is about to end: waits for that, and is the other one from then on.
    ///
    /// # Panics
    /// If it does not end in order.
    pub(super) fn become_heir(&mut self, heir: u32) {
        let (status, _) = wait_for("the process before has ended", || self.ended());
        assert!(status.success(), "{} ended otherwise ({status}):\n{}", self.name, self.log());
        let pid = i32::try_from(heir).ok().and_then(Pid::from_raw).expect("a pid is positive");
        let script = format!("trap 'kill -KILL {heir}' TERM; while kill -0 {heir}; do sleep 1; done");
        let guard = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("util-linux is installed");
        self.process = Process::Heir(Heir { pid, ended: None, guard });
    }

    /// The process id; `setpriv` and `nsenter` only ever replace themselves, so it is the program's own.
    pub fn pid(&self) -> u32 {
        match &self.process {
            Process::Child(child) => child.id(),
            Process::Heir(heir) => heir.pid.as_raw_pid().unsigned_abs(),
        }
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `SIGKILL`, and waits until the process is no more. Gives the moment of the signal.
    pub fn kill(&mut self) -> Instant {
        let at = Instant::now();
        // Errors mean that it had ended already.
        match &mut self.process {
            Process::Child(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Heir(heir) => heir.kill(),
        }
        at
    }

    /// Sends any other signal.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid is positive");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Sends a signal to it and to whomever it has started: some servers are several processes.
    pub fn signal_all(&self, signal: Signal) {
        self.signal(signal);
        for pid in children(self.pid()) {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.process {
            Process::Child(child) => child.try_wait().ok().flatten(),
            Process::Heir(heir) => heir.wait(WaitOptions::NOHANG),
        }
    }

    /// # Panics
    /// If it has ended, with what it printed.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended ({status}):\n{}", self.name, self.log());
        }
    }
}

impl Heir {
    /// How it ended; it is asked once only, since its pid may be another's after that.
    fn wait(&mut self, options: WaitOptions) -> Option<ExitStatus> {
        if self.ended.is_none() {
            let ended = waitpid(Some(self.pid), options).ok().flatten();
            self.ended = ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
        }
        self.ended
    }

    fn kill(&mut self) {
        if self.wait(WaitOptions::NOHANG).is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
            self.wait(WaitOptions::empty());
        }
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// The processes that this one has started, and those that they have.
fn children(parent: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parent_of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: state, then the parent (proc_pid_stat(5)).
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<_> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut family = vec![parent];
    while let Some(&(pid, _)) =
        parents.iter().find(|(pid, parent)| family.contains(parent) && !family.contains(pid))
    {
        family.push(pid);
    }
    family.into_iter().skip(1).filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One line that a process printed.
#[derive(Debug, Clone)]
pub struct Line {
    /// When the lab read it: a fraction of a millisecond after it was written, on a machine that has time.
    pub at: Instant,
    /// The line without its end.
    pub text: String,
    /// The same, where it is an object of JSON.
    pub fields: Option<serde_json::Value>,
}

/// Lines of a process, each with its moment; clones share them.
#[derive(Debug, Clone)]
pub struct Journal {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Journal {
    /// Reads `from` on a thread of its own until it ends, with a copy to `log`.
    pub fn read(from: impl Read + Send + 'static, mut log: File) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        std::thread::spawn(move || {
            for text in BufReader::new(from).lines().map_while(Result::ok) {
                let at = Instant::now();
                let fields = serde_json::from_str(&text).ok().filter(serde_json::Value::is_object);
                let line = Line { at, text, fields };
                // A lab that lost its directory is about to end.
                let _ = writeln!(log, "{}", line.text);
                to.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines }
    }

    /// All lines so far.
    pub fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that the kernel kills when the thread that started it ends: a test that is killed itself, where
/// no drop runs, leaves nothing behind.
pub(super) fn dying_with_parent(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}
