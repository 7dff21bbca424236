//! The server's side of the control socket.

use crate::http::COMPLAINTS;

use super::{CONNECTIONS_AT_MOST, LINE_OCTETS_AT_MOST, LINE_WAIT, Reply, Request};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

/// Owner and group may talk to the process; a socket needs the write permission for that.
const SOCKET_MODE: u32 = 0o660;
/// A client that does not take its reply within this time loses it.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// A bound control socket. Its file goes when this is dropped, unless it is a predecessor's still, or a successor's already.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    left: Arc<AtomicBool>,
    places: Arc<Semaphore>,
}

/// A control socket that another process may go on with.
#[derive(Debug)]
pub struct Shared {
    socket: OwnedFd,
    left: Arc<AtomicBool>,
    places: Arc<Semaphore>,
}

impl Shared {
    /// The socket, for [`ControlServer::resume`] in the other process.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// The socket's file is the other process's from now on.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Waits until every conversation has ended, but not for long: whoever asked for the change shall have his reply.
    pub async fn conversations_over(&self, within: Duration) {
        let all = u32::try_from(CONNECTIONS_AT_MOST).unwrap_or(u32::MAX);
        // Who does not take his reply loses it.
        let _ = tokio::time::timeout(within, self.places.acquire_many(all)).await;
    }
}

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody is there.
    #[error("another process answers at {}: stop it, or give this one another `control:` path", path.display())]
    Taken {
        /// The socket's path.
        path: PathBuf,
    },
    /// There is a file that we did not make.
    #[error("{} exists and is not a socket: move it away, or give another `control:` path", path.display())]
    NotASocket {
        /// The file's path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot make the control socket {}: {doing}: {source}; its directory must be writable for this process, \
             or give another `control:` path", path.display())]
    System {
        /// The socket's path.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ControlServer {
    /// Makes the socket, and its directory when there is none. A socket file that nobody answers at any more
    /// is replaced; must be called inside a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |doing| move |source| ControlError::System { path: path.to_owned(), doing, source };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(failed("creating its directory"))?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ControlError::NotASocket { path: path.to_owned() });
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(ControlError::Taken { path: path.to_owned() });
            }
            Ok(_) | Err(_) => {}
        }
        // Bound under another name and renamed, so that it never stands there with wider permissions, and a
        // stale one is replaced in one step.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let _ = fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary).map_err(failed("binding"))?;
        let finished = fs::set_permissions(&temporary, fs::Permissions::from_mode(SOCKET_MODE))
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| fs::symlink_metadata(path));
        match finished {
            Ok(metadata) => Ok(Self::on(listener, path, metadata.ino())),
            Err(source) => {
                let _ = fs::remove_file(&temporary);
                Err(failed("setting its permissions and name")(source))
            }
        }
    }

    fn on(listener: UnixListener, path: &Path, inode: u64) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_AT_MOST));
        Self { listener, path: path.to_owned(), inode, left: Arc::default(), places }
    }

    /// Goes on with the socket that a predecessor has bound at this path; must be called inside a tokio runtime. Its file stays
    /// the predecessor's until this one serves.
    pub fn resume(path: &Path, socket: OwnedFd) -> Result<Self, ControlError> {
        let failed = |source| ControlError::System {
            path: path.to_owned(),
            doing: "going on with a predecessor's",
            source,
        };
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
        let resumed = Self::on(listener, path, inode);
        resumed.left.store(true, Ordering::Relaxed);
        Ok(resumed)
    }

    /// The socket for another process, which may go on with it; it stays open here, too.
    pub fn share(&self) -> io::Result<Shared> {
        let socket = self.listener.as_fd().try_clone_to_owned()?;
        Ok(Shared { socket, left: Arc::clone(&self.left), places: Arc::clone(&self.places) })
    }

    /// Where the socket stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers with `handler` until `stop` becomes true or its sender is gone.
    pub async fn serve<H, F>(self, handler: H, mut stop: watch::Receiver<bool>)
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        self.left.store(false, Ordering::Relaxed);
        let handler = Arc::new(handler);
        let places = Arc::clone(&self.places);
        let mut complained: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            let mut stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if complained.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
                        complained = Some(Instant::now());
                        tracing::warn!(%error, "cannot accept a control connection");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                let reply =
                    Reply::refused("too many control connections are open", "close some, then try again");
                // The socket's buffer is empty: this fits or fails, and never waits.
                let _ = stream.try_write(format!("{}\n", reply.to_line()).as_bytes());
                continue;
            };
            let handler = Arc::clone(&handler);
            tokio::spawn(async move {
                if let Err(error) = converse(&mut stream, &*handler).await {
                    tracing::debug!(%error, "a control connection ended early");
                }
                drop(place);
            });
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        if self.left.load(Ordering::Relaxed) {
            return;
        }
        // Only our own: a successor may have replaced it.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn converse<H, F>(stream: &mut UnixStream, handler: &H) -> io::Result<()>
where
    H: Fn(Request) -> F,
    F: Future<Output = Reply>,
{
    let (read, mut write) = stream.split();
    let mut reader = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let bound = LINE_OCTETS_AT_MOST as u64 + 1;
        // One deadline for the whole line: sending it letter by letter does not extend it.
        let mut bounded = (&mut reader).take(bound);
        let reading = bounded.read_until(b'\n', &mut line);
        let (reply, is_last) = match tokio::time::timeout(LINE_WAIT, reading).await {
            Err(_) => {
                let what = format!("no whole line came within {} s", LINE_WAIT.as_secs());
                (Reply::refused(what, "end the request with a line break"), true)
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) if line.len() > LINE_OCTETS_AT_MOST => {
                let what = format!("the request is longer than {LINE_OCTETS_AT_MOST} octets");
                (Reply::refused(what, "shorten it"), true)
            }
            Ok(Ok(_)) => match Request::parse(&line) {
                Ok(request) => (handler(request).await, false),
                Err(refusal) => (refusal, false),
            },
        };
        let text = format!("{}\n", reply.to_line());
        tokio::time::timeout(WRITE_WAIT, write.write_all(text.as_bytes())).await??;
        if is_last {
            return Ok(());
        }
    }
}
