//! The management server: metrics, health and status over HTTP/1.1, read-only.
//!
//! A process lists its pages as closures in [`Routes`] and runs [`serve`]. Only GET and HEAD are answered, no
//! body is read, and nothing that a client does can grow: connections are capped, a header must arrive within
//! [`HEADER_WAIT`], a connection lives for at most [`CONNECTION_LIFE`]. What changes state goes through
//! [`crate::control`] instead. [`client::get`] is the other side, for `pharos status`.

pub mod client;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// A request's header must be whole within this time: an idle or dripping client gives its place free.
pub const HEADER_WAIT: Duration = Duration::from_secs(5);
/// No connection outlives this, whatever it does; scrapers simply connect again.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// A few scrapers, a probe and a person need ten; more is a mistake or an attack.
pub const CONNECTIONS_AT_MOST: usize = 64;

/// Time between two lines in the log about connections that cannot be accepted.
pub(crate) const COMPLAINTS: Duration = Duration::from_secs(60);

/// What a route answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// HTTP status code.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// What a browser may do with it, as `Content-Security-Policy` says it; `None` where nothing is to be shown.
    pub content_security_policy: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Page {
    /// Plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::plain(status, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// A document for people, with status 200; `policy` says what a browser may fetch and run for it.
    pub fn html(document: String, policy: &'static str) -> Self {
        let page = Self::plain(200, "text/html; charset=utf-8", document.into_bytes());
        Self { content_security_policy: Some(policy), ..page }
    }

    fn plain(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, content_security_policy: None, body }
    }

    /// A JSON document with status 200, or 500 with the reason when `value` has no JSON form.
    pub fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut body) => {
                body.push(b'\n');
                Self::plain(200, "application/json", body)
            }
            Err(error) => Self::text(500, format!("this status has no JSON form: {error}\n")),
        }
    }
}

/// What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// 200.
    Ready,
    /// 503 with these reasons, one a line.
    NotReady(Vec<String>),
}

type Handler = Box<dyn Fn(&Query) -> Page + Send + Sync>;

/// The query string of a request, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=1&b=2`; `+` and `%20` are spaces, broken escapes stay as they are.
    pub fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        };
        Self { pairs: text.split('&').filter(|part| !part.is_empty()).map(pair).collect() }
    }

    /// Every value of `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(octet) => {
                octets.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The pages of one process.
pub struct Routes {
    title: String,
    pages: BTreeMap<&'static str, Handler>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Routes").field("pages", &self.pages.keys()).finish()
    }
}

impl Routes {
    /// No pages yet but `/livez`, which says 200 as long as the process can say anything: overload and bad
    /// data are no reason to be restarted. `title` names the process in the answer to a wrong path.
    pub fn new(title: impl Into<String>) -> Self {
        let routes = Self { title: title.into(), pages: BTreeMap::new() };
        routes.page("/livez", |_| Page::text(200, "alive\n"))
    }

    /// Adds a page. The closure runs on a thread where it may wait a while, for a lock that a reload holds.
    pub fn page(mut self, path: &'static str, page: impl Fn(&Query) -> Page + Send + Sync + 'static) -> Self {
        self.pages.insert(path, Box::new(page));
        self
    }

    /// Adds `/metrics` with what `registry` gathers, in the Prometheus text format.
    pub fn metrics(self, registry: Registry) -> Self {
        self.page("/metrics", move |_| {
            let mut body = Vec::new();
            match TextEncoder::new().encode(&registry.gather(), &mut body) {
                Ok(()) => Page::plain(200, "text/plain; version=0.0.4; charset=utf-8", body),
                Err(error) => Page::text(500, format!("the metrics cannot be printed: {error}\n")),
            }
        })
    }

    /// Adds `/readyz`.
    pub fn readiness(self, ready: impl Fn() -> Readiness + Send + Sync + 'static) -> Self {
        self.page("/readyz", move |_| match ready() {
            Readiness::Ready => Page::text(200, "ready\n"),
            Readiness::NotReady(reasons) => Page::text(503, format!("not ready: {}\n", reasons.join("\n"))),
        })
    }

    fn answer(&self, method: &Method, path: &str, query: &str) -> Page {
        if *method != Method::GET && *method != Method::HEAD {
            let words = "only GET and HEAD are answered here; the control socket changes state\n";
            return Page::text(405, words);
        }
        match self.pages.get(path) {
            Some(page) => page(&Query::parse(query)),
            None => Page::text(404, self.directory()),
        }
    }

    fn directory(&self) -> String {
        let pages: Vec<_> = self.pages.keys().copied().collect();
        format!("{}: no such page; there are {}\n", self.title, pages.join(", "))
    }
}

/// Answers on `listener` until `stop` becomes true or its sender is gone.
pub async fn serve(listener: TcpListener, routes: Arc<Routes>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_AT_MOST));
    let mut complained: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, as a rule: the management pages wait, the service goes on.
                if complained.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept a management connection");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let routes = Arc::clone(&routes);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&routes), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_WAIT)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // What a client does wrong is its own affair; nothing to log at a level that a person reads.
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_LIFE, connection).await {
                tracing::debug!(%error, "a management connection ended early");
            }
            drop(place);
        });
    }
}

async fn respond(
    routes: Arc<Routes>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // At most as many threads as there are places for connections.
    let answer = move || routes.answer(&method, uri.path(), uri.query().unwrap_or(""));
    let page = tokio::task::spawn_blocking(answer)
        .await
        .unwrap_or_else(|error| Page::text(500, format!("this page broke off: {error}\n")));
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(page.content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    // What a browser is shown is what we call it, whatever it looks like.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    if let Some(policy) = page.content_security_policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
        headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
    }
    if page.status == 405 {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

/// Takes the management address, or says who has it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Goes on with the address that a predecessor has; must be called inside a tokio runtime.
pub fn resume(socket: OwnedFd) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The management address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve metrics and status on {address}: {source}; change `management:`, or stop what listens there"
)]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

#[cfg(test)]
mod tests;
