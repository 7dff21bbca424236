//! A responder that can be told to misbehave: UDP and TCP on one port, and a status endpoint.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::rdata::opt::{EdnsOption, NSIDPayload};
use hickory_proto::rr::{RData, Record};

/// How the responder answers.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// The serial of every zone.
    pub(crate) serial: u32,
    /// Its name for itself.
    pub(crate) nsid: &'static str,
    /// What is wrong with all answers, or with those for one zone.
    pub(crate) fault: Fault,
    /// The body of `/status`, in which `$FETCHES` is their number so far; `None` closes the connection.
    pub(crate) status: Option<String>,
    /// How long it takes to come.
    pub(crate) ponders: Duration,
    /// Datagrams that it has swallowed.
    swallowed: u32,
}

impl Manner {
    fn swallows(&mut self, query: &[u8]) -> bool {
        let Fault::FloodWithTheSecondFor(zone) = self.fault else { return false };
        let asked =
            Message::from_vec(query).ok().and_then(|query| Some(query.queries.first()?.name().to_string()));
        if asked.as_deref() != Some(zone) {
            return false;
        }
        self.swallowed += 1;
        if self.swallowed == 2 {
            self.tell_worker(3, "$FETCHES");
        }
        true
    }

    /// A status with one worker that has not turned for so long, and a count of datagrams that the kernel dropped.
    pub(crate) fn tell_worker(&mut self, heartbeat_age_ms: u64, socket_drops: &str) {
        let workers = format!(
            r#"{{"workers":[{{"id":0,"heartbeat_age_ms":{heartbeat_age_ms},"socket_drops":{socket_drops}}}],"#
        );
        self.status = Some(status_of("live", self.serial, None).replacen('{', &workers, 1));
    }

