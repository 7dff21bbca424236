//! The announcer `bird`: a BIRD on this host, by its control socket and a file that it includes.
//!
//! The file has one static protocol for each prefix ([`include`]). Withdrawals go by `disable NAME`, which BIRD carries
//! out in less than a millisecond and which no configuration can refuse; the file follows. Everything else goes by file,
//! `configure check`, `configure` with an undo timeout, a look, and `configure confirm` ([`machine`]). What BIRD says is
//! bounded and believed only in its own form ([`reply`]).
//!
//! This part owns the socket and the disk. Files are replaced by rename, on a thread where a slow disk delays no
//! withdrawal.
//!
//! # When the sidecar dies
//!
//! BIRD knows nothing of it. With the `lease` announcer each route depends on a marker address that ends with us; without
//! it the routes stay for good, and the configuration must say so.

use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::report::Reporter;
use crate::config::{BirdConfig, Config};
use crate::keeper::{Keeper, Levels};
use crate::threads::Stopping;

mod include;
mod machine;
mod reply;

use include::Settings;
use machine::{Input, Machine, Output, Times};
use reply::Parser;

/// A unix socket answers at once, or its backlog is full.
const CONNECT_BOUND: Duration = Duration::from_secs(2);
/// Withdrawing takes milliseconds; a BIRD that hangs shall not keep us.
const FAREWELL: Duration = Duration::from_secs(3);
/// The longest sleep; should a deadline ever be missed, it is this late.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// One BIRD.
pub(crate) struct Bird {
    index: usize,
    name: String,
    control: PathBuf,
    include: PathBuf,
    keeper: Arc<Keeper>,
    levels: watch::Receiver<Levels>,
    reporter: Reporter,
    machine: Machine,
    socket: Socket,
    parser: Parser,
    /// Files that wait for the one that is being written.
    files: VecDeque<(u64, String)>,
    writing: Option<JoinHandle<(u64, Result<(), String>)>>,
    failing: Option<String>,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>;

enum Socket {
    None,
    Connecting(Connecting),
    Up(UnixStream),
}

/// What a socket has to say.
enum News {
    Connected(UnixStream),
    Failed(String),
    Readable,
}

impl Bird {
    pub(super) fn new(
        index: usize,
        name: String,
        bird: &BirdConfig,
        all: &Config,
        keeper: &Arc<Keeper>,
    ) -> Self {
        let levels = keeper.levels();
        let settings = Settings {
            local_as: all.local_as,
            levels: bird.levels.clone(),
            gateways: match bird.death {
                crate::config::Death::Lease => all.gateways(),
                crate::config::Death::Stay => Vec::new(),
            },
        };
        let times =
            Times { pause: bird.retry, undo: bird.undo_timeout, reload: bird.reload, look: bird.look };
        // A file that cannot be read is none; what is written in its place is told then.
        let previous = fs::read_to_string(&bird.include).ok();
        let machine = Machine::new(settings, times, &levels.borrow(), previous);
        Self {
            index,
            reporter: Reporter::new(Arc::clone(keeper), name.clone()),
            name,
            control: bird.control.clone(),
            include: bird.include.clone(),
            keeper: Arc::clone(keeper),
            levels,
            machine,
            socket: Socket::None,
            parser: Parser::default(),
            files: VecDeque::new(),
            writing: None,
            failing: None,
        }
    }

    /// Follows the levels until the order to stop; then withdraws everything, as far as BIRD answers.
    pub(super) async fn run(mut self, mut stopping: Stopping) {
        self.follow_levels();
        loop {
            self.report();
            let deadline = self.deadline();
            tokio::select! {
                _ = stopping.ordered() => break,
                // The keeper outlives every announcer, which holds it.
                _ = self.levels.changed() => self.follow_levels(),
                input = next(&mut self.socket, &mut self.parser, &mut self.writing) => self.take(input),
                () = sleep(&self.keeper, deadline) => self.step(Input::Tick),
            }
        }
        self.step(Input::Stop);
        let withdrawing = async {
            while !(self.machine.is_at_rest() && self.writing.is_none()) {
                let deadline = self.deadline();
                tokio::select! {
                    input = next(&mut self.socket, &mut self.parser, &mut self.writing) => self.take(input),
                    () = sleep(&self.keeper, deadline) => self.step(Input::Tick),
                }
            }
        };
        if tokio::time::timeout(FAREWELL, withdrawing).await.is_err() {
            tracing::warn!(announcer = self.name, "BIRD did not confirm the withdrawal within {FAREWELL:?}");
        }
        self.report();
    }

    fn deadline(&self) -> Duration {
        let latest = self.keeper.clock.now() + LONGEST_SLEEP;
        let deadlines = [self.machine.next_deadline(), self.reporter.next_deadline()];
        deadlines.into_iter().flatten().fold(latest, Duration::min)
    }

