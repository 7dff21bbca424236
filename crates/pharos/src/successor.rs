//! The next version of a running sidecar, from both sides: how it is started and given everything, and how it takes that.
//!
//! | running process | | next one |
//! |---|---|---|
//! | starts the program behind its own path, with its own arguments | → | reads the configuration |
//! | lets go of its sessions | ← `ready` | waits |
//! | sends what it has | → | takes it, opens the rest |
//! | | ← `mine` | stands ready, and has touched nothing |
//! | is done, and ends | → `yours` | drives the sessions |
//! | | | has files and daemons too, once the other one has ended |
//!
//! Before `yours` anything that goes wrong, a bound that passes or an end of the next process, leaves the running one as it
//! was: it kills the next one and goes on. A running process that dies in between leaves its sessions to the next one.
//!
//! Called by `pharos announce`: [`Successor::take_over`] when the operator wants it, [`Legacy`] in the next process.

use crate::failure::Failure;
use crate::service::SidecarService;
use pharos_netio::handover::{Channel, pair};
use pharos_sidecar::handover::HELD_AT_MOST;
use pharos_sidecar::{Handle, Predecessor};
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the next version may take to read its configuration; nothing waits for it.
const READY_BOUND: Duration = Duration::from_secs(15);
/// How long it waits for what it was started for, and for its predecessor's end. Longer than any bound of the other side.
const PATIENCE: Duration = Duration::from_secs(30);
/// The option by which it knows that it has a predecessor.
const OPTION: &str = "--take-over";

const READY: &str = "ready";
const MINE: &str = "mine";
const YOURS: &str = "yours";
/// Stands before the reason why the next process does not take anything.
const REFUSED: &str = "refused: ";

/// How this process was started; the file behind the path may be another by now, which is the point.
#[derive(Debug, Clone)]
pub(crate) struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// What has become of it.
pub(crate) struct Taken {
    /// The process that has everything now. This one must end.
    pub(crate) pid: u32,
    pub(crate) sessions: usize,
    /// For how long nobody drove the sessions.
    pub(crate) held: Duration,
    /// By its end the next process knows that this one has ended.
    pub(crate) channel: Channel,
}

impl Successor {
    /// To be called at the start: later the kernel may only tell of a file that is no more.
    pub(crate) fn of_this_process() -> Result<Self, Failure> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from).filter(|path| path.components().count() > 1);
        let program = match named {
            Some(path) => path,
            // Found by PATH, or not named at all.
            None => std::env::current_exe()
                .map_err(|error| Failure::failed(format!("cannot tell which program this is: {error}")))?,
        };
        Ok(Self { program, arguments: arguments.filter(|argument| argument != OPTION).collect() })
    }

    /// Starts the next version and leaves everything to it. After an error everything goes on here as it was.
    pub(crate) async fn take_over(&self, service: &SidecarService) -> Result<Taken, Failure> {
        if std::process::id() == 1 {
            let what = "this is process 1 of its container, which ends with it";
            return Err(Failure::failed(what).help("start the next container beside it, or drain first"));
        }
        let (channel, mut child) = self.start()?;
        let ready = aside(move || {
            let heard = expect(&channel, READY, READY_BOUND);
            (channel, heard)
        });
        let (channel, ready) = ready.await?;
        if let Err(failure) = ready {
            end(&mut child);
            return Err(failure);
        }
        let since = Instant::now();
        let offer = match service.offer().await {
            Ok(offer) => offer,
            Err(failure) => {
                end(&mut child);
                return Err(failure);
            }
        };
        let sessions = offer.estate.sessions();
        // On this thread, since it has a bound, and nothing else is to be done meanwhile.
        match tokio::task::block_in_place(|| give(&channel, &offer.estate, since)) {
            Ok(()) => {
                let pid = child.id();
                offer.given_to(pid);
                Ok(Taken { pid, sessions, held: since.elapsed(), channel })
            }
            Err(failure) => {
                // First, so that nobody else has them.
                end(&mut child);
                offer.recall();
                Err(failure)
            }
        }
    }

    fn start(&self) -> Result<(Channel, Child), Failure> {
        let (channel, theirs) = pair().map_err(|error| Failure::from_error(&error))?;
        let mut command = Command::new(&self.program);
        let child = command.args(&self.arguments).arg(OPTION).stdin(Stdio::from(theirs)).spawn();
        // The command holds the other end as long as it lives.
        drop(command);
        let child = child.map_err(|error| {
            Failure::failed(format!("cannot start {}: {error}", self.program.display()))
                .help("is the program where it was when this process was started?")
        })?;
        Ok((channel, child))
    }
}

