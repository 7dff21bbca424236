//! Zones in a directory, and a client: what tests of a whole responder share.

#![allow(dead_code, reason = "no test uses all of it")]

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::Message;
use pharos_responder::{Config, Handle, ZoneSource};

/// Long enough for the slowest machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of zone files that goes with the test.
pub(crate) struct Zones(pub(crate) PathBuf);

impl Zones {
    pub(crate) fn new(test: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("pharos-serve-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let zones = Self(path);
        files.iter().for_each(|(name, text)| zones.write(name, text));
        zones
    }

    /// Replaces a file by rename, as a careful push does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join("new"), text).unwrap();
        std::fs::rename(self.0.join("new"), self.0.join(name)).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        Config { nsid: "a.test".into(), ..Config::new(listen, ZoneSource::Directory(self.0.clone())) }
    }
}

impl Drop for Zones {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn query(name: &str, rtype: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    message
}

pub(crate) fn ask_udp(server: SocketAddr, query: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(query).unwrap();
    let mut reply = [0; 4096];
    let octets = socket.recv(&mut reply).unwrap();
    Message::from_vec(&reply[..octets]).unwrap()
}

/// The last octet of the address of `www`; `None` for any other reply.
pub(crate) fn www(handle: &Handle, zone: &str) -> Option<u8> {
    let reply = ask_udp(handle.listen()[0], &query(&format!("www.{zone}"), 1));
    let text = format!("{:?}", reply.answers.first()?.data);
    let digits: String = text.rsplit("192.0.2.").next()?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

pub(crate) fn scrape(handle: &Handle) -> String {
    let registry = prometheus::Registry::new();
    handle.register(&registry).unwrap();
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}
