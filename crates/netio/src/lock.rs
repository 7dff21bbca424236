//! The lock of a listen address: with SO_REUSEPORT, a forgotten second instance would join in silence and
//! answer its share of the queries from stale data. So whoever starts takes the lock of each of its addresses
//! first, and is refused, with the holder's pid, if another process has it.
//!
//! Two places:
//! - [`LockPlace::Namespace`], the default choice: an abstract unix socket (unix(7)). Its name lives in the
//!   network namespace, just as addresses do; it needs no directory and no privilege, leaves nothing behind,
//!   and is gone the moment the process is.
//! - [`LockPlace::Directory`]: a lock file with the pid in it, held by flock(2), for hosts where local users
//!   are not trusted to leave abstract names alone. The file stays when the process ends (removing it would
//!   race with the next start); only the kernel's lock counts, never the file's existence.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::NetError;
use crate::sys;

/// Where locks are kept. All instances that must exclude each other need the same place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockPlace {
    /// Abstract names in the network namespace.
    #[default]
    Namespace,
    /// Files in this directory, which exists and which the process may write.
    Directory(PathBuf),
}

/// The held locks of a set of addresses; dropping it frees them.
#[derive(Debug)]
#[must_use = "the addresses are locked only as long as this lives"]
pub struct AddressLocks {
    held: Vec<Held>,
}

/// One held lock; the kernel frees it when the descriptor closes, however the process ends.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never read")]
enum Held {
    Name(Socket),
    File(File),
}

impl AddressLocks {
    /// Takes the lock of each address, or none. Addresses with port 0 have no lock: the kernel gives each
    /// asker another port.
    pub fn acquire(place: &LockPlace, addresses: &[SocketAddr]) -> Result<Self, NetError> {
        let mut addresses: Vec<_> = addresses.iter().filter(|addr| addr.port() != 0).collect();
        addresses.sort();
        addresses.dedup();
        let held = addresses.into_iter().map(|addr| acquire(place, &addr.to_string()));
        Ok(Self { held: held.collect::<Result<_, _>>()? })
    }

    /// How many distinct addresses are locked.
    pub fn count(&self) -> usize {
        self.held.len()
    }
}

fn acquire(place: &LockPlace, what: &str) -> Result<Held, NetError> {
    match place {
        LockPlace::Namespace => hold_name(what).map(Held::Name),
        LockPlace::Directory(directory) => hold_file(directory, what).map(Held::File),
    }
}

/// Connections that refused starters leave in the holder's queue, which nobody accepts. When it is full, the
/// next one is refused all the same, but can no longer learn the pid.
const REFUSALS_WITH_PID: i32 = 1024;

fn hold_name(what: &str) -> Result<Socket, NetError> {
    let name = format!("pharos-{what}");
    let failed = |source| NetError::Lock { path: format!("@{name}").into(), source };
    let address = SockAddr::unix(format!("\0{name}")).map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    match socket.bind(&address) {
        Ok(()) => {
            // Listening is what makes the pid known to those who come later (SO_PEERCRED).
            socket.listen(REFUSALS_WITH_PID).map_err(failed)?;
            Ok(socket)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(NetError::Held { what: what.into(), pid: listener_pid(&address) })
        }
        Err(error) => Err(failed(error)),
    }
}

/// The process that listens on a unix address: the kernel tells it to whoever connects.
fn listener_pid(address: &SockAddr) -> Option<u32> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    // A full queue must not make us wait.
    socket.set_nonblocking(true).ok()?;
    socket.connect(address).ok()?;
    // struct ucred: pid, uid, gid.
    let mut credentials = [0; 12];
    sys::get_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, &mut credentials).ok()?;
    let pid = u32::from_ne_bytes(credentials[..4].try_into().ok()?);
    // 0: a process of another pid namespace.
    (pid != 0).then_some(pid)
}

fn hold_file(directory: &Path, what: &str) -> Result<File, NetError> {
    // An IPv6 address keeps its colons, which Linux file names may have; a slash cannot occur.
    let path = directory.join(format!("pharos-{what}.lock"));
    let failed = |source| NetError::Lock { path: path.clone(), source };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(NetError::Held { what: what.into(), pid: written_pid(&mut file) });
        }
        Err(error) => return Err(failed(error)),
    }
    write_pid(&mut file).map_err(failed)?;
    Ok(file)
}

fn try_lock(file: &File) -> io::Result<()> {
    // SAFETY: no pointers; the descriptor is open as long as `file` is borrowed.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    sys::check(result).map(drop)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The pid in a lock file; `None` in the instant between the holder's lock and its writing.
fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // A pid has at most ten digits; whatever else stands there is not read.
    Read::take(file, 16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that only this test uses: the name of a lock need not be bindable.
    fn address(last: u8) -> SocketAddr {
        let pid = std::process::id().to_be_bytes();
        SocketAddr::from(([pid[1], pid[2], pid[3], last], 53))
    }

    fn directory(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pharos-lock-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn places(test: &str) -> [LockPlace; 2] {
        [LockPlace::Namespace, LockPlace::Directory(directory(test))]
    }

    #[test]
    fn the_second_instance_is_refused_and_told_the_pid_of_the_first() {
        for place in places("second") {
            let addr = address(1);
            let first = AddressLocks::acquire(&place, &[addr]).unwrap();
            let error = AddressLocks::acquire(&place, &[address(2), addr]).unwrap_err();
            let pid = std::process::id();
            assert_eq!(error.to_string(), format!("{addr} is already served by pid {pid}"));
            drop(first);
            // Neither the refusal nor the end of the first left anything locked.
            assert_eq!(AddressLocks::acquire(&place, &[addr, address(2), addr]).unwrap().count(), 2);
        }
    }

    #[test]
    fn refused_instances_do_not_wait_even_when_they_are_very_many() {
        let first = AddressLocks::acquire(&LockPlace::Namespace, &[address(3)]).unwrap();
        for _ in 0..2 * REFUSALS_WITH_PID {
            AddressLocks::acquire(&LockPlace::Namespace, &[address(3)]).unwrap_err();
        }
        drop(first);
    }

    #[test]
    fn a_lock_file_that_a_dead_process_left_is_taken_over() {
        let directory = directory("stale");
        let path = directory.join(format!("pharos-{}.lock", address(4)));
        std::fs::write(&path, "999999999 and more than a pid has digits\n").unwrap();
        let locks = AddressLocks::acquire(&LockPlace::Directory(directory), &[address(4)]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(locks);
    }

    #[test]
    fn a_missing_lock_directory_is_named_with_its_remedy() {
        let place = LockPlace::Directory("/nonexistent/pharos".into());
        let error = AddressLocks::acquire(&place, &[address(5)]).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/pharos"), "{error}");
        assert!(error.remedy().unwrap().contains("RuntimeDirectory"));
    }

    #[test]
    fn port_zero_has_no_lock() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let _first = AddressLocks::acquire(&LockPlace::Namespace, &[any]).unwrap();
        assert_eq!(AddressLocks::acquire(&LockPlace::Namespace, &[any]).unwrap().count(), 0);
    }
}
