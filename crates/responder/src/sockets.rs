//! Every socket of a responder, bound at its start: all of them or none.

use std::net::{SocketAddr, TcpListener};

use pharos_netio::affinity::CpuId;
use pharos_netio::{Freebind, Steering, UdpOptions, UdpSocket, bind_group, tcp};

use crate::config::StartError;

/// Sockets that are bound, and their addresses.
pub(crate) struct Sockets {
    /// The addresses as they were configured, ports resolved.
    pub(crate) listen: Vec<SocketAddr>,
    /// For each worker one socket of each address.
    pub(crate) udp: Vec<Vec<UdpSocket>>,
    /// For each TCP thread, of which there are as many as workers, one listener of each address.
    pub(crate) tcp: Vec<Vec<TcpListener>>,
}

impl Sockets {
    /// Binds every address for workers on these CPUs, of `cpus` that the process may use.
    pub(crate) fn bind(
        listen: &[SocketAddr],
        worker_cpus: &[CpuId],
        cpus: usize,
    ) -> Result<Self, StartError> {
        // With a worker on every CPU each packet is answered where it arrived.
        let steering = if worker_cpus.len() == cpus {
            Steering::ReceivingCpu { worker_cpus }
        } else {
            Steering::FlowHash
        };
        let mut sockets = Self {
            listen: Vec::new(),
            udp: worker_cpus.iter().map(|_| Vec::new()).collect(),
            tcp: worker_cpus.iter().map(|_| Vec::new()).collect(),
        };
        // Every TCP listener first: where another process has an address, or one that contains it, TCP refuses, while
        // UDP sockets would share the address and take packets before the start is given up.
        let listeners: Vec<_> = listen
            .iter()
            .map(|&wanted| {
                let freebind = freebind(wanted);
                Ok((freebind, listen_tcp(wanted, freebind, worker_cpus.len(), steering)?))
            })
            .collect::<Result<_, StartError>>()?;
        for (&wanted, (freebind, listeners)) in listen.iter().zip(listeners) {
            let (listeners, group) = join_udp(wanted, freebind, listeners, worker_cpus.len(), steering)?;
            let address = group.first().map_or(wanted, UdpSocket::local_addr);
            for (worker, socket) in sockets.udp.iter_mut().zip(group) {
                worker.push(socket);
            }
            for (thread, listener) in sockets.tcp.iter_mut().zip(listeners) {
                thread.push(listener);
            }
            sockets.listen.push(address);
        }
        Ok(sockets)
    }
}

/// TCP ports that are tried, where any would do, until one is free for UDP as well.
const PORT_TRIES: usize = 32;

fn listen_tcp(
    wanted: SocketAddr,
    freebind: Freebind,
    threads: usize,
    steering: Steering<'_>,
) -> Result<Vec<TcpListener>, StartError> {
    let options = tcp::TcpOptions { freebind, ..tcp::TcpOptions::default() };
    Ok(tcp::listen_group(wanted, threads, steering, &options)?)
}

/// UDP sockets on the port of the listeners; on that of other ones where any would do and the first is taken.
fn join_udp(
    wanted: SocketAddr,
    freebind: Freebind,
    mut listeners: Vec<TcpListener>,
    workers: usize,
    steering: Steering<'_>,
) -> Result<(Vec<TcpListener>, Vec<UdpSocket>), StartError> {
    let options = UdpOptions { freebind, ..UdpOptions::default() };
    let mut tries = if wanted.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        let address = listeners.first().map_or(Ok(wanted), TcpListener::local_addr);
        let address =
            address.map_err(|source| StartError::System { what: "a TCP listener has no port", source })?;
        tries -= 1;
        match bind_group(address, workers, steering, &options) {
            Ok(group) => return Ok((listeners, group)),
            Err(error) if tries == 0 => return Err(error.into()),
            // Opened before the old one is closed, so that it gets another port.
            Err(_) => listeners = listen_tcp(wanted, freebind, workers, steering)?,
        }
    }
}

/// Anycast addresses may come and go with the host's routing, so a missing one is no reason to be down: it is
/// bound all the same, and said, since it may as well be a typing error.
fn freebind(address: SocketAddr) -> Freebind {
    match std::net::UdpSocket::bind((address.ip(), 0)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            tracing::warn!(%address, "no interface has this address yet: it answers once one does");
            Freebind::Allowed
        }
        _ => Freebind::Refused,
    }
}
