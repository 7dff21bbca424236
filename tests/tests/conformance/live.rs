//! A responder with sockets, for what concerns connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use pharos_responder::{Config, Responder, ZoneSource};
use pharos_testkit::Ask;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A responder with the zone `example.`; it ends with this value.
pub(super) struct Live {
    responder: Option<Responder>,
    directory: PathBuf,
}

impl Live {
    /// `name` is that of the test.
    pub(super) fn start(name: &str, body: &str, settings: impl FnOnce(&mut Config)) -> Self {
        let directory =
            std::env::temp_dir().join(format!("pharos-conformance-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("example.zone");
        std::fs::write(&file, format!("$TTL 3600\n@ SOA ns h 1 1 1 1 1\n@ NS ns\nns A 192.0.2.53\n{body}"))
            .unwrap();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let mut config = Config::new(listen, ZoneSource::List(vec![("example".to_owned(), file)]));
        settings(&mut config);
        Self { responder: Some(Responder::start(config).unwrap()), directory }
    }

    /// A new connection.
    pub(super) fn connect(&self) -> TcpStream {
        let address = self.responder.as_ref().unwrap().handle().listen()[0];
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.responder.take());
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A message behind its length (RFC 1035 §4.2.2), with an identifier of its own.
pub(super) fn framed(id: u16, ask: &Ask) -> Vec<u8> {
    let mut message = ask.octets();
    message[..2].copy_from_slice(&id.to_be_bytes());
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

/// Writes octets in one piece.
pub(super) fn send(mut stream: &TcpStream, octets: &[u8]) {
    stream.write_all(octets).unwrap();
}

/// The next message; `None` where the connection was closed.
pub(super) fn receive(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    if stream.read(&mut length[..1]).unwrap() == 0 {
        return None;
    }
    stream.read_exact(&mut length[1..]).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    Some(message)
}

/// Identifier and RCODE of a reply.
pub(super) fn head(message: &[u8]) -> (u16, u8) {
    (u16::from_be_bytes([message[0], message[1]]), message[3] & 0xf)
}