    /// Adds a count of messages that the worker has answered.
    pub(crate) fn tell_answered(&mut self, count: &str) {
        let answered = format!(r#"{{"id":0,"answered":{count},"#);
        self.status = self.status.take().map(|status| status.replacen(r#"{"id":0,"#, &answered, 1));
    }

    /// A status with one worker that turns and drops nothing, and an interface that dropped so many packets.
    pub(crate) fn tell_interface(&mut self, dropped: &str) {
        self.tell_worker(3, "0");
        let interfaces =
            format!(r#"{{"interfaces":[{{"interface":"eth0","packets":0,"dropped":{dropped}}}],"#);
        self.status = self.status.take().map(|status| status.replacen('{', &interfaces, 1));
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    NoAuthority,
    ServFail,
    ServFailFor(&'static str),
    Mute,
    /// The same, and datagrams are not even taken.
    Hangs,
    /// Datagrams about this zone are swallowed: the first as any may be, and with the second a flood begins.
    FloodWithTheSecondFor(&'static str),
    /// Every datagram is answered, and after so long.
    Late(Duration),
}

impl Default for Manner {
    fn default() -> Self {
        let status = Some(status_of("live", 7, None));
        Self { serial: 7, nsid: "a.ams", fault: Fault::None, status, ponders: Duration::ZERO, swallowed: 0 }
    }
}

/// The status of a responder with the one zone example.com.
pub(crate) fn status_of(state: &str, serial: u32, refusal: Option<&str>) -> String {
    let refusal = refusal.map_or("null".to_owned(), |text| format!("{text:?}"));
    format!(
        r#"{{"node":"a.ams","ready":true,"zones_total":1,"zones_live":1,"zones_refused":0,"zones_omitted":0,
           "zones":[{{"name":"example.com.","state":"{state}","serial":{serial},"refusal":{refusal}}}]}}"#
    )
}

/// A running responder. Its parts can be stopped and started one by one.
pub(crate) struct FakeResponder {
    pub(crate) address: SocketAddr,
    pub(crate) status: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    fetches: Arc<AtomicU64>,
    udp: Option<Part>,
    tcp: Option<Part>,
    _http: Part,
}

impl FakeResponder {
    /// Answers on a free port of `ip`; `None` if this machine has no such address.
    pub(crate) fn start(ip: IpAddr) -> Option<Self> {
        let manner = Arc::new(Mutex::new(Manner::default()));
        let (tcp, udp) = super::until("a port is free for both transports", || {
            let tcp = match TcpListener::bind((ip, 0)) {
                Ok(tcp) => tcp,
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return Some(None),
                Err(_) => return None,
            };
            let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
            Some(Some((tcp, udp)))
        })?;
        let fetches = Arc::default();
        let http = TcpListener::bind(("127.0.0.1", 0)).ok()?;
        Some(Self {
            address: tcp.local_addr().ok()?,
            status: http.local_addr().ok()?,
            udp: Some(serve_udp(udp, Arc::clone(&manner))),
            tcp: Some(serve_tcp(tcp, Arc::clone(&manner))),
            _http: serve_http(http, Arc::clone(&manner), Arc::clone(&fetches)),
            fetches,
            manner,
        })
    }

    /// Answers as somebody else on this very address, without a status that anybody asks for.
    pub(crate) fn stranger(address: SocketAddr, nsid: &'static str) -> Self {
        let manner = Arc::new(Mutex::new(Manner { nsid, ..Manner::default() }));
        let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let http = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let fetches = Arc::default();
        Self {
            address,
            status: http.local_addr().unwrap(),
            udp: Some(serve_udp(udp, Arc::clone(&manner))),
            tcp: Some(serve_tcp(tcp, Arc::clone(&manner))),
            _http: serve_http(http, Arc::clone(&manner), Arc::clone(&fetches)),
            fetches,
            manner,
        }
    }

    /// Changes how answers are given from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    /// How often its status was asked for.
    pub(crate) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_udp(&mut self) {
        self.udp = None;
    }

    pub(crate) fn stop_tcp(&mut self) {
        self.tcp = None;
    }

    /// The process dies: both ports are closed.
    pub(crate) fn kill(&mut self) {
        self.stop_udp();
        self.stop_tcp();
    }

    /// It is started again on the same port.
    pub(crate) fn revive(&mut self) {
        let address = self.address;
        let udp = super::until("the UDP port is free again", || UdpSocket::bind(address).ok());
        let tcp = super::until("the TCP port is free again", || TcpListener::bind(address).ok());
        self.udp = Some(serve_udp(udp, Arc::clone(&self.manner)));
        self.tcp = Some(serve_tcp(tcp, Arc::clone(&self.manner)));
    }
}

/// A thread that ends when it is dropped.
struct Part {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Part {
    fn run(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const TURN: Duration = Duration::from_millis(5);

fn serve_udp(socket: UdpSocket, manner: Arc<Mutex<Manner>>) -> Part {
    socket.set_read_timeout(Some(TURN)).unwrap();
    let mut buffer = [0; 4096];
    Part::run(move || {
        if manner.lock().unwrap().fault == Fault::Hangs {
            return std::thread::sleep(TURN);
        }
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { return };
        let manner = {
            let mut manner = manner.lock().unwrap();
            if manner.swallows(&buffer[..length]) {
                return;
            }
            manner.clone()
        };
        let Some(reply) = reply(&buffer[..length], &manner) else { return };
        if let Fault::Late(delay) = manner.fault {
            std::thread::sleep(delay);
        }
        let _ = socket.send_to(&reply, from);
    })
}

fn serve_tcp(listener: TcpListener, manner: Arc<Mutex<Manner>>) -> Part {
    serve_streams(listener, move |stream| {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        let reply = reply(&query, &manner.lock().unwrap())?;
        stream.write_all(&u16::try_from(reply.len()).ok()?.to_be_bytes()).ok()?;
        stream.write_all(&reply).ok()
    })
}

fn serve_http(listener: TcpListener, manner: Arc<Mutex<Manner>>, fetches: Arc<AtomicU64>) -> Part {
    serve_streams(listener, move |stream| {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).ok()?;
            request.extend(octet);
        }
        let count = fetches.fetch_add(1, Ordering::Relaxed).to_string();
        let Manner { status, ponders, .. } = manner.lock().unwrap().clone();
        std::thread::sleep(ponders);
        let body = status?.replace("$FETCHES", &count);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).ok()
    })
}

fn serve_streams(
    listener: TcpListener,
    serve: impl Fn(&mut TcpStream) -> Option<()> + Send + Sync + 'static,
) -> Part {
    listener.set_nonblocking(true).unwrap();
    let serve = Arc::new(serve);
    Part::run(move || match listener.accept() {
        Ok((mut stream, _)) => {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || {
                let _ = stream.set_nonblocking(false);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                serve(&mut stream)
            });
        }
        Err(_) => std::thread::sleep(TURN),
    })
}

/// What a responder that is well answers.
pub(crate) fn answer_well(query: &[u8]) -> Option<Vec<u8>> {
    reply(query, &Manner::default())
}

fn reply(query: &[u8], manner: &Manner) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).ok()?;
    let zone = message.queries.first()?.name().clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.authoritative = manner.fault != Fault::NoAuthority;
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new(manner.nsid.as_bytes()).ok()?));
    message.set_edns(edns);
    let broken = match &manner.fault {
        Fault::Mute | Fault::Hangs => return None,
        Fault::ServFail => true,
        Fault::ServFailFor(name) => zone.to_string() == *name,
        Fault::None | Fault::NoAuthority | Fault::Late(_) | Fault::FloodWithTheSecondFor(_) => false,
    };
    if broken {
        message.metadata.response_code = ResponseCode::ServFail;
    } else {
        let soa = SOA::new(zone.clone(), zone.clone(), manner.serial, 1, 1, 1, 1);
        message.add_answer(Record::from_rdata(zone, 60, RData::SOA(soa)));
    }
    message.to_vec().ok()
}
