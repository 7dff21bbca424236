//! Sessions that were taken over and that nobody goes on with: said why, and closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pharos_routing::{bfd, bgp};

use super::{BfdState, SessionState};

/// A session that nobody goes on with.
#[derive(Debug)]
pub(crate) enum Ending {
    Session { session: SessionState, socket: OwnedFd, why: bgp::Farewell },
    Bfd { state: BfdState, socket: OwnedFd },
}

/// How long a neighbour may take to hear the end of its session.
const FAREWELL: Duration = Duration::from_secs(1);

impl Ending {
    /// Says why, and closes. May wait for the neighbour, and so has a thread to itself.
    pub(crate) fn perform(self) {
        match self {
            Self::Session { session, socket, why } => {
                let reason = match why {
                    bgp::Farewell::Deconfigured => {
                        "Cease/Peer De-configured (6/3): it is no longer configured"
                    }
                    bgp::Farewell::Reconfigured => {
                        "Cease/Other Configuration Change (6/6): what was agreed with it is configured otherwise"
                    }
                };
                tracing::info!(
                    neighbour = session.name,
                    "we ended the session that was taken over: {reason}"
                );
                let message = [session.unsent, bgp::Session::farewell(why)].concat();
                if let Err(error) = say_and_close(&TcpStream::from(socket), &message) {
                    tracing::debug!(neighbour = session.name, %error, "BGP");
                }
            }
            Self::Bfd { state, socket } => {
                for packet in last_words(&state.snapshot) {
                    // Whoever does not hear it finds the silence.
                    let _ = send(&socket, &packet.octets());
                }
            }
        }
    }
}

/// Closing with unread octets would reset the connection and could lose the message on the way.
fn say_and_close(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(FAREWELL))?;
    stream.set_read_timeout(Some(FAREWELL))?;
    stream.write_all(message)?;
    stream.shutdown(Shutdown::Write)?;
    let mut ignored = [0; 1024];
    // A neighbour that goes on talking is not listened to for ever: a full window of octets is more than enough.
    for _ in 0..1024 {
        if stream.read(&mut ignored)? == 0 {
            break;
        }
    }
    Ok(())
}

/// What BFD says when it is taken down by intention.
fn last_words(snapshot: &bfd::Snapshot) -> Vec<bfd::Packet> {
    let config = bfd::SessionConfig::new(snapshot.discriminator);
    let Ok(mut session) = bfd::Session::resume(config, snapshot, Duration::ZERO) else { return Vec::new() };
    let mut outputs = Vec::new();
    session.step(Duration::ZERO, bfd::Input::Stop, &mut outputs);
    let sent = |output| match output {
        bfd::Output::Send(packet) => Some(packet),
        bfd::Output::Event(_) => None,
    };
    outputs.into_iter().filter_map(sent).collect()
}

fn send(socket: &OwnedFd, octets: &[u8]) -> io::Result<()> {
    let socket = UdpSocket::from(socket.try_clone()?);
    socket.send(octets).map(drop)
}
