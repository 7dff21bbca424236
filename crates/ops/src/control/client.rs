//! The client's side of the control socket: one request, one reply.

use super::{Reply, Request};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// The largest reply is a status with a thousand zones; this is ten times as much.
const REPLY_OCTETS_AT_MOST: u64 = 16 << 20;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No socket, or nobody behind it.
    #[error("nothing answers at {}", path.display())]
    Nobody {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's permissions keep us out.
    #[error("no permission to use {}: run this as root or as a member of the socket's group", path.display())]
    Forbidden {
        /// The socket's path.
        path: PathBuf,
    },
    /// The process refused, with its reason and its cure.
    #[error("{error}")]
    Refused {
        /// Why it refused.
        error: String,
        /// What to do instead.
        remedy: String,
    },
    /// The connection broke, timed out, or carried something else.
    #[error("{} did not answer as a control socket: {reason}", path.display())]
    Broken {
        /// The socket's path.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

/// Sends `request` to the socket at `path` and waits up to `wait` for the reply.
pub async fn call(path: &Path, request: &Request, wait: Duration) -> Result<Value, CallError> {
    let broken = |reason: String| CallError::Broken { path: path.to_owned(), reason };
    let line = match tokio::time::timeout(wait, exchange(path, request)).await {
        Ok(result) => result?,
        Err(_) => return Err(broken(format!("no reply within {} s", wait.as_secs()))),
    };
    match Reply::parse(&line) {
        Some(Reply::Done(result)) => Ok(result),
        Some(Reply::Refused { error, remedy }) => Err(CallError::Refused { error, remedy }),
        None => Err(broken("the reply is not ours".to_owned())),
    }
}

async fn exchange(path: &Path, request: &Request) -> Result<Vec<u8>, CallError> {
    let broken = |error: io::Error| CallError::Broken { path: path.to_owned(), reason: error.to_string() };
    let mut stream = UnixStream::connect(path).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => CallError::Forbidden { path: path.to_owned() },
        _ => CallError::Nobody { path: path.to_owned(), source },
    })?;
    stream.write_all(format!("{}\n", request.to_line()).as_bytes()).await.map_err(broken)?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(REPLY_OCTETS_AT_MOST);
    reader.read_until(b'\n', &mut line).await.map_err(broken)?;
    Ok(line)
}
