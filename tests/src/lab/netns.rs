//! Network namespaces without names: each lives as long as the process that holds it.

use super::process::{Daemon, Journal, dying_with_parent};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// One machine of the lab: interfaces, routes and sockets of its own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// Sleeps; gives the others a pid to say `nsenter -t PID -n` to, and `ip link` one to move interfaces to.
    holder: Child,
    /// Whether it has file systems of its own, which who enters must see.
    mounts: AtomicBool,
}

impl Namespace {
    /// Makes one with `lo` up, forwarding between its interfaces, and nothing in the way of fast set-up.
    ///
    /// # Panics
    /// If the kernel or the user's rights do not allow namespaces.
    pub fn new(name: &str) -> Self {
        let mut holder = dying_with_parent(Path::new("unshare"))
            .args(["--net", "--mount", "sh", "-c", "echo ready; exec sleep infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is installed");
        let mut line = String::new();
        let out = holder.stdout.take().expect("standard output is a pipe");
        BufReader::new(out).read_line(&mut line).expect("a pipe can be read");
        let namespace = Self { name: name.to_owned(), holder, mounts: AtomicBool::new(false) };
        assert_eq!(line.trim(), "ready", "cannot make a network namespace: the lab needs root");
        // Duplicate address detection would keep every IPv6 address unusable for its first second.
        namespace.sh("ip link set lo up
            for key in all default; do
                echo 0 > /proc/sys/net/ipv6/conf/$key/accept_dad
                echo 0 > /proc/sys/net/ipv6/conf/$key/accept_ra
                echo 1 > /proc/sys/net/ipv6/conf/$key/forwarding
                echo 0 > /proc/sys/net/ipv4/conf/$key/rp_filter
            done
            echo 1 > /proc/sys/net/ipv4/ip_forward");
        namespace
    }

    /// The name for people; the kernel knows none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pid for `nsenter -t`.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Joins this one and `peer` by a veth pair, up, with the addresses that each end is given.
    pub fn link(
        &self,
        interface: &str,
        addresses: &[&str],
        peer: &Self,
        peer_interface: &str,
        peer_addresses: &[&str],
    ) {
        self.sh(&format!(
            "ip link add name {interface} type veth peer name {peer_interface} netns {}",
            peer.pid()
        ));
        for (namespace, name, addresses) in
            [(self, interface, addresses), (peer, peer_interface, peer_addresses)]
        {
            for address in addresses {
                namespace.sh(&format!("ip address add {address} dev {name}"));
            }
            namespace.sh(&format!("ip link set {name} up"));
        }
    }

    /// Runs a shell script inside and gives its standard output.
    ///
    /// # Panics
    /// If it fails, with what it said.
    pub fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-ec", script]).output().expect("util-linux is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in {}: {script}\n{said}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Gives it a file system of its own at a directory, with room for so many kilobytes: whoever starts inside from
    /// now on sees it, nobody outside does, and it ends with the namespace.
    pub fn small_disk(&self, directory: &Path, kilobytes: u32) {
        self.mounts.store(true, Ordering::Relaxed);
        let directory = directory.to_str().expect("paths of the lab are UTF-8");
        self.sh(&format!("mount -t tmpfs -o size={kilobytes}k,mode=755 tmpfs {directory}"));
    }

    /// What `nsenter` is told.
    fn doors(&self) -> Vec<String> {
        let mut doors = vec![format!("--net=/proc/{}/ns/net", self.pid())];
        if self.mounts.load(Ordering::Relaxed) {
            doors.push(format!("--mount=/proc/{}/ns/mnt", self.pid()));
        }
        doors
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = dying_with_parent(Path::new("nsenter"));
        command.args(self.doors()).arg(program).stdin(Stdio::null());
        command
    }

    /// Starts a daemon inside.
    pub fn start(&self, name: &str, program: &Path, args: &[&str], log: &Path) -> Daemon {
        let mut all = self.doors();
        all.push(program.to_str().expect("paths of the lab are UTF-8").to_owned());
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Daemon::start(name, Path::new("nsenter"), &all, log)
    }

    /// Starts a daemon inside whose standard error is kept as a [`Journal`].
    pub fn start_heard(
        &self,
        name: &str,
        program: &Path,
        args: &[&str],
        environment: &[(String, String)],
        log: &Path,
    ) -> (Daemon, Journal) {
        let mut all = self.doors();
        all.push(program.to_str().expect("paths of the lab are UTF-8").to_owned());
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Daemon::start_heard(name, Path::new("nsenter"), &all, environment, log)
    }

    /// Runs `work` on a thread that stands inside. Sockets that it opens stay inside for good.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let door = File::open(format!("/proc/{}/ns/net", self.pid())).expect("the holder lives");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("who made a namespace may enter it");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // An error means that it had ended already; the kernel takes the namespace down with its last process.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