/// Sends everything and waits until the next process has it; then it is told that it may go on.
fn give(channel: &Channel, estate: &pharos_sidecar::Estate, since: Instant) -> Result<(), Failure> {
    let left = || HELD_AT_MOST.saturating_sub(since.elapsed());
    let text = estate.text().map_err(|error| Failure::from_error(&error))?;
    let sockets: Vec<BorrowedFd<'_>> = estate.sockets().collect();
    channel.send_parcel(&text, &sockets, left()).map_err(|error| broken(&error))?;
    expect(channel, MINE, left())?;
    channel.say(YOURS, left()).map_err(|error| broken(&error))
}

/// Waits for one word of the next process.
fn expect(channel: &Channel, word: &str, within: Duration) -> Result<(), Failure> {
    match channel.hear(within) {
        Ok(Some(heard)) if heard == word => Ok(()),
        Ok(Some(heard)) => {
            let why = heard.strip_prefix(REFUSED).unwrap_or("it speaks otherwise");
            Err(Failure::failed(format!("the next version does not take over: {why}")))
        }
        Ok(None) => Err(Failure::failed("the next version has ended").help("the log has its reason")),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Failure::failed("the next version did not take over in time").help("is the machine overloaded?")
        }
        _ => Failure::failed(format!("the next version has ended: {error}")).help("the log has its reason"),
    }
}

/// Errors mean that it has ended already.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::failed(format!("the handover broke off: {error}")))
}

/// Tells a service manager which process is the service's from now on: sd_notify(3). Without one there is nobody to
/// tell, and one that does not hear it finds its main process ended.
pub(crate) fn tell_service_manager(pid: u32) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = notify(&path, &format!("MAINPID={pid}")) {
        tracing::warn!(%error, "the service manager cannot be told of process {pid}");
    }
}

fn notify(path: &OsString, words: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::SocketAddr;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to_addr(words.as_bytes(), &address).map(drop)
}

/// The way to the process before, in the next one.
pub(crate) struct Legacy(Channel);

impl Legacy {
    /// Claims it; to be called before anything else is opened.
    pub(crate) fn claim() -> Result<Self, Failure> {
        Channel::from_standard_input().map(Self).map_err(|error| {
            Failure::usage(format!("{OPTION}: {error}"))
                .help("only a running sidecar starts its next version: `pharos hand-over` has it do so")
        })
    }

    /// Tells the process before why nothing is taken.
    pub(crate) fn refuse(&self, why: &Failure) {
        // Whoever has ended knows it already. The reason may be long, and its beginning says it.
        let words: String = format!("{REFUSED}{why}").chars().take(4000).collect();
        let _ = self.0.say(&words, PATIENCE);
    }

    /// Says that the configuration is good, and waits for what is left.
    pub(crate) fn receive(&self) -> Result<Predecessor, Failure> {
        let gone =
            |error: io::Error| Failure::failed(format!("the process before keeps everything: {error}"));
        self.0.say(READY, PATIENCE).map_err(gone)?;
        let parcel = self.0.receive_parcel(PATIENCE).map_err(gone)?;
        let parcel = parcel.ok_or_else(|| Failure::failed("the process before keeps everything"))?;
        Predecessor::read(&parcel.octets, parcel.descriptors).map_err(|error| Failure::from_error(&error))
    }

    /// Says that everything is taken, and waits until it may be used.
    pub(crate) fn confirm(&self) -> Result<(), Failure> {
        let gone = |error: io::Error| Failure::failed(format!("the process before has gone on: {error}"));
        match self.0.say(MINE, PATIENCE).and_then(|()| self.0.hear(PATIENCE)) {
            Ok(Some(word)) if word == YOURS => Ok(()),
            Ok(Some(word)) => Err(Failure::failed(format!("the process before says {word:?}"))),
            // It has died with everything handed over, and nobody else has the sessions.
            Ok(None) => Ok(()),
            Err(error) => Err(gone(error)),
        }
    }

    /// Waits for the end of the process before, and then has the sidecar to itself.
    pub(crate) fn outlive(self, handle: Handle) {
        let wait = move || {
            // One that hangs is not waited for, since daemons and files are to be kept as well.
            let _ = self.0.hear(PATIENCE);
            handle.alone();
        };
        if std::thread::Builder::new().name("pharos-legacy".to_owned()).spawn(wait).is_err() {
            tracing::error!("no thread waits for the end of the process before");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_hears_which_process_is_the_service_now() {
        let directory = std::env::temp_dir().join(format!("pharos-notify-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        notify(&path.clone().into_os_string(), "MAINPID=4711").unwrap();
        let mut heard = [0; 64];
        let count = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"MAINPID=4711");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(notify(&path.into_os_string(), "MAINPID=1").is_err(), "nobody is there any more");
    }

    #[test]
    fn the_next_version_is_started_with_the_same_arguments_however_often() {
        let successor = Successor::of_this_process().unwrap();
        assert!(successor.program.components().count() > 1);
        assert!(successor.arguments.iter().all(|argument| argument != OPTION));
    }
}
