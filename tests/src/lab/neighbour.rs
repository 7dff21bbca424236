//! A BGP neighbour that misbehaves: octets by hand, over a plain socket.
//!
//! It opens a session as any router would, with both families and four-octet AS numbers, keeps it alive, and then
//! sends what it was given. What comes back is kept: keepalives, updates, and the NOTIFICATION if there is one.

use super::Namespace;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const MARKER: [u8; 16] = [0xff; 16];
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;

/// What came from the other side since the last session began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Sessions that came as far as a KEEPALIVE.
    pub sessions: u32,
    /// Updates in this session.
    pub updates: u32,
    /// Keepalives in this session.
    pub keepalives: u32,
    /// The last NOTIFICATION of all sessions: code and subcode.
    pub notification: Option<(u8, u8)>,
    /// Sessions that ended.
    pub ended: u32,
}

/// A listener on port 179 of the router's side.
#[derive(Debug)]
pub struct Misbehaver {
    heard: Arc<Mutex<Heard>>,
    session: Arc<Mutex<Option<TcpStream>>>,
}

impl Misbehaver {
    /// Listens inside the router's `namespace`, towards its first node alone: the transit router connects to port 179, too.
    /// It is AS 64500 with this identifier.
    pub fn start(namespace: &Namespace, identifier: [u8; 4]) -> Self {
        let listener =
            namespace.enter(|| TcpListener::bind("10.0.0.1:179")).expect("no other router listens");
        let this = Self { heard: Arc::default(), session: Arc::default() };
        let (heard, session) = (Arc::clone(&this.heard), Arc::clone(&this.session));
        // It ends with the lab: its namespace's last connection closes.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // A session that broke is what this is for.
                let _ = converse(&stream, identifier, &heard, &session);
                heard.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
            }
        });
        this
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends octets as they are.
    ///
    /// # Panics
    /// If there is no session.
    pub fn send(&self, octets: &[u8]) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = session.as_ref().expect("there is a session");
        stream.write_all(octets).expect("the session takes octets");
    }

    /// Sends an UPDATE with this body, whatever it is worth.
    pub fn update(&self, body: &[u8]) {
        self.send(&message(UPDATE, body));
    }
}

/// A message with its header (RFC 4271 §4.1).
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a message is short");
    [&MARKER, length.to_be_bytes().as_slice(), &[kind], body].concat()
}

/// An UPDATE's body: attributes, and the IPv4 prefix 203.0.113.0/24 (RFC 4271 §4.3).
pub fn update_body(attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).expect("attributes are short");
    [&[0, 0], length.to_be_bytes().as_slice(), attributes, &[24, 203, 0, 113]].concat()
}

fn converse(
    mut stream: &TcpStream,
    identifier: [u8; 4],
    heard: &Mutex<Heard>,
    session: &Mutex<Option<TcpStream>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // Version 4, AS 64500, hold time 9, the identifier; capabilities: both families, four-octet AS numbers.
    let capabilities = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0xfb, 0xf4];
    let parameters = [&[2_u8, 18][..], &capabilities].concat();
    let open = [&[4, 0xfb, 0xf4, 0, 9][..], &identifier, &[20], &parameters].concat();
    stream.write_all(&message(OPEN, &open))?;
    loop {
        let mut header = [0; 19];
        stream.read_exact(&mut header)?;
        let [.., high, low, kind] = header;
        let mut body = vec![0; usize::from(u16::from_be_bytes([high, low])).saturating_sub(19)];
        stream.read_exact(&mut body)?;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            OPEN => {
                *heard = Heard { updates: 0, keepalives: 0, ..heard.clone() };
                stream.write_all(&message(KEEPALIVE, &[]))?;
            }
            KEEPALIVE => {
                if heard.keepalives == 0 {
                    heard.sessions += 1;
                    *session.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?);
                }
                heard.keepalives += 1;
                stream.write_all(&message(KEEPALIVE, &[]))?;
            }
            UPDATE => heard.updates += 1,
            NOTIFICATION => {
                if let [code, subcode, ..] = body.as_slice() {
                    heard.notification = Some((*code, *subcode));
                }
            }
            _ => {}
        }
    }
}