    fn follow_levels(&mut self) {
        let levels = self.levels.borrow_and_update().iter().map(|(_, level)| *level).collect();
        self.step(Input::Want(levels));
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Connected(stream) => {
                self.socket = Socket::Up(stream);
                self.parser = Parser::default();
                self.step(Input::Connected);
            }
            Heard::Lost(why) => {
                self.socket = Socket::None;
                self.step(Input::Lost(format!("{}: {why}", self.control.display())));
            }
            Heard::Replies(replies) => {
                for reply in replies {
                    tracing::debug!(announcer = self.name, %reply, "BIRD");
                    self.step(Input::Said(reply));
                }
            }
            Heard::WriterGone(why) => {
                self.writing = None;
                self.socket = Socket::None;
                self.step(Input::Lost(why));
            }
            Heard::Written(id, result) => {
                self.writing = None;
                let include = self.include.display();
                self.step(Input::Written { id, result: result.map_err(|why| format!("{include}: {why}")) });
                self.write_next();
            }
        }
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.machine.step(self.keeper.clock.now(), input) {
                match output {
                    Output::Connect => self.socket = Socket::Connecting(connect(self.control.clone())),
                    Output::Disconnect => self.socket = Socket::None,
                    Output::Send(words) => {
                        let Socket::Up(stream) = &self.socket else { continue };
                        // One command at a time is under way, so there is always room for it.
                        if stream.try_write(words.as_bytes()).ok() != Some(words.len()) {
                            self.socket = Socket::None;
                            inputs.push_back(Input::Lost("BIRD takes no command".to_owned()));
                        }
                    }
                    Output::Write { id, text } => self.files.push_back((id, text)),
                }
            }
        }
        self.write_next();
        self.count();
    }

    /// Writes on a thread of the runtime's that may wait.
    fn write_next(&mut self) {
        if self.writing.is_some() {
            return;
        }
        let Some((id, text)) = self.files.pop_front() else { return };
        let path = self.include.clone();
        let write = move || (id, replace(&path, &text).map_err(|error| in_words(&error)));
        self.writing = Some(tokio::task::spawn_blocking(write));
    }

    /// Counts what begins to fail and what works again.
    fn count(&mut self) {
        let failing = self.machine.failing().map(str::to_owned);
        if failing != self.failing {
            let result = failing.as_ref().map_or(Ok(()), Err);
            self.keeper.metrics.action(&self.name, &result);
            if let Some(why) = &failing {
                tracing::warn!(announcer = self.name, why, "BIRD");
            }
            self.failing = failing;
        }
    }

    fn report(&mut self) {
        let drift = self.reporter.gaps(self.machine.gaps());
        let failing = self.machine.failing().map(str::to_owned);
        self.reporter.failing(failing.as_deref());
        let (state, observed, said) = (self.machine.state(), self.machine.observed(), self.machine.said());
        let state = format!("{}, {state}", self.control.display());
        self.keeper.announcer(self.index, |view| {
            view.state = state;
            view.failing = failing;
            view.observed = observed;
            view.said = said;
            view.drift = drift;
        });
    }
}

/// What came from outside.
enum Heard {
    Nothing,
    Connected(UnixStream),
    Lost(String),
    Replies(Vec<reply::Reply>),
    Written(u64, Result<(), String>),
    WriterGone(String),
}

/// Waits for the socket and for the disk, whichever is first.
async fn next(
    socket: &mut Socket,
    parser: &mut Parser,
    writing: &mut Option<JoinHandle<(u64, Result<(), String>)>>,
) -> Heard {
    let written = async {
        match writing {
            Some(writing) => writing.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        written = written => match written {
            Ok((id, result)) => Heard::Written(id, result),
            Err(error) => Heard::WriterGone(format!("writing the file broke off: {error}")),
        },
        news = socket.news() => match news {
            News::Connected(stream) => Heard::Connected(stream),
            News::Failed(why) => Heard::Lost(why),
            News::Readable => read(socket, parser),
        },
    }
}

fn read(socket: &Socket, parser: &mut Parser) -> Heard {
    let Socket::Up(stream) = socket else { return Heard::Nothing };
    let mut chunk = [0; 16 * 1024];
    match stream.try_read(&mut chunk) {
        Ok(0) => Heard::Lost("BIRD closed the connection".to_owned()),
        Ok(count) => match parser.feed(chunk.get(..count).unwrap_or_default()) {
            Ok(replies) => Heard::Replies(replies),
            Err(why) => Heard::Lost(format!("it said {why}")),
        },
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Heard::Nothing
        }
        Err(error) => Heard::Lost(in_words(&error)),
    }
}

impl Socket {
    async fn news(&mut self) -> News {
        match self {
            Self::None => std::future::pending().await,
            Self::Connecting(connecting) => match connecting.await {
                Ok(stream) => News::Connected(stream),
                Err(error) => News::Failed(in_words(&error)),
            },
            Self::Up(stream) => {
                // An error shows again when the socket is read.
                let _ = stream.ready(Interest::READABLE).await;
                News::Readable
            }
        }
    }
}

fn connect(path: PathBuf) -> Connecting {
    Box::pin(async move {
        let connecting = tokio::time::timeout(CONNECT_BOUND, UnixStream::connect(path));
        connecting.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    })
}

async fn sleep(keeper: &Keeper, until: Duration) {
    tokio::time::sleep_until(keeper.clock.instant(until)).await;
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "not there; is BIRD running, and is the path right?".to_owned(),
        ErrorKind::ConnectionRefused => "nobody listens; is BIRD running?".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied; the sidecar's user must be in BIRD's group, and may write the file's directory".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Puts a whole file in the place of another, so that nobody ever sees half of one, not even after a power cut.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = directory.join(name);
    let mut file = fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    // BIRD runs as another user, and there is no secret in it.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_others_may_read_it() {
        let directory = std::env::temp_dir().join(format!("pharos-replace-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("pharos.conf");
        for text in ["one", "another"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no draft is left");
        assert_eq!(replace(&directory.join("no/such"), "x").unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_dir_all(&directory).unwrap();
    }
}
