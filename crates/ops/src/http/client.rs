//! One GET against a management server. Used by `pharos status` and by tests; bounded in time and size.

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A management page comes from memory on the same host or network: seconds mean that nobody is there.
const WAIT: Duration = Duration::from_secs(10);
/// The largest status lists a thousand zones with their refusals; this is ten times as much.
const BODY_OCTETS_AT_MOST: usize = 16 << 20;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// No connection.
    #[error("nothing answers at http://{address}: {source}")]
    Connect {
        /// Whom we asked.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A connection, but no answer in time.
    #[error("http://{address} took longer than {} s to answer", WAIT.as_secs())]
    Slow {
        /// Whom we asked.
        address: SocketAddr,
    },
    /// An answer that is not HTTP, not text, or too large.
    #[error("http://{address} did not answer as a management server: {reason}")]
    Answer {
        /// Whom we asked.
        address: SocketAddr,
        /// What was wrong.
        reason: String,
    },
}

/// Asks `address` for `path`, which may have a query string.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer, GetError> {
    match tokio::time::timeout(WAIT, exchange(address, path)).await {
        Ok(result) => result,
        Err(_) => Err(GetError::Slow { address }),
    }
}

async fn exchange(address: SocketAddr, path: &str) -> Result<Answer, GetError> {
    let stream = TcpStream::connect(address).await.map_err(|source| GetError::Connect { address, source })?;
    let strange = |reason: String| GetError::Answer { address, reason };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| strange(error.to_string()))?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| strange(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| strange(error.to_string()))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_OCTETS_AT_MOST).collect().await;
    driver.abort();
    let octets = body.map_err(|error| strange(error.to_string()))?.to_bytes();
    let body = String::from_utf8(octets.into()).map_err(|error| strange(error.to_string()))?;
    Ok(Answer { status, body })
}
