//! What the kernel knows of this process and of its sockets.

use std::fs;
use std::io;
use std::net::SocketAddr;

/// Memory of this process, in KiB.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Memory {
    /// Resident now (VmRSS).
    pub resident: u64,
    /// The most that was resident (VmHWM).
    pub peak: u64,
}

impl Memory {
    /// Reads it.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn now() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Ok(Self { resident: value("VmRSS:"), peak: value("VmHWM:") })
    }

    /// Forgets the peak before now, where the kernel lets us.
    pub fn forget_peak() {
        let _ = fs::write("/proc/self/clear_refs", "5");
    }
}

/// Datagrams that the kernel dropped for all UDP sockets on this IPv4 address and port.
///
/// # Errors
/// When /proc cannot be read.
pub fn udp_drops(address: SocketAddr) -> io::Result<u64> {
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/self/net/udp")?;
    let of_port = table
        .lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    Ok(of_port.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum())
}
