//! The one error of this crate: what was tried, on what, what the kernel said, and what a person can do.
//!
//! Made at start and reload, never per datagram. The text names the address; [`NetError::remedy`] is kept
//! apart so that a log line and a terminal can show it each in its own way.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::affinity::CpuId;
use crate::xdp::{self, Step};

/// Something the kernel refused while sockets, locks or threads were being set up.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A step of opening or configuring a socket failed.
    #[error("cannot {what} {addr}: {source}")]
    Socket {
        /// The step, as the verb of a sentence whose object is the address: "bind", "listen on".
        what: &'static str,
        /// The address that the socket is (to be) bound to, or the peer's.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A step of protecting a routing session failed.
    #[error("cannot {what} {peer}: {source}")]
    Session {
        /// The step, as the verb of a sentence whose object is the peer.
        what: &'static str,
        /// The peer's address.
        peer: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A TCP MD5 key has a length that the kernel cannot take.
    #[error("a TCP MD5 key must have 1 to 80 octets, this one has {octets}")]
    KeyLength {
        /// How long the key is, in octets.
        octets: usize,
    },
    /// The lock is held by a running process.
    #[error("{what} is already served by {}", Holder(*pid))]
    Held {
        /// What the lock stands for, such as the listen address.
        what: String,
        /// The process that holds it, when it can be told.
        pid: Option<u32>,
    },
    /// The lock could not be tried at all.
    #[error("cannot take the lock {}: {source}", path.display())]
    Lock {
        /// The lock file, or the abstract name after an `@`.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interface cannot be used by AF_XDP.
    #[error("cannot {step} {interface}: {source}")]
    Xdp {
        /// The interface's name.
        interface: String,
        /// The step that failed.
        step: Step,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread could not be pinned, or the CPUs of this process could not be read.
    #[error("cannot {what}{}: {source}", OnCpu(*cpu))]
    Affinity {
        /// The step, as a verb.
        what: &'static str,
        /// The CPU asked for, when one was.
        cpu: Option<CpuId>,
        /// What the kernel said.
        source: io::Error,
    },
}

impl NetError {
    /// What a person can do about it, as one sentence; `None` when the error says all there is.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Socket { addr, source, .. } => socket_remedy(*addr, source),
            Self::Session { source, .. } => session_remedy(source),
            Self::KeyLength { .. } => Some("shorten the password of this neighbour".into()),
            Self::Held { pid: Some(pid), .. } => {
                Some(format!("stop that process (kill {pid}), or listen on another address or port"))
            }
            Self::Held { pid: None, .. } => {
                Some("stop the other instance, or listen on another address or port".into())
            }
            Self::Lock { source, .. } => lock_remedy(source),
            Self::Xdp { interface, step, source } => xdp::remedy(interface, *step, source),
            Self::Affinity { .. } => {
                Some("let the process use that CPU (systemd: CPUAffinity=, containers: cpuset)".into())
            }
        }
    }

    /// The error of the kernel, where there is one.
    pub fn kernel_error(&self) -> Option<&io::Error> {
        match self {
            Self::Socket { source, .. }
            | Self::Session { source, .. }
            | Self::Lock { source, .. }
            | Self::Xdp { source, .. }
            | Self::Affinity { source, .. } => Some(source),
            Self::KeyLength { .. } | Self::Held { .. } => None,
        }
    }
}

/// Names the failed step for a socket.
pub(crate) fn on_socket(what: &'static str, addr: SocketAddr) -> impl FnOnce(io::Error) -> NetError {
    move |source| NetError::Socket { what, addr, source }
}

fn socket_remedy(addr: SocketAddr, source: &io::Error) -> Option<String> {
    let port = addr.port();
    let text = match source.raw_os_error()? {
        libc::EACCES if port < 1024 && port != 0 => format!(
            "ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE) or \
             sysctl net.ipv4.ip_unprivileged_port_start={port}; any port from 1024 on needs neither"
        ),
        libc::EADDRINUSE => {
            format!("another process listens there; `ss -lntup 'sport = :{port}'` names it")
        }
        libc::EADDRNOTAVAIL => format!(
            "no interface has {}; add it (ip address add {}/{} dev lo) or allow listening before it is there \
             (freebind)",
            addr.ip(),
            addr.ip(),
            if addr.is_ipv4() { 32 } else { 128 }
        ),
        libc::EAFNOSUPPORT => format!("this host has no {}; leave {addr} out", family(addr)),
        libc::EMFILE | libc::ENFILE => {
            "too many open files; raise the limit (systemd: LimitNOFILE=)".to_string()
        }
        _ => return None,
    };
    Some(text)
}

fn session_remedy(source: &io::Error) -> Option<String> {
    match source.raw_os_error()? {
        libc::ENOPROTOOPT => {
            Some("this kernel was built without TCP MD5 signatures (CONFIG_TCP_MD5SIG)".into())
        }
        libc::ENOMEM => Some("too many TCP MD5 keys; raise sysctl net.core.optmem_max".into()),
        libc::EADDRNOTAVAIL => Some("the session's source address is on no interface of this host".into()),
        _ => None,
    }
}

fn lock_remedy(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::NotFound => {
            Some("make the lock directory first (systemd: RuntimeDirectory=pharos)".into())
        }
        io::ErrorKind::PermissionDenied => Some(
            "choose a lock directory that this user may write, or the lock of the network namespace".into(),
        ),
        _ => None,
    }
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "pid {pid}"),
            None => f.write_str("another process"),
        }
    }
}

struct OnCpu(Option<CpuId>);

impl fmt::Display for OnCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |cpu| write!(f, " {cpu}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(addr: &str, errno: i32) -> NetError {
        on_socket("bind", addr.parse().unwrap())(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_refused_low_port_names_the_capability() {
        let error = refused("192.0.2.53:53", libc::EACCES);
        assert_eq!(error.to_string(), "cannot bind 192.0.2.53:53: Permission denied (os error 13)");
        assert!(error.remedy().unwrap().contains("CAP_NET_BIND_SERVICE"));
        assert!(refused("192.0.2.53:5353", libc::EACCES).remedy().is_none());
    }

    #[test]
    fn an_absent_address_names_freebind_and_the_command_that_adds_it() {
        let remedy = refused("[2001:db8::53]:53", libc::EADDRNOTAVAIL).remedy().unwrap();
        assert!(remedy.contains("freebind") && remedy.contains("2001:db8::53/128"), "{remedy}");
    }

    #[test]
    fn a_held_lock_names_the_holder() {
        let error = NetError::Held { what: "192.0.2.53:53".into(), pid: Some(4711) };
        assert_eq!(error.to_string(), "192.0.2.53:53 is already served by pid 4711");
        assert!(error.remedy().unwrap().contains("kill 4711"));
    }
}
