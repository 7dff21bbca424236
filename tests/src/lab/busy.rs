//! Another server on a machine, and its client, who take and send more datagrams than a quiet host does.

use super::Namespace;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// From one pair of questions and answers to the next: some thousand datagrams a second are taken, and as many sent.
const PAUSE: Duration = Duration::from_micros(500);

/// Both, on loopback addresses of one namespace, until it is dropped.
#[derive(Debug)]
pub struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Begins at once.
    ///
    /// # Panics
    /// If the namespace has no loopback address.
    pub fn start(namespace: &Namespace) -> Self {
        let [client, server] = namespace
            .enter(|| [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback")));
        for (socket, other) in [(&client, &server), (&server, &client)] {
            socket.connect(other.local_addr().expect("a bound socket")).expect("both are on loopback");
            socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a second is a time");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let _ = from.send(&[0; 32]).and_then(|_| to.recv(&mut [0; 32]));
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
