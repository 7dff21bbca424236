//! The resolver's side: queries from inside a namespace, with a codec that is not ours.

use super::{Namespace, wait_for};
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{Name, RecordType};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long one query waits for its answer. Far above a round trip here; queries lost on the way cost this.
const PATIENCE: Duration = Duration::from_millis(250);
/// The pace of a [`Watch`]: one query each so often, so its times are good to about this.
const WATCH_INTERVAL: Duration = Duration::from_millis(5);
/// How long a [`Watch`] waits for an answer: short, since it sends nothing meanwhile and would notice late that
/// another POP answers. An answer that takes longer counts as lost, and is only counted.
const WATCH_PATIENCE: Duration = Duration::from_millis(50);

/// How a query travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A connection for this one query.
    Tcp,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The whole message, as hickory-proto reads it.
    pub message: Message,
    /// Who answered: the NSID option's text (RFC 5001).
    pub nsid: Option<String>,
}

impl Answer {
    /// The reply's code.
    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The answer section's data of one type, as text, sorted.
    pub fn data(&self, rtype: RecordType) -> Vec<String> {
        let of_type = self.message.answers.iter().filter(|record| record.record_type() == rtype);
        let mut data: Vec<String> = of_type.map(|record| record.data.to_string()).collect();
        data.sort();
        data
    }
}

/// Somebody who asks, inside one namespace.
#[derive(Debug, Clone, Copy)]
pub struct Client<'lab> {
    namespace: &'lab Namespace,
}

impl<'lab> Client<'lab> {
    /// A client inside `namespace`.
    pub fn new(namespace: &'lab Namespace) -> Self {
        Self { namespace }
    }

    /// One query; `None` if no proper answer came in time.
    pub fn ask(&self, server: &str, transport: Transport, qname: &str, qtype: RecordType) -> Option<Answer> {
        let server = SocketAddr::new(IpAddr::from_str(server).expect("an address"), 53);
        self.namespace.enter(|| match transport {
            Transport::Udp => ask_udp(&udp_socket(server).ok()?, qname, qtype, PATIENCE).ok(),
            Transport::Tcp => ask_tcp(server, qname, qtype).ok(),
        })
    }

    /// Asks again and again until somebody named `nsid` answers.
    pub fn ask_until_answered_by(
        &self,
        server: &str,
        transport: Transport,
        qname: &str,
        nsid: &str,
    ) -> Duration {
        let what = format!("{nsid} answers on {server} over {transport:?}");
        let answered = || {
            let answer = self.ask(server, transport, qname, RecordType::SOA)?;
            (answer.nsid.as_deref() == Some(nsid)).then_some(())
        };
        wait_for(&what, answered).1
    }

    /// Starts a client that asks for the SOA of `qname` over UDP without pause and never repeats a query.
    pub fn watch(&self, server: &str, qname: &str) -> Watch {
        let server = SocketAddr::new(IpAddr::from_str(server).expect("an address"), 53);
        let socket = self.namespace.enter(|| udp_socket(server)).expect("a UDP socket");
        Watch::start(socket, qname)
    }
}

/// One query of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    sent: Instant,
    /// `None`: lost.
    answered_by: Option<String>,
}

/// A client in the background: who answered when, and what was lost.
#[derive(Debug)]
pub struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(socket: UdpSocket, qname: &str) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, end, qname) = (Arc::clone(&samples), Arc::clone(&stop), qname.to_owned());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let sent = Instant::now();
                let answered_by = ask_udp(&socket, &qname, RecordType::SOA, WATCH_PATIENCE)
                    .ok()
                    .and_then(|answer| answer.nsid);
                to.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { sent, answered_by });
                std::thread::sleep(WATCH_INTERVAL.saturating_sub(sent.elapsed()));
            }
        });
        Self { samples, stop, thread: Some(thread) }
    }

    /// Waits until a query sent after `since` was answered by `nsid`; gives the time from `since` to that
    /// query's sending.
    pub fn reached(&self, nsid: &str, since: Instant) -> Duration {
        let found = || {
            let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
            let hit = samples.iter().find(|s| s.sent >= since && s.answered_by.as_deref() == Some(nsid))?;
            Some(hit.sent.duration_since(since))
        };
        wait_for(&format!("the watching client is answered by {nsid}"), found).0
    }

    /// How many of the queries sent since then were lost, and how many there were.
    pub fn lost(&self, since: Instant) -> (usize, usize) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = samples.iter().filter(|sample| sample.sent >= since);
        let lost = recent.clone().filter(|sample| sample.answered_by.is_none()).count();
        (lost, recent.count())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed.
            let _ = thread.join();
        }
    }
}

fn udp_socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    Ok(socket)
}

fn ask_udp(socket: &UdpSocket, qname: &str, qtype: RecordType, patience: Duration) -> io::Result<Answer> {
    let (id, query) = query(qname, qtype);
    socket.send(&query)?;
    let start = Instant::now();
    let mut buffer = [0; 65_535];
    loop {
        let left = patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))?;
        socket.set_read_timeout(Some(left))?;
        let count = socket.recv(&mut buffer)?;
        let answer = read(buffer.get(..count).unwrap_or_default())?;
        // An answer to an earlier query, late.
        if answer.message.metadata.id == id {
            return Ok(answer);
        }
    }
}

fn ask_tcp(server: SocketAddr, qname: &str, qtype: RecordType) -> io::Result<Answer> {
    let (_, query) = query(qname, qtype);
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = u16::try_from(query.len()).expect("a query is short");
    stream.write_all(&[&length.to_be_bytes(), query.as_slice()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    read(&reply)
}

fn query(qname: &str, qtype: RecordType) -> (u16, Vec<u8>) {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(qname).expect("a name"), qtype));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let nsid = NSIDPayload::new(Vec::new()).expect("an empty option is short");
    edns.options_mut().insert(EdnsOption::NSID(nsid));
    message.set_edns(edns);
    (message.metadata.id, message.to_vec().expect("a plain query can be written"))
}

fn read(octets: &[u8]) -> io::Result<Answer> {
    let message = Message::from_vec(octets).map_err(io::Error::other)?;
    let option = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::NSID));
    let nsid = match option {
        Some(EdnsOption::NSID(payload)) => Some(String::from_utf8_lossy(payload.as_ref()).into_owned()),
        _ => None,
    };
    Ok(Answer { message, nsid })
}
